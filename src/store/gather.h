/* SPDX-License-Identifier: ISC */
/*
 * gather.h - whether the writer waits a moment so that one commit serves more.
 *
 * Clients that wait for their 250 fall into two groups on a slow disk: while
 * one is flushed the other hands in, and each message waits for two commits.
 * A third of a commit's time is enough for the first group to be there again.
 *
 * Use:    gather_note() after each commit; gather_holds() before the next:
 *         true = not yet, look again in *wait_ms or when something came.
 * Owner:  the writer; plain data, starts as zeros.
 * Fails:  never waits on a fast disk, for a lone message, or for long: where
 *         those who were expected did not come, the next commits go at once.
 */
#ifndef STORE_GATHER_H
#define STORE_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gather {
	int64_t	 took_us;  /* the last commit */
	int64_t	 ended_us;
	size_t	 expected; /* those it answered, and those who waited then */
	int64_t	 until_us; /* 0 = not waiting */
	unsigned skip, misses;
};

/* served: submissions of the commit; queued: what waited when it ended. */
void gather_note(struct gather *g, size_t served, size_t queued,
    int64_t began_us, int64_t ended_us);
bool gather_holds(struct gather *g, size_t waiting, int64_t now_us,
    int64_t *wait_ms);

#endif
