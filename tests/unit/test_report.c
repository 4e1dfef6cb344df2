/* SPDX-License-Identifier: ISC */
/* report: what posthorn writes, and what it reads of others. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "mail/report.h"

enum { MAIL_MAX = 1 << 20, ARENA = 1 << 20 };

#define ID "0100018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6-000000"
#define EMPTY ((struct bytes){ "", 0 })

static const char *
text_of(struct buf *b)
{
	assert_true(buf_add_char(b, '\0'));
	return b->p;
}

/* No line over 998 octets, no bare CR or LF, no octet over 126. */
static void
assert_is_mail(const char *p)
{
	size_t n = 0;

	for (; *p != '\0'; p++) {
		if (p[0] == '\r') {
			assert_int_equal(p[1], '\n');
			p++;
			n = 0;
			continue;
		}
		assert_int_not_equal(p[0], '\n');
		assert_true(p[0] == '\t' || (p[0] >= ' ' && p[0] < 0x7f));
		assert_true(++n <= 998);
	}
}

/* -- writing a DSN ---------------------------------------------------- */

#define SECTION \
	"From: Bob <bob@example.com>\r\n" \
	"To: jane@sink.example\r\n" \
	"Subject: test\r\n" \
	"Date: Wed, 01 May 2024 12:00:00 +0000\r\n" \
	"Message-ID: <" ID "@relay.example>\r\n"

static const struct report_failure unknown_user = {
	.cause = REPORT_REPLY,
	.recipient = BYTES("jane@sink.example"),
	.status = BYTES("5.1.1"),
	.remote_mta = BYTES("mx.sink.example"),
	.remote_ip = BYTES("198.51.100.25"),
	.diagnostic =
	    BYTES("smtp; 550 5.1.1 <jane@sink.example>... User unknown"),
	.last_attempt = { 1714564801000 },
};

static struct report_dsn
dsn_of(const struct report_failure *f, size_t n)
{
	struct report_dsn d = {
		.mailer = BYTES("MAILER-DAEMON@bounces.relay.example"),
		.to = BYTES("bounces@example.com"),
		.token = BYTES("5f604172"),
		.sent_id = BYTES("<" ID "@relay.example>"),
		.message_id = BYTES(ID),
		.reporting_mta = BYTES("a0-10.smtp-out.relay.example"),
		.arrival = { 1714564800000 },
		.failures = f,
		.failure_count = n,
		.headers = BYTES(SECTION "\r\n"),
	};

	return d;
}

#define DSN_TYPE \
	"Auto-Submitted: auto-replied\r\n" \
	"MIME-Version: 1.0\r\n" \
	"Content-Type: multipart/report; report-type=delivery-status;\r\n" \
	"\tboundary=\"=_posthorn_5f604172\"\r\n" \
	"\r\n"
#define DSN_TO \
	"Return-Path: <>\r\n" \
	"From: Mail Delivery Subsystem " \
	"<MAILER-DAEMON@bounces.relay.example>\r\n" \
	"To: bounces@example.com\r\n" \
	"Subject: Delivery Status Notification (Failure)\r\n"
#define DSN_STATUS \
	"--=_posthorn_5f604172\r\n" \
	"Content-Type: message/delivery-status\r\n" \
	"\r\n" \
	"Reporting-MTA: dns; a0-10.smtp-out.relay.example\r\n" \
	"Arrival-Date: Wed, 01 May 2024 12:00:00 +0000\r\n" \
	"\r\n"
#define DSN_END \
	"--=_posthorn_5f604172\r\n" \
	"Content-Type: text/rfc822-headers\r\n" \
	"\r\n" SECTION "\r\n--=_posthorn_5f604172--\r\n"

/* bounces-and-feedback#1,7: the form of section 5.4, octet for octet */
static void
test_dsn_of_the_specification(void **state)
{
	struct report_dsn d = dsn_of(&unknown_user, 1);
	struct buf	  out;

	(void)state;
	d.date.ms = 1714564802000;
	d.dsn_id =
	    BYTES("<0100018f3406a5d0-1b2c3d4e-5f60-4172-8394-a5b6c7d8e9f0"
		  "-000000@relay.example>");
	d.client_id = BYTES("<order-17@app.example.com>");
	buf_init(&out, MAIL_MAX);
	assert_true(report_write_dsn(&d, &out));
	assert_string_equal(text_of(&out),
	    DSN_TO "Date: Wed, 01 May 2024 12:00:02 +0000\r\n"
	    "Message-ID: <0100018f3406a5d0-1b2c3d4e-5f60-4172-8394-"
	    "a5b6c7d8e9f0-000000@relay.example>\r\n"
	    "References: <order-17@app.example.com>\r\n"
	    "\t<" ID "@relay.example>\r\n" DSN_TYPE
	    "--=_posthorn_5f604172\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n"
	    "\r\n"
	    "Your message could not be delivered to:\r\n"
	    "\r\n"
	    "  jane@sink.example\r\n"
	    "\r\n"
	    "The server mx.sink.example (198.51.100.25) answered:\r\n"
	    "\r\n"
	    "  550 5.1.1 <jane@sink.example>... User unknown\r\n"
	    "\r\n"
	    "Message id: " ID "\r\n"
	    "\r\n" DSN_STATUS
	    "Final-Recipient: rfc822; jane@sink.example\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Remote-MTA: dns; mx.sink.example\r\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 <jane@sink.example>... User "
	    "unknown\r\n"
	    "Last-Attempt-Date: Wed, 01 May 2024 12:00:01 +0000\r\n"
	    "\r\n" DSN_END);
	assert_is_mail(out.p);
	buf_wipe(&out);
}

/* Without Date and Message-ID; expired, and not sent at all. */
static void
test_dsn_of_expiry_and_suppression(void **state)
{
	static const struct report_failure failures[] = {
		{ .cause = REPORT_EXPIRED,
		    .recipient = BYTES("a@x.example"),
		    .status = BYTES("4.4.7"),
		    .diagnostic = BYTES("smtp; 450 4.2.0 greylisted"),
		    .original_recipient = BYTES("rfc822;A@x.example") },
		{ .cause = REPORT_LOCAL,
		    .recipient = BYTES("b@x.example"),
		    .status = BYTES("5.1.1"),
		    .diagnostic = BYTES("posthorn did not send the message to "
					"this address.") },
	};
	struct report_dsn d = dsn_of(failures, 2);
	struct buf	  out;

	(void)state;
	d.envelope_id = BYTES("QQ314159");
	d.arrival.ms = 0;
	buf_init(&out, MAIL_MAX);
	assert_true(report_write_dsn(&d, &out));
	assert_string_equal(text_of(&out),
	    DSN_TO "References: <" ID "@relay.example>\r\n" DSN_TYPE
	    "--=_posthorn_5f604172\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n"
	    "\r\n"
	    "Your message could not be delivered to:\r\n"
	    "\r\n"
	    "  a@x.example\r\n"
	    "\r\n"
	    "The delivery time expired. The last attempt ended with:\r\n"
	    "\r\n"
	    "  450 4.2.0 greylisted\r\n"
	    "\r\n"
	    "  b@x.example\r\n"
	    "\r\n"
	    "The reason is:\r\n"
	    "\r\n"
	    "  posthorn did not send the message to this address.\r\n"
	    "\r\n"
	    "Message id: " ID "\r\n"
	    "\r\n"
	    "--=_posthorn_5f604172\r\n"
	    "Content-Type: message/delivery-status\r\n"
	    "\r\n"
	    "Original-Envelope-Id: QQ314159\r\n"
	    "Reporting-MTA: dns; a0-10.smtp-out.relay.example\r\n"
	    "\r\n"
	    "Original-Recipient: rfc822;A@x.example\r\n"
	    "Final-Recipient: rfc822; a@x.example\r\n"
	    "Action: failed\r\n"
	    "Status: 4.4.7\r\n"
	    "Diagnostic-Code: smtp; 450 4.2.0 greylisted\r\n"
	    "\r\n"
	    "Final-Recipient: rfc822; b@x.example\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Diagnostic-Code: posthorn did not send the message to this "
	    "address.\r\n"
	    "\r\n" DSN_END);
	buf_wipe(&out);
}

/* The merging of the simulator: one reason, several recipients. */
static void
test_dsn_lists_recipients_of_one_reason_together(void **state)
{
	struct report_failure f[2] = { unknown_user, unknown_user };
	struct report_dsn     d = dsn_of(f, 2);
	struct buf	      out;
	const char	     *answer;

	(void)state;
	f[1].recipient = BYTES("joe@sink.example");
	buf_init(&out, MAIL_MAX);
	assert_true(report_write_dsn(&d, &out));
	assert_non_null(strstr(text_of(&out),
	    "  jane@sink.example\r\n  joe@sink.example\r\n\r\n"
	    "The server mx.sink.example (198.51.100.25) answered:\r\n"));
	answer = strstr(out.p, "answered:");
	assert_null(strstr(answer + 1, "answered:"));
	buf_wipe(&out);
}

/* Texts of a peer cannot leave their line, nor make it too long. */
static void
test_dsn_with_hostile_texts(void **state)
{
	static char	      reply[9000];
	struct report_failure f = unknown_user;
	struct report_dsn     d = dsn_of(&f, 1);
	struct buf	      out;

	(void)state;
	memset(reply, 'x', sizeof(reply));
	memcpy(reply, "smtp; 550\r\nBcc: v@x.example\r\n\r\n\xfc\x01", 33);
	f.diagnostic = (struct bytes){ reply, sizeof(reply) };
	f.remote_mta = BYTES("mx\r\nX: y");
	d.client_id = f.diagnostic;
	d.to = BYTES("a@b\r\nBcc: c@d");
	buf_init(&out, MAIL_MAX);
	assert_true(report_write_dsn(&d, &out));
	assert_is_mail(text_of(&out));
	assert_null(strstr(out.p, "\nBcc:"));
	assert_null(strstr(out.p, "\nX:"));
	assert_non_null(strstr(out.p, "  550  Bcc: v@x.example    ? x"));
	buf_wipe(&out);
}

static void
test_dsn_names_eight_bit_header_sections(void **state)
{
	struct report_dsn d = dsn_of(&unknown_user, 1);
	struct buf	  out;

	(void)state;
	d.headers = BYTES("Subject: Gr\xc3\xbc\xc3\x9f\r\n");
	buf_init(&out, MAIL_MAX);
	assert_true(report_write_dsn(&d, &out));
	assert_non_null(strstr(text_of(&out),
	    "MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n"));
	assert_non_null(strstr(out.p,
	    "Content-Type: text/rfc822-headers\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n"
	    "Subject: Gr\xc3\xbc\xc3\x9f\r\n\r\n--=_"));
	/* RFC 3461 4.3: the message in their place */
	d.content = BYTES("Subject: x\r\n\r\nGr\xc3\xbc\r\n\r\n");
	buf_clear(&out);
	assert_true(report_write_dsn(&d, &out));
	assert_non_null(strstr(text_of(&out), "--=_posthorn_5f604172\r\n"
	    "Content-Type: message/rfc822\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\nSubject: x\r\n\r\n"
	    "Gr\xc3\xbc\r\n\r\n\r\n--=_posthorn_5f604172--\r\n"));
	assert_null(strstr(out.p, "rfc822-headers"));
	buf_wipe(&out);
	buf_init(&out, 100);
	assert_false(report_write_dsn(&d, &out));
	buf_wipe(&out);
}

/* -- notices ---------------------------------------------------------- */

static const struct bytes contacts[] = { BYTES("mary@example.com"),
	BYTES("ops@example.com") };
static const struct report_head one = { BYTES("no-reply@relay.example"),
	contacts, 1 };
static const struct report_head two = { BYTES("no-reply@relay.example"),
	contacts, 2 };

#define HEAD_1(subject) \
	"From: posthorn <no-reply@relay.example>\r\n" \
	"To: mary@example.com\r\n" \
	"Subject: " subject "\r\n" HEAD_2
#define HEAD_2 \
	"Auto-Submitted: auto-generated\r\n" \
	"MIME-Version: 1.0\r\n" \
	"Content-Type: text/plain; charset=us-ascii\r\n" \
	"\r\n"

static void
test_verification_mail(void **state)
{
	static const char subject[] =
	    HEAD_1("Email address verification request in region us-east-1");
	struct buf out;

	(void)state;
	buf_init(&out, MAIL_MAX);
	assert_true(report_write_verification(&one, BYTES("us-east-1"),
	    BYTES("mftoken234"), EMPTY, &out));
	assert_is_mail(text_of(&out));
	assert_memory_equal(out.p, subject, sizeof(subject) - 1);
	assert_non_null(strstr(out.p, "\r\n  mary@example.com\r\n"));
	assert_non_null(strstr(out.p,
	    "\r\n  posthornctl identity confirm mftoken234\r\n"));
	assert_null(strstr(out.p, "/verify/"));
	buf_clear(&out);
	assert_true(report_write_verification(&one, BYTES("us-east-1"),
	    BYTES("mftoken234"), BYTES("https://mail.relay.example"), &out));
	assert_non_null(strstr(text_of(&out),
	    "\r\n  https://mail.relay.example/verify/mftoken234\r\n"));
	buf_wipe(&out);
}

static void
test_quota_warning(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, MAIL_MAX);
	assert_true(report_write_quota_warning(&two, BYTES("123456789012"), 80,
	    160, 200, &out));
	assert_is_mail(text_of(&out));
	assert_non_null(strstr(out.p,
	    "To: mary@example.com,\r\n\tops@example.com\r\n"
	    "Subject: Quota warning: 80 % of the 24 hour quota used\r\n"));
	assert_non_null(strstr(out.p,
	    "\r\nAccount: 123456789012\r\nUsed: 80 %: 160 of 200\r\n"));
	buf_wipe(&out);
}

static void
test_status_notices(void **state)
{
	static const struct {
		enum report_status_kind kind;
		const char	       *before, *after;
		int64_t			deadline;
		const char	       *subject, *body;
	} cases[] = {
		{ REPORT_STATUS_IDENTITY, "PENDING", "SUCCESS", 0,
		    "Subject: Identity status of example.com: SUCCESS\r\n",
		    "Identity status: PENDING -> SUCCESS\r\n" },
		{ REPORT_STATUS_DKIM, "SUCCESS", "TEMPORARY_FAILURE",
		    1714564800000,
		    "Subject: DKIM status of example.com: "
		    "TEMPORARY_FAILURE\r\n",
		    "They have to be found again before Wed, 01 May 2024 "
		    "12:00:00 +0000,\r\n" },
		{ REPORT_STATUS_MAIL_FROM, "TEMPORARY_FAILURE", "FAILED", 0,
		    "Subject: MAIL FROM status of example.com: FAILED\r\n",
		    "The domain is not used any more." },
		{ REPORT_STATUS_DKIM, "PENDING", "FAILED", 0, "Subject: DKIM",
		    "Signing with its keys is disabled." },
	};
	struct report_status s = { .account = BYTES("123456789012"),
		.identity = BYTES("example.com"),
		.detail = BYTES("no TXT record") };
	struct buf	     out;
	size_t		     i;

	(void)state;
	buf_init(&out, MAIL_MAX);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		s.kind = cases[i].kind;
		s.before = bytes_of(cases[i].before);
		s.after = bytes_of(cases[i].after);
		s.deadline.ms = cases[i].deadline;
		buf_clear(&out);
		assert_true(report_write_status(&one, &s, &out));
		assert_is_mail(text_of(&out));
		assert_non_null(strstr(out.p, cases[i].subject));
		assert_non_null(strstr(out.p, cases[i].body));
		assert_non_null(strstr(out.p, "\r\nno TXT record\r\n"));
	}
	buf_wipe(&out);
}

static void
test_switch_notices(void **state)
{
	struct report_switch s = { .account = BYTES("123456789012"),
		.reason = BYTES("leaked key"),
		.actor = BYTES("root") };
	struct buf	     out;

	(void)state;
	buf_init(&out, MAIL_MAX);
	assert_true(report_write_switch(&one, &s, &out));
	assert_string_equal(text_of(&out),
	    HEAD_1("Sending paused for account 123456789012")
	    "Account: 123456789012\r\n"
	    "Reason: leaked key\r\n"
	    "By: root\r\n"
	    "\r\n"
	    "New mail is refused, and mail in the queue is held.\r\n");
	s.enabled = true;
	s.set = BYTES("ConfigSet");
	s.actor = EMPTY;
	buf_clear(&out);
	assert_true(report_write_switch(&one, &s, &out));
	assert_string_equal(text_of(&out),
	    HEAD_1("Sending resumed for configuration set ConfigSet")
	    "Account: 123456789012\r\n"
	    "Configuration set: ConfigSet\r\n"
	    "Reason: leaked key\r\n"
	    "\r\n"
	    "New mail is accepted, and mail that was held is sent.\r\n");
	buf_wipe(&out);
}

static void
test_other_notices(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, MAIL_MAX);
	assert_true(report_write_destination(&one, BYTES("123456789012"),
	    BYTES("ConfigSet/hook"), BYTES("endpoint refused"), &out));
	assert_is_mail(text_of(&out));
	assert_non_null(strstr(out.p,
	    "Subject: Event destination disabled: ConfigSet/hook\r\n"));
	assert_non_null(strstr(out.p, "\r\nReason: endpoint refused\r\n"));
	buf_clear(&out);
	assert_true(report_write_topic(&one, BYTES("example.com"),
	    BYTES("arn:aws:sns:us-east-1:123456789012:t"), BYTES("Bounce"),
	    &out));
	assert_is_mail(text_of(&out));
	assert_non_null(strstr(out.p, "\r\nTopic: arn:aws:sns:us-east-1:"));
	buf_clear(&out);
	assert_true(report_write_auth_alert(&one, BYTES("example.com"),
	    BYTES("jane@sink.example"), BYTES("550 5.7.26 DMARC policy"),
	    &out));
	assert_is_mail(text_of(&out));
	assert_non_null(strstr(out.p, "\r\n  550 5.7.26 DMARC policy\r\n"));
	buf_clear(&out);
	assert_true(report_write_auth_alert(&one, BYTES("example.com"),
	    BYTES(""), BYTES(""), &out));
	assert_is_mail(text_of(&out));
	assert_non_null(strstr(out.p, "A receiver reports mail"));
	assert_null(strstr(out.p, "Recipient"));
	assert_null(strstr(out.p, "answered"));
	buf_wipe(&out);
}

/* -- reading ---------------------------------------------------------- */

static bool
same(struct bytes b, const char *text)
{
	return bytes_eq_text(b, text);
}

#define POSTFIX_HEAD \
	"Return-Path: <>\r\n" \
	"From: MAILER-DAEMON@email.example.com\r\n" \
	"Date: Wed, 01 May 2024 14:05:45 +0200\r\n" \
	"Content-Type: multipart/report; report-type=delivery-status;\r\n" \
	" boundary=\"B.1/x\"\r\n" \
	"\r\n" \
	"This is a MIME message.\r\n" \
	"\r\n" \
	"--B.1/x\r\n" \
	"Content-Type: text/plain\r\n" \
	"\r\n" \
	"Final-Recipient: rfc822; not@this.example\r\n" \
	"\r\n" \
	"--B.1/x\r\n"
#define ORIGINAL \
	"--B.1/x\r\n" \
	"Content-Type: message/rfc822\r\n" \
	"\r\n" \
	"Return-Path: <x@y.example>\r\n" \
	"Subject: test\r\n" \
	"\r\n" \
	"body line\r\n" \
	"--B.1/x--\r\n" \
	"epilogue\r\n"

/* bounces-and-feedback#8 (what is read of it) */
static void
test_read_dsn(void **state)
{
	static const char mail[] = POSTFIX_HEAD
	    "Content-Type: message/delivery-status\r\n"
	    "\r\n"
	    "Reporting-MTA: dns; email.example.com\r\n"
	    "Original-Envelope-Id: " ID "\r\n"
	    "Arrival-Date: Wed, 1 May 2024 14:00:00 +0200 (CEST)\r\n"
	    "\r\n"
	    "Final-Recipient: rfc822; jane@sink.example\r\n"
	    "Original-Recipient: rfc822;<Jane@sink.example>\r\n"
	    "Action: Failed (expired)\r\n"
	    "Status: 5.1.1\r\n"
	    "Diagnostic-Code: X-Postfix; unknown\r\n"
	    "   user\r\n"
	    "\r\n"
	    "final-recipient: RFC822;joe@sink.example\r\n"
	    "action: delayed\r\n"
	    "status: 4.0.0\r\n"
	    "Remote-MTA: dns; mx.sink.example\r\n"
	    "\r\n" ORIGINAL;
	struct arena *a = arena_new(ARENA);
	struct report r;

	(void)state;
	assert_true(report_read(bytes_of(mail), a, &r));
	assert_int_equal(r.kind, REPORT_DSN);
	assert_int_equal(r.date.ms, 1714565145000); /* 12:05:45Z */
	assert_int_equal(r.arrival.ms, 1714564800000);
	assert_true(same(r.reporting_mta, "dns; email.example.com"));
	assert_true(same(r.envelope_id, ID));
	assert_int_equal(r.recipient_count, 2);
	assert_false(r.truncated);
	assert_true(same(r.recipients[0].final, "jane@sink.example"));
	assert_true(same(r.recipients[0].original, "Jane@sink.example"));
	assert_true(same(r.recipients[0].action, "failed"));
	assert_true(same(r.recipients[0].status, "5.1.1"));
	assert_true(
	    same(r.recipients[0].diagnostic, "X-Postfix; unknown   user"));
	assert_int_equal(r.recipients[0].remote_mta.n, 0);
	/* bounces-and-feedback#9 */
	assert_true(same(r.recipients[1].final, "joe@sink.example"));
	assert_true(same(r.recipients[1].action, "delayed"));
	assert_true(same(r.recipients[1].status, "4.0.0"));
	assert_int_equal(r.recipients[1].diagnostic.n, 0);
	assert_true(same(r.recipients[1].remote_mta, "dns; mx.sink.example"));
	assert_true(same(r.original,
	    "Return-Path: <x@y.example>\r\nSubject: test\r\n\r\n"));
	arena_free(a);
}

/* Our own form is read as well. */
static void
test_read_what_we_write(void **state)
{
	struct report_dsn d = dsn_of(&unknown_user, 1);
	struct arena	 *a = arena_new(ARENA);
	struct report	  r;
	struct buf	  out;

	(void)state;
	buf_init(&out, MAIL_MAX);
	assert_true(report_write_dsn(&d, &out));
	assert_true(report_read(buf_bytes(&out), a, &r));
	assert_int_equal(r.date.ms, 0);
	assert_int_equal(r.recipient_count, 1);
	assert_true(bytes_eq(r.recipients[0].final, unknown_user.recipient));
	assert_true(
	    bytes_eq(r.recipients[0].diagnostic, unknown_user.diagnostic));
	assert_true(same(r.original, SECTION));
	buf_wipe(&out);
	arena_free(a);
}

/* bounces-and-feedback#13 (what is read of it) */
static void
test_read_feedback_report(void **state)
{
	static const char mail[] =
	    "Date: Thu, 8 Mar 2005 17:40:36 EDT\r\n"
	    "Content-Type: multipart/mixed; boundary=out\r\n"
	    "\r\n"
	    "--out\r\n"
	    "Content-Type: multipart/report; report-type=feedback-report;\r\n"
	    "     boundary=part\r\n"
	    "\r\n"
	    "--part\r\n"
	    "\r\n"
	    "text\r\n"
	    "--part\r\n"
	    "Content-Type: message/feedback-report\r\n"
	    "\r\n"
	    "Feedback-Type: Abuse\r\n"
	    "User-Agent: ExampleCorp Feedback Loop (V0.01)\r\n"
	    "Version: 1\r\n"
	    "Original-Mail-From: <" ID "@bounces.relay.example>\r\n"
	    "Original-Rcpt-To: <jane@sink.example>\r\n"
	    "Original-Rcpt-To: <joe@sink.example>\r\n"
	    "Received-Date: Thu, 3 Dec 2009 04:24:21 -0500\r\n"
	    "Reporting-MTA: dns; mail.example.com\r\n"
	    "\r\n"
	    "--part\r\n"
	    "Content-Type: text/rfc822-headers\r\n"
	    "\r\n"
	    "Subject: offer\r\n"
	    "--part--\r\n"
	    "\r\n"
	    "--out--\r\n";
	struct arena *a = arena_new(ARENA);
	struct report r;

	(void)state;
	assert_true(report_read(bytes_of(mail), a, &r));
	assert_int_equal(r.kind, REPORT_ABUSE);
	assert_true(same(r.feedback_type, "abuse"));
	assert_true(same(r.user_agent, "ExampleCorp Feedback Loop (V0.01)"));
	assert_true(
	    same(r.original_mail_from, ID "@bounces.relay.example"));
	assert_true(same(r.original_rcpt_to, "jane@sink.example"));
	assert_true(same(r.reporting_mta, "dns; mail.example.com"));
	assert_int_equal(r.arrival.ms, 1259832261000); /* 09:24:21Z */
	assert_int_equal(r.date.ms, 1110318036000);    /* 21:40:36Z */
	assert_true(same(r.original, "Subject: offer"));
	arena_free(a);
}

static void
test_read_dates(void **state)
{
	static const struct {
		const char *text;
		int64_t	    ms;
	} cases[] = {
		{ "Wed, 01 May 2024 12:00:00 +0000", 1714564800000 },
		{ "1 May 24 12:00 GMT", 1714564800000 },
		{ "Wed, 01 May 2024 12:00:00", 1714564800000 },
		{ "(a (b)) Wed , 1 MAY 2024 (c) 05:00:00 PDT",
		    1714564800000 },
		{ "Thu, 29 Feb 2024 23:59:60 -0030", 1709252999000 + 1000 },
		{ "1 Jan 70 00:00:01 +0000", 1000 },
		{ "", 0 },
		{ "yesterday", 0 },
		{ "Wed, 32 May 2024 12:00:00 +0000", 0 },
		{ "Wed, 01 Mai 2024 12:00:00 +0000", 0 },
		{ "Wed, 01 May 2024 24:00:00 +0000", 0 },
		{ "Wed, 01 May 2024 12:60:00 +0000", 0 },
		{ "Wed, 01 May 2024 12:00:00 +12", 0 },
		{ "Wed, 01 May 2024 12", 0 },
		{ "Wed, 01 May 1924 12:00:00 +0000", 0 },
	};
	char	      mail[300];
	struct report r;
	size_t	      i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena *a = arena_new(ARENA);

		snprintf(mail, sizeof(mail),
		    "Date: %s\r\nContent-Type: message/delivery-status\r\n"
		    "\r\n",
		    cases[i].text);
		assert_true(report_read(bytes_of(mail), a, &r));
		if (r.date.ms != cases[i].ms)
			fail_msg("%s: %lld", cases[i].text,
			    (long long)r.date.ms);
		arena_free(a);
	}
}

static void
test_no_report(void **state)
{
	static const char *const mails[] = {
		"",
		"\r\n\r\n",
		"Subject: hello\r\n\r\nContent-Type: "
		"message/delivery-status\r\n",
		"Content-Type: multipart/report\r\n\r\n--\r\n",
		"Content-Type: multipart/report; boundary=\"\"\r\n\r\n--\r\n",
		"Content-Type: multipart/report; boundary=b\r\n\r\n"
		"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n"
		"--b\r\nContent-Type: message/delivery-status\r\n\r\n",
		"Content-Type: multipart/report; boundary=b\r\n\r\n--bb\r\n"
		"Content-Type: message/delivery-status\r\n\r\n",
	};
	struct report r;
	size_t	      i;

	(void)state;
	for (i = 0; i < sizeof(mails) / sizeof(mails[0]); i++) {
		struct arena *a = arena_new(ARENA);

		assert_false(report_read(bytes_of(mails[i]), a, &r));
		arena_free(a);
	}
}

/* Damage: cut off anywhere, fields that are none, no memory. */
static void
test_read_damaged(void **state)
{
	static const char mail[] = POSTFIX_HEAD
	    "Content-Type: message/delivery-status\r\n\r\n"
	    "Final-Recipient: rfc822; jane@sink.example\r\n"
	    "Action: failed\r\n"
	    "no field\r\n\r\n\r\n"
	    "Action: failed\r\n" ORIGINAL;
	struct arena *a;
	struct report r;
	size_t	      n;

	(void)state;
	for (n = 0; n <= sizeof(mail) - 1; n++) {
		a = arena_new(ARENA);
		report_read((struct bytes){ mail, n }, a, &r);
		assert_true(r.recipient_count <= 2);
		if (n == sizeof(mail) - 1)
			assert_int_equal(r.recipient_count, 2);
		arena_free(a);
	}
	for (n = 0; n < 20000; n += 500) {
		a = arena_new(n);
		report_read(bytes_of(mail), a, &r);
		assert_true(r.recipient_count == 0 || r.recipients != NULL);
		arena_free(a);
	}
}

/* Limits: recipients, depth. */
static void
test_read_bounded(void **state)
{
	struct arena *a = arena_new(ARENA);
	struct report r;
	struct buf    b;
	unsigned      i;

	(void)state;
	buf_init(&b, MAIL_MAX);
	buf_add_text(&b, "Content-Type: message/delivery-status\r\n\r\n");
	for (i = 0; i < 150; i++)
		buf_printf(&b, "Final-Recipient: rfc822; u%u@x.example\r\n\r\n",
		    i);
	assert_true(report_read(buf_bytes(&b), a, &r));
	assert_int_equal(r.recipient_count, REPORT_RECIPIENTS_MAX);
	assert_true(r.truncated);
	assert_true(same(r.recipients[99].final, "u99@x.example"));
	arena_free(a);

	a = arena_new(ARENA);
	buf_clear(&b);
	for (i = 0; i < 6; i++)
		buf_printf(&b,
		    "Content-Type: multipart/mixed; boundary=b%u\r\n\r\n"
		    "--b%u\r\n",
		    i, i);
	buf_add_text(&b, "Content-Type: message/delivery-status\r\n\r\n");
	assert_false(report_read(buf_bytes(&b), a, &r));
	buf_wipe(&b);
	arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dsn_of_the_specification),
		cmocka_unit_test(test_dsn_of_expiry_and_suppression),
		cmocka_unit_test(
		    test_dsn_lists_recipients_of_one_reason_together),
		cmocka_unit_test(test_dsn_with_hostile_texts),
		cmocka_unit_test(test_dsn_names_eight_bit_header_sections),
		cmocka_unit_test(test_verification_mail),
		cmocka_unit_test(test_quota_warning),
		cmocka_unit_test(test_status_notices),
		cmocka_unit_test(test_switch_notices),
		cmocka_unit_test(test_other_notices),
		cmocka_unit_test(test_read_dsn),
		cmocka_unit_test(test_read_what_we_write),
		cmocka_unit_test(test_read_feedback_report),
		cmocka_unit_test(test_read_dates),
		cmocka_unit_test(test_no_report),
		cmocka_unit_test(test_read_damaged),
		cmocka_unit_test(test_read_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
