/* SPDX-License-Identifier: ISC */
/*
 * control_event.h - events with their messages, as control commands show
 * them.
 * Use:    event_find_mail(relay, conf, &id, arena, &mail, &row) fills what
 *         event_write_json() wants.
 * Owner:  texts live in the arena.
 * Thread: any; the relay's spool is only read.
 * Fails:  false: the message is not known any more, or no memory.
 */
#ifndef DAEMON_CONTROL_EVENT_H
#define DAEMON_CONTROL_EVENT_H

#include "daemon/control_private.h"

bool event_find_mail(struct relay *r, const struct conf *c,
    const struct msgid *id, struct arena *a, struct event_mail *out,
    struct mail_row *row);

/* control_trace.c */
void trace_show(struct request *q);

#endif
