/* SPDX-License-Identifier: ISC */
/* Tags of a message: of its header, of the credential. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "submission/admission.h"

/* configuration-sets 3.2 */
static void
test_tags(void **state)
{
	static const struct {
		const char *value, *tags;
		unsigned    dropped;
	} cases[] = {
		{ "campaign=book, genre=sci-fi", "campaign=book;genre=sci-fi;",
		    0 },
		{ "campaign=book,\r\n genre=sci-fi,",
		    "campaign=book;genre=sci-fi;", 0 },
		{ "a=1, a=2, a=1", "a=1;a=2;", 0 },
		{ "a=b c, d=e", "d=e;", 1 },
		{ "a=\"b\", d=e", "d=e;", 1 },
		{ "a=b; c=d", "", 1 },
		{ "a=b=c", "", 1 },
		{ "ses:from-domain=x, k=v", "k=v;", 1 },
		{ "gr\xc3\xb6\xc3\x9f" "e=1, k=v", "k=v;", 1 },
		{ "noequals, =v, n=,k = v", "k=v;", 3 },
		{ "a=1\r\nX-Other: x\r\nx-ses-message-tags: b=2", "a=1;b=2;",
		    0 },
		{ "", "", 0 },
		{ ",a=1,,b=2,", "a=1;b=2;", 2 },
	};
	struct header_rules rules = { .section_max = 1 << 20 };
	struct header	    h;
	struct arena	   *a;
	struct message	   *m;
	struct admission_question q = { .header = &h };
	char		    text[300], tags[300];
	unsigned	    dropped, n;
	size_t		    i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		a = arena_new(1 << 20);
		m = message_new(1 << 20);
		snprintf(text, sizeof(text), "X-SES-MESSAGE-TAGS: %s\r\n\r\n",
		    cases[i].value);
		assert_int_equal(header_parse(bytes_of(text), &rules, a, &h),
		    HEADER_OK);
		q.arena = a;
		assert_true(admission_read_tags(&q, m, &dropped));
		tags[0] = '\0';
		for (n = 0; n < m->tag_count; n++)
			sprintf(tags + strlen(tags), "%.*s=%.*s;",
			    (int)m->tags[n].name.n, m->tags[n].name.p,
			    (int)m->tags[n].value.n, m->tags[n].value.p);
		assert_string_equal(tags, cases[i].tags);
		assert_int_equal(dropped, cases[i].dropped);
		message_free(m);
		arena_free(a);
	}
}

/* credentials.md 9.2: they win over equal names of the message. */
static void
test_tags_of_credential(void **state)
{
	struct header_rules rules = { .section_max = 1 << 20 };
	struct credential  *c = mem_alloc(sizeof(*c));
	struct arena	   *a = arena_new(1 << 20);
	struct message	   *m = message_new(1 << 20);
	struct header	    h;
	struct admission_question q = { .header = &h, .credential = c,
		.arena = a };
	unsigned	    dropped;

	(void)state;
	credential_init(c);
	strcpy(c->limits.tags[0].name, "app");
	strcpy(c->limits.tags[0].value, "shop");
	c->limits.tag_count = 1;
	assert_int_equal(header_parse(BYTES("X-SES-MESSAGE-TAGS: app=x, "
	    "k=v, app=shop\r\n\r\n"), &rules, a, &h), HEADER_OK);
	assert_true(admission_read_tags(&q, m, &dropped));
	assert_int_equal(dropped, 0);
	assert_int_equal(m->tag_count, 2);
	assert_true(bytes_eq_text(m->tags[0].name, "app") &&
	    bytes_eq_text(m->tags[0].value, "shop") &&
	    bytes_eq_text(m->tags[1].name, "k"));
	message_free(m);
	arena_free(a);
	mem_free(c);
}

static void
test_tag_names_are_bounded(void **state)
{
	struct header_rules rules = { .section_max = 1 << 20 };
	struct header	    h;
	struct arena	   *a = arena_new(1 << 20);
	struct message	   *m = message_new(1 << 20);
	struct admission_question q = { .header = &h };
	struct buf	    text;
	unsigned	    dropped, i;

	(void)state;
	buf_init(&text, 1 << 16);
	buf_add_text(&text, "X-SES-MESSAGE-TAGS: ");
	for (i = 0; i < 60; i++)
		buf_printf(&text, "n%u=v,", i);
	buf_add_text(&text, "\r\n\r\n");
	assert_int_equal(header_parse(buf_bytes(&text), &rules, a, &h),
	    HEADER_OK);
	q.arena = a;
	assert_true(admission_read_tags(&q, m, &dropped));
	assert_int_equal(m->tag_count, 50);
	assert_int_equal(dropped, 10);
	buf_wipe(&text);
	message_free(m);
	arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_tags_of_credential),
		cmocka_unit_test(test_tag_names_are_bounded),
	};

	return cmocka_run_group_tests_name("admission_tags", tests, NULL,
	    NULL);
}
