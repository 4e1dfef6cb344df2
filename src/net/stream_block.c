/* SPDX-License-Identifier: ISC */
#include "net/stream_block.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { BLOCK_FIRST = 512, BLOCK_SECRET = 16 * 1024 };

void
block_forget(char *p, size_t n)
{
	if (n <= BLOCK_SECRET)
		mem_wipe(p, n);
}

static void
block_free_memory(struct block *b)
{
	if (b->p == NULL || b->is_lent)
		return;
	block_forget(b->p, b->cap);
	free(b->p);
}

void
block_wipe(struct block *b)
{
	block_free_memory(b);
	memset(b, 0, sizeof(*b));
}

/* Room for n more, by moving the octets to the front or by growing. */
static bool
block_reserve(struct block *b, size_t n, size_t first)
{
	size_t cap = b->cap;
	char  *p;

	if (b->cap - b->head - b->n >= n)
		return true;
	if (b->cap - b->n >= n && b->head >= b->n) {
		memcpy(b->p, b->p + b->head, b->n);
		b->head = 0;
		return true;
	}
	if (n > SIZE_MAX / 4 - b->n)
		return false;
	if (cap < first)
		cap = first;
	else
		cap *= 2;
	if (cap < b->n + n)
		cap = b->n + n;
	p = malloc(cap);
	if (p == NULL)
		return false;
	if (b->n > 0)
		memcpy(p, b->p + b->head, b->n);
	block_free_memory(b);
	b->p = p;
	b->head = 0;
	b->cap = cap;
	b->is_lent = false;
	return true;
}

void
block_lend(struct block *b, char *p, size_t cap)
{
	must(b->n == 0);
	block_wipe(b);
	b->p = p;
	b->cap = cap;
	b->is_lent = true;
}

bool
block_settle(struct block *b)
{
	struct block own = { .n = 0 };
	bool	     is_kept;

	if (!b->is_lent)
		return true;
	is_kept = block_add(&own, block_bytes(b));
	*b = own;
	return is_kept;
}

char *
block_room(struct block *b, size_t first, size_t *room)
{
	size_t want = *room < first / 2 ? *room : first / 2;

	if (!block_reserve(b, want == 0 ? 1 : want, first))
		return NULL;
	if (*room > b->cap - b->head - b->n)
		*room = b->cap - b->head - b->n;
	return b->p + b->head + b->n;
}

void
block_commit(struct block *b, size_t n)
{
	must(n <= b->cap - b->head - b->n);
	b->n += n;
}

bool
block_add(struct block *b, struct bytes s)
{
	if (s.n == 0)
		return true;
	if (!block_reserve(b, s.n, BLOCK_FIRST))
		return false;
	memcpy(b->p + b->head + b->n, s.p, s.n);
	b->n += s.n;
	return true;
}

void
block_drop(struct block *b, size_t n)
{
	must(n <= b->n);
	b->n -= n;
	b->head = b->n == 0 ? 0 : b->head + n;
}

struct bytes
block_bytes(const struct block *b)
{
	if (b->n == 0)
		return (struct bytes){ "", 0 };
	return (struct bytes){ b->p + b->head, b->n };
}

void
block_relax(struct block *b)
{
	if (b->n == 0 && b->p != NULL && !b->is_lent)
		block_wipe(b);
}
