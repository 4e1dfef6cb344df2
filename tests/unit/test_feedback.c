/* SPDX-License-Identifier: ISC */
/* bounces-and-feedback.md 5: who is told by mail, what, and once. */
#include "fake_clock.c"
#include "fake_thread.c"
#include "reporting_world.h"

#include "mail/report.h"
#include "registry/credential.h"
#include "reporting/feedback.h"

static const char header[] = "From: Bob <bob@example.com>\r\n"
			     "To: jane@sink.example\r\n"
			     "Subject: test\r\n"
			     "Message-ID: <order-17@app.example.com>\r\n";
static const struct rw_spec to_jane = { .header = header,
	.forward = "bounces@example.com", .rcpts = { "jane@sink.example" } };

static int
make(void **state)
{
	struct rw *w = calloc(1, sizeof(*w));

	rw_open(w);
	*state = w;
	return 0;
}

static int
unmake(void **state)
{
	struct rw *w = *state;

	rw_close(w);
	free(w);
	return 0;
}

static bool
has(const struct rw_mail *m, const char *text)
{
	return strstr(m->text, text) != NULL;
}

/* Occurrences of a text in a mail. */
static unsigned
count(const struct rw_mail *m, const char *text)
{
	const char *p = m->text;
	unsigned    n = 0;

	while ((p = strstr(p, text)) != NULL) {
		n++;
		p++;
	}
	return n;
}

static char *
id_text(const struct msgid *id, char out[MSGID_TEXT + 1])
{
	return msgid_to_text(id, "0100", 0, out);
}

/* The third part, up to its boundary. */
static char *
third_part(const struct rw_mail *m)
{
	char *p = strstr(m->text, "Content-Type: text/rfc822-headers\r\n");
	char *end, *out;

	assert_non_null(p);
	p = strstr(p, "\r\n\r\n");
	assert_non_null(p);
	p += 4;
	end = strstr(p, "\r\n--=_posthorn_");
	assert_non_null(end);
	out = mem_dup_bytes((struct bytes){ p, (size_t)(end - p) });
	return out;
}

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

/* -- who is told ------------------------------------------------------- */

/* bounces-and-feedback#6: to the forward address; never to Reply-To */
static void
it_goes_to_the_forward_address(void **state)
{
	static const struct rw_spec spec = {
		.header = "Return-Path: <fb@example.com>\r\n"
			  "From: bob@example.com\r\n"
			  "Reply-To: reply@example.com\r\n",
		.forward = "fb@example.com", .rcpts = { "jane@sink.example" }
	};
	struct rw   *w = *state;
	struct msgid id;

	rw_begin(w);
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 1);
	assert_string_equal(w->mails[0].to, "fb@example.com");
	assert_true(has(&w->mails[0], "\r\nTo: fb@example.com\r\n"));
	assert_false(has(&w->mails[0], "Return-Path: <fb@example.com>"));
}

static void
put_silent_identity(struct db_txn *t, void *unused)
{
	const char     *none[] = { NULL };
	struct identity i;
	struct err	e;

	(void)unused;
	rw_put_account(t, none);
	identity_init(&i, rw_account, "example.com", clock_wall());
	i.method = METHOD_OVERRIDE;
	i.link.status = IDENTITY_SUCCESS;
	i.forwarding = false;
	if (identity_create(t, &i, &e) != 0)
		fail_msg("%s", e.text);
}

/* bounces-and-feedback#18, first half: forwarding off, no topic, no set */
static void
it_is_never_lost(void **state)
{
	struct rw     *w = *state;
	struct rw_spec spec = to_jane;
	struct msgid   id;

	rw_begin(w);
	rw_write(w, put_silent_identity, NULL);
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 1);
}

struct silent {
	struct config_set  set;
	struct destination d;
};

static void
put_silent_set(struct db_txn *t, void *silent)
{
	struct silent *s = silent;
	struct err     e;

	put_silent_identity(t, NULL);
	assert_int_equal(config_set_create(t, &s->set, &e), 0);
	assert_int_equal(destination_create(t, &s->d, &e), 0);
}

static void
put_silent_destination(struct db_txn *t, void *d)
{
	struct err e;

	assert_int_equal(destination_put(t, d, &e), 0);
}

/* events#13: forwarding off and a destination for it; not when that is off,
 * wants other events, or filters this one out */
static void
another_channel_is_enough(void **state)
{
	struct rw     *w = *state;
	struct rw_spec spec = to_jane;
	struct silent  s;
	struct msgid   id;
	struct err     e;

	rw_begin(w);
	config_set_init(&s.set, rw_account, "S", clock_wall());
	destination_init(&s.d, &s.set, "file", clock_wall());
	s.d.types = 1u << EVENT_BOUNCE;
	strcpy(s.d.file.name, "bounces");
	rw_write(w, put_silent_set, &s);
	spec.identity = "example.com";
	spec.set = &s.set;
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 0);
	assert_int_equal(destination_read_filter(
	    BYTES("{\"BounceTypes\":[\"Transient\"]}"), &s.d, &e), 0);
	rw_write(w, put_silent_destination, &s.d);
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 1);
	memset(&s.d.filter, 0, sizeof(s.d.filter));
	s.d.types = 1u << EVENT_DELIVERY;
	rw_write(w, put_silent_destination, &s.d);
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 2);
	s.d.types = 1u << EVENT_BOUNCE;
	destination_disable(&s.d, "endpoint refused", clock_wall());
	rw_write(w, put_silent_destination, &s.d);
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 3);
}

/* bounces-and-feedback#25: no notice about a notice; null sender: none */
static void
some_are_not_told(void **state)
{
	static const struct rw_spec notice = { .header = header,
		.forward = "bounces@example.com",
		.rcpts = { "gone@example.com" }, .is_system = true };
	static const struct rw_spec silent = { .header = header,
		.forward = "", .rcpts = { "jane@sink.example" } };
	struct rw   *w = *state;
	struct msgid id, unknown;

	rw_begin(w);
	id = rw_submit(w, &notice);
	rw_bounce(w, &id, 1, "gone@example.com");
	id = rw_submit(w, &silent);
	rw_bounce(w, &id, 1, "jane@sink.example");
	msgid_make(clock_wall(), &unknown);
	rw_bounce(w, &unknown, 1, "jane@sink.example");
	assert_int_equal(w->handed_in, 0);
	rw_pass(w, 2000);
	/* Send and Bounce of the second, and the bounce of the first */
	assert_true(spool_cursor(w->spool, FEEDBACK_CURSOR) >= 3);
}

static void
put_contact(struct db_txn *t, void *unused)
{
	const char *one[] = { "owner@example.com", NULL };

	(void)unused;
	rw_put_account(t, one);
}

static void
bounce_with(struct rw *w, const char *identity, const char *rule,
    const char *diagnostic)
{
	struct rw_spec	       spec = to_jane;
	struct event_recipient r = { .address = BYTES("jane@sink.example"),
		.action = BYTES("failed"), .status = BYTES("5.7.26"),
		.diagnostic = bytes_of(diagnostic) };
	struct event	       ev;
	struct msgid	       id;

	spec.identity = identity;
	spec.forward = ""; /* only what the contacts are told is looked at */
	id = rw_submit(w, &spec);
	rw_fill_bounce(&ev, &id, &r, 1);
	ev.bounce_type = BOUNCE_TRANSIENT;
	ev.bounce_subtype = BOUNCE_SUB_CONTENT_REJECTED;
	ev.rule = bytes_of(rule);
	rw_settle_envelope(w, &id, 1, &ev);
	rw_pass(w, 100); /* a busy store tells at the end of a window */
}

/* 3.5: rule P1, one alert for each identity a day */
static void
unauthenticated_mail_alarms_the_contacts(void **state)
{
	static const char dmarc[] = "smtp; 550 5.7.26 Unauthenticated email "
	    "from example.com is not accepted due to domain's DMARC policy";
	struct rw *w = *state;

	rw_begin(w);
	rw_write(w, put_contact, NULL);
	bounce_with(w, "example.com", "C2", "smtp; 550 looks like spam");
	bounce_with(w, "example.com", "", dmarc); /* no rule was asked */
	bounce_with(w, "", "P1", dmarc);
	assert_int_equal(w->mail_count, 0);
	bounce_with(w, "example.com", "P1", dmarc);
	assert_int_equal(w->mail_count, 1);
	assert_string_equal(w->mails[0].to, "owner@example.com");
	assert_true(has(&w->mails[0], "Subject: Mail of example.com fails "
	    "authentication checks\r\n"));
	assert_true(has(&w->mails[0], "550 5.7.26 Unauthenticated email"));
	bounce_with(w, "example.com", "P1", dmarc);
	assert_int_equal(w->mail_count, 1);
	bounce_with(w, "b.example.com", "P1",
	    "smtp; 421 4.7.26 not authenticated");
	assert_int_equal(w->mail_count, 2);
	rw_pass(w, 28 * hour);
	bounce_with(w, "example.com", "P1", dmarc);
	assert_int_equal(w->mail_count, 3);
}

static void
complaint_with(struct rw *w, const char *type)
{
	struct rw_spec	       spec = to_jane;
	struct event_recipient r = { .address = BYTES("jane@sink.example") };
	struct event	       ev;
	struct msgid	       id;

	spec.identity = "example.com";
	spec.forward = "";
	id = rw_submit(w, &spec);
	rw_fill_bounce(&ev, &id, &r, 1);
	ev.type = EVENT_COMPLAINT;
	ev.feedback_type = bytes_of(type);
	ev.from_report = true;
	rw_settle_envelope(w, &id, 1, &ev);
	rw_pass(w, 100);
}

/* 9.4: a virus is told to the operator, mail that does not pass to the account;
 * what readers say is passed on by others */
static void
reports_of_trouble_alarm(void **state)
{
	struct rw *w = *state;

	rw_begin(w);
	rw_write(w, put_contact, NULL);
	complaint_with(w, "abuse");
	complaint_with(w, "not-spam");
	complaint_with(w, "");
	assert_int_equal(w->mail_count, 0);
	complaint_with(w, "virus");
	assert_int_equal(w->mail_count, 1);
	assert_string_equal(w->mails[0].to, "operator@relay.example");
	assert_true(has(&w->mails[0], "A virus was reported in message "));
	complaint_with(w, "auth-failure");
	assert_int_equal(w->mail_count, 2);
	assert_string_equal(w->mails[1].to, "owner@example.com");
	assert_true(has(&w->mails[1], "Subject: Mail of example.com fails "
	    "authentication checks\r\n"));
	complaint_with(w, "auth-failure");
	complaint_with(w, "virus");
	assert_int_equal(w->mail_count, 2);
}

static void
other_events_make_no_mail(void **state)
{
	struct rw   *w = *state;
	struct event ev;
	struct event_recipient r = { .address = BYTES("jane@sink.example") };
	struct msgid id;

	rw_begin(w);
	id = rw_submit(w, &to_jane);
	rw_fill_bounce(&ev, &id, &r, 1);
	ev.type = EVENT_DELIVERY;
	rw_settle_envelope(w, &id, 1, &ev);
	assert_int_equal(w->handed_in, 0);
}

/* -- once -------------------------------------------------------------- */

static void
bounce_both(struct rw *w, struct msgid ids[2])
{
	rw_bounce(w, &ids[0], 1, "jane@sink.example");
	rw_bounce(w, &ids[1], 1, "jane@sink.example");
}

/* Three lives, two of which end at the worst moment: two mails in all. */
static void
each_event_is_told_once_across_crashes(void **state)
{
	struct rw   *w = *state;
	struct msgid ids[2];

	rw_begin(w);
	ids[0] = rw_submit(w, &to_jane);
	ids[1] = rw_submit(w, &to_jane);
	w->crash_at = RW_BEFORE_COMMIT;
	rw_bounce(w, &ids[0], 1, "jane@sink.example");
	assert_int_equal(w->handed_in, 1);
	assert_int_equal(w->mail_count, 0);
	rw_crash(w);

	rw_begin_with(w, true); /* the first one again */
	assert_int_equal(w->mail_count, 1);
	w->crash_at = RW_AFTER_COMMIT;
	rw_bounce(w, &ids[1], 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 2);
	rw_crash(w);

	rw_begin(w);
	rw_pass(w, minute);
	assert_int_equal(w->mail_count, 2);
	assert_int_equal(w->handed_in, 3);
}

/* The same as one: a crash in the middle of the first of two. */
static void
what_waits_is_told_in_order_after_a_crash(void **state)
{
	struct rw   *w = *state;
	struct msgid ids[2];
	char	     text[MSGID_TEXT + 1];

	rw_begin(w);
	ids[0] = rw_submit(w, &to_jane);
	ids[1] = rw_submit(w, &to_jane);
	w->full_feeds = 1000;
	bounce_both(w, ids);
	rw_pass(w, minute);
	assert_int_equal(w->mail_count, 0);
	rw_crash(w);
	w->full_feeds = 0;
	rw_begin(w);
	assert_int_equal(w->mail_count, 2);
	assert_true(has(&w->mails[0], id_text(&ids[0], text)));
	assert_true(has(&w->mails[1], id_text(&ids[1], text)));
}

/* One is under way at a time. */
static void
a_slow_spool_holds_the_rest_back(void **state)
{
	struct rw   *w = *state;
	struct msgid ids[2];

	rw_begin(w);
	ids[0] = rw_submit(w, &to_jane);
	ids[1] = rw_submit(w, &to_jane);
	w->answers[2] = RECEIPT_FULL;
	w->answers[1] = RECEIPT_DOWN;
	w->answers[0] = RECEIPT_BUSY;
	w->answer_count = 3;
	bounce_both(w, ids);
	assert_int_equal(w->handed_in, 1);
	rw_pass(w, 250);
	assert_int_equal(w->handed_in, 2);
	rw_pass(w, 500);
	assert_int_equal(w->handed_in, 3);
	rw_pass(w, 1000);
	assert_int_equal(w->mail_count, 2);
	assert_int_equal(w->handed_in, 5);
	assert_true(rw_logged(w, "feedback-waits"));
}

static void
a_refused_notice_is_dropped(void **state)
{
	struct rw   *w = *state;
	struct msgid ids[2];
	char	     text[MSGID_TEXT + 1];

	rw_begin(w);
	ids[0] = rw_submit(w, &to_jane);
	ids[1] = rw_submit(w, &to_jane);
	w->answers[0] = RECEIPT_REFUSED;
	w->answer_count = 1;
	bounce_both(w, ids);
	assert_int_equal(w->mail_count, 1);
	assert_true(has(&w->mails[0], id_text(&ids[1], text)));
	assert_true(rw_logged(w, "feedback-dropped"));
}

/* Not handed over within 24 h: dropped, and the next one has its day. */
static void
a_notice_is_given_up_after_a_day(void **state)
{
	struct rw   *w = *state;
	struct msgid ids[2];
	char	     text[MSGID_TEXT + 1];

	rw_begin(w);
	ids[0] = rw_submit(w, &to_jane);
	ids[1] = rw_submit(w, &to_jane);
	w->full_feeds = 1000000;
	bounce_both(w, ids);
	rw_pass(w, 23 * hour);
	assert_false(rw_logged(w, "feedback-dropped"));
	rw_pass(w, 2 * hour);
	assert_true(rw_logged(w, "feedback-dropped"));
	w->full_feeds = 0;
	rw_pass(w, 2 * minute);
	assert_int_equal(w->mail_count, 1);
	assert_true(has(&w->mails[0], id_text(&ids[1], text)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, unmake)
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
		TEST(it_goes_to_the_forward_address),
		TEST(it_is_never_lost), TEST(another_channel_is_enough),
		TEST(some_are_not_told),
		TEST(unauthenticated_mail_alarms_the_contacts),
		TEST(reports_of_trouble_alarm),
		TEST(other_events_make_no_mail),
		TEST(each_event_is_told_once_across_crashes),
		TEST(what_waits_is_told_in_order_after_a_crash),
		TEST(a_slow_spool_holds_the_rest_back),
		TEST(a_refused_notice_is_dropped),
		TEST(a_notice_is_given_up_after_a_day),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
