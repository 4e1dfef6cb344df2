/* SPDX-License-Identifier: ISC */
/*
 * publisher.h - walks the outbox: shows every event to one consumer, in
 * order, from a named cursor on.
 *
 * Use:    p = publisher_new(&setup); publisher_wake(p) at the start and
 *         whenever there may be new events.  show() answers for each event:
 *             PUBLISHER_NEXT   nothing to do, or done
 *             PUBLISHER_TAKEN  it is being worked on: no other is shown
 *                              until publisher_settle(), which never comes
 *                              from inside show()
 *             PUBLISHER_AGAIN  not now: it is shown again after a pause that
 *                              grows up to a minute
 *         publisher_stop() ends in order.
 * Owner:  the consumer; events and their strings are show()'s until it
 *         returns.  publisher_free() after on_idle, or after the loop ended.
 * Thread: the loop's.
 * Fails:  a store that cannot be read is logged and read again.
 *
 * The cursor on disk never stands before an event that was not done.  It
 * moves in two ways: a consumer that settles an event in the spool's own
 * transaction (a notice) moves it there and says PUBLISHER_MOVED: exactly
 * once, also across a crash.  What was only passed is moved now and then by a
 * change: after a crash up to PUBLISHER_LAZY_EVENTS of these are shown again.
 * No other write of the cursor is under way while an event is taken, so that
 * it never runs back.
 */
#ifndef REPORTING_PUBLISHER_H
#define REPORTING_PUBLISHER_H

#include <stdint.h>

#include "base/thread.h"
#include "mail/event.h"
#include "store/spool.h"

struct publisher;

enum {
	PUBLISHER_WINDOW = 64, /* events of one pass */
	PUBLISHER_LAZY_EVENTS = 1000,
	PUBLISHER_LAZY_MS = 1000
};
enum publisher_answer { PUBLISHER_NEXT, PUBLISHER_TAKEN, PUBLISHER_AGAIN };
enum publisher_end {
	PUBLISHER_MOVED, /* done, and the cursor was moved with it */
	PUBLISHER_DONE,	 /* done, or given up */
	PUBLISHER_FAILED /* show it again, after a pause */
};

struct publisher_setup {
	struct loop  *loop;
	struct spool *spool;
	const char   *cursor; /* lives as long as the publisher */
	enum publisher_answer (*show)(void *arg, uint64_t sequence,
	    const struct event *ev);
	/*
	 * What goes in with the cursor, in its transaction: exactly once for
	 * the events up to it, also across a crash.  moving() on the loop,
	 * perhaps more than once; also() on the writer, see struct change; then
	 * moved() on the loop.  No event is shown between them.  All three, or
	 * NULL.  full(): it has gathered enough, the cursor moves now; else
	 * after so many events (0 = PUBLISHER_LAZY_EVENTS).
	 */
	uint64_t lazy_events;
	bool (*full)(void *arg);
	void (*moving)(void *arg);
	int (*also)(void *arg, struct spool_txn *t, struct err *e);
	void (*moved)(void *arg);
	void *arg;
};
struct publisher *publisher_new(const struct publisher_setup *s);
void publisher_free(struct publisher *p); /* NULL is allowed */
void publisher_wake(struct publisher *p);
void publisher_settle(struct publisher *p, enum publisher_end end);
/*
 * touch: there is something to go in with the cursor, although it stays.
 * sync, once: fn(arg, NULL) when all events that are in the store are done and the
 * cursor has moved past them, or when the publisher stops.
 */
void publisher_touch(struct publisher *p);
void publisher_sync(struct publisher *p, loop_fn *fn, void *arg);
/* on_idle(arg, NULL), perhaps from inside the call. */
void publisher_stop(struct publisher *p, loop_fn *on_idle, void *arg);

#endif
