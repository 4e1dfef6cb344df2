/* SPDX-License-Identifier: ISC */
/*
 * suppressor.h - keeps the suppression lists from what happens: hard bounces
 * and complaints add, a delivery ends what the installation's list remembers
 * (suppression.md 2.3 and 4).
 *
 * Use:    s = suppressor_new(&setup); suppressor_wake(s) at the start and on
 *         new events; suppressor_stop().
 * Owner:  the reporter.
 * Thread: the loop's; the lists are written on the book's writer.
 * Fails:  trouble is logged; the cursor stays until the lists are written.
 *
 * The event is on disk before the entry: after a crash between the two the
 * event is read again from the cursor SUPPRESSOR_CURSOR, and what it brings
 * twice does no harm (suppression.h).  The settings that count are those of
 * the moment in which the event is read, of the account and of the set that
 * the original message was sent with.
 */
#ifndef REPORTING_SUPPRESSOR_H
#define REPORTING_SUPPRESSOR_H

#include "base/thread.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "store/spool.h"

struct suppressor;
#define SUPPRESSOR_CURSOR "suppression"

struct suppressor_setup {
	struct loop  *loop;
	struct spool *spool;
	struct book  *book;
	struct conf  *conf; /* a reference is taken */
};
struct suppressor *suppressor_new(const struct suppressor_setup *s);
/* After the book has stopped: a job may be with it.  NULL is allowed. */
void suppressor_free(struct suppressor *s);
void suppressor_reload(struct suppressor *s, struct conf *conf);
void suppressor_wake(struct suppressor *s);
void suppressor_stop(struct suppressor *s, loop_fn *on_idle, void *arg);

#endif
