/* SPDX-License-Identifier: ISC */
/*
 * group.h - a destination group (provider) and what its limits count
 * (delivery.md 8): messages a second of the group, connections of the group
 * from one source address (an outlet).
 *
 * Use:    o = outlet_ref(carrier, group name, source) by each egress,
 *         outlet_unref() when it goes.
 * Owner:  counted by the egresses; the carrier's tables only find them.
 * Thread: the delivery loop's.
 * Fails:  never.
 */
#ifndef DELIVERY_GROUP_H
#define DELIVERY_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct carrier;
struct egress;

struct group {
	char	   *name;
	unsigned    outlets; /* that use it */
	unsigned    busy;    /* lanes in which something waits */
	int64_t	    next_us; /* when the next message may go, monotonic */
};
struct outlet {
	char	      *key; /* name and source */
	struct group  *group;
	unsigned       egresses; /* that use it */
	unsigned       connections;
	struct egress *waiting; /* for one of them to end */
};
struct outlet *outlet_ref(struct carrier *c, const char *group,
    const char *source);
void outlet_unref(struct carrier *c, struct outlet *o);

/* Messages a second, 0 = as many as can be.  0 = one may go now, else after so
 * many milliseconds. */
int64_t group_pause_ms(const struct group *g, double rate, struct mono now);
void group_count_message(struct group *g, double rate, struct mono now);
/* Until the turn of a message before which so many of its account wait: the
 * busy lanes take turns.  0 without a rate. */
int64_t group_wait_ms(const struct group *g, double rate, unsigned before,
    struct mono now);

#endif
