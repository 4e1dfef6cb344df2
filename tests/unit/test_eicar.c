/* SPDX-License-Identifier: ISC */
/* simulator.md 6: what is the test virus of EICAR, and what only looks so. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "mail/eicar.h"
#include "mail/mime.h"

/* In pieces here as well. */
static const char	  first[] = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$";
static const char	  middle[] = "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!";
static const char	  last[] = "$H+H*";
static const char	  encoded[] =
    "WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJE"
    "LUFOVElWSVJVUy1U\r\nRVNULUZJTEUhJEgrSCo=\r\n";

static const char *
with(const char *before, const char *behind)
{
	static char room[512];

	snprintf(room, sizeof(room), "%s%s%s%s%s", before, first, middle,
	    last, behind);
	return room;
}

/* However it is cut, it is found, or not. */
static bool
is_found(enum eicar_encoding encoding, const char *text)
{
	struct bytes b = bytes_of(text);
	struct eicar whole, pieces;
	size_t	     i;

	eicar_init(&whole, encoding);
	eicar_feed(&whole, b);
	eicar_init(&pieces, encoding);
	for (i = 0; i < b.n; i++)
		eicar_feed(&pieces, bytes_head(bytes_from(b, i), 1));
	assert_int_equal(eicar_is_found(&whole), eicar_is_found(&pieces));
	return eicar_is_found(&whole);
}

static void
plain(void **state)
{
	static const char white[] = "                                        "
	    "                                                            "
	    "                                                            ";
	static const char sixty[] = "1234567890123456789012345678901234567890"
	    "12345678901234567890";

	(void)state;
	assert_true(is_found(EICAR_PLAIN, with("", "")));
	assert_true(is_found(EICAR_PLAIN, with("", "\r\n\t \x1a\r\n")));
	assert_true(is_found(EICAR_PLAIN, with("", white)));
	assert_true(is_found(EICAR_PLAIN, with("", sixty))); /* 128 */
	assert_false(is_found(EICAR_PLAIN, with("", "x1234567890123456789012"
	    "345678901234567890123456789012345678901"))); /* 129 */
	assert_true(is_found(EICAR_PLAIN, with("", " x")));
	assert_false(is_found(EICAR_PLAIN, with(" ", "")));
	assert_false(is_found(EICAR_PLAIN, with("the string ", "")));
	assert_false(is_found(EICAR_PLAIN, first));
	assert_false(is_found(EICAR_PLAIN, ""));
	assert_false(is_found(EICAR_PLAIN, "x5o!"));
}

static void
encodings(void **state)
{
	(void)state;
	assert_true(is_found(EICAR_BASE64, encoded));
	assert_false(is_found(EICAR_PLAIN, encoded));
	assert_false(is_found(EICAR_BASE64, with("", "")));
	assert_true(is_found(EICAR_QUOTED, with("", "=20=0D\r\n")));
	assert_true(is_found(EICAR_QUOTED, with("=\r\n", "= \r\n")));
	assert_true(is_found(EICAR_QUOTED, "=58=35=4f!P%@AP[4\\PZX54(P^)7CC)"
	    "7}$EICAR-STANDARD-=\r\nANTIVIRUS-TEST-FILE!$H+H*"));
	assert_false(is_found(EICAR_QUOTED, with("=zz", "")));
	assert_int_equal(eicar_encoding(BYTES(" BASE64\r\n")), EICAR_BASE64);
	assert_int_equal(eicar_encoding(BYTES("Quoted-Printable")),
	    EICAR_QUOTED);
	assert_int_equal(eicar_encoding(BYTES("8bit")), EICAR_PLAIN);
	assert_int_equal(eicar_encoding(BYTES("")), EICAR_PLAIN);
}

static bool
body_has(const char *type, const char *encoding, const char *body,
    bool seeks)
{
	const struct mime_rules rules = { MIME_PARTS_DEFAULT, NULL, seeks };
	struct bytes		b = bytes_of(body);
	struct mime_result	out;
	struct mime	       *m;
	bool			found = false;
	size_t			step, i;

	for (step = 1; step <= b.n; step += step < 3 ? 1 : b.n - 3) {
		m = mime_new(&rules);
		mime_outer_encoding(m, bytes_of(encoding));
		mime_outer(m, bytes_of(type), BYTES(""));
		for (i = 0; i < b.n; i += step)
			mime_feed(m, bytes_head(bytes_from(b, i), step));
		mime_end(m, &out);
		mime_free(m);
		assert_true(step == 1 || out.has_test == found);
		found = out.has_test;
		if (step == b.n)
			break;
	}
	return found;
}

#define MIXED "multipart/mixed; boundary=b"
#define LONG "long-long-long-long-long-long-long-long-long-long-long-long-long-"

/* In a leaf, of the message or of a part, at any depth; nowhere else. */
static void
parts(void **state)
{
	char room[1024];

	(void)state;
	assert_true(body_has("text/plain", "", with("", "\r\n"), true));
	assert_false(body_has("text/plain", "", with("", "\r\n"), false));
	assert_true(body_has("", "base64", encoded, true));
	/* comments, and quotes that readers forgive */
	assert_true(body_has("", "(a (b) \\)) Base64 (c)", encoded, true));
	assert_true(body_has("", " \"base64\"", encoded, true));
	assert_true(body_has("", "base64; x=y", encoded, true));
	assert_false(body_has("", "(base64)", encoded, true));
	snprintf(room, sizeof(room), "--b\r\nContent-Transfer-Encoding:"
	    "\r\n (why) \"BASE64\"\r\n\r\n%s--b--\r\n", encoded);
	assert_true(body_has(MIXED, "", room, true));
	snprintf(room, sizeof(room), "--b\r\n\r\nhello\r\n--b\r\n"
	    "Content-Type: text/plain; name=sample.txt\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\n%s--b--\r\n", encoded);
	assert_true(body_has(MIXED, "", room, true));
	/* without the encoding it is a text */
	snprintf(room, sizeof(room), "--b\r\n\r\nhello\r\n--b\r\n\r\n%s"
	    "--b--\r\n", encoded);
	assert_false(body_has(MIXED, "", room, true));
	/* the encoding of one part is not that of the next */
	snprintf(room, sizeof(room), "--b\r\nContent-Transfer-Encoding: "
	    "base64\r\n\r\nQQ==\r\n--b\r\n\r\n%s\r\n--b--\r\n",
	    with("", ""));
	assert_true(body_has(MIXED, "", room, true));
	/* what stands before and behind the parts is none */
	snprintf(room, sizeof(room), "%s\r\n--b\r\n\r\nx\r\n--b--\r\n",
	    with("", ""));
	assert_false(body_has(MIXED, "", room, true));
	snprintf(room, sizeof(room), "--b\r\n\r\nx\r\n--b--\r\n%s\r\n",
	    with("", ""));
	assert_false(body_has(MIXED, "", room, true));
	/* a delimiter without line end, and a line that only looks so */
	snprintf(room, sizeof(room), "--b\r\n\r\n%s\r\n--b--", with("", ""));
	assert_true(body_has(MIXED, "", room, true));
	snprintf(room, sizeof(room), "--b\r\n\r\n%s\r\n--c\r\n--b--",
	    with("", ""));
	assert_true(body_has(MIXED, "", room, true));
	snprintf(room, sizeof(room), "--b\r\n\r\n%s\r\n--c%0100d\r\n--b--",
	    with("", ""), 0);
	assert_false(body_has(MIXED, "", room, true));
	/* a delimiter is none of the part, however long it is */
	snprintf(room, sizeof(room), "--" LONG "\r\n\r\n%s\r\n--" LONG
	    "--\r\n", with("", ""));
	assert_true(body_has("multipart/mixed; boundary=\"" LONG "\"", "",
	    room, true));
	/* a part that was not closed */
	snprintf(room, sizeof(room), "--b\r\n\r\n%s", with("", ""));
	assert_true(body_has(MIXED, "", room, true));
	snprintf(room, sizeof(room), "--b\r\nContent-Type: multipart/mixed; "
	    "boundary=i\r\n\r\n--i\r\n\r\n%s\r\n--i--\r\n--b--\r\n",
	    with("", ""));
	assert_true(body_has(MIXED, "", room, true));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(encodings),
		cmocka_unit_test(parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
