/* SPDX-License-Identifier: ISC */
/*
 * One source address towards one site.
 *
 *	envelope --egress_enqueue--> lane of its account --egress_run-->
 *	    attempt on an idle connection, or on a new one (dial)
 *	dial failed --connection_failed--> outcome; after five in a row the
 *	    egress is held down and what waits is moved to the end of that
 *	attempt done --connection_on_done--> outcome; the connection is reused
 *	    (connection_on_ready), or ended (connection_ended)
 *
 * Holds always: connection_count <= limit; a connection has an attempt while
 * it dials or carries; queued = envelopes in the lanes.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "delivery/carrier_private.h"

enum {
	HOLD_AFTER = 5,
	HOLD_MIN_MS = 5 * MINUTE_MS,
	GOOD_STEP = 20, /* deliveries for one more connection */
	BIG_TURN = 8,
	TOGETHER_MAX = 100 /* recipients in one transaction (verp = message) */
};

static struct group *
egress_group(struct carrier *c, const struct site *s, const char *source)
{
	struct group *g;
	char	      key[DOMAIN_SIZE + 80];

	snprintf(key, sizeof(key), "%s %s", s->group_name, source);
	g = table_get(c->groups, bytes_of(key));
	if (g == NULL) {
		g = mem_alloc(sizeof(*g));
		g->key = mem_dup(key);
		must(table_put(c->groups, bytes_of(key), g));
	}
	return g;
}

static void
egress_on_wake(void *egress, void *unused)
{
	(void)unused;
	egress_run(egress);
}

struct egress *
egress_new(struct site *s, const struct source *source)
{
	struct egress *eg = mem_alloc(sizeof(*eg));

	eg->carrier = s->carrier;
	eg->site = s;
	if (source != NULL) {
		snprintf(eg->source_text, sizeof(eg->source_text), "%s",
		    source->address);
		snprintf(eg->ehlo, sizeof(eg->ehlo), "%s", source->ehlo);
	}
	eg->group = egress_group(s->carrier, s, eg->source_text);
	eg->limit = s->carrier->conf->delivery.dest.initial_connections;
	timer_init(&eg->wake, s->carrier->loop, egress_on_wake, eg);
	return eg;
}

bool
egress_is_held(const struct egress *eg)
{
	return loop_now(eg->carrier->loop).ms < eg->hold_until.ms;
}

/* -- lanes: fairness between accounts ---------------------------------------- */

static struct lane *
egress_lane(struct egress *eg, const char *account)
{
	struct lane *l = eg->lanes;

	if (l != NULL)
		do {
			if (strcmp(l->account, account) == 0)
				return l;
			l = l->next;
		} while (l != eg->lanes);
	l = mem_alloc(sizeof(*l));
	snprintf(l->account, sizeof(l->account), "%s", account);
	due_list_init(&l->small);
	due_list_init(&l->big);
	if (eg->lanes == NULL) {
		l->next = l;
		eg->lanes = eg->turn = l;
	} else {
		l->next = eg->lanes->next;
		eg->lanes->next = l;
	}
	return l;
}

static void
egress_remove_lane(struct egress *eg, struct lane *l)
{
	struct lane *before = l;

	while (before->next != l)
		before = before->next;
	if (before == l) {
		eg->lanes = eg->turn = NULL;
	} else {
		before->next = l->next;
		if (eg->lanes == l)
			eg->lanes = l->next;
		if (eg->turn == l)
			eg->turn = l->next;
	}
	mem_free(l);
}

static struct due *
egress_take(struct egress *eg)
{
	struct lane *l = eg->turn;
	struct due  *d;

	if (l == NULL)
		return NULL;
	if (l->small.first == NULL ||
	    (l->big.first != NULL && ++l->big_turn % BIG_TURN == 0))
		d = due_list_take(&l->big);
	else
		d = due_list_take(&l->small);
	eg->turn = l->next;
	eg->queued--;
	if (l->small.first == NULL && l->big.first == NULL)
		egress_remove_lane(eg, l);
	return d;
}

/* Further recipients of the same message, next in the lane. */
static struct due *
egress_take_together(struct egress *eg, struct due *first)
{
	struct due_list *list;
	struct lane	*l;
	struct due	*d, **last = &first->next;
	unsigned	 n = 1;

	if (eg->carrier->conf->mail_from.verp != CONF_VERP_MESSAGE ||
	    eg->lanes == NULL)
		return first;
	l = egress_lane(eg, first->account);
	list = first->size <= LANE_SMALL ? &l->small : &l->big;
	while (n < TOGETHER_MAX && list->first != NULL &&
	    msgid_cmp(&list->first->id, &first->id) == 0) {
		d = due_list_take(list);
		eg->queued--;
		*last = d;
		last = &d->next;
		n++;
	}
	if (l->small.first == NULL && l->big.first == NULL)
		egress_remove_lane(eg, l);
	return first;
}

void
egress_enqueue(struct egress *eg, struct due *d)
{
	struct lane *l;

	if (egress_is_held(eg)) {
		carrier_move(eg->carrier, eg, d, (struct wall){
		    loop_wall(eg->carrier->loop).ms + eg->hold_until.ms -
			loop_now(eg->carrier->loop).ms });
		return;
	}
	l = egress_lane(eg, d->account);
	due_list_add(d->size <= LANE_SMALL ? &l->small : &l->big, d);
	d->place = DUE_QUEUED;
	eg->queued++;
	eg->site->used = loop_now(eg->carrier->loop);
	/* those that come in this pass are looked at together */
	timer_set(&eg->wake, 0);
}

/* -- pace ----------------------------------------------------------------------- */

static void
egress_hold(struct egress *eg)
{
	struct carrier *c = eg->carrier;
	struct due     *d;
	struct wall	until;

	eg->hold_ms = eg->hold_ms == 0	? HOLD_MIN_MS
	    : eg->hold_ms * 2 > HOUR_MS ? HOUR_MS
					: eg->hold_ms * 2;
	eg->hold_until.ms = loop_now(c->loop).ms + eg->hold_ms;
	until.ms = loop_wall(c->loop).ms + eg->hold_ms;
	log_info("held-down", "relay=%s egress=%s for_ms=%lld",
	    eg->site->hosts[0].name,
	    eg->source_text[0] != '\0' ? eg->source_text : "-",
	    (long long)eg->hold_ms);
	while ((d = egress_take(eg)) != NULL)
		carrier_move(c, eg, d, until);
}

static void
egress_halve(struct egress *eg)
{
	eg->limit = eg->limit > 1 ? eg->limit / 2 : 1;
	eg->good = 0;
}

void
egress_learn(struct egress *eg, const struct outcome *o,
    const struct result *r)
{
	bool throttled = r->kind == RESULT_REPLY &&
	    (r->code == 421 || (o->verdict == OUTCOME_LATER &&
		(o->delay_type == DELAY_IP_FAILURE ||
		    o->delay_type == DELAY_SPAM_DETECTED)));

	if (r->kind == RESULT_REPLY)
		bytes_text(bytes_of(r->text), eg->site->last_reply,
		    sizeof(eg->site->last_reply));
	if (throttled)
		egress_halve(eg);
	else if (o->verdict == OUTCOME_LATER)
		eg->good = 0;
	else if (o->verdict == OUTCOME_DELIVERED && ++eg->good >= GOOD_STEP) {
		eg->good = 0;
		if (eg->limit < eg->site->max_connections)
			eg->limit++;
	}
}

/* The group's rate; false = wait (the timer is set). */
static bool
egress_may_send(struct egress *eg)
{
	int64_t now = loop_now(eg->carrier->loop).ms;

	if (eg->site->rate <= 0)
		return true;
	if (eg->group->next_message.ms > now) {
		timer_set(&eg->wake, eg->group->next_message.ms - now);
		return false;
	}
	return true;
}

static void
egress_count_message(struct egress *eg)
{
	int64_t now = loop_now(eg->carrier->loop).ms;

	if (eg->site->rate <= 0)
		return;
	if (eg->group->next_message.ms < now)
		eg->group->next_message.ms = now;
	eg->group->next_message.ms += (int64_t)(1000.0 / eg->site->rate);
}

static void
group_run_waiting(struct group *g)
{
	struct egress *eg;

	while ((eg = g->waiting) != NULL) {
		g->waiting = eg->next_waiting;
		eg->waits = false;
		timer_set(&eg->wake, 0);
	}
}

static bool
egress_may_connect(struct egress *eg)
{
	struct carrier *c = eg->carrier;

	if (eg->connection_count >= eg->limit)
		return false;
	if (eg->group->connections >= eg->site->max_connections) {
		if (!eg->waits) {
			eg->waits = true;
			eg->next_waiting = eg->group->waiting;
			eg->group->waiting = eg;
		}
		return false;
	}
	if (c->connections < c->conf->delivery.max_connections)
		return true;
	if (!eg->starved) {
		eg->starved = true;
		eg->next_starved = NULL;
		*c->starved_last = eg;
		c->starved_last = &eg->next_starved;
	}
	return false;
}

/* -- connections ------------------------------------------------------------------ */

static void
connection_on_idle(void *connection, void *unused)
{
	struct connection *cn = connection;
	struct transport  *t = cn->transport;

	(void)unused;
	cn->transport = NULL;
	transport_quit(t);
	connection_ended(cn);
}

static struct connection *
connection_new(struct egress *eg)
{
	struct connection *cn = mem_alloc(sizeof(*cn));

	cn->egress = eg;
	timer_init(&cn->idle, eg->carrier->loop, connection_on_idle, cn);
	cn->next = eg->connections;
	eg->connections = cn;
	eg->connection_count++;
	eg->group->connections++;
	eg->carrier->connections++;
	meter_set(&eg->carrier->set.meters->connections,
	    eg->carrier->connections);
	return cn;
}

void
connection_ended(struct connection *cn)
{
	struct egress	   *eg = cn->egress;
	struct carrier	   *c = eg->carrier;
	struct connection **p = &eg->connections;

	must(cn->attempt == NULL);
	while (*p != cn)
		p = &(*p)->next;
	*p = cn->next;
	timer_clear(&cn->idle);
	eg->connection_count--;
	eg->group->connections--;
	c->connections--;
	meter_set(&c->set.meters->connections, c->connections);
	loop_reap(c->loop, mem_free, cn);
	if (!c->stopping)
		group_run_waiting(eg->group);
	carrier_run_starved(c);
	if (eg->queued > 0)
		timer_set(&eg->wake, 0);
	carrier_check_idle(c);
}

static void
egress_put_back(struct egress *eg, struct due *dues)
{
	struct due *d, *next;

	for (d = dues; d != NULL; d = next) {
		next = d->next;
		egress_enqueue(eg, d);
	}
}

static void
connection_give_back(struct connection *cn)
{
	egress_put_back(cn->egress, cn->dues);
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
	if (r->kind == RESULT_CONNECT || r->kind == RESULT_TIMEOUT ||
	    r->kind == RESULT_LOST) {
		egress_halve(eg);
		eg->failures++;
	}
	carrier_settle(eg->carrier, eg, a, dues);
	if (eg->failures >= HOLD_AFTER && !egress_is_held(eg))
		egress_hold(eg);
	connection_ended(cn);
}

static void
connection_deliver(struct connection *cn)
{
	struct carrier *c = cn->egress->carrier;
	struct attempt *a = cn->attempt;
	char		day[CLOCK_TEXT_MAX];

	cn->ready = false;
	if (c->conf->delivery.x_ses_outgoing)
		a->prefix = bytes_of(arena_printf(a->arena,
		    "X-SES-Outgoing: %s-%s\r\n",
		    wall_dotted_day(loop_wall(c->loop), day),
		    transport_local_ip(cn->transport)));
	transport_deliver(cn->transport, a);
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
	    connection_life_left(cn) <= 0 ||
	    eg->connection_count > eg->limit || eg->carrier->stopping;
}

void
connection_on_ready(void *connection)
{
	struct connection *cn = connection;
	struct egress	  *eg = cn->egress;
	struct transport  *t;
	int64_t		   idle;

	if (cn->dialing) {
		cn->dialing = false;
		eg->failures = 0;
		eg->hold_ms = 0;
		eg->hold_until.ms = 0;
		meter_add(&eg->carrier->set.meters->connections_ok, 1);
		connection_deliver(cn);
		return;
	}
	if (connection_is_worn(cn)) {
		t = cn->transport;
		cn->transport = NULL;
		transport_quit(t);
		connection_ended(cn);
		return;
	}
	cn->ready = true;
	idle = eg->carrier->conf->delivery.reuse_idle_ms;
	if (idle > connection_life_left(cn))
		idle = connection_life_left(cn);
	timer_set(&cn->idle, idle);
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
	struct due	  *dues = cn->dues;

	must(a == cn->attempt);
	if (connection_was_stale(cn, a) && !cn->egress->carrier->stopping) {
		connection_give_back(cn);
		return;
	}
	cn->attempt = NULL;
	cn->dues = NULL;
	carrier_settle(cn->egress->carrier, cn->egress, a, dues);
}

/* -- running ------------------------------------------------------------------------ */

static struct connection *
egress_idle_connection(struct egress *eg, enum tls_demand demand)
{
	struct connection *cn, *weak = NULL;
	struct transport  *t;

	for (cn = eg->connections; cn != NULL; cn = cn->next) {
		if (!cn->ready)
			continue;
		if (transport_satisfies(cn->transport, demand))
			return cn;
		weak = cn;
	}
	/* one that is too weak makes room for a stronger one */
	if (weak != NULL && eg->connection_count >= eg->limit) {
		timer_clear(&weak->idle);
		t = weak->transport;
		weak->transport = NULL;
		transport_quit(t);
		connection_ended(weak);
	}
	return NULL;
}

static enum tls_demand
egress_demand(const struct egress *eg, const struct due *d)
{
	enum tls_demand m = (enum tls_demand)d->tls_policy;

	return m > eg->site->policy ? m : eg->site->policy;
}

static bool
egress_has_idle(const struct egress *eg)
{
	const struct connection *cn;

	for (cn = eg->connections; cn != NULL; cn = cn->next)
		if (cn->ready)
			return true;
	return false;
}

void
egress_run(struct egress *eg)
{
	struct carrier	  *c = eg->carrier;
	struct connection *cn;
	struct attempt	  *a;
	struct due	  *d;
	enum tls_demand	   demand;

	while (eg->queued > 0 && !c->stopping && c->refused == NULL) {
		if (!egress_may_send(eg) ||
		    (!egress_has_idle(eg) && !egress_may_connect(eg)))
			return;
		d = egress_take_together(eg, egress_take(eg));
		cn = egress_idle_connection(eg, egress_demand(eg, d));
		if (cn == NULL && !egress_may_connect(eg)) {
			egress_put_back(eg, d);
			return;
		}
		demand = egress_demand(eg, d);
		a = carrier_make_attempt(c, &d);
		if (a == NULL)
			continue;
		a->tls = demand;
		egress_count_message(eg);
		if (cn == NULL) {
			cn = connection_new(eg);
			cn->attempt = a;
			cn->dues = d;
			dial_begin(cn);
			continue;
		}
		timer_clear(&cn->idle);
		cn->attempt = a;
		cn->dues = d;
		connection_deliver(cn);
	}
}

void
egress_shut(struct egress *eg)
{
	struct connection *cn, *next;
	struct transport  *t;

	timer_clear(&eg->wake);
	for (cn = eg->connections; cn != NULL; cn = next) {
		next = cn->next;
		if (cn->dialing) {
			dial_cancel(cn);
			attempt_free(cn->attempt);
			cn->attempt = NULL;
			connection_ended(cn);
		} else if (cn->ready) {
			t = cn->transport;
			cn->transport = NULL;
			timer_clear(&cn->idle);
			transport_quit(t);
			connection_ended(cn);
		} else if (eg->carrier->shut_passed &&
		    transport_abandon(cn->transport)) {
			cn->transport = NULL;
			attempt_free(cn->attempt);
			cn->attempt = NULL;
			connection_ended(cn);
		}
	}
}

void
egress_free(struct egress *eg)
{
	struct connection *cn;

	timer_clear(&eg->wake);
	while ((cn = eg->connections) != NULL) {
		eg->connections = cn->next;
		timer_clear(&cn->idle);
		transport_close(cn->transport);
		attempt_free(cn->attempt);
		mem_free(cn);
	}
	while (eg->lanes != NULL)
		egress_remove_lane(eg, eg->lanes);
	mem_free(eg);
}
