/* SPDX-License-Identifier: ISC */
/*
 * site.h - a set of MX hosts and a TLS policy: what domains share: the unit of
 * connections and queues (delivery.md 8).
 *
 * Use:    site_find() makes the site of a route or finds it;
 *         site_choose_egress() chooses the source address for a due.
 * Owner:  the carrier's tables of sites and groups.
 * Thread: the delivery loop's.
 * Fails:  site_choose_egress() NULL: no source address may be used now.
 */
#ifndef DELIVERY_SITE_H
#define DELIVERY_SITE_H

#include <sys/socket.h>

#include "delivery/attempt.h"
#include "delivery/route.h"

struct egress;

enum {
	SITE_HOSTS_MAX = 5, /* tried in one attempt (delivery.md 4.2) */
	SITE_ADDRESSES_MAX = 10,
	MX_HOSTS_MAX = 16 /* of a site */
};

struct site_host {
	char	 name[DOMAIN_SIZE];
	uint16_t preference;
	bool	 is_address;
	bool	 is_alias; /* it has a CNAME; that was logged */
	struct sockaddr_storage address; /* of is_address */
};
struct site {
	struct carrier	*carrier;
	char		*key;
	struct site_host hosts[MX_HOSTS_MAX];
	unsigned	 host_count;
	uint16_t	 port;
	bool		 is_static; /* a route of the operator's */
	enum tls_demand	 policy;
	char		 group_name[DOMAIN_SIZE];
	unsigned	 max_connections, reuse_max;
	double		 rate;
	struct egress	*egresses; /* one a source */
	char		 last_reply[200];
	unsigned	 routes; /* that lead here */
	size_t		 viewed; /* place in the view at hand, from 1 */
	struct mono	 used;
};
/* Finds or makes the site of these hosts. */
struct site *site_find(struct carrier *c, const struct site *wanted,
    struct bytes domain);
/*
 * last: the source of the attempt before, "" = none.  SAME for greylisting,
 * if it can be used; NEXT after an IP block: the one behind it, so that each
 * is tried once (delivery.md 3.3, 5).
 */
enum site_wish { SITE_LEAST_USED, SITE_SAME, SITE_NEXT };
struct egress *site_choose_egress(struct site *s, const struct due *d,
    enum site_wish wish, const char *last);
/* A source that is not known to have no way to this site's addresses. */
bool site_has_other_family(struct site *s, const struct due *d);
/* That an account may use, towards this site (NULL = any), for mail that
 * names this pool (NULL, "" = none). */
unsigned site_count_sources(const struct carrier *c, const struct site *s,
    const char *account, const char *named);
/* Forgets what nobody uses and nobody has used for an hour. */
void site_tidy(struct carrier *c);
void site_free_all(struct carrier *c);

#endif
