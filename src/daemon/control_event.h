/* SPDX-License-Identifier: ISC */
/*
 * control_event.h - what event tail and trace show share.
 * Use:    trace_show(q) and trace_search(q) are the commands; control_event.c
 *         lists them.
 * Owner:  the request.
 * Thread: main; the walks are on workers.
 * Fails:  the request is answered with the reason.
 */
#ifndef DAEMON_CONTROL_EVENT_H
#define DAEMON_CONTROL_EVENT_H

#include "daemon/control_private.h"

/* control_trace.c */
void trace_show(struct request *q);
/* control_trace_search.c */
void trace_search(struct request *q);

#endif
