/* SPDX-License-Identifier: ISC */
#include "base/utf8.h"

size_t
utf8_length_many(struct bytes s, size_t at)
{
	const unsigned char *u = (const unsigned char *)s.p + at;
	unsigned char	     low = 0x80, high = 0xbf;
	size_t		     n, i;

	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xc2 || u[0] > 0xf4)
		return 0;
	n = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	/* no overlong forms, surrogates, nothing over U+10FFFF */
	if (u[0] == 0xe0)
		low = 0xa0;
	else if (u[0] == 0xed)
		high = 0x9f;
	else if (u[0] == 0xf0)
		low = 0x90;
	else if (u[0] == 0xf4)
		high = 0x8f;
	if (s.n - at < n || u[1] < low || u[1] > high)
		return 0;
	for (i = 2; i < n; i++)
		if (!utf8_is_inner((char)u[i]))
			return 0;
	return n;
}

ptrdiff_t
utf8_count(struct bytes s)
{
	ptrdiff_t count = 0;
	size_t	  at, n;

	for (at = 0; at < s.n; at += n, count++) {
		n = utf8_length(s, at);
		if (n == 0)
			return -1;
	}
	return count;
}

bool
utf8_add(struct buf *out, uint32_t point)
{
	size_t n = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3
									  : 4;
	char   b[4];
	size_t i;

	if (n == 1)
		return buf_add_char(out, (char)point);
	for (i = n - 1; i > 0; i--, point >>= 6)
		b[i] = (char)(0x80 | (point & 0x3f));
	b[0] = (char)((0xf00 >> n & 0xff) | point);
	return buf_add(out, b, n);
}
