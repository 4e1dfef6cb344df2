/* SPDX-License-Identifier: ISC */
/*
 * reporter.h - told and learnt at leisure: the reporting loop, as the wiring
 * sees it.
 *
 * Use:    r = reporter_new(&setup, &e); reporter_begin(r); on reload
 *         reporter_reload(); a new verifier process: reporter_verifier(fd).
 * Owner:  the wiring; reporter_free() after the loop was joined.
 * Thread: the loop's; reporter_post_*() from any.
 * Fails:  reporter_new() with *e; later trouble is logged and tried again:
 *         cursors stay until what they stand for is done.
 * Parts:  publisher.c walks the events by cursors, feedback.c makes the mail
 *         to senders from them (DSNs), inbox.c reads what came back and
 *         forwarder.c passes it on, suppressor.c keeps the suppression
 *         lists, outbox.c publishes to event destinations, statistics.c
 *         counts, withdrawal.c takes dead topics from identities,
 *         reputation.c judges by it, levels.c moves the
 *         levels of sender domains, blocklist.c watches over the source
 *         addresses, spf_watch.c over their SPF, verification.c runs the
 *         checks of identities and their notices.
 */
#ifndef REPORTING_REPORTER_H
#define REPORTING_REPORTER_H

#include <stdbool.h>

#include "base/err.h"
#include "base/thread.h"
#include "net/tls.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "registry/destination.h"
#include "registry/ledger.h"
#include "reporting/bulletin.h"
#include "reporting/inbox.h"
#include "reporting/inquiry.h"
#include "reporting/operator_record.h"
#include "reporting/outbox.h"
#include "reporting/statistics.h"
#include "store/spool.h"

struct intake_errand;
struct reporter;
struct reputation_switch;
struct withdrawal_case;

/* Mail that reporting makes; the wiring hands it to a submission loop and
 * calls done() on the reporting loop. */
struct reporter_mail {
	char	     account[ACCOUNT_ID_SIZE];
	char	     to[321];
	struct buf   text; /* taken over when true is returned */
	const char  *cursor;
	uint64_t     cursor_to;
	/* a copy of what came back, and from whom; NULL = it is not */
	const struct intake_errand *errand; /* lives until done() */
	/* Never from inside send_mail().  REFUSED: it will never be taken, it
	 * is dropped; FULL, BUSY, DOWN: it is handed in again. */
	void	   (*done)(void *ctx, enum receipt_result result);
	void	    *ctx;
};

struct reporter_setup {
	struct loop  *loop;
	struct spool *spool;
	struct book  *book;
	struct conf  *conf; /* a reference is taken */
	struct workers *workers;
	struct outbox_meters *outbox_meters; /* lent */
	struct series *series; /* lent */
	struct tls_trust *trust; /* a reference is taken; NULL: no TLS */
	int	      verifier_fd; /* taken over; -1 = none yet */
	bool	    (*send_mail)(void *arg, const struct reporter_mail *m);
	void	     *send_mail_arg;
	/* A private key is asked for (a standby key after a rotation): the
	 * wiring has the keys process make it, with this selector ("" = a
	 * fresh one), and adds it in the book by identity_add_standby(), which
	 * knows whether it is still wanted; then reporter_post_check(). */
	bool	    (*make_key)(void *arg, const char *account,
	    const char *domain, const char *selector, unsigned bits);
	void	     *make_key_arg;
	struct operator_meters *operator_meters; /* lent; NULL is allowed */
	struct ledger	    *ledger;	   /* lent; NULL is allowed */
	struct inbox_meters *inbox_meters; /* lent */
	/* Its reputation has paused an account or a set of it, or ended that;
	 * NULL is allowed. */
	void (*on_switch)(void *arg, const struct reputation_switch *s);
	void  *on_switch_arg;
	/* A destination was turned off (events.md 10.5); NULL is allowed. */
	void (*on_disabled)(void *arg, const struct outbox_disabled *d);
	void  *on_disabled_arg;
	/* A dead topic was taken from an identity; NULL is allowed. */
	void (*on_withdrawn)(void *arg, const struct withdrawal_case *c);
	void  *on_withdrawn_arg;
	/* Commands said from each source; as in statistics.h, NULL is allowed. */
	statistics_sources_fn *each_source;
	void  *each_source_arg;
	/* The address mail leaves from when none is stored; NULL is allowed. */
	bool (*system_address)(int family, char out[64]);
	/* A source is out of use, or in use again; NULL is allowed. */
	void (*on_sources)(void *arg);
	void  *on_sources_arg;
};
struct reporter *reporter_new(const struct reporter_setup *s, struct err *e);
void reporter_free(struct reporter *r);
void reporter_begin(struct reporter *r);
/* trust NULL = as it was. */
void reporter_reload(struct reporter *r, struct conf *conf,
    struct tls_trust *trust);
void reporter_verifier(struct reporter *r, int fd);
void reporter_on_events(void *reporter, void *unused); /* loop_fn */
/* Ends what is under way in order; on_idle(arg, NULL). */
void reporter_shut(struct reporter *r, loop_fn *on_idle, void *arg);

/* Any thread.  An identity was added or changed: look at its checks now. */
bool reporter_post_check(struct reporter *r);
/* Any thread.  Source addresses or pools were changed: may they send? */
bool reporter_post_senders(struct reporter *r);
/*
 * Notice to the contacts of an account, or to the operator when it has none
 * ("" = operator).  what and its text:
 *     quota-80, quota-100   "80 %: 160 of 200"
 *     paused, resumed       the reason; a second line names who did it
 *     credential-attack, anything else   one line, shown as it is
 * Quota warnings are counted by the store, and every pause and resume is
 * told; of the others at most one a day for each account and what.
 */
bool reporter_post_warning(struct reporter *r, const char *account,
    const char *what, const char *text);
/* A system event (bulletin.h): texts are copied. */
bool reporter_post_news(struct reporter *r, const struct bulletin_news *n);
/* Is the record of the operator's key published?  See operator_record.h. */
bool reporter_post_operator(struct reporter *r, const struct operator_key *k);
/* An identity names that topic since then (outbox_rewind_topic()). */
bool reporter_post_topic(struct reporter *r, const struct topic_ref *topic,
    struct wall since);
/* Questions to the verifier (inquiry.h). */
bool reporter_post_inquiry(struct reporter *r, struct inquiry *q);
/*
 * What is asked about event destinations; done(ask, NULL) on asker, once,
 * where its place is reserved.  The asker's until reporter_ask() says true,
 * then lent until done.
 */
enum reporter_ask_kind {
	ASK_TEST,    /* a test record to a webhook: destination */
	ASK_REPLAY,  /* choice, since, types */
	ASK_PENDING, /* choice, rows, count */
	ASK_RETRY,   /* choice */
	ASK_PURGE    /* choice */
};
struct reporter_ask {
	struct loop *asker;
	loop_fn	    *done;
	void	    *ctx; /* the asker's, untouched */
	enum reporter_ask_kind kind;
	struct destination     destination;
	struct outbox_choice   choice;
	struct wall	       since;
	unsigned	       types;
	struct outbox_row     *rows; /* the asker's */
	size_t		       count; /* of rows: room, then those there */
	/* the answer */
	bool	     ok;
	uint64_t     number; /* that are due or dropped; PENDING: not in rows */
	unsigned     status; /* of a webhook; 0 = none */
	char	     text[200];
};
bool reporter_ask(struct reporter *r, struct reporter_ask *ask);
/* A finding or an alarm has changed: the state of the account is judged now,
 * alarms within reputation.evaluate_interval. */
bool reporter_post_judge(struct reporter *r, const char *account);
/*
 * What has happened until now is counted: fn(arg, NULL) on asker, whose place
 * is reserved.  false = nothing will come.
 */
bool reporter_post_sync(struct reporter *r, struct loop *asker, loop_fn *fn,
    void *arg);
/*
 * A round of questions to block lists is over: fn(arg, NULL) on asker, whose
 * place is reserved.  false = nothing will come.
 */
bool reporter_post_blocklist(struct reporter *r, struct loop *asker,
    loop_fn *fn, void *arg);
/* The verification mail of an address identity. */
bool reporter_post_verification(struct reporter *r, const char *account,
    const char *address, const char *token);

#endif
