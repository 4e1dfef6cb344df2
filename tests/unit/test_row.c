/* SPDX-License-Identifier: ISC */
/* Lines of a long list: what is read of them is what jansson reads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl/row.h"

static const char *const good[] = {
	"{\"line\":{\"A\":\"b\"}}",
	"{\"line\":{\"A\":\"\",\"B\":null,\"C\":true,\"D\":false}}",
	"{\"line\":{\"N\":0,\"M\":-7,\"O\":123456789012345678}}",
	"{\"line\":{\"HeldBy\":[],\"L\":[\"account\",\"operator\"]}}",
	"{\"line\":{\"R\":\"451 \\\"4.3.0\\\" \\\\ \\u00e4\\n\\t\\u001b\"}}",
	"{\"line\":{\"S\":\"\\ud83d\\ude00 \xc3\xa4 \xe2\x82\xac\\u20ac\"}}",
	"{\"line\":{\"S\":\"\\u007f\\u0000\\u07ff\\uffff\\/\\b\\f\\r\"}}",
};

static void
test_rows(void **state)
{
	struct row  r;
	struct buf  out;
	json_t	   *line, *mine, *theirs;
	char	   *text;
	size_t	    i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(row_read(bytes_of(good[i]), &r));
		line = json_loads(good[i], JSON_ALLOW_NUL, NULL);
		theirs = json_object_get(line, "line");
		assert_non_null(theirs);
		assert_int_equal(r.count, json_object_size(theirs));
		buf_init(&out, 65536);
		row_write(&r, 0, &out);
		mine = json_loadb(out.p, out.n, JSON_ALLOW_NUL, NULL);
		assert_non_null(mine);
		assert_true(json_equal(mine, theirs));
		/* on its lines as jansson prints it, but for the escapes */
		text = json_dumps(theirs, JSON_INDENT(4));
		if (strchr(good[i], '\\') == NULL)
			assert_true(bytes_eq(buf_bytes(&out),
			    bytes_of(text)));
		free(text);
		buf_wipe(&out);
		json_decref(mine);
		json_decref(line);
	}
}

static void
test_texts(void **state)
{
	struct row		 r;
	const struct row_member *m;
	struct buf		 out;
	json_t			*line, *v;
	const char		*name;
	size_t			 i, seen = 0;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(row_read(bytes_of(good[i]), &r));
		line = json_loads(good[i], JSON_ALLOW_NUL, NULL);
		json_object_foreach(json_object_get(line, "line"), name, v) {
			m = row_find(&r, name);
			assert_non_null(m);
			if (!json_is_string(v))
				continue;
			assert_int_equal(m->kind, ROW_TEXT);
			buf_init(&out, 65536);
			assert_true(row_unescape(m->value, &out));
			assert_true(bytes_eq(buf_bytes(&out),
			    (struct bytes){ json_string_value(v),
			    json_string_length(v) }));
			buf_wipe(&out);
			seen++;
		}
		assert_null(row_find(&r, "Z"));
		json_decref(line);
	}
	assert_int_equal(seen, 5);
}

static void
test_no_rows(void **state)
{
	static const char *const bad[] = { "", "{", "{\"line\":", "{}",
		"{\"line\":{}}", "{\"line\":[1]}", "{\"line\":\"text\"}",
		"{\"result\":{\"A\":1}}", "{\"line\":{\"A\":1}",
		"{\"line\":{\"A\":1}} ", "{\"line\":{\"A\":1},\"b\":2}",
		"{\"line\":{\"A\":{\"B\":1}}}", "{\"line\":{\"A\":[1]}}",
		"{\"line\":{\"A\":[[]]}}", "{\"line\":{\"A\":1.5}}",
		"{\"line\":{\"A\":01}}", "{\"line\":{\"A\":-}}",
		"{\"line\":{\"A\":1234567890123456789}}",
		"{\"line\":{\"A\":nul}}", "{\"line\":{\"A\" :1}}",
		"{\"line\":{\"A\":\"\\x\"}}", "{\"line\":{\"A\":\"\\u12g4\"}}",
		"{\"line\":{\"A\":\"\\udc00\"}}",
		"{\"line\":{\"A\":\"\\ud800\"}}",
		"{\"line\":{\"A\":\"\\ud800\\u0041\"}}",
		"{\"line\":{\"A\":\"\n\"}}", "{\"line\":{\"A\":\"b}}",
		"{\"line\":{\"A\":\"b\\\"}}", "{\"line\":{A:1}}",
		"{\"line\":{\"L\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\","
		"\"8\",\"9\"]}}" };
	struct row r;
	size_t	   i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (row_read(bytes_of(bad[i]), &r))
			fail_msg("taken: %s", bad[i]);
}

/* As many members as there is room for, and one more. */
static void
test_many_members(void **state)
{
	struct buf line;
	struct row r;
	int	   i, n;

	(void)state;
	for (n = ROW_MEMBERS_MAX; n <= ROW_MEMBERS_MAX + 1; n++) {
		buf_init(&line, 65536);
		buf_add_text(&line, "{\"line\":{\"m0\":0");
		for (i = 1; i < n; i++)
			buf_printf(&line, ",\"m%d\":%d", i, i);
		buf_add_text(&line, "}}");
		assert_int_equal(row_read(buf_bytes(&line), &r),
		    n == ROW_MEMBERS_MAX);
		buf_wipe(&line);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_no_rows),
		cmocka_unit_test(test_many_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
