/* SPDX-License-Identifier: ISC */
/*
 * db.h - one LMDB environment: tables, its one writer, short readers.
 *
 * Use:    db = db_open(&setup, &e);
 *         read:  t = db_read(db, &e); db_get(...); db_end(t);
 *         write: t = db_write(db, &e); db_put(...); db_commit(t, &e).
 * Owner:  the maker closes it, after all transactions have ended.
 * Thread: read transactions from any thread, each used by one thread inside
 *         one callback (reader slots are reset and renewed, MDB_NOTLS).
 *         One thread only writes.
 * Values: db_get() lends memory of the map: gone when the transaction ends
 *         (in a write transaction: at the next put or delete too).
 * Fails:  -1 and *e; e->code is DB_FULL (map or disk full, or no memory:
 *         nothing was done; refuse and stay up), DB_DOWN (anything else from a write or commit: no promise
 *         may be given any more), or DB_BUSY (out of reader slots).
 * Flags:  MDB_NOTLS, MDB_NORDAHEAD; never NOSYNC, NOMETASYNC, WRITEMAP,
 *         NOMEMINIT (architecture.md 5).
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct db;
struct db_txn;
struct db_cursor;

enum { DB_OK = 0, DB_FULL = 10001, DB_DOWN = 10002, DB_BUSY = 10003 };
enum { DB_TABLES_MAX = 32, DB_KEY_MAX = 511 };

struct db_setup {
	const char	   *dir; /* made when absent, mode 0700 */
	uint64_t	    map_bytes;
	/* names, kept; a table is meant by its index */
	const char *const  *tables;
	size_t		    table_count;
	unsigned	    format; /* schema version; an unknown one is refused */
	const char	   *kind;   /* "state" or "spool", checked at open */
	bool		    read_only; /* offline commands */
};
struct db *db_open(const struct db_setup *s, struct err *e);
void db_close(struct db *d); /* NULL is allowed */
const char *db_library(void); /* version of LMDB */

struct db_txn *db_read(struct db *d, struct err *e);
struct db_txn *db_write(struct db *d, struct err *e);
void db_end(struct db_txn *t); /* ends a read, aborts a write; NULL ok */
int db_commit(struct db_txn *t, struct err *e); /* ends t in any case */

/* 1 = found, 0 = not there, -1 = error */
int db_get(struct db_txn *t, unsigned table, struct bytes key,
    struct bytes *value, struct err *e);
/* append: the key is greater than all others (faster); falls back. */
int db_put(struct db_txn *t, unsigned table, struct bytes key,
    struct bytes value, bool append, struct err *e);
int db_delete(struct db_txn *t, unsigned table, struct bytes key,
    struct err *e); /* 1 = deleted, 0 = was not there */
uint64_t db_count(struct db_txn *t, unsigned table);
/*
 * What write transactions put and delete is noted in rows as well (redo.h),
 * from now on until NULL; the owner empties them, and sees when they are full.
 */
void db_record(struct db *d, struct buf *rows);
/* Does what rows say once more.  Damaged ones: DB_DOWN. */
int db_apply(struct db_txn *t, struct bytes rows, struct err *e);

/* Cursor: walks keys in order; ends before its transaction. */
struct db_cursor *db_cursor(struct db_txn *t, unsigned table, struct err *e);
void db_cursor_close(struct db_cursor *c);
/* First key >= from; then the next, the one before; the last.  1, 0, -1. */
int db_seek(struct db_cursor *c, struct bytes from, struct bytes *key,
    struct bytes *value, struct err *e);
int db_next(struct db_cursor *c, struct bytes *key, struct bytes *value,
    struct err *e);
int db_last(struct db_cursor *c, struct bytes *key, struct bytes *value,
    struct err *e);
int db_cursor_delete(struct db_cursor *c, struct err *e);

struct db_figures {
	uint64_t map_bytes;
	uint64_t used_bytes; /* of the map, pages that can be used again not
				counted */
	uint64_t free_page_bytes; /* those */
	uint64_t disk_free_bytes;
	uint64_t last_txn;
	unsigned readers;
};
/* Walks the list of free pages: not for every message. */
int db_figures(struct db *d, struct db_figures *out, struct err *e);
/* How far into the map the file has ever reached; costs nothing. */
uint64_t db_reach_bytes(struct db *d);
uint64_t db_disk_free_bytes(struct db *d); /* 0 when it cannot be told */
uint64_t db_file_bytes(struct db *d); /* its length; 0 when it cannot be told */
/*
 * Makes the file n octets longer, with zeros, synced.  Any thread, also while
 * the writer writes: what is appended never lies on what he wrote.
 */
int db_append_zeros(struct db *d, uint64_t n, struct err *e);
/* Slots of dead processes, whose snapshots would keep pages: at open, then
 * once a minute; any thread. */
void db_reader_check(struct db *d);
/* A copy without free pages into a file; the caller syncs it. */
int db_copy(struct db *d, int fd, struct err *e);
/* Meta values beside the tables ("region"): 1 found, 0 not, -1. */
int db_meta_get(struct db_txn *t, const char *name, struct bytes *value,
    struct err *e);
int db_meta_put(struct db_txn *t, const char *name, struct bytes value,
    struct err *e);

/* Big-endian numbers for keys. */
void db_put_be64(void *p, uint64_t v);
uint64_t db_get_be64(const void *p);
void db_put_be32(void *p, uint32_t v);
uint32_t db_get_be32(const void *p);

#endif
