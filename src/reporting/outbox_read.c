/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "reporting/event_mail.h"
#include "reporting/outbox_private.h"

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

/* A replay asks for the past: not when it happened. */
static bool
reading_wants(const struct reading *r, const struct destination *d,
    const struct event *ev, const struct destination_message *m)
{
	return (r->kind == READING_REPLAY ? (d->types & (1u << ev->type)) != 0
					  : destination_wants(d, ev)) &&
	    destination_filter_passes(&d->filter, ev, m);
}

static void
reading_match(struct reading *r, uint64_t sequence, const struct event *ev,
    const struct mail_row *row, const struct event_mail *mail)
{
	struct destination_message m;
	const struct destination  *d;
	struct hit		   h;
	size_t			   n, i;

	event_mail_ask(r->conf, row, mail, &m);
	d = routes_of(r->routes, &row->config_set_id, &n);
	for (i = 0; i < n; i++) {
		if (!reading_wants(r, &d[i], ev, &m))
			continue;
		memset(&h, 0, sizeof(h));
		h.id = d[i].id;
		h.sequence = sequence;
		h.event = ev->id;
		h.type = ev->type;
		h.octets = record_octets(ev, row);
		reading_add(r, &h);
	}
}

static int
reading_look(struct reading *r, uint64_t sequence, const struct event *ev)
{
	struct event_mail mail;
	struct mail_row	  row;
	struct arena	 *a;
	int		  rc;

	if (!routes_want(r->routes, ev->type))
		return 0;
	a = arena_new(OUTBOX_EVENT_ARENA);
	rc = event_mail_find(r->spool, r->conf, &ev->message, a, &row, &mail,
	    &r->err);
	if (rc == 1)
		reading_match(r, sequence, ev, &row, &mail);
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

/* The destination alone, as a replay wants it. */
static struct routes *
routes_for(const struct outlet *x, enum reading_kind kind)
{
	struct routes	  *r = routes_new();
	struct destination d = x->d;

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
	r->conf = conf_ref(o->setup.conf);
	r->kind = kind;
	r->at = reading_from(o, kind, x);
	if (x == NULL) {
		r->routes = routes_ref(o->routes);
	} else {
		r->routes = routes_for(x, kind);
		r->id = x->d.id;
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
	struct record_making m = { { .extensions = w->extensions }, out };

	buf_clear(out);
	return record_read(w, record_write, &m, e);
}
