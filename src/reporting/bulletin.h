/* SPDX-License-Identifier: ISC */
/*
 * bulletin.h - system events: what concerns no single message, one JSON record
 * a line in events.dir/events.system_file (events.md 12).
 *
 * Use:    b = bulletin_new(&setup); bulletin_tell(b, &news); bulletin_stop().
 * Owner:  the reporter.
 * Thread: the loop's; a worker writes the file.
 * Fails:  best effort: what cannot be written is dropped, and logged once an
 *         hour with a count.  The same facts are lines of the log.
 * Bounds: BULLETIN_WAITING octets wait for the file.
 */
#ifndef REPORTING_BULLETIN_H
#define REPORTING_BULLETIN_H

#include "base/thread.h"
#include "registry/conf.h"

struct bulletin;

enum { BULLETIN_WAITING = 1024 * 1024, BULLETIN_DATA_MAX = 1024 };

struct bulletin_setup {
	struct loop    *loop;
	struct workers *workers;
	struct conf    *conf; /* a reference is taken */
};
/* What has changed; texts are the caller's, and copied. */
struct bulletin_news {
	const char *type;     /* "DKIM Status Change" */
	const char *account;  /* "" = the installation */
	const char *identity; /* NULL = it is about none */
	const char *data;
};
struct bulletin *bulletin_new(const struct bulletin_setup *s);
void bulletin_free(struct bulletin *b); /* NULL is allowed */
void bulletin_reload(struct bulletin *b, struct conf *conf);
void bulletin_tell(struct bulletin *b, const struct bulletin_news *n);
/* What waits is written first. */
void bulletin_stop(struct bulletin *b, loop_fn *on_idle, void *arg);

#endif
