/* SPDX-License-Identifier: ISC */
/*
 * spool.h - the queue: what has been promised and not yet settled, and the
 * outbox of events.
 *
 * Use:    spool_submit(), wait for the receipt, then say 250.
 *         spool_change() for what became of envelopes; the receipt tells
 *         when it is on disk.
 * Owner:  a submission and its message, or a change, is lent to the writer
 *         until its receipt; meanwhile the owner keeps its hands off.
 * Thread: submit, stage, discard, change and all reads from any loop; the
 *         rest on the writer (a loop of its own: it commits at the end of
 *         each pass all that has gathered; while it syncs the next batch
 *         gathers in its feed, on a slow disk a moment longer: gather.h).
 *         Receipts of submissions may come before the commit (redo.h).
 * Fails:  false from submit/stage/change: the feed is full, nothing happened
 *         (451 / stop reading / hand in again).  The receipt says FULL or
 *         DOWN; nothing is half done.  Down: no promise any more; the
 *         wiring's on_down ends the process in order, recovery reads the
 *         truth from disk.
 *
 * A batch: at most 512 submissions or 8 MB, of which 2 MB staged chunks;
 * changes first, then submissions, then chunks.  If one submission makes a
 * batch fail, it is retried one by one.
 */
#ifndef STORE_SPOOL_H
#define STORE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/meter.h"
#include "base/thread.h"
#include "mail/event.h"
#include "mail/message.h"
#include "store/redo.h"

struct spool;
struct spool_txn; /* the writer's transaction, for admit() */

struct spool_setup {
	const char *dir;	  /* store.dir: spool/ lies below it */
	uint64_t    map_bytes;
	/* disk (with what is free in the file) or map: below it RECEIPT_FULL */
	uint64_t    min_free;
	uint64_t    messages_max; /* queue.max_messages */
	int64_t	    index_keep_ms; /* feedback.index_days */
	int64_t	    tail_keep_ms;  /* events.tail_keep */
	enum redo_mode redo_log;
};
struct spool *spool_open(const struct spool_setup *s, struct err *e);
/* Starts the writer's thread; before it, wire the listeners below. */
int spool_start(struct spool *s, struct err *e);
/* Commits what has gathered, then ends the thread. */
void spool_stop(struct spool *s);
void spool_close(struct spool *s);
/* Reload; in force when the writer has looked, soon after. */
/* dir and map_bytes stay as they were; any thread. */
void spool_retune(struct spool *s, const struct spool_setup *to);

/* -- wiring, before spool_start() ------------------------------------- */
/*
 * Who makes the file longer ahead of the writer (store/README); without them
 * each commit does it for itself.  They end between spool_stop() and
 * spool_close().
 */
void spool_use_workers(struct spool *s, struct workers *w);
/* What has become due at once (new envelopes, CHANGE_RETRY, the last hold
 * released): a batch per commit, the receiver frees it with mem_free().  When
 * the feed is full the batch is dropped and spool_took_missed() says true
 * once: read the due table then. */
struct arrival {
	struct msgid id;
	unsigned     n;	   /* envelope index */
	struct wall  due;
	uint64_t     size; /* octets to send */
	char	     account[ACCOUNT_ID_SIZE];
	uint8_t	     tls_policy;
	bool	     system;	/* class */
	bool	     simulator;
	bool	     suppressed; /* on a list when it was accepted */
	/* what that rests on (message.h); 0 = look again */
	uint64_t     lists_seen;
	struct config_set_id config_set; /* none: the message has no set */
	char	     pool[POOL_NAME_SIZE]; /* that its set named; "" = none */
	char	     domain[256];
};
struct arrivals {
	size_t	       count;
	struct arrival v[];
};
void spool_on_arrivals(struct spool *s, struct loop *to, loop_fn *fn,
    void *ctx);
bool spool_took_missed(struct spool *s);
/* New events are there: fn(ctx, NULL), at most one note under way and 24
 * in 250 ms; several listeners (reporting, event tail) may be wired. */
void spool_on_events(struct spool *s, struct loop *to, loop_fn *fn, void *ctx);
/* The store is down (fn on the loop, once). */
void spool_on_down(struct spool *s, struct loop *to, loop_fn *fn, void *ctx);

/* -- submission --------------------------------------------------------- */
enum receipt_result {
	RECEIPT_OK,
	RECEIPT_REFUSED, /* admit() said no; see refused_by */
	RECEIPT_FULL,	 /* no space: 452 4.3.1 */
	RECEIPT_BUSY,	 /* queue.max_messages: 454 */
	RECEIPT_DOWN	 /* 451 */
};
struct intake_end;
struct intake_errand;
struct submission {
	struct loop *from;
	loop_fn	    *on_receipt; /* (ctx, submission) on from */
	void	    *ctx;
	uint64_t     ticket; /* the asker's, untouched */

	struct message *message;
	/*
	 * Runs inside the transaction, on the writer, touches nothing but it
	 * (quota): 0 = admitted, >0 = refused (goes to refused_by), -1 error.
	 * It decides first and counts then: a refusal has counted nothing.
	 * undo() when the transaction was lost after an admit() of 0.
	 */
	int (*admit)(struct submission *s, struct spool_txn *t);
	void (*undo)(struct submission *s);
	void *admit_ctx;
	/* Mail made by posthorn: cursor to move in the same transaction. */
	const char *cursor; /* NULL = none */
	uint64_t    cursor_to;
	/* Mail that came back, forwarded: this errand is done with it. */
	const struct intake_errand *errand; /* NULL = none */

	/* the receipt, filled by the writer */
	enum receipt_result result;
	int		    refused_by;
	struct submission  *next; /* the writer's */
};
/* The place for the receipt is reserved on s->from. */
bool spool_submit(struct spool *sp, struct submission *s);
/* Most recent verdict on space, without asking the disk: for MAIL. */
enum receipt_result spool_has_room(struct spool *sp, uint64_t octets);
/*
 * A receipt that rests on the redo log comes before the message can be read;
 * its arrival and its events come after.  This waits until all that was
 * answered can be read, a second at most: for who asks on an operator's
 * behalf.  Any thread that may wait.
 */
void spool_catch_up(struct spool *sp);

/*
 * Staging: full chunks ahead of their message.  content 0: a new content id
 * is given in the receipt.  The chunks belong to the writer from here on.
 */
struct stage {
	struct loop  *from;
	loop_fn	     *on_receipt; /* (ctx, stage) */
	void	     *ctx;
	uint64_t      ticket;
	uint64_t      content;
	uint64_t      offset; /* of the first octet in the body; multiple of
				 CONTENT_PIECE */
	struct chunk *chunks;
	enum receipt_result result;
	struct stage *next;
};
bool spool_stage(struct spool *sp, struct stage *st);
/* The session ended: what was staged under content goes.  Never fails: a
 * full feed leaves it to the sweep at the next start. */
void spool_discard(struct spool *sp, uint64_t content);

/* -- changes ------------------------------------------------------------ */
enum change_kind {
	CHANGE_DONE,	/* final; the event tells how */
	CHANGE_DEFER,	/* next attempt at .next */
	CHANGE_MOVE,	/* due time moves to .next; no attempt was made */
	CHANGE_HOLD,	/* under .held_by, until released */
	CHANGE_RELEASE, /* removes .held_by; due at once when none is left */
	CHANGE_RETRY,	/* due now (not while held) */
	CHANGE_EVENT	/* only the event: there is no envelope (any more) */
};
enum { HELD_ACCOUNT = 1, HELD_CONFIG_SET = 2, HELD_OPERATOR = 4 };
struct change_item {
	enum change_kind kind;
	struct msgid	 id;
	unsigned	 n;
	/* DEFER: what the attempt left; bytes live in the change's arena */
	unsigned	 attempts;   /* new total */
	struct wall	 next;
	struct wall	 expires;    /* 0 = as it is; may only become earlier */
	uint8_t		 held_by;
	struct bytes	 last_reply; /* cut to 512 octets by the writer */
	struct bytes	 last_remote;	 /* address */
	struct bytes	 last_source_ip;
	struct bytes	 last_stage;	 /* "rcpt" ... */
	uint32_t	 flags;	     /* delivery's own bits, kept in the row */
	/* NULL = none.  Written with the envelope's change in one commit; not
	 * written when the envelope is not there (CHANGE_EVENT: always). */
	const struct event *event;
	bool		 found;	     /* receipt: the envelope was there */
};
struct change {
	struct loop *from;
	loop_fn	    *on_receipt; /* (ctx, change) */
	void	    *ctx;
	uint64_t     ticket;
	struct arena *arena; /* the owner's; holds the items' bytes */
	struct change_item *items;
	size_t	     count;
	/* a cursor to move in the same transaction; NULL = none */
	const char  *cursor;
	uint64_t     cursor_to;
	/* mail that came back (spool_intake.h): its verdict, once; an errand
	 * that is given up */
	const struct intake_end	   *intake;
	const struct intake_errand *errand;
	/*
	 * Runs on the writer inside the transaction, which may be tried again:
	 * it writes what it reads from the change's owner, and keeps nothing.
	 * 0, or -1 and *e.  NULL = none.
	 */
	int (*also)(struct change *c, struct spool_txn *t, struct err *e);
	enum receipt_result result; /* OK or DOWN */
	struct change *next;
};
bool spool_change(struct spool *sp, struct change *c);

/* -- reading: each call is one short transaction ------------------------- */
enum envelope_state {
	ENVELOPE_READY,
	ENVELOPE_DEFERRED, /* attempts > 0, waiting */
	ENVELOPE_HELD
};
struct recipient_row {
	struct msgid id;
	unsigned     n;
	struct bytes address;
	enum envelope_state state; /* as stored: ACTIVE is never stored */
	uint8_t	     held_by;
	unsigned     attempts;
	struct wall  next, expires, first_attempt, last_attempt;
	struct bytes last_reply, last_remote, last_source_ip, last_stage;
	uint32_t     flags;
	bool	     simulator;
	uint8_t	     notify; /* as in struct envelope */
	struct bytes orcpt;
};
struct message_row { /* gone with the last envelope */
	struct msgid id;
	uint64_t     content;
	uint64_t     head_octets, body_octets;
	unsigned     open; /* envelopes not final */
	bool	     has_8bit;
	uint8_t	     tls_policy;
	bool	     system;
	char	     account[ACCOUNT_ID_SIZE];
	struct config_set_id config_set; /* none: it has no set */
	struct bytes mail_from_domain; /* "" = null sender goes out */
	uint8_t	     ret; /* as in struct message */
	struct bytes envid;
};
/* What stays: facts for events, trace, feedback.  See mail/event.h. */
struct mail_row {
	struct msgid id;
	struct wall  accepted, expires;
	char	     account[ACCOUNT_ID_SIZE];
	struct bytes credential, access_key, client_ip, listener, sid;
	struct bytes tls_version, sender, identity, identity_account;
	struct bytes from_domain, forward, config_set, mail_from_domain;
	struct config_set_id config_set_id; /* by which feedback finds it */
	struct bytes pool; /* that its set named then; "" = none */
	struct bytes message_id; /* the client's own Message-ID, or "" */
	struct bytes subject;	 /* raw, cut to 256 octets */
	bool	     system;
	uint64_t     size;
	unsigned     recipient_count;
	struct bytes *recipients; /* in the order of RCPT */
	/* what the client wants to hear; NULL, "" = nothing special */
	struct dsn_wish {
		uint8_t	     notify;
		struct bytes orcpt;
	} *wishes; /* one a recipient */
	struct bytes envid;
	unsigned     tag_count;
	struct message_tag *tags;
	struct bytes snapshot; /* "" when it has gone */
};
/* 1 = found, 0 = not there, -1 = error; bytes are copied into the arena */
int spool_read_recipient(struct spool *s, const struct msgid *id, unsigned n,
    struct arena *a, struct recipient_row *out, struct err *e);
int spool_read_message(struct spool *s, const struct msgid *id,
    struct arena *a, struct message_row *out, struct err *e);
int spool_read_mail(struct spool *s, const struct msgid *id, struct arena *a,
    struct mail_row *out, struct err *e);
/* The same without the snapshot, which is "". */
int spool_read_facts(struct spool *s, const struct msgid *id,
    struct arena *a, struct mail_row *out, struct err *e);
/*
 * The address it left from for a recipient who has got it, and the TLS: kept
 * beside its record, if it belongs to a configuration set (events.md 3).
 * 1, 0 = not known, -1.
 */
struct departure {
	char ip[64];
	char tls[12]; /* "TLSv1.3"; "" = in clear */
};
int spool_read_departure(struct spool *s, const struct msgid *id, unsigned n,
    struct departure *out, struct err *e);
/*
 * The whole message as it is sent, kept beside its snapshot for the notice
 * that returns it (RET=FULL), if it has SPOOL_RETURN_MAX octets at most.
 */
enum { SPOOL_RETURN_MAX = 64 * 1024 };
int spool_read_returned(struct spool *s, const struct msgid *id,
    struct arena *a, struct bytes *out, struct err *e);
/*
 * Content as it is sent (head, then body) from offset: fills buf, returns
 * the octets, 0 at the end, -1 on error.
 */
ptrdiff_t spool_read_content(struct spool *s, const struct message_row *m,
    uint64_t offset, char *buf, size_t size, struct err *e);
/* Touches the pages of a content (for workers; blocks on the disk). */
void spool_warm(struct spool *s, uint64_t content);

/*
 * Walks copy a window out, end their transaction and then call fn (false =
 * enough); they return the number of rows shown, or -1.  after = the last
 * row that is already known, NULL = from the beginning.
 */
/* The due table after a key, at most max rows with due <= until.  Held ones
 * are not shown. */
struct due_key {
	struct wall  due;
	struct msgid id;
	unsigned     n;
};
int spool_scan_due(struct spool *s, const struct due_key *after,
    struct wall until, size_t max,
    bool (*fn)(void *arg, const struct arrival *a), void *arg, struct err *e);
/* Held envelopes, those that expire first first. */
int spool_scan_held(struct spool *s, const struct due_key *after, size_t max,
    bool (*fn)(void *arg, const struct arrival *a, uint8_t held_by,
	struct wall expires),
    void *arg, struct err *e);
/* All envelopes in order of id, from (id, n) on, that one included (NULL =
 * all): for queue list. */
int spool_scan_recipients(struct spool *s, const struct msgid *from,
    unsigned from_n, size_t max,
    bool (*fn)(void *arg, const struct recipient_row *r), void *arg,
    struct err *e);
/* Messages of which something is kept, in order of id, after that one (NULL =
 * all); without their snapshots, the row is the callback's. */
int spool_scan_mail(struct spool *s, const struct msgid *after, size_t max,
    bool (*fn)(void *arg, const struct mail_row *m), void *arg,
    struct err *e);
/* Events after sequence; the event and its strings are the callback's. */
int spool_scan_events(struct spool *s, uint64_t after, size_t max,
    bool (*fn)(void *arg, uint64_t sequence, const struct event *ev),
    void *arg, struct err *e);
/*
 * What became of messages, without the Send, after their events have left the
 * tail: in the order of id, then of the events, from (id, n) on, that one
 * included (NULL = all); n is at most INT32_MAX.
 */
int spool_scan_history(struct spool *s, const struct msgid *from,
    unsigned from_n, size_t max,
    bool (*fn)(void *arg, unsigned n, const struct event *ev), void *arg,
    struct err *e);
/* The first one written since then; the one to come when there is none yet;
 * 0 when there are no events at all. */
uint64_t spool_first_event_since(struct spool *s, struct wall since);
/* Cursor of a reader of events; 0 when it was never moved. */
uint64_t spool_cursor(struct spool *s, const char *name);
/* Those whose names begin so; fn runs inside the transaction and touches no
 * store.  0, -1. */
int spool_each_cursor(struct spool *s, const char *prefix,
    void (*fn)(void *arg, struct bytes name, uint64_t at), void *arg,
    struct err *e);
/* 0 = on its way to the writer; -1 = its feed is full. */
#define SPOOL_CURSOR_GONE UINT64_MAX /* its reader is no more */
int spool_move_cursor(struct spool *s, const char *name, uint64_t to);

/* -- counters inside the transaction (quota), and outside for showing ---- */
/* key: scope (1 to 200 octets, none of them 0); minute buckets, kept 1,441
 * minutes.  Adds in the writer's transaction. */
int spool_counter_add(struct spool_txn *t, struct bytes scope,
    int64_t minute, int64_t d, struct err *e);
/* Sum over minutes from..to (inclusive). */
int spool_counter_sum(struct spool_txn *t, struct bytes scope, int64_t from,
    int64_t to, int64_t *sum, struct err *e);
int spool_counter_read(struct spool *s, struct bytes scope, int64_t from,
    int64_t to, int64_t *sum, struct err *e); /* any thread */
/* Newest minute seen in a scope (a clock that runs back counts there).
 * 1 = found, 0 = nothing was ever counted, -1 = error. */
int spool_counter_newest(struct spool_txn *t, struct bytes scope,
    int64_t *minute, struct err *e);
/* Any thread: sum over the width minutes that end at now or at the newest
 * minute of the scope, whichever is later. */
int spool_counter_window(struct spool *s, struct bytes scope, int64_t now,
    int64_t width, int64_t *sum, struct err *e);

/* -- figures -------------------------------------------------------------- */
struct spool_figures {
	uint64_t messages, recipients, held, deferred, bytes;
	uint64_t map_bytes, used_bytes, free_page_bytes, disk_free_bytes;
	uint64_t commits, committed_items;
};
int spool_figures(struct spool *s, struct spool_figures *out, struct err *e);
struct spool_meters {
	struct meter_histogram commit_seconds, commit_items;
};
const struct spool_meters *spool_meters(const struct spool *s);
/* A copy into a file that the caller made and syncs; any thread. */
int spool_backup(struct spool *s, int fd, struct err *e);
/* Frees reader slots of the dead, and removes what has passed its keeping
 * time, posted to the writer in bounded portions.  Called by the main loop
 * once a minute. */
void spool_sweep(struct spool *s);

#endif
