/* SPDX-License-Identifier: ISC */
/* doctor: what did not pass comes with what mends it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/timex.h>

#include "daemon/control_doctor.h"
#include "remedy_check.h"

enum { ROUNDS = 4000, SOURCES = 3, QUESTIONS = 32, DAY_MS = 86400000 };

struct bench {
	struct request		q;
	struct doctor		d;
	struct doctor_question	questions[QUESTIONS];
	struct dns_answer	answers[QUESTIONS];
	struct verify_result	spf[SOURCES];
};

static struct conf_route route = { .host = "smart.example.net",
	.port = 587 };

/* -- answers --------------------------------------------------------------- */

static void
bench_conf(struct request *q)
{
	static struct conf	    *c;
	static struct conf_listener *listeners;
	static size_t		     n;

	if (c == NULL) {
		c = conf_defaults();
		listeners = c->listeners;
		n = c->listener_count;
	}
	c->listeners = listeners;
	c->listener_count = n;
	c->server.name = "mail.relay.example";
	c->server.domain = "relay.example";
	c->mail_from.default_domain = "bounces.relay.example";
	c->mail_from.mx_host = "feedback-smtp.us-east-1.relay.example";
	c->mail_from.spf_include = "spf.relay.example";
	c->dkim.operator_key = "/etc/posthorn/operator.pem";
	c->intake.postmaster = NULL;
	q->conf = c;
}

static struct dns_answer *
bench_ask(struct bench *b, enum doctor_kind k, enum resolver_type type,
    const char *name)
{
	struct doctor_question *a = &b->questions[b->d.count];
	struct dns_answer      *answer = &b->answers[b->d.count++];

	assert_true(b->d.count <= QUESTIONS);
	a->kind = k;
	a->type = type;
	a->answer = answer;
	snprintf(a->name, sizeof(a->name), "%s", name);
	answer->type = type;
	answer->name = a->name;
	return answer;
}

/* Of a source address: its name, where that leads, a list. */
static void
bench_ask_source(struct bench *b, size_t i)
{
	static const char *const names[] = { "mx1.relay.example" };
	static struct dns_address back, listed;
	struct dns_answer	 *a;
	size_t			  first = b->d.count;

	assert_true(dns_address_parse(BYTES("203.0.113.10"), &back));
	assert_true(dns_address_parse(BYTES("127.0.0.2"), &listed));
	a = bench_ask(b, DOCTOR_PTR, RESOLVER_PTR,
	    "10.113.0.203.in-addr.arpa");
	a->names = names;
	a->count = 1;
	a = bench_ask(b, DOCTOR_PTR_BACK, RESOLVER_A, names[0]);
	a->addresses = &back;
	a->count = 1;
	a = bench_ask(b, DOCTOR_LISTED, RESOLVER_A,
	    "10.113.0.203.list.example");
	a->addresses = &listed;
	b->questions[b->d.count - 1].zone = "list.example";
	for (; first < b->d.count; first++)
		b->questions[first].source = i;
}

static void
bench_ask_once(struct bench *b)
{
	static const struct dns_mx mx = { 10,
		"feedback-smtp.us-east-1.relay.example" };
	static struct bytes	   spf[2];
	struct dns_answer	  *a;

	spf[0] = BYTES("v=spf1 include:spf.relay.example ~all");
	spf[1] = BYTES("v=spf1 ip4:203.0.113.10");
	a = bench_ask(b, DOCTOR_FROM_MX, RESOLVER_MX,
	    "bounces.relay.example");
	a->mx = &mx;
	a->count = 1;
	a = bench_ask(b, DOCTOR_FROM_SPF, RESOLVER_TXT,
	    "bounces.relay.example");
	a->texts = spf;
	a->count = 1;
	bench_ask(b, DOCTOR_FEEDBACK, RESOLVER_A, mx.host);
	bench_ask(b, DOCTOR_FEEDBACK, RESOLVER_AAAA, mx.host);
	bench_ask(b, DOCTOR_PROBE_MX, RESOLVER_MX, "relay.example");
	bench_ask(b, DOCTOR_OPERATOR_KEY, RESOLVER_TXT,
	    "op._domainkey.relay.example");
}

static void
bench_init(struct bench *b)
{
	static const char *const addresses[] = { "203.0.113.10",
		"203.0.113.11", "2001:db8::5" };
	struct doctor_source *s;
	size_t		      i;

	memset(b, 0, sizeof(*b));
	bench_conf(&b->q);
	b->q.now.ms = 1700000000000;
	b->q.result = json_pack("{s:[]}", "Checks");
	b->d.q = &b->q;
	b->d.questions = b->questions;
	b->d.spf_results = b->spf;
	b->d.is_probing = true;
	strcpy(b->d.probe_host, "mx.example.net");
	b->d.probe_port = 25;
	strcpy(b->d.operator_key, "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A");
	b->d.spf_rows = json_pack("[{s:s, s:s}, {s:s, s:s}]", "Name",
	    "spf.relay.example", "Value", "v=spf1 include:_spf1.relay.example "
	    "-all", "Name", "_spf1.relay.example", "Value", "v=spf1 -all");
	for (i = 0; i < SOURCES; i++) {
		s = &b->d.sources[b->d.source_count++];
		strcpy(s->address, addresses[i]);
		strcpy(s->ehlo, "mx1.relay.example");
		s->family = strchr(s->address, ':') ? AF_INET6 : AF_INET;
		s->is_stored = true;
		b->spf[i].outcome = DKIM_MATCH;
		bench_ask_source(b, i);
	}
	b->d.spf.n = b->d.source_count;
	bench_ask_once(b);
}

static void
bench_wipe(struct bench *b)
{
	json_decref(b->q.result);
	json_decref(b->d.spf_rows);
}

/* -- by chance ------------------------------------------------------------- */

static void
upset_answers(struct bench *b)
{
	static const char *const  names[] = { "other.example;rm" };
	static struct dns_address other;
	size_t			  i;
	struct doctor_question	 *a;

	assert_true(dns_address_parse(BYTES("127.255.255.254"), &other));
	for (i = 0; i < b->d.count; i++) {
		a = &b->questions[i];
		if (chance(8) == 0)
			a->answer = NULL;
		else if (chance(8) == 0)
			a->answer->status = DNS_SERVFAIL + chance(3);
		if (a->answer == NULL || a->answer->status >= DNS_SERVFAIL)
			continue;
		switch (chance(4)) {
		case 0:
			a->answer->count = 0;
			break;
		case 1:
			if (a->answer->texts != NULL)
				a->answer->count = 2;
			if (a->answer->addresses != NULL)
				a->answer->count = 1;
			break;
		case 2:
			a->answer->names = names;
			if (a->answer->texts != NULL)
				a->answer->texts++;
			if (a->type == RESOLVER_A || a->type ==
			    RESOLVER_AAAA) {
				a->answer->addresses = &other;
				a->answer->count = 1;
			}
			break;
		default:
			break;
		}
		if (a->kind == DOCTOR_PTR_BACK)
			strcpy(a->name, chance(2) == 0 ? names[0] :
				"mx1.relay.example");
	}
}

static void
upset_sources(struct bench *b)
{
	struct doctor_source *s;
	size_t		      i;

	for (i = 0; i < SOURCES; i++) {
		s = &b->d.sources[i];
		s->is_stored = chance(2) == 0;
		s->is_tried = chance(2) == 0;
		s->is_connected = chance(2) == 0;
		s->is_greeted = s->is_connected && chance(2) == 0;
		strcpy(s->said, chance(2) == 0 ? "220 hello" : "554 go");
		b->spf[i].outcome = (enum dkim_outcome)(DKIM_MATCH +
		    chance(DKIM_DNS_ERROR));
		b->spf[i].spf.names_us = chance(2) == 0;
	}
	if (chance(8) == 0)
		b->d.smart_host = &route;
	if (chance(8) == 0)
		b->d.source_count = 0;
	if (chance(8) == 0)
		b->d.operator_key[0] = '\0';
	if (chance(8) == 0)
		b->d.probe_host[0] = '\0';
	if (chance(8) == 0)
		b->questions[0].kind = DOCTOR_PROBE_HOST; /* private */
	b->d.sources_left_out = chance(2);
}

/* Figures, files and clocks of this host. */
static void
upset_host(struct request *q)
{
	static struct conf_listener l[] = {
		{ .name = "smtp", .enabled = true },
		{ .name = "own", .cert = "/own cert.pem", .enabled = true } };
	struct spool_figures f = { .map_bytes = UINT64_C(64) << 30 };

	q->conf->listeners = l;
	q->conf->listener_count = chance(3);
	l[0].roles = chance(2) == 0 ? CONF_ROLE_INTAKE : CONF_ROLE_SUBMISSION;
	l[0].enabled = chance(4) != 0;
	q->conf->intake.postmaster = chance(2) == 0 ? NULL : "a@example.com";
	doctor_judge_listeners(q);
	doctor_judge_postmaster(q);
	doctor_judge_certificate(q, &l[chance(2)], (struct wall){ q->now.ms +
	    ((int64_t)chance(60) - 20) * DAY_MS });
	doctor_judge_certificate_name(q, &l[chance(2)], chance(2) == 0);
	f.disk_free_bytes = (uint64_t)chance(4) << 30;
	f.used_bytes = f.map_bytes - ((uint64_t)chance(2) << 31) - 1;
	doctor_judge_disk(q, &f);
	doctor_judge_clock(q, chance(2) == 0 ? TIME_ERROR : (int)chance(3) - 1,
	    chance(2) == 0 ? 61000000 : 1000);
}

static void
test_every_finding_has_a_remedy(void **state)
{
	static struct remedy_seen seen[] = {
		{ "DNS", "FAIL", 0 },
		{ "SOURCE_PTR", "FAIL", 0 },
		{ "SOURCE_PTR", "WARN", 0 },
		{ "SOURCE_PTR", "UNKNOWN", 0 },
		{ "DNSBL", "FAIL", 0 },
		{ "DNSBL", "UNKNOWN", 0 },
		{ "PORT25", "FAIL", 0 },
		{ "PORT25", "WARN", 0 },
		{ "PORT25", "UNKNOWN", 0 },
		{ "MAILFROM_MX", "FAIL", 0 },
		{ "MAILFROM_MX", "UNKNOWN", 0 },
		{ "SPF_FOUND", "FAIL", 0 },
		{ "SPF_FOUND", "UNKNOWN", 0 },
		{ "SPF_ISSUE", "FAIL", 0 },
		{ "SPF_ALL", "WARN", 0 },
		{ "SPF_INCLUDES", "FAIL", 0 },
		{ "SPF_INCLUDES", "UNKNOWN", 0 },
		{ "FEEDBACK_HOST", "FAIL", 0 },
		{ "FEEDBACK_HOST", "WARN", 0 },
		{ "FEEDBACK_HOST", "UNKNOWN", 0 },
		{ "OPERATOR_DKIM", "FAIL", 0 },
		{ "OPERATOR_DKIM", "UNKNOWN", 0 },
		{ "CERTIFICATE", "FAIL", 0 },
		{ "CERTIFICATE", "WARN", 0 },
		{ "CERTIFICATE_NAME", "FAIL", 0 },
		{ "LISTENERS", "FAIL", 0 },
		{ "DISK", "FAIL", 0 },
		{ "DISK", "WARN", 0 },
		{ "MAP", "FAIL", 0 },
		{ "POSTMASTER", "WARN", 0 },
		{ "CLOCK", "FAIL", 0 },
		{ "CLOCK", "WARN", 0 },
		{ "CLOCK", "UNKNOWN", 0 },
	};
	enum { SEEN = sizeof(seen) / sizeof(seen[0]) };
	static struct bench b;
	unsigned	    i;
	size_t		    k;

	(void)state;
	for (i = 0; i < ROUNDS; i++) {
		bench_init(&b);
		upset_answers(&b);
		upset_sources(&b);
		/* at times nobody answers at all */
		for (k = 0; i % 64 == 0 && k < b.d.count; k++)
			b.questions[k].answer = NULL;
		upset_host(&b.q);
		doctor_judge(&b.d);
		remedy_check(json_object_get(b.q.result, "Checks"), seen,
		    SEEN);
		bench_wipe(&b);
	}
	remedy_check_seen(seen, SEEN);
}

/* -- which one it is ------------------------------------------------------- */

static void
expect_remedy(struct bench *b, const char *id, const char *action,
    const char *hint, const char *then)
{
	json_t *checks = json_object_get(b->q.result, "Checks"), *c = NULL;
	size_t	i;

	for (i = 0; i < json_array_size(checks); i++) {
		c = json_array_get(checks, i);
		if (strcmp(remedy_member(c, "Id"), id) == 0)
			break;
	}
	assert_true(i < json_array_size(checks));
	assert_string_equal(remedy_member(c, "Action"), action);
	assert_string_equal(remedy_member(c, "Hint"), hint);
	assert_string_equal(remedy_member(c, "Then"), then);
	bench_wipe(b);
	bench_init(b);
}

static void
test_certificate(void **state)
{
	struct conf_listener own = { .name = "own", .cert = "/own.pem" };
	struct conf_listener none = { .name = "smtp" };
	static struct bench  b;

	(void)state;
	bench_init(&b);
	doctor_judge_certificate(&b.q, &own, (struct wall){ b.q.now.ms +
	    (int64_t)13 * DAY_MS });
	expect_remedy(&b, "CERTIFICATE", "RUN", "posthornctl reload", "");
	doctor_judge_certificate(&b.q, &own, (struct wall){ b.q.now.ms +
	    (int64_t)14 * DAY_MS });
	expect_remedy(&b, "CERTIFICATE", "", "", "");
	doctor_judge_certificate_name(&b.q, &own, true);
	expect_remedy(&b, "CERTIFICATE_NAME", "SET", "listener.own.cert FILE",
	    "systemctl restart posthorn");
	doctor_judge_certificate_name(&b.q, &none, false);
	expect_remedy(&b, "CERTIFICATE", "SET", "tls.cert FILE",
	    "posthornctl reload");
	bench_wipe(&b);
}

static void
test_host(void **state)
{
	struct spool_figures f = { .map_bytes = UINT64_C(64) << 30,
		.used_bytes = (UINT64_C(64) << 30) - 1,
		.disk_free_bytes = UINT64_C(8) << 30 };
	static struct bench  b;

	(void)state;
	bench_init(&b);
	doctor_judge_disk(&b.q, &f);
	expect_remedy(&b, "MAP", "SET", "store.map_size 129g",
	    "systemctl restart posthorn");
	f.disk_free_bytes = 1;
	doctor_judge_disk(&b.q, &f);
	expect_remedy(&b, "DISK", "RUN", "df -h /var/lib/posthorn", "");
	doctor_judge_clock(&b.q, TIME_ERROR, 0);
	expect_remedy(&b, "CLOCK", "RUN", "timedatectl set-ntp true", "");
	doctor_judge_postmaster(&b.q);
	expect_remedy(&b, "POSTMASTER", "SET", "intake.postmaster ADDRESS",
	    "posthornctl reload");
	bench_wipe(&b);
}

static void
test_names_and_lists(void **state)
{
	static struct bench b;

	(void)state;
	bench_init(&b);
	b.answers[0].count = 0;
	doctor_judge(&b.d);
	expect_remedy(&b, "SOURCE_PTR", "PUBLISH",
	    "10.113.0.203.in-addr.arpa PTR mx1.relay.example", "");
	/* the name is ours: it lacks the address */
	b.answers[1].count = 0;
	doctor_judge(&b.d);
	expect_remedy(&b, "SOURCE_PTR", "PUBLISH",
	    "mx1.relay.example A 203.0.113.10", "");
	/* it is somebody's, who may call it what he likes */
	b.answers[1].count = 0;
	strcpy(b.questions[1].name, "`rm`.example.net");
	doctor_judge(&b.d);
	expect_remedy(&b, "SOURCE_PTR", "PUBLISH",
	    "10.113.0.203.in-addr.arpa PTR mx1.relay.example", "");
	strcpy(b.questions[1].name, "`rm`.example.net");
	b.d.sources[0].is_stored = false;
	doctor_judge(&b.d);
	expect_remedy(&b, "SOURCE_PTR", "RUN", "posthornctl ip add "
	    "203.0.113.10 --ehlo '`rm`.example.net'", "");
	b.answers[2].count = 1;
	doctor_judge(&b.d);
	expect_remedy(&b, "DNSBL", "RUN",
	    "dig +short TXT 10.113.0.203.list.example", "");
	bench_wipe(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_finding_has_a_remedy),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_names_and_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
