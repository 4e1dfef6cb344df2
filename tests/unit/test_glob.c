/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "registry/glob.h"

/* credentials#19, identities-and-policies#24 */
static void
test_addresses(void **state)
{
	static const struct {
		const char *glob, *address;
		bool	    matches;
	} rows[] = {
		{ "*@shop.example.com", "a@shop.example.com", true },
		{ "*@shop.example.com", "a@example.com", false },
		{ "*@EXAMPLE.com", "a@example.com", true },
		{ "A@example.com", "a@example.com", false },
		{ "a@example.com", "a@EXAMPLE.COM", true },
		{ "marketing+.*@example.com", "marketing+.x@example.com",
		    true },
		{ "marketing+.*@example.com", "marketing+x@example.com",
		    false },
		{ "*admin*example.com", "admin@example.com", true },
		{ "*admin*example.com", "\"admin\"@example.com", true },
		{ "*admin*example.com", "admin+1@example.com", true },
		{ "*admin*example.com", "sender@admin.example.com", true },
		{ "?@example.com", "a@example.com", true },
		{ "?@example.com", "ab@example.com", false },
		{ "?@example.com", "@example.com", false },
		{ "*", "", true },
		{ "", "", true },
		{ "", "a", false },
		{ "**a**", "bab", true },
		{ "*.example.com", "a.EXAMPLE.com", true },
		{ "*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		    false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (glob_matches_address(bytes_of(rows[i].glob),
			bytes_of(rows[i].address)) != rows[i].matches)
			fail_msg("row %zu", i);
	}
}

/* Case counts before the place that is named; ? is a letter, not an octet. */
static void
test_text(void **state)
{
	static const struct {
		const char *pattern, *text;
		size_t	    fold;
		bool	    matches;
	} rows[] = {
		{ "Marketing", "Marketing", 99, true },
		{ "Marketing", "marketing", 99, false },
		{ "Marketing", "marketing", 0, true },
		{ "Marketing", "mArketing", 1, false },
		{ "mARKETING", "marketing", 1, true },
		{ "M?ller", "M\xc3\xbcller", 99, true },
		{ "M?ller", "Mueller", 99, false },
		{ "*?ller", "M\xc3\xbcller", 99, true },
		{ "?", "\xe2\x82\xac", 99, true },
		{ "??", "\xe2\x82\xac", 99, false },
		{ "*\xac", "\xe2\x82\xac", 99, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (glob_matches(bytes_of(rows[i].pattern),
			bytes_of(rows[i].text), rows[i].fold) !=
		    rows[i].matches)
			fail_msg("row %zu", i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests_name("glob", tests, NULL, NULL);
}
