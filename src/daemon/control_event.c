/* SPDX-License-Identifier: ISC */
/* event tail: what happened, and what happens. */
#include "daemon/control_event.h"

#include <stdio.h>
#include <string.h>

#include "reporting/event_mail.h"

enum {
	EVENT_ARENA = 1024 * 1024,
	WINDOW_EVENTS = 256, /* looked at before the socket is */
	WINDOW_OCTETS = 1024 * 1024,
	RECORD_MAX = 512 * 1024
};

/* -- event tail ------------------------------------------------------------ */

struct tail {
	struct request *q;
	unsigned	types; /* a bit each; 0 = all */
	struct bytes	to, config_set;
	struct msgid	id;
	bool		has_id, text, follow;
	uint64_t	after; /* sequence that was looked at last */
	uint64_t	end; /* without follow: what was to come then */
	/* of the worker */
	struct buf out; /* lines */
	bool	   more, busy, gone, note;
};

static void
tail_wipe(void *tail)
{
	buf_wipe(&((struct tail *)tail)->out);
}

static bool
tail_wants_to(const struct tail *t, const struct event *ev,
    const struct event_mail *m)
{
	size_t i;

	if (t->to.n == 0)
		return true;
	for (i = 0; i < ev->recipient_count; i++)
		if (bytes_eq_nocase(ev->recipients[i].address, t->to))
			return true;
	for (i = 0; ev->recipient_count == 0 && i < m->destination_count; i++)
		if (bytes_eq_nocase(m->destinations[i], t->to))
			return true;
	return false;
}

static bool
tail_wants(const struct tail *t, const struct event *ev,
    const struct event_mail *m, const struct mail_row *row)
{
	return (!t->q->has_account ||
		   strcmp(row->account, t->q->account.id) == 0) &&
	    (t->config_set.n == 0 ||
		bytes_eq(row->config_set, t->config_set)) &&
	    tail_wants_to(t, ev, m);
}

static bool
tail_write(struct tail *t, const struct event *ev,
    const struct event_mail *m)
{
	struct buf line;
	bool	   ok;

	buf_init(&line, RECORD_MAX);
	if (t->text)
		ok = event_write_text(ev, m, &line);
	else
		ok = event_write_json(ev, m, &line);
	if (ok) {
		buf_add_text(&t->out, "{\"line\":");
		if (t->text)
			(void)event_write_string(buf_bytes(&line), &t->out);
		else
			buf_add_bytes(&t->out, buf_bytes(&line));
		buf_add_text(&t->out, "}\n");
	}
	buf_wipe(&line);
	return ok && !t->out.failed;
}

static bool
tail_on_event(void *arg, uint64_t sequence, const struct event *ev)
{
	struct tail	 *t = arg;
	struct arena	 *a;
	struct event_mail m;
	struct mail_row	  row;
	int		  found;

	if (!t->follow && sequence >= t->end)
		return false;
	t->after = sequence;
	t->more = true;
	if (event_is_note(ev) || (t->types != 0 && (t->types & (1u << ev->type)) == 0) ||
	    (t->has_id && msgid_cmp(&ev->message, &t->id) != 0))
		return true;
	a = arena_new(EVENT_ARENA);
	found = event_mail_find(t->q->relay->spool, t->q->conf, &ev->message,
	    a, &row, &m, &t->q->err);
	if (found == 1 && tail_wants(t, ev, &m, &row) &&
	    !tail_write(t, ev, &m))
		found = err_set(&t->q->err, "no room for a record");
	arena_free(a);
	return found >= 0 && t->out.n < WINDOW_OCTETS;
}

/* On a worker: one window. */
static int
tail_work(struct request *q)
{
	struct tail *t = q->state;

	t->more = false;
	if (spool_scan_events(q->relay->spool, t->after, WINDOW_EVENTS,
		tail_on_event, t, &q->err) < 0)
		return -1;
	return q->err.text[0] != '\0' ? -1 : 0;
}

static void tail_worked(struct request *q);

static void
tail_go(struct request *q)
{
	struct tail *t = q->state;

	if (t->busy)
		return;
	t->busy = true;
	t->note = false;
	request_work(q, tail_work, tail_worked);
}

static void
tail_worked(struct request *q)
{
	struct tail *t = q->state;

	t->busy = false;
	if (q->caller != NULL && t->out.n > 0)
		caller_send(q->caller, buf_bytes(&t->out));
	buf_clear(&t->out);
	if (q->caller == NULL || (!t->more && !t->follow)) {
		q->on_gone = q->on_room = NULL;
		request_end(q);
		return;
	}
	if ((t->more || t->note) && request_has_room(q))
		tail_go(q);
}

/* Room again: there may be more than was shown. */
static void
tail_room(struct request *q)
{
	tail_go(q);
}

static void
tail_gone(struct request *q)
{
	struct tail *t = q->state;

	if (!t->busy) {
		q->on_gone = q->on_room = NULL;
		request_end(q);
	}
}

static int
tail_take_types(struct request *q, struct tail *t)
{
	json_t	       *list = arg_list(q, "types"), *v;
	enum event_type type;
	size_t		i;

	json_array_foreach(list, i, v) {
		if (!event_type_from_text(bytes_of(json_string_value(v)),
			&type))
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "no such event type: %s", json_string_value(v));
		t->types |= 1u << type;
	}
	return 0;
}

static void
event_tail(struct request *q)
{
	struct tail *t = request_state(q, sizeof(*t), tail_wipe);
	struct wall  since = { 0 };
	const char  *id = arg_text(q, "message-id");
	uint64_t     first;

	t->q = q;
	buf_init(&t->out, WINDOW_OCTETS + 2 * RECORD_MAX);
	t->text = arg_is_true(q, "text");
	t->follow = arg_is_true(q, "follow");
	t->to = bytes_of(arg_text(q, "to"));
	t->config_set = bytes_of(arg_text(q, "config-set"));
	if (tail_take_types(q, t) != 0 || arg_time(q, "since", &since) < 0) {
		request_end(q);
		return;
	}
	t->has_id = id != NULL;
	if (t->has_id && !msgid_from_text(bytes_of(id), &t->id, NULL)) {
		request_end_refused(q, BOOK_BAD_REQUEST,
		    "not a message id: %.80s", id);
		return;
	}
	if (!arg_has(q, "since")) /* slow readers keep older ones */
		since.ms = q->now.ms - q->conf->events.tail_keep_ms;
	first = spool_first_event_since(q->relay->spool, since);
	t->after = first > 0 ? first - 1 : 0;
	t->end = spool_first_event_since(q->relay->spool,
	    (struct wall){ INT64_MAX });
	q->on_gone = tail_gone;
	q->on_room = tail_room;
	tail_go(q);
}

/* New events: everybody who follows looks. */
void
control_on_events(void *control, void *unused)
{
	struct control *k = control;
	struct request *q, *next;
	struct tail    *t;

	(void)unused;
	for (q = k->requests; q != NULL; q = next) {
		next = q->next;
		if (q->command == NULL || q->command->run != event_tail ||
		    q->on_gone != tail_gone)
			continue;
		t = q->state;
		t->note = true;
		if (!t->busy && request_has_room(q))
			tail_go(q);
	}
}

static void
event_trace(struct request *q)
{
	trace_show(q);
}

const struct command control_event_commands[] = {
	{ "event tail", NEED_READ, SCOPE_OPTIONAL, NULL, NULL, event_tail },
	{ "trace show", NEED_READ, SCOPE_OPTIONAL, NULL, NULL, event_trace },
	{ "trace search", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    trace_search },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
