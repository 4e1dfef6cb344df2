/* SPDX-License-Identifier: ISC */
/*
 * control_stats.h - what the commands of figures share: stats and reputation.
 *
 * Use:    see each call.
 * Owner:  what is returned is the caller's.
 * Thread: a worker, or main for a few rows.
 * Fails:  -1 and q->err.
 */
#ifndef DAEMON_CONTROL_STATS_H
#define DAEMON_CONTROL_STATS_H

#include "daemon/control_private.h"
#include "reporting/rates.h"
#include "store/statistic.h"

/* 2026-03-02T10:15:00Z */
json_t *json_of_seconds(struct wall w);
/* A part of a whole; null without a whole. */
json_t *json_of_ratio(double part, double whole);
/* Of the account of the request: whose rows of a series. */
void stats_question(const struct request *q, enum statistic_series series,
    enum statistic_scope scope, const char *name,
    struct statistic_question *out);
/* Of the account, a set, or anything else of it. */
int stats_rates(struct request *q, enum statistic_scope scope,
    const char *name, struct wall fresh_start, struct rates *out);
/*
 * How a rate stands: the status of reputation.md 3.1, and the word that is
 * shown for it ("At risk").  Without an account it is of a set, which has no
 * review: its rates alone say how it stands.
 */
struct rate_limits {
	double review, pause;
};
const char *stats_rate_status(const struct account *a, bool is_bounce,
    const struct rates *r, const struct rate_limits *l, const char **shown);
struct rate_limits stats_limits(const struct conf *c, bool is_bounce);

/* control_stats_table.c */
void stats_table(struct request *q);
void stats_funnel(struct request *q);

#endif
