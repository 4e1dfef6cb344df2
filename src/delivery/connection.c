/* SPDX-License-Identifier: ISC */
/*
 *	connection_open --dial--> connection_on_ready --> an attempt travels
 *	    --> connection_on_done --> connection_on_ready: worn? idle, or the
 *	    next attempt --> ... --> connection_ended
 *
 * Holds always: it has an attempt while it dials or carries, none while it is
 * ready; it is among those that wait for an answer only while it dials; the counts of egress, outlet and carrier include it until
 * connection_ended().
 */
#include "delivery/connection.h"

#include <stdio.h>
#include <string.h>

#include "delivery/carrier_private.h"
#include "delivery/dial.h"
#include "net/stream.h"

/* -- the carrier's idle ones, the longest idle one first ------------------- */

static void
connection_set_idle(struct connection *cn)
{
	struct carrier *c = cn->egress->carrier;

	must(!cn->ready);
	cn->ready = true;
	cn->ready_since = loop_now(c->loop);
	cn->idle_next = NULL;
	cn->idle_before = c->idle_last;
	if (c->idle_last != NULL)
		c->idle_last->idle_next = cn;
	else
		c->idle = cn;
	c->idle_last = cn;
}

static void
connection_set_busy(struct connection *cn)
{
	struct carrier *c = cn->egress->carrier;

	if (!cn->ready)
		return;
	cn->ready = false;
	if (cn->idle_before != NULL)
		cn->idle_before->idle_next = cn->idle_next;
	else
		c->idle = cn->idle_next;
	if (cn->idle_next != NULL)
		cn->idle_next->idle_before = cn->idle_before;
	else
		c->idle_last = cn->idle_before;
}

static void
connection_on_idle(void *connection, void *unused)
{
	(void)unused;
	connection_quit(connection);
}

static void
connection_count(struct egress *eg, int d)
{
	struct carrier *c = eg->carrier;

	eg->connection_count += (unsigned)d;
	eg->outlet->connections += (unsigned)d;
	c->connections += (unsigned)d;
	meter_set(&c->set.meters->connections, c->connections);
}

static void
connection_take(struct connection *cn, struct attempt *a, struct due *dues)
{
	must(cn->attempt == NULL);
	cn->attempt = a;
	cn->dues = dues;
}

void
connection_open(struct egress *eg, struct attempt *a, struct due *dues)
{
	struct connection *cn = mem_alloc(sizeof(*cn));

	cn->egress = eg;
	cn->wait.of = cn;
	timer_init(&cn->idle, eg->carrier->loop, connection_on_idle, cn);
	cn->next = eg->connections;
	eg->connections = cn;
	connection_count(eg, 1);
	connection_take(cn, a, dues);
	dial_begin(cn);
}

void
connection_ended(struct connection *cn)
{
	struct egress	   *eg = cn->egress;
	struct connection **p = &eg->connections;

	must(cn->attempt == NULL && cn->transport == NULL);
	while (*p != cn)
		p = &(*p)->next;
	*p = cn->next;
	timer_clear(&cn->idle);
	connection_set_busy(cn);
	patience_end(&eg->carrier->patience, &cn->wait);
	connection_count(eg, -1);
	loop_reap(eg->carrier->loop, mem_free, cn);
	egress_on_ended(eg);
}

void
connection_quit(struct connection *cn)
{
	struct transport *t = cn->transport;

	timer_clear(&cn->idle);
	cn->transport = NULL;
	connection_set_busy(cn);
	transport_quit(t);
	connection_ended(cn);
}

static void
connection_drop_attempt(struct connection *cn)
{
	attempt_free(cn->attempt);
	cn->attempt = NULL;
	cn->dues = NULL;
}

void
connection_failed(struct connection *cn, const struct result *r)
{
	struct egress  *eg = cn->egress;
	struct attempt *a = cn->attempt;
	struct due     *dues = cn->dues;
	unsigned	i;

	meter_add(&eg->carrier->set.meters->connections_failed, 1);
	for (i = 0; i < a->count; i++)
		a->envelopes[i].result = *r;
	cn->attempt = NULL;
	cn->dues = NULL;
	carrier_settle(eg->carrier, eg, a, dues);
	egress_on_failure(eg, r);
	connection_ended(cn);
}

/* Another source address may have a way: the attempt was none. */
void
connection_failed_foreign(struct connection *cn, const struct result *r)
{
	struct egress *eg = cn->egress;
	struct due    *d, *dues = cn->dues;

	egress_on_foreign(eg);
	if (!site_has_other_family(eg->site, dues)) {
		connection_failed(cn, r);
		return;
	}
	connection_drop_attempt(cn);
	egress_send_elsewhere(eg);
	while ((d = dues) != NULL) {
		dues = d->next;
		d->next = NULL;
		route_take(eg->carrier, d);
	}
	connection_ended(cn);
}

/* -- attempts -------------------------------------------------------------- */

static void
connection_deliver(struct connection *cn)
{
	struct carrier *c = cn->egress->carrier;
	struct attempt *a = cn->attempt;
	char		day[CLOCK_TEXT_MAX];

	connection_set_busy(cn);
	if (c->conf->delivery.x_ses_outgoing)
		a->prefix = bytes_of(arena_printf(a->arena,
		    "X-SES-Outgoing: %s-%s\r\n",
		    wall_dotted_day(loop_wall(c->loop), day),
		    transport_local_ip(cn->transport)));
	transport_deliver(cn->transport, a);
}

void
connection_carry(struct connection *cn, struct attempt *a, struct due *dues)
{
	must(cn->ready);
	timer_clear(&cn->idle);
	connection_take(cn, a, dues);
	connection_deliver(cn);
}

static int64_t
connection_life_left(const struct connection *cn)
{
	struct carrier *c = cn->egress->carrier;

	return transport_since(cn->transport).ms +
	    c->conf->delivery.reuse_age_ms - loop_now(c->loop).ms;
}

/* The connection has done its share: by count, by age, by the peer's word;
 * or there are more of them than the peer bears. */
static bool
connection_is_worn(const struct connection *cn)
{
	struct egress *eg = cn->egress;
	unsigned       n = transport_count(cn->transport);
	uint64_t       most = transport_mail_max(cn->transport);

	return n >= eg->site->reuse_max || (most > 0 && n >= most) ||
	    connection_life_left(cn) <= 0 || egress_must_yield(eg, n) ||
	    eg->connection_count > eg->limit || eg->carrier->stopping;
}

/* What protects it, and what was asked for. */
static void
connection_count_tls(const struct connection *cn)
{
	const struct stream_tls *tls = transport_tls(cn->transport);
	struct carrier_meters	*m = cn->egress->carrier->set.meters;
	unsigned		 version = 0;

	if (tls->active)
		version = strcmp(tls->version, "TLSv1.2") == 0 ? 1 : 2;
	meter_add(&m->tls[cn->attempt->tls][version][tls->active &&
	    tls->verified], 1);
}

void
connection_await(struct connection *cn)
{
	struct carrier *c = cn->egress->carrier;

	patience_begin(&c->patience, &cn->wait, cn->egress->site,
	    loop_now(c->loop));
	egress_watch_dials(c);
}

void
connection_on_answer(void *connection)
{
	connection_await(connection);
}

void
connection_give_way(struct connection *cn)
{
	struct egress *eg = cn->egress;

	must(cn->dialing);
	meter_add(&eg->carrier->set.meters->connections_gave_way, 1);
	dial_give_way(cn);
}

void
connection_on_ready(void *connection)
{
	struct connection *cn = connection;
	struct egress	  *eg = cn->egress;
	int64_t		   idle;

	if (cn->dialing) {
		cn->dialing = false;
		patience_end(&eg->carrier->patience, &cn->wait);
		egress_on_connected(eg);
		connection_count_tls(cn);
		connection_deliver(cn);
		return;
	}
	if (connection_is_worn(cn)) {
		connection_quit(cn);
		return;
	}
	connection_set_idle(cn);
	idle = eg->carrier->conf->delivery.reuse_idle_ms;
	if (idle > connection_life_left(cn))
		idle = connection_life_left(cn);
	timer_set(&cn->idle, idle);
	egress_offer_place(eg);
	egress_run(eg);
}

/* A kept connection that the peer has closed meanwhile says nothing about
 * the message: it goes on another one. */
static bool
connection_was_stale(const struct connection *cn, const struct attempt *a)
{
	const struct result *r = &a->envelopes[0].result;

	return transport_count(cn->transport) > 1 &&
	    r->stage == CLASSIFY_MAIL &&
	    (r->kind == RESULT_LOST ||
		(r->kind == RESULT_REPLY && r->code == 421));
}

void
connection_on_done(void *connection, struct attempt *a)
{
	struct connection *cn = connection;
	struct egress	  *eg = cn->egress;
	struct due	  *dues = cn->dues;

	must(a == cn->attempt);
	if (connection_was_stale(cn, a) && !eg->carrier->stopping) {
		connection_drop_attempt(cn);
		egress_put_back(eg, dues);
		return;
	}
	cn->attempt = NULL;
	cn->dues = NULL;
	carrier_settle(eg->carrier, eg, a, dues);
}

/* -- the end --------------------------------------------------------------- */

void
connection_stop(struct connection *cn, bool hard)
{
	if (cn->ready) {
		connection_quit(cn);
	} else if (cn->dialing) {
		dial_cancel(cn);
		connection_drop_attempt(cn);
		connection_ended(cn);
	} else if (hard && transport_abandon(cn->transport)) {
		cn->transport = NULL;
		connection_drop_attempt(cn);
		connection_ended(cn);
	}
}

void
connection_free(struct connection *cn)
{
	timer_clear(&cn->idle);
	connection_set_busy(cn);
	patience_end(&cn->egress->carrier->patience, &cn->wait);
	transport_close(cn->transport);
	attempt_free(cn->attempt);
	mem_free(cn);
}
