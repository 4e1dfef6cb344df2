/* SPDX-License-Identifier: ISC */
/*
 * suppression.h - who is not mailed although the message is accepted: the
 * list of an account, and the installation's (suppression.md).
 *
 * Use:    before an attempt: suppression_check(t, &question, &e).
 *         Entries come by suppression_add() (operators, imports, bounces,
 *         complaints) and global_suppression_bounce().
 * Owner:  plain data, the caller's; strings of a question are lent.
 * Thread: that of the transaction.
 * Fails:  1 found or changed, 0 not, -1 and *e; a refusal (book.h) for what
 *         is no address.
 * Compared without regard to case, the local part too, and without the quotes
 * that RFC 5321 does not need: user+label@x and user@x are different.
 * Twice:  what an event brings may be brought again after a crash: nothing
 *         is counted twice.
 */
#ifndef REGISTRY_SUPPRESSION_H
#define REGISTRY_SUPPRESSION_H

#include <stdbool.h>

#include "base/clock.h"
#include "mail/address.h"
#include "mail/msgid.h"
#include "registry/account.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "registry/config_set.h"

/* A set of them is the sum of its members. */
enum suppression_reason { SUPPRESS_BOUNCE = 1, SUPPRESS_COMPLAINT = 2 };
enum { SUPPRESS_ALL = SUPPRESS_BOUNCE | SUPPRESS_COMPLAINT };
enum suppression_source {
	SUPPRESSION_AUTO,
	SUPPRESSION_MANUAL,
	SUPPRESSION_IMPORT
};
const char *suppression_reason_to_text(enum suppression_reason r);
/* "bounce", letter case does not matter; false = neither */
bool suppression_reason_from_text(struct bytes s, enum suppression_reason *out);
const char *suppression_source_to_text(enum suppression_source s);

/* SuppressedReasons of the account, as a set. */
unsigned suppression_reasons_of(const struct account *a);

/* The form that is compared, with NUL; dst has ADDRESS_TEXT_MAX. */
bool suppression_key(struct bytes address, char *dst, struct bytes *out);

/* -- the list of an account ------------------------------------------------ */
struct suppression {
	char	    account[ACCOUNT_ID_SIZE];
	char	    address[ADDRESS_TEXT_MAX]; /* as first given */
	unsigned    reasons;		       /* a set, never empty */
	enum suppression_reason last;	       /* the most recent one */
	struct wall updated;		       /* whole seconds */
	enum suppression_source source;	       /* of the last change */
	/* what caused it, for SUPPRESSION_AUTO; else "" */
	char	    message_id[MSGID_TEXT + 1], feedback_id[MSGID_TEXT + 1];
};
int suppression_get(struct db_txn *t, const char *account,
    struct bytes address, struct suppression *out, struct err *e);
/* Unites it with the entry that is there; s->last is the reason given. */
int suppression_add(struct db_txn *t, const struct suppression *s,
    struct err *e);
int suppression_remove(struct db_txn *t, const char *account,
    struct bytes address, struct err *e);
/*
 * Entries in the order of their last change, then of their addresses, from a
 * place on; fn = false ends.  A place is that of the last entry that is
 * known; a cleared one with updated set begins at that time.
 */
struct suppression_place {
	struct wall updated;
	char	    key[ADDRESS_TEXT_MAX]; /* "" = before all of that time */
};
void suppression_place_of(const struct suppression *s,
    struct suppression_place *out);
int suppression_each(struct db_txn *t, const char *account,
    const struct suppression_place *after,
    bool (*fn)(void *arg, const struct suppression *s), void *arg,
    struct err *e);
/* Removes up to max entries: how many there were. */
int suppression_purge(struct db_txn *t, const char *account, unsigned max,
    struct err *e);

/* -- the installation's list (section 4) ------------------------------------ */
struct global_suppression {
	char	    address[ADDRESS_TEXT_MAX];
	unsigned    count; /* hard bounces that led to listings */
	struct wall listed, expires;
	char	    last_account[ACCOUNT_ID_SIZE]; /* "" = the operator */
	char	    last_message_id[MSGID_TEXT + 1];
	char	    last_feedback_id[MSGID_TEXT + 1];
};
enum { GLOBAL_SUPPRESSION_KEEP_DAYS = 90 };
bool global_suppression_is_active(const struct global_suppression *g,
    struct wall now);
int global_suppression_get(struct db_txn *t, struct bytes address,
    struct global_suppression *out, struct err *e);
/*
 * A hard bounce: g names address, listed (the time of the bounce) and what
 * caused it; count and expires follow: 1, 3, 7, then 14 days, or 14 at once
 * (suppression.global.policy).  1, or 0: that bounce is known.
 */
int global_suppression_bounce(struct db_txn *t,
    const struct global_suppression *g, bool fixed, struct err *e);
/* By the operator, or because something was delivered to it: it counts from 0
 * again. */
int global_suppression_remove(struct db_txn *t, struct bytes address,
    struct err *e);
/* In the order of their keys, after that one ("" = all). */
int global_suppression_each(struct db_txn *t, const char *after,
    bool (*fn)(void *arg, const struct global_suppression *g), void *arg,
    struct err *e);
/*
 * Forgets entries that ended more than 90 days ago: looks at max of them,
 * after place, and moves it ("" = at the end, begin anew).  How many went.
 */
int global_suppression_sweep(struct db_txn *t, char place[ADDRESS_TEXT_MAX],
    unsigned max, struct wall now, struct err *e);

/* -- the decision (section 3) ----------------------------------------------- */
struct suppression_question {
	const char  *account;
	struct bytes address;
	unsigned     account_reasons; /* SuppressedReasons of the account */
	/* SuppressionOptions of the message's set; has_set false = absent */
	bool	     has_set;
	unsigned     set_reasons;
	bool	     global;	    /* suppression.global.enabled */
	bool	     global_always; /* suppression.global.mode */
	struct wall  now;
};
enum suppression_answer {
	SUPPRESSION_NONE,      /* it is sent */
	SUPPRESSION_BOUNCE,    /* Permanent, OnAccountSuppressionList */
	SUPPRESSION_COMPLAINT, /* complaintSubType OnAccountSuppressionList */
	SUPPRESSION_GLOBAL,    /* Permanent, Suppressed */
	SUPPRESSION_UNSUBSCRIBED /* Permanent, UnsubscribedRecipient */
};
/*
 * A question without reasons; those of the account (suppression_reasons_of())
 * and of the set, the address and the account are the caller's to add.
 */
void suppression_question_init(struct suppression_question *out,
    const struct conf *c, struct wall now);
void suppression_take_set(struct suppression_question *q,
    const struct config_set *s);
/*
 * What an answer rested on: it is the same while this number is.  version: of
 * the book, from before the look.  Never 0.
 */
uint64_t suppression_stamp(uint64_t version, const struct conf *c);
/*
 * What stands in the book for mail of an account with a set (none is
 * allowed); the address is the caller's to add.  A set that has gone counts
 * as absent, an account that has gone has no reasons.  0 / -1.
 */
int suppression_ask(struct db_txn *t, const char *account,
    const struct config_set_id *set, const struct conf *c, struct wall now,
    struct suppression_question *out, struct err *e);
/* The reasons that count, for matching and for adding. */
unsigned suppression_effective(const struct suppression_question *q);
/* 0 and *out, or -1. */
int suppression_check(struct db_txn *t, const struct suppression_question *q,
    enum suppression_answer *out, struct err *e);

#endif
