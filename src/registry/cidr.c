/* SPDX-License-Identifier: ISC */
#include "registry/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "net/resolver.h"

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0xff, 0xff };

static unsigned
cidr_width(const struct conf_cidr *c)
{
	return c->family == AF_INET ? 32 : 128;
}

static void
cidr_clear_host_bits(struct conf_cidr *c)
{
	unsigned i, width = cidr_width(c);

	for (i = c->prefix; i < width; i++)
		c->octets[i / 8] &= (uint8_t)~(0x80u >> (i % 8));
}

bool
conf_cidr_parse(struct bytes text, struct conf_cidr *out)
{
	struct conf_cidr c = { 0 };
	ptrdiff_t	 slash = bytes_find(text, 0, '/');
	struct bytes	 host = text;
	struct dns_address a;
	uint64_t	 prefix;

	if (slash >= 0)
		host = bytes_head(text, (size_t)slash);
	if (!dns_address_parse(host, &a))
		return false;
	c.family = (sa_family_t)a.family;
	prefix = cidr_width(&c);
	memcpy(c.octets, &a.ip, prefix / 8);
	if (slash >= 0 &&
	    (!bytes_to_u64(bytes_from(text, (size_t)slash + 1), &prefix) ||
	     prefix > cidr_width(&c)))
		return false;
	c.prefix = (uint8_t)prefix;
	/* Peers are compared in IPv4 form, so ranges must be in it too. */
	if (c.family == AF_INET6 && c.prefix >= 96 &&
	    memcmp(c.octets, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		memmove(c.octets, c.octets + 12, 4);
		memset(c.octets + 4, 0, 12);
		c.family = AF_INET;
		c.prefix = (uint8_t)(c.prefix - 96);
	}
	cidr_clear_host_bits(&c);
	*out = c;
	return true;
}

static bool
cidr_bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned rest = bits % 8;
	uint8_t	 mask;

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	if (rest == 0)
		return true;
	mask = (uint8_t)(0xff00u >> rest);
	return ((a[bits / 8] ^ b[bits / 8]) & mask) == 0;
}

bool
conf_cidr_contains(const struct conf_cidr *c, const struct sockaddr *sa)
{
	struct sockaddr_in  in;
	struct sockaddr_in6 in6;
	uint8_t		    octets[16];
	sa_family_t	    family;

	/* Copies: the caller's storage may be aligned for less. */
	memset(octets, 0, sizeof(octets));
	family = sa->sa_family;
	if (family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		memcpy(octets, &in.sin_addr, 4);
	} else if (family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
			family = AF_INET;
			memcpy(octets, in6.sin6_addr.s6_addr + 12, 4);
		} else {
			memcpy(octets, &in6.sin6_addr, 16);
		}
	} else {
		return false;
	}
	return c->family == family &&
	    cidr_bits_equal(c->octets, octets, c->prefix);
}

bool
conf_cidr_covers(const struct conf_cidr *c, const struct conf_cidr *other)
{
	return c->family == other->family && c->prefix <= other->prefix &&
	    cidr_bits_equal(c->octets, other->octets, c->prefix);
}

bool
conf_cidrs_contain(const struct conf_cidrs *list, const struct sockaddr *sa)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (conf_cidr_contains(&list->v[i], sa))
			return true;
	return false;
}

char *
conf_cidr_to_text(const struct conf_cidr *c, char out[CIDR_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN];

	if (inet_ntop(c->family, c->octets, host, sizeof(host)) == NULL)
		host[0] = '\0';
	if (c->prefix == cidr_width(c))
		snprintf(out, CIDR_TEXT_MAX, "%s", host);
	else
		snprintf(out, CIDR_TEXT_MAX, "%s/%u", host,
		    (unsigned)c->prefix);
	return out;
}
