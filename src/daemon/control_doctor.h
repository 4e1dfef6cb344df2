/* SPDX-License-Identifier: ISC */
/*
 * control_doctor.h - the check of the installation, as its files share it
 * (mail-from-spf-dmarc.md 9.5).
 *
 *	control_doctor.c	findings; source addresses; the order
 *	control_doctor_host.c	what the daemon knows by itself
 *	control_doctor_dns.c	questions to the name servers, in two rounds
 *	control_doctor_spf.c	may the source addresses send for the default
 *				MAIL FROM domain?  The verifier is asked
 *	control_doctor_judge.c	what their answers mean
 *	control_doctor_port.c	one connection to port 25 a source address
 *
 * Use:    doctor_begin() asks, then doctor_spf_ask(), then
 *         doctor_ports_open() connects, then doctor_end() adds the findings;
 *         each goes on by itself.  A finding that is not PASS has a remedy
 *         (control_remedy.h).
 * Owner:  struct doctor is the state of the request.
 * Thread: main; while a round is out its questions belong to the delivery
 *         loop, which has the resolver.
 * Fails:  nothing fails: what could not be asked is a finding UNKNOWN.
 * Bounds: DOCTOR_SOURCES_MAX addresses and DOCTOR_ZONES_MAX lists are looked
 *         at; DOCTOR_OPEN_MAX questions are out at once, each for
 *         dns.timeout and dns.tries; a connection has DOCTOR_PORT_MS.
 */
#ifndef DAEMON_CONTROL_DOCTOR_H
#define DAEMON_CONTROL_DOCTOR_H

#include "daemon/control_private.h"
#include "daemon/control_remedy.h"
#include "registry/source.h"
#include "reporting/inquiry.h"

enum finding { FINDING_PASS, FINDING_WARN, FINDING_FAIL, FINDING_UNKNOWN };
enum {
	DOCTOR_SOURCES_MAX = 64,
	DOCTOR_ZONES_MAX = 16,
	DOCTOR_OPEN_MAX = 16,
	DOCTOR_PORT_MS = 10000,
	DOCTOR_ROUND_MS = 40000, /* nothing more is asked after it */
	DOCTOR_NAME_SIZE = 256,
	DOCTOR_TEXT_SIZE = 200
};

enum doctor_kind {
	DOCTOR_PTR,	     /* names of a source address */
	DOCTOR_PTR_BACK,     /* addresses of its name */
	DOCTOR_LISTED,	     /* a source address in a block list */
	DOCTOR_FROM_MX,	     /* of mail_from.default_domain */
	DOCTOR_FROM_SPF,
	DOCTOR_FEEDBACK,     /* addresses of mail_from.mx_host */
	DOCTOR_OPERATOR_KEY, /* record of dkim.operator_selector */
	DOCTOR_PROBE_MX,     /* of server.domain */
	DOCTOR_PROBE_HOST    /* addresses of who is connected to */
};

struct doctor;
struct doctor_question {
	struct doctor	  *doctor;
	enum doctor_kind   kind;
	enum resolver_type type;
	size_t		   source; /* of PTR, PTR_BACK, LISTED */
	const char	  *zone;   /* of LISTED; lives with the conf */
	char		   name[DOCTOR_NAME_SIZE];
	struct dns_answer *answer; /* NULL: could not be asked */
};

/* Where mail leaves from; not stored: chosen by the system. */
struct doctor_source {
	char address[64];
	int  family;
	char ehlo[DOCTOR_NAME_SIZE];
	bool is_stored;
	struct stream *stream; /* to port 25 */
	bool	     is_tried, is_connected, is_greeted;
	char	     said[DOCTOR_TEXT_SIZE]; /* greeting, or what failed */
	struct doctor *doctor;
};

struct doctor {
	struct request *q;
	struct doctor_source sources[DOCTOR_SOURCES_MAX];
	size_t source_count;
	size_t sources_left_out;
	bool   is_probing; /* not with --no-probe */
	const struct conf_route *smart_host; /* all mail goes there, or NULL */

	struct doctor_question *questions;
	size_t count, max;
	size_t next;	  /* to be asked; of the delivery loop */
	unsigned open;	  /* asked, not answered; of the delivery loop */
	struct mono until; /* of the round */
	request_fn *then;  /* when it is over */

	json_t		    *spf_rows; /* as "spf print" has them; owned */
	struct inquiry	     spf; /* one job for each source address */
	struct verify_job    *spf_jobs;
	struct verify_result *spf_results;

	char   operator_key[1100]; /* base64; "" = not known */
	char   operator_said[DOCTOR_TEXT_SIZE];
	char   probe_host[DOCTOR_NAME_SIZE]; /* who is connected to */
	unsigned probe_port;
	size_t connecting;
};

/* control_doctor.c */
/* Lent by the answer; what is not PASS wants a remedy. */
json_t *doctor_add(struct request *q, const char *id, enum finding f,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

void doctor_begin(struct doctor *d);	/* then doctor_spf_ask() */
void doctor_spf_ask(struct doctor *d);	/* then doctor_ports_open() */
void doctor_ports_open(struct doctor *d); /* then doctor_end() */
void doctor_judge(struct doctor *d);	/* the answers */
void doctor_end(struct doctor *d);	/* judges, and ends the request */

/* control_doctor_host.c */
void doctor_look_at_host(struct request *q);
struct conf_listener;
void doctor_judge_certificate(struct request *q,
    const struct conf_listener *l, struct wall end);
void doctor_judge_certificate_name(struct request *q,
    const struct conf_listener *l, bool is_there);
void doctor_judge_listeners(struct request *q);
struct spool_figures;
void doctor_judge_disk(struct request *q, const struct spool_figures *f);
void doctor_judge_postmaster(struct request *q);
void doctor_judge_clock(struct request *q, int state, int64_t error_us);

/* control_doctor_dns.c: answers of a kind, from *from on; NULL = no more. */
const struct doctor_question *doctor_next(const struct doctor *d,
    enum doctor_kind k, size_t *from);
/* The first of a kind; NULL = it was not asked. */
const struct doctor_question *doctor_first(const struct doctor *d,
    enum doctor_kind k);
bool doctor_is_answered(const struct doctor_question *a);
const char *doctor_status(const struct doctor_question *a);
/* control_doctor_spf.c */
void doctor_judge_spf(struct doctor *d);
void doctor_spf_free(struct doctor *d);
/* control_doctor_port.c */
void doctor_ports_close(struct doctor *d);

#endif
