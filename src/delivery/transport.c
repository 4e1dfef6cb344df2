/* SPDX-License-Identifier: ISC */
/*
 * States and their moves ("->" function):
 *
 *   CONNECT --on_ready--> GREETING --220--> EHLO --250--+--> READY
 *                                   |  500,502,504      |
 *                                   +--> HELO --250-----+
 *   EHLO --STARTTLS wanted and offered--> STARTTLS --220--> HANDSHAKE
 *                                          |  4yz 5yz, TLS_TRY --> READY
 *   HANDSHAKE --on_ready--> EHLO (again)
 *   READY --transport_deliver--> ENVELOPE --354 or BDAT--> CONTENT
 *   CONTENT --all queued--> DOT --reply--> READY
 *   ENVELOPE, DOT --all envelopes have results--> READY
 *   any --end of stream, deadline, doubt--> GONE (transport_end)
 *
 * In READY there is no attempt and no reply is due: what the peer says then
 * (a 421, mostly) ends the connection.
 */
#include "delivery/transport_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	CONNECT_MS = 30000,
	COMMAND_MS = 300000, /* RFC 5321 4.5.3.2 */
	DATA_MS = 120000,
	BLOCK_MS = 180000,
	DOT_MS = 600000,
	HANDSHAKE_MS = 60000,
	QUIT_MS = 5000,
	ABANDON_MS = 60000
};

static void transport_on_ready(void *arg);
static void transport_on_input(void *arg);
static void transport_on_drained(void *arg);
static void transport_on_end(void *arg, enum stream_end why);

static const struct stream_events transport_stream_events = {
	transport_on_ready, transport_on_input, transport_on_drained,
	transport_on_end
};

struct transport *
transport_open(const struct transport_setup *s,
    const struct transport_events *ev, void *arg, struct err *e)
{
	struct transport *t = mem_alloc(sizeof(*t));

	loop_must_own(s->loop);
	t->loop = s->loop;
	t->spool = s->spool;
	t->ev = *ev;
	t->arg = arg;
	t->demand = s->demand;
	t->no_starttls = s->no_starttls;
	t->use_bdat = s->use_bdat;
	t->bounce_8bit = s->bounce_8bit;
	snprintf(t->host, sizeof(t->host), "%s", s->host);
	snprintf(t->ehlo, sizeof(t->ehlo), "%s", s->ehlo);
	t->opened = loop_now(t->loop);
	t->stream = stream_connect(t->loop, s->to, s->from,
	    &transport_stream_events, t);
	if (t->stream == NULL) {
		mem_free(t);
		err_set(e, "no stream");
		return NULL;
	}
	t->tls = tls_client_ref(s->tls);
	snprintf(t->remote_ip, sizeof(t->remote_ip), "%s",
	    stream_peer_text(t->stream));
	reply_reader_init(&t->reader);
	transport_enter(t, TRANSPORT_CONNECT);
	return t;
}

static void
transport_free(void *transport)
{
	struct transport *t = transport;

	reply_reader_wipe(&t->reader);
	tls_client_unref(t->tls);
	mem_free(t);
}

void
transport_close(struct transport *t)
{
	if (t == NULL || t->state == TRANSPORT_GONE)
		return;
	loop_must_own(t->loop);
	stream_close(t->stream);
	t->stream = NULL;
	t->state = TRANSPORT_GONE;
	loop_reap(t->loop, transport_free, t);
}

void
transport_quit(struct transport *t)
{
	must(t->state == TRANSPORT_READY);
	transport_say(t, "QUIT");
	stream_finish(t->stream, QUIT_MS);
	t->stream = NULL;
	t->state = TRANSPORT_GONE;
	loop_reap(t->loop, transport_free, t);
}

void
transport_give_up(struct transport *t, struct result *r)
{
	enum result_kind kind = RESULT_TIMEOUT;

	must(t->state < TRANSPORT_READY);
	if (t->state == TRANSPORT_CONNECT)
		kind = RESULT_CONNECT;
	else if (t->state == TRANSPORT_HANDSHAKE && t->demand >= TLS_REQUIRE)
		kind = RESULT_TLS_FAILED;
	transport_fill(t, r, kind, transaction_stage(t));
	snprintf(r->text, sizeof(r->text),
	    "no answer in time, others lack the connection");
	transport_close(t);
}

bool
transport_abandon(struct transport *t)
{
	if (t->all_sent && t->a != NULL) {
		stream_deadline(t->stream, ABANDON_MS);
		return false;
	}
	transport_close(t);
	return true;
}

bool
transport_satisfies(const struct transport *t, enum tls_demand d)
{
	if (t->state != TRANSPORT_READY)
		return false;
	if (d == TLS_VERIFY)
		return t->session.active && t->session.verified;
	return d < TLS_REQUIRE || t->session.active;
}

unsigned
transport_count(const struct transport *t)
{
	return t->count;
}

uint64_t
transport_mail_max(const struct transport *t)
{
	return t->caps.mail_max;
}

const struct stream_tls *
transport_tls(const struct transport *t)
{
	return &t->session;
}

const char *
transport_local_ip(const struct transport *t)
{
	return t->local_ip;
}

struct mono
transport_since(const struct transport *t)
{
	return t->opened;
}

/* -- states --------------------------------------------------------------- */

void
transport_enter(struct transport *t, enum transport_state s)
{
	static const int64_t deadline_ms[] = {
		[TRANSPORT_CONNECT] = CONNECT_MS,
		[TRANSPORT_GREETING] = COMMAND_MS,
		[TRANSPORT_EHLO] = COMMAND_MS,
		[TRANSPORT_HELO] = COMMAND_MS,
		[TRANSPORT_STARTTLS] = COMMAND_MS,
		[TRANSPORT_HANDSHAKE] = HANDSHAKE_MS,
		[TRANSPORT_READY] = 0, /* egress decides how long it is kept */
		[TRANSPORT_ENVELOPE] = COMMAND_MS,
		[TRANSPORT_CONTENT] = 0, /* progress of writing counts */
		[TRANSPORT_DOT] = DOT_MS,
	};

	must(s < TRANSPORT_GONE);
	must((t->a != NULL) == (s >= TRANSPORT_ENVELOPE));
	t->state = s;
	stream_deadline(t->stream, deadline_ms[s]);
	stream_set_write_timeout(t->stream, BLOCK_MS);
}

void
transport_await(struct transport *t)
{
	switch (t->commands[t->answered].verb) {
	case VERB_SENT_DATA:
		stream_deadline(t->stream, DATA_MS);
		break;
	case VERB_SENT_BDAT:
		stream_deadline(t->stream, DOT_MS);
		break;
	default:
		stream_deadline(t->stream, COMMAND_MS);
		break;
	}
}

bool
transport_say(struct transport *t, const char *fmt, ...)
{
	char	line[1024];
	va_list ap;
	int	n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 2, fmt, ap);
	va_end(ap);
	must(n > 0 && (size_t)n < sizeof(line) - 2);
	memcpy(line + n, "\r\n", 2);
	return stream_write(t->stream, (struct bytes){ line, (size_t)n + 2 });
}

void
transport_fill(const struct transport *t, struct result *r,
    enum result_kind k, enum classify_stage stage)
{
	memset(r, 0, sizeof(*r));
	r->kind = k;
	r->stage = stage;
	snprintf(r->remote_host, sizeof(r->remote_host), "%s", t->host);
	snprintf(r->remote_ip, sizeof(r->remote_ip), "%s",
	    t->connected.ms != 0 ? t->remote_ip : "");
	snprintf(r->local_ip, sizeof(r->local_ip), "%s", t->local_ip);
	snprintf(r->tls_version, sizeof(r->tls_version), "%s",
	    t->session.active ? t->session.version : "");
	r->tls_verified = t->session.verified;
	r->knows_dsn = t->caps.dsn;
	r->connect_ms = t->connected.ms != 0 ? t->connected.ms - t->opened.ms
					     : 0;
	if (t->a != NULL)
		r->talk_ms = loop_now(t->loop).ms - t->talk_began.ms;
}

void
transport_fill_reply(struct transport *t, struct result *r,
    enum classify_stage stage)
{
	struct buf text;

	transport_fill(t, r, RESULT_REPLY, stage);
	r->code = t->reader.code;
	snprintf(r->enhanced, sizeof(r->enhanced), "%s", t->reader.enhanced);
	buf_init(&text, READER_TEXT_MAX + 1024);
	if (reply_reader_text(&t->reader, &text))
		bytes_text(buf_bytes(&text), r->text, sizeof(r->text));
	buf_wipe(&text);
	/* "yes" to anything but the content delivers nothing */
	if (r->code < 400 && stage != CLASSIFY_DOT)
		r->kind = RESULT_PROTOCOL;
}

void
transport_end(struct transport *t, const struct result *r, bool handshake)
{
	struct attempt *a = t->a;
	struct result	copy = *r;

	if (a != NULL) {
		transaction_settle(t, r);
		t->a = NULL;
	}
	transport_close(t);
	if (a != NULL)
		t->ev.on_done(t->arg, a);
	t->ev.on_gone(t->arg, &copy, handshake);
}

/*
 * The end after an answer that leaves nothing to do here.  RFC 5321 4.1.1.10:
 * not without QUIT; behind a 421 it is the peer who closes.
 */
static void
transport_part(struct transport *t, const struct result *r)
{
	if (t->reader.code != 421) {
		transport_say(t, "QUIT");
		stream_finish(t->stream, QUIT_MS);
		t->stream = NULL;
	}
	transport_end(t, r, false);
}

/* The peer did not keep to the protocol. */
static void
transport_end_protocol(struct transport *t, const char *what)
{
	enum classify_stage stage = transaction_stage(t);
	struct result	    r;

	/* behind a message that was sent whole it may have been taken */
	transport_fill(t, &r,
	    stage == CLASSIFY_DOT ? RESULT_UNSURE : RESULT_PROTOCOL, stage);
	snprintf(r.text, sizeof(r.text), "%s", what);
	transport_end(t, &r, false);
}

static void
transport_end_unasked(struct transport *t)
{
	transport_end_protocol(t, "a reply that was not asked for");
}

/*
 * What the peer has said already would be taken for the reply to the next
 * command, and each reply for that of the command before.
 */
void
transport_become_ready(struct transport *t)
{
	if (stream_peek(t->stream).n > 0)
		transport_end_unasked(t);
	else
		t->ev.on_ready(t->arg);
}

/* -- greeting, EHLO, TLS --------------------------------------------------- */

static void
transport_after_ehlo(struct transport *t)
{
	struct result r;
	bool	      wanted = t->demand >= TLS_REQUIRE ||
	    (t->demand == TLS_TRY && !t->no_starttls);

	if (t->session.active || !wanted ||
	    (!t->caps.starttls && t->demand < TLS_REQUIRE)) {
		transport_enter(t, TRANSPORT_READY);
		transport_become_ready(t);
		return;
	}
	if (!t->caps.starttls) {
		transport_fill(t, &r, RESULT_TLS_MISSING, CLASSIFY_EHLO);
		transport_part(t, &r);
		return;
	}
	transport_say(t, "STARTTLS");
	transport_enter(t, TRANSPORT_STARTTLS);
}

static void
transport_on_greeting(struct transport *t)
{
	struct result r;

	if (t->reader.code == 220) {
		transport_say(t, "EHLO %s", t->ehlo);
		transport_enter(t, TRANSPORT_EHLO);
		return;
	}
	if (t->reader.code < 400) {
		transport_end_protocol(t, "unexpected greeting");
		return;
	}
	transport_fill_reply(t, &r, CLASSIFY_GREETING);
	transport_part(t, &r);
}

static void
transport_on_ehlo(struct transport *t)
{
	unsigned      code = t->reader.code;
	struct result r;

	if (code == 250) {
		memset(&t->caps, 0, sizeof(t->caps));
		if (t->state == TRANSPORT_EHLO)
			capabilities_parse(&t->reader, &t->caps);
		transport_after_ehlo(t);
		return;
	}
	if (t->state == TRANSPORT_EHLO && !t->session.active &&
	    (code == 500 || code == 502 || code == 504)) {
		if (t->demand >= TLS_REQUIRE) {
			transport_fill(t, &r, RESULT_TLS_MISSING,
			    CLASSIFY_EHLO);
			transport_part(t, &r);
			return;
		}
		transport_say(t, "HELO %s", t->ehlo);
		transport_enter(t, TRANSPORT_HELO);
		return;
	}
	if (code < 400) {
		transport_end_protocol(t, "unexpected reply to EHLO");
		return;
	}
	transport_fill_reply(t, &r, CLASSIFY_EHLO);
	transport_part(t, &r);
}

static void
transport_on_starttls(struct transport *t)
{
	struct result r;

	if (t->reader.code == 220) {
		/* nothing may stand behind the reply: command injection */
		if (stream_peek(t->stream).n > 0) {
			transport_fill(t, &r, RESULT_TLS_FAILED, CLASSIFY_EHLO);
			snprintf(r.text, sizeof(r.text),
			    "plain text behind the reply to STARTTLS");
			transport_end(t, &r, false);
			return;
		}
		transport_enter(t, TRANSPORT_HANDSHAKE);
		stream_tls_client(t->stream, t->tls, t->host,
		    t->demand == TLS_VERIFY);
		return;
	}
	if (t->demand < TLS_REQUIRE && t->reader.code >= 400 &&
	    t->reader.code != 421) {
		transport_enter(t, TRANSPORT_READY);
		transport_become_ready(t);
		return;
	}
	transport_fill(t, &r, RESULT_TLS_FAILED, CLASSIFY_EHLO);
	if (t->demand < TLS_REQUIRE)
		transport_fill_reply(t, &r, CLASSIFY_EHLO);
	transport_part(t, &r);
}

/* -- the stream ------------------------------------------------------------ */

static void
transport_on_ready(void *arg)
{
	struct transport *t = arg;

	if (t->state == TRANSPORT_CONNECT) {
		t->connected = loop_now(t->loop);
		snprintf(t->local_ip, sizeof(t->local_ip), "%s",
		    stream_local_text(t->stream));
		transport_enter(t, TRANSPORT_GREETING);
		return;
	}
	must(t->state == TRANSPORT_HANDSHAKE);
	t->ev.on_answer(t->arg);
	stream_tls_describe(t->stream, &t->session);
	memset(&t->caps, 0, sizeof(t->caps)); /* RFC 3207 4.2 */
	transport_say(t, "EHLO %s", t->ehlo);
	transport_enter(t, TRANSPORT_EHLO);
}

static void
transport_dispatch(struct transport *t)
{
	if (t->state < TRANSPORT_READY)
		t->ev.on_answer(t->arg);
	switch (t->state) {
	case TRANSPORT_GREETING:
		transport_on_greeting(t);
		break;
	case TRANSPORT_EHLO:
	case TRANSPORT_HELO:
		transport_on_ehlo(t);
		break;
	case TRANSPORT_STARTTLS:
		transport_on_starttls(t);
		break;
	case TRANSPORT_ENVELOPE:
		/* of a message too large for the peer nothing was sent */
		if (t->answered == t->sent)
			transport_end_unasked(t);
		else
			transaction_on_reply(t);
		break;
	case TRANSPORT_CONTENT:
	case TRANSPORT_DOT:
		transaction_on_reply(t);
		break;
	default:
		transport_end_unasked(t);
		break;
	}
}

static void
transport_on_input(void *arg)
{
	struct transport *t = arg;
	struct bytes	  in;
	size_t		  used;
	enum reader_result done;

	while (t->state != TRANSPORT_GONE &&
	    t->state != TRANSPORT_HANDSHAKE) {
		in = stream_peek(t->stream);
		if (in.n == 0)
			return;
		done = reply_reader_feed(&t->reader, in, &used);
		stream_take(t->stream, used);
		if (done == READER_MORE)
			return;
		if (done == READER_BROKEN) {
			transport_end_protocol(t,
			    reply_reader_error(&t->reader));
			return;
		}
		transport_dispatch(t);
	}
}

static void
transport_on_drained(void *arg)
{
	struct transport *t = arg;

	if (t->state == TRANSPORT_CONTENT)
		transaction_on_drained(t);
}

static void
transport_on_end(void *arg, enum stream_end why)
{
	struct transport   *t = arg;
	enum classify_stage stage = transaction_stage(t);
	enum result_kind    kind = RESULT_LOST;
	struct result	    r;
	bool		    handshake = t->state == TRANSPORT_HANDSHAKE;

	if (t->state == TRANSPORT_CONNECT)
		kind = why == STREAM_SHORT ? RESULT_LOCAL : RESULT_CONNECT;
	else if (handshake)
		kind = RESULT_TLS_FAILED;
	else if (t->all_sent && t->a != NULL && stage > CLASSIFY_MAIL)
		kind = RESULT_UNSURE; /* not even MAIL answered: not taken */
	else if (why == STREAM_TIMEOUT || why == STREAM_STUCK)
		kind = RESULT_TIMEOUT;
	transport_fill(t, &r, kind, stage);
	snprintf(r.text, sizeof(r.text), "%s: %s", stream_end_to_text(why),
	    stream_error_text(t->stream));
	transport_end(t, &r, handshake && t->demand < TLS_REQUIRE);
}
