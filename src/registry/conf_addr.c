/* SPDX-License-Identifier: ISC */
/* Addresses as the configuration writes them: IP:port, unix:/path, targets. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "mail/address.h"
#include "net/resolver.h"
#include "net/stream.h"
#include "registry/conf_private.h"

/* -- addresses ------------------------------------------------------------- */

static bool
addr_unix(struct bytes path, struct conf_addr *out)
{
	if (path.n == 0 || path.p[0] != '/' ||
	    path.n >= sizeof(out->u.un.sun_path) || !conf_is_printable(path))
		return false;
	out->family = AF_UNIX;
	out->length = sizeof(out->u.un);
	out->u.un.sun_family = AF_UNIX;
	memcpy(out->u.un.sun_path, path.p, path.n);
	return true;
}

bool
conf_addr_parse_ip(struct bytes host, uint16_t port, struct conf_addr *out)
{
	struct dns_address a;

	if (!dns_address_parse(host, &a))
		return false;
	out->family = (sa_family_t)a.family;
	if (a.family == AF_INET) {
		out->length = sizeof(out->u.in);
		out->u.in.sin_family = AF_INET;
		out->u.in.sin_addr = a.ip.v4;
		out->u.in.sin_port = htons(port);
	} else {
		out->length = sizeof(out->u.in6);
		out->u.in6.sin6_family = AF_INET6;
		out->u.in6.sin6_addr = a.ip.v6;
		out->u.in6.sin6_port = htons(port);
	}
	return true;
}

/*
 * Divides HOST, HOST:PORT, [HOST], [HOST]:PORT; a text with several colons
 * and no brackets is an IPv6 address.  *port stays when there is none.
 */
static bool
addr_divide(struct bytes s, struct bytes *host, uint16_t *port,
    bool *bracketed)
{
	ptrdiff_t colon;
	uint64_t  n;

	*bracketed = s.n > 0 && s.p[0] == '[';
	if (*bracketed) {
		ptrdiff_t end = bytes_find(s, 0, ']');

		if (end < 0)
			return false;
		*host = bytes_head(bytes_from(s, 1), (size_t)end - 1);
		s = bytes_from(s, (size_t)end + 1);
		if (s.n == 0)
			return true;
		if (s.p[0] != ':')
			return false;
		s = bytes_from(s, 1);
	} else {
		*host = s;
		colon = bytes_find(s, 0, ':');
		if (colon < 0 || bytes_find(s, (size_t)colon + 1, ':') >= 0)
			return true;
		*host = bytes_head(s, (size_t)colon);
		s = bytes_from(s, (size_t)colon + 1);
	}
	if (s.n > 5 || !bytes_to_u64(s, &n) || n > UINT16_MAX)
		return false;
	*port = (uint16_t)n;
	return true;
}

bool
conf_addr_parse(struct bytes text, uint16_t port_default,
    struct conf_addr *out)
{
	struct conf_addr a;
	struct bytes	 host;
	bool		 bracketed;

	memset(&a, 0, sizeof(a));
	if (bytes_starts(text, BYTES("unix:"))) {
		if (!addr_unix(bytes_from(text, 5), &a))
			return false;
	} else if (!addr_divide(text, &host, &port_default, &bracketed) ||
	    !conf_addr_parse_ip(host, port_default, &a)) {
		return false;
	}
	*out = a;
	return true;
}

/* An address of which the port may not be left out. */
bool
conf_addr_parse_full(struct bytes text, struct conf_addr *out)
{
	struct conf_addr other;

	/* Whatever was left out shows by two different defaults. */
	return conf_addr_parse(text, 1, out) &&
	    conf_addr_parse(text, 2, &other) &&
	    memcmp(out, &other, sizeof(other)) == 0;
}

char *
conf_addr_to_text(const struct conf_addr *a, char out[CONF_ADDR_TEXT_MAX])
{
	switch (a->family) {
	case AF_INET:
	case AF_INET6:
		sockaddr_text(&a->u.sa, true, out);
		break;
	case AF_UNIX:
		snprintf(out, CONF_ADDR_TEXT_MAX, "unix:%s",
		    a->u.un.sun_path);
		break;
	default:
		snprintf(out, CONF_ADDR_TEXT_MAX, "none");
		break;
	}
	return out;
}

bool
conf_addr_is_loopback(const struct conf_addr *a)
{
	static const struct conf_cidr loopback[] = {
		{ AF_INET, 8, { 127 } },
		{ AF_INET6, 128, { [15] = 1 } },
	};
	const struct conf_cidrs list = { loopback, 2 };

	return a->family == AF_UNIX ||
	    (a->family != AF_UNSPEC && conf_cidrs_contain(&list, &a->u.sa));
}

/* The port is 0 when none is written; conf_derive() fills it in. */
bool
conf_target_parse(struct conf_build *b, struct bytes s, struct conf_route *r)
{
	struct bytes host, normal;
	char	     name[DOMAIN_TEXT_MAX];
	bool	     bracketed;

	r->port = 0;
	if (!addr_divide(s, &host, &r->port, &bracketed))
		return false;
	memset(&r->address, 0, sizeof(r->address));
	r->is_address = conf_addr_parse_ip(host, r->port, &r->address);
	if (r->is_address) {
		r->host = conf_text(b, host);
		return true;
	}
	if (bracketed || !domain_normal(host, ADDRESS_ALLOW_SINGLE_LABEL,
		name, &normal))
		return false;
	r->host = conf_text(b, normal);
	return true;
}

void
conf_resolver_setup(const struct conf *c, struct sockaddr_storage *room,
    struct resolver_setup *out)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	out->servers = room;
	for (i = 0; i < c->dns.servers.n && i < RESOLVER_SERVERS_MAX; i++)
		memcpy(&room[i], &c->dns.servers.v[i].u,
		    c->dns.servers.v[i].length);
	out->server_count = i;
	out->timeout_ms = c->dns.timeout_ms;
	out->tries = c->dns.tries;
}
