/* SPDX-License-Identifier: ISC */
/*
 * topic.h - named endpoints of an account, in the place where SES has SNS
 * topics (events.md 6).
 *
 * Use:    topic_ref_read() from what was typed; topic_init(),
 *         topic_create(); get, change, put.  topic_subscription_init() makes a
 *         destination of it: what goes to the topic goes to each of them.
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction; records, references, topic_may_publish()
 *         are pure.
 * Fails:  1 found, 0 not there, -1 and *e (store); create and put refuse with
 *         a code of book.h.
 *
 * Identities and configuration sets refer to a topic by account and name, as
 * its ARN does: who deletes it and makes it again has these references, too.
 * Its subscriptions are rows of BOOK_DESTINATION under (id of the topic, id of
 * the subscription), and go with it; the id stands where that of a
 * configuration set does.
 */
#ifndef REGISTRY_TOPIC_H
#define REGISTRY_TOPIC_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "mail/message.h"
#include "registry/book.h"

struct destination;
struct event;

enum {
	TOPIC_NAME_SIZE = 257,
	TOPIC_ARN_SIZE = 320,
	TOPICS_MAX = 100, /* of one account */
	TOPIC_SUBSCRIPTIONS_MAX = 10,
	TOPIC_PUBLISHERS_MAX = 50
};

struct topic_ref { /* name "" = none */
	char account[ACCOUNT_ID_SIZE];
	char name[TOPIC_NAME_SIZE];
};
bool topic_name_is_valid(struct bytes name); /* 1-256 of A-Za-z0-9-_ */
/*
 * "arn:aws:sns:us-east-1:123456789012:NAME", whatever the partition and the
 * region; with an account also NAME alone, which is a topic of it.
 */
bool topic_ref_read(struct bytes text, const char *account,
    struct topic_ref *out);
bool topic_ref_eq(const struct topic_ref *a, const struct topic_ref *b);
char *topic_ref_arn(const struct topic_ref *r, const char *region,
    char out[TOPIC_ARN_SIZE]);

struct topic {
	struct topic_ref     ref;
	struct config_set_id id;
	struct wall	     created, updated;
	unsigned	     publisher_count;
	/* other accounts that may publish here */
	char publishers[TOPIC_PUBLISHERS_MAX][ACCOUNT_ID_SIZE];
};
/* A new one, with a fresh id. */
void topic_init(struct topic *x, const char *account, const char *name,
    struct wall now);
/* Its own account, or one of its publishers. */
bool topic_may_publish(const struct topic *x, const char *account);
/* Says whether it stands in the list now; false = there is no room. */
bool topic_add_publisher(struct topic *x, const char *account);

/* -- records --------------------------------------------------------------- */
/* A new one: refuses a name in use, and more than TOPICS_MAX. */
int topic_create(struct db_txn *t, const struct topic *x, struct err *e);
int topic_get(struct db_txn *t, const struct topic_ref *r, struct topic *out,
    struct err *e);
int topic_put(struct db_txn *t, const struct topic *x, struct err *e);
/* With its subscriptions: 1, 0, -1. */
int topic_delete(struct db_txn *t, const struct topic_ref *r, struct err *e);
/* Of an account, or of all (NULL), in the order of their names, until fn says
 * false. */
int topic_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct topic *x), void *arg, struct err *e);
/* All of an account that goes, at most max: how many, -1. */
int topic_purge(struct db_txn *t, const char *account, unsigned max,
    struct err *e);

bool topic_write_record(const struct topic *x, struct buf *out);
bool topic_read_record(struct bytes in, struct topic *out); /* or damaged */

/* -- subscriptions --------------------------------------------------------- */
/* A new one of a topic: a destination in the format of SNS, for all types; its
 * name is its id as a UUID.  destination_create() takes it. */
void topic_subscription_init(const struct topic *x, struct wall now,
    struct destination *out);
enum topic_state {
	TOPIC_WORKS,  /* one subscription at least takes the event */
	TOPIC_SILENT, /* none does: there is none, or none is enabled */
	/* it is not there, the account may not publish to it, or posthorn has
	 * disabled what there was (10.5) */
	TOPIC_DEAD
};
/* Is it a channel for an event of that account (7.3); NULL: for one that
 * happens now?  0 / -1. */
int topic_look(struct db_txn *t, const struct topic_ref *r,
    const char *account, const struct event *ev, enum topic_state *out,
    struct err *e);

#endif
