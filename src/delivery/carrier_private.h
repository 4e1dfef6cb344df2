/* SPDX-License-Identifier: ISC */
/*
 * carrier_private.h - the books that the parts of one carrier share, and what
 * carrier*.c does for them.  Everything here belongs to the delivery loop.
 *
 *	carrier.c		life, source addresses, shut-down
 *	carrier_batch.c		changes on their way to the writer and back
 *	carrier_attempt.c	from rows to attempts; holds, moves, expiry
 *	carrier_settle.c	from results to changes and log lines
 *	carrier_simulate.c	the recipients of the simulator
 *	carrier_suppress.c	the recipients on suppression lists
 *	carrier_view.c		what queue summary shows
 */
#ifndef DELIVERY_CARRIER_PRIVATE_H
#define DELIVERY_CARRIER_PRIVATE_H

#include "base/table.h"
#include "delivery/attempt.h"
#include "delivery/carrier.h"
#include "delivery/egress.h"
#include "delivery/outcome.h"
#include "delivery/route.h"
#include "delivery/scheduler.h"
#include "delivery/site.h"
#include "registry/source.h"

enum { SOURCES_MAX = 256, MINUTE_MS = 60000, HOUR_MS = 3600000 };

struct pending { /* an item of the change being gathered */
	struct due *due;
	struct ledger_page *page; /* of its account */
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
/*
 * Of an account, of a configuration set: what is known of it until the book
 * changes.  What is not there has no reasons and holds nothing.
 */
struct hold_view {
	uint64_t version; /* of the book, when it was looked up; 0 = it could
			     not be read */
	bool	 is_paused;
	bool	 has_reasons; /* a set: it has some of its own */
	unsigned reasons; /* for suppression, a set of suppression.h */
};
struct carrier {
	struct carrier_setup set;
	struct loop	*loop;
	struct conf	*conf;
	struct scheduler scheduler;
	struct table	*routes, *sites, *groups, *outlets, *no_tls;
	struct table	*accounts, *sets; /* id -> struct hold_view */
	struct table	*pools; /* names of them -> the same text */
	struct source	*sources;
	unsigned	 source_count;
	uint64_t	 sources_version, source_turn;
	bool		 has_ipv6;
	unsigned	 warmings; /* contents workers read ahead */
	unsigned	 connections;
	struct rota	 turns;	  /* to begin an attempt */
	bool		 turns_asked; /* for the end of this pass */
	struct rota	 starved; /* have no connection, and find no place */
	struct rota	 more;	  /* have some, and find none for another */
	unsigned	 called; /* of those: the next place is theirs */
	unsigned	 busy_lanes; /* in which something waits */
	bool		 displacing; /* a place that is freed is taken */
	struct patience	 patience; /* dials that wait for an answer */
	struct timer	 give_way; /* the longest of them, for the starved */
	struct due_list	 simulated; /* of this pass */
	struct batch	*batch;	  /* being gathered */
	struct batch	*refused; /* to be handed in again */
	unsigned	 batches_out;
	size_t		 items_out; /* of those batches */
	unsigned	 begun; /* attempts, in this pass */
	struct connection *idle, *idle_last; /* the longest idle one first */
	struct timer	 again, minute, expiry;
	bool		 expiring; /* held ones, portion by portion */
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
void carrier_batch_init(struct carrier *c);
void carrier_batch_wipe(struct carrier *c);
/* loop_fn of the end of a pass: hands in what was gathered. */
void carrier_flush(void *carrier, void *unused);
/* The place for one item; what it says is the caller's. */
struct change_item *carrier_item(struct carrier *c, struct due *d, bool again,
    struct wall next, struct arena **arena);
void carrier_context(struct carrier *c, const struct egress *eg,
    const char *account, struct outcome_context *out);
void carrier_log(struct carrier *c, const struct egress *eg,
    const struct attempt *a, const struct attempt_envelope *en,
    const struct outcome *o);
void carrier_meter(struct carrier *c, struct egress *eg,
    const struct attempt *a, const struct outcome *o, const struct result *r);
/* Its time is over while it waited or was held; d may be NULL. */
void carrier_expire(struct carrier *c, struct due *d, const char *account,
    const struct recipient_row *row, bool system);
/* Turns results into changes; the dues are the attempt's, linked. */
void carrier_settle(struct carrier *c, struct egress *eg, struct attempt *a,
    struct due *dues);
/*
 * What holds mail of an account and a configuration set now: bits HELD_*.
 * What cannot be read holds nothing.
 */
uint8_t carrier_holds(struct carrier *c, const char *account,
    const struct config_set_id *set);
struct hold_view carrier_view_account(struct carrier *c, const char *account);
struct hold_view carrier_view_set(struct carrier *c,
    const struct config_set_id *set);
/* A hold that is over by the time it lies on disk is taken back. */
void carrier_check_hold(struct carrier *c, const struct due *d,
    const struct change_item *held);
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
void carrier_mark_simulated(struct change_item *item, bool is_simulated);
/* A recipient on a suppression list: settled without an attempt.  false = it
 * is on none (any more): it may be tried. */
bool carrier_refuses(struct carrier *c, struct due *d,
    const struct recipient_row *row);
/* The same before its route is asked for; true = it is taken care of. */
bool carrier_suppress(struct carrier *c, struct due *d);
void carrier_count(struct carrier *c, enum outcome_verdict v);
void carrier_check_idle(struct carrier *c);
const char *carrier_ehlo(const struct carrier *c, const struct egress *eg);
/* As a due keeps it; "" for none. */
const char *carrier_pool_name(struct carrier *c, struct bytes name);

#endif
