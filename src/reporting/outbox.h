/* SPDX-License-Identifier: ISC */
/*
 * outbox.h - publishes events to the destinations of configuration sets and
 * to the subscriptions of topics (events.md 6 to 8 and 10).
 *
 * Use:    o = outbox_new(&setup, &e); outbox_wake(o) at the start, on new
 *         events and when destinations may have changed; outbox_stop().
 * Owner:  the reporter.
 * Thread: the loop's; events are read, records made and files written on
 *         workers, one window at a time, requests to webhooks go out from the
 *         loop, so that neither a disk that hangs nor an endpoint that does
 *         not answer holds up mail or the other destinations.
 * Fails:  trouble of a destination is logged, the destination waits (5 s to
 *         6 h, events.md 10.4), the others go on.
 *
 * One walk reads each event once and hands it to the destinations of its set;
 * who does not keep pace reads for himself until he has caught up (outlet.h).
 * One cursor in the spool stands for all that keep pace; only a destination
 * that is behind has a row of its own.  An event is on disk in the commit
 * that made it true, and the cursors move after the record was written, and
 * synced where the destination asks for that, or taken by the webhook: a
 * crash between them repeats records and loses none.  A record older than
 * events.retry_for is dropped and counted as expired.
 *
 * Requests to webhooks are out side by side, and each has a place of 160.
 * Endpoints that have failed never have more than 32; of those that begin to
 * hang the last 32 places stay free but for one call of an account, until their
 * time-out, and they have failed (outbox_webhook.c).
 */
#ifndef REPORTING_OUTBOX_H
#define REPORTING_OUTBOX_H

#include "base/meter.h"
#include "base/thread.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "registry/destination.h"
#include "reporting/outlet.h"
#include "store/spool.h"

struct outbox;
struct notices;
struct series;
struct webhook;
struct withdrawal;

/* The common cursor; those of destinations begin so as well. */
#define OUTBOX_CURSOR "dest/"

/* One line for each destination that has had an event since the start, for
 * other threads to read; those that come when it is full share the other: its
 * counters are of all of them, its gauges (what waits, the last result) of
 * nobody. */
enum { OUTBOX_METERS = 2048 };
struct outbox_meters {
	_Atomic unsigned    count;
	struct outlet_meter v[OUTBOX_METERS];
	struct outlet_meter other; /* "_other_", of no account */
};
/* Of its own; NULL = it has none, which outbox_meters_are_full() explains, or
 * nothing was tried since the start. */
const struct outlet_meter *outbox_meter_find(const struct outbox_meters *m,
    const struct destination *d);
bool outbox_meters_are_full(const struct outbox_meters *m);
/* What waits, of all that have a line of their own. */
struct outbox_sum {
	uint64_t    records;
	unsigned    destinations; /* that they wait for */
	unsigned    failing;	  /* of these: whose last attempt failed */
	struct wall oldest;	  /* 0 = nothing waits */
};
struct outbox_sum outbox_meters_sum(const struct outbox_meters *m);

/* A destination of a set, or of a topic (the other one is ""). */
struct outbox_disabled {
	char account[ACCOUNT_ID_SIZE];
	char set[CONFIG_SET_NAME_SIZE], topic[TOPIC_NAME_SIZE];
	char name[DESTINATION_NAME_SIZE];
	char reason[DESTINATION_REASON_SIZE];
};
struct outbox_setup {
	struct loop    *loop;
	struct spool   *spool;
	struct book    *book;
	struct workers *workers;
	struct conf    *conf; /* a reference is taken */
	struct outbox_meters *meters;  /* lent */
	struct series	     *series;  /* lent */
	struct webhook	     *webhook; /* lent */
	struct notices	     *notices; /* lent */
	struct withdrawal    *withdrawal; /* lent */
	/* One was turned off, and the book says so; NULL is allowed. */
	void (*on_disabled)(void *arg, const struct outbox_disabled *d);
	void  *on_disabled_arg;
};
struct outbox *outbox_new(const struct outbox_setup *s);
void outbox_free(struct outbox *o); /* NULL is allowed */
void outbox_reload(struct outbox *o, struct conf *conf);
void outbox_wake(struct outbox *o);
/* Some identity's setting has named that topic since then: what was walked
 * without it is read once more. */
void outbox_rewind_topic(struct outbox *o, const struct topic_ref *topic,
    struct wall since);
/*
 * Which destinations; "" = all.  With a topic: its subscriptions, and of what
 * waits there what came by the destination of that name, if there is one.
 */
struct outbox_choice {
	char account[ACCOUNT_ID_SIZE];
	char set[CONFIG_SET_NAME_SIZE], name[DESTINATION_NAME_SIZE];
	struct topic_ref topic;
};
/*
 * Tells the past once more: events since then of these types that are kept
 * and that its filter lets through, up to now.  false = no such destination.
 * Not written down: an end of the process is the end of it.
 */
bool outbox_replay(struct outbox *o, const struct outbox_choice *c,
    struct wall since, unsigned types);
struct outbox_row {
	/* by which destination it came; "" = a notification */
	char set[CONFIG_SET_NAME_SIZE], name[DESTINATION_NAME_SIZE];
	struct topic_ref topic; /* name "" = none */
	char subscription[UUID_SIZE]; /* "" = none */
	struct event_id event;
	enum event_type type;
	unsigned	attempts; /* that failed */
	unsigned	status;	  /* of a webhook's last answer; 0 = none */
	struct wall	next; /* 0 = it rests until it is enabled */
};
/* What waits: *count rows at most, then those that were filled in.  Returns
 * how many more wait: those that are not in memory, and what had no room. */
uint64_t outbox_list(struct outbox *o, const struct outbox_choice *c,
    struct outbox_row *rows, size_t *count);
/* What waits is due now, or is dropped; returns how many. */
uint64_t outbox_retry(struct outbox *o, const struct outbox_choice *c);
uint64_t outbox_purge(struct outbox *o, const struct outbox_choice *c);
/* on_idle(arg, NULL) when all that was written is synced, perhaps from inside
 * the call. */
void outbox_stop(struct outbox *o, loop_fn *on_idle, void *arg);

/* Wait after the n-th failure in a row, without its random part. */
int64_t outbox_wait_ms(unsigned n);

#endif
