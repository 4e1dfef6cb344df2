/* SPDX-License-Identifier: ISC */
/*
 * patience.h - which dial gives its place to others: of those that wait for
 * an answer the one that has waited longest.
 *
 * Why:    a receiver that accepts and never greets may hold a connection for
 *         five minutes (RFC 5321 4.5.3.2.1), and enough of them hold all of
 *         delivery.max_connections.  A dial has its whole time as long as
 *         nobody lacks its place; when an egress has no connection at all and
 *         finds no place, a dial towards another site that has waited for
 *         PATIENCE_MS gives way.  Its attempt then ends as at the time-out it
 *         waited for (delivery.md 5, 5.2): envelopes are deferred, 4.4.2 or
 *         4.4.1 with a DeliveryDelay, the attempt counts, and so does the
 *         failure (adaptive limit and hold-down, delivery.md 8).  It is no
 *         SendingDeferral (10.2): posthorn has tried, and nobody answered.
 *         Other hosts of the site are not asked: they would keep the place.
 * Use:    patience_begin() when a dial begins to wait, and anew when it was
 *         answered; patience_end() when it is ready or over;
 *         patience_longest() finds the one to give way, patience_left_ms()
 *         says when it has to.
 * Owner:  entries are embedded in connections, the list in the carrier.
 * Thread: the delivery loop's.
 * Fails:  never.  Cost: constant, but for the dials of one site.
 */
#ifndef DELIVERY_PATIENCE_H
#define DELIVERY_PATIENCE_H

#include <stdint.h>

#include "base/clock.h"

enum { PATIENCE_MS = 30000 };

struct patience_entry {
	struct patience_entry *next, *before;
	struct mono	       since;
	const void	      *site; /* NULL = waits for nothing */
	void		      *of;   /* whose it is; set by the owner */
};
struct patience {
	struct patience_entry *first, *last; /* who waits longest is first */
};
/* now: no earlier than that of any call before. */
void patience_begin(struct patience *p, struct patience_entry *e,
    const void *site, struct mono now);
void patience_end(struct patience *p, struct patience_entry *e);
/* Of those towards other sites than this one; NULL = none. */
struct patience_entry *patience_longest(const struct patience *p,
    const void *site);
int64_t patience_left_ms(const struct patience_entry *e, struct mono now);

#endif
