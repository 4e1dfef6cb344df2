/* SPDX-License-Identifier: ISC */
/*
 * resource_tags.h - the labels of a resource: key and value, of configuration
 * sets and identities (SES: TagResource).
 *
 * Use:    struct resource_tags t = { 0 }; resource_tags_add(&t, key, value,
 *         &e) ...; resource_tags_put(txn, table, key, &t, &e).
 * Owner:  plain data; keys and values are lent, those of resource_tags_get()
 *         lie in its arena.
 * Thread: that of the transaction.
 * Fails:  -1 and *e; of what cannot be a label the code is BOOK_BAD_REQUEST.
 *
 * A key has 1 to 128 characters of UTF-8 and stands once, a value 0 to 256;
 * "aws:" is not for us.  Labels mean nothing to posthorn.
 */
#ifndef REGISTRY_RESOURCE_TAGS_H
#define REGISTRY_RESOURCE_TAGS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"
#include "registry/book.h"

enum { RESOURCE_TAGS_MAX = 50 };
struct resource_tags {
	unsigned n;
	struct {
		struct bytes key, value; /* UTF-8 */
	} v[RESOURCE_TAGS_MAX];
};
/* Refuses what cannot be a label, a key that is there, and too many. */
int resource_tags_add(struct resource_tags *tags, struct bytes key,
    struct bytes value, struct err *e);
/* [{"Key":...,"Value":...}]; the caller's. */
json_t *resource_tags_json(const struct resource_tags *tags);

/* Of a row: 0, also when there are none; -1. */
int resource_tags_get(struct db_txn *t, enum book_table table,
    struct bytes key, struct arena *a, struct resource_tags *out,
    struct err *e);
/* None: the row goes. */
int resource_tags_put(struct db_txn *t, enum book_table table,
    struct bytes key, const struct resource_tags *tags, struct err *e);

/* The stored form; read: false = damaged. */
bool resource_tags_write(const struct resource_tags *tags, struct buf *out);
bool resource_tags_read(struct bytes in, struct resource_tags *out);

#endif
