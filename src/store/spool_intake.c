/* SPDX-License-Identifier: ISC */
/*
 * Mail that came back.  A raw message has its record, its content and a step
 * JUDGE; the verdict takes that away and may leave steps FORWARD, one for each
 * who gets a copy.  Without a step it is done, and goes after its time.
 */
#include "store/spool_intake.h"

#include <string.h>

#include "base/failpoint.h"
#include "net/spf_result.h"
#include "store/spool_private.h"

enum {
	SHARE = 8, /* of the map, for all raw messages */
	EVICT_MAX = 16,
	SCAN_MAX = 1000,
	ROW_ARENA = 256 * 1024
};

const char *
intake_kind_to_text(enum intake_kind k)
{
	static const char *const names[] = { "dsn", "arf", "unsubscribe",
		"autoreply", "unknown" };

	must((size_t)k < sizeof(names) / sizeof(names[0]));
	return names[k];
}

const char *
intake_result_to_text(enum intake_result r)
{
	static const char *const names[] = { "event", "ignored", "duplicate",
		"unmatched", "error", "waiting" };

	must((size_t)r < sizeof(names) / sizeof(names[0]));
	return names[r];
}

bool
intake_is_authenticated(const struct intake_row *r)
{
	return r->spf == SPF_OUTCOME_PASS + 1;
}

const char *
intake_spf_to_text(const struct intake_row *r)
{
	return r->spf == 0 ? "-" :
	    spf_result_to_text((enum spf_result)(r->spf - 1));
}

uint32_t
intake_mark_recipient(unsigned n, enum intake_kind k)
{
	must(n <= MSGID_RECIPIENT_MAX);
	return n | (uint32_t)k << 24;
}

/* FNV-1a; in the half of the numbers that recipients do not have. */
uint32_t
intake_mark_report(struct bytes message_id)
{
	uint32_t h = 2166136261u;
	size_t	 i;

	for (i = 0; i < message_id.n; i++)
		h = (h ^ (unsigned char)message_id.p[i]) * 16777619u;
	return h | 1u << 31;
}

void
spool_keep_raw(struct spool *s, int64_t ms)
{
	atomic_store(&s->raw_keep_ms, ms);
}

/* -- on the writer: steps -------------------------------------------------- */

static int
spool_put_step(struct spool_txn *t, enum intake_step step,
    const struct intake_errand *x, struct err *e)
{
	struct spool	 *s = t->spool;
	struct record_key k;

	buf_clear(&s->row);
	if (step == INTAKE_FORWARD && !record_write_errand(x, &s->row))
		return err_set(e, "spool: no memory for an errand");
	return db_put(t->db, SPOOL_STEP,
	    record_key_step(&k, step, &x->id, x->n), buf_bytes(&s->row),
	    false, e);
}

/* Has anything still to be done with it?  1, 0, -1 */
static int
spool_has_step(struct spool_txn *t, const struct msgid *id, struct err *e)
{
	struct db_cursor *c;
	struct record_key k;
	struct bytes	  key, value, from;
	int		  rc;

	rc = db_get(t->db, SPOOL_STEP,
	    record_key_step(&k, INTAKE_JUDGE, id, 0), &value, e);
	if (rc != 0)
		return rc;
	c = db_cursor(t->db, SPOOL_STEP, e);
	if (c == NULL)
		return -1;
	from = record_key_step(&k, INTAKE_FORWARD, id, 0);
	rc = db_seek(c, from, &key, &value, e);
	if (rc == 1)
		rc = bytes_starts(key, bytes_head(from, 1 + KEY_ID_SIZE));
	db_cursor_close(c);
	return rc;
}

int
spool_write_errand_done(struct spool_txn *t, const struct intake_errand *x,
    struct err *e)
{
	struct record_key k;

	failpoint("intake.errand");
	return db_delete(t->db, SPOOL_STEP,
	    record_key_step(&k, INTAKE_FORWARD, &x->id, x->n), e) < 0 ? -1 :
	    0;
}

/* -- on the writer: room --------------------------------------------------- */

static int
spool_get_intake(struct spool_txn *t, const struct msgid *id,
    struct arena *a, struct intake_row *r, struct err *e)
{
	struct bytes value;
	int	     rc;

	rc = spool_copy_paged(t->db, SPOOL_INTAKE, id, a, &value, e);
	if (rc <= 0)
		return rc;
	r->id = *id;
	return record_read_intake(value, a, r) ? 1 :
	    err_set(e, "spool: damaged row of the intake");
}

/* Record and content of a message of which nothing has to be done. */
static int
spool_remove_intake(struct spool_txn *t, const struct msgid *id,
    struct err *e)
{
	struct spool	 *s = t->spool;
	struct arena	 *a = arena_new(ROW_ARENA);
	struct intake_row r;
	struct record_key k;
	uint64_t	  octets = 0;
	uint32_t	  piece;
	int		  rc = spool_get_intake(t, id, a, &r, e);

	if (rc == 0) /* it has a key: the sweep would meet it for ever */
		rc = err_set(e, "spool: damaged row of the intake");
	for (piece = 0; rc == 1; piece++)
		rc = db_delete(t->db, SPOOL_INTAKE,
		    record_key_numbered(&k, id, piece), e);
	if (rc == 0 && piece > 0) {
		octets = r.head_octets + r.body_octets;
		rc = spool_remove_content(t, r.content,
		    spool_pieces(r.head_octets) + spool_pieces(r.body_octets),
		    e);
	}
	arena_free(a);
	s->draft.intake_bytes -= octets < s->draft.intake_bytes ? octets :
	    s->draft.intake_bytes;
	return rc;
}

/* The oldest one: 1 = *id, 0 = none. */
static int
spool_oldest_intake(struct spool_txn *t, struct msgid *id, struct err *e)
{
	struct db_cursor *c = db_cursor(t->db, SPOOL_INTAKE, e);
	struct bytes	  key, value;
	uint32_t	  piece;
	int		  rc;

	if (c == NULL)
		return -1;
	rc = db_seek(c, BYTES(""), &key, &value, e);
	if (rc == 1 && !record_split_numbered(key, id, &piece))
		rc = err_set(e, "spool: damaged key");
	db_cursor_close(c);
	return rc;
}

/* Removes the oldest one if it is done and, but for want of room, its time
 * over: 1, 0 = nothing to remove, -1. */
static int
spool_evict_intake(struct spool_txn *t, int64_t before_ms, struct err *e)
{
	struct msgid id;
	int	     rc = spool_oldest_intake(t, &id, e);

	if (rc <= 0 || msgid_time(&id).ms >= before_ms)
		return rc < 0 ? -1 : 0;
	rc = spool_has_step(t, &id, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	failpoint("intake.evict");
	return spool_remove_intake(t, &id, e) < 0 ? -1 : 1;
}

int
spool_make_intake_room(struct spool_txn *t, const struct message *m,
    struct err *e)
{
	struct spool *s = t->spool;
	uint64_t      max = s->map_bytes / SHARE, octets = message_octets(m);
	unsigned      n;
	int	      rc = 1;

	for (n = 0; rc == 1 && n < EVICT_MAX &&
	     s->draft.intake_bytes + octets > max / 2; n++)
		rc = spool_evict_intake(t, INT64_MAX, e);
	if (rc < 0)
		return -1;
	return s->draft.intake_bytes + octets <= max;
}

/* What stands before one that is not done waits for it: seldom, and not long,
 * as an errand is given up after a day. */
int
spool_sweep_intake(struct spool_txn *t, size_t budget, struct err *e)
{
	int64_t before = t->now.ms - atomic_load(&t->spool->raw_keep_ms);
	int	rc = 1;

	for (budget /= 10; rc == 1 && budget > 0; budget--)
		rc = spool_evict_intake(t, before, e);
	return rc;
}

/* -- on the writer: what came, and what it was ----------------------------- */

int
spool_write_intake(struct spool_txn *t, const struct message *m,
    struct err *e)
{
	struct spool	    *s = t->spool;
	struct intake_row    r = { .id = m->id, .kind = INTAKE_UNKNOWN,
		.result = INTAKE_WAITS, .received = m->accepted,
		.spf = m->spf,
		.head_octets = m->head.n, .body_octets = m->body_octets,
		.sid = m->sid, .client_ip = m->client_ip, .ehlo = m->ehlo,
		.listener = m->listener, .tls_version = m->tls_version,
		.sender = m->sender, .recipient_count = m->envelope_count };
	struct intake_errand x = { .id = m->id };
	unsigned	     i;

	failpoint("intake.begin");
	if (spool_write_content(t, m, &r.content, e) < 0)
		return -1;
	failpoint("intake.content");
	r.recipients = mem_alloc((m->envelope_count + 1) *
	    sizeof(*r.recipients));
	for (i = 0; i < m->envelope_count; i++)
		r.recipients[i] = m->envelopes[i].address;
	buf_clear(&s->row);
	record_write_intake(&r, &s->row);
	mem_free(r.recipients);
	if (s->row.failed)
		return err_set(e, "spool: no memory for a record");
	if (spool_put_paged(t, SPOOL_INTAKE, &m->id, buf_bytes(&s->row), e) <
	    0)
		return -1;
	failpoint("intake.record");
	s->draft.intake_bytes += message_octets(m);
	s->has_intake = true;
	return spool_put_step(t, INTAKE_JUDGE, &x, e);
}

static int
spool_add_mark(struct spool_txn *t, const struct intake_mark *m,
    struct err *e)
{
	struct spool	 *s = t->spool;
	struct record_key k;
	struct bytes	  key = record_key_numbered(&k, &m->id, m->what);
	struct bytes	  value;
	struct mark_row	  row = { 0, { 0 } };
	int		  rc = db_get(t->db, SPOOL_MARK, key, &value, e);

	if (rc < 0)
		return -1;
	if (rc == 1 && !record_read_mark(value, &row))
		return err_set(e, "spool: damaged mark");
	if (row.count < UINT32_MAX)
		row.count++;
	row.last = t->now;
	buf_clear(&s->row);
	if (!record_write_mark(&row, &s->row))
		return err_set(e, "spool: no memory for a mark");
	return db_put(t->db, SPOOL_MARK, key, buf_bytes(&s->row), false, e);
}

/* Kind and result stand in the first piece, an octet each. */
static int
spool_put_verdict(struct spool_txn *t, const struct intake_end *v,
    struct err *e)
{
	struct spool	 *s = t->spool;
	struct record_key k;
	struct bytes	  key = record_key_numbered(&k, &v->id, 0), value;
	int		  rc = db_get(t->db, SPOOL_INTAKE, key, &value, e);

	if (rc <= 0)
		return rc;
	buf_clear(&s->old);
	if (value.n < 2 || !buf_add_bytes(&s->old, value))
		return err_set(e, "spool: damaged row of the intake");
	s->old.p[0] = (char)v->kind;
	s->old.p[1] = (char)v->result;
	return db_put(t->db, SPOOL_INTAKE, key, buf_bytes(&s->old), false, e);
}

int
spool_write_verdict(struct spool_txn *t, const struct intake_end *v,
    struct err *e)
{
	struct record_key k;
	size_t		  i;

	failpoint("intake.verdict");
	if (db_delete(t->db, SPOOL_STEP,
		record_key_step(&k, INTAKE_JUDGE, &v->id, 0), e) < 0 ||
	    spool_put_verdict(t, v, e) < 0)
		return -1;
	failpoint("intake.judged");
	for (i = 0; i < v->mark_count; i++)
		if (spool_add_mark(t, &v->marks[i], e) < 0)
			return -1;
	for (i = 0; i < v->errand_count; i++)
		if (spool_put_step(t, INTAKE_FORWARD, &v->errands[i], e) < 0)
			return -1;
	if (v->errand_count > 0)
		t->spool->has_intake = true;
	return 0;
}

int
spool_judge_again(struct spool_txn *t, const struct msgid *id, struct err *e)
{
	struct intake_end    v = { .id = *id, .kind = INTAKE_UNKNOWN,
		.result = INTAKE_WAITS };
	struct intake_errand x = { .id = *id };
	struct record_key    k;
	struct bytes	     value;
	int		     rc = spool_has_step(t, id, e);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	rc = db_get(t->db, SPOOL_INTAKE, record_key_numbered(&k, id, 0),
	    &value, e);
	if (rc <= 0)
		return rc;
	if (spool_put_verdict(t, &v, e) < 0 ||
	    spool_put_step(t, INTAKE_JUDGE, &x, e) < 0)
		return -1;
	t->spool->has_intake = true;
	return 1;
}

/* -- from any thread ------------------------------------------------------- */

int
spool_read_intake(struct spool *s, const struct msgid *id, struct arena *a,
    struct intake_row *out, struct err *e)
{
	struct spool_txn t = { .spool = s, .db = db_read(s->db, e) };
	int		 rc;

	if (t.db == NULL)
		return -1;
	rc = spool_get_intake(&t, id, a, out, e);
	db_end(t.db);
	return rc;
}

ptrdiff_t
spool_read_raw(struct spool *s, const struct intake_row *r, uint64_t offset,
    char *buf, size_t size, struct err *e)
{
	struct message_row m = { .content = r->content,
		.head_octets = r->head_octets,
		.body_octets = r->body_octets };

	return spool_read_content(s, &m, offset, buf, size, e);
}

/* Ids only: they are few, and each record is read alone. */
static int
spool_list_intake(struct spool *s, const struct msgid *after,
    struct msgid *ids, size_t max, struct err *e)
{
	struct db_txn	 *t = db_read(s->db, e);
	struct db_cursor *c = t == NULL ? NULL :
	    db_cursor(t, SPOOL_INTAKE, e);
	struct record_key k;
	struct bytes	  key, value, from = { "", 0 };
	uint32_t	  piece;
	size_t		  n = 0;
	int		  rc = -1;

	if (after != NULL)
		from = record_key_numbered(&k, after, UINT32_MAX);
	if (c != NULL)
		rc = db_seek(c, from, &key, &value, e);
	while (rc == 1 && n < max) {
		if (!record_split_numbered(key, &ids[n], &piece))
			rc = err_set(e, "spool: damaged key");
		else if (piece == 0)
			n++;
		if (rc == 1)
			rc = db_next(c, &key, &value, e);
	}
	db_cursor_close(c);
	db_end(t);
	return rc < 0 ? -1 : (int)n;
}

int
spool_scan_intake(struct spool *s, const struct msgid *after, size_t max,
    bool (*fn)(void *arg, const struct intake_row *r), void *arg,
    struct err *e)
{
	struct msgid	 *ids;
	struct intake_row r;
	struct arena	 *a;
	int		  i, n, rc = 1;

	if (max > SCAN_MAX)
		max = SCAN_MAX;
	ids = mem_alloc((max + 1) * sizeof(*ids));
	n = spool_list_intake(s, after, ids, max, e);
	for (i = 0; rc == 1 && i < n; i++) {
		a = arena_new(ROW_ARENA);
		rc = spool_read_intake(s, &ids[i], a, &r, e);
		if (rc == 1)
			rc = fn(arg, &r) ? 1 : 2;
		else if (rc == 0)
			rc = 1; /* swept meanwhile */
		arena_free(a);
	}
	mem_free(ids);
	return n < 0 || rc < 0 ? -1 : i;
}

int
spool_next_intake(struct spool *s, enum intake_step step,
    const struct intake_errand *after, struct arena *a,
    struct intake_errand *out, struct err *e)
{
	static const struct msgid first;
	struct db_txn	 *t = db_read(s->db, e);
	struct db_cursor *c = t == NULL ? NULL : db_cursor(t, SPOOL_STEP, e);
	struct record_key k;
	struct bytes	  key, value = { "", 0 };
	enum intake_step  found;
	uint32_t	  n = 0;
	int		  rc = -1;

	memset(out, 0, sizeof(*out));
	if (after != NULL)
		record_key_step(&k, step, &after->id, after->n + 1);
	else
		record_key_step(&k, step, &first, 0);
	if (c != NULL)
		rc = db_seek(c, (struct bytes){ k.p, k.n }, &key, &value, e);
	if (rc == 1 && !record_split_step(key, &found, &out->id, &n))
		rc = err_set(e, "spool: damaged step");
	else if (rc == 1 && found != step)
		rc = 0;
	if (rc == 1) {
		value = arena_bytes(a, value);
		out->n = n;
	}
	db_cursor_close(c);
	db_end(t);
	if (rc == 1 && step == INTAKE_FORWARD &&
	    (value.p == NULL || !record_read_errand(value, out)))
		rc = err_set(e, "spool: damaged errand");
	return rc;
}

int
spool_read_mark(struct spool *s, const struct intake_mark *m,
    unsigned *count, struct wall *last, struct err *e)
{
	struct db_txn	 *t = db_read(s->db, e);
	struct record_key k;
	struct bytes	  value;
	struct mark_row	  row;
	int		  rc;

	if (t == NULL)
		return -1;
	rc = db_get(t, SPOOL_MARK, record_key_numbered(&k, &m->id, m->what),
	    &value, e);
	if (rc == 1 && !record_read_mark(value, &row))
		rc = err_set(e, "spool: damaged mark");
	if (rc == 1) {
		*count = row.count;
		*last = row.last;
	}
	db_end(t);
	return rc;
}
