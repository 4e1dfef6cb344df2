/* SPDX-License-Identifier: ISC */
/*
 * simulator.h - the test recipients: an egress without a network
 * (simulator.md; success and bounce in this release, every other local part
 * answers as bounce).
 * Use:    simulator_answer(address, &result) gives what a receiver would have
 *         said; the bookkeeping is that of any attempt.
 * Thread: any: pure.
 * Fails:  never.
 */
#ifndef DELIVERY_SIMULATOR_H
#define DELIVERY_SIMULATOR_H

#include "delivery/attempt.h"

void simulator_answer(struct bytes address, struct result *out);

#endif
