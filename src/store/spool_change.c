/* SPDX-License-Identifier: ISC */
/*
 * What became of envelopes.  An envelope has one row under its id and one
 * under its time: among the due ones, or, while anything holds it, among the
 * held ones by its expiry.
 */
#include "store/spool_private.h"

#include <string.h>

#include "base/failpoint.h"

/* The envelope at hand, as read and as it will be. */
struct place {
	enum spool_table table; /* SPOOL_DUE or SPOOL_HELD */
	struct due_key	 key;
};

static struct place
place_of(const struct recipient_row *r)
{
	struct place p;

	p.table = r->held_by != 0 ? SPOOL_HELD : SPOOL_DUE;
	p.key.due = r->held_by != 0 ? r->expires : r->next;
	p.key.id = r->id;
	p.key.n = r->n;
	return p;
}

static bool
place_eq(const struct place *a, const struct place *b)
{
	return a->table == b->table && a->key.due.ms == b->key.due.ms;
}

static void
state_count(struct state_row *s, const struct recipient_row *r, int d)
{
	if (r->state == ENVELOPE_HELD)
		s->held += (uint64_t)(int64_t)d;
	else if (r->state == ENVELOPE_DEFERRED)
		s->deferred += (uint64_t)(int64_t)d;
}

/* -- the end of an envelope ------------------------------------------------ */

/* The message goes with its last envelope. */
static int
spool_settle_message(struct spool_txn *t, const struct msgid *id,
    struct err *e)
{
	struct spool	  *s = t->spool;
	struct message_row m;
	struct bytes	   value;
	int		   rc;

	rc = db_get(t->db, SPOOL_MESSAGE, record_key_id(id), &value, e);
	if (rc <= 0)
		return rc;
	if (!record_read_message(value, &m) || m.open == 0)
		return err_set(e, "spool: damaged message row");
	if (--m.open > 0) {
		buf_clear(&s->row);
		record_write_message(&m, &s->row);
		return db_put(t->db, SPOOL_MESSAGE, record_key_id(id),
		    buf_bytes(&s->row), false, e);
	}
	s->draft.messages--;
	s->draft.bytes -= m.head_octets + m.body_octets;
	failpoint("settle.last");
	if (db_delete(t->db, SPOOL_MESSAGE, record_key_id(id), e) < 0)
		return -1;
	failpoint("settle.message");
	return spool_remove_content(t, m.content,
	    spool_pieces(m.head_octets) + spool_pieces(m.body_octets), e);
}

/*
 * What comes back later shows how it left (events.md 3); only a message of a
 * configuration set has events that show it.
 */
static int
spool_keep_departure(struct spool_txn *t, const struct change_item *item,
    const struct recipient_row *r, struct err *e)
{
	const struct event *ev = item->event;
	struct place	    p = place_of(r);
	struct departure    d;
	struct record_key   k;
	struct bytes	    value;
	struct due_row	    due;
	int		    rc;

	if (ev == NULL || ev->type != EVENT_DELIVERY ||
	    ev->outgoing_ip.n == 0)
		return 0;
	rc = db_get(t->db, p.table, record_key_due(&k, &p.key), &value, e);
	if (rc <= 0)
		return rc;
	if (!record_read_due(value, &due))
		return err_set(e, "spool: damaged due row");
	if (config_set_id_is_none(&due.config_set))
		return 0;
	bytes_text(ev->outgoing_ip, d.ip, sizeof(d.ip));
	bytes_text(ev->outgoing_tls, d.tls, sizeof(d.tls));
	buf_clear(&t->spool->row);
	if (!record_write_departure(&d, &t->spool->row))
		return 0; /* no address */
	return db_put(t->db, SPOOL_MARK,
	    record_key_departure(&k, &r->id, r->n),
	    buf_bytes(&t->spool->row), false, e);
}

static int
spool_settle(struct spool_txn *t, const struct recipient_row *r,
    struct err *e)
{
	struct place	  p = place_of(r);
	struct record_key k;

	failpoint("settle.begin");
	if (db_delete(t->db, p.table, record_key_due(&k, &p.key), e) < 0)
		return -1;
	failpoint("settle.due");
	if (db_delete(t->db, SPOOL_RECIPIENT,
		record_key_numbered(&k, &r->id, r->n), e) < 0)
		return -1;
	failpoint("settle.recipient");
	t->spool->draft.recipients--;
	state_count(&t->spool->draft, r, -1);
	return spool_settle_message(t, &r->id, e);
}

/* -- the way of an envelope ------------------------------------------------ */

/* Takes the row of its time from one place to another. */
static int
spool_move_place(struct spool_txn *t, const struct place *from,
    const struct place *to, uint8_t held_by, struct err *e)
{
	struct spool	 *s = t->spool;
	struct record_key k;
	struct bytes	  value;
	struct due_row	  d;
	int		  rc;

	rc = db_get(t->db, from->table, record_key_due(&k, &from->key),
	    &value, e);
	if (rc < 0)
		return -1;
	if (rc == 0 || !record_read_due(value, &d))
		return err_set(e, "spool: damaged due row");
	d.held_by = held_by;
	buf_clear(&s->row);
	record_write_due(&d, &s->row);
	if (!place_eq(from, to) &&
	    db_delete(t->db, from->table, record_key_due(&k, &from->key),
		e) < 0)
		return -1;
	failpoint("defer.forgotten");
	if (db_put(t->db, to->table, record_key_due(&k, &to->key),
		buf_bytes(&s->row), to->table == SPOOL_DUE, e) < 0)
		return -1;
	if (to->table == SPOOL_DUE && to->key.due.ms <= t->now.ms &&
	    record_read_due(buf_bytes(&s->row), &d))
		(void)spool_add_arrival(s, &to->key, &d);
	return 0;
}

/* Bytes of now still lend from the row read before, which lies in s->old. */
static int
spool_put_recipient(struct spool_txn *t, const struct recipient_row *before,
    const struct recipient_row *now, struct err *e)
{
	struct spool	 *s = t->spool;
	struct place	  from = place_of(before), to = place_of(now);
	struct record_key k;

	state_count(&s->draft, before, -1);
	state_count(&s->draft, now, 1);
	buf_clear(&s->row);
	record_write_recipient(now, &s->row);
	if (db_put(t->db, SPOOL_RECIPIENT,
		record_key_numbered(&k, &now->id, now->n),
		buf_bytes(&s->row), false, e) < 0)
		return -1;
	failpoint("defer.recipient");
	if (place_eq(&from, &to) && before->held_by == now->held_by)
		return 0;
	return spool_move_place(t, &from, &to, now->held_by, e);
}

static void
recipient_set_state(struct recipient_row *r)
{
	if (r->held_by != 0)
		r->state = ENVELOPE_HELD;
	else
		r->state = r->attempts > 0 ? ENVELOPE_DEFERRED :
		    ENVELOPE_READY;
}

static void
recipient_defer(struct recipient_row *r, const struct change_item *item,
    struct wall now)
{
	struct wall at = item->event != NULL ? item->event->at : now;

	r->attempts = item->attempts;
	r->next = item->next;
	if (item->expires.ms != 0 && item->expires.ms < r->expires.ms)
		r->expires = item->expires;
	if (r->first_attempt.ms == 0)
		r->first_attempt = at;
	r->last_attempt = at;
	r->last_reply = bytes_head(item->last_reply, REPLY_KEPT_MAX);
	r->last_remote = item->last_remote;
	r->last_source_ip = item->last_source_ip;
	r->last_stage = item->last_stage;
	r->flags = item->flags;
}

static void
recipient_change(struct recipient_row *r, const struct change_item *item,
    struct wall now)
{
	uint8_t held_before = r->held_by;

	switch (item->kind) {
	case CHANGE_DEFER:
		recipient_defer(r, item, now);
		break;
	case CHANGE_MOVE:
		r->next = item->next;
		break;
	case CHANGE_HOLD:
		r->held_by |= item->held_by;
		break;
	case CHANGE_RELEASE:
		r->held_by &= (uint8_t)~item->held_by;
		/* an earlier retry time is forgotten (delivery.md 2.2) */
		if (held_before != 0 && r->held_by == 0)
			r->next = now;
		break;
	case CHANGE_RETRY:
		if (r->held_by == 0)
			r->next = now;
		break;
	case CHANGE_DONE:
	case CHANGE_EVENT:
		break;
	}
	recipient_set_state(r);
}

/* 1 = found; its bytes lie in s->old. */
static int
spool_get_recipient(struct spool_txn *t, const struct change_item *item,
    struct recipient_row *r, struct err *e)
{
	struct spool	 *s = t->spool;
	struct record_key k;
	struct bytes	  value;
	int		  rc;

	rc = db_get(t->db, SPOOL_RECIPIENT,
	    record_key_numbered(&k, &item->id, item->n), &value, e);
	if (rc <= 0)
		return rc;
	buf_clear(&s->old);
	r->id = item->id;
	r->n = item->n;
	if (!buf_add_bytes(&s->old, value))
		return err_set(e, "spool: no memory for a row");
	if (!record_read_recipient(buf_bytes(&s->old), r))
		return err_set(e, "spool: damaged recipient row");
	return 1;
}

static int
spool_change_envelope(struct spool_txn *t, struct change_item *item,
    struct err *e)
{
	struct recipient_row before, now;
	int		     rc;

	rc = spool_get_recipient(t, item, &before, e);
	item->found = rc == 1;
	if (rc <= 0)
		return rc;
	if (item->kind == CHANGE_DONE)
		return spool_keep_departure(t, item, &before, e) < 0 ? -1 :
			spool_settle(t, &before, e);
	now = before;
	recipient_change(&now, item, t->now);
	return spool_put_recipient(t, &before, &now, e);
}

int
spool_write_change(struct spool_txn *t, struct change *c, struct err *e)
{
	struct change_item *item;
	size_t		    i;

	for (i = 0; i < c->count; i++) {
		item = &c->items[i];
		item->found = false;
		if (item->kind != CHANGE_EVENT &&
		    spool_change_envelope(t, item, e) < 0)
			return -1;
		failpoint("settle.event");
		if (item->event != NULL &&
		    (item->found || item->kind == CHANGE_EVENT) &&
		    spool_write_event(t, item->event, e) < 0)
			return -1;
	}
	failpoint("settle.end");
	if (c->intake != NULL && spool_write_verdict(t, c->intake, e) < 0)
		return -1;
	if (c->errand != NULL && spool_write_errand_done(t, c->errand, e) < 0)
		return -1;
	if (c->also != NULL && c->also(c, t, e) < 0)
		return -1;
	if (c->cursor == NULL)
		return 0;
	return spool_write_cursor(t, c->cursor, c->cursor_to, e);
}
