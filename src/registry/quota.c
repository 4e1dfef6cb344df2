/* SPDX-License-Identifier: ISC */
#include "registry/quota.h"

#include <stdio.h>
#include <string.h>

enum {
	QUOTA_MINUTE_MS = 60000,
	QUOTA_WINDOW = 1441, /* this minute and the 1,440 before it */
	QUOTA_UTC_DAY = 1440,
	QUOTA_DOMAIN_SHOWN = 160, /* longer ones have a hash behind it */
	QUOTA_SCOPE_SIZE = 200,
	QUOTA_BURST_SECONDS = 5
};

const char *
quota_limit_to_text(enum quota_limit l)
{
	switch (l) {
	case QUOTA_ACCOUNT_24H:
		return "account-24h";
	case QUOTA_CREDENTIAL_24H:
		return "credential-24h";
	case QUOTA_DOMAIN_LEVEL:
		return "domain-level";
	case QUOTA_DOMAIN_BLOCKED:
		return "domain-blocked";
	case QUOTA_ACCOUNT_RATE:
		return "account-rate";
	case QUOTA_CREDENTIAL_RATE:
		return "credential-rate";
	case QUOTA_PASS:
		break;
	}
	return "";
}

bool
quota_limit_is_daily(enum quota_limit l)
{
	return l > QUOTA_PASS && l <= QUOTA_DOMAIN_BLOCKED;
}

const char *
quota_limit_to_reply(enum quota_limit l)
{
	if (l == QUOTA_PASS)
		return "";
	return quota_limit_is_daily(l) ?
	    "Throttling failure: Daily message quota exceeded" :
	    "Throttling failure: Maximum sending rate exceeded";
}

void
quota_limits_init(struct quota_limits *q)
{
	memset(q, 0, sizeof(*q));
	q->account_values.max_24h = q->account_values.rate = -1;
	q->credential_values.max_24h = q->credential_values.rate = -1;
}

double
quota_burst(const struct quota_values *v)
{
	double	b = v->burst;
	int64_t whole;

	if (b <= 0) {
		b = QUOTA_BURST_SECONDS * v->rate;
		whole = (int64_t)b; /* at most 5 * 10^12 */
		b = (double)(b > (double)whole ? whole + 1 : whole);
	}
	return b < 1 ? 1 : b;
}

/* -- scopes: whose counter or bucket --------------------------------------- */

struct scope {
	char text[QUOTA_SCOPE_SIZE];
};

static struct bytes
scope_account(struct scope *s, const char *what, const char *account)
{
	snprintf(s->text, sizeof(s->text), "%s:%s", what, account);
	return bytes_of(s->text);
}

static struct bytes
scope_credential(struct scope *s, const char *what, const char *account,
    const char *credential)
{
	snprintf(s->text, sizeof(s->text), "%s:%s:%s", what, account,
	    credential);
	return bytes_of(s->text);
}

/* A scope has room for most domains; of the longest a hash is unique enough. */
static struct bytes
scope_domain(struct scope *s, const char *account, const char *domain)
{
	uint64_t    h = UINT64_C(14695981039346656037);
	const char *p;

	if (strlen(domain) <= QUOTA_DOMAIN_SHOWN)
		return scope_credential(s, "d", account, domain);
	for (p = domain; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
	snprintf(s->text, sizeof(s->text), "d:%s:%.*s#%016llx", account,
	    QUOTA_DOMAIN_SHOWN, domain, (unsigned long long)h);
	return bytes_of(s->text);
}

/* Counters of credentials exist only where a limit is set. */
static bool
quota_counts_credential(const struct quota_limits *q)
{
	return q->credential[0] != '\0' && q->credential_values.max_24h >= 0;
}

static bool
quota_limits_rate(const struct quota_limits *q)
{
	return q->credential[0] != '\0' && q->credential_values.rate >= 0;
}

static int64_t
minute_of(struct wall w)
{
	return w.ms < 0 ? 0 : w.ms / QUOTA_MINUTE_MS;
}

/* -- the test -------------------------------------------------------------- */

static bool
quota_passes(double max, int64_t sum, unsigned countable)
{
	return max < 0 || countable == 0 ||
	    (double)sum + (double)countable <= max;
}

/* The sum of the UTC day that holds now, or the newest minute of the scope. */
static int
domain_sum(struct spool *s, const char *account, const char *domain,
    struct wall now, int64_t *sum, struct err *e)
{
	struct scope scope;
	int64_t	     minute = minute_of(now);

	return spool_counter_window(s, scope_domain(&scope, account, domain),
	    minute, minute % QUOTA_UTC_DAY + 1, sum, e);
}

static int
quota_test_domain(const struct quota_limits *q, const struct quota_ask *ask,
    struct quota_finding *out, struct err *e)
{
	const struct quota_domain *d = &q->domain;
	int64_t			   sum;

	if (d->name[0] == '\0' || out->limit != QUOTA_PASS)
		return 0;
	if (domain_sum(ask->spool, d->account, d->name, ask->now, &sum, e) <
	    0)
		return -1;
	if (d->blocked)
		*out = (struct quota_finding){ QUOTA_DOMAIN_BLOCKED, d->max,
			(double)sum };
	else if (!quota_passes(d->max, sum, ask->countable))
		*out = (struct quota_finding){ QUOTA_DOMAIN_LEVEL, d->max,
			(double)sum };
	return 0;
}

static int
quota_test_day(const struct quota_limits *q, const struct quota_ask *ask,
    struct quota_finding *out, struct err *e)
{
	struct scope s;
	int64_t	     sum;

	if (ask->countable == 0)
		return 0;
	if (q->account_values.max_24h >= 0) {
		if (spool_counter_window(ask->spool,
			scope_account(&s, "a", q->account),
			minute_of(ask->now), QUOTA_WINDOW, &sum, e) < 0)
			return -1;
		if (!quota_passes(q->account_values.max_24h, sum,
			ask->countable)) {
			*out = (struct quota_finding){ QUOTA_ACCOUNT_24H,
				q->account_values.max_24h, (double)sum };
			return 0;
		}
	}
	if (!quota_counts_credential(q))
		return quota_test_domain(q, ask, out, e);
	if (spool_counter_window(ask->spool,
		scope_credential(&s, "c", q->account, q->credential),
		minute_of(ask->now), QUOTA_WINDOW, &sum, e) < 0)
		return -1;
	if (!quota_passes(q->credential_values.max_24h, sum, ask->countable))
		*out = (struct quota_finding){ QUOTA_CREDENTIAL_24H,
			q->credential_values.max_24h, (double)sum };
	return quota_test_domain(q, ask, out, e);
}

static bool
rate_peek(struct tally *t, struct bytes key, const struct quota_values *v,
    struct mono now)
{
	return v->rate < 0 ||
	    tally_bucket_peek(t, key, v->rate, quota_burst(v), now);
}

static void
quota_test_rate(const struct quota_limits *q, const struct quota_ask *ask,
    struct quota_finding *out)
{
	struct scope s;

	if (!rate_peek(ask->tally, scope_account(&s, "rate:a", q->account),
		&q->account_values, ask->mono))
		*out = (struct quota_finding){ QUOTA_ACCOUNT_RATE,
			q->account_values.rate, 0 };
	else if (quota_limits_rate(q) && !rate_peek(ask->tally,
		scope_credential(&s, "rate:c", q->account, q->credential),
		&q->credential_values, ask->mono))
		*out = (struct quota_finding){ QUOTA_CREDENTIAL_RATE,
			q->credential_values.rate, 0 };
}

int
quota_look_ahead(const struct quota_limits *q, const struct quota_ask *ask,
    struct quota_finding *out, struct err *e)
{
	*out = (struct quota_finding){ QUOTA_PASS, -1, 0 };
	if (quota_test_day(q, ask, out, e) < 0)
		return -1;
	if (out->limit == QUOTA_PASS && ask->tally != NULL)
		quota_test_rate(q, ask, out);
	return 0;
}

/* -- rate ------------------------------------------------------------------ */

enum quota_limit
quota_rate_take(struct tally *t, const struct quota_limits *q, unsigned n,
    struct mono now)
{
	const struct quota_values *av = &q->account_values;
	const struct quota_values *cv = &q->credential_values;
	struct scope		   a, c;
	struct bytes		   account = scope_account(&a, "rate:a",
			       q->account);

	if (av->rate >= 0 && !tally_bucket_take(t, account, n, av->rate,
		quota_burst(av), now))
		return QUOTA_ACCOUNT_RATE;
	if (!quota_limits_rate(q) || tally_bucket_take(t,
		scope_credential(&c, "rate:c", q->account, q->credential), n,
		cv->rate, quota_burst(cv), now))
		return QUOTA_PASS;
	/* all are charged, or none */
	if (av->rate >= 0)
		tally_bucket_give(t, account, n, av->rate, quota_burst(av));
	return QUOTA_CREDENTIAL_RATE;
}

void
quota_rate_give(struct tally *t, const struct quota_limits *q, unsigned n)
{
	const struct quota_values *av = &q->account_values;
	const struct quota_values *cv = &q->credential_values;
	struct scope		   s;

	if (av->rate >= 0)
		tally_bucket_give(t, scope_account(&s, "rate:a", q->account),
		    n, av->rate, quota_burst(av));
	if (quota_limits_rate(q))
		tally_bucket_give(t,
		    scope_credential(&s, "rate:c", q->account, q->credential),
		    n, cv->rate, quota_burst(cv));
}

/* -- inside the transaction ------------------------------------------------ */

/* A counter at its minute: this one, or the latest seen when the clock has
 * run backwards. */
struct day {
	struct scope scope;
	struct bytes key;
	int64_t	     minute, sum;
};

static int
day_read(struct day *d, struct spool_txn *t, struct wall now, bool is_utc,
    struct err *e)
{
	int64_t newest, from;
	int	rc = spool_counter_newest(t, d->key, &newest, e);

	if (rc < 0)
		return -1;
	d->minute = minute_of(now);
	if (rc == 1 && newest > d->minute)
		d->minute = newest;
	from = is_utc ? d->minute - d->minute % QUOTA_UTC_DAY
		      : d->minute - QUOTA_WINDOW + 1;
	return spool_counter_sum(t, d->key, from, d->minute, &d->sum, e);
}

/* Did this message take the sum to a share of the maximum? */
static bool
day_crosses(const struct day *d, unsigned n, double max, double share)
{
	double mark = max * share;

	return max > 0 && (double)d->sum < mark &&
	    (double)d->sum + (double)n >= mark;
}

/* At most once in 24 h: the counter of the warnings remembers the last. */
static int
quota_warn(struct spool_txn *t, const struct quota_charge *c,
    const struct day *account, const char *what, bool *crossed,
    struct err *e)
{
	struct scope s;
	struct bytes key = scope_account(&s, what, c->limits.account);
	int64_t	     last;
	int	     rc = spool_counter_newest(t, key, &last, e);

	if (rc < 0)
		return -1;
	if (rc == 1 && account->minute - last < QUOTA_WINDOW - 1)
		return 0;
	if (spool_counter_add(t, key, account->minute, 1, e) < 0)
		return -1;
	*crossed = true;
	return 0;
}

static int
quota_refuse(struct quota_charge *c, enum quota_limit l, double max,
    const struct day *d)
{
	c->finding = (struct quota_finding){ l, max, (double)d->sum };
	return (int)l;
}

/* Those that count; the keys of the others are empty. */
struct days {
	struct day account, credential, domain;
};

static int
day_charge(struct day *d, struct spool_txn *t, unsigned n, struct err *e)
{
	return d->key.n == 0 ? 0
	    : spool_counter_add(t, d->key, d->minute, n, e);
}

static int
quota_charge(struct spool_txn *t, struct quota_charge *c, struct days *d,
    struct err *e)
{
	const struct day *account = &d->account;
	double		  max = c->limits.account_values.max_24h;
	unsigned	  n = c->countable;

	if (day_charge(&d->account, t, n, e) < 0 ||
	    day_charge(&d->credential, t, n, e) < 0 ||
	    day_charge(&d->domain, t, n, e) < 0)
		return -1;
	c->sent = (double)(account->sum + (int64_t)n);
	if (day_crosses(account, n, max, 0.8) &&
	    quota_warn(t, c, account, "w80", &c->crossed_80, e) < 0)
		return -1;
	if (day_crosses(account, n, max, 1) &&
	    quota_warn(t, c, account, "w100", &c->crossed_100, e) < 0)
		return -1;
	return 0;
}

/* 0, the limit that refuses, or -1. */
static int
quota_admit_credential(struct quota_charge *c, struct spool_txn *t,
    struct day *d, struct err *e)
{
	const struct quota_limits *q = &c->limits;

	d->key.n = 0;
	if (!quota_counts_credential(q))
		return 0;
	d->key = scope_credential(&d->scope, "c", q->account, q->credential);
	if (day_read(d, t, c->now, false, e) < 0)
		return -1;
	return quota_passes(q->credential_values.max_24h, d->sum,
		   c->countable) ? 0
	    : quota_refuse(c, QUOTA_CREDENTIAL_24H,
		  q->credential_values.max_24h, d);
}

static int
quota_admit_domain(struct quota_charge *c, struct spool_txn *t,
    struct day *d, struct err *e)
{
	const struct quota_domain *q = &c->limits.domain;

	d->key.n = 0;
	if (q->name[0] == '\0')
		return 0;
	d->key = scope_domain(&d->scope, q->account, q->name);
	if (day_read(d, t, c->now, true, e) < 0)
		return -1;
	if (q->blocked)
		return quota_refuse(c, QUOTA_DOMAIN_BLOCKED, q->max, d);
	return quota_passes(q->max, d->sum, c->countable) ? 0
	    : quota_refuse(c, QUOTA_DOMAIN_LEVEL, q->max, d);
}

int
quota_admit(struct submission *s, struct spool_txn *t)
{
	struct quota_charge	  *c = s->admit_ctx;
	const struct quota_limits *q = &c->limits;
	struct days		   d;
	struct err		   e;
	int			   rc;

	quota_undo(s);
	if (c->countable == 0)
		return 0;
	d.account.key = scope_account(&d.account.scope, "a", q->account);
	if (day_read(&d.account, t, c->now, false, &e) < 0)
		return -1;
	if (!quota_passes(q->account_values.max_24h, d.account.sum,
		c->countable))
		return quota_refuse(c, QUOTA_ACCOUNT_24H,
		    q->account_values.max_24h, &d.account);
	rc = quota_admit_credential(c, t, &d.credential, &e);
	if (rc == 0)
		rc = quota_admit_domain(c, t, &d.domain, &e);
	return rc != 0 ? rc : quota_charge(t, c, &d, &e);
}

/* The counters went with the transaction. */
void
quota_undo(struct submission *s)
{
	struct quota_charge *c = s->admit_ctx;

	c->finding = (struct quota_finding){ QUOTA_PASS, -1, 0 };
	c->sent = 0;
	c->crossed_80 = c->crossed_100 = false;
}

/* -- showing --------------------------------------------------------------- */

static int
quota_show(struct spool *s, struct bytes key, struct wall now, double *out,
    struct err *e)
{
	int64_t sum;

	if (spool_counter_window(s, key, minute_of(now), QUOTA_WINDOW, &sum,
		e) < 0)
		return -1;
	*out = (double)sum;
	return 0;
}

int
quota_sent_24h(struct spool *s, const char *account, struct wall now,
    double *out, struct err *e)
{
	struct scope scope;

	return quota_show(s, scope_account(&scope, "a", account), now, out,
	    e);
}

int
quota_credential_sent_24h(struct spool *s, const char *account,
    const char *credential, struct wall now, double *out, struct err *e)
{
	struct scope scope;

	return quota_show(s,
	    scope_credential(&scope, "c", account, credential), now, out, e);
}

int
quota_domain_sent(struct spool *s, const char *account, const char *domain,
    struct wall now, double *out, struct err *e)
{
	int64_t sum;

	if (domain_sum(s, account, domain, now, &sum, e) < 0)
		return -1;
	*out = (double)sum;
	return 0;
}
