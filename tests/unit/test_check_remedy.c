/* SPDX-License-Identifier: ISC */
/* identity check: what did not pass comes with what mends it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/control_check.h"
#include "remedy_check.h"

enum { ROUNDS = 4000, RESULTS = 16 };

struct bench {
	struct request	     q;
	struct preflight     p;
	struct verify_result results[RESULTS];
};

/* -- one report after the other -------------------------------------------- */

/* One for all: it takes long to make. */
static void
bench_conf(struct request *q)
{
	static struct conf *c;
	static size_t	    listeners;

	if (c == NULL) {
		c = conf_defaults();
		listeners = c->listener_count;
	}
	c->listener_count = listeners;
	c->dkim.cname_base = NULL;
	c->server.name = "mail.relay.example";
	c->server.domain = "relay.example";
	c->mail_from.default_domain = "bounces.relay.example";
	c->mail_from.mx_host = "feedback-smtp.us-east-1.relay.example";
	c->mail_from.spf_include = "spf.relay.example";
	q->conf = c;
}

/* All is well. */
static void
bench_init(struct bench *b)
{
	struct preflight *p = &b->p;
	size_t		  k;

	memset(b, 0, sizeof(*b));
	bench_conf(&b->q);
	b->q.now.ms = 1700000000000;
	b->q.result = json_object();
	p->q = &b->q;
	p->results = b->results;
	for (k = 0; k < RESULTS; k++)
		b->results[k].outcome = DKIM_MATCH;
	strcpy(p->name, "example.com");
	strcpy(p->from, "postmaster@example.com");
	strcpy(p->from_domain, "example.com");
	p->is_there = p->may_send = p->has_key = true;
	identity_init(&p->i, "123456789012", p->name, b->q.now);
	p->i.dkim.status = p->key_status = IDENTITY_SUCCESS;
	p->signing = SIGNING_KEY;
	strcpy(p->decided_by, p->name);
	strcpy(p->key.domain, p->name);
	strcpy(p->key.selector, "azfm6qz3v2dkc5yhobh4fjaxzzdo25tr");
	p->key.bits = 2048;
	p->key.public_n = 294;
	strcpy(p->mail_from, "mail.example.com");
	strcpy(p->used, p->mail_from);
	strcpy(p->choice.identity, p->name);
	p->choice.use = MAIL_FROM_CUSTOM;
	p->mail_from_status = IDENTITY_SUCCESS;
	p->mx = 0;
	p->host = 1;
	p->dmarc = 2;
	p->reply = 3;
	p->dkim = 4;
	p->dkim_second = NO_JOB;
	p->source_count = 1;
	strcpy(p->sources[0].address, "203.0.113.10");
	strcpy(p->sources[0].ehlo, "mx1.relay.example");
	p->sources[0].spf = p->sources[0].used = 6;
	p->sources[0].helo = 7;
	b->results[6].spf.record.all = '~';
	p->spf_rows = json_pack("[{s:s, s:s}]", "Name", "spf.relay.example",
	    "Value", "v=spf1 ip4:203.0.113.10 -all");
	strcpy(b->results[2].text, "v=DMARC1;p=reject");
	b->results[2].dmarc.record.policy = DMARC_REJECT;
}

static void
bench_wipe(struct bench *b)
{
	json_decref(b->q.result);
	json_decref(b->q.warnings);
	json_decref(b->p.spf_rows);
}

static enum identity_status
any_status(void)
{
	return (enum identity_status)chance(IDENTITY_FAILED + 1);
}

/* -- by chance ------------------------------------------------------------- */

static void
upset_identity(struct preflight *p)
{
	p->is_there = chance(4) != 0;
	p->may_send = chance(3) == 0;
	p->i.dkim.status = any_status();
	p->i.token.status = any_status();
	if (chance(4) == 0)
		strcpy(p->covered_by, "example.com");
	if (chance(4) == 0) {
		strcpy(p->name, "o'neill@example.com");
		p->i.is_address = true;
	} else if (chance(4) == 0)
		strcpy(p->name, "www.example.com");
	if (chance(3) == 0) {
		p->i.method = METHOD_TOKEN;
		strcpy(p->i.token_text, "abcdefghijklmnop");
	}
	if (chance(4) == 0) {
		strcpy(p->from, "a@shop.example.com");
		strcpy(p->from_domain, "shop.example.com");
	}
}

static void
upset_key(struct preflight *p)
{
	p->signing = (enum signing_result)chance(SIGNING_NOT_VERIFIED + 1);
	p->has_key = p->signing == SIGNING_KEY ||
	    (p->signing == SIGNING_NOT_VERIFIED && chance(2) == 0);
	if (p->signing == SIGNING_NO_IDENTITY)
		p->decided_by[0] = '\0';
	p->key_status = any_status();
	p->key.external = chance(2) == 0;
	p->key.previous = chance(4) == 0;
	p->key.ed25519 = chance(4) == 0;
	p->key.bits = chance(2) == 0 ? 1024 : 2048;
	p->key.public_n = p->key.ed25519 ? 32 : p->key.bits / 8 + 38;
	if (!p->has_key)
		p->dkim = NO_JOB;
	else if (chance(4) == 0) {
		p->has_second = true;
		p->second = p->key;
		p->second.ed25519 = true;
		p->second.public_n = 32;
		p->dkim_second = 5;
	}
	if (chance(4) == 0) {
		p->key_is_cname = true;
		p->q->conf->dkim.cname_base = "dkim.relay.example";
	}
}

static void
upset_mail_from(struct preflight *p)
{
	p->mail_from_status = any_status();
	p->choice.use = (enum mail_from_use)chance(MAIL_FROM_REFUSED + 1);
	p->is_tried = chance(2) == 0;
	p->is_greeted = p->is_tried && chance(2) == 0;
	strcpy(p->said, "554 go away");
	if (p->choice.use == MAIL_FROM_DEFAULT)
		strcpy(p->used, "bounces.relay.example");
	if (chance(3) == 0) {
		strcpy(p->mail_from, "bounces.relay.example");
		strcpy(p->used, p->mail_from);
		p->choice.identity[0] = '\0';
		p->choice.use = MAIL_FROM_DEFAULT;
	}
	if (chance(8) == 0)
		p->q->conf->listener_count = 0;
}

static void
upset_answers(struct bench *b)
{
	static const char alls[] = { 0, '+', '?', '~', '-' };
	struct preflight    *p = &b->p;
	struct verify_result *r;
	size_t		     k;

	for (k = 0; k < RESULTS; k++)
		if (chance(3) == 0)
			b->results[k].outcome = (enum dkim_outcome)(
			    DKIM_MATCH + chance(DKIM_DNS_ERROR));
	r = &b->results[p->sources[0].spf];
	r->spf.record.all = alls[chance(sizeof(alls))];
	r->spf.record.ptr = chance(4) == 0;
	r->spf.record.is_long = chance(4) == 0;
	r->spf.names_us = chance(2) == 0;
	if (chance(4) == 0)
		p->sources[0].used = 8;
	if (chance(16) == 0) {
		p->source_count = 0;
		p->pool = chance(2) == 0 ? "p 1" : NULL;
	}
	r = &b->results[p->dmarc];
	r->dmarc.inherited = chance(2) == 0;
	r->dmarc.record.strict_dkim = chance(2) == 0;
	r->dmarc.record.strict_spf = chance(2) == 0;
	r->dmarc.record.policy = (enum dmarc_policy)chance(3);
}

static void
test_every_finding_has_a_remedy(void **state)
{
	static struct remedy_seen seen[] = {
		{ "IDENTITY", "FAIL", 0 },
		{ "DKIM_ENABLED", "FAIL", 0 },
		{ "DKIM_STATUS", "FAIL", 0 },
		{ "DKIM_RECORD", "FAIL", 0 },
		{ "DKIM_RECORD", "WARN", 0 },
		{ "DKIM_RECORD", "UNKNOWN", 0 },
		{ "DKIM_KEY_LENGTH", "WARN", 0 },
		{ "DKIM_ALIGNED", "FAIL", 0 },
		{ "MAILFROM_MX", "FAIL", 0 },
		{ "MAILFROM_MX", "WARN", 0 },
		{ "MAILFROM_MX", "UNKNOWN", 0 },
		{ "MAILFROM_ALIGNED", "WARN", 0 },
		{ "SPF_FOUND", "FAIL", 0 },
		{ "SPF_FOUND", "UNKNOWN", 0 },
		{ "SPF_INCLUDES", "FAIL", 0 },
		{ "SPF_INCLUDES", "UNKNOWN", 0 },
		{ "SPF_ALL", "WARN", 0 },
		{ "SPF_ISSUE", "FAIL", 0 },
		{ "SPF_ISSUE", "WARN", 0 },
		{ "SPF_HELO", "WARN", 0 },
		{ "SPF_HELO", "UNKNOWN", 0 },
		{ "DMARC_FOUND", "FAIL", 0 },
		{ "DMARC_FOUND", "UNKNOWN", 0 },
		{ "DMARC_PARSED", "FAIL", 0 },
		{ "DMARC_VERDICT", "FAIL", 0 },
		{ "DMARC_VERDICT", "WARN", 0 },
		{ "DMARC_VERDICT", "UNKNOWN", 0 },
		{ "FROM_DOMAIN_MX", "WARN", 0 },
		{ "FROM_DOMAIN_MX", "UNKNOWN", 0 },
		{ "WWW", "WARN", 0 },
	};
	enum { SEEN = sizeof(seen) / sizeof(seen[0]) };
	static struct bench b;
	unsigned	    i;

	(void)state;
	for (i = 0; i < ROUNDS; i++) {
		bench_init(&b);
		upset_identity(&b.p);
		upset_key(&b.p);
		upset_mail_from(&b.p);
		upset_answers(&b);
		preflight_judge(&b.p);
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
	json_t *checks, *c;
	size_t	i;
	bool	found = false;

	preflight_judge(&b->p);
	checks = json_object_get(b->q.result, "Checks");
	json_array_foreach(checks, i, c)
		if (strcmp(remedy_member(c, "Id"), id) == 0) {
			found = true;
			assert_string_equal(remedy_member(c, "Action"),
			    action);
			assert_string_equal(remedy_member(c, "Hint"), hint);
			assert_string_equal(remedy_member(c, "Then"), then);
			break;
		}
	assert_true(found);
	bench_wipe(b);
	bench_init(b);
}

static void
test_identity(void **state)
{
	static struct bench b;

	(void)state;
	bench_init(&b);
	expect_remedy(&b, "IDENTITY", "", "", "");
	b.p.is_there = b.p.may_send = false;
	expect_remedy(&b, "IDENTITY", "RUN",
	    "posthornctl identity add example.com", "");
	/* verified, but what was asked for is not below it */
	b.p.may_send = false;
	strcpy(b.p.from_domain, "example.org");
	expect_remedy(&b, "IDENTITY", "RUN",
	    "posthornctl identity add example.org", "");
	/* a shell is to see nothing but a name */
	b.p.may_send = false;
	b.p.i.dkim.status = IDENTITY_NOT_STARTED;
	b.p.i.is_address = true;
	strcpy(b.p.name, "o'neill&co@example.com");
	expect_remedy(&b, "IDENTITY", "RUN", "posthornctl identity resend "
	    "'o'\\''neill&co@example.com'", "");
	b.p.may_send = false;
	b.p.i.dkim.status = IDENTITY_NOT_STARTED;
	b.p.i.method = METHOD_TOKEN;
	b.p.i.token.status = IDENTITY_FAILED;
	strcpy(b.p.i.token_text, "abcdef");
	expect_remedy(&b, "IDENTITY", "PUBLISH",
	    "_posthorn.example.com TXT \"abcdef\"",
	    "posthornctl identity verify example.com");
}

static void
test_dkim(void **state)
{
	static struct bench b;

	(void)state;
	bench_init(&b);
	b.p.signing = SIGNING_DISABLED;
	strcpy(b.p.decided_by, "postmaster@example.com");
	expect_remedy(&b, "DKIM_ENABLED", "RUN",
	    "posthornctl dkim enable postmaster@example.com", "");
	b.p.key.bits = 1024;
	expect_remedy(&b, "DKIM_KEY_LENGTH", "RUN",
	    "posthornctl dkim managed example.com --bits 2048", "");
	b.p.key.bits = 1024;
	b.p.key.external = true;
	expect_remedy(&b, "DKIM_KEY_LENGTH", "RUN",
	    "posthornctl dkim set-key example.com --selector SELECTOR "
	    "--key-file FILE", "");
	/* no keys at all */
	b.p.signing = SIGNING_NOT_VERIFIED;
	b.p.has_key = false;
	b.p.dkim = NO_JOB;
	expect_remedy(&b, "DKIM_STATUS", "RUN",
	    "posthornctl dkim managed example.com", "");
	/* the record is there, but nobody looks any more */
	b.p.signing = SIGNING_NOT_VERIFIED;
	b.p.key_status = IDENTITY_FAILED;
	expect_remedy(&b, "DKIM_STATUS", "RUN",
	    "posthornctl dkim verify example.com", "");
	/* nor is it there */
	b.p.signing = SIGNING_NOT_VERIFIED;
	b.p.key_status = IDENTITY_FAILED;
	b.results[b.p.dkim].outcome = DKIM_ABSENT;
	b.p.key.ed25519 = true;
	b.p.key.public_n = 32;
	expect_remedy(&b, "DKIM_STATUS", "PUBLISH",
	    "azfm6qz3v2dkc5yhobh4fjaxzzdo25tr._domainkey.example.com TXT "
	    "\"v=DKIM1; k=ed25519; "
	    "p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"",
	    "posthornctl dkim verify example.com");
	/* theirs is right, ours is not */
	b.p.key_is_cname = true;
	b.q.conf->dkim.cname_base = "dkim.relay.example";
	b.results[b.p.dkim].outcome = DKIM_ABSENT;
	expect_remedy(&b, "DKIM_RECORD", "PUBLISH",
	    "azfm6qz3v2dkc5yhobh4fjaxzzdo25tr._domainkey.example.com CNAME "
	    "azfm6qz3v2dkc5yhobh4fjaxzzdo25tr.dkim.relay.example", "");
}

static void
test_alignment(void **state)
{
	static struct bench b;

	(void)state;
	bench_init(&b);
	strcpy(b.p.from_domain, "shop.example.com");
	b.results[2].dmarc.record.strict_dkim = true;
	b.results[2].dmarc.inherited = true;
	strcpy(b.results[2].text, "v=DMARC1; p=reject; adkim = s; rua=x");
	expect_remedy(&b, "DKIM_ALIGNED", "PUBLISH", "_dmarc.example.com TXT "
	    "\"v=DMARC1;p=reject;adkim=r;rua=x\"", "");
	b.results[2].dmarc.record.strict_spf = true;
	strcpy(b.results[2].text, "v=DMARC1;p=reject;aspf=s");
	expect_remedy(&b, "MAILFROM_ALIGNED", "PUBLISH",
	    "_dmarc.example.com TXT \"v=DMARC1;p=reject;aspf=r\"", "");
	strcpy(b.p.mail_from, "bounces.relay.example");
	strcpy(b.p.used, b.p.mail_from);
	expect_remedy(&b, "MAILFROM_ALIGNED", "RUN",
	    "posthornctl identity mail-from set example.com mail.example.com",
	    "");
	/* set, but its record is not there, and not looked for */
	strcpy(b.p.used, "bounces.relay.example");
	b.p.choice.use = MAIL_FROM_DEFAULT;
	b.p.mail_from_status = IDENTITY_FAILED;
	b.results[0].outcome = DKIM_ABSENT;
	expect_remedy(&b, "MAILFROM_ALIGNED", "PUBLISH", "mail.example.com MX "
	    "10 feedback-smtp.us-east-1.relay.example",
	    "posthornctl identity mail-from verify example.com");
	/* there, but not looked for */
	strcpy(b.p.used, "bounces.relay.example");
	b.p.choice.use = MAIL_FROM_DEFAULT;
	b.p.mail_from_status = IDENTITY_FAILED;
	expect_remedy(&b, "MAILFROM_MX", "RUN",
	    "posthornctl identity mail-from verify example.com", "");
	/* neither is aligned: the key is what mends it */
	strcpy(b.p.used, "bounces.relay.example");
	b.p.signing = SIGNING_DISABLED;
	b.p.has_key = false;
	b.p.dkim = NO_JOB;
	expect_remedy(&b, "DMARC_VERDICT", "RUN",
	    "posthornctl dkim enable example.com", "");
}

static void
test_records(void **state)
{
	static struct bench b;

	(void)state;
	bench_init(&b);
	/* it includes us: what it includes lacks the address */
	b.results[6].outcome = DKIM_MISMATCH;
	b.results[6].spf.names_us = true;
	expect_remedy(&b, "SPF_INCLUDES", "PUBLISH",
	    "spf.relay.example TXT \"v=spf1 ip4:203.0.113.10 -all\"", "");
	b.results[6].outcome = DKIM_MISMATCH;
	expect_remedy(&b, "SPF_INCLUDES", "PUBLISH", "mail.example.com TXT "
	    "\"v=spf1 include:spf.relay.example ~all\"", "");
	/* several addresses have the name: one record for all */
	b.p.source_count = 3;
	b.p.sources[1] = b.p.sources[2] = b.p.sources[0];
	strcpy(b.p.sources[1].address, "2001:db8::5");
	strcpy(b.p.sources[2].ehlo, "mx2.relay.example");
	b.results[7].outcome = DKIM_ABSENT;
	expect_remedy(&b, "SPF_HELO", "PUBLISH", "mx1.relay.example TXT "
	    "\"v=spf1 ip4:203.0.113.10 ip6:2001:db8::5 -all\"", "");
	b.results[3].outcome = DKIM_ABSENT;
	expect_remedy(&b, "FROM_DOMAIN_MX", "PUBLISH",
	    "example.com MX 10 HOST", "");
	b.results[0].outcome = DKIM_DNS_ERROR;
	expect_remedy(&b, "MAILFROM_MX", "RUN",
	    "dig +short MX mail.example.com", "");
	bench_wipe(&b);
}

static void
test_a_long_text_is_cut_into_strings(void **state)
{
	json_t *c = json_object();
	char	value[600], expected[700];

	(void)state;
	memset(value, 'x', sizeof(value));
	value[254] = '"';
	value[511] = '\0';
	remedy_publish_txt(c, "a.example", bytes_of(value));
	snprintf(expected, sizeof(expected),
	    "a.example TXT \"%.254s\\\"\" \"%.255s\" \"%s\"", value,
	    value + 255, value + 510);
	assert_string_equal(remedy_member(c, "Hint"), expected);
	json_decref(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_finding_has_a_remedy),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_dkim),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_a_long_text_is_cut_into_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
