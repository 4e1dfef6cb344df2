/* SPDX-License-Identifier: ISC */
/*
 * spf.h - may this address send for this domain?  check_host() of RFC 7208 by
 * libspf2, which asks through a resolver of ours.
 *
 * Use:    c = spf_check_new(loop, resolver, &question, on_done, arg); on_done comes
 *         once, never from inside the call; then spf_check_free(c).
 * Owner:  a check is the caller's; the question is copied, the answer lent
 *         during on_done.  It may be freed from inside on_done.
 * Thread: the resolver's loop.  Only the verifier process links this.
 * Fails:  in the answer: TEMPERROR.
 * libspf2 asks and waits; here it never waits: an evaluation that needs an
 * answer that is not there yet is dropped, the question is asked, and the
 * evaluation begins anew with all answers so far.  So it blocks no loop, and
 * its work is bounded: SPF_QUESTIONS_MAX questions, one evaluation for each.
 * Limits of RFC 7208 4.6.4: 10 terms that need DNS, 2 void look-ups.
 */
#ifndef NET_SPF_H
#define NET_SPF_H

#include "net/resolver.h"
#include "net/spf_result.h"

enum {
	SPF_QUESTIONS_MAX = 100,
	SPF_LOOKUPS_MAX = 10,
	SPF_VOIDS_MAX = 2,
	SPF_NAME_SIZE = 256,
	SPF_CAUSE_SIZE = 256
};
struct spf_question {
	char ip[64];		   /* of the sending host */
	char domain[SPF_NAME_SIZE]; /* of MAIL FROM; "" = null sender: helo */
	char local[65];		   /* of MAIL FROM; "" = postmaster */
	char helo[SPF_NAME_SIZE];
	bool fresh; /* past the cache of the resolver */
};
struct spf_answer {
	enum spf_result result;
	unsigned lookups, voids; /* until the result was known */
	unsigned questions;	 /* asked of DNS in all */
	char	 cause[SPF_CAUSE_SIZE]; /* of the errors; else "" */
	/* TXT records of the domain that was looked at; NULL: no answer */
	const struct dns_answer *own;
};

struct spf_check;
typedef void spf_done(void *arg, const struct spf_answer *a);
struct spf_check *spf_check_new(struct loop *l, struct resolver *r,
    const struct spf_question *q, spf_done *on_done, void *arg);
void spf_check_free(struct spf_check *c); /* NULL is allowed */

#endif
