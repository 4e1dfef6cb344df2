/* SPDX-License-Identifier: ISC */
/*
 * From a recipient domain to its site, on a fake DNS: each row of the tables
 * of delivery.md 4.2 and 4.3 that is decided without connecting.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "delivery_bed.h"
#include "fake_resolver.h"

static struct carrier c;
static struct {
	struct site	 site;	 /* as it was asked for last */
	unsigned	 sites, enqueued, failed, moved, simulated;
	enum result_kind kind;
	bool		 no_source;
	enum site_wish	 wish;
	char		 last[64];
	uint32_t	 flags; /* of the row */
	unsigned	 room, left, fetched;
} w;

/* -- in the place of the other parts --------------------------------------- */

struct site *
site_find(struct carrier *carrier, const struct site *wanted,
    struct bytes domain)
{
	(void)carrier;
	(void)domain;
	w.site = *wanted;
	w.sites++;
	return &w.site;
}

struct egress *
site_choose_egress(struct site *s, const struct due *d, enum site_wish wish,
    const char *last)
{
	assert_ptr_equal(s, &w.site);
	(void)d;
	snprintf(w.last, sizeof(w.last), "%s", last);
	w.wish = wish;
	return w.no_source ? NULL : (struct egress *)&w;
}

void
egress_enqueue(struct egress *eg, struct due *d)
{
	assert_ptr_equal(eg, &w);
	d->place = DUE_QUEUED;
	w.enqueued++;
}

void
carrier_fail(struct carrier *carrier, struct due *d, enum result_kind k)
{
	(void)carrier;
	(void)d;
	w.failed++;
	w.kind = k;
}

void
carrier_move(struct carrier *carrier, struct egress *eg, struct due *d,
    struct wall next)
{
	(void)d;
	assert_null(eg);
	assert_int_equal(next.ms, loop_wall(carrier->loop).ms + 300000);
	w.moved++;
}

bool
carrier_suppress(struct carrier *carrier, struct due *d)
{
	(void)carrier;
	(void)d;
	fail_msg("nobody was marked as suppressed");
	return true;
}

void
carrier_simulate(struct carrier *carrier, struct due *d)
{
	(void)carrier;
	(void)d;
	w.simulated++;
}

unsigned
scheduler_room(const struct carrier *carrier)
{
	(void)carrier;
	return w.room;
}

void
scheduler_leave(struct carrier *carrier, struct due *d, struct leftover *l)
{
	(void)carrier;
	assert_ptr_equal(l, &d->route->left);
	l->any = true;
	w.left++;
	route_unref(d->route);
	d->route = NULL;
}

void
scheduler_fetch(struct carrier *carrier, struct leftover *l)
{
	(void)carrier;
	assert_true(l->any);
	w.fetched++;
}

int
spool_read_recipient(struct spool *s, const struct msgid *id, unsigned n,
    struct arena *a, struct recipient_row *out, struct err *e)
{
	(void)s;
	(void)id;
	(void)n;
	(void)a;
	(void)e;
	memset(out, 0, sizeof(*out));
	out->flags = w.flags;
	out->last_source_ip = BYTES("203.0.113.11");
	return 1;
}

/* -- the bed --------------------------------------------------------------- */

static void
open_bed(const char *conf)
{
	struct resolver_setup rs = { .timeout_ms = 5000, .tries = 3 };
	struct err	      e;

	memset(&w, 0, sizeof(w));
	w.room = 1000;
	delivery_bed_open(&c, conf);
	fake_dns_remove(NULL, NULL);
	c.set.resolver = resolver_new(c.loop, &rs, &e);
}

static void
close_bed(void)
{
	route_free_all(&c);
	resolver_free(c.set.resolver);
	table_free(c.sites);
	table_free(c.groups);
	table_free(c.outlets);
	delivery_bed_close(&c);
}

/* One envelope for the domain; the answer has come. */
static struct route *
take(struct due *d, const char *domain)
{
	memset(d, 0, sizeof(*d));
	d->route = route_ref(&c, bytes_of(domain));
	route_take(&c, d);
	assert_true(fake_threads_advance(20000));
	return d->route;
}

static void
hosts(char *out, size_t size)
{
	unsigned i;
	int	 n = 0;

	out[0] = '\0';
	for (i = 0; i < w.site.host_count; i++)
		n += snprintf(out + n, size - (size_t)n, "%s%u %s",
		    i > 0 ? ", " : "", w.site.hosts[i].preference,
		    w.site.hosts[i].name);
}

/* -- cases ----------------------------------------------------------------- */

struct dns_case {
	const char	*records[5]; /* of d.example, MX unless "TYPE:..." */
	enum result_kind kind;	     /* NONE: the hosts */
	const char	*hosts;
};
static const struct dns_case dns_cases[] = {
	{ { "20 b.example", "10 a.example" }, RESULT_NONE,
	    "10 a.example, 20 b.example" },
	{ { "10 b.example", "10 a.example", "10 a.example" }, RESULT_NONE,
	    "10 a.example, 10 b.example" },
	{ { "20 a.example", "15 b.example", "10 a.example" }, RESULT_NONE,
	    "10 a.example, 15 b.example" },
	{ { "0 ." }, RESULT_NULL_MX, "" },
	{ { "0 .", "10 a.example" }, RESULT_NONE, "10 a.example" },
	{ { "A:198.51.100.1" }, RESULT_NONE, "0 d.example" },
	{ { "NXDOMAIN" }, RESULT_NXDOMAIN, "" },
	{ { "SERVFAIL" }, RESULT_DNS, "" },
	{ { "TIMEOUT" }, RESULT_DNS, "" },
	{ { "UNREACHABLE" }, RESULT_RESOLVER, "" },
	/* this host, and all that are no better, are left out */
	{ { "10 mail.relay.example" }, RESULT_LOOP, "" },
	{ { "10 MAIL.relay.example", "20 b.example" }, RESULT_LOOP, "" },
	{ { "5 a.example", "10 mail.relay.example", "10 b.example",
		"20 c.example" }, RESULT_NONE, "5 a.example" },
	{ { "10 mail.relay.example", "20 mail.relay.example", "5 a.example" },
	    RESULT_NONE, "5 a.example" },
};

static void
answers_to_the_mx_query(void **state) /* delivery#3,4,5,6,19 (decision) */
{
	const struct dns_case *t;
	struct due	       d;
	char		       got[2048], type[8];
	const char	      *r;
	unsigned	       i;

	(void)state;
	for (t = dns_cases; t < dns_cases + sizeof(dns_cases) /
		 sizeof(dns_cases[0]); t++) {
		open_bed("");
		for (i = 0; i < 5 && (r = t->records[i]) != NULL; i++) {
			snprintf(type, sizeof(type), "%s",
			    r[0] == 'A' && r[1] == ':' ? "A" : "MX");
			assert_true(fake_dns_add("d.example", type,
			    r + (type[0] == 'A' ? 2 : 0), 300));
		}
		take(&d, "d.example");
		hosts(got, sizeof(got));
		if (w.kind != t->kind || w.failed != (t->kind != RESULT_NONE) ||
		    strcmp(got, t->hosts) != 0)
			fail_msg("%s: %s, %s", t->records[0],
			    result_kind_to_text(w.kind), got);
		assert_int_equal(w.enqueued, t->kind == RESULT_NONE);
		route_unref(d.route);
		close_bed();
	}
}

static void
many_hosts_are_bounded(void **state)
{
	struct due d;
	char	   mx[64];
	unsigned   i;

	(void)state;
	open_bed("");
	for (i = 0; i < DNS_RECORDS_MAX; i++) {
		/* the best come last */
		snprintf(mx, sizeof(mx), "%u mx%u.example",
		    DNS_RECORDS_MAX - i, DNS_RECORDS_MAX - i);
		assert_true(fake_dns_add("d.example", "MX", mx, 300));
	}
	take(&d, "d.example");
	assert_int_equal(w.site.host_count, MX_HOSTS_MAX);
	for (i = 0; i < MX_HOSTS_MAX; i++)
		assert_int_equal(w.site.hosts[i].preference, i + 1);
	route_unref(d.route);
	close_bed();
}

static void
routes_of_the_operator(void **state) /* delivery.md 4.1 */
{
	static const struct {
		const char *domain, *host;
		unsigned    port;
		bool	    is_static, is_address;
	} cases[] = {
		{ "any.example", "smart.example", 2525, true, false },
		{ "sub.example.net", "hub.example", 25, true, false },
		{ "a.b.example.net", "hub.example", 25, true, false },
		{ "example.net", "smart.example", 2525, true, false },
		{ "special.example.net", "192.0.2.5", 2526, true, true },
		{ "[192.0.2.9]", "smart.example", 2525, true, false },
	};
	struct due d;
	size_t	   i;

	(void)state;
	open_bed("delivery.route * smart.example:2525\n"
		 "delivery.route .example.net hub.example\n"
		 "delivery.route special.example.net [192.0.2.5]:2526\n");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		take(&d, cases[i].domain);
		assert_int_equal(w.enqueued, i + 1);
		assert_string_equal(w.site.hosts[0].name, cases[i].host);
		assert_int_equal(w.site.port, cases[i].port);
		assert_int_equal(w.site.is_static, cases[i].is_static);
		assert_int_equal(w.site.hosts[0].is_address,
		    cases[i].is_address);
		route_unref(d.route);
	}
	assert_int_equal(fake_dns_question_count(), 0);
	close_bed();
}

static void
address_literals(void **state)
{
	struct due d;

	(void)state;
	open_bed("");
	take(&d, "[192.0.2.9]");
	assert_true(w.site.hosts[0].is_address && !w.site.is_static);
	route_unref(d.route);
	take(&d, "[ipv6:2001:db8::9]");
	assert_int_equal(w.site.hosts[0].address.ss_family, AF_INET6);
	route_unref(d.route);
	assert_int_equal(w.enqueued, 2);
	take(&d, "[nonsense]");
	assert_int_equal(w.kind, RESULT_NO_ADDRESS);
	route_unref(d.route);
	close_bed();
}

static void
tls_of_the_domain(void **state)
{
	static const struct {
		const char     *domain;
		enum tls_demand policy;
	} cases[] = { { "strict.example", TLS_VERIFY },
		{ "need.example", TLS_REQUIRE }, { "none.example", TLS_NEVER },
		{ "usual.example", TLS_TRY } };
	struct due d;
	size_t	   i;

	(void)state;
	open_bed("delivery.tls strict.example verify\n"
		 "delivery.tls need.example require\n"
		 "delivery.tls none.example none\n");
	for (i = 0; i < 4; i++) {
		assert_true(fake_dns_add(cases[i].domain, "MX", "10 a.example",
		    300));
		take(&d, cases[i].domain);
		assert_int_equal(w.site.policy, cases[i].policy);
		route_unref(d.route);
	}
	close_bed();
}

/* An answer holds for its TTL, within bounds; a failure for a moment. */
static void
answers_are_kept(void **state)
{
	static const struct {
		const char *type, *value;
		uint32_t    ttl;
		int64_t	    keep_s;
	} cases[] = { { "MX", "10 a.example", 0, 60 },
		{ "MX", "10 a.example", 300, 300 },
		{ "MX", "10 a.example", UINT32_MAX, 3600 },
		/* no MX: a negative answer, here without SOA */
		{ "A", "198.51.100.1", 3600, 30 },
		{ "MX", "SERVFAIL", 3600, 5 }, { "MX", "NXDOMAIN", 3600, 5 } };
	struct due    d[3];
	struct route *r;
	size_t	      i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_bed("");
		assert_true(fake_dns_add("d.example", cases[i].type,
		    cases[i].value, cases[i].ttl));
		memset(d, 0, sizeof(d));
		/* two that come together ask once */
		r = d[0].route = route_ref(&c, BYTES("d.example"));
		d[1].route = route_ref(&c, BYTES("d.example"));
		route_take(&c, &d[0]);
		route_take(&c, &d[1]);
		assert_true(fake_threads_settle());
		assert_int_equal(fake_dns_question_count(), 1);
		assert_int_equal(w.enqueued + w.failed, 2);
		assert_int_equal(r->valid_until.ms - loop_now(c.loop).ms,
		    cases[i].keep_s * 1000);
		assert_true(fake_threads_advance(cases[i].keep_s * 1000 - 1));
		route_take(&c, &d[0]);
		assert_true(fake_threads_settle());
		assert_int_equal(fake_dns_question_count(), 1);
		assert_true(fake_threads_advance(1));
		/* what nobody needs is forgotten then, not before */
		route_unref(r);
		route_unref(r);
		route_tidy(&c);
		assert_int_equal(table_count(c.routes), 0);
		close_bed();
	}
}

static void
routes_hold_their_site(void **state)
{
	struct due d;

	(void)state;
	open_bed("");
	assert_true(fake_dns_add("d.example", "MX", "10 a.example", 60));
	take(&d, "d.example");
	assert_int_equal(w.site.routes, 1);
	fake_dns_remove("d.example", NULL);
	assert_true(fake_dns_add("d.example", "MX", "SERVFAIL", 60));
	assert_true(fake_threads_advance(60000));
	route_take(&c, &d);
	assert_true(fake_threads_settle());
	assert_int_equal(w.site.routes, 0);
	route_unref(d.route);
	close_bed();
}

static void
who_goes_where(void **state)
{
	struct due d;

	(void)state;
	open_bed("");
	assert_true(fake_dns_add("d.example", "MX", "10 a.example", 3000));
	/* no source address: moved, told by carrier_move() */
	w.no_source = true;
	take(&d, "d.example");
	assert_int_equal(w.moved, 1);
	route_unref(d.route);
	w.no_source = false;
	/* greylisting: the same source again, if there is a choice */
	w.flags = OUTCOME_STICKY_SOURCE;
	c.source_count = 1;
	take(&d, "d.example");
	assert_int_equal(w.wish, SITE_LEAST_USED);
	route_unref(d.route);
	c.source_count = 2;
	take(&d, "d.example");
	assert_int_equal(w.wish, SITE_SAME);
	assert_string_equal(w.last, "203.0.113.11");
	route_unref(d.route);
	/* after an IP block another one, unless that one was greylisted */
	w.flags = 1 << OUTCOME_IP_BLOCK_SHIFT;
	take(&d, "d.example");
	assert_int_equal(w.wish, SITE_NEXT);
	route_unref(d.route);
	w.flags |= OUTCOME_STICKY_SOURCE;
	take(&d, "d.example");
	assert_int_equal(w.wish, SITE_SAME);
	route_unref(d.route);
	w.flags = 0;
	take(&d, "d.example");
	assert_int_equal(w.wish, SITE_LEAST_USED);
	route_unref(d.route);
	/* the simulator asks nobody */
	memset(&d, 0, sizeof(d));
	d.simulator = true;
	d.route = route_ref(&c, BYTES("simulator.example"));
	route_take(&c, &d);
	assert_int_equal(w.simulated, 1);
	route_unref(d.route);
	/* a reload asks again */
	w.enqueued = 0;
	assert_int_equal(fake_dns_question_count(), 1);
	route_forget_all(&c);
	take(&d, "d.example");
	assert_int_equal(fake_dns_question_count(), 2);
	assert_int_equal(w.enqueued, 1);
	route_unref(d.route);
	close_bed();
}

/* A domain whose servers are silent holds no more than its part of the window;
 * the rest is read when there is an answer, and the route stays until then. */
static void
waiting_for_an_answer(void **state)
{
	struct due    d[4];
	struct route *r;
	unsigned      i;

	(void)state;
	open_bed("");
	w.room = 2;
	assert_true(fake_dns_add("d.example", "MX", "TIMEOUT", 60));
	memset(d, 0, sizeof(d));
	for (i = 0; i < 4; i++) {
		d[i].route = route_ref(&c, BYTES("d.example"));
		route_take(&c, &d[i]);
	}
	r = d[0].route;
	assert_int_equal(w.left, 2);
	assert_int_equal(w.failed, 0);
	assert_true(fake_threads_advance(20000));
	assert_int_equal(w.failed, 2);
	assert_int_equal(w.fetched, 1);
	route_unref(r);
	route_unref(r);
	route_tidy(&c);
	assert_int_equal(table_count(c.routes), 1);
	assert_int_equal(r->waiting_count, 0);
	r->left.any = false; /* they have been read */
	route_tidy(&c);
	assert_int_equal(table_count(c.routes), 0);
	close_bed();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_to_the_mx_query),
		cmocka_unit_test(many_hosts_are_bounded),
		cmocka_unit_test(routes_of_the_operator),
		cmocka_unit_test(address_literals),
		cmocka_unit_test(tls_of_the_domain),
		cmocka_unit_test(answers_are_kept),
		cmocka_unit_test(routes_hold_their_site),
		cmocka_unit_test(waiting_for_an_answer),
		cmocka_unit_test(who_goes_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
