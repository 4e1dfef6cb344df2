/* SPDX-License-Identifier: ISC */
/* A child process passes a point; what it was ordered decides its end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/failpoint.h"

enum { PASSES = 3, ENDED_WELL = 100 };

/* The status of a child that passes "a" and "b" by turns: the number of turns
 * is in its exit status, if it comes to that. */
static int
child_status(const char *order_path)
{
	int   status, i;
	pid_t pid = fork();

	if (pid == 0) {
		(void)!freopen("/dev/null", "w", stderr);
		if (order_path != NULL)
			setenv("POSTHORN_FAILPOINT", order_path, 1);
		failpoint_arm();
		for (i = 0; i < PASSES; i++) {
			failpoint("a");
			failpoint("b");
		}
		_exit(ENDED_WELL);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
assert_order(const char *order, bool dies)
{
	char path[] = "/tmp/failpointXXXXXX";
	int  status, fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, order, strlen(order)),
	    (ssize_t)strlen(order));
	close(fd);
	status = child_status(path);
	assert_int_equal(unlink(path), -1); /* it was taken */
	if (dies) {
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGKILL);
	} else {
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), ENDED_WELL);
	}
}

static void
it_dies_at_the_passing_that_was_ordered(void **state)
{
	(void)state;
	assert_order("a 1\n", true);
	assert_order("b 3\n", true);
	assert_order("b 4\n", false);
}

static void
what_is_no_order_arms_nothing(void **state)
{
	(void)state;
	assert_order("c 1\n", false);
	assert_order("a 0\n", false);
	assert_order("a\n", false);
	assert_order("ab 1\n", false);
}

static void
without_an_order_nothing_is_armed(void **state)
{
	int status = child_status(NULL);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), ENDED_WELL);
	status = child_status("/nonexistent/order");
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), ENDED_WELL);
}

/* An order kills once: the one who cannot remove it must not take it. */
static void
an_order_behind_a_link_is_not_taken(void **state)
{
	char path[] = "/tmp/failpointXXXXXX", link[64];
	int  status, fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "a 1\n", 4), 4);
	close(fd);
	snprintf(link, sizeof(link), "%s.link", path);
	assert_int_equal(symlink(path, link), 0);
	status = child_status(link);
	assert_true(WIFEXITED(status));
	assert_int_equal(unlink(link), 0);
	assert_int_equal(unlink(path), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_dies_at_the_passing_that_was_ordered),
		cmocka_unit_test(what_is_no_order_arms_nothing),
		cmocka_unit_test(without_an_order_nothing_is_armed),
		cmocka_unit_test(an_order_behind_a_link_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
