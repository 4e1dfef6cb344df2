/* SPDX-License-Identifier: ISC */
/* What became of records: figures, waits, log lines. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "reporting/outbox_private.h"

/* -- figures --------------------------------------------------------------- */

static const double webhook_bounds[] = { 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30,
	60 };

static bool
meter_is_of(const struct outlet_meter *m, const struct destination *d)
{
	char name[OUTLET_NAME_SIZE];

	return strcmp(m->account, d->account) == 0 &&
	    strcmp(m->set_name, d->set_name) == 0 &&
	    strcmp(m->name, outlet_name(d, name)) == 0;
}

const struct outlet_meter *
outbox_meter_find(const struct outbox_meters *m, const struct destination *d)
{
	unsigned i, n = atomic_load(
	    &((struct outbox_meters *)(uintptr_t)m)->count);

	for (i = 0; i < n; i++)
		if (meter_is_of(&m->v[i], d))
			return &m->v[i];
	return NULL;
}

bool
outbox_meters_are_full(const struct outbox_meters *m)
{
	return atomic_load(&((struct outbox_meters *)(uintptr_t)m)->count) ==
	    OUTBOX_METERS;
}

struct outbox_sum
outbox_meters_sum(const struct outbox_meters *m)
{
	struct outbox_sum	   sum = { 0 };
	const struct outlet_meter *x;
	unsigned i, n = atomic_load(
	    &((struct outbox_meters *)(uintptr_t)m)->count);
	int64_t	 oldest;

	for (i = 0; i < n; i++) {
		x = &m->v[i];
		if (meter_get(&x->entries) == 0)
			continue;
		sum.records += meter_get(&x->entries);
		sum.destinations++;
		sum.failing += meter_get(&x->failing) != 0;
		oldest = (int64_t)meter_get(&x->oldest_ms);
		if (oldest != 0 &&
		    (sum.oldest.ms == 0 || oldest < sum.oldest.ms))
			sum.oldest.ms = oldest;
	}
	return sum;
}

static void
meter_init(struct outlet_meter *m)
{
	m->seconds.bounds = webhook_bounds;
	m->seconds.bound_count = sizeof(webhook_bounds) /
	    sizeof(webhook_bounds[0]);
}

void
outbox_meet_meter(struct outbox *o, struct outlet *x)
{
	struct outbox_meters *all = o->setup.meters;
	unsigned	      n = atomic_load(&all->count), i;
	struct outlet_meter  *m;

	if (x->meter != NULL)
		return;
	for (i = 0; i < n; i++)
		if (meter_is_of(&all->v[i], &x->d)) {
			x->meter = &all->v[i];
			return;
		}
	if (n == OUTBOX_METERS) {
		x->meter = &all->other;
		return;
	}
	x->meter = m = &all->v[n];
	meter_init(m);
	memcpy(m->account, x->d.account, sizeof(m->account));
	memcpy(m->set_name, x->d.set_name, sizeof(m->set_name));
	(void)outlet_name(&x->d, m->name);
	if (n + 1 == OUTBOX_METERS) {
		meter_init(&all->other);
		bytes_text(BYTES("_other_"), all->other.name,
		    sizeof(all->other.name));
	}
	atomic_store(&all->count, n + 1); /* the names stand from here on */
}

int64_t
outbox_wait_ms(unsigned n)
{
	static const int seconds[] = { 5, 30, 120, 600, 1800, 3600, 7200,
		14400, 21600 };
	enum { ROWS = sizeof(seconds) / sizeof(seconds[0]) };

	return INT64_C(1000) * seconds[n == 0 ? 0 : n < ROWS ? n - 1 :
		ROWS - 1];
}

char *
outbox_place(const struct destination *d, char out[OUTBOX_PLACE_SIZE])
{
	if (destination_is_subscription(d))
		snprintf(out, OUTBOX_PLACE_SIZE, "topic=%s subscription=%s",
		    d->topic.name, d->name);
	else
		snprintf(out, OUTBOX_PLACE_SIZE, "set=%s destination=%s",
		    d->set_name, d->name);
	return out;
}

/* -- what became of records ------------------------------------------------ */

bool
outbox_is_late(const struct outbox *o, const struct event_id *id)
{
	return loop_wall(o->setup.loop).ms - event_id_time(id).ms >
	    o->setup.conf->events.retry_for_ms;
}

void
outbox_expired(struct outbox *o, struct outlet *x, unsigned records)
{
	char place[OUTBOX_PLACE_SIZE];

	(void)o;
	if (records == 0)
		return;
	if (x->meter != NULL)
		meter_add(&x->meter->expired, records);
	log_warn("events-expired", "account=%s %s count=%u", x->d.account,
	    outbox_place(&x->d, place), records);
}

void
outbox_worked(struct outbox *o, struct outlet *x, unsigned records)
{
	(void)o;
	x->failures = x->refused = 0;
	x->again.ms = 0;
	if (x->meter == NULL)
		return;
	meter_add(&x->meter->success, records);
	meter_set(&x->meter->failing, 0);
}

int64_t
outbox_wait_random_ms(unsigned n)
{
	int64_t wait = outbox_wait_ms(n);
	uint8_t random;

	mem_random(&random, sizeof(random));
	return wait + wait * (random % 21 - 10) / 100;
}

void
outbox_failed(struct outbox *o, struct outlet *x, const char *why)
{
	char quoted[LOG_QUOTE_SIZE], place[OUTBOX_PLACE_SIZE];

	(void)o;
	x->failures++;
	if (x->meter != NULL) {
		meter_add(&x->meter->failure, 1);
		meter_set(&x->meter->failing, 1);
	}
	log_warn("event-publish-failed", "account=%s %s failures=%u "
	    "reason=%s", x->d.account, outbox_place(&x->d, place),
	    x->failures, log_quote(bytes_of(why), quoted));
}

void
outbox_dropped(struct outlet *x)
{
	char place[OUTBOX_PLACE_SIZE];

	if (x->meter != NULL && meter_get(&x->meter->dropped) == 0)
		log_warn("events-dropped", "account=%s %s reason=outbox-full",
		    x->d.account, outbox_place(&x->d, place));
	if (x->meter != NULL)
		meter_add(&x->meter->dropped, 1);
}
