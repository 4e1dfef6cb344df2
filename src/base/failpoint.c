/* SPDX-License-Identifier: ISC */
#include "base/failpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ORDER_MAX = 80 };

bool		   failpoint_is_armed;
static char	   armed_name[ORDER_MAX];
static atomic_uint armed_left;

/* The text of the order, which is removed; false = there is none. */
static bool
failpoint_take_order(const char *path, char text[ORDER_MAX])
{
	ssize_t n;
	int	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return false;
	n = read(fd, text, ORDER_MAX - 1);
	close(fd);
	if (n <= 0 || unlink(path) < 0)
		return false;
	text[n] = '\0';
	return true;
}

void
failpoint_arm(void)
{
	const char *path = secure_getenv("POSTHORN_FAILPOINT");
	char	    text[ORDER_MAX];
	unsigned    count;

	failpoint_is_armed = false;
	if (path == NULL || !failpoint_take_order(path, text) ||
	    sscanf(text, "%79s %u", armed_name, &count) != 2 || count == 0)
		return;
	atomic_store(&armed_left, count);
	failpoint_is_armed = true;
}

void
failpoint_pass(const char *name)
{
	char line[ORDER_MAX + 32];
	int  n;

	if (strcmp(name, armed_name) != 0 ||
	    atomic_fetch_sub(&armed_left, 1) != 1)
		return;
	n = snprintf(line, sizeof(line), "failpoint %s pid=%d\n", name,
	    (int)getpid());
	(void)!write(STDERR_FILENO, line, (size_t)n);
	raise(SIGKILL);
}
