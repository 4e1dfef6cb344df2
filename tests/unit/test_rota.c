/* SPDX-License-Identifier: ISC */
/* Whose turn it is, of accounts and of what is fresh: delivery.md 8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/rota.h"

enum { ENTRIES = 16 };

static struct rota	 r;
static struct rota_entry v[ENTRIES];
static char		 order[64];

static int
setup(void **state)
{
	size_t i;

	(void)state;
	memset(v, 0, sizeof(v));
	for (i = 0; i < ENTRIES; i++)
		v[i].of = &v[i];
	rota_init(&r);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	while (rota_take(&r) != NULL)
		continue;
	rota_wipe(&r);
	return 0;
}

/* Letters, as they come: "a" is the first entry. */
static const char *
take(unsigned n)
{
	const struct rota_entry *next, *e;
	size_t			 i = 0;

	for (; n > 0; n--) {
		next = rota_next(&r);
		e = rota_take(&r);
		assert_ptr_equal(next, e);
		if (e == NULL)
			break;
		assert_false(rota_has(e));
		order[i++] = (char)('a' + ((struct rota_entry *)e->of - v));
	}
	order[i] = '\0';
	return order;
}

static void
accounts_take_turns(void **state)
{
	unsigned i;

	(void)state;
	assert_null(rota_take(&r));
	for (i = 0; i < 4; i++)
		rota_add(&r, &v[i], "one", ROTA_OLD);
	rota_add(&r, &v[4], "two", ROTA_OLD);
	rota_add(&r, &v[5], "two", ROTA_OLD);
	rota_add(&r, &v[6], "three", ROTA_OLD);
	rota_add(&r, &v[6], "one", ROTA_FRESH); /* it waits already */
	assert_int_equal(r.waiting, 7);
	assert_string_equal(take(20), "aegbfcd");
}

static void
fresh_ones_first_but_not_alone(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++)
		rota_add(&r, &v[i], "one", ROTA_OLD);
	for (i = 3; i < 7; i++)
		rota_add(&r, &v[i], "one", ROTA_FRESH);
	assert_string_equal(take(20), "daebfcg");
	/* whatever comes, those that wait have half of the turns */
	rota_add(&r, &v[0], "one", ROTA_OLD);
	rota_add(&r, &v[1], "one", ROTA_OLD);
	rota_add(&r, &v[2], "one", ROTA_FRESH);
	assert_string_equal(take(1), "c");
	rota_add(&r, &v[2], "one", ROTA_FRESH);
	assert_string_equal(take(1), "a");
	rota_add(&r, &v[0], "one", ROTA_OLD);
	assert_string_equal(take(3), "cba");
}

/* Half for what is fresh, a quarter for what is new, a quarter for the rest. */
static void
each_rank_has_its_part(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 12; i++)
		rota_add(&r, &v[i], "one", i < 4 ? ROTA_OLD
			: i < 8			 ? ROTA_NEW
						 : ROTA_FRESH);
	assert_string_equal(take(8), "iejakflb");
	assert_string_equal(take(4), "gchd");
}

static void
who_leaves_has_no_turn(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 6; i++)
		rota_add(&r, &v[i], i < 3 ? "one" : "two", i % 2 != 0
		    ? ROTA_FRESH : ROTA_OLD);
	rota_leave(&r, &v[0]);
	rota_leave(&r, &v[5]);
	rota_leave(&r, &v[5]);
	rota_leave(&r, &v[4]);
	assert_int_equal(r.waiting, 3);
	assert_string_equal(take(20), "bdc");
	assert_int_equal(r.waiting, 0);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(accounts_take_turns),
		TEST(fresh_ones_first_but_not_alone),
		TEST(each_rank_has_its_part),
		TEST(who_leaves_has_no_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
