/* SPDX-License-Identifier: ISC */
/*
 * statistics.h - counts what the events tell: the figures of accounts,
 * identities, configuration sets, destination groups, credentials, sources
 * (statistics.md 1 and 2), and the base of their reputation.
 *
 * Use:    s = statistics_new(&setup); statistics_wake(s) at the start and on
 *         new events; statistics_sync() before somebody looks;
 *         statistics_stop().
 * Owner:  the reporter.
 * Thread: the loop's; rows are written by the spool's writer.
 * Fails:  trouble is logged; the cursor stays.
 *
 * Counts gather in memory and go into the spool in the transaction that moves
 * the cursor STATISTICS_CURSOR, after 8,192 events, 512 different counts or a
 * second: a bulk to one group costs a row for thousands of messages, one to
 * very many groups some rows for each, and no transaction of the spool is held
 * up by more than some thousand rows.  After kill -9 they agree with the events
 * up to the cursor, and those after it are counted at the next start.  Refusals
 * for a limit (Throttled) are no events: those since the cursor moved last, of
 * an hour at most, may be lost; so may commands said to receivers.
 *
 * Which recipients lie in identities of the account is looked up in names
 * that are read again when the book has changed, at most every 5 seconds.
 */
#ifndef REPORTING_STATISTICS_H
#define REPORTING_STATISTICS_H

#include "base/thread.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "registry/ledger.h"
#include "store/spool.h"

struct statistics;
#define STATISTICS_CURSOR "statistics"

enum {
	/* Beyond so many names of groups, or of sources, since the start, new
	 * ones are counted as "_other_"; groups that are configured, built-in
	 * or known to send reports have theirs always, beside these.  A name
	 * is some 200 octets of memory; in the store a group to which an
	 * account sends in every hour takes up to 0.6 MB. */
	STATISTICS_NAMES_MAX = 250,
	STATISTICS_EVENTS = 8192,
	STATISTICS_COUNTS = 512
};

typedef void statistics_source_fn(void *arg, const char *ip, uint64_t rcpts,
    uint64_t datas);
typedef void statistics_sources_fn(void *arg, statistics_source_fn *fn,
    void *fn_arg);
struct statistics_setup {
	struct loop   *loop;
	struct spool  *spool;
	struct book   *book;
	struct conf   *conf;   /* a reference is taken */
	struct ledger *ledger; /* of Throttled; NULL = not counted */
	/* Commands said from each source so far; NULL = not counted. */
	statistics_sources_fn *each_source;
	void	      *each_source_arg;
};
struct statistics *statistics_new(const struct statistics_setup *s);
void statistics_free(struct statistics *s); /* NULL is allowed */
void statistics_reload(struct statistics *s, struct conf *conf);
void statistics_wake(struct statistics *s);
/* fn(arg, NULL), perhaps from inside the call: what has happened until now is
 * in the store. */
void statistics_sync(struct statistics *s, loop_fn *fn, void *arg);
/* Accounts whose figures have changed since they were taken, at most max. */
void statistics_take_changed(struct statistics *s, size_t max,
    void (*fn)(void *arg, const char *account), void *arg);
/* The same of sender domains that have a level, and their owners. */
void statistics_take_domains(struct statistics *s, size_t max,
    void (*fn)(void *arg, const char *account, const char *domain),
    void *arg);
void statistics_stop(struct statistics *s, loop_fn *on_idle, void *arg);

#endif
