/* SPDX-License-Identifier: ISC */
/*
 * event_file.h - a file destination's file: DIR/ACCOUNT/NAME, one record a
 * line (events.md 10.2).
 *
 * Use:    f = event_file_open(dir, account, &how, now, &e);
 *         event_file_write(f, line, &e) for each; event_file_sync(f, &e);
 *         event_file_close(f).  It is opened for a few records and closed
 *         again, so that a file renamed by others is not written to for
 *         long.
 * Owner:  the caller; the name in how is borrowed until the close.
 * Thread: a worker; it blocks.  At most one has a given file open.
 * Fails:  -1 and *e: nothing of that record is in the file.
 *
 * A line is written by one write(); what a full disk or a crash left of one
 * is cut off before the next, here or at the next open.  A record is never
 * split between files: the file is renamed to NAME.YYYYMMDDThhmmssZ first,
 * when the record would make it longer than rotate_octets, or when its last
 * record is of an earlier hour or day (UTC).  Renamed files are compressed by
 * event_file_compress(), which takes its time.
 */
#ifndef REPORTING_EVENT_FILE_H
#define REPORTING_EVENT_FILE_H

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "registry/destination.h"

struct event_file;

struct event_file *event_file_open(const char *dir, const char *account,
    const struct destination_file *how, struct wall now, struct err *e);
/* line: with its end. */
int event_file_write(struct event_file *f, struct bytes line, struct err *e);
int event_file_sync(struct event_file *f, struct err *e);
/* Was it renamed since it was opened? */
bool event_file_has_rotated(const struct event_file *f);
void event_file_close(struct event_file *f); /* NULL is allowed */
/* Every renamed file that is not yet: NAME.STAMP.gz, whole or not at all. */
int event_file_compress(const char *dir, const char *account,
    const struct destination_file *how, struct err *e);

#endif
