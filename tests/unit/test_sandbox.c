/* SPDX-License-Identifier: ISC */
/* What a process in the sandbox can do, and how it ends if it does more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sandbox.h"

/* Ends of a child beside those of a test's own; none that a signal makes. */
enum { NOT_ENTERED = 90, NO_LANDLOCK = 91, NO_SECCOMP = 92 };

struct attempt {
	const char	 *name;
	unsigned	  does;
	enum sandbox_mode mode;
	int (*run)(void); /* 0 = as it should be */
	int signal;	  /* that ends it; 0 = none */
};

/* 256 times the signal, or the exit status */
static int
run_apart(int (*run)(void *), void *arg)
{
	int   status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) << 8
				   : WEXITSTATUS(status);
}

/* -- calls ---------------------------------------------------------------- */

static void *
thread_adds(void *n)
{
	(*(int *)n)++;
	return NULL;
}

static int
computes(void)
{
	static const char line[] = "x";
	pthread_t	  t;
	int		  n = 1, fds[2];
	void		 *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char		  in[sizeof(line)];

	if (p == MAP_FAILED || munmap(p, 1 << 20) != 0)
		return 1;
	if (pthread_create(&t, NULL, thread_adds, &n) != 0 ||
	    pthread_join(t, NULL) != 0 || n != 2)
		return 2;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) != 0 ||
	    write(fds[0], line, sizeof(line)) != sizeof(line) ||
	    read(fds[1], in, sizeof(in)) != sizeof(line))
		return 3;
	return close(fds[0]) != 0 || close(fds[1]) != 0 ? 4 : 0;
}

static int
opens_are_refused(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES &&
		access("/etc/passwd", R_OK) < 0 && errno == EACCES
	    ? 0 : 1;
}

static int
opens(void)
{
	int fd = open("/dev/null", O_RDONLY);

	return fd >= 0 && close(fd) == 0 ? 0 : 1;
}

static int
sockets_are_refused(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EACCES &&
		socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EACCES
	    ? 0 : 1;
}

static int
local_sockets_only(void)
{
	return socket(AF_UNIX, SOCK_DGRAM, 0) >= 0 &&
		socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EACCES &&
		socket(AF_INET6, SOCK_STREAM, 0) < 0 && errno == EACCES
	    ? 0 : 1;
}

static int
sockets_of_mail_only(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0 &&
		socket(AF_INET6, SOCK_STREAM, 0) >= 0 &&
		socket(AF_UNIX, SOCK_STREAM, 0) >= 0 &&
		socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EACCES &&
		socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EACCES
	    ? 0 : 1;
}

static int
code_is_refused(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED ||
	    mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0 || errno != EACCES)
		return 1;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
	    ? 0 : 2;
}

static int
forks(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : 1;
}

static int
executes(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static int
traces(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? 1 : 0;
}

static int
writes_at(void)
{
	char c = 'x';

	return pwrite(-1, &c, 1, 0) < 0 && errno == EBADF ? 0 : 1;
}

static int
connects(void)
{
	struct sockaddr sa = { .sa_family = AF_INET };

	return connect(-1, &sa, sizeof(sa)) < 0 && errno == EBADF ? 0 : 1;
}

static int
binds(void)
{
	struct sockaddr sa = { .sa_family = AF_INET };

	return bind(-1, &sa, sizeof(sa)) < 0 && errno == EBADF ? 0 : 1;
}

static int
listens(void)
{
	return listen(-1, 1) < 0 ? 1 : 0;
}

/* A pair of datagrams could write to any socket of the host. */
static int
pairs_of_streams_only(void)
{
	int fds[2];

	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0 &&
		socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) < 0 &&
		errno == ENOSYS
	    ? 0 : 1;
}

/* Signals that the kernel sends for us. */
static int
owners_are_refused(void)
{
	int fd = dup(0);

	return fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
		fcntl(fd, F_GETFL) >= 0 &&
		fcntl(fd, F_SETOWN, getppid()) < 0 && errno == ENOSYS &&
		fcntl(fd, 10 /* F_SETSIG */, SIGKILL) < 0 &&
		errno == ENOSYS
	    ? 0 : 1;
}

/* x32: the same processor, other numbers. */
static int
calls_foreign(void)
{
	syscall(0x40000000 + SYS_getpid);
	return 1;
}

/* A call that came after us: as on a kernel without it. */
static int
asks_what_is_new(void)
{
	return syscall(9999) < 0 && errno == ENOSYS ? 0 : 1;
}

static int
kills_others(void)
{
	return kill(getppid(), 0) == 0 ? 0 : 1;
}

static int
ends_by_itself(void)
{
	abort();
}

static const struct attempt attempts[] = {
	{ "computing", 0, SANDBOX_ENFORCE, computes, 0 },
	{ "computing, all rights", SANDBOX_OPENS | SANDBOX_STORES |
	    SANDBOX_NETWORK, SANDBOX_ENFORCE, computes, 0 },
	{ "open without right", 0, SANDBOX_ENFORCE, opens_are_refused, 0 },
	{ "socket without right", SANDBOX_OPENS, SANDBOX_ENFORCE,
	    sockets_are_refused, 0 },
	{ "sockets", SANDBOX_NETWORK, SANDBOX_ENFORCE, sockets_of_mail_only,
	    0 },
	{ "local sockets", SANDBOX_LOCAL, SANDBOX_ENFORCE,
	    local_sockets_only, 0 },
	{ "local connect", SANDBOX_LOCAL, SANDBOX_ENFORCE, connects, 0 },
	{ "no code is made", SANDBOX_OPENS, SANDBOX_ENFORCE, code_is_refused,
	    0 },
	{ "fork", SANDBOX_OPENS, SANDBOX_ENFORCE, forks, SIGSYS },
	{ "exec", SANDBOX_OPENS, SANDBOX_ENFORCE, executes, SIGSYS },
	{ "ptrace", SANDBOX_OPENS, SANDBOX_ENFORCE, traces, SIGSYS },
	{ "kill", SANDBOX_NETWORK, SANDBOX_ENFORCE, kills_others, SIGSYS },
	{ "connect", SANDBOX_OPENS, SANDBOX_ENFORCE, connects, SIGSYS },
	{ "connect with right", SANDBOX_NETWORK, SANDBOX_ENFORCE, connects,
	    0 },
	{ "only asks", SANDBOX_CONNECT, SANDBOX_ENFORCE,
	    sockets_of_mail_only, 0 },
	{ "only asks: connect", SANDBOX_CONNECT, SANDBOX_ENFORCE, connects,
	    0 },
	{ "only asks: bind", SANDBOX_CONNECT, SANDBOX_ENFORCE, binds,
	    SIGSYS },
	{ "bind", SANDBOX_NETWORK, SANDBOX_ENFORCE, binds, 0 },
	{ "listen", SANDBOX_NETWORK, SANDBOX_ENFORCE, listens, SIGSYS },
	{ "socketpair", SANDBOX_NETWORK, SANDBOX_ENFORCE,
	    pairs_of_streams_only, 0 },
	{ "owner of signals", SANDBOX_NETWORK, SANDBOX_ENFORCE,
	    owners_are_refused, 0 },
#ifdef __x86_64__
	{ "x32", SANDBOX_NETWORK, SANDBOX_ENFORCE, calls_foreign, SIGSYS },
#endif
	{ "pwrite", SANDBOX_OPENS | SANDBOX_NETWORK, SANDBOX_ENFORCE,
	    writes_at, SIGSYS },
	{ "pwrite with right", SANDBOX_STORES, SANDBOX_ENFORCE, writes_at,
	    0 },
	{ "new call", 0, SANDBOX_ENFORCE, asks_what_is_new, 0 },
	{ "abort", 0, SANDBOX_ENFORCE, ends_by_itself, SIGABRT },
	{ "fork, logged", SANDBOX_OPENS, SANDBOX_LOG, forks, 0 },
	{ "connect, logged", SANDBOX_OPENS, SANDBOX_LOG, connects, 0 },
	{ "fork, off", 0, SANDBOX_OFF, forks, 0 },
	{ "open, off", 0, SANDBOX_OFF, opens, 0 }
};

static int
attempt_run(void *arg)
{
	static const char *const root[] = { "/", NULL };
	const struct attempt	*a = arg;
	struct sandbox		 s = { root, root, a->does };
	struct sandbox_got	 got;
	struct err		 e;

	if (sandbox_enter(&s, a->mode, &got, &e) != 0) {
		fprintf(stderr, "%s\n", e.text);
		return NOT_ENTERED;
	}
	if (a->mode != SANDBOX_OFF && !got.calls)
		return NO_SECCOMP;
	if (a->mode == SANDBOX_OFF && (got.calls || got.files))
		return NOT_ENTERED;
	return a->run();
}

static void
sandbox_allows_calls(void **state)
{
	size_t i, n = sizeof(attempts) / sizeof(attempts[0]);
	int    status, wrong = 0;

	(void)state;
	for (i = 0; i < n; i++) {
		struct attempt a = attempts[i];

		status = run_apart(attempt_run, &a);
		if (status == NO_SECCOMP)
			skip();
		if (status == a.signal << 8)
			continue;
		fprintf(stderr, "%s: signal %d, exit %d\n", a.name,
		    status >> 8, status & 255);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* -- files ---------------------------------------------------------------- */

struct cage {
	char dir[64], in[80], out[80], file[96], single[96], other[96];
};

static int
try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int
cage_run(void *arg)
{
	struct cage	  *c = arg;
	const char *const  rd[] = { c->in, c->single, "/does/not/exist", NULL };
	const char *const  wr[] = { c->out, NULL };
	struct sandbox	   s = { rd, wr, SANDBOX_OPENS | SANDBOX_STORES };
	struct sandbox_got got;
	struct err	   e;
	char		   path[128];

	if (sandbox_enter(&s, SANDBOX_LOG, &got, &e) != 0) {
		fprintf(stderr, "%s\n", e.text);
		return NOT_ENTERED;
	}
	if (!got.files)
		return NO_LANDLOCK;
	if (try_open(c->file, O_RDONLY) != 0 ||
	    try_open(c->single, O_RDONLY) != 0)
		return 2;
	if (try_open(c->file, O_WRONLY) != EACCES ||
	    try_open(c->single, O_RDWR) != EACCES || unlink(c->file) == 0)
		return 3;
	if (try_open(c->other, O_RDONLY) != EACCES ||
	    try_open("/etc/passwd", O_RDONLY) != EACCES)
		return 4;
	snprintf(path, sizeof(path), "%s/new", c->out);
	if (try_open(path, O_RDWR | O_CREAT) != 0 || truncate(path, 5) < 0 ||
	    unlink(path) < 0)
		return 5;
	/* no paths at all: nothing can be opened any more */
	s.read = s.write = NULL;
	if (sandbox_enter(&s, SANDBOX_LOG, &got, &e) != 0 || !got.files)
		return 6;
	return try_open(c->file, O_RDONLY) == EACCES ? 0 : 7;
}

static void
sandbox_allows_files(void **state)
{
	struct cage c;
	int	    status;

	(void)state;
	strcpy(c.dir, "/tmp/test-sandbox-XXXXXX");
	assert_non_null(mkdtemp(c.dir));
	snprintf(c.in, sizeof(c.in), "%s/in", c.dir);
	snprintf(c.out, sizeof(c.out), "%s/out", c.dir);
	snprintf(c.file, sizeof(c.file), "%s/file", c.in);
	snprintf(c.single, sizeof(c.single), "%s/single", c.dir);
	snprintf(c.other, sizeof(c.other), "%s/other", c.dir);
	assert_int_equal(mkdir(c.in, 0700), 0);
	assert_int_equal(mkdir(c.out, 0700), 0);
	assert_int_equal(try_open(c.file, O_CREAT | O_WRONLY), 0);
	assert_int_equal(try_open(c.single, O_CREAT | O_WRONLY), 0);
	assert_int_equal(try_open(c.other, O_CREAT | O_WRONLY), 0);
	status = run_apart(cage_run, &c);
	unlink(c.file);
	unlink(c.single);
	unlink(c.other);
	rmdir(c.in);
	rmdir(c.out);
	assert_int_equal(rmdir(c.dir), 0);
	if (status == NO_LANDLOCK)
		skip();
	assert_int_equal(status, 0);
}

/* -- processes outside ----------------------------------------------------- */

struct outside {
	enum sandbox_mode  mode;
	struct sockaddr_un name; /* given by the kernel */
	socklen_t	   len;
};

/* From landlock 6 on: no socket with an abstract name that is not our own. */
static int
outside_run(void *arg)
{
	struct outside	  *o = arg;
	struct sandbox	   s = { NULL, NULL, SANDBOX_LOCAL };
	struct sandbox_got got;
	struct err	   e;
	int		   fd;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 6)
		return NO_LANDLOCK;
	if (sandbox_enter(&s, o->mode, &got, &e) != 0)
		return NOT_ENTERED;
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (fd < 0)
		return 2;
	if (connect(fd, (struct sockaddr *)&o->name, o->len) == 0)
		return 3;
	return errno == EPERM ? 0 : 4;
}

static void
sandbox_reaches_nobody(void **state)
{
	struct outside o = { SANDBOX_ENFORCE, { .sun_family = AF_UNIX },
		sizeof(o.name) };
	int	       fd, status;

	(void)state;
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&o.name,
	    sizeof(o.name.sun_family)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&o.name, &o.len),
	    0);
	assert_int_equal(o.name.sun_path[0], '\0');
	status = run_apart(outside_run, &o);
	if (status == NO_LANDLOCK)
		skip();
	assert_int_equal(status, 0);
	o.mode = SANDBOX_LOG; /* is about files only */
	assert_int_equal(run_apart(outside_run, &o), 3);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sandbox_allows_calls),
		cmocka_unit_test(sandbox_allows_files),
		cmocka_unit_test(sandbox_reaches_nobody)
	};

	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
