/* SPDX-License-Identifier: ISC */
/* One request on the control socket, and its answers. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/ctl/ctl.h"

enum { ANSWER_MAX = 512 * 1024 * 1024, PIPE_MAX = 64 * 1024 * 1024 };

/* -- what travels along ---------------------------------------------------- */

bool
ctl_copy_fd(int from, int to)
{
	char	piece[65536];
	ssize_t n, k, done;

	while ((n = read(from, piece, sizeof(piece))) > 0)
		for (done = 0; done < n; done += k) {
			k = write(to, piece + done, (size_t)(n - done));
			if (k <= 0)
				return false;
		}
	return n == 0;
}

bool
ctl_read_fd(int fd, struct buf *out)
{
	char   *room;
	ssize_t n = 0;

	while ((room = buf_room(out, 65536)) != NULL &&
	    (n = read(fd, room, 65536)) > 0)
		buf_commit(out, (size_t)n);
	if (room == NULL)
		errno = EFBIG;
	return room != NULL && n == 0;
}

/* A file of memory that holds the text; -1 and errno. */
static int
memory_of(const char *name, struct bytes text)
{
	int	fd = memfd_create(name, MFD_CLOEXEC);
	ssize_t n;

	while (fd >= 0 && text.n > 0) {
		n = write(fd, text.p, text.n);
		if (n <= 0) {
			close(fd);
			return -1;
		}
		text = bytes_from(text, (size_t)n);
	}
	if (fd >= 0)
		lseek(fd, 0, SEEK_SET);
	return fd;
}

bool
ctl_add_text(struct ctl *c, const char *argument, struct bytes text)
{
	int fd = memory_of(argument, text);
	int index = fd < 0 ? -1 : ctl_add_fd(c, fd);

	if (index < 0)
		ctl_say_error(c, "InternalServiceErrorException", "%s: %s",
		    argument, strerror(errno));
	else
		json_object_set_new(c->args, argument, json_integer(index));
	return index >= 0;
}

static int
file_open(struct ctl *c, const char *path)
{
	int fd = strcmp(path, "-") == 0 ? dup(0)
					: open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		ctl_say_misuse(c, "%s: %s", path, strerror(errno));
	return fd;
}

bool
ctl_read_input(struct ctl *c, const char *path, struct buf *out)
{
	int  fd = file_open(c, path);
	bool done = fd >= 0 && ctl_read_fd(fd, out);

	if (fd < 0)
		return false;
	if (!done)
		ctl_say_misuse(c, "%s: %s", path, strerror(errno));
	close(fd);
	return done;
}

int
ctl_open_file(struct ctl *c, const char *path)
{
	int	    fd = file_open(c, path), memory = -1;
	struct stat st;
	struct buf  text;

	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
		return fd;
	buf_init(&text, PIPE_MAX);
	if (ctl_read_fd(fd, &text))
		memory = memory_of("input", buf_bytes(&text));
	if (memory < 0)
		ctl_say_misuse(c, "%s: %s", path, strerror(errno));
	mem_wipe(text.p, text.n); /* it may be a private key */
	buf_wipe(&text);
	close(fd);
	return memory;
}

int
ctl_add_memory(struct ctl *c, const char *argument, int *fd)
{
	int index;

	*fd = memfd_create(argument, MFD_CLOEXEC);
	index = *fd < 0 ? -1 : ctl_add_fd(c, *fd);
	if (index < 0)
		ctl_say_error(c, "InternalServiceErrorException", "%s: %s",
		    argument, strerror(errno));
	else
		json_object_set_new(c->args, argument, json_integer(index));
	return index;
}

/* -- the connection -------------------------------------------------------- */

static int
call_connect(struct ctl *c)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int		   fd;

	if (strlen(c->socket_path) >= sizeof(to.sun_path)) {
		errno = ENAMETOOLONG;
		fd = -1;
	} else {
		strcpy(to.sun_path, c->socket_path);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 &&
		    connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
			close(fd);
			fd = -1;
		}
	}
	if (fd < 0)
		ctl_say_error(c, "ServiceUnavailableException",
		    "cannot connect to %s: %s%s", c->socket_path,
		    strerror(errno), errno == ENOENT || errno == ECONNREFUSED
			? "; is posthornd running?" : "");
	return fd;
}

/* The first octets carry the descriptors. */
static bool
call_send(struct ctl *c, int fd, const char *text, size_t n)
{
	union {
		struct cmsghdr align;
		char	       space[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
	} control;
	struct iovec	iov = { (char *)(uintptr_t)text, n };
	struct msghdr	h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *m;
	ssize_t		k;

	if (c->fd_count > 0) {
		memset(&control, 0, sizeof(control));
		h.msg_control = control.space;
		h.msg_controllen = CMSG_SPACE(c->fd_count * sizeof(int));
		m = CMSG_FIRSTHDR(&h);
		m->cmsg_level = SOL_SOCKET;
		m->cmsg_type = SCM_RIGHTS;
		m->cmsg_len = CMSG_LEN(c->fd_count * sizeof(int));
		memcpy(CMSG_DATA(m), c->fds, c->fd_count * sizeof(int));
	}
	k = sendmsg(fd, &h, MSG_NOSIGNAL);
	while (k >= 0 && (size_t)k < n) {
		text += k;
		n -= (size_t)k;
		k = send(fd, text, n, MSG_NOSIGNAL);
	}
	return k >= 0;
}

/* NULL: something in it is not UTF-8.  An account that is not must not get
 * lost: the command would mean another one. */
static char *
call_request(struct ctl *c, const char *verb)
{
	json_t *r = json_object();
	char   *text;

	json_object_set_new(r, "verb", json_string(verb));
	json_object_set_new(r, "account",
	    c->account != NULL ? json_string_nocheck(c->account)
			       : json_null());
	json_object_set(r, "args", c->args);
	json_object_set_new(r, "dry_run", json_boolean(c->dry_run));
	text = json_dumps(r, JSON_COMPACT);
	json_decref(r);
	return text;
}

static int
call_error(struct ctl *c, json_t *answer, json_t *error)
{
	json_t *status = json_object_get(answer, "status");

	ctl_say_error(c, json_string_value(json_object_get(error, "Code")),
	    "%s", json_string_value(json_object_get(error, "Message")));
	return json_is_integer(status) ? (int)json_integer_value(status)
				       : CTL_REFUSED;
}

/* Of a dry run: what would be done, in place of values that do not hold. */
static json_t *
call_result(struct ctl *c, json_t *answer)
{
	json_t *would = json_object_get(answer, "would"), *item;
	size_t	i;

	if (json_array_size(would) == 0)
		return json_incref(json_object_get(answer, "result"));
	if (c->form == CTL_JSON)
		return json_pack("{s:O}", "Would", would);
	ctl_clean(would);
	json_array_foreach(would, i, item)
		printf("would %s\n", json_string_value(item));
	return NULL;
}

/* true = this was the last one */
static bool
call_take(struct ctl *c, json_t *answer, ctl_line_fn *on_line,
    json_t **result)
{
	json_t *v, *item;
	size_t	i;

	if (c->http_json)
		ctl_times_to_numbers(answer);
	v = json_object_get(answer, "line");
	if (v != NULL) {
		if (on_line != NULL)
			on_line(c, v);
		return false;
	}
	ctl_clean(json_object_get(answer, "warnings"));
	json_array_foreach(json_object_get(answer, "warnings"), i, item)
		if (c->verbosity >= 0)
			fprintf(stderr, "warning: %s\n",
			    json_string_value(item));
	json_array_foreach(json_object_get(answer, "errors"), i, item)
		ctl_say_error(c,
		    json_string_value(json_object_get(item, "Code")), "%s",
		    json_is_string(item) ? json_string_value(item)
			: json_string_value(json_object_get(item, "Message")));
	v = json_object_get(answer, "error");
	if (v != NULL) {
		c->status = call_error(c, answer, v);
		return true;
	}
	*result = call_result(c, answer);
	v = json_object_get(answer, "status");
	c->status = json_is_integer(v) ? (int)json_integer_value(v) : CTL_DONE;
	return true;
}

/* Whole lines of what has come; true = the last answer was among them. */
static bool
call_lines(struct ctl *c, struct buf *in, ctl_line_fn *on_line,
    json_t **result)
{
	struct bytes line;
	json_t	    *answer;
	char	    *eol;
	size_t	     used = 0;
	bool	     last = false;

	while (!last && used < in->n &&
	    (eol = memchr(in->p + used, '\n', in->n - used)) != NULL) {
		line.p = in->p + used;
		line.n = (size_t)(eol - line.p);
		used += line.n + 1;
		if (ctl_list_take(c, line))
			continue;
		answer = json_loadb(line.p, line.n,
		    JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL);
		if (answer != NULL)
			last = call_take(c, answer, on_line, result);
		json_decref(answer);
	}
	buf_drop(in, used);
	return last;
}

static void
call_receive(struct ctl *c, int fd, ctl_line_fn *on_line, json_t **result)
{
	struct pollfd p = { fd, POLLIN, 0 };
	struct buf    in;
	char	     *room;
	ssize_t	      n;
	bool	      last = false, follows = ctl_arg_true(c, "follow");
	int	      ready = 1;

	buf_init(&in, ANSWER_MAX);
	while (!last) {
		ready = poll(&p, 1, follows ? -1 : (int)c->timeout_ms);
		room = ready == 1 ? buf_room(&in, 65536) : NULL;
		n = room == NULL ? -1 : recv(fd, room, 65536, 0);
		if (n <= 0)
			break;
		buf_commit(&in, (size_t)n);
		last = call_lines(c, &in, on_line, result);
	}
	if (!last) {
		ctl_say_error(c, "ServiceUnavailableException", "%s",
		    ready == 0 ? "posthornd did not answer in time"
			       : "posthornd closed the connection");
		c->status = CTL_UNREACHABLE;
	}
	mem_wipe(in.p, in.cap);
	buf_wipe(&in);
}

void
ctl_be_patient(struct ctl *c, int64_t ms)
{
	if (!c->has_timeout)
		c->timeout_ms = ms;
}

int
ctl_call(struct ctl *c, const char *verb, ctl_line_fn *on_line,
    json_t **result)
{
	char *text = call_request(c, verb);
	int   fd;
	bool  sent, heard;

	*result = NULL;
	if (text == NULL) {
		ctl_say_misuse(c, "arguments and files have to be UTF-8");
		return c->status = CTL_USAGE;
	}
	fd = call_connect(c);
	sent = fd >= 0 && call_send(c, fd, text, strlen(text)) &&
	    send(fd, "\n", 1, MSG_NOSIGNAL) == 1;
	/* whoever has no right is told so before the request is read */
	heard = sent || errno == EPIPE || errno == ECONNRESET;
	mem_wipe(text, strlen(text));
	free(text);
	if (fd < 0)
		return c->status = CTL_UNREACHABLE;
	if (heard) {
		call_receive(c, fd, on_line, result);
	} else {
		ctl_say_error(c, "ServiceUnavailableException",
		    "the request could not be sent");
		c->status = CTL_UNREACHABLE;
	}
	close(fd);
	return c->status;
}
