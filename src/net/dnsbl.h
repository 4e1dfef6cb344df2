/* SPDX-License-Identifier: ISC */
/*
 * dnsbl.h - block lists of addresses in DNS (RFC 5782): what is asked of one,
 * and what its answer means.
 *
 * Use:    dnsbl_name(address, zone, name); resolver_ask(r, RESOLVER_A, name,
 *         ...); what = dnsbl_judge(answer).
 * Owner:  plain data, the caller's.
 * Thread: any; nothing is kept.
 * Fails:  dnsbl_name() false: not an address, or the name would be too long.
 */
#ifndef NET_DNSBL_H
#define NET_DNSBL_H

#include <stdbool.h>

#include "net/resolver.h"

enum { DNSBL_NAME_SIZE = 254, DNSBL_TEXT_SIZE = 64 };

enum dnsbl_verdict {
	DNSBL_CLEAN,
	DNSBL_LISTED,	 /* 127.0.0.0/8 */
	/* 127.255.255.0/24: it does not answer whoever asks (an open resolver,
	 * too many questions) */
	DNSBL_REFUSED,
	DNSBL_UNANSWERED /* no answer, or one that no list gives */
};
/* "LISTED" */
const char *dnsbl_verdict_to_text(enum dnsbl_verdict v);

/* RFC 5782, 2.1 and 2.4: the octets, or nibbles, reversed, below the zone. */
bool dnsbl_name(const char *address, const char *zone,
    char out[DNSBL_NAME_SIZE]);
/*
 * NULL = nobody answered.  text: what tells the operator most, "127.0.0.2" or
 * the trouble; "" when it is clean.
 */
enum dnsbl_verdict dnsbl_judge(const struct dns_answer *a,
    char text[DNSBL_TEXT_SIZE]);

#endif
