/* SPDX-License-Identifier: ISC */
/*
 * transport.h - the SMTP client: one connection to one address, carrying one
 * attempt after the other.
 *
 * Use:    t = transport_open(&setup, &events, arg, &e); on_ready: it may be
 *         given an attempt with transport_deliver(); on_done: each envelope
 *         of the attempt has its result, on_ready may follow; on_gone: the
 *         connection has ended, t is no more.
 * Owner:  egress; transport_quit() says QUIT (5 s) and ends without further
 *         callbacks, transport_close() ends at once.
 * Thread: the delivery loop's.
 * Fails:  before on_ready: on_gone with a result (stage greeting, ehlo, or
 *         the kinds CONNECT, TLS_*); within an attempt: on_done with results,
 *         then on_gone.  No callback comes from inside a call.
 * Rules of delivery.md 5 and 6: commands, PIPELINING with two cursors (next
 * to send, next to be answered), BDAT when offered, TLS by demand, time-outs;
 * "any doubt closes": a 421, a protocol error, an unexpected reply.
 * The state diagram is at the top of transport.c.
 */
#ifndef DELIVERY_TRANSPORT_H
#define DELIVERY_TRANSPORT_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/thread.h"
#include "delivery/attempt.h"
#include "net/tls.h"

struct stream_tls;
struct transport;

struct transport_setup {
	struct loop	      *loop;
	struct spool	      *spool; /* content is read in slices */
	struct tls_client     *tls;
	const struct sockaddr *to, *from; /* from NULL = the system's choice */
	const char	      *host; /* MX host name: SNI, messages */
	const char	      *ehlo;
	enum tls_demand	       demand; /* the strictest of what waits */
	bool		       no_starttls; /* remembered as "no TLS" */
	bool		       use_bdat;    /* delivery.bdat = auto */
	bool		       bounce_8bit; /* delivery.eightbit = bounce */
};
struct transport_events {
	/* Before on_ready: the peer has answered, and is waited for again. */
	void (*on_answer)(void *arg);
	void (*on_ready)(void *arg);
	void (*on_done)(void *arg, struct attempt *a);
	/* r: why; before on_ready it is the result of the try.  handshake:
	 * an opportunistic handshake failed: try again without TLS. */
	void (*on_gone)(void *arg, const struct result *r, bool handshake);
};
struct transport *transport_open(const struct transport_setup *s,
    const struct transport_events *ev, void *arg, struct err *e);
/* Does the TLS result of this connection satisfy the demand? */
bool transport_satisfies(const struct transport *t, enum tls_demand d);
void transport_deliver(struct transport *t, struct attempt *a);
unsigned transport_count(const struct transport *t); /* transactions */
/* LIMITS MAILMAX of the peer (RFC 9422); 0 = none announced */
uint64_t transport_mail_max(const struct transport *t);
const char *transport_local_ip(const struct transport *t);
const struct stream_tls *transport_tls(const struct transport *t);
struct mono transport_since(const struct transport *t);
void transport_quit(struct transport *t);
void transport_close(struct transport *t); /* NULL is allowed */
/* Before on_ready: ends at once, without callbacks; r: what the time-out that
 * was waited for would say. */
void transport_give_up(struct transport *t, struct result *r);
/* At shut-down: ends unless the final dot was sent; false = it was, the
 * reply is awaited (up to 60 s), on_done and on_gone follow. */
bool transport_abandon(struct transport *t);

#endif
