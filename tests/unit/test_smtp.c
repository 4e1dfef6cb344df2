/* SPDX-License-Identifier: ISC */
/* smtp: commands and replies of both directions. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "mail/smtp.h"

enum { OK = COMMAND_OK, PATH = COMMAND_BAD_PATH, ARGS = COMMAND_BAD_PARAMS,
	NOPE = COMMAND_UNSUPPORTED };

static const struct verb_case {
	const char *line;
	int	    verb, syntax;
	const char *argument;
} verb_cases[] = {
	{ "EHLO app1.example.com", VERB_EHLO, OK, "app1.example.com" },
	{ "ehlo m.eml  ", VERB_EHLO, OK, "m.eml" },
	{ "EHLO [127.0.0.1]", VERB_EHLO, OK, "[127.0.0.1]" },
	{ "EHLO", VERB_EHLO, ARGS, "" },
	{ "EHLO a b", VERB_EHLO, ARGS, "a b" },
	{ "EHLO m\303\274ller", VERB_EHLO, ARGS, "m\303\274ller" },
	{ "HELO x", VERB_HELO, OK, "x" },
	{ "STARTTLS", VERB_STARTTLS, OK, "" },
	{ "starttls  ", VERB_STARTTLS, OK, "" },
	{ "STARTTLS now", VERB_STARTTLS, ARGS, "now" },
	{ "DATA", VERB_DATA, OK, "" },
	{ "DATA x", VERB_DATA, ARGS, "x" },
	{ "RSET", VERB_RSET, OK, "" },
	{ "RSET x", VERB_RSET, ARGS, "x" },
	{ "QUIT", VERB_QUIT, OK, "" },
	{ "QUIT x", VERB_QUIT, ARGS, "x" },
	{ "NOOP", VERB_NOOP, OK, "" },
	{ "NoOp what you like", VERB_NOOP, OK, "what you like" },
	{ "VRFY someone", VERB_VRFY, OK, "someone" },
	{ "VRFY", VERB_VRFY, ARGS, "" },
	{ "HELP", VERB_HELP, OK, "" },
	{ "HELP MAIL", VERB_HELP, OK, "MAIL" },
	{ "EXPN list", VERB_KNOWN, OK, "list" },
	{ "etrn x", VERB_KNOWN, OK, "x" },
	{ "TURN", VERB_KNOWN, OK, "" },
	{ "ATRN", VERB_KNOWN, OK, "" },
	{ "SEND x", VERB_KNOWN, OK, "x" },
	{ "SOML x", VERB_KNOWN, OK, "x" },
	{ "SAML x", VERB_KNOWN, OK, "x" },
	{ "BURL x", VERB_KNOWN, OK, "x" },
	{ "GET / HTTP/1.1", VERB_HTTP, OK, "/ HTTP/1.1" },
	{ "POST /x", VERB_HTTP, OK, "/x" },
	{ "PUT /x", VERB_HTTP, OK, "/x" },
	{ "HEAD /x", VERB_HTTP, OK, "/x" },
	{ "CONNECT mx:25", VERB_HTTP, OK, "mx:25" },
	{ "OPTIONS *", VERB_HTTP, OK, "*" },
	{ "GET", VERB_UNKNOWN, OK, "" },
	{ "FROBNICATE", VERB_UNKNOWN, OK, "" },
	{ "", VERB_UNKNOWN, OK, "" },
	{ " EHLO x", VERB_UNKNOWN, OK, "EHLO x" },
	/* a CR that ends no line */
	{ "RSET\r", VERB_UNKNOWN, OK, "" },
	{ "NOOP a\rb", VERB_NOOP, ARGS, "a\rb" },
	{ "RCPT TO:<a\r@b.example>", VERB_RCPT, ARGS, "TO:<a\r@b.example>" },
};

static void
test_verbs(void **state)
{
	struct command c;
	size_t	       i;

	(void)state;
	for (i = 0; i < sizeof(verb_cases) / sizeof(verb_cases[0]); i++) {
		const struct verb_case *v = &verb_cases[i];

		smtp_command_parse(bytes_of(v->line), 0, &c);
		if ((int)c.verb != v->verb || (int)c.syntax != v->syntax ||
		    !bytes_eq_text(c.argument, v->argument))
			fail_msg("%s: %s %d", v->line, verb_to_text(c.verb),
			    (int)c.syntax);
	}
	smtp_command_parse((struct bytes){ "NOOP\0x", 6 }, 0, &c);
	assert_int_equal(c.verb, VERB_UNKNOWN);
}

static void
test_ehlo_name_length(void **state)
{
	char	       line[300];
	struct command c;

	(void)state;
	memset(line, 'a', sizeof(line));
	memcpy(line, "EHLO ", 5);
	smtp_command_parse((struct bytes){ line, 5 + 255 }, 0, &c);
	assert_int_equal(c.syntax, COMMAND_OK);
	smtp_command_parse((struct bytes){ line, 5 + 256 }, 0, &c);
	assert_int_equal(c.syntax, COMMAND_BAD_PARAMS);
}

/* smtp-interface#10 and section 5.3: what is said to each line. */
static const struct path_case {
	const char *line, *reply; /* NULL: accepted */
	const char *mailbox;
} path_cases[] = {
	{ "MAIL FROM:<sender@example.com>", NULL, "sender@example.com" },
	{ "mail from: \t<sender@example.com>  ", NULL, "sender@example.com" },
	{ "MAIL FROM:<@a.example,@b.example:s@example.com>", NULL,
	    "s@example.com" },
	{ "MAIL FROM:<>", NULL, "" },
	{ "MAIL FROM:<\"a>b\"@example.com>", NULL, "\"a>b\"@example.com" },
	{ "RCPT TO:<recipient@example.org>", NULL, "recipient@example.org" },
	{ "RCPT TO:<postmaster>", NULL, "postmaster" },
	{ "rcpt to:<PostMaster>", NULL, "PostMaster" },
	{ "RCPT TO:<a@under_score.example>", NULL, "a@under_score.example" },
	{ "MAIL FROM:sender@example.com",
	    "553 5.1.7 <sender@example.com> Invalid email address", NULL },
	{ "MAIL FROM:sender@example.com SIZE=1",
	    "553 5.1.7 <sender@example.com> Invalid email address", NULL },
	{ "MAIL FROM:", "553 5.1.7 <> Invalid email address", NULL },
	{ "MAIL FROM:<postmaster>",
	    "553 5.1.7 <postmaster> Invalid email address", NULL },
	{ "MAIL FROM:<a@under_score.example>",
	    "553 5.1.7 <a@under_score.example> Invalid email address", NULL },
	{ "MAIL FROM:<sender@example.com",
	    "553 5.1.7 <sender@example.com> Invalid email address", NULL },
	{ "MAIL FROM:<@a.example>",
	    "553 5.1.7 <@a.example> Invalid email address", NULL },
	{ "MAIL FROM:<@!,@b.example:s@example.com>",
	    "553 5.1.7 <@!,@b.example:s@example.com> Invalid email address",
	    NULL },
	{ "RCPT TO:<user@>", "553 5.1.3 <user@> address unknown", NULL },
	{ "RCPT TO:<>", "553 5.1.3 <> address unknown", NULL },
	{ "RCPT TO:<m\303\274ller@example.org>",
	    "553 5.6.7 <m??ller@example.org> address unknown", NULL },
	{ "RCPT TO:<user@host>", "553 5.1.3 <user@host> address unknown",
	    NULL },
	{ "RCPT TO:<user@[192.0.2.1]>",
	    "553 5.1.3 <user@[192.0.2.1]> address unknown", NULL },
	{ "MAIL", "501 5.5.4 Syntax error in parameters", NULL },
	{ "MAIL TO:<a@b.example>", "501 5.5.4 Syntax error in parameters",
	    NULL },
	{ "MAIL FROM:<a@b.example>SIZE=1",
	    "501 5.5.4 Syntax error in parameters", NULL },
	{ "RCPT TO:<postmaster>x", "501 5.5.4 Syntax error in parameters",
	    NULL },
	{ "EHLO", "501 5.5.4 Syntax error in parameters: EHLO needs a host "
	    "name", NULL },
	{ "STARTTLS x", "501 5.5.4 Syntax error in parameters: STARTTLS "
	    "takes no argument", NULL },
	{ "QUIT x", "501 5.5.4 Syntax error in parameters", NULL },
	/* parameters */
	{ "MAIL FROM:<a@b.example> SIZE=1204 BODY=8BITMIME AUTH=<>", NULL,
	    "a@b.example" },
	{ "MAIL FROM:<a@b.example> auth=e+3Dmc2@x.example body=7bit", NULL,
	    "a@b.example" },
	{ "MAIL FROM:<a@b.example> BODY=BINARYMIME",
	    "555 5.5.4 Unsupported parameter: BODY=BINARYMIME", NULL },
	{ "MAIL FROM:<a@b.example> SMTPUTF8",
	    "555 5.5.4 Unsupported parameter: SMTPUTF8", NULL },
	{ "MAIL FROM:<a@b.example> RET=HDRS ENVID=a+2Bb", NULL,
	    "a@b.example" },
	{ "RCPT TO:<a@b.example> NOTIFY=NEVER ORCPT=rfc822;a@b", NULL,
	    "a@b.example" },
	{ "MAIL FROM:<a@b.example> NOTIFY=NEVER",
	    "555 5.5.4 Unsupported parameter: NOTIFY", NULL },
	{ "MAIL FROM:<a@b.example> ENVID=a+0Ab",
	    "501 5.5.4 Syntax error in parameters", NULL },
	{ "RCPT TO:<a@b.example> SIZE=1",
	    "555 5.5.4 Unsupported parameter: SIZE", NULL },
	{ "MAIL FROM:<a@b.example> SIZE=1 SIZE=1",
	    "501 5.5.4 Syntax error in parameters", NULL },
	{ "MAIL FROM:<a@b.example> BODY=7BIT body=7BIT",
	    "501 5.5.4 Syntax error in parameters", NULL },
	{ "MAIL FROM:<a@b.example> SIZE",
	    "501 5.5.4 Syntax error in parameters", NULL },
	{ "MAIL FROM:<a@b.example> SIZE=",
	    "501 5.5.4 Syntax error in parameters", NULL },
	{ "MAIL FROM:<a@b.example> SIZE=-1",
	    "501 5.5.4 Syntax error in parameters", NULL },
	{ "MAIL FROM:<a@b.example> SIZE=123456789012345678901",
	    "501 5.5.4 Syntax error in parameters", NULL },
	{ "MAIL FROM:<a@b.example> AUTH=a+3",
	    "501 5.5.4 Syntax error in parameters", NULL },
	{ "MAIL FROM:<a@b.example> AUTH=a=b",
	    "501 5.5.4 Syntax error in parameters", NULL },
	{ "MAIL FROM:<a@b.example> BODY",
	    "501 5.5.4 Syntax error in parameters", NULL },
	{ "MAIL FROM:<a@b.example> =x",
	    "501 5.5.4 Syntax error in parameters", NULL },
	{ "MAIL FROM:<a@b.example> X_Y=x",
	    "501 5.5.4 Syntax error in parameters", NULL },
};

static void
test_paths_and_parameters(void **state)
{
	struct command c;
	struct reply   re;
	char	       got[600];
	size_t	       i;

	(void)state;
	for (i = 0; i < sizeof(path_cases) / sizeof(path_cases[0]); i++) {
		const struct path_case *p = &path_cases[i];

		smtp_command_parse(bytes_of(p->line), 0, &c);
		if (p->reply == NULL) {
			if (c.syntax != COMMAND_OK ||
			    !bytes_eq_text(c.mailbox, p->mailbox))
				fail_msg("%s: refused", p->line);
			continue;
		}
		if (c.syntax == COMMAND_OK)
			fail_msg("%s: accepted", p->line);
		smtp_command_refuse(&c, &re);
		snprintf(got, sizeof(got), "%u %s %s", re.code, re.enhanced,
		    re.text);
		assert_string_equal(got, p->reply);
	}
}

static void
test_values_of_mail(void **state)
{
	struct command c;

	(void)state;
	smtp_command_parse(BYTES("MAIL FROM:<A@B.example> SIZE=41943041 "
	    "BODY=8bitmime"), 0, &c);
	assert_true(c.has_size);
	assert_int_equal(c.size, 41943041);
	assert_int_equal(c.body, BODY_8BITMIME);
	assert_true(bytes_eq_text(c.address.local, "A"));
	assert_true(bytes_eq_text(c.address.domain, "B.example"));
	assert_false(c.null);
	smtp_command_parse(BYTES("MAIL FROM:<> SIZE=99999999999999999999"), 0,
	    &c);
	assert_true(c.null);
	assert_true(c.size == UINT64_MAX);
	assert_int_equal(c.body, BODY_7BIT);
	smtp_command_parse(BYTES("RCPT TO:<postmaster>"), 0, &c);
	assert_true(c.postmaster);
	assert_true(bytes_eq_text(c.address.local, "postmaster"));
	assert_int_equal(c.address.domain.n, 0);
	smtp_command_parse(BYTES("RCPT TO:<a@[192.0.2.1]>"),
	    ADDRESS_ALLOW_LITERAL, &c);
	assert_int_equal(c.syntax, COMMAND_OK);
	smtp_command_parse(BYTES("RCPT TO:<a@host>"),
	    ADDRESS_ALLOW_SINGLE_LABEL, &c);
	assert_int_equal(c.syntax, COMMAND_OK);
}

static void
test_bdat(void **state)
{
	static const struct {
		const char *line;
		int	    syntax;
		uint64_t    chunk;
		bool	    last;
	} cases[] = {
		{ "BDAT 10", OK, 10, false },
		{ "BDAT 5 LAST", OK, 5, true },
		{ "bdat 0 last ", OK, 0, true },
		{ "BDAT 4294967295", OK, 4294967295, false },
		{ "BDAT 4294967296", ARGS, 0, false },
		{ "BDAT", ARGS, 0, false },
		{ "BDAT x", ARGS, 0, false },
		{ "BDAT -1", ARGS, 0, false },
		{ "BDAT 1 LAST x", ARGS, 0, false },
		{ "BDAT 1 FIRST", ARGS, 0, false },
	};
	struct command c;
	size_t	       i;

	(void)state; /* smtp-interface#14, the command */
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		smtp_command_parse(bytes_of(cases[i].line), 0, &c);
		assert_int_equal(c.verb, VERB_BDAT);
		assert_int_equal(c.syntax, cases[i].syntax);
		if (cases[i].syntax != OK)
			continue;
		assert_true(c.chunk == cases[i].chunk);
		assert_int_equal(c.last, cases[i].last);
	}
}

static void
test_auth(void **state)
{
	struct command c;

	(void)state;
	smtp_command_parse(BYTES("AUTH PLAIN AEE="), 0, &c);
	assert_true(bytes_eq_text(c.mechanism, "PLAIN"));
	assert_true(c.has_initial);
	assert_true(bytes_eq_text(c.initial, "AEE="));
	smtp_command_parse(BYTES("auth login"), 0, &c);
	assert_true(bytes_eq_text(c.mechanism, "login"));
	assert_false(c.has_initial);
	smtp_command_parse(BYTES("AUTH PLAIN ="), 0, &c);
	assert_true(c.has_initial);
	assert_true(bytes_eq_text(c.initial, "="));
	smtp_command_parse(BYTES("AUTH"), 0, &c);
	assert_int_equal(c.syntax, COMMAND_BAD_PARAMS);
	smtp_command_parse(BYTES("AUTH PLAIN a b"), 0, &c);
	assert_int_equal(c.syntax, COMMAND_BAD_PARAMS);
}

static void
test_quoting_is_bounded(void **state)
{
	char	       line[2048], quoted[SMTP_QUOTED_MAX];
	struct command c;
	struct reply   re;
	struct buf     b;

	(void)state;
	memset(line, 'a', sizeof(line));
	memcpy(line, "RCPT TO:<", 9);
	line[sizeof(line) - 1] = '>';
	smtp_command_parse((struct bytes){ line, sizeof(line) }, 0, &c);
	assert_int_equal(c.syntax, COMMAND_BAD_PATH);
	assert_int_equal(strlen(smtp_quote_path(c.path, quoted)), 258);
	smtp_command_refuse(&c, &re);
	buf_init(&b, 1024);
	assert_true(reply_write(&re, true, &b));
	assert_true(b.n <= REPLY_LINE_MAX);
	assert_true(bytes_ends_nocase(buf_bytes(&b),
	    BYTES("aaa> address unknown\r\n")));
	/* a long name of a parameter */
	memset(line, 'a', sizeof(line));
	memcpy(line, "MAIL FROM:<> ", 13);
	smtp_command_parse((struct bytes){ line, sizeof(line) }, 0, &c);
	assert_int_equal(c.syntax, COMMAND_UNSUPPORTED);
	smtp_command_refuse(&c, &re);
	buf_clear(&b);
	assert_true(reply_write(&re, true, &b));
	assert_int_equal(b.n, REPLY_LINE_MAX);
	assert_memory_equal(b.p + b.n - 2, "\r\n", 2);
	buf_wipe(&b);
}

/* smtp-interface#25: the same reply in both modes. */
static void
test_replies(void **state)
{
	struct reply re;
	struct buf   b;

	(void)state;
	buf_init(&b, 4096);
	reply_set(&re, 250, "2.0.0", "Ok %s", "id");
	assert_true(reply_write(&re, false, &b));
	assert_true(reply_write(&re, true, &b));
	reply_set(&re, 354, "2.0.0", "End data with <CR><LF>.<CR><LF>");
	assert_true(reply_write(&re, true, &b));
	reply_set(&re, 220, NULL, "a\tb\303\244");
	assert_true(reply_write(&re, true, &b));
	assert_false(reply_refuse(&re, 452, "4.5.3", "Too many recipients"));
	assert_true(reply_write(&re, true, &b));
	assert_true(reply_write_line(250, false, "PIPELINING", &b));
	assert_true(reply_write_line(250, true, "Ok", &b));
	assert_true(bytes_eq_text(buf_bytes(&b),
	    "250 Ok id\r\n"
	    "250 2.0.0 Ok id\r\n"
	    "354 End data with <CR><LF>.<CR><LF>\r\n"
	    "220 a?b??\r\n"
	    "452 4.5.3 Too many recipients\r\n"
	    "250-PIPELINING\r\n250 Ok\r\n"));
	buf_wipe(&b);
}

/* Feeds text in pieces of step octets; the result of the last call. */
static enum reader_result
feed(struct reply_reader *r, struct bytes text, size_t step, size_t *used)
{
	enum reader_result result = READER_MORE;
	size_t		   n;

	*used = 0;
	while (*used < text.n && result == READER_MORE) {
		result = reply_reader_feed(r,
		    bytes_head(bytes_from(text, *used), step), &n);
		*used += n;
	}
	return result;
}

static const struct reader_case {
	const char *in;
	int	    result;
	unsigned    code;
	const char *enhanced, *text, *rest;
} reader_cases[] = {
	{ "250 2.6.0 Message received\r\n", READER_DONE, 250, "2.6.0",
	    "250 2.6.0 Message received", "" },
	/* events#2: both blanks are kept */
	{ "250 ok:  Message 64111812 accepted\r\n", READER_DONE, 250, "",
	    "250 ok:  Message 64111812 accepted", "" },
	{ "250-first\r\n250-second \r\n250 third\r\n220 x", READER_DONE, 250,
	    "", "250 first second  third", "220 x" },
	{ "550-5.1.1 The account\r\n550-5.1.1 does not\r\n550 5.1.1 exist\r\n",
	    READER_DONE, 550, "5.1.1", "550 5.1.1 The account does not exist",
	    "" },
	{ "550-5.1.1 a\r\n550 5.7.1 b\r\n", READER_DONE, 550, "5.1.1",
	    "550 5.1.1 a 5.7.1 b", "" },
	{ "550-\r\n550-x\r\n550\r\n", READER_DONE, 550, "", "550 x", "" },
	{ "354 go\n", READER_DONE, 354, "", "354 go", "" },
	{ "421\r\n", READER_DONE, 421, "", "421", "" },
	{ "550 5.1.1000 x\r\n", READER_DONE, 550, "", "550 5.1.1000 x", "" },
	{ "550 5.1 x\r\n", READER_DONE, 550, "", "550 5.1 x", "" },
	{ "550 5.01.1 x\r\n", READER_DONE, 550, "", "550 5.01.1 x", "" },
	{ "550 5.0.10 x\r\n", READER_DONE, 550, "5.0.10", "550 5.0.10 x", "" },
	{ "550 5.1.1: x\r\n", READER_DONE, 550, "", "550 5.1.1: x", "" },
	{ "250-a\r\n550 b\r\n", READER_DONE, 550, "", "550 a b", "" },
	{ "250-a\r\n", READER_MORE, 250, "", NULL, "" },
	{ "hello\r\n", READER_BROKEN, 0, "", NULL, "" },
	{ "25\r\n", READER_BROKEN, 0, "", NULL, "" },
	{ "\r\n", READER_BROKEN, 0, "", NULL, "" },
	{ "2500 x\r\n", READER_BROKEN, 0, "", NULL, "" },
	{ "150 x\r\n", READER_BROKEN, 0, "", NULL, "" },
	{ "650 x\r\n", READER_BROKEN, 0, "", NULL, "" },
	{ "250-a\r\nxyz\r\n", READER_BROKEN, 250, "", NULL, "" },
};

static void
test_reader(void **state)
{
	struct reply_reader r;
	struct buf	    text;
	size_t		    i, step, used;

	(void)state;
	buf_init(&text, 4096);
	for (i = 0; i < sizeof(reader_cases) / sizeof(reader_cases[0]); i++) {
		const struct reader_case *c = &reader_cases[i];

		for (step = 1; step < 40; step++) {
			reply_reader_init(&r);
			assert_int_equal(feed(&r, bytes_of(c->in), step,
			    &used), c->result);
			assert_int_equal(r.code, c->code);
			assert_string_equal(r.enhanced, c->enhanced);
			buf_clear(&text);
			if (c->text != NULL) {
				assert_true(reply_reader_text(&r, &text));
				assert_true(bytes_eq_text(buf_bytes(&text),
				    c->text));
				assert_string_equal(c->in + used, c->rest);
			}
			assert_int_equal(c->result == READER_BROKEN,
			    reply_reader_error(&r)[0] != '\0');
			reply_reader_wipe(&r);
		}
	}
	buf_wipe(&text);
}

static void
test_reader_goes_on(void **state)
{
	static const char in[] = "250-5.0.0 a\r\n250 b\r\n354 c\r\n";
	struct reply_reader r;
	size_t		    used, more;

	(void)state;
	reply_reader_init(&r);
	assert_int_equal(feed(&r, bytes_of(in), 100, &used), READER_DONE);
	assert_int_equal(r.line_count, 2);
	assert_int_equal(feed(&r, bytes_of(in + used), 100, &more),
	    READER_DONE);
	assert_int_equal(r.code, 354);
	assert_int_equal(r.line_count, 1);
	assert_string_equal(r.enhanced, "");
	assert_true(bytes_eq_text(reply_reader_line(&r, 0), "c"));
	reply_reader_wipe(&r);
}

static void
test_reader_bounds(void **state)
{
	struct reply_reader r;
	char		    line[READER_LINE_MAX + 1];
	size_t		    used, i, step;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "250 ", 4);
	memcpy(line + READER_LINE_MAX - 2, "\r\n", 2);
	for (step = 1; step < 5000; step += 1023) {
		reply_reader_init(&r);
		assert_int_equal(feed(&r, (struct bytes){ line,
		    READER_LINE_MAX }, step, &used), READER_DONE);
		reply_reader_wipe(&r);
	}
	memcpy(line + READER_LINE_MAX - 2, "x\r\n", 3);
	for (step = 1; step < 5000; step += 1023) {
		reply_reader_init(&r);
		assert_int_equal(feed(&r, (struct bytes){ line,
		    READER_LINE_MAX + 1 }, step, &used), READER_BROKEN);
		reply_reader_wipe(&r);
	}
	reply_reader_init(&r);
	for (i = 0; i < READER_LINES_MAX; i++)
		assert_int_equal(feed(&r, BYTES("250-x\r\n"), 100, &used),
		    READER_MORE);
	assert_int_equal(feed(&r, BYTES("250 x\r\n"), 100, &used),
	    READER_BROKEN);
	assert_int_equal(feed(&r, BYTES("250 x\r\n"), 100, &used),
	    READER_BROKEN);
	reply_reader_wipe(&r);
	memcpy(line, "250-", 4);
	memcpy(line + READER_LINE_MAX - 2, "\r\n", 2);
	reply_reader_init(&r);
	for (i = 0; i < 32; i++)
		assert_int_equal(feed(&r, (struct bytes){ line,
		    READER_LINE_MAX }, 4096, &used), READER_MORE);
	assert_int_equal(feed(&r, (struct bytes){ line, READER_LINE_MAX },
	    4096, &used), READER_BROKEN);
	reply_reader_wipe(&r);
}

static void
test_capabilities(void **state)
{
	static const char in[] =
	    "250-PIPELINING DSN\r\n250-pipelining\r\n250-SIZE 52428800\r\n"
	    "250-8BITMIME\r\n250-DSN\r\n250-CHUNKING\r\n250-SMTPUTF8\r\n"
	    "250-ENHANCEDSTATUSCODES\r\n250-REQUIRETLS\r\n"
	    "250-LIMITS RCPTMAX=20 MAILMAX=5 X=1\r\n"
	    "250-AUTH CRAM-MD5 login\r\n250-AUTH=PLAIN\r\n250 STARTTLS\r\n";
	static const char little[] = "250-STARTTLS\r\n250 SIZE\r\n";
	struct reply_reader r;
	struct capabilities c;
	size_t		    used;

	(void)state;
	reply_reader_init(&r);
	assert_int_equal(feed(&r, bytes_of(in), 7, &used), READER_DONE);
	capabilities_parse(&r, &c);
	assert_true(c.pipelining && c.eightbit && c.dsn && c.chunking);
	assert_true(c.smtputf8 && c.enhanced_codes && c.requiretls);
	assert_true(c.starttls && c.has_size);
	assert_int_equal(c.size, 52428800);
	assert_int_equal(c.rcpt_max, 20);
	assert_int_equal(c.mail_max, 5);
	assert_int_equal(c.auth, AUTH_MECHANISM_PLAIN | AUTH_MECHANISM_LOGIN);
	/* the first line is the host's name, whatever it looks like */
	assert_int_equal(feed(&r, bytes_of(little), 7, &used), READER_DONE);
	capabilities_parse(&r, &c);
	assert_false(c.starttls || c.pipelining);
	assert_true(c.has_size);
	assert_int_equal(c.size, 0);
	reply_reader_wipe(&r);
}

static void
test_xtext(void **state)
{
	static const struct {
		const char *text, *out; /* NULL = is none */
	} v[] = { { "a", "a" }, { "a+2Bb+3D", "a+b=" }, { "+2b", "+" },
		{ "", NULL }, { "a=b", NULL }, { "a+", NULL },
		{ "a+2", NULL }, { "a+2G", NULL }, { "a+0D+0Ab", NULL },
		{ "a+00", NULL }, { "a+7F", NULL }, { "a+FF", NULL },
		{ "a+20b", "a b" } };
	struct buf b;
	char	   text[DSN_NOTIFY_SIZE];
	size_t	   i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		buf_init(&b, 100);
		assert_true(smtp_xtext_decode(bytes_of(v[i].text), &b) ==
		    (v[i].out != NULL));
		if (v[i].out != NULL)
			assert_true(bytes_eq_text(buf_bytes(&b), v[i].out));
		buf_wipe(&b);
	}
	assert_string_equal(dsn_notify_to_text(DSN_NEVER, text), "NEVER");
	assert_string_equal(dsn_notify_to_text(DSN_DELAY | DSN_SUCCESS |
	    DSN_FAILURE, text), "SUCCESS,FAILURE,DELAY");
	assert_string_equal(dsn_notify_to_text(0, text), "");
}

static void
test_status_length(void **state)
{
	static const struct {
		const char *text;
		size_t	    length;
	} cases[] = { { "5.1.1 a b", 5 }, { "4.123.999", 9 },
		{ "2.0.0\tx", 5 }, { "5.0.10\r\nx", 6 }, { "3.0.0 x", 0 },
		{ "5.1 x", 0 }, { "5.1.1234 x", 0 }, { "5..1 x", 0 },
		{ "5.1.1: x", 0 }, { "", 0 }, { "5.12", 0 },
		/* RFC 3464 2.3.4: no leading zeros */
		{ "5.01.1 x", 0 }, { "5.1.01 x", 0 }, { "5.1.00 x", 0 } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(smtp_status_length(bytes_of(cases[i].text)),
		    cases[i].length);
	assert_int_equal(smtp_status_length((struct bytes){ "5.1.1\0", 6 }),
	    0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xtext),
		cmocka_unit_test(test_status_length),
		cmocka_unit_test(test_verbs),
		cmocka_unit_test(test_ehlo_name_length),
		cmocka_unit_test(test_paths_and_parameters),
		cmocka_unit_test(test_values_of_mail),
		cmocka_unit_test(test_bdat),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_quoting_is_bounded),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_reader_goes_on),
		cmocka_unit_test(test_reader_bounds),
		cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
