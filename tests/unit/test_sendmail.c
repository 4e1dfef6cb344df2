/* SPDX-License-Identifier: ISC */
/* sendmail: options, configuration, addresses, message, exit statuses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "tools/sendmail_address.h"
#include "tools/sendmail_body.h"
#include "tools/sendmail_conf.h"
#include "tools/sendmail_message.h"
#include "tools/sendmail_options.h"
#include "tools/sendmail_smtp.h"

static void
assert_bytes(struct bytes have, const char *want)
{
	assert_int_equal(have.n, strlen(want));
	if (have.n > 0)
		assert_memory_equal(have.p, want, have.n);
}

/* -- options --------------------------------------------------------------- */

struct words {
	const char *v[8];
};

static int
words_parse(const struct words *w, struct sendmail_options *o, struct err *e)
{
	int argc = 0;

	while (argc < 8 && w->v[argc] != NULL)
		argc++;
	return sendmail_options_parse(argc, (char **)(uintptr_t)w->v, o, e);
}

static void
test_options_good(void **state)
{
	static const struct {
		struct words	   w;
		enum sendmail_mode mode;
		bool		   t, i;
		const char	  *sender, *address;
	} c[] = {
		{ { { "sendmail", "a@b" } }, SENDMAIL_SUBMIT, false, false,
		    NULL, "a@b" },
		{ { { "sendmail", "-t", "-i" } }, SENDMAIL_SUBMIT, true, true,
		    NULL, NULL },
		{ { { "sendmail", "-ti" } }, SENDMAIL_SUBMIT, true, true,
		    NULL, NULL },
		{ { { "sendmail", "-oi", "-oem", "-odb", "x" } },
		    SENDMAIL_SUBMIT, false, true, NULL, "x" },
		{ { { "sendmail", "-o", "i", "x" } }, SENDMAIL_SUBMIT, false,
		    true, NULL, "x" },
		{ { { "sendmail", "-f", "s@b", "x" } }, SENDMAIL_SUBMIT,
		    false, false, "s@b", "x" },
		{ { { "sendmail", "-fs@b", "x" } }, SENDMAIL_SUBMIT, false,
		    false, "s@b", "x" },
		{ { { "sendmail", "-rs@b", "x" } }, SENDMAIL_SUBMIT, false,
		    false, "s@b", "x" },
		{ { { "sendmail", "-f", "<>", "x" } }, SENDMAIL_SUBMIT, false,
		    false, "", "x" },
		{ { { "sendmail", "-f", "", "x" } }, SENDMAIL_SUBMIT, false,
		    false, "", "x" },
		/* options behind an address, and the end of options */
		{ { { "sendmail", "x", "-f", "s@b" } }, SENDMAIL_SUBMIT,
		    false, false, "s@b", "x" },
		{ { { "sendmail", "-i", "--", "-x" } }, SENDMAIL_SUBMIT,
		    false, true, NULL, "-x" },
		{ { { "sendmail", "-bs" } }, SENDMAIL_DIALOGUE, false, false,
		    NULL, NULL },
		{ { { "sendmail", "-bm", "x" } }, SENDMAIL_SUBMIT, false,
		    false, NULL, "x" },
		{ { { "sendmail", "-bp" } }, SENDMAIL_QUEUE, false, false,
		    NULL, NULL },
		{ { { "sendmail", "-b", "v", "x" } }, SENDMAIL_VERIFY, false,
		    false, NULL, "x" },
		{ { { "sendmail", "-bi" } }, SENDMAIL_NOTHING, false, false,
		    NULL, NULL },
		{ { { "sendmail", "-q30m" } }, SENDMAIL_NOTHING, false, false,
		    NULL, NULL },
		{ { { "sendmail", "-q" } }, SENDMAIL_NOTHING, false, false,
		    NULL, NULL },
		{ { { "/usr/bin/mailq" } }, SENDMAIL_QUEUE, false, false,
		    NULL, NULL },
		{ { { "newaliases" } }, SENDMAIL_NOTHING, false, false, NULL,
		    NULL },
		{ { { "/x/posthorn-mailq" } }, SENDMAIL_QUEUE, false, false,
		    NULL, NULL },
		{ { { "posthorn-newaliases" } }, SENDMAIL_NOTHING, false,
		    false, NULL, NULL },
		{ { { "posthorn-sendmail", "x" } }, SENDMAIL_SUBMIT, false,
		    false, NULL, "x" },
		{ { { "sendmail", "-G", "-U", "-m", "-n", "-E", "-I",
		      "x" } }, SENDMAIL_SUBMIT, false, false, NULL, "x" },
		{ { { "sendmail", "-L", "tag", "-h", "3", "-pESMTP", "-d0.1",
		      "x" } }, SENDMAIL_SUBMIT, false, false, NULL, "x" },
		{ { { "sendmail", "-N", "failure,delay", "-Rhdrs", "-Vid",
		      "-em", "x" } }, SENDMAIL_SUBMIT, false, false, NULL,
		    "x" },
		{ { { "sendmail", "-Am", "-Ac", "-OTimeout=1", "-X", "f",
		      "x" } }, SENDMAIL_SUBMIT, false, false, NULL, "x" },
	};
	struct sendmail_options o;
	struct err		e;
	size_t			i;

	(void)state;
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		assert_int_equal(words_parse(&c[i].w, &o, &e), 0);
		assert_int_equal(o.mode, c[i].mode);
		assert_int_equal(o.reads_recipients, c[i].t);
		assert_int_equal(o.keeps_dots, c[i].i);
		if (c[i].sender == NULL)
			assert_null(o.sender);
		else
			assert_string_equal(o.sender, c[i].sender);
		assert_int_equal(o.address_count, c[i].address != NULL);
		if (c[i].address != NULL)
			assert_string_equal(o.addresses[0], c[i].address);
		sendmail_options_wipe(&o);
	}
}

/* admin-cli#24 */
static void
test_options_bad(void **state)
{
	static const struct {
		struct words w;
		const char  *text;
	} c[] = {
		{ { { "sendmail", "-bd" } }, "option -bd is not supported" },
		{ { { "sendmail", "-bD" } }, "option -bD is not supported" },
		{ { { "sendmail", "-bt" } }, "option -bt is not supported" },
		{ { { "sendmail", "-bh" } }, "option -bh is not supported" },
		{ { { "sendmail", "-bH" } }, "option -bH is not supported" },
		{ { { "sendmail", "-bd", "-q1h" } },
		    "option -bd is not supported" },
		{ { { "sendmail", "-bmx" } },
		    "option -bmx is not supported" },
		{ { { "sendmail", "-z" } }, "option -z is not known" },
		{ { { "sendmail", "-tz" } }, "option -z is not known" },
		{ { { "sendmail", "--help" } }, "option -- is not known" },
		{ { { "sendmail", "-f" } }, "option -f needs a value" },
		{ { { "sendmail", "-b" } }, "option -b needs a value" },
		{ { { "sendmail", "-B9BIT" } },
		    "option -B takes 7BIT or 8BITMIME" },
	};
	struct sendmail_options o;
	struct err		e;
	size_t			i;

	(void)state;
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		assert_int_equal(words_parse(&c[i].w, &o, &e), -1);
		assert_string_equal(e.text, c[i].text);
		sendmail_options_wipe(&o);
	}
}

static void
test_options_values(void **state)
{
	static const struct words w = { { "sendmail", "-F", "A B", "-C/x",
		"-v", "-B8bitmime", "a", "b" } };
	struct sendmail_options o;
	struct err		e;

	(void)state;
	assert_int_equal(words_parse(&w, &o, &e), 0);
	assert_string_equal(o.full_name, "A B");
	assert_string_equal(o.conf_path, "/x");
	assert_true(o.verbose);
	assert_int_equal(o.body_type, SENDMAIL_BODY_8BIT);
	assert_int_equal(o.address_count, 2);
	sendmail_options_wipe(&o);
}

/* -- configuration --------------------------------------------------------- */

static void
test_conf_good(void **state)
{
	static const char text[] = "# a client\r\n"
				   "\n"
				   "server = [2001:db8::1]:465 # there\n"
				   "  tls wrapper\n"
				   "ca /etc/ca.pem\n"
				   "user \\\n  AKIAIOSFODNN7EXAMPLE\n"
				   "password_file \"/etc/pass word\"\n"
				   "configuration_set prod\n"
				   "sender a@example.com";
	struct sendmail_conf c;
	struct buf	     errors;

	(void)state;
	buf_init(&errors, 4096);
	assert_true(sendmail_conf_parse("f", bytes_of(text), &c, &errors));
	assert_int_equal(errors.n, 0);
	assert_string_equal(c.server_host, "2001:db8::1");
	assert_string_equal(c.server_port, "465");
	assert_true(c.wrapper);
	assert_string_equal(c.ca, "/etc/ca.pem");
	assert_string_equal(c.user, "AKIAIOSFODNN7EXAMPLE");
	assert_string_equal(c.password_file, "/etc/pass word");
	assert_string_equal(c.configuration_set, "prod");
	assert_string_equal(c.sender, "a@example.com");
	assert_string_equal(c.socket, "/run/posthorn/submit.sock");
	sendmail_conf_wipe(&c);
	assert_true(sendmail_conf_parse("f",
	    BYTES("server mail.relay.example:587\ntls starttls\n"
		  "socket unix:/s\n"), &c, &errors));
	assert_string_equal(c.server_host, "mail.relay.example");
	assert_false(c.wrapper);
	assert_string_equal(c.socket, "/s");
	sendmail_conf_wipe(&c);
	buf_wipe(&errors);
}

/* All errors of a file are told, each with its line. */
static void
test_conf_bad(void **state)
{
	static const char text[] = "socket relative\n"
				   "server nowhere\n"
				   "server a:99999\n"
				   "tls maybe\n"
				   "password x\n"
				   "user a b\n"
				   "sender {\n"
				   "}\n"
				   "ca \"/x\n"
				   "configuration_set\n"
				   "tls wrapper\n";
	static const char want[] =
	    "f:1: socket is a path that begins with /\n"
	    "f:2: server is HOST:PORT\n"
	    "f:3: server is given twice\n"
	    "f:4: tls is starttls or wrapper\n"
	    "f:5: unknown setting password\n"
	    "f:6: user takes one value\n"
	    "f:7: sender has no value\n"
	    "f:8: a line begins with a setting's name\n"
	    "f:9: the quote is not closed\n"
	    "f:10: configuration_set has no value\n"
	    "f:11: tls is given twice\n";
	struct sendmail_conf c;
	struct buf	     errors;

	(void)state;
	buf_init(&errors, 4096);
	assert_false(sendmail_conf_parse("f", bytes_of(text), &c, &errors));
	assert_bytes(buf_bytes(&errors), want);
	sendmail_conf_wipe(&c);
	buf_clear(&errors);
	assert_true(sendmail_conf_load("/nonexistent/sendmail.conf", false,
	    &c, &errors));
	sendmail_conf_wipe(&c);
	assert_false(sendmail_conf_load("/nonexistent/sendmail.conf", true,
	    &c, &errors));
	assert_bytes(buf_bytes(&errors),
	    "/nonexistent/sendmail.conf: No such file or directory\n");
	sendmail_conf_wipe(&c);
	buf_wipe(&errors);
}

/* -- addresses ------------------------------------------------------------- */

static void
note_address(void *arg, struct bytes address)
{
	struct buf *b = arg;

	buf_add_char(b, '<');
	buf_add_bytes(b, address);
	buf_add_char(b, '>');
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *value, *text, *found;
	} c[] = {
		{ "a@x.example", "a@x.example", "<a@x.example>" },
		{ "root", "root@h.example", "<root@h.example>" },
		{ " root (Cron Daemon)", " root@h.example (Cron Daemon)",
		    "<root@h.example>" },
		{ "Bob <bob>, a@b", "Bob <bob@h.example>, a@b",
		    "<bob@h.example><a@b>" },
		{ "\"Doe, J.\" <jd>", "\"Doe, J.\" <jd@h.example>",
		    "<jd@h.example>" },
		{ "\"a b\"", "\"a b\"@h.example", "<\"a b\"@h.example>" },
		{ "\"a@b\"", "\"a@b\"@h.example", "<\"a@b\"@h.example>" },
		{ "undisclosed-recipients:;", "undisclosed-recipients:;",
		    "" },
		{ "Team: a, Bob <b@x> ; c", "Team: a@h.example, Bob <b@x> ; "
		  "c@h.example", "<a@h.example><b@x><c@h.example>" },
		{ "a (x, y <z>) , b", "a@h.example (x, y <z>) , b@h.example",
		    "<a@h.example><b@h.example>" },
		{ "a (x \\) y (z)) b@c", "a (x \\) y (z)) b@c", "<a b@c>" },
		{ "<@r1,@r2:a@b>", "<@r1,@r2:a@b>", "<a@b>" },
		{ "a@[IPv6:2001:db8::1], b", "a@[IPv6:2001:db8::1], "
		  "b@h.example", "<a@[IPv6:2001:db8::1]><b@h.example>" },
		{ "a\r\n\t, b\r\n c@d", "a@h.example\r\n\t, b\r\n c@d",
		    "<a@h.example><b c@d>" },
		{ "a . b @ c . d", "a . b @ c . d", "<a.b@c.d>" },
		{ "John Smith", "John Smith", "<John Smith>" },
		{ "", "", "" },
		{ "<>", "<>", "" },
		{ ", ,", ", ,", "" },
		{ "a <b> <c>", "a <b> <c@h.example>", "<c@h.example>" },
		{ "\"open", "\"open@h.example", "<\"open@h.example>" },
	};
	struct buf text, found;
	size_t	   i;

	(void)state;
	buf_init(&text, 4096);
	buf_init(&found, 4096);
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		buf_clear(&text);
		buf_clear(&found);
		assert_true(sendmail_list_complete(bytes_of(c[i].value),
		    BYTES("h.example"), &text, note_address, &found));
		assert_bytes(buf_bytes(&text), c[i].text);
		assert_bytes(buf_bytes(&found), c[i].found);
	}
	buf_wipe(&text);
	buf_init(&text, 8);
	assert_false(sendmail_list_complete(BYTES("root"), BYTES("h.example"),
	    &text, NULL, NULL));
	buf_wipe(&text);
	buf_wipe(&found);
}

static void
test_names(void **state)
{
	static const struct {
		const char *name, *text;
	} c[] = {
		{ "Alerts", "Alerts " },
		{ "Alerts & More", "Alerts & More " },
		{ "Doe, J. \"x\\y\"", "\"Doe, J. \\\"x\\\\y\\\"\" " },
		{ "J\xc3\xb6rg", "=?utf-8?B?SsO2cmc=?= " },
		{ "", "" },
		{ "  ", "" },
		{ "a\nBcc: x@y", "" },
		{ "a\xff", "" },
		{ "=?x", "\"=?x\" " },
		/* characters stay whole: 45 octets would cut the last one */
		{ "0123456789012345678901234567890123456789"
		  "1234\xc3\xb6z",
		    "=?utf-8?B?MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEy"
		    "MzQ1Njc4OTEyMzQ=?=\r\n =?utf-8?B?w7Z6?= " },
	};
	struct buf b;
	size_t	   i;

	(void)state;
	buf_init(&b, 4096);
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		buf_clear(&b);
		assert_true(sendmail_add_display_name(bytes_of(c[i].name),
		    &b));
		assert_bytes(buf_bytes(&b), c[i].text);
	}
	buf_clear(&b);
	assert_true(sendmail_gecos_name("& Smith,room 1,,", "bob", &b));
	assert_bytes(buf_bytes(&b), "Bob Smith");
	buf_wipe(&b);
}

/* -- the message ----------------------------------------------------------- */

static void
note_body(void *arg, struct bytes s)
{
	buf_add_bytes(arg, s);
}

struct input_case {
	const char *input, *head, *body;
	bool	    keeps_dots;
};

/* A separator between them: no header line is "|". */
static void
input_run(const struct input_case *c, size_t step)
{
	struct sendmail_input in;
	struct buf	      body;
	size_t		      i, n = strlen(c->input);

	buf_init(&body, 65536);
	sendmail_input_init(&in, c->keeps_dots, note_body, &body);
	for (i = 0; i < n; i += step)
		sendmail_input_feed(&in, bytes_head(
		    bytes_from(bytes_of(c->input), i), step));
	sendmail_input_end(&in);
	assert_false(in.too_long);
	assert_bytes(buf_bytes(&in.head), c->head);
	assert_bytes(buf_bytes(&body), c->body);
	sendmail_input_wipe(&in);
	buf_wipe(&body);
}

/* credentials#22, admin-cli#21 */
static void
test_input(void **state)
{
	static const struct input_case c[] = {
		{ "Subject: x\n\nhello\n", "Subject: x\r\n", "hello\r\n",
		    false },
		{ "Subject: x\r\n\r\nhello", "Subject: x\r\n", "hello\r\n",
		    false },
		{ "Subject: x\n\nhe\rllo\r\r\n\r", "Subject: x\r\n",
		    "hello\r\n", false },
		{ "Subject: x\n", "Subject: x\r\n", "", false },
		{ "Subject: x", "Subject: x\r\n", "", false },
		{ "", "", "", false },
		{ "\nbody\n", "", "body\r\n", false },
		/* a first line that is no field begins the body */
		{ "hello world\nSubject: x\n", "",
		    "hello world\r\nSubject: x\r\n", false },
		{ "Subject: x\nno field\n\nrest", "Subject: x\r\n",
		    "no field\r\n\r\nrest\r\n", false },
		{ "Subject: x\n folded\n\ny", "Subject: x\r\n folded\r\n",
		    "y\r\n", false },
		{ " blank first\n", "", " blank first\r\n", false },
		/* mbox lines */
		{ "From a Mon Jan 1\nSubject: x\n\ny\n", "Subject: x\r\n",
		    "y\r\n", false },
		{ "From a Mon Jan 1\n>From b\nSubject: x\n\ny\n",
		    "Subject: x\r\n", "y\r\n", false },
		{ "From: a@b\n\ny\n", "From: a@b\r\n", "y\r\n", false },
		{ ">From a\nx\n", "", ">From a\r\nx\r\n", false },
		{ "Subject: x\n\nFrom here\n", "Subject: x\r\n",
		    "From here\r\n", false },
		/* dots */
		{ "A: b\n\na\n.\nb\n", "A: b\r\n", "a\r\n", false },
		{ "A: b\n\na\n.\r\nb\n", "A: b\r\n", "a\r\n", false },
		{ "A: b\n\na\n.", "A: b\r\n", "a\r\n", false },
		{ "A: b\n\na\n.\nb\n", "A: b\r\n", "a\r\n.\r\nb\r\n", true },
		{ "A: b\n\n..\n.x\n.\n", "A: b\r\n", "..\r\n.x\r\n", false },
		{ ".\nSubject: x\n", "", "", false },
		{ "A: b\n.\nC: d\n", "A: b\r\n", "", false },
		{ "a\n.\nb\n", "", "a\r\n.\r\nb\r\n", true },
		{ "a\n.\nb\n", "", "a\r\n", false },
	};
	size_t i, step;

	(void)state;
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++)
		for (step = 1; step < 64; step += step)
			input_run(&c[i], step);
}

/* Header sections are bounded, bodies are not. */
static void
test_input_bounds(void **state)
{
	struct sendmail_input in;
	struct buf	      body;
	size_t		      i;

	(void)state;
	buf_init(&body, 65536);
	sendmail_input_init(&in, true, note_body, &body);
	for (i = 0; i < SENDMAIL_HEAD_MAX / 8; i++)
		sendmail_input_feed(&in, BYTES("X-Y: z\n"));
	sendmail_input_feed(&in, BYTES("X-Y: z\n"));
	assert_true(in.too_long);
	assert_true(in.head.n <= SENDMAIL_HEAD_MAX);
	sendmail_input_wipe(&in);
	buf_wipe(&body);
}

struct head_case {
	const char *head;
	bool	    t;
	const char *from, *name, *set;
	const char *out, *list;
};

static void
head_run(const struct head_case *c)
{
	struct sendmail_plan plan = { .host = BYTES("h.example") };
	struct sendmail_list list;
	struct buf	     out, found;
	size_t		     i;

	plan.reads_recipients = c->t;
	plan.from = bytes_of(c->from);
	plan.full_name = bytes_of(c->name);
	plan.configuration_set = bytes_of(c->set);
	buf_init(&out, 65536);
	buf_init(&found, 65536);
	sendmail_list_init(&list);
	assert_int_equal(sendmail_head_build(bytes_of(c->head), &plan, &out,
	    &list), SENDMAIL_HEAD_OK);
	assert_bytes(buf_bytes(&out), c->out);
	for (i = 0; i < list.n; i++)
		note_address(&found, bytes_of(list.v[i]));
	assert_bytes(buf_bytes(&found), c->list);
	sendmail_list_wipe(&list);
	buf_wipe(&out);
	buf_wipe(&found);
}

/* credentials#23, admin-cli#20 */
static void
test_head(void **state)
{
	static const struct head_case c[] = {
		{ "Subject: x\r\n", false, "", "", "",
		    "Subject: x\r\n\r\n", "" },
		{ "To: a@x.example\r\nBcc: b@x.example\r\nSubject: x\r\n",
		    true, "", "", "", "To: a@x.example\r\nSubject: x\r\n\r\n",
		    "<a@x.example><b@x.example>" },
		/* without -t a Bcc is the server's to remove */
		{ "Bcc: b@x.example\r\n", false, "", "", "",
		    "Bcc: b@x.example\r\n\r\n", "" },
		{ "TO: a,\r\n b\r\nCc:c, a\r\nto: d\r\n", true, "", "", "",
		    "TO: a@h.example,\r\n b@h.example\r\n"
		    "Cc: c@h.example, a@h.example\r\nto: d@h.example\r\n\r\n",
		    "<a@h.example><b@h.example><d@h.example><c@h.example>" },
		{ "To: a@x\r\nResent-To: r@x\r\nResent-Bcc: s\r\n", true, "",
		    "", "", "To: a@x\r\nResent-To: r@x\r\n\r\n",
		    "<r@x><s@h.example>" },
		{ "From: root (Cron)\r\nReply-To: me\r\nSender: s\r\n"
		  "X-To: me\r\n", false, "z@y", "", "",
		    "From: root@h.example (Cron)\r\nReply-To: me@h.example"
		    "\r\nSender: s@h.example\r\nX-To: me\r\n\r\n", "" },
		{ "Subject: x\r\n", false, "s@y", "Al, B", "",
		    "Subject: x\r\nFrom: \"Al, B\" <s@y>\r\n\r\n", "" },
		{ "", false, "s@y", "", "", "From: <s@y>\r\n\r\n", "" },
		{ "A: b\r\n", false, "", "", "prod",
		    "A: b\r\nX-SES-CONFIGURATION-SET: prod\r\n\r\n", "" },
		{ "x-ses-configuration-set: own\r\n", false, "", "", "prod",
		    "x-ses-configuration-set: own\r\n\r\n", "" },
		{ "To:\r\nCc: \r\n", true, "", "", "",
		    "To:\r\nCc: \r\n\r\n", "" },
	};
	struct sendmail_plan plan = { .reads_recipients = true };
	struct sendmail_list list;
	struct buf	     out, long_field;
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++)
		head_run(&c[i]);
	buf_init(&out, 1 << 20);
	buf_init(&long_field, 1 << 20);
	buf_add_text(&long_field, "X: ");
	for (i = 0; i < 70000; i++)
		buf_add_char(&long_field, 'x');
	buf_add_text(&long_field, "\r\n");
	sendmail_list_init(&list);
	assert_int_equal(sendmail_head_build(buf_bytes(&long_field), &plan,
	    &out, &list), SENDMAIL_HEAD_TOO_LONG);
	sendmail_list_wipe(&list);
	buf_wipe(&out);
	buf_wipe(&long_field);
}

/* Many recipients, each once. */
static void
test_list(void **state)
{
	struct sendmail_list list;
	char		     text[32];
	int		     i;

	(void)state;
	sendmail_list_init(&list);
	for (i = 0; i < 2 * SENDMAIL_RECIPIENTS_MAX; i++) {
		snprintf(text, sizeof(text), "u%d@x", i / 2);
		sendmail_list_add(&list, bytes_of(text));
	}
	assert_int_equal(list.n, SENDMAIL_RECIPIENTS_MAX);
	assert_false(list.too_many);
	assert_string_equal(list.v[SENDMAIL_RECIPIENTS_MAX - 1], text);
	sendmail_list_add(&list, BYTES("one@more"));
	assert_true(list.too_many);
	assert_int_equal(list.n, SENDMAIL_RECIPIENTS_MAX);
	sendmail_list_wipe(&list);
}

/* Memory for the first piece, a file for the rest, read twice alike. */
static void
test_body(void **state)
{
	struct sendmail_body b;
	char		     piece[10000], have[7000];
	struct err	     e;
	uint64_t	     total, at;
	int		     i, n, round;

	(void)state;
	sendmail_body_init(&b);
	for (i = 0; i < 100; i++) {
		memset(piece, 'a' + i % 26, sizeof(piece));
		sendmail_body_add(&b, (struct bytes){ piece,
		    sizeof(piece) });
	}
	assert_false(b.failed);
	assert_false(b.has_eight_bit);
	assert_true(b.fd >= 0);
	assert_true(b.memory.n <= SENDMAIL_BODY_MEMORY);
	total = b.size;
	assert_int_equal(total, 100 * sizeof(piece));
	for (round = 0; round < 2; round++) {
		sendmail_body_rewind(&b);
		for (at = 0; (n = sendmail_body_read(&b, have, sizeof(have),
			 &e)) > 0; at += (uint64_t)n)
			for (i = 0; i < n; i++)
				assert_int_equal(have[i], 'a' +
				    (at + (uint64_t)i) / sizeof(piece) % 26);
		assert_int_equal(n, 0);
		assert_int_equal(at, total);
	}
	sendmail_body_add(&b, BYTES("\xe4"));
	assert_true(b.has_eight_bit);
	sendmail_body_wipe(&b);
}

/* -- exit statuses --------------------------------------------------------- */

/* credentials#24, admin-cli#22 */
static void
test_statuses(void **state)
{
	static const struct {
		unsigned	    code;
		const char	   *text;
		enum sendmail_stage stage;
		int		    status;
	} c[] = {
		{ 530, "Authentication required", SENDMAIL_AT_MAIL,
		    EX_NOPERM },
		{ 535, "5.7.8 Authentication Credentials Invalid",
		    SENDMAIL_AT_AUTH, EX_NOPERM },
		{ 554, "Access denied: User x is not authorized",
		    SENDMAIL_AT_END, EX_NOPERM },
		{ 554, "5.7.1 Access denied", SENDMAIL_AT_GREETING,
		    EX_NOPERM },
		{ 554, "Message rejected: Email address is not verified. The "
		       "following", SENDMAIL_AT_END, EX_NOPERM },
		{ 554, "5.7.1 Message rejected: Email address is not "
		       "verified.", SENDMAIL_AT_END, EX_NOPERM },
		{ 554, "Message rejected: Sending paused for this account.",
		    SENDMAIL_AT_END, EX_UNAVAILABLE },
		{ 554, "Message rejected: Configuration set does not exist: "
		       "x", SENDMAIL_AT_END, EX_UNAVAILABLE },
		{ 554, "Message rejected: Topic does not exist: x",
		    SENDMAIL_AT_END, EX_UNAVAILABLE },
		{ 554, "Transaction failed: Duplicate header 'Subject'.",
		    SENDMAIL_AT_END, EX_DATAERR },
		{ 554, "Message rejected: MAIL FROM domain x is not verified",
		    SENDMAIL_AT_END, EX_DATAERR },
		{ 550, "Message contains a NUL octet", SENDMAIL_AT_END,
		    EX_DATAERR },
		{ 552, "Message is too long.", SENDMAIL_AT_MAIL,
		    EX_DATAERR },
		{ 553, "<a> Invalid email address", SENDMAIL_AT_MAIL,
		    EX_NOUSER },
		{ 550, "5.1.1 <a@b> unknown recipient", SENDMAIL_AT_RCPT,
		    EX_NOUSER },
		{ 421, "Credentials revoked", SENDMAIL_AT_HELLO,
		    EX_TEMPFAIL },
		{ 454, "Throttling failure: Daily message quota exceeded",
		    SENDMAIL_AT_END, EX_TEMPFAIL },
		{ 452, "Too many recipients", SENDMAIL_AT_RCPT, EX_TEMPFAIL },
		{ 503, "Bad sequence of commands", SENDMAIL_AT_DATA,
		    EX_SOFTWARE },
		{ 554, "No service", SENDMAIL_AT_GREETING, EX_UNAVAILABLE },
		{ 250, "Ok", SENDMAIL_AT_DATA, EX_TEMPFAIL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++)
		assert_int_equal(sendmail_exit_status(c[i].code,
		    bytes_of(c[i].text), c[i].stage), c[i].status);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_good),
		cmocka_unit_test(test_options_bad),
		cmocka_unit_test(test_options_values),
		cmocka_unit_test(test_conf_good),
		cmocka_unit_test(test_conf_bad),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_input_bounds),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
