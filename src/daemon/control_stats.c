/* SPDX-License-Identifier: ISC */
/* Figures of an account (statistics.md 3 and 4). */
#include "daemon/control_stats.h"

#include <string.h>

#include "registry/quota.h"

enum {
	KEPT_DAYS = 14,
	QUEUE_ARENA = 65536
};

/* -- values ---------------------------------------------------------------- */

json_t *
json_of_seconds(struct wall w)
{
	char text[CLOCK_TEXT_MAX];

	return w.ms == 0 ? json_null()
			 : json_string(wall_iso_seconds(w, text));
}

json_t *
json_of_ratio(double part, double whole)
{
	return whole <= 0 ? json_null() : json_real(part / whole);
}

void
stats_question(const struct request *q, enum statistic_series series,
    enum statistic_scope scope, const char *name,
    struct statistic_question *out)
{
	memset(out, 0, sizeof(*out));
	out->key.series = series;
	out->key.scope = scope;
	out->key.name = bytes_of(name);
	memcpy(out->key.account, q->account.id, sizeof(out->key.account));
}

int
stats_rates(struct request *q, enum statistic_scope scope, const char *name,
    struct wall fresh_start, struct rates *out)
{
	struct rates_question r = { .scope = scope, .name = bytes_of(name),
		.fresh_start = fresh_start, .now = q->now };

	memcpy(r.account, q->account.id, sizeof(r.account));
	return rates_read(q->relay->spool, q->conf, &r, out, &q->err);
}

struct rate_limits
stats_limits(const struct conf *c, bool is_bounce)
{
	struct rate_limits l;

	l.review = is_bounce ? c->reputation.bounce.review
			     : c->reputation.complaint.review;
	l.pause = is_bounce ? c->reputation.bounce.pause
			    : c->reputation.complaint.pause;
	return l;
}

const char *
stats_rate_status(const struct account *a, bool is_bounce,
    const struct rates *r, const struct rate_limits *l, const char **shown)
{
	static const char *const words[] = { "Healthy", "Almost healed",
		"Under review", "At risk", "Paused" };
	double		 rate = is_bounce ? r->bounce : r->complaint;
	bool		 judged = is_bounce ? r->bounce_counts
			: r->complaint_counts;
	enum rate_status s = a == NULL ? RATE_HEALTHY
			: is_bounce ? a->review.bounce : a->review.complaint;
	unsigned	 cause = is_bounce ? CAUSE_BOUNCE_RATE
				   : CAUSE_COMPLAINT_RATE;

	if (judged && rate >= l->review && s < RATE_UNDER_REVIEW)
		s = RATE_UNDER_REVIEW;
	if (a != NULL && a->enforcement == ACCOUNT_SHUTDOWN &&
	    (a->review.causes & cause) != 0)
		s = RATE_SENDING_PAUSED;
	*shown = words[s];
	if (judged && rate >= l->pause && s < RATE_SENDING_PAUSED)
		*shown = "At risk";
	return rate_status_to_text(s);
}

/* -- stats datapoints ------------------------------------------------------ */

struct points {
	struct request *q;
	struct statistic_question question;
	bool	    all;
	struct wall next; /* the first interval not shown yet */
	json_t	   *list;
};

static void
points_add(struct points *p, struct wall at, const struct statistic *v)
{
	json_array_append_new(p->list, json_pack(
	    "{s:o, s:I, s:I, s:I, s:I}", "Timestamp", json_of_seconds(at),
	    "DeliveryAttempts", (json_int_t)statistic_get(v, COUNT_SENDS),
	    "Bounces", (json_int_t)statistic_get(v, COUNT_BOUNCES),
	    "Complaints", (json_int_t)statistic_get(v, COUNT_COMPLAINTS),
	    "Rejects", (json_int_t)statistic_get(v, COUNT_REJECTS)));
	p->next.ms = at.ms + STATISTIC_QUARTER_MS;
}

/* Intervals without any activity, up to one that has some. */
static void
points_fill(struct points *p, struct wall until)
{
	struct statistic none;

	memset(&none, 0, sizeof(none));
	while (p->all && p->next.ms < until.ms)
		points_add(p, p->next, &none);
}

static bool
points_on_row(void *arg, const struct statistic_key *k,
    const struct statistic *v)
{
	struct points *p = arg;

	points_fill(p, k->time);
	points_add(p, k->time, v);
	return true;
}

static int
points_work(struct request *q)
{
	struct points *p = q->state;

	p->list = json_array();
	request_set(q, "SendDataPoints", p->list);
	p->next = p->question.from;
	if (statistic_each(q->relay->spool, &p->question, points_on_row, p,
		&q->err) < 0)
		return -1;
	points_fill(p, p->question.until);
	return 0;
}

static void
points_start(struct request *q)
{
	request_work(q, points_work, request_end);
}

/* The one scope that was named; the account when none was. */
static enum statistic_scope
arg_scope(const struct request *q, const char **name)
{
	*name = arg_text(q, "identity");
	if (*name != NULL)
		return STATISTIC_IDENTITY;
	*name = arg_text(q, "config-set");
	if (*name != NULL)
		return STATISTIC_SET;
	*name = arg_text(q, "isp");
	return *name != NULL ? STATISTIC_PROVIDER : STATISTIC_ACCOUNT;
}

/* From the beginning of an interval to the end of one, in what is kept. */
static void
points_round(const struct request *q, struct statistic_question *x)
{
	int64_t first = q->now.ms - KEPT_DAYS * (int64_t)STATISTIC_DAY_MS;

	if (x->from.ms < first)
		x->from.ms = first + STATISTIC_QUARTER_MS - 1;
	x->from = statistic_floor(STATISTIC_QUARTER, x->from);
	if (x->until.ms == 0 || x->until.ms > q->now.ms)
		x->until.ms = q->now.ms + 1;
	x->until.ms += STATISTIC_QUARTER_MS - 1;
	x->until = statistic_floor(STATISTIC_QUARTER, x->until);
}

static void
stats_datapoints(struct request *q)
{
	struct points	    *p = request_state(q, sizeof(*p), NULL);
	const char	    *name;
	enum statistic_scope scope = arg_scope(q, &name);

	stats_question(q, STATISTIC_QUARTER, scope, name, &p->question);
	p->q = q;
	p->all = arg_is_true(q, "all");
	if (arg_time(q, "since", &p->question.from) < 0 ||
	    arg_time(q, "until", &p->question.until) < 0) {
		request_end(q);
		return;
	}
	points_round(q, &p->question);
	request_sync(q, points_start);
}

/* -- the dashboard --------------------------------------------------------- */

/* Shares of an hour, averaged over the hours that have any. */
struct mean {
	double	 sum;
	unsigned n;
};
struct dashboard {
	struct request	*q;
	struct wall	 from;
	struct statistic all, hour;
	struct wall	 at; /* of the hour */
	struct mean	 rejects, bounces, complaints;
	double		 sent;
	uint64_t	 waiting;
	struct msgid	 oldest, last;
	bool		 is_ours; /* the message at hand */
};

static json_t *
mean_json(const struct mean *m)
{
	return json_of_ratio(m->sum, m->n);
}

static void
dashboard_end_hour(struct dashboard *d)
{
	uint64_t sends = statistic_get(&d->hour, COUNT_SENDS);

	if (sends > 0) {
		d->rejects.sum += (double)statistic_get(&d->hour,
		    COUNT_REJECTS) / (double)sends;
		d->rejects.n++;
	}
	memset(&d->hour, 0, sizeof(d->hour));
}

static bool
dashboard_on_row(void *arg, const struct statistic_key *k,
    const struct statistic *v)
{
	struct dashboard *d = arg;
	struct wall	  hour = statistic_floor(STATISTIC_HOUR, k->time);

	if (hour.ms != d->at.ms)
		dashboard_end_hour(d);
	d->at = hour;
	statistic_sum(&d->hour, v);
	statistic_sum(&d->all, v);
	return true;
}

/* Samples are millionths. */
static bool
dashboard_on_sample(void *arg, const struct statistic_key *k,
    const struct statistic *v)
{
	struct dashboard *d = arg;

	(void)k;
	d->bounces.sum += (double)v->n[COUNT_BOUNCES] / 1e6;
	d->bounces.n++;
	d->complaints.sum += (double)v->n[COUNT_COMPLAINTS] / 1e6;
	d->complaints.n++;
	return true;
}

static void
dashboard_take_message(struct dashboard *d, const struct msgid *id)
{
	struct arena	  *a = arena_new(QUEUE_ARENA);
	struct message_row m;
	struct err	   e;

	d->last = *id;
	d->is_ours = spool_read_message(d->q->relay->spool, id, a, &m,
	    &e) == 1 && strcmp(m.account, d->q->account.id) == 0;
	arena_free(a);
}

static bool
dashboard_on_waiting(void *arg, const struct recipient_row *r)
{
	struct dashboard *d = arg;

	if (msgid_cmp(&r->id, &d->last) != 0)
		dashboard_take_message(d, &r->id);
	if (!d->is_ours)
		return true;
	if (d->waiting++ == 0)
		d->oldest = r->id;
	return true;
}

static int
dashboard_read(struct dashboard *d)
{
	struct request		 *q = d->q;
	struct spool		 *s = q->relay->spool;
	struct statistic_question x;

	stats_question(q, STATISTIC_QUARTER, STATISTIC_ACCOUNT, "", &x);
	x.from = d->from;
	if (statistic_each(s, &x, dashboard_on_row, d, &q->err) < 0)
		return -1;
	dashboard_end_hour(d);
	x.key.series = STATISTIC_SAMPLE;
	return statistic_each(s, &x, dashboard_on_sample, d, &q->err);
}

static void
dashboard_write_counts(struct dashboard *d)
{
	static const enum statistic_counter shown[] = { COUNT_SENDS,
		COUNT_DELIVERIES, COUNT_BOUNCES, COUNT_TRANSIENT,
		COUNT_UNDETERMINED, COUNT_COMPLAINTS, COUNT_REJECTS,
		COUNT_SUPPRESSED, COUNT_UNSUBSCRIBED, COUNT_DELAYS,
		COUNT_RENDERING, COUNT_THROTTLED, COUNT_SIMULATOR };
	static const enum statistic_counter measured[] = { COUNT_OPENS,
		COUNT_CLICKS };
	json_t *counts = json_object();
	size_t	i;

	for (i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		json_object_set_new(counts,
		    statistic_counter_to_text(shown[i]), json_integer(
			(json_int_t)statistic_get(&d->all, shown[i])));
	/* of mail whose opens nobody can see there is no figure */
	for (i = 0; i < sizeof(measured) / sizeof(measured[0]); i++)
		if (d->all.n[measured[i]] > 0)
			json_object_set_new(counts,
			    statistic_counter_to_text(measured[i]),
			    json_integer((json_int_t)d->all.n[measured[i]]));
	request_set(d->q, "Counts", counts);
}

static void
rate_set(json_t *o, const char *name, json_t *value)
{
	if (json_is_null(value))
		json_decref(value);
	else
		json_object_set_new(o, name, value);
}

/* A rate over nothing is not measured. */
static void
reputation_set(json_t *o, const struct rates *r)
{
	if (r->sends > 0)
		json_object_set_new(o, "BounceRate", json_real(r->bounce));
	if (r->deliveries > 0)
		json_object_set_new(o, "ComplaintRate",
		    json_real(r->complaint));
}

static void
dashboard_write_rates(struct dashboard *d)
{
	double	sends = (double)statistic_get(&d->all, COUNT_SENDS);
	double	deliveries = (double)statistic_get(&d->all, COUNT_DELIVERIES);
	json_t *o = json_object();

	rate_set(o, "Deliveries", json_of_ratio(deliveries, sends));
	rate_set(o, "Bounces", json_of_ratio(
	    (double)statistic_get(&d->all, COUNT_BOUNCES), sends));
	rate_set(o, "TransientBounces", json_of_ratio(
	    (double)statistic_get(&d->all, COUNT_TRANSIENT), sends));
	rate_set(o, "Complaints", json_of_ratio(
	    (double)statistic_get(&d->all, COUNT_COMPLAINTS), deliveries));
	rate_set(o, "Rejects", mean_json(&d->rejects));
	/* how the reputation moved: means of hourly samples */
	rate_set(o, "MeanBounceRate", mean_json(&d->bounces));
	rate_set(o, "MeanComplaintRate", mean_json(&d->complaints));
	request_set(d->q, "Rates", o);
}

static int
dashboard_write_reputation(struct dashboard *d)
{
	struct request	  *q = d->q;
	struct rate_limits b = stats_limits(q->conf, true);
	struct rate_limits c = stats_limits(q->conf, false);
	struct rates	   r;
	const char	  *shown_b, *shown_c, *status_b, *status_c;
	json_t		  *o;

	if (stats_rates(q, STATISTIC_ACCOUNT, "",
		q->account.review.fresh_start, &r) < 0)
		return -1;
	status_b = stats_rate_status(&q->account, true, &r, &b, &shown_b);
	status_c = stats_rate_status(&q->account, false, &r, &c, &shown_c);
	o = json_pack("{s:s, s:s, s:s, s:s}", "BounceStatus", status_b,
	    "ComplaintStatus", status_c, "BounceShown", shown_b,
	    "ComplaintShown", shown_c);
	reputation_set(o, &r);
	request_set(q, "Reputation", o);
	return 0;
}

static void
dashboard_write_account(struct dashboard *d)
{
	struct request	     *q = d->q;
	const struct account *a = &q->account;

	request_set(q, "AccountId", json_string(a->id));
	request_set(q, "AccountName", json_of_bytes(bytes_of(a->name)));
	request_set(q, "Region", json_of_text(q->conf->server.region));
	request_set(q, "Time", json_of_seconds(q->now));
	request_set(q, "EnforcementStatus", json_string(
	    account_enforcement_to_text(a->enforcement)));
	request_set(q, "Status", json_string(account_state_to_show(
	    a->review.state)));
	request_set(q, "StatusSince", json_of_seconds(a->review.since));
	request_set(q, "SendingEnabled", json_boolean(a->sending_enabled));
	request_set(q, "ProductionAccessEnabled",
	    json_boolean(a->production));
	request_set(q, "SendQuota", json_pack("{s:o, s:f, s:o}",
	    "Max24HourSend", json_of_amount(a->max_24h), "SentLast24Hours",
	    d->sent, "MaxSendRate", json_of_amount(a->rate)));
	request_set(q, "Range", json_pack("{s:o, s:o}", "Start",
	    json_of_seconds(d->from), "End", json_of_seconds(q->now)));
	request_set(q, "Queue", json_pack("{s:I, s:o}", "Recipients",
	    (json_int_t)d->waiting, "OldestSeconds", d->waiting == 0
		? json_null() : json_integer((q->now.ms -
		    msgid_time(&d->oldest).ms) / 1000)));
}

static int
dashboard_work(struct request *q)
{
	struct dashboard *d = q->state;

	if (quota_sent_24h(q->relay->spool, q->account.id, q->now, &d->sent,
		&q->err) != 0 || dashboard_read(d) < 0 ||
	    spool_scan_recipients(q->relay->spool, NULL, 0, SIZE_MAX,
		dashboard_on_waiting, d, &q->err) < 0)
		return -1;
	dashboard_write_account(d);
	dashboard_write_counts(d);
	dashboard_write_rates(d);
	return dashboard_write_reputation(d);
}

static void
dashboard_start(struct request *q)
{
	request_work(q, dashboard_work, request_end);
}

static int
arg_days(struct request *q, struct wall *from)
{
	int64_t days = 1;

	if (arg_int(q, "days", 1, KEPT_DAYS, &days) < 0)
		return -1;
	*from = statistic_floor(STATISTIC_QUARTER, (struct wall){
	    q->now.ms - days * STATISTIC_DAY_MS +
		STATISTIC_QUARTER_MS - 1 });
	return 0;
}

static void
stats_dashboard(struct request *q)
{
	struct dashboard *d = request_state(q, sizeof(*d), NULL);

	d->q = q;
	if (arg_days(q, &d->from) != 0)
		request_end(q);
	else
		request_sync(q, dashboard_start);
}

/* -- all accounts, a line each --------------------------------------------- */

struct accounts {
	struct request *q;
	struct wall	from;
	json_t	       *list;
};

static bool
accounts_on_one(void *arg, const struct account *a)
{
	struct accounts		 *x = arg;
	struct request		 *q = x->q;
	struct statistic_question each;
	struct statistic	  v;
	struct rates		  r;
	json_t			 *o;

	if (a->closed.ms != 0)
		return true;
	q->account = *a;
	stats_question(q, STATISTIC_QUARTER, STATISTIC_ACCOUNT, "", &each);
	each.from = x->from;
	if (statistic_read(q->relay->spool, &each, &v, &q->err) < 0 ||
	    stats_rates(q, STATISTIC_ACCOUNT, "", a->review.fresh_start,
		&r) < 0)
		return false;
	o = json_pack("{s:s, s:o, s:s, s:b, s:I, s:I, s:I, s:I}",
	    "AccountId", a->id, "AccountName",
	    json_of_bytes(bytes_of(a->name)), "Status",
	    account_state_to_text(a->review.state), "SendingEnabled",
	    a->sending_enabled, "Sends",
	    (json_int_t)statistic_get(&v, COUNT_SENDS), "Deliveries",
	    (json_int_t)statistic_get(&v, COUNT_DELIVERIES), "Bounces",
	    (json_int_t)statistic_get(&v, COUNT_BOUNCES), "Complaints",
	    (json_int_t)statistic_get(&v, COUNT_COMPLAINTS));
	reputation_set(o, &r);
	json_array_append_new(x->list, o);
	return true;
}

static int
accounts_work(struct request *q)
{
	struct accounts *x = q->state;
	struct db_txn	*t = book_read(q->relay->book, &q->err);
	int		 rc;

	if (t == NULL)
		return -1;
	x->list = json_array();
	request_set(q, "Accounts", x->list);
	rc = account_each(t, accounts_on_one, x, &q->err);
	book_end(t);
	return rc < 0 || q->err.text[0] != '\0' ? -1 : 0;
}

static void
accounts_start(struct request *q)
{
	request_work(q, accounts_work, request_end);
}

static void
stats_accounts(struct request *q)
{
	struct accounts *x = request_state(q, sizeof(*x), NULL);

	x->q = q;
	if (arg_days(q, &x->from) != 0)
		request_end(q);
	else
		request_sync(q, accounts_start);
}

const struct command control_stats_commands[] = {
	{ "stats", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, stats_dashboard },
	{ "stats accounts", NEED_OPERATOR, SCOPE_NONE, NULL, NULL,
	    stats_accounts },
	{ "stats datapoints", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    stats_datapoints },
	{ "stats isp", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, stats_table },
	{ "stats identity", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    stats_table },
	{ "stats config-set", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    stats_table },
	{ "stats funnel", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    stats_funnel },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
