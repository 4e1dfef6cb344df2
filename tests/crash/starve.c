/* SPDX-License-Identifier: ISC */
/*
 * starve - stands between one process and malloc: each Nth allocation fails.
 *
 * Use:    LD_PRELOAD into posthornd, with POSTHORN_STARVE, a file with struct
 *         starve, mapped; the test names the process and the N in it, and
 *         changes both at any time.
 * Thread: any.
 * Not for builds with a sanitizer, which has an allocator of its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct starve {
	_Atomic int64_t pid;   /* whose allocations fail */
	_Atomic int64_t every; /* 0 = none does */
	_Atomic int64_t calls, failed;
};

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

static struct starve *starve;
static int64_t	      starve_pid;

__attribute__((constructor)) static void
starve_begin(void)
{
	const char *path = getenv("POSTHORN_STARVE");
	int	    fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
	void	   *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*starve), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	close(fd);
	starve_pid = getpid(); /* the children are executed anew */
	if (map != MAP_FAILED)
		starve = map;
}

static int
starve_fails(void)
{
	int64_t every;

	if (starve == NULL || atomic_load(&starve->pid) != starve_pid)
		return 0;
	every = atomic_load(&starve->every);
	if (every <= 0 || atomic_fetch_add(&starve->calls, 1) % every !=
	    every - 1)
		return 0;
	atomic_fetch_add(&starve->failed, 1);
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t n)
{
	return starve_fails() ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	return starve_fails() ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	/* to make something smaller cannot fail */
	return n > 0 && starve_fails() ? NULL : __libc_realloc(p, n);
}
