/* SPDX-License-Identifier: ISC */
#include "daemon/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"

enum { CHILD_CHANNEL = 3, SETUP_WAIT_MS = 30000, FILE_PIECE = 4096 };

void
child_files_init(struct child_files *f)
{
	memset(f, 0, sizeof(*f));
	f->log_fd = f->audit_fd = -1;
}

static void
child_files_drop(struct child_files *f)
{
	size_t i;

	for (i = 0; i < f->file_count; i++) {
		close(f->file[i].fd);
		mem_free(f->file[i].path);
	}
	for (i = 0; i < f->option_count; i++)
		mem_free(f->option[i]);
	f->file_count = f->option_count = 0;
}

void
child_files_wipe(struct child_files *f)
{
	size_t i;

	child_files_drop(f);
	conf_unref(f->begun);
	for (i = 0; i < f->fd_count; i++)
		if (f->fd[i].fd >= 0)
			close(f->fd[i].fd);
	if (f->log_fd >= 0)
		close(f->log_fd);
	if (f->audit_fd >= 0)
		close(f->audit_fd);
	child_files_init(f);
}

static bool
child_files_add_fd(struct child_files *f, const struct child_message *m,
    int fd)
{
	if (fd < 0 || f->fd_count == CHILD_FDS_MAX)
		return false;
	f->fd[f->fd_count].kind = m->kind;
	f->fd[f->fd_count].index = m->index;
	f->fd[f->fd_count++].fd = fd;
	return true;
}

static bool
child_files_replace(int *place, int fd)
{
	if (fd < 0)
		return false;
	if (*place >= 0)
		close(*place);
	*place = fd;
	return true;
}

bool
child_files_add(struct child_files *f, const struct child_message *m, int fd)
{
	switch (m->kind) {
	case CHILD_OPTION:
		if (fd >= 0 || f->option_count == CHILD_OPTIONS_MAX)
			return false;
		f->option[f->option_count++] = mem_dup_bytes(m->text);
		return true;
	case CHILD_FILE:
		if (fd < 0 || f->file_count == CHILD_FILES_MAX)
			return false;
		f->file[f->file_count].path = mem_dup_bytes(m->text);
		f->paths[f->file_count] = f->file[f->file_count].path;
		f->file[f->file_count++].fd = fd;
		return true;
	case CHILD_LOG:
		return child_files_replace(&f->log_fd, fd);
	case CHILD_AUDIT:
		return child_files_replace(&f->audit_fd, fd);
	case CHILD_LISTEN:
	case CHILD_CONTROL:
	case CHILD_METRICS:
	case CHILD_LOCK:
	case CHILD_PEER_KEYS:
	case CHILD_PEER_VERIFIER:
		return child_files_add_fd(f, m, fd);
	default:
		return false;
	}
}

const char *
child_files_option(const struct child_files *f, const char *name)
{
	size_t i, n = strlen(name);

	for (i = 0; i < f->option_count; i++)
		if (strncmp(f->option[i], name, n) == 0 &&
		    f->option[i][n] == '=')
			return f->option[i] + n + 1;
	return NULL;
}

int
child_files_open(const struct child_files *f, const char *path)
{
	size_t i;
	int    fd;

	for (i = 0; i < f->file_count; i++)
		if (strcmp(f->file[i].path, path) == 0) {
			fd = fcntl(f->file[i].fd, F_DUPFD_CLOEXEC, 0);
			if (fd >= 0)
				(void)lseek(fd, 0, SEEK_SET);
			return fd;
		}
	errno = ENOENT;
	return -1;
}

bool
child_files_read(const struct child_files *f, const char *path, size_t max,
    struct buf *out, struct err *e)
{
	int	fd = child_files_open(f, path);
	ssize_t n;
	char   *room;

	if (fd < 0) {
		err_sys(e, "open %s", path);
		return false;
	}
	buf_init(out, max + FILE_PIECE);
	do {
		room = buf_room(out, FILE_PIECE);
		n = room == NULL ? -1 : read(fd, room, FILE_PIECE);
		if (n > 0)
			buf_commit(out, (size_t)n);
	} while (n > 0 && out->n <= max);
	if (n < 0)
		err_sys(e, "read %s", path);
	else if (out->n > max)
		err_set(e, "%s is too large", path);
	close(fd);
	if (n == 0 && out->n <= max)
		return true;
	mem_wipe(out->p, out->n);
	buf_wipe(out);
	return false;
}

static int
child_opener_open(void *arg, const char *path)
{
	return child_files_open(arg, path);
}

static bool
child_opener_find_id(void *arg, bool is_group, const char *name, uint32_t *id)
{
	char	    key[100];
	const char *v;

	snprintf(key, sizeof(key), "%s.%s", is_group ? "gid" : "uid", name);
	v = child_files_option(arg, key);
	if (v == NULL)
		return false;
	*id = (uint32_t)strtoul(v, NULL, 10);
	return true;
}

void
child_files_opener(struct child_files *f, struct conf_opener *out)
{
	memset(out, 0, sizeof(*out));
	out->open = child_opener_open;
	out->find_id = child_opener_find_id;
	out->arg = f;
	out->paths = f->paths;
	out->path_count = f->file_count;
}

int
child_files_take(struct child_files *f, enum child_kind kind, uint32_t *index)
{
	size_t i;
	int    fd;

	for (i = 0; i < f->fd_count; i++)
		if (f->fd[i].kind == kind && f->fd[i].fd >= 0) {
			fd = f->fd[i].fd;
			f->fd[i].fd = -1;
			if (index != NULL)
				*index = f->fd[i].index;
			return fd;
		}
	return -1;
}

struct conf *
child_files_conf(struct child_files *f, struct buf *text)
{
	struct conf_opener opener;
	struct conf_errors errors;
	struct conf	  *c;
	const char	  *path = child_files_option(f, "conf");
	size_t		   i;

	child_files_opener(f, &opener);
	conf_errors_init(&errors);
	c = conf_load(path != NULL && path[0] != '\0' ? path : NULL, &opener,
	    &errors);
	for (i = 0; i < errors.n; i++)
		if (!errors.v[i].is_warning)
			buf_printf(text, "%s\n", errors.v[i].text);
	conf_errors_wipe(&errors);
	if (c != NULL && f->begun != NULL)
		conf_keep(c, f->begun);
	return c;
}

struct conf *
child_read_conf(struct child_files *f, struct err *e)
{
	struct buf   text;
	struct conf *c;

	buf_init(&text, ERR_TEXT_MAX);
	c = child_files_conf(f, &text);
	if (c == NULL)
		err_set(e, "%.*s", (int)text.n, text.p);
	buf_wipe(&text);
	return c;
}

/* BEGUN: only the configuration of what came so far is kept. */
static bool
child_files_begin(struct child_files *f)
{
	struct buf text;

	buf_init(&text, 32768);
	f->begun = child_files_conf(f, &text);
	if (f->begun == NULL)
		log_error("start-failed", "reason=\"%.*s\"", (int)text.n,
		    text.p);
	buf_wipe(&text);
	child_files_drop(f);
	return f->begun != NULL;
}

int
child_open_log(const struct child_files *f, const struct conf *c,
    struct err *e)
{
	struct log_setup s = { c->log.target, c->log.facility, c->log.level,
		c->log.format };
	int		 fd;

	if (f->log_fd < 0)
		return log_open(&s, e);
	fd = dup(f->log_fd);
	if (fd < 0)
		return err_sys(e, "dup");
	log_open_fd(fd, c->log.level, c->log.format);
	return 0;
}

int
child_drop(const struct child_files *f, struct err *e)
{
	struct process_user u;
	const char	   *text = child_files_option(f, "user");
	unsigned	    uid, gid;

	if (text == NULL)
		return 0;
	memset(&u, 0, sizeof(u));
	if (sscanf(text, "%u:%u", &uid, &gid) != 2 || uid == 0)
		return err_set(e, "no user to change to");
	u.uid = uid;
	u.gid = gid;
	if (process_drop(&u, e) != 0)
		return -1;
	/* a change of user forgets it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return process_harden(e);
}

int
child_enclose(const struct conf *c, const struct sandbox *s, struct err *e)
{
	struct sandbox_got got;
	const char	  *lacks;

	if (process_harden(e) != 0 ||
	    sandbox_enter(s, c->server.sandbox, &got, e) != 0)
		return -1;
	lacks = sandbox_lacks(&got, c->server.sandbox);
	if (lacks != NULL)
		log_warn("no-sandbox", "reason=\"%s\"", lacks);
	return 0;
}

/* One message of the channel, without a loop: the set-up comes first. */
static ssize_t
child_receive(char *raw, size_t size, int wait_ms, int *fd)
{
	union {
		struct cmsghdr align;
		char	       space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec	iov = { raw, size };
	struct msghdr	h = { .msg_iov = &iov, .msg_iovlen = 1,
		  .msg_control = control.space,
		  .msg_controllen = sizeof(control.space) };
	struct pollfd	p = { CHILD_CHANNEL, POLLIN, 0 };
	struct cmsghdr *c;
	ssize_t		n;

	*fd = -1;
	if (poll(&p, 1, wait_ms) != 1)
		return -1;
	n = recvmsg(CHILD_CHANNEL, &h, MSG_CMSG_CLOEXEC);
	c = n > 0 ? CMSG_FIRSTHDR(&h) : NULL;
	if (c != NULL && c->cmsg_level == SOL_SOCKET &&
	    c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(c), sizeof(int));
	return n;
}

static bool
child_receive_all(struct child_files *f)
{
	char		    *raw = mem_alloc(CHANNEL_MESSAGE_MAX);
	struct child_message m;
	ssize_t		     n;
	int		     fd;
	bool		     whole = false;

	for (;;) {
		n = child_receive(raw, CHANNEL_MESSAGE_MAX, SETUP_WAIT_MS,
		    &fd);
		if (n <= 0 ||
		    !child_read((struct bytes){ raw, (size_t)n }, &m))
			break;
		if (m.kind == CHILD_GO) {
			whole = true;
			break;
		}
		if (m.kind == CHILD_BEGUN && fd < 0 ? !child_files_begin(f) :
			!child_files_add(f, &m, fd))
			break;
		fd = -1; /* taken */
	}
	if (fd >= 0)
		close(fd);
	mem_free(raw);
	return whole;
}

void
child_news_add(struct child_files **news, const struct child_message *m,
    int fd)
{
	if (*news == NULL) {
		*news = mem_alloc(sizeof(**news));
		child_files_init(*news);
	}
	if (!child_files_add(*news, m, fd) && fd >= 0)
		close(fd);
}

void
child_news_end(struct child_files **news)
{
	if (*news == NULL)
		return;
	child_files_wipe(*news);
	mem_free(*news);
	*news = NULL;
}

int
child_run(const char *name)
{
	static const struct {
		const char *name;
		int (*main)(struct child_files *f, int channel_fd);
	} mains[] = { { "relay", relay_main }, { "keys", keys_main },
		{ "verifier", verifier_main } };
	struct child_files *f;
	size_t		    i;
	int		    status = 1;

	f = mem_alloc(sizeof(*f));
	child_files_init(f);
	log_process(name);
	/* "pkill -USR1" of a rotation of files means no child */
	signal(SIGUSR1, SIG_IGN);
	fcntl(CHILD_CHANNEL, F_SETFD, FD_CLOEXEC);
	if (!child_receive_all(f)) {
		fprintf(stderr, "posthornd: --child is for posthornd itself\n");
		mem_free(f);
		return 1;
	}
	for (i = 0; i < sizeof(mains) / sizeof(mains[0]); i++)
		if (strcmp(mains[i].name, name) == 0)
			status = mains[i].main(f, CHILD_CHANNEL);
	child_files_wipe(f);
	mem_free(f);
	return status;
}
