/* SPDX-License-Identifier: ISC */
/*
 * dkim.md 8 to 10, identities-and-policies.md 4: what relay's side of the
 * checks makes of an answer: verified, lost, confirmed, rotated.
 */
#include "verification_world.h"

/* -- the first verification -------------------------------------------- */

static void
a_job_names_all_that_is_needed(void **state)
{
	struct rw *w = *state;

	begin(w);
	add(w, &example);
	assert_int_equal(w->jobs, 2); /* active and standby */
	assert_int_equal(w->last.kind, VERIFY_DKIM);
	assert_string_equal(w->last.domain, "example.com");
	assert_int_equal(w->last.key_kind, DKIM_KEY_RSA);
	assert_int_equal(strlen(w->last.public_key), 392);
	assert_true(w->last.authoritative); /* not verified yet */
	assert_string_equal(w->last.cname_target, "");
}

/* dkim#9: the record appears; the next check finds it */
static void
a_record_appears_dkim_9(void **state)
{
	struct rw *w = *state;

	begin(w);
	add(w, &example);
	rw_pass(w, 10 * minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	assert_int_equal(w->jobs, 2 * 11); /* every minute */
	rw_record(w, "s1-example", DKIM_MATCH);
	rw_pass(w, minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_true(may_send(w, "example.com"));
	assert_int_equal(w->mail_count, 1);
	assert_string_equal(w->mails[0].to, "owner@example.com");
	assert_true(has(&w->mails[0], "PENDING -> SUCCESS"));
	assert_true(has(&w->mails[0], "All required records were found."));
}

/* dkim#10: lower-cased value */
static void
a_wrong_value_dkim_10(void **state)
{
	struct rw      *w = *state;
	struct dkim_key k;

	begin(w);
	rw_record(w, "s1-example", DKIM_MISMATCH);
	w->records[0].hint = "the value differs only in letter case";
	add(w, &example);
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	assert_true(has_key(w, "example.com", "s1-example", &k));
	assert_int_equal(k.last_outcome, DKIM_MISMATCH);
	assert_non_null(strstr(k.hint, "letter case"));
}

/* identities-and-policies#11, dkim#8: nothing is published for 72 h */
static void
a_domain_times_out_identities_11(void **state)
{
	struct rw *w = *state;
	unsigned   jobs;

	begin(w);
	add(w, &example);
	rw_pass(w, 72 * hour - minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	assert_int_equal(w->mail_count, 0);
	rw_pass(w, minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_FAILED);
	assert_int_equal(w->mail_count, 1);
	assert_true(has(&w->mails[0], "PENDING -> FAILED"));
	assert_true(has(&w->mails[0],
	    "s1-example._domainkey.example.com: ABSENT"));
	/* published now: nobody looks */
	jobs = w->jobs;
	w->others = DKIM_MATCH;
	rw_pass_days(w, 10);
	assert_int_equal(w->jobs, jobs);
	assert_int_equal(status(w, "example.com"), IDENTITY_FAILED);
	verify(w, "example.com");
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_int_equal(w->mail_count, 2);
}

/* dkim#8: own key of a domain that the operator has verified */
static void
an_own_key_is_never_seen_dkim_8(void **state)
{
	static const struct plan p = { .name = "example.com",
		.external = true, .override = true };
	struct rw *w = *state;
	struct identity i;

	begin(w);
	add(w, &p);
	i = look(w, "example.com");
	assert_int_equal(i.dkim.status, IDENTITY_PENDING);
	assert_int_equal(identity_signing_set(&i), SET_NONE);
	assert_true(may_send(w, "example.com"));
	rw_pass(w, 72 * hour);
	i = look(w, "example.com");
	assert_int_equal(i.dkim.status, IDENTITY_FAILED);
	assert_int_equal(w->mail_count, 1);
	assert_false(has(&w->mails[0], "is not accepted"));
	assert_true(may_send(w, "example.com"));
	rw_pass_days(w, 10);
	assert_int_equal(w->mail_count, 1);
}

/* identities-and-policies#15 on this level: the token goes out, a match verifies */
static void
a_token_identities_15(void **state)
{
	static const struct plan p = { .name = "example.com", .token = true };
	struct rw      *w = *state;
	struct identity i;

	begin(w);
	add(w, &p);
	i = look(w, "example.com");
	assert_int_equal(w->last.kind, VERIFY_TOKEN);
	assert_string_equal(w->last.token, i.token_text);
	assert_int_equal(identity_status(&i), IDENTITY_PENDING);
	rw_record(w, i.token_text, DKIM_MATCH);
	rw_pass(w, minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_int_equal(w->mail_count, 1);
	assert_true(has(&w->mails[0], "Subject: Identity status of "
	    "example.com: SUCCESS\r\n"));
}

/* -- loss -------------------------------------------------------------- */

/* identities-and-policies#12, dkim#11: misses, grace, the end, a new beginning */
static void
records_vanish_identities_12_dkim_11(void **state)
{
	struct rw      *w = *state;
	struct identity i;

	begin_verified(w, &example);
	rw_pass(w, day);
	w->others = DKIM_ABSENT;
	rw_pass(w, 7 * hour); /* 6 h and a tenth at most */
	i = look(w, "example.com");
	assert_int_equal(i.dkim.status, IDENTITY_TEMPORARY_FAILURE);
	assert_true(i.dkim.since.ms - w->mails[0].at.ms > day);
	assert_true(may_send(w, "example.com"));
	assert_int_equal(identity_signing_set(&i), SET_CURRENT);
	assert_int_equal(w->mail_count, 2);
	assert_true(has(&w->mails[1], "SUCCESS -> TEMPORARY_FAILURE"));
	assert_true(has(&w->mails[1], "They have to be found again before "));
	rw_pass(w, 72 * hour);
	i = look(w, "example.com");
	assert_int_equal(i.dkim.status, IDENTITY_FAILED);
	assert_false(may_send(w, "example.com"));
	assert_int_equal(identity_signing_set(&i), SET_NONE);
	assert_int_equal(w->mail_count, 3);
	assert_true(has(&w->mails[2], "TEMPORARY_FAILURE -> FAILED"));
	assert_true(has(&w->mails[2], "Mail of this identity is not "
	    "accepted."));
	w->others = DKIM_MATCH;
	rw_pass_days(w, 3);
	assert_int_equal(status(w, "example.com"), IDENTITY_FAILED);
	verify(w, "example.com");
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
}

/* One miss decides nothing; the second one comes 15 min later and asks the
 * zone's own servers. */
static void
one_miss_is_none(void **state)
{
	struct rw      *w = *state;
	struct identity i;
	unsigned	n;

	begin_verified(w, &example);
	w->others = DKIM_ABSENT;
	for (n = 0; n < 7 * 60 && look(w, "example.com").dkim.first_miss.ms ==
	     0; n++)
		rw_pass(w, minute);
	i = look(w, "example.com");
	assert_true(i.dkim.first_miss.ms != 0);
	assert_int_equal(i.dkim.status, IDENTITY_SUCCESS);
	assert_false(w->last.authoritative);
	w->others = DKIM_MATCH;
	rw_pass(w, 15 * minute);
	i = look(w, "example.com");
	assert_true(w->last.authoritative);
	assert_int_equal(i.dkim.status, IDENTITY_SUCCESS);
	assert_true(i.dkim.first_miss.ms == 0);
	assert_int_equal(w->mail_count, 1);
}

static void
records_come_back_in_time(void **state)
{
	struct rw *w = *state;

	begin_verified(w, &example);
	w->others = DKIM_ABSENT;
	rw_pass(w, 8 * hour);
	assert_int_equal(status(w, "example.com"),
	    IDENTITY_TEMPORARY_FAILURE);
	w->others = DKIM_MATCH;
	rw_pass(w, 15 * minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_int_equal(w->mail_count, 3);
	assert_true(has(&w->mails[2], "TEMPORARY_FAILURE -> SUCCESS"));
}

/* identities-and-policies#13, dkim#12: SERVFAIL is no loss; for 24 h it is */
static void
no_answer_is_no_loss_identities_13_dkim_12(void **state)
{
	struct rw *w = *state;

	begin_verified(w, &example);
	w->conf->dkim.recheck_interval_ms = hour / 2;
	rw_pass(w, 7 * hour);
	w->others = DKIM_DNS_ERROR;
	rw_pass(w, 2 * hour);
	assert_true(w->jobs > 10);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	w->others = DKIM_MATCH;
	rw_pass(w, hour);
	w->others = DKIM_DNS_ERROR;
	rw_pass(w, 23 * hour);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_int_equal(w->mail_count, 1);
	rw_pass(w, 4 * hour);
	assert_int_equal(status(w, "example.com"),
	    IDENTITY_TEMPORARY_FAILURE);
}

/* -- addresses --------------------------------------------------------- */

static void
run_link(struct db_txn *t, void *arg)
{
	struct link    *l = arg;
	struct identity i;
	struct err	e;

	e.text[0] = '\0';
	if (l->step == 0) { /* identity add */
		identity_init(&i, rw_account, "user@example.net",
		    clock_wall());
		assert_int_equal(identity_create(t, &i, &e), 0);
	}
	if (l->step <= 1) { /* ... and resend */
		assert_int_equal(identity_get(t, rw_account,
				     "user@example.net", &i, &e), 1);
		assert_int_equal(identity_issue_token(t, &i, clock_wall(),
				     l->token, &e), 0);
	} else {
		l->found = identity_confirm(t, l->token, clock_wall(), &i,
		    &e);
	}
}

static int
confirm(struct rw *w, const char *token)
{
	struct link l = { .step = 2 };

	snprintf(l.token, sizeof(l.token), "%s", token);
	rw_write(w, run_link, &l);
	return l.found;
}

/* identities-and-policies#14: the link of an address */
static void
an_address_is_confirmed_identities_14(void **state)
{
	struct rw  *w = *state;
	struct link first = { .step = 0 }, second = { .step = 1 };

	begin(w);
	rw_write(w, run_link, &first);
	assert_true(reporter_post_check(w->reporter));
	assert_true(reporter_post_verification(w->reporter, rw_account,
	    "user@example.net", first.token));
	rw_pass(w, 24 * hour - 1);
	assert_int_equal(w->mail_count, 1);
	assert_true(has(&w->mails[0], first.token));
	assert_int_equal(status(w, "user@example.net"), IDENTITY_PENDING);
	rw_pass(w, 1);
	assert_int_equal(status(w, "user@example.net"), IDENTITY_FAILED);
	assert_int_equal(w->mail_count, 1); /* no notice of it */
	assert_int_equal(confirm(w, first.token), 0);
	rw_write(w, run_link, &second);
	assert_int_equal(status(w, "user@example.net"), IDENTITY_PENDING);
	assert_int_equal(confirm(w, first.token), 0);
	assert_int_equal(confirm(w, second.token), 1);
	assert_int_equal(confirm(w, second.token), 0);
	assert_int_equal(status(w, "user@example.net"), IDENTITY_SUCCESS);
	rw_pass_days(w, 30);
	assert_int_equal(status(w, "user@example.net"), IDENTITY_SUCCESS);
	assert_int_equal(w->jobs, 0); /* never checked again */
}

/* -- keys -------------------------------------------------------------- */

/* dkim#13 on this level: a new standby is wanted, the old key goes in 14 d */
static void
a_rotation_dkim_13(void **state)
{
	struct rw      *w = *state;
	struct command	c = { .name = "example.com", .rotate = true };
	struct dkim_key k;

	begin_verified(w, &example);
	rw_pass(w, 2 * hour);
	command(w, &c);
	assert_int_equal(c.made, 1);
	rw_pass(w, 6 * minute);
	assert_true(w->order_count >= 1);
	assert_string_equal(w->orders[0].domain, "example.com");
	assert_string_equal(w->orders[0].selector, ""); /* a fresh one */
	assert_int_equal(w->orders[0].bits, 2048);
	assert_true(has_key(w, "example.com", "s1-example", &k));
	assert_int_equal(k.role, DKIM_RETIRING);
	w->order_count = 0;
	rw_pass(w, hour);
	/* whose making is lost is asked for again, not all the time */
	assert_true(w->order_count >= 5 && w->order_count <= 14);
	while (k.retire_at.ms > clock_wall().ms + minute) {
		w->order_count = 0;
		rw_pass(w, hour);
		if (clock_wall().ms < k.retire_at.ms)
			assert_true(has_key(w, "example.com", "s1-example",
			    &k));
	}
	w->order_count = 0;
	rw_pass(w, hour);
	assert_false(has_key(w, "example.com", "s1-example", &k));
	assert_true(has_key(w, "example.com", "s2-example", &k));
}

/* dkim#23 and 7.2: slots keep their selector, the zone is the operator's */
static void
slots_dkim_23(void **state)
{
	static const struct plan p = { .name = "example.com",
		.cname = true };
	struct rw      *w = *state;
	struct command	c = { .name = "example.com", .rotate = true };

	w->conf->dkim.cname_base = "dkim.relay.example";
	begin_verified(w, &p);
	assert_int_equal(w->jobs, 3);
	assert_string_equal(w->last.cname_target,
	    "s3-example.dkim.relay.example");
	rw_record(w, "s2-example", DKIM_OPERATOR_ZONE);
	rw_pass(w, 7 * hour);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_true(rw_logged(w, "dkim-zone-stale account=123456789012 "
	    "identity=example.com selector=s2-example"));
	assert_int_equal(w->mail_count, 1);
	rw_record(w, "s2-example", DKIM_MATCH);
	rw_pass(w, 7 * hour);
	command(w, &c);
	rw_pass_days(w, 14);
	rw_pass(w, hour);
	assert_true(w->order_count >= 1);
	assert_string_equal(w->orders[0].selector, "s1-example");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, rw_make, rw_unmake)
		TEST(a_job_names_all_that_is_needed),
		TEST(a_record_appears_dkim_9),
		TEST(a_wrong_value_dkim_10),
		TEST(a_domain_times_out_identities_11),
		TEST(an_own_key_is_never_seen_dkim_8),
		TEST(a_token_identities_15),
		TEST(records_vanish_identities_12_dkim_11),
		TEST(one_miss_is_none),
		TEST(records_come_back_in_time),
		TEST(no_answer_is_no_loss_identities_13_dkim_12),
		TEST(an_address_is_confirmed_identities_14),
		TEST(a_rotation_dkim_13),
		TEST(slots_dkim_23),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
