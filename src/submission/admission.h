/* SPDX-License-Identifier: ISC */
/*
 * admission.h - may this one send this, to these, now: verdicts from the
 * books (smtp-interface 8, steps 5 and 7 to 10; identities 6).
 *
 * Use:    inside one read transaction:
 *         if (admission_ask(&question, &verdict, &e) < 0) 451;
 *         if (verdict.reply.code != 0) refuse with it;
 *         admission_apply(&verdict, message) writes what was decided.
 * Owner:  plain data; what a verdict points to lives in the arena of the
 *         question.
 * Thread: that of the transaction.  Nothing is changed by asking.
 * Fails:  -1 and *e when the book cannot be read.
 */
#ifndef SUBMISSION_ADMISSION_H
#define SUBMISSION_ADMISSION_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "mail/header.h"
#include "mail/message.h"
#include "mail/smtp.h"
#include "registry/conf.h"
#include "registry/config_set.h"
#include "registry/credential.h"
#include "registry/identity.h"
#include "registry/mail_from.h"
#include "registry/quota.h"

struct permissions;
struct admission_question {
	struct db_txn	    *txn;
	const struct conf   *conf;
	const struct message *message; /* sender and envelopes; of these
						  .suppressed is set */
	const struct header *header;   /* as it was handed in */
	const struct account *account; /* who sends, and pays */
	const struct credential *credential; /* NULL: the principal root */
	bool		     is_local; /* did not come over the network */
	struct wall	     now;
	struct arena	    *arena;
	struct permissions  *permissions; /* documents that were read */
	uint64_t version; /* of the book, from before the transaction */
};

/* A role of the four addresses that are checked. */
enum admission_part { PART_SOURCE, PART_FROM, PART_RETURN_PATH };
enum { ADMISSION_PARTS = PART_RETURN_PATH + 1 };
struct admission_role {
	enum admission_part part;
	struct bytes	    address; /* normal form */
	struct bytes	    name; /* display name as it stands */
	struct bytes	    identity; /* that lets it send; "" = none */
	char		    owner[ACCOUNT_ID_SIZE]; /* of the identity */
};

struct admission {
	struct reply	reply; /* code 0: admitted */
	struct admission_role *roles;
	size_t		role_count;
	struct bytes	from; /* first From mailbox, normal form */
	struct bytes	forward; /* feedback address; "" = null sender */
	bool		has_set;
	struct config_set set;	  /* that it is bound to */
	struct identity identity; /* whose settings hold */
	uint64_t	lists_seen; /* stamp of the suppression lists */
	struct mail_from_choice mail_from; /* of its account */
	bool		cannot_sign; /* why admission_ask() failed */
	struct signing_choice signing;
};

int admission_ask(const struct admission_question *q, struct admission *out,
    struct err *e);
/* Identity, forward address and the rest; false = over the budget. */
bool admission_apply(const struct admission_question *q,
    const struct admission *a, struct message *m);
/*
 * Tags of the credential (NULL: none), then those of X-SES-MESSAGE-TAGS that
 * have other names (configuration-sets 3.2); number of dropped pieces in
 * *dropped.  false = over the budget.
 */
bool admission_read_tags(const struct admission_question *q,
    struct message *m, unsigned *dropped);

/* What binds the account and, unless NULL, the credential. */
void admission_limits(const struct account *a, const struct credential *c,
    struct quota_limits *out);
/*
 * With reputation.levels: what binds the sender domain, the most specific
 * verified domain identity of the header From that its owner has; name "" when
 * there is none.  0, or -1 and *e.
 */
int admission_level(const struct admission_question *q,
    const struct admission *a, struct quota_domain *out, struct err *e);
/* "arn:aws:iam::ACCOUNT:user/NAME"; credential NULL: ":root" */
enum { ADMISSION_ARN_MAX = 400 };
char *admission_user_arn(const struct account *a, const struct credential *c,
    char out[ADMISSION_ARN_MAX]);
char *admission_identity_arn(const char *region, const char *account,
    struct bytes name, char out[ADMISSION_ARN_MAX]);

#endif
