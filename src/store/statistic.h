/* SPDX-License-Identifier: ISC */
/*
 * statistic.h - figures that outlast the process: rows of counters in spool/,
 * and marks of what was counted once (statistics.md).
 *
 * Use:    on the writer, in the transaction that moves the cursor of what was
 *         read: statistic_add(t, &key, &delta, &e);
 *         from any thread: statistic_each(spool, &question, fn, arg, &e).
 * Owner:  plain data, the caller's; the names of keys are lent.
 * Thread: add, mark and sweep on the writer; the rest from any.
 * Fails:  -1 and *e: the store.
 *
 * A row is (series, account, scope, name, time) and one counter for each
 * thing that is counted; what a series does not count is 0 and costs an octet
 * at most.  Names longer than STATISTIC_NAME_MAX are cut.  Counters are
 * signed: what was counted before it was known to be an exception is taken
 * back, and a sum below 0 is shown as 0.
 */
#ifndef STORE_STATISTIC_H
#define STORE_STATISTIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "mail/message.h"
#include "mail/msgid.h"

struct spool;
struct spool_txn;

/* In the store: never give a number another meaning. */
enum statistic_series {
	STATISTIC_QUARTER = 1, /* 15 minutes, time of the event: 14 days */
	STATISTIC_HOUR,	 /* reputation; the hour of the Send: 90 days.
			    Of groups and sources BASE is what has ended */
	STATISTIC_DAY,	 /* deliverability; day of the Send: 60 days */
	STATISTIC_SAMPLE, /* an hour's rates in millionths: 14 days */
	STATISTIC_LOOP,	 /* groups that sent reports; days: 90 days */
	STATISTIC_TOTAL, /* for ever; time 0 */
	STATISTIC_LEVEL, /* sender domains (IDENTITY), of the owner of the
			    identity; UTC day of the event: 15 days */
	STATISTIC_COMMANDS /* of sources, without an account; UTC days of
			    the commands: 90 days */
};
enum statistic_scope {
	STATISTIC_ACCOUNT = 1, /* name "" */
	STATISTIC_IDENTITY,
	STATISTIC_SET,
	STATISTIC_PROVIDER,	     /* title or name of the group */
	STATISTIC_IDENTITY_PROVIDER, /* statistic_name_pair() */
	STATISTIC_SET_PROVIDER,
	STATISTIC_CREDENTIAL,
	STATISTIC_SOURCE
};
enum statistic_counter {
	COUNT_SENDS,
	COUNT_DELIVERIES,
	COUNT_BOUNCES, /* Permanent */
	COUNT_TRANSIENT,
	COUNT_UNDETERMINED,
	COUNT_SUPPRESSED,
	COUNT_UNSUBSCRIBED,
	COUNT_COMPLAINTS,
	COUNT_REJECTS,
	COUNT_RENDERING,
	COUNT_DELAYS,
	COUNT_OPENS,
	COUNT_CLICKS,
	COUNT_SUBSCRIPTIONS,
	COUNT_SIMULATOR, /* Sends to the simulator */
	COUNT_THROTTLED,
	COUNT_ENDED,	/* recipients with a Delivery or a Bounce */
	COUNT_INVALID,	/* Bounce Permanent General, NoEmail */
	COUNT_SPAM,	/* bounces by spam rules */
	COUNT_OPENED,	/* messages opened at least once */
	COUNT_CLICKED,	/* the same of clicks */
	COUNT_TRACKED,	/* deliveries whose opens can be seen */
	/* of reputation.md 1: what is excluded from the rates is in none */
	COUNT_BASE,	/* counted sends */
	COUNT_HARD,	/* hard bounces of them */
	COUNT_REACHED,	/* deliveries of them */
	/* said to receivers */
	COUNT_RCPTS,
	COUNT_DATAS,	/* DATA, or a message by BDAT */
	COUNT_AUTHENTICATION, /* bounces by policies of DMARC, SPF, DKIM */
	STATISTIC_COUNTERS
};
/* "Sends"; the names of statistics.md 1. */
const char *statistic_counter_to_text(enum statistic_counter c);

enum {
	STATISTIC_NAME_MAX = 200,
	STATISTIC_QUARTER_MS = 15 * 60 * 1000,
	STATISTIC_HOUR_MS = 60 * 60 * 1000,
	STATISTIC_DAY_MS = 24 * 60 * 60 * 1000
};
struct statistic_key {
	enum statistic_series series;
	enum statistic_scope  scope;
	char		      account[ACCOUNT_ID_SIZE];
	struct bytes	      name;
	struct wall	      time; /* of its beginning */
};
struct statistic {
	int64_t n[STATISTIC_COUNTERS];
};
/* Stays at the end of the range, should it ever come there. */
void statistic_sum(struct statistic *to, const struct statistic *more);
bool statistic_is_zero(const struct statistic *s);
/* As shown: 0 when it is less. */
uint64_t statistic_get(const struct statistic *s, enum statistic_counter c);
/* The beginning of the interval of a series that holds a time. */
struct wall statistic_floor(enum statistic_series series, struct wall at);
/* Two names as one, and back; out has STATISTIC_NAME_MAX + 1. */
struct bytes statistic_name_pair(struct bytes a, struct bytes b, char *out);
bool statistic_name_split(struct bytes pair, struct bytes *a, struct bytes *b);

/* -- on the writer -------------------------------------------------------- */
/* 0 / -1; an account that is cut off, or a row below 0, harms nobody. */
int statistic_add(struct spool_txn *t, const struct statistic_key *k,
    const struct statistic *more, struct err *e);
/* Takes the place of what was there. */
int statistic_set(struct spool_txn *t, const struct statistic_key *k,
    const struct statistic *to, struct err *e);
/* What is kept for ever goes with the account it was counted for.  0 / -1 */
int statistic_forget(struct spool_txn *t, const char *account,
    struct err *e);
/* What was counted of a message: one octet of meaning, and 8 of whom. */
struct statistic_mark {
	struct msgid id;
	uint8_t	     what;
	uint64_t     whom; /* hash of the recipients */
};
int statistic_put_mark(struct spool_txn *t, const struct statistic_mark *m,
    struct err *e);
/*
 * Removes what has passed its keeping time: looks at max rows after place
 * and moves it; marks go with keep_ms.  0 / -1.
 */
struct statistic_place {
	size_t n; /* 0 = from the beginning */
	char   p[256];
};
int statistic_sweep(struct spool_txn *t, struct statistic_place *place,
    unsigned max, struct wall now, int64_t keep_ms, struct err *e);

/* -- from any thread ------------------------------------------------------ */
/* 1 = it is there, 0, -1 */
int statistic_has_mark(struct spool *s, const struct statistic_mark *m,
    struct err *e);
struct statistic_question {
	struct statistic_key key; /* its time is not looked at */
	bool		     any_account; /* and any scope and name */
	bool		     any_name; /* else those of key.name alone */
	struct wall	     from, until; /* until is not included; 0 = all */
};
/* In the order of names, then of times, until fn says false. 0 / -1. */
int statistic_each(struct spool *s, const struct statistic_question *q,
    bool (*fn)(void *arg, const struct statistic_key *k,
	const struct statistic *v),
    void *arg, struct err *e);
/* One sum of all rows; 0 / -1. */
int statistic_read(struct spool *s, const struct statistic_question *q,
    struct statistic *out, struct err *e);

/* -- the stored form ------------------------------------------------------ */
enum { STATISTIC_KEY_MAX = 256 };
/* In room: needs no memory. */
struct bytes statistic_key_bytes(const struct statistic_key *k,
    char room[STATISTIC_KEY_MAX]);
bool statistic_decode_key(struct bytes in, struct statistic_key *out);
bool statistic_encode(const struct statistic *s, struct buf *out);
bool statistic_decode(struct bytes in, struct statistic *out);

#endif
