/* SPDX-License-Identifier: ISC */
/* The grammar of SPF records, and what their macros stand for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "net/spf_macro.h"
#include "net/spf_term.h"

/* -- grammar --------------------------------------------------------------- */

/* The terms of a record, and what is wrong with one of them. */
static const struct {
	const char *terms, *wrong, *where;
} grammar[] = {
	{ "", NULL, NULL },
	{ "a mx ptr -all", NULL, NULL },
	{ "   +a   ~MX  ?PTR:example.com -ALL  ", NULL, NULL },
	{ "a:example.com/24//64 mx/24 a//64 mx:x.example/0//0", NULL, NULL },
	{ "include:_spf.example.com exists:%{ir}.%{v}._spf.%{d2}", NULL,
	    NULL },
	{ "ip4:192.0.2.1 ip4:192.0.2.0/24 ip4:0.0.0.0/0", NULL, NULL },
	{ "ip6:2001:db8::1 ip6:2001:db8::/32 ip6:::/0", NULL, NULL },
	{ "redirect=example.com exp=%{d} x-1.y_z=%{c}%{t}%{r}/:=", NULL,
	    NULL },
	{ "a:example.com. a:xn--8ba.xn--p1ai a:1-2.a-1 a:%{d}", NULL, NULL },
	{ "all:example.com", "nothing may follow the name", NULL },
	{ "-all.", "unknown mechanism", NULL },
	{ "foo", "unknown mechanism", NULL },
	{ "a mx -all moo", "unknown mechanism", "moo" },
	{ "redirect:example.com", "unknown mechanism", NULL },
	{ "-redirect=example.com", "unknown mechanism", NULL },
	{ "1up=foo", "unknown mechanism", NULL },
	{ "=foo", "unknown mechanism", NULL },
	{ "-", "unknown mechanism", NULL },
	{ "--all", "unknown mechanism", NULL },
	{ "include", "the value is missing", NULL },
	{ "ip4", "the value is missing", NULL },
	{ "ip6/64", "the value is missing", NULL },
	{ "exists/24", "the value is missing", NULL },
	{ "a:", "the domain is missing", NULL },
	{ "mx:/24", "the domain is missing", NULL },
	{ "redirect=", "the domain is missing", NULL },
	{ "exp=", "the domain is missing", NULL },
	{ "a:localhost", "not a domain", NULL },
	{ "a:museum.", "not a domain", NULL },
	{ "a:192.0.2.1", "not a domain", NULL },
	{ "a:example.com:25", "not a domain", NULL },
	{ "a:example.-com", "not a domain", NULL },
	{ "a:%{d}com", "not a domain", NULL },
	{ "include:example.com/24", "not a domain", NULL },
	{ "a:example.com/", "not a domain", NULL },
	{ "a/", "bad prefix length", NULL },
	{ "ptr/24", "bad prefix length", NULL },
	{ "a/33", "bad IPv4 prefix length", NULL },
	{ "a/024", "bad IPv4 prefix length", NULL },
	{ "a/24/64", "bad IPv4 prefix length", NULL },
	{ "mx/24//129", "bad IPv6 prefix length", NULL },
	{ "ip4:192.0.2.0/33", "bad IPv4 prefix length", NULL },
	{ "ip6:2001:db8::/129", "bad IPv6 prefix length", NULL },
	{ "ip4:192.0.2.256", "bad IPv4 address", NULL },
	{ "ip4:192.0.2", "bad IPv4 address", NULL },
	{ "ip4:192.0.2.1:25", "bad IPv4 address", NULL },
	{ "ip4:", "bad IPv4 address", NULL },
	{ "ip4:2001:db8::1", "bad IPv4 address", NULL },
	{ "ip6:192.0.2.1", "bad IPv6 address", NULL },
	{ "ip6:2001:db8::1::", "bad IPv6 address", NULL },
	{ "redirect=a.example redirect=b.example", "given twice",
	    "redirect=b.example" },
	{ "exp=a.example -all exp=a.example", "given twice",
	    "exp=a.example" },
	{ "exists:%(ir).example.com", "a % that begins no macro", NULL },
	{ "a:example.com%", "a % that begins no macro", NULL },
	{ "a:%{x}.example.com", "unknown macro", NULL },
	{ "a:%{", "unknown macro", NULL },
	{ "a:%{d", "bad macro", NULL },
	{ "a:%{dr3}.example.com", "bad macro", NULL },
	{ "a:%{d0}", "a macro that leaves no label", NULL },
	{ "exists:%{c}.example.com", "a macro for explanations only", NULL },
	{ "foo=%x", "a % that begins no macro", NULL },
	{ "a\tmx", "an octet that is not printable ASCII", NULL },
	{ "a:\xc3\xa4.example.com", "an octet that is not printable ASCII",
	    NULL },
};

static void
test_grammar(void **state)
{
	struct spf_reader r;
	struct spf_term	  t;
	char		  text[200];
	size_t		  i;

	(void)state;
	for (i = 0; i < sizeof(grammar) / sizeof(grammar[0]); i++) {
		snprintf(text, sizeof(text), "v=spf1 %s", grammar[i].terms);
		spf_reader_init(&r, bytes_of(text));
		while (spf_reader_next(&r, &t))
			;
		if ((r.wrong == NULL) != (grammar[i].wrong == NULL) ||
		    (r.wrong != NULL &&
			strcmp(r.wrong, grammar[i].wrong) != 0))
			fail_msg("%s: %s", grammar[i].terms,
			    r.wrong == NULL ? "fine" : r.wrong);
		if (r.wrong != NULL)
			assert_true(bytes_eq_text(r.where,
			    grammar[i].where != NULL ? grammar[i].where :
				grammar[i].terms));
		assert_false(spf_reader_next(&r, &t)); /* and stays there */
	}
}

static void
test_terms(void **state)
{
	struct spf_reader r;
	struct spf_term	  t;

	(void)state;
	spf_reader_init(&r, BYTES("v=spf1 ~mx:x.example/20//40 ptr "
				  "redirect=%{d}.y x=y"));
	assert_true(spf_reader_next(&r, &t));
	assert_int_equal(t.kind, SPF_TERM_MX);
	assert_int_equal(t.qualifier, '~');
	assert_true(bytes_eq_text(t.domain, "x.example"));
	assert_int_equal(t.bits4, 20);
	assert_int_equal(t.bits6, 40);
	assert_true(spf_reader_next(&r, &t));
	assert_int_equal(t.kind, SPF_TERM_PTR);
	assert_int_equal(t.qualifier, '+');
	assert_int_equal(t.domain.n, 0);
	assert_int_equal(t.bits4, 32);
	assert_int_equal(t.bits6, 128);
	assert_true(spf_reader_next(&r, &t));
	assert_int_equal(t.kind, SPF_TERM_REDIRECT);
	assert_true(bytes_eq_text(t.domain, "%{d}.y"));
	assert_true(spf_reader_next(&r, &t));
	assert_int_equal(t.kind, SPF_TERM_OTHER);
	assert_false(spf_reader_next(&r, &t));
	assert_null(r.wrong);
}

static void
test_networks(void **state)
{
	static const struct {
		const char *term, *ip;
		bool	    has;
	} rows[] = {
		{ "ip4:192.0.2.1", "192.0.2.1", true },
		{ "ip4:192.0.2.1", "192.0.2.2", false },
		{ "ip4:192.0.2.0/25", "192.0.2.127", true },
		{ "ip4:192.0.2.0/25", "192.0.2.128", false },
		{ "ip4:0.0.0.0/0", "192.0.2.1", true },
		{ "ip4:0.0.0.0/0", "2001:db8::1", false },
		{ "ip6:2001:db8::/33", "2001:db8:7fff::1", true },
		{ "ip6:2001:db8::/33", "2001:db8:8000::1", false },
		{ "ip6:::/0", "2001:db8::1", true },
		{ "ip6:::/0", "192.0.2.1", false },
		{ "a", "192.0.2.1", false },
	};
	struct spf_reader r;
	struct spf_term	  t;
	unsigned char	  raw[16];
	char		  text[100];
	size_t		  i;
	int		  family;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "v=spf1 %s", rows[i].term);
		spf_reader_init(&r, bytes_of(text));
		assert_true(spf_reader_next(&r, &t));
		family = strchr(rows[i].ip, ':') != NULL ? AF_INET6 : AF_INET;
		assert_int_equal(inet_pton(family, rows[i].ip, raw), 1);
		if (spf_term_has(&t, family, raw) != rows[i].has)
			fail_msg("%s %s", rows[i].term, rows[i].ip);
	}
}

/* -- macros ---------------------------------------------------------------- */

static const struct spf_macro_values of_ip4 = { "192.0.2.3", "strong-bad",
	"email.example.com", "mx.relay.example", "email.example.com",
	"unknown" };
static const struct spf_macro_values of_ip6 = { "2001:db8::cb01", "a b/%",
	"email.example.com", "mx.relay.example", "spf.example.com",
	"mx.example.org" };

/* The examples of RFC 7208 7.4, and the corners. */
static const struct {
	const struct spf_macro_values *v;
	const char *spec, *name;
} expansions[] = {
	{ &of_ip4, "%{s}", "strong-bad@email.example.com" },
	{ &of_ip4, "%{o}", "email.example.com" },
	{ &of_ip4, "%{d}", "email.example.com" },
	{ &of_ip4, "%{d4}", "email.example.com" },
	{ &of_ip4, "%{d3}", "email.example.com" },
	{ &of_ip4, "%{d2}", "example.com" },
	{ &of_ip4, "%{d1}", "com" },
	{ &of_ip4, "%{dr}", "com.example.email" },
	{ &of_ip4, "%{d2r}", "example.email" },
	{ &of_ip4, "%{l}", "strong-bad" },
	{ &of_ip4, "%{l-}", "strong.bad" },
	{ &of_ip4, "%{lr}", "strong-bad" },
	{ &of_ip4, "%{lr-}", "bad.strong" },
	{ &of_ip4, "%{l1r-}", "strong" },
	{ &of_ip4, "%{ir}.%{v}._spf.%{d2}",
	    "3.2.0.192.in-addr._spf.example.com" },
	{ &of_ip4, "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com" },
	{ &of_ip4, "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}",
	    "bad.strong.lp.3.2.0.192.in-addr._spf.example.com" },
	{ &of_ip4, "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}",
	    "3.2.0.192.in-addr.strong.lp._spf.example.com" },
	{ &of_ip4, "%{d2}.trusted-domains.example.net",
	    "example.com.trusted-domains.example.net" },
	{ &of_ip6, "%{ir}.%{v}._spf.%{d2}",
	    "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
	    ".ip6._spf.example.com" },
	{ &of_ip6, "%{h}.%{p}.%{p2}", "mx.relay.example.mx.example.org."
				      "example.org" },
	{ &of_ip6, "%{L}.%{o}", "a%20b%2F%25.email.example.com" },
	{ &of_ip6, "%{l}.%%%_%-.x", "a b/%.% %20.x" },
	{ &of_ip4, "%{D}.%{IR}", "email.example.com.3.2.0.192" },
	{ &of_ip4, "%{d999999999999}.x", "email.example.com.x" },
	{ &of_ip4, "%{o-.+,/_=}.x.", "email.example.com.x" },
	{ &of_ip4, "plain.example.com.", "plain.example.com" },
	{ &of_ip4, "%{h1}", "example" },
};

static void
test_expansions(void **state)
{
	char   name[SPF_DOMAIN_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(expansions) / sizeof(expansions[0]); i++) {
		assert_null(spf_macro_check_domain(
		    bytes_of(expansions[i].spec)));
		spf_macro_expand(bytes_of(expansions[i].spec),
		    expansions[i].v, name);
		if (strcmp(name, expansions[i].name) != 0)
			fail_msg("%s: %s", expansions[i].spec, name);
	}
	assert_true(spf_macro_asks_client(BYTES("%%%{d}.%{P}.x")));
	assert_false(spf_macro_asks_client(BYTES("%%{p}%{d}p.x")));
}

/* 7.3: too long a name loses whole labels on the left. */
static void
test_long_names(void **state)
{
	struct spf_macro_values v = of_ip4;
	char name[SPF_DOMAIN_SIZE], label[61], domain[200], spec[4000] = "";
	unsigned i;

	(void)state;
	memset(label, 'a', 60);
	label[60] = '\0';
	snprintf(domain, sizeof(domain), "%s.%s.%s", label, label, label);
	v.domain = domain;
	spf_macro_expand(BYTES("first.%{d}.%{d}.last.example"), &v, name);
	assert_true(strlen(name) < SPF_DOMAIN_SIZE);
	assert_int_equal(strncmp(name, domain, 60), 0);
	assert_non_null(strstr(name, ".last.example"));
	/* of any length */
	for (i = 0; i < 900; i++)
		strcat(spec, "%{d}");
	strcat(spec, ".end.example");
	spf_macro_expand(bytes_of(spec), &v, name);
	assert_non_null(strstr(name, ".end.example"));
	/* and what is left without a label is no name */
	memset(spec, 'b', 300);
	strcpy(spec + 300, "%{l}");
	spf_macro_expand(bytes_of(spec), &v, name);
	assert_string_equal(name, "invalid");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grammar),
		cmocka_unit_test(test_terms),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_expansions),
		cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
