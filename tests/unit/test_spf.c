/* SPDX-License-Identifier: ISC */
/*
 * check_host() over a zone in memory: results and limits of RFC 7208 as the
 * preflight report shows them, and that nothing hostile makes it wait, loop or
 * pass.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "fake_clock.h"
#include "fake_resolver.h"
#include "fake_thread.h"
#include "net/spf.h"

#define IP "203.0.113.10"
#define IP6 "2001:db8::10"

struct bench {
	struct loop	 *loop;
	struct resolver	 *resolver;
	struct spf_check *check;
	struct spf_answer answer;
	char		  own[300]; /* the first text of its TXT records */
	unsigned	  done;
};

static void
bench_open(struct bench *b)
{
	struct resolver_setup s = { .timeout_ms = 1000, .tries = 2 };
	struct err	      e;

	memset(b, 0, sizeof(*b));
	fake_clock_set((struct wall){ INT64_C(1714564800000) });
	fake_dns_remove(NULL, NULL);
	b->loop = loop_new("verifier", 16, &e);
	assert_non_null(b->loop);
	fake_threads_begin(b->loop);
	b->resolver = resolver_new(b->loop, &s, &e);
	assert_non_null(b->resolver);
}

static void
bench_close(struct bench *b)
{
	spf_check_free(b->check);
	resolver_free(b->resolver);
	fake_threads_end(b->loop);
	loop_free(b->loop);
}

static void
on_done(void *arg, const struct spf_answer *a)
{
	struct bench *b = arg;

	b->answer = *a;
	b->done++;
	if (a->own != NULL && a->own->count > 0)
		bytes_text(a->own->texts[0], b->own, sizeof(b->own));
	spf_check_free(b->check); /* as its owner does */
	b->check = NULL;
}

static enum spf_result
ask(struct bench *b, const char *ip, const char *domain)
{
	struct spf_question q;

	memset(&q, 0, sizeof(q));
	strcpy(q.ip, ip);
	strcpy(q.domain, domain);
	strcpy(q.helo, "mx1.relay.example");
	b->done = 0;
	b->check = spf_check_new(b->loop, b->resolver, &q, on_done, b);
	assert_int_equal(b->done, 0);
	assert_true(fake_threads_advance(60000));
	assert_int_equal(b->done, 1);
	return b->answer.result;
}

static void
txt(const char *name, const char *value)
{
	assert_true(fake_dns_add(name, "TXT", value, 300));
}

static void
add(const char *name, const char *type, const char *value)
{
	assert_true(fake_dns_add(name, type, value, 300));
}

/* -- results --------------------------------------------------------------- */

/* One record at d.example, beside the zone of test_results(). */
static const struct {
	const char     *record, *ip;
	enum spf_result result;
	unsigned	lookups;
	const char     *cause;
} rows[] = {
	{ "v=spf1 include:spf.relay.example ~all", IP, SPF_OUTCOME_PASS, 1,
	    "" },
	{ "v=spf1 include:spf.relay.example ~all", "203.0.113.11",
	    SPF_OUTCOME_SOFTFAIL, 1, "" },
	{ "v=spf1 -all", IP, SPF_OUTCOME_FAIL, 0, "" },
	{ "v=spf1 ?all", IP, SPF_OUTCOME_NEUTRAL, 0, "" },
	{ "v=spf1 ip4:192.0.2.0/24", IP, SPF_OUTCOME_NEUTRAL, 0, "" },
	{ "v=spf1 +all", IP, SPF_OUTCOME_PASS, 0, "" },
	{ "V=SPF1 IP4:203.0.113.0/24 -ALL", IP, SPF_OUTCOME_PASS, 0, "" },
	{ "v=spf1 ip6:2001:db8::/32 -all", IP6, SPF_OUTCOME_PASS, 0, "" },
	{ "v=spf1 ip6:2001:db8::/32 -all", IP, SPF_OUTCOME_FAIL, 0, "" },
	{ "v=spf1 a:host.example -all", IP, SPF_OUTCOME_PASS, 1, "" },
	{ "v=spf1 a:host.example -all", IP6, SPF_OUTCOME_PASS, 1, "" },
	{ "v=spf1 mx:d2.example -all", IP, SPF_OUTCOME_PASS, 1, "" },
	{ "v=spf1 mx:d2.example/24 -all", "203.0.113.99", SPF_OUTCOME_PASS, 1,
	    "" },
	{ "v=spf1 exists:%{ir}.list.example -all", IP, SPF_OUTCOME_PASS, 1,
	    "" },
	{ "v=spf1 ptr:relay.example -all", IP, SPF_OUTCOME_PASS, 1, "" },
	{ "v=spf1 redirect=spf.relay.example", IP, SPF_OUTCOME_PASS, 1, "" },
	{ "v=spf1 redirect=spf.relay.example", IP6, SPF_OUTCOME_FAIL, 1, "" },
	{ "v=spf1 -all exp=why.example", IP, SPF_OUTCOME_FAIL, 0, "" },
	{ "v=spf10 -all", IP, SPF_OUTCOME_NONE, 0, "" },
	{ "something else", IP, SPF_OUTCOME_NONE, 0, "" },
	{ "v=spf1 include:none.example -all", IP, SPF_OUTCOME_PERMERROR, 1,
	    NULL },
	{ "v=spf1 ip4:300.1.1.1 -all", IP, SPF_OUTCOME_PERMERROR, 0, NULL },
	{ "v=spf1 foo:bar -all", IP, SPF_OUTCOME_PERMERROR, 0,
	    "\"foo:bar\": unknown mechanism" },
	{ "v=spf1 include:wrong.example -all", IP, SPF_OUTCOME_PERMERROR, 1,
	    "\"mx/99\" of wrong.example: bad IPv4 prefix length" },
	/* what libspf2 alone would take otherwise */
	{ "v=spf1 redirect=none.example ip4:203.0.113.10 -all", IP,
	    SPF_OUTCOME_PASS, 0, "" },
	{ "v=spf1 redirect=spf.relay.example ?all", IP, SPF_OUTCOME_NEUTRAL,
	    0, "" },
	{ "v=spf1 redirect=a.example redirect=b.example", IP,
	    SPF_OUTCOME_PERMERROR, 0, "\"redirect=b.example\": given twice" },
	{ "v=spf1 ip4:0.0.0.0/0 -all", IP, SPF_OUTCOME_PASS, 0, "" },
	{ "v=spf1 a:d2.example/0 -all", IP, SPF_OUTCOME_FAIL, 1, "" },
	{ "v=spf1 a:host.example/0 -all", "198.51.100.1", SPF_OUTCOME_PASS, 1,
	    "" },
	{ "v=spf1 mx:d2.example/0 -all", "198.51.100.1", SPF_OUTCOME_PASS, 1,
	    "" },
	{ "v=spf1 mx:d2.example//0 -all", "198.51.100.1", SPF_OUTCOME_FAIL, 1,
	    "" },
	{ "v=spf1 exists:%{d9}.list.example -all", IP, SPF_OUTCOME_PASS, 1,
	    "" },
	{ "v=spf1 exists:%{ir.list.example -all", IP, SPF_OUTCOME_PERMERROR,
	    0, "\"exists:%{ir.list.example\": bad macro" },
	{ "v=spf1 exists:%{p2}.list.example -all", IP, SPF_OUTCOME_PASS, 2,
	    "" },
	{ "v=spf1 a:host.example -all x.y=z", IP, SPF_OUTCOME_PASS, 1, "" },
	{ "v=spf1 ip4:203.0.113.10 -all", "::ffff:203.0.113.10",
	    SPF_OUTCOME_PASS, 0, "" },
	/* the names of an address: trouble with one is passed over (5.5) */
	{ "v=spf1 ptr:relay.example -all", "203.0.113.12", SPF_OUTCOME_PASS,
	    1, "" },
	{ "v=spf1 ptr:relay.example -all", "203.0.113.13", SPF_OUTCOME_FAIL,
	    1, "" },
	/* a term for a host that a mx term has named is a term of its own */
	{ "v=spf1 mx:d2.example a:mx1.relay.example -all", "198.51.100.1",
	    SPF_OUTCOME_FAIL, 2, "" },
	{ "v=spf1 mx:null.example -all", IP, SPF_OUTCOME_FAIL, 1, "" },
	{ "v=spf1 a:broken.example -all", IP, SPF_OUTCOME_TEMPERROR, 1,
	    NULL },
	{ "v=spf1 include:broken.example -all", IP, SPF_OUTCOME_TEMPERROR, 1,
	    NULL },
	/* two void look-ups are allowed, three are not */
	{ "v=spf1 a:v1.example a:v2.example -all", IP, SPF_OUTCOME_FAIL, 2,
	    "" },
	{ "v=spf1 a:v1.example a:v2.example mx:v3.example -all", IP,
	    SPF_OUTCOME_PERMERROR, 3, "more than 2 void look-ups" },
	{ "v=spf1 a:v1.example ip4:203.0.113.10 a:v2.example mx:v3.example "
	  "-all", IP, SPF_OUTCOME_PASS, 1, "" },
};

static void
add_zone(void)
{
	txt("spf.relay.example", "v=spf1 ip4:203.0.113.10 -all");
	add("host.example", "A", "192.0.2.1");
	add("host.example", "A", IP);
	add("host.example", "AAAA", IP6);
	add("d2.example", "MX", "10 mx1.relay.example");
	add("mx1.relay.example", "A", IP);
	add("10.113.0.203.in-addr.arpa", "PTR", "mx1.relay.example");
	add("10.113.0.203.list.example", "A", "127.0.0.2");
	add("broken.example", "A", "SERVFAIL");
	txt("wrong.example", "v=spf1 ip4:203.0.113.10 mx/99");
	add("d.example.list.example", "A", "127.0.0.2");
	add("relay.example.list.example", "A", "127.0.0.2");
	add("null.example", "MX", "0 .");
	add("12.113.0.203.in-addr.arpa", "PTR", "broken.example");
	add("12.113.0.203.in-addr.arpa", "PTR", "mx12.relay.example");
	add("mx12.relay.example", "A", "203.0.113.12");
	add("13.113.0.203.in-addr.arpa", "PTR", "SERVFAIL");
	add("broken.example", "TXT", "TIMEOUT");
}

static void
test_results(void **state)
{
	struct bench b;
	size_t	     i;

	(void)state;
	bench_open(&b);
	add_zone();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_dns_remove("d.example", NULL);
		txt("d.example", rows[i].record);
		if (ask(&b, rows[i].ip, "d.example") != rows[i].result ||
		    b.answer.lookups != rows[i].lookups ||
		    (rows[i].cause != NULL &&
			strcmp(b.answer.cause, rows[i].cause) != 0) ||
		    (rows[i].cause == NULL && b.answer.cause[0] == '\0'))
			fail_msg("%s from %s: %s, %u look-ups, cause \"%s\"",
			    rows[i].record, rows[i].ip,
			    spf_result_to_text(b.answer.result),
			    b.answer.lookups, b.answer.cause);
		assert_string_equal(b.own, rows[i].record);
	}
	bench_close(&b);
}

/* What is at the name itself. */
static void
test_own_record(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	assert_int_equal(ask(&b, IP, "none.example"), SPF_OUTCOME_NONE);
	add("empty.example", "TXT", "NODATA");
	assert_int_equal(ask(&b, IP, "empty.example"), SPF_OUTCOME_NONE);
	assert_int_equal(b.answer.voids, 0);
	add("down.example", "TXT", "SERVFAIL");
	assert_int_equal(ask(&b, IP, "down.example"), SPF_OUTCOME_TEMPERROR);
	add("dead.example", "TXT", "TIMEOUT");
	assert_int_equal(ask(&b, IP, "dead.example"), SPF_OUTCOME_TEMPERROR);
	txt("two.example", "v=spf1 ip4:203.0.113.10 -all");
	txt("two.example", "v=spf1 +all");
	assert_int_equal(ask(&b, IP, "two.example"), SPF_OUTCOME_PERMERROR);
	txt("beside.example", "google-site-verification=x");
	txt("beside.example", "v=spf1 ip4:203.0.113.10 -all");
	assert_int_equal(ask(&b, IP, "beside.example"), SPF_OUTCOME_PASS);
	/* a null sender: the EHLO name */
	txt("mx1.relay.example", "v=spf1 ip4:203.0.113.10 -all");
	assert_int_equal(ask(&b, IP, ""), SPF_OUTCOME_PASS);
	assert_int_equal(ask(&b, IP6, ""), SPF_OUTCOME_FAIL);
	/* loopback is no friend */
	assert_int_equal(ask(&b, "127.0.0.1", ""), SPF_OUTCOME_FAIL);
	assert_int_equal(ask(&b, "::1", ""), SPF_OUTCOME_FAIL);
	bench_close(&b);
}

/* -- limits ---------------------------------------------------------------- */

static void
many_includes(char *out, size_t size, unsigned n)
{
	char	 name[32];
	size_t	 at = (size_t)snprintf(out, size, "v=spf1");
	unsigned i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "i%u.example", i);
		at += (size_t)snprintf(out + at, size - at, " include:%s",
		    name);
		fake_dns_remove(name, NULL);
		txt(name, "v=spf1 ip4:192.0.2.1 -all");
	}
	snprintf(out + at, size - at, " ip4:203.0.113.10 -all");
}

static void
test_lookups(void **state)
{
	struct bench b;
	char	     record[600];

	(void)state;
	bench_open(&b);
	many_includes(record, sizeof(record), 10);
	txt("ten.example", record);
	assert_int_equal(ask(&b, IP, "ten.example"), SPF_OUTCOME_PASS);
	assert_int_equal(b.answer.lookups, 10);
	many_includes(record, sizeof(record), 11);
	txt("eleven.example", record);
	assert_int_equal(ask(&b, IP, "eleven.example"),
	    SPF_OUTCOME_PERMERROR);
	assert_string_equal(b.answer.cause, "more than 10 DNS look-ups");
	/* nested ones count, too */
	txt("outer.example", "v=spf1 include:ten.example -all");
	assert_int_equal(ask(&b, IP, "outer.example"), SPF_OUTCOME_PERMERROR);
	/* and circles end */
	txt("c1.example", "v=spf1 include:c2.example -all");
	txt("c2.example", "v=spf1 include:c1.example -all");
	assert_int_equal(ask(&b, IP, "c1.example"), SPF_OUTCOME_PERMERROR);
	txt("r1.example", "v=spf1 redirect=r1.example");
	assert_int_equal(ask(&b, IP, "r1.example"), SPF_OUTCOME_PERMERROR);
	bench_close(&b);
}

/* Eleven hosts of one mx are an error, of ptr the eleventh is ignored. */
static void
test_hosts(void **state)
{
	struct bench b;
	char	     host[40];
	unsigned     k;

	(void)state;
	bench_open(&b);
	for (k = 0; k < 11; k++) {
		snprintf(host, sizeof(host), "%u h%u.example", k, k);
		add("m.example", "MX", host);
		add("10.113.0.203.in-addr.arpa", "PTR",
		    strchr(host, ' ') + 1);
		add(strchr(host, ' ') + 1, "A", k == 10 ? IP : "192.0.2.1");
		add(strchr(host, ' ') + 1, "AAAA", IP6);
	}
	txt("mx.example", "v=spf1 mx:m.example -all");
	assert_int_equal(ask(&b, IP6, "mx.example"), SPF_OUTCOME_PERMERROR);
	assert_string_equal(b.answer.cause,
	    "m.example has more than 10 MX records");
	txt("ptr.example", "v=spf1 ptr:h10.example -all");
	assert_int_equal(ask(&b, IP, "ptr.example"), SPF_OUTCOME_FAIL);
	bench_close(&b);
}

/* Every term counts, however many there are; the last one decides here. */
static void
test_many_terms(void **state)
{
	struct bench b;
	char	     record[3600] = "v=spf1", name[250], label[61];
	unsigned     i;

	(void)state;
	bench_open(&b);
	for (i = 0; i < 100; i++)
		snprintf(record + strlen(record),
		    sizeof(record) - strlen(record), " ip6:2001:db8:1::%u", i);
	strcat(record, " ip6:2001:db8::10 -all");
	txt("many.example", record);
	assert_int_equal(ask(&b, IP6, "many.example"), SPF_OUTCOME_PASS);
	assert_int_equal(ask(&b, IP, "many.example"), SPF_OUTCOME_FAIL);
	/* names that are long, too */
	memset(label, 'x', 60);
	label[60] = '\0';
	strcpy(record, "v=spf1");
	for (i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "i%u.%s.%s.%s.example", i,
		    label, label, label);
		txt(name, "v=spf1 ip4:192.0.2.1 -all");
		strcat(strcat(record, " include:"), name);
	}
	strcat(record, " ip4:203.0.113.10 -all");
	txt("long.example", record);
	assert_int_equal(ask(&b, IP, "long.example"), SPF_OUTCOME_PASS);
	assert_int_equal(ask(&b, IP6, "long.example"), SPF_OUTCOME_FAIL);
	bench_close(&b);
}

/* Ten mx terms with ten hosts each are more than is asked for. */
static void
test_questions(void **state)
{
	struct bench b;
	char	     record[400] = "v=spf1", name[32], host[40];
	unsigned     i, k;

	(void)state;
	bench_open(&b);
	for (i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "m%u.example", i);
		snprintf(record + strlen(record),
		    sizeof(record) - strlen(record), " mx:%s", name);
		for (k = 0; k < 10; k++) {
			snprintf(host, sizeof(host), "%u h%u-%u.example", k,
			    i, k);
			add(name, "MX", host);
			add(strchr(host, ' ') + 1, "A", "192.0.2.1");
		}
	}
	strcat(record, " -all");
	txt("wide.example", record);
	assert_int_equal(ask(&b, IP, "wide.example"), SPF_OUTCOME_PERMERROR);
	assert_true(b.answer.questions <= SPF_QUESTIONS_MAX);
	assert_int_equal(fake_dns_question_count(), b.answer.questions);
	bench_close(&b);
}

/* Each question is asked once, whatever the number of evaluations. */
static void
test_asked_once(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	add_zone();
	txt("d.example", "v=spf1 include:spf.relay.example a:host.example "
			 "a:host.example mx:d2.example ~all");
	assert_int_equal(ask(&b, "198.51.100.1", "d.example"),
	    SPF_OUTCOME_SOFTFAIL);
	/* its own, the include, A of the host, MX, A of that */
	assert_int_equal(fake_dns_question_count(), 5);
	assert_int_equal(b.answer.questions, 5);
	assert_int_equal(b.answer.lookups, 4);
	bench_close(&b);
}

/* Nobody waits for it any more. */
static void
test_given_up(void **state)
{
	struct spf_question q = { IP, "d.example", "", "h.example", false };
	struct bench	    b;

	(void)state;
	bench_open(&b);
	txt("d.example", "v=spf1 -all");
	b.check = spf_check_new(b.loop, b.resolver, &q, on_done, &b);
	spf_check_free(b.check); /* before it began */
	b.check = spf_check_new(b.loop, b.resolver, &q, on_done, &b);
	fake_dns_slow(500);
	assert_true(fake_threads_advance(1)); /* a question is out */
	assert_int_equal(fake_dns_question_count(), 1);
	spf_check_free(b.check);
	b.check = NULL;
	assert_true(fake_threads_advance(60000));
	assert_int_equal(b.done, 0);
	fake_dns_slow(0);
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_own_record),
		cmocka_unit_test(test_lookups),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_many_terms),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_asked_once),
		cmocka_unit_test(test_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
