/* SPDX-License-Identifier: ISC */
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
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_rotation_refused),
		cmocka_unit_test(test_rotation_has_bounds),
		cmocka_unit_test(test_new_standby),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_operator_zone),
		cmocka_unit_test(test_errors),
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
