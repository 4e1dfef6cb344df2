/* SPDX-License-Identifier: ISC */
/*
 * alarm.h - the timers of one loop that are set, for base/thread.c only.
 * Use:    alarms_set(&l->alarms, t, at); each pass: alarms_run(&l->alarms,
 *         now); wait until alarms_next().
 * Owner:  the loop; an alarm is made when a timer is set and kept for the
 *         next one when it has rung.
 * Thread: the loop's.
 * Fails:  aborts without memory.
 */
#ifndef BASE_ALARM_H
#define BASE_ALARM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/thread.h"

struct alarm;
struct alarms {
	struct heap   heap;
	struct alarm *due_first, *due_last; /* in alarms_run(), or left by it */
	struct alarm *spare;
};
void alarms_init(struct alarms *as);
/* A timer that is still set is not touched: its owner may be gone. */
void alarms_wipe(struct alarms *as);
void alarms_set(struct alarms *as, struct timer *t, int64_t at_ms);
void alarms_clear(struct alarms *as, struct timer *t);
/* INT64_MAX = none, INT64_MIN = some were left by alarms_run(). */
int64_t alarms_next(const struct alarms *as);
/*
 * Runs what is due now.  What is set meanwhile waits for the next call, and
 * what is cleared meanwhile does not run.  is_over(arg), asked after each of
 * them, leaves the rest to the next call; NULL: all of them.
 */
void alarms_run(struct alarms *as, int64_t now_ms, bool (*is_over)(void *arg),
    void *arg);

#endif
