/* SPDX-License-Identifier: ISC */
/*
 * spf_state.h - may the source addresses send for a MAIL FROM domain?  What is
 * known of each domain that is in use (mail-from-spf-dmarc.md 6).
 *
 * Use:    spf_state_add(&s, address, &result) for the answer to each address;
 *         then spf_state_note(t, &s, &change, &e); at the end of a round
 *         spf_state_expire().
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction; spf_state_finding() and _add() any.
 * Fails:  1 found, 0 not there, -1 and *e (store).
 *
 * One address that may not send is enough for a domain to fail.  An answer
 * that DNS does not give (temperror) moves nothing.
 */
#ifndef REGISTRY_SPF_STATE_H
#define REGISTRY_SPF_STATE_H

#include "base/clock.h"
#include "registry/account.h"
#include "registry/book.h"
#include "registry/verify_job.h"

/* In the store: never reorder. */
enum spf_standing { SPF_NOT_KNOWN, SPF_PASSES, SPF_FAILS };
const char *spf_standing_to_text(enum spf_standing s); /* "UNKNOWN" */

struct spf_state {
	char		  account[ACCOUNT_ID_SIZE]; /* "" = default domain */
	char		  domain[254];
	enum spf_standing standing;
	char		  finding[64]; /* of SPF_FAILS; else "" */
	char		  detail[512]; /* which addresses, and why */
	struct wall	  since; /* that it stands so */
	struct wall	  last;  /* answer that told something; 0 = none */
	struct wall	  asked;
	bool		  is_open; /* an answer is still missing */
};

/* The finding of one answer: "" = it may send, NULL = nobody knows. */
const char *spf_state_finding(const struct verify_result *r);
/* s begins with account and domain, all else 0. */
void spf_state_add(struct spf_state *s, const char *address,
    const struct verify_result *r);

struct spf_state_change {
	bool		  moved; /* somebody has to hear of it */
	enum spf_standing from;
	char		  finding[64]; /* that was open; "" = none */
	struct spf_state  s; /* as it is now */
};
/* s: what was found out now. */
int spf_state_note(struct db_txn *t, const struct spf_state *s,
    struct wall now, struct spf_state_change *out, struct err *e);
int spf_state_get(struct db_txn *t, const char *account, const char *domain,
    struct spf_state *out, struct err *e);
/* Domains that were not asked for since then are in use no more.  0 / -1 */
int spf_state_expire(struct db_txn *t, struct wall begun, struct err *e);

/* The stored form; read: false = damaged. */
bool spf_state_write_record(const struct spf_state *s, struct buf *out);
bool spf_state_read_record(struct bytes in, struct spf_state *out);

#endif
