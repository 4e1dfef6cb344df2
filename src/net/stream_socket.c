/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/stream_private.h"

enum { LISTENER_BURST = 16, LISTENER_REST_MS = 100 };

struct stream_listener {
	struct loop  *loop;
	struct watch *watch;
	struct timer  rest;
	int	      fd;
	bool	      is_closed;
	void (*on_accept)(void *arg, int fd, const struct sockaddr *peer,
	    socklen_t len);
	void *arg;
};

void
socket_set_up(int fd, int family)
{
	int one = 1;

	ioctl(fd, FIONBIO, &one);
	/* output is joined by the pass, Nagle would only hold it back */
	if (family == AF_INET || family == AF_INET6)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

bool
socket_credentials(int fd, struct stream_cred *out)
{
	struct ucred cred;
	socklen_t    len = sizeof(cred);
	gid_t	     groups[64];
	unsigned     i;

	memset(out, 0, sizeof(*out));
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 ||
	    len != sizeof(cred))
		return false;
	out->uid = cred.uid;
	out->gid = cred.gid;
	out->pid = (uint32_t)cred.pid;
	len = sizeof(groups);
	/* more groups than there is room for: none of them counts */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return true;
	out->group_count = (unsigned)(len / sizeof(groups[0]));
	for (i = 0; i < out->group_count; i++)
		out->groups[i] = groups[i];
	return true;
}

void
stream_refuse(int fd, struct bytes line)
{
	ssize_t n;

	do
		n = send(fd, line.p, line.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	close(fd);
}

/* -- listening ------------------------------------------------------------ */

/* A socket file that nobody answers at is left over from before. */
static void
unix_remove_stale(const struct sockaddr_storage *addr, socklen_t len)
{
	struct sockaddr_un un;
	struct stat	   st;
	int		   fd;

	memcpy(&un, addr, sizeof(un));
	un.sun_path[sizeof(un.sun_path) - 1] = '\0';
	if (un.sun_path[0] == '\0' || lstat(un.sun_path, &st) < 0 ||
	    !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)addr, len) < 0 &&
	    errno == ECONNREFUSED)
		unlink(un.sun_path);
	close(fd);
}

static int
socket_bind(const struct sockaddr_storage *addr, socklen_t len,
    bool reuseport, struct err *e)
{
	char text[STREAM_ADDR_MAX + 48];
	int  fd, one = 1;

	sockaddr_text((const struct sockaddr *)addr, true, text);
	fd = socket(addr->ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "socket for %s", text);
	if (addr->ss_family == AF_UNIX) {
		unix_remove_stale(addr, len);
	} else {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (addr->ss_family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one,
			    sizeof(one));
		if (reuseport)
			setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one,
			    sizeof(one));
	}
	if (bind(fd, (const struct sockaddr *)addr, len) < 0) {
		err_sys(e, "bind %s", text);
		close(fd);
		return -1;
	}
	return fd;
}

int
stream_bind(struct sockaddr_storage *addr, socklen_t len, bool reuseport,
    bool probe, struct err *e)
{
	char text[STREAM_ADDR_MAX + 48];
	int  fd;

	if (probe && reuseport && sockaddr_port(addr) != 0) {
		fd = socket_bind(addr, len, false, e);
		if (fd < 0)
			return -1;
		close(fd);
	}
	fd = socket_bind(addr, len, reuseport, e);
	if (fd < 0)
		return -1;
	if (listen(fd, SOMAXCONN) < 0 || (addr->ss_family != AF_UNIX &&
	    getsockname(fd, (struct sockaddr *)addr, &len) < 0)) {
		err_sys(e, "listen on %s",
		    sockaddr_text((struct sockaddr *)addr, true, text));
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * Without descriptors a level triggered socket would keep the loop busy for
 * nothing: it rests, and the clients wait in the kernel.
 */
static void
listener_on_event(void *arg, int fd, int what)
{
	struct stream_listener *sl = arg;
	struct sockaddr_storage peer;
	socklen_t		len;
	int			i, client;

	(void)what;
	for (i = 0; i < LISTENER_BURST && !sl->is_closed; i++) {
		len = sizeof(peer);
		memset(&peer, 0, sizeof(peer));
		client = accept4(fd, (struct sockaddr *)&peer, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client >= 0) {
			sl->on_accept(sl->arg, client,
			    (struct sockaddr *)&peer, len);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			watch_change(sl->watch, 0);
			timer_set(&sl->rest, LISTENER_REST_MS);
			return;
		}
		/* else: trouble of this one connection */
	}
}

static void
listener_on_rest(void *arg, void *unused)
{
	struct stream_listener *sl = arg;

	(void)unused;
	watch_change(sl->watch, WATCH_READ);
}

struct stream_listener *
stream_listen(struct loop *l, int listen_fd,
    void (*on_accept)(void *arg, int fd, const struct sockaddr *peer,
	socklen_t len),
    void *arg, struct err *e)
{
	struct stream_listener *sl = mem_alloc(sizeof(*sl));
	int			one = 1;

	sl->loop = l;
	sl->fd = listen_fd;
	sl->on_accept = on_accept;
	sl->arg = arg;
	ioctl(listen_fd, FIONBIO, &one);
	timer_init(&sl->rest, l, listener_on_rest, sl);
	sl->watch = watch_open(l, listen_fd, WATCH_READ, listener_on_event,
	    sl);
	if (sl->watch == NULL) {
		err_sys(e, "watch listening socket");
		mem_free(sl);
		return NULL;
	}
	return sl;
}

void
stream_listener_close(struct stream_listener *sl)
{
	if (sl == NULL || sl->is_closed)
		return;
	sl->is_closed = true;
	timer_clear(&sl->rest);
	watch_close(sl->watch);
	loop_reap(sl->loop, mem_free, sl);
}
