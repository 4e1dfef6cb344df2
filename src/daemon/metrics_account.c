/* SPDX-License-Identifier: ISC */
/* Of the metrics page: what stands there account by account. */
#include <string.h>

#include "daemon/metrics_page.h"
#include "daemon/relay.h"
#include "registry/quota.h"

/* -- counters: the ledger -------------------------------------------------- */

/* The families are walked one by one: each stands in one piece. */
struct metrics_ledger {
	struct metrics_page *page;
	void (*write)(struct metrics_page *p, const struct ledger_page *l);
};

static void
metrics_on_ledger(void *arg, const struct ledger_page *l)
{
	struct metrics_ledger *x = arg;

	x->write(x->page, l);
}

static void
metrics_ledger_family(struct metrics_page *p, struct relay *r,
    const char *name, const char *help,
    void (*write)(struct metrics_page *p, const struct ledger_page *l))
{
	struct metrics_ledger x = { p, write };

	metrics_family(p, name, METRICS_COUNTER, help);
	ledger_each(r->ledger, metrics_on_ledger, &x);
}

static void
metrics_of_account(struct metrics_page *p, const struct ledger_page *l,
    const char *label, const char *value, const struct meter *m)
{
	const char *labels[] = { "account", l->account, label, value, NULL };

	if (meter_get(m) > 0)
		metrics_value(p, labels, (double)meter_get(m));
}

static void
metrics_submissions(struct metrics_page *p, const struct ledger_page *l)
{
	const char *labels[] = { "account", l->account, "interface", NULL,
		"result", NULL, NULL };
	unsigned    i, j;

	for (i = 0; i < LEDGER_INTERFACES; i++)
		for (j = 0; j < LEDGER_RESULTS; j++) {
			if (meter_get(&l->submissions[i][j]) == 0)
				continue;
			labels[3] = ledger_interface_to_text(
			    (enum ledger_interface)i);
			labels[5] = ledger_result_to_text(
			    (enum ledger_result)j);
			metrics_value(p, labels,
			    (double)meter_get(&l->submissions[i][j]));
		}
}

static void
metrics_submitted(struct metrics_page *p, const struct ledger_page *l)
{
	metrics_of_account(p, l, NULL, NULL, &l->submitted_octets);
}

static void
metrics_throttled(struct metrics_page *p, const struct ledger_page *l)
{
	unsigned i;

	for (i = 0; i < LEDGER_LIMITS; i++)
		metrics_of_account(p, l, "limit",
		    ledger_limit_to_text((enum ledger_limit)i),
		    &l->throttled[i]);
}

static void
metrics_tags(struct metrics_page *p, const struct ledger_page *l)
{
	metrics_of_account(p, l, NULL, NULL, &l->tags_dropped);
}

static void
metrics_events(struct metrics_page *p, const struct ledger_page *l)
{
	unsigned i;

	for (i = 0; i < EVENT_TYPES; i++)
		metrics_of_account(p, l, "event",
		    event_type_to_label((enum event_type)i),
		    i == EVENT_SEND ? &l->sends : &l->events[i]);
}

static void
metrics_bounces(struct metrics_page *p, const struct ledger_page *l)
{
	const char *labels[] = { "account", l->account, "bounce_type", NULL,
		"bounce_subtype", NULL, NULL };
	unsigned    i, j;

	for (i = 0; i < BOUNCE_TYPES; i++)
		for (j = 0; j < BOUNCE_SUBTYPES; j++) {
			if (meter_get(&l->bounces[i][j]) == 0)
				continue;
			labels[3] = bounce_type_to_text((enum bounce_type)i);
			labels[5] = bounce_subtype_to_text(
			    (enum bounce_subtype)j);
			metrics_value(p, labels,
			    (double)meter_get(&l->bounces[i][j]));
		}
}

static void
metrics_delays(struct metrics_page *p, const struct ledger_page *l)
{
	unsigned i;

	for (i = 0; i < DELAY_TYPES; i++)
		metrics_of_account(p, l, "delay_type",
		    delay_type_to_text((enum delay_type)i), &l->delays[i]);
}

void
metrics_ledger(struct metrics_page *p, struct relay *r)
{
	metrics_ledger_family(p, r, "posthorn_submissions_total",
	    "Messages handed in, by result", metrics_submissions);
	metrics_ledger_family(p, r, "posthorn_submitted_bytes_total",
	    "Octets of accepted messages", metrics_submitted);
	metrics_ledger_family(p, r, "posthorn_throttled_total",
	    "Refusals for a limit, by limit", metrics_throttled);
	metrics_ledger_family(p, r, "posthorn_tags_dropped_total",
	    "Message tags that were left out", metrics_tags);
	metrics_ledger_family(p, r, "posthorn_events_total",
	    "Events by type, in recipients", metrics_events);
	metrics_ledger_family(p, r, "posthorn_bounces_total",
	    "Bounces by type and sub-type", metrics_bounces);
	metrics_ledger_family(p, r, "posthorn_delays_total",
	    "Delays by type", metrics_delays);
}

/* -- gauges: the book ------------------------------------------------------ */

enum { METRICS_ACCOUNTS_MAX = 1000, STATUSES = IDENTITY_FAILED + 1 };
struct metrics_account {
	struct account a;
	double	       sent;
	unsigned       identities[STATUSES];
};
struct metrics_accounts {
	struct metrics_account *v;
	size_t			n, cap;
};

static bool
metrics_on_account(void *arg, const struct account *a)
{
	struct metrics_accounts *l = arg;

	if (a->closed.ms != 0)
		return true;
	if (l->n == l->cap) {
		l->cap = l->cap * 2 + 4;
		l->v = mem_realloc(l->v, l->cap * sizeof(*l->v));
	}
	memset(&l->v[l->n], 0, sizeof(l->v[0]));
	l->v[l->n++].a = *a;
	return l->n < METRICS_ACCOUNTS_MAX;
}

static bool
metrics_on_identity(void *arg, const struct identity *i)
{
	struct metrics_account *a = arg;

	a->identities[identity_status(i)]++;
	return true;
}

static void
metrics_account_gauge(struct metrics_page *p, const struct metrics_accounts *l,
    const char *name, const char *help,
    double (*value)(const struct metrics_account *a))
{
	const char *labels[] = { "account", NULL, NULL };
	size_t	    i;

	metrics_family(p, name, METRICS_GAUGE, help);
	for (i = 0; i < l->n; i++) {
		labels[1] = l->v[i].a.id;
		metrics_value(p, labels, value(&l->v[i]));
	}
}

static double
metrics_max(const struct metrics_account *a)
{
	return a->a.max_24h;
}

static double
metrics_sent(const struct metrics_account *a)
{
	return a->sent;
}

static double
metrics_rate(const struct metrics_account *a)
{
	return a->a.rate;
}

static void
metrics_account_rows(struct metrics_page *p, const struct metrics_accounts *l)
{
	const char *sending[] = { "account", NULL, "configuration_set", "",
		NULL };
	const char *status[] = { "account", NULL, "status", NULL, NULL };
	size_t	    i;
	unsigned    s;

	metrics_account_gauge(p, l, "posthorn_quota_max_24h",
	    "Recipients allowed in 24 hours; -1 = unlimited", metrics_max);
	metrics_account_gauge(p, l, "posthorn_quota_sent_24h",
	    "Recipients of the last 24 hours", metrics_sent);
	metrics_account_gauge(p, l, "posthorn_quota_max_rate",
	    "Recipients allowed a second; -1 = unlimited", metrics_rate);
	metrics_family(p, "posthorn_sending_enabled", METRICS_GAUGE,
	    "1 = the account may send");
	for (i = 0; i < l->n; i++) {
		sending[1] = l->v[i].a.id;
		metrics_value(p, sending, account_may_send(&l->v[i].a));
	}
	metrics_family(p, "posthorn_identities", METRICS_GAUGE,
	    "Identities by status");
	for (i = 0; i < l->n; i++)
		for (s = 0; s < STATUSES; s++) {
			status[1] = l->v[i].a.id;
			status[3] = identity_status_to_text(
			    (enum identity_status)s);
			if (l->v[i].identities[s] > 0)
				metrics_value(p, status,
				    l->v[i].identities[s]);
		}
}

void
metrics_accounts(struct metrics_page *p, struct relay *r)
{
	struct metrics_accounts l = { 0 };
	struct db_txn	       *t;
	struct err		e;
	size_t			i;

	t = book_read(r->book, &e);
	if (t == NULL)
		return;
	if (account_each(t, metrics_on_account, &l, &e) == 0)
		for (i = 0; i < l.n; i++)
			identity_each(t, l.v[i].a.id, metrics_on_identity,
			    &l.v[i], &e);
	book_end(t);
	for (i = 0; i < l.n; i++)
		if (quota_sent_24h(r->spool, l.v[i].a.id, loop_wall(r->main),
			&l.v[i].sent, &e) != 0)
			l.v[i].sent = 0;
	metrics_account_rows(p, &l);
	mem_free(l.v);
}
