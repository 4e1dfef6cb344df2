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
 * read when half of the lane has gone.  So a receiver that takes one message
 * a second, with a million of them waiting, keeps no other mail out.
 *
 * A million may be due at the same moment: rows are read, and dues taken, in
 * portions of a pass, and only as fast as the writer commits what becomes of
 * them.
 */
#include "delivery/scheduler.h"

#include <string.h>

#include "base/log.h"
#include "delivery/carrier_private.h"
#include "delivery/outcome.h"

enum {
	KEY_SIZE = 26,
	TURN_BITS = 20,
	REFILL_ROWS = 1000, /* in one pass */
	TAKEN_MAX = 500,    /* the same, of what is due */
	LANES_MAX = 20000, /* places for what is due and waits for its turn */
	ROOM_PART = 4,	   /* of those that are free */
	ROOM_MIN = 8,
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

static struct due *
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

static void
scheduler_set_timer(struct carrier *c)
{
	struct scheduler *s = &c->scheduler;
	struct due	 *first = scheduler_first(s);
	int64_t		  wait;

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

static void
scheduler_on_time(void *carrier, void *unused)
{
	struct carrier	 *c = carrier;
	struct scheduler *s = &c->scheduler;
	struct due	 *d;
	int64_t		  now = loop_wall(c->loop).ms;
	unsigned	  n;

	(void)unused;
	scheduler_look_at_clock(c);
	for (n = 0; n < TAKEN_MAX && scheduler_may_begin(c) &&
	     (d = scheduler_first(s)) != NULL && d->due.ms <= now; n++) {
		heap_remove(&s->heap, &d->node);
		d->place = DUE_ROUTING;
		route_take(c, d);
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

static void scheduler_on_more(void *carrier, void *unused);

void
scheduler_init(struct carrier *c)
{
	struct scheduler *s = &c->scheduler;

	heap_init(&s->heap);
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

static int
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

/* The key before this one: a walk goes on behind a key. */
static struct due_key
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
	d->place = DUE_WAITING;
	must(heap_push(&c->scheduler.heap, &d->node,
	    scheduler_place(&c->scheduler, due)));
}

/* false = it was known already */
static bool
scheduler_take_in(struct carrier *c, const struct arrival *a)
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
	d->config_set = a->config_set;
	d->route = route_ref(c, bytes_of(a->domain));
	d->stored = a->due;
	must(table_put(s->known, key, d));
	scheduler_wait(c, d, scheduler_not_too_late(c, a->due));
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
	scheduler_take_in(c, a);
	scheduler_set_timer(c);
}

/* -- reading on ------------------------------------------------------------ */

struct scheduler_scan {
	struct carrier	*carrier;
	struct leftover *left; /* NULL = all are wanted */
	size_t		 rows, room;
	bool		 stopped; /* before the end, for lack of room */
	struct due_key	 last;
};

static bool
scheduler_on_row(void *arg, const struct arrival *a)
{
	struct scheduler_scan *x = arg;
	struct scheduler      *s = &x->carrier->scheduler;
	bool		       more;

	more = table_count(s->known) < WINDOW_MAX && x->room > 0;
	if (more) {
		x->rows++;
		x->last.due = a->due;
		x->last.id = a->id;
		x->last.n = a->n;
		if ((x->left == NULL || egress_wants(x->left, a)) &&
		    scheduler_take_in(x->carrier, a))
			x->room--;
	}
	x->stopped = !more;
	return more;
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

static bool
scheduler_wants_more(const struct carrier *c)
{
	size_t known = table_count(c->scheduler.known);
	const struct due *first = scheduler_first(&c->scheduler);

	/* what was read and is due is taken first: new mail stands behind it */
	if (c->scheduler.heap.n >= REFILL_ROWS &&
	    first->due.ms <= loop_wall(c->loop).ms)
		return false;
	/* lanes that are many may fill half of it: then there is the rest */
	return !c->stopping && !c->scheduler.complete &&
	    (known < WINDOW_MAX / 2 || (known < WINDOW_MAX &&
		c->scheduler.heap.n < REFILL_ROWS));
}

static void
scheduler_read_on(struct carrier *c)
{
	struct scheduler     *s = &c->scheduler;
	struct scheduler_scan x = { .room = WINDOW_MAX };

	if (!scheduler_read(c, &x, &s->horizon, (struct wall){ INT64_MAX }))
		return; /* tried again at the next minute */
	s->horizon = x.last;
	s->complete = x.rows < REFILL_ROWS && !x.stopped;
	scheduler_refill(c);
}

static void
scheduler_want(struct carrier *c, struct leftover *l)
{
	struct scheduler *s = &c->scheduler;

	l->wanted = true;
	l->next = NULL;
	*s->wanted_last = l;
	s->wanted_last = &l->next;
	timer_set(&s->more, 0);
}

/* A portion of what a lane has left to the table. */
static void
scheduler_read_left(struct carrier *c)
{
	struct scheduler     *s = &c->scheduler;
	struct leftover	     *l = s->wanted;
	struct scheduler_scan x = { .left = l, .room = l->room };

	s->wanted = l->next;
	if (s->wanted == NULL)
		s->wanted_last = &s->wanted;
	l->wanted = false;
	if (!scheduler_read(c, &x, &l->after, l->until))
		return; /* fetched again when the next of the lane goes */
	l->after = x.last;
	l->room = x.room;
	if (x.rows < REFILL_ROWS && !x.stopped)
		l->any = false;
	else if (!x.stopped)
		scheduler_want(c, l);
}

static void
scheduler_on_more(void *carrier, void *unused)
{
	struct carrier *c = carrier;

	(void)unused;
	if (c->stopping)
		return;
	if (scheduler_wants_more(c))
		scheduler_read_on(c);
	if (c->scheduler.wanted != NULL)
		scheduler_read_left(c);
	if (c->scheduler.wanted != NULL)
		timer_set(&c->scheduler.more, 0);
	scheduler_set_timer(c);
}

void
scheduler_refill(struct carrier *c)
{
	if (scheduler_wants_more(c))
		timer_set(&c->scheduler.more, 0);
}

void
scheduler_rescan(struct carrier *c)
{
	c->scheduler.complete = false;
	memset(&c->scheduler.horizon, 0, sizeof(c->scheduler.horizon));
	scheduler_refill(c);
}

unsigned
scheduler_room(const struct carrier *c)
{
	size_t busy = table_count(c->scheduler.known) - c->scheduler.heap.n;
	size_t room = busy < LANES_MAX ? (LANES_MAX - busy) / ROOM_PART : 0;

	return room > ROOM_MIN ? (unsigned)room : ROOM_MIN;
}

void
scheduler_fetch(struct carrier *c, struct leftover *l)
{
	if (l->wanted)
		return;
	/* the lane may be half full still: more would be left again */
	l->room = scheduler_room(c) / 2;
	scheduler_want(c, l);
}

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

void
scheduler_leave(struct carrier *c, struct due *d, struct leftover *l)
{
	struct due_key k = due_key_before(d->stored, &d->id, d->n);

	if (!l->any || due_key_cmp(&k, &l->after) < 0)
		l->after = k;
	if (!l->any || l->until.ms < d->stored.ms)
		l->until = d->stored;
	l->any = true;
	scheduler_drop(c, d);
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
