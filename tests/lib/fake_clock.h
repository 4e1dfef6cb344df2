/* SPDX-License-Identifier: ISC */
/*
 * fake_clock.h - the clock of the replay tests: it stands until it is moved.
 * Use:    fake_clock_set(wall) at the beginning of a play; the fake threads
 *         move it on (fake_threads_advance()).
 * Owner:  there is one clock in the program.
 * Thread: one.
 * Fails:  never.
 * Stands in the place of base/clock.c.
 */
#ifndef TESTS_FAKE_CLOCK_H
#define TESTS_FAKE_CLOCK_H

#include "base/clock.h"

void fake_clock_set(struct wall w);
void fake_clock_move(int64_t ms); /* both times */
void fake_clock_lose(int64_t ms); /* the same, while others run */
/* Somebody sets the clock of the machine: the wall time alone jumps. */
void fake_clock_jump(int64_t ms);

#endif
