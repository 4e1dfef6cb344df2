/* SPDX-License-Identifier: ISC */
/*
 * verifier_check.h - one check: the questions to DNS, what their answers
 * mean, and the hint for the domain's owner (dkim.md 8,
 * identities-and-policies.md 4.2, mail-from-spf-dmarc.md 5.2).
 *
 * Use:    c = verifier_check_new(&tools, &job, on_done, arg); on_done comes
 *         once, never from inside the call; then verifier_check_free(c).
 * Owner:  the caller's; the job is copied, the result lent during on_done.
 *         It may be freed from inside on_done.
 * Thread: the loop's.
 * Fails:  every check ends within VERIFIER_CHECK_MS, as DNS_ERROR.
 */
#ifndef DAEMON_VERIFIER_CHECK_H
#define DAEMON_VERIFIER_CHECK_H

#include "daemon/verifier_authority.h"
#include "registry/verify_job.h"

enum { VERIFIER_CHECK_MS = 60 * 1000 };

struct verifier_check;
typedef void verifier_done(void *arg, const struct verify_result *r);
struct verifier_check *verifier_check_new(const struct verifier_tools *t,
    const struct verify_job *job, verifier_done *on_done, void *arg);
void verifier_check_free(struct verifier_check *c); /* NULL is allowed */

#endif
