/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "registry/verify_job.h"

static const struct verify_job jobs[] = {
	{ .ticket = UINT64_MAX, .kind = VERIFY_DKIM, .authoritative = true,
	    .domain = "example.com", .selector = "s2024a",
	    .key_kind = DKIM_KEY_ED25519, .public_key = "QUJD",
	    .cname_target = "token1.dkim.relay.example" },
	{ .ticket = 1, .kind = VERIFY_DKIM, .domain = "example.com",
	    .selector = "s", .public_key = "QUJD" },
	{ .ticket = 2, .kind = VERIFY_TOKEN, .domain = "example.com",
	    .token = "abcdefghijklmnopqrstuvwxyz234567" },
	{ .ticket = 3, .kind = VERIFY_MX, .domain = "mail.example.com",
	    .mx_host = "feedback-smtp.us-east-1.relay.example" },
	{ .ticket = 4, .kind = VERIFY_SPF, .domain = "mail.example.com",
	    .ip = "2001:db8::10", .helo = "mx1.relay.example",
	    .include = "spf.relay.example" },
	{ .ticket = 5, .kind = VERIFY_SPF, .ip = "203.0.113.10",
	    .helo = "mx1.relay.example" },
	{ .ticket = 9, .kind = VERIFY_SPF, .domain = "sink.example",
	    .local = "\"jane doe\"", .cached = true, .ip = "192.0.2.1",
	    .helo = "mx.sink.example" },
	{ .ticket = 6, .kind = VERIFY_DMARC, .domain = "shop.example.com",
	    .organisation = "example.com" },
	{ .ticket = 7, .kind = VERIFY_HOST, .domain = "mx1.relay.example" },
	{ .ticket = 8, .kind = VERIFY_REPLY, .domain = "example.com" },
};
static const struct verify_result results[] = {
	{ .ticket = 7, .kind = VERIFY_DKIM, .outcome = DKIM_MATCH,
	    .host_found = true, .authoritative = true,
	    .warning = "key is in test mode" },
	{ .ticket = 8, .kind = VERIFY_MX, .outcome = DKIM_DNS_ERROR,
	    .hint = "time-out" },
	{ .ticket = 9, .kind = VERIFY_SPF, .outcome = DKIM_MISMATCH,
	    .text = "v=spf1 ptr ~all",
	    .spf = { SPF_OUTCOME_SOFTFAIL, 1, 2, true,
		{ '~', true, true, true } } },
	{ .ticket = 10, .kind = VERIFY_DMARC, .outcome = DKIM_MATCH,
	    .text = "v=DMARC1;p=none;sp=reject;adkim=s;aspf=s;pct=7",
	    .dmarc = { true, { .policy = DMARC_QUARANTINE,
		.has_sub_policy = true, .sub_policy = DMARC_REJECT,
		.strict_dkim = true, .strict_spf = true, .percent = 7 } } },
};

static void
jobs_come_back(void **state)
{
	struct verify_job out;
	struct buf	  b;
	size_t		  i, n;

	(void)state;
	buf_init(&b, VERIFY_MESSAGE_MAX);
	for (i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		buf_clear(&b);
		assert_true(verify_job_encode(&jobs[i], &b));
		assert_true(verify_job_decode(buf_bytes(&b), &out));
		assert_memory_equal(&out, &jobs[i], sizeof(out));
		for (n = 0; n < b.n; n++) /* nothing shorter is a message */
			assert_false(verify_job_decode(
			    bytes_head(buf_bytes(&b), n), &out));
		buf_add_char(&b, 'x');
		assert_false(verify_job_decode(buf_bytes(&b), &out));
	}
	buf_wipe(&b);
}

static void
results_come_back(void **state)
{
	struct verify_result out;
	struct buf	     b;
	size_t		     i, n;

	(void)state;
	buf_init(&b, VERIFY_MESSAGE_MAX);
	for (i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		buf_clear(&b);
		assert_true(verify_result_encode(&results[i], &b));
		assert_true(verify_result_decode(buf_bytes(&b), &out));
		assert_memory_equal(&out, &results[i], sizeof(out));
		for (n = 0; n < b.n; n++)
			assert_false(verify_result_decode(
			    bytes_head(buf_bytes(&b), n), &out));
	}
	buf_wipe(&b);
}

static void
damaged_messages_are_refused(void **state)
{
	static const struct {
		size_t at;
		char   octet;
	} cases[] = {
		{ 0, 'R' },    /* a result */
		{ 1, 2 },      /* another version */
		{ 10, 0 },     /* no kind */
		{ 10, 8 },     /* unknown kind */
		{ 10, 4 },
		{ 10, 3 },     /* the texts are those of another kind */
		{ 11, 2 },     /* no flag */
		{ 12, 2 },     /* no kind of key */
		{ 13, 1 },     /* a text longer than the message */
		{ 15, '\n' },  /* not printable */
		{ 15, '\xe4' },
		{ 15, '\0' },
	};
	struct verify_job    out;
	struct verify_result r;
	struct verify_job    big = jobs[0];
	struct buf	     b, small;
	char		     old;
	size_t		     i;

	(void)state;
	buf_init(&b, VERIFY_MESSAGE_MAX);
	assert_true(verify_job_encode(&jobs[0], &b));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		old = b.p[cases[i].at];
		b.p[cases[i].at] = cases[i].octet;
		if (verify_job_decode(buf_bytes(&b), &out))
			fail_msg("case %zu", i);
		b.p[cases[i].at] = old;
	}
	assert_true(verify_job_decode(buf_bytes(&b), &out));
	assert_false(verify_result_decode(buf_bytes(&b), &r));
	assert_false(verify_job_decode((struct bytes){ "", 0 }, &out));
	/* a text without an end does not fit */
	memset(big.domain, 'a', sizeof(big.domain));
	buf_clear(&b);
	assert_false(verify_job_encode(&big, &b));
	buf_init(&small, 20);
	assert_false(verify_job_encode(&jobs[0], &small));
	buf_wipe(&small);
	buf_wipe(&b);
}

/* The largest of all fits a message. */
static void
largest_messages_fit(void **state)
{
	struct verify_job    j, j_out;
	struct verify_result r, r_out;
	struct buf	     b;

	(void)state;
	memset(&j, 0, sizeof(j));
	j.kind = VERIFY_DKIM;
	memset(j.domain, 'a', sizeof(j.domain) - 1);
	memset(j.selector, 'a', sizeof(j.selector) - 1);
	memset(j.public_key, 'a', sizeof(j.public_key) - 1);
	memset(j.cname_target, 'a', sizeof(j.cname_target) - 1);
	memset(j.token, 'a', sizeof(j.token) - 1);
	memset(j.mx_host, 'a', sizeof(j.mx_host) - 1);
	buf_init(&b, VERIFY_MESSAGE_MAX);
	assert_true(verify_job_encode(&j, &b));
	assert_true(verify_job_decode(buf_bytes(&b), &j_out));
	assert_memory_equal(&j, &j_out, sizeof(j));
	memset(&r, 0, sizeof(r));
	r.kind = VERIFY_TOKEN;
	r.outcome = DKIM_ABSENT;
	memset(r.hint, 'a', sizeof(r.hint) - 1);
	memset(r.warning, 'a', sizeof(r.warning) - 1);
	buf_clear(&b);
	assert_true(verify_result_encode(&r, &b));
	assert_true(verify_result_decode(buf_bytes(&b), &r_out));
	assert_memory_equal(&r, &r_out, sizeof(r));
	buf_wipe(&b);
}

static void
outcomes_of_records_have_their_place(void **state)
{
	(void)state;
	assert_int_equal(verify_outcome_of_record(DKIM_RECORD_MATCH),
	    DKIM_MATCH);
	assert_int_equal(verify_outcome_of_record(DKIM_RECORD_ABSENT),
	    DKIM_ABSENT);
	assert_int_equal(verify_outcome_of_record(DKIM_RECORD_MISMATCH),
	    DKIM_MISMATCH);
	assert_int_equal(verify_outcome_of_record(DKIM_RECORD_REVOKED),
	    DKIM_REVOKED);
	assert_int_equal(verify_outcome_of_record(DKIM_RECORD_MULTIPLE),
	    DKIM_MULTIPLE);
	assert_int_equal(verify_outcome_of_record(DKIM_RECORD_MALFORMED),
	    DKIM_MALFORMED);
	assert_string_equal(verify_kind_to_text(VERIFY_TOKEN), "token");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_come_back),
		cmocka_unit_test(results_come_back),
		cmocka_unit_test(damaged_messages_are_refused),
		cmocka_unit_test(largest_messages_fit),
		cmocka_unit_test(outcomes_of_records_have_their_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
