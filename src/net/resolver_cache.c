/* SPDX-License-Identifier: ISC */
#include "base/table.h"
#include "net/resolver_private.h"

/* A peer chooses how large its answers are: an average bounds them. */
enum { CACHE_OCTETS_EACH = 2048 };

struct dns_entry {
	struct dns_entry  *older, *newer;
	struct dns_answer *answer; /* one reference */
	struct mono	   until;
	struct bytes	   key; /* in the same piece of memory */
};

struct dns_cache {
	struct table	 *table;
	struct dns_entry *oldest, *newest;
	size_t		  max, octets;
};

struct dns_cache *
dns_cache_new(size_t entries_max)
{
	struct dns_cache *c = mem_alloc(sizeof(*c));

	c->max = entries_max;
	c->table = table_new(entries_max);
	return c;
}

static void
cache_unlink(struct dns_cache *c, struct dns_entry *e)
{
	if (e->older != NULL)
		e->older->newer = e->newer;
	else
		c->oldest = e->newer;
	if (e->newer != NULL)
		e->newer->older = e->older;
	else
		c->newest = e->older;
	e->older = e->newer = NULL;
}

static void
cache_link_newest(struct dns_cache *c, struct dns_entry *e)
{
	e->older = c->newest;
	if (c->newest != NULL)
		c->newest->newer = e;
	else
		c->oldest = e;
	c->newest = e;
}

static void
cache_drop(struct dns_cache *c, struct dns_entry *e)
{
	cache_unlink(c, e);
	table_take(c->table, e->key);
	c->octets -= dns_answer_size(e->answer);
	dns_answer_unref(e->answer);
	mem_free(e);
}

void
dns_cache_free(struct dns_cache *c)
{
	if (c == NULL)
		return;
	while (c->oldest != NULL)
		cache_drop(c, c->oldest);
	table_free(c->table);
	mem_free(c);
}

size_t
dns_cache_count(const struct dns_cache *c)
{
	return table_count(c->table);
}

const struct dns_answer *
dns_cache_get(struct dns_cache *c, struct bytes key, struct mono now)
{
	struct dns_entry *e = table_get(c->table, key);

	if (e == NULL)
		return NULL;
	if (now.ms >= e->until.ms) {
		cache_drop(c, e);
		return NULL;
	}
	cache_unlink(c, e);
	cache_link_newest(c, e);
	return e->answer;
}

void
dns_cache_put(struct dns_cache *c, struct bytes key,
    const struct dns_answer *a, int64_t life_s, struct mono now)
{
	struct dns_entry *e = table_get(c->table, key);
	char		 *copy;

	if (e != NULL)
		cache_drop(c, e);
	if (c->max == 0)
		return;
	while (c->oldest != NULL && (table_count(c->table) >= c->max ||
	    c->octets + dns_answer_size(a) > c->max * CACHE_OCTETS_EACH))
		cache_drop(c, c->oldest);
	e = mem_alloc(sizeof(*e) + key.n + 1);
	copy = (char *)(e + 1);
	e->key = (struct bytes){ bytes_text(key, copy, key.n + 1), key.n };
	e->answer = dns_answer_ref(a);
	e->until.ms = now.ms + life_s * 1000;
	if (!table_put(c->table, e->key, e)) {
		dns_answer_unref(e->answer);
		mem_free(e);
		return;
	}
	c->octets += dns_answer_size(a);
	cache_link_newest(c, e);
}
