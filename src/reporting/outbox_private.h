/* SPDX-License-Identifier: ISC */
/*
 * outbox_private.h - what the files of the outbox share.
 *
 *	outbox.c	 the destinations, the walk, the cursors, whose turn
 *	outbox_ask.c	 what an operator asks for: the past, what waits
 *	outbox_result.c	 figures, waits and log lines of what became of records
 *	outbox_read.c	 reading events for some destinations, on a worker; who
 *			 wants them, and making records
 *	outbox_file.c	 records into a file, on a worker
 *	outbox_webhook.c records to a webhook
 *	outbox_metrics.c events counted, on a worker
 *	outlet.c	 one destination, and how far it is
 *
 * Owner:  the outbox owns all of it; a job owns itself and names its outlet by
 *         the destination's id, which may be gone when the job comes back.
 * Thread: the loop's, but for what a job's run() does with the job alone.
 */
#ifndef REPORTING_OUTBOX_PRIVATE_H
#define REPORTING_OUTBOX_PRIVATE_H

#include "base/table.h"
#include "reporting/outbox.h"
#include "reporting/outlet.h"
#include "reporting/routes.h"

enum {
	OUTBOX_WINDOW = 256,	/* events of one reading */
	OUTBOX_EVENT_ARENA = 1 << 20,
	OUTBOX_RECORD_MAX = 2 * EVENT_RECORD_MAX,
	OUTBOX_SYNC_MS = 1000, /* SYNC_INTERVAL; the cursors as well */
	OUTBOX_BUSY_MS = 250   /* the workers' queue was full */
};

struct reading;
struct file_batch;
struct compression; /* outbox_file.c */
struct calls; /* outbox_webhook.c */
struct count_batch; /* outbox_metrics.c */

struct outbox {
	struct outbox_setup setup;
	struct table	   *by_id;
	struct outlet	   *first;	 /* all */
	struct outlet	   *busy, **busy_end; /* in the order of turns */
	struct routes	   *routes;
	uint64_t	    version;	 /* of the book */
	bool		    looked;

	uint64_t walked; /* by the walk */
	uint64_t saved;	 /* the common cursor */
	bool	 has_begun, more;
	struct mono since; /* when walked left saved */
	bool	 save_now;

	struct reading	  *walk, *own; /* under way; NULL = none */
	struct file_batch *batch;
	struct compression *compression;
	struct calls	  *calls;
	struct count_batch *counting;
	bool		   no_worker; /* or no store: in a while */

	bool	     stopping;
	struct timer timer;
	loop_fn	    *on_idle;
	void	    *on_idle_arg;
};

/* outbox.c */
void outbox_go(struct outbox *o);
struct outlet *outbox_find(struct outbox *o, const struct destination_id *id);
/* Reads the destinations anew when the book has changed. */
void outbox_look(struct outbox *o);
/* It has something to do: it is in the list of turns from here on. */
void outbox_wants(struct outbox *o, struct outlet *x);

/* -- outbox_result.c ------------------------------------------------------- */
/* Which, for lines of the log: "set=S destination=D", "topic=T
 * subscription=ID". */
enum { OUTBOX_PLACE_SIZE = OUTLET_NAME_SIZE + 32 };
char *outbox_place(const struct destination *d, char out[OUTBOX_PLACE_SIZE]);
/* At the first record: most destinations of an installation are quiet. */
void outbox_meet_meter(struct outbox *o, struct outlet *x);
/* outbox_wait_ms(), +-10 % */
int64_t outbox_wait_random_ms(unsigned n);
/* Failed once more in a row. */
void outbox_failed(struct outbox *o, struct outlet *x, const char *why);
void outbox_worked(struct outbox *o, struct outlet *x, unsigned records);
void outbox_expired(struct outbox *o, struct outlet *x, unsigned records);
/* Is it too late for it? */
bool outbox_is_late(const struct outbox *o, const struct event_id *id);
/* It had no room: events.outbox_max. */
void outbox_dropped(struct outlet *x);

/* -- outbox_read.c --------------------------------------------------------- */
enum reading_kind {
	READING_WALK,	/* for all */
	READING_OWN,	/* for one that lags */
	READING_COUNT,	/* that has lagged before this life: how much is it */
	READING_REPLAY	/* for one that wants the past once more */
};
struct reading {
	struct job	   job; /* first: cast back from it */
	struct outbox	  *outbox;
	struct spool	  *spool;
	struct book	  *book;
	struct db_txn	  *txn;	   /* of the worker; NULL = not needed yet */
	struct conf	  *conf;   /* a reference */
	struct routes	  *routes; /* a reference */
	enum reading_kind  kind;
	struct destination_id id; /* of one */
	/* of a replay: which, and by which way (all 0 = any) */
	unsigned	   types;
	struct destination_id via;
	size_t		   hits_max; /* 0 = no bound */
	/* what came of it */
	uint64_t    at;
	unsigned    seen;
	struct hit *hits;
	size_t	    hit_count, hit_room;
	bool	    failed;
	struct err  err;
};
/* done(reading, NULL) on the loop, which frees it; NULL = no worker. */
struct reading *reading_start(struct outbox *o, enum reading_kind kind,
    struct outlet *x, loop_fn *done);
void reading_free(struct reading *r);

/* -- one record ------------------------------------------------------------ */
enum record_answer { RECORD_THERE, RECORD_GONE, RECORD_FAILED };
struct record_wanted {
	struct spool *spool;
	const struct conf *conf;
	uint64_t sequence;
	struct event_form form;
};
/* The event and its message; fn says whether it had room for what it wants of
 * them; on a worker. */
typedef bool record_fn(void *arg, const struct event *ev,
    const struct event_mail *mail);
enum record_answer record_read(const struct record_wanted *w, record_fn *fn,
    void *arg, struct err *e);
/* The record, without line end; on a worker. */
enum record_answer record_make(const struct record_wanted *w, struct buf *out,
    struct err *e);

/* An identity's notification has failed for good: its topic may be dead. */
void outbox_withdraw(struct outbox *o, const struct topic_ref *topic,
    uint64_t sequence);

/* -- outbox_file.c --------------------------------------------------------- */
/* 1 = it was started, 0 = it has nothing to do now, -1 = no worker. */
int outbox_serve_file(struct outbox *o, struct outlet *x);

/* -- outbox_metrics.c ------------------------------------------------------ */
int outbox_serve_metrics(struct outbox *o, struct outlet *x);

/* -- outbox_webhook.c ------------------------------------------------------ */
int outbox_serve_webhook(struct outbox *o, struct outlet *x);
/* Turned off by posthorn: 10.5. */
void outbox_disable(struct outbox *o, struct outlet *x);
void outbox_calls_free(struct outbox *o);
bool outbox_calls_are_out(const struct outbox *o);
void outbox_calls_cut(struct outbox *o); /* at the end */

#endif
