/* SPDX-License-Identifier: ISC */
/*
 * policy.h - policy documents of credentials (identities-and-policies.md 7).
 * This release knows plain statements: Effect, Action, Resource.
 *
 * Use:    policy_check(text, &e) before one is stored;
 *         policy_judge(text, "ses:SendRawEmail", arns, n) to decide.
 * Owner:  all is borrowed during the call.
 * Thread: any, pure.
 * Fails:  check: -1 and *e "MalformedPolicyDocument: WHERE: WHY" (code
 *         BOOK_BAD_REQUEST).  A document that check would refuse judges DENY.
 */
#ifndef REGISTRY_POLICY_H
#define REGISTRY_POLICY_H

#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

enum { POLICY_TEXT_MAX = 4096, POLICY_NAME_MAX = 64 };
enum policy_effect { POLICY_NONE, POLICY_ALLOW, POLICY_DENY };

bool policy_name_is_valid(const char *name); /* 1-64 of A-Za-z0-9-_ */
int policy_check(struct bytes text, struct err *e);
/* Statements that name the action and at least one of the resources: a Deny
 * wins over every Allow. */
enum policy_effect policy_judge(struct bytes text, const char *action,
    const char *const *resources, size_t n);

#endif
