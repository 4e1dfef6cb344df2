/* SPDX-License-Identifier: ISC */
/*
 * metrics.h - the page of figures on metrics.listen (Prometheus text form).
 * Use:    m = metrics_new(relay, fd, &e); metrics_write(relay, &buf) gives
 *         the page to posthornctl metrics, too.
 * Owner:  relay.
 * Thread: main (evhttp on its event base); callers outside metrics.allow
 *         get 403.
 * Fails:  metrics_new() with *e.
 * Names and labels are those of events.md section 11.
 */
#ifndef DAEMON_METRICS_H
#define DAEMON_METRICS_H

#include "base/err.h"
#include "base/mem.h"

struct metrics;
struct relay;

struct metrics *metrics_new(struct relay *r, int listen_fd, struct err *e);
void metrics_free(struct metrics *m);
void metrics_write(struct relay *r, struct buf *out);

#endif
