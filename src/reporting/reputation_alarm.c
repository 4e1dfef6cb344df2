/* SPDX-License-Identifier: ISC */
/* Alarms: their rates are looked at in each round, those that move are told. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "registry/account.h"
#include "registry/alarm.h"
#include "registry/config_set.h"
#include "reporting/rates.h"
#include "reporting/reputation_private.h"

/* Alarms that move. */
struct alarm_turn {
	char	     account[ACCOUNT_ID_SIZE], name[ALARM_NAME_SIZE];
	enum alarm_state to;
	char	     reason[ALARM_REASON_SIZE];
	struct alarm alarm; /* as it is after it */
	struct alarm_effect effect;
};
struct alarm_job {
	struct book_job	   job; /* first */
	struct reputation *r;
	struct wall	   now;
	size_t		   n;
	struct alarm_turn  v[];
};
struct alarm_look {
	struct reputation *r;
	struct db_txn	  *txn;
	struct wall	   now;
	struct alarm_turn *v;
	size_t		   n, cap;
};

/* Of the account, or of the set; false = there are no data. */
static bool
alarm_rates(struct alarm_look *l, const struct alarm *a, struct rates *out)
{
	struct rates_question q = { .scope = a->set[0] != '\0'
		? STATISTIC_SET : STATISTIC_ACCOUNT,
		.name = bytes_of(a->set), .now = l->now };
	struct config_set     s;
	struct account	     *acct;
	struct err	      e;

	memcpy(q.account, a->account, sizeof(q.account));
	if (!reputation_has_sent(l->r, a->account))
		return false;
	if (a->set[0] != '\0') {
		if (config_set_get(l->txn, a->account, q.name, &s, &e) != 1)
			return false;
		q.fresh_start = config_set_counts_from(&s);
	} else {
		acct = mem_alloc(sizeof(*acct));
		if (account_get(l->txn, a->account, acct, &e) == 1)
			q.fresh_start = acct->review.fresh_start;
		mem_free(acct);
	}
	return reputation_read(l->r, &q, out);
}

static bool
alarm_on_each(void *arg, const struct alarm *a)
{
	struct alarm_look *l = arg;
	struct alarm_turn *t;
	struct rates	   v;
	double		   rate;
	bool		   judged;
	enum alarm_state   to;

	if (!alarm_rates(l, a, &v))
		return true; /* no data keep the state */
	rate = a->metric == ALARM_BOUNCE_RATE ? v.bounce : v.complaint;
	judged = a->metric == ALARM_BOUNCE_RATE ? v.bounce_counts
						: v.complaint_counts;
	to = judged && rate >= a->threshold ? ALARM_ALARM : ALARM_OK;
	if (to == a->state)
		return true;
	if (l->n == l->cap) {
		l->cap = l->cap * 2 + 8;
		l->v = mem_realloc(l->v, l->cap * sizeof(*l->v));
	}
	t = &l->v[l->n++];
	memset(t, 0, sizeof(*t));
	memcpy(t->account, a->account, sizeof(t->account));
	memcpy(t->name, a->name, sizeof(t->name));
	t->to = to;
	snprintf(t->reason, sizeof(t->reason), "%s is %.4f, threshold %.4f",
	    alarm_metric_to_text(a->metric), rate, a->threshold);
	return true;
}

static int
alarm_write(struct book_job *job, struct db_txn *t)
{
	struct alarm_job *j = (struct alarm_job *)(void *)job;
	struct alarm_turn *x;
	size_t		  i;
	int		  rc;

	for (i = 0; i < j->n; i++) {
		x = &j->v[i];
		rc = alarm_get(t, x->account, x->name, &x->alarm, &job->err);
		if (rc == 1)
			rc = alarm_move(t, &x->alarm, x->to, x->reason,
			    j->now, &x->effect, &job->err);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static void
alarm_tell(struct reputation *r, const struct alarm_turn *x)
{
	char text[ALARM_NAME_SIZE + ALARM_REASON_SIZE + 128];
	char told[ALARM_NOTICE_SIZE], what[ALARM_NAME_SIZE + 16];
	struct bulletin_news news = { "Reputation Alarm State Change",
		x->account, NULL, text };

	snprintf(text, sizeof(text), "%s, %s -> %s, %s", x->name,
	    alarm_state_to_text(x->to == ALARM_OK ? ALARM_ALARM : ALARM_OK),
	    alarm_state_to_text(x->to), x->reason);
	notices_announce(r->setup.notices, &news);
	log_warn("reputation-alarm", "account=%s alarm=%s state=%s "
	    "reason=\"%s\" paused=%s", x->account, x->name,
	    alarm_state_to_text(x->to), x->reason,
	    x->effect.paused_account || x->effect.paused_set ? "yes" : "no");
	if (!x->effect.must_notify && !x->effect.paused_account &&
	    !x->effect.paused_set)
		return;
	snprintf(what, sizeof(what), "alarm-%s", x->name);
	notices_warn(r->setup.notices, x->account, what,
	    alarm_notice(&x->alarm, &x->effect, told));
}

void
reputation_switch_of_alarm(const struct alarm *a,
    const struct alarm_effect *effect, struct reputation_switch *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->account, a->account, sizeof(out->account));
	if (effect->paused_set)
		memcpy(out->set, a->set, sizeof(out->set));
	memcpy(out->alarm, a->name, sizeof(out->alarm));
	memcpy(out->reason, a->reason, sizeof(out->reason));
}

const char *
reputation_switch_text(const struct reputation_switch *s,
    char out[REPUTATION_SWITCH_TEXT])
{
	snprintf(out, REPUTATION_SWITCH_TEXT, "%s%s, alarm:%s, %s",
	    s->set[0] != '\0' ? "set " : "account", s->set, s->alarm,
	    s->reason);
	return out;
}

/* Its action has paused something: that is news of its own. */
static void
alarm_tell_pause(struct reputation *r, const struct alarm_turn *x)
{
	struct reputation_switch s;
	char			 text[REPUTATION_SWITCH_TEXT];

	reputation_switch_of_alarm(&x->alarm, &x->effect, &s);
	notices_announce(r->setup.notices, &(struct bulletin_news){
	    "Sending Status Disabled", x->account, NULL,
	    reputation_switch_text(&s, text) });
	if (r->setup.on_switch != NULL)
		r->setup.on_switch(r->setup.on_switch_arg, &s);
}

static void
alarm_on_done(void *job, void *unused)
{
	struct alarm_job  *j = job;
	struct reputation *r = j->r;
	size_t		   i;

	(void)unused;
	r->job = NULL;
	if (j->job.failed)
		log_error("reputation-failed", "reason=\"%s\"",
		    j->job.err.text);
	for (i = 0; i < j->n && !j->job.failed; i++) {
		if (j->v[i].effect.moved)
			alarm_tell(r, &j->v[i]);
		if (j->v[i].effect.paused_account ||
		    j->v[i].effect.paused_set)
			alarm_tell_pause(r, &j->v[i]);
	}
	mem_free(j);
	reputation_job_done(r);
}

void
reputation_look_at_alarms(struct reputation *r)
{
	struct alarm_look l = { .r = r, .now = loop_wall(r->setup.loop) };
	struct alarm_job *j;
	struct err	  e;

	l.txn = book_read(r->setup.book, &e);
	if (l.txn == NULL ||
	    alarm_each(l.txn, NULL, alarm_on_each, &l, &e) < 0)
		log_error("book-failed", "reason=\"%s\"", e.text);
	r->has_alarms = l.txn != NULL && db_count(l.txn, BOOK_ALARM) > 0;
	book_end(l.txn);
	if (l.n > 0) {
		j = mem_alloc(sizeof(*j) + l.n * sizeof(j->v[0]));
		memcpy(j->v, l.v, l.n * sizeof(j->v[0]));
		j->n = l.n;
		j->r = r;
		j->now = l.now;
		j->job.asker = r->setup.loop;
		j->job.run = alarm_write;
		j->job.done = alarm_on_done;
		r->job = &j->job;
		if (!book_write(r->setup.book, &j->job)) {
			r->job = NULL;
			mem_free(j);
		}
	}
	mem_free(l.v);
}
