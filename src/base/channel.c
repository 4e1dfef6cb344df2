/* SPDX-License-Identifier: ISC */
/* The first half of base/process.h: channels between processes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/process.h"

enum {
	READS_PER_EVENT = 64, /* other descriptors of the loop wait no longer */
	RIGHTS_MAX = 8	      /* room to see, and to close, what is too much */
};

struct parcel {
	struct parcel *next;
	int	       fd;
	size_t	       n;
	char	       data[];
};

struct channel {
	struct loop	     *loop;
	struct watch	     *watch;
	struct channel_events ev;
	void		     *arg;
	int		      fd;
	bool		      is_gone;	 /* the peer, or what it said is bad */
	bool		      is_closed; /* by us: no callback any more */
	struct parcel	     *first, *last;
	size_t		      queue_count, queue_bytes;
	char		      in[CHANNEL_MESSAGE_MAX];
};

union rights {
	struct cmsghdr align;
	char	       space[CMSG_SPACE(RIGHTS_MAX * sizeof(int))];
};

int
channel_pair(int fds[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		0, fds) < 0)
		return err_sys(e, "socketpair");
	return 0;
}

/* -- receiving ------------------------------------------------------------ */

static void
channel_lose(struct channel *c)
{
	c->is_gone = true;
	watch_close(c->watch);
	c->watch = NULL;
	if (c->ev.on_close != NULL)
		c->ev.on_close(c->arg);
}

/* The one descriptor of a message, -1 = none; -2 = more than one. */
static int
channel_take_fd(struct msghdr *h)
{
	struct cmsghdr *cm;
	int		found[RIGHTS_MAX];
	size_t		n = 0, i, count;

	for (cm = CMSG_FIRSTHDR(h); cm != NULL; cm = CMSG_NXTHDR(h, cm)) {
		if (cm->cmsg_level != SOL_SOCKET ||
		    cm->cmsg_type != SCM_RIGHTS)
			continue;
		count = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < count && n < RIGHTS_MAX; i++, n++)
			memcpy(&found[n], CMSG_DATA(cm) + i * sizeof(int),
			    sizeof(int));
	}
	if (n == 0)
		return -1;
	if (n == 1 && !(h->msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return found[0];
	for (i = 0; i < n; i++)
		close(found[i]);
	return -2;
}

/* False = nothing more to read now, or the channel has ended. */
static bool
channel_read_one(struct channel *c)
{
	union rights  rights;
	struct iovec  iov = { c->in, sizeof(c->in) };
	struct msghdr h = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = rights.space,
		.msg_controllen = sizeof(rights.space) };
	ssize_t	      n;
	int	      fd;

	n = recvmsg(c->fd, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	/* reset: the peer ended without reading all; its last words follow */
	if (n < 0 && (errno == EINTR || errno == ECONNRESET))
		return true;
	if (n < 0) {
		channel_lose(c);
		return false;
	}
	fd = channel_take_fd(&h);
	if (n == 0 || fd == -2 || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		if (fd >= 0)
			close(fd);
		channel_lose(c);
		return false;
	}
	c->ev.on_message(c->arg, (struct bytes){ c->in, (size_t)n }, fd);
	return !c->is_closed;
}

/* -- sending -------------------------------------------------------------- */

enum sent { SENT_DONE, SENT_LATER, SENT_NEVER };

static enum sent
channel_put(struct channel *c, struct bytes message, int fd)
{
	union rights	rights;
	struct iovec	iov = { (void *)(uintptr_t)message.p, message.n };
	struct msghdr	h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;
	ssize_t		n;

	if (fd >= 0) {
		memset(&rights, 0, sizeof(rights));
		h.msg_control = rights.space;
		h.msg_controllen = CMSG_SPACE(sizeof(int));
		cm = CMSG_FIRSTHDR(&h);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	do
		n = sendmsg(c->fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return SENT_DONE;
	/* the last: too many descriptors on their way */
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ||
	    errno == ENOMEM || errno == ETOOMANYREFS)
		return SENT_LATER;
	return SENT_NEVER;
}

static void
channel_drop_first(struct channel *c)
{
	struct parcel *p = c->first;

	c->first = p->next;
	if (c->first == NULL)
		c->last = NULL;
	c->queue_count--;
	c->queue_bytes -= p->n;
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

/* What cannot be sent ends both ways: reading sees the end, and says it. */
static void
channel_break(struct channel *c)
{
	c->is_gone = true;
	shutdown(c->fd, SHUT_RDWR);
}

static void
channel_flush(struct channel *c)
{
	enum sent sent;

	while (c->first != NULL && !c->is_gone) {
		sent = channel_put(c,
		    (struct bytes){ c->first->data, c->first->n },
		    c->first->fd);
		if (sent == SENT_LATER)
			return;
		if (sent == SENT_NEVER)
			channel_break(c);
		else
			channel_drop_first(c);
	}
	watch_change(c->watch, WATCH_READ);
}

static void
channel_on_event(void *arg, int fd, int what)
{
	struct channel *c = arg;
	int		i;

	(void)fd;
	if (what & WATCH_WRITE)
		channel_flush(c);
	if (what & WATCH_READ)
		for (i = 0; i < READS_PER_EVENT; i++)
			if (!channel_read_one(c))
				break;
}

static bool
channel_queue(struct channel *c, struct bytes message, int fd)
{
	struct parcel *p;

	if (c->queue_count >= CHANNEL_QUEUE_MAX ||
	    message.n > CHANNEL_QUEUE_BYTES - c->queue_bytes)
		return false;
	p = malloc(sizeof(*p) + message.n);
	if (p == NULL)
		return false;
	p->next = NULL;
	p->fd = fd;
	p->n = message.n;
	memcpy(p->data, message.p, message.n);
	if (c->last != NULL)
		c->last->next = p;
	else
		c->first = p;
	c->last = p;
	c->queue_count++;
	c->queue_bytes += p->n;
	watch_change(c->watch, WATCH_READ | WATCH_WRITE);
	return true;
}

bool
channel_send(struct channel *c, struct bytes message, int fd)
{
	enum sent sent = SENT_LATER;

	loop_must_own(c->loop);
	must(!c->is_closed);
	if (c->is_gone || message.n == 0 || message.n > CHANNEL_MESSAGE_MAX)
		return false;
	if (c->first == NULL)
		sent = channel_put(c, message, fd);
	if (sent == SENT_LATER)
		return channel_queue(c, message, fd);
	if (sent == SENT_NEVER) {
		channel_break(c);
		return false;
	}
	if (fd >= 0)
		close(fd);
	return true;
}

/* -- life ----------------------------------------------------------------- */

struct channel *
channel_open(struct loop *l, int fd, const struct channel_events *ev,
    void *arg, struct err *e)
{
	struct channel *c;
	int		flags = fcntl(fd, F_GETFL);

	loop_must_own(l);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
		err_sys(e, "channel: descriptor %d", fd);
		if (flags >= 0)
			close(fd);
		return NULL;
	}
	c = mem_alloc(sizeof(*c));
	c->loop = l;
	c->ev = *ev;
	c->arg = arg;
	c->fd = fd;
	c->watch = watch_open(l, fd, WATCH_READ, channel_on_event, c);
	if (c->watch == NULL) {
		err_set(e, "channel: descriptor %d cannot be watched", fd);
		close(fd);
		free(c);
		return NULL;
	}
	return c;
}

void
channel_drain(struct channel *c)
{
	loop_must_own(c->loop);
	while (channel_read_one(c))
		;
}

void
channel_close(struct channel *c)
{
	if (c == NULL)
		return;
	loop_must_own(c->loop);
	must(!c->is_closed);
	c->is_closed = true;
	watch_close(c->watch);
	c->watch = NULL;
	close(c->fd);
	while (c->first != NULL)
		channel_drop_first(c);
	loop_reap(c->loop, mem_free, c);
}
