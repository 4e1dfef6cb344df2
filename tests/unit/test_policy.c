/* SPDX-License-Identifier: ISC */
/*
 * Policy documents: what is refused, and what the others say of a request.
 * The vectors of identities-and-policies.md 7.6 are in test_policy_vectors.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "registry/book.h"
#include "registry/policy.h"

#define ARN(name) "arn:aws:ses:us-east-1:123456789012:identity/" name
#define STATEMENT(effect, action, resource)                                  \
	"{\"Effect\":\"" effect "\",\"Action\":" action ",\"Resource\":"     \
	resource "}"
#define DOCUMENT(statements)                                                 \
	"{\"Version\":\"2012-10-17\",\"Statement\":[" statements "]}"
/* of the identity example.com, with that principal or condition */
#define ALLOW(principal, more)                                               \
	"{\"Effect\":\"Allow\",\"Principal\":" principal ","                 \
	"\"Action\":\"ses:SendRawEmail\",\"Resource\":\"" ARN("example.com") \
	"\"" more "}"

static const struct policy_place on_credential = { NULL, NULL };
static const struct policy_place on_identity = { "123456789012",
	"example.com" };

/* What a credential's document says about the first n of two identities. */
static enum policy_effect
judge(const char *text, size_t n)
{
	static const struct policy_resource both[] = {
		{ "123456789012", BYTES("bob@example.com") },
		{ "123456789012", BYTES("example.com") } };
	struct policy_request q = { .action = "ses:SendRawEmail",
		.account = "123456789012", .user = "app1",
		.region = "us-east-1", .resources = both,
		.resource_count = n };
	struct policy_finding f;
	struct policy	     *p;
	struct err	      e;

	p = policy_new(&on_credential, bytes_of(text), &e);
	if (p == NULL)
		fail_msg("%s", e.text);
	policy_judge(p, &q, &f);
	policy_free(p);
	return f.effect;
}

/* The plain rules of 7.5: actions, resources, a Deny wins. */
static void
test_judge(void **state)
{
	static const struct {
		const char	  *text;
		enum policy_effect effect; /* of bob@example.com alone */
	} rows[] = {
		{ "{\"Statement\":" STATEMENT("Allow", "\"*\"", "[\"*\"]") "}",
		    POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:SendEmail\"", "\"*\"")),
		    POLICY_NONE },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:send*\"", "\"*\"")),
		    POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:Send???Email\"",
		      "\"*\"")), POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:FlyToMoon\"", "\"*\"")),
		    POLICY_NONE },
		/* an explicit Deny wins, in either order */
		{ DOCUMENT(STATEMENT("Deny", "\"ses:*\"", "\"*\"") ","
		      STATEMENT("Allow", "\"ses:*\"", "\"*\"")),
		    POLICY_DENY },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"", "\"*\"") ","
		      STATEMENT("Deny", "\"ses:*\"", "\"*\"")),
		    POLICY_DENY },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"", "\"*\"") ","
		      STATEMENT("Deny", "\"ses:GetAccount\"", "\"*\"")),
		    POLICY_ALLOW },
		/* resources: partition and region are not compared */
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"arn:aws-cn:ses:eu-west-1:123456789012:identity/"
		      "bob@example.com\"")), POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"" ARN("*@example.com") "\"")), POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"" ARN("*.example.com") "\"")), POLICY_NONE },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"arn:aws:ses:us-east-1:999999999999:identity/"
		      "bob@example.com\"")), POLICY_NONE },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"arn:aws:ses:*\"")), POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"" ARN("bob@EXAMPLE.com") "\"")), POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"" ARN("Bob@example.com") "\"")), POLICY_NONE },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "[\"" ARN("x.example") "\",\"" ARN("bob@example.com")
		      "\"]")), POLICY_ALLOW },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (judge(rows[i].text, 1) != rows[i].effect)
			fail_msg("row %zu", i);
}

/* Any of the identities that cover the address may carry the statement. */
static void
test_several_resources(void **state)
{
	static const char deny[] = DOCUMENT(STATEMENT("Deny", "\"ses:*\"",
	    "\"" ARN("example.com") "\""));

	(void)state;
	assert_int_equal(judge(deny, 2), POLICY_DENY);
	assert_int_equal(judge(deny, 1), POLICY_NONE);
}

/* -- principals ------------------------------------------------------------ */

static void
test_principals(void **state)
{
	static const struct {
		const char *principal, *account, *user;
		bool	    is_named;
	} rows[] = {
		{ "\"*\"", "888888888888", NULL, true },
		{ "{\"AWS\":\"*\"}", "888888888888", "app1", true },
		{ "{\"AWS\":\"888888888888\"}", "888888888888", "app1", true },
		{ "{\"AWS\":\"888888888888\"}", "888888888888", NULL, true },
		{ "{\"AWS\":\"888888888888\"}", "123456789012", "app1",
		    false },
		{ "{\"AWS\":\"arn:aws:iam::888888888888:root\"}",
		    "888888888888", "app1", true },
		{ "{\"AWS\":\"arn:aws:iam::888888888888:user/app1\"}",
		    "888888888888", "app1", true },
		{ "{\"AWS\":\"arn:aws:iam::888888888888:user/App1\"}",
		    "888888888888", "app1", true },
		{ "{\"AWS\":\"arn:aws:iam::888888888888:user/app1\"}",
		    "888888888888", "app2", false },
		{ "{\"AWS\":\"arn:aws:iam::888888888888:user/app1\"}",
		    "888888888888", NULL, false },
		{ "{\"AWS\":\"arn:aws:iam::888888888888:user/app1\"}",
		    "123456789012", "app1", false },
		{ "{\"AWS\":[\"123456789012\",\"888888888888\"]}",
		    "888888888888", "x", true },
		{ "{\"Service\":\"ses.amazonaws.com\"}", "888888888888", "x",
		    false },
		{ "{\"Service\":[\"a\",\"b\"],\"AWS\":\"888888888888\"}",
		    "888888888888", "x", true },
	};
	struct policy_finding f;
	struct policy_request q = { .action = "ses:SendRawEmail",
		.region = "us-east-1" };
	struct policy	     *p;
	struct err	      e;
	char		      text[600];
	size_t		      i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), DOCUMENT(ALLOW("%s", "")),
		    rows[i].principal);
		p = policy_new(&on_identity, bytes_of(text), &e);
		if (p == NULL)
			fail_msg("row %zu: %s", i, e.text);
		q.account = rows[i].account;
		q.user = rows[i].user;
		policy_judge(p, &q, &f);
		policy_free(p);
		if ((f.effect == POLICY_ALLOW) != rows[i].is_named)
			fail_msg("row %zu", i);
	}
}

static void
test_principal_text(void **state)
{
	static const struct {
		const char *text, *account, *user; /* account NULL: none */
	} rows[] = {
		{ "123456789012", "123456789012", "" },
		{ "arn:aws:iam::123456789012:root", "123456789012", "" },
		{ "arn:aws-cn:iam::123456789012:user/a+b@c", "123456789012",
		    "a+b@c" },
		{ "12345678901", NULL, NULL },
		{ "1234567890123", NULL, NULL },
		{ "12345678901x", NULL, NULL },
		{ "arn:aws:iam::123456789012:user/", NULL, NULL },
		{ "arn:aws:iam::123456789012:user/a b", NULL, NULL },
		{ "arn:aws:iam::123456789012:role/x", NULL, NULL },
		{ "arn:aws:iam:x:123456789012:root", NULL, NULL },
		{ "arn:aws:sts::123456789012:root", NULL, NULL },
		{ "arn:aws:iam::12345:root", NULL, NULL },
		{ "arn:aws:iam::123456789012", NULL, NULL },
	};
	char	     account[13];
	struct bytes user;
	size_t	     i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (policy_principal_from_text(bytes_of(rows[i].text), account,
			&user) != (rows[i].account != NULL))
			fail_msg("row %zu", i);
		if (rows[i].account == NULL)
			continue;
		assert_string_equal(account, rows[i].account);
		assert_true(bytes_eq_text(user, rows[i].user));
	}
}

/* 8.3: what clashes with a default configuration set. */
static void
test_delegates(void **state)
{
	static const struct {
		const char *statement;
		bool	    delegates, names_app1;
	} rows[] = {
		{ ALLOW("\"*\"", ""), true, false },
		{ ALLOW("{\"AWS\":\"888888888888\"}", ""), true, false },
		{ ALLOW("{\"AWS\":\"arn:aws:iam::888888888888:user/app1\"}",
		      ""), true, true },
		{ ALLOW("{\"AWS\":\"123456789012\"}", ""), false, false },
		{ ALLOW("{\"Service\":\"x\"}", ""), false, false },
		{ "{\"Effect\":\"Deny\",\"Principal\":{\"AWS\":["
		  "\"arn:aws:iam::888888888888:user/APP1\"]},\"Action\":"
		  "\"ses:*\",\"Resource\":\"" ARN("example.com") "\"}", false,
		    true },
		{ "{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":"
		  "\"ses:GetEmailIdentity\",\"Resource\":\""
		  ARN("example.com") "\"}", false, false },
		{ "{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":"
		  "\"ses:*\",\"Resource\":\"" ARN("example.com") "\"}", true,
		    false },
	};
	struct policy *p;
	struct err     e;
	char	       text[600];
	size_t	       i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), DOCUMENT("%s"),
		    rows[i].statement);
		p = policy_new(&on_identity, bytes_of(text), &e);
		if (p == NULL)
			fail_msg("row %zu: %s", i, e.text);
		if (policy_delegates(p, "123456789012") != rows[i].delegates ||
		    policy_names_user(p, "888888888888", "app1") !=
			rows[i].names_app1)
			fail_msg("row %zu", i);
		policy_free(p);
	}
}

/* -- what is refused ------------------------------------------------------- */

struct refusal {
	const char *text, *error;
};

static void
expect_refused(const struct policy_place *at, const struct refusal *rows,
    size_t n)
{
	char	   want[ERR_TEXT_MAX];
	struct err e;
	size_t	   i;

	for (i = 0; i < n; i++) {
		e.text[0] = '\0';
		if (policy_new(at, bytes_of(rows[i].text), &e) != NULL)
			fail_msg("row %zu", i);
		assert_int_equal(e.code, BOOK_BAD_REQUEST);
		snprintf(want, sizeof(want), "MalformedPolicyDocument: %s",
		    rows[i].error);
		/* behind the line stand jansson's own words */
		if (strncmp(rows[i].error, "line", 4) == 0)
			e.text[strlen(want)] = '\0';
		assert_string_equal(e.text, want);
	}
}
#define EXPECT_REFUSED(at, rows) \
	expect_refused(at, rows, sizeof(rows) / sizeof((rows)[0]))

/* identities-and-policies#26: the form of any document */
static void
test_refused(void **state)
{
	static const struct refusal rows[] = {
		{ "[]", "document: must be an object" },
		{ "{}", "document: no statement" },
		{ "{\"Statement\":[]}", "document: no statement" },
		{ "{\"Statment\":[]}",
		    "document: unknown member \"Statment\"" },
		{ "{\"Version\":1,\"Statement\":[]}",
		    "document: \"Version\" must be text" },
		{ "{\"Statement\":[1]}", "statement 1: must be an object" },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"", "\"*\"")
		      ",{\"Efect\":\"Allow\"}"),
		    "statement 2: unknown member \"Efect\"" },
		{ DOCUMENT(STATEMENT("allow", "\"ses:*\"", "\"*\"")),
		    "statement 1: \"Effect\" must be \"Allow\" or \"Deny\"" },
		{ DOCUMENT("{\"Effect\":\"Allow\",\"Action\":\"ses:*\"}"),
		    "statement 1: \"Resource\" is missing" },
		{ DOCUMENT(STATEMENT("Allow", "[]", "\"*\"")),
		    "statement 1: \"Action\" is empty" },
		{ DOCUMENT(STATEMENT("Allow", "[1]", "\"*\"")),
		    "statement 1: \"Action\" must hold text only" },
		{ DOCUMENT(STATEMENT("Allow", "{}", "\"*\"")),
		    "statement 1: \"Action\" must be text or a list" },
		{ DOCUMENT(STATEMENT("Allow", "\"sns:Publish\"", "\"*\"")),
		    "statement 1: unknown action \"sns:Publish\"" },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:\"", "\"*\"")),
		    "statement 1: unknown action \"ses:\"" },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"example.com\"")),
		    "statement 1: unknown resource \"example.com\"" },
		{ DOCUMENT("{\"Sid\":1}"),
		    "statement 1: \"Sid\" must be text" },
		{ DOCUMENT("{\"Effect\":\"Allow\",\"NotAction\":\"ses:*\"}"),
		    "statement 1: \"NotAction\" is not available" },
		{ DOCUMENT("{\"NotResource\":\"*\"}"),
		    "statement 1: \"NotResource\" is not available" },
		{ DOCUMENT("{\"NotPrincipal\":\"*\"}"),
		    "statement 1: \"NotPrincipal\" is not available" },
		{ DOCUMENT("{\"Principal\":\"*\"}"),
		    "statement 1: \"Principal\" is not allowed in a "
		    "credential policy" },
		{ "{\"Statement\":\n\n\"x", "line 3: " },
		{ DOCUMENT("{\"Effect\":\"Allow\",\"Effect\":\"Deny\"}"),
		    "line 1: " },
	};

	(void)state;
	EXPECT_REFUSED(&on_credential, rows);
}

/* identities-and-policies#26: what hangs on an identity */
static void
test_refused_of_identity(void **state)
{
#define ON(resource)                                                         \
	DOCUMENT("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":"     \
		 "\"ses:*\",\"Resource\":" resource "}")
	static const struct refusal rows[] = {
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"" ARN("example.com") "\"")),
		    "statement 1: \"Principal\" is missing" },
		{ DOCUMENT("{\"Principal\":\"123456789012\"}"),
		    "statement 1: \"Principal\" must be \"*\" or an object "
		    "with \"AWS\" or \"Service\"" },
		{ DOCUMENT("{\"Principal\":{}}"),
		    "statement 1: \"Principal\" must be \"*\" or an object "
		    "with \"AWS\" or \"Service\"" },
		{ DOCUMENT("{\"Principal\":{\"Federated\":\"x\"}}"),
		    "statement 1: \"Principal\": unknown member "
		    "\"Federated\"" },
		{ DOCUMENT("{\"Principal\":{\"AWS\":[]}}"),
		    "statement 1: \"AWS\" is empty" },
		{ DOCUMENT("{\"Principal\":{\"Service\":1}}"),
		    "statement 1: \"Service\" must be text or a list" },
		{ DOCUMENT("{\"Principal\":{\"AWS\":\"app1\"}}"),
		    "statement 1: unknown principal \"app1\"" },
		{ DOCUMENT("{\"Principal\":\"*\",\"Action\":"
			   "\"ses:FlyToMoon\"}"),
		    "statement 1: unknown action \"ses:FlyToMoon\"" },
		{ DOCUMENT("{\"Principal\":\"*\",\"Action\":\"*\"}"),
		    "statement 1: unknown action \"*\"" },
		{ ON("[\"" ARN("example.com") "\",\"" ARN("example.com")
		      "\"]"), "statement 1: exactly one resource is wanted" },
		{ ON("\"*\""), "statement 1: the resource must be the "
		    "identity example.com, not \"*\"" },
		{ ON("\"" ARN("example.org") "\""), "statement 1: the "
		    "resource must be the identity example.com, not \""
		    ARN("example.org") "\"" },
		{ ON("\"arn:aws:ses:r:888888888888:identity/example.com\""),
		    "statement 1: the resource must be the identity "
		    "example.com, not \"arn:aws:ses:r:888888888888:identity/"
		    "example.com\"" },
	};
	struct policy *p;
	struct err     e;

	(void)state;
	EXPECT_REFUSED(&on_identity, rows);
	/* identities-and-policies#22: whatever the region, a list of one */
	p = policy_new(&on_identity, BYTES(
	    ON("[\"arn:aws-cn:ses:eu-west-1:123456789012:identity/"
	       "EXAMPLE.com\"]")), &e);
	assert_non_null(p);
	policy_free(p);
}

/* identities-and-policies#26: conditions */
static void
test_refused_conditions(void **state)
{
#define IF(condition)                                                        \
	DOCUMENT("{\"Effect\":\"Allow\",\"Action\":\"ses:*\","               \
		 "\"Resource\":\"*\",\"Condition\":" condition "}")
	static const struct refusal rows[] = {
		{ IF("{}"), "statement 1: \"Condition\" must be an object "
		    "that is not empty" },
		{ IF("[]"), "statement 1: \"Condition\" must be an object "
		    "that is not empty" },
		{ IF("{\"StringLike\":{}}"), "statement 1: \"StringLike\" "
		    "must be an object that is not empty" },
		{ IF("{\"StringLike\":\"x\"}"), "statement 1: \"StringLike\" "
		    "must be an object that is not empty" },
		{ IF("{\"StringMatch\":{\"ses:Recipients\":\"x\"}}"),
		    "statement 1: unknown operator \"StringMatch\"" },
		{ IF("{\"ForSomeValues:StringLike\":"
		      "{\"ses:Recipients\":\"x\"}}"), "statement 1: unknown "
		    "operator \"ForSomeValues:StringLike\"" },
		{ IF("{\"NullIfExists\":{\"ses:Recipients\":true}}"),
		    "statement 1: unknown operator \"NullIfExists\"" },
		{ IF("{\"StringEquals\":{\"aws:Foo\":\"x\"}}"),
		    "statement 1: unknown condition key \"aws:Foo\"" },
		{ IF("{\"StringEquals\":{\"ses:Recipients\":[]}}"),
		    "statement 1: \"ses:Recipients\" has no value" },
		{ IF("{\"StringEquals\":{\"ses:Recipients\":[null]}}"),
		    "statement 1: \"ses:Recipients\": a value must be text, "
		    "a number, true or false" },
		{ IF("{\"DateLessThan\":{\"aws:CurrentTime\":\"soon\"}}"),
		    "statement 1: \"aws:CurrentTime\": the value \"soon\" "
		    "does not fit the operator" },
		{ IF("{\"DateLessThan\":{\"aws:CurrentTime\":"
		      "\"2023-02-29\"}}"),
		    "statement 1: \"aws:CurrentTime\": the value "
		    "\"2023-02-29\" does not fit the operator" },
		{ IF("{\"DateLessThan\":{\"ses:Recipients\":\"2023-02-28\"}}"),
		    "statement 1: operator \"DateLessThan\" does not fit the "
		    "key \"ses:Recipients\"" },
		{ IF("{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/33\"}}"),
		    "statement 1: \"aws:SourceIp\": the value "
		    "\"10.0.0.0/33\" does not fit the operator" },
		{ IF("{\"IpAddress\":{\"aws:UserAgent\":\"10.0.0.0/8\"}}"),
		    "statement 1: operator \"IpAddress\" does not fit the "
		    "key \"aws:UserAgent\"" },
		{ IF("{\"Bool\":{\"aws:SecureTransport\":\"yes\"}}"),
		    "statement 1: \"aws:SecureTransport\": the value \"yes\" "
		    "does not fit the operator" },
		{ IF("{\"NumericEquals\":{\"aws:EpochTime\":\"1e999\"}}"),
		    "statement 1: \"aws:EpochTime\": the value \"1e999\" "
		    "does not fit the operator" },
		{ IF("{\"Null\":{\"aws:UserAgent\":\"x\"}}"),
		    "statement 1: \"aws:UserAgent\": the value \"x\" does "
		    "not fit the operator" },
		{ IF("{\"ArnLike\":{\"ses:FromAddress\":\"x\"}}"),
		    "statement 1: operator \"ArnLike\" does not fit the key "
		    "\"ses:FromAddress\"" },
	};

	(void)state;
	EXPECT_REFUSED(&on_credential, rows);
}

static void
test_warnings(void **state)
{
	struct policy *p;
	struct err     e;

	(void)state;
	p = policy_new(&on_identity, BYTES(DOCUMENT(ALLOW("\"*\"", "") ","
	    ALLOW("\"*\"", ",\"Condition\":{\"StringEquals\":"
	    "{\"aws:PrincipalOrgID\":\"o-x\"}}"))), &e);
	assert_non_null(p);
	assert_string_equal(policy_warning(p, 0), "statement 1: everybody "
	    "may do this, without any condition");
	assert_string_equal(policy_warning(p, 1), "statement 2: "
	    "aws:PrincipalOrgID never has a value here: an Allow with it "
	    "does not apply, a Deny does");
	assert_null(policy_warning(p, 2));
	policy_free(p);
	p = policy_new(&on_identity,
	    BYTES(DOCUMENT(ALLOW("{\"AWS\":\"888888888888\"}", ""))), &e);
	assert_non_null(p);
	assert_null(policy_warning(p, 0));
	policy_free(p);
}

/* identities-and-policies#26: 4,097 octets */
static void
test_size(void **state)
{
	static const char head[] = "{\"Statement\":"
	    STATEMENT("Allow", "\"ses:*\"", "\"*\"") "}";
	char	       text[4098];
	struct policy *p;
	struct err     e;

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, head, sizeof(head) - 1);
	p = policy_new(&on_credential, (struct bytes){ text, 4096 }, &e);
	assert_non_null(p);
	assert_true(policy_octets(p) < 4096);
	policy_free(p);
	assert_null(policy_new(&on_credential, (struct bytes){ text, 4097 },
	    &e));
	assert_string_equal(e.text, "MalformedPolicyDocument: document: more "
	    "than 4096 octets");
}

/* identities-and-policies#26: 65 characters, a dot */
static void
test_names(void **state)
{
	char name[66];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[65] = '\0';
	assert_false(policy_name_is_valid(name));
	name[64] = '\0';
	assert_true(policy_name_is_valid(name));
	assert_false(policy_name_is_valid("a.b"));
	assert_false(policy_name_is_valid(""));
	assert_true(policy_name_is_valid("A-b_9"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_several_resources),
		cmocka_unit_test(test_principals),
		cmocka_unit_test(test_principal_text),
		cmocka_unit_test(test_delegates),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_of_identity),
		cmocka_unit_test(test_refused_conditions),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
