/* SPDX-License-Identifier: ISC */
/*
 * spool/ of somebody else, as a backup or a bad disk may bring it.  A spool
 * that has something of everything is taken as it is; the input changes rows
 * of it: a table, which key, and what becomes of the value.  All of it comes
 * in by the redo log, as after a power cut.
 *
 * The spool opens or says why not; every reader reads or says that a row is
 * damaged, and comes to its end; envelopes are held, let go, put off and
 * settled, mail that came back is judged, and when all that is kept has
 * passed its time the sweep has an end, too.  The store may go down, nothing
 * else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "fake_clock.h"
#include "fake_thread.h"
#include "fuzz_input.h"
#include "store/spool_intake.h"
#include "store/spool_private.h"
#include "store/statistic.h"
#include "temp_folder.h"

#define ACCOUNT "123456789012"

enum {
	MAP_BYTES = 16 << 20,
	ROWS_MAX = 400,
	CHANGES_MAX = 32, /* rows an input changes */
	WALK_MAX = 2000,
	KEEP_DAYS = 60,
	META = SPOOL_TABLES /* stands for the table of that name */
};
static const int64_t day_ms = INT64_C(86400000);
static const struct wall begin = { INT64_C(1714564800000) };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- the spool that is taken ------------------------------------------------ */

struct row {
	unsigned     table;
	struct bytes key, value;
};
static struct {
	struct row   rows[ROWS_MAX];
	unsigned     count;
	unsigned     first[META + 2]; /* of a table, in rows */
	struct msgid sent[3], back[2];
} the_base;

static const char *const table_names[META + 1] = { "message", "mail",
	"snapshot", "chunk", "recipient", "staging", "due", "held", "event",
	"counter", "cursor", "swept", "history", "intake", "step", "mark",
	"statistic", "client_id", "meta" };

static void
on_log(void *unused, const char *line)
{
	(void)unused;
	(void)line;
}

static void
on_receipt(void *unused, void *load)
{
	(void)unused;
	(void)load;
}

static struct spool *
open_in(const char *dir, struct err *e)
{
	struct spool_setup s = { .dir = dir, .map_bytes = MAP_BYTES,
		.messages_max = 1000, .index_keep_ms = KEEP_DAYS * day_ms,
		.tail_keep_ms = day_ms, .redo_log = REDO_NEVER };

	return spool_open(&s, e);
}

static struct loop *
asker(void)
{
	static struct loop *l;
	struct err	    e;

	if (l == NULL) {
		l = loop_new("asker", 4096, &e);
		fake_threads_begin(l);
	}
	return l;
}

static void
submit(struct spool *s, struct message *m)
{
	struct submission sub = { .from = asker(), .on_receipt = on_receipt,
		.message = m };

	must(spool_submit(s, &sub) && fake_threads_settle());
	must(sub.result == RECEIPT_OK);
	message_free(m);
}

static bool
change(struct spool *s, struct change *c)
{
	c->from = asker();
	c->on_receipt = on_receipt;
	must(spool_change(s, c) && fake_threads_settle());
	return c->result == RECEIPT_OK;
}

static struct message *
message_of(struct msgid *id, enum message_class class, size_t octets)
{
	static char	text[20000];
	struct message *m = message_new(1 << 20);

	m->class = class;
	m->accepted = clock_wall();
	m->expires.ms = m->accepted.ms + 3 * day_ms;
	msgid_make(m->accepted, &m->id);
	*id = m->id;
	strcpy(m->account, ACCOUNT);
	memset(text, 'x', sizeof(text));
	must(message_set(m, &m->sender, BYTES("a@example.com")) &&
	    message_set(m, &m->head, BYTES("Subject: x\r\n\r\n")) &&
	    message_set(m, &m->mail_from_domain, BYTES("b.example.com")) &&
	    message_add_body(m, (struct bytes){ text, octets }) &&
	    message_add_envelope(m, BYTES("b@sink.example")) != NULL &&
	    message_add_envelope(m, BYTES("c@sink.example")) != NULL);
	return m;
}

/* With all that a message may have. */
static struct message *
rich_message(struct msgid *id)
{
	struct message *m = message_of(id, MESSAGE_NORMAL, 20000);
	struct buf	snapshot;

	buf_init(&snapshot, EVENT_SNAPSHOT_MAX);
	must(event_snapshot_headers(BYTES("From: a@example.com\r\n"
	    "Subject: x\r\nMessage-ID: <1@example.com>\r\n"), &snapshot));
	must(message_set(m, &m->snapshot, buf_bytes(&snapshot)) &&
	    message_set(m, &m->credential, BYTES("app1")) &&
	    message_set(m, &m->config_set, BYTES("s")) &&
	    message_add_tag(m, BYTES("k"), BYTES("v")) &&
	    message_set(m, &m->envid, BYTES("e")));
	m->keeps_id = true;
	m->envelopes[0].notify = 1;
	buf_wipe(&snapshot);
	return m;
}

static int
count_something(struct change *c, struct spool_txn *t, struct err *e)
{
	static const struct statistic_key k = { .scope = STATISTIC_ACCOUNT,
		.account = ACCOUNT, .time = { INT64_C(1714564800000) } };
	struct statistic one = { { 1 } };

	(void)c;
	return spool_counter_add(t, BYTES("a" ACCOUNT), begin.ms / 60000, 3,
		   e) < 0 || statistic_add(t, &k, &one, e) < 0 ? -1 : 0;
}

static void
settle_some(struct spool *s)
{
	struct event_recipient to = { .address = BYTES("b@sink.example") };
	struct event	       ev = { .type = EVENT_DELIVERY, .at = begin,
		.message = the_base.sent[0], .recipients = &to,
		.recipient_count = 1, .reply = BYTES("250 ok") };
	struct change_item     items[3] = {
		{ .kind = CHANGE_DONE, .id = the_base.sent[0], .n = 1,
		    .event = &ev },
		{ .kind = CHANGE_DEFER, .id = the_base.sent[0], .n = 2,
		    .attempts = 1, .next = { begin.ms + 60000 },
		    .last_reply = BYTES("450 later") },
		{ .kind = CHANGE_HOLD, .id = the_base.sent[1], .n = 1,
		    .held_by = HELD_OPERATOR },
	};
	struct intake_mark mark = { the_base.sent[0], 1 };
	struct intake_errand errand = { the_base.back[0], 0, INTAKE_FROM_KEPT,
		begin, BYTES(ACCOUNT), BYTES("bob@example.com") };
	struct intake_end end = { the_base.back[0], INTAKE_ARF, INTAKE_EVENT,
		&mark, 1, &errand, 1 };
	struct change c = { .items = items, .count = 3, .cursor = "one",
		.cursor_to = 2, .also = count_something };

	event_id_make(begin, &ev.id);
	must(change(s, &c));
	c = (struct change){ .intake = &end };
	must(change(s, &c));
}

/* A content that never became a message. */
static void
stage_some(struct spool *s)
{
	struct chunk *k = mem_alloc(sizeof(*k) + CONTENT_PIECE);
	struct stage  st = { .from = asker(), .on_receipt = on_receipt,
		.chunks = k };

	k->n = k->cap = CONTENT_PIECE;
	memset(k->data, 'y', CONTENT_PIECE);
	must(spool_stage(s, &st) && fake_threads_settle());
}

static void
base_add(unsigned table, struct bytes key, struct bytes value)
{
	struct row *r = &the_base.rows[the_base.count++];

	must(the_base.count <= ROWS_MAX);
	r->table = table;
	r->key = (struct bytes){ mem_dup_bytes(key), key.n };
	r->value = (struct bytes){ mem_dup_bytes(value), value.n };
}

static void
base_read(struct spool *s)
{
	struct err	  e;
	struct db_txn	 *t = db_read(s->db, &e);
	struct db_cursor *c;
	struct bytes	  key, value;
	unsigned	  i;
	int		  rc;

	must(t != NULL);
	for (i = 0; i < SPOOL_TABLES; i++) {
		the_base.first[i] = the_base.count;
		c = db_cursor(t, i, &e);
		must(c != NULL);
		for (rc = db_seek(c, BYTES(""), &key, &value, &e); rc == 1;
		     rc = db_next(c, &key, &value, &e))
			base_add(i, key, value);
		must(rc == 0);
		db_cursor_close(c);
	}
	the_base.first[META] = the_base.count;
	must(db_meta_get(t, "state", &value, &e) == 1);
	base_add(META, BYTES("state"), value);
	the_base.first[META + 1] = the_base.count;
	db_end(t);
}

static void
base_make(void)
{
	char	      dir[TEMP_FOLDER_SIZE];
	struct err    e;
	struct spool *s;

	log_capture(on_log, NULL);
	fake_clock_set(begin);
	temp_folder_make(dir, "fuzz");
	s = open_in(dir, &e);
	must(s != NULL && spool_start(s, &e) == 0);
	submit(s, rich_message(&the_base.sent[0]));
	submit(s, message_of(&the_base.sent[1], MESSAGE_NORMAL, 100));
	submit(s, message_of(&the_base.sent[2], MESSAGE_SYSTEM, 10));
	submit(s, message_of(&the_base.back[0], MESSAGE_INTAKE, 5000));
	submit(s, message_of(&the_base.back[1], MESSAGE_INTAKE, 10));
	settle_some(s);
	stage_some(s);
	spool_stop(s);
	must(fake_threads_settle());
	base_read(s);
	spool_close(s);
	temp_folder_remove(dir);
}

/* -- what the input makes of it --------------------------------------------- */

/* NULL: the table has none. */
static const struct row *
base_row(unsigned table, unsigned n)
{
	unsigned first = the_base.first[table];
	unsigned count = the_base.first[table + 1] - first;

	return count == 0 ? NULL : &the_base.rows[first + n % count];
}

/* Octets of the value are others, from a place in it on. */
static struct bytes
patched(struct input *in, struct bytes value, char *room)
{
	unsigned     at = take(in);
	struct bytes by;

	by = take_bytes(in, take(in) % 16);
	memcpy(room, value.p, value.n);
	at = value.n == 0 ? 0 : (unsigned)(at % value.n);
	if (by.n > value.n - at)
		by.n = value.n - at;
	if (by.n > 0)
		memcpy(room + at, by.p, by.n);
	return (struct bytes){ room, value.n };
}

/* false: nothing */
static bool
change_row(struct input *in, struct buf *rows)
{
	static char	  room[1 << 16];
	unsigned	  table = take(in) % (META + 1), which = take(in);
	const struct row *r = base_row(table, which), *other;
	struct bytes	  key, value;

	if (which >= 128 || r == NULL) {
		key = take_bytes(in, which & 127);
		r = base_row(table, take(in));
	} else {
		key = r->key;
	}
	value = r != NULL ? r->value : BYTES("");
	switch (take(in) % 5) {
	case 0:
		value = patched(in, value, room);
		break;
	case 1:
		value = take_bytes(in, take(in));
		break;
	case 2:
		value.n = value.n < take(in) ? value.n : take(in) % (value.n +
		    1);
		break;
	case 3:
		other = base_row(table, take(in));
		value = other != NULL ? other->value : value;
		break;
	default:
		return r == NULL || key.p != r->key.p ? false :
		    redo_delete(rows, bytes_of(table_names[table]), key);
	}
	return key.n > 0 && redo_put(rows, bytes_of(table_names[table]), key,
	    value);
}

/* As a power cut leaves it: an empty store, and all of it in the log. */
static void
write_log(const char *dir, struct input *in)
{
	struct buf   rows;
	struct redo *log;
	struct err   e;
	char	     path[TEMP_FOLDER_SIZE + 16];
	unsigned     i;

	buf_init(&rows, 8 << 20);
	must(redo_base(&rows, BYTES("state"), BYTES("")));
	for (i = 0; i < the_base.count; i++)
		must(redo_put(&rows,
		    bytes_of(table_names[the_base.rows[i].table]),
		    the_base.rows[i].key, the_base.rows[i].value));
	for (i = 0; i < CHANGES_MAX && in->n > 0; i++)
		(void)change_row(in, &rows);
	snprintf(path, sizeof(path), "%s/spool", dir);
	must(mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/spool/redo", dir);
	log = redo_open(path, &e);
	must(log != NULL && redo_write(log, 1, buf_bytes(&rows), &e) == 0);
	redo_close(log);
	buf_wipe(&rows);
}

/* -- reading all of it ------------------------------------------------------ */

struct reading {
	struct spool *s;
	unsigned      n;
};

/* Every walk has an end, whatever stands there. */
static bool
goes_on(struct reading *x)
{
	must(++x->n < WALK_MAX);
	return true;
}

static void
read_content(struct spool *s, const struct message_row *m)
{
	char	   piece[4096];
	struct err e;
	uint64_t   at = m->head_octets;

	(void)spool_read_content(s, m, 0, piece, sizeof(piece), &e);
	(void)spool_read_content(s, m, at, piece, sizeof(piece), &e);
	(void)spool_read_content(s, m, at + m->body_octets - 1, piece,
	    sizeof(piece), &e);
	spool_warm(s, m->content);
}

static void
read_message(struct spool *s, const struct msgid *id)
{
	struct arena	    *a = arena_new(4 << 20);
	struct message_row   m;
	struct mail_row	     mail;
	struct recipient_row r;
	struct bytes	     text;
	struct err	     e;

	if (spool_read_message(s, id, a, &m, &e) == 1)
		read_content(s, &m);
	(void)spool_read_mail(s, id, a, &mail, &e);
	(void)spool_read_facts(s, id, a, &mail, &e);
	(void)spool_read_returned(s, id, a, &text, &e);
	(void)spool_read_recipient(s, id, 1, a, &r, &e);
	arena_free(a);
}

static bool
on_arrival(void *reading, const struct arrival *a)
{
	(void)a;
	return goes_on(reading);
}

static bool
on_held(void *reading, const struct arrival *a, uint8_t held_by,
    struct wall expires)
{
	(void)a;
	(void)held_by;
	(void)expires;
	return goes_on(reading);
}

static bool
on_recipient(void *reading, const struct recipient_row *r)
{
	struct reading *x = reading;

	must(r->state <= ENVELOPE_HELD);
	read_message(x->s, &r->id);
	return goes_on(x);
}

static bool
on_mail(void *reading, const struct mail_row *m)
{
	struct reading *x = reading;
	unsigned	i;

	for (i = 0; i < m->recipient_count; i++)
		must(m->recipients[i].n == 0 || m->recipients[i].p != NULL);
	read_message(x->s, &m->id);
	return goes_on(x);
}

static bool
on_event(void *reading, uint64_t sequence, const struct event *ev)
{
	(void)sequence;
	must(event_type_to_text(ev->type) != NULL);
	return goes_on(reading);
}

static bool
on_history(void *reading, unsigned n, const struct event *ev)
{
	return on_event(reading, n, ev);
}

static bool
on_intake(void *reading, const struct intake_row *r)
{
	struct reading *x = reading;
	char		piece[1000];
	struct err	e;

	must(intake_kind_to_text(r->kind) != NULL &&
	    intake_result_to_text(r->result) != NULL);
	(void)intake_spf_to_text(r);
	(void)spool_read_raw(x->s, r, 0, piece, sizeof(piece), &e);
	(void)spool_read_raw(x->s, r, r->head_octets, piece, sizeof(piece),
	    &e);
	return goes_on(x);
}

static bool
on_statistic(void *reading, const struct statistic_key *k,
    const struct statistic *v)
{
	(void)k;
	(void)statistic_get(v, COUNT_SENDS);
	return goes_on(reading);
}

static void
on_cursor(void *reading, struct bytes name, uint64_t at)
{
	(void)name;
	(void)at;
	(void)goes_on(reading);
}

static void
read_queue(struct spool *s)
{
	struct wall    never = { INT64_MAX };
	struct err     e;
	struct reading x[8] = { { s, 0 }, { s, 0 }, { s, 0 }, { s, 0 },
		{ s, 0 }, { s, 0 }, { s, 0 }, { s, 0 } };

	(void)spool_scan_due(s, NULL, never, WALK_MAX, on_arrival, &x[0], &e);
	(void)spool_scan_held(s, NULL, WALK_MAX, on_held, &x[1], &e);
	(void)spool_scan_recipients(s, NULL, 0, WALK_MAX, on_recipient, &x[2],
	    &e);
	(void)spool_scan_mail(s, NULL, WALK_MAX, on_mail, &x[3], &e);
	(void)spool_scan_events(s, 0, WALK_MAX, on_event, &x[4], &e);
	(void)spool_scan_history(s, NULL, 0, WALK_MAX, on_history, &x[5],
	    &e);
	(void)spool_scan_intake(s, NULL, WALK_MAX, on_intake, &x[6], &e);
	(void)spool_each_cursor(s, "", on_cursor, &x[7], &e);
}

static void
read_rest(struct spool *s)
{
	static const struct intake_mark mark = { .what = 1 };
	struct statistic_question q = { .until = { INT64_MAX } };
	struct intake_errand	  errand;
	struct spool_figures	  f;
	struct intake_mark	  m = mark;
	struct arena		 *a = arena_new(1 << 20);
	struct reading		  x = { s, 0 };
	struct msgid		  ids[8];
	struct wall		  last;
	struct err		  e;
	unsigned		  count;
	int64_t			  sum, minute = begin.ms / 60000;

	(void)spool_figures(s, &f, &e);
	(void)spool_next_intake(s, INTAKE_JUDGE, NULL, a, &errand, &e);
	(void)spool_next_intake(s, INTAKE_FORWARD, NULL, a, &errand, &e);
	m.id = the_base.sent[0];
	(void)spool_read_mark(s, &m, &count, &last, &e);
	(void)spool_find_client_id(s, BYTES("<1@example.com>"), begin, ids, 8,
	    &e);
	(void)spool_first_event_since(s, begin);
	(void)spool_cursor(s, "one");
	(void)spool_counter_read(s, BYTES("a" ACCOUNT), 0, minute + 5, &sum,
	    &e);
	(void)spool_counter_window(s, BYTES("a" ACCOUNT), minute, 1440, &sum,
	    &e);
	memcpy(q.key.account, ACCOUNT, sizeof(q.key.account));
	q.key.scope = STATISTIC_ACCOUNT;
	(void)statistic_each(s, &q, on_statistic, &x, &e);
	arena_free(a);
}

/* -- changing it ------------------------------------------------------------ */

static int
add_more(struct change *c, struct spool_txn *t, struct err *e)
{
	int64_t	    sum;
	struct err  why;
	struct wall now = clock_wall();

	(void)spool_judge_again(t, &the_base.back[0], &why);
	return count_something(c, t, e) < 0 ||
	    spool_counter_sum(t, BYTES("a" ACCOUNT), now.ms / 60000 - 1440,
		now.ms / 60000, &sum, e) < 0 ? -1 : 0;
}

static bool
change_all(struct spool *s, enum change_kind kind)
{
	struct change_item items[6];
	struct change	   c = { .items = items, .count = 6,
		.also = kind == CHANGE_HOLD ? add_more : NULL };
	unsigned	   i;

	memset(items, 0, sizeof(items));
	for (i = 0; i < 6; i++) {
		items[i].kind = kind;
		items[i].id = the_base.sent[i / 2];
		items[i].n = i % 2 + 1;
		items[i].held_by = HELD_OPERATOR;
		items[i].attempts = 2;
		items[i].next.ms = clock_wall().ms + 1000;
	}
	return change(s, &c);
}

static bool
judge_all(struct spool *s)
{
	struct intake_mark mark = { the_base.sent[0], 1 };
	struct intake_end  end = { the_base.back[1], INTAKE_DSN,
		 INTAKE_EVENT, &mark, 1, NULL, 0 };
	struct intake_errand errand = { .id = the_base.back[0], .n = 0 };
	struct change c = { .intake = &end };

	if (!change(s, &c))
		return false;
	c = (struct change){ .errand = &errand };
	return change(s, &c);
}

static void
live(struct spool *s)
{
	static const enum change_kind kinds[] = { CHANGE_HOLD, CHANGE_RELEASE,
		CHANGE_RETRY, CHANGE_DEFER, CHANGE_MOVE, CHANGE_DONE };
	struct err e;
	size_t	   i;
	bool	   is_up = true;

	must(spool_start(s, &e) == 0);
	for (i = 0; is_up && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		is_up = change_all(s, kinds[i]);
	if (is_up && judge_all(s)) {
		fake_clock_move((KEEP_DAYS + 40) * day_ms);
		spool_sweep(s);
		must(fake_threads_settle());
		read_queue(s);
	}
	spool_stop(s);
	must(fake_threads_settle());
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input  in = { data, size };
	char	      dir[TEMP_FOLDER_SIZE];
	struct err    e;
	struct spool *s;

	if (size > 4096)
		return 0;
	if (the_base.count == 0)
		base_make();
	fake_clock_set(begin);
	temp_folder_make(dir, "fuzz");
	write_log(dir, &in);
	e.text[0] = '\0';
	s = open_in(dir, &e);
	if (s != NULL) {
		read_queue(s);
		read_rest(s);
		live(s);
		spool_close(s);
	} else {
		must(e.text[0] != '\0');
	}
	temp_folder_remove(dir);
	return 0;
}
