/* SPDX-License-Identifier: ISC */
/* Which dial gives its place to others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/patience.h"

enum { DIALS = 4 };

static struct patience	     p;
static struct patience_entry v[DIALS];
static const char	     silent[1], other[1], third[1]; /* sites */

static int
setup(void **state)
{
	(void)state;
	memset(&p, 0, sizeof(p));
	memset(v, 0, sizeof(v));
	return 0;
}

static void
begin(unsigned i, const char *site, int64_t ms)
{
	patience_begin(&p, &v[i], site, (struct mono){ ms });
}

static void
test_who_waits_longest_is_first(void **state)
{
	(void)state;
	assert_null(patience_longest(&p, other));
	begin(0, silent, 1000);
	begin(1, third, 2000);
	begin(2, silent, 3000);
	assert_ptr_equal(patience_longest(&p, other), &v[0]);
	patience_end(&p, &v[0]);
	assert_ptr_equal(patience_longest(&p, other), &v[1]);
	patience_end(&p, &v[2]); /* from the end */
	begin(3, silent, 4000);
	assert_ptr_equal(patience_longest(&p, other), &v[1]);
	patience_end(&p, &v[1]);
	assert_ptr_equal(patience_longest(&p, other), &v[3]);
	patience_end(&p, &v[3]);
	assert_null(patience_longest(&p, other));
}

/* A site does not get on by giving up one of its dials for another. */
static void
test_only_for_other_sites(void **state)
{
	(void)state;
	begin(0, silent, 0);
	begin(1, silent, 10);
	assert_null(patience_longest(&p, silent));
	assert_ptr_equal(patience_longest(&p, other), &v[0]);
	begin(2, other, 20);
	assert_ptr_equal(patience_longest(&p, silent), &v[2]);
	assert_ptr_equal(patience_longest(&p, other), &v[0]);
}

static void
test_who_was_answered_waits_anew(void **state)
{
	(void)state;
	begin(0, silent, 0);
	begin(1, third, 10);
	begin(0, silent, 29999);
	assert_ptr_equal(patience_longest(&p, other), &v[1]);
	patience_end(&p, &v[1]);
	assert_ptr_equal(patience_longest(&p, other), &v[0]);
	assert_int_equal(patience_left_ms(&v[0], (struct mono){ 30000 }),
	    29999);
}

static void
test_not_before_half_a_minute(void **state)
{
	static const struct {
		int64_t now, left;
	} rows[] = { { 500, 30000 }, { 501, 29999 }, { 30499, 1 },
		{ 30500, 0 }, { 99000, 0 } };
	size_t i;

	(void)state;
	begin(0, silent, 500);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(patience_left_ms(&v[0],
		    (struct mono){ rows[i].now }), rows[i].left);
}

static void
test_who_is_over_may_end_again(void **state)
{
	(void)state;
	patience_end(&p, &v[0]);
	begin(1, silent, 0);
	patience_end(&p, &v[0]);
	patience_end(&p, &v[1]);
	patience_end(&p, &v[1]);
	assert_null(p.first);
	assert_null(p.last);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_who_waits_longest_is_first, setup),
		cmocka_unit_test_setup(test_only_for_other_sites, setup),
		cmocka_unit_test_setup(test_who_was_answered_waits_anew,
		    setup),
		cmocka_unit_test_setup(test_not_before_half_a_minute, setup),
		cmocka_unit_test_setup(test_who_is_over_may_end_again, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
