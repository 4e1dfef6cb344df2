/* SPDX-License-Identifier: ISC */
/*
 * The master with children of the test's making: this program is executed
 * again by the master, and does what the plan of its role says at its first,
 * second ... start (the last word holds for all further ones).
 */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "daemon/child_proto.h"
#include "daemon/keys.h"
#include "daemon/master.h"
#include "temp_folder.h"

enum { CHILD_CHANNEL = 3, SAID_MAX = 65536 };
static const char *const names[] = { "keys", "verifier", "relay" };
static char program[4096];

/* -- the child ------------------------------------------------------------ */

static void
part_say(enum child_kind kind, const char *text)
{
	char raw[256] = { (char)kind };

	strcpy(raw + 5, text);
	(void)!send(CHILD_CHANNEL, raw, 5 + strlen(text), 0);
}

/* true = this is the end */
static bool
part_take(const struct child_message *m)
{
	if (m->kind == CHILD_AUDIT_CUT)
		fprintf(stderr, "relay hears: audit cut, %.*s copied\n",
		    (int)m->text.n, m->text.p);
	return m->kind == CHILD_STOP;
}

static int
part_until_stop(void)
{
	static char	     raw[CHANNEL_MESSAGE_MAX];
	struct child_message m;
	struct pollfd	     p = { CHILD_CHANNEL, POLLIN, 0 };
	ssize_t		     n;

	while (poll(&p, 1, -1) == 1 &&
	    (n = recv(CHILD_CHANNEL, raw, sizeof(raw), 0)) > 0)
		if (child_read((struct bytes){ raw, (size_t)n }, &m) &&
		    part_take(&m))
			return 0;
	return 1;
}

/* The start that this is, by a file that grows with each. */
static long
part_count(const char *name)
{
	char path[256];
	int  fd;

	snprintf(path, sizeof(path), "%s/starts.%s", getenv("MASTER_DIR"),
	    name);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1)
		_exit(99);
	return lseek(fd, 0, SEEK_END);
}

static int
part_run(const char *name)
{
	char  key[32], plan[256];
	char *word, *next;
	long  start = part_count(name);

	snprintf(key, sizeof(key), "MASTER_PLAN_%s", name);
	snprintf(plan, sizeof(plan), "%s", getenv(key));
	word = strtok(plan, " ");
	while (--start > 0 && (next = strtok(NULL, " ")) != NULL)
		word = next;
	if (strcmp(word, "killed") == 0)
		raise(SIGKILL);
	if (strncmp(word, "exit", 4) == 0)
		return atoi(word + 4);
	if (strcmp(word, "fatal") == 0) {
		part_say(CHILD_FATAL, "this will never do");
		return 1;
	}
	if (strcmp(word, "wait") != 0)
		part_say(CHILD_READY, "");
	return part_until_stop();
}

/* -- the test's side ---------------------------------------------------------- */

struct bed {
	char  dir[TEMP_FOLDER_SIZE], conf[96];
	pid_t pid;
	FILE *from; /* standard error of the master, the log too */
	char  said[SAID_MAX];
	int64_t audit_every_ms;
};

static int
bed_make(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	temp_folder_make(b->dir, "master");
	snprintf(b->conf, sizeof(b->conf), "%s/conf", b->dir);
	setenv("MASTER_DIR", b->dir, 1);
	*state = b;
	return 0;
}

static int
bed_end(void **state)
{
	struct bed *b = *state;

	if (b->pid != 0)
		kill(b->pid, SIGKILL);
	temp_folder_remove(b->dir);
	free(b);
	return 0;
}

static void
bed_write_conf(struct bed *b)
{
	const struct passwd *u = getpwuid(geteuid());
	const struct group  *g = getgrgid(getegid());
	FILE		    *f = fopen(b->conf, "w");

	assert_non_null(f);
	fprintf(f, "server.name mail.relay.example\n"
	    "server.user %s\nserver.group %s\nserver.keys_user %s\n"
	    "server.verifier_user %s\nserver.threads 1\n"
	    "server.max_files 256\nserver.control_socket %s/control\n"
	    "store.dir %s/store\nlog.target stderr\naudit.file %s/audit\n"
	    "metrics.listen 127.0.0.1:0\n"
	    "listener clear {\n address 127.0.0.1:0\n tls none\n}\n"
	    "listener local {\n address unix:%s/submit\n tls none\n"
	    " role local\n}\n",
	    u->pw_name, g->gr_name, u->pw_name, u->pw_name, b->dir, b->dir,
	    b->dir, b->dir);
	assert_int_equal(fclose(f), 0);
}

static void
bed_start(struct bed *b, const char *keys, const char *verifier,
    const char *relay)
{
	struct master_options o = { .conf_path = b->conf, .program = program,
		.allow_volatile = true,
		.audit_every_ms = b->audit_every_ms };
	int		      ends[2];

	setenv("MASTER_PLAN_keys", keys, 1);
	setenv("MASTER_PLAN_verifier", verifier, 1);
	setenv("MASTER_PLAN_relay", relay, 1);
	bed_write_conf(b);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fflush(NULL);
	b->pid = fork();
	if (b->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(60);
		dup2(ends[1], STDERR_FILENO);
		_exit(master_run(&o));
	}
	assert_true(b->pid > 0);
	close(ends[1]);
	b->from = fdopen(ends[0], "r");
}

/* Reads on until a line has the text; false = the end came first. */
static bool
bed_read(struct bed *b, const char *text)
{
	char   line[2048];
	size_t n = strlen(b->said);

	while (fgets(line, sizeof(line), b->from) != NULL) {
		if (n + strlen(line) < sizeof(b->said)) {
			strcpy(b->said + n, line);
			n += strlen(line);
		}
		if (text != NULL && strstr(line, text) != NULL)
			return true;
	}
	return false;
}

static void
bed_must_read(struct bed *b, const char *text)
{
	if (!bed_read(b, text))
		fail_msg("no \"%s\" in: %s", text, b->said);
}

static int
bed_status(struct bed *b)
{
	int status;

	bed_read(b, NULL);
	fclose(b->from);
	assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
	b->pid = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
bed_stop(struct bed *b)
{
	kill(b->pid, SIGTERM);
	return bed_status(b);
}

static void
bed_starts(struct bed *b, long keys, long verifier, long relay)
{
	const long  wanted[] = { keys, verifier, relay };
	struct stat st;
	char	    path[96];
	size_t	    i;

	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/starts.%s", b->dir, names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, wanted[i]);
	}
}

/* The pid of the last relay that was started. */
static pid_t
bed_relay(struct bed *b)
{
	const char *at = b->said, *next, *sign = "child=relay pid=";

	while ((next = strstr(at, sign)) != NULL)
		at = next + strlen(sign);
	return atoi(at);
}

static void
bed_has(struct bed *b, const char *text)
{
	if (strstr(b->said, text) == NULL)
		fail_msg("no \"%s\" in: %s", text, b->said);
}

/* -- starting --------------------------------------------------------------- */

static void
master_starts_and_stops(void **state)
{
	struct bed *b = *state;

	bed_start(b, "ready", "ready", "ready");
	bed_must_read(b, " ready version=");
	assert_int_equal(bed_stop(b), 0);
	bed_starts(b, 1, 1, 1);
}

static void
master_restarts_who_is_killed_before_the_first_ready(void **state)
{
	struct bed *b = *state;

	bed_start(b, "killed ready", "killed ready", "killed killed ready");
	bed_must_read(b, " ready version=");
	assert_int_equal(bed_stop(b), 0);
	bed_has(b, "child-ended child=relay");
	bed_starts(b, 2, 2, 3);
}

static void
master_gives_up_a_relay_that_is_always_killed(void **state)
{
	struct bed *b = *state;

	bed_start(b, "ready", "ready", "killed");
	assert_int_equal(bed_status(b), 1);
	bed_has(b, "posthornd: the relay process was killed 5 times before "
		   "it was ready, last by signal 9; see the log\n");
	bed_starts(b, 1, 1, 5);
}

static void
master_ends_with_what_the_relay_says(void **state)
{
	struct bed *b = *state;

	bed_start(b, "ready", "ready", "fatal");
	assert_int_equal(bed_status(b), 1);
	bed_has(b, "posthornd: this will never do\n");
	assert_null(strstr(b->said, "see the log"));
	bed_starts(b, 1, 1, 1);
}

static void
master_ends_with_a_relay_that_ends_without_a_word(void **state)
{
	struct bed *b = *state;

	bed_start(b, "ready", "ready", "exit3");
	assert_int_equal(bed_status(b), 1);
	bed_has(b, "posthornd: the relay process cannot start (status 3); "
		   "see the log\n");
	bed_starts(b, 1, 1, 1);
}

static void
master_ends_with_keys_that_may_not_start(void **state)
{
	struct bed *b = *state;
	char	    plan[16];

	snprintf(plan, sizeof(plan), "exit%d", KEYS_EXIT_SETUP);
	bed_start(b, plan, "ready", "wait");
	assert_int_equal(bed_status(b), 1);
	bed_has(b, "posthornd: the keys process cannot start (status 78); "
		   "see the log\n");
	bed_starts(b, 1, 1, 1);
}

static void
master_lets_helpers_fail_at_the_start(void **state)
{
	struct bed *b = *state;

	bed_start(b, "exit1 ready", "exit1 ready", "ready");
	bed_must_read(b, " ready version=");
	assert_int_equal(bed_stop(b), 0);
}

/* -- later ------------------------------------------------------------------- */

static void
master_lives_on_whatever_children_do_later(void **state)
{
	struct bed *b = *state;

	bed_start(b, "ready", "ready", "ready fatal exit3 killed ready");
	bed_must_read(b, " ready version=");
	kill(bed_relay(b), SIGKILL);
	bed_must_read(b, "this will never do");
	bed_must_read(b, " ready version=");
	assert_int_equal(bed_stop(b), 0);
	bed_has(b, "signal=9");
	bed_has(b, "status=3");
	assert_null(strstr(b->said, "posthornd: "));
	bed_starts(b, 1, 1, 5);
}

static void
master_refuses_a_store_that_is_in_use(void **state)
{
	struct bed *b = *state;
	char	    path[96];
	int	    fd;

	snprintf(path, sizeof(path), "%s/store", b->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/store/lock", b->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	bed_start(b, "ready", "ready", "ready");
	assert_int_equal(bed_status(b), 1);
	bed_has(b, "posthornd: posthornd is running");
	close(fd);
	snprintf(path, sizeof(path), "%s/starts.relay", b->dir);
	assert_int_equal(access(path, F_OK), -1);
}

/* What lies in the relay's own folder: no way to files of root. */
static void
master_follows_no_link_of_others(void **state)
{
	struct bed *b = *state;
	struct stat st;
	char	    from[96], to[96], own[96];

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(b->dir, 0777), 0);
	snprintf(from, sizeof(from), "%s/audit", b->dir);
	snprintf(to, sizeof(to), "%s/elsewhere", b->dir);
	assert_int_equal(symlink(to, from), 0);
	bed_start(b, "ready", "ready", "ready");
	bed_must_read(b, " ready version=");
	bed_has(b, "file-unwritable path=");
	assert_int_equal(access(to, F_OK), -1);
	/* a second name of a file that is another's */
	snprintf(own, sizeof(own), "%s/own", b->dir);
	assert_int_equal(close(open(own, O_CREAT | O_WRONLY | O_CLOEXEC,
	    0600)), 0);
	assert_int_equal(unlink(from), 0);
	assert_int_equal(link(own, from), 0);
	kill(bed_relay(b), SIGKILL);
	bed_must_read(b, "Too many links");
	bed_must_read(b, " ready version=");
	assert_int_equal(bed_stop(b), 0);
	assert_int_equal(stat(own, &st), 0);
	assert_int_equal(st.st_size, 0);
}

/* Who asks is known by his uid: the sockets are open to all, nothing else. */
static void
master_makes_its_files_with_these_modes(void **state)
{
	static const struct {
		const char *name;
		mode_t	    mode;
	} files[] = { { "control", 0666 }, { "submit", 0666 },
		{ "audit", 0600 }, { "store", 0700 }, { "store/lock", 0600 } };
	struct bed *b = *state;
	struct stat st;
	char	    path[96];
	mode_t	    mask;
	size_t	    i;

	mask = umask(0077); /* for the files, not for the sockets */
	bed_start(b, "ready", "ready", "ready");
	umask(mask);
	bed_must_read(b, " ready version=");
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", b->dir, files[i].name);
		assert_int_equal(stat(path, &st), 0);
		if ((st.st_mode & 07777) != files[i].mode)
			fail_msg("%s: %04o", files[i].name,
			    (unsigned)(st.st_mode & 07777));
	}
	assert_int_equal(bed_stop(b), 0);
}

/* audit.keep also where nothing is reloaded for a year. */
static void
master_cuts_the_audit_log_by_day(void **state)
{
	static const char old[] = "{\"eventTime\":\"2001-01-01T00:00:00Z\"}\n",
			  young[] = "{\"eventTime\":"
				    "\"2999-01-01T00:00:00Z\"}\n";
	struct bed *b = *state;
	char	    path[96], text[200] = "";
	FILE	   *f;

	snprintf(path, sizeof(path), "%s/audit", b->dir);
	b->audit_every_ms = 24;
	bed_start(b, "ready", "ready", "ready");
	bed_must_read(b, " ready version=");
	f = fopen(path, "a");
	assert_non_null(f);
	fprintf(f, "%s%s", old, young);
	assert_int_equal(fclose(f), 0);
	snprintf(text, sizeof(text), "audit cut, %zu copied", sizeof(old) +
	    sizeof(young) - 2);
	bed_must_read(b, text);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	assert_string_equal(text, young);
	assert_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_int_equal(bed_stop(b), 0);
}

int
main(int argc, char **argv)
{
#define MASTER_TEST(f) cmocka_unit_test_setup_teardown(f, bed_make, bed_end)
	const struct CMUnitTest tests[] = {
		MASTER_TEST(master_starts_and_stops),
		MASTER_TEST(
		    master_restarts_who_is_killed_before_the_first_ready),
		MASTER_TEST(master_gives_up_a_relay_that_is_always_killed),
		MASTER_TEST(master_ends_with_what_the_relay_says),
		MASTER_TEST(master_ends_with_a_relay_that_ends_without_a_word),
		MASTER_TEST(master_ends_with_keys_that_may_not_start),
		MASTER_TEST(master_lets_helpers_fail_at_the_start),
		MASTER_TEST(master_lives_on_whatever_children_do_later),
		MASTER_TEST(master_refuses_a_store_that_is_in_use),
		MASTER_TEST(master_follows_no_link_of_others),
		MASTER_TEST(master_makes_its_files_with_these_modes),
		MASTER_TEST(master_cuts_the_audit_log_by_day),
	};

	if (argc == 2 && strncmp(argv[1], "--child=", 8) == 0)
		return part_run(argv[1] + 8);
	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
