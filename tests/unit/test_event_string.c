/* SPDX-License-Identifier: ISC */
/* event_string: JSON strings as events.md section 2 has them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mail/event.h"

static const char *
text_of(struct buf *b)
{
	assert_true(buf_add_char(b, '\0'));
	return b->p;
}

static void
test_strings(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "\"\"" },
		{ "a\"b\\c/", "\"a\\\"b\\\\c/\"" },
		{ "\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"" },
		{ "\x01\x1f", "\"\\u0001\\u001f\"" },
		{ "\x7f\xc2\x9b", "\"\\u007f\\u009b\"" },
		{ "\xe2\x80\xa8\xe2\x80\xa9", "\"\\u2028\\u2029\"" },
		{ "\xe2\x80\xa7", "\"\xe2\x80\xa7\"" },
		{ "Gr\xc3\xbc\xc3\x9f", "\"Gr\xc3\xbc\xc3\x9f\"" },
		{ "\xf0\x9f\x93\xaf", "\"\xf0\x9f\x93\xaf\"" },
		/* not UTF-8: alone, cut short, overlong, surrogate, high */
		{ "a\xffz", "\"a\xef\xbf\xbdz\"" },
		{ "\xc3", "\"\xef\xbf\xbd\"" },
		{ "\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xe0\x80z", "\"\xef\xbf\xbd\xef\xbf\xbdz\"" },
		{ "\xed\xa0\x80",
		    "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xf5", "\"\xef\xbf\xbd\"" },
	};
	struct buf out;
	size_t	   i;

	(void)state;
	buf_init(&out, 1000);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_clear(&out);
		assert_true(event_write_string(bytes_of(cases[i].in), &out));
		assert_string_equal(text_of(&out), cases[i].out);
	}
	buf_clear(&out);
	assert_true(event_write_string(BYTES("a\0b"), &out));
	assert_string_equal(text_of(&out), "\"a\\u0000b\"");
	buf_clear(&out);
	assert_true(
	    event_write_string((struct bytes){ NULL, 0 }, &out));
	assert_string_equal(text_of(&out), "\"\"");
	buf_wipe(&out);
}

static void
test_strings_cut(void **state)
{
	static const struct {
		const char *in;
		size_t	    max;
		const char *tail, *out;
	} cases[] = {
		{ "12345", 5, "...", "\"12345\"" },
		{ "123456", 5, "...", "\"12...\"" },
		{ "123456", 5, "", "\"12345\"" },
		/* never inside of a character */
		{ "1\xc3\xbc\xc3\xbc"
		  "6",
		    5, "...", "\"1...\"" },
		{ "\xff\xff", 5, "", "\"\xef\xbf\xbd\"" },
	};
	struct buf out;
	size_t	   i;

	(void)state;
	buf_init(&out, 1000);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_clear(&out);
		assert_true(event_write_string_cut(bytes_of(cases[i].in),
		    cases[i].max, cases[i].tail, &out));
		assert_string_equal(text_of(&out), cases[i].out);
	}
	buf_wipe(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_strings_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
