/* SPDX-License-Identifier: ISC */
/*
 * Conditions: the reference policies of identities-and-policies.md 7.6, and
 * every operator with a value, without one, and with several.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "registry/policy.h"

#define IDENTITY "arn:aws:ses:us-east-1:888888888888:identity/example.com"
#define SENDING "[\"ses:SendEmail\",\"ses:SendRawEmail\"]"
/* of a credential */
#define OWN(effect, action, more)                                            \
	"{\"Statement\":{\"Effect\":\"" effect "\",\"Action\":" action ","   \
	"\"Resource\":\"*\"" more "}}"
#define IF(condition) ",\"Condition\":{" condition "}"
#define OWN_IF(condition) OWN("Allow", SENDING, IF(condition))
/* of the identity example.com */
#define STATEMENT(principal, more)                                           \
	"{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":" principal "},"       \
	"\"Action\":" SENDING ",\"Resource\":\"" IDENTITY "\"" more "}"

/* A request, as texts; lists are separated by blanks, "" = no value. */
struct asked {
	const char *from, *name, *feedback, *recipients, *time, *ip;
	const char *account, *user;
	bool	    secure;
	const char *action;
};

static size_t
split(char *text, struct bytes *out)
{
	char  *word, *rest = text;
	size_t n = 0;

	while ((word = strtok_r(rest, " ", &rest)) != NULL)
		out[n++] = bytes_of(word);
	return n;
}

static enum policy_effect
ask(const char *document, const struct asked *a)
{
	static const struct policy_resource resource = { "888888888888",
		BYTES("example.com") };
	struct policy_place at = { strstr(document, "Principal\":{") != NULL ?
		"888888888888" : NULL, "example.com" };
	struct bytes	      from[8], rcpt[8], name = bytes_of(a->name);
	char		      from_text[200], rcpt_text[200];
	struct policy_request q = {
		.action = a->action != NULL ? a->action : "ses:SendRawEmail",
		.account = a->account != NULL ? a->account : "888888888888",
		.user = a->user != NULL ? a->user : "app1",
		.region = "us-east-1", .resources = &resource,
		.resource_count = 1, .feedback = bytes_of(a->feedback),
		.secure = a->secure };
	struct policy_finding f;
	struct policy	     *p;
	struct err	      e;

	snprintf(from_text, sizeof(from_text), "%s",
	    a->from != NULL ? a->from : "a@example.com");
	snprintf(rcpt_text, sizeof(rcpt_text), "%s",
	    a->recipients != NULL ? a->recipients : "r@sink.example");
	q.from = (struct policy_list){ from, split(from_text, from) };
	q.names = (struct policy_list){ &name, 1 };
	q.recipients = (struct policy_list){ rcpt, split(rcpt_text, rcpt) };
	assert_true(wall_from_iso(a->time != NULL ? a->time :
	    "2024-05-01T12:00:00Z", &q.now));
	if (a->ip != NULL)
		q.has_source = conf_cidr_parse(bytes_of(a->ip), &q.source);
	p = policy_new(&at, bytes_of(document), &e);
	if (p == NULL)
		fail_msg("%s: %s", document, e.text);
	policy_judge(p, &q, &f);
	policy_free(p);
	return f.effect;
}

struct row {
	const char  *document;
	struct asked asked;
	bool	     allowed;
};

static void
expect_rows(const struct row *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if ((ask(rows[i].document, &rows[i].asked) == POLICY_ALLOW) !=
		    rows[i].allowed)
			fail_msg("row %zu: %s", i, rows[i].document);
}
#define EXPECT_ROWS(rows) expect_rows(rows, sizeof(rows) / sizeof((rows)[0]))

/* Vectors 1 to 8: of credentials. identities-and-policies#23,25 */
static void
test_vectors_of_credentials(void **state)
{
	static const char v1[] = OWN("Allow", "\"ses:*\"", ""),
		v2[] = OWN("Allow", "\"ses:*\"",
		    IF("\"StringEquals\":{\"ses:ApiVersion\":\"2\"}")),
		v3[] = OWN("Allow", SENDING, ""),
		v4[] = OWN_IF("\"DateGreaterThan\":{\"aws:CurrentTime\":"
		    "\"2018-08-31T12:00Z\"},\"DateLessThan\":"
		    "{\"aws:CurrentTime\":\"2018-10-01T12:00Z\"}"),
		v5[] = OWN_IF("\"ForAllValues:StringLike\":"
		    "{\"ses:Recipients\":[\"*@example.com\"]}"),
		v6[] = OWN_IF("\"StringEquals\":{\"ses:FromAddress\":"
		    "\"marketing@example.com\"}"),
		v7[] = OWN_IF("\"StringLike\":{\"ses:FromDisplayName\":"
		    "\"Marketing\"}"),
		v8[] = OWN_IF("\"StringEquals\":{\"ses:FeedbackAddress\":"
		    "\"feedback@example.com\"}");
	static const struct row rows[] = {
		{ v1, { .action = "ses:SendRawEmail" }, true },
		{ v1, { .action = "ses:DeleteEmailIdentity" }, true },
		{ v2, { .from = NULL }, true },
		{ OWN("Allow", "\"ses:*\"",
		      IF("\"StringEquals\":{\"ses:ApiVersion\":\"1\"}")),
		    { .from = NULL }, false },
		{ v3, { .from = NULL }, true },
		{ v3, { .action = "ses:GetEmailIdentity" }, false },
		{ v4, { .time = "2018-08-31T12:00:00Z" }, false },
		{ v4, { .time = "2018-08-31T12:00:01Z" }, true },
		{ v4, { .time = "2018-10-01T11:59:59Z" }, true },
		{ v4, { .time = "2018-10-01T12:00:00Z" }, false },
		{ v5, { .recipients = "a@example.com b@example.com" }, true },
		{ v5, { .recipients = "a@example.com b@example.com "
			"c@example.org" }, false },
		{ v6, { .from = "marketing@example.com" }, true },
		{ v6, { .from = "marketing@EXAMPLE.com" }, true },
		{ v6, { .from = "Marketing@example.com" }, false },
		{ v6, { .from = "marketing+x@example.com" }, false },
		{ v7, { .name = "Marketing" }, true },
		{ v7, { .name = "marketing" }, false },
		{ v7, { .name = "The Marketing" }, false },
		{ v7, { .name = "" }, false },
		{ v8, { .feedback = "feedback@example.com" }, true },
		{ v8, { .feedback = "a@example.com" }, false },
		{ v8, { .feedback = "" }, false },
	};

	(void)state;
	EXPECT_ROWS(rows);
}

/* Vectors 9 to 12: of identities. identities-and-policies#24 */
static void
test_vectors_of_identities(void **state)
{
	static const char v9[] = "{\"Statement\":"
	    STATEMENT("\"123456789012\"", IF("\"StringLike\":"
		"{\"ses:FromAddress\":\"marketing+.*@example.com\"}")) "}",
		v10[] = "{\"Statement\":" STATEMENT("\"123456789012\"",
		    IF("\"StringLike\":{\"ses:FromAddress\":"
		       "\"invoicing*@example.com\"}")) "}",
		v11[] = "{\"Statement\":["
		    STATEMENT("[\"111122223333\",\"444455556666\"]",
			IF("\"StringLike\":{\"ses:FromAddress\":"
			   "\"*@example.com\",\"ses:FeedbackAddress\":"
			   "\"*@example.com\"}")) ","
		    STATEMENT("\"arn:aws:iam::777788889999:user/Jane\"",
			IF("\"ForAllValues:StringLike\":"
			   "{\"ses:Recipients\":\"*@example.com\"}")) "]}",
		v12[] = "{\"Statement\":" STATEMENT("["
		    "\"arn:aws:iam::111122223333:user/John\","
		    "\"arn:aws:iam::444455556666:user/Jane\"]", "") "}";
	static const struct row rows[] = {
		{ v9, { .account = "123456789012",
			.from = "marketing+.spring@example.com" }, true },
		{ v9, { .account = "123456789012",
			.from = "marketing+spring@example.com" }, false },
		{ v9, { .account = "111122223333",
			.from = "marketing+.spring@example.com" }, false },
		{ v10, { .account = "123456789012",
			 .from = "invoicing@example.com" }, true },
		{ v10, { .account = "123456789012",
			 .from = "invoicing-5@example.com" }, true },
		{ v10, { .account = "123456789012",
			 .from = "my-invoicing@example.com" }, false },
		{ v11, { .account = "444455556666", .from = "a@example.com",
			 .feedback = "b@example.com",
			 .recipients = "c@example.org" }, true },
		{ v11, { .account = "444455556666", .from = "a@example.com",
			 .feedback = "b@example.org" }, false },
		{ v11, { .account = "777788889999", .user = "Jane",
			 .recipients = "c@example.com" }, true },
		{ v11, { .account = "777788889999", .user = "Jane",
			 .recipients = "c@example.org" }, false },
		{ v11, { .account = "777788889999", .user = "John",
			 .recipients = "c@example.com" }, false },
		{ v12, { .account = "111122223333", .user = "John" }, true },
		{ v12, { .account = "444455556666", .user = "Jane" }, true },
		{ v12, { .account = "111122223333", .user = "Jane" }, false },
		{ v12, { .account = "888888888888", .user = "John" }, false },
	};

	(void)state;
	EXPECT_ROWS(rows);
}

/* Words and patterns; lists under plain, all and any. */
static void
test_text_operators(void **state)
{
#define RCPT(operator, values) \
	OWN_IF("\"" operator "\":{\"ses:Recipients\":" values "}")
	static const char two[] = "a@x.example b@y.example";
	static const struct row rows[] = {
		{ RCPT("StringEquals", "\"a@x.example\""),
		    { .recipients = two }, true },
		{ RCPT("StringEquals", "[\"c@x.example\",\"b@Y.example\"]"),
		    { .recipients = two }, true },
		{ RCPT("StringEquals", "\"A@x.example\""),
		    { .recipients = two }, false },
		{ RCPT("StringEqualsIgnoreCase", "\"A@X.example\""),
		    { .recipients = two }, true },
		{ RCPT("StringNotEqualsIgnoreCase", "\"A@X.example\""),
		    { .recipients = two }, false },
		{ RCPT("StringNotEquals", "\"a@x.example\""),
		    { .recipients = two }, false },
		{ RCPT("StringNotEquals", "\"c@x.example\""),
		    { .recipients = two }, true },
		{ RCPT("StringLike", "\"?@Y.example\""),
		    { .recipients = two }, true },
		{ RCPT("StringNotLike", "\"*@y.example\""),
		    { .recipients = two }, false },
		{ RCPT("StringNotLike", "\"*@z.example\""),
		    { .recipients = two }, true },
		{ RCPT("ForAllValues:StringLike", "\"*@x.example\""),
		    { .recipients = two }, false },
		{ RCPT("ForAllValues:StringLike",
		      "[\"*@x.example\",\"*@y.example\"]"),
		    { .recipients = two }, true },
		{ RCPT("ForAllValues:StringNotLike", "\"*@y.example\""),
		    { .recipients = two }, false },
		{ RCPT("ForAnyValue:StringLike", "\"*@y.example\""),
		    { .recipients = two }, true },
		{ RCPT("ForAnyValue:StringNotLike", "\"*@y.example\""),
		    { .recipients = two }, true },
		{ RCPT("ForAnyValue:StringNotLike", "\"*.example\""),
		    { .recipients = two }, false },
		/* identities-and-policies#24 and 7.4: quotes, domains */
		{ RCPT("StringLike", "\"*@EXAMPLE.com\""),
		    { .recipients = "a@example.com" }, true },
		{ RCPT("StringLike", "\"A@example.com\""),
		    { .recipients = "a@example.com" }, false },
		{ RCPT("StringLike", "\"*admin*example.com\""),
		    { .recipients = "sender@admin.example.com" }, true },
		/* both keys have to hold */
		{ OWN_IF("\"StringEquals\":{\"aws:username\":\"app1\","
			 "\"aws:PrincipalAccount\":\"888888888888\"}"),
		    { .user = "app1" }, true },
		{ OWN_IF("\"StringEquals\":{\"aws:username\":\"app1\","
			 "\"aws:PrincipalAccount\":888888888888}"),
		    { .user = "app1" }, true },
		{ OWN_IF("\"StringEquals\":{\"aws:username\":\"app1\","
			 "\"aws:PrincipalAccount\":\"123456789012\"}"),
		    { .user = "app1" }, false },
		/* a name is no address: case counts, to its end */
		{ OWN_IF("\"StringLike\":{\"ses:FromDisplayName\":"
			 "\"*@Example\"}"), { .name = "a@example" }, false },
	};

	(void)state;
	EXPECT_ROWS(rows);
}

/* A key that has no value now. */
static void
test_no_value(void **state)
{
#define AGENT(operator, value) \
	OWN_IF("\"" operator "\":{\"aws:UserAgent\":" value "}")
	static const struct row rows[] = {
		{ AGENT("StringEquals", "\"x\""), { .from = NULL }, false },
		{ AGENT("StringNotEquals", "\"x\""), { .from = NULL }, true },
		{ AGENT("StringLike", "\"*\""), { .from = NULL }, false },
		{ AGENT("StringEqualsIfExists", "\"x\""), { .from = NULL },
		    true },
		{ AGENT("ForAllValues:StringEquals", "\"x\""),
		    { .from = NULL }, true },
		{ AGENT("ForAnyValue:StringEquals", "\"x\""),
		    { .from = NULL }, false },
		{ AGENT("ForAnyValue:StringNotEquals", "\"x\""),
		    { .from = NULL }, false },
		{ AGENT("ForAnyValue:StringEqualsIfExists", "\"x\""),
		    { .from = NULL }, true },
		{ AGENT("Null", "true"), { .from = NULL }, true },
		{ AGENT("Null", "\"false\""), { .from = NULL }, false },
		{ OWN_IF("\"Null\":{\"ses:FromAddress\":true}"),
		    { .from = NULL }, false },
		{ OWN_IF("\"Null\":{\"ses:FromAddress\":false}"),
		    { .from = NULL }, true },
		{ OWN_IF("\"IpAddress\":{\"aws:SourceIp\":\"0.0.0.0/0\"}"),
		    { .ip = NULL }, false },
		{ OWN_IF("\"NotIpAddress\":{\"aws:SourceIp\":"
			 "\"10.0.0.0/8\"}"), { .ip = NULL }, true },
	};

	(void)state;
	EXPECT_ROWS(rows);
}

static void
test_other_operators(void **state)
{
#define AT(operator, value) \
	OWN_IF("\"" operator "\":{\"aws:CurrentTime\":" value "}")
#define NOON "2024-05-01T12:00:00Z"
	static const struct row rows[] = {
		{ AT("DateEquals", "\"" NOON "\""), { .time = NOON }, true },
		{ AT("DateEquals", "\"" NOON "\""),
		    { .time = "2024-05-01T12:00:00.5Z" }, true },
		{ AT("DateNotEquals", "\"" NOON "\""), { .time = NOON },
		    false },
		{ AT("DateLessThanEquals", "\"" NOON "\""), { .time = NOON },
		    true },
		{ AT("DateLessThan", "\"" NOON "\""), { .time = NOON },
		    false },
		{ AT("DateGreaterThanEquals", "\"" NOON "\""),
		    { .time = NOON }, true },
		{ AT("DateGreaterThan", "\"2024-05-01\""), { .time = NOON },
		    true },
		{ AT("DateEquals", "\"2024-05-01T14:30:00.000+02:30\""),
		    { .time = NOON }, true },
		{ AT("DateEquals", "1714564800"), { .time = NOON }, true },
		{ OWN_IF("\"DateEquals\":{\"aws:EpochTime\":1714564800}"),
		    { .time = NOON }, true },
		{ OWN_IF("\"NumericLessThan\":{\"aws:EpochTime\":1714564801}"),
		    { .time = NOON }, true },
		{ OWN_IF("\"NumericLessThanEquals\":{\"aws:EpochTime\":"
			 "1714564799.5}"), { .time = NOON }, false },
		{ OWN_IF("\"NumericEquals\":{\"aws:EpochTime\":"
			 "\"1714564800\"}"), { .time = NOON }, true },
		{ OWN_IF("\"NumericNotEquals\":{\"aws:EpochTime\":[1,2]}"),
		    { .time = NOON }, true },
		{ OWN_IF("\"NumericGreaterThan\":{\"aws:EpochTime\":"
			 "1714564800}"), { .time = NOON }, false },
		{ OWN_IF("\"NumericGreaterThanEquals\":{\"aws:EpochTime\":"
			 "1714564800}"), { .time = NOON }, true },
		{ OWN_IF("\"IpAddress\":{\"aws:SourceIp\":[\"192.0.2.77/24\","
			 "\"2001:db8::/32\"]}"), { .ip = "192.0.2.1" }, true },
		{ OWN_IF("\"IpAddress\":{\"aws:SourceIp\":[\"192.0.2.77/24\","
			 "\"2001:db8::/32\"]}"), { .ip = "2001:db8::5" },
		    true },
		{ OWN_IF("\"IpAddress\":{\"aws:SourceIp\":\"192.0.2.0/24\"}"),
		    { .ip = "198.51.100.1" }, false },
		{ OWN_IF("\"NotIpAddress\":{\"aws:SourceIp\":"
			 "\"192.0.2.0/24\"}"), { .ip = "192.0.2.9" }, false },
		{ OWN_IF("\"StringEquals\":{\"aws:SourceIp\":\"192.0.2.9\"}"),
		    { .ip = "192.0.2.9" }, true },
		{ OWN_IF("\"Bool\":{\"aws:SecureTransport\":true}"),
		    { .secure = true }, true },
		{ OWN_IF("\"Bool\":{\"aws:SecureTransport\":\"true\"}"),
		    { .secure = false }, false },
		{ OWN_IF("\"Bool\":{\"aws:SecureTransport\":\"false\"}"),
		    { .secure = false }, true },
	};

	(void)state;
	EXPECT_ROWS(rows);
}

/* identities-and-policies#27: keys that never have a value fail closed */
static void
test_fail_closed(void **state)
{
	static const char *const operators[] = { "StringEquals",
		"StringNotEquals", "StringEqualsIfExists",
		"ForAllValues:StringLike", "ArnLike", "ArnNotEquals" };
	struct asked plain = { .from = NULL };
	char	     text[300];
	size_t	     i;

	(void)state;
	for (i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		snprintf(text, sizeof(text), OWN("%s", SENDING,
		    IF("\"%s\":{\"aws:PrincipalOrgID\":\"o-x\"}")), "Allow",
		    operators[i]);
		assert_int_equal(ask(text, &plain), POLICY_NONE);
		snprintf(text, sizeof(text), OWN("%s", SENDING,
		    IF("\"%s\":{\"aws:PrincipalOrgID\":\"o-x\"}")), "Deny",
		    operators[i]);
		assert_int_equal(ask(text, &plain), POLICY_DENY);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_of_credentials),
		cmocka_unit_test(test_vectors_of_identities),
		cmocka_unit_test(test_text_operators),
		cmocka_unit_test(test_no_value),
		cmocka_unit_test(test_other_operators),
		cmocka_unit_test(test_fail_closed),
	};

	return cmocka_run_group_tests_name("policy_vectors", tests, NULL,
	    NULL);
}
