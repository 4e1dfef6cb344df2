/* SPDX-License-Identifier: ISC */
#include "base/tally.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum {
	STRIPES_MAX = 64,
	STRIPE_ENTRIES_MIN = 64, /* below it fewer stripes are made */
	WINDOW_PARTS = 8,
	SWEEP_PAUSE_MS = 1000,
	WALK_MAX = 1000
};

static const int64_t day_ms = 86400 * 1000;

enum entry_kind { ENTRY_COUNT, ENTRY_WINDOW, ENTRY_BUCKET, ENTRY_BLOCK };

struct window {
	int64_t window_ms;
	int64_t newest; /* number of the newest part since the clock's start */
	int64_t n[WINDOW_PARTS]; /* part p lies at p % WINDOW_PARTS */
};

struct bucket {
	double	level, rate, burst; /* rate, burst: as given last */
	int64_t at_ms;		    /* when level was true */
};

struct block {
	struct window window;
	int64_t	      failures;
	int64_t	      until_ms; /* 0 = never blocked so far */
	int64_t	      length_ms; /* of the last block */
};

struct entry {
	struct entry   *next; /* in the same slot */
	uint64_t	hash;
	enum entry_kind kind;
	union {
		int64_t	      count;
		struct window window;
		struct bucket bucket;
		struct block  block;
	} u;
	size_t n;
	char   key[];
};

struct stripe {
	pthread_mutex_t lock;
	struct entry  **slots;
	size_t		count;
	int64_t		now_ms;	  /* the latest time told by a caller */
	int64_t		sweep_ms; /* no sweep before: the last found nothing */
	bool		is_full;  /* the last new key was not kept */
};

struct tally {
	struct mem_hash_key hash_key;
	unsigned	    stripe_count; /* a power of two */
	size_t		    stripe_entries_max;
	size_t		    slot_count; /* of a stripe; a power of two */
	struct stripe	    stripes[STRIPES_MAX];
};

/* What a call works on; the stripe is locked from _enter to _leave. */
struct place {
	struct tally   *tally;
	struct stripe  *stripe;
	struct bytes	key;
	uint64_t	hash;
	enum entry_kind kind;
};

/* -- life ----------------------------------------------------------------- */

struct tally *
tally_new(size_t entries_max)
{
	struct tally *t = mem_alloc(sizeof(*t));
	unsigned      i;

	must(entries_max > 0);
	mem_hash_key_init(&t->hash_key);
	t->stripe_count = 1;
	while (t->stripe_count < STRIPES_MAX &&
	    entries_max / (t->stripe_count * 2) >= STRIPE_ENTRIES_MIN)
		t->stripe_count *= 2;
	t->stripe_entries_max = entries_max / t->stripe_count;
	t->slot_count = 1;
	while (t->slot_count < t->stripe_entries_max)
		t->slot_count *= 2;
	for (i = 0; i < t->stripe_count; i++) {
		t->stripes[i].slots =
		    mem_alloc(t->slot_count * sizeof(*t->stripes[i].slots));
		t->stripes[i].now_ms = INT64_MIN;
		t->stripes[i].sweep_ms = INT64_MIN;
		must(pthread_mutex_init(&t->stripes[i].lock, NULL) == 0);
	}
	return t;
}

void
tally_free(struct tally *t)
{
	struct entry *e;
	unsigned      i;
	size_t	      slot;

	if (t == NULL)
		return;
	for (i = 0; i < t->stripe_count; i++) {
		for (slot = 0; slot < t->slot_count; slot++) {
			while ((e = t->stripes[i].slots[slot]) != NULL) {
				t->stripes[i].slots[slot] = e->next;
				free(e);
			}
		}
		free(t->stripes[i].slots);
		pthread_mutex_destroy(&t->stripes[i].lock);
	}
	free(t);
}

bool
tally_is_full(const struct tally *t)
{
	struct tally *lockable = (struct tally *)(uintptr_t)t;
	bool	      is_full = false;
	unsigned      i;

	for (i = 0; i < t->stripe_count && !is_full; i++) {
		pthread_mutex_lock(&lockable->stripes[i].lock);
		is_full = t->stripes[i].is_full;
		pthread_mutex_unlock(&lockable->stripes[i].lock);
	}
	return is_full;
}

/* -- windows and buckets, without locks ----------------------------------- */

static int64_t
window_part_ms(const struct window *w)
{
	return w->window_ms < WINDOW_PARTS ? 1 : w->window_ms / WINDOW_PARTS;
}

/* Moves on to now and adds d; returns the sum. */
static int64_t
window_add(struct window *w, int64_t d, int64_t now_ms, int64_t window_ms)
{
	int64_t now, part, sum = 0;
	int	i;

	if (w->window_ms != window_ms) { /* new, or set anew: begins again */
		memset(w, 0, sizeof(*w));
		w->window_ms = window_ms;
		w->newest = now_ms / window_part_ms(w);
	}
	now = now_ms / window_part_ms(w);
	if (now - w->newest >= WINDOW_PARTS)
		w->newest = now - WINDOW_PARTS;
	for (part = w->newest + 1; part <= now; part++)
		w->n[(uint64_t)part % WINDOW_PARTS] = 0;
	if (now > w->newest) /* loops read their clocks at different times */
		w->newest = now;
	w->n[(uint64_t)w->newest % WINDOW_PARTS] += d;
	for (i = 0; i < WINDOW_PARTS; i++)
		sum += w->n[i];
	return sum;
}

static bool
window_is_empty(const struct window *w, int64_t now_ms)
{
	struct window copy = *w;

	return w->window_ms == 0 ||
	    window_add(&copy, 0, now_ms, copy.window_ms) == 0;
}

static void
bucket_refill(struct bucket *b, double rate, double burst, int64_t now_ms)
{
	if (now_ms > b->at_ms) {
		b->level += (double)(now_ms - b->at_ms) / 1000 * rate;
		b->at_ms = now_ms;
	}
	if (b->level > burst)
		b->level = burst;
	b->rate = rate;
	b->burst = burst;
}

/* Many small refills may add up to a hair less than one token. */
static bool
bucket_has_token(double level)
{
	return level >= 1 - 1e-9;
}

/* Does it say no more than a key that is not there? */
static bool
entry_is_idle(const struct entry *e, int64_t now_ms)
{
	const struct block *k = &e->u.block;
	struct bucket	    b;

	switch (e->kind) {
	case ENTRY_COUNT:
		return e->u.count == 0;
	case ENTRY_WINDOW:
		return window_is_empty(&e->u.window, now_ms);
	case ENTRY_BUCKET:
		b = e->u.bucket;
		bucket_refill(&b, b.rate, b.burst, now_ms);
		return b.level >= b.burst;
	case ENTRY_BLOCK:
		return window_is_empty(&k->window, now_ms) &&
		    (k->until_ms == 0 || now_ms - k->until_ms >= day_ms);
	}
	return false;
}

/* -- entries -------------------------------------------------------------- */

static struct place
tally_enter(struct tally *t, struct bytes key, enum entry_kind kind)
{
	struct place p = { t, NULL, key, mem_hash(&t->hash_key, key), kind };

	p.hash ^= (uint64_t)kind;
	p.stripe = &t->stripes[p.hash >> 32 & (t->stripe_count - 1)];
	pthread_mutex_lock(&p.stripe->lock);
	return p;
}

static struct place
tally_enter_at(struct tally *t, struct bytes key, enum entry_kind kind,
    struct mono now)
{
	struct place p = tally_enter(t, key, kind);

	if (now.ms > p.stripe->now_ms)
		p.stripe->now_ms = now.ms;
	return p;
}

static void
tally_leave(const struct place *p)
{
	pthread_mutex_unlock(&p->stripe->lock);
}

/* The place that points to the entry, or to the end of its slot. */
static struct entry **
tally_look(const struct place *p)
{
	struct entry **at, *e;

	at = &p->stripe->slots[p->hash & (p->tally->slot_count - 1)];
	while ((e = *at) != NULL && (e->hash != p->hash ||
	    e->kind != p->kind || e->n != p->key.n ||
	    (e->n > 0 && memcmp(e->key, p->key.p, e->n) != 0)))
		at = &e->next;
	return at;
}

static void
tally_drop(const struct place *p, struct entry **at)
{
	struct entry *e = *at;

	*at = e->next;
	p->stripe->count--;
	free(e);
}

/*
 * Makes room.  When nothing could go, the next try waits, so that a flood of
 * new keys does not mean a walk for each.
 */
static void
tally_sweep(const struct place *p)
{
	struct stripe *s = p->stripe;
	struct entry **at;
	size_t	       i;

	if (s->now_ms < s->sweep_ms)
		return;
	for (i = 0; i < p->tally->slot_count; i++) {
		at = &s->slots[i];
		while (*at != NULL) {
			if (entry_is_idle(*at, s->now_ms))
				tally_drop(p, at);
			else
				at = &(*at)->next;
		}
	}
	if (s->count >= p->tally->stripe_entries_max &&
	    s->now_ms != INT64_MIN)
		s->sweep_ms = s->now_ms + SWEEP_PAUSE_MS;
}

/* The entry, made (all zero) when it is not there; NULL = not kept. */
static struct entry *
tally_make(const struct place *p)
{
	struct stripe *s = p->stripe;
	struct entry **at = tally_look(p), *e = *at;

	if (e != NULL)
		return e;
	if (s->count >= p->tally->stripe_entries_max)
		tally_sweep(p);
	s->is_full = s->count >= p->tally->stripe_entries_max;
	if (s->is_full)
		return NULL;
	e = calloc(1, sizeof(*e) + p->key.n);
	if (e == NULL)
		return NULL;
	e->hash = p->hash;
	e->kind = p->kind;
	e->n = p->key.n;
	if (e->n > 0)
		memcpy(e->key, p->key.p, e->n);
	at = &s->slots[p->hash & (p->tally->slot_count - 1)];
	e->next = *at; /* the sweep may have moved the end */
	*at = e;
	s->count++;
	return e;
}

/* -- counts --------------------------------------------------------------- */

int64_t
tally_add(struct tally *t, struct bytes key, int64_t d)
{
	struct place   p = tally_enter(t, key, ENTRY_COUNT);
	struct entry **at = tally_look(&p), *e = *at;
	int64_t	       n = 0;

	if (e == NULL && d > 0)
		e = tally_make(&p);
	if (e != NULL) {
		e->u.count += d;
		if (e->u.count < 0)
			e->u.count = 0;
		n = e->u.count;
		if (n == 0)
			tally_drop(&p, at);
	}
	tally_leave(&p);
	return n;
}

int64_t
tally_get(struct tally *t, struct bytes key)
{
	struct place  p = tally_enter(t, key, ENTRY_COUNT);
	struct entry *e = *tally_look(&p);
	int64_t	      n = e == NULL ? 0 : e->u.count;

	tally_leave(&p);
	return n;
}

bool
tally_add_below(struct tally *t, struct bytes key, int64_t d, int64_t max)
{
	struct place   p = tally_enter(t, key, ENTRY_COUNT);
	struct entry **at = tally_look(&p), *e = *at;
	int64_t	       n = (e == NULL ? 0 : e->u.count) + d;
	bool	       is_below = n <= max;

	if (is_below && e == NULL && n > 0)
		e = tally_make(&p);
	if (is_below && e != NULL) {
		e->u.count = n;
		if (n <= 0)
			tally_drop(&p, at);
	}
	tally_leave(&p);
	return is_below;
}

struct count_copy {
	struct count_copy *next;
	int64_t		   count;
	size_t		   n;
	char		   key[];
};

/* In front of those that are there. */
static struct count_copy *
stripe_copy_counts(const struct tally *t, const struct stripe *s,
    struct bytes prefix, struct count_copy *list)
{
	const struct entry *e;
	struct count_copy  *c;
	size_t		    slot;

	for (slot = 0; slot < t->slot_count; slot++) {
		for (e = s->slots[slot]; e != NULL; e = e->next) {
			if (e->kind != ENTRY_COUNT ||
			    !bytes_starts((struct bytes){ e->key, e->n },
				prefix))
				continue;
			c = mem_alloc(sizeof(*c) + e->n);
			c->next = list;
			c->count = e->u.count;
			c->n = e->n;
			memcpy(c->key, e->key, e->n);
			list = c;
		}
	}
	return list;
}

void
tally_each_count(struct tally *t, struct bytes prefix,
    void (*fn)(void *arg, struct bytes key, int64_t n), void *arg)
{
	struct count_copy *list, *c;
	unsigned	   i;

	for (i = 0; i < t->stripe_count; i++) {
		pthread_mutex_lock(&t->stripes[i].lock);
		list = stripe_copy_counts(t, &t->stripes[i], prefix, NULL);
		pthread_mutex_unlock(&t->stripes[i].lock);
		while ((c = list) != NULL) {
			list = c->next;
			fn(arg, (struct bytes){ c->key, c->n }, c->count);
			mem_free(c);
		}
	}
}

/* -- windows -------------------------------------------------------------- */

int64_t
tally_window_add(struct tally *t, struct bytes key, int64_t d,
    struct mono now, int64_t window_ms)
{
	struct place  p = tally_enter_at(t, key, ENTRY_WINDOW, now);
	struct entry *e = d > 0 ? tally_make(&p) : *tally_look(&p);
	int64_t	      n = 0;

	if (e != NULL)
		n = window_add(&e->u.window, d, now.ms, window_ms);
	tally_leave(&p);
	return n;
}

/* -- buckets -------------------------------------------------------------- */

bool
tally_bucket_take(struct tally *t, struct bytes key, double n, double rate,
    double burst, struct mono now)
{
	struct place   p;
	struct entry  *e;
	struct bucket *b;
	bool	       has_token;

	if (rate < 0)
		return true;
	p = tally_enter_at(t, key, ENTRY_BUCKET, now);
	e = *tally_look(&p);
	has_token = bucket_has_token(burst);
	if (e == NULL && has_token && (e = tally_make(&p)) != NULL) {
		e->u.bucket.level = burst;
		e->u.bucket.at_ms = now.ms;
	}
	if (e != NULL) {
		b = &e->u.bucket;
		bucket_refill(b, rate, burst, now.ms);
		has_token = bucket_has_token(b->level);
		if (has_token)
			b->level -= n;
	}
	tally_leave(&p);
	return has_token;
}

bool
tally_bucket_peek(struct tally *t, struct bytes key, double rate,
    double burst, struct mono now)
{
	struct place  p;
	struct entry *e;
	bool	      has_token = bucket_has_token(burst);

	if (rate < 0)
		return true;
	p = tally_enter_at(t, key, ENTRY_BUCKET, now);
	e = *tally_look(&p);
	if (e != NULL) {
		bucket_refill(&e->u.bucket, rate, burst, now.ms);
		has_token = bucket_has_token(e->u.bucket.level);
	}
	tally_leave(&p);
	return has_token;
}

void
tally_bucket_give(struct tally *t, struct bytes key, double n, double rate,
    double burst)
{
	struct place  p;
	struct entry *e;

	if (rate < 0)
		return;
	p = tally_enter(t, key, ENTRY_BUCKET);
	e = *tally_look(&p);
	if (e != NULL) { /* not there = full */
		e->u.bucket.level += n;
		bucket_refill(&e->u.bucket, rate, burst, INT64_MIN);
	}
	tally_leave(&p);
}

/* -- blocks --------------------------------------------------------------- */

static void
block_begin(struct block *k, int64_t block_ms, int64_t now_ms)
{
	int64_t longest = block_ms > day_ms ? block_ms : day_ms;
	int64_t length = block_ms;

	if (k->until_ms != 0 && now_ms - k->until_ms < day_ms &&
	    k->length_ms >= block_ms)
		length = k->length_ms < longest / 2 ? k->length_ms * 2 :
						      longest;
	k->length_ms = length;
	k->until_ms = now_ms + length;
	/* afterwards it takes as many failures again */
	memset(&k->window, 0, sizeof(k->window));
}

bool
tally_fail(struct tally *t, struct bytes key, int64_t threshold,
    int64_t window_ms, int64_t block_ms, struct mono now)
{
	struct place  p;
	struct entry *e;
	struct block *k;
	bool	      is_blocked = false;

	if (threshold < 1 || block_ms < 1)
		return false;
	p = tally_enter_at(t, key, ENTRY_BLOCK, now);
	e = tally_make(&p);
	if (e != NULL) {
		k = &e->u.block;
		k->failures++;
		is_blocked = k->until_ms > now.ms;
		if (!is_blocked && window_add(&k->window, 1, now.ms,
				       window_ms) >= threshold) {
			block_begin(k, block_ms, now.ms);
			is_blocked = true;
		}
	}
	tally_leave(&p);
	return is_blocked;
}

bool
tally_is_blocked(struct tally *t, struct bytes key, struct mono now)
{
	struct place  p = tally_enter_at(t, key, ENTRY_BLOCK, now);
	struct entry *e = *tally_look(&p);
	bool	      is_blocked;

	is_blocked = e != NULL && e->u.block.until_ms > now.ms;
	tally_leave(&p);
	return is_blocked;
}

bool
tally_unblock(struct tally *t, struct bytes key)
{
	struct place   p = tally_enter(t, key, ENTRY_BLOCK);
	struct entry **at = tally_look(&p);
	bool	       was_blocked = false;

	if (*at != NULL) {
		was_blocked = (*at)->u.block.until_ms > p.stripe->now_ms;
		tally_drop(&p, at);
	}
	tally_leave(&p);
	return was_blocked;
}

struct block_copy {
	char   *key;
	size_t	n;
	int64_t failures, left_ms;
};

/* With the lock held.  Counts the blocked ones; copies while there is room. */
static size_t
stripe_copy_blocks(const struct tally *t, struct stripe *s, int64_t now_ms,
    struct block_copy *out, size_t room)
{
	struct entry *e;
	size_t	      i, n = 0;

	if (now_ms > s->now_ms)
		s->now_ms = now_ms;
	for (i = 0; i < t->slot_count; i++) {
		for (e = s->slots[i]; e != NULL; e = e->next) {
			if (e->kind != ENTRY_BLOCK ||
			    e->u.block.until_ms <= now_ms)
				continue;
			if (n < room) {
				out[n].key = mem_dup_bytes(
				    (struct bytes){ e->key, e->n });
				out[n].n = e->n;
				out[n].failures = e->u.block.failures;
				out[n].left_ms = e->u.block.until_ms - now_ms;
			}
			n++;
		}
	}
	return n;
}

size_t
tally_blocked_count(struct tally *t, struct mono now)
{
	struct stripe *s;
	unsigned       i;
	size_t	       n = 0;

	for (i = 0; i < t->stripe_count; i++) {
		s = &t->stripes[i];
		pthread_mutex_lock(&s->lock);
		n += stripe_copy_blocks(t, s, now.ms, NULL, 0);
		pthread_mutex_unlock(&s->lock);
	}
	return n;
}

void
tally_each_block(struct tally *t, struct mono now,
    void (*fn)(void *arg, struct bytes key, int64_t failures,
	int64_t left_ms),
    void *arg)
{
	struct block_copy *copy = mem_alloc(WALK_MAX * sizeof(*copy));
	struct stripe	  *s;
	unsigned	   i;
	size_t		   n = 0, j;

	for (i = 0; i < t->stripe_count && n < WALK_MAX; i++) {
		s = &t->stripes[i];
		pthread_mutex_lock(&s->lock);
		n += stripe_copy_blocks(t, s, now.ms, copy + n, WALK_MAX - n);
		pthread_mutex_unlock(&s->lock);
	}
	if (n > WALK_MAX)
		n = WALK_MAX;
	for (j = 0; j < n; j++) {
		fn(arg, (struct bytes){ copy[j].key, copy[j].n },
		    copy[j].failures, copy[j].left_ms);
		mem_free(copy[j].key);
	}
	mem_free(copy);
}
