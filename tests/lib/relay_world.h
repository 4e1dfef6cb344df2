/* SPDX-License-Identifier: ISC */
/*
 * relay_world.h - a whole relay on fake net, clock and threads, with the keys
 * and the verifier process as further loops: what a control command can reach.
 * Include it in one file.
 *
 * Use:    struct relay *r = relay_world_open(at, conf); then post what is to
 *         be done to r->main and call fake_threads_settle(); fd =
 *         relay_world_dial() is a caller of the control socket.
 * Owner:  the world, which lives as long as the program; its files are gone
 *         as soon as they are open.
 * Thread: one.
 * Fails:  ends the program with the reason.
 *
 * The clock stands still, all log lines go away, nobody answers a connection,
 * and names are known that fake_dns_add() was told of.
 */
#ifndef TESTS_RELAY_WORLD_H
#define TESTS_RELAY_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "daemon/keys.h"
#include "daemon/relay.h"
#include "daemon/verifier.h"
#include "fake_clock.h"
#include "fake_stream.h"
#include "fake_thread.h"
#include "temp_folder.h"

enum { RELAY_WORLD_FEED = 65536, RELAY_WORLD_DESKS = 1 };

static struct {
	char		     dir[TEMP_FOLDER_SIZE];
	struct sockaddr_un   control; /* without a name in the file system */
	socklen_t	     control_len;
	struct loop	    *net, *master, *keys_loop, *verifier_loop;
	struct child_files   files;
	struct keys	    *keys;
	struct verifier	    *verifier;
	struct channel	    *to_relay;
	struct relay	    *relay;
	bool		     is_ready;
} the_relay_world;

static inline void
relay_world_must(bool ok, const char *text)
{
	if (ok)
		return;
	fprintf(stderr, "relay_world: %s\n", text);
	exit(1);
}

static inline void
relay_world_on_log(void *unused, const char *line)
{
	(void)unused;
	must(strchr(line, '\n') == NULL);
}

static inline void
relay_world_on_connect(void *unused, struct fake_link *l,
    const struct sockaddr *to, const struct sockaddr *from)
{
	(void)unused;
	(void)to;
	(void)from;
	fake_link_refuse(l, ECONNREFUSED);
}

/* -- what the master hands down --------------------------------------------- */

static inline void
relay_world_add(enum child_kind kind, uint32_t index, const char *text,
    int fd)
{
	struct child_message m = { kind, index, bytes_of(text) };

	must(child_files_add(&the_relay_world.files, &m, fd));
}

static inline int
relay_world_file(const char *name, struct bytes text)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	must(fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n);
	must(fchmod(fd, 0600) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static inline void
relay_world_add_files(const char *conf)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	buf_printf(&text, "server.name relay.example\n"
	    "server.region us-east-1\nserver.threads %d\n"
	    "tls.cert /c\ntls.key /k\nstore.master_key /m\n"
	    "store.map_size 256m\nspool.min_free 1m\nmetrics.listen off\n"
	    "log.target stderr\nstore.dir %s\nevents.dir %s/events\n%s",
	    RELAY_WORLD_DESKS, the_relay_world.dir, the_relay_world.dir,
	    conf);
	must(!text.failed);
	child_files_init(&the_relay_world.files);
	relay_world_add(CHILD_OPTION, 0, "conf=/posthorn.conf", -1);
	relay_world_add(CHILD_FILE, 0, "/posthorn.conf",
	    relay_world_file("conf", buf_bytes(&text)));
	relay_world_add(CHILD_FILE, 0, "/c",
	    relay_world_file("cert", BYTES("certificate")));
	relay_world_add(CHILD_FILE, 0, "/k",
	    relay_world_file("key", BYTES("key")));
	relay_world_add(CHILD_AUDIT, 0, "",
	    relay_world_file("audit", BYTES("")));
	buf_wipe(&text);
}

static inline void
relay_world_add_control(void)
{
	struct sockaddr_un *un = &the_relay_world.control;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* the kernel finds a name */
	un->sun_family = AF_UNIX;
	must(fd >= 0 && bind(fd, (struct sockaddr *)un,
	    sizeof(un->sun_family)) == 0 && listen(fd, 16) == 0);
	the_relay_world.control_len = sizeof(*un);
	must(getsockname(fd, (struct sockaddr *)un,
	    &the_relay_world.control_len) == 0);
	relay_world_add(CHILD_CONTROL, 0, "", fd);
}

static inline int
relay_world_dial(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0 && connect(fd,
	    (struct sockaddr *)&the_relay_world.control,
	    the_relay_world.control_len) == 0);
	return fd;
}

/* -- keys, verifier and master ----------------------------------------------- */

static inline void
relay_world_start_keys(void)
{
	struct keys_setup s = { .threads = 1, .operator_key_fd = -1,
		.control_fd = -1 };
	struct err	  e;
	int		  fds[2], peers[RELAY_WORLD_DESKS + 1];
	unsigned	  i;

	for (i = 0; i < RELAY_WORLD_DESKS + 1; i++) {
		must(channel_pair(fds, &e) == 0);
		relay_world_add(CHILD_PEER_KEYS, i, "", fds[0]);
		peers[i] = fds[1];
	}
	s.peers = peers;
	s.peer_count = RELAY_WORLD_DESKS + 1;
	s.master_key_fd = relay_world_file("master",
	    BYTES("0123456789abcdef0123456789abcdef"));
	the_relay_world.keys_loop = loop_new("keys", RELAY_WORLD_FEED, &e);
	the_relay_world.keys = keys_open(the_relay_world.keys_loop, &s, &e);
	relay_world_must(the_relay_world.keys != NULL, e.text);
	fake_threads_begin(the_relay_world.keys_loop);
}

static inline void
relay_world_start_verifier(void)
{
	struct verifier_setup s = { .allow_private = true,
		.resolver = { .timeout_ms = 1000, .tries = 1 } };
	struct err	      e;
	int		      fds[2];

	must(channel_pair(fds, &e) == 0);
	relay_world_add(CHILD_PEER_VERIFIER, 0, "", fds[0]);
	the_relay_world.verifier_loop = loop_new("verifier",
	    RELAY_WORLD_FEED, &e);
	the_relay_world.verifier = verifier_open(
	    the_relay_world.verifier_loop, fds[1], &s, NULL, NULL, &e);
	relay_world_must(the_relay_world.verifier != NULL, e.text);
	fake_threads_begin(the_relay_world.verifier_loop);
}

static inline void
relay_world_on_relay(void *unused, struct bytes message, int fd)
{
	struct child_message m;

	(void)unused;
	must(fd < 0 && child_read(message, &m));
	if (m.kind == CHILD_READY)
		the_relay_world.is_ready = true;
}

static inline void
relay_world_on_gone(void *unused)
{
	(void)unused;
	must_fail(__FILE__, __LINE__, "the relay has ended");
}

static const struct channel_events relay_world_events = {
	relay_world_on_relay, relay_world_on_gone };

static inline struct relay *
relay_world_open(struct wall at, const char *conf)
{
	struct err e = { .text = "" };
	int	   fds[2];

	log_capture(relay_world_on_log, NULL);
	fake_clock_set(at);
	temp_folder_make(the_relay_world.dir, "relay");
	the_relay_world.net = loop_new("net", RELAY_WORLD_FEED, &e);
	the_relay_world.master = loop_new("master", RELAY_WORLD_FEED, &e);
	fake_threads_begin(the_relay_world.net);
	fake_threads_begin(the_relay_world.master);
	fake_net_open(the_relay_world.net, relay_world_on_connect, NULL);
	relay_world_add_files(conf);
	relay_world_add_control();
	relay_world_start_keys();
	relay_world_start_verifier();
	must(channel_pair(fds, &e) == 0);
	the_relay_world.to_relay = channel_open(the_relay_world.master,
	    fds[0], &relay_world_events, NULL, &e);
	the_relay_world.relay = relay_new(&the_relay_world.files, fds[1], &e);
	temp_folder_remove(the_relay_world.dir);
	relay_world_must(the_relay_world.relay != NULL, e.text);
	fake_threads_begin(the_relay_world.relay->main);
	must(fake_threads_settle());
	relay_world_must(the_relay_world.is_ready, "not ready");
	return the_relay_world.relay;
}

#endif
