/* SPDX-License-Identifier: ISC */
/*
 * scheduler.h - what is due.
 *
 * Use:    scheduler_add() for each arrival, scheduler_rescan() at the start
 *         and when arrivals were missed; what is due goes to route_take().
 *         scheduler_drop() when an envelope is final, scheduler_again() when
 *         it waits for another time.
 * Owner:  the carrier; a due belongs to the scheduler from its arrival to
 *         scheduler_drop(), wherever it waits meanwhile.
 * Thread: the delivery loop's.
 * Clock:  the store has hours, so it is the wall clock that says what is due.
 *         Set ahead, it makes more of it due at once.  When it is set back,
 *         what waits in memory is due after as long a time as before; of the
 *         rest, and after a start, nothing waits longer than the longest
 *         pause between two attempts (outcome_longest_wait_ms()).
 * Fails:  a store that cannot be read is asked again later; nothing is lost,
 *         since the due table of the spool holds everything.
 */
#ifndef DELIVERY_SCHEDULER_H
#define DELIVERY_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/table.h"
#include "base/thread.h"
#include "delivery/due.h"
#include "store/spool.h"

struct carrier;

enum { WINDOW_MAX = 50000 };

/*
 * Rows that were read, and left to the table again by somebody who has no
 * room for more of them (a lane, a route without an answer yet).  after: the
 * first of them lies behind it; until: the last is not due later.
 */
struct leftover {
	bool		 any, wanted;
	bool		 is_listed;   /* among those that want them back */
	bool		 is_complete; /* what is read now begins before them */
	struct due_key	 after;
	struct wall	 until;
	size_t		 room; /* for so many of them, while wanted */
	struct leftover *next; /* of those that are listed */
};

struct scheduler {
	struct heap	heap;
	struct due_list fresh; /* new mail that is due: beside the heap */
	uint32_t	turn; /* of the next one that waits */
	struct table   *known; /* id and n -> due */
	struct due_key	horizon; /* the table was read up to here */
	bool		complete; /* nothing is behind the horizon */
	struct timer	wake, more; /* what is due; more is to be read */
	/* what was left is read again, for all who want some of it at once */
	struct leftover *wanted, **wanted_last;
	size_t		 wanting; /* of those that are listed */
	bool		 is_sweeping;
	struct due_key	 sweep_at;
	struct wall	 sweep_until;
	int64_t		 wall_ahead_ms; /* of monotonic time, when last seen */
};
void scheduler_init(struct carrier *c);
void scheduler_wipe(struct carrier *c);
void scheduler_add(struct carrier *c, const struct arrival *a);
/* Reads on from the horizon while there is room, a portion in each pass. */
void scheduler_refill(struct carrier *c);
void scheduler_rescan(struct carrier *c);
/* The writer keeps up: envelopes that wait may be taken, or moved. */
bool scheduler_may_begin(const struct carrier *c);
/* The writer has taken a change: what had to wait for that goes on. */
void scheduler_on_settled(struct carrier *c);
/* The envelope is final, or gone: forgets it. */
void scheduler_drop(struct carrier *c, struct due *d);
/* Those of them that wait were ended or held from outside. */
void scheduler_forget(struct carrier *c, const struct due_key *v, size_t n);
/* Its row has moved: it waits again, for a later time. */
void scheduler_again(struct carrier *c, struct due *d, struct wall due);
/* Its row is where it was, but could not be read: it waits in memory. */
void scheduler_retry(struct carrier *c, struct due *d, struct wall due);
/*
 * The window is shared: who holds many of its places may have only some of
 * those that are free, so that one slow receiver does not fill it; the more
 * there are the fewer each has for sure.
 */
unsigned scheduler_room(const struct carrier *c);
/* No room for it: forgotten here, left to the table until l is fetched. */
void scheduler_leave(struct carrier *c, struct due *d, struct leftover *l);
/* Reads them soon, as many as there is room for. */
void scheduler_fetch(struct carrier *c, struct leftover *l);
struct wall scheduler_next(const struct carrier *c); /* 0 = none */

#endif
