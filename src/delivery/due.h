/* SPDX-License-Identifier: ISC */
/*
 * due.h - one envelope in memory, from the time it is known to the receipt of
 * its last change.
 *
 * Use:    plain data; due_list for what waits in order (at a route, in a
 *         lane).
 * Owner:  the scheduler; a due is in one place at a time, where .place says.
 * Thread: the delivery loop's.
 * Fails:  never.
 */
#ifndef DELIVERY_DUE_H
#define DELIVERY_DUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/heap.h"
#include "mail/message.h"

struct route;

enum due_place { DUE_WAITING, DUE_ROUTING, DUE_QUEUED, DUE_FLYING };
struct due {
	struct heap_node node; /* while WAITING */
	struct due	*next; /* in a list of a route or a lane */
	struct route	*route;
	struct msgid	 id;
	unsigned	 n;
	struct wall	 due;
	struct wall	 stored; /* the same as the due table has it */
	uint64_t	 size;
	char		 account[ACCOUNT_ID_SIZE];
	uint8_t		 tls_policy;
	bool		 system, simulator;
	bool		 is_new; /* it has never waited */
	bool		 suppressed; /* when it was accepted */
	uint64_t	 lists_seen; /* what that rests on; 0 = nothing */
	struct config_set_id config_set;
	const char	*pool; /* that its set named then, "" = none; the
				* carrier's */
	struct wall	 told; /* of a deferral that lasts; 0 = none */
	enum due_place	 place;
};
struct due_list {
	struct due *first, **last;
};
void due_list_init(struct due_list *l);
void due_list_add(struct due_list *l, struct due *d);
void due_list_put_back(struct due_list *l, struct due *d); /* first */
struct due *due_list_take(struct due_list *l); /* NULL = empty */

#endif
