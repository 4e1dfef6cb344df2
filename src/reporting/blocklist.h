/* SPDX-License-Identifier: ISC */
/*
 * blocklist.h - the watch over the source addresses (reputation.md 7.1, 7.2):
 * which block lists name them, by what receivers reply and by what the lists
 * of dnsbl.zones answer in DNS.
 *
 * Use:    b = blocklist_new(&setup); blocklist_begin(b); blocklist_wake(b)
 *         on new events; blocklist_check(b, fn, arg) for a round now;
 *         blocklist_stop().
 * Owner:  the reporter; the resolver outlives it.
 * Thread: the loop's; rows are written by the book's writer (listing.h).
 * Fails:  trouble is logged; the next round asks again, and the cursor of the
 *         replies stays.
 * Bounds: BLOCKLIST_SOURCES addresses and BLOCKLIST_ZONES lists, of which
 *         BLOCKLIST_OPEN questions are out at once; nothing is asked later
 *         than BLOCKLIST_ROUND_MS after the beginning of a round.
 *
 * A round comes BLOCKLIST_FIRST_MS after the start and then every half hour.
 * Without stored addresses it asks for those the system would choose; with a
 * smart host for all mail nobody sees them, and none is asked.  A reply is
 * written three times for each list, then once a minute.
 */
#ifndef REPORTING_BLOCKLIST_H
#define REPORTING_BLOCKLIST_H

#include "base/thread.h"
#include "net/resolver.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "reporting/notices.h"
#include "store/spool.h"

struct blocklist;
#define BLOCKLIST_CURSOR "blocklist"

enum {
	BLOCKLIST_FIRST_MS = 60 * 1000,
	BLOCKLIST_EVERY_MS = 30 * 60 * 1000,
	BLOCKLIST_ROUND_MS = 5 * 60 * 1000,
	BLOCKLIST_SOURCES = 64,
	BLOCKLIST_ZONES = 16,
	BLOCKLIST_OPEN = 8
};

struct blocklist_setup {
	struct loop	*loop;
	struct spool	*spool;
	struct book	*book;
	struct conf	*conf; /* a reference is taken */
	struct resolver *resolver; /* of the loop */
	struct notices	*notices;
	/* The address that the system would take; NULL = not known. */
	bool (*system_address)(int family, char out[64]);
	/* A source is out of use, or in use again; NULL is allowed. */
	void (*on_sources)(void *arg);
	void  *on_sources_arg;
};
struct blocklist *blocklist_new(const struct blocklist_setup *s);
void blocklist_free(struct blocklist *b); /* NULL is allowed */
void blocklist_begin(struct blocklist *b);
void blocklist_reload(struct blocklist *b, struct conf *conf);
void blocklist_wake(struct blocklist *b);
/* fn(arg, NULL), perhaps from inside the call, when the answers of the round are
 * in the book, or cannot be written there. */
void blocklist_check(struct blocklist *b, loop_fn *fn, void *arg);
void blocklist_stop(struct blocklist *b, loop_fn *on_idle, void *arg);

#endif
