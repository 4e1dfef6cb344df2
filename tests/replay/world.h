/* SPDX-License-Identifier: ISC */
/*
 * world.h - posthornd in one process: relay, keys and verifier on fake
 * threads, fed by a fake master, in a folder of its own.
 *
 * Use:    w = world_open(dir); world_set_conf(w, text); world_start(p);
 *         world_kill(p) or world_stop(), then world_end(p); and again.
 * Owner:  the play.
 * Thread: one.
 * Fails:  by play_fail().
 */
#ifndef REPLAY_WORLD_H
#define REPLAY_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/process.h"
#include "daemon/child.h"
#include "daemon/keys.h"
#include "daemon/relay.h"
#include "daemon/verifier.h"
#include "play.h"

enum { WORLD_LISTENERS_MAX = 64 };

struct world_listener {
	int	 fd;
	unsigned listener, loop;
	struct sockaddr_storage addr;
};
struct world {
	char	      dir[200];
	struct buf    conf_text;
	bool	      is_new; /* the store has not been opened yet */
	bool	      was_killed; /* memory was given up, not freed */
	struct loop  *net;	   /* of clients and receivers */
	struct loop  *master;
	struct channel *to_relay;
	bool	      is_ready;
	char	      fatal[512];
	bool	      reload_ok;
	char	      reload_text[2048];

	/* of this life; relay NULL = not running */
	struct conf  *conf;
	struct relay *relay;
	struct child_files files;
	struct loop  *keys_loop, *verifier_loop;
	struct keys  *keys;
	struct verifier *verifier;
	struct world_listener listeners[WORLD_LISTENERS_MAX];
	unsigned      listener_count;
};

struct world *world_open(const char *dir);
void world_close(struct world *w);
void world_add_conf(struct world *w, struct bytes text);
void world_start(struct play *p);
bool world_is_running(const struct world *w);
/* Asks the relay to end; at_once: without grace. */
void world_stop(struct play *p, bool at_once);
/* The relay has ended (or is given time to): frees it. */
void world_end(struct play *p);
void world_kill(struct play *p);
/* The configuration is read again. */
void world_reload(struct play *p);
/* A listening descriptor; fails when there is no such listener. */
const struct world_listener *world_find_listener(struct play *p,
    const char *name, unsigned loop);
/* A request on the control socket; the answer's last line, mem_free(). */
char *world_control(struct play *p, const char *request);

#endif
