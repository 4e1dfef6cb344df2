/* SPDX-License-Identifier: ISC */
#include "tools/sendmail_link.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/sendmail_tls.h"

struct sendmail_link {
	int		     fd;
	struct sendmail_tls *tls; /* NULL = clear */
};

/* A call that waits longer ends with EAGAIN. */
static void
link_set_timeout(int fd, int seconds)
{
	struct timeval t = { .tv_sec = seconds };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static int
link_fail(const char *what, struct err *e)
{
	/* connect(2) says EINPROGRESS when SO_SNDTIMEO is over */
	if (errno == EAGAIN || errno == EINPROGRESS)
		errno = ETIMEDOUT;
	return err_sys(e, "%s", what);
}

static struct sendmail_link *
link_new(int fd)
{
	struct sendmail_link *l = mem_alloc(sizeof(*l));

	l->fd = fd;
	link_set_timeout(fd, SENDMAIL_TIMEOUT_S);
	return l;
}

/* A descriptor, or -1 with errno. */
static int
link_connect(int family, const struct sockaddr *to, socklen_t length)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int cause;

	if (fd < 0)
		return -1;
	link_set_timeout(fd, SENDMAIL_CONNECT_S);
	if (connect(fd, to, length) == 0)
		return fd;
	cause = errno;
	close(fd);
	errno = cause;
	return -1;
}

struct sendmail_link *
sendmail_link_unix(const char *path, struct err *e)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int		   fd;

	if (strlen(path) >= sizeof(to.sun_path)) {
		err_set(e, "connect %s: the path is too long", path);
		return NULL;
	}
	strcpy(to.sun_path, path);
	fd = link_connect(AF_UNIX, (struct sockaddr *)&to, sizeof(to));
	if (fd < 0) {
		link_fail("connect", e);
		err_wrap(e, "%s", path);
		return NULL;
	}
	return link_new(fd);
}

struct sendmail_link *
sendmail_link_host(const char *host, const char *port, struct err *e)
{
	struct addrinfo	 hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *all, *a;
	int		 rc, fd = -1, on = 1;

	hints.ai_flags = AI_NUMERICSERV;
	rc = getaddrinfo(host, port, &hints, &all);
	if (rc != 0) {
		err_set(e, "%s: %s", host, gai_strerror(rc));
		return NULL;
	}
	for (a = all; a != NULL && fd < 0; a = a->ai_next)
		fd = link_connect(a->ai_family, a->ai_addr, a->ai_addrlen);
	if (fd < 0) {
		link_fail("connect", e);
		err_wrap(e, "%s:%s", host, port);
	}
	freeaddrinfo(all);
	if (fd < 0)
		return NULL;
	/* short commands must not wait for the peer's acknowledgement */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return link_new(fd);
}

int
sendmail_link_tls(struct sendmail_link *l, const char *host, const char *ca,
    struct err *e)
{
	l->tls = sendmail_tls_open(l->fd, host, ca, e);
	return l->tls == NULL ? -1 : 0;
}

int
sendmail_link_write(struct sendmail_link *l, struct bytes s, struct err *e)
{
	ssize_t n;

	if (l->tls != NULL)
		return sendmail_tls_write(l->tls, s, e);
	while (s.n > 0) {
		n = send(l->fd, s.p, s.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return link_fail("write", e);
		s = bytes_from(s, (size_t)n);
	}
	return 0;
}

int
sendmail_link_read(struct sendmail_link *l, char *out, size_t size,
    struct err *e)
{
	ssize_t n;

	if (size > 1 << 20)
		size = 1 << 20;
	if (l->tls != NULL)
		return sendmail_tls_read(l->tls, out, size, e);
	do
		n = recv(l->fd, out, size, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? link_fail("read", e) : (int)n;
}

void
sendmail_link_finish(struct sendmail_link *l)
{
	/* no close_notify: a server that has said goodbye would not read it,
	 * and its system would answer with a reset */
	shutdown(l->fd, SHUT_WR);
}

int
sendmail_link_fd(const struct sendmail_link *l)
{
	return l->fd;
}

size_t
sendmail_link_pending(struct sendmail_link *l)
{
	return l->tls == NULL ? 0 : sendmail_tls_pending(l->tls);
}

void
sendmail_link_close(struct sendmail_link *l)
{
	if (l == NULL)
		return;
	sendmail_tls_close(l->tls);
	close(l->fd);
	mem_free(l);
}
