/* SPDX-License-Identifier: ISC */
#include "reporting/feedback.h"

#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/log.h"
#include "mail/address.h"
#include "mail/header.h"
#include "mail/report.h"
#include "mail/smtp.h"
#include "registry/credential.h"
#include "reporting/feedback_channel.h"
#include "reporting/notices.h"
#include "reporting/publisher.h"
#include "reporting/simulated_return.h"

enum {
	EVENT_ARENA = 1 << 20,
	HEADERS_ARENA = 512 * 1024,
	MAIL_MAX = 1 << 20,
	GIVE_UP_MS = 24 * 60 * 60 * 1000,
	RECIPIENTS_MAX = 1000,
	TOKEN_OCTETS = 4,
	FOLD_AT = 900
};

struct feedback {
	struct feedback_setup setup;
	struct publisher     *publisher;
	struct simulated_return *simulated;
	uint64_t	      sequence; /* of the event that is being told */
	struct mono	      begun;	/* since when it is tried */
	char		      message_id[MSGID_TEXT + 1];
};

/* One notice in the making. */
struct telling {
	struct feedback	   *feedback;
	const struct event *ev;
	struct mail_row	    mail;
	struct arena	   *arena;
	struct buf	    headers;
	struct bytes	    sent_id; /* Message-ID as sent */
	struct bytes	    content; /* to be returned as a whole; or empty */
	struct report_failure *failures;
	size_t		    failure_count;
	char		    date[CLOCK_TEXT_MAX];
	char		    id[MSGID_TEXT + 300];
	char		    from[ADDRESS_TEXT_MAX + 2];
};

static enum publisher_answer feedback_on_event(void *arg, uint64_t sequence,
    const struct event *ev);
static void feedback_on_sent(void *ctx, enum receipt_result result);
static void feedback_on_simulated(void *feedback, enum receipt_result result);

/* -- life ------------------------------------------------------------------ */

struct feedback *
feedback_new(const struct feedback_setup *s)
{
	struct feedback	      *f = mem_alloc(sizeof(*f));
	struct publisher_setup p = { .loop = s->loop, .spool = s->spool,
		.cursor = FEEDBACK_CURSOR, .show = feedback_on_event,
		.arg = f };
	struct simulated_setup m = { .loop = s->loop, .spool = s->spool,
		.done = feedback_on_simulated };

	f->setup = *s;
	f->setup.conf = conf_ref(s->conf);
	m.arg = f;
	f->simulated = simulated_return_new(&m);
	f->publisher = publisher_new(&p);
	return f;
}

void
feedback_free(struct feedback *f)
{
	if (f == NULL)
		return;
	simulated_return_free(f->simulated);
	publisher_free(f->publisher);
	conf_unref(f->setup.conf);
	mem_free(f);
}

void
feedback_reload(struct feedback *f, struct conf *conf)
{
	conf_unref(f->setup.conf);
	f->setup.conf = conf_ref(conf);
}

void
feedback_wake(struct feedback *f)
{
	publisher_wake(f->publisher);
}

void
feedback_stop(struct feedback *f, loop_fn *on_idle, void *arg)
{
	publisher_stop(f->publisher, on_idle, arg);
	if (simulated_return_stop(f->simulated))
		publisher_settle(f->publisher, PUBLISHER_FAILED);
}

/* -- the header section as sent -------------------------------------------- */

/* Text of a field: what an unfolded value may still hold, and its length. */
static void
add_value(struct buf *out, struct bytes v)
{
	size_t i, since = 0;
	char   c;

	for (i = 0; i < v.n; i++) {
		c = v.p[i];
		if (c == '\r' || c == '\n' || c == '\0')
			c = ' ';
		if (since >= FOLD_AT && ascii_is_blank(c)) {
			buf_add_text(out, "\r\n");
			since = 0;
		}
		buf_add_char(out, c);
		since++;
	}
	buf_add_text(out, "\r\n");
}

static void
add_snapshot(struct buf *out, struct bytes snapshot)
{
	struct bytes name, value;
	size_t	     at = 0;

	while (event_snapshot_next(snapshot, &at, &name, &value)) {
		buf_add_bytes(out, name);
		buf_add_text(out, ": ");
		add_value(out, value);
	}
}

/* As receive_close.c: what a client signature names stays as it is. */
static bool
put_field(struct header *h, const char *name, struct bytes value,
    bool rewrites)
{
	struct field *f = header_find(h, name);

	if (value.n == 0 || header_is_signed(h, name))
		return true;
	if (f == NULL)
		return header_append(h, name, value);
	return !rewrites || header_replace(h, f, name, value);
}

static bool
rewrite_section(const struct feedback_sent *s, struct bytes section,
    struct arena *a, struct buf *out)
{
	struct header_rules rules = { SIZE_MAX, true };
	struct header	    h;
	size_t		    start = out->n;

	if (header_parse(section, &rules, a, &h) != HEADER_OK)
		return false;
	header_remove(&h, "Return-Path");
	header_remove(&h, "Bounces-To");
	header_remove(&h, "Bcc");
	header_remove(&h, "Resent-Bcc");
	header_remove_prefix(&h, "X-SES-");
	if (!put_field(&h, "Date", s->date, s->rewrites_date) ||
	    !put_field(&h, "Message-ID", s->message_id, s->rewrites_id) ||
	    (header_find(&h, "From") == NULL && s->from.n > 0 &&
		!header_append(&h, "From", s->from)) ||
	    !header_write(&h, out))
		return false;
	must(out->n >= start + 2);
	out->n -= 2; /* without the empty line */
	return true;
}

bool
feedback_write_headers(const struct feedback_sent *s, struct buf *out)
{
	struct arena *a = arena_new(HEADERS_ARENA);
	struct buf    section;
	bool	      ok;

	buf_init(&section, FEEDBACK_HEADERS_MAX);
	add_snapshot(&section, s->snapshot);
	if (s->snapshot.n == 0 && s->subject.n > 0) {
		buf_add_text(&section, "Subject: ");
		add_value(&section, s->subject);
	}
	ok = !section.failed &&
	    rewrite_section(s, buf_bytes(&section), a, out);
	buf_wipe(&section);
	arena_free(a);
	return ok;
}

/* Credential before account before installation; what cannot be read has no
 * say. */
static void
telling_rules(const struct telling *t, struct feedback_sent *s)
{
	const struct conf *c = t->feedback->setup.conf;
	struct account	  *acct = mem_alloc(sizeof(*acct));
	struct credential *cred = mem_alloc(sizeof(*cred));
	struct db_txn	  *txn;
	struct err	   e;
	char		   user[CREDENTIAL_NAME_SIZE];

	bytes_text(t->mail.credential, user, sizeof(user));
	txn = book_read(t->feedback->setup.book, &e);
	if (txn != NULL &&
	    account_get(txn, t->mail.account, acct, &e) <= 0)
		memset(&acct->overrides, 0, sizeof(acct->overrides));
	if (txn != NULL && credential_get(txn, t->mail.account, user, cred,
	    &e) <= 0)
		memset(&cred->overrides, 0, sizeof(cred->overrides));
	book_end(txn);
	s->rewrites_date = account_rewrites(cred->overrides.date,
	    acct->overrides.date, c->message.date);
	s->rewrites_id = account_rewrites(cred->overrides.message_id,
	    acct->overrides.message_id, c->message.message_id);
	mem_free(acct);
	mem_free(cred);
}

/* The head of the content, whole lines; false = it has gone. */
static bool
telling_read_content(struct telling *t)
{
	struct spool	  *sp = t->feedback->setup.spool;
	struct message_row m;
	struct err	   e;
	struct bytes	   read;
	size_t		   want;
	ptrdiff_t	   got;
	char		  *to;

	if (spool_read_message(sp, &t->ev->message, t->arena, &m, &e) != 1)
		return false;
	want = m.head_octets < FEEDBACK_HEADERS_MAX ? (size_t)m.head_octets :
	    FEEDBACK_HEADERS_MAX;
	while (t->headers.n < want) {
		to = buf_room(&t->headers, want - t->headers.n);
		got = to == NULL ? -1 : spool_read_content(sp, &m,
		    t->headers.n, to, want - t->headers.n, &e);
		if (got <= 0)
			return false; /* the last envelope was settled */
		buf_commit(&t->headers, (size_t)got);
	}
	read = buf_bytes(&t->headers);
	while (read.n > 0 && read.p[read.n - 1] != '\n')
		read.n--;
	t->headers.n = read.n;
	return read.n > 0;
}

static bool
telling_rebuild(struct telling *t)
{
	struct feedback_sent s;

	buf_clear(&t->headers);
	memset(&s, 0, sizeof(s));
	s.snapshot = t->mail.snapshot;
	s.subject = t->mail.subject;
	s.date = bytes_of(t->date);
	s.message_id = bytes_of(t->id);
	if (s.snapshot.n > 0 && t->mail.sender.n > 0 &&
	    snprintf(t->from, sizeof(t->from), "<%.*s>",
		(int)t->mail.sender.n, t->mail.sender.p) > 0)
		s.from = bytes_of(t->from);
	telling_rules(t, &s);
	return feedback_write_headers(&s, &t->headers);
}

/* The Message-ID it was sent with, for References. */
static void
telling_find_id(struct telling *t)
{
	struct header_rules rules = { SIZE_MAX, true };
	struct header	    h;
	struct field	   *f;

	t->sent_id = bytes_of(t->id);
	if (header_parse(buf_bytes(&t->headers), &rules, t->arena, &h) !=
	    HEADER_OK)
		return;
	f = header_find(&h, "Message-ID");
	if (f != NULL)
		t->sent_id = bytes_trim(header_unfold(f->value, t->arena));
}

/* -- the notice ------------------------------------------------------------ */

static struct bytes
without_dns(struct bytes mta)
{
	return bytes_starts_nocase(mta, BYTES("dns;")) ?
	    bytes_trim(bytes_from(mta, 4)) : mta;
}

/* Class 4 in a Bounce: it was tried until its time was over. */
static enum report_cause
cause_of(const struct event *ev, const struct event_recipient *r)
{
	if (r->status.n > 0 && r->status.p[0] == '4')
		return REPORT_EXPIRED;
	return ev->remote_host.n > 0 ? REPORT_REPLY : REPORT_LOCAL;
}

/* "rfc822;a+2Bb@c" -> "rfc822;a+b@c"; what is no xtext: nothing. */
static struct bytes
decode(const struct telling *t, struct bytes type, struct bytes xtext)
{
	struct buf   b;
	struct bytes out = { "", 0 };

	buf_init(&b, DSN_ORCPT_MAX + 1);
	buf_add_bytes(&b, type);
	if (xtext.n > 0 && smtp_xtext_decode(xtext, &b))
		out = arena_bytes(t->arena, buf_bytes(&b));
	buf_wipe(&b);
	return out.p == NULL ? BYTES("") : out;
}

static struct bytes
original_of(const struct telling *t, const struct dsn_wish *w)
{
	ptrdiff_t semicolon;

	if (w == NULL || w->orcpt.n == 0)
		return BYTES("");
	semicolon = bytes_find(w->orcpt, 0, ';');
	return decode(t, bytes_head(w->orcpt, (size_t)(semicolon + 1)),
	    bytes_from(w->orcpt, (size_t)(semicolon + 1)));
}

/* What happened to one recipient, where that is no failure. */
static void
failure_set_news(const struct event *ev, struct report_failure *f)
{
	size_t n;

	if (ev->type == EVENT_DELIVERY_DELAY) {
		f->action = BYTES("delayed");
		return;
	}
	f->action = ev->simulator ? BYTES("delivered") : BYTES("relayed");
	f->status = bytes_from(ev->reply, 4);
	n = smtp_status_length(f->status);
	f->status = n > 0 ? bytes_head(f->status, n) : BYTES("2.0.0");
	f->diagnostic = ev->reply;
	f->cause = REPORT_REPLY;
}

/* Those of whom the client wants to hear. */
static struct report_failure *
telling_failures(const struct telling *t, size_t *count)
{
	const struct event    *ev = t->ev;
	const struct dsn_wish *w;
	struct report_failure *v, *f;
	size_t		       i, n = 0;
	size_t max = ev->recipient_count < RECIPIENTS_MAX ?
	    ev->recipient_count : RECIPIENTS_MAX;

	v = arena_alloc(t->arena, max * sizeof(*v));
	for (i = 0; v != NULL && i < max; i++) {
		w = feedback_channel_wish(&t->mail, ev->recipients[i].address);
		if (ev->type == EVENT_BOUNCE &&
		    !feedback_channel_is_wanted(w))
			continue;
		f = &v[n++];
		f->cause = cause_of(ev, &ev->recipients[i]);
		f->recipient = ev->recipients[i].address;
		f->original_recipient = original_of(t, w);
		f->action = ev->recipients[i].action;
		f->status = ev->recipients[i].status.n > 0 ?
		    ev->recipients[i].status : BYTES("5.0.0");
		f->remote_mta = ev->remote_host;
		f->remote_ip = ev->remote_ip;
		f->diagnostic = ev->recipients[i].diagnostic;
		if (ev->remote_ip.n > 0)
			f->last_attempt = ev->at;
		if (ev->type != EVENT_BOUNCE)
			failure_set_news(ev, f);
	}
	*count = n;
	return v;
}

static bool
telling_write(struct telling *t, struct buf *out)
{
	const struct conf *c = t->feedback->setup.conf;
	struct report_dsn  d;
	unsigned char	   random[TOKEN_OCTETS];
	char		   token[2 * TOKEN_OCTETS + 1];
	char		  *mailer;

	memset(&d, 0, sizeof(d));
	mem_random(random, sizeof(random));
	hex_encode(random, sizeof(random), token);
	mailer = arena_printf(t->arena, "MAILER-DAEMON@%s",
	    c->mail_from.default_domain);
	d.failures = t->failures;
	d.failure_count = t->failure_count;
	d.envelope_id = decode(t, BYTES(""), t->mail.envid);
	if (mailer == NULL)
		return false;
	d.mailer = bytes_of(mailer);
	d.to = t->mail.forward;
	d.token = bytes_of(token);
	d.client_id = t->mail.message_id;
	d.sent_id = t->sent_id;
	d.message_id = bytes_of(t->feedback->message_id);
	d.reporting_mta = t->ev->reporting_mta.n > 0 ?
	    without_dns(t->ev->reporting_mta) : bytes_of(c->server.name);
	d.arrival = t->mail.accepted;
	d.headers = buf_bytes(&t->headers);
	d.content = t->content;
	return report_write_dsn(&d, out);
}

/* Posthorn's own Date and Message-ID of the message (smtp-interface 9.4). */
static void
telling_name(struct telling *t)
{
	const struct conf *c = t->feedback->setup.conf;
	int		   n;

	msgid_to_text(&t->ev->message, c->server.id_prefix, 0,
	    t->feedback->message_id);
	n = snprintf(t->id, sizeof(t->id), "<%s@%s>",
	    t->feedback->message_id, c->message.id_domain);
	must(n > 0 && (size_t)n < sizeof(t->id));
	wall_rfc5322(t->mail.accepted, t->date);
}

static bool
telling_send(struct telling *t)
{
	struct feedback	    *f = t->feedback;
	struct reporter_mail m;

	memset(&m, 0, sizeof(m));
	buf_init(&m.text, MAIL_MAX);
	if (!telling_write(t, &m.text)) {
		log_error("feedback-failed", "mid=%s reason=\"no room for "
		    "the notice\"", f->message_id);
		buf_wipe(&m.text);
		return false;
	}
	memcpy(m.account, t->mail.account, sizeof(m.account));
	bytes_text(t->mail.forward, m.to, sizeof(m.to));
	m.cursor = FEEDBACK_CURSOR;
	m.cursor_to = f->sequence;
	m.done = feedback_on_sent;
	m.ctx = f;
	if (f->setup.send_mail(f->setup.send_mail_arg, &m))
		return true;
	buf_wipe(&m.text);
	return false;
}

/* -- events ---------------------------------------------------------------- */

/* Since when this one is tried; true = long enough. */
static bool
feedback_gives_up(struct feedback *f, uint64_t sequence)
{
	struct mono now = loop_now(f->setup.loop);

	if (f->sequence != sequence) {
		f->sequence = sequence;
		f->begun = now;
	}
	if (now.ms - f->begun.ms < GIVE_UP_MS)
		return false;
	log_error("feedback-dropped", "mid=%s event=%llu reason=\"not handed "
	    "over within 24 h\"", f->message_id,
	    (unsigned long long)sequence);
	return true;
}

static void
feedback_alert(struct feedback *f, const struct telling *t)
{
	char account[ACCOUNT_ID_SIZE];

	if (t->mail.identity.n == 0 || !bytes_eq_text(t->ev->rule, "P1"))
		return;
	bytes_text(t->mail.identity_account, account, sizeof(account));
	notices_auth_alert(f->setup.notices, account, t->mail.identity,
	    t->ev->recipients[0].address, t->ev->recipients[0].diagnostic);
}

/* Reports that are no word of a reader, but say what is wrong (9.4). */
static bool
is_virus_report(const struct event *ev)
{
	return ev->type == EVENT_COMPLAINT &&
	    bytes_eq(ev->feedback_type, BYTES("virus"));
}

static bool
is_authentication_report(const struct event *ev)
{
	return ev->type == EVENT_COMPLAINT &&
	    bytes_eq(ev->feedback_type, BYTES("auth-failure"));
}

/* The operator hears of the one, the account of the other. */
static void
feedback_alert_report(struct feedback *f, const struct telling *t)
{
	char	     account[ACCOUNT_ID_SIZE], text[160];
	struct bytes to = t->ev->recipient_count == 1 ?
	    t->ev->recipients[0].address : BYTES("");

	if (is_virus_report(t->ev)) {
		msgid_to_text(&t->ev->message,
		    f->setup.conf->server.id_prefix, 0, f->message_id);
		snprintf(text, sizeof(text), "A virus was reported in "
		    "message %s of account %s", f->message_id,
		    t->mail.account);
		notices_warn(f->setup.notices, "", "virus", text);
	} else if (t->mail.identity.n > 0) {
		bytes_text(t->mail.identity_account, account,
		    sizeof(account));
		notices_auth_alert(f->setup.notices, account,
		    t->mail.identity, to, BYTES(""));
	}
}

/* The header section as sent, or what is left to show of it. */
static void
telling_show(struct telling *t)
{
	telling_name(t);
	if (!telling_read_content(t) && !telling_rebuild(t)) {
		log_warn("feedback-headers", "mid=%s reason=\"the header "
		    "section cannot be shown\"", t->feedback->message_id);
		buf_clear(&t->headers);
	}
	telling_find_id(t);
}

/* RFC 3461 4.3: of a failure alone, where RET=FULL asked for it. */
static void
telling_take_content(struct telling *t)
{
	struct err e;

	if (t->ev->type == EVENT_BOUNCE &&
	    spool_read_returned(t->feedback->setup.spool, &t->ev->message,
		t->arena, &t->content, &e) < 0)
		log_warn("feedback-headers", "mid=%s reason=\"%s\"",
		    t->feedback->message_id, e.text);
}

/* A mailbox of the simulator that sends something back. */
static enum publisher_answer
feedback_simulate(struct feedback *f, struct telling *t,
    enum simulated_kind kind)
{
	struct simulated_order o = { .kind = kind, .conf = f->setup.conf,
		.mail = &t->mail, .recipient = t->ev->recipients[0].address,
		.delivered = t->ev->at, .cursor = FEEDBACK_CURSOR,
		.cursor_to = f->sequence };

	/* a null sender gets no reply */
	if (kind == SIMULATED_AUTOREPLY && t->mail.forward.n == 0)
		return PUBLISHER_NEXT;
	telling_show(t);
	o.headers = buf_bytes(&t->headers);
	o.sent_id = t->sent_id;
	return simulated_return_begin(f->simulated, &o) ? PUBLISHER_TAKEN :
							  PUBLISHER_NEXT;
}

static enum publisher_answer
feedback_tell(struct feedback *f, struct telling *t)
{
	enum simulated_kind	kind = simulated_return_of(t->ev);
	struct feedback_channel channel = { f->setup.spool, f->setup.book,
		f->setup.conf, f->setup.withdrawal };
	struct err		e;
	int			found;

	found = spool_read_mail(f->setup.spool, &t->ev->message, t->arena,
	    &t->mail, &e);
	if (found < 0) {
		log_error("feedback-failed", "reason=\"%s\"", e.text);
		return PUBLISHER_AGAIN;
	}
	if (found == 0 || t->mail.system)
		return PUBLISHER_NEXT;
	if (kind != SIMULATED_NONE && !t->ev->wants_dsn)
		return feedback_simulate(f, t, kind);
	if (t->ev->type == EVENT_COMPLAINT) {
		feedback_alert_report(f, t);
		return PUBLISHER_NEXT;
	}
	if (t->ev->type == EVENT_BOUNCE)
		feedback_alert(f, t);
	if (t->mail.forward.n == 0 || (t->ev->type == EVENT_BOUNCE &&
	    !feedback_channel_is_mail(&channel, t->arena, &t->mail, t->ev)))
		return PUBLISHER_NEXT;
	t->failures = telling_failures(t, &t->failure_count);
	if (t->failures == NULL)
		return PUBLISHER_AGAIN;
	if (t->failure_count == 0)
		return PUBLISHER_NEXT; /* NOTIFY=NEVER */
	telling_show(t);
	telling_take_content(t);
	return telling_send(t) ? PUBLISHER_TAKEN : PUBLISHER_AGAIN;
}

/* What came back is passed on as it is: forwarder.h; some of it is told. */
static bool
feedback_wants(const struct event *ev)
{
	return (ev->type == EVENT_BOUNCE && ev->recipient_count > 0 &&
		   !ev->from_report) || ev->wants_dsn ||
	    is_virus_report(ev) || is_authentication_report(ev) ||
	    simulated_return_of(ev) != SIMULATED_NONE;
}

static enum publisher_answer
feedback_on_event(void *arg, uint64_t sequence, const struct event *ev)
{
	struct feedback	     *f = arg;
	struct telling	      t;
	enum publisher_answer answer;

	if (!feedback_wants(ev) || feedback_gives_up(f, sequence))
		return PUBLISHER_NEXT;
	memset(&t, 0, sizeof(t));
	t.feedback = f;
	t.ev = ev;
	t.arena = arena_new(EVENT_ARENA);
	buf_init(&t.headers, 2 * FEEDBACK_HEADERS_MAX);
	answer = feedback_tell(f, &t);
	buf_wipe(&t.headers);
	arena_free(t.arena);
	return answer;
}

static void
feedback_on_sent(void *ctx, enum receipt_result result)
{
	struct feedback *f = ctx;

	if (result == RECEIPT_OK) {
		log_info("feedback", "mid=%s event=%llu result=sent",
		    f->message_id, (unsigned long long)f->sequence);
		publisher_settle(f->publisher, PUBLISHER_MOVED);
	} else if (result == RECEIPT_REFUSED) {
		log_error("feedback-dropped", "mid=%s event=%llu "
		    "reason=\"the notice was refused\"", f->message_id,
		    (unsigned long long)f->sequence);
		publisher_settle(f->publisher, PUBLISHER_DONE);
	} else {
		log_warn("feedback-waits", "mid=%s event=%llu",
		    f->message_id, (unsigned long long)f->sequence);
		publisher_settle(f->publisher, PUBLISHER_FAILED);
	}
}

static void
feedback_on_simulated(void *feedback, enum receipt_result result)
{
	struct feedback *f = feedback;

	publisher_settle(f->publisher, result == RECEIPT_OK ?
	    PUBLISHER_MOVED : PUBLISHER_FAILED);
}
