/* SPDX-License-Identifier: ISC */
/* The audit log as it is found: lines of any kind, cut anywhere. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/audit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
on_line(void *seen, struct bytes line)
{
	must(line.n == 0 || memchr(line.p, '\n', line.n) == NULL);
	return ++*(unsigned *)seen < 100;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct wall since = { 1767225600000 };
	struct audit	 *a;
	struct err	  e;
	unsigned	  seen = 0;
	int		  fd = memfd_create("audit", MFD_CLOEXEC);

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	a = audit_open(fd, "us-east-1");
	(void)audit_read(a, since, 10, on_line, &seen, &e);
	must(seen <= 10);
	audit_close(a);
	return 0;
}
