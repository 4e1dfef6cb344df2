/* SPDX-License-Identifier: ISC */
/*
 * master.h - the first process: binds sockets, starts the children, restarts
 * those that die, reloads, ends them in order.
 *
 * Use:    return master_run(&options) from main(); its value is the exit
 *         status: 0 ended in order, 1 could not start (said on stderr).
 * Owner:  the options are the caller's and stay until it returns.
 * Thread: one; it never talks to the network and never parses what peers
 *         send.
 * Fails:  at start with a text on standard error: settings, lock, addresses,
 *         or what a child says that it cannot do.  A child that is killed is
 *         started again with back-off (0.1 s doubling to 10 s), the others
 *         live on; during the start the fifth time is the end.  One that
 *         hangs for server.watchdog is killed (daemon/master_watch.c).
 * Only the master opens what an unprivileged process may not read; it hands
 * descriptors down (daemon/child_proto.h).
 */
#ifndef DAEMON_MASTER_H
#define DAEMON_MASTER_H

#include <stdbool.h>
#include <stdint.h>

struct master_options {
	const char *conf_path;
	const char *program; /* path of the executable, for the children */
	bool	    allow_volatile;	/* store on tmpfs */
	bool	    accept_region_change;
	int64_t	    audit_every_ms; /* old audit lines go; 0 = a day */
};
int master_run(const struct master_options *o);

#endif
