/* SPDX-License-Identifier: ISC */
/*
 * A dial: hosts and addresses in order, and the most telling result of all
 * tries (delivery.md 4.2, 4.4, 5, 6.2), on a fake DNS; what an address answers
 * is a row of a table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/dial.h"
#include "delivery_bed.h"
#include "fake_resolver.h"
#include "net/stream.h"

static struct carrier	 c;
static struct site	 site;
static struct egress	 eg;
static struct attempt	*attempt;
static struct connection cn;
static struct {
	/* address, what it answers: "ready", "connect", "lost", "timeout",
	 * "handshake", "missing", "tls", "local", "never" or a reply */
	const char *answers[16][2];
	char	    tried[1024]; /* addresses in order; * = without TLS */
	bool	    ready, failed, foreign;
	struct result result;
	enum tls_demand demand;
	bool	    never_answers;
	struct transport_events ev;
	void	   *arg;
	const char *answer; /* to the try under way */
	unsigned    closed, awaited, given_up;
} w;

/* -- in the place of the other parts --------------------------------------- */

static void
on_answer(void *unused, void *ignored)
{
	struct result r;

	(void)unused;
	(void)ignored;
	memset(&r, 0, sizeof(r));
	snprintf(r.text, sizeof(r.text), "%s", w.answer);
	if (strcmp(w.answer, "ready") == 0) {
		w.ev.on_ready(w.arg);
		return;
	}
	r.kind = strcmp(w.answer, "connect") == 0 ? RESULT_CONNECT
	    : strcmp(w.answer, "lost") == 0	  ? RESULT_LOST
	    : strcmp(w.answer, "timeout") == 0	  ? RESULT_TIMEOUT
	    : strcmp(w.answer, "missing") == 0	  ? RESULT_TLS_MISSING
	    : strcmp(w.answer, "tls") == 0	  ? RESULT_TLS_FAILED
	    : strcmp(w.answer, "handshake") == 0  ? RESULT_TLS_FAILED
						  : RESULT_REPLY;
	if (r.kind == RESULT_REPLY)
		assert_int_equal(sscanf(w.answer, "%3u", &r.code), 1);
	r.stage = CLASSIFY_GREETING;
	w.ev.on_gone(w.arg, &r, strcmp(w.answer, "handshake") == 0);
}

struct transport *
transport_open(const struct transport_setup *s,
    const struct transport_events *ev, void *arg, struct err *e)
{
	char   text[STREAM_ADDR_MAX + 48];
	size_t n = strlen(w.tried), i;

	sockaddr_text(s->to, false, text);
	snprintf(w.tried + n, sizeof(w.tried) - n, "%s%s%s", n > 0 ? " " : "",
	    text, s->no_starttls ? "*" : "");
	assert_int_equal(s->demand, w.demand);
	w.ev = *ev;
	w.arg = arg;
	w.answer = "connect";
	for (i = 0; i < 16 && w.answers[i][0] != NULL; i++)
		if (strcmp(w.answers[i][0], text) == 0)
			w.answer = w.answers[i][1];
	if (s->no_starttls && strcmp(w.answer, "handshake") == 0)
		w.answer = "ready";
	if (strcmp(w.answer, "local") == 0) {
		err_set(e, "no descriptor");
		return NULL;
	}
	if (!w.never_answers && strcmp(w.answer, "never") != 0)
		assert_true(loop_post(c.loop, on_answer, NULL, NULL));
	return (struct transport *)&w;
}

void
transport_close(struct transport *t)
{
	w.closed += t != NULL;
}

void
transport_give_up(struct transport *t, struct result *r)
{
	assert_ptr_equal(t, &w);
	w.given_up++;
	memset(r, 0, sizeof(*r));
	r->kind = RESULT_TIMEOUT;
	r->stage = CLASSIFY_GREETING;
}

void
connection_await(struct connection *awaits)
{
	assert_ptr_equal(awaits, &cn);
	w.awaited++;
}

void
connection_on_answer(void *connection)
{
	(void)connection;
}

void
connection_failed(struct connection *failed, const struct result *r)
{
	assert_ptr_equal(failed, &cn);
	assert_false(w.failed || w.ready);
	w.failed = true;
	w.result = *r;
}

void
connection_failed_foreign(struct connection *failed, const struct result *r)
{
	w.foreign = true;
	connection_failed(failed, r);
}

void
connection_ended(struct connection *ended)
{
	(void)ended;
}

void
connection_on_ready(void *connection)
{
	struct connection *ready = connection;

	assert_false(w.failed || w.ready);
	ready->dialing = false;
	w.ready = true;
}

void
connection_on_done(void *connection, struct attempt *a)
{
	(void)connection;
	(void)a;
}

const char *
carrier_ehlo(const struct carrier *carrier, const struct egress *egress)
{
	(void)carrier;
	(void)egress;
	return "mail.relay.example";
}

/* -- the bed --------------------------------------------------------------- */

static void
open_bed(const char *conf)
{
	struct resolver_setup rs = { .timeout_ms = 5000, .tries = 3 };
	struct err	      e;

	memset(&w, 0, sizeof(w));
	memset(&site, 0, sizeof(site));
	memset(&eg, 0, sizeof(eg));
	memset(&cn, 0, sizeof(cn));
	delivery_bed_open(&c, conf);
	fake_dns_remove(NULL, NULL);
	c.set.resolver = resolver_new(c.loop, &rs, &e);
	site.carrier = eg.carrier = &c;
	site.port = 25;
	eg.site = &site;
	cn.egress = &eg;
	attempt = cn.attempt = attempt_new();
	cn.attempt->tls = w.demand = TLS_TRY;
}

static void
close_bed(void)
{
	attempt_free(attempt);
	resolver_free(c.set.resolver);
	table_free(c.routes);
	table_free(c.sites);
	table_free(c.groups);
	table_free(c.outlets);
	delivery_bed_close(&c);
}

static void
demand(enum tls_demand d)
{
	cn.attempt->tls = w.demand = d;
}

/* "10 a 198.51.100.1 2001:db8::1" */
static void
host(unsigned preference, const char *name, const char *v4, const char *v6)
{
	struct site_host *h = &site.hosts[site.host_count++];

	h->preference = (uint16_t)preference;
	snprintf(h->name, sizeof(h->name), "%s", name);
	if (v4 != NULL)
		assert_true(fake_dns_add(name, "A", v4, 300));
	if (v6 != NULL)
		assert_true(fake_dns_add(name, "AAAA", v6, 300));
}

static void
answer(const char *address, const char *what)
{
	size_t i = 0;

	while (w.answers[i][0] != NULL)
		i++;
	w.answers[i][0] = address;
	w.answers[i][1] = what;
}

static void
dial(void)
{
	w.tried[0] = '\0';
	w.ready = w.failed = w.foreign = false;
	dial_begin(&cn);
	assert_true(fake_threads_advance(60000));
}

#define PUBLIC "delivery.allow_private yes\n"

/* -- cases ----------------------------------------------------------------- */

/* Two hosts, one address each: what they answer, and what is told. */
struct two {
	const char	*a, *b; /* NULL = there is no second one */
	enum tls_demand	 demand;
	const char	*tried;
	enum result_kind kind; /* NONE = ready */
	unsigned	 code;
	bool		 not_final;
};
#define A "198.51.100.1"
#define B "198.51.100.2"
static const struct two twos[] = {
	{ "ready", "ready", TLS_TRY, A, RESULT_NONE, 0, false },
	{ "connect", "ready", TLS_TRY, A " " B, RESULT_NONE, 0, false },
	{ "connect", "connect", TLS_TRY, A " " B, RESULT_CONNECT, 0, false },
	{ "450 later", "ready", TLS_TRY, A " " B, RESULT_NONE, 0, false },
	{ "lost", "ready", TLS_TRY, A " " B, RESULT_NONE, 0, false },
	/* 5xx is permanent only when every host says it */
	{ "554 no", NULL, TLS_TRY, A, RESULT_REPLY, 554, false },
	{ "554 no", "521 no", TLS_TRY, A " " B, RESULT_REPLY, 521, false },
	{ "554 no", "connect", TLS_TRY, A " " B, RESULT_REPLY, 554, true },
	{ "connect", "554 no", TLS_TRY, A " " B, RESULT_REPLY, 554, true },
	{ "554 no", "450 later", TLS_TRY, A " " B, RESULT_REPLY, 450, false },
	{ "554 no", "lost", TLS_TRY, A " " B, RESULT_REPLY, 554, true },
	/* the most telling: a reply, else TLS, else the connection */
	{ "450 later", "connect", TLS_TRY, A " " B, RESULT_REPLY, 450, false },
	{ "lost", "connect", TLS_TRY, A " " B, RESULT_LOST, 0, false },
	{ "connect", "timeout", TLS_TRY, A " " B, RESULT_TIMEOUT, 0, false },
	{ "tls", "lost", TLS_REQUIRE, A " " B, RESULT_TLS_FAILED, 0, false },
	{ "450 later", "tls", TLS_REQUIRE, A " " B, RESULT_REPLY, 450, false },
	/* a broken handshake: once more without, at the same address */
	{ "handshake", NULL, TLS_TRY, A " " A "*", RESULT_NONE, 0, false },
	/* TLS is demanded: final only when nobody offers it */
	{ "missing", NULL, TLS_REQUIRE, A, RESULT_TLS_MISSING, 0, false },
	{ "missing", "missing", TLS_REQUIRE, A " " B, RESULT_TLS_MISSING, 0,
	    false },
	{ "missing", "ready", TLS_REQUIRE, A " " B, RESULT_NONE, 0, false },
	{ "missing", "connect", TLS_REQUIRE, A " " B, RESULT_TLS_FAILED, 0,
	    false },
	{ "missing", "tls", TLS_VERIFY, A " " B, RESULT_TLS_FAILED, 0, false },
	{ "missing", "450 later", TLS_REQUIRE, A " " B, RESULT_TLS_FAILED, 0,
	    false },
	/* the store of descriptors is empty: at once, and ours */
	{ "local", "ready", TLS_TRY, A, RESULT_LOCAL, 0, false },
};

static void
two_hosts(void **state) /* delivery.md 5, 6.2 */
{
	const struct two *t;

	(void)state;
	for (t = twos; t < twos + sizeof(twos) / sizeof(twos[0]); t++) {
		open_bed(PUBLIC);
		demand(t->demand);
		host(10, "a.example", A, NULL);
		if (t->b != NULL)
			host(20, "b.example", B, NULL);
		answer(A, t->a);
		answer(B, t->b != NULL ? t->b : "ready");
		dial();
		if (strcmp(w.tried, t->tried) != 0 ||
		    w.ready != (t->kind == RESULT_NONE) ||
		    (!w.ready && (w.result.kind != t->kind ||
			(w.result.kind == RESULT_REPLY &&
			    w.result.code != t->code) ||
			w.result.not_final != t->not_final)))
			fail_msg("%s, %s: tried %s, %s %u %d", t->a,
			    t->b != NULL ? t->b : "-", w.tried,
			    result_kind_to_text(w.result.kind), w.result.code,
			    (int)w.result.not_final);
		close_bed();
	}
}

static void
hosts_without_address(void **state) /* delivery.md 4.3, delivery#19 */
{
	static const struct {
		const char	*a, *b; /* of A records */
		enum result_kind kind;
	} cases[] = {
		{ "NODATA", "NXDOMAIN", RESULT_NO_ADDRESS },
		{ "NODATA", "SERVFAIL", RESULT_DNS },
		{ "SERVFAIL", "TIMEOUT", RESULT_DNS },
		{ "UNREACHABLE", "NODATA", RESULT_RESOLVER },
		{ "UNREACHABLE", "UNREACHABLE", RESULT_RESOLVER },
		{ "NXDOMAIN", A, RESULT_NONE },
		/* a refusal of one host does not speak for one whose name could
		 * not be looked up */
		{ "SERVFAIL", B, RESULT_REPLY },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_bed(PUBLIC);
		host(10, "a.example", cases[i].a, NULL);
		host(20, "b.example", cases[i].b, NULL);
		answer(A, "ready");
		answer(B, "554 no");
		dial();
		if (cases[i].kind == RESULT_NONE)
			assert_true(w.ready);
		else
			assert_int_equal(w.result.kind, cases[i].kind);
		if (cases[i].kind == RESULT_REPLY)
			assert_true(w.result.not_final);
		close_bed();
	}
}

static void
where_mail_must_not_go(void **state) /* delivery.md 4.2, delivery#19 */
{
	static const char *const private[] = { "10.0.0.5", "127.0.0.1",
		"169.254.1.1", "172.16.0.1", "192.168.0.1", "192.0.2.1",
		"198.51.100.1", "203.0.113.1", "224.0.0.1", "0.0.0.0",
		"255.255.255.255", "100.64.0.1" };
	static const char *const private6[] = { "::1", "fe80::1", "fd00::1",
		"ff02::1", "2001:db8::1", "::ffff:10.0.0.5", "::" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
		open_bed("");
		host(10, "a.example", private[i], NULL);
		dial();
		assert_string_equal(w.tried, "");
		assert_int_equal(w.result.kind, RESULT_NO_ADDRESS);
		/* unless a route of the operator's names it */
		site.is_static = true;
		dial();
		assert_string_equal(w.tried, private[i]);
		close_bed();
	}
	for (i = 0; i < sizeof(private6) / sizeof(private6[0]); i++) {
		open_bed("");
		c.has_ipv6 = true;
		host(10, "a.example", NULL, private6[i]);
		dial();
		assert_string_equal(w.tried, "");
		assert_int_equal(w.result.kind, RESULT_NO_ADDRESS);
		close_bed();
	}
}

/* An address that we listen on: it and all that are no better. */
static void
our_own_address(void **state)
{
	(void)state;
	open_bed(PUBLIC);
	site.port = 587;
	host(10, "a.example", "198.51.100.9", NULL);
	host(20, "us.example", "127.0.0.1", NULL);
	host(30, "third.example", A, NULL);
	dial();
	assert_string_equal(w.tried, "198.51.100.9");
	assert_int_equal(w.result.kind, RESULT_CONNECT);
	close_bed();
	open_bed(PUBLIC);
	site.port = 587;
	host(20, "us.example", "127.0.0.1", NULL);
	host(30, "third.example", A, NULL);
	dial();
	assert_string_equal(w.tried, "");
	assert_int_equal(w.result.kind, RESULT_LOOP);
	close_bed();
}

static void
families(void **state) /* delivery.md 4.4 */
{
	static const struct {
		const char *conf, *source;
		bool	    ipv6;
		const char *tried;
		bool	    foreign;
	} cases[] = {
		{ "", "", true, A " 2001:db8::1", false },
		{ "delivery.prefer ipv6\n", "", true, "2001:db8::1 " A, false },
		{ "", "", false, A, false },
		{ "delivery.prefer ipv6\n", "203.0.113.10", true, A, false },
		{ "", "2001:db8:1::1", true, "2001:db8::1", false },
	};
	char   conf[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_bed("");
		close_bed();
		snprintf(conf, sizeof(conf), PUBLIC "%s", cases[i].conf);
		open_bed(conf);
		c.has_ipv6 = cases[i].ipv6;
		snprintf(eg.source_text, sizeof(eg.source_text), "%s",
		    cases[i].source);
		host(10, "a.example", A, "2001:db8::1");
		dial();
		assert_string_equal(w.tried, cases[i].tried);
		assert_int_equal(w.foreign, cases[i].foreign);
		close_bed();
	}
	/* none of its family: another source may have a way */
	open_bed(PUBLIC);
	strcpy(eg.source_text, "203.0.113.10");
	host(10, "a.example", NULL, "2001:db8::1");
	dial();
	assert_string_equal(w.tried, "");
	assert_true(w.foreign);
	assert_int_equal(w.result.kind, RESULT_CONNECT);
	close_bed();
}

static void
bounds_of_an_attempt(void **state)
{
	char	 name[32], address[32];
	unsigned i, n;
	char	*at;

	(void)state;
	open_bed(PUBLIC);
	for (i = 1; i <= MX_HOSTS_MAX; i++) {
		snprintf(name, sizeof(name), "m%u.example", i);
		snprintf(address, sizeof(address), "198.51.100.%u", i);
		host(i, name, address, NULL);
	}
	dial();
	for (n = 1, at = w.tried; (at = strchr(at, ' ')) != NULL; at++)
		n++;
	assert_int_equal(n, SITE_HOSTS_MAX);
	close_bed();
	open_bed(PUBLIC);
	host(1, "wide.example", NULL, NULL);
	host(2, "b.example", "198.51.100.77", NULL);
	for (i = 1; i <= 64; i++) {
		snprintf(address, sizeof(address), "198.51.100.%u", i);
		assert_true(fake_dns_add("wide.example", "A", address, 1));
	}
	dial();
	for (n = 1, at = w.tried; (at = strchr(at, ' ')) != NULL; at++)
		n++;
	assert_int_equal(n, SITE_ADDRESSES_MAX);
	assert_null(strstr(w.tried, "198.51.100.77"));
	close_bed();
}

/* Five refusals are not those of all, where there are six hosts. */
static void
what_the_others_say_is_not_known(void **state)
{
	static const struct {
		unsigned	 hosts;
		const char	*answer;
		enum tls_demand	 demand;
		enum result_kind kind;
		bool		 not_final;
	} cases[] = {
		{ SITE_HOSTS_MAX, "554 no", TLS_TRY, RESULT_REPLY, false },
		{ SITE_HOSTS_MAX + 1, "554 no", TLS_TRY, RESULT_REPLY, true },
		{ SITE_HOSTS_MAX, "missing", TLS_REQUIRE, RESULT_TLS_MISSING,
		    false },
		{ SITE_HOSTS_MAX + 1, "missing", TLS_REQUIRE,
		    RESULT_TLS_FAILED, false },
	};
	char	 name[32], address[SITE_HOSTS_MAX + 1][32];
	unsigned i;
	size_t	 k;

	(void)state;
	for (k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		open_bed(PUBLIC);
		demand(cases[k].demand);
		for (i = 0; i < cases[k].hosts; i++) {
			snprintf(name, sizeof(name), "m%u.example", i);
			snprintf(address[i], sizeof(address[i]),
			    "198.51.100.%u", i + 1);
			host(i, name, address[i], NULL);
			answer(address[i], cases[k].answer);
		}
		dial();
		assert_int_equal(w.result.kind, cases[k].kind);
		assert_int_equal(w.result.not_final, cases[k].not_final);
		close_bed();
	}
}

static void
equal_hosts_are_shuffled(void **state) /* delivery#2 */
{
	unsigned first_a = 0, i;

	(void)state;
	open_bed(PUBLIC);
	host(10, "a.example", A, NULL);
	host(10, "b.example", B, NULL);
	host(20, "c.example", "198.51.100.3", NULL);
	for (i = 0; i < 200; i++) {
		dial();
		first_a += strncmp(w.tried, A " ", sizeof(A)) == 0;
		assert_non_null(strstr(w.tried, " 198.51.100.3"));
		assert_string_equal(strrchr(w.tried, ' '), " 198.51.100.3");
	}
	assert_in_range(first_a, 60, 140);
	close_bed();
}

/* A broken handshake is remembered for an hour, for that address. */
static void
without_tls_for_an_hour(void **state) /* delivery#14 */
{
	(void)state;
	open_bed(PUBLIC);
	host(10, "a.example", A, NULL);
	answer(A, "handshake");
	dial();
	assert_string_equal(w.tried, A " " A "*");
	assert_true(fake_threads_advance(HOUR_MS - 60001));
	dial();
	assert_string_equal(w.tried, A "*");
	dial();
	assert_string_equal(w.tried, A " " A "*");
	close_bed();
}

static void
cancelled(void **state)
{
	(void)state;
	open_bed(PUBLIC);
	host(10, "a.example", A, NULL);
	dial_begin(&cn); /* the name is being looked up */
	dial_cancel(&cn);
	assert_true(fake_threads_advance(60000));
	assert_string_equal(w.tried, "");
	w.never_answers = true;
	dial_begin(&cn);
	assert_true(fake_threads_settle());
	dial_cancel(&cn);
	assert_int_equal(w.closed, 1);
	assert_true(fake_threads_advance(60000));
	assert_false(w.failed || w.ready);
	close_bed();
}

/* From the beginning, and for the first two addresses anew. */
static void
waits_anew_for_two(void **state)
{
	(void)state;
	open_bed(PUBLIC);
	host(10, "a.example", A, NULL);
	host(20, "b.example", B, NULL);
	host(30, "c.example", "198.51.100.3", NULL);
	dial();
	assert_string_equal(w.tried, A " " B " 198.51.100.3");
	assert_int_equal(w.awaited, 3);
	close_bed();
}

/* What it waits for has timed out, whatever the others would have said. */
static void
gives_way(void **state)
{
	(void)state;
	/* for an answer */
	open_bed(PUBLIC);
	host(10, "a.example", A, NULL);
	host(20, "b.example", B, NULL);
	w.never_answers = true;
	dial_begin(&cn);
	assert_true(fake_threads_settle());
	dial_give_way(&cn);
	assert_true(w.failed);
	assert_int_equal(w.given_up, 1);
	assert_int_equal(w.result.kind, RESULT_TIMEOUT);
	assert_null(cn.transport);
	assert_false(cn.dialing);
	assert_true(fake_threads_advance(60000));
	assert_string_equal(w.tried, A);
	close_bed();
	/* the first one has refused: not final, the second was not heard */
	open_bed(PUBLIC);
	host(10, "a.example", A, NULL);
	host(20, "b.example", B, NULL);
	answer(A, "554 no");
	answer(B, "never");
	dial_begin(&cn);
	assert_true(fake_threads_settle());
	assert_string_equal(w.tried, A " " B);
	dial_give_way(&cn);
	assert_int_equal(w.result.kind, RESULT_REPLY);
	assert_true(w.result.not_final);
	close_bed();
	/* for a name server */
	open_bed(PUBLIC);
	host(10, "a.example", A, NULL);
	dial_begin(&cn);
	assert_int_not_equal(cn.ticket, 0);
	dial_give_way(&cn);
	assert_int_equal(w.given_up, 0);
	assert_int_equal(w.result.kind, RESULT_DNS);
	assert_true(fake_threads_advance(60000));
	assert_string_equal(w.tried, "");
	close_bed();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_hosts),
		cmocka_unit_test(hosts_without_address),
		cmocka_unit_test(where_mail_must_not_go),
		cmocka_unit_test(our_own_address),
		cmocka_unit_test(families),
		cmocka_unit_test(bounds_of_an_attempt),
		cmocka_unit_test(what_the_others_say_is_not_known),
		cmocka_unit_test(equal_hosts_are_shuffled),
		cmocka_unit_test(without_tls_for_an_hour),
		cmocka_unit_test(cancelled),
		cmocka_unit_test(waits_anew_for_two),
		cmocka_unit_test(gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
