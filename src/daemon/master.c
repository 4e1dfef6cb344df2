/* SPDX-License-Identifier: ISC */
/*
 * Life of a child:
 *
 *	(none) -- master_spawn --> started -- CHILD_READY --> ready
 *	started, ready -- exit --> waiting for its back-off --> started
 *	any -- master_stop --> told to stop -- exit --> (none)
 *	started, ready -- hangs (master_watch.c) --> killed
 *
 * Order: keys and verifier first, then relay, whose READY is the service's.
 * At the end the other way round.  Before the first READY of the relay the
 * start has failed, and the master ends with status 1, when a child says why
 * it cannot go on (CHILD_FATAL), when relay or keys end by themselves, or
 * when one of those was killed EARLY_DEATHS_MAX times; a single death by a
 * signal is one like any other.  Later nothing ends the master but a stop.
 */
#include "daemon/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "config.h"
#include "daemon/keys.h"
#include "daemon/master_private.h"

enum {
	BACK_OFF_MIN_MS = 100,
	BACK_OFF_MAX_MS = 10000,
	GOOD_LIFE_MS = 10000, /* after it the back-off begins anew */
	EARLY_DEATHS_MAX = 5,
	STOP_MARGIN_MS = 90000,
	MASTER_FEED = 1024
};

static void master_start_child(void *child, void *unused);
static void master_on_child_message(void *child, struct bytes message, int fd);
static void master_on_child_close(void *child);

/* -- starting ------------------------------------------------------------- */

struct master_exec {
	const char *program, *name;
	int	    fd;
};

/* In the new process: posthornd again, with descriptor 3 as its channel. */
static int
master_exec_child(void *arg)
{
	struct master_exec *x = arg;
	char		    role[64];
	char *const	    argv[] = { (char *)(uintptr_t)x->program, role,
		NULL };

	snprintf(role, sizeof(role), "--child=%s", x->name);
	if (x->fd == 3) {
		fcntl(3, F_SETFD, 0);
	} else if (dup2(x->fd, 3) < 0)
		return 1;
	execv(x->program, argv);
	fprintf(stderr, "posthornd: exec %s: %s\n", x->program,
	    strerror(errno));
	return 1;
}

static const struct channel_events master_child_events = {
	master_on_child_message, master_on_child_close
};

/* Fresh pairs between each asking loop of relay and keys. */
static void
master_connect_keys(struct master *m)
{
	struct child *keys = &m->children[CHILD_KEYS];
	struct child *relay = &m->children[CHILD_RELAY];
	struct err    e;
	uint32_t      i;
	int	      fds[2];

	if (keys->channel == NULL || relay->channel == NULL)
		return;
	/* one a submission loop, and one for the main loop */
	for (i = 0; i <= m->now.conf->server.threads; i++) {
		if (channel_pair(fds, &e) != 0) {
			log_error("channel-failed", "reason=\"%s\"", e.text);
			return;
		}
		if (!child_send(keys->channel, CHILD_PEER_KEYS, i, BYTES(""),
			fds[0]))
			close(fds[0]);
		if (!child_send(relay->channel, CHILD_PEER_KEYS, i, BYTES(""),
			fds[1]))
			close(fds[1]);
	}
}

static void
master_connect_verifier(struct master *m)
{
	struct child *verifier = &m->children[CHILD_VERIFIER];
	struct child *relay = &m->children[CHILD_RELAY];
	struct err    e;
	int	      fds[2];

	if (verifier->channel == NULL || relay->channel == NULL)
		return;
	if (channel_pair(fds, &e) != 0) {
		log_error("channel-failed", "reason=\"%s\"", e.text);
		return;
	}
	if (!child_send(verifier->channel, CHILD_PEER_VERIFIER, 0, BYTES(""),
		fds[0]))
		close(fds[0]);
	if (!child_send(relay->channel, CHILD_PEER_VERIFIER, 0, BYTES(""),
		fds[1]))
		close(fds[1]);
}

static int
master_spawn(struct child *c, struct err *e)
{
	struct master	   *m = c->master;
	struct master_exec  x = { m->options->program,
		child_name_to_text(c->name), -1 };
	struct process_spec spec = { x.name, master_exec_child, &x };
	int		    fds[2];

	if (channel_pair(fds, e) != 0)
		return -1;
	x.fd = fds[1];
	c->pid = process_start(&spec, e);
	close(fds[1]);
	if (c->pid < 0) {
		c->pid = 0;
		close(fds[0]);
		return -1;
	}
	c->channel = channel_open(m->loop, fds[0], &master_child_events, c, e);
	if (c->channel == NULL) {
		kill(c->pid, SIGKILL);
		return -1;
	}
	c->started = loop_now(m->loop);
	c->ready = false;
	c->silent = 0;
	log_info("child-started", "child=%s pid=%ld", x.name, (long)c->pid);
	master_send_files(m, c, &m->begun);
	if (m->now.kept != NULL) {
		child_send(c->channel, CHILD_BEGUN, 0, BYTES(""), -1);
		master_send_files(m, c, &m->now);
	}
	if (c->name == CHILD_RELAY)
		master_send_sockets(m, c);
	if (c->name != CHILD_VERIFIER)
		master_connect_keys(m);
	if (c->name != CHILD_KEYS)
		master_connect_verifier(m);
	child_send(c->channel, CHILD_GO, 0, BYTES(""), -1);
	return 0;
}

static void
master_start_child(void *child, void *unused)
{
	struct child *c = child;
	struct err    e;

	(void)unused;
	if (c->master->stopping || c->pid != 0)
		return;
	if (master_spawn(c, &e) != 0) {
		log_error("child-failed", "child=%s reason=\"%s\"",
		    child_name_to_text(c->name), e.text);
		timer_set(&c->restart, BACK_OFF_MAX_MS);
	}
}

/* -- ending --------------------------------------------------------------- */

static void
master_end_helpers(struct master *m)
{
	unsigned i;

	for (i = 0; i < CHILD_RELAY; i++)
		if (m->children[i].channel != NULL)
			child_send(m->children[i].channel, CHILD_STOP, 0,
			    BYTES(""), -1);
}

static void
master_kill_all(void *master, void *unused)
{
	struct master *m = master;
	unsigned       i;

	(void)unused;
	for (i = 0; i < CHILDREN; i++)
		if (m->children[i].pid != 0)
			kill(m->children[i].pid, SIGKILL);
}

static void
master_stop(struct master *m, bool now)
{
	struct child *relay = &m->children[CHILD_RELAY];
	unsigned      i;

	if (m->stopping && !now)
		return;
	m->stopping = true;
	process_notify("STOPPING=1");
	log_info("stopping", "now=%s", now ? "yes" : "no");
	timer_clear(&m->audit_due);
	for (i = 0; i < CHILDREN; i++)
		timer_clear(&m->children[i].restart);
	timer_clear(&m->watch);
	timer_clear(&m->sockets);
	master_close_listeners(m);
	timer_set(&m->give_up, now ? 5000
				   : m->now.conf->smtp.shutdown_grace_ms +
				       STOP_MARGIN_MS);
	if (relay->channel != NULL)
		child_send(relay->channel, CHILD_STOP, now, BYTES(""), -1);
	else
		master_end_helpers(m);
}

/* The start has failed: said on standard error, then the end. */
static void
master_fail(struct master *m, const char *text)
{
	fprintf(stderr, "posthornd: %s\n", text);
	m->failed = true;
	master_stop(m, true);
}

/* Before the first READY: will it be better by trying again? */
static bool
master_is_hopeless(const struct master *m, const struct child *c, int status,
    char *why, size_t size)
{
	const char *name = child_name_to_text(c->name);

	if (m->was_ready || m->failed)
		return false;
	if (WIFSIGNALED(status) && c->name != CHILD_VERIFIER &&
	    c->early_deaths >= EARLY_DEATHS_MAX) {
		snprintf(why, size, "the %s process was killed %u times "
		    "before it was ready, last by signal %d; see the log",
		    name, c->early_deaths, WTERMSIG(status));
		return true;
	}
	if (WIFEXITED(status) &&
	    (c->name == CHILD_RELAY || (c->name == CHILD_KEYS &&
		WEXITSTATUS(status) == KEYS_EXIT_SETUP))) {
		snprintf(why, size, "the %s process cannot start (status %d); "
		    "see the log", name, WEXITSTATUS(status));
		return true;
	}
	return false;
}

/* Only the last one to go lets the master go. */
static void
master_look_ended(struct master *m, const struct child *gone)
{
	unsigned i;

	if (gone->name == CHILD_RELAY)
		master_end_helpers(m);
	for (i = 0; i < CHILDREN; i++)
		if (m->children[i].pid != 0)
			return;
	loop_stop(m->loop);
}

static void
master_restart_later(struct child *c)
{
	int64_t lived = loop_now(c->master->loop).ms - c->started.ms;

	if (lived >= GOOD_LIFE_MS)
		c->back_off_ms = BACK_OFF_MIN_MS;
	timer_set(&c->restart, c->is_replaced ? 0 : c->back_off_ms);
	if (!c->is_replaced) {
		c->back_off_ms *= 2;
		if (c->back_off_ms > BACK_OFF_MAX_MS)
			c->back_off_ms = BACK_OFF_MAX_MS;
	}
	c->is_replaced = false;
}

static void
master_after_exit(struct master *m, struct child *c, int status)
{
	char why[200];

	if (WIFSIGNALED(status) && !m->was_ready)
		c->early_deaths++;
	if (!m->stopping && master_is_hopeless(m, c, status, why, sizeof(why)))
		master_fail(m, why);
	if (m->stopping)
		master_look_ended(m, c);
	else
		master_restart_later(c);
}

static void
master_on_sigchld(void *master, void *signo)
{
	struct master *m = master;
	struct child  *c;
	unsigned       i;
	int	       status;
	pid_t	       pid;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < CHILDREN && m->children[i].pid != pid; i++)
			;
		if (i == CHILDREN)
			continue;
		c = &m->children[i];
		if (!c->is_replaced && (WIFSIGNALED(status) ||
			WEXITSTATUS(status) != 0 || !m->stopping))
			log_warn("child-ended",
			    "child=%s pid=%ld signal=%d status=%d",
			    child_name_to_text(c->name), (long)pid,
			    WIFSIGNALED(status) ? WTERMSIG(status) : 0,
			    WIFEXITED(status) ? WEXITSTATUS(status) : -1);
		c->pid = 0;
		if (c->channel != NULL)
			channel_drain(c->channel); /* why it ended */
		channel_close(c->channel);
		c->channel = NULL;
		master_after_exit(m, c, status);
	}
}

static void
master_on_child_close(void *child)
{
	struct child *c = child;

	/* SIGCHLD follows and says how it ended */
	channel_close(c->channel);
	c->channel = NULL;
}

/* -- what children and signals say ---------------------------------------- */

static void
master_on_child_message(void *child, struct bytes message, int fd)
{
	struct child	    *c = child;
	struct master	    *m = c->master;
	struct child_message x;
	char		     why[ERR_TEXT_MAX];

	if (fd >= 0)
		close(fd);
	if (!child_read(message, &x))
		return;
	switch (x.kind) {
	case CHILD_READY:
		c->ready = true;
		if (c->name != CHILD_RELAY || m->stopping)
			break;
		m->was_ready = true;
		log_info("ready", "version=%s", PACKAGE_VERSION);
		process_notify("READY=1");
		master_ask_reload(m);
		break;
	case CHILD_FATAL:
		log_error("child-refused", "child=%s reason=\"%.*s\"",
		    child_name_to_text(c->name), (int)x.text.n, x.text.p);
		if (!m->was_ready && !m->failed)
			master_fail(m, bytes_text(x.text, why, sizeof(why)));
		break;
	case CHILD_RELOAD_REQUEST:
		master_reload(m, x.index);
		break;
	case CHILD_RELOAD_RESULT:
		if (c->name == CHILD_RELAY)
			master_on_reload_result(m, x.index, x.text);
		break;
	case CHILD_STOP_REQUEST:
		master_stop(m, x.index == 1);
		break;
	case CHILD_PONG:
		c->silent = 0;
		break;
	default:
		break;
	}
}

/* -- the whole ------------------------------------------------------------ */

static void
master_on_signal(void *master, void *signo)
{
	struct master *m = master;

	/* event files: none is held open, but who renames them says so */
	if ((intptr_t)signo == SIGUSR1)
		return;
	if ((intptr_t)signo != SIGHUP)
		master_stop(m, m->stopping);
	else if (!m->stopping)
		master_reload(m, 0);
}

static int
master_begin(struct master *m, struct err *e)
{
	unsigned i;

	if (master_find_users(m, e) != 0 || master_open_log(m, e) != 0 ||
	    process_harden(e) != 0 ||
	    process_files_max(m->now.conf->server.max_files, e) != 0 ||
	    master_lock_store(m, e) != 0)
		return -1;
	m->loop = loop_new("master", MASTER_FEED, e);
	if (m->loop == NULL || master_bind(m, e) != 0 ||
	    loop_on_signal(m->loop, SIGTERM, master_on_signal, m, e) != 0 ||
	    loop_on_signal(m->loop, SIGINT, master_on_signal, m, e) != 0 ||
	    loop_on_signal(m->loop, SIGHUP, master_on_signal, m, e) != 0 ||
	    loop_on_signal(m->loop, SIGUSR1, master_on_signal, m, e) != 0 ||
	    loop_on_signal(m->loop, SIGCHLD, master_on_sigchld, m, e) != 0)
		return -1;
	timer_init(&m->give_up, m->loop, master_kill_all, m);
	timer_init(&m->audit_due, m->loop, master_on_audit_due, m);
	for (i = 0; i < CHILDREN; i++) {
		m->children[i].master = m;
		m->children[i].name = (enum child_name)i;
		m->children[i].back_off_ms = BACK_OFF_MIN_MS;
		timer_init(&m->children[i].restart, m->loop,
		    master_start_child, &m->children[i]);
	}
	for (i = 0; i < CHILDREN; i++)
		if (master_spawn(&m->children[i], e) != 0) {
			master_kill_all(m, NULL);
			return -1;
		}
	master_on_audit_due(m, NULL);
	master_watch_begin(m);
	master_sockets_begin(m);
	return 0;
}

int
master_run(const struct master_options *o)
{
	struct master *m = mem_alloc(sizeof(*m));
	struct buf     text;
	struct err     e;
	int	       status = 1;
	unsigned       i;

	m->options = o;
	m->lock_fd = m->control_fd = m->metrics_fd = -1;
	buf_init(&text, 32768);
	m->begun.kept = kept_new();
	m->begun.conf = master_load(o->conf_path, m->begun.kept, &text);
	if (text.n > 0)
		fprintf(stderr, "%.*s", (int)text.n, text.p);
	buf_wipe(&text);
	if (m->begun.conf == NULL)
		goto out;
	m->now.conf = conf_ref(m->begun.conf);
	if (master_begin(m, &e) != 0) {
		log_error("start-failed", "reason=\"%s\"", e.text);
		fprintf(stderr, "posthornd: %s\n", e.text);
		goto out;
	}
	loop_run(m->loop);
	status = m->failed ? 1 : 0;
	log_info("stopped", "status=%d", status);
out:
	if (m->now.conf != NULL)
		master_unbind(m);
	for (i = 0; i < CHILDREN; i++)
		channel_close(m->children[i].channel);
	loop_free(m->loop);
	master_unlock_store(m);
	if (m->reload.is_open)
		buf_wipe(&m->reload.text);
	settings_wipe(&m->reload.fresh);
	settings_wipe(&m->now);
	settings_wipe(&m->begun);
	mem_free(m);
	return status;
}
