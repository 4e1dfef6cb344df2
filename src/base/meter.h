/* SPDX-License-Identifier: ISC */
/*
 * meter.h - figures for the metrics page, counted without locks.
 * Use:    static struct meter m; meter_add(&m, 1); a reader sums them.
 * Thread: any (relaxed atomics); labels with few values are arrays of meters.
 * Fails:  never.
 */
#ifndef BASE_METER_H
#define BASE_METER_H

#include <stdatomic.h>
#include <stdint.h>

struct meter {
	_Atomic uint64_t n;
};

static inline void
meter_add(struct meter *m, uint64_t d)
{
	atomic_fetch_add_explicit(&m->n, d, memory_order_relaxed);
}

/* Of a meter that no other thread adds to: without a locked instruction. */
static inline void
meter_add_own(struct meter *m, uint64_t d)
{
	atomic_store_explicit(&m->n,
	    atomic_load_explicit(&m->n, memory_order_relaxed) + d,
	    memory_order_relaxed);
}

static inline void
meter_sub(struct meter *m, uint64_t d)
{
	atomic_fetch_sub_explicit(&m->n, d, memory_order_relaxed);
}

static inline void
meter_set(struct meter *m, uint64_t v)
{
	atomic_store_explicit(&m->n, v, memory_order_relaxed);
}

static inline uint64_t
meter_get(const struct meter *m)
{
	return atomic_load_explicit(&((struct meter *)(uintptr_t)m)->n,
	    memory_order_relaxed);
}

/* Histogram: counts per upper bound, the last one is +Inf. */
enum { METER_BUCKETS_MAX = 16 };
struct meter_histogram {
	const double *bounds; /* seconds or items, ascending */
	unsigned      bound_count; /* at most METER_BUCKETS_MAX - 1 */
	struct meter  bucket[METER_BUCKETS_MAX];
	struct meter  sum_micro; /* sum of the values x 1,000,000 */
};

static inline void
meter_observe(struct meter_histogram *h, double v)
{
	unsigned i = 0;

	while (i < h->bound_count && v > h->bounds[i])
		i++;
	meter_add(&h->bucket[i], 1);
	if (v > 0)
		meter_add(&h->sum_micro, (uint64_t)(v * 1e6));
}

#endif
