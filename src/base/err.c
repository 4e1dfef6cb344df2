/* SPDX-License-Identifier: ISC */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
err_set(struct err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	e->code = 0;
	return -1;
}

int
err_sys(struct err *e, const char *fmt, ...)
{
	int	saved = errno;
	va_list ap;
	size_t	n;

	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, ": %s", strerror(saved));
	e->code = saved;
	return -1;
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
	char	old[ERR_TEXT_MAX];
	va_list ap;
	size_t	n;

	memcpy(old, e->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, ": %s", old);
	return -1;
}

void
must_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "posthorn: %s:%d: must hold: %s\n", file, line, what);
	abort();
}
