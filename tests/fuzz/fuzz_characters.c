/* SPDX-License-Identifier: ISC */
/*
 * Is it UTF-8?  As jansson says, who reads the octets a second time; as many
 * characters as octets that begin one; and each is written as it was read.
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t
point_of(const unsigned char *p, size_t n)
{
	static const unsigned char masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t point = p[0] & masks[n];
	size_t	 i;

	for (i = 1; i < n; i++)
		point = point << 6 | (p[i] & 0x3f);
	return point;
}

/* Characters; -1: somewhere there is none. */
static ptrdiff_t
walk(struct bytes s, struct buf *again)
{
	ptrdiff_t count = 0;
	size_t	  at, n;

	for (at = 0; at < s.n; at += n, count++) {
		n = utf8_length(s, at);
		must(n <= 4 && n <= s.n - at);
		if (n == 0)
			return -1;
		must(!utf8_is_inner(s.p[at]));
		must(utf8_add(again, point_of(
		    (const unsigned char *)s.p + at, n)));
	}
	return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes s = { (const char *)data, size };
	struct buf   again;
	json_t	    *v;
	ptrdiff_t    count;

	if (size > 65536)
		return 0;
	buf_init(&again, 1 << 20);
	v = json_stringn(size > 0 ? s.p : "", size);
	count = walk(s, &again);
	must((v != NULL) == (count >= 0));
	must(utf8_count(s) == count);
	must(count < 0 || bytes_eq(buf_bytes(&again), s));
	json_decref(v);
	buf_wipe(&again);
	return 0;
}
