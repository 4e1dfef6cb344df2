/* SPDX-License-Identifier: ISC */
/*
 * dial.h - from an attempt to a connection that is ready: the hosts of a site
 * in turn, each with its addresses (delivery.md 5).
 *
 * Use:    dial_begin(); either connection_on_ready() follows, or
 *         connection_failed() with the most telling result of all tries.
 * Owner:  the connection, which holds what the dial knows.
 * Thread: the delivery loop's.
 * Fails:  as results; at most 5 hosts and 10 addresses in one attempt.
 */
#ifndef DELIVERY_DIAL_H
#define DELIVERY_DIAL_H

struct connection;

void dial_begin(struct connection *cn);
/* Others need its place: connection_failed() follows at once, as if what it
 * waits for had timed out. */
void dial_give_way(struct connection *cn);
void dial_cancel(struct connection *cn);

#endif
