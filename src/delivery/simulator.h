/* SPDX-License-Identifier: ISC */
/*
 * simulator.h - the test recipients: an egress without a network
 * (simulator.md 2 and 3).
 * Use:    simulator_answer(&ask, &answer) gives what a receiver would have
 *         said; the bookkeeping is that of any attempt.  What some of the
 *         recipients send back later is reporting's (simulated_return.h).
 * Owner:  plain values.
 * Thread: any: pure.
 * Fails:  never: whoever is not known is "user unknown".
 * Letter case does not matter; a label ("+x") chooses nothing, but for
 * delay+N and success+size.
 */
#ifndef DELIVERY_SIMULATOR_H
#define DELIVERY_SIMULATOR_H

#include "delivery/attempt.h"
#include "registry/suppression.h"

struct simulator_ask {
	struct bytes address;
	unsigned     attempts; /* made before this one */
	uint64_t     octets;   /* of the message */
	bool	     needs_tls;
	int64_t	     age_ms;   /* since it was accepted */
};
struct simulator_answer {
	/* on a list: no attempt is made; else NONE */
	enum suppression_answer list;
	int64_t	      wait_ms;	   /* nothing happens for so long; 0 */
	int64_t	      retry_ms;	   /* after a temporary failure */
	int64_t	      lifetime_ms; /* from acceptance on; 0 = as usual */
	struct result result;
};
void simulator_answer(const struct simulator_ask *ask,
    struct simulator_answer *out);

#endif
