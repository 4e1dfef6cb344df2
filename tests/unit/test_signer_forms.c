/* SPDX-License-Identifier: ISC */
/*
 * Heads and bodies of many forms: the library's own signing mode would sign
 * the same, and its verify mode accepts it.
 * With POSTHORN_DKIM_DIR set, signed messages and their key records are
 * written there for other verifiers (tests/integration/test_identity.py).
 */
#include "signer_world.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_forms),
		T(test_field_too_long),
		T(test_body_of_40_mb),
		T(test_many_repetitions),
		T(test_odd_field_is_left_out),
	};
	int rc;

	key = EVP_RSA_gen(2048);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	EVP_PKEY_free(key);
	return rc;
}
