/* SPDX-License-Identifier: ISC */
/*
 * fuzz_input.h - what several fuzz targets do: take an input apart octet by
 * octet, and count their open descriptors.
 *
 * Use:    struct input in = { data, size }; then take(), take_bytes(); at the
 *         end of the input come zeros, and no octets.
 * Owner:  all lends from the input.
 * Thread: any.
 * Fails:  never; count_fds() by must().
 */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct input {
	const uint8_t *p;
	size_t	       n;
};

static inline unsigned
take(struct input *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

/* Up to n octets. */
static inline struct bytes
take_bytes(struct input *in, size_t n)
{
	struct bytes b = { (const char *)in->p, n < in->n ? n : in->n };

	in->p += b.n;
	in->n -= b.n;
	return b;
}

/* Of the first that there can be: a target opens few. */
enum { COUNTED_FDS = 256 };
static inline unsigned
count_fds(void)
{
	struct pollfd v[COUNTED_FDS];
	unsigned      i, n = 0;

	for (i = 0; i < COUNTED_FDS; i++)
		v[i] = (struct pollfd){ .fd = (int)i };
	must(poll(v, COUNTED_FDS, 0) >= 0);
	for (i = 0; i < COUNTED_FDS; i++)
		n += (v[i].revents & POLLNVAL) == 0;
	return n;
}

#endif
