/* SPDX-License-Identifier: ISC */
/*
 * signer_world.h - a signer whose keys process is played by OpenSSL.
 * Use:    tests with setup() and teardown(), main() makes the key; sign(),
 *         signed_message() and tag_of() for what comes out.
 * Owner:  the test.
 * Thread: one.
 * Fails:  by the test's assertions.
 */
#ifndef TESTS_SIGNER_WORLD_H
#define TESTS_SIGNER_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dkim_oracle.h"
#include "registry/conf.h"
#include "submission/keys_client.h"
#include "submission/signer.h"

enum { ASKED_MAX = 8 };

/* -- a keys client that answers when the test says so --------------------- */

struct asked {
	keys_fn	     *fn;
	void	     *arg;
	unsigned char digest[32];
	char	      name[400];
	bool	      cancelled;
};
static struct asked asked[ASKED_MAX];
static uint64_t	    asked_count;
static EVP_PKEY	   *key;
static EVP_PKEY	   *ed25519_key; /* of the selector "ed"; NULL = none */

static uint64_t
ask(const unsigned char digest[32], const char *domain, const char *selector,
    keys_fn *fn, void *arg)
{
	struct asked *a = &asked[asked_count];

	assert_true(asked_count < ASKED_MAX);
	memset(a, 0, sizeof(*a));
	memcpy(a->digest, digest, 32);
	snprintf(a->name, sizeof(a->name), "%s/%s", domain, selector);
	a->fn = fn;
	a->arg = arg;
	return ++asked_count;
}

uint64_t
keys_client_sign(struct keys_client *k, const struct keys_sign *r, keys_fn *fn,
    void *arg)
{
	(void)k;
	assert_true(bytes_eq(r->sealed, BYTES("sealed")));
	return ask(r->digest, r->domain, r->selector, fn, arg);
}

uint64_t
keys_client_sign_operator(struct keys_client *k, const struct keys_sign *r,
    keys_fn *fn, void *arg)
{
	(void)k;
	assert_string_equal(r->domain, "relay.example");
	assert_string_equal(r->selector, "op");
	return ask(r->digest, "operator", "", fn, arg);
}

void
keys_client_cancel(struct keys_client *k, uint64_t ticket)
{
	(void)k;
	assert_true(ticket >= 1 && ticket <= asked_count);
	asked[ticket - 1].cancelled = true;
}

/* RFC 8463 3: the digest is what is signed */
static inline void
sign_ed25519(const unsigned char digest[32], struct keys_answer *a)
{
	EVP_MD_CTX *m = EVP_MD_CTX_new();

	assert_int_equal(EVP_DigestSignInit(m, NULL, NULL, NULL, ed25519_key),
	    1);
	assert_int_equal(EVP_DigestSign(m, a->signature, &a->signature_n,
	    digest, 32), 1);
	EVP_MD_CTX_free(m);
}

static inline bool
ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);

	return n >= k && strcmp(text + n - k, end) == 0;
}

static inline void
answer_all(void)
{
	struct keys_answer a;
	EVP_PKEY_CTX	  *c;
	uint64_t	   i;

	for (i = 0; i < asked_count; i++) {
		memset(&a, 0, sizeof(a));
		a.signature_n = sizeof(a.signature);
		if (ends_with(asked[i].name, "/ed")) {
			sign_ed25519(asked[i].digest, &a);
			asked[i].fn(asked[i].arg, &a);
			continue;
		}
		c = EVP_PKEY_CTX_new(key, NULL);
		assert_int_equal(EVP_PKEY_sign_init(c), 1);
		EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING);
		EVP_PKEY_CTX_set_signature_md(c, EVP_sha256());
		assert_int_equal(EVP_PKEY_sign(c, a.signature, &a.signature_n,
		    asked[i].digest, 32), 1);
		EVP_PKEY_CTX_free(c);
		asked[i].fn(asked[i].arg, &a);
	}
}

/* The library's verify mode: do all signatures verify, and how many? */
static inline bool
verifies(struct bytes message, int *count)
{
	*count = oracle_verify_with(message, key);
	return *count > 0;
}

/* -- set-up --------------------------------------------------------------- */

struct bench {
	struct conf	  *conf;
	struct signer	  *signer;
	struct sign_answer answer;
	struct buf	   fields;
	unsigned	   answers;
};

static inline int
setup(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));
	struct err    e;

	b->conf = conf_defaults();
	b->signer = signer_new(NULL, &e);
	assert_non_null(b->signer);
	buf_init(&b->fields, 65536);
	asked_count = 0;
	*state = b;
	return 0;
}

static inline int
teardown(void **state)
{
	struct bench *b = *state;

	signer_free(b->signer);
	conf_unref(b->conf);
	buf_wipe(&b->fields);
	mem_free(b);
	return 0;
}

static inline void
on_signed(void *arg, const struct sign_answer *a)
{
	struct bench *b = arg;

	b->answers++;
	b->answer = *a;
	buf_clear(&b->fields);
	buf_add_bytes(&b->fields, a->fields);
}

static inline void
body_hash(struct bench *b, struct bytes body, size_t step,
    unsigned char digest[32])
{
	struct signer_hash *h;
	struct err	    e;
	size_t		    n;

	h = signer_hash_new(b->signer, b->conf, &e);
	assert_non_null(h);
	while (body.n > 0) {
		n = step == 0 || step > body.n ? body.n : step;
		signer_hash_feed(h, bytes_head(body, n));
		body = bytes_from(body, n);
	}
	assert_int_equal(signer_hash_end(h, digest, &e), 0);
	signer_hash_free(h);
}

/* Signs head and body with the identity's key (domain NULL = none), and with
 * an Ed25519 key of it. */
static inline void
sign_as(struct bench *b, const char *domain, bool dual, struct bytes head,
    struct bytes body)
{
	unsigned char	    digest[32];
	struct sign_request r = { .conf = b->conf,
		.when = { 1714564800000 }, .head = head,
		.body_hash = digest,
		.keys = { { SIGN_RSA, domain,
		    "azfm6qz3v2dkc5yhobh4fjaxzzdo25tr", BYTES("sealed") },
		    { SIGN_ED25519, domain, "ed", BYTES("sealed") } },
		.key_count = domain == NULL ? 0 : 1 };
	struct signing *g;
	struct err	e;

	r.key_count += dual;
	body_hash(b, body, 0, digest);
	assert_true(signer_has_work(&r));
	g = signer_sign(b->signer, &r, on_signed, b, &e);
	if (g == NULL)
		fail_msg("%s", e.text);
	assert_int_equal(b->answers, 0);
	answer_all();
	assert_int_equal(b->answers, 1);
	b->answers = 0;
	asked_count = 0;
}

static inline void
sign(struct bench *b, const char *domain, struct bytes head, struct bytes body)
{
	sign_as(b, domain, false, head, body);
}

static inline void
signed_message(struct bench *b, struct bytes head, struct bytes body,
    struct buf *out)
{
	buf_clear(out);
	buf_add_bytes(out, buf_bytes(&b->fields));
	buf_add_bytes(out, head);
	buf_add_bytes(out, body);
	assert_false(out->failed);
}

/* Value of a tag of the n-th field, blanks removed. */
static inline char *
tag_of(struct bench *b, const char *tag)
{
	static char out[6000];
	char	    want[16];
	const char *p;
	size_t	    n = 0;

	buf_add_char(&b->fields, '\0');
	b->fields.n--;
	snprintf(want, sizeof(want), "%s=", tag);
	for (p = b->fields.p; (p = strstr(p, want)) != NULL; p++)
		if (p[-1] == ' ' || p[-1] == '\t')
			break;
	out[0] = '\0';
	if (p == NULL)
		return out;
	for (p += strlen(want); *p != ';' && *p != '\0'; p++)
		if (*p != ' ' && *p != '\t' && *p != '\r' && *p != '\n')
			out[n++] = *p;
	out[n] = '\0';
	return out;
}

static inline unsigned
count_name(const char *list, const char *name)
{
	size_t	 n = strlen(name);
	unsigned c = 0;

	for (;;) {
		if (strncmp(list, name, n) == 0 &&
		    (list[n] == ':' || list[n] == '\0'))
			c++;
		list = strchr(list, ':');
		if (list == NULL)
			return c;
		list++;
	}
}

#endif
