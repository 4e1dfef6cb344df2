/* SPDX-License-Identifier: ISC */
/*
 * turns.c - how long the turns of loops are: what a thread does between two
 * epoll_wait(2), in CPU of that thread, so that a busy machine does not count.
 * Use:    LD_PRELOAD into posthornd, with BENCH_TURNS=FILE.  FILE holds a
 *         record (struct turns) for each thread that waited, of all processes;
 *         tests/bench/scale reads it, and sets "longest" back to 0.
 * Fails:  without the file it only passes calls on.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 64 };
struct turns { /* 64 octets */
	char		 name[16];
	_Atomic uint64_t count, longest_us, over_5ms, over_20ms;
	uint64_t	 unused[2];
};
struct book {
	_Atomic uint64_t used;
	uint64_t	 unused[7];
	struct turns	 v[THREADS_MAX];
};

static struct book *book;
static __thread struct turns *own;
static __thread uint64_t began_us;
static int (*real)(int, struct epoll_event *, int, int);

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("BENCH_TURNS");
	int	    fd = path == NULL ? -1
				      : open(path, O_RDWR | O_CREAT, 0666);

	real = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT,
	    "epoll_wait");
	if (fd < 0)
		return;
	if (ftruncate(fd, sizeof(*book)) == 0)
		book = mmap(NULL, sizeof(*book), PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	if (book == MAP_FAILED)
		book = NULL;
	close(fd);
}

static uint64_t
cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void
note(uint64_t us)
{
	/* the name may be given after the first wait */
	if (atomic_fetch_add(&own->count, 1) < 8)
		prctl(PR_GET_NAME, own->name);
	if (us > atomic_load(&own->longest_us))
		atomic_store(&own->longest_us, us);
	if (us > 5000)
		atomic_fetch_add(&own->over_5ms, 1);
	if (us > 20000)
		atomic_fetch_add(&own->over_20ms, 1);
}

int
epoll_wait(int fd, struct epoll_event *ev, int max, int timeout)
{
	uint64_t i;
	int	 n;

	if (book != NULL && own == NULL) {
		i = atomic_fetch_add(&book->used, 1);
		if (i < THREADS_MAX) {
			own = &book->v[i];
			prctl(PR_GET_NAME, own->name);
		}
	} else if (own != NULL) {
		note(cpu_us() - began_us);
	}
	n = real(fd, ev, max, timeout);
	if (own != NULL)
		began_us = cpu_us();
	return n;
}
