/* SPDX-License-Identifier: ISC */
/*
 * A copy of both stores: its folders and files are made here, with the rights
 * of who asked for it; whoever has the stores open writes into the
 * descriptors.  So a backup may lie where the relay itself may not write.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/ctl/backup.h"

const char *const backup_names[BACKUP_PARTS] = { "state", "spool" };

static void
backup_path(const struct backup *b, unsigned part, char out[BACKUP_PATH_SIZE])
{
	snprintf(out, BACKUP_PATH_SIZE, "%s/%s/data.mdb", b->dir,
	    backup_names[part]);
}

static bool
backup_make_folder(struct ctl *c, const char *path)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return true;
	ctl_say_error(c, "InternalServiceErrorException", "make %s: %s", path,
	    strerror(errno));
	return false;
}

static bool
backup_open_part(struct ctl *c, struct backup *b, unsigned part)
{
	char path[BACKUP_PATH_SIZE];

	snprintf(path, sizeof(path), "%s/%s", b->dir, backup_names[part]);
	if (!backup_make_folder(c, path))
		return false;
	backup_path(b, part, path);
	/* a file that is there already is somebody's backup */
	b->fds[part] = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);
	if (b->fds[part] < 0)
		ctl_say_error(c, errno == EEXIST ? "AlreadyExistsException" :
			"InternalServiceErrorException", "%s: %s", path,
		    strerror(errno));
	return b->fds[part] >= 0;
}

bool
backup_open(struct ctl *c, struct backup *b, const char *dir)
{
	unsigned i;

	for (i = 0; i < BACKUP_PARTS; i++)
		b->fds[i] = -1;
	if (strlen(dir) >= sizeof(b->dir)) {
		ctl_say_misuse(c, "%s: too long", dir);
		return false;
	}
	strcpy(b->dir, dir);
	if (!backup_make_folder(c, dir))
		return false;
	for (i = 0; i < BACKUP_PARTS; i++)
		if (!backup_open_part(c, b, i)) {
			backup_undo(b);
			return false;
		}
	return true;
}

static int
backup_sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 ? -1 : fsync(fd);

	if (fd >= 0)
		close(fd);
	return rc;
}

bool
backup_finish(struct ctl *c, struct backup *b)
{
	char	 path[BACKUP_PATH_SIZE];
	unsigned i;
	int	 rc = 0;

	for (i = 0; rc == 0 && i < BACKUP_PARTS; i++) {
		snprintf(path, sizeof(path), "%s/%s", b->dir,
		    backup_names[i]);
		rc = fsync(b->fds[i]) == 0 ? backup_sync_folder(path) : -1;
	}
	if (rc == 0)
		rc = backup_sync_folder(b->dir);
	if (rc != 0) {
		ctl_say_error(c, "InternalServiceErrorException",
		    "sync %s: %s", b->dir, strerror(errno));
		backup_undo(b);
		return false;
	}
	for (i = 0; i < BACKUP_PARTS; i++)
		close(b->fds[i]);
	return true;
}

/* Only what was made by backup_open(). */
void
backup_undo(struct backup *b)
{
	char	 path[BACKUP_PATH_SIZE];
	unsigned i;

	for (i = 0; i < BACKUP_PARTS; i++) {
		if (b->fds[i] < 0)
			continue;
		close(b->fds[i]);
		b->fds[i] = -1;
		backup_path(b, i, path);
		unlink(path);
		snprintf(path, sizeof(path), "%s/%s", b->dir,
		    backup_names[i]);
		rmdir(path);
	}
	rmdir(b->dir);
}

/* The audit log names the folder as it is seen from everywhere. */
static void
backup_name_fully(struct ctl *c)
{
	const char *dir = ctl_arg(c, "dir");
	char	    here[PATH_MAX], path[2 * PATH_MAX];

	if (dir[0] == '/' || getcwd(here, sizeof(here)) == NULL)
		return;
	snprintf(path, sizeof(path), "%s/%s", here, dir);
	json_object_set_new(c->args, "dir", json_string_nocheck(path));
}

static int
backup_call(struct ctl *c)
{
	json_t *result = NULL;

	if (ctl_call(c, c->command->verb, NULL, &result) == CTL_DONE &&
	    result != NULL)
		ctl_show(c, result);
	json_decref(result);
	return c->status;
}

int
backup_run(struct ctl *c)
{
	struct backup b;
	unsigned      i;

	if (ctl_arg(c, "dir")[0] == '\0') {
		ctl_say_misuse(c, "the name of the folder is empty");
		return CTL_USAGE;
	}
	backup_name_fully(c);
	ctl_be_patient(c, -1); /* it takes as long as it takes */
	if (c->dry_run)
		return backup_call(c);
	if (!backup_open(c, &b, ctl_arg(c, "dir")))
		return CTL_REFUSED;
	for (i = 0; i < BACKUP_PARTS; i++)
		json_object_set_new(c->args, backup_names[i],
		    json_integer(ctl_add_fd(c, b.fds[i])));
	if (backup_call(c) != CTL_DONE)
		backup_undo(&b);
	else if (!backup_finish(c, &b))
		c->status = CTL_REFUSED;
	return c->status;
}
