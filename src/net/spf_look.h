/* SPDX-License-Identifier: ISC */
/*
 * spf_look.h - the look-ups of one evaluation of SPF: what DNS has answered
 * so far, what is asked next, and the limits of RFC 7208 4.6.4.
 *
 * Use:    spf_look_begin(&l); then a = spf_look_up(&l, type, name) in the
 *         order of the evaluation.  NULL ends it: with .failed for good, with
 *         .waits until l.known[l.known_count] has its answer; then
 *         spf_look_learn() and all begins anew.
 * Owner:  the maker's, zeroed but for .ip and .own; spf_look_wipe().
 * Thread: the resolver's loop.
 * Fails:  .failed is permerror, .cause says why.
 * The first look-up is for the record of the domain itself; it does not count.
 * The hosts that a mx or ptr term names count with it.
 */
#ifndef NET_SPF_LOOK_H
#define NET_SPF_LOOK_H

#include "net/spf.h"

enum { SPF_HOSTS_MAX = 10 }; /* of one MX or PTR answer (4.6.4) */

struct spf_known {
	enum resolver_type type;
	char		   name[SPF_NAME_SIZE];
	const struct dns_answer *answer;
};
struct spf_look {
	struct dns_address ip; /* of the sending host */
	struct spf_known   known[SPF_QUESTIONS_MAX];
	unsigned	   known_count;

	/* the evaluation at hand */
	unsigned lookups, voids;
	bool	 waits;	 /* known[known_count] is to be asked */
	bool	 failed; /* for good */
	bool	 own_seen;
	bool	 at_host; /* the last look-up was for one of .hosts */
	const struct dns_answer *hosts; /* the last MX or PTR */
	size_t	 host_next;
	char	 cause[SPF_CAUSE_SIZE]; /* the last trouble; "" = none */
};
void spf_look_begin(struct spf_look *l);
void spf_look_learn(struct spf_look *l, const struct dns_answer *a);
void spf_look_wipe(struct spf_look *l);
/* This evaluation ends with permerror, whatever else would come. */
void spf_look_fail(struct spf_look *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
const struct dns_answer *spf_look_up(struct spf_look *l,
    enum resolver_type type, const char *name);
/*
 * The p of macros (7.3): a name of the address that leads back to it, the
 * domain or one in it before others; "unknown"; NULL: the evaluation ends.
 */
const char *spf_look_client(struct spf_look *l, const char *domain);

bool dns_answer_is_void(const struct dns_answer *a);
bool dns_answer_is_trouble(const struct dns_answer *a);
/* Of MX and PTR: how many count, and their names; "" = null MX. */
size_t dns_answer_hosts(const struct dns_answer *a);
const char *dns_answer_host(const struct dns_answer *a, size_t i);

#endif
