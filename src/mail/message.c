/* SPDX-License-Identifier: ISC */
#include "mail/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/err.h"

enum {
	ENVELOPES_FIRST = 4,
	TAGS_FIRST = 8,
	/* room of a chunk in pieces: small messages stay small */
	CHUNK_PIECES_FIRST = 1,
	CHUNK_PIECES_GROWTH = 4
};

struct message *
message_new(size_t arena_budget)
{
	struct arena   *a = arena_new(arena_budget);
	struct message *m = arena_alloc(a, sizeof(*m));

	must(m != NULL);
	m->arena = a;
	return m;
}

void
message_free(struct message *m)
{
	if (m == NULL)
		return;
	chunk_free_all(m->body_first);
	arena_free(m->arena); /* m lives in it */
}

/* -- accounts, configuration sets and tags --------------------------------- */

bool
account_id_is_valid(const char *id)
{
	size_t i;

	for (i = 0; i < ACCOUNT_ID_SIZE - 1; i++)
		if (!ascii_is_digit(id[i]))
			return false;
	return id[i] == '\0';
}

bool
config_set_id_is_none(const struct config_set_id *id)
{
	static const struct config_set_id none;

	return config_set_id_eq(id, &none);
}

bool
config_set_id_eq(const struct config_set_id *a, const struct config_set_id *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool
message_tag_is_valid(struct bytes s)
{
	return bytes_is_word(s, "-_") && s.n <= MESSAGE_TAG_MAX;
}

/* -- envelopes and texts --------------------------------------------------- */

/* The part behind the last @; all of it when there is none. */
static struct bytes
address_domain(struct bytes address)
{
	size_t i = address.n;

	while (i > 0 && address.p[i - 1] != '@')
		i--;
	return bytes_from(address, i);
}

static bool
message_grow_envelopes(struct message *m)
{
	unsigned	 cap = m->envelope_cap * 2;
	struct envelope *v;

	if (cap == 0)
		cap = ENVELOPES_FIRST;
	v = arena_alloc(m->arena, cap * sizeof(*v));
	if (v == NULL)
		return false;
	if (m->envelope_count > 0)
		memcpy(v, m->envelopes, m->envelope_count * sizeof(*v));
	m->envelopes = v;
	m->envelope_cap = cap;
	return true;
}

struct envelope *
message_add_envelope(struct message *m, struct bytes address)
{
	struct envelope *env;
	struct bytes	 copy;

	if (m->envelope_count == MSGID_RECIPIENT_MAX)
		return NULL;
	if (m->envelope_count == m->envelope_cap &&
	    !message_grow_envelopes(m))
		return NULL;
	copy = arena_bytes(m->arena, address);
	if (copy.p == NULL)
		return NULL;
	env = &m->envelopes[m->envelope_count++];
	memset(env, 0, sizeof(*env));
	env->index = m->envelope_count;
	env->address = copy;
	env->domain = address_domain(copy);
	return env;
}

struct envelope *
message_find_envelope(const struct message *m, struct bytes address)
{
	struct bytes	 domain = address_domain(address);
	struct bytes	 local = bytes_head(address, address.n - domain.n);
	struct envelope *env;
	unsigned	 i;

	for (i = 0; i < m->envelope_count; i++) {
		env = &m->envelopes[i];
		if (env->address.n == address.n &&
		    bytes_eq_nocase(env->domain, domain) &&
		    bytes_eq(bytes_head(env->address, local.n), local))
			return env;
	}
	return NULL;
}

bool
message_set(struct message *m, struct bytes *field, struct bytes value)
{
	struct bytes copy = arena_bytes(m->arena, value);

	if (copy.p == NULL)
		return false;
	*field = copy;
	return true;
}

/* The array is full whenever the count is a power of two from 8 on, or 0. */
static bool
message_grow_tags(struct message *m)
{
	unsigned	    n = m->tag_count;
	struct message_tag *v;

	if (n != 0 && (n < TAGS_FIRST || (n & (n - 1)) != 0))
		return true;
	v = arena_alloc(m->arena,
	    (n == 0 ? TAGS_FIRST : n * 2) * sizeof(*v));
	if (v == NULL)
		return false;
	if (n > 0)
		memcpy(v, m->tags, n * sizeof(*v));
	m->tags = v;
	return true;
}

bool
message_add_tag(struct message *m, struct bytes name, struct bytes value)
{
	struct message_tag tag;

	if (!message_grow_tags(m))
		return false;
	if (!message_set(m, &tag.name, name) ||
	    !message_set(m, &tag.value, value))
		return false;
	m->tags[m->tag_count++] = tag;
	return true;
}

unsigned
message_simulator_count(const struct message *m)
{
	unsigned i, n = 0;

	for (i = 0; i < m->envelope_count; i++)
		if (m->envelopes[i].simulator)
			n++;
	return n;
}

/* -- content --------------------------------------------------------------- */

static struct chunk *
message_add_chunk(struct message *m)
{
	struct chunk *c;

	c = malloc(sizeof(*c) + CHUNK_PIECES_FIRST * CONTENT_PIECE);
	if (c == NULL)
		return NULL;
	c->next = NULL;
	c->n = 0;
	c->cap = CHUNK_PIECES_FIRST * CONTENT_PIECE;
	if (m->body_last != NULL)
		m->body_last->next = c;
	else
		m->body_first = c;
	m->body_last = c;
	return c;
}

/* The last chunk moves: whoever points to it is set right. */
static struct chunk *
message_grow_last(struct message *m)
{
	struct chunk **at = &m->body_first;
	struct chunk  *c;
	size_t	       cap = m->body_last->cap * CHUNK_PIECES_GROWTH;

	if (cap > CHUNK_OCTETS)
		cap = CHUNK_OCTETS;
	while (*at != m->body_last)
		at = &(*at)->next;
	c = realloc(m->body_last, sizeof(*c) + cap);
	if (c == NULL)
		return NULL;
	c->cap = cap;
	*at = c;
	m->body_last = c;
	return c;
}

bool
message_add_body(struct message *m, struct bytes b)
{
	struct chunk *c;
	size_t	      n;

	while (b.n > 0) {
		c = m->body_last;
		if (c == NULL || c->n == CHUNK_OCTETS)
			c = message_add_chunk(m);
		else if (c->n == c->cap)
			c = message_grow_last(m);
		if (c == NULL)
			return false;
		n = c->cap - c->n;
		if (n > b.n)
			n = b.n;
		memcpy(c->data + c->n, b.p, n);
		c->n += n;
		m->body_octets += n;
		b = bytes_from(b, n);
	}
	return true;
}

struct chunk *
message_take_full(struct message *m)
{
	struct chunk **at = &m->body_first;
	struct chunk  *taken = m->body_first;

	while (*at != NULL && (*at)->n == CHUNK_OCTETS)
		at = &(*at)->next;
	if (at == &m->body_first)
		return NULL;
	m->body_first = *at;
	if (m->body_first == NULL)
		m->body_last = NULL;
	*at = NULL;
	return taken;
}

void
chunk_free_all(struct chunk *c)
{
	struct chunk *next;

	for (; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
}

size_t
message_memory(const struct message *m)
{
	const struct chunk *c;
	size_t		    n = 0;

	for (c = m->body_first; c != NULL; c = c->next)
		n += c->cap;
	return n;
}

uint64_t
message_octets(const struct message *m)
{
	return m->head.n + m->body_octets;
}
