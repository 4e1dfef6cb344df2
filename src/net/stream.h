/* SPDX-License-Identifier: ISC */
/*
 * stream.h - one stream of bytes to a peer: buffers, deadlines, TLS, close.
 *
 * Use:    s = stream_accept(loop, fd, &ev, arg) for an accepted descriptor,
 *         or stream_connect(...) towards a peer.  Input waits in the stream:
 *         on_input is called when there is more of it; stream_peek() shows
 *         what is there, stream_take(n) drops what was used.  Output is
 *         queued by stream_write() and leaves by itself.
 *         Plain TCP, TLS and Unix sockets look alike.
 * Owner:  who opened it; stream_close() ends it from any callback: no
 *         further callback comes, queued output is dropped; the storage goes
 *         at the end of the pass.  stream_finish() sends what is queued
 *         (close_notify too), then closes by itself, without callbacks.
 * Thread: the loop's.
 * Fails:  on_end() once, with the reason; then the owner calls stream_close.
 *         stream_write() false = the output limit was passed: a peer that
 *         does not read; on_end(STREAM_STUCK) follows.
 * Deadlines belong to the stream and die with it.
 * Replaced by tests/lib/fake_stream.c in the replay tests.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/turns.h"

struct stream;
struct tls_server; /* net/tls.h */
struct tls_client;

enum stream_end {
	STREAM_EOF,	  /* the peer closed in order */
	STREAM_LOST,	  /* connection error; stream_error_text() */
	STREAM_TIMEOUT,	  /* the deadline of stream_deadline() passed */
	STREAM_STUCK,	  /* the peer does not read what we write */
	STREAM_TLS_FAILED, /* handshake failed; stream_error_text() */
	STREAM_SHORT	   /* we have no descriptor or memory to connect */
};
const char *stream_end_to_text(enum stream_end e);

struct stream_events {
	void (*on_ready)(void *arg); /* connected; after it TLS done, too */
	void (*on_input)(void *arg); /* more input than at the last call */
	void (*on_drained)(void *arg); /* output queue empty; may be NULL */
	void (*on_end)(void *arg, enum stream_end why);
};

/* Takes fd (nonblocking is set here).  No on_ready for accepted streams
 * until a TLS handshake is done. */
struct stream *stream_accept(struct loop *l, int fd,
    const struct stream_events *ev, void *arg);
/*
 * Starts to connect; on_ready or on_end follows (never from inside the
 * call).  from may be NULL: the system chooses the source address.
 */
struct stream *stream_connect(struct loop *l, const struct sockaddr *to,
    const struct sockaddr *from, const struct stream_events *ev, void *arg);
void stream_close(struct stream *s); /* NULL is allowed */
/* Sends what is queued within ms, then closes; the owner forgets s. */
void stream_finish(struct stream *s, int64_t ms);

/* Input: all that is there now, in one piece (may move the memory). */
struct bytes stream_peek(struct stream *s);
void stream_take(struct stream *s, size_t n);
/* Most input kept before reading stops (default 64 KiB). */
void stream_set_input_max(struct stream *s, size_t n);
/* Reading stops while paused (back-pressure); time spent so is no idling. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s); /* calls on_input if there is input */
bool stream_is_paused(const struct stream *s);

/* Output. Nothing is sent before the end of the pass: replies are joined. */
bool stream_write(struct stream *s, struct bytes b);
size_t stream_queued(const struct stream *s); /* octets not yet sent */
void stream_set_output_max(struct stream *s, size_t n); /* default 1 MiB */
/* No progress of queued output for ms ends with STREAM_STUCK; 0 = off */
void stream_set_write_timeout(struct stream *s, int64_t ms);

/*
 * Deadline: ms from now, 0 = none.  The owner sets it when it chooses what
 * to wait for; octets that arrive do not move it.  It stands still while
 * paused.
 */
void stream_deadline(struct stream *s, int64_t ms);

/* TLS from here on; on_ready or on_end(STREAM_TLS_FAILED) follows. The
 * server side requires that no input is waiting (the caller checks); on the
 * client side waiting input ends with STREAM_TLS_FAILED. */
void stream_tls_server(struct stream *s, struct tls_server *ctx);
/*
 * Who sends more than its share of a pass (32 KiB) goes on as TURN_GREEDY; and
 * in stream_tls_server(), later, each step of the handshake waits for its turn,
 * first with this rank, after our flight as TURN_LIGHT.  Nothing of TLS is
 * allocated before the first turn.  source is borrowed until on_end or the
 * close.
 */
void stream_take_turns(struct stream *s, struct turns *ts,
    enum turn_rank rank, const char *source);
/* name: SNI and, with verify, the name the certificate must be valid for;
 * sessions are resumed by it ("" = none). */
void stream_tls_client(struct stream *s, struct tls_client *ctx,
    const char *name, bool verify);

struct stream_tls {
	bool active;
	bool resumed;
	bool verified;	  /* client side, chain and name were checked */
	char version[12]; /* "TLSv1.3" */
	char cipher[48];
	char sni[256];
};
void stream_tls_describe(const struct stream *s, struct stream_tls *out);

enum { STREAM_ADDR_MAX = 64 };
/* "203.0.113.7" or "unix"; without port */
const char *stream_peer_text(const struct stream *s);
const char *stream_local_text(const struct stream *s);
uint16_t stream_peer_port(const struct stream *s);
uint16_t stream_local_port(const struct stream *s);
const struct sockaddr *stream_peer(const struct stream *s);
/* Peer of a Unix socket, from the kernel; false on other sockets. */
struct stream_cred {
	uint32_t uid, gid, pid;
	uint32_t groups[64];
	unsigned group_count;
};
bool stream_credentials(const struct stream *s, struct stream_cred *out);
const char *stream_error_text(const struct stream *s); /* never NULL */
uint64_t stream_octets_in(const struct stream *s);
uint64_t stream_octets_out(const struct stream *s);

/*
 * Listening socket on a loop.  on_accept gets a descriptor it owns.
 * listen_fd is bound and listening (made by the master with
 * stream_bind()).  Closing leaves the descriptor open.
 */
struct stream_listener;
struct stream_listener *stream_listen(struct loop *l, int listen_fd,
    void (*on_accept)(void *arg, int fd, const struct sockaddr *peer,
	socklen_t len),
    void *arg, struct err *e);
void stream_listener_close(struct stream_listener *sl);
/* Says so much to who was accepted, as far as the socket takes it, and closes:
 * without a stream, for floods.  Whatever the peer has said is not read. */
void stream_refuse(int fd, struct bytes line);
/*
 * Binds and listens.  reuseport: several sockets share the address (one a
 * loop); the first bind of an address is probed without it, so that a second
 * daemon is an error.  *addr gets the real port when it was 0.
 */
int stream_bind(struct sockaddr_storage *addr, socklen_t len, bool reuseport,
    bool probe, struct err *e);
/* "203.0.113.7" / "[2001:db8::1]:25" / "/path" of a sockaddr */
const char *sockaddr_text(const struct sockaddr *sa, bool with_port,
    char out[STREAM_ADDR_MAX + 48]);

#endif
