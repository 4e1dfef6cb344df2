/* SPDX-License-Identifier: ISC */
/*
 * log.h - one line per event.
 * Use:    log_line(LOG_INFO_, "accepted", "sid=%s rcpts=%u", sid, n);
 *         text of peers goes through log_quote(): quoted, escaped, cut.
 * Form:   text: 2026-03-02T10:15:30.123Z info relay accepted sid=... ;
 *         json: one object a line.  Keys are documented in posthorn-log(5).
 * Thread: any; one write(2) a line, never blocks the caller for long
 *         (a full pipe drops the line and counts it).
 * Never:  secrets, AUTH lines, message content.
 * base, net and mail do not log on their own account.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

enum log_level { LOG_DEBUG_, LOG_INFO_, LOG_WARN_, LOG_ERROR_ };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_setup {
	const char     *target;	  /* "syslog", "stderr", or a path */
	const char     *facility; /* "mail", for syslog */
	enum log_level	level;
	enum log_format format;
};

/* Before threads start, and again at reload (thread-safe). */
int log_open(const struct log_setup *s, struct err *e);
/* For a process that may not open the file itself: fd is taken over. */
void log_open_fd(int fd, enum log_level level, enum log_format format);
int log_fd(void); /* the descriptor in use, -1 with syslog */
void log_process(const char *name); /* "relay", shown in each line */
void log_close(void);
bool log_wants(enum log_level level);
/* event: one word, stable; fmt: key=value pairs with one blank between */
void log_line(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#define log_debug(...) \
	(log_wants(LOG_DEBUG_) ? log_line(LOG_DEBUG_, __VA_ARGS__) : (void)0)
#define log_info(...) log_line(LOG_INFO_, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN_, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR_, __VA_ARGS__)

/*
 * Peer text as "..." with \" \\ \xNN, cut to LOG_QUOTE_MAX with ... behind
 * the quotes; returns out.
 */
enum { LOG_QUOTE_MAX = 300, LOG_QUOTE_SIZE = LOG_QUOTE_MAX + 8 };
const char *log_quote(struct bytes text, char out[LOG_QUOTE_SIZE]);

/* Lines that could not be written, since the start. */
uint64_t log_dropped_count(void);

/*
 * For tests: each line, without its end, goes to fn and nowhere else; fn does
 * not call log_*.  NULL switches off.
 */
void log_capture(void (*fn)(void *arg, const char *line), void *arg);

#endif
