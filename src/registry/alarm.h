/* SPDX-License-Identifier: ISC */
/*
 * alarm.h - alarms on the rates of an account or of a configuration set
 * (reputation.md 4).
 *
 * Use:    alarm_create(), alarm_get() ...; alarm_move(t, &a, to, reason, now,
 *         &effect, &e) when its state changes: it executes the actions that
 *         are changes of the book, and tells what is left to do.
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction.
 * Fails:  1 found, 0 not, -1 and *e; create refuses with a code of book.h.
 *
 * A pause is latched: the alarm returns to OK, the switch does not.
 */
#ifndef REGISTRY_ALARM_H
#define REGISTRY_ALARM_H

#include <stdbool.h>

#include "base/clock.h"
#include "mail/message.h"
#include "registry/book.h"
#include "registry/config_set.h"

enum alarm_state { ALARM_OK, ALARM_ALARM };
enum alarm_metric { ALARM_BOUNCE_RATE, ALARM_COMPLAINT_RATE };
const char *alarm_state_to_text(enum alarm_state s);
const char *alarm_metric_to_text(enum alarm_metric m); /* Reputation... */
enum {
	ALARM_NAME_SIZE = 256,
	ALARM_TEXT_SIZE = 256,
	ALARM_HISTORY = 100, /* transitions that are kept */
	ALARM_REASON_SIZE = 128,
	ALARMS_MAX = 1000 /* of an account */
};
struct alarm {
	char	    account[ACCOUNT_ID_SIZE];
	char	    name[ALARM_NAME_SIZE];
	char	    description[ALARM_TEXT_SIZE];
	enum alarm_metric metric;
	char	    set[CONFIG_SET_NAME_SIZE]; /* "" = the account */
	double	    threshold;
	bool	    notifies, pauses;
	enum alarm_state state;
	char	    reason[ALARM_REASON_SIZE]; /* of the state */
	struct wall updated;		       /* of the state; 0 = never */
};
bool alarm_name_is_valid(struct bytes name);
int alarm_create(struct db_txn *t, const struct alarm *a, struct err *e);
int alarm_get(struct db_txn *t, const char *account, const char *name,
    struct alarm *out, struct err *e);
/* Refuses a pause of a set without reputation metrics. */
int alarm_put(struct db_txn *t, const struct alarm *a, struct err *e);
int alarm_delete(struct db_txn *t, const char *account, const char *name,
    struct err *e);
/* account NULL = all; in the order of names */
int alarm_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct alarm *a), void *arg, struct err *e);
int alarm_purge(struct db_txn *t, const char *account, unsigned max,
    struct err *e); /* how many, -1 */

struct alarm_effect {
	bool moved;		/* to another state */
	bool paused_account, paused_set;
	bool must_notify;
	struct config_set_id set; /* that was paused */
};
int alarm_move(struct db_txn *t, struct alarm *a, enum alarm_state to,
    const char *reason, struct wall now, struct alarm_effect *out,
    struct err *e);
/* What the contacts are told, in out; pure. */
enum { ALARM_NOTICE_SIZE = ALARM_NAME_SIZE + ALARM_REASON_SIZE +
	CONFIG_SET_NAME_SIZE + 64 };
const char *alarm_notice(const struct alarm *a,
    const struct alarm_effect *effect, char out[ALARM_NOTICE_SIZE]);
/* The newest first, until fn says false. */
int alarm_history(struct db_txn *t, const struct alarm *a,
    bool (*fn)(void *arg, struct wall at, enum alarm_state to,
	const char *reason),
    void *arg, struct err *e);

/* The stored form; read: false = damaged. */
bool alarm_write_record(const struct alarm *a, struct buf *out);
bool alarm_read_record(struct bytes in, struct alarm *out);

#endif
