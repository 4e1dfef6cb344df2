/* SPDX-License-Identifier: ISC */
#include "store/spool_private.h"

#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "mail/smtp.h"

enum {
	STORE_PAGE = 4096, /* what a piece takes */
	ROWS_OCTETS = 4 * STORE_PAGE
};

/* -- content --------------------------------------------------------------- */

/* RFC 3461 4.3: RET=FULL, and it is short enough. */
static bool
returns_whole(const struct message *m)
{
	return m->ret == DSN_RETURN_FULL && m->content == 0 &&
	    message_octets(m) <= SPOOL_RETURN_MAX;
}

uint64_t
spool_need(const struct message *m)
{
	return (spool_pieces(m->head.n) + spool_pieces(message_memory(m))) *
	    STORE_PAGE + ROWS_OCTETS + m->snapshot.n +
	    (returns_whole(m) ? message_octets(m) : 0) +
	    (uint64_t)m->envelope_count * 512;
}

static int
spool_put_pieces(struct spool_txn *t, uint64_t content, uint32_t first,
    struct bytes b, struct err *e)
{
	bool		  append = content == t->spool->draft.content;
	struct record_key k;
	uint32_t	  piece;

	for (piece = first; b.n > 0; piece++) {
		if (db_put(t->db, SPOOL_CHUNK,
			record_key_chunk(&k, content, piece),
			bytes_head(b, CONTENT_PIECE), append, e) < 0)
			return -1;
		b = bytes_from(b, CONTENT_PIECE);
	}
	return 0;
}

/* Chunks of the body; all but the last of a body are whole pieces. */
static int
spool_put_chunks(struct spool_txn *t, uint64_t content, uint64_t offset,
    const struct chunk *c, struct err *e)
{
	struct bytes b;

	for (; c != NULL; c = c->next) {
		b = (struct bytes){ c->data, c->n };
		if (spool_put_pieces(t, content, BODY_PIECE_FIRST +
			(uint32_t)(offset / CONTENT_PIECE), b, e) < 0)
			return -1;
		offset += c->n;
	}
	return 0;
}

static uint64_t
chunks_octets(const struct chunk *c)
{
	uint64_t n = 0;

	for (; c != NULL; c = c->next)
		n += c->n;
	return n;
}

/* 1 = *octets, 0 = there is no such content, -1. */
static int
spool_get_staged(struct spool_txn *t, uint64_t content, uint64_t *octets,
    struct err *e)
{
	struct record_key k;
	struct bytes	  value;
	int		  rc;

	rc = db_get(t->db, SPOOL_STAGING, record_key_number(&k, content),
	    &value, e);
	if (rc == 1 && value.n == 8)
		*octets = db_get_be64(value.p);
	else if (rc == 1)
		rc = err_set(e, "spool: damaged staging row");
	return rc;
}

static int
spool_discard_staged(struct spool_txn *t, uint64_t content, struct err *e)
{
	struct record_key k;
	uint64_t	  octets;
	int		  rc = spool_get_staged(t, content, &octets, e);

	if (rc <= 0)
		return rc;
	failpoint("discard.begin");
	if (db_delete(t->db, SPOOL_STAGING, record_key_number(&k, content),
		e) < 0)
		return -1;
	failpoint("discard.forgotten");
	return spool_remove_content(t, content, spool_pieces(octets), e);
}

int
spool_write_stage(struct spool_txn *t, struct stage *st, uint64_t *content,
    struct err *e)
{
	struct spool	 *s = t->spool;
	uint64_t	  octets = 0, n = chunks_octets(st->chunks);
	struct record_key k;
	char		  value[8];
	int		  rc;

	st->result = RECEIPT_OK;
	if (st->chunks == NULL)
		return spool_discard_staged(t, *content, e);
	if (n > s->room) {
		st->result = RECEIPT_FULL;
		return 0;
	}
	if (*content == 0) {
		*content = ++s->draft.content;
	} else {
		rc = spool_get_staged(t, *content, &octets, e);
		if (rc < 0)
			return -1;
		must(rc == 1);
	}
	must(st->offset == octets);
	failpoint("stage.begin");
	if (spool_put_chunks(t, *content, st->offset, st->chunks, e) < 0)
		return -1;
	failpoint("stage.laid");
	db_put_be64(value, octets + n);
	s->room -= n;
	s->used_since += n;
	return db_put(t->db, SPOOL_STAGING, record_key_number(&k, *content),
	    (struct bytes){ value, sizeof(value) }, true, e);
}

/* The staged part becomes the message's own, or the head of a new content. */
int
spool_write_content(struct spool_txn *t, const struct message *m,
    uint64_t *content, struct err *e)
{
	uint64_t	  octets = 0;
	struct record_key k;
	int		  rc;

	*content = m->content;
	if (m->content == 0) {
		*content = ++t->spool->draft.content;
	} else {
		rc = spool_get_staged(t, *content, &octets, e);
		if (rc < 0)
			return -1;
		must(rc == 1);
		if (db_delete(t->db, SPOOL_STAGING,
			record_key_number(&k, *content), e) < 0)
			return -1;
	}
	/* what was said to be accepted is all there */
	must(octets + chunks_octets(m->body_first) == m->body_octets);
	must(spool_pieces(m->head.n) < BODY_PIECE_FIRST);
	if (spool_put_pieces(t, *content, 0, m->head, e) < 0)
		return -1;
	return spool_put_chunks(t, *content, octets, m->body_first, e);
}

/* -- what stays ------------------------------------------------------------ */

/* Pieces from *piece on, which is moved. */
static int
spool_put_more(struct spool_txn *t, enum spool_table table,
    const struct msgid *id, uint32_t *piece, struct bytes b, struct err *e)
{
	struct record_key k;

	for (; b.n > 0; ++*piece) {
		if (db_put(t->db, table, record_key_numbered(&k, id, *piece),
			bytes_head(b, CONTENT_PIECE), true, e) < 0)
			return -1;
		b = bytes_from(b, CONTENT_PIECE);
	}
	return 0;
}

int
spool_put_paged(struct spool_txn *t, enum spool_table table,
    const struct msgid *id, struct bytes b, struct err *e)
{
	uint32_t piece = 0;

	return spool_put_more(t, table, id, &piece, b, e);
}

/* The snapshot, and for a notice that returns it the message as it is sent:
 * its content goes in the commit that makes the event. */
static int
spool_write_shown(struct spool_txn *t, const struct message *m, struct err *e)
{
	uint32_t	    piece = RETURN_PIECE_FIRST;
	const struct chunk *c;
	int rc = spool_put_paged(t, SPOOL_SNAPSHOT, &m->id, m->snapshot, e);

	if (rc < 0 || !returns_whole(m))
		return rc;
	rc = spool_put_more(t, SPOOL_SNAPSHOT, &m->id, &piece, m->head, e);
	for (c = m->body_first; rc == 0 && c != NULL; c = c->next)
		rc = spool_put_more(t, SPOOL_SNAPSHOT, &m->id, &piece,
		    (struct bytes){ c->data, c->n }, e);
	return rc;
}

static void
mail_row_set_headers(struct mail_row *r, struct bytes snapshot)
{
	struct bytes name, value;
	size_t	     at = 0;

	while (event_snapshot_next(snapshot, &at, &name, &value)) {
		if (r->message_id.n == 0 &&
		    bytes_eq_nocase(name, BYTES("Message-ID")))
			r->message_id = bytes_head(value, SUBJECT_MAX);
		else if (r->subject.n == 0 &&
		    bytes_eq_nocase(name, BYTES("Subject")))
			r->subject = bytes_head(value, SUBJECT_MAX);
		if (r->message_id.n > 0 && r->subject.n > 0)
			break;
	}
}

static int
spool_write_mail(struct spool_txn *t, const struct message *m, struct err *e)
{
	struct spool   *s = t->spool;
	struct mail_row r = { .id = m->id, .accepted = m->accepted,
		.expires = m->expires, .credential = m->credential,
		.access_key = m->access_key, .client_ip = m->client_ip,
		.listener = m->listener, .sid = m->sid,
		.tls_version = m->tls_version, .sender = m->sender,
		.identity = m->identity,
		.identity_account = m->identity_account,
		.from_domain = m->from_domain, .forward = m->forward,
		.config_set = m->config_set,
		.config_set_id = m->config_set_id, .pool = m->pool,
		.mail_from_domain = m->mail_from_domain,
		.system = m->class == MESSAGE_SYSTEM,
		.size = message_octets(m), .tag_count = m->tag_count,
		.tags = m->tags };
	struct bytes   *to;
	struct dsn_wish *wishes;
	unsigned	i;
	bool		wants = m->envid.n > 0;

	memcpy(r.account, m->account, sizeof(r.account));
	mail_row_set_headers(&r, m->snapshot);
	to = mem_alloc(m->envelope_count * sizeof(*to));
	wishes = mem_alloc(m->envelope_count * sizeof(*wishes));
	for (i = 0; i < m->envelope_count; i++) {
		to[i] = m->envelopes[i].address;
		wishes[i].notify = m->envelopes[i].notify;
		wishes[i].orcpt = m->envelopes[i].orcpt;
		wants = wants || wishes[i].notify != 0 ||
		    wishes[i].orcpt.n > 0;
	}
	r.recipients = to;
	r.recipient_count = m->envelope_count;
	r.wishes = wants ? wishes : NULL;
	r.envid = m->envid;
	buf_clear(&s->row);
	record_write_mail(&r, &s->row);
	mem_free(to);
	mem_free(wishes);
	if (s->row.failed)
		return err_set(e, "spool: no memory for a record");
	if (spool_put_paged(t, SPOOL_MAIL, &m->id, buf_bytes(&s->row), e) < 0)
		return -1;
	if (m->keeps_id && r.message_id.n > 0 &&
	    spool_write_client_id(t, &m->id, r.message_id, e) < 0)
		return -1;
	return spool_write_shown(t, m, e);
}

/* -- the message and its envelopes ----------------------------------------- */

static int
spool_write_message_row(struct spool_txn *t, const struct message *m,
    uint64_t content, struct err *e)
{
	struct spool	  *s = t->spool;
	struct message_row r = { .id = m->id, .content = content,
		.head_octets = m->head.n, .body_octets = m->body_octets,
		.open = m->envelope_count, .has_8bit = m->has_8bit,
		.tls_policy = m->tls_policy,
		.system = m->class == MESSAGE_SYSTEM,
		.config_set = m->config_set_id,
		.mail_from_domain = m->mail_from_domain, .ret = m->ret,
		.envid = m->envid };

	memcpy(r.account, m->account, sizeof(r.account));
	buf_clear(&s->row);
	record_write_message(&r, &s->row);
	return db_put(t->db, SPOOL_MESSAGE, record_key_id(&m->id),
	    buf_bytes(&s->row), true, e);
}

static int
spool_write_envelope(struct spool_txn *t, const struct message *m,
    const struct envelope *env, struct err *e)
{
	struct spool	    *s = t->spool;
	struct recipient_row r = { .id = m->id, .n = env->index,
		.address = env->address, .next = m->accepted,
		.expires = m->expires, .simulator = env->simulator,
		.notify = env->notify, .orcpt = env->orcpt };
	struct due_key	     key = { m->accepted, m->id, env->index };
	struct due_row	     d = { .domain = env->domain,
		.size = message_octets(m), .tls_policy = m->tls_policy,
		.system = m->class == MESSAGE_SYSTEM,
		.simulator = env->simulator,
		.suppressed = env->suppressed,
		.config_set = m->config_set_id, .pool = m->pool };
	struct record_key    k;
	struct arrival	    *a;

	memcpy(d.account, m->account, sizeof(d.account));
	buf_clear(&s->row);
	record_write_recipient(&r, &s->row);
	if (db_put(t->db, SPOOL_RECIPIENT,
		record_key_numbered(&k, &m->id, env->index),
		buf_bytes(&s->row), true, e) < 0)
		return -1;
	buf_clear(&s->row);
	record_write_due(&d, &s->row);
	/* waiting ones have later times: it seldom appends */
	if (db_put(t->db, SPOOL_DUE, record_key_due(&k, &key),
		buf_bytes(&s->row), false, e) < 0)
		return -1;
	a = spool_add_arrival(s, &key, &d);
	if (a != NULL)
		a->lists_seen = m->lists_seen;
	return 0;
}

int
spool_write_event(struct spool_txn *t, const struct event *ev, struct err *e)
{
	struct spool	 *s = t->spool;
	struct record_key k;

	buf_clear(&s->row);
	if (!record_write_event(ev, (struct wall){ s->draft.committed },
		&s->row))
		return err_set(e, "spool: no memory for an event");
	return db_put(t->db, SPOOL_EVENT,
	    record_key_number(&k, ++s->draft.sequence), buf_bytes(&s->row),
	    true, e);
}

int
spool_write_cursor(struct spool_txn *t, const char *name, uint64_t to,
    struct err *e)
{
	char value[8];

	if (to == SPOOL_CURSOR_GONE)
		return db_delete(t->db, SPOOL_CURSOR, bytes_of(name), e) < 0 ?
			-1 : 0;
	db_put_be64(value, to);
	return db_put(t->db, SPOOL_CURSOR, bytes_of(name),
	    (struct bytes){ value, sizeof(value) }, false, e);
}

/* -- a submission ---------------------------------------------------------- */

static bool
spool_refuse(struct submission *sub, enum receipt_result result)
{
	sub->result = result;
	return true;
}

/* true = refused, for a reason that is not the asker's admit(). */
static bool
spool_must_refuse(const struct spool *s, struct submission *sub)
{
	const struct message *m = sub->message;

	if (m->class != MESSAGE_SYSTEM &&
	    s->draft.messages >= atomic_load(&s->messages_max))
		return spool_refuse(sub, RECEIPT_BUSY);
	if (spool_need(m) > s->room)
		return spool_refuse(sub, RECEIPT_FULL);
	return false;
}

/* 1 = there is room in the share of its class, 0 = refused, -1. */
static int
spool_admit_intake(struct spool_txn *t, struct submission *sub,
    struct err *e)
{
	int rc;

	if (sub->message->class != MESSAGE_INTAKE)
		return 1;
	rc = spool_make_intake_room(t, sub->message, e);
	if (rc == 0)
		(void)spool_refuse(sub, RECEIPT_FULL);
	return rc;
}

/* 1 = admitted, 0 = not (the result says), -1 = the transaction is lost. */
static int
spool_admit(struct spool_txn *t, struct submission *sub, struct err *e)
{
	int rc;

	if (sub->admit == NULL)
		return 1;
	rc = sub->admit(sub, t);
	if (t->is_lost) {
		*e = t->err;
		return -1;
	}
	if (rc == 0)
		return 1;
	sub->refused_by = rc > 0 ? rc : 0;
	spool_refuse(sub, rc > 0 ? RECEIPT_REFUSED : RECEIPT_DOWN);
	return 0;
}

/* What the message was made from. */
static int
spool_write_done(struct spool_txn *t, const struct submission *sub,
    struct err *e)
{
	if (sub->cursor != NULL &&
	    spool_write_cursor(t, sub->cursor, sub->cursor_to, e) < 0)
		return -1;
	return sub->errand == NULL ? 0 :
	    spool_write_errand_done(t, sub->errand, e);
}

/* All that is to be delivered. */
static int
spool_write_queued(struct spool_txn *t, const struct message *m,
    struct err *e)
{
	uint64_t content;
	unsigned i;

	if (spool_write_content(t, m, &content, e) < 0)
		return -1;
	failpoint("submit.content");
	if (spool_write_message_row(t, m, content, e) < 0)
		return -1;
	failpoint("submit.message");
	for (i = 0; i < m->envelope_count; i++)
		if (spool_write_envelope(t, m, &m->envelopes[i], e) < 0)
			return -1;
	failpoint("submit.envelopes");
	return 0;
}

/* About the whole message: an event of its acceptance. */
static int
spool_write_event_of(struct spool_txn *t, const struct message *m,
    enum event_type type, struct err *e)
{
	struct event ev;

	memset(&ev, 0, sizeof(ev));
	ev.type = type;
	ev.at = m->accepted;
	ev.message = m->id;
	event_id_make(m->accepted, &ev.id);
	return spool_write_event(t, &ev, e);
}

/* Rejected for its content: nothing of it waits, and nobody reads it. */
static bool
spool_is_rejected(const struct message *m)
{
	return m->bad_content && m->class == MESSAGE_NORMAL;
}

static int
spool_write_rows(struct spool_txn *t, const struct submission *sub,
    struct err *e)
{
	const struct message *m = sub->message;

	failpoint("submit.begin");
	if (spool_is_rejected(m) ?
		m->content != 0 && spool_discard_staged(t, m->content, e) < 0 :
		spool_write_queued(t, m, e) < 0)
		return -1;
	if (spool_write_mail(t, m, e) < 0)
		return -1;
	failpoint("submit.mail");
	if (spool_write_done(t, sub, e) < 0)
		return -1;
	if (m->class == MESSAGE_SYSTEM)
		return 0; /* no events about mail made by posthorn */
	if (spool_write_event_of(t, m, EVENT_SEND, e) < 0)
		return -1;
	return spool_is_rejected(m) ?
		spool_write_event_of(t, m, EVENT_REJECT, e) : 0;
}

int
spool_write_submission(struct spool_txn *t, struct submission *sub,
    bool *is_admitted, struct err *e)
{
	struct spool	     *s = t->spool;
	const struct message *m = sub->message;
	uint64_t	      need = spool_need(m);
	int		      rc;

	*is_admitted = false;
	sub->result = RECEIPT_OK;
	sub->refused_by = 0;
	if (spool_must_refuse(s, sub))
		return 0;
	failpoint("submit.asked");
	rc = spool_admit(t, sub, e);
	if (rc == 1)
		rc = spool_admit_intake(t, sub, e);
	if (rc <= 0)
		return rc;
	*is_admitted = sub->admit != NULL;
	if (m->class == MESSAGE_INTAKE)
		rc = spool_write_intake(t, m, e) < 0 ? -1 :
		    spool_write_done(t, sub, e);
	else
		rc = spool_write_rows(t, sub, e);
	if (rc < 0)
		return -1;
	failpoint("submit.end");
	if (m->class != MESSAGE_INTAKE && !spool_is_rejected(m)) {
		s->draft.messages++;
		s->draft.recipients += m->envelope_count;
		s->draft.bytes += message_octets(m);
	}
	s->room -= need;
	s->used_since += need;
	return 0;
}
