/* SPDX-License-Identifier: ISC */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

/* A line is at most PIPE_BUF octets: a pipe takes all of it or nothing. */
enum { LOG_LINE_MAX = 4096, LOG_TEXT_MAX = 3072, LOG_NAME_MAX = 32 };

enum log_sink { LOG_SINK_FILE, LOG_SINK_SOCKET, LOG_SINK_SYSLOG };

/* The one global besides the meters; all but level is under the lock. */
static struct {
	pthread_mutex_t lock;
	enum log_sink	sink;
	int		fd;
	enum log_format format;
	char		process[LOG_NAME_MAX];
	uint64_t	dropped, dropped_told;
	void (*capture)(void *arg, const char *line);
	void	  *capture_arg;
	atomic_int level;
} the_log = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.sink = LOG_SINK_FILE,
	.fd = STDERR_FILENO,
	.format = LOG_TEXT,
	.process = "posthorn",
	.level = LOG_INFO_,
};

static const struct {
	const char *text;
	int	    priority;
} levels[] = {
	[LOG_DEBUG_] = { "debug", LOG_DEBUG },
	[LOG_INFO_] = { "info", LOG_INFO },
	[LOG_WARN_] = { "warn", LOG_WARNING },
	[LOG_ERROR_] = { "error", LOG_ERR },
};

/* -- where lines go ------------------------------------------------------- */

static bool
log_find_facility(const char *name, int *out)
{
	static const struct {
		const char *name;
		int	    value;
	} known[] = { { "mail", LOG_MAIL }, { "daemon", LOG_DAEMON },
		{ "user", LOG_USER }, { "auth", LOG_AUTH },
		{ "authpriv", LOG_AUTHPRIV }, { "syslog", LOG_SYSLOG },
		{ "news", LOG_NEWS }, { "uucp", LOG_UUCP },
		{ "cron", LOG_CRON }, { "ftp", LOG_FTP }, { "lpr", LOG_LPR },
		{ "local0", LOG_LOCAL0 }, { "local1", LOG_LOCAL1 },
		{ "local2", LOG_LOCAL2 }, { "local3", LOG_LOCAL3 },
		{ "local4", LOG_LOCAL4 }, { "local5", LOG_LOCAL5 },
		{ "local6", LOG_LOCAL6 }, { "local7", LOG_LOCAL7 } };
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].name, name) == 0) {
			*out = known[i].value;
			return true;
		}
	}
	return false;
}

/* With the lock held. */
static void
log_leave_sink(void)
{
	if (the_log.sink == LOG_SINK_SYSLOG)
		closelog();
	else if (the_log.fd != STDERR_FILENO)
		close(the_log.fd);
	the_log.sink = LOG_SINK_FILE;
	the_log.fd = STDERR_FILENO;
}

/*
 * With the lock held.  A reader that has stopped must not stop us: a pipe is
 * made non-blocking, a socket is asked with each line.
 */
static void
log_enter_fd(int fd)
{
	struct stat st;
	int	    flags;

	if (fd != the_log.fd || the_log.sink == LOG_SINK_SYSLOG)
		log_leave_sink();
	the_log.sink = LOG_SINK_FILE;
	the_log.fd = fd;
	if (fstat(fd, &st) < 0)
		return;
	if (S_ISSOCK(st.st_mode))
		the_log.sink = LOG_SINK_SOCKET;
	flags = fcntl(fd, F_GETFL);
	if (S_ISFIFO(st.st_mode) && flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int
log_open(const struct log_setup *s, struct err *e)
{
	bool is_syslog = strcmp(s->target, "syslog") == 0;
	int  facility = LOG_MAIL, fd = STDERR_FILENO;

	if (is_syslog && s->facility != NULL &&
	    !log_find_facility(s->facility, &facility))
		return err_set(e, "no such log facility: %s", s->facility);
	if (!is_syslog && strcmp(s->target, "stderr") != 0) {
		fd = open(s->target, O_WRONLY | O_APPEND | O_CREAT |
		    O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
		if (fd < 0)
			return err_sys(e, "open %s", s->target);
	}
	pthread_mutex_lock(&the_log.lock);
	if (is_syslog) {
		log_leave_sink();
		openlog("posthorn", LOG_NDELAY | LOG_PID, facility);
		the_log.sink = LOG_SINK_SYSLOG;
	} else {
		log_enter_fd(fd);
	}
	the_log.format = s->format;
	atomic_store(&the_log.level, (int)s->level);
	pthread_mutex_unlock(&the_log.lock);
	return 0;
}

void
log_open_fd(int fd, enum log_level level, enum log_format format)
{
	pthread_mutex_lock(&the_log.lock);
	log_enter_fd(fd);
	the_log.format = format;
	atomic_store(&the_log.level, (int)level);
	pthread_mutex_unlock(&the_log.lock);
}

int
log_fd(void)
{
	int fd;

	pthread_mutex_lock(&the_log.lock);
	fd = the_log.sink == LOG_SINK_SYSLOG ? -1 : the_log.fd;
	pthread_mutex_unlock(&the_log.lock);
	return fd;
}

void
log_process(const char *name)
{
	pthread_mutex_lock(&the_log.lock);
	bytes_text(bytes_of(name), the_log.process, sizeof(the_log.process));
	pthread_mutex_unlock(&the_log.lock);
}

void
log_close(void)
{
	pthread_mutex_lock(&the_log.lock);
	log_leave_sink();
	pthread_mutex_unlock(&the_log.lock);
}

uint64_t
log_dropped_count(void)
{
	uint64_t n;

	pthread_mutex_lock(&the_log.lock);
	n = the_log.dropped;
	pthread_mutex_unlock(&the_log.lock);
	return n;
}

void
log_capture(void (*fn)(void *arg, const char *line), void *arg)
{
	pthread_mutex_lock(&the_log.lock);
	the_log.capture = fn;
	the_log.capture_arg = arg;
	pthread_mutex_unlock(&the_log.lock);
}

/* -- making a line -------------------------------------------------------- */

/* Controls, C1 too, and what is not UTF-8 become '?'; n stays the same. */
static void
log_clean(char *text, size_t n)
{
	unsigned char *s = (unsigned char *)text;
	size_t	       i, len;
	bool	       is_control;

	for (i = 0; i < n; i += len) {
		len = utf8_length((struct bytes){ text, n }, i);
		is_control = (len == 1 && (s[i] < 0x20 || s[i] == 0x7f)) ||
		    (len == 2 && s[i] == 0xc2 && s[i + 1] < 0xa0);
		if (len > 0 && !is_control)
			continue;
		if (len == 0)
			len = 1;
		memset(s + i, '?', len);
	}
}

/* The member's text, cut so that end octets stay free behind it. */
static void
log_add_json(struct bytes text, char *line, size_t *n, size_t end)
{
	size_t i, len, quoting;

	for (i = 0; i < text.n; i += len) {
		len = utf8_length(text, i);
		quoting = text.p[i] == '"' || text.p[i] == '\\';
		if (len == 0 || *n + quoting + len + end > LOG_LINE_MAX)
			return;
		if (quoting)
			line[(*n)++] = '\\';
		memcpy(line + *n, text.p + i, len);
		*n += len;
	}
}

static void
log_add(const char *text, char *line, size_t *n)
{
	size_t len = strlen(text);

	memcpy(line + *n, text, len);
	*n += len;
}

/* With the lock held.  event and text are clean; returns the length. */
static size_t
log_compose(enum log_level level, struct bytes event, struct bytes text,
    char line[LOG_LINE_MAX])
{
	char   at[CLOCK_TEXT_MAX];
	size_t n = 0;

	event = bytes_head(event, LOG_NAME_MAX);
	wall_iso(clock_wall(), at);
	if (the_log.format == LOG_JSON) {
		n = (size_t)snprintf(line, LOG_LINE_MAX,
		    "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"", at,
		    levels[level].text);
		log_add_json(bytes_of(the_log.process), line, &n, 0);
		log_add("\",\"event\":\"", line, &n);
		log_add_json(event, line, &n, 0);
		log_add("\",\"text\":\"", line, &n);
		log_add_json(text, line, &n, sizeof("\"}\n"));
		log_add("\"}", line, &n);
	} else {
		if (the_log.sink != LOG_SINK_SYSLOG || the_log.capture != NULL)
			n = (size_t)snprintf(line, LOG_LINE_MAX, "%s ", at);
		n += (size_t)snprintf(line + n, LOG_LINE_MAX - n,
		    "%s %s %.*s%s%.*s", levels[level].text, the_log.process,
		    (int)event.n, event.p, text.n > 0 ? " " : "",
		    (int)text.n, text.p);
	}
	line[n] = '\0';
	return n;
}

/* With the lock held; line has room for one octet more. */
static bool
log_put(enum log_level level, char *line, size_t n)
{
	ssize_t done;

	if (the_log.sink == LOG_SINK_SYSLOG) {
		syslog(levels[level].priority, "%s", line);
		return true;
	}
	line[n] = '\n';
	do {
		if (the_log.sink == LOG_SINK_SOCKET)
			done = send(the_log.fd, line, n + 1,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			done = write(the_log.fd, line, n + 1);
	} while (done < 0 && errno == EINTR);
	return done == (ssize_t)(n + 1);
}

/* Once there is room again, the reader is told what is missing. */
static bool
log_tell_dropped(void)
{
	char   line[LOG_LINE_MAX], text[64];
	size_t n;

	if (the_log.dropped == the_log.dropped_told)
		return true;
	snprintf(text, sizeof(text), "count=%llu",
	    (unsigned long long)(the_log.dropped - the_log.dropped_told));
	n = log_compose(LOG_WARN_, BYTES("log-dropped"), bytes_of(text), line);
	if (!log_put(LOG_WARN_, line, n))
		return false;
	the_log.dropped_told = the_log.dropped;
	return true;
}

bool
log_wants(enum log_level level)
{
	return (int)level >=
	    atomic_load_explicit(&the_log.level, memory_order_relaxed);
}

void
log_line(enum log_level level, const char *event, const char *fmt, ...)
{
	char	     text[LOG_TEXT_MAX], line[LOG_LINE_MAX];
	struct bytes t = { text, 0 };
	va_list	     ap;
	int	     n, saved = errno;

	if (!log_wants(level))
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		t.n = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
	log_clean(text, t.n);
	pthread_mutex_lock(&the_log.lock);
	n = (int)log_compose(level, bytes_of(event), t, line);
	if (the_log.capture != NULL)
		the_log.capture(the_log.capture_arg, line);
	else if (!log_tell_dropped() || !log_put(level, line, (size_t)n))
		the_log.dropped++;
	pthread_mutex_unlock(&the_log.lock);
	errno = saved;
}

/* -- small things --------------------------------------------------------- */

const char *
log_quote(struct bytes text, char out[LOG_QUOTE_SIZE])
{
	char   form[5];
	size_t i, n = 1, len;

	out[0] = '"';
	for (i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c == '"' || c == '\\')
			len = (size_t)snprintf(form, sizeof(form), "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			len = (size_t)snprintf(form, sizeof(form), "\\x%02x",
			    c);
		else
			len = (size_t)snprintf(form, sizeof(form), "%c", c);
		if (n - 1 + len > LOG_QUOTE_MAX)
			break;
		memcpy(out + n, form, len);
		n += len;
	}
	snprintf(out + n, LOG_QUOTE_SIZE - n, i < text.n ? "\"..." : "\"");
	return out;
}
