/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/table.h"

enum { MANY = 5000 };

static struct bytes
key_of(int i, char out[16])
{
	snprintf(out, 16, "key-%d", i);
	return bytes_of(out);
}

static void
table_puts_gets_takes(void **state)
{
	struct table *t = table_new(0);
	int	      a, b;
	char	      key[] = "k";

	(void)state;
	assert_null(table_get(t, BYTES("k")));
	assert_true(table_put(t, (struct bytes){ key, 1 }, &a));
	key[0] = 'x'; /* the key was copied */
	assert_ptr_equal(table_get(t, BYTES("k")), &a);
	assert_true(table_put(t, BYTES("k"), &b));
	assert_int_equal(table_count(t), 1);
	assert_ptr_equal(table_get(t, BYTES("k")), &b);
	assert_true(table_put(t, (struct bytes){ NULL, 0 }, &a));
	assert_ptr_equal(table_get(t, BYTES("")), &a);
	assert_true(table_put(t, BYTES("a\0b"), &a));
	assert_null(table_get(t, BYTES("a\0c")));
	assert_null(table_get(t, BYTES("a")));
	assert_ptr_equal(table_take(t, BYTES("k")), &b);
	assert_null(table_take(t, BYTES("k")));
	assert_int_equal(table_count(t), 2);
	table_free(t);
	table_free(NULL);
}

static void
table_holds_its_bound(void **state)
{
	struct table *t = table_new(2);
	int	      v;

	(void)state;
	assert_true(table_put(t, BYTES("a"), &v));
	assert_true(table_put(t, BYTES("b"), &v));
	assert_false(table_put(t, BYTES("c"), &v));
	assert_true(table_put(t, BYTES("b"), t));
	assert_ptr_equal(table_get(t, BYTES("b")), t);
	table_take(t, BYTES("a"));
	assert_true(table_put(t, BYTES("c"), &v));
	table_free(t);
}

struct walk {
	struct table *t;
	int	      seen[MANY];
	int	     *base;
};

static void
take_even(void *arg, struct bytes key, void *value)
{
	struct walk *w = arg;
	int	     i = (int)((int *)value - w->base);

	w->seen[i]++;
	if (i % 2 == 0)
		assert_ptr_equal(table_take(w->t, key), value);
}

static void
table_walk_may_take(void **state)
{
	static int	   values[MANY];
	static struct walk w;
	char		   key[16];
	int		   i;

	(void)state;
	w.t = table_new(0);
	w.base = values;
	for (i = 0; i < MANY; i++)
		assert_true(table_put(w.t, key_of(i, key), &values[i]));
	table_each(w.t, take_even, &w);
	assert_int_equal(table_count(w.t), MANY / 2);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(w.seen[i], 1);
		assert_ptr_equal(table_get(w.t, key_of(i, key)),
		    i % 2 == 0 ? NULL : &values[i]);
	}
	table_free(w.t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_puts_gets_takes),
		cmocka_unit_test(table_holds_its_bound),
		cmocka_unit_test(table_walk_may_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
