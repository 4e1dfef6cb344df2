/* SPDX-License-Identifier: ISC */
/* System events (events.md 12): their form, and the file. */
#include "fake_clock.c"
#include "fake_thread.c"
#include "reporting_world.h"

#include <sys/stat.h>

#include <jansson.h>

static int
make(void **state)
{
	struct rw *w = calloc(1, sizeof(*w));

	rw_open(w);
	rw_begin(w);
	*state = w;
	return 0;
}

static int
unmake(void **state)
{
	struct rw *w = *state;

	rw_close(w);
	free(w);
	return 0;
}

static void
tell(struct rw *w, const char *type, const char *identity, const char *data)
{
	struct bulletin_news n = { type, rw_account, identity, data };

	assert_true(reporter_post_news(w->reporter, &n));
	rw_pass(w, 0);
	rw_pass(w, 0);
}

/* The nth line of the file, read; NULL = there is none. */
static json_t *
line_of(struct rw *w, const char *name, unsigned n)
{
	char	path[256], text[8192];
	json_t *o = NULL;
	FILE   *f;

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	f = fopen(path, "r");
	while (f != NULL && fgets(text, sizeof(text), f) != NULL)
		if (n-- == 0) {
			o = json_loads(text, 0, NULL);
			assert_non_null(o);
		}
	if (f != NULL)
		fclose(f);
	return o;
}

static const char *
member(json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static void
test_form(void **state)
{
	struct rw *w = *state;
	json_t	  *o;

	tell(w, "DKIM Status Change", "example.com", "PENDING -> SUCCESS");
	o = line_of(w, "system.jsonl", 0);
	assert_non_null(o);
	assert_string_equal(member(o, "version"), "0");
	assert_int_equal(strlen(member(o, "id")), 36);
	assert_int_equal(member(o, "id")[14], '4');
	assert_string_equal(member(o, "detail-type"), "DKIM Status Change");
	assert_string_equal(member(o, "source"), "aws.ses");
	assert_string_equal(member(o, "account"), rw_account);
	assert_string_equal(member(o, "region"), "us-east-1");
	assert_int_equal(strlen(member(o, "time")), 20);
	assert_string_equal(json_string_value(json_array_get(
	    json_object_get(o, "resources"), 0)),
	    "arn:aws:ses:us-east-1:123456789012:identity/example.com");
	assert_string_equal(member(json_object_get(o, "detail"), "version"),
	    "1.0.0");
	assert_string_equal(member(json_object_get(o, "detail"), "data"),
	    "PENDING -> SUCCESS");
	json_decref(o);
	/* of no identity, with what JSON has to escape; behind the first */
	tell(w, "Sending Status Disabled", NULL, "\"x\"\n\x01\\");
	o = line_of(w, "system.jsonl", 1);
	assert_non_null(o);
	assert_int_equal(json_array_size(json_object_get(o, "resources")), 0);
	assert_string_equal(member(json_object_get(o, "detail"), "data"),
	    "\"x\"\n\x01\\");
	json_decref(o);
}

/* Warnings of others are events by themselves, also those mailed once. */
static void
test_warnings(void **state)
{
	struct rw *w = *state;
	json_t	  *o;
	unsigned   i;

	for (i = 0; i < 2; i++) {
		assert_true(reporter_post_warning(w->reporter, rw_account,
		    "credential-attack", "AKIA: 20 failures"));
		rw_pass(w, 0);
		rw_pass(w, 0);
	}
	assert_true(reporter_post_warning(w->reporter, rw_account, "other",
	    "x"));
	rw_pass(w, 0);
	rw_pass(w, 0);
	o = line_of(w, "system.jsonl", 1);
	assert_non_null(o);
	assert_string_equal(member(o, "detail-type"), "Credential Attack");
	json_decref(o);
	assert_null(line_of(w, "system.jsonl", 2));
}

static unsigned
count(const struct rw *w, const char *text)
{
	struct bytes log = buf_bytes(&w->log);
	unsigned     n = 0;
	ptrdiff_t    at;

	while ((at = bytes_find_nocase(log, bytes_of(text))) >= 0) {
		log = bytes_from(log, (size_t)at + 1);
		n++;
	}
	return n;
}

/* What cannot be written is lost, and one line tells of it. */
static void
test_no_file(void **state)
{
	struct rw *w = *state;
	char	   path[256];
	json_t	  *o;

	snprintf(path, sizeof(path), "%s/system.jsonl", w->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	tell(w, "Quota Warning", NULL, "80 %: 160 of 200");
	tell(w, "Quota Warning", NULL, "100 %: 200 of 200");
	assert_int_equal(count(w, "system-events-lost"), 1);
	assert_int_equal(rmdir(path), 0);
	tell(w, "Quota Warning", NULL, "80 %: 160 of 200");
	o = line_of(w, "system.jsonl", 0);
	assert_non_null(o);
	json_decref(o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_form, make, unmake),
		cmocka_unit_test_setup_teardown(test_warnings, make, unmake),
		cmocka_unit_test_setup_teardown(test_no_file, make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
