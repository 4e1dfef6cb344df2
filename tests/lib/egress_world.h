/* SPDX-License-Identifier: ISC */
/*
 * egress_world.h - one source towards one site, with lanes and groups;
 * connections are numbers, carrier and scheduler are written here.
 * Use:    open_bed and close_bed around each test; enqueue(), settle(),
 *         end_one(), learn(); w says what was begun.
 * Owner:  the test; one carrier, for all.
 * Thread: one; the fake loop's.
 * Fails:  by the test's assertions.
 */
#ifndef TESTS_EGRESS_WORLD_H
#define TESTS_EGRESS_WORLD_H

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
	unsigned    room, kept, carried_before, gave_way;
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

static inline void
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

void
connection_give_way(struct connection *cn)
{
	w.gave_way++;
	patience_end(&c.patience, &cn->wait);
	cn->egress->connection_count--;
	c.connections--;
	egress_on_ended(cn->egress);
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

static inline void
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

static inline struct egress *
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
	egress_watch_init(&c);
	site.carrier = &c;
	site.max_connections = 20;
	site.policy = TLS_TRY;
	strcpy(site.group_name, "g.example");
	strcpy(site.hosts[0].name, "mx.g.example");
	return egress_new(&site, NULL);
}

static inline void
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

static inline void
enqueue(struct egress *eg, unsigned from, unsigned n, const char *account)
{
	unsigned i;

	for (i = from; i < from + n; i++) {
		strcpy(dues[i].account, account);
		dues[i].is_new = !w.has_waited;
		egress_enqueue(eg, &dues[i]);
	}
}

static inline void
settle(void)
{
	assert_true(fake_threads_settle());
}

/* A connection has ended. */
static inline void
end_one(struct egress *eg)
{
	eg->connection_count--;
	eg->outlet->connections--;
	c.connections--;
	egress_on_ended(eg);
	settle();
}

static inline void
learn(struct egress *eg, enum outcome_verdict verdict, unsigned code,
    enum delay_type delay, unsigned times)
{
	struct outcome o = { .verdict = verdict, .delay_type = delay };
	struct result  r = { .kind = RESULT_REPLY, .code = code };

	while (times-- > 0)
		egress_learn(eg, &o, &r);
}

#endif
