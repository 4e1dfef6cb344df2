/* SPDX-License-Identifier: ISC */
/*
 * control_topic.h - topics in the arguments and answers of other commands.
 * Use:    topic_take_ref() for what was typed, then, in the transaction,
 *         topic_may_take().
 * Owner:  the request.
 * Thread: as the request.
 * Fails:  -1 and q->err.
 */
#ifndef DAEMON_CONTROL_TOPIC_H
#define DAEMON_CONTROL_TOPIC_H

#include "daemon/control_private.h"
#include "registry/topic.h"

/* A name of the account's, or an ARN. */
int topic_take_ref(struct request *q, const char *text,
    struct topic_ref *out);
/* Is it there, and may the account publish to it? */
int topic_may_take(struct request *q, struct db_txn *t,
    const struct topic_ref *r);
/* Of all its subscriptions: records that wait (-1 = not known), and the result of the last
 * attempt that is not "ok", else "ok"; NULL = nothing was tried. */
const char *topic_figures(struct request *q, struct db_txn *t,
    const struct topic_ref *r, int64_t *backlog, char room[16]);
/* "arn:aws:sns:..."; null for none. */
json_t *json_of_topic(const struct request *q, const struct topic_ref *r);

#endif
