/* SPDX-License-Identifier: ISC */
/* Which identity covers an address, and which key signs its mail. */
#include "identity_world.h"

/* -- coverage ------------------------------------------------------------- */

static void
expect_resolve(struct db_txn *t, const char *from, const char *want)
{
	struct identity i;
	struct err	e;
	int found = identity_resolve(t, world_account, bytes_of(from), now,
	    &i, &e);

	if (found != (want != NULL))
		fail_msg("%s: found %d", from, found);
	if (want != NULL)
		assert_string_equal(i.name, want);
}

/* identities-and-policies#1,2,9, #10 and 3.3 */
static void
body_resolve(struct db_txn *t)
{
	static const struct {
		const char *from, *want;
	} rows[] = {
		{ "user@example.com", "example.com" },
		{ "user@a.b.example.com", "user@a.b.example.com" },
		{ "user@b.example.com", "b.example.com" },
		{ "user+x@a.b.example.com", "user@a.b.example.com" },
		{ "other@a.b.example.com", "a.b.example.com" },
		{ "user@c.example.com", "example.com" },
		{ "user@x.y.z.example.com", "example.com" },
		{ "user@EXAMPLE.com", "example.com" },
		{ "user@example.org", NULL },
		{ "user@notexample.com", NULL },
		{ "sender@example.net", "sender@example.net" },
		{ "sender+myLabel@example.net", "sender@example.net" },
		{ "sender@EXAMPLE.NET", "sender@example.net" },
		{ "\"sender\"@example.net", "sender@example.net" },
		{ "Sender@example.net", NULL },
		{ "+sender@example.net", NULL },
		{ "\"sender+x\"@example.net", "sender@example.net" },
		{ "mary@example.com", "example.com" }, /* her record waits */
		{ "x@sub.lost.example", "lost.example" },
		{ "x@over.example", NULL },
		{ "x@failed.example", NULL },
		{ "x@intern.corp", "intern.corp" },
		{ "not an address", NULL },
		{ "", NULL },
	};
	struct identity i;
	size_t		n;

	i = domain("example.com", IDENTITY_SUCCESS);
	put(t, &i);
	i = domain("b.example.com", IDENTITY_SUCCESS);
	put(t, &i);
	i = domain("a.b.example.com", IDENTITY_SUCCESS);
	put(t, &i);
	i = address("user@a.b.example.com", IDENTITY_SUCCESS);
	put(t, &i);
	i = address("sender@example.net", IDENTITY_SUCCESS);
	put(t, &i);
	i = address("mary@example.com", IDENTITY_PENDING);
	put(t, &i);
	i = domain("lost.example", IDENTITY_TEMPORARY_FAILURE);
	put(t, &i);
	i = domain("over.example", IDENTITY_TEMPORARY_FAILURE);
	i.dkim.deadline = now; /* identities-and-policies#12 */
	put(t, &i);
	i = domain("failed.example", IDENTITY_FAILED);
	put(t, &i);
	i = domain("intern.corp", IDENTITY_NOT_STARTED);
	i.method = METHOD_OVERRIDE; /* identities-and-policies#16 */
	i.link.status = IDENTITY_SUCCESS;
	put(t, &i);
	for (n = 0; n < sizeof(rows) / sizeof(rows[0]); n++)
		expect_resolve(t, rows[n].from, rows[n].want);
}

static void
test_resolve(void **state)
{
	(void)state;
	world_test(body_resolve);
}

static void
test_status(void **state)
{
	struct identity i = domain("example.com", IDENTITY_FAILED);

	(void)state;
	assert_int_equal(identity_status(&i), IDENTITY_FAILED);
	i.token.status = IDENTITY_PENDING;
	assert_int_equal(identity_status(&i), IDENTITY_PENDING);
	i.token.status = IDENTITY_TEMPORARY_FAILURE;
	i.token.deadline.ms = now.ms + 1;
	assert_int_equal(identity_status(&i), IDENTITY_TEMPORARY_FAILURE);
	assert_true(identity_may_send(&i, now));
	i.token.deadline = now;
	assert_false(identity_may_send(&i, now));
	i.previous.status = IDENTITY_SUCCESS;
	assert_int_equal(identity_status(&i), IDENTITY_TEMPORARY_FAILURE);
	i.has_previous = true;
	assert_int_equal(identity_status(&i), IDENTITY_SUCCESS);
	assert_int_equal(identity_signing_set(&i), SET_PREVIOUS);
	i.dkim.status = IDENTITY_SUCCESS;
	assert_int_equal(identity_signing_set(&i), SET_CURRENT);
	i = domain("example.com", IDENTITY_NOT_STARTED);
	assert_int_equal(identity_status(&i), IDENTITY_NOT_STARTED);
	assert_int_equal(identity_signing_set(&i), SET_NONE);
	assert_string_equal(identity_status_to_text(
				IDENTITY_TEMPORARY_FAILURE),
	    "TEMPORARY_FAILURE");
	assert_string_equal(identity_method_to_text(METHOD_OVERRIDE),
	    "OVERRIDE");
	assert_string_equal(dkim_role_to_text(DKIM_STANDBY), "STANDBY");
	assert_string_equal(dkim_outcome_to_text(DKIM_OPERATOR_ZONE),
	    "OPERATOR_ZONE");
}

/* -- what signs ----------------------------------------------------------- */

static struct err choice_err;

static int
choose(struct db_txn *t, const char *from, bool dual_sign,
    struct signing_choice *out)
{
	struct signing_question q = { t, world_account, bytes_of(from),
		dual_sign };

	return identity_signing(&q, out, &choice_err);
}

static void
expect_signs(struct db_txn *t, const char *from, enum signing_result result,
    const char *by)
{
	struct signing_choice c;

	assert_int_equal(choose(t, from, false, &c), 0);
	if (c.result != result)
		fail_msg("%s: result %d", from, c.result);
	if (result == SIGNING_KEY)
		assert_string_equal(c.keys.key.domain, by);
	assert_string_equal(c.decided_by, by);
	assert_false(c.keys.has_second);
}

static void
world_4_3(struct db_txn *t)
{
	struct identity i;

	i = domain("example.com", IDENTITY_SUCCESS);
	put(t, &i);
	put_key(t, "example.com", A_SELECTOR, DKIM_ACTIVE);
	put_key(t, "example.com", "h5msjg4y7nmjbhshxxcim5ic32pp5c3r",
	    DKIM_STANDBY);
	i = domain("shop.example.com", IDENTITY_PENDING);
	put(t, &i);
	put_key(t, "shop.example.com", "b", DKIM_ACTIVE);
	i = domain("news.example.com", IDENTITY_NOT_STARTED);
	i.signing = DKIM_OFF;
	put(t, &i);
	i = address("marketing@example.com", IDENTITY_NOT_STARTED);
	i.signing = DKIM_OFF;
	put(t, &i);
	i = address("mary@example.com", IDENTITY_SUCCESS);
	put(t, &i);
}

/* dkim 4.3; dkim#4,5,6 */
static void
body_signing(struct db_txn *t)
{
	static const struct {
		const char	   *from;
		enum signing_result result;
		const char	   *by;
	} rows[] = {
		{ "bob@example.com", SIGNING_KEY, "example.com" },
		{ "mary@example.com", SIGNING_KEY, "example.com" },
		{ "marketing@example.com", SIGNING_DISABLED,
		    "marketing@example.com" },
		{ "marketing+x@example.com", SIGNING_DISABLED,
		    "marketing@example.com" },
		{ "bob@a.example.com", SIGNING_KEY, "example.com" },
		{ "bob@shop.example.com", SIGNING_KEY, "example.com" },
		{ "bob@news.example.com", SIGNING_DISABLED,
		    "news.example.com" },
		{ "bob@x.news.example.com", SIGNING_DISABLED,
		    "news.example.com" },
		{ "bob@example.org", SIGNING_NO_IDENTITY, "" },
		{ "", SIGNING_NO_IDENTITY, "" },
	};
	struct signing_choice c;
	struct identity	      i;
	struct dkim_key	      k;
	struct err	      e;
	size_t		      n;

	world_4_3(t);
	for (n = 0; n < sizeof(rows) / sizeof(rows[0]); n++)
		expect_signs(t, rows[n].from, rows[n].result, rows[n].by);
	i = domain("shop.example.com", IDENTITY_SUCCESS);
	put(t, &i);
	expect_signs(t, "bob@shop.example.com", SIGNING_KEY,
	    "shop.example.com");
	i = domain("shop.example.com", IDENTITY_TEMPORARY_FAILURE);
	put(t, &i);
	expect_signs(t, "bob@shop.example.com", SIGNING_KEY,
	    "shop.example.com");
	/* a revoked key is used no more; the parent signs */
	k = key("shop.example.com", "b", DKIM_ACTIVE);
	k.last_outcome = DKIM_REVOKED;
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
	expect_signs(t, "bob@shop.example.com", SIGNING_KEY, "example.com");
	i = domain("example.com", IDENTITY_FAILED);
	put(t, &i);
	expect_signs(t, "bob@example.com", SIGNING_NOT_VERIFIED,
	    "example.com");
	expect_signs(t, "bob@shop.example.com", SIGNING_NOT_VERIFIED,
	    "shop.example.com");
	/* dkim#17: the previous set signs meanwhile */
	i = domain("example.com", IDENTITY_PENDING);
	i.external = i.has_previous = true;
	i.previous.status = IDENTITY_SUCCESS;
	put(t, &i);
	k = key("example.com", A_SELECTOR, DKIM_ACTIVE);
	k.previous = true;
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
	put_key(t, "example.com", "own", DKIM_ACTIVE);
	expect_signs(t, "bob@example.com", SIGNING_KEY, "example.com");
	assert_int_equal(choose(t, "bob@example.com", false, &c), 0);
	assert_string_equal(c.keys.key.selector, A_SELECTOR);
	assert_int_equal(c.keys.key.sealed_n, 3);
	i.dkim.status = IDENTITY_SUCCESS;
	put(t, &i);
	assert_int_equal(choose(t, "bob@example.com", false, &c), 0);
	assert_string_equal(c.keys.key.selector, "own");
	k = c.keys.key;
	/* 5.5: it is to sign, so a key that is lost is no leave to go on */
	assert_int_equal(dkim_key_delete(t, &k, &e), 1);
	assert_int_equal(choose(t, "bob@example.com", false, &c), -1);
	assert_string_equal(choice_err.text, "example.com is to sign, but its active "
				    "DKIM key is not in the store");
}

static void
test_signing(void **state)
{
	(void)state;
	world_test(body_signing);
}

/* Which two sign; "" = none. */
static void
expect_two(struct db_txn *t, bool dual_sign, const char *first,
    const char *second)
{
	struct signing_choice c;

	assert_int_equal(choose(t, "bob@example.com", dual_sign, &c), 0);
	assert_int_equal(c.result, SIGNING_KEY);
	assert_string_equal(c.keys.key.selector, first);
	assert_string_equal(c.keys.has_second ? c.keys.second.selector : "",
	    second);
}

/* dkim#20, dkim 6.1 */
static void
body_dual(struct db_txn *t)
{
	struct identity	      i = domain("example.com", IDENTITY_SUCCESS);
	struct dkim_key	      ed, k;
	struct signing_choice c;
	struct err	      e;

	put(t, &i);
	put_key(t, "example.com", "m", DKIM_ACTIVE);
	/* before and behind the RSA key in the order of the rows */
	ed = ed25519_key("example.com", "a", DKIM_ACTIVE);
	assert_int_equal(dkim_key_put(t, &ed, &e), 0);
	k = ed25519_key("example.com", "b", DKIM_STANDBY);
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
	expect_two(t, true, "m", "a");
	assert_int_equal(choose(t, "bob@example.com", true, &c), 0);
	assert_true(c.keys.second.ed25519);
	assert_false(c.keys.key.ed25519);
	expect_two(t, false, "m", "");
	/* the identity's own switch comes before dkim.dual_sign */
	i.dual = DKIM_ON;
	put(t, &i);
	expect_two(t, false, "m", "a");
	i.dual = DKIM_OFF;
	put(t, &i);
	expect_two(t, true, "m", "");
	i.dual = DKIM_INHERIT;
	put(t, &i);
	/* its record is not seen, or revoked: only RSA */
	ed.seen = false;
	assert_int_equal(dkim_key_put(t, &ed, &e), 0);
	expect_two(t, true, "m", "");
	/* the RSA key revoked: Ed25519 is never the only one */
	ed.seen = true;
	assert_int_equal(dkim_key_put(t, &ed, &e), 0);
	k = key("example.com", "m", DKIM_ACTIVE);
	k.last_outcome = DKIM_REVOKED;
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
	assert_int_equal(choose(t, "bob@example.com", true, &c), 0);
	assert_int_equal(c.result, SIGNING_NOT_VERIFIED);
	assert_false(c.keys.has_second);
	/* but an own one where there is no RSA key */
	assert_int_equal(dkim_key_delete(t, &k, &e), 1);
	expect_two(t, false, "a", "");
}

static void
test_dual(void **state)
{
	(void)state;
	world_test(body_dual);
}

static void
line_into(void *arg, const char *line)
{
	buf_printf(arg, "%s\n", line);
}

static void
expect_explain(struct db_txn *t, const char *from, const char *want)
{
	struct signing_question q = { t, world_account, bytes_of(from), true };
	struct buf		b;
	struct err		e;

	buf_init(&b, 4096);
	assert_int_equal(identity_explain(&q, line_into, &b, &e), 0);
	buf_add_char(&b, '\0');
	assert_string_equal(b.p, want);
	buf_wipe(&b);
}

/* dkim 12 */
static void
body_explain(struct db_txn *t)
{
	struct dkim_key k = key("example.com", A_SELECTOR, DKIM_ACTIVE);
	struct err	e;

	world_4_3(t);
	expect_explain(t, "mary@example.com",
	    "mary@example.com     identity: yes   signing: inherit\n"
	    "example.com          identity: yes   signing: on    status: "
	    "SUCCESS\n"
	    "=> d=example.com s=" A_SELECTOR " a=rsa-sha256 2048 bit, last "
	    "seen 2024-05-01T12:00:00Z\n");
	expect_explain(t, "bob+x@shop.example.com",
	    "bob+x@shop.example.com identity: no\n"
	    "bob@shop.example.com identity: no\n"
	    "shop.example.com     identity: yes   signing: on    status: "
	    "PENDING\n"
	    "example.com          identity: yes   signing: on    status: "
	    "SUCCESS\n"
	    "=> d=example.com s=" A_SELECTOR " a=rsa-sha256 2048 bit, last "
	    "seen 2024-05-01T12:00:00Z\n");
	expect_explain(t, "bob@x.news.example.com",
	    "bob@x.news.example.com identity: no\n"
	    "x.news.example.com   identity: no\n"
	    "news.example.com     identity: yes   signing: off   status: "
	    "NOT_STARTED\n"
	    "=> none: signing is disabled for news.example.com\n");
	expect_explain(t, "marketing@example.com",
	    "marketing@example.com identity: yes   signing: off\n"
	    "=> none: signing is disabled for marketing@example.com\n");
	expect_explain(t, "a@example.org",
	    "a@example.org        identity: no\n"
	    "example.org          identity: no\n"
	    "=> none: no domain of it is an identity of this account\n");
	k.last_outcome = DKIM_ABSENT;
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
	expect_explain(t, "mary@example.com",
	    "mary@example.com     identity: yes   signing: inherit\n"
	    "example.com          identity: yes   signing: on    status: "
	    "SUCCESS\n"
	    "=> d=example.com s=" A_SELECTOR " a=rsa-sha256 2048 bit, last "
	    "seen 2024-05-01T12:00:00Z, last check: ABSENT\n");
	k = ed25519_key("example.com", "ed", DKIM_ACTIVE);
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
	expect_explain(t, "mary@example.com",
	    "mary@example.com     identity: yes   signing: inherit\n"
	    "example.com          identity: yes   signing: on    status: "
	    "SUCCESS\n"
	    "=> d=example.com s=" A_SELECTOR " a=rsa-sha256 2048 bit, last "
	    "seen 2024-05-01T12:00:00Z, last check: ABSENT\n"
	    "=> d=example.com s=ed a=ed25519-sha256 256 bit, last seen "
	    "2024-05-01T12:00:00Z\n");
	k.seen = false;
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
	expect_explain(t, "mary@example.com",
	    "mary@example.com     identity: yes   signing: inherit\n"
	    "example.com          identity: yes   signing: on    status: "
	    "SUCCESS\n"
	    "example.com          Ed25519 selector ed is not seen in DNS; "
	    "only RSA signs\n"
	    "=> d=example.com s=" A_SELECTOR " a=rsa-sha256 2048 bit, last "
	    "seen 2024-05-01T12:00:00Z, last check: ABSENT\n");
}

static void
test_explain(void **state)
{
	(void)state;
	world_test(body_explain);
}

static void
refuse_switch(struct db_txn *t, const char *name, bool on, const char *text)
{
	struct err e;

	assert_int_equal(identity_set_signing(t, world_account, name, on, now,
			     &e), -1);
	assert_string_equal(e.text, text);
	assert_true(book_is_refusal(&e));
}

static void
allow_switch(struct db_txn *t, const char *name, bool on)
{
	struct err e;

	if (identity_set_signing(t, world_account, name, on, now, &e) < 0)
		fail_msg("%s", e.text);
}

/* dkim 4.2 and 13; dkim#6,7 */
static void
body_switch(struct db_txn *t)
{
	struct identity i;

	world_4_3(t);
	i = address("someone@gmail.com", IDENTITY_SUCCESS);
	put(t, &i);
	i = domain("new.example", IDENTITY_PENDING);
	put(t, &i);
	i = address("a@new.example", IDENTITY_SUCCESS);
	put(t, &i);
	i = address("b@news.example.com", IDENTITY_SUCCESS);
	put(t, &i);
	refuse_switch(t, "someone@gmail.com", false, "DKIM signing cannot be "
	    "changed for someone@gmail.com: gmail.com is not an identity of "
	    "this account");
	refuse_switch(t, "a@new.example", false, "DKIM signing cannot be "
	    "changed for a@new.example: new.example is not verified");
	refuse_switch(t, "nobody@example.com", false,
	    "no such identity: nobody@example.com");
	refuse_switch(t, "example.net", true,
	    "no such identity: example.net");
	allow_switch(t, "marketing@example.com", true);
	expect_signs(t, "marketing@example.com", SIGNING_KEY, "example.com");
	expect_signs(t, "marketing+spring@example.com", SIGNING_KEY,
	    "example.com");
	allow_switch(t, "marketing@example.com", false);
	expect_signs(t, "marketing+spring@example.com", SIGNING_DISABLED,
	    "marketing@example.com");
	allow_switch(t, "news.example.com", true);
	expect_signs(t, "bob@news.example.com", SIGNING_KEY, "example.com");
	allow_switch(t, "example.com", false);
	expect_signs(t, "bob@example.com", SIGNING_DISABLED, "example.com");
	refuse_switch(t, "marketing@example.com", true, "DKIM signing cannot "
	    "be changed for marketing@example.com: DKIM signing is disabled "
	    "for example.com");
}

static void
test_switch(void **state)
{
	(void)state;
	world_test(body_switch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_signing),
		cmocka_unit_test(test_dual),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_switch),
	};

	return cmocka_run_group_tests_name("identity_sign", tests, NULL, NULL);
}
