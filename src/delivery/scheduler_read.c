/* SPDX-License-Identifier: ISC */
/*
 * What the scheduler reads from the due table: on from the horizon, while
 * there is room, and again what was left to the table.
 *
 * Who wants some of that back is listed.  One walk serves all of them: it
 * begins before the first row that any of them has left and takes what each
 * has room for, so that a thousand lanes with a hundred thousand rows among
 * one another cost a few walks and not a thousand.  Who asks while it goes on
 * joins it when its rows lie ahead, else it is served by the next one.
 */
#include "delivery/scheduler.h"

#include <string.h>

#include "delivery/carrier_private.h"
#include "delivery/scheduler_private.h"

enum {
	LANES_MAX = 20000, /* places for what is due and waits for its turn */
	ROOM_PART = 4,	   /* of those that are free */
	ROOM_SURE = 20000, /* the same, dealt out to all lanes alike */
	ROOM_MIN = 4,
	READ_LOOK = 64	/* the time is looked at after so many rows */
};

struct scheduler_scan {
	struct carrier *carrier;
	bool		is_sweep;
	size_t		rows;
	bool		stopped; /* before the end: no room, or no time */
	struct due_key	last;
};

/* Of a domain that is not known any more it may be anybody's. */
static void
scheduler_sweep_row(struct carrier *c, const struct arrival *a)
{
	bool		 is_stray;
	struct leftover *l = egress_leftover(c, a, &is_stray);

	if (is_stray)
		scheduler_take_in(c, a, false);
	if (l == NULL)
		return;
	if (l->is_complete)
		l->after = (struct due_key){ a->due, a->id, a->n };
	if (scheduler_take_in(c, a, false) && --l->room == 0) {
		l->wanted = false;
		c->scheduler.wanting--;
	}
}

static bool
scheduler_on_row(void *arg, const struct arrival *a)
{
	struct scheduler_scan *x = arg;
	struct carrier	      *c = x->carrier;

	x->stopped = table_count(c->scheduler.known) >= WINDOW_MAX ||
	    (x->is_sweep && c->scheduler.wanting == 0) ||
	    (x->rows % READ_LOOK == READ_LOOK - 1 &&
		loop_is_over_time(c->loop));
	if (x->stopped)
		return false;
	x->rows++;
	x->last = (struct due_key){ a->due, a->id, a->n };
	if (x->is_sweep)
		scheduler_sweep_row(c, a);
	else
		scheduler_take_in(c, a, false);
	return true;
}

/* The next portion after a key; false = the store cannot be read. */
static bool
scheduler_read(struct carrier *c, struct scheduler_scan *x,
    const struct due_key *after, struct wall until)
{
	struct err e;

	x->carrier = c;
	x->last = *after;
	return spool_scan_due(c->set.spool, after, until, REFILL_ROWS,
	    scheduler_on_row, x, &e) >= 0;
}

/* What was read and is due is taken first. */
static bool
scheduler_has_enough(const struct carrier *c)
{
	const struct due *first = scheduler_first(&c->scheduler);

	return c->scheduler.heap.n >= REFILL_ROWS &&
	    first->due.ms <= loop_wall(c->loop).ms;
}

/* -- on from the horizon --------------------------------------------------- */

static bool
scheduler_wants_more(const struct carrier *c)
{
	size_t known = table_count(c->scheduler.known);

	/* lanes that are many may fill half of it: then there is the rest */
	return !c->stopping && !c->scheduler.complete &&
	    !scheduler_has_enough(c) &&
	    (known < WINDOW_MAX / 2 || (known < WINDOW_MAX &&
		c->scheduler.heap.n < REFILL_ROWS));
}

static bool
scheduler_read_on(struct carrier *c)
{
	struct scheduler     *s = &c->scheduler;
	struct scheduler_scan x = { .is_sweep = false };

	if (!scheduler_read(c, &x, &s->horizon, (struct wall){ INT64_MAX }))
		return false;
	s->horizon = x.last;
	s->complete = x.rows < REFILL_ROWS && !x.stopped;
	return true;
}

void
scheduler_rescan(struct carrier *c)
{
	c->scheduler.complete = false;
	memset(&c->scheduler.horizon, 0, sizeof(c->scheduler.horizon));
	scheduler_refill(c);
}

/* -- what was left --------------------------------------------------------- */

unsigned
scheduler_room(const struct carrier *c)
{
	size_t busy = table_count(c->scheduler.known) - c->scheduler.heap.n;
	size_t room = busy < LANES_MAX ? (LANES_MAX - busy) / ROOM_PART : 0;
	size_t sure = ROOM_SURE / (c->busy_lanes + 1);

	if (room < sure)
		room = sure < LANES_MAX / ROOM_PART ? sure
						    : LANES_MAX / ROOM_PART;
	return room > ROOM_MIN ? (unsigned)room : ROOM_MIN;
}

static void
sweep_join(struct scheduler *s, struct leftover *l)
{
	l->is_complete = due_key_cmp(&l->after, &s->sweep_at) >= 0;
	if (s->sweep_until.ms < l->until.ms)
		s->sweep_until = l->until;
}

static void
scheduler_begin_sweep(struct scheduler *s)
{
	struct leftover *l;

	s->is_sweeping = true;
	s->sweep_at = s->wanted->after;
	s->sweep_until = s->wanted->until;
	for (l = s->wanted; l != NULL; l = l->next)
		if (due_key_cmp(&l->after, &s->sweep_at) < 0)
			s->sweep_at = l->after;
	for (l = s->wanted; l != NULL; l = l->next)
		sweep_join(s, l);
}

/* Nobody wants more. */
static void
scheduler_stop_sweep(struct scheduler *s)
{
	struct leftover *l;

	for (l = s->wanted; l != NULL; l = l->next)
		l->is_listed = false;
	s->is_sweeping = false;
	s->wanted = NULL;
	s->wanted_last = &s->wanted;
}

/* Who wanted more than there was has nothing left; who joined too late stays
 * for the next walk. */
static void
scheduler_end_sweep(struct scheduler *s)
{
	struct leftover *l = s->wanted, *next;

	s->is_sweeping = false;
	s->wanted = NULL;
	s->wanted_last = &s->wanted;
	for (; l != NULL; l = next) {
		next = l->next;
		if (l->wanted && l->is_complete) {
			l->any = l->wanted = false;
			s->wanting--;
		}
		l->is_listed = l->wanted;
		if (!l->is_listed)
			continue;
		l->next = NULL;
		*s->wanted_last = l;
		s->wanted_last = &l->next;
	}
}

/* A portion of what was left. */
static bool
scheduler_sweep(struct carrier *c)
{
	struct scheduler     *s = &c->scheduler;
	struct scheduler_scan x = { .is_sweep = true };

	if (!s->is_sweeping)
		scheduler_begin_sweep(s);
	if (!scheduler_read(c, &x, &s->sweep_at, s->sweep_until))
		return false;
	s->sweep_at = x.last;
	if (s->wanting == 0)
		scheduler_stop_sweep(s);
	else if (x.rows < REFILL_ROWS && !x.stopped)
		scheduler_end_sweep(s);
	return true;
}

void
scheduler_fetch(struct carrier *c, struct leftover *l)
{
	struct scheduler *s = &c->scheduler;

	if (!l->wanted) {
		/* the lane may be half full still: more would be left again */
		l->room = (scheduler_room(c) + 1) / 2;
		l->wanted = true;
		s->wanting++;
	}
	if (!l->is_listed) {
		l->is_listed = true;
		l->next = NULL;
		*s->wanted_last = l;
		s->wanted_last = &l->next;
	}
	if (s->is_sweeping)
		sweep_join(s, l);
	timer_set(&s->more, 0);
}

void
scheduler_leave(struct carrier *c, struct due *d, struct leftover *l)
{
	struct scheduler *s = &c->scheduler;
	struct due_key	  k = due_key_before(d->stored, &d->id, d->n);

	if (!l->any || due_key_cmp(&k, &l->after) < 0)
		l->after = k;
	if (!l->any || l->until.ms < d->stored.ms)
		l->until = d->stored;
	l->any = true;
	if (l->wanted && s->is_sweeping)
		sweep_join(s, l);
	scheduler_drop(c, d);
}

/* -- portions -------------------------------------------------------------- */

static bool
scheduler_may_sweep(const struct carrier *c)
{
	return !c->stopping && c->scheduler.wanted != NULL &&
	    !scheduler_has_enough(c) &&
	    table_count(c->scheduler.known) < WINDOW_MAX;
}

void
scheduler_on_more(void *carrier, void *unused)
{
	struct carrier *c = carrier;
	bool		ok = true;

	(void)unused;
	if (scheduler_wants_more(c))
		ok = scheduler_read_on(c);
	if (ok && scheduler_may_sweep(c))
		ok = scheduler_sweep(c);
	if (c->stopping)
		return;
	if (ok) /* else it is tried again at the next minute */
		scheduler_refill(c);
	scheduler_set_timer(c);
}

void
scheduler_refill(struct carrier *c)
{
	if (scheduler_wants_more(c) || scheduler_may_sweep(c))
		timer_set(&c->scheduler.more, 0);
}
