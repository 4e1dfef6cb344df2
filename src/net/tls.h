/* SPDX-License-Identifier: ISC */
/*
 * tls.h - TLS contexts: certificates and their choice by SNI, protocol
 * policy, sessions.
 * Use:    tls_server_new(&setup, &e) at start and reload; running sessions
 *         keep the context they began with (counted).
 * Owner:  counted: tls_server_ref/_unref; a client context likewise.
 * Thread: building on any thread; a context is shared read-only by the
 *         loops (OpenSSL's own locks), the references are atomic.
 * Fails:  *e names the file and OpenSSL's reason; nothing is half built.
 * Policy (smtp-interface.md 3): TLS 1.2 at least, (EC)DHE with AEAD only (DHE
 * where the setup names it: RFC 9325 4.1 advises against it), no
 * renegotiation, no compression, no 0-RTT, tickets whose keys rotate every
 * 24 h; unknown or no SNI gets the default certificate.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

struct tls_server;
struct tls_client;

/* PEM texts, read by the caller (the files may be readable by root only). */
struct tls_pem {
	struct bytes cert; /* leaf first, then the chain */
	struct bytes key;
	const char  *cert_path; /* for messages */
};
struct tls_server_setup {
	const struct tls_pem *pems; /* [0] is the default certificate; RSA
				       and ECDSA for one name may both stand */
	size_t		      pem_count;
	bool		      tls13_only;
	const char	     *ciphers;	    /* NULL = default list */
	const char	     *ciphersuites; /* NULL = all of TLS 1.3 */
};
struct tls_server *tls_server_new(const struct tls_server_setup *s,
    struct err *e);
struct tls_server *tls_server_ref(struct tls_server *t);
void tls_server_unref(struct tls_server *t); /* NULL is allowed */
/* Does the default certificate cover this host name? */
bool tls_server_covers(const struct tls_server *t, const char *name);
/* End of validity of the default certificate. */
struct wall tls_server_not_after(const struct tls_server *t);

/* For delivery: trust store of the system, or ca_path (PEM); sessions are
 * cached by peer name in a bounded table. */
struct tls_client *tls_client_new(const char *ca_path, struct err *e);
struct tls_client *tls_client_ref(struct tls_client *t);
void tls_client_unref(struct tls_client *t);

/*
 * Certificates that a server's has to descend from, for a library that makes
 * contexts of its own (net/http.c).  The system's bundle is read at once,
 * before the sandbox closes, and parsed when it is lent first: by one loop.
 */
struct tls_trust;
struct tls_trust *tls_trust_new(struct bytes pem, struct err *e);
struct tls_trust *tls_trust_system(struct err *e);
struct tls_trust *tls_trust_ref(struct tls_trust *t);
void tls_trust_unref(struct tls_trust *t); /* NULL is allowed */
/* false = there is no certificate in it */
bool tls_trust_lend(struct tls_trust *t, void *ssl_ctx);

const char *tls_library(void); /* version of OpenSSL */

#endif
