/* SPDX-License-Identifier: ISC */
/*
 * Memory laid aside (base/reserve.h): now and then it is looked whether some of
 * it was needed, and then once a second whether it can be laid aside again.
 */
#include "daemon/relay.h"

#include "base/log.h"
#include "base/reserve.h"

enum {
	RESERVE_OCTETS = 8 * 1024 * 1024,
	RESERVE_LOOK_MS = 60000,
	RESERVE_SHORT_MS = 1000
};

static void
reserve_on_time(void *relay, void *unused)
{
	struct relay *r = relay;
	bool	      is_short = reserve_is_short();

	(void)unused;
	if (is_short && !r->was_short)
		log_error("memory-short", "action=\"new mail is refused\"");
	r->was_short = r->was_short || is_short;
	if (r->was_short && reserve_refill()) {
		log_info("memory-back", "reserve=%d", RESERVE_OCTETS);
		r->was_short = false;
	}
	timer_set(&r->reserve_time,
	    r->was_short ? RESERVE_SHORT_MS : RESERVE_LOOK_MS);
}

void
relay_begin_reserve(struct relay *r)
{
	reserve_keep(RESERVE_OCTETS);
	timer_init(&r->reserve_time, r->main, reserve_on_time, r);
	timer_set(&r->reserve_time, RESERVE_LOOK_MS);
}
