/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "registry/keys_proto.h"

static char blob[KEYS_BLOB_MAX];

static struct keys_request
request(enum keys_ask ask)
{
	struct keys_request r = { .ask = ask,
		.ticket = UINT64_MAX - 3,
		.domain = BYTES("example.com"),
		.selector = BYTES("s1"),
		.sealed = { blob, sizeof(blob) },
		.bits = 2048,
		.min_bits = 1024,
		.max_bits = 4096 };

	memset(r.tag, 'T', sizeof(r.tag));
	memset(r.digest, 'D', sizeof(r.digest));
	memset(blob, 'S', sizeof(blob));
	return r;
}

/* What of a request its receiver sees. */
static void
test_requests(void **state)
{
	static const struct {
		enum keys_ask ask;
		bool	      name, tag, digest, sealed, bits, limits;
	} rows[] = {
		{ KEYS_ASK_SIGN, true, true, true, false, false, false },
		{ KEYS_ASK_SIGN_SEALED, true, true, true, true, false, false },
		{ KEYS_ASK_SIGN_OPERATOR, true, false, true, false, false,
		    false },
		{ KEYS_ASK_MAKE, true, false, false, false, true, false },
		{ KEYS_ASK_IMPORT, true, false, false, false, false, true },
		{ KEYS_ASK_EXPORT, true, false, false, true, false, false },
		{ KEYS_ASK_CHECK, true, false, false, true, false, false },
		{ KEYS_ASK_OPERATOR, false, false, false, false, false,
		    false },
	};
	struct keys_request in, out;
	struct buf	    b;
	size_t		    i, n;

	(void)state;
	buf_init(&b, KEYS_MESSAGE_MAX);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		in = request(rows[i].ask);
		assert_true(keys_request_encode(&in, &b));
		assert_true(keys_request_decode(buf_bytes(&b), &out));
		assert_int_equal(out.ask, in.ask);
		assert_true(out.ticket == in.ticket);
		assert_true(bytes_eq_text(out.domain,
		    rows[i].name ? "example.com" : ""));
		assert_true(bytes_eq_text(out.selector,
		    rows[i].name ? "s1" : ""));
		assert_int_equal(out.tag[11], rows[i].tag ? 'T' : 0);
		assert_int_equal(out.digest[31], rows[i].digest ? 'D' : 0);
		assert_int_equal(out.sealed.n,
		    rows[i].sealed ? sizeof(blob) : 0);
		assert_int_equal(out.bits, rows[i].bits ? 2048 : 0);
		assert_int_equal(out.min_bits, rows[i].limits ? 1024 : 0);
		assert_int_equal(out.max_bits, rows[i].limits ? 4096 : 0);
		/* cut anywhere, or with more behind it: not a request */
		for (n = 0; n < b.n; n++)
			assert_false(keys_request_decode(
			    bytes_head(buf_bytes(&b), n), &out));
		buf_add_char(&b, 'x');
		assert_false(keys_request_decode(buf_bytes(&b), &out));
	}
	buf_wipe(&b);
}

static void
test_requests_refused(void **state)
{
	static const struct {
		struct bytes message;
	} rows[] = {
		{ { "", 0 } },
		{ { "\0\1", 2 } },
		{ { "\11\1", 2 } },
		{ { "\377\1", 2 } },
		{ { "\4\1\0\1s\1", 6 } },      /* no domain */
		{ { "\4\1\1d\0\1", 6 } },      /* no selector */
		{ { "\4\1\2d\0\1s\1", 8 } },   /* NUL in the domain */
		{ { "\4\1\1d\1s\200\200\10", 9 } }, /* 131072 bits */
	};
	struct keys_request r = request(KEYS_ASK_MAKE), out;
	char		    longer[300];
	struct buf	    b;
	size_t		    i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_false(keys_request_decode(rows[i].message, &out));
	assert_true(keys_request_decode(BYTES("\4\1\1d\1s\1"), &out));
	memset(longer, 'a', sizeof(longer));
	buf_init(&b, KEYS_MESSAGE_MAX);
	r.domain = (struct bytes){ longer, 254 };
	assert_false(keys_request_encode(&r, &b));
	r.domain.n = 253;
	r.selector = (struct bytes){ longer, 64 };
	assert_false(keys_request_encode(&r, &b));
	r.selector.n = 63;
	assert_true(keys_request_encode(&r, &b));
	buf_wipe(&b);
}

static void
test_replies(void **state)
{
	struct keys_reply in = { .say = KEYS_SAY_DONE,
		.ticket = 77,
		.reason = BYTES("why"),
		.signature = BYTES("sig"),
		.public_key = BYTES("pub"),
		.sealed = BYTES("sealed"),
		.bits = 2048 };
	struct keys_reply out;
	struct buf	  b;
	size_t		  n;

	(void)state;
	buf_init(&b, KEYS_MESSAGE_MAX);
	assert_true(keys_reply_encode(&in, &b));
	assert_true(keys_reply_decode(buf_bytes(&b), &out));
	assert_int_equal(out.say, KEYS_SAY_DONE);
	assert_int_equal(out.ticket, 77);
	assert_true(bytes_eq_text(out.signature, "sig"));
	assert_true(bytes_eq_text(out.public_key, "pub"));
	assert_true(bytes_eq_text(out.sealed, "sealed"));
	assert_int_equal(out.bits, 2048);
	assert_int_equal(out.reason.n, 0);
	for (n = 0; n < b.n; n++)
		assert_false(keys_reply_decode(bytes_head(buf_bytes(&b), n),
		    &out));
	in.say = KEYS_SAY_FAILED;
	assert_true(keys_reply_encode(&in, &b));
	assert_true(keys_reply_decode(buf_bytes(&b), &out));
	assert_true(bytes_eq_text(out.reason, "why"));
	assert_int_equal(out.signature.n, 0);
	in.say = KEYS_SAY_UNKNOWN;
	assert_true(keys_reply_encode(&in, &b));
	assert_true(keys_reply_decode(buf_bytes(&b), &out));
	assert_int_equal(out.say, KEYS_SAY_UNKNOWN);
	assert_int_equal(out.reason.n, 0);
	assert_false(keys_reply_decode(BYTES("\4\1"), &out));
	assert_false(keys_reply_decode(BYTES("\0\1"), &out));
	buf_wipe(&b);
}

static void
test_tag(void **state)
{
	unsigned char tag[KEYS_TAG_SIZE], none[KEYS_TAG_SIZE] = { 0 };

	(void)state;
	keys_tag_of(BYTES("\1abcdefghijklREST"), tag);
	assert_memory_equal(tag, "abcdefghijkl", 12);
	keys_tag_of(BYTES("\1abcdefghijk"), tag);
	assert_memory_equal(tag, none, 12);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_requests_refused),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_tag),
	};

	return cmocka_run_group_tests_name("keys_proto", tests, NULL, NULL);
}
