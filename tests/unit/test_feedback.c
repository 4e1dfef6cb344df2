/* SPDX-License-Identifier: ISC */
/*
 * bounces-and-feedback.md 5.4: what a notice says, octet by octet, and its
 * third part.
 */
#include "feedback_world.h"

/* -- the form (5.4) ---------------------------------------------------- */

/* bounces-and-feedback#1 (its mail), #7: the whole mail, octet by octet */
static void
the_notice_is_that_of_the_specification(void **state)
{
	static const char form[] =
	    "Return-Path: <>\r\n"
	    "From: Mail Delivery Subsystem "
	    "<MAILER-DAEMON@bounces.relay.example>\r\n"
	    "To: bounces@example.com\r\n"
	    "Subject: Delivery Status Notification (Failure)\r\n"
	    "References: <order-17@app.example.com>\r\n"
	    "\t<%s@relay.example>\r\n"
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"=_posthorn_%s\"\r\n"
	    "\r\n"
	    "--=_posthorn_%s\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n"
	    "\r\n"
	    "Your message could not be delivered to:\r\n"
	    "\r\n"
	    "  jane@sink.example\r\n"
	    "\r\n"
	    "The server mx.sink.example (198.51.100.25) answered:\r\n"
	    "\r\n"
	    "  550 5.1.1 user unknown\r\n"
	    "\r\n"
	    "Message id: %s\r\n"
	    "\r\n"
	    "--=_posthorn_%s\r\n"
	    "Content-Type: message/delivery-status\r\n"
	    "\r\n"
	    "Reporting-MTA: dns; a0-10.smtp-out.relay.example\r\n"
	    "Arrival-Date: Wed, 01 May 2024 12:00:00 +0000\r\n"
	    "\r\n"
	    "Final-Recipient: rfc822; jane@sink.example\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Remote-MTA: dns; mx.sink.example\r\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 user unknown\r\n"
	    "Last-Attempt-Date: Wed, 01 May 2024 12:00:01 +0000\r\n"
	    "\r\n"
	    "--=_posthorn_%s\r\n"
	    "Content-Type: text/rfc822-headers\r\n"
	    "\r\n"
	    "From: Bob <bob@example.com>\r\n"
	    "To: jane@sink.example\r\n"
	    "Subject: test\r\n"
	    "Message-ID: <%s@relay.example>\r\n"
	    "Date: Wed, 01 May 2024 12:00:00 +0000\r\n"
	    "\r\n"
	    "--=_posthorn_%s--\r\n";
	struct rw   *w = *state;
	struct msgid id;
	char	     text[MSGID_TEXT + 1], token[9], *want;
	const char  *p;
	struct arena *a = arena_new(1 << 20);

	rw_begin(w);
	id = rw_submit(w, &to_jane);
	rw_pass(w, 1000);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 1);
	assert_string_equal(w->mails[0].to, "bounces@example.com");
	assert_string_equal(w->mails[0].account, rw_account);
	p = strstr(w->mails[0].text, "boundary=\"=_posthorn_");
	assert_non_null(p);
	bytes_text((struct bytes){ p + 21, 8 }, token, sizeof(token));
	id_text(&id, text);
	want = arena_printf(a, form, text, token, token, text, token, token,
	    text, token);
	assert_string_equal(w->mails[0].text, want);
	assert_false(has(&w->mails[0], "Secret body line"));
	arena_free(a);
}

/* ... and our own reader understands it */
static void
the_notice_can_be_read_back(void **state)
{
	struct rw    *w = *state;
	struct msgid  id;
	struct arena *a = arena_new(1 << 20);
	struct report r;

	rw_begin(w);
	id = rw_submit(w, &to_jane);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_true(report_read(bytes_of(w->mails[0].text), a, &r));
	assert_int_equal(r.kind, REPORT_DSN);
	assert_int_equal(r.recipient_count, 1);
	assert_true(bytes_eq_text(r.recipients[0].final,
	    "jane@sink.example"));
	assert_true(bytes_eq_text(r.recipients[0].action, "failed"));
	arena_free(a);
}

/* simulator#9 (its mail): two recipients of one event, in its order */
static void
merged_bounces_make_one_mail(void **state)
{
	static const struct rw_spec spec = { .header = header,
		.forward = "bob@example.com",
		.rcpts = { "bounce+a@simulator.amazonses.com",
		    "bounce+b@simulator.amazonses.com" } };
	struct event_recipient r[2] = {
		{ .address = BYTES("bounce+a@simulator.amazonses.com"),
		    .action = BYTES("failed"), .status = BYTES("5.1.1"),
		    .diagnostic = BYTES("smtp; 550 5.1.1 user unknown") },
		{ .address = BYTES("bounce+b@simulator.amazonses.com"),
		    .action = BYTES("failed"), .status = BYTES("5.1.1"),
		    .diagnostic = BYTES("smtp; 550 5.1.1 user unknown") } };
	struct rw	  *w = *state;
	struct event	   ev;
	struct change_item items[2];
	struct msgid	   id;
	const char	  *a, *b;

	rw_begin(w);
	id = rw_submit(w, &spec);
	rw_fill_bounce(&ev, &id, r, 2);
	memset(items, 0, sizeof(items));
	items[0].id = items[1].id = id;
	items[0].n = 1;
	items[1].n = 2;
	items[0].event = &ev;
	rw_change(w, items, 2);
	assert_int_equal(w->mail_count, 1);
	assert_int_equal(count(&w->mails[0], "Final-Recipient:"), 2);
	a = strstr(w->mails[0].text, "Final-Recipient: rfc822; bounce+a@");
	b = strstr(w->mails[0].text, "Final-Recipient: rfc822; bounce+b@");
	assert_true(a != NULL && b != NULL && a < b);
	/* the same reason is told once */
	assert_int_equal(count(&w->mails[0], "  550 5.1.1 user unknown"), 1);
}

static void
an_expiry_says_that_time_is_over(void **state)
{
	struct event_recipient r = { .address = BYTES("jane@sink.example"),
		.action = BYTES("failed"), .status = BYTES("4.2.2"),
		.diagnostic = BYTES("smtp; 452 4.2.2 mailbox full") };
	struct rw   *w = *state;
	struct event ev;
	struct msgid id;

	rw_begin(w);
	id = rw_submit(w, &to_jane);
	rw_fill_bounce(&ev, &id, &r, 1);
	rw_settle_envelope(w, &id, 1, &ev);
	assert_true(has(&w->mails[0], "The delivery time expired. The last "
	    "attempt ended with:\r\n\r\n  452 4.2.2 mailbox full\r\n"));
	assert_true(has(&w->mails[0], "Action: failed\r\nStatus: 4.2.2\r\n"));
}

/* No server answered: no Remote-MTA, no time of an attempt. */
static void
a_local_failure_names_no_server(void **state)
{
	struct event_recipient r = { .address = BYTES("jane@sink.example"),
		.action = BYTES("failed"), .status = BYTES("5.1.10"),
		.diagnostic = BYTES("smtp; 556 5.1.10 recipient domain does "
		    "not accept mail") };
	struct rw   *w = *state;
	struct event ev;
	struct msgid id;

	rw_begin(w);
	id = rw_submit(w, &to_jane);
	rw_fill_bounce(&ev, &id, &r, 1);
	ev.remote_ip = ev.remote_host = ev.reporting_mta = BYTES("");
	rw_settle_envelope(w, &id, 1, &ev);
	assert_true(has(&w->mails[0], "The reason is:\r\n\r\n  556 5.1.10 "));
	assert_true(has(&w->mails[0],
	    "Reporting-MTA: dns; mail.relay.example\r\n"));
	assert_false(has(&w->mails[0], "Remote-MTA:"));
	assert_false(has(&w->mails[0], "Last-Attempt-Date:"));
}

/* -- the third part ---------------------------------------------------- */

static void
while_queued_the_head_is_shown_as_sent(void **state)
{
	static const struct rw_spec spec = { .header = header,
		.head = "DKIM-Signature: v=1; a=rsa-sha256; b=xyz\r\n"
			"Received: by mail.relay.example\r\n"
			"From: Bob <bob@example.com>\r\n"
			"Message-ID: <sent@relay.example>\r\n",
		.forward = "bounces@example.com",
		.rcpts = { "jane@sink.example", "joe@sink.example" } };
	struct rw   *w = *state;
	struct msgid id;
	char	    *part;

	rw_begin(w);
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	part = third_part(&w->mails[0]);
	assert_string_equal(part,
	    "DKIM-Signature: v=1; a=rsa-sha256; b=xyz\r\n"
	    "Received: by mail.relay.example\r\n"
	    "From: Bob <bob@example.com>\r\n"
	    "Message-ID: <sent@relay.example>\r\n");
	assert_true(has(&w->mails[0], "\t<sent@relay.example>\r\n"));
	mem_free(part);
	/* the last one: content and message have gone with it */
	rw_bounce(w, &id, 2, "joe@sink.example");
	assert_int_equal(w->mail_count, 2);
	part = third_part(&w->mails[1]);
	assert_null(strstr(part, "DKIM-Signature"));
	assert_non_null(strstr(part, "Subject: test\r\n"));
	mem_free(part);
}

static void
a_huge_head_is_cut_at_a_line(void **state)
{
	struct rw     *w = *state;
	struct rw_spec spec = to_jane;
	struct buf     b;
	struct msgid   id;
	char	      *part;
	unsigned       i;

	buf_init(&b, 1 << 20);
	buf_add_text(&b, "Message-ID: <first@example.com>\r\n");
	for (i = 0; i < 1000; i++)
		buf_printf(&b, "X-Filler-%04u: %0100u\r\n", i, i);
	buf_add_char(&b, '\0');
	spec.head = b.p;
	spec.rcpts[1] = "joe@sink.example";
	rw_begin(w);
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	part = third_part(&w->mails[0]);
	assert_true(strlen(part) <= FEEDBACK_HEADERS_MAX);
	assert_true(strlen(part) > FEEDBACK_HEADERS_MAX - 200);
	assert_memory_equal(part + strlen(part) - 2, "\r\n", 2);
	mem_free(part);
	buf_wipe(&b);
}

struct headers_case {
	const char *name, *given, *want;
	bool	    keeps; /* Date and Message-ID are preserved */
};
static const struct headers_case headers_cases[] = {
	{ "control fields and hidden recipients go",
	    "From: a@example.com\r\nBcc: secret@example.com\r\n"
	    "X-SES-CONFIGURATION-SET: set\r\nx-ses-message-tags: a=b\r\n"
	    "Return-Path: <fb@example.com>\r\nBounces-To: b@example.com\r\n"
	    "Resent-Bcc: s@example.com\r\nX-Campaign: 17\r\n",
	    "From: a@example.com\r\nX-Campaign: 17\r\nDate: D\r\n"
	    "Message-ID: <I>\r\n", false },
	{ "posthorn's own in the place of the client's",
	    "Date: yesterday\r\nFrom: a@example.com\r\n"
	    "message-id: <own@example.com>\r\n",
	    "Date: D\r\nFrom: a@example.com\r\nMessage-ID: <I>\r\n", false },
	{ "preserved ones stay",
	    "Date: yesterday\r\nFrom: a@example.com\r\n"
	    "Message-ID: <own@example.com>\r\n",
	    "Date: yesterday\r\nFrom: a@example.com\r\n"
	    "Message-ID: <own@example.com>\r\n", true },
	{ "preserving adds what is missing", "From: a@example.com\r\n",
	    "From: a@example.com\r\nDate: D\r\nMessage-ID: <I>\r\n", true },
	{ "what a client signature names stays",
	    "DKIM-Signature: v=1; h=from:date:message-id; b=x\r\n"
	    "Date: yesterday\r\nFrom: a@example.com\r\n",
	    "DKIM-Signature: v=1; h=from:date:message-id; b=x\r\n"
	    "Date: yesterday\r\nFrom: a@example.com\r\n", false },
	{ "a sender without From",
	    "Subject: x\r\n",
	    "Subject: x\r\nDate: D\r\nMessage-ID: <I>\r\n"
	    "From: <bob@example.com>\r\n", false },
	{ "eight bits and empty values",
	    "From: a@example.com\r\nSubject: \xc3\xa4\r\nX-Empty:\r\n",
	    "From: a@example.com\r\nSubject: \xc3\xa4\r\nX-Empty: \r\n"
	    "Date: D\r\nMessage-ID: <I>\r\n", false },
};

static void
rebuilt_headers(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(headers_cases) / sizeof(headers_cases[0]);
	     i++) {
		const struct headers_case *c = &headers_cases[i];
		struct feedback_sent	   s = { .date = BYTES("D"),
			   .message_id = BYTES("<I>"),
			   .from = BYTES("<bob@example.com>"),
			   .rewrites_date = !c->keeps,
			   .rewrites_id = !c->keeps };
		struct buf snapshot, out;

		buf_init(&snapshot, EVENT_SNAPSHOT_MAX);
		buf_init(&out, FEEDBACK_HEADERS_MAX);
		assert_true(event_snapshot_headers(bytes_of(c->given),
		    &snapshot));
		s.snapshot = buf_bytes(&snapshot);
		assert_true(feedback_write_headers(&s, &out));
		buf_add_char(&out, '\0');
		if (strcmp(out.p, c->want) != 0)
			fail_msg("%s:\n%s", c->name, out.p);
		buf_wipe(&snapshot);
		buf_wipe(&out);
	}
}

static void
rebuilt_without_snapshot_or_with_a_damaged_one(void **state)
{
	struct feedback_sent s = { .subject = BYTES("Hello\r\nBcc: x"),
		.date = BYTES("D"), .message_id = BYTES("<I>"),
		.rewrites_date = true, .rewrites_id = true };
	struct buf out;
	char	   damaged[] = { 0, 0, 4, 0, 9, 'F', 'r', 'o', 'm', 'x' };

	(void)state;
	buf_init(&out, FEEDBACK_HEADERS_MAX);
	assert_true(feedback_write_headers(&s, &out));
	assert_true(bytes_eq_text(buf_bytes(&out), "Subject: Hello  Bcc: x"
	    "\r\nDate: D\r\nMessage-ID: <I>\r\n"));
	buf_clear(&out);
	s.snapshot = (struct bytes){ damaged, sizeof(damaged) };
	assert_true(feedback_write_headers(&s, &out));
	assert_true(bytes_eq_text(buf_bytes(&out), "Date: D\r\n"
	    "Message-ID: <I>\r\n"));
	buf_wipe(&out);
}

/* Long values are folded where they have blanks. */
static void
rebuilt_lines_are_folded(void **state)
{
	struct feedback_sent s = { .date = BYTES("D"),
		.message_id = BYTES("<I>") };
	struct buf  given, snapshot, out;
	unsigned    i;
	const char *p;

	(void)state;
	buf_init(&given, 1 << 20);
	buf_init(&snapshot, EVENT_SNAPSHOT_MAX);
	buf_init(&out, FEEDBACK_HEADERS_MAX);
	buf_add_text(&given, "References:");
	for (i = 0; i < 100; i++)
		buf_printf(&given, " <%040u@example.com>\r\n", i);
	assert_true(event_snapshot_headers(buf_bytes(&given), &snapshot));
	s.snapshot = buf_bytes(&snapshot);
	assert_true(feedback_write_headers(&s, &out));
	buf_add_char(&out, '\0');
	for (p = out.p; *p != '\0'; p = strchr(p, '\n') + 1)
		assert_true(strchr(p, '\n') - p < 998);
	assert_non_null(strstr(out.p, "\r\n <"));
	buf_wipe(&given);
	buf_wipe(&snapshot);
	buf_wipe(&out);
}

static void
put_preserving(struct db_txn *t, void *unused)
{
	struct credential *c = mem_alloc(sizeof(*c));
	const char	  *none[] = { NULL };
	struct err	   e;

	(void)unused;
	rw_put_account(t, none);
	snprintf(c->account, sizeof(c->account), "%s", rw_account);
	snprintf(c->name, sizeof(c->name), "app1");
	c->overrides.message_id = RULE_PRESERVE;
	if (credential_put(t, c, &e) < 0)
		fail_msg("%s", e.text);
	mem_free(c);
}

/* The credential keeps its Message-ID: that is the one the copy had. */
static void
the_rules_of_the_credential_hold(void **state)
{
	struct rw   *w = *state;
	struct msgid id;

	rw_begin(w);
	rw_write(w, put_preserving, NULL);
	id = rw_submit(w, &to_jane);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_true(has(&w->mails[0],
	    "References: <order-17@app.example.com>\r\nAuto-Submitted:"));
	assert_true(has(&w->mails[0],
	    "Message-ID: <order-17@app.example.com>\r\nDate: Wed, 01 May"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, rw_make, rw_unmake)
		TEST(the_notice_is_that_of_the_specification),
		TEST(the_notice_can_be_read_back),
		TEST(merged_bounces_make_one_mail),
		TEST(an_expiry_says_that_time_is_over),
		TEST(a_local_failure_names_no_server),
		TEST(while_queued_the_head_is_shown_as_sent),
		TEST(a_huge_head_is_cut_at_a_line),
		cmocka_unit_test(rebuilt_headers),
		cmocka_unit_test(
		    rebuilt_without_snapshot_or_with_a_damaged_one),
		cmocka_unit_test(rebuilt_lines_are_folded),
		TEST(the_rules_of_the_credential_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
