/* SPDX-License-Identifier: ISC */
/* framing: line ends, end of data, dots; each case cut in pieces of 1 to n. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "mail/framing.h"

enum { LF = 1, CR = 2, NUL = 4, BIT8 = 8 };

static void
gather(void *arg, struct bytes piece)
{
	assert_true(piece.n > 0);
	buf_add_bytes(arg, piece);
}

static unsigned
flags_of(const struct framing *f)
{
	return (f->has_bare_lf ? LF : 0u) | (f->has_bare_cr ? CR : 0u) |
	    (f->has_nul ? NUL : 0u) | (f->has_eight_bit ? BIT8 : 0u);
}

/* Feeds in pieces of step octets until the end; returns octets used. */
static size_t
feed(struct framing *f, struct bytes in, size_t step, struct buf *out)
{
	size_t used = 0;

	while (used < in.n && !f->ended) {
		struct bytes piece = bytes_head(bytes_from(in, used), step);
		size_t	     n = framing_feed(f, piece, gather, out);

		assert_true(n == piece.n || f->ended);
		used += n;
	}
	return used;
}

#define END "\r\n.\r\n"
#define MAILCMD "MAIL FROM:<x@example.com>\r\n"

static const struct data_case {
	const char *in;
	const char *out;
	unsigned    flags;
	uint64_t    longest;
	const char *rest; /* NULL: the data has not ended */
} data_cases[] = {
	{ ".\r\n", "", 0, 0, "" },
	{ ".\r\nNOOP\r\n", "", 0, 0, "NOOP\r\n" },
	{ "a" END, "a\r\n", 0, 1, "" },
	{ "a: b\r\n\r\ntext" END "QUIT\r\n", "a: b\r\n\r\ntext\r\n", 0, 4,
	    "QUIT\r\n" },
	/* smtp-interface#13: dots */
	{ "..x" END, ".x\r\n", 0, 2, "" },
	{ "a\n.b" END, "a\r\n.b\r\n", LF, 2, "" },
	{ "a\r\n..\r\n...\r\n.b" END, "a\r\n.\r\n..\r\nb\r\n", 0, 2, "" },
	/* smtp-interface#12: none of these ends the data */
	{ "a\n.\n" MAILCMD END, "a\r\n.\r\n" MAILCMD "\r\n", LF, 25, "" },
	{ "a\n.\r\n" MAILCMD END, "a\r\n.\r\n" MAILCMD "\r\n", LF, 25, "" },
	{ "a\r\n.\n" MAILCMD END, "a\r\n\r\n" MAILCMD "\r\n", LF, 25, "" },
	{ "a\r.\r" MAILCMD END, "a . " MAILCMD "\r\n", CR, 29, "" },
	{ "a\r\n.\r" MAILCMD END, "a\r\n " MAILCMD "\r\n", CR, 26, "" },
	{ "a\r.\r\n" MAILCMD END, "a .\r\n" MAILCMD "\r\n", CR, 25, "" },
	{ "a\r\r\n.\r\n", "a \r\n", CR, 2, "" },
	{ "\r\r\r\n.\r\n", "  \r\n", CR, 2, "" },
	{ "\r\n.\r\r\n.\r\n", "\r\n \r\n", CR, 1, "" },
	{ "\n\n\r\n.\r\n", "\r\n\r\n\r\n", LF, 0, "" },
	{ "\r\n\r\n.\r\n.\r\n", "\r\n\r\n", 0, 0, ".\r\n" },
	{ "a\r\n.\r\n\n", "a\r\n", 0, 1, "\n" },
	{ "\303\244" END, "\303\244\r\n", BIT8, 2, "" },
	{ "abcdefghijklmnopq\303" END, "abcdefghijklmnopq\303\r\n", BIT8, 18,
	    "" },
	{ "abcdefg\303hijklmnopq" END, "abcdefg\303hijklmnopq\r\n", BIT8, 18,
	    "" },
	{ "abc\r\n", "abc\r\n", 0, 3, NULL },
	{ "abc\r\n.\r", "abc\r\n", 0, 3, NULL },
	{ "abc\r", "abc", 0, 0, NULL },
};

static void
test_data(void **state)
{
	size_t i, step, used;

	(void)state;
	for (i = 0; i < sizeof(data_cases) / sizeof(data_cases[0]); i++) {
		const struct data_case *c = &data_cases[i];

		for (step = 1; step <= strlen(c->in) + 1; step++) {
			struct framing f;
			struct buf     out;

			buf_init(&out, 4096);
			framing_init(&f, FRAMING_DATA);
			used = feed(&f, bytes_of(c->in), step, &out);
			if (!bytes_eq_text(buf_bytes(&out), c->out) ||
			    flags_of(&f) != c->flags ||
			    f.longest != c->longest || f.size != out.n)
				fail_msg("case %zu step %zu: %.*s", i, step,
				    (int)out.n, out.p);
			assert_int_equal(f.ended, c->rest != NULL);
			if (c->rest != NULL)
				assert_string_equal(c->in + used, c->rest);
			buf_wipe(&out);
		}
	}
}

static void
test_nul(void **state)
{
	static const char in[] = "a\0b\r\n.\r\nNOOP\0\r\n";
	struct framing	  f;
	struct buf	  out;
	size_t		  step;

	(void)state;
	for (step = 1; step < sizeof(in); step++) {
		buf_init(&out, 100);
		framing_init(&f, FRAMING_DATA);
		assert_int_equal(feed(&f, (struct bytes){ in,
		    sizeof(in) - 1 }, step, &out), 8);
		assert_true(f.has_nul);
		assert_int_equal(f.size, 5);
		/* behind the end it is no longer the message's */
		buf_clear(&out);
		framing_init(&f, FRAMING_DATA);
		feed(&f, (struct bytes){ in + 2, sizeof(in) - 3 }, step, &out);
		assert_false(f.has_nul);
		buf_wipe(&out);
	}
}

/* smtp-interface#14, the framing: no dots, line ends over chunk borders. */
static const struct chunk_case {
	const char *in, *out;
	unsigned    flags;
	uint64_t    longest;
} chunk_cases[] = {
	{ "", "", 0, 0 },
	{ "abc", "abc\r\n", 0, 3 },
	{ "abc\r\n", "abc\r\n", 0, 3 },
	{ "a\r\n.\r\nb\r\n..c", "a\r\n.\r\nb\r\n..c\r\n", 0, 3 },
	{ ".\r\n", ".\r\n", 0, 1 },
	{ "a\nb", "a\r\nb\r\n", LF, 1 },
	{ "a\nb\n", "a\r\nb\r\n", LF, 1 },
	{ "a\r", "a \r\n", CR, 2 },
	{ "a\rb\r\n", "a b\r\n", CR, 3 },
	{ "\r\n", "\r\n", 0, 0 },
	{ "\n", "\r\n", LF, 0 },
};

static void
test_chunks(void **state)
{
	size_t i, step;

	(void)state;
	for (i = 0; i < sizeof(chunk_cases) / sizeof(chunk_cases[0]); i++) {
		const struct chunk_case *c = &chunk_cases[i];

		for (step = 1; step <= strlen(c->in) + 1; step++) {
			struct framing f;
			struct buf     out;

			buf_init(&out, 4096);
			framing_init(&f, FRAMING_CHUNK);
			assert_int_equal(feed(&f, bytes_of(c->in), step,
			    &out), strlen(c->in));
			assert_false(f.ended);
			framing_end(&f, gather, &out);
			assert_true(f.ended);
			if (!bytes_eq_text(buf_bytes(&out), c->out) ||
			    flags_of(&f) != c->flags ||
			    f.longest != c->longest || f.size != out.n)
				fail_msg("case %zu step %zu: %.*s", i, step,
				    (int)out.n, out.p);
			buf_wipe(&out);
		}
	}
}

/* smtp-interface#15: what is counted against the limit. */
static void
test_long_line_and_size(void **state)
{
	struct framing f;
	struct buf     out, in;
	size_t	       i;

	(void)state;
	buf_init(&in, 1 << 20);
	buf_init(&out, 1 << 20);
	for (i = 0; i < 998; i++)
		buf_add_char(&in, 'x');
	buf_add_text(&in, "\r\n..\nlast" END);
	framing_init(&f, FRAMING_DATA);
	feed(&f, buf_bytes(&in), 333, &out);
	assert_int_equal(f.longest, 998);
	assert_int_equal(f.size, 998 + 2 + 3 + 6);
	buf_wipe(&in);
	buf_wipe(&out);
}

static void
count(void *arg, struct bytes piece)
{
	(void)piece;
	++*(size_t *)arg;
}

/* Clean content passes in one piece, and nothing is looked at twice. */
static void
test_runs(void **state)
{
	struct framing f;
	struct buf     in;
	size_t	       i, pieces = 0;

	(void)state;
	buf_init(&in, 1 << 20);
	for (i = 0; i < 1000; i++)
		buf_add_text(&in, "text of a line\r\n");
	framing_init(&f, FRAMING_DATA);
	assert_int_equal(framing_feed(&f, buf_bytes(&in), count, &pieces),
	    in.n);
	assert_int_equal(pieces, 1);
	assert_int_equal(f.state, FRAMING_LINE);
	buf_wipe(&in);
}

static const struct {
	const char *in, *out;
} stuffing_cases[] = {
	{ "", ".\r\n" },
	{ "a\r\n", "a\r\n.\r\n" },
	{ "a", "a\r\n.\r\n" },
	{ ".\r\n", "..\r\n.\r\n" },
	{ ".a\r\n..b\r\nc.\r\n.\r\n", "..a\r\n...b\r\nc.\r\n..\r\n.\r\n" },
	{ ".", "..\r\n.\r\n" },
	{ "\r\n\r\n.x", "\r\n\r\n..x\r\n.\r\n" },
};

static void
test_stuffing(void **state)
{
	size_t i, step, at;

	(void)state;
	for (i = 0; i < sizeof(stuffing_cases) / sizeof(stuffing_cases[0]);
	    i++) {
		struct bytes in = bytes_of(stuffing_cases[i].in);

		for (step = 1; step <= in.n + 1; step++) {
			struct stuffing s;
			struct framing	f;
			struct buf	out, back;

			buf_init(&out, 4096);
			buf_init(&back, 4096);
			stuffing_init(&s);
			for (at = 0; at < in.n; at += step)
				stuffing_feed(&s, bytes_head(bytes_from(in,
				    at), step), gather, &out);
			stuffing_end(&s, gather, &out);
			assert_true(bytes_eq_text(buf_bytes(&out),
			    stuffing_cases[i].out));
			/* and the way back */
			framing_init(&f, FRAMING_DATA);
			assert_int_equal(feed(&f, buf_bytes(&out), step,
			    &back), out.n);
			assert_true(f.ended);
			assert_true(bytes_starts(buf_bytes(&back), in));
			assert_true(back.n <= in.n + 2);
			assert_int_equal(flags_of(&f), 0);
			buf_wipe(&out);
			buf_wipe(&back);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_long_line_and_size),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_stuffing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
