/* SPDX-License-Identifier: ISC */
#include "reporting/event_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "registry/rotated_name.h"

enum {
	FILE_MODE = 0640,
	DIR_MODE = 0750,
	/* in which the end of the last whole line is looked for */
	TAIL_OCTETS = 512 * 1024,
	PIECE_OCTETS = 64 * 1024,
	HOUR_MS = 3600000,
	DAY_MS = 24 * HOUR_MS
};

struct event_file {
	const struct destination_file *how;
	struct wall now;
	int	    dir, fd;
	uint64_t    size;
	bool	    is_old; /* its last record is of an earlier period */
	bool	    has_rotated;
};

/* -- opening -------------------------------------------------------------- */

static int
directory_open(const char *dir, const char *account, struct err *e)
{
	int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;

	if (top < 0)
		return err_sys(e, "open %s", dir);
	if (mkdirat(top, account, DIR_MODE) < 0 && errno != EEXIST) {
		(void)err_sys(e, "mkdir %s/%s", dir, account);
		close(top);
		return -1;
	}
	fd = openat(top, account,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		(void)err_sys(e, "open %s/%s", dir, account);
	close(top);
	return fd;
}

/* What a crash left of a line goes. */
static int
file_mend(struct event_file *f, struct err *e)
{
	size_t	n = f->size < TAIL_OCTETS ? (size_t)f->size : TAIL_OCTETS;
	off_t	from = (off_t)(f->size - n);
	char   *tail, last;
	ssize_t got;
	int	rc = 0;

	if (n == 0)
		return 0;
	if (pread(f->fd, &last, 1, (off_t)f->size - 1) != 1)
		return err_sys(e, "read %s", f->how->name);
	if (last == '\n')
		return 0;
	tail = mem_alloc(n);
	got = pread(f->fd, tail, n, from);
	if (got != (ssize_t)n)
		rc = err_sys(e, "read %s", f->how->name);
	while (rc == 0 && n > 0 && tail[n - 1] != '\n')
		n--;
	mem_free(tail);
	if (rc == 0 && n == 0 && from > 0)
		return err_set(e, "%s: is no file of lines", f->how->name);
	if (rc == 0 && ftruncate(f->fd, from + (off_t)n) < 0)
		rc = err_sys(e, "truncate %s", f->how->name);
	if (rc == 0)
		f->size = (uint64_t)from + n;
	return rc;
}

static bool
is_earlier_period(const struct event_file *f, int64_t then_s)
{
	int64_t period = f->how->rotate == ROTATE_HOURLY ? HOUR_MS : DAY_MS;

	return f->how->rotate != ROTATE_NONE &&
	    then_s * 1000 / period < f->now.ms / period;
}

static int
file_open(struct event_file *f, struct err *e)
{
	struct stat st;

	f->fd = openat(f->dir, f->how->name, O_RDWR | O_CREAT | O_APPEND |
	    O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, FILE_MODE);
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		return err_sys(e, "open %s", f->how->name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, "%s: is not a file", f->how->name);
	f->size = (uint64_t)st.st_size;
	f->is_old = f->size > 0 && is_earlier_period(f, st.st_mtim.tv_sec);
	/* a new name has to be there after a crash, too */
	if (f->size == 0 && f->how->sync != SYNC_NONE && fsync(f->dir) < 0)
		return err_sys(e, "sync the folder of %s", f->how->name);
	return file_mend(f, e);
}

struct event_file *
event_file_open(const char *dir, const char *account,
    const struct destination_file *how, struct wall now, struct err *e)
{
	struct event_file *f = mem_alloc(sizeof(*f));

	f->how = how;
	f->now = now;
	f->fd = -1;
	f->dir = directory_open(dir, account, e);
	if (f->dir >= 0 && file_open(f, e) == 0)
		return f;
	event_file_close(f);
	return NULL;
}

void
event_file_close(struct event_file *f)
{
	if (f == NULL)
		return;
	if (f->fd >= 0)
		close(f->fd);
	if (f->dir >= 0)
		close(f->dir);
	mem_free(f);
}

/* -- rotated files -------------------------------------------------------- */

static int
rotated_cmp(const void *a, const void *b)
{
	return rotated_name_cmp(a, b);
}

/* Those of this file; NULL and 0 when the folder cannot be read. */
static struct rotated_name *
rotated_list(const struct event_file *f, size_t *n)
{
	struct rotated_name *v = NULL, one;
	struct bytes	     of = bytes_of(f->how->name);
	struct dirent	    *entry;
	size_t		     room = 0;
	int fd = openat(f->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR		    *d = fd < 0 ? NULL : fdopendir(fd);

	*n = 0;
	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	while ((entry = readdir(d)) != NULL) {
		if (!rotated_name_read(bytes_of(entry->d_name), &one) ||
		    !bytes_eq(one.of, of))
			continue;
		one.of = of; /* the entry's own goes */
		if (*n == room) {
			room = room == 0 ? 64 : 2 * room;
			v = mem_realloc(v, room * sizeof(*v));
		}
		v[(*n)++] = one;
	}
	closedir(d);
	return v;
}

/* The oldest beyond how->keep go; what cannot be removed stays. */
static void
rotated_prune(const struct event_file *f)
{
	char		     name[ROTATED_NAME_SIZE];
	size_t		     n, i;
	struct rotated_name *v = rotated_list(f, &n);

	if (n > f->how->keep) {
		qsort(v, n, sizeof(*v), rotated_cmp);
		for (i = 0; i < n - f->how->keep; i++) {
			rotated_name_write(&v[i], name);
			(void)unlinkat(f->dir, name, 0);
		}
	}
	mem_free(v);
}

/* Behind all others of this second, those that are gone already as well.
 * 0 / -1: somebody has put the last number there. */
static int
rotated_name_next(const struct event_file *f, char out[ROTATED_NAME_SIZE])
{
	struct rotated_name  next = { .of = bytes_of(f->how->name),
		.at.ms = f->now.ms - f->now.ms % 1000 };
	size_t		     n, i;
	struct rotated_name *v = rotated_list(f, &n);

	for (i = 0; i < n; i++)
		if (v[i].at.ms == next.at.ms && v[i].number >= next.number)
			next.number = v[i].number + 1;
	mem_free(v);
	if (next.number > ROTATED_NUMBER_MAX)
		return -1;
	rotated_name_write(&next, out);
	return 0;
}

static int
file_rotate(struct event_file *f, struct err *e)
{
	char to[ROTATED_NAME_SIZE];

	if (f->how->sync != SYNC_NONE && event_file_sync(f, e) < 0)
		return -1;
	if (rotated_name_next(f, to) != 0)
		return err_set(e, "%s: no name is left for this second",
		    f->how->name);
	f->has_rotated = true;
	if (renameat(f->dir, f->how->name, f->dir, to) < 0)
		return err_sys(e, "rename %s", f->how->name);
	close(f->fd);
	if (f->how->keep > 0)
		rotated_prune(f);
	return file_open(f, e);
}

/* -- writing -------------------------------------------------------------- */

int
event_file_write(struct event_file *f, struct bytes line, struct err *e)
{
	ssize_t n;

	must(line.n > 0 && line.p[line.n - 1] == '\n');
	if (f->size > 0 && (f->is_old || (f->how->rotate_octets != 0 &&
		f->size + line.n > f->how->rotate_octets)) &&
	    file_rotate(f, e) < 0)
		return -1;
	n = write(f->fd, line.p, line.n);
	if (n == (ssize_t)line.n) {
		f->size += line.n;
		return 0;
	}
	if (n < 0)
		(void)err_sys(e, "write %s", f->how->name);
	else
		(void)err_set(e, "write %s: no space left", f->how->name);
	if (n > 0 && ftruncate(f->fd, (off_t)f->size) < 0)
		(void)err_sys(e, "truncate %s", f->how->name);
	return -1;
}

int
event_file_sync(struct event_file *f, struct err *e)
{
	return fdatasync(f->fd) == 0 ? 0 : err_sys(e, "sync %s",
	    f->how->name);
}

bool
event_file_has_rotated(const struct event_file *f)
{
	return f->has_rotated;
}

/* -- compression ---------------------------------------------------------- */

static int
gzip_copy(int from, gzFile to)
{
	char   *piece = mem_alloc(PIECE_OCTETS);
	ssize_t n;
	int	rc = 0;

	while (rc == 0 && (n = read(from, piece, PIECE_OCTETS)) != 0)
		if (n < 0 || gzwrite(to, piece, (unsigned)n) != (int)n)
			rc = -1;
	mem_free(piece);
	return rc;
}

/* A hidden name: no destination can have it. */
static int
gzip_write(int dir, int from, const char *hidden, bool sync, struct err *e)
{
	int    fd = openat(dir, hidden, O_WRONLY | O_CREAT | O_TRUNC |
	    O_NOFOLLOW | O_CLOEXEC, FILE_MODE), own;
	gzFile to;
	int    rc;

	if (fd < 0)
		return err_sys(e, "open %s", hidden);
	own = dup(fd);
	to = gzdopen(fd, "wb6");
	if (own < 0 || to == NULL) {
		rc = err_set(e, "%s: no memory", hidden);
		if (to == NULL)
			close(fd);
		else
			(void)gzclose(to);
	} else {
		rc = gzip_copy(from, to);
		if (gzclose(to) != Z_OK || rc < 0)
			rc = err_set(e, "%s: cannot be written", hidden);
		else if (sync && fsync(own) < 0)
			rc = err_sys(e, "sync %s", hidden);
	}
	if (own >= 0)
		close(own);
	return rc;
}

static int
rotated_compress(const struct event_file *f, const struct rotated_name *r,
    struct err *e)
{
	struct rotated_name compressed = *r;
	char name[ROTATED_NAME_SIZE], final[ROTATED_NAME_SIZE];
	char hidden[ROTATED_NAME_SIZE + 1];
	int  from, rc;

	rotated_name_write(r, name);
	from = openat(f->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (from < 0)
		return err_sys(e, "open %s", name);
	compressed.is_compressed = true;
	rotated_name_write(&compressed, final);
	snprintf(hidden, sizeof(hidden), ".%s", final);
	rc = gzip_write(f->dir, from, hidden, f->how->sync != SYNC_NONE, e);
	close(from);
	if (rc == 0 && renameat(f->dir, hidden, f->dir, final) < 0)
		rc = err_sys(e, "rename %s", hidden);
	if (rc == 0 && unlinkat(f->dir, name, 0) < 0)
		rc = err_sys(e, "remove %s", name);
	if (rc < 0)
		(void)unlinkat(f->dir, hidden, 0);
	return rc;
}

int
event_file_compress(const char *dir, const char *account,
    const struct destination_file *how, struct err *e)
{
	struct event_file f = { .how = how, .fd = -1 };
	struct rotated_name *v;
	size_t		  n = 0, i;
	int		  rc = 0;

	f.dir = directory_open(dir, account, e);
	if (f.dir < 0)
		return -1;
	v = rotated_list(&f, &n);
	for (i = 0; rc == 0 && i < n; i++)
		if (!v[i].is_compressed)
			rc = rotated_compress(&f, &v[i], e);
	mem_free(v);
	close(f.dir);
	return rc;
}
