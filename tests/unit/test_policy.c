/* SPDX-License-Identifier: ISC */
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

static const char raw[] = "ses:SendRawEmail";

/* identities-and-policies 7.6 vectors 1 and 3, and the plain rules of 7.5 */
static void
test_judge(void **state)
{
	static const struct {
		const char	  *text;
		const char	  *resource;
		enum policy_effect effect;
	} rows[] = {
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"", "\"*\"")),
		    ARN("example.com"), POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow",
		      "[\"ses:SendEmail\",\"ses:SendRawEmail\"]", "\"*\"")),
		    ARN("example.com"), POLICY_ALLOW },
		{ "{\"Statement\":"
		  STATEMENT("Allow", "\"*\"", "[\"*\"]") "}",
		    ARN("example.com"), POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:SendEmail\"", "\"*\"")),
		    ARN("example.com"), POLICY_NONE },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:send*\"", "\"*\"")),
		    ARN("example.com"), POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:Send???Email\"",
		      "\"*\"")), ARN("example.com"), POLICY_ALLOW },
		/* an explicit Deny wins, in either order */
		{ DOCUMENT(STATEMENT("Deny", "\"ses:*\"", "\"*\"") ","
		      STATEMENT("Allow", "\"ses:*\"", "\"*\"")),
		    ARN("example.com"), POLICY_DENY },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"", "\"*\"") ","
		      STATEMENT("Deny", "\"ses:*\"", "\"*\"")),
		    ARN("example.com"), POLICY_DENY },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"", "\"*\"") ","
		      STATEMENT("Deny", "\"ses:GetAccount\"", "\"*\"")),
		    ARN("example.com"), POLICY_ALLOW },
		/* resources: partition and region are not compared */
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"arn:aws-cn:ses:eu-west-1:123456789012:identity/"
		      "example.com\"")), ARN("example.com"), POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"" ARN("*.example.com") "\"")), ARN("a.example.com"),
		    POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"" ARN("*.example.com") "\"")), ARN("example.com"),
		    POLICY_NONE },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"arn:aws:ses:us-east-1:999999999999:identity/"
		      "example.com\"")), ARN("example.com"), POLICY_NONE },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"arn:aws:ses:*\"")), ARN("example.com"),
		    POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"" ARN("bob@EXAMPLE.com") "\"")),
		    ARN("bob@example.com"), POLICY_ALLOW },
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"" ARN("Bob@example.com") "\"")),
		    ARN("bob@example.com"), POLICY_NONE },
		/* damaged: fails closed */
		{ "nonsense", ARN("example.com"), POLICY_DENY },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (policy_judge(bytes_of(rows[i].text), raw,
			&rows[i].resource, 1) != rows[i].effect)
			fail_msg("row %zu", i);
	}
}

/* Any of the identities that cover the address may carry the statement. */
static void
test_several_resources(void **state)
{
	static const char *const arns[] = { ARN("bob@example.com"),
		ARN("example.com") };
	struct bytes deny = BYTES(DOCUMENT(STATEMENT("Deny", "\"ses:*\"",
	    "\"" ARN("example.com") "\"")));

	(void)state;
	assert_int_equal(policy_judge(deny, raw, arns, 2), POLICY_DENY);
	assert_int_equal(policy_judge(deny, raw, arns, 1), POLICY_NONE);
}

/* identities-and-policies#26 for what this release can hold */
static void
test_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
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
		{ DOCUMENT(STATEMENT("Allow", "\"ses:*\"",
		      "\"example.com\"")),
		    "statement 1: unknown resource \"example.com\"" },
		{ DOCUMENT("{\"Effect\":\"Allow\",\"Action\":\"ses:*\","
			   "\"Resource\":\"*\",\"Condition\":{}}"),
		    "statement 1: conditions are not available in this "
		    "release" },
		{ DOCUMENT("{\"Effect\":\"Allow\",\"NotAction\":\"ses:*\"}"),
		    "statement 1: \"NotAction\" is not available" },
		{ DOCUMENT("{\"Principal\":\"*\"}"),
		    "statement 1: \"Principal\" is not allowed in a "
		    "credential policy" },
		{ "{\"Statement\":\n\n\"x", "line 3: " },
		{ DOCUMENT("{\"Effect\":\"Allow\",\"Effect\":\"Deny\"}"),
		    "line 1: " },
	};
	char	   want[ERR_TEXT_MAX];
	struct err e;
	size_t	   i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		e.text[0] = '\0';
		assert_int_equal(policy_check(bytes_of(rows[i].text), &e), -1);
		assert_int_equal(e.code, BOOK_BAD_REQUEST);
		snprintf(want, sizeof(want), "MalformedPolicyDocument: %s",
		    rows[i].error);
		/* behind the line stand jansson's own words */
		if (strncmp(rows[i].error, "line", 4) == 0)
			e.text[strlen(want)] = '\0';
		assert_string_equal(e.text, want);
	}
}

static void
test_size(void **state)
{
	static const char head[] = "{\"Statement\":"
	    STATEMENT("Allow", "\"ses:*\"", "\"*\"") "}";
	char	   text[4098];
	struct err e;

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, head, sizeof(head) - 1);
	assert_int_equal(policy_check((struct bytes){ text, 4096 }, &e), 0);
	assert_int_equal(policy_check((struct bytes){ text, 4097 }, &e), -1);
	assert_string_equal(e.text, "MalformedPolicyDocument: document: more "
	    "than 4096 octets");
}

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
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
