/* SPDX-License-Identifier: ISC */
#include "mail/report.h"

#include <stdio.h>

#include "base/err.h"

enum {
	LINE_ROOM = 900, /* octets of a value before it is folded */
	VALUE_MAX = 4096
};

/* -- safe text -------------------------------------------------------- */

static char
safe_char(char c)
{
	unsigned char u = (unsigned char)c;

	if (u < ' ' || u == 0x7f)
		return ' ';
	return u > 0x7f ? '?' : c;
}

/*
 * A value on one line; one that is too long goes on in the next, behind
 * fold.  RFC 5322 2.1.1: no line over 998 octets.
 */
static bool
add_safe(struct buf *out, struct bytes s, const char *fold)
{
	size_t i, since = 0;

	s = bytes_head(bytes_trim(s), VALUE_MAX);
	for (i = 0; i < s.n; i++) {
		if (since >= LINE_ROOM ||
		    (since >= LINE_ROOM / 2 && s.p[i] == ' ')) {
			buf_add_text(out, fold);
			since = 0;
			if (s.p[i] == ' ')
				continue;
		}
		buf_add_char(out, safe_char(s.p[i]));
		since++;
	}
	return !out->failed;
}

static void
add_field(struct buf *out, const char *name, const char *before,
    struct bytes value)
{
	buf_add_text(out, name);
	buf_add_text(out, ": ");
	buf_add_text(out, before);
	add_safe(out, value, "\r\n ");
	buf_add_text(out, "\r\n");
}

static void
add_field_if(struct buf *out, const char *name, const char *before,
    struct bytes value)
{
	if (value.n > 0)
		add_field(out, name, before, value);
}

static void
add_date_if(struct buf *out, const char *name, struct wall t)
{
	char text[CLOCK_TEXT_MAX];

	if (t.ms != 0)
		add_field(out, name, "", bytes_of(wall_rfc5322(t, text)));
}

/* "  text", an empty line behind it. */
static void
add_quoted(struct buf *out, struct bytes s)
{
	buf_add_text(out, "  ");
	add_safe(out, s, "\r\n  ");
	buf_add_text(out, "\r\n\r\n");
}

/* -- delivery status notification ------------------------------------- */

static void
dsn_boundary(struct buf *out, const struct report_dsn *d, const char *tail)
{
	buf_add_text(out, "--=_posthorn_");
	buf_add_bytes(out, d->token);
	buf_add_text(out, tail);
	buf_add_text(out, "\r\n");
}

/* The client's own id and the one it was sent with, once if they agree. */
static void
dsn_references(struct buf *out, const struct report_dsn *d)
{
	bool both = d->client_id.n > 0 && d->client_id.n < LINE_ROOM / 2 &&
	    d->sent_id.n > 0 && !bytes_eq(d->client_id, d->sent_id);

	if (!both) {
		add_field_if(out, "References", "",
		    d->sent_id.n > 0 ? d->sent_id : d->client_id);
		return;
	}
	buf_add_text(out, "References: ");
	add_safe(out, d->client_id, "\r\n ");
	buf_add_text(out, "\r\n\t");
	add_safe(out, d->sent_id, "\r\n ");
	buf_add_text(out, "\r\n");
}

/* What happened, by the action of the first recipient. */
struct dsn_words {
	const char *action, *subject, *text;
};

static const struct dsn_words *
dsn_says(const struct report_dsn *d)
{
	static const struct dsn_words words[] = {
		{ "delayed", "Delay", "Your message has not been delivered "
		    "yet, and is tried again, to:" },
		{ "relayed", "Success", "Your message was handed over to the "
		    "server of:" },
		{ "delivered", "Success", "Your message was delivered to:" },
		{ "failed", "Failure",
		    "Your message could not be delivered to:" },
	};
	size_t i = 0, last = sizeof(words) / sizeof(words[0]) - 1;

	while (i < last && !bytes_eq_text(d->failures[0].action,
	    words[i].action))
		i++;
	return &words[i];
}

static void
dsn_head(struct buf *out, const struct report_dsn *d, bool eight_bit)
{
	buf_add_text(out, "Return-Path: <>\r\n"
			  "From: Mail Delivery Subsystem <");
	add_safe(out, d->mailer, "\r\n ");
	buf_add_text(out, ">\r\n");
	add_field(out, "To", "", d->to);
	buf_add_text(out, "Subject: Delivery Status Notification (");
	buf_add_text(out, dsn_says(d)->subject);
	buf_add_text(out, ")\r\n");
	add_date_if(out, "Date", d->date);
	add_field_if(out, "Message-ID", "", d->dsn_id);
	dsn_references(out, d);
	buf_add_text(out, "Auto-Submitted: auto-replied\r\n"
			  "MIME-Version: 1.0\r\n");
	if (eight_bit)
		buf_add_text(out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_add_text(out, "Content-Type: multipart/report; "
			  "report-type=delivery-status;\r\n"
			  "\tboundary=\"=_posthorn_");
	buf_add_bytes(out, d->token);
	buf_add_text(out, "\"\r\n\r\n");
}

static struct bytes
without_type(struct bytes diagnostic)
{
	if (bytes_starts_nocase(diagnostic, BYTES("smtp;")))
		return bytes_trim(bytes_from(diagnostic, 5));
	return diagnostic;
}

static void
dsn_reason(struct buf *out, const struct report_failure *f)
{
	struct bytes diagnostic = without_type(f->diagnostic);

	if (f->cause == REPORT_REPLY) {
		buf_add_text(out, "The server");
		if (f->remote_mta.n > 0) {
			buf_add_char(out, ' ');
			add_safe(out, f->remote_mta, "\r\n");
		}
		if (f->remote_ip.n > 0) {
			buf_add_text(out, " (");
			add_safe(out, f->remote_ip, "\r\n");
			buf_add_char(out, ')');
		}
		buf_add_text(out, " answered:\r\n\r\n");
	} else if (f->cause == REPORT_EXPIRED) {
		buf_add_text(out, "The delivery time expired.");
		buf_add_text(out, diagnostic.n > 0
			? " The last attempt ended with:\r\n\r\n"
			: "\r\n\r\n");
	} else if (diagnostic.n > 0)
		buf_add_text(out, "The reason is:\r\n\r\n");
	if (diagnostic.n > 0)
		add_quoted(out, diagnostic);
}

static bool
same_reason(const struct report_failure *a, const struct report_failure *b)
{
	return a->cause == b->cause && bytes_eq(a->diagnostic, b->diagnostic) &&
	    bytes_eq(a->remote_mta, b->remote_mta) &&
	    bytes_eq(a->remote_ip, b->remote_ip);
}

/* Neighbours that failed for the same reason are listed together. */
static void
dsn_text(struct buf *out, const struct report_dsn *d)
{
	const struct report_failure *f = d->failures;
	size_t			     i;

	dsn_boundary(out, d, "");
	buf_add_text(out, "Content-Type: text/plain; charset=us-ascii"
			  "\r\n\r\n");
	buf_add_text(out, dsn_says(d)->text);
	buf_add_text(out, "\r\n\r\n");
	for (i = 0; i < d->failure_count; i++) {
		buf_add_text(out, "  ");
		add_safe(out, f[i].recipient, "\r\n  ");
		buf_add_text(out, "\r\n");
		if (i + 1 < d->failure_count && same_reason(&f[i], &f[i + 1]))
			continue;
		buf_add_text(out, "\r\n");
		dsn_reason(out, &f[i]);
	}
	buf_add_text(out, "Message id: ");
	add_safe(out, d->message_id, "\r\n ");
	buf_add_text(out, "\r\n\r\n");
}

static void
dsn_group(struct buf *out, const struct report_failure *f)
{
	buf_add_text(out, "\r\n");
	add_field_if(out, "Original-Recipient", "", f->original_recipient);
	add_field(out, "Final-Recipient", "rfc822; ", f->recipient);
	add_field(out, "Action", "",
	    f->action.n > 0 ? f->action : BYTES("failed"));
	add_field(out, "Status", "", f->status);
	if (f->remote_mta.n > 0)
		add_field(out, "Remote-MTA", "dns; ", f->remote_mta);
	add_field_if(out, "Diagnostic-Code", "", f->diagnostic);
	add_date_if(out, "Last-Attempt-Date", f->last_attempt);
}

static void
dsn_status(struct buf *out, const struct report_dsn *d)
{
	size_t i;

	dsn_boundary(out, d, "");
	buf_add_text(out, "Content-Type: message/delivery-status\r\n\r\n");
	add_field_if(out, "Original-Envelope-Id", "", d->envelope_id);
	add_field(out, "Reporting-MTA", "dns; ", d->reporting_mta);
	add_date_if(out, "Arrival-Date", d->arrival);
	for (i = 0; i < d->failure_count; i++)
		dsn_group(out, &d->failures[i]);
	buf_add_text(out, "\r\n");
}

/* What is returned: the message, or its header section. */
static struct bytes
dsn_returned(const struct report_dsn *d)
{
	return d->content.n > 0 ? d->content : d->headers;
}

static void
dsn_return(struct buf *out, const struct report_dsn *d, bool eight_bit)
{
	struct bytes h = dsn_returned(d);
	bool	     is_whole = d->content.n > 0;

	dsn_boundary(out, d, "");
	buf_add_text(out, is_whole ? "Content-Type: message/rfc822\r\n" :
		"Content-Type: text/rfc822-headers\r\n");
	if (eight_bit)
		buf_add_text(out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_add_text(out, "\r\n");
	/* whether or not the section came with its empty line */
	while (!is_whole && h.n > 0 &&
	    (h.p[h.n - 1] == '\r' || h.p[h.n - 1] == '\n'))
		h.n--;
	buf_add_bytes(out, h);
	buf_add_text(out, is_whole ? "\r\n" : "\r\n\r\n");
	dsn_boundary(out, d, "--");
}

bool
report_write_dsn(const struct report_dsn *d, struct buf *out)
{
	bool eight_bit = bytes_has_eight_bit(dsn_returned(d));

	must(d->failure_count > 0 && d->token.n > 0);
	dsn_head(out, d, eight_bit);
	dsn_text(out, d);
	dsn_status(out, d);
	dsn_return(out, d, eight_bit);
	return !out->failed;
}

/* -- notices ---------------------------------------------------------- */

/* The header section; the subject is before, value, after. */
static void
notice_begin(struct buf *out, const struct report_head *h, const char *before,
    struct bytes value, const char *after)
{
	size_t i;

	buf_add_text(out, "From: posthorn <");
	add_safe(out, h->from, "\r\n ");
	buf_add_text(out, ">\r\nTo: ");
	for (i = 0; i < h->to_count; i++) {
		if (i > 0)
			buf_add_text(out, ",\r\n\t");
		add_safe(out, h->to[i], "\r\n ");
	}
	buf_add_text(out, "\r\nSubject: ");
	buf_add_text(out, before);
	add_safe(out, value, "\r\n ");
	buf_add_text(out, after);
	buf_add_text(out, "\r\nAuto-Submitted: auto-generated\r\n"
			  "MIME-Version: 1.0\r\n"
			  "Content-Type: text/plain; charset=us-ascii\r\n"
			  "\r\n");
}

static void
notice_line(struct buf *out, const char *label, struct bytes value)
{
	if (value.n == 0)
		return;
	buf_add_text(out, label);
	buf_add_text(out, ": ");
	add_safe(out, value, "\r\n  ");
	buf_add_text(out, "\r\n");
}

bool
report_write_verification(const struct report_head *h, struct bytes region,
    struct bytes token, struct bytes url, struct buf *out)
{
	must(h->to_count == 1);
	notice_begin(out, h, "Email address verification request in region ",
	    region, "");
	buf_add_text(out, "Somebody asked to send mail with this address:"
			  "\r\n\r\n");
	add_quoted(out, h->to[0]);
	buf_add_text(out, "If that was you, confirm it within 24 hours");
	if (url.n > 0) {
		buf_add_text(out, " on this page:\r\n\r\n  ");
		add_safe(out, url, "\r\n  ");
		buf_add_text(out, "/verify/");
		add_safe(out, token, "\r\n  ");
		buf_add_text(out, "\r\n\r\nor");
	}
	buf_add_text(out, " by giving this token to\r\n"
			  "the operator of the mail server, who runs:\r\n\r\n"
			  "  posthornctl identity confirm ");
	add_safe(out, token, "\r\n  ");
	buf_add_text(out, "\r\n\r\nIf you did not ask for it, do nothing: the "
			  "request ends by itself.\r\n");
	return !out->failed;
}

bool
report_write_quota_warning(const struct report_head *h, struct bytes account,
    unsigned percent, double sent, double max, struct buf *out)
{
	char subject[64];

	snprintf(subject, sizeof(subject),
	    "Quota warning: %u %% of the 24 hour quota used", percent);
	notice_begin(out, h, "", bytes_of(subject), "");
	notice_line(out, "Account", account);
	buf_printf(out, "Used: %u %%: %.0f of %.0f\r\n\r\n", percent, sent,
	    max);
	buf_add_text(out, percent >= 100
		? "No more mail is accepted until recipients of the last "
		  "24 hours\r\nleave the count.\r\n"
		: "When the quota is used up, further mail is refused for "
		  "the time\r\nbeing.\r\n");
	return !out->failed;
}

static const char *
status_noun(enum report_status_kind k)
{
	switch (k) {
	case REPORT_STATUS_DKIM:
		return "DKIM";
	case REPORT_STATUS_MAIL_FROM:
		return "MAIL FROM";
	default:
		return "Identity";
	}
}

/* What a FAILED means for each kind. */
static const char *
status_failed(enum report_status_kind k)
{
	switch (k) {
	case REPORT_STATUS_DKIM:
		return "Signing with its keys is disabled. Set-up must be "
		       "started again.\r\n";
	case REPORT_STATUS_MAIL_FROM:
		return "The domain is not used any more. Set-up must be "
		       "started again.\r\n";
	default:
		return "Mail of this identity is not accepted. Verification "
		       "must be started\r\nagain.\r\n";
	}
}

static void
status_meaning(struct buf *out, const struct report_status *s)
{
	char text[CLOCK_TEXT_MAX];

	if (bytes_eq_nocase(s->after, BYTES("SUCCESS")))
		buf_add_text(out, "All required records were found.\r\n");
	else if (bytes_eq_nocase(s->after, BYTES("FAILED")))
		buf_add_text(out, status_failed(s->kind));
	else if (bytes_eq_nocase(s->after, BYTES("TEMPORARY_FAILURE")))
		buf_add_text(out, s->kind == REPORT_STATUS_MAIL_FROM
			? "The MX record was not found any more; the domain "
			  "is not used meanwhile.\r\n"
			: "Required records were not found any more. Nothing "
			  "changes for the time\r\nbeing.\r\n");
	if (s->deadline.ms == 0)
		return;
	buf_add_text(out, "They have to be found again before ");
	buf_add_text(out, wall_rfc5322(s->deadline, text));
	buf_add_text(out, ",\r\nor the status becomes FAILED.\r\n");
}

bool
report_write_status(const struct report_head *h,
    const struct report_status *s, struct buf *out)
{
	char before[64], after[64];

	snprintf(before, sizeof(before), "%s status of ",
	    status_noun(s->kind));
	snprintf(after, sizeof(after), ": %.*s", (int)s->after.n,
	    s->after.p);
	notice_begin(out, h, before, s->identity, after);
	notice_line(out, "Account", s->account);
	notice_line(out, "Identity", s->identity);
	buf_add_text(out, status_noun(s->kind));
	buf_add_text(out, " status: ");
	add_safe(out, s->before, "\r\n ");
	buf_add_text(out, " -> ");
	add_safe(out, s->after, "\r\n ");
	buf_add_text(out, "\r\n\r\n");
	status_meaning(out, s);
	if (s->detail.n > 0) {
		buf_add_text(out, "\r\n");
		add_safe(out, s->detail, "\r\n");
		buf_add_text(out, "\r\n");
	}
	return !out->failed;
}

bool
report_write_switch(const struct report_head *h,
    const struct report_switch *s, struct buf *out)
{
	char before[64];

	snprintf(before, sizeof(before), "Sending %s for %s ",
	    s->enabled ? "resumed" : "paused",
	    s->set.n > 0 ? "configuration set" : "account");
	notice_begin(out, h, before, s->set.n > 0 ? s->set : s->account, "");
	notice_line(out, "Account", s->account);
	notice_line(out, "Configuration set", s->set);
	notice_line(out, "Reason", s->reason);
	notice_line(out, "By", s->actor);
	buf_add_text(out, s->enabled
		? "\r\nNew mail is accepted, and mail that was held is "
		  "sent.\r\n"
		: "\r\nNew mail is refused, and mail in the queue is "
		  "held.\r\n");
	return !out->failed;
}

bool
report_write_destination(const struct report_head *h, struct bytes account,
    struct bytes destination, struct bytes reason, struct buf *out)
{
	notice_begin(out, h, "Event destination disabled: ", destination, "");
	notice_line(out, "Account", account);
	notice_line(out, "Destination", destination);
	notice_line(out, "Reason", reason);
	buf_add_text(out, "\r\nIts events are kept for 36 hours. Correct the "
			  "endpoint, then enable the\r\ndestination "
			  "again.\r\n");
	return !out->failed;
}

bool
report_write_topic(const struct report_head *h, struct bytes identity,
    struct bytes topic, struct bytes event_type, struct buf *out)
{
	notice_begin(out, h, "Notifications of ", identity,
	    " go by mail now");
	notice_line(out, "Identity", identity);
	notice_line(out, "Topic", topic);
	notice_line(out, "Type", event_type);
	buf_add_text(out, "\r\nThe topic does not work any more. It was "
			  "removed from the identity, and\r\nfeedback "
			  "forwarding by mail was switched on.\r\n");
	return !out->failed;
}

bool
report_write_auth_alert(const struct report_head *h, struct bytes identity,
    struct bytes recipient, struct bytes reply, struct buf *out)
{
	notice_begin(out, h, "Mail of ", identity,
	    " fails authentication checks");
	buf_add_text(out, reply.n > 0
		? "A receiving server refused mail because SPF, DKIM or "
		  "DMARC did not pass.\r\n\r\n"
		: "A receiver reports mail for which SPF, DKIM or DMARC did "
		  "not pass.\r\n\r\n");
	notice_line(out, "Identity", identity);
	if (recipient.n > 0)
		notice_line(out, "Recipient", recipient);
	if (reply.n > 0) {
		buf_add_text(out, "\r\nThe server answered:\r\n\r\n");
		add_quoted(out, reply);
	} else {
		buf_add_text(out, "\r\n");
	}
	buf_add_text(out, "Check the DNS records with: posthornctl identity "
			  "check ");
	add_safe(out, identity, "\r\n  ");
	buf_add_text(out, "\r\n");
	return !out->failed;
}

bool
report_write_warning(const struct report_head *h, struct bytes account,
    struct bytes subject, struct bytes text, struct buf *out)
{
	notice_begin(out, h, "", subject, "");
	notice_line(out, "Account", account);
	add_safe(out, text, "\r\n");
	buf_add_text(out, "\r\n");
	return !out->failed;
}
