/* SPDX-License-Identifier: ISC */
/*
 * reputation.h - looks at the rates and draws the consequences: states of
 * accounts every hour, alarms every reputation.evaluate_interval, and samples
 * of the rates for dashboard and metrics (reputation.md 3 and 4).
 *
 * Use:    r = reputation_new(&setup); reputation_begin(r);
 *         reputation_judge(r, account) when a finding was opened;
 *         reputation_stop().
 * Owner:  the reporter.
 * Thread: the loop's; decisions are applied on the book's writer, which looks
 *         at the record as it is then.
 * Fails:  trouble is logged; the next round looks again.
 *
 * A round goes account by account, one in a pass.  Samples are written for
 * those whose figures have changed, at most once a minute, at most
 * REPUTATION_SAMPLES in a round, and of 100 sets of each, the next ones in the
 * next round; all are sampled with the hour.
 */
#ifndef REPORTING_REPUTATION_H
#define REPORTING_REPUTATION_H

#include "base/thread.h"
#include "registry/alarm.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "reporting/notices.h"
#include "reporting/statistics.h"
#include "store/spool.h"

struct reputation;
enum { REPUTATION_SAMPLES = 20 };

/* What it has done by itself. */
struct reputation_switch {
	char account[ACCOUNT_ID_SIZE];
	char set[CONFIG_SET_NAME_SIZE]; /* that was paused; "" = the account */
	char alarm[ALARM_NAME_SIZE];	/* whose action it was; "" = none */
	char reason[ALARM_REASON_SIZE];
};
/* What the action of an alarm has paused; and "set NAME, alarm:NAME, reason",
 * or "account, ...", as the system event says it.  Pure. */
enum { REPUTATION_SWITCH_TEXT = CONFIG_SET_NAME_SIZE + ALARM_NAME_SIZE +
	ALARM_REASON_SIZE + 32 };
void reputation_switch_of_alarm(const struct alarm *a,
    const struct alarm_effect *effect, struct reputation_switch *out);
const char *reputation_switch_text(const struct reputation_switch *s,
    char out[REPUTATION_SWITCH_TEXT]);
struct reputation_setup {
	struct loop	  *loop;
	struct spool	  *spool;
	struct book	  *book;
	struct conf	  *conf; /* a reference is taken */
	struct statistics *statistics;
	struct notices	  *notices;
	/* This account or a set of it was paused, or the state has moved; it
	 * is audited, and its mail held or released.  May be NULL. */
	void (*on_switch)(void *arg, const struct reputation_switch *s);
	void  *on_switch_arg;
};
struct reputation *reputation_new(const struct reputation_setup *s);
void reputation_free(struct reputation *r); /* NULL is allowed */
void reputation_begin(struct reputation *r);
void reputation_reload(struct reputation *r, struct conf *conf);
/* There are new events: figures are sampled within a minute. */
void reputation_wake(struct reputation *r);
/* An alarm was made or moved: it is looked at within the interval. */
void reputation_look(struct reputation *r);
void reputation_judge(struct reputation *r, const char *account);
void reputation_stop(struct reputation *r, loop_fn *on_idle, void *arg);

#endif
