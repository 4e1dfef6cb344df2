/* SPDX-License-Identifier: ISC */
/*
 * verification_private.h - what the files of verification.h share.
 *
 *	verification.c		life, the verifier, what is due
 *	verification_check.c	one check: its asks, the book, what follows
 *
 * Use:    only there.
 * Owner:  a check belongs to its verification, and is lent to the book's
 *         writer between check_write() and check_on_written().
 * Thread: the loop's; check_run() is the writer's.
 * Fails:  see verification.h.
 */
#ifndef REPORTING_VERIFICATION_PRIVATE_H
#define REPORTING_VERIFICATION_PRIVATE_H

#include "base/process.h"
#include "registry/identity_check.h"
#include "registry/verify_job.h"
#include "reporting/verification.h"

enum {
	LOOK_MAX_MS = 60 * 1000, /* the wall clock may be set meanwhile */
	LOOK_AGAIN_MS = 1000,
	ASKS_MAX = IDENTITY_KEYS_MAX + 2, /* the token, the MX */
	TICKET_SHIFT = 8,
	HINT_SIZE = sizeof(((struct identity_result *)NULL)->hint),
	DETAIL_MAX = 900
};

/* One record that is looked for. */
struct ask {
	enum verify_kind kind;
	char		 selector[SELECTOR_SIZE];
	struct wall	 created; /* of the key: a slot may get another; of
				     MX: since when its state is so */
	bool		 answered;
	enum dkim_outcome outcome;
	enum identity_error error;
	char		 hint[HINT_SIZE];
};

struct check {
	struct book_job	     job; /* first: what the book hands back */
	struct verification *verification;
	struct check	    *next;
	uint64_t	     number; /* of its tickets */
	char		     account[ACCOUNT_ID_SIZE];
	char		     name[IDENTITY_NAME_SIZE];
	struct ask	     asks[ASKS_MAX];
	unsigned	     ask_count, answer_count;
	struct timer	     late;
	bool		     written; /* the book has it */
	bool		     asks_keys; /* else the MAIL FROM domain only */

	/* for check_run() */
	struct identity_check_input in;
	bool			    asked; /* else only time passes */

	/* from it */
	bool			 found;
	bool			 is_stuck; /* due again at once: our bug */
	struct identity_decision by_time, by_check;
	char			 detail[DETAIL_MAX];
	struct identity_mail_from mail_from;
	struct identity_keys	 keys; /* 64 KB, the writer's scratch */
};

struct verification {
	struct verification_setup setup;
	struct channel		 *channel; /* NULL = no verifier */
	struct check		 *checks;
	unsigned		  check_count;
	uint64_t		  numbers;
	struct operator_record	 *operator_record;
	struct inquiries	 *inquiries;
	struct timer		  look;
	struct identity		  identity; /* scratch, and keys */
	struct identity_keys	  keys;
	bool			  stopping;
	loop_fn			 *on_idle;
	void			 *on_idle_arg;
};

/* verification.c */
void verification_input(const struct verification *v,
    struct identity_check_input *in);
void verification_look_idle(struct verification *v);

/* verification_check.c */
bool identity_wants_check(const struct identity *i, struct wall now);
/* Identity and keys lie in the scratch. */
void check_begin(struct verification *v, const char *account,
    const char *name);
void check_write(struct check *c);
void check_free(struct check *c);

#endif
