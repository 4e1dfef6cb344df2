/* SPDX-License-Identifier: ISC */
/*
 * permission.h - may this principal send as this address: the documents of
 * its credential and of the identities concerned
 * (identities-and-policies.md 7.5).
 *
 * Use:    c = permissions_new();
 *         version = book_version(b); t = book_read(b, &e);
 *         permission_ask(c, &question, &verdict, &e);
 * Owner:  who makes it frees it; it keeps the documents it has read, each
 *         until it changes, and forgets all of them when they become many.
 *         Words of a verdict live until the next question.
 * Thread: one at a time.
 * Fails:  -1 and *e when the book cannot be read.  A stored document that
 *         cannot be read forbids.
 * Cost:   a document is read once; while the book stands still nothing is
 *         looked up twice.
 */
#ifndef REGISTRY_PERMISSION_H
#define REGISTRY_PERMISSION_H

#include "registry/credential.h"
#include "registry/identity.h"
#include "registry/policy.h"

struct permissions;
struct permissions *permissions_new(void);
void permissions_free(struct permissions *c); /* NULL is allowed */
size_t permissions_octets(const struct permissions *c);

struct permission_question {
	struct db_txn *txn;
	uint64_t       version; /* of the book, from before the transaction */
	/* NULL: the root, or one whose documents are not to be asked */
	const struct credential *credential;
	const char   *owner;   /* of the identity that lets it send */
	struct bytes  address; /* normal form */
	/* action, principal, values and time; resources are added here */
	const struct policy_request *request;
};

enum permission_by {
	PERMISSION_ROLE,       /* of the credential: it allows nothing */
	PERMISSION_CREDENTIAL, /* a policy of it */
	PERMISSION_IDENTITY,   /* a policy of the identity "of" */
	PERMISSION_OWNER       /* none applies: the owner may, others not */
};
struct permission_verdict {
	bool		   permitted;
	enum permission_by by;
	char		   of[IDENTITY_NAME_SIZE];
	const char	  *policy; /* its name; NULL = none decided */
	struct policy_finding finding;
};
int permission_ask(struct permissions *c, const struct permission_question *q,
    struct permission_verdict *out, struct err *e);
/* Are there documents at all, for which the values have to be known?
 * 1, 0, -1. */
int permission_needs_values(struct permissions *c,
    const struct permission_question *q, struct err *e);

#endif
