/* SPDX-License-Identifier: ISC */
/*
 * One source towards one site: how many connections, hold-down, portions of a
 * pass (delivery.md 8).
 */
#include "egress_world.h"

/* -- connections and their number ------------------------------------------ */

static void
no_more_than_allowed(void **state)
{
	struct egress *eg = open_bed("delivery.max_connections 3\n");

	(void)state;
	enqueue(eg, 0, 10, "a");
	settle();
	assert_int_equal(w.opened, 2); /* initial_connections */
	eg->limit = 20;
	egress_run(eg);
	settle();
	assert_int_equal(w.opened, 3); /* of all */
	assert_true(rota_has(&eg->more));
	site.max_connections = 2;
	end_one(eg);
	end_one(eg);
	assert_int_equal(w.opened, 4); /* of the group */
	assert_int_equal(eg->lanes.queued, 6);
	close_bed(eg);
}

/* Of all that are allowed the one that carries nothing makes room. */
static void
idle_ones_give_way(void **state)
{
	struct egress	 *eg = open_bed("delivery.max_connections 3\n");
	struct egress	  other = { .connection_count = 1 };
	struct connection idle = { .egress = &other, .ready = true };

	(void)state;
	c.connections = 1;
	c.idle = c.idle_last = &idle;
	eg->limit = 20;
	enqueue(eg, 0, 10, "a");
	settle();
	assert_int_equal(w.quits, 1);
	assert_int_equal(other.connection_count, 0);
	assert_int_equal(w.opened, 3);
	assert_true(rota_has(&eg->more));
	close_bed(eg);
}

/* All places are taken, and all who have them have mail: fresh mail displaces
 * an idle one that waits for its turn, what has had its turn only one that has
 * carried its share. */
static void
fresh_mail_finds_a_place(void **state)
{
	struct egress	 *eg = open_bed("delivery.max_connections 3\n");
	struct egress	  other = { .connection_count = 1 };
	struct connection idle = { .egress = &other, .ready = true };

	(void)state;
	other.carrier = &c;
	other.lanes.queued = 1;
	c.connections = 3;
	c.idle = c.idle_last = &idle;
	enqueue(eg, 0, 3, "a");
	settle();
	assert_int_equal(w.quits, 1);
	assert_int_equal(w.opened, 1);
	assert_int_equal(eg->lanes.queued, 2);
	/* its connection ends, others have the place meanwhile; what is left
	 * has waited */
	dues[1].is_new = dues[2].is_new = false;
	idle.ready = true;
	c.idle = c.idle_last = &idle;
	eg->connection_count = eg->outlet->connections = 0;
	rota_leave(&c.more, &eg->more);
	egress_run(eg);
	settle();
	assert_int_equal(w.quits, 1);
	assert_true(rota_has(&eg->starved));
	assert_true(egress_must_yield(&other, 10));
	assert_false(egress_must_yield(&other, 9));
	other.connection_count = 2;
	assert_true(egress_must_yield(&other, 0));
	/* a place is offered by one whose mail has waited as long: no; by one
	 * that has none: it is called */
	other.connection_count = 1;
	egress_offer_place(&other);
	assert_false(eg->called);
	other.lanes.queued = 0;
	egress_offer_place(&other);
	assert_true(eg->called);
	other.lanes.queued = 1;
	settle();
	assert_false(eg->called);
	w.carried_before = 10;
	egress_run(eg);
	settle();
	assert_int_equal(w.quits, 2);
	assert_int_equal(w.opened, 2);
	close_bed(eg);
}

/* A backlog for many receivers: accounts take turns, and fresh mail for one
 * more receiver, or of another account, goes before what has waited, but not
 * twice in a row. */
static void
turns_of_all(void **state)
{
	struct egress *eg = open_bed("");
	struct egress *v[100];
	unsigned       i;

	(void)state;
	site.max_connections = 1000;
	c.refused = (struct batch *)&w; /* nothing may begin yet */
	for (i = 0; i < 100; i++) {
		v[i] = egress_new(&site, NULL);
		v[i]->limit = 1000;
		w.has_waited = true;
		enqueue(v[i], i, 1, "a");
	}
	w.has_waited = false;
	eg->limit = 1000;
	enqueue(eg, 300, 1, "a");
	enqueue(v[0], 301, 1, "c"); /* one of those that wait, too */
	enqueue(v[1], 302, 1, "b");
	c.refused = NULL;
	egress_resume_turns(&c);
	settle();
	assert_int_equal(w.opened, 103);
	/* a: 300 is fresh, then c and b, then a backlog's turn */
	assert_int_equal(w.begun[0], 300);
	assert_int_equal(w.begun[1], 301);
	assert_int_equal(w.begun[2], 302);
	assert_true(w.begun[3] < 100);
	for (i = 0; i < 100; i++) {
		v[i]->outlet->connections = 0;
		egress_free(v[i]);
	}
	close_bed(eg);
}

/* A pass begins no more attempts than it can without others waiting. */
static void
attempts_of_a_pass(void **state)
{
	struct egress *eg = open_bed("");

	(void)state;
	eg->limit = site.max_connections = 200;
	enqueue(eg, 0, 150, "a");
	settle();
	assert_int_equal(w.opened, 150);
	assert_int_equal(w.most_begun, 64);
	close_bed(eg);
}

/* Thousands that wait at one that is held down: a portion in a pass, and none
 * while the writer has enough to do. */
static void
moved_in_portions(void **state)
{
	struct result  r = { .kind = RESULT_CONNECT };
	struct egress *eg = open_bed("");
	unsigned       i;

	(void)state;
	eg->limit = 0;
	enqueue(eg, 0, 300, "a");
	settle();
	c.items_out = 100;
	for (i = 0; i < 5; i++)
		egress_on_failure(eg, &r);
	assert_true(egress_is_held(eg));
	assert_int_equal(w.moved, 0);
	c.items_out = 0;
	egress_run(eg);
	assert_int_equal(w.moved, 200);
	settle();
	assert_int_equal(w.moved, 300);
	assert_int_equal(w.opened, 0);
	close_bed(eg);
}

static void
connections_adapt(void **state) /* delivery#18 (decision) */
{
	struct egress *eg = open_bed("");

	(void)state;
	assert_int_equal(eg->limit, 2);
	learn(eg, OUTCOME_DELIVERED, 250, 0, 19);
	assert_int_equal(eg->limit, 2);
	learn(eg, OUTCOME_DELIVERED, 250, 0, 1);
	assert_int_equal(eg->limit, 3);
	/* a temporary failure begins the count anew */
	learn(eg, OUTCOME_DELIVERED, 250, 0, 19);
	learn(eg, OUTCOME_LATER, 450, DELAY_GENERAL, 1);
	learn(eg, OUTCOME_DELIVERED, 250, 0, 19);
	assert_int_equal(eg->limit, 3);
	learn(eg, OUTCOME_DELIVERED, 250, 0, 1);
	assert_int_equal(eg->limit, 4);
	/* a permanent one says nothing about it */
	learn(eg, OUTCOME_DELIVERED, 250, 0, 10);
	learn(eg, OUTCOME_FAILED, 550, 0, 1);
	learn(eg, OUTCOME_DELIVERED, 250, 0, 10);
	assert_int_equal(eg->limit, 5);
	learn(eg, OUTCOME_DELIVERED, 250, 0, 20 * 100);
	assert_int_equal(eg->limit, 20);
	/* halved, at least one */
	learn(eg, OUTCOME_LATER, 421, DELAY_GENERAL, 1);
	assert_int_equal(eg->limit, 10);
	learn(eg, OUTCOME_LATER, 450, DELAY_IP_FAILURE, 1);
	assert_int_equal(eg->limit, 5);
	learn(eg, OUTCOME_LATER, 450, DELAY_SPAM_DETECTED, 1);
	assert_int_equal(eg->limit, 2);
	learn(eg, OUTCOME_LATER, 421, DELAY_GENERAL, 5);
	assert_int_equal(eg->limit, 1);
	close_bed(eg);
}

static void
held_down(void **state)
{
	struct result  r = { .kind = RESULT_CONNECT };
	struct result  local = { .kind = RESULT_LOCAL };
	struct result  reply = { .kind = RESULT_REPLY, .code = 554 };
	struct egress *eg = open_bed("");
	int64_t	       want = 5 * MINUTE_MS;
	unsigned       i, round;

	(void)state;
	eg->limit = 0; /* all waits */
	enqueue(eg, 0, 3, "a");
	enqueue(eg, 3, 2, "b");
	eg->limit = 8;
	for (i = 0; i < 4; i++)
		egress_on_failure(eg, &r);
	assert_int_equal(eg->limit, 1);
	egress_on_failure(eg, &reply); /* it answers, at least */
	assert_false(egress_is_held(eg));
	egress_on_failure(eg, &r);
	assert_true(egress_is_held(eg));
	/* what waited was moved to the end, and what comes is */
	assert_int_equal(w.moved, 5);
	assert_int_equal(eg->lanes.queued, 0);
	enqueue(eg, 5, 1, "a");
	assert_int_equal(w.moved, 6);
	for (i = 0; i < 6; i++)
		assert_int_equal(w.next[i].ms, BED_NOON + want);
	/* twice as long after each further failure, up to an hour */
	for (round = 0; round < 6; round++) {
		assert_true(fake_threads_advance(want));
		assert_false(egress_is_held(eg));
		egress_on_failure(eg, &r);
		want = want * 2 > HOUR_MS ? HOUR_MS : want * 2;
		assert_int_equal(eg->hold_until.ms, loop_now(c.loop).ms + want);
	}
	/* the first success clears it */
	egress_on_connected(eg);
	assert_false(egress_is_held(eg));
	/* no descriptor here: a moment, however often, and no failure of it */
	for (i = 0; i < 6; i++) {
		egress_on_failure(eg, &local);
		egress_on_failure(eg, &local);
		assert_int_equal(eg->hold_until.ms, loop_now(c.loop).ms +
			5000);
		assert_false(egress_tidy(eg));
		assert_true(fake_threads_advance(5000));
	}
	assert_int_equal(eg->failures, 0);
	assert_true(egress_tidy(eg));
	close_bed(eg);
}

/* -- no room --------------------------------------------------------------- */

static void
left_to_the_table(void **state)
{
	struct egress *eg = open_bed("delivery.dest.initial_connections 1\n");
	unsigned       i;

	(void)state;
	w.room = 10;
	enqueue(eg, 0, 15, "a");
	assert_int_equal(w.left, 5);
	enqueue(eg, 15, 3, "b"); /* each account has room of its own */
	assert_int_equal(w.left, 5);
	settle();
	assert_int_equal(w.fetched, 0);
	for (i = 0; i < 7; i++)
		end_one(eg);
	assert_int_equal(w.opened, 8);
	assert_true(w.fetched > 0); /* half of the lane has gone */
	assert_false(egress_tidy(eg));
	close_bed(eg);
}

/* Three places, of which two are held by dials towards a silent site: who has
 * none at all gets that of the one that has waited longest, and no sooner. */
static void
silent_dials_give_way(void **state)
{
	struct egress	 *eg = open_bed("delivery.max_connections 3\n");
	struct site	  silent = { .carrier = &c };
	struct outlet	  outlet = { .connections = 2 };
	struct egress	  mute = { .carrier = &c, .site = &silent,
			  .outlet = &outlet, .connection_count = 2 };
	struct connection v[2] = { { .egress = &mute }, { .egress = &mute } };
	unsigned	  i;

	(void)state;
	timer_init(&mute.wake, c.loop, NULL, NULL);
	c.connections = 3; /* one carries, for somebody */
	for (i = 0; i < 2; i++) {
		v[i].wait.of = &v[i];
		patience_begin(&c.patience, &v[i].wait, &silent,
		    loop_now(c.loop));
		assert_true(fake_threads_advance(1000));
	}
	assert_true(fake_threads_advance(PATIENCE_MS)); /* nobody asks */
	assert_int_equal(w.gave_way, 0);
	patience_begin(&c.patience, &v[1].wait, &silent, loop_now(c.loop));
	enqueue(eg, 0, 3, "a");
	settle();
	assert_int_equal(w.gave_way, 1);
	assert_int_equal(w.opened, 1);
	assert_ptr_equal(c.patience.first, &v[1].wait);
	/* it has one now: it may wait for the next one */
	assert_true(rota_has(&eg->more));
	assert_true(fake_threads_advance(2 * PATIENCE_MS));
	assert_int_equal(w.gave_way, 1);
	/* its connection ends, another has the place */
	eg->connection_count = eg->outlet->connections = 0;
	rota_leave(&c.more, &eg->more);
	patience_begin(&c.patience, &v[1].wait, &silent, loop_now(c.loop));
	egress_run(eg);
	assert_true(fake_threads_advance(PATIENCE_MS - 1));
	assert_int_equal(w.gave_way, 1);
	assert_true(fake_threads_advance(1));
	assert_int_equal(w.gave_way, 2);
	assert_int_equal(w.opened, 2);
	assert_int_equal(mute.connection_count, 0);
	close_bed(eg);
}

/* A dial does not give way to another one towards the same site. */
static void
dials_of_the_same_site_stay(void **state)
{
	struct egress	 *eg = open_bed("delivery.max_connections 1\n");
	struct egress	  mute = { .carrier = &c, .site = &site,
			  .connection_count = 1 };
	struct connection dial = { .egress = &mute };

	(void)state;
	c.connections = 1;
	dial.wait.of = &dial;
	patience_begin(&c.patience, &dial.wait, &site, loop_now(c.loop));
	enqueue(eg, 0, 1, "a");
	assert_true(fake_threads_advance(4 * PATIENCE_MS));
	assert_true(rota_has(&eg->starved));
	assert_int_equal(w.gave_way, 0);
	patience_end(&c.patience, &dial.wait);
	close_bed(eg);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_more_than_allowed),
		cmocka_unit_test(connections_adapt),
		cmocka_unit_test(idle_ones_give_way),
		cmocka_unit_test(fresh_mail_finds_a_place),
		cmocka_unit_test(turns_of_all),
		cmocka_unit_test(attempts_of_a_pass),
		cmocka_unit_test(moved_in_portions),
		cmocka_unit_test(held_down),
		cmocka_unit_test(left_to_the_table),
		cmocka_unit_test(silent_dials_give_way),
		cmocka_unit_test(dials_of_the_same_site_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
