/* SPDX-License-Identifier: ISC */
/*
 * statistics_private.h - what the files of the statistics share.
 *
 *	statistics.c		the cursor: which event counts for what
 *	statistics_facts.c	of which message; names as numbers; own names
 *	statistics_rows.c	from counts to rows of the store
 *
 * A count is kept under one short key, all of whose parts are numbers: one
 * look-up for an event.  The rows of the store (an account, its identity, its
 * set ...) are made of it when the cursor moves.
 */
#ifndef REPORTING_STATISTICS_PRIVATE_H
#define REPORTING_STATISTICS_PRIVATE_H

#include "base/table.h"
#include "reporting/publisher.h"
#include "reporting/statistics.h"
#include "store/statistic.h"

enum { FACTS_KEPT = 512, NAME_NONE = 0 };
#define NAME_OTHER "_other_"

/* Who sent it, and as what: one for all messages alike. */
struct sender {
	uint32_t number;
	char	 account[ACCOUNT_ID_SIZE];
	struct bytes identity, set, credential; /* behind the struct */
	bool	 is_delegate;
	/* whose identity it is, and the domain that has a level: "" = none */
	char	 owner[ACCOUNT_ID_SIZE];
	char	 domain[STATISTIC_NAME_MAX + 1];
	/* of the account and of the set, 0 = none; as the book had them */
	struct wall account_start, set_start;
	uint64_t    version;
	struct mono read; /* 0 = never */
};
/* What is remembered of a message. */
struct facts {
	struct msgid   id;
	bool	       known, is_system;
	struct sender *sender; /* NULL: the record has gone */
	unsigned       recipients, simulated, own;
};
/* Numbers for names: 0 is no name. */
struct names {
	struct table *by_name;
	char	    **v;
	uint32_t      n, cap;
	uint32_t      others; /* of n: those that are not kept */
};
/* Packed: it is hashed as it lies. */
struct count_key {
	uint32_t sender, provider, source;
	uint32_t quarter, hour; /* of the event; of the Send, since 1970 */
	uint32_t single;	/* one recipient, not a delegate's */
	/* sent in the hour of a fresh start, after it: a bucket of its own */
	uint32_t account_fresh, set_fresh;
};
struct count {
	struct count_key key;
	struct statistic v;
};
struct own_names {
	struct table *names; /* of verified identities, lower case */
	uint64_t      version;
	struct mono   read;
};
struct row {
	struct statistic v;
};

struct statistics {
	struct statistics_setup setup;
	struct publisher *publisher;
	struct arena	 *arena; /* of the facts being read */
	struct facts	 facts[FACTS_KEPT];
	struct table	 *senders; /* by what they are */
	struct sender	**sender_of; /* by number */
	uint32_t	  sender_count;
	struct names	  providers, sources;
	struct table	 *own;	  /* account -> struct own_names */
	struct table	 *hosts;  /* domain -> number of its group */
	/* groups with a name of their own in any case; NULL = not read yet */
	struct table	 *kept;	  /* the configured ones */
	struct loops	 *loops;  /* those that send reports */

	struct table	 *counts; /* struct count_key -> struct count */
	struct count	 *last;	  /* the one found before */
	/* what goes in with the cursor */
	struct table	 *rows;	  /* encoded key -> struct row */
	struct statistic_mark *marks; /* of events counted once */
	size_t		  mark_count, mark_cap, marks_going;
	struct table	 *marked; /* those not in the store yet */
	struct table	 *throttled; /* account -> struct seen */
	struct table	 *commands;  /* source -> struct said */
	struct table	 *changed;   /* accounts; the values mean nothing */
	struct table	 *domains;   /* of levels, encoded keys; likewise */
	struct statistic_place swept;
	struct timer	  minute;
	struct waiter	 *waiters;
	bool		  is_syncing;
	struct wall	  now; /* when the cursor began to move */
};

/* statistics_facts.c */
/* 1 = known, 0 = nobody knows the message any more, -1 = logged. */
int statistics_find(struct statistics *s, const struct msgid *id,
    struct facts **out);
/* Reads its fresh starts and its domain, unless they are as they were. */
void statistics_look_fresh(struct statistics *s, struct sender *x);
/* Beyond STATISTICS_NAMES_MAX that of NAME_OTHER, but for what is kept. */
uint32_t names_number(struct names *n, struct bytes name, bool is_kept);
void names_free(struct names *n);
uint32_t statistics_provider(struct statistics *s, struct bytes address,
    struct bytes host);
/* After a change of the configuration. */
void statistics_forget_groups(struct statistics *s);
bool statistics_is_own(struct statistics *s, const char *account,
    struct bytes address);
bool statistics_is_simulated(const struct statistics *s,
    struct bytes address);
void statistics_free_facts(struct statistics *s);

/* statistics_rows.c */
struct count *statistics_count(struct statistics *s,
    const struct count_key *k);
/* All counts become rows; what is throttled as well. */
void statistics_on_moving(void *arg);
int statistics_also(void *arg, struct spool_txn *t, struct err *e);
void statistics_on_moved(void *arg);
/* Has anybody been throttled since? */
bool statistics_has_throttled(struct statistics *s);
void statistics_free_rows(struct statistics *s);

#endif
