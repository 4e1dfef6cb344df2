/* SPDX-License-Identifier: ISC */
/*
 * Mail that came back, as it is kept raw for a while (bounces-and-feedback.md
 * 6.3): the list of it, one with its content, one to be read once more.  A
 * worker writes the lines of a window, main passes them on.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/control_private.h"
#include "store/spool_intake.h"

enum {
	LIST_ROWS = 64, /* looked at before the socket is; each may be long */
	LIST_OCTETS = 16 * 1024 * 1024, /* of these */
	LIST_NAMES = 8, /* recipients; posthornctl reads no more of a row */
	SHOW_ARENA = 512 * 1024,
	PIECE = 65536
};

static int
feedback_take_id(struct request *q, const char *name, struct msgid *id)
{
	const char *text = arg_text(q, name);
	unsigned    recipient;

	if (text == NULL || !msgid_from_text(bytes_of(text), id, &recipient) ||
	    recipient != 0)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "not the id of a raw message: %.80s",
		    text != NULL ? text : "");
	return 0;
}

/* What the rows of the list and show have; the list names the first of many
 * recipients. */
static json_t *
feedback_json(const struct conf *c, const struct intake_row *r,
    unsigned to_max)
{
	json_t	*to = json_array();
	char	 id[MSGID_TEXT + 1];
	unsigned i;

	msgid_to_text(&r->id, c->server.id_prefix, 0, id);
	for (i = 0; i < r->recipient_count && i < to_max; i++)
		json_array_append_new(to, json_of_bytes(r->recipients[i]));
	return json_pack("{s:s, s:o, s:s, s:s, s:I, s:o, s:o, s:i, s:o, s:o, "
	    "s:o, s:o, s:s, s:b}", "Id", id, "Received", json_of_wall(r->received),
	    "Kind", intake_kind_to_text(r->kind),
	    "Result", intake_result_to_text(r->result),
	    "Size", (json_int_t)(r->head_octets + r->body_octets),
	    "Sender", json_of_bytes(r->sender), "Recipients", to,
	    "RecipientCount", (int)r->recipient_count,
	    "ClientIp", json_of_bytes(r->client_ip),
	    "Ehlo", json_of_bytes(r->ehlo),
	    "Listener", json_of_bytes(r->listener),
	    "TlsVersion", r->tls_version.n > 0 ?
		json_of_bytes(r->tls_version) : json_null(),
	    "Spf", intake_spf_to_text(r),
	    "Authenticated", intake_is_authenticated(r));
}

/* -- list ------------------------------------------------------------------ */

struct feedback_list {
	struct request *q;
	struct msgid	after;
	bool		begun; /* after is one */
	uint64_t	limit, shown; /* limit 0 = all */
	/* of the worker */
	struct buf out; /* lines */
	bool	   more, full, busy;
};

static void
list_wipe(void *list)
{
	buf_wipe(&((struct feedback_list *)list)->out);
}

static bool
list_on_row(void *arg, const struct intake_row *r)
{
	struct feedback_list *l = arg;
	json_t		     *row;
	char		     *text;

	if (l->limit > 0 && l->shown == l->limit) {
		l->full = true;
		return false;
	}
	row = feedback_json(l->q->conf, r, LIST_NAMES);
	text = json_dumps(row, CONTROL_JSON_FLAGS);
	buf_add_text(&l->out, "{\"line\":");
	buf_add_text(&l->out, text != NULL ? text : "{}");
	buf_add_text(&l->out, "}\n");
	free(text);
	json_decref(row);
	l->after = r->id;
	l->begun = l->more = true;
	l->shown++;
	return !l->out.failed;
}

static int
list_work(struct request *q)
{
	struct feedback_list *l = q->state;

	l->more = false;
	if (spool_scan_intake(q->relay->spool, l->begun ? &l->after : NULL,
		LIST_ROWS, list_on_row, l, &q->err) < 0)
		return -1;
	return l->out.failed ? err_set(&q->err, "no memory for the list") : 0;
}

static void list_worked(struct request *q);

static void
list_go(struct request *q)
{
	struct feedback_list *l = q->state;

	if (l->busy)
		return;
	l->busy = true;
	request_work(q, list_work, list_worked);
}

static void
list_end(struct request *q)
{
	struct feedback_list *l = q->state;
	char		      id[MSGID_TEXT + 1];

	q->on_gone = q->on_room = NULL;
	if (l->full) {
		msgid_to_text(&l->after, q->conf->server.id_prefix, 0, id);
		request_set(q, "NextToken", json_string(id));
	}
	request_end(q);
}

static void
list_worked(struct request *q)
{
	struct feedback_list *l = q->state;
	bool		      room = request_lines(q, buf_bytes(&l->out));

	l->busy = false;
	buf_clear(&l->out);
	if (q->caller == NULL || l->full || !l->more)
		list_end(q);
	else if (room)
		list_go(q);
}

static void
list_gone(struct request *q)
{
	struct feedback_list *l = q->state;

	if (!l->busy)
		list_end(q);
}

static void
feedback_list(struct request *q)
{
	struct feedback_list *l = request_state(q, sizeof(*l), list_wipe);
	int64_t		      limit = 0;

	l->q = q;
	buf_init(&l->out, LIST_OCTETS);
	if (arg_int(q, "limit", 1, 1000000, &limit) < 0) {
		request_end(q);
		return;
	}
	l->limit = (uint64_t)limit;
	l->begun = arg_has(q, "next-token");
	if (l->begun && feedback_take_id(q, "next-token", &l->after) != 0) {
		q->error_code = "InvalidNextTokenException";
		request_end(q);
		return;
	}
	q->on_gone = list_gone;
	q->on_room = list_go;
	list_go(q);
}

/* -- show ------------------------------------------------------------------ */

struct feedback_show {
	struct msgid	  id;
	struct arena	 *arena;
	struct intake_row row;
	int		  headers_fd, body_fd;
};

static void
show_wipe(void *show)
{
	struct feedback_show *s = show;

	arena_free(s->arena);
	if (s->headers_fd >= 0)
		close(s->headers_fd);
	if (s->body_fd >= 0)
		close(s->body_fd);
}

/* A part of the content goes into the caller's file: it may be anything. */
static int
show_copy(struct request *q, int fd, uint64_t from, uint64_t to)
{
	struct feedback_show *s = q->state;
	char		     *piece = mem_alloc(PIECE);
	ptrdiff_t	      n = 1;

	while (from < to && n > 0) {
		n = spool_read_raw(q->relay->spool, &s->row, from, piece,
		    to - from < PIECE ? (size_t)(to - from) : PIECE, &q->err);
		if (n > 0 && write(fd, piece, (size_t)n) != n)
			n = err_sys(&q->err, "write");
		from += n > 0 ? (uint64_t)n : 0;
	}
	mem_free(piece);
	return n < 0 ? -1 : 0;
}

static int
feedback_find(struct request *q, const struct msgid *id, struct arena *a,
    struct intake_row *r)
{
	int found = spool_read_intake(q->relay->spool, id, a, r, &q->err);

	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such raw message: %s", arg_text(q, "id"));
	return found < 0 ? -1 : 0;
}

static int
show_work(struct request *q)
{
	struct feedback_show *s = q->state;
	uint64_t	      head;

	if (feedback_find(q, &s->id, s->arena, &s->row) != 0)
		return -1;
	head = s->row.head_octets;
	if (s->headers_fd >= 0 && show_copy(q, s->headers_fd, 0, head) != 0)
		return -1;
	return s->body_fd < 0 ? 0 :
	    show_copy(q, s->body_fd, head, head + s->row.body_octets);
}

static void
show_finish(struct request *q)
{
	struct feedback_show *s = q->state;
	json_t		     *row = feedback_json(q->conf, &s->row, UINT_MAX);

	json_object_update(q->result, row);
	json_decref(row);
	request_end(q);
}

static void
feedback_show(struct request *q)
{
	struct feedback_show *s = request_state(q, sizeof(*s), show_wipe);

	s->headers_fd = s->body_fd = -1;
	s->arena = arena_new(SHOW_ARENA);
	if (feedback_take_id(q, "id", &s->id) != 0 ||
	    arg_file(q, "headers", &s->headers_fd) < 0 ||
	    arg_file(q, "body", &s->body_fd) < 0) {
		request_end(q);
		return;
	}
	request_work(q, show_work, show_finish);
}

/* -- replay ---------------------------------------------------------------- */

struct feedback_replay {
	struct change	change; /* first: cast back from it */
	struct request *q;
	struct msgid	id;
	int		found;
};

/* On the writer. */
static int
replay_write(struct change *c, struct spool_txn *t, struct err *e)
{
	struct feedback_replay *r = (struct feedback_replay *)c;

	r->found = spool_judge_again(t, &r->id, e);
	return r->found < 0 ? -1 : 0;
}

static void
replay_on_written(void *replay, void *change)
{
	struct feedback_replay *r = replay;

	(void)change;
	if (r->change.result != RECEIPT_OK)
		err_set(&r->q->err, "the store is down");
	else if (r->found == 0)
		(void)request_refuse(r->q, BOOK_TOO_MANY, "it is being read, "
		    "or a copy of it has yet to go");
	request_end(r->q);
}

static int
replay_find(struct request *q)
{
	struct feedback_replay *r = q->state;
	struct arena	       *a = arena_new(SHOW_ARENA);
	struct intake_row	row;
	int			rc = feedback_find(q, &r->id, a, &row);

	arena_free(a);
	return rc;
}

static void
replay_go(struct request *q)
{
	struct feedback_replay *r = q->state;
	struct change	       *c = &r->change;

	if (q->dry_run) {
		request_would(q, "read %s again", arg_text(q, "id"));
		request_end(q);
		return;
	}
	c->from = q->relay->main;
	c->on_receipt = replay_on_written;
	c->ctx = r;
	c->also = replay_write;
	if (!spool_change(q->relay->spool, c))
		request_end_refused(q, BOOK_TOO_MANY, "too much to do");
}

static void
feedback_replay(struct request *q)
{
	struct feedback_replay *r = request_state(q, sizeof(*r), NULL);

	r->q = q;
	if (feedback_take_id(q, "id", &r->id) != 0)
		request_end(q);
	else
		request_work(q, replay_find, replay_go);
}

const struct command control_feedback_commands[] = {
	{ "feedback list", NEED_OPERATOR, SCOPE_NONE, NULL, NULL,
	    feedback_list },
	{ "feedback show", NEED_OPERATOR, SCOPE_NONE, NULL, NULL,
	    feedback_show },
	{ "feedback replay", NEED_OPERATOR, SCOPE_NONE, "FeedbackReplay",
	    NULL, feedback_replay },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
