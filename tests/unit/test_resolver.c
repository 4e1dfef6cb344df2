/* SPDX-License-Identifier: ISC */
#include "net_world.h"
#include "dns_server.h"

#include "net/resolver.h"
#include "net/resolver_private.h"

struct asking {
	struct world	  w;
	struct dns_server d, second;
	bool		  has_second;
	struct resolver	 *r;
};

/* An asker: what it was told. */
struct asker {
	struct resolver		*r;
	const struct dns_answer *a;
	int			 told;
	void (*then)(struct asker *k);
};

static void
on_answer(void *arg, const struct dns_answer *a)
{
	struct asker *k = arg;

	k->told++;
	dns_answer_unref(k->a);
	k->a = dns_answer_ref(a);
	if (k->then != NULL)
		k->then(k);
}

static bool
is_told(void *arg)
{
	return ((struct asker *)arg)->told > 0;
}

static void
asking_open_timed(struct asking *x, const struct dns_record *records,
    int64_t timeout_ms)
{
	struct err e;

	x->has_second = false;
	world_open(&x->w);
	dns_server_open(&x->d, x->w.loop, records);
	x->r = resolver_new(x->w.loop, &(struct resolver_setup){
	    .servers = &x->d.addr, .server_count = 1, .timeout_ms = timeout_ms,
	    .tries = 1, .cache_max = 4 }, &e);
	assert_non_null(x->r);
}

static void
asking_open(struct asking *x, const struct dns_record *records)
{
	asking_open_timed(x, records, 80);
}

/* Two servers, of which the first is asked first. */
static void
asking_open_two(struct asking *x, const struct dns_record *first,
    const struct dns_record *second, int64_t timeout_ms, unsigned tries)
{
	struct sockaddr_storage servers[2];
	struct err		e;

	world_open(&x->w);
	dns_server_open(&x->d, x->w.loop, first);
	dns_server_open(&x->second, x->w.loop, second);
	x->has_second = true;
	servers[0] = x->d.addr;
	servers[1] = x->second.addr;
	x->r = resolver_new(x->w.loop, &(struct resolver_setup){
	    .servers = servers, .server_count = 2, .timeout_ms = timeout_ms,
	    .tries = tries, .cache_max = 4 }, &e);
	assert_non_null(x->r);
}

static void
asking_close(struct asking *x)
{
	resolver_free(x->r);
	dns_server_close(&x->d);
	if (x->has_second)
		dns_server_close(&x->second);
	world_close(&x->w);
}

static const struct dns_answer *
ask(struct asking *x, struct asker *k, enum resolver_type type,
    const char *name)
{
	dns_answer_unref(k->a);
	memset(k, 0, sizeof(*k));
	assert_true(resolver_ask(x->r, type, name, on_answer, k) != 0);
	assert_int_equal(k->told, 0); /* never from inside the call */
	world_run(&x->w, is_told, k);
	assert_int_equal(k->told, 1);
	return k->a;
}

static const struct dns_record zone[] = {
	{ "example.org", ns_t_soa, 600, "100" },
	{ "example.org", ns_t_mx, 300, "20 mx2.example.org" },
	{ "example.org", ns_t_mx, 100, "10 MX1.Example.org" },
	{ "example.org", ns_t_txt, 300, "v=spf1 |include:x| -all" },
	{ "example.org", ns_t_txt, 300, "second" },
	{ "example.org", ns_t_ns, 300, "ns1.example.org" },
	{ "mx1.example.org", ns_t_a, 300, "192.0.2.1" },
	{ "mx1.example.org", ns_t_a, 200, "192.0.2.2" },
	{ "mx1.example.org", ns_t_aaaa, 300, "2001:db8::1" },
	{ "null.example.org", ns_t_mx, 300, "0 " },
	{ "1.2.0.192.in-addr.arpa", ns_t_ptr, 300, "mx1.example.org" },
	{ "alias.example.org", ns_t_cname, 50, "alias2.example.org" },
	{ "alias2.example.org", ns_t_cname, 70, "mx1.example.org" },
	{ "toofar.example.org", ns_t_cname, 70, "1.chain" },
	{ "1.chain", ns_t_cname, 70, "2.chain" },
	{ "2.chain", ns_t_cname, 70, "3.chain" },
	{ "3.chain", ns_t_cname, 70, "4.chain" },
	{ "4.chain", ns_t_cname, 70, "5.chain" },
	{ "5.chain", ns_t_cname, 70, "6.chain" },
	{ "6.chain", ns_t_cname, 70, "7.chain" },
	{ "7.chain", ns_t_cname, 70, "8.chain" },
	{ "8.chain", ns_t_cname, 70, "9.chain" },
	{ "9.chain", ns_t_a, 70, "192.0.2.9" },
	{ "loop.example.org", ns_t_cname, 70, "pool.example.org" },
	{ "pool.example.org", ns_t_cname, 70, "loop.example.org" },
	{ "dangling.example.org", ns_t_cname, 70, "gone.example.org" },
	{ "nodata.example.org", ns_t_cname, 70, "mx1.example.org" },
	{ "odd.example.org", ns_t_mx, 70, "10 has space.example" },
	{ "odd.example.org", ns_t_mx, 70, "20 good.example" },
	{ "bad.example.org", ns_t_mx, 70, "10 has space.example" },
	{ "fail.example.org", ns_t_a, 0, "!servfail" },
	{ "refused.example.org", ns_t_a, 0, "!refused" },
	{ "drop.example.org", ns_t_a, 0, "!drop" },
	{ "garbage.example.org", ns_t_a, 0, "!garbage" },
	{ "lame.example.org", ns_t_a, 0, "!lame" },
	{ "big.example.org", ns_t_txt, 0, "!truncate" },
	{ "big.example.org", ns_t_txt, 300, "over tcp" },
	{ NULL, 0, 0, NULL },
};

static void
types_are_read(void **state)
{
	struct asking		 x;
	struct asker		 k = { 0 };
	const struct dns_answer *a;
	char			 text[64];

	(void)state;
	asking_open(&x, zone);
	a = ask(&x, &k, RESOLVER_MX, "Example.ORG.");
	assert_int_equal(a->status, DNS_FOUND);
	assert_int_equal(a->type, RESOLVER_MX);
	assert_string_equal(a->name, "example.org");
	assert_string_equal(a->canonical, "example.org");
	assert_int_equal(a->ttl, 100);
	assert_int_equal(a->count, 2);
	assert_int_equal(a->mx[0].preference, 20);
	assert_string_equal(a->mx[1].host, "mx1.example.org");
	a = ask(&x, &k, RESOLVER_A, "mx1.example.org");
	assert_int_equal(a->count, 2);
	assert_int_equal(a->ttl, 200);
	assert_string_equal(dns_address_text(&a->addresses[1], text),
	    "192.0.2.2");
	a = ask(&x, &k, RESOLVER_AAAA, "mx1.example.org");
	assert_int_equal(a->count, 1);
	assert_string_equal(dns_address_text(&a->addresses[0], text),
	    "2001:db8::1");
	a = ask(&x, &k, RESOLVER_TXT, "example.org");
	assert_int_equal(a->count, 2);
	assert_true(bytes_eq_text(a->texts[0], "v=spf1 include:x -all"));
	assert_true(bytes_eq_text(a->texts[1], "second"));
	a = ask(&x, &k, RESOLVER_NS, "example.org");
	assert_string_equal(a->names[0], "ns1.example.org");
	a = ask(&x, &k, RESOLVER_PTR, "1.2.0.192.in-addr.arpa");
	assert_string_equal(a->names[0], "mx1.example.org");
	a = ask(&x, &k, RESOLVER_CNAME, "alias.example.org");
	assert_string_equal(a->names[0], "alias2.example.org");
	assert_string_equal(a->canonical, "alias.example.org");
	a = ask(&x, &k, RESOLVER_MX, "null.example.org");
	assert_int_equal(a->count, 1);
	assert_string_equal(a->mx[0].host, "");
	a = ask(&x, &k, RESOLVER_MX, "odd.example.org"); /* one is left */
	assert_int_equal(a->count, 1);
	assert_string_equal(a->mx[0].host, "good.example");
	dns_answer_unref(k.a);
	asking_close(&x);
}

static void
failures_have_their_status(void **state)
{
	static const struct {
		enum resolver_type type;
		const char	  *name;
		enum dns_status	   status;
	} cases[] = {
		{ RESOLVER_AAAA, "example.org", DNS_NO_DATA },
		{ RESOLVER_A, "nothing.example.org", DNS_NXDOMAIN },
		{ RESOLVER_A, "dangling.example.org", DNS_NXDOMAIN },
		{ RESOLVER_MX, "nodata.example.org", DNS_NO_DATA },
		{ RESOLVER_A, "fail.example.org", DNS_SERVFAIL },
		{ RESOLVER_A, "refused.example.org", DNS_SERVFAIL },
		{ RESOLVER_A, "garbage.example.org", DNS_SERVFAIL },
		{ RESOLVER_A, "lame.example.org", DNS_SERVFAIL },
		{ RESOLVER_MX, "bad.example.org", DNS_SERVFAIL },
		{ RESOLVER_A, "toofar.example.org", DNS_SERVFAIL },
		{ RESOLVER_A, "loop.example.org", DNS_SERVFAIL },
		{ RESOLVER_A, "drop.example.org", DNS_TIMEOUT },
		{ RESOLVER_A, "no name", DNS_NXDOMAIN },
		{ RESOLVER_A, "", DNS_NXDOMAIN },
		{ RESOLVER_A, "a..b", DNS_NXDOMAIN },
	};
	struct asking		 x;
	struct asker		 k = { 0 };
	const struct dns_answer *a;
	struct resolver_figures	 f;
	size_t			 i;
	int			 follows;

	(void)state;
	for (follows = 0; follows < 2; follows++) {
		asking_open(&x, zone);
		x.d.follows = follows;
		for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			a = ask(&x, &k, cases[i].type, cases[i].name);
			if (a->status != cases[i].status)
				fail_msg("%s: %s", cases[i].name,
				    dns_status_to_text(a->status));
			assert_int_equal(a->count, 0);
		}
		resolver_figures(x.r, &f);
		assert_int_equal(f.asked[RESOLVER_A][DNS_TIMEOUT], 1);
		assert_int_equal(f.asked[RESOLVER_A][DNS_NXDOMAIN], 2);
		assert_int_equal(f.cache_entries, 4);
		asking_close(&x);
	}
	dns_answer_unref(k.a);
}

static void
cnames_are_followed(void **state)
{
	struct asking		 x;
	struct asker		 k = { 0 };
	const struct dns_answer *a;
	int			 follows;

	(void)state;
	for (follows = 0; follows < 2; follows++) {
		asking_open(&x, zone);
		x.d.follows = follows;
		a = ask(&x, &k, RESOLVER_A, "alias.example.org");
		assert_int_equal(a->status, DNS_FOUND);
		assert_string_equal(a->name, "alias.example.org");
		assert_string_equal(a->canonical, "mx1.example.org");
		assert_int_equal(a->ttl, 50);
		assert_int_equal(a->count, 2);
		assert_int_equal(x.d.asked, follows ? 1 : 3);
		a = ask(&x, &k, RESOLVER_A, "1.chain"); /* eight steps */
		assert_int_equal(a->status, DNS_FOUND);
		assert_string_equal(a->canonical, "9.chain");
		asking_close(&x);
	}
	dns_answer_unref(k.a);
}

static void
truncated_answer_is_asked_over_tcp(void **state)
{
	struct asking		 x;
	struct asker		 k = { 0 };
	const struct dns_answer *a;

	(void)state;
	asking_open(&x, zone);
	a = ask(&x, &k, RESOLVER_TXT, "big.example.org");
	assert_int_equal(a->status, DNS_FOUND);
	assert_true(bytes_eq_text(a->texts[0], "over tcp"));
	assert_int_equal(x.d.asked_tcp, 1);
	dns_answer_unref(k.a);
	asking_close(&x);
}

static void
answers_are_cached_and_bounded(void **state)
{
	struct asking	x;
	struct asker	k = { 0 };
	struct resolver_figures f;
	uint64_t	hits;
	int		before;

	(void)state;
	asking_open(&x, zone);
	ask(&x, &k, RESOLVER_MX, "example.org");
	ask(&x, &k, RESOLVER_MX, "EXAMPLE.org");
	assert_int_equal(x.d.asked, 1);
	ask(&x, &k, RESOLVER_TXT, "example.org"); /* another type */
	assert_int_equal(x.d.asked, 2);
	ask(&x, &k, RESOLVER_A, "nothing.example.org");
	ask(&x, &k, RESOLVER_A, "nothing.example.org");
	assert_int_equal(x.d.asked, 3);
	resolver_figures(x.r, &f);
	assert_int_equal(f.cache_hits, 2);
	assert_int_equal(f.cache_entries, 3);
	/* fresh goes past the cache, and into it */
	k.told = 0;
	resolver_ask_fresh(x.r, RESOLVER_MX, "example.org", on_answer, &k);
	world_run(&x.w, is_told, &k);
	assert_int_equal(x.d.asked, 4);
	/* four entries at most, the oldest goes */
	ask(&x, &k, RESOLVER_A, "mx1.example.org");
	ask(&x, &k, RESOLVER_AAAA, "mx1.example.org");
	resolver_figures(x.r, &f);
	assert_int_equal(f.cache_entries, 4);
	hits = f.cache_hits;
	before = x.d.asked;
	ask(&x, &k, RESOLVER_MX, "example.org"); /* used lately: still there */
	assert_int_equal(x.d.asked, before);
	ask(&x, &k, RESOLVER_TXT, "example.org"); /* this one is gone */
	assert_int_equal(x.d.asked, before + 1);
	resolver_figures(x.r, &f);
	assert_int_equal(f.cache_hits, hits + 1);
	dns_answer_unref(k.a);
	asking_close(&x);
}

static void
cache_keeps_to_its_times(void **state)
{
	struct dns_cache  *c = dns_cache_new(10);
	struct dns_walk	   walk = { "x.example", 0, 60 };
	struct dns_answer *a;

	(void)state;
	a = dns_answer_make(DNS_NXDOMAIN, RESOLVER_A, "x.example", &walk,
	    NULL);
	dns_cache_put(c, BYTES("ax.example"), a, 30, (struct mono){ 1000 });
	dns_answer_unref(a);
	assert_non_null(dns_cache_get(c, BYTES("ax.example"),
	    (struct mono){ 30999 }));
	assert_null(dns_cache_get(c, BYTES("bx.example"),
	    (struct mono){ 1000 }));
	assert_null(dns_cache_get(c, BYTES("ax.example"),
	    (struct mono){ 31000 }));
	assert_int_equal(dns_cache_count(c), 0);
	dns_cache_free(c);
}

static void
equal_questions_are_asked_once(void **state)
{
	struct asking x;
	struct asker  k[5];
	uint64_t      t;
	size_t	      i;

	(void)state;
	memset(k, 0, sizeof(k));
	asking_open(&x, zone);
	for (i = 0; i < 4; i++)
		assert_true(resolver_ask(x.r, RESOLVER_MX, "example.org",
		    on_answer, &k[i]) != 0);
	t = resolver_ask(x.r, RESOLVER_MX, "example.org", on_answer, &k[4]);
	resolver_cancel(x.r, t);
	resolver_cancel(x.r, t);
	resolver_cancel(x.r, 99999);
	world_run(&x.w, is_told, &k[3]);
	assert_int_equal(x.d.asked, 1);
	for (i = 0; i < 4; i++) {
		assert_int_equal(k[i].told, 1);
		assert_ptr_equal(k[i].a, k[0].a);
	}
	assert_int_equal(k[4].told, 0);
	for (i = 0; i < 4; i++)
		dns_answer_unref(k[i].a);
	asking_close(&x);
}

enum { CROWD = 2000 };

static bool
crowd_is_told(void *arg)
{
	return *(int *)arg == CROWD;
}

static void
on_crowd(void *arg, const struct dns_answer *a)
{
	assert_int_equal(a->status, DNS_NXDOMAIN);
	++*(int *)arg;
}

static void
crowd_is_answered(void **state)
{
	struct asking x;
	char	      name[64];
	int	      i, told = 0;

	(void)state;
	asking_open_timed(&x, zone, 5000);
	for (i = 0; i < CROWD; i++) {
		snprintf(name, sizeof(name), "no-%d.example.org", i);
		assert_true(resolver_ask(x.r, RESOLVER_A, name, on_crowd,
		    &told) != 0);
	}
	world_run(&x.w, crowd_is_told, &told);
	asking_close(&x);
}

static void
nobody_there_is_unreachable(void **state)
{
	struct world		w;
	struct dns_server	d;
	struct sockaddr_storage servers[2];
	struct resolver	       *r;
	struct asker		k = { 0 };
	struct err		e;

	(void)state;
	world_open(&w);
	dns_server_open(&d, w.loop, zone);
	servers[0] = servers[1] = d.addr;
	dns_server_close(&d); /* the port is free now */
	r = resolver_new(w.loop, &(struct resolver_setup){
	    .servers = servers, .server_count = 2, .timeout_ms = 500,
	    .tries = 2, .cache_max = 4 }, &e);
	resolver_ask(r, RESOLVER_A, "mx1.example.org", on_answer, &k);
	world_run(&w, is_told, &k);
	assert_int_equal(k.a->status, DNS_UNREACHABLE);
	dns_answer_unref(k.a);
	resolver_free(r);
	world_close(&w);
}

static void
silent_server_is_asked_again(void **state)
{
	static const struct dns_record silent[] = {
		{ "*", ns_t_a, 0, "!drop" },
		{ NULL, 0, 0, NULL },
	};
	struct asking x;
	struct asker  k = { 0 };

	(void)state;
	asking_open_two(&x, silent, silent, 100, 3);
	assert_int_equal(ask(&x, &k, RESOLVER_A, "a.example")->status,
	    DNS_TIMEOUT);
	assert_int_equal(x.d.asked, 3);
	assert_int_equal(x.second.asked, 3);
	/* the one that answers is asked first from then on */
	x.second.records = zone;
	assert_int_equal(ask(&x, &k, RESOLVER_A, "b.example")->status,
	    DNS_NXDOMAIN);
	assert_int_equal(ask(&x, &k, RESOLVER_A, "c.example")->status,
	    DNS_NXDOMAIN);
	assert_int_equal(x.d.asked, 4);
	dns_answer_unref(k.a);
	asking_close(&x);
}

static void
second_server_answers_for_the_first(void **state)
{
	static const struct dns_record broken[] = {
		{ "*", ns_t_a, 0, "!servfail" },
		{ NULL, 0, 0, NULL },
	};
	struct asking x;
	struct asker  k = { 0 };

	(void)state;
	asking_open_two(&x, broken, zone, 500, 2);
	assert_int_equal(ask(&x, &k, RESOLVER_A, "mx1.example.org")->status,
	    DNS_FOUND);
	assert_int_equal(x.d.asked, 1);
	dns_answer_unref(k.a);
	asking_close(&x);
}

static void
ask_again(struct asker *k)
{
	if (k->told < 3)
		resolver_ask(k->r, RESOLVER_A, "mx1.example.org", on_answer,
		    k);
}

static bool
is_told_thrice(void *arg)
{
	return ((struct asker *)arg)->told == 3;
}

static void
free_now(struct asker *k)
{
	resolver_free(k->r);
}

static void
never_told(void *arg, const struct dns_answer *a)
{
	(void)arg;
	(void)a;
	fail();
}

static void
callbacks_may_ask_and_free(void **state)
{
	struct asking x;
	struct asker  k = { 0 };

	(void)state;
	asking_open(&x, zone);
	k.r = x.r;
	k.then = ask_again;
	resolver_ask(x.r, RESOLVER_A, "mx1.example.org", on_answer, &k);
	world_run(&x.w, is_told_thrice, &k);
	assert_int_equal(x.d.asked, 1);
	k.then = free_now;
	k.told = 0;
	resolver_ask(x.r, RESOLVER_AAAA, "mx1.example.org", on_answer, &k);
	resolver_ask(x.r, RESOLVER_AAAA, "mx1.example.org", never_told, NULL);
	resolver_ask(x.r, RESOLVER_A, "drop.example.org", never_told, NULL);
	world_run(&x.w, is_told, &k);
	world_rest(&x.w, 5);
	dns_answer_unref(k.a);
	dns_server_close(&x.d);
	world_close(&x.w);
}

static void
open_questions_are_dropped_on_free(void **state)
{
	struct asking x;

	(void)state;
	asking_open(&x, zone);
	resolver_ask(x.r, RESOLVER_A, "drop.example.org", never_told, NULL);
	resolver_ask(x.r, RESOLVER_A, "bad name", never_told, NULL);
	asking_close(&x); /* before anything was answered */
	asking_open(&x, zone);
	resolver_ask(x.r, RESOLVER_A, "drop.example.org", never_told, NULL);
	world_rest(&x.w, 5);
	asking_close(&x);
}

static void
names_are_checked(void **state)
{
	static const struct {
		const char *given, *out; /* NULL = refused */
	} cases[] = {
		{ "a", "a" },
		{ "A.b.", "a.b" },
		{ "_dmarc.Example.com", "_dmarc.example.com" },
		{ "0/25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa" },
		{ "", NULL },
		{ ".", NULL },
		{ "a..b", NULL },
		{ ".a", NULL },
		{ "a..", NULL },
		{ "a b", NULL },
		{ "a\\.b", NULL },
		{ "a\tb", NULL },
		{ "\xc3\xa4.example", NULL },
		{ "012345678901234567890123456789012345678901234567890123456"
		  "789012.x", "012345678901234567890123456789012345678901234"
		  "567890123456789012.x" },
		{ "012345678901234567890123456789012345678901234567890123456"
		  "7890123.x", NULL },
	};
	char   out[DNS_NAME_SIZE], big[300];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(dns_name_normalize(cases[i].given, out),
		    cases[i].out != NULL);
		if (cases[i].out != NULL)
			assert_string_equal(out, cases[i].out);
	}
	for (i = 0; i < 254; i++)
		big[i] = i % 2 ? '.' : 'a';
	big[253] = '\0';
	assert_true(dns_name_normalize(big, out));
	strcpy(big + 253, ".a");
	assert_false(dns_name_normalize(big, out));
}

static void
addresses_have_classes_and_names(void **state)
{
	static const struct {
		const char *ip;
		bool	    is_private;
		const char *reverse;
	} cases[] = {
		{ "203.0.113.7", true, "7.113.0.203.in-addr.arpa" },
		{ "8.8.8.8", false, "8.8.8.8.in-addr.arpa" },
		{ "10.1.2.3", true, NULL },
		{ "9.255.255.255", false, NULL },
		{ "11.0.0.0", false, NULL },
		{ "127.0.0.1", true, NULL },
		{ "100.64.0.1", true, NULL },
		{ "100.128.0.1", false, NULL },
		{ "169.254.0.1", true, NULL },
		{ "172.15.0.1", false, NULL },
		{ "172.31.255.255", true, NULL },
		{ "172.32.0.0", false, NULL },
		{ "192.0.2.1", true, NULL },
		{ "192.168.255.1", true, NULL },
		{ "198.51.100.1", true, NULL },
		{ "0.0.0.0", true, NULL },
		{ "224.0.0.1", true, NULL },
		{ "255.255.255.255", true, NULL },
		{ "::1", true, NULL },
		{ "::", true, NULL },
		{ "::ffff:10.0.0.1", true, NULL },
		{ "::ffff:8.8.8.8", false, NULL },
		{ "64:ff9b::10.0.0.1", true, NULL },
		{ "2002:7f00:1::1", true, NULL },
		{ "fe80::1", true, NULL },
		{ "fec0::1", true, NULL },
		{ "fd00::1", true, NULL },
		{ "ff02::1", true, NULL },
		{ "100::1", true, NULL },
		{ "3fff:1000::1", false, NULL },
		{ "3fff:0:1::1", true, NULL },
		{ "2606:4700::1111", false, NULL },
		{ "2001:db8::1", true,
		    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0."
		    "1.0.0.2.ip6.arpa" },
	};
	struct dns_address a;
	char		   out[80];
	size_t		   i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&a, 0, sizeof(a));
		a.family = strchr(cases[i].ip, ':') != NULL ? AF_INET6 :
		    AF_INET;
		assert_int_equal(inet_pton(a.family, cases[i].ip, &a.ip), 1);
		if (dns_address_is_private(&a) != cases[i].is_private)
			fail_msg("%s", cases[i].ip);
		if (cases[i].reverse != NULL) {
			dns_reverse_name(&a, out);
			assert_string_equal(out, cases[i].reverse);
		}
	}
}

/* -- reload --------------------------------------------------------------- */

static const struct dns_record first_view[] = {
	{ "example.org", ns_t_a, 300, "192.0.2.1" },
	{ "*", ns_t_a, 0, "!drop" },
	{ NULL, 0, 0, NULL },
};
static const struct dns_record second_view[] = {
	{ "example.org", ns_t_a, 300, "192.0.2.2" },
	{ "slow.example.org", ns_t_a, 300, "192.0.2.3" },
	{ NULL, 0, 0, NULL },
};

static void
retune(struct asking *x, const struct dns_server *d, int64_t timeout_ms)
{
	struct err e;

	assert_int_equal(resolver_retune(x->r, &(struct resolver_setup){
	    .servers = &d->addr, .server_count = 1, .timeout_ms = timeout_ms,
	    .tries = 1, .cache_max = 4 }, &e), 0);
}

static void
other_servers_are_asked_after_a_reload(void **state)
{
	struct asking	  x;
	struct dns_server other;
	struct asker	  k = { 0 }, slow = { 0 };
	char		  text[64];

	(void)state;
	asking_open_timed(&x, first_view, 60000);
	dns_server_open(&other, x.w.loop, second_view);
	assert_string_equal(dns_address_text(&ask(&x, &k, RESOLVER_A,
	    "example.org")->addresses[0], text), "192.0.2.1");
	assert_true(resolver_ask(x.r, RESOLVER_A, "slow.example.org",
	    on_answer, &slow) != 0);
	retune(&x, &other, 60000);
	world_run(&x.w, is_told, &slow); /* what was open begins again */
	assert_int_equal(slow.told, 1);
	assert_int_equal(slow.a->status, DNS_FOUND);
	assert_string_equal(dns_address_text(&slow.a->addresses[0], text),
	    "192.0.2.3");
	assert_string_equal(dns_address_text(&ask(&x, &k, RESOLVER_A,
	    "example.org")->addresses[0], text), "192.0.2.2");
	dns_answer_unref(k.a);
	dns_answer_unref(slow.a);
	dns_server_close(&other);
	asking_close(&x);
}

static void
a_reload_that_changes_nothing_forgets_nothing(void **state)
{
	struct asking	       x;
	struct asker	       k = { 0 };
	struct resolver_figures f;

	(void)state;
	asking_open_timed(&x, first_view, 60000);
	ask(&x, &k, RESOLVER_A, "example.org");
	retune(&x, &x.d, 60000);
	ask(&x, &k, RESOLVER_A, "example.org");
	assert_int_equal(x.d.asked, 1);
	retune(&x, &x.d, 20); /* the time-out alone: the cache stays */
	ask(&x, &k, RESOLVER_A, "example.org");
	assert_int_equal(x.d.asked, 1);
	assert_int_equal(ask(&x, &k, RESOLVER_A, "drop.example.org")->status,
	    DNS_TIMEOUT); /* in this life */
	resolver_figures(x.r, &f);
	assert_int_equal(f.cache_hits, 2);
	dns_answer_unref(k.a);
	asking_close(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_are_read),
		cmocka_unit_test(other_servers_are_asked_after_a_reload),
		cmocka_unit_test(
		    a_reload_that_changes_nothing_forgets_nothing),
		cmocka_unit_test(failures_have_their_status),
		cmocka_unit_test(cnames_are_followed),
		cmocka_unit_test(truncated_answer_is_asked_over_tcp),
		cmocka_unit_test(answers_are_cached_and_bounded),
		cmocka_unit_test(cache_keeps_to_its_times),
		cmocka_unit_test(equal_questions_are_asked_once),
		cmocka_unit_test(crowd_is_answered),
		cmocka_unit_test(nobody_there_is_unreachable),
		cmocka_unit_test(silent_server_is_asked_again),
		cmocka_unit_test(second_server_answers_for_the_first),
		cmocka_unit_test(callbacks_may_ask_and_free),
		cmocka_unit_test(open_questions_are_dropped_on_free),
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(addresses_have_classes_and_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
