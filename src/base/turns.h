/* SPDX-License-Identifier: ISC */
/*
 * turns.h - who of those that wait for a costly step on a loop comes next.
 *
 * What costs the peer an octet and us a signature must not be done in the
 * order of arrival: a thousand clients of one address would stand before the
 * one of another, and all of them before who is served already.
 *
 * Use:    turn_init(&x->turn, fn, x) once; turn_ask(ts, &x->turn, rank,
 *         source): fn(x, NULL) runs at the end of this pass or a later one,
 *         after all input and all replies of the pass.  It may ask again.
 *         turn_leave() before x goes; nothing when it does not wait.
 * Order:  in a pass at most four LIGHT steps, one KNOWN, one STRANGER, and as
 *         many GREEDY ones as fit into a quarter of a millisecond, one at
 *         least.  Within a rank the sources take turns, and who came first
 *         from a source is its next.  What strangers have run is paid for by
 *         a rest, so that they have a tenth of the loop's time at most; what
 *         they leave unused is theirs later, up to 20 ms of running.  Of the
 *         strangers of one source every other turn is that of who came last:
 *         nothing tells a good client from a flood that shares its address,
 *         but it waits short or long, and not always long.
 * Owner:  the asker owns its turn; the turns copy the source.  turns_free()
 *         after all have left.
 * Thread: the loop's.
 * Fails:  never; what waits is bounded by the number of askers.
 */
#ifndef BASE_TURNS_H
#define BASE_TURNS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/thread.h"

enum turn_rank {
	TURN_LIGHT,    /* costs little, or ends what has cost much */
	TURN_KNOWN,    /* costs much; of who has earned it */
	TURN_STRANGER, /* costs much; of everybody else */
	TURN_GREEDY,   /* goes on where a pass has given its share */
	TURN_RANKS
};
enum {
	TURN_LIGHT_MAX = 4,	  /* steps of a pass */
	TURN_STRANGER_SHARE = 10, /* per cent of the loop's time */
	TURN_STRANGER_SAVED_MS = 200, /* of it, that may have gone unused */
	TURN_GREEDY_US = 250 /* of a pass */
};

struct turns;
struct turn_line;
struct turn {
	loop_fn		 *fn; /* fn(arg, NULL) */
	void		 *arg;
	struct turns	 *turns; /* NULL while it does not wait */
	struct turn_line *line;
	struct turn	 *next, *prev;
};

struct turns *turns_new(struct loop *l);
void turns_free(struct turns *ts); /* NULL is allowed */
size_t turns_waiting(const struct turns *ts, enum turn_rank rank);
void turn_init(struct turn *t, loop_fn *fn, void *arg);
/* Nothing when it waits already. */
void turn_ask(struct turns *ts, struct turn *t, enum turn_rank rank,
    struct bytes source);
void turn_leave(struct turn *t);
bool turn_is_waiting(const struct turn *t);

#endif
