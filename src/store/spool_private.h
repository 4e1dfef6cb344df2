/* SPDX-License-Identifier: ISC */
/*
 * spool_private.h - what the files of the spool share.
 *
 *	spool.c		life, wiring, what other threads hand in, figures
 *	spool_batch.c	the writer: gathers, commits, sends receipts
 *	spool_redo.c	receipts before the commit, on a slow disk
 *	spool_write.c	a submission, a staged chunk, an event become rows
 *	spool_change.c	what became of envelopes
 *	spool_intake.c	mail that came back
 *	spool_client_id.c  messages by the Message-ID of their client
 *	spool_counter.c	minute buckets, inside the transaction and outside
 *	spool_sweep.c	what has passed its keeping time goes
 *	spool_read.c	single rows and content, any thread
 *	spool_scan.c	walks over tables, any thread
 *
 * Thread: members are the writer's (or the opener's before the start) unless
 *         they are atomic.
 */
#ifndef STORE_SPOOL_PRIVATE_H
#define STORE_SPOOL_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/table.h"
#include "store/db.h"
#include "store/gather.h"
#include "store/record.h"
#include "store/redo.h"
#include "store/spool.h"

/* In the store by name, see spool.c: the order may change. */
enum spool_table {
	SPOOL_MESSAGE,	 /* id */
	SPOOL_MAIL,	 /* id, piece */
	SPOOL_SNAPSHOT,	 /* id, piece */
	SPOOL_CHUNK,	 /* content, piece */
	SPOOL_RECIPIENT, /* id, number */
	SPOOL_STAGING,	 /* content -> octets laid down */
	SPOOL_DUE,	 /* due, id, number */
	SPOOL_HELD,	 /* expires, id, number */
	SPOOL_EVENT,	 /* sequence */
	SPOOL_COUNTER,	 /* scope, minute; the sum under COUNTER_SUM */
	SPOOL_CURSOR,	 /* name -> sequence */
	SPOOL_SWEPT,	 /* content whose pieces have to go */
	SPOOL_HISTORY,	 /* id, low 31 bits of the sequence -> event */
	SPOOL_INTAKE,	 /* id, piece: what came back */
	SPOOL_STEP,	 /* step, id, number: what is to be done with it */
	SPOOL_MARK,	 /* id of ours, what was reported -> how often */
	SPOOL_STATISTIC, /* statistic.h */
	SPOOL_CLIENT_ID, /* day, hash, number -> id: sent under its own */
	SPOOL_TABLES
};
enum { SPOOL_FORMAT = 1 };

enum {
	BODY_PIECE_FIRST = 4096, /* pieces below are of the head */
	/* in the table of snapshots: from here on the message as a whole */
	RETURN_PIECE_FIRST = 65536,
	BATCH_SUBMISSIONS = 512,
	BATCH_OCTETS = 8 << 20,
	BATCH_STAGED_OCTETS = 2 << 20,
	BATCH_STAGES = 256,
	BATCH_CHANGES = 1024,
	BATCH_ITEMS = 4096,
	/* Contents of more pieces, or beyond the sum, go by the sweep: what a
	 * transaction frees must stay small. */
	REMOVE_PIECES_MESSAGE = 256,
	REMOVE_PIECES_BATCH = 4096,
	LISTENERS_MAX = 4,
	REPLY_KEPT_MAX = 512,
	SUBJECT_MAX = 256
};

/* Under this minute lies the struct counter_row of a scope. */
#define COUNTER_SUM INT64_C(-1)

struct counter {
	struct counter	  *next_dirty;
	bool		   is_listed; /* there */
	struct counter_row row;
	int64_t		   minute, count; /* the bucket at hand */
	bool		   is_dirty; /* memory is ahead of the store */
	struct bytes	   scope;    /* points behind the struct */
};

struct spool_txn {
	struct spool	 *spool;
	struct db_txn	 *db;
	struct db_cursor *chunks; /* opened when first needed */
	struct wall	  now;
	size_t		  pieces_removed;
	bool		  is_lost; /* err tells why: for admit(), which can
				      only say -1 */
	struct err	  err;
};

struct listener {
	struct spool *spool;
	struct loop  *to;
	loop_fn	     *fn;
	void	     *ctx;
	atomic_bool   is_under_way; /* a note is in the feed */
	bool	      is_waiting;   /* for its time, or for room in the feed */
	struct mono   window;	    /* notes in it are counted */
	unsigned      notes;
};

/* Posted by spool_move_cursor(). */
struct cursor_move {
	struct cursor_move *next;
	uint64_t	    to;
	char		    name[];
};

enum sweep_stage {
	SWEEP_IDLE,
	SWEEP_MAIL,
	SWEEP_HISTORY,
	SWEEP_SNAPSHOT,
	SWEEP_EVENT,
	SWEEP_INTAKE,
	SWEEP_MARK,
	SWEEP_CLIENT_ID,
	SWEEP_COUNTER
};

/* Lends itself to the workers while is_under_way; else the writer's. */
struct ahead {
	struct job	job; /* first */
	struct spool   *spool;
	struct workers *workers; /* NULL = nothing is done */
	bool		is_under_way;
	uint64_t	laid;	      /* length of the file */
	uint64_t	to;	      /* as it is to be */
	struct mono	failed;	      /* .ms 0 = not */
	int		rc;
	struct err	err;
};

/* The thread's from spool_redo_write() to its end, but for the marks. */
struct spool_redo {
	struct job	   job; /* first */
	struct spool	  *spool;
	struct redo	  *log;
	struct workers	  *worker; /* one thread */
	struct buf	   rows;
	uint64_t	   number; /* the last that was given */
	size_t		   count;
	struct submission *submissions[BATCH_SUBMISSIONS];
	atomic_bool	   is_answered; /* or is being */
	pthread_mutex_t	   lock; /* of is_ahead */
	pthread_cond_t	   caught_up;
	bool		   is_ahead; /* answered, and not yet to be read */
	int		   rc;
	struct err	   err;

	/* the writer's */
	_Atomic int mode; /* enum redo_mode */
	bool	    is_recording, is_given, is_under_way;
	int64_t	    commit_us; /* mean of late */
	struct mono failed;    /* .ms 0 = not */
};

struct spool {
	struct db   *db;
	struct loop *loop;
	bool	     is_started;
	atomic_bool  is_closed; /* no more work is taken */
	atomic_bool  is_down;
	bool	     stop_asked, is_last_try;

	/* settings; a reload changes them */
	_Atomic uint64_t min_free, messages_max;
	_Atomic int64_t	 index_keep_ms, tail_keep_ms, raw_keep_ms;
	uint64_t	 map_bytes;

	/* wiring */
	struct listener arrivals_to, down_to;
	struct listener events_to[LISTENERS_MAX];
	unsigned	event_listener_count;
	atomic_bool	has_missed;

	/* gathered from the feed, in order */
	struct change	   *changes_first, **changes_end;
	struct submission  *submissions_first, **submissions_end;
	size_t		    submissions_waiting;
	struct stage	   *stages_first, **stages_end;
	struct cursor_move *moves_first, **moves_end;

	/* the batch at hand */
	struct change	  *changes[BATCH_CHANGES];
	struct submission *submissions[BATCH_SUBMISSIONS];
	bool		   is_admitted[BATCH_SUBMISSIONS];
	struct stage	  *stages[BATCH_STAGES];
	uint64_t	   staged_as[BATCH_STAGES]; /* content ids */
	size_t		   change_count, submission_count, stage_count;
	struct arrivals	  *arrivals;
	size_t		   arrival_cap;
	struct buf	   row; /* values are encoded here */
	struct buf	   old; /* a value read, kept across a write */
	uint64_t	   room; /* octets left for submissions */

	/* committed, and as it will be after the transaction */
	struct state_row state, draft;
	struct table	*counters;
	struct counter	*dirty;

	/* keeping up */
	struct timer	 again, retry, notes;
	struct gather	 gather;
	bool		 changes_wait; /* no space: until the retry timer */
	struct mono	 disk_looked, map_looked, full_logged;
	uint64_t	 disk_free, map_used, map_free;
	uint64_t	 used_since, freed_since; /* then */
	bool		 has_swept; /* rows in SPOOL_SWEPT */
	enum sweep_stage sweep;
	bool		 sweep_again;
	struct record_key sweep_at; /* n 0 = from the beginning */

	struct ahead	 ahead;
	struct spool_redo redo;
	bool		 has_intake; /* came in this batch: readers are told */

	/* for spool_has_room() */
	_Atomic uint64_t room_seen, messages_seen;
	struct spool_meters meters;
	struct meter	 commits, items;
};

/* -- spool_batch.c */
void spool_batch_init(struct spool *s);
void spool_batch_wipe(struct spool *s);
void spool_on_pass_end(void *ctx, void *unused);
void spool_on_retry(void *ctx, void *unused);
void spool_on_notes(void *ctx, void *unused);
void spool_on_again(void *ctx, void *unused);
void spool_look_for_room(struct spool *s);
int spool_begin(struct spool *s, struct spool_txn *t, struct err *e);
int spool_commit(struct spool_txn *t, struct err *e);
void spool_abort(struct spool_txn *t);
void spool_go_down(struct spool *s, const struct err *e);

void submission_answer(struct submission *sub);

/* -- spool_redo.c */
void spool_redo_init(struct spool *s);
void spool_redo_wipe(struct spool *s);
/* At start. */
int spool_redo_open(struct spool *s, const char *dir, struct err *e);
/* Does again what the log has and the store has not: 1, 0 = nothing, -1. */
int spool_redo_again(struct spool_txn *t, struct err *e);
int spool_redo_start(struct spool *s, struct err *e);
void spool_redo_stop(struct spool *s); /* after the writer's end */
/*
 * For each batch, in this order.  begin: notes the rows from now on, when the
 * log is wanted and these are to be answered; drop: the transaction is lost;
 * write: all but the commit is done; end: true = the log has answered.
 */
int spool_redo_begin(struct spool_txn *t, struct submission **v, size_t count,
    struct err *e);
void spool_redo_drop(struct spool *s);
void spool_redo_write(struct spool *s);
bool spool_redo_end(struct spool *s);
/* What a commit took. */
void spool_redo_note(struct spool *s, int64_t commit_us);

/* -- spool_write.c */
/* 0 = written (or refused: s->result says), -1 = the transaction is lost. */
int spool_write_submission(struct spool_txn *t, struct submission *s,
    bool *is_admitted, struct err *e);
/* *content: in the id it has, out the one under which it lies. */
int spool_write_stage(struct spool_txn *t, struct stage *st,
    uint64_t *content, struct err *e);
int spool_write_event(struct spool_txn *t, const struct event *ev,
    struct err *e);
int spool_write_cursor(struct spool_txn *t, const char *name, uint64_t to,
    struct err *e);
/* Nothing when nobody listens. */
struct arrival *spool_add_arrival(struct spool *s, const struct due_key *k,
    const struct due_row *d);
void spool_fill_arrival(struct arrival *a, const struct due_key *k,
    const struct due_row *d);
/* Octets of the store that a submission will take, roughly. */
uint64_t spool_need(const struct message *m);

int spool_write_content(struct spool_txn *t, const struct message *m,
    uint64_t *content, struct err *e);
/* A value in pieces of a page, so that no row needs neighbouring pages. */
int spool_put_paged(struct spool_txn *t, enum spool_table table,
    const struct msgid *id, struct bytes b, struct err *e);

/* -- spool_intake.c */
/* 1 = there is room for it, perhaps now; 0 = not; -1. */
int spool_make_intake_room(struct spool_txn *t, const struct message *m,
    struct err *e);
int spool_write_intake(struct spool_txn *t, const struct message *m,
    struct err *e);
int spool_write_verdict(struct spool_txn *t, const struct intake_end *v,
    struct err *e);
int spool_write_errand_done(struct spool_txn *t,
    const struct intake_errand *x, struct err *e);
/* Raw messages whose time is over, in a portion: 1 = more to do. */
int spool_sweep_intake(struct spool_txn *t, size_t budget, struct err *e);

/* -- spool_client_id.c */
int spool_write_client_id(struct spool_txn *t, const struct msgid *id,
    struct bytes client_id, struct err *e);

/* -- spool_read.c */
/* All pieces of a value in a row: 1, 0 = there are none, -1. */
int spool_copy_paged(struct db_txn *t, enum spool_table table,
    const struct msgid *id, struct arena *a, struct bytes *out,
    struct err *e);

/* -- spool_change.c */
int spool_write_change(struct spool_txn *t, struct change *c,
    struct err *e);

/* -- spool_counter.c */
int spool_flush_counters(struct spool_txn *t, struct err *e);
/* After a commit; or what the lost transaction changed is forgotten. */
void spool_counters_settle(struct spool *s, bool is_committed);
void spool_counters_wipe(struct spool *s);
/* Deletes buckets before minute in up to budget scopes, from s->sweep_at on;
 * 1 = more to do. */
int spool_sweep_counters(struct spool_txn *t, int64_t minute, size_t budget,
    struct err *e);

/* -- spool_sweep.c */
/* Deletes up to *budget pieces; 1 = none is left, 0 = more, -1. */
int spool_remove_pieces(struct spool_txn *t, uint64_t content,
    size_t *budget, struct err *e);
/* At once, or left to the sweep. */
int spool_remove_content(struct spool_txn *t, uint64_t content,
    size_t pieces, struct err *e);
int spool_leave_to_sweep(struct spool_txn *t, uint64_t content,
    struct err *e);
bool spool_has_sweeping(const struct spool *s);
void spool_sweep_portion(struct spool *s);

/* -- spool_scan.c */
typedef bool spool_walk_fn(void *arg, struct bytes key, struct bytes value);
struct walk {
	enum spool_table  table;
	struct record_key from; /* n 0 = from the beginning */
	bool		  is_after; /* not from itself */
	size_t		  max; /* rows that will be looked at, about */
};
int spool_walk(struct spool *s, const struct walk *walk, spool_walk_fn *fn,
    void *arg, struct err *e);

size_t spool_pieces(uint64_t octets);

#endif
