/* SPDX-License-Identifier: ISC */
/*
 * notification.h - to which topics an identity's bounces, complaints and
 * deliveries are told (events.md 7.1).
 *
 * Use:    notification_get(t, account, name, &n, &e) (nothing is set when it
 *         finds none); notification_set(&n, kind, &topic, now);
 *         notification_put(); notification_takes(&n, ev) says where an event
 *         goes.
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction; records and decisions are pure.
 * Fails:  1 found, 0 not there, -1 and *e (store).
 *
 * A row of its own for each identity that has topics, apart from identity.h:
 * it is read for every event.  An event goes where the setting pointed when it
 * happened, also when it is told later: the setting before the present one is
 * kept, the one before that is not.
 */
#ifndef REGISTRY_NOTIFICATION_H
#define REGISTRY_NOTIFICATION_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "mail/event.h"
#include "registry/book.h"
#include "registry/identity.h"
#include "registry/topic.h"

enum notification_kind {
	NOTIFICATION_BOUNCE,
	NOTIFICATION_COMPLAINT,
	NOTIFICATION_DELIVERY,
	NOTIFICATION_KINDS
};
extern const char *const notification_kind_names[]; /* "Bounce", NULL last */
bool notification_kind_of(enum event_type type, enum notification_kind *out);

struct notification_way {
	struct topic_ref topic; /* name "" = none */
	bool		 headers; /* its records show header fields */
	struct wall	 since, until; /* until: of a former one */
};
struct notification {
	char account[ACCOUNT_ID_SIZE]; /* the identity's owner */
	char identity[IDENTITY_NAME_SIZE];
	struct notification_way now[NOTIFICATION_KINDS];
	struct notification_way former[NOTIFICATION_KINDS];
};
void notification_init(struct notification *n, const char *account,
    const char *identity);
/* NULL removes it; false = it was so already.  Header fields are off with
 * another topic. */
bool notification_set(struct notification *n, enum notification_kind kind,
    const struct topic_ref *topic, struct wall now);
/* Of the identity; NULL = it goes nowhere. */
const struct notification_way *notification_takes(
    const struct notification *n, const struct event *ev);
bool notification_names(const struct notification *n,
    const struct topic_ref *topic); /* now, not formerly */

/* -- records --------------------------------------------------------------- */
/* 0: *out is that of an identity without topics. */
int notification_get(struct db_txn *t, const char *account,
    const char *identity, struct notification *out, struct err *e);
/* One that says nothing any more goes. */
int notification_put(struct db_txn *t, const struct notification *n,
    struct err *e);
int notification_delete(struct db_txn *t, const char *account,
    const char *identity, struct err *e);
/* Of an account, or of all (NULL), until fn says false. */
int notification_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct notification *n), void *arg,
    struct err *e);

bool notification_write_record(const struct notification *n,
    struct buf *out);
bool notification_read_record(struct bytes in, struct notification *out);

#endif
