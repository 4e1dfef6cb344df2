/* SPDX-License-Identifier: ISC */
/*
 * withdrawal.h - a dead topic is taken from an identity whose bounces or
 * complaints it should have had, and they go by mail again (events.md 7.4).
 *
 * Use:    w = withdrawal_new(&setup); withdrawal_begin(w, &case) when
 *         publishing has failed because the topic is dead, or may be so.
 * Owner:  the reporter; withdrawal_free() after the loop was joined.
 * Thread: the loop's; the book is changed on its writer.
 * Fails:  trouble is logged; a full feed leaves it to the next event.
 *
 * Everything is looked at again where it is changed: the setting may be
 * another one by then, or the topic alive.  Deliveries have no other way, so
 * their setting stays.  With several identities on one topic each is changed
 * when an event of its own finds the topic dead.
 */
#ifndef REPORTING_WITHDRAWAL_H
#define REPORTING_WITHDRAWAL_H

#include "base/thread.h"
#include "registry/book.h"
#include "registry/notification.h"

struct notices;
struct withdrawal;

struct withdrawal_case {
	char account[ACCOUNT_ID_SIZE]; /* the identity's owner */
	char identity[IDENTITY_NAME_SIZE];
	enum notification_kind kind;
	struct topic_ref topic;
};
struct withdrawal_setup {
	struct loop    *loop;
	struct book    *book;
	struct notices *notices; /* lent */
	/* One was taken; NULL is allowed. */
	void (*on_withdrawn)(void *arg, const struct withdrawal_case *c);
	void  *on_withdrawn_arg;
};
struct withdrawal *withdrawal_new(const struct withdrawal_setup *s);
void withdrawal_free(struct withdrawal *w); /* NULL is allowed */
void withdrawal_begin(struct withdrawal *w, const struct withdrawal_case *c);

#endif
