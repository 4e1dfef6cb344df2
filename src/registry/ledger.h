/* SPDX-License-Identifier: ISC */
/*
 * ledger.h - what the metrics page shows of each account: one page of meters
 * an account (events.md 11).
 *
 * Use:    p = ledger_page(l, account), once where an account becomes known (at
 *         login, when a posting begins); then meter_add(&p->..., 1);
 *         ledger_each() for the metrics page.
 * Owner:  the wiring; pages live as long as the ledger.
 * Thread: any.  No locks: a page is put into its slot by one exchange and
 *         never leaves it.
 * Fails:  never.  Beyond LEDGER_ACCOUNTS_MAX accounts, those that come later
 *         are counted together on the page of "_other_": the number of series
 *         stays bounded.
 * Costs:  finding a page is a hash of 12 digits and usually one comparison, 12
 *         ns on the machine it was written on; a count is one relaxed atomic
 *         addition.  These counts took the place of those of all accounts
 *         together, so a message costs as many additions as before.  What the
 *         submission loops write and what the delivery loop writes lie in
 *         cache lines of their own.
 */
#ifndef REGISTRY_LEDGER_H
#define REGISTRY_LEDGER_H

#include <stdbool.h>

#include "base/meter.h"
#include "mail/classify.h"
#include "mail/event.h"
#include "mail/message.h"

enum { LEDGER_ACCOUNTS_MAX = 1000 };
/* local: the socket of sendmail(1), and posthornctl send */
enum ledger_interface { LEDGER_SMTP, LEDGER_LOCAL, LEDGER_INTERFACES };
enum ledger_result {
	LEDGER_ACCEPTED,
	LEDGER_REFUSED,
	LEDGER_THROTTLED, /* 454 */
	LEDGER_RESULTS
};
enum ledger_limit { LEDGER_RATE, LEDGER_DAILY, LEDGER_OVERLOAD, LEDGER_LIMITS };
/* by which list and for which reason */
enum ledger_list { LEDGER_OWN_BOUNCE, LEDGER_OWN_COMPLAINT, LEDGER_GLOBAL,
	LEDGER_LISTS };
enum { LEDGER_COMPLAINTS = 8 }; /* feedback types that are told apart */
/* "abuse" ... "" for a complaint without report, last "unknown" */
const char *ledger_complaint_to_text(unsigned i);
const char *ledger_interface_to_text(enum ledger_interface i);
const char *ledger_result_to_text(enum ledger_result r);
const char *ledger_limit_to_text(enum ledger_limit l);

struct ledger_page {
	char account[ACCOUNT_ID_SIZE];
	/* the submission loops' */
	_Alignas(64)
	struct meter submissions[LEDGER_INTERFACES][LEDGER_RESULTS];
	struct meter submitted_octets;
	struct meter throttled[LEDGER_LIMITS];
	struct meter tags_dropped;
	struct meter sends; /* Send, in recipients */
	/* the delivery loop's; of commands, too */
	_Alignas(64)
	struct meter events[EVENT_TYPES]; /* but Send; in recipients */
	struct meter bounces[BOUNCE_TYPES][BOUNCE_SUBTYPES];
	struct meter delays[DELAY_TYPES];
	struct meter suppressed[LEDGER_LISTS];
	struct meter complaints[LEDGER_COMPLAINTS];
};

struct ledger;
struct ledger *ledger_new(void);
void ledger_free(struct ledger *l); /* NULL is allowed */
struct ledger_page *ledger_page(struct ledger *l, const char *account);
/* A record other than Send was committed. */
void ledger_count_event(struct ledger_page *p, const struct event *ev);
/* By account, "_other_" last and only when it was needed. */
void ledger_each(struct ledger *l,
    void (*fn)(void *arg, const struct ledger_page *p), void *arg);

#endif
