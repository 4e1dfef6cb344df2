/* SPDX-License-Identifier: ISC */
#include "store/gather.h"

enum {
	SLOW_US = 1000,	     /* a commit that is worth it */
	WAIT_MAX_US = 10000,
	MISSES_MAX = 6	     /* then one commit of 64 is tried */
};

void
gather_note(struct gather *g, size_t served, size_t queued, int64_t began_us,
    int64_t ended_us)
{
	g->took_us = ended_us - began_us;
	g->ended_us = ended_us;
	g->expected = served == 0 ? 0 : served + queued;
}

static bool
gather_begins(struct gather *g, size_t waiting, int64_t now_us)
{
	int64_t wait_us = g->took_us / 3;

	/* who comes later than that is none of those */
	if (waiting == 0 || waiting >= g->expected || g->took_us < SLOW_US ||
	    now_us - g->ended_us > g->took_us)
		return false;
	if (g->skip > 0) {
		g->skip--;
		return false;
	}
	g->until_us = now_us +
	    (wait_us < WAIT_MAX_US ? wait_us : WAIT_MAX_US);
	return true;
}

/* Three quarters are good: of many clients one is late. */
static void
gather_ends(struct gather *g, size_t waiting)
{
	g->until_us = 0;
	if (waiting >= g->expected - g->expected / 4) {
		g->misses = 0;
		return;
	}
	if (g->misses < MISSES_MAX)
		g->misses++;
	g->skip = 1U << g->misses;
}

bool
gather_holds(struct gather *g, size_t waiting, int64_t now_us,
    int64_t *wait_ms)
{
	if (g->until_us == 0 && !gather_begins(g, waiting, now_us))
		return false;
	if (waiting >= g->expected || now_us >= g->until_us) {
		gather_ends(g, waiting);
		return false;
	}
	*wait_ms = (g->until_us - now_us) / 1000 + 1;
	return true;
}
