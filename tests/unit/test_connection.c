/* SPDX-License-Identifier: ISC */
/*
 * The life of a connection (delivery.md 8, reuse; 13, shut-down), its
 * transport and its dial being numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/dial.h"
#include "delivery_bed.h"
#include "net/stream.h"

static struct carrier	  c;
static struct site	  site;
static struct egress	  eg;
static struct outlet	  outlet;
static struct due	  due;
static struct {
	struct connection *dialled;
	unsigned	   dials, cancelled, delivered, quits, closed, settled;
	unsigned	   called, carried, watched, gave_way;
	bool		   must_yield;
	unsigned	   ended, failures, connected, put_back;
	unsigned	   elsewhere, taken;
	unsigned	   count; /* transactions of the transport */
	uint64_t	   mail_max;
	struct mono	   since;
	bool		   abandons, has_other;
	struct result	   result; /* as it was settled */
	struct attempt	  *attempt; /* that travels */
	char		   prefix[128];
} w;

/* -- in the place of the other parts --------------------------------------- */

void
dial_begin(struct connection *cn)
{
	w.dialled = cn;
	w.dials++;
	cn->dialing = true;
	cn->transport = NULL;
}

void
dial_give_way(struct connection *cn)
{
	struct result r = { .kind = RESULT_TIMEOUT };

	w.gave_way++;
	cn->dialing = false;
	connection_failed(cn, &r);
}

void
dial_cancel(struct connection *cn)
{
	cn->dialing = false;
	w.cancelled++;
}

void
transport_deliver(struct transport *t, struct attempt *a)
{
	assert_ptr_equal(t, &w);
	w.attempt = a;
	w.delivered++;
	w.count++;
	bytes_text(a->prefix, w.prefix, sizeof(w.prefix));
}

void
transport_quit(struct transport *t)
{
	assert_ptr_equal(t, &w);
	w.quits++;
}

void
transport_close(struct transport *t)
{
	w.closed += t != NULL;
}

bool
transport_abandon(struct transport *t)
{
	(void)t;
	return w.abandons;
}

unsigned
transport_count(const struct transport *t)
{
	(void)t;
	return w.count;
}

uint64_t
transport_mail_max(const struct transport *t)
{
	(void)t;
	return w.mail_max;
}

const struct stream_tls *
transport_tls(const struct transport *t)
{
	static const struct stream_tls clear = { .active = false };

	(void)t;
	return &clear;
}

const char *
transport_local_ip(const struct transport *t)
{
	(void)t;
	return "203.0.113.10";
}

struct mono
transport_since(const struct transport *t)
{
	(void)t;
	return w.since;
}

void
carrier_settle(struct carrier *carrier, struct egress *egress,
    struct attempt *a, struct due *dues)
{
	(void)carrier;
	assert_ptr_equal(egress, &eg);
	assert_ptr_equal(dues, &due);
	w.settled++;
	w.result = a->envelopes[0].result;
	attempt_free(a);
}

void
egress_on_failure(struct egress *egress, const struct result *r)
{
	(void)egress;
	(void)r;
	w.failures++;
}

void
egress_on_connected(struct egress *egress)
{
	(void)egress;
	w.connected++;
}

void
egress_on_foreign(struct egress *egress)
{
	(void)egress;
}

void
egress_send_elsewhere(struct egress *egress)
{
	(void)egress;
	w.elsewhere++;
}

void
egress_on_ended(struct egress *egress)
{
	(void)egress;
	w.ended++;
}

void
egress_watch_dials(struct carrier *carrier)
{
	assert_ptr_equal(carrier, &c);
	w.watched++;
}

void
egress_offer_place(const struct egress *egress)
{
	assert_ptr_equal(egress, &eg);
	w.called++;
}

bool
egress_must_yield(const struct egress *egress, unsigned carried)
{
	assert_ptr_equal(egress, &eg);
	w.carried = carried;
	return w.must_yield;
}

void
egress_put_back(struct egress *egress, struct due *dues)
{
	(void)egress;
	assert_ptr_equal(dues, &due);
	w.put_back++;
}

void
egress_run(struct egress *egress)
{
	(void)egress;
}

bool
site_has_other_family(struct site *s, const struct due *d)
{
	(void)s;
	(void)d;
	return w.has_other;
}

void
route_take(struct carrier *carrier, struct due *d)
{
	(void)carrier;
	assert_ptr_equal(d, &due);
	w.taken++;
}

/* -- the bed --------------------------------------------------------------- */

static struct attempt *
attempt(void)
{
	struct attempt *a = attempt_new();

	a->envelopes = arena_alloc(a->arena, sizeof(*a->envelopes));
	a->count = 1;
	return a;
}

static void
open_bed(const char *conf)
{
	memset(&w, 0, sizeof(w));
	memset(&site, 0, sizeof(site));
	memset(&eg, 0, sizeof(eg));
	memset(&outlet, 0, sizeof(outlet));
	memset(&due, 0, sizeof(due));
	delivery_bed_open(&c, conf);
	site.reuse_max = 100;
	eg.carrier = &c;
	eg.site = &site;
	eg.outlet = &outlet;
	eg.limit = 5;
}

static void
close_bed(void)
{
	struct connection *cn;

	while ((cn = eg.connections) != NULL) {
		eg.connections = cn->next;
		connection_free(cn);
	}
	table_free(c.routes);
	table_free(c.sites);
	table_free(c.groups);
	table_free(c.outlets);
	delivery_bed_close(&c);
}

static void
settle(void)
{
	assert_true(fake_threads_settle());
}

/* The attempt of a connection that is there now has ended. */
static void
done(struct connection *cn, enum result_kind kind, enum classify_stage stage,
    unsigned code)
{
	struct result *r = &w.attempt->envelopes[0].result;

	r->kind = kind;
	r->stage = stage;
	r->code = code;
	connection_on_done(cn, w.attempt);
}

static struct connection *
connected(void)
{
	struct connection *cn;

	connection_open(&eg, attempt(), &due);
	cn = w.dialled;
	cn->transport = (struct transport *)&w;
	w.since = loop_now(c.loop);
	connection_on_ready(cn);
	return cn;
}

/* -- cases ----------------------------------------------------------------- */

static void
carries_one_after_the_other(void **state)
{
	struct connection *cn;

	(void)state;
	open_bed("");
	cn = connected();
	assert_int_equal(w.connected, 1);
	assert_int_equal(w.delivered, 1);
	assert_string_equal(w.prefix,
	    "X-SES-Outgoing: 2024.05.01-203.0.113.10\r\n");
	assert_int_equal(eg.connection_count, 1);
	assert_int_equal(outlet.connections, 1);
	assert_int_equal(c.connections, 1);
	done(cn, RESULT_REPLY, CLASSIFY_DOT, 250);
	assert_int_equal(w.settled, 1);
	connection_on_ready(cn);
	assert_true(cn->ready);
	connection_carry(cn, attempt(), &due);
	assert_false(cn->ready);
	assert_int_equal(w.delivered, 2);
	done(cn, RESULT_REPLY, CLASSIFY_RCPT, 550);
	connection_on_ready(cn);
	/* ten seconds of nothing */
	assert_true(fake_threads_advance(9999));
	assert_int_equal(w.quits, 0);
	assert_true(fake_threads_advance(1));
	assert_int_equal(w.quits, 1);
	assert_int_equal(w.ended, 1);
	assert_int_equal(eg.connection_count, 0);
	assert_int_equal(outlet.connections, 0);
	assert_int_equal(c.connections, 0);
	close_bed();
	/* without the line */
	open_bed("delivery.x_ses_outgoing no\n");
	cn = connected();
	assert_string_equal(w.prefix, "");
	attempt_free(cn->attempt);
	cn->attempt = NULL;
	close_bed();
}

static void
worn_connections_end(void **state) /* delivery#17 (decision) */
{
	static const struct {
		unsigned reuse_max, count, limit;
		uint64_t mail_max;
		int64_t	 age_ms;
		bool	 stopping, ends;
	} cases[] = {
		{ 100, 99, 5, 0, 0, false, false },
		{ 100, 100, 5, 0, 0, false, true },
		{ 3, 3, 5, 0, 0, false, true },
		{ 100, 6, 5, 7, 0, false, false },
		{ 100, 7, 5, 7, 0, false, true }, /* LIMITS MAILMAX */
		{ 100, 1, 5, 0, 299999, false, false },
		{ 100, 1, 5, 0, 300000, false, true },
		{ 100, 1, 0, 0, 0, false, true }, /* more than it bears */
		{ 100, 1, 5, 0, 0, true, true },
	};
	struct connection *cn;
	size_t		   i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_bed("delivery.reuse_age 300s\ndelivery.reuse_idle 200s\n");
		site.reuse_max = cases[i].reuse_max;
		cn = connected();
		assert_true(fake_threads_advance(cases[i].age_ms));
		done(cn, RESULT_REPLY, CLASSIFY_DOT, 250);
		w.count = cases[i].count;
		w.mail_max = cases[i].mail_max;
		eg.limit = cases[i].limit;
		c.stopping = cases[i].stopping;
		connection_on_ready(cn);
		if (w.quits != cases[i].ends)
			fail_msg("case %zu: %u", i, w.quits);
		/* the age ends it, although it was idle for less */
		if (!cases[i].ends && cases[i].age_ms > 0) {
			assert_true(fake_threads_advance(1));
			assert_int_equal(w.quits, 1);
		}
		settle();
		close_bed();
	}
}

/* One that others need more ends; one that would be idle makes room. */
static void
gives_way_to_others(void **state)
{
	struct connection *first, *second;

	(void)state;
	open_bed("");
	first = connected();
	done(first, RESULT_REPLY, CLASSIFY_DOT, 250);
	second = connected();
	done(second, RESULT_REPLY, CLASSIFY_DOT, 250);
	w.count = 7;
	w.must_yield = true;
	connection_on_ready(second);
	assert_int_equal(w.carried, 7);
	assert_int_equal(w.quits, 1);
	assert_int_equal(eg.connection_count, 1);
	assert_int_equal(w.called, 0);
	w.must_yield = false;
	connection_on_ready(first);
	assert_int_equal(w.quits, 1);
	assert_true(first->ready);
	assert_ptr_equal(c.idle, first);
	assert_int_equal(w.called, 1);
	connection_carry(first, attempt(), &due);
	assert_null(c.idle);
	done(first, RESULT_REPLY, CLASSIFY_DOT, 250);
	close_bed();
}

static void
failed_dials(void **state)
{
	struct result	   r = { .kind = RESULT_CONNECT };
	struct connection *cn;

	(void)state;
	open_bed("");
	connection_open(&eg, attempt(), &due);
	connection_failed(w.dialled, &r);
	assert_int_equal(w.settled, 1);
	assert_int_equal(w.result.kind, RESULT_CONNECT);
	assert_int_equal(w.failures, 1);
	assert_int_equal(w.ended, 1);
	assert_int_equal(c.connections, 0);
	/* no family: by another source, without a failure, if there is one */
	connection_open(&eg, attempt(), &due);
	w.dialled->dialing = false;
	connection_failed_foreign(w.dialled, &r);
	assert_int_equal(w.settled, 2);
	assert_int_equal(w.taken, 0);
	w.has_other = true;
	connection_open(&eg, attempt(), &due);
	cn = w.dialled;
	cn->dialing = false;
	connection_failed_foreign(cn, &r);
	assert_int_equal(w.settled, 2);
	assert_int_equal(w.taken, 1);
	assert_int_equal(w.elsewhere, 1);
	assert_int_equal(w.ended, 3);
	settle();
	close_bed();
}

/* A kept connection that has gone says nothing about the message. */
static void
stale_connections(void **state)
{
	static const struct {
		enum result_kind    kind;
		enum classify_stage stage;
		unsigned	    code, count;
		bool		    put_back;
	} cases[] = {
		{ RESULT_LOST, CLASSIFY_MAIL, 0, 2, true },
		{ RESULT_REPLY, CLASSIFY_MAIL, 421, 2, true },
		{ RESULT_LOST, CLASSIFY_MAIL, 0, 1, false },
		{ RESULT_REPLY, CLASSIFY_MAIL, 451, 2, false },
		{ RESULT_LOST, CLASSIFY_RCPT, 0, 2, false },
		{ RESULT_UNSURE, CLASSIFY_RCPT, 0, 2, false },
		{ RESULT_TIMEOUT, CLASSIFY_MAIL, 0, 2, false },
	};
	struct connection *cn;
	size_t		   i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_bed("");
		cn = connected();
		w.count = cases[i].count;
		done(cn, cases[i].kind, cases[i].stage, cases[i].code);
		if (w.put_back != cases[i].put_back ||
		    w.settled == cases[i].put_back)
			fail_msg("case %zu", i);
		assert_null(cn->attempt);
		close_bed();
	}
}

static void
shut_down(void **state) /* delivery.md 13 */
{
	struct connection *cn;

	(void)state;
	open_bed("");
	/* idle: QUIT */
	cn = connected();
	done(cn, RESULT_REPLY, CLASSIFY_DOT, 250);
	connection_on_ready(cn);
	connection_stop(cn, false);
	assert_int_equal(w.quits, 1);
	/* being dialled: it is no attempt yet */
	connection_open(&eg, attempt(), &due);
	connection_stop(w.dialled, false);
	assert_int_equal(w.cancelled, 1);
	/* under way: 30 s, then what has not sent all */
	cn = connected();
	connection_stop(cn, false);
	assert_int_equal(eg.connection_count, 1);
	connection_stop(cn, true);
	assert_int_equal(eg.connection_count, 1);
	w.abandons = true;
	connection_stop(cn, true);
	assert_int_equal(eg.connection_count, 0);
	assert_int_equal(w.settled, 1);
	settle();
	close_bed();
}

/* Among those that wait for an answer only while it dials. */
static void
waits_while_it_dials(void **state)
{
	struct connection *a, *b;

	(void)state;
	open_bed("");
	connection_open(&eg, attempt(), &due);
	a = w.dialled;
	connection_await(a);
	assert_true(fake_threads_advance(10000));
	connection_open(&eg, attempt(), &due);
	b = w.dialled;
	connection_await(b);
	assert_int_equal(w.watched, 2);
	assert_ptr_equal(patience_longest(&c.patience, NULL)->of, a);
	assert_true(fake_threads_advance(1));
	connection_on_answer(a);
	assert_ptr_equal(patience_longest(&c.patience, NULL)->of, b);
	b->transport = (struct transport *)&w;
	connection_on_ready(b);
	assert_ptr_equal(patience_longest(&c.patience, NULL)->of, a);
	connection_give_way(a);
	assert_null(c.patience.first);
	assert_int_equal(w.gave_way, 1);
	assert_int_equal(meter_get(&bed_meters.connections_gave_way), 1);
	/* as any that has failed: settled, learnt from, its place is free */
	assert_int_equal(w.settled, 1);
	assert_int_equal(w.result.kind, RESULT_TIMEOUT);
	assert_int_equal(w.failures, 1);
	assert_int_equal(w.ended, 1);
	assert_int_equal(c.connections, 1);
	close_bed();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_one_after_the_other),
		cmocka_unit_test(worn_connections_end),
		cmocka_unit_test(gives_way_to_others),
		cmocka_unit_test(failed_dials),
		cmocka_unit_test(stale_connections),
		cmocka_unit_test(shut_down),
		cmocka_unit_test(waits_while_it_dials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
