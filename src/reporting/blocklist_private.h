/* SPDX-License-Identifier: ISC */
/*
 * blocklist_private.h - what the files of the watch share.
 *
 *	blocklist.c		life, what is told, replies of receivers
 *	blocklist_round.c	questions to the lists, their answers written
 */
#ifndef REPORTING_BLOCKLIST_PRIVATE_H
#define REPORTING_BLOCKLIST_PRIVATE_H

#include "base/table.h"
#include "registry/listing.h"
#include "reporting/blocklist.h"
#include "reporting/publisher.h"

/* Somebody who waits for the end of a round. */
struct blocklist_waiter {
	struct blocklist_waiter *next;
	loop_fn *fn;
	void	*arg;
};
struct blocklist {
	struct blocklist_setup setup;
	struct publisher *publisher;
	struct book_job	 *reply; /* being written; NULL = none */
	struct table	 *known; /* address, list: when it was written */

	struct timer	  tick;
	struct round	 *round; /* under way; NULL = none */
	struct blocklist_waiter *waiters;
	bool		  stopping, publisher_idle;
	loop_fn		 *on_idle;
	void		 *on_idle_arg;
};

/* Has anything been said of this change?  It is, now. */
void blocklist_tell(struct blocklist *b, const struct listing_change *c);
void blocklist_look_idle(struct blocklist *b);

/* blocklist_round.c */
void blocklist_begin_round(struct blocklist *b);
/* Its questions are given up; what is being written ends by itself. */
void blocklist_stop_round(struct blocklist *b);
void blocklist_free_round(struct blocklist *b);
void blocklist_on_tick(void *blocklist, void *unused);

#endif
