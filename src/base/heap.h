/* SPDX-License-Identifier: ISC */
/*
 * heap.h - what comes first: a binary heap of embedded nodes.
 * Use:    heap_push(&h, &x->node, key); n = heap_first(&h); heap_remove().
 *         x = heap_entry(n, struct x, node)
 * Owner:  nodes are embedded in the caller's structs; the heap owns only its
 *         array.
 * Thread: the owner's.
 * Fails:  heap_push() false = no memory.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
	int64_t key;   /* smallest first */
	size_t	index; /* place in the array + 1; 0 = in no heap */
};
struct heap {
	struct heap_node **v;
	size_t		   n, cap;
};
#define heap_entry(node, type, member) \
	((type *)(void *)((char *)(node) - offsetof(type, member)))

void heap_init(struct heap *h);
void heap_wipe(struct heap *h); /* the nodes are not looked at */
bool heap_push(struct heap *h, struct heap_node *n, int64_t key);
struct heap_node *heap_first(const struct heap *h); /* NULL = empty */
void heap_remove(struct heap *h, struct heap_node *n); /* not in: nothing */
void heap_move(struct heap *h, struct heap_node *n, int64_t key);

#endif
