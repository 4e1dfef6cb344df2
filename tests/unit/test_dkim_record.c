/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mail/dkim_record.h"

/* "the right key" */
#define KEY "dGhlIHJpZ2h0IGtleQ=="
#define OTHER "YW5vdGhlciBrZXkuLg=="
#define FOLDED "dghlihjpz2h0igtleq=="

struct row {
	const char *records[3]; /* NULL ends */
	enum dkim_record_outcome outcome;
	const char *reason; /* part of it */
	bool test_mode, case_folded;
};

/* dkim section 8; the numbers are the examples of its section 15 */
static const struct row rows[] = {
	{ { "v=DKIM1; k=rsa; p=" KEY }, DKIM_RECORD_MATCH, "", false, false },
	/* dkim#9: without v= and k= */
	{ { "p=" KEY }, DKIM_RECORD_MATCH, "", false, false },
	{ { "p=" KEY ";" }, DKIM_RECORD_MATCH, "", false, false },
	{ { " v = DKIM1 ;\tp = dGhlIHJp Z2h0I\r\n GtleQ== ; " },
	    DKIM_RECORD_MATCH, "", false, false },
	{ { "v=DKIM1;n=a note = text;g=*;p=" KEY }, DKIM_RECORD_MATCH, "",
	    false, false },
	{ { "v=DKIM1; h=sha1 : sha256; s=*:other; p=" KEY },
	    DKIM_RECORD_MATCH, "", false, false },
	{ { "s=tlsrpt:email; p=" KEY }, DKIM_RECORD_MATCH, "", false, false },
	{ { "t=y:s; p=" KEY }, DKIM_RECORD_MATCH, "", true, false },
	{ { "t=s; p=" KEY }, DKIM_RECORD_MATCH, "", false, false },
	{ { "v=spf1 -all", "p=" KEY }, DKIM_RECORD_MATCH, "", false, false },
	{ { "no list", "p=" KEY }, DKIM_RECORD_MATCH, "", false, false },
	/* dkim#22: what stands at a doubled name is not here */
	{ { NULL }, DKIM_RECORD_ABSENT, "no TXT", false, false },
	{ { "p=" OTHER }, DKIM_RECORD_MISMATCH, "another public key", false,
	    false },
	/* dkim#10: a host that lower-cases values */
	{ { "p=" FOLDED }, DKIM_RECORD_MISMATCH, "letter case", false, true },
	{ { "k=rsa; v=DKIM1; p=" KEY }, DKIM_RECORD_MISMATCH, "v=", false,
	    false },
	{ { "v=DKIM2; p=" KEY }, DKIM_RECORD_MISMATCH, "v=", false, false },
	{ { "v=dkim1; p=" KEY }, DKIM_RECORD_MISMATCH, "v=", false, false },
	{ { "k=ed25519; p=" KEY }, DKIM_RECORD_MISMATCH, "k=", false, false },
	{ { "h=sha1; p=" KEY }, DKIM_RECORD_MISMATCH, "h=", false, false },
	{ { "h=; p=" KEY }, DKIM_RECORD_MISMATCH, "h=", false, false },
	{ { "s=tlsrpt; p=" KEY }, DKIM_RECORD_MISMATCH, "s=", false, false },
	{ { "v=spf1 -all" }, DKIM_RECORD_MISMATCH, "no p=", false, false },
	{ { "P=" KEY }, DKIM_RECORD_MISMATCH, "no p=", false, false },
	{ { "v=DKIM1; p=" }, DKIM_RECORD_REVOKED, "revoked", false, false },
	{ { "v=DKIM1; p= ; t=y" }, DKIM_RECORD_REVOKED, "revoked", true,
	    false },
	{ { "p=" KEY, "p=" KEY }, DKIM_RECORD_MULTIPLE, "more than one",
	    false, false },
	{ { "p=" KEY, "nonsense; p=" }, DKIM_RECORD_MULTIPLE,
	    "more than one", false, false },
	{ { "" }, DKIM_RECORD_MALFORMED, "not a list", false, false },
	{ { "hello" }, DKIM_RECORD_MALFORMED, "not a list", false, false },
	{ { "v=DKIM1;; p=" KEY }, DKIM_RECORD_MALFORMED, "not a list", false,
	    false },
	{ { "v=DKIM1; p=" KEY "; p=" KEY }, DKIM_RECORD_MALFORMED,
	    "not a list", false, false },
	{ { "1v=DKIM1; p=" KEY }, DKIM_RECORD_MALFORMED, "not a list", false,
	    false },
	{ { "n=\xc3\xa4; p=" KEY }, DKIM_RECORD_MALFORMED, "not a list",
	    false, false },
	{ { "p=dGhlIHJpZ2h0IGtleQ" }, DKIM_RECORD_MALFORMED, "base64", false,
	    false },
	{ { "p=\"" KEY "\"" }, DKIM_RECORD_MALFORMED, "base64", false,
	    false },
	{ { "v=DKIM1; k=rsa; p=customerProvidedPublicKey" },
	    DKIM_RECORD_MALFORMED, "base64", false, false },
};

static void
records_are_judged(void **state)
{
	const struct dkim_record_key want = { DKIM_KEY_RSA, BYTES(KEY) };
	struct dkim_record_verdict   v;
	struct bytes		     texts[3];
	size_t			     i, n;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (n = 0; n < 3 && rows[i].records[n] != NULL; n++)
			texts[n] = bytes_of(rows[i].records[n]);
		dkim_record_judge(texts, n, &want, &v);
		if (v.outcome != rows[i].outcome)
			fail_msg("row %zu: %s (%s)", i,
			    dkim_record_outcome_to_text(v.outcome), v.reason);
		assert_int_equal(v.test_mode, rows[i].test_mode);
		assert_int_equal(v.case_folded, rows[i].case_folded);
		assert_non_null(strstr(v.reason, rows[i].reason));
		if (v.outcome == DKIM_RECORD_MATCH)
			assert_string_equal(v.reason, "");
	}
}

static void
kinds_of_keys_are_told_apart(void **state)
{
	struct dkim_record_key	   want = { DKIM_KEY_ED25519, BYTES(KEY) };
	struct dkim_record_verdict v;
	struct bytes		   text = BYTES("k=ed25519; p=" KEY);

	(void)state;
	dkim_record_judge(&text, 1, &want, &v);
	assert_int_equal(v.outcome, DKIM_RECORD_MATCH);
	text = BYTES("p=" KEY);
	dkim_record_judge(&text, 1, &want, &v);
	assert_int_equal(v.outcome, DKIM_RECORD_MISMATCH);
}

static void
long_records_end_well(void **state)
{
	const struct dkim_record_key want = { DKIM_KEY_RSA, BYTES(KEY) };
	struct dkim_record_verdict   v;
	static char		     big[20000];
	struct bytes		     text = { big, sizeof(big) };

	(void)state;
	memset(big, 'A', sizeof(big));
	memcpy(big, "p=", 2);
	dkim_record_judge(&text, 1, &want, &v);
	assert_int_equal(v.outcome, DKIM_RECORD_MISMATCH);
	memset(big, ';', sizeof(big));
	dkim_record_judge(&text, 1, &want, &v);
	assert_int_equal(v.outcome, DKIM_RECORD_MALFORMED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_judged),
		cmocka_unit_test(kinds_of_keys_are_told_apart),
		cmocka_unit_test(long_records_end_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
