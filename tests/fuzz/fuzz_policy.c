/* SPDX-License-Identifier: ISC */
/*
 * Policy documents of both kinds: what is read is judged for two requests,
 * what is not says why; texts of ARNs, times and patterns.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "registry/book.h"
#include "registry/glob.h"
#include "registry/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
judge(const struct policy_place *at, struct bytes text)
{
	static const struct bytes from[] = { BYTES("bob@example.com"),
		BYTES("marketing+.x@example.com") };
	static const struct bytes names[] = { BYTES(""),
		BYTES("M\xc3\xbcller") };
	static const struct policy_resource resource = { "123456789012",
		BYTES("example.com") };
	struct policy_request q = { .action = "ses:SendRawEmail",
		.account = "123456789012", .user = "app1",
		.region = "us-east-1", .resources = &resource,
		.resource_count = 1, .from = { from, 2 },
		.names = { names, 2 }, .recipients = { from, 2 },
		.feedback = from[0], .secure = true,
		.now = { 1714564800000 } };
	struct policy_finding f;
	struct policy	     *p;
	struct err	      e = { .text = "" };
	size_t		      i;

	p = policy_new(at, text, &e);
	if (p == NULL) {
		must(book_is_refusal(&e) && strstr(e.text,
		    "MalformedPolicyDocument: ") == e.text);
		return;
	}
	must(text.n <= POLICY_TEXT_MAX && policy_octets(p) < 1 << 20);
	q.has_source = conf_cidr_parse(BYTES("192.0.2.9"), &q.source);
	policy_judge(p, &q, &f);
	must((f.effect == POLICY_NONE) == (f.statement == 0));
	/* nobody, without any value */
	q = (struct policy_request){ .action = "ses:SendEmail",
		.account = "888888888888", .region = "" };
	policy_judge(p, &q, &f);
	for (i = 0; policy_warning(p, i) != NULL; i++)
		must(strlen(policy_warning(p, i)) > 0);
	(void)policy_delegates(p, "123456789012");
	(void)policy_names_user(p, "123456789012", "app1");
	policy_free(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct policy_place places[] = { { NULL, NULL },
		{ "123456789012", "example.com" } };
	struct bytes text = { (const char *)data, size }, a, b;
	struct wall  w;
	char	     account[13], *copy;

	judge(&places[0], text);
	judge(&places[1], text);
	if (policy_principal_from_text(text, account, &b))
		must(strlen(account) == 12);
	if (policy_identity_from_arn(text, &a, &b))
		must(a.n == 12 && b.n > 0);
	copy = mem_dup_bytes(text);
	(void)wall_from_iso(copy, &w);
	mem_free(copy);
	(void)glob_matches_address(text, BYTES("bob@example.com"));
	(void)glob_matches_address(BYTES("*b*@*.com"), text);
	return 0;
}
