/* SPDX-License-Identifier: ISC */
/* Characters of UTF-8, well formed and not (RFC 3629 section 4). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/utf8.h"

static void
first_and_last_of_each_length(void **state)
{
	static const struct {
		uint32_t    point;
		const char *octets;
	} rows[] = {
		{ 0x1, "\x01" }, { 0x7f, "\x7f" },
		{ 0x80, "\xc2\x80" }, { 0x7ff, "\xdf\xbf" },
		{ 0x800, "\xe0\xa0\x80" }, { 0xd7ff, "\xed\x9f\xbf" },
		{ 0xe000, "\xee\x80\x80" }, { 0xffff, "\xef\xbf\xbf" },
		{ 0x10000, "\xf0\x90\x80\x80" },
		{ 0x10ffff, "\xf4\x8f\xbf\xbf" },
	};
	struct buf b;
	size_t	   i;

	(void)state;
	buf_init(&b, 64);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_clear(&b);
		assert_true(utf8_add(&b, rows[i].point));
		assert_true(bytes_eq_text(buf_bytes(&b), rows[i].octets));
		assert_int_equal(utf8_length(buf_bytes(&b), 0),
		    strlen(rows[i].octets));
		assert_int_equal(utf8_count(buf_bytes(&b)), 1);
	}
	buf_wipe(&b);
}

static void
what_is_not_well_formed(void **state)
{
	static const char *const rows[] = {
		"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", /* overlong */
		"\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",
		"\xed\xa0\x80", "\xed\xbf\xbf", /* surrogates */
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
		"\xc3", "\xe2\x82", "\xf0\x9f\x98", /* cut */
		"\xc3(", "\xe2(\xac", "\xe2\x82(", "\xf0\x9f\x98(",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(utf8_length(bytes_of(rows[i]), 0), 0);
		assert_int_equal(utf8_count(bytes_of(rows[i])), -1);
	}
}

/* The octets behind the end are not looked at. */
static void
a_character_ends_with_the_text(void **state)
{
	const struct bytes cut = { "a\xc3\xbc", 2 };

	(void)state;
	assert_int_equal(utf8_length(cut, 1), 0);
	assert_int_equal(utf8_count(cut), -1);
	assert_int_equal(utf8_count(BYTES("")), 0);
	assert_int_equal(utf8_count(BYTES("a\xc3\xbc\xe2\x82\xac"
	    "\xf0\x9f\x98\x80z")), 5);
	assert_true(utf8_is_inner('\x80'));
	assert_false(utf8_is_inner('\xc3'));
	assert_false(utf8_is_inner('a'));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_and_last_of_each_length),
		cmocka_unit_test(what_is_not_well_formed),
		cmocka_unit_test(a_character_ends_with_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
