/* SPDX-License-Identifier: ISC */
/*
 * fake_thread.h - loops without threads: stepped one after the other, in the
 * order they were made, by the test.
 *
 * Use:    make and start loops as ever; fake_threads_settle() runs passes
 *         until nothing is left to do at this time; fake_threads_advance()
 *         lets time pass, from timer to timer.
 * Owner:  loops belong to their makers as ever.
 * Thread: one, that of the test.
 * Fails:  false: the loops do not come to rest (one keeps itself busy).
 * Stands in the place of base/thread.c and base/workers.c.  While a loop is
 * stepped, whatever belongs to another running loop may not be touched:
 * loop_must_own() ends the test, as a second thread would some day.  Jobs of
 * workers run at once, their receipts come as ever.  Descriptors are watched
 * for real, without waiting.
 */
#ifndef TESTS_FAKE_THREAD_H
#define TESTS_FAKE_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/thread.h"

bool fake_threads_settle(void);
bool fake_threads_advance(int64_t ms);
/* The same in strides of ten minutes, as on a machine that sleeps most of the
 * time: a timer fires up to ten minutes late, and those of each second cost
 * nothing over days. */
bool fake_threads_skip(int64_t ms);
/* The loop runs from now on as if its owner had called loop_run(). */
void fake_threads_begin(struct loop *l);
void fake_threads_end(struct loop *l);
bool fake_threads_has_stopped(const struct loop *l);
/*
 * kill -9: from now on nothing runs any more, and what ends the loops waits
 * for nothing; what was in the feeds is forgotten.  off: for the next life.
 */
void fake_threads_kill(bool on);
/* The same for one loop: its process stands still (SIGSTOP). */
void fake_threads_halt(struct loop *l, bool on);

#endif
