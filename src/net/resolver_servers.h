/* SPDX-License-Identifier: ISC */
/*
 * resolver_servers.h - the servers that a resolver asks, a c-ares channel
 * each.
 *
 * Use:    all = servers_open(r, loop, &setup, &e); at reload another one, and
 *         servers_close() of the former.
 * Owner:  the resolver.
 * Thread: the loop's.
 * Fails:  servers_open() NULL and *e.
 * For resolver.c alone; with it the only file that sees c-ares.
 */
#ifndef NET_RESOLVER_SERVERS_H
#define NET_RESOLVER_SERVERS_H

#include <ares.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/thread.h"
#include "net/resolver.h"

struct server_socket {
	struct server_socket *next;
	struct watch	     *watch;
	ares_socket_t	      fd;
};

struct server {
	struct resolver	     *resolver;
	ares_channel	      channel;
	struct server_socket *sockets;
	struct ares_addr_port_node address;
};

struct servers {
	size_t	      count, tries;
	int	      timeout_ms;
	struct server v[RESOLVER_SERVERS_MAX];
};

struct servers *servers_open(struct resolver *r, struct loop *l,
    const struct resolver_setup *s, struct err *e);
/* What they were asked comes back with ARES_EDESTRUCTION; NULL is allowed. */
void servers_close(struct loop *l, struct servers *all);
/* The same addresses in the same order. */
bool servers_are_equal(const struct servers *a, const struct servers *b);

/* resolver.c: c-ares wants to know of a socket; arg is the server. */
void server_on_socket_state(void *arg, ares_socket_t fd, int readable,
    int writable);

#endif
