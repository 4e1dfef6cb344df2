/* SPDX-License-Identifier: ISC */
/* DMARC records, alignment; the text of SPF records. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "mail/dmarc.h"
#include "mail/spf_record.h"
#include "net/spf_term.h"

/* -- records of DMARC ------------------------------------------------------ */

static const struct {
	const char	  *text;
	enum dmarc_finding finding;
	enum dmarc_policy  policy;
} dmarc_rows[] = {
	{ "v=DMARC1;p=none;rua=mailto:dmarc@example.com", DMARC_FOUND,
	    DMARC_NONE },
	{ "v=DMARC1;p=quarantine;rua=mailto:my_dmarc_report@example.com",
	    DMARC_FOUND, DMARC_QUARANTINE },
	{ " v = DMARC1 ; p = REJECT ; ", DMARC_FOUND, DMARC_REJECT },
	{ "v=DMARC1;;p=reject;x=y", DMARC_FOUND, DMARC_REJECT },
	{ "v=DMARC1;rua=mailto:a@b.example;p=none", DMARC_FOUND,
	    DMARC_NONE },
	{ "v=DMARC1;p=none;pct=abc;aspf=x", DMARC_FOUND, DMARC_NONE },
	{ "v=DMARC1;p=maybe", DMARC_MALFORMED, 0 },
	{ "v=DMARC1", DMARC_MALFORMED, 0 },
	{ "v=DMARC1;p=", DMARC_MALFORMED, 0 },
	{ "v=DMARC1;rua=mailto:a@b.example", DMARC_MALFORMED, 0 },
	{ "v=DMARC1;p=none;sp=maybe", DMARC_MALFORMED, 0 },
	{ "v=DMARC1;p=none;p=reject", DMARC_MALFORMED, 0 },
	{ "v=DMARC1;p=none;nonsense", DMARC_MALFORMED, 0 },
	{ "v=DMARC1;p=none;=x", DMARC_MALFORMED, 0 },
	{ "p=none;v=DMARC1", DMARC_MALFORMED, 0 },
	{ "v=DMARC2;p=none", DMARC_ABSENT, 0 },
	{ "v=dmarc1;p=none", DMARC_ABSENT, 0 },
	{ "v=DMARC10;p=none", DMARC_ABSENT, 0 },
	{ "v=spf1 -all", DMARC_ABSENT, 0 },
	{ "", DMARC_ABSENT, 0 },
};

static void
test_records(void **state)
{
	struct dmarc_record r;
	struct bytes	    text;
	size_t		    i;

	(void)state;
	for (i = 0; i < sizeof(dmarc_rows) / sizeof(dmarc_rows[0]); i++) {
		text = bytes_of(dmarc_rows[i].text);
		if (dmarc_read(&text, 1, &r) != dmarc_rows[i].finding)
			fail_msg("%s", dmarc_rows[i].text);
		if (dmarc_rows[i].finding == DMARC_FOUND)
			assert_int_equal(r.policy, dmarc_rows[i].policy);
	}
	assert_int_equal(dmarc_read(NULL, 0, &r), DMARC_ABSENT);
}

/* mail-from-spf-dmarc#18: the policy of sub-domains */
static void
test_tags(void **state)
{
	struct bytes text = BYTES("v=DMARC1;p=none;sp=reject;adkim=s;pct=20");
	struct dmarc_record r;

	(void)state;
	assert_int_equal(dmarc_read(&text, 1, &r), DMARC_FOUND);
	assert_int_equal(dmarc_policy_of(&r, false), DMARC_NONE);
	assert_int_equal(dmarc_policy_of(&r, true), DMARC_REJECT);
	assert_true(r.strict_dkim);
	assert_false(r.strict_spf);
	assert_int_equal(r.percent, 20);
	text = BYTES("v=DMARC1;p=quarantine;aspf=S");
	assert_int_equal(dmarc_read(&text, 1, &r), DMARC_FOUND);
	assert_int_equal(dmarc_policy_of(&r, true), DMARC_QUARANTINE);
	assert_true(r.strict_spf);
	assert_int_equal(r.percent, 100);
}

static void
test_several(void **state)
{
	struct bytes texts[3] = { BYTES("v=spf1 -all"),
		BYTES("v=DMARC1;p=none"), BYTES("v=DMARC1;p=reject") };
	struct dmarc_record r;

	(void)state;
	assert_int_equal(dmarc_read(texts, 2, &r), DMARC_FOUND);
	assert_int_equal(dmarc_read(texts, 3, &r), DMARC_ABSENT);
	/* one that is not in order does not count beside one that is */
	texts[2] = BYTES("p=reject;v=DMARC1");
	assert_int_equal(dmarc_read(texts, 3, &r), DMARC_FOUND);
	assert_int_equal(r.policy, DMARC_NONE);
}

/* A tag list without end, on one line of a name server of somebody else. */
static void
test_bounded(void **state)
{
	char		    text[60000] = "v=DMARC1;p=none";
	size_t		    n = strlen(text);
	struct bytes	    b;
	struct dmarc_record r;

	(void)state;
	while (n + 4 < sizeof(text)) {
		memcpy(text + n, ";x=y", 4);
		n += 4;
	}
	b = (struct bytes){ text, n };
	assert_int_equal(dmarc_read(&b, 1, &r), DMARC_MALFORMED);
}

/* -- alignment (7.3) ------------------------------------------------------- */

static void
test_alignment(void **state)
{
	static const struct {
		const char *from, *from_org, *passed, *passed_org;
		bool	    strict, aligned;
	} rows[] = {
		{ "example.com", "example.com", "bounces.relay.example",
		    "relay.example", false, false },
		{ "example.com", "example.com", "mail.example.com",
		    "example.com", false, true },
		{ "example.com", "example.com", "mail.example.com",
		    "example.com", true, false },
		{ "example.com", "example.com", "Example.COM", "Example.COM",
		    true, true },
		{ "shop.example.com", "example.com", "example.com",
		    "example.com", false, true },
		{ "shop.example.com", "example.com", "example.com",
		    "example.com", true, false },
		/* co.uk is a public suffix */
		{ "example.co.uk", "example.co.uk", "mail.other.co.uk",
		    "other.co.uk", false, false },
		{ "example.com", "example.com", "", "", false, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dmarc_domain from = { bytes_of(rows[i].from),
			bytes_of(rows[i].from_org) };
		struct dmarc_domain passed = { bytes_of(rows[i].passed),
			bytes_of(rows[i].passed_org) };

		if (dmarc_is_aligned(&from, &passed, rows[i].strict) !=
		    rows[i].aligned)
			fail_msg("%s and %s", rows[i].from, rows[i].passed);
	}
}

/* -- the text of SPF records ----------------------------------------------- */

static void
test_spf_text(void **state)
{
	static const struct {
		const char *text;
		char	    all;
		bool	    redirect, ptr, includes, lists, lists6;
	} rows[] = {
		{ "v=spf1 include:spf.relay.example ~all", '~', false, false,
		    true, false, false },
		{ "v=spf1 ?INCLUDE:SPF.Relay.Example. all", '+', false,
		    false, true, false, false },
		{ "v=spf1 ip4:203.0.113.10", 0, false, false, false, true,
		    false },
		{ "v=spf1 ip4:203.0.113.0/25 ip6:2001:db8::/33 -all", '-',
		    false, false, false, true, true },
		{ "v=spf1 ip4:203.0.113.64/26 ip6:2001:db8:1::/48 ?all", '?',
		    false, false, false, false, false },
		{ "v=spf1 ip4:203.0.113.10/33 ip4:x ip4: ip4 ip6:2001:db8::10/"
		  "129", 0, false, false, false, false, false },
		{ "v=spf1 ip4:0.0.0.0/0 -all", '-', false, false, false,
		    true, false },
		{ "v=spf1 redirect=other.example", 0, true, false, false,
		    false, false },
		{ "v=spf1 ptr -all +all", '-', false, true, false, false,
		    false },
		{ "v=spf1   ", 0, false, false, false, false, false },
		{ "v=spf1", 0, false, false, false, false, false },
		{ "v=spf1 all:x include:notspf.relay.example "
		  "xinclude:spf.relay.example", 0, false, false, false,
		    false, false },
	};
	struct spf_record r;
	struct bytes	  text;
	size_t		  i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		text = bytes_of(rows[i].text);
		spf_record_read(text, &r);
		if (r.all != rows[i].all || r.redirect != rows[i].redirect ||
		    r.ptr != rows[i].ptr || r.is_long ||
		    spf_record_includes(text, BYTES("spf.relay.example")) !=
			rows[i].includes ||
		    spf_record_lists(text, "203.0.113.10") != rows[i].lists ||
		    spf_record_lists(text, "2001:db8::10") != rows[i].lists6)
			fail_msg("%s", rows[i].text);
	}
}

static void
test_spf_find(void **state)
{
	struct bytes texts[4] = { BYTES("v=spf10 -all"), BYTES("V=SPF1 -all"),
		BYTES("other"), BYTES("v=spf1") };
	struct bytes	  found;
	struct spf_record r;
	char		  text[500];

	(void)state;
	assert_int_equal(spf_find(texts, 1, &found), 0);
	assert_int_equal(spf_find(texts, 3, &found), 1);
	assert_true(bytes_eq(found, texts[1]));
	assert_int_equal(spf_find(texts, 4, &found), 2);
	memset(text, ' ', sizeof(text));
	memcpy(text, "v=spf1", 6);
	spf_record_read((struct bytes){ text, 450 }, &r);
	assert_false(r.is_long);
	spf_record_read((struct bytes){ text, 451 }, &r);
	assert_true(r.is_long);
}

static void
test_relax(void **state)
{
	static const struct {
		const char *record, *tag, *relaxed;
	} cases[] = {
		{ "v=DMARC1;p=none;adkim=s", "adkim",
		    "v=DMARC1;p=none;adkim=r" },
		{ " v=DMARC1; p=none ; ADKIM = S;;rua=mailto:a@b.c; ",
		    "adkim",
		    "v=DMARC1;p=none;ADKIM=r;rua=mailto:a@b.c" },
		{ "v=DMARC1;adkim=s;aspf=s;p=none", "aspf",
		    "v=DMARC1;adkim=s;aspf=r;p=none" },
		{ "v=DMARC1;p=none", "aspf", "v=DMARC1;p=none" },
		{ "", "aspf", "" },
		{ "nothing", "aspf", "" },
	};
	struct buf b;
	size_t	   i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_init(&b, 256);
		dmarc_relax(bytes_of(cases[i].record), cases[i].tag, &b);
		assert_true(bytes_eq_text(buf_bytes(&b), cases[i].relaxed));
		buf_wipe(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relax),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_spf_text),
		cmocka_unit_test(test_spf_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
