/* SPDX-License-Identifier: ISC */
/* From counts to rows of the store, and the marks of what is counted once. */
#include <stdlib.h>
#include <string.h>

#include "reporting/statistics_private.h"

enum { SWEEP_ROWS = 200 };

/* What of an account was throttled, as it was counted. */
struct seen {
	uint64_t n;
};

/* -- counts ---------------------------------------------------------------- */

static struct bytes
count_bytes(const struct count_key *k)
{
	return (struct bytes){ (const char *)k, sizeof(*k) };
}

struct count *
statistics_count(struct statistics *s, const struct count_key *k)
{
	struct count *c = s->last;

	if (c != NULL && memcmp(&c->key, k, sizeof(*k)) == 0)
		return c;
	c = table_get(s->counts, count_bytes(k));
	if (c == NULL) {
		c = mem_alloc(sizeof(*c));
		c->key = *k;
		must(table_put(s->counts, count_bytes(k), c));
	}
	return s->last = c;
}

/* -- rows ------------------------------------------------------------------ */

static void
row_add(struct statistics *s, const struct statistic_key *k,
    const struct statistic *v)
{
	char	     room[STATISTIC_KEY_MAX];
	struct bytes key;
	struct row  *r;

	if (statistic_is_zero(v))
		return;
	key = statistic_key_bytes(k, room);
	r = table_get(s->rows, key);
	if (r == NULL) {
		r = mem_alloc(sizeof(*r));
		must(table_put(s->rows, key, r));
	}
	statistic_sum(&r->v, v);
}

/* A count being spread over its rows. */
struct spread {
	struct statistics   *s;
	const struct sender *sender;
	struct bytes	     provider, source;
	struct statistic_key key;
};

static void
spread_one(struct spread *x, enum statistic_scope scope, struct bytes name,
    const struct statistic *v)
{
	if (name.n == 0 && scope != STATISTIC_ACCOUNT)
		return;
	x->key.scope = scope;
	x->key.name = name;
	row_add(x->s, &x->key, v);
}

static void
spread_pair(struct spread *x, enum statistic_scope scope, struct bytes name,
    const struct statistic *v)
{
	char text[STATISTIC_NAME_MAX + 1];

	if (name.n > 0 && x->provider.n > 0)
		spread_one(x, scope, statistic_name_pair(name, x->provider,
		    text), v);
}

/* Of a group is known only when a recipient has ended what it was sent. */
static struct statistic
of_group(const struct statistic *v, enum statistic_counter sends)
{
	struct statistic out = *v;

	out.n[sends] = v->n[COUNT_ENDED];
	return out;
}

static void
keep_only(struct statistic *v, const enum statistic_counter *keep, size_t n)
{
	struct statistic old = *v;
	size_t		 i;

	memset(v, 0, sizeof(*v));
	for (i = 0; i < n; i++)
		v->n[keep[i]] = old.n[keep[i]];
}

static void
spread_quarter(struct spread *x, const struct statistic *all, uint32_t quarter)
{
	struct statistic v = *all, g;

	v.n[COUNT_BASE] = v.n[COUNT_HARD] = v.n[COUNT_REACHED] = 0;
	g = of_group(&v, COUNT_SENDS);
	g.n[COUNT_SIMULATOR] = 0;
	v.n[COUNT_ENDED] = v.n[COUNT_INVALID] = v.n[COUNT_SPAM] = 0;
	g.n[COUNT_ENDED] = g.n[COUNT_INVALID] = g.n[COUNT_SPAM] = 0;
	x->key.series = STATISTIC_QUARTER;
	x->key.time.ms = (int64_t)quarter * STATISTIC_QUARTER_MS;
	spread_one(x, STATISTIC_ACCOUNT, BYTES(""), &v);
	spread_one(x, STATISTIC_IDENTITY, x->sender->identity, &v);
	spread_one(x, STATISTIC_SET, x->sender->set, &v);
	if (x->provider.n > 0)
		spread_one(x, STATISTIC_PROVIDER, x->provider, &g);
	x->key.series = STATISTIC_TOTAL;
	x->key.time.ms = 0;
	spread_one(x, STATISTIC_ACCOUNT, BYTES(""), &v);
	spread_one(x, STATISTIC_IDENTITY, x->sender->identity, &v);
	spread_one(x, STATISTIC_CREDENTIAL, x->sender->credential, &v);
}

static void
spread_hour(struct spread *x, const struct statistic *all,
    const struct count_key *ck)
{
	static const enum statistic_counter keep[] = { COUNT_BASE, COUNT_HARD,
		COUNT_REACHED, COUNT_COMPLAINTS };
	struct wall	 hour = { (int64_t)ck->hour * STATISTIC_HOUR_MS };
	struct statistic v = *all, g = *all;

	/* what is in no rate has ended for none */
	g.n[COUNT_BASE] = all->n[COUNT_HARD] + all->n[COUNT_REACHED] +
	    all->n[COUNT_TRANSIENT] + all->n[COUNT_UNDETERMINED];
	keep_only(&v, keep, sizeof(keep) / sizeof(keep[0]));
	keep_only(&g, keep, sizeof(keep) / sizeof(keep[0]));
	x->key.series = STATISTIC_HOUR;
	x->key.time = ck->account_fresh ? x->sender->account_start : hour;
	spread_one(x, STATISTIC_ACCOUNT, BYTES(""), &v);
	spread_one(x, STATISTIC_IDENTITY, x->sender->identity, &v);
	spread_one(x, STATISTIC_CREDENTIAL, x->sender->credential, &v);
	spread_one(x, STATISTIC_PROVIDER, x->provider, &g);
	spread_one(x, STATISTIC_SOURCE, x->source, &g);
	x->key.time = ck->set_fresh ? x->sender->set_start : hour;
	spread_one(x, STATISTIC_SET, x->sender->set, &v);
	spread_pair(x, STATISTIC_SET_PROVIDER, x->sender->set, &g);
}

static void
spread_day(struct spread *x, const struct statistic *all, uint32_t hour)
{
	static const enum statistic_counter keep[] = { COUNT_SENDS,
		COUNT_DELIVERIES, COUNT_BOUNCES, COUNT_TRANSIENT,
		COUNT_UNDETERMINED, COUNT_SUPPRESSED, COUNT_COMPLAINTS,
		COUNT_OPENS, COUNT_CLICKS, COUNT_OPENED, COUNT_CLICKED,
		COUNT_TRACKED, COUNT_SPAM, COUNT_INVALID, COUNT_ENDED,
		COUNT_SUBSCRIPTIONS };
	struct statistic v = *all, g = of_group(all, COUNT_SENDS);

	keep_only(&v, keep, sizeof(keep) / sizeof(keep[0]));
	keep_only(&g, keep, sizeof(keep) / sizeof(keep[0]));
	x->key.series = STATISTIC_DAY;
	x->key.time = statistic_floor(STATISTIC_DAY,
	    (struct wall){ (int64_t)hour * STATISTIC_HOUR_MS });
	spread_one(x, STATISTIC_ACCOUNT, BYTES(""), &v);
	spread_one(x, STATISTIC_IDENTITY, x->sender->identity, &v);
	spread_one(x, STATISTIC_SET, x->sender->set, &v);
	if (x->provider.n == 0)
		return;
	spread_one(x, STATISTIC_PROVIDER, x->provider, &g);
	spread_pair(x, STATISTIC_IDENTITY_PROVIDER, x->sender->identity, &g);
	spread_pair(x, STATISTIC_SET_PROVIDER, x->sender->set, &g);
}

/* Of a day as UTC has it, whoever sent it (reputation.md 6.2). */
static void
spread_level(struct spread *x, const struct statistic *all, uint32_t quarter)
{
	static const enum statistic_counter keep[] = { COUNT_ENDED,
		COUNT_DELIVERIES, COUNT_INVALID, COUNT_SPAM, COUNT_COMPLAINTS,
		COUNT_OPENED, COUNT_TRACKED };
	struct statistic     v = *all;
	struct statistic_key mine = x->key;
	char		     room[STATISTIC_KEY_MAX];

	keep_only(&v, keep, sizeof(keep) / sizeof(keep[0]));
	if (statistic_is_zero(&v))
		return;
	memcpy(x->key.account, x->sender->owner, sizeof(x->key.account));
	x->key.series = STATISTIC_LEVEL;
	x->key.scope = STATISTIC_IDENTITY;
	x->key.name = bytes_of(x->sender->domain);
	x->key.time.ms = 0;
	must(table_put(x->s->domains, statistic_key_bytes(&x->key, room),
	    x->s));
	x->key.time = statistic_floor(STATISTIC_LEVEL,
	    (struct wall){ (int64_t)quarter * STATISTIC_QUARTER_MS });
	row_add(x->s, &x->key, &v);
	x->key = mine;
}

/* Which group has sent a report: of all accounts. */
static void
spread_loop(struct spread *x, const struct statistic *all, uint32_t quarter)
{
	static const enum statistic_counter keep[] = { COUNT_COMPLAINTS };
	struct statistic	   v = *all;
	struct statistic_key	   mine = x->key;

	keep_only(&v, keep, 1);
	memset(x->key.account, 0, sizeof(x->key.account));
	x->key.series = STATISTIC_LOOP;
	x->key.time = statistic_floor(STATISTIC_LOOP,
	    (struct wall){ (int64_t)quarter * STATISTIC_QUARTER_MS });
	spread_one(x, STATISTIC_PROVIDER, x->provider, &v);
	x->key = mine;
}

static void
spread_count(void *arg, struct bytes key, void *value)
{
	struct statistics *s = arg;
	struct count	  *c = value;
	struct spread	   x;

	memset(&x, 0, sizeof(x));
	x.s = s;
	x.sender = s->sender_of[c->key.sender];
	if (c->key.provider != NAME_NONE)
		x.provider = bytes_of(s->providers.v[c->key.provider]);
	if (c->key.source != NAME_NONE)
		x.source = bytes_of(s->sources.v[c->key.source]);
	memcpy(x.key.account, x.sender->account, sizeof(x.key.account));
	must(table_put(s->changed, bytes_of(x.sender->account), s));
	spread_quarter(&x, &c->v, c->key.quarter);
	spread_hour(&x, &c->v, &c->key);
	if (c->key.single != 0)
		spread_day(&x, &c->v, c->key.hour);
	/* a report of one of many makes no loop of the rest */
	if (x.provider.n > 0 && !bytes_eq_text(x.provider, NAME_OTHER))
		spread_loop(&x, &c->v, c->key.quarter);
	if (x.sender->domain[0] != '\0')
		spread_level(&x, &c->v, c->key.quarter);
	table_take(s->counts, key);
	mem_free(c);
}

/* -- refusals for a limit: the ledger --------------------------------------- */

struct throttling {
	struct statistics *s;
	bool		   any, is_asked;
};

static uint64_t
throttled_of(const struct ledger_page *p)
{
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < LEDGER_LIMITS; i++)
		n += meter_get(&p->throttled[i]);
	return n;
}

static void
throttled_on_page(void *arg, const struct ledger_page *p)
{
	struct throttling   *x = arg;
	struct statistics   *s = x->s;
	struct seen	    *seen = table_get(s->throttled,
		      bytes_of(p->account));
	uint64_t	     n = throttled_of(p);
	struct statistic_key k = { .series = STATISTIC_QUARTER,
		.scope = STATISTIC_ACCOUNT,
		.time = statistic_floor(STATISTIC_QUARTER, s->now) };
	struct statistic     v;

	if (n == (seen != NULL ? seen->n : 0))
		return;
	x->any = true;
	if (x->is_asked)
		return;
	if (seen == NULL) {
		seen = mem_alloc(sizeof(*seen));
		must(table_put(s->throttled, bytes_of(p->account), seen));
	}
	memset(&v, 0, sizeof(v));
	v.n[COUNT_THROTTLED] = (int64_t)(n - seen->n);
	seen->n = n;
	memcpy(k.account, p->account, sizeof(k.account));
	row_add(s, &k, &v);
	k.series = STATISTIC_TOTAL;
	k.time.ms = 0;
	row_add(s, &k, &v);
}

bool
statistics_has_throttled(struct statistics *s)
{
	struct throttling x = { s, false, true };

	if (s->setup.ledger != NULL)
		ledger_each(s->setup.ledger, throttled_on_page, &x);
	return x.any;
}

/* -- commands said to receivers -------------------------------------------- */

/* What of a source was said, as it was counted. */
struct said {
	uint64_t rcpts, datas;
};

static void
commands_on_source(void *arg, const char *ip, uint64_t rcpts, uint64_t datas)
{
	struct statistics   *s = arg;
	struct said	    *said = table_get(s->commands, bytes_of(ip));
	struct statistic_key k = { .series = STATISTIC_COMMANDS,
		.scope = STATISTIC_SOURCE, .name = bytes_of(ip),
		.time = statistic_floor(STATISTIC_COMMANDS, s->now) };
	struct statistic     v;

	if (said == NULL) {
		said = mem_alloc(sizeof(*said));
		must(table_put(s->commands, bytes_of(ip), said));
	}
	memset(&v, 0, sizeof(v));
	v.n[COUNT_RCPTS] = (int64_t)(rcpts - said->rcpts);
	v.n[COUNT_DATAS] = (int64_t)(datas - said->datas);
	said->rcpts = rcpts;
	said->datas = datas;
	row_add(s, &k, &v);
}

/* -- with the cursor ------------------------------------------------------- */

void
statistics_on_moving(void *arg)
{
	struct statistics *s = arg;
	struct throttling  x = { s, false, false };

	s->now = loop_wall(s->setup.loop);
	s->last = NULL;
	table_each(s->counts, spread_count, s);
	if (s->setup.ledger != NULL)
		ledger_each(s->setup.ledger, throttled_on_page, &x);
	if (s->setup.each_source != NULL)
		s->setup.each_source(s->setup.each_source_arg,
		    commands_on_source, s);
	s->marks_going = s->mark_count;
}

struct writing {
	struct spool_txn *t;
	struct err	 *e;
	int		  rc;
};

static void
write_row(void *arg, struct bytes key, void *value)
{
	struct writing	    *w = arg;
	struct statistic_key k;

	must(statistic_decode_key(key, &k));
	if (w->rc == 0)
		w->rc = statistic_add(w->t, &k, &((struct row *)value)->v,
		    w->e);
}

int
statistics_also(void *arg, struct spool_txn *t, struct err *e)
{
	struct statistics     *s = arg;
	struct writing	       w = { t, e, 0 };
	struct statistic_place place = s->swept;
	size_t		       i;

	table_each(s->rows, write_row, &w);
	for (i = 0; i < s->marks_going && w.rc == 0; i++)
		w.rc = statistic_put_mark(t, &s->marks[i], e);
	if (w.rc == 0)
		w.rc = statistic_sweep(t, &place, SWEEP_ROWS, s->now,
		    (int64_t)s->setup.conf->feedback.index_days *
			STATISTIC_DAY_MS, e);
	s->swept = place;
	return w.rc;
}

static void
free_row(void *arg, struct bytes key, void *value)
{
	struct statistics *s = arg;

	table_take(s->rows, key);
	mem_free(value);
}

void
statistics_on_moved(void *arg)
{
	struct statistics *s = arg;
	size_t		   i;

	table_each(s->rows, free_row, s);
	for (i = 0; i < s->marks_going; i++)
		table_take(s->marked, (struct bytes){
		    (const char *)&s->marks[i], sizeof(s->marks[i]) });
	s->mark_count = s->marks_going = 0;
}

struct taking {
	struct statistics *s;
	size_t		   left;
	void (*fn)(void *arg, const char *account);
	void *arg;
};

static void
take_changed(void *arg, struct bytes key, void *value)
{
	struct taking *x = arg;
	char	       account[ACCOUNT_ID_SIZE];

	(void)value;
	if (x->left == 0)
		return;
	x->left--;
	bytes_text(key, account, sizeof(account));
	table_take(x->s->changed, key);
	x->fn(x->arg, account);
}

void
statistics_take_changed(struct statistics *s, size_t max,
    void (*fn)(void *arg, const char *account), void *arg)
{
	struct taking x = { s, max, fn, arg };

	table_each(s->changed, take_changed, &x);
}

struct taking_domains {
	struct statistics *s;
	size_t		   left;
	void (*fn)(void *arg, const char *account, const char *domain);
	void *arg;
};

static void
take_domain(void *arg, struct bytes key, void *value)
{
	struct taking_domains *x = arg;
	struct statistic_key   k;
	char		       domain[STATISTIC_NAME_MAX + 1];

	(void)value;
	if (x->left == 0)
		return;
	x->left--;
	must(statistic_decode_key(key, &k));
	bytes_text(k.name, domain, sizeof(domain));
	table_take(x->s->domains, key);
	x->fn(x->arg, k.account, domain);
}

void
statistics_take_domains(struct statistics *s, size_t max,
    void (*fn)(void *arg, const char *account, const char *domain),
    void *arg)
{
	struct taking_domains x = { s, max, fn, arg };

	table_each(s->domains, take_domain, &x);
}

static void
free_value(void *arg, struct bytes key, void *value)
{
	(void)arg;
	(void)key;
	mem_free(value);
}

void
statistics_free_rows(struct statistics *s)
{
	table_each(s->counts, free_value, NULL);
	table_free(s->counts);
	table_each(s->rows, free_value, NULL);
	table_free(s->rows);
	table_each(s->throttled, free_value, NULL);
	table_free(s->throttled);
	table_each(s->commands, free_value, NULL);
	table_free(s->commands);
	table_free(s->changed);
	table_free(s->domains);
	table_free(s->marked);
	mem_free(s->marks);
}
