/* SPDX-License-Identifier: ISC */
/*
 * control_queue.h - what the commands of the queue share.
 * Use:    queue_look(q, next): what the carrier has in its hands now; next
 *         runs on main, the query goes afterwards.
 * Owner:  what next takes out of the query (queue_take_active) is its own.
 * Thread: main.
 * Fails:  a carrier too busy to say shows nothing as under way.
 */
#ifndef DAEMON_CONTROL_QUEUE_H
#define DAEMON_CONTROL_QUEUE_H

#include "base/heap.h"
#include "daemon/control_sweep.h"

void queue_look(struct request *q,
    void (*next)(struct request *q, struct carrier_query *c));
void queue_take_active(struct sweep *s, struct carrier_query *c);
int queue_take_filter(struct request *q, struct queue_filter *f);
int queue_take_id(struct request *q, const char *text, struct msgid *id);
/* A row as the lines of the list have it. */
void queue_write_row(const struct conf *conf, struct wall now,
    const struct sweep_row *w, struct buf *out);
json_t *queue_row_json(const struct conf *conf, struct wall now,
    const struct sweep_row *w);

/* control_queue_list.c, control_queue_change.c, control_queue_sum.c */
void queue_list(struct request *q);
void queue_change(struct request *q);
void queue_summary(struct request *q);

#endif
