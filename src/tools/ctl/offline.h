/* SPDX-License-Identifier: ISC */
/*
 * offline.h - commands that open the stores themselves, with the daemon
 * stopped: they hold the lock of store.dir meanwhile.
 * Use:    rows of ctl_offline_commands.
 * Owner:  struct ctl is the caller's.
 * Thread: one.
 * Fails:  "error: posthornd is running" while the lock is held.
 */
#ifndef TOOLS_OFFLINE_H
#define TOOLS_OFFLINE_H

#include "tools/ctl/ctl.h"

struct conf;
/* quiet: no word about errors */
struct conf *offline_conf(struct ctl *c, bool quiet);
int offline_init(struct ctl *c);
int offline_store_check(struct ctl *c);
int offline_store_compact(struct ctl *c);
int offline_store_restore(struct ctl *c);

/* As root: what was made belongs to the user whose process opens it. */
void offline_own(const char *user, const char *path);
void offline_own_stores(const struct conf *c); /* the relay's */

#endif
