/* SPDX-License-Identifier: ISC */
/*
 * report.h - mail that posthorn writes itself, and reports that come back.
 * Use:    report_write_dsn(&dsn, &buf) and the notices give a whole message,
 *         CRLF line ends, without Date and Message-ID (unless a DSN is given
 *         them); the submission path adds what is missing, and signs.
 *         report_read(message, arena, &r) reads a DSN or a feedback report
 *         from anybody.
 * Owner:  input is borrowed; what report_read() gives lives in the arena or
 *         lends from the message.
 * Thread: any; nothing is kept.
 * Fails:  write: false = buf has no more room.  read: false = no report (or
 *         no room in the arena); never more than REPORT_RECIPIENTS_MAX
 *         groups and REPORT_TEXT_MAX octets of parts are looked at.
 * Written text is made safe: line ends and control characters of a value
 * become blanks, octets over 126 a question mark (header section excepted).
 */
#ifndef MAIL_REPORT_H
#define MAIL_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/mem.h"

/* -- writing: delivery status notification (bounces-and-feedback.md 5.4) --- */

enum report_cause {
	REPORT_REPLY,	/* a server answered: its reply is shown */
	REPORT_EXPIRED, /* "delivery time expired", and the last diagnostic */
	REPORT_LOCAL,	/* suppressed, DNS, size ...: diagnostic as reason */
};

struct report_failure { /* one recipient */
	enum report_cause cause;
	struct bytes	  recipient;	      /* bare address */
	struct bytes	  original_recipient; /* of ORCPT=, "rfc822;..." */
	/* "delayed", "relayed", "delivered": of all of them alike; empty:
	 * "failed" */
	struct bytes	  action;
	struct bytes	  status;	      /* "5.1.1" */
	struct bytes	  remote_mta; /* host name, empty = none */
	struct bytes	  remote_ip;
	struct bytes	  diagnostic; /* as in the event: "smtp; 550 ..." */
	struct wall	  last_attempt; /* 0 = none */
};

struct report_dsn {
	struct bytes mailer; /* MAILER-DAEMON@bounces.relay.example */
	struct bytes to;
	struct wall  date;	 /* 0: no Date */
	struct bytes dsn_id;	 /* with <>; empty: no Message-ID */
	struct bytes token;	 /* of the boundary: [0-9a-f]+ at random */
	struct bytes client_id;	 /* the client's Message-ID with <>, or empty */
	struct bytes sent_id;	 /* the Message-ID it was sent with, with <> */
	struct bytes message_id; /* posthorn's id, text */
	struct bytes reporting_mta; /* host name */
	struct bytes envelope_id;   /* of ENVID=, or empty */
	struct wall  arrival;
	const struct report_failure *failures;
	size_t			     failure_count; /* at least 1 */
	struct bytes headers; /* header section as sent */
	struct bytes content; /* the whole message in its place; or empty */
};
bool report_write_dsn(const struct report_dsn *d, struct buf *out);

/* -- writing: notices ------------------------------------------------------ */

struct report_head {
	struct bytes	    from; /* bare address */
	const struct bytes *to;	  /* bare addresses */
	size_t		    to_count;
};

/* identities-and-policies.md 4.3, to one address; url: identity.verify_url,
 * empty = no web page. */
bool report_write_verification(const struct report_head *h,
    struct bytes region, struct bytes token, struct bytes url,
    struct buf *out);
/* quotas.md 8; percent is 80 or 100. */
bool report_write_quota_warning(const struct report_head *h,
    struct bytes account, unsigned percent, double sent, double max,
    struct buf *out);

enum report_status_kind {
	REPORT_STATUS_IDENTITY,
	REPORT_STATUS_DKIM,
	REPORT_STATUS_MAIL_FROM,
};
struct report_status {
	enum report_status_kind kind;
	struct bytes account, identity;
	struct bytes before, after; /* "SUCCESS", "TEMPORARY_FAILURE" */
	struct wall  deadline;	    /* of a temporary failure; 0 = none */
	struct bytes detail;	    /* what was missing, one line, or empty */
};
bool report_write_status(const struct report_head *h,
    const struct report_status *s, struct buf *out);

struct report_switch {
	bool	     enabled; /* true: resumed */
	struct bytes account;
	struct bytes set;    /* a configuration set only, or empty: all */
	struct bytes reason; /* or empty */
	struct bytes actor;  /* or empty */
};
bool report_write_switch(const struct report_head *h,
    const struct report_switch *s, struct buf *out);

/* A destination of events was switched off (events.md 10.5). */
bool report_write_destination(const struct report_head *h,
    struct bytes account, struct bytes destination, struct bytes reason,
    struct buf *out);
/* A dead topic was taken from an identity (events.md 7.4). */
bool report_write_topic(const struct report_head *h, struct bytes identity,
    struct bytes topic, struct bytes event_type, struct buf *out);
/* Rule P1 of classify.h: a receiver says that the mail is not authentic; or,
 * without recipient and reply, a report says so. */
bool report_write_auth_alert(const struct report_head *h,
    struct bytes identity, struct bytes recipient, struct bytes reply,
    struct buf *out);

/* Any other warning; subject and text are one line each. */
bool report_write_warning(const struct report_head *h, struct bytes account,
    struct bytes subject, struct bytes text, struct buf *out);

/* -- reading --------------------------------------------------------------- */

enum {
	REPORT_RECIPIENTS_MAX = 100,
	REPORT_TEXT_MAX = 256 * 1024,
	REPORT_FIELD_MAX = 2048, /* a longer value is cut */
};

enum report_kind {
	REPORT_DSN,  /* RFC 3464 */
	REPORT_ABUSE /* RFC 5965 */
};

struct report_recipient { /* one group of a DSN */
	struct bytes final;    /* address without type prefix */
	struct bytes original; /* the same, or empty */
	struct bytes action;   /* lower case */
	struct bytes status;
	struct bytes diagnostic; /* raw, unfolded, with its type; or empty */
	struct bytes remote_mta;
};

struct report {
	enum report_kind kind;
	struct wall	 date;	  /* Date of the report mail; 0 = none */
	struct bytes	 reporting_mta; /* raw: "dns; email.example.com" */
	struct bytes	 envelope_id;	/* Original-Envelope-Id */
	struct wall	 arrival; /* Arrival-Date, or Received-Date; 0 */
	struct report_recipient *recipients;
	size_t			 recipient_count;
	bool	     truncated; /* there were more recipients */
	struct bytes feedback_type; /* lower case */
	struct bytes user_agent;
	struct bytes original_mail_from; /* bare address */
	struct bytes original_rcpt_to;	 /* bare address, the first one */
	struct bytes original; /* header section of the attached message */
};

/* An arena of 1 MiB holds what any honest report needs. */
bool report_read(struct bytes message, struct arena *a, struct report *out);

#endif
