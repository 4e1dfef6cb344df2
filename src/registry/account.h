/* SPDX-License-Identifier: ISC */
/*
 * account.h - tenants: state, sandbox or production, allowances, contacts.
 * Use:    account_get(t, id, &a, &e); change it; account_put(t, &a, &e).
 * Owner:  struct account is plain data, the caller's.
 * Thread: that of the transaction.
 * Fails:  1 found, 0 not there, -1 and *e (store).
 */
#ifndef REGISTRY_ACCOUNT_H
#define REGISTRY_ACCOUNT_H

#include <stdbool.h>

#include "base/clock.h"
#include "mail/message.h"
#include "registry/account_review.h"
#include "registry/book.h"
#include "registry/conf.h"

enum account_enforcement {
	ACCOUNT_HEALTHY,
	ACCOUNT_PROBATION,
	ACCOUNT_SHUTDOWN
};
/* how Date, Message-ID and Received are treated; DEFAULT = next level */
enum header_rule { RULE_DEFAULT, RULE_REWRITE, RULE_PRESERVE };
enum received_rule {
	RECEIVED_DEFAULT,
	RECEIVED_ANONYMOUS,
	RECEIVED_FULL,
	RECEIVED_NONE
};
enum { ACCOUNT_CONTACTS_MAX = 4, ACCOUNT_TEXT_MAX = 256 };

/* Of the three levels, the first that says something. */
bool account_rewrites(enum header_rule of_credential,
    enum header_rule of_account, enum conf_rewrite of_conf);

struct account_overrides { /* of account and credential (9.4) */
	enum header_rule   date, message_id;
	enum received_rule received;
};

struct account {
	char	    id[ACCOUNT_ID_SIZE];
	char	    name[ACCOUNT_TEXT_MAX];
	bool	    production;
	bool	    sending_enabled; /* the account's own switch */
	char	    pause_reason[ACCOUNT_TEXT_MAX];
	struct wall paused_since; /* that it may not send; 0 = it may */
	enum account_enforcement enforcement;
	struct wall created, updated;
	struct wall closed; /* 0 = open; else data goes after 90 days */
	double	    max_24h, rate; /* recipients; -1 = unlimited */
	double	    burst;	   /* 0 = rule of quotas.md 4 */
	bool	    marketing;	   /* MailType */
	bool	    auto_warmup;
	bool	    language_ja;
	char	    website[ACCOUNT_TEXT_MAX], use_case[ACCOUNT_TEXT_MAX];
	char	    contacts[ACCOUNT_CONTACTS_MAX][ACCOUNT_TEXT_MAX];
	unsigned    contact_count;
	bool	    suppress_bounce, suppress_complaint;
	struct account_overrides overrides;
	char	    attachments[1024]; /* blocked list; "" = installation's */
	struct account_review review; /* account_review.h */
	struct wall mails_since; /* verification mails of the last hour */
	unsigned    mails;
};

/*
 * A new one: sending, HEALTHY, open; the caller has set name, allowances,
 * production (account.default_production) and created.  Random id when id is
 * "".  Refuses: bad or used id, used name, contacts that are no addresses.
 */
int account_create(struct db_txn *t, struct account *a, struct err *e);
int account_get(struct db_txn *t, const char *id, struct account *out,
    struct err *e);
/* by id or by name (names are unique without case) */
int account_find(struct db_txn *t, const char *id_or_name,
    struct account *out, struct err *e);
int account_put(struct db_txn *t, const struct account *a, struct err *e);
/* Removes the row, after the data that belong to it: 1, 0, -1. */
int account_delete(struct db_txn *t, const char *id, struct err *e);
int account_each(struct db_txn *t,
    bool (*fn)(void *arg, const struct account *a), void *arg, struct err *e);
bool account_may_send(const struct account *a); /* both conditions, open */
/*
 * The switch (quotas.md 7), pure.  enforce: the operator's SHUTDOWN.
 * Resuming what is under enforcement: with by_operator it is under review,
 * with a fresh start; else the switch is set and *e says why nothing is sent
 * yet (-1).
 */
void account_pause(struct account *a, const char *reason, bool enforce,
    struct wall now);
int account_resume(struct account *a, bool by_operator, struct wall now,
    int64_t period_ms, struct err *e);
enum { ACCOUNT_CLOSED_DAYS = 90 };
/* Has it not been allowed to send for so many days? */
bool account_is_paused_for(const struct account *a, unsigned days,
    struct wall now);
/* Closed for that long: it cannot be opened again, and its data go. */
bool account_is_expired(const struct account *a, struct wall now);
/*
 * Removes what belongs to an account, max credentials, identities,
 * configuration sets and entries of its suppression list in this transaction,
 * and at last its row: 1 = it has gone, 0 = there is more, -1.  Its mail has
 * gone long before, by its lifetime.  A source address that was dedicated to
 * it stays the installation's, and unused.
 */
int account_purge(struct db_txn *t, const char *id, unsigned max,
    struct err *e);
const char *account_enforcement_to_text(enum account_enforcement x);

#endif
