/* SPDX-License-Identifier: ISC */
/*
 * lane.h - whose turn it is: what waits for one egress, a lane for each
 * account, so that one large sender does not keep others waiting; small
 * messages before big ones, then in the order they came (delivery.md 8).
 *
 * Use:    lanes_add() at the end of the account's lane, lanes_take() the
 *         next one by turn; lanes_put_back() what could not go after all.
 * Owner:  the egress that it is embedded in; a lane lives while something
 *         waits in it, was left to the table by it, or has a turn that was
 *         promised.
 * Thread: the delivery loop's.
 * Fails:  never.  Cost: constant, however many accounts and messages wait.
 */
#ifndef DELIVERY_LANE_H
#define DELIVERY_LANE_H

#include "delivery/scheduler.h"

enum {
	LANE_SMALL = 64 * 1024, /* octets of a message that is small */
	LANE_BIG_TURN = 8	/* every eighth turn of a lane is a big one's */
};

struct egress;

struct lane {
	struct lane    *next, *before; /* ring of those that are not empty */
	char		account[ACCOUNT_ID_SIZE];
	struct due_list small, big;
	unsigned	queued, big_turn;
	bool		is_served; /* it had a turn since it was empty */
	struct leftover left;	  /* more of them, in the due table */
	struct wall	promised; /* last turn that a moved one was given */
	struct egress  *egress;
};
struct lanes {
	struct egress *egress; /* whose they are */
	struct table *by_account;
	struct lane  *turn; /* NULL = nothing waits */
	unsigned      busy; /* lanes in the ring */
	unsigned      queued;
	bool	      is_favoured; /* the last turn was one of favour */
};
void lanes_init(struct lanes *s, struct egress *eg);
void lanes_wipe(struct lanes *s); /* the dues are not touched */
struct lane *lanes_of(struct lanes *s, const char *account); /* makes it */
struct lane *lanes_find(const struct lanes *s, const char *account);
void lanes_add(struct lanes *s, struct due *d);
/* What comes next in it has never waited for another attempt. */
bool lane_is_new(const struct lane *l);
/* A lane that was empty till now goes before those that have had a turn, but
 * not twice in a row: false. */
bool lanes_favour(struct lanes *s, const char *account);
/* In front of all others of its account. */
void lanes_put_back(struct lanes *s, struct due *d);
struct due *lanes_take(struct lanes *s); /* NULL = nothing waits */
/* first and the recipients of the same message that come next in its lane,
 * at most so many, linked. */
struct due *lanes_take_together(struct lanes *s, struct due *first,
    unsigned most);
/* Forgets lanes without use; true = none is left. */
bool lanes_tidy(struct lanes *s, struct wall now);

#endif
