/* SPDX-License-Identifier: ISC */
/*
 * The sockets that the master has bound: each belongs to a desk, and is closed
 * with it.  One whose file had vanished comes anew and takes the place of the
 * old one; sessions live on.
 */
#include "daemon/relay.h"

#include <unistd.h>

#include "base/log.h"
#include "daemon/child.h"
#include "daemon/control.h"

/* The socket is closed with the desk, whatever becomes of it here. */
static int
relay_listen_one(struct relay_desk *d, uint32_t index, int fd, struct err *e)
{
	struct relay_socket *s = NULL;
	unsigned	     listener, address, loop, i;

	child_listen_split(index, &listener, &address, &loop);
	for (i = 0; i < d->socket_count && s == NULL; i++)
		if (d->sockets[i].index == index)
			s = &d->sockets[i];
	if (s != NULL) {
		desk_unlisten(d->desk, s->fd);
		close(s->fd);
	} else {
		d->sockets = mem_realloc(d->sockets,
		    (d->socket_count + 1) * sizeof(*d->sockets));
		s = &d->sockets[d->socket_count++];
	}
	s->index = index;
	s->fd = fd;
	return desk_listen(d->desk, listener, fd, e);
}

void
relay_close_listeners(struct relay_desk *d)
{
	while (d->socket_count > 0)
		close(d->sockets[--d->socket_count].fd);
}

/* NULL: closed, and *e. */
static struct relay_desk *
relay_desk_of(struct relay *r, uint32_t index, int fd, struct err *e)
{
	unsigned listener, address, loop;

	child_listen_split(index, &listener, &address, &loop);
	if (loop < r->desk_count && listener < r->conf->listener_count)
		return &r->desks[loop];
	close(fd);
	err_set(e, "a listener that is not configured");
	return NULL;
}

int
relay_listen(struct relay *r, struct child_files *f, struct err *e)
{
	struct relay_desk *d;
	unsigned	   listener, address, loop;
	uint32_t	   index;
	int		   fd;

	while ((fd = child_files_take(f, CHILD_LISTEN, &index)) >= 0) {
		d = relay_desk_of(r, index, fd, e);
		if (d == NULL)
			return -1;
		child_listen_split(index, &listener, &address, &loop);
		if (relay_listen_one(d, index, fd, e) != 0)
			return err_wrap(e, "listener %s",
			    r->conf->listeners[listener].name);
	}
	return 0;
}

/* -- later ----------------------------------------------------------------- */

struct fresh_socket {
	uint32_t index;
	int	 fd;
};

static void
socket_on_desk(void *desk, void *fresh)
{
	struct relay_desk   *d = desk;
	struct fresh_socket *x = fresh;
	struct err	     e;

	if (d->relay->stopping)
		close(x->fd);
	else if (relay_listen_one(d, x->index, x->fd, &e) != 0)
		log_error("listen-failed", "reason=\"%s\"", e.text);
	mem_free(x);
}

static void
relay_replace_listener(struct relay *r, uint32_t index, int fd)
{
	struct fresh_socket *x;
	struct relay_desk   *d;
	struct err	     e;

	d = relay_desk_of(r, index, fd, &e);
	if (d == NULL) {
		log_error("listen-failed", "reason=\"%s\"", e.text);
		return;
	}
	x = mem_alloc(sizeof(*x));
	x->index = index;
	x->fd = fd;
	if (loop_post(d->loop, socket_on_desk, d, x))
		return;
	log_error("feed-full", "loop=%s", loop_name(d->loop));
	close(fd);
	mem_free(x);
}

void
relay_on_socket(struct relay *r, const struct child_message *m, int fd)
{
	struct err e;

	loop_must_own(r->main);
	if (r->stopping)
		close(fd);
	else if (m->kind == CHILD_LISTEN)
		relay_replace_listener(r, m->index, fd);
	else if (control_listen(r->control, fd, &e) != 0)
		log_error("listen-failed", "reason=\"%s\"", e.text);
}
