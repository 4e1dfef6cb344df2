/* SPDX-License-Identifier: ISC */
#include "reporting/simulated_return.h"

#include <stdio.h>
#include <string.h>

#include "mail/address.h"
#include "mail/header.h"
#include "mail/report.h"

enum {
	MAIL_MAX = 256 * 1024,
	MESSAGE_ROOM = 512 * 1024,
	TOKEN_OCTETS = 8
};

struct simulated_return {
	struct simulated_setup setup;
	struct timer	       timer;	/* until its time has come */
	struct message	      *message; /* that waits, or is with the writer */
	struct submission      submission;
	bool		       is_out; /* with the writer */
};

static void simulated_on_time(void *arg, void *unused);
static void simulated_on_receipt(void *ctx, void *submission);

/* -- life ------------------------------------------------------------------ */

struct simulated_return *
simulated_return_new(const struct simulated_setup *s)
{
	struct simulated_return *x = mem_alloc(sizeof(*x));

	x->setup = *s;
	timer_init(&x->timer, s->loop, simulated_on_time, x);
	return x;
}

void
simulated_return_free(struct simulated_return *s)
{
	if (s == NULL)
		return;
	timer_clear(&s->timer);
	message_free(s->message);
	mem_free(s);
}

bool
simulated_return_stop(struct simulated_return *s)
{
	if (s->message == NULL || s->is_out)
		return false;
	timer_clear(&s->timer);
	message_free(s->message);
	s->message = NULL;
	return true;
}

/* -- who sends something back ----------------------------------------------- */

static bool
local_is(struct bytes address, const char *name)
{
	size_t n = strlen(name);

	return bytes_starts_nocase(address, bytes_of(name)) &&
	    address.n > n && (address.p[n] == '@' || address.p[n] == '+');
}

enum simulated_kind
simulated_return_of(const struct event *ev)
{
	struct bytes to;

	if (ev->type != EVENT_DELIVERY || !ev->simulator ||
	    ev->recipient_count != 1)
		return SIMULATED_NONE;
	to = ev->recipients[0].address;
	if (local_is(to, "ooto"))
		return SIMULATED_AUTOREPLY;
	if (local_is(to, "complaint"))
		return SIMULATED_COMPLAINT;
	if (local_is(to, "notspam"))
		return SIMULATED_NOT_SPAM;
	return local_is(to, "asyncbounce") ? SIMULATED_BOUNCE :
					     SIMULATED_NONE;
}

/* -- the mail ---------------------------------------------------------------- */

static void
write_head(const struct simulated_order *o, const char *from,
    struct wall now, struct buf *out)
{
	char	      date[CLOCK_TEXT_MAX], token[2 * TOKEN_OCTETS + 1];
	unsigned char random[TOKEN_OCTETS];

	mem_random(random, sizeof(random));
	hex_encode(random, sizeof(random), token);
	wall_rfc5322(now, date);
	if (from != NULL)
		buf_printf(out, "From: %s\r\n", from);
	else
		buf_printf(out, "From: %.*s\r\n", (int)o->recipient.n,
		    o->recipient.p);
	buf_printf(out, "Date: %s\r\nMessage-ID: <%s@%s>\r\n", date, token,
	    o->conf->simulator.domain);
}

/* The subject as it stood, in one line. */
static void
write_subject(const struct simulated_order *o, struct buf *out)
{
	size_t i;
	char   c;

	buf_add_text(out, "Subject: Out of Office: ");
	for (i = 0; i < o->mail->subject.n; i++) {
		c = o->mail->subject.p[i];
		buf_add_char(out, c == '\r' || c == '\n' || c == '\0' ? ' ' :
									c);
	}
	buf_add_text(out, "\r\n");
}

static void
write_autoreply(const struct simulated_order *o, struct wall now,
    struct buf *out)
{
	write_head(o, NULL, now, out);
	buf_printf(out, "To: %.*s\r\n", (int)o->mail->forward.n,
	    o->mail->forward.p);
	write_subject(o, out);
	buf_printf(out, "In-Reply-To: %.*s\r\nReferences: %.*s\r\n",
	    (int)o->sent_id.n, o->sent_id.p, (int)o->sent_id.n,
	    o->sent_id.p);
	buf_add_text(out, "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
	    "I am out of the office.\r\n");
}

static void
write_complaint(const struct simulated_order *o, struct bytes return_path,
    struct wall now, struct buf *out)
{
	char arrival[CLOCK_TEXT_MAX];

	wall_rfc5322(o->delivered, arrival);
	write_head(o, NULL, now, out);
	buf_add_text(out, "Subject: Complaint about a message\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=feedback-report;\r\n"
	    "\tboundary=\"=_simulator\"\r\n\r\n"
	    "--=_simulator\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
	    "This is a report of the mailbox simulator.\r\n\r\n"
	    "--=_simulator\r\n"
	    "Content-Type: message/feedback-report\r\n\r\n");
	buf_printf(out, "Feedback-Type: %s\r\n"
	    "User-Agent: posthorn Mailbox Simulator\r\nVersion: 1\r\n"
	    "Original-Mail-From: <%.*s>\r\nOriginal-Rcpt-To: <%.*s>\r\n"
	    "Arrival-Date: %s\r\n\r\n",
	    o->kind == SIMULATED_COMPLAINT ? "abuse" : "not-spam",
	    (int)return_path.n, return_path.p, (int)o->recipient.n,
	    o->recipient.p, arrival);
	buf_add_text(out, "--=_simulator\r\n"
	    "Content-Type: text/rfc822-headers\r\n\r\n");
	buf_add_bytes(out, o->headers);
	buf_add_text(out, "\r\n--=_simulator--\r\n");
}

static bool
write_bounce(const struct simulated_order *o, struct bytes return_path,
    struct wall now, struct buf *out)
{
	struct report_failure f;
	struct report_dsn     d;
	char		      mailer[DOMAIN_TEXT_MAX + 16];

	memset(&f, 0, sizeof(f));
	memset(&d, 0, sizeof(d));
	snprintf(mailer, sizeof(mailer), "MAILER-DAEMON@%s",
	    o->conf->simulator.domain);
	f.cause = REPORT_REPLY;
	f.recipient = o->recipient;
	f.status = BYTES("5.1.1");
	f.diagnostic = BYTES("smtp; 550 5.1.1 user unknown");
	f.remote_mta = bytes_of(o->conf->simulator.domain);
	d.mailer = bytes_of(mailer);
	d.to = return_path;
	d.date = now;
	d.token = BYTES("5");
	d.sent_id = o->sent_id;
	d.reporting_mta = bytes_of(o->conf->simulator.domain);
	d.arrival = o->delivered;
	d.failures = &f;
	d.failure_count = 1;
	d.headers = o->headers;
	return report_write_dsn(&d, out);
}

bool
simulated_return_write(const struct simulated_order *o,
    struct bytes return_path, struct wall now, struct buf *out)
{
	switch (o->kind) {
	case SIMULATED_AUTOREPLY:
		write_autoreply(o, now, out);
		break;
	case SIMULATED_COMPLAINT:
	case SIMULATED_NOT_SPAM:
		write_complaint(o, return_path, now, out);
		break;
	case SIMULATED_BOUNCE:
		return write_bounce(o, return_path, now, out);
	case SIMULATED_NONE:
		return false;
	}
	return !out->failed;
}

/* -- as if it had come by the intake ---------------------------------------- */

/* The return address under which the message went to this recipient. */
static void
order_return_path(const struct simulated_order *o, char *out, size_t size)
{
	const struct conf *c = o->conf;
	char		   id[MSGID_TEXT + 1];
	unsigned	   n, i;

	for (n = 0, i = 0; i < o->mail->recipient_count; i++)
		if (bytes_eq(o->mail->recipients[i], o->recipient))
			n = i + 1;
	if (c->mail_from.verp == CONF_VERP_MESSAGE)
		n = 0;
	msgid_to_text(&o->mail->id, c->server.id_prefix, n, id);
	snprintf(out, size, "%s@%s", id, c->mail_from.default_domain);
}

static bool
order_fill(const struct simulated_order *o, struct wall at,
    struct message *m)
{
	char	   path[ADDRESS_TEXT_MAX], fbl[ADDRESS_TEXT_MAX];
	const struct conf_list *lists = &o->conf->intake.fbl_addresses;
	bool	   is_complaint = o->kind == SIMULATED_COMPLAINT ||
	    o->kind == SIMULATED_NOT_SPAM;
	struct buf text;
	size_t	   from = 0;
	ptrdiff_t  body;
	bool	   ok;

	order_return_path(o, path, sizeof(path));
	snprintf(fbl, sizeof(fbl), "%.63s@%.190s",
	    lists->n > 0 ? lists->v[0] : "complaints",
	    o->conf->mail_from.default_domain);
	m->class = MESSAGE_INTAKE;
	m->accepted = m->expires = at;
	msgid_make(at, &m->id);
	buf_init(&text, MAIL_MAX);
	ok = simulated_return_write(o, bytes_of(path), at, &text);
	body = ok ? header_end(buf_bytes(&text), &from, true) : -1;
	ok = body >= 0 &&
	    message_set(m, &m->head, bytes_head(buf_bytes(&text),
		(size_t)body)) &&
	    message_add_body(m, bytes_from(buf_bytes(&text),
		(size_t)body)) &&
	    message_add_envelope(m, bytes_of(is_complaint ? fbl : path)) !=
		NULL &&
	    message_set(m, &m->sid, BYTES("simulator")) &&
	    message_set(m, &m->client_ip, BYTES("127.0.0.1"));
	buf_wipe(&text);
	return ok;
}

bool
simulated_return_begin(struct simulated_return *s,
    const struct simulated_order *o)
{
	struct submission *sub = &s->submission;
	struct wall	   now = loop_wall(s->setup.loop);
	struct wall	   at = { o->delivered.ms +
	    o->conf->simulator.feedback_delay_ms };

	must(s->message == NULL);
	if (at.ms < now.ms)
		at = now;
	s->message = message_new(MESSAGE_ROOM);
	if (!order_fill(o, at, s->message)) {
		message_free(s->message);
		s->message = NULL;
		return false;
	}
	memset(sub, 0, sizeof(*sub));
	sub->from = s->setup.loop;
	sub->on_receipt = simulated_on_receipt;
	sub->ctx = s;
	sub->message = s->message;
	sub->cursor = o->cursor;
	sub->cursor_to = o->cursor_to;
	timer_set(&s->timer, at.ms - now.ms);
	return true;
}

static void
simulated_end(struct simulated_return *s, enum receipt_result result)
{
	message_free(s->message);
	s->message = NULL;
	s->is_out = false;
	s->setup.done(s->setup.arg, result);
}

static void
simulated_on_time(void *arg, void *unused)
{
	struct simulated_return *s = arg;

	(void)unused;
	s->is_out = true;
	if (!spool_submit(s->setup.spool, &s->submission))
		simulated_end(s, RECEIPT_BUSY);
}

static void
simulated_on_receipt(void *ctx, void *submission)
{
	struct submission *sub = submission;

	simulated_end(ctx, sub->result);
}
