/* SPDX-License-Identifier: ISC */
/* events.md 10.2: the names of rotated files, read and written. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "registry/rotated_name.h"

static const struct wall morning = { 1772446531000 }; /* 2026-03-02T10:15:31Z */

static void
names_are_read_and_written_the_same(void **state)
{
	static const struct {
		const char *name, *of;
		int64_t	    later_ms; /* than morning */
		unsigned    number;
		bool	    is_compressed;
	} rows[] = {
		{ "a.20260302T101531Z", "a", 0, 0, false },
		{ "a.jsonl.20260302T101532Z", "a.jsonl", 1000, 0, false },
		{ "a.20260302T101531Z-1", "a", 0, 1, false },
		{ "a.20260302T101531Z-999999999", "a", 0, 999999999, false },
		{ "a.20260302T101531Z.gz", "a", 0, 0, true },
		{ "a.20260302T101531Z-20.gz", "a", 0, 20, true },
		/* of the last */
		{ "a.20260302T101531Z.20260302T101531Z",
		    "a.20260302T101531Z", 0, 0, false },
		{ "a.20260302T101531Z-1.20260302T101531Z-2",
		    "a.20260302T101531Z-1", 0, 2, false },
	};
	struct rotated_name r;
	char		    again[ROTATED_NAME_SIZE];
	size_t		    i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!rotated_name_read(bytes_of(rows[i].name), &r))
			fail_msg("%s", rows[i].name);
		assert_true(bytes_eq(r.of, bytes_of(rows[i].of)));
		assert_int_equal(r.at.ms, morning.ms + rows[i].later_ms);
		assert_int_equal(r.number, rows[i].number);
		assert_int_equal(r.is_compressed, rows[i].is_compressed);
		rotated_name_write(&r, again);
		assert_string_equal(again, rows[i].name);
	}
}

static void
other_names_are_left_alone(void **state)
{
	static const char *const rows[] = { "", "a", ".gz", "20260302T101531Z",
		".20260302T101531Z", "a.20260302T101531", "a.20260302T101531z",
		"a-20260302T101531Z", "a.20260302T101531Z.", "a.jsonl.mine",
		"a.20260302T101531Z-0", "a.20260302T101531Z-01",
		"a.20260302T101531Z-", "a.20260302T101531Z1",
		"a.20260302T101531Z--1", "a.20260302T101531Z-1000000000",
		"a.20260302T101531Z-18446744073709551615",
		"a.20260302T101531Z.gz.gz", "a.20260302T101531Z.gz-1",
		"a.20260302T101531Z-1.g", "a.20261302T101531Z",
		"a.20260230T101531Z", "a.20260302T241531Z",
		"a.20260302T235960Z", "a.00000101T000000Z",
		"a.2026-3-2T101531Z", "-1", "-1.gz", "1" };
	struct rotated_name r;
	char		    name[DESTINATION_FILE_SIZE + 20];
	size_t		    i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rotated_name_read(bytes_of(rows[i]), &r))
			fail_msg("%s", rows[i]);
	/* longer than a destination's may be */
	memset(name, 'a', sizeof(name));
	strcpy(name + DESTINATION_FILE_SIZE, ".20260302T101531Z");
	assert_false(rotated_name_read(bytes_of(name), &r));
	assert_true(rotated_name_read(bytes_of(name + 1), &r));
}

/* The longest name there can be. */
static void
all_names_have_room(void **state)
{
	char name[DESTINATION_FILE_SIZE], out[ROTATED_NAME_SIZE];
	struct rotated_name r = { .at = morning, .is_compressed = true,
		.number = ROTATED_NUMBER_MAX }, again;

	(void)state;
	memset(name, 'a', sizeof(name));
	r.of = (struct bytes){ name, sizeof(name) - 1 };
	rotated_name_write(&r, out);
	assert_int_equal(strlen(out), ROTATED_NAME_SIZE - 1);
	assert_true(rotated_name_read(bytes_of(out), &again));
	assert_int_equal(again.of.n, r.of.n);
}

static void
order_is_that_of_time_and_number(void **state)
{
	struct rotated_name a = { .at = morning, .number = 9 };
	struct rotated_name b = { .at = morning, .number = 10 };
	struct rotated_name c = { .at = { morning.ms + 1000 } };

	(void)state;
	assert_true(rotated_name_cmp(&a, &b) < 0);
	assert_true(rotated_name_cmp(&b, &c) < 0);
	assert_true(rotated_name_cmp(&c, &a) > 0);
	assert_int_equal(rotated_name_cmp(&b, &b), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read_and_written_the_same),
		cmocka_unit_test(other_names_are_left_alone),
		cmocka_unit_test(all_names_have_room),
		cmocka_unit_test(order_is_that_of_time_and_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
