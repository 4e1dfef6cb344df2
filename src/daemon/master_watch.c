/* SPDX-License-Identifier: ISC */
/*
 * A child may hang without ending: stopped, or in a loop of its own.  Each
 * quarter of server.watchdog every child is asked whether it is there, and
 * one that was silent for four turns is killed and started again.  Turns are
 * counted and not seconds: a master that was stopped itself, or did not get
 * the processor, has not asked meanwhile.
 *
 * The relay is asked from its READY on, because a start may have much to do;
 * its answer is that of all its loops (daemon/relay_pulse.c).
 */
#include "daemon/master_private.h"

#include <signal.h>

#include "base/log.h"

enum { WATCH_TURNS = 4 };

static void
watch_kill(struct child *c)
{
	log_error("child-hung", "child=%s pid=%ld after_ms=%lld "
	    "action=restart", child_name_to_text(c->name), (long)c->pid,
	    (long long)c->master->now.conf->server.watchdog_ms);
	c->silent = 0;
	kill(c->pid, SIGKILL); /* SIGCHLD follows */
}

static void
watch_child(struct child *c)
{
	if (c->pid == 0 || c->channel == NULL ||
	    (c->name == CHILD_RELAY && !c->ready)) {
		c->silent = 0;
		return;
	}
	if (c->silent == WATCH_TURNS) {
		watch_kill(c);
		return;
	}
	c->silent++;
	/* what cannot be sent is not answered */
	(void)child_send(c->channel, CHILD_PING, 0, BYTES(""), -1);
}

static void
watch_on_turn(void *master, void *unused)
{
	struct master *m = master;
	unsigned       i;

	(void)unused;
	for (i = 0; i < CHILDREN; i++)
		watch_child(&m->children[i]);
	timer_set(&m->watch, m->now.conf->server.watchdog_ms / WATCH_TURNS);
}

void
master_watch_retune(struct master *m)
{
	unsigned i;

	if (m->stopping)
		return;
	for (i = 0; i < CHILDREN; i++)
		m->children[i].silent = 0;
	timer_clear(&m->watch);
	if (m->now.conf->server.watchdog_ms > 0)
		timer_set(&m->watch, m->now.conf->server.watchdog_ms /
		    WATCH_TURNS);
}

void
master_watch_begin(struct master *m)
{
	timer_init(&m->watch, m->loop, watch_on_turn, m);
	master_watch_retune(m);
}
