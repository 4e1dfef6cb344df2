/* SPDX-License-Identifier: ISC */
#include "registry/keys_proto.h"

#include <string.h>

#include "store/pack.h"

enum { SEALED_HEAD = 1 }; /* the octet before the nonce */

/* What each request carries besides its ticket. */
enum part {
	PART_NAME = 1,
	PART_TAG = 2,
	PART_DIGEST = 4,
	PART_SEALED = 8,
	PART_BITS = 16,
	PART_LIMITS = 32
};

static unsigned
keys_parts(enum keys_ask a)
{
	switch (a) {
	case KEYS_ASK_SIGN:
		return PART_NAME | PART_TAG | PART_DIGEST;
	case KEYS_ASK_SIGN_SEALED:
		return PART_NAME | PART_TAG | PART_DIGEST | PART_SEALED;
	case KEYS_ASK_SIGN_OPERATOR:
		return PART_NAME | PART_DIGEST;
	case KEYS_ASK_MAKE:
		return PART_NAME | PART_BITS;
	case KEYS_ASK_IMPORT:
		return PART_NAME | PART_LIMITS;
	case KEYS_ASK_EXPORT:
	case KEYS_ASK_CHECK:
		return PART_NAME | PART_SEALED;
	case KEYS_ASK_OPERATOR:
		break;
	}
	return 0;
}

void
keys_tag_of(struct bytes sealed, unsigned char tag[KEYS_TAG_SIZE])
{
	memset(tag, 0, KEYS_TAG_SIZE);
	if (sealed.n >= SEALED_HEAD + KEYS_TAG_SIZE)
		memcpy(tag, sealed.p + SEALED_HEAD, KEYS_TAG_SIZE);
}

bool
keys_request_encode(const struct keys_request *r, struct buf *out)
{
	unsigned parts = keys_parts(r->ask);

	if (r->domain.n > KEYS_DOMAIN_MAX ||
	    r->selector.n > KEYS_SELECTOR_MAX || r->sealed.n > KEYS_BLOB_MAX)
		return false;
	buf_clear(out);
	buf_add_char(out, (char)r->ask);
	pack_u64(out, r->ticket);
	if (parts & PART_NAME) {
		pack_bytes(out, r->domain);
		pack_bytes(out, r->selector);
	}
	if (parts & PART_TAG)
		pack_raw(out, r->tag, sizeof(r->tag));
	if (parts & PART_DIGEST)
		pack_raw(out, r->digest, sizeof(r->digest));
	if (parts & PART_SEALED)
		pack_bytes(out, r->sealed);
	if (parts & PART_BITS)
		pack_u64(out, r->bits);
	if (parts & PART_LIMITS) {
		pack_u64(out, r->min_bits);
		pack_u64(out, r->max_bits);
	}
	return !out->failed;
}

static struct bytes
unpack_slice(struct unpack *u, size_t max)
{
	struct bytes s = unpack_bytes(u);

	if (s.n > max)
		u->failed = true;
	return s;
}

/* Names have no NUL: domain 0 selector is one name. */
static struct bytes
unpack_name(struct unpack *u, size_t max)
{
	struct bytes s = unpack_slice(u, max);

	if (s.n == 0 || memchr(s.p, '\0', s.n) != NULL)
		u->failed = true;
	return s;
}

static unsigned
unpack_bits(struct unpack *u)
{
	uint64_t v = unpack_u64(u);

	if (v > UINT16_MAX)
		u->failed = true;
	return u->failed ? 0 : (unsigned)v;
}

bool
keys_request_decode(struct bytes message, struct keys_request *out)
{
	struct unpack u = unpack_of(bytes_from(message, 1));
	unsigned      parts;

	memset(out, 0, sizeof(*out));
	if (message.n == 0 || message.p[0] < KEYS_ASK_SIGN ||
	    message.p[0] > KEYS_ASK_OPERATOR)
		return false;
	out->ask = (enum keys_ask)message.p[0];
	parts = keys_parts(out->ask);
	out->ticket = unpack_u64(&u);
	if (parts & PART_NAME) {
		out->domain = unpack_name(&u, KEYS_DOMAIN_MAX);
		out->selector = unpack_name(&u, KEYS_SELECTOR_MAX);
	}
	if (parts & PART_TAG)
		unpack_raw(&u, out->tag, sizeof(out->tag));
	if (parts & PART_DIGEST)
		unpack_raw(&u, out->digest, sizeof(out->digest));
	if (parts & PART_SEALED)
		out->sealed = unpack_slice(&u, KEYS_BLOB_MAX);
	if (parts & PART_BITS)
		out->bits = unpack_bits(&u);
	if (parts & PART_LIMITS) {
		out->min_bits = unpack_bits(&u);
		out->max_bits = unpack_bits(&u);
	}
	return unpack_done(&u);
}

bool
keys_reply_encode(const struct keys_reply *r, struct buf *out)
{
	buf_clear(out);
	buf_add_char(out, (char)r->say);
	pack_u64(out, r->ticket);
	if (r->say == KEYS_SAY_FAILED)
		pack_bytes(out, bytes_head(r->reason, KEYS_REASON_MAX));
	if (r->say == KEYS_SAY_DONE) {
		if (r->sealed.n > KEYS_BLOB_MAX)
			return false;
		pack_bytes(out, r->signature);
		pack_bytes(out, r->public_key);
		pack_bytes(out, r->sealed);
		pack_u64(out, r->bits);
	}
	return !out->failed;
}

bool
keys_reply_decode(struct bytes message, struct keys_reply *out)
{
	struct unpack u = unpack_of(bytes_from(message, 1));

	memset(out, 0, sizeof(*out));
	if (message.n == 0 || message.p[0] < KEYS_SAY_DONE ||
	    message.p[0] > KEYS_SAY_UNKNOWN)
		return false;
	out->say = (enum keys_say)message.p[0];
	out->ticket = unpack_u64(&u);
	if (out->say == KEYS_SAY_FAILED)
		out->reason = unpack_slice(&u, KEYS_REASON_MAX);
	if (out->say == KEYS_SAY_DONE) {
		out->signature = unpack_slice(&u, KEYS_BLOB_MAX);
		out->public_key = unpack_slice(&u, KEYS_BLOB_MAX);
		out->sealed = unpack_slice(&u, KEYS_BLOB_MAX);
		out->bits = unpack_bits(&u);
	}
	return unpack_done(&u);
}
