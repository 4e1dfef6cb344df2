/* SPDX-License-Identifier: ISC */
/*
 * keys_double.h - the keys client played by OpenSSL inside the test program:
 * one RSA key signs for every name, an Ed25519 key for selectors that begin
 * with "ed".  Include it in one file of a test.
 * keys_double_refuse makes it answer FAILED; keys_double_result, with a
 * reason, anything else.  While keys_double_hold is set answers wait;
 * keys_double_release() lets them go, on the client's loop.
 */
#ifndef TESTS_LIB_KEYS_DOUBLE_H
#define TESTS_LIB_KEYS_DOUBLE_H

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/thread.h"
#include "submission/keys_client.h"

struct keys_double_job {
	struct keys_answer answer;
	keys_fn		  *fn;
	void		  *arg;
	uint64_t	   ticket;
	bool		   cancelled;
};
struct keys_client {
	struct loop *loop;
	uint64_t     last;
	struct keys_double_job *jobs[64];
};

static EVP_PKEY	  *keys_double_key, *keys_double_ed25519;
static _Atomic int keys_double_refuse;
static _Atomic int keys_double_result; /* enum keys_result */
static _Atomic int keys_double_hold;
static _Atomic int keys_double_count; /* signatures made */

static inline void
keys_double_make(void)
{
	keys_double_key = EVP_RSA_gen(1024);
	keys_double_ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	must(keys_double_key != NULL && keys_double_ed25519 != NULL);
}

/* SubjectPublicKeyInfo, for records of the book */
static inline size_t
keys_double_public(unsigned char *out, size_t size)
{
	unsigned char *der = NULL;
	int	       n = i2d_PUBKEY(keys_double_key, &der);

	must(n > 0 && (size_t)n <= size);
	memcpy(out, der, (size_t)n);
	OPENSSL_free(der);
	return (size_t)n;
}

static void
keys_double_answer(void *client, void *unused)
{
	struct keys_client     *k = client;
	struct keys_double_job *j;
	size_t			i;

	(void)unused;
	for (i = 0; i < 64; i++) {
		j = k->jobs[i];
		if (j == NULL)
			continue;
		k->jobs[i] = NULL;
		if (!j->cancelled)
			j->fn(j->arg, &j->answer);
		mem_free(j);
	}
}

static void
keys_double_sign(struct keys_answer *a, const char *selector,
    const unsigned char digest[32])
{
	EVP_PKEY_CTX *c;
	EVP_MD_CTX   *m;

	a->signature_n = sizeof(a->signature);
	if (strncmp(selector, "ed", 2) == 0) {
		m = EVP_MD_CTX_new();
		must(EVP_DigestSignInit(m, NULL, NULL, NULL,
			 keys_double_ed25519) == 1 &&
		    EVP_DigestSign(m, a->signature, &a->signature_n, digest,
			32) == 1);
		EVP_MD_CTX_free(m);
		return;
	}
	c = EVP_PKEY_CTX_new(keys_double_key, NULL);
	must(EVP_PKEY_sign_init(c) == 1);
	EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING);
	EVP_PKEY_CTX_set_signature_md(c, EVP_sha256());
	must(EVP_PKEY_sign(c, a->signature, &a->signature_n, digest, 32) ==
	    1);
	EVP_PKEY_CTX_free(c);
}

static uint64_t
keys_double_ask(struct keys_client *k, const struct keys_sign *r, keys_fn *fn,
    void *arg)
{
	struct keys_double_job *j = mem_alloc(sizeof(*j));
	size_t			i;

	if (keys_double_refuse != 0 || keys_double_result != KEYS_OK) {
		j->answer.result = keys_double_refuse != 0 ? KEYS_FAILED :
		    (enum keys_result)keys_double_result;
		snprintf(j->answer.reason, sizeof(j->answer.reason),
		    "the test says no");
	} else {
		keys_double_count++;
		keys_double_sign(&j->answer, r->selector, r->digest);
	}
	j->fn = fn;
	j->arg = arg;
	j->ticket = ++k->last;
	for (i = 0; i < 64 && k->jobs[i] != NULL; i++)
		;
	must(i < 64);
	k->jobs[i] = j;
	if (keys_double_hold == 0)
		loop_defer(k->loop, keys_double_answer, k);
	return j->ticket;
}

/* What was held is answered; from any thread. */
static inline void
keys_double_release(struct keys_client *k)
{
	keys_double_hold = 0;
	must(loop_post(k->loop, keys_double_answer, k, NULL));
}

uint64_t
keys_client_sign(struct keys_client *k, const struct keys_sign *r, keys_fn *fn,
    void *arg)
{
	return keys_double_ask(k, r, fn, arg);
}

uint64_t
keys_client_sign_operator(struct keys_client *k, const struct keys_sign *r,
    keys_fn *fn, void *arg)
{
	return keys_double_ask(k, r, fn, arg);
}

void
keys_client_cancel(struct keys_client *k, uint64_t ticket)
{
	size_t i;

	for (i = 0; i < 64; i++)
		if (k->jobs[i] != NULL && k->jobs[i]->ticket == ticket)
			k->jobs[i]->cancelled = true;
}

#endif
