/* SPDX-License-Identifier: ISC */
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>
#include <string.h>

#include "net/resolver_private.h"

int
dns_type_number(enum resolver_type t)
{
	switch (t) {
	case RESOLVER_MX:
		return ns_t_mx;
	case RESOLVER_A:
		return ns_t_a;
	case RESOLVER_AAAA:
		return ns_t_aaaa;
	case RESOLVER_TXT:
		return ns_t_txt;
	case RESOLVER_PTR:
		return ns_t_ptr;
	case RESOLVER_CNAME:
		return ns_t_cname;
	case RESOLVER_NS:
		break;
	}
	return ns_t_ns;
}

void
dns_draft_init(struct dns_draft *d)
{
	memset(d, 0, sizeof(*d));
	buf_init(&d->strings, DNS_STRINGS_MAX);
	d->ttl = UINT32_MAX;
}

void
dns_draft_wipe(struct dns_draft *d)
{
	buf_wipe(&d->strings);
}

static uint32_t
rr_ttl(const ns_rr *rr)
{
	uint32_t ttl = ns_rr_ttl(*rr);

	return ttl > INT32_MAX ? 0 : ttl; /* RFC 2181 8 */
}

static bool
rr_is(const ns_rr *rr, const char *name, int type)
{
	char owner[DNS_NAME_SIZE];

	return ns_rr_class(*rr) == ns_c_in && (int)ns_rr_type(*rr) == type &&
	    dns_name_normalize(ns_rr_name(*rr), owner) &&
	    strcmp(owner, name) == 0;
}

/* A name in the record's data at p that fills it up to its end. */
static bool
rr_name_at(const ns_msg *m, const ns_rr *rr, size_t skip,
    char out[DNS_NAME_SIZE], bool root_is_good)
{
	char name[NS_MAXDNAME];
	int  n;

	if (ns_rr_rdlen(*rr) <= skip)
		return false;
	n = dn_expand(ns_msg_base(*m), ns_msg_end(*m),
	    ns_rr_rdata(*rr) + skip, name, sizeof(name));
	if (n < 0 || (size_t)n != ns_rr_rdlen(*rr) - skip)
		return false;
	if (name[0] == '\0' && root_is_good) {
		out[0] = '\0';
		return true;
	}
	return dns_name_normalize(name, out);
}

static bool
draft_add_name(struct dns_draft *d, const char *name)
{
	d->offset[d->count] = d->strings.n;
	d->length[d->count] = strlen(name);
	return buf_add(&d->strings, name, strlen(name) + 1);
}

/* TXT: the strings of a record belong together (RFC 7208 3.3). */
static bool
draft_add_text(struct dns_draft *d, const ns_rr *rr)
{
	const unsigned char *p = ns_rr_rdata(*rr);
	size_t		     n = ns_rr_rdlen(*rr), at = 0;

	d->offset[d->count] = d->strings.n;
	while (at < n) {
		if (p[at] > n - at - 1)
			return false;
		if (!buf_add(&d->strings, p + at + 1, p[at]))
			return false;
		at += (size_t)p[at] + 1;
	}
	d->length[d->count] = d->strings.n - d->offset[d->count];
	return buf_add_char(&d->strings, '\0');
}

static bool
draft_add_address(struct dns_draft *d, const ns_rr *rr, int family)
{
	struct dns_address *a = &d->address[d->count];
	size_t		    n = family == AF_INET ? 4 : 16;

	if (ns_rr_rdlen(*rr) != n)
		return false;
	memset(a, 0, sizeof(*a));
	a->family = family;
	memcpy(&a->ip, ns_rr_rdata(*rr), n);
	return true;
}

static bool
draft_add(struct dns_draft *d, const ns_msg *m, const ns_rr *rr,
    enum resolver_type type)
{
	char name[DNS_NAME_SIZE];

	switch (type) {
	case RESOLVER_MX:
		if (!rr_name_at(m, rr, 2, name, true))
			return false;
		d->preference[d->count] = (uint16_t)(ns_rr_rdata(*rr)[0] * 256
		    + ns_rr_rdata(*rr)[1]);
		return draft_add_name(d, name);
	case RESOLVER_A:
		return draft_add_address(d, rr, AF_INET);
	case RESOLVER_AAAA:
		return draft_add_address(d, rr, AF_INET6);
	case RESOLVER_TXT:
		return draft_add_text(d, rr);
	case RESOLVER_PTR:
	case RESOLVER_CNAME:
	case RESOLVER_NS:
		break;
	}
	return rr_name_at(m, rr, 0, name, false) && draft_add_name(d, name);
}

/* 1 a step was made, 0 there is none, -1 it leads nowhere. */
static int
walk_step(ns_msg *m, struct dns_walk *walk)
{
	char	 target[DNS_NAME_SIZE];
	ns_rr	 rr;
	int	 i;
	uint32_t ttl;

	for (i = 0; i < ns_msg_count(*m, ns_s_an); i++) {
		if (ns_parserr(m, ns_s_an, i, &rr) < 0)
			return -1;
		if (!rr_is(&rr, walk->name, ns_t_cname))
			continue;
		if (++walk->steps > DNS_STEPS_MAX ||
		    !rr_name_at(m, &rr, 0, target, false))
			return -1;
		strcpy(walk->name, target);
		ttl = rr_ttl(&rr);
		if (ttl < walk->ttl)
			walk->ttl = ttl;
		return 1;
	}
	return 0;
}

/* Records of the name; how many there were, good or not; -1 malformed. */
static int
collect(ns_msg *m, const char *name, enum resolver_type type,
    struct dns_draft *d)
{
	ns_rr	 rr;
	int	 i, seen = 0;
	size_t	 strings_n;
	uint32_t ttl;

	for (i = 0; i < ns_msg_count(*m, ns_s_an) &&
	     d->count < DNS_RECORDS_MAX; i++) {
		if (ns_parserr(m, ns_s_an, i, &rr) < 0)
			return -1;
		if (!rr_is(&rr, name, dns_type_number(type)))
			continue;
		seen++;
		strings_n = d->strings.n;
		if (!draft_add(d, m, &rr, type)) {
			if (d->strings.failed)
				return -1;
			d->strings.n = strings_n;
			continue;
		}
		d->count++;
		ttl = rr_ttl(&rr);
		if (ttl < d->ttl)
			d->ttl = ttl;
	}
	return seen;
}

/* SOA in the authority section: for how long "no" holds (RFC 2308). */
static bool
read_authority(ns_msg *m, struct dns_draft *d, bool *has_ns)
{
	const unsigned char *p;
	ns_rr		     rr;
	uint32_t	     minimum;
	int		     i;

	*has_ns = false;
	for (i = 0; i < ns_msg_count(*m, ns_s_ns); i++) {
		if (ns_parserr(m, ns_s_ns, i, &rr) < 0)
			return false;
		if (ns_rr_type(rr) == ns_t_ns)
			*has_ns = true;
		if (ns_rr_type(rr) != ns_t_soa || ns_rr_rdlen(rr) < 22)
			continue;
		p = ns_rr_rdata(rr) + ns_rr_rdlen(rr) - 4;
		minimum = ns_get32(p) > INT32_MAX ? 0 :
		    (uint32_t)ns_get32(p);
		d->has_soa = true;
		d->negative_ttl = rr_ttl(&rr) < minimum ? rr_ttl(&rr) :
		    minimum;
	}
	return true;
}

enum dns_parsed
dns_parse(struct bytes message, enum resolver_type type,
    struct dns_walk *walk, struct dns_draft *d)
{
	ns_msg	 m;
	unsigned steps = walk->steps;
	int	 rcode, rc = 0;
	bool	 has_ns;

	if (message.n > UINT16_MAX ||
	    ns_initparse((const unsigned char *)message.p, (int)message.n,
		&m) < 0)
		return DNS_PARSED_BAD;
	d->secure = ns_msg_getflag(m, ns_f_ad) != 0;
	rcode = ns_msg_getflag(m, ns_f_rcode);
	if (rcode != ns_r_noerror && rcode != ns_r_nxdomain)
		return DNS_PARSED_BAD;
	while (type != RESOLVER_CNAME && (rc = walk_step(&m, walk)) > 0)
		;
	if (rc < 0)
		return DNS_PARSED_BAD;
	rc = collect(&m, walk->name, type, d);
	if (rc < 0 || (rc > 0 && d->count == 0))
		return DNS_PARSED_BAD;
	if (d->count > 0)
		return DNS_PARSED_FOUND;
	if (!read_authority(&m, d, &has_ns))
		return DNS_PARSED_BAD;
	if (rcode == ns_r_nxdomain)
		return DNS_PARSED_NXDOMAIN;
	if (walk->steps > steps && !d->has_soa)
		return DNS_PARSED_FOLLOW;
	/* a server that only points to others does not serve this name */
	if (!d->has_soa && has_ns && !ns_msg_getflag(m, ns_f_aa))
		return DNS_PARSED_BAD;
	return DNS_PARSED_NO_DATA;
}
