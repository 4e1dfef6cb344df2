/* SPDX-License-Identifier: ISC */
/* simulator.md 2, 3: what a test recipient answers (simulator#1,3,8,13,17). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/simulator.h"

#define OK_TEXT "250 2.6.0 Message received"
#define UNKNOWN "550 5.1.1 user unknown"

struct scenario {
	const char *address;
	const char *reply;
};
static const struct scenario scenarios[] = {
	{ "success@simulator.amazonses.com", OK_TEXT },
	{ "success@simulator.relay.example", OK_TEXT },
	{ "SUCCESS@SIMULATOR.AMAZONSES.COM", OK_TEXT },
	{ "success+label@simulator.amazonses.com", OK_TEXT },
	{ "success+@simulator.amazonses.com", OK_TEXT },
	{ "success+a+b@simulator.amazonses.com", OK_TEXT },
	{ "success+size@x", OK_TEXT ", 1204 octets" },
	{ "success+SIZE@x", OK_TEXT ", 1204 octets" },
	{ "success+size+x@x", OK_TEXT },
	{ "ooto+x@simulator.amazonses.com", OK_TEXT },
	{ "Complaint@simulator.amazonses.com", OK_TEXT },
	{ "asyncbounce@x", OK_TEXT },
	{ "notspam@x", OK_TEXT },
	{ "notls@x", OK_TEXT },
	{ "mailboxfull@x", "552 5.2.2 mailbox full" },
	{ "toolarge@x", "552 5.3.4 message too big" },
	{ "contentrejected+7@x", "500 5.6.1 content rejected" },
	{ "attachmentrejected@x", "552 5.7.0 attachment type not allowed" },
	{ "undetermined@x", "554 5.0.0 unknown failure" },
	{ "softbounce@x", "450 4.0.0 temporary failure" },
	{ "greylist@x", "450 4.7.1 greylisted" },
	{ "delay@x", "450 4.0.0 temporary failure" },
	{ "delay+0@x", OK_TEXT },
	{ "bounce@simulator.amazonses.com", UNKNOWN },
	{ "Bounce@SIMULATOR.amazonses.com", UNKNOWN },
	{ "bounce+label1@simulator.amazonses.com", UNKNOWN },
	{ "nosuch@simulator.amazonses.com", UNKNOWN },
	{ "successful@simulator.amazonses.com", UNKNOWN },
	{ "succes@simulator.amazonses.com", UNKNOWN },
	{ "+success@simulator.amazonses.com", UNKNOWN },
	{ "\"success\"@simulator.amazonses.com", UNKNOWN },
	{ "", UNKNOWN },
	{ "@", UNKNOWN },
};

static struct simulator_answer
ask(const char *address, unsigned attempts)
{
	struct simulator_ask	q = { .address = bytes_of(address),
		   .attempts = attempts, .octets = 1204 };
	struct simulator_answer a;

	memset(&a, 0xa5, sizeof(a));
	simulator_answer(&q, &a);
	return a;
}

static void
answers(void **state)
{
	const struct scenario  *s;
	struct simulator_answer a;
	char			code[4];

	(void)state;
	for (s = scenarios; s < scenarios + sizeof(scenarios) /
		 sizeof(scenarios[0]); s++) {
		a = ask(s->address, 0);
		assert_int_equal(a.list, SUPPRESSION_NONE);
		assert_int_equal(a.wait_ms, 0);
		assert_int_equal(a.result.kind, RESULT_REPLY);
		assert_string_equal(a.result.text, s->reply);
		snprintf(code, sizeof(code), "%u", a.result.code);
		assert_memory_equal(code, s->reply, 3);
		assert_memory_equal(a.result.enhanced, s->reply + 4, 5);
		assert_int_equal(strlen(a.result.enhanced), 5);
		/* nobody was connected, but somebody answered */
		assert_string_equal(a.result.remote_ip, "127.0.0.1");
		assert_string_equal(a.result.local_ip, "");
		assert_string_equal(a.result.tls_version, "");
	}
}

static void
temporary_failures(void **state)
{
	static const struct {
		const char *address;
		unsigned    fails;
	} v[] = { { "delay@x", 1 }, { "delay+x@x", 1 }, { "delay+2@x", 2 },
		{ "delay+5@x", 5 }, { "delay+99@x", 5 }, { "greylist@x", 1 },
		{ "softbounce@x", 50 }, { "success@x", 0 } };
	size_t	 i;
	unsigned n;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		for (n = 0; n < 8 && n <= v[i].fails; n++)
			assert_int_equal(ask(v[i].address, n).result.code,
			    n < v[i].fails ? 450 : 250);
	assert_int_equal(ask("delay@x", 0).retry_ms, 10000);
	assert_int_equal(ask("delay@x", 0).lifetime_ms, 0);
	assert_int_equal(ask("softbounce@x", 0).lifetime_ms, 30000);
}

static void
lists(void **state)
{
	(void)state;
	assert_int_equal(ask("suppressionlist@x", 0).list,
	    SUPPRESSION_GLOBAL);
	assert_int_equal(ask("AccountList+1@x", 0).list, SUPPRESSION_BOUNCE);
	assert_int_equal(ask("unsubscribed@x", 0).list,
	    SUPPRESSION_UNSUBSCRIBED);
}

static void
time_and_tls(void **state)
{
	struct simulator_ask	q = { .address = BYTES("slow@x"),
		   .age_ms = 100 };
	struct simulator_answer a;

	(void)state;
	simulator_answer(&q, &a);
	assert_int_equal(a.wait_ms, 29900);
	q.age_ms = 30000;
	simulator_answer(&q, &a);
	assert_int_equal(a.wait_ms, 0);
	assert_string_equal(a.result.text, OK_TEXT);
	q.address = BYTES("notls@x");
	q.needs_tls = true;
	simulator_answer(&q, &a);
	assert_int_equal(a.result.kind, RESULT_TLS_MISSING);
	q.address = BYTES("success@x");
	simulator_answer(&q, &a);
	assert_int_equal(a.result.code, 250);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(temporary_failures),
		cmocka_unit_test(lists),
		cmocka_unit_test(time_and_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
