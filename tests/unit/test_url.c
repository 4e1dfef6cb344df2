/* SPDX-License-Identifier: ISC */
/* net/url.h: what a URL names, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "net/url.h"

static void
urls_have_parts(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t    port;
		bool	    https, address, local;
	} rows[] = {
		{ "https://hooks.example.com/a?b=c", "hooks.example.com", 443,
		    true, false, false },
		{ "HTTPS://Hooks.Example.COM", "hooks.example.com", 443, true,
		    false, false },
		{ "http://hooks.example.com:8080/", "hooks.example.com", 8080,
		    false, false, false },
		{ "https://192.0.2.1:1/x", "192.0.2.1", 1, true, true,
		    false },
		{ "https://[2001:DB8::1]:65535?q", "2001:db8::1", 65535, true,
		    true, false },
		{ "https://localhost/", "localhost", 443, true, false, true },
		{ "https://a.localhost/", "a.localhost", 443, true, false,
		    true },
		{ "https://127.0.0.53/", "127.0.0.53", 443, true, true,
		    true },
		{ "https://[::1]/", "::1", 443, true, true, true },
		{ "https://notlocalhost/", "notlocalhost", 443, true, false,
		    false },
		{ "https://a/b@c:d", "a", 443, true, false, false },
	};
	const char *why;
	struct url  u;
	size_t	    i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!url_read(bytes_of(rows[i].text), &u, &why))
			fail_msg("%s %s", rows[i].text, why);
		assert_string_equal(u.host, rows[i].host);
		assert_int_equal(u.port, rows[i].port);
		assert_int_equal(u.is_https, rows[i].https);
		assert_int_equal(u.is_address, rows[i].address);
		assert_int_equal(url_is_local(&u), rows[i].local);
	}
}

static void
what_is_no_url(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "is empty" },
		{ "hooks.example.com", "no absolute https" },
		{ "ftp://hooks.example.com/", "no absolute https" },
		{ "https:/hooks.example.com/", "no absolute https" },
		{ "https://", "has no host" },
		{ "https:///path", "has no host" },
		{ "https://user:secret@hooks.example.com/", "a user" },
		{ "https://hooks.example.com\\@other/", "to be encoded" },
		{ "https://hooks.example.com/a b", "to be encoded" },
		{ "https://hooks.example.com/\n", "to be encoded" },
		{ "https://h\xc3\xb6lle.example/", "to be encoded" },
		{ "https://hooks.example.com/#top", "a fragment" },
		{ "https://a..b/", "no host name" },
		{ "https://.a/", "no host name" },
		{ "https://a%2fb/", "no host name" },
		/* an address to some */
		{ "https://2130706433/", "no host name" },
		{ "https://127.1/", "no host name" },
		{ "https://0177.0.0.1/", "no host name" },
		{ "https://[::1/", "IPv6" },
		{ "https://[x]/", "IPv6" },
		{ "https://[::1]x/", "behind its address" },
		{ "https://a:0/", "no port" },
		{ "https://a:65536/", "no port" },
		{ "https://a:x/", "no port" },
		{ "https://a:/", "no port" },
	};
	static char long_text[1100] = "https://a/";
	const char *why = "";
	struct url  u;
	size_t	    i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_false(url_read(bytes_of(rows[i].text), &u, &why));
		if (strstr(why, rows[i].why) == NULL)
			fail_msg("%s: %s", rows[i].text, why);
	}
	memset(long_text + 10, 'a', 1015);
	assert_false(url_read(bytes_of(long_text), &u, &why));
	long_text[URL_TEXT_MAX] = '\0';
	assert_true(url_read(bytes_of(long_text), &u, &why));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_have_parts),
		cmocka_unit_test(what_is_no_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
