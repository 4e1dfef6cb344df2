/* SPDX-License-Identifier: ISC */
#include "registry/provider.h"

#include "registry/identity.h"

struct bytes
provider_title(const struct conf *c, struct bytes domain, struct bytes host)
{
	const struct conf_provider *p;

	if (conf_dest_find(c, domain) != NULL)
		return domain;
	p = conf_provider_of_domain(c, domain);
	if (p == NULL && host.n > 0)
		p = conf_provider_of_mx(c, host);
	if (p != NULL)
		return bytes_of(p->title != NULL ? p->title : p->name);
	return host.n > 0 ? identity_registrable(host) : domain;
}
