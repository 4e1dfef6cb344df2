/* SPDX-License-Identifier: ISC */
/*
 * spf_macro.h - the macros of SPF records: their grammar and what they stand
 * for (RFC 7208 7).
 *
 * Use:    why = spf_macro_check_domain(spec); with NULL
 *         spf_macro_expand(spec, &values, name).
 * Owner:  nothing is kept.
 * Thread: any, pure.
 * Fails:  the checks say what is wrong, NULL = nothing.
 * Only explanations may have c, r and t; they are not expanded here.
 */
#ifndef NET_SPF_MACRO_H
#define NET_SPF_MACRO_H

#include <stdbool.h>

#include "base/mem.h"

enum { SPF_DOMAIN_SIZE = 254 }; /* a name of DNS, and a NUL */

struct spf_macro_values {
	const char *ip;	    /* i, v */
	const char *local;  /* l, s: of the sender */
	const char *sender; /* o, s: the domain of it */
	const char *helo;   /* h */
	const char *domain; /* d: whose record it is */
	const char *client; /* p: the validated name of ip, or "unknown" */
};
/* A macro-string; a domain-spec, which must also end like a domain. */
const char *spf_macro_check(struct bytes text);
const char *spf_macro_check_domain(struct bytes spec);
/* Is p among the macros?  Then DNS must be asked for .client. */
bool spf_macro_asks_client(struct bytes spec);
/*
 * Of a domain-spec that is right.  A name that is too long loses labels on
 * the left (7.3); one that is none at all becomes "invalid".
 */
void spf_macro_expand(struct bytes spec, const struct spf_macro_values *v,
    char out[SPF_DOMAIN_SIZE]);

#endif
