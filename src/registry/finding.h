/* SPDX-License-Identifier: ISC */
/*
 * finding.h - reputation problems that are no rate (reputation.md 5), and what
 * people said to the operator about an account (complaint add).
 *
 * Use:    finding_open(t, &f, &e) with account, type, source, action, note,
 *         opened set; finding_count() for complaints that become one when
 *         they are many.
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction.
 * Fails:  1 found, 0 not, -1 and *e.
 */
#ifndef REGISTRY_FINDING_H
#define REGISTRY_FINDING_H

#include <stdbool.h>

#include "base/clock.h"
#include "mail/message.h"
#include "registry/book.h"

/* In the store: never reorder. */
enum finding_type {
	FINDING_BOUNCE_RATE,
	FINDING_COMPLAINT_RATE,
	FINDING_ANTI_SPAM,
	FINDING_LISTBOMBING,
	FINDING_DIRECT_FEEDBACK,
	FINDING_DOMAIN_BLOCKLIST,
	FINDING_INTERNAL_REVIEW,
	FINDING_MAILBOX_PROVIDER,
	FINDING_RECIPIENT_FEEDBACK,
	FINDING_RELATED_ACCOUNT,
	FINDING_SPAM_TRAP,
	FINDING_VULNERABLE_SITE,
	FINDING_COMPROMISED,
	FINDING_PATTERN,
	FINDING_AUTHENTICATION,
	FINDING_IP_BLOCKED,
	FINDING_OTHER,
	FINDING_TYPES
};
enum finding_action { FINDING_NOTE, FINDING_REVIEW, FINDING_PAUSE };
enum finding_source { FINDING_BY_OPERATOR, FINDING_BY_IMPORT,
	FINDING_BY_DNSBL, FINDING_BY_DETECTOR, FINDING_BY_THRESHOLD };
enum finding_state { FINDING_OPEN, FINDING_CLOSED,
	FINDING_COUNTING /* too few yet: none is open */ };
const char *finding_type_to_text(enum finding_type t);
bool finding_type_from_text(struct bytes s, enum finding_type *out);
enum finding_action finding_default_action(enum finding_type t);
/* What to do about it, one line; of the help texts. */
const char *finding_remedy(enum finding_type t);
const char *finding_action_to_text(enum finding_action a);
const char *finding_source_to_text(enum finding_source s);
const char *finding_state_to_text(enum finding_state s);

enum {
	FINDING_ID_SIZE = 17,
	FINDING_NOTE_SIZE = 512,
	FINDING_DIRECT_FROM = 10, /* complaints in 7 days that make one */
	FINDING_DIRECT_DAYS = 7
};
struct finding {
	char	    account[ACCOUNT_ID_SIZE]; /* "" = the installation */
	char	    id[FINDING_ID_SIZE];
	enum finding_type   type;
	enum finding_action action;
	enum finding_source source;
	enum finding_state  state;
	/* "account", "identity example.com", "credential app1", "ip A" */
	char	    scope[320];
	char	    note[FINDING_NOTE_SIZE];	     /* shown to the account */
	char	    private_note[FINDING_NOTE_SIZE]; /* the operator's */
	struct wall opened, closed;
	char	    close_reason[FINDING_NOTE_SIZE];
	unsigned    count; /* of complaints; else 0 */
};
/* Makes its id. */
int finding_open(struct db_txn *t, struct finding *f, struct err *e);
int finding_get(struct db_txn *t, const char *account, const char *id,
    struct finding *out, struct err *e);
/* Whosever it is. */
int finding_find(struct db_txn *t, const char *id, struct finding *out,
    struct err *e);
int finding_put(struct db_txn *t, const struct finding *f, struct err *e);
/* account NULL = all; in the order of opening. */
int finding_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct finding *f), void *arg,
    struct err *e);
/* One more complaint of this type: *out as it is now.  It is open from
 * FINDING_DIRECT_FROM in 7 days on, other types at once.  0 / -1. */
int finding_count(struct db_txn *t, const char *account,
    enum finding_type type, struct wall now, struct finding *out,
    struct err *e);
/* Is one of this type and scope open?  1, 0, -1 */
int finding_is_open(struct db_txn *t, const char *account,
    enum finding_type type, const char *scope, struct err *e);
int finding_get_open(struct db_txn *t, const char *account,
    enum finding_type type, const char *scope, struct finding *out,
    struct err *e);
/* Is one open that asks for a review, or for a pause?  Those of rates do not:
 * the rates themselves are judged.  0 / -1 */
int finding_look(struct db_txn *t, const char *account, bool *review,
    bool *pause, struct err *e);
/* All of an account that goes, at most max: how many, -1. */
int finding_purge(struct db_txn *t, const char *account, unsigned max,
    struct err *e);

/* The stored form; read: false = damaged. */
bool finding_write_record(const struct finding *f, struct buf *out);
bool finding_read_record(struct bytes in, struct finding *out);

#endif
