/* SPDX-License-Identifier: ISC */
/* Block lists in DNS: names and answers (RFC 5782). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "net/dnsbl.h"

static void
test_name(void **state)
{
	char name[DNSBL_NAME_SIZE], zone[300];

	(void)state;
	assert_true(dnsbl_name("203.0.113.10", "zen.example", name));
	assert_string_equal(name, "10.113.0.203.zen.example");
	assert_true(dnsbl_name("2001:db8:1:2:3:4:567:89ab", "list.example",
	    name));
	assert_string_equal(name, "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0."
	    "1.0.0.0.8.b.d.0.1.0.0.2.list.example");
	assert_false(dnsbl_name("203.0.113", "zen.example", name));
	assert_false(dnsbl_name("", "zen.example", name));
	memset(zone, 'a', sizeof(zone));
	zone[245] = '\0';
	assert_false(dnsbl_name("203.0.113.10", zone, name));
}

static enum dnsbl_verdict
judge(enum dns_status status, const char *address, char *text)
{
	struct dns_address a = { .family = AF_INET };
	struct dns_answer  x;

	memset(&x, 0, sizeof(x));
	x.status = status;
	if (address != NULL) {
		if (strchr(address, ':') != NULL)
			a.family = AF_INET6;
		assert_int_equal(inet_pton(a.family, address, &a.ip), 1);
		x.addresses = &a;
		x.count = 1;
	}
	return dnsbl_judge(&x, text);
}

static void
test_answers(void **state)
{
	static const struct {
		enum dns_status	   status;
		const char	  *address;
		enum dnsbl_verdict verdict;
		const char	  *text;
	} rows[] = {
		{ DNS_NXDOMAIN, NULL, DNSBL_CLEAN, "" },
		{ DNS_NO_DATA, NULL, DNSBL_CLEAN, "" },
		{ DNS_FOUND, "127.0.0.2", DNSBL_LISTED, "127.0.0.2" },
		{ DNS_FOUND, "127.255.254.1", DNSBL_LISTED, "127.255.254.1" },
		{ DNS_FOUND, "127.255.255.254", DNSBL_REFUSED,
		  "127.255.255.254" },
		{ DNS_FOUND, "127.255.255.0", DNSBL_REFUSED,
		  "127.255.255.0" },
		/* a server that answers everything, for money */
		{ DNS_FOUND, "198.51.100.7", DNSBL_UNANSWERED,
		  "198.51.100.7" },
		{ DNS_FOUND, "::1", DNSBL_UNANSWERED, "::1" },
		{ DNS_SERVFAIL, NULL, DNSBL_UNANSWERED, NULL },
		{ DNS_TIMEOUT, NULL, DNSBL_UNANSWERED, NULL },
		{ DNS_UNREACHABLE, NULL, DNSBL_UNANSWERED, NULL },
	};
	char   text[DNSBL_TEXT_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(judge(rows[i].status, rows[i].address, text),
		    rows[i].verdict);
		assert_string_equal(text, rows[i].text != NULL ? rows[i].text
			: dns_status_to_text(rows[i].status));
	}
	assert_int_equal(dnsbl_judge(NULL, text), DNSBL_UNANSWERED);
	assert_string_equal(text, "not asked");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
