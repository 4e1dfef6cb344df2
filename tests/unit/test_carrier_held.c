/* SPDX-License-Identifier: ISC */
/* The books of a carrier: what is held, expires or has to wait. */
#include "carrier_world.h"

/* configuration-sets 6.1: held by its set, by both; a set that was deleted, or
 * cannot be read, holds nothing */
static void
held_by_its_set(void **state)
{
	struct due *d = &dues[0];

	(void)state;
	memset(dues[0].config_set.b, 7, sizeof(dues[0].config_set.b));
	w.set_paused = true;
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->kind, CHANGE_HOLD);
	assert_int_equal(item(0)->held_by, HELD_CONFIG_SET);
	assert_null(item(0)->event);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.change_count, 0); /* it is paused still */
	assert_int_equal(w.set_looks, 1); /* once for each state of the book */
	w.may_send = false;
	w.version++;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->held_by, HELD_CONFIG_SET | HELD_ACCOUNT);
	receive(RECEIPT_OK, true);
	w.may_send = true;
	w.set_found = 0;
	w.version++;
	attempt_ends(250);
	assert_int_equal(item(0)->kind, CHANGE_DONE);
	receive(RECEIPT_OK, true);
	w.set_found = -1;
	w.version++;
	attempt_ends(250);
	assert_int_equal(item(0)->kind, CHANGE_DONE);
}

/* A resume that came between the look and the commit: what was held behind
 * the walk of the release is released here. */
static void
hold_that_is_over(void **state)
{
	struct due *d = &dues[0];

	(void)state;
	memset(dues[0].config_set.b, 7, sizeof(dues[0].config_set.b));
	w.set_paused = true;
	w.may_send = false;
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->held_by, HELD_CONFIG_SET | HELD_ACCOUNT);
	w.set_paused = false;
	w.version++;
	receive(RECEIPT_OK, true);
	assert_int_equal(w.dropped, 1);
	assert_int_equal(item(0)->kind, CHANGE_RELEASE);
	assert_int_equal(item(0)->held_by, HELD_CONFIG_SET);
	assert_memory_equal(&item(0)->id, &dues[0].id, sizeof(dues[0].id));
	assert_int_equal(item(0)->n, 1);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.dropped, 1); /* it has no due any more */
	/* one that was not found needs none */
	w.set_paused = true;
	w.version++;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	settle();
	w.set_paused = false;
	w.may_send = true;
	w.version++;
	receive(RECEIPT_OK, false);
	assert_int_equal(w.change_count, 0);
}

static void
expired_while_it_waited(void **state) /* delivery.md 2.2, 7 */
{
	struct due *d = &dues[0];

	(void)state;
	w.row.expires.ms = BED_NOON - 60001;
	w.row.last_reply = BYTES("451 4.3.0 try later");
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->kind, CHANGE_DONE);
	assert_int_equal(item(0)->event->type, EVENT_BOUNCE);
	assert_int_equal(item(0)->event->bounce_type, BOUNCE_TRANSIENT);
	assert_true(bytes_eq_text(item(0)->event->recipients[0].status,
	    "4.4.7"));
	assert_true(bytes_eq_text(item(0)->event->recipients[0].diagnostic,
	    "smtp; 451 4.3.0 try later"));
	receive(RECEIPT_OK, true);
	/* the last attempt at the end of the lifetime is made */
	w.row.expires.ms = BED_NOON - 1000;
	attempt_ends(250);
	assert_int_equal(item(0)->event->type, EVENT_DELIVERY);
	receive(RECEIPT_OK, true);
	/* under a hold: once a minute somebody looks */
	w.held_count = 1;
	w.held.due.ms = BED_NOON + 1;
	w.held.n = 1;
	carrier_begin(c);
	assert_true(fake_threads_advance(60000));
	w.held_count = 0;
	assert_int_equal(item(0)->event->type, EVENT_BOUNCE);
	receive(RECEIPT_OK, true);
}

/* Many that expire together under a hold go portion by portion, each when the
 * one before is on disk. */
static void
many_held_expire(void **state)
{
	unsigned left = 600, portions = 0, n;

	(void)state;
	w.row.expires.ms = BED_NOON - 60001;
	w.held.due.ms = BED_NOON + 1;
	w.held.n = 1;
	w.held_count = left;
	carrier_begin(c);
	assert_true(fake_threads_advance(60000));
	while (left > 0) {
		assert_int_equal(w.change_count, 1);
		n = (unsigned)w.changes[0]->count;
		assert_int_equal(n, left < 256 ? left : 256);
		assert_int_equal(item(n - 1)->n, w.held.n + n - 1);
		/* none twice while the writer has them */
		assert_true(fake_threads_advance(100));
		assert_int_equal(w.change_count, 1);
		left -= n;
		w.held.n += n;
		w.held_count = left;
		receive(RECEIPT_OK, true);
		assert_true(fake_threads_advance(20));
		portions++;
	}
	assert_int_equal(portions, 3);
	assert_int_equal(w.change_count, 0);
}

/* SendingDeferral: when it begins, once an hour, never for class system. */
static void
moves_are_told(void **state) /* delivery.md 10.2 */
{
	struct due *d = &dues[0];
	unsigned    told = 0, i;

	(void)state;
	for (i = 0; i < 5; i++) { /* at 0:00, 0:30 ... 2:00 */
		carrier_move(c, NULL, d, (struct wall){
		    loop_wall(loop).ms + HOUR / 2 });
		settle();
		assert_int_equal(item(0)->kind, CHANGE_MOVE);
		assert_int_equal(item(0)->next.ms - loop_wall(loop).ms,
		    HOUR / 2);
		told += item(0)->event != NULL;
		if (item(0)->event != NULL) {
			assert_int_equal(item(0)->event->delay_type,
			    DELAY_SENDING_DEFERRAL);
			assert_int_equal(item(0)->event->expires.ms,
			    w.row.expires.ms);
		}
		receive(RECEIPT_OK, true);
		assert_true(fake_threads_advance(HOUR / 2));
	}
	assert_int_equal(told, 3);
	/* an attempt ends it: the next one is told when it begins */
	attempt_ends(450);
	receive(RECEIPT_OK, true);
	carrier_move(c, NULL, d, loop_wall(loop));
	settle();
	assert_non_null(item(0)->event);
	receive(RECEIPT_OK, true);
	d->told.ms = 0;
	d->system = true;
	carrier_move(c, NULL, d, loop_wall(loop));
	settle();
	assert_null(item(0)->event);
	receive(RECEIPT_OK, true);
	/* never behind the end of its lifetime */
	carrier_move(c, NULL, d, (struct wall){ w.row.expires.ms + 1 });
	settle();
	assert_int_equal(item(0)->next.ms, w.row.expires.ms);
	receive(RECEIPT_OK, true);
	w.row.expires = loop_wall(loop);
	d->system = false;
	carrier_move(c, NULL, d, (struct wall){ w.row.expires.ms + 1 });
	settle();
	assert_int_equal(item(0)->event->type, EVENT_BOUNCE);
	receive(RECEIPT_OK, true);
	w.row_found = -1;
	carrier_move(c, NULL, d, (struct wall){ 0 });
	assert_int_equal(w.retried, 1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(held_by_its_set),
		TEST(hold_that_is_over),
		TEST(expired_while_it_waited),
		TEST(many_held_expire),
		TEST(moves_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
