/* SPDX-License-Identifier: ISC */
/*
 * spf_watch.h - may the source addresses still send for the MAIL FROM domains
 * in use (mail-from-spf-dmarc.md 6)?  What has changed is told.
 *
 * Use:    w = spf_watch_new(&setup); spf_watch_begin(w); spf_watch_soon(w)
 *         when sources, pools or domains have changed; spf_watch_stop().
 * Owner:  the reporter; the verification outlives it.
 * Thread: the loop's; rows are written by the book's writer (spf_state.h).
 * Fails:  trouble is logged; the next round asks again.
 * Bounds: SPF_SOURCES addresses, SPF_TARGETS domains, SPF_BATCH questions at
 *         once.
 *
 * A round comes SPF_FIRST_MS after the start and then every
 * mail_from.recheck_interval, earlier where DNS did not answer.  Asked is
 * about the default domain, once there is an identity, and each custom domain
 * that is SUCCESS, for each address that the account's mail may leave from.
 * Without stored addresses those count that the system would choose; with a
 * smart host for all mail nobody sees them, and none is asked about.
 */
#ifndef REPORTING_SPF_WATCH_H
#define REPORTING_SPF_WATCH_H

#include "base/thread.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "reporting/notices.h"
#include "reporting/verification.h"

struct spf_watch;

enum {
	SPF_FIRST_MS = 2 * 60 * 1000,
	SPF_SOON_MS = 10 * 1000,
	SPF_AGAIN_MS = 15 * 60 * 1000,
	SPF_SOURCES = 64,
	SPF_TARGETS = 4096,
	SPF_BATCH = 256
};

struct spf_watch_setup {
	struct loop	    *loop;
	struct book	    *book;
	struct conf	    *conf; /* a reference is taken */
	struct notices	    *notices;
	struct verification *verification;
	/* The address that the system would take; NULL = not known. */
	bool (*system_address)(int family, char out[64]);
};
struct spf_watch *spf_watch_new(const struct spf_watch_setup *s);
void spf_watch_free(struct spf_watch *w); /* NULL is allowed */
void spf_watch_begin(struct spf_watch *w);
void spf_watch_reload(struct spf_watch *w, struct conf *conf);
void spf_watch_soon(struct spf_watch *w);
/* After the verification has stopped: what it was asked has an answer then. */
void spf_watch_stop(struct spf_watch *w, loop_fn *on_idle, void *arg);

#endif
