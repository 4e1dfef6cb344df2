/* SPDX-License-Identifier: ISC */
/*
 * ip_filter.h - clients that may not connect, and exceptions (receiving.md 4).
 *
 * Use:    ip_filter_put(), _delete(), _each() in a transaction;
 *         l = ip_filter_list_new(t, &e), then ip_filter_judge() for each
 *         client, until book_version() has moved.
 * Owner:  plain data; a list is the caller's.
 * Thread: that of the transaction; judging is pure.
 * Fails:  1 found, 0 not there, -1 and *e (store); put refuses with a code of
 *         book.h.
 *
 * The filter with the longest prefix decides; of equal ones Allow.  Without
 * one a client may connect.
 */
#ifndef REGISTRY_IP_FILTER_H
#define REGISTRY_IP_FILTER_H

#include <stdbool.h>

#include "base/clock.h"
#include "registry/book.h"
#include "registry/cidr.h"

enum { IP_FILTER_NAME_SIZE = 64, IP_FILTER_LISTENER_SIZE = 64 };
enum { IP_FILTERS_MAX = 100 /* of a listener */ };

struct ip_filter {
	char	    name[IP_FILTER_NAME_SIZE];
	struct conf_cidr cidr;
	bool	    allow;
	char	    listener[IP_FILTER_LISTENER_SIZE]; /* "" = all */
	struct wall created;
};
/* 1-63 of A-Z a-z 0-9 _ - ., first and last a letter or digit */
bool ip_filter_name_is_valid(const char *name);
int ip_filter_get(struct db_txn *t, const char *name, struct ip_filter *out,
    struct err *e);
/* Refuses a bad name, and more than IP_FILTERS_MAX of one listener. */
int ip_filter_put(struct db_txn *t, const struct ip_filter *f,
    struct err *e);
int ip_filter_delete(struct db_txn *t, const char *name, struct err *e);
int ip_filter_each(struct db_txn *t,
    bool (*fn)(void *arg, const struct ip_filter *f), void *arg,
    struct err *e);

struct ip_filter_list;
struct ip_filter_list *ip_filter_list_new(struct db_txn *t, struct err *e);
void ip_filter_list_free(struct ip_filter_list *l); /* NULL is allowed */
/* The filter that blocks the client; NULL = none does. */
const struct ip_filter *ip_filter_judge(const struct ip_filter_list *l,
    const char *listener, const struct sockaddr *client);

#endif
