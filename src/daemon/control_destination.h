/* SPDX-License-Identifier: ISC */
/*
 * control_destination.h - what commands about event destinations share.
 * Use:    request_state(q, sizeof(struct destination_work), destination_wipe);
 *         in a transaction destination_find(q, t), for "set" and "name", or
 *         destination_find_named(), for "dest" (SET/NAME); destination_ask()
 *         asks the reporting loop about it and ends the request.
 * Owner:  the request.
 * Thread: main; the reporting loop answers.
 * Fails:  the request is answered with the reason.
 */
#ifndef DAEMON_CONTROL_DESTINATION_H
#define DAEMON_CONTROL_DESTINATION_H

#include "daemon/control_private.h"
#include "registry/destination.h"

/* The destination at hand, on its way through a command. */
struct destination_work {
	struct config_set   set;
	struct destination  d;
	struct reporter_ask ask;
};
void destination_wipe(void *work);
int  destination_find_set(struct request *q, struct db_txn *t);
int  destination_find(struct request *q, struct db_txn *t);
int  destination_find_named(struct request *q, struct db_txn *t);
/* "types": 0 when there are none. */
int destination_take_types(struct request *q, unsigned *types);
/* done NULL: what went wrong is said, else "ok" and a status. */
void destination_ask(struct request *q, enum reporter_ask_kind kind,
    request_fn *done);

/* config-set dest test */
void destination_test(struct request *q);

/* -- what subscriptions of topics have as well ----------------------------- */
/* "format" */
int destination_take_format(struct request *q, struct destination *d);
/* Is its URL allowed?  One without a key gets it: "Secret" of show. */
int destination_finish_webhook(struct request *q, struct destination *d,
    json_t *show);
/* A file that cannot be written is found out here, not by the first event. */
void destination_warn_of_folder(struct request *q);
/* A test record into the file; on a worker. */
int destination_test_file(struct request *q, const struct destination *d,
    struct err *e);
int64_t destination_backlog(struct request *q, const struct destination *d);
json_t *json_of_backlog(int64_t n);
/* "ok", "503", "failed"; NULL = nothing was tried since the start. */
const char *destination_result(struct request *q,
    const struct destination *d, char out[16]);

#endif
