/* SPDX-License-Identifier: ISC */
/*
 * egress.h - one source address towards one site: what waits for it, its
 * connections and its pace.
 *
 * Use:    egress_enqueue() what is due; egress_learn() what an outcome
 *         teaches; egress_shut() at shut-down.
 * Owner:  its site.
 * Thread: the delivery loop's.
 * Fails:  what cannot go now waits; what cannot go for long moves to a later
 *         time (carrier_move()).
 * The way of an envelope through it is at the top of egress.c.
 */
#ifndef DELIVERY_EGRESS_H
#define DELIVERY_EGRESS_H

#include "delivery/connection.h"
#include "delivery/group.h"
#include "delivery/lane.h"
#include "delivery/outcome.h"
#include "delivery/rota.h"
#include "delivery/site.h"
#include "registry/source.h"

struct egress {
	struct carrier	  *carrier;
	struct site	  *site;
	struct egress	  *next;
	struct outlet	  *outlet;
	char		   source_text[64]; /* "" = the system's choice */
	char		   pool[POOL_NAME_SIZE]; /* that it is in */
	char		   ehlo[256];	    /* "" = server.name */
	struct lanes	   lanes;
	struct connection *connections;
	unsigned	   connection_count, limit;
	unsigned	   good; /* deliveries since the limit last moved */
	unsigned	   failures; /* dials in a row */
	struct mono	   hold_until;
	int64_t		   hold_ms;
	struct mono	   foreign_until; /* its family leads nowhere */
	unsigned	   ip;	 /* carrier_meters.ips: where it counts */
	uint64_t	   used; /* turn in which it was chosen last */
	struct timer	   wake;
	struct rota_entry  turn;    /* to begin an attempt */
	struct rota_entry  starved; /* waits for delivery.max_connections */
	struct rota_entry  more;    /* the same, and has one already */
	bool		   called; /* was starved: the next place is its own */
	bool		   waits; /* for a connection of its outlet */
	struct egress	  *next_waiting;
};
struct egress *egress_new(struct site *s, const struct source *source);
void egress_free(struct egress *eg);
void egress_enqueue(struct egress *eg, struct due *d);
/* Something may have become possible: it asks for a turn. */
void egress_run(struct egress *eg);
/* The carrier may begin attempts again: those that wait have their turns. */
void egress_resume_turns(struct carrier *c);
bool egress_is_held(const struct egress *eg);
/* All addresses of the site are of another family than this source. */
bool egress_is_foreign(const struct egress *eg);
/* What an outcome teaches about this source and site. */
void egress_learn(struct egress *eg, const struct outcome *o,
    const struct result *r);
void egress_shut(struct egress *eg);
/* Nothing waits, nothing travels, nothing is held against it. */
bool egress_tidy(struct egress *eg);
/*
 * For the scheduler: who wants this row back, of those that may have left it
 * to the table; NULL = nobody.  is_stray: its domain is not known any more.
 */
struct leftover *egress_leftover(struct carrier *c, const struct arrival *a,
    bool *is_stray);

/* For connection.c: a dial failed, or not; a connection has ended. */
void egress_on_failure(struct egress *eg, const struct result *r);
void egress_on_connected(struct egress *eg);
void egress_on_foreign(struct egress *eg);
/* What waits here goes by another source. */
void egress_send_elsewhere(struct egress *eg);
void egress_on_ended(struct egress *eg);
/* There is a place, or an idle connection that gives way: for the one whose
 * turn it is. */
void egress_call_starved(struct carrier *c);
/* A dial that waits too long gives way to them (patience.h): looks when. */
void egress_watch_init(struct carrier *c);
void egress_watch_dials(struct carrier *c);
/* One of its connections is idle: somebody may need the place more. */
void egress_offer_place(const struct egress *eg);
/* Others lack a connection that need it more than this one. */
bool egress_must_yield(const struct egress *eg, unsigned carried);
/* What an attempt did not carry after all goes first, when a connection is
 * ready or has ended. */
void egress_put_back(struct egress *eg, struct due *dues);

#endif
