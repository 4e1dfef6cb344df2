/* SPDX-License-Identifier: ISC */
/*
 * source.h - own addresses that mail leaves from (delivery.md 11.1).
 * Use:    source_each(t, fn, arg, &e); with none stored there is one implicit
 *         entry a family: chosen by the system, EHLO name server.name.
 * Owner:  plain data, the caller's.
 * Thread: that of the transaction.
 * Fails:  1 found, 0 not there, -1 and *e (store).
 */
#ifndef REGISTRY_SOURCE_H
#define REGISTRY_SOURCE_H

#include <stdbool.h>

#include "base/clock.h"
#include "mail/message.h"
#include "registry/book.h"

#define SOURCE_POOL_DEDICATED "ses-default-dedicated-pool"
#define SOURCE_POOL_SHARED "ses-shared-pool"

struct source {
	char	    address[64]; /* canonical text; key */
	int	    family;
	char	    ehlo[256]; /* "" = server.name */
	bool	    dedicated; /* else shared */
	char	    account[ACCOUNT_ID_SIZE]; /* "" = installation */
	bool	    enabled;
	char	    blocked_by[128]; /* list name; "" = not blocked */
	struct wall created;
	/* a pool of an account (pool.h); "" = the built-in one */
	char	    pool[POOL_NAME_SIZE], pool_account[ACCOUNT_ID_SIZE];
};
/* Canonical text and family; false = not an IP address. */
bool source_address_normal(const char *text, char out[64], int *family);
/* Mail can leave from it: no group of hosts, not "any", no IPv4 address in the
 * clothes of IPv6. */
bool source_address_is_possible(const char *address);
/* The pool it is in. */
const char *source_pool(const struct source *s);
/* Is it in that pool, as the account sees it?  One of the installation is in
 * the built-in pool of all. */
bool source_is_in_pool(const struct source *s, const char *account,
    const char *pool);
int source_get(struct db_txn *t, const char *address, struct source *out,
    struct err *e);
int source_put(struct db_txn *t, const struct source *s, struct err *e);
int source_delete(struct db_txn *t, const char *address, struct err *e);
int source_each(struct db_txn *t,
    bool (*fn)(void *arg, const struct source *s), void *arg, struct err *e);

#endif
