/* SPDX-License-Identifier: ISC */
/* send: a message handed in from the command line, as root of an account. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "daemon/control_private.h"
#include "mail/address.h"

enum { SEND_RECIPIENTS_MAX = 20, SEND_PIECE = 65536 };

struct sending {
	struct request	     *q;
	struct desk_injection in;
	int		      fd;
};

static void
sending_wipe(void *sending)
{
	struct sending *s = sending;

	if (s->fd >= 0)
		close(s->fd);
	buf_wipe(&s->in.text);
	mem_free(s->in.to);
}

/* What the reply of a submission is called elsewhere (http-api.md 2). */
static const char *
sending_refusal_code(const struct desk_injection *in)
{
	static const struct {
		const char *part, *code;
	} codes[] = {
		{ "Sending paused", "SendingPausedException" },
		{ "not authorized", "AccessDeniedException" },
		{ "Configuration set does not exist", "NotFoundException" },
		{ "sending rate exceeded", "TooManyRequestsException" },
		{ "quota exceeded", "TooManyRequestsException" },
		{ "Throttling", "TooManyRequestsException" },
	};
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strstr(in->reply, codes[i].part) != NULL)
			return codes[i].code;
	return in->code < 500 ? "ServiceUnavailableException"
			      : "MessageRejected";
}

static void
sending_done(void *injection, void *unused)
{
	struct sending *s = heap_entry(injection, struct sending, in);
	struct request *q = s->q;
	const char     *id = strrchr(s->in.reply, ' '); /* "Ok ID" */

	(void)unused;
	if (s->in.code >= 200 && s->in.code < 300 && q->dry_run) {
		request_would(q, "send a message of %zu octets to %u "
		    "recipients", s->in.text.n, s->in.recipients);
		request_end(q);
		return;
	}
	if (s->in.code >= 200 && s->in.code < 300) {
		request_set(q, "MessageId",
		    json_of_text(id != NULL ? id + 1 : s->in.reply));
		request_end(q);
		return;
	}
	q->error_code = sending_refusal_code(&s->in);
	request_end_refused(q, BOOK_BAD_REQUEST, "%s", s->in.reply);
}

/* On a worker: the content out of the caller's file. */
static int
sending_read(struct request *q)
{
	struct sending *s = q->state;
	char	       *room;
	off_t		at = 0;
	ssize_t		n = 0;

	buf_init(&s->in.text, q->conf->message.max_size_bytes + SEND_PIECE);
	while ((room = buf_room(&s->in.text, SEND_PIECE)) != NULL &&
	    (n = pread(s->fd, room, SEND_PIECE, at)) > 0) {
		buf_commit(&s->in.text, (size_t)n);
		at += n;
	}
	if (n < 0)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "the message cannot be read: %s", strerror(errno));
	if (room == NULL ||
	    s->in.text.n > q->conf->message.max_size_bytes) {
		q->error_code = "MessageRejected";
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "Message is too long.");
	}
	return 0;
}

static void
sending_post(struct request *q)
{
	struct sending *s = q->state;
	struct relay   *r = q->relay;
	unsigned i = atomic_fetch_add(&r->next_notice, 1) % r->desk_count;

	if (!desk_inject(r->desks[i].desk, &s->in))
		request_end_refused(q, BOOK_TOO_MANY,
		    "posthornd is too busy");
}

static int
sending_take_to(struct request *q, struct sending *s)
{
	json_t *list = arg_list(q, "to"), *v;
	size_t	i;

	if (json_array_size(list) == 0)
		return request_misuse(q, "no recipients");
	if (json_array_size(list) > SEND_RECIPIENTS_MAX)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "at most %d recipients", SEND_RECIPIENTS_MAX);
	s->in.to = mem_alloc(json_array_size(list) * sizeof(s->in.to[0]));
	json_array_foreach(list, i, v) {
		if (json_string_length(v) >= sizeof(s->in.to[0]))
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "address too long");
		strcpy(s->in.to[s->in.to_count++], json_string_value(v));
	}
	return 0;
}

static void
send_run(struct request *q)
{
	struct sending *s = request_state(q, sizeof(*s), sending_wipe);

	s->q = q;
	s->fd = -1;
	s->in.asker = q->relay->main;
	s->in.done = sending_done;
	s->in.check_only = q->dry_run;
	memcpy(s->in.account, q->account.id, sizeof(s->in.account));
	if (!arg_has(q, "from"))
		(void)request_misuse(q, "--from is needed");
	else if (!arg_has(q, "message"))
		(void)request_misuse(q, "no message");
	else if (arg_copy(q, "from", s->in.from, sizeof(s->in.from)) == 1 &&
	    sending_take_to(q, s) == 0 &&
	    arg_file(q, "message", &s->fd) == 1) {
		request_work(q, sending_read, sending_post);
		return;
	}
	request_end(q);
}

const struct command control_send_commands[] = {
	{ "send", NEED_SEND, SCOPE_ACCOUNT, NULL, NULL, send_run },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
