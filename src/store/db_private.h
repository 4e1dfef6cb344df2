/* SPDX-License-Identifier: ISC */
/*
 * db_private.h - faults on demand, for the tests of the failure paths.
 * Use:    db_fail_next(db, DB_FAIL_COMMIT, 0, 1, ENOSPC);
 * Thread: before the writer's thread runs, or on it.
 */
#ifndef STORE_DB_PRIVATE_H
#define STORE_DB_PRIVATE_H

#include "store/db.h"

enum db_fail_at { DB_FAIL_NEVER, DB_FAIL_PUT, DB_FAIL_COMMIT };
/* After skip calls that go well the next times fail with errno code. */
void db_fail_next(struct db *d, enum db_fail_at at, unsigned skip,
    unsigned times, int code);

#endif
