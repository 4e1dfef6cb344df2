/* SPDX-License-Identifier: ISC */
/*
 * sendmail_link.h - a blocking connection to posthorn: the local socket, or
 * TCP, in clear or in TLS.
 * Use:    l = sendmail_link_unix(path, &e) or _host(host, port, &e);
 *         sendmail_link_tls(l, host, ca, &e); _write(), _read(); _close().
 * Owner:  the link owns its descriptor and its TLS session.
 * Thread: one.
 * Fails:  NULL or -1 with *e; a peer that neither reads nor writes for
 *         SENDMAIL_TIMEOUT_S is an error too.
 */
#ifndef TOOLS_SENDMAIL_LINK_H
#define TOOLS_SENDMAIL_LINK_H

#include "base/err.h"
#include "base/mem.h"

enum { SENDMAIL_TIMEOUT_S = 600, SENDMAIL_CONNECT_S = 30 };

struct sendmail_link;

struct sendmail_link *sendmail_link_unix(const char *path, struct err *e);
struct sendmail_link *sendmail_link_host(const char *host, const char *port,
    struct err *e);
/* From here on in TLS; ca NULL = the system's trust store. */
int sendmail_link_tls(struct sendmail_link *l, const char *host,
    const char *ca, struct err *e);
int sendmail_link_write(struct sendmail_link *l, struct bytes s,
    struct err *e);
/* Octets read, 0 at the end of the stream, -1. */
int sendmail_link_read(struct sendmail_link *l, char *out, size_t size,
    struct err *e);
/* No more will be written: the peer sees the end of the stream. */
void sendmail_link_finish(struct sendmail_link *l);
int sendmail_link_fd(const struct sendmail_link *l); /* for poll(2) */
/* Octets that read() gives although poll(2) does not tell of them. */
size_t sendmail_link_pending(struct sendmail_link *l);
void sendmail_link_close(struct sendmail_link *l); /* NULL is allowed */

#endif
