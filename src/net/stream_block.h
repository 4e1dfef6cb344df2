/* SPDX-License-Identifier: ISC */
/*
 * stream_block.h - octets in one piece: added behind, taken in front, for
 * net/stream.c only.  Taking costs nothing, and an idle stream keeps none.
 * Use:    p = block_room(&b, first, &room); read into it; block_commit(&b, n);
 *         block_bytes(&b); block_drop(&b, n).
 * Owner:  the block owns its memory; all zero is an empty block.
 * Thread: the owner's.
 * Fails:  NULL or false without memory.
 */
#ifndef NET_STREAM_BLOCK_H
#define NET_STREAM_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct block {
	char  *p;
	size_t head, n, cap;
};

void block_wipe(struct block *b);
/*
 * Free room behind the octets: at least one octet, at most *room, which says
 * afterwards how much there is.  first: octets of the first piece of memory.
 */
char *block_room(struct block *b, size_t first, size_t *room);
void block_commit(struct block *b, size_t n);
bool block_add(struct block *b, struct bytes s);
void block_drop(struct block *b, size_t n);
struct bytes block_bytes(const struct block *b);
/* An empty block gives its memory back, unless it has just been busy. */
void block_relax(struct block *b, size_t recent);

#endif
