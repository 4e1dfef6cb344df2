/* SPDX-License-Identifier: ISC */
/* Notices: whom they reach, how often, and what a full spool does to them. */
#include "fake_clock.c"
#include "fake_thread.c"
#include "reporting_world.h"

#include "reporting/notices.h"

static const char *const none[] = { NULL };
static const char *const two[] = { "ops@example.com", "owner@example.com",
	NULL };

static void
make_account(struct rw *w, const char *const *contacts)
{
	rw_write(w, rw_put_account, (void *)(uintptr_t)contacts);
}

static void
warn(struct rw *w, const char *account, const char *what, const char *text)
{
	assert_true(reporter_post_warning(w->reporter, account, what, text));
	rw_pass(w, 0);
}

static bool
has(const struct rw_mail *m, const char *text)
{
	return strstr(m->text, text) != NULL;
}

static bool
is_to(const struct rw *w, const char *address)
{
	unsigned i;

	for (i = 0; i < w->mail_count; i++)
		if (strcmp(w->mails[i].to, address) == 0)
			return true;
	return false;
}

/* quotas#26: what the desks tell at the 160th and the 200th of 200 */
static void
quota_warnings_quotas_26(void **state)
{
	struct rw *w = *state;

	make_account(w, two);
	warn(w, rw_account, "quota-80", "80 %: 160 of 200");
	assert_int_equal(w->mail_count, 2);
	/* one for each contact; in one commit they have no order */
	assert_true(is_to(w, "ops@example.com"));
	assert_true(is_to(w, "owner@example.com"));
	assert_true(has(&w->mails[0], "From: posthorn "
	    "<no-reply@relay.example>\r\nTo: ops@example.com,\r\n"
	    "\towner@example.com\r\n"));
	assert_true(has(&w->mails[0],
	    "Account: 123456789012\r\nUsed: 80 %: 160 of 200\r\n"));
	warn(w, rw_account, "quota-100", "100 %: 200 of 200");
	assert_int_equal(w->mail_count, 4);
	assert_true(has(&w->mails[2], "Used: 100 %: 200 of 200\r\n"));
	assert_true(has(&w->mails[2], "No more mail is accepted"));
}

static void
a_pause_and_its_end_are_told_every_time(void **state)
{
	static const char *const one[] = { "ops@example.com", NULL };
	struct rw *w = *state;

	make_account(w, one);
	warn(w, rw_account, "paused", "list cleaning\nroot (uid 0)");
	warn(w, rw_account, "resumed", "done");
	warn(w, rw_account, "paused", "again");
	assert_int_equal(w->mail_count, 3);
	assert_true(has(&w->mails[0], "Subject: Sending paused for account "
	    "123456789012\r\n"));
	assert_true(has(&w->mails[0],
	    "Reason: list cleaning\r\nBy: root (uid 0)\r\n"));
	assert_true(has(&w->mails[1], "Subject: Sending resumed"));
	assert_true(has(&w->mails[2], "Reason: again\r\n"));
}

static void
other_warnings_come_once_a_day(void **state)
{
	struct rw *w = *state;
	unsigned   i;

	make_account(w, none);
	for (i = 0; i < 47; i++) {
		warn(w, rw_account, "credential-attack",
		    "AKIAEXAMPLE: 100 failed logins");
		rw_pass(w, hour / 2);
	}
	assert_int_equal(w->mail_count, 1);
	assert_string_equal(w->mails[0].to, "operator@relay.example");
	assert_true(has(&w->mails[0], "AKIAEXAMPLE: 100 failed logins\r\n"));
	/* of another account, and of another kind */
	warn(w, "", "credential-attack", "x");
	warn(w, rw_account, "store-full", "x");
	assert_int_equal(w->mail_count, 3);
	assert_true(has(&w->mails[2], "Subject: Warning: store-full\r\n"));
	rw_pass(w, 5 * hour);
	warn(w, rw_account, "credential-attack", "again");
	assert_int_equal(w->mail_count, 4);
}

static void
nobody_to_tell_is_logged(void **state)
{
	struct rw *w = *state;

	w->conf->intake.postmaster = NULL;
	warn(w, "", "store-full", "x");
	assert_int_equal(w->handed_in, 0);
	assert_true(rw_logged(w, "notice-unaddressed"));
}

/* A text from outside does not become header fields or lines of its own. */
static void
texts_stay_where_they_belong(void **state)
{
	struct rw *w = *state;

	warn(w, "", "bad\r\nBcc: x@example.com", "a\r\n\r\nb\x01");
	assert_int_equal(w->mail_count, 1);
	assert_true(has(&w->mails[0], "Subject: Warning: bad  Bcc: x@"));
	assert_true(has(&w->mails[0], "\r\n\r\na    b"));
	warn(w, "", "quota-80", "no numbers here");
	assert_true(has(&w->mails[1], "no numbers here"));
}

/* identities-and-policies 4.3; its mail of #14 */
static void
address_verification_identities_14(void **state)
{
	static const char token[] =
	    "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst";
	struct rw *w = *state;

	make_account(w, two);
	assert_true(reporter_post_verification(w->reporter, rw_account,
	    "user@example.net", token));
	rw_pass(w, 0);
	assert_int_equal(w->mail_count, 1);
	assert_string_equal(w->mails[0].to, "user@example.net");
	assert_true(has(&w->mails[0], "From: posthorn "
	    "<no-reply@relay.example>\r\nTo: user@example.net\r\nSubject: "
	    "Email address verification request in region us-east-1\r\n"));
	assert_true(has(&w->mails[0], token));
	assert_false(has(&w->mails[0], "/verify/"));
	assert_false(rw_logged(w, token));
}

static void
what_the_spool_does_not_take_comes_again(void **state)
{
	struct rw *w = *state;

	w->full_feeds = 1;
	w->answers[1] = RECEIPT_FULL;
	w->answers[0] = RECEIPT_DOWN;
	w->answer_count = 2;
	warn(w, "", "paused", "one");
	warn(w, "", "paused", "two");
	assert_int_equal(w->mail_count, 0);
	rw_pass(w, minute);
	assert_int_equal(w->mail_count, 2);
	assert_int_equal(w->handed_in, 5);
}

static void
refused_ones_and_old_ones_go(void **state)
{
	struct rw *w = *state;

	w->answers[0] = RECEIPT_REFUSED;
	w->answer_count = 1;
	warn(w, "", "paused", "one");
	rw_pass(w, hour);
	assert_int_equal(w->handed_in, 1);
	assert_true(rw_logged(w, "it was refused"));
	w->full_feeds = 1000000;
	warn(w, "", "paused", "two");
	rw_pass(w, 23 * hour);
	assert_false(rw_logged(w, "not handed over within 24 h"));
	rw_pass(w, 2 * hour);
	w->full_feeds = 0;
	rw_pass(w, 2 * minute);
	assert_int_equal(w->mail_count, 0);
	assert_true(rw_logged(w, "not handed over within 24 h"));
}

static void
the_queue_is_bounded(void **state)
{
	struct rw *w = *state;
	unsigned   i;

	w->full_feeds = UINT32_MAX;
	for (i = 0; i < NOTICES_MAX; i++)
		warn(w, "", "paused", "x");
	assert_false(rw_logged(w, "the queue is full"));
	warn(w, "", "paused", "x");
	assert_true(rw_logged(w, "the queue is full"));
}

static void
the_end_hands_over_what_it_can(void **state)
{
	struct rw *w = *state;

	w->full_feeds = 1;
	warn(w, "", "paused", "x");
	assert_int_equal(w->mail_count, 0);
	rw_end(w);
	assert_int_equal(w->mail_count, 1);
}

static void
the_end_drops_what_is_not_taken(void **state)
{
	struct rw *w = *state;

	w->full_feeds = 10;
	warn(w, "", "paused", "x");
	rw_end(w);
	assert_int_equal(w->mail_count, 0);
	assert_true(rw_logged(w, "the process ends"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, rw_make_begun, rw_unmake)
		TEST(quota_warnings_quotas_26),
		TEST(a_pause_and_its_end_are_told_every_time),
		TEST(other_warnings_come_once_a_day),
		TEST(nobody_to_tell_is_logged),
		TEST(texts_stay_where_they_belong),
		TEST(address_verification_identities_14),
		TEST(what_the_spool_does_not_take_comes_again),
		TEST(refused_ones_and_old_ones_go),
		TEST(the_queue_is_bounded),
		TEST(the_end_hands_over_what_it_can),
		TEST(the_end_drops_what_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
