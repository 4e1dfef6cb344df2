/* SPDX-License-Identifier: ISC */
#include "base/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/reserve.h"

enum { TABLE_SLOTS_MIN = 16 };

struct table_entry {
	struct table_entry *next; /* in the same slot */
	uint64_t	    hash;
	void		   *value;
	size_t		    n;
	char		    key[];
};

struct table {
	struct table_entry **slots;
	size_t		     slot_count; /* a power of two */
	size_t		     count, max;
	struct mem_hash_key  hash_key;
};

struct table *
table_new(size_t entries_max)
{
	struct table *t = mem_alloc(sizeof(*t));

	t->max = entries_max;
	t->slot_count = TABLE_SLOTS_MIN;
	t->slots = mem_alloc(t->slot_count * sizeof(*t->slots));
	mem_hash_key_init(&t->hash_key);
	return t;
}

void
table_free(struct table *t)
{
	struct table_entry *e, *next;
	size_t		    i;

	if (t == NULL)
		return;
	for (i = 0; i < t->slot_count; i++) {
		for (e = t->slots[i]; e != NULL; e = next) {
			next = e->next;
			free(e);
		}
	}
	free(t->slots);
	free(t);
}

size_t
table_count(const struct table *t)
{
	return t->count;
}

/* The place that points to the entry, or to the end of its slot. */
static struct table_entry **
table_place(const struct table *t, uint64_t hash, struct bytes key)
{
	struct table_entry **at = &t->slots[hash & (t->slot_count - 1)];

	while (*at != NULL && ((*at)->hash != hash || (*at)->n != key.n ||
	    (key.n > 0 && memcmp((*at)->key, key.p, key.n) != 0)))
		at = &(*at)->next;
	return at;
}

void *
table_get(const struct table *t, struct bytes key)
{
	struct table_entry *e;

	e = *table_place(t, mem_hash(&t->hash_key, key), key);
	return e == NULL ? NULL : e->value;
}

/* Without memory the table only gets slower. */
static void
table_grow(struct table *t)
{
	struct table_entry **slots, **at, *e, *next;
	size_t		     i, n = t->slot_count * 2;

	slots = calloc(n, sizeof(*slots));
	if (slots == NULL)
		return;
	for (i = 0; i < t->slot_count; i++) {
		for (e = t->slots[i]; e != NULL; e = next) {
			next = e->next;
			at = &slots[e->hash & (n - 1)];
			e->next = *at;
			*at = e;
		}
	}
	free(t->slots);
	t->slots = slots;
	t->slot_count = n;
}

bool
table_put(struct table *t, struct bytes key, void *value)
{
	uint64_t	     hash = mem_hash(&t->hash_key, key);
	struct table_entry **at = table_place(t, hash, key);
	struct table_entry  *e = *at;

	must(value != NULL); /* table_get() could not tell it from nothing */
	if (e != NULL) {
		e->value = value;
		return true;
	}
	if (t->max != 0 && t->count >= t->max)
		return false;
	e = malloc(sizeof(*e) + key.n);
	if (e == NULL && reserve_spend())
		e = malloc(sizeof(*e) + key.n);
	if (e == NULL)
		return false;
	e->next = NULL;
	e->hash = hash;
	e->value = value;
	e->n = key.n;
	if (key.n > 0)
		memcpy(e->key, key.p, key.n);
	*at = e;
	if (++t->count > t->slot_count)
		table_grow(t);
	return true;
}

void *
table_take(struct table *t, struct bytes key)
{
	struct table_entry **at, *e;
	void		    *value;

	at = table_place(t, mem_hash(&t->hash_key, key), key);
	e = *at;
	if (e == NULL)
		return NULL;
	value = e->value;
	*at = e->next;
	t->count--;
	free(e);
	return value;
}

void
table_each(struct table *t,
    void (*fn)(void *arg, struct bytes key, void *value), void *arg)
{
	struct table_entry *e, *next;
	size_t		    i;

	for (i = 0; i < t->slot_count; i++) {
		for (e = t->slots[i]; e != NULL; e = next) {
			next = e->next;
			fn(arg, (struct bytes){ e->key, e->n }, e->value);
		}
	}
}
