/* SPDX-License-Identifier: ISC */
#include "reporting/outlet.h"

#include <stdio.h>
#include <string.h>

static bool
id_is_none(const struct destination_id *id)
{
	static const struct destination_id none;

	return memcmp(id->b, none.b, sizeof(none.b)) == 0;
}

bool
record_way_is_direct(const struct record_way *w)
{
	return id_is_none(&w->via) && !w->form.notification;
}

char *
outlet_name(const struct destination *d, char out[OUTLET_NAME_SIZE])
{
	if (destination_is_subscription(d))
		snprintf(out, OUTLET_NAME_SIZE, "%s:%s", d->topic.name,
		    d->name);
	else
		snprintf(out, OUTLET_NAME_SIZE, "%s", d->name);
	return out;
}

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

	e->key.sequence = h->sequence;
	e->key.is_replay = is_replay;
	e->key.way = h->way;
	e->event = h->event;
	e->type = h->type;
	e->octets = h->octets;
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

/* What a record shows may change meanwhile, and it is still the same. */
static bool
key_eq(const struct entry_key *a, const struct entry_key *b)
{
	return a->sequence == b->sequence && a->is_replay == b->is_replay &&
	    a->way.form.notification == b->way.form.notification &&
	    memcmp(a->way.via.b, b->way.via.b, sizeof(a->way.via.b)) == 0;
}

struct entry *
outlet_find(struct outlet *x, const struct entry_key *k)
{
	struct entry *e;

	for (e = x->first; e != NULL; e = e->next)
		if (key_eq(&e->key, k))
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

/* Another way of the event that was taken just now comes with it, whether
 * there is room or not; one that went back has it perhaps. */
static bool
hit_is_old(struct outlet *x, const struct hit *h)
{
	struct entry_key k = { h->sequence, false, h->way };

	return h->sequence < x->read ||
	    (h->sequence == x->read && h->sequence != x->latest) ||
	    outlet_find(x, &k) != NULL;
}

static void
outlet_accept(struct outlet *x, const struct hit *h)
{
	outlet_push(x, h, false);
	x->read = x->latest = h->sequence;
}

enum outlet_answer
outlet_hear(struct outlet *x, const struct hit *h, uint64_t limit)
{
	if (hit_is_old(x, h))
		return OUTLET_OLD;
	if (level_drops(level_of(x, h, limit), h->type))
		return OUTLET_DROPPED;
	if (!x->lags && (outlet_room(x) > 0 || h->sequence == x->latest)) {
		outlet_accept(x, h);
		return OUTLET_TAKEN;
	}
	x->lags = true;
	x->latest = 0;
	if (x->is_counted) {
		x->backlog++;
		x->backlog_octets += h->octets;
	}
	return OUTLET_LATER;
}

enum outlet_answer
outlet_take(struct outlet *x, const struct hit *h)
{
	if (hit_is_old(x, h) ||
	    level_drops(level_at(x, h->sequence), h->type))
		return OUTLET_OLD;
	outlet_accept(x, h);
	x->backlog -= x->backlog > 0;
	x->backlog_octets -= x->backlog_octets < h->octets ?
	    x->backlog_octets : h->octets;
	return OUTLET_TAKEN;
}

void
outlet_repeat(struct outlet *x, const struct hit *h)
{
	struct entry_key k = { h->sequence, true, h->way };

	if (outlet_find(x, &k) == NULL) /* it was asked for twice */
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
	x->latest = 0;
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
		if (!e->key.is_replay && e->key.sequence <= done)
			done = e->key.sequence - 1;
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
