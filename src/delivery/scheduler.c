/* SPDX-License-Identifier: ISC */
/*
 * The due table of the spool holds everything; memory holds a window of it:
 * all rows up to the horizon.  Arrivals up to the horizon, or due at once, come
 * in directly, later ones are left to the table and come with the next
 * refill.  So the cost of a message does not depend on the backlog.
 *
 * Places in the window are dealt out: of 20,000 for what is due those that are
 * free, of which an account may have a quarter at one egress
 * (scheduler_room()), the fewer the more want some.  The rest of the window
 * stays for what is read on, so that lanes which do not move cannot keep the
 * table behind the horizon out.
 * What has no place there is left to the table again (struct leftover) and
 * read when half of the lane has gone (scheduler_read.c).  So a receiver that
 * takes one message a second, with a million of them waiting, keeps no other
 * mail out.
 *
 * A million may be due at the same moment: rows are read, and dues taken, in
 * portions of a pass, and only as fast as the writer commits what becomes of
 * them.  New mail does not wait for that: it has a list of its own, of which
 * one is taken for each of the others.
 */
#include "delivery/scheduler.h"

#include <string.h>

#include "base/log.h"
#include "delivery/carrier_private.h"
#include "delivery/outcome.h"
#include "delivery/scheduler_private.h"

enum {
	KEY_SIZE = 26,
	TURN_BITS = 20,
	TAKEN_MAX = 500, /* of what is due, in one pass */
	TAKEN_LOOK = 16, /* the time is looked at after so many */
	CLOCK_STEP_MS = 60 * 1000, /* less is not worth the trouble */
	/* items with the writer, beyond which nothing new is begun: a commit
	 * stays short, and submissions find a place in it */
	ITEMS_OUT_MAX = 1024,
	ROW_ARENA = 64 * 1024
};

static struct bytes
scheduler_key(const struct msgid *id, unsigned n, char out[KEY_SIZE])
{
	memcpy(out, id->b, 22);
	db_put_be32(out + 22, n);
	return (struct bytes){ out, KEY_SIZE };
}

/* What is due in the same moment stays in the order in which it came. */
static int64_t
scheduler_place(struct scheduler *s, struct wall due)
{
	int64_t ms = due.ms < 0 ? 0 : due.ms;

	if (ms > INT64_MAX >> TURN_BITS)
		ms = INT64_MAX >> TURN_BITS;
	return ms << TURN_BITS | (s->turn++ & ((1 << TURN_BITS) - 1));
}

struct due *
scheduler_first(const struct scheduler *s)
{
	struct heap_node *first = heap_first(&s->heap);

	return first != NULL ? heap_entry(first, struct due, node) : NULL;
}

bool
scheduler_may_begin(const struct carrier *c)
{
	return !c->stopping && c->refused == NULL &&
	    c->items_out < ITEMS_OUT_MAX;
}

/* New mail costs the writer nothing before it is tried. */
static bool
scheduler_may_route(const struct carrier *c)
{
	return !c->stopping && c->refused == NULL;
}

void
scheduler_set_timer(struct carrier *c)
{
	struct scheduler *s = &c->scheduler;
	struct due	 *first = scheduler_first(s);
	int64_t		  wait;

	if (s->fresh.first != NULL && scheduler_may_route(c)) {
		timer_set(&s->wake, 0);
		return;
	}
	/* else the next receipt comes by here */
	if (first == NULL || !scheduler_may_begin(c)) {
		timer_clear(&s->wake);
		return;
	}
	wait = first->due.ms - loop_wall(c->loop).ms;
	/* a clock that jumps is noticed within a minute */
	timer_set(&s->wake, wait < 0 ? 0 : wait > MINUTE_MS ? MINUTE_MS : wait);
}

/* -- a clock that is set back ---------------------------------------------- */

struct clock_step {
	struct scheduler *scheduler;
	int64_t		  back_ms;
};

/* Within a moment the order stays. */
static void
scheduler_bring_forward(void *arg, struct bytes key, void *due)
{
	struct clock_step *x = arg;
	struct due	  *d = due;
	int64_t		   place;

	(void)key;
	if (d->place != DUE_WAITING)
		return;
	d->due.ms -= x->back_ms;
	place = d->node.key - (x->back_ms << TURN_BITS);
	heap_move(&x->scheduler->heap, &d->node, place < 0 ? 0 : place);
}

/* Before a time is reckoned or compared, so that all that waits has the
 * clock of before. */
static void
scheduler_look_at_clock(struct carrier *c)
{
	struct scheduler *s = &c->scheduler;
	int64_t		  ahead = loop_wall(c->loop).ms - loop_now(c->loop).ms;
	struct clock_step x = { s, s->wall_ahead_ms - ahead };

	if (x.back_ms >= 0 && x.back_ms < CLOCK_STEP_MS)
		return; /* it is corrected in small steps; they add up */
	s->wall_ahead_ms = ahead;
	if (x.back_ms < 0)
		return;
	log_warn("clock-set-back", "seconds=%lld waiting=%zu",
	    (long long)x.back_ms / 1000, table_count(s->known));
	table_each(s->known, scheduler_bring_forward, &x);
}

/* New mail and what has waited, one after the other; NULL = nothing is due. */
static struct due *
scheduler_next_due(struct carrier *c, bool is_new, int64_t now)
{
	struct scheduler *s = &c->scheduler;
	struct due	 *d = scheduler_first(s);
	bool may_wait = d == NULL || d->due.ms > now || !scheduler_may_begin(c);

	if (!scheduler_may_route(c) || (may_wait && s->fresh.first == NULL))
		return NULL;
	if (s->fresh.first != NULL && (is_new || may_wait))
		return due_list_take(&s->fresh);
	heap_remove(&s->heap, &d->node);
	d->place = DUE_ROUTING;
	return d;
}

static void
scheduler_on_time(void *carrier, void *unused)
{
	struct carrier *c = carrier;
	struct due     *d;
	int64_t		now = loop_wall(c->loop).ms;
	unsigned	n;

	(void)unused;
	scheduler_look_at_clock(c);
	for (n = 1; n <= TAKEN_MAX; n++) {
		d = scheduler_next_due(c, n % 2 != 0, now);
		if (d == NULL)
			break;
		route_take(c, d);
		if (n % TAKEN_LOOK == 0 && loop_is_over_time(c->loop))
			break;
	}
	if (c->stopping)
		return;
	scheduler_set_timer(c);
	scheduler_refill(c); /* what waited may have become little */
}

void
scheduler_on_settled(struct carrier *c)
{
	if (!c->stopping)
		scheduler_set_timer(c);
}

void
scheduler_init(struct carrier *c)
{
	struct scheduler *s = &c->scheduler;

	heap_init(&s->heap);
	due_list_init(&s->fresh);
	s->known = table_new(0);
	s->wanted_last = &s->wanted;
	s->wall_ahead_ms = loop_wall(c->loop).ms - loop_now(c->loop).ms;
	timer_init(&s->wake, c->loop, scheduler_on_time, c);
	timer_init(&s->more, c->loop, scheduler_on_more, c);
}

static void
scheduler_free_due(void *arg, struct bytes key, void *due)
{
	(void)arg;
	(void)key;
	mem_free(due);
}

void
scheduler_wipe(struct carrier *c)
{
	timer_clear(&c->scheduler.wake);
	timer_clear(&c->scheduler.more);
	heap_wipe(&c->scheduler.heap);
	table_each(c->scheduler.known, scheduler_free_due, NULL);
	table_free(c->scheduler.known);
}

int
due_key_cmp(const struct due_key *a, const struct due_key *b)
{
	int r;

	if (a->due.ms != b->due.ms)
		return a->due.ms < b->due.ms ? -1 : 1;
	r = memcmp(a->id.b, b->id.b, sizeof(a->id.b));
	if (r != 0)
		return r;
	return a->n < b->n ? -1 : a->n > b->n;
}

struct due_key
due_key_before(struct wall due, const struct msgid *id, unsigned n)
{
	struct due_key k = { due, *id, n - 1 };

	must(n > 0); /* recipients are counted from 1 */
	return k;
}

/* A row of before the clock was set back may name an hour of another day. */
static struct wall
scheduler_not_too_late(struct carrier *c, struct wall due)
{
	int64_t latest = loop_wall(c->loop).ms +
	    outcome_longest_wait_ms(c->conf);

	if (due.ms > latest)
		due.ms = latest;
	return due;
}

static void
scheduler_wait(struct carrier *c, struct due *d, struct wall due)
{
	scheduler_look_at_clock(c);
	d->due = due;
	d->is_new = false;
	d->place = DUE_WAITING;
	must(heap_push(&c->scheduler.heap, &d->node,
	    scheduler_place(&c->scheduler, due)));
}

bool
scheduler_take_in(struct carrier *c, const struct arrival *a, bool is_new)
{
	struct scheduler *s = &c->scheduler;
	struct due	 *d;
	struct bytes	  key;
	char		  raw[KEY_SIZE];

	scheduler_look_at_clock(c);
	key = scheduler_key(&a->id, a->n, raw);
	d = table_get(s->known, key);
	if (d != NULL) {
		/* released or asked for again before its time */
		if (d->place == DUE_WAITING && a->due.ms < d->due.ms) {
			d->due = d->stored = a->due;
			heap_move(&s->heap, &d->node,
			    scheduler_place(s, a->due));
		}
		return false;
	}
	d = mem_alloc(sizeof(*d));
	d->id = a->id;
	d->n = a->n;
	d->size = a->size;
	memcpy(d->account, a->account, sizeof(d->account));
	d->tls_policy = a->tls_policy;
	d->system = a->system;
	d->simulator = a->simulator;
	d->suppressed = a->suppressed;
	d->lists_seen = a->lists_seen;
	d->config_set = a->config_set;
	d->pool = carrier_pool_name(c, bytes_of(a->pool));
	d->route = route_ref(c, bytes_of(a->domain));
	d->stored = a->due;
	must(table_put(s->known, key, d));
	d->due = scheduler_not_too_late(c, a->due);
	if (is_new && d->due.ms <= loop_wall(c->loop).ms) {
		d->is_new = true;
		d->place = DUE_ROUTING;
		due_list_add(&s->fresh, d);
	} else {
		scheduler_wait(c, d, d->due);
	}
	return true;
}

void
scheduler_add(struct carrier *c, const struct arrival *a)
{
	struct scheduler *s = &c->scheduler;
	struct due_key	  k = { a->due, a->id, a->n };

	/*
	 * New mail does not wait until a backlog is read; the walk will meet
	 * it again, and know it.  What is for later is left to the table.
	 */
	if (!s->complete && due_key_cmp(&k, &s->horizon) > 0 &&
	    (a->due.ms > loop_wall(c->loop).ms ||
		table_count(s->known) >= WINDOW_MAX))
		return;
	if (s->complete && table_count(s->known) >= WINDOW_MAX) {
		/* full: from here on the table is read */
		s->complete = false;
		s->horizon = due_key_before(a->due, &a->id, a->n);
		return;
	}
	scheduler_take_in(c, a, true);
	scheduler_set_timer(c);
}

/* -- what becomes of it ---------------------------------------------------- */

static void
scheduler_remove(struct carrier *c, struct due *d)
{
	char raw[KEY_SIZE];

	table_take(c->scheduler.known, scheduler_key(&d->id, d->n, raw));
	heap_remove(&c->scheduler.heap, &d->node);
	route_unref(d->route);
	mem_free(d);
}

void
scheduler_drop(struct carrier *c, struct due *d)
{
	scheduler_remove(c, d);
	scheduler_refill(c);
}

/* Asked of the table: a release may have come in between. */
static bool
scheduler_is_over(struct carrier *c, const struct due *d)
{
	struct arena	    *a = arena_new(ROW_ARENA);
	struct recipient_row r;
	struct err	     e;
	int found = spool_read_recipient(c->set.spool, &d->id, d->n, a, &r,
	    &e);

	arena_free(a);
	return found == 0 || (found == 1 && r.state == ENVELOPE_HELD);
}

void
scheduler_forget(struct carrier *c, const struct due_key *v, size_t n)
{
	struct due *d;
	char	    raw[KEY_SIZE];
	size_t	    i;

	for (i = 0; i < n; i++) {
		d = table_get(c->scheduler.known,
		    scheduler_key(&v[i].id, v[i].n, raw));
		if (d != NULL && d->place == DUE_WAITING &&
		    scheduler_is_over(c, d))
			scheduler_remove(c, d);
	}
	scheduler_refill(c);
	scheduler_set_timer(c);
}

void
scheduler_again(struct carrier *c, struct due *d, struct wall due)
{
	struct due_key k = { due, d->id, d->n };

	d->stored = due;
	if (!c->scheduler.complete &&
	    due_key_cmp(&k, &c->scheduler.horizon) > 0) {
		scheduler_drop(c, d);
		return;
	}
	scheduler_wait(c, d, due);
	scheduler_set_timer(c);
}

void
scheduler_retry(struct carrier *c, struct due *d, struct wall due)
{
	scheduler_wait(c, d, due);
	scheduler_set_timer(c);
}

struct wall
scheduler_next(const struct carrier *c)
{
	struct due *first = scheduler_first(&c->scheduler);

	return first != NULL ? first->due : (struct wall){ 0 };
}
