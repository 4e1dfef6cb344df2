/* SPDX-License-Identifier: ISC */
#include "reporting/detector.h"

#include <stdio.h>
#include <string.h>

#include "store/statistic.h"

enum { HOURS = 7 * 24 + 1, QUARTERS = 4 /* before this one */ };

struct figures {
	int64_t	 first; /* hour since 1970 */
	uint64_t sends[HOURS]; /* the last one has ended last */
	int64_t	 recent; /* ms: refusals count from there on */
	uint64_t refusals;
};

static bool
figures_on_row(void *arg, const struct statistic_key *k,
    const struct statistic *v)
{
	struct figures *f = arg;
	int64_t		at = k->time.ms / STATISTIC_HOUR_MS - f->first;

	if (at >= 0 && at < HOURS)
		f->sends[at] += statistic_get(v, COUNT_SENDS);
	if (k->time.ms >= f->recent)
		f->refusals += statistic_get(v, COUNT_AUTHENTICATION);
	return true;
}

static int
figures_read(struct spool *s, const char *account, struct wall now,
    struct figures *out, struct err *e)
{
	struct statistic_question q;

	memset(out, 0, sizeof(*out));
	out->first = now.ms / STATISTIC_HOUR_MS - HOURS;
	out->recent = statistic_floor(STATISTIC_QUARTER, now).ms -
	    QUARTERS * (int64_t)STATISTIC_QUARTER_MS;
	memset(&q, 0, sizeof(q));
	q.key.series = STATISTIC_QUARTER;
	q.key.scope = STATISTIC_ACCOUNT;
	bytes_text(bytes_of(account), q.key.account, sizeof(q.key.account));
	q.from.ms = out->first * STATISTIC_HOUR_MS;
	return statistic_each(s, &q, figures_on_row, out, e);
}

int
detector_look(struct spool *s, const char *account, struct wall now,
    struct detector_found found[DETECTOR_FOUND_MAX], struct err *e)
{
	struct figures f;
	uint64_t       highest = 0, volume;
	int	       i, n = 0;

	if (figures_read(s, account, now, &f, e) < 0)
		return -1;
	volume = f.sends[HOURS - 1];
	for (i = 0; i < HOURS - 1; i++)
		if (f.sends[i] > highest)
			highest = f.sends[i];
	if (volume > DETECTOR_VOLUME && volume > highest * DETECTOR_TIMES) {
		found[n].type = FINDING_PATTERN;
		snprintf(found[n++].note, FINDING_NOTE_SIZE,
		    "%llu recipients in an hour; at most %llu in one of the "
		    "seven days before", (unsigned long long)volume,
		    (unsigned long long)highest);
	}
	if (f.refusals >= DETECTOR_REFUSALS) {
		found[n].type = FINDING_AUTHENTICATION;
		snprintf(found[n++].note, FINDING_NOTE_SIZE,
		    "%llu refusals by policies of DMARC, SPF or DKIM within "
		    "an hour", (unsigned long long)f.refusals);
	}
	return n;
}
