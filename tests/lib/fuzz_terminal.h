/* SPDX-License-Identifier: ISC */
/*
 * fuzz_terminal.h - an operator's terminal for fuzz targets: takes what goes
 * to standard output and standard error, and knows what may not stand there.
 * Include it in one file.
 *
 * Use:    terminal_open() once; after each input terminal_check(), which
 *         forgets what was shown; before it, "shown" has it.
 * Owner:  the program.
 * Thread: one.
 * Fails:  by must(): a finding.
 */
#ifndef TESTS_FUZZ_TERMINAL_H
#define TESTS_FUZZ_TERMINAL_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

enum { SHOWN_MAX = 64 << 20 };
static struct buf shown;

/* must() still has its say. */
static ssize_t
terminal_write(void *unused, const char *text, size_t n)
{
	(void)unused;
	if (n >= 9 && memcmp(text, "posthorn:", 9) == 0)
		(void)!write(2, text, n);
	must(buf_add(&shown, text, n));
	return (ssize_t)n;
}

static void
terminal_open(void)
{
	cookie_io_functions_t io = { .write = terminal_write };

	buf_init(&shown, SHOWN_MAX);
	stdout = fopencookie(NULL, "w", io);
	stderr = fopencookie(NULL, "w", io);
	must(stdout != NULL && stderr != NULL);
	setvbuf(stderr, NULL, _IONBF, 0);
}

/* No control character of a stranger. */
static void
terminal_check(void)
{
	const unsigned char *u;
	size_t		     i;

	fflush(stdout);
	u = (const unsigned char *)shown.p;
	for (i = 0; i < shown.n; i++) {
		bool is_line_end = u[i] == '\n' || u[i] == '\t' ||
		    (u[i] == '\r' && i + 1 < shown.n && u[i + 1] == '\n');

		must(is_line_end || (u[i] >= 0x20 && u[i] != 0x7f));
		must(u[i] != 0xc2 || i + 1 == shown.n ||
		    u[i + 1] < 0x80 || u[i + 1] >= 0xa0);
	}
	buf_clear(&shown);
}

#endif
