/* SPDX-License-Identifier: ISC */
/* Messages of the keys process: what is read is written the same way. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "registry/keys_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_request(struct bytes message, struct buf *out)
{
	struct keys_request r, again;

	if (!keys_request_decode(message, &r))
		return;
	must(r.domain.n <= KEYS_DOMAIN_MAX &&
	    r.selector.n <= KEYS_SELECTOR_MAX &&
	    r.sealed.n <= KEYS_BLOB_MAX);
	must(keys_request_encode(&r, out));
	must(keys_request_decode(buf_bytes(out), &again));
	must(again.ask == r.ask && again.ticket == r.ticket &&
	    bytes_eq(again.domain, r.domain) &&
	    bytes_eq(again.sealed, r.sealed) &&
	    memcmp(again.digest, r.digest, sizeof(r.digest)) == 0);
}

static void
check_reply(struct bytes message, struct buf *out)
{
	struct keys_reply r, again;

	if (!keys_reply_decode(message, &r))
		return;
	buf_clear(out);
	if (!keys_reply_encode(&r, out))
		return; /* longer than any message of ours */
	must(keys_reply_decode(buf_bytes(out), &again));
	must(again.say == r.say && again.ticket == r.ticket &&
	    again.bits == r.bits && bytes_eq(again.sealed, r.sealed) &&
	    bytes_eq(again.reason, r.reason));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes message = { (const char *)data, size };
	struct buf   out;

	buf_init(&out, KEYS_MESSAGE_MAX);
	check_request(message, &out);
	check_reply(message, &out);
	buf_wipe(&out);
	return 0;
}
