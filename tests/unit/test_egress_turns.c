/* SPDX-License-Identifier: ISC */
/*
 * One source towards one site: whose turn it is, and the rate (delivery.md 2.2,
 * 8, 10.2).
 */
#include "egress_world.h"

/* -- whose turn it is ------------------------------------------------------ */

static void
accounts_take_turns(void **state)
{
	struct egress *eg = open_bed("delivery.dest.initial_connections 20\n");

	(void)state;
	enqueue(eg, 0, 6, "a");
	enqueue(eg, 6, 2, "b");
	enqueue(eg, 8, 1, "c");
	settle();
	assert_string_equal(w.order, "a b c a b a a a a ");
	close_bed(eg);
}

static void
small_before_big(void **state)
{
	struct egress *eg = open_bed("delivery.dest.initial_connections 20\n");
	unsigned       i;

	(void)state;
	for (i = 0; i < 3; i++)
		dues[i].size = LANE_SMALL + 1;
	enqueue(eg, 0, 12, "a");
	settle();
	assert_int_equal(w.opened, 12);
	/* every eighth turn is a big one's, or it would wait for ever */
	assert_int_equal(dues[0].place, DUE_FLYING);
	close_bed(eg);
}

static void
together_in_one_transaction(void **state)
{
	struct egress *eg = open_bed("mail_from.verp message\n"
				     "delivery.dest.initial_connections 20\n");
	unsigned       i;

	(void)state;
	for (i = 0; i < 150; i++)
		dues[i].id = dues[0].id;
	enqueue(eg, 0, 152, "a");
	settle();
	assert_int_equal(w.opened, 4); /* 100, 50, 1, 1 */
	assert_int_equal(eg->lanes.queued, 0);
	close_bed(eg);
}

static void
too_weak_for_it(void **state)
{
	struct egress	 *eg;
	struct connection cn;

	(void)state;
	eg = open_bed("delivery.dest.initial_connections 1\n");
	memset(&cn, 0, sizeof(cn));
	cn.egress = eg;
	cn.ready = true;
	eg->connections = &cn;
	eg->connection_count = 1;
	enqueue(eg, 0, 1, "a");
	settle();
	assert_int_equal(w.carried, 1);
	/* TLS is demanded: it makes room for another */
	cn.ready = true;
	dues[1].tls_policy = TLS_REQUIRE;
	enqueue(eg, 1, 1, "a");
	settle();
	assert_int_equal(w.quits, 1);
	assert_int_equal(w.opened, 1);
	/* no room even so: it is the first when there is */
	eg->limit = 2;
	site.max_connections = 1;
	cn.ready = true;
	eg->connection_count = 2;
	dues[2].tls_policy = TLS_REQUIRE;
	enqueue(eg, 2, 2, "a");
	settle();
	assert_int_equal(eg->lanes.queued, 2);
	assert_ptr_equal(lanes_find(&eg->lanes, "a")->small.first, &dues[2]);
	eg->connections = NULL;
	close_bed(eg);
}

static void
rows_that_are_gone(void **state)
{
	struct egress *eg = open_bed("");

	(void)state;
	w.gone = true;
	enqueue(eg, 0, 10, "a");
	settle();
	assert_int_equal(w.opened, 0);
	assert_int_equal(eg->lanes.queued, 0);
	close_bed(eg);
}

/* -- the rate -------------------------------------------------------------- */

static void
turns_under_a_rate(void **state) /* delivery.md 2.2, 10.2 */
{
	struct egress *eg = open_bed("delivery.dest.initial_connections 20\n");
	unsigned       i;

	(void)state;
	site.rate = 1;
	eg->limit = 1000;
	site.max_connections = 1000;
	enqueue(eg, 0, 100, "a");
	settle();
	assert_int_equal(w.opened, 1);
	/* sixty are near; the others were promised one a second */
	assert_int_equal(eg->lanes.queued, 59);
	assert_int_equal(w.moved, 40);
	for (i = 60; i < 100; i++)
		assert_int_equal(w.next[i].ms, BED_NOON + i * 1000);
	/* another account takes turns with it */
	enqueue(eg, 100, 1, "b");
	assert_true(fake_threads_advance(10000));
	assert_int_equal(w.opened, 11);
	assert_non_null(strchr(w.order, 'b'));
	/* who comes later stands behind the promises, although there is room */
	enqueue(eg, 101, 1, "a");
	assert_int_equal(w.next[101].ms, BED_NOON + 100000);
	/* who comes back at its time is let in */
	assert_true(fake_threads_advance(50000));
	w.moved = 0;
	enqueue(eg, 60, 1, "a");
	assert_int_equal(w.moved, 0);
	/* promises that have passed are forgotten */
	assert_true(fake_threads_advance(200000));
	assert_false(egress_tidy(eg) && eg->connection_count == 0);
	assert_int_equal(table_count(eg->lanes.by_account), 0);
	close_bed(eg);
}

static void
no_turn_is_more_than_an_hour_away(void **state)
{
	struct egress *eg = open_bed("");
	unsigned       i;

	(void)state;
	site.rate = 0.01;
	enqueue(eg, 0, 60, "a");
	settle();
	assert_int_equal(w.opened, 1);
	for (i = 1; i < 36; i++)
		assert_int_equal(w.next[i].ms, BED_NOON + i * 100000);
	for (i = 36; i < 60; i++)
		assert_int_equal(w.next[i].ms, BED_NOON + HOUR_MS);
	close_bed(eg);
}

static void
rates_are_exact(void **state)
{
	static const double rates[] = { 0.5, 3, 400, 1500 };
	struct group	    g;
	struct mono	    now;
	unsigned	    n;
	size_t		    i;

	(void)state;
	for (i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		memset(&g, 0, sizeof(g));
		n = 0;
		for (now.ms = 1000; now.ms < 11000;) {
			while (group_pause_ms(&g, rates[i], now) == 0) {
				group_count_message(&g, rates[i], now);
				n++;
			}
			now.ms += group_pause_ms(&g, rates[i], now);
		}
		assert_in_range(n, (unsigned)(rates[i] * 9.99),
		    (unsigned)(rates[i] * 10.01) + 1);
	}
	/* ten before it, and three accounts that take turns */
	memset(&g, 0, sizeof(g));
	now.ms = 1000;
	assert_int_equal(group_wait_ms(&g, 2, 10, now), 5000);
	g.busy = 3;
	assert_int_equal(group_wait_ms(&g, 2, 10, now), 15000);
	group_count_message(&g, 2, now);
	assert_int_equal(group_wait_ms(&g, 2, 10, now), 15500);
	assert_int_equal(group_wait_ms(&g, 0, 10, now), 0);
	/* what was not used is not saved up */
	memset(&g, 0, sizeof(g));
	now.ms = 100000;
	group_count_message(&g, 1, now);
	now.ms = 200000;
	group_count_message(&g, 1, now);
	assert_int_equal(group_pause_ms(&g, 1, now), 1000);
	assert_int_equal(group_pause_ms(&g, 0, now), 0);
}

/* One rate for the group, whatever source and site. */
static void
one_group_two_sources(void **state)
{
	struct egress *eg = open_bed(""), *other;
	struct source  source;

	(void)state;
	memset(&source, 0, sizeof(source));
	strcpy(source.address, "203.0.113.10");
	other = egress_new(&site, &source);
	site.rate = 1;
	enqueue(eg, 0, 5, "a");
	enqueue(other, 5, 5, "a");
	settle();
	assert_int_equal(w.opened, 1);
	eg->limit = other->limit = 20;
	assert_true(fake_threads_advance(9000));
	assert_int_equal(w.opened, 10);
	/* the connections are counted for each source */
	assert_int_equal(eg->outlet->connections +
		other->outlet->connections, 10);
	assert_int_equal(eg->outlet->connections, 5);
	other->outlet->connections = 0;
	egress_free(other);
	close_bed(eg);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accounts_take_turns),
		cmocka_unit_test(small_before_big),
		cmocka_unit_test(together_in_one_transaction),
		cmocka_unit_test(too_weak_for_it),
		cmocka_unit_test(rows_that_are_gone),
		cmocka_unit_test(turns_under_a_rate),
		cmocka_unit_test(no_turn_is_more_than_an_hour_away),
		cmocka_unit_test(rates_are_exact),
		cmocka_unit_test(one_group_two_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
