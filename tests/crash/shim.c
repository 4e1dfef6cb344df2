/* SPDX-License-Identifier: ISC */
/*
 * shim - stands between a process and the disk, for files below one folder.
 *
 * Use:    LD_PRELOAD into posthornd, with
 *	POSTHORN_SHIM_DIR	the folder, as the process names it
 *	POSTHORN_SHIM_LOG	what is written and synced is told there
 *	POSTHORN_SHIM_DROP	"data": a sync says it went well, and is none;
 *				"all": nor is a write with O_DSYNC one
 *	POSTHORN_SHIM_FAULT	a file with struct shim_fault, mapped: which
 *				calls fail; the test changes it at any time
 * Log:    one struct shim_record and its octets for each step, appended by a
 *         single write, so that the log is in the order of all processes.
 *         A write is told when it has been done; through a descriptor opened
 *         with O_DSYNC (LMDB's meta page) it is followed by the end of a sync
 *         of itself alone.  A reply "250 Ok ID" is told before it is sent.
 *         What is appended (the worker who makes a file longer, beside its
 *         writer) is told as a write, in the order in which the kernel took
 *         it; its syncs are not, since they vouch for nobody, and it is never
 *         made to fail.
 * Thread: any.  Descriptors of the folder are neither duplicated nor passed
 *         on by those who are looked at.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FDS_MAX = 65536, PARTS_MAX = 1024, FAULT_NAME_MAX = 32 };

enum shim_kind {
	SHIM_OPEN = 1, /* text: path */
	SHIM_WRITE,
	SHIM_SYNC,	 /* of all that was written before */
	SHIM_SYNC_WRITE, /* of the write before this, alone */
	SHIM_TRUNCATE,	 /* to offset */
	SHIM_RENAME,	 /* text: from NUL to */
	SHIM_UNLINK,	 /* text: path */
	SHIM_REPLY	 /* text: what goes to the client */
};
struct shim_record {
	uint32_t kind, pid;
	int32_t	 fd;
	uint32_t octets; /* that follow */
	uint64_t offset;
};
/* The skip'th call from now on and times - 1 after it fail with code. */
struct shim_fault {
	_Atomic int64_t skip, times; /* times 0 = nothing fails */
	_Atomic int64_t code;
	_Atomic int64_t calls, failed;
	char		name[FAULT_NAME_MAX]; /* the end of the path */
};

enum fd_state {
	FD_OTHER,
	FD_STORE = 1,
	FD_DSYNC = 2,
	FD_FAULTY = 4,
	FD_APPEND = 8
};
static _Atomic unsigned char fds[FDS_MAX];
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static const char	 *shim_dir;
static int		  shim_log = -1;
static int		  shim_drops; /* 1 data, 2 all */
static struct shim_fault *shim_fault;

#define NEXT(name) \
	static __typeof__(name) *next; \
	if (next == NULL) \
		next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void
shim_begin(void)
{
	const char *log = getenv("POSTHORN_SHIM_LOG");
	const char *fault = getenv("POSTHORN_SHIM_FAULT");
	const char *drop = getenv("POSTHORN_SHIM_DROP");
	long	    fd;
	void	   *map;

	if (drop != NULL)
		shim_drops = strcmp(drop, "all") == 0 ? 2 : 1;
	if (log != NULL)
		shim_log = (int)syscall(SYS_openat, AT_FDCWD, log,
		    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (shim_log >= 0 && shim_log < 900) {
		/* out of the way of those who count */
		fd = syscall(SYS_fcntl, shim_log, F_DUPFD_CLOEXEC, 900);
		if (fd >= 0) {
			syscall(SYS_close, shim_log);
			shim_log = (int)fd;
		}
	}
	fd = fault == NULL ? -1 : syscall(SYS_openat, AT_FDCWD, fault, O_RDWR);
	if (fd >= 0) {
		map = mmap(NULL, sizeof(*shim_fault), PROT_READ | PROT_WRITE,
		    MAP_SHARED, (int)fd, 0);
		syscall(SYS_close, fd);
		if (map != MAP_FAILED)
			shim_fault = map;
	}
	shim_dir = getenv("POSTHORN_SHIM_DIR");
}

static void
shim_tell(enum shim_kind kind, int fd, uint64_t offset, const void *p,
    size_t n)
{
	struct shim_record r = { kind, (uint32_t)getpid(), fd, (uint32_t)n,
		offset };
	struct iovec	   v[2] = { { &r, sizeof(r) },
		      { (void *)(uintptr_t)p, n } };
	int		   before = errno;

	if (shim_log >= 0 && syscall(SYS_writev, shim_log, v, 2) !=
	    (long)(sizeof(r) + n))
		abort(); /* a record that is not whole proves nothing */
	errno = before;
}

/* Octets of a write that went well, from several parts. */
static void
shim_tell_parts(int fd, uint64_t offset, const struct iovec *v, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		shim_tell(SHIM_WRITE, fd, offset, v[i].iov_base, v[i].iov_len);
		offset += v[i].iov_len;
	}
}

static unsigned
shim_state(int fd)
{
	return fd < 0 || fd >= FDS_MAX ? FD_OTHER : fds[fd];
}

static int
shim_ends_with(const char *path, const char *end)
{
	size_t n = strlen(path), k = strlen(end);

	return n >= k && strcmp(path + n - k, end) == 0;
}

static int
shim_opened(int fd, const char *path, int flags)
{
	unsigned char state = FD_STORE;

	if (fd < 0 || fd >= FDS_MAX)
		return fd;
	if (shim_dir == NULL ||
	    strncmp(path, shim_dir, strlen(shim_dir)) != 0) {
		fds[fd] = FD_OTHER;
		return fd;
	}
	if ((flags & O_DSYNC) != 0)
		state |= FD_DSYNC;
	if ((flags & O_APPEND) != 0)
		state |= FD_APPEND;
	else if (shim_fault != NULL &&
	    shim_ends_with(path, shim_fault->name))
		state |= FD_FAULTY;
	fds[fd] = state;
	shim_tell(SHIM_OPEN, fd, 0, path, strlen(path));
	return fd;
}

/* Two threads write a file: a write and its record are one step. */
static void
shim_lock(int fd)
{
	if ((shim_state(fd) & FD_STORE) != 0)
		pthread_mutex_lock(&order);
}

static void
shim_unlock(int fd)
{
	if ((shim_state(fd) & FD_STORE) != 0)
		pthread_mutex_unlock(&order);
}

/* Has this call to fail?  errno is set then. */
static int
shim_fails(int fd)
{
	if ((shim_state(fd) & FD_FAULTY) == 0 || shim_fault == NULL)
		return 0;
	atomic_fetch_add(&shim_fault->calls, 1);
	if (atomic_load(&shim_fault->times) <= 0 ||
	    atomic_fetch_sub(&shim_fault->skip, 1) > 0)
		return 0;
	atomic_fetch_sub(&shim_fault->times, 1);
	atomic_fetch_add(&shim_fault->failed, 1);
	errno = (int)atomic_load(&shim_fault->code);
	return 1;
}

static void
shim_wrote(int fd, uint64_t offset, const void *p, ssize_t n)
{
	unsigned state = shim_state(fd);

	if (n <= 0 || (state & FD_STORE) == 0)
		return;
	shim_tell(SHIM_WRITE, fd, offset, p, (size_t)n);
	if ((state & FD_DSYNC) != 0 && shim_drops < 2)
		shim_tell(SHIM_SYNC_WRITE, fd, offset, NULL, 0);
}

/* -- what is taken in place of the library's ------------------------------- */

int
open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t	mode;

	va_start(ap, flags);
	mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return shim_opened((int)syscall(SYS_openat, AT_FDCWD, path, flags,
	    mode), path, flags);
}

int
openat(int at, const char *path, int flags, ...)
{
	va_list ap;
	mode_t	mode;

	va_start(ap, flags);
	mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return shim_opened((int)syscall(SYS_openat, at, path, flags, mode),
	    path, flags);
}

int
close(int fd)
{
	NEXT(close);
	if (fd >= 0 && fd < FDS_MAX)
		fds[fd] = FD_OTHER;
	return next(fd);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	ssize_t k;

	NEXT(write);
	if (shim_fails(fd))
		return -1;
	shim_lock(fd);
	k = next(fd, p, n);
	if (k > 0 && (shim_state(fd) & FD_STORE) != 0)
		shim_wrote(fd, (uint64_t)(lseek(fd, 0, SEEK_CUR) - k), p, k);
	shim_unlock(fd);
	return k;
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t offset)
{
	ssize_t k;

	NEXT(pwrite);
	if (shim_fails(fd))
		return -1;
	shim_lock(fd);
	k = next(fd, p, n, offset);
	shim_wrote(fd, (uint64_t)offset, p, k);
	shim_unlock(fd);
	return k;
}

/* With O_DSYNC (the redo log) the parts are on the disk together or torn. */
static void
shim_wrote_as_one(int fd, uint64_t offset, const struct iovec *v, int n)
{
	size_t size = 0;
	char  *joined;
	int    i;

	for (i = 0; i < n; i++)
		size += v[i].iov_len;
	joined = malloc(size);
	if (joined == NULL)
		abort();
	size = 0;
	for (i = 0; i < n; i++) {
		memcpy(joined + size, v[i].iov_base, v[i].iov_len);
		size += v[i].iov_len;
	}
	shim_wrote(fd, offset, joined, (ssize_t)size);
	free(joined);
}

/* Parts as they were written: a short write ends in the middle of one. */
static void
shim_wrote_parts(int fd, uint64_t offset, const struct iovec *v, int n,
    ssize_t k)
{
	struct iovec part[PARTS_MAX];
	int	     i;

	if (k <= 0 || (shim_state(fd) & FD_STORE) == 0)
		return;
	if (n > PARTS_MAX)
		abort();
	for (i = 0; i < n && k > 0; i++) {
		part[i] = v[i];
		if ((ssize_t)part[i].iov_len > k)
			part[i].iov_len = (size_t)k;
		k -= (ssize_t)part[i].iov_len;
	}
	if ((shim_state(fd) & FD_DSYNC) != 0)
		shim_wrote_as_one(fd, offset, part, i);
	else
		shim_tell_parts(fd, offset, part, i);
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	ssize_t k;

	NEXT(writev);
	if (shim_fails(fd))
		return -1;
	shim_lock(fd);
	k = next(fd, v, n);
	if (k > 0 && (shim_state(fd) & FD_STORE) != 0)
		shim_wrote_parts(fd, (uint64_t)(lseek(fd, 0, SEEK_CUR) - k),
		    v, n, k);
	shim_unlock(fd);
	return k;
}

ssize_t
pwritev(int fd, const struct iovec *v, int n, off_t offset)
{
	ssize_t k;

	NEXT(pwritev);
	if (shim_fails(fd))
		return -1;
	shim_lock(fd);
	k = next(fd, v, n, offset);
	shim_wrote_parts(fd, (uint64_t)offset, v, n, k);
	shim_unlock(fd);
	return k;
}

int
ftruncate(int fd, off_t size)
{
	int rc;

	NEXT(ftruncate);
	if (shim_fails(fd))
		return -1;
	shim_lock(fd);
	rc = next(fd, size);
	if (rc == 0 && (shim_state(fd) & FD_STORE) != 0)
		shim_tell(SHIM_TRUNCATE, fd, (uint64_t)size, NULL, 0);
	shim_unlock(fd);
	return rc;
}

static int
shim_sync(int fd, int (*next)(int fd))
{
	int rc;

	if ((shim_state(fd) & (FD_STORE | FD_APPEND)) != FD_STORE)
		return next(fd);
	if (shim_fails(fd))
		return -1;
	if (shim_drops)
		return 0;
	rc = next(fd);
	if (rc == 0)
		shim_tell(SHIM_SYNC, fd, 0, NULL, 0);
	return rc;
}

int
fdatasync(int fd)
{
	NEXT(fdatasync);
	return shim_sync(fd, next);
}

int
fsync(int fd)
{
	NEXT(fsync);
	return shim_sync(fd, next);
}

/* Nobody writes the stores through the map; who does is found here. */
int
msync(void *p, size_t n, int flags)
{
	NEXT(msync);
	if (shim_dir != NULL && (flags & MS_SYNC) != 0)
		abort();
	return next(p, n, flags);
}

int
rename(const char *from, const char *to)
{
	char text[8192];
	int  rc;

	NEXT(rename);
	rc = next(from, to);
	if (rc == 0 && shim_dir != NULL && strlen(from) + strlen(to) + 2 <
	    sizeof(text) && strncmp(to, shim_dir, strlen(shim_dir)) == 0) {
		strcpy(text, from);
		strcpy(text + strlen(from) + 1, to);
		shim_tell(SHIM_RENAME, -1, 0, text,
		    strlen(from) + strlen(to) + 1);
	}
	return rc;
}

int
unlink(const char *path)
{
	int rc;

	NEXT(unlink);
	rc = next(path);
	if (rc == 0 && shim_dir != NULL &&
	    strncmp(path, shim_dir, strlen(shim_dir)) == 0)
		shim_tell(SHIM_UNLINK, -1, 0, path, strlen(path));
	return rc;
}

ssize_t
send(int fd, const void *p, size_t n, int flags)
{
	NEXT(send);
	if (shim_log >= 0 && n > 7 && n < 4096 &&
	    memmem(p, n, "250 Ok ", 7) != NULL)
		shim_tell(SHIM_REPLY, fd, 0, p, n);
	return next(fd, p, n, flags);
}
