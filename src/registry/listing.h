/* SPDX-License-Identifier: ISC */
/*
 * listing.h - block lists and own source addresses: which list names which
 * (reputation.md 7.1, 7.2).
 *
 * Use:    listing_note() for a reply of a receiver that names a list or the
 *         address; listing_answer() for an answer of a list in DNS;
 *         listing_expire() now and then; after each of them listing_settle(),
 *         which takes addresses out of use, or gives them back.
 *         A change that is said is told: "IP Blocklisted", "IP Delisted".
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction.
 * Fails:  1 / 0 as said, -1 and *e (store).
 *
 * A row is (address, who says so, name of the list).  One by reply is listed
 * from the third reply within an hour on, until none came for 24 hours; the
 * name is the receiver's choice, so there are at most LISTINGS_MAX rows.  One
 * by DNS is what the list answered last; no answer, or a refusal, leaves it
 * as it was.  While it is listed there is an open finding "ip-blocked".
 */
#ifndef REGISTRY_LISTING_H
#define REGISTRY_LISTING_H

#include <stdbool.h>

#include "base/clock.h"
#include "net/dnsbl.h"
#include "registry/book.h"
#include "registry/finding.h"

/* In the store: never reorder. */
enum listing_source { LISTING_BY_REPLY, LISTING_BY_DNS };

enum {
	LISTINGS_MAX = 2048,
	LISTING_REPLIES = 3, /* within LISTING_WITHIN_MS */
	LISTING_WITHIN_MS = 60 * 60 * 1000,
	LISTING_KEPT_MS = 24 * 60 * 60 * 1000, /* without a further one */
	LISTING_LIST_SIZE = 254
};
const char *listing_source_to_text(enum listing_source s); /* "reply" */

struct listing {
	char		    address[64]; /* canonical */
	enum listing_source by;
	char		    list[LISTING_LIST_SIZE]; /* zone, or name */
	bool		    listed;
	enum dnsbl_verdict  verdict; /* by DNS: the last answer */
	char		    answer[DNSBL_TEXT_SIZE];
	char		    url[256];	/* by reply */
	char		    group[128]; /* by reply: destination group */
	struct wall	    since; /* that it is listed, or is not */
	struct wall	    last;  /* reply, or answer */
	struct wall	    earlier[LISTING_REPLIES - 1]; /* the newest first */
	char		    finding[FINDING_ID_SIZE]; /* open; "" = none */
	char		    account[ACCOUNT_ID_SIZE]; /* of the finding */
};
/* What somebody has to hear of. */
struct listing_change {
	bool	       moved; /* l.listed is not what it was */
	struct listing l;
};

/* What a reply of a receiver said. */
struct listing_reply {
	const char *address;
	const char *list; /* "" = none is named: the group stands for it */
	const char *url, *group;
	struct wall at;
};
/* One that is not later than the last is known already: replies come in order,
 * perhaps twice. */
int listing_note(struct db_txn *t, const struct listing_reply *r,
    struct listing_change *out, struct err *e);

struct listing_answer {
	const char	  *address, *zone;
	enum dnsbl_verdict verdict;
	const char	  *text;
	struct wall	   at;
};
int listing_answer(struct db_txn *t, const struct listing_answer *a,
    struct listing_change *out, struct err *e);

/*
 * At the end of a round, now being the time of its answers: rows by reply that
 * have seen none for 24 hours, rows by DNS that were not renewed for as long
 * (the zone or the address is not there any more), and at once those of them
 * that say nothing bad, are taken away, at most max.  How many of out[] were
 * listed, or -1.
 */
int listing_expire(struct db_txn *t, struct wall now,
    struct listing_change *out, unsigned max, struct err *e);

/*
 * dnsbl.action = disable (is_wanted): an address that a list in DNS names is
 * taken out of use, unless it is the last of its pool and family.  Else, and
 * when it is not named any more, it is given back.  How many have changed, or -1.
 */
int listing_settle(struct db_txn *t, bool is_wanted, struct err *e);

int listing_get(struct db_txn *t, const struct listing *key,
    struct listing *out, struct err *e);
/* By address, those by reply first; address NULL = all. */
int listing_each(struct db_txn *t, const char *address,
    bool (*fn)(void *arg, const struct listing *l), void *arg, struct err *e);

/* The stored form; read: false = damaged. */
bool listing_write_record(const struct listing *l, struct buf *out);
bool listing_read_record(struct bytes in, struct listing *out);

#endif
