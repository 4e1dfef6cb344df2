/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "spool_bed.h"

static void
assert_text(struct bytes b, const char *text)
{
	assert_true(bytes_eq_text(b, text));
}

/* -- submission ---------------------------------------------------------- */

struct event_list {
	size_t	      n;
	uint64_t      sequence[64];
	enum event_type type[64];
	struct msgid  message[64];
	struct event_id id[64];
};

static bool
event_list_add(void *arg, uint64_t sequence, const struct event *ev)
{
	struct event_list *l = arg;

	assert_true(l->n < 64);
	l->sequence[l->n] = sequence;
	l->type[l->n] = ev->type;
	l->message[l->n] = ev->message;
	l->id[l->n++] = ev->id;
	return true;
}

static struct event_list
events_after(struct bed *b, uint64_t after)
{
	struct event_list l;
	struct err	  e;

	memset(&l, 0, sizeof(l));
	assert_true(spool_scan_events(b->spool, after, 64, event_list_add, &l,
	    &e) >= 0);
	return l;
}

static void
check_mail_row(struct bed *b, const struct message *m)
{
	struct arena   *a = arena_new(1 << 20);
	struct mail_row r;
	struct bytes	name, value;
	struct err	e;
	size_t		at = 0;

	assert_int_equal(spool_read_mail(b->spool, &m->id, a, &r, &e), 1);
	assert_true(r.accepted.ms == m->accepted.ms);
	assert_string_equal(r.account, "123456789012");
	assert_text(r.credential, "app1");
	assert_text(r.sender, "s@example.com");
	assert_text(r.message_id, "<1@example.com>");
	assert_text(r.subject, "Hello  there");
	assert_int_equal(r.recipient_count, 3);
	assert_text(r.recipients[2], "user2@d2.example");
	assert_int_equal(r.tag_count, 1);
	assert_text(r.tags[0].value, "book");
	assert_true(r.size == message_octets(m));
	assert_true(event_snapshot_next(r.snapshot, &at, &name, &value));
	assert_text(name, "From");
	arena_free(a);
}

static void
check_message_row(struct bed *b, const struct message *m)
{
	struct arena	    *a = arena_new(1 << 20);
	struct message_row   r;
	struct recipient_row to;
	struct err	     e;

	assert_int_equal(spool_read_message(b->spool, &m->id, a, &r, &e), 1);
	assert_int_equal(r.open, 3);
	assert_true(r.head_octets == BED_HEAD);
	assert_true(r.body_octets == m->body_octets);
	assert_text(r.mail_from_domain, "bounces.example.com");
	assert_int_equal(spool_read_recipient(b->spool, &m->id, 2, a, &to,
	    &e), 1);
	assert_text(to.address, "user1@d1.example");
	assert_int_equal(to.state, ENVELOPE_READY);
	assert_true(to.next.ms == m->accepted.ms);
	assert_true(to.expires.ms == m->expires.ms);
	assert_int_equal(spool_read_recipient(b->spool, &m->id, 4, a, &to,
	    &e), 0);
	arena_free(a);
}

/* delivery#23 in part: what was answered OK is all there */
static void
a_message_is_laid_down(void **state)
{
	struct bed	    *b = *state;
	struct message	    *m = bed_message(3, 10240, 0);
	struct spool_figures f;
	struct event_list    l;
	struct arrival	    *a;

	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	bed_drain(b);
	check_mail_row(b, m);
	check_message_row(b, m);
	assert_int_equal(b->arrival_batches, 1);
	assert_int_equal(b->arrivals[0]->count, 3);
	a = &b->arrivals[0]->v[1];
	assert_int_equal(a->n, 2);
	assert_string_equal(a->domain, "d1.example");
	assert_string_equal(a->account, "123456789012");
	assert_true(a->due.ms == m->accepted.ms);
	assert_true(a->size == message_octets(m));
	assert_false(a->system);
	l = events_after(b, 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.type[0], EVENT_SEND);
	assert_int_equal(msgid_cmp(&l.message[0], &m->id), 0);
	assert_true(b->notes >= 1);
	f = bed_figures(b);
	assert_true(f.messages == 1 && f.recipients == 3 && f.held == 0);
	assert_true(f.bytes == message_octets(m));
	message_free(m);
}

/*
 * Of many commits not each is told: at most 24 notes in 250 ms, but the
 * last commit never goes untold.
 */
static void
busy_store_tells_in_windows(void **state)
{
	enum { COMMITS = 100 };
	struct bed     *b = *state;
	struct mono	began = clock_mono();
	struct message *m;
	unsigned	i, before = 0;

	bed_start(b);
	for (i = 0; i < COMMITS; i++) {
		before = b->notes;
		m = bed_message(1, 10, 0);
		assert_int_equal(bed_submit(b, m), RECEIPT_OK);
		bed_drain(b);
		bed_forget_arrivals(b);
		message_free(m);
	}
	i = (unsigned)((clock_mono().ms - began.ms) / 250) + 2;
	assert_true(b->notes <= i * 24);
	if (b->notes == before) {
		b->stops_at_note = true;
		loop_run(b->asker);
	}
	assert_true(b->notes > before);
}

static void
mail_of_posthorn_makes_no_event(void **state)
{
	struct bed     *b = *state;
	struct message *m = bed_message(1, 10, 0);

	m->class = MESSAGE_SYSTEM;
	b->setup.messages_max = 0; /* and is not held up by a full queue */
	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	bed_drain(b);
	assert_int_equal(events_after(b, 0).n, 0);
	assert_int_equal(b->notes, 0);
	assert_true(b->arrivals[0]->v[0].system);
	message_free(m);
}

static void
content_is_read_from_any_offset(void **state)
{
	static const size_t bodies[] = { 0, 1, 4080, 4081, 10240, 300000 };
	static const size_t slices[] = { 1, 899, 900, 901, 4080, 65536 };
	struct bed	   *b = *state;
	struct arena	   *a = arena_new(1 << 20);
	struct message_row  r;
	struct msgid	    id;
	struct err	    e;
	char		    buf[65536];
	uint64_t	    at, whole;
	ptrdiff_t	    n, k;
	size_t		    i, j;

	bed_start(b);
	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		id = bed_put(b, 1, bodies[i], 0);
		assert_int_equal(spool_read_message(b->spool, &id, a, &r,
		    &e), 1);
		whole = BED_HEAD + bodies[i];
		for (j = 0; j < sizeof(slices) / sizeof(slices[0]); j++) {
			if (whole / slices[j] > 2000)
				continue;
			for (at = 0; (n = spool_read_content(b->spool, &r, at,
			    buf, slices[j], &e)) > 0; at += (uint64_t)n)
				for (k = 0; k < n; k++)
					if (buf[k] != (at + (uint64_t)k <
					    BED_HEAD ? 'H' : bed_octet(at +
					    (uint64_t)k - BED_HEAD)))
						fail_msg("octet %lu",
						    (unsigned long)at);
			assert_int_equal(n, 0);
			assert_true(at == whole);
		}
		spool_warm(b->spool, r.content);
	}
	/* a content that has gone is an error, never a short message */
	r.content = 999;
	assert_int_equal(spool_read_content(b->spool, &r, 0, buf, 10, &e), -1);
	arena_free(a);
}

/* Gathered before the writer runs: one commit, receipts for all. */
static void
a_batch_is_one_commit(void **state)
{
	enum { MANY = 300 };
	struct bed	    *b = *state;
	struct submission   *s = calloc(MANY, sizeof(*s));
	struct spool_figures f;
	unsigned	     i;

	bed_open(b);
	for (i = 0; i < MANY; i++)
		bed_lend(b, &s[i], bed_message(1, 2000, 0));
	bed_start(b);
	bed_wait(b);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(s[i].result, RECEIPT_OK);
		message_free(s[i].message);
	}
	f = bed_figures(b);
	assert_true(f.messages == MANY);
	assert_int_equal(f.commits, 1);
	assert_int_equal(f.committed_items, MANY);
	assert_true(spool_meters(b->spool)->commit_items.sum_micro.n > 0);
	bed_drain(b);
	assert_int_equal(b->arrival_batches, 1);
	assert_int_equal(b->arrivals[0]->count, MANY);
	free(s);
}

/* More than 512 need more passes, and none is forgotten. */
static void
a_long_queue_takes_several_commits(void **state)
{
	enum { MANY = 1200 };
	struct bed	    *b = *state;
	struct submission   *s = calloc(MANY, sizeof(*s));
	struct spool_figures f;
	unsigned	     i;

	bed_open(b);
	for (i = 0; i < MANY; i++)
		bed_lend(b, &s[i], bed_message(1, 10, 0));
	bed_start(b);
	bed_wait(b);
	for (i = 0; i < MANY; i++)
		message_free(s[i].message);
	f = bed_figures(b);
	assert_true(f.messages == MANY);
	assert_int_equal(f.commits, 3);
	free(s);
}

/* -- changes ------------------------------------------------------------- */

struct due_list {
	size_t	       n;
	struct arrival a[16];
	uint8_t	       held_by[16];
	struct wall    expires[16];
};

static bool
due_list_add(void *arg, const struct arrival *a)
{
	struct due_list *l = arg;

	assert_true(l->n < 16);
	l->a[l->n++] = *a;
	return true;
}

static bool
held_list_add(void *arg, const struct arrival *a, uint8_t held_by,
    struct wall expires)
{
	struct due_list *l = arg;

	l->held_by[l->n] = held_by;
	l->expires[l->n] = expires;
	return due_list_add(arg, a);
}

static struct due_list
due_rows(struct bed *b)
{
	struct due_list l;
	struct err	e;

	memset(&l, 0, sizeof(l));
	assert_true(spool_scan_due(b->spool, NULL, (struct wall){ INT64_MAX },
	    16, due_list_add, &l, &e) >= 0);
	return l;
}

static struct due_list
held_rows(struct bed *b)
{
	struct due_list l;
	struct err	e;

	memset(&l, 0, sizeof(l));
	assert_true(spool_scan_held(b->spool, NULL, 16, held_list_add, &l,
	    &e) >= 0);
	return l;
}

static struct recipient_row
recipient(struct bed *b, const struct message *m, unsigned n,
    struct arena *a)
{
	struct recipient_row r;
	struct err	     e;

	assert_int_equal(spool_read_recipient(b->spool, &m->id, n, a, &r, &e),
	    1);
	return r;
}

static void
defer_keeps_what_the_attempt_left(void **state)
{
	struct bed	    *b = *state;
	struct message	    *m = bed_message(1, 100, 0);
	struct arena	    *a = arena_new(65536);
	struct event	     ev = { .type = EVENT_DELIVERY_DELAY };
	struct change_item   item;
	struct recipient_row r;
	struct due_list	     l;
	char		     reply[1000];

	memset(reply, 'r', sizeof(reply));
	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	memset(&item, 0, sizeof(item));
	ev.at.ms = m->accepted.ms + 50;
	item.kind = CHANGE_DEFER;
	item.id = m->id;
	item.n = 1;
	item.attempts = 1;
	item.next.ms = m->accepted.ms + 300000;
	item.last_reply = (struct bytes){ reply, sizeof(reply) };
	item.last_source_ip = BYTES("203.0.113.10");
	item.last_stage = BYTES("rcpt");
	item.flags = 5;
	item.event = &ev;
	assert_int_equal(bed_change(b, &item, 1), RECEIPT_OK);
	assert_true(item.found);
	r = recipient(b, m, 1, a);
	assert_int_equal(r.state, ENVELOPE_DEFERRED);
	assert_int_equal(r.attempts, 1);
	assert_int_equal(r.last_reply.n, 512);
	assert_text(r.last_source_ip, "203.0.113.10");
	assert_int_equal(r.flags, 5);
	assert_true(r.first_attempt.ms == ev.at.ms);
	assert_true(r.expires.ms == m->expires.ms);
	l = due_rows(b);
	assert_int_equal(l.n, 1);
	assert_true(l.a[0].due.ms == item.next.ms);
	assert_int_equal(events_after(b, 1).type[0], EVENT_DELIVERY_DELAY);
	assert_true(bed_figures(b).deferred == 1);
	/* the lifetime may only become shorter */
	item.expires.ms = m->expires.ms + 1;
	bed_change(b, &item, 1);
	assert_true(recipient(b, m, 1, a).expires.ms == m->expires.ms);
	item.expires.ms = m->accepted.ms + 1000000;
	bed_change(b, &item, 1);
	r = recipient(b, m, 1, a);
	assert_true(r.expires.ms == item.expires.ms);
	assert_true(bed_figures(b).deferred == 1);
	arena_free(a);
	message_free(m);
}

static void
change_held(struct bed *b, enum change_kind kind, const struct message *m,
    uint8_t held_by)
{
	struct change_item item;

	memset(&item, 0, sizeof(item));
	item.kind = kind;
	item.id = m->id;
	item.n = 1;
	item.held_by = held_by;
	assert_int_equal(bed_change(b, &item, 1), RECEIPT_OK);
	assert_true(item.found);
}

/* delivery.md 2.2: HELD while any cause is there, then READY at once */
static void
holds_add_up(void **state)
{
	struct bed	    *b = *state;
	struct message	    *m = bed_message(1, 100, 0);
	struct arena	    *a = arena_new(65536);
	struct wall	     later = { m->accepted.ms + 3600000 };
	struct recipient_row r;
	struct due_list	     l;

	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	assert_true(bed_change_one(b, CHANGE_DEFER, m, 1, later));
	change_held(b, CHANGE_HOLD, m, HELD_ACCOUNT);
	change_held(b, CHANGE_HOLD, m, HELD_OPERATOR);
	change_held(b, CHANGE_HOLD, m, HELD_OPERATOR);
	assert_int_equal(due_rows(b).n, 0);
	l = held_rows(b);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.held_by[0], HELD_ACCOUNT | HELD_OPERATOR);
	assert_true(l.expires[0].ms == m->expires.ms);
	assert_string_equal(l.a[0].domain, "d0.example");
	assert_true(bed_figures(b).held == 1);
	assert_true(bed_figures(b).deferred == 0);
	/* a running attempt may end meanwhile; retry has no effect */
	assert_true(bed_change_one(b, CHANGE_DEFER, m, 1, later));
	assert_true(bed_change_one(b, CHANGE_RETRY, m, 1, later));
	assert_int_equal(held_rows(b).n, 1);
	change_held(b, CHANGE_RELEASE, m, HELD_ACCOUNT);
	assert_int_equal(held_rows(b).held_by[0], HELD_OPERATOR);
	bed_drain(b);
	bed_forget_arrivals(b);
	change_held(b, CHANGE_RELEASE, m, HELD_OPERATOR);
	bed_drain(b);
	assert_int_equal(held_rows(b).n, 0);
	l = due_rows(b);
	assert_int_equal(l.n, 1);
	assert_true(l.a[0].due.ms < later.ms); /* that time is forgotten */
	r = recipient(b, m, 1, a);
	assert_int_equal(r.state, ENVELOPE_DEFERRED);
	assert_int_equal(r.held_by, 0);
	/* it has become due at once: that is an arrival */
	assert_int_equal(b->arrival_batches, 1);
	assert_true(b->arrivals[0]->v[0].due.ms == l.a[0].due.ms);
	arena_free(a);
	message_free(m);
}

static void
move_and_retry_change_the_time_only(void **state)
{
	struct bed	    *b = *state;
	struct message	    *m = bed_message(1, 100, 0);
	struct arena	    *a = arena_new(65536);
	struct wall	     later = { m->accepted.ms + 3600000 };
	struct recipient_row r;

	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	bed_drain(b);
	bed_forget_arrivals(b);
	assert_true(bed_change_one(b, CHANGE_MOVE, m, 1, later));
	bed_drain(b);
	r = recipient(b, m, 1, a);
	assert_int_equal(r.state, ENVELOPE_READY);
	assert_int_equal(r.attempts, 0);
	assert_true(due_rows(b).a[0].due.ms == later.ms);
	assert_int_equal(b->arrival_batches, 0);
	assert_true(bed_change_one(b, CHANGE_RETRY, m, 1, later));
	bed_drain(b);
	assert_true(due_rows(b).a[0].due.ms < later.ms);
	assert_int_equal(due_rows(b).n, 1);
	assert_int_equal(b->arrival_batches, 1);
	arena_free(a);
	message_free(m);
}

static void
the_last_envelope_takes_the_content(void **state)
{
	struct bed	    *b = *state;
	struct message	    *m = bed_message(3, 20000, 0);
	struct event	     ev = { .type = EVENT_DELIVERY };
	struct change_item   items[3];
	struct spool_figures f;
	struct arena	    *a = arena_new(65536);
	struct mail_row	     r;
	struct err	     e;
	unsigned	     i;

	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	memset(items, 0, sizeof(items));
	for (i = 0; i < 3; i++) {
		items[i].kind = CHANGE_DONE;
		items[i].id = m->id;
		items[i].n = i + 1;
		items[i].event = &ev;
	}
	assert_int_equal(bed_change(b, items, 1), RECEIPT_OK);
	f = bed_figures(b);
	assert_true(f.messages == 1 && f.recipients == 2);
	assert_int_equal(bed_rows(b, SPOOL_CHUNK), 1 + 5);
	/* the first one again: not there, and no second event */
	assert_int_equal(bed_change(b, items, 2), RECEIPT_OK);
	assert_false(items[0].found);
	assert_true(items[1].found);
	assert_true(bed_figures(b).messages == 1);
	assert_int_equal(bed_rows(b, SPOOL_CHUNK), 1 + 5);
	assert_int_equal(bed_change(b, items + 2, 1), RECEIPT_OK);
	assert_true(items[2].found);
	assert_int_equal(events_after(b, 0).n, 4);
	f = bed_figures(b);
	assert_true(f.messages == 0 && f.recipients == 0 && f.bytes == 0);
	assert_int_equal(bed_rows(b, SPOOL_CHUNK), 0);
	assert_int_equal(bed_rows(b, SPOOL_MESSAGE), 0);
	assert_int_equal(bed_rows(b, SPOOL_RECIPIENT), 0);
	assert_int_equal(bed_rows(b, SPOOL_DUE), 0);
	/* its record stays */
	assert_int_equal(spool_read_mail(b->spool, &m->id, a, &r, &e), 1);
	assert_text(r.subject, "Hello  there");
	arena_free(a);
	message_free(m);
}

static void
held_ones_settle_too(void **state)
{
	struct bed     *b = *state;
	struct message *m = bed_message(1, 100, 0);

	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	change_held(b, CHANGE_HOLD, m, HELD_CONFIG_SET);
	assert_true(bed_change_one(b, CHANGE_DONE, m, 1, m->accepted));
	assert_int_equal(bed_rows(b, SPOOL_HELD), 0);
	assert_true(bed_figures(b).held == 0);
	assert_true(bed_figures(b).messages == 0);
	message_free(m);
}

static void
events_without_envelope(void **state)
{
	struct bed	  *b = *state;
	struct event	   ev = { .type = EVENT_COMPLAINT };
	struct change_item item;

	memset(&item, 0, sizeof(item));
	item.kind = CHANGE_EVENT;
	item.event = &ev;
	bed_start(b);
	assert_int_equal(bed_change(b, &item, 1), RECEIPT_OK);
	assert_int_equal(events_after(b, 0).type[0], EVENT_COMPLAINT);
	item.kind = CHANGE_DONE;
	assert_int_equal(bed_change(b, &item, 1), RECEIPT_OK);
	assert_false(item.found);
	assert_int_equal(events_after(b, 0).n, 1);
}

/* -- events and cursors -------------------------------------------------- */

static void
sequences_go_on_after_a_restart(void **state)
{
	struct bed	 *b = *state;
	struct event_list l;
	struct wall	  before;
	unsigned	  i;

	bed_start(b);
	for (i = 0; i < 5; i++)
		bed_put(b, 1, 10, 0);
	bed_stop(b);
	bed_start(b);
	before = clock_wall();
	for (i = 0; i < 5; i++)
		bed_put(b, 1, 10, 0);
	l = events_after(b, 0);
	assert_int_equal(l.n, 10);
	for (i = 0; i < 10; i++)
		assert_int_equal(l.sequence[i], i + 1);
	for (i = 1; i < 10; i++)
		assert_memory_not_equal(&l.id[0], &l.id[i], sizeof(l.id[0]));
	l = events_after(b, 7);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.sequence[0], 8);
	assert_true(spool_first_event_since(b->spool, (struct wall){ 0 }) ==
	    1);
	assert_true(spool_first_event_since(b->spool, before) <= 6);
	assert_true(spool_first_event_since(b->spool,
	    (struct wall){ before.ms + 3600000 }) == 11);
}

static void
cursors_move_with_their_transaction(void **state)
{
	struct bed	 *b = *state;
	struct message	 *m = bed_message(1, 10, 0);
	struct submission s;
	struct change	  c;

	bed_start(b);
	assert_true(spool_cursor(b->spool, "notices") == 0);
	memset(&s, 0, sizeof(s));
	s.cursor = "notices";
	s.cursor_to = 17;
	bed_lend(b, &s, m);
	bed_wait(b);
	assert_true(spool_cursor(b->spool, "notices") == 17);
	memset(&c, 0, sizeof(c));
	c.from = b->asker;
	c.on_receipt = bed_on_receipt;
	c.ctx = b;
	c.cursor = "file-1";
	c.cursor_to = 3;
	b->waiting++;
	assert_true(spool_change(b->spool, &c));
	bed_wait(b);
	assert_int_equal(c.result, RECEIPT_OK);
	assert_true(spool_cursor(b->spool, "file-1") == 3);
	assert_int_equal(spool_move_cursor(b->spool, "file-1", 4), 0);
	bed_stop(b);
	bed_start(b);
	assert_true(spool_cursor(b->spool, "file-1") == 4);
	assert_true(spool_cursor(b->spool, "notices") == 17);
	message_free(m);
}

/* -- walks --------------------------------------------------------------- */

struct count {
	size_t	     n, enough;
	struct msgid last;
	unsigned     last_n;
	struct due_key key;
};

static bool
count_recipient(void *arg, const struct recipient_row *r)
{
	struct count *c = arg;
	int	      order = msgid_cmp(&c->last, &r->id);

	assert_true(c->n == 0 || order < 0 || (order == 0 &&
	    r->n > c->last_n));
	c->last = r->id;
	c->last_n = r->n;
	return ++c->n != c->enough;
}

static bool
count_due(void *arg, const struct arrival *a)
{
	struct count *c = arg;

	assert_true(a->due.ms >= c->key.due.ms);
	c->key = (struct due_key){ a->due, a->id, a->n };
	return ++c->n != c->enough;
}

/* Windows hold 256 rows. */
static void
walks_cross_windows(void **state)
{
	struct bed  *b = *state;
	struct count c;
	struct msgid first;
	struct err   e;

	bed_start(b);
	first = bed_put(b, 400, 10, 1700000000000);
	bed_put(b, 200, 10, 1700000000500);
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_recipients(b->spool, NULL, 0, 1000,
	    count_recipient, &c, &e), 600);
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_recipients(b->spool, &first, 391, 1000,
	    count_recipient, &c, &e), 210);
	memset(&c, 0, sizeof(c));
	c.enough = 300;
	assert_int_equal(spool_scan_recipients(b->spool, NULL, 0, 1000,
	    count_recipient, &c, &e), 300);
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_due(b->spool, NULL,
	    (struct wall){ 1700000000499 }, 1000, count_due, &c, &e), 400);
	assert_int_equal(spool_scan_due(b->spool, &c.key,
	    (struct wall){ INT64_MAX }, 150, count_due, &c, &e), 150);
	assert_int_equal(spool_scan_due(b->spool, &c.key,
	    (struct wall){ INT64_MAX }, 1000, count_due, &c, &e), 50);
	assert_int_equal(c.n, 600);
	assert_int_equal(spool_scan_due(b->spool, &c.key,
	    (struct wall){ INT64_MAX }, 1000, count_due, &c, &e), 0);
}

static bool
count_mail(void *arg, const struct mail_row *m)
{
	struct count *c = arg;

	assert_true(c->n == 0 || msgid_cmp(&c->last, &m->id) < 0);
	assert_true(m->recipient_count == 1 || m->recipient_count == 400);
	assert_int_equal(m->snapshot.n, 0);
	c->last = m->id;
	return ++c->n != c->enough;
}

/* A record of many recipients lies in several rows, and is shown as one. */
static void
walk_over_records(void **state)
{
	struct bed  *b = *state;
	struct count c;
	struct msgid first;
	struct err   e;
	int	     i;

	bed_start(b);
	assert_int_equal(spool_scan_mail(b->spool, NULL, 10, count_mail, &c,
	    &e), 0);
	first = bed_put(b, 400, 10, 1700000000000);
	for (i = 0; i < 300; i++) {
		bed_put(b, 1, 10, 1700000000001 + i);
		bed_forget_arrivals(b);
	}
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_mail(b->spool, NULL, SIZE_MAX, count_mail,
	    &c, &e), 301);
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_mail(b->spool, &first, 1000, count_mail,
	    &c, &e), 300);
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_mail(b->spool, NULL, 7, count_mail, &c,
	    &e), 7);
	first = c.last;
	memset(&c, 0, sizeof(c));
	c.enough = 3;
	assert_int_equal(spool_scan_mail(b->spool, &first, 1000, count_mail,
	    &c, &e), 3);
	assert_true(msgid_cmp(&first, &c.last) < 0);
}

/* -- crash --------------------------------------------------------------- */

/* In the child: answered messages, then death without any farewell. */
static void
crash_child(struct bed *b)
{
	struct message *m = bed_message(1, 100000, 0);
	struct stage	st;
	unsigned	i;

	bed_start(b);
	for (i = 0; i < 100; i++) {
		bed_put(b, 1, 2000, 0);
		bed_forget_arrivals(b);
	}
	memset(&st, 0, sizeof(st));
	st.from = b->asker;
	st.on_receipt = bed_on_receipt;
	st.ctx = b;
	st.chunks = message_take_full(m);
	b->waiting++;
	if (!spool_stage(b->spool, &st))
		_exit(1);
	bed_wait(b);
	_exit(st.result == RECEIPT_OK && b->waiting == 0 ? 9 : 1);
}

/* delivery#23 in part, quotas#7 in part: kill -9 loses nothing answered */
static void
a_crash_loses_nothing(void **state)
{
	struct bed	    *b = *state;
	struct count	     c;
	struct spool_figures f;
	struct err	     e;
	pid_t		     child = fork();
	int		     status;

	assert_true(child >= 0);
	if (child == 0)
		crash_child(b);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 9);
	bed_start(b);
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_due(b->spool, NULL, clock_wall(), 1000,
	    count_due, &c, &e), 100);
	f = bed_figures(b);
	assert_true(f.messages == 100 && f.recipients == 100);
	/* what was staged and never submitted is swept */
	assert_int_equal(bed_rows(b, SPOOL_STAGING), 0);
	bed_passes(b, 3);
	assert_int_equal(bed_rows(b, SPOOL_SWEPT), 0);
	assert_int_equal(bed_rows(b, SPOOL_CHUNK), 200);
	assert_int_equal(events_after(b, 90).n, 10);
}

static void
a_backup_can_be_opened(void **state)
{
	struct bed *b = *state;
	char	    copy[128], path[160];
	struct err  e;
	int	    fd;

	bed_start(b);
	bed_put(b, 2, 5000, 0);
	snprintf(copy, sizeof(copy), "%s/spool2", b->dir);
	assert_int_equal(mkdir(copy, 0700), 0);
	snprintf(path, sizeof(path), "%s/data.mdb", copy);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_equal(spool_backup(b->spool, fd, &e), 0);
	assert_int_equal(close(fd), 0);
	bed_stop(b);
	snprintf(path, sizeof(path), "%s/spool/data.mdb", b->dir);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/spool/lock.mdb", b->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/spool/redo", b->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/spool", b->dir);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(copy, path), 0);
	bed_start(b);
	assert_true(bed_figures(b).recipients == 2);
}

int
main(void)
{
#define test(f) cmocka_unit_test_setup_teardown(f, bed_make, bed_remove)
	static const struct CMUnitTest tests[] = {
		test(a_message_is_laid_down),
		test(busy_store_tells_in_windows),
		test(mail_of_posthorn_makes_no_event),
		test(content_is_read_from_any_offset),
		test(a_batch_is_one_commit),
		test(a_long_queue_takes_several_commits),
		test(defer_keeps_what_the_attempt_left),
		test(holds_add_up),
		test(move_and_retry_change_the_time_only),
		test(the_last_envelope_takes_the_content),
		test(held_ones_settle_too),
		test(events_without_envelope),
		test(sequences_go_on_after_a_restart),
		test(cursors_move_with_their_transaction),
		test(walks_cross_windows),
		test(walk_over_records),
		test(a_crash_loses_nothing),
		test(a_backup_can_be_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
