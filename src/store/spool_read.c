/* SPDX-License-Identifier: ISC */
/*
 * Single rows and slices of content, each in one short transaction: what is
 * found is copied out before it ends.
 */
#include "store/spool_private.h"

#include <string.h>

enum { WARM_PIECES = 256 };

/* -- rows ------------------------------------------------------------------ */

/* The value copied into the arena: 1, 0, -1. */
static int
spool_copy_row(struct spool *s, enum spool_table table, struct bytes key,
    struct arena *a, struct bytes *out, struct err *e)
{
	struct db_txn *t = db_read(s->db, e);
	struct bytes   value;
	int	       rc;

	if (t == NULL)
		return -1;
	rc = db_get(t, table, key, &value, e);
	if (rc == 1) {
		*out = arena_bytes(a, value);
		if (out->p == NULL)
			rc = err_set(e, "spool: no memory for a row");
	}
	db_end(t);
	return rc;
}

int
spool_read_recipient(struct spool *s, const struct msgid *id, unsigned n,
    struct arena *a, struct recipient_row *out, struct err *e)
{
	struct record_key k;
	struct bytes	  value;
	int		  rc;

	rc = spool_copy_row(s, SPOOL_RECIPIENT,
	    record_key_numbered(&k, id, n), a, &value, e);
	if (rc <= 0)
		return rc;
	out->id = *id;
	out->n = n;
	if (!record_read_recipient(value, out))
		return err_set(e, "spool: damaged recipient row");
	return 1;
}

int
spool_read_message(struct spool *s, const struct msgid *id, struct arena *a,
    struct message_row *out, struct err *e)
{
	struct bytes value;
	int	     rc;

	rc = spool_copy_row(s, SPOOL_MESSAGE, record_key_id(id), a, &value,
	    e);
	if (rc <= 0)
		return rc;
	out->id = *id;
	if (!record_read_message(value, out))
		return err_set(e, "spool: damaged message row");
	return 1;
}

/* Pieces of one id, from the first number to before the end. */
struct pieces {
	const struct msgid *id;
	uint32_t	    first, end;
};

static int
pieces_read(struct db_txn *t, enum spool_table table, const struct pieces *p,
    struct buf *out, struct err *e)
{
	struct db_cursor *c = db_cursor(t, table, e);
	struct record_key k;
	struct bytes	  key, value;
	struct msgid	  id;
	uint32_t	  piece;
	int		  rc;

	if (c == NULL)
		return -1;
	rc = db_seek(c, record_key_numbered(&k, p->id, p->first), &key,
	    &value, e);
	while (rc == 1 && bytes_starts(key, record_key_id(p->id)) &&
	    record_split_numbered(key, &id, &piece) && piece < p->end) {
		buf_add_bytes(out, value);
		rc = db_next(c, &key, &value, e);
	}
	db_cursor_close(c);
	return rc < 0 ? -1 : 0;
}

static int
pieces_copy(struct db_txn *t, enum spool_table table, const struct pieces *p,
    struct arena *a, struct bytes *out, struct err *e)
{
	struct buf whole;
	int	   rc;

	buf_init(&whole, SIZE_MAX / 2);
	rc = pieces_read(t, table, p, &whole, e);
	if (rc >= 0 && (rc = whole.n > 0) == 1) {
		*out = arena_bytes(a, buf_bytes(&whole));
		if (whole.failed || out->p == NULL)
			rc = err_set(e, "spool: no memory for a record");
	}
	buf_wipe(&whole);
	return rc;
}

int
spool_copy_paged(struct db_txn *t, enum spool_table table,
    const struct msgid *id, struct arena *a, struct bytes *out,
    struct err *e)
{
	struct pieces p = { id, 0, RETURN_PIECE_FIRST };

	return pieces_copy(t, table, &p, a, out, e);
}

int
spool_read_departure(struct spool *s, const struct msgid *id, unsigned n,
    struct departure *out, struct err *e)
{
	struct db_txn	 *t = db_read(s->db, e);
	struct record_key k;
	struct bytes	  value;
	int		  rc;

	if (t == NULL)
		return -1;
	rc = db_get(t, SPOOL_MARK, record_key_departure(&k, id, n), &value,
	    e);
	if (rc == 1 && !record_read_departure(value, out))
		rc = err_set(e, "spool: damaged departure");
	db_end(t);
	return rc;
}

int
spool_read_returned(struct spool *s, const struct msgid *id, struct arena *a,
    struct bytes *out, struct err *e)
{
	struct pieces  p = { id, RETURN_PIECE_FIRST, UINT32_MAX };
	struct db_txn *t = db_read(s->db, e);
	int	       rc;

	if (t == NULL)
		return -1;
	rc = pieces_copy(t, SPOOL_SNAPSHOT, &p, a, out, e);
	db_end(t);
	return rc;
}

static int
spool_get_mail(struct spool *s, const struct msgid *id, bool has_snapshot,
    struct arena *a, struct mail_row *out, struct err *e)
{
	struct db_txn *t = db_read(s->db, e);
	struct bytes   value, snapshot = { "", 0 };
	int	       rc;

	if (t == NULL)
		return -1;
	rc = spool_copy_paged(t, SPOOL_MAIL, id, a, &value, e);
	if (rc == 1 && has_snapshot && spool_copy_paged(t, SPOOL_SNAPSHOT,
		id, a, &snapshot, e) < 0)
		rc = -1;
	db_end(t);
	if (rc <= 0)
		return rc;
	memset(out, 0, sizeof(*out));
	out->id = *id;
	if (!record_read_mail(value, a, out))
		return err_set(e, "spool: damaged mail row");
	out->snapshot = snapshot;
	return 1;
}

int
spool_read_mail(struct spool *s, const struct msgid *id, struct arena *a,
    struct mail_row *out, struct err *e)
{
	return spool_get_mail(s, id, true, a, out, e);
}

int
spool_read_facts(struct spool *s, const struct msgid *id, struct arena *a,
    struct mail_row *out, struct err *e)
{
	return spool_get_mail(s, id, false, a, out, e);
}

/* -- content --------------------------------------------------------------- */

/* The piece that holds an offset of head and body, and where in it. */
static uint32_t
content_piece(const struct message_row *m, uint64_t offset, size_t *skip)
{
	uint32_t first = 0;

	if (offset >= m->head_octets) {
		offset -= m->head_octets;
		first = BODY_PIECE_FIRST;
	}
	*skip = (size_t)(offset % CONTENT_PIECE);
	return first + (uint32_t)(offset / CONTENT_PIECE);
}

/* What the piece at hand must be long, so that no octet can be missing. */
static size_t
piece_length(const struct message_row *m, uint32_t piece)
{
	uint64_t whole = m->head_octets, at;

	if (piece >= BODY_PIECE_FIRST) {
		piece -= BODY_PIECE_FIRST;
		whole = m->body_octets;
	}
	at = (uint64_t)piece * CONTENT_PIECE;
	return whole - at < CONTENT_PIECE ? (size_t)(whole - at) :
	    CONTENT_PIECE;
}

/* Pieces follow each other in the table as they do in the message. */
static int
content_copy(struct db_cursor *c, const struct message_row *m,
    uint64_t offset, char *buf, size_t size, struct err *e)
{
	struct record_key k;
	struct bytes	  key, value;
	uint64_t	  content;
	uint32_t	  want, piece;
	size_t		  done = 0, skip;
	int		  rc;

	want = content_piece(m, offset, &skip);
	rc = db_seek(c, record_key_chunk(&k, m->content, want), &key, &value,
	    e);
	while (rc == 1) {
		if (!record_split_chunk(key, &content, &piece) ||
		    content != m->content || piece != want ||
		    value.n != piece_length(m, piece))
			break;
		value = bytes_head(bytes_from(value, skip), size - done);
		memcpy(buf + done, value.p, value.n);
		done += value.n;
		if (done == size)
			return 0;
		want = content_piece(m, offset + done, &skip);
		rc = db_next(c, &key, &value, e);
	}
	return rc < 0 ? -1 : err_set(e, "spool: content has a gap");
}

ptrdiff_t
spool_read_content(struct spool *s, const struct message_row *m,
    uint64_t offset, char *buf, size_t size, struct err *e)
{
	uint64_t	  whole = m->head_octets + m->body_octets;
	struct db_txn	 *t;
	struct db_cursor *c;
	int		  rc = -1;

	if (offset >= whole || size == 0)
		return 0;
	if (size > whole - offset)
		size = (size_t)(whole - offset);
	t = db_read(s->db, e);
	if (t == NULL)
		return -1;
	c = db_cursor(t, SPOOL_CHUNK, e);
	if (c != NULL)
		rc = content_copy(c, m, offset, buf, size, e);
	db_cursor_close(c);
	db_end(t);
	return rc < 0 ? -1 : (ptrdiff_t)size;
}

/* A window of pieces in one transaction; *next = where to go on, 0 = end. */
static bool
content_warm(struct spool *s, uint64_t content, uint32_t *next)
{
	struct db_txn	 *t;
	struct db_cursor *c;
	struct record_key k;
	struct bytes	  key, value;
	uint64_t	  found;
	uint32_t	  piece;
	unsigned	  n;
	struct err	  e;
	int		  rc = -1;

	t = db_read(s->db, &e);
	if (t == NULL)
		return false;
	c = db_cursor(t, SPOOL_CHUNK, &e);
	if (c != NULL)
		rc = db_seek(c, record_key_chunk(&k, content, *next), &key,
		    &value, &e);
	for (n = 0; rc == 1 && n < WARM_PIECES; n++) {
		if (!record_split_chunk(key, &found, &piece) ||
		    found != content) {
			rc = 0;
			break;
		}
		if (value.n > 0)
			(void)*(const volatile char *)value.p;
		*next = piece + 1;
		rc = db_next(c, &key, &value, &e);
	}
	db_cursor_close(c);
	db_end(t);
	return rc == 1;
}

void
spool_warm(struct spool *s, uint64_t content)
{
	uint32_t next = 0;

	while (content_warm(s, content, &next))
		continue;
}

/* -- cursors and the beginning of events ----------------------------------- */

uint64_t
spool_cursor(struct spool *s, const char *name)
{
	struct err     e;
	struct db_txn *t = db_read(s->db, &e);
	struct bytes   value;
	uint64_t       at = 0;

	if (t == NULL)
		return 0;
	if (db_get(t, SPOOL_CURSOR, bytes_of(name), &value, &e) == 1 &&
	    value.n == 8)
		at = db_get_be64(value.p);
	db_end(t);
	return at;
}

int
spool_each_cursor(struct spool *s, const char *prefix,
    void (*fn)(void *arg, struct bytes name, uint64_t at), void *arg,
    struct err *e)
{
	struct db_txn	 *t = db_read(s->db, e);
	struct db_cursor *c;
	struct bytes	  key, value;
	int		  rc;

	if (t == NULL)
		return -1;
	c = db_cursor(t, SPOOL_CURSOR, e);
	rc = c == NULL ? -1 : db_seek(c, bytes_of(prefix), &key, &value, e);
	while (rc == 1 && bytes_starts(key, bytes_of(prefix))) {
		if (value.n == 8)
			fn(arg, key, db_get_be64(value.p));
		rc = db_next(c, &key, &value, e);
	}
	if (c != NULL)
		db_cursor_close(c);
	db_end(t);
	return rc < 0 ? -1 : 0;
}

/* Sequence of the first event at or after a key; 0 = none. */
static uint64_t
event_at(struct db_cursor *c, uint64_t from, struct wall *committed)
{
	struct record_key k;
	struct event_head head;
	struct bytes	  key, value;
	struct err	  e;

	if (db_seek(c, record_key_number(&k, from), &key, &value, &e) != 1 ||
	    key.n != 8 || !record_read_event_head(value, &head))
		return 0;
	*committed = head.committed;
	return db_get_be64(key.p);
}

/* Commit times never run back along the sequence: halve the range. */
static uint64_t
event_search(struct db_cursor *c, uint64_t first, uint64_t end,
    struct wall since)
{
	struct wall at;
	uint64_t    middle, found;

	while (first < end) {
		middle = first + (end - first) / 2;
		found = event_at(c, middle, &at);
		if (found == 0 || found >= end || at.ms >= since.ms)
			end = middle;
		else
			first = found + 1;
	}
	return first;
}

uint64_t
spool_first_event_since(struct spool *s, struct wall since)
{
	struct err	  e;
	struct db_txn	 *t = db_read(s->db, &e);
	struct db_cursor *c;
	struct bytes	  key, value;
	struct wall	  at;
	uint64_t	  first, sequence = 0;

	if (t == NULL)
		return 0;
	c = db_cursor(t, SPOOL_EVENT, &e);
	if (c != NULL && (first = event_at(c, 0, &at)) != 0 &&
	    db_last(c, &key, &value, &e) == 1 && key.n == 8)
		sequence = event_search(c, first, db_get_be64(key.p) + 1,
		    since);
	db_cursor_close(c);
	db_end(t);
	return sequence;
}
