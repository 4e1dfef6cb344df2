/* SPDX-License-Identifier: ISC */
/*
 * credential.h - SMTP users: derived secrets, verification, rotation,
 * restrictions (credentials.md).
 * Use:    credential_check_login(t, &login, &out) decides an AUTH; what it
 *         may send is in permission.h.
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction; deriving is pure.
 * Fails:  1 found, 0 not there, -1 and *e (store).
 * Secrets and passwords are wiped by whoever holds them last.
 * Size:   struct credential has some 80 KB: on a stack yes, in a session no.
 */
#ifndef REGISTRY_CREDENTIAL_H
#define REGISTRY_CREDENTIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "registry/account.h"
#include "registry/book.h"
#include "registry/cidr.h"

enum {
	CREDENTIAL_NAME_SIZE = 65,
	CREDENTIAL_KEY_SIZE = 129,	/* access key id with NUL */
	CREDENTIAL_PASSWORD_SIZE = 45,	/* 44 characters and NUL */
	CREDENTIAL_SECRET_SIZE = 41,
	CREDENTIAL_LIST_MAX = 32,
	CREDENTIAL_KEYS_MAX = 2,
	CREDENTIAL_POLICIES_MAX = 10,
	CREDENTIAL_POLICY_MAX = 4096,
	CREDENTIAL_KEY_KEEP_MS = 24 * 60 * 60 * 1000 /* rotate without --keep */
};
enum credential_role {
	ROLE_SMTP,
	ROLE_SEND,
	ROLE_READ_ONLY,
	ROLE_FULL,
	ROLE_NONE
};

/* -- derivation (section 3), pure ----------------------------------------- */
/* region: [a-z0-9-]{1,32} */
bool credential_region_is_valid(struct bytes region);
void credential_derive(struct bytes secret, struct bytes region,
    char password[CREDENTIAL_PASSWORD_SIZE]);
/* The five intermediate values and the result, for the test vectors. */
void credential_derive_steps(struct bytes secret, struct bytes region,
    unsigned char steps[5][32]);
/* Digest that is stored; false = not a password of version 4. */
bool credential_verifier(struct bytes password, unsigned char digest[32]);
void credential_make_key_id(char out[21]);  /* AKIA + 16 */
void credential_make_secret(char out[CREDENTIAL_SECRET_SIZE]);

/* For others that store digests of secrets (confirmation tokens), or prove
 * something by a key of theirs: SHA-256 and HMAC with it. */
void credential_sha256(const void *p, size_t n, unsigned char out[32]);
void credential_hmac(const void *key, size_t key_n, struct bytes data,
    unsigned char out[32]);

/* -- stored objects ------------------------------------------------------- */
struct credential_key {
	char	      id[CREDENTIAL_KEY_SIZE];
	bool	      active;
	bool	      imported;
	unsigned char digest[32];
	char	      region[33]; /* the verifier is for */
	struct wall   created, expires; /* expires 0 = never */
	struct wall   last_used;	/* 0 = never */
	char	      last_ip[64], last_listener[64];
};
struct credential_restrictions {
	struct conf_cidr cidrs[CREDENTIAL_LIST_MAX];
	unsigned    cidr_count;
	char	    listeners[8][64];
	unsigned    listener_count;
	int	    min_tls; /* 0, 12, 13 */
	char	    from[CREDENTIAL_LIST_MAX][256]; /* globs */
	unsigned    from_count;
	char	    rcpt[CREDENTIAL_LIST_MAX][256];
	unsigned    rcpt_count;
	unsigned    max_recipients; /* 0 = none, and so on */
	uint64_t    max_size;
	double	    max_24h, rate; /* -2 = not set */
	unsigned    max_sessions;
	char	    config_set[65];
	bool	    force_config_set;
	struct wall expires;
	/* of messages; each name once */
	struct {
		char name[MESSAGE_TAG_MAX + 1], value[MESSAGE_TAG_MAX + 1];
	} tags[CREDENTIAL_LIST_MAX];
	unsigned    tag_count;
};
struct credential {
	char	    account[ACCOUNT_ID_SIZE];
	char	    name[CREDENTIAL_NAME_SIZE]; /* as given */
	bool	    enabled;
	enum credential_role role;
	struct wall created, updated;
	char	    description[257];
	struct credential_key keys[CREDENTIAL_KEYS_MAX];
	unsigned    key_count;
	struct credential_restrictions limits;
	struct account_overrides overrides;
	/* own policies, in the order of their names */
	struct credential_policy {
		char name[65];
		char text[CREDENTIAL_POLICY_MAX + 1]; /* byte for byte */
	} policies[CREDENTIAL_POLICIES_MAX];
	unsigned    policy_count;
};
/* Everything at its default: role smtp, enabled, no restriction. */
void credential_init(struct credential *c);
const char *credential_role_to_text(enum credential_role r);
bool credential_role_from_text(const char *s, enum credential_role *out);
bool credential_name_is_valid(const char *name);
bool credential_key_id_is_valid(const char *id); /* ^[A-Z0-9]{16,128}$ */
/* "ses-smtp-user.YYYYMMDD-HHMMSS" */
void credential_default_name(struct wall now, char out[CREDENTIAL_NAME_SIZE]);
/* "ACTIVE", "INACTIVE", "EXPIRED" */
const char *credential_key_state(const struct credential_key *k,
    struct wall now);
/* LastUsed is written at most once per 60 s. */
bool credential_key_note_use(struct credential_key *k, struct wall now,
    const char *ip, const char *listener); /* true = changed */

/* A fresh key for region: id, verifier; the secret is forgotten. */
void credential_make_key(struct credential_key *k, const char *region,
    struct wall now, char password[CREDENTIAL_PASSWORD_SIZE]);
/* Import: verifier of a password made elsewhere, or of a secret, into a
 * cleared key that has its id and created; 0 / -1. */
int credential_import_password(struct credential_key *k, const char *region,
    struct bytes password, struct err *e);
int credential_import_secret(struct credential_key *k, const char *region,
    struct bytes secret, struct err *e);
/*
 * A second key; the old one expires after keep_ms (0: now).  A key that is
 * inactive or expired makes room.  -1: has two that are in use.
 */
int credential_rotate(struct credential *c, const struct credential_key *fresh,
    int64_t keep_ms, struct wall now, struct err *e);
/* Sets, replaces or (empty text) removes a policy; refuses what cannot be
 * evaluated. */
int credential_set_policy(struct credential *c, const char *name,
    struct bytes text, struct err *e);

int credential_get(struct db_txn *t, const char *account, const char *name,
    struct credential *out, struct err *e);
/*
 * By access key id; *key is the index of the key.  An id that is not there
 * costs what one costs that is, so that nobody learns which there are by the
 * time it takes: the credential of its neighbour is read, and *out is of no
 * use.
 */
int credential_find_key(struct db_txn *t, const char *key_id,
    struct credential *out, unsigned *key, struct err *e);
/* A new one: refuses a name in use, and more than max of them (0 = any). */
int credential_create(struct db_txn *t, const struct credential *c,
    unsigned max, struct err *e);
/* Writes it with its keys; refuses key ids of other credentials. */
int credential_put(struct db_txn *t, const struct credential *c,
    struct err *e);
int credential_delete(struct db_txn *t, const char *account,
    const char *name, struct err *e);
/* account NULL = all */
int credential_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct credential *c), void *arg,
    struct err *e);
unsigned credential_count(struct db_txn *t, const char *account);

/* -- login (section 5) ---------------------------------------------------- */
enum login_result {
	LOGIN_OK,
	LOGIN_BAD_FORMAT,
	LOGIN_UNKNOWN_KEY,
	LOGIN_BAD_PASSWORD,
	LOGIN_DISABLED,
	LOGIN_EXPIRED,
	LOGIN_RESTRICTED,
	LOGIN_ACCOUNT_CLOSED,
	LOGIN_STORE_ERROR
};
const char *login_result_to_text(enum login_result r); /* "bad-format" */
struct login {
	struct bytes user, password;
	const char  *region;
	const struct sockaddr *peer;
	const char  *listener;
	int	     tls; /* 0, 12, 13 */
	struct wall  now;
};
/* The work done is the same for all failures.  On OK *c, *a and *key are
 * filled; for known keys *c is filled on failure, too (for the log). */
enum login_result credential_check_login(struct db_txn *t,
    const struct login *l, struct credential *c, struct account *a,
    unsigned *key);
/* Still valid later in the session?  key NULL: local socket. */
bool credential_is_valid(const struct credential *c, const char *key_id,
    struct wall now);

#endif
