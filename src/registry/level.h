/* SPDX-License-Identifier: ISC */
/*
 * level.h - sender-domain levels: what a domain may send on one UTC day,
 * adapted to how its mail is received (reputation.md 6).
 *
 * Use:    level_get(t, account, domain, &l, &e) makes level 1 of a domain
 *         without a row; level_judge(&l, &days, now, &change) when figures
 *         have changed; level_put() if change.changed.
 *         level_is_blocked(&l, now), level_limit(&l) bind new mail.
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction; level_judge() any.
 * Fails:  1 found, 0 not there (*out is level 1), -1 and *e (store).
 *
 * The domain is the verified domain identity of the header From, account the
 * owner of that identity: a delegate uses up the owner's level.  A row stays
 * when the identity goes: who adds it again is where it was.
 */
#ifndef REGISTRY_LEVEL_H
#define REGISTRY_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "mail/message.h"
#include "registry/book.h"

enum {
	LEVEL_MAX = 20,
	LEVEL_ABOVE = 21, /* its limit is the operator's */
	LEVEL_SENT_MIN = 300, /* nothing is lowered or blocked up to it */
	LEVEL_DAYS = 14,  /* so long figures are kept */
	LEVEL_DOMAIN_SIZE = 201 /* longer ones are cut, as in figures */
};

struct level {
	char	 account[ACCOUNT_ID_SIZE];
	char	 domain[LEVEL_DOMAIN_SIZE];
	unsigned level; /* 1 to LEVEL_ABOVE */
	uint64_t limit; /* of LEVEL_ABOVE */
	/* UTC days since 1970; 0 = never */
	int64_t day;	     /* up to which it was judged, not included */
	int64_t held_day;    /* a lowering rule held: it is not raised */
	int64_t blocked_day; /* nothing is accepted on it */
	struct wall since;   /* that it has this level */
};

/* Of one UTC day; what is not counted stands for 0. */
struct level_figures {
	uint64_t sent, delivered, invalid, spam, complaints;
	uint64_t opened, tracked; /* tracked 0: no open rate */
};
/* v[LEVEL_DAYS - 1] is today. */
struct level_days {
	int64_t		     today;
	struct level_figures v[LEVEL_DAYS];
};
struct level_change {
	bool	 changed; /* the row has to be written */
	unsigned from, to; /* levels */
	bool	 blocked; /* since now */
};

int64_t level_day(struct wall at);
/* Recipients a day. */
uint64_t level_limit(const struct level *l);
bool level_is_blocked(const struct level *l, struct wall now);
/* Which rule holds; pure, for level_judge(), shows and tests. */
bool level_rises(const struct level_figures *f, uint64_t limit);
bool level_falls(const struct level_figures *f);
bool level_blocks(const struct level_figures *f);
/*
 * Judges the days that have ended since it was judged last (lowers by one for
 * each that gives cause), then today: raises by one, or blocks.  Done twice
 * with the same figures, the second time changes nothing; the same in a
 * transaction, with the row as it is there.
 */
void level_judge(struct level *l, const struct level_days *d,
    struct wall now, struct level_change *out);
/* By the operator: a level, or a limit above level 20.  -1 and *e: it is
 * neither. */
int level_set(struct level *l, uint64_t n, struct wall now, struct err *e);

int level_get(struct db_txn *t, const char *account, const char *domain,
    struct level *out, struct err *e);
int level_put(struct db_txn *t, const struct level *l, struct err *e);
/* All of an account that goes, at most max: how many, -1. */
int level_purge(struct db_txn *t, const char *account, unsigned max,
    struct err *e);

/* The stored form; read: false = damaged. */
bool level_write_record(const struct level *l, struct buf *out);
bool level_read_record(struct bytes in, struct level *out);

#endif
