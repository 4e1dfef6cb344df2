/* SPDX-License-Identifier: ISC */
/*
 * levels.h - looks at what became of the mail of sender domains, and moves
 * their levels (reputation.md 6).  With reputation.levels only.
 *
 * Use:    l = levels_new(&setup); levels_begin(l); levels_stop().
 * Owner:  the reporter.
 * Thread: the loop's; rows are written by the book's writer, which judges the
 *         row as it is then (registry/level.h).
 * Fails:  trouble is logged; the next look judges again.
 *
 * Every minute of the wall clock the figures are brought up to date and the
 * domains that have new ones are judged, at most LEVELS_AT_ONCE; at 00:00 UTC,
 * at the start and when levels are switched on, all that have any.
 */
#ifndef REPORTING_LEVELS_H
#define REPORTING_LEVELS_H

#include "base/thread.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "registry/level.h"
#include "reporting/notices.h"
#include "reporting/statistics.h"
#include "store/spool.h"

struct levels;
enum { LEVELS_AT_ONCE = 1000 };

struct levels_setup {
	struct loop	  *loop;
	struct spool	  *spool;
	struct book	  *book;
	struct conf	  *conf; /* a reference is taken */
	struct statistics *statistics;
	struct notices	  *notices;
};
struct levels *levels_new(const struct levels_setup *s);
void levels_free(struct levels *l); /* NULL is allowed */
void levels_begin(struct levels *l);
void levels_reload(struct levels *l, struct conf *conf);
void levels_stop(struct levels *l, loop_fn *on_idle, void *arg);

/* What is known of the last days of a domain; any thread.  0 / -1. */
int levels_read_days(struct spool *s, const char *account,
    const char *domain, struct wall now, struct level_days *out,
    struct err *e);

#endif
