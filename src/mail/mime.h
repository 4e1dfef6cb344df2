/* SPDX-License-Identifier: ISC */
/*
 * mime.h - parts, nesting and file names while the body streams by.
 * Use:    m = mime_new(&rules); mime_outer_encoding(m, encoding);
 *         mime_outer(m, content_type, disposition);
 *         mime_feed(m, body piece) ...; mime_end(m, &result); mime_free(m).
 * Owner:  the caller frees the scanner; it keeps no content, at most one
 *         part header field and 32 boundaries.  The block list must outlive
 *         the scanners that use it.
 * Thread: one at a time; pure.  A block list may be read by all.
 * Fails:  mime_result; malformed MIME is opaque, never an error.
 * Counted is every boundary-delimited part at any depth; the inside of
 * message/rfc822 is not entered.  RFC 2045, 2046, 2047, 2231.
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

enum {
	MIME_DEPTH_MAX = 32,
	MIME_PARTS_DEFAULT = 500,
	MIME_NAME_SHOWN = 100
};

/* attachments.blocked_extensions */
struct mime_blocked;
/* spec: "default", "none", ".exe, .com", "+.iso, -.tmp"; NULL = wrong. */
struct mime_blocked *mime_blocked_new(struct bytes spec, struct err *e);
void mime_blocked_free(struct mime_blocked *b); /* NULL is allowed */
/* A decoded file name; blanks, dots, quotes and "::$DATA" at its end do not
 * count. */
bool mime_blocked_has(const struct mime_blocked *b, struct bytes name);
size_t mime_blocked_count(const struct mime_blocked *b);

struct mime_rules {
	size_t parts_max;
	const struct mime_blocked *blocked; /* NULL = none */
	bool seeks_test; /* the test virus: eicar.h */
};

enum mime_verdict {
	MIME_OK,
	MIME_TOO_MANY_PARTS,
	MIME_TOO_DEEP,
	MIME_BLOCKED_NAME, /* .name */
	MIME_NO_MEMORY
};

struct mime_result {
	enum mime_verdict verdict; /* the first that was met */
	size_t parts; /* counted until the verdict */
	bool   has_test; /* a part is the test virus */
	char   name[MIME_NAME_SHOWN + 1]; /* as the reply shows it */
};

struct mime;
/* Copies rules; NULL = no memory. */
struct mime *mime_new(const struct mime_rules *rules);
void mime_free(struct mime *m); /* NULL is allowed */
/* Values (folded as they are) of the outermost Content-Type and
 * Content-Disposition; empty when absent.  Before the first feed. */
void mime_outer(struct mime *m, struct bytes content_type,
    struct bytes disposition);
/* Its Content-Transfer-Encoding, before the others. */
void mime_outer_encoding(struct mime *m, struct bytes value);
void mime_feed(struct mime *m, struct bytes body);
void mime_end(struct mime *m, struct mime_result *out);

/* "multipart/mixed" of a Content-Type value, as written: the first word that
 * is no comment. */
struct bytes mime_media_type(struct bytes content_type);
/* A parameter, quotes and RFC 2231 resolved, cut to size; false = not
 * there. */
bool mime_parameter(struct bytes value, const char *name, char *dst,
    size_t size);
/*
 * Looks at every form of a parameter of the value that may name a file;
 * MIME_OK, MIME_BLOCKED_NAME (the name as the reply shows it is put into
 * shown, MIME_NAME_SHOWN + 1 octets) or MIME_NO_MEMORY.
 */
enum mime_verdict mime_check_names(const struct mime_blocked *b,
    struct bytes value, const char *parameter, char *shown);

#endif
