/* SPDX-License-Identifier: ISC */
/*
 * quota.h - allowances: the rolling day and the sending rate (quotas.md).
 *
 * The day is counted in the spool, inside the transaction that queues the
 * message (quota_admit), and so is the UTC day of a sender domain; the rate is a token bucket in base/tally.h, taken
 * by the session before it submits and given back when the commit refuses.
 *
 * Use:    at DATA            quota_look_ahead(&q, &ask, &found, &e)
 *         at end of data     quota_look_ahead() again, then
 *                            quota_rate_take(tally, &limits, all, now)
 *         then  s->admit = quota_admit; s->undo = quota_undo;
 *               s->admit_ctx = &charge; spool_submit()
 *         receipt refused:   s->refused_by is the enum quota_limit;
 *                            charge.max, charge.sent for the log line;
 *         any result but OK: quota_rate_give(tally, &limits, all)
 *         receipt OK:        charge.crossed_80 / _100: send the warning.
 * Owner:  plain data, the caller's; a charge lives as long as its submission.
 * Thread: look_ahead, rate_* and sent_24h any; admit and undo on the writer.
 * Fails:  look_ahead, sent_24h -1 and *e when the store cannot be read.
 */
#ifndef REGISTRY_QUOTA_H
#define REGISTRY_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/tally.h"
#include "mail/message.h"
#include "store/spool.h"

enum { QUOTA_CREDENTIAL_SIZE = 130 };

/* Order of the tests: the first one that fails gives the reply. */
enum quota_limit {
	QUOTA_PASS,
	QUOTA_ACCOUNT_24H,
	QUOTA_CREDENTIAL_24H,
	QUOTA_DOMAIN_LEVEL,   /* of the UTC day */
	QUOTA_DOMAIN_BLOCKED, /* until its end */
	QUOTA_ACCOUNT_RATE,
	QUOTA_CREDENTIAL_RATE
};
/* "account-24h", "credential-24h", "domain-level", "domain-blocked",
 * "account-rate", "credential-rate"; "" */
const char *quota_limit_to_text(enum quota_limit l);
bool quota_limit_is_daily(enum quota_limit l);
/* "Throttling failure: Daily message quota exceeded" ...; "" for PASS */
const char *quota_limit_to_reply(enum quota_limit l);

/* Below 0 = unlimited (account) or not set (credential). */
struct quota_values {
	double max_24h; /* recipients in 24 h */
	double rate;	/* recipients a second */
	double burst;	/* 0 = rule of quotas.md 4 */
};

/* The sender domain (reputation.md 6): its level is in state/, what was
 * accepted on the UTC day is counted in the spool. */
struct quota_domain {
	char   account[ACCOUNT_ID_SIZE]; /* owner of the identity */
	char   name[201]; /* of level.h; "" = no level binds */
	double max;			 /* recipients of one day */
	bool   blocked;
};

/* All that binds one message; travels by value.  Who pays is the account
 * of the credential (delegated mail included). */
struct quota_limits {
	char		    account[ACCOUNT_ID_SIZE];
	char		    credential[QUOTA_CREDENTIAL_SIZE]; /* user name,
						"" = none (class system) */
	struct quota_values account_values;
	struct quota_values credential_values;
	struct quota_domain domain;
};
void quota_limits_init(struct quota_limits *q); /* everything unlimited */
double quota_burst(const struct quota_values *v);

/* What stood in the way. */
struct quota_finding {
	enum quota_limit limit;
	double		 max, sent; /* of a day; of a rate: rate, 0 */
};

/*
 * Tests without charging.  countable: recipients without the simulator's;
 * 0 passes the 24 h tests.  tally NULL: the rate is not looked at.
 */
struct quota_ask {
	struct spool *spool;
	struct tally *tally;
	unsigned      countable;
	struct wall   now;
	struct mono   mono;
};
int quota_look_ahead(const struct quota_limits *q, const struct quota_ask *ask,
    struct quota_finding *out, struct err *e);

/* n = all recipients, the simulator's included.  PASS: tokens were taken. */
enum quota_limit quota_rate_take(struct tally *t, const struct quota_limits *q,
    unsigned n, struct mono now);
void quota_rate_give(struct tally *t, const struct quota_limits *q,
    unsigned n);

/* The context of quota_admit(): fill the first three. */
struct quota_charge {
	struct quota_limits limits;
	struct wall	    now;
	unsigned	    countable;
	/* after the receipt: */
	struct quota_finding finding; /* of a refusal */
	double		     sent;    /* of the account, this one included */
	/* The account's use passed 80 % / 100 %: tell its contacts.  At most
	 * once in 24 h each; kept in the store. */
	bool crossed_80, crossed_100;
};
int quota_admit(struct submission *s, struct spool_txn *t);
void quota_undo(struct submission *s);

/* SentLast24Hours. */
int quota_sent_24h(struct spool *s, const char *account, struct wall now,
    double *out, struct err *e);
/* The same of a credential; 0 unless it has a limit of its own. */
int quota_credential_sent_24h(struct spool *s, const char *account,
    const char *credential, struct wall now, double *out, struct err *e);

/* Accepted for a sender domain on the UTC day. */
int quota_domain_sent(struct spool *s, const char *account,
    const char *domain, struct wall now, double *out, struct err *e);

#endif
