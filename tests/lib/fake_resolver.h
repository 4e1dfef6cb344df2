/* SPDX-License-Identifier: ISC */
/*
 * fake_resolver.h - the DNS of the replay tests: one table for all.
 * Use:    fake_dns_add("sink.example", "MX", "10 mx.sink.example", 300);
 *         a name with any record exists, all others are NXDOMAIN.  In place of
 *         a value may stand NXDOMAIN, NODATA, SERVFAIL, TIMEOUT or
 *         UNREACHABLE; the name * then stands for all that are not known.
 * Owner:  there is one table; what was asked is noted.
 * Thread: one.
 * Fails:  fake_dns_add() false = no such type, or no such value.
 * Stands in the place of net/resolver.c.  Nothing is cached: who keeps what
 * was answered is the asker's matter.  A time-out takes as long as all tries.
 */
#ifndef TESTS_FAKE_RESOLVER_H
#define TESTS_FAKE_RESOLVER_H

#include "net/resolver.h"

bool fake_dns_add(const char *name, const char *type, const char *value,
    uint32_t ttl);
/* type NULL: all of the name; name NULL: everything, the notes too. */
void fake_dns_remove(const char *name, const char *type);
/* Every answer takes that long from now on; less than all tries take. */
void fake_dns_slow(int64_t ms);

struct fake_question {
	struct wall at;
	const char *type;
	char	    name[256];
};
size_t fake_dns_question_count(void);
const struct fake_question *fake_dns_question(size_t i);

#endif
