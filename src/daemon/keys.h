/* SPDX-License-Identifier: ISC */
/*
 * keys.h - the keys process: the only holder of the master key.  It makes,
 * seals, unseals and uses private keys; relay asks over channels with the
 * messages of registry/keys_proto.h.
 *
 * Use:    keys_run(&setup) is the main of the process.  Tests, and mains
 *         that have a loop already: keys_open(loop, &setup, &e),
 *         keys_add_peer(), and after the loop has ended keys_close().
 * Owner:  descriptors of the setup are taken over, also on failure; the rest
 *         of it is borrowed during the call.
 * Thread: the loop's.  Signing runs on one worker for each core, making and
 *         reading keys on one of its own, so that no signature waits for it.
 * Fails:  keys_open() NULL and *e: a master key or an operator's key that
 *         may not be used.  keys_run() returns the exit status: 0 when
 *         stopped, KEYS_EXIT_SETUP when it may not start like this (to try
 *         again is useless), 1 for any other failure.
 * Unsealed keys are kept in a bounded table, least used go first, and none
 * for longer than KEYS_KEEP_MS after its last use: so those of a deleted
 * identity go, too, whom nobody can use any more.  Without a master key
 * everything but the operator's signature is refused.
 */
#ifndef DAEMON_KEYS_H
#define DAEMON_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/sandbox.h"
#include "base/thread.h"

struct channel;
struct child_message; /* child_proto.h */
struct keys;

enum {
	KEYS_TABLE_MAX = 4096,
	KEYS_QUEUE_MAX = 4096,
	KEYS_KEEP_MS = 15 * 60 * 1000,
	KEYS_EXIT_SETUP = 78
};

struct keys_setup {
	const int  *peers; /* one channel for each loop that asks */
	size_t	    peer_count;
	int	    master_key_fd;   /* -1 = none */
	int	    operator_key_fd; /* dkim.operator_key; -1 = none */
	const char *operator_domain, *operator_selector;
	/* a pipe that this user has made gets no private key; 0 = the same
	 * user as this process, nothing to tell apart */
	unsigned    relay_uid;
	unsigned    threads; /* that sign; 0 = one for each core */
	int64_t	    keep_ms; /* 0 = KEYS_KEEP_MS */
	size_t	    keep_max; /* 0 = KEYS_TABLE_MAX */
	enum sandbox_mode sandbox; /* keys_run() */
	/* keys_run(): channel of the master (child_proto.h), -1 = none: then
	 * it ends when the last peer has gone */
	int	    control_fd;
	/* what comes over it besides peers and the end; the descriptor
	 * becomes the callee's */
	void (*on_control)(void *arg, struct keys *k,
	    const struct child_message *m, int fd);
	void *on_control_arg;
};
int keys_run(const struct keys_setup *s);

struct keys *keys_open(struct loop *l, const struct keys_setup *s,
    struct err *e);
/* false: the descriptor is no channel (closed). */
bool keys_add_peer(struct keys *k, int fd);
/*
 * Reload: another operator's key, or none (fd -1); 0, -1 and *e: as before.
 * An RSA key: on mail without an identity's signature it is the only one,
 * which Ed25519 must not be (dkim.md 6.1).
 * The one of before still signs what asks for it by name.
 */
int keys_set_operator(struct keys *k, int fd, const char *domain,
    const char *selector, struct err *e);
/* After the loop has ended, before it is freed. */
void keys_close(struct keys *k);

struct keys_figures {
	size_t	 kept; /* unsealed keys */
	uint64_t signatures, unsealed, refused;
};
void keys_figures(const struct keys *k, struct keys_figures *out);

#endif
