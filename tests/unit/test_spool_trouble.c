/* SPDX-License-Identifier: ISC */
/* Faults, full stores, staging, counters and the sweep. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/log.h"
#include "spool_bed.h"

static const int64_t minute0 = 29000000;

static void
line_away(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static int
quiet_bed(void **state)
{
	log_capture(line_away, NULL);
	return bed_make(state);
}

/* -- staging ------------------------------------------------------------- */

/* Hands in what is full; the receipt's result. */
static enum receipt_result
stage_full(struct bed *b, struct message *m)
{
	struct stage st;
	uint64_t     octets = m->body_octets;

	memset(&st, 0, sizeof(st));
	st.from = b->asker;
	st.on_receipt = bed_on_receipt;
	st.ctx = b;
	st.content = m->content;
	st.offset = m->body_staged;
	st.chunks = message_take_full(m);
	assert_non_null(st.chunks);
	b->waiting++;
	assert_true(spool_stage(b->spool, &st));
	bed_wait(b);
	if (st.result == RECEIPT_OK) {
		m->content = st.content;
		m->body_staged = octets - octets % CHUNK_OCTETS;
	}
	return st.result;
}

static void
assert_content(struct bed *b, const struct message *m)
{
	struct arena	  *a = arena_new(65536);
	struct message_row r;
	struct err	   e;
	char		   buf[30000];
	uint64_t	   at;
	ptrdiff_t	   n, k;

	assert_int_equal(spool_read_message(b->spool, &m->id, a, &r, &e), 1);
	for (at = 0; (n = spool_read_content(b->spool, &r, at, buf,
	    sizeof(buf), &e)) > 0; at += (uint64_t)n)
		for (k = 0; k < n; k++)
			assert_true(buf[k] == (at + (uint64_t)k < BED_HEAD ?
			    'H' : bed_octet(at + (uint64_t)k - BED_HEAD)));
	assert_int_equal(n, 0);
	assert_true(at == message_octets(m));
	arena_free(a);
}

static void
staged_content_is_one_with_the_rest(void **state)
{
	struct bed	*b = *state;
	struct message	*m = bed_message(1, 300000, 0);
	struct message	*other = bed_message(1, 300000, 0);

	bed_start(b);
	assert_int_equal(stage_full(b, m), RECEIPT_OK);
	assert_int_equal(stage_full(b, other), RECEIPT_OK);
	assert_int_not_equal(m->content, other->content);
	bed_put(b, 1, 5000, 0); /* in between */
	bed_fill_body(m, 200000);
	assert_int_equal(stage_full(b, m), RECEIPT_OK);
	assert_int_equal(bed_rows(b, SPOOL_STAGING), 2);
	bed_fill_body(m, 77);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	assert_int_equal(bed_submit(b, other), RECEIPT_OK);
	assert_int_equal(bed_rows(b, SPOOL_STAGING), 0);
	assert_content(b, m);
	assert_content(b, other);
	message_free(m);
	message_free(other);
}

static void
a_discard_takes_it_back(void **state)
{
	struct bed     *b = *state;
	struct message *m = bed_message(1, 300000, 0);

	bed_start(b);
	assert_int_equal(stage_full(b, m), RECEIPT_OK);
	assert_int_equal(bed_rows(b, SPOOL_CHUNK), 64);
	spool_discard(b->spool, m->content);
	spool_discard(b->spool, m->content); /* twice does no harm */
	spool_discard(b->spool, 0);
	bed_passes(b, 1);
	assert_int_equal(bed_rows(b, SPOOL_STAGING), 0);
	assert_int_equal(bed_rows(b, SPOOL_CHUNK), 0);
	message_free(m);
}

/* More than 256 pieces go little by little. */
static void
a_big_content_goes_by_the_sweep(void **state)
{
	struct bed     *b = *state;
	struct message *m = bed_message(1, 5000000, 0);
	uint64_t	rows, before;
	unsigned	passes = 0;

	bed_start(b);
	assert_int_equal(stage_full(b, m), RECEIPT_OK);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	rows = bed_rows(b, SPOOL_CHUNK);
	assert_int_equal(rows, 1 + 1226);
	assert_true(bed_change_one(b, CHANGE_DONE, m, 1, m->accepted));
	assert_true(bed_figures(b).messages == 0);
	for (before = rows; (rows = bed_rows(b, SPOOL_CHUNK)) > 0;
	    before = rows) {
		assert_true(before - rows <= 2000);
		bed_passes(b, 1);
		assert_true(++passes < 10);
	}
	bed_passes(b, 2);
	assert_int_equal(bed_rows(b, SPOOL_SWEPT), 0);
	message_free(m);
}

/* -- full ---------------------------------------------------------------- */

/* From the high-water mark on mail is refused; settling always has room. */
static void
a_full_map_refuses_and_recovers(void **state)
{
	struct bed	   *b = *state;
	struct message	   *m;
	struct msgid	    ids[400];
	struct change_item  item;
	enum receipt_result r = RECEIPT_OK;
	unsigned	    n = 0, round;

	b->setup.map_bytes = 2 << 20;
	bed_start(b);
	assert_int_equal(spool_has_room(b->spool, 10000), RECEIPT_OK);
	assert_int_equal(spool_has_room(b->spool, 1 << 20), RECEIPT_OK);
	assert_int_equal(spool_has_room(b->spool, 2 << 20), RECEIPT_FULL);
	for (round = 0; round < 3; round++) {
		for (n = 0; n < 400; n++) {
			m = bed_message(1, 10240, 0);
			ids[n] = m->id;
			r = bed_submit(b, m);
			message_free(m);
			if (r != RECEIPT_OK)
				break;
			bed_forget_arrivals(b);
		}
		assert_int_equal(r, RECEIPT_FULL);
		assert_in_range(n, round == 0 ? 50 : 20, 150);
		assert_int_equal(spool_has_room(b->spool, 40000),
		    RECEIPT_FULL);
		while (n-- > 0) {
			memset(&item, 0, sizeof(item));
			item.kind = CHANGE_DONE;
			item.id = ids[n];
			item.n = 1;
			assert_int_equal(bed_change(b, &item, 1), RECEIPT_OK);
			assert_true(item.found);
		}
		assert_true(bed_figures(b).messages == 0);
		bed_forget_arrivals(b);
	}
	assert_int_equal(b->downs, 0);
}

/* One that does not fit does not harm its neighbours. */
static void
a_lost_batch_is_tried_one_by_one(void **state)
{
	struct bed	 *b = *state;
	struct submission s[5];
	struct change	  c;
	unsigned	  i;

	memset(s, 0, sizeof(s));
	memset(&c, 0, sizeof(c));
	bed_open(b);
	for (i = 0; i < 5; i++)
		bed_lend(b, &s[i], bed_message(1, 2000, 0));
	c.from = b->asker;
	c.on_receipt = bed_on_receipt;
	c.ctx = b;
	b->waiting++;
	assert_true(spool_change(b->spool, &c));
	/* in the midst of the third: two have their rows by then */
	db_fail_next(b->spool->db, DB_FAIL_PUT, 20, 1, ENOSPC);
	bed_start(b);
	bed_wait(b);
	assert_int_equal(c.result, RECEIPT_OK);
	for (i = 0; i < 5; i++) {
		assert_int_equal(s[i].result, RECEIPT_OK);
		message_free(s[i].message);
	}
	assert_true(bed_figures(b).messages == 5);
	assert_int_equal(bed_rows(b, SPOOL_DUE), 5);
	bed_drain(b);
	for (i = 0; b->arrival_batches > 0; bed_forget_arrivals(b))
		while (b->arrival_batches > 0) {
			b->arrival_batches--;
			i += (unsigned)b->arrivals[b->arrival_batches]->count;
			mem_free(b->arrivals[b->arrival_batches]);
		}
	assert_int_equal(i, 5); /* none told twice */
	assert_int_equal(b->downs, 0);
}

static void
without_space_a_batch_is_refused(void **state)
{
	struct bed	 *b = *state;
	struct submission s[6];
	unsigned	  i;

	memset(s, 0, sizeof(s));
	bed_open(b);
	for (i = 0; i < 6; i++)
		bed_lend(b, &s[i], bed_message(1, 2000, 0));
	db_fail_next(b->spool->db, DB_FAIL_COMMIT, 0, 4, ENOSPC);
	bed_start(b);
	bed_wait(b);
	for (i = 0; i < 6; i++) {
		/* after three in a row the rest is not tried */
		assert_int_equal(s[i].result, RECEIPT_FULL);
		message_free(s[i].message);
	}
	assert_true(bed_figures(b).messages == 0);
	assert_int_equal(bed_rows(b, SPOOL_MAIL), 0);
	bed_put(b, 1, 2000, 0); /* the store is up */
	assert_int_equal(b->downs, 0);
}

/* A change without space waits, and gets through when there is some. */
static void
changes_wait_for_space(void **state)
{
	struct bed	  *b = *state;
	struct message	  *m = bed_message(1, 2000, 0);
	struct change_item item;
	struct change	   c;

	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	bed_stop(b);
	bed_open(b);
	memset(&c, 0, sizeof(c));
	memset(&item, 0, sizeof(item));
	item.kind = CHANGE_DONE;
	item.id = m->id;
	item.n = 1;
	c.from = b->asker;
	c.on_receipt = bed_on_receipt;
	c.ctx = b;
	c.items = &item;
	c.count = 1;
	b->waiting++;
	assert_true(spool_change(b->spool, &c));
	assert_int_equal(spool_move_cursor(b->spool, "r", 5), 0);
	/* with the cursor, alone, and then it would go well */
	db_fail_next(b->spool->db, DB_FAIL_COMMIT, 0, 2, ENOSPC);
	bed_start(b);
	spool_stop(b->spool); /* does not wait for the timer */
	bed_wait(b);
	assert_int_equal(c.result, RECEIPT_OK);
	assert_true(item.found);
	assert_true(bed_figures(b).messages == 0);
	assert_true(spool_cursor(b->spool, "r") == 5);
	assert_int_equal(b->downs, 0);
	message_free(m);
}

/* Any other error of a commit: no promise is given any more. */
static void
a_broken_store_goes_down(void **state)
{
	struct bed	 *b = *state;
	struct message	 *m = bed_message(1, 2000, 0);
	struct message	 *big = bed_message(1, 100000, 0);
	struct submission s[2];
	struct change	  c;
	struct stage	  st;

	bed_open(b);
	bed_start(b);
	bed_put(b, 1, 100, 0);
	bed_stop(b);
	bed_open(b);
	memset(s, 0, sizeof(s));
	memset(&c, 0, sizeof(c));
	memset(&st, 0, sizeof(st));
	bed_lend(b, &s[0], m);
	st.from = c.from = b->asker;
	st.on_receipt = c.on_receipt = bed_on_receipt;
	st.ctx = c.ctx = b;
	st.chunks = message_take_full(big);
	b->waiting += 2;
	assert_true(spool_change(b->spool, &c));
	assert_true(spool_stage(b->spool, &st));
	db_fail_next(b->spool->db, DB_FAIL_COMMIT, 0, 1, EIO);
	bed_start(b);
	bed_wait(b);
	assert_int_equal(s[0].result, RECEIPT_DOWN);
	assert_int_equal(c.result, RECEIPT_DOWN);
	assert_int_equal(st.result, RECEIPT_DOWN);
	bed_lend(b, &s[1], m);
	bed_wait(b);
	assert_int_equal(s[1].result, RECEIPT_DOWN);
	bed_drain(b);
	assert_int_equal(b->downs, 1);
	assert_int_equal(spool_has_room(b->spool, 1), RECEIPT_DOWN);
	bed_stop(b);
	/* what had been promised is there, and nothing else */
	b->downs = 0;
	bed_start(b);
	assert_true(bed_figures(b).messages == 1);
	assert_int_equal(bed_rows(b, SPOOL_STAGING), 0);
	message_free(m);
	message_free(big);
}

static void
a_full_queue_is_busy(void **state)
{
	struct bed     *b = *state;
	struct message *m = bed_message(1, 10, 0);

	b->setup.messages_max = 2;
	bed_start(b);
	bed_put(b, 1, 10, 0);
	assert_int_equal(spool_has_room(b->spool, 10), RECEIPT_OK);
	bed_put(b, 1, 10, 0);
	assert_int_equal(spool_has_room(b->spool, 10), RECEIPT_BUSY);
	assert_int_equal(bed_submit(b, m), RECEIPT_BUSY);
	b->setup.min_free = 0;
	b->setup.messages_max = 3;
	spool_retune(b->spool, &b->setup);
	assert_int_equal(spool_has_room(b->spool, 10), RECEIPT_OK);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	message_free(m);
}

static void
min_free_holds_for_the_disk(void **state)
{
	struct bed     *b = *state;
	struct message *m = bed_message(1, 10, 0);

	b->setup.min_free = UINT64_MAX;
	bed_start(b);
	assert_int_equal(spool_has_room(b->spool, 1), RECEIPT_FULL);
	assert_int_equal(bed_submit(b, m), RECEIPT_FULL);
	assert_int_equal(bed_change(b, NULL, 0), RECEIPT_OK);
	message_free(m);
}

/* -- feeds --------------------------------------------------------------- */

static void
missed_arrivals_are_told(void **state)
{
	struct bed     *b = *state;
	struct loop    *small;
	struct err	e;

	small = loop_new("small", 1, &e);
	assert_non_null(small);
	assert_true(loop_reserve(small)); /* no place is left */
	b->spool = spool_open(&b->setup, &e);
	assert_non_null(b->spool);
	spool_on_arrivals(b->spool, small, bed_on_arrivals, b);
	bed_start(b);
	assert_false(spool_took_missed(b->spool));
	bed_put(b, 1, 10, 0);
	bed_passes(b, 1);
	assert_true(spool_took_missed(b->spool));
	assert_false(spool_took_missed(b->spool));
	assert_int_equal(bed_rows(b, SPOOL_DUE), 1);
	bed_stop(b);
	loop_free(small);
}

static void
a_full_feed_takes_nothing(void **state)
{
	struct bed	 *b = *state;
	struct message	 *m = bed_message(1, 10, 0);
	struct loop	 *small;
	struct submission s;
	struct err	  e;

	small = loop_new("small", 1, &e);
	assert_non_null(small);
	memset(&s, 0, sizeof(s));
	s.from = small;
	s.on_receipt = bed_on_receipt;
	s.ctx = b;
	s.message = m;
	bed_start(b);
	assert_true(loop_reserve(small));
	assert_false(spool_submit(b->spool, &s));
	loop_unreserve(small);
	spool_stop(b->spool);
	assert_false(spool_submit(b->spool, &s)); /* nor after the end */
	assert_int_equal(spool_move_cursor(b->spool, "x", 1), -1);
	loop_free(small);
	message_free(m);
}

/* -- admit and counters -------------------------------------------------- */

struct asked {
	int	 answer; /* of admit() */
	int64_t	 minute, add;
	int64_t	 sum; /* before */
	unsigned undone, calls;
};

static int
admit(struct submission *s, struct spool_txn *t)
{
	struct asked *a = s->admit_ctx;
	struct err    e;

	a->calls++;
	if (spool_counter_sum(t, BYTES("a:1"), a->minute - 1440, a->minute,
		&a->sum, &e) < 0)
		return -1;
	if (a->answer == 0 && spool_counter_add(t, BYTES("a:1"), a->minute,
		a->add, &e) < 0)
		return -1;
	return a->answer;
}

static void
undo(struct submission *s)
{
	struct asked *a = s->admit_ctx;

	a->undone++;
}

static enum receipt_result
ask(struct bed *b, struct asked *a)
{
	struct submission s;
	struct message	 *m = bed_message(1, 10, 0);

	memset(&s, 0, sizeof(s));
	s.admit = admit;
	s.undo = undo;
	s.admit_ctx = a;
	bed_lend(b, &s, m);
	bed_wait(b);
	if (s.result == RECEIPT_REFUSED)
		assert_int_equal(s.refused_by, a->answer);
	message_free(m);
	bed_forget_arrivals(b);
	return s.result;
}

static int64_t
counted(struct bed *b, int64_t from, int64_t to)
{
	int64_t	   sum;
	struct err e;

	assert_int_equal(spool_counter_read(b->spool, BYTES("a:1"), from, to,
	    &sum, &e), 0);
	return sum;
}

static int64_t
window(struct bed *b, int64_t now)
{
	int64_t	   sum;
	struct err e;

	assert_int_equal(spool_counter_window(b->spool, BYTES("a:1"), now,
	    1441, &sum, &e), 0);
	return sum;
}

static void
a_refusal_harms_nobody_else(void **state)
{
	struct bed	 *b = *state;
	struct asked	  a[3] = { { 0, minute0, 1, 0, 0, 0 },
		     { 7, minute0, 1, 0, 0, 0 },
		     { -1, minute0, 1, 0, 0, 0 } };
	struct submission s[3];
	unsigned	  i;

	memset(s, 0, sizeof(s));
	bed_open(b);
	for (i = 0; i < 3; i++) {
		s[i].admit = admit;
		s[i].undo = undo;
		s[i].admit_ctx = &a[i];
		bed_lend(b, &s[i], bed_message(1, 10, 0));
	}
	bed_start(b);
	bed_wait(b);
	assert_int_equal(s[0].result, RECEIPT_OK);
	assert_int_equal(s[1].result, RECEIPT_REFUSED);
	assert_int_equal(s[1].refused_by, 7);
	assert_int_equal(s[2].result, RECEIPT_DOWN);
	assert_true(counted(b, 0, INT64_MAX) == 1);
	assert_true(bed_figures(b).messages == 1);
	assert_int_equal(b->downs, 0);
	for (i = 0; i < 3; i++)
		message_free(s[i].message);
}

static void
sums_follow_the_window(void **state)
{
	struct bed  *b = *state;
	struct asked a = { 0, minute0, 5, 0, 0, 0 };

	bed_start(b);
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	assert_true(a.sum == 0);
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	assert_true(a.sum == 5);
	a.minute = minute0 + 700;
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	assert_true(a.sum == 10);
	assert_true(counted(b, minute0, minute0) == 10);
	assert_true(counted(b, minute0 + 1, minute0 + 699) == 0);
	assert_true(counted(b, 0, INT64_MAX) == 15);
	assert_true(window(b, minute0) == 15); /* newest counts, not now */
	assert_true(window(b, minute0 + 1440) == 15);
	assert_true(window(b, minute0 + 1441) == 5);
	assert_true(window(b, minute0 + 2140) == 5);
	assert_true(window(b, minute0 + 2141) == 0);
	a.minute = minute0 + 1440;
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	assert_true(a.sum == 15);
	a.minute = minute0 + 1441;
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	assert_true(a.sum == 10);
	/* the same after a restart: nothing lives in memory alone */
	bed_stop(b);
	bed_start(b);
	a.minute = minute0 + 1442;
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	assert_true(a.sum == 15);
	assert_true(window(b, minute0 + 1442) == 20);
	/* an older window than the one kept is counted from its buckets */
	assert_true(counted(b, minute0, minute0 + 699) == 10);
}

static void
a_lost_transaction_counts_nothing(void **state)
{
	struct bed  *b = *state;
	struct asked a = { 0, minute0, 5, 0, 0, 0 };

	bed_start(b);
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	db_fail_next(b->spool->db, DB_FAIL_COMMIT, 0, 2, ENOSPC);
	a.minute = minute0 + 3;
	assert_int_equal(ask(b, &a), RECEIPT_FULL);
	assert_int_equal(a.undone, 2);
	a.minute = minute0 + 2;
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	assert_true(a.sum == 5);
	assert_true(counted(b, 0, INT64_MAX) == 10);
	assert_true(window(b, minute0 + 2) == 10);
}

/* -- the sweep ----------------------------------------------------------- */

struct told {
	unsigned	count;
	struct msgid	of[8];
	enum event_type type[8];
};

static bool
told_add(void *arg, unsigned n, const struct event *ev)
{
	struct told *t = arg;

	(void)n;
	assert_true(t->count < 8);
	t->of[t->count] = ev->message;
	t->type[t->count++] = ev->type;
	return true;
}

static struct told
bed_history(struct bed *b, const struct msgid *from)
{
	struct told t = { 0, { { { 0 } } }, { EVENT_SEND } };
	struct err  e;

	if (spool_scan_history(b->spool, from, 0, 100, told_add, &t, &e) < 0)
		fail_msg("%s", e.text);
	return t;
}

static void
bed_settle(struct bed *b, const struct msgid *id, unsigned n)
{
	struct event_recipient r = { .address = BYTES("a@x.example") };
	struct event	       ev = { .type = EVENT_DELIVERY, .message = *id,
		.at = clock_wall(), .recipients = &r, .recipient_count = 1 };
	struct change_item     item = { .kind = CHANGE_DONE, .id = *id, .n = n,
		.event = &ev };

	assert_int_equal(bed_change(b, &item, 1), RECEIPT_OK);
	assert_true(item.found);
}

static void
old_rows_go(void **state)
{
	struct bed     *b = *state;
	int64_t		now = clock_wall().ms, day = 86400000;
	struct msgid	old, queued, fresh;
	struct arena   *a = arena_new(1 << 20);
	struct mail_row r;
	struct message	m;
	struct err	e;

	b->setup.index_keep_ms = 10 * day;
	bed_start(b);
	memset(&m, 0, sizeof(m));
	old = bed_put(b, 1, 10, now - 11 * day);
	queued = bed_put(b, 1, 10, now - 11 * day + 1);
	fresh = bed_put(b, 1, 10, now - 2 * day);
	m.id = old;
	assert_true(bed_change_one(b, CHANGE_DONE, &m, 1, (struct wall){ 0 }));
	bed_settle(b, &fresh, 1);
	spool_sweep(b->spool);
	bed_passes(b, 10);
	assert_int_equal(spool_read_mail(b->spool, &old, a, &r, &e), 0);
	/* what is in the queue keeps all of its rows */
	assert_int_equal(spool_read_mail(b->spool, &queued, a, &r, &e), 1);
	assert_true(r.snapshot.n > 0);
	/* older than the tail, but its Delivery is young and shows them */
	assert_int_equal(spool_read_mail(b->spool, &fresh, a, &r, &e), 1);
	assert_true(r.snapshot.n > 0);
	assert_int_equal(bed_rows(b, SPOOL_EVENT), 4);
	/* once it has left the tail, headers go and the record stays */
	b->setup.index_keep_ms = 10 * day;
	b->setup.tail_keep_ms = -1;
	spool_retune(b->spool, &b->setup);
	spool_sweep(b->spool);
	bed_passes(b, 10);
	assert_int_equal(bed_rows(b, SPOOL_EVENT), 0);
	spool_sweep(b->spool);
	bed_passes(b, 10);
	assert_int_equal(spool_read_mail(b->spool, &fresh, a, &r, &e), 1);
	assert_int_equal(r.snapshot.n, 0);
	assert_int_equal(spool_read_mail(b->spool, &queued, a, &r, &e), 1);
	assert_true(r.snapshot.n > 0);
	arena_free(a);
}

static void
events_wait_for_their_readers(void **state)
{
	struct bed *b = *state;
	unsigned    i;

	b->setup.tail_keep_ms = -1; /* all are old enough */
	bed_start(b);
	for (i = 0; i < 4; i++)
		bed_put(b, 1, 10, 0);
	assert_int_equal(spool_move_cursor(b->spool, "file", 3), 0);
	assert_int_equal(spool_move_cursor(b->spool, "hook", 2), 0);
	bed_passes(b, 1);
	spool_sweep(b->spool);
	bed_passes(b, 10);
	assert_int_equal(bed_rows(b, SPOOL_EVENT), 2);
	assert_int_equal(spool_move_cursor(b->spool, "hook", 4), 0);
	spool_sweep(b->spool);
	bed_passes(b, 10);
	assert_int_equal(bed_rows(b, SPOOL_EVENT), 1);
	/* the sequence goes on even when all rows have gone */
	assert_int_equal(spool_move_cursor(b->spool, "file", 4), 0);
	spool_sweep(b->spool);
	bed_passes(b, 10);
	assert_int_equal(bed_rows(b, SPOOL_EVENT), 0);
	bed_stop(b);
	bed_start(b);
	bed_put(b, 1, 10, 0);
	assert_true(spool_first_event_since(b->spool, (struct wall){ 0 }) ==
	    5);
}

/* events.tail_keep is over, feedback.index_days are not: trace goes on. */
static void
what_became_of_a_message_outlives_its_events(void **state)
{
	struct bed  *b = *state;
	int64_t	     now = clock_wall().ms, day = 86400000;
	struct msgid one, two, old;
	struct told  t;

	b->setup.tail_keep_ms = -1;
	b->setup.index_keep_ms = 10 * day;
	bed_start(b);
	old = bed_put(b, 1, 10, now - 11 * day);
	one = bed_put(b, 2, 10, now - 1000);
	two = bed_put(b, 1, 10, now);
	bed_settle(b, &old, 1);
	bed_settle(b, &two, 1);
	bed_settle(b, &one, 2);
	bed_settle(b, &one, 1);
	assert_int_equal(bed_history(b, NULL).count, 0);
	spool_sweep(b->spool);
	bed_passes(b, 10);
	assert_int_equal(bed_rows(b, SPOOL_EVENT), 0);
	/* by message, without the Send; what is over age goes next time */
	t = bed_history(b, &one);
	assert_int_equal(t.count, 3);
	assert_int_equal(msgid_cmp(&t.of[0], &one), 0);
	assert_int_equal(msgid_cmp(&t.of[1], &one), 0);
	assert_int_equal(msgid_cmp(&t.of[2], &two), 0);
	assert_int_equal(t.type[0], EVENT_DELIVERY);
	assert_int_equal(bed_history(b, NULL).count, 4);
	spool_sweep(b->spool);
	bed_passes(b, 10);
	assert_int_equal(bed_history(b, NULL).count, 3);
	/* also behind a restart */
	bed_stop(b);
	bed_start(b);
	assert_int_equal(bed_history(b, &two).count, 1);
}

static void
old_buckets_go(void **state)
{
	struct bed  *b = *state;
	int64_t	     now = clock_wall().ms / 60000;
	struct asked a = { 0, now - 3000, 5, 0, 0, 0 };

	bed_start(b);
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	a.minute = now - 1441;
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	a.minute = now - 1000;
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	assert_int_equal(bed_rows(b, SPOOL_COUNTER), 4);
	spool_sweep(b->spool);
	bed_passes(b, 10);
	assert_int_equal(bed_rows(b, SPOOL_COUNTER), 2);
	assert_true(counted(b, 0, INT64_MAX) == 5);
	assert_true(window(b, now) == 5);
	a.minute = now;
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	assert_true(a.sum == 5);
	assert_true(window(b, now) == 10);
	assert_true(window(b, now + 441) == 5);
}

static void
idle_scopes_go(void **state)
{
	struct bed  *b = *state;
	int64_t	     now = clock_wall().ms / 60000;
	struct asked a = { 0, now - 3000, 5, 0, 0, 0 };

	bed_start(b);
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	spool_sweep(b->spool);
	bed_passes(b, 10);
	assert_int_equal(bed_rows(b, SPOOL_COUNTER), 0);
	a.minute = now;
	assert_int_equal(ask(b, &a), RECEIPT_OK);
	assert_true(a.sum == 0);
	assert_true(window(b, now) == 5);
}

int
main(void)
{
#define test(f) cmocka_unit_test_setup_teardown(f, quiet_bed, bed_remove)
	static const struct CMUnitTest tests[] = {
		test(staged_content_is_one_with_the_rest),
		test(a_discard_takes_it_back),
		test(a_big_content_goes_by_the_sweep),
		test(a_full_map_refuses_and_recovers),
		test(a_lost_batch_is_tried_one_by_one),
		test(without_space_a_batch_is_refused),
		test(changes_wait_for_space),
		test(a_broken_store_goes_down),
		test(a_full_queue_is_busy),
		test(min_free_holds_for_the_disk),
		test(missed_arrivals_are_told),
		test(a_full_feed_takes_nothing),
		test(a_refusal_harms_nobody_else),
		test(sums_follow_the_window),
		test(a_lost_transaction_counts_nothing),
		test(old_rows_go),
		test(events_wait_for_their_readers),
		test(what_became_of_a_message_outlives_its_events),
		test(old_buckets_go),
		test(idle_scopes_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
