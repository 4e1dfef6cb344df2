/* SPDX-License-Identifier: ISC */
#include "daemon/master_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/audit.h"
#include "net/stream.h"

/* How long a start waits for what a killed one holds. */
enum { WAIT_MS = 3000, WAIT_TURN_MS = 20 };

static const char *const child_names[CHILDREN] = { "keys", "verifier",
	"relay" };

const char *
child_name_to_text(enum child_name n)
{
	return child_names[n];
}

int
master_find_users(struct master *m, struct err *e)
{
	const struct conf *c = m->now.conf;

	m->root = geteuid() == 0;
	if (!m->root)
		return 0;
	if (process_user_find(c->server.keys_user, NULL, &m->users[CHILD_KEYS],
		e) != 0 ||
	    process_user_find(c->server.verifier_user, NULL,
		&m->users[CHILD_VERIFIER], e) != 0 ||
	    process_user_find(c->server.user, c->server.group,
		&m->users[CHILD_RELAY], e) != 0)
		return err_wrap(e, "started as root");
	if (m->users[CHILD_RELAY].uid == 0)
		log_warn("running-as-root", "server.user=%s", c->server.user);
	return 0;
}

/* Makes a folder and those above it; the last one belongs to the relay. */
static int
master_make_dir(struct master *m, const char *path, mode_t mode, struct err *e)
{
	char   part[1024];
	size_t i, n = strlen(path);

	if (n >= sizeof(part))
		return err_set(e, "%s: path too long", path);
	memcpy(part, path, n + 1);
	for (i = 1; i <= n; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, i == n ? mode : 0755) == 0) {
			if (i == n && m->root &&
			    lchown(part, m->users[CHILD_RELAY].uid,
				m->users[CHILD_RELAY].gid) != 0)
				return err_sys(e, "chown %s", part);
		} else if (errno != EEXIST)
			return err_sys(e, "mkdir %s", part);
		part[i] = path[i];
	}
	return 0;
}

/* The folder above a socket or a file. */
int
master_make_parent(struct master *m, const char *path, struct err *e)
{
	char  part[1024];
	char *slash;

	if (strlen(path) >= sizeof(part))
		return err_set(e, "%s: path too long", path);
	strcpy(part, path);
	slash = strrchr(part, '/');
	if (slash == NULL || slash == part)
		return 0;
	*slash = '\0';
	return master_make_dir(m, part, 0755, e);
}

/* -- what a killed daemon holds for a moment ------------------------------- */

/* Before the loop runs there is nobody to keep waiting.  false = enough. */
static bool
master_wait_a_little(unsigned *turns)
{
	static const struct timespec turn = { 0, WAIT_TURN_MS * 1000000L };

	if (++*turns > WAIT_MS / WAIT_TURN_MS)
		return false;
	nanosleep(&turn, NULL);
	return true;
}

/* The pid in the lock file; 0 = none: its master has ended in order. */
static long
master_lock_pid(int fd)
{
	char	text[24];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return strtol(text, NULL, 10);
}

static void
master_write_pid(int fd, long pid)
{
	char text[24] = "";
	int  n = pid != 0 ? snprintf(text, sizeof(text), "%ld\n", pid) : 0;

	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
		log_warn("lock-unwritable", "reason=\"%s\"", strerror(errno));
}

/*
 * A master that lives is a clear answer.  Of one that was killed the relay
 * may still be ending: it holds the lock, too, for as long as it may touch
 * the store.
 */
static int
master_take_lock(struct master *m, const char *path, struct err *e)
{
	unsigned turns = 0;
	long	 pid;

	while (flock(m->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			return err_sys(e, "lock %s", path);
		pid = master_lock_pid(m->lock_fd);
		if (pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM))
			return err_set(e, "posthornd is running (pid %ld, %s "
			    "is locked)", pid, path);
		if (!master_wait_a_little(&turns))
			return err_set(e, "posthornd is running (%s is locked"
			    "%s)", path, pid > 0 ? "; its master has ended, "
			    "its relay has not" : "");
	}
	m->was_killed = master_lock_pid(m->lock_fd) != 0;
	master_write_pid(m->lock_fd, (long)getpid());
	return 0;
}

void
master_unlock_store(struct master *m)
{
	if (m->lock_fd < 0)
		return;
	if (m->has_lock)
		master_write_pid(m->lock_fd, 0);
	close(m->lock_fd);
}

int
master_lock_store(struct master *m, struct err *e)
{
	const char   *dir = m->now.conf->store.dir;
	char	      path[1100];
	struct statfs fs;

	if (master_make_dir(m, dir, 0700, e) != 0)
		return -1;
	if (statfs(dir, &fs) != 0)
		return err_sys(e, "statfs %s", dir);
	if (!m->options->allow_volatile &&
	    (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC))
		return err_set(e, "store.dir %s lies in memory (tmpfs): mail "
		    "would not survive a power cut; give --allow-volatile to "
		    "accept that", dir);
	snprintf(path, sizeof(path), "%s/lock", dir);
	m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (m->lock_fd < 0)
		return err_sys(e, "open %s", path);
	if (master_take_lock(m, path, e) != 0)
		return -1;
	m->has_lock = true;
	return 0;
}

static int
master_bind_one(struct master *m, const struct conf_addr *a, bool shared,
    bool probe, struct sockaddr_storage *real, struct err *e)
{
	unsigned turns = 0;
	mode_t	 mask;
	int	 fd;

	if (a->family == AF_UNIX &&
	    master_make_parent(m, a->u.un.sun_path, e) != 0)
		return -1;
	/* anybody may connect: who that is decides.  Not by chmod(2): the
	 * name may lie in a folder where others can put something else. */
	mask = umask(0111);
	do {
		memset(real, 0, sizeof(*real));
		memcpy(real, &a->u, a->length);
		fd = stream_bind(real, a->length, shared, probe, e);
	} while (fd < 0 && e->code == EADDRINUSE && m->was_killed &&
	    master_wait_a_little(&turns));
	umask(mask);
	return fd;
}

/* One socket a loop; with port 0 the first one chooses for the others. */
static int
master_bind_address(struct master *m, unsigned listener, unsigned address,
    const struct conf_addr *a, struct err *e)
{
	struct sockaddr_storage real;
	struct conf_addr	again = *a;
	unsigned loops = a->family == AF_UNIX ? 1 : m->now.conf->server.threads;
	unsigned loop;
	char	 text[STREAM_ADDR_MAX + 48];
	int	 fd;

	for (loop = 0; loop < loops; loop++) {
		if (m->bound_count == BOUND_MAX)
			return err_set(e, "too many listening sockets");
		fd = master_bind_one(m, &again, a->family != AF_UNIX,
		    loop == 0, &real, e);
		if (fd < 0)
			return err_wrap(e, "listener %s",
			    m->now.conf->listeners[listener].name);
		memcpy(&again.u, &real, a->length);
		m->bound[m->bound_count].index =
		    child_listen_index(listener, address, loop);
		if (a->family == AF_UNIX)
			snprintf(m->bound[m->bound_count].path,
			    sizeof(m->bound[0].path), "%s", a->u.un.sun_path);
		m->bound[m->bound_count++].fd = fd;
	}
	log_info("listening", "listener=%s address=%s",
	    m->now.conf->listeners[listener].name,
	    sockaddr_text((struct sockaddr *)&real, true, text));
	return 0;
}

int
master_bind_unix(struct master *m, const char *path, struct err *e)
{
	struct conf_addr	a = { .family = AF_UNIX,
			   .length = sizeof(struct sockaddr_un) };
	struct sockaddr_storage real;

	if (strlen(path) >= sizeof(a.u.un.sun_path))
		return err_set(e, "%s: path too long", path);
	a.u.un.sun_family = AF_UNIX;
	strcpy(a.u.un.sun_path, path);
	return master_bind_one(m, &a, false, true, &real, e);
}

static int
master_bind_control(struct master *m, struct err *e)
{
	struct sockaddr_storage real;
	const char *path = m->now.conf->server.control_socket;
	char	    text[STREAM_ADDR_MAX + 48];

	m->control_fd = master_bind_unix(m, path, e);
	if (m->control_fd < 0)
		return err_wrap(e, "control socket");
	strcpy(m->control_path, path);
	if (m->now.conf->metrics.listen.family == AF_UNSPEC)
		return 0;
	m->metrics_fd = master_bind_one(m, &m->now.conf->metrics.listen, false,
	    true, &real, e);
	if (m->metrics_fd < 0)
		return err_wrap(e, "metrics.listen");
	log_info("listening", "listener=metrics address=%s",
	    sockaddr_text((struct sockaddr *)&real, true, text));
	return 0;
}

int
master_bind(struct master *m, struct err *e)
{
	const struct conf_listener *l;
	unsigned		    i, j;

	for (i = 0; i < m->now.conf->listener_count; i++) {
		l = &m->now.conf->listeners[i];
		if (!l->enabled)
			continue;
		for (j = 0; j < l->addresses.n; j++)
			if (master_bind_address(m, i, j, &l->addresses.v[j],
				e) != 0)
				return -1;
	}
	return master_bind_control(m, e);
}

/* Nobody waits in them any more. */
void
master_close_listeners(struct master *m)
{
	unsigned i;

	for (i = 0; i < m->bound_count; i++) {
		close(m->bound[i].fd);
		if (m->bound[i].path[0] != '\0')
			unlink(m->bound[i].path);
	}
	m->bound_count = 0;
}

void
master_unbind(struct master *m)
{
	master_close_listeners(m);
	if (m->control_fd >= 0)
		close(m->control_fd);
	if (m->control_path[0] != '\0')
		unlink(m->control_path);
	if (m->metrics_fd >= 0)
		close(m->metrics_fd);
	m->control_fd = m->metrics_fd = -1;
}

int
master_open_log(struct master *m, struct err *e)
{
	const struct conf *c = m->now.conf;
	struct log_setup   s = { c->log.target, c->log.facility, c->log.level,
		c->log.format };
	int fd;

	log_process("master");
	if (c->log.target[0] != '/')
		return log_open(&s, e);
	fd = master_open_append(c->log.target, O_WRONLY);
	if (fd < 0)
		return err_sys(e, "open %s", c->log.target);
	log_open_fd(fd, c->log.level, c->log.format);
	return 0;
}

void
master_send_sockets(struct master *m, struct child *c)
{
	unsigned i;
	int	 fd;

	for (i = 0; i < m->bound_count; i++) {
		fd = fcntl(m->bound[i].fd, F_DUPFD_CLOEXEC, 0);
		if (fd >= 0 && !child_send(c->channel, CHILD_LISTEN,
			m->bound[i].index, BYTES(""), fd))
			close(fd);
	}
	fd = fcntl(m->control_fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 &&
	    !child_send(c->channel, CHILD_CONTROL, 0, BYTES(""), fd))
		close(fd);
	fd = fcntl(m->lock_fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && !child_send(c->channel, CHILD_LOCK, 0, BYTES(""), fd))
		close(fd);
	if (m->metrics_fd < 0)
		return;
	fd = fcntl(m->metrics_fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 &&
	    !child_send(c->channel, CHILD_METRICS, 0, BYTES(""), fd))
		close(fd);
}
