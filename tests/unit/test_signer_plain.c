/* SPDX-License-Identifier: ISC */
/*
 * A libopendkim without Ed25519 (dkim.md 3): the question to the library is
 * answered here (tests/rules.mk), whatever library is linked.
 */
#include "conf_world.h"

#include "submission/signer.h"

enum { FEATURE_SHA256 = 4, FEATURE_ED25519 = 11 };

static bool has_ed25519;

bool __wrap_dkim_libfeature(void *lib, unsigned feature);
bool
__wrap_dkim_libfeature(void *lib, unsigned feature)
{
	(void)lib;
	return feature == FEATURE_SHA256 ||
	    (feature == FEATURE_ED25519 && has_ed25519);
}

/* RSA goes on; what asks for both is refused, with the reason. */
static void
test_without(void **state)
{
	struct conf *c = load_good("");
	struct err   e;

	(void)state;
	assert_false(signer_has_ed25519());
	assert_int_equal(signer_check_conf(c, &e), 0);
	c->dkim.dual_sign = true;
	assert_int_equal(signer_check_conf(c, &e), -1);
	assert_string_equal(e.text, "dkim.dual_sign: the linked libopendkim "
	    "has no Ed25519 (RFC 8463)");
	conf_unref(c);
}

static void
test_with(void **state)
{
	struct conf *c = load_good("");
	struct err   e;

	(void)state;
	has_ed25519 = true;
	assert_true(signer_has_ed25519());
	c->dkim.dual_sign = true;
	assert_int_equal(signer_check_conf(c, &e), 0);
	conf_unref(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without),
		cmocka_unit_test(test_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
