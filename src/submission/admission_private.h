/* SPDX-License-Identifier: ISC */
/*
 * admission_private.h - one question on its way through the steps; for the
 * files of admission only.
 *
 *	admission.c		the order of the steps; sets, settings
 *	admission_address.c	whose addresses, which identities
 *	admission_permission.c	what policies and restrictions say
 *	admission_tags.c	tags of the message
 *
 * Owner:  admission_ask(), on its stack; what it points to lives in the
 *         arena of the question.
 * Thread: as admission.h.
 * Fails:  a step says ASK_ON, ASK_REFUSED (the reply is written) or
 *         ASK_FAILED (*e).
 */
#ifndef SUBMISSION_ADMISSION_PRIVATE_H
#define SUBMISSION_ADMISSION_PRIVATE_H

#include "submission/admission.h"

/* An account whose identity lets an address send. */
struct admission_owner {
	char id[ACCOUNT_ID_SIZE];
	bool production;
};
struct asking {
	const struct admission_question *q;
	struct admission		*out;
	struct err			*e;
	struct bytes arn[ADMISSION_PARTS]; /* values; "" = none given */
	size_t	     roles_room;
	size_t	     from_first, from_count; /* roles of the field From */
	/* who sends, then other accounts: one for each part at most */
	struct admission_owner owners[1 + ADMISSION_PARTS];
	size_t		       owner_count;
};
enum { ASK_ON = 1, ASK_REFUSED = 0, ASK_FAILED = -1 };

int ask_refuse(struct asking *k, unsigned code, const char *enhanced,
    const char *text);
int ask_no_memory(struct asking *k);
int ask_invalid(struct asking *k, const char *header);
/* Unfolded and trimmed; "" where there is none. */
int ask_header_value(struct asking *k, const char *name, struct bytes *out);

/* Steps 5, 7 and 8. */
int ask_read_addresses(struct asking *k);
int ask_read_arns(struct asking *k);
int ask_identities(struct asking *k);
/* An earlier one of the same address and ARN: what was found for it holds for
 * this one, too; NULL = none. */
const struct admission_role *ask_same_role(const struct asking *k,
    const struct admission_role *role);
/* Step 9. */
int ask_permission(struct asking *k);

#endif
