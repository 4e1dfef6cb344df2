/* SPDX-License-Identifier: ISC */
/* Stores without the daemon: init, check, compact, restore. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"
#include "registry/account.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "registry/credential.h"
#include "registry/identity.h"
#include "store/spool.h"
#include "tools/ctl/backup.h"
#include "tools/ctl/offline.h"

enum { PATH_SIZE = 1200 };

/* -- the lock, and both stores --------------------------------------------- */

struct stores {
	struct conf  *conf;
	struct book  *book;
	struct spool *spool;
	int	      lock;
	bool	      is_replaced; /* by a copy */
};

void
offline_own(const char *user, const char *path)
{
	struct process_user u;
	struct err	    e;

	if (geteuid() == 0 && process_user_find(user, NULL, &u, &e) == 0 &&
	    chown(path, u.uid, u.gid) != 0)
		fprintf(stderr, "warning: chown %s: %s\n", path,
		    strerror(errno));
}

void
offline_own_stores(const struct conf *c)
{
	static const char *const parts[] = { "", "/state", "/spool", "/lock",
		"/state/data.mdb", "/state/lock.mdb", "/spool/data.mdb",
		"/spool/lock.mdb", "/spool/redo" };
	char   path[PATH_SIZE];
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", c->store.dir, parts[i]);
		if (access(path, F_OK) == 0)
			offline_own(c->server.user, path);
	}
}

static void
stores_close(struct stores *s)
{
	if (s->spool != NULL)
		spool_close(s->spool);
	if (s->book != NULL)
		book_close(s->book);
	/* what LMDB has made anew belongs to root, too */
	if (s->book != NULL || s->is_replaced)
		offline_own_stores(s->conf);
	if (s->lock >= 0)
		close(s->lock);
	conf_unref(s->conf);
}

/* may_make: store.dir need not be there yet. */
static bool
stores_lock(struct ctl *c, struct stores *s, bool may_make)
{
	char path[PATH_SIZE];

	memset(s, 0, sizeof(*s));
	s->lock = -1;
	s->conf = offline_conf(c, false);
	if (s->conf == NULL)
		return false;
	if (may_make && mkdir(s->conf->store.dir, 0700) == 0)
		offline_own(s->conf->server.user, s->conf->store.dir);
	snprintf(path, sizeof(path), "%s/lock", s->conf->store.dir);
	s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock < 0) {
		ctl_say_error(c, "NotFoundException", "open %s: %s", path,
		    strerror(errno));
		stores_close(s);
		return false;
	}
	if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
		ctl_say_error(c, "ConflictException", "posthornd is running");
		stores_close(s);
		return false;
	}
	return true;
}

/* Opening would make what is not there, and find nothing wrong with it. */
static bool
stores_are_there(struct ctl *c, const char *dir)
{
	char	    path[PATH_SIZE];
	struct stat st;
	int	    i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s/data.mdb", dir,
		    backup_names[i]);
		if (stat(path, &st) == 0 && st.st_size > 0)
			continue;
		ctl_say_error(c, "NotFoundException", "no store: %s: %s",
		    path, access(path, F_OK) == 0 ? "it is empty"
						  : strerror(errno));
		return false;
	}
	return true;
}

/*
 * What is mapped but not there, since the file has been cut short or the disk
 * does not give it, comes as a signal.
 */
static void
stores_on_bus_error(int signo)
{
	static const char text[] = "error: a store cannot be read: its file "
				   "is cut short, or the disk fails\n";

	(void)signo;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(CTL_REFUSED);
}

/* Those in dir: store.dir, or a copy of them. */
static bool
stores_open(struct ctl *c, struct stores *s, const char *dir)
{
	struct spool_setup setup;
	struct err	   e;

	if (!stores_are_there(c, dir))
		return false;
	signal(SIGBUS, stores_on_bus_error);
	memset(&setup, 0, sizeof(setup));
	setup.dir = dir;
	setup.map_bytes = s->conf->store.map_size_bytes;
	setup.messages_max = s->conf->queue.max_messages;
	setup.index_keep_ms = (int64_t)s->conf->feedback.index_days * 86400000;
	setup.tail_keep_ms = s->conf->events.tail_keep_ms;
	s->book = book_open(dir, s->conf->store.map_size_bytes / 16, &e);
	if (s->book != NULL)
		s->spool = spool_open(&setup, &e);
	if (s->spool == NULL)
		ctl_say_error(c, "InternalServiceErrorException", "%s",
		    e.text);
	return s->spool != NULL;
}

/* -- store check ----------------------------------------------------------- */

struct check {
	struct ctl   *c;
	struct spool *spool;
	unsigned long envelopes, accounts, credentials, identities, damaged;
	struct msgid  last;
	unsigned      last_n;
};

static bool
check_on_account(void *arg, const struct account *a)
{
	(void)a;
	((struct check *)arg)->accounts++;
	return true;
}

static bool
check_on_credential(void *arg, const struct credential *k)
{
	(void)k;
	((struct check *)arg)->credentials++;
	return true;
}

static bool
check_on_identity(void *arg, const struct identity *i)
{
	(void)i;
	((struct check *)arg)->identities++;
	return true;
}

/* Every waiting envelope has its message, and all of its content. */
static bool
check_on_recipient(void *arg, const struct recipient_row *r)
{
	struct check	  *k = arg;
	struct arena	  *arena = arena_new(65536);
	struct message_row m;
	struct err	   e;
	char		   octet;

	k->envelopes++;
	k->last = r->id;
	k->last_n = r->n + 1;
	if (spool_read_message(k->spool, &r->id, arena, &m, &e) != 1 ||
	    spool_read_content(k->spool, &m,
		m.head_octets + m.body_octets - 1, &octet, 1, &e) != 1)
		k->damaged++;
	arena_free(arena);
	return true;
}

static int
check_queue(struct check *k, struct err *e)
{
	int n;

	do {
		n = spool_scan_recipients(k->spool, &k->last, k->last_n, 1000,
		    check_on_recipient, k, e);
	} while (n >= 1000);
	return n < 0 ? -1 : 0;
}

int
offline_store_check(struct ctl *c)
{
	struct stores  s;
	struct check   k;
	struct db_txn *t = NULL;
	struct err     e;
	int	       status = CTL_REFUSED;

	if (!stores_lock(c, &s, false))
		return CTL_REFUSED;
	memset(&k, 0, sizeof(k));
	k.c = c;
	if (!stores_open(c, &s, s.conf->store.dir))
		goto out;
	k.spool = s.spool;
	t = book_read(s.book, &e);
	if (t == NULL ||
	    account_each(t, check_on_account, &k, &e) < 0 ||
	    credential_each(t, NULL, check_on_credential, &k, &e) < 0 ||
	    identity_each(t, NULL, check_on_identity, &k, &e) < 0 ||
	    check_queue(&k, &e) != 0) {
		ctl_say_error(c, "InternalServiceErrorException", "%s",
		    e.text);
	} else {
		printf("accounts %lu, credentials %lu, identities %lu, "
		    "waiting recipients %lu, damaged %lu\n", k.accounts,
		    k.credentials, k.identities, k.envelopes, k.damaged);
		status = k.damaged == 0 ? CTL_DONE : CTL_REFUSED;
	}
	book_end(t);
out:
	stores_close(&s);
	return status;
}

/* -- store compact, store restore ------------------------------------------ */

/*
 * Both write new stores into a folder of store.dir, open them there, and only
 * then let them take the place of the old ones.  What an earlier command left
 * behind that was cut short is thrown away.
 */
static void
stage_path(const struct stores *s, const char *stage, const char *name,
    char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/%s%s%s", s->conf->store.dir, stage,
	    name[0] == '\0' ? "" : "/", name);
}

static void
stage_clear(const struct stores *s, const char *stage)
{
	static const char *const parts[] = { "state/data.mdb",
		"state/lock.mdb", "state", "spool/data.mdb", "spool/lock.mdb",
		"spool/redo", "spool", "" };
	char   path[PATH_SIZE];
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		stage_path(s, stage, parts[i], path);
		(void)remove(path);
	}
}

static bool
stage_make(struct ctl *c, const struct stores *s, const char *stage)
{
	char path[PATH_SIZE];

	stage_clear(s, stage);
	stage_path(s, stage, "", path);
	if (mkdir(path, 0700) == 0)
		return true;
	ctl_say_error(c, "InternalServiceErrorException", "make %s: %s", path,
	    strerror(errno));
	return false;
}

/* A rename that a power cut undoes would bring the old file back. */
static bool
store_replace(struct ctl *c, const struct stores *s, const char *stage,
    const char *name)
{
	char from[PATH_SIZE + 16], to[PATH_SIZE + 16], dir[PATH_SIZE];
	int  fd = -1;
	bool ok;

	stage_path(s, stage, name, dir);
	snprintf(from, sizeof(from), "%s/data.mdb", dir);
	snprintf(dir, sizeof(dir), "%s/%s", s->conf->store.dir, name);
	snprintf(to, sizeof(to), "%s/data.mdb", dir);
	ok = chmod(from, 0600) == 0 &&
	    (mkdir(dir, 0700) == 0 || errno == EEXIST) &&
	    rename(from, to) == 0 &&
	    (fd = open(dir, O_RDONLY | O_CLOEXEC)) >= 0 && fsync(fd) == 0;
	if (!ok)
		ctl_say_error(c, "InternalServiceErrorException",
		    "replace %s: %s", to, strerror(errno));
	if (fd >= 0)
		close(fd);
	snprintf(to, sizeof(to), "%s/lock.mdb", dir);
	if (ok)
		unlink(to);
	return ok;
}

static int
stage_take_over(struct ctl *c, struct stores *s, const char *stage)
{
	int i;

	if (s->spool != NULL)
		spool_close(s->spool);
	if (s->book != NULL)
		book_close(s->book);
	s->spool = NULL;
	s->book = NULL;
	s->is_replaced = true;
	for (i = 0; i < 2; i++)
		if (!store_replace(c, s, stage, backup_names[i]))
			return CTL_REFUSED;
	stage_clear(s, stage);
	return CTL_DONE;
}

static bool
compact_stage(struct ctl *c, const struct stores *s)
{
	struct backup b;
	struct err    e;
	char	      path[PATH_SIZE];

	stage_path(s, "compact", "", path);
	if (!stage_make(c, s, "compact") || !backup_open(c, &b, path))
		return false;
	if (book_backup(s->book, b.fds[0], &e) == 0 &&
	    spool_backup(s->spool, b.fds[1], &e) == 0)
		return backup_finish(c, &b);
	ctl_say_error(c, "InternalServiceErrorException", "%s: %s", path,
	    e.text);
	backup_undo(&b);
	return false;
}

int
offline_store_compact(struct ctl *c)
{
	struct stores s;
	int	      status = CTL_REFUSED;

	if (!stores_lock(c, &s, false))
		return CTL_REFUSED;
	if (!stores_open(c, &s, s.conf->store.dir))
		goto out;
	if (c->dry_run) {
		printf("would write the stores in %s anew\n",
		    s.conf->store.dir);
		status = CTL_DONE;
	} else if (compact_stage(c, &s)) {
		status = stage_take_over(c, &s, "compact");
	}
out:
	stores_close(&s);
	return status;
}

static bool
store_copy_file(struct ctl *c, const char *from, const char *to)
{
	char	buf[65536];
	int	in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	ssize_t n = -1;

	if (in >= 0)
		out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	while (out >= 0 && (n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n) {
			n = -1;
			break;
		}
	if (n == 0 && fsync(out) != 0)
		n = -1;
	if (n != 0)
		ctl_say_error(c, "InternalServiceErrorException",
		    "copy %s: %s", from, strerror(errno));
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return n == 0;
}

/* The backup lies in store.dir, and opens there. */
static bool
restore_stage(struct ctl *c, struct stores *s, const char *dir)
{
	char from[PATH_SIZE], to[PATH_SIZE + 16];
	int  i;

	if (!stage_make(c, s, "restore"))
		return false;
	for (i = 0; i < 2; i++) {
		snprintf(from, sizeof(from), "%s/%s/data.mdb", dir,
		    backup_names[i]);
		stage_path(s, "restore", backup_names[i], to);
		if (mkdir(to, 0700) != 0) {
			ctl_say_error(c, "InternalServiceErrorException",
			    "make %s: %s", to, strerror(errno));
			return false;
		}
		strcat(to, "/data.mdb");
		if (!store_copy_file(c, from, to))
			return false;
	}
	stage_path(s, "restore", "", to);
	return stores_open(c, s, to);
}

int
offline_store_restore(struct ctl *c)
{
	struct stores s;
	const char   *dir = ctl_arg(c, "dir");
	int	      status = CTL_REFUSED;

	if (!c->yes && !c->dry_run) {
		ctl_say_misuse(c, "this replaces the stores; give "
		    "--yes");
		return CTL_USAGE;
	}
	if (!stores_lock(c, &s, !c->dry_run))
		return CTL_REFUSED;
	if (!stores_are_there(c, dir))
		goto out;
	if (c->dry_run) {
		printf("would replace the stores in %s by those of %s\n",
		    s.conf->store.dir, dir);
		status = CTL_DONE;
	} else if (restore_stage(c, &s, dir)) {
		status = stage_take_over(c, &s, "restore");
	} else {
		stage_clear(&s, "restore");
	}
out:
	stores_close(&s);
	return status;
}
