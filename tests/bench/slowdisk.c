/* SPDX-License-Identifier: ISC */
/*
 * slowdisk - a disk whose flush takes longer, for the benchmark.
 *
 * Use:    cc -O2 -shared -fPIC -DSLOWDISK_US=2000 -o slowdisk.so slowdisk.c;
 *         LD_PRELOAD, or /etc/ld.so.preload of a server in a chroot.
 *         Each flush takes SLOWDISK_US longer: fsync, fdatasync, syncfs,
 *         sync_file_range that waits, msync(MS_SYNC), and a write through a
 *         descriptor opened with O_SYNC or O_DSYNC, as LMDB writes its meta
 *         page.  Any number of flushes are under way at a time.
 * Thread: any.  A mark lies at the number of a descriptor; it follows dup,
 *         dup2 and dup3, but neither fcntl nor the way to another process.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FDS_MAX = 65536 };
static _Atomic unsigned char is_sync[FDS_MAX];

#define NEXT(name) \
	static __typeof__(name) *next; \
	if (next == NULL) \
		next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static void
flush_slowly(void)
{
	struct timespec t = { SLOWDISK_US / 1000000,
		SLOWDISK_US % 1000000 * 1000L };

	while (nanosleep(&t, &t) < 0)
		continue;
}

static int
mark(int fd, int flags)
{
	/* O_SYNC has the bit of O_DSYNC */
	if (fd >= 0 && fd < FDS_MAX)
		is_sync[fd] = (flags & O_DSYNC) != 0;
	return fd;
}

static int
mark_copy(int from, int to)
{
	if (to >= 0 && to < FDS_MAX)
		is_sync[to] = from >= 0 && from < FDS_MAX && is_sync[from];
	return to;
}

/* After what was written; short and failed writes flush nothing. */
static ssize_t
written(int fd, ssize_t n)
{
	if (n > 0 && fd >= 0 && fd < FDS_MAX && is_sync[fd])
		flush_slowly();
	return n;
}

/* -- descriptors ----------------------------------------------------------- */

#define MODE(flags) \
	va_list ap; \
	mode_t	mode; \
	va_start(ap, flags); \
	mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0; \
	va_end(ap)

int
open(const char *path, int flags, ...)
{
	MODE(flags);
	NEXT(open);
	return mark(next(path, flags, mode), flags);
}

int
open64(const char *path, int flags, ...)
{
	MODE(flags);
	NEXT(open64);
	return mark(next(path, flags, mode), flags);
}

int
openat(int at, const char *path, int flags, ...)
{
	MODE(flags);
	NEXT(openat);
	return mark(next(at, path, flags, mode), flags);
}

int
openat64(int at, const char *path, int flags, ...)
{
	MODE(flags);
	NEXT(openat64);
	return mark(next(at, path, flags, mode), flags);
}

int
close(int fd)
{
	NEXT(close);
	mark(fd, 0);
	return next(fd);
}

int
dup(int fd)
{
	NEXT(dup);
	return mark_copy(fd, next(fd));
}

int
dup2(int fd, int to)
{
	NEXT(dup2);
	return mark_copy(fd, next(fd, to));
}

int
dup3(int fd, int to, int flags)
{
	NEXT(dup3);
	return mark_copy(fd, next(fd, to, flags));
}

/* -- writes ---------------------------------------------------------------- */

ssize_t
write(int fd, const void *p, size_t n)
{
	NEXT(write);
	return written(fd, next(fd, p, n));
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	NEXT(writev);
	return written(fd, next(fd, v, n));
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	NEXT(pwrite);
	return written(fd, next(fd, p, n, at));
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	NEXT(pwrite64);
	return written(fd, next(fd, p, n, at));
}

ssize_t
pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	NEXT(pwritev);
	return written(fd, next(fd, v, n, at));
}

ssize_t
pwritev64(int fd, const struct iovec *v, int n, off64_t at)
{
	NEXT(pwritev64);
	return written(fd, next(fd, v, n, at));
}

/* -- flushes --------------------------------------------------------------- */

int
fsync(int fd)
{
	NEXT(fsync);
	flush_slowly();
	return next(fd);
}

int
fdatasync(int fd)
{
	NEXT(fdatasync);
	flush_slowly();
	return next(fd);
}

int
syncfs(int fd)
{
	NEXT(syncfs);
	flush_slowly();
	return next(fd);
}

int
sync_file_range(int fd, off64_t from, off64_t n, unsigned flags)
{
	NEXT(sync_file_range);
	if ((flags & SYNC_FILE_RANGE_WAIT_AFTER) != 0)
		flush_slowly();
	return next(fd, from, n, flags);
}

int
msync(void *p, size_t n, int flags)
{
	NEXT(msync);
	if ((flags & MS_SYNC) != 0)
		flush_slowly();
	return next(p, n, flags);
}
