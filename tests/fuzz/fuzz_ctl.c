/* SPDX-License-Identifier: ISC */
/*
 * What posthornctl makes of an answer: the first octet chooses how it is
 * shown, the first line names the command, the rest is what comes over the
 * control socket.  Nothing in it ends the program, and no control character of it
 * reaches the operator's terminal.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz_terminal.h"
#include "tools/ctl/ctl.h"

enum { FORMS = 3 };
enum show_flags {
	SHOW_NO_HEADER = 4,
	SHOW_LOCAL = 8,
	SHOW_NUMBERS = 16,
	SHOW_DRY = 32
};

static struct {
	struct sockaddr_un at;
	int		   fd;
	struct bytes	   answer; /* set before each call */
	sem_t		   is_done; /* with that answer */
} the_daemon;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- the daemon: one line in, the answer out -------------------------------- */

static void
daemon_serve(int fd)
{
	struct bytes rest;
	char	     c = '\0';
	ssize_t	     n;

	while (c != '\n' && recv(fd, &c, 1, 0) == 1)
		;
	for (rest = the_daemon.answer; rest.n > 0;
	     rest = bytes_from(rest, (size_t)n)) {
		n = send(fd, rest.p, rest.n, MSG_NOSIGNAL);
		if (n <= 0)
			break;
	}
	close(fd);
}

static void *
daemon_run(void *unused)
{
	int fd;

	(void)unused;
	while ((fd = accept(the_daemon.fd, NULL, NULL)) >= 0) {
		daemon_serve(fd);
		sem_post(&the_daemon.is_done);
	}
	return NULL;
}

static char folder[] = "/tmp/fuzz-ctl.XXXXXX";

static void
daemon_remove(void)
{
	unlink(the_daemon.at.sun_path);
	rmdir(folder);
}

static void
daemon_open(void)
{
	pthread_t thread;
	int	  n = sizeof(the_daemon.at.sun_path);

	must(mkdtemp(folder) != NULL);
	the_daemon.at.sun_family = AF_UNIX;
	must(snprintf(the_daemon.at.sun_path, (size_t)n, "%s/s", folder) < n);
	the_daemon.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	must(bind(the_daemon.fd, (struct sockaddr *)&the_daemon.at,
	    sizeof(the_daemon.at)) == 0);
	must(listen(the_daemon.fd, 4) == 0);
	must(sem_init(&the_daemon.is_done, 0, 0) == 0);
	atexit(daemon_remove);
	must(pthread_create(&thread, NULL, daemon_run, NULL) == 0);
}

/* -- commands --------------------------------------------------------------- */

/* NULL: there is no such command. */
static const struct ctl_command *
find_command(struct bytes verb)
{
	size_t t, k;

	for (t = 0; ctl_tables[t] != NULL; t++)
		for (k = 0; ctl_tables[t][k].verb != NULL; k++)
			if (bytes_eq(bytes_of(ctl_tables[t][k].verb), verb))
				return &ctl_tables[t][k];
	return NULL;
}

/* Those that make their calls themselves, and do nothing else. */
static bool
is_stream(const struct ctl_command *k)
{
	static const char *const verbs[] = { "queue list", "queue show",
		"event tail", "audit list", "audit tail", "feedback list",
		"feedback show", "stats" };
	size_t i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(k->verb, verbs[i]) == 0)
			return true;
	return false;
}

static void
ask(struct ctl *c)
{
	json_t *result = NULL;

	c->args = json_object();
	if (is_stream(c->command))
		(void)c->command->local(c);
	else
		(void)ctl_call(c, c->command->verb, NULL, &result);
	if (result != NULL)
		ctl_show(c, result);
	json_decref(result);
	json_decref(c->args);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum ctl_form forms[FORMS] = { CTL_TEXT, CTL_JSON,
		CTL_CSV };
	struct ctl   c = { .program = "posthornctl", .timeout_ms = 30000 };
	struct bytes rest;
	ptrdiff_t    end;

	if (size < 1)
		return 0;
	rest = (struct bytes){ (const char *)data + 1, size - 1 };
	end = bytes_find(rest, 0, '\n');
	c.command = end < 0 ? NULL : find_command(bytes_head(rest,
	    (size_t)end));
	if (c.command == NULL)
		return 0;
	if (the_daemon.fd == 0) {
		daemon_open();
		terminal_open();
	}
	the_daemon.answer = bytes_from(rest, (size_t)end + 1);
	c.socket_path = the_daemon.at.sun_path;
	c.form = forms[(data[0] & 3) % FORMS];
	c.no_header = (data[0] & SHOW_NO_HEADER) != 0;
	c.local_time = (data[0] & SHOW_LOCAL) != 0;
	c.http_json = (data[0] & SHOW_NUMBERS) != 0;
	c.dry_run = (data[0] & SHOW_DRY) != 0;
	ask(&c);
	while (sem_wait(&the_daemon.is_done) != 0)
		;
	terminal_check();
	return 0;
}
