/* SPDX-License-Identifier: ISC */
/*
 * signer.h - DKIM: hashes while the content streams by (libopendkim), the
 * signature by the keys process, the finished fields.
 *
 * Use:    h = signer_hash_new(s, conf, &e); signer_hash_feed(h, piece) ...;
 *         signer_hash_end(h, digest, &e); signer_hash_free(h);
 *         after admission, with the final header block:
 *         g = signer_sign(s, &request, on_signed, arg, &e); on_signed comes
 *         once, never from inside the call, and g is gone after it.
 * Owner:  the desk owns the signer and frees it before its keys client; the
 *         asker owns a hash; a signing belongs to the signer until its answer
 *         or signing_cancel().
 * Thread: the desk's loop.  One DKIM_LIB for each desk: its options are not
 *         made for threads.
 * Fails:  -1 / NULL and *e when the library fails; an answer without .ok and
 *         with a reason when a key cannot sign (451, never unsigned by
 *         accident).
 *
 * How: a handle in verify mode whose key look-up finds nothing canonicalises
 * and hashes; with a draft signature field (h=from) it gives the body hash
 * while the body streams in, a second, header-only one gives the header hash
 * over the final field.  libopendkim's own signing mode parses the key text
 * for every message, which costs more than the signature (architecture 6).
 */
#ifndef SUBMISSION_SIGNER_H
#define SUBMISSION_SIGNER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

struct conf;
struct keys_client;
struct signer;
struct signer_hash;
struct signing;

enum { SIGNER_DIGEST = 32, SIGNER_REASON_MAX = 160 };
/* Of a signature, over the same SHA-256 hashes (RFC 8301, RFC 8463). */
enum sign_algorithm { SIGN_RSA, SIGN_ED25519 };
enum { SIGN_ALGORITHMS = SIGN_ED25519 + 1 };
const char *sign_algorithm_to_text(enum sign_algorithm a); /* the a= value */

/* Does the linked libopendkim know Ed25519? */
bool signer_has_ed25519(void);
/* -1: dkim.dual_sign of this configuration cannot be had with it. */
int signer_check_conf(const struct conf *c, struct err *e);

struct signer *signer_new(struct keys_client *keys, struct err *e);
void signer_free(struct signer *s); /* cancels what is out; NULL is allowed */

/* -- body hash ------------------------------------------------------------ */
/* Clean content: CR LF only, with a final one. */
struct signer_hash *signer_hash_new(struct signer *s, const struct conf *c,
    struct err *e);
void signer_hash_feed(struct signer_hash *h, struct bytes body);
int signer_hash_end(struct signer_hash *h, unsigned char digest[SIGNER_DIGEST],
    struct err *e);
void signer_hash_free(struct signer_hash *h); /* NULL is allowed */

/* -- one signature -------------------------------------------------------- */
struct signer_field {
	const struct conf   *conf;
	enum sign_algorithm  algorithm;
	const char	    *domain, *selector;
	struct wall	     when;
	struct bytes	     head; /* final header block, CR LF */
	const unsigned char *body_hash;
};
/*
 * "DKIM-Signature: v=1; ... b=" without its value and line end into field,
 * and the 32 octets that are to be signed.
 */
int signer_digest(struct signer *s, const struct signer_field *f,
    struct buf *field, unsigned char digest[SIGNER_DIGEST], struct err *e);
/* Completes the field: the folded value of b= and CR LF. */
bool signer_finish(struct buf *field, const void *signature, size_t n);

/* -- all signatures of a message ------------------------------------------ */
enum { SIGN_KEYS_MAX = 2 }; /* RSA, then Ed25519 (dkim.md 6.1) */
struct sign_request {
	const struct conf   *conf;
	struct wall	     when;
	struct bytes	     head;	/* lent until the answer */
	const unsigned char *body_hash; /* 32 octets, copied */
	struct sign_key {    /* of the identity; copied */
		enum sign_algorithm algorithm;
		const char	   *domain, *selector;
		struct bytes	    sealed;
	} keys[SIGN_KEYS_MAX];
	unsigned key_count;
};
struct sign_answer {
	bool	     ok;
	char	     reason[SIGNER_REASON_MAX];
	enum sign_algorithm failed; /* of the first one without ok */
	struct bytes fields; /* operator's first, then the identity's in their
				order; of the signing: copy before you return */
	unsigned     counts[SIGN_ALGORITHMS]; /* fields by algorithm */
};
typedef void signing_fn(void *arg, const struct sign_answer *a);
/* Is anything to be signed: an identity's key, or the operator's? */
bool signer_has_work(const struct sign_request *r);
struct signing *signer_sign(struct signer *s, const struct sign_request *r,
    signing_fn *fn, void *arg, struct err *e);
void signing_cancel(struct signing *g); /* no answer comes; NULL is allowed */

#endif
