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
#include "registry/resource_tags.h"

enum {
	IDENTITY_NAME_SIZE = 321,
	SELECTOR_SIZE = 64,
	IDENTITY_TOKEN_SIZE = 53,
	IDENTITIES_MAX = 10000, /* of one account */
	IDENTITY_KEYS_MAX = 16, /* of one domain */
	DKIM_ED25519_BITS = 256, /* dkim.md 2.2; RSA begins at 1024 */
	IDENTITY_LINK_MS = 24 * 60 * 60 * 1000
};
enum identity_status {
	IDENTITY_NOT_STARTED,
	IDENTITY_PENDING,
	IDENTITY_SUCCESS,
	IDENTITY_TEMPORARY_FAILURE,
	IDENTITY_FAILED
};
enum identity_method {
	METHOD_DKIM,
	METHOD_TOKEN,
	METHOD_LINK,
	METHOD_OVERRIDE
};
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
/* Why the last check did not find all (ErrorType, identities 2). */
enum identity_error {
	IDENTITY_NO_ERROR,
	IDENTITY_SERVICE_ERROR,	   /* ours: no verifier, our own zone */
	IDENTITY_DNS_SERVER_ERROR, /* SERVFAIL, time-out and the like */
	IDENTITY_HOST_NOT_FOUND,   /* NXDOMAIN */
	IDENTITY_TYPE_NOT_FOUND,   /* the name is there, the record is not */
	IDENTITY_INVALID_VALUE
};
const char *identity_error_to_text(enum identity_error e);
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
	enum identity_error error; /* of the last check */
};

/* A custom MAIL FROM domain (mail-from-spf-dmarc.md 4): mail_from.h. */
struct identity_mail_from {
	char domain[254]; /* "" = unset: what is above it decides */
	bool opted_out;	  /* "none": the default domain, here and below */
	bool reject;	  /* REJECT_MESSAGE while it is not SUCCESS */
	bool orphaned;	  /* the domain above it is gone: FAILED follows */
	struct identity_check_state check;
	enum dkim_outcome last_outcome;
	char hint[256];
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
	bool	    cname;    /* managed keys: CNAME publication, three slots */
	struct identity_check_state dkim;
	unsigned    bits, next_bits;
	struct wall last_length_change;
	enum dkim_switch dual; /* Ed25519 as well; INHERIT: dkim.dual_sign */
	struct identity_check_state previous; /* old set that signs meanwhile */
	bool	    has_previous;
	struct wall next_event; /* a key is to be looked at; 0 = none */
	/* feedback */
	bool	    forwarding;
	char	    config_set[65];
	struct identity_mail_from mail_from;
};

struct dkim_key {
	char	      account[ACCOUNT_ID_SIZE];
	char	      domain[254];
	char	      selector[SELECTOR_SIZE];
	bool	      external, previous; /* previous: of the replaced set */
	bool	      ed25519; /* else RSA */
	unsigned      bits;    /* DKIM_ED25519_BITS for Ed25519 */
	enum dkim_role role;
	struct wall   created, activated, retire_at;
	bool	      seen;
	struct wall   seen_since, last_check, last_seen;
	enum dkim_outcome last_outcome;
	char	      hint[256];
	/* SubjectPublicKeyInfo DER; Ed25519: the 32 octets (RFC 8463 4.2) */
	unsigned char public_key[600];
	size_t	      public_n;
	unsigned char sealed[2600]; /* 0x01 nonce ciphertext tag, by keys */
	size_t	      sealed_n;
};

/* All keys of one domain, as identity_check.h works on them. */
struct identity_keys {
	struct dkim_key v[IDENTITY_KEYS_MAX];
	bool		drop[IDENTITY_KEYS_MAX]; /* goes at the next store */
	size_t		n;
};

/* Defaults of a new one: domain DKIM, address LINK, both not started. */
void identity_init(struct identity *i, const char *account, const char *name,
    struct wall now);

/* -- records -------------------------------------------------------------- */
/* A new one: refuses one that exists, and more than IDENTITIES_MAX. */
int identity_create(struct db_txn *t, const struct identity *i,
    struct err *e);
int identity_get(struct db_txn *t, const char *account, const char *name,
    struct identity *out, struct err *e);
int identity_put(struct db_txn *t, const struct identity *i, struct err *e);
/* Its labels: 0, also when there are none; -1. */
int identity_tags_get(struct db_txn *t, const struct identity *i,
    struct arena *a, struct resource_tags *out, struct err *e);
int identity_tags_put(struct db_txn *t, const struct identity *i,
    const struct resource_tags *tags, struct err *e);
/* With its labels, keys, policies, notifications, tokens and due checks. */
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
/* The set of a domain, read and written (dropped ones deleted) as a whole. */
int identity_keys_load(struct db_txn *t, const char *account,
    const char *domain, struct identity_keys *out, struct err *e);
int identity_keys_store(struct db_txn *t, const struct identity_keys *ks,
    struct err *e);
/* When something has to be done about it: checks, deadlines, keys; 0 = never.
 * identity_put() keeps the queue of these times. */
struct wall identity_due(const struct identity *i);
/* Those due by then, the earliest first, until fn says false. */
int identity_each_due(struct db_txn *t, struct wall by,
    bool (*fn)(void *arg, struct wall due, const char *account,
	const char *name),
    void *arg, struct err *e);

/* -- names ---------------------------------------------------------------- */
/* Normal form of what an operator typed; false and *e: why not (at least
 * two labels, no literal, no public suffix, lengths). */
bool identity_normalize(const char *given, char out[IDENTITY_NAME_SIZE],
    struct err *e);
bool identity_is_public_suffix(const char *domain);
/* "example.org" of "mx1.mail.example.org"; lends from it. */
struct bytes identity_registrable(struct bytes host);
/* The organisational domain of one (RFC 7489 3.2): the registrable one, or,
 * without a list, its last two labels. */
struct bytes identity_organisation(struct bytes domain);
bool identity_has_suffixes(void);
/*
 * The list from now on, at the start and at reload (one thread; others may be
 * asking): the text of dns.psl_file, or none: the system's.  -1: as before.
 */
int identity_load_suffixes(struct bytes text, struct err *e);
/* As before the first one; for tests, as nobody may be asking. */
void identity_forget_suffixes(void);
bool selector_is_valid(const char *selector); /* either case */
/* "www.example.com: mail is usually sent from example.com"; "" = none */
const char *identity_name_warning(const char *name, char out[600]);

/* -- decisions ------------------------------------------------------------ */
enum identity_status identity_status(const struct identity *i); /* the best */
/* Which keys sign: the set in force, the previous one, or none. */
enum identity_set { SET_NONE, SET_CURRENT, SET_PREVIOUS };
enum identity_set identity_signing_set(const struct identity *i);
bool identity_may_send(const struct identity *i, struct wall now);
/* Is Ed25519 to sign beside RSA?  dual_sign: dkim.dual_sign */
bool identity_is_dual(const struct identity *i, bool dual_sign);
/* Whose signatures a message gets. */
struct signing_keys {
	struct dkim_key key; /* RSA; Ed25519 where there is no RSA key */
	struct dkim_key second; /* Ed25519 beside it */
	bool		has_second;
};
/* The ACTIVE keys of that set, whatever their records: 1, 0, -1. */
int dkim_keys_active(struct db_txn *t, const struct identity *i,
    enum identity_set set, struct signing_keys *out, struct err *e);
/* Coverage (3.2): most specific verified identity; 1 found, 0 none. */
int identity_resolve(struct db_txn *t, const char *account,
    struct bytes address, struct wall now, struct identity *out,
    struct err *e);
/* All that cover it and are verified, the most specific first, each in *room,
 * until fn says false: 1; 0 = it never did; -1. */
int identity_each_covering(struct db_txn *t, const char *account,
    struct bytes address, struct wall now, struct identity *room,
    bool (*fn)(void *arg, const struct identity *i), void *arg,
    struct err *e);
/* What signs for a header From (dkim.md 4.1). */
enum signing_result {
	SIGNING_KEY,
	SIGNING_DISABLED,
	SIGNING_NO_IDENTITY,
	SIGNING_NOT_VERIFIED
};
struct signing_question {
	struct db_txn *txn;
	const char    *account; /* the identity's owner */
	struct bytes   from;
	bool	       dual_sign; /* dkim.dual_sign */
};
struct signing_choice {
	enum signing_result result;
	struct signing_keys keys; /* of SIGNING_KEY; second: it is seen */
	/* whose settings, or whose missing records; "" = of nobody */
	char decided_by[IDENTITY_NAME_SIZE];
};
int identity_signing(const struct signing_question *q,
    struct signing_choice *out, struct err *e); /* 0 / -1 */
/* Steps of dkim explain: fn gets each line. */
int identity_explain(const struct signing_question *q,
    void (*fn)(void *arg, const char *line), void *arg, struct err *e);
/* dkim enable / disable (dkim.md 4.2, errors of 13); 0 / -1. */
int identity_set_signing(struct db_txn *t, const char *account,
    const char *name, bool on, struct wall now, struct err *e);

/* -- confirmation tokens of addresses ------------------------------------- */
/* New token for i->link (PENDING, 24 h); the text goes into the mail.
 * Refuses a second one within 60 s (TooManyRequestsException). Writes i. */
int identity_issue_token(struct db_txn *t, struct identity *i,
    struct wall now, char token[IDENTITY_TOKEN_SIZE], struct err *e);
/* 1 = confirmed (*out as it is now), 0 = unknown, used or expired. */
int identity_confirm(struct db_txn *t, const char *token, struct wall now,
    struct identity *out, struct err *e);
/* 52 characters a-z2-7 of 32 random octets: links and TXT tokens. */
void identity_make_token(char out[IDENTITY_TOKEN_SIZE]);

#endif
