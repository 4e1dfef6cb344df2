/* SPDX-License-Identifier: ISC */
/*
 * One source towards one site: pace, hold-down, rate, fairness (delivery.md 8,
 * 10.2), with lanes and groups; connections are numbers here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "delivery_bed.h"

enum { DUES = 400 };

static struct carrier c;
static struct site    site;
static struct due     dues[DUES];
static struct {
	char	    order[DUES * 4 + 1]; /* accounts of attempts, in order */
	unsigned    begun[DUES], begun_count; /* their first ones */
	unsigned    most_begun;
	unsigned    opened, carried, quits, moved, left, fetched, put_back;
	unsigned    room, kept, carried_before;
	struct wall next[DUES]; /* of moved ones, by n */
	bool	    satisfies, has_waited;
	bool	    gone; /* rows are */
} w;

/* -- in the place of the other parts --------------------------------------- */

struct attempt *
carrier_make_attempt(struct carrier *carrier, struct due **list)
{
	struct attempt *a;
	struct due     *d;

	(void)carrier;
	if (w.gone) {
		*list = NULL;
		return NULL;
	}
	a = attempt_new();
	for (d = *list; d != NULL; d = d->next) {
		d->place = DUE_FLYING;
		a->count++;
	}
	return a;
}

static void
note(struct attempt *a, struct due *list)
{
	size_t n = strlen(w.order);

	if (w.begun_count < DUES)
		w.begun[w.begun_count++] = list->n;
	for (; list != NULL; list = list->next)
		w.order[n++] = list->account[0];
	w.order[n++] = ' ';
	w.order[n] = '\0';
	attempt_free(a);
}

void
connection_open(struct egress *eg, struct attempt *a, struct due *list)
{
	note(a, list);
	w.opened++;
	eg->connection_count++;
	eg->outlet->connections++;
	eg->carrier->connections++;
}

void
connection_carry(struct connection *cn, struct attempt *a, struct due *list)
{
	note(a, list);
	w.carried++;
	cn->ready = false;
}

void
connection_quit(struct connection *cn)
{
	w.quits++;
	cn->ready = false;
	cn->egress->connection_count--;
	if (c.idle == cn || c.idle_last == cn) {
		c.idle = c.idle_last = NULL;
		c.connections--;
	}
}

unsigned
transport_count(const struct transport *t)
{
	(void)t;
	return w.carried_before;
}

void
route_keep(struct route *r)
{
	(void)r;
	w.kept++;
}

void
connection_stop(struct connection *cn, bool hard)
{
	(void)cn;
	(void)hard;
}

void
connection_free(struct connection *cn)
{
	(void)cn;
}

bool
transport_satisfies(const struct transport *t, enum tls_demand d)
{
	(void)t;
	return w.satisfies || d < TLS_REQUIRE;
}

void
carrier_move(struct carrier *carrier, struct egress *eg, struct due *d,
    struct wall next)
{
	(void)eg;
	w.moved++;
	w.next[d->n] = next;
	d->told = loop_wall(carrier->loop);
	d->place = DUE_WAITING;
}

void
carrier_check_idle(struct carrier *carrier)
{
	(void)carrier;
}

void
route_take(struct carrier *carrier, struct due *d)
{
	(void)carrier;
	d->place = DUE_ROUTING;
	w.put_back++;
}

bool
scheduler_may_begin(const struct carrier *carrier)
{
	return carrier->items_out < 100;
}

static void
on_pass_end(void *carrier, void *unused)
{
	(void)carrier;
	(void)unused;
	if (w.most_begun < c.begun)
		w.most_begun = c.begun;
	c.begun = 0;
}

unsigned
scheduler_room(const struct carrier *carrier)
{
	(void)carrier;
	return w.room;
}

void
scheduler_leave(struct carrier *carrier, struct due *d, struct leftover *l)
{
	(void)carrier;
	(void)d;
	l->any = true;
	w.left++;
}

void
scheduler_fetch(struct carrier *carrier, struct leftover *l)
{
	(void)carrier;
	assert_true(l->any);
	w.fetched++;
}

/* -- the bed --------------------------------------------------------------- */

static struct egress *
open_bed(const char *conf)
{
	unsigned i;

	memset(&w, 0, sizeof(w));
	memset(&site, 0, sizeof(site));
	memset(dues, 0, sizeof(dues));
	w.room = DUES;
	for (i = 0; i < DUES; i++) {
		dues[i].n = i;
		dues[i].id.b[0] = (uint8_t)(i >> 8);
		dues[i].id.b[1] = (uint8_t)i;
		strcpy(dues[i].account, "a");
	}
	delivery_bed_open(&c, conf);
	loop_on_pass_end(c.loop, on_pass_end, NULL);
	site.carrier = &c;
	site.max_connections = 20;
	site.policy = TLS_TRY;
	strcpy(site.group_name, "g.example");
	strcpy(site.hosts[0].name, "mx.g.example");
	return egress_new(&site, NULL);
}

static void
close_bed(struct egress *eg)
{
	eg->outlet->connections = 0;
	egress_free(eg);
	assert_int_equal(table_count(c.outlets), 0);
	assert_int_equal(table_count(c.groups), 0);
	table_free(c.routes);
	table_free(c.sites);
	table_free(c.groups);
	table_free(c.outlets);
	delivery_bed_close(&c);
}

static void
enqueue(struct egress *eg, unsigned from, unsigned n, const char *account)
{
	unsigned i;

	for (i = from; i < from + n; i++) {
		strcpy(dues[i].account, account);
		dues[i].is_new = !w.has_waited;
		egress_enqueue(eg, &dues[i]);
	}
}

static void
settle(void)
{
	assert_true(fake_threads_settle());
}

/* A connection has ended. */
static void
end_one(struct egress *eg)
{
	eg->connection_count--;
	eg->outlet->connections--;
	c.connections--;
	egress_on_ended(eg);
	settle();
}

static void
learn(struct egress *eg, enum outcome_verdict verdict, unsigned code,
    enum delay_type delay, unsigned times)
{
	struct outcome o = { .verdict = verdict, .delay_type = delay };
	struct result  r = { .kind = RESULT_REPLY, .code = code };

	while (times-- > 0)
		egress_learn(eg, &o, &r);
}

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
		cmocka_unit_test(accounts_take_turns),
		cmocka_unit_test(small_before_big),
		cmocka_unit_test(together_in_one_transaction),
		cmocka_unit_test(too_weak_for_it),
		cmocka_unit_test(rows_that_are_gone),
		cmocka_unit_test(turns_under_a_rate),
		cmocka_unit_test(no_turn_is_more_than_an_hour_away),
		cmocka_unit_test(rates_are_exact),
		cmocka_unit_test(one_group_two_sources),
		cmocka_unit_test(left_to_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
