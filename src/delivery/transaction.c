/* SPDX-License-Identifier: ISC */
/*
 * One transaction of a transport.  Two cursors over the list of commands:
 * what is next to be sent and what is next to be answered.  With PIPELINING
 * all goes out at once, without it the window is one.  DATA waits for 354;
 * BDAT of a small message travels with its envelope.
 */
#include "delivery/transport_private.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

enum {
	SLICE = 64 * 1024,
	OUTPUT_HIGH = 256 * 1024, /* wait until it is drained */
	EAGER_BDAT_MAX = 32 * 1024
};

static void transaction_send(struct transport *t);
static void transaction_finish(struct transport *t);

static uint64_t
transaction_octets(const struct transport *t)
{
	return t->a->prefix.n + t->a->message.head_octets +
	    t->a->message.body_octets;
}

enum classify_stage
transaction_stage(const struct transport *t)
{
	switch (t->state) {
	case TRANSPORT_CONNECT:
	case TRANSPORT_GREETING:
		return CLASSIFY_GREETING;
	case TRANSPORT_CONTENT:
		return CLASSIFY_DATA;
	case TRANSPORT_DOT:
		return CLASSIFY_DOT;
	case TRANSPORT_ENVELOPE:
		break;
	default:
		return CLASSIFY_EHLO;
	}
	if (t->answered < t->command_count)
		switch (t->commands[t->answered].verb) {
		case VERB_SENT_RCPT:
			return CLASSIFY_RCPT;
		case VERB_SENT_DATA:
			return CLASSIFY_DATA;
		case VERB_SENT_BDAT: /* the last chunk, always */
			return CLASSIFY_DOT;
		default:
			break;
		}
	return CLASSIFY_MAIL;
}

void
transaction_settle(struct transport *t, const struct result *r)
{
	unsigned i;

	for (i = 0; i < t->a->count; i++)
		if (t->a->envelopes[i].result.kind == RESULT_NONE) {
			t->a->envelopes[i].result = *r;
			if (t->a->begun.ms != 0)
				t->a->envelopes[i].result.dns_ms =
				    t->opened.ms > t->a->begun.ms
					? t->opened.ms - t->a->begun.ms
					: 0;
		}
}

static void
transaction_add(struct transport *t, enum transport_verb v, unsigned envelope)
{
	must(t->command_count < TRANSPORT_COMMANDS_MAX);
	t->commands[t->command_count].verb = v;
	t->commands[t->command_count++].envelope = envelope;
}

/* Refused here, without a word to the peer. */
static bool
transaction_is_hopeless(struct transport *t, struct result *r)
{
	if (t->caps.has_size && t->caps.size > 0 &&
	    transaction_octets(t) > t->caps.size) {
		transport_fill(t, r, RESULT_TOO_LARGE, CLASSIFY_MAIL);
		return true;
	}
	if (t->a->message.has_8bit && !t->caps.eightbit && t->bounce_8bit) {
		transport_fill(t, r, RESULT_NOT_8BIT, CLASSIFY_MAIL);
		return true;
	}
	return false;
}

static void
transaction_deferred_finish(void *transport, void *unused)
{
	struct transport *t = transport;

	(void)unused;
	if (t->state == TRANSPORT_ENVELOPE && t->a != NULL &&
	    t->command_count == 0)
		transaction_finish(t);
}

void
transport_deliver(struct transport *t, struct attempt *a)
{
	must(t->state == TRANSPORT_READY && t->a == NULL && a->count > 0);
	t->a = a;
	t->talk_began = loop_now(t->loop);
	transport_enter(t, TRANSPORT_ENVELOPE);
	transaction_begin(t);
}

void
transaction_begin(struct transport *t)
{
	struct result r;
	unsigned      i, most;

	t->command_count = t->sent = t->answered = t->accepted = 0;
	t->refused = t->all_sent = false;
	t->offset = 0;
	t->bdat = t->use_bdat && t->caps.chunking;
	stuffing_init(&t->stuffing);
	if (transaction_is_hopeless(t, &r)) {
		transaction_settle(t, &r);
		/* the callback must not come from inside transport_deliver */
		loop_defer(t->loop, transaction_deferred_finish, t);
		return;
	}
	t->count++;
	if (t->need_rset)
		transaction_add(t, VERB_SENT_RSET, 0);
	t->need_rset = false;
	transaction_add(t, VERB_SENT_MAIL, 0);
	most = TRANSPORT_COMMANDS_MAX - 3;
	if (t->caps.rcpt_max > 0 && t->caps.rcpt_max < most)
		most = (unsigned)t->caps.rcpt_max; /* RFC 9422 */
	for (i = 0; i < t->a->count && most > 0; i++)
		if (t->a->envelopes[i].result.kind == RESULT_NONE) {
			t->a->envelopes[i].accepted = false;
			transaction_add(t, VERB_SENT_RCPT, i);
			most--;
		}
	if (!t->bdat)
		transaction_add(t, VERB_SENT_DATA, 0);
	else if (t->caps.pipelining &&
	    transaction_octets(t) <= EAGER_BDAT_MAX)
		transaction_add(t, VERB_SENT_BDAT, 0);
	transaction_send(t);
}

/* -- sending --------------------------------------------------------------- */

static void
transaction_say_mail(struct transport *t)
{
	char size[40] = "", ret[10 + DSN_ENVID_MAX + 16] = "";
	struct bytes envid = t->a->message.envid;
	size_t	     n = 0;

	if (t->caps.dsn && t->a->message.ret != DSN_RETURN_NONE)
		n = (size_t)snprintf(ret, sizeof(ret), " RET=%s",
		    t->a->message.ret == DSN_RETURN_FULL ? "FULL" : "HDRS");
	if (t->caps.dsn && envid.n > 0 && envid.n <= DSN_ENVID_MAX)
		snprintf(ret + n, sizeof(ret) - n, " ENVID=%.*s",
		    (int)envid.n, envid.p);
	if (t->caps.has_size)
		snprintf(size, sizeof(size), " SIZE=%llu",
		    (unsigned long long)transaction_octets(t));
	transport_say(t, "MAIL FROM:<%.*s>%s%s%s", (int)t->a->sender.n,
	    t->a->sender.p != NULL ? t->a->sender.p : "", size,
	    t->a->message.has_8bit && t->caps.eightbit ? " BODY=8BITMIME" : "",
	    ret);
}

static void
transaction_say_rcpt(struct transport *t, const struct attempt_envelope *en)
{
	char text[DSN_NOTIFY_SIZE];
	bool notify = t->caps.dsn && en->notify != 0;
	bool orcpt = t->caps.dsn && en->orcpt.n > 0 &&
	    en->orcpt.n <= DSN_ORCPT_MAX;

	t->a->rcpts++;
	transport_say(t, "RCPT TO:<%.*s>%s%s%s%.*s", (int)en->address.n,
	    en->address.p, notify ? " NOTIFY=" : "",
	    notify ? dsn_notify_to_text(en->notify, text) : "",
	    orcpt ? " ORCPT=" : "", orcpt ? (int)en->orcpt.n : 0,
	    orcpt ? en->orcpt.p : "");
}

static void
transaction_local_failure(struct transport *t, const char *why)
{
	struct result r;

	transport_fill(t, &r, RESULT_LOCAL, CLASSIFY_DATA);
	snprintf(r.text, sizeof(r.text), "%s", why);
	transport_end(t, &r, false);
}

struct transaction_sink {
	struct buf *out;
};

static void
transaction_on_piece(void *arg, struct bytes piece)
{
	struct transaction_sink *s = arg;

	buf_add_bytes(s->out, piece);
}

static void
transaction_emit(struct transport *t, struct bytes content, struct buf *out)
{
	struct transaction_sink s = { out };

	if (t->bdat)
		buf_add_bytes(out, content);
	else
		stuffing_feed(&t->stuffing, content, transaction_on_piece, &s);
}

/* As much content as the output may hold; false = the transport has ended. */
static bool
transaction_send_content(struct transport *t)
{
	struct transaction_sink s;
	struct buf		out;
	struct err		e;
	ptrdiff_t		n = 1;
	char		       *slice = mem_alloc(SLICE);

	buf_init(&out, 4 * SLICE);
	s.out = &out;
	if (t->offset == 0)
		transaction_emit(t, t->a->prefix, &out);
	while (stream_queued(t->stream) + out.n < OUTPUT_HIGH) {
		n = spool_read_content(t->spool, &t->a->message, t->offset,
		    slice, SLICE, &e);
		if (n <= 0)
			break;
		t->offset += (uint64_t)n;
		transaction_emit(t, (struct bytes){ slice, (size_t)n }, &out);
		if (out.failed)
			break;
		stream_write(t->stream, buf_bytes(&out));
		buf_clear(&out);
	}
	if (n == 0 && !t->bdat)
		stuffing_end(&t->stuffing, transaction_on_piece, &s);
	if (out.failed) /* a piece is missing: never the end of data */
		n = err_set(&e, "no memory for the content");
	else if (out.n > 0)
		stream_write(t->stream, buf_bytes(&out));
	t->all_sent = n == 0;
	mem_free(slice);
	buf_wipe(&out);
	if (n < 0 || (n == 0 && t->offset != t->a->message.head_octets +
		t->a->message.body_octets)) {
		transaction_local_failure(t,
		    n < 0 ? e.text : "the content is not whole");
		return false;
	}
	return true;
}

static void
transaction_start_content(struct transport *t)
{
	transport_enter(t, TRANSPORT_CONTENT);
	if (t->bdat) {
		t->a->datas++;
		transport_say(t, "BDAT %llu LAST",
		    (unsigned long long)transaction_octets(t));
	}
	if (transaction_send_content(t) && t->all_sent)
		transport_enter(t, TRANSPORT_DOT);
}

void
transaction_on_drained(struct transport *t)
{
	if (transaction_send_content(t) && t->all_sent)
		transport_enter(t, TRANSPORT_DOT);
}

static void
transaction_send(struct transport *t)
{
	const struct transport_command *c;
	struct attempt_envelope	       *en;
	unsigned window = t->caps.pipelining ? TRANSPORT_COMMANDS_MAX : 1;

	while (t->sent < t->command_count && t->sent - t->answered < window) {
		c = &t->commands[t->sent++];
		switch (c->verb) {
		case VERB_SENT_RSET:
			transport_say(t, "RSET");
			break;
		case VERB_SENT_MAIL:
			transaction_say_mail(t);
			break;
		case VERB_SENT_RCPT:
			en = &t->a->envelopes[c->envelope];
			transaction_say_rcpt(t, en);
			break;
		case VERB_SENT_DATA:
			t->a->datas++;
			transport_say(t, "DATA");
			break;
		case VERB_SENT_BDAT:
			t->a->datas++;
			transport_say(t, "BDAT %llu LAST",
			    (unsigned long long)transaction_octets(t));
			if (!transaction_send_content(t))
				return;
			must(t->all_sent);
			break;
		}
	}
	if (t->answered < t->sent)
		transport_await(t);
}

/* -- replies --------------------------------------------------------------- */

static void
transaction_next(struct transport *t)
{
	struct attempt *a = t->a;

	transport_enter(t, TRANSPORT_ENVELOPE);
	t->a = a;
	transaction_begin(t);
}

/* The transaction is over: results are whole, or another one follows. */
static void
transaction_finish(struct transport *t)
{
	struct attempt *a = t->a;
	unsigned	i, open = 0;

	for (i = 0; i < a->count; i++)
		open += a->envelopes[i].result.kind == RESULT_NONE;
	/* 452: the rest of the recipients in a further transaction */
	if (open > 0 && open < a->count) {
		transaction_next(t);
		return;
	}
	t->a = NULL;
	t->all_sent = false;
	transport_enter(t, TRANSPORT_READY);
	t->ev.on_done(t->arg, a);
	if (t->state == TRANSPORT_READY && t->a == NULL)
		transport_become_ready(t);
}

static void
transaction_end_with_reply(struct transport *t, enum classify_stage stage)
{
	struct result r;

	transport_fill_reply(t, &r, stage);
	/* neither yes nor no to a message that was sent whole */
	if (stage == CLASSIFY_DOT && r.code < 400)
		r.kind = RESULT_UNSURE;
	transport_end(t, &r, false);
}

static void
transaction_on_rcpt(struct transport *t, struct attempt_envelope *en)
{
	unsigned code = t->reader.code;
	bool	 full = code == 452 || code == 552;

	/* RFC 5321 4.3.2: the first digit tells */
	if (code / 100 == 2) {
		t->accepted++;
		en->accepted = true;
		return;
	}
	transport_fill_reply(t, &en->result, CLASSIFY_RCPT);
	if (full && t->accepted > 0 && t->a->count > 1 &&
	    (code == 452 || bytes_find_nocase(bytes_of(en->result.text),
				BYTES("too many recipients")) >= 0))
		en->result.kind = RESULT_NONE; /* again, by itself */
}

/* Envelopes that were accepted and wait for the verdict on the content. */
static void
transaction_settle_accepted(struct transport *t, const struct result *r)
{
	unsigned i;

	for (i = 0; i < t->a->count; i++)
		if (t->a->envelopes[i].accepted &&
		    t->a->envelopes[i].result.kind == RESULT_NONE)
			t->a->envelopes[i].result = *r;
}

/* 354 without an accepted recipient: nothing may be sent, so it ends. */
static void
transaction_on_data(struct transport *t, enum transport_verb verb)
{
	struct result r;
	bool	      go = t->reader.code == 354;

	if (verb == VERB_SENT_DATA && go && t->accepted > 0 && !t->refused) {
		transaction_start_content(t);
		return;
	}
	if (verb == VERB_SENT_DATA && go) {
		transport_fill(t, &r, RESULT_PROTOCOL, CLASSIFY_DATA);
		transport_end(t, &r, false);
		return;
	}
	if (t->refused || t->accepted == 0) {
		t->need_rset = true;
		transaction_finish(t);
		return;
	}
	transport_fill_reply(t, &r,
	    verb == VERB_SENT_DATA ? CLASSIFY_DATA : CLASSIFY_DOT);
	if (r.code < 400 && !(verb == VERB_SENT_BDAT && r.code / 100 == 2)) {
		r.kind = RESULT_PROTOCOL;
		transport_end(t, &r, false);
		return;
	}
	transaction_settle_accepted(t, &r);
	t->need_rset = r.code >= 400;
	transaction_finish(t);
}

/* All is answered, and no content was asked for yet. */
static void
transaction_after_envelope(struct transport *t)
{
	if (t->refused || t->accepted == 0) {
		t->need_rset = true;
		transaction_finish(t);
	} else {
		transaction_start_content(t); /* BDAT of a bigger message */
	}
}

/* Nothing of what could still be sent makes sense. */
static bool
transaction_is_refused(const struct transport *t)
{
	return t->refused || (t->accepted == 0 &&
	    t->commands[t->answered].verb >= VERB_SENT_DATA);
}

static void
transaction_on_envelope_reply(struct transport *t)
{
	struct transport_command c;
	unsigned		 code = t->reader.code;
	struct result		 r;

	must(t->answered < t->sent);
	c = t->commands[t->answered++];
	if (code == 421 || code / 100 == 3) {
		if (code != 354 || c.verb != VERB_SENT_DATA) {
			t->answered--;
			transaction_end_with_reply(t, transaction_stage(t));
			return;
		}
	}
	switch (c.verb) {
	case VERB_SENT_RSET:
		break; /* whatever it says: MAIL tells */
	case VERB_SENT_MAIL:
		if (code / 100 == 2)
			break;
		t->refused = true;
		transport_fill_reply(t, &r, CLASSIFY_MAIL);
		transaction_settle(t, &r);
		break;
	case VERB_SENT_RCPT:
		if (!t->refused)
			transaction_on_rcpt(t, &t->a->envelopes[c.envelope]);
		break;
	default:
		transaction_on_data(t, c.verb);
		return;
	}
	if (t->answered == t->command_count ||
	    (t->answered == t->sent && transaction_is_refused(t)))
		transaction_after_envelope(t);
	else
		transaction_send(t);
}

void
transaction_on_reply(struct transport *t)
{
	unsigned      code = t->reader.code;
	struct result r;

	if (t->state == TRANSPORT_ENVELOPE) {
		transaction_on_envelope_reply(t);
		return;
	}
	/* CONTENT: a verdict before all was sent; DOT: the verdict */
	if (t->state == TRANSPORT_CONTENT || code == 421 ||
	    (code < 400 && code / 100 != 2)) {
		transaction_end_with_reply(t, transaction_stage(t));
		return;
	}
	transport_fill_reply(t, &r, CLASSIFY_DOT);
	transaction_settle_accepted(t, &r);
	t->need_rset = r.code >= 400;
	transaction_finish(t);
}
