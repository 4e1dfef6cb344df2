/* SPDX-License-Identifier: ISC */
/* The states of an account, and what moves them (reputation.md 3). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "registry/account.h"

static const int64_t day = 24 * 3600 * 1000;
static struct account a;
static struct review_input in;
static struct review_change out;

static int
fresh(void **state)
{
	(void)state;
	memset(&a, 0, sizeof(a));
	a.sending_enabled = true;
	memset(&in, 0, sizeof(in));
	in.now.ms = 1714564800000;
	in.bounce_review = 0.05;
	in.bounce_pause = 0.10;
	in.complaint_review = 0.001;
	in.complaint_pause = 0.005;
	in.period_ms = 14 * day;
	return 0;
}

static enum account_state
judge(double bounce, double complaint)
{
	in.bounce = bounce;
	in.complaint = complaint;
	account_review_judge(&a, &in, &out);
	return a.review.state;
}

static void
a_rate_begins_a_review(void **state)
{
	(void)state;
	assert_int_equal(judge(0.0499, 0.00099), STATE_HEALTHY);
	assert_false(out.changed);
	assert_int_equal(judge(-1, -1), STATE_HEALTHY);
	assert_int_equal(judge(0.05, 0), STATE_UNDER_REVIEW);
	assert_true(out.moved);
	assert_int_equal(out.causes, CAUSE_BOUNCE_RATE);
	assert_int_equal(a.enforcement, ACCOUNT_PROBATION);
	assert_int_equal(a.review.bounce, RATE_UNDER_REVIEW);
	assert_int_equal(a.review.complaint, RATE_HEALTHY);
	assert_true(a.review.ends.ms == in.now.ms + 14 * day);
	assert_int_equal(judge(0.05, 0), STATE_UNDER_REVIEW);
	assert_false(out.changed);
}

static void
it_heals(void **state)
{
	(void)state;
	judge(0.06, 0.002);
	in.now.ms += day;
	assert_int_equal(judge(0.03, 0.002), STATE_UNDER_REVIEW);
	assert_int_equal(a.review.bounce, RATE_ALMOST_HEALED);
	assert_int_equal(a.review.complaint, RATE_UNDER_REVIEW);
	assert_int_equal(judge(0.06, 0.0), STATE_UNDER_REVIEW);
	assert_int_equal(a.review.bounce, RATE_UNDER_REVIEW);
	judge(0.03, 0.0);
	in.now.ms += 14 * day;
	assert_int_equal(judge(0.03, 0.0), STATE_HEALTHY);
	assert_int_equal(a.enforcement, ACCOUNT_HEALTHY);
	assert_int_equal(a.review.bounce, RATE_HEALTHY);
}

static void
the_period_ends(void **state)
{
	(void)state;
	/* between review and pause: once more */
	judge(0.06, 0);
	in.now.ms += 14 * day;
	assert_int_equal(judge(0.06, 0), STATE_UNDER_REVIEW);
	assert_true(out.changed && !out.moved);
	assert_true(a.review.ends.ms == in.now.ms + 14 * day);
	in.now.ms += 14 * day;
	assert_int_equal(judge(0.12, 0), STATE_PAUSE_PENDING);
	assert_int_equal(a.enforcement, ACCOUNT_PROBATION);
	assert_int_equal(a.review.bounce, RATE_PAUSE_PENDING);
	/* nobody decides: a reminder a day, from the 21st day on */
	in.now.ms += 20 * day;
	judge(0.12, 0);
	assert_false(out.is_reminder);
	in.now.ms += day;
	judge(0.12, 0);
	assert_true(out.is_reminder);
	judge(0.12, 0);
	assert_false(out.is_reminder);
	in.now.ms += day;
	judge(0.12, 0);
	assert_true(out.is_reminder);
	in.auto_pause = true;
	assert_int_equal(judge(0.12, 0), STATE_SENDING_PAUSED);
	assert_false(account_may_send(&a));
}

static void
by_itself_when_that_is_wanted(void **state)
{
	(void)state;
	in.auto_pause = true;
	assert_int_equal(judge(0.2, 0), STATE_UNDER_REVIEW);
	in.now.ms += 14 * day;
	assert_int_equal(judge(0.2, 0), STATE_SENDING_PAUSED);
	/* latched */
	assert_int_equal(judge(0, 0), STATE_SENDING_PAUSED);
}

static void
findings_and_repeated_reviews(void **state)
{
	struct err e;
	unsigned   i;

	(void)state;
	in.finding_review = true;
	assert_int_equal(judge(0, 0), STATE_UNDER_REVIEW);
	in.now.ms += 14 * day;
	assert_int_equal(judge(0, 0), STATE_REVIEW_END_PENDING);
	assert_int_equal(account_review_end(&a, STATE_HEALTHY, in.now,
	    14 * day, &e), 0);
	assert_true(a.review.fresh_start.ms == in.now.ms);
	in.finding_review = false;
	for (i = 0; i < 2; i++) {
		assert_int_equal(judge(0.06, 0), STATE_UNDER_REVIEW);
		in.now.ms += 14 * day;
		assert_int_equal(judge(0, 0), STATE_HEALTHY);
	}
	/* the third for the same cause within 180 days */
	assert_int_equal(judge(0.06, 0), STATE_SENDING_PAUSED);
	fresh(NULL);
	in.finding_pause = true;
	assert_int_equal(judge(0, 0), STATE_SENDING_PAUSED);
}

static void
the_operator_decides(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(account_review_extend(&a, in.now, 21 * day, &e), -1);
	assert_int_equal(account_review_end(&a, STATE_HEALTHY, in.now,
	    14 * day, &e), -1);
	assert_int_equal(account_review_start(&a, in.now, 14 * day, &e), 0);
	assert_int_equal(account_review_start(&a, in.now, 14 * day, &e), -1);
	in.now.ms += day;
	assert_int_equal(account_review_extend(&a, in.now, 21 * day, &e), 0);
	assert_true(a.review.fresh_start.ms == in.now.ms);
	assert_true(a.review.ends.ms == in.now.ms + 21 * day);
	account_pause(&a, "abuse", true, in.now);
	assert_int_equal(a.review.state, STATE_SENDING_PAUSED);
	assert_int_equal(account_review_end(&a, STATE_PERMANENTLY_PAUSED,
	    in.now, 14 * day, &e), 0);
	account_pause(&a, "abuse", true, in.now);
	assert_int_equal(a.review.state, STATE_PERMANENTLY_PAUSED);
	assert_int_equal(account_resume(&a, true, in.now, 14 * day, &e), -1);
	assert_false(account_may_send(&a));
}

static void
words(void **state)
{
	char text[80];

	(void)state;
	assert_string_equal(review_causes_to_text(CAUSE_BOUNCE_RATE |
	    CAUSE_FINDING, text), "bounce-rate, finding");
	assert_string_equal(account_state_to_show(STATE_PAUSE_PENDING),
	    "Under review (At risk)");
	assert_string_equal(rate_status_to_text(RATE_ALMOST_HEALED),
	    "ALMOST_HEALED");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_rate_begins_a_review, fresh),
		cmocka_unit_test_setup(it_heals, fresh),
		cmocka_unit_test_setup(the_period_ends, fresh),
		cmocka_unit_test_setup(by_itself_when_that_is_wanted, fresh),
		cmocka_unit_test_setup(findings_and_repeated_reviews, fresh),
		cmocka_unit_test_setup(the_operator_decides, fresh),
		cmocka_unit_test_setup(words, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
