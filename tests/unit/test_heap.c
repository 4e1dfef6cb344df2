/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/heap.h"

enum { MANY = 1000 };

struct item {
	int		 id;
	struct heap_node node;
};

static void
heap_gives_smallest_first(void **state)
{
	struct item *items = calloc(MANY, sizeof(*items));
	struct heap  h;
	int64_t	     last = INT64_MIN;
	uint32_t     seed = 7;
	int	     i, left = MANY;

	(void)state;
	assert_non_null(items);
	heap_init(&h);
	assert_null(heap_first(&h));
	for (i = 0; i < MANY; i++) {
		seed = seed * 1664525 + 1013904223;
		items[i].id = i;
		assert_true(heap_push(&h, &items[i].node, seed >> 16));
	}
	for (i = 0; i < MANY; i += 3) {
		seed = seed * 1664525 + 1013904223;
		heap_move(&h, &items[i].node, seed >> 16);
	}
	for (i = 1; i < MANY; i += 3) {
		heap_remove(&h, &items[i].node);
		heap_remove(&h, &items[i].node);
		assert_int_equal(items[i].node.index, 0);
		left--;
	}
	while (heap_first(&h) != NULL) {
		struct item *x = heap_entry(heap_first(&h), struct item, node);

		assert_ptr_equal(x, &items[x->id]);
		assert_true(x->node.key >= last);
		assert_int_not_equal(x->id % 3, 1);
		last = x->node.key;
		heap_remove(&h, &x->node);
		left--;
	}
	assert_int_equal(left, 0);
	heap_wipe(&h);
	free(items);
}

static void
heap_moves_both_ways(void **state)
{
	struct item x[3] = { 0 };
	struct heap h;

	(void)state;
	heap_init(&h);
	heap_push(&h, &x[0].node, INT64_MAX);
	heap_push(&h, &x[1].node, INT64_MIN);
	heap_push(&h, &x[2].node, 0);
	assert_ptr_equal(heap_first(&h), &x[1].node);
	heap_move(&h, &x[1].node, 1);
	assert_ptr_equal(heap_first(&h), &x[2].node);
	heap_move(&h, &x[0].node, -1);
	assert_ptr_equal(heap_first(&h), &x[0].node);
	heap_wipe(&h);
	assert_null(heap_first(&h));
	x[0].node.index = 0;
	assert_true(heap_push(&h, &x[0].node, 5));
	heap_wipe(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heap_gives_smallest_first),
		cmocka_unit_test(heap_moves_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
