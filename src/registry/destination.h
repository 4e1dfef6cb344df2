/* SPDX-License-Identifier: ISC */
/*
 * destination.h - event destinations: where the records of a configuration
 * set go (events.md 8), and the subscriptions of a topic.
 *
 * Use:    destination_init(), then destination_read_json() or the members;
 *         destination_create(); get, change, put; destination_each() for those
 *         of a set, or of all.
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction; records, JSON and destination_wants() are
 *         pure.
 * Fails:  1 found, 0 not there, -1 and *e (store); create, put and reading
 *         JSON refuse with a code of book.h.
 *
 * A destination takes the events that happen from .since on and, once it is
 * disabled, before .until: what happened before is still told.  Enabled
 * again, it does not take what happened meanwhile (.gap_from to .gap_to).
 * Its id stands for it in the spool: one that is made again under the same
 * name begins anew.
 * The key of a webhook is stored as it is: whoever may read state/ can sign.
 * A subscription (topic.h) is a file or a webhook that belongs to a topic in
 * place of a set; one of kind TOPIC hands what it takes to each of them.
 */
#ifndef REGISTRY_DESTINATION_H
#define REGISTRY_DESTINATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "mail/event.h"
#include "registry/book.h"
#include "registry/config_set.h"
#include "registry/topic.h"

enum {
	DESTINATION_NAME_SIZE = 65,
	DESTINATION_FILE_SIZE = 129,
	DESTINATIONS_MAX = 10, /* of one set */
	DESTINATION_KEEP_MAX = 100000,
	DESTINATION_ALL_TYPES = (1 << EVENT_TYPES) - 1,
	DESTINATION_ALL_BOUNCES = (1 << (BOUNCE_TRANSIENT + 1)) - 1,
	DESTINATION_REASON_SIZE = 64,
	DESTINATION_URL_SIZE = 1025,
	DESTINATION_HEADERS_MAX = 10,
	DESTINATION_HEADERS_SIZE = 1024,
	DESTINATION_TIMEOUT_MAX_S = 60,
	DESTINATION_IN_FLIGHT_MAX = 64,
	DESTINATION_LIST_SIZE = 512, /* of a member of a filter */
	DESTINATION_DIMENSIONS_MAX = 10,
	DIMENSION_TEXT_MAX = 256, /* of a name, of a value */
	DIMENSION_LABEL_SIZE = 4 + DIMENSION_TEXT_MAX + 1,
	DESTINATION_DIMENSIONS_SIZE =
	    DESTINATION_DIMENSIONS_MAX * (2 * DIMENSION_TEXT_MAX + 3) + 1,
	WEBHOOK_KEY_OCTETS = 32,
	WEBHOOK_SECRET_SIZE = 6 + 44 + 1, /* whsec_... */
	WEBHOOK_OLD_KEY_MS = 24 * 3600 * 1000 /* it signs as well */
};
enum destination_kind {
	DESTINATION_FILE,
	DESTINATION_WEBHOOK,
	DESTINATION_METRICS, /* counts; carries no records */
	DESTINATION_TOPIC
};
extern const char *const destination_kind_names[]; /* "file" */
enum rotate_interval { ROTATE_NONE, ROTATE_HOURLY, ROTATE_DAILY };
enum file_sync { SYNC_NONE, SYNC_INTERVAL, SYNC_EACH };
extern const char *const rotate_interval_names[]; /* by value, then NULL */
extern const char *const file_sync_names[];
extern const char *const webhook_format_names[]; /* RECORD, SNS */

struct destination_id {
	uint8_t b[16];
};
enum { DESTINATION_CURSOR_SIZE = 5 + 32 + 1 };

struct destination_file {
	char	 name[DESTINATION_FILE_SIZE];
	uint64_t rotate_octets; /* 0 = not by size */
	enum rotate_interval rotate;
	unsigned keep; /* rotated files; 0 = all */
	bool	 compress;
	enum file_sync sync;
};
struct destination_webhook {
	char	 url[DESTINATION_URL_SIZE];
	unsigned timeout_s, in_flight;
	/* "Name: value\n" of each */
	char	 headers[DESTINATION_HEADERS_SIZE];
	uint8_t	 key[WEBHOOK_KEY_OCTETS], old_key[WEBHOOK_KEY_OCTETS];
	struct wall rotated; /* since when old_key is old; 0 = there is none */
};
struct destination_metrics {
	char dimensions[DESTINATION_DIMENSIONS_SIZE]; /* dimension_next() */
};
/* Lists: each item and a line end; "" = everything matches. */
struct destination_filter {
	char	 tags[DESTINATION_LIST_SIZE]; /* "name=pattern\n" */
	char	 identities[DESTINATION_LIST_SIZE];
	char	 domains[DESTINATION_LIST_SIZE]; /* of recipients */
	unsigned bounce_types; /* 1 << enum bounce_type; 0 = all */
	bool	 is_set, no_simulator;
};
struct destination {
	struct config_set_id set; /* or topic */
	struct destination_id id;
	char	    account[ACCOUNT_ID_SIZE];
	char	    set_name[CONFIG_SET_NAME_SIZE]; /* "": of a topic */
	char	    name[DESTINATION_NAME_SIZE];
	struct topic_ref topic; /* whose it is; of TOPIC: where it goes */
	bool	    enabled, extensions;
	bool	    sns; /* each record in an envelope of SNS */
	unsigned    types; /* 1 << enum event_type */
	struct wall since, until; /* until: 0 = no end */
	struct wall gap_from, gap_to;
	struct wall created, updated;
	/* why posthorn has disabled it; "" = it has not */
	char	    reason[DESTINATION_REASON_SIZE];
	enum destination_kind	   kind;
	struct destination_file	   file;
	struct destination_webhook webhook;
	struct destination_metrics metrics;
	struct destination_filter  filter;
};
/* A new one of a set: everything at its default, a fresh id. */
void destination_init(struct destination *d, const struct config_set *s,
    const char *name, struct wall now);
bool destination_name_is_valid(struct bytes name); /* 1-64 of A-Za-z0-9-_ */
bool destination_is_subscription(const struct destination *d);
/* false = it was so already */
bool destination_switch(struct destination *d, bool on, struct wall now);
/* The same by posthorn itself: what waits is kept until it is enabled. */
void destination_disable(struct destination *d, const char *reason,
    struct wall now);
/* By its type, and by when it happened. */
bool destination_wants(const struct destination *d, const struct event *ev);
/* What its filter asks for beside the event. */
struct destination_message {
	struct bytes	    identity; /* that was used; "" = none */
	const struct bytes *recipients; /* all of the message */
	size_t		    recipient_count;
	const struct message_tag *tags; /* as its records show them */
	size_t		    tag_count;
	bool		    is_simulated; /* all its recipients */
};
bool destination_filter_passes(const struct destination_filter *f,
    const struct event *ev, const struct destination_message *m);
/* The file's name, the URL, the metric, the topic's name. */
const char *destination_target(const struct destination *d);
/* Its reader of the events. */
char *destination_cursor(const struct destination_id *id,
    char out[DESTINATION_CURSOR_SIZE]);

/* -- webhooks -------------------------------------------------------------- */
void destination_new_key(struct destination_webhook *w, struct wall now);
char *destination_secret(const struct destination_webhook *w,
    char out[WEBHOOK_SECRET_SIZE]);
/* Is this a place that requests may go to, as far as its URL tells?  Refuses
 * a scheme, a name or an address that events.webhook_* does not allow. */
int destination_check_url(const char *url, bool allow_http,
    bool allow_private, struct err *e);
bool destination_headers_are_valid(const char *headers);

/* -- metrics --------------------------------------------------------------- */
#define DESTINATION_METRIC "posthorn_event_dim_total"
enum dimension_source { DIMENSION_TAG, DIMENSION_HEADER, DIMENSION_LINK };
extern const char *const dimension_source_names[]; /* "MESSAGE_TAG" */
struct dimension {
	struct bytes	      name, value; /* value: when there is none */
	enum dimension_source source;
};
/* The next one; *at is 0 before the first call. */
bool dimension_next(const char *list, size_t *at, struct dimension *out);
/* NULL = it stands in the list; else why not. */
const char *dimension_add(char list[DESTINATION_DIMENSIONS_SIZE],
    const struct dimension *d);
bool dimensions_are_valid(const char *list); /* one at least */
/* 1-256 of A-Za-z0-9_-@. */
bool dimension_value_is_valid(struct bytes value);
bool dimension_source_from_text(struct bytes s, enum dimension_source *out);
/* "dim_..."; what no label can have becomes "_". */
void dimension_label(struct bytes name, char out[DIMENSION_LABEL_SIZE]);

/* -- records -------------------------------------------------------------- */
/* A new one: refuses a name in use, and more than DESTINATIONS_MAX of a set or
 * topic. */
int destination_create(struct db_txn *t, const struct destination *d,
    struct err *e);
int destination_get(struct db_txn *t, const struct config_set_id *set,
    struct bytes name, struct destination *out, struct err *e);
int destination_put(struct db_txn *t, const struct destination *d,
    struct err *e);
int destination_delete(struct db_txn *t, const struct destination *d,
    struct err *e);
/* Of a set or topic that goes: all of them. */
int destination_delete_all(struct db_txn *t, const struct config_set_id *set,
    struct err *e);
/* Of a set or topic, or of all (NULL), until fn says false. */
int destination_each(struct db_txn *t, const struct config_set_id *set,
    bool (*fn)(void *arg, const struct destination *d), void *arg,
    struct err *e);

/* The stored form; read: false = damaged. */
bool destination_write_record(const struct destination *d, struct buf *out);
bool destination_read_record(struct bytes in, struct destination *out);

/* -- JSON: destination_json.c --------------------------------------------- */
/*
 * A whole definition (an update replaces all of it, but for the key of a
 * webhook): what is absent gets its default, MatchingEventTypes and the member
 * of its kind are needed; a header whose value is null keeps the one it has.
 * Name, when it is there, has to be d->name, or becomes it when that is "".
 * Unknown members, wrong types and wrong values are refused with their place.
 */
int destination_read_json(struct bytes text, struct destination *d,
    struct wall now, struct err *e);
/* A filter alone; "{}" removes the one it has. */
int destination_read_filter(struct bytes text, struct destination *d,
    struct err *e);
/* One object, without key and headers' values; region: of ARNs; false = no
 * room. */
bool destination_write_json(const struct destination *d, const char *region,
    struct buf *out);
/* The same structure to be filled in. */
extern const char destination_skeleton[];

#endif
