/* SPDX-License-Identifier: ISC */
/*
 * returned.h - mail that came back: what it is, and of what it speaks
 * (bounces-and-feedback.md 6.4 to 9).
 *
 * Use:    returned_read(message, sender, arena, &r); then by r.kind; ids of
 *         ours in it by returned_next_id().
 * Owner:  input is borrowed; what is given lives in the arena or lends from
 *         the message.
 * Thread: any; pure.
 * Fails:  never: what cannot be read is RETURNED_OTHER.
 *
 * Only RETURNED_OCTETS of a message are looked at: the caller may cut it.
 */
#ifndef MAIL_RETURNED_H
#define MAIL_RETURNED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "mail/msgid.h"
#include "mail/report.h"

enum { RETURNED_OCTETS = 512 * 1024, RETURNED_LINE_MAX = 512 };

/* In the order of recognition. */
enum returned_kind {
	RETURNED_COMPLAINT,   /* a feedback report */
	RETURNED_DSN,
	RETURNED_DISPOSITION, /* RFC 8098: read, deleted ... */
	RETURNED_AUTOREPLY,
	RETURNED_BOUNCE, /* without a report */
	RETURNED_OTHER
};

struct returned {
	enum returned_kind kind;
	bool	      has_attached; /* a message (or its header section) */
	struct report report; /* COMPLAINT, DSN; .date and .original always */
	struct bytes  message_id; /* of the mail itself, with <>; or empty */
	struct bytes  from;	   /* mailbox of its From; or empty */
	struct bytes  body;	   /* behind its header section */
	/* BOUNCE, DSN: the first one with a reply code, before what came
	 * back; of a DSN it is in the text for people */
	struct bytes  line;
};
/* sender: envelope sender, "" = null. */
void returned_read(struct bytes message, struct bytes sender,
    struct arena *a, struct returned *out);

/*
 * Message ids of ours in a header section: Return-Path first, then
 * Message-ID, then Received.  *at is 0 before the first call; false = no more.
 */
bool returned_next_id(struct bytes section, struct arena *a, size_t *at,
    struct msgid *id, unsigned *recipient);
/* Its Message-ID, with <>, or "". */
struct bytes returned_message_id(struct bytes section, struct arena *a);
/* The id with which a text begins, or what stands in < >; false = none. */
bool returned_find_id(struct bytes text, struct msgid *id,
    unsigned *recipient);
/* Does the body name the address? */
bool returned_names(const struct returned *r, struct bytes address);

#endif
