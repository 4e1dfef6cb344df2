/* SPDX-License-Identifier: ISC */
#include "book_world.h"

#include <sys/socket.h>

#include "registry/source.h"

static bool
collect(void *arg, const struct source *s)
{
	struct buf *b = arg;

	buf_printf(b, "%s/%d ", s->address, s->family == AF_INET6 ? 6 : 4);
	return true;
}

static void
body_both_ways(struct db_txn *t)
{
	struct source a = { .family = AF_INET, .dedicated = true,
		.enabled = true, .created = { world_time } };
	struct source b;
	struct buf    list;
	struct err    e;

	strcpy(a.address, "192.0.2.1");
	strcpy(a.ehlo, "a2-1.smtp-out.relay.example");
	strcpy(a.account, world_account);
	strcpy(a.blocked_by, "zen.dnsbl.example");
	assert_int_equal(source_put(t, &a, &e), 0);
	assert_int_equal(source_get(t, "192.0.2.1", &b, &e), 1);
	assert_memory_equal(&a, &b, sizeof(a));
	memset(&b, 0, sizeof(b));
	b.family = AF_INET6;
	strcpy(b.address, "2001:DB8:0:0::1");
	assert_int_equal(source_put(t, &b, &e), 0);
	assert_int_equal(source_get(t, "2001:db8::1", &a, &e), 1);
	assert_string_equal(a.address, "2001:db8::1");
	buf_init(&list, 200);
	assert_int_equal(source_each(t, collect, &list, &e), 0);
	buf_add_char(&list, '\0');
	assert_string_equal(list.p, "192.0.2.1/4 2001:db8::1/6 ");
	buf_wipe(&list);
	assert_int_equal(source_delete(t, "2001:db8::0001", &e), 1);
	assert_int_equal(source_delete(t, "2001:db8::1", &e), 0);
	assert_int_equal(source_get(t, "2001:db8::1", &a, &e), 0);
	assert_int_equal(source_get(t, "nonsense", &a, &e), 0);
}

static void
test_both_ways(void **state)
{
	(void)state;
	world_test(body_both_ways);
}

static void
body_refused(struct db_txn *t)
{
	static const struct {
		const char *address, *ehlo, *account;
		int	    family;
		bool	    dedicated;
		const char *text;
	} rows[] = {
		{ "192.0.2", "", "", AF_INET, false,
		    "not an IP address: 192.0.2" },
		{ "192.0.2.1", "", "", AF_INET6, false,
		    "not an IP address: 192.0.2.1" },
		{ "192.0.2.1", "no name", "", AF_INET, false,
		    "not a host name: no name" },
		{ "192.0.2.1", "", "123456789012", AF_INET, false,
		    "only a dedicated address can belong to an account" },
	};
	struct source s;
	struct err    e;
	size_t	      i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&s, 0, sizeof(s));
		strcpy(s.address, rows[i].address);
		strcpy(s.ehlo, rows[i].ehlo);
		strcpy(s.account, rows[i].account);
		s.family = rows[i].family;
		s.dedicated = rows[i].dedicated;
		assert_int_equal(source_put(t, &s, &e), -1);
		assert_string_equal(e.text, rows[i].text);
		assert_int_equal(e.code, BOOK_BAD_REQUEST);
	}
	assert_int_equal(db_put(t, BOOK_SOURCE, BYTES("192.0.2.9"),
			     BYTES("\1\2\0\0\0\0\0"), false, &e), 0);
	assert_int_equal(source_get(t, "192.0.2.9", &s, &e), -1);
	assert_string_equal(e.text, "source 192.0.2.9: the record is damaged");
}

static void
test_refused(void **state)
{
	(void)state;
	world_test(body_refused);
}

static void
test_possible(void **state)
{
	static const char *const no[] = { "0.0.0.0", "224.0.0.1",
		"239.255.255.255", "255.255.255.255", "::", "ff02::1",
		"::ffff:127.0.0.5", "x", "" };
	static const char *const yes[] = { "127.0.0.1", "192.0.2.1",
		"223.255.255.255", "::1", "2001:db8::1", "fe80::1" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(source_address_is_possible(no[i]));
	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(source_address_is_possible(yes[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_possible),
	};

	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
