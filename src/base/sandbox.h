/* SPDX-License-Identifier: ISC */
/*
 * sandbox.h - what a process may still do once it holds what it needs: which
 * files it can open (landlock), which system calls it can make (seccomp).
 *
 * Use:    when privileges are dropped and the stores are open, before the
 *         first thread: sandbox_enter(&rules, mode, &got, &e).  Threads that
 *         start later inherit both.  There is no way back.
 * Owner:  the lists stay the caller's and are not needed afterwards.
 * Thread: the only one of its process.
 * Fails:  -1 and *e: the process must not go on.  A kernel without landlock
 *         or seccomp is no failure: *got says what is in force, and the
 *         caller logs what is missing.
 *
 * Files: afterwards only what lies below the paths of the lists can be
 * opened (one that does not exist is passed over), and nothing outside the
 * writable ones executed.  Descriptors that are open stay usable.  A kernel
 * that can (landlock 6, Linux 6.12) lets the process reach neither sockets
 * with abstract names nor, by signals, processes outside; one with landlock
 * 4 keeps TCP from those without a right to it, besides the filter of calls.
 *
 * Calls: what no process of ours ever does and an intruder wants (execute,
 * make processes, trace, mount, load code, change users, listen; write files,
 * connect and bind where the rules have no right to it) ends the process:
 * signal SIGSYS.  What libraries merely try (open a file, make a socket) is
 * answered EACCES, and what is on no list ENOSYS, as by a kernel that does
 * not have it: a new C library must not bring the mail down.  SANDBOX_LOG
 * lets all of that happen and has the kernel's audit log say so.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>

#include "base/err.h"

enum sandbox_mode {
	SANDBOX_OFF, /* neither files nor calls */
	SANDBOX_LOG, /* files are enforced, calls are logged */
	SANDBOX_ENFORCE
};

/* What a process does beside computing and talking over open descriptors. */
enum {
	SANDBOX_OPENS = 1,  /* opens and looks at files */
	SANDBOX_STORES = 2, /* writes, syncs, makes and removes files */
	SANDBOX_LOCAL = 4,   /* connects to sockets of this host (the log) */
	SANDBOX_CONNECT = 8, /* that, and asks over IPv4 and IPv6 (DNS) */
	SANDBOX_NETWORK = 16 /* that, and binds and accepts */
};

struct sandbox {
	const char *const *read;  /* NULL-ended; NULL = none */
	const char *const *write; /* all below them, reading as well */
	unsigned	   does;  /* SANDBOX_OPENS | ... */
};

struct sandbox_got {
	bool files, calls; /* in force */
};

int sandbox_enter(const struct sandbox *s, enum sandbox_mode mode,
    struct sandbox_got *got, struct err *e);
/* What should be in force and is not, for the log; NULL = nothing. */
const char *sandbox_lacks(const struct sandbox_got *got,
    enum sandbox_mode mode);

#endif
