/* SPDX-License-Identifier: ISC */
/*
 * replay - runs plays: the whole of posthornd on fake net, clock and threads.
 *
 *	replay [-v] [-j N] PLAY...
 *
 * Each play runs in a process and a folder of its own.  A failure is one line
 * "FILE:LINE: text" on standard error; the last line of the output says how
 * many passed and failed.  -v shows the log and all dialogues.
 */
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "play.h"
#include "world.h"

/* Of CPU, and, for a play that waits for ever, of a machine that may be busy. */
enum { REPLAY_LIMIT_S = 300, REPLAY_WAIT_S = 600, REPLAY_JOBS_MAX = 16 };

struct run {
	pid_t	    pid; /* 0 = free */
	const char *path;
	char	    dir[128];
};
struct replay {
	bool	   verbose;
	unsigned   jobs, running, passed, failed;
	struct run runs[REPLAY_JOBS_MAX];
};

static int
replay_remove(const char *path, const struct stat *st, int what,
    struct FTW *place)
{
	(void)st;
	(void)what;
	(void)place;
	return remove(path);
}

static void
replay_play(const struct run *r, bool verbose)
{
	const struct itimerval limit = { .it_value.tv_sec = REPLAY_LIMIT_S };
	struct play	      *p;
	bool		       was_killed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	setitimer(ITIMER_PROF, &limit, NULL);
	alarm(REPLAY_WAIT_S);
	p = play_open(r->path, r->dir, verbose);
	play_run(p);
	was_killed = p->world->was_killed;
	play_close(p);
	fflush(stdout);
	/* what a killed relay held is lost on purpose */
	if (was_killed)
		_exit(0);
	exit(0);
}

static void
replay_wait(struct replay *x)
{
	int	 status;
	pid_t	 pid = waitpid(-1, &status, 0);
	unsigned i;

	for (i = 0; i < x->jobs && x->runs[i].pid != pid; i++)
		;
	if (i == x->jobs)
		return;
	if (WIFSIGNALED(status))
		fprintf(stderr, "%s:0: ended by signal %d%s\n",
		    x->runs[i].path, WTERMSIG(status),
		    WTERMSIG(status) == SIGALRM ||
		    WTERMSIG(status) == SIGPROF ? " (takes too long)" : "");
	else if (WEXITSTATUS(status) > 1)
		fprintf(stderr, "%s:0: ended with status %d\n",
		    x->runs[i].path, WEXITSTATUS(status));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		x->passed++;
	else
		x->failed++;
	nftw(x->runs[i].dir, replay_remove, 8, FTW_DEPTH | FTW_PHYS);
	x->runs[i].pid = 0;
	x->running--;
}

static void
replay_begin(struct replay *x, const char *path)
{
	const char *tmp = getenv("TMPDIR");
	struct run *r = x->runs;

	while (r->pid != 0)
		r++;
	r->path = path;
	snprintf(r->dir, sizeof(r->dir), "%.60s/posthorn-replay-XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(r->dir) == NULL) {
		perror(r->dir);
		exit(1);
	}
	r->pid = fork();
	if (r->pid < 0) {
		perror("fork");
		exit(1);
	}
	if (r->pid == 0)
		replay_play(r, x->verbose);
	x->running++;
}

int
main(int argc, char **argv)
{
	struct replay x = { .jobs = 2 };
	int	      opt;

	while ((opt = getopt(argc, argv, "vj:")) != -1)
		switch (opt) {
		case 'v':
			x.verbose = true;
			x.jobs = 1;
			break;
		case 'j':
			x.jobs = (unsigned)atoi(optarg);
			break;
		default:
			fprintf(stderr, "usage: replay [-v] [-j N] PLAY...\n");
			return 2;
		}
	if (x.jobs < 1 || x.jobs > REPLAY_JOBS_MAX)
		x.jobs = 1;
	for (; optind < argc; optind++) {
		if (x.running == x.jobs)
			replay_wait(&x);
		replay_begin(&x, argv[optind]);
	}
	while (x.running > 0)
		replay_wait(&x);
	printf("replay: %u passed, %u failed\n", x.passed, x.failed);
	return x.failed > 0;
}
