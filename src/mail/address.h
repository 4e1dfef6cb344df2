/* SPDX-License-Identifier: ISC */
/*
 * address.h - mail addresses and domain names: syntax, normal form, walking.
 * Use:    if (!address_parse(text, ADDRESS_ALLOW_UNDERSCORE, &a)) refuse;
 *         key = address_normal(&a, dst);
 *         for (d = a.domain; ; d = up) { look up d;
 *             if (!domain_parent(d, &up)) break; }
 * Owner:  results are slices of what was parsed; normal forms are written
 *         into the caller's dst; mailbox lists live in the caller's arena.
 * Thread: any; pure.
 * Fails:  false = not an address (or not one that the flags allow).
 * RFC 5321 4.1.2 for the envelope, RFC 5322 3.4 for header fields.  7-bit
 * only; Unicode domains have to come as A-labels.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

enum {
	ADDRESS_LOCAL_MAX = 64,
	DOMAIN_LABEL_MAX = 63,
	DOMAIN_MAX = 253,	  /* 255 on the wire */
	ADDRESS_MAX = 254,	  /* a path of 256 without its brackets */
	ADDRESS_TEXT_MAX = 256,	  /* room for a normal form with NUL */
	DOMAIN_TEXT_MAX = 256,
	MAILBOX_LIST_MAX = 1024	  /* mailboxes in one header field */
};

enum address_flags {
	ADDRESS_ALLOW_LITERAL = 1,	/* user@[192.0.2.1] */
	ADDRESS_ALLOW_SINGLE_LABEL = 2, /* user@host */
	ADDRESS_ALLOW_UNDERSCORE = 4,	/* in the domain: recipients */
	MAILBOX_ALLOW_GROUPS = 8,	/* lists only: To, Cc, Reply-To */
	MAILBOX_ALLOW_NULL = 16		/* lists only: "<>" gives no mailbox */
};

struct address {
	struct bytes local;  /* as given, with its quotes */
	struct bytes domain; /* as given; a literal with its brackets */
	bool	     quoted; /* local is a quoted string */
	bool	     literal;
};

/* A mailbox of the envelope, without angle brackets and source route. */
bool address_parse(struct bytes text, unsigned flags, struct address *out);
/* Splits what was checked before (a normal form); false without "@". */
bool address_split(struct bytes normal, struct address *out);
/*
 * The form that is compared and stored: quotes removed where RFC 5321 needs
 * none, local part else exact, domain in lower case.  dst has room for
 * ADDRESS_TEXT_MAX; the result lies in dst, with NUL.
 */
struct bytes address_normal(const struct address *a, char *dst);
/* Parses and normalises; false = not an address. */
bool address_normal_text(struct bytes text, unsigned flags, char *dst,
    struct bytes *out);
/* "user" of user+label, for unquoted local parts; false = has no label. */
bool address_base(const struct address *a, struct bytes *base);

/* Flags as above; no final dot. */
bool domain_is_valid(struct bytes d, unsigned flags);
/* Lower case, one final dot removed; dst has DOMAIN_TEXT_MAX. */
bool domain_normal(struct bytes d, unsigned flags, char *dst,
    struct bytes *out);
/* Removes the first label; false = fewer than two labels would be left. */
bool domain_parent(struct bytes d, struct bytes *parent);
/* d is top or lies below it; without regard to case. */
bool domain_is_within(struct bytes d, struct bytes top);
/* Four decimal numbers with dots: a name in form only. */
bool domain_is_dotted_quad(struct bytes d);

/* One mailbox of a header field. */
struct mailbox {
	struct bytes   raw;	/* the whole as it stands, trimmed */
	struct bytes   name;	/* display name as it stands; may be empty,
				   quoted, folded, hold encoded words */
	struct bytes   spec;	/* addr-spec as it stands, first to last octet */
	struct bytes   text;	/* addr-spec without comments and blanks */
	struct address address; /* slices of text */
};

struct mailbox_list {
	struct mailbox *v;
	size_t		n;
};

enum mailbox_result {
	MAILBOX_OK,
	MAILBOX_SYNTAX,	  /* also: no mailbox, a group, no domain */
	MAILBOX_TOO_MANY, /* over MAILBOX_LIST_MAX */
	MAILBOX_NO_MEMORY /* the arena is used up */
};

/*
 * The value of From, Sender, Return-Path, To, Cc, Reply-To; folds and
 * comments are understood.  Octets above 127 are let through in display
 * names, quoted strings and comments, never in the addr-spec.
 */
enum mailbox_result mailbox_list_parse(struct bytes value, unsigned flags,
    struct arena *a, struct mailbox_list *out);
/*
 * The value with another address for every mailbox at this domain; names,
 * comments and folds stay.  Returns how many there were; 0 = *out is as it
 * was, as it is for what is no list of mailboxes.
 */
size_t mailbox_list_replace(struct bytes value, struct bytes domain,
    struct bytes address, struct arena *a, struct buf *out);

/* What stands behind the last @; all of it without one.  Not checked. */
struct bytes address_domain(struct bytes address);

#endif
