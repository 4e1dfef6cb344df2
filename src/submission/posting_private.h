/* SPDX-License-Identifier: ISC */
/*
 * posting_private.h - what the parts of a posting share.
 *
 *	posting.c	its life, admission, header, commit
 *	posting_sign.c	which keys sign, and the signatures
 *
 * Use:    by these two only.
 * Owner:  posting.c makes and frees it.
 * Thread: the desk's loop.
 * Fails:  each step ends the posting with a reply of its own.
 */
#ifndef SUBMISSION_POSTING_PRIVATE_H
#define SUBMISSION_POSTING_PRIVATE_H

#include "registry/quota.h"
#include "submission/admission.h"
#include "submission/desk_private.h"
#include "submission/posting.h"
#include "submission/receive.h"

struct posting {
	struct posting	    *next, **link;
	struct desk	    *desk;
	struct desk_rules   *rules;
	struct posting_setup setup; /* its texts are copied below */
	struct receive	    *receive;
	struct message	    *message;
	char		     account[ACCOUNT_ID_SIZE];
	char		     credential[CREDENTIAL_NAME_SIZE];
	char		     key_id[CREDENTIAL_KEY_SIZE];
	int64_t		     began_us, sign_began_us;

	/* from the books, for the steps after them */
	struct account_overrides of_account, of_credential;
	bool	      cannot_sign; /* which key signs cannot be told */
	struct posting_key {
		bool	   signs, ed25519;
		char	   domain[256], selector[SELECTOR_SIZE];
		struct buf sealed;
	} keys[SIGN_KEYS_MAX]; /* of the identity */

	struct buf	    head; /* final header block */
	struct signing	   *signing;
	bool		    has_tokens; /* of the sending rate */
	bool		    is_lent;	/* to the writer */
	bool		    is_asking;	/* about the sender: message is lent */
	struct quota_charge charge;
	struct submission   submission;
};

/* -- posting.c: what ends it, and the step after the signatures */
void posting_refuse(struct posting *p, const struct reply *re);
void posting_fail_text(struct posting *p, const char *text);
void posting_submit(struct posting *p);

/* -- posting_sign.c */
/* Those that admission found; what has none is counted. */
void posting_choose_key(struct posting *p, const struct admission *a);
void posting_set_keys(struct posting *p, const struct signing_keys *k);
/* The key of an identity that signs, the first one; NULL = none. */
const struct posting_key *posting_first_key(const struct posting *p);
/* A client signature with the same d= and s= stands for ours (dkim 6.3). */
void posting_drop_same_key(struct posting *p, struct posting_key *k);
/* The header block is closed: signs it, then posting_submit(). */
void posting_sign(struct posting *p);
/* The header block of the message: fields on top of what was closed; false = no
 * memory. */
bool posting_set_head(struct posting *p, struct bytes fields);
/* Is answered with 451, counted and logged. */
void posting_cannot_sign(struct posting *p, enum sign_algorithm failed,
    const char *reason);

#endif
