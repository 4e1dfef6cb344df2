/* SPDX-License-Identifier: ISC */
#include "base/turns.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/table.h"

/* Those of one source and rank; it is there while somebody waits in it. */
struct turn_line {
	struct turn_line *next, *prev; /* in the ring; the first is next */
	struct turn	 *first, *last;
	enum turn_rank	  rank;
	bool		  is_last_next; /* the one that came last */
	size_t		  n;
	char		  source[];
};

struct ring {
	struct table	 *lines; /* by source */
	struct turn_line *first, *last;
	size_t		  waiting;
};

struct turns {
	struct loop *loop;
	struct ring  rings[TURN_RANKS];
	bool	     is_deferred;
	struct timer rest; /* of strangers */
	/*
	 * Strangers may run from here on.  It is moved by what they cost, and
	 * never lies further back than what they may have saved.
	 */
	int64_t free_us;
};

static void turns_on_pass(void *turns, void *unused);
static void turns_on_rest(void *turns, void *unused);

/* -- life ----------------------------------------------------------------- */

struct turns *
turns_new(struct loop *l)
{
	struct turns *ts = mem_alloc(sizeof(*ts));
	int	      i;

	ts->loop = l;
	ts->free_us = INT64_MIN;
	for (i = 0; i < TURN_RANKS; i++)
		ts->rings[i].lines = table_new(0); /* as many as askers */
	timer_init(&ts->rest, l, turns_on_rest, ts);
	return ts;
}

void
turns_free(struct turns *ts)
{
	int i;

	if (ts == NULL)
		return;
	loop_must_own(ts->loop);
	timer_clear(&ts->rest);
	for (i = 0; i < TURN_RANKS; i++) {
		must(ts->rings[i].waiting == 0);
		table_free(ts->rings[i].lines);
	}
	mem_free(ts);
}

size_t
turns_waiting(const struct turns *ts, enum turn_rank rank)
{
	return ts->rings[rank].waiting;
}

/* -- lines and rings ------------------------------------------------------ */

static void
ring_append(struct ring *r, struct turn_line *line)
{
	line->next = NULL;
	line->prev = r->last;
	if (r->last != NULL)
		r->last->next = line;
	else
		r->first = line;
	r->last = line;
}

static void
ring_unlink(struct ring *r, struct turn_line *line)
{
	if (line->prev != NULL)
		line->prev->next = line->next;
	else
		r->first = line->next;
	if (line->next != NULL)
		line->next->prev = line->prev;
	else
		r->last = line->prev;
}

static struct turn_line *
ring_line(struct ring *r, enum turn_rank rank, struct bytes source)
{
	struct turn_line *line = table_get(r->lines, source);

	if (line != NULL)
		return line;
	line = mem_alloc(sizeof(*line) + source.n);
	line->rank = rank;
	line->n = source.n;
	if (source.n > 0)
		memcpy(line->source, source.p, source.n);
	must(table_put(r->lines, source, line));
	ring_append(r, line);
	return line;
}

/* -- turns ---------------------------------------------------------------- */

void
turn_init(struct turn *t, loop_fn *fn, void *arg)
{
	memset(t, 0, sizeof(*t));
	t->fn = fn;
	t->arg = arg;
}

bool
turn_is_waiting(const struct turn *t)
{
	return t->turns != NULL;
}

static void
turns_defer(struct turns *ts)
{
	if (ts->is_deferred)
		return;
	ts->is_deferred = true;
	loop_defer(ts->loop, turns_on_pass, ts);
}

void
turn_ask(struct turns *ts, struct turn *t, enum turn_rank rank,
    struct bytes source)
{
	struct turn_line *line;

	loop_must_own(ts->loop);
	if (t->turns != NULL)
		return;
	line = ring_line(&ts->rings[rank], rank, source);
	t->turns = ts;
	t->line = line;
	t->next = NULL;
	t->prev = line->last;
	if (line->last != NULL)
		line->last->next = t;
	else
		line->first = t;
	line->last = t;
	ts->rings[rank].waiting++;
	if (rank != TURN_STRANGER || !timer_is_set(&ts->rest))
		turns_defer(ts);
}

void
turn_leave(struct turn *t)
{
	struct turn_line *line = t->line;
	struct ring	 *r;

	if (t->turns == NULL)
		return;
	loop_must_own(t->turns->loop);
	r = &t->turns->rings[line->rank];
	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		line->first = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	else
		line->last = t->prev;
	r->waiting--;
	t->turns = NULL;
	t->line = NULL;
	if (line->first != NULL)
		return;
	ring_unlink(r, line);
	table_take(r->lines, (struct bytes){ line->source, line->n });
	mem_free(line);
}

/* -- whose turn it is ----------------------------------------------------- */

/* The line goes to the end before the step: the turn may ask anew in it. */
static void
turns_run_one(struct turns *ts, enum turn_rank rank)
{
	struct ring	 *r = &ts->rings[rank];
	struct turn_line *line = r->first;
	struct turn	 *t = line->is_last_next ? line->last : line->first;

	line->is_last_next = rank == TURN_STRANGER && !line->is_last_next;
	ring_unlink(r, line);
	ring_append(r, line);
	turn_leave(t);
	t->fn(t->arg, NULL);
}

/* Microseconds until strangers may run; 0 = now. */
static int64_t
turns_rest_us(struct turns *ts, int64_t now_us)
{
	const int64_t saved_us = (int64_t)TURN_STRANGER_SAVED_MS * 1000;

	if (ts->free_us < now_us - saved_us)
		ts->free_us = now_us - saved_us;
	return ts->free_us > now_us ? ts->free_us - now_us : 0;
}

static void
turns_run_stranger(struct turns *ts)
{
	int64_t began_us;

	if (turns_rest_us(ts, clock_mono_us()) > 0)
		return;
	/* not the time: while others have the processor nobody must pay */
	began_us = clock_thread_us();
	turns_run_one(ts, TURN_STRANGER);
	ts->free_us += (clock_thread_us() - began_us) * 100 /
	    TURN_STRANGER_SHARE;
}

static void
turns_run_greedy(struct turns *ts)
{
	int64_t until_us = clock_mono_us() + TURN_GREEDY_US;

	do
		turns_run_one(ts, TURN_GREEDY);
	while (ts->rings[TURN_GREEDY].first != NULL &&
	    clock_mono_us() < until_us);
}

static void
turns_on_pass(void *turns, void *unused)
{
	struct turns *ts = turns;
	int64_t	      rest_us;
	int	      i;

	(void)unused;
	ts->is_deferred = false;
	for (i = 0; i < TURN_LIGHT_MAX && ts->rings[TURN_LIGHT].first; i++)
		turns_run_one(ts, TURN_LIGHT);
	if (ts->rings[TURN_KNOWN].first != NULL)
		turns_run_one(ts, TURN_KNOWN);
	if (ts->rings[TURN_STRANGER].first != NULL)
		turns_run_stranger(ts);
	if (ts->rings[TURN_GREEDY].first != NULL)
		turns_run_greedy(ts);
	if (ts->rings[TURN_LIGHT].first != NULL ||
	    ts->rings[TURN_KNOWN].first != NULL ||
	    ts->rings[TURN_GREEDY].first != NULL)
		turns_defer(ts);
	if (ts->rings[TURN_STRANGER].first == NULL)
		return;
	rest_us = turns_rest_us(ts, clock_mono_us());
	if (rest_us == 0)
		turns_defer(ts);
	else
		timer_set(&ts->rest, (rest_us + 999) / 1000);
}

static void
turns_on_rest(void *turns, void *unused)
{
	(void)unused;
	turns_defer(turns);
}
