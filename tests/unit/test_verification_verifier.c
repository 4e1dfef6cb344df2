/* SPDX-License-Identifier: ISC */
/*
 * Relay's side of the checks when the verifier is slow, dead, lying or not
 * there, when the identity changes under a check, and after a restart.
 */
#include "verification_world.h"

static void
without_a_verifier_time_passes(void **state)
{
	struct rw *w = *state;

	rw_begin_with(w, false);
	rw_write(w, rw_put_account, (void *)(uintptr_t)contact);
	add(w, &example);
	rw_pass(w, 71 * hour);
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	rw_pass(w, hour + minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_FAILED);
	assert_int_equal(w->mail_count, 1);
	assert_int_equal(w->jobs, 0);
}

static void
one_that_never_answers(void **state)
{
	struct rw *w = *state;

	begin(w);
	w->silent = true;
	add(w, &example);
	assert_int_equal(w->jobs, 2);
	rw_pass(w, VERIFICATION_ANSWER_MS - 1);
	assert_int_equal(w->jobs, 2); /* one check at a time */
	rw_pass(w, 2 * minute);
	assert_int_equal(w->jobs, 4);
	assert_true(rw_logged(w, "verifier-late"));
	rw_pass(w, 72 * hour);
	assert_int_equal(status(w, "example.com"), IDENTITY_FAILED);
	assert_int_equal(w->mail_count, 1);
}

static void
one_that_dies_and_its_successor(void **state)
{
	struct rw *w = *state;
	int	   fd;

	begin(w);
	w->silent = true;
	add(w, &example);
	channel_close(w->verifier);
	w->verifier = NULL;
	rw_pass(w, 0);
	assert_true(rw_logged(w, "verifier-gone"));
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	w->silent = false;
	w->others = DKIM_MATCH;
	rw_pass(w, 2 * minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	fd = rw_verifier_new(w);
	reporter_verifier(w->reporter, fd);
	rw_pass(w, 0);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
}

/* A second process is attached while the first one is there. */
static void
one_that_is_replaced(void **state)
{
	struct rw      *w = *state;
	struct channel *old;

	begin(w);
	w->silent = true;
	add(w, &example);
	old = w->verifier;
	w->silent = false;
	w->others = DKIM_MATCH;
	reporter_verifier(w->reporter, rw_verifier_new(w));
	channel_close(old);
	rw_pass(w, 2 * minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
}

static void
send_raw(struct rw *w, const struct verify_result *r)
{
	struct buf b;

	buf_init(&b, VERIFY_MESSAGE_MAX);
	assert_true(verify_result_encode(r, &b));
	assert_true(channel_send(w->verifier, buf_bytes(&b), -1));
	buf_wipe(&b);
}

static void
answers_to_nothing_do_nothing(void **state)
{
	struct rw	    *w = *state;
	struct verify_result r;

	begin(w);
	w->silent = true;
	add(w, &example);
	memset(&r, 0, sizeof(r));
	r.kind = VERIFY_DKIM;
	r.outcome = DKIM_MATCH;
	assert_true(channel_send(w->verifier, BYTES("garbage"), -1));
	r.ticket = w->last.ticket + 1; /* of no key */
	send_raw(w, &r);
	r.ticket = w->last.ticket | (uint64_t)1 << 40; /* of no check */
	send_raw(w, &r);
	r.ticket--;
	send_raw(w, &r);
	r.ticket = w->last.ticket; /* the same one twice, and of another kind */
	r.kind = VERIFY_TOKEN;
	send_raw(w, &r);
	r.kind = VERIFY_DKIM;
	send_raw(w, &r);
	send_raw(w, &r);
	rw_pass(w, 0);
	assert_true(rw_logged(w, "verifier-answer"));
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	assert_int_equal(look(w, "example.com").dkim.last_check.ms, 0);
}

static void
rekey_slot(struct db_txn *t, void *unused)
{
	struct dkim_key k;
	struct err	e;

	(void)unused;
	assert_int_equal(dkim_key_get(t, rw_account, "example.com",
			     "s1-example", &k, &e), 1);
	k.created.ms++;
	k.public_key[0] = 'Q';
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
}

/* What was found says nothing about a key that came meanwhile. */
static void
an_answer_about_an_older_key(void **state)
{
	struct rw	    *w = *state;
	struct verify_result r;
	struct dkim_key	     k;

	begin(w);
	w->silent = true;
	add(w, &example);
	rw_write(w, rekey_slot, NULL);
	memset(&r, 0, sizeof(r));
	r.kind = VERIFY_DKIM;
	r.outcome = DKIM_MATCH;
	r.ticket = w->last.ticket;
	send_raw(w, &r);
	r.ticket--;
	send_raw(w, &r);
	rw_pass(w, 0);
	assert_true(has_key(w, "example.com", "s1-example", &k));
	assert_false(k.seen);
	assert_true(has_key(w, "example.com", "s2-example", &k));
	assert_true(k.seen);
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
}

/* Nothing was missed where nothing was answered. */
static void
silence_is_no_loss(void **state)
{
	struct rw *w = *state;

	begin_verified(w, &example);
	w->silent = true;
	rw_pass(w, 20 * hour);
	assert_true(w->jobs >= 6);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_true(look(w, "example.com").dkim.first_miss.ms == 0);
}

static void
a_command_while_a_check_is_under_way(void **state)
{
	struct rw *w = *state;

	begin(w);
	w->silent = true;
	add(w, &example);
	w->silent = false;
	w->others = DKIM_MATCH;
	verify(w, "example.com"); /* it is under way: not asked twice */
	assert_int_equal(w->jobs, 2);
	rw_pass(w, VERIFICATION_ANSWER_MS + minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
}

static void
drop_identity(struct db_txn *t, void *unused)
{
	struct err e;

	(void)unused;
	assert_int_equal(identity_delete(t, rw_account, "example.com", &e),
	    1);
}

static void
one_that_is_deleted_meanwhile(void **state)
{
	struct rw *w = *state;

	begin(w);
	w->silent = true;
	add(w, &example);
	rw_write(w, drop_identity, NULL);
	rw_pass(w, 10 * minute);
	assert_int_equal(w->jobs, 2);
	assert_int_equal(w->mail_count, 0);
}

static void
many_are_checked_in_turns(void **state)
{
	struct rw  *w = *state;
	char	    name[32];
	struct plan p = { .name = name };
	unsigned    i;

	begin(w);
	w->silent = true;
	for (i = 0; i < 3 * VERIFICATION_CHECKS_MAX; i++) {
		snprintf(name, sizeof(name), "d%u.example", i);
		rw_write(w, put_identity, &p);
	}
	assert_true(reporter_post_check(w->reporter));
	rw_pass(w, 0);
	assert_int_equal(w->jobs, 2 * VERIFICATION_CHECKS_MAX);
	w->silent = false;
	w->others = DKIM_MATCH;
	rw_pass(w, VERIFICATION_ANSWER_MS + 2 * minute);
	for (i = 0; i < 3 * VERIFICATION_CHECKS_MAX; i++) {
		snprintf(name, sizeof(name), "d%u.example", i);
		assert_int_equal(status(w, name), IDENTITY_SUCCESS);
	}
	assert_int_equal(w->mail_count, 3 * VERIFICATION_CHECKS_MAX);
}

/* A restart goes on with what was due meanwhile. */
static void
a_restart_looks_at_once(void **state)
{
	struct rw *w = *state;

	begin(w);
	w->silent = true;
	add(w, &example);
	rw_crash(w);
	fake_clock_move(80 * hour);
	w->silent = false;
	w->others = DKIM_MATCH;
	rw_begin(w);
	/* its time was over before anybody looked */
	assert_int_equal(status(w, "example.com"), IDENTITY_FAILED);
	verify(w, "example.com");
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, rw_make, rw_unmake)
		TEST(without_a_verifier_time_passes),
		TEST(one_that_never_answers),
		TEST(one_that_dies_and_its_successor),
		TEST(one_that_is_replaced),
		TEST(answers_to_nothing_do_nothing),
		TEST(an_answer_about_an_older_key),
		TEST(silence_is_no_loss),
		TEST(a_command_while_a_check_is_under_way),
		TEST(one_that_is_deleted_meanwhile),
		TEST(many_are_checked_in_turns),
		TEST(a_restart_looks_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
