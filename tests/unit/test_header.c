/* SPDX-License-Identifier: ISC */
/* header: sections, look-up, rewriting, encoded words, tags. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "mail/header.h"

static const struct header_rules strict = { 262144, false };
static const struct header_rules lenient = { 262144, true };

static struct arena *
parse(const char *text, const struct header_rules *rules, struct header *h)
{
	struct arena *a = arena_new(1 << 20);

	assert_int_equal(header_parse(bytes_of(text), rules, a, h),
	    HEADER_OK);
	return a;
}

static void
assert_written(const struct header *h, const char *want)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_true(header_write(h, &b));
	buf_add_char(&b, '\0');
	assert_string_equal(b.p, want);
	buf_wipe(&b);
}

static void
test_fields(void **state)
{
	static const char text[] = "From: a@example.com\r\n"
				   "Subject : one\r\n\ttwo\r\n three \r\n"
				   "X-Empty:\r\n"
				   "from:b\r\n"
				   "\r\nbody: no field\r\n";
	struct header	  h;
	struct arena	 *a = parse(text, &strict, &h);
	struct field	 *f;

	(void)state;
	assert_int_equal(h.count, 4);
	assert_string_equal(text + h.body, "body: no field\r\n");
	assert_false(h.broke_off);
	f = header_find(&h, "SUBJECT");
	assert_true(bytes_eq_text(f->name, "Subject"));
	assert_true(bytes_eq_text(f->value, " one\r\n\ttwo\r\n three "));
	assert_true(bytes_eq_text(header_unfold(f->value, a),
	    "one\ttwo three"));
	f = header_find(&h, "From");
	assert_true(bytes_eq_text(header_unfold(f->value, a),
	    "a@example.com"));
	f = header_next(&h, f, "From");
	assert_true(bytes_eq_text(f->value, "b"));
	assert_null(header_next(&h, f, "From"));
	assert_null(header_find(&h, "body"));
	f = header_find(&h, "X-Empty");
	assert_int_equal(header_unfold(f->value, a).n, 0);
	assert_non_null(header_unfold(f->value, a).p);
	assert_int_equal(header_count(&h, "from"), 2);
	assert_int_equal(header_count(&h, "Frog"), 0);
	arena_free(a);
}

enum { OK = HEADER_OK, BAD = HEADER_MALFORMED };

static void
test_sections(void **state)
{
	static const struct {
		const char *text;
		bool	    lenient;
		int	    result;
		size_t	    count, body;
		bool	    broke_off;
	} cases[] = {
		/* smtp-interface#19: the section is empty */
		{ "\r\nSubject: Hi there\r\n\r\ntext\r\n", false, OK, 0, 2,
		    false },
		{ "", false, OK, 0, 0, false },
		{ "A: b\r\n", false, OK, 1, 6, false },
		{ "A: b\r\n\r\n", false, OK, 1, 8, false },
		{ "A: b\n\nx", false, OK, 1, 6, false },
		{ "A: b", false, OK, 1, 4, false },
		{ " A: b\r\n\r\n", false, BAD, 0, 0, false },
		{ "A: b\r\nhello\r\n", false, BAD, 0, 0, false },
		{ "A: b\r\nhel lo: x\r\n", false, BAD, 0, 0, false },
		{ ": b\r\n", false, BAD, 0, 0, false },
		{ "\303\244: b\r\n", false, BAD, 0, 0, false },
		{ "A: b\r\nhello\r\n", true, OK, 1, 6, true },
		{ " A: b\r\n\r\n", true, OK, 0, 0, true },
		{ "A: b\r\n c\r\nhello\r\n", true, OK, 1, 10, true },
		{ "A: b\r\n\r\nhello\r\n", true, OK, 1, 8, false },
	};
	struct header h;
	size_t	      i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct header_rules *rules =
		    cases[i].lenient ? &lenient : &strict;
		struct bytes  text = bytes_of(cases[i].text);
		struct arena *a = arena_new(1 << 16);
		size_t	      from = 0, n;
		ptrdiff_t     at = -1;

		assert_int_equal(header_parse(text, rules, a, &h),
		    cases[i].result);
		if (cases[i].result == OK) {
			assert_int_equal(h.count, cases[i].count);
			assert_int_equal(h.body, cases[i].body);
			assert_int_equal(h.broke_off, cases[i].broke_off);
			/* the same place is found while it streams in */
			for (n = 0; n <= text.n && at < 0; n++)
				at = header_end(bytes_head(text, n), &from,
				    cases[i].lenient);
			if (at < 0)
				assert_int_equal(h.body, text.n);
			else
				assert_int_equal(at, h.body);
		}
		arena_free(a);
	}
}

static void
test_limits(void **state)
{
	struct header_rules rules = { 100, false };
	struct arena	   *a = arena_new(1 << 20);
	struct header	    h;
	struct buf	    b;
	size_t		    i;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_add_text(&b, "X-Long: ");
	while (b.n < 98)
		buf_add_char(&b, 'x');
	buf_add_text(&b, "\r\n\r\nbody of any length ............");
	assert_int_equal(header_parse(buf_bytes(&b), &rules, a, &h), OK);
	rules.section_max = 99;
	assert_int_equal(header_parse(buf_bytes(&b), &rules, a, &h),
	    HEADER_TOO_LONG);
	/* one field over 65,536 octets without its line ends */
	buf_clear(&b);
	buf_add_text(&b, "X:");
	for (i = 0; i < 64; i++) {
		size_t k;

		for (k = 0; k < 1022; k++)
			buf_add_char(&b, 'x');
		buf_add_text(&b, i < 63 ? "\r\n  " : "");
	}
	buf_add_text(&b, "\r\n\r\n");
	rules.section_max = 262144;
	assert_int_equal(header_parse(buf_bytes(&b), &rules, a, &h), OK);
	b.n -= 4;
	buf_add_text(&b, "x\r\n\r\n");
	assert_int_equal(header_parse(buf_bytes(&b), &rules, a, &h),
	    HEADER_TOO_LONG);
	buf_wipe(&b);
	arena_free(a);
	a = arena_new(64);
	assert_int_equal(header_parse(BYTES("A: b\r\n"), &rules, a, &h),
	    HEADER_NO_MEMORY);
	arena_free(a);
}

/* smtp-interface#16 */
static const struct duplicate_case {
	const char *text;
	int	    set;
	bool	    many;
	const char *name;
} duplicate_cases[] = {
	{ "Subject: a\r\nSubject: b\r\n", HEADER_UNIQUE_SES, false,
	    "Subject" },
	{ "subject: a\r\nSUBJECT: b\r\n", HEADER_UNIQUE_SES, false,
	    "Subject" },
	{ "To: a\r\nTo: b\r\nReceived: a\r\nReceived: b\r\nX-Foo: a\r\n"
	  "X-Foo: b\r\nCc: a\r\nCc: b\r\nBcc: a\r\nBcc: b\r\n"
	  "Resent-From: a\r\nResent-From: b\r\n", HEADER_UNIQUE_SES, false,
	    NULL },
	{ "DKIM-Signature: a\r\nDKIM-Signature: b\r\n", HEADER_UNIQUE_SES,
	    false, "DKIM-Signature" },
	{ "DKIM-Signature: a\r\nDKIM-Signature: b\r\n", HEADER_UNIQUE_SES,
	    true, NULL },
	/* the first that repeats one is named */
	{ "Date: a\r\nFrom: a\r\nFrom: b\r\nDate: b\r\n", HEADER_UNIQUE_SES,
	    false, "From" },
	{ "ACCEPTLANGUAGE: a\r\nacceptLanguage: b\r\n", HEADER_UNIQUE_SES,
	    false, "acceptLanguage" },
	{ "vbr-info: a\r\nVBR-Info: b\r\n", HEADER_UNIQUE_SES, false,
	    "VBR-Info" },
	{ "accept-language: a\r\nAccept-Language: b\r\n", HEADER_UNIQUE_SES,
	    false, "Accept-Language" },
	{ "bounces-to: a\r\nBounces-To: b\r\n", HEADER_UNIQUE_SES, false,
	    "Bounces-to" },
	{ "Priority: a\r\nPriority: b\r\n", HEADER_UNIQUE_RFC5322, false,
	    NULL },
	{ "Priority: a\r\nPriority: b\r\nDate: a\r\nDate: b\r\n",
	    HEADER_UNIQUE_RFC5322, false, "Date" },
};

static void
test_duplicates(void **state)
{
	struct header h;
	size_t	      i;

	(void)state;
	for (i = 0; i < sizeof(duplicate_cases) / sizeof(duplicate_cases[0]);
	    i++) {
		const struct duplicate_case *c = &duplicate_cases[i];
		struct arena *a = parse(c->text, &strict, &h);
		const char   *got = header_first_duplicate(&h,
			  (enum header_unique)c->set, c->many);

		if (c->name == NULL)
			assert_null(got);
		else if (got == NULL)
			fail_msg("%s: none found", c->text);
		else
			assert_string_equal(got, c->name);
		arena_free(a);
	}
}

/* Every name of the list is found, and each in its own spelling. */
static void
test_all_unique_names(void **state)
{
	static const char *const names[] = {
		"Archived-At", "Auto-Submitted", "Comments",
		"Content-Alternative", "Content-Base", "Content-Class",
		"Content-Description", "Content-Disposition",
		"Content-Duration", "Content-ID", "Content-Language",
		"Content-Length", "Content-Location", "Content-MD5",
		"Content-Transfer-Encoding", "Content-Type", "Date",
		"Delivered-To", "Disposition-Notification-Options",
		"Disposition-Notification-To", "DomainKey-Signature",
		"Errors-To", "From", "Importance", "In-Reply-To", "Keywords",
		"List-Archive", "List-Help", "List-Id", "List-Owner",
		"List-Post", "List-Subscribe", "List-Unsubscribe",
		"List-Unsubscribe-Post", "Message-Context", "Message-ID",
		"MIME-Version", "Organization", "Original-From",
		"Original-Message-ID", "Original-Recipient",
		"Original-Subject", "Precedence", "Priority", "References",
		"Reply-To", "Return-Path", "Return-Receipt-To", "Sender",
		"Solicitation", "Sensitivity", "Subject", "Thread-Index",
		"Thread-Topic", "User-Agent",
	};
	struct header h;
	struct buf    b;
	size_t	      i;

	(void)state;
	buf_init(&b, 1000);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct arena *a;

		buf_clear(&b);
		buf_printf(&b, "%s: a\r\n%s: b\r\n", names[i], names[i]);
		a = parse(b.p, &strict, &h);
		assert_non_null(header_first_duplicate(&h, HEADER_UNIQUE_SES,
		    false));
		assert_string_equal(header_first_duplicate(&h,
		    HEADER_UNIQUE_SES, false), names[i]);
		arena_free(a);
	}
	buf_wipe(&b);
}

/* smtp-interface#17,18: places of what is replaced, removed and added. */
static void
test_rewriting(void **state)
{
	struct header h;
	struct arena *a = parse("Return-Path: <feedback@example.com>\r\n"
				"Date: old\r\n"
				"Bcc: x@example.com\r\n"
				"X-SES-CONFIGURATION-SET: prod\r\n"
				"Subject: folded\r\n text\r\n"
				"x-ses-foo: 1\r\n"
				"BCC: y@example.com\r\n"
				"To: z@example.com\r\n\r\n", &strict, &h);

	(void)state;
	header_remove(&h, "Return-Path");
	header_remove(&h, "bcc");
	header_remove_prefix(&h, "X-SES-");
	assert_null(header_find(&h, "X-SES-FOO"));
	assert_true(header_replace(&h, header_find(&h, "date"), "Date",
	    BYTES("Wed, 01 May 2024 12:00:00 +0000")));
	assert_true(header_append(&h, "Message-ID", BYTES("<id@x.example>")));
	assert_true(header_put_on_top(&h, "Received",
	    BYTES("by x.example\r\n id 1")));
	assert_true(header_put_on_top(&h, "DKIM-Signature", BYTES("v=1")));
	assert_written(&h, "DKIM-Signature: v=1\r\n"
			   "Received: by x.example\r\n id 1\r\n"
			   "Date: Wed, 01 May 2024 12:00:00 +0000\r\n"
			   "Subject: folded\r\n text\r\n"
			   "To: z@example.com\r\n"
			   "Message-ID: <id@x.example>\r\n\r\n");
	assert_true(bytes_eq_text(header_unfold(header_find(&h,
	    "message-id")->value, a), "<id@x.example>"));
	arena_free(a);
}

static void
test_many_added(void **state)
{
	struct header h;
	struct arena *a = parse("A: b\r\n\r\n", &strict, &h);
	size_t	      i;

	(void)state;
	for (i = 0; i < 100; i++) {
		assert_true(header_append(&h, "X", BYTES("1")));
		assert_true(header_put_on_top(&h, "Y", BYTES("1")));
	}
	assert_int_equal(header_count(&h, "X"), 100);
	assert_int_equal(header_count(&h, "Y"), 100);
	assert_true(bytes_eq_text(h.fields[100].name, "A"));
	arena_free(a);
}

static void
test_eight_bit(void **state)
{
	struct header h;
	struct arena *a = parse("A: b\r\nX-Caf: \303\251\r\n", &strict, &h);

	(void)state;
	assert_true(bytes_eq_text(header_first_eight_bit(&h)->name,
	    "X-Caf"));
	header_remove(&h, "x-caf");
	assert_null(header_first_eight_bit(&h));
	arena_free(a);
}

#define HELLO "\320\257\320\272 \321\202\320\270 " \
	"\320\277\320\276\320\266\320\270\320\262\320\260\321\224\321\210?"

static const struct {
	const char *in, *out;
} word_cases[] = {
	/* the two forms of the reference, smtp-interface.md 7.4 */
	{ "=?utf-8?Q?=D0=AF=D0=BA_=D1=82=D0=B8_=D0=BF=D0=BE=D0=B6=D0=B8"
	  "=D0=B2=D0=B0=D1=94=D1=88=3F?=", HELLO },
	{ "=?utf-8?B?0K/QuiDRgtC4INC/0L7QttC40LLQsNGU0Yg/?=", HELLO },
	{ "plain text", "plain text" },
	{ "", "" },
	{ "a =?us-ascii?q?b?= c", "a b c" },
	{ "=?utf-8?q?a?= =?utf-8?q?b?=", "ab" },
	{ "=?utf-8?q?a?=\r\n =?UTF-8?Q?b?= c", "ab c" },
	{ "=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "\303\244" },
	{ "=?iso-8859-1?q?=E4=A4?=", "\303\244\302\244" },
	{ "=?ISO-8859-15?q?=A4?=", "\342\202\254" },
	{ "=?windows-1252?q?=80=93?=", "\342\202\254\342\200\234" },
	{ "=?utf-8*en?q?a?=", "a" },
	{ "=?utf-8?B?YWI=?=", "ab" },
	{ "=?utf-8?B?YWI?=", "ab" },
	{ "=?utf-8?B?YWJj?= x", "abc x" },
	{ "=?koi8-r?q?=C1?=", "=?koi8-r?q?=C1?=" },
	{ "=?koi8-r?q?=C1?= =?utf-8?q?b?=", "=?koi8-r?q?=C1?= b" },
	{ "=?utf-8?x?a?=", "=?utf-8?x?a?=" },
	{ "=?utf-8?q?=G1?=", "=?utf-8?q?=G1?=" },
	{ "=?utf-8?b?Y?=", "=?utf-8?b?Y?=" },
	{ "=?utf-8?q?a", "=?utf-8?q?a" },
	{ "=?utf-8?q", "=?utf-8?q" },
	{ "=?", "=?" },
	{ "==?utf-8?q?a?==", "=a=" },
	{ "=?utf-8?q?" "?=", "" },
};

static void
test_words(void **state)
{
	struct buf b;
	size_t	   i;

	(void)state;
	buf_init(&b, 1000);
	for (i = 0; i < sizeof(word_cases) / sizeof(word_cases[0]); i++) {
		buf_clear(&b);
		assert_true(header_decode_words(bytes_of(word_cases[i].in),
		    &b));
		if (!bytes_eq_text(buf_bytes(&b), word_cases[i].out))
			fail_msg("%s: %.*s", word_cases[i].in, (int)b.n,
			    b.p);
	}
	buf_wipe(&b);
	buf_init(&b, 3);
	assert_false(header_decode_words(BYTES("=?utf-8?q?abcd?="), &b));
	buf_wipe(&b);
}

/* smtp-interface#17: fields that the client has signed. */
static void
test_signed(void **state)
{
	struct header h;
	struct arena *a = parse("DKIM-Signature: v=1; d=client.example;\r\n"
				"\th=from : to:\r\n\tDate:message-id;"
				" bh=h; b=abc=\r\n\tdef\r\n"
				"DKIM-Signature: v=1; h=x-late\r\n"
				"DKIM-Signature: v=1; H=subject\r\n"
				"\r\n", &strict, &h);
	struct bytes  v;

	(void)state;
	assert_true(header_is_signed(&h, "From"));
	assert_true(header_is_signed(&h, "date"));
	assert_true(header_is_signed(&h, "Message-ID"));
	assert_true(header_is_signed(&h, "X-Late"));
	assert_false(header_is_signed(&h, "Subject"));
	assert_false(header_is_signed(&h, "fro"));
	assert_true(header_tag(h.fields[0].value, "d", &v));
	assert_true(bytes_eq_text(v, "client.example"));
	assert_true(header_tag(h.fields[0].value, "b", &v));
	assert_true(bytes_eq_text(v, "abc=\r\n\tdef"));
	assert_false(header_tag(h.fields[0].value, "x", &v));
	assert_false(header_tag(BYTES(""), "x", &v));
	assert_true(header_tag(BYTES("p="), "p", &v));
	assert_int_equal(v.n, 0);
	arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_all_unique_names),
		cmocka_unit_test(test_rewriting),
		cmocka_unit_test(test_many_added),
		cmocka_unit_test(test_eight_bit),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
