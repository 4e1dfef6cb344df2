/* SPDX-License-Identifier: ISC */
/*
 * record.h - the stored form of every row of spool/: keys and values.
 *
 * Use:    record_write_recipient(&row, &buf); record_read_recipient(b, &row).
 * Owner:  what is read lends its bytes from the value it was read from (copy
 *         that one first when it has to live on); arrays are the arena's.
 * Thread: any; nothing is kept.
 * Fails:  write: false = buf has no more room.  read: false = damaged, or no
 *         room in the arena; a damaged value never leads outside of it.
 * Ids and numbers that stand in the key are not in the value; the reader
 * does not touch them.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mail/event.h"
#include "mail/msgid.h"
#include "store/spool.h"
#include "store/spool_intake.h"

/* -- keys: big-endian, so that they lie in the order of their parts ------ */
enum {
	KEY_ID_SIZE = 22,
	KEY_RECIPIENT_SIZE = 26, /* id, number */
	KEY_DUE_SIZE = 34,	 /* time, id, number */
	KEY_CHUNK_SIZE = 12,	 /* content id, piece */
	KEY_SIZE_MAX = 256
};
struct record_key {
	size_t n;
	char   p[KEY_SIZE_MAX];
};
struct bytes record_key_id(const struct msgid *id);
/* Rows of one id: recipients, pieces of its record and of its snapshot. */
struct bytes record_key_numbered(struct record_key *k, const struct msgid *id,
    uint32_t n);
struct bytes record_key_due(struct record_key *k, const struct due_key *d);
struct bytes record_key_chunk(struct record_key *k, uint64_t content,
    uint32_t piece);
struct bytes record_key_number(struct record_key *k, uint64_t n);
/* scope, 0, minute */
struct bytes record_key_counter(struct record_key *k, struct bytes scope,
    int64_t minute);
bool record_split_numbered(struct bytes key, struct msgid *id, uint32_t *n);
bool record_split_due(struct bytes key, struct due_key *d);
bool record_split_chunk(struct bytes key, uint64_t *content, uint32_t *piece);
bool record_split_counter(struct bytes key, struct bytes *scope,
    int64_t *minute);

/* -- values -------------------------------------------------------------- */
bool record_write_message(const struct message_row *r, struct buf *out);
bool record_read_message(struct bytes in, struct message_row *out);

bool record_write_recipient(const struct recipient_row *r, struct buf *out);
bool record_read_recipient(struct bytes in, struct recipient_row *out);

/* The snapshot is a row of its own. */
bool record_write_mail(const struct mail_row *r, struct buf *out);
bool record_read_mail(struct bytes in, struct arena *a, struct mail_row *out);

/* Value of due and held rows: what an arrival tells beside the key. */
struct due_row {
	char	     account[ACCOUNT_ID_SIZE];
	struct bytes domain;
	uint64_t     size;
	uint8_t	     tls_policy, held_by;
	bool	     system, simulator;
	bool	     suppressed; /* at acceptance */
	struct config_set_id config_set;
	struct bytes pool; /* that its set named then; "" = none */
};
bool record_write_due(const struct due_row *r, struct buf *out);
bool record_read_due(struct bytes in, struct due_row *out);

/* committed: when the writer laid it down; never runs back. */
bool record_write_event(const struct event *ev, struct wall committed,
    struct buf *out);
bool record_read_event(struct bytes in, struct arena *a, struct event *out);
/* What stands in front: when, what, of which message. */
struct event_head {
	struct wall	committed;
	enum event_type type;
	struct msgid	message;
};
bool record_read_event_head(struct bytes in, struct event_head *out);

/* Mail that came back; its id stands in the key. */
bool record_write_intake(const struct intake_row *r, struct buf *out);
bool record_read_intake(struct bytes in, struct arena *a,
    struct intake_row *out);
/* What has to be done with it: step, id, number -> who gets a copy. */
struct bytes record_key_step(struct record_key *k, enum intake_step step,
    const struct msgid *id, uint32_t n);
bool record_split_step(struct bytes key, enum intake_step *step,
    struct msgid *id, uint32_t *n);
bool record_write_errand(const struct intake_errand *x, struct buf *out);
bool record_read_errand(struct bytes in, struct intake_errand *out);
/* How often something was counted, and when last. */
struct mark_row {
	uint32_t    count;
	struct wall last;
};
bool record_write_mark(const struct mark_row *r, struct buf *out);
bool record_read_mark(struct bytes in, struct mark_row *out);
/* How a message left for a recipient, among the marks. */
struct bytes record_key_departure(struct record_key *k,
    const struct msgid *id, unsigned n);
bool record_write_departure(const struct departure *d, struct buf *out);
bool record_read_departure(struct bytes in, struct departure *out);

/* A row of counters of one scope: all minutes from floor on are in sum. */
struct counter_row {
	int64_t floor, newest, sum;
};
bool record_write_counter(const struct counter_row *r, struct buf *out);
bool record_read_counter(struct bytes in, struct counter_row *out);
/* Of one minute. */
bool record_read_count(struct bytes in, int64_t *out);

/* One row of meta that every commit renews. */
struct state_row {
	uint64_t messages, recipients, held, deferred, bytes;
	uint64_t sequence;  /* of the last event */
	uint64_t content;   /* last content id given */
	int64_t	 committed; /* ms; of the last event row */
	uint64_t redo;	    /* number of the last transaction that went into
			       the redo log, or was to */
	uint64_t intake_bytes; /* raw mail that came back */
};
bool record_write_state(const struct state_row *r, struct buf *out);
bool record_read_state(struct bytes in, struct state_row *out);

#endif
