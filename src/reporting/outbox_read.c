/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "registry/notification.h"
#include "reporting/event_mail.h"
#include "reporting/outbox_private.h"
#include "reporting/withdrawal.h"

enum { RECORD_OCTETS = 900 /* of a record, without what varies much */ };

/* -- which events, and for whom -------------------------------------------- */

static void
reading_add(struct reading *r, const struct hit *h)
{
	if (r->hit_count == r->hit_room) {
		r->hit_room = r->hit_room == 0 ? 64 : 2 * r->hit_room;
		r->hits = mem_realloc(r->hits,
		    r->hit_room * sizeof(r->hits[0]));
	}
	r->hits[r->hit_count++] = *h;
}

/* About as much as its record will have. */
static uint32_t
record_octets(const struct event *ev, const struct mail_row *row)
{
	size_t n = RECORD_OCTETS + row->snapshot.n + ev->reply.n, i;

	for (i = 0; i < row->recipient_count; i++)
		n += row->recipients[i].n + 3;
	for (i = 0; i < ev->recipient_count; i++)
		n += ev->recipients[i].address.n +
		    ev->recipients[i].diagnostic.n + 80;
	return n < EVENT_RECORD_MAX ? (uint32_t)n : EVENT_RECORD_MAX;
}

/* An event on its way to those that want it. */
struct match {
	struct reading	      *reading;
	uint64_t	       sequence;
	const struct event    *ev;
	const struct mail_row *row;
	struct destination_message message;
};

static void
match_hit(const struct match *m, const struct destination *d,
    const struct record_way *way)
{
	struct reading *r = m->reading;
	struct hit	h;

	if (r->kind != READING_WALK &&
	    memcmp(r->id.b, d->id.b, sizeof(r->id.b)) != 0)
		return;
	memset(&h, 0, sizeof(h));
	h.id = d->id;
	h.way = *way;
	h.sequence = m->sequence;
	h.event = m->ev->id;
	h.type = m->ev->type;
	h.octets = record_octets(m->ev, m->row);
	reading_add(r, &h);
}

/* A replay asks for the past: not when it happened. */
static bool
match_wants(const struct match *m, const struct destination *d)
{
	return m->reading->kind == READING_REPLAY ?
		(d->types & (1u << m->ev->type)) != 0 :
		destination_wants(d, m->ev);
}

/* To each subscription of a topic that the account may publish to. */
static void
match_topic(const struct match *m, const struct topic_ref *topic,
    const char *account, const struct record_way *way)
{
	const struct destination *d;
	size_t			  n, i;

	d = routes_of_topic(m->reading->routes, topic, account, &n);
	for (i = 0; i < n; i++)
		if (match_wants(m, &d[i]))
			match_hit(m, &d[i], way);
}

static bool
reading_is_via(const struct reading *r, const struct destination_id *id)
{
	static const struct destination_id none;

	return memcmp(r->via.b, none.b, sizeof(none.b)) == 0 ||
	    memcmp(r->via.b, id->b, sizeof(id->b)) == 0;
}

static void
match_set(const struct match *m)
{
	const struct destination *d;
	struct record_way	  way;
	size_t			  n, i;

	d = routes_of(m->reading->routes, &m->row->config_set_id, &n);
	for (i = 0; i < n; i++) {
		if (!match_wants(m, &d[i]) || !destination_filter_passes(
			&d[i].filter, m->ev, &m->message))
			continue;
		memset(&way, 0, sizeof(way));
		if (d[i].kind != DESTINATION_TOPIC) {
			match_hit(m, &d[i], &way);
			continue;
		}
		way.via = d[i].id;
		way.form.extensions = d[i].extensions;
		if (reading_is_via(m->reading, &way.via))
			match_topic(m, &d[i].topic, d[i].account, &way);
	}
}

/* By the settings of the message's identity (7.3); -1: they cannot be read. */
static int
match_identity(const struct match *m)
{
	static const struct destination_id none;
	struct reading			  *r = m->reading;
	struct notification	      *n;
	const struct notification_way *w;
	struct record_way	       way = { .form.notification = true };
	char account[ACCOUNT_ID_SIZE], name[IDENTITY_NAME_SIZE];
	int  rc;

	if (!routes_notify(r->routes, m->ev->type) ||
	    m->row->identity.n == 0 || !reading_is_via(r, &none))
		return 0;
	if (r->txn == NULL)
		r->txn = book_read(r->book, &r->err);
	if (r->txn == NULL)
		return -1;
	bytes_text(m->row->identity_account, account, sizeof(account));
	bytes_text(m->row->identity, name, sizeof(name));
	n = mem_alloc(sizeof(*n));
	rc = notification_get(r->txn, account, name, n, &r->err);
	w = rc != 1 ? NULL : notification_takes(n, m->ev);
	if (w != NULL) {
		way.form.headers = w->headers;
		match_topic(m, &w->topic, account, &way);
	}
	mem_free(n);
	return rc < 0 ? -1 : 0;
}

static int
reading_match(const struct match *m)
{
	const struct reading *r = m->reading;

	if (r->kind == READING_REPLAY &&
	    (r->types & (1u << m->ev->type)) == 0)
		return 0;
	match_set(m);
	return match_identity(m);
}

static int
reading_look(struct reading *r, uint64_t sequence, const struct event *ev)
{
	struct match	  m = { .reading = r, .sequence = sequence,
		   .ev = ev };
	struct event_mail mail;
	struct mail_row	  row;
	struct arena	 *a;
	int		  rc;

	if (!routes_want(r->routes, ev->type))
		return 0;
	a = arena_new(OUTBOX_EVENT_ARENA);
	rc = event_mail_find(r->spool, r->conf, &ev->message, a, &row, &mail,
	    &r->err);
	if (rc == 1) {
		m.row = &row;
		event_mail_ask(r->conf, &row, &mail, &m.message);
		rc = reading_match(&m);
	}
	arena_free(a);
	return rc < 0 ? -1 : 0;
}

static bool
reading_on_event(void *reading, uint64_t sequence, const struct event *ev)
{
	struct reading *r = reading;

	if (!event_is_note(ev) && reading_look(r, sequence, ev) != 0) {
		r->failed = true;
		return false;
	}
	r->at = sequence;
	r->seen++;
	return r->hits_max == 0 || r->hit_count < r->hits_max;
}

static void
reading_run(struct job *job)
{
	struct reading *r = (struct reading *)(void *)job;

	if (spool_scan_events(r->spool, r->at, OUTBOX_WINDOW,
		reading_on_event, r, &r->err) < 0)
		r->failed = true;
	book_end(r->txn);
	r->txn = NULL;
}

static uint64_t
reading_from(const struct outbox *o, enum reading_kind kind,
    const struct outlet *x)
{
	switch (kind) {
	case READING_WALK:
		break;
	case READING_OWN:
		return x->read;
	case READING_COUNT:
		return x->counted;
	case READING_REPLAY:
		return x->replay - 1;
	}
	return o->walked;
}

/* The destination alone, as a replay wants it; what a subscription gets comes
 * by others. */
static struct routes *
routes_for(const struct outbox *o, const struct outlet *x,
    enum reading_kind kind)
{
	struct routes	  *r;
	struct destination d = x->d;

	if (destination_is_subscription(&d))
		return routes_ref(o->routes);
	r = routes_new();
	if (kind == READING_REPLAY)
		d.types = x->replay_types;
	routes_add(r, &d);
	routes_seal(r);
	mem_wipe(&d, sizeof(d));
	return r;
}

struct reading *
reading_start(struct outbox *o, enum reading_kind kind, struct outlet *x,
    loop_fn *done)
{
	struct reading *r = mem_alloc(sizeof(*r));

	r->outbox = o;
	r->spool = o->setup.spool;
	r->book = o->setup.book;
	r->conf = conf_ref(o->setup.conf);
	r->kind = kind;
	r->at = reading_from(o, kind, x);
	if (x == NULL) {
		r->routes = routes_ref(o->routes);
	} else {
		r->routes = routes_for(o, x, kind);
		r->id = x->d.id;
		r->types = x->replay_types;
		if (kind == READING_REPLAY)
			r->via = x->replay_via;
		r->hits_max = kind == READING_COUNT ? 0 : outlet_room(x);
	}
	r->job.asker = o->setup.loop;
	r->job.run = reading_run;
	r->job.done = done;
	if (workers_post(o->setup.workers, &r->job))
		return r;
	o->no_worker = true;
	reading_free(r);
	return NULL;
}

void
reading_free(struct reading *r)
{
	conf_unref(r->conf);
	routes_unref(r->routes);
	mem_free(r->hits);
	mem_free(r);
}

/* -- one record ------------------------------------------------------------ */

struct record_reading {
	const struct record_wanted *w;
	record_fn	  *fn;
	void		  *arg;
	struct err	  *e;
	enum record_answer answer;
};

static bool
record_on_event(void *reading, uint64_t sequence, const struct event *ev)
{
	struct record_reading *r = reading;
	struct event_mail      mail;
	struct mail_row	       row;
	struct arena	      *a;
	int		       rc;

	if (sequence != r->w->sequence)
		return false; /* it has been swept */
	a = arena_new(OUTBOX_EVENT_ARENA);
	rc = event_mail_find(r->w->spool, r->w->conf, &ev->message, a, &row,
	    &mail, r->e);
	if (rc == 1 && r->fn(r->arg, ev, &mail))
		r->answer = RECORD_THERE;
	else if (rc == 1)
		(void)err_set(r->e, "no room for a record");
	if (rc < 0 || (rc == 1 && r->answer != RECORD_THERE))
		r->answer = RECORD_FAILED;
	arena_free(a);
	return false;
}

enum record_answer
record_read(const struct record_wanted *w, record_fn *fn, void *arg,
    struct err *e)
{
	struct record_reading r = { w, fn, arg, e, RECORD_GONE };

	if (spool_scan_events(w->spool, w->sequence - 1, 1, record_on_event,
		&r, e) < 0)
		return RECORD_FAILED;
	return r.answer;
}

struct record_making {
	struct event_form form;
	struct buf	 *out;
};

static bool
record_write(void *making, const struct event *ev,
    const struct event_mail *mail)
{
	struct record_making *m = making;

	return event_write_json_as(ev, mail, &m->form, m->out);
}

enum record_answer
record_make(const struct record_wanted *w, struct buf *out, struct err *e)
{
	struct record_making m = { w->form, out };

	buf_clear(out);
	return record_read(w, record_write, &m, e);
}

/* -- whose notification it was --------------------------------------------- */

struct owner_reading {
	struct outbox	      *outbox;
	uint64_t	       sequence;
	struct withdrawal_case owner;
	bool		       found;
};

static bool
owner_on_event(void *reading, uint64_t sequence, const struct event *ev)
{
	struct owner_reading *r = reading;
	struct mail_row	      row;
	struct arena	     *a;
	struct err	      e;

	if (sequence != r->sequence ||
	    !notification_kind_of(ev->type, &r->owner.kind))
		return false;
	a = arena_new(OUTBOX_EVENT_ARENA);
	if (spool_read_mail(r->outbox->setup.spool, &ev->message, a, &row,
		&e) == 1) {
		bytes_text(row.identity_account, r->owner.account,
		    sizeof(r->owner.account));
		bytes_text(row.identity, r->owner.identity,
		    sizeof(r->owner.identity));
		r->found = row.identity.n > 0;
	}
	arena_free(a);
	return false;
}

void
outbox_withdraw(struct outbox *o, const struct topic_ref *topic,
    uint64_t sequence)
{
	struct owner_reading r = { .outbox = o, .sequence = sequence };
	struct err	     e;

	r.owner.topic = *topic;
	if (spool_scan_events(o->setup.spool, sequence - 1, 1, owner_on_event,
		&r, &e) >= 0 && r.found)
		withdrawal_begin(o->setup.withdrawal, &r.owner);
}
