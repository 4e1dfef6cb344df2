/* SPDX-License-Identifier: ISC */
/*
 * db_private.h - what db.c and db_redo.c share, and faults on demand, for the
 * tests of the failure paths.
 * Use:    db_fail_next(db, DB_FAIL_COMMIT, 0, 1, ENOSPC);
 * Thread: before the writer's thread runs, or on it.
 */
#ifndef STORE_DB_PRIVATE_H
#define STORE_DB_PRIVATE_H

#include <lmdb.h>
#include <stdatomic.h>

#include "store/db.h"

enum db_fail_at { DB_FAIL_NEVER, DB_FAIL_PUT, DB_FAIL_COMMIT };
/* After skip calls that go well the next times fail with errno code. */
void db_fail_next(struct db *d, enum db_fail_at at, unsigned skip,
    unsigned times, int code);

enum { DB_IDLE_MAX = 64 }; /* read transactions kept with their slots */

struct db_txn {
	struct db *db;
	MDB_txn	  *txn;
	bool	   is_write;
};

struct db_cursor {
	struct db_txn *t;
	MDB_cursor    *cursor;
};

struct db {
	MDB_env	     *env;
	char	     *dir;
	size_t	      table_count;
	const char *const *names;
	MDB_dbi	      tables[DB_TABLES_MAX], meta;
	struct buf   *rows; /* of the redo log; NULL = none wanted */
	unsigned      page_size;
	int	      append_fd; /* the file of LMDB once more, or -1 */
	bool	      read_only;
	struct db_txn writer; /* there is one at a time */
	/* reset read transactions: taking one is an exchange with NULL */
	_Atomic(struct db_txn *) idle[DB_IDLE_MAX];
	/* faults on demand, see db_private.h */
	enum db_fail_at fail_at;
	unsigned	fail_skip, fail_times;
	int		fail_code;
};

static inline MDB_val
val_of(struct bytes b)
{
	MDB_val v;

	v.mv_size = b.n;
	v.mv_data = (void *)(uintptr_t)b.p;
	return v;
}

static inline struct bytes
bytes_of_val(MDB_val v)
{
	return (struct bytes){ v.mv_data, v.mv_size };
}

/* -1, and what LMDB or the system said. */
int db_error(const struct db *d, int rc, struct err *e, const char *what);

/* -- db_redo.c: nothing when no rows are wanted */
void db_note_put(struct db *d, MDB_dbi dbi, struct bytes key, MDB_val value);
void db_note_delete(struct db *d, MDB_dbi dbi, struct bytes key);

#endif
