/* SPDX-License-Identifier: ISC */
/*
 * stream_block.h - octets in one piece: added behind, taken in front, for
 * net/stream.c only.  Taking costs nothing, and an idle stream keeps none.
 * Use:    p = block_room(&b, first, &room); read into it; block_commit(&b, n);
 *         block_bytes(&b); block_drop(&b, n).
 * Owner:  the block owns its memory, but for what is lent to it until
 *         block_settle(); all zero is an empty block.
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
	bool   is_lent;
};

void block_wipe(struct block *b);
/*
 * Free room behind the octets: at least one octet, at most *room, which says
 * afterwards how much there is.  first: octets of the first piece of memory.
 */
char *block_room(struct block *b, size_t first, size_t *room);
/* Memory for the octets to come, in place of the block's own; it is empty. */
void block_lend(struct block *b, char *p, size_t cap);
/* What is left moves into own memory; false = there is none, it is lost. */
bool block_settle(struct block *b);
/* Wipes what may hold a secret: in what is larger there is only mail. */
void block_forget(char *p, size_t n);
void block_commit(struct block *b, size_t n);
bool block_add(struct block *b, struct bytes s);
void block_drop(struct block *b, size_t n);
struct bytes block_bytes(const struct block *b);
/* An empty block gives its memory back. */
void block_relax(struct block *b);

#endif
