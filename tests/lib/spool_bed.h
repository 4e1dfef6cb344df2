/* SPDX-License-Identifier: ISC */
/*
 * spool_bed.h - a spool in a folder of its own, and an asker whose loop runs
 * in the test's thread until all receipts are there.
 */
#ifndef TEST_SPOOL_BED_H
#define TEST_SPOOL_BED_H

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "store/db_private.h"
#include "store/spool.h"
#include "store/spool_private.h"
#include "temp_folder.h"

struct bed {
	char		   dir[TEMP_FOLDER_SIZE];
	struct spool_setup setup;
	struct spool	  *spool;
	struct loop	  *asker;
	unsigned	   waiting; /* receipts */
	struct arrivals	  *arrivals[64];
	size_t		   arrival_batches;
	unsigned	   notes, downs;
	bool		   stops_at_note;
};

static inline int
bed_make(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));
	struct err  e;

	temp_folder_make(b->dir, "spool");
	b->setup.dir = b->dir;
	b->setup.map_bytes = 64 << 20;
	b->setup.messages_max = 1000000;
	b->setup.index_keep_ms = INT64_C(60) * 86400 * 1000;
	b->setup.tail_keep_ms = 86400 * 1000;
	b->setup.redo_log = REDO_NEVER; /* receipts, then readers */
	b->asker = loop_new("asker", 4096, &e);
	*state = b;
	return b->asker == NULL ? -1 : 0;
}

static inline void
bed_line_away(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

/* For tests that make the spool complain. */
static inline int
bed_make_quiet(void **state)
{
	log_capture(bed_line_away, NULL);
	return bed_make(state);
}

static inline void
bed_on_arrivals(void *ctx, void *load)
{
	struct bed *b = ctx;

	assert_true(b->arrival_batches < 64);
	b->arrivals[b->arrival_batches++] = load;
}

static inline void
bed_on_events(void *ctx, void *unused)
{
	struct bed *b = ctx;

	assert_null(unused);
	b->notes++;
	if (b->stops_at_note)
		loop_stop(b->asker);
}

static inline void
bed_on_down(void *ctx, void *unused)
{
	struct bed *b = ctx;

	assert_null(unused);
	b->downs++;
	if (b->waiting == 0)
		loop_stop(b->asker);
}

static inline void
bed_open(struct bed *b)
{
	struct err e;

	b->spool = spool_open(&b->setup, &e);
	if (b->spool == NULL)
		fail_msg("%s", e.text);
	spool_on_arrivals(b->spool, b->asker, bed_on_arrivals, b);
	spool_on_events(b->spool, b->asker, bed_on_events, b);
	spool_on_down(b->spool, b->asker, bed_on_down, b);
}

static inline void
bed_start(struct bed *b)
{
	struct err e;

	if (b->spool == NULL)
		bed_open(b);
	if (spool_start(b->spool, &e) < 0)
		fail_msg("%s", e.text);
}

static inline void
bed_forget_arrivals(struct bed *b)
{
	while (b->arrival_batches > 0)
		mem_free(b->arrivals[--b->arrival_batches]);
}

static inline void
bed_end_pass(void *ctx, void *unused)
{
	struct bed *b = ctx;

	(void)unused;
	loop_stop(b->asker);
}

static inline void bed_passes(struct bed *b, unsigned n);

/*
 * Whatever is in the asker's feed is run.  The writer posts in order: after
 * the receipt of one pass more all of the passes before is there.
 */
static inline void
bed_drain(struct bed *b)
{
	if (b->spool->is_started && b->downs == 0)
		bed_passes(b, 1);
	assert_true(loop_post(b->asker, bed_end_pass, b, NULL));
	loop_run(b->asker);
}

static inline void
bed_stop(struct bed *b)
{
	spool_stop(b->spool);
	bed_drain(b);
	spool_close(b->spool);
	b->spool = NULL;
}

static inline int
bed_remove(void **state)
{
	struct bed *b = *state;

	if (b->spool != NULL)
		bed_stop(b);
	bed_forget_arrivals(b);
	loop_free(b->asker);
	temp_folder_remove(b->dir);
	free(b);
	return 0;
}

/* -- receipts ------------------------------------------------------------ */

static inline void
bed_on_receipt(void *ctx, void *load)
{
	struct bed *b = ctx;

	(void)load;
	assert_true(b->waiting > 0);
	if (--b->waiting == 0)
		loop_stop(b->asker);
}

static inline void
bed_wait(struct bed *b)
{
	if (b->waiting > 0)
		loop_run(b->asker);
	assert_int_equal(b->waiting, 0);
}

static inline void
bed_lend(struct bed *b, struct submission *s, struct message *m)
{
	s->from = b->asker;
	s->on_receipt = bed_on_receipt;
	s->ctx = b;
	s->message = m;
	b->waiting++;
	assert_true(spool_submit(b->spool, s));
}

/* One submission to its receipt; the message stays the caller's. */
static inline enum receipt_result
bed_submit(struct bed *b, struct message *m)
{
	struct submission s;

	memset(&s, 0, sizeof(s));
	bed_lend(b, &s, m);
	bed_wait(b);
	return s.result;
}

static inline enum receipt_result
bed_change(struct bed *b, struct change_item *items, size_t count)
{
	struct change c;

	memset(&c, 0, sizeof(c));
	c.from = b->asker;
	c.on_receipt = bed_on_receipt;
	c.ctx = b;
	c.items = items;
	c.count = count;
	b->waiting++;
	assert_true(spool_change(b->spool, &c));
	bed_wait(b);
	return c.result;
}

static inline bool
bed_change_one(struct bed *b, enum change_kind kind, const struct message *m,
    unsigned n, struct wall next)
{
	struct change_item item;

	memset(&item, 0, sizeof(item));
	item.kind = kind;
	item.id = m->id;
	item.n = n;
	item.next = next;
	item.attempts = 1;
	assert_int_equal(bed_change(b, &item, 1), RECEIPT_OK);
	return item.found;
}

/* A pass of the writer; each does one portion of a sweep. */
static inline void
bed_passes(struct bed *b, unsigned n)
{
	while (n-- > 0)
		assert_int_equal(bed_change(b, NULL, 0), RECEIPT_OK);
}

/* -- what is the writer's ------------------------------------------------- */

struct bed_look {
	const bool *flag;
	bool	    value;
	sem_t	    seen;
};

static inline void
bed_on_look(void *look, void *unused)
{
	struct bed_look *l = look;

	(void)unused;
	l->value = *l->flag;
	sem_post(&l->seen);
}

/* A flag of the running spool, looked at by its writer. */
static inline bool
bed_flag(struct bed *b, const bool *flag)
{
	struct bed_look l = { .flag = flag };

	assert_int_equal(sem_init(&l.seen, 0, 0), 0);
	assert_true(loop_post(b->spool->loop, bed_on_look, &l, NULL));
	while (sem_wait(&l.seen) != 0)
		;
	sem_destroy(&l.seen);
	return l.value;
}

/* -- messages ------------------------------------------------------------ */

enum { BED_HEAD = 900 };

static inline char
bed_octet(uint64_t i)
{
	return (char)('a' + (i * 31 + i / 4080) % 26);
}

static inline void
bed_fill_body(struct message *m, size_t octets)
{
	char   part[1000];
	size_t i, n;

	while (octets > 0) {
		n = octets < sizeof(part) ? octets : sizeof(part);
		for (i = 0; i < n; i++)
			part[i] = bed_octet(m->body_octets + i);
		assert_true(message_add_body(m, (struct bytes){ part, n }));
		octets -= n;
	}
}

/* accepted 0 = now */
static inline struct message *
bed_message(unsigned rcpts, size_t body, int64_t accepted_ms)
{
	struct message *m = message_new(1 << 20);
	char		head[BED_HEAD], to[64];
	struct buf	snapshot;
	unsigned	i;

	m->accepted.ms = accepted_ms != 0 ? accepted_ms : clock_wall().ms;
	m->expires.ms = m->accepted.ms + 72 * 3600 * 1000;
	msgid_make(m->accepted, &m->id);
	strcpy(m->account, "123456789012");
	assert_true(message_set(m, &m->sender, BYTES("s@example.com")));
	assert_true(message_set(m, &m->credential, BYTES("app1")));
	assert_true(message_set(m, &m->mail_from_domain,
	    BYTES("bounces.example.com")));
	assert_true(message_add_tag(m, BYTES("campaign"), BYTES("book")));
	for (i = 0; i < rcpts; i++) {
		snprintf(to, sizeof(to), "user%u@d%u.example", i, i % 1000);
		assert_non_null(message_add_envelope(m, bytes_of(to)));
	}
	memset(head, 'H', sizeof(head));
	assert_true(message_set(m, &m->head,
	    (struct bytes){ head, sizeof(head) }));
	buf_init(&snapshot, EVENT_SNAPSHOT_MAX);
	assert_true(event_snapshot_headers(BYTES("From: s@example.com\r\n"
	    "subject: Hello\r\n  there\r\nMessage-ID: <1@example.com>\r\n"),
	    &snapshot));
	assert_true(message_set(m, &m->snapshot, buf_bytes(&snapshot)));
	buf_wipe(&snapshot);
	bed_fill_body(m, body);
	return m;
}

/* Submits a fresh one and frees it; its id stays. */
static inline struct msgid
bed_put(struct bed *b, unsigned rcpts, size_t body, int64_t accepted_ms)
{
	struct message *m = bed_message(rcpts, body, accepted_ms);
	struct msgid	id = m->id;

	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	message_free(m);
	return id;
}

/* -- looking ------------------------------------------------------------- */

static inline uint64_t
bed_rows(struct bed *b, enum spool_table table)
{
	struct err     e;
	struct db_txn *t = db_read(b->spool->db, &e);
	uint64_t       n;

	assert_non_null(t);
	n = db_count(t, table);
	db_end(t);
	return n;
}

static inline struct spool_figures
bed_figures(struct bed *b)
{
	struct spool_figures f;
	struct err	     e;

	assert_int_equal(spool_figures(b->spool, &f, &e), 0);
	return f;
}

static inline void
bed_assert_text(struct bytes b, const char *text)
{
	assert_true(bytes_eq_text(b, text));
}

struct bed_events {
	size_t	      n;
	uint64_t      sequence[64];
	enum event_type type[64];
	struct msgid  message[64];
	struct event_id id[64];
};

static inline bool
bed_events_add(void *arg, uint64_t sequence, const struct event *ev)
{
	struct bed_events *l = arg;

	assert_true(l->n < 64);
	l->sequence[l->n] = sequence;
	l->type[l->n] = ev->type;
	l->message[l->n] = ev->message;
	l->id[l->n++] = ev->id;
	return true;
}

static inline struct bed_events
bed_events_after(struct bed *b, uint64_t after)
{
	struct bed_events l;
	struct err	  e;

	memset(&l, 0, sizeof(l));
	assert_true(spool_scan_events(b->spool, after, 64, bed_events_add, &l,
	    &e) >= 0);
	return l;
}

/* Of a walk: how many rows, and the last one. */
struct bed_count {
	size_t	     n, enough;
	struct msgid last;
	unsigned     last_n;
	struct due_key key;
};

static inline bool
bed_count_due(void *arg, const struct arrival *a)
{
	struct bed_count *c = arg;

	assert_true(a->due.ms >= c->key.due.ms);
	c->key = (struct due_key){ a->due, a->id, a->n };
	return ++c->n != c->enough;
}

#endif
