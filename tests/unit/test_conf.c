/* SPDX-License-Identifier: ISC */
/* The configuration: defaults, the acceptance examples, the files of tests/conf
 * and conf. */
#include "conf_world.h"

/* -- defaults -------------------------------------------------------------- */

static void
test_defaults(void **state)
{
	struct conf *c = load_good("server.name mail.relay.example\n");

	(void)state;
	assert_string_equal(c->server.domain, "relay.example");
	assert_string_equal(c->server.region, "us-east-1");
	assert_string_equal(c->server.id_prefix, "0100");
	assert_true(c->server.threads >= 1);
	assert_true(c->server.admin_group_known);
	assert_int_equal(c->server.admin_gid, 990);
	assert_int_equal(c->store.map_size_bytes, UINT64_C(64) << 30);
	assert_null(c->store.master_key);
	assert_int_equal(c->log.level, LOG_INFO_);
	assert_int_equal(c->smtp.timeout_command_ms, 300000);
	assert_int_equal(c->smtp.max_connection_age_ms, 3600000);
	assert_int_equal(c->smtp.trusted_networks.n, 2);
	assert_int_equal(c->message.max_size_bytes, 41943040);
	assert_string_equal(c->message.id_domain, "relay.example");
	assert_true(mime_blocked_has(c->attachments.blocked,
	    BYTES("a.pdf.exe")));
	assert_int_equal(mime_blocked_count(c->attachments.blocked), 90);
	assert_int_equal(c->dns.servers.n, 0);
	assert_int_equal(c->delivery.retry_schedule_count, 15);
	assert_int_equal(c->delivery.retry_schedule_ms[0], 300000);
	assert_int_equal(c->delivery.retry_schedule_ms[14], 43200000);
	assert_int_equal(c->delivery.tls_default, CONF_POLICY_OPTIONAL);
	assert_true(c->reputation.bounce.pause > 0.0999 &&
	    c->reputation.bounce.pause < 0.1001);
	assert_int_equal(c->dkim.headers.n, 32);
	assert_string_equal(c->mail_from.default_domain,
	    "bounces.relay.example");
	assert_string_equal(c->mail_from.mx_host,
	    "feedback-smtp.us-east-1.relay.example");
	assert_string_equal(c->mail_from.spf_include, "spf.relay.example");
	assert_string_equal(c->simulator.domain, "simulator.relay.example");
	assert_int_equal(c->events.webhook_source.family, AF_UNSPEC);
	assert_int_equal(c->metrics.listen.family, AF_INET);
	assert_int_equal(ntohs(c->metrics.listen.u.in.sin_port), 9464);
	conf_unref(c);

	c = conf_defaults();
	assert_non_null(c->server.name);
	assert_int_equal(c->listener_count, 6);
	conf_unref(c);
	conf_unref(NULL);
}

static void
test_default_listeners(void **state)
{
	static const struct {
		const char	  *name;
		unsigned	   port, roles;
		enum conf_tls_mode tls;
		int64_t		   idle_ms;
	} want[] = {
		{ "smtp", 25, CONF_ROLE_SUBMISSION | CONF_ROLE_INTAKE,
		    CONF_TLS_STARTTLS, 60000 },
		{ "submission", 587, CONF_ROLE_SUBMISSION, CONF_TLS_STARTTLS,
		    10000 },
		{ "submission-alt", 2587, CONF_ROLE_SUBMISSION,
		    CONF_TLS_STARTTLS, 10000 },
		{ "submissions", 465, CONF_ROLE_SUBMISSION, CONF_TLS_WRAPPER,
		    10000 },
		{ "submissions-alt", 2465, CONF_ROLE_SUBMISSION,
		    CONF_TLS_WRAPPER, 10000 },
		{ "local", 0, CONF_ROLE_LOCAL, CONF_TLS_CLEAR, 10000 },
	};
	struct conf *c = load_good("smtp.max_connections 77\n");
	char	     text[CONF_ADDR_TEXT_MAX];
	size_t	     i;

	(void)state;
	assert_int_equal(c->listener_count, 6);
	for (i = 0; i < 6; i++) {
		const struct conf_listener *l = &c->listeners[i];

		assert_string_equal(l->name, want[i].name);
		assert_int_equal(l->roles, want[i].roles);
		assert_int_equal(l->tls, want[i].tls);
		assert_int_equal(l->preauth_idle_ms, want[i].idle_ms);
		assert_int_equal(l->max_connections, 77);
		assert_true(l->enabled);
		if (want[i].port == 0)
			continue;
		assert_int_equal(l->addresses.n, 2);
		assert_int_equal(ntohs(l->addresses.v[0].u.in.sin_port),
		    want[i].port);
		assert_int_equal(ntohs(l->addresses.v[1].u.in6.sin6_port),
		    want[i].port);
		assert_int_equal(l->addresses.v[1].family, AF_INET6);
	}
	assert_string_equal(conf_addr_to_text(
				&c->listeners[5].addresses.v[0], text),
	    "unix:/run/posthorn/submit.sock");
	conf_unref(c);
}

/* A file with listeners has these alone, and the local socket. */
static void
test_named_listeners(void **state)
{
	struct conf *c = load_good("tls.cert /c\ntls.key /k\n"
				   "listener submissions {\n}\n"
				   "listener extra {\n"
				   " address 127.0.0.1:0\n"
				   " preauth_idle 3\n"
				   " cert /c2\n key /k2\n role intake\n}\n");
	const struct conf_listener *l;

	(void)state;
	assert_int_equal(c->listener_count, 3);
	l = conf_listener_find(c, BYTES("submissions"));
	assert_int_equal(l->tls, CONF_TLS_WRAPPER);
	assert_int_equal(l->addresses.n, 2);
	assert_string_equal(l->cert, "/c");
	l = conf_listener_find(c, BYTES("extra"));
	assert_int_equal(l->roles, CONF_ROLE_INTAKE);
	assert_int_equal(l->preauth_idle_ms, 3000);
	assert_string_equal(l->cert, "/c2");
	assert_string_equal(l->key, "/k2");
	assert_non_null(conf_listener_find(c, BYTES("local")));
	assert_null(conf_listener_find(c, BYTES("smtp")));
	conf_unref(c);

	c = load_good("listener.local.enabled no\n");
	assert_int_equal(c->listener_count, 1);
	assert_false(c->listeners[0].enabled);
	conf_unref(c);
}

/* -- the acceptance examples ----------------------------------------------- */

static void
test_admin_cli_12_block_equals_line(void **state) /* admin-cli#12 */
{
	struct conf *a = load_good("delivery.max_lifetime 72h\n");
	struct conf *b = load_good("delivery {\n\tmax_lifetime 72h\n}\n");
	char	    *x = show(a, "delivery", CONF_SHOW_ALL);
	char	    *y = show(b, "delivery", CONF_SHOW_ALL);

	(void)state;
	assert_non_null(strstr(x, "delivery.max_lifetime 72h  "
				  "# posthorn.conf:1\n"));
	assert_non_null(strstr(y, "delivery.max_lifetime 72h  "
				  "# posthorn.conf:2\n"));
	assert_non_null(strstr(x, "delivery.port 25  # default\n"));
	strip_places(x);
	strip_places(y);
	assert_string_equal(x, y);
	free(x);
	free(y);
	conf_unref(a);
	conf_unref(b);
}

static void
test_admin_cli_13_equals_sign(void **state) /* admin-cli#13 */
{
	static const char *const forms[] = { "delivery.max_lifetime = 3d\n",
		"delivery.max_lifetime=3d\n", "delivery.max_lifetime 259200",
		"delivery.max_lifetime\t=\t259200000ms # comment" };
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct conf *c = load_good(forms[i]);
		char	    *x = show(c, "delivery.max_lifetime",
			       CONF_SHOW_ALL);

		assert_int_equal(c->delivery.max_lifetime_ms, 259200000);
		strip_places(x);
		assert_string_equal(x, "delivery.max_lifetime 72h\n");
		free(x);
		conf_unref(c);
	}
}

static void
test_admin_cli_14_unknown_setting(void **state) /* admin-cli#14 */
{
	(void)state;
	assert_bad("delivery.max_liftime 72h\n",
	    "posthorn.conf:1: unknown setting delivery.max_liftime\n");
}

static void
test_admin_cli_15_all_errors(void **state) /* admin-cli#15 */
{
	(void)state;
	assert_bad("smtp.max_errors many\nserver.nam x\n\ntls {\n"
		   "\tkey relative\n}\n",
	    "posthorn.conf:1: smtp.max_errors: \"many\" is not a whole "
	    "number\n"
	    "posthorn.conf:2: unknown setting server.nam\n"
	    "posthorn.conf:5: tls.key: \"relative\" is not an absolute path\n"
	    "posthorn.conf:5: tls.key is given without tls.cert\n");
}

/* -- the files of tests/conf and conf -------------------------------------- */

static void
each_file(const char *pattern, void (*fn)(const char *path))
{
	glob_t g;
	size_t i;

	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	assert_true(g.gl_pathc > 0);
	for (i = 0; i < g.gl_pathc; i++)
		fn(g.gl_pathv[i]);
	globfree(&g);
}

static void
check_good_file(const char *path)
{
	const char	  *name = strrchr(path, '/') + 1;
	struct conf_opener opener = world;
	struct conf_errors e;
	char		   folder[256];
	struct conf	  *c;

	snprintf(folder, sizeof(folder), "%.*s", (int)(name - path - 1),
	    path);
	opener.arg = folder;
	conf_errors_init(&e);
	c = conf_load(name, &opener, &e);
	if (c == NULL)
		fail_msg("%s", e.v[0].text);
	assert_int_equal(e.error_count, 0);
	conf_unref(c);
	conf_errors_wipe(&e);
}

static void
check_bad_file(const char *path)
{
	struct conf_errors e;
	char		   out[256], *expected;

	snprintf(out, sizeof(out), "%.*s.out", (int)strlen(path) - 5, path);
	expected = read_all(out);
	conf_errors_init(&e);
	assert_null(conf_load(strrchr(path, '/') + 1, &world, &e));
	assert_lines(&e, false, expected);
	assert_true(e.error_count > 0);
	conf_errors_wipe(&e);
	free(expected);
}

static void
test_files(void **state)
{
	(void)state;
	each_file("tests/conf/good.*.conf", check_good_file);
	each_file("tests/conf/bad.*.conf", check_bad_file);
	each_file("conf/*.conf", check_good_file);
}

static void
collect_missing(void *arg, const struct conf_setting *s)
{
	const char *shown = *(const char **)arg;
	char	    line[128];
	const char *p;

	if (s->is_later)
		return;
	/* NAME stands for whatever label the example has */
	snprintf(line, sizeof(line), "\n%.*s", (int)strcspn(s->name, "ND"),
	    s->name);
	for (p = shown; (p = strstr(p, line)) != NULL; p++) {
		const char *tail = strrchr(s->name, '.');
		size_t	    n = strcspn(p + 1, " ");

		if (strstr(s->name, ".NAME.") == NULL ||
		    (n > strlen(tail) &&
			strncmp(p + 1 + n - strlen(tail), tail,
			    strlen(tail)) == 0))
			return;
	}
	fail_msg("conf/posthorn.conf does not show %s", s->name);
}

/* Each setting of the release is shown there, with its default. */
static void
test_posthorn_conf_shows_defaults(void **state)
{
	char	    *text = read_all("conf/posthorn.conf");
	char	    *open = uncomment(text), *given, *usual, *line, *end;
	char	     with_start[1 << 16];
	const char  *shown = with_start;
	struct conf *c = load_good(open), *d = load_good("");
	size_t	     same = 0;

	(void)state;
	given = show(c, NULL, CONF_SHOW_CHANGED);
	usual = show(d, NULL, CONF_SHOW_ALL);
	snprintf(with_start, sizeof(with_start), "\n%s", given);
	conf_known_settings(collect_missing, &shown);
	strip_places(usual);
	strip_places(given);
	for (line = given; (end = strchr(line, '\n')) != NULL;
	     line = end + 1) {
		char want[4096], *found;

		*end = '\0';
		snprintf(want, sizeof(want), "%.*s ",
		    (int)strcspn(line, " "), line);
		found = strstr(usual, want);
		/* not set, or made from the host's name: an example */
		if (found == NULL || strstr(line, "relay.example") != NULL ||
		    strncmp(found + strlen(want), "none\n", 5) == 0 ||
		    strstr(line, "threads") != NULL)
			continue;
		assert_int_equal(strncmp(found, line, strlen(line)), 0);
		same++;
	}
	assert_true(same > 100);
	free(given);
	free(usual);
	free(text);
	free(open);
	conf_unref(c);
	conf_unref(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_default_listeners),
		cmocka_unit_test(test_named_listeners),
		cmocka_unit_test(test_admin_cli_12_block_equals_line),
		cmocka_unit_test(test_admin_cli_13_equals_sign),
		cmocka_unit_test(test_admin_cli_14_unknown_setting),
		cmocka_unit_test(test_admin_cli_15_all_errors),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_posthorn_conf_shows_defaults),
	};

	return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
