/* SPDX-License-Identifier: ISC */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "fake_stream.h"
#include "fake_thread.h"

enum { WORLD_FEED = 65536, END_LIMIT_MS = 300000, PEERS_MAX = 80 };

/* What a play need not say.  A line is left out when the play has its own. */
static const char *const world_defaults[] = { "server.name mail.relay.example",
	"server.region us-east-1", "server.threads 1", "store.map_size 256m",
	"spool.min_free 1m", "suppression.global.enabled no",
	"delivery.retry_jitter 0", "delivery.allow_private yes", "log.target stderr", "log.level info",
	"metrics.listen off", NULL };

/* -- files --------------------------------------------------------------------- */

static void
world_write(const struct world *w, const char *name, struct bytes text)
{
	char path[256];
	int  fd;

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n);
	close(fd);
}

struct world *
world_open(const char *dir)
{
	static const char key[] = "0123456789abcdef0123456789abcdef";
	struct world	 *w = mem_alloc(sizeof(*w));
	struct err	  e;

	snprintf(w->dir, sizeof(w->dir), "%s", dir);
	w->is_new = true;
	buf_init(&w->conf_text, 1 << 20);
	world_write(w, "cert.pem", BYTES("certificate"));
	world_write(w, "key.pem", BYTES("key"));
	world_write(w, "master.key", (struct bytes){ key, 32 });
	w->net = loop_new("net", WORLD_FEED, &e);
	w->master = loop_new("master", WORLD_FEED, &e);
	fake_threads_begin(w->net);
	fake_threads_begin(w->master);
	return w;
}

void
world_close(struct world *w)
{
	must(w->relay == NULL);
	fake_threads_end(w->net);
	fake_threads_end(w->master);
	fake_net_close();
	loop_free(w->net);
	loop_free(w->master);
	buf_wipe(&w->conf_text);
	mem_free(w);
}

void
world_add_conf(struct world *w, struct bytes text)
{
	must(buf_add_bytes(&w->conf_text, text));
}

static bool
world_says(const struct world *w, const char *setting)
{
	size_t	    n = strcspn(setting, " ");
	const char *p = w->conf_text.p, *end = p + w->conf_text.n;
	const char *line;

	for (line = p; line != NULL && line < end; line++) {
		while (line < end && (*line == ' ' || *line == '\t'))
			line++;
		if ((size_t)(end - line) > n &&
		    strncmp(line, setting, n) == 0 &&
		    (line[n] == ' ' || line[n] == '\t'))
			return true;
		line = memchr(line, '\n', (size_t)(end - line));
		if (line == NULL)
			break;
	}
	return false;
}

/* The file as the daemon finds it. */
static void
world_write_conf(struct world *w)
{
	struct buf text;
	size_t	   i;

	buf_init(&text, 1 << 20);
	for (i = 0; world_defaults[i] != NULL; i++)
		if (!world_says(w, world_defaults[i]))
			buf_printf(&text, "%s\n", world_defaults[i]);
	buf_printf(&text, "tls.cert %s/cert.pem\ntls.key %s/key.pem\n"
	    "store.dir %s/store\nstore.master_key %s/master.key\n"
	    "server.control_socket %s/control.sock\n"
	    "audit.file %s/audit.jsonl\n", w->dir, w->dir, w->dir, w->dir,
	    w->dir, w->dir);
	buf_add_bytes(&text, buf_bytes(&w->conf_text));
	world_write(w, "posthorn.conf", buf_bytes(&text));
	buf_wipe(&text);
}

/* -- what the master hands down -------------------------------------------------- */

static void
files_add(struct child_files *f, enum child_kind kind, uint32_t index,
    const char *text, int fd)
{
	struct child_message m = { kind, index, bytes_of(text) };

	must(child_files_add(f, &m, fd));
}

static void
files_add_path(struct child_files *f, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		files_add(f, CHILD_FILE, 0, path, fd);
}

static void
files_on_source(void *arg, const char *path)
{
	files_add_path(arg, path);
}

static void
files_on_file(void *arg, enum conf_file_kind kind, const char *setting,
    const char *path)
{
	(void)setting;
	if (kind != CONF_FILE_MASTER_KEY && kind != CONF_FILE_OPERATOR_KEY)
		files_add_path(arg, path);
}

static struct conf *
world_load_conf(struct play *p)
{
	struct world	  *w = p->world;
	struct conf_errors errors;
	struct conf	  *c;
	char		   path[256];
	size_t		   i;

	world_write_conf(w);
	snprintf(path, sizeof(path), "%s/posthorn.conf", w->dir);
	conf_errors_init(&errors);
	c = conf_load(path, NULL, &errors);
	for (i = 0; c == NULL && i < errors.n; i++)
		if (!errors.v[i].is_warning)
			play_fail(p, "configuration: %s", errors.v[i].text);
	conf_errors_wipe(&errors);
	return c;
}

static void
world_fill_files(struct world *w)
{
	struct child_files *f = &w->files;
	char		    text[300];
	int		    fd;

	child_files_init(f);
	snprintf(text, sizeof(text), "conf=%s/posthorn.conf", w->dir);
	files_add(f, CHILD_OPTION, 0, text, -1);
	conf_each_source(w->conf, files_on_source, f);
	conf_each_file(w->conf, files_on_file, f);
	fd = open(w->conf->audit.file, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC,
	    0600);
	must(fd >= 0);
	files_add(f, CHILD_AUDIT, 0, "", fd);
}

static void
world_listen(struct world *w, unsigned listener, unsigned address,
    unsigned loop)
{
	const struct conf_addr *a =
	    &w->conf->listeners[listener].addresses.v[address];
	struct world_listener *l = &w->listeners[w->listener_count++];

	must(w->listener_count <= WORLD_LISTENERS_MAX);
	l->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	must(l->fd >= 0);
	l->listener = listener;
	l->loop = loop;
	memcpy(&l->addr, &a->u, a->length);
	files_add(&w->files, CHILD_LISTEN,
	    child_listen_index(listener, address, loop), "", l->fd);
}

static void
world_listen_all(struct world *w)
{
	const struct conf_listener *l;
	unsigned		    i, j, k;

	w->listener_count = 0;
	for (i = 0; i < w->conf->listener_count; i++) {
		l = &w->conf->listeners[i];
		for (j = 0; l->enabled && j < l->addresses.n; j++)
			/* one address is enough to be reached at */
			for (k = 0; j == 0 && k < w->conf->server.threads; k++)
				world_listen(w, i, j, k);
	}
}

static int
world_bind_control(const struct world *w)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int		   fd;

	snprintf(un.sun_path, sizeof(un.sun_path), "%.90s/control.sock",
	    w->dir);
	unlink(un.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(fd >= 0);
	must(bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0);
	must(listen(fd, 16) == 0);
	return fd;
}

/* -- the master's side -------------------------------------------------------------- */

static void
world_on_relay(void *play, struct bytes message, int fd)
{
	struct play	    *p = play;
	struct world	    *w = p->world;
	struct child_message m;

	if (fd >= 0)
		close(fd);
	must(child_read(message, &m));
	if (m.kind == CHILD_READY)
		w->is_ready = true;
	else if (m.kind == CHILD_FATAL)
		bytes_text(m.text, w->fatal, sizeof(w->fatal));
	else if (m.kind == CHILD_STOP_REQUEST)
		child_send(w->to_relay, CHILD_STOP, m.index, BYTES(""), -1);
}

static void
world_on_relay_gone(void *play)
{
	(void)play;
}

static const struct channel_events world_relay_events = { world_on_relay,
	world_on_relay_gone };

/* -- keys and verifier ---------------------------------------------------------------- */

static void
world_start_keys(struct play *p)
{
	struct world	 *w = p->world;
	struct keys_setup s;
	struct err	  e;
	int		  fds[2], peers[PEERS_MAX];
	unsigned	  i, n = w->conf->server.threads + 1;

	must(n <= PEERS_MAX);
	w->keys_loop = loop_new("keys", WORLD_FEED, &e);
	for (i = 0; i < n; i++) {
		must(channel_pair(fds, &e) == 0);
		files_add(&w->files, CHILD_PEER_KEYS, i, "", fds[0]);
		peers[i] = fds[1];
	}
	memset(&s, 0, sizeof(s));
	s.peers = peers;
	s.peer_count = n;
	s.master_key_fd = open(w->conf->store.master_key,
	    O_RDONLY | O_CLOEXEC);
	s.operator_key_fd = -1;
	s.threads = 1;
	s.control_fd = -1;
	w->keys = keys_open(w->keys_loop, &s, &e);
	if (w->keys == NULL)
		play_fail(p, "keys: %s", e.text);
	fake_threads_begin(w->keys_loop);
}

static void
world_start_verifier(struct play *p)
{
	struct world	     *w = p->world;
	struct verifier_setup s;
	struct err	      e;
	int		      fds[2];

	w->verifier_loop = loop_new("verifier", WORLD_FEED, &e);
	must(channel_pair(fds, &e) == 0);
	files_add(&w->files, CHILD_PEER_VERIFIER, 0, "", fds[0]);
	memset(&s, 0, sizeof(s));
	s.resolver.timeout_ms = w->conf->dns.timeout_ms;
	s.resolver.tries = w->conf->dns.tries;
	s.allow_private = true;
	w->verifier = verifier_open(w->verifier_loop, fds[1], &s, NULL, NULL,
	    &e);
	if (w->verifier == NULL)
		play_fail(p, "verifier: %s", e.text);
	fake_threads_begin(w->verifier_loop);
}

/* -- life ------------------------------------------------------------------------------ */

bool
world_is_running(const struct world *w)
{
	return w->relay != NULL && !fake_threads_has_stopped(w->relay->main);
}

void
world_start(struct play *p)
{
	struct world *w = p->world;
	struct err    e;
	int	      fds[2];

	if (w->relay != NULL)
		world_end(p);
	w->conf = world_load_conf(p);
	if (w->is_new)
		setup_write(p);
	w->is_new = false;
	world_fill_files(w);
	world_listen_all(w);
	files_add(&w->files, CHILD_CONTROL, 0, "", world_bind_control(w));
	world_start_keys(p);
	world_start_verifier(p);
	must(channel_pair(fds, &e) == 0);
	w->to_relay = channel_open(w->master, fds[0], &world_relay_events, p,
	    &e);
	w->is_ready = false;
	w->relay = relay_new(&w->files, fds[1], &e);
	if (w->relay == NULL)
		play_fail(p, "relay: %s", e.text);
	fake_threads_begin(w->relay->main);
	play_settle(p);
	if (!w->is_ready)
		play_fail(p, "relay: not ready: %s", w->fatal);
}

void
world_stop(struct play *p, bool at_once)
{
	must(child_send(p->world->to_relay, CHILD_STOP, at_once ? 1 : 0,
	    BYTES(""), -1));
	play_settle(p);
}

static void
world_forget(struct world *w)
{
	w->listener_count = 0;
	fake_threads_end(w->keys_loop);
	fake_threads_end(w->verifier_loop);
	keys_close(w->keys);
	verifier_close(w->verifier);
	loop_free(w->keys_loop);
	loop_free(w->verifier_loop);
	channel_close(w->to_relay);
	child_files_wipe(&w->files);
	conf_unref(w->conf);
	w->relay = NULL;
	w->conf = NULL;
}

void
world_end(struct play *p)
{
	struct world *w = p->world;
	int64_t	      passed = 0;

	if (w->relay == NULL)
		return;
	while (world_is_running(w)) {
		if (passed >= END_LIMIT_MS)
			play_fail(p, "the relay does not end");
		must(fake_threads_advance(1000));
		passed += 1000;
	}
	relay_free(w->relay);
	world_forget(w);
	play_settle(p);
}

void
world_kill(struct play *p)
{
	struct world *w = p->world;

	fake_threads_kill(true);
	fake_threads_end(w->relay->main);
	relay_free(w->relay);
	world_forget(w);
	fake_net_cut();
	fake_threads_kill(false);
	w->was_killed = true;
	play_settle(p);
}

static void
world_send_path(void *play, const char *path)
{
	struct play *p = play;
	int	     fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		must(child_send(p->world->to_relay, CHILD_FILE, 0,
		    bytes_of(path), fd));
}

static void
world_send_file(void *play, enum conf_file_kind kind, const char *setting,
    const char *path)
{
	(void)setting;
	if (kind != CONF_FILE_MASTER_KEY && kind != CONF_FILE_OPERATOR_KEY)
		world_send_path(play, path);
}

void
world_reload(struct play *p)
{
	struct world *w = p->world;
	struct conf  *c = world_load_conf(p);
	char	      text[300];

	snprintf(text, sizeof(text), "conf=%s/posthorn.conf", w->dir);
	must(child_send(w->to_relay, CHILD_OPTION, 0, bytes_of(text), -1));
	conf_each_source(c, world_send_path, p);
	conf_each_file(c, world_send_file, p);
	must(child_send(w->to_relay, CHILD_RELOAD, 0, BYTES(""), -1));
	conf_unref(c);
	play_settle(p);
}

const struct world_listener *
world_find_listener(struct play *p, const char *name, unsigned loop)
{
	struct world	      *w = p->world;
	struct world_listener *l;
	unsigned	       i;

	if (w->relay == NULL)
		play_fail(p, "the relay does not run");
	for (i = 0; i < w->listener_count; i++) {
		l = &w->listeners[i];
		if (l->loop == loop &&
		    strcmp(w->conf->listeners[l->listener].name, name) == 0)
			return l;
	}
	play_fail(p, "there is no listener %s for loop %u", name, loop);
}

/* -- the control socket ------------------------------------------------------------------ */

static bool
world_receive(int fd, struct buf *out)
{
	char	piece[16384];
	ssize_t n;

	while ((n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0)
		must(buf_add(out, piece, (size_t)n));
	return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

char *
world_control(struct play *p, const char *request)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct buf	   answer;
	char		  *line;
	size_t		   n;
	int		   fd;

	snprintf(un.sun_path, sizeof(un.sun_path), "%.90s/control.sock",
	    p->world->dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(fd >= 0);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0)
		play_fail(p, "control socket: %s", strerror(errno));
	must(send(fd, request, strlen(request), MSG_NOSIGNAL) ==
	    (ssize_t)strlen(request));
	buf_init(&answer, 1 << 28);
	play_settle(p);
	while (world_receive(fd, &answer)) {
		n = answer.n;
		play_settle(p); /* there is room again for what waits */
		if (!world_receive(fd, &answer) || answer.n == n)
			break;
	}
	close(fd);
	while (answer.n > 0 && answer.p[answer.n - 1] == '\n')
		answer.n--;
	line = answer.n == 0 ? NULL :
	    memrchr(answer.p, '\n', answer.n);
	line = line == NULL
	    ? mem_dup_bytes(buf_bytes(&answer))
	    : mem_dup_bytes((struct bytes){ line + 1,
		  (size_t)(answer.p + answer.n - line - 1) });
	buf_wipe(&answer);
	return line;
}
