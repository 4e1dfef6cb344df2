/* SPDX-License-Identifier: ISC */
/* The sweep: what goes when, and what outlives it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "spool_bed.h"

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

int
main(void)
{
#define test(f) cmocka_unit_test_setup_teardown(f, bed_make_quiet, bed_remove)
	static const struct CMUnitTest tests[] = {
		test(old_rows_go),
		test(events_wait_for_their_readers),
		test(what_became_of_a_message_outlives_its_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
