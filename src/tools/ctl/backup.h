/* SPDX-License-Identifier: ISC */
/*
 * backup.h - the files of a copy of both stores.
 *
 * Use:    backup_open(), have the stores written into .fds, then
 *         backup_finish(), or backup_undo() if that failed.
 * Owner:  the descriptors are closed by finish and undo.
 * Thread: one.
 * Fails:  false, and said.  Nothing that was there is written over; what was
 *         made is taken away again.
 */
#ifndef TOOLS_BACKUP_H
#define TOOLS_BACKUP_H

#include "tools/ctl/ctl.h"

enum { BACKUP_PARTS = 2, BACKUP_DIR_SIZE = 1100, BACKUP_PATH_SIZE = 1200 };
extern const char *const backup_names[BACKUP_PARTS]; /* "state", "spool" */

struct backup {
	char dir[BACKUP_DIR_SIZE];
	int  fds[BACKUP_PARTS];
};
bool backup_open(struct ctl *c, struct backup *b, const char *dir);
/* On the disk, folders too. */
bool backup_finish(struct ctl *c, struct backup *b);
void backup_undo(struct backup *b);
int backup_run(struct ctl *c); /* the command "store backup" */

#endif
