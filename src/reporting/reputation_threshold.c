/* SPDX-License-Identifier: ISC */
/*
 * The findings bounce-rate and complaint-rate: open as long as the rate of an
 * account is at its review value or above (reputation.md 2, 5).  The state of
 * the account follows the rate itself, so they ask for no review of their own.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "reporting/reputation_private.h"

struct threshold {
	enum finding_type type;
	const char	 *noun;
	double		  rate, review;
};
enum { THRESHOLDS = 2 };

static void
threshold_all(const struct review_input *in, struct threshold out[THRESHOLDS])
{
	out[0] = (struct threshold){ FINDING_BOUNCE_RATE, "bounce rate",
		in->bounce, in->bounce_review };
	out[1] = (struct threshold){ FINDING_COMPLAINT_RATE,
		"complaint rate", in->complaint, in->complaint_review };
}

/* 1 = f is open; 0; -1 */
static int
threshold_find(struct db_txn *t, const char *account,
    const struct threshold *x, struct finding *f, struct err *e)
{
	int rc = finding_get_open(t, account, x->type, "account", f, e);

	/* one that the operator has opened is the operator's to close */
	return rc == 1 && f->source != FINDING_BY_THRESHOLD ? 0 : rc;
}

int
reputation_threshold_look(struct db_txn *t, const char *account,
    const struct review_input *in, struct err *e)
{
	struct threshold v[THRESHOLDS];
	struct finding	 f;
	int		 i, rc;

	threshold_all(in, v);
	for (i = 0; i < THRESHOLDS; i++) {
		rc = threshold_find(t, account, &v[i], &f, e);
		if (rc < 0 || (rc == 1) != (v[i].rate >= v[i].review))
			return rc < 0 ? -1 : 1;
	}
	return 0;
}

static int
threshold_open(struct db_txn *t, const char *account,
    const struct threshold *x, struct wall now, struct err *e)
{
	struct finding f;

	memset(&f, 0, sizeof(f));
	bytes_text(bytes_of(account), f.account, sizeof(f.account));
	f.type = x->type;
	f.action = finding_default_action(f.type);
	f.source = FINDING_BY_THRESHOLD;
	f.opened = now;
	strcpy(f.scope, "account");
	snprintf(f.note, sizeof(f.note), "the %s is %.4f, review from %g on",
	    x->noun, x->rate, x->review);
	log_warn("reputation-finding", "account=%s type=%s note=\"%s\"",
	    account, finding_type_to_text(f.type), f.note);
	return finding_open(t, &f, e);
}

int
reputation_threshold_settle(struct db_txn *t, const char *account,
    const struct review_input *in, struct err *e)
{
	struct threshold v[THRESHOLDS];
	struct finding	 f;
	int		 i, rc = 0;

	threshold_all(in, v);
	for (i = 0; i < THRESHOLDS && rc >= 0; i++) {
		rc = threshold_find(t, account, &v[i], &f, e);
		if (rc == 0 && v[i].rate >= v[i].review)
			rc = threshold_open(t, account, &v[i], in->now, e);
		if (rc != 1 || v[i].rate >= v[i].review)
			continue;
		f.state = FINDING_CLOSED;
		f.closed = in->now;
		snprintf(f.close_reason, sizeof(f.close_reason),
		    "the %s is below %g", v[i].noun, v[i].review);
		rc = finding_put(t, &f, e);
	}
	return rc < 0 ? -1 : 0;
}
