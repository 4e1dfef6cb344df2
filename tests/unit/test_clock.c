/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"

static void
clock_writes_dates(void **state)
{
	static const struct {
		int64_t	    ms;
		const char *iso, *seconds, *rfc5322, *compact, *day;
	} cases[] = {
		{ 1772446530123, "2026-03-02T10:15:30.123Z",
		    "2026-03-02T10:15:30Z", "Mon, 02 Mar 2026 10:15:30 +0000",
		    "20260302-101530", "2026.03.02" },
		{ 1714564800000, "2024-05-01T12:00:00.000Z",
		    "2024-05-01T12:00:00Z", "Wed, 01 May 2024 12:00:00 +0000",
		    "20240501-120000", "2024.05.01" },
		{ 1709251199999, "2024-02-29T23:59:59.999Z",
		    "2024-02-29T23:59:59Z", "Thu, 29 Feb 2024 23:59:59 +0000",
		    "20240229-235959", "2024.02.29" },
		{ -1, "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59Z",
		    "Wed, 31 Dec 1969 23:59:59 +0000", "19691231-235959",
		    "1969.12.31" },
		{ INT64_MAX, "9999-12-31T23:59:59.999Z",
		    "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 +0000",
		    "99991231-235959", "9999.12.31" },
		{ INT64_MIN, "0001-01-01T00:00:00.000Z",
		    "0001-01-01T00:00:00Z", "Mon, 01 Jan 0001 00:00:00 +0000",
		    "00010101-000000", "0001.01.01" },
	};
	char	    out[CLOCK_TEXT_MAX];
	struct wall w;
	size_t	    i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		w.ms = cases[i].ms;
		assert_string_equal(wall_iso(w, out), cases[i].iso);
		assert_string_equal(wall_iso_seconds(w, out),
		    cases[i].seconds);
		assert_string_equal(wall_rfc5322(w, out), cases[i].rfc5322);
		assert_string_equal(wall_compact(w, out), cases[i].compact);
		assert_string_equal(wall_dotted_day(w, out), cases[i].day);
	}
}

static void
iso_is_read(void **state)
{
	static const struct {
		const char *text;
		int64_t	    ms; /* -1 = none */
	} cases[] = {
		{ "2024-05-01T12:00:00Z", 1714564800000 },
		{ "2021-08-31T12:00Z", 1630411200000 },
		{ "2024-05-01", 1714521600000 },
		{ "2024-05-01T12:00:00", 1714564800000 },
		{ "2024-05-01T12:00:00.1Z", 1714564800100 },
		{ "2024-05-01T12:00:00.123987Z", 1714564800123 },
		{ "2024-05-01T14:30:00+02:30", 1714564800000 },
		{ "2024-05-01T09:30-02:30", 1714564800000 },
		{ "2024-02-29", 1709164800000 },
		{ "2024-05-01T12:00:00.Z", -1 },
		{ "2024-05-01T12:00:00+0230", -1 },
		{ "2024-05-01T12:00:00+24:00", -1 },
		{ "2024-05-01T12:00:00ZZ", -1 },
		{ "2024-05-01T", -1 }, { "2024-05-01T12", -1 },
		{ "2024-05-01T24:00Z", -1 }, { "2024-05-01T12:60Z", -1 },
		{ "2024-05-01T12:00:61Z", -1 }, { "2024-5-1", -1 },
		{ "2023-02-29", -1 }, { "2024-04-31", -1 },
		{ "2024-13-01", -1 }, { "0000-01-01", -1 },
		{ "2024-05-01Z", -1 }, { " 2024-05-01", -1 }, { "", -1 },
	};
	struct wall w;
	size_t	    i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		w.ms = -1;
		if (wall_from_iso(cases[i].text, &w) != (cases[i].ms >= 0) ||
		    (cases[i].ms >= 0 && w.ms != cases[i].ms))
			fail_msg("%s: %lld", cases[i].text, (long long)w.ms);
	}
}

static void
clock_runs_forward(void **state)
{
	struct mono a = clock_mono(), b;
	int64_t	    us = clock_mono_us();
	time_t	    now = time(NULL);

	(void)state;
	b = clock_mono();
	assert_true(b.ms >= a.ms);
	assert_true(us / 1000 >= a.ms && us / 1000 <= b.ms);
	assert_true(clock_wall().ms / 1000 - now >= 0);
	assert_true(clock_wall().ms / 1000 - now < 60);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clock_writes_dates),
		cmocka_unit_test(iso_is_read),
		cmocka_unit_test(clock_runs_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
