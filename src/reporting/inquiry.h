/* SPDX-License-Identifier: ISC */
/*
 * inquiry.h - questions to the verifier for somebody on another loop: a
 * command that waits for the answers (mail-from-spf-dmarc.md 9).
 *
 * Use:    fill jobs (but their tickets), results, asker, done, arg; a place
 *         in the asker's feed is reserved (loop_reserve()); then
 *         reporter_post_inquiry().  done(arg, inquiry) comes once, on asker.
 * Owner:  the asker's; lent until done().
 * Thread: that of the verification, but for done().
 * Fails:  in the results: what gets no answer within INQUIRY_MS (or .within_ms,
 *         when that is given), or has no verifier, is DNS_ERROR with a hint.
 * Bounds: INQUIRY_OPEN_MAX jobs of one inquiry are out at once.
 */
#ifndef REPORTING_INQUIRY_H
#define REPORTING_INQUIRY_H

#include "base/thread.h"
#include "registry/verify_job.h"

enum {
	INQUIRY_MS = 100 * 1000,
	INQUIRY_OPEN_MAX = 16,
	INQUIRY_JOBS_MAX = 1024
};
/* Tickets of inquiries are above all others. */
static const uint64_t inquiry_ticket = UINT64_C(1) << 63;

struct inquiries;
struct inquiry {
	struct verify_job    *jobs;
	struct verify_result *results; /* as many */
	size_t		      n;
	struct loop	     *asker;
	loop_fn		     *done;
	void		     *arg;
	int64_t		      within_ms; /* 0 = INQUIRY_MS */

	/* while it is lent */
	struct inquiry	 *next;
	struct inquiries *inquiries;
	uint64_t	  number;
	size_t		  sent, answered;
	struct timer	  late;
};

struct channel;
struct inquiries *inquiries_new(struct loop *l);
void inquiries_free(struct inquiries *all); /* NULL is allowed */
/* NULL: the verifier has gone; what is out ends. */
void inquiries_attach(struct inquiries *all, struct channel *verifier);
void inquiries_begin(struct inquiries *all, struct inquiry *q);
/* For each result with such a ticket. */
void inquiries_take(struct inquiries *all, const struct verify_result *r);

#endif
