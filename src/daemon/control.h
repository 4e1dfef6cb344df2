/* SPDX-License-Identifier: ISC */
/*
 * control.h - requests on the control socket, answered by the owner of the
 * data.
 *
 * Wire:   a Unix stream socket.  A request is one JSON object on one line:
 *         {"verb":"identity add","account":"123456789012" or null,
 *         "args":{...},"dry_run":false}, at most 1 MiB, with at most four
 *         descriptors passed along (key files, content; an argument holds
 *         the number of its descriptor, from 0).  Answers are JSON objects,
 *         a line each: {"result":{...},"status":0,"warnings":[...],
 *         "would":[...]} or {"error":{"Code":"...","Message":"..."},
 *         "status":1}; either may have "errors":[{"Code","Message"}...] of
 *         single items or lines of a file; a stream (event tail, queue list)
 *         sends {"line":...} any number of times before.  The verbs and
 *         their arguments are those of posthornctl(8): options by their long
 *         names, places by the names in the usage line; times are
 *         milliseconds since 1970, sizes octets.
 * Rights: by the peer's uid and groups (admin-cli.md 1): operator, read-only,
 *         send; everybody else is told "permission denied".
 * Use:    c = control_new(relay, fd, &e); control_on_reload() when the master
 *         has answered.
 * Owner:  relay.
 * Thread: main; commands that write are book jobs or changes and answer on
 *         their receipt.
 * Fails:  control_new() with *e.  At most 64 callers, each bounded in time.
 */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct control;
struct relay;

struct control *control_new(struct relay *r, int listen_fd, struct err *e);
/* In place of the socket of before; -1 and *e: that one is gone, too. */
int control_listen(struct control *k, int listen_fd, struct err *e);
void control_free(struct control *c);
/* text: errors and notes, one a line, the last one "ok" or "error". */
void control_on_reload(struct control *c, uint32_t request,
    struct bytes text);
/* New events are in the spool (event tail --follow); a loop_fn. */
void control_on_events(void *control, void *unused);
/* control_automatic.c: an account or a set of it was paused, or its state
 * changed, by posthorn. */
struct reputation_switch;
void control_on_switch(struct control *c, const struct reputation_switch *s);
/* A destination was turned off by posthorn. */
struct outbox_disabled;
void control_on_disabled(struct control *c, const struct outbox_disabled *d);
/* A dead topic was taken from an identity. */
struct withdrawal_case;
void control_on_withdrawn(struct control *c, const struct withdrawal_case *w);
/* control_ip.c: the address that the system would take to reach the world. */
bool control_ip_of_system(int family, char out[64]);
/* Once an hour: forgets import jobs of long ago. */
void control_sweep_imports(struct control *c);

#endif
