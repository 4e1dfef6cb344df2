/* SPDX-License-Identifier: ISC */
/* The configuration: files, display, reload. */
#include "conf_world.h"
#include "temp_folder.h"

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
	char path[TEMP_FOLDER_SIZE], file[96];
};

static void
folder_make(struct folder *f, const char *text, mode_t mode)
{
	FILE *out;

	temp_folder_make(f->path, "conf");
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
	temp_folder_remove(f->path);
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
	assert_int_equal(n[0], 200);
	assert_int_equal(n[1], 28);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_real_file),
		cmocka_unit_test(test_each_file),
		cmocka_unit_test(test_show),
		cmocka_unit_test(test_show_reads_back),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_known_settings),
	};

	return cmocka_run_group_tests_name("conf_file", tests, NULL, NULL);
}
