/* SPDX-License-Identifier: ISC */
/*
 * utf8.h - characters in UTF-8 (RFC 3629): no overlong forms, no surrogates,
 * nothing over U+10FFFF.
 * Use:    for (at = 0; at < s.n; at += n)
 *                 if ((n = utf8_length(s, at)) == 0) ... not UTF-8 from at on
 * Owner:  nothing is kept.
 * Thread: any.
 * Fails:  utf8_add() as buf_add() does.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/mem.h"

/* utf8_length() of more than one octet. */
size_t utf8_length_many(struct bytes s, size_t at);

/* Octets of the character at at, which is within s; 0 = there is none. */
static inline size_t
utf8_length(struct bytes s, size_t at)
{
	return (unsigned char)s.p[at] < 0x80 ? 1 : utf8_length_many(s, at);
}

/* Not the first octet of a character: it is not cut here. */
static inline bool
utf8_is_inner(char octet)
{
	return ((unsigned char)octet & 0xc0) == 0x80;
}

/* Characters; -1 = not all of it is UTF-8. */
ptrdiff_t utf8_count(struct bytes s);

bool utf8_add(struct buf *out, uint32_t point);

#endif
