/* SPDX-License-Identifier: ISC */
/* address: RFC 5321 mailboxes, domains, RFC 5322 mailbox lists. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "mail/address.h"

#define L64 "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"
#define L63 "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccddddddddddddddd"
#define L61 "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccddddddddddddd"

static void
test_mailboxes(void **state)
{
	static const struct {
		const char *text;
		unsigned    flags;
		bool	    ok;
	} cases[] = {
		{ "user@example.com", 0, true },
		{ "a!#$%&'*+-/=?^_`{|}~.b@example.com", 0, true },
		{ "\"a b\"@example.com", 0, true },
		{ "\"a@b\"@example.com", 0, true },
		{ "\"a\\\"b\"@example.com", 0, true },
		{ "user@EXAMPLE.com", 0, true },
		{ "user@xn--mnchen-3ya.example", 0, true },
		{ L64 "@example.com", 0, true },
		{ L64 "a@example.com", 0, false },
		{ "u@" L63 ".example", 0, true },
		{ "u@" L64 ".example", 0, false },
		{ "u@" L63 "." L63 "." L63 "." L61, 0, false },
		{ "", 0, false },
		{ "user", 0, false },
		{ "user@", 0, false },
		{ "@example.com", 0, false },
		{ "user@example", 0, false },
		{ "user@example", ADDRESS_ALLOW_SINGLE_LABEL, true },
		{ "user@exam_ple.com", 0, false },
		{ "user@exam_ple.com", ADDRESS_ALLOW_UNDERSCORE, true },
		{ "user@_dmarc.example.com", ADDRESS_ALLOW_UNDERSCORE, true },
		{ "user@[192.0.2.1]", 0, false },
		{ "user@[192.0.2.1]", ADDRESS_ALLOW_LITERAL, true },
		{ "user@[IPv6:2001:db8::1]", ADDRESS_ALLOW_LITERAL, true },
		{ "user@[2001:db8::1]", ADDRESS_ALLOW_LITERAL, false },
		{ "user@[192.0.2.256]", ADDRESS_ALLOW_LITERAL, false },
		{ "user@[]", ADDRESS_ALLOW_LITERAL, false },
		{ "user@-a.example", 0, false },
		{ "user@a-.example", 0, false },
		{ "user@a..example", 0, false },
		{ "user@example.com.", 0, false },
		{ ".user@example.com", 0, false },
		{ "user.@example.com", 0, false },
		{ "us..er@example.com", 0, false },
		{ "us er@example.com", 0, false },
		{ "user @example.com", 0, false },
		{ "user@exam ple.com", 0, false },
		{ "a@b@example.com", 0, false },
		{ "\"a@example.com", 0, false },
		{ "\"a\"b@example.com", 0, false },
		{ "\"a\\\"@example.com", 0, false },
		{ "\"a\tb\"@example.com", 0, false },
		/* smtp-interface#10 (the address part) */
		{ "m\303\274ller@example.org", 0, false },
		{ "a@m\303\274ller.example", 0, false },
		{ "a(b)@example.com", 0, false },
	};
	struct address a;
	size_t	       i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (address_parse(bytes_of(cases[i].text), cases[i].flags,
			&a) != cases[i].ok)
			fail_msg("case %zu: %s", i, cases[i].text);
	assert_false(address_parse((struct bytes){ "a\0b@example.com", 15 },
	    0, &a));
}

static void
test_length_of_a_path(void **state)
{
	/* 64 + 1 + 63 + 1 + 63 + 1 + 61 = 254: a path of 256 */
	static const char fits[] = L64 "@" L63 "." L63 "." L61;
	static const char over[] = L64 "@" L63 "." L63 "." L61 "a";
	struct address	  a;

	(void)state;
	assert_int_equal(sizeof(fits) - 1, ADDRESS_MAX);
	assert_true(address_parse(bytes_of(fits), 0, &a));
	assert_false(address_parse(bytes_of(over), 0, &a));
}

static void
test_normal_form(void **state)
{
	static const struct {
		const char *text, *normal;
	} cases[] = {
		{ "User@EXAMPLE.Com", "User@example.com" },
		{ "\"john.doe\"@example.com", "john.doe@example.com" },
		{ "\"j\\o\\hn\"@example.com", "john@example.com" },
		{ "\"a b\"@Example.com", "\"a b\"@example.com" },
		{ "\"a\\ b\"@example.com", "\"a b\"@example.com" },
		{ "\"a\\\"b\\\\\"@example.com", "\"a\\\"b\\\\\"@example.com" },
		{ "\".a\"@example.com", "\".a\"@example.com" },
		{ "\"\"@example.com", "\"\"@example.com" },
		{ "\"a+b\"@example.com", "a+b@example.com" },
	};
	char	     dst[ADDRESS_TEXT_MAX];
	struct bytes out;
	size_t	     i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(address_normal_text(bytes_of(cases[i].text), 0,
		    dst, &out));
		assert_string_equal(dst, cases[i].normal);
		assert_int_equal(out.n, strlen(cases[i].normal));
		/* the normal form of a normal form is itself */
		assert_true(address_normal_text(bytes_of(cases[i].normal), 0,
		    dst, &out));
		assert_string_equal(dst, cases[i].normal);
	}
}

/* identities-and-policies#2: the domain without case, the local part with. */
static void
test_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool	    same;
	} cases[] = {
		{ "sender@example.com", "sender@EXAMPLE.COM", true },
		{ "sender@example.com", "Sender@example.com", false },
		{ "\"sender\"@example.com", "sender@example.com", true },
		{ "\"a b\"@example.com", "\"a\\ b\"@example.com", true },
		{ "\"a b\"@example.com", "\"a c\"@example.com", false },
		{ "a@example.com", "a@example.org", false },
		{ "a+x@example.com", "a@example.com", false },
	};
	struct address a, b;
	char	       x[ADDRESS_TEXT_MAX], y[ADDRESS_TEXT_MAX];
	size_t	       i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(address_parse(bytes_of(cases[i].a), 0, &a));
		assert_true(address_parse(bytes_of(cases[i].b), 0, &b));
		assert_int_equal(bytes_eq(address_normal(&a, x),
				     address_normal(&b, y)), cases[i].same);
	}
}

/* identities-and-policies#2: the base of a label. */
static void
test_base_and_split(void **state)
{
	struct address a;
	struct bytes   base;

	(void)state;
	assert_true(address_split(bytes_of("sender+myLabel@example.com"),
	    &a));
	assert_true(bytes_eq_text(a.domain, "example.com"));
	assert_true(address_base(&a, &base));
	assert_true(bytes_eq_text(base, "sender"));
	assert_true(address_split(bytes_of("a+b+c@example.com"), &a));
	assert_true(address_base(&a, &base));
	assert_true(bytes_eq_text(base, "a"));
	assert_true(address_split(bytes_of("+b@example.com"), &a));
	assert_false(address_base(&a, &base));
	assert_true(address_split(bytes_of("ab@example.com"), &a));
	assert_false(address_base(&a, &base));
	assert_true(address_split(bytes_of("\"a +b@c\"@example.com"), &a));
	assert_true(a.quoted);
	assert_true(bytes_eq_text(a.local, "\"a +b@c\""));
	assert_false(address_base(&a, &base));
	assert_false(address_split(bytes_of("example.com"), &a));
}

/* identities-and-policies#1: from a sub-domain up to two labels. */
static void
test_domains(void **state)
{
	static const char *const up[] = { "a.b.example.com", "b.example.com",
		"example.com" };
	struct bytes d = bytes_of(up[0]), parent, out;
	char	     dst[DOMAIN_TEXT_MAX];
	size_t	     n = 0;

	(void)state;
	for (;;) {
		assert_true(bytes_eq_text(d, up[n++]));
		if (!domain_parent(d, &parent))
			break;
		d = parent;
	}
	assert_int_equal(n, 3);
	assert_false(domain_parent(BYTES("com"), &parent));
	assert_true(domain_is_within(BYTES("a.EXAMPLE.com"),
	    BYTES("example.com")));
	assert_true(domain_is_within(BYTES("example.com"),
	    BYTES("example.com")));
	assert_false(domain_is_within(BYTES("badexample.com"),
	    BYTES("example.com")));
	assert_false(domain_is_within(BYTES("com"), BYTES("example.com")));
	assert_false(domain_is_within(BYTES("com"), BYTES("")));
	assert_true(domain_normal(BYTES("Example.COM."), 0, dst, &out));
	assert_string_equal(dst, "example.com");
	assert_false(domain_normal(BYTES("example.com.."), 0, dst, &out));
	assert_false(domain_normal(BYTES("."), 0, dst, &out));
	assert_false(domain_normal(BYTES(L63 "." L63 "." L63 "." L63), 0, dst,
	    &out));
	assert_true(domain_normal(BYTES(L63 "." L63 "." L63 "." L61), 0, dst,
	    &out));
	assert_true(domain_is_dotted_quad(BYTES("192.0.2.1")));
	assert_false(domain_is_dotted_quad(BYTES("192.0.2.1.example")));
	assert_false(domain_is_dotted_quad(BYTES("192.0.2")));
}

/* Names and addresses of a list as "name|address;name|address;". */
static void
list_to_text(const struct mailbox_list *l, char *dst, size_t size)
{
	struct buf b;
	size_t	   i;

	buf_init(&b, size);
	for (i = 0; i < l->n; i++) {
		buf_add_bytes(&b, l->v[i].name);
		buf_add_char(&b, '|');
		buf_add_bytes(&b, l->v[i].text);
		buf_add_char(&b, ';');
	}
	bytes_text(buf_bytes(&b), dst, size);
	buf_wipe(&b);
}

enum { LIST = MAILBOX_ALLOW_GROUPS, NULLS = MAILBOX_ALLOW_NULL };

static const struct list_case {
	const char *value;
	unsigned    flags;
	const char *want; /* NULL: a syntax error */
} list_cases[] = {
	{ " a@example.com", 0, "|a@example.com;" },
	{ "<a@example.com>", 0, "|a@example.com;" },
	{ "Sender <a@example.com>", 0, "Sender|a@example.com;" },
	{ "\"Doe, John\" <j@example.com>, b@example.com", 0,
	    "\"Doe, John\"|j@example.com;|b@example.com;" },
	{ "John Q. Public <j@example.com>", 0,
	    "John Q. Public|j@example.com;" },
	{ "a@example.com (Joe, \\) the (nested) one)", 0,
	    "|a@example.com;" },
	{ "Pete(A nice \\) chap) <pete(his account)@silly.test(host)>", 0,
	    "Pete(A nice \\) chap)|pete@silly.test;" },
	{ " Mary\r\n Smith\r\n <mary @ example . net>", 0,
	    "Mary\r\n Smith|mary@example.net;" },
	{ "=?utf-8?Q?J=C3=B6rg?= <j@example.com>", 0,
	    "=?utf-8?Q?J=C3=B6rg?=|j@example.com;" },
	{ "J\303\266rg <j@example.com>", 0, "J\303\266rg|j@example.com;" },
	{ "\"a b\"@example.com", 0, "|\"a b\"@example.com;" },
	{ "\"x\" <\"a,b\"@example.com>", 0, "\"x\"|\"a,b\"@example.com;" },
	{ "a@example.com, , b@example.com,", 0,
	    "|a@example.com;|b@example.com;" },
	{ "", 0, NULL },
	{ " , ", 0, NULL },
	{ "a", 0, NULL },
	{ "Doe, John <j@example.com>", 0, NULL },
	{ "a b@example.com", 0, NULL },
	{ "a@example.com b@example.com", 0, NULL },
	{ "<a@example.com> b", 0, NULL },
	{ "<a@example.com> <b@example.com>", 0, NULL },
	{ "x@y.example <a@example.com>", 0, NULL },
	{ "<a@example.com", 0, NULL },
	{ "a@example.com>", 0, NULL },
	{ "\"a <a@example.com>", 0, NULL },
	{ "(a <a@example.com>", 0, NULL },
	{ "<>", 0, NULL },
	{ "<@r.example:a@example.com>", 0, NULL },
	{ "j\303\266rg@example.com", 0, NULL },
	{ "[x] <a@example.com>", 0, NULL },
	{ "a@[192.0.2.1]", 0, NULL },
	{ "a@[192.0.2.1]", ADDRESS_ALLOW_LITERAL, "|a@[192.0.2.1];" },
	/* quotes and comments without an end within a literal */
	{ "a@[\"]", 0, NULL },
	{ "a@[\"] , \"", 0, NULL },
	{ "<a@[(]>", 0, NULL },
	{ "A Group:a@example.com;", 0, NULL },
	{ "A Group:a@example.com, Joe <b@example.com>;, c@example.com", LIST,
	    "|a@example.com;Joe|b@example.com;|c@example.com;" },
	{ "undisclosed-recipients:;", LIST, "" },
	{ "Undisclosed recipients:(none) ; (none)", LIST, "" },
	{ "g:a@example.com", LIST, NULL },
	{ "g:h:a@example.com;;", LIST, NULL },
	{ "a@example.com;", LIST, NULL },
	{ "g:a@example.com; b@example.com", LIST, NULL },
	{ "<>", NULLS, "" },
	{ " (none) < > ", NULLS, "" },
	{ "<>, a@example.com", NULLS, NULL },
	{ "x <>", NULLS, NULL },
	{ "<feedback@example.com>", NULLS, "|feedback@example.com;" },
};

static void
test_lists(void **state)
{
	char   text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(list_cases) / sizeof(list_cases[0]); i++) {
		const struct list_case *c = &list_cases[i];
		struct arena	       *a = arena_new(1 << 16);
		struct mailbox_list	l;
		enum mailbox_result	r;

		r = mailbox_list_parse(bytes_of(c->value), c->flags, a, &l);
		if (r != (c->want == NULL ? MAILBOX_SYNTAX : MAILBOX_OK))
			fail_msg("%s: result %d", c->value, (int)r);
		if (c->want != NULL) {
			list_to_text(&l, text, sizeof(text));
			assert_string_equal(text, c->want);
		}
		arena_free(a);
	}
}

static void
test_list_bounds(void **state)
{
	struct arena	   *a = arena_new(1 << 20);
	struct mailbox_list l;
	struct buf	    b;
	size_t		    i;

	(void)state;
	buf_init(&b, 1 << 16);
	for (i = 0; i < MAILBOX_LIST_MAX; i++)
		buf_add_text(&b, "a@b.example,");
	assert_int_equal(mailbox_list_parse(buf_bytes(&b), 0, a, &l),
	    MAILBOX_OK);
	assert_int_equal(l.n, MAILBOX_LIST_MAX);
	assert_true(bytes_eq_text(l.v[7].address.domain, "b.example"));
	assert_true(bytes_eq_text(l.v[7].raw, "a@b.example"));
	buf_add_text(&b, "a@b.example");
	assert_int_equal(mailbox_list_parse(buf_bytes(&b), 0, a, &l),
	    MAILBOX_TOO_MANY);
	arena_free(a);
	a = arena_new(64);
	assert_int_equal(mailbox_list_parse(buf_bytes(&b), 0, a, &l),
	    MAILBOX_NO_MEMORY);
	arena_free(a);
	buf_wipe(&b);
}

/* Other addresses in the places of those at a domain; all else stays. */
static void
test_list_replace(void **state)
{
	static const struct {
		const char *value, *want; /* NULL: nothing to replace */
	} cases[] = {
		{ "root@host.example (Cron Daemon)",
		    "new@b.example (Cron Daemon)" },
		{ "\"R\" <root@HOST.example>", "\"R\" <new@b.example>" },
		{ "<root@host.example>, x@c.example,\r\n\tA (b) <\"a\\\"\"@host"
		    " . example (x) > (y)",
		    "<new@b.example>, x@c.example,\r\n\tA (b) <new@b.example"
		    " (x) > (y)" },
		{ "(z) root (w) @host.example", "(z) new@b.example" },
		{ "g: a@host.example, b@c.example;",
		    "g: new@b.example, b@c.example;" },
		{ "x@c.example", NULL },
		{ "root@sub.host.example", NULL },
		{ "root", NULL },
		{ "a@host.example b", NULL },
		{ "<>", NULL },
		{ "", NULL },
	};
	struct arena *a = arena_new(1 << 16);
	struct buf    out;
	size_t	      i, n;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_init(&out, 1024);
		n = mailbox_list_replace(bytes_of(cases[i].value),
		    BYTES("host.example"), BYTES("new@b.example"), a, &out);
		buf_add_char(&out, '\0');
		assert_int_equal(n > 0, cases[i].want != NULL);
		assert_string_equal(out.p,
		    cases[i].want == NULL ? "" : cases[i].want);
		buf_wipe(&out);
	}
	arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mailboxes),
		cmocka_unit_test(test_length_of_a_path),
		cmocka_unit_test(test_normal_form),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_base_and_split),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_list_bounds),
		cmocka_unit_test(test_list_replace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
