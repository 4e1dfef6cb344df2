/* SPDX-License-Identifier: ISC */
/* ARNs in the header, permission of credentials, identities of others. */
#include "admission_world.h"

#include "registry/identity_policy.h"

#define FOREIGN \
	"Access denied: User arn:aws:iam::123456789012:user/app1 is not " \
	"authorized to perform ses:SendRawEmail on resource " \
	"arn:aws:ses:us-east-1:888888888888:identity/"

/* identities-and-policies#21,22 and 8.2 */
static void
arns(struct db_txn *t)
{
	populate(t);
	expect(t, Q("a@example.com", NULL, "X-SES-SOURCE-ARN: "
	    "arn:aws-cn:ses:eu-west-1:123456789012:identity/example.com \r\n"
	    "From: a@example.com\r\n\r\n"), NULL);
	expect(t, Q("user@a.b.example.com", NULL, "X-SES-SOURCE-ARN: "
	    "arn:aws:ses:us-east-1:123456789012:identity/"
	    "user@a.b.example.com\r\nFrom: user+x@a.b.example.com\r\n\r\n"),
	    NULL);
	/* coverage by exactly the identity that is named */
	expect(t, Q("a@example.com", NULL, "X-SES-SOURCE-ARN: "
	    "arn:aws:ses:us-east-1:123456789012:identity/b.example.com\r\n"
	    "X-SES-FROM-ARN: "
	    "arn:aws:ses:us-east-1:123456789012:identity/example.com\r\n"
	    "From: a@example.com\r\n\r\n"), NOT_VERIFIED "a@example.com");
	expect(t, Q("a@foreign.example", NULL, "X-SES-SOURCE-ARN: "
	    "arn:aws:ses:us-east-1:888888888888:identity/foreign.example\r\n"
	    "From: a@foreign.example\r\n\r\n"),
	    FOREIGN "foreign.example");
	/* the first one counts, whatever stands behind it */
	expect(t, Q("a@example.com", NULL, "X-SES-SOURCE-ARN: "
	    "arn:aws:ses:us-east-1:123456789012:identity/example.com\r\n"
	    "X-SES-SOURCE-ARN: "
	    "arn:aws:ses:us-east-1:888888888888:identity/foreign.example\r\n"
	    "From: a@example.com\r\n\r\n"), NULL);
	expect(t, Q("a@example.com", NULL, "X-SES-SOURCE-ARN: "
	    "arn:aws:ses:us-east-1:888888888888:identity/foreign.example\r\n"
	    "X-SES-SOURCE-ARN: "
	    "arn:aws:ses:us-east-1:123456789012:identity/example.com\r\n"
	    "From: a@example.com\r\n\r\n"), NOT_VERIFIED "a@example.com");
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "X-SES-RETURN-PATH-ARN: example.com\r\n\r\n"),
	    "Transaction failed: Invalid header 'X-SES-RETURN-PATH-ARN'.");
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n"
	    "X-SES-SOURCE-ARN: arn:aws:ses:r:12345:identity/x\r\n\r\n"),
	    "Transaction failed: Invalid header 'X-SES-SOURCE-ARN'.");
	conf_unref(conf);
}

/* -- permission ----------------------------------------------------------- */

/* credentials#16,17,19 */
static void
permission(struct db_txn *t)
{
	struct err e;

	populate(t);
	credential.role = ROLE_READ_ONLY;
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n\r\n"),
	    DENIED "example.com");
	expect(t, (struct question){ .sender = "a@example.com",
	    .head = "From: a@example.com\r\n\r\n", .as_root = true }, NULL);
	credential.role = ROLE_NONE;
	assert_int_equal(credential_set_policy(&credential, "p", BYTES(
	    "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":"
	    "\"ses:SendEmail\",\"Resource\":\"*\"}}"), &e), 0);
	expect(t, Q("a@example.com", NULL, "From: a@example.com\r\n\r\n"),
	    DENIED "example.com");
	/* an identity that covers the address is named, not the nearest */
	assert_int_equal(credential_set_policy(&credential, "p", BYTES(
	    "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":"
	    "\"ses:SendRawEmail\",\"Resource\":"
	    "\"arn:aws:ses:us-east-1:123456789012:identity/example.com\"}}"),
	    &e), 0);
	expect(t, Q("user@a.b.example.com", NULL,
	    "From: user@a.b.example.com\r\n\r\n"), NULL);
	expect(t, Q("sender@example.net", NULL,
	    "From: a@example.com\r\n\r\n"), DENIED "sender@example.net");
	/* identities-and-policies#22: another region, in header and policy */
	assert_int_equal(credential_set_policy(&credential, "p", BYTES(
	    "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":"
	    "\"ses:SendRawEmail\",\"Resource\":"
	    "\"arn:aws-cn:ses:eu-west-1:123456789012:identity/example.com"
	    "\"}}"), &e), 0);
	expect(t, Q("a@example.com", NULL, "X-SES-SOURCE-ARN: "
	    "arn:aws:ses:eu-west-1:123456789012:identity/example.com\r\n"
	    "From: a@example.com\r\n\r\n"), NULL);
	conf_unref(conf);
}

static void
restrictions(struct db_txn *t)
{
	populate(t);
	strcpy(credential.limits.from[0], "*@shop.example.com");
	credential.limits.from_count = 1;
	expect(t, Q("bounce@shop.example.com", NULL,
	    "From: a@Shop.example.com\r\n\r\n"), NULL);
	expect(t, Q("bounce@shop.example.com", NULL,
	    "From: a@example.com\r\n\r\n"), DENIED "example.com");
	credential.limits.from_count = 0;
	strcpy(credential.limits.rcpt[0], "*@sink.example");
	credential.limits.rcpt_count = 1;
	expect(t, Q("a@example.com", "r@sink.example s@SINK.example",
	    "From: a@example.com\r\n\r\n"), NULL);
	expect(t, Q("a@example.com", "r@sink.example s@other.example",
	    "From: a@example.com\r\n\r\n"), DENIED "example.com");
	conf_unref(conf);
}

/* -- of other accounts ----------------------------------------------------- */

/* A statement of foreign.example, which belongs to 888888888888. */
static void
put_policy(struct db_txn *t, const char *identity, const char *effect,
    const char *principal, const char *condition)
{
	struct identity_policy *p = mem_alloc(sizeof(*p));
	struct err		e;

	strcpy(p->account, world_other);
	strcpy(p->identity, identity);
	strcpy(p->name, "p");
	snprintf(p->text, sizeof(p->text), "{\"Statement\":{\"Effect\":"
	    "\"%s\",\"Principal\":{\"AWS\":\"%s\"},\"Action\":"
	    "[\"ses:SendEmail\",\"ses:SendRawEmail\"],\"Resource\":"
	    "\"arn:aws:ses:us-east-1:888888888888:identity/%s\"%s%s}}",
	    effect, principal, identity,
	    condition[0] != '\0' ? ",\"Condition\":" : "", condition);
	if (identity_policy_put(t, p, &e) < 0)
		fail_msg("%s", e.text);
	mem_free(p);
}

#define SOURCE_ARN(name) "X-SES-SOURCE-ARN: " \
	"arn:aws:ses:us-east-1:888888888888:identity/" name "\r\n"
#define FROM_ARN(account, name) "X-SES-FROM-ARN: " \
	"arn:aws:ses:us-east-1:" account ":identity/" name "\r\n"

/* identities-and-policies#17: the delegate, its own From, the owner's */
static void
delegation(struct db_txn *t)
{
	struct question q = Q("marketing+may@foreign.example", NULL,
	    SOURCE_ARN("foreign.example")
	    "From: Marketing <marketing+may@foreign.example>\r\n\r\n");
	struct asked k;

	populate(t);
	put_policy(t, "foreign.example", "Allow", "123456789012",
	    "{\"StringLike\":{\"ses:FromAddress\":"
	    "\"marketing+*@foreign.example\"}}");
	ask_begin(&k, t, &q);
	assert_int_equal(k.a.reply.code, 0);
	assert_true(admission_apply(&k.q, &k.a, k.message));
	assert_true(bytes_eq_text(k.message->identity, "foreign.example"));
	assert_true(bytes_eq_text(k.message->identity_account, world_other));
	ask_end(&k);
	expect(t, Q("sales@foreign.example", NULL,
	    SOURCE_ARN("foreign.example")
	    "From: sales@foreign.example\r\n\r\n"),
	    FOREIGN "foreign.example");
	expect(t, Q("marketing+may@foreign.example", NULL,
	    "From: marketing+may@foreign.example\r\n\r\n"),
	    NOT_VERIFIED "marketing+may@foreign.example");
	/* an own From needs its own ARN (8.2) */
	expect(t, Q("marketing+may@foreign.example", NULL,
	    SOURCE_ARN("foreign.example") "From: a@example.com\r\n\r\n"),
	    NOT_VERIFIED "a@example.com");
	put_policy(t, "foreign.example", "Allow", "123456789012", "");
	expect(t, Q("marketing+may@foreign.example", NULL,
	    SOURCE_ARN("foreign.example")
	    FROM_ARN("123456789012", "example.com")
	    "From: a@example.com\r\n\r\n"), NULL);
	/* what does not exist, or does not cover, is not told apart */
	expect(t, Q("a@foreign.example", NULL, SOURCE_ARN("nobody.example")
	    "From: a@foreign.example\r\n\r\n"),
	    NOT_VERIFIED "a@foreign.example");
	/* the root of an account is a delegate, too */
	expect(t, (struct question){ .sender = "a@foreign.example",
	    .as_root = true, .head = SOURCE_ARN("foreign.example")
	    "From: a@foreign.example\r\n\r\n" }, NULL);
	conf_unref(conf);
}

/* identities-and-policies#29: the strict reading of 8.5 */
static void
delegation_in_sandbox(struct db_txn *t)
{
	struct account other;
	struct err     e;

	populate(t);
	put_policy(t, "foreign.example", "Allow", "123456789012", "");
#define TO(rcpts) Q("a@foreign.example", rcpts, SOURCE_ARN("foreign.example") \
	"From: a@foreign.example\r\n\r\n")
	expect(t, TO("r@elsewhere.example"), NULL);
	account.production = false;
	expect(t, TO("r@elsewhere.example"),
	    NOT_VERIFIED "r@elsewhere.example");
	/* covered by an identity of either */
	expect(t, TO("r@foreign.example s@example.com"), NULL);
	account.production = true;
	assert_int_equal(account_get(t, world_other, &other, &e), 1);
	other.production = false;
	assert_int_equal(account_put(t, &other, &e), 0);
	expect(t, TO("r@foreign.example s@example.com r@elsewhere.example "
	    "bounce@simulator.amazonses.com"),
	    NOT_VERIFIED "r@elsewhere.example");
	/* who does not use that identity does not care */
	expect(t, Q("a@example.com", "r@elsewhere.example",
	    "From: a@example.com\r\n\r\n"), NULL);
	/* an owner that is closed lends nothing */
	other.production = true;
	other.closed.ms = world_time;
	assert_int_equal(account_put(t, &other, &e), 0);
	expect(t, TO("r@foreign.example"), NOT_VERIFIED "a@foreign.example");
	conf_unref(conf);
}

/* What conditions are asked about is that of the message. */
static void
values(struct db_txn *t)
{
	static const struct {
		const char *condition, *sender, *rcpts, *head;
		bool	    allowed;
	} rows[] = {
#define F "From: a@foreign.example\r\n\r\n"
		{ "{\"StringEquals\":{\"ses:FromAddress\":"
		  "\"b@foreign.example\"}}", "a@foreign.example", NULL,
		    "From: b@foreign.example\r\n\r\n", true },
		{ "{\"StringEquals\":{\"ses:FromAddress\":"
		  "\"c@foreign.example\"}}", "a@foreign.example", NULL,
		    "From: b@foreign.example\r\n"
		    "Sender: c@foreign.example\r\n\r\n", false },
		{ "{\"ForAllValues:StringEquals\":{\"ses:FromAddress\":"
		  "\"b@foreign.example\"}}", "a@foreign.example", NULL,
		    "From: b@foreign.example, c@foreign.example\r\n\r\n",
		    false },
		{ "{\"StringEquals\":{\"ses:FromDisplayName\":"
		  "\"J\xc3\xb6rg\"}}", "a@foreign.example", NULL,
		    "From: =?iso-8859-1?Q?J=F6rg?= <a@foreign.example>"
		    "\r\n\r\n", true },
		{ "{\"StringEquals\":{\"ses:FromDisplayName\":"
		  "\"Doe, John\"}}", "a@foreign.example", NULL,
		    "From: \"Doe,\r\n John\" <a@foreign.example>\r\n\r\n",
		    true },
		{ "{\"StringEquals\":{\"ses:FromDisplayName\":\"\"}}",
		    "a@foreign.example", NULL, F, true },
		{ "{\"StringEquals\":{\"ses:FeedbackAddress\":"
		  "\"a@foreign.example\"}}", "a@foreign.example", NULL, F,
		    true },
		{ "{\"StringEquals\":{\"ses:FeedbackAddress\":"
		  "\"a@foreign.example\"}}", "a@foreign.example", NULL,
		    "Return-Path: <f@foreign.example>\r\n" F, false },
		{ "{\"Null\":{\"ses:FeedbackAddress\":true}}", "", NULL, F,
		    true },
		{ "{\"ForAllValues:StringLike\":{\"ses:Recipients\":"
		  "\"*@sink.example\"}}", "a@foreign.example",
		    "r@sink.example s@sink.example", F, true },
		{ "{\"ForAllValues:StringLike\":{\"ses:Recipients\":"
		  "\"*@sink.example\"}}", "a@foreign.example",
		    "r@sink.example s@other.example", F, false },
		{ "{\"IpAddress\":{\"aws:SourceIp\":\"192.0.2.0/24\"}}",
		    "a@foreign.example", NULL, F, true },
		{ "{\"Bool\":{\"aws:SecureTransport\":true}}",
		    "a@foreign.example", NULL, F, true },
		{ "{\"DateEquals\":{\"aws:CurrentTime\":"
		  "\"2024-05-01T12:00:00Z\"}}", "a@foreign.example", NULL,
		    F, true },
		{ "{\"StringEquals\":{\"aws:username\":\"app1\"}}",
		    "a@foreign.example", NULL, F, true },
#undef F
	};
	char   head[400];
	size_t i;

	populate(t);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_policy(t, "foreign.example", "Allow", "123456789012",
		    rows[i].condition);
		snprintf(head, sizeof(head), "%s%s",
		    SOURCE_ARN("foreign.example"), rows[i].head);
		expect(t, Q(rows[i].sender, rows[i].rcpts, head),
		    rows[i].allowed ? NULL : FOREIGN "foreign.example");
	}
	conf_unref(conf);
}

WORLD(arns)
WORLD(permission)
WORLD(restrictions)
WORLD(delegation)
WORLD(delegation_in_sandbox)
WORLD(values)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arns),
		cmocka_unit_test(test_permission),
		cmocka_unit_test(test_restrictions),
		cmocka_unit_test(test_delegation),
		cmocka_unit_test(test_delegation_in_sandbox),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests_name("admission_permission", tests,
	    NULL, NULL);
}
