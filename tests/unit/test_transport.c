/* SPDX-License-Identifier: ISC */
/*
 * The SMTP client against a receiver that follows a script, and what each row
 * of the attempt table (delivery.md 5) makes of an attempt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mail/smtp.h"
#include "transport_bed.h"

/*
 * A script: lines divided by '|'.  "C x": the transport says a line that
 * begins so; "S x": the receiver says this line; "Sx": these octets without a
 * line end; ".": content up to the dot; "=N": N octets; "X" hangs up, "R"
 * resets; "+N": N milliseconds pass; "D": an attempt for one recipient is
 * given, "D2", "D3" for more, "D8" with 8-bit content.
 */
#define HELLO "S 220 hi|C EHLO mail.relay.example|"
#define PLAIN HELLO "S 250 hi|D|"
#define PIPED HELLO "S 250-hi|S 250 PIPELINING|"
#define CHUNKED HELLO "S 250-hi|S 250 CHUNKING|"
#define BOTH HELLO "S 250-hi|S 250-PIPELINING|S 250 CHUNKING|"
#define PIPE PIPED "D|"
#define OPEN "C MAIL FROM:<bounce@relay.example>|S 250 ok|"

static void
take(struct transport_bed *b, size_t n)
{
	memmove(b->said.p, b->said.p + n, b->said.n - n);
	b->said.n -= n;
}

static void
expect_line(struct transport_bed *b, struct bytes want, const char *script)
{
	struct bytes said = buf_bytes(&b->said);
	ptrdiff_t    end = bytes_find(said, 0, '\n');

	if (end < 0 || (size_t)end < want.n ||
	    memcmp(said.p, want.p, want.n) != 0)
		fail_msg("%s: said \"%.*s\", not \"%.*s\"", script,
		    (int)said.n, said.p, (int)want.n, want.p);
	take(b, (size_t)end + 1);
	/* RFC 2920 3.1: these are the last of their group */
	if (bytes_starts_nocase(want, BYTES("DATA")) ||
	    bytes_starts_nocase(want, BYTES("EHLO")) ||
	    bytes_starts_nocase(want, BYTES("STARTTLS")) ||
	    bytes_starts_nocase(want, BYTES("QUIT")))
		assert_int_equal(b->said.n, 0);
}

static void
expect_content(struct transport_bed *b, const char *script)
{
	ptrdiff_t end = bytes_find_nocase(buf_bytes(&b->said),
	    BYTES("\r\n.\r\n"));

	if (end < 0)
		fail_msg("%s: no final dot", script);
	take(b, (size_t)end + 5);
}

static void
step(struct transport_bed *b, struct bytes s, const char *script)
{
	char line[1024];

	if (bytes_starts_nocase(s, BYTES("C "))) {
		expect_line(b, bytes_from(s, 2), script);
	} else if (bytes_starts_nocase(s, BYTES("S "))) {
		snprintf(line, sizeof(line), "%.*s\r\n", (int)s.n - 2, s.p + 2);
		bed_say(b, bytes_of(line));
	} else if (s.p[0] == 'S') {
		bed_say(b, bytes_from(s, 1));
	} else if (s.p[0] == '.') {
		expect_content(b, script);
	} else if (s.p[0] == '=') {
		assert_true(b->said.n >= (size_t)atoi(s.p + 1));
		take(b, (size_t)atoi(s.p + 1));
	} else if (s.p[0] == '+') {
		assert_true(fake_threads_advance(atoi(s.p + 1)));
	} else if (s.p[0] == 'D') {
		if (b->t == NULL || b->ready == 0)
			fail_msg("%s: it is not ready", script);
		bed_deliver(b, s.n > 1 && s.p[1] != '8' ?
		    (unsigned)(s.p[1] - '0') : 1, s.n > 1 && s.p[1] == '8');
	} else {
		if (s.p[0] == 'X')
			fake_link_close(b->link);
		else
			fake_link_reset(b->link);
		assert_true(fake_threads_settle());
	}
}

static void
play(struct transport_bed *b, const char *script)
{
	struct bytes rest = bytes_of(script);
	ptrdiff_t    end;

	bed_connect(b);
	while (rest.n > 0) {
		end = bytes_find(rest, 0, '|');
		step(b, end < 0 ? rest : bytes_head(rest, (size_t)end), script);
		rest = end < 0 ? bytes_from(rest, rest.n)
			       : bytes_from(rest, (size_t)end + 1);
	}
}

/* -- rows of the attempt table: what an attempt for one recipient gets ----- */

struct row {
	const char	   *script;
	enum result_kind    kind;
	enum classify_stage stage;
	unsigned	    code;
	bool		    goes_on; /* the connection is used again */
};

static const struct row rows[] = {
	/* MAIL */
	{ PLAIN "C MAIL|S 451 4.3.0 later", RESULT_REPLY, CLASSIFY_MAIL, 451,
	    true },
	{ PLAIN "C MAIL|S 550 5.7.1 no", RESULT_REPLY, CLASSIFY_MAIL, 550,
	    true },
	{ PLAIN "C MAIL|S 421 4.3.2 bye", RESULT_REPLY, CLASSIFY_MAIL, 421,
	    false },
	{ PLAIN "C MAIL|S 354 go", RESULT_PROTOCOL, CLASSIFY_MAIL, 354, false },
	{ PLAIN "C MAIL|X", RESULT_LOST, CLASSIFY_MAIL, 0, false },
	{ PLAIN "C MAIL|R", RESULT_LOST, CLASSIFY_MAIL, 0, false },
	{ PLAIN "C MAIL|+300000", RESULT_TIMEOUT, CLASSIFY_MAIL, 0, false },
	/* RCPT */
	{ PLAIN OPEN "C RCPT TO:<a@sink.example>|S 251 2.1.5 on|C DATA|S 354|"
		     ".|S 250 2.6.0 ok",
	    RESULT_REPLY, CLASSIFY_DOT, 250, true },
	{ PLAIN OPEN "C RCPT|S 252 2.1.5 maybe|C DATA|S 354 go|.|S 250 ok",
	    RESULT_REPLY, CLASSIFY_DOT, 250, true },
	{ PLAIN OPEN "C RCPT|S 450 4.2.0 later", RESULT_REPLY, CLASSIFY_RCPT,
	    450, true },
	{ PLAIN OPEN "C RCPT|S 550 5.1.1 gone", RESULT_REPLY, CLASSIFY_RCPT,
	    550, true },
	{ PLAIN OPEN "C RCPT|S 552 5.2.2 full", RESULT_REPLY, CLASSIFY_RCPT,
	    552, true },
	{ PLAIN OPEN "C RCPT|S 421 4.3.2 bye", RESULT_REPLY, CLASSIFY_RCPT,
	    421, false },
	{ PLAIN OPEN "C RCPT|S 300 hm", RESULT_PROTOCOL, CLASSIFY_RCPT, 300,
	    false },
	{ PLAIN OPEN "C RCPT|X", RESULT_LOST, CLASSIFY_RCPT, 0, false },
	/* DATA */
	{ PLAIN OPEN "C RCPT|S 250 ok|C DATA|S 451 no room", RESULT_REPLY,
	    CLASSIFY_DATA, 451, true },
	{ PLAIN OPEN "C RCPT|S 250 ok|C DATA|S 554 never", RESULT_REPLY,
	    CLASSIFY_DATA, 554, true },
	{ PLAIN OPEN "C RCPT|S 250 ok|C DATA|S 250 what", RESULT_PROTOCOL,
	    CLASSIFY_DATA, 250, false },
	{ PLAIN OPEN "C RCPT|S 250 ok|C DATA|S 421 bye", RESULT_REPLY,
	    CLASSIFY_DATA, 421, false },
	{ PLAIN OPEN "C RCPT|S 250 ok|C DATA|X", RESULT_LOST, CLASSIFY_DATA, 0,
	    false },
	{ PLAIN OPEN "C RCPT|S 250 ok|C DATA|+120000", RESULT_TIMEOUT,
	    CLASSIFY_DATA, 0, false },
	/* the final dot */
	{ PLAIN OPEN "C RCPT|S 250 ok|C DATA|S 354 go|.|S 450 later",
	    RESULT_REPLY, CLASSIFY_DOT, 450, true },
	{ PLAIN OPEN "C RCPT|S 250 ok|C DATA|S 354 go|.|S 554 never",
	    RESULT_REPLY, CLASSIFY_DOT, 554, true },
	{ PLAIN OPEN "C RCPT|S 250 ok|C DATA|S 354 go|.|S 421 bye",
	    RESULT_REPLY, CLASSIFY_DOT, 421, false },
	{ PLAIN OPEN "C RCPT|S 250 ok|C DATA|S 354 go|.|S 354 more",
	    RESULT_UNSURE, CLASSIFY_DOT, 354, false },
	{ PLAIN OPEN "C RCPT|S 250 ok|C DATA|S 354 go|.|S hello",
	    RESULT_UNSURE, CLASSIFY_DOT, 0, false },
	{ PLAIN OPEN "C RCPT|S 250 ok|C DATA|S 354 go|.|X", RESULT_UNSURE,
	    CLASSIFY_DOT, 0, false },
	{ PLAIN OPEN "C RCPT|S 250 ok|C DATA|S 354 go|.|+600000",
	    RESULT_UNSURE, CLASSIFY_DOT, 0, false },
	/* with PIPELINING the same replies mean the same */
	{ PIPE "C MAIL|C RCPT|C DATA|S 550 no|S 503 first MAIL|S 503 no",
	    RESULT_REPLY, CLASSIFY_MAIL, 550, true },
	{ PIPE "C MAIL|C RCPT|C DATA|S 250 ok|S 550 gone|S 554 nobody",
	    RESULT_REPLY, CLASSIFY_RCPT, 550, true },
	/* content nobody asked for must not be sent: it ends */
	{ PIPE "C MAIL|C RCPT|C DATA|S 250 ok|S 550 gone|S 354 go",
	    RESULT_REPLY, CLASSIFY_RCPT, 550, false },
	{ PIPE "C MAIL|C RCPT|C DATA|S 250 ok|S 250 ok|S 354 go|.|S 250 ok",
	    RESULT_REPLY, CLASSIFY_DOT, 250, true },
	/* bare line feeds end lines; a NUL is what any octet is */
	{ PLAIN "C MAIL|S250 ok\n|C RCPT|S25|S0 ok\r|S\n|C DATA|S354 go\n|.|"
		"S250-2.6.0 a\n250 2.6.0 b\r\n",
	    RESULT_REPLY, CLASSIFY_DOT, 250, true },
	/* against the protocol */
	{ PLAIN "C MAIL|S 2500 ok", RESULT_PROTOCOL, CLASSIFY_MAIL, 0, false },
	{ PLAIN "C MAIL|S 25", RESULT_PROTOCOL, CLASSIFY_MAIL, 0, false },
	/* codes that differ: the last line tells */
	{ PLAIN "C MAIL|S 250-a|S 550 b", RESULT_REPLY, CLASSIFY_MAIL, 550,
	    true },
	{ PLAIN "C MAIL|S 999 b", RESULT_PROTOCOL, CLASSIFY_MAIL, 0, false },
	/* what was not asked for ends it, but the verdict holds */
	{ PLAIN OPEN "C RCPT|S 550 gone|S 250 unasked", RESULT_REPLY,
	    CLASSIFY_RCPT, 550, false },
};

static void
rows_of_an_attempt(void **state) /* delivery.md 5 */
{
	struct transport_bed b;
	const struct row    *r;
	const struct result *got;

	(void)state;
	for (r = rows; r < rows + sizeof(rows) / sizeof(rows[0]); r++) {
		bed_open(&b);
		play(&b, r->script);
		if (b.done != 1)
			fail_msg("%s: no result", r->script);
		got = &b.a->envelopes[0].result;
		if (got->kind != r->kind || got->stage != r->stage ||
		    got->code != r->code)
			fail_msg("%s: %s %s %u", r->script,
			    result_kind_to_text(got->kind),
			    classify_stage_to_text(got->stage), got->code);
		if (r->goes_on != (b.gone == 0) ||
		    (r->goes_on && b.ready != 2))
			fail_msg("%s: ready %u, gone %u", r->script, b.ready,
			    b.gone);
		bed_close(&b);
	}
}

/* -- before an attempt: greeting, EHLO, STARTTLS --------------------------- */

struct opening {
	const char	   *script;
	enum tls_demand	    demand;
	const char	   *tls_version; /* NULL = the handshake fails */
	bool		    trusted;
	/* RESULT_NONE: it is ready */
	enum result_kind    kind;
	enum classify_stage stage;
	unsigned	    code;
	bool		    again; /* without TLS */
};

#define OFFER HELLO "S 250-hi|S 250 STARTTLS|"
static const struct opening openings[] = {
	{ "S 450 4.3.2 later|C QUIT", TLS_TRY, NULL, false, RESULT_REPLY,
	    CLASSIFY_GREETING, 450, false },
	{ "S 554 5.3.2 no|C QUIT", TLS_TRY, NULL, false, RESULT_REPLY,
	    CLASSIFY_GREETING, 554, false },
	/* who says 421 closes by himself */
	{ "S 421 4.3.2 busy", TLS_TRY, NULL, false, RESULT_REPLY,
	    CLASSIFY_GREETING, 421, false },
	{ "S 250 hi", TLS_TRY, NULL, false, RESULT_PROTOCOL,
	    CLASSIFY_GREETING, 0, false },
	{ "X", TLS_TRY, NULL, false, RESULT_LOST, CLASSIFY_GREETING, 0, false },
	{ "+300000", TLS_TRY, NULL, false, RESULT_TIMEOUT, CLASSIFY_GREETING,
	    0, false },
	{ HELLO "S 250 hi", TLS_TRY, NULL, false, RESULT_NONE, 0, 0, false },
	{ HELLO "S 500 what|C HELO mail.relay.example|S 250 hi", TLS_TRY, NULL,
	    false, RESULT_NONE, 0, 0, false },
	{ HELLO "S 502 what|C HELO|S 550 no|C QUIT", TLS_TRY, NULL,
	    false, RESULT_REPLY, CLASSIFY_EHLO, 550, false },
	{ HELLO "S 504 what|C QUIT", TLS_REQUIRE, NULL, false,
	    RESULT_TLS_MISSING, CLASSIFY_EHLO, 0, false },
	{ HELLO "S 451 later|C QUIT", TLS_TRY, NULL, false, RESULT_REPLY,
	    CLASSIFY_EHLO, 451, false },
	{ HELLO "S 550 no|C QUIT", TLS_TRY, NULL, false, RESULT_REPLY,
	    CLASSIFY_EHLO, 550, false },
	{ HELLO "S 220 hm", TLS_TRY, NULL, false, RESULT_PROTOCOL,
	    CLASSIFY_EHLO, 0, false },
	{ HELLO "X", TLS_TRY, NULL, false, RESULT_LOST, CLASSIFY_EHLO, 0,
	    false },
	/* STARTTLS: every cell of the table of delivery.md 6.2 */
	{ HELLO "S 250 hi|C QUIT", TLS_REQUIRE, NULL, false,
	    RESULT_TLS_MISSING, CLASSIFY_EHLO, 0, false },
	{ OFFER "C STARTTLS|S 454 no|", TLS_TRY, NULL, false, RESULT_NONE, 0,
	    0, false },
	{ OFFER "C STARTTLS|S 502 no|", TLS_TRY, NULL, false, RESULT_NONE, 0,
	    0, false },
	{ OFFER "C STARTTLS|S 454 no|C QUIT", TLS_REQUIRE, NULL, false,
	    RESULT_TLS_FAILED, CLASSIFY_EHLO, 0, false },
	{ OFFER "C STARTTLS|S 421 bye", TLS_TRY, NULL, false, RESULT_REPLY,
	    CLASSIFY_EHLO, 421, false },
	{ OFFER "C STARTTLS|S 220 go", TLS_TRY, NULL, false,
	    RESULT_TLS_FAILED, CLASSIFY_EHLO, 0, true },
	{ OFFER "C STARTTLS|S 220 go", TLS_REQUIRE, NULL, false,
	    RESULT_TLS_FAILED, CLASSIFY_EHLO, 0, false },
	{ OFFER "C STARTTLS|S 220 go|C EHLO|S 250 hi", TLS_REQUIRE, "TLSv1.3",
	    false, RESULT_NONE, 0, 0, false },
	{ OFFER "C STARTTLS|S 220 go", TLS_VERIFY, "TLSv1.3", false,
	    RESULT_TLS_FAILED, CLASSIFY_EHLO, 0, false },
	{ OFFER "C STARTTLS|S 220 go|C EHLO|S 250 hi", TLS_VERIFY, "TLSv1.3",
	    true, RESULT_NONE, 0, 0, false },
	{ OFFER "", TLS_NEVER, NULL, false, RESULT_NONE, 0, 0, false },
	/* after the handshake all is forgotten, and no second one is made */
	{ OFFER "C STARTTLS|S 220 go|C EHLO|S 250-hi|S 250 STARTTLS", TLS_TRY,
	    "TLSv1.3", false, RESULT_NONE, 0, 0, false },
	{ OFFER "C STARTTLS|S 220 go|C EHLO|S 500 what|C QUIT", TLS_TRY,
	    "TLSv1.3", false, RESULT_REPLY, CLASSIFY_EHLO, 500, false },
	{ OFFER "C STARTTLS|S 220 go|C EHLO|X", TLS_TRY, "TLSv1.3", false,
	    RESULT_LOST, CLASSIFY_EHLO, 0, false },
	/* words in clear text behind the reply would be taken for the server's
	 * own, inside TLS */
	{ OFFER "C STARTTLS|S220 go\r\n250 evil\r\n", TLS_TRY, "TLSv1.3",
	    false, RESULT_TLS_FAILED, CLASSIFY_EHLO, 0, false },
	/* not asked for */
	{ HELLO "S250 hi\r\n250 more\r\n", TLS_TRY, NULL, false,
	    RESULT_PROTOCOL, CLASSIFY_EHLO, 0, false },
};

static void
openings_of_a_connection(void **state) /* delivery.md 5, 6.2 */
{
	struct transport_bed  b;
	const struct opening *o;

	(void)state;
	for (o = openings; o < openings + sizeof(openings) /
		 sizeof(openings[0]); o++) {
		bed_open(&b);
		b.setup.demand = o->demand;
		b.tls_version = o->tls_version;
		b.tls_trusted = o->trusted;
		play(&b, o->script);
		if (o->kind == RESULT_NONE) {
			if (b.ready != 1 || b.gone != 0)
				fail_msg("%s: not ready", o->script);
			assert_true(transport_satisfies(b.t, o->demand));
		} else if (b.ready != 0 || b.gone != 1 ||
		    b.result.kind != o->kind || b.result.stage != o->stage ||
		    b.result.code != o->code || b.handshake != o->again) {
			fail_msg("%s: %s %s %u %d", o->script,
			    result_kind_to_text(b.result.kind),
			    classify_stage_to_text(b.result.stage),
			    b.result.code, (int)b.handshake);
		}
		assert_true(bytes_find_nocase(buf_bytes(&b.said),
		    BYTES("MAIL")) < 0);
		assert_true(bytes_find_nocase(buf_bytes(&b.said),
		    BYTES("QUIT")) < 0);
		bed_close(&b);
	}
}

/* -- several recipients, BDAT, extensions ---------------------------------- */

static void
each_recipient_has_its_verdict(void **state)
{
	struct transport_bed b;

	(void)state;
	bed_open(&b);
	play(&b, PIPED "D3|C MAIL|C RCPT|C RCPT|C RCPT|C DATA|"
		       "S 250 ok|S 250 ok|S 550 5.1.1 gone|S 450 4.2.0 later|"
		       "S 354 go|.|S 250 2.6.0 kept");
	assert_int_equal(b.done, 1);
	assert_int_equal(b.a->envelopes[0].result.code, 250);
	assert_string_equal(b.a->envelopes[0].result.text, "250 2.6.0 kept");
	assert_int_equal(b.a->envelopes[1].result.code, 550);
	assert_int_equal(b.a->envelopes[2].result.code, 450);
	bed_close(&b);
	/* too many: the rest in a transaction of its own (RFC 5321) */
	bed_open(&b);
	play(&b, PIPED "D3|C MAIL|C RCPT|C RCPT|C RCPT|C DATA|"
		       "S 250 ok|S 250 ok|S 452 4.5.3 too many|"
		       "S 552 too many recipients|S 354 go|.|S 250 one|"
		       "C MAIL|C RCPT TO:<b@|C RCPT TO:<c@|C DATA|S 250 ok|"
		       "S 250 ok|S 250 ok|S 354 go|.|S 250 two");
	assert_int_equal(b.done, 1);
	assert_string_equal(b.a->envelopes[0].result.text, "250 one");
	assert_string_equal(b.a->envelopes[1].result.text, "250 two");
	assert_string_equal(b.a->envelopes[2].result.text, "250 two");
	bed_close(&b);
	/* the connection is lost in the further one: the first is delivered */
	bed_open(&b);
	play(&b, PIPED "D2|C MAIL|C RCPT|C RCPT|C DATA|"
		       "S 250 ok|S 250 ok|S 452 4.5.3 too many|S 354 go|.|"
		       "S 250 one|C MAIL|C RCPT TO:<b@|C DATA|X");
	assert_int_equal(b.a->envelopes[0].result.code, 250);
	assert_int_equal(b.a->envelopes[1].result.kind, RESULT_LOST);
	bed_close(&b);
}

static void
content_by_bdat(void **state) /* delivery.md 5.1 */
{
	struct transport_bed b;

	(void)state;
	/* in one flight, counted, not stuffed */
	bed_open(&b);
	play(&b, BOTH "D|C MAIL|C RCPT|"
		       "C BDAT 20 LAST|=20|S 250 ok|S 250 ok|S 250 2.0.0 kept");
	assert_string_equal(b.a->envelopes[0].result.text, "250 2.0.0 kept");
	assert_int_equal(b.a->envelopes[0].result.stage, CLASSIFY_DOT);
	assert_int_equal(b.said.n, 0);
	bed_close(&b);
	/* without PIPELINING each reply is waited for */
	bed_open(&b);
	play(&b, CHUNKED "D|C MAIL|S 250 ok|C RCPT|S 250 ok|"
		       "C BDAT 20 LAST|=20|S 554 5.6.0 no");
	assert_int_equal(b.a->envelopes[0].result.code, 554);
	assert_int_equal(b.a->envelopes[0].result.stage, CLASSIFY_DOT);
	bed_close(&b);
	/* nobody was accepted: the chunk's refusal says nothing */
	bed_open(&b);
	play(&b, BOTH "D|C MAIL|C RCPT|"
		       "C BDAT 20 LAST|=20|S 250 ok|S 550 5.1.1 gone|"
		       "S 503 nobody");
	assert_int_equal(b.a->envelopes[0].result.code, 550);
	assert_int_equal(b.a->envelopes[0].result.stage, CLASSIFY_RCPT);
	assert_int_equal(b.ready, 2);
	bed_close(&b);
	/* switched off */
	bed_open(&b);
	b.setup.use_bdat = false;
	play(&b, CHUNKED "D|C MAIL|S 250 ok|C RCPT|S 250 ok|"
		       "C DATA|S 354 go|.|S 250 ok");
	assert_int_equal(b.a->envelopes[0].result.code, 250);
	bed_close(&b);
}

static void
lost_with_bdat_under_way(void **state)
{
	static const struct {
		const char	   *script;
		enum result_kind    kind;
		enum classify_stage stage;
	} cases[] = {
		/* all was sent, but not even MAIL was answered */
		{ "X", RESULT_LOST, CLASSIFY_MAIL },
		{ "S 250 ok|X", RESULT_UNSURE, CLASSIFY_RCPT },
		{ "S 250 ok|S 250 ok|X", RESULT_UNSURE, CLASSIFY_DOT },
		{ "+300000", RESULT_TIMEOUT, CLASSIFY_MAIL },
		{ "S 250 ok|S 250 ok|+600000", RESULT_UNSURE, CLASSIFY_DOT },
		/* the reply to the last chunk has the stage of the dot */
		{ "S 250 ok|S 250 ok|S 421 bye", RESULT_REPLY, CLASSIFY_DOT },
		{ "S 250 ok|S 250 ok|S 354 more", RESULT_UNSURE,
		    CLASSIFY_DOT },
		{ "S 250 ok|S 250 ok|S hello", RESULT_UNSURE, CLASSIFY_DOT },
	};
	struct transport_bed b;
	char		     script[256];
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bed_open(&b);
		snprintf(script, sizeof(script),
		    BOTH "D|C MAIL|C RCPT|C BDAT|=20|%s",
		    cases[i].script);
		play(&b, script);
		assert_int_equal(b.done, 1);
		assert_int_equal(b.a->envelopes[0].result.kind, cases[i].kind);
		assert_int_equal(b.a->envelopes[0].result.stage,
		    cases[i].stage);
		assert_int_equal(b.gone, 1);
		bed_close(&b);
	}
}

static void
extensions_are_used(void **state) /* delivery#13, delivery.md 5.1 */
{
	struct transport_bed b;

	(void)state;
	bed_open(&b);
	play(&b, HELLO "S 250-hi|S 250-SIZE 100|S 250 8BITMIME|D8|"
		       "C MAIL FROM:<bounce@relay.example> SIZE=20 "
		       "BODY=8BITMIME");
	bed_close(&b);
	/* too large: nothing is sent, the connection goes on */
	bed_open(&b);
	play(&b, HELLO "S 250-hi|S 250 SIZE 19|D");
	assert_int_equal(b.a->envelopes[0].result.kind, RESULT_TOO_LARGE);
	assert_int_equal(b.said.n, 0);
	assert_int_equal(b.ready, 2);
	assert_int_equal(transport_count(b.t), 0);
	bed_close(&b);
	/* SIZE 0 is no limit (RFC 1870) */
	bed_open(&b);
	play(&b, HELLO "S 250-hi|S 250 SIZE 0|D|"
		       "C MAIL FROM:<bounce@relay.example> SIZE=20");
	bed_close(&b);
	/* 8-bit content is sent as it is, or is not sent */
	bed_open(&b);
	play(&b, HELLO "S 250 hi|D8|C MAIL FROM:<bounce@relay.example>\r");
	bed_close(&b);
	bed_open(&b);
	b.setup.bounce_8bit = true;
	play(&b, HELLO "S 250 hi|D8");
	assert_int_equal(b.a->envelopes[0].result.kind, RESULT_NOT_8BIT);
	bed_close(&b);
	/* what is offered beside that is not used (SMTPUTF8 never) */
	bed_open(&b);
	play(&b, HELLO "S 250-hi|S 250-SMTPUTF8|S 250-DSN|S 250-REQUIRETLS|"
		       "S 250 AUTH PLAIN|D|"
		       "C MAIL FROM:<bounce@relay.example>\r");
	bed_close(&b);
	/* LIMITS (RFC 9422): recipients in one transaction */
	bed_open(&b);
	play(&b, HELLO "S 250-hi|S 250-PIPELINING|"
		       "S 250 LIMITS RCPTMAX=1 MAILMAX=7|D2|"
		       "C MAIL|C RCPT TO:<a@|C DATA|S 250 ok|S 250 ok|S 354 go|"
		       ".|S 250 one|C MAIL|C RCPT TO:<b@|C DATA");
	assert_int_equal(transport_mail_max(b.t), 7);
	bed_close(&b);
}

static void
used_again_after_a_refusal(void **state) /* delivery.md 8: RSET */
{
	struct transport_bed b;

	(void)state;
	bed_open(&b);
	play(&b, PLAIN OPEN "C RCPT|S 550 gone|D|C RSET|S 500 what|C MAIL|"
			    "S 250 ok|C RCPT|S 250 ok|C DATA|S 354 go|.|"
			    "S 250 ok|D|C MAIL");
	assert_int_equal(transport_count(b.t), 3);
	bed_close(&b);
	/* refused at DATA, then at the dot, then not */
	bed_open(&b);
	play(&b, PLAIN OPEN "C RCPT|S 250 ok|C DATA|S 451 no|D|C RSET|S 250 ok|"
			    "C MAIL|S 250 ok|C RCPT|S 250 ok|C DATA|S 354 go|.|"
			    "S 554 no|D|C RSET|S 250 ok|C MAIL|S 250 ok|C RCPT|"
			    "S 250 ok|C DATA|S 354 go|.|S 250 ok|D|C MAIL");
	bed_close(&b);
	bed_open(&b);
	play(&b, BOTH "D|C MAIL|"
		       "C RCPT|C BDAT|=20|S 250 ok|S 250 ok|S 554 no|D|C RSET|"
		       "C MAIL");
	bed_close(&b);
	/* the peer closes, or speaks, while nothing is under way */
	bed_open(&b);
	play(&b, HELLO "S 250 hi|S 421 idle for too long");
	assert_int_equal(b.gone, 1);
	bed_close(&b);
	bed_open(&b);
	play(&b, HELLO "S 250 hi|X");
	assert_int_equal(b.gone, 1);
	bed_close(&b);
}

/* -- peers that mean no good ----------------------------------------------- */

static void
replies_octet_by_octet(void **state)
{
	static const char talk[] = "220 hi\r\n250-hi\r\n250 PIPELINING\r\n";
	struct transport_bed b;
	size_t		     i;

	(void)state;
	bed_open(&b);
	bed_connect(&b);
	for (i = 0; i < sizeof(talk) - 1; i++)
		bed_say(&b, (struct bytes){ talk + i, 1 });
	assert_int_equal(b.ready, 1);
	bed_close(&b);
}

static void
endless_replies_end(void **state)
{
	static char	     line[4096];
	struct transport_bed b;
	unsigned	     i;

	(void)state;
	/* one line without an end */
	bed_open(&b);
	bed_connect(&b);
	memset(line, 'x', sizeof(line));
	memcpy(line, "220 ", 4);
	bed_say(&b, (struct bytes){ line, sizeof(line) });
	assert_int_equal(b.gone, 1);
	assert_int_equal(b.result.kind, RESULT_PROTOCOL);
	bed_close(&b);
	/* lines without an end */
	bed_open(&b);
	bed_connect(&b);
	for (i = 0; i < 10000 && b.gone == 0; i++)
		bed_say(&b, BYTES("220-and another one\r\n"));
	assert_int_equal(b.gone, 1);
	assert_true(i <= READER_LINES_MAX + 1);
	assert_int_equal(b.result.kind, RESULT_PROTOCOL);
	bed_close(&b);
	/* a line now and then: the time for the reply is not moved by it */
	bed_open(&b);
	bed_connect(&b);
	for (i = 0; i < 20 && b.gone == 0; i++) {
		bed_say(&b, BYTES("220-wait\r\n"));
		assert_true(fake_threads_advance(60000));
	}
	assert_int_equal(i, 5);
	assert_int_equal(b.result.kind, RESULT_TIMEOUT);
	bed_close(&b);
}

static void
verdict_before_the_content_is_sent(void **state)
{
	static char	     big[1024 * 1024];
	struct transport_bed b;

	(void)state;
	bed_open(&b);
	memset(big, 'x', sizeof(big));
	bed_content = (struct bytes){ big, sizeof(big) };
	play(&b, PLAIN OPEN "C RCPT|S 250 ok|C DATA");
	fake_link_pause(b.link, true);
	bed_say(&b, BYTES("354 go\r\n"));
	bed_say(&b, BYTES("552 5.3.4 too big\r\n"));
	assert_int_equal(b.done, 1);
	assert_int_equal(b.a->envelopes[0].result.code, 552);
	assert_int_equal(b.a->envelopes[0].result.stage, CLASSIFY_DATA);
	assert_int_equal(b.gone, 1);
	bed_close(&b);
	/* it does not read on: three minutes without progress */
	bed_open(&b);
	bed_content = (struct bytes){ big, sizeof(big) };
	play(&b, PLAIN OPEN "C RCPT|S 250 ok|C DATA");
	fake_link_pause(b.link, true);
	bed_say(&b, BYTES("354 go\r\n"));
	assert_true(fake_threads_advance(179000));
	assert_int_equal(b.done, 0);
	assert_true(fake_threads_advance(2000));
	assert_int_equal(b.done, 1);
	assert_int_equal(b.a->envelopes[0].result.kind, RESULT_TIMEOUT);
	bed_close(&b);
	/* it goes away: not all was sent, so it was not taken */
	bed_open(&b);
	bed_content = (struct bytes){ big, sizeof(big) };
	play(&b, CHUNKED "D|C MAIL|S 250 ok|C RCPT");
	fake_link_pause(b.link, true);
	bed_say(&b, BYTES("250 ok\r\n"));
	assert_int_equal(b.done, 0);
	fake_link_reset(b.link);
	assert_true(fake_threads_settle());
	assert_int_equal(b.done, 1);
	assert_int_equal(b.a->envelopes[0].result.kind, RESULT_LOST);
	assert_int_equal(b.a->envelopes[0].result.stage, CLASSIFY_DATA);
	bed_close(&b);
}

/* Where it stands when it is given up, and how often it was answered before. */
static void
given_up(void **state)
{
	static const struct {
		const char	   *script; /* NULL = it does not connect */
		enum tls_demand	    demand;
		unsigned	    answers;
		enum result_kind    kind;
		enum classify_stage stage;
	} cases[] = {
		{ NULL, TLS_TRY, 0, RESULT_CONNECT, CLASSIFY_GREETING },
		{ "", TLS_TRY, 0, RESULT_TIMEOUT, CLASSIFY_GREETING },
		{ "S 220-wait", TLS_TRY, 0, RESULT_TIMEOUT, CLASSIFY_GREETING },
		{ "S 220 mx|C EHLO", TLS_TRY, 1, RESULT_TIMEOUT,
		    CLASSIFY_EHLO },
		{ "S 220 mx|C EHLO|S 502 no|C HELO", TLS_TRY, 2,
		    RESULT_TIMEOUT, CLASSIFY_EHLO },
		{ OFFER "C STARTTLS", TLS_TRY, 2, RESULT_TIMEOUT,
		    CLASSIFY_EHLO },
		{ OFFER "C STARTTLS|S 220 go", TLS_TRY, 3, RESULT_TIMEOUT,
		    CLASSIFY_EHLO },
		{ OFFER "C STARTTLS|S 220 go", TLS_REQUIRE, 3,
		    RESULT_TLS_FAILED, CLASSIFY_EHLO },
	};
	struct transport_bed b;
	struct result	     r;
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bed_open(&b);
		b.setup.demand = cases[i].demand;
		b.is_deaf = cases[i].script == NULL;
		b.hangs_in_tls = true;
		play(&b, cases[i].script != NULL ? cases[i].script : "");
		assert_int_equal(b.answers, cases[i].answers);
		transport_give_up(b.t, &r);
		b.t = NULL;
		assert_int_equal(r.kind, cases[i].kind);
		assert_int_equal(r.stage, cases[i].stage);
		assert_int_equal(b.gone + b.ready, 0);
		bed_close(&b);
	}
}

static void
shut_down(void **state) /* delivery.md 13 */
{
	struct transport_bed b;

	(void)state;
	bed_open(&b);
	play(&b, PLAIN OPEN "C RCPT");
	assert_true(transport_abandon(b.t));
	b.t = NULL;
	bed_close(&b);
	/* the dot was sent: the reply is awaited, for a minute */
	bed_open(&b);
	play(&b, PLAIN OPEN "C RCPT|S 250 ok|C DATA|S 354 go|.");
	assert_false(transport_abandon(b.t));
	assert_true(fake_threads_advance(59000));
	assert_int_equal(b.done, 0);
	assert_true(fake_threads_advance(1000));
	assert_int_equal(b.done, 1);
	assert_int_equal(b.a->envelopes[0].result.kind, RESULT_UNSURE);
	bed_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_of_an_attempt),
		cmocka_unit_test(openings_of_a_connection),
		cmocka_unit_test(each_recipient_has_its_verdict),
		cmocka_unit_test(content_by_bdat),
		cmocka_unit_test(lost_with_bdat_under_way),
		cmocka_unit_test(extensions_are_used),
		cmocka_unit_test(used_again_after_a_refusal),
		cmocka_unit_test(replies_octet_by_octet),
		cmocka_unit_test(endless_replies_end),
		cmocka_unit_test(verdict_before_the_content_is_sent),
		cmocka_unit_test(given_up),
		cmocka_unit_test(shut_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
