/* SPDX-License-Identifier: ISC */
/*
 * route.h - from a recipient domain to its site (delivery.md 4).
 *
 * Use:    a due holds a reference to the route of its domain from its
 *         arrival (route_ref()) to its end (route_unref()); route_take()
 *         when it is due: it goes on to an egress, or to carrier_fail(), at
 *         once or when DNS has answered.
 * Owner:  the carrier's table of routes; a due that is taken waits in the
 *         route while the question is out.
 * Thread: the delivery loop's.
 * Fails:  every failure of DNS is an enum result_kind; it is kept for a few
 *         seconds, so that a thousand envelopes ask once.
 */
#ifndef DELIVERY_ROUTE_H
#define DELIVERY_ROUTE_H

#include "delivery/attempt.h"
#include "delivery/scheduler.h"

struct site;

enum { DOMAIN_SIZE = 256, ROUTES_MAX = 50000 };

enum route_state { ROUTE_NEW, ROUTE_ASKING, ROUTE_SITE, ROUTE_FAILED };
struct route {
	struct carrier	*carrier;
	char		 domain[DOMAIN_SIZE];
	enum route_state state;
	struct mono	 valid_until, keep_until;
	uint64_t	 ticket;  /* of the question */
	struct site	*site;	  /* of SITE */
	enum result_kind failure; /* of FAILED */
	int64_t		 dns_ms;
	struct mono	 asked;
	struct due_list	 waiting;
	unsigned	 waiting_count;
	struct leftover	 left; /* more of them, in the due table */
	struct timer	 more;	  /* of those that wait, in later passes */
	unsigned	 dues; /* that point here */
};
/* The due's domain is known now, or will be: it goes on to its egress, or to
 * carrier_fail(). */
void route_take(struct carrier *c, struct due *d);
/* Some of it were left to the due table: who reads that knows the site. */
void route_keep(struct route *r);
struct route *route_ref(struct carrier *c, struct bytes domain);
void route_unref(struct route *r);
/* Forgets what has no dues and whose time is over. */
void route_tidy(struct carrier *c);
void route_forget_all(struct carrier *c); /* reload: rules may differ */
void route_free_all(struct carrier *c);

#endif
