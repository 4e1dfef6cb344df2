/* SPDX-License-Identifier: ISC */
/* posthornctl init: the first configuration, key, store, account, login. */
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
#include "store/spool.h"
#include "tools/ctl/offline.h"

enum { PATH_SIZE = 1200, MASTER_KEY_OCTETS = 32 };

struct first {
	struct book_job	  job;
	const struct conf *conf;
	struct account	  account;
	struct credential credential;
	const char	 *account_name;
	char		  password[CREDENTIAL_PASSWORD_SIZE];
};

static bool
init_fail(struct ctl *c, const char *what, const char *path)
{
	ctl_say_error(c, "InternalServiceErrorException", "%s %s: %s", what,
	    path, strerror(errno));
	return false;
}

static bool
init_make_dirs(struct ctl *c, const char *path, mode_t last)
{
	char   part[PATH_SIZE];
	size_t i, n = strlen(path);

	if (n >= sizeof(part)) {
		errno = ENAMETOOLONG;
		return init_fail(c, "make", path);
	}
	memcpy(part, path, n + 1);
	for (i = 1; i <= n; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, i == n ? last : 0755) != 0 && errno != EEXIST)
			return init_fail(c, "make", part);
		part[i] = path[i];
	}
	return true;
}

static const char *
init_option(struct ctl *c, const char *name, const char *otherwise)
{
	const char *v = ctl_arg(c, name);

	return v != NULL ? v : otherwise;
}

static bool
init_write_conf(struct ctl *c, const char *key_path)
{
	char	    host[256] = "localhost";
	const char *name, *dot;
	FILE	   *f;
	int	    fd;

	fd = open(c->conf_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno == EEXIST || init_fail(c, "create",
		    c->conf_path);
	gethostname(host, sizeof(host) - 1);
	name = init_option(c, "hostname", host);
	dot = strchr(name, '.');
	f = fdopen(fd, "w");
	fprintf(f, "# posthorn.conf(5)\n\nserver {\n    name    %s\n"
	    "    domain  %s\n    region  %s\n}\n", name,
	    init_option(c, "domain", dot != NULL ? dot + 1 : name),
	    init_option(c, "region", "us-east-1"));
	fprintf(f, "store.master_key  %s\n", key_path);
	if (ctl_arg(c, "postmaster") != NULL)
		fprintf(f, "intake.postmaster  %s\n",
		    ctl_arg(c, "postmaster"));
	fprintf(f, "\n# tls {\n#     cert  /etc/posthorn/tls/fullchain.pem\n"
	    "#     key   /etc/posthorn/tls/key.pem\n# }\n");
	return fclose(f) == 0 || init_fail(c, "write", c->conf_path);
}

static bool
init_write_key(struct ctl *c, const char *path)
{
	unsigned char key[MASTER_KEY_OCTETS];
	bool	      good;
	int	      fd;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	if (fd < 0)
		return errno == EEXIST || init_fail(c, "create", path);
	mem_random(key, sizeof(key));
	good = write(fd, key, sizeof(key)) == (ssize_t)sizeof(key) &&
	    fsync(fd) == 0;
	mem_wipe(key, sizeof(key));
	close(fd);
	return good || init_fail(c, "write", path);
}

static int
init_first_records(struct book_job *j, struct db_txn *t)
{
	struct first	  *x = (struct first *)(void *)j;
	struct credential *k = &x->credential;
	char		   secret[CREDENTIAL_SECRET_SIZE];
	struct wall	   now = clock_wall();
	int		   rc;

	if (book_set_region(t, x->conf->server.region, &j->err) != 0)
		return -1;
	snprintf(x->account.name, sizeof(x->account.name), "%s",
	    x->account_name);
	x->account.max_24h = x->conf->account.default_max_24h;
	x->account.rate = x->conf->account.default_rate;
	x->account.production = x->conf->account.default_production;
	x->account.sending_enabled = true;
	x->account.suppress_bounce = x->account.suppress_complaint = true;
	x->account.created = x->account.updated = now;
	if (account_create(t, &x->account, &j->err) < 0)
		return -1;
	memcpy(k->account, x->account.id, sizeof(k->account));
	snprintf(k->name, sizeof(k->name), "app1");
	k->enabled = true;
	k->role = ROLE_SMTP;
	k->created = k->updated = now;
	k->limits.max_24h = k->limits.rate = -2;
	k->key_count = 1;
	credential_make_key_id(k->keys[0].id);
	credential_make_secret(secret);
	credential_derive(bytes_of(secret), bytes_of(x->conf->server.region),
	    x->password);
	mem_wipe(secret, sizeof(secret));
	k->keys[0].active = true;
	k->keys[0].created = now;
	snprintf(k->keys[0].region, sizeof(k->keys[0].region), "%s",
	    x->conf->server.region);
	if (!credential_verifier(bytes_of(x->password), k->keys[0].digest))
		return err_set(&j->err, "no verifier");
	rc = credential_put(t, k, &j->err);
	return rc < 0 ? -1 : 0;
}

static void
init_print(const struct first *x)
{
	const struct conf *c = x->conf;

	printf("account         %s\n", x->account.id);
	printf("user            %s\n", x->credential.name);
	printf("access key id   %s\n", x->credential.keys[0].id);
	printf("smtp password   %s\n", x->password);
	printf("region          %s\n", c->server.region);
	printf("This password is not shown again.\n\n");
	printf("%s. 1800 IN MX 10 %s.\n", c->mail_from.default_domain,
	    c->mail_from.mx_host);
	printf("%s. 1800 IN TXT \"v=spf1 a:%s ~all\"\n",
	    c->mail_from.default_domain, c->server.name);
}

/* Empty, so that a spool that is missing later is one that was lost. */
static bool
init_spool(struct ctl *c, const struct conf *conf)
{
	struct spool_setup setup;
	struct spool	  *s;
	struct err	   e;

	memset(&setup, 0, sizeof(setup));
	setup.dir = conf->store.dir;
	setup.map_bytes = conf->store.map_size_bytes;
	s = spool_open(&setup, &e);
	if (s == NULL) {
		ctl_say_error(c, "InternalServiceErrorException", "%s",
		    e.text);
		return false;
	}
	spool_close(s);
	return true;
}

static int
init_store(struct ctl *c, const struct conf *conf)
{
	struct first *x = mem_alloc(sizeof(*x));
	struct book  *book;
	struct err    e;
	int	      status = CTL_REFUSED;

	x->conf = conf;
	if (!init_spool(c, conf))
		goto out;
	x->account_name = init_option(c, "account-name", "default");
	x->job.run = init_first_records;
	book = book_open(conf->store.dir, conf->store.map_size_bytes / 16, &e);
	if (book == NULL) {
		ctl_say_error(c, "InternalServiceErrorException", "%s",
		    e.text);
	} else if (book_write_now(book, &x->job) != 0) {
		ctl_say_error(c, "InternalServiceErrorException", "%s",
		    x->job.err.text);
	} else {
		init_print(x);
		status = CTL_DONE;
	}
	if (book != NULL)
		book_close(book);
out:
	mem_wipe(x->password, sizeof(x->password));
	mem_free(x);
	return status;
}

/* -- what is looked at before anything is made ----------------------------- */

/* As root, everything made is given to users that have to be there. */
static bool
init_check_users(struct ctl *c, const struct conf *conf)
{
	const char *const users[] = { conf->server.user,
		conf->server.keys_user, conf->server.verifier_user };
	struct process_user u;
	struct err	    e;
	size_t		    i;

	for (i = 0; geteuid() == 0 && i < 3; i++)
		if (process_user_find(users[i], NULL, &u, &e) != 0) {
			ctl_say_error(c, "BadRequestException",
			    "no such user: %s; make the users of "
			    "posthornd(8) first (useradd -r %s), or name "
			    "others in %s", users[i], users[i],
			    c->conf_path);
			return false;
		}
	return true;
}

static bool
init_check_store(struct ctl *c, const struct conf *conf)
{
	char path[PATH_SIZE];
	bool is_running;
	int  fd;

	snprintf(path, sizeof(path), "%s/lock", conf->store.dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	is_running = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
	if (fd >= 0)
		close(fd);
	if (is_running) {
		ctl_say_error(c, "ConflictException", "posthornd is running");
		return false;
	}
	snprintf(path, sizeof(path), "%s/state/data.mdb", conf->store.dir);
	if (access(path, F_OK) != 0)
		return true;
	ctl_say_error(c, "AlreadyExistsException", "a store exists in %s",
	    conf->store.dir);
	return false;
}

static const char *const init_options[] = { "hostname", "domain", "region",
	"postmaster" };
enum { INIT_OPTIONS = sizeof(init_options) / sizeof(init_options[0]) };

/* They are written as they are: one word each. */
static bool
init_check_options(struct ctl *c)
{
	const char *v;
	size_t	    i;

	for (i = 0; i < INIT_OPTIONS; i++) {
		v = ctl_arg(c, init_options[i]);
		if (v == NULL || (v[0] != '\0' &&
		    strpbrk(v, " \t\r\n\"{}#\\") == NULL))
			continue;
		ctl_say_misuse(c, "--%s: \"%s\" is not one word",
		    init_options[i], v);
		return false;
	}
	return true;
}

static void
init_warn_unused(struct ctl *c)
{
	size_t i;

	for (i = 0; i < INIT_OPTIONS; i++)
		if (ctl_arg(c, init_options[i]) != NULL)
			fprintf(stderr, "warning: %s is there already and "
			    "stays as it is: --%s has no effect\n",
			    c->conf_path, init_options[i]);
}

static int
init_would(struct ctl *c, const struct conf *conf, bool fresh,
    const char *key_path)
{
	if (fresh)
		printf("would write %s\n", c->conf_path);
	if (access(key_path, F_OK) != 0)
		printf("would make the master key %s\n", key_path);
	printf("would make the store %s with account %s and credential "
	    "app1\n", conf->store.dir,
	    init_option(c, "account-name", "default"));
	return CTL_DONE;
}

static int
init_make(struct ctl *c, const struct conf *conf)
{
	if (conf->store.master_key != NULL) {
		if (!init_write_key(c, conf->store.master_key))
			return CTL_REFUSED;
		offline_own(conf->server.keys_user, conf->store.master_key);
	}
	if (!init_make_dirs(c, conf->store.dir, 0700))
		return CTL_REFUSED;
	return init_store(c, conf);
}

int
offline_init(struct ctl *c)
{
	char	     key_path[PATH_SIZE + 16], dir[PATH_SIZE];
	bool	     fresh = access(c->conf_path, F_OK) != 0;
	struct conf *conf;
	char	    *slash;
	int	     status = CTL_REFUSED;

	if (!init_check_options(c))
		return CTL_USAGE;
	snprintf(dir, sizeof(dir), "%s", c->conf_path);
	slash = strrchr(dir, '/');
	if (slash == NULL)
		snprintf(dir, sizeof(dir), ".");
	else
		*slash = '\0';
	snprintf(key_path, sizeof(key_path), "%s/master.key", dir);
	conf = fresh ? conf_defaults() : offline_conf(c, false);
	if (conf == NULL)
		return CTL_REFUSED;
	if (!fresh)
		init_warn_unused(c);
	if (!init_check_users(c, conf) || !init_check_store(c, conf))
		goto out;
	if (c->dry_run) {
		status = init_would(c, conf, fresh, fresh ||
			conf->store.master_key == NULL ? key_path
			: conf->store.master_key);
		goto out;
	}
	if (fresh) {
		conf_unref(conf);
		conf = NULL;
		if (!init_make_dirs(c, dir, 0755) ||
		    !init_write_conf(c, key_path))
			return CTL_REFUSED;
		conf = offline_conf(c, false);
		if (conf == NULL) {
			/* of a wrong option: the next try begins anew */
			unlink(c->conf_path);
			return CTL_REFUSED;
		}
	}
	status = init_make(c, conf);
	offline_own_stores(conf);
out:
	conf_unref(conf);
	return status;
}
