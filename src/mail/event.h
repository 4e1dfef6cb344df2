/* SPDX-License-Identifier: ISC */
/*
 * event.h - what happened to a message, and how it is told: the JSON record
 * of events.md, and the snapshot of header fields it shows.
 * Use:    fill struct event (what happened) and struct event_mail (to which
 *         message); event_write_json(&ev, &mail, &buf).
 *         The snapshot is made once at submission, from the header section as
 *         received: event_snapshot_headers(section, &buf).
 * Owner:  both structs only borrow; empty bytes and a time of 0 mean that the
 *         member is absent.
 * Thread: any; nothing is kept.
 * Fails:  false = buf has no more room (buf.failed); what it holds then is
 *         of no use.
 */
#ifndef MAIL_EVENT_H
#define MAIL_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mail/classify.h"
#include "mail/message.h"
#include "mail/msgid.h"

struct header;

/* Numbers are kept in the store: never reorder. */
enum event_type {
	EVENT_SEND,
	EVENT_REJECT,
	EVENT_DELIVERY,
	EVENT_BOUNCE,
	EVENT_COMPLAINT,
	EVENT_DELIVERY_DELAY,
	EVENT_OPEN,
	EVENT_CLICK,
	EVENT_RENDERING_FAILURE,
	EVENT_SUBSCRIPTION,
};
enum { EVENT_TYPES = EVENT_SUBSCRIPTION + 1 };

const char *event_type_to_text(enum event_type t); /* "DELIVERY_DELAY" */
const char *event_type_to_wire(enum event_type t); /* "DeliveryDelay" */
/* As wire, but "RenderingFailure": the label of the metrics. */
const char *event_type_to_label(enum event_type t);
/* API name, wire name, older spellings; letter case does not matter. */
bool event_type_from_text(struct bytes s, enum event_type *out);

/* evt_ + ULID; stays the same on every retry of a destination. */
struct event_id {
	uint8_t b[16]; /* 6 of milliseconds, 10 random */
};
enum { EVENT_ID_TEXT = 30 };
void event_id_make(struct wall now, struct event_id *out);
struct wall event_id_time(const struct event_id *id); /* of making */
char *event_id_to_text(const struct event_id *id,
    char out[EVENT_ID_TEXT + 1]);

struct event_recipient {
	struct bytes address;
	struct bytes action;	 /* "failed"; only bounce */
	struct bytes status;	 /* "5.1.1"; bounce and delay */
	struct bytes diagnostic; /* "smtp; 550 5.1.1 user unknown" */
};

struct event_topic { /* preference of one topic */
	struct bytes name;
	bool	     opt_in;
};

struct event_preferences {
	bool			  unsubscribe_all;
	const struct event_topic *status;
	size_t			  status_count;
	const struct event_topic *defaults;
	size_t			  default_count;
};

/* Members that only one of the rarer types has. */
struct event_tracking { /* Open, Click */
	struct bytes		ip, user_agent;
	struct bytes		link;	   /* Click */
	const struct message_tag *link_tags; /* Click */
	size_t			link_tag_count;
};
struct event_failure { /* Rendering Failure */
	struct bytes error_message, template_name;
};
struct event_subscription {
	struct bytes		 contact_list, source;
	struct event_preferences new_preferences, old_preferences;
};

struct event {
	enum event_type type;
	struct event_id id;
	struct wall	at; /* "timestamp" of the detail member */
	struct msgid	message;
	const struct event_recipient *recipients;
	size_t			      recipient_count;
	struct bytes reply; /* Delivery: smtpResponse */
	/*
	 * as it is shown: Delivery host name; Bounce "dns; NAME"; Delay IP
	 * address of the server that answered
	 */
	struct bytes	    reporting_mta;
	struct bytes	    remote_ip;	  /* Delivery, Bounce: remoteMtaIp */
	/*
	 * name of the server whose reply it is; empty: posthorn found the
	 * failure itself.  For the mail to the sender and for trace; no
	 * record shows it
	 */
	struct bytes	    remote_host;
	struct bytes	    outgoing_ip;  /* tag ses:outgoing-ip */
	struct bytes	    outgoing_tls; /* "TLSv1.3" */
	enum bounce_type    bounce_type;
	enum bounce_subtype bounce_subtype;
	struct bytes	    feedback_id; /* Bounce, Complaint; text */
	enum delay_type	    delay_type;
	struct wall	    expires; /* Delay: expirationTime */
	/* Bounce, Delay: rule of classify.h, empty without a reply; for trace,
	 * no record shows it */
	struct bytes	    rule;
	/* Complaint; the three of a report are empty without one */
	bool	     on_account_list; /* complaintSubType */
	struct bytes user_agent;
	struct bytes feedback_type; /* is shown in lower case */
	struct wall  arrival;
	/* extensions */
	unsigned attempts;
	bool	 simulator;
	/* Made from mail that came back, which is forwarded as it is; for us,
	 * no record shows it */
	bool	 from_report;
	bool	 wants_dsn; /* Delivery, Delay: the client asked for it */
	bool	 repeated; /* not the first of its kind: does not count */
	/* NULL unless of that type */
	const struct event_tracking	*tracking;
	const struct event_failure	*failure;
	const struct event_subscription *subscription;
};

struct event_mail {
	struct wall	    accepted;
	struct bytes	    source; /* bare MAIL FROM, "" = null sender */
	struct bytes	    source_arn;
	struct bytes	    account; /* 12 digits: sendingAccountId */
	struct bytes	    message_id; /* text */
	const struct bytes *destinations;
	size_t		    destination_count;
	struct bytes	    snapshot; /* encoded; empty = none */
	/*
	 * in the order shown: the automatic ones ("ses:...") that hold for
	 * the message first; the outgoing ones come from the event.  NULL:
	 * the message has no configuration set, and the record no tags.
	 */
	const struct message_tag *tags;
	size_t			tag_count;
	/* identity notifications and extensions */
	struct bytes source_ip, caller;
	struct bytes region, access_key_id;
};

enum {
	EVENT_RECORD_MAX = 262144,
	EVENT_HEADERS_MAX = 10240,
	EVENT_SNAPSHOT_MAX = 16384, /* of the encoded form */
	EVENT_REPLY_MAX = 2048,
	EVENT_AGENT_MAX = 1024,
};

/* Which of the two routes, events.md 7.2; all false: event publishing. */
struct event_form {
	bool notification; /* of an identity: notificationType, no tags */
	bool headers;	   /* notification: show header fields */
	bool extensions;   /* the member "posthorn" */
};

/* A delay that a receiver reported: it stands in the trace, and is told to
 * nobody (bounces-and-feedback.md 7.2). */
bool event_is_note(const struct event *ev);
/* A Complaint: of a kind that counts (bounces-and-feedback.md 9.4), and not
 * from the account's own list. */
bool event_complaint_counts(const struct event *ev);

/* One record without line end. */
bool event_write_json(const struct event *ev, const struct event_mail *m,
    struct buf *out);
bool event_write_json_as(const struct event *ev, const struct event_mail *m,
    const struct event_form *form, struct buf *out);
/* One line without line end: "event tail --text" of admin-cli.md. */
bool event_write_text(const struct event *ev, const struct event_mail *m,
    struct buf *out);
/* A JSON string with its quotes: the escaping of events.md section 2. */
bool event_write_string(struct bytes s, struct buf *out);
/* At most max octets of UTF-8 inside; what is cut ends in tail. */
bool event_write_string_cut(struct bytes s, size_t max, const char *tail,
    struct buf *out);

/*
 * section: header fields as received, with or without the empty line.  out
 * should have a max of EVENT_SNAPSHOT_MAX or more.
 */
bool event_snapshot_headers(struct bytes section, struct buf *out);
/* The same of a section that is parsed, before anything is rewritten. */
bool event_snapshot_fields(const struct header *h, struct buf *out);
bool event_snapshot_is_truncated(struct bytes snapshot);
/* *at is 0 before the first call; false = no more (or damaged). */
bool event_snapshot_next(struct bytes snapshot, size_t *at,
    struct bytes *name, struct bytes *value);

#endif
