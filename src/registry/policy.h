/* SPDX-License-Identifier: ISC */
/*
 * policy.h - policy documents of credentials and of identities
 * (identities-and-policies.md 7): read once, judged often.
 *
 * Use:    p = policy_new(&place, text, &e);
 *         policy_judge(p, &request, &finding) says what its statements say;
 *         policy_free(p).  Who asks which documents is in permission.h.
 * Owner:  a policy holds copies of all it needs; a request is borrowed during
 *         the call, the words of a finding live as long as the policy.
 * Thread: any, pure; a policy does not change.
 * Fails:  policy_new(): NULL and *e "MalformedPolicyDocument: WHERE: WHY"
 *         (code BOOK_BAD_REQUEST).
 */
#ifndef REGISTRY_POLICY_H
#define REGISTRY_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "registry/cidr.h"

enum { POLICY_TEXT_MAX = 4096, POLICY_NAME_MAX = 64 };
enum policy_effect { POLICY_NONE, POLICY_ALLOW, POLICY_DENY };

bool policy_name_is_valid(const char *name); /* 1-64 of A-Za-z0-9-_ */

/* What a document hangs on. */
struct policy_place {
	const char *account;  /* NULL: on a credential */
	const char *identity; /* in normal form */
};
struct policy;
struct policy *policy_new(const struct policy_place *at, struct bytes text,
    struct err *e);
void policy_free(struct policy *p); /* NULL is allowed */
size_t policy_octets(const struct policy *p); /* of memory, about */

/* What may be a mistake, one after the other; NULL = no more. */
const char *policy_warning(const struct policy *p, size_t i);
/* Allows sending for somebody who is not the account (8.3). */
bool policy_delegates(const struct policy *p, const char *account);
/* A statement names the user (not: everybody, or the account). */
bool policy_names_user(const struct policy *p, const char *account,
    const char *user);

/* -- a request ------------------------------------------------------------ */
struct policy_list {
	const struct bytes *v;
	size_t		    n;
};
struct policy_resource {
	const char  *account;
	struct bytes identity;
};
struct policy_request {
	const char *action; /* "ses:SendRawEmail" */
	const char *account, *user; /* the principal; NULL: the root */
	const char *region; /* as resources are written */
	/* of which a statement has to name one; a document of an identity is
	 * about this one and is not asked */
	const struct policy_resource *resources;
	size_t			      resource_count;
	/* values of the keys; addresses in normal form */
	struct policy_list from, names, recipients;
	struct bytes	   feedback; /* "" = no value */
	bool		   secure;
	bool		   has_source;
	struct conf_cidr   source; /* one address */
	struct wall	   now;
};

/* The statement that decides: a Deny before any Allow. */
struct policy_finding {
	enum policy_effect effect;
	const char	  *sid; /* NULL = has none */
	unsigned	   statement; /* from 1 */
};
void policy_judge(const struct policy *p, const struct policy_request *q,
    struct policy_finding *out);

/* "arn:aws:iam::123456789012:user/app1", ":root", or the account alone; user
 * is a slice, "" for the root.  false = none of them. */
bool policy_principal_from_text(struct bytes text, char account[13],
    struct bytes *user);
/* arn:ANY:ses:ANY:ACCOUNT:identity/NAME; slices. */
bool policy_identity_from_arn(struct bytes arn, struct bytes *account,
    struct bytes *name);

#endif
