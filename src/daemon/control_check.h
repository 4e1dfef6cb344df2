/* SPDX-License-Identifier: ISC */
/*
 * control_check.h - the preflight report of one identity, as its files share
 * it (mail-from-spf-dmarc.md 9.1).
 *
 *	control_check.c		what is known; the questions; their order
 *	control_check_judge.c	what the answers mean
 *	control_check_dmarc.c	alignment and DMARC
 *
 * Use:    "identity check" gathers from the book, has all questions answered
 *         by the verifier (reporting/inquiry.h), connects to port 25 of the
 *         MX host, then preflight_judge() adds a finding for each check.
 * Owner:  struct preflight is the state of the request.
 * Thread: main.
 * Fails:  what could not be asked is UNKNOWN.
 * Bounds: PREFLIGHT_SOURCES_MAX addresses; INQUIRY_MS for DNS,
 *         PREFLIGHT_PROBE_MS for the connection.
 */
#ifndef DAEMON_CONTROL_CHECK_H
#define DAEMON_CONTROL_CHECK_H

#include "daemon/control_identity.h"
#include "mail/dmarc.h"
#include "registry/mail_from.h"
#include "registry/source.h"
#include "reporting/inquiry.h"

enum {
	PREFLIGHT_SOURCES_MAX = 64,
	/* jobs of each source: MAIL FROM domain, the one in use, EHLO name;
	   and those of the identity */
	PREFLIGHT_SOURCE_JOBS = 3,
	PREFLIGHT_OWN_JOBS = 6,
	PREFLIGHT_PROBE_MS = 10000,
	PREFLIGHT_TEXT_SIZE = 200
};

enum preflight_result { CHECK_PASS, CHECK_WARN, CHECK_FAIL, CHECK_UNKNOWN };

struct preflight_source {
	char address[64];
	char ehlo[256];
	size_t spf, used, helo; /* indices of its jobs; NO_JOB */
};
#define NO_JOB SIZE_MAX

struct preflight {
	struct request *q;
	char name[IDENTITY_NAME_SIZE];
	char from[IDENTITY_NAME_SIZE + 16];
	char from_domain[256];
	const char *pool; /* NULL = all */

	/* from the book */
	bool		    is_there;
	struct identity	    i;
	char		    covered_by[IDENTITY_NAME_SIZE]; /* "" = itself */
	bool		    may_send;
	enum signing_result signing;
	bool		    has_key;
	bool		    key_is_cname;
	bool		    has_second;
	struct dkim_key	    key; /* that signs, or would */
	struct dkim_key	    second; /* Ed25519 beside it */
	struct mail_from_choice choice;
	enum identity_status mail_from_status; /* of choice.identity */
	char		    mail_from[256]; /* that is checked */
	char		    used[256];	    /* that mail goes out with now */
	struct preflight_source sources[PREFLIGHT_SOURCES_MAX];
	size_t source_count;

	/* questions and answers */
	struct inquiry	     inquiry;
	struct verify_job    *jobs;
	struct verify_result *results;
	size_t dkim, dkim_second, mx, host, dmarc, reply; /* indices; NO_JOB */

	/* the connection */
	struct stream *stream;
	bool	       is_tried, is_greeted;
	char	       said[PREFLIGHT_TEXT_SIZE];
};

/* The answer to a job; NULL = it was not asked. */
const struct verify_result *preflight_result_of(const struct preflight *p,
    size_t job);
/* A finding; the members of the answer's object, taken over. */
json_t *preflight_add(struct preflight *p, const char *id,
    enum preflight_result r, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void preflight_hint(json_t *check, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void preflight_reason(json_t *check, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void preflight_judge(struct preflight *p);
void preflight_judge_mail_from(struct preflight *p);
void preflight_judge_dmarc(struct preflight *p);
/* Is d= aligned, as far as is known? */
bool preflight_dkim_is_aligned(struct preflight *p);

#endif
