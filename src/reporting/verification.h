/* SPDX-License-Identifier: ISC */
/*
 * verification.h - relay's side of the checks of identities: which one is
 * due, the jobs for the verifier process, the move of its state, the notices
 * about it, keys that have to be made (dkim.md 8 to 10,
 * identities-and-policies.md 4).
 *
 * Use:    v = verification_new(&setup); verification_attach(v, fd) for each
 *         verifier process; verification_look(v) when identities may have
 *         changed; else a timer does.  verification_stop().
 * Owner:  the reporter; a descriptor is taken over.
 * Thread: the loop's.
 * Fails:  trouble of the book is logged and tried again.
 *
 * One check: identity and keys are read, a job for each record goes to the
 * verifier, and when all answers are there a book job reads both again, moves
 * them by identity_check.c and writes them.  Every check ends: a job without
 * an answer within VERIFICATION_ANSWER_MS, or whose verifier died, counts as
 * DNS_ERROR, which is no miss.  Without any verifier deadlines still pass and
 * retired keys still go; checks wait.
 */
#ifndef REPORTING_VERIFICATION_H
#define REPORTING_VERIFICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "reporting/inquiry.h"
#include "reporting/notices.h"
#include "reporting/operator_record.h"

struct verification;

enum {
	VERIFICATION_CHECKS_MAX = 32, /* identities under way */
	VERIFICATION_ANSWER_MS = 120 * 1000
};

struct verification_setup {
	struct loop    *loop;
	struct book    *book;
	struct conf    *conf; /* a reference is taken */
	struct notices *notices;
	int64_t		answer_ms; /* 0 = VERIFICATION_ANSWER_MS */
	bool	      (*make_key)(void *arg, const char *account,
	    const char *domain, const char *selector, unsigned bits);
	void *make_key_arg;
	struct operator_meters *operator_meters; /* lent; NULL is allowed */
	/* A MAIL FROM domain is in use from now on, or not; NULL is allowed. */
	void (*on_mail_from)(void *arg);
	void  *on_mail_from_arg;
};
struct verification *verification_new(const struct verification_setup *s);
void verification_free(struct verification *v); /* NULL is allowed */
void verification_reload(struct verification *v, struct conf *conf);
void verification_attach(struct verification *v, int fd);
void verification_look(struct verification *v);
/* The record of this key is looked for, too, once. */
void verification_look_operator(struct verification *v,
    const struct operator_key *k);
/* Questions of others (inquiry.h). */
void verification_inquire(struct verification *v, struct inquiry *q);
void verification_stop(struct verification *v, loop_fn *on_idle, void *arg);

#endif
