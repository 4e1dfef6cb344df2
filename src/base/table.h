/* SPDX-License-Identifier: ISC */
/*
 * table.h - hash table from byte strings to pointers, for one thread.
 * Use:    table_put(t, key, p); p = table_get(t, key); table_take(t, key).
 * Owner:  the table copies keys; the values stay the caller's.
 * Thread: the owner's; no locks.  Keyed hash: peers cannot pick collisions.
 * Fails:  table_put() false = entries_max reached (0 = no bound).
 */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct table;
struct table *table_new(size_t entries_max);
void table_free(struct table *t); /* values are not touched */
size_t table_count(const struct table *t);
void *table_get(const struct table *t, struct bytes key);
/* Replaces; value is not NULL. */
bool table_put(struct table *t, struct bytes key, void *value);
void *table_take(struct table *t, struct bytes key); /* NULL = not there */
/* Walks all; fn may take the entry it is given, nothing else. */
void table_each(struct table *t,
    void (*fn)(void *arg, struct bytes key, void *value), void *arg);

#endif
