/* SPDX-License-Identifier: ISC */
/*
 * pool.h - pools of source addresses that an account has named
 * (delivery.md 11.2).
 *
 * Use:    pool_init(), pool_create(); pool_get(), change, pool_put();
 *         pool_add_source() and pool_remove_source() move an address.
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction.
 * Fails:  1 found, 0 not there, -1 and *e (store, or refused with a code of
 *         book.h).
 *
 * The two built-in pools have no row: ses-shared-pool has the shared
 * addresses, ses-default-dedicated-pool the dedicated ones of no other pool.
 * Which pool an address is in stands in its own row (source.h).
 */
#ifndef REGISTRY_POOL_H
#define REGISTRY_POOL_H

#include "registry/book.h"
#include "registry/source.h"

enum { POOLS_MAX = 50 /* of one account */ };

struct pool {
	char	    account[ACCOUNT_ID_SIZE];
	char	    name[POOL_NAME_SIZE];
	bool	    no_overflow; /* mail of a warm-up does not leave it */
	struct wall created, updated;
};
void pool_init(struct pool *p, const char *account, const char *name,
    struct wall now);
bool pool_name_is_valid(struct bytes name); /* 1-64 of A-Za-z0-9-_ */
bool pool_is_builtin(const char *name);
/* May a configuration set of the account name it?  1, 0, -1. */
int pool_exists(struct db_txn *t, const char *account, const char *name,
    struct err *e);

/* A new one: refuses a name in use, and more than POOLS_MAX. */
int pool_create(struct db_txn *t, const struct pool *p, struct err *e);
int pool_get(struct db_txn *t, const char *account, const char *name,
    struct pool *out, struct err *e);
int pool_put(struct db_txn *t, const struct pool *p, struct err *e);
/* Refuses while a configuration set names it; its addresses go back to the
 * built-in one. */
int pool_delete(struct db_txn *t, const char *account, const char *name,
    struct err *e);
/* In ascending order of names, until fn says false. */
int pool_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct pool *p), void *arg, struct err *e);
int pool_purge(struct db_txn *t, const char *account, unsigned max,
    struct err *e); /* how many, -1; whatever sets say */

/* Of whichever pool it was in; only a dedicated address, of the account or of
 * the installation. */
int pool_add_source(struct db_txn *t, const struct pool *p, struct source *s,
    struct err *e);
/* It is in the built-in pool again. */
int pool_remove_source(struct db_txn *t, const struct pool *p,
    struct source *s, struct err *e);

/* The stored form, read: false = damaged. */
bool pool_write_record(const struct pool *p, struct buf *out);
bool pool_read_record(struct bytes in, struct pool *out);

#endif
