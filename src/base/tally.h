/* SPDX-License-Identifier: ISC */
/*
 * tally.h - counts and token buckets by key, shared by the loops.
 * Use:    t = tally_new(65536); n = tally_add(t, key, +1);
 *         keys are byte strings ("ip:203.0.113.7", "cred:AKIA...").
 * Owner:  the wiring; freed after all loops have ended.
 * Thread: any; lock stripes inside; each call takes one stripe, calls
 *         nothing, and lets go.
 *         Counts, windows, buckets and blocks of one key are four things.
 * Fails:  bounded: when full, entries that count nothing (0, full bucket,
 *         expired window) go first; if there is none, a new key is not
 *         kept and reads as 0 / a full bucket (limits then do not bite,
 *         memory does not grow; tally_is_full() tells).
 */
#ifndef BASE_TALLY_H
#define BASE_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mem.h"

struct tally;
struct tally *tally_new(size_t entries_max);
void tally_free(struct tally *t);
bool tally_is_full(const struct tally *t);

/* Plain counts (connections open now).  Returns the new count, never < 0. */
int64_t tally_add(struct tally *t, struct bytes key, int64_t d);
int64_t tally_get(struct tally *t, struct bytes key);
/* Adds d only if the result stays <= max; false = not added. */
bool tally_add_below(struct tally *t, struct bytes key, int64_t d,
    int64_t max);

/* Those whose key begins so; fn under no lock, in no order. */
void tally_each_count(struct tally *t, struct bytes prefix,
    void (*fn)(void *arg, struct bytes key, int64_t n), void *arg);

/*
 * Events in a sliding window, in eighths of it: an event counts for at least
 * seven eighths of the window and at most for all of it.  Returns the count
 * including this one; d = 0 only asks.
 */
int64_t tally_window_add(struct tally *t, struct bytes key, int64_t d,
    struct mono now, int64_t window_ms);

/*
 * Token bucket (quotas.md 4): full at start, refilled with rate a second up
 * to burst.  take: true when at least one token is there, then n are taken
 * (the level may become negative).  peek takes nothing.  rate < 0 =
 * unlimited.  give returns n tokens.
 */
bool tally_bucket_take(struct tally *t, struct bytes key, double n,
    double rate, double burst, struct mono now);
bool tally_bucket_peek(struct tally *t, struct bytes key, double rate,
    double burst, struct mono now);
void tally_bucket_give(struct tally *t, struct bytes key, double n,
    double rate, double burst);

/*
 * Blocks (smtp-interface.md 15): after threshold failures within the window
 * (counted as above) the key is blocked for block_ms, doubled at each further
 * block that begins within 24 h after the end of the last, at most 24 h.
 * Failures while blocked do not make it longer.  threshold < 1: never.
 */
bool tally_fail(struct tally *t, struct bytes key, int64_t threshold,
    int64_t window_ms, int64_t block_ms, struct mono now); /* true = blocked */
bool tally_is_blocked(struct tally *t, struct bytes key, struct mono now);
bool tally_unblock(struct tally *t, struct bytes key); /* forgets all */
size_t tally_blocked_count(struct tally *t, struct mono now);
/*
 * fn under no lock; a copy of at most 1,000 entries is walked.  failures: all
 * since the key is known, those while blocked too.
 */
void tally_each_block(struct tally *t, struct mono now,
    void (*fn)(void *arg, struct bytes key, int64_t failures,
	int64_t left_ms),
    void *arg);

#endif
