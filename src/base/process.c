/* SPDX-License-Identifier: ISC */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { NSS_BUFFER_MAX = 1 << 20 };

/*
 * Where the kernel shows the command line: memory of the process as it was
 * started, which nobody can hand round.
 */
static struct {
	char  *area;
	size_t size;
	char **environment; /* the copy; setenv() makes one of its own */
} title;

/* -- children ------------------------------------------------------------- */

/*
 * The strings of the environment lie behind the arguments; they are copied,
 * so that a title may be longer than the command line was.
 */
void
process_title_init(int argc, char **argv)
{
	char **copy, *end;
	int    i, n = 0;

	if (argc < 1 || argv[0] == NULL)
		return;
	end = argv[0];
	for (i = 0; i < argc && argv[i] == end; i++)
		end += strlen(argv[i]) + 1;
	while (environ != NULL && environ[n] != NULL)
		n++;
	copy = mem_alloc(((size_t)n + 1) * sizeof(*copy));
	for (i = 0; i < n; i++) {
		if (environ[i] == end)
			end += strlen(environ[i]) + 1;
		copy[i] = mem_dup(environ[i]);
	}
	environ = title.environment = copy;
	title.area = argv[0];
	title.size = (size_t)(end - argv[0]);
}

static void
process_set_title(const char *name)
{
	if (title.area == NULL)
		return;
	memset(title.area, 0, title.size);
	snprintf(title.area, title.size, "posthornd: %s", name);
}

static void
process_begin_child(const struct process_spec *s, pid_t parent)
{
	sigset_t none;
	int	 signo;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(127); /* the parent was quicker to die */
	for (signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	process_set_title(s->name);
}

pid_t
process_start(const struct process_spec *s, struct err *e)
{
	sigset_t all, old;
	pid_t	 parent = getpid(), pid;
	int	 status, saved;

	fflush(NULL); /* else the child would write it once more */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0) {
		process_begin_child(s, parent);
		status = s->run(s->arg);
		fflush(NULL);
		_exit(status);
	}
	saved = errno;
	sigprocmask(SIG_SETMASK, &old, NULL);
	errno = saved;
	if (pid < 0)
		return err_sys(e, "fork %s", s->name);
	return pid;
}

/* -- users ---------------------------------------------------------------- */

static int
process_find_user(const char *user, struct process_user *out, struct err *e)
{
	struct passwd  pw, *found = NULL;
	size_t	       size = 1024;
	char	      *room = NULL;
	int	       rc;

	if (strlen(user) >= sizeof(out->name))
		return err_set(e, "user name too long: %s", user);
	do {
		size *= 2;
		room = mem_realloc(room, size);
		rc = getpwnam_r(user, &pw, room, size, &found);
	} while (rc == ERANGE && size < NSS_BUFFER_MAX);
	if (found != NULL) {
		out->uid = pw.pw_uid;
		out->gid = pw.pw_gid;
		strcpy(out->name, user);
	}
	mem_free(room);
	if (found == NULL)
		return err_set(e, "no such user: %s", user);
	return 0;
}

static int
process_find_group(const char *group, gid_t *out, struct err *e)
{
	struct group gr, *found = NULL;
	size_t	     size = 1024;
	char	    *room = NULL;
	int	     rc;

	do { /* all names of the members must fit in */
		size *= 2;
		room = mem_realloc(room, size);
		rc = getgrnam_r(group, &gr, room, size, &found);
	} while (rc == ERANGE && size < NSS_BUFFER_MAX);
	if (found != NULL)
		*out = gr.gr_gid;
	mem_free(room);
	if (found == NULL)
		return err_set(e, "no such group: %s", group);
	return 0;
}

int
process_user_find(const char *user, const char *group,
    struct process_user *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	out->uid = (uid_t)-1;
	out->gid = (gid_t)-1;
	if (user != NULL && process_find_user(user, out, e) != 0)
		return -1;
	if (group != NULL && process_find_group(group, &out->gid, e) != 0)
		return -1;
	return 0;
}

/* A drop that was not one is worse than none: each part is read back. */
static bool
process_has_dropped(const struct process_user *u)
{
	uid_t r, f, s;
	gid_t gr, gf, gs;

	return getresuid(&r, &f, &s) == 0 && r == u->uid && f == u->uid &&
	    s == u->uid && getresgid(&gr, &gf, &gs) == 0 && gr == u->gid &&
	    gf == u->gid && gs == u->gid && getgroups(0, NULL) == 0 &&
	    setresuid((uid_t)-1, 0, (uid_t)-1) < 0 &&
	    setresgid((gid_t)-1, 0, (gid_t)-1) < 0;
}

int
process_drop(const struct process_user *u, struct err *e)
{
	int death_signal = 0;

	if (geteuid() != 0)
		return 0;
	if (u->uid == 0 || u->gid == 0 || u->uid == (uid_t)-1 ||
	    u->gid == (gid_t)-1)
		return err_set(e, "cannot change to user %ld, group %ld",
		    (long)u->uid, (long)u->gid);
	prctl(PR_GET_PDEATHSIG, &death_signal);
	if (setgroups(0, NULL) < 0)
		return err_sys(e, "setgroups");
	if (setresgid(u->gid, u->gid, u->gid) < 0)
		return err_sys(e, "setresgid %ld", (long)u->gid);
	if (setresuid(u->uid, u->uid, u->uid) < 0)
		return err_sys(e, "setresuid %ld", (long)u->uid);
	if (!process_has_dropped(u))
		return err_set(e, "privileges are still there after the "
				  "change to user %ld", (long)u->uid);
	/* the kernel forgets it with the change of user */
	if (death_signal != 0 && prctl(PR_SET_PDEATHSIG, death_signal) < 0)
		return err_sys(e, "prctl PR_SET_PDEATHSIG");
	return 0;
}

/* -- limits --------------------------------------------------------------- */

int
process_harden(struct err *e)
{
	const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, "prctl PR_SET_DUMPABLE");
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return err_sys(e, "setrlimit RLIMIT_CORE");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, "prctl PR_SET_NO_NEW_PRIVS");
	return 0;
}

int
process_files_max(unsigned long n, struct err *e)
{
	struct rlimit now, want;

	if (getrlimit(RLIMIT_NOFILE, &now) < 0)
		return err_sys(e, "getrlimit RLIMIT_NOFILE");
	want.rlim_cur = n;
	want.rlim_max = n > now.rlim_max ? n : now.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &want) == 0)
		return 0;
	want = now;
	want.rlim_cur = n < now.rlim_max ? n : now.rlim_max;
	if (errno != EPERM || setrlimit(RLIMIT_NOFILE, &want) < 0)
		return err_sys(e, "setrlimit RLIMIT_NOFILE %lu", n);
	return 0;
}

/* -- supervisor ----------------------------------------------------------- */

/* Nothing here may stop or hold up the daemon: failures are passed over. */
void
process_notify(const char *state)
{
	const struct timeval patience = { 1, 0 };
	const char	    *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un   to = { .sun_family = AF_UNIX };
	socklen_t	     len;
	size_t		     n;
	int		     fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return;
	n = strlen(path);
	if (n < 2 || n >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, n);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (path[0] == '@')
		to.sun_path[0] = '\0'; /* abstract: its length is the name's */
	else
		len++;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL,
		(const struct sockaddr *)&to, len) < 0)
		errno = 0; /* no answer is expected, and none is missed */
	close(fd);
}
