/* SPDX-License-Identifier: ISC */
/* Of the metrics page: what stands there account by account. */
#include <string.h>

#include "daemon/metrics_page.h"
#include "daemon/relay.h"
#include "registry/config_set.h"
#include "registry/listing.h"
#include "registry/quota.h"
#include "store/statistic.h"

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

static void
metrics_suppressed(struct metrics_page *p, const struct ledger_page *l)
{
	static const char *const names[LEDGER_LISTS][2] = {
		[LEDGER_OWN_BOUNCE] = { "account", "BOUNCE" },
		[LEDGER_OWN_COMPLAINT] = { "account", "COMPLAINT" },
		[LEDGER_GLOBAL] = { "global", "BOUNCE" } };
	const char *labels[] = { "account", l->account, "list", NULL,
		"reason", NULL, NULL };
	unsigned    i;

	for (i = 0; i < LEDGER_LISTS; i++) {
		labels[3] = names[i][0];
		labels[5] = names[i][1];
		if (meter_get(&l->suppressed[i]) > 0)
			metrics_value(p, labels,
			    (double)meter_get(&l->suppressed[i]));
	}
}

static void
metrics_complaints(struct metrics_page *p, const struct ledger_page *l)
{
	unsigned i;

	for (i = 0; i < LEDGER_COMPLAINTS; i++)
		metrics_of_account(p, l, "feedback_type",
		    ledger_complaint_to_text(i), &l->complaints[i]);
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
	metrics_ledger_family(p, r, "posthorn_suppressed_total",
	    "Recipients that were on a list", metrics_suppressed);
	metrics_ledger_family(p, r, "posthorn_complaints_total",
	    "Complaints by type of feedback", metrics_complaints);
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

/* -- gauges: the newest samples of the rates -------------------------------- */

enum { METRICS_SETS_MAX = 1000, METRICS_SAMPLE_MS = 24 * 60 * 60 * 1000 };
struct metrics_rate {
	char   account[ACCOUNT_ID_SIZE], set[CONFIG_SET_NAME_SIZE];
	double bounce, complaint;
};
struct metrics_rates {
	struct metrics_rate *v;
	size_t		     n, cap, sets;
};

/* Rows of one name follow each other, the newest last. */
static bool
metrics_on_sample(void *arg, const struct statistic_key *k,
    const struct statistic *v)
{
	struct metrics_rates *l = arg;
	struct metrics_rate  *r = l->n > 0 ? &l->v[l->n - 1] : NULL;

	if (r == NULL || strcmp(r->account, k->account) != 0 ||
	    !bytes_eq_text(k->name, r->set)) {
		if (k->name.n > 0 && l->sets++ >= METRICS_SETS_MAX)
			return false;
		if (l->n == l->cap) {
			l->cap = l->cap * 2 + 16;
			l->v = mem_realloc(l->v, l->cap * sizeof(*l->v));
		}
		r = &l->v[l->n++];
		memset(r, 0, sizeof(*r));
		memcpy(r->account, k->account, sizeof(r->account));
		bytes_text(k->name, r->set, sizeof(r->set));
	}
	r->bounce = (double)v->n[COUNT_BOUNCES] / 1e6;
	r->complaint = (double)v->n[COUNT_COMPLAINTS] / 1e6;
	return true;
}

/* A set whose figures are off now has none. */
static bool
metrics_rate_is_shown(struct db_txn *t, const struct metrics_rate *r)
{
	struct config_set s;
	struct err	  e;

	return r->set[0] == '\0' || (config_set_get(t, r->account,
	    bytes_of(r->set), &s, &e) == 1 && s.reputation);
}

static void
metrics_rate_rows(struct metrics_page *p, struct db_txn *t,
    const struct metrics_rates *l, const char *name, const char *help,
    bool is_bounce)
{
	const char *labels[] = { "account", NULL, "configuration_set", NULL,
		NULL };
	size_t	    i;

	metrics_family(p, name, METRICS_GAUGE, help);
	for (i = 0; i < l->n; i++) {
		if (!metrics_rate_is_shown(t, &l->v[i]))
			continue;
		labels[1] = l->v[i].account;
		labels[3] = l->v[i].set;
		metrics_value(p, labels, is_bounce ? l->v[i].bounce
						   : l->v[i].complaint);
	}
}

static void
metrics_reputation(struct metrics_page *p, struct relay *r,
    struct db_txn *t, const struct metrics_accounts *a)
{
	struct statistic_question q;
	struct metrics_rates	  l = { NULL, 0, 0, 0 };
	struct err		  e;
	size_t			  i;

	for (i = 0; i < a->n; i++) {
		memset(&q, 0, sizeof(q));
		q.key.series = STATISTIC_SAMPLE;
		memcpy(q.key.account, a->v[i].a.id, sizeof(q.key.account));
		q.from.ms = loop_wall(r->main).ms - METRICS_SAMPLE_MS;
		q.key.scope = STATISTIC_ACCOUNT;
		(void)statistic_each(r->spool, &q, metrics_on_sample, &l, &e);
		q.key.scope = STATISTIC_SET;
		q.any_name = true;
		(void)statistic_each(r->spool, &q, metrics_on_sample, &l, &e);
	}
	metrics_rate_rows(p, t, &l, "posthorn_reputation_bounce_rate",
	    "Hard bounces in counted sends; 0.05 = 5 %", true);
	metrics_rate_rows(p, t, &l, "posthorn_reputation_complaint_rate",
	    "Complaints in counted deliveries; 0.001 = 0.1 %", false);
	mem_free(l.v);
}

/* -- source addresses ------------------------------------------------------ */

struct metrics_listings {
	struct metrics_page *page;
	struct db_txn	    *txn;
};

/* What receivers say of a list, and what it says itself, is one series. */
static bool
metrics_on_listing(void *arg, const struct listing *l)
{
	struct metrics_listings *x = arg;
	const char *labels[] = { "ip", l->address, "list", l->list, NULL };
	struct listing		 key = *l, other;
	struct err		 e;
	bool			 is_there;

	key.by = l->by == LISTING_BY_DNS ? LISTING_BY_REPLY : LISTING_BY_DNS;
	is_there = listing_get(x->txn, &key, &other, &e) == 1;
	if (l->by == LISTING_BY_REPLY && (is_there || !l->listed))
		return true;
	metrics_value(x->page, labels,
	    l->listed || (is_there && other.listed));
	return true;
}

void
metrics_listings(struct metrics_page *p, struct relay *r)
{
	struct metrics_listings x = { p, NULL };
	struct err		e;

	x.txn = book_read(r->book, &e);
	if (x.txn == NULL)
		return;
	metrics_family(p, "posthorn_ip_blocklisted", METRICS_GAUGE,
	    "Source addresses that block lists name");
	(void)listing_each(x.txn, NULL, metrics_on_listing, &x, &e);
	book_end(x.txn);
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
	metrics_reputation(p, r, t, &l);
	book_end(t);
	for (i = 0; i < l.n; i++)
		if (quota_sent_24h(r->spool, l.v[i].a.id, loop_wall(r->main),
			&l.v[i].sent, &e) != 0)
			l.v[i].sent = 0;
	metrics_account_rows(p, &l);
	mem_free(l.v);
}
