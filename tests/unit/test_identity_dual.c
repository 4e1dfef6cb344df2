/* SPDX-License-Identifier: ISC */
/*
 * Ed25519 keys beside RSA keys, and turns by time (dkim.md 6.1, 10, 2.3): how
 * they come, wait, take over and go.  dkim#20 as far as keys decide it.
 */
#include "identity_story.h"

/* -- helpers -------------------------------------------------------------- */

static struct dkim_key
fresh_ed25519(const char *selector)
{
	struct dkim_key k = fresh(selector, DKIM_ED25519_BITS);

	k.ed25519 = true;
	return k;
}

/* What was asked for has been made, under that name. */
static bool
made(const char *selector, unsigned bits)
{
	struct dkim_key k = bits == DKIM_ED25519_BITS ?
		      fresh_ed25519(selector) : fresh(selector, bits);
	bool wanted = identity_add_standby(&s.i, &s.ks, &k, &s.in, &s.d);

	stored();
	return wanted;
}

static void
expect_make(unsigned count, const char *selector, unsigned bits)
{
	unsigned n, found = 0;

	for (n = 0; n < s.d.make_count; n++)
		if (strcmp(s.d.make[n].selector, selector) == 0 &&
		    s.d.make[n].bits == bits)
			found++;
	assert_int_equal(found, count);
}

/* A managed domain whose Ed25519 keys e1 and e2 have been made. */
static void
begin_dual(bool cname)
{
	begin_managed(cname);
	s.in.dual_sign = true;
	identity_want_keys(&s.i, &s.ks, &s.in, &s.d);
	assert_int_equal(s.d.make_count, 2);
	expect_make(2, "", DKIM_ED25519_BITS);
	assert_true(made("e1", DKIM_ED25519_BITS));
	assert_true(made("e2", DKIM_ED25519_BITS));
	assert_false(made("e3", DKIM_ED25519_BITS));
	assert_int_equal(s.d.make_count, 0);
}

static void
rotate(bool force)
{
	if (identity_rotate(&s.i, &s.ks, force, &s.in, &s.d, &s.e) < 0)
		fail_msg("%s", s.e.text);
	stored();
}

static void
set_own(const char *selector, bool ed25519)
{
	struct dkim_key k = ed25519 ? fresh_ed25519(selector) :
				      fresh(selector, 2048);

	if (identity_use_external(&s.i, &s.ks, &k, &s.in, &s.e) < 0)
		fail_msg("%s", s.e.text);
	stored();
}

static void
switch_dual(enum dkim_switch to)
{
	assert_int_equal(identity_set_dual(&s.i, &s.ks, to, &s.in, &s.d,
			     &s.e), 0);
	stored();
}

static void
expect_role(const char *selector, enum dkim_role role)
{
	if (key(selector) == NULL)
		fail_msg("%s has gone", selector);
	assert_int_equal(key(selector)->role, role);
}

/* -- managed keys --------------------------------------------------------- */

/* The first signs as soon as it is seen, the second waits for its turn. */
static void
test_keys_are_made(void **state)
{
	(void)state;
	begin_dual(false);
	expect_role("e1", DKIM_ACTIVE);
	expect_role("e2", DKIM_STANDBY);
	assert_false(identity_check_requires(&s.i, &s.ks, key("e1")));
	assert_true(identity_check_requires(&s.i, &s.ks, key("one")));
	assert_true(identity_check_wants(&s.i, key("e1")));
	assert_true(identity_check_wants(&s.i, key("e2")));
	/* the status is that of the RSA record */
	check("e1=M e2=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_PENDING);
	check("one=M two=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	assert_false(key("e1")->seen);
	/* it is looked for like a first key */
	assert_true(s.i.dkim.next_check.ms == s.in.now.ms + MINUTE);
	check("one=M two=M e1=M e2=M");
	assert_true(key("e1")->seen);
	assert_true(s.i.dkim.next_check.ms == s.in.now.ms + 6 * HOUR);
	/* and its loss changes nothing but that */
	pass(6 * HOUR);
	check("one=M two=M e1=X");
	assert_false(key("e1")->seen);
	assert_int_equal(s.d.notice_count, 0);
	assert_false(s.d.confirm);
	assert_true(s.i.dkim.first_miss.ms == 0);
}

static void
test_none_without_dual(void **state)
{
	(void)state;
	begin_managed(false);
	identity_want_keys(&s.i, &s.ks, &s.in, &s.d);
	assert_int_equal(s.d.make_count, 0);
	assert_false(made("e1", DKIM_ED25519_BITS));
	/* the identity's own switch */
	switch_dual(DKIM_ON);
	expect_make(2, "", DKIM_ED25519_BITS);
	s.in.dual_sign = true;
	switch_dual(DKIM_OFF);
	assert_int_equal(s.d.make_count, 0);
	/* dkim.dual_sign came with a reload: found at the next check */
	switch_dual(DKIM_INHERIT);
	s.in.dual_sign = false;
	check("one=M");
	assert_int_equal(s.d.make_count, 0);
	s.in.dual_sign = true;
	pass(6 * HOUR);
	check("one=M two=M");
	expect_make(2, "", DKIM_ED25519_BITS);
	assert_true(identity_due(&s.i).ms == s.in.now.ms + 5 * MINUTE);
}

static void
test_switched_off(void **state)
{
	(void)state;
	begin_dual(false);
	/* what nobody has seen has signed nothing */
	switch_dual(DKIM_OFF);
	assert_null(key("e1"));
	assert_null(key("e2"));
	begin_dual(false);
	check("one=M two=M e1=M e2=M");
	switch_dual(DKIM_OFF);
	assert_null(key("e2"));
	/* mail on its way is verifiable for another 14 days */
	expect_role("e1", DKIM_RETIRING);
	assert_true(key("e1")->retire_at.ms == s.in.now.ms + 14 * DAY);
	assert_int_equal(s.d.make_count, 0);
	pass(14 * DAY);
	clock_only();
	assert_null(key("e1"));
	expect_role("one", DKIM_ACTIVE);
	expect_role("two", DKIM_STANDBY);
}

/* -- rotation ------------------------------------------------------------- */

/* dkim#13 with both kinds: they go together when both are visible. */
static void
test_rotation_of_both(void **state)
{
	(void)state;
	begin_dual(false);
	check("one=M two=M e1=M e2=M");
	pass(2 * HOUR);
	rotate(false);
	assert_string_equal(s.d.activated, "two");
	assert_string_equal(s.d.activated_ed25519, "e2");
	expect_role("one", DKIM_RETIRING);
	expect_role("e1", DKIM_RETIRING);
	expect_role("two", DKIM_ACTIVE);
	expect_role("e2", DKIM_ACTIVE);
	assert_int_equal(s.d.make_count, 2);
	expect_make(1, "", 2048);
	expect_make(1, "", DKIM_ED25519_BITS);
	assert_true(made("three", 2048));
	assert_true(made("e3", DKIM_ED25519_BITS));
	expect_role("e3", DKIM_STANDBY);
	assert_int_equal(s.d.make_count, 0);
}

/* The optional record holds nothing up, and is not lost by it either. */
static void
test_rotation_without_the_second_standby(void **state)
{
	(void)state;
	begin_dual(false);
	check("one=M two=M e1=M");
	pass(2 * HOUR);
	rotate(false);
	expect_role("two", DKIM_ACTIVE);
	expect_role("e1", DKIM_ACTIVE);
	expect_role("e2", DKIM_STANDBY);
	assert_string_equal(s.d.activated_ed25519, "");
	/* forced: the old keys are to sign no more, whatever that costs */
	assert_true(made("three", 2048));
	rotate(true);
	expect_role("three", DKIM_ACTIVE);
	expect_role("e1", DKIM_RETIRING);
	expect_role("e2", DKIM_ACTIVE);
}

static void
test_new_standby_of_both(void **state)
{
	(void)state;
	begin_dual(false);
	check("one=M two=M e1=M e2=M");
	assert_int_equal(identity_new_standby(&s.i, &s.ks, &s.in, &s.d,
			     &s.e), 0);
	stored();
	assert_null(key("two"));
	assert_null(key("e2"));
	expect_make(1, "", 2048);
	expect_make(1, "", DKIM_ED25519_BITS);
}

/* A length of RSA is none of Ed25519. */
static void
test_length_leaves_ed25519_alone(void **state)
{
	(void)state;
	begin_dual(false);
	check("one=M two=M e1=M e2=M");
	assert_int_equal(identity_set_length(&s.i, &s.ks, 1024, &s.in, &s.d,
			     &s.e), 0);
	stored();
	assert_int_equal(s.d.make_count, 1);
	expect_make(1, "", 1024);
	pass(2 * HOUR);
	check("one=M e1=M e2=M");
	expect_role("one", DKIM_ACTIVE);
	expect_role("e1", DKIM_ACTIVE);
	assert_true(made("short", 1024));
	check("one=M short=M e1=M e2=M");
	pass(HOUR);
	check("one=M short=M e1=M e2=M");
	expect_role("short", DKIM_ACTIVE);
	assert_int_equal(s.i.bits, 1024);
}

/* -- CNAME publication ---------------------------------------------------- */

/* Two further slots, whose keys change like the three. */
static void
test_slots(void **state)
{
	(void)state;
	begin_dual(true);
	assert_false(identity_check_requires(&s.i, &s.ks, key("e1")));
	assert_false(identity_check_requires(&s.i, &s.ks, key("e2")));
	check("one=M two=M three=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	check("one=M two=M three=M e1=M e2=M");
	pass(2 * HOUR);
	rotate(false);
	expect_role("e1", DKIM_RETIRING);
	expect_role("e2", DKIM_ACTIVE);
	assert_int_equal(s.d.make_count, 0); /* the slots wait */
	assert_true(identity_check_wants(&s.i, key("e1")));
	pass(14 * DAY);
	clock_only();
	expect_make(1, "e1", DKIM_ED25519_BITS);
	expect_make(1, "one", 2048);
	assert_true(made("e1", DKIM_ED25519_BITS));
	assert_true(s.d.zone_changed);
	expect_role("e1", DKIM_STANDBY);
	assert_int_equal(identity_new_standby(&s.i, &s.ks, &s.in, &s.d,
			     &s.e), 0);
	stored();
	expect_make(1, "e1", DKIM_ED25519_BITS);
	/* without dual signing a retired slot goes, and is not made anew */
	begin_dual(true);
	check("one=M two=M three=M e1=M e2=M");
	switch_dual(DKIM_OFF);
	assert_true(s.d.zone_changed);
	assert_null(key("e2"));
	pass(14 * DAY);
	clock_only();
	assert_null(key("e1"));
	assert_int_equal(s.d.make_count, 0);
}

/* -- own keys ------------------------------------------------------------- */

/* The second of them switches dual signing on; the status stays RSA's. */
static void
test_own_ed25519_beside_rsa(void **state)
{
	(void)state;
	begin();
	set_own("r1", false);
	set_own("e1", true); /* before anything was seen */
	assert_int_equal(s.i.dual, DKIM_ON);
	expect_role("r1", DKIM_ACTIVE);
	expect_role("e1", DKIM_ACTIVE);
	check("e1=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_PENDING);
	check("r1=M e1=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	pass(DAY);
	/* each is replaced by its like, when that is seen */
	set_own("e2", true);
	expect_role("e2", DKIM_STANDBY);
	set_own("r2", false);
	check("r1=M e1=M");
	expect_role("r1", DKIM_ACTIVE);
	expect_role("e1", DKIM_ACTIVE);
	check("r1=M e1=M e2=M");
	expect_role("e2", DKIM_ACTIVE);
	expect_role("e1", DKIM_RETIRING);
	expect_role("r1", DKIM_ACTIVE);
	check("r1=M r2=M e2=M");
	expect_role("r2", DKIM_ACTIVE);
	expect_role("r1", DKIM_RETIRING);
	assert_int_equal(s.d.make_count, 0);
	/* off: kept, for the day it is on again */
	switch_dual(DKIM_OFF);
	expect_role("e2", DKIM_ACTIVE);
	/* added while verified: it signs when it is seen */
	begin();
	set_own("r1", false);
	check("r1=M");
	set_own("e1", true);
	expect_role("e1", DKIM_ACTIVE);
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	assert_true(identity_due(&s.i).ms <= s.in.now.ms);
}

/* An own Ed25519 key alone has the status; RSA takes it over. */
static void
test_own_ed25519_alone(void **state)
{
	(void)state;
	begin();
	set_own("e1", true);
	assert_int_equal(s.i.dual, DKIM_INHERIT);
	assert_true(identity_check_requires(&s.i, &s.ks, key("e1")));
	check("e1=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	pass(DAY);
	set_own("e2", true);
	check("e1=M");
	expect_role("e2", DKIM_STANDBY);
	rotate(true);
	assert_string_equal(s.d.activated_ed25519, "e2");
	check("e2=M");
	set_own("r1", false);
	expect_role("r1", DKIM_STANDBY);
	assert_int_equal(s.i.dual, DKIM_ON);
	check("e2=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_SUCCESS);
	check("e2=M r1=M");
	expect_role("r1", DKIM_ACTIVE);
	expect_role("e2", DKIM_ACTIVE);
	assert_false(identity_check_requires(&s.i, &s.ks, key("e2")));
	assert_true(identity_check_requires(&s.i, &s.ks, key("r1")));
}

/* dkim#17: the managed pair signs until the own key is seen; back again. */
static void
test_switching_with_pairs(void **state)
{
	static struct identity_keys none;

	(void)state;
	begin_dual(false);
	check("one=M two=M e1=M e2=M");
	set_own("r1", false);
	assert_true(key("e1")->previous);
	assert_true(identity_check_wants(&s.i, key("e1")));
	assert_false(identity_check_requires(&s.i, &s.ks, key("e1")));
	check("one=M e1=M");
	assert_int_equal(s.i.previous.status, IDENTITY_SUCCESS);
	assert_int_equal(s.d.make_count, 0);
	assert_int_equal(identity_use_managed(&s.i, &s.ks, &none, &s.in,
			     &s.e), 0);
	stored();
	expect_role("e1", DKIM_ACTIVE);
	expect_role("e2", DKIM_STANDBY);
	assert_false(key("e1")->previous);
	check("one=M two=M e1=M e2=M");
	set_own("r1", false);
	check("one=M e1=M r1=M");
	expect_role("one", DKIM_RETIRING);
	expect_role("e1", DKIM_RETIRING);
	assert_null(key("e2"));
	assert_false(s.i.has_previous);
}

/* Ed25519 keys ask for places only when RSA leaves some. */
static void
test_places(void **state)
{
	char selector[16];
	int  n;

	(void)state;
	begin_managed(false);
	check("one=M two=M");
	for (n = 0; s.ks.n < IDENTITY_KEYS_MAX; n++) {
		rotate(true);
		snprintf(selector, sizeof(selector), "r%d", n);
		assert_true(made(selector, 2048));
	}
	switch_dual(DKIM_ON);
	assert_int_equal(s.d.make_count, 0);
	pass(14 * DAY);
	clock_only();
	expect_make(2, "", DKIM_ED25519_BITS);
}

/* -- turns by time (dkim.rotate_every) ------------------------------------ */

static void
test_turn(void **state)
{
	(void)state;
	begin_dual(false);
	s.in.rotate_every_ms = 90 * DAY;
	check("one=M two=M e1=M e2=M");
	expect_role("one", DKIM_ACTIVE);
	pass(90 * DAY - MINUTE);
	check("one=M two=M e1=M e2=M");
	expect_role("one", DKIM_ACTIVE);
	/* it is not left to the next regular check */
	assert_true(s.i.dkim.next_check.ms == s.in.now.ms + MINUTE);
	pass(MINUTE);
	check("one=M two=M e1=M e2=M");
	expect_role("two", DKIM_ACTIVE);
	expect_role("one", DKIM_RETIRING);
	expect_role("e2", DKIM_ACTIVE);
	expect_make(1, "", 2048);
	expect_make(1, "", DKIM_ED25519_BITS);
	/* once; the next one is 90 days away */
	assert_true(made("three", 2048));
	pass(2 * HOUR);
	check("two=M three=M e2=M");
	expect_role("two", DKIM_ACTIVE);
}

/* What is not published, or not for long enough, is not turned to. */
static void
test_turn_waits_for_the_record(void **state)
{
	(void)state;
	begin_managed(false);
	s.in.rotate_every_ms = 30 * DAY;
	check("one=M");
	pass(40 * DAY);
	check("one=M");
	expect_role("one", DKIM_ACTIVE);
	assert_true(s.i.dkim.next_check.ms == s.in.now.ms + 6 * HOUR);
	check("one=M two=M");
	expect_role("one", DKIM_ACTIVE);
	assert_true(s.i.dkim.next_check.ms == s.in.now.ms + HOUR);
	pass(HOUR);
	check("one=M two=M");
	expect_role("two", DKIM_ACTIVE);
}

static void
test_no_turn(void **state)
{
	(void)state;
	/* off */
	begin_managed(false);
	check("one=M two=M");
	pass(3650 * DAY);
	check("one=M two=M");
	expect_role("one", DKIM_ACTIVE);
	/* own keys are the owner's matter */
	begin();
	s.in.rotate_every_ms = 30 * DAY;
	set_own("r1", false);
	check("r1=M");
	pass(40 * DAY);
	check("r1=M");
	expect_role("r1", DKIM_ACTIVE);
	/* not while the records are missed */
	begin_managed(false);
	s.in.rotate_every_ms = 30 * DAY;
	check("one=M two=M");
	pass(30 * DAY - HOUR);
	check("two=M");
	pass(15 * MINUTE);
	check("two=M");
	assert_int_equal(s.i.dkim.status, IDENTITY_TEMPORARY_FAILURE);
	pass(2 * HOUR);
	check("two=M");
	expect_role("one", DKIM_ACTIVE);
}

static void
test_turn_of_slots(void **state)
{
	(void)state;
	begin_managed(true);
	s.in.rotate_every_ms = 30 * DAY;
	check("one=M two=M three=M");
	pass(30 * DAY);
	check("one=M two=M three=M");
	expect_role("one", DKIM_RETIRING);
	expect_role("two", DKIM_ACTIVE);
	expect_role("three", DKIM_STANDBY);
}

static void
test_addresses_have_no_second_key(void **state)
{
	(void)state;
	begin();
	identity_init(&s.i, "123456789012", "user@example.net", s.in.now);
	assert_int_equal(identity_set_dual(&s.i, &s.ks, DKIM_ON, &s.in, &s.d,
			     &s.e), -1);
	assert_string_equal(s.e.text, "user@example.net is an address; its "
				      "domain has the DKIM keys");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_are_made),
		cmocka_unit_test(test_none_without_dual),
		cmocka_unit_test(test_switched_off),
		cmocka_unit_test(test_rotation_of_both),
		cmocka_unit_test(test_rotation_without_the_second_standby),
		cmocka_unit_test(test_new_standby_of_both),
		cmocka_unit_test(test_length_leaves_ed25519_alone),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_own_ed25519_beside_rsa),
		cmocka_unit_test(test_own_ed25519_alone),
		cmocka_unit_test(test_switching_with_pairs),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_turn),
		cmocka_unit_test(test_turn_waits_for_the_record),
		cmocka_unit_test(test_no_turn),
		cmocka_unit_test(test_turn_of_slots),
		cmocka_unit_test(test_addresses_have_no_second_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
