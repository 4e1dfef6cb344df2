/* SPDX-License-Identifier: ISC */
/*
 * outcome.h - what a result means for an envelope: delivered, later, failed;
 * the change and its event.
 *
 * Use:    outcome_decide(&context, attempt, &attempt->envelopes[i], &o);
 *         outcome_fill(&o, ..., &change_item) with memory of the change.
 * Owner:  values; texts live in the arena that is given.
 * Thread: any: pure, time comes in.
 * Fails:  never; a result that says nothing is "later, Undetermined".
 * Rules: delivery.md 3 (schedule), 4.3 and 6.2 (fixed results), 5;
 * classification by mail/classify.c.
 */
#ifndef DELIVERY_OUTCOME_H
#define DELIVERY_OUTCOME_H

#include <stdbool.h>

#include "base/clock.h"
#include "delivery/attempt.h"
#include "mail/classify.h"
#include "mail/event.h"
#include "registry/conf.h"
#include "registry/suppression.h"
#include "store/spool.h"

enum outcome_verdict { OUTCOME_DELIVERED, OUTCOME_LATER, OUTCOME_FAILED };

/* Flags kept in the recipient's row (change_item.flags). */
enum {
	OUTCOME_STICKY_SOURCE = 1, /* 4xx at RCPT or later: same source */
	OUTCOME_DELAY_TOLD = 2,	   /* NOTIFY=DELAY was honoured */
	OUTCOME_IP_BLOCK_SHIFT = 8, /* tries of other addresses, 2 bits */
	OUTCOME_IP_BLOCK_MASK = 3 << OUTCOME_IP_BLOCK_SHIFT
};

struct outcome_context {
	const struct conf     *conf;
	const struct classify *classify;
	struct wall	       now;
	double		       jitter; /* -1 ... 1, drawn by the caller */
	unsigned	       usable_sources; /* for IP blocks */
	const char	      *ehlo; /* reportingMTA */
	int64_t		       retry_ms; /* 0 = by the schedule */
};
struct outcome {
	enum outcome_verdict verdict;
	enum bounce_type     bounce_type;
	enum bounce_subtype  bounce_subtype;
	enum delay_type	     delay_type;
	const char	    *rule; /* of classify, "" without */
	char		     status[12];
	char		     diagnostic[RESULT_TEXT_MAX + 32];
	struct wall	     next;    /* of LATER */
	struct wall	     expires; /* as it holds from now on */
	unsigned	     attempts; /* including this one */
	uint32_t	     flags;
	bool		     ip_block;
	char		     list[CLASSIFY_LIST_MAX]; /* of an IP block */
	char		     url[CLASSIFY_URL_MAX];
};
/* Between two attempts, whatever comes. */
int64_t outcome_longest_wait_ms(const struct conf *c);
void outcome_decide(const struct outcome_context *c, const struct attempt *a,
    const struct attempt_envelope *en, struct outcome *out);
/* The change item with its event (NULL for class system), in arena ar. */
bool outcome_fill(const struct outcome_context *c, const struct attempt *a,
    const struct attempt_envelope *en, const struct outcome *o,
    struct arena *ar, struct change_item *item);
/* Expired while waiting or held: FAILED, 4.4.7, last diagnostic. */
void outcome_expire(const struct outcome_context *c,
    const struct recipient_row *row, struct outcome *out);
/* On a suppression list: final without an attempt (suppression.md 5); the
 * item with its event, in arena ar. */
bool outcome_suppress(const struct outcome_context *c,
    const struct recipient_row *row, enum suppression_answer answer,
    struct arena *ar, struct change_item *item);
/* Next time by the schedule: attempts made so far, end of the last one;
 * false = none is left (delivery.md 3.2, last attempt at expiry). */
bool outcome_next_attempt(const struct conf *c, unsigned attempts,
    struct wall ended, struct wall expires, double jitter,
    struct wall *next);

#endif
