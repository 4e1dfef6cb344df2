/* SPDX-License-Identifier: ISC */
/* Policy documents: what is refused judges DENY, and nothing crashes. */
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "registry/credential.h"
#include "registry/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const arns[] = {
		"arn:aws:ses:us-east-1:123456789012:identity/bob@example.com",
		"arn:aws:ses:us-east-1:123456789012:identity/example.com"
	};
	struct bytes	   text = { (const char *)data, size };
	struct err	   e;
	enum policy_effect effect;

	effect = policy_judge(text, "ses:SendRawEmail", arns, 2);
	if (policy_check(text, &e) < 0)
		must(effect == POLICY_DENY && book_is_refusal(&e));
	(void)credential_glob_matches(text, BYTES("bob@example.com"));
	(void)credential_glob_matches(BYTES("*b*@*.com"), text);
	return 0;
}
