/* SPDX-License-Identifier: ISC */
/*
 * From DATA to the final header block: framing rules, form of the header
 * section, what is removed, replaced and added.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys_double.h"
#include "submission/desk_private.h"
#include "submission/receive.h"

struct bench {
	struct desk	desk;
	struct conf    *conf;
	struct err	err;
	struct message *message;
	struct receive *receive;
	struct reply	reply;
	struct buf	head, body;
	struct account_overrides of_account, of_credential;
	const char     *with;
	const char     *blocked;
	bool		lenient;
	uint64_t	size_max;
};

static int
setup(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));

	b->desk.setup.loop = loop_new("test", 64, &b->err);
	b->desk.setup.tally = tally_new(100);
	b->desk.signer = signer_new(NULL, &b->err);
	assert_non_null(b->desk.signer);
	b->desk.stages = table_new(0);
	b->conf = conf_defaults();
	b->conf->server.name = "mail.relay.example";
	b->conf->message.id_domain = "relay.example";
	buf_init(&b->head, 1 << 20);
	buf_init(&b->body, 64 << 20);
	b->with = "ESMTPSA";
	b->size_max = b->conf->message.max_size_bytes;
	*state = b;
	return 0;
}

static void
forget(struct bench *b)
{
	receive_free(b->receive);
	b->receive = NULL;
	message_free(b->message);
	b->message = NULL;
	buf_clear(&b->head);
	buf_clear(&b->body);
	memset(&b->reply, 0, sizeof(b->reply));
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	forget(b);
	buf_wipe(&b->head);
	buf_wipe(&b->body);
	signer_free(b->desk.signer);
	table_free(b->desk.stages);
	tally_free(b->desk.setup.tally);
	loop_free(b->desk.setup.loop);
	conf_unref(b->conf);
	mem_free(b);
	return 0;
}

static void
begin(struct bench *b, enum framing_kind kind)
{
	struct receive_setup rs = { .desk = &b->desk, .conf = b->conf,
		.kind = kind, .size_max = b->size_max, .lenient = b->lenient,
		.blocked = b->blocked };

	forget(b);
	b->message = rs.message = message_new(1 << 20);
	assert_true(message_set(b->message, &b->message->sender,
	    BYTES("sender@example.com")));
	assert_true(message_set(b->message, &b->message->ehlo,
	    BYTES("app1.example.com")));
	assert_true(message_set(b->message, &b->message->client_ip,
	    BYTES("192.0.2.10")));
	b->receive = receive_new(&rs, &b->err);
	assert_non_null(b->receive);
}

/* Feeds DATA content, in pieces of step octets; what was not used. */
static size_t
feed(struct bench *b, struct bytes data, size_t step)
{
	size_t n;

	begin(b, FRAMING_DATA);
	while (data.n > 0 && !receive_has_ended(b->receive)) {
		n = receive_feed(b->receive, bytes_head(data, step));
		assert_true(n > 0);
		data = bytes_from(data, n);
	}
	return data.n;
}

/* The checks in their order; on success the message as it will be sent. */
static bool
finish(struct bench *b)
{
	struct receive_close rules = { .conf = b->conf,
		.of_account = &b->of_account,
		.of_credential = &b->of_credential, .with = b->with,
		.feedback_id = BYTES("1.us-east-1.token:posthorn") };
	struct chunk *c;

	if (!receive_check_content(b->receive, &b->reply) ||
	    !receive_check_header(b->receive, &b->reply) ||
	    !receive_check_parts(b->receive, &b->reply))
		return false;
	assert_true(receive_snapshot(b->receive));
	b->message->accepted.ms = 1714564800000; /* 2024-05-01T12:00:00Z */
	assert_true(msgid_from_text(
	    BYTES("0100018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6-"
	    "000000"), &b->message->id, NULL));
	assert_true(receive_close(b->receive, &rules, &b->head));
	for (c = b->message->body_first; c != NULL; c = c->next)
		buf_add(&b->body, c->data, c->n);
	buf_add_char(&b->head, '\0');
	buf_add_char(&b->body, '\0');
	return true;
}

static bool
take(struct bench *b, const char *text)
{
	feed(b, bytes_of(text), SIZE_MAX);
	assert_true(receive_has_ended(b->receive));
	return finish(b);
}

static void
expect_refusal(struct bench *b, unsigned code, const char *text)
{
	assert_int_equal(b->reply.code, code);
	assert_string_equal(b->reply.text, text);
}

#define END "\r\n.\r\n"
#define ID "0100018f34069e00-7cb9f704-7531-4e53-89a1-5fa9744f5eb6-000000"

/* -- framing -------------------------------------------------------------- */

/* smtp-interface#12 */
static void
test_smuggling(void **state)
{
	static const struct {
		const char *seq;
		bool	    refused;
	} cases[] = { { "\n.\n", false }, { "\n.\r\n", false },
		{ "\r\n.\n", false }, { "\r.\r", true }, { "\r\n.\r", true },
		{ "\r.\r\n", true } };
	struct bench *b = *state;
	char	      text[300];
	size_t	      i, step;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (step = 1; step < 4; step++) {
			snprintf(text, sizeof(text), "From: a@example.com\r\n"
			    "\r\na%sMAIL FROM:<x@example.com>\r\n.\r\nRSET",
			    cases[i].seq);
			b->conf->smtp.bare_lf = CONF_BARE_LF_NORMALIZE;
			assert_int_equal(feed(b, bytes_of(text), step), 4);
			assert_int_equal(finish(b), !cases[i].refused);
			if (cases[i].refused)
				expect_refusal(b, 550, "Message contains a "
				    "bare carriage return");
			else
				assert_non_null(strstr(b->body.p,
				    "MAIL FROM:<x@example.com>\r\n"));
			b->conf->smtp.bare_lf = CONF_BARE_LF_REJECT;
			feed(b, bytes_of(text), step);
			assert_false(finish(b));
			if (!cases[i].refused)
				expect_refusal(b, 550,
				    "Message contains a bare line feed");
		}
}

/* smtp-interface#13 */
static void
test_dots(void **state)
{
	struct bench *b = *state;

	assert_true(take(b, "From: a@example.com\r\n\r\n..x\r\na\n.b" END));
	assert_string_equal(b->body.p, ".x\r\na\r\n.b\r\n");
}

/* smtp-interface#15 */
static void
test_size(void **state)
{
	struct bench *b = *state;
	struct buf    text;
	size_t	      over;

	b->size_max = 50000;
	buf_init(&text, 1 << 20);
	for (over = 0; over < 2; over++) {
		buf_clear(&text);
		buf_add_text(&text, "From: a@example.com\r\n\r\n");
		while (text.n < 50000 + over - 2) /* a line end follows */
			buf_add_text(&text, text.n % 72 == 0 ? "\r\n" : "x");
		text.n = 50000 + over - 2;
		buf_add_text(&text, END);
		feed(b, buf_bytes(&text), 1000);
		assert_int_equal(receive_octets(b->receive), 50000 + over);
		assert_int_equal(receive_is_too_long(b->receive), over == 1);
		b->conf->message.long_lines = CONF_LONG_LINES_PASS;
		assert_int_equal(finish(b), over == 0);
	}
	expect_refusal(b, 552, "Message is too long.");
	assert_int_equal(message_memory(b->message), 0);
	buf_wipe(&text);
}

/* What will be refused at the end is not kept until then. */
static void
test_refused_content_is_dropped(void **state)
{
	static const char *const faults[] = { "a\rb", "a\0b" };
	struct bench *b = *state;
	char	      line[100];
	size_t	      i, k;

	memset(line, 'x', sizeof(line) - 2);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	for (k = 0; k < 2; k++) {
		begin(b, FRAMING_DATA);
		receive_feed(b->receive,
		    BYTES("From: a@example.com\r\n\r\n"));
		receive_feed(b->receive, (struct bytes){ faults[k], 3 });
		for (i = 0; i < 2000; i++)
			receive_feed(b->receive,
			    (struct bytes){ line, sizeof(line) });
		assert_true(receive_is_settled(b->receive));
		assert_int_equal(message_memory(b->message), 0);
		receive_feed(b->receive, BYTES(".\r\n"));
		assert_true(receive_has_ended(b->receive));
		assert_false(finish(b));
		expect_refusal(b, 550, k == 0 ?
		    "Message contains a bare carriage return" :
		    "Message contains a NUL octet");
	}
}

static void
test_flood(void **state)
{
	struct bench *b = *state;
	char	      line[100];
	int	      i;

	b->size_max = 1000;
	begin(b, FRAMING_DATA);
	memset(line, 'x', sizeof(line));
	memcpy(line + 98, "\r\n", 2);
	for (i = 0; i < 20; i++) {
		receive_feed(b->receive, (struct bytes){ line, 100 });
		assert_false(receive_is_flooded(b->receive));
	}
	receive_feed(b->receive, (struct bytes){ line, 100 });
	assert_true(receive_is_flooded(b->receive));
}

static void
test_content_refusals(void **state)
{
	struct bench *b = *state;
	char	      text[2100];

	assert_false(take(b, ".\r\n"));
	expect_refusal(b, 554, "Transaction failed: Message is empty.");
	feed(b, (struct bytes){ "From: a@b.example\r\n\r\n\0" END, 27 }, 99);
	assert_false(finish(b));
	expect_refusal(b, 550, "Message contains a NUL octet");
	strcpy(text, "From: a@example.com\r\n\r\n");
	memset(text + 23, 'x', 999);
	strcpy(text + 23 + 999, END);
	assert_false(take(b, text));
	expect_refusal(b, 554, "Transaction failed: Line too long.");
	strcpy(text + 23 + 998, END);
	assert_true(take(b, text));
	strcpy(text + 23, "a\rb" END);
	b->conf->smtp.bare_cr = CONF_BARE_CR_SPACE;
	assert_true(take(b, text));
	assert_string_equal(b->body.p, "a b\r\n");
}

/* Sections count while they come; the big ones give way, the others do not. */
static void
test_header_memory(void **state)
{
	struct bench *b = *state;
	struct buf    text;
	int64_t	      before;

	buf_init(&text, 1 << 20);
	buf_add_text(&text, "From: a@example.com\r\n");
	while (text.n < 100000)
		buf_add_text(&text, "X-Field: value\r\n");
	begin(b, FRAMING_DATA);
	receive_feed(b->receive, buf_bytes(&text));
	assert_true(desk_memory(&b->desk) >= 100000);
	forget(b);
	assert_int_equal(desk_memory(&b->desk), 0);

	before = (int64_t)b->conf->smtp.max_memory_bytes + 1;
	desk_memory_add(&b->desk, before);
	begin(b, FRAMING_DATA);
	receive_feed(b->receive, buf_bytes(&text));
	assert_true(desk_memory(&b->desk) < before + 20000);
	receive_feed(b->receive, BYTES("\r\ntext" END));
	assert_true(receive_has_ended(b->receive));
	assert_false(finish(b));
	expect_refusal(b, 454, "Temporary service failure");
	assert_true(take(b, "From: a@example.com\r\n\r\ntext" END));
	forget(b);
	assert_int_equal(desk_memory(&b->desk), before);
	desk_memory_add(&b->desk, -before);
	buf_wipe(&text);
}

/* smtp-interface#14: chunks are not dot-stuffed, CR LF may be divided */
static void
test_chunks(void **state)
{
	struct bench *b = *state;

	begin(b, FRAMING_CHUNK);
	receive_feed(b->receive, BYTES("From: a@example.com\r"));
	receive_feed(b->receive, BYTES("\n\r\n..x\r\n.\r"));
	receive_feed(b->receive, BYTES("\nend"));
	receive_end(b->receive);
	assert_true(finish(b));
	assert_string_equal(b->body.p, "..x\r\n.\r\nend\r\n");
	begin(b, FRAMING_CHUNK);
	receive_end(b->receive);
	assert_false(finish(b));
	expect_refusal(b, 554, "Transaction failed: Message is empty.");
}

/* -- header section: form ------------------------------------------------- */

static void
test_header_refusals(void **state)
{
	static const struct {
		const char *head, *text;
	} cases[] = {
		{ "From: a@example.com\r\nno field\r\n\r\nx",
		    "Transaction failed: Malformed header line." },
		{ "Subject: a\r\nFrom: a@example.com\r\nSUBJECT: b\r\n\r\nx",
		    "Transaction failed: Duplicate header 'Subject'." },
		{ "From: a@example.com\r\nDKIM-Signature: v=1\r\n"
		  "dkim-signature: v=1\r\n\r\nx",
		    "Transaction failed: Duplicate header 'DKIM-Signature'." },
		{ "From: a@example.com\r\nReceived: 1\r\nReceived: 2\r\n"
		  "Received: 3\r\n\r\nx", "Transaction failed: Too many hops." },
		{ "From: a@example.com\r\nX-Foo: \xc3\xbc\r\n\r\nx",
		    "Transaction failed: Non-ASCII header 'X-Foo'." },
	};
	struct bench *b = *state;
	char	      text[400];
	size_t	      i;

	b->conf->message.max_hops = 2;
	b->conf->message.header_8bit = CONF_HEADER_8BIT_REJECT;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "%s" END, cases[i].head);
		assert_false(take(b, text));
		expect_refusal(b, 554, cases[i].text);
	}
	/* smtp-interface#16: what may stand twice */
	assert_true(take(b, "From: a@example.com\r\nTo: a\r\nTo: b\r\n"
	    "Received: 1\r\nReceived: 2\r\nX-Foo: 1\r\nX-Foo: 2\r\n\r\nx"
	    END));
	b->conf->message.allow_multiple_dkim = true;
	assert_true(take(b, "From: a@example.com\r\nDKIM-Signature: v=1\r\n"
	    "DKIM-Signature: v=1\r\n\r\nx" END));
}

static void
test_header_too_long(void **state)
{
	struct bench *b = *state;
	struct buf    text;
	size_t	      step, i;

	buf_init(&text, 1 << 20);
	b->conf->message.max_header_size_bytes = 20000;
	for (i = 0; i < 2; i++) {
		buf_clear(&text);
		buf_add_text(&text, "From: a@example.com\r\n");
		while (text.n < 20001)
			buf_add_text(&text, "X-Filler: something\r\n");
		if (i == 0) /* the end is never seen */
			buf_add_text(&text, "\r\nbody");
		buf_add_text(&text, END);
		for (step = 7; step < 100000; step *= 11) {
			feed(b, buf_bytes(&text), step);
			assert_false(finish(b));
			expect_refusal(b, 554,
			    "Transaction failed: Header section too long.");
		}
	}
	buf_wipe(&text);
}

static void
test_lenient_header(void **state)
{
	struct bench *b = *state;
	size_t	      step;

	b->lenient = true;
	for (step = 1; step < 60; step++) {
		feed(b, BYTES("From: a@example.com\r\nno field\r\nmore" END),
		    step);
		assert_true(finish(b));
		assert_string_equal(b->body.p, "no field\r\nmore\r\n");
	}
}

/* -- header section: rewriting -------------------------------------------- */

static void
expect_head(struct bench *b, const char *text)
{
	if (strcmp(b->head.p, text) != 0)
		fail_msg("is:\n%s\nshould be:\n%s", b->head.p, text);
}

static void
expect_begin(struct bench *b, const char *text)
{
	if (strncmp(b->head.p, text, strlen(text)) != 0)
		fail_msg("is:\n%s\nshould begin:\n%s", b->head.p, text);
}

#define RECEIVED_ANONYMOUS_TEXT \
	"Received: by mail.relay.example with ESMTPSA\r\n id " ID ";\r\n" \
	" Wed, 01 May 2024 12:00:00 +0000\r\n"
#define DATE_TEXT "Date: Wed, 01 May 2024 12:00:00 +0000\r\n"
#define ID_TEXT "Message-ID: <" ID "@relay.example>\r\n"
#define FEEDBACK_TEXT "Feedback-ID: 1.us-east-1.token:posthorn\r\n"

/* smtp-interface#17,18: order, removals, what is replaced at its place */
static void
test_rewriting(void **state)
{
	struct bench *b = *state;

	assert_true(take(b, "Return-Path: <feedback@example.com>\r\n"
	    "Date: Mon, 1 Jan 2001 00:00:00 +0900\r\n"
	    "X-SES-CONFIGURATION-SET: prod\r\nFrom: a@example.com\r\n"
	    "Bcc: x@example.com\r\nMessage-ID: <my@id>\r\nbcc: y@z.example\r\n"
	    "x-ses-foo: 1\r\n\t2\r\nBounces-To: q@example.com\r\n"
	    "Resent-Bcc: r@example.com\r\nSubject: hello\r\n\tworld\r\n\r\nx"
	    END));
	expect_head(b, RECEIVED_ANONYMOUS_TEXT DATE_TEXT
	    "From: a@example.com\r\n" ID_TEXT
	    "Subject: hello\r\n\tworld\r\n" FEEDBACK_TEXT "\r\n");
	assert_string_equal(b->body.p, "x\r\n");
	assert_false(b->message->client_signed);
	/* the snapshot has what the client gave */
	assert_true(bytes_find_nocase(b->message->snapshot,
	    BYTES("<my@id>")) >= 0);
}

/* smtp-interface#19 */
static void
test_empty_header_section(void **state)
{
	struct bench *b = *state;

	assert_true(take(b, "\r\nSubject: Hi there\r\n\r\ntext" END));
	expect_head(b, RECEIVED_ANONYMOUS_TEXT DATE_TEXT ID_TEXT
	    "From: <sender@example.com>\r\n" FEEDBACK_TEXT "\r\n");
	assert_string_equal(b->body.p, "Subject: Hi there\r\n\r\ntext\r\n");
}

static void
test_all_header(void **state)
{
	struct bench *b = *state;

	assert_true(take(b, "From: a@example.com\r\nSubject: x" END));
	expect_head(b, RECEIVED_ANONYMOUS_TEXT
	    "From: a@example.com\r\nSubject: x\r\n" DATE_TEXT ID_TEXT
	    FEEDBACK_TEXT "\r\n");
	assert_string_equal(b->body.p, "");
}

/* smtp-interface#17: what a client's signature names is left alone */
static void
test_client_signature(void **state)
{
	struct bench *b = *state;

	assert_true(take(b, "DKIM-Signature: v=1; d=c.example; s=s;\r\n"
	    " h=from:date : message-id:\r\n\tfeedback-id; bh=x; b=y\r\n"
	    "Date: Mon, 1 Jan 2001 00:00:00 +0900\r\nMessage-ID:  <my@id>\r\n"
	    "From: a@example.com\r\nReturn-Path: <f@example.com>\r\n\r\nx"
	    END));
	expect_head(b, RECEIVED_ANONYMOUS_TEXT
	    "DKIM-Signature: v=1; d=c.example; s=s;\r\n"
	    " h=from:date : message-id:\r\n\tfeedback-id; bh=x; b=y\r\n"
	    "Date: Mon, 1 Jan 2001 00:00:00 +0900\r\nMessage-ID:  <my@id>\r\n"
	    "From: a@example.com\r\n\r\n");
	assert_true(b->message->client_signed);
	/* absent ones are not added, since that breaks it as well */
	assert_true(take(b, "DKIM-Signature: h=from:Date; b=y\r\n"
	    "From: a@example.com\r\n\r\nx" END));
	expect_head(b, RECEIVED_ANONYMOUS_TEXT
	    "DKIM-Signature: h=from:Date; b=y\r\nFrom: a@example.com\r\n"
	    ID_TEXT FEEDBACK_TEXT "\r\n");
}

static void
test_preserve_and_overrides(void **state)
{
	static const char text[] = "Date: Mon, 1 Jan 2001 00:00:00 +0900\r\n"
	    "From: a@example.com\r\nMessage-ID: <my@id>\r\n"
	    "Feedback-ID: mine\r\n\r\nx" END;
	struct bench *b = *state;

	b->conf->message.date = CONF_PRESERVE;
	b->conf->message.message_id = CONF_PRESERVE;
	b->conf->message.received = CONF_RECEIVED_NONE;
	assert_true(take(b, text));
	expect_head(b, "Date: Mon, 1 Jan 2001 00:00:00 +0900\r\n"
	    "From: a@example.com\r\nMessage-ID: <my@id>\r\n"
	    "Feedback-ID: mine\r\n\r\n");
	/* account before installation */
	b->of_account.date = RULE_REWRITE;
	b->of_account.received = RECEIVED_ANONYMOUS;
	assert_true(take(b, text));
	expect_head(b, RECEIVED_ANONYMOUS_TEXT DATE_TEXT
	    "From: a@example.com\r\nMessage-ID: <my@id>\r\n"
	    "Feedback-ID: mine\r\n\r\n");
	/* credential before account */
	b->of_credential.date = RULE_PRESERVE;
	b->of_credential.message_id = RULE_REWRITE;
	b->of_credential.received = RECEIVED_NONE;
	assert_true(take(b, text));
	expect_head(b, "Date: Mon, 1 Jan 2001 00:00:00 +0900\r\n"
	    "From: a@example.com\r\n" ID_TEXT "Feedback-ID: mine\r\n\r\n");
	/* absent ones are added in either mode */
	assert_true(take(b, "From: a@example.com\r\n\r\nx" END));
	expect_head(b, "From: a@example.com\r\n" DATE_TEXT ID_TEXT
	    FEEDBACK_TEXT "\r\n");
}

static void
test_received_forms(void **state)
{
	struct bench *b = *state;

	b->of_account.received = RECEIVED_FULL;
	assert_true(take(b, "From: a@example.com\r\n\r\nx" END));
	expect_begin(b, "Received: from app1.example.com ([192.0.2.10])\r\n"
	    " by mail.relay.example with ESMTPSA\r\n id " ID ";\r\n"
	    " Wed, 01 May 2024 12:00:00 +0000\r\nFrom: ");
	begin(b, FRAMING_CHUNK);
	assert_true(message_set(b->message, &b->message->ehlo,
	    BYTES("[<evil>\"\r\n")));
	assert_true(message_set(b->message, &b->message->client_ip,
	    BYTES("2001:db8::1")));
	receive_feed(b->receive, BYTES("From: a@example.com\r\n\r\nx"));
	receive_end(b->receive);
	b->with = "local";
	assert_true(finish(b));
	expect_begin(b, "Received: from [?evil???? ([IPv6:2001:db8::1])\r\n"
	    " by mail.relay.example with local\r\n");
}

/* -- parts ---------------------------------------------------------------- */

/* smtp-interface#20 */
static void
test_attachments(void **state)
{
	static const struct {
		const char *part, *name;
	} cases[] = {
		{ "Content-Disposition: attachment; "
		  "filename*=UTF-8''a.pdf%2Eexe", "a.pdf.exe" },
		{ "Content-Type: text/plain; name=\"=?utf-8?Q?virus=2EJS?=\"",
		    "virus.JS" },
		{ "Content-Disposition: attachment; filename=report.js.pdf",
		    NULL },
		{ "Content-Type: text/plain\r\n\r\nhttp://example.com", NULL },
	};
	struct bench *b = *state;
	char	      text[800], want[200];
	size_t	      i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "From: a@example.com\r\n"
		    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
		    "--b\r\n%s\r\n\r\nx\r\n--b--" END, cases[i].part);
		assert_int_equal(take(b, text), cases[i].name == NULL);
		if (cases[i].name == NULL)
			continue;
		snprintf(want, sizeof(want), "Transaction failed: Illegal "
		    "attachment file name '%s'.", cases[i].name);
		expect_refusal(b, 554, want);
	}
	/* the account's own list */
	b->blocked = "none";
	snprintf(text, sizeof(text), "From: a@example.com\r\nContent-Type: "
	    "multipart/mixed; boundary=b\r\n\r\n--b\r\n%s\r\n\r\nx" END,
	    cases[0].part);
	assert_true(take(b, text));
}

/* smtp-interface#21 */
static void
test_parts(void **state)
{
	struct bench *b = *state;
	struct buf    text;
	int	      parts, i;

	buf_init(&text, 1 << 20);
	for (parts = 500; parts <= 501; parts++) {
		buf_clear(&text);
		buf_add_text(&text, "From: a@example.com\r\nContent-Type: "
		    "multipart/mixed; boundary=b\r\n\r\n");
		for (i = 0; i < parts; i++)
			buf_add_text(&text, "--b\r\n\r\nx\r\n");
		buf_add_text(&text, "--b--" END);
		feed(b, buf_bytes(&text), 4096);
		assert_int_equal(finish(b), parts == 500);
	}
	expect_refusal(b, 554,
	    "Transaction failed: Number of MIME parts exceeds 500.");
	buf_wipe(&text);
}

/* The same result whatever the pieces are. */
static void
test_every_division(void **state)
{
	static const char text[] = "From: a@example.com\r\nSubject: x\r\n"
	    " y\r\n\r\n.." "line\r\n\r\nend" END "RSET\r\n";
	struct bench *b = *state;
	unsigned char whole[32], divided[32];
	size_t	      step;

	assert_int_equal(feed(b, bytes_of(text), SIZE_MAX), 6);
	assert_true(finish(b));
	assert_string_equal(b->body.p, ".line\r\n\r\nend\r\n");
	assert_int_equal(receive_body_hash(b->receive, whole, &b->err), 0);
	for (step = 1; step < sizeof(text); step++) {
		feed(b, bytes_of(text), step);
		assert_true(finish(b));
		assert_string_equal(b->body.p, ".line\r\n\r\nend\r\n");
		assert_int_equal(receive_body_hash(b->receive, divided,
		    &b->err), 0);
		assert_memory_equal(whole, divided, 32);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_smuggling),
		T(test_dots),
		T(test_size),
		T(test_refused_content_is_dropped),
		T(test_flood),
		T(test_content_refusals),
		T(test_header_memory),
		T(test_chunks),
		T(test_header_refusals),
		T(test_header_too_long),
		T(test_lenient_header),
		T(test_rewriting),
		T(test_empty_header_section),
		T(test_all_header),
		T(test_client_signature),
		T(test_preserve_and_overrides),
		T(test_received_forms),
		T(test_attachments),
		T(test_parts),
		T(test_every_division),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
