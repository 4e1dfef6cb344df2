/* SPDX-License-Identifier: ISC */
#include "registry/account_review.h"

#include <stdio.h>
#include <string.h>

#include "registry/account.h"

static const int64_t day_ms = 24 * 60 * 60 * 1000;
enum { REPEATED = 3 }; /* the third review of one cause is a pause */

/* -- names ----------------------------------------------------------------- */

const char *
account_state_to_text(enum account_state s)
{
	static const char *const names[] = { "HEALTHY", "UNDER_REVIEW",
		"REVIEW_END_PENDING", "PAUSE_PENDING", "SENDING_PAUSED",
		"PERMANENTLY_PAUSED" };

	return names[s];
}

const char *
account_state_to_show(enum account_state s)
{
	static const char *const names[] = { "Healthy", "Under review",
		"Under review", "Under review (At risk)", "Paused",
		"Paused" };

	return names[s];
}

const char *
rate_status_to_text(enum rate_status s)
{
	static const char *const names[] = { "HEALTHY", "ALMOST_HEALED",
		"UNDER_REVIEW", "PAUSE_PENDING", "SENDING_PAUSED" };

	return names[s];
}

char *
review_causes_to_text(unsigned causes, char out[80])
{
	static const char *const names[] = { "bounce-rate", "complaint-rate",
		"finding", "operator" };
	size_t	 n = 0;
	unsigned i;

	out[0] = '\0';
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((causes & 1u << i) != 0)
			n += (size_t)snprintf(out + n, 80 - n, "%s%s",
			    n > 0 ? ", " : "", names[i]);
	return out;
}

/* -- moves ----------------------------------------------------------------- */

void
account_review_enter(struct account *a, enum account_state to,
    struct wall now)
{
	struct account_review *r = &a->review;

	if (r->state != to)
		r->since = now;
	r->state = to;
	r->ends.ms = r->reminded.ms = 0;
	switch (to) {
	case STATE_HEALTHY:
		a->enforcement = ACCOUNT_HEALTHY;
		r->causes = 0;
		r->bounce = r->complaint = RATE_HEALTHY;
		break;
	case STATE_UNDER_REVIEW:
	case STATE_REVIEW_END_PENDING:
		a->enforcement = ACCOUNT_PROBATION;
		break;
	case STATE_PAUSE_PENDING:
		a->enforcement = ACCOUNT_PROBATION;
		r->ends.ms = now.ms + REVIEW_PENDING_DAYS * day_ms;
		break;
	case STATE_SENDING_PAUSED:
	case STATE_PERMANENTLY_PAUSED:
		a->enforcement = ACCOUNT_SHUTDOWN;
		break;
	}
	a->updated = now;
}

void
account_review_rebase(struct account *a, struct wall since)
{
	a->review.fresh_start = since;
}

static void
review_note_begin(struct account_review *r, unsigned causes, struct wall now)
{
	if (r->past_count == REVIEW_PAST_MAX) {
		memmove(&r->past[0], &r->past[1],
		    (REVIEW_PAST_MAX - 1) * sizeof(r->past[0]));
		r->past_count--;
	}
	r->past[r->past_count].causes = causes;
	r->past[r->past_count++].began = now;
}

static void
review_begin(struct account *a, unsigned causes, struct wall now,
    int64_t period_ms)
{
	account_review_enter(a, STATE_UNDER_REVIEW, now);
	a->review.causes = causes;
	a->review.ends.ms = now.ms + period_ms;
	review_note_begin(&a->review, causes, now);
}

/* How often one of these causes began a review lately. */
static unsigned
review_count_past(const struct account_review *r, unsigned causes,
    struct wall now)
{
	unsigned i, n = 0;

	for (i = 0; i < r->past_count; i++)
		n += (r->past[i].causes & causes) != 0 &&
		    now.ms - r->past[i].began.ms < REVIEW_REPEAT_DAYS * day_ms;
	return n;
}

/* -- judging --------------------------------------------------------------- */

static unsigned
causes_of(const struct review_input *in)
{
	unsigned causes = 0;

	if (in->bounce >= in->bounce_review)
		causes |= CAUSE_BOUNCE_RATE;
	if (in->complaint >= in->complaint_review)
		causes |= CAUSE_COMPLAINT_RATE;
	if (in->finding_review)
		causes |= CAUSE_FINDING;
	return causes;
}

static bool
is_at_risk(const struct review_input *in)
{
	return in->bounce >= in->bounce_pause ||
	    in->complaint >= in->complaint_pause;
}

static enum rate_status
rate_judge(const struct account_review *r, unsigned cause, bool is_above)
{
	if (is_above && r->state == STATE_PAUSE_PENDING)
		return RATE_PAUSE_PENDING;
	if (is_above)
		return RATE_UNDER_REVIEW;
	return (r->causes & cause) != 0 ? RATE_ALMOST_HEALED : RATE_HEALTHY;
}

static void
judge_rates(struct account *a, const struct review_input *in,
    struct review_change *out)
{
	struct account_review *r = &a->review;
	enum rate_status       b, c;

	b = rate_judge(r, CAUSE_BOUNCE_RATE, in->bounce >= in->bounce_review);
	c = rate_judge(r, CAUSE_COMPLAINT_RATE,
	    in->complaint >= in->complaint_review);
	out->changed |= b != r->bounce || c != r->complaint;
	r->bounce = b;
	r->complaint = c;
}

static void
judge_healthy(struct account *a, const struct review_input *in)
{
	unsigned causes = causes_of(in);

	if (causes == 0)
		return;
	if (review_count_past(&a->review, causes, in->now) + 1 >= REPEATED) {
		review_note_begin(&a->review, causes, in->now);
		account_review_enter(a, STATE_SENDING_PAUSED, in->now);
		a->review.causes = causes;
	} else {
		review_begin(a, causes, in->now, in->period_ms);
	}
}

static void
judge_end(struct account *a, const struct review_input *in,
    struct review_change *out)
{
	struct account_review *r = &a->review;
	unsigned	       causes = causes_of(in);

	if (r->ends.ms == 0 || in->now.ms < r->ends.ms)
		return;
	if (is_at_risk(in)) {
		account_review_enter(a, in->auto_pause ? STATE_SENDING_PAUSED
		    : STATE_PAUSE_PENDING, in->now);
	} else if ((causes & ~(unsigned)CAUSE_FINDING) != 0) {
		r->ends.ms = in->now.ms + in->period_ms;
		r->causes |= causes;
		out->changed = true;
	} else if (in->finding_review) {
		account_review_enter(a, STATE_REVIEW_END_PENDING, in->now);
	} else {
		account_review_enter(a, STATE_HEALTHY, in->now);
	}
}

static void
judge_pending(struct account *a, const struct review_input *in,
    struct review_change *out)
{
	struct account_review *r = &a->review;

	if (in->now.ms < r->ends.ms || !is_at_risk(in))
		return;
	if (in->auto_pause) {
		account_review_enter(a, STATE_SENDING_PAUSED, in->now);
	} else if (in->now.ms - r->reminded.ms >= day_ms) {
		r->reminded = in->now;
		out->is_reminder = out->changed = true;
	}
}

void
account_review_judge(struct account *a, const struct review_input *in,
    struct review_change *out)
{
	struct account_review *r = &a->review;

	memset(out, 0, sizeof(*out));
	out->from = r->state;
	if ((r->state == STATE_HEALTHY || r->state == STATE_UNDER_REVIEW) &&
	    in->finding_pause) {
		account_review_enter(a, STATE_SENDING_PAUSED, in->now);
		r->causes |= CAUSE_FINDING;
	} else if (r->state == STATE_HEALTHY) {
		judge_healthy(a, in);
	} else if (r->state == STATE_UNDER_REVIEW) {
		judge_end(a, in, out);
	} else if (r->state == STATE_PAUSE_PENDING) {
		judge_pending(a, in, out);
	}
	if (a->enforcement == ACCOUNT_PROBATION)
		judge_rates(a, in, out);
	out->to = r->state;
	out->causes = r->causes;
	out->moved = out->from != out->to;
	out->changed |= out->moved;
}

/* -- the operator ---------------------------------------------------------- */

int
account_review_start(struct account *a, struct wall now, int64_t period_ms,
    struct err *e)
{
	if (a->review.state != STATE_HEALTHY)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the account is %s", account_state_to_text(
			a->review.state));
	review_begin(a, CAUSE_OPERATOR, now, period_ms);
	return 0;
}

/* What was sent before the change is not judged any more. */
int
account_review_extend(struct account *a, struct wall now,
    int64_t extension_ms, struct err *e)
{
	if (a->review.state != STATE_UNDER_REVIEW)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the account is %s", account_state_to_text(
			a->review.state));
	account_review_rebase(a, now);
	a->review.ends.ms = now.ms + extension_ms;
	a->updated = now;
	return 0;
}

int
account_review_end(struct account *a, enum account_state to, struct wall now,
    int64_t period_ms, struct err *e)
{
	enum account_state from = a->review.state;

	if (to != STATE_PERMANENTLY_PAUSED && a->enforcement !=
	    ACCOUNT_PROBATION)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the account is %s", account_state_to_text(from));
	account_review_enter(a, to, now);
	if (to == STATE_UNDER_REVIEW)
		a->review.ends.ms = now.ms + period_ms;
	/* or the next hour would find the same again */
	if (to == STATE_HEALTHY)
		account_review_rebase(a, now);
	return 0;
}
