/* SPDX-License-Identifier: ISC */
/*
 * provider.h - whose mailbox it is: the destination group of a recipient as
 * it is shown (delivery.md 8, statistics.md 5.1).
 *
 * Use:    name = provider_title(conf, domain, host).
 * Owner:  what is returned points into the configuration, domain or host.
 * Thread: any.
 * Fails:  never; an unknown domain is its own group.
 */
#ifndef REGISTRY_PROVIDER_H
#define REGISTRY_PROVIDER_H

#include "base/mem.h"
#include "registry/conf.h"

/*
 * Title, or name, of the group.  The host that answered ("" = not known)
 * tells more than the domain alone.
 */
struct bytes provider_title(const struct conf *c, struct bytes domain,
    struct bytes host);

#endif
