/* SPDX-License-Identifier: ISC */
/* mime: counting, nesting, file names; bodies cut in pieces of 1 to n. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "mail/mime.h"

static struct mime_blocked *
defaults(void)
{
	struct err	     e;
	struct mime_blocked *b = mime_blocked_new(BYTES("default"), &e);

	assert_non_null(b);
	return b;
}

static struct mime_result
scan(const struct mime_rules *rules, const char *type,
    const char *disposition, struct bytes body, size_t step)
{
	struct mime	  *m = mime_new(rules);
	struct mime_result r;
	size_t		   at;

	assert_non_null(m);
	mime_outer(m, bytes_of(type), bytes_of(disposition));
	for (at = 0; at < body.n; at += step)
		mime_feed(m, bytes_head(bytes_from(body, at), step));
	mime_end(m, &r);
	mime_free(m);
	return r;
}

#define MIXED " multipart/mixed; boundary=\"b\""
#define EXE "Content-Type: application/x; name=a.exe\r\n\r\n"

static const struct scan_case {
	const char *type, *body;
	size_t	    parts;
	int	    verdict;
} scan_cases[] = {
	{ "", "--b\r\n\r\nx\r\n--b--\r\n", 0, MIME_OK },
	{ "text/plain", "--b\r\n" EXE, 0, MIME_OK },
	{ MIXED, "--b\r\n\r\nx\r\n--b--\r\n", 1, MIME_OK },
	{ MIXED, "intro\r\n--b\r\n\r\nx\r\n--b  \r\n\r\ny\r\n--b--\r\nout",
	    2, MIME_OK },
	/* the last line end and the closing delimiter may be missing */
	{ MIXED, "--b\r\n\r\nx\r\n--b--", 1, MIME_OK },
	{ MIXED, "--b\r\n\r\nx", 1, MIME_OK },
	{ MIXED, "--b", 1, MIME_OK },
	{ MIXED, "--b\r\n" EXE, 1, MIME_BLOCKED_NAME },
	{ MIXED, "--b\r\nContent-Type: a/b; name=a.exe", 1,
	    MIME_BLOCKED_NAME },
	{ MIXED, "--b\r\nContent-Type: a/b;\r\n name=a.exe\r\n--b--\r\n", 1,
	    MIME_BLOCKED_NAME },
	{ MIXED, "--b\r\ncontent-disposition :x;\r\n\tFILENAME=\"a.exe\"\r\n",
	    1, MIME_BLOCKED_NAME },
	{ MIXED, "--b\r\nX-Type: a/b; name=a.exe\r\n\r\n", 1, MIME_OK },
	/* what is behind the end, or in the text, is no part */
	{ MIXED, "--b\r\n\r\nx\r\n--b--\r\n--b\r\n" EXE, 1, MIME_OK },
	{ MIXED, "--b\r\n\r\nContent-Type: a/b; name=a.exe\r\n", 1, MIME_OK },
	{ MIXED, "-b\r\n--\r\n-\r\n--x\r\n --b\r\nx--b\r\n", 0, MIME_OK },
	/* nesting */
	{ MIXED, "--b\r\nContent-Type: Multipart/Alternative;"
		 " Boundary=\"b2\"\r\n\r\n"
		 "--b2\r\n\r\nx\r\n--b2\r\n\r\ny\r\n--b2--\r\n"
		 "--b\r\n\r\nz\r\n--b--\r\n", 4, MIME_OK },
	/* the outer delimiter ends an inner multipart that lacks its end */
	{ MIXED, "--b\r\nContent-Type: multipart/x; boundary=in\r\n\r\n"
		 "--in\r\n\r\nx\r\n--b\r\n\r\ny\r\n--in\r\n" EXE "--b--\r\n",
	    3, MIME_OK },
	/* the same boundary twice: the inner one */
	{ MIXED, "--b\r\nContent-Type: multipart/x; boundary=b\r\n\r\n"
		 "--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\n--b--\r\n", 3,
	    MIME_OK },
	/* multiparts without a boundary are opaque */
	{ "multipart/mixed", "--b\r\n" EXE, 0, MIME_OK },
	{ "multipart/mixed; boundary=", "--\r\n" EXE, 0, MIME_OK },
	{ MIXED, "--b\r\nContent-Type: multipart/mixed\r\n\r\n--x\r\n" EXE,
	    1, MIME_OK },
	{ MIXED, "--b\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
		 "never\r\n--b\r\n\r\n--b--\r\n", 2, MIME_OK },
	/* an attached message is not entered */
	{ MIXED, "--b\r\nContent-Type: message/rfc822\r\n\r\n"
		 "Content-Type: multipart/x; boundary=y\r\n\r\n"
		 "--y\r\n" EXE "--y--\r\n--b--\r\n", 1, MIME_OK },
	{ "message/rfc822", "Content-Type: multipart/x; boundary=y\r\n\r\n"
			    "--y\r\n" EXE, 0, MIME_OK },
	/* no empty line between header and delimiter */
	{ MIXED, "--b\r\nContent-Type: text/plain;\r\n--b\r\n\r\n--b--\r\n",
	    2, MIME_OK },
	{ "multipart/mixed; boundary*0=\"a\"; boundary*1=\"b\"",
	    "--ab\r\n" EXE, 1, MIME_BLOCKED_NAME },
	{ "multipart/mixed; boundary=b (comment)", "--b (comment)\r\n" EXE,
	    1, MIME_BLOCKED_NAME },
	/* RFC 2046 5.1.1: a line that begins with the delimiter is one */
	{ MIXED, "--b trailing words\r\n" EXE, 1, MIME_BLOCKED_NAME },
	{ MIXED, "--b--more\r\n" EXE, 1, MIME_BLOCKED_NAME },
	/* only the first type counts, but all names are looked at */
	{ MIXED, "--b\r\nContent-Type: text/plain\r\n"
		 "Content-Type: multipart/x; boundary=c\r\n\r\n"
		 "--c\r\n" EXE, 1, MIME_OK },
	{ MIXED, "--b\r\nContent-Type: text/plain\r\n"
		 "Content-Type: text/plain; name=a.exe\r\n\r\n", 1,
	    MIME_BLOCKED_NAME },
	{ MIXED, "--b\nContent-Type: a/b; name=a.exe\n\n", 1,
	    MIME_BLOCKED_NAME },
};

static void
test_scan(void **state)
{
	struct mime_blocked *b = defaults();
	struct mime_rules    rules = { MIME_PARTS_DEFAULT, b, false };
	size_t		     i, step;

	(void)state;
	for (i = 0; i < sizeof(scan_cases) / sizeof(scan_cases[0]); i++) {
		const struct scan_case *c = &scan_cases[i];

		for (step = 1; step <= strlen(c->body) + 1; step++) {
			struct mime_result r = scan(&rules, c->type, "",
			    bytes_of(c->body), step);

			if ((int)r.verdict != c->verdict ||
			    r.parts != c->parts)
				fail_msg("case %zu step %zu: %d, %zu parts",
				    i, step, (int)r.verdict, r.parts);
		}
	}
	mime_blocked_free(b);
}

/* smtp-interface#28: the sample of the reference. */
static void
test_loose_sample(void **state)
{
	static const char body[] =
	    "This message is in MIME format.\r\n\r\n--NextPart\r\n"
	    "Content-Type: text/plain;\r\n\r\nThis is the message body.\r\n"
	    "\r\n--NextPart\r\nContent-Type: text/plain;\r\n"
	    "Content-Disposition: attachment; filename=\"attachment.txt\"\r\n"
	    "\r\nThis is the text in the attachment.\r\n\r\n--NextPart--";
	struct mime_blocked *b = defaults();
	struct mime_rules    rules = { MIME_PARTS_DEFAULT, b, false };
	struct mime_result   r;
	size_t		     step;

	(void)state;
	for (step = 1; step <= sizeof(body); step++) {
		r = scan(&rules, "Multipart/Mixed; boundary=\"NextPart\"", "",
		    bytes_of(body), step);
		assert_int_equal(r.verdict, MIME_OK);
		assert_int_equal(r.parts, 2);
	}
	mime_blocked_free(b);
}

/* smtp-interface#21 */
static void
test_number_of_parts(void **state)
{
	struct mime_rules  rules = { MIME_PARTS_DEFAULT, NULL, false };
	struct mime_result r;
	struct buf	   body;
	size_t		   i;

	(void)state;
	buf_init(&body, 1 << 20);
	for (i = 0; i < 500; i++)
		buf_add_text(&body, "--b\r\n\r\nleaf\r\n");
	r = scan(&rules, MIXED, "", buf_bytes(&body), 4096);
	assert_int_equal(r.verdict, MIME_OK);
	assert_int_equal(r.parts, 500);
	buf_add_text(&body, "--b\r\n\r\nleaf\r\n--b--\r\n");
	r = scan(&rules, MIXED, "", buf_bytes(&body), 4096);
	assert_int_equal(r.verdict, MIME_TOO_MANY_PARTS);
	rules.parts_max = 501;
	r = scan(&rules, MIXED, "", buf_bytes(&body), 1);
	assert_int_equal(r.verdict, MIME_OK);
	buf_wipe(&body);
}

static void
test_depth(void **state)
{
	struct mime_rules  rules = { MIME_PARTS_DEFAULT, NULL, false };
	struct mime_result r;
	struct buf	   body;
	size_t		   i;

	(void)state;
	buf_init(&body, 1 << 20);
	buf_add_text(&body, "--b\r\n");
	for (i = 2; i <= MIME_DEPTH_MAX; i++)
		buf_printf(&body, "Content-Type: multipart/x; boundary=x%zu"
		    "y\r\n\r\n--x%zuy\r\n", i, i);
	r = scan(&rules, MIXED, "", buf_bytes(&body), 100);
	assert_int_equal(r.verdict, MIME_OK);
	assert_int_equal(r.parts, MIME_DEPTH_MAX);
	buf_add_text(&body, "Content-Type: multipart/x; boundary=z\r\n\r\n");
	r = scan(&rules, MIXED, "", buf_bytes(&body), 100);
	assert_int_equal(r.verdict, MIME_TOO_DEEP);
	buf_wipe(&body);
}

/* smtp-interface#20, and section 10: which names are refused, and how they
 * are shown. */
static const struct name_case {
	const char *field;
	bool	    in_type;
	const char *shown; /* NULL: let through */
} name_cases[] = {
	{ "attachment; filename*=UTF-8''a.pdf%2Eexe", false, "a.pdf.exe" },
	{ "x/y; name=\"=?utf-8?Q?virus=2EJS?=\"", true, "virus.JS" },
	{ "attachment; filename=report.js.pdf", false, NULL },
	{ "text/plain; name=\"http://example.com/\"", true, NULL },
	{ "attachment; filename=a.pdf.exe", false, "a.pdf.exe" },
	{ "attachment; filename=.exe", false, ".exe" },
	{ "attachment; filename=exe.pdf", false, NULL },
	{ "attachment; filename=notes.exe.zip", false, NULL },
	{ "attachment; filename=exe", false, NULL },
	{ "inline; filename=\"a.EXE . . \"", false, "a.EXE . ." },
	{ "attachment; filename=\"C:\\\\dir\\\\a.bat\"", false,
	    "C:\\dir\\a.bat" },
	{ "attachment; filename=\"a.ex\\e\"", false, "a.exe" },
	{ "attachment; filename=\"it's.exe\"", false, "it?s.exe" },
	{ "attachment; filename=\"\303\244.exe\"", false, "??.exe" },
	{ "attachment; filename=my file.exe", false, "my file.exe" },
	{ "attachment; filename=a.exe (harmless)", false, "a.exe" },
	{ "attachment;filename = \"a.exe\"", false, "a.exe" },
	{ "attachment; filename=\"a.exe", false, "a.exe" },
	{ "attachment; x=\"; y\\\"\"; filename=a.exe", false, "a.exe" },
	{ "attachment (; filename=b.txt); filename=a.exe", false, "a.exe" },
	{ "attachment; filename=a.txt; filename=b.exe", false, "b.exe" },
	{ "attachment; filename=a.txt; filename*=''b.exe", false, "b.exe" },
	{ "a; filename*1=\"exe\"; filename*0=\"a.\"", false, "a.exe" },
	{ "a; filename*0*=utf-8'en'a%2E; filename*1=e; filename*2*=%78e",
	    false, "a.exe" },
	{ "a; filename*0=a.e; filename*1=xe; filename*7=.txt", false,
	    "a.exe" },
	{ "a; filename*0=a.exe; filename*1=.txt", false, NULL },
	{ "a; filename*=iso-8859-1''%E4.exe", false, "??.exe" },
	{ "a; filename*=koi8-r''%C1.exe", false, "?.exe" },
	{ "a; filename*x=a.exe", false, NULL },
	{ "a; filename*=%2.exe", false, "%2.exe" },
	{ "a; filename=\"=?utf-8?B?YS5leGU?=\"", false, "a.exe" },
	{ "a; filename=\"=?utf-8?Q?a=2E?= =?utf-8?Q?exe?=\"", false,
	    "a.exe" },
	{ "a; filename=\"a.e\r\n xe\"", false, NULL },
	{ "a; filename=\"a\r\n .exe\"", false, "a .exe" },
	/* what readers and file systems are said to forgive */
	{ "attachment filename=a.exe", false, "a.exe" },
	{ "filename=\"a.exe\"", false, "a.exe" },
	{ "attachment; x=y filename = a.exe z", false, "a.exe" },
	{ "attachment filename*=UTF-8''a%2Eexe", false, "a.exe" },
	{ "attachment filename=", false, NULL },
	{ "attachment filename", false, NULL },
	{ "attachment; x=\"a filename=b.exe\"", false, NULL },
	{ "attachment; x=\"a filename=b.exe", false, NULL },
	{ "application/x name=a.exe", true, "a.exe" },
	{ "attachment; filename='a.exe'", false, "?a.exe?" },
	{ "attachment; filename=\"a.exe'\"", false, "a.exe?" },
	{ "attachment; filename=\"a.exe::$DATA\"", false, "a.exe::$DATA" },
	{ "attachment; filename=\"a.exe. ::$data '\"", false,
	    "a.exe. ::$data ?" },
	{ "attachment; filename=\"a.txt::$DATA\"", false, NULL },
	{ "a; name=a.exe", false, NULL },
	{ "x/y; filename=a.exe", true, NULL },
	{ "x/y;; name=a.exe;", true, "a.exe" },
	{ "; name=a.exe", true, "a.exe" },
	{ "x/y; name", true, NULL },
	{ "x/y; =a.exe", true, NULL },
	{ "text/plain;", true, NULL },
};

static void
test_names(void **state)
{
	struct mime_blocked *b = defaults();
	struct mime_rules    rules = { MIME_PARTS_DEFAULT, b, false };
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(name_cases) / sizeof(name_cases[0]); i++) {
		const struct name_case *c = &name_cases[i];
		struct mime_result	r = scan(&rules,
			     c->in_type ? c->field : "",
			     c->in_type ? "" : c->field, BYTES("x"), 1);

		if ((c->shown != NULL) != (r.verdict == MIME_BLOCKED_NAME))
			fail_msg("%s: %d %s", c->field, (int)r.verdict,
			    r.name);
		if (c->shown != NULL)
			assert_string_equal(r.name, c->shown);
	}
	mime_blocked_free(b);
}

static void
test_shown_name_is_cut(void **state)
{
	struct mime_blocked *b = defaults();
	struct mime_rules    rules = { MIME_PARTS_DEFAULT, b, false };
	struct mime_result   r;
	struct buf	     f;
	size_t		     i;

	(void)state;
	buf_init(&f, 200000);
	buf_add_text(&f, "a; filename=");
	for (i = 0; i < 150; i++)
		buf_add_char(&f, 'x');
	buf_add(&f, ".exe", 5);
	r = scan(&rules, "", f.p, BYTES(""), 1);
	assert_int_equal(r.verdict, MIME_BLOCKED_NAME);
	assert_int_equal(strlen(r.name), MIME_NAME_SHOWN);
	/* more continuations than are joined; no more than that is read */
	buf_clear(&f);
	buf_add_text(&f, "a");
	for (i = 0; i < 5000; i++)
		buf_printf(&f, "; filename*%zu=x", 5000 - i);
	buf_add(&f, "; filename=a.exe", 17);
	r = scan(&rules, "", f.p, BYTES(""), 1);
	assert_int_equal(r.verdict, MIME_BLOCKED_NAME);
	mime_blocked_free(b);
	buf_wipe(&f);
}

/* A part field longer than what is kept does no harm. */
static void
test_long_field(void **state)
{
	struct mime_blocked *b = defaults();
	struct mime_rules    rules = { MIME_PARTS_DEFAULT, b, false };
	struct mime_result   r;
	struct buf	     body;
	size_t		     i, step;

	(void)state;
	buf_init(&body, 1 << 20);
	buf_add_text(&body, "--b\r\nContent-Type: a/b; name=a.exe;");
	for (i = 0; i < 100000; i++)
		buf_add_char(&body, 'x');
	buf_add_text(&body, "\r\n\r\n--b--");
	for (step = 1000; step < 200000; step *= 10) {
		r = scan(&rules, MIXED, "", buf_bytes(&body), step);
		assert_int_equal(r.verdict, MIME_BLOCKED_NAME);
		assert_string_equal(r.name, "a.exe");
	}
	mime_blocked_free(b);
	buf_wipe(&body);
}

static void
test_block_lists(void **state)
{
	static const struct {
		const char *spec;
		size_t	    count;
		const char *has, *has_not;
	} cases[] = {
		{ "default", 90, "a.xnk", "a.iso" },
		{ " Default ", 90, "a.ade", "a.exe1" },
		{ "none", 0, NULL, "a.exe" },
		{ ".EXE, .iso", 2, "a.exe", "a.com" },
		{ "+.iso", 91, "a.iso", "a.pdf" },
		{ "+.iso -.exe", 90, "a.iso", "a.exe" },
		{ "default,-.tmp,-.nothing", 89, "a.exe", "a.tmp" },
		{ ".exe .exe", 1, "a.Exe", "a.iso" },
	};
	static const char *const wrong[] = { "", " , ", "exe", ".a.b", ".",
		"+", "-", "+none", "none .exe", ".exe default", "*.exe",
		".aaaaaaaabbbbbbbbccccccccdddddddd" };
	struct mime_blocked	*b;
	struct err		 e;
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		b = mime_blocked_new(bytes_of(cases[i].spec), &e);
		assert_non_null(b);
		assert_int_equal(mime_blocked_count(b), cases[i].count);
		if (cases[i].has != NULL)
			assert_true(mime_blocked_has(b,
			    bytes_of(cases[i].has)));
		assert_false(mime_blocked_has(b,
		    bytes_of(cases[i].has_not)));
		mime_blocked_free(b);
	}
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		e.text[0] = '\0';
		assert_null(mime_blocked_new(bytes_of(wrong[i]), &e));
		assert_true(e.text[0] != '\0');
	}
}

static void
test_parameters(void **state)
{
	char out[16];

	(void)state;
	assert_true(bytes_eq_text(mime_media_type(
	    BYTES(" (x) Multipart/Report ; a=b")), "Multipart/Report"));
	assert_true(bytes_eq_text(mime_media_type(BYTES("text/plain(c);")),
	    "text/plain"));
	assert_int_equal(mime_media_type(BYTES("")).n, 0);
	assert_true(mime_parameter(BYTES("a/b; Report-Type=\"d\\\"s\"; x=1"),
	    "report-type", out, sizeof(out)));
	assert_string_equal(out, "d\"s");
	assert_true(mime_parameter(BYTES("a/b; x=1"), "X", out, sizeof(out)));
	assert_string_equal(out, "1");
	assert_true(mime_parameter(BYTES("a/b; x*=utf-8''%31%32"), "x", out,
	    sizeof(out)));
	assert_string_equal(out, "12");
	assert_false(mime_parameter(BYTES("a/b; xy=1"), "x", out,
	    sizeof(out)));
	assert_true(mime_parameter(BYTES("a/b; x=0123456789abcdefgh"), "x",
	    out, sizeof(out)));
	assert_string_equal(out, "0123456789abcde");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_loose_sample),
		cmocka_unit_test(test_number_of_parts),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_shown_name_is_cut),
		cmocka_unit_test(test_long_field),
		cmocka_unit_test(test_block_lists),
		cmocka_unit_test(test_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
