/* SPDX-License-Identifier: ISC */
/* registry/json_reader.h: what is refused, with its place; what is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "registry/book.h"
#include "registry/json_reader.h"

struct read_in {
	char	 text[6];
	bool	 is_on;
	uint64_t number;
	int	 word;
	unsigned items;
};
static const char *const colours[] = { "", "RED", "GREEN", NULL };

static int
read_name(struct json_reader *r, const json_t *v)
{
	struct read_in *in = r->into;

	return json_read_copy(r, v, in->text, sizeof(in->text));
}

static int
read_on(struct json_reader *r, const json_t *v)
{
	return json_read_bool(r, v, &((struct read_in *)r->into)->is_on);
}

static int
read_count(struct json_reader *r, const json_t *v)
{
	return json_read_number(r, v, 2, 9,
	    &((struct read_in *)r->into)->number);
}

static int
read_colour(struct json_reader *r, const json_t *v)
{
	struct read_in *in = r->into;

	in->items++;
	return json_read_word(r, v, colours, &in->word);
}

static int
read_colours(struct json_reader *r, const json_t *v)
{
	return json_read_list(r, v, read_colour);
}

static int
read_inner(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = { { "Count", read_count },
		{ "Colours", read_colours }, { NULL, NULL } };

	return json_read_object(r, v, members);
}

static const struct json_member outer[] = { { "Name", read_name },
	{ "On", read_on }, { "Inner", read_inner },
	{ "Since", json_read_nothing }, { NULL, NULL } };

static int
read_all(const char *text, struct read_in *in, struct err *e)
{
	struct json_reader r = { .err = e, .into = in };

	memset(in, 0, sizeof(*in));
	return json_read_document(&r, bytes_of(text), 1024, outer);
}

static void
values_come(void **state)
{
	struct read_in in;
	struct err     e;

	(void)state;
	assert_int_equal(read_all("{\"Name\":\"abcde\",\"On\":true,"
	    "\"Since\":[1],\"Inner\":{\"Count\":9,"
	    "\"Colours\":[\"red\",\"Green\"]}}", &in, &e), 0);
	assert_string_equal(in.text, "abcde");
	assert_true(in.is_on);
	assert_int_equal(in.number, 9);
	assert_int_equal(in.items, 2);
	assert_int_equal(in.word, 2);
	/* null: as if it were not there */
	assert_int_equal(read_all("{\"Name\":null,\"Inner\":null}", &in, &e),
	    0);
	assert_string_equal(in.text, "");
}

static void
refusals_have_their_place(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "line 1" },
		{ "{\"On\":true,\"On\":true}", "duplicate" },
		{ "[]", "the document: is not an object" },
		{ "{\"Inner\":[]}", "Inner: is not an object" },
		{ "{\"Nmae\":null}", "Nmae: unknown member" },
		{ "{\"Inner\":{\"X\":1}}", "Inner.X: unknown member" },
		{ "{\"Name\":1}", "Name: is not a text" },
		{ "{\"Name\":\"a\\u0000b\"}", "NUL" },
		{ "{\"Name\":\"abcdef\"}", "Name: is longer than 5 octets" },
		{ "{\"On\":1}", "On: is not true or false" },
		{ "{\"Inner\":{\"Count\":1}}",
		    "Inner.Count: is not a number from 2 to 9" },
		{ "{\"Inner\":{\"Count\":10}}", "Count: is not a number" },
		{ "{\"Inner\":{\"Count\":-2}}", "Count: is not a number" },
		{ "{\"Inner\":{\"Count\":2.5}}", "Count: is not a number" },
		{ "{\"Inner\":{\"Colours\":\"red\"}}",
		    "Inner.Colours: is not a list" },
		{ "{\"Inner\":{\"Colours\":[\"red\",\"blue\"]}}",
		    "Inner.Colours[1]: blue is not one of RED, GREEN" },
		{ "{\"Inner\":{\"Colours\":[\"\"]}}",
		    "Inner.Colours[0]:  is not one of RED, GREEN" },
	};
	struct read_in in;
	struct err     e;
	size_t	       i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(read_all(rows[i].text, &in, &e), -1);
		assert_int_equal(e.code, BOOK_BAD_REQUEST);
		if (strstr(e.text, rows[i].why) == NULL)
			fail_msg("%s gives %s", rows[i].text, e.text);
	}
}

static void
length_and_depth_are_bounded(void **state)
{
	static char    long_text[4096];
	struct read_in in;
	struct err     e;

	(void)state;
	memset(long_text, ' ', 1100);
	assert_int_equal(read_all(long_text, &in, &e), -1);
	assert_non_null(strstr(e.text, "is longer than 1 KB"));
	memset(long_text, '[', 1000);
	long_text[1000] = '\0';
	assert_int_equal(read_all(long_text, &in, &e), -1);
	/* a place never grows beyond its room */
	memset(long_text, 'x', 900);
	memcpy(long_text, "{\"", 2);
	strcpy(long_text + 900, "\":1}");
	assert_int_equal(read_all(long_text, &in, &e), -1);
	assert_non_null(strstr(e.text, "unknown member"));
}

static void
a_member_that_is_missing(void **state)
{
	struct err	   e;
	struct json_reader r = { .err = &e };

	(void)state;
	strcpy(r.place, "Outer");
	assert_int_equal(json_refuse_member(&r, "Inner", "is needed"), -1);
	assert_non_null(strstr(e.text, "Outer.Inner: is needed"));
	assert_string_equal(r.place, "Outer");
}

static void
writing(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 64);
	assert_true(json_write(json_pack("{s:o, s:o}", "a",
	    json_of_time((struct wall){ 0 }), "b",
	    json_of_time((struct wall){ 1 })), &out));
	buf_add_char(&out, '\0');
	assert_string_equal(out.p,
	    "{\"a\":null,\"b\":\"1970-01-01T00:00:00.001Z\"}");
	assert_false(json_write(NULL, &out));
	buf_wipe(&out);
	buf_init(&out, 8);
	assert_false(json_write(json_string("longer than the room"), &out));
	buf_wipe(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come),
		cmocka_unit_test(refusals_have_their_place),
		cmocka_unit_test(length_and_depth_are_bounded),
		cmocka_unit_test(a_member_that_is_missing),
		cmocka_unit_test(writing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
