/* SPDX-License-Identifier: ISC */
/*
 * rates.h - bounce and complaint rate over the representative volume
 * (reputation.md 1).
 *
 * Use:    rates_read(spool, conf, &question, &rates, &e).
 * Owner:  plain data, the caller's.
 * Thread: any; reads some hundred rows.
 * Fails:  -1 and *e: the store.
 */
#ifndef REPORTING_RATES_H
#define REPORTING_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "registry/conf.h"
#include "store/spool.h"
#include "store/statistic.h"

enum {
	RATES_DAYS = 90,	   /* at most so far back */
	RATES_MEAN_DAYS = 30,	   /* of which the volume is made */
	RATES_VOLUME_MIN = 1000,
	RATES_VOLUME_MAX = 1000000,
	RATES_MIN_HARD = 5,	   /* below it no bounce rate is judged */
	RATES_MIN_DELIVERIES = 1000,
	RATES_MIN_COMPLAINTS = 2
};
struct rates_question {
	char		     account[ACCOUNT_ID_SIZE];
	enum statistic_scope scope; /* ACCOUNT, SET, IDENTITY ... */
	struct bytes	     name;
	struct wall	     fresh_start; /* 0 = none */
	struct wall	     now;
};
struct rates {
	double	    bounce, complaint; /* fractions; 0 without a base */
	uint64_t    sends, hard;       /* counted ones */
	uint64_t    deliveries;	       /* those that complaints are over */
	uint64_t    complaints;
	struct wall since;  /* beginning of the volume; 0 = no sends */
	uint64_t    volume; /* wanted */
	/* false: no group is known to send reports, all deliveries count */
	bool	    has_loops;
	bool	    bounce_counts, complaint_counts; /* enough to be judged */
};
int rates_read(struct spool *s, const struct conf *c,
    const struct rates_question *q, struct rates *out, struct err *e);

/* Groups that send reports: named in the configuration, or learned. */
struct loops;
struct loops *loops_read(struct spool *s, const struct conf *c,
    struct wall now, struct err *e);
bool loops_has(const struct loops *l, struct bytes provider);
size_t loops_count(const struct loops *l);
void loops_free(struct loops *l); /* NULL is allowed */

#endif
