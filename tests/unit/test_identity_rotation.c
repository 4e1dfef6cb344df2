/* SPDX-License-Identifier: ISC */
/*
 * Rotation of an identity's keys, with TXT records and with CNAME slots
 * (dkim.md 7.2, 10).
 */
#include "identity_story.h"

/* -- rotation ------------------------------------------------------------- */

/* dkim#13 */
static void
test_rotation(void **state)
{
	struct dkim_key k;

	(void)state;
	begin_managed(false);
	check("one=M two=M");
	pass(2 * HOUR);
	assert_int_equal(identity_rotate(&s.i, &s.ks, false, &s.in, &s.d,
			     &s.e), 0);
	assert_string_equal(s.d.activated, "two");
	assert_string_equal(signs(), "two");
	assert_int_equal(key("one")->role, DKIM_RETIRING);
	assert_true(key("one")->retire_at.ms == s.in.now.ms + 14 * DAY);
	/* a new standby is wanted at once, with a new selector */
	assert_int_equal(s.d.make_count, 1);
	assert_string_equal(s.d.make[0].selector, "");
	assert_int_equal(s.d.make[0].bits, 2048);
	assert_int_equal(identity_rotate(&s.i, &s.ks, false, &s.in, &s.d,
			     &s.e), -1);
	assert_string_equal(s.e.text, "no standby key; run posthornctl dkim "
				      "new-key example.com");
	/* lost in a crash: asked for again */
	pass(5 * MINUTE);
	assert_true(identity_due(&s.i).ms <= s.in.now.ms);
	check("two=M");
	assert_int_equal(s.d.make_count, 1);
	k = fresh("four", 2048);
	assert_true(identity_add_standby(&s.i, &s.ks, &k, &s.in, &s.d));
	assert_int_equal(s.d.make_count, 0);
	assert_false(identity_add_standby(&s.i, &s.ks, &k, &s.in, &s.d));
	assert_int_equal(key("four")->role, DKIM_STANDBY);
	/* the old selector goes after its 14 days */
	assert_true(s.i.next_event.ms == key("one")->retire_at.ms);
	s.in.now.ms = key("one")->retire_at.ms - 1;
	clock_only();
	assert_non_null(key("one"));
	pass(1);
	clock_only();
	assert_null(key("one"));
	assert_non_null(key("two"));
}

/* dkim#14 and 10.2 */
static void
test_rotation_refused(void **state)
{
	(void)state;
	begin_managed(false);
	check("one=M");
	assert_int_equal(identity_rotate(&s.i, &s.ks, false, &s.in, &s.d,
			     &s.e), -1);
	assert_string_equal(s.e.text, "standby selector two is not visible in "
	    "DNS; publish it first or use --force");
	assert_string_equal(signs(), "one");
	check("one=M two=M");
	pass(12 * MINUTE + 30000);
	assert_int_equal(identity_rotate(&s.i, &s.ks, false, &s.in, &s.d,
			     &s.e), -1);
	assert_string_equal(s.e.text, "standby selector two has been visible "
	    "for 12m only; wait until 1h or use --force");
	s.in.min_visible_ms = 2 * DAY;
	pass(26 * HOUR);
	assert_int_equal(identity_rotate(&s.i, &s.ks, false, &s.in, &s.d,
			     &s.e), -1);
	assert_string_equal(s.e.text, "standby selector two has been visible "
	    "for 1d2h only; wait until 2d or use --force");
	s.in.min_visible_ms = 90 * MINUTE;
	s.in.now.ms = key("two")->seen_since.ms + 45000;
	assert_int_equal(identity_rotate(&s.i, &s.ks, false, &s.in, &s.d,
			     &s.e), -1);
	assert_string_equal(s.e.text, "standby selector two has been visible "
	    "for 45s only; wait until 1h30m or use --force");
	/* a record that vanished starts anew */
	check("one=M");
	check("one=M two=M");
	assert_true(key("two")->seen_since.ms == s.in.now.ms);
	assert_int_equal(identity_rotate(&s.i, &s.ks, true, &s.in, &s.d,
			     &s.e), 0);
	assert_string_equal(signs(), "two");
}

static void
test_rotation_has_bounds(void **state)
{
	struct dkim_key k;
	char		name[16];
	unsigned	n;

	(void)state;
	begin_managed(false);
	check("one=M two=M");
	for (n = 0; s.ks.n < IDENTITY_KEYS_MAX; n++) {
		assert_int_equal(identity_rotate(&s.i, &s.ks, true, &s.in,
				     &s.d, &s.e), 0);
		snprintf(name, sizeof(name), "n%u", n);
		k = fresh(name, 2048);
		assert_true(identity_add_standby(&s.i, &s.ks, &k, &s.in,
		    &s.d));
	}
	assert_int_equal(identity_rotate(&s.i, &s.ks, true, &s.in, &s.d,
			     &s.e), -1);
	assert_string_equal(s.e.text, "too many selectors are kept until they "
	    "may be deleted; the next one may at 2024-05-15T12:00:00Z");
	assert_int_equal(s.e.code, BOOK_LIMIT);
}

static void
test_new_standby(void **state)
{
	struct dkim_key k = fresh("five", 2048);

	(void)state;
	begin_managed(false);
	check("one=M");
	assert_int_equal(identity_new_standby(&s.i, &s.ks, &s.in, &s.d, &s.e),
	    0);
	assert_null(key("two"));
	assert_int_equal(s.d.make_count, 1);
	stored();
	assert_true(identity_add_standby(&s.i, &s.ks, &k, &s.in, &s.d));
	assert_string_equal(signs(), "one");
	begin_managed(true);
	assert_int_equal(identity_new_standby(&s.i, &s.ks, &s.in, &s.d, &s.e),
	    0);
	assert_int_equal(s.d.make_count, 1);
	assert_string_equal(s.d.make[0].selector, "two");
}

/* -- CNAME slots ---------------------------------------------------------- */

static void
test_slots(void **state)
{
	struct dkim_key k;

	(void)state;
	begin_managed(true);
	check("one=M two=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_PENDING);
	check("one=M two=M three=M"); /* all three */
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	pass(2 * HOUR);
	assert_int_equal(identity_rotate(&s.i, &s.ks, false, &s.in, &s.d,
			     &s.e), 0);
	assert_string_equal(signs(), "two");
	assert_int_equal(s.d.make_count, 0); /* the slot waits */
	assert_false(s.d.zone_changed);
	check("one=M two=M three=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	pass(14 * DAY);
	clock_only();
	assert_non_null(key("one"));
	assert_int_equal(s.d.make_count, 1);
	assert_string_equal(s.d.make[0].selector, "one");
	k = fresh("one", 2048);
	k.public_key[0] = 'O';
	assert_true(identity_add_standby(&s.i, &s.ks, &k, &s.in, &s.d));
	assert_true(s.d.zone_changed);
	assert_int_equal(key("one")->role, DKIM_STANDBY);
	assert_int_equal(key("one")->public_key[0], 'O');
	assert_int_equal(s.ks.n, 3);
	assert_int_equal(s.d.make_count, 0);
}

/* dkim#23 */
static void
test_operator_zone(void **state)
{
	(void)state;
	begin_managed(true);
	check("one=M two=M three=M");
	pass(6 * HOUR);
	check("one=M two=O three=M");
	assert_true(s.d.operator_alarm);
	assert_string_equal(s.d.operator_selector, "two");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	assert_false(s.d.confirm);
	pass(30 * HOUR);
	check("one=M two=O three=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	assert_true(s.i.dkim.first_miss.ms == 0);
	/* a miss beside it counts */
	check("one=A two=O three=M");
	assert_true(s.d.confirm);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_rotation_refused),
		cmocka_unit_test(test_rotation_has_bounds),
		cmocka_unit_test(test_new_standby),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_operator_zone),
	};

	return cmocka_run_group_tests_name("identity_check", tests, NULL,
	    NULL);
}
