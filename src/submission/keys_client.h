/* SPDX-License-Identifier: ISC */
/*
 * keys_client.h - relay's side of the keys process: one for each loop that
 * asks (submission loops, main).
 *
 * Use:    k = keys_client_new(loop, fd, &e);
 *         keys_client_sign(k, &request, on_answer, arg): the answer comes
 *         exactly once, never from inside the call.
 *         keys_client_replace(k, fd): a new keys process; what was out is
 *         sent once more.
 * Owner:  the wiring; keys_client_free() answers what is out with FAILED.
 *         fd -1 in new: there is no keys process yet, replace brings it.
 * Thread: the loop's.
 * Fails:  KEYS_FAILED with a reason; KEYS_DOWN when no answer came within 5 s
 *         of the request (451).  What makes, reads or writes keys may take
 *         30 s, as long as the keys process answers a small question beside
 *         it within 5 s; one that hangs is noticed after those.  To UNKNOWN the sealed key is sent and the request asked
 *         again, inside this module; for the operator's key it is asked
 *         again until the limit: a reload reaches the keys process later.
 * The protocol is in registry/keys_proto.h; see architecture.md 2.
 */
#ifndef SUBMISSION_KEYS_CLIENT_H
#define SUBMISSION_KEYS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/thread.h"

struct keys_client;

enum keys_result { KEYS_OK, KEYS_FAILED, KEYS_DOWN };
enum {
	KEYS_SIGNATURE_MAX = 512,
	KEYS_PUBLIC_MAX = 600,
	KEYS_SEALED_MAX = 2600
};

struct keys_answer {
	enum keys_result result;
	char	      reason[128];	     /* of FAILED and DOWN */
	unsigned char signature[KEYS_SIGNATURE_MAX]; /* of sign */
	size_t	      signature_n;
	unsigned char public_key[KEYS_PUBLIC_MAX]; /* of make and import */
	size_t	      public_n;
	unsigned char sealed[KEYS_SEALED_MAX];
	size_t	      sealed_n;
	unsigned      bits;
};
typedef void keys_fn(void *arg, const struct keys_answer *a);

struct keys_client *keys_client_new(struct loop *l, int fd, struct err *e);
void keys_client_replace(struct keys_client *k, int fd);
void keys_client_free(struct keys_client *k);
/* Other limits than 5 s and 30 s, for tests. */
void keys_client_set_limits(struct keys_client *k, int64_t sign_ms,
    int64_t make_ms);

/* Each returns the ticket of the request, never 0. */
/* Signs a 32 octet digest (rsa-sha256: PKCS#1 v1.5; ed25519-sha256: as the
 * message, RFC 8463 3).  The key is named by domain and selector; sealed is
 * lent until the answer. */
struct keys_sign {
	const char   *domain, *selector;
	unsigned char digest[32];
	struct bytes  sealed;
};
uint64_t keys_client_sign(struct keys_client *k, const struct keys_sign *r,
    keys_fn *fn, void *arg);
/* The operator's key (dkim.operator_key) is known to keys by itself; it has to
 * be that of r's domain and selector, sealed is not used. */
uint64_t keys_client_sign_operator(struct keys_client *k,
    const struct keys_sign *r, keys_fn *fn, void *arg);
/* bits: of RSA; DKIM_ED25519_BITS: such a key */
uint64_t keys_client_make(struct keys_client *k, const char *domain,
    const char *selector, unsigned bits, keys_fn *fn, void *arg);
/* fd: the key file as the operator handed it over, passed on unread. */
struct keys_import {
	const char *domain, *selector;
	unsigned    min_bits, max_bits;
	int	    fd; /* taken over */
};
uint64_t keys_client_import(struct keys_client *k,
    const struct keys_import *r, keys_fn *fn, void *arg);
/* Writes the private key as PEM into fd (a pipe), taken over. */
uint64_t keys_client_export(struct keys_client *k, const struct keys_sign *r,
    int fd, keys_fn *fn, void *arg);
/* Does the master key open it?  OK or FAILED; digest is not used. */
uint64_t keys_client_check(struct keys_client *k, const struct keys_sign *r,
    keys_fn *fn, void *arg);
/* Public half and length of the operator's key. */
uint64_t keys_client_operator(struct keys_client *k, keys_fn *fn, void *arg);
/* Forgets an answer that nobody waits for any more. */
void keys_client_cancel(struct keys_client *k, uint64_t ticket);

#endif
