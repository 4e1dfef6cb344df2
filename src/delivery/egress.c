/* SPDX-License-Identifier: ISC */
/*
 * One source address towards one site.
 *
 *	egress_enqueue: held down, or its turn under the rate is far away -->
 *	    moved to that time; no room in its lane --> left to the table;
 *	    else --> lane of its account
 *	egress_run: asks for a turn; in its turn, egress_begin_one:
 *	    lane --> attempt --> an idle connection, or a new one
 *	egress_on_failure: after five in a row the egress is held down, and
 *	    what waits is moved to the end of that
 *	no place among delivery.max_connections: an idle connection gives way;
 *	    else it is starved, and called in its turn when one ends or is
 *	    idle; the others yield (connection.c), and a dial that nobody
 *	    answers gives way (patience.h)
 *
 * Turns are given at the end of a pass, as many as it has time for: attempts
 * begin as fast as the loop gets on with those under way, so that what is due
 * waits here, where its order can still be chosen (rota.h), and not in a
 * thousand sockets.
 *
 * Holds always: connection_count <= limit when one is opened; the group's
 * busy lanes include ours.
 */
#include "delivery/egress.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "delivery/carrier_private.h"

enum {
	HOLD_AFTER = 5,
	HOLD_MIN_MS = 5 * MINUTE_MS,
	SHORT_MS = 5000, /* until descriptors are looked for again */
	FOREIGN_MS = 15 * MINUTE_MS, /* like a negative answer of DNS */
	GOOD_STEP = 20, /* deliveries for one more connection */
	TOGETHER_MAX = 100, /* recipients in one transaction (verp = message) */
	/* A turn under the rate that is nearer than this is waited for in
	 * memory, without a word; one that was deferred before may wait there
	 * twice as long. */
	NEAR_MS = MINUTE_MS,
	BEGUN_MAX = 64, /* attempts in one pass */
	YIELD_AFTER = 10, /* messages of the only connection */
	UNUSED_MS = 1000, /* idle, before it gives way to a second one */
	MOVED_MAX = 200 /* of those that wait, when the egress is held down */
};

static void egress_uncall(struct egress *eg);
static void egress_ask_turn(struct egress *eg);

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
	lanes_init(&eg->lanes, eg);
	eg->outlet = outlet_ref(s->carrier, s->group_name, eg->source_text);
	eg->limit = s->carrier->conf->delivery.dest.initial_connections;
	eg->turn.of = eg->starved.of = eg->more.of = eg;
	timer_init(&eg->wake, s->carrier->loop, egress_on_wake, eg);
	return eg;
}

void
egress_free(struct egress *eg)
{
	struct connection *cn;

	timer_clear(&eg->wake);
	while ((cn = eg->connections) != NULL) {
		eg->connections = cn->next;
		eg->outlet->connections--;
		connection_free(cn);
	}
	eg->outlet->group->busy -= eg->lanes.busy;
	eg->carrier->busy_lanes -= eg->lanes.busy;
	egress_uncall(eg);
	rota_leave(&eg->carrier->turns, &eg->turn);
	rota_leave(&eg->carrier->starved, &eg->starved);
	rota_leave(&eg->carrier->more, &eg->more);
	lanes_wipe(&eg->lanes);
	outlet_unref(eg->carrier, eg->outlet);
	mem_free(eg);
}

bool
egress_is_held(const struct egress *eg)
{
	return loop_now(eg->carrier->loop).ms < eg->hold_until.ms;
}

bool
egress_is_foreign(const struct egress *eg)
{
	return loop_now(eg->carrier->loop).ms < eg->foreign_until.ms;
}

bool
egress_tidy(struct egress *eg)
{
	return lanes_tidy(&eg->lanes, loop_wall(eg->carrier->loop)) &&
	    eg->connections == NULL && !egress_is_held(eg) &&
	    !rota_has(&eg->starved) && !rota_has(&eg->more) && !eg->called &&
	    !eg->waits;
}

/* -- what waits ------------------------------------------------------------ */

/* The group knows how many lanes take turns. */
static void
egress_count_lanes(struct egress *eg, unsigned before)
{
	eg->outlet->group->busy += eg->lanes.busy - before;
	eg->carrier->busy_lanes += eg->lanes.busy - before;
}

static struct due *
egress_take(struct egress *eg)
{
	unsigned     before = eg->lanes.busy;
	struct due  *d = lanes_take(&eg->lanes);
	struct lane *l;

	if (d == NULL)
		return NULL;
	if (eg->carrier->conf->mail_from.verp == CONF_VERP_MESSAGE)
		d = lanes_take_together(&eg->lanes, d, TOGETHER_MAX);
	egress_count_lanes(eg, before);
	l = lanes_find(&eg->lanes, d->account);
	if (l != NULL && l->left.any &&
	    l->queued <= scheduler_room(eg->carrier) / 2)
		scheduler_fetch(eg->carrier, &l->left);
	return d;
}

struct leftover *
egress_leftover(struct carrier *c, const struct arrival *a, bool *is_stray)
{
	const struct route  *r = table_get(c->routes, bytes_of(a->domain));
	const struct egress *eg;
	struct lane	    *l;

	*is_stray = r == NULL;
	if (r == NULL)
		return NULL;
	if (r->left.wanted)
		return (struct leftover *)(uintptr_t)&r->left;
	if (r->site == NULL)
		return NULL;
	for (eg = r->site->egresses; eg != NULL; eg = eg->next) {
		l = lanes_find(&eg->lanes, a->account);
		if (l != NULL && l->left.wanted)
			return &l->left;
	}
	return NULL;
}

static void
egress_move_down(struct egress *eg, struct due *d)
{
	struct carrier *c = eg->carrier;

	carrier_move(c, eg, d, (struct wall){ loop_wall(c->loop).ms +
	    eg->hold_until.ms - loop_now(c->loop).ms });
}

/*
 * Under a rate: is the turn of this one far away?  Then it is promised one, a
 * place behind the last promise, and comes back at that time; who would wait
 * for more than an hour comes back in an hour and is told again.  The one
 * that has come back goes before those that came later.
 */
static bool
egress_is_far(struct egress *eg, struct lane *l, const struct due *d,
    struct wall *turn)
{
	const struct group *g = eg->outlet->group;
	struct mono	    now = loop_now(eg->carrier->loop);
	int64_t		    wall = loop_wall(eg->carrier->loop).ms;
	int64_t wait = group_wait_ms(g, eg->site->rate, l->queued, now);
	bool	returned = d->told.ms != 0;

	if (eg->site->rate <= 0 || (wait < NEAR_MS * (returned ? 2 : 1) &&
				       (returned || l->promised.ms <= wall)))
		return false;
	turn->ms = wall + wait;
	if (turn->ms < l->promised.ms)
		turn->ms = l->promised.ms;
	if (turn->ms >= wall + HOUR_MS)
		turn->ms = wall + HOUR_MS;
	else
		l->promised.ms = turn->ms +
		    group_wait_ms(g, eg->site->rate, 1, now) -
		    group_wait_ms(g, eg->site->rate, 0, now);
	return true;
}

void
egress_enqueue(struct egress *eg, struct due *d)
{
	struct carrier *c = eg->carrier;
	unsigned	before = eg->lanes.busy;
	struct lane    *l;
	struct wall	turn;

	if (egress_is_held(eg)) {
		egress_move_down(eg, d);
		return;
	}
	eg->site->used = loop_now(c->loop);
	l = lanes_of(&eg->lanes, d->account);
	if (egress_is_far(eg, l, d, &turn)) {
		carrier_move(c, eg, d, turn);
		return;
	}
	if (l->queued >= scheduler_room(c)) {
		route_keep(d->route);
		scheduler_leave(c, d, &l->left);
		return;
	}
	lanes_add(&eg->lanes, d);
	egress_count_lanes(eg, before);
	d->place = DUE_QUEUED;
	if (lanes_favour(&eg->lanes, d->account))
		rota_leave(&c->turns, &eg->turn); /* that was another's */
	egress_run(eg);
}

void
egress_put_back(struct egress *eg, struct due *dues)
{
	unsigned    before = eg->lanes.busy;
	struct due *d, *back = NULL;

	while ((d = dues) != NULL) { /* the first is put back last */
		dues = d->next;
		d->next = back;
		back = d;
	}
	while ((d = back) != NULL) {
		back = d->next;
		if (egress_is_held(eg)) {
			egress_move_down(eg, d);
			continue;
		}
		lanes_put_back(&eg->lanes, d);
		d->place = DUE_QUEUED;
	}
	egress_count_lanes(eg, before);
}

/* -- the places of all egresses (delivery.max_connections) ----------------- */

static void
egress_uncall(struct egress *eg)
{
	if (!eg->called)
		return;
	eg->called = false;
	eg->carrier->called--;
}

/* Of what comes next. */
static enum rota_rank
egress_rank(const struct egress *eg)
{
	const struct lane *l = eg->lanes.turn;

	if (l == NULL || !lane_is_new(l))
		return ROTA_OLD;
	return l->is_served ? ROTA_NEW : ROTA_FRESH;
}

/*
 * Which of the idle ones gives way: the longest idle one, if nothing waits for
 * it; of those that wait for their turns the last, that has just had one.  For
 * one more of those that have some already: what is hardly used.
 */
static struct connection *
egress_victim(const struct egress *eg)
{
	struct carrier	  *c = eg->carrier;
	struct connection *cn = c->idle;

	if (cn == NULL)
		return NULL;
	if (cn->egress->lanes.queued == 0)
		return eg->connection_count == 0 || loop_now(c->loop).ms -
			cn->ready_since.ms >= UNUSED_MS ? cn : NULL;
	cn = c->idle_last;
	if (eg->connection_count > 0 || cn->egress == eg)
		return NULL;
	return egress_rank(eg) < egress_rank(cn->egress) ||
		cn->egress->connection_count > 1 ||
		transport_count(cn->transport) >= YIELD_AFTER ? cn : NULL;
}

static bool
egress_has_place(struct egress *eg)
{
	struct carrier	  *c = eg->carrier;
	unsigned	   most = c->conf->delivery.max_connections;
	struct connection *cn;

	/* a place that is free is somebody's who was called, or anybody's */
	if (c->connections + (eg->called ? 0 : c->called) < most)
		return true;
	cn = egress_victim(eg);
	if (cn == NULL)
		return false;
	c->displacing = true;
	connection_quit(cn);
	c->displacing = false;
	return c->connections + (eg->called ? 0 : c->called) < most;
}

static void
egress_starve(struct egress *eg)
{
	struct carrier	  *c = eg->carrier;
	const struct lane *l = eg->lanes.turn;

	egress_uncall(eg);
	if (l == NULL)
		return;
	if (eg->connection_count == 0)
		rota_add(&c->starved, &eg->starved, l->account,
		    egress_rank(eg));
	else
		rota_add(&c->more, &eg->more, l->account, egress_rank(eg));
	egress_watch_dials(c);
}

void
egress_call_starved(struct carrier *c)
{
	struct rota_entry *e;
	struct egress	  *eg;

	if (c->stopping || c->displacing)
		return;
	e = rota_take(&c->starved);
	if (e == NULL)
		e = rota_take(&c->more);
	if (e == NULL)
		return;
	eg = e->of;
	if (!eg->called)
		c->called++;
	eg->called = true;
	egress_ask_turn(eg); /* before who has just become idle asks again */
	if (!rota_has(&eg->turn))
		timer_set(&eg->wake, 0);
	egress_watch_dials(c);
}

/* That would give way to the one whose turn it is among the starved. */
static struct connection *
egress_longest_dial(const struct carrier *c)
{
	const struct rota_entry *e = rota_next(&c->starved);
	const struct egress	*eg = e != NULL ? e->of : NULL;
	struct patience_entry	*w;

	w = eg != NULL ? patience_longest(&c->patience, eg->site) : NULL;
	return w != NULL ? w->of : NULL;
}

void
egress_watch_dials(struct carrier *c)
{
	struct connection *cn = c->stopping ? NULL : egress_longest_dial(c);

	if (cn == NULL)
		timer_clear(&c->give_way);
	else
		timer_set(&c->give_way, patience_left_ms(&cn->wait,
		    loop_now(c->loop)));
}

/* Its end calls the starved one, and sets the timer for the next. */
static void
egress_on_give_way(void *carrier, void *unused)
{
	struct carrier	  *c = carrier;
	struct connection *cn = egress_longest_dial(c);

	(void)unused;
	if (cn == NULL)
		return;
	if (patience_left_ms(&cn->wait, loop_now(c->loop)) > 0)
		egress_watch_dials(c);
	else
		connection_give_way(cn);
}

void
egress_watch_init(struct carrier *c)
{
	timer_init(&c->give_way, c->loop, egress_on_give_way, c);
}

void
egress_offer_place(const struct egress *eg)
{
	const struct rota_entry *next = rota_next(&eg->carrier->starved);

	if (next != NULL && (eg->lanes.queued == 0 ||
		next->rank < egress_rank(eg)))
		egress_call_starved(eg->carrier);
}

/*
 * Others have none at all: an egress that has several gives one up, and the
 * only one of it goes round after a few messages.  Others have fewer: who has
 * two more gives one up.
 */
bool
egress_must_yield(const struct egress *eg, unsigned carried)
{
	const struct carrier	*c = eg->carrier;
	const struct rota_entry *e = rota_next(&c->more);
	const struct egress	*other = e != NULL ? e->of : NULL;

	if (c->starved.waiting > 0)
		return eg->connection_count > 1 || carried >= YIELD_AFTER;
	return other != NULL && carried >= YIELD_AFTER &&
	    eg->connection_count > other->connection_count + 1;
}

/* -- pace ------------------------------------------------------------------ */

/* What waits goes in portions: it may be thousands. */
static void
egress_move_some(struct egress *eg)
{
	struct carrier *c = eg->carrier;
	struct due     *d, *next;
	unsigned	n = 0;

	while (n < MOVED_MAX && scheduler_may_begin(c) &&
	    (d = egress_take(eg)) != NULL)
		for (; d != NULL; d = next, n++) {
			next = d->next;
			d->next = NULL;
			egress_move_down(eg, d);
		}
	if (eg->lanes.queued > 0)
		timer_set(&eg->wake, scheduler_may_begin(c) ? 0 : 1);
}

static void
egress_rest(struct egress *eg, int64_t ms)
{
	eg->hold_until.ms = loop_now(eg->carrier->loop).ms + ms;
	log_info("held-down", "relay=%s egress=%s for_ms=%lld",
	    eg->site->hosts[0].name,
	    eg->source_text[0] != '\0' ? eg->source_text : "-",
	    (long long)ms);
	egress_move_some(eg);
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

/* The receiver's trouble: longer from time to time. */
static void
egress_hold(struct egress *eg)
{
	eg->hold_ms = eg->hold_ms == 0	? HOLD_MIN_MS
	    : eg->hold_ms * 2 > HOUR_MS ? HOUR_MS
					: eg->hold_ms * 2;
	egress_rest(eg, eg->hold_ms);
}

void
egress_on_failure(struct egress *eg, const struct result *r)
{
	switch (r->kind) {
	case RESULT_CONNECT:
	case RESULT_TIMEOUT:
	case RESULT_LOST:
		egress_halve(eg);
		break;
	case RESULT_LOCAL: /* no descriptor: what waits would fail as fast */
		if (!egress_is_held(eg))
			egress_rest(eg, SHORT_MS);
		return;
	default:
		return;
	}
	eg->failures++;
	if (eg->failures >= HOLD_AFTER && !egress_is_held(eg))
		egress_hold(eg);
}

void
egress_on_connected(struct egress *eg)
{
	eg->failures = 0;
	eg->hold_ms = 0;
	eg->hold_until.ms = 0;
	meter_add(&eg->carrier->set.meters->connections_ok, 1);
}

void
egress_on_foreign(struct egress *eg)
{
	eg->foreign_until.ms = loop_now(eg->carrier->loop).ms + FOREIGN_MS;
}

void
egress_send_elsewhere(struct egress *eg)
{
	struct due *d, *next;

	while ((d = egress_take(eg)) != NULL)
		for (; d != NULL; d = next) {
			next = d->next;
			d->next = NULL;
			route_take(eg->carrier, d);
		}
}

static void
outlet_run_waiting(struct outlet *o)
{
	struct egress *eg;

	while ((eg = o->waiting) != NULL) {
		o->waiting = eg->next_waiting;
		eg->waits = false;
		timer_set(&eg->wake, 0);
	}
}

void
egress_on_ended(struct egress *eg)
{
	struct carrier *c = eg->carrier;

	if (!c->stopping)
		outlet_run_waiting(eg->outlet);
	egress_call_starved(c);
	if (eg->lanes.queued > 0)
		timer_set(&eg->wake, 0);
	carrier_check_idle(c);
}

static bool
egress_may_connect(struct egress *eg)
{
	if (eg->connection_count >= eg->limit)
		return false;
	if (eg->outlet->connections >= eg->site->max_connections) {
		if (!eg->waits) {
			eg->waits = true;
			eg->next_waiting = eg->outlet->waiting;
			eg->outlet->waiting = eg;
		}
		return false;
	}
	if (egress_has_place(eg))
		return true;
	egress_starve(eg);
	return false;
}

/* -- running --------------------------------------------------------------- */

static enum tls_demand
egress_demand(const struct egress *eg, const struct due *d)
{
	enum tls_demand m = (enum tls_demand)d->tls_policy;

	_Static_assert((int)TLS_REQUIRE == MESSAGE_TLS_REQUIRE,
	    "stored with messages");
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

static struct connection *
egress_idle_connection(struct egress *eg, enum tls_demand demand)
{
	struct connection *cn, *weak = NULL;

	for (cn = eg->connections; cn != NULL; cn = cn->next) {
		if (!cn->ready)
			continue;
		if (transport_satisfies(cn->transport, demand))
			return cn;
		weak = cn;
	}
	/* one that is too weak makes room for a stronger one */
	if (weak != NULL && !egress_may_connect(eg))
		connection_quit(weak);
	return NULL;
}

/* The rate allows one, and there is a connection for it, or may be. */
static bool
egress_may_go(struct egress *eg)
{
	int64_t pause = group_pause_ms(eg->outlet->group, eg->site->rate,
	    loop_now(eg->carrier->loop));

	if (pause > 0)
		timer_set(&eg->wake, pause);
	return pause == 0 && (egress_has_idle(eg) || egress_may_connect(eg));
}

/* true = it would go on, if it had another turn */
static bool
egress_begin_one(struct egress *eg)
{
	struct carrier	  *c = eg->carrier;
	struct connection *cn;
	struct attempt	  *a;
	struct due	  *d;
	enum tls_demand	   demand;

	if (eg->lanes.queued == 0 || egress_is_held(eg) || !egress_may_go(eg))
		return false;
	c->begun++;
	d = egress_take(eg);
	demand = egress_demand(eg, d);
	cn = egress_idle_connection(eg, demand);
	if (cn == NULL && !egress_may_connect(eg)) {
		egress_put_back(eg, d);
		return false;
	}
	a = carrier_make_attempt(c, &d);
	if (a == NULL)
		return true;
	a->tls = demand;
	group_count_message(eg->outlet->group, eg->site->rate,
	    loop_now(c->loop));
	if (cn != NULL) {
		connection_carry(cn, a, d);
	} else {
		egress_uncall(eg);
		connection_open(eg, a, d);
	}
	return true;
}

static void egress_on_turns(void *carrier, void *unused);

void
egress_resume_turns(struct carrier *c)
{
	if (c->turns_asked || c->turns.waiting == 0)
		return;
	c->turns_asked = true;
	loop_defer(c->loop, egress_on_turns, c);
}

static void
egress_ask_turn(struct egress *eg)
{
	if (eg->lanes.queued == 0)
		return;
	rota_add(&eg->carrier->turns, &eg->turn, eg->lanes.turn->account,
	    egress_rank(eg));
	egress_resume_turns(eg->carrier);
}

static void
egress_take_turn(struct egress *eg)
{
	struct carrier *c = eg->carrier;

	if (egress_begin_one(eg))
		egress_ask_turn(eg);
	egress_uncall(eg); /* if it had no use for the place */
	if (c->connections + c->called < c->conf->delivery.max_connections)
		egress_call_starved(c);
}

/* One at least, or what is under way could keep all others out. */
static void
egress_on_turns(void *carrier, void *unused)
{
	struct carrier	  *c = carrier;
	struct rota_entry *e;

	(void)unused;
	c->turns_asked = false;
	if (c->stopping || c->refused != NULL)
		return;
	do {
		e = rota_take(&c->turns);
		if (e != NULL)
			egress_take_turn(e->of);
	} while (e != NULL && c->begun < BEGUN_MAX &&
	    !loop_is_over_time(c->loop));
	egress_resume_turns(c);
}

void
egress_run(struct egress *eg)
{
	if (!egress_is_held(eg))
		egress_ask_turn(eg);
	else
		egress_move_some(eg);
	if (!eg->called || rota_has(&eg->turn))
		return;
	egress_uncall(eg);
	egress_call_starved(eg->carrier);
}

void
egress_shut(struct egress *eg)
{
	struct connection *cn, *next;

	timer_clear(&eg->wake);
	for (cn = eg->connections; cn != NULL; cn = next) {
		next = cn->next;
		connection_stop(cn, eg->carrier->shut_passed);
	}
}
