/* SPDX-License-Identifier: ISC */
/* When the writer waits for more, and for how long. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/gather.h"

enum { COMMIT_US = 6000, THIRD_US = 2000 };

static int64_t now_us;

static bool
holds(struct gather *g, size_t waiting)
{
	int64_t wait_ms = -1;
	bool	is = gather_holds(g, waiting, now_us, &wait_ms);

	if (is)
		assert_true(wait_ms > 0 && wait_ms <= 11);
	return is;
}

/* A commit that took so long ends now. */
static void
commit(struct gather *g, size_t served, size_t queued, int64_t took_us)
{
	gather_note(g, served, queued, now_us, now_us + took_us);
	now_us += took_us;
}

static void
two_groups_become_one(void **state)
{
	struct gather g = { 0 };

	(void)state;
	assert_false(holds(&g, 10)); /* nothing is known yet */
	commit(&g, 10, 10, COMMIT_US);
	assert_true(holds(&g, 10));
	now_us += THIRD_US / 2;
	assert_true(holds(&g, 19));
	assert_false(holds(&g, 20)); /* all are there */
	commit(&g, 20, 0, COMMIT_US);
	now_us += 500;
	assert_true(holds(&g, 1)); /* and stay together */
	assert_false(holds(&g, 20));
}

static void
nobody_waits_for_nothing(void **state)
{
	struct gather g = { 0 };

	(void)state;
	commit(&g, 1, 0, COMMIT_US); /* a lone message */
	assert_false(holds(&g, 1));
	commit(&g, 10, 10, 300); /* a fast disk */
	assert_false(holds(&g, 10));
	commit(&g, 0, 10, COMMIT_US); /* changes alone */
	assert_false(holds(&g, 10));
	commit(&g, 10, 10, COMMIT_US); /* nobody there */
	assert_false(holds(&g, 0));
	now_us += COMMIT_US + 1; /* those have gone */
	assert_false(holds(&g, 10));
}

static void
a_wait_is_short(void **state)
{
	struct gather g = { 0 };

	(void)state;
	commit(&g, 10, 10, COMMIT_US);
	assert_true(holds(&g, 10));
	now_us += THIRD_US - 1;
	assert_true(holds(&g, 11));
	now_us++;
	assert_false(holds(&g, 11));
	g = (struct gather){ 0 };
	commit(&g, 10, 10, 3000000);
	assert_true(holds(&g, 10));
	now_us += 10000; /* not a second */
	assert_false(holds(&g, 10));
}

/* Commits that wait among n that all find the same. */
static unsigned
tries(struct gather *g, unsigned n)
{
	unsigned found = 0;

	while (n-- > 0) {
		commit(g, 10, 10, COMMIT_US);
		if (holds(g, 10)) {
			found++;
			now_us += THIRD_US;
			assert_false(holds(g, 10));
		}
	}
	return found;
}

static void
who_does_not_come_is_not_waited_for(void **state)
{
	struct gather g = { 0 };

	(void)state;
	assert_int_equal(tries(&g, 1), 1);
	assert_int_equal(tries(&g, 2), 0);
	assert_int_equal(tries(&g, 1), 1);
	assert_int_equal(tries(&g, 4), 0);
	assert_int_equal(tries(&g, 1000), 1 + 1 + 1 + 15);
	while (!holds(&g, 10))
		commit(&g, 10, 10, COMMIT_US);
	now_us += THIRD_US;
	assert_false(holds(&g, 15)); /* three quarters came: it is worth it */
	assert_int_equal(tries(&g, 1), 1);
	assert_int_equal(tries(&g, 2), 0); /* as at the beginning */
	assert_int_equal(tries(&g, 1), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_groups_become_one),
		cmocka_unit_test(nobody_waits_for_nothing),
		cmocka_unit_test(a_wait_is_short),
		cmocka_unit_test(who_does_not_come_is_not_waited_for)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
