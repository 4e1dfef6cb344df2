/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fake_stream_private.h"

struct stream_listener {
	struct stream_listener *next;
	struct loop	       *loop;
	int			fd;
	void (*on_accept)(void *arg, int fd, const struct sockaddr *peer,
	    socklen_t len);
	void *arg;
};

static struct {
	struct loop	       *loop;
	fake_connect_fn	       *on_connect;
	void		       *arg;
	struct fake_link       *links;
	struct stream_listener *listeners;
} the_net;

static void link_on_peer(void *link, void *unused);

/* -- links ------------------------------------------------------------------ */

struct fake_link *
link_new(struct loop *l)
{
	struct fake_link *k = mem_alloc(sizeof(*k));

	k->loop = l;
	k->fd = k->other_fd = -1;
	buf_init(&k->to_peer, LINK_MAX);
	buf_init(&k->to_stream, LINK_MAX);
	k->next = the_net.links;
	the_net.links = k;
	return k;
}

void
link_note_peer(struct fake_link *k)
{
	if (k->peer_noted || the_net.loop == NULL)
		return;
	k->peer_noted = loop_post(the_net.loop, link_on_peer, k, NULL);
	must(k->peer_noted);
}

static void
link_on_stream(void *link, void *unused)
{
	struct fake_link *k = link;

	(void)unused;
	k->stream_noted = false;
	if (k->stream != NULL)
		stream_schedule(k->stream);
}

static void
link_note_stream(struct fake_link *k)
{
	if (k->stream_noted || k->stream == NULL)
		return;
	k->stream_noted = loop_post(k->loop, link_on_stream, k, NULL);
	must(k->stream_noted);
}

static void
link_on_peer(void *link, void *unused)
{
	struct fake_link *k = link;
	struct buf	  data;

	(void)unused;
	k->peer_noted = false;
	if (!k->has_peer || k->peer_closed || k->is_paused)
		return;
	if (k->to_peer.n > 0) {
		data = k->to_peer;
		buf_init(&k->to_peer, LINK_MAX);
		k->ev.on_data(k->arg, buf_bytes(&data));
		buf_wipe(&data);
	}
	if (k->says_tls && !k->peer_closed) {
		k->says_tls = false;
		k->ev.on_tls(k->arg, k->tls_ok, "", false);
	}
	if (k->says_hello && !k->peer_closed && k->stream != NULL) {
		k->says_hello = false;
		k->ev.on_tls(k->arg, true, k->stream->tls_name,
		    k->stream->tls_verify);
	}
	if (k->says_end && !k->peer_closed && !k->peer_told_end) {
		k->peer_told_end = true;
		k->ev.on_end(k->arg);
	}
}

void
fake_net_open(struct loop *l, fake_connect_fn *fn, void *arg)
{
	the_net.loop = l;
	the_net.on_connect = fn;
	the_net.arg = arg;
}

static void
link_drop_fd(struct fake_link *k)
{
	watch_close(k->watch);
	k->watch = NULL;
	if (k->other_fd >= 0)
		close(k->other_fd);
	k->other_fd = -1;
}

void
fake_net_cut(void)
{
	struct fake_link *k;

	for (k = the_net.links; k != NULL; k = k->next) {
		if (k->stream == NULL)
			continue;
		k->stream = NULL;
		k->says_end = true;
		link_note_peer(k);
	}
}

void
fake_net_close(void)
{
	struct fake_link *k;

	while ((k = the_net.links) != NULL) {
		must(k->stream == NULL);
		the_net.links = k->next;
		link_drop_fd(k);
		buf_wipe(&k->to_peer);
		buf_wipe(&k->to_stream);
		mem_free(k);
	}
	the_net.loop = NULL;
}

/* -- the test's side --------------------------------------------------------- */

void
fake_link_accept(struct fake_link *k, const struct fake_peer_events *ev,
    void *arg)
{
	k->ev = *ev;
	k->arg = arg;
	k->has_peer = true;
	link_note_stream(k);
	link_note_peer(k);
}

void
fake_link_refuse(struct fake_link *k, int error)
{
	k->refused = error;
	link_note_stream(k);
}

void
fake_link_write(struct fake_link *k, struct bytes b)
{
	if (k->peer_closed)
		return;
	must(buf_add_bytes(&k->to_stream, b));
	link_note_stream(k);
}

void
fake_link_tls(struct fake_link *k, const char *version, const char *cipher,
    bool trusted)
{
	k->has_answer = true;
	k->tls_ok = version != NULL;
	snprintf(k->version, sizeof(k->version), "%s",
	    version != NULL ? version : "");
	snprintf(k->cipher, sizeof(k->cipher), "%s", cipher);
	k->is_trusted = trusted;
	link_note_stream(k);
}

void
fake_link_close(struct fake_link *k)
{
	k->peer_closed = k->has_eof = true;
	link_note_stream(k);
}

void
fake_link_reset(struct fake_link *k)
{
	k->peer_closed = k->is_reset = true;
	link_note_stream(k);
}

void
fake_link_pause(struct fake_link *k, bool on)
{
	k->is_paused = on;
	if (on)
		return;
	link_note_stream(k);
	link_note_peer(k);
}

bool
fake_link_is_open(const struct fake_link *k)
{
	return k->stream != NULL;
}

/* -- listening --------------------------------------------------------------- */

static struct stream_listener *
net_find_listener(int fd)
{
	struct stream_listener *sl = the_net.listeners;

	while (sl != NULL && sl->fd != fd)
		sl = sl->next;
	return sl;
}

bool
fake_net_listens(int listen_fd)
{
	return net_find_listener(listen_fd) != NULL;
}

/* The daemon has closed what accept() gave it without making a stream. */
static void
link_on_other_fd(void *link, int fd, int what)
{
	struct fake_link *k = link;

	(void)fd;
	(void)what;
	link_drop_fd(k);
	if (!k->was_accepted) {
		k->says_end = true;
		link_note_peer(k);
	}
}

void
stream_refuse(int fd, struct bytes line)
{
	struct fake_link *k = link_of_fd(fd);

	must(k != NULL);
	k->was_accepted = k->says_end = true;
	must(buf_add_bytes(&k->to_peer, line));
	link_note_peer(k);
	close(fd);
}

static void
listener_on_dial(void *listen_fd, void *link)
{
	struct stream_listener *sl = net_find_listener(
	    (int)(intptr_t)listen_fd);
	struct fake_link       *k = link;

	if (sl == NULL) { /* closed meanwhile */
		close(k->fd);
		return;
	}
	sl->on_accept(sl->arg, k->fd, (struct sockaddr *)&k->who.from,
	    sizeof(k->who.from));
}

struct fake_link *
fake_link_dial(int listen_fd, const struct fake_client *c,
    const struct fake_peer_events *ev, void *arg)
{
	struct stream_listener *sl = net_find_listener(listen_fd);
	struct fake_link       *k;
	int			fds[2];

	if (sl == NULL)
		return NULL;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	k = link_new(sl->loop);
	k->who = *c;
	k->fd = fds[0];
	k->other_fd = fds[1];
	k->watch = watch_open(the_net.loop, fds[1], WATCH_READ,
	    link_on_other_fd, k);
	k->ev = *ev;
	k->arg = arg;
	k->has_peer = true;
	must(loop_post(sl->loop, listener_on_dial, (void *)(intptr_t)listen_fd,
	    k));
	return k;
}

struct stream_listener *
stream_listen(struct loop *l, int listen_fd,
    void (*on_accept)(void *arg, int fd, const struct sockaddr *peer,
	socklen_t len),
    void *arg, struct err *e)
{
	struct stream_listener *sl = mem_alloc(sizeof(*sl));

	(void)e;
	must(net_find_listener(listen_fd) == NULL);
	sl->loop = l;
	sl->fd = listen_fd;
	sl->on_accept = on_accept;
	sl->arg = arg;
	sl->next = the_net.listeners;
	the_net.listeners = sl;
	return sl;
}

void
stream_listener_close(struct stream_listener *sl)
{
	struct stream_listener **p = &the_net.listeners;

	if (sl == NULL)
		return;
	while (*p != NULL && *p != sl)
		p = &(*p)->next;
	if (*p == NULL)
		return; /* closed before */
	*p = sl->next;
	loop_reap(sl->loop, mem_free, sl);
}

int
stream_bind(struct sockaddr_storage *addr, socklen_t len, bool reuseport,
    bool probe, struct err *e)
{
	(void)addr;
	(void)len;
	(void)reuseport;
	(void)probe;
	return err_set(e, "nothing is bound in a replay");
}

struct fake_link *
link_of_fd(int fd)
{
	struct fake_link *k = the_net.links;

	while (k != NULL && (k->fd != fd || k->was_accepted))
		k = k->next;
	return k;
}

static void
link_on_connect(void *link, void *unused)
{
	struct fake_link *k = link;
	struct stream	 *s = k->stream;

	(void)unused;
	if (s != NULL)
		the_net.on_connect(the_net.arg, k,
		    (struct sockaddr *)&s->peer, (struct sockaddr *)&s->local);
}

void
link_connect(struct fake_link *k)
{
	must(loop_post(the_net.loop, link_on_connect, k, NULL));
}
