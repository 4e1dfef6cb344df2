/* SPDX-License-Identifier: ISC */
/*
 * audit.h - who changed what: one JSON line for each changing command
 * (admin-cli.md 13).
 * Use:    a = audit_open(fd, region); audit_write(a, &record);
 *         audit_listen(a, fn, arg): fn gets each line that is written.
 * Owner:  relay; the descriptor is taken over (replaced at reload).
 * Thread: main; audit_read() of a reader made by audit_reader() on any one.
 * Fails:  a line that cannot be written is logged as an error; the command
 *         itself goes on.
 * Secrets, private keys and message content are shown as "***".
 */
#ifndef DAEMON_AUDIT_H
#define DAEMON_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

struct audit;

struct audit_record {
	struct wall at;
	const char *event_name; /* "CreateEmailIdentity" */
	const char *account;	/* 12 digits, or "" */
	uint32_t    uid;	/* of the caller; name may be NULL */
	const char *user_name;
	bool	    automatic; /* eventType Automatic */
	struct bytes parameters; /* JSON object text, secrets replaced */
	const char *error_code, *error_message; /* NULL = succeeded */
};
struct audit *audit_open(int fd, const char *region);
/* from: what was written to the old file from there on goes into the new one
 * first; -1 = nothing. */
void audit_reopen(struct audit *a, int fd, int64_t from);
void audit_close(struct audit *a); /* NULL is allowed */
void audit_write(struct audit *a, const struct audit_record *r);
void audit_listen(struct audit *a, void (*fn)(void *arg, struct bytes line),
    void *arg);
/* The line without its end; false = out has no more room. */
bool audit_format(const char *region, const struct audit_record *r,
    struct buf *out);
/* A second one on the same file, for audit_read() elsewhere. */
struct audit *audit_reader(const struct audit *a);
/* Lines of the file since a time, newest last, at most max (the newest); fn
 * false ends. */
int audit_read(struct audit *a, struct wall since, size_t max,
    bool (*fn)(void *arg, struct bytes line), void *arg, struct err *e);
/*
 * Lines from before a time go.  Without a file: 0.  When another file has
 * taken the place of the old one, *copied is the size of the old one, else -1:
 * who still writes to that one takes it to audit_reopen().
 */
int audit_trim(const char *path, struct wall before, int64_t *copied,
    struct err *e);
/* A member of a line that is a string: "eventName"; false = has none. */
bool audit_member(struct bytes line, const char *name, struct bytes *value);

#endif
