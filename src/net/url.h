/* SPDX-License-Identifier: ISC */
/*
 * url.h - where a request goes: the parts of an absolute http or https URL.
 *
 * Use:    url_read(text, &u, &why) == true.
 * Owner:  plain data, the caller's.
 * Thread: any; nothing is kept.
 * Fails:  false and what is wrong, in a few words.
 *
 * Printable ASCII only, no user and password, no fragment.  A host is a name
 * in lower case or an address; a name that ends in digits would be an address
 * to some, and is refused.
 */
#ifndef NET_URL_H
#define NET_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "net/resolver.h"

enum { URL_TEXT_MAX = 1024 };

struct url {
	bool	 is_https;
	char	 host[254]; /* an IPv6 address without its brackets */
	uint16_t port;
	bool	 is_address;
	struct dns_address address; /* when it is one */
};
bool url_read(struct bytes text, struct url *out, const char **why);
/* By its name or address: does it mean this machine? */
bool url_is_local(const struct url *u);

#endif
