/* SPDX-License-Identifier: ISC */
/*
 * Another length of the keys, managed keys and own ones, and the way from one
 * to the other (dkim.md 10.3, 10.4).
 */
#include "identity_story.h"

/* -- length (dkim#15, 10.3) ----------------------------------------------- */

static int
set_length(unsigned bits)
{
	return identity_set_length(&s.i, &s.ks, bits, &s.in, &s.d, &s.e);
}

static void
test_length_rules(void **state)
{
	static const char already[] = "the input you provided is invalid: the "
	    "DKIM signing key length is already RSA_2048_BIT";
	static const char once[] = "the input you provided is invalid: the "
	    "DKIM signing key length can be changed only once in 24 hours";

	(void)state;
	begin_managed(false);
	assert_int_equal(set_length(2048), -1);
	assert_string_equal(s.e.text, already);
	assert_int_equal(set_length(1536), -1);
	assert_int_equal(set_length(1024), 0);
	assert_int_equal(s.i.next_bits, 1024);
	assert_int_equal(s.i.bits, 2048);
	pass(10 * MINUTE);
	assert_int_equal(set_length(2048), -1);
	assert_string_equal(s.e.text, once);
	pass(DAY);
	assert_int_equal(set_length(2048), 0);
	/* the first downgrade within that time is allowed, not the second */
	pass(MINUTE);
	assert_int_equal(set_length(1024), 0);
	pass(MINUTE);
	assert_int_equal(set_length(2048), -1);
	assert_string_equal(s.e.text, once);
	assert_string_equal(identity_length_to_text(1024), "RSA_1024_BIT");
}

static void
test_length_moves_by_rotation(void **state)
{
	struct dkim_key k = fresh("short", 1024);

	(void)state;
	begin_managed(false);
	check("one=M two=M");
	assert_int_equal(set_length(1024), 0);
	stored();
	assert_null(key("two"));
	assert_int_equal(s.d.make_count, 1);
	assert_int_equal(s.d.make[0].bits, 1024);
	assert_true(identity_add_standby(&s.i, &s.ks, &k, &s.in, &s.d));
	check("one=M");
	assert_string_equal(signs(), "one");
	check("one=M short=M");
	assert_string_equal(signs(), "one");
	/* looked at again when it has been visible for long enough */
	assert_true(s.i.dkim.next_check.ms == s.in.now.ms + HOUR);
	pass(HOUR);
	check("one=M short=M");
	assert_string_equal(s.d.activated, "short");
	assert_string_equal(signs(), "short");
	assert_int_equal(s.i.bits, 1024);
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	assert_int_equal(key("one")->role, DKIM_RETIRING);
	assert_int_equal(s.d.make_count, 1);
	assert_int_equal(s.d.make[0].bits, 1024);
}

static void
test_length_of_slots(void **state)
{
	struct dkim_key k;

	(void)state;
	begin_managed(true);
	check("one=M two=M three=M");
	assert_int_equal(set_length(1024), 0);
	assert_int_equal(s.d.make_count, 2);
	assert_string_equal(s.d.make[0].selector, "two");
	assert_string_equal(s.d.make[1].selector, "three");
	k = fresh("two", 1024);
	assert_true(identity_add_standby(&s.i, &s.ks, &k, &s.in, &s.d));
	k = fresh("three", 1024);
	assert_true(identity_add_standby(&s.i, &s.ks, &k, &s.in, &s.d));
	assert_int_equal(s.d.make_count, 0);
	check("one=M two=M three=M");
	pass(HOUR);
	check("one=M two=M three=M");
	assert_string_equal(signs(), "two");
	assert_int_equal(s.i.bits, 1024);
	pass(14 * DAY);
	clock_only();
	assert_int_equal(s.d.make_count, 1);
	assert_string_equal(s.d.make[0].selector, "one");
	assert_int_equal(s.d.make[0].bits, 1024);
}

/* -- managed and own keys (10.4) ------------------------------------------ */

static void
set_key(const char *selector)
{
	struct dkim_key k = fresh(selector, 2048);

	if (identity_use_external(&s.i, &s.ks, &k, &s.in, &s.e) < 0)
		fail_msg("%s", s.e.text);
	stored();
}

/* dkim#17 */
static void
test_no_gap_on_switching(void **state)
{
	(void)state;
	begin_managed(false);
	check("one=M two=M");
	pass(DAY);
	set_key("S2024A");
	assert_non_null(key("s2024a"));
	assert_true(s.i.external);
	assert_int_equal(s.i.dkim.status, IDENTITY_PENDING);
	assert_int_equal(identity_status(&s.i), IDENTITY_SUCCESS);
	assert_true(identity_may_send(&s.i, s.in.now));
	assert_string_equal(signs(), "one");
	check("one=M");
	assert_string_equal(signs(), "one");
	pass(HOUR);
	check("one=M s2024a=M");
	expect_notice(MACHINE_DKIM, IDENTITY_PENDING, IDENTITY_SUCCESS);
	assert_string_equal(signs(), "s2024a");
	assert_false(s.i.has_previous);
	assert_int_equal(key("one")->role, DKIM_RETIRING);
	assert_null(key("two"));
	assert_false(identity_check_wants(&s.i, key("one")));
	assert_int_equal(s.d.make_count, 0);
	pass(14 * DAY);
	clock_only();
	assert_null(key("one"));
	assert_string_equal(signs(), "s2024a");
}

static void
test_new_set_fails_old_signs(void **state)
{
	(void)state;
	begin_managed(false);
	check("one=M two=M");
	set_key("own");
	pass(72 * HOUR);
	check("one=M");
	clock_only();
	assert_int_equal(s.i.dkim.status, IDENTITY_FAILED);
	assert_string_equal(signs(), "one");
	/* the notice came with the clock, before the check */
	begin_managed(false);
	check("one=M two=M");
	set_key("own");
	pass(72 * HOUR);
	clock_only();
	expect_notice(MACHINE_DKIM, IDENTITY_PENDING, IDENTITY_FAILED);
	assert_true(s.d.notices[0].previous_signs);
	assert_int_equal(s.d.notices[0].whole_to, IDENTITY_SUCCESS);
	/* and the old set goes on to be checked */
	check("");
	assert_true(s.d.confirm);
	pass(15 * MINUTE);
	check("");
	expect_notice(MACHINE_PREVIOUS, IDENTITY_SUCCESS,
	    IDENTITY_TEMPORARY_FAILURE);
	pass(72 * HOUR);
	clock_only();
	expect_notice(MACHINE_PREVIOUS, IDENTITY_TEMPORARY_FAILURE,
	    IDENTITY_FAILED);
	assert_string_equal(signs(), "");
	assert_null(key("one"));
	assert_false(s.i.has_previous);
}

/* Back before the own key was seen: no keys have to be made. */
static void
test_return(void **state)
{
	static struct identity_keys none;

	(void)state;
	begin_managed(false);
	check("one=M two=M");
	set_key("own");
	assert_true(identity_can_return(&s.i, false));
	assert_false(identity_can_return(&s.i, true));
	assert_int_equal(identity_use_managed(&s.i, &s.ks, &none, &s.in,
			     &s.e), 0);
	stored();
	assert_null(key("own"));
	assert_string_equal(signs(), "one");
	assert_int_equal(s.i.bits, 2048);
	assert_int_equal(key("two")->role, DKIM_STANDBY);
	check("one=M two=M");
	assert_int_equal(s.d.notice_count, 0);
	assert_int_equal(s.d.make_count, 0);
	assert_int_equal(identity_use_managed(&s.i, &s.ks, &none, &s.in,
			     &s.e), -1);
	assert_string_equal(s.e.text,
	    "example.com has managed DKIM keys already");
}

/* From an own key to managed ones, and back to the own key. */
static void
test_own_to_managed(void **state)
{
	static struct identity_keys made;

	(void)state;
	begin();
	set_key("own");
	assert_int_equal(s.i.dkim.status, IDENTITY_PENDING);
	check("own=M");
	assert_string_equal(signs(), "own");
	made.n = 2;
	made.v[0] = fresh("m1", 1024);
	made.v[1] = fresh("m2", 1024);
	assert_int_equal(identity_use_managed(&s.i, &s.ks, &made, &s.in,
			     &s.e), 0);
	assert_string_equal(signs(), "own");
	check("own=M");
	assert_string_equal(signs(), "own");
	set_key("own"); /* the same key: returns */
	assert_string_equal(signs(), "own");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	assert_null(key("m1"));
	assert_int_equal(identity_use_managed(&s.i, &s.ks, &made, &s.in,
			     &s.e), 0);
	check("m1=M own=M");
	assert_string_equal(signs(), "m1");
	assert_int_equal(s.i.bits, 1024);
	assert_int_equal(key("own")->role, DKIM_RETIRING);
	/* taken up again while it retires */
	set_key("own");
	assert_string_equal(signs(), "m1");
	check("m1=M own=M");
	assert_string_equal(signs(), "own");
}

/* An own key after another: standby until it is seen (10.1). */
static void
test_own_keys_rotate(void **state)
{
	struct dkim_key k;

	(void)state;
	begin();
	set_key("a");
	check("a=M");
	pass(DAY);
	set_key("b");
	assert_int_equal(key("b")->role, DKIM_STANDBY);
	assert_true(identity_due(&s.i).ms <= s.in.now.ms);
	check("a=M");
	assert_string_equal(signs(), "a");
	assert_true(s.i.dkim.next_check.ms == s.in.now.ms + MINUTE);
	check("a=M b=M");
	assert_string_equal(s.d.activated, "b");
	assert_string_equal(signs(), "b");
	assert_int_equal(key("a")->role, DKIM_RETIRING);
	/* the next replaces one that still waits */
	set_key("c");
	set_key("d");
	assert_null(key("c"));
	assert_int_equal(key("d")->role, DKIM_STANDBY);
	/* even when the old record is gone: the new one saves the state */
	check("d=A");
	pass(15 * MINUTE);
	check("d=A");
	assert_int_equal(s.i.dkim.status, IDENTITY_TEMPORARY_FAILURE);
	check("d=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	assert_string_equal(signs(), "d");
	/* refused: in use with another key, or no name at all */
	k = fresh("d", 2048);
	assert_int_equal(identity_use_external(&s.i, &s.ks, &k, &s.in, &s.e),
	    -1);
	assert_string_equal(s.e.text,
	    "selector d is already in use for example.com");
	k = fresh("b", 2048);
	k.public_key[0] = 'x';
	assert_int_equal(identity_use_external(&s.i, &s.ks, &k, &s.in, &s.e),
	    -1);
	k = fresh("a.b", 2048);
	assert_int_equal(identity_use_external(&s.i, &s.ks, &k, &s.in, &s.e),
	    -1);
	assert_string_equal(s.e.text, "selector must be 1 to 63 letters, "
				      "digits or inner hyphens");
}

/* An own key that never was seen is simply replaced. */
static void
test_unseen_own_key_is_replaced(void **state)
{
	(void)state;
	begin();
	set_key("a");
	pass(72 * HOUR);
	clock_only();
	assert_int_equal(s.i.dkim.status, IDENTITY_FAILED);
	set_key("b");
	assert_null(key("a"));
	assert_int_equal(s.i.dkim.status, IDENTITY_PENDING);
	assert_int_equal(key("b")->role, DKIM_ACTIVE);
	check("b=M");
	assert_string_equal(signs(), "b");
	assert_int_equal(set_length(1024), -1);
	assert_string_equal(s.e.text, "the input you provided is invalid: "
				      "example.com uses an own DKIM key");
}

static void
test_addresses_have_no_keys(void **state)
{
	static struct identity_keys made;
	struct dkim_key		    k = fresh("a", 2048);

	(void)state;
	begin();
	identity_init(&s.i, "123456789012", "user@example.net", s.in.now);
	assert_int_equal(identity_use_external(&s.i, &s.ks, &k, &s.in, &s.e),
	    -1);
	assert_int_equal(identity_use_managed(&s.i, &s.ks, &made, &s.in,
			     &s.e), -1);
	assert_int_equal(s.ks.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_length_rules),
		cmocka_unit_test(test_length_moves_by_rotation),
		cmocka_unit_test(test_length_of_slots),
		cmocka_unit_test(test_no_gap_on_switching),
		cmocka_unit_test(test_new_set_fails_old_signs),
		cmocka_unit_test(test_return),
		cmocka_unit_test(test_own_to_managed),
		cmocka_unit_test(test_own_keys_rotate),
		cmocka_unit_test(test_unseen_own_key_is_replaced),
		cmocka_unit_test(test_addresses_have_no_keys),
	};

	return cmocka_run_group_tests_name("identity_check", tests, NULL,
	    NULL);
}
