/* SPDX-License-Identifier: ISC */
/* The record of the operator's own key (dkim.md 6.2). */
#include "verification_world.h"

static void
look_for_operator(struct rw *w)
{
	static const struct operator_key k = { .domain = "relay.example",
		.selector = "op1", .public_key = "QUJD" };

	assert_true(reporter_post_operator(w->reporter, &k));
	rw_pass(w, 0);
}

static uint64_t
operator_count(struct rw *w, enum dkim_outcome o)
{
	return meter_get(&w->operator_meters.outcomes[o]);
}

static void
operator_record(void **state)
{
	struct rw *w = *state;

	begin(w);
	rw_record(w, "op1", DKIM_MISMATCH);
	w->records[0].hint = "the record holds another key";
	look_for_operator(w);
	assert_string_equal(w->last.domain, "relay.example");
	assert_string_equal(w->last.selector, "op1");
	assert_string_equal(w->last.public_key, "QUJD");
	assert_false(w->last.authoritative);
	assert_true(rw_logged(w, "error posthorn operator-record "
	    "d=relay.example s=op1 outcome=MISMATCH "
	    "hint=\"the record holds another key\""));
	assert_int_equal(operator_count(w, DKIM_MISMATCH), 1);
	rw_record(w, "op1", DKIM_DNS_ERROR);
	look_for_operator(w);
	assert_true(rw_logged(w, "warn posthorn operator-record "
	    "d=relay.example s=op1 outcome=DNS_ERROR"));
	rw_record(w, "op1", DKIM_MATCH);
	look_for_operator(w);
	assert_true(rw_logged(w, "info posthorn operator-record "
	    "d=relay.example s=op1 outcome=MATCH"));
	assert_int_equal(operator_count(w, DKIM_MATCH), 1);
	assert_int_equal(w->mail_count, 0); /* the operator has the log */
}

/* A verifier that dies with the question, or comes later, is no loss. */
static void
operator_record_and_verifiers(void **state)
{
	struct rw      *w = *state;
	struct channel *old;

	rw_begin_with(w, false);
	rw_record(w, "op1", DKIM_MATCH);
	look_for_operator(w);
	assert_int_equal(w->jobs, 0);
	w->silent = true;
	reporter_verifier(w->reporter, rw_verifier_new(w));
	rw_pass(w, 0);
	assert_int_equal(w->jobs, 1);
	channel_close(w->verifier);
	w->verifier = NULL;
	rw_pass(w, 0);
	w->silent = false;
	reporter_verifier(w->reporter, rw_verifier_new(w));
	rw_pass(w, 0);
	assert_int_equal(w->jobs, 2);
	assert_int_equal(operator_count(w, DKIM_MATCH), 1);
	/* answered: the next verifier is not asked */
	old = w->verifier;
	reporter_verifier(w->reporter, rw_verifier_new(w));
	channel_close(old);
	rw_pass(w, 0);
	assert_int_equal(w->jobs, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, rw_make, rw_unmake)
		TEST(operator_record),
		TEST(operator_record_and_verifiers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
