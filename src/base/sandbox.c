/* SPDX-License-Identifier: ISC */
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* -- files: landlock ------------------------------------------------------ */

/* As the kernel reads it; the headers of older ones know the first member. */
struct landlock_rules {
	uint64_t files, net, scoped;
};

/* Rights by the version of the kernel's interface; those a file can have. */
static const uint64_t fs_version_1 = (1 << 13) - 1;
static const uint64_t fs_refer = 1 << 13;     /* 2 */
static const uint64_t fs_truncate = 1 << 14;  /* 3 */
static const uint64_t fs_ioctl_dev = 1 << 15; /* 5 */
static const uint64_t net_bind_and_connect = 3; /* 4; TCP */
/* 6: names of sockets that are no files, signals, of processes outside */
static const uint64_t scope_all = 3;
static const uint64_t fs_of_file = LANDLOCK_ACCESS_FS_EXECUTE |
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | 1 << 14 |
    1 << 15;

static int
sandbox_allow_paths(int ruleset, const char *const *paths, uint64_t rights,
    struct err *e)
{
	struct landlock_path_beneath_attr rule;
	struct stat			  st;
	int				  fd;

	for (; paths != NULL && *paths != NULL; paths++) {
		fd = open(*paths, O_PATH | O_CLOEXEC);
		if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
			continue;
		if (fd < 0 || fstat(fd, &st) < 0) {
			err_sys(e, "sandbox: open %s", *paths);
			if (fd >= 0)
				close(fd);
			return -1;
		}
		memset(&rule, 0, sizeof(rule));
		rule.parent_fd = fd;
		rule.allowed_access =
		    S_ISDIR(st.st_mode) ? rights : rights & fs_of_file;
		if (syscall(SYS_landlock_add_rule, ruleset,
			LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) {
			err_sys(e, "sandbox: %s", *paths);
			close(fd);
			return -1;
		}
		close(fd);
	}
	return 0;
}

/* What is named here and allowed by no rule is forbidden. */
static struct landlock_rules
sandbox_rules_of(long version, unsigned does, enum sandbox_mode mode)
{
	struct landlock_rules r = { fs_version_1, 0, 0 };

	r.files |= (version > 1 ? fs_refer : 0) |
	    (version > 2 ? fs_truncate : 0) | (version > 4 ? fs_ioctl_dev : 0);
	if (mode != SANDBOX_ENFORCE) /* the rest is about calls */
		return r;
	if (version > 3 && (does & (SANDBOX_NETWORK | SANDBOX_CONNECT)) == 0)
		r.net = net_bind_and_connect;
	if (version > 5)
		r.scoped = scope_all;
	return r;
}

/* The kernel takes what is behind its own members when it is zero. */
static int
sandbox_ruleset(const struct landlock_rules *r)
{
	size_t size = r->scoped != 0 ? sizeof(*r) : r->net != 0 ?
	    2 * sizeof(uint64_t) : sizeof(uint64_t);

	return (int)syscall(SYS_landlock_create_ruleset, r, size, 0);
}

static int
sandbox_enter_files(const struct sandbox *s, enum sandbox_mode mode,
    bool *in_force, struct err *e)
{
	struct landlock_rules rules;
	long		      version;
	int		      ruleset, rc = -1;

	version = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
		return 0;
	if (version < 0)
		return err_sys(e, "sandbox: landlock");
	rules = sandbox_rules_of(version, s->does, mode);
	ruleset = sandbox_ruleset(&rules);
	if (ruleset < 0)
		return err_sys(e, "sandbox: landlock_create_ruleset");
	if (sandbox_allow_paths(ruleset, s->read,
		LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
		e) != 0 ||
	    sandbox_allow_paths(ruleset, s->write,
		rules.files & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE,
		e) != 0)
		goto out;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) {
		err_sys(e, "sandbox: landlock_restrict_self");
		goto out;
	}
	*in_force = true;
	rc = 0;
out:
	close(ruleset);
	return rc;
}

/* -- calls: seccomp ------------------------------------------------------- */

/* What every process needs: memory, threads, time, open descriptors. */
static const char *const calls_of_all[] = {
	"brk", "munmap", "mremap", "madvise", "mincore", "membarrier",
	"futex", "set_robust_list", "get_robust_list", "rseq", "sched_yield",
	"sched_getaffinity", "getcpu", "gettid", "getpid", "getppid", "getuid",
	"geteuid", "getgid", "getegid", "exit", "exit_group", "arch_prctl",
	"set_tid_address", "restart_syscall", "uname", "sysinfo", "getrusage",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
	"sigaltstack", "clock_gettime", "clock_getres", "clock_nanosleep",
	"nanosleep", "gettimeofday", "time", "timerfd_create",
	"timerfd_settime", "timerfd_gettime", "adjtimex", "getrandom", "read", "readv",
	"pread64", "preadv", "write", "writev", "lseek", "close",
	"close_range", "dup", "dup2", "dup3", "fstat", "newfstatat",
	"statx", "poll", "ppoll", "select", "pselect6", "epoll_create",
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
	"epoll_pwait2", "eventfd2", "pipe", "pipe2", "sendmsg", "recvmsg",
	"sendto", "recvfrom", "sendmmsg", "recvmmsg", "shutdown",
	"getsockopt", "setsockopt", "getsockname", "getpeername", NULL
};
static const char *const calls_opens[] = { "open", "openat", "openat2",
	"access", "faccessat", "faccessat2", "stat", "lstat", "readlink",
	"readlinkat", "getdents64", "getcwd", "fstatfs", "statfs", NULL };
static const char *const calls_stores[] = { "pwrite64", "pwritev",
	"fdatasync", "fsync", "msync", "ftruncate", "fallocate", "flock",
	"mkdir", "mkdirat", "unlink", "unlinkat", "rename", "renameat",
	"renameat2", "fchmod", "chmod", "fchown", "copy_file_range", "sendfile",
	"fadvise64", NULL };
static const char *const calls_local[] = { "connect", NULL };
/* No listen: the sockets come from the master. */
static const char *const calls_network[] = { "bind", "accept", "accept4",
	NULL };

/* Of these no process of ours has need; an intruder has. */
static const char *const calls_never[] = { "execve", "execveat", "fork",
	"vfork", "ptrace", "process_vm_readv", "process_vm_writev", "kill",
	"tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open",
	"pidfd_getfd", "pidfd_send_signal", "kcmp", "setuid", "setgid",
	"setreuid", "setregid", "setresuid", "setresgid", "setgroups",
	"setfsuid", "setfsgid", "capset", "chroot", "pivot_root", "mount",
	"umount2", "move_mount", "open_tree", "fsopen", "fsmount", "unshare",
	"setns", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
	"io_uring_enter", "io_uring_register", "listen", "keyctl", "add_key",
	"request_key", "init_module", "finit_module", "delete_module",
	"kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff",
	"sethostname", "setdomainname", "settimeofday", "clock_settime",
	"iopl", "ioperm", "personality", "modify_ldt", "name_to_handle_at",
	"open_by_handle_at", "fanotify_init", "link", "linkat", "symlink",
	"symlinkat", "mknod", "mknodat", "chown", "lchown",
	"fchownat", "setxattr", "lsetxattr", "fsetxattr", "acct",
	"quotactl", "vhangup", "memfd_secret", NULL };

/* One argument of a call: equal to a value, or to it where the mask is set. */
static struct scmp_arg_cmp
arg_is(unsigned arg, scmp_datum_t value)
{
	struct scmp_arg_cmp c = { .arg = arg, .op = SCMP_CMP_EQ,
		.datum_a = value };

	return c;
}

static struct scmp_arg_cmp
arg_has(unsigned arg, scmp_datum_t mask, scmp_datum_t value)
{
	struct scmp_arg_cmp c = { .arg = arg, .op = SCMP_CMP_MASKED_EQ,
		.datum_a = mask, .datum_b = value };

	return c;
}

struct filter {
	scmp_filter_ctx ctx;
	bool		logs; /* what has no right happens, and is logged */
};

/* The call, or only where one argument fits. */
static int
filter_add(struct filter *f, uint32_t action, int nr,
    const struct scmp_arg_cmp *arg)
{
	if (f->logs && action != SCMP_ACT_ALLOW)
		return 0; /* as all that has no rule */
	return seccomp_rule_add_array(f->ctx, action, nr, arg != NULL, arg);
}

/* A name that this machine's kernel interface does not have is passed over. */
static int
calls_add(struct filter *f, uint32_t action, const char *const *names)
{
	int nr, rc = 0;

	for (; rc == 0 && *names != NULL; names++) {
		nr = seccomp_syscall_resolve_name(*names);
		if (nr != __NR_SCMP_ERROR)
			rc = filter_add(f, action, nr, NULL);
		if (rc == -EDOM) /* known, but not of this machine */
			rc = 0;
	}
	return rc;
}

/* What is not granted is not tried by libraries either. */
static int
calls_grant(struct filter *f, bool granted, const char *const *names)
{
	return calls_add(f, granted ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS,
	    names);
}

/* Memory that is written is never executed, and nothing new is loaded. */
static int
calls_add_memory(struct filter *f)
{
	static const int	  calls[] = { SCMP_SYS(mmap),
		     SCMP_SYS(mprotect) };
	const struct scmp_arg_cmp data = arg_has(2, PROT_EXEC, 0);
	const struct scmp_arg_cmp code = arg_has(2, PROT_EXEC, PROT_EXEC);
	size_t			  i;
	int			  rc = 0;

	for (i = 0; rc == 0 && i < sizeof(calls) / sizeof(calls[0]); i++) {
		rc = filter_add(f, SCMP_ACT_ALLOW, calls[i], &data);
		if (rc == 0)
			rc = filter_add(f, SCMP_ACT_ERRNO(EACCES), calls[i],
			    &code);
	}
	return rc;
}

/*
 * Threads, no processes.  The flags of clone3 lie in memory, where a filter
 * cannot look: it is on no list, so that the C library takes clone.
 */
static int
calls_add_threads(struct filter *f)
{
	const struct scmp_arg_cmp thread = arg_has(0, CLONE_THREAD,
	    CLONE_THREAD);
	const struct scmp_arg_cmp process = arg_has(0, CLONE_THREAD, 0);
	const struct scmp_arg_cmp own = arg_is(0, (scmp_datum_t)getpid());
	const struct scmp_arg_cmp itself = arg_is(0, 0);
	int			  rc;

	rc = filter_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), &thread);
	if (rc == 0)
		rc = filter_add(f, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone),
		    &process);
	/* to itself: how a process ends that found its own bug */
	if (rc == 0)
		rc = filter_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), &own);
	if (rc == 0)
		rc = filter_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64),
		    &itself);
	return rc;
}

/* Of a call with many faces, these. */
static int
calls_add_faces(struct filter *f, int nr, unsigned arg,
    const scmp_datum_t *values, size_t n)
{
	struct scmp_arg_cmp one;
	size_t		    i;
	int		    rc = 0;

	for (i = 0; rc == 0 && i < n; i++) {
		one = arg_is(arg, values[i]);
		rc = filter_add(f, SCMP_ACT_ALLOW, nr, &one);
	}
	return rc;
}

static int
calls_add_options(struct filter *f)
{
	static const scmp_datum_t prctls[] = { PR_SET_NAME, PR_GET_NAME,
		PR_SET_PDEATHSIG, PR_GET_DUMPABLE, 0x53564d41 /* SET_VMA */ };
	static const scmp_datum_t ioctls[] = { FIONREAD, FIONBIO, FIOCLEX,
		TCGETS };
	/* not who gets a signal, and which (F_SETOWN, F_SETSIG) */
	static const scmp_datum_t fcntls[] = { F_DUPFD, F_DUPFD_CLOEXEC,
		F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK,
		F_SETLKW };
	int			  rc;

	rc = calls_add_faces(f, SCMP_SYS(prctl), 0, prctls,
	    sizeof(prctls) / sizeof(prctls[0]));
	if (rc == 0)
		rc = calls_add_faces(f, SCMP_SYS(fcntl), 1, fcntls,
		    sizeof(fcntls) / sizeof(fcntls[0]));
	if (rc == 0)
		rc = calls_add_faces(f, SCMP_SYS(ioctl), 1, ioctls,
		    sizeof(ioctls) / sizeof(ioctls[0]));
	return rc;
}

/* No datagrams: those could be sent to any address without connect. */
static int
calls_add_pairs(struct filter *f)
{
	static const scmp_datum_t types[] = { SOCK_STREAM, SOCK_SEQPACKET };
	struct scmp_arg_cmp	  both[2] = { arg_is(0, AF_UNIX) };
	size_t			  i;
	int			  rc = 0;

	for (i = 0; rc == 0 && i < sizeof(types) / sizeof(types[0]); i++) {
		both[1] = arg_has(1,
		    ~(scmp_datum_t)(SOCK_CLOEXEC | SOCK_NONBLOCK), types[i]);
		rc = seccomp_rule_add_array(f->ctx, SCMP_ACT_ALLOW,
		    SCMP_SYS(socketpair), 2, both);
	}
	return rc;
}

static int
calls_add_sockets(struct filter *f, unsigned does)
{
	bool	     network = (does & SANDBOX_NETWORK) != 0;
	bool	     asks = network || (does & SANDBOX_CONNECT) != 0;
	bool	     local = asks || (does & SANDBOX_LOCAL) != 0, allowed;
	struct scmp_arg_cmp one;
	scmp_datum_t	    family;
	int		    rc;

	rc = calls_grant(f, local, calls_local);
	if (rc == 0)
		rc = calls_grant(f, network, calls_network);
	for (family = 0; rc == 0 && family < AF_MAX; family++) {
		allowed = (local && family == AF_UNIX) ||
		    (asks && (family == AF_INET || family == AF_INET6));
		one = arg_is(0, family);
		rc = filter_add(f, allowed ? SCMP_ACT_ALLOW
					   : SCMP_ACT_ERRNO(EACCES),
		    SCMP_SYS(socket), &one);
	}
	return rc == 0 ? calls_add_pairs(f) : rc;
}

static int
calls_add_all(struct filter *f, unsigned does)
{
	uint32_t open = (does & SANDBOX_OPENS) != 0 ? SCMP_ACT_ALLOW
						    : SCMP_ACT_ERRNO(EACCES);
	int	 rc;

	rc = calls_add(f, SCMP_ACT_ALLOW, calls_of_all);
	if (rc == 0)
		rc = calls_add(f, SCMP_ACT_KILL_PROCESS, calls_never);
	if (rc == 0)
		rc = calls_add(f, open, calls_opens);
	if (rc == 0)
		rc = calls_grant(f, (does & SANDBOX_STORES) != 0,
		    calls_stores);
	if (rc == 0)
		rc = calls_add_memory(f);
	if (rc == 0)
		rc = calls_add_threads(f);
	if (rc == 0)
		rc = calls_add_options(f);
	if (rc == 0)
		rc = calls_add_sockets(f, does);
	return rc;
}

static int
sandbox_enter_calls(unsigned does, enum sandbox_mode mode, bool *in_force,
    struct err *e)
{
	struct filter f = { NULL, mode == SANDBOX_LOG };
	int	      rc;

	if (prctl(PR_GET_SECCOMP) < 0 && errno == EINVAL)
		return 0; /* a kernel without it */
	f.ctx = seccomp_init(f.logs ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(ENOSYS));
	if (f.ctx == NULL)
		return err_set(e, "sandbox: seccomp_init");
	/* calls by the numbers of another machine: i386, x32 */
	rc = seccomp_attr_set(f.ctx, SCMP_FLTATR_ACT_BADARCH, f.logs ?
	    SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS);
	if (rc == 0)
		rc = calls_add_all(&f, does);
	if (rc == 0)
		rc = seccomp_load(f.ctx);
	seccomp_release(f.ctx);
	if (rc != 0) {
		errno = -rc;
		return err_sys(e, "sandbox: seccomp");
	}
	*in_force = true;
	return 0;
}

/* -- both ----------------------------------------------------------------- */

int
sandbox_enter(const struct sandbox *s, enum sandbox_mode mode,
    struct sandbox_got *got, struct err *e)
{
	got->files = got->calls = false;
	if (mode == SANDBOX_OFF)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, "prctl PR_SET_NO_NEW_PRIVS");
	if (sandbox_enter_files(s, mode, &got->files, e) != 0)
		return -1;
	return sandbox_enter_calls(s->does, mode, &got->calls, e);
}

const char *
sandbox_lacks(const struct sandbox_got *got, enum sandbox_mode mode)
{
	if (mode == SANDBOX_OFF)
		return "server.sandbox is off";
	if (!got->files && !got->calls)
		return "the kernel has neither landlock nor seccomp";
	if (!got->files)
		return "the kernel has no landlock";
	return got->calls ? NULL : "the kernel has no seccomp";
}
