/* SPDX-License-Identifier: ISC */
/* simulator.md 2: what a test recipient answers (simulator#1,3,8,13,17). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/simulator.h"

struct scenario {
	const char *address;
	bool	    delivered;
};
static const struct scenario scenarios[] = {
	{ "success@simulator.amazonses.com", true },
	{ "success@simulator.relay.example", true },
	{ "SUCCESS@SIMULATOR.AMAZONSES.COM", true },
	{ "success+label@simulator.amazonses.com", true },
	{ "success+@simulator.amazonses.com", true },
	{ "success+a+b@simulator.amazonses.com", true },
	/* what they send back comes with the intake */
	{ "ooto+x@simulator.amazonses.com", true },
	{ "Complaint@simulator.amazonses.com", true },
	{ "suppressionlist@simulator.amazonses.com", false },
	{ "bounce@simulator.amazonses.com", false },
	{ "Bounce@SIMULATOR.amazonses.com", false },
	{ "bounce+label1@simulator.amazonses.com", false },
	{ "nosuch@simulator.amazonses.com", false },
	{ "successful@simulator.amazonses.com", false },
	{ "succes@simulator.amazonses.com", false },
	{ "+success@simulator.amazonses.com", false },
	{ "\"success\"@simulator.amazonses.com", false },
	{ "", false },
	{ "@", false },
};

static void
answers(void **state)
{
	const struct scenario *s;
	struct result	       r;

	(void)state;
	for (s = scenarios; s < scenarios + sizeof(scenarios) /
		 sizeof(scenarios[0]); s++) {
		memset(&r, 0xa5, sizeof(r));
		simulator_answer(bytes_of(s->address), &r);
		assert_int_equal(r.kind, RESULT_REPLY);
		if (r.code != (s->delivered ? 250U : 550U))
			fail_msg("%s: %u", s->address, r.code);
		assert_int_equal(r.stage,
		    s->delivered ? CLASSIFY_DOT : CLASSIFY_RCPT);
		assert_string_equal(r.text, s->delivered
			? "250 2.6.0 Message received"
			: "550 5.1.1 user unknown");
		assert_string_equal(r.enhanced,
		    s->delivered ? "2.6.0" : "5.1.1");
		/* nobody was connected, but somebody answered */
		assert_string_equal(r.remote_ip, "127.0.0.1");
		assert_string_equal(r.local_ip, "");
		assert_string_equal(r.tls_version, "");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
