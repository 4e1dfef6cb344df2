/* SPDX-License-Identifier: ISC */
#include "net_world.h"
#include "dns_server.h"

#include "base/process.h"
#include "daemon/verifier.h"
#include "registry/verify_job.h"

/* "the right key" */
#define KEY "dGhlIHJpZ2h0IGtleQ=="
#define OTHER "YW5vdGhlciBrZXkuLg=="
#define FOLDED "dghlihjpz2h0igtleq=="
#define TOKEN "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst"

struct bench {
	struct world	     w;
	struct dns_server    d;
	struct verifier	    *v;
	struct channel	    *relay;
	struct verify_result result;
	int		     results;
	bool		     is_gone;
	size_t		     wanted;
};

static void
relay_on_message(void *arg, struct bytes message, int fd)
{
	struct bench *b = arg;

	assert_int_equal(fd, -1);
	assert_true(verify_result_decode(message, &b->result));
	b->results++;
}

static void
relay_on_close(void *arg)
{
	(void)arg;
	fail();
}

static const struct channel_events relay_events = { relay_on_message,
	relay_on_close };

static void
on_gone(void *arg)
{
	((struct bench *)arg)->is_gone = true;
}

static void
bench_open(struct bench *b, const struct dns_record *records,
    struct verifier_setup s)
{
	struct err e;
	int	   fds[2];

	memset(b, 0, sizeof(*b));
	world_open(&b->w);
	dns_server_open(&b->d, b->w.loop, records);
	b->d.follows = true;
	s.resolver.servers = &b->d.addr;
	s.resolver.server_count = 1;
	s.resolver.timeout_ms = 80;
	s.resolver.tries = 1;
	s.resolver.cache_max = 100;
	assert_int_equal(channel_pair(fds, &e), 0);
	b->relay = channel_open(b->w.loop, fds[0], &relay_events, b, &e);
	assert_non_null(b->relay);
	b->v = verifier_open(b->w.loop, fds[1], &s, on_gone, b, &e);
	assert_non_null(b->v);
}

static void
bench_close(struct bench *b)
{
	verifier_close(b->v);
	channel_close(b->relay);
	dns_server_close(&b->d);
	world_close(&b->w);
}

static void
bench_send(struct bench *b, const struct verify_job *j)
{
	struct buf m;

	buf_init(&m, VERIFY_MESSAGE_MAX);
	assert_true(verify_job_encode(j, &m));
	assert_true(channel_send(b->relay, buf_bytes(&m), -1));
	buf_wipe(&m);
}

static bool
bench_has_result(void *arg)
{
	struct bench *b = arg;

	return (size_t)b->results == b->wanted;
}

static void
bench_check(struct bench *b, const struct verify_job *j)
{
	b->results = 0;
	b->wanted = 1;
	bench_send(b, j);
	world_run(&b->w, bench_has_result, b);
	assert_int_equal(b->result.ticket, j->ticket);
	assert_int_equal(b->result.kind, j->kind);
}

static const struct dns_record zone[] = {
	{ "example", ns_t_soa, 600, "100" },
	{ "right._domainkey.a.example", ns_t_txt, 60,
	    "v=DKIM1; k=rsa; |p=" KEY },
	{ "bare._domainkey.a.example", ns_t_txt, 60, "p=" KEY },
	{ "folded._domainkey.a.example", ns_t_txt, 60, "p=" FOLDED },
	{ "other._domainkey.a.example", ns_t_txt, 60, "p=" OTHER },
	{ "gone._domainkey.a.example", ns_t_txt, 60, "v=DKIM1; p=" },
	{ "two._domainkey.a.example", ns_t_txt, 60, "p=" KEY },
	{ "two._domainkey.a.example", ns_t_txt, 60, "p=" OTHER },
	{ "odd._domainkey.a.example", ns_t_txt, 60, "what?" },
	{ "test._domainkey.a.example", ns_t_txt, 60, "t=y; p=" KEY },
	{ "nodata._domainkey.a.example", ns_t_a, 60, "192.0.2.1" },
	{ "fail._domainkey.a.example", ns_t_txt, 0, "!servfail" },
	{ "silent._domainkey.a.example", ns_t_txt, 0, "!drop" },
	{ "doubled._domainkey.a.example.a.example", ns_t_txt, 60,
	    "p=" KEY },
	{ "flat.domainkey.a.example", ns_t_txt, 60, "p=" KEY },
	{ "t1._domainkey.a.example", ns_t_cname, 60, "t1.dkim.relay.example" },
	{ "t1.dkim.relay.example", ns_t_txt, 60, "p=" KEY },
	{ "t2._domainkey.a.example", ns_t_cname, 60, "T2.dkim.relay.example" },
	{ "t2.dkim.relay.example", ns_t_txt, 60, "p=" OTHER },
	{ "t3._domainkey.a.example", ns_t_cname, 60, "t3.dkim.relay.example" },
	{ "t4._domainkey.a.example", ns_t_cname, 60, "t9.else.example" },
	{ "t5._domainkey.a.example", ns_t_cname, 60, "t5.dkim.relay.example" },
	{ "t5.dkim.relay.example", ns_t_txt, 60, "!servfail" },
	/* tokens */
	{ "_posthorn.one.example", ns_t_txt, 60, TOKEN },
	{ "_amazonses.two.example", ns_t_txt, 60, "something else" },
	{ "_amazonses.two.example", ns_t_txt, 60, TOKEN },
	{ "three.example", ns_t_txt, 60, "v=spf1 -all" },
	{ "three.example", ns_t_txt, 60, "posthorn-verification=" TOKEN },
	{ "four.example", ns_t_txt, 60, TOKEN }, /* without the prefix */
	{ "_posthorn.five.example", ns_t_txt, 60, "wrong" },
	{ "_posthorn.six.example", ns_t_txt, 60,
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJKLMNOPQRST" },
	{ "_amazonses.seven.example.seven.example", ns_t_txt, 60, TOKEN },
	{ "_posthorn.eight.example", ns_t_txt, 60, "!servfail" },
	{ "_posthorn.nine.example", ns_t_a, 60, "192.0.2.1" },
	/* MAIL FROM */
	{ "m1.example", ns_t_mx, 60, "10 Feedback.relay.example" },
	{ "m2.example", ns_t_mx, 60, "20 feedback.relay.example" },
	{ "m3.example", ns_t_mx, 60, "10 feedback.relay.example" },
	{ "m3.example", ns_t_mx, 60, "10 other.example" },
	{ "m4.example", ns_t_mx, 60, "10 other.example" },
	{ "m5.example", ns_t_mx, 60, "0 " },
	{ "m6.example.example", ns_t_mx, 60, "10 feedback.relay.example" },
	{ "m7.example", ns_t_mx, 60, "!servfail" },
	/* SPF, DMARC */
	{ "s1.example", ns_t_txt, 60, "v=spf1 include:spf.relay.example ~all" },
	{ "spf.relay.example", ns_t_txt, 60, "v=spf1 ip4:203.0.113.10 -all" },
	{ "s2.example", ns_t_txt, 60, "v=spf1 ip4:203.0.113.10 -all" },
	{ "s2.example", ns_t_txt, 60, "v=spf1 ptr" },
	{ "s3.example", ns_t_txt, 60, "v=spf1 ip4:300.0.0.1 -all" },
	{ "s4.example", ns_t_txt, 60, "v=spf1 a:m7.example a:d.example ?all" },
	{ "s5.example", ns_t_txt, 60, "!servfail" },
	{ "helo.example", ns_t_txt, 60, "v=spf1 ip4:203.0.113.10 -all" },
	{ "_dmarc.d.example", ns_t_txt, 60, "v=DMARC1;p=none;|sp=reject" },
	{ "_dmarc.d2.example", ns_t_txt, 60, "v=DMARC1;p=maybe" },
	{ "_dmarc.d3.example", ns_t_txt, 60, "!servfail" },
	{ "_dmarc.x.d3.example", ns_t_txt, 60, "v=spf1\1 -all" },
	{ "h1.example", ns_t_a, 60, "192.0.2.1" },
	{ "h1.example", ns_t_aaaa, 60, "2001:db8::1" },
	{ "h2.example", ns_t_aaaa, 60, "2001:db8::2" },
	{ "h3.example", ns_t_a, 60, "!servfail" },
	{ NULL, 0, 0, NULL },
};

struct row {
	const char	 *selector, *target;
	enum dkim_outcome outcome;
	const char	 *hint, *warning; /* parts of them */
	bool		  host_found;
};

/* dkim section 8; the numbers are the examples of its section 15 */
static const struct row dkim_rows[] = {
	{ "right", "", DKIM_MATCH, "", "", true },
	{ "RIGHT", "", DKIM_MATCH, "", "", true },
	{ "bare", "", DKIM_MATCH, "", "", true }, /* dkim#9 */
	{ "test", "", DKIM_MATCH, "", "key is in test mode", true },
	{ "folded", "", DKIM_MISMATCH, "letter case", "", true }, /* dkim#10 */
	{ "other", "", DKIM_MISMATCH, "another public key", "", true },
	{ "gone", "", DKIM_REVOKED, "revoked", "", true },
	{ "two", "", DKIM_MULTIPLE, "more than one", "", true },
	{ "odd", "", DKIM_MALFORMED, "not a list", "", true },
	{ "nodata", "", DKIM_ABSENT, "no TXT record at nodata._domainkey.a",
	    "", true },
	{ "none", "", DKIM_ABSENT, "underscore in _domainkey is mandatory",
	    "", false },
	/* dkim#22 */
	{ "doubled", "", DKIM_ABSENT,
	    "the record is at doubled._domainkey.a.example.a.example", "",
	    false },
	{ "flat", "", DKIM_ABSENT, "the record is at flat.domainkey.a.example",
	    "", false },
	/* dkim#12: trouble is no miss */
	{ "fail", "", DKIM_DNS_ERROR, "(servfail)", "", false },
	{ "silent", "", DKIM_DNS_ERROR, "(timeout)", "", false },
	{ "t1", "t1.dkim.relay.example", DKIM_MATCH, "", "", true },
	/* dkim#23 */
	{ "t2", "t2.dkim.relay.example", DKIM_OPERATOR_ZONE,
	    "not that of the key", "", true },
	{ "t3", "t3.dkim.relay.example", DKIM_OPERATOR_ZONE, "missing", "",
	    false },
	{ "t4", "t4.dkim.relay.example", DKIM_ABSENT,
	    "points to t9.else.example, not to t4.dkim.relay.example", "",
	    false },
	{ "t5", "t5.dkim.relay.example", DKIM_DNS_ERROR,
	    "answers CNAME for t5._domainkey.a.example but fails on TXT", "",
	    false },
	{ "right", "t1.dkim.relay.example", DKIM_MATCH, "", "is a TXT record",
	    true },
	{ "none", "t6.dkim.relay.example", DKIM_ABSENT, "no CNAME record", "",
	    false },
	{ "other", "t6.dkim.relay.example", DKIM_MISMATCH,
	    "another public key", "", true },
};

static void
assert_part(size_t i, const char *text, const char *part)
{
	if (part[0] == '\0' ? text[0] != '\0' : strstr(text, part) == NULL)
		fail_msg("row %zu: \"%s\" is not \"%s\"", i, text, part);
}

static void
selectors_are_checked(void **state)
{
	struct bench	  b;
	struct verify_job j;
	size_t		  i;
	int		  follows;

	(void)state;
	for (follows = 0; follows < 2; follows++) {
		bench_open(&b, zone, (struct verifier_setup){ 0 });
		b.d.follows = follows;
		for (i = 0; i < sizeof(dkim_rows) / sizeof(dkim_rows[0]);
		     i++) {
			memset(&j, 0, sizeof(j));
			j.ticket = i + 1000;
			j.kind = VERIFY_DKIM;
			strcpy(j.domain, "a.example");
			strcpy(j.selector, dkim_rows[i].selector);
			strcpy(j.cname_target, dkim_rows[i].target);
			strcpy(j.public_key, KEY);
			/* without NS records the zone's servers are not found */
			j.authoritative = i % 2;
			bench_check(&b, &j);
			if (b.result.outcome != dkim_rows[i].outcome)
				fail_msg("row %zu: outcome %d %s", i,
				    b.result.outcome, b.result.hint);
			assert_part(i, b.result.hint, dkim_rows[i].hint);
			assert_part(i, b.result.warning,
			    dkim_rows[i].warning);
			assert_int_equal(b.result.host_found,
			    dkim_rows[i].host_found);
			assert_false(b.result.authoritative);
		}
		bench_close(&b);
	}
}

static void
tokens_and_mx_are_checked(void **state)
{
	static const struct {
		enum verify_kind  kind;
		const char	 *domain;
		enum dkim_outcome outcome;
		const char	 *hint, *warning;
	} rows[] = {
		{ VERIFY_TOKEN, "one.example", DKIM_MATCH, "", "" },
		/* identities-and-policies#15 */
		{ VERIFY_TOKEN, "two.example", DKIM_MATCH, "", "" },
		{ VERIFY_TOKEN, "three.example", DKIM_MATCH, "", "" },
		{ VERIFY_TOKEN, "four.example", DKIM_ABSENT,
		    "no TXT record at _posthorn.four.example", "" },
		{ VERIFY_TOKEN, "five.example", DKIM_MISMATCH,
		    "another value", "" },
		{ VERIFY_TOKEN, "six.example", DKIM_MISMATCH, "letter case",
		    "" },
		{ VERIFY_TOKEN, "seven.example", DKIM_ABSENT,
		    "is at _amazonses.seven.example.seven.example", "" },
		/* identities-and-policies#13 */
		{ VERIFY_TOKEN, "eight.example", DKIM_DNS_ERROR,
		    "does not answer", "" },
		{ VERIFY_TOKEN, "nine.example", DKIM_ABSENT, "underscore",
		    "" },
		{ VERIFY_MX, "m1.example", DKIM_MATCH, "", "" },
		{ VERIFY_MX, "m2.example", DKIM_MATCH, "", "is 20, not 10" },
		{ VERIFY_MX, "m3.example", DKIM_MULTIPLE, "exactly one", "" },
		{ VERIFY_MX, "m4.example", DKIM_MISMATCH,
		    "points to other.example", "" },
		{ VERIFY_MX, "m5.example", DKIM_ABSENT, "no mail", "" },
		{ VERIFY_MX, "m6.example", DKIM_ABSENT,
		    "is at m6.example.example", "" },
		{ VERIFY_MX, "m7.example", DKIM_DNS_ERROR, "servfail", "" },
		{ VERIFY_MX, "m8.example", DKIM_ABSENT,
		    "no MX record at m8.example", "" },
	};
	struct bench	  b;
	struct verify_job j;
	size_t		  i;

	(void)state;
	bench_open(&b, zone, (struct verifier_setup){ 0 });
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&j, 0, sizeof(j));
		j.ticket = i;
		j.kind = rows[i].kind;
		j.authoritative = i % 2;
		strcpy(j.domain, rows[i].domain);
		strcpy(j.token, TOKEN);
		strcpy(j.mx_host, "feedback.relay.example");
		bench_check(&b, &j);
		if (b.result.outcome != rows[i].outcome)
			fail_msg("%s: outcome %d %s", rows[i].domain,
			    b.result.outcome, b.result.hint);
		assert_part(i, b.result.hint, rows[i].hint);
		assert_part(i, b.result.warning, rows[i].warning);
	}
	bench_close(&b);
}

/* mail-from-spf-dmarc 6, 7.2, 9.1; the numbers are its examples */
static void
policies_are_checked(void **state)
{
	static const struct {
		enum verify_kind  kind;
		const char	 *domain;
		enum dkim_outcome outcome;
		const char	 *hint, *text;
	} rows[] = {
		{ VERIFY_SPF, "s1.example", DKIM_MATCH, "",
		    "include:spf.relay.example" },
		/* #16 */
		{ VERIFY_SPF, "s2.example", DKIM_MALFORMED, "2 records",
		    "v=spf1" },
		{ VERIFY_SPF, "s3.example", DKIM_MALFORMED, "IP", "300" },
		{ VERIFY_SPF, "s4.example", DKIM_MISMATCH, "", "?all" },
		{ VERIFY_SPF, "s5.example", DKIM_DNS_ERROR, "DNS", "" },
		{ VERIFY_SPF, "s6.example", DKIM_ABSENT, "", "" },
		{ VERIFY_SPF, "", DKIM_MATCH, "", "ip4:203.0.113.10" },
		{ VERIFY_DMARC, "d.example", DKIM_MATCH, "", "sp=reject" },
		{ VERIFY_DMARC, "x.d.example", DKIM_MATCH, "", "sp=reject" },
		/* #21 */
		{ VERIFY_DMARC, "d2.example", DKIM_MALFORMED, "", "maybe" },
		{ VERIFY_DMARC, "d3.example", DKIM_DNS_ERROR, "servfail",
		    "" },
		{ VERIFY_DMARC, "x.d3.example", DKIM_DNS_ERROR, "servfail",
		    "" },
		{ VERIFY_DMARC, "d4.example", DKIM_ABSENT, "", "" },
		{ VERIFY_HOST, "h1.example", DKIM_MATCH, "",
		    "192.0.2.1 2001:db8::1" },
		{ VERIFY_HOST, "h2.example", DKIM_MATCH, "", "2001:db8::2" },
		{ VERIFY_HOST, "h3.example", DKIM_DNS_ERROR, "servfail", "" },
		{ VERIFY_HOST, "h4.example", DKIM_ABSENT, "", "" },
		{ VERIFY_REPLY, "m1.example", DKIM_MATCH, "", "feedback" },
		{ VERIFY_REPLY, "m5.example", DKIM_MISMATCH, "", "" },
		{ VERIFY_REPLY, "m7.example", DKIM_DNS_ERROR, "servfail",
		    "" },
		{ VERIFY_REPLY, "h2.example", DKIM_MATCH, "", "2001" },
		{ VERIFY_REPLY, "h4.example", DKIM_ABSENT, "", "" },
	};
	struct bench	  b;
	struct verify_job j;
	size_t		  i;

	(void)state;
	bench_open(&b, zone, (struct verifier_setup){ 0 });
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&j, 0, sizeof(j));
		j.ticket = i;
		j.kind = rows[i].kind;
		strcpy(j.domain, rows[i].domain);
		strcpy(j.ip, "203.0.113.10");
		strcpy(j.helo, "helo.example");
		strcpy(j.include, "spf.relay.example");
		if (strlen(rows[i].domain) > 9)
			strcpy(j.organisation, rows[i].domain + 2);
		bench_check(&b, &j);
		if (b.result.outcome != rows[i].outcome)
			fail_msg("row %zu %s: outcome %d %s", i,
			    rows[i].domain, b.result.outcome, b.result.hint);
		assert_part(i, b.result.hint, rows[i].hint);
		assert_part(i, b.result.text, rows[i].text);
		if (i == 0) {
			assert_int_equal(b.result.spf.lookups, 1);
			assert_int_equal(b.result.spf.record.all, '~');
			assert_true(b.result.spf.names_us);
		}
		if (rows[i].kind == VERIFY_DMARC)
			assert_int_equal(b.result.dmarc.inherited,
			    rows[i].domain[0] == 'x');
	}
	bench_close(&b);
}

/* What the configured resolver knows: old data, and who serves the zone. */
static const struct dns_record stale_zone[] = {
	{ "a.example", ns_t_ns, 60, "ns.a.example" },
	{ "ns.a.example", ns_t_a, 60, "127.0.0.2" },
	{ "s._domainkey.a.example", ns_t_txt, 60, "p=" OTHER },
	{ "c._domainkey.a.example", ns_t_cname, 60, "old.relay.example" },
	{ "c.relay.example", ns_t_txt, 60, "p=" KEY },
	{ "m.a.example", ns_t_mx, 60, "10 old.example" },
	{ "broken._domainkey.a.example", ns_t_txt, 60, "p=" KEY },
	{ NULL, 0, 0, NULL },
};
static const struct dns_record fresh_zone[] = {
	{ "s._domainkey.a.example", ns_t_txt, 60, "p=" KEY },
	{ "c._domainkey.a.example", ns_t_cname, 60, "c.relay.example" },
	{ "_posthorn.a.example", ns_t_txt, 60, TOKEN },
	{ "m.a.example", ns_t_mx, 60, "10 feedback.relay.example" },
	{ "broken._domainkey.a.example", ns_t_cname, 60, "!refused" },
	{ "broken._domainkey.a.example", ns_t_txt, 60, "!refused" },
	{ NULL, 0, 0, NULL },
};

static void
check_fresh(struct bench *b, enum verify_kind kind, const char *selector,
    bool authoritative)
{
	struct verify_job j;

	memset(&j, 0, sizeof(j));
	j.kind = kind;
	j.authoritative = authoritative;
	strcpy(j.domain, kind == VERIFY_MX ? "m.a.example" : "a.example");
	strcpy(j.selector, selector);
	strcpy(j.public_key, KEY);
	if (strcmp(selector, "c") == 0)
		strcpy(j.cname_target, "c.relay.example");
	strcpy(j.token, TOKEN);
	strcpy(j.mx_host, "feedback.relay.example");
	bench_check(b, &j);
}

static void
servers_of_the_zone_are_asked_first(void **state)
{
	struct bench	  b;
	struct world	  w;
	struct dns_server zone_server;
	uint16_t	  port;

	(void)state;
	/* the server's port has to be known first: it moves to the bench */
	world_open(&w);
	dns_server_open_at(&zone_server, w.loop, "127.0.0.2", 0, fresh_zone);
	port = ntohs(((struct sockaddr_in *)&zone_server.addr)->sin_port);
	dns_server_close(&zone_server);
	world_close(&w);
	bench_open(&b, stale_zone, (struct verifier_setup){
	    .allow_private = true, .authority_port = port });
	dns_server_open_at(&zone_server, b.w.loop, "127.0.0.2", port,
	    fresh_zone);
	zone_server.is_authority = true;
	check_fresh(&b, VERIFY_DKIM, "s", false);
	assert_int_equal(b.result.outcome, DKIM_MISMATCH);
	assert_false(b.result.authoritative);
	assert_int_equal(zone_server.asked, 0);
	check_fresh(&b, VERIFY_DKIM, "s", true);
	assert_int_equal(b.result.outcome, DKIM_MATCH);
	assert_true(b.result.authoritative);
	assert_true(zone_server.asked > 0);
	check_fresh(&b, VERIFY_DKIM, "c", true);
	assert_int_equal(b.result.outcome, DKIM_MATCH);
	check_fresh(&b, VERIFY_TOKEN, "", true);
	assert_int_equal(b.result.outcome, DKIM_MATCH);
	check_fresh(&b, VERIFY_MX, "", true);
	assert_int_equal(b.result.outcome, DKIM_MATCH);
	/* they fail: the configured resolver answers */
	check_fresh(&b, VERIFY_DKIM, "broken", true);
	assert_int_equal(b.result.outcome, DKIM_MATCH);
	assert_false(b.result.authoritative);
	dns_server_close(&zone_server);
	/* they are gone: likewise */
	check_fresh(&b, VERIFY_DKIM, "s", true);
	assert_int_equal(b.result.outcome, DKIM_MISMATCH);
	assert_false(b.result.authoritative);
	bench_close(&b);
}

static void
private_servers_are_not_asked(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, stale_zone, (struct verifier_setup){ 0 });
	check_fresh(&b, VERIFY_DKIM, "s", true);
	assert_int_equal(b.result.outcome, DKIM_MISMATCH);
	assert_false(b.result.authoritative);
	bench_close(&b);
}

/* More than can be under way: all are answered. */
static void
many_jobs_are_all_answered(void **state)
{
	struct bench	  b;
	struct verify_job j;
	size_t		  i;

	(void)state;
	bench_open(&b, zone, (struct verifier_setup){ 0 });
	memset(&j, 0, sizeof(j));
	j.kind = VERIFY_MX;
	strcpy(j.domain, "m1.example");
	strcpy(j.mx_host, "feedback.relay.example");
	b.wanted = VERIFIER_JOBS_MAX + 20;
	for (i = 0; i < b.wanted; i++) {
		j.ticket = i;
		bench_send(&b, &j);
	}
	world_run(&b.w, bench_has_result, &b);
	bench_close(&b);
}

static void
nonsense_is_dropped_and_a_gone_relay_noticed(void **state)
{
	struct bench	  b;
	struct verify_job j;

	(void)state;
	bench_open(&b, zone, (struct verifier_setup){ 0 });
	assert_true(channel_send(b.relay, BYTES("nonsense"), -1));
	assert_true(channel_send(b.relay, BYTES("J"), -1));
	check_fresh(&b, VERIFY_DKIM, "right", true);
	assert_int_equal(b.result.outcome, DKIM_MATCH);
	/* jobs under way are given up with the channel */
	memset(&j, 0, sizeof(j));
	j.kind = VERIFY_DKIM;
	strcpy(j.domain, "a.example");
	strcpy(j.selector, "silent");
	strcpy(j.public_key, KEY);
	j.authoritative = true;
	bench_send(&b, &j);
	world_rest(&b.w, 5);
	channel_close(b.relay);
	b.relay = NULL;
	world_run(&b.w, world_is_done, &b.is_gone);
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(selectors_are_checked),
		cmocka_unit_test(tokens_and_mx_are_checked),
		cmocka_unit_test(policies_are_checked),
		cmocka_unit_test(servers_of_the_zone_are_asked_first),
		cmocka_unit_test(private_servers_are_not_asked),
		cmocka_unit_test(many_jobs_are_all_answered),
		cmocka_unit_test(nonsense_is_dropped_and_a_gone_relay_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
