/* SPDX-License-Identifier: ISC */
/* The spool in trouble: full, out of disk, broken, feeds that take no more. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "spool_bed.h"

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

int
main(void)
{
#define test(f) cmocka_unit_test_setup_teardown(f, bed_make_quiet, bed_remove)
	static const struct CMUnitTest tests[] = {
		test(a_full_map_refuses_and_recovers),
		test(a_lost_batch_is_tried_one_by_one),
		test(without_space_a_batch_is_refused),
		test(changes_wait_for_space),
		test(a_broken_store_goes_down),
		test(a_full_queue_is_busy),
		test(min_free_holds_for_the_disk),
		test(missed_arrivals_are_told),
		test(a_full_feed_takes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
