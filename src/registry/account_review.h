/* SPDX-License-Identifier: ISC */
/*
 * account_review.h - the states of an account that its reputation decides
 * (reputation.md 3).
 *
 * Use:    account_review_judge(&a, &in, &out) every hour, and whenever a
 *         finding was opened; the operator's commands are the other calls.
 *         What changed is in out: it is told, and the record is written.
 * Owner:  plain data, the caller's; part of struct account.
 * Thread: any; pure.
 * Fails:  never; the operator's commands refuse what the state does not allow
 *         (-1 and *e, a code of book.h).
 *
 *	HEALTHY -- rate or finding --> UNDER_REVIEW (judge_healthy)
 *	HEALTHY, UNDER_REVIEW -- severe finding; third review of one cause in
 *	    180 days --> SENDING_PAUSED
 *	UNDER_REVIEW -- the period ends (judge_end): HEALTHY; UNDER_REVIEW for
 *	    another one; PAUSE_PENDING or SENDING_PAUSED; REVIEW_END_PENDING
 *	PAUSE_PENDING -- 21 days, and the cause goes on --> SENDING_PAUSED when
 *	    reputation.auto_pause, else a reminder a day
 *	REVIEW_END_PENDING, PAUSE_PENDING -- account_review_end() --> as told
 *	any -- account_pause(enforce) --> SENDING_PAUSED
 *	SENDING_PAUSED -- account_resume() by the operator --> UNDER_REVIEW
 *
 * The enforcement of the account follows its state; the switch of the account
 * (sending_enabled) is another matter.
 */
#ifndef REGISTRY_ACCOUNT_REVIEW_H
#define REGISTRY_ACCOUNT_REVIEW_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"

struct account;

/* In the store: never reorder. */
enum account_state {
	STATE_HEALTHY,
	STATE_UNDER_REVIEW,
	STATE_REVIEW_END_PENDING,
	STATE_PAUSE_PENDING,
	STATE_SENDING_PAUSED,
	STATE_PERMANENTLY_PAUSED
};
enum { ACCOUNT_STATES = STATE_PERMANENTLY_PAUSED + 1 };
const char *account_state_to_text(enum account_state s); /* UNDER_REVIEW */
const char *account_state_to_show(enum account_state s); /* Under review */

/* Of one rate. */
enum rate_status {
	RATE_HEALTHY,
	RATE_ALMOST_HEALED, /* caused the review, below the limit since */
	RATE_UNDER_REVIEW,
	RATE_PAUSE_PENDING,
	RATE_SENDING_PAUSED
};
const char *rate_status_to_text(enum rate_status s);

/* Why: a set of them. */
enum {
	CAUSE_BOUNCE_RATE = 1,
	CAUSE_COMPLAINT_RATE = 2,
	CAUSE_FINDING = 4,
	CAUSE_OPERATOR = 8
};
enum { REVIEW_PAST_MAX = 6, REVIEW_REPEAT_DAYS = 180,
	REVIEW_PENDING_DAYS = 21 };
struct account_review {
	enum account_state state;
	struct wall	   since;	/* of the state */
	struct wall	   ends;	/* of the period; 0 = has none */
	struct wall	   fresh_start; /* 0 = none */
	struct wall	   reminded;
	unsigned	   causes; /* of this review */
	enum rate_status   bounce, complaint;
	/* reviews that began, the newest last */
	struct {
		unsigned    causes;
		struct wall began;
	} past[REVIEW_PAST_MAX];
	unsigned past_count;
};

/* What is judged: -1 = too few to be judged. */
struct review_input {
	struct wall now;
	double	    bounce, complaint;
	double	    bounce_review, bounce_pause;
	double	    complaint_review, complaint_pause;
	int64_t	    period_ms;
	bool	    auto_pause;
	bool	    finding_review, finding_pause; /* such a one is open */
};
struct review_change {
	bool		   changed; /* anything: write the record */
	bool		   moved;   /* to another state */
	bool		   is_reminder;
	enum account_state from, to;
	unsigned	   causes;
};
void account_review_judge(struct account *a, const struct review_input *in,
    struct review_change *out);
/* "bounce-rate, finding" */
char *review_causes_to_text(unsigned causes, char out[80]);

/* The operator: begins one; the owner has changed something; ends it. */
int account_review_start(struct account *a, struct wall now,
    int64_t period_ms, struct err *e);
int account_review_extend(struct account *a, struct wall now,
    int64_t extension_ms, struct err *e);
int account_review_end(struct account *a, enum account_state to,
    struct wall now, int64_t period_ms, struct err *e);
/* Any state; what account_pause() and account_resume() call. */
void account_review_enter(struct account *a, enum account_state to,
    struct wall now);
void account_review_rebase(struct account *a, struct wall since);

#endif
