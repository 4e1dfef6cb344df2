/* SPDX-License-Identifier: ISC */
/*
 * fake_stream.h - the other end of streams: a network inside the program.
 *
 * Use:    fake_net_open(loop, on_connect, arg) once.  A client:
 *         l = fake_link_dial(listen_fd, &from, &events, arg).  A receiver:
 *         on_connect(arg, l, to, from) is called for each connection that is
 *         tried; it answers with fake_link_accept() or fake_link_refuse(),
 *         or never.  Then both sides write, begin TLS and close.
 * Owner:  a link belongs to the net; it is forgotten by fake_link_close() or
 *         _reset() of the test and the close of the stream, whatever comes
 *         last.  The test may use it until it has closed it.
 * Thread: callbacks come on the loop given to fake_net_open().
 * Fails:  writing to a side that has gone says nothing, as a socket would.
 * Stands in the place of net/stream.c.  Octets arrive whole and at once; a
 * paused peer takes none.
 */
#ifndef TESTS_FAKE_STREAM_H
#define TESTS_FAKE_STREAM_H

#include <stdbool.h>
#include <sys/socket.h>

#include "net/stream.h"

struct fake_link;

struct fake_peer_events {
	/* what the daemon has sent */
	void (*on_data)(void *arg, struct bytes data);
	/* Client: the handshake is done, or not.  Receiver: the daemon begins
	 * one, for this name; answer with fake_link_tls(). */
	void (*on_tls)(void *arg, bool ok, const char *name, bool verify);
	/* The daemon has closed; nothing more comes. */
	void (*on_end)(void *arg);
};

typedef void fake_connect_fn(void *arg, struct fake_link *l,
    const struct sockaddr *to, const struct sockaddr *from);
void fake_net_open(struct loop *l, fake_connect_fn *fn, void *arg);
/* The daemon was killed: the streams that it has not closed end all the same,
 * those above all that nobody but the net knew. */
void fake_net_cut(void);
void fake_net_close(void); /* links that are left are forgotten */

/* Who a client is. */
struct fake_client {
	struct sockaddr_storage from, to;
	struct stream_cred	cred; /* of a Unix socket */
};
/* NULL: nobody listens there. */
struct fake_link *fake_link_dial(int listen_fd, const struct fake_client *c,
    const struct fake_peer_events *ev, void *arg);
void fake_link_accept(struct fake_link *l, const struct fake_peer_events *ev,
    void *arg);
void fake_link_refuse(struct fake_link *l, int error);

void fake_link_write(struct fake_link *l, struct bytes b);
/*
 * Client: begins a handshake.  Receiver: answers one.  version NULL: it fails,
 * for the reason in cipher.
 */
void fake_link_tls(struct fake_link *l, const char *version,
    const char *cipher, bool trusted);
void fake_link_close(struct fake_link *l); /* after what was written */
void fake_link_reset(struct fake_link *l); /* at once */
/* A peer that does not read. */
void fake_link_pause(struct fake_link *l, bool on);
bool fake_link_is_open(const struct fake_link *l); /* on the daemon's side */
/* Listening descriptors that the daemon has given up say false. */
bool fake_net_listens(int listen_fd);

#endif
