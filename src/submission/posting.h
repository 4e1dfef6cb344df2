/* SPDX-License-Identifier: ISC */
/*
 * posting.h - a message between the end of its data and the receipt: the
 * steps of smtp-interface 8 in their order, signing, hand-over to the spool.
 *
 * Use:    p = posting_new(&setup); posting_begin(p): on_reply comes once,
 *         perhaps from inside the call; p is gone after it.
 *         posting_abandon(p) when the asker goes first.
 * Owner:  the posting takes receive and message and frees them and itself
 *         after the reply.  Once begun it is not cancelled: a client that
 *         goes after the end of its data has submitted.
 * Thread: the desk's loop; the submission in it is lent to the writer.
 * Fails:  by its reply: 451 when book, signing or store fail.
 */
#ifndef SUBMISSION_POSTING_H
#define SUBMISSION_POSTING_H

#include <stdbool.h>
#include <stdint.h>

#include "mail/message.h"
#include "mail/smtp.h"

struct db_txn;
struct intake_errand;
struct desk;
struct desk_rules;
struct ledger_page;
struct posting;
struct receive;
struct signing_keys;

enum posting_kind {
	POSTING_MAIL,  /* of a credential */
	POSTING_ROOT,  /* of the account itself: posthornctl send */
	POSTING_NOTICE, /* made by posthorn: no account, policy or quota */
	POSTING_INTAKE /* came back: kept as it is, goes nowhere */
};
struct posting_setup {
	struct desk	  *desk;
	struct desk_rules *rules; /* a reference is taken */
	enum posting_kind  kind;
	struct receive	  *receive;
	struct message	  *message;
	const char	  *account;    /* "" only for NOTICE and INTAKE */
	struct ledger_page *page;      /* of the account, where there is one */
	const char	  *credential; /* MAIL */
	const char	  *key_id;     /* MAIL; "" = came without a key */
	const char	  *with;       /* of Received; NULL = no such field */
	bool		   is_local;   /* did not come over the network */
	/* ROOT: 250 without an id when it would be taken; nothing is kept,
	 * counted or logged */
	bool		   check_only;
	const struct signing_keys *keys; /* NOTICE: copied; NULL = none */
	const char	  *cursor;     /* moved in the same transaction */
	uint64_t	   cursor_to;
	const struct intake_errand *errand; /* NOTICE; lives until the reply */
	/* id: of the accepted message, else NULL */
	void (*on_reply)(void *arg, const struct reply *re,
	    const struct msgid *id);
	void *arg;
};
struct posting *posting_new(const struct posting_setup *s);
void posting_begin(struct posting *p);
void posting_abandon(struct posting *p); /* NULL is allowed */
/* At the end of the desk, after its loop: what was not handed over. */
void posting_free_all(struct desk *d);

/*
 * May account and credential still send?  Both are read into the desk's
 * scratch; key_id "" = without a key.
 */
enum posting_standing { STANDING_OK, STANDING_REVOKED, STANDING_UNKNOWN };
enum posting_standing posting_check_standing(struct desk *d,
    struct db_txn *t, const char *account, const char *credential,
    const char *key_id);
/*
 * Quotas without charging, for DATA and the end of data: true = passed; else
 * the reply; the line for the log is written, and the limit is counted, unless
 * page is NULL.
 */
struct quota_limits;
bool posting_check_quota(struct desk *d, const struct quota_limits *q,
    const struct message *m, struct ledger_page *page, struct reply *re);

#endif
