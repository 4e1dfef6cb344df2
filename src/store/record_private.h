/* SPDX-License-Identifier: ISC */
/*
 * record_private.h - parts of stored values, beside those of pack.h.
 * Use:    as pack.h.
 * Owner:  an array is the arena's.
 * Thread: any.
 * Fails:  sticky, as pack.h.
 */
#ifndef STORE_RECORD_PRIVATE_H
#define STORE_RECORD_PRIVATE_H

#include <stddef.h>

#include "base/clock.h"
#include "store/pack.h"

void record_put_time(struct buf *b, struct wall w);
struct wall record_get_time(struct unpack *u);
/* A number of at most max. */
unsigned record_get_small(struct unpack *u, unsigned max);
/* A count of things that take at least one octet each, and their array. */
void *record_get_array(struct unpack *u, struct arena *a, size_t size,
    unsigned *count);

#endif
