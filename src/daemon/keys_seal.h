/* SPDX-License-Identifier: ISC */
/*
 * keys_seal.h - private keys: made, read, sealed, used.  The only file of
 * the keys process that sees OpenSSL.
 *
 * Use:    seal_init() first; s = sealer_open(fd, &e);
 *         k = signing_key_make(2048, &e); sealer_seal(s, name, k, ...);
 *         k = sealer_unseal(s, name, sealed, &e); signing_key_sign(k, ...).
 * Owner:  whoever made a sealer or a key frees it; secrets are wiped then.
 * Thread: any; a key may sign on several threads at once.
 * Fails:  NULL or -1 and *e; texts are those of dkim.md 13 where it has one.
 *
 * Sealed: 0x01, nonce of 12, AES-256-GCM ciphertext, tag of 16; the key is
 * HKDF-SHA256 of the master key, no salt, with an info text; the associated
 * data is the name of what is sealed (credentials.md 6, dkim.md 11).
 */
#ifndef DAEMON_KEYS_SEAL_H
#define DAEMON_KEYS_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

enum {
	SEAL_KEY_SIZE = 32,
	SEAL_NONCE_SIZE = 12,
	SEAL_OVERHEAD = 1 + SEAL_NONCE_SIZE + 16,
	SEAL_NAME_MAX = 253 + 1 + 63, /* domain 0 selector */
	SIGNING_BITS_MIN = 1024,
	SIGNING_BITS_MAX = 4096,
	SIGNING_BITS_ED25519 = 256, /* in place of a length of RSA */
	SIGNING_FILE_MAX = 64 * 1024
};

/*
 * First of all: from now on OpenSSL wipes what it frees, and it reads what it
 * reads before the sandbox.  false = it was in use already and does not wipe.
 */
bool seal_init(void);

/* -- sealing, pure -------------------------------------------------------- */
void seal_derive(const unsigned char master[SEAL_KEY_SIZE], const char *info,
    unsigned char key[SEAL_KEY_SIZE]);
/* out has room for plain.n + SEAL_OVERHEAD */
void seal_close(const unsigned char key[SEAL_KEY_SIZE],
    const unsigned char nonce[SEAL_NONCE_SIZE], struct bytes name,
    struct bytes plain, unsigned char *out);
/* out has room for sealed.n - SEAL_OVERHEAD; false = not ours, or damaged */
bool seal_open(const unsigned char key[SEAL_KEY_SIZE], struct bytes name,
    struct bytes sealed, unsigned char *out);

/* -- keys ----------------------------------------------------------------- */
struct signing_key;
struct signing_key *signing_key_make(unsigned bits, struct err *e);
/* PEM (PKCS#1, PKCS#8) or bare base64 of either; RSA within the limits, or
 * Ed25519 (RFC 8410). */
struct signing_key *signing_key_read(struct bytes text, unsigned min_bits,
    unsigned max_bits, struct err *e);
void signing_key_free(struct signing_key *k); /* NULL is allowed */
unsigned signing_key_bits(const struct signing_key *k);
/* SubjectPublicKeyInfo (Ed25519: the 32 octets); 0 = no room */
size_t signing_key_public(const struct signing_key *k, unsigned char *out,
    size_t size);
/* PKCS#8 as PEM; wiped by who has it last */
int signing_key_to_pem(const struct signing_key *k, struct buf *out,
    struct err *e);
/* RSA: PKCS#1 v1.5 of a SHA-256 digest; Ed25519: of the digest as message
 * (RFC 8463).  Octets of the signature; -1 and *e. */
int signing_key_sign(const struct signing_key *k,
    const unsigned char digest[32], unsigned char *out, size_t size,
    struct err *e);

/* -- sealed keys ---------------------------------------------------------- */
struct sealer;
/* Reads the master key: a file of 32 octets that nobody else may read. */
struct sealer *sealer_open(int fd, struct err *e); /* fd stays */
void sealer_free(struct sealer *s); /* NULL is allowed */
/* Octets in out; -1 and *e.  name: domain 0 selector. */
int sealer_seal(const struct sealer *s, struct bytes name,
    const struct signing_key *k, unsigned char *out, size_t size,
    struct err *e);
struct signing_key *sealer_unseal(const struct sealer *s, struct bytes name,
    struct bytes sealed, struct err *e);

#endif
