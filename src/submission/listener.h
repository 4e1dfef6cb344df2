/* SPDX-License-Identifier: ISC */
/*
 * listener.h - sockets, accept, limits of a client before it is served.
 *
 * Use:    listener_open(desk, index, fd, &e); the rest by itself: each client
 *         that may enter becomes a session.
 * Owner:  the desk; listener_close_all().  The descriptor stays the caller's.
 * Thread: the desk's loop.
 * Fails:  listener_open() with *e; a refused client gets its reply (clear
 *         ports) or is closed (wrapper ports), and is logged.
 * Who is accepted and counted waits for its turn, by address, until a session
 * is made for it (base/turns.h).
 * Counts of all desks together lie in the shared tally under these keys:
 *         smtp, smtp/LISTENER, ip/ADDRESS, preauth/ADDRESS (connections),
 *         rate/ADDRESS (new ones in a minute); ADDRESS is IPv4, or IPv6 /64.
 */
#ifndef SUBMISSION_LISTENER_H
#define SUBMISSION_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct desk;
struct session_place;

int listener_open(struct desk *d, size_t index, int fd, struct err *e);
void listener_close(struct desk *d, int fd); /* none is that: nothing */
void listener_close_all(struct desk *d);
/* Its place in the meters of listeners. */
size_t listener_meter(size_t index);
/* A session has gone: its counts go. */
void listener_forget(const struct session_place *p, bool is_preauth);
/* It has logged in: it counts no longer as one that has not. */
void listener_promote(const struct session_place *p);

#endif
