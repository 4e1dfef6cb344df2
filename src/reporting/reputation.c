/* SPDX-License-Identifier: ISC */
#include "reporting/reputation.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "registry/account.h"
#include "registry/config_set.h"
#include "registry/finding.h"
#include "reporting/rates.h"
#include "reporting/reputation_private.h"

enum {
	SAMPLE_MS = 60 * 1000,
	BUSY_MS = 1000,
	SETS_MAX = 100, /* sampled of an account in a pass */
	QUEUE_MAX = 4096,
	ROUND_MAX = 1024, /* of those are of the hour's round */
	MILLION = 1000000
};

/* An account whose turn comes, and what for: a set of them. */
enum {
	TURN_SAMPLE = 1, /* its rates, and those of some sets */
	TURN_JUDGE = 2,	 /* its state as well, then of all sets */
	TURN_REST = 4	 /* sets that had no room in the pass before */
};
struct turn {
	struct turn *next;
	char	     account[ACCOUNT_ID_SIZE];
	unsigned     what;
};
/* A sample being written. */
struct sample {
	struct change	     change;
	struct statistic_key key;
	struct statistic     v;
	char		     name[CONFIG_SET_NAME_SIZE];
};

/* What the writer decides about one account. */
struct judge_job {
	struct book_job	     job; /* first */
	struct reputation   *r;
	char		     account[ACCOUNT_ID_SIZE];
	struct review_input  in;
	struct review_change out;
};

static void reputation_on_tick(void *arg, void *unused);
static void reputation_on_pass(void *arg, void *unused);

/* -- life ------------------------------------------------------------------ */

struct reputation *
reputation_new(const struct reputation_setup *s)
{
	struct reputation *r = mem_alloc(sizeof(*r));

	r->setup = *s;
	r->setup.conf = conf_ref(s->conf);
	r->turns_end = &r->turns;
	r->sets_after = table_new(0);
	timer_init(&r->tick, s->loop, reputation_on_tick, r);
	timer_init(&r->pass, s->loop, reputation_on_pass, r);
	return r;
}

static struct turn *
turn_take(struct reputation *r)
{
	struct turn *t = r->turns;

	r->turns = t->next;
	if (r->turns == NULL)
		r->turns_end = &r->turns;
	r->turn_count--;
	return t;
}

static void
after_free(void *arg, struct bytes key, void *value)
{
	(void)arg;
	(void)key;
	mem_free(value);
}

void
reputation_free(struct reputation *r)
{
	if (r == NULL)
		return;
	timer_clear(&r->tick);
	timer_clear(&r->pass);
	while (r->turns != NULL)
		mem_free(turn_take(r));
	mem_free(r->job);
	table_each(r->sets_after, after_free, NULL);
	table_free(r->sets_after);
	conf_unref(r->setup.conf);
	mem_free(r);
}

void
reputation_reload(struct reputation *r, struct conf *conf)
{
	conf_unref(r->setup.conf);
	r->setup.conf = conf_ref(conf);
}

/* Until something happens nothing is looked at but the hour. */
static void
reputation_rest(struct reputation *r)
{
	int64_t wait = STATISTIC_HOUR_MS -
	    loop_wall(r->setup.loop).ms % STATISTIC_HOUR_MS;

	r->is_soon = r->has_alarms;
	if (r->has_alarms &&
	    wait > r->setup.conf->reputation.evaluate_interval_ms)
		wait = r->setup.conf->reputation.evaluate_interval_ms;
	if (!r->stopping)
		timer_set(&r->tick, wait);
}

void
reputation_wake(struct reputation *r)
{
	int64_t to_hour = STATISTIC_HOUR_MS -
	    loop_wall(r->setup.loop).ms % STATISTIC_HOUR_MS;

	if (r->is_soon || r->stopping)
		return;
	r->is_soon = true;
	timer_set(&r->tick, to_hour < SAMPLE_MS ? to_hour : SAMPLE_MS);
}

void
reputation_look(struct reputation *r)
{
	r->has_alarms = true; /* perhaps: the next tick sees */
	reputation_rest(r);
}

void
reputation_begin(struct reputation *r)
{
	r->hour = loop_wall(r->setup.loop).ms / STATISTIC_HOUR_MS;
	reputation_look(r);
}

static void
reputation_look_idle(struct reputation *r)
{
	loop_fn *on_idle = r->on_idle;

	if (!r->stopping || r->job != NULL || on_idle == NULL)
		return;
	r->on_idle = NULL;
	on_idle(r->on_idle_arg, NULL);
}

void
reputation_job_done(struct reputation *r)
{
	r->job = NULL;
	if (r->turns != NULL && !r->stopping)
		timer_set(&r->pass, 0);
	reputation_look_idle(r);
}

void
reputation_stop(struct reputation *r, loop_fn *on_idle, void *arg)
{
	r->stopping = true;
	r->on_idle = on_idle;
	r->on_idle_arg = arg;
	timer_clear(&r->tick);
	timer_clear(&r->pass);
	reputation_look_idle(r);
}

/* -- turns ----------------------------------------------------------------- */

static void
turn_add(struct reputation *r, const char *account, unsigned what)
{
	struct turn *t;

	for (t = r->turns; t != NULL; t = t->next)
		if (strcmp(t->account, account) == 0) {
			t->what |= what;
			return;
		}
	if (r->turn_count >= QUEUE_MAX)
		return; /* the next hour looks at all again */
	t = mem_alloc(sizeof(*t));
	snprintf(t->account, sizeof(t->account), "%s", account);
	t->what = what;
	*r->turns_end = t;
	r->turns_end = &t->next;
	r->turn_count++;
	if (!r->stopping && !timer_is_set(&r->pass))
		timer_set(&r->pass, 0);
}

void
reputation_judge(struct reputation *r, const char *account)
{
	turn_add(r, account, TURN_JUDGE);
}

static bool
round_on_account(void *arg, const struct account *a)
{
	struct reputation *r = arg;

	if (a->closed.ms != 0 || strcmp(a->id, r->round_after) <= 0)
		return true;
	r->is_round_on = true;
	if (r->turn_count >= ROUND_MAX)
		return false;
	turn_add(r, a->id, TURN_JUDGE);
	memcpy(r->round_after, a->id, sizeof(r->round_after));
	return true;
}

/* The next accounts of the round, in the order of their ids; those that have
 * no room follow when the turns are over. */
static void
reputation_go_round(struct reputation *r)
{
	struct db_txn *t;
	struct err     e;

	r->is_round_on = false;
	t = book_read(r->setup.book, &e);
	if (t == NULL || account_each(t, round_on_account, r, &e) < 0)
		log_error("book-failed", "reason=\"%s\"", e.text);
	book_end(t);
	if (!r->is_round_on)
		r->round_after[0] = '\0';
}

static void
reputation_on_changed(void *arg, const char *account)
{
	turn_add(arg, account, TURN_SAMPLE);
}

/* -- samples --------------------------------------------------------------- */

static int
sample_write(struct change *c, struct spool_txn *t, struct err *e)
{
	struct sample *s = c->ctx;

	return statistic_set(t, &s->key, &s->v, e);
}

static void
sample_on_written(void *ctx, void *unused)
{
	(void)unused;
	mem_free(ctx);
}

static void
reputation_sample(struct reputation *r, const struct rates_question *q,
    const struct rates *v)
{
	struct sample *s = mem_alloc(sizeof(*s));

	s->key.series = STATISTIC_SAMPLE;
	s->key.scope = q->scope;
	memcpy(s->key.account, q->account, sizeof(s->key.account));
	bytes_text(q->name, s->name, sizeof(s->name));
	s->key.name = bytes_of(s->name);
	s->key.time = statistic_floor(STATISTIC_SAMPLE, q->now);
	s->v.n[COUNT_SENDS] = (int64_t)v->sends;
	s->v.n[COUNT_BOUNCES] = (int64_t)(v->bounce * MILLION + 0.5);
	s->v.n[COUNT_COMPLAINTS] = (int64_t)(v->complaint * MILLION + 0.5);
	s->change.from = r->setup.loop;
	s->change.on_receipt = sample_on_written;
	s->change.ctx = s;
	s->change.also = sample_write;
	if (!spool_change(r->setup.spool, &s->change))
		mem_free(s); /* the next round writes it */
}

bool
reputation_has_sent(struct reputation *r, const char *account)
{
	struct statistic_question q;
	struct statistic	  v;
	struct err		  e;

	memset(&q, 0, sizeof(q));
	q.key.series = STATISTIC_TOTAL;
	q.key.scope = STATISTIC_ACCOUNT;
	memcpy(q.key.account, account, ACCOUNT_ID_SIZE);
	return statistic_read(r->setup.spool, &q, &v, &e) == 0 &&
	    (v.n[COUNT_SENDS] > 0 || v.n[COUNT_SIMULATOR] > 0);
}

bool
reputation_read(struct reputation *r, const struct rates_question *q,
    struct rates *out)
{
	struct err e;

	if (rates_read(r->setup.spool, r->setup.conf, q, out, &e) == 0)
		return true;
	log_error("reputation-failed", "account=%s reason=\"%s\"",
	    q->account, e.text);
	return false;
}

struct sampling {
	struct reputation *r;
	struct wall	   now;
	unsigned	   n;
	const char	  *after; /* the last one of the pass before, or "" */
	char		   last[CONFIG_SET_NAME_SIZE];
	bool		   is_more;
};

static bool
sampling_on_set(void *arg, const struct config_set *s)
{
	struct sampling	     *x = arg;
	struct rates_question q = { .scope = STATISTIC_SET,
		.name = bytes_of(s->name), .now = x->now,
		.fresh_start = config_set_counts_from(s) };
	struct rates	      v;

	if (!s->reputation || strcmp(s->name, x->after) <= 0)
		return true;
	if (x->n++ == SETS_MAX) {
		x->is_more = true;
		return false;
	}
	memcpy(x->last, s->name, sizeof(x->last));
	memcpy(q.account, s->account, sizeof(q.account));
	if (reputation_read(x->r, &q, &v))
		reputation_sample(x->r, &q, &v);
	return true;
}

/* The account is judged with all of its sets, however many passes they take;
 * else the next ones have their turn when its figures change again. */
static void
reputation_sample_sets(struct reputation *r, struct db_txn *txn,
    const char *account, unsigned what)
{
	struct bytes	key = bytes_of(account);
	char	       *after = table_take(r->sets_after, key);
	struct sampling x = { .r = r, .now = loop_wall(r->setup.loop) };
	struct err	e;

	x.after = after != NULL && (what & TURN_JUDGE) == 0 ? after : "";
	if (config_set_each(txn, account, sampling_on_set, &x, &e) < 0)
		log_error("book-failed", "reason=\"%s\"", e.text);
	mem_free(after);
	if (!x.is_more)
		return;
	must(table_put(r->sets_after, key, mem_dup(x.last)));
	if ((what & (TURN_JUDGE | TURN_REST)) != 0)
		turn_add(r, account, TURN_REST);
}

/* -- one account ----------------------------------------------------------- */

static void
judge_tell(struct judge_job *j)
{
	const struct review_change *c = &j->out;
	char causes[80], what[64], text[512];
	struct bulletin_news news = { "Reputation Status Change", j->account,
		NULL, text };

	(void)review_causes_to_text(c->causes, causes);
	snprintf(text, sizeof(text), "%s -> %s, %s",
	    account_state_to_text(c->from), account_state_to_text(c->to),
	    causes);
	if (c->moved)
		notices_announce(j->r->setup.notices, &news);
	log_warn(c->moved ? "reputation-status" : "reputation-reminder",
	    "account=%s old=%s new=%s cause=\"%s\"", j->account,
	    account_state_to_text(c->from), account_state_to_text(c->to),
	    causes);
	snprintf(what, sizeof(what), "reputation-%s",
	    account_state_to_text(c->to));
	snprintf(text, sizeof(text), "The state of the account is %s now "
	    "(it was %s): %s", account_state_to_text(c->to),
	    account_state_to_text(c->from), causes[0] != '\0' ? causes
		: "its cause has gone");
	notices_warn(j->r->setup.notices, j->account, what, text);
}

static void
judge_on_done(void *job, void *unused)
{
	struct judge_job  *j = job;
	struct reputation *r = j->r;
	bool was = j->out.from >= STATE_SENDING_PAUSED;
	bool is = j->out.to >= STATE_SENDING_PAUSED;
	struct reputation_switch s = { .set = "" };
	char			 causes[80];

	(void)unused;
	r->job = NULL;
	if (j->job.failed)
		log_error("reputation-failed", "account=%s reason=\"%s\"",
		    j->account, j->job.err.text);
	else if (j->out.moved || j->out.is_reminder)
		judge_tell(j);
	if (!j->job.failed && was != is) {
		log_warn(is ? "sending-disabled" : "sending-enabled",
		    "account=%s reason=reputation", j->account);
		notices_announce(r->setup.notices, &(struct bulletin_news){
		    is ? "Sending Status Disabled" : "Sending Status Enabled",
		    j->account, NULL, "account, reputation" });
	}
	if (!j->job.failed && j->out.moved && r->setup.on_switch != NULL) {
		memcpy(s.account, j->account, sizeof(s.account));
		(void)review_causes_to_text(j->out.causes, causes);
		bytes_text(bytes_of(causes), s.reason, sizeof(s.reason));
		r->setup.on_switch(r->setup.on_switch_arg, &s);
	}
	mem_free(j);
	reputation_job_done(r);
}

static int
judge_write(struct book_job *job, struct db_txn *t)
{
	struct judge_job *j = (struct judge_job *)(void *)job;
	struct account	 *a = mem_alloc(sizeof(*a));
	int rc = account_get(t, j->account, a, &job->err);

	memset(&j->out, 0, sizeof(j->out));
	if (rc == 1 && a->closed.ms == 0) {
		rc = finding_look(t, a->id, &j->in.finding_review,
		    &j->in.finding_pause, &job->err);
		if (rc == 0) {
			account_review_judge(a, &j->in, &j->out);
			rc = j->out.changed ? account_put(t, a, &job->err)
					    : 0;
		}
		if (rc == 0)
			rc = reputation_threshold_settle(t, a->id, &j->in,
			    &job->err);
	}
	mem_free(a);
	return rc < 0 ? -1 : 0;
}

static void
judge_fill(struct reputation *r, const struct rates *v,
    struct review_input *in)
{
	const struct conf *c = r->setup.conf;

	in->now = loop_wall(r->setup.loop);
	in->bounce = v->bounce_counts ? v->bounce : -1;
	in->complaint = v->complaint_counts ? v->complaint : -1;
	in->bounce_review = c->reputation.bounce.review;
	in->bounce_pause = c->reputation.bounce.pause;
	in->complaint_review = c->reputation.complaint.review;
	in->complaint_pause = c->reputation.complaint.pause;
	in->period_ms = c->reputation.review_period_ms;
	in->auto_pause = c->reputation.auto_pause;
}

static void
judge_begin(struct reputation *r, const struct account *a,
    const struct review_input *in)
{
	struct judge_job *j = mem_alloc(sizeof(*j));

	j->r = r;
	memcpy(j->account, a->id, sizeof(j->account));
	j->in = *in;
	j->job.asker = r->setup.loop;
	j->job.run = judge_write;
	j->job.done = judge_on_done;
	r->job = &j->job;
	if (book_write(r->setup.book, &j->job))
		return;
	r->job = NULL;
	mem_free(j);
}

/* Usually nothing changes: then nothing is written. */
static void
judge_look(struct reputation *r, struct account *a, const struct rates *v)
{
	struct review_input  in;
	struct review_change out;
	struct db_txn	    *t;
	struct err	     e;
	int		     rc = -1;

	judge_fill(r, v, &in);
	t = book_read(r->setup.book, &e);
	if (t != NULL)
		rc = finding_look(t, a->id, &in.finding_review,
		    &in.finding_pause, &e);
	if (rc == 0)
		rc = reputation_threshold_look(t, a->id, &in, &e);
	book_end(t);
	account_review_judge(a, &in, &out);
	if (rc == 1 || (rc == 0 && out.changed))
		judge_begin(r, a, &in);
}

static void
reputation_look_at(struct reputation *r, const struct turn *t)
{
	struct account	     *a = mem_alloc(sizeof(*a));
	struct rates_question q = { .scope = STATISTIC_ACCOUNT,
		.name = BYTES(""), .now = loop_wall(r->setup.loop) };
	struct db_txn	     *txn;
	struct rates	      v;
	struct err	      e;

	txn = book_read(r->setup.book, &e);
	if (txn != NULL && account_get(txn, t->account, a, &e) == 1) {
		memcpy(q.account, a->id, sizeof(q.account));
		q.fresh_start = a->review.fresh_start;
		if (reputation_has_sent(r, a->id))
			reputation_sample_sets(r, txn, a->id, t->what);
		book_end(txn);
		if (t->what != TURN_REST && reputation_read(r, &q, &v)) {
			if (reputation_has_sent(r, a->id))
				reputation_sample(r, &q, &v);
			if (a->closed.ms == 0)
				reputation_detect(r, a->id, q.now);
			if (r->job != NULL) /* judged when it is done */
				turn_add(r, a->id, t->what);
			else if ((t->what & TURN_JUDGE) != 0 &&
			    a->closed.ms == 0)
				judge_look(r, a, &v);
		}
	} else {
		book_end(txn);
	}
	mem_free(a);
}

static void
reputation_on_pass(void *arg, void *unused)
{
	struct reputation *r = arg;
	struct turn	  *t;

	(void)unused;
	if (r->job != NULL || r->turns == NULL)
		return;
	t = turn_take(r);
	reputation_look_at(r, t);
	mem_free(t);
	if (r->turns == NULL && r->is_round_on)
		reputation_go_round(r);
	if (r->job == NULL && r->turns != NULL)
		timer_set(&r->pass, 0);
}

/* -- the round ------------------------------------------------------------- */

static void
reputation_on_tick(void *arg, void *unused)
{
	struct reputation *r = arg;
	int64_t hour = loop_wall(r->setup.loop).ms / STATISTIC_HOUR_MS;
	struct mono	   now = loop_now(r->setup.loop);

	(void)unused;
	if (r->job != NULL) { /* it is nearly done */
		timer_set(&r->tick, BUSY_MS);
		return;
	}
	if (hour != r->hour) {
		r->hour = hour;
		if (!r->is_round_on)
			reputation_go_round(r);
	} else if (now.ms - r->sampled.ms >= SAMPLE_MS) {
		r->sampled = now;
		statistics_take_changed(r->setup.statistics,
		    REPUTATION_SAMPLES, reputation_on_changed, r);
	}
	reputation_look_at_alarms(r);
	reputation_rest(r);
}
