/* SPDX-License-Identifier: ISC */
/*
 * json_reader.h - JSON documents of the registers: read by tables of members,
 * refused with the place of what is wrong; written into a buffer.
 *
 * Use:    struct json_reader r = { .err = e, .into = &x };
 *         json_read_document(&r, text, max, members) == 0; the functions of
 *         members call json_read_text() and the others, and fill r->into.
 * Owner:  plain data on the stack; values live as long as the document, that
 *         is, until the outermost call returns.
 * Thread: any.
 * Fails:  -1 and *e: BOOK_BAD_REQUEST, "DeliveryOptions.TlsPolcy: unknown
 *         member".  Half of it may have been filled in.
 *
 * A member that is null is as if it were not there.  Letter case of words
 * does not matter; what is unknown, twice there, or no text in UTF-8 without
 * NUL is refused.
 */
#ifndef REGISTRY_JSON_READER_H
#define REGISTRY_JSON_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

struct json_t;

enum { JSON_PLACE_SIZE = 160 };
struct json_reader {
	struct err *err;
	void	   *into;		  /* the caller's */
	char	    place[JSON_PLACE_SIZE]; /* "" = the document */
};
struct json_member {
	const char *name; /* NULL = end of the table */
	int (*read)(struct json_reader *r, const struct json_t *v);
};

/* max: octets of text. */
int json_read_document(struct json_reader *r, struct bytes text, size_t max,
    const struct json_member *members);
int json_read_object(struct json_reader *r, const struct json_t *v,
    const struct json_member *members);
/* Each item of a list. */
int json_read_list(struct json_reader *r, const struct json_t *v,
    int (*read)(struct json_reader *r, const struct json_t *v));
int json_read_text(struct json_reader *r, const struct json_t *v,
    const char **out);
/* With its length; a text that has no room in out (with a NUL) is refused. */
int json_read_copy(struct json_reader *r, const struct json_t *v, char *out,
    size_t size);
int json_read_bool(struct json_reader *r, const struct json_t *v, bool *out);
int json_read_number(struct json_reader *r, const struct json_t *v,
    uint64_t min, uint64_t max, uint64_t *out);
/* Index of one of the words; "" in the list is none. */
int json_read_word(struct json_reader *r, const struct json_t *v,
    const char *const *words, int *out);
/* What an answer has, and nobody can set. */
int json_read_nothing(struct json_reader *r, const struct json_t *v);

/* The place and why; returns -1. */
int json_refuse(struct json_reader *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A place that is not the member at hand: relative to the object around. */
int json_refuse_member(struct json_reader *r, const char *name,
    const char *why);

/* Index of a word, without regard to case; -1 = none. */
int json_word_index(const char *const *words, const char *s);

/* -- writing -------------------------------------------------------------- */
struct json_t *json_of_time(struct wall w); /* null for 0 */
/* The object is taken over, NULL too; false = no room. */
bool json_write(struct json_t *o, struct buf *out);

#endif
