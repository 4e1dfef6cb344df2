/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void
err_carries_text_and_cause(void **state)
{
	struct err e;

	(void)state;
	errno = ENOENT;
	assert_int_equal(err_sys(&e, "open %s", "x"), -1);
	assert_string_equal(e.text, "open x: No such file or directory");
	assert_int_equal(e.code, ENOENT);
	assert_int_equal(err_wrap(&e, "load"), -1);
	assert_string_equal(e.text, "load: open x: No such file or directory");
	assert_int_equal(err_set(&e, "%s", "plain"), -1);
	assert_int_equal(e.code, 0);
}

static void
err_cuts_long_text(void **state)
{
	struct err e;
	char	   big[2 * ERR_TEXT_MAX];

	(void)state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	errno = EIO;
	err_sys(&e, "%s", big);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	err_wrap(&e, "%s", big);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(err_carries_text_and_cause),
		cmocka_unit_test(err_cuts_long_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
