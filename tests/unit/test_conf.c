/* SPDX-License-Identifier: ISC */
/* The configuration: grammar, values, checks, display, reload. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "mail/mime.h"
#include "registry/conf.h"

/* -- a world without files and users --------------------------------------- */

static bool
world_find_id(void *arg, bool is_group, const char *name, uint32_t *id)
{
	(void)arg;
	if (is_group && strcmp(name, "www-data") == 0)
		*id = 33;
	else if (is_group && strcmp(name, "posthorn-admin") == 0)
		*id = 990;
	else if (!is_group && strcmp(name, "root") == 0)
		*id = 0;
	else if (!is_group && strcmp(name, "deploy") == 0)
		*id = 1000;
	else
		return false;
	return true;
}

/* Files of tests/conf, through memory: the modes of a checkout differ. */
static int
world_open(void *arg, const char *path)
{
	char   name[512], block[4096];
	size_t n;
	FILE  *f;
	int    fd;

	snprintf(name, sizeof(name), "%s/%s", (const char *)arg, path);
	f = fopen(name, "r");
	if (f == NULL) {
		errno = ENOENT;
		return -1;
	}
	fd = memfd_create("conf", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0600), 0);
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		assert_int_equal(write(fd, block, n), n);
	fclose(f);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static const char *const world_paths[] = { "included/b.conf",
	"included/a.conf", "included/delivery.inc" };
static const struct conf_opener world = {
	.open = world_open,
	.arg = (void *)(uintptr_t)"tests/conf",
	.paths = world_paths,
	.path_count = 3,
	.find_id = world_find_id,
};

static struct conf *
load(const char *text, struct conf_errors *e)
{
	conf_errors_init(e);
	return conf_load_text("posthorn.conf", bytes_of(text), &world, e);
}

/* Loads, or fails the test with the first complaint. */
static struct conf *
load_good(const char *text)
{
	struct conf_errors e;
	struct conf	  *c = load(text, &e);

	if (c == NULL)
		fail_msg("%s", e.v[0].text);
	conf_errors_wipe(&e);
	return c;
}

static void
assert_lines(const struct conf_errors *e, bool warnings, const char *expected)
{
	struct buf all;
	size_t	   i;

	buf_init(&all, 1 << 16);
	for (i = 0; i < e->n; i++)
		if (e->v[i].is_warning == warnings)
			buf_printf(&all, "%s\n", e->v[i].text);
	buf_add_char(&all, '\0');
	assert_string_equal(all.p, expected);
	buf_wipe(&all);
}

static void
assert_bad(const char *text, const char *expected)
{
	struct conf_errors e;
	struct conf	  *c = load(text, &e);

	assert_null(c);
	assert_lines(&e, false, expected);
	conf_errors_wipe(&e);
}

static char *
show(const struct conf *c, const char *section, enum conf_show_mode mode)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	assert_true(conf_show(c, section, mode, &out));
	assert_true(buf_add_char(&out, '\0'));
	return out.p;
}

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
strip_places(char *text)
{
	char *from = text, *to = text;

	while (*from != '\0') {
		if (strncmp(from, "  # ", 4) == 0)
			from += strcspn(from, "\n");
		else
			*to++ = *from++;
	}
	*to = '\0';
}

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

static char *
read_all(const char *path)
{
	char *text = calloc(1, 1 << 16);
	FILE *f = fopen(path, "r");

	assert_non_null(text);
	if (f == NULL)
		fail_msg("cannot open %s: run in the top folder", path);
	assert_true(fread(text, 1, (1 << 16) - 1, f) < (1 << 16) - 1);
	fclose(f);
	return text;
}

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

/* Takes the # away where it stands before a setting. */
static char *
uncomment(const char *text)
{
	char *out = calloc(1, strlen(text) + 1), *to = out;
	bool  start = true;

	assert_non_null(out);
	for (; *text != '\0'; text++) {
		if (start && *text == '#' &&
		    ((text[1] >= 'a' && text[1] <= 'z') || text[1] == '}')) {
			start = false;
			continue;
		}
		if (*text == '\n')
			start = true;
		else if (*text != ' ')
			start = false;
		*to++ = *text;
	}
	return out;
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
	    "dkim.oversign none\n");

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

/* -- files ----------------------------------------------------------------- */

struct listed {
	char	 text[1024];
	unsigned count;
};

static void
list_source(void *arg, const char *path)
{
	struct listed *l = arg;

	l->count++;
	strcat(l->text, path);
	strcat(l->text, " ");
}

static void
test_include(void **state)
{
	struct conf_errors e;
	struct listed	   l = { "", 0 };
	struct conf	  *c;

	(void)state;
	conf_errors_init(&e);
	c = conf_load("good.include.conf", &world, &e);
	assert_non_null(c);
	assert_int_equal(c->smtp.max_errors, 9);
	assert_int_equal(c->smtp.max_rcpt_errors, 9);
	assert_int_equal(c->delivery.max_lifetime_ms, 172800000);
	assert_int_equal(c->route_count, 1);
	assert_string_equal(c->intake.fbl_addresses.v[0], "abuse-reports");
	conf_each_source(c, list_source, &l);
	assert_string_equal(l.text, "good.include.conf included/a.conf "
				    "included/b.conf included/delivery.inc ");
	conf_unref(c);
	conf_errors_wipe(&e);
}

/* A folder of its own, for what concerns real files. */
struct folder {
	char path[64], file[96];
};

static void
folder_make(struct folder *f, const char *text, mode_t mode)
{
	FILE *out;

	strcpy(f->path, "/tmp/test_conf.XXXXXX");
	assert_non_null(mkdtemp(f->path));
	snprintf(f->file, sizeof(f->file), "%s/posthorn.conf", f->path);
	out = fopen(f->file, "w");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(f->file, mode), 0);
}

static void
folder_remove(const struct folder *f)
{
	assert_int_equal(unlink(f->file), 0);
	assert_int_equal(rmdir(f->path), 0);
}

static void
test_real_file(void **state)
{
	struct conf_errors e;
	struct folder	   f;
	struct conf	  *c;

	(void)state;
	folder_make(&f, "include posthorn.*\n", 0644);
	conf_errors_init(&e);
	assert_null(conf_load(f.file, NULL, &e));
	/* it includes itself: ended by the depth, said once */
	assert_int_equal(e.error_count, 1);
	assert_non_null(strstr(e.v[0].text,
	    ":1: includes are nested deeper than 10"));
	conf_errors_wipe(&e);
	folder_remove(&f);

	folder_make(&f, "smtp.max_errors 3\n", 0644);
	conf_errors_init(&e);
	c = conf_load(f.file, NULL, &e);
	assert_non_null(c);
	assert_int_equal(c->smtp.max_errors, 3);
	conf_unref(c);
	folder_remove(&f);
	assert_null(conf_load(f.file, NULL, &e));
	assert_non_null(strstr(e.v[e.n - 1].text, "No such file"));
	conf_errors_wipe(&e);

	folder_make(&f, "smtp.max_errors 3\n", 0666);
	conf_errors_init(&e);
	assert_null(conf_load(f.file, NULL, &e));
	assert_non_null(strstr(e.v[0].text,
	    "can be written by others than root"));
	assert_null(conf_load(f.path, NULL, &e));
	assert_non_null(strstr(e.v[1].text, "is a directory"));
	/* a FIFO without a writer: nobody waits for it */
	assert_int_equal(unlink(f.file), 0);
	assert_int_equal(mkfifo(f.file, 0600), 0);
	assert_null(conf_load(f.file, NULL, &e));
	assert_non_null(strstr(e.v[2].text, "no regular file"));
	conf_errors_wipe(&e);
	folder_remove(&f);
}

static void
list_file(void *arg, enum conf_file_kind kind, const char *setting,
    const char *path)
{
	struct listed *l = arg;
	char	       one[128];

	l->count++;
	snprintf(one, sizeof(one), "%d %s %s\n", (int)kind, setting, path);
	strcat(l->text, one);
}

static void
test_each_file(void **state)
{
	struct listed l = { "", 0 };
	struct conf  *c = load_good(
	     "tls.cert /c\ntls.key /k\n"
	      "tls.certificate b {\n cert /c\n key /k2\n}\n"
	      "listener submission {\n}\n"
	      "listener off {\n address 127.0.0.1:1\n cert /x\n key /y\n"
	      " enabled no\n}\n"
	      "store.master_key /m\ndkim.operator_domain relay.example\n"
	      "dkim.operator_selector s\ndkim.operator_key /o\n"
	      "events.webhook_ca /ca\ndns.psl_file /psl\n");

	(void)state;
	conf_each_file(c, list_file, &l);
	assert_string_equal(l.text,
	    "0 tls.cert /c\n1 tls.key /k\n1 tls.certificate.NAME.key /k2\n"
	    "2 dkim.operator_key /o\n3 store.master_key /m\n"
	    "4 events.webhook_ca /ca\n5 dns.psl_file /psl\n");
	conf_unref(c);
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

/* -- display and reload ---------------------------------------------------- */

static void
test_show(void **state)
{
	struct conf *c = load_good("tls.cert /c\ntls.key /k\n"
				   "delivery.dest gmail {\n rate 0.25\n}\n"
				   "listener submission {\n}\n"
				   "delivery.tls \"bank.example\" verify\n");
	struct buf   out;
	char	    *x;

	(void)state;
	x = show(c, NULL, CONF_SHOW_CHANGED);
	assert_string_equal(x,
	    "tls.cert /c  # posthorn.conf:1\n"
	    "tls.key /k  # posthorn.conf:2\n"
	    "delivery.dest.gmail.rate 0.25  # posthorn.conf:4\n"
	    "delivery.tls.\"bank.example\" verify  # posthorn.conf:8\n");
	free(x);
	x = show(c, "listener.submission", CONF_SHOW_ALL);
	assert_non_null(strstr(x,
	    "listener.submission.address 0.0.0.0:587, [::]:587  # default\n"));
	assert_null(strstr(x, "listener.local"));
	free(x);
	x = show(c, "tls", CONF_SHOW_DEFAULTS);
	assert_non_null(strstr(x, "tls.cert none  # default\n"));
	free(x);
	buf_init(&out, 100);
	assert_false(conf_show(c, "deliver", CONF_SHOW_ALL, &out));
	assert_int_equal(out.n, 0);
	assert_false(conf_show(c, NULL, CONF_SHOW_ALL, &out));
	buf_wipe(&out);
	conf_unref(c);
}

/* What is shown is a file that says the same. */
static void
test_show_reads_back(void **state)
{
	char	    *text = read_all("conf/posthorn.conf");
	char	    *open = uncomment(text), *x, *y;
	struct conf *a = load_good(open), *b;

	(void)state;
	x = show(a, NULL, CONF_SHOW_ALL);
	b = load_good(x);
	y = show(b, NULL, CONF_SHOW_ALL);
	strip_places(x);
	strip_places(y);
	assert_string_equal(x, y);
	free(x);
	free(y);
	free(open);
	free(text);
	conf_unref(a);
	conf_unref(b);
}

static void
assert_restart(const struct conf *old, const struct conf *new,
    const char *expected)
{
	struct buf out;

	buf_init(&out, 4096);
	assert_int_equal(conf_needs_restart(old, new, &out),
	    expected[0] != '\0');
	buf_add_char(&out, '\0');
	assert_string_equal(out.p, expected);
	buf_wipe(&out);
}

static void
test_reload(void **state)
{
	struct conf *a = load_good("server.name a.relay.example\n"
				   "tls.cert /c\ntls.key /k\n"
				   "listener submission {\n}\n"
				   "listener smtp {\n"
				   " max_connections 5\n}\n");
	struct conf *b = load_good("server.name b.other.example\n"
				   "tls.cert /c2\ntls.key /k2\n"
				   "smtp.max_connections 9\n"
				   "log.level debug\nstore.map_size 1g\n"
				   "listener submission {\n"
				   " tls starttls\n}\n"
				   "listener smtp {\n allow 10.0.0.0/8\n}\n"
				   "listener extra {\n"
				   " address 127.0.0.1:1\n}\n");
	struct conf *c = load_good("server.name c.third.example\n");

	(void)state;
	assert_restart(a, a, "");
	assert_restart(a, b, "server.name, store.map_size, listener.smtp, "
			     "listener.extra");
	conf_keep(b, a);
	assert_string_equal(b->server.name, "a.relay.example");
	assert_string_equal(b->server.domain, "relay.example");
	assert_string_equal(b->simulator.domain, "simulator.relay.example");
	assert_int_equal(b->store.map_size_bytes, UINT64_C(64) << 30);
	assert_int_equal(b->log.level, LOG_DEBUG_);
	assert_int_equal(b->listener_count, 3);
	assert_null(conf_listener_find(b, BYTES("extra")));
	/* what follows from other settings follows them at once */
	assert_string_equal(conf_listener_find(b, BYTES("smtp"))->cert,
	    "/c2");
	assert_int_equal(
	    conf_listener_find(b, BYTES("smtp"))->max_connections, 5);
	assert_int_equal(
	    conf_listener_find(b, BYTES("submission"))->max_connections, 9);
	assert_string_equal(conf_listener_find(a, BYTES("smtp"))->cert,
	    "/c");
	assert_restart(a, b, "");

	/* the next reload leans on the first snapshot, not on the second */
	assert_restart(b, c, "server.name, listener.smtp, "
			     "listener.submission-alt, "
			     "listener.submissions, listener.submissions-alt");
	conf_keep(c, b);
	conf_unref(b);
	conf_unref(a);
	assert_string_equal(c->server.name, "a.relay.example");
	assert_int_equal(c->listener_count, 3);
	assert_null(conf_listener_find(c, BYTES("smtp"))->cert);
	assert_int_equal(
	    conf_listener_find(c, BYTES("smtp"))->max_connections, 5);
	assert_ptr_equal(conf_ref(c), c);
	conf_unref(c);
	conf_unref(c);
}

static void
count_setting(void *arg, const struct conf_setting *s)
{
	unsigned *n = arg;

	assert_true(s->type[0] != '\0' && s->help[0] != '\0');
	assert_non_null(s->default_text);
	n[s->is_later ? 1 : 0]++;
	if (strcmp(s->name, "message.received") == 0)
		assert_string_equal(s->type, "anonymous|full|none");
	if (strcmp(s->name, "listener.NAME.role") == 0) {
		assert_string_equal(s->type,
		    "list of submission|intake|local");
		assert_true(s->needs_restart);
	}
}

static void
test_known_settings(void **state)
{
	unsigned n[2] = { 0, 0 };

	(void)state;
	conf_known_settings(count_setting, n);
	assert_int_equal(n[0], 188);
	assert_int_equal(n[1], 40);
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
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_real_file),
		cmocka_unit_test(test_each_file),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_providers),
		cmocka_unit_test(test_local_and_admin),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_cidr),
		cmocka_unit_test(test_show),
		cmocka_unit_test(test_show_reads_back),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_known_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
