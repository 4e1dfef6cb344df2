/* SPDX-License-Identifier: ISC */
/*
 * redo.h - the redo log: the transaction at hand, durable after one flush.
 *
 * A commit of LMDB flushes twice, one after the other.  On a slow disk the
 * spool's writer lays what its transaction puts and deletes into this file
 * beside the commit; what is here is kept, for if the commit is lost the next
 * start does the transaction again (spool_redo.c).
 *
 * Use:    redo_put(), redo_delete() into a buffer while the transaction runs
 *         (db.c); redo_write() when it is whole.  At start redo_read(), then
 *         redo_next() row by row.
 * Form:   a head of 64 octets ("PHREDO" and version, number, length, SHA-256
 *         of both and of the rows, cut to 32 octets), then the rows.  One
 *         transaction lies in the file, the next one is written over it: by
 *         then it is in the store.  A write that a cut of power tore does not
 *         fit its sum, and nobody has been told of it.
 * Owner:  whoever opened it closes it.
 * Thread: one at a time.
 * Fails:  -1 and *e; nothing of the transaction is promised then.
 */
#ifndef STORE_REDO_H
#define STORE_REDO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

/* When receipts may rest on it; auto: when commits are slow. */
enum redo_mode { REDO_AUTO, REDO_ALWAYS, REDO_NEVER };

struct redo;

/* Makes the file when it is absent, mode 0600. */
struct redo *redo_open(const char *path, struct err *e);
void redo_close(struct redo *r); /* NULL is allowed */

/* Synced when it returns 0.  number: greater than that of the last one. */
int redo_write(struct redo *r, uint64_t number, struct bytes rows,
    struct err *e);
/* What lies there: 1 = whole, 0 = nothing, or torn; -1 = cannot be read. */
int redo_read(struct redo *r, uint64_t *number, struct buf *rows,
    struct err *e);

/* The base: a row as it was before the transaction, by which the next start
 * knows that the rows are for the store it has. */
enum redo_kind { REDO_PUT = 1, REDO_DELETE, REDO_BASE };
struct redo_row {
	enum redo_kind kind;
	struct bytes   table, key, value; /* slices of the rows */
};
/* false: the buffer is full (sticky). */
bool redo_base(struct buf *rows, struct bytes key, struct bytes value);
bool redo_put(struct buf *rows, struct bytes table, struct bytes key,
    struct bytes value);
bool redo_delete(struct buf *rows, struct bytes table, struct bytes key);
/* 1 = *row, and *rest begins behind it; 0 = no more; -1 = damaged. */
int redo_next(struct bytes *rest, struct redo_row *row);

#endif
