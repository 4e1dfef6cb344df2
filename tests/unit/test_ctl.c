/* SPDX-License-Identifier: ISC */
/* posthornctl: what operators type, the tables of commands, what is shown. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/ctl/ctl.h"

/* -- durations, sizes, times, amounts --------------------------------------------- */

static void
test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t	    ms; /* -1 = refused */
	} cases[] = { { "10", 10000 }, { "500ms", 500 }, { "10s", 10000 },
		{ "5m", 300000 }, { "6h", 21600000 }, { "14d", 1209600000 },
		{ "2w", 1209600000 }, { "0", 0 }, { "1.5h", 5400000 },
		{ "", -1 }, { "m", -1 }, { "-5m", -1 }, { "5 m", -1 },
		{ "5y", -1 }, { "1h30m", -1 }, { "1e300", -1 },
		{ "99999999999999w", -1 } };
	int64_t ms;
	size_t	i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ms = -1;
		assert_int_equal(ctl_parse_duration(cases[i].text, &ms),
		    cases[i].ms >= 0);
		assert_int_equal(ms, cases[i].ms);
	}
}

static void
test_sizes(void **state)
{
	static const struct {
		const char *text;
		bool	    good;
		uint64_t    octets;
	} cases[] = { { "1024", true, 1024 }, { "64k", true, 65536 },
		{ "40m", true, 41943040 }, { "1g", true, 1073741824 },
		{ "0", true, 0 }, { "", false, 0 }, { "k", false, 0 },
		{ "1kb", false, 0 }, { "-1", false, 0 }, { "1K", false, 0 },
		{ "999999999999999g", false, 0 } };
	uint64_t n;
	size_t	 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		n = 0;
		assert_int_equal(ctl_parse_size(cases[i].text, &n),
		    cases[i].good);
		assert_int_equal(n, cases[i].octets);
	}
}

static void
test_times(void **state)
{
	static const struct wall now = { 1714564800000 };
	static const struct {
		const char *text;
		int64_t	    ms; /* -1 = refused */
	} cases[] = {
		{ "2024-05-01T12:00:00Z", 1714564800000 },
		{ "2024-05-01T12:00:00", 1714564800000 },
		{ "2024-05-01T12:00:00.123Z", 1714564800123 },
		{ "2024-05-01T12:00", 1714564800000 },
		{ "2024-05-01", 1714521600000 },
		{ "1714564800", 1714564800000 },
		{ "now", 1714564800000 },
		{ "-15m", 1714564800000 - 900000 },
		{ "-7d", 1714564800000 - 604800000 },
		{ "+1h", 1714564800000 + 3600000 },
		{ "", -1 }, { "yesterday", -1 }, { "-", -1 },
		{ "2024-05-01T12:00:00X", -1 }, { "2024-13-01", -1 },
		{ "99999999999999999999", -1 },
	};
	struct wall w;
	size_t	    i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		w.ms = -1;
		assert_int_equal(ctl_parse_time(cases[i].text, now, &w),
		    cases[i].ms >= 0);
		if (cases[i].ms >= 0)
			assert_int_equal(w.ms, cases[i].ms);
	}
}

static void
test_amounts(void **state)
{
	static const struct {
		const char *text;
		bool	    good;
		double	    n;
	} cases[] = { { "200", true, 200 }, { "0.5", true, 0.5 },
		{ "unlimited", true, -1 }, { "-1", true, -1 },
		{ "-2", false, 0 }, { "x", false, 0 }, { "", false, 0 },
		{ "1x", false, 0 }, { "1e15", false, 0 } };
	double n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		n = 0;
		assert_int_equal(ctl_parse_amount(cases[i].text, &n),
		    cases[i].good);
		if (cases[i].good)
			assert_true(n == cases[i].n);
	}
}

/* -- the small language of arguments ------------------------------------------------ */

static const struct ctl_command sample = {
	.verb = "queue sample",
	.arguments = "id other...?",
	.options = "force:flag to:text types:words tag:many n:int size:size "
		   "keep:duration since:time end:expires max:amount",
};

/* The arguments as JSON; NULL = usage error. */
static char *
arguments_of(const struct ctl_command *k, const char *line)
{
	char	  *copy = strdup(line), *argv[32], *p;
	struct ctl c = { .command = k, .args = json_object() };
	int	   argc = 0, used = 0;
	char	  *out = NULL;

	for (p = strtok(copy, " "); p != NULL; p = strtok(NULL, " "))
		argv[argc++] = p;
	if (ctl_read_arguments(&c, argc, argv, &used))
		out = json_dumps(c.args, JSON_COMPACT | JSON_SORT_KEYS |
		    JSON_REAL_PRECISION(15));
	json_decref(c.args);
	free(copy);
	return out;
}

static void
test_arguments(void **state)
{
	static const struct {
		const char *line, *json; /* NULL = refused */
	} cases[] = {
		{ "a", "{\"id\":\"a\"}" },
		{ "a b c", "{\"id\":\"a\",\"other\":[\"b\",\"c\"]}" },
		{ "a --force", "{\"force\":true,\"id\":\"a\"}" },
		{ "--to x a", "{\"id\":\"a\",\"to\":\"x\"}" },
		{ "--to=x a", "{\"id\":\"a\",\"to\":\"x\"}" },
		{ "a --types x,y --types=z",
		    "{\"id\":\"a\",\"types\":[\"x\",\"y\",\"z\"]}" },
		{ "a --types=", "{\"id\":\"a\",\"types\":[]}" },
		{ "a --tag k=v,w --tag l=",
		    "{\"id\":\"a\",\"tag\":[\"k=v,w\",\"l=\"]}" },
		{ "a --n -3", "{\"id\":\"a\",\"n\":-3}" },
		{ "a --size 1k", "{\"id\":\"a\",\"size\":1024}" },
		{ "a --keep 24h", "{\"id\":\"a\",\"keep\":86400000}" },
		{ "a --since 1714564800",
		    "{\"id\":\"a\",\"since\":1714564800000}" },
		{ "a --end never", "{\"end\":0,\"id\":\"a\"}" },
		{ "a --max unlimited", "{\"id\":\"a\",\"max\":-1.0}" },
		{ "a -- --to", "{\"id\":\"a\",\"other\":[\"--to\"]}" },
		{ "", NULL },
		{ "a --nope", NULL },
		{ "a --fo", NULL },
		{ "a --to", NULL },
		{ "a --force=yes", NULL },
		{ "a --to x --to y", NULL },
		{ "a --n x", NULL },
		{ "a --n 3x", NULL },
		{ "a --n 9223372036854775808", NULL },
		{ "a --size big", NULL },
		{ "a --since later", NULL },
		{ "a --max much", NULL },
	};
	char  *json;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json = arguments_of(&sample, cases[i].line);
		if (cases[i].json == NULL)
			assert_null(json);
		else {
			assert_non_null(json);
			assert_string_equal(json, cases[i].json);
		}
		free(json);
	}
	json = arguments_of(&(struct ctl_command){ .verb = "x" }, "a");
	assert_null(json);
}

/* -- the tables ------------------------------------------------------------------------ */

/* Each row is whole: one to three words, known kinds, a way to be shown. */
static void
test_tables(void **state)
{
	static const char *const kinds[] = { "flag", "text", "words", "many",
		"int", "amount", "size", "duration", "time", "expires",
		"file", "input" };
	const struct ctl_command *k;
	const char		 *p, *colon;
	size_t			  t, i, n;

	(void)state;
	for (t = 0; ctl_tables[t] != NULL; t++)
		for (k = ctl_tables[t]; k->verb != NULL; k++) {
			/* at most three words */
			p = strchr(k->verb, ' ');
			p = p != NULL ? strchr(p + 1, ' ') : NULL;
			assert_true(p == NULL || strchr(p + 1, ' ') == NULL);
			if (k->list != NULL)
				assert_non_null(k->columns);
			for (p = k->options; p != NULL && *p != '\0';
			     p += n + strspn(p + n, " ")) {
				n = strcspn(p, " ");
				colon = memchr(p, ':', n);
				assert_non_null(colon);
				for (i = 0; i < sizeof(kinds) /
					 sizeof(kinds[0]); i++)
					if (strlen(kinds[i]) ==
						n - (size_t)(colon - p) - 1 &&
					    strncmp(colon + 1, kinds[i],
						strlen(kinds[i])) == 0)
						break;
				assert_true(i < sizeof(kinds) /
				    sizeof(kinds[0]));
			}
		}
}

static void
test_no_command_twice(void **state)
{
	const struct ctl_command *a, *b;
	size_t			  s, t;

	(void)state;
	for (s = 0; ctl_tables[s] != NULL; s++)
		for (a = ctl_tables[s]; a->verb != NULL; a++)
			for (t = 0; ctl_tables[t] != NULL; t++)
				for (b = ctl_tables[t]; b->verb != NULL; b++)
					assert_true(a == b ||
					    strcmp(a->verb, b->verb) != 0);
}

/* -- what is shown ------------------------------------------------------------------------- */

/* What fn writes to standard output. */
static char *
printed(void (*fn)(struct ctl *c, json_t *v, const char *columns),
    struct ctl *c, const char *json, const char *columns)
{
	static char text[8192];
	json_t	   *v = json_loads(json, JSON_DECODE_ANY, NULL);
	char	    path[] = "/tmp/posthorn-ctl-XXXXXX";
	int	    fd = mkstemp(path), kept = dup(1);
	ssize_t	    n;

	assert_non_null(v);
	fflush(stdout);
	dup2(fd, 1);
	fn(c, v, columns);
	fflush(stdout);
	dup2(kept, 1);
	close(kept);
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
	unlink(path);
	json_decref(v);
	return text;
}

static const char rows[] = "[{\"Name\":\"a\",\"N\":5,\"On\":true,"
    "\"At\":\"2024-05-01T12:00:00.120Z\",\"In\":{\"X\":null}},"
    "{\"Name\":\"Gr\\u00fc\\u00dfe, \\\"b\\\"\",\"N\":1200,\"On\":false,"
    "\"At\":null,\"In\":{\"X\":[\"p\",\"q\"]}}]";
static const char columns[] = "name=Name n=N on=On at=At x=In.X";

static void
test_table_text(void **state)
{
	struct ctl c = { .form = CTL_TEXT };

	(void)state;
	assert_string_equal(printed(ctl_print_table, &c, rows, columns),
	    "name           n  on   at                    x\n"
	    "a              5  yes  2024-05-01T12:00:00Z  -\n"
	    "Gr\xc3\xbc\xc3\x9f" "e, \"b\"  1200  no   -                     "
	    "p,q\n");
	c.no_header = true;
	assert_string_equal(printed(ctl_print_table, &c, "[]", columns), "");
	c.no_header = false;
	assert_string_equal(printed(ctl_print_table, &c, "[]", "a=A b=B"),
	    "a  b\n");
}

static void
test_table_csv(void **state)
{
	struct ctl c = { .form = CTL_CSV };

	(void)state;
	assert_string_equal(printed(ctl_print_table, &c, rows, columns),
	    "name,n,on,at,x\n"
	    "a,5,yes,2024-05-01T12:00:00Z,-\n"
	    "\"Gr\xc3\xbc\xc3\x9f" "e, \"\"b\"\"\",1200,no,-,\"p,q\"\n");
}

static void
print_values(struct ctl *c, json_t *v, const char *unused)
{
	(void)unused;
	ctl_print_values(c, v);
}

static void
test_values(void **state)
{
	struct ctl c = { .form = CTL_TEXT };

	(void)state;
	assert_string_equal(printed(print_values, &c,
		"{\"A\":\"x\",\"Long\":{\"B\":-1.0,\"C\":0.5},\"D\":[],"
		"\"E\":[{\"F\":1}],\"G\":\"\"}", NULL),
	    "A       x\n"
	    "Long.B  unlimited\n"
	    "Long.C  0.5\n"
	    "D       -\n"
	    "E[0].F  1\n"
	    "G       -\n");
}

static void
print_json(struct ctl *c, json_t *v, const char *unused)
{
	(void)c;
	(void)unused;
	ctl_print_json(v);
}

/* Texts of strangers are not for the terminal, however they are shown. */
static void
test_controls(void **state)
{
	struct ctl c = { .form = CTL_JSON };

	(void)state;
	assert_string_equal(printed(print_json, &c,
		"\"a\\u001b[1m\\u007f\\u009b31m \\u00e9\"", NULL),
	    "\"a\\u001B[1m\\u007F\\u009B31m \xc3\xa9\"\n");
	c.form = CTL_TEXT;
	assert_string_equal(printed(print_values, &c,
		"{\"a\\u001b\\u009b\":1}", NULL), "a???  1\n");
}

/* admin-cli.md 3: four blanks, one member a line, order kept */
static void
test_json(void **state)
{
	struct ctl c = { .form = CTL_JSON };

	(void)state;
	assert_string_equal(printed(print_json, &c,
		"{\"B\":200.0,\"A\":[],\"C\":[{\"D\":0.1}]}", NULL),
	    "{\n    \"B\": 200.0,\n    \"A\": [],\n    \"C\": [\n"
	    "        {\n            \"D\": 0.1\n        }\n    ]\n}\n");
}

static void
test_spans(void **state)
{
	char text[32];

	(void)state;
	ctl_span_text(2, text);
	assert_string_equal(text, "00:00:02");
	ctl_span_text(7 * 3600 + 12 * 60 + 44, text);
	assert_string_equal(text, "07:12:44");
	ctl_span_text(86400 + 2 * 3600 + 600, text);
	assert_string_equal(text, "1d 02:10");
	ctl_octets_text(0, text);
	assert_string_equal(text, "0 B");
	ctl_octets_text(1100000, text);
	assert_string_equal(text, "1.1 MB");
	ctl_octets_text(310000, text);
	assert_string_equal(text, "310 kB");
}

/* -- descriptors ------------------------------------------------------------------------------ */

static void
test_descriptors(void **state)
{
	struct ctl c = { .args = json_object() };
	int	   fd, pipes[2];
	unsigned   i;
	char	   text[8] = "";

	(void)state;
	assert_int_equal(ctl_add_memory(&c, "message", &fd), 0);
	assert_int_equal(json_integer_value(json_object_get(c.args,
			     "message")), 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(write(pipes[1], "hello", 5), 5);
	close(pipes[1]);
	assert_true(ctl_copy_fd(pipes[0], fd));
	assert_int_equal(pread(fd, text, sizeof(text), 0), 5);
	assert_string_equal(text, "hello");
	for (i = c.fd_count; i < CTL_FDS_MAX; i++)
		assert_int_equal(ctl_add_fd(&c, 0), (int)i);
	assert_int_equal(ctl_add_fd(&c, 0), -1);
	close(pipes[0]);
	close(fd);
	json_decref(c.args);
}

/* -- what is sent ---------------------------------------------------------------------------- */

/* Nothing of it may get lost: without its account a command means another. */
static void
test_not_utf8(void **state)
{
	struct ctl c = { .args = json_object(), .socket_path = "/nowhere",
		.account = "\xff" };
	json_t	  *result;

	(void)state;
	assert_int_equal(ctl_call(&c, "queue list", NULL, &result),
	    CTL_USAGE);
	assert_null(result);
	c.account = NULL;
	json_object_set_new(c.args, "id", json_string_nocheck("\xc3"));
	assert_int_equal(ctl_call(&c, "queue list", NULL, &result),
	    CTL_USAGE);
	json_object_clear(c.args);
	assert_int_equal(ctl_call(&c, "queue list", NULL, &result),
	    CTL_UNREACHABLE);
	json_decref(c.args);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_amounts),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_no_command_twice),
		cmocka_unit_test(test_table_text),
		cmocka_unit_test(test_table_csv),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_controls),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_not_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
