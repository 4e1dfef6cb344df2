/* SPDX-License-Identifier: ISC */
/* Mail that came back: bounces-and-feedback.md 6.4 to 9. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mail/returned.h"

#define ID "0100018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6-"
#define assert_bytes(a, text) assert_true(bytes_eq_text(a, text))

static struct arena *arena;

static int
setup(void **state)
{
	(void)state;
	arena = arena_new(4 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static struct returned
look(const char *text, const char *sender)
{
	struct returned r;

	returned_read(bytes_of(text), bytes_of(sender), arena, &r);
	return r;
}

/* -- what it is ------------------------------------------------------------- */

static void
kinds(void **state)
{
	static const struct {
		const char	  *head, *sender;
		enum returned_kind kind;
	} v[] = {
		{ "Auto-Submitted: auto-replied", "", RETURNED_AUTOREPLY },
		{ "Auto-Submitted: auto-generated (x)", "a@b.c",
		    RETURNED_AUTOREPLY },
		{ "Auto-Submitted: no", "a@b.c", RETURNED_OTHER },
		{ "Auto-Submitted: no (really)", "", RETURNED_BOUNCE },
		{ "X-Autoreply: yes", "a@b.c", RETURNED_AUTOREPLY },
		{ "X-Autorespond: x", "a@b.c", RETURNED_AUTOREPLY },
		{ "X-Auto-Reply-From: x", "a@b.c", RETURNED_AUTOREPLY },
		{ "Precedence: auto_reply", "a@b.c", RETURNED_AUTOREPLY },
		{ "Precedence: bulk", "a@b.c", RETURNED_OTHER },
		{ "Subject: Automatic reply: x\r\n"
		  "X-Auto-Response-Suppress: All", "a@b.c",
		    RETURNED_AUTOREPLY },
		{ "Subject: Out of Office", "a@b.c", RETURNED_AUTOREPLY },
		{ "Subject: RE: Re: out of the office", "a@b.c",
		    RETURNED_AUTOREPLY },
		{ "Subject: Abwesenheit: bin weg", "a@b.c",
		    RETURNED_AUTOREPLY },
		{ "Subject: =?utf-8?Q?R=C3=A9ponse_automatique?=", "a@b.c",
		    RETURNED_AUTOREPLY },
		{ "Subject: =?iso-8859-1?Q?Respuesta_autom=E1tica?=",
		    "a@b.c", RETURNED_AUTOREPLY },
		{ "Subject: I am not out of office", "a@b.c",
		    RETURNED_OTHER },
		{ "Subject: x", "", RETURNED_BOUNCE },
		{ "Subject: x", "MAILER-DAEMON@a.example", RETURNED_BOUNCE },
		{ "Subject: x", "postmaster@a.example", RETURNED_BOUNCE },
		{ "From: \"Mail\" <Mailer-Daemon@a.example>", "a@b.c",
		    RETURNED_BOUNCE },
		{ "Subject: Undeliverable: test", "a@b.c", RETURNED_BOUNCE },
		{ "Subject: failure notice", "a@b.c", RETURNED_BOUNCE },
		{ "Subject: Returned mail: see transcript", "a@b.c",
		    RETURNED_BOUNCE },
		{ "Content-Type: multipart/report; report-type="
		  "disposition-notification; boundary=b", "",
		    RETURNED_DISPOSITION },
		{ "Content-Type: multipart/report; report-type="
		  "delivery-status; boundary=b\r\nAuto-Submitted: "
		  "auto-replied", "", RETURNED_DSN },
		{ "Content-Type: multipart/report; report-type="
		  "feedback-report; boundary=b\r\nAuto-Submitted: "
		  "auto-generated", "", RETURNED_COMPLAINT },
		{ "Subject: hello", "a@b.c", RETURNED_OTHER },
	};
	char	text[600];
	size_t	i;
	struct returned r;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		snprintf(text, sizeof(text), "%s\r\n\r\nText\r\n", v[i].head);
		r = look(text, v[i].sender);
		if (r.kind != v[i].kind)
			fail_msg("%s: %d", v[i].head, (int)r.kind);
	}
	assert_int_equal(look("", "").kind, RETURNED_BOUNCE);
	assert_int_equal(look("", "a@b.c").kind, RETURNED_OTHER);
	assert_int_equal(look("\x01 no header", "a@b.c").kind,
	    RETURNED_OTHER);
}

/* -- RFC 5965, appendix B ------------------------------------------------------ */

static const char b1[] =
    "From: <abusedesk@example.com>\r\n"
    "Date: Thu, 8 Mar 2005 17:40:36 EDT\r\n"
    "Subject: FW: Earn money\r\n"
    "To: <abuse@example.net>\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/report; report-type=feedback-report;\r\n"
    "     boundary=\"part1_13d.2e68ed54_boundary\"\r\n\r\n"
    "--part1_13d.2e68ed54_boundary\r\n"
    "Content-Type: text/plain; charset=\"US-ASCII\"\r\n"
    "Content-Transfer-Encoding: 7bit\r\n\r\n"
    "This is an email abuse report for an email message received from IP\r\n"
    "192.0.2.1 on Thu, 8 Mar 2005 14:00:00 EDT.  For more information\r\n"
    "about this format please see http://www.mipassoc.org/arf/.\r\n\r\n"
    "--part1_13d.2e68ed54_boundary\r\n"
    "Content-Type: message/feedback-report\r\n\r\n"
    "Feedback-Type: abuse\r\n"
    "User-Agent: SomeGenerator/1.0\r\n"
    "Version: 1\r\n\r\n"
    "--part1_13d.2e68ed54_boundary\r\n"
    "Content-Type: message/rfc822\r\n"
    "Content-Disposition: inline\r\n\r\n"
    "Received: from mailserver.example.net\r\n"
    "     (mailserver.example.net [192.0.2.1])\r\n"
    "     by example.com with ESMTP id M63d4137594e46;\r\n"
    "     Thu, 08 Mar 2005 14:00:00 -0400\r\n"
    "From: <somespammer@example.net>\r\n"
    "To: <Undisclosed Recipients>\r\n"
    "Subject: Earn money\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-type: text/plain\r\n"
    "Message-ID: 8787KJKJ3K4J3K4J3K4J3.mail@example.net\r\n"
    "Date: Thu, 02 Sep 2004 12:31:03 -0500\r\n\r\n"
    "Spam Spam Spam\r\n"
    "Spam Spam Spam\r\n"
    "Spam Spam Spam\r\n"
    "Spam Spam Spam\r\n"
    "--part1_13d.2e68ed54_boundary--\r\n";

static void
rfc5965_b1(void **state)
{
	struct returned r = look(b1, "abusedesk@example.com");
	struct msgid	id;
	unsigned	n;
	size_t		at = 0;

	(void)state;
	assert_int_equal(r.kind, RETURNED_COMPLAINT);
	assert_true(r.has_attached);
	assert_bytes(r.report.feedback_type, "abuse");
	assert_bytes(r.report.user_agent, "SomeGenerator/1.0");
	assert_bytes(r.from, "abusedesk@example.com");
	assert_int_equal(r.report.original_mail_from.n, 0);
	assert_int_equal(r.report.original_rcpt_to.n, 0);
	assert_int_equal(r.report.arrival.ms, 0);
	/* nothing of ours is in it */
	assert_false(returned_next_id(r.report.original, arena, &at, &id,
	    &n));
}

static const char b2[] =
    "From: <abusedesk@example.com>\r\n"
    "Date: Thu, 8 Mar 2005 17:40:36 EDT\r\n"
    "Subject: FW: Earn money\r\n"
    "To: <abuse@example.net>\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/report; report-type=feedback-report;\r\n"
    "     boundary=\"part1_13d.2e68ed54_boundary\"\r\n\r\n"
    "--part1_13d.2e68ed54_boundary\r\n"
    "Content-Type: message/feedback-report\r\n\r\n"
    "Feedback-Type: abuse\r\n"
    "User-Agent: SomeGenerator/1.0\r\n"
    "Version: 1\r\n"
    "Original-Mail-From: <" ID "000002@bounces.relay.example>\r\n"
    "Original-Rcpt-To: <user@example.com>\r\n"
    "Arrival-Date: Thu, 8 Mar 2005 14:00:00 EDT\r\n"
    "Reporting-MTA: dns; mail.example.com\r\n"
    "Source-IP: 192.0.2.1\r\n"
    "Authentication-Results: mail.example.com;\r\n"
    "               spf=fail smtp.mail=somespammer@example.com\r\n"
    "Reported-Domain: example.net\r\n"
    "Reported-Uri: http://example.net/earn_money.html\r\n"
    "Reported-Uri: mailto:user@example.com\r\n"
    "Removal-Recipient: user@example.com\r\n\r\n"
    "--part1_13d.2e68ed54_boundary--\r\n";

static void
rfc5965_b2(void **state)
{
	struct returned r = look(b2, "");
	struct msgid	id;
	unsigned	n;

	(void)state;
	assert_int_equal(r.kind, RETURNED_COMPLAINT);
	assert_false(r.has_attached);
	assert_bytes(r.report.original_rcpt_to, "user@example.com");
	assert_bytes(r.report.reporting_mta, "dns; mail.example.com");
	assert_int_equal(r.report.arrival.ms, INT64_C(1110304800000));
	assert_true(returned_find_id(r.report.original_mail_from, &id, &n));
	assert_int_equal(n, 2);
}

/* -- ids --------------------------------------------------------------------- */

static void
ids(void **state)
{
	static const char section[] =
	    "Received: from a by b with ESMTP\r\n id " ID "000000;\r\n x\r\n"
	    "Message-ID: <" ID "000001@relay.example>\r\n"
	    "Subject: " ID "000009\r\n"
	    "Return-Path: <" ID "000003@bounces.relay.example>\r\n";
	struct msgid id;
	unsigned     n;
	size_t	     at = 0;

	(void)state;
	assert_true(returned_next_id(BYTES(section), arena, &at, &id, &n));
	assert_int_equal(n, 3);
	assert_true(returned_next_id(BYTES(section), arena, &at, &id, &n));
	assert_int_equal(n, 1);
	assert_true(returned_next_id(BYTES(section), arena, &at, &id, &n));
	assert_int_equal(n, 0);
	assert_false(returned_next_id(BYTES(section), arena, &at, &id, &n));
	at = 0;
	assert_false(returned_next_id(BYTES(""), arena, &at, &id, &n));
	assert_false(returned_find_id(BYTES(ID "00000"), &id, &n));
	assert_false(returned_find_id(BYTES("x" ID "000001"), &id, &n));
}

/* -- bounces without a report --------------------------------------------------- */

static void
frames(void **state)
{
	static const struct {
		const char *body, *line;
	} v[] = {
		{ "Hi. This is the qmail-send program at old.example.\r\n"
		  "I'm afraid I wasn't able to deliver your message to the "
		  "following addresses.\r\n\r\n<joe@sink.example>:\r\n"
		  "192.0.2.1 does not like recipient.\r\n"
		  "Remote host said: 550 5.1.1 no such user\r\n"
		  "Giving up on 192.0.2.1.\r\n\r\n"
		  "--- Below this line is a copy of the message.\r\n\r\n"
		  "x: 551 no\r\n", "550 5.1.1 no such user" },
		{ "This message was created automatically by mail delivery "
		  "software.\r\n  joe@sink.example\r\n"
		  "    host mx [192.0.2.1]\r\n    SMTP error after RCPT TO:\r\n"
		  "    552-mailbox full\r\n", "552-mailbox full" },
		{ "Delivery has failed to these recipients\r\n"
		  "#550 5.1.10 RESOLVER.ADR.RecipientNotFound ##\r\n",
		    "550 5.1.10 RESOLVER.ADR.RecipientNotFound ##" },
		/* what went well before is not what it is about */
		{ "Transcript:\r\n>>> MAIL\r\n<<< 250 ok\r\n"
		  "<<< 550 5.1.1 gone\r\n", "550 5.1.1 gone" },
		/* numbers that are no replies */
		{ "on 2024-05-01 at 12:00:550 from 10.1.2.254 and 5500 x "
		  "250 ok\r\n", "" },
		{ "--- Below this line is a copy of the message.\r\n"
		  "550 no\r\n", "" },
		{ "", "" },
	};
	char	text[1200];
	size_t	i;
	struct returned r;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		snprintf(text, sizeof(text), "Subject: x\r\n\r\n%s",
		    v[i].body);
		r = look(text, "");
		assert_int_equal(r.kind, RETURNED_BOUNCE);
		if (!bytes_eq_text(r.line, v[i].line))
			fail_msg("%zu: \"%.*s\"", i, (int)r.line.n,
			    r.line.p);
	}
	r = look("Subject: x\r\n\r\n<Joe@sink.example>: no\r\n", "");
	assert_true(returned_names(&r, BYTES("joe@sink.example")));
	assert_false(returned_names(&r, BYTES("jane@sink.example")));
	assert_false(returned_names(&r, BYTES("")));
}

/* OpenSMTPD's report has the reply in its text only. */
static void
line_of_a_report(void **state)
{
	struct returned r = look("Content-Type: multipart/report; "
	    "report-type=delivery-status; boundary=b\r\n\r\n"
	    "--b\r\nContent-Type: text/plain\r\n\r\n"
	    "bad@a.example: 550 5.1.1 User unknown\r\n\r\n"
	    "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
	    "Reporting-MTA: dns; mx.a.example\r\n\r\n"
	    "Final-Recipient: rfc822; bad@a.example\r\nAction: failed\r\n"
	    "Status: 5.0.0\r\n\r\n--b--\r\n", "");

	(void)state;
	assert_int_equal(r.kind, RETURNED_DSN);
	assert_int_equal(r.report.recipient_count, 1);
	assert_int_equal(r.report.recipients[0].diagnostic.n, 0);
	assert_bytes(r.line, "550 5.1.1 User unknown");
}

/* Deep parts and many lines end, and nothing is read behind the limit. */
static void
hostile(void **state)
{
	struct buf	b;
	struct returned r;
	unsigned	i;

	(void)state;
	buf_init(&b, 8 << 20);
	buf_add_text(&b, "Content-Type: multipart/report; "
	    "report-type=delivery-status; boundary=b\r\n\r\n");
	for (i = 0; i < 100000; i++)
		buf_add_text(&b, "--b\r\nContent-Type: multipart/mixed; "
		    "boundary=b\r\n\r\n");
	returned_read(buf_bytes(&b), BYTES(""), arena, &r);
	assert_int_equal(r.kind, RETURNED_DSN);
	assert_int_equal(r.report.recipient_count, 0);
	assert_true(r.body.n <= RETURNED_OCTETS);
	buf_clear(&b);
	for (i = 0; i < 20000; i++)
		buf_add_text(&b, "Received: x\r\n");
	returned_read(buf_bytes(&b), BYTES(""), arena, &r);
	assert_int_equal(r.line.n, 0);
	buf_wipe(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(rfc5965_b1, setup, teardown),
		cmocka_unit_test_setup_teardown(rfc5965_b2, setup, teardown),
		cmocka_unit_test_setup_teardown(ids, setup, teardown),
		cmocka_unit_test_setup_teardown(frames, setup, teardown),
		cmocka_unit_test_setup_teardown(line_of_a_report, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(hostile, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
