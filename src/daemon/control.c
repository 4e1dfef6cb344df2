/* SPDX-License-Identifier: ISC */
#include "daemon/control.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/control_private.h"
#include "daemon/control_sweep.h"

enum {
	READ_PIECE = 16384,
	READ_WAIT_MS = 30000,  /* for a whole request */
	WRITE_WAIT_MS = 60000, /* without any progress */
	DENIED_LINE_MS = 60000,
	REST_MS = 100, /* without descriptors */
	ACCEPT_TURN = 16
};

static void caller_on_ready(void *caller, int fd, int what);

/* -- life of a caller ------------------------------------------------------ */

static void
caller_free(void *caller)
{
	struct caller *c = caller;

	mem_wipe(c->in.p, c->in.n);
	buf_wipe(&c->in);
	mem_wipe(c->out.p, c->out.n);
	buf_wipe(&c->out);
	mem_free(c);
}

static void
caller_close(struct caller *c)
{
	struct control *k = c->control;
	unsigned	i;

	if (c->closed)
		return;
	c->closed = true;
	timer_clear(&c->deadline);
	watch_close(c->watch);
	close(c->fd);
	for (i = 0; i < c->fd_count; i++)
		close(c->fds[i]);
	if (c->request != NULL)
		request_forget_caller(c->request);
	c->request = NULL;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		k->callers = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	k->caller_count--;
	loop_reap(k->relay->main, caller_free, c);
}

static void
caller_on_deadline(void *caller, void *unused)
{
	(void)unused;
	caller_close(caller);
}

/* -- sending --------------------------------------------------------------- */

static void
caller_watch(struct caller *c)
{
	watch_change(c->watch,
	    (c->answered ? 0 : WATCH_READ) | (c->out.n > 0 ? WATCH_WRITE : 0));
}

static void
caller_flush(struct caller *c)
{
	ssize_t n = 0;

	while (c->out.n > 0) {
		n = send(c->fd, c->out.p,
		    c->out.n > CONTROL_ROOM ? CONTROL_ROOM : c->out.n,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n <= 0)
			break;
		mem_wipe(c->out.p, (size_t)n);
		buf_drop(&c->out, (size_t)n);
		timer_set(&c->deadline, WRITE_WAIT_MS);
	}
	if (c->out.n > 0 && errno != EAGAIN && errno != EWOULDBLOCK &&
	    errno != EINTR) {
		caller_close(c);
		return;
	}
	if (c->out.n == 0 && c->answered) {
		caller_close(c);
		return;
	}
	if (c->out.n == 0)
		timer_clear(&c->deadline);
	caller_watch(c);
	if (!c->full || c->out.n > CONTROL_ROOM / 2)
		return;
	c->full = false;
	if (c->request != NULL && c->request->on_room != NULL)
		c->request->on_room(c->request);
}

void
caller_send(struct caller *c, struct bytes text)
{
	if (c->closed)
		return;
	if (c->out.n == 0)
		timer_set(&c->deadline, WRITE_WAIT_MS);
	if (!buf_add_bytes(&c->out, text)) {
		caller_close(c);
		return;
	}
	if (c->out.n > CONTROL_ROOM)
		c->full = true;
	caller_watch(c);
}

void
caller_finish(struct caller *c)
{
	c->request = NULL;
	c->answered = true;
	if (!c->closed)
		caller_flush(c);
}

/* -- reading --------------------------------------------------------------- */

/* Descriptors of a message; those beyond the limit are closed. */
static void
caller_take_fds(struct caller *c, struct msghdr *h)
{
	struct cmsghdr *m;
	size_t		i, n;
	int		fd;

	for (m = CMSG_FIRSTHDR(h); m != NULL; m = CMSG_NXTHDR(h, m)) {
		if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
			continue;
		n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(m) + i * sizeof(int),
			    sizeof(int));
			if (c->fd_count < CONTROL_FDS_MAX &&
			    c->request == NULL && !c->answered)
				c->fds[c->fd_count++] = fd;
			else
				close(fd);
		}
	}
}

static ssize_t
caller_receive(struct caller *c, char *piece, size_t size)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * CONTROL_FDS_MAX)];
	} control;
	struct iovec  iov = { piece, size };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	ssize_t	      n = recvmsg(c->fd, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n > 0)
		caller_take_fds(c, &h);
	return n;
}

/* Said by the socket itself, before there is a request. */
static struct bytes
control_error_line(char *out, size_t size, const char *code,
    const char *text)
{
	int n = snprintf(out, size, "{\"error\":{\"Code\":\"%s\","
	    "\"Message\":\"%s\"},\"status\":1}\n", code, text);

	return (struct bytes){ out, (size_t)n };
}

static void
caller_refuse_length(struct caller *c)
{
	char answer[256];

	mem_wipe(c->in.p, c->in.n);
	buf_clear(&c->in);
	caller_send(c, control_error_line(answer, sizeof(answer),
	    "BadRequestException", "a request is at most 1 MB long"));
	caller_finish(c);
}

static void
caller_read(struct caller *c)
{
	char	  piece[READ_PIECE];
	ssize_t	  n = caller_receive(c, piece, sizeof(piece));
	ptrdiff_t end;
	size_t	  from = c->in.n;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* while a request runs there is nothing more to say */
	if (n <= 0 || c->request != NULL) {
		mem_wipe(piece, sizeof(piece));
		caller_close(c);
		return;
	}
	if (!buf_add(&c->in, piece, (size_t)n)) {
		mem_wipe(piece, (size_t)n);
		caller_refuse_length(c);
		return;
	}
	mem_wipe(piece, (size_t)n);
	end = bytes_find(buf_bytes(&c->in), from, '\n');
	if (end < 0)
		return;
	timer_clear(&c->deadline);
	request_begin(c, bytes_head(buf_bytes(&c->in), (size_t)end));
}

static void
caller_on_ready(void *caller, int fd, int what)
{
	struct caller *c = caller;

	(void)fd;
	if (!c->closed && (what & WATCH_WRITE) != 0)
		caller_flush(c);
	if (!c->closed && (what & WATCH_READ) != 0)
		caller_read(c);
}

/* -- accepting ------------------------------------------------------------- */

static bool
caller_look(int fd, struct control_peer *p)
{
	struct ucred  u;
	socklen_t     n = sizeof(u);
	static const size_t room = CONTROL_GROUPS_MAX * sizeof(uint32_t);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &n) != 0)
		return false;
	p->uid = u.uid;
	p->gids = mem_alloc(room + sizeof(uint32_t));
	p->gids[0] = u.gid;
	n = (socklen_t)room;
	p->gid_count = 1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, p->gids + 1, &n) == 0)
		p->gid_count += n / sizeof(uint32_t);
	return true;
}

/* Whoever has no right takes no place. */
static void
control_send_away(int fd, const char *code, const char *text)
{
	char	     answer[256];
	struct bytes line = control_error_line(answer, sizeof(answer), code,
		text);

	(void)!send(fd, line.p, line.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

/* Anybody can knock, as often as he likes: the log is not his to fill. */
static void
control_log_denied(struct control *k, uint32_t uid)
{
	int64_t now = loop_now(k->relay->main).ms;

	k->denied++;
	if (now < k->denied_next.ms)
		return;
	log_warn("control-denied", "uid=%u count=%u", (unsigned)uid,
	    k->denied);
	k->denied = 0;
	k->denied_next.ms = now + DENIED_LINE_MS;
}

static void
control_admit(struct control *k, int fd, const struct control_peer *p)
{
	struct control_right right;
	struct caller	    *c;

	control_right_of(k->relay->conf, p, (uint32_t)geteuid(), &right);
	if (right.role == CONTROL_NOBODY) {
		control_log_denied(k, p->uid);
		control_send_away(fd, "AccessDeniedException",
		    "permission denied");
		return;
	}
	if (k->caller_count >= CONTROL_CALLERS_MAX) {
		control_send_away(fd, "TooManyRequestsException",
		    "too many callers of the control socket");
		return;
	}
	c = mem_alloc(sizeof(*c));
	c->control = k;
	c->fd = fd;
	c->uid = p->uid;
	c->right = right;
	if (right.name != NULL)
		bytes_text(bytes_of(right.name), c->name, sizeof(c->name));
	c->right.name = NULL;
	buf_init(&c->in, CONTROL_REQUEST_MAX);
	buf_init(&c->out, CONTROL_ANSWER_MAX);
	timer_init(&c->deadline, k->relay->main, caller_on_deadline, c);
	c->watch = watch_open(k->relay->main, fd, WATCH_READ, caller_on_ready,
	    c);
	if (c->watch == NULL) {
		close(fd);
		mem_free(c);
		return;
	}
	timer_set(&c->deadline, READ_WAIT_MS);
	c->next = k->callers;
	if (c->next != NULL)
		c->next->prev = c;
	k->callers = c;
	k->caller_count++;
}

static void
control_on_rest(void *control, void *unused)
{
	struct control *k = control;

	(void)unused;
	watch_change(k->listener, WATCH_READ);
}

/* The socket would wake main for nothing, again and again. */
static void
control_look_accept(struct control *k, int code)
{
	if (code != EMFILE && code != ENFILE && code != ENOBUFS &&
	    code != ENOMEM)
		return;
	watch_change(k->listener, 0);
	timer_set(&k->rest, REST_MS);
}

static void
control_on_accept(void *control, int fd, int what)
{
	struct control	   *k = control;
	struct control_peer p;
	unsigned	    turn;
	int		    conn;

	(void)what;
	for (turn = 0; turn < ACCEPT_TURN; turn++) {
		conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (conn < 0) {
			control_look_accept(k, errno);
			return;
		}
		if (!caller_look(conn, &p)) {
			close(conn);
			continue;
		}
		control_admit(k, conn, &p);
		mem_free(p.gids);
	}
}

/* What a crash has left: holds of what was resumed, imports half done. */
static void
control_on_begin(void *control, void *unused)
{
	(void)unused;
	control_release_account(control, NULL);
	control_release_set(control, NULL);
	control_resume_imports(control);
}

int
control_listen(struct control *k, int listen_fd, struct err *e)
{
	int flags = fcntl(listen_fd, F_GETFL);

	timer_clear(&k->rest);
	watch_close(k->listener);
	k->listener = NULL;
	if (k->listen_fd >= 0)
		close(k->listen_fd);
	k->listen_fd = listen_fd;
	if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return err_sys(e, "control socket");
	k->listener = watch_open(k->relay->main, listen_fd, WATCH_READ,
	    control_on_accept, k);
	return k->listener == NULL ?
	    err_set(e, "control socket: cannot be watched") : 0;
}

struct control *
control_new(struct relay *r, int listen_fd, struct err *e)
{
	struct control *k = mem_alloc(sizeof(*k));

	k->relay = r;
	k->listen_fd = -1;
	timer_init(&k->begin, r->main, control_on_begin, k);
	timer_init(&k->rest, r->main, control_on_rest, k);
	if (control_listen(k, listen_fd, e) != 0) {
		control_free(k);
		return NULL;
	}
	audit_listen(r->audit, control_on_audit, k);
	timer_set(&k->begin, 0);
	return k;
}

void
control_free(struct control *k)
{
	if (k == NULL)
		return;
	watch_close(k->listener);
	close(k->listen_fd);
	while (k->callers != NULL)
		caller_close(k->callers);
	while (k->requests != NULL)
		request_free(k->requests);
	while (k->sweeps != NULL)
		sweep_free(k->sweeps);
	control_free_imports(k);
	timer_clear(&k->begin);
	timer_clear(&k->rest);
	mem_free(k);
}
