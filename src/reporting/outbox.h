/* SPDX-License-Identifier: ISC */
/*
 * outbox.h - publishes events to the destinations of configuration sets
 * (events.md 8 and 10).
 *
 * Use:    o = outbox_new(&setup); outbox_wake(o) at the start, on new events
 *         and when destinations may have changed; outbox_stop().
 * Owner:  the reporter.
 * Thread: the loop's; records are made and written on a worker, one window
 *         of one destination at a time, so that a disk that hangs holds up
 *         neither mail nor the rest of reporting.
 * Fails:  trouble of a destination is logged, the destination waits (5 s to
 *         6 h, events.md 10.4), the others go on.
 *
 * Each destination has a cursor of its own in the spool: the events up to it
 * have been written, and synced where it asks for that.  An event is on disk
 * in the commit that made it true, and the cursor moves after the file was
 * written: a crash between them repeats records and loses none.  A record
 * older than events.retry_for is dropped and counted as expired.
 */
#ifndef REPORTING_OUTBOX_H
#define REPORTING_OUTBOX_H

#include "base/meter.h"
#include "base/thread.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "registry/destination.h"
#include "store/spool.h"

struct outbox;

/* One line for each destination since the start, for other threads to read;
 * what does not fit is not shown. */
enum { OUTBOX_METERS = 512 };
struct outbox_meter {
	char	     account[ACCOUNT_ID_SIZE];
	char	     set_name[CONFIG_SET_NAME_SIZE];
	char	     name[DESTINATION_NAME_SIZE];
	struct meter success, failure, expired; /* records */
	struct meter failing; /* 1 = the last attempt failed */
};
struct outbox_meters {
	_Atomic unsigned    count;
	struct outbox_meter v[OUTBOX_METERS];
};
/* NULL = nothing was tried since the start. */
const struct outbox_meter *outbox_meter_find(const struct outbox_meters *m,
    const struct destination *d);

struct outbox_setup {
	struct loop    *loop;
	struct spool   *spool;
	struct book    *book;
	struct workers *workers;
	struct conf    *conf; /* a reference is taken */
	struct outbox_meters *meters; /* lent */
};
struct outbox *outbox_new(const struct outbox_setup *s);
void outbox_free(struct outbox *o); /* NULL is allowed */
void outbox_reload(struct outbox *o, struct conf *conf);
void outbox_wake(struct outbox *o);
/* on_idle(arg, NULL) when all that was written is synced, perhaps from inside
 * the call. */
void outbox_stop(struct outbox *o, loop_fn *on_idle, void *arg);

/* Wait after the n-th failure in a row, without its random part. */
int64_t outbox_wait_ms(unsigned n);

#endif
