/* SPDX-License-Identifier: ISC */
/*
 * config_set.h - configuration sets: named rules of an account that a message
 * is bound to (configuration-sets.md).
 *
 * Use:    config_set_get(t, account, name, &s, &e) for the set that a message
 *         names; config_set_find(t, &id, &s, &e) for the one that a stored
 *         message was bound to, which a later set of the same name is not.
 *         Commands: config_set_init(), config_set_create(); get, change, put.
 * Owner:  plain data, the caller's.  Labels (Tags) are a row of their own,
 *         which the way of a message never reads; their texts live in the
 *         arena that the caller gives.
 * Thread: that of the transaction; states, records and JSON are pure.
 * Fails:  1 found, 0 not there, -1 and *e (store); create, put and reading
 *         JSON refuse with a code of book.h.
 * Event destinations are rows of BOOK_DESTINATION under (id of the set, name);
 * they go with their set.
 */
#ifndef REGISTRY_CONFIG_SET_H
#define REGISTRY_CONFIG_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "mail/message.h"
#include "registry/book.h"
#include "registry/resource_tags.h"

enum {
	CONFIG_SET_NAME_SIZE = 65,
	CONFIG_SET_REASON_SIZE = 80,
	CONFIG_SET_ACTOR_SIZE = 128,
	CONFIG_SETS_MAX = 10000, /* of one account */
	CONFIG_SET_DELIVERY_MIN_S = 300,
	CONFIG_SET_DELIVERY_MAX_S = 50400
};
enum https_policy { HTTPS_OPTIONAL, HTTPS_REQUIRE, HTTPS_REQUIRE_OPEN_ONLY };
const char *https_policy_to_text(enum https_policy p);
bool https_policy_from_text(const char *s, enum https_policy *out);
enum vdm_switch { VDM_ABSENT, VDM_ENABLED, VDM_DISABLED };

struct config_set {
	char	    account[ACCOUNT_ID_SIZE];
	char	    name[CONFIG_SET_NAME_SIZE];
	struct config_set_id id;
	struct wall created, updated;
	/* SendingOptions */
	bool	    sending;
	char	    pause_reason[CONFIG_SET_REASON_SIZE]; /* "manual",
						"alarm:NAME"; "" = not paused */
	struct wall paused_since; /* 0 = not paused */
	char	    paused_by[CONFIG_SET_ACTOR_SIZE];
	/* DeliveryOptions */
	bool	    require_tls;
	char	    pool[POOL_NAME_SIZE]; /* "" = none named */
	unsigned    max_delivery_s; /* 0 = the lifetime of the queue */
	/* ReputationOptions; times 0 = never */
	bool	    reputation;
	struct wall reputation_since, fresh_start;
	/* SuppressionOptions; else the account's reasons count */
	bool	    own_suppression, suppress_bounce, suppress_complaint;
	/* TrackingOptions */
	char	    redirect_domain[254]; /* "" = none */
	enum https_policy https;
	/* VdmOptions */
	enum vdm_switch engagement, shared_delivery;
};
/* A new one: everything at its default, a fresh id. */
void config_set_init(struct config_set *s, const char *account,
    const char *name, struct wall now);
bool config_set_name_is_valid(struct bytes name); /* 1-64 of A-Za-z0-9-_ */

/* -- states (section 4), pure: false = it was so already ------------------ */
bool config_set_pause(struct config_set *s, const char *reason,
    const char *actor, struct wall now);
/* A fresh start of its reputation. */
bool config_set_resume(struct config_set *s, struct wall now);
/* Counting begins when it is switched on. */
void config_set_switch_reputation(struct config_set *s, bool on,
    struct wall now);
/* From when on its rates are: its fresh start, or the moment in which they were
 * switched on, if that was later; 0 = from its first mail. */
struct wall config_set_counts_from(const struct config_set *s);

/* -- labels --------------------------------------------------------------- */
/* 0, also when there are none; -1. */
int config_set_tags_get(struct db_txn *t, const struct config_set *s,
    struct arena *a, struct resource_tags *out, struct err *e);
int config_set_tags_put(struct db_txn *t, const struct config_set *s,
    const struct resource_tags *tags, struct err *e);

/* -- records -------------------------------------------------------------- */
/* A new one: refuses a name in use, and more than CONFIG_SETS_MAX. */
int config_set_create(struct db_txn *t, const struct config_set *s,
    struct err *e);
int config_set_get(struct db_txn *t, const char *account, struct bytes name,
    struct config_set *out, struct err *e);
int config_set_find(struct db_txn *t, const struct config_set_id *id,
    struct config_set *out, struct err *e);
int config_set_put(struct db_txn *t, const struct config_set *s,
    struct err *e);
/* With its labels and its event destinations: 1, 0, -1. */
int config_set_delete(struct db_txn *t, const char *account, const char *name,
    struct err *e);
/* In ascending order of names, until fn says false. */
int config_set_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct config_set *s), void *arg,
    struct err *e);
/* Event destinations that it has: 0 or more, -1. */
int config_set_count_destinations(struct db_txn *t,
    const struct config_set_id *id, struct err *e);
/*
 * Is the host name a verified domain of the account, or below one?  Refuses
 * when it is not (section 6.5); "" is allowed.
 */
int config_set_check_redirect(struct db_txn *t, const struct config_set *s,
    struct wall now, struct err *e);

/* The stored forms; read: false = damaged.  id, account and name as well. */
bool config_set_write_record(const struct config_set *s, struct buf *out);
bool config_set_read_record(struct bytes in, struct config_set *out);

/* -- JSON (section 1): config_set_json.c ---------------------------------- */
/* What was read; a group that is absent, or null, changes nothing. */
struct config_set_input {
	char name[CONFIG_SET_NAME_SIZE]; /* "" = absent */
	bool has_tracking, has_delivery, has_reputation, has_sending,
	    has_tags, has_suppression, has_vdm;
	struct config_set      given; /* the groups that are there */
	struct resource_tags tags;
};
/*
 * Unknown members, wrong types and wrong values are refused with their place:
 * "DeliveryOptions.TlsPolcy: unknown member".  Texts live in the arena.
 */
int config_set_read_json(struct bytes text, struct arena *a,
    struct config_set_input *out, struct err *e);
/*
 * Replaces the groups that were given, all but the sending switch and the
 * labels: the first is a change of state, the second is another row.
 */
void config_set_apply(struct config_set *s, const struct config_set_input *in,
    struct wall now);
/* One object; false = no room.  With the state of a pause, and its times. */
bool config_set_write_json(const struct config_set *s,
    const struct resource_tags *tags, struct buf *out);
/* The same structure with empty values. */
extern const char config_set_skeleton[];

#endif
