/* SPDX-License-Identifier: ISC */
/*
 * notices.h - mail of posthorn that tells of no event: warnings, changes of
 * state, verification of addresses.  Queued here until the spool has it.
 *
 * Use:    n = notices_new(&setup); notices_warn(n, account, "paused", why);
 *         notices_stop().
 * Owner:  the reporter.
 * Thread: the loop's.
 * Fails:  what cannot be handed over is tried again for 24 h, then dropped
 *         and logged; so is what finds the queue full (NOTICES_MAX).  The
 *         queue is in memory: a crash loses it, the log has told of it.
 *
 * Notices to an account go to its contacts, one mail each; an account without
 * contacts, or no account (""), means intake.postmaster.
 */
#ifndef REPORTING_NOTICES_H
#define REPORTING_NOTICES_H

#include <stdbool.h>

#include "mail/report.h"
#include "reporting/bulletin.h"
#include "reporting/reporter.h"

struct notices;

enum { NOTICES_MAX = 1000, NOTICES_UNDER_WAY = 4 };

struct notices_setup {
	struct loop *loop;
	struct book *book;
	struct conf *conf; /* a reference is taken */
	bool	   (*send_mail)(void *arg, const struct reporter_mail *m);
	void	    *send_mail_arg;
	struct bulletin *bulletin; /* lent; NULL is allowed */
};
struct notices *notices_new(const struct notices_setup *s);
void notices_free(struct notices *n); /* NULL is allowed */
void notices_reload(struct notices *n, struct conf *conf);
/* what and text: as reporter_post_warning() says. */
void notices_warn(struct notices *n, const char *account, const char *what,
    const char *text);
/* The same about one of several (a destination): one a day for each of them,
 * told apart by the first 321 octets of of. */
void notices_warn_of(struct notices *n, const char *account, const char *what,
    struct bytes of, const char *text);
/* A system event; nothing is mailed.  What notices_warn() is told of quotas,
 * pauses and attacks is one by itself. */
void notices_announce(struct notices *n, const struct bulletin_news *news);
/* Rule P1 of bounces-and-feedback.md 3.5, with what the server answered; or
 * an authentication failure report, without: one for each identity a day. */
void notices_auth_alert(struct notices *n, const char *account,
    struct bytes identity, struct bytes recipient, struct bytes reply);
/* account and identity of s are filled by the caller. */
void notices_status(struct notices *n, const char *account,
    const struct report_status *s);
/* A dead topic was taken from the identity (events.md 7.4). */
void notices_topic(struct notices *n, const char *account,
    struct bytes identity, struct bytes topic, struct bytes event_type);
void notices_verification(struct notices *n, const char *account,
    const char *address, const char *token);
/* What waits is tried once more, then dropped; on_idle(arg, NULL). */
void notices_stop(struct notices *n, loop_fn *on_idle, void *arg);

#endif
