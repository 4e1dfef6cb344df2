/* SPDX-License-Identifier: ISC */
/*
 * carrier_private.h - the parts of one carrier: scheduler, route, site,
 * egress, and the books they share.  Everything here belongs to the delivery
 * loop.
 *
 *	due      one envelope in memory: waiting for its time (heap of the
 *	         scheduler), for its route, in the queue of an egress, or in
 *	         flight
 *	route    what a recipient domain resolves to, for the TTL
 *	site     a set of MX hosts and a TLS policy
 *	egress   one source address towards one site: queue, connections, pace
 *	group    destination group and source: the limits
 */
#ifndef DELIVERY_CARRIER_PRIVATE_H
#define DELIVERY_CARRIER_PRIVATE_H

#include "base/heap.h"
#include "base/table.h"
#include "delivery/attempt.h"
#include "delivery/carrier.h"
#include "delivery/outcome.h"
#include "delivery/transport.h"
#include "net/stream.h"
#include "registry/source.h"

enum {
	DOMAIN_SIZE = 256,
	SITE_HOSTS_MAX = 5, /* tried in one attempt (delivery.md 4.2) */
	SITE_ADDRESSES_MAX = 10,
	SOURCES_MAX = 256,
	MX_HOSTS_MAX = 16, /* of a site */
	WINDOW_MAX = 50000,
	ROUTES_MAX = 50000,
	MINUTE_MS = 60000,
	HOUR_MS = 3600000
};

struct route;
struct site;
struct egress;
struct group;

enum due_place { DUE_WAITING, DUE_ROUTING, DUE_QUEUED, DUE_FLYING };
struct due {
	struct heap_node node; /* while WAITING */
	struct due	*next; /* in a list of a route or a lane */
	struct route	*route;
	struct msgid	 id;
	unsigned	 n;
	struct wall	 due;
	uint64_t	 size;
	char		 account[ACCOUNT_ID_SIZE];
	uint8_t		 tls_policy;
	bool		 system, simulator;
	struct wall	 told; /* of a deferral that lasts; 0 = none */
	enum due_place	 place;
};
struct due_list {
	struct due *first, **last;
};
void due_list_init(struct due_list *l);
void due_list_add(struct due_list *l, struct due *d);
struct due *due_list_take(struct due_list *l); /* NULL = empty */

/* -- route.c ---------------------------------------------------------------- */
enum route_state { ROUTE_NEW, ROUTE_ASKING, ROUTE_SITE, ROUTE_FAILED };
struct route {
	struct carrier	*carrier;
	char		 domain[DOMAIN_SIZE];
	enum route_state state;
	struct mono	 valid_until;
	uint64_t	 ticket;  /* of the question */
	struct site	*site;	  /* of SITE */
	enum result_kind failure; /* of FAILED */
	int64_t		 dns_ms;
	struct mono	 asked;
	struct due_list	 waiting;
	unsigned	 dues; /* that point here */
};
/* The due's domain is known now, or will be: it goes on to its egress, or to
 * carrier_fail(). */
void route_take(struct carrier *c, struct due *d);
struct route *route_ref(struct carrier *c, struct bytes domain);
void route_unref(struct route *r);
void route_forget_all(struct carrier *c); /* reload: rules may differ */
void route_free_all(struct carrier *c);

/* -- site.c ------------------------------------------------------------------ */
struct site_host {
	char	 name[DOMAIN_SIZE];
	uint16_t preference;
	bool	 is_address;
	struct sockaddr_storage address; /* of is_address */
};
struct site {
	struct carrier	*carrier;
	char		*key;
	struct site_host hosts[MX_HOSTS_MAX];
	unsigned	 host_count;
	uint16_t	 port;
	bool		 is_static; /* a route of the operator's */
	enum tls_demand	 policy;
	char		 group_name[DOMAIN_SIZE];
	unsigned	 max_connections, reuse_max;
	double		 rate;
	struct egress	*egresses; /* one a source */
	char		 last_reply[200];
	struct mono	 used;
};
/* Finds or makes the site of these hosts. */
struct site *site_find(struct carrier *c, const struct site *wanted,
    struct bytes domain);
struct egress *site_choose_egress(struct site *s, const struct due *d,
    const char *sticky_source);
void site_free_all(struct carrier *c);

/* -- egress.c ----------------------------------------------------------------- */
enum { LANE_SMALL = 64 * 1024 };
struct lane { /* one account's share of an egress */
	struct lane    *next;
	char		account[ACCOUNT_ID_SIZE];
	struct due_list small, big;
	unsigned	big_turn; /* every eighth turn is a big one's */
};
struct connection {
	struct connection *next;
	struct egress	  *egress;
	struct transport  *transport; /* NULL while names are looked up */
	struct attempt	  *attempt;   /* carried, or waiting for the dial */
	struct due	  *dues;      /* of the attempt, linked */
	struct timer	   idle;
	bool		   ready; /* idle, may be given an attempt */
	bool		   dialing;
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
	bool		   resolver_down;
	struct result	   best; /* most telling so far */
};
struct egress {
	struct carrier	  *carrier;
	struct site	  *site;
	struct egress	  *next;
	struct group	  *group;
	char		   source_text[64]; /* "" = the system's choice */
	char		   ehlo[256];	    /* "" = server.name */
	struct lane	  *lanes, *turn;
	unsigned	   queued;
	struct connection *connections;
	unsigned	   connection_count, limit;
	unsigned	   good; /* deliveries since the limit last moved */
	unsigned	   failures; /* dials in a row */
	struct mono	   hold_until;
	int64_t		   hold_ms;
	uint64_t	   used; /* turn in which it was chosen last */
	struct timer	   wake;
	bool		   starved; /* waits for delivery.max_connections */
	struct egress	  *next_starved;
	bool		   waits; /* for a connection of its group */
	struct egress	  *next_waiting;
};
struct egress *egress_new(struct site *s, const struct source *source);
void egress_free(struct egress *eg);
void egress_enqueue(struct egress *eg, struct due *d);
void egress_run(struct egress *eg);
bool egress_is_held(const struct egress *eg);
/* What an outcome teaches about this source and site. */
void egress_learn(struct egress *eg, const struct outcome *o,
    const struct result *r);
void egress_shut(struct egress *eg);

/* -- dial.c ------------------------------------------------------------------- */
void dial_begin(struct connection *cn);
void dial_cancel(struct connection *cn);
/* egress.c: the dial has ended without a connection. */
void connection_failed(struct connection *cn, const struct result *r);
void connection_ended(struct connection *cn);
void connection_on_ready(void *cn);
void connection_on_done(void *cn, struct attempt *a);

/* -- scheduler.c --------------------------------------------------------------- */
struct scheduler {
	struct heap	heap;
	uint32_t	turn; /* of the next one that waits */
	struct table   *known; /* id and n -> due */
	struct due_key	horizon; /* the table was read up to here */
	bool		complete; /* nothing is behind the horizon */
	struct timer	wake;
};
void scheduler_init(struct carrier *c);
void scheduler_wipe(struct carrier *c);
void scheduler_add(struct carrier *c, const struct arrival *a);
/* Reads on from the horizon while there is room. */
void scheduler_refill(struct carrier *c);
void scheduler_rescan(struct carrier *c);
/* The envelope is final, or gone: forgets it. */
void scheduler_drop(struct carrier *c, struct due *d);
/* Those of them that wait were ended or held from outside. */
void scheduler_forget(struct carrier *c, const struct due_key *v, size_t n);
/* It waits again, for a later time. */
void scheduler_again(struct carrier *c, struct due *d, struct wall due);
struct wall scheduler_next(const struct carrier *c); /* 0 = none */

/* -- carrier.c -------------------------------------------------------------------- */
struct pending { /* an item of the change being gathered */
	struct due *due;
	bool	    again;
	struct wall next;
};
struct batch {
	struct change	   change;
	struct carrier	  *carrier;
	struct batch	  *next;
	struct pending	  *pending;
	size_t		   count, cap;
};
struct account_view {
	uint64_t version;
	bool	 may_send;
};
struct carrier {
	struct carrier_setup set;
	struct loop	*loop;
	struct conf	*conf;
	struct scheduler scheduler;
	struct table	*routes, *sites, *groups, *accounts, *no_tls;
	struct source	*sources;
	unsigned	 source_count, usable_sources;
	uint64_t	 sources_version, source_turn;
	bool		 has_ipv6;
	unsigned	 connections;
	struct egress	*starved, **starved_last;
	struct due_list	 simulated; /* of this pass */
	struct batch	*batch;	  /* being gathered */
	struct batch	*refused; /* to be handed in again */
	unsigned	 batches_out;
	struct timer	 again, minute;
	bool		 stopping;
	bool		 shut_passed; /* 30 s have passed since */
	loop_fn		*on_idle;
	void		*on_idle_arg;
	struct timer	 shut_limit;
	/* attempts of the last five minutes, a slot each 10 s */
	struct {
		int64_t	 slot;
		unsigned n[3];
	} recent[30];
};
/* loop_fn of the end of a pass: hands in what was gathered. */
void carrier_flush(void *carrier, void *unused);
/* The place for one item; what it says is the caller's. */
struct change_item *carrier_item(struct carrier *c, struct due *d, bool again,
    struct wall next, struct arena **arena);
void carrier_context(struct carrier *c, const struct egress *eg,
    struct outcome_context *out);
void carrier_log(struct carrier *c, const struct egress *eg,
    const struct attempt *a, const struct attempt_envelope *en,
    const struct outcome *o);
void carrier_meter(struct carrier *c, const struct attempt *a,
    const struct outcome *o, const struct result *r);
/* Its time is over while it waited or was held; d may be NULL. */
void carrier_expire(struct carrier *c, struct due *d,
    const struct due_key *key, const struct recipient_row *row, bool system);
/* Turns results into changes; the dues are the attempt's, linked. */
void carrier_settle(struct carrier *c, struct egress *eg, struct attempt *a,
    struct due *dues);
/* A result without attempt on the wire (DNS, simulator). */
void carrier_fail(struct carrier *c, struct due *d, enum result_kind k);
/* The due moves without an attempt (hold-down); with a SendingDeferral. */
void carrier_move(struct carrier *c, struct egress *eg, struct due *d,
    struct wall next);
/* Reads the rows of dues of one message; those that are gone or not to be
 * tried now leave the list (they are taken care of).  NULL: all of them. */
struct attempt *carrier_make_attempt(struct carrier *c, struct due **dues);
/* A recipient of the simulator: settled at the end of the pass, those of one
 * message together (simulator.md 2, merging). */
void carrier_simulate(struct carrier *c, struct due *d);
void carrier_count(struct carrier *c, enum outcome_verdict v);
void carrier_run_starved(struct carrier *c);
void carrier_check_idle(struct carrier *c);
const char *carrier_ehlo(const struct carrier *c, const struct egress *eg);

/* group.c part of site.c */
struct group {
	char	      *key; /* name and source */
	unsigned       connections;
	struct egress *waiting; /* for one of them to end */
	struct mono    next_message; /* rate */
};

#endif
