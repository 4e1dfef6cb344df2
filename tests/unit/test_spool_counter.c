/* SPDX-License-Identifier: ISC */
/*
 * What admits a submission inside its commit, and the counters it reads: their
 * window, and when they go.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "spool_bed.h"

static const int64_t minute0 = 29000000;

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

/* -- when they go --------------------------------------------------------- */

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
#define test(f) cmocka_unit_test_setup_teardown(f, bed_make_quiet, bed_remove)
	static const struct CMUnitTest tests[] = {
		test(a_refusal_harms_nobody_else),
		test(sums_follow_the_window),
		test(a_lost_transaction_counts_nothing),
		test(old_buckets_go),
		test(idle_scopes_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
