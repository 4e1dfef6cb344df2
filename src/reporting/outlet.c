/* SPDX-License-Identifier: ISC */
#include "reporting/outlet.h"

#include <string.h>

void
outlet_init(struct outlet *x, const struct destination *d)
{
	memset(x, 0, sizeof(*x));
	x->d = *d;
	x->end = &x->first;
	x->is_counted = true;
	destination_cursor(&d->id, x->cursor);
}

void
outlet_wipe(struct outlet *x)
{
	struct entry *e;

	while ((e = x->first) != NULL) {
		x->first = e->next;
		mem_free(e);
	}
	mem_wipe(&x->d, sizeof(x->d));
}

/* -- entries -------------------------------------------------------------- */

static void
outlet_push(struct outlet *x, const struct hit *h, bool is_replay)
{
	struct entry *e = mem_alloc(sizeof(*e));

	e->sequence = h->sequence;
	e->event = h->event;
	e->type = h->type;
	e->octets = h->octets;
	e->is_replay = is_replay;
	*x->end = e;
	x->end = &e->next;
	x->count++;
	x->octets += h->octets;
}

size_t
outlet_room(const struct outlet *x)
{
	return x->count < OUTLET_ENTRIES ? OUTLET_ENTRIES - x->count : 0;
}

struct entry *
outlet_find(struct outlet *x, uint64_t sequence, bool is_replay)
{
	struct entry *e;

	for (e = x->first; e != NULL; e = e->next)
		if (e->sequence == sequence && e->is_replay == is_replay)
			return e;
	return NULL;
}

void
outlet_drop(struct outlet *x, struct entry *e)
{
	struct entry **p = &x->first;

	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
	if (x->end == &e->next)
		x->end = p;
	x->count--;
	x->octets -= e->octets;
	mem_free(e);
}

/* -- events.outbox_max ---------------------------------------------------- */

/* Those that tell of trouble have twice the room (events.md 10.1). */
static bool
type_is_vital(enum event_type t)
{
	return t == EVENT_BOUNCE || t == EVENT_COMPLAINT ||
	    t == EVENT_REJECT || t == EVENT_SUBSCRIPTION;
}

static unsigned
level_at(const struct outlet *x, uint64_t sequence)
{
	unsigned i = x->level_count;

	while (i > 0 && x->levels[i - 1].from > sequence)
		i--;
	return i > 0 ? x->levels[i - 1].level : 0;
}

/* What it has read needs no levels any more, but the last. */
static void
levels_prune(struct outlet *x)
{
	unsigned n = 0;

	while (n + 1 < x->level_count && x->levels[n + 1].from <= x->read)
		n++;
	memmove(x->levels, x->levels + n,
	    (x->level_count - n) * sizeof(x->levels[0]));
	x->level_count -= n;
}

/*
 * The level goes up at the limit, and down when a tenth has become free, so
 * that it does not flicker; without a place for the change it stays up.
 */
static unsigned
level_of(struct outlet *x, const struct hit *h, uint64_t limit)
{
	uint64_t have = x->octets + x->backlog_octets + h->octets;
	unsigned old = level_at(x, UINT64_MAX), level = old;

	if (have > 2 * limit)
		level = 2;
	else if (have > limit)
		level = old == 2 && have > limit * 2 / 10 * 9 ? 2 : 1;
	else if (have <= limit / 10 * 9)
		level = 0;
	else if (level == 2)
		level = 1;
	if (level == old)
		return level;
	levels_prune(x);
	if (x->level_count == OUTLET_LEVELS && level < old)
		return old;
	if (x->level_count == OUTLET_LEVELS)
		x->level_count--; /* it joins the one before */
	x->levels[x->level_count].from = h->sequence;
	x->levels[x->level_count++].level = level;
	return level;
}

static bool
level_drops(unsigned level, enum event_type t)
{
	return level >= (type_is_vital(t) ? 2u : 1u);
}

/* -- hearing and reading -------------------------------------------------- */

enum outlet_answer
outlet_hear(struct outlet *x, const struct hit *h, uint64_t limit)
{
	if (h->sequence <= x->read)
		return OUTLET_OLD;
	if (level_drops(level_of(x, h, limit), h->type))
		return OUTLET_DROPPED;
	if (!x->lags && outlet_room(x) > 0) {
		outlet_push(x, h, false);
		x->read = h->sequence;
		return OUTLET_TAKEN;
	}
	x->lags = true;
	if (x->is_counted) {
		x->backlog++;
		x->backlog_octets += h->octets;
	}
	return OUTLET_LATER;
}

enum outlet_answer
outlet_take(struct outlet *x, const struct hit *h)
{
	if (h->sequence <= x->read ||
	    level_drops(level_at(x, h->sequence), h->type))
		return OUTLET_OLD;
	outlet_push(x, h, false);
	x->read = h->sequence;
	x->backlog -= x->backlog > 0;
	x->backlog_octets -= x->backlog_octets < h->octets ?
	    x->backlog_octets : h->octets;
	return OUTLET_TAKEN;
}

void
outlet_repeat(struct outlet *x, const struct hit *h)
{
	outlet_push(x, h, true);
}

void
outlet_count(struct outlet *x, const struct hit *h)
{
	x->backlog++;
	x->backlog_octets += h->octets;
}

void
outlet_caught_up(struct outlet *x, uint64_t to, uint64_t walked)
{
	if (to > x->read)
		x->read = to;
	if (x->read < walked)
		return;
	x->lags = false;
	x->backlog = x->backlog_octets = 0;
}

uint64_t
outlet_purge(struct outlet *x, uint64_t walked)
{
	uint64_t n = x->count + x->backlog;

	while (x->first != NULL)
		outlet_drop(x, x->first);
	outlet_caught_up(x, walked, walked);
	x->is_counted = true;
	x->counted = x->read;
	x->replay = 0;
	return n;
}

/* -- how far -------------------------------------------------------------- */

uint64_t
outlet_done(const struct outlet *x, uint64_t walked)
{
	uint64_t	    done = x->lags ? x->read : walked;
	const struct entry *e;

	for (e = x->first; e != NULL; e = e->next)
		if (!e->is_replay && e->sequence <= done)
			done = e->sequence - 1;
	if (x->unsynced != 0 && x->unsynced <= done)
		done = x->unsynced - 1;
	return done;
}

bool
outlet_is_slow(const struct outlet *x)
{
	return x->lags || x->failures > 0 || !x->d.enabled;
}

bool
outlet_is_idle(const struct outlet *x)
{
	return x->count == 0 && !x->lags && x->unsynced == 0 &&
	    x->saved == 0 && x->replay == 0;
}

void
outlet_show(struct outlet *x)
{
	if (x->meter == NULL)
		return;
	meter_set(&x->meter->entries, x->count + x->backlog);
	meter_set(&x->meter->oldest_ms, x->first == NULL ? 0 :
	    (uint64_t)event_id_time(&x->first->event).ms);
}
