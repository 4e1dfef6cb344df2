/* SPDX-License-Identifier: ISC */
/*
 * What has to go: big contents after their last envelope, and rows that have
 * passed their keeping time, in portions of one small transaction each, so
 * that nobody waits long behind one.
 */
#include "store/spool_private.h"

#include <string.h>

#include "base/failpoint.h"

enum {
	PORTION_ROWS = 1000,
	PORTION_PIECES = 1000,
	SHOWN_ARENA = 1 << 20,
	MINUTE_MS = 60000,
	DAY_MS = 86400000,
	DAY_MINUTES = 1440
};
/* An event that no reader has fetched by then is not waited for. */
static const int64_t event_keep_max_ms = INT64_C(36) * 3600 * 1000;

/* -- contents -------------------------------------------------------------- */

/* The cursor of a transaction, open until its end. */
static int
spool_open_chunks(struct spool_txn *t, struct err *e)
{
	if (t->chunks == NULL)
		t->chunks = db_cursor(t->db, SPOOL_CHUNK, e);
	return t->chunks == NULL ? -1 : 0;
}

int
spool_remove_pieces(struct spool_txn *t, uint64_t content, size_t *budget,
    struct err *e)
{
	struct record_key k;
	struct bytes	  key, value;
	uint64_t	  found;
	uint32_t	  piece;
	int		  rc;

	if (spool_open_chunks(t, e) < 0)
		return -1;
	rc = db_seek(t->chunks, record_key_chunk(&k, content, 0), &key,
	    &value, e);
	while (rc == 1) {
		if (!record_split_chunk(key, &found, &piece))
			return err_set(e, "spool: damaged chunk key");
		if (found != content)
			return 1;
		if (*budget == 0)
			return 0;
		--*budget;
		t->spool->freed_since += CONTENT_PIECE;
		if (db_cursor_delete(t->chunks, e) < 0)
			return -1;
		rc = db_next(t->chunks, &key, &value, e);
	}
	return rc < 0 ? -1 : 1;
}

int
spool_leave_to_sweep(struct spool_txn *t, uint64_t content, struct err *e)
{
	struct record_key k;

	t->spool->has_swept = true;
	return db_put(t->db, SPOOL_SWEPT, record_key_number(&k, content),
	    BYTES(""), true, e);
}

int
spool_remove_content(struct spool_txn *t, uint64_t content, size_t pieces,
    struct err *e)
{
	size_t budget = REMOVE_PIECES_MESSAGE;

	if (pieces > REMOVE_PIECES_MESSAGE ||
	    t->pieces_removed + pieces > REMOVE_PIECES_BATCH)
		return spool_leave_to_sweep(t, content, e);
	t->pieces_removed += pieces;
	return spool_remove_pieces(t, content, &budget, e) < 0 ? -1 : 0;
}

/* The first content of the table; its row goes when nothing is left. */
static int
spool_sweep_contents(struct spool_txn *t, struct err *e)
{
	struct record_key k;
	struct db_cursor *c;
	struct bytes	  key, value;
	uint64_t	  content = 0;
	size_t		  budget = PORTION_PIECES;
	int		  rc;

	while (budget > 0) {
		c = db_cursor(t->db, SPOOL_SWEPT, e);
		if (c == NULL)
			return -1;
		rc = db_seek(c, BYTES(""), &key, &value, e);
		if (rc == 1 && key.n != 8)
			rc = err_set(e, "spool: damaged row of the sweep");
		if (rc == 1)
			content = db_get_be64(key.p);
		db_cursor_close(c);
		if (rc == 0)
			t->spool->has_swept = false;
		if (rc <= 0)
			return rc;
		failpoint("sweep.content");
		rc = spool_remove_pieces(t, content, &budget, e);
		failpoint("sweep.pieces");
		if (rc == 1)
			rc = db_delete(t->db, SPOOL_SWEPT,
			    record_key_number(&k, content), e);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* -- rows by age ----------------------------------------------------------- */

static void
sweep_remember(struct spool *s, struct bytes key)
{
	memcpy(s->sweep_at.p, key.p, key.n);
	s->sweep_at.n = key.n;
}

/* Is the message still in the queue? */
static int
spool_is_queued(struct spool_txn *t, const struct msgid *id, struct err *e)
{
	struct bytes unused;

	return db_get(t->db, SPOOL_MESSAGE, record_key_id(id), &unused, e);
}

/* Recipients whose end is in the history; -1. */
static int64_t
spool_count_ended(struct spool_txn *t, const struct msgid *id,
    struct arena *a, struct err *e)
{
	struct db_cursor *c = db_cursor(t->db, SPOOL_HISTORY, e);
	struct record_key k;
	struct bytes	  key, value;
	struct event	  ev;
	int64_t		  n = 0;
	int		  rc;

	if (c == NULL)
		return -1;
	rc = db_seek(c, record_key_numbered(&k, id, 0), &key, &value, e);
	while (rc == 1 && bytes_starts(key, record_key_id(id))) {
		if (!record_read_event(value, a, &ev)) {
			rc = err_set(e, "spool: damaged history row");
			break;
		}
		if (ev.type == EVENT_DELIVERY || ev.type == EVENT_BOUNCE)
			n += (int64_t)ev.recipient_count;
		rc = db_next(c, &key, &value, e);
	}
	db_cursor_close(c);
	return rc < 0 ? -1 : n;
}

/*
 * May an event of it still be shown?  While it is in the queue, and until the
 * ends of all its recipients have left the tail.  An end that was never told
 * (queue delete) is waited for as long as the message could have lived.
 */
static int
spool_is_shown(struct spool_txn *t, const struct msgid *id, struct err *e)
{
	struct arena   *a;
	struct mail_row m;
	struct bytes	value;
	int64_t		ended;
	int		rc = spool_is_queued(t, id, e);

	if (rc != 0)
		return rc;
	a = arena_new(SHOWN_ARENA);
	rc = spool_copy_paged(t->db, SPOOL_MAIL, id, a, &value, e);
	if (rc == 1 && !record_read_mail(value, a, &m))
		rc = err_set(e, "spool: damaged mail row");
	if (rc == 1 && (m.system || t->now.ms - m.expires.ms >
		atomic_load(&t->spool->tail_keep_ms)))
		rc = 0;
	if (rc == 1) {
		ended = spool_count_ended(t, id, a, e);
		rc = ended < 0 ? -1 : ended < (int64_t)m.recipient_count;
	}
	arena_free(a);
	return rc;
}

/*
 * Rows (id, piece) of messages accepted before limit, unless keeps() says
 * 1.  From s->sweep_at on; 1 = more to do.
 */
static int
spool_sweep_ids(struct spool_txn *t, enum spool_table table,
    struct wall limit, int (*keeps)(struct spool_txn *t,
	const struct msgid *id, struct err *e), struct err *e)
{
	struct spool	 *s = t->spool;
	struct db_cursor *c = db_cursor(t->db, table, e);
	struct bytes	  key, value;
	struct msgid	  id;
	uint32_t	  piece;
	size_t		  budget = PORTION_ROWS;
	int		  rc, is_kept;

	if (c == NULL)
		return -1;
	rc = db_seek(c, (struct bytes){ s->sweep_at.p, s->sweep_at.n }, &key,
	    &value, e);
	while (rc == 1 && budget-- > 0) {
		if (!record_split_numbered(key, &id, &piece)) {
			rc = err_set(e, "spool: damaged key");
			break;
		}
		if (msgid_time(&id).ms >= limit.ms) {
			rc = 0;
			break;
		}
		sweep_remember(s, key);
		is_kept = keeps(t, &id, e);
		if (is_kept < 0 ||
		    (is_kept == 0 && db_cursor_delete(c, e) < 0))
			rc = -1;
		else
			rc = db_next(c, &key, &value, e);
	}
	db_cursor_close(c);
	return rc;
}

/* The least sequence that all readers of events have passed. */
static int
spool_least_cursor(struct spool_txn *t, uint64_t *least, struct err *e)
{
	struct db_cursor *c = db_cursor(t->db, SPOOL_CURSOR, e);
	struct bytes	  key, value;
	int		  rc;

	if (c == NULL)
		return -1;
	*least = UINT64_MAX;
	rc = db_seek(c, BYTES(""), &key, &value, e);
	while (rc == 1) {
		if (value.n == 8 && db_get_be64(value.p) < *least)
			*least = db_get_be64(value.p);
		rc = db_next(c, &key, &value, e);
	}
	db_cursor_close(c);
	return rc;
}

/*
 * What became of a message is told as long as its record is there: the event
 * goes where it is found by the message.  Not the Send, which the record
 * tells; and not while room is short, for the sweep must always give some
 * back.
 */
static int
spool_keep_history(struct spool_txn *t, uint64_t sequence,
    const struct event_head *head, struct bytes value, struct err *e)
{
	struct spool	 *s = t->spool;
	struct record_key k;

	if (head->type == EVENT_SEND || s->room == 0)
		return 0;
	buf_clear(&s->row);
	if (!buf_add_bytes(&s->row, value))
		return err_set(e, "spool: no memory for an event");
	return db_put(t->db, SPOOL_HISTORY,
	    record_key_numbered(&k, &head->message,
		(uint32_t)(sequence & INT32_MAX)),
	    buf_bytes(&s->row), false, e);
}

static int
spool_sweep_events(struct spool_txn *t, int64_t keep_ms, struct err *e)
{
	struct db_cursor *c;
	struct bytes	  key, value;
	struct event_head head;
	uint64_t	  passed;
	int64_t		  keep_max_ms = event_keep_max_ms, age;
	size_t		  budget = PORTION_ROWS;
	int		  rc;

	if (keep_max_ms < keep_ms)
		keep_max_ms = keep_ms;
	if (spool_least_cursor(t, &passed, e) < 0)
		return -1;
	c = db_cursor(t->db, SPOOL_EVENT, e);
	if (c == NULL)
		return -1;
	rc = db_seek(c, BYTES(""), &key, &value, e);
	while (rc == 1 && budget-- > 0) {
		if (key.n != 8 || !record_read_event_head(value, &head)) {
			rc = err_set(e, "spool: damaged event row");
			break;
		}
		age = t->now.ms - head.committed.ms;
		if (age < keep_ms ||
		    (db_get_be64(key.p) > passed && age < keep_max_ms)) {
			rc = 0;
			break;
		}
		failpoint("sweep.event");
		rc = spool_keep_history(t, db_get_be64(key.p), &head, value,
		    e);
		failpoint("sweep.history");
		if (rc == 0)
			rc = db_cursor_delete(c, e);
		if (rc == 0)
			rc = db_next(c, &key, &value, e);
	}
	db_cursor_close(c);
	return rc;
}

/* -- portions -------------------------------------------------------------- */

bool
spool_has_sweeping(const struct spool *s)
{
	return s->has_swept || s->sweep != SWEEP_IDLE;
}

/* 1 = this stage has more to do, 0 = it is done, -1. */
static int
spool_sweep_stage(struct spool_txn *t, struct err *e)
{
	struct spool *s = t->spool;
	int64_t	      index_ms = atomic_load(&s->index_keep_ms);
	int64_t	      tail_ms = atomic_load(&s->tail_keep_ms);

	switch (s->sweep) {
	case SWEEP_MAIL:
		failpoint("sweep.mails");
		return spool_sweep_ids(t, SPOOL_MAIL,
		    (struct wall){ t->now.ms - index_ms }, spool_is_queued,
		    e);
	case SWEEP_HISTORY:
		failpoint("sweep.histories");
		return spool_sweep_ids(t, SPOOL_HISTORY,
		    (struct wall){ t->now.ms - index_ms }, spool_is_queued,
		    e);
	case SWEEP_SNAPSHOT:
		failpoint("sweep.snapshots");
		return spool_sweep_ids(t, SPOOL_SNAPSHOT,
		    (struct wall){ t->now.ms - tail_ms }, spool_is_shown, e);
	case SWEEP_EVENT:
		failpoint("sweep.events");
		return spool_sweep_events(t, tail_ms, e);
	case SWEEP_INTAKE:
		failpoint("sweep.intakes");
		return spool_sweep_intake(t, PORTION_ROWS, e);
	case SWEEP_MARK:
		failpoint("sweep.marks");
		return spool_sweep_ids(t, SPOOL_MARK,
		    (struct wall){ t->now.ms - index_ms }, spool_is_queued,
		    e);
	case SWEEP_CLIENT_ID:
		failpoint("sweep.client-ids");
		return spool_sweep_ids(t, SPOOL_CLIENT_ID,
		    (struct wall){ t->now.ms - index_ms - DAY_MS },
		    spool_is_queued, e);
	case SWEEP_COUNTER:
		failpoint("sweep.counters");
		return spool_sweep_counters(t,
		    t->now.ms / MINUTE_MS - DAY_MINUTES, PORTION_ROWS, e);
	case SWEEP_IDLE:
		break;
	}
	return 0;
}

static void
spool_sweep_advance(struct spool *s)
{
	s->sweep_at.n = 0;
	if (s->sweep != SWEEP_COUNTER) {
		s->sweep++;
		return;
	}
	s->sweep = s->sweep_again ? SWEEP_MAIL : SWEEP_IDLE;
	s->sweep_again = false;
}

/* Without space it gives up until the next minute; so does a lost portion. */
static void
spool_sweep_failed(struct spool *s, const struct err *e)
{
	s->sweep = SWEEP_IDLE;
	s->sweep_again = false;
	s->sweep_at.n = 0;
	s->has_swept = false;
	if (e->code != DB_FULL)
		spool_go_down(s, e);
}

void
spool_sweep_portion(struct spool *s)
{
	struct spool_txn t;
	struct err	 e;
	bool		 had_swept = s->has_swept;
	int		 rc = 0;

	if (spool_begin(s, &t, &e) < 0) {
		spool_sweep_failed(s, &e);
		return;
	}
	if (had_swept)
		rc = spool_sweep_contents(&t, &e);
	else
		rc = spool_sweep_stage(&t, &e);
	if (rc < 0) {
		spool_abort(&t);
		spool_sweep_failed(s, &e);
		return;
	}
	failpoint("sweep.before");
	if (spool_commit(&t, &e) < 0) {
		spool_sweep_failed(s, &e);
		return;
	}
	failpoint("sweep.after");
	if (!had_swept && rc == 0)
		spool_sweep_advance(s);
}
