/* SPDX-License-Identifier: ISC */
/*
 * inbox.h - reads what the intake took: to which message and recipient it
 * belongs, the events it makes, and who gets a copy (bounces-and-feedback.md
 * 6.4 to 9).
 *
 * Use:    i = inbox_new(&setup, &e); inbox_wake(i) at the start and when the
 *         spool tells of news; inbox_stop().
 * Owner:  the reporter.
 * Thread: the loop's.
 * Fails:  trouble is logged; the message stays and is read again.
 *
 * Bounds: a message whose reading takes more than 8 MB of memory is given up
 *         (INTAKE_ERROR); it stays raw.
 *
 * One raw message at a time.  Its verdict, the events, the marks of what was
 * counted and the errands of forwarder.h are one commit: after a crash it was
 * read wholly or not at all.
 *
 * A report speaks only for a message whose record is there, and only of
 * addresses to which that message was sent: no event names another.  Of one
 * recipient at most INBOX_REPORTS_MAX reports of a kind become events; the
 * first of them is the one that counts.
 */
#ifndef REPORTING_INBOX_H
#define REPORTING_INBOX_H

#include "base/meter.h"
#include "base/thread.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "registry/ledger.h"
#include "store/spool.h"
#include "store/spool_intake.h"

struct inbox;
struct withdrawal;
enum { INBOX_REPORTS_MAX = 10 };

/* posthorn_intake_messages_total */
struct inbox_meters {
	struct meter judged[INTAKE_KINDS][INTAKE_RESULTS];
};
struct inbox_setup {
	struct loop  *loop;
	struct spool *spool;
	struct book  *book;
	struct conf  *conf;	      /* a reference is taken */
	struct ledger *ledger;	      /* lent; NULL = events are not counted */
	struct inbox_meters *meters;  /* lent */
	struct withdrawal *withdrawal; /* lent */
};
struct inbox *inbox_new(const struct inbox_setup *s, struct err *e);
void inbox_free(struct inbox *i); /* NULL is allowed */
void inbox_reload(struct inbox *i, struct conf *conf);
void inbox_wake(struct inbox *i);
void inbox_stop(struct inbox *i, loop_fn *on_idle, void *arg);

#endif
