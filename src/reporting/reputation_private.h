/* SPDX-License-Identifier: ISC */
/*
 * reputation_private.h - what the files of the reputation share.
 *
 *	reputation.c		rounds: samples, states
 *	reputation_alarm.c	alarms that move
 *	reputation_detect.c	findings that the figures show by themselves
 *	reputation_threshold.c	findings that a rate makes and takes back
 *
 * One job of the book is under way at a time; who began it ends with
 * reputation_job_done().
 */
#ifndef REPORTING_REPUTATION_PRIVATE_H
#define REPORTING_REPUTATION_PRIVATE_H

#include "base/table.h"
#include "registry/account_review.h"
#include "registry/finding.h"
#include "reporting/rates.h"
#include "reporting/reputation.h"

struct turn;
struct reputation {
	struct reputation_setup setup;
	struct timer	    tick, pass;
	int64_t		    hour;    /* last judged; 0 = none yet */
	bool		    is_soon; /* the next tick is */
	bool		    has_alarms; /* as seen last */
	struct mono	    sampled; /* last round of samples */
	struct turn	   *turns, **turns_end;
	unsigned	    turn_count;
	/* the round of the hour: behind which account it goes on */
	bool		    is_round_on;
	char		    round_after[ACCOUNT_ID_SIZE];
	/* account -> name of the set behind which it goes on */
	struct table	   *sets_after;
	struct book_job	   *job; /* under way; NULL = none */
	bool		    stopping;
	loop_fn		   *on_idle;
	void		   *on_idle_arg;
};

/* Has it ever sent anything?  The simulator counts here. */
bool reputation_has_sent(struct reputation *r, const char *account);
/* The rates of an account or set; false = they cannot be read. */
bool reputation_read(struct reputation *r, const struct rates_question *q,
    struct rates *out);
/* Of all accounts; begins a job when some of them move. */
void reputation_look_at_alarms(struct reputation *r);
/* Is one of the two to be opened, or closed?  1, 0, -1 */
int reputation_threshold_look(struct db_txn *t, const char *account,
    const struct review_input *in, struct err *e);
/* On the writer: so it is done.  0 / -1 */
int reputation_threshold_settle(struct db_txn *t, const char *account,
    const struct review_input *in, struct err *e);
void reputation_job_done(struct reputation *r);
/* Looks, and begins a job when something is found that is not open yet. */
void reputation_detect(struct reputation *r, const char *account,
    struct wall now);

#endif
