/* SPDX-License-Identifier: ISC */
/*
 * spool_intake.h - mail that came back: kept raw, judged once, forwarded once.
 *
 * Use:    a submission of class MESSAGE_INTAKE lays a raw message down; no
 *         envelope of it is due.  Its reader asks spool_next_intake() for
 *         what has to be done, and ends each step by a change with .intake
 *         (struct intake_end): the verdict, the events, the marks of what was
 *         counted and the errands to forward go into one commit.  A forwarded
 *         copy is a submission with .errand: the errand goes with it.
 * Owner:  bytes are copied into the arena that is given.
 * Thread: any; writing is the writer's.
 * Fails:  1 found, 0 not there, -1 with *e.
 *
 * Bounds: all raw messages together take at most an eighth of the map
 * (submissions of the class are answered FULL beyond it); from half of that
 * on the oldest that are done go before their keeping time.
 */
#ifndef STORE_SPOOL_INTAKE_H
#define STORE_SPOOL_INTAKE_H

#include "store/spool.h"

/* Numbers are kept in the store: never reorder. */
enum intake_kind {
	INTAKE_DSN,
	INTAKE_ARF,
	INTAKE_UNSUBSCRIBE,
	INTAKE_AUTOREPLY,
	INTAKE_UNKNOWN
};
enum { INTAKE_KINDS = INTAKE_UNKNOWN + 1 };
enum intake_result {
	INTAKE_EVENT,	  /* something was told */
	INTAKE_IGNORED,	  /* nothing in it is an event */
	INTAKE_DUPLICATE, /* it came before */
	INTAKE_UNMATCHED, /* no message of ours is known */
	INTAKE_ERROR,	  /* nobody could read it */
	INTAKE_WAITS	  /* not judged yet */
};
enum { INTAKE_RESULTS = INTAKE_WAITS };
const char *intake_kind_to_text(enum intake_kind k);	 /* "dsn" */
const char *intake_result_to_text(enum intake_result r); /* "event" */

struct intake_row {
	struct msgid	   id;
	enum intake_kind   kind;
	enum intake_result result;
	struct wall	   received;
	uint8_t		   spf; /* as in struct message */
	uint64_t	   content, head_octets, body_octets;
	struct bytes	   sid, client_ip, ehlo, listener, tls_version;
	struct bytes	   sender; /* "" = null */
	unsigned	   recipient_count;
	struct bytes	  *recipients; /* as accepted */
};
/* Did the host that sent it pass SPF?  If not, it may be anybody's. */
bool intake_is_authenticated(const struct intake_row *r);
const char *intake_spf_to_text(const struct intake_row *r); /* "-", "pass" */
int spool_read_intake(struct spool *s, const struct msgid *id,
    struct arena *a, struct intake_row *out, struct err *e);
/* Those after an id (NULL = all), in order; number shown or -1. */
int spool_scan_intake(struct spool *s, const struct msgid *after, size_t max,
    bool (*fn)(void *arg, const struct intake_row *r), void *arg,
    struct err *e);
/* Octets of the raw message from offset on; 0 at the end; -1 */
ptrdiff_t spool_read_raw(struct spool *s, const struct intake_row *r,
    uint64_t offset, char *buf, size_t size, struct err *e);

/*
 * Messages that went out under this Message-ID of their client (struct
 * message, .keeps_id), or one of the same hash, newest day first: their
 * records tell.  How many, at most max; -1
 */
int spool_find_client_id(struct spool *s, struct bytes client_id,
    struct wall now, struct msgid *ids, size_t max, struct err *e);

/* -- what has to be done -------------------------------------------------- */

enum intake_step { INTAKE_JUDGE, INTAKE_FORWARD };
/* How the copy that is forwarded differs from what came. */
enum intake_from {
	INTAKE_FROM_KEPT,
	INTAKE_FROM_MAILER,	/* MAILER-DAEMON@... */
	INTAKE_FROM_COMPLAINTS	/* complaints@... */
};
struct intake_errand {
	struct msgid	 id; /* of the raw message */
	unsigned	 n;
	enum intake_from from;
	struct wall	 since;   /* given up a day later */
	struct bytes	 account; /* or "" */
	struct bytes	 to;
};
/* The first step of this kind behind (id, n), NULL = the first of all; of
 * JUDGE only the id is filled. */
int spool_next_intake(struct spool *s, enum intake_step step,
    const struct intake_errand *after, struct arena *a,
    struct intake_errand *out, struct err *e);

/* -- what was counted ------------------------------------------------------ */

/* A report about a recipient of one of our messages, or the report itself. */
struct intake_mark {
	struct msgid id; /* our message */
	uint32_t     what;
};
uint32_t intake_mark_recipient(unsigned n, enum intake_kind k);
uint32_t intake_mark_report(struct bytes message_id); /* of the report */
/* How often it was marked, and when last. */
int spool_read_mark(struct spool *s, const struct intake_mark *m,
    unsigned *count, struct wall *last, struct err *e);

struct intake_end {
	struct msgid		    id;
	enum intake_kind	    kind;
	enum intake_result	    result;
	const struct intake_mark   *marks;
	size_t			    mark_count;
	const struct intake_errand *errands;
	size_t			    errand_count;
};

/*
 * On the writer (change.also): it is to be judged once more, as if it had come
 * now; what was counted stays counted.  1, 0 = it has gone, or a step of it is
 * not done yet, -1
 */
int spool_judge_again(struct spool_txn *t, const struct msgid *id,
    struct err *e);

void spool_keep_raw(struct spool *s, int64_t ms); /* intake.keep_raw */

#endif
