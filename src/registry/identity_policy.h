/* SPDX-License-Identifier: ISC */
/*
 * identity_policy.h - the policy documents of identities, by name
 * (identities-and-policies.md 7 and 8); their language is in policy.h.
 * Use:    identity_policy_put(t, &p, &e) checks and stores;
 *         identity_policy_each() walks.
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction.
 * Fails:  1 found, 0 not there, -1 and *e (a refusal, or the store).
 * Documents are stored and given back byte for byte.
 */
#ifndef REGISTRY_IDENTITY_POLICY_H
#define REGISTRY_IDENTITY_POLICY_H

#include <stdbool.h>

#include "registry/identity.h"
#include "registry/policy.h"

enum { IDENTITY_POLICIES_MAX = 20 };
struct identity_policy {
	char account[ACCOUNT_ID_SIZE]; /* owner of the identity */
	char identity[IDENTITY_NAME_SIZE];
	char name[POLICY_NAME_MAX + 1];
	char text[POLICY_TEXT_MAX + 1]; /* has no NUL inside */
};

/*
 * Makes or replaces; the identity has to be there.  Refused: a name or text
 * that is none, a 21st, and what lets another account send with an identity
 * that has a default configuration set.
 */
int identity_policy_put(struct db_txn *t, const struct identity_policy *p,
    struct err *e); /* 0 / -1 */
int identity_policy_get(struct db_txn *t, const char *account,
    const char *identity, const char *name, struct identity_policy *out,
    struct err *e);
int identity_policy_delete(struct db_txn *t, const char *account,
    const char *identity, const char *name, struct err *e);
/* Before the identity goes; 0 / -1. */
int identity_policy_delete_all(struct db_txn *t, const char *account,
    const char *identity, struct err *e);
/* In the order of identities and names, until fn says false; account NULL =
 * all, identity NULL = all of the account. */
int identity_policy_each(struct db_txn *t, const char *account,
    const char *identity,
    bool (*fn)(void *arg, const struct identity_policy *p), void *arg,
    struct err *e);
/* Has any identity of the account a policy? */
int identity_policy_any(struct db_txn *t, const char *account,
    struct err *e);
/* Does a policy let another account send with the identity? */
int identity_policy_delegates(struct db_txn *t, const char *account,
    const char *identity, struct err *e);

#endif
