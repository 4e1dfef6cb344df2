/* SPDX-License-Identifier: ISC */
/* quotas.md: the day inside the spool's transaction, the rate in the tally. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "registry/quota.h"
#include "spool_bed.h"

/* day 1, 12:00:00 UTC; all times of the tests are made up */
static const int64_t noon = 1714564800000;
static const int64_t minute_ms = 60000, day_ms = 86400000;

static struct quota_limits
limits(double max_24h, double rate)
{
	struct quota_limits q;

	quota_limits_init(&q);
	strcpy(q.account, "123456789012");
	strcpy(q.credential, "app1");
	q.account_values.max_24h = max_24h;
	q.account_values.rate = rate;
	return q;
}

/* A message with its charge, on its way. */
struct sending {
	struct submission   s;
	struct quota_charge charge;
};

static void
lend(struct bed *b, struct sending *x, const struct quota_limits *q,
    unsigned n, int64_t at)
{
	memset(x, 0, sizeof(*x));
	x->charge.limits = *q;
	x->charge.now.ms = at;
	x->charge.countable = n;
	x->s.admit = quota_admit;
	x->s.undo = quota_undo;
	x->s.admit_ctx = &x->charge;
	bed_lend(b, &x->s, bed_message(n == 0 ? 1 : n, 10, 0));
}

/* The receipt as one value: QUOTA_PASS, or the limit that refused. */
static enum quota_limit
sent(struct sending *x)
{
	message_free(x->s.message);
	if (x->s.result == RECEIPT_OK)
		return QUOTA_PASS;
	assert_int_equal(x->s.result, RECEIPT_REFUSED);
	assert_int_equal(x->s.refused_by, x->charge.finding.limit);
	return x->charge.finding.limit;
}

static enum quota_limit
put(struct bed *b, const struct quota_limits *q, unsigned n, int64_t at)
{
	struct sending x;

	lend(b, &x, q, n, at);
	bed_wait(b);
	bed_drain(b);
	bed_forget_arrivals(b);
	return sent(&x);
}

static double
sent_24h(struct bed *b, int64_t at)
{
	struct err e;
	double	   v;

	assert_int_equal(quota_sent_24h(b->spool, "123456789012",
	    (struct wall){ at }, &v, &e), 0);
	return v;
}

static enum quota_limit
look(struct bed *b, const struct quota_limits *q, unsigned n, int64_t at)
{
	struct quota_ask     ask = { b->spool, NULL, n, { at }, { 0 } };
	struct quota_finding f;
	struct err	     e;

	assert_int_equal(quota_look_ahead(q, &ask, &f, &e), 0);
	return f.limit;
}

/* -- the day -------------------------------------------------------------- */

/* quotas#3: 195 sent, 5 more fit, then none; 6 at 195 are refused whole */
static void
border_quotas_3(void **state)
{
	struct bed	   *b = *state;
	struct quota_limits q = limits(200, -1);

	bed_start(b);
	assert_int_equal(put(b, &q, 195, noon), QUOTA_PASS);
	assert_int_equal(look(b, &q, 6, noon), QUOTA_ACCOUNT_24H);
	assert_int_equal(put(b, &q, 6, noon), QUOTA_ACCOUNT_24H);
	assert_true(sent_24h(b, noon) == 195);
	assert_int_equal(look(b, &q, 5, noon), QUOTA_PASS);
	assert_int_equal(put(b, &q, 5, noon), QUOTA_PASS);
	assert_true(sent_24h(b, noon) == 200);
	assert_int_equal(look(b, &q, 1, noon), QUOTA_ACCOUNT_24H);
	assert_int_equal(put(b, &q, 1, noon), QUOTA_ACCOUNT_24H);
	assert_string_equal(quota_limit_to_reply(QUOTA_ACCOUNT_24H),
	    "Throttling failure: Daily message quota exceeded");
	assert_true(bed_figures(b).recipients == 200);
}

/* quotas#5: two at 199 of 200, in one batch: one passes */
static void
race_quotas_5(void **state)
{
	struct bed	   *b = *state;
	struct quota_limits q = limits(200, -1);
	struct sending	    x, y;
	enum quota_limit    r, s;

	bed_start(b);
	assert_int_equal(put(b, &q, 199, noon), QUOTA_PASS);
	bed_stop(b);
	bed_open(b);
	assert_int_equal(look(b, &q, 1, noon), QUOTA_PASS);
	lend(b, &x, &q, 1, noon);
	lend(b, &y, &q, 1, noon);
	bed_start(b);
	bed_wait(b);
	r = sent(&x);
	s = sent(&y);
	assert_true((r == QUOTA_PASS) != (s == QUOTA_PASS));
	assert_int_equal(r + s, QUOTA_ACCOUNT_24H);
	assert_true(sent_24h(b, noon) == 200);
}

/* quotas#6: 200 at 12:00:30; refused at 11:59 of the next day, not at 12:02 */
static void
rolling_quotas_6(void **state)
{
	struct bed	   *b = *state;
	struct quota_limits q = limits(200, -1);
	int64_t		    at;

	bed_start(b);
	assert_int_equal(put(b, &q, 200, noon + 30000), QUOTA_PASS);
	/* no change at midnight, nor in any minute until then */
	for (at = noon + minute_ms; at <= noon + day_ms; at += 97 * minute_ms)
		assert_int_equal(look(b, &q, 1, at), QUOTA_ACCOUNT_24H);
	at = noon + day_ms - minute_ms;
	assert_int_equal(put(b, &q, 1, at), QUOTA_ACCOUNT_24H);
	/* at least 24 h, at most 24 h and 60 s */
	at = noon + day_ms + 30000;
	assert_int_equal(put(b, &q, 1, at), QUOTA_ACCOUNT_24H);
	at = noon + day_ms + minute_ms;
	assert_int_equal(look(b, &q, 1, at), QUOTA_PASS);
	at = noon + day_ms + 2 * minute_ms;
	assert_int_equal(put(b, &q, 1, at), QUOTA_PASS);
	assert_true(sent_24h(b, at) == 1);
}

/* quotas.md 3: the count is as durable as the 250 */
static void
restart_quotas_7(void **state)
{
	struct bed	   *b = *state;
	struct quota_limits q = limits(200, -1);

	bed_start(b);
	assert_int_equal(put(b, &q, 150, noon), QUOTA_PASS);
	bed_stop(b);
	bed_start(b);
	assert_true(sent_24h(b, noon) == 150);
	assert_int_equal(put(b, &q, 51, noon), QUOTA_ACCOUNT_24H);
	assert_int_equal(put(b, &q, 50, noon), QUOTA_PASS);
}

/* A commit that fails takes the charge with it; the caller may try again. */
static void
a_lost_commit_is_free(void **state)
{
	struct bed	   *b = *state;
	struct quota_limits q = limits(10, -1);
	struct sending	    x;

	bed_start(b);
	db_fail_next(b->spool->db, DB_FAIL_COMMIT, 0, 2, ENOSPC);
	lend(b, &x, &q, 10, noon);
	bed_wait(b);
	assert_int_equal(x.s.result, RECEIPT_FULL);
	assert_false(x.charge.crossed_100);
	message_free(x.s.message);
	assert_true(sent_24h(b, noon) == 0);
	assert_int_equal(put(b, &q, 10, noon), QUOTA_PASS);
}

/* quotas#17,18: unlimited, and zero */
static void
unlimited_and_zero_quotas_17_18(void **state)
{
	struct bed	   *b = *state;
	struct quota_limits any = limits(-1, -1), none = limits(0, -1);
	unsigned	    i;

	bed_start(b);
	for (i = 0; i < 20; i++)
		assert_int_equal(put(b, &any, 500, noon), QUOTA_PASS);
	assert_true(sent_24h(b, noon) == 10000); /* counted all the same */
	assert_int_equal(put(b, &none, 1, noon), QUOTA_ACCOUNT_24H);
	assert_int_equal(look(b, &none, 1, noon), QUOTA_ACCOUNT_24H);
	/* simulator only: nothing to count (quotas#8 in part) */
	assert_int_equal(look(b, &none, 0, noon), QUOTA_PASS);
	assert_int_equal(put(b, &none, 0, noon), QUOTA_PASS);
	assert_true(sent_24h(b, noon) == 10000);
}

/* quotas#19: lowering refuses the next, touches nothing accepted */
static void
lowering_quotas_19(void **state)
{
	struct bed	   *b = *state;
	struct quota_limits q = limits(200, -1);

	bed_start(b);
	assert_int_equal(put(b, &q, 150, noon), QUOTA_PASS);
	q.account_values.max_24h = 100;
	assert_int_equal(put(b, &q, 1, noon), QUOTA_ACCOUNT_24H);
	assert_true(bed_figures(b).recipients == 150);
}

/* quotas#16: the credential's own limit; others of the account go on */
static void
credential_quotas_16(void **state)
{
	struct bed	   *b = *state;
	struct quota_limits app1 = limits(50000, -1), app2;
	struct sending	    x;
	struct err	    e;
	double		    v;

	app2 = app1;
	strcpy(app2.credential, "app2");
	app1.credential_values.max_24h = 100;
	bed_start(b);
	assert_int_equal(put(b, &app1, 100, noon), QUOTA_PASS);
	assert_int_equal(look(b, &app1, 1, noon), QUOTA_CREDENTIAL_24H);
	lend(b, &x, &app1, 1, noon);
	bed_wait(b);
	assert_int_equal(sent(&x), QUOTA_CREDENTIAL_24H);
	assert_string_equal(quota_limit_to_text(x.charge.finding.limit),
	    "credential-24h");
	assert_true(x.charge.finding.max == 100);
	assert_true(x.charge.finding.sent == 100);
	assert_int_equal(put(b, &app2, 5, noon), QUOTA_PASS);
	/* all counters are charged, or none */
	assert_true(sent_24h(b, noon) == 105);
	assert_int_equal(quota_credential_sent_24h(b->spool, "123456789012",
	    "app1", (struct wall){ noon }, &v, &e), 0);
	assert_true(v == 100);
	assert_int_equal(quota_credential_sent_24h(b->spool, "123456789012",
	    "app2", (struct wall){ noon }, &v, &e), 0);
	assert_true(v == 0); /* no limit, no counter */
	/* the account's comes first */
	app1.account_values.max_24h = 105;
	assert_int_equal(put(b, &app1, 1, noon), QUOTA_ACCOUNT_24H);
}

/* quotas.md 3: the latest minute seen counts until the clock catches up */
static void
a_clock_that_runs_back(void **state)
{
	struct bed	   *b = *state;
	struct quota_limits q = limits(200, -1);

	bed_start(b);
	assert_int_equal(put(b, &q, 50, noon), QUOTA_PASS);
	assert_int_equal(put(b, &q, 50, noon + 600 * minute_ms), QUOTA_PASS);
	/* ten hours back: what was counted still counts */
	assert_int_equal(put(b, &q, 50, noon), QUOTA_PASS);
	assert_true(sent_24h(b, noon) == 150);
	assert_int_equal(look(b, &q, 51, noon), QUOTA_ACCOUNT_24H);
	assert_int_equal(put(b, &q, 51, noon), QUOTA_ACCOUNT_24H);
	/* and it was counted in the latest minute */
	assert_true(sent_24h(b, noon + day_ms + minute_ms) == 100);
	assert_true(sent_24h(b, noon + day_ms + 600 * minute_ms) == 100);
	assert_true(sent_24h(b, noon + day_ms + 601 * minute_ms) == 0);
}

/* quotas.md 8 (quotas#26 in part): one warning at 80 %, one at 100 % */
static void
warnings_come_once(void **state)
{
	struct bed	   *b = *state;
	struct quota_limits q = limits(200, -1);
	struct sending	    x;
	unsigned	    i, at80 = 0, at100 = 0;

	bed_start(b);
	for (i = 1; i <= 200; i++) {
		lend(b, &x, &q, 1, noon + i * 1000);
		bed_wait(b);
		assert_int_equal(sent(&x), QUOTA_PASS);
		assert_true(x.charge.sent == i);
		assert_int_equal(x.charge.crossed_80, i == 160);
		assert_int_equal(x.charge.crossed_100, i == 200);
		at80 += x.charge.crossed_80;
		at100 += x.charge.crossed_100;
		bed_forget_arrivals(b);
	}
	assert_int_equal(at80, 1);
	assert_int_equal(at100, 1);
	/* crossed again within 24 h (higher maximum): no second one */
	q.account_values.max_24h = 400;
	lend(b, &x, &q, 200, noon + day_ms - 10 * minute_ms);
	bed_wait(b);
	assert_int_equal(sent(&x), QUOTA_PASS);
	assert_false(x.charge.crossed_80);
	assert_false(x.charge.crossed_100);
	/* a day later, both at one stroke */
	lend(b, &x, &q, 400, noon + 3 * day_ms);
	bed_wait(b);
	assert_int_equal(sent(&x), QUOTA_PASS);
	assert_true(x.charge.crossed_80);
	assert_true(x.charge.crossed_100);
}

/* -- the rate ------------------------------------------------------------- */

static void
bursts(void **state)
{
	static const struct {
		double rate, burst, want;
	} cases[] = { { 1, 0, 5 }, { 0.5, 0, 3 }, { 10, 0, 50 },
		{ 0.1, 0, 1 }, { 14, 3, 3 }, { 0, 0, 1 }, { 0.21, 0, 2 } };
	struct quota_values v;
	size_t		    i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v = (struct quota_values){ -1, cases[i].rate,
			cases[i].burst };
		assert_true(quota_burst(&v) == cases[i].want);
	}
}

/* quotas#9: burst 5: five single ones at once, the sixth is refused */
static void
simulator_and_rate_quotas_9(void **state)
{
	struct quota_limits q = limits(0, 1);
	struct tally	   *t = tally_new(1000);
	struct mono	    now = { 1000000 };
	unsigned	    i;

	(void)state;
	for (i = 0; i < 5; i++)
		assert_int_equal(quota_rate_take(t, &q, 1, now), QUOTA_PASS);
	assert_int_equal(quota_rate_take(t, &q, 1, now), QUOTA_ACCOUNT_RATE);
	assert_string_equal(quota_limit_to_reply(QUOTA_ACCOUNT_RATE),
	    "Throttling failure: Maximum sending rate exceeded");
	now.ms += 1000;
	assert_int_equal(quota_rate_take(t, &q, 1, now), QUOTA_PASS);
	assert_int_equal(quota_rate_take(t, &q, 1, now), QUOTA_ACCOUNT_RATE);
	tally_free(t);
}

/* quotas#10: 50 recipients at burst 5; the debt is paid in 46 s */
static void
debt_quotas_10(void **state)
{
	struct quota_limits q = limits(-1, 1);
	struct tally	   *t = tally_new(1000);
	struct mono	    now = { 1000000 };
	int64_t		    s;

	(void)state;
	assert_int_equal(quota_rate_take(t, &q, 50, now), QUOTA_PASS);
	for (s = 0; s <= 45; s++)
		assert_int_equal(quota_rate_take(t, &q, 1,
		    (struct mono){ now.ms + s * 1000 }), QUOTA_ACCOUNT_RATE);
	assert_int_equal(quota_rate_take(t, &q, 1,
	    (struct mono){ now.ms + 46001 }), QUOTA_PASS);
	tally_free(t);
}

/* quotas#11: rate 10, burst 50: 640 to 660 in 60 s */
static void
sustained_quotas_11(void **state)
{
	struct quota_limits q = limits(-1, 10);
	struct tally	   *t = tally_new(1000);
	struct mono	    now = { 1000000 };
	unsigned	    n = 0;

	(void)state;
	for (; now.ms < 1060000; now.ms += 7)
		while (quota_rate_take(t, &q, 1, now) == QUOTA_PASS)
			n++;
	assert_in_range(n, 640, 660);
	tally_free(t);
}

/* All are charged, or none; given back when the commit refuses. */
static void
tokens_are_given_back(void **state)
{
	struct quota_limits q = limits(-1, 1);
	struct tally	   *t = tally_new(1000);
	struct mono	    now = { 1000000 };
	unsigned	    i;

	(void)state;
	q.credential_values.rate = 1;
	q.credential_values.burst = 2;
	for (i = 0; i < 2; i++)
		assert_int_equal(quota_rate_take(t, &q, 1, now), QUOTA_PASS);
	/* the account has three left, and keeps them */
	for (i = 0; i < 10; i++)
		assert_int_equal(quota_rate_take(t, &q, 1, now),
		    QUOTA_CREDENTIAL_RATE);
	q.credential_values.rate = -1;
	for (i = 0; i < 3; i++)
		assert_int_equal(quota_rate_take(t, &q, 1, now), QUOTA_PASS);
	assert_int_equal(quota_rate_take(t, &q, 1, now), QUOTA_ACCOUNT_RATE);
	quota_rate_give(t, &q, 1);
	assert_int_equal(quota_rate_take(t, &q, 1, now), QUOTA_PASS);
	tally_free(t);
}

/* quotas#15: both exceeded: the day's text */
static void
both_exceeded_quotas_15(void **state)
{
	struct bed	    *b = *state;
	struct quota_limits  q = limits(10, 1);
	struct tally	    *t = tally_new(1000);
	struct mono	     now = { 1000000 };
	struct quota_ask     ask;
	struct quota_finding f;
	struct err	     e;

	bed_start(b);
	assert_int_equal(put(b, &q, 10, noon), QUOTA_PASS);
	assert_int_equal(quota_rate_take(t, &q, 50, now), QUOTA_PASS);
	ask = (struct quota_ask){ b->spool, t, 1, { noon }, now };
	assert_int_equal(quota_look_ahead(&q, &ask, &f, &e), 0);
	assert_int_equal(f.limit, QUOTA_ACCOUNT_24H);
	assert_true(f.max == 10 && f.sent == 10);
	ask.countable = 0; /* simulator mail meets the rate alone */
	assert_int_equal(quota_look_ahead(&q, &ask, &f, &e), 0);
	assert_int_equal(f.limit, QUOTA_ACCOUNT_RATE);
	tally_free(t);
}

static void
names(void **state)
{
	(void)state;
	assert_string_equal(quota_limit_to_text(QUOTA_ACCOUNT_24H),
	    "account-24h");
	assert_string_equal(quota_limit_to_text(QUOTA_ACCOUNT_RATE),
	    "account-rate");
	assert_string_equal(quota_limit_to_text(QUOTA_CREDENTIAL_RATE),
	    "credential-rate");
	assert_string_equal(quota_limit_to_text(QUOTA_PASS), "");
	assert_string_equal(quota_limit_to_reply(QUOTA_PASS), "");
}

/* -- sender domains (reputation.md 6) --------------------------------------- */

static struct quota_limits
domain_limits(const char *name, double max)
{
	struct quota_limits q = limits(-1, -1);

	strcpy(q.domain.account, "888888888888");
	strcpy(q.domain.name, name);
	q.domain.max = max;
	return q;
}

/* reputation#22 on this level: one UTC day, whoever sends, over a restart. */
static void
domain_reputation_22(void **state)
{
	struct bed	   *b = *state;
	struct quota_limits q = domain_limits("full.example", 500), other;
	int64_t midnight = noon + 12 * 60 * minute_ms;
	double	v;
	struct err e;

	bed_start(b);
	assert_int_equal(put(b, &q, 500, noon), QUOTA_PASS);
	assert_int_equal(look(b, &q, 1, noon), QUOTA_DOMAIN_LEVEL);
	assert_int_equal(put(b, &q, 1, noon), QUOTA_DOMAIN_LEVEL);
	assert_int_equal(put(b, &q, 0, noon), QUOTA_PASS);
	assert_string_equal(quota_limit_to_text(QUOTA_DOMAIN_LEVEL),
	    "domain-level");
	assert_string_equal(quota_limit_to_reply(QUOTA_DOMAIN_LEVEL),
	    "Throttling failure: Daily message quota exceeded");
	/* a delegate uses up the same; another domain another one */
	strcpy(q.account, "999999999999");
	assert_int_equal(put(b, &q, 1, noon), QUOTA_DOMAIN_LEVEL);
	other = domain_limits("other.example", 500);
	assert_int_equal(put(b, &other, 1, noon), QUOTA_PASS);
	bed_stop(b);
	bed_start(b);
	assert_int_equal(put(b, &q, 1, midnight - 1), QUOTA_DOMAIN_LEVEL);
	assert_int_equal(quota_domain_sent(b->spool, "888888888888",
	    "full.example", (struct wall){ midnight - 1 }, &v, &e), 0);
	assert_true(v == 500);
	assert_int_equal(look(b, &q, 500, midnight), QUOTA_PASS);
	assert_int_equal(put(b, &q, 500, midnight), QUOTA_PASS);
	assert_int_equal(put(b, &q, 1, midnight), QUOTA_DOMAIN_LEVEL);
	/* what was refused was charged nowhere */
	assert_true(sent_24h(b, midnight) == 501);
}

static void
domain_blocked_reputation_21(void **state)
{
	struct bed	   *b = *state;
	struct quota_limits q = domain_limits("block.example", 500);

	bed_start(b);
	q.domain.blocked = true;
	assert_int_equal(look(b, &q, 1, noon), QUOTA_DOMAIN_BLOCKED);
	assert_int_equal(put(b, &q, 1, noon), QUOTA_DOMAIN_BLOCKED);
	assert_int_equal(put(b, &q, 0, noon), QUOTA_PASS);
	assert_true(quota_limit_is_daily(QUOTA_DOMAIN_BLOCKED));
	assert_false(quota_limit_is_daily(QUOTA_ACCOUNT_RATE));
	assert_false(quota_limit_is_daily(QUOTA_PASS));
	/* the account's own limit is tested before it */
	q.account_values.max_24h = 0;
	assert_int_equal(put(b, &q, 1, noon), QUOTA_ACCOUNT_24H);
}

/* The longest names have a scope of their own all the same. */
static void
domain_long_names(void **state)
{
	struct bed	   *b = *state;
	char		    name[201];
	struct quota_limits one, two;

	bed_start(b);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	one = domain_limits(name, 5);
	name[199] = 'y';
	two = domain_limits(name, 5);
	assert_int_equal(put(b, &one, 5, noon), QUOTA_PASS);
	assert_int_equal(put(b, &two, 5, noon), QUOTA_PASS);
	assert_int_equal(put(b, &one, 1, noon), QUOTA_DOMAIN_LEVEL);
}

int
main(void)
{
#define test(f) cmocka_unit_test_setup_teardown(f, bed_make, bed_remove)
	static const struct CMUnitTest tests[] = {
		test(border_quotas_3),
		test(race_quotas_5),
		test(rolling_quotas_6),
		test(restart_quotas_7),
		test(a_lost_commit_is_free),
		test(unlimited_and_zero_quotas_17_18),
		test(lowering_quotas_19),
		test(credential_quotas_16),
		test(a_clock_that_runs_back),
		test(warnings_come_once),
		cmocka_unit_test(bursts),
		cmocka_unit_test(simulator_and_rate_quotas_9),
		cmocka_unit_test(debt_quotas_10),
		cmocka_unit_test(sustained_quotas_11),
		cmocka_unit_test(tokens_are_given_back),
		test(both_exceeded_quotas_15),
		test(domain_reputation_22),
		test(domain_blocked_reputation_21),
		test(domain_long_names),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
