/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/process.h"
#include "temp_folder.h"

/* -- channels ------------------------------------------------------------- */

struct end {
	struct loop    *l;
	struct channel *c;
	int		messages, closes, stop_after;
	size_t		octets;
	char		last[64];
	int		fd;
	bool		is_echo, closes_itself;
};

static void
on_message(void *arg, struct bytes message, int fd)
{
	struct end *x = arg;

	x->messages++;
	x->octets += message.n;
	bytes_text(message, x->last, sizeof(x->last));
	if (x->fd >= 0 && fd >= 0)
		close(x->fd);
	if (fd >= 0)
		x->fd = fd;
	if (x->is_echo)
		assert_true(channel_send(x->c, message, -1));
	if (x->closes_itself) {
		channel_close(x->c);
		x->c = NULL;
	}
	if (x->messages == x->stop_after)
		loop_stop(x->l);
}

static void
on_close(void *arg)
{
	struct end *x = arg;

	x->closes++;
	assert_false(channel_send(x->c, BYTES("too late"), -1));
	loop_stop(x->l);
}

static const struct channel_events events = { on_message, on_close };

static void
end_open(struct end *x, struct loop *l, int fd)
{
	struct err e;

	memset(x, 0, sizeof(*x));
	x->l = l;
	x->fd = -1;
	x->c = channel_open(l, fd, &events, x, &e);
	assert_non_null(x->c);
}

static struct loop *
new_loop(void)
{
	struct err   e;
	struct loop *l = loop_new("test", 64, &e);

	assert_non_null(l);
	return l;
}

/* Two ends on one loop. */
static struct loop *
pair_open(struct end *a, struct end *b)
{
	struct loop *l = new_loop();
	struct err   e;
	int	     fds[2];

	assert_int_equal(channel_pair(fds, &e), 0);
	end_open(a, l, fds[0]);
	end_open(b, l, fds[1]);
	return l;
}

static void
process_channel_goes_both_ways(void **state)
{
	struct end   a, b;
	struct loop *l = pair_open(&a, &b);
	char	     big[CHANNEL_MESSAGE_MAX + 1], got[4];
	int	     fds[2];

	(void)state;
	b.is_echo = true;
	a.stop_after = 3;
	memset(big, 'x', sizeof(big));
	assert_true(channel_send(a.c, BYTES("one"), -1));
	assert_int_equal(pipe(fds), 0);
	assert_true(channel_send(a.c, (struct bytes){ big,
	    CHANNEL_MESSAGE_MAX }, -1));
	assert_true(channel_send(a.c, BYTES("three"), fds[0]));
	assert_int_equal(fcntl(fds[0], F_GETFD), -1); /* given away */
	/* refused: the descriptor stays ours */
	assert_false(channel_send(a.c, (struct bytes){ big, sizeof(big) },
	    fds[1]));
	assert_false(channel_send(a.c, BYTES(""), -1));
	assert_int_not_equal(fcntl(fds[1], F_GETFD), -1);
	loop_run(l);
	assert_int_equal(a.messages, 3);
	assert_int_equal(b.messages, 3);
	assert_int_equal(b.octets, 3 + CHANNEL_MESSAGE_MAX + 5);
	assert_string_equal(a.last, "three");
	assert_int_equal(a.fd, -1);
	assert_true(b.fd >= 0);
	assert_int_equal(fcntl(b.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(fds[1], "abc", 3), 3);
	assert_int_equal(read(b.fd, got, sizeof(got)), 3);
	close(b.fd);
	close(fds[1]);
	channel_close(a.c);
	channel_close(b.c);
	channel_close(NULL);
	loop_free(l);
}

static void
process_channel_queues_when_peer_does_not_read(void **state)
{
	struct end   a, b;
	struct loop *l = new_loop();
	struct err   e;
	int	     fds[2], keep, i, sent = 0;
	char	     text[16];

	(void)state;
	assert_int_equal(channel_pair(fds, &e), 0);
	end_open(&a, l, fds[0]);
	for (i = 0; i < 100000; i++) {
		snprintf(text, sizeof(text), "%d", i);
		keep = i == 4000 ? dup(0) : -1;
		if (!channel_send(a.c, bytes_of(text), keep))
			break;
		sent++;
	}
	assert_in_range(sent, CHANNEL_QUEUE_MAX + 1, 99999);
	keep = dup(0);
	assert_false(channel_send(a.c, BYTES("full"), keep));
	assert_int_not_equal(fcntl(keep, F_GETFD), -1);
	close(keep);
	/* the peer wakes up: all of it, in order */
	end_open(&b, l, fds[1]);
	b.stop_after = sent;
	loop_run(l);
	assert_int_equal(b.messages, sent);
	assert_int_equal(atoi(b.last), sent - 1);
	assert_true(b.fd >= 0);
	close(b.fd);
	/* and there is room again */
	assert_true(channel_send(a.c, BYTES("more"), -1));
	channel_close(a.c);
	channel_close(b.c);
	loop_free(l);
}

static void
process_channel_bounds_octets(void **state)
{
	static char  big[CHANNEL_MESSAGE_MAX];
	struct end   a;
	struct loop *l = new_loop();
	struct err   e;
	int	     fds[2], sent = 0;

	(void)state;
	assert_int_equal(channel_pair(fds, &e), 0);
	end_open(&a, l, fds[0]);
	while (sent < 4096 &&
	    channel_send(a.c, (struct bytes){ big, sizeof(big) }, -1))
		sent++;
	assert_in_range(sent, 256, 300);
	channel_close(a.c);
	close(fds[1]);
	loop_free(l);
}

static void
process_channel_tells_the_end(void **state)
{
	struct end   a, b;
	struct loop *l = pair_open(&a, &b);

	(void)state;
	/* b ends with something unread; its last words still arrive */
	assert_true(channel_send(a.c, BYTES("unread"), -1));
	assert_true(channel_send(b.c, BYTES("last words"), -1));
	channel_close(b.c);
	loop_run(l);
	assert_string_equal(a.last, "last words");
	assert_int_equal(a.closes, 1);
	assert_int_equal(b.closes, 0);
	assert_int_equal(b.messages, 0);
	channel_close(a.c);
	loop_free(l);
}

static void
process_channel_tells_the_end_to_a_sender(void **state)
{
	struct end   a, b;
	struct loop *l = pair_open(&a, &b);

	(void)state;
	channel_close(b.c);
	assert_false(channel_send(a.c, BYTES("nobody"), -1));
	assert_int_equal(a.closes, 0);
	loop_run(l);
	assert_int_equal(a.closes, 1);
	channel_close(a.c);
	loop_free(l);
}

static void
process_channel_may_close_in_its_callback(void **state)
{
	struct end   a, b;
	struct loop *l = pair_open(&a, &b);

	(void)state;
	b.closes_itself = true;
	assert_true(channel_send(a.c, BYTES("1"), -1));
	assert_true(channel_send(a.c, BYTES("2"), -1));
	loop_run(l); /* ends by a's on_close */
	assert_int_equal(b.messages, 1);
	assert_int_equal(b.closes, 0);
	assert_int_equal(a.closes, 1);
	channel_close(a.c);
	loop_free(l);
}

/* A raw peer that does not keep to the rules. */
static void
send_raw(int fd, size_t n, int fd_count)
{
	static char	big[CHANNEL_MESSAGE_MAX + 1];
	char		space[CMSG_SPACE(2 * sizeof(int))] = { 0 };
	int		rights[2] = { 0, 0 };
	struct iovec	iov = { big, n };
	struct msghdr	h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;
	size_t		len = (size_t)fd_count * sizeof(int);

	if (fd_count > 0) {
		h.msg_control = space;
		h.msg_controllen = CMSG_SPACE(len);
		cm = CMSG_FIRSTHDR(&h);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(len);
		memcpy(CMSG_DATA(cm), rights, len);
	}
	assert_int_equal(sendmsg(fd, &h, 0), n);
}

static int
next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void
process_channel_ends_with_bad_messages(void **state)
{
	static const struct {
		size_t n;
		int    fd_count;
	} cases[] = { { CHANNEL_MESSAGE_MAX + 1, 0 },
		{ CHANNEL_MESSAGE_MAX + 1, 1 }, { 5, 2 } };
	struct end   a;
	struct loop *l;
	struct err   e;
	int	     fds[2], lowest;
	size_t	     i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		l = new_loop();
		assert_int_equal(channel_pair(fds, &e), 0);
		end_open(&a, l, fds[0]);
		lowest = next_fd();
		send_raw(fds[1], 3, 0);
		send_raw(fds[1], cases[i].n, cases[i].fd_count);
		send_raw(fds[1], 4, 0);
		loop_run(l);
		assert_int_equal(a.messages, 1);
		assert_int_equal(a.octets, 3);
		assert_int_equal(a.closes, 1);
		assert_int_equal(next_fd(), lowest); /* nothing is left open */
		channel_close(a.c);
		close(fds[1]);
		loop_free(l);
	}
	l = new_loop();
	assert_null(channel_open(l, next_fd(), &events, &a, &e));
	assert_non_null(strstr(e.text, "Bad file descriptor"));
	loop_free(l);
}

/* -- children ------------------------------------------------------------- */

struct child {
	int fd, parent_fd, ready_fd;
};

static void
child_on_message(void *arg, struct bytes message, int fd)
{
	struct end *x = arg;

	on_message(arg, message, -1);
	if (fd >= 0 && write(fd, "from child", 10) != 10)
		_exit(9);
	if (fd >= 0)
		close(fd);
	channel_send(x->c, BYTES("done"), -1);
	loop_stop(x->l);
}

static int
child_run(void *arg)
{
	static const struct channel_events child_events = { child_on_message,
		on_close };
	struct child	*c = arg;
	struct sigaction sa;
	sigset_t	 mask;
	char		 line[64] = { 0 };
	struct end	 x = { .fd = -1 };
	struct err	 e;
	int		 fd, signal_at_end = 0;

	close(c->parent_fd);
	fd = open("/proc/self/cmdline", O_RDONLY);
	if (fd < 0 || read(fd, line, sizeof(line) - 1) < 0 ||
	    strcmp(line, "posthornd: keys") != 0)
		return 1;
	if (sigprocmask(SIG_SETMASK, NULL, &mask) < 0 ||
	    sigismember(&mask, SIGTERM) || sigismember(&mask, SIGUSR1))
		return 2;
	if (sigaction(SIGUSR1, NULL, &sa) < 0 || sa.sa_handler != SIG_DFL)
		return 3;
	prctl(PR_GET_PDEATHSIG, &signal_at_end);
	if (signal_at_end != SIGKILL || getenv("TEST_TITLE") == NULL)
		return 4;
	x.l = loop_new("child", 8, &e);
	x.c = channel_open(x.l, c->fd, &child_events, &x, &e);
	loop_run(x.l);
	channel_close(x.c);
	loop_free(x.l);
	return x.messages == 1 ? 7 : 5;
}

static int
wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) :
				   1000 + WTERMSIG(status);
}

static void
process_starts_a_child(void **state)
{
	struct child	    c;
	struct process_spec spec = { "keys", child_run, &c };
	struct end	    x;
	struct err	    e;
	struct loop	   *l;
	char		    got[32] = { 0 };
	int		    fds[2], out[2];
	sigset_t	    set, old;
	pid_t		    pid;

	(void)state;
	assert_int_equal(channel_pair(fds, &e), 0);
	c.fd = fds[1];
	c.parent_fd = fds[0];
	setenv("TEST_TITLE", "1", 1);
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	pid = process_start(&spec, &e);
	assert_true(pid > 0);
	sigprocmask(SIG_SETMASK, NULL, &set);
	assert_true(sigismember(&set, SIGTERM)); /* as before */
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(fds[1]);
	l = new_loop();
	end_open(&x, l, fds[0]);
	assert_int_equal(pipe(out), 0);
	assert_true(channel_send(x.c, BYTES("write there"), out[1]));
	loop_run(l); /* until the child has gone */
	assert_int_equal(x.closes, 1);
	assert_string_equal(x.last, "done");
	assert_int_equal(read(out[0], got, sizeof(got)), 10);
	assert_string_equal(got, "from child");
	assert_int_equal(read(out[0], got, 1), 0);
	assert_int_equal(wait_for(pid), 7);
	close(out[0]);
	channel_close(x.c);
	loop_free(l);
}

static int
sleeper_run(void *arg)
{
	struct child *c = arg;

	close(c->parent_fd);
	if (write(c->ready_fd, "r", 1) != 1)
		return 1;
	for (;;)
		pause();
}

/* The pipe is held by the grandchild alone: its end is the proof. */
static void
process_child_dies_with_its_parent(void **state)
{
	struct child	    c;
	struct process_spec spec = { "verifier", sleeper_run, &c };
	struct err	    e;
	int		    fds[2];
	char		    got;
	pid_t		    pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	c.parent_fd = fds[0];
	c.ready_fd = fds[1];
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (process_start(&spec, &e) < 0)
			_exit(1);
		close(fds[1]);
		_exit(read(fds[0], &got, 1) == 1 ? 0 : 2);
	}
	close(fds[1]);
	assert_int_equal(wait_for(pid), 0);
	assert_int_equal(read(fds[0], &got, 1), 0);
	close(fds[0]);
}

/* -- privileges, each in a process of its own ----------------------------- */

static void
run_apart(int (*run)(void *), void *arg, int expected)
{
	struct process_spec spec = { "test", run, arg };
	struct err	    e;
	pid_t		    pid = process_start(&spec, &e);

	assert_true(pid > 0);
	assert_int_equal(wait_for(pid), expected);
}

static void
process_finds_users(void **state)
{
	struct process_user u;
	struct err	    e;
	struct group	   *g;

	(void)state;
	assert_int_equal(process_user_find("root", NULL, &u, &e), 0);
	assert_int_equal(u.uid, 0);
	assert_int_equal(u.gid, 0);
	assert_string_equal(u.name, "root");
	g = getgrgid(1);
	assert_non_null(g);
	assert_int_equal(process_user_find("root", g->gr_name, &u, &e), 0);
	assert_int_equal(u.gid, 1);
	assert_int_equal(process_user_find(NULL, g->gr_name, &u, &e), 0);
	assert_int_equal(u.gid, 1);
	assert_true(u.uid == (uid_t)-1);
	assert_int_equal(process_user_find("no-such-one", NULL, &u, &e), -1);
	assert_string_equal(e.text, "no such user: no-such-one");
	assert_int_equal(process_user_find("root", "no-such", &u, &e), -1);
	assert_string_equal(e.text, "no such group: no-such");
}

static int
drop_run(void *arg)
{
	struct process_user u = { 54321, 54322, "x" };
	struct err	    e;
	gid_t		    more[2] = { 5, 6 };
	int		    death = 0;

	if (setgroups(2, more) < 0 || process_drop(&u, &e) != 0)
		return 1;
	prctl(PR_GET_PDEATHSIG, &death);
	if (getuid() != 54321 || geteuid() != 54321 || getgid() != 54322 ||
	    getegid() != 54322 || getgroups(0, NULL) != 0 || death != SIGKILL)
		return 2;
	if (setuid(0) == 0 || setgid(0) == 0 ||
	    open(arg, O_RDONLY | O_CLOEXEC) >= 0)
		return 3;
	/* without root nothing is changed, and that is no error */
	u.uid = 1;
	return process_drop(&u, &e) == 0 && getuid() == 54321 ? 0 : 4;
}

static void
process_drops_privileges(void **state)
{
	struct process_user u = { 0, 1, "root" };
	char		    secret[] = "/tmp/test-process-XXXXXX";
	struct err	    e;
	int		    fd;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(process_drop(&u, &e), -1);
	u.uid = 1;
	u.gid = (gid_t)-1;
	assert_int_equal(process_drop(&u, &e), -1);
	assert_int_equal(geteuid(), 0);
	fd = mkstemp(secret);
	assert_true(fd >= 0);
	run_apart(drop_run, secret, 0);
	close(fd);
	unlink(secret);
}

static int
harden_run(void *arg)
{
	struct rlimit r;
	struct err    e;

	(void)arg;
	if (process_harden(&e) != 0)
		return 1;
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 2;
	if (getrlimit(RLIMIT_CORE, &r) < 0 || r.rlim_max != 0)
		return 3;
	if (process_files_max(77, &e) != 0 ||
	    getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur != 77)
		return 4;
	/* more than there may be: as many as there may */
	r.rlim_cur = r.rlim_max = 99;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0 ||
	    (geteuid() == 0 && setresuid(54321, 54321, 54321) < 0))
		return 5;
	if (process_files_max(100000, &e) != 0 ||
	    getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur != 99)
		return 6;
	return 0;
}

static void
process_hardens(void **state)
{
	(void)state;
	run_apart(harden_run, NULL, 0);
}

static void
process_notifies(void **state)
{
	char		   dir[TEMP_FOLDER_SIZE], name[108];
	char		   got[32];
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	socklen_t	   len = sizeof(sun);
	int		   fd;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	process_notify("READY=1"); /* nobody asked */
	temp_folder_make(dir, "process");
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/notify", dir);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	setenv("NOTIFY_SOCKET", sun.sun_path, 1);
	process_notify("READY=1");
	assert_int_equal(recv(fd, got, sizeof(got), 0), 7);
	assert_memory_equal(got, "READY=1", 7);
	close(fd);
	process_notify("STOPPING=1"); /* nobody listens: nothing happens */
	temp_folder_remove(dir);
	/* abstract; the kernel chooses the name */
	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun,
	    sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sun, &len), 0);
	len -= (socklen_t)offsetof(struct sockaddr_un, sun_path);
	memcpy(name, sun.sun_path, len);
	name[0] = '@';
	name[len] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	process_notify("STOPPING=1");
	assert_int_equal(recv(fd, got, sizeof(got), 0), 10);
	setenv("NOTIFY_SOCKET", "relative/path", 1);
	process_notify("X");
	assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
	close(fd);
	unsetenv("NOTIFY_SOCKET");
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(process_channel_goes_both_ways),
		cmocka_unit_test(
		    process_channel_queues_when_peer_does_not_read),
		cmocka_unit_test(process_channel_bounds_octets),
		cmocka_unit_test(process_channel_tells_the_end),
		cmocka_unit_test(process_channel_tells_the_end_to_a_sender),
		cmocka_unit_test(process_channel_may_close_in_its_callback),
		cmocka_unit_test(process_channel_ends_with_bad_messages),
		cmocka_unit_test(process_starts_a_child),
		cmocka_unit_test(process_child_dies_with_its_parent),
		cmocka_unit_test(process_finds_users),
		cmocka_unit_test(process_drops_privileges),
		cmocka_unit_test(process_hardens),
		cmocka_unit_test(process_notifies),
	};

	process_title_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
