/* SPDX-License-Identifier: ISC */
#include "base/clock.h"

#include <time.h>

#include "base/err.h"

static int64_t
clock_read_us(clockid_t id)
{
	struct timespec ts;

	must(clock_gettime(id, &ts) == 0);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

struct mono
clock_mono(void)
{
	return (struct mono){ clock_mono_us() / 1000 };
}

int64_t
clock_mono_us(void)
{
	return clock_read_us(CLOCK_MONOTONIC);
}

int64_t
clock_thread_us(void)
{
	return clock_read_us(CLOCK_THREAD_CPUTIME_ID);
}

struct wall
clock_wall(void)
{
	return (struct wall){ clock_read_us(CLOCK_REALTIME) / 1000 };
}
