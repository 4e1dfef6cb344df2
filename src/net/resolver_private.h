/* SPDX-License-Identifier: ISC */
/*
 * resolver_private.h - what the files of the resolver share: resolver.c
 * (questions, c-ares), resolver_parse.c (raw answers), resolver_answer.c
 * (answers, names, addresses) and resolver_cache.c.
 *
 * Use:    dns_parse() reads a raw answer into a draft; dns_answer_make()
 *         makes the immutable answer of it.
 * Owner:  as said below.
 * Thread: the resolver's; dns_parse() and the names are pure.
 * Fails:  hostile input ends as DNS_PARSED_BAD.
 */
#ifndef NET_RESOLVER_PRIVATE_H
#define NET_RESOLVER_PRIVATE_H

#include "base/clock.h"
#include "net/resolver.h"

enum {
	DNS_NAME_SIZE = 256,
	DNS_STEPS_MAX = 8, /* CNAMEs followed */
	DNS_STRINGS_MAX = 128 * 1024
};

/*
 * Lower case, without the final dot.  false: not a name that can be asked
 * for (lengths of RFC 1035; letters, digits, '-', '_' and '/').
 */
bool dns_name_normalize(const char *given, char out[DNS_NAME_SIZE]);

/* Where a chain of CNAMEs has come to. */
struct dns_walk {
	char	 name[DNS_NAME_SIZE]; /* normal form */
	unsigned steps;
	uint32_t ttl; /* smallest of the CNAMEs */
};
/* Records as they are collected; strings holds names and texts with NUL. */
struct dns_draft {
	size_t		   count;
	uint16_t	   preference[DNS_RECORDS_MAX];
	struct dns_address address[DNS_RECORDS_MAX];
	size_t		   offset[DNS_RECORDS_MAX], length[DNS_RECORDS_MAX];
	struct buf	   strings;
	uint32_t	   ttl; /* smallest of the records */
	uint32_t	   negative_ttl; /* of the SOA */
	bool		   has_soa, secure;
};
void dns_draft_init(struct dns_draft *d);
void dns_draft_wipe(struct dns_draft *d);

enum dns_parsed {
	DNS_PARSED_FOUND,
	DNS_PARSED_NO_DATA,
	DNS_PARSED_NXDOMAIN,
	DNS_PARSED_FOLLOW, /* ask again, for walk->name */
	DNS_PARSED_BAD	   /* malformed, a loop, or no answer to this */
};
enum dns_parsed dns_parse(struct bytes message, enum resolver_type type,
    struct dns_walk *walk, struct dns_draft *d);
int dns_type_number(enum resolver_type t); /* RFC 1035 TYPE */

/* Counted, with one reference; d may be NULL when nothing was found. */
struct dns_answer *dns_answer_make(enum dns_status status,
    enum resolver_type type, const char *name, const struct dns_walk *walk,
    const struct dns_draft *d);
size_t dns_answer_size(const struct dns_answer *a); /* octets of memory */

/* The cache: least recently used first out; bounded in entries and octets. */
struct dns_cache;
struct dns_cache *dns_cache_new(size_t entries_max);
void dns_cache_free(struct dns_cache *c);
size_t dns_cache_count(const struct dns_cache *c);
/* Borrowed until the next call; NULL = not there or too old. */
const struct dns_answer *dns_cache_get(struct dns_cache *c, struct bytes key,
    struct mono now);
void dns_cache_put(struct dns_cache *c, struct bytes key,
    const struct dns_answer *a, int64_t life_s, struct mono now);

#endif
