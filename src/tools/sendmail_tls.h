/* SPDX-License-Identifier: ISC */
/*
 * sendmail_tls.h - TLS 1.2 or later on a blocking descriptor, the peer's
 * certificate always verified.
 * Use:    t = sendmail_tls_open(fd, host, ca, &e); _write, _read; _close.
 * Owner:  the descriptor stays the caller's.
 * Thread: one.
 * Fails:  NULL or -1 with *e: OpenSSL's reason, or that of verification.
 */
#ifndef TOOLS_SENDMAIL_TLS_H
#define TOOLS_SENDMAIL_TLS_H

#include "base/err.h"
#include "base/mem.h"

struct sendmail_tls;

struct sendmail_tls *sendmail_tls_open(int fd, const char *host,
    const char *ca, struct err *e);
int sendmail_tls_write(struct sendmail_tls *t, struct bytes s, struct err *e);
int sendmail_tls_read(struct sendmail_tls *t, char *out, size_t size,
    struct err *e);
size_t sendmail_tls_pending(struct sendmail_tls *t);
void sendmail_tls_close(struct sendmail_tls *t); /* NULL is allowed */

#endif
