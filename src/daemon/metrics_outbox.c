/* SPDX-License-Identifier: ISC */
/* Figures of event destinations (events.md 11.1). */
#include <stddef.h>
#include <stdio.h>

#include "daemon/metrics_page.h"
#include "daemon/relay.h"
#include "reporting/series.h"

enum { PLACE_SIZE = CONFIG_SET_NAME_SIZE + OUTLET_NAME_SIZE };

struct outbox_metric {
	const char *name, *help;
	size_t	    at; /* in struct outlet_meter */
};

static uint64_t
row_value(const struct outbox_metric *row, const struct outlet_meter *m)
{
	return meter_get((const struct meter *)(const void *)(
	    (const char *)m + row->at));
}

/* Behind those of destinations, of which there are n, that of the others. */
static const struct outlet_meter *
meter_at(const struct outbox_meters *all, unsigned n, unsigned i)
{
	return i < n ? &all->v[i] : &all->other;
}

/* A series begins with its first event. */
static void
outbox_counter(struct metrics_page *p, const struct outbox_meters *all,
    unsigned n, const struct outbox_metric *row)
{
	const char *labels[] = { "account", NULL, "configuration_set", NULL,
		"destination", NULL, NULL };
	const struct outlet_meter *m;
	uint64_t    value;
	unsigned    i;

	metrics_family(p, row->name, METRICS_COUNTER, row->help);
	for (i = 0; i <= n; i++) {
		m = meter_at(all, n, i);
		labels[1] = m->account;
		labels[3] = m->set_name;
		labels[5] = m->name;
		value = row_value(row, m);
		if (value > 0)
			metrics_value(p, labels, (double)value);
	}
}

/* SET/NAME, where the set is no label of its own; TOPIC:ID of a topic. */
static const char *
outlet_place(const struct outlet_meter *m, char out[PLACE_SIZE])
{
	snprintf(out, PLACE_SIZE, "%s%s%s", m->set_name,
	    m->set_name[0] != '\0' ? "/" : "", m->name);
	return out;
}

/* Its labels in full; those of all are in no order. */
static void
outbox_on_series(void *page, struct bytes labels, uint64_t n)
{
	struct metrics_page *p = page;

	buf_printf(p->out, "%s{%.*s} %llu\n", p->name, (int)labels.n,
	    labels.p, (unsigned long long)n);
}

static void
outbox_dimensions(struct metrics_page *p, struct series *s)
{
	metrics_family(p, DESTINATION_METRIC, METRICS_COUNTER,
	    "Events by the dimensions of metrics destinations");
	series_each(s, outbox_on_series, p);
}

static void
outbox_dropped_as(struct metrics_page *p, const struct outlet_meter *m,
    const char *reason, const struct meter *n)
{
	const char *labels[] = { "account", m->account, "destination", NULL,
		"reason", reason, NULL };
	char	    place[PLACE_SIZE];

	labels[3] = outlet_place(m, place);
	if (meter_get(n) > 0)
		metrics_value(p, labels, (double)meter_get(n));
}

static void
outbox_dropped(struct metrics_page *p, const struct outbox_meters *all,
    unsigned n)
{
	const struct outlet_meter *m;
	unsigned		   i;

	metrics_family(p, "posthorn_event_dropped_total", METRICS_COUNTER,
	    "Event records that were not taken");
	for (i = 0; i <= n; i++) {
		m = meter_at(all, n, i);
		outbox_dropped_as(p, m, "outbox-full", &m->dropped);
		outbox_dropped_as(p, m, "bad-dimension", &m->bad);
		outbox_dropped_as(p, m, "no-room", &m->full);
	}
}

static double
outlet_age(const struct outlet_meter *m, struct wall now)
{
	int64_t oldest = (int64_t)meter_get(&m->oldest_ms);

	return oldest == 0 || oldest > now.ms ? 0 :
		(double)(now.ms - oldest) / 1000;
}

static void
outbox_gauges(struct metrics_page *p, const struct outbox_meters *all,
    unsigned n, struct wall now)
{
	const char *labels[] = { "account", NULL, "destination", NULL, NULL };
	char	    place[PLACE_SIZE];
	unsigned    i;

	metrics_family(p, "posthorn_event_outbox_entries", METRICS_GAUGE,
	    "Event records that wait");
	for (i = 0; i < n; i++) {
		labels[1] = all->v[i].account;
		labels[3] = outlet_place(&all->v[i], place);
		metrics_value(p, labels,
		    (double)meter_get(&all->v[i].entries));
	}
	metrics_family(p, "posthorn_event_outbox_oldest_seconds",
	    METRICS_GAUGE, "Age of the oldest event record that waits");
	for (i = 0; i < n; i++) {
		labels[1] = all->v[i].account;
		labels[3] = outlet_place(&all->v[i], place);
		metrics_value(p, labels, outlet_age(&all->v[i], now));
	}
}

static uint64_t
histogram_count(const struct meter_histogram *h)
{
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i <= h->bound_count; i++)
		n += meter_get(&h->bucket[i]);
	return n;
}

static void
outbox_seconds(struct metrics_page *p, const struct outbox_meters *all,
    unsigned n)
{
	const char *labels[] = { "account", NULL, "destination", NULL, NULL };
	const struct outlet_meter *m;
	char	    place[PLACE_SIZE];
	unsigned    i;

	metrics_family(p, "posthorn_webhook_seconds", METRICS_HISTOGRAM,
	    "Time of a webhook's answer");
	for (i = 0; i <= n; i++) {
		m = meter_at(all, n, i);
		if (histogram_count(&m->seconds) == 0)
			continue;
		labels[1] = m->account;
		labels[3] = outlet_place(m, place);
		metrics_histogram_of(p, labels, &m->seconds);
	}
}

void
metrics_outbox(struct metrics_page *p, struct relay *r)
{
	static const struct outbox_metric rows[] = {
		{ "posthorn_event_publish_success_total",
		    "Event records that destinations have taken",
		    offsetof(struct outlet_meter, success) },
		{ "posthorn_event_publish_failure_total",
		    "Attempts to publish event records that failed",
		    offsetof(struct outlet_meter, failure) },
		{ "posthorn_event_publish_expired_total",
		    "Event records dropped as too old",
		    offsetof(struct outlet_meter, expired) },
	};
	struct outbox_meters *all = &r->outbox_meters;
	unsigned	      n = atomic_load(&all->count);
	size_t		      k;

	for (k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
		outbox_counter(p, all, n, &rows[k]);
	outbox_dropped(p, all, n);
	outbox_dimensions(p, r->series);
	outbox_gauges(p, all, n, loop_wall(r->main));
	outbox_seconds(p, all, n);
}
