/* SPDX-License-Identifier: ISC */
/* Part of registry/destination.h: filters (events.md 9). */
#include <string.h>

#include "registry/destination.h"

/* "*" at either end matches any run of characters. */
static bool
pattern_matches(struct bytes pattern, struct bytes s, bool nocase)
{
	bool front = pattern.n > 0 && pattern.p[0] == '*';
	bool back = pattern.n > (front ? 1u : 0u) &&
	    pattern.p[pattern.n - 1] == '*';
	bool (*same)(struct bytes a, struct bytes b) =
	    nocase ? bytes_eq_nocase : bytes_eq;
	size_t i;

	if (front)
		pattern = bytes_from(pattern, 1);
	if (back)
		pattern = bytes_head(pattern, pattern.n - 1);
	if (s.n < pattern.n)
		return false;
	if (front && back) {
		for (i = 0; i + pattern.n <= s.n; i++)
			if (same(bytes_head(bytes_from(s, i), pattern.n),
				pattern))
				return true;
		return false;
	}
	if (!front && !back)
		return same(s, pattern);
	return same(front ? bytes_from(s, s.n - pattern.n) :
	    bytes_head(s, pattern.n), pattern);
}

/* The next item; *at is 0 before the first call. */
static bool
list_next(const char *list, size_t *at, struct bytes *item)
{
	const char *p = list + *at, *end = strchr(p, '\n');

	if (end == NULL)
		return false;
	*item = (struct bytes){ p, (size_t)(end - p) };
	*at += item->n + 1;
	return true;
}

static bool
list_matches(const char *list, struct bytes s)
{
	struct bytes item;
	size_t	     at = 0;

	while (list_next(list, &at, &item))
		if (pattern_matches(item, s, true))
			return true;
	return false;
}

static struct bytes
domain_part(struct bytes address)
{
	size_t i = address.n;

	while (i > 0 && address.p[i - 1] != '@')
		i--;
	return bytes_from(address, i);
}

/* Of the event; a Send has none of its own. */
static bool
domains_match(const struct destination_filter *f, const struct event *ev,
    const struct destination_message *m)
{
	size_t i;

	for (i = 0; i < ev->recipient_count; i++)
		if (list_matches(f->domains,
			domain_part(ev->recipients[i].address)))
			return true;
	for (i = 0; ev->recipient_count == 0 && i < m->recipient_count; i++)
		if (list_matches(f->domains, domain_part(m->recipients[i])))
			return true;
	return false;
}

static bool
tag_has(const struct destination_message *m, struct bytes name,
    struct bytes pattern)
{
	size_t i;

	for (i = 0; i < m->tag_count; i++)
		if (bytes_eq(m->tags[i].name, name) &&
		    pattern_matches(pattern, m->tags[i].value, false))
			return true;
	return false;
}

/* Of each name that is there, one of its values; names stand together. */
static bool
tags_match(const struct destination_filter *f,
    const struct destination_message *m)
{
	struct bytes item, name, last = { NULL, 0 };
	bool	     has = true;
	ptrdiff_t    equals;
	size_t	     at = 0;

	while (list_next(f->tags, &at, &item)) {
		equals = bytes_find(item, 0, '=');
		if (equals < 0)
			return false;
		name = bytes_head(item, (size_t)equals);
		if (!bytes_eq(name, last)) {
			if (!has)
				return false;
			has = false;
			last = name;
		}
		has |= tag_has(m, name, bytes_from(item, (size_t)equals + 1));
	}
	return has;
}

bool
destination_filter_passes(const struct destination_filter *f,
    const struct event *ev, const struct destination_message *m)
{
	if (!f->is_set)
		return true;
	if (f->no_simulator && (ev->simulator || m->is_simulated))
		return false;
	if (f->bounce_types != 0 && ev->type == EVENT_BOUNCE &&
	    (f->bounce_types & (1u << ev->bounce_type)) == 0)
		return false;
	return (f->identities[0] == '\0' ||
		   list_matches(f->identities, m->identity)) &&
	    (f->domains[0] == '\0' || domains_match(f, ev, m)) &&
	    tags_match(f, m);
}
