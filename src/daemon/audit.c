/* SPDX-License-Identifier: ISC */
#include "daemon/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "config.h"
#include "mail/event.h"

enum {
	AUDIT_REGION_SIZE = 33,
	AUDIT_LINE_MAX = 256 * 1024,
	AUDIT_WINDOW = 64 * 1024
};

struct audit {
	int  fd;
	bool is_torn; /* a piece of a line could not be taken back */
	char region[AUDIT_REGION_SIZE];
	void (*fn)(void *arg, struct bytes line);
	void *arg;
};

struct audit *
audit_open(int fd, const char *region)
{
	struct audit *a = mem_alloc(sizeof(*a));

	a->fd = fd;
	snprintf(a->region, sizeof(a->region), "%s", region);
	return a;
}

/* From one file to another; n < 0 in case of trouble. */
static ssize_t
audit_copy(int from, off_t *at, int to)
{
	char	piece[8192];
	ssize_t n;

	while ((n = pread(from, piece, sizeof(piece), *at)) > 0) {
		*at += n;
		if (write(to, piece, (size_t)n) != n)
			return -1;
	}
	return n;
}

void
audit_reopen(struct audit *a, int fd, int64_t from)
{
	off_t at = from;

	if (a->fd >= 0 && from >= 0 && audit_copy(a->fd, &at, fd) < 0)
		log_error("audit-failed", "reason=\"%s\"", strerror(errno));
	if (a->fd >= 0)
		close(a->fd);
	a->fd = fd;
}

void
audit_close(struct audit *a)
{
	if (a == NULL)
		return;
	if (a->fd >= 0)
		close(a->fd);
	mem_free(a);
}

struct audit *
audit_reader(const struct audit *a)
{
	return audit_open(a->fd >= 0 ? dup(a->fd) : -1, a->region);
}

void
audit_listen(struct audit *a, void (*fn)(void *arg, struct bytes line),
    void *arg)
{
	a->fn = fn;
	a->arg = arg;
}

/* -- writing --------------------------------------------------------------- */

static void
audit_add_text(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, ",\"%s\":", name);
	if (!event_write_string(bytes_of(value), b))
		b->failed = true;
}

static void
audit_add_identity(struct buf *b, const struct audit_record *r)
{
	char text[64];

	buf_printf(b, ",\"userIdentity\":{\"type\":\"%s\"",
	    r->automatic ? "System" : "Operator");
	audit_add_text(b, "accountId", r->account);
	snprintf(text, sizeof(text), "arn:aws:iam::%s:root", r->account);
	audit_add_text(b, "arn", text);
	snprintf(text, sizeof(text), "uid:%u", (unsigned)r->uid);
	audit_add_text(b, "principalId", text);
	if (r->user_name == NULL)
		snprintf(text, sizeof(text), "%s",
		    r->uid == 0 ? "root" : "-");
	audit_add_text(b, "userName", r->user_name != NULL ? r->user_name
							   : text);
	buf_add_char(b, '}');
}

bool
audit_format(const char *region, const struct audit_record *r,
    struct buf *out)
{
	char time[CLOCK_TEXT_MAX], request[UUID_SIZE],
	    event[UUID_SIZE];

	mem_uuid(request);
	mem_uuid(event);
	buf_printf(out, "{\"eventVersion\":\"1.02\",\"eventTime\":\"%s\","
	    "\"eventSource\":\"ses.amazonaws.com\"",
	    wall_iso_seconds(r->at, time));
	audit_add_text(out, "eventName", r->event_name);
	audit_add_text(out, "eventType",
	    r->automatic ? "Automatic" : "PosthornctlCall");
	audit_add_text(out, "awsRegion", region);
	audit_add_text(out, "recipientAccountId", r->account);
	audit_add_text(out, "requestID", request);
	audit_add_text(out, "eventID", event);
	audit_add_text(out, "sourceIPAddress", "unix");
	audit_add_text(out, "userAgent", "posthornctl/" PACKAGE_VERSION);
	audit_add_identity(out, r);
	buf_add_text(out, ",\"requestParameters\":");
	if (r->parameters.n > 0)
		buf_add_bytes(out, r->parameters);
	else
		buf_add_text(out, "null");
	buf_add_text(out, ",\"responseElements\":null");
	if (r->error_code != NULL) {
		audit_add_text(out, "errorCode", r->error_code);
		audit_add_text(out, "errorMessage",
		    r->error_message != NULL ? r->error_message : "");
	}
	buf_add_char(out, '}');
	return !out->failed;
}

/*
 * The whole line or nothing: a disk that is full takes the first part of a
 * write.  Where that cannot be taken back it is ended as a line of its own.
 */
static int
audit_append(struct audit *a, struct bytes line)
{
	struct stat st;
	ssize_t	    n;
	int	    code;

	if (a->is_torn && write(a->fd, "\n", 1) != 1)
		return -1;
	a->is_torn = false;
	if (fstat(a->fd, &st) != 0)
		return -1;
	n = write(a->fd, line.p, line.n);
	if (n == (ssize_t)line.n)
		return 0;
	code = n < 0 ? errno : ENOSPC;
	if (n > 0 && ftruncate(a->fd, st.st_size) != 0)
		a->is_torn = true;
	errno = code;
	return -1;
}

void
audit_write(struct audit *a, const struct audit_record *r)
{
	struct buf b;

	buf_init(&b, AUDIT_LINE_MAX);
	if (!audit_format(a->region, r, &b) || !buf_add_char(&b, '\n')) {
		log_error("audit-failed", "event=%s reason=\"line too long\"",
		    r->event_name);
		buf_wipe(&b);
		return;
	}
	if (a->fd < 0)
		log_error("audit-failed", "event=%s reason=\"no file\"",
		    r->event_name);
	else if (audit_append(a, buf_bytes(&b)) != 0)
		log_error("audit-failed", "event=%s reason=\"write: %s\"",
		    r->event_name, strerror(errno));
	if (a->fn != NULL)
		a->fn(a->arg, bytes_head(buf_bytes(&b), b.n - 1));
	buf_wipe(&b);
}

/* -- reading --------------------------------------------------------------- */

bool
audit_member(struct bytes line, const char *name, struct bytes *value)
{
	char	     key[64];
	struct bytes k, rest = line;
	ptrdiff_t    at;
	size_t	     n;

	n = (size_t)snprintf(key, sizeof(key), "\"%s\":\"", name);
	k = (struct bytes){ key, n };
	while ((at = bytes_find(rest, 0, '"')) >= 0) {
		rest = bytes_from(rest, (size_t)at);
		if (bytes_starts(rest, k))
			break;
		rest = bytes_from(rest, 1);
	}
	if (at < 0)
		return false;
	rest = bytes_from(rest, n);
	for (n = 0; n < rest.n && rest.p[n] != '"'; n++)
		if (rest.p[n] == '\\')
			n++;
	if (n >= rest.n)
		return false;
	*value = bytes_head(rest, n);
	return true;
}

struct audit_window {
	int   fd;
	off_t at; /* of the window in the file */
	size_t n;
	char   p[AUDIT_WINDOW];
};

static int
audit_load(struct audit_window *w, off_t at, size_t n, struct err *e)
{
	ssize_t got = pread(w->fd, w->p, n, at);

	if (got < 0)
		return err_sys(e, "read the audit log");
	w->at = at;
	w->n = (size_t)got;
	return 0;
}

/* Where the newest max lines begin. */
static int
audit_find_start(struct audit_window *w, off_t size, size_t max, off_t *start,
    struct err *e)
{
	off_t  end = size;
	size_t lines = 0, i, n;

	while (end > 0) {
		n = end < AUDIT_WINDOW ? (size_t)end : AUDIT_WINDOW;
		if (audit_load(w, end - (off_t)n, n, e) != 0)
			return -1;
		for (i = w->n; i > 0; i--) {
			/* the line end of the last line is none before it */
			if (w->p[i - 1] != '\n' ||
			    w->at + (off_t)i == size)
				continue;
			if (++lines == max) {
				*start = w->at + (off_t)i;
				return 0;
			}
		}
		end -= (off_t)n;
	}
	*start = 0;
	return 0;
}

struct audit_show {
	const char *since; /* text: times in one form compare as text */
	bool (*fn)(void *arg, struct bytes line);
	void *arg;
};

static bool
audit_show_line(const struct audit_show *s, struct bytes line)
{
	struct bytes time;

	if (!audit_member(line, "eventTime", &time) ||
	    bytes_cmp(time, bytes_of(s->since)) < 0)
		return true;
	return s->fn(s->arg, line);
}

/* Whole lines of a buffer are shown and taken off; false = enough. */
static bool
audit_show_lines(const struct audit_show *s, struct buf *b)
{
	struct bytes rest = buf_bytes(b);
	ptrdiff_t    end;
	bool	     more = true;

	while (more && (end = bytes_find(rest, 0, '\n')) >= 0) {
		more = audit_show_line(s, bytes_head(rest, (size_t)end));
		rest = bytes_from(rest, (size_t)end + 1);
	}
	buf_drop(b, b->n - rest.n);
	return more;
}

int
audit_read(struct audit *a, struct wall since, size_t max,
    bool (*fn)(void *arg, struct bytes line), void *arg, struct err *e)
{
	char		     text[CLOCK_TEXT_MAX];
	struct audit_show    show = { wall_iso_seconds(since, text), fn, arg };
	struct audit_window *w;
	struct stat	     st;
	struct buf	     b;
	off_t		     at = 0;
	int		     rc = 0;

	if (a->fd < 0)
		return err_set(e, "there is no audit log");
	if (fstat(a->fd, &st) != 0)
		return err_sys(e, "audit log");
	if (max == 0)
		return 0;
	w = mem_alloc(sizeof(*w));
	w->fd = a->fd;
	buf_init(&b, AUDIT_LINE_MAX + AUDIT_WINDOW);
	rc = audit_find_start(w, st.st_size, max, &at, e);
	while (rc == 0 && at < st.st_size) {
		rc = audit_load(w, at, AUDIT_WINDOW, e);
		if (rc != 0 || w->n == 0)
			break;
		at += (off_t)w->n;
		/* a line that is longer than any of ours is passed over */
		if (!buf_add(&b, w->p, w->n))
			buf_clear(&b);
		else if (!audit_show_lines(&show, &b))
			break;
	}
	buf_wipe(&b);
	mem_free(w);
	return rc;
}

/* -- keeping --------------------------------------------------------------- */

struct audit_age {
	const char *before;
	off_t	    at;	  /* of the line shown next */
};

/* Lines stand in the order of their times; what cannot be read goes, too. */
static bool
audit_age_line(void *arg, struct bytes line)
{
	struct audit_age *g = arg;
	struct bytes	  time;

	if (audit_member(line, "eventTime", &time) &&
	    bytes_cmp(time, bytes_of(g->before)) >= 0)
		return false;
	g->at += (off_t)line.n + 1;
	return true;
}

static int
audit_age(int fd, struct audit_age *g, struct err *e)
{
	struct audit_window *w = mem_alloc(sizeof(*w));
	struct bytes	     line, rest;
	struct buf	     b;
	ptrdiff_t	     end;
	off_t		     at = 0;
	int		     rc = 0;
	bool		     more = true;

	w->fd = fd;
	buf_init(&b, AUDIT_LINE_MAX + AUDIT_WINDOW);
	while (more && (rc = audit_load(w, at, AUDIT_WINDOW, e)) == 0 &&
	    w->n > 0) {
		at += (off_t)w->n;
		if (!buf_add(&b, w->p, w->n)) {
			rc = err_set(e, "audit log: a line is too long");
			break;
		}
		rest = buf_bytes(&b);
		while (more && (end = bytes_find(rest, 0, '\n')) >= 0) {
			line = bytes_head(rest, (size_t)end);
			rest = bytes_from(rest, (size_t)end + 1);
			more = audit_age_line(g, line);
		}
		buf_drop(&b, b.n - rest.n);
	}
	buf_wipe(&b);
	mem_free(w);
	return rc;
}

/* What is behind at, in a file that takes the place of the old one. */
static int
audit_rewrite(int fd, const char *path, off_t *at, struct err *e)
{
	char	    fresh[1100];
	struct stat st;
	ssize_t	    n = 0;
	int	    out;

	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.new", path) >=
	    sizeof(fresh) || fstat(fd, &st) != 0)
		return err_set(e, "%s: cannot be rewritten", path);
	/* one that was left over, or put there for us, is not written to */
	(void)unlink(fresh);
	out = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (out < 0)
		return err_sys(e, "open %s", fresh);
	if (fchmod(out, st.st_mode & 07777) != 0 ||
	    fchown(out, st.st_uid, st.st_gid) != 0)
		n = -1;
	if (n == 0)
		n = audit_copy(fd, at, out);
	if (n < 0 || fsync(out) != 0 || rename(fresh, path) != 0) {
		err_sys(e, "rewrite %s", path);
		close(out);
		unlink(fresh);
		return -1;
	}
	close(out);
	return 0;
}

int
audit_trim(const char *path, struct wall before, int64_t *copied,
    struct err *e)
{
	char		 text[CLOCK_TEXT_MAX];
	struct audit_age g = { wall_iso_seconds(before, text), 0 };
	int		 fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int		 rc;

	*copied = -1;
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open %s", path);
	rc = audit_age(fd, &g, e);
	if (rc == 0 && g.at > 0) {
		rc = audit_rewrite(fd, path, &g.at, e);
		*copied = rc == 0 ? g.at : -1;
	}
	close(fd);
	return rc;
}
