/* SPDX-License-Identifier: ISC */
/*
 * tls_private.h - one TLS connection on a descriptor, for net/stream.c; and
 * what tls.c (servers) and tls_session.c (clients, connections) share.
 *
 * Use:    t = tls_session_server(ctx, fd, loop_now(l)); tls_session_handshake()
 *         until TLS_IO_DONE; then _read, _write, _shutdown.
 * Owner:  a session holds a reference to its context; the descriptor stays
 *         the caller's and outlives the session.
 * Thread: that of the stream.
 * Fails:  TLS_IO_FAILED with tls_session_error(); NULL without memory.
 * This is all that stream.c knows of OpenSSL.
 */
#ifndef NET_TLS_PRIVATE_H
#define NET_TLS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"

struct stream_tls;
struct tls_client;
struct tls_server;
struct tls_session;

enum tls_io {
	TLS_IO_DONE,
	TLS_IO_WANT_READ,
	TLS_IO_WANT_WRITE,
	TLS_IO_EOF,
	TLS_IO_FAILED
};

/* now: the keys of the session tickets are changed when they are due. */
struct tls_session *tls_session_server(struct tls_server *t, int fd,
    struct mono now);
struct tls_session *tls_session_client(struct tls_client *t, int fd,
    const char *name, bool verify);
void tls_session_free(struct tls_session *s); /* NULL is allowed */
enum tls_io tls_session_handshake(struct tls_session *s);
/* Server: the costly part is behind us. */
bool tls_session_has_begun(const struct tls_session *s);
/* TLS_IO_DONE: there is more; WANT_READ with octets: that was all so far. */
enum tls_io tls_session_read(struct tls_session *s, void *p, size_t n,
    size_t *got);
/* After TLS_IO_WANT_* the same octets are offered again, and perhaps more. */
enum tls_io tls_session_write(struct tls_session *s, const void *p, size_t n,
    size_t *put);
/* Input that the kernel will not announce, because it is here already. */
bool tls_session_has_pending(const struct tls_session *s);
void tls_session_shutdown(struct tls_session *s); /* close_notify */
void tls_session_describe(const struct tls_session *s,
    struct stream_tls *out);
const char *tls_session_error(const struct tls_session *s); /* never NULL */

/* Between tls.c and tls_session.c. */
struct ssl_ctx_st;
struct ssl_ctx_st *tls_server_context(struct tls_server *t, struct mono now);
void tls_set_modes(struct ssl_ctx_st *ctx);
const char *tls_reason(void); /* of the first error in OpenSSL's queue */

#endif
