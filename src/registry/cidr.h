/* SPDX-License-Identifier: ISC */
/*
 * cidr.h - address ranges: 10.0.0.0/8, 2001:db8::/32, a single address.
 * Use:    conf_cidr_parse(text, &c); conf_cidr_contains(&c, sockaddr);
 * Owner:  plain values; struct conf_cidrs borrows its array.
 * Thread: any.
 * Fails:  parse says false for anything but IP or IP/PREFIX; bits behind the
 *         prefix are cleared (10.0.0.1/24 is 10.0.0.0/24).
 * An IPv4 address in IPv6 form (::ffff:192.0.2.1) is treated as IPv4.
 */
#ifndef REGISTRY_CIDR_H
#define REGISTRY_CIDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/mem.h"

struct conf_cidr {
	sa_family_t family; /* AF_INET or AF_INET6 */
	uint8_t	    prefix; /* 0..32 or 0..128 */
	uint8_t	    octets[16]; /* network order; 4 or 16 in use */
};
struct conf_cidrs {
	const struct conf_cidr *v;
	size_t			n;
};

bool conf_cidr_parse(struct bytes text, struct conf_cidr *out);
/* false for every family but AF_INET and AF_INET6 */
bool conf_cidr_contains(const struct conf_cidr *c, const struct sockaddr *sa);
bool conf_cidrs_contain(const struct conf_cidrs *list,
    const struct sockaddr *sa);
/* All of the other range lies in this one. */
bool conf_cidr_covers(const struct conf_cidr *c,
    const struct conf_cidr *other);
/* "192.0.2.0/24"; "192.0.2.1" when the prefix covers one address. */
enum { CIDR_TEXT_MAX = 64 };
char *conf_cidr_to_text(const struct conf_cidr *c, char out[CIDR_TEXT_MAX]);

#endif
