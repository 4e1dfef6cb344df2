/* SPDX-License-Identifier: ISC */
#include "reporting/levels.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "store/statistic.h"

enum { MINUTE_MS = 60 * 1000 };

/* A domain whose turn it is. */
struct turn {
	char		    account[ACCOUNT_ID_SIZE];
	char		    domain[LEVEL_DOMAIN_SIZE];
	struct level_days   days;
	struct level	    level; /* as it is after it */
	struct level_change change;
};
struct level_job {
	struct book_job job; /* first */
	struct levels  *l;
	struct wall	now;
	size_t		n, cap;
	struct turn    *v;
};
struct levels {
	struct levels_setup setup;
	struct timer	    tick;
	int64_t		    day; /* all were looked at; 0 = not yet */
	bool		    is_syncing;
	struct level_job   *job; /* under way; NULL = none */
	bool		    stopping;
	loop_fn		   *on_idle;
	void		   *on_idle_arg;
};

static void levels_on_tick(void *levels, void *unused);

/* -- life ------------------------------------------------------------------ */

struct levels *
levels_new(const struct levels_setup *s)
{
	struct levels *l = mem_alloc(sizeof(*l));

	l->setup = *s;
	l->setup.conf = conf_ref(s->conf);
	timer_init(&l->tick, s->loop, levels_on_tick, l);
	return l;
}

static void
job_free(struct level_job *j)
{
	if (j != NULL)
		mem_free(j->v);
	mem_free(j);
}

void
levels_free(struct levels *l)
{
	if (l == NULL)
		return;
	timer_clear(&l->tick);
	job_free(l->job);
	conf_unref(l->setup.conf);
	mem_free(l);
}

/* On the minute, so that one look is at 00:00 UTC. */
static void
levels_rest(struct levels *l)
{
	int64_t now = loop_wall(l->setup.loop).ms;

	if (!l->stopping && l->setup.conf->reputation.levels)
		timer_set(&l->tick, MINUTE_MS - now % MINUTE_MS);
}

void
levels_begin(struct levels *l)
{
	if (l->setup.conf->reputation.levels)
		timer_set(&l->tick, 0);
}

void
levels_reload(struct levels *l, struct conf *conf)
{
	bool was_on = l->setup.conf->reputation.levels;

	conf_unref(l->setup.conf);
	l->setup.conf = conf_ref(conf);
	if (was_on == conf->reputation.levels || l->stopping)
		return;
	l->day = 0;
	timer_clear(&l->tick);
	levels_begin(l);
}

static void
levels_look_idle(struct levels *l)
{
	loop_fn *on_idle = l->on_idle;

	if (!l->stopping || l->job != NULL || l->is_syncing ||
	    on_idle == NULL)
		return;
	l->on_idle = NULL;
	on_idle(l->on_idle_arg, NULL);
}

void
levels_stop(struct levels *l, loop_fn *on_idle, void *arg)
{
	l->stopping = true;
	l->on_idle = on_idle;
	l->on_idle_arg = arg;
	timer_clear(&l->tick);
	levels_look_idle(l);
}

/* -- figures --------------------------------------------------------------- */

static bool
days_on_row(void *arg, const struct statistic_key *k,
    const struct statistic *v)
{
	struct level_days    *d = arg;
	int64_t		      at = level_day(k->time) - d->today +
	    LEVEL_DAYS - 1;
	struct level_figures *f;

	if (at < 0 || at >= LEVEL_DAYS)
		return true;
	f = &d->v[at];
	f->sent = statistic_get(v, COUNT_ENDED);
	f->delivered = statistic_get(v, COUNT_DELIVERIES);
	f->invalid = statistic_get(v, COUNT_INVALID);
	f->spam = statistic_get(v, COUNT_SPAM);
	f->complaints = statistic_get(v, COUNT_COMPLAINTS);
	f->opened = statistic_get(v, COUNT_OPENED);
	f->tracked = statistic_get(v, COUNT_TRACKED);
	return true;
}

int
levels_read_days(struct spool *s, const char *account, const char *domain,
    struct wall now, struct level_days *out, struct err *e)
{
	struct statistic_question q;

	memset(out, 0, sizeof(*out));
	out->today = level_day(now);
	memset(&q, 0, sizeof(q));
	q.key.series = STATISTIC_LEVEL;
	q.key.scope = STATISTIC_IDENTITY;
	bytes_text(bytes_of(account), q.key.account, sizeof(q.key.account));
	q.key.name = bytes_of(domain);
	return statistic_each(s, &q, days_on_row, out, e);
}

/* -- what is told ---------------------------------------------------------- */

/* The system events "Domain Level Change", "Domain Temporarily Blocked". */
static void
levels_tell(struct levels *l, const struct turn *x)
{
	const struct level_change *c = &x->change;
	unsigned long long	   limit = level_limit(&x->level);
	char what[64 + LEVEL_DOMAIN_SIZE], text[256 + LEVEL_DOMAIN_SIZE];
	struct bulletin_news news = { "Domain Level Change", x->account,
		x->domain, text };

	if (c->to != c->from) {
		log_warn("domain-level", "account=%s domain=%s old=%u new=%u "
		    "limit=%llu", x->account, x->domain, c->from, c->to,
		    limit);
		snprintf(text, sizeof(text), "%s, %u -> %u", x->domain,
		    c->from, c->to);
		notices_announce(l->setup.notices, &news);
		snprintf(what, sizeof(what), "domain-level %s", x->domain);
		snprintf(text, sizeof(text), "The level of %s is %u now (it "
		    "was %u): %llu recipients a day.", x->domain, c->to,
		    c->from, limit);
		notices_warn(l->setup.notices, x->account, what, text);
	}
	if (!c->blocked)
		return;
	log_warn("domain-blocked", "account=%s domain=%s until=00:00Z",
	    x->account, x->domain);
	news.type = "Domain Temporarily Blocked";
	snprintf(text, sizeof(text), "%s, until 00:00Z", x->domain);
	notices_announce(l->setup.notices, &news);
	snprintf(what, sizeof(what), "domain-blocked %s", x->domain);
	snprintf(text, sizeof(text), "%s is blocked until 00:00 UTC: too many "
	    "addresses do not exist, or too much is refused as spam.",
	    x->domain);
	notices_warn(l->setup.notices, x->account, what, text);
}

/* -- a look ---------------------------------------------------------------- */

/* As in the look, on the row as it is now. */
static int
level_write(struct book_job *job, struct db_txn *t)
{
	struct level_job *j = (struct level_job *)(void *)job;
	struct turn	 *x;
	size_t		  i;

	for (i = 0; i < j->n; i++) {
		x = &j->v[i];
		if (level_get(t, x->account, x->domain, &x->level,
			&job->err) < 0)
			return -1;
		level_judge(&x->level, &x->days, j->now, &x->change);
		if (x->change.changed && level_put(t, &x->level,
			&job->err) < 0)
			return -1;
	}
	return 0;
}

static void
level_on_written(void *job, void *unused)
{
	struct level_job *j = job;
	struct levels	 *l = j->l;
	size_t		  i;

	(void)unused;
	l->job = NULL;
	if (j->job.failed) {
		log_error("levels-failed", "reason=\"%s\"", j->job.err.text);
		l->day = 0; /* all are looked at again */
	}
	for (i = 0; i < j->n && !j->job.failed; i++)
		levels_tell(l, &j->v[i]);
	job_free(j);
	levels_look_idle(l);
}

struct looking {
	struct levels	 *l;
	struct level_job *j;
	struct db_txn	 *txn;
};

/* What would change goes into the job. */
static void
looking_on_domain(void *arg, const char *account, const char *domain)
{
	struct looking	   *x = arg;
	struct level_job   *j = x->j;
	struct level_days   days;
	struct level	    level;
	struct level_change change;
	struct turn	   *t;
	struct err	    e;

	if (level_get(x->txn, account, domain, &level, &e) < 0 ||
	    levels_read_days(x->l->setup.spool, account, domain, j->now,
		&days, &e) < 0) {
		log_error("levels-failed", "account=%s domain=%s "
		    "reason=\"%s\"", account, domain, e.text);
		return;
	}
	level_judge(&level, &days, j->now, &change);
	if (!change.changed)
		return;
	if (j->n == j->cap) {
		j->cap = j->cap * 2 + 8;
		j->v = mem_realloc(j->v, j->cap * sizeof(*j->v));
	}
	t = &j->v[j->n++];
	memset(t, 0, sizeof(*t));
	snprintf(t->account, sizeof(t->account), "%s", account);
	snprintf(t->domain, sizeof(t->domain), "%s", domain);
	t->days = days;
}

/* Rows of a domain stand together: each domain is looked at once. */
struct walking {
	struct statistic_key last;
	char name[STATISTIC_NAME_MAX + 1];
	struct buf names; /* "account domain\n" */
};

static bool
walking_on_row(void *arg, const struct statistic_key *k,
    const struct statistic *v)
{
	struct walking *w = arg;

	(void)v;
	if (memcmp(k->account, w->last.account, sizeof(k->account)) == 0 &&
	    bytes_eq_text(k->name, w->name))
		return true;
	memcpy(w->last.account, k->account, sizeof(k->account));
	bytes_text(k->name, w->name, sizeof(w->name));
	return buf_printf(&w->names, "%s %s\n", k->account, w->name);
}

static int
levels_look_at_all(struct levels *l, struct looking *x)
{
	struct statistic_question q;
	struct walking		  w;
	struct bytes		  rest, line;
	struct err		  e;
	char account[ACCOUNT_ID_SIZE], domain[LEVEL_DOMAIN_SIZE];
	ptrdiff_t end;
	int	  rc;

	memset(&q, 0, sizeof(q));
	memset(&w, 0, sizeof(w));
	buf_init(&w.names, 64 << 20);
	q.key.series = STATISTIC_LEVEL;
	q.any_account = true;
	rc = statistic_each(l->setup.spool, &q, walking_on_row, &w, &e);
	if (rc < 0)
		log_error("levels-failed", "reason=\"%s\"", e.text);
	rest = buf_bytes(&w.names);
	while ((end = bytes_find(rest, 0, '\n')) > 0) {
		line = bytes_head(rest, (size_t)end);
		rest = bytes_from(rest, (size_t)end + 1);
		bytes_text(bytes_head(line, ACCOUNT_ID_SIZE - 1), account,
		    sizeof(account));
		bytes_text(bytes_from(line, ACCOUNT_ID_SIZE), domain,
		    sizeof(domain));
		looking_on_domain(x, account, domain);
	}
	buf_wipe(&w.names);
	return rc;
}

static void
levels_on_synced(void *levels, void *unused)
{
	struct levels *l = levels;
	struct looking x = { .l = l };
	struct err     e;

	(void)unused;
	l->is_syncing = false;
	levels_rest(l);
	x.txn = l->stopping ? NULL : book_read(l->setup.book, &e);
	if (x.txn == NULL) {
		levels_look_idle(l);
		return;
	}
	x.j = mem_alloc(sizeof(*x.j));
	x.j->l = l;
	x.j->now = loop_wall(l->setup.loop);
	if (l->day != level_day(x.j->now)) {
		if (levels_look_at_all(l, &x) == 0)
			l->day = level_day(x.j->now);
	} else {
		statistics_take_domains(l->setup.statistics, LEVELS_AT_ONCE,
		    looking_on_domain, &x);
	}
	book_end(x.txn);
	x.j->job.asker = l->setup.loop;
	x.j->job.run = level_write;
	x.j->job.done = level_on_written;
	if (x.j->n > 0 && book_write(l->setup.book, &x.j->job)) {
		l->job = x.j;
		return;
	}
	if (x.j->n > 0)
		l->day = 0; /* busy: the next minute looks at all */
	job_free(x.j);
}

static void
levels_on_tick(void *levels, void *unused)
{
	struct levels *l = levels;

	(void)unused;
	if (l->job != NULL || l->is_syncing) { /* it is nearly done */
		levels_rest(l);
		return;
	}
	l->is_syncing = true;
	statistics_sync(l->setup.statistics, levels_on_synced, l);
}
