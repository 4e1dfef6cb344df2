/* SPDX-License-Identifier: ISC */
/*
 * spf_term.h - the terms of an SPF record, by the grammar of RFC 7208 12, and
 * what is wrong with one that is not of it.
 *
 * Use:    n = spf_find(texts, count, &text); with one found
 *         spf_reader_init(&r, text); while (spf_reader_next(&r, &term)) ...;
 *         then r.wrong says whether the record is one, and .where which term
 *         it is about.
 * Owner:  nothing is kept; all lends from the text.
 * Thread: any, pure.
 * Fails:  in .wrong.  A record that is wrong anywhere is wrong as a whole
 *         (4.6), so it is read to its end before it is acted upon.
 * Macros are checked, and expanded by net/spf_macro.h.
 */
#ifndef NET_SPF_TERM_H
#define NET_SPF_TERM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

enum spf_term_kind {
	SPF_TERM_ALL,
	SPF_TERM_INCLUDE,
	SPF_TERM_A,
	SPF_TERM_MX,
	SPF_TERM_PTR,
	SPF_TERM_IP4,
	SPF_TERM_IP6,
	SPF_TERM_EXISTS,
	SPF_TERM_REDIRECT,
	SPF_TERM_EXP,
	SPF_TERM_OTHER /* a modifier that nobody knows: is ignored (6) */
};
struct spf_term {
	enum spf_term_kind kind;
	char		   qualifier; /* '+' '-' '~' '?'; of mechanisms */
	struct bytes	   domain;    /* domain-spec; .n = 0: there is none */
	unsigned char	   network[16]; /* of ip4: 4 octets, of ip6: 16 */
	unsigned bits4, bits6; /* prefix lengths of a, mx, ip4, ip6 */
};
struct spf_reader {
	struct bytes rest;
	const char  *wrong; /* NULL = nothing so far */
	struct bytes where; /* the term at hand */
	bool	     has_redirect, has_exp;
};
/* How many of the texts are SPF records (4.5); *out is the last one. */
size_t spf_find(const struct bytes *texts, size_t count, struct bytes *out);
void spf_reader_init(struct spf_reader *r, struct bytes text);
bool spf_reader_next(struct spf_reader *r, struct spf_term *out);
/* ip4, ip6: is the address (4 or 16 octets, by family) in its network? */
bool spf_term_has(const struct spf_term *t, int family,
    const unsigned char *ip);

#endif
