/* SPDX-License-Identifier: ISC */
/*
 * feedback.h - tells the sender by mail what could not be delivered: from
 * each Bounce event one delivery status notification (bounces-and-feedback.md
 * 5.2 to 5.4).
 *
 * Use:    f = feedback_new(&setup); feedback_wake(f) at the start and on new
 *         events; feedback_stop().
 * Owner:  the reporter.
 * Thread: the loop's; feedback_write_headers() any, pure.
 * Fails:  trouble is logged; the cursor stays until the mail is in the spool.
 *
 * One notice for each event: the notice's submission moves the cursor
 * FEEDBACK_CURSOR in its own transaction.  One is under way at a time, in the
 * order of the events.  A notice that cannot be handed over for 24 h is
 * dropped and logged.  No mail for: mail made by posthorn (no notices about
 * notices), messages without a forward address (null sender without
 * Return-Path), messages whose record has gone, and events that another
 * channel takes while forwarding is off (feedback_channel.h, events.md 7.3).
 *
 * A bounce because SPF, DKIM or DMARC did not pass (rule P1) is also told to
 * the contacts of the identity's account.
 *
 * Simulated bounces of one message come as one event with several recipients
 * (simulator.md, Merging): one event, one mail, in the event's order.
 *
 * The third part is the header section as sent.  While the message is in the
 * queue that is the head of its content, up to FEEDBACK_HEADERS_MAX octets
 * and whole lines.  With the last envelope the content goes in the same
 * commit that writes the event, so mostly it is built again from the snapshot
 * (the section as handed in): without Return-Path, Bounces-To, Bcc and
 * X-SES-*, with Date and Message-ID as posthorn wrote them, by the rules of
 * smtp-interface.md 9.4 that hold now.  What posthorn put on top (Received,
 * DKIM-Signature) and Feedback-ID are not in it, as in the example of 5.4.
 * When the snapshot has gone too, Date, Message-ID and the subject remain.
 */
#ifndef REPORTING_FEEDBACK_H
#define REPORTING_FEEDBACK_H

#include <stdbool.h>

#include "reporting/reporter.h"

struct feedback;
struct notices;
struct withdrawal;

enum { FEEDBACK_HEADERS_MAX = 64 * 1024 };
#define FEEDBACK_CURSOR "feedback-mail"

struct feedback_setup {
	struct loop  *loop;
	struct spool *spool;
	struct book  *book;
	struct conf  *conf; /* a reference is taken */
	struct notices *notices;
	struct withdrawal *withdrawal; /* lent */
	bool	    (*send_mail)(void *arg, const struct reporter_mail *m);
	void	     *send_mail_arg;
};
struct feedback *feedback_new(const struct feedback_setup *s);
void feedback_free(struct feedback *f); /* NULL is allowed */
void feedback_reload(struct feedback *f, struct conf *conf);
void feedback_wake(struct feedback *f);
void feedback_stop(struct feedback *f, loop_fn *on_idle, void *arg);

/* The section built again from what was kept; false = no room in out. */
struct feedback_sent {
	struct bytes snapshot;	 /* "" = gone */
	struct bytes subject;	 /* then this is used; may be empty */
	struct bytes date;	 /* posthorn's */
	struct bytes message_id; /* posthorn's, with <> */
	struct bytes from;	 /* is added where the client gave none */
	bool	     rewrites_date, rewrites_id;
};
bool feedback_write_headers(const struct feedback_sent *s, struct buf *out);

#endif
