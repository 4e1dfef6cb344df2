/* SPDX-License-Identifier: ISC */
/*
 * mail_from.h - custom MAIL FROM domains: which one a message gets, and what
 * operators decide about them (mail-from-spf-dmarc.md 2, 4, 5.4).
 *
 * Use:    mail_from_choose(t, account, from, now, &choice, &e) once for each
 *         message, at its acceptance.  Commands change the identity's
 *         .mail_from, which identity_put() then writes; the state moves in
 *         identity_check.c.
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction.
 * Fails:  -1 and *e: a refusal (code BOOK_*), or trouble of the store.
 */
#ifndef REGISTRY_MAIL_FROM_H
#define REGISTRY_MAIL_FROM_H

#include "registry/identity.h"

enum mail_from_use { MAIL_FROM_DEFAULT, MAIL_FROM_CUSTOM, MAIL_FROM_REFUSED };
struct mail_from_choice {
	enum mail_from_use use;
	char domain[254];	       /* of CUSTOM and REFUSED */
	char identity[IDENTITY_NAME_SIZE]; /* that decides; "" = none does */
};
/* from: the first mailbox of the header; account: its identity's.  0 / -1 */
int mail_from_choose(struct db_txn *t, const char *account,
    struct bytes from, struct wall now, struct mail_from_choice *out,
    struct err *e);
/* Whose MAIL FROM domain is it?  1, 0 = nobody's, -1 */
int mail_from_owner(struct db_txn *t, struct bytes domain,
    char account[ACCOUNT_ID_SIZE], struct err *e);
/* Each identity that has one, by domain; those of SUCCESS are in use.  0 / -1 */
int mail_from_each(struct db_txn *t,
    bool (*fn)(void *arg, const struct identity *i), void *arg,
    struct err *e);

/* -- commands: 0 / -1 ------------------------------------------------------ */
struct mail_from_wish {
	const char *domain; /* as it was typed */
	bool	    reject; /* REJECT_MESSAGE */
	bool	    force;  /* an address without a verified domain */
};
/* PENDING; the domain that is SUCCESS already stays so. */
int mail_from_set(struct db_txn *t, struct identity *i,
    const struct mail_from_wish *w, struct wall now, struct err *e);
void mail_from_clear(struct identity *i);
void mail_from_opt_out(struct identity *i);
int mail_from_verify(struct db_txn *t, struct identity *i, struct wall now,
    struct err *e);
/* A domain identity was deleted: the MAIL FROM domains of addresses that
 * have none any more above them become FAILED. */
int mail_from_orphan(struct db_txn *t, const char *account,
    const char *domain, struct wall now, struct err *e);

/* MATCH, ABSENT, WRONG, MULTIPLE, DNS_ERROR (5.2) */
const char *mail_from_outcome_to_text(enum dkim_outcome o);
/* USE_DEFAULT_VALUE, REJECT_MESSAGE */
const char *mail_from_behavior_to_text(bool reject);

#endif
