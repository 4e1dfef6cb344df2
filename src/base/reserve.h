/* SPDX-License-Identifier: ISC */
/*
 * reserve.h - memory laid aside for the time when the system gives no more.
 *
 * Use:    reserve_keep(8 << 20) once, at the start; mem_alloc() and its like
 *         give the reserve back to the system when they get nothing, and try
 *         again.  From then on reserve_is_short(): who takes on new work
 *         refuses it, so that what is under way can end.  reserve_refill()
 *         now and then, until it says true.
 * Owner:  one a process.
 * Thread: any; reserve_keep() before there are others.
 * Fails:  reserve_spend() false: nothing was laid aside, or that is used up,
 *         too; then who must have memory ends the process (base/mem.h).
 * What is asked of memory on behalf of a peer (buf_*, message bodies, pieces
 * of more than 32 KB in an arena_*) does not take the reserve: it fails, and
 * the peer hears of it.
 */
#ifndef BASE_RESERVE_H
#define BASE_RESERVE_H

#include <stdbool.h>
#include <stddef.h>

void reserve_keep(size_t n); /* 0 = none any more */
/* true = memory may be there again: try once more. */
bool reserve_spend(void);
bool reserve_is_short(void);
bool reserve_refill(void); /* true = nothing is short */

#endif
