/* SPDX-License-Identifier: ISC */
/*
 * feedback_channel.h - does the sender hear of an event by mail?
 *
 * Use:    if (feedback_channel_is_mail(&c, arena, &row, ev)) mail
 *         it.
 * Owner:  nothing is kept.
 * Thread: the reporting loop's; the book is read in one short transaction.
 * Fails:  what cannot be read counts as a channel that is not there: then the
 *         mail is sent.
 *
 * Channels add up (events.md 7.3): a bounce or complaint is mailed while the
 * identity of the message has forwarding switched on, and in any case when
 * neither an enabled destination of the message's configuration set takes it,
 * by its type and its filter, nor a topic of the identity: feedback must reach
 * somebody.  Metrics count it, and tell nobody; so does a topic without an
 * enabled subscription, whoever names it.  A dead topic of the identity is
 * taken from it (withdrawal.h).
 */
#ifndef REPORTING_FEEDBACK_CHANNEL_H
#define REPORTING_FEEDBACK_CHANNEL_H

#include <stdbool.h>

#include "mail/event.h"
#include "registry/book.h"
#include "store/spool.h"

struct withdrawal;

struct feedback_channel {
	struct spool	  *spool;
	struct book	  *book;
	const struct conf *conf;
	struct withdrawal *withdrawal; /* NULL = dead topics stay */
};
/* The arena takes what is read of the message for the filters. */
bool feedback_channel_is_mail(const struct feedback_channel *c,
    struct arena *a, const struct mail_row *mail, const struct event *ev);

/* What the client asked for of a recipient (RFC 3461); NULL = nothing. */
const struct dsn_wish *feedback_channel_wish(const struct mail_row *mail,
    struct bytes recipient);
/* Wants it to hear of a failure?  NULL: yes. */
bool feedback_channel_is_wanted(const struct dsn_wish *w);

#endif
