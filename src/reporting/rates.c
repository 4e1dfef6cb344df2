/* SPDX-License-Identifier: ISC */
#include "reporting/rates.h"

#include <string.h>

#include "base/table.h"


/* One bucket: an hour of sends, or what is left of one after a fresh start. */
struct bucket {
	struct wall	 time;
	struct statistic v;
};
/* Buckets from the oldest on. */
struct history {
	struct bucket *v;
	size_t	       n, cap;
};

/* -- groups that send reports ---------------------------------------------- */

struct loops {
	struct table *names;
};

static bool
loops_on_row(void *arg, const struct statistic_key *k,
    const struct statistic *v)
{
	struct loops *l = arg;

	if (statistic_get(v, COUNT_COMPLAINTS) > 0)
		must(table_put(l->names, k->name, l));
	return true;
}

struct loops *
loops_read(struct spool *s, const struct conf *c, struct wall now,
    struct err *e)
{
	struct statistic_question q;
	const struct conf_list	 *list = &c->reputation.fbl_providers;
	const struct conf_provider *p;
	struct loops		 *l = mem_alloc(sizeof(*l));
	size_t			  i;

	l->names = table_new(0);
	for (i = 0; i < list->n; i++) {
		p = conf_provider_find(c, bytes_of(list->v[i]));
		must(table_put(l->names, bytes_of(p == NULL ? list->v[i] :
		    p->title != NULL ? p->title : p->name), l));
	}
	memset(&q, 0, sizeof(q));
	q.key.series = STATISTIC_LOOP;
	q.key.scope = STATISTIC_PROVIDER;
	q.any_name = true;
	q.from.ms = now.ms - (int64_t)RATES_DAYS * STATISTIC_DAY_MS;
	if (statistic_each(s, &q, loops_on_row, l, e) == 0)
		return l;
	loops_free(l);
	return NULL;
}

bool
loops_has(const struct loops *l, struct bytes provider)
{
	return table_get(l->names, provider) != NULL;
}

size_t
loops_count(const struct loops *l)
{
	return table_count(l->names);
}

void
loops_free(struct loops *l)
{
	if (l == NULL)
		return;
	table_free(l->names);
	mem_free(l);
}

/* -- the volume ------------------------------------------------------------ */

static bool
history_on_row(void *arg, const struct statistic_key *k,
    const struct statistic *v)
{
	struct history *h = arg;

	if (h->n == h->cap) {
		h->cap = h->cap * 2 + 256;
		h->v = mem_realloc(h->v, h->cap * sizeof(*h->v));
	}
	h->v[h->n].time = k->time;
	h->v[h->n++].v = *v;
	return true;
}

static void
question_of(const struct rates_question *q, enum statistic_scope scope,
    struct wall from, struct statistic_question *out)
{
	memset(out, 0, sizeof(*out));
	out->key.series = STATISTIC_HOUR;
	out->key.scope = scope;
	out->key.name = q->name;
	memcpy(out->key.account, q->account, sizeof(out->key.account));
	out->from = from;
}

/* Seven mean days of those that had sends. */
static uint64_t
history_volume(const struct history *h, struct wall now)
{
	int64_t	 since = now.ms - (int64_t)RATES_MEAN_DAYS * STATISTIC_DAY_MS;
	int64_t	 day, last = -1;
	uint64_t sends = 0, days = 0, n;
	size_t	 i;

	for (i = 0; i < h->n; i++) {
		n = statistic_get(&h->v[i].v, COUNT_BASE);
		if (h->v[i].time.ms < since || n == 0)
			continue;
		day = h->v[i].time.ms / STATISTIC_DAY_MS;
		days += day != last;
		last = day;
		sends += n;
	}
	n = days == 0 ? 0 : 7 * sends / days;
	if (n < RATES_VOLUME_MIN)
		return RATES_VOLUME_MIN;
	return n > RATES_VOLUME_MAX ? RATES_VOLUME_MAX : n;
}

/* Back from the newest bucket until there are enough sends; whole buckets. */
static void
history_take(const struct history *h, struct rates *out,
    struct statistic *sum)
{
	size_t i = h->n;

	memset(sum, 0, sizeof(*sum));
	while (i > 0 && statistic_get(sum, COUNT_BASE) < out->volume) {
		i--;
		statistic_sum(sum, &h->v[i].v);
		if (statistic_get(&h->v[i].v, COUNT_BASE) > 0)
			out->since = h->v[i].time;
	}
	if (i < h->n && out->since.ms == 0)
		out->since = h->v[i].time;
}

/* -- complaints are over deliveries to groups that tell of them ------------- */

struct reach {
	const struct loops *loops;
	struct bytes	    set; /* "" = of the account */
	uint64_t	    deliveries;
};

static bool
reach_on_row(void *arg, const struct statistic_key *k,
    const struct statistic *v)
{
	struct reach *r = arg;
	struct bytes  set = { "", 0 }, provider = k->name;

	if (k->scope == STATISTIC_SET_PROVIDER &&
	    (!statistic_name_split(k->name, &set, &provider) ||
		!bytes_eq(set, r->set)))
		return true;
	if (loops_has(r->loops, provider))
		r->deliveries += statistic_get(v, COUNT_REACHED);
	return true;
}

static int
rates_reach(struct spool *s, const struct rates_question *q,
    const struct loops *l, struct rates *out, struct err *e)
{
	struct statistic_question each;
	struct reach r = { l, q->scope == STATISTIC_SET ? q->name
		: BYTES(""), 0 };

	question_of(q, q->scope == STATISTIC_SET ? STATISTIC_SET_PROVIDER
		: STATISTIC_PROVIDER, out->since, &each);
	each.any_name = true;
	if (statistic_each(s, &each, reach_on_row, &r, e) < 0)
		return -1;
	out->deliveries = r.deliveries;
	out->has_loops = true;
	return 0;
}

static double
ratio(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 0 : (double)part / (double)whole;
}

static int
rates_fill(struct spool *s, const struct conf *c,
    const struct rates_question *q, const struct history *h,
    struct rates *out, struct err *e)
{
	struct statistic sum;
	struct loops	*l;
	int		 rc = 0;

	out->volume = history_volume(h, q->now);
	history_take(h, out, &sum);
	out->sends = statistic_get(&sum, COUNT_BASE);
	out->hard = statistic_get(&sum, COUNT_HARD);
	out->deliveries = statistic_get(&sum, COUNT_REACHED);
	out->complaints = statistic_get(&sum, COUNT_COMPLAINTS);
	/* of identities and the like the groups are not kept */
	if (q->scope == STATISTIC_ACCOUNT || q->scope == STATISTIC_SET) {
		l = loops_read(s, c, q->now, e);
		if (l == NULL)
			return -1;
		if (loops_count(l) > 0)
			rc = rates_reach(s, q, l, out, e);
		loops_free(l);
	}
	out->bounce = ratio(out->hard, out->sends);
	out->complaint = ratio(out->complaints, out->deliveries);
	out->bounce_counts = out->sends >= c->reputation.min_volume &&
	    out->hard >= RATES_MIN_HARD;
	out->complaint_counts = out->deliveries >= RATES_MIN_DELIVERIES &&
	    out->complaints >= RATES_MIN_COMPLAINTS;
	return rc;
}

int
rates_read(struct spool *s, const struct conf *c,
    const struct rates_question *q, struct rates *out, struct err *e)
{
	struct statistic_question each;
	struct history		  h = { NULL, 0, 0 };
	struct wall from = { q->now.ms -
		(int64_t)RATES_DAYS * STATISTIC_DAY_MS };
	int rc;

	memset(out, 0, sizeof(*out));
	if (q->fresh_start.ms > from.ms)
		from = q->fresh_start;
	question_of(q, q->scope, from, &each);
	rc = statistic_each(s, &each, history_on_row, &h, e);
	if (rc == 0)
		rc = rates_fill(s, c, q, &h, out, e);
	mem_free(h.v);
	return rc;
}
