/* SPDX-License-Identifier: ISC */
#include "fake_clock.h"

#include "base/err.h"

/* 2024-05-01T12:00:00Z; the mono time is a machine that runs for an hour */
static struct wall the_wall = { 1714564800000 };
static struct mono the_mono = { 3600000 };
static int64_t the_lost_ms;

void
fake_clock_set(struct wall w)
{
	the_wall = w;
}

void
fake_clock_move(int64_t ms)
{
	must(ms >= 0);
	the_wall.ms += ms;
	the_mono.ms += ms;
}

void
fake_clock_lose(int64_t ms)
{
	fake_clock_move(ms);
	the_lost_ms += ms;
}

void
fake_clock_jump(int64_t ms)
{
	the_wall.ms += ms;
}

struct mono
clock_mono(void)
{
	return the_mono;
}

int64_t
clock_mono_us(void)
{
	return the_mono.ms * 1000;
}

int64_t
clock_thread_us(void)
{
	return (the_mono.ms - the_lost_ms) * 1000;
}

struct wall
clock_wall(void)
{
	return the_wall;
}
