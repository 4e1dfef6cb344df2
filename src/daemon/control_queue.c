/* SPDX-License-Identifier: ISC */
/* The queue, looked at: one message, and what all commands choose by. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/control_queue.h"
#include "mail/address.h"

enum {
	SHOW_ARENA = 4 * 1024 * 1024,
	CONTENT_PIECE_READ = 65536,
	EVENTS_SHOWN = 1000
};

/* -- what is under way ----------------------------------------------------- */

struct look_order {
	struct carrier_query query;
	struct request	    *q;
	void (*next)(struct request *q, struct carrier_query *c);
};

static void
queue_on_look(void *query, void *unused)
{
	struct look_order *o = heap_entry(query, struct look_order, query);

	(void)unused;
	o->q->held = NULL;
	queue_sort_active(o->query.active_keys, o->query.active_count);
	o->next(o->q, &o->query);
	mem_free(o->query.active_keys);
	mem_free(o);
}

void
queue_look(struct request *q,
    void (*next)(struct request *q, struct carrier_query *c))
{
	struct look_order *o = mem_alloc(sizeof(*o));

	o->q = q;
	q->held = o;
	o->next = next;
	o->query.asker = q->relay->main;
	o->query.done = queue_on_look;
	if (carrier_post_query(q->relay->carrier, &o->query))
		return;
	/* too busy to say: then nothing is shown as under way */
	queue_on_look(&o->query, NULL);
}

/* The window's own copy: the query goes. */
void
queue_take_active(struct sweep *s, struct carrier_query *c)
{
	s->filter.active = c->active_keys;
	s->filter.active_count = c->active_count;
	s->active_keys = c->active_keys;
	c->active_keys = NULL;
}

/* -- arguments ------------------------------------------------------------- */

int
queue_take_filter(struct request *q, struct queue_filter *f)
{
	static const char *const states[] = { "any", "ready", "active",
		"deferred", "held", "scheduled", NULL };
	int64_t age = 0;
	int	i = 0;

	if (q->has_account)
		memcpy(f->account, q->account.id, sizeof(f->account));
	if (arg_word(q, "state", states, &i) < 0 ||
	    arg_int(q, "older-than", 0, INT64_C(3660) * 86400000, &age) < 0)
		return -1;
	f->state = (enum queue_state)i;
	f->to = bytes_of(arg_text(q, "to"));
	f->from = bytes_of(arg_text(q, "from"));
	f->credential = bytes_of(arg_text(q, "credential"));
	f->config_set = bytes_of(arg_text(q, "config-set"));
	f->now = q->now;
	f->rcpt = bytes_of(arg_text(q, "rcpt"));
	if (age > 0)
		f->older_than.ms = q->now.ms - age;
	return 0;
}

int
queue_take_id(struct request *q, const char *text, struct msgid *id)
{
	unsigned recipient;

	if (text == NULL || !msgid_from_text(bytes_of(text), id, &recipient))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "not a message id: %.80s", text != NULL ? text : "");
	/* of an envelope sender: nobody means the whole message by it */
	if (recipient != 0)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "%.80s names a recipient, give --rcpt", text);
	return 0;
}

/* -- show ------------------------------------------------------------------ */

struct queue_show {
	struct request	*q;
	struct msgid	 id;
	struct arena	*arena;
	struct mail_row	 mail;
	struct message_row message;
	bool		 has_message;
	struct due_key	*active;
	size_t		 active_count;
	int		 headers_fd, body_fd;
	json_t		*jobs, *history;
	unsigned	 events;
};

static void
queue_show_wipe(void *show)
{
	struct queue_show *s = show;

	arena_free(s->arena);
	mem_free(s->active);
	if (s->headers_fd >= 0)
		close(s->headers_fd);
	if (s->body_fd >= 0)
		close(s->body_fd);
}

static bool
show_on_row(void *arg, const struct recipient_row *r)
{
	struct queue_show *s = arg;
	struct sweep_row   w;

	if (msgid_cmp(&r->id, &s->id) != 0)
		return false;
	memset(&w, 0, sizeof(w));
	w.r = *r;
	memcpy(w.account, s->mail.account, sizeof(w.account));
	w.active = queue_is_active(s->active, s->active_count, r);
	if (!w.active)
		queue_see_pause(s->q->control, &s->mail.config_set_id, &w.r);
	json_array_append_new(s->jobs, queue_row_json(s->q->conf, s->q->now,
	    &w));
	return true;
}

static bool
show_on_event(void *arg, uint64_t sequence, const struct event *ev)
{
	struct queue_show *s = arg;
	json_t		  *row;

	(void)sequence;
	if (msgid_cmp(&ev->message, &s->id) != 0)
		return true;
	row = json_pack("{s:o, s:s}", "Timestamp", json_of_wall(ev->at),
	    "Type", event_type_to_text(ev->type));
	if (ev->recipient_count > 0) {
		json_object_set_new(row, "Recipient",
		    json_of_bytes(ev->recipients[0].address));
		if (ev->recipients[0].diagnostic.n > 0)
			json_object_set_new(row, "Diagnostic", json_of_bytes(
			    ev->recipients[0].diagnostic));
	}
	if (ev->reply.n > 0)
		json_object_set_new(row, "Reply", json_of_bytes(ev->reply));
	if (ev->outgoing_ip.n > 0)
		json_object_set_new(row, "OutgoingIp",
		    json_of_bytes(ev->outgoing_ip));
	if (ev->remote_ip.n > 0)
		json_object_set_new(row, "RemoteIp",
		    json_of_bytes(ev->remote_ip));
	json_array_append_new(s->history, row);
	return ++s->events < EVENTS_SHOWN;
}

/* A part of the content goes into the caller's file: it may be anything. */
static int
show_copy(struct queue_show *s, int fd, uint64_t from, uint64_t to)
{
	char	 *piece = mem_alloc(CONTENT_PIECE_READ);
	ptrdiff_t n = 1;
	uint64_t  want;

	while (from < to && n > 0) {
		want = to - from < CONTENT_PIECE_READ ? to - from
						      : CONTENT_PIECE_READ;
		n = spool_read_content(s->q->relay->spool, &s->message, from,
		    piece, (size_t)want, &s->q->err);
		if (n > 0 && write(fd, piece, (size_t)n) != n)
			n = err_sys(&s->q->err, "write");
		from += n > 0 ? (uint64_t)n : 0;
	}
	mem_free(piece);
	return n < 0 ? -1 : 0;
}

static int
show_content(struct queue_show *s)
{
	uint64_t head = s->message.head_octets;

	if (s->headers_fd < 0 && s->body_fd < 0)
		return 0;
	if (!s->has_message)
		return request_refuse(s->q, BOOK_NOT_FOUND,
		    "the content is no longer kept");
	if (s->headers_fd >= 0 && show_copy(s, s->headers_fd, 0, head) != 0)
		return -1;
	return s->body_fd < 0 ? 0 :
		show_copy(s, s->body_fd, head, head + s->message.body_octets);
}

static int
show_work(struct request *q)
{
	struct queue_show *s = q->state;
	struct spool	  *spool = q->relay->spool;
	char		   id[MSGID_TEXT + 1];
	uint64_t	   since;
	int		   found;

	msgid_to_text(&s->id, q->conf->server.id_prefix, 0, id);
	found = spool_read_mail(spool, &s->id, s->arena, &s->mail, &q->err);
	if (found == 0 || (found == 1 && q->has_account &&
	    strcmp(q->account.id, s->mail.account) != 0))
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such message: %s", id);
	if (found < 0)
		return -1;
	found = spool_read_message(spool, &s->id, s->arena, &s->message,
	    &q->err);
	if (found < 0)
		return -1;
	s->has_message = found == 1;
	s->jobs = json_array();
	s->history = json_array();
	request_set(q, "Jobs", s->jobs);
	request_set(q, "History", s->history);
	if (spool_scan_recipients(spool, &s->id, 0, SIZE_MAX, show_on_row, s,
		&q->err) < 0)
		return -1;
	since = spool_first_event_since(spool, s->mail.accepted);
	if (spool_scan_events(spool, since > 0 ? since - 1 : 0, SIZE_MAX,
		show_on_event, s, &q->err) < 0)
		return -1;
	return show_content(s);
}

static void
show_finish(struct request *q)
{
	struct queue_show     *s = q->state;
	const struct mail_row *m = &s->mail;
	char		       id[MSGID_TEXT + 1];

	msgid_to_text(&s->id, q->conf->server.id_prefix, 0, id);
	request_set(q, "MessageId", json_string(id));
	request_set(q, "Account", json_string(m->account));
	request_set(q, "Credential", json_of_bytes(m->credential));
	request_set(q, "Class", json_string(m->system ? "system" : "normal"));
	request_set(q, "Accepted", json_of_wall(m->accepted));
	request_set(q, "ExpiresAt", json_of_wall(m->expires));
	request_set(q, "ClientIp", json_of_bytes(m->client_ip));
	request_set(q, "Listener", json_of_bytes(m->listener));
	request_set(q, "Sender", json_of_bytes(m->sender));
	request_set(q, "Identity", json_of_bytes(m->identity));
	if (m->config_set.n > 0)
		request_set(q, "ConfigurationSetName",
		    json_of_bytes(m->config_set));
	if (m->pool.n > 0)
		request_set(q, "SendingPoolName",
		    json_of_bytes(m->pool));
	if (s->has_message && s->message.tls_policy == MESSAGE_TLS_REQUIRE)
		request_set(q, "TlsPolicy", json_string("REQUIRE"));
	request_set(q, "ClientMessageId", json_of_bytes(m->message_id));
	request_set(q, "Subject", json_of_bytes(m->subject));
	request_set(q, "Size", json_integer((json_int_t)m->size));
	request_set(q, "Recipients", json_integer(m->recipient_count));
	request_end(q);
}

static void
show_start(struct request *q, struct carrier_query *c)
{
	struct queue_show *s = request_state(q, sizeof(*s), queue_show_wipe);

	s->q = q;
	s->headers_fd = s->body_fd = -1;
	s->arena = arena_new(SHOW_ARENA);
	s->active = c->active_keys;
	s->active_count = c->active_count;
	c->active_keys = NULL;
	if (arg_has(q, "body") && q->right.role != CONTROL_FULL) {
		q->error_code = "AccessDeniedException";
		request_end_refused(q, BOOK_BAD_REQUEST, "permission denied");
		return;
	}
	if (queue_take_id(q, arg_text(q, "id"), &s->id) != 0 ||
	    arg_file(q, "headers", &s->headers_fd) < 0 ||
	    arg_file(q, "body", &s->body_fd) < 0) {
		request_end(q);
		return;
	}
	request_work(q, show_work, show_finish);
}

static void
queue_show_run(struct request *q)
{
	queue_look(q, show_start);
}

const struct command control_queue_commands[] = {
	{ "queue list", NEED_READ, SCOPE_OPTIONAL, NULL, NULL, queue_list },
	{ "queue show", NEED_READ, SCOPE_OPTIONAL, NULL, NULL,
	    queue_show_run },
	{ "queue summary", NEED_READ, SCOPE_OPTIONAL, NULL, NULL,
	    queue_summary },
	{ "queue retry", NEED_FULL, SCOPE_OPTIONAL, "QueueRetry", NULL,
	    queue_change },
	{ "queue hold", NEED_FULL, SCOPE_OPTIONAL, "QueueHold", NULL,
	    queue_change },
	{ "queue release", NEED_FULL, SCOPE_OPTIONAL, "QueueRelease", NULL,
	    queue_change },
	{ "queue bounce", NEED_FULL, SCOPE_OPTIONAL, "QueueBounce", NULL,
	    queue_change },
	{ "queue delete", NEED_FULL, SCOPE_OPTIONAL, "QueueDelete", NULL,
	    queue_change },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
