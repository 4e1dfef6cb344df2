/* SPDX-License-Identifier: ISC */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/audit.h"
#include "daemon/relay.h"

enum { PEM_MAX = 1024 * 1024, PSL_MAX = 16 * 1024 * 1024 };

/* Certificate and key of one pair; false = not readable (*e says why). */
static bool
relay_read_pair(const struct child_files *f, const char *cert,
    const char *key, struct buf pair[2], struct err *e)
{
	if (!child_files_read(f, cert, PEM_MAX, &pair[0], e))
		return false;
	if (!child_files_read(f, key, PEM_MAX, &pair[1], e)) {
		buf_wipe(&pair[0]);
		return false;
	}
	return true;
}

static struct tls_server *
relay_load_one(const struct conf *c, const struct conf_listener *l,
    const struct child_files *f, struct err *e)
{
	struct tls_pem	       *pems;
	struct buf	      (*pairs)[2];
	struct tls_server_setup s;
	struct tls_server      *t = NULL;
	size_t			i, n = 0, all = c->certificate_count + 1;
	const char	       *cert, *key;

	pems = mem_alloc(all * sizeof(*pems));
	pairs = mem_alloc(all * sizeof(*pairs));
	for (i = 0; i < all; i++) {
		cert = i == 0 ? l->cert : c->certificates[i - 1].cert;
		key = i == 0 ? l->key : c->certificates[i - 1].key;
		if (!relay_read_pair(f, cert, key, pairs[n], e))
			goto out;
		pems[n].cert = buf_bytes(&pairs[n][0]);
		pems[n].key = buf_bytes(&pairs[n][1]);
		pems[n].cert_path = cert;
		n++;
	}
	memset(&s, 0, sizeof(s));
	s.pems = pems;
	s.pem_count = n;
	s.tls13_only = c->tls.min_version == CONF_TLS_1_3;
	s.ciphers = c->tls.ciphers;
	s.ciphersuites = c->tls.ciphersuites;
	t = tls_server_new(&s, e);
out:
	for (i = 0; i < n; i++) {
		buf_wipe(&pairs[i][0]);
		mem_wipe(pairs[i][1].p, pairs[i][1].n);
		buf_wipe(&pairs[i][1]);
	}
	mem_free(pems);
	mem_free(pairs);
	return t;
}

/* Clients that verify go away; they complain elsewhere. */
static void
relay_look_at_certificate(const struct conf *c, const struct conf_listener *l,
    const struct tls_server *t)
{
	struct wall end = tls_server_not_after(t);
	char	    text[CLOCK_TEXT_MAX];

	if (end.ms <= clock_wall().ms)
		log_warn("certificate-expired", "listener=%s path=%s end=%s",
		    l->name, l->cert, wall_iso_seconds(end, text));
	if (!tls_server_covers(t, c->server.name))
		log_warn("certificate-name", "listener=%s path=%s "
		    "server.name=%s", l->name, l->cert, c->server.name);
}

struct desk_tls *
relay_load_tls(const struct conf *c, const struct child_files *f,
    struct err *e)
{
	struct desk_tls		   *t = desk_tls_new(c->listener_count);
	const struct conf_listener *l;
	size_t			    i;

	for (i = 0; i < c->listener_count; i++) {
		l = &c->listeners[i];
		if (!l->enabled || l->tls == CONF_TLS_CLEAR ||
		    l->cert == NULL || l->key == NULL)
			continue;
		t->v[i] = relay_load_one(c, l, f, e);
		if (t->v[i] == NULL) {
			err_wrap(e, "listener %s", l->name);
			desk_tls_unref(t);
			return NULL;
		}
		relay_look_at_certificate(c, l, t->v[i]);
	}
	return t;
}

/*
 * The system's bundle is read once, at the start: behind landlock it cannot
 * be.  An installation without one has none; webhooks then say so.
 */
int
relay_load_trust(const struct conf *c, const struct child_files *f,
    struct tls_trust **trust, struct err *e)
{
	struct tls_trust *t;
	struct buf	  text;

	if (c->events.webhook_ca == NULL) {
		if (*trust == NULL)
			*trust = tls_trust_system(e);
		return 0;
	}
	if (!child_files_read(f, c->events.webhook_ca, PEM_MAX, &text, e))
		return err_wrap(e, "events.webhook_ca");
	t = tls_trust_new(buf_bytes(&text), e);
	buf_wipe(&text);
	if (t == NULL)
		return err_wrap(e, "events.webhook_ca %s",
		    c->events.webhook_ca);
	tls_trust_unref(*trust);
	*trust = t;
	return 0;
}

int
relay_load_suffixes(const struct conf *c, const struct child_files *f,
    struct err *e)
{
	struct buf text;
	int	   rc;

	if (c->dns.psl_file == NULL)
		return identity_load_suffixes(BYTES(""), e);
	if (!child_files_read(f, c->dns.psl_file, PSL_MAX, &text, e))
		return err_wrap(e, "dns.psl_file");
	/* an empty file is no list, and not the system's */
	rc = text.n == 0 ? err_set(e, "not a list of public suffixes") :
	    identity_load_suffixes(buf_bytes(&text), e);
	buf_wipe(&text);
	return rc == 0 ? 0 : err_wrap(e, "dns.psl_file %s", c->dns.psl_file);
}

/*
 * The folder of event files has to be there before landlock: a path that is
 * not cannot be allowed.  A test, or an installation without file
 * destinations, has none; a destination then says why it fails.
 */
static void
relay_make_events_dir(const struct conf *c)
{
	if (mkdir(c->events.dir, 0750) == 0)
		log_info("events-dir", "path=%s", c->events.dir);
}

/* The stores and the event files are opened by path; all else comes as a
 * descriptor. */
int
relay_enclose(const struct conf *c, struct err *e)
{
	static const char *const readable[] = { "/etc/resolv.conf",
		"/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf",
		"/etc/localtime", "/usr/share/zoneinfo", "/dev/urandom",
		NULL };
	const char *const  writable[] = { c->store.dir, c->events.dir,
		NULL };
	struct sandbox	   s = { readable, writable,
		    SANDBOX_OPENS | SANDBOX_STORES | SANDBOX_NETWORK };

	relay_make_events_dir(c);
	return child_enclose(c, &s, e);
}

/* A region is part of every derived password: it changes by intent only. */
struct region_job {
	struct book_job job;
	const char     *region;
};

static int
relay_set_region(struct book_job *j, struct db_txn *t)
{
	struct region_job *r = (struct region_job *)(void *)j;

	return book_set_region(t, r->region, &j->err);
}

int
relay_check_region(struct relay *r, bool accept_change, struct err *e)
{
	struct region_job job;
	struct db_txn	 *t;
	char		  region[33];
	int		  found;

	t = book_read(r->book, e);
	if (t == NULL)
		return -1;
	found = book_region(t, region, e);
	book_end(t);
	if (found < 0)
		return -1;
	if (found == 1 && strcmp(region, r->conf->server.region) == 0)
		return 0;
	if (found == 1 && !accept_change)
		return err_set(e, "server.region is %s but the store was made "
		    "for %s: all derived passwords would become invalid; give "
		    "--accept-region-change to go on",
		    r->conf->server.region, region);
	memset(&job, 0, sizeof(job));
	job.region = r->conf->server.region;
	job.job.run = relay_set_region;
	if (book_write_now(r->book, &job.job) != 0) {
		*e = job.job.err;
		return -1;
	}
	if (found == 1)
		log_warn("region-changed", "from=%s to=%s", region,
		    r->conf->server.region);
	return 0;
}

void
relay_reopen_audit(struct relay *r, int fd, struct bytes copied)
{
	char text[32];

	audit_reopen(r->audit, fd,
	    strtoll(bytes_text(copied, text, sizeof(text)), NULL, 10));
}

/* A file that was shortened is taken in any case: the old one has no name
 * any more. */
void
relay_take_audit(struct relay *r, bool accepted)
{
	struct child_files *f = r->reload;
	const char	   *copied = child_files_option(f, "audit-copied");

	if (f->audit_fd < 0 || (!accepted && copied == NULL))
		return;
	audit_reopen(r->audit, dup(f->audit_fd),
	    copied != NULL ? strtoll(copied, NULL, 10) : -1);
}

struct spool_setup
relay_spool_setup(const struct conf *c)
{
	struct spool_setup s;

	memset(&s, 0, sizeof(s));
	s.dir = c->store.dir;
	s.map_bytes = c->store.map_size_bytes;
	s.min_free = c->spool.min_free_bytes;
	s.messages_max = c->queue.max_messages;
	s.index_keep_ms = (int64_t)c->feedback.index_days * 86400000;
	s.tail_keep_ms = c->events.tail_keep_ms;
	s.redo_log = c->spool.redo_log;
	return s;
}
