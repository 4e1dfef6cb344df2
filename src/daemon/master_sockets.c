/* SPDX-License-Identifier: ISC */
/*
 * A Unix socket whose file is deleted listens on, and nobody can find it: it
 * is bound anew at the same path, now and then and at each reload, and relay
 * gets it in place of the old one.  A path at which something else lies is
 * left alone.
 */
#include "daemon/master_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum { SOCKETS_LOOK_MS = 10000 };

static void
socket_hand_down(struct master *m, enum child_kind kind, uint32_t index,
    int fd)
{
	struct child *relay = &m->children[CHILD_RELAY];
	int	      copy;

	if (relay->channel == NULL)
		return; /* the next one gets it as all others */
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy >= 0 &&
	    !child_send(relay->channel, kind, index, BYTES(""), copy))
		close(copy);
}

/* true: *fd is a new one. */
static bool
socket_remake(struct master *m, const char *path, int *fd)
{
	struct stat st;
	struct err  e;
	int	    fresh;

	if (path[0] == '\0' || lstat(path, &st) == 0 || errno != ENOENT)
		return false;
	fresh = master_bind_unix(m, path, &e);
	if (fresh < 0) {
		log_error("socket-gone", "path=%s reason=\"%s\"", path,
		    e.text);
		return false;
	}
	log_warn("socket-remade", "path=%s", path);
	close(*fd);
	*fd = fresh;
	return true;
}

void
master_look_sockets(struct master *m)
{
	struct bound *b;
	unsigned      i;

	for (i = 0; i < m->bound_count; i++) {
		b = &m->bound[i];
		if (socket_remake(m, b->path, &b->fd))
			socket_hand_down(m, CHILD_LISTEN, b->index, b->fd);
	}
	if (socket_remake(m, m->control_path, &m->control_fd))
		socket_hand_down(m, CHILD_CONTROL, 0, m->control_fd);
}

static void
sockets_on_time(void *master, void *unused)
{
	struct master *m = master;

	(void)unused;
	master_look_sockets(m);
	timer_set(&m->sockets, SOCKETS_LOOK_MS);
}

void
master_sockets_begin(struct master *m)
{
	timer_init(&m->sockets, m->loop, sockets_on_time, m);
	timer_set(&m->sockets, SOCKETS_LOOK_MS);
}
