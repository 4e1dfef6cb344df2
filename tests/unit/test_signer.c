/* SPDX-License-Identifier: ISC */
/*
 * DKIM fields: body hashes, what is signed, form, and that the library's own
 * verify mode accepts them.  The keys process is played by OpenSSL here.
 * With POSTHORN_DKIM_DIR set, signed messages and their key records are
 * written there for other verifiers (tests/integration/test_identity.py).
 */
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

static void
answer_all(void)
{
	struct keys_answer a;
	EVP_PKEY_CTX	  *c;
	uint64_t	   i;

	for (i = 0; i < asked_count; i++) {
		memset(&a, 0, sizeof(a));
		a.signature_n = sizeof(a.signature);
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
static bool
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

static int
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

static int
teardown(void **state)
{
	struct bench *b = *state;

	signer_free(b->signer);
	conf_unref(b->conf);
	buf_wipe(&b->fields);
	mem_free(b);
	return 0;
}

static void
on_signed(void *arg, const struct sign_answer *a)
{
	struct bench *b = arg;

	b->answers++;
	b->answer = *a;
	buf_clear(&b->fields);
	buf_add_bytes(&b->fields, a->fields);
}

static void
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

/* Signs head and body with the identity's key (domain NULL = none). */
static void
sign(struct bench *b, const char *domain, struct bytes head, struct bytes body)
{
	unsigned char	    digest[32];
	struct sign_request r = { .conf = b->conf,
		.when = { 1714564800000 }, .head = head,
		.body_hash = digest, .domain = domain,
		.selector = "azfm6qz3v2dkc5yhobh4fjaxzzdo25tr",
		.sealed = BYTES("sealed") };
	struct signing *g;
	struct err	e;

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

static void
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
static char *
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

static unsigned
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
	assert_int_equal(b->answer.count, 1);
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
	assert_int_equal(b->answer.count, 1);
	assert_string_equal(tag_of(b, "d"), "relay.example");
	buf_init(&m, 65536);
	signed_message(b, BYTES(HEAD_1), BYTES("x\r\n"), &m);
	assert_true(verifies(buf_bytes(&m), &count));
	assert_int_equal(count, 1);

	sign(b, "example.com", BYTES(HEAD_1), BYTES("x\r\n"));
	assert_int_equal(b->answer.count, 2);
	assert_string_equal(tag_of(b, "d"), "relay.example"); /* on top */
	signed_message(b, BYTES(HEAD_1), BYTES("x\r\n"), &m);
	assert_true(verifies(buf_bytes(&m), &count));
	assert_int_equal(count, 2);
	buf_wipe(&m);
}

/* -- heads and bodies of many forms --------------------------------------- */

/* filler: so many octets of it stand for "@@" in the text */
static const struct form {
	const char *name, *head, *body;
	size_t	    filler;
	bool	    is_odd; /* not for the oracle of the signing mode */
} forms[] = {
	{ .name = "client-signature", .is_odd = true,
	    .head = "DKIM-Signature: v=1; a=rsa-sha256; d=client.example; "
		    "s=s; h=from;\r\n bh=AAAA; b=AAAA\r\n"
		    "From: a@example.com\r\n\r\n", .body = "x\r\n" },
	{ .name = "folded",
	    .head = "From: \"A\r\n B\" <a@example.com>,\r\n\tb@example.com"
		    "\r\nSUBJECT:a\r\n  b\r\n\tc  \r\n"
		    "To: x@y.example\r\n\r\n",
	    .body = " a  b \r\n\t\r\n\r\n" },
	{ .name = "folded-first",
	    .head = "From:\r\n a@example.com\r\nSubject:\r\n \t \r\n\tx\r\n"
		    "To: \t x@y.example \t\r\n\r\n", .body = "\tx \t\r\n" },
	{ .name = "obsolete", .head = "From: a@example.com\r\n"
				      "To : x@y.example\r\n\r\n",
	    .body = "x\r\n" },
	{ .name = "no-blanks", .head = "from:a@example.com\r\n"
				       "TO:x@y.example\r\nsUbJeCt:x\r\n\r\n",
	    .body = "x\r\n" },
	{ .name = "repeated",
	    .head = "To: a@x.example\r\nTo: b@x.example\r\n"
		    "Cc: c@x.example\r\nCc: d@x.example\r\n"
		    "From: a@example.com\r\nReply-To: \r\nSubject:\r\n\r\n",
	    .body = "" },
	{ .name = "eight-bit",
	    .head = "From: M\xc3\xbcller <a@example.com>\r\n"
		    "Subject: \xfc\xff\r\n\r\n", .body = "\xfc\r\n" },
	{ .name = "list",
	    .head = "List-Unsubscribe: <https://x.example/>\r\n"
		    "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
		    "Feedback-ID: 1.us-east-1.x:posthorn\r\n"
		    "From: a@example.com\r\n\r\n", .body = "a\r\n" },
	{ .name = "never-signed",
	    .head = "Return-Path: <a@example.com>\r\nReceived: by x;\r\n y"
		    "\r\nComments: c\r\nKeywords: k\r\nX-Other: o\r\n"
		    "Authentication-Results: x; none\r\n"
		    "From: a@example.com\r\n\r\n", .body = "a\r\n" },
	{ .name = "empty-body", .head = "From: a@example.com\r\n\r\n",
	    .body = "" },
	{ .name = "only-line-ends", .head = "From: a@example.com\r\n\r\n",
	    .body = "\r\n\r\n\r\n" },
	{ .name = "only-blanks", .head = "From: a@example.com\r\n\r\n",
	    .body = " \t \r\n\t\r\n" },
	{ .name = "ends-in-line-ends", .head = "From: a@example.com\r\n\r\n",
	    .body = "x\r\n\r\ny\r\n\r\n\r\n\r\n" },
	{ .name = "dots", .head = "From: a@example.com\r\n\r\n",
	    .body = ".\r\n..\r\n.x\r\n" },
	{ .name = "long-line", .head = "From: a@example.com\r\n"
				       "Subject: @@\r\n\r\n",
	    .body = "@@\r\n", .filler = 998 },
	{ .name = "longer-line", .head = "From: a@example.com\r\n"
					 "Subject: @@\r\n\r\n",
	    .body = "@@ \t@@\r\n", .filler = 20000 },
};

/* One octet more than the library takes as one field. */
enum { TOO_LONG = 70000 };

static void
fill(const char *text, size_t filler, struct buf *out)
{
	const char *at;
	size_t	    i;

	buf_clear(out);
	while ((at = strstr(text, "@@")) != NULL) {
		buf_add(out, text, (size_t)(at - text));
		for (i = 0; i < filler; i++)
			buf_add_char(out, (char)('a' + i % 26));
		text = at + 2;
	}
	buf_add_text(out, text);
	assert_false(out->failed);
}

static void
write_file(const char *dir, const char *name, struct bytes text)
{
	char  path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
	assert_int_equal(fclose(f), 0);
}

/* For the verifiers of tests/integration/test_identity.py. */
static void
hand_out(const char *form, bool relaxed, const struct buf *message)
{
	const char *dir = getenv("POSTHORN_DKIM_DIR");
	char	    name[100], *record;

	if (dir == NULL)
		return;
	snprintf(name, sizeof(name), "%s-%s.eml", form,
	    relaxed ? "relaxed" : "simple");
	write_file(dir, name, buf_bytes(message));
	record = oracle_record_of(key);
	write_file(dir, "key.txt", bytes_of(record));
	free(record);
}

/* Names of h=, sorted. */
static void
sorted_names(const char *h, char *out, size_t size)
{
	char *names[512], text[8192], *word, *rest = text, *swap;
	int   n = 0, i, j;

	snprintf(text, sizeof(text), "%.*s", (int)strcspn(h, ";"), h);
	while ((word = strtok_r(rest, ":", &rest)) != NULL)
		names[n++] = word;
	for (i = 0; i < n; i++)
		for (j = i + 1; j < n; j++)
			if (strcasecmp(names[i], names[j]) > 0) {
				swap = names[i];
				names[i] = names[j];
				names[j] = swap;
			}
	out[0] = '\0';
	for (i = 0; i < n; i++) {
		for (word = names[i]; *word != '\0'; word++)
			if (*word >= 'A' && *word <= 'Z')
				*word = (char)(*word + 32);
		snprintf(out + strlen(out), size - strlen(out), "%s:",
		    names[i]);
	}
}

/* A list of the configuration, as the library wants it. */
static const char **
as_array(const struct conf_list *l)
{
	const char **v = calloc(l->n + 1, sizeof(*v));
	size_t	     i;

	for (i = 0; i < l->n; i++)
		v[i] = l->v[i];
	return v;
}

/* The library's own signing mode takes the same body hash and names the same
 * fields as often. */
static void
expect_as_signing_mode(struct bench *b, struct bytes message, bool relaxed)
{
	struct oracle_ask ask = { .key = key, .relaxed_body = relaxed,
		.headers = as_array(&b->conf->dkim.headers),
		.oversign = as_array(&b->conf->dkim.oversign) };
	struct buf  field;
	const char *bh, *h;
	char	    ours[8192], theirs[8192];

	buf_init(&field, 65536);
	oracle_sign(&ask, message, &field);
	bh = strstr(field.p, ";bh=");
	h = strstr(field.p, ";h=");
	assert_non_null(bh);
	assert_non_null(h);
	assert_true(bytes_starts(bytes_of(bh + 4), bytes_of(tag_of(b,
	    "bh"))));
	sorted_names(tag_of(b, "h"), ours, sizeof(ours));
	sorted_names(h + 3, theirs, sizeof(theirs));
	assert_string_equal(ours, theirs);
	buf_wipe(&field);
	free(ask.headers);
	free(ask.oversign);
}

/* dkim#18: fields of the client are signed as they stand, its own signature
 * is neither hashed nor taken for ours */
static void
test_forms(void **state)
{
	struct bench *b = *state;
	struct buf    head, body, m;
	size_t	      i;
	int	      count;
	bool	      relaxed;

	buf_init(&head, 1 << 20);
	buf_init(&body, 1 << 20);
	buf_init(&m, 1 << 20);
	for (i = 0; i < 2 * sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *f = &forms[i / 2];

		relaxed = i % 2 != 0;
		b->conf->dkim.canonicalization = relaxed ?
		    CONF_RELAXED_RELAXED : CONF_RELAXED_SIMPLE;
		fill(f->head, f->filler, &head);
		fill(f->body, f->filler, &body);
		sign(b, "example.com", buf_bytes(&head), buf_bytes(&body));
		signed_message(b, buf_bytes(&head), buf_bytes(&body), &m);
		hand_out(f->name, relaxed, &m);
		if (f->is_odd)
			continue;
		if (!verifies(buf_bytes(&m), &count))
			fail_msg("%s does not verify", f->name);
		buf_clear(&m);
		buf_add_bytes(&m, buf_bytes(&head));
		buf_add_bytes(&m, buf_bytes(&body));
		expect_as_signing_mode(b, buf_bytes(&m), relaxed);
	}
	buf_wipe(&head);
	buf_wipe(&body);
	buf_wipe(&m);
}

/* The library cannot take it, receivers could: the field stays unsigned. */
static void
test_field_too_long(void **state)
{
	struct bench *b = *state;
	struct buf    head, m;
	int	      count;

	buf_init(&head, 1 << 20);
	buf_init(&m, 1 << 20);
	fill("References: @@\r\nFrom: a@example.com\r\nTo: x@y.example\r\n"
	     "\r\n", TOO_LONG, &head);
	sign(b, "example.com", buf_bytes(&head), BYTES("x\r\n"));
	assert_int_equal(count_name(tag_of(b, "h"), "references"), 0);
	assert_int_equal(count_name(tag_of(b, "h"), "to"), 2);
	signed_message(b, buf_bytes(&head), BYTES("x\r\n"), &m);
	hand_out("too-long", false, &m);
	buf_wipe(&head);
	/* its own verify mode leaves such a field out as well */
	assert_true(verifies(buf_bytes(&m), &count));
	buf_wipe(&m);
}

/* 40 MB, in pieces that end anywhere: the same hash as OpenSSL's alone. */
static void
test_body_of_40_mb(void **state)
{
	enum { LINE = 1000, ALL = 40 * 1000 * 1000 };
	struct bench	   *b = *state;
	char		   *body = malloc(ALL);
	struct signer_hash *h;
	struct bytes	    rest = { body, ALL };
	struct err	    e;
	unsigned char	    got[32], want[32];
	size_t		    i, n, step = 1;

	for (i = 0; i < ALL; i++)
		body[i] = (char)(i % LINE == LINE - 2 ? '\r' :
		    i % LINE == LINE - 1 ? '\n' : 0x21 + i % 90);
	EVP_Digest(body, ALL, want, NULL, EVP_sha256(), NULL);
	h = signer_hash_new(b->signer, b->conf, &e);
	while (rest.n > 0) {
		n = step < rest.n ? step : rest.n;
		signer_hash_feed(h, bytes_head(rest, n));
		rest = bytes_from(rest, n);
		step = step * 7 % 65537;
	}
	assert_int_equal(signer_hash_end(h, got, &e), 0);
	assert_memory_equal(got, want, 32);
	signer_hash_free(h);
	free(body);
}

/* More repetitions than h= has room for: the lowest ones are signed. */
static void
test_many_repetitions(void **state)
{
	struct bench *b = *state;
	struct buf    head, m;
	int	      i, count;
	unsigned      named;

	buf_init(&head, 1 << 20);
	buf_init(&m, 1 << 20);
	buf_add_text(&head, "From: a@example.com\r\n");
	for (i = 0; i < 5000; i++)
		buf_printf(&head, "To: r%d@x.example\r\n", i);
	buf_add_text(&head, "\r\n");
	sign(b, "example.com", buf_bytes(&head), BYTES("x\r\n"));
	assert_true(b->answer.ok);
	named = count_name(tag_of(b, "h"), "to");
	assert_in_range(named, 100, 4999);
	assert_true(strlen(tag_of(b, "h")) < 4000);
	signed_message(b, buf_bytes(&head), BYTES("x\r\n"), &m);
	assert_true(verifies(buf_bytes(&m), &count));
	buf_wipe(&head);
	buf_wipe(&m);
}

/* A field that the library would hash in another way than others do. */
static void
test_odd_field_is_left_out(void **state)
{
	struct bench *b = *state;

	sign(b, "example.com", BYTES("From: a@example.com\r\n"
	    "Subject: a\vb\r\nTo: x@y.example\r\n\r\n"), BYTES("x\r\n"));
	assert_true(b->answer.ok);
	assert_int_equal(count_name(tag_of(b, "h"), "subject"), 0);
	assert_int_equal(count_name(tag_of(b, "h"), "to"), 2);
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
		.body_hash = digest, .domain = "example.com", .selector = "s",
		.sealed = BYTES("sealed") };
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
		.body_hash = digest, .domain = "example.com", .selector = "s",
		.sealed = BYTES("sealed") };
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
		.domain = "example.com", .selector = "s",
		.sealed = BYTES("sealed") };
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
		.body_hash = digest, .domain = "example.com", .selector = "s",
		.sealed = BYTES("sealed") };
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
		T(test_forms),
		T(test_field_too_long),
		T(test_body_of_40_mb),
		T(test_many_repetitions),
		T(test_odd_field_is_left_out),
		T(test_answer_of_failure),
		T(test_half_an_answer),
		T(test_without_from_there_is_no_signature),
		T(test_cancel),
	};
	int rc;

	key = EVP_RSA_gen(2048);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	EVP_PKEY_free(key);
	return rc;
}
