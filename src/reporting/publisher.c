/* SPDX-License-Identifier: ISC */
/*
 *	       wake()            window read: no more
 *	IDLE ----------> READING -------------------> IDLE (lazy move later)
 *	READING --- show() TAKEN ---> TAKEN --- settle() ---> READING, PAUSED
 *	READING --- show() AGAIN, store trouble ---> PAUSED
 *	PAUSED --- timer ---> READING
 *	IDLE, READING --- lazy move due ---> MOVING --- receipt ---> READING
 *
 * publisher_read(): one window; publisher_settle(); publisher_move();
 * publisher_on_timer().  In every state: all events up to at are done, and
 * the cursor on disk is saved (<= at), but for MOVING, where it is on its way
 * from saved to at.
 */
#include "reporting/publisher.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"

enum { PAUSE_FIRST_MS = 250, PAUSE_MAX_MS = 60000 };

enum publisher_state {
	PUBLISHER_IDLE,
	PUBLISHER_READING,
	PUBLISHER_BUSY, /* an event is taken */
	PUBLISHER_PAUSED,
	PUBLISHER_MOVING
};

struct publisher {
	struct publisher_setup setup;
	enum publisher_state   state;
	uint64_t	       at, saved;
	uint64_t	       taken; /* BUSY: this one */
	bool		       loaded; /* at was read from the store */
	struct timer	       timer; /* the only one, by state */
	int64_t		       pause_ms; /* the last one, 0 = none */
	struct change	       change;	 /* of MOVING */
	bool		       touched;
	bool		       stopping;
	loop_fn		      *on_idle;
	void		      *on_idle_arg;
	loop_fn		      *on_sync; /* NULL = nobody waits */
	void		      *on_sync_arg;

	/* the window being shown */
	unsigned	      shown;
	enum publisher_answer last;
};

static void publisher_on_timer(void *arg, void *unused);
static void publisher_on_moved(void *ctx, void *load);

/* -- life ------------------------------------------------------------------ */

struct publisher *
publisher_new(const struct publisher_setup *s)
{
	struct publisher *p = mem_alloc(sizeof(*p));

	p->setup = *s;
	timer_init(&p->timer, s->loop, publisher_on_timer, p);
	return p;
}

void
publisher_free(struct publisher *p)
{
	if (p == NULL)
		return;
	timer_clear(&p->timer);
	mem_free(p);
}

static void
publisher_enter(struct publisher *p, enum publisher_state state,
    int64_t after_ms)
{
	p->state = state;
	timer_clear(&p->timer);
	if (after_ms >= 0)
		timer_set(&p->timer, after_ms);
}

static void
publisher_pause(struct publisher *p)
{
	p->pause_ms = p->pause_ms == 0 ? PAUSE_FIRST_MS : p->pause_ms * 2;
	if (p->pause_ms > PAUSE_MAX_MS)
		p->pause_ms = PAUSE_MAX_MS;
	publisher_enter(p, PUBLISHER_PAUSED, p->pause_ms);
}

static void
publisher_synced(struct publisher *p)
{
	loop_fn *on_sync = p->on_sync;

	p->on_sync = NULL;
	if (on_sync != NULL)
		on_sync(p->on_sync_arg, NULL);
}

static void
publisher_end(struct publisher *p)
{
	loop_fn *on_idle = p->on_idle;

	publisher_enter(p, PUBLISHER_IDLE, -1);
	publisher_synced(p);
	p->on_idle = NULL;
	if (on_idle != NULL)
		on_idle(p->on_idle_arg, NULL);
}

/* -- the cursor ------------------------------------------------------------ */

static int
publisher_also(struct change *c, struct spool_txn *t, struct err *e)
{
	struct publisher *p = c->ctx;

	return p->setup.also(p->setup.arg, t, e);
}

/* A change without items: its receipt tells when the cursor is on disk. */
static bool
publisher_move(struct publisher *p)
{
	struct change *c = &p->change;

	memset(c, 0, sizeof(*c));
	c->from = p->setup.loop;
	c->on_receipt = publisher_on_moved;
	c->ctx = p;
	c->cursor = p->setup.cursor;
	c->cursor_to = p->at;
	if (p->setup.also != NULL) {
		p->setup.moving(p->setup.arg);
		c->also = publisher_also;
	}
	if (!spool_change(p->setup.spool, c))
		return false;
	publisher_enter(p, PUBLISHER_MOVING, -1);
	return true;
}

/* What comes after a state that was waited for. */
static void
publisher_go_on(struct publisher *p)
{
	if (!p->stopping)
		publisher_enter(p, PUBLISHER_READING, 0);
	else if ((p->at == p->saved && !p->touched) || !publisher_move(p))
		publisher_end(p);
}

static void
publisher_on_moved(void *ctx, void *load)
{
	struct publisher *p = ctx;
	struct change	 *c = load;

	if (c->result == RECEIPT_OK) {
		p->saved = c->cursor_to;
		p->touched = false;
		if (p->setup.moved != NULL)
			p->setup.moved(p->setup.arg);
		publisher_go_on(p);
	} else if (p->stopping) {
		publisher_end(p);
	} else {
		publisher_pause(p); /* the process is about to end */
	}
}

/* Has enough been passed to be written down? */
static bool
publisher_is_due(const struct publisher *p)
{
	uint64_t lazy = p->setup.lazy_events != 0 ? p->setup.lazy_events
						  : PUBLISHER_LAZY_EVENTS;

	return p->at - p->saved >= lazy || (p->at != p->saved &&
	    p->setup.full != NULL && p->setup.full(p->setup.arg));
}

/* -- reading --------------------------------------------------------------- */

static bool
publisher_on_event(void *arg, uint64_t sequence, const struct event *ev)
{
	struct publisher *p = arg;

	p->shown++;
	p->last = event_is_note(ev) ? PUBLISHER_NEXT :
	    p->setup.show(p->setup.arg, sequence, ev);
	if (p->last == PUBLISHER_NEXT)
		p->at = sequence;
	else if (p->last == PUBLISHER_TAKEN)
		p->taken = sequence;
	return p->last == PUBLISHER_NEXT;
}

/* Nothing is left to be shown. */
static void
publisher_rest(struct publisher *p)
{
	if (p->at == p->saved && !p->touched) {
		publisher_enter(p, PUBLISHER_IDLE, -1);
		publisher_synced(p);
	} else if (p->on_sync == NULL) {
		publisher_enter(p, PUBLISHER_IDLE, PUBLISHER_LAZY_MS);
	} else if (!publisher_move(p)) {
		publisher_pause(p);
	}
}

static void
publisher_read(struct publisher *p)
{
	struct err e;

	if (!p->loaded) {
		p->at = p->saved = spool_cursor(p->setup.spool,
		    p->setup.cursor);
		p->loaded = true;
	}
	p->shown = 0;
	p->last = PUBLISHER_NEXT;
	if (spool_scan_events(p->setup.spool, p->at, PUBLISHER_WINDOW,
		publisher_on_event, p, &e) < 0) {
		log_error("events-unreadable", "cursor=%s reason=\"%s\"",
		    p->setup.cursor, e.text);
		publisher_pause(p);
	} else if (p->last == PUBLISHER_TAKEN) {
		publisher_enter(p, PUBLISHER_BUSY, -1);
	} else if (p->last == PUBLISHER_AGAIN) {
		publisher_pause(p);
	} else if (publisher_is_due(p)) {
		if (!publisher_move(p))
			publisher_pause(p);
	} else if (p->shown > 0) {
		p->pause_ms = 0;
		publisher_enter(p, PUBLISHER_READING, 0);
	} else {
		publisher_rest(p);
	}
}

static void
publisher_on_timer(void *arg, void *unused)
{
	struct publisher *p = arg;

	(void)unused;
	if (p->state == PUBLISHER_IDLE) {
		if (!publisher_move(p))
			publisher_pause(p);
	} else {
		publisher_read(p);
	}
}

void
publisher_wake(struct publisher *p)
{
	loop_must_own(p->setup.loop);
	if (p->state == PUBLISHER_IDLE && !p->stopping)
		publisher_enter(p, PUBLISHER_READING, 0);
}

void
publisher_touch(struct publisher *p)
{
	p->touched = true;
	publisher_wake(p);
}

void
publisher_sync(struct publisher *p, loop_fn *fn, void *arg)
{
	must(p->on_sync == NULL);
	p->on_sync = fn;
	p->on_sync_arg = arg;
	if (p->stopping)
		publisher_synced(p);
	else
		publisher_wake(p);
}

void
publisher_settle(struct publisher *p, enum publisher_end end)
{
	must(p->state == PUBLISHER_BUSY);
	if (end == PUBLISHER_FAILED) {
		if (p->stopping)
			publisher_go_on(p);
		else
			publisher_pause(p);
		return;
	}
	p->at = p->taken;
	if (end == PUBLISHER_MOVED)
		p->saved = p->at;
	p->pause_ms = 0;
	publisher_go_on(p);
}

/* -- the end --------------------------------------------------------------- */

void
publisher_stop(struct publisher *p, loop_fn *on_idle, void *arg)
{
	loop_must_own(p->setup.loop);
	p->stopping = true;
	p->on_idle = on_idle;
	p->on_idle_arg = arg;
	if (p->state != PUBLISHER_BUSY && p->state != PUBLISHER_MOVING)
		publisher_go_on(p);
}
