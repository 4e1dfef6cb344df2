/* SPDX-License-Identifier: ISC */
/*
 * forwarder.h - sends copies of what came back to who is concerned: the
 * sender of the message, or the operator (bounces-and-feedback.md 5.3).
 *
 * Use:    f = forwarder_new(&setup); forwarder_wake(f) at the start and when
 *         the spool tells of news; forwarder_stop().
 * Owner:  the reporter.
 * Thread: the loop's; forwarder_write() any, pure.
 * Fails:  trouble is logged; the errand stays and is tried again, 24 h at
 *         most.
 *
 * One errand at a time; the copy's submission takes the errand away in its own
 * transaction.  A copy is cut behind FORWARDER_OCTETS_MAX octets.  Raw
 * messages hold what was never checked: the copy has no NUL, bare CR or 8-bit
 * octets in its header section.
 */
#ifndef REPORTING_FORWARDER_H
#define REPORTING_FORWARDER_H

#include "reporting/reporter.h"
#include "store/spool_intake.h"

struct forwarder;
enum { FORWARDER_OCTETS_MAX = 12 << 20 };

struct forwarder_setup {
	struct loop  *loop;
	struct spool *spool;
	struct conf  *conf; /* a reference is taken */
	bool	    (*send_mail)(void *arg, const struct reporter_mail *m);
	void	     *send_mail_arg;
};
struct forwarder *forwarder_new(const struct forwarder_setup *s);
void forwarder_free(struct forwarder *f); /* NULL is allowed */
void forwarder_reload(struct forwarder *f, struct conf *conf);
void forwarder_wake(struct forwarder *f);
void forwarder_stop(struct forwarder *f, loop_fn *on_idle, void *arg);

/*
 * raw as it is forwarded; domain: mail_from.default_domain; host: server.name,
 * whose Authentication-Results are the first there are: further ones in its
 * name are a stranger's, and get another name.  false = no room
 */
bool forwarder_write(struct bytes raw, enum intake_from from,
    const char *domain, const char *host, struct buf *out);

#endif
