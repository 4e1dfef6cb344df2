/* SPDX-License-Identifier: ISC */
/*
 * The books of a carrier: rows to attempts, results to changes, receipts,
 * suppression, the simulator's merging, shut-down.
 */
#include "carrier_world.h"

static void
on_idle(void *arg, void *unused)
{
	(void)arg;
	(void)unused;
	w.idle++;
}

static void
results_become_changes(void **state)
{
	(void)state;
	attempt_ends(250);
	assert_int_equal(item(0)->kind, CHANGE_DONE);
	assert_int_equal(item(0)->event->type, EVENT_DELIVERY);
	assert_int_equal(meter_get(&meters.delivered), 1);
	/* nothing is forgotten before it is on disk */
	assert_int_equal(w.dropped, 0);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.dropped, 1);
	attempt_ends(450);
	assert_int_equal(item(0)->kind, CHANGE_DEFER);
	assert_int_equal(item(0)->attempts, 1);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.again, 1);
	assert_int_equal(w.next.ms, BED_NOON + 300000);
	/* deleted meanwhile by the operator */
	attempt_ends(450);
	receive(RECEIPT_OK, false);
	assert_int_equal(w.again, 1);
	assert_int_equal(w.dropped, 2);
	attempt_ends(550);
	assert_int_equal(item(0)->event->type, EVENT_BOUNCE);
	/* the store is down: what it would have said is not known */
	receive(RECEIPT_DOWN, false);
	assert_int_equal(w.dropped, 2);
	/* no notices about notices */
	w.system = true;
	attempt_ends(550);
	assert_null(item(0)->event);
}

/* suppression.md 3 and 5: no attempt, and what the event says */
static void
suppressed_ones_are_settled(void **state)
{
	static const struct {
		enum suppression_answer answer;
		enum event_type		type;
		enum bounce_subtype	sub;
	} rows[] = {
		{ SUPPRESSION_BOUNCE, EVENT_BOUNCE,
		    BOUNCE_SUB_ON_ACCOUNT_LIST },
		{ SUPPRESSION_GLOBAL, EVENT_BOUNCE, BOUNCE_SUB_SUPPRESSED },
		{ SUPPRESSION_COMPLAINT, EVENT_COMPLAINT, 0 },
	};
	const struct event *ev;
	struct due	   *d;
	size_t		    i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		w.listed = rows[i].answer;
		d = &dues[0];
		assert_null(carrier_make_attempt(c, &d));
		settle();
		assert_int_equal(item(0)->kind, CHANGE_DONE);
		ev = item(0)->event;
		assert_int_equal(ev->type, rows[i].type);
		assert_int_equal(ev->on_account_list,
		    rows[i].type == EVENT_COMPLAINT);
		if (ev->type == EVENT_BOUNCE)
			assert_int_equal(ev->bounce_subtype, rows[i].sub);
		receive(RECEIPT_OK, true);
		assert_int_equal(w.dropped, i + 1);
	}
	/* marked at acceptance, and not listed any more */
	w.listed = SUPPRESSION_NONE;
	dues[0].suppressed = true;
	assert_false(carrier_suppress(c, &dues[0]));
	assert_false(dues[0].suppressed);
	w.listed = SUPPRESSION_BOUNCE;
	assert_true(carrier_suppress(c, &dues[0]));
	settle();
	receive(RECEIPT_OK, true);
	/* mail of posthorn itself asks no list */
	dues[0].system = true;
	assert_false(carrier_suppress(c, &dues[0]));
	dues[0].system = false;
}

/* Acceptance has looked: not again while the book stands still. */
static void
lists_are_asked_once(void **state)
{
	struct due *d = &dues[0];

	(void)state;
	w.listed = SUPPRESSION_BOUNCE; /* would be found, if asked */
	d->lists_seen = 1;
	attempt_ends(250);
	assert_int_equal(item(0)->event->type, EVENT_DELIVERY);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.list_looks, 0);
	/* the book has changed since */
	w.version++;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->event->type, EVENT_BOUNCE);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.list_looks, 1);
	/* what it found listed, and could not be settled before the attempt,
	 * is looked at again */
	d = &dues[0];
	d->lists_seen = w.version;
	d->suppressed = true;
	w.row_found = 0;
	assert_false(carrier_suppress(c, d));
	w.row_found = 1;
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->event->type, EVENT_BOUNCE);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.list_looks, 2);
}

static void
a_full_feed(void **state)
{
	(void)state;
	w.is_full = true;
	attempt_ends(250);
	assert_non_null(c->refused); /* nothing new is begun */
	assert_true(fake_threads_advance(25));
	assert_int_equal(w.change_count, 0);
	w.is_full = false;
	assert_true(fake_threads_advance(10));
	assert_null(c->refused);
	assert_int_equal(w.resumed, 1);
	assert_int_equal(w.change_count, 1);
	assert_int_equal(w.wakes, 1); /* what is due goes on */
	receive(RECEIPT_OK, true);
	assert_int_equal(w.dropped, 1);
}

static void
rows_that_are_not_tried(void **state)
{
	struct due *d = &dues[0];

	(void)state;
	/* gone; held */
	w.row_found = 0;
	assert_null(carrier_make_attempt(c, &d));
	assert_int_equal(w.dropped, 1);
	w.row_found = 1;
	w.row.state = ENVELOPE_HELD;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	assert_int_equal(w.dropped, 2);
	w.row.state = ENVELOPE_READY;
	/* unreadable: again in a minute, still known */
	w.row_found = -1;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	w.row_found = 1;
	w.message_found = -1;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	assert_int_equal(w.retried, 2);
	assert_int_equal(w.next.ms, BED_NOON + 60000);
	assert_int_equal(w.dropped, 2);
	w.message_found = 1;
	/* the account is paused: held, without an event (delivery#24) */
	w.may_send = false;
	w.version++;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->kind, CHANGE_HOLD);
	assert_int_equal(item(0)->held_by, HELD_ACCOUNT);
	assert_null(item(0)->event);
	receive(RECEIPT_OK, true);
	/* the class system goes out all the same */
	d = &dues[0];
	d->system = true;
	attempt_ends(250);
	assert_int_equal(item(0)->kind, CHANGE_DONE);
}

/* One event for the bounces of a message, in the order of RCPT. */
static void
simulator_merges(void **state) /* simulator#9 (decision) */
{
	static const unsigned order[] = { 2, 0, 1 };
	const struct event   *ev;
	unsigned	      i;

	(void)state;
	w.row.address = BYTES("bounce@simulator.amazonses.com");
	for (i = 0; i < 3; i++) {
		dues[order[i]].id = dues[0].id;
		carrier_simulate(c, &dues[order[i]]);
	}
	carrier_simulate(c, &dues[5]); /* of another message */
	settle();
	assert_int_equal(w.change_count, 2);
	assert_int_equal(w.changes[0]->count + w.changes[1]->count, 4);
	ev = w.changes[0]->items[0].event;
	assert_int_equal(ev->recipient_count, 3);
	assert_true(ev->simulator);
	assert_int_equal(w.changes[0]->items[0].n, 1);
	assert_int_equal(w.changes[0]->items[2].n, 3);
	assert_null(w.changes[0]->items[1].event);
	assert_null(w.changes[0]->items[2].event);
	/* counted nowhere (simulator.md 4) */
	assert_int_equal(meter_get(&meters.failed), 0);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.dropped, 4);
}

static void
ends_when_all_is_written(void **state) /* delivery.md 13 */
{
	(void)state;
	attempt_ends(250);
	carrier_shut(c, on_idle, NULL);
	settle();
	assert_int_equal(w.idle, 0);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.idle, 1);
	/* told once */
	carrier_check_idle(c);
	assert_int_equal(w.idle, 1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(results_become_changes),
		TEST(suppressed_ones_are_settled),
		TEST(lists_are_asked_once),
		TEST(a_full_feed),
		TEST(rows_that_are_not_tried),
		TEST(simulator_merges),
		TEST(ends_when_all_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
