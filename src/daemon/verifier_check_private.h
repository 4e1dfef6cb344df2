/* SPDX-License-Identifier: ISC */
/*
 * verifier_check_private.h - what the files of verifier_check.h share.
 *
 *	verifier_check.c	life; DKIM, TOKEN, MX
 *	verifier_policy.c	SPF, DMARC, HOST, REPLY
 *
 * Use:    a check is a chain: check_ask() names who gets the answer; the last
 *         one fills c->result and calls check_end(), after which c may be
 *         gone.
 * Owner:  see verifier_check.h.
 * Thread: the loop's.
 * Fails:  see verifier_check.h.
 */
#ifndef DAEMON_VERIFIER_CHECK_PRIVATE_H
#define DAEMON_VERIFIER_CHECK_PRIVATE_H

#include "daemon/verifier_check.h"
#include "net/spf.h"

enum { CHECK_NAME_SIZE = 640 };

struct verifier_check {
	struct verifier_tools	 tools;
	struct verify_job	 job;
	struct verify_result	 result;
	verifier_done		*on_done;
	void			*arg;
	struct timer		 deadline;
	struct authority_search *search;
	struct resolver		*authority; /* NULL: none, or it failed */
	struct resolver		*asked;	    /* who was asked last */
	uint64_t		 ticket;
	enum resolver_type	 type;
	char			 name[CHECK_NAME_SIZE]; /* asked for */
	char			 home[CHECK_NAME_SIZE]; /* the record's place */
	void (*then)(struct verifier_check *c, const struct dns_answer *a);
	struct spf_check *spf; /* SPF */
	/* TOKEN */
	unsigned place;
	bool	 saw_other, saw_folded, saw_error;
};

bool answer_is_trouble(const struct dns_answer *a);
/* A name that became too long is none: the answer will be NXDOMAIN. */
void check_ask(struct verifier_check *c, enum resolver_type type,
    void (*then)(struct verifier_check *c, const struct dns_answer *a),
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void check_hint(struct verifier_check *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void check_warn(struct verifier_check *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Notes what the decisive question has brought; true: there are records. */
bool check_note(struct verifier_check *c, const struct dns_answer *a);
void check_end(struct verifier_check *c);

/* verifier_policy.c */
void check_start_spf(struct verifier_check *c);
void check_start_dmarc(struct verifier_check *c);
void check_start_host(struct verifier_check *c);
void check_start_reply(struct verifier_check *c);

#endif
