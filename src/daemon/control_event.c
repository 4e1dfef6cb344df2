/* SPDX-License-Identifier: ISC */
/* event tail: what happened, and what happens. */
#include "daemon/control_event.h"

#include <stdio.h>
#include <string.h>

enum {
	EVENT_ARENA = 1024 * 1024,
	WINDOW_EVENTS = 256, /* looked at before the socket is */
	WINDOW_OCTETS = 1024 * 1024,
	RECORD_MAX = 512 * 1024
};

/* -- a message as events show it ------------------------------------------- */

/* What holds for the message as a whole (events.md 3), then its own tags. */
static bool
event_fill_tags(struct arena *a, const struct mail_row *row,
    struct event_mail *out)
{
	const struct message_tag automatic[] = {
		{ BYTES("ses:configuration-set"), row->config_set },
		{ BYTES("ses:source-ip"), row->client_ip },
		{ BYTES("ses:from-domain"), row->from_domain },
		{ BYTES("ses:caller-identity"), row->credential },
		{ BYTES("ses:source-tls-version"), row->tls_version },
		{ BYTES("ses:operation"),
		    bytes_eq_text(row->listener, "control") ?
			BYTES("SendRawEmail") : BYTES("SendSmtpEmail") },
	};
	enum { AUTOMATIC = sizeof(automatic) / sizeof(automatic[0]) };
	struct message_tag *tags = arena_alloc(a,
	    (AUTOMATIC + row->tag_count) * sizeof(*tags));
	size_t i, n = 0;

	if (tags == NULL)
		return false;
	for (i = 0; i < AUTOMATIC; i++)
		if (automatic[i].value.n > 0)
			tags[n++] = automatic[i];
	for (i = 0; i < row->tag_count; i++)
		tags[n++] = row->tags[i];
	out->tags = tags;
	out->tag_count = n;
	return true;
}

bool
event_find_mail(struct relay *r, const struct conf *c, const struct msgid *id,
    struct arena *a, struct event_mail *out, struct mail_row *row)
{
	struct err e;
	char	   text[MSGID_TEXT + 1];

	if (spool_read_mail(r->spool, id, a, row, &e) != 1)
		return false;
	memset(out, 0, sizeof(*out));
	out->accepted = row->accepted;
	out->source = row->sender;
	if (row->identity.n > 0)
		out->source_arn = bytes_of(arena_printf(a,
		    "arn:aws:ses:%s:%.*s:identity/%.*s", c->server.region,
		    (int)row->identity_account.n, row->identity_account.p,
		    (int)row->identity.n, row->identity.p));
	out->account = arena_bytes(a, bytes_of(row->account));
	msgid_to_text(id, c->server.id_prefix, 0, text);
	out->message_id = arena_bytes(a, bytes_of(text));
	out->destinations = row->recipients;
	out->destination_count = row->recipient_count;
	out->snapshot = row->snapshot;
	if (!event_fill_tags(a, row, out))
		return false;
	out->source_ip = row->client_ip;
	out->caller = row->credential;
	out->region = bytes_of(c->server.region);
	out->access_key_id = row->access_key;
	return out->message_id.p != NULL && out->account.p != NULL;
}

/* -- event tail ------------------------------------------------------------ */

struct tail {
	struct request *q;
	unsigned	types; /* a bit each; 0 = all */
	struct bytes	to, config_set;
	struct msgid	id;
	bool		has_id, text, follow;
	uint64_t	after; /* sequence that was looked at last */
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
	return !t->out.failed;
}

static bool
tail_on_event(void *arg, uint64_t sequence, const struct event *ev)
{
	struct tail	 *t = arg;
	struct arena	 *a;
	struct event_mail m;
	struct mail_row	  row;
	bool		  ok = true;

	t->after = sequence;
	t->more = true;
	if ((t->types != 0 && (t->types & (1u << ev->type)) == 0) ||
	    (t->has_id && msgid_cmp(&ev->message, &t->id) != 0))
		return true;
	a = arena_new(EVENT_ARENA);
	if (event_find_mail(t->q->relay, t->q->conf, &ev->message, a, &m,
		&row) &&
	    (!t->q->has_account ||
		strcmp(row.account, t->q->account.id) == 0) &&
	    (t->config_set.n == 0 ||
		bytes_eq(row.config_set, t->config_set)) &&
	    tail_wants_to(t, ev, &m))
		ok = tail_write(t, ev, &m);
	arena_free(a);
	return ok && t->out.n < WINDOW_OCTETS;
}

/* On a worker: one window. */
static int
tail_work(struct request *q)
{
	struct tail *t = q->state;

	t->more = false;
	return spool_scan_events(q->relay->spool, t->after, WINDOW_EVENTS,
		   tail_on_event, t, &q->err) < 0 ? -1 : 0;
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
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
