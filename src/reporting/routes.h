/* SPDX-License-Identifier: ISC */
/*
 * routes.h - which destinations want an event: an index of all of them by
 * configuration set, and of the subscriptions by topic.
 *
 * Use:    r = routes_new(); routes_add(r, &d) and routes_add_topic(r, &x) for
 *         each; routes_seal(r); then routes_of(r, &set, &n) gives those of a
 *         set, routes_of_topic() those of a topic.
 * Owner:  counted; the destinations are copies.
 * Thread: once it is sealed nothing changes any more, and any may read; the
 *         references are atomic.
 * Fails:  never.
 */
#ifndef REPORTING_ROUTES_H
#define REPORTING_ROUTES_H

#include <stddef.h>

#include "registry/destination.h"

struct routes;

struct routes *routes_new(void);
void routes_add(struct routes *r, const struct destination *d);
void routes_add_topic(struct routes *r, const struct topic *x);
/* Some identity has topics. */
void routes_set_notifies(struct routes *r);
void routes_seal(struct routes *r);
struct routes *routes_ref(struct routes *r);
void routes_unref(struct routes *r); /* NULL is allowed */

/* Does any destination at all want events of that type? */
bool routes_want(const struct routes *r, enum event_type type);
/* Is there an identity that has topics, and a subscription to one? */
bool routes_notify(const struct routes *r, enum event_type type);
/* The subscriptions, in a row; NULL and 0 when there are none, there is no
 * such topic, or that account may not publish to it. */
const struct destination *routes_of_topic(const struct routes *r,
    const struct topic_ref *topic, const char *account, size_t *n);
/* In a row; NULL and 0 when the set has none. */
const struct destination *routes_of(const struct routes *r,
    const struct config_set_id *set, size_t *n);

#endif
