/* SPDX-License-Identifier: ISC */
/*
 * verifier.h - the verifier process: answers DNS checks of identities.
 *
 * Use:    verifier_run(channel_fd, control_fd, &setup) serves one relay after
 *         the other: a loop, a channel to each, a resolver.  Each message is
 *         a job of registry/verify_job.h, each answer a result with its
 *         ticket.  Over control_fd the master brings the next relay, asks
 *         whether the process is alive, and stops it (child_proto.h).
 *         Tests use verifier_open() on a loop of their own.
 * Owner:  descriptors are taken over; the setup is borrowed during run,
 *         and copied by open.  channel_fd -1: no relay yet.
 * Thread: the loop's.
 * Fails:  verifier_run(): 0 when told to stop or the master has gone, 1 when
 *         it could not go on (logged).  What is no job is logged and dropped; jobs
 *         beyond VERIFIER_JOBS_MAX at once are answered DNS_ERROR.
 * With job.authoritative the zone's own name servers are found (NS, walking
 * up) and asked on port 53; where that fails the configured resolver
 * answers.  Name servers at private addresses are only asked with
 * allow_private.
 * A sandbox must let /dev/urandom and /etc/resolv.conf be read (c-ares).
 */
#ifndef DAEMON_VERIFIER_H
#define DAEMON_VERIFIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/thread.h"
#include "net/resolver.h"

struct verifier;

enum { VERIFIER_JOBS_MAX = 256 };

struct verifier_setup {
	struct resolver_setup resolver; /* dns.servers, timeout, tries */
	bool	 allow_private;	 /* name servers at private addresses too */
	uint16_t authority_port; /* of the zones' servers; 0 = 53 */
};

int verifier_run(int channel_fd, int control_fd,
    const struct verifier_setup *s);

/* on_gone(arg): the other end closed the channel; may be NULL. */
struct verifier *verifier_open(struct loop *l, int channel_fd,
    const struct verifier_setup *s, void (*on_gone)(void *arg), void *arg,
    struct err *e);
void verifier_close(struct verifier *v); /* NULL is allowed */

#endif
