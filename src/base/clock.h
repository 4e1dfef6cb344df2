/* SPDX-License-Identifier: ISC */
/*
 * clock.h - time as two types that cannot be mixed.
 * Use:    loops read the clock once a pass: loop_now(), loop_wall(); only
 *         they and start-up code call clock_mono() and clock_wall().
 * Thread: any.  Replaced by tests/lib in the replay tests.
 * Fails:  never.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mono {
	int64_t ms; /* milliseconds since some start, never runs back */
};
struct wall {
	int64_t ms; /* milliseconds since 1970-01-01T00:00:00Z */
};

struct mono clock_mono(void);
int64_t clock_mono_us(void); /* microseconds, for meters of short spans */
int64_t clock_thread_us(void); /* that this thread has run, no more */
struct wall clock_wall(void);

enum { CLOCK_TEXT_MAX = 40 };
/* 2026-03-02T10:15:30.123Z */
char *wall_iso(struct wall w, char out[CLOCK_TEXT_MAX]);
/* 2026-03-02T10:15:30Z */
char *wall_iso_seconds(struct wall w, char out[CLOCK_TEXT_MAX]);
/* Wed, 01 May 2024 12:00:00 +0000 (RFC 5322 3.3, UTC) */
char *wall_rfc5322(struct wall w, char out[CLOCK_TEXT_MAX]);
/* YYYYMMDD-HHMMSS and YYYY.MM.DD, UTC */
char *wall_compact(struct wall w, char out[CLOCK_TEXT_MAX]);
char *wall_dotted_day(struct wall w, char out[CLOCK_TEXT_MAX]);
/*
 * ISO 8601 as people and policies write it: a day, 2021-08-31T12:00, seconds,
 * fractions of them; Z or +hh:mm behind the time, nothing is UTC.  false =
 * something else, or a day that is none.
 */
bool wall_from_iso(const char *text, struct wall *out);

#endif
