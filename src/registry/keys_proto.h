/* SPDX-License-Identifier: ISC */
/*
 * keys_proto.h - what relay and the keys process say to each other: requests
 * and replies as messages of a channel (base/process.h).
 *
 * Use:    keys_request_encode(&r, &buf); channel_send(c, buf_bytes(&buf), fd)
 *         and on the other side keys_request_decode(message, &r); replies
 *         likewise.  buf is cleared by encode and keeps its memory.
 * Owner:  decoded texts are slices of the message.
 * Thread: any, pure.
 * Fails:  encode: false when buf has no room or a text is too long; decode:
 *         false for anything but a whole, valid message.
 *
 * A key is named by domain and selector and by its tag, a part of its sealed
 * form: a selector that got another key is another name.  The keys process
 * answers UNKNOWN to SIGN when it does not hold the key; SIGN_SEALED brings
 * it along.  The operator's key is named as well: at a reload relay may ask
 * for one that the keys process has not taken in yet, UNKNOWN, or still for
 * the one before.  Replies come in any order; the ticket says whose they are.
 */
#ifndef REGISTRY_KEYS_PROTO_H
#define REGISTRY_KEYS_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

enum {
	KEYS_TAG_SIZE = 12,
	KEYS_DIGEST_SIZE = 32,
	KEYS_DOMAIN_MAX = 253,
	KEYS_SELECTOR_MAX = 63,
	KEYS_REASON_MAX = 127,
	KEYS_BLOB_MAX = 2600,	/* the longest sealed key */
	KEYS_MESSAGE_MAX = 4096 /* most octets of an encoded message */
};

enum keys_ask {
	KEYS_ASK_SIGN = 1,
	KEYS_ASK_SIGN_SEALED,
	KEYS_ASK_SIGN_OPERATOR,
	KEYS_ASK_MAKE,
	KEYS_ASK_IMPORT, /* with a descriptor to read from */
	KEYS_ASK_EXPORT, /* with a descriptor to write to */
	KEYS_ASK_CHECK,	 /* can it be unsealed? */
	KEYS_ASK_OPERATOR /* public half of the operator's key */
};
struct keys_request {
	enum keys_ask ask;
	uint64_t      ticket;
	struct bytes  domain, selector; /* all but OPERATOR */
	unsigned char tag[KEYS_TAG_SIZE]; /* SIGN, SIGN_SEALED */
	unsigned char digest[KEYS_DIGEST_SIZE]; /* the three SIGNs */
	struct bytes  sealed;		/* SIGN_SEALED, EXPORT, CHECK */
	unsigned      bits;		/* MAKE; 256 = Ed25519 */
	unsigned      min_bits, max_bits; /* IMPORT, of RSA */
};

enum keys_say { KEYS_SAY_DONE = 1, KEYS_SAY_FAILED, KEYS_SAY_UNKNOWN };
struct keys_reply {
	enum keys_say say;
	uint64_t      ticket;
	struct bytes  reason;	  /* FAILED */
	struct bytes  signature;  /* the rest: DONE, empty where not asked */
	struct bytes  public_key;
	struct bytes  sealed;
	unsigned      bits;
};

/* The tag of a sealed key: its nonce. */
void keys_tag_of(struct bytes sealed, unsigned char tag[KEYS_TAG_SIZE]);

bool keys_request_encode(const struct keys_request *r, struct buf *out);
bool keys_request_decode(struct bytes message, struct keys_request *out);
bool keys_reply_encode(const struct keys_reply *r, struct buf *out);
bool keys_reply_decode(struct bytes message, struct keys_reply *out);

#endif
