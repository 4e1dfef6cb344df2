/* SPDX-License-Identifier: ISC */
/* May this one send this, to these, now: addresses, sandbox, sets, settings.
 * Permission and tags are in test_admission_permission, _tags. */
#include "admission_world.h"

#include "keys_double.h"

/* identities-and-policies#1,2,5,6,10,12 */
static void
coverage(struct db_txn *t)
{
	populate(t);
	expect(t, Q("user@a.b.example.com", NULL,
	    "From: user@a.b.example.com\r\n\r\n"), NULL);
	expect(t, Q("user@example.com", NULL, "From: user@EXAMPLE.com\r\n\r\n"),
	    NULL);
	expect(t, Q("user@example.org", NULL, "From: user@example.org\r\n\r\n"),
	    NOT_VERIFIED "user@example.org");
	expect(t, Q("sender@example.net", NULL,
	    "From: sender+myLabel@example.net\r\nSender: "
	    "sender@EXAMPLE.NET\r\n\r\n"), NULL);
	expect(t, Q("Sender@example.net", NULL,
	    "From: sender@example.net\r\n\r\n"),
	    NOT_VERIFIED "Sender@example.net");
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "Reply-To: z@elsewhere.example\r\n\r\n"), NULL);
	expect(t, Q("", NULL, "From: mailer-daemon@example.com\r\n\r\n"), NULL);
	expect(t, Q("", NULL, "From: mailer-daemon@x.example\r\n\r\n"),
	    NOT_VERIFIED "mailer-daemon@x.example");
	expect(t, Q("mary@example.com", NULL,
	    "From: mary@example.com\r\n\r\n"), NULL);
	expect(t, Q("a@grace.example", NULL, "From: a@grace.example\r\n\r\n"),
	    NULL);
	expect(t, Q("a@failed.example", NULL,
	    "From: a@failed.example\r\n\r\n"), NOT_VERIFIED "a@failed.example");
	conf_unref(conf);
}

/* identities-and-policies#3,4 */
static void
roles(struct db_txn *t)
{
	populate(t);
	expect(t, Q("a@x.example", NULL, "Return-Path: <d@x.example>\r\n"
	    "Sender: c@x.example\r\nFrom: b@x.example\r\n\r\n"), NOT_VERIFIED
	    "a@x.example, b@x.example, c@x.example, d@x.example");
	expect(t, Q("a@x.example", NULL, "From: a@x.example\r\n\r\n"),
	    NOT_VERIFIED "a@x.example");
	expect(t, Q("a@x.example", NULL, "From: a@example.com, b@x.example,\r\n"
	    " A <a@x.example>\r\nReturn-Path: <>\r\n\r\n"),
	    NOT_VERIFIED "a@x.example, b@x.example");
	conf_unref(conf);
}

static void
address_fields(struct db_txn *t)
{
	populate(t);
	expect(t, Q("a@example.com", NULL, "From: nobody\r\n\r\n"),
	    "Transaction failed: Invalid header 'From'.");
	expect(t, Q("a@example.com", NULL,
	    "From: friends: a@example.com;\r\n\r\n"),
	    "Transaction failed: Invalid header 'From'.");
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "Sender: a@example.com, b@example.com\r\n\r\n"),
	    "Transaction failed: Invalid header 'Sender'.");
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "Return-Path: x\r\n\r\n"),
	    "Transaction failed: Invalid header 'Return-Path'.");
	/* identities-and-policies#30, smtp-interface#19: it will be added */
	expect(t, Q("a@example.com", NULL, "\r\n"), NULL);
	expect(t, Q("", NULL, "\r\n"),
	    "Transaction failed: Missing required header 'From'.");
	conf->message.missing_from = CONF_MISSING_FROM_REJECT;
	expect(t, Q("a@example.com", NULL, "\r\n"),
	    "Transaction failed: Missing required header 'From'.");
	conf_unref(conf);
}

/* identities-and-policies#8, simulator#7 */
static void
sandbox(struct db_txn *t)
{
	populate(t);
	account.production = false;
	expect(t, Q("a@example.com", "r@sub.example.com "
	    "bounce+1@simulator.amazonses.com x@simulator.relay.example "
	    "sender+x@example.net", "From: a@example.com\r\n\r\n"), NULL);
	expect(t, Q("a@example.com", "r@example.org",
	    "From: a@example.com\r\n\r\n"), NOT_VERIFIED "r@example.org");
	expect(t, Q("a@example.com", "ok@example.com r@example.org",
	    "From: a@example.com\r\n\r\n"), NOT_VERIFIED "r@example.org");
	conf->simulator.ses_domain = false;
	expect(t, Q("a@example.com", "bounce@simulator.amazonses.com",
	    "From: a@example.com\r\n\r\n"),
	    NOT_VERIFIED "bounce@simulator.amazonses.com");
	conf_unref(conf);
}

/* identities-and-policies#7 */
static void
truncation(struct db_txn *t)
{
	struct asked	k;
	struct question q = Q("a@example.com", NULL,
	    "From: a@example.com\r\n\r\n");
	char	     rcpts[4096] = "", one[80];
	struct bytes text;
	int	     i, n, c, all;

	populate(t);
	account.production = false;
	for (i = 1; i <= 50; i++) {
		snprintf(one, sizeof(one), "recipient-number-%02d@"
		    "long-domain-name.example.org ", i);
		strcat(rcpts, one);
	}
	q.rcpts = rcpts;
	ask_begin(&k, t, &q);
	text = bytes_of(k.a.reply.text);
	assert_in_range(text.n, 512 - 6 - 60, 512 - 6);
	assert_true(bytes_ends_nocase(text, BYTES(
	    "@long-domain-name.example.org, ...")));
	assert_true(bytes_starts(text, BYTES(NOT_VERIFIED
	    "recipient-number-01@long-domain-name.example.org, "
	    "recipient-number-02@")));
	ask_end(&k);
	/* all that fit exactly: nothing is cut */
	for (n = 1; n <= 60; n++) {
		rcpts[0] = '\0';
		for (c = 'a'; c <= 'd'; c++) {
			memset(one, c, sizeof(one));
			sprintf(rcpts + strlen(rcpts), "%.*s@%.58s.example.org ",
			    n, one, one);
		}
		ask_begin(&k, t, &q);
		assert_true(strlen(k.a.reply.text) <= 506);
		/* four names of n + 71 and three commas, or three */
		all = (int)strlen(NOT_VERIFIED) + 4 * (n + 71) + 6;
		assert_int_equal(strstr(k.a.reply.text, ", ...") == NULL,
		    all <= 506);
		ask_end(&k);
	}
	conf_unref(conf);
}

/* -- configuration sets --------------------------------------------------- */

static void
add_set(struct db_txn *t, const char *account_id, const char *name,
    bool sending)
{
	struct config_set s;
	struct err	  e;

	config_set_init(&s, account_id, name, (struct wall){ world_time });
	s.sending = sending;
	if (strcmp(name, "strict") == 0) {
		s.require_tls = true;
		strcpy(s.pool, "ses-shared-pool");
		s.max_delivery_s = 3600;
	}
	if (config_set_create(t, &s, &e) < 0)
		fail_msg("%s", e.text);
}

static void
set_default(struct db_txn *t, const char *identity, const char *set)
{
	struct identity i;
	struct err	e;

	assert_int_equal(identity_get(t, world_account, identity, &i, &e), 1);
	strcpy(i.config_set, set);
	assert_int_equal(identity_put(t, &i, &e), 0);
}

/* The set that a message of From is bound to; "" = none. */
static void
expect_set(struct db_txn *t, const char *from, const char *fields,
    const char *set)
{
	char	     head[300];
	struct asked k;

	snprintf(head, sizeof(head), "%sFrom: %s\r\n\r\n", fields, from);
	ask_begin(&k, t, &Q("a@example.com", NULL, head));
	if (k.a.reply.code != 0)
		fail_msg("%s: %s", head, k.a.reply.text);
	assert_true(admission_apply(&k.q, &k.a, k.message));
	assert_int_equal(k.a.has_set, set[0] != '\0');
	if (!bytes_eq_text(k.message->config_set, set))
		fail_msg("%s: %.*s", head, (int)k.message->config_set.n,
		    k.message->config_set.p);
	assert_int_equal(config_set_id_is_none(&k.message->config_set_id),
	    set[0] == '\0');
	ask_end(&k);
}

/* What is not there, in which words; configuration-sets 2.4 */
static void
unknown_sets(struct db_txn *t)
{
	populate(t);
	add_set(t, world_other, "theirs", true);
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "X-SES-CONFIGURATION-SET:\r\n  Nope  \r\n\r\n"),
	    "Message rejected: Configuration set does not exist: Nope");
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "X-SES-CONFIGURATION-SET: \r\n"
	    "X-SES-CONFIGURATION-SET: x\r\n\r\n"),
	    NULL);
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "X-SES-CONFIGURATION-SET: a b\xc3\xbc\r\n\r\n"),
	    "Message rejected: Configuration set does not exist: a?b??");
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "X-SES-CONFIGURATION-SET: theirs\r\n\r\n"),
	    "Message rejected: Configuration set does not exist: theirs");
	/* comments are not interpreted; 64 octets of it are shown */
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "X-SES-CONFIGURATION-SET: x(c)"
	    "aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaa"
	    "\r\n\r\n"),
	    "Message rejected: Configuration set does not exist: x(c)"
	    "aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbb");
	strcpy(credential.limits.config_set, "mine");
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n\r\n"),
	    "Message rejected: Configuration set does not exist: mine");
	conf_unref(conf);
}

/* configuration-sets 2.1; credentials#20: forced before named, named before
 * given */
static void
which_set(struct db_txn *t)
{
	static const char named[] = "X-SES-CONFIGURATION-SET: test\r\n";

	populate(t);
	add_set(t, world_account, "test", true);
	add_set(t, world_account, "prod", true);
	add_set(t, world_account, "D", true);
	add_set(t, world_account, "J", true);
	expect_set(t, "ann@example.com", "", "");
	/* configuration-sets#3,8,10 */
	expect_set(t, "ann@example.com", "x-ses-configuration-set: prod\r\n"
	    "X-SES-CONFIGURATION-SET: test\r\n", "prod");
	expect_set(t, "ann@example.com", "X-SES-CONFIGURATION-SET:\r\n test "
	    "\r\n", "test");
	set_default(t, "example.com", "D");
	expect_set(t, "ann@example.com", "X-SES-CONFIGURATION-SET: \r\n",
	    "D");
	/* configuration-sets#4: an address of its own inherits nothing */
	add_identity(t, world_account, "joe@example.com", IDENTITY_SUCCESS);
	expect_set(t, "joe@example.com", "", "");
	expect_set(t, "ann@example.com", "", "D");
	expect_set(t, "\"x\" <ann@a.example.com>", "", "D");
	/* configuration-sets#5,6 */
	set_default(t, "joe@example.com", "J");
	expect_set(t, "joe@example.com", "", "J");
	expect_set(t, "joe@example.com", named, "test");
	expect_set(t, "joe+news@example.com", "", "J");
	/* the set of a credential: between the two, or before all */
	strcpy(credential.limits.config_set, "prod");
	expect_set(t, "joe@example.com", "", "prod");
	expect_set(t, "joe@example.com", named, "test");
	credential.limits.force_config_set = true;
	expect_set(t, "joe@example.com", named, "prod");
	expect_set(t, "joe@example.com",
	    "X-SES-CONFIGURATION-SET: Nope\r\n", "prod");
	conf_unref(conf);
}

/* configuration-sets#7: a default that has gone is not ignored; the default
 * of an identity that is not verified does not count */
static void
default_sets(struct db_txn *t)
{
	struct err e;

	populate(t);
	add_set(t, world_account, "D", true);
	set_default(t, "example.com", "D");
	expect_set(t, "ann@example.com", "", "D");
	set_default(t, "grace.example", "D");
	expect_set(t, "ann@grace.example", "", "D");
	set_default(t, "mary@example.com", "gone"); /* PENDING */
	expect_set(t, "mary@example.com", "", "D");
	assert_int_equal(config_set_delete(t, world_account, "D", &e), 1);
	expect(t, Q("a@example.com", NULL, "From: ann@example.com\r\n\r\n"),
	    "Message rejected: Configuration set does not exist: D");
	/* what is named stands before it, and behind the identity check */
	add_set(t, world_account, "X", true);
	expect_set(t, "ann@example.com", "X-SES-CONFIGURATION-SET: X\r\n",
	    "X");
	strcpy(credential.limits.from[0], "*@shop.example");
	credential.limits.from_count = 1;
	expect(t, Q("a@example.com", NULL, "From: ann@example.com\r\n\r\n"),
	    "Access denied: User arn:aws:iam::123456789012:user/app1 is not "
	    "authorized to perform ses:SendRawEmail on resource "
	    "arn:aws:ses:us-east-1:123456789012:identity/example.com");
	conf_unref(conf);
}

/* configuration-sets#14 and the order of smtp-interface 8, steps 7 to 10 */
static void
paused_sets(struct db_txn *t)
{
	populate(t);
	add_set(t, world_account, "S", false);
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "X-SES-CONFIGURATION-SET: S\r\n\r\n"),
	    "Message rejected: Sending paused for this configuration set: S");
	expect_set(t, "ann@example.com", "", "");
	/* before the identity check when named, behind it as a default */
	expect(t, Q("a@nowhere.example", NULL, "From: a@nowhere.example\r\n"
	    "X-SES-CONFIGURATION-SET: S\r\n\r\n"),
	    "Message rejected: Sending paused for this configuration set: S");
	set_default(t, "example.com", "S");
	expect(t, Q("a@example.com", NULL, "From: ann@example.com\r\n\r\n"),
	    "Message rejected: Sending paused for this configuration set: S");
	/* the account's switch comes between the look-up and the set's */
	account.sending_enabled = false;
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "X-SES-CONFIGURATION-SET: S\r\n\r\n"),
	    "Message rejected: Sending paused for this account.");
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "X-SES-CONFIGURATION-SET: Nope\r\n\r\n"),
	    "Message rejected: Configuration set does not exist: Nope");
	conf_unref(conf);
}

/* configuration-sets 2.5 */
static void
what_a_message_keeps(struct db_txn *t)
{
	struct config_set s;
	struct asked	  k;
	struct err	  e;

	populate(t);
	add_set(t, world_account, "strict", true);
	ask_begin(&k, t, &Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "X-SES-CONFIGURATION-SET: strict\r\n\r\n"));
	assert_int_equal(k.a.reply.code, 0);
	assert_true(admission_apply(&k.q, &k.a, k.message));
	assert_int_equal(k.message->tls_policy, MESSAGE_TLS_REQUIRE);
	assert_true(bytes_eq_text(k.message->pool, "ses-shared-pool"));
	assert_int_equal(k.message->max_delivery_ms, 3600000);
	assert_int_equal(config_set_get(t, world_account, BYTES("strict"), &s,
	    &e), 1);
	assert_true(config_set_id_eq(&k.message->config_set_id, &s.id));
	ask_end(&k);
	ask_begin(&k, t, &Q("a@example.com", NULL,
	    "From: a@example.com\r\n\r\n"));
	assert_true(admission_apply(&k.q, &k.a, k.message));
	assert_int_equal(k.message->tls_policy, MESSAGE_TLS_CONFIGURED);
	assert_int_equal(k.message->pool.n, 0);
	assert_int_equal(k.message->max_delivery_ms, 0);
	ask_end(&k);
	conf_unref(conf);
}

/* quotas#21,22,24 */
static void
account_switch(struct db_txn *t)
{
	populate(t);
	account.sending_enabled = false;
	expect(t, Q("a@nowhere.example", NULL,
	    "From: a@nowhere.example\r\n\r\n"),
	    "Message rejected: Sending paused for this account.");
	expect(t, Q("a@example.com", "success@simulator.amazonses.com",
	    "From: a@example.com\r\n\r\n"), /* simulator#22 */
	    "Message rejected: Sending paused for this account.");
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "X-SES-CONFIGURATION-SET: Nope\r\n\r\n"),
	    "Message rejected: Configuration set does not exist: Nope");
	account.sending_enabled = true;
	account.enforcement = ACCOUNT_SHUTDOWN;
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n\r\n"),
	    "Message rejected: Sending paused for this account.");
	conf_unref(conf);
}

/* -- what is decided ------------------------------------------------------ */

/* identities-and-policies#9 without sets: whose settings hold */
static void
settings(struct db_txn *t)
{
	static const struct {
		const char *from, *identity;
	} cases[] = {
		{ "user@example.com", "example.com" },
		{ "user@a.b.example.com", "user@a.b.example.com" },
		{ "user@b.example.com", "b.example.com" },
		{ "user+x@a.b.example.com", "user@a.b.example.com" },
		{ "other@c.b.example.com", "b.example.com" },
	};
	struct question q = { .sender = "bounce@example.com" };
	struct asked	k;
	char		head[200];
	size_t		i;

	populate(t);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(head, sizeof(head), "From: X <%s>, a@example.com\r\n"
		    "\r\n", cases[i].from);
		q.head = head;
		ask_begin(&k, t, &q);
		assert_int_equal(k.a.reply.code, 0);
		assert_true(admission_apply(&k.q, &k.a, k.message));
		assert_true(bytes_eq_text(k.message->identity,
		    cases[i].identity));
		assert_true(bytes_eq_text(k.message->forward,
		    "bounce@example.com"));
		assert_true(bytes_eq_text(k.message->mail_from_domain,
		    "bounces.relay.example"));
		ask_end(&k);
	}
	/* the feedback address is that of Return-Path when there is one */
	q.head = "From: a@example.com\r\nReturn-Path: <f@example.com>\r\n\r\n";
	ask_begin(&k, t, &q);
	assert_true(admission_apply(&k.q, &k.a, k.message));
	assert_true(bytes_eq_text(k.message->forward, "f@example.com"));
	assert_true(bytes_eq_text(k.message->from_domain, "example.com"));
	ask_end(&k);
	q = (struct question){ .sender = "",
		.head = "From: a@example.com\r\n\r\n" };
	ask_begin(&k, t, &q);
	assert_true(admission_apply(&k.q, &k.a, k.message));
	assert_int_equal(k.message->mail_from_domain.n, 0);
	assert_int_equal(k.message->forward.n, 0);
	ask_end(&k);
	conf_unref(conf);
}

WORLD(coverage)
WORLD(roles)
WORLD(address_fields)
WORLD(sandbox)
WORLD(truncation)
WORLD(unknown_sets)
WORLD(which_set)
WORLD(default_sets)
WORLD(paused_sets)
WORLD(what_a_message_keeps)
WORLD(account_switch)
WORLD(settings)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_coverage),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_address_fields),
		cmocka_unit_test(test_sandbox),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_unknown_sets),
		cmocka_unit_test(test_which_set),
		cmocka_unit_test(test_default_sets),
		cmocka_unit_test(test_paused_sets),
		cmocka_unit_test(test_what_a_message_keeps),
		cmocka_unit_test(test_account_switch),
		cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
