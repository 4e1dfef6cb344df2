/* SPDX-License-Identifier: ISC */
/*
 * process.h - child processes, their channels, privileges.
 *
 * A channel is one end of a SOCK_SEQPACKET pair on a loop: framed messages,
 * each with at most one descriptor passed along.  No sender blocks: what does
 * not fit the socket waits in a bounded queue.
 *
 * Use:    channel_pair(fds, &e); fork; each side channel_open(loop, fd, ...)
 * Owner:  channel_open() takes the descriptor, also when it fails;
 *         channel_close() ends it, and what still waits is not sent.
 *         A descriptor that arrives belongs to the receiver (-1 = none).
 * Thread: a channel belongs to its loop.
 * Fails:  channel_send() false = queue full, peer gone, message empty or too
 *         long (nothing sent; a descriptor given stays the caller's then,
 *         else it is closed after sending).  on_close() is called once when
 *         the peer has gone, or sent more than one message may hold; never
 *         from within channel_send().
 * In the replay tests a child is one more loop (tests/lib/fake_process.c).
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/thread.h"

enum {
	CHANNEL_MESSAGE_MAX = 64 * 1024,
	CHANNEL_QUEUE_MAX = 4096,	       /* messages */
	CHANNEL_QUEUE_BYTES = 16 * 1024 * 1024 /* and octets */
};

struct channel;
struct channel_events {
	void (*on_message)(void *arg, struct bytes message, int fd);
	void (*on_close)(void *arg);
};
int channel_pair(int fds[2], struct err *e);
struct channel *channel_open(struct loop *l, int fd,
    const struct channel_events *ev, void *arg, struct err *e);
bool channel_send(struct channel *c, struct bytes message, int fd);
/* All that has come, now: the last words of a peer that has ended.  Its
 * on_close() is called as well, if the end is seen. */
void channel_drain(struct channel *c);
void channel_close(struct channel *c); /* no callback after it; NULL is ok */

/*
 * Starts a child: forks (the caller has one thread), then run(arg) in the
 * child; its return value is the exit status.  The child gets a title
 * ("posthornd: keys"), default signals, and dies with its parent
 * (PR_SET_PDEATHSIG).  -1 and *e when fork fails.
 */
struct process_spec {
	const char *name; /* "keys", "relay", "verifier" */
	int (*run)(void *arg);
	void *arg;
};
pid_t process_start(const struct process_spec *s, struct err *e);
void process_title_init(int argc, char **argv);

/* Privileges.  Without root process_drop() changes nothing and says 0. */
struct process_user {
	uid_t uid;
	gid_t gid;
	char  name[64];
};
/*
 * Master only: NSS look-up.  Without a group that of the user; without a user
 * only gid is filled and uid is (uid_t)-1.
 */
int process_user_find(const char *user, const char *group,
    struct process_user *out, struct err *e);
/* No way back, no other groups; -1 also for root as the user to change to. */
int process_drop(const struct process_user *u, struct err *e);
/* Not dumpable, no core, no new privileges. */
int process_harden(struct err *e);
/* RLIMIT_NOFILE; as many as are allowed, where n is more than that. */
int process_files_max(unsigned long n, struct err *e);
/* sd_notify protocol: "READY=1" and so on; nothing without NOTIFY_SOCKET. */
void process_notify(const char *state);

#endif
