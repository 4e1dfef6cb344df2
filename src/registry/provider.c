/* SPDX-License-Identifier: ISC */
#include "registry/provider.h"

#include "registry/identity.h"

/* A route may lead to an address: that is nobody's name. */
static bool
is_name(struct bytes host)
{
	char last = host.n > 0 ? host.p[host.n - 1] : '\0';

	return host.n > 0 && last != ']' && (last < '0' || last > '9') &&
	    bytes_find(host, 0, ':') < 0;
}

struct bytes
provider_title(const struct conf *c, struct bytes domain, struct bytes host)
{
	const struct conf_provider *p;

	if (!is_name(host))
		host = BYTES("");
	if (conf_dest_find(c, domain) != NULL)
		return domain;
	p = conf_provider_of_domain(c, domain);
	if (p == NULL && host.n > 0)
		p = conf_provider_of_mx(c, host);
	if (p != NULL)
		return bytes_of(p->title != NULL ? p->title : p->name);
	return host.n > 0 ? identity_registrable(host) : domain;
}
