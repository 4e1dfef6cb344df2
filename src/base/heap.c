/* SPDX-License-Identifier: ISC */
#include "base/heap.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/reserve.h"

void
heap_init(struct heap *h)
{
	memset(h, 0, sizeof(*h));
}

void
heap_wipe(struct heap *h)
{
	free(h->v); /* the nodes may be gone already: not touched */
	heap_init(h);
}

static void
heap_set(struct heap *h, size_t i, struct heap_node *n)
{
	h->v[i] = n;
	n->index = i + 1;
}

static void
heap_up(struct heap *h, size_t i)
{
	struct heap_node *n = h->v[i];
	size_t		  parent;

	while (i > 0) {
		parent = (i - 1) / 2;
		if (h->v[parent]->key <= n->key)
			break;
		heap_set(h, i, h->v[parent]);
		i = parent;
	}
	heap_set(h, i, n);
}

static void
heap_down(struct heap *h, size_t i)
{
	struct heap_node *n = h->v[i];
	size_t		  child;

	while ((child = 2 * i + 1) < h->n) {
		if (child + 1 < h->n &&
		    h->v[child + 1]->key < h->v[child]->key)
			child++;
		if (n->key <= h->v[child]->key)
			break;
		heap_set(h, i, h->v[child]);
		i = child;
	}
	heap_set(h, i, n);
}

bool
heap_push(struct heap *h, struct heap_node *n, int64_t key)
{
	struct heap_node **v;
	size_t		   cap;

	must(n->index == 0);
	if (h->n == h->cap) {
		cap = h->cap == 0 ? 16 : h->cap * 2;
		v = reallocarray(h->v, cap, sizeof(*v));
		if (v == NULL && reserve_spend())
			v = reallocarray(h->v, cap, sizeof(*v));
		if (v == NULL)
			return false;
		h->v = v;
		h->cap = cap;
	}
	n->key = key;
	h->v[h->n] = n;
	heap_up(h, h->n++);
	return true;
}

struct heap_node *
heap_first(const struct heap *h)
{
	return h->n == 0 ? NULL : h->v[0];
}

/* The node at i has another key or is another one than before. */
static void
heap_settle(struct heap *h, size_t i)
{
	struct heap_node *n = h->v[i];

	heap_up(h, i);
	if (h->v[i] == n)
		heap_down(h, i);
}

void
heap_remove(struct heap *h, struct heap_node *n)
{
	size_t i = n->index;

	if (i == 0)
		return;
	must(i <= h->n && h->v[i - 1] == n);
	n->index = 0;
	h->n--;
	if (i - 1 == h->n)
		return;
	h->v[i - 1] = h->v[h->n];
	heap_settle(h, i - 1);
}

void
heap_move(struct heap *h, struct heap_node *n, int64_t key)
{
	must(n->index > 0 && n->index <= h->n && h->v[n->index - 1] == n);
	n->key = key;
	heap_settle(h, n->index - 1);
}
