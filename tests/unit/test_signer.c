/* SPDX-License-Identifier: ISC */
/* DKIM fields: body hashes, what is signed, form, failures. */
#include "signer_world.h"

/* -- body hashes ---------------------------------------------------------- */

/* A plain canonicaliser, RFC 6376 3.4.3 and 3.4.4. */
static void
canonical_body(struct bytes in, bool relaxed, struct buf *out)
{
	size_t	     i, keep = 0;
	bool	     blank = false;

	buf_clear(out);
	for (i = 0; i < in.n; i++) {
		if (relaxed && (in.p[i] == ' ' || in.p[i] == '\t')) {
			blank = true;
			continue;
		}
		if (blank && in.p[i] != '\r')
			buf_add_char(out, ' ');
		blank = false;
		buf_add_char(out, in.p[i]);
		if (in.p[i] == '\n' && (out->n < 4 ||
			memcmp(out->p + out->n - 4, "\r\n\r\n", 4) != 0) &&
		    out->n > 2)
			keep = out->n;
	}
	out->n = keep;
	if (keep == 0 && !relaxed)
		buf_add_text(out, "\r\n");
}

/* dkim#3, dkim 5.4; dkim#1 for the second */
static void
test_body_hashes(void **state)
{
	static const struct {
		const char	   *body;
		enum conf_canonicalization c;
		const char	   *hash;
	} cases[] = {
		{ "", CONF_RELAXED_SIMPLE,
		    "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=" },
		{ "", CONF_RELAXED_RELAXED,
		    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" },
		{ "Hello, world.\r\n", CONF_RELAXED_SIMPLE,
		    "cYt+oiQVrRxPZobI0aHq9G01XoWfS96s0wd+I/mdOgU=" },
		{ "Hello, world.\r\n\r\n\r\n", CONF_RELAXED_SIMPLE,
		    "cYt+oiQVrRxPZobI0aHq9G01XoWfS96s0wd+I/mdOgU=" },
	};
	struct bench *b = *state;
	unsigned char digest[32];
	char	      text[64];
	size_t	      i, step;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (step = 0; step < 4; step++) {
			b->conf->dkim.canonicalization = cases[i].c;
			body_hash(b, bytes_of(cases[i].body), step, digest);
			base64_encode(digest, 32, text);
			assert_string_equal(text, cases[i].hash);
		}
}

static void
test_body_hash_against_plain_canonicaliser(void **state)
{
	static const char *const pieces[] = { "\r\n", " ", "\t", "a", ".",
		"long word", "\r\n\r\n", " \r\n", "\xc3\xbc", "=20" };
	struct bench *b = *state;
	struct buf    body, canonical;
	unsigned char got[32], want[32];
	uint32_t      seed = 20240501;
	size_t	      i, k, step;

	buf_init(&body, 65536);
	buf_init(&canonical, 65536);
	for (i = 0; i < 300; i++) {
		buf_clear(&body);
		for (k = 0; k < i % 60; k++) {
			seed = seed * 1664525 + 1013904223;
			buf_add_text(&body, pieces[(seed >> 16) % 10]);
		}
		buf_add_text(&body, "\r\n");
		b->conf->dkim.canonicalization = i % 2 == 0 ?
		    CONF_RELAXED_SIMPLE : CONF_RELAXED_RELAXED;
		canonical_body(buf_bytes(&body), i % 2 != 0, &canonical);
		EVP_Digest(canonical.p != NULL ? canonical.p : "",
		    canonical.n, want, NULL, EVP_sha256(), NULL);
		for (step = 0; step < 3; step++) {
			body_hash(b, buf_bytes(&body), step, got);
			assert_memory_equal(got, want, 32);
		}
	}
	buf_wipe(&body);
	buf_wipe(&canonical);
}

/* -- fields --------------------------------------------------------------- */

#define HEAD_1 "Received: by mail.relay.example with ESMTPSA\r\n id x;\r\n" \
	       " Wed, 01 May 2024 12:00:00 +0000\r\n" \
	       "From: Bob <bob@example.com>\r\nTo: rcpt@sink.example\r\n" \
	       "Subject: test\r\n" \
	       "Date: Wed, 01 May 2024 12:00:00 +0000\r\n" \
	       "Message-ID: <x@relay.example>\r\n\r\n"

/* dkim#1 */
static void
test_field_of_the_first_example(void **state)
{
	struct bench *b = *state;
	struct buf    m;
	char	     *line, *next;
	int	      count;

	sign(b, "example.com", BYTES(HEAD_1), BYTES("Hello, world.\r\n"));
	assert_true(b->answer.ok);
	assert_int_equal(b->answer.counts[SIGN_RSA], 1);
	assert_string_equal(tag_of(b, "d"), "example.com");
	assert_string_equal(tag_of(b, "s"),
	    "azfm6qz3v2dkc5yhobh4fjaxzzdo25tr");
	assert_string_equal(tag_of(b, "a"), "rsa-sha256");
	assert_string_equal(tag_of(b, "c"), "relaxed/simple");
	assert_string_equal(tag_of(b, "q"), "dns/txt");
	assert_string_equal(tag_of(b, "t"), "1714564800");
	assert_string_equal(tag_of(b, "bh"),
	    "cYt+oiQVrRxPZobI0aHq9G01XoWfS96s0wd+I/mdOgU=");
	assert_string_equal(tag_of(b, "i"), "");
	assert_string_equal(tag_of(b, "l"), "");
	assert_string_equal(tag_of(b, "x"), "");
	assert_memory_equal(b->fields.p, "DKIM-Signature: v=1; a=rsa-sha256; "
	    "q=dns/txt; c=relaxed/simple;", 63);
	for (line = b->fields.p; (next = strstr(line, "\r\n")) != NULL;
	    line = next + 2) {
		assert_true(next - line <= 76);
		assert_true(next[2] == '\t' || next[2] == '\0');
	}
	buf_init(&m, 65536);
	signed_message(b, BYTES(HEAD_1), BYTES("Hello, world.\r\n"), &m);
	assert_true(verifies(buf_bytes(&m), &count));
	assert_int_equal(count, 1);
	buf_wipe(&m);
}

/* dkim#2 */
static void
test_oversigning(void **state)
{
	struct bench *b = *state;
	struct buf    m;
	char	     *h;
	int	      count;

	sign(b, "example.com", BYTES(HEAD_1), BYTES("Hello, world.\r\n"));
	h = tag_of(b, "h");
	assert_int_equal(count_name(h, "from"), 2);
	assert_int_equal(count_name(h, "cc"), 1);
	assert_int_equal(count_name(h, "subject"), 2);
	assert_int_equal(count_name(h, "references"), 0);
	assert_int_equal(count_name(h, "received"), 0);
	buf_init(&m, 65536);
	buf_add_text(&m, "Subject: another\r\n");
	buf_add_bytes(&m, buf_bytes(&b->fields));
	buf_add_text(&m, HEAD_1 "Hello, world.\r\n");
	assert_false(verifies(buf_bytes(&m), &count));
	buf_wipe(&m);
}

/* dkim#21 and dkim 6.2: the operator's alone, and both */
static void
test_operator_signature(void **state)
{
	struct bench *b = *state;
	struct buf    m;
	int	      count;

	b->conf->dkim.operator_domain = "relay.example";
	b->conf->dkim.operator_selector = "op";
	b->conf->dkim.operator_key = "/some/key";
	sign(b, NULL, BYTES(HEAD_1), BYTES("x\r\n"));
	assert_true(b->answer.ok);
	assert_int_equal(b->answer.counts[SIGN_RSA], 1);
	assert_string_equal(tag_of(b, "d"), "relay.example");
	buf_init(&m, 65536);
	signed_message(b, BYTES(HEAD_1), BYTES("x\r\n"), &m);
	assert_true(verifies(buf_bytes(&m), &count));
	assert_int_equal(count, 1);

	sign(b, "example.com", BYTES(HEAD_1), BYTES("x\r\n"));
	assert_int_equal(b->answer.counts[SIGN_RSA], 2);
	assert_string_equal(tag_of(b, "d"), "relay.example"); /* on top */
	signed_message(b, BYTES(HEAD_1), BYTES("x\r\n"), &m);
	assert_true(verifies(buf_bytes(&m), &count));
	assert_int_equal(count, 2);
	buf_wipe(&m);
}

/* Signatures that verify, each with the key of its selector; -1 = not all. */
static int
verify_two(struct bytes message)
{
	char *rsa = oracle_record_of(key);
	char *ed = oracle_record_of(ed25519_key);
	int   count;

	oracle_second_selector = "ed";
	oracle_second_record = ed;
	count = oracle_verify(message, rsa);
	oracle_second_selector = NULL;
	free(rsa);
	free(ed);
	return count;
}

/* dkim#20: two signatures with the same d= and the same hashes of content,
 * RSA first; the operator's stays on top. */
static void
test_dual(void **state)
{
	static const char start[] = "DKIM-Signature: v=1; "
	    "a=ed25519-sha256; q=dns/txt; c=relaxed/simple; s=ed;"
	    "\r\n\td=example.com; t=1714564800; ";
	struct bench *b = *state;
	struct buf    m;
	const char   *ed;

	if (!signer_has_ed25519())
		skip();
	sign_as(b, "example.com", true, BYTES(HEAD_1),
	    BYTES("Hello, world.\r\n"));
	assert_true(b->answer.ok);
	assert_int_equal(b->answer.counts[SIGN_RSA], 1);
	assert_int_equal(b->answer.counts[SIGN_ED25519], 1);
	assert_string_equal(tag_of(b, "a"), "rsa-sha256");
	ed = strstr(b->fields.p + 1, "DKIM-Signature:");
	assert_non_null(ed);
	assert_int_equal(strncmp(ed, start, strlen(start)), 0);
	assert_non_null(strstr(ed,
	    "bh=cYt+oiQVrRxPZobI0aHq9G01XoWfS96s0wd+I/mdOgU=;"));
	buf_init(&m, 65536);
	signed_message(b, BYTES(HEAD_1), BYTES("Hello, world.\r\n"), &m);
	assert_int_equal(verify_two(buf_bytes(&m)), 2);
	/* what one covers the other covers as well */
	m.p[m.n - 3] ^= 1;
	assert_int_equal(verify_two(buf_bytes(&m)), -1);

	b->conf->dkim.operator_domain = "relay.example";
	b->conf->dkim.operator_selector = "op";
	b->conf->dkim.operator_key = "/some/key";
	sign_as(b, "example.com", true, BYTES(HEAD_1), BYTES("x\r\n"));
	assert_int_equal(b->answer.counts[SIGN_RSA], 2);
	assert_int_equal(b->answer.counts[SIGN_ED25519], 1);
	assert_string_equal(tag_of(b, "d"), "relay.example");
	signed_message(b, BYTES(HEAD_1), BYTES("x\r\n"), &m);
	assert_int_equal(verify_two(buf_bytes(&m)), 3);
	buf_wipe(&m);
}

/* dual_sign is a setting only where the library has it (dkim 3) */
static void
test_dual_needs_the_library(void **state)
{
	struct bench *b = *state;
	struct err    e;

	assert_int_equal(signer_check_conf(b->conf, &e), 0);
	b->conf->dkim.dual_sign = true;
	assert_int_equal(signer_check_conf(b->conf, &e),
	    signer_has_ed25519() ? 0 : -1);
	if (!signer_has_ed25519())
		assert_string_equal(e.text, "dkim.dual_sign: the linked "
		    "libopendkim has no Ed25519 (RFC 8463)");
}

/* -- failures ------------------------------------------------------------- */

static void
test_answer_of_failure(void **state)
{
	struct keys_answer  bad = { .result = KEYS_DOWN,
		.reason = "no answer within 5 s" };
	unsigned char	    digest[32] = { 0 };
	struct bench	   *b = *state;
	struct sign_request r = { .conf = b->conf,
		.when = { 1714564800000 }, .head = BYTES(HEAD_1),
		.body_hash = digest, .key_count = 1,
		.keys = { { SIGN_RSA, "example.com", "s", BYTES("sealed") } } };
	struct err	    e;

	assert_non_null(signer_sign(b->signer, &r, on_signed, b, &e));
	asked[0].fn(asked[0].arg, &bad);
	assert_int_equal(b->answers, 1);
	assert_false(b->answer.ok);
	assert_string_equal(b->answer.reason, "no answer within 5 s");
	assert_int_equal(b->answer.fields.n, 0);
}

/* One of two signatures fails, whichever: no message with the other alone. */
static void
test_half_an_answer(void **state)
{
	struct keys_answer  good = { .result = KEYS_OK, .signature_n = 3 };
	struct keys_answer  bad = { .result = KEYS_FAILED,
		.reason = "the master key does not open this key" };
	unsigned char	    digest[32] = { 0 };
	struct bench	   *b = *state;
	struct sign_request r = { .conf = b->conf,
		.when = { 1714564800000 }, .head = BYTES(HEAD_1),
		.body_hash = digest, .key_count = 1,
		.keys = { { SIGN_RSA, "example.com", "s", BYTES("sealed") } } };
	struct err	    e;
	int		    i;

	b->conf->dkim.operator_domain = "relay.example";
	b->conf->dkim.operator_selector = "op";
	b->conf->dkim.operator_key = "/some/key";
	for (i = 0; i < 4; i++) {
		asked_count = b->answers = 0;
		assert_non_null(signer_sign(b->signer, &r, on_signed, b, &e));
		assert_int_equal(asked_count, 2);
		/* which one fails, and which one comes first */
		asked[i / 2].fn(asked[i / 2].arg, i % 2 == 0 ? &bad : &good);
		assert_int_equal(b->answers, 0);
		asked[1 - i / 2].fn(asked[1 - i / 2].arg,
		    i % 2 == 0 ? &good : &bad);
		assert_int_equal(b->answers, 1);
		assert_false(b->answer.ok);
		assert_string_equal(b->answer.reason, bad.reason);
	}
}

static void
test_without_from_there_is_no_signature(void **state)
{
	unsigned char	    digest[32] = { 0 };
	struct bench	   *b = *state;
	struct sign_request r = { .conf = b->conf,
		.when = { 1714564800000 },
		.head = BYTES("To: a@b.example\r\n\r\n"), .body_hash = digest,
		.key_count = 1,
		.keys = { { SIGN_RSA, "example.com", "s", BYTES("sealed") } } };
	struct err	    e;

	assert_null(signer_sign(b->signer, &r, on_signed, b, &e));
	assert_string_equal(e.text, "From cannot be signed");
	assert_int_equal(asked_count, 0);
}

static void
test_cancel(void **state)
{
	unsigned char	    digest[32] = { 0 };
	struct bench	   *b = *state;
	struct sign_request r = { .conf = b->conf,
		.when = { 1714564800000 }, .head = BYTES(HEAD_1),
		.body_hash = digest, .key_count = 1,
		.keys = { { SIGN_RSA, "example.com", "s", BYTES("sealed") } } };
	struct signing	   *g;
	struct err	    e;

	g = signer_sign(b->signer, &r, on_signed, b, &e);
	assert_non_null(g);
	signing_cancel(g);
	assert_true(asked[0].cancelled);
	g = signer_sign(b->signer, &r, on_signed, b, &e);
	assert_non_null(g); /* left to signer_free() */
	assert_int_equal(b->answers, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_body_hashes),
		T(test_body_hash_against_plain_canonicaliser),
		T(test_field_of_the_first_example),
		T(test_oversigning),
		T(test_operator_signature),
		T(test_dual),
		T(test_dual_needs_the_library),
		T(test_answer_of_failure),
		T(test_half_an_answer),
		T(test_without_from_there_is_no_signature),
		T(test_cancel),
	};
	int rc;

	key = EVP_RSA_gen(2048);
	ed25519_key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ed25519_key);
	return rc;
}
