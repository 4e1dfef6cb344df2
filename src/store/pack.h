/* SPDX-License-Identifier: ISC */
/*
 * pack.h - the primitives of stored records: numbers and counted strings.
 *
 * Use:    pack_u64(&b, v); pack_bytes(&b, s);  into a struct buf;
 *         struct unpack u = unpack_of(value); v = unpack_u64(&u); ...
 *         and at the end: if (!unpack_done(&u)) the record is damaged.
 * Form:   numbers as LEB128 (signed ones zigzag), strings as length and
 *         octets, doubles as 8 octets big-endian.  The first octet of every
 *         record is its own version, written by its encoder.
 * Owner:  unpacked strings are slices of the value.
 * Thread: any.
 * Fails:  sticky: after a failure reads give 0 and "".  Fields that an older
 *         version did not have: unpack_more() says whether there is more.
 */
#ifndef STORE_PACK_H
#define STORE_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mem.h"

void pack_u64(struct buf *b, uint64_t v);
void pack_i64(struct buf *b, int64_t v);
void pack_bool(struct buf *b, bool v);
void pack_double(struct buf *b, double v);
void pack_bytes(struct buf *b, struct bytes s);
void pack_text(struct buf *b, const char *s); /* NULL is "" */
void pack_raw(struct buf *b, const void *p, size_t n); /* no length */

struct unpack {
	struct bytes rest;
	bool	     failed;
};
struct unpack unpack_of(struct bytes value);
uint64_t unpack_u64(struct unpack *u);
int64_t unpack_i64(struct unpack *u);
/* A time, packed as its ms.  What no clock shows fails, before the year -6000
 * or after 9999: times that were read can be added and subtracted. */
struct wall unpack_wall(struct unpack *u);
struct wall unpack_wall_of(struct unpack *u, int64_t ms); /* in another form */
bool unpack_bool(struct unpack *u);
double unpack_double(struct unpack *u);
struct bytes unpack_bytes(struct unpack *u);
/* Fails when it does not fit size (with its NUL). */
void unpack_text(struct unpack *u, char *out, size_t size);
void unpack_raw(struct unpack *u, void *out, size_t n);
bool unpack_more(const struct unpack *u); /* not failed, octets left */
bool unpack_done(const struct unpack *u); /* not failed, nothing left */

#endif
