/* SPDX-License-Identifier: ISC */
/*
 * metrics_page.h - the figures themselves, as text.
 * Use:    metrics_page_write(relay, openmetrics, &buf).
 * Owner:  the buffer is the caller's.
 * Thread: main.
 * Fails:  buf.failed; figures that cannot be read are left out.
 * Forms:  Prometheus text 0.0.4, or OpenMetrics 1.0.0.
 */
#ifndef DAEMON_METRICS_PAGE_H
#define DAEMON_METRICS_PAGE_H

#include <stdbool.h>

#include "base/mem.h"
#include "base/meter.h"

struct relay;

void metrics_page_write(struct relay *r, bool open, struct buf *out);

/* -- the text form, for the page and its test ------------------------------ */
struct metrics_page {
	struct buf *out;
	bool	    open;	/* OpenMetrics */
	const char *name;	/* of the family at hand */
};
enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };
void metrics_family(struct metrics_page *p, const char *name,
    enum metrics_kind kind, const char *help);
/* labels: name, value, name, value ..., NULL; values are escaped. */
void metrics_value(struct metrics_page *p, const char *const *labels,
    double v);
/* metrics_account.c: counters and gauges that have an account */
void metrics_ledger(struct metrics_page *p, struct relay *r);
void metrics_listings(struct metrics_page *p, struct relay *r);
void metrics_accounts(struct metrics_page *p, struct relay *r);
void metrics_histogram(struct metrics_page *p,
    const struct meter_histogram *h);
void metrics_histogram_of(struct metrics_page *p, const char *const *labels,
    const struct meter_histogram *h);
/* metrics_outbox.c: event destinations */
void metrics_outbox(struct metrics_page *p, struct relay *r);

#endif
