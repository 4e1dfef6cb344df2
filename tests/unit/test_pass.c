/* SPDX-License-Identifier: ISC */
/* What waits for the end of a pass, and in which order it comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/pass.h"

static struct pass pass;
static char	   seen[64];

static void
note(const char *what)
{
	assert_true(strlen(seen) + strlen(what) < sizeof(seen));
	strcat(seen, what);
}

static void
on_call(void *ctx, void *load)
{
	note(ctx);
	if (load != NULL)
		note(load);
}

static void
on_again(void *ctx, void *load)
{
	(void)load;
	note("a");
	pass_defer(&pass, on_call, ctx);
}

static void
bury(void *p)
{
	note(p);
	free(p);
}

static void
bury_two(void *p)
{
	bury(p);
	pass_reap(&pass, bury, strdup("2"));
}

static void
test_order(void **state)
{
	(void)state;
	seen[0] = '\0';
	pass_reap(&pass, bury, strdup("r"));
	pass_hook(&pass, on_call, (void *)(uintptr_t) "h");
	pass_defer(&pass, on_call, (void *)(uintptr_t) "d");
	pass_defer(&pass, on_call, (void *)(uintptr_t) "e");
	pass_end(&pass);
	assert_string_equal(seen, "dehr");
	/* hooks stay, the rest has gone */
	pass_end(&pass);
	assert_string_equal(seen, "dehrh");
	pass_wipe(&pass);
	pass_end(&pass);
	assert_string_equal(seen, "dehrh");
}

/* What is deferred meanwhile waits; what is buried meanwhile does not. */
static void
test_meanwhile(void **state)
{
	(void)state;
	seen[0] = '\0';
	pass_defer(&pass, on_again, (void *)(uintptr_t) "b");
	pass_reap(&pass, bury_two, strdup("1"));
	pass_end(&pass);
	assert_string_equal(seen, "a12");
	pass_end(&pass);
	assert_string_equal(seen, "a12b");
	pass_end(&pass);
	assert_string_equal(seen, "a12b");
	pass_wipe(&pass);
}

static void
test_many(void **state)
{
	struct calls c = { NULL, 0, 0 }, spare = { NULL, 0, 0 };
	struct call  call = { on_call, NULL, NULL };
	char	     letters[] = "x";
	size_t	     i;

	(void)state;
	call.ctx = letters;
	call.load = letters;
	for (i = 0; i < 20; i++)
		calls_add(&c, call);
	seen[0] = '\0';
	calls_run(&c, &spare);
	assert_int_equal(strlen(seen), 40);
	assert_int_equal(c.n, 0);
	/* corpses of a loop that ends */
	seen[0] = '\0';
	for (i = 0; i < 40; i++)
		pass_reap(&pass, bury, strdup("y"));
	pass_wipe(&pass);
	assert_int_equal(strlen(seen), 40);
	free(c.v);
	free(spare.v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_meanwhile),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
