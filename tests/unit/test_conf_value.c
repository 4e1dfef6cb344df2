/* SPDX-License-Identifier: ISC */
/* The configuration: grammar, values, what is asked of them. */
#include "conf_world.h"

/* -- grammar and values ---------------------------------------------------- */

static void
test_forms(void **state)
{
	char	    *text = read_all("tests/conf/good.forms.conf");
	struct conf *c = load_good(text);
	char	     name[CIDR_TEXT_MAX];

	(void)state;
	assert_int_equal(c->delivery.max_lifetime_ms, 259200000);
	assert_int_equal(c->smtp.max_recipients, 51);
	assert_string_equal(c->server.name, "mail.relay.example");
	assert_int_equal(c->server.max_files, 4096);
	assert_int_equal(c->dest_count, 3);
	assert_true(conf_dest_find(c, BYTES("example.org"))->rate > 4.9);
	assert_true(conf_dest_find(c, BYTES("Example.Net"))->rate < 0.6);
	assert_int_equal(conf_dest_find(c, BYTES("gmail"))->reuse_max, 20);
	assert_int_equal(conf_dest_find(c, BYTES("gmail"))->max_connections,
	    20);
	assert_null(conf_dest_find(c, BYTES("yahoo")));
	assert_string_equal(conf_provider_find(c, BYTES("local-isp"))->title,
	    "Our \"ISP\", ltd");
	assert_int_equal(c->listeners[0].addresses.n, 3);
	assert_int_equal(c->listeners[0].allow.n, 3);
	assert_string_equal(conf_cidr_to_text(&c->listeners[0].allow.v[2],
				name),
	    "10.1.2.0/24");
	assert_int_equal(c->suppression.global.mode, CONF_GLOBAL_ALWAYS);
	assert_int_equal(c->suppression.global.policy, CONF_GLOBAL_FIXED);
	conf_unref(c);
	free(text);
}

static void
test_values(void **state)
{
	struct conf *c = load_good(
	    "server.id_prefix 0A1f\n"
	    "smtp.max_connection_age 0\nsmtp.timeout_tls 1500ms\n"
	    "smtp.trusted_networks none\nsmtp.allow_null_sender OFF\n"
	    "message.max_size 2M\nspool.min_free 0\n"
	    "attachments.blocked_extensions +.iso, -.exe\n"
	    "dns.servers 192.0.2.53 [2001:db8::53]:5353\n"
	    "delivery.retry_schedule 1m\ndelivery.retry_schedule 2m,3m\n"
	    "mail_from.spf_include none\nintake.fbl_addresses none\n"
	    "metrics.listen off\nmetrics.allow none\n"
	    "events.webhook_source 2001:db8::1\n"
	    "log.target /var/log/posthorn/posthorn.log\nlog.level debug\n"
	    "dkim.oversign none\n"
	    "intake.require_spf dsn, arf\n");

	(void)state;
	assert_string_equal(c->server.id_prefix, "0a1f");
	assert_int_equal(c->smtp.max_connection_age_ms, 0);
	assert_int_equal(c->smtp.timeout_tls_ms, 1500);
	assert_int_equal(c->smtp.trusted_networks.n, 0);
	assert_false(c->smtp.allow_null_sender);
	assert_int_equal(c->message.max_size_bytes, 2097152);
	assert_int_equal(c->spool.min_free_bytes, 0);
	assert_true(mime_blocked_has(c->attachments.blocked,
	    BYTES("a.iso")));
	assert_false(mime_blocked_has(c->attachments.blocked,
	    BYTES("a.exe")));
	assert_int_equal(c->dns.servers.n, 2);
	assert_int_equal(ntohs(c->dns.servers.v[0].u.in.sin_port), 53);
	assert_int_equal(ntohs(c->dns.servers.v[1].u.in6.sin6_port), 5353);
	assert_int_equal(c->delivery.retry_schedule_count, 3);
	assert_int_equal(c->delivery.retry_schedule_ms[2], 180000);
	assert_null(c->mail_from.spf_include);
	assert_int_equal(c->intake.fbl_addresses.n, 0);
	assert_int_equal(c->metrics.listen.family, AF_UNSPEC);
	assert_int_equal(c->metrics.allow.n, 0);
	assert_int_equal(c->events.webhook_source.family, AF_INET6);
	assert_int_equal(c->log.level, LOG_DEBUG_);
	assert_int_equal(c->dkim.oversign.n, 0);
	assert_int_equal(c->intake.require_spf,
	    CONF_REPORT_ARF | CONF_REPORT_DSN);
	conf_unref(c);
	c = load_good("intake.require_spf none\n");
	assert_int_equal(c->intake.require_spf, 0);
	conf_unref(c);
}

static void
test_bounds(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "delivery.max_lifetime 4m59s",
		    "delivery.max_lifetime: \"4m59s\" is not a duration "
		    "(10s, 5m, 6h, 14d)" },
		{ "delivery.max_lifetime 15d",
		    "delivery.max_lifetime: 15d is out of range (5m to 14d)" },
		{ "smtp.timeout_command 99999999999999999999h",
		    "smtp.timeout_command: \"99999999999999999999h\" is not "
		    "a duration (10s, 5m, 6h, 14d)" },
		{ "store.map_size 18446744073709551615",
		    "store.map_size: \"18446744073709551615\" is not a size "
		    "(1024, 64k, 40m, 1g)" },
		{ "server.region abcdefghijklmnopqrstuvwxyz0123456",
		    "server.region: \"abcdefghijklmnopqrstuvwxyz0123456\" is "
		    "not a name of 1 to 32 letters, digits, dots, - and _" },
		{ "delivery.retry_schedule none",
		    "delivery.retry_schedule: \"none\" is not a duration "
		    "(10s, 5m, 6h, 14d)" },
		{ "delivery.dest.initial_connections 21",
		    "delivery.dest.initial_connections is above "
		    "delivery.dest.max_connections" },
		{ "message.long_lines reencode",
		    "value reencode of setting message.long_lines is not "
		    "available in this release" },
	};
	char   expected[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(expected, sizeof(expected), "posthorn.conf:1: %s\n",
		    cases[i].error);
		assert_bad(cases[i].text, expected);
	}
}

static void
test_hostile_text(void **state)
{
	static const char nul[] = "server.name \"a\0b\"\nserver\0.name x\n";
	struct conf_errors e;
	char		  *deep = calloc(1, 1 << 16);
	size_t		   i;

	(void)state;
	conf_errors_init(&e);
	assert_null(conf_load_text("posthorn.conf",
	    (struct bytes){ nul, sizeof(nul) - 1 }, &world, &e));
	assert_lines(&e, false,
	    "posthorn.conf:1: a NUL in the file\n"
	    "posthorn.conf:2: a character that is not text\n");
	conf_errors_wipe(&e);

	/* the text of a message is one line, whatever the file holds */
	assert_bad("server.name \"a\\nb\"\nx \"\\t\"\n",
	    "posthorn.conf:1: server.name: \"a?b\" is not a host name\n"
	    "posthorn.conf:2: unknown setting x\n");

	assert_non_null(deep);
	for (i = 0; i < 1000; i++)
		strcat(deep, "delivery {\n");
	assert_null(load(deep, &e));
	assert_true(e.error_count > 0);
	conf_errors_wipe(&e);

	/* a thousand errors are counted, a hundred kept */
	deep[0] = '\0';
	for (i = 0; i < 1000; i++)
		strcat(deep, "x y\n");
	assert_null(load(deep, &e));
	assert_int_equal(e.error_count, 1000);
	assert_int_equal(e.n, CONF_ERRORS_MAX);
	conf_errors_wipe(&e);
	free(deep);
}

static void
test_too_large(void **state)
{
	struct conf_errors e;
	struct buf	   text;
	size_t		   i;

	(void)state;
	buf_init(&text, 8 << 20);
	for (i = 0; i < 5000; i++)
		buf_printf(&text, "delivery.dest.d%zu.rate 1\n", i);
	conf_errors_init(&e);
	assert_null(conf_load_text("posthorn.conf", buf_bytes(&text), &world,
	    &e));
	assert_string_equal(e.v[0].text,
	    "posthorn.conf:4097: more than 4096 blocks delivery.dest");
	conf_errors_wipe(&e);

	buf_clear(&text);
	for (i = 0; i < 5000; i++)
		buf_add_text(&text, "dns.servers 192.0.2.1\n");
	conf_errors_init(&e);
	assert_null(conf_load_text("posthorn.conf", buf_bytes(&text), &world,
	    &e));
	assert_string_equal(e.v[0].text,
	    "posthorn.conf:4097: dns.servers: more than 4096 values");
	conf_errors_wipe(&e);
	buf_wipe(&text);
}

/* -- questions ------------------------------------------------------------- */

static void
test_routes(void **state)
{
	static const struct {
		const char *domain, *host;
		unsigned    port;
	} cases[] = {
		{ "example.net", "exact.example", 26 },
		{ "a.example.net", "192.0.2.5", 2526 },
		{ "x.b.example.net", "deeper.example", 25 },
		{ "b.example.net", "192.0.2.5", 2526 },
		{ "example.com", "2001:db8::1", 25 },
		{ "notexample.net", "2001:db8::1", 25 },
	};
	struct conf *c = load_good(
	    "delivery {\n route * [2001:db8::1]\n"
	    " route .example.net [192.0.2.5]:2526\n"
	    " route .B.example.net deeper.example\n"
	    " route example.net Exact.Example:26\n"
	    " tls .example.net require\n tls example.net verify\n}\n");
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct conf_route *r = conf_route_find(c,
		    bytes_of(cases[i].domain));

		assert_non_null(r);
		assert_string_equal(r->host, cases[i].host);
		assert_int_equal(r->port, cases[i].port);
	}
	assert_true(c->routes[0].is_address);
	assert_int_equal(ntohs(c->routes[0].address.u.in6.sin6_port), 25);
	assert_false(c->routes[3].is_address);
	assert_int_equal(conf_tls_rule_find(c, BYTES("example.net"))->policy,
	    CONF_POLICY_VERIFY);
	assert_int_equal(
	    conf_tls_rule_find(c, BYTES("a.example.net"))->policy,
	    CONF_POLICY_REQUIRE);
	assert_null(conf_tls_rule_find(c, BYTES("example.org")));
	conf_unref(c);

	c = load_good("delivery.port 2525\ndelivery.route a.example b\n");
	assert_int_equal(c->routes[0].port, 2525);
	assert_null(conf_route_find(c, BYTES("b.example")));
	conf_unref(c);
}

static void
test_providers(void **state)
{
	static const struct {
		const char *mx, *name;
	} cases[] = {
		{ "gmail-smtp-in.l.google.com", "gmail" },
		{ "hotmail-com.olc.protection.outlook.com", "outlook" },
		{ "firm-example.mail.protection.outlook.com",
		    "microsoft365" },
		{ "mta5.am0.yahoodns.net", "yahoo" },
		{ "mx01.mail.icloud.com", "icloud" },
		{ "mx-ha03.web.de", "gmx" },
		{ "MX.GMX.NET", "gmx" },
		{ "mx.isp.example", "isp" },
		{ "special.google.com", "isp" },
		{ "notgoogle.com", NULL },
	};
	struct conf *c = load_good(
	    "delivery {\n provider isp {\n  mx isp.example, "
	    "special.google.com\n  domains live.com\n }\n"
	    " provider gmail {\n  mx smtp.goog\n }\n}\n");
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct conf_provider *p = conf_provider_of_mx(c,
		    bytes_of(cases[i].mx));

		if (cases[i].name == NULL) {
			assert_null(p);
			continue;
		}
		assert_non_null(p);
		assert_string_equal(p->name, cases[i].name);
	}
	assert_string_equal(
	    conf_provider_of_mx(c, BYTES("mx.smtp.goog"))->title, "Gmail");
	assert_string_equal(conf_provider_find(c, BYTES("isp"))->title,
	    "isp");
	assert_string_equal(
	    conf_provider_of_domain(c, BYTES("hotmail.com"))->name,
	    "outlook");
	assert_string_equal(
	    conf_provider_of_domain(c, BYTES("live.com"))->name, "isp");
	assert_null(conf_provider_of_domain(c, BYTES("example.com")));
	conf_unref(c);
}

static void
test_local_and_admin(void **state)
{
	const uint32_t	   gids[] = { 100, 33 };
	struct conf_errors e;
	struct conf	  *c = load(
	     "local webapp {\n match nobody-here, @www-data 500\n"
	     " credential 123456789012/webapp\n"
	     " sender Alerts@Example.COM\n}\n"
	     "local others {\n match *\n credential 123456789012/x\n}\n"
	     "admin deploy {\n role send\n account 123456789012\n}\n"
	     "admin gone {\n role full\n}\n"
	     "intake.postmaster a@relay.example\n"
	     "tls.cert /c\ntls.key /k\n",
	     &e);

	(void)state;
	assert_non_null(c);
	assert_lines(&e, true,
	    "posthorn.conf:2: local webapp: this system has no user "
	    "nobody-here\n"
	    "posthorn.conf:14: admin: this system has no user gone\n");
	conf_errors_wipe(&e);
	assert_int_equal(c->locals[0].match_count, 3);
	assert_string_equal(c->locals[0].account, "123456789012");
	assert_string_equal(c->locals[0].credential, "webapp");
	assert_string_equal(c->locals[0].sender, "Alerts@example.com");
	assert_null(c->locals[1].sender);
	assert_ptr_equal(conf_local_find(c, 1000, gids, 2), &c->locals[0]);
	assert_ptr_equal(conf_local_find(c, 500, gids, 1), &c->locals[0]);
	assert_ptr_equal(conf_local_find(c, 33, gids, 1), &c->locals[1]);
	assert_int_equal(c->admin_count, 2);
	assert_int_equal(c->admins[0].role, CONF_ADMIN_SEND);
	assert_true(c->admins[0].user.known);
	assert_int_equal(c->admins[0].user.id, 1000);
	assert_string_equal(c->admins[0].account, "123456789012");
	assert_null(c->admins[1].account);
	assert_false(c->admins[1].user.known);
	conf_unref(c);

	c = load_good("");
	assert_null(conf_local_find(c, 0, gids, 2));
	conf_unref(c);
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *text, *shown;
		bool	    loopback;
	} cases[] = {
		{ "127.0.0.1:25", "127.0.0.1:25", true },
		{ "192.0.2.1", "192.0.2.1:99", false },
		{ "[::1]:0", "[::1]:0", true },
		{ "2001:db8::1", "[2001:db8::1]:99", false },
		{ "[2001:db8::1]", "[2001:db8::1]:99", false },
		{ "unix:/run/a b", "unix:/run/a b", true },
		{ "192.0.2.1:", NULL, false },
		{ "192.0.2.1:65536", NULL, false },
		{ "192.0.2.1:+1", NULL, false },
		{ "[192.0.2.1", NULL, false },
		{ "[::1]x", NULL, false },
		{ "unix:relative", NULL, false },
		{ "host:25", NULL, false },
		{ "", NULL, false },
	};
	struct conf_addr a;
	char		 text[CONF_ADDR_TEXT_MAX], path[200];
	size_t		 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool good = conf_addr_parse(bytes_of(cases[i].text), 99, &a);

		assert_int_equal(good, cases[i].shown != NULL);
		if (!good)
			continue;
		assert_string_equal(conf_addr_to_text(&a, text),
		    cases[i].shown);
		assert_int_equal(conf_addr_is_loopback(&a),
		    cases[i].loopback);
	}
	memset(path, 'a', sizeof(path));
	memcpy(path, "unix:/", 6);
	assert_false(conf_addr_parse((struct bytes){ path, 5 + 108 }, 0, &a));
	assert_true(conf_addr_parse((struct bytes){ path, 5 + 107 }, 0, &a));
}

static void
test_cidr(void **state)
{
	static const struct {
		const char *range, *address;
		bool	    inside;
	} cases[] = {
		{ "10.0.0.0/8", "10.255.0.1", true },
		{ "10.0.0.0/8", "11.0.0.1", false },
		{ "10.0.0.1/24", "10.0.0.77", true },
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "0.0.0.0/0", "203.0.113.1", true },
		{ "0.0.0.0/0", "::1", false },
		{ "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "::/0", "2001:db8::1", true },
		{ "10.0.0.0/8", "::ffff:10.1.2.3", true },
		{ "::ffff:10.0.0.0/104", "10.1.2.3", true },
	};
	static const char *const bad[] = { "", "/8", "10.0.0.0/", "10.0.0/8",
		"10.0.0.0/33", "::1/129", "10.0.0.0/-1", "10.0.0.0/8/8",
		"example.com" };
	struct sockaddr_in	 in = { .sin_family = AF_INET };
	struct sockaddr_in6	 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr		 other = { .sa_family = AF_UNIX };
	const struct sockaddr	*sa;
	struct conf_cidr	 c;
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(conf_cidr_parse(bytes_of(cases[i].range), &c));
		sa = (const struct sockaddr *)&in;
		if (inet_pton(AF_INET, cases[i].address, &in.sin_addr) != 1) {
			assert_int_equal(inet_pton(AF_INET6,
					     cases[i].address,
					     &in6.sin6_addr), 1);
			sa = (const struct sockaddr *)&in6;
		}
		assert_int_equal(conf_cidr_contains(&c, sa),
		    cases[i].inside);
		assert_false(conf_cidr_contains(&c, &other));
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(conf_cidr_parse(bytes_of(bad[i]), &c));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_providers),
		cmocka_unit_test(test_local_and_admin),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_cidr),
	};

	return cmocka_run_group_tests_name("conf_value", tests, NULL, NULL);
}
