/* SPDX-License-Identifier: ISC */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/tally.h"

static struct mono
at(int64_t ms)
{
	return (struct mono){ 1000000 + ms };
}

static struct bytes
numbered(const char *word, int i, char out[32])
{
	snprintf(out, 32, "%s:%d", word, i);
	return bytes_of(out);
}

/* -- counts and windows --------------------------------------------------- */

static void
tally_counts(void **state)
{
	struct tally *t = tally_new(1000);
	struct bytes  k = BYTES("ip:203.0.113.7");

	(void)state;
	assert_int_equal(tally_get(t, k), 0);
	assert_int_equal(tally_add(t, k, 1), 1);
	assert_int_equal(tally_add(t, k, 2), 3);
	assert_int_equal(tally_get(t, BYTES("ip:203.0.113.8")), 0);
	assert_int_equal(tally_add(t, k, -1), 2);
	assert_int_equal(tally_add(t, k, -5), 0);
	assert_int_equal(tally_add(t, k, -1), 0);
	assert_true(tally_add_below(t, k, 1, 2));
	assert_true(tally_add_below(t, k, 1, 2));
	assert_false(tally_add_below(t, k, 1, 2));
	assert_int_equal(tally_get(t, k), 2);
	assert_true(tally_add_below(t, k, -2, 2));
	assert_int_equal(tally_get(t, k), 0);
	assert_false(tally_add_below(t, k, 1, 0));
	assert_int_equal(tally_get(t, k), 0);
	tally_free(t);
	tally_free(NULL);
}

static void
tally_window_slides(void **state)
{
	struct tally *t = tally_new(1000);
	struct bytes  k = BYTES("ip:203.0.113.7");
	int	      i;

	(void)state;
	/* an event a second for two minutes: a minute of them counts */
	for (i = 0; i < 120; i++)
		assert_in_range(tally_window_add(t, k, 1, at(i * 1000), 60000),
		    i < 53 ? i + 1 : 53, i < 60 ? i + 1 : 60);
	/* none for more than the window, all for 7/8 of it */
	assert_in_range(tally_window_add(t, k, 0, at(130000), 60000), 42, 49);
	assert_int_equal(tally_window_add(t, k, 0, at(119000 + 60001), 60000),
	    0);
	assert_int_equal(tally_window_add(t, k, 3, at(300000), 60000), 3);
	assert_int_equal(tally_window_add(t, k, 0, at(300000 + 52400), 60000),
	    3);
	/* another loop's clock is a little behind */
	assert_int_equal(tally_window_add(t, k, 1, at(299000), 60000), 4);
	/* another length begins again; a tiny one works */
	assert_int_equal(tally_window_add(t, k, 2, at(300000), 3), 2);
	assert_int_equal(tally_window_add(t, k, 2, at(400000), 3), 2);
	assert_int_equal(tally_window_add(t, BYTES("x"), 0, at(0), 60000), 0);
	tally_free(t);
}

/* -- buckets: quotas.md section 4 ----------------------------------------- */

/* R = 1: five at once, the sixth is refused, one more each second. */
static void
tally_bucket_rate_one_quotas_9(void **state)
{
	struct tally *t = tally_new(1000);
	struct bytes  k = BYTES("rate:1");
	int	      i;

	(void)state;
	for (i = 0; i < 5; i++)
		assert_true(tally_bucket_take(t, k, 1, 1, 5, at(0)));
	assert_false(tally_bucket_peek(t, k, 1, 5, at(0)));
	assert_false(tally_bucket_take(t, k, 1, 1, 5, at(0)));
	assert_false(tally_bucket_take(t, k, 1, 1, 5, at(999)));
	for (i = 1; i < 20; i++) {
		assert_true(tally_bucket_peek(t, k, 1, 5, at(i * 1000)));
		assert_true(tally_bucket_take(t, k, 1, 1, 5, at(i * 1000)));
		assert_false(tally_bucket_take(t, k, 1, 1, 5,
		    at(i * 1000 + 500)));
	}
	/* idle: never more than the burst */
	for (i = 0; i < 5; i++)
		assert_true(tally_bucket_take(t, k, 1, 1, 5, at(1000000)));
	assert_false(tally_bucket_take(t, k, 1, 1, 5, at(1000000)));
	tally_free(t);
}

/* R = 0.5: B = 3. */
static void
tally_bucket_rate_half(void **state)
{
	struct tally *t = tally_new(1000);
	struct bytes  k = BYTES("rate:0.5");
	int	      i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_true(tally_bucket_take(t, k, 1, 0.5, 3, at(0)));
	assert_false(tally_bucket_take(t, k, 1, 0.5, 3, at(0)));
	assert_false(tally_bucket_take(t, k, 1, 0.5, 3, at(1999)));
	assert_true(tally_bucket_take(t, k, 1, 0.5, 3, at(2000)));
	tally_free(t);
}

/* Rate 1, burst 5, 50 recipients: refused for 45 s, accepted after 46 s. */
static void
tally_bucket_burst_and_debt_quotas_10(void **state)
{
	struct tally *t = tally_new(1000);
	struct bytes  k = BYTES("account");
	int	      s;

	(void)state;
	assert_true(tally_bucket_take(t, k, 50, 1, 5, at(0)));
	for (s = 0; s <= 45; s++)
		assert_false(tally_bucket_take(t, k, 50, 1, 5, at(s * 1000)));
	assert_true(tally_bucket_take(t, k, 50, 1, 5, at(46000)));
	/* and the debt again: level 1 - 50 */
	assert_false(tally_bucket_peek(t, k, 1, 5, at(46000 + 49000)));
	assert_true(tally_bucket_peek(t, k, 1, 5, at(46000 + 50000)));
	tally_free(t);
}

/* Rate 10, burst 50, as fast as possible for 60 s: 640 to 660. */
static void
tally_bucket_sustained_quotas_11(void **state)
{
	static const int sizes[] = { 1, 3, 10 };
	struct tally	*t = tally_new(1000);
	char		 key[32];
	size_t		 i;
	int		 ms, sum;

	(void)state;
	for (i = 0; i < 3; i++) {
		sum = 0;
		for (ms = 0; ms < 60000; ms++)
			while (tally_bucket_take(t,
			    numbered("k", (int)i, key), sizes[i], 10, 50,
			    at(ms)))
				sum += sizes[i];
		assert_in_range(sum, 640, 660);
	}
	tally_free(t);
}

static void
tally_bucket_gives_back_and_changes(void **state)
{
	struct tally *t = tally_new(1000);
	struct bytes  k = BYTES("account");
	int	      i;

	(void)state;
	/* quotas#17: unlimited */
	for (i = 0; i < 10000; i++)
		assert_true(tally_bucket_take(t, k, 50, -1, 0, at(0)));
	assert_true(tally_bucket_peek(t, k, -1, 0, at(0)));
	tally_bucket_give(t, k, 50, -1, 0);
	assert_true(tally_bucket_take(t, k, 5, 1, 5, at(0)));
	assert_false(tally_bucket_peek(t, k, 1, 5, at(0)));
	tally_bucket_give(t, k, 5, 1, 5);
	tally_bucket_give(t, k, 100, 1, 5); /* not above the burst */
	tally_bucket_give(t, BYTES("unknown"), 100, 1, 5);
	for (i = 0; i < 5; i++)
		assert_true(tally_bucket_take(t, k, 1, 1, 5, at(0)));
	assert_false(tally_bucket_take(t, k, 1, 1, 5, at(0)));
	/* a lower burst bites at once; a clock behind gives nothing */
	tally_bucket_give(t, k, 5, 1, 5);
	assert_true(tally_bucket_take(t, k, 1, 1, 1, at(0)));
	assert_false(tally_bucket_take(t, k, 1, 1, 1, at(-5000)));
	assert_true(tally_bucket_take(t, k, 1, 1, 1, at(1000)));
	/* no burst, no mail */
	assert_false(tally_bucket_take(t, BYTES("zero"), 1, 0, 0, at(0)));
	/* a third of a token three times is one token */
	assert_true(tally_bucket_take(t, BYTES("thirds"), 1, 0.1, 1, at(0)));
	for (i = 1; i < 10; i++)
		assert_false(tally_bucket_take(t, BYTES("thirds"), 1, 0.1, 1,
		    at(i * 1000)));
	assert_true(tally_bucket_take(t, BYTES("thirds"), 1, 0.1, 1,
	    at(10000)));
	tally_free(t);
}

/* -- blocks: smtp-interface.md section 15 --------------------------------- */

enum { MINUTE = 60000, WINDOW = 10 * MINUTE, LENGTH = 15 * MINUTE };

/* Failures, a second apart, until blocked; the time of the last. */
static int64_t
fail_until_blocked(struct tally *t, struct bytes k, int64_t ms)
{
	int n = 1;

	while (!tally_fail(t, k, 20, WINDOW, LENGTH, at(ms))) {
		assert_false(tally_is_blocked(t, k, at(ms)));
		n++;
		ms += 1000;
	}
	assert_int_equal(n, 20);
	return ms;
}

static void
tally_blocks_after_threshold(void **state)
{
	struct tally *t = tally_new(1000);
	struct bytes  k = BYTES("ip:203.0.113.7");
	int64_t	      ms;
	int	      i;

	(void)state;
	ms = fail_until_blocked(t, k, 0);
	assert_true(tally_is_blocked(t, k, at(ms)));
	assert_false(tally_is_blocked(t, BYTES("ip:203.0.113.8"), at(ms)));
	/* failures of sessions still open change nothing */
	assert_true(tally_fail(t, k, 20, WINDOW, LENGTH, at(ms + 1000)));
	assert_true(tally_is_blocked(t, k, at(ms + LENGTH - 1)));
	assert_false(tally_is_blocked(t, k, at(ms + LENGTH)));
	/* too slow: 19 in each ten minutes */
	for (i = 0; i < 200; i++)
		assert_false(tally_fail(t, BYTES("slow"), 20, WINDOW, LENGTH,
		    at(i * (int64_t)WINDOW / 19)));
	/* fast enough, though not at once */
	for (i = 0; i < 19; i++)
		assert_false(tally_fail(t, BYTES("steady"), 20, WINDOW,
		    LENGTH, at(i * 25000)));
	assert_true(tally_fail(t, BYTES("steady"), 20, WINDOW, LENGTH,
	    at(19 * 25000)));
	assert_false(tally_fail(t, BYTES("off"), 0, WINDOW, LENGTH, at(0)));
	tally_free(t);
}

static void
tally_blocks_double(void **state)
{
	static const int64_t minutes[] = { 15, 30, 60, 120, 240, 480, 960,
		1440, 1440 };
	struct tally	    *t = tally_new(1000);
	struct bytes	     k = BYTES("ip:203.0.113.7");
	int64_t		     ms = 0;
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++) {
		ms = fail_until_blocked(t, k, ms);
		ms += minutes[i] * MINUTE;
		assert_true(tally_is_blocked(t, k, at(ms - 1)));
		assert_false(tally_is_blocked(t, k, at(ms)));
	}
	/* a day of peace, and it is as at first */
	ms = fail_until_blocked(t, k, ms + 1440 * MINUTE);
	assert_false(tally_is_blocked(t, k, at(ms + LENGTH)));
	/* lifted: the past is forgotten too */
	ms = fail_until_blocked(t, k, ms + LENGTH);
	assert_true(tally_is_blocked(t, k, at(ms + LENGTH)));
	assert_true(tally_unblock(t, k));
	assert_false(tally_is_blocked(t, k, at(ms + LENGTH)));
	assert_false(tally_unblock(t, k));
	ms = fail_until_blocked(t, k, ms + LENGTH);
	assert_false(tally_is_blocked(t, k, at(ms + LENGTH)));
	tally_free(t);
}

struct walk {
	struct tally *t;
	int	      count;
	int64_t	      failures, left_ms;
};

static void
see_block(void *arg, struct bytes key, int64_t failures, int64_t left_ms)
{
	struct walk *w = arg;

	assert_true(bytes_starts(key, BYTES("ip:")));
	assert_true(tally_is_blocked(w->t, key, at(1000)));
	w->count++;
	w->failures += failures;
	w->left_ms = left_ms;
}

static void
tally_lists_blocks(void **state)
{
	struct walk w = { tally_new(10000), 0, 0, 0 };
	char	    key[32];
	int	    i;

	(void)state;
	for (i = 0; i < 1500; i++) {
		tally_fail(w.t, numbered("ip", i, key), 1, WINDOW,
		    i < 30 ? LENGTH : 500, at(0));
		tally_add(w.t, numbered("ip", i, key), 1); /* another thing */
	}
	tally_fail(w.t, BYTES("harmless"), 20, WINDOW, LENGTH, at(0));
	tally_fail(w.t, BYTES("ip:0"), 1, WINDOW, LENGTH, at(0));
	assert_int_equal(tally_blocked_count(w.t, at(0)), 1500);
	assert_int_equal(tally_blocked_count(w.t, at(1000)), 30);
	tally_each_block(w.t, at(1000), see_block, &w);
	assert_int_equal(w.count, 30);
	assert_int_equal(w.failures, 31);
	assert_int_equal(w.left_ms, LENGTH - 1000);
	for (i = 30; i < 1500; i++)
		tally_fail(w.t, numbered("ip", i, key), 1, WINDOW, LENGTH,
		    at(1000));
	w.count = 0;
	tally_each_block(w.t, at(1000), see_block, &w);
	assert_int_equal(w.count, 1000);
	tally_free(w.t);
}

/* -- bounds --------------------------------------------------------------- */

static void
tally_stays_bounded(void **state)
{
	struct tally *t = tally_new(10);
	char	      key[32];
	int	      i;

	(void)state;
	for (i = 0; i < 10; i++)
		assert_int_equal(tally_add(t, numbered("a", i, key), 1), 1);
	assert_false(tally_is_full(t));
	/* not kept: no limit bites, nothing grows */
	assert_int_equal(tally_add(t, BYTES("b"), 1), 0);
	assert_true(tally_is_full(t));
	assert_int_equal(tally_get(t, BYTES("b")), 0);
	assert_int_equal(tally_add(t, BYTES("b"), -1), 0);
	assert_true(tally_add_below(t, BYTES("b"), 1, 1));
	assert_true(tally_add_below(t, BYTES("b"), 1, 1));
	assert_true(tally_bucket_take(t, BYTES("b"), 9, 1, 5, at(0)));
	assert_true(tally_bucket_take(t, BYTES("b"), 9, 1, 5, at(0)));
	assert_int_equal(tally_window_add(t, BYTES("b"), 1, at(0), 100), 0);
	assert_false(tally_fail(t, BYTES("b"), 1, 100, 100, at(0)));
	/* those kept go on */
	assert_int_equal(tally_add(t, BYTES("a:3"), 1), 2);
	/* a count of nothing leaves at once */
	assert_int_equal(tally_add(t, BYTES("a:0"), -1), 0);
	assert_int_equal(tally_add(t, BYTES("b"), 1), 1);
	assert_false(tally_is_full(t));
	tally_free(t);
}

static void
tally_drops_what_says_nothing(void **state)
{
	struct tally *t = tally_new(4);

	(void)state;
	tally_window_add(t, BYTES("window"), 1, at(0), 8000);
	tally_bucket_take(t, BYTES("bucket"), 5, 1, 5, at(0));
	tally_fail(t, BYTES("block"), 1, 8000, 10000, at(0));
	tally_add(t, BYTES("count"), 1);
	/* all of them still say something */
	assert_int_equal(tally_window_add(t, BYTES("1"), 1, at(900), 100), 0);
	assert_int_equal(tally_window_add(t, BYTES("2"), 1, at(900), 100), 0);
	/* the bucket has filled */
	assert_int_equal(tally_window_add(t, BYTES("3"), 1, at(5000), 100), 1);
	assert_int_equal(tally_window_add(t, BYTES("window"), 0, at(5000),
	    8000), 1);
	/* the windows have passed, the block is remembered for a day */
	assert_int_equal(tally_add(t, BYTES("count2"), 1), 0);
	assert_false(tally_is_blocked(t, BYTES("block"), at(10000)));
	assert_int_equal(tally_add(t, BYTES("count2"), 1), 1);
	assert_int_equal(tally_add(t, BYTES("count3"), 1), 1);
	assert_int_equal(tally_add(t, BYTES("count4"), 1), 0);
	assert_true(tally_fail(t, BYTES("block"), 1, 8000, 10000, at(12000)));
	assert_true(tally_is_blocked(t, BYTES("block"), at(12000 + 19999)));
	assert_int_equal(tally_window_add(t, BYTES("4"), 1,
	    at(12000 + 20000 + (int64_t)1440 * MINUTE), 100), 1);
	tally_free(t);
}

static void
tally_holds_its_size(void **state)
{
	struct tally *t = tally_new(65536);
	char	      key[32];
	int	      i;
	int64_t	      kept = 0;

	(void)state;
	for (i = 0; i < 100000; i++)
		kept += tally_add(t, numbered("ip", i, key), 1);
	assert_in_range(kept, 64000, 65536);
	assert_true(tally_is_full(t));
	tally_free(t);
}

/* -- threads -------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 5000, KEYS = 7 };

struct shared {
	struct tally *t;
	int	      admitted[THREADS];
};
struct runner {
	struct shared *shared;
	pthread_t      thread;
	int	       number;
};

static void *
run_rounds(void *arg)
{
	struct runner *r = arg;
	struct tally  *t = r->shared->t;
	char	       key[32];
	int	       i;

	for (i = 0; i < ROUNDS; i++) {
		struct bytes k = numbered("k", i % KEYS, key);

		tally_add(t, k, 1);
		tally_add(t, k, 1);
		tally_add(t, k, -1);
		if (tally_add_below(t, BYTES("door"), 1, 1000))
			r->shared->admitted[r->number]++;
		tally_bucket_take(t, k, 1, 10, 50, at(i));
		tally_window_add(t, k, 1, at(i), 1000);
		tally_fail(t, k, 20, WINDOW, LENGTH, at(i));
		if (i % 100 == 0)
			tally_blocked_count(t, at(i));
	}
	return NULL;
}

static void
tally_is_shared_by_threads(void **state)
{
	struct shared s = { tally_new(1000), { 0 } };
	struct runner r[THREADS];
	char	      key[32];
	int64_t	      sum = 0;
	int	      i, admitted = 0;

	(void)state;
	for (i = 0; i < THREADS; i++) {
		r[i] = (struct runner){ &s, 0, i };
		assert_int_equal(pthread_create(&r[i].thread, NULL,
				     run_rounds, &r[i]), 0);
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(r[i].thread, NULL);
		admitted += s.admitted[i];
	}
	for (i = 0; i < KEYS; i++)
		sum += tally_get(s.t, numbered("k", i, key));
	assert_int_equal(sum, THREADS * ROUNDS);
	assert_int_equal(admitted, 1000);
	assert_int_equal(tally_blocked_count(s.t, at(ROUNDS)), KEYS);
	tally_free(s.t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tally_counts),
		cmocka_unit_test(tally_window_slides),
		cmocka_unit_test(tally_bucket_rate_one_quotas_9),
		cmocka_unit_test(tally_bucket_rate_half),
		cmocka_unit_test(tally_bucket_burst_and_debt_quotas_10),
		cmocka_unit_test(tally_bucket_sustained_quotas_11),
		cmocka_unit_test(tally_bucket_gives_back_and_changes),
		cmocka_unit_test(tally_blocks_after_threshold),
		cmocka_unit_test(tally_blocks_double),
		cmocka_unit_test(tally_lists_blocks),
		cmocka_unit_test(tally_stays_bounded),
		cmocka_unit_test(tally_drops_what_says_nothing),
		cmocka_unit_test(tally_holds_its_size),
		cmocka_unit_test(tally_is_shared_by_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
