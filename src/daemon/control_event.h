/* SPDX-License-Identifier: ISC */
/*
 * control_event.h - what event tail and trace show share.
 * Use:    trace_show(q) is the command; control_event.c lists it.
 * Owner:  the request.
 * Thread: main; the walks are on workers.
 * Fails:  the request is answered with the reason.
 */
#ifndef DAEMON_CONTROL_EVENT_H
#define DAEMON_CONTROL_EVENT_H

#include "daemon/control_private.h"

/* control_trace.c */
void trace_show(struct request *q);

#endif
