/* SPDX-License-Identifier: ISC */
/*
 * control_check.h - the preflight report of one identity, as its files share
 * it (mail-from-spf-dmarc.md 9.1).
 *
 *	control_check.c		what is known; the questions; their order
 *	control_check_judge.c	what the answers mean
 *	control_check_dmarc.c	alignment and DMARC
 *	control_check_remedy.c	what mends a finding, where that depends
 *
 * Use:    "identity check" gathers from the book, has all questions answered
 *         by the verifier (reporting/inquiry.h), connects to port 25 of the
 *         MX host, then preflight_judge() adds a finding for each check; one
 *         that did not pass has a remedy (control_remedy.h).
 * Owner:  struct preflight is the state of the request.
 * Thread: main.
 * Fails:  what could not be asked is UNKNOWN.
 * Bounds: PREFLIGHT_SOURCES_MAX addresses; INQUIRY_MS for DNS,
 *         PREFLIGHT_PROBE_MS for the connection.
 */
#ifndef DAEMON_CONTROL_CHECK_H
#define DAEMON_CONTROL_CHECK_H

#include "daemon/control_identity.h"
#include "daemon/control_remedy.h"
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
	char		    decided_by[IDENTITY_NAME_SIZE]; /* signing */
	bool		    has_key;
	bool		    key_is_cname;
	bool		    has_second;
	struct dkim_key	    key; /* that signs, or would */
	enum identity_status key_status; /* of the set it belongs to */
	struct dkim_key	    second; /* Ed25519 beside it */
	struct mail_from_choice choice;
	enum identity_status mail_from_status; /* of choice.identity */
	bool		    mail_from_rejects;
	json_t		   *spf_rows; /* as "spf print" has them; owned */
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
/* DNS has no answer about a name. */
void preflight_unknown(struct preflight *p, const char *id, const char *type,
    const char *name, const struct verify_result *r);
void preflight_judge(struct preflight *p);
void preflight_judge_mail_from(struct preflight *p);
void preflight_judge_dmarc(struct preflight *p);
/* Is d= aligned, as far as is known? */
bool preflight_dkim_is_aligned(struct preflight *p);
/* The record that holds; without one all is relaxed. */
const struct dmarc_record *preflight_dmarc(const struct preflight *p);

/* -- what mends them: control_check_remedy.c ------------------------------- */
void preflight_mend_identity(struct preflight *p, json_t *check);
/* Signing is off, or nothing is there that could sign. */
void preflight_mend_signing(struct preflight *p, json_t *check);
/* The record of a key, or what makes it be looked for again. */
void preflight_publish_key(struct preflight *p, json_t *check,
    const struct dkim_key *k, const struct verify_result *r);
/* A record that the owner of the From domain cannot publish. */
void preflight_note_zone(const struct preflight *p, json_t *check,
    const char *name);
/* What makes the key sign. */
void preflight_mend_key(struct preflight *p, json_t *check);
/* d=, or the MAIL FROM domain, is not that of the From domain. */
void preflight_mend_dkim_alignment(struct preflight *p, json_t *check);
void preflight_mend_spf_alignment(struct preflight *p, json_t *check);
void preflight_mend_mx(struct preflight *p, json_t *check);
/* The record is right, but the domain is not used. */
void preflight_mend_use(struct preflight *p, json_t *check);
void preflight_publish_helo(struct preflight *p, json_t *check,
    const struct preflight_source *s);

#endif
