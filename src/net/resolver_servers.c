/* SPDX-License-Identifier: ISC */
#include "net/resolver_servers.h"

#include <arpa/nameser.h>
#include <string.h>

#include "base/mem.h"

enum { RESOLVER_EDNS_SIZE = 1232, RESOLVER_RCVBUF = 1024 * 1024 };

static int
server_fail(struct err *e, int rc)
{
	return err_set(e, "DNS resolver: %s", ares_strerror(rc));
}

static int
server_open(struct server *v, int timeout_ms,
    const struct ares_addr_port_node *address, struct err *e)
{
	struct ares_options o;
	char		    lookups[] = "b";
	int		    rc;

	v->address = *address;
	v->address.next = NULL;
	memset(&o, 0, sizeof(o));
	o.flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
	    ARES_FLAG_NOCHECKRESP;
	/* c-ares takes nine to sixteen sixteenths of it, by chance */
	o.timeout = timeout_ms * 4 / 3;
	o.tries = 1;
	o.ednspsz = RESOLVER_EDNS_SIZE;
	o.socket_receive_buffer_size = RESOLVER_RCVBUF;
	o.lookups = lookups;
	o.sock_state_cb = server_on_socket_state;
	o.sock_state_cb_data = v;
	rc = ares_init_options(&v->channel, &o, ARES_OPT_FLAGS |
	    ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
	    ARES_OPT_SOCK_RCVBUF | ARES_OPT_LOOKUPS | ARES_OPT_DOMAINS |
	    ARES_OPT_SOCK_STATE_CB);
	if (rc != ARES_SUCCESS) {
		v->channel = NULL;
		return server_fail(e, rc);
	}
	rc = ares_set_servers_ports(v->channel, &v->address);
	return rc == ARES_SUCCESS ? 0 : server_fail(e, rc);
}

static void
node_from(struct ares_addr_port_node *node, const struct sockaddr_storage *ss)
{
	struct sockaddr_in  in;
	struct sockaddr_in6 in6;

	memset(node, 0, sizeof(*node));
	node->family = ss->ss_family;
	if (ss->ss_family == AF_INET6) {
		memcpy(&in6, ss, sizeof(in6));
		memcpy(&node->addr.addr6, &in6.sin6_addr, 16);
		node->udp_port = ntohs(in6.sin6_port);
	} else {
		memcpy(&in, ss, sizeof(in));
		node->addr.addr4 = in.sin_addr;
		node->udp_port = ntohs(in.sin_port);
	}
	if (node->udp_port == 0)
		node->udp_port = NS_DEFAULTPORT;
	node->tcp_port = node->udp_port;
}

/* The servers of the system, as c-ares finds them. */
static int
servers_open_system(struct servers *all, struct err *e)
{
	struct ares_addr_port_node *list = NULL, *n;
	ares_channel		    system;
	int			    rc;

	rc = ares_init(&system);
	if (rc != ARES_SUCCESS)
		return server_fail(e, rc);
	rc = ares_get_servers_ports(system, &list);
	ares_destroy(system);
	if (rc != ARES_SUCCESS)
		return server_fail(e, rc);
	rc = 0;
	for (n = list; n != NULL && rc == 0 &&
	     all->count < RESOLVER_SERVERS_MAX; n = n->next)
		rc = server_open(&all->v[all->count++], all->timeout_ms, n, e);
	ares_free_data(list);
	if (all->count == 0)
		return err_set(e, "DNS resolver: the system has no servers");
	return rc;
}

static int
servers_open_given(struct servers *all, const struct resolver_setup *s,
    struct err *e)
{
	struct ares_addr_port_node node;
	size_t			   i;

	for (i = 0; i < s->server_count && i < RESOLVER_SERVERS_MAX; i++) {
		node_from(&node, &s->servers[i]);
		all->count++;
		if (server_open(&all->v[i], all->timeout_ms, &node, e) < 0)
			return -1;
	}
	return 0;
}

void
servers_close(struct loop *l, struct servers *all)
{
	size_t i;

	if (all == NULL)
		return;
	for (i = 0; i < all->count; i++)
		if (all->v[i].channel != NULL)
			ares_destroy(all->v[i].channel);
	loop_reap(l, mem_free, all);
}

struct servers *
servers_open(struct resolver *r, struct loop *l,
    const struct resolver_setup *s, struct err *e)
{
	struct servers *all = mem_alloc(sizeof(*all));
	size_t		i;
	int		rc;

	for (i = 0; i < RESOLVER_SERVERS_MAX; i++)
		all->v[i].resolver = r;
	all->tries = s->tries == 0 || s->tries > 20 ? 3 : s->tries;
	all->timeout_ms = s->timeout_ms <= 0 || s->timeout_ms > 600000 ? 5000 :
	    (int)s->timeout_ms;
	rc = s->server_count == 0 ? servers_open_system(all, e)
				  : servers_open_given(all, s, e);
	if (rc == 0)
		return all;
	servers_close(l, all);
	return NULL;
}

bool
servers_are_equal(const struct servers *a, const struct servers *b)
{
	size_t i;

	for (i = 0; i < a->count && i < b->count; i++)
		if (a->v[i].address.family != b->v[i].address.family ||
		    a->v[i].address.udp_port != b->v[i].address.udp_port ||
		    a->v[i].address.tcp_port != b->v[i].address.tcp_port ||
		    memcmp(&a->v[i].address.addr, &b->v[i].address.addr,
			a->v[i].address.family == AF_INET ? 4 : 16) != 0)
			return false;
	return a->count == b->count;
}
