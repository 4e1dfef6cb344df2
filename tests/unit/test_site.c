/* SPDX-License-Identifier: ISC */
/*
 * Sites and destination groups (delivery.md 8), choice of the source address
 * (11.3, 11.4; delivery#20).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "delivery_bed.h"

static struct carrier c;
static unsigned egresses_freed;
static bool	egresses_idle;

/* -- in the place of egress.c ---------------------------------------------- */

struct egress *
egress_new(struct site *s, const struct source *source)
{
	struct egress *eg = mem_alloc(sizeof(*eg));

	eg->site = s;
	eg->carrier = s->carrier;
	if (source != NULL)
		snprintf(eg->source_text, sizeof(eg->source_text), "%s",
		    source->address);
	return eg;
}

void
egress_free(struct egress *eg)
{
	egresses_freed++;
	mem_free(eg);
}

bool
egress_is_held(const struct egress *eg)
{
	return eg->hold_until.ms > 0;
}

bool
egress_is_foreign(const struct egress *eg)
{
	return eg->foreign_until.ms > 0;
}

bool
egress_tidy(struct egress *eg)
{
	(void)eg;
	return egresses_idle;
}

/* -- the bed --------------------------------------------------------------- */

static void
open_bed(const char *conf)
{
	egresses_freed = 0;
	egresses_idle = true;
	delivery_bed_open(&c, conf);
}

static void
close_bed(void)
{
	site_free_all(&c);
	table_free(c.routes);
	delivery_bed_close(&c);
}

/* "10 a.example,20 b.example" */
static struct site *
find(const char *domain, const char *hosts, enum tls_demand policy)
{
	struct site *s = mem_alloc(sizeof(*s)), *found;
	unsigned     preference;
	int	     n;

	s->port = 25;
	s->policy = policy;
	while (sscanf(hosts, "%u %255[^,]%n", &preference,
		   s->hosts[s->host_count].name, &n) == 2) {
		s->hosts[s->host_count++].preference = (uint16_t)preference;
		hosts += n;
		if (*hosts == ',')
			hosts++;
	}
	assert_true(s->host_count > 0);
	found = site_find(&c, s, bytes_of(domain));
	mem_free(s);
	return found;
}

/* -- cases ----------------------------------------------------------------- */

static void
who_shares_a_site(void **state)
{
	struct site *s;

	(void)state;
	open_bed("delivery.dest own.example {\n\tmax_connections 1\n}\n");
	s = find("one.example", "10 a.mx.example,20 b.mx.example", TLS_TRY);
	assert_ptr_equal(s, find("two.example",
	    "5 a.mx.example,7 b.mx.example", TLS_TRY));
	/* another order of the same hosts, another set, a stricter policy */
	assert_ptr_not_equal(s, find("x.example",
	    "10 b.mx.example,20 a.mx.example", TLS_TRY));
	assert_ptr_not_equal(s, find("x.example",
	    "10 a.mx.example,10 b.mx.example", TLS_TRY));
	assert_ptr_not_equal(s, find("x.example", "10 a.mx.example", TLS_TRY));
	assert_ptr_not_equal(s, find("x.example",
	    "10 a.mx.example,20 b.mx.example", TLS_REQUIRE));
	/* assigned by name to a group of its own */
	assert_ptr_not_equal(s, find("own.example",
	    "10 a.mx.example,20 b.mx.example", TLS_TRY));
	assert_int_equal(table_count(c.sites), 6);
	/* nobody has changed its order */
	assert_string_equal(s->hosts[0].name, "a.mx.example");
	assert_int_equal(s->hosts[0].preference, 10);
	close_bed();
}

static void
groups_and_their_limits(void **state)
{
	static const struct {
		const char *domain, *mx, *group;
		unsigned    connections;
		double	    rate;
	} cases[] = {
		/* by name, in this order: dest block, domains, mx, registrable
		 * domain of the best host */
		{ "named.example", "10 mx.google.com", "named.example", 3, 7 },
		{ "mine.example", "10 mx.google.com", "big", 4, 0 },
		{ "any.example", "10 aspmx.l.google.com", "gmail", 20, 0 },
		{ "any.example", "10 x.mail.protection.outlook.com",
		    "microsoft365", 20, 0 },
		{ "hotmail.com", "10 x.olc.protection.outlook.com", "outlook",
		    20, 0 },
		{ "any.example", "10 mx1.deep.host.co.uk", "host.co.uk", 20,
		    0 },
		{ "any.example", "10 MX.big.example,20 other.example", "big",
		    4, 0 },
		{ "any.example", "20 other.example", "other.example", 20, 0 },
	};
	struct site *s;
	size_t	     i;

	(void)state;
	open_bed("delivery.dest named.example {\n\tmax_connections 3\n"
		 "\trate 7\n}\ndelivery.provider big {\n\ttitle Big\n\tmx big.example\n"
		 "\tdomains mine.example\n}\ndelivery.dest big {\n"
		 "\tmax_connections 4\n}\n");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		s = find(cases[i].domain, cases[i].mx, TLS_TRY);
		if (strcmp(s->group_name, cases[i].group) != 0)
			fail_msg("%s, %s: group %s", cases[i].domain,
			    cases[i].mx, s->group_name);
		assert_int_equal(s->max_connections, cases[i].connections);
		assert_true(s->rate == cases[i].rate);
	}
	close_bed();
}

static void
settings_of_today(void **state)
{
	struct conf_errors errors;
	struct site	  *s;

	(void)state;
	open_bed("delivery.reuse_max 7\n");
	s = find("one.example", "10 a.example", TLS_TRY);
	assert_int_equal(s->reuse_max, 7);
	conf_unref(c.conf);
	conf_errors_init(&errors);
	c.conf = conf_load_text("test", BYTES("server.name m.example\n"
					      "delivery.reuse_max 9\n"),
	    NULL, &errors);
	assert_non_null(c.conf);
	conf_errors_wipe(&errors);
	assert_ptr_equal(s, find("one.example", "10 a.example", TLS_TRY));
	assert_int_equal(s->reuse_max, 9);
	close_bed();
}

/* Nobody leads there, nothing is under way, and for an hour nobody did. */
static void
sites_are_forgotten(void **state)
{
	struct site *s;
	struct due   d;

	(void)state;
	memset(&d, 0, sizeof(d));
	open_bed("");
	s = find("one.example", "10 a.example", TLS_TRY);
	assert_non_null(site_choose_egress(s, &d, SITE_LEAST_USED, ""));
	s->routes = 1;
	assert_true(fake_threads_advance(HOUR_MS));
	site_tidy(&c);
	assert_int_equal(table_count(c.sites), 1);
	s->routes = 0;
	egresses_idle = false;
	site_tidy(&c);
	assert_int_equal(table_count(c.sites), 1);
	egresses_idle = true;
	s->used = loop_now(c.loop);
	assert_true(fake_threads_advance(HOUR_MS - 1));
	site_tidy(&c);
	assert_int_equal(table_count(c.sites), 1);
	assert_true(fake_threads_advance(1));
	site_tidy(&c);
	assert_int_equal(table_count(c.sites), 0);
	assert_int_equal(egresses_freed, 1);
	close_bed();
}

static struct source *
source(struct source *s, const char *address, bool dedicated)
{
	memset(s, 0, sizeof(*s));
	snprintf(s->address, sizeof(s->address), "%s", address);
	s->dedicated = dedicated;
	s->enabled = true;
	return s + 1;
}

static const char *
choose(struct site *s, struct due *d, enum site_wish wish, const char *last)
{
	struct egress *eg = site_choose_egress(s, d, wish, last);

	return eg != NULL ? eg->source_text : "none";
}

static void
choice_of_the_source(void **state) /* delivery.md 11.3, 11.4, 3.3 */
{
	struct source list[5], *end = list;
	struct site  *s;
	struct due    d;

	(void)state;
	memset(&d, 0, sizeof(d));
	strcpy(d.account, "123456789012");
	open_bed("");
	s = find("one.example", "10 a.example", TLS_TRY);
	/* the system's choice */
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "");
	c.sources = list;
	end = source(end, "203.0.113.1", false);
	end = source(end, "203.0.113.2", false);
	c.source_count = 2;
	/* the one that was used least lately; the sticky one */
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "203.0.113.1");
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "203.0.113.2");
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "203.0.113.1");
	assert_string_equal(choose(s, &d, SITE_SAME, "203.0.113.1"),
	    "203.0.113.1");
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "203.0.113.2");
	/* not the one that is held down, as long as there is another */
	s->egresses->hold_until.ms = 1; /* .2: made last */
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "203.0.113.1");
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "203.0.113.1");
	/* not even for greylisting */
	assert_string_equal(choose(s, &d, SITE_SAME, "203.0.113.2"),
	    "203.0.113.1");
	s->egresses->hold_until.ms = 0;
	/* dedicated before shared, but none of another account's */
	end = source(end, "203.0.113.3", true);
	strcpy(list[2].account, "999999999999");
	c.source_count = 3;
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "203.0.113.2");
	strcpy(list[2].account, "123456789012");
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "203.0.113.3");
	assert_string_equal(choose(s, &d, SITE_SAME, "203.0.113.1"),
	    "203.0.113.3");
	/* none that may be used: there is no other fall-back */
	list[2].enabled = false;
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "none");
	list[2].enabled = true;
	strcpy(list[2].blocked_by, "zen.example");
	assert_string_equal(choose(s, &d, SITE_SAME, "203.0.113.3"), "none");
	assert_int_equal(end - list, 3);
	close_bed();
}

/* Only the addresses of the pool that is named (delivery.md 11.3). */
static void
choice_by_pool(void **state)
{
	struct source list[4], *end = list;
	struct site  *s;
	struct due    d;

	(void)state;
	memset(&d, 0, sizeof(d));
	strcpy(d.account, "123456789012");
	open_bed("");
	s = find("one.example", "10 a.example", TLS_TRY);
	/* without any address only the shared pool is the system's choice */
	d.pool = SOURCE_POOL_SHARED;
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "");
	assert_int_equal(site_count_sources(&c, s, d.account, d.pool), 1);
	d.pool = SOURCE_POOL_DEDICATED;
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "none");
	d.pool = "p";
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "none");
	c.sources = list;
	end = source(end, "203.0.113.1", false);
	end = source(end, "203.0.113.2", true);
	end = source(end, "203.0.113.3", true);
	strcpy(list[1].pool, "p");
	strcpy(list[1].pool_account, d.account);
	strcpy(list[2].pool, "p");
	strcpy(list[2].pool_account, "999999999999");
	c.source_count = 3;
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "203.0.113.2");
	assert_string_equal(choose(s, &d, SITE_SAME, "203.0.113.1"),
	    "203.0.113.2");
	assert_int_equal(site_count_sources(&c, s, d.account, d.pool), 1);
	d.pool = SOURCE_POOL_SHARED;
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "203.0.113.1");
	/* the default pool has none: the shared ones, but not when it is
	 * named */
	d.pool = "";
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "203.0.113.1");
	d.pool = SOURCE_POOL_DEDICATED;
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "none");
	/* it has one, which is disabled: no other is taken */
	list[1].pool[0] = list[1].pool_account[0] = '\0';
	list[1].enabled = false;
	d.pool = "";
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "none");
	list[1].enabled = true;
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "203.0.113.2");
	assert_string_equal(site_choose_egress(s, &d, SITE_LEAST_USED,
		"")->pool, SOURCE_POOL_DEDICATED);
	d.pool = "p";
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "none");
	assert_int_equal(end - list, 3);
	close_bed();
}

/* After an IP block each of the others is tried once (delivery.md 5), however
 * busy it was meanwhile; none that has no way. */
static void
next_source_after_a_block(void **state)
{
	struct source  list[5], *end = list;
	struct site   *s;
	struct egress *eg;
	struct due     d;

	(void)state;
	memset(&d, 0, sizeof(d));
	strcpy(d.account, "123456789012");
	open_bed("");
	s = find("one.example", "10 a.example", TLS_TRY);
	assert_false(site_has_other_family(s, &d));
	assert_int_equal(site_count_sources(&c, s, d.account, NULL), 1);
	c.sources = list;
	end = source(end, "2001:db8::1", false);
	end = source(end, "203.0.113.1", false);
	end = source(end, "203.0.113.2", false);
	c.source_count = 3;
	assert_string_equal(choose(s, &d, SITE_NEXT, "2001:db8::1"),
	    "203.0.113.1");
	assert_string_equal(choose(s, &d, SITE_NEXT, "2001:db8::1"),
	    "203.0.113.1");
	assert_string_equal(choose(s, &d, SITE_NEXT, "203.0.113.1"),
	    "203.0.113.2");
	assert_string_equal(choose(s, &d, SITE_NEXT, "203.0.113.2"),
	    "2001:db8::1");
	assert_int_equal(site_count_sources(&c, s, d.account, NULL), 3);
	end = source(end, "203.0.113.3", false);
	c.source_count = 4;
	list[2].enabled = false;
	assert_string_equal(choose(s, &d, SITE_NEXT, "203.0.113.1"),
	    "203.0.113.3");
	list[2].enabled = true;
	c.source_count = 3;
	for (eg = s->egresses; eg != NULL; eg = eg->next)
		if (eg->source_text[0] == '2' && eg->source_text[3] == '1')
			eg->foreign_until.ms = 1;
	assert_int_equal(site_count_sources(&c, s, d.account, NULL), 2);
	assert_string_equal(choose(s, &d, SITE_NEXT, "203.0.113.2"),
	    "203.0.113.1");
	assert_string_equal(choose(s, &d, SITE_SAME, "2001:db8::1"),
	    "203.0.113.2");
	assert_true(site_has_other_family(s, &d));
	/* the one behind it may be further on */
	list[1].enabled = false;
	assert_string_equal(choose(s, &d, SITE_NEXT, "2001:db8::1"),
	    "203.0.113.2");
	list[2].enabled = false;
	assert_false(site_has_other_family(s, &d));
	/* there is no other: it is tried, and fails */
	assert_string_equal(choose(s, &d, SITE_LEAST_USED, ""), "2001:db8::1");
	assert_int_equal(end - list, 4);
	close_bed();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_shares_a_site),
		cmocka_unit_test(groups_and_their_limits),
		cmocka_unit_test(settings_of_today),
		cmocka_unit_test(sites_are_forgotten),
		cmocka_unit_test(choice_of_the_source),
		cmocka_unit_test(choice_by_pool),
		cmocka_unit_test(next_source_after_a_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
