/* SPDX-License-Identifier: ISC */
/*
 * The machine of an identity's checks: intervals, verification, loss, token
 * and link, what an error is called (dkim.md 9, identities-and-policies.md 2
 * and 4).
 */
#include "identity_story.h"

/* -- intervals (dkim 9) --------------------------------------------------- */

static void
test_intervals(void **state)
{
	static const struct {
		enum identity_status status;
		int64_t		     age, want;
		double		     jitter;
	} rows[] = {
		{ IDENTITY_PENDING, 0, MINUTE, 0 },
		{ IDENTITY_PENDING, 15 * MINUTE - 1, MINUTE, 0 },
		{ IDENTITY_PENDING, 15 * MINUTE, 5 * MINUTE, 0 },
		{ IDENTITY_PENDING, 2 * HOUR - 1, 5 * MINUTE, 0 },
		{ IDENTITY_PENDING, 2 * HOUR, 15 * MINUTE, 0 },
		{ IDENTITY_PENDING, 24 * HOUR - 1, 15 * MINUTE, 1 },
		{ IDENTITY_PENDING, 24 * HOUR, HOUR, 1 },
		{ IDENTITY_PENDING, 71 * HOUR, HOUR, 0 },
		{ IDENTITY_SUCCESS, 0, 6 * HOUR, 0 },
		{ IDENTITY_SUCCESS, 90 * DAY, 6 * HOUR + 36 * MINUTE, 1 },
		{ IDENTITY_SUCCESS, 0, 6 * HOUR - 36 * MINUTE, -1 },
		{ IDENTITY_TEMPORARY_FAILURE, 0, 15 * MINUTE, 1 },
		{ IDENTITY_FAILED, 0, 0, 0 },
		{ IDENTITY_NOT_STARTED, 0, 0, 0 },
	};
	struct identity_check_state c;
	size_t			    n;

	(void)state;
	begin();
	for (n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		memset(&c, 0, sizeof(c));
		c.status = rows[n].status;
		c.since.ms = START - rows[n].age;
		s.in.jitter = rows[n].jitter;
		assert_true(identity_check_interval(&c, &s.in) ==
		    rows[n].want);
	}
}

/* -- the machine ---------------------------------------------------------- */

/* dkim#9; the standby is only a warning */
static void
test_record_appears(void **state)
{
	(void)state;
	begin_managed(false);
	assert_true(identity_check_authoritative(&s.i));
	check("");
	assert_int_equal(s.d.notice_count, 0);
	assert_true(s.i.dkim.next_check.ms == START + MINUTE);
	assert_string_equal(signs(), "");
	pass(3 * MINUTE);
	check("one=M");
	expect_notice(MACHINE_DKIM, IDENTITY_PENDING, IDENTITY_SUCCESS);
	assert_int_equal(s.d.notices[0].whole_from, IDENTITY_PENDING);
	assert_int_equal(s.d.notices[0].whole_to, IDENTITY_SUCCESS);
	assert_string_equal(signs(), "one");
	assert_true(s.i.dkim.deadline.ms == 0);
	assert_true(s.i.dkim.last_success.ms == s.in.now.ms);
	assert_true(key("one")->seen);
	assert_false(key("two")->seen);
	assert_int_equal(key("two")->last_outcome, DKIM_ABSENT);
	assert_false(identity_check_authoritative(&s.i));
	assert_true(identity_check_requires(&s.i, &s.ks, key("one")));
	assert_false(identity_check_requires(&s.i, &s.ks, key("two")));
	assert_int_equal(s.d.make_count, 0);
	/* the standby is looked for as if it were a first key */
	assert_true(s.i.dkim.next_check.ms == s.in.now.ms + MINUTE);
	pass(MINUTE);
	check("one=M two=M");
	assert_true(s.i.dkim.next_check.ms == s.in.now.ms + 6 * HOUR);
}

/* dkim#10 and the other misses */
static void
test_misses_do_not_verify(void **state)
{
	static const char misses[] = "AXR2FOE";
	char		  dns[] = "one=?";
	size_t		  n;

	(void)state;
	for (n = 0; n < sizeof(misses) - 1; n++) {
		begin_managed(false);
		dns[4] = misses[n];
		check(dns);
		assert_int_equal(s.d.notice_count, 0);
		assert_int_equal(s.i.dkim.status, IDENTITY_PENDING);
		assert_int_equal(key("one")->last_outcome,
		    outcome(misses[n]));
		assert_string_equal(signs(), "");
	}
}

/* dkim#8, identities-and-policies#11 */
static void
test_nothing_for_72_hours(void **state)
{
	(void)state;
	begin_managed(false);
	s.i.method = METHOD_OVERRIDE;
	s.i.link.status = IDENTITY_SUCCESS;
	pass(72 * HOUR - 1);
	check("");
	assert_int_equal(s.i.dkim.status, IDENTITY_PENDING);
	assert_true(identity_due(&s.i).ms == START + 72 * HOUR);
	pass(1);
	clock_only();
	expect_notice(MACHINE_DKIM, IDENTITY_PENDING, IDENTITY_FAILED);
	assert_int_equal(s.d.notices[0].whole_to, IDENTITY_SUCCESS);
	assert_string_equal(signs(), "");
	assert_true(s.i.dkim.next_check.ms == 0);
	assert_false(identity_check_wants(&s.i, key("one")));
	/* what is published afterwards changes nothing */
	pass(HOUR);
	check("one=M two=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_FAILED);
	assert_int_equal(s.d.notice_count, 0);
	/* verify starts again */
	assert_int_equal(identity_verify(&s.i, &s.ks, false, &s.in, &s.e), 0);
	assert_int_equal(s.i.dkim.status, IDENTITY_PENDING);
	assert_true(s.i.dkim.deadline.ms == s.in.now.ms + 72 * HOUR);
	check("one=M");
	expect_notice(MACHINE_DKIM, IDENTITY_PENDING, IDENTITY_SUCCESS);
}

/* dkim#11, identities-and-policies#12 */
static void
test_loss(void **state)
{
	(void)state;
	begin_managed(false);
	check("one=M two=M");
	pass(6 * HOUR);
	check("two=M");
	assert_int_equal(s.d.notice_count, 0);
	assert_true(s.d.confirm);
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	assert_true(s.i.dkim.next_check.ms == s.in.now.ms + 15 * MINUTE);
	assert_true(identity_check_authoritative(&s.i));
	/* a check that comes too early confirms nothing */
	pass(5 * MINUTE);
	check("two=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	assert_true(s.i.dkim.next_check.ms == s.in.now.ms + 10 * MINUTE);
	pass(10 * MINUTE);
	check("two=M");
	expect_notice(MACHINE_DKIM, IDENTITY_SUCCESS,
	    IDENTITY_TEMPORARY_FAILURE);
	assert_true(s.d.notices[0].deadline.ms == s.in.now.ms + 72 * HOUR);
	assert_true(identity_may_send(&s.i, s.in.now));
	assert_string_equal(signs(), "one");
	assert_true(s.i.dkim.next_check.ms == s.in.now.ms + 15 * MINUTE);
	pass(72 * HOUR);
	assert_false(identity_may_send(&s.i, s.in.now));
	clock_only();
	expect_notice(MACHINE_DKIM, IDENTITY_TEMPORARY_FAILURE,
	    IDENTITY_FAILED);
	assert_string_equal(signs(), "");
	pass(HOUR);
	check("one=M two=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_FAILED);
	assert_int_equal(identity_verify(&s.i, &s.ks, false, &s.in, &s.e), 0);
	check("one=M two=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
}

static void
test_loss_ends(void **state)
{
	(void)state;
	begin_managed(false);
	check("one=M two=M");
	pass(6 * HOUR);
	check("two=M");
	pass(15 * MINUTE);
	check("one=M two=M"); /* the confirming check finds it */
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	assert_true(s.i.dkim.first_miss.ms == 0);
	pass(6 * HOUR);
	check("two=M");
	assert_true(s.d.confirm);
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	pass(15 * MINUTE);
	check("two=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_TEMPORARY_FAILURE);
	pass(15 * MINUTE);
	check("one=M two=M");
	expect_notice(MACHINE_DKIM, IDENTITY_TEMPORARY_FAILURE,
	    IDENTITY_SUCCESS);
	assert_true(s.i.dkim.deadline.ms == 0);
}

/* dkim#12, identities-and-policies#13: no answer is no miss */
static void
test_resolver_down(void **state)
{
	int64_t begun;

	(void)state;
	begin_managed(false);
	check("one=M two=M");
	pass(6 * HOUR);
	begun = s.in.now.ms;
	check("one=E two=E");
	assert_true(s.i.dkim.first_miss.ms == 0);
	pass(2 * HOUR);
	check("one=E two=E");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	assert_true(key("one")->seen);
	/* an answer in between starts the 24 h anew */
	check("one=M two=M");
	assert_true(s.i.dkim.dns_error_since.ms == 0);
	check("one=E two=E");
	begun = s.in.now.ms;
	s.in.now.ms = begun + DAY - 1;
	check("one=E two=E");
	assert_true(s.i.dkim.first_miss.ms == 0);
	s.in.now.ms = begun + DAY;
	check("one=E two=E");
	assert_true(s.d.confirm);
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	pass(15 * MINUTE);
	check("one=E two=E");
	assert_int_equal(s.i.dkim.status, IDENTITY_TEMPORARY_FAILURE);
}

static void
test_revoked_key_signs_no_more(void **state)
{
	(void)state;
	begin_managed(false);
	check("one=M two=M");
	pass(6 * HOUR);
	check("one=R two=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	assert_true(s.d.confirm);
	assert_string_equal(signs(), "");
	pass(15 * MINUTE);
	check("one=E two=M"); /* does not make it usable again */
	assert_string_equal(signs(), "");
	pass(15 * MINUTE);
	check("one=M two=M");
	assert_string_equal(signs(), "one");
}

/* -- token and link ------------------------------------------------------- */

/* identities-and-policies 4.2; #15 is the verifier's MATCH */
static void
test_token(void **state)
{
	(void)state;
	begin();
	assert_int_equal(identity_verify(&s.i, &s.ks, false, &s.in, &s.e),
	    -1);
	assert_string_equal(s.e.text, "example.com has no DKIM key");
	assert_int_equal(identity_verify(&s.i, &s.ks, true, &s.in, &s.e), 0);
	assert_int_equal(strlen(s.i.token_text), 52);
	assert_true(identity_check_wants_token(&s.i));
	check("");
	assert_int_equal(s.d.notice_count, 0);
	pass(HOUR);
	check("token=M");
	expect_notice(MACHINE_TOKEN, IDENTITY_PENDING, IDENTITY_SUCCESS);
	assert_int_equal(identity_status(&s.i), IDENTITY_SUCCESS);
	assert_true(identity_may_send(&s.i, s.in.now));
	pass(6 * HOUR);
	check("token=X");
	pass(15 * MINUTE);
	check("token=A");
	expect_notice(MACHINE_TOKEN, IDENTITY_SUCCESS,
	    IDENTITY_TEMPORARY_FAILURE);
	pass(72 * HOUR);
	clock_only();
	expect_notice(MACHINE_TOKEN, IDENTITY_TEMPORARY_FAILURE,
	    IDENTITY_FAILED);
	assert_false(identity_may_send(&s.i, s.in.now));
	/* without keys verify means the token */
	assert_int_equal(identity_verify(&s.i, &s.ks, false, &s.in, &s.e), 0);
	assert_int_equal(s.i.token.status, IDENTITY_PENDING);
}

/* The better of DKIM and token counts. */
static void
test_token_beside_dkim(void **state)
{
	(void)state;
	begin_managed(false);
	assert_int_equal(identity_verify(&s.i, &s.ks, true, &s.in, &s.e), 0);
	check("one=M two=M");
	assert_int_equal(s.d.notice_count, 1);
	pass(72 * HOUR);
	clock_only();
	expect_notice(MACHINE_TOKEN, IDENTITY_PENDING, IDENTITY_FAILED);
	assert_int_equal(s.d.notices[0].whole_from, IDENTITY_SUCCESS);
	assert_int_equal(s.d.notices[0].whole_to, IDENTITY_SUCCESS);
}

/* identities-and-policies#14: after 24 h without a click FAILED */
static void
test_link(void **state)
{
	(void)state;
	begin();
	identity_init(&s.i, "123456789012", "user@example.net", s.in.now);
	s.i.link.status = IDENTITY_PENDING;
	s.i.link.deadline.ms = START + DAY;
	s.i.link_hash[3] = 1;
	assert_true(identity_due(&s.i).ms == START + DAY);
	pass(DAY - 1);
	clock_only();
	assert_int_equal(s.d.notice_count, 0);
	pass(1);
	clock_only();
	expect_notice(MACHINE_LINK, IDENTITY_PENDING, IDENTITY_FAILED);
	assert_int_equal(s.i.link_hash[3], 0);
	assert_true(identity_due(&s.i).ms == 0);
	assert_int_equal(identity_verify(&s.i, &s.ks, false, &s.in, &s.e),
	    -1);
}

/* identities-and-policies#16: an override is never checked */
static void
test_override(void **state)
{
	(void)state;
	begin();
	s.i.method = METHOD_OVERRIDE;
	s.i.link.status = IDENTITY_SUCCESS;
	pass(365 * DAY);
	check("");
	assert_int_equal(s.d.notice_count, 0);
	assert_true(identity_due(&s.i).ms == 0);
	assert_true(identity_may_send(&s.i, s.in.now));
}

/* -- errors --------------------------------------------------------------- */

/* identities 2: ErrorType */
static void
test_errors(void **state)
{
	static const struct {
		enum dkim_outcome   outcome;
		bool		    host_found;
		enum identity_error error;
		const char	   *text;
	} rows[] = {
		{ DKIM_MATCH, true, IDENTITY_NO_ERROR, "" },
		{ DKIM_ABSENT, false, IDENTITY_HOST_NOT_FOUND,
		    "HOST_NOT_FOUND" },
		{ DKIM_ABSENT, true, IDENTITY_TYPE_NOT_FOUND,
		    "TYPE_NOT_FOUND" },
		{ DKIM_DNS_ERROR, false, IDENTITY_DNS_SERVER_ERROR,
		    "DNS_SERVER_ERROR" },
		{ DKIM_OPERATOR_ZONE, true, IDENTITY_SERVICE_ERROR,
		    "SERVICE_ERROR" },
		{ DKIM_MISMATCH, true, IDENTITY_INVALID_VALUE,
		    "INVALID_VALUE" },
		{ DKIM_REVOKED, true, IDENTITY_INVALID_VALUE,
		    "INVALID_VALUE" },
		{ DKIM_MULTIPLE, true, IDENTITY_INVALID_VALUE,
		    "INVALID_VALUE" },
		{ DKIM_MALFORMED, true, IDENTITY_INVALID_VALUE,
		    "INVALID_VALUE" },
	};
	struct identity_results r = { .n = 1, .v = { { .selector = "one" } } };
	size_t			i;

	(void)state;
	begin_managed(false);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		r.v[0].outcome = rows[i].outcome;
		r.v[0].error = identity_error_of(rows[i].outcome,
		    rows[i].host_found);
		assert_int_equal(r.v[0].error, rows[i].error);
		assert_string_equal(identity_error_to_text(rows[i].error),
		    rows[i].text);
		identity_check_apply(&s.i, &s.ks, &r, &s.in, &s.d);
		assert_int_equal(s.i.dkim.error, rows[i].error);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_record_appears),
		cmocka_unit_test(test_misses_do_not_verify),
		cmocka_unit_test(test_nothing_for_72_hours),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_loss_ends),
		cmocka_unit_test(test_resolver_down),
		cmocka_unit_test(test_revoked_key_signs_no_more),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_token_beside_dkim),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_override),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests_name("identity_check", tests, NULL,
	    NULL);
}
