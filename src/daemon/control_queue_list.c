/* SPDX-License-Identifier: ISC */
/*
 * The queue as a list (delivery.md 13).  A worker writes the lines of a
 * window, main passes them on: a queue of a million envelopes holds neither
 * thread for longer than a window takes, and no more than a few of them are
 * in memory.  The row is written here and not by jansson, which needed twice
 * the time of all the rest.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/control_queue.h"
#include "mail/event.h"

/* -- rows ------------------------------------------------------------------ */

static void
row_add_text(struct buf *out, const char *name, struct bytes text)
{
	buf_add_text(out, name);
	event_write_string(text, out);
}

static void
row_add_time(struct buf *out, const char *name, struct wall w)
{
	char text[CLOCK_TEXT_MAX];

	buf_add_text(out, name);
	if (w.ms == 0) {
		buf_add_text(out, "null");
		return;
	}
	buf_add_char(out, '"');
	buf_add_text(out, wall_iso(w, text));
	buf_add_char(out, '"');
}

static void
row_add_number(struct buf *out, const char *name, int64_t n)
{
	char	 digits[24], *p = digits + sizeof(digits);
	uint64_t left = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;

	do
		*--p = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (n < 0)
		*--p = '-';
	buf_add_text(out, name);
	buf_add(out, p, (size_t)(digits + sizeof(digits) - p));
}

static void
row_add_held_by(struct buf *out, uint8_t held_by)
{
	static const char *const names[] = { "\"account\"",
		"\"config-set\"", "\"operator\"" };
	unsigned i;
	bool	 any = false;

	buf_add_text(out, ",\"HeldBy\":[");
	for (i = 0; i < 3; i++) {
		if ((held_by & 1u << i) == 0)
			continue;
		if (any)
			buf_add_char(out, ',');
		buf_add_text(out, names[i]);
		any = true;
	}
	buf_add_char(out, ']');
}

void
queue_write_row(const struct conf *conf, struct wall now,
    const struct sweep_row *w, struct buf *out)
{
	char		 id[MSGID_TEXT + 1];
	enum queue_state state = queue_state_of(&w->r, w->active, now);

	msgid_to_text(&w->r.id, conf->server.id_prefix, 0, id);
	row_add_text(out, "{\"MessageId\":", bytes_of(id));
	row_add_number(out, ",\"RecipientIndex\":", w->r.n);
	row_add_text(out, ",\"Recipient\":", w->r.address);
	row_add_text(out, ",\"State\":", bytes_of(
	    queue_state_to_text(state)));
	row_add_held_by(out, w->r.state == ENVELOPE_HELD ? w->r.held_by : 0);
	row_add_number(out, ",\"Attempts\":", w->r.attempts);
	row_add_time(out, ",\"NextAttempt\":", state == QUEUE_HELD ||
	    state == QUEUE_ACTIVE ? (struct wall){ 0 } : w->r.next);
	row_add_time(out, ",\"LastAttempt\":", w->r.last_attempt);
	row_add_time(out, ",\"ExpiresAt\":", w->r.expires);
	row_add_number(out, ",\"AgeSeconds\":",
	    (now.ms - msgid_time(&w->r.id).ms) / 1000);
	if (w->r.last_reply.n > 0)
		row_add_text(out, ",\"LastReply\":", w->r.last_reply);
	else
		buf_add_text(out, ",\"LastReply\":null");
	row_add_text(out, ",\"Account\":", bytes_of(w->account));
	buf_add_char(out, '}');
}

json_t *
queue_row_json(const struct conf *conf, struct wall now,
    const struct sweep_row *w)
{
	struct buf text;
	json_t	  *row;

	buf_init(&text, SIZE_MAX / 2);
	queue_write_row(conf, now, w, &text);
	row = json_loadb(text.p, text.n, JSON_ALLOW_NUL, NULL);
	must(row != NULL);
	buf_wipe(&text);
	return row;
}

/* -- list ------------------------------------------------------------------ */

static void
list_gone(struct request *q)
{
	struct sweep *s = q->state;

	s->stop = true;
	if (s->paused) {
		s->paused = false;
		sweep_next(s);
	}
}

static void
list_room(struct request *q)
{
	struct sweep *s = q->state;

	if (!s->paused)
		return;
	s->paused = false;
	sweep_next(s);
}

/* A page ends with the token of its last row. */
static void
list_full(struct sweep *s)
{
	char id[MSGID_TEXT + 1], token[MSGID_TEXT + 16];

	msgid_to_text(&s->last.id, s->conf->server.id_prefix, 0, id);
	snprintf(token, sizeof(token), "%s:%u", id, s->last.n);
	request_set(s->q, "NextToken", json_string(token));
	s->stop = true;
}

/* On the worker: false = the page is full. */
static bool
list_lay_out(struct sweep *s, const struct sweep_row *w)
{
	if (s->limit > 0 && s->shown == s->limit) {
		s->more = true;
		return false;
	}
	buf_add_text(&s->lines, "{\"line\":");
	queue_write_row(s->conf, s->filter.now, w, &s->lines);
	buf_add_text(&s->lines, "}\n");
	if (s->lines.failed) {
		err_set(&s->err, "no memory for the list");
		return false;
	}
	s->last.id = w->r.id;
	s->last.n = w->r.n;
	s->shown++;
	return true;
}

static void
list_show(struct sweep *s)
{
	bool room = request_lines(s->q, buf_bytes(&s->lines));

	buf_clear(&s->lines);
	if (s->more)
		list_full(s);
	if (s->q->caller == NULL)
		s->stop = true;
	if (room || s->stop)
		sweep_next(s);
	else
		s->paused = true;
}

static void
list_done(struct sweep *s)
{
	struct request *q = s->q;

	q->on_gone = q->on_room = NULL;
	if (s->err.text[0] != '\0')
		q->err = s->err;
	request_end(q);
}

static int
list_take_page(struct request *q, struct sweep *s)
{
	const char *token = arg_text(q, "next-token");
	const char *colon = token != NULL ? strrchr(token, ':') : NULL;
	int64_t	    limit = 0;
	uint64_t    n;

	if (arg_int(q, "limit", 1, 1000000, &limit) < 0)
		return -1;
	s->limit = (uint64_t)limit;
	if (token == NULL)
		return 0;
	if (colon == NULL || !bytes_to_u64(bytes_of(colon + 1), &n) ||
	    n > MSGID_RECIPIENT_MAX || !msgid_from_text(bytes_head(
		bytes_of(token), (size_t)(colon - token)), &s->at.id, NULL)) {
		q->error_code = "InvalidNextTokenException";
		return request_refuse(q, BOOK_BAD_REQUEST, "bad next token");
	}
	s->at.n = (unsigned)n;
	s->begun = true;
	return 0;
}

static void
list_start(struct request *q, struct carrier_query *c)
{
	struct sweep *s = sweep_new(q->control, q);

	queue_take_active(s, c);
	if (queue_take_filter(q, &s->filter) != 0 ||
	    list_take_page(q, s) != 0) {
		request_end(q);
		return;
	}
	q->on_gone = list_gone;
	q->on_room = list_room;
	s->lay_out = list_lay_out;
	s->show = list_show;
	s->done = list_done;
	sweep_start(s);
}

void
queue_list(struct request *q)
{
	queue_look(q, list_start);
}

