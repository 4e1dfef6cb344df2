/* SPDX-License-Identifier: ISC */
/*
 * header.h - the header section: fields in order, look-up, rewriting.
 * Use:    at = header_end(sofar, &from, lenient); when at >= 0:
 *         header_parse(text, &rules, arena, &h);
 *         f = header_find(&h, "From"); v = header_unfold(f->value, arena);
 *         header_remove(&h, "Bcc"); header_replace(&h, f, "Date", date);
 *         header_append(...); header_put_on_top(...); header_write(&h, &b).
 * Owner:  fields are slices of the text, which must stay; what is added lies
 *         in the arena.
 * Thread: any; pure.
 * Fails:  HEADER_*, or false when arena or buffer is used up.
 * RFC 5322 section 2.2, RFC 2047.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

enum { HEADER_FIELD_MAX = 65536 }; /* one field, unfolded */

struct field {
	struct bytes name;  /* as written */
	struct bytes value; /* behind ":", folds in it, no final line end */
	bool	     removed;
};

struct header {
	struct field *fields; /* removed ones are still there */
	size_t	      count;
	size_t	      body;  /* where the body begins in the text */
	bool	      broke_off; /* lenient: ended by a line that is none */
	/* inner */
	size_t	      room;
	struct arena *arena;
};

struct header_rules {
	size_t section_max; /* octets with line ends */
	bool   lenient;	    /* a malformed line begins the body */
};

enum header_result {
	HEADER_OK,
	HEADER_MALFORMED,
	HEADER_TOO_LONG, /* section, or one field */
	HEADER_NO_MEMORY
};

/*
 * While content streams in: where the body begins (behind the empty line),
 * or -1 when that is not seen yet.  *from starts at 0 and keeps what was
 * looked at.  A message that ends before is all header.
 */
ptrdiff_t header_end(struct bytes sofar, size_t *from, bool lenient);
/* text may go on with body; without an empty line all of it is header. */
enum header_result header_parse(struct bytes text,
    const struct header_rules *rules, struct arena *a, struct header *out);

/* Without regard to case; removed fields are not seen. */
struct field *header_find(const struct header *h, const char *name);
struct field *header_next(const struct header *h, const struct field *after,
    const char *name);
size_t header_count(const struct header *h, const char *name);
/* First field with an octet above 127; NULL = none. */
const struct field *header_first_eight_bit(const struct header *h);

enum header_unique {
	HEADER_UNIQUE_SES, /* the 60 names of smtp-interface 9.3 */
	HEADER_UNIQUE_RFC5322
};
/* The name, as the list spells it, of the first field that repeats one. */
const char *header_first_duplicate(const struct header *h,
    enum header_unique set, bool many_signatures);

/* Value as events show it: CR LF before white space deleted, trimmed; a
 * slice of value where it can be.  .p == NULL: out of budget. */
struct bytes header_unfold(struct bytes value, struct arena *a);
/*
 * Encoded words to UTF-8; charsets utf-8, us-ascii, iso-8859-1, -15,
 * windows-1252, others stay as they are.  Text outside of words and what
 * words hold is not checked to be valid UTF-8.
 */
bool header_decode_words(struct bytes value, struct buf *out);
/* A display name as people read it: folds and quotes of its quoted strings
 * removed, encoded words to UTF-8. */
bool header_read_phrase(struct bytes phrase, struct buf *out);
/* Octets of a charset (name without case) to UTF-8; false = unknown. */
bool header_to_utf8(struct bytes charset, struct bytes text,
    struct buf *out);

/* Rewriting.  value has no line end at its end, folds are the caller's. */
void header_remove(struct header *h, const char *name); /* all instances */
void header_remove_prefix(struct header *h, const char *prefix);
bool header_replace(struct header *h, struct field *f, const char *name,
    struct bytes value);
bool header_append(struct header *h, const char *name, struct bytes value);
/* Each goes above those put before. */
bool header_put_on_top(struct header *h, const char *name,
    struct bytes value);
/* All fields and the empty line. */
bool header_write(const struct header *h, struct buf *out);

/* tag=value lists (DKIM-Signature, DKIM key records): value of a tag. */
bool header_tag(struct bytes list, const char *tag, struct bytes *value);
/* Some DKIM-Signature names the field in its h=. */
bool header_is_signed(const struct header *h, const char *name);

#endif
