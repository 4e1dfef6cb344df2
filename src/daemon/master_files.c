/* SPDX-License-Identifier: ISC */
/*
 * The files of the configuration as they were when it was loaded, and what
 * is handed down of them.  A child that is started again gets what its
 * brothers have, whatever an editor has made of the files since.
 */
#include "daemon/master_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/audit.h"

enum {
	KEPT_OCTETS_MAX = 16 * 1024 * 1024,
	AUDIT_EVERY_MS = 24 * 60 * 60 * 1000,
	AUDIT_AGAIN = 24 /* times as soon */
};

/* -- keeping --------------------------------------------------------------- */

struct kept *
kept_new(void)
{
	return mem_alloc(sizeof(struct kept));
}

void
kept_free(struct kept *k)
{
	size_t i;

	if (k == NULL)
		return;
	for (i = 0; i < k->file_count; i++) {
		close(k->file[i].fd);
		mem_free(k->file[i].path);
	}
	mem_free(k);
}

static int
kept_fill(int from, int to)
{
	char	piece[65536];
	size_t	all = 0;
	ssize_t n;

	while ((n = read(from, piece, sizeof(piece))) > 0) {
		all += (size_t)n;
		if (all > KEPT_OCTETS_MAX) {
			errno = EFBIG;
			n = -1;
			break;
		}
		if (write(to, piece, (size_t)n) != n) {
			n = -1;
			break;
		}
	}
	mem_wipe(piece, sizeof(piece)); /* keys of listeners are among them */
	return n < 0 ? -1 : 0;
}

/*
 * In memory, with owner and mode of the file: they are looked at again.  A
 * FIFO would have the master wait for its writer, and its children with it.
 */
static int
kept_copy(const char *path)
{
	struct stat st;
	int	    from, to = -1, saved;

	from = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (from < 0)
		return -1;
	if (fstat(from, &st) == 0 && !S_ISREG(st.st_mode))
		errno = S_ISDIR(st.st_mode) ? EISDIR : CONF_NOT_A_FILE;
	else
		to = memfd_create("posthorn", MFD_CLOEXEC);
	if (to >= 0 &&
	    (kept_fill(from, to) != 0 || fchmod(to, st.st_mode & 07777) != 0 ||
		(geteuid() == 0 && fchown(to, st.st_uid, st.st_gid) != 0))) {
		saved = errno;
		close(to);
		errno = saved;
		to = -1;
	}
	saved = errno;
	close(from);
	errno = saved;
	return to;
}

/* NULL with errno. */
static struct kept_file *
kept_add(struct kept *k, const char *path, bool is_source)
{
	struct kept_file *f;
	size_t		  i;

	for (i = 0; i < k->file_count; i++)
		if (strcmp(k->file[i].path, path) == 0)
			return &k->file[i];
	if (k->file_count == CHILD_FILES_MAX) {
		errno = EMFILE;
		return NULL;
	}
	f = &k->file[k->file_count];
	f->fd = kept_copy(path);
	if (f->fd < 0)
		return NULL;
	f->path = mem_dup(path);
	f->is_source = is_source;
	k->file_count++;
	return f;
}

/* A descriptor with an offset of its own; -1 with errno. */
static int
kept_open(const struct kept_file *f)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* -- loading --------------------------------------------------------------- */

static int
kept_on_open(void *kept, const char *path)
{
	struct kept_file *f = kept_add(kept, path, true);

	return f == NULL ? -1 : kept_open(f);
}

/* Names are looked up here and handed down: relay never asks NSS. */
static bool
kept_on_find_id(void *kept, bool is_group, const char *name, uint32_t *id)
{
	struct kept	   *k = kept;
	struct process_user u;
	struct named_id	   *n;
	struct err	    e;
	bool		    found;

	found = process_user_find(is_group ? NULL : name,
		    is_group ? name : NULL, &u, &e) == 0;
	*id = !found ? 0 : is_group ? u.gid : u.uid;
	if (k->id_count < NAMED_IDS_MAX && strlen(name) < sizeof(n->name)) {
		n = &k->ids[k->id_count++];
		n->is_group = is_group;
		n->found = found;
		strcpy(n->name, name);
		n->id = *id;
	}
	return found;
}

static bool
kept_is_secret(enum conf_file_kind kind)
{
	return kind == CONF_FILE_MASTER_KEY || kind == CONF_FILE_OPERATOR_KEY;
}

static void
file_unreadable(const char *path)
{
	log_warn("file-unreadable", "path=%s reason=\"%s\"", path,
	    conf_file_error(errno));
}

/*
 * Secrets are not copied, they are opened for the keys process alone; but
 * without them nobody would notice before the first message.
 */
static void
kept_on_file(void *kept, enum conf_file_kind kind, const char *setting,
    const char *path)
{
	struct kept *k = kept;

	if (!kept_is_secret(kind)) {
		if (kept_add(k, path, false) == NULL)
			file_unreadable(path);
	} else if (access(path, R_OK) != 0)
		buf_printf(k->text, "%s: cannot open %s: %s\n", setting, path,
		    strerror(errno));
}

struct conf *
master_load(const char *path, struct kept *k, struct buf *text)
{
	struct conf_opener opener = { .open = kept_on_open,
		.find_id = kept_on_find_id, .arg = k };
	struct conf_errors errors;
	struct conf	  *c;
	size_t		   i, missing;

	conf_errors_init(&errors);
	c = conf_load(path, &opener, &errors);
	for (i = 0; i < errors.n; i++)
		buf_printf(text, "%s%s\n",
		    errors.v[i].is_warning ? "warning: " : "",
		    errors.v[i].text);
	conf_errors_wipe(&errors);
	if (c == NULL)
		return NULL;
	missing = text->n;
	k->text = text;
	conf_each_file(c, kept_on_file, k);
	k->text = NULL;
	if (text->n == missing)
		return c;
	conf_unref(c);
	return NULL;
}

/* -- handing down ---------------------------------------------------------- */

static void
send_fd(struct child *c, enum child_kind kind, const char *path, int fd)
{
	if (!child_send(c->channel, kind, 0, bytes_of(path), fd))
		close(fd);
}

static void
send_kept(struct child *c, const struct kept *k)
{
	size_t i;
	int    fd;

	for (i = 0; i < k->file_count; i++) {
		if (!k->file[i].is_source && c->name != CHILD_RELAY)
			continue;
		fd = kept_open(&k->file[i]);
		if (fd < 0)
			file_unreadable(k->file[i].path);
		else
			send_fd(c, CHILD_FILE, k->file[i].path, fd);
	}
}

static void
send_on_secret(void *child, enum conf_file_kind kind, const char *setting,
    const char *path)
{
	int fd;

	(void)setting;
	if (!kept_is_secret(kind))
		return;
	/* the keys process looks whether it is a file */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		file_unreadable(path);
	else
		send_fd(child, CHILD_FILE, path, fd);
}

/*
 * Where others than root may write, a link could make root open, or make, a
 * file anywhere, and hand it to them.
 */
int
master_open_append(const char *path, int how)
{
	char	    dir[1024];
	const char *slash = strrchr(path, '/');
	struct stat st;
	int	    fd, at, flags = how | O_APPEND | O_CREAT | O_CLOEXEC |
	    O_NOCTTY | O_NONBLOCK;

	if ((size_t)snprintf(dir, sizeof(dir), "%.*s/", (int)(slash - path),
		path) >= sizeof(dir)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return -1;
	if (geteuid() == 0 && (fstat(at, &st) != 0 || st.st_uid != 0 ||
		(st.st_mode & 022) != 0))
		flags |= O_NOFOLLOW;
	fd = openat(at, slash + 1, flags, 0640);
	if (fd >= 0 && (flags & O_NOFOLLOW) != 0 &&
	    (fstat(fd, &st) != 0 || (S_ISREG(st.st_mode) &&
		st.st_nlink > 1))) {
		close(fd);
		errno = EMLINK;
		fd = -1;
	}
	close(at);
	return fd;
}

static void
send_append(struct master *m, struct child *c, enum child_kind kind,
    const char *path)
{
	struct err e;
	int	   fd = -1;

	if (path[0] != '/')
		return;
	if (master_make_parent(m, path, &e) == 0)
		/* relay shows the audit log, too */
		fd = master_open_append(path,
		    kind == CHILD_AUDIT ? O_RDWR : O_WRONLY);
	if (fd < 0)
		log_warn("file-unwritable", "path=%s reason=\"%s\"", path,
		    strerror(errno));
	else
		send_fd(c, kind, path, fd);
}

static void
send_option(struct child *c, const char *name, const char *value)
{
	char text[1400];

	snprintf(text, sizeof(text), "%s=%s", name, value);
	child_send(c->channel, CHILD_OPTION, 0, bytes_of(text), -1);
}

/* As audit_trim(); -1 = the file is the old one. */
static int64_t
audit_cut(struct master *m, const struct conf *conf)
{
	struct wall before = { loop_wall(m->loop).ms - conf->audit.keep_ms };
	int64_t	    copied;
	struct err  e;

	if (audit_trim(conf->audit.file, before, &copied, &e) != 0)
		log_warn("audit-untrimmed", "reason=\"%s\"", e.text);
	return copied;
}

/* A relay that runs has to hear where its next lines were left. */
static void
trim_audit(struct master *m, struct child *c, const struct conf *conf)
{
	bool	same = strcmp(conf->audit.file, m->now.conf->audit.file) == 0;
	int64_t copied = audit_cut(m, conf);
	char	text[32];

	if (copied < 0 || !c->ready || !same)
		return;
	snprintf(text, sizeof(text), "%lld", (long long)copied);
	send_option(c, "audit-copied", text);
}

/* audit.keep, while all goes on: each day, and again soon without a relay. */
void
master_on_audit_due(void *master, void *unused)
{
	struct master	  *m = master;
	struct child	  *c = &m->children[CHILD_RELAY];
	const struct conf *conf = m->now.conf;
	int64_t		   every = m->options->audit_every_ms, copied = -1;
	char		   text[32];
	int		   fd;

	(void)unused;
	if (every == 0)
		every = AUDIT_EVERY_MS;
	timer_set(&m->audit_due, c->ready ? every : every / AUDIT_AGAIN);
	if (!c->ready || c->channel == NULL || conf->audit.file[0] != '/')
		return;
	copied = audit_cut(m, conf);
	if (copied < 0)
		return;
	fd = master_open_append(conf->audit.file, O_RDWR);
	snprintf(text, sizeof(text), "%lld", (long long)copied);
	if (fd < 0)
		log_warn("file-unwritable", "path=%s reason=\"%s\"",
		    conf->audit.file, strerror(errno));
	else if (!child_send(c->channel, CHILD_AUDIT_CUT, 0, bytes_of(text),
		fd))
		close(fd);
}

static void
send_ids(struct child *c, const struct kept *k)
{
	char	 text[80], name[80];
	unsigned i;

	for (i = 0; i < k->id_count; i++) {
		snprintf(name, sizeof(name), "%s.%s",
		    k->ids[i].is_group ? "gid" : "uid", k->ids[i].name);
		snprintf(text, sizeof(text), "%u", (unsigned)k->ids[i].id);
		if (k->ids[i].found)
			send_option(c, name, text);
	}
}

void
master_send_files(struct master *m, struct child *c,
    const struct settings *s)
{
	char text[80];

	send_option(c, "conf",
	    m->options->conf_path != NULL ? m->options->conf_path : "");
	if (m->options->accept_region_change)
		send_option(c, "accept-region-change", "yes");
	/* server.user root: no change, said at the start */
	if (m->root && m->users[c->name].uid != 0) {
		snprintf(text, sizeof(text), "%u:%u",
		    (unsigned)m->users[c->name].uid,
		    (unsigned)m->users[c->name].gid);
		send_option(c, "user", text);
	}
	/* none of its pipes gets a private key */
	if (m->root && c->name == CHILD_KEYS) {
		snprintf(text, sizeof(text), "%u",
		    (unsigned)m->users[CHILD_RELAY].uid);
		send_option(c, "relay-user", text);
	}
	send_ids(c, s->kept);
	send_append(m, c, CHILD_LOG, s->conf->log.target);
	if (c->name == CHILD_RELAY) {
		/* what a relay began with may be out of date */
		trim_audit(m, c, c->ready ? s->conf : m->now.conf);
		send_append(m, c, CHILD_AUDIT, s->conf->audit.file);
	}
	send_kept(c, s->kept);
	if (c->name == CHILD_KEYS)
		conf_each_file(s->conf, send_on_secret, c);
}
