/* SPDX-License-Identifier: ISC */
/* Stores without the daemon: init, check, compact, restore. */
#include <errno.h>
#include <fcntl.h>
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
		"/spool/lock.mdb" };
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

static bool
stores_lock(struct ctl *c, struct stores *s)
{
	char path[PATH_SIZE];

	memset(s, 0, sizeof(*s));
	s->lock = -1;
	s->conf = offline_conf(c, false);
	if (s->conf == NULL)
		return false;
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

static bool
stores_open(struct ctl *c, struct stores *s)
{
	struct spool_setup setup;
	struct err	   e;

	memset(&setup, 0, sizeof(setup));
	setup.dir = s->conf->store.dir;
	setup.map_bytes = s->conf->store.map_size_bytes;
	setup.messages_max = s->conf->queue.max_messages;
	setup.index_keep_ms = (int64_t)s->conf->feedback.index_days * 86400000;
	setup.tail_keep_ms = s->conf->events.tail_keep_ms;
	s->book = book_open(s->conf->store.dir,
	    s->conf->store.map_size_bytes / 16, &e);
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

	if (!stores_lock(c, &s))
		return CTL_REFUSED;
	memset(&k, 0, sizeof(k));
	k.c = c;
	if (!stores_open(c, &s))
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

static bool
store_move(struct ctl *c, const char *from, const char *to)
{
	if (rename(from, to) == 0)
		return true;
	ctl_say_error(c, "InternalServiceErrorException", "rename %s: %s",
	    from, strerror(errno));
	return false;
}

/* The file takes the place of NAME's data.mdb in store.dir. */
static bool
store_replace(struct ctl *c, const struct stores *s, const char *file,
    const char *name)
{
	char to[PATH_SIZE];

	if (chmod(file, 0600) != 0) {
		ctl_say_error(c, "InternalServiceErrorException",
		    "chmod %s: %s", file, strerror(errno));
		return false;
	}
	snprintf(to, sizeof(to), "%s/%s/data.mdb", s->conf->store.dir, name);
	if (!store_move(c, file, to))
		return false;
	snprintf(to, sizeof(to), "%s/%s/lock.mdb", s->conf->store.dir, name);
	unlink(to);
	return true;
}

/* A compaction that was interrupted has left it; nobody else makes it. */
static void
compact_clean(const struct backup *b)
{
	char	 path[BACKUP_PATH_SIZE];
	unsigned i;

	for (i = 0; i < BACKUP_PARTS; i++) {
		backup_path(b, i, path);
		unlink(path);
		*strrchr(path, '/') = '\0';
		rmdir(path);
	}
	rmdir(b->dir);
}

static bool
compact_write(struct ctl *c, struct stores *s, struct backup *b)
{
	struct err e;
	char	   dir[BACKUP_DIR_SIZE];

	snprintf(dir, sizeof(dir), "%s/compact", s->conf->store.dir);
	snprintf(b->dir, sizeof(b->dir), "%s", dir);
	compact_clean(b);
	if (!backup_open(c, b, dir))
		return false;
	if (book_backup(s->book, b->fds[0], &e) == 0 &&
	    spool_backup(s->spool, b->fds[1], &e) == 0)
		return backup_finish(c, b);
	ctl_say_error(c, "InternalServiceErrorException", "%s: %s", dir,
	    e.text);
	backup_undo(b);
	return false;
}

int
offline_store_compact(struct ctl *c)
{
	struct stores s;
	struct backup b;
	char	      path[BACKUP_PATH_SIZE];
	unsigned      i;
	int	      status = CTL_REFUSED;

	if (!stores_lock(c, &s))
		return CTL_REFUSED;
	if (!stores_open(c, &s))
		goto out;
	if (c->dry_run) {
		printf("would write the stores in %s anew\n",
		    s.conf->store.dir);
		status = CTL_DONE;
		goto out;
	}
	if (!compact_write(c, &s, &b))
		goto out;
	spool_close(s.spool);
	book_close(s.book);
	s.spool = NULL;
	s.book = NULL;
	s.is_replaced = true;
	status = CTL_DONE;
	for (i = 0; status == CTL_DONE && i < BACKUP_PARTS; i++) {
		backup_path(&b, i, path);
		if (!store_replace(c, &s, path, backup_names[i]))
			status = CTL_REFUSED;
	}
	compact_clean(&b);
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

static int
store_restore_would(struct ctl *c, const struct stores *s, const char *dir)
{
	char	      from[PATH_SIZE];
	int	      i;

	for (i = 0; i < 2; i++) {
		snprintf(from, sizeof(from), "%s/%s/data.mdb", dir, backup_names[i]);
		if (access(from, R_OK) != 0) {
			ctl_say_error(c, "NotFoundException", "%s: %s", from,
			    strerror(errno));
			return CTL_REFUSED;
		}
	}
	printf("would replace the stores in %s by those of %s\n",
	    s->conf->store.dir, dir);
	return CTL_DONE;
}

/* The backup is copied beside the store, then takes its place. */
int
offline_store_restore(struct ctl *c)
{
	struct stores s;
	char	      from[PATH_SIZE], part[PATH_SIZE], folder[PATH_SIZE];
	const char   *dir = ctl_arg(c, "dir");
	int	      i, status = CTL_REFUSED;

	if (!c->yes && !c->dry_run) {
		ctl_say_misuse(c, "this replaces the stores; give "
		    "--yes");
		return CTL_USAGE;
	}
	if (!stores_lock(c, &s))
		return CTL_REFUSED;
	if (c->dry_run) {
		status = store_restore_would(c, &s, dir);
		goto out;
	}
	for (i = 0; i < 2; i++) {
		snprintf(folder, sizeof(folder), "%s/%s", s.conf->store.dir,
		    backup_names[i]);
		snprintf(from, sizeof(from), "%s/%s/data.mdb", dir, backup_names[i]);
		snprintf(part, sizeof(part), "%s/%s/restore.part",
		    s.conf->store.dir, backup_names[i]);
		if ((mkdir(folder, 0700) != 0 && errno != EEXIST) ||
		    !store_copy_file(c, from, part))
			goto out;
	}
	for (i = 0; i < 2; i++) {
		snprintf(part, sizeof(part), "%s/%s/restore.part",
		    s.conf->store.dir, backup_names[i]);
		s.is_replaced = true;
		if (!store_replace(c, &s, part, backup_names[i]))
			goto out;
	}
	status = CTL_DONE;
out:
	stores_close(&s);
	return status;
}
