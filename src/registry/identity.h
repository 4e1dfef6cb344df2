/* SPDX-License-Identifier: ISC */
/*
 * identity.h - domains and addresses an account may send as: verification,
 * coverage, DKIM settings and keys (identities-and-policies.md, dkim.md).
 * Use:    identity_resolve(t, account, address, &id) says whether an address
 *         may send; identity_signing(t, account, from, &s) who signs.
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction.
 * Fails:  1 found, 0 not there, -1 and *e (store).
 * The states move in identity_check.c alone (pure decisions on a check's
 * result and the time); what a check needs from DNS is a job for the verifier
 * process.
 */
#ifndef REGISTRY_IDENTITY_H
#define REGISTRY_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "registry/account.h"
#include "registry/book.h"

enum { IDENTITY_NAME_SIZE = 321, SELECTOR_SIZE = 64, IDENTITY_TOKEN_SIZE = 53 };
enum identity_status {
	IDENTITY_NOT_STARTED,
	IDENTITY_PENDING,
	IDENTITY_SUCCESS,
	IDENTITY_TEMPORARY_FAILURE,
	IDENTITY_FAILED
};
enum identity_method { METHOD_DKIM, METHOD_TOKEN, METHOD_LINK, METHOD_OVERRIDE };
enum dkim_switch { DKIM_INHERIT, DKIM_ON, DKIM_OFF };
enum dkim_role { DKIM_ACTIVE, DKIM_STANDBY, DKIM_RETIRING };
enum dkim_outcome { /* of the check of one selector, dkim.md 8 */
	DKIM_UNCHECKED,
	DKIM_MATCH,
	DKIM_ABSENT,
	DKIM_MISMATCH,
	DKIM_REVOKED,
	DKIM_MULTIPLE,
	DKIM_MALFORMED,
	DKIM_OPERATOR_ZONE,
	DKIM_DNS_ERROR
};
const char *identity_status_to_text(enum identity_status s); /* PENDING */
const char *identity_method_to_text(enum identity_method m);
const char *dkim_role_to_text(enum dkim_role r);
const char *dkim_outcome_to_text(enum dkim_outcome o);

/* One state machine of dkim.md 9 / identities 4.1. */
struct identity_check_state {
	enum identity_status status;
	struct wall since, deadline; /* deadline 0 = none */
	struct wall next_check;	     /* 0 = never */
	struct wall last_check, last_success;
	struct wall first_miss; /* waits for the confirming check; 0 = none */
	struct wall dns_error_since;
};

struct identity {
	char account[ACCOUNT_ID_SIZE];
	char name[IDENTITY_NAME_SIZE]; /* normal form; '@' = address */
	bool is_address;
	enum identity_method method;
	struct wall created;
	struct identity_check_state link;  /* address: LINK; OVERRIDE */
	struct identity_check_state token; /* TOKEN method; NOT_STARTED else */
	char	    token_text[IDENTITY_TOKEN_SIZE]; /* of TOKEN */
	unsigned char link_hash[32]; /* SHA-256 of the mailed token */
	struct wall link_sent;
	/* DKIM */
	enum dkim_switch signing;
	bool	    external; /* origin EXTERNAL */
	struct identity_check_state dkim;
	unsigned    bits, next_bits;
	struct wall last_length_change;
	bool	    downgraded; /* the free downgrade within 24 h was used */
	struct identity_check_state previous; /* old set that signs meanwhile */
	bool	    has_previous;
	/* feedback */
	bool	    forwarding;
	char	    config_set[65];
};

struct dkim_key {
	char	      account[ACCOUNT_ID_SIZE];
	char	      domain[254];
	char	      selector[SELECTOR_SIZE];
	bool	      external, previous; /* previous: of the replaced set */
	unsigned      bits;
	enum dkim_role role;
	struct wall   created, activated, retire_at;
	bool	      seen;
	struct wall   seen_since, last_check, last_seen;
	enum dkim_outcome last_outcome;
	char	      hint[256];
	unsigned char public_key[600]; /* SubjectPublicKeyInfo DER */
	size_t	      public_n;
	unsigned char sealed[2600]; /* 0x01 nonce ciphertext tag, by keys */
	size_t	      sealed_n;
};

/* -- records ---------------------------------------------------------------- */
int identity_get(struct db_txn *t, const char *account, const char *name,
    struct identity *out, struct err *e);
int identity_put(struct db_txn *t, const struct identity *i, struct err *e);
/* With its keys, tokens and due checks. */
int identity_delete(struct db_txn *t, const char *account, const char *name,
    struct err *e);
int identity_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct identity *i), void *arg,
    struct err *e);
unsigned identity_count(struct db_txn *t, const char *account);
int dkim_key_get(struct db_txn *t, const char *account, const char *domain,
    const char *selector, struct dkim_key *out, struct err *e);
/* e->text "selector ... is already in use" when another account has it. */
int dkim_key_put(struct db_txn *t, const struct dkim_key *k, struct err *e);
int dkim_key_delete(struct db_txn *t, const struct dkim_key *k, struct err *e);
int dkim_key_each(struct db_txn *t, const char *account, const char *domain,
    bool (*fn)(void *arg, const struct dkim_key *k), void *arg,
    struct err *e); /* domain NULL = all of the account; account NULL = all */

/* -- names ------------------------------------------------------------------- */
/* Normal form of what an operator typed; false and *e: why not (at least
 * two labels, no literal, no public suffix, lengths). */
bool identity_normalize(const char *given, char out[IDENTITY_NAME_SIZE],
    struct err *e);
bool identity_is_public_suffix(const char *domain);
/* Reads the list (libpsl; path NULL = built in), before privileges go. */
int identity_load_suffixes(const char *path, struct err *e);
bool selector_is_valid(const char *selector);

/* -- decisions ---------------------------------------------------------------- */
enum identity_status identity_status(const struct identity *i); /* the best */
bool identity_may_send(const struct identity *i, struct wall now);
/* Coverage (3.2): most specific verified identity; 1 found, 0 none. */
int identity_resolve(struct db_txn *t, const char *account,
    struct bytes address, struct wall now, struct identity *out,
    struct err *e);
/* What signs for a header From (dkim.md 4.1). */
enum signing_result {
	SIGNING_KEY,
	SIGNING_DISABLED,
	SIGNING_NO_IDENTITY,
	SIGNING_NOT_VERIFIED
};
int identity_signing(struct db_txn *t, const char *account,
    struct bytes from_address, enum signing_result *result,
    struct dkim_key *key, struct err *e); /* 0 / -1 */
/* Steps of dkim explain: fn gets each line. */
int identity_explain(struct db_txn *t, const char *account,
    struct bytes from_address, void (*fn)(void *arg, const char *line),
    void *arg, struct err *e);

/* -- confirmation tokens of addresses ----------------------------------------- */
/* New token for i->link (PENDING, 24 h); the text goes into the mail. */
int identity_issue_token(struct db_txn *t, struct identity *i,
    struct wall now, char token[IDENTITY_TOKEN_SIZE], struct err *e);
/* 1 = confirmed (*out as it is now), 0 = unknown, used or expired. */
int identity_confirm(struct db_txn *t, const char *token, struct wall now,
    struct identity *out, struct err *e);

#endif
