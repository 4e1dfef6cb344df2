/* SPDX-License-Identifier: ISC */
/*
 * series.h - what metrics destinations count: one figure for each combination
 * of the values of their dimensions (events.md 11.2).
 *
 * Use:    series_count(s, &destination, ev, &mail, &e) for each event that
 *         it takes; series_each() for the metrics page; series_forget() when
 *         the destination is gone.
 * Owner:  the wiring; lent to who counts and who shows.
 * Thread: any (base/tally.h); the events of one destination are counted by
 *         one thread at a time.
 * Fails:  a value that no label can have is not counted (SERIES_BAD).  Above
 *         SERIES_COMBINATIONS of a destination, and above SERIES_ACCOUNT_OCTETS
 *         of an account, the values of all dimensions become "_other_"; above
 *         SERIES_OCTETS in all a new series has no room (SERIES_FULL).
 *
 * The labels of a series are its key, so a destination whose dimensions change
 * goes on under new ones.  Nothing of it survives the process, as with all
 * counters.
 */
#ifndef REPORTING_SERIES_H
#define REPORTING_SERIES_H

#include "base/mem.h"
#include "mail/event.h"
#include "registry/destination.h"

enum {
	SERIES_COMBINATIONS = 1000,
	SERIES_ACCOUNT_OCTETS = 1024 * 1024, /* of labels */
	SERIES_OCTETS = 4 * 1024 * 1024
};

struct series;
struct series *series_new(void);
void series_free(struct series *s); /* NULL is allowed */

enum series_answer { SERIES_COUNTED, SERIES_BAD, SERIES_FULL };
/* mail NULL: the values are all defaults (a test, of type event "Test"). */
enum series_answer series_count(struct series *s, const struct destination *d,
    const struct event *ev, const struct event_mail *mail);
void series_forget(struct series *s, const struct destination *d);
/* labels: as they stand between the braces of the page. */
void series_each(struct series *s,
    void (*fn)(void *arg, struct bytes labels, uint64_t n), void *arg);

#endif
