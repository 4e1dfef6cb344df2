/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "daemon/audit.h"

static const struct wall then = { 1772446530000 }; /* 2026-03-02T10:15:30Z */

static struct audit_record
record_of(const char *name)
{
	struct audit_record r = { .at = then, .event_name = name,
		.account = "123456789012" };

	return r;
}

static const char *
text_at(json_t *j, const char *a, const char *b)
{
	j = json_object_get(j, a);
	if (b != NULL)
		j = json_object_get(j, b);
	return json_is_string(j) ? json_string_value(j) : "(none)";
}

/* The members of admin-cli.md 13, in that order. */
static void
test_form(void **state)
{
	static const char begin[] = "{\"eventVersion\":\"1.02\",\"eventTime\":"
	    "\"2026-03-02T10:15:30Z\",\"eventSource\":\"ses.amazonaws.com\","
	    "\"eventName\":\"CreateEmailIdentity\",\"eventType\":"
	    "\"PosthornctlCall\",\"awsRegion\":\"us-east-1\","
	    "\"recipientAccountId\":\"123456789012\",\"requestID\":\"";
	struct audit_record r = record_of("CreateEmailIdentity");
	struct buf	    b;
	json_t		   *j;

	(void)state;
	buf_init(&b, 65536);
	r.parameters = BYTES("{\"emailIdentity\":\"example.com\"}");
	assert_true(audit_format("us-east-1", &r, &b));
	assert_true(bytes_starts(buf_bytes(&b), BYTES(begin)));
	j = json_loadb(b.p, b.n, 0, NULL);
	assert_non_null(j);
	assert_string_equal(text_at(j, "sourceIPAddress", NULL), "unix");
	assert_int_equal(strncmp(text_at(j, "userAgent", NULL),
			     "posthornctl/", 12), 0);
	assert_string_equal(text_at(j, "userIdentity", "type"), "Operator");
	assert_string_equal(text_at(j, "userIdentity", "arn"),
	    "arn:aws:iam::123456789012:root");
	assert_string_equal(text_at(j, "userIdentity", "principalId"),
	    "uid:0");
	assert_string_equal(text_at(j, "userIdentity", "userName"), "root");
	assert_string_equal(text_at(j, "requestParameters", "emailIdentity"),
	    "example.com");
	assert_true(json_is_null(json_object_get(j, "responseElements")));
	assert_null(json_object_get(j, "errorCode"));
	assert_int_equal(strlen(text_at(j, "requestID", NULL)), 36);
	assert_int_equal(text_at(j, "eventID", NULL)[14], '4');
	json_decref(j);
	buf_wipe(&b);
}

static void
test_failed_and_hostile(void **state)
{
	struct audit_record r = record_of("QueueHold");
	struct buf	    b;
	json_t		   *j;

	(void)state;
	buf_init(&b, 65536);
	r.uid = 1000;
	r.user_name = "a\"b\n";
	r.error_code = "NotFoundException";
	r.error_message = "no such \"message\"";
	assert_true(audit_format("eu-west-1", &r, &b));
	assert_int_equal(bytes_find(buf_bytes(&b), 0, '\n'), -1);
	j = json_loadb(b.p, b.n, 0, NULL);
	assert_non_null(j);
	assert_string_equal(text_at(j, "userIdentity", "userName"), "a\"b\n");
	assert_string_equal(text_at(j, "errorCode", NULL),
	    "NotFoundException");
	assert_string_equal(text_at(j, "errorMessage", NULL),
	    "no such \"message\"");
	assert_true(json_is_null(json_object_get(j, "requestParameters")));
	json_decref(j);
	buf_wipe(&b);
}

struct seen {
	unsigned n;
	char	 last[64], first[64];
	unsigned stop_after;
};

static bool
on_line(void *arg, struct bytes line)
{
	struct seen *s = arg;
	struct bytes name;

	assert_true(audit_member(line, "eventName", &name));
	if (s->n++ == 0)
		bytes_text(name, s->first, sizeof(s->first));
	bytes_text(name, s->last, sizeof(s->last));
	return s->stop_after == 0 || s->n < s->stop_after;
}

static void
on_written(void *arg, struct bytes line)
{
	(void)on_line(arg, line);
}

static void
test_write_and_read(void **state)
{
	char		    path[] = "/tmp/posthorn-audit-XXXXXX";
	int		    fd = mkstemp(path);
	struct audit	   *a, *reader;
	struct audit_record r;
	struct seen	    s = { 0 }, heard = { 0 };
	struct err	    e;
	char		    name[32], long_text[3000];
	unsigned	    i;

	(void)state;
	assert_true(fd >= 0);
	fcntl(fd, F_SETFL, O_APPEND);
	a = audit_open(fd, "us-east-1");
	audit_listen(a, on_written, &heard);
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "Event%u", i);
		r = record_of(name);
		r.at.ms += (int64_t)i * 1000;
		r.user_name = i % 3 == 0 ? long_text : "root";
		audit_write(a, &r);
	}
	assert_int_equal(heard.n, 200);
	reader = audit_reader(a);
	assert_int_equal(audit_read(reader, (struct wall){ 0 }, SIZE_MAX,
			     on_line, &s, &e), 0);
	assert_int_equal(s.n, 200);
	assert_string_equal(s.first, "Event0");
	assert_string_equal(s.last, "Event199");
	memset(&s, 0, sizeof(s));
	assert_int_equal(audit_read(reader, (struct wall){ 0 }, 7, on_line, &s,
			     &e), 0);
	assert_int_equal(s.n, 7);
	assert_string_equal(s.first, "Event193");
	memset(&s, 0, sizeof(s));
	assert_int_equal(audit_read(reader,
			     (struct wall){ then.ms + 150000 }, SIZE_MAX,
			     on_line, &s, &e), 0);
	assert_int_equal(s.n, 50);
	assert_string_equal(s.first, "Event150");
	memset(&s, 0, sizeof(s));
	s.stop_after = 3;
	assert_int_equal(audit_read(reader, (struct wall){ 0 }, SIZE_MAX,
			     on_line, &s, &e), 0);
	assert_int_equal(s.n, 3);
	audit_close(reader);
	audit_close(a);
	unlink(path);
}

static void
test_member(void **state)
{
	struct bytes v;

	(void)state;
	assert_true(audit_member(BYTES("{\"a\":\"x\\\"y\",\"b\":\"z\"}"), "a",
	    &v));
	assert_true(bytes_eq_text(v, "x\\\"y"));
	assert_true(audit_member(BYTES("{\"a\":\"x\\\"y\",\"b\":\"z\"}"), "b",
	    &v));
	assert_true(bytes_eq_text(v, "z"));
	assert_false(audit_member(BYTES("{\"a\":1}"), "a", &v));
	assert_false(audit_member(BYTES("{\"a\":\"x"), "a", &v));
	assert_false(audit_member(BYTES(""), "a", &v));
}

static void
test_trim(void **state)
{
	char		    path[] = "/tmp/posthorn-audit-XXXXXX";
	int		    fd = mkstemp(path);
	struct audit	   *a;
	struct audit_record r;
	struct seen	    s = { 0 };
	struct err	    e;
	char		    name[32];
	int64_t		    copied;
	unsigned	    i;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(audit_trim("/nonexistent/audit", then, &copied,
		&e), 0);
	fcntl(fd, F_SETFL, O_APPEND);
	a = audit_open(fd, "us-east-1");
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "Event%u", i);
		r = record_of(name);
		r.at.ms += (int64_t)i * 1000;
		audit_write(a, &r);
	}
	audit_close(a);
	/* all are young enough, then some, then none */
	assert_int_equal(audit_trim(path, then, &copied, &e), 0);
	assert_int_equal(copied, -1);
	for (i = 0; i < 3; i++) {
		static const int64_t ages[] = { 0, 700, 5000 };
		static const unsigned left[] = { 1000, 300, 0 };

		assert_int_equal(audit_trim(path,
				     (struct wall){ then.ms + ages[i] * 1000 },
				     &copied, &e), 0);
		a = audit_open(open(path, O_RDWR | O_APPEND), "us-east-1");
		memset(&s, 0, sizeof(s));
		assert_int_equal(audit_read(a, (struct wall){ 0 }, SIZE_MAX,
				     on_line, &s, &e), 0);
		assert_int_equal(s.n, left[i]);
		if (i == 1)
			assert_string_equal(s.first, "Event700");
		audit_close(a);
	}
	unlink(path);
}

/* A writer goes on while its file is shortened: none of its lines is lost. */
static void
test_trim_under_writer(void **state)
{
	char		    path[] = "/tmp/posthorn-audit-XXXXXX";
	int		    fd = mkstemp(path);
	struct audit	   *a = audit_open(fd, "us-east-1");
	struct audit_record r = record_of("Old");
	struct seen	    s = { 0 };
	struct err	    e;
	int64_t		    copied;

	(void)state;
	assert_true(fd >= 0);
	fcntl(fd, F_SETFL, O_APPEND);
	audit_write(a, &r);
	r = record_of("Young");
	r.at.ms += 1000 * 1000;
	audit_write(a, &r);
	assert_int_equal(audit_trim(path, (struct wall){ then.ms + 1000 },
			     &copied, &e), 0);
	assert_true(copied > 0);
	r.event_name = "Meanwhile";
	audit_write(a, &r);
	audit_reopen(a, open(path, O_RDWR | O_APPEND), copied);
	r.event_name = "After";
	audit_write(a, &r);
	assert_int_equal(audit_read(a, (struct wall){ 0 }, SIZE_MAX, on_line,
			     &s, &e), 0);
	assert_int_equal(s.n, 3);
	assert_string_equal(s.first, "Young");
	audit_close(a);
	unlink(path);
}

/* The disk takes a piece of a line: none of it stays, and the next is whole. */
static void
test_no_room(void **state)
{
	char		    path[] = "/tmp/posthorn-audit-XXXXXX";
	int		    fd = mkstemp(path);
	struct audit_record r = record_of("First");
	struct rlimit	    before, now;
	struct seen	    s = { .n = 0 };
	struct stat	    st;
	struct audit	   *a;
	struct err	    e;
	off_t		    size;

	(void)state;
	close(fd);
	signal(SIGXFSZ, SIG_IGN);
	a = audit_open(open(path, O_RDWR | O_APPEND), "us-east-1");
	audit_write(a, &r);
	assert_int_equal(stat(path, &st), 0);
	size = st.st_size;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	now = before;
	now.rlim_cur = (rlim_t)size + 30;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
	r.event_name = "Second";
	audit_write(a, &r);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, size);
	r.event_name = "Third";
	audit_write(a, &r);
	assert_int_equal(audit_read(a, (struct wall){ 0 }, SIZE_MAX, on_line,
			     &s, &e), 0);
	assert_int_equal(s.n, 2);
	audit_close(a);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_failed_and_hostile),
		cmocka_unit_test(test_write_and_read),
		cmocka_unit_test(test_member),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_trim_under_writer),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
