/* SPDX-License-Identifier: ISC */
/*
 * record_private.h - numbers and strings, of which stored values are made.
 * Use:    record_put_text(out, s) ...; r = record_reader_of(in);
 *         s = record_get_text(&r) ...; record_reader_is_done(&r).
 * Owner:  the reader lends from in.
 * Thread: any.
 * Fails:  out->failed, r.is_bad: checked once at the end.
 */
#ifndef STORE_RECORD_PRIVATE_H
#define STORE_RECORD_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mail/message.h"

void record_put_number(struct buf *b, uint64_t v);
void record_put_time(struct buf *b, struct wall w);
void record_put_text(struct buf *b, struct bytes s);

struct record_reader {
	const unsigned char *p, *end;
	bool		     is_bad;
};
struct record_reader record_reader_of(struct bytes in);
uint64_t record_get_number(struct record_reader *r);
/* A number of at most max. */
unsigned record_get_small(struct record_reader *r, unsigned max);
struct wall record_get_time(struct record_reader *r);
struct bytes record_get_text(struct record_reader *r);
void record_get_account(struct record_reader *r, char out[ACCOUNT_ID_SIZE]);
/* A count of things that take at least one octet each, and their array. */
void *record_get_array(struct record_reader *r, struct arena *a, size_t size,
    unsigned *count);
/* Nothing was bad and nothing is left. */
bool record_reader_is_done(const struct record_reader *r);

#endif
