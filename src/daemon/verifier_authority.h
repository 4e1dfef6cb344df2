/* SPDX-License-Identifier: ISC */
/*
 * verifier_authority.h - finds the servers that a zone itself names.
 *
 * Use:    s = authority_search(&tools, "sel._domainkey.example.com", fn, arg);
 *         fn comes once, never from inside the call, with a resolver that
 *         asks these servers, or NULL when there are none to be asked.
 * Owner:  the resolver is the callee's then; a search is freed by
 *         authority_search_free(), also after fn.
 * Thread: the loop's.
 * Fails:  as NULL.
 */
#ifndef DAEMON_VERIFIER_AUTHORITY_H
#define DAEMON_VERIFIER_AUTHORITY_H

#include "daemon/verifier.h"

struct verifier_tools {
	struct loop		    *loop;
	struct resolver		    *resolver; /* the configured one */
	const struct verifier_setup *setup;
};

struct authority_search;
struct authority_search *authority_search(const struct verifier_tools *t,
    const char *name, void (*fn)(void *arg, struct resolver *r), void *arg);
void authority_search_free(struct authority_search *s); /* NULL is ok */

#endif
