/* SPDX-License-Identifier: ISC */
/*
 * connection.h - one connection of an egress: dialled for one attempt,
 * carrying one after the other, ended when it is worn or not wanted.
 *
 * Use:    connection_open() dials on behalf of an attempt;
 *         connection_carry() gives one to a connection that is ready;
 *         connection_stop() at shut-down.  What becomes of an attempt goes
 *         to carrier_settle(); what the egress should know is told by
 *         egress_on_failure(), _on_connected() and _on_ended().
 * Owner:  its egress; it frees itself when it has ended.
 * Thread: the delivery loop's.
 * Fails:  a dial without success ends it (connection_failed(), by dial.c).
 */
#ifndef DELIVERY_CONNECTION_H
#define DELIVERY_CONNECTION_H

#include "delivery/attempt.h"
#include "delivery/patience.h"
#include "delivery/site.h"
#include "delivery/transport.h"

struct connection {
	struct connection *next;
	struct egress	  *egress;
	struct transport  *transport; /* NULL while names are looked up */
	struct attempt	  *attempt;   /* carried, or waiting for the dial */
	struct due	  *dues;      /* of the attempt, linked */
	struct timer	   idle;
	struct connection *idle_before, *idle_next; /* in the carrier's list */
	bool		   ready; /* idle, may be given an attempt */
	struct mono	   ready_since;
	bool		   dialing;
	struct patience_entry wait; /* for an answer, while it dials */
	/* the dial: hosts in this attempt's order, addresses of one host */
	unsigned char	   order[MX_HOSTS_MAX];
	unsigned	   host, tried_hosts, tried;
	uint64_t	   ticket;
	int		   asked_family;
	struct sockaddr_storage addresses[SITE_ADDRESSES_MAX];
	unsigned	   address_count, address;
	bool		   without_tls; /* after a failed handshake */
	unsigned	   replies_5, missing, dns_failures;
	unsigned	   foreign; /* hosts of a family without source */
	unsigned	   selves; /* addresses that are our own */
	unsigned	   self_preference; /* of the best of those */
	bool		   resolver_down;
	struct result	   best; /* most telling so far */
};
/* The attempt and its dues, linked, are the connection's from here on. */
void connection_open(struct egress *eg, struct attempt *a, struct due *dues);
void connection_carry(struct connection *cn, struct attempt *a,
    struct due *dues);
/* Says QUIT and ends; only one that is ready. */
void connection_quit(struct connection *cn);
/* Ends one that dials, for others that lack its place: its attempt has timed
 * out. */
void connection_give_way(struct connection *cn);
/* Shut-down: ends what carries nothing; hard: what has not sent all, too. */
void connection_stop(struct connection *cn, bool hard);
void connection_free(struct connection *cn); /* without a word */

/* For dial.c: an answer is waited for from now on; it has failed, with the
 * most telling result; transport events. */
void connection_await(struct connection *cn);
void connection_failed(struct connection *cn, const struct result *r);
/* Only addresses of a family that its source does not have. */
void connection_failed_foreign(struct connection *cn, const struct result *r);
void connection_ended(struct connection *cn);
void connection_on_answer(void *cn);
void connection_on_ready(void *cn);
void connection_on_done(void *cn, struct attempt *a);

#endif
