/* SPDX-License-Identifier: ISC */
/*
 * resolver.h - DNS: typed answers from c-ares on a loop, cached by TTL.
 *
 * Use:    r = resolver_new(loop, &setup, &e);
 *         t = resolver_ask(r, RESOLVER_MX, "example.org", on_answer, arg);
 *         on_answer comes exactly once, never from inside resolver_ask(),
 *         unless resolver_cancel(r, t) was called before.
 * Owner:  a resolver belongs to its maker.  The answer is counted and
 *         immutable: kept beyond the callback with dns_answer_ref().
 * Thread: the loop's.
 * Fails:  in the answer's status; ticket 0 when too many are waiting.
 * Equal questions that wait are asked once.  Positive answers are cached for
 * their TTL within 60 s ... 1 h, negative ones (SOA) within 30 s ... 15 min;
 * SERVFAIL and time-outs for 5 s only.  CNAMEs are followed, at most 8.
 * Replaced by tests/lib/fake_resolver.c in the replay tests.
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/thread.h"

struct resolver;

enum resolver_type {
	RESOLVER_MX,
	RESOLVER_A,
	RESOLVER_AAAA,
	RESOLVER_TXT,
	RESOLVER_PTR, /* name is the reversed in-addr.arpa / ip6.arpa name */
	RESOLVER_CNAME,
	RESOLVER_NS
};
enum dns_status {
	DNS_FOUND,
	DNS_NO_DATA,	/* the name exists, this type does not */
	DNS_NXDOMAIN,
	DNS_SERVFAIL,	/* SERVFAIL, REFUSED, malformed answer, CNAME loop */
	DNS_TIMEOUT,
	DNS_UNREACHABLE /* no server answers at all: our own trouble */
};
const char *dns_status_to_text(enum dns_status s);

struct dns_mx {
	uint16_t    preference;
	const char *host; /* lower case, no final dot; "" for the root (.) */
};
struct dns_address {
	int family; /* AF_INET, AF_INET6 */
	union {
		struct in_addr	v4;
		struct in6_addr v6;
	} ip;
};
enum { DNS_RECORDS_MAX = 64 };
struct dns_answer {
	enum dns_status	   status;
	enum resolver_type type;
	const char	  *name;      /* as asked, lower case */
	const char	  *canonical; /* after CNAMEs; = name without */
	uint32_t	   ttl;	      /* seconds, smallest of the records */
	bool		   secure;    /* AD bit (only with a trusted resolver) */
	size_t		   count;     /* at most DNS_RECORDS_MAX */
	const struct dns_mx	 *mx;
	const struct dns_address *addresses;
	const struct bytes	 *texts; /* TXT: strings of a record joined */
	const char *const	 *names; /* PTR, CNAME, NS */
};
struct dns_answer *dns_answer_ref(const struct dns_answer *a);
void dns_answer_unref(const struct dns_answer *a);

enum { RESOLVER_SERVERS_MAX = 8 }; /* further ones are not asked */
struct resolver_setup {
	const struct sockaddr_storage *servers; /* none: the system's */
	size_t		server_count;
	int64_t		timeout_ms; /* per try */
	unsigned	tries;
	size_t		cache_max;  /* entries */
};
struct resolver *resolver_new(struct loop *l, const struct resolver_setup *s,
    struct err *e);
/*
 * Reload: servers, time-out and tries (of the system's too) as at
 * resolver_new().  Where they are others, open questions begin again, and
 * with other servers nothing that is cached is told any more.  -1 and *e:
 * all stays as it was.
 */
int resolver_retune(struct resolver *r, const struct resolver_setup *s,
    struct err *e);
void resolver_free(struct resolver *r); /* open questions are dropped */
const char *resolver_library(void); /* version of c-ares */

typedef void resolver_fn(void *arg, const struct dns_answer *a);
uint64_t resolver_ask(struct resolver *r, enum resolver_type type,
    const char *name, resolver_fn *fn, void *arg);
void resolver_cancel(struct resolver *r, uint64_t ticket);
/* Asks past the cache, and puts the fresh answer into it. */
uint64_t resolver_ask_fresh(struct resolver *r, enum resolver_type type,
    const char *name, resolver_fn *fn, void *arg);

struct resolver_figures {
	uint64_t asked[7][6]; /* [type][status] */
	uint64_t cache_hits;
	size_t	 cache_entries;
};
void resolver_figures(const struct resolver *r, struct resolver_figures *out);
/* Address classes that mail must not be sent to (delivery.md 4.2). */
bool dns_address_is_private(const struct dns_address *a);
/* "192.0.2.1", "2001:db8::1"; false = neither of them. */
bool dns_address_parse(struct bytes text, struct dns_address *out);
const char *dns_address_text(const struct dns_address *a, char out[64]);
/* "7.113.0.203.in-addr.arpa" */
void dns_reverse_name(const struct dns_address *a, char out[80]);

#endif
