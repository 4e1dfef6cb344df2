/* SPDX-License-Identifier: ISC */
/*
 * Secrets, keys and names; the only file of the registers that sees OpenSSL.
 * The register is in credential_book.c, login and permission in login.c.
 */
#include "registry/credential.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/mem.h"
#include "base/reserve.h"
#include "registry/policy.h"

enum {
	PASSWORD_VERSION = 4,
	PASSWORD_OCTETS = 33,
	PASSWORD_CHARACTERS = CREDENTIAL_PASSWORD_SIZE - 1,
	SECRET_CHARACTERS = CREDENTIAL_SECRET_SIZE - 1,
	KEY_SECRET_MAX = 512, /* of an imported secret */
	KEY_USE_INTERVAL_MS = 60 * 1000
};

/* -- derivation ----------------------------------------------------------- */

/* false = no memory */
static bool
credential_try_hmac(const void *key, size_t key_n, struct bytes data,
    unsigned char out[32])
{
	unsigned n = 0;

	return HMAC(EVP_sha256(), key, (int)key_n,
	    (const unsigned char *)data.p, data.n, out, &n) != NULL && n == 32;
}

void
credential_hmac(const void *key, size_t key_n, struct bytes data,
    unsigned char out[32])
{
	must(credential_try_hmac(key, key_n, data, out) ||
	    (reserve_spend() && credential_try_hmac(key, key_n, data, out)));
}

void
credential_sha256(const void *p, size_t n, unsigned char out[32])
{
	SHA256(p, n, out);
}

bool
credential_region_is_valid(struct bytes region)
{
	size_t i;

	for (i = 0; i < region.n; i++) {
		if (!((region.p[i] >= 'a' && region.p[i] <= 'z') ||
			ascii_is_digit(region.p[i]) || region.p[i] == '-'))
			return false;
	}
	return region.n >= 1 && region.n <= 32;
}

void
credential_derive_steps(struct bytes secret, struct bytes region,
    unsigned char steps[5][32])
{
	struct buf key;

	buf_init(&key, SIZE_MAX / 2);
	buf_add_text(&key, "AWS4");
	must(buf_add_bytes(&key, secret));
	credential_hmac(key.p, key.n, BYTES("11111111"), steps[0]);
	mem_wipe(key.p, key.n);
	buf_wipe(&key);
	credential_hmac(steps[0], 32, region, steps[1]);
	credential_hmac(steps[1], 32, BYTES("ses"), steps[2]);
	credential_hmac(steps[2], 32, BYTES("aws4_request"), steps[3]);
	credential_hmac(steps[3], 32, BYTES("SendRawEmail"), steps[4]);
}

void
credential_derive(struct bytes secret, struct bytes region,
    char password[CREDENTIAL_PASSWORD_SIZE])
{
	unsigned char steps[5][32], raw[PASSWORD_OCTETS];

	credential_derive_steps(secret, region, steps);
	raw[0] = PASSWORD_VERSION;
	memcpy(raw + 1, steps[4], 32);
	base64_encode(raw, sizeof(raw), password);
	mem_wipe(steps, sizeof(steps));
	mem_wipe(raw, sizeof(raw));
}

bool
credential_verifier(struct bytes password, unsigned char digest[32])
{
	static const char prefix[] = "posthorn-smtp-verifier-v1";
	enum { PREFIX = sizeof(prefix) - 1 };
	unsigned char input[PREFIX + PASSWORD_OCTETS];
	size_t	      n = 0;
	bool	      ok;

	memset(input, 0, sizeof(input));
	memcpy(input, prefix, PREFIX);
	ok = password.n == PASSWORD_CHARACTERS &&
	    base64_decode(password, input + PREFIX, PASSWORD_OCTETS, &n) &&
	    n == PASSWORD_OCTETS && input[PREFIX] == PASSWORD_VERSION;
	/* the same work for what is no password */
	SHA256(input, sizeof(input), digest);
	mem_wipe(input, sizeof(input));
	return ok;
}

void
credential_make_key_id(char out[21])
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	unsigned char	  raw[16];
	size_t		  i;

	mem_random(raw, sizeof(raw));
	memcpy(out, "AKIA", 4);
	for (i = 0; i < sizeof(raw); i++)
		out[4 + i] = letters[raw[i] & 31];
	out[20] = '\0';
}

void
credential_make_secret(char out[CREDENTIAL_SECRET_SIZE])
{
	unsigned char raw[30];

	mem_random(raw, sizeof(raw));
	base64_encode(raw, sizeof(raw), out);
	mem_wipe(raw, sizeof(raw));
}

/* -- keys ----------------------------------------------------------------- */

static void
credential_set_secret(struct credential_key *k, const char *region,
    struct bytes secret, char password[CREDENTIAL_PASSWORD_SIZE])
{
	credential_derive(secret, bytes_of(region), password);
	must(credential_verifier(bytes_of(password), k->digest));
	bytes_text(bytes_of(region), k->region, sizeof(k->region));
}

void
credential_make_key(struct credential_key *k, const char *region,
    struct wall now, char password[CREDENTIAL_PASSWORD_SIZE])
{
	char secret[CREDENTIAL_SECRET_SIZE];

	memset(k, 0, sizeof(*k));
	credential_make_key_id(k->id);
	credential_make_secret(secret);
	credential_set_secret(k, region, bytes_of(secret), password);
	mem_wipe(secret, sizeof(secret));
	k->active = true;
	k->created = now;
}

int
credential_import_password(struct credential_key *k, const char *region,
    struct bytes password, struct err *e)
{
	if (!credential_verifier(password, k->digest))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "not an SMTP password of derivation version 4%s",
		    password.n == SECRET_CHARACTERS ?
			"; this looks like a secret access key; use "
			"--secret-stdin" : "");
	bytes_text(bytes_of(region), k->region, sizeof(k->region));
	k->imported = true;
	k->active = true;
	return 0;
}

int
credential_import_secret(struct credential_key *k, const char *region,
    struct bytes secret, struct err *e)
{
	char password[CREDENTIAL_PASSWORD_SIZE];

	if (secret.n == 0 || secret.n > KEY_SECRET_MAX)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "not a secret access key");
	credential_set_secret(k, region, secret, password);
	mem_wipe(password, sizeof(password));
	k->imported = true;
	k->active = true;
	return 0;
}

static bool
credential_key_is_expired(const struct credential_key *k, struct wall now)
{
	return k->expires.ms != 0 && k->expires.ms <= now.ms;
}

const char *
credential_key_state(const struct credential_key *k, struct wall now)
{
	if (!k->active)
		return "INACTIVE";
	return credential_key_is_expired(k, now) ? "EXPIRED" : "ACTIVE";
}

bool
credential_key_note_use(struct credential_key *k, struct wall now,
    const char *ip, const char *listener)
{
	if (k->last_used.ms != 0 && now.ms >= k->last_used.ms &&
	    now.ms - k->last_used.ms < KEY_USE_INTERVAL_MS)
		return false;
	k->last_used = now;
	bytes_text(bytes_of(ip), k->last_ip, sizeof(k->last_ip));
	bytes_text(bytes_of(listener), k->last_listener,
	    sizeof(k->last_listener));
	return true;
}

/* Keys that cannot log in any more make room; at most one has to go. */
static void
credential_drop_dead_key(struct credential *c, struct wall now)
{
	unsigned i;

	for (i = 0; i < c->key_count; i++) {
		if (c->keys[i].active &&
		    !credential_key_is_expired(&c->keys[i], now))
			continue;
		c->key_count--;
		memmove(&c->keys[i], &c->keys[i + 1],
		    (c->key_count - i) * sizeof(c->keys[0]));
		return;
	}
}

int
credential_rotate(struct credential *c, const struct credential_key *fresh,
    int64_t keep_ms, struct wall now, struct err *e)
{
	struct wall end = { now.ms + keep_ms };
	unsigned    i;

	if (c->key_count == CREDENTIAL_KEYS_MAX)
		credential_drop_dead_key(c, now);
	if (c->key_count == CREDENTIAL_KEYS_MAX)
		return book_refuse(e, BOOK_LIMIT, "LimitExceededException: "
		    "a credential can have at most 2 access keys");
	for (i = 0; i < c->key_count; i++) {
		if (c->keys[i].expires.ms == 0 ||
		    c->keys[i].expires.ms > end.ms)
			c->keys[i].expires = end;
	}
	c->keys[c->key_count++] = *fresh;
	c->updated = now;
	return 0;
}

/* -- names ---------------------------------------------------------------- */

bool
credential_key_id_is_valid(const char *id)
{
	size_t n = strlen(id);

	return n >= 16 && n < CREDENTIAL_KEY_SIZE &&
	    strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == n;
}

bool
credential_name_is_valid(const char *name)
{
	size_t n = strlen(name);

	return n >= 1 && n < CREDENTIAL_NAME_SIZE &&
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "abcdefghijklmnopqrstuvwxyz0123456789+=,.@_-") == n;
}

void
credential_default_name(struct wall now, char out[CREDENTIAL_NAME_SIZE])
{
	char text[CLOCK_TEXT_MAX];

	snprintf(out, CREDENTIAL_NAME_SIZE, "ses-smtp-user.%s",
	    wall_compact(now, text));
}

static const char *const role_texts[] = {
	[ROLE_SMTP] = "smtp",
	[ROLE_SEND] = "send",
	[ROLE_READ_ONLY] = "read-only",
	[ROLE_FULL] = "full",
	[ROLE_NONE] = "none",
};

const char *
credential_role_to_text(enum credential_role r)
{
	return role_texts[r];
}

bool
credential_role_from_text(const char *s, enum credential_role *out)
{
	unsigned i;

	for (i = 0; i < sizeof(role_texts) / sizeof(role_texts[0]); i++) {
		if (strcmp(s, role_texts[i]) == 0) {
			*out = (enum credential_role)i;
			return true;
		}
	}
	return false;
}

void
credential_init(struct credential *c)
{
	memset(c, 0, sizeof(*c));
	c->enabled = true;
	c->role = ROLE_SMTP;
	c->limits.max_24h = -2;
	c->limits.rate = -2;
}

int
credential_set_policy(struct credential *c, const char *name,
    struct bytes text, struct err *e)
{
	static const struct policy_place here = { NULL, NULL };
	struct policy *read;
	unsigned       i = 0;
	int	       order = 1;

	if (!policy_name_is_valid(name))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "a policy name is 1 to 64 letters, digits, - or _");
	if (text.n > 0) {
		read = policy_new(&here, text, e);
		if (read == NULL)
			return -1;
		policy_free(read);
	}
	for (i = 0; i < c->policy_count; i++) {
		order = strcmp(c->policies[i].name, name);
		if (order >= 0)
			break;
	}
	if (text.n == 0) {
		if (order != 0 || i == c->policy_count)
			return book_refuse(e, BOOK_NOT_FOUND,
			    "no such policy: %s", name);
		c->policy_count--;
		memmove(&c->policies[i], &c->policies[i + 1],
		    (c->policy_count - i) * sizeof(c->policies[0]));
		return 0;
	}
	if (order != 0 || i == c->policy_count) {
		if (c->policy_count == CREDENTIAL_POLICIES_MAX)
			return book_refuse(e, BOOK_LIMIT,
			    "LimitExceededException: a credential can have "
			    "at most 10 policies");
		memmove(&c->policies[i + 1], &c->policies[i],
		    (c->policy_count - i) * sizeof(c->policies[0]));
		c->policy_count++;
	}
	bytes_text(bytes_of(name), c->policies[i].name,
	    sizeof(c->policies[i].name));
	bytes_text(text, c->policies[i].text, sizeof(c->policies[i].text));
	return 0;
}
