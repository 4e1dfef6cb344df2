/* SPDX-License-Identifier: ISC */
/*
 * classify.h - what a refusal means.
 * Use:    c = classify_new(&e) once; then for each reply
 *         a final 5xx:              classify_final(c, &in, &out)
 *         4xx when time has run out: classify_expired(c, &in, &out)
 *         4xx that is tried again:   delay = classify_delay(c, &in, &out)
 *         a received report:         classify_report(c, ..., &out)
 *         Failures found without a reply (DNS, SIZE, TLS, connection) have
 *         fixed results and are not asked here.
 * Owner:  the maker frees the rules; results are plain values (rule points
 *         to constant text).
 * Thread: the rules are immutable after classify_new() and may be used by
 *         all threads at the same time.
 * Fails:  classify_new() NULL = no memory.  The rest never: hostile text is
 *         cut to CLASSIFY_TEXT_MAX octets before any expression sees it.
 */
#ifndef MAIL_CLASSIFY_H
#define MAIL_CLASSIFY_H

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"

enum bounce_type { BOUNCE_UNDETERMINED, BOUNCE_PERMANENT, BOUNCE_TRANSIENT };

enum bounce_subtype {
	BOUNCE_SUB_UNDETERMINED,
	BOUNCE_SUB_GENERAL,
	BOUNCE_SUB_NO_EMAIL,
	BOUNCE_SUB_SUPPRESSED,
	BOUNCE_SUB_ON_ACCOUNT_LIST,
	BOUNCE_SUB_UNSUBSCRIBED,
	BOUNCE_SUB_MAILBOX_FULL,
	BOUNCE_SUB_MESSAGE_TOO_LARGE,
	BOUNCE_SUB_CONTENT_REJECTED,
	BOUNCE_SUB_ATTACHMENT_REJECTED,
};

enum delay_type {
	DELAY_UNDETERMINED,
	DELAY_INTERNAL_FAILURE,
	DELAY_GENERAL,
	DELAY_MAILBOX_FULL,
	DELAY_SPAM_DETECTED,
	DELAY_RECIPIENT_SERVER_ERROR,
	DELAY_IP_FAILURE,
	DELAY_COMMUNICATION_FAILURE, /* TransientCommunicationFailure */
	DELAY_HOST_NAME_LOOKUP,	     /* BYOIPHostNameLookupUnavailable */
	DELAY_SENDING_DEFERRAL,
};

enum {
	BOUNCE_TYPES = BOUNCE_TRANSIENT + 1,
	BOUNCE_SUBTYPES = BOUNCE_SUB_ATTACHMENT_REJECTED + 1,
	DELAY_TYPES = DELAY_SENDING_DEFERRAL + 1,
};

/* The names of events.md: "Permanent", "OnAccountSuppressionList", ... */
const char *bounce_type_to_text(enum bounce_type t);
const char *bounce_subtype_to_text(enum bounce_subtype t);
const char *delay_type_to_text(enum delay_type t);
/* The table of bounces-and-feedback.md section 2. */
bool bounce_suppresses(enum bounce_type t, enum bounce_subtype s);
bool bounce_counts(enum bounce_type t, enum bounce_subtype s);

/* What the server was answering.  DOT also for the last BDAT chunk. */
enum classify_stage {
	CLASSIFY_GREETING,
	CLASSIFY_EHLO,
	CLASSIFY_MAIL,
	CLASSIFY_RCPT,
	CLASSIFY_DATA,
	CLASSIFY_DOT,
	CLASSIFY_ASYNC, /* a report that came back; treated like DOT */
};
const char *classify_stage_to_text(enum classify_stage s); /* "rcpt" */

struct classify_input {
	enum classify_stage stage;
	unsigned	    code; /* 100-599; 0 = none known */
	/*
	 * "5.1.1", of any class, the code's class counts; empty: text is
	 * looked at, which may begin with one
	 */
	struct bytes enh;
	struct bytes text; /* without code, lines joined by one blank */
	struct bytes recipient; /* bare address, its mention is ignored */
	struct bytes source_ip; /* our address in this attempt; may be empty */
};

enum { CLASSIFY_TEXT_MAX = 1024, CLASSIFY_LIST_MAX = 64,
	CLASSIFY_URL_MAX = 256 };

struct classification {
	enum bounce_type    type;
	enum bounce_subtype subtype;
	const char	   *rule; /* "N1", never NULL, constant text */
	bool		    ip_block;	/* B1-B4 */
	bool		    auth_alert; /* P1 */
	bool		    spam;	/* counts as spam bounce (3.5) */
	char		    list[CLASSIFY_LIST_MAX]; /* block list, "" = none */
	char		    url[CLASSIFY_URL_MAX]; /* only with ip_block */
};

/* The rules in their order, for figures: 0 to CLASSIFY_RULES - 1. */
enum { CLASSIFY_RULES = 22 };
const char *classify_rule_id(unsigned i);
unsigned classify_rule_find(const char *id); /* one of them */

struct classify;
struct classify *classify_new(struct err *e);
void classify_free(struct classify *c); /* NULL is allowed */

void classify_final(const struct classify *c, const struct classify_input *in,
    struct classification *out);
/* The same rules; Permanent and Undetermined become Transient/General. */
void classify_expired(const struct classify *c,
    const struct classify_input *in, struct classification *out);
/*
 * The delay type of a reply (rows 3-9 of section 4, and 4.4.* of row 2).
 * out: as classify_expired(), for the IP block record and the log.
 */
enum delay_type classify_delay(const struct classify *c,
    const struct classify_input *in, struct classification *out);
/*
 * A failed recipient of a received report: Diagnostic-Code with its type
 * ("smtp; 550 5.1.1 unknown", may be empty) and Status ("5.1.1", may be
 * empty).  A status or reply of class 4 is a 4xx at expiry.
 */
void classify_report(const struct classify *c, struct bytes diagnostic,
    struct bytes status, struct bytes recipient, struct classification *out);
/* Of a text that a rule B1-B4 held for: block list and URL in it, or "". */
void classify_find_block(struct bytes text, char list[CLASSIFY_LIST_MAX],
    char url[CLASSIFY_URL_MAX]);

#endif
