/* SPDX-License-Identifier: ISC */
/*
 * A new configuration, and new channels to the keys and verifier processes:
 * main reads what the master has sent, and tells each loop of it by its feed.
 * Thread: main; relay_tell_*() run on the loop they are posted to.
 */
#include "daemon/relay.h"

#include <unistd.h>

#include "base/log.h"

struct relay_news {
	struct relay	*relay;
	struct conf	*conf;
	struct tls_trust *trust; /* NULL = as it was */
	struct desk_tls *tls;
	int		 fd;
};

static struct relay_news *
relay_news_new(struct relay *r, int fd)
{
	struct relay_news *n = mem_alloc(sizeof(*n));

	n->relay = r;
	n->fd = fd;
	n->conf = conf_ref(r->conf);
	n->tls = desk_tls_ref(r->tls);
	if (r->trust != NULL)
		n->trust = tls_trust_ref(r->trust);
	return n;
}

static void
relay_news_free(struct relay_news *n)
{
	conf_unref(n->conf);
	desk_tls_unref(n->tls);
	tls_trust_unref(n->trust);
	mem_free(n);
}

static void
relay_tell_desk(void *desk, void *news)
{
	struct relay_desk *d = desk;
	struct relay_news *n = news;

	desk_reload(d->desk, n->conf, n->tls);
	relay_news_free(n);
}

static void
relay_tell_delivery(void *relay, void *news)
{
	struct relay	       *r = relay;
	struct relay_news      *n = news;
	struct sockaddr_storage servers[RESOLVER_SERVERS_MAX];
	struct resolver_setup	rs;
	struct err		e;

	conf_resolver_setup(n->conf, servers, &rs);
	if (resolver_retune(r->resolver, &rs, &e) != 0)
		log_error("dns-servers-kept", "reason=\"%s\"", e.text);
	carrier_reload(r->carrier, n->conf);
	relay_news_free(n);
}

static void
relay_tell_reporter(void *relay, void *news)
{
	struct relay_news *n = news;

	reporter_reload(((struct relay *)relay)->reporter, n->conf,
	    n->trust);
	relay_news_free(n);
}

static void
relay_tell_keys(void *desk, void *news)
{
	struct relay_desk *d = desk;
	struct relay_news *n = news;

	keys_client_replace(d->keys, n->fd);
	relay_news_free(n);
}

static void
relay_tell_verifier(void *relay, void *news)
{
	struct relay_news *n = news;

	reporter_verifier(((struct relay *)relay)->reporter, n->fd);
	relay_news_free(n);
}

static void
relay_tell(struct loop *l, loop_fn *fn, void *ctx, struct relay_news *n)
{
	if (loop_post(l, fn, ctx, n))
		return;
	log_error("feed-full", "loop=%s", loop_name(l));
	if (n->fd >= 0)
		close(n->fd);
	relay_news_free(n);
}

void
relay_on_peer(struct relay *r, const struct child_message *m, int fd)
{
	if (m->kind == CHILD_PEER_VERIFIER)
		relay_tell(r->reporting, relay_tell_verifier, r,
		    relay_news_new(r, fd));
	else if (m->index < r->desk_count)
		relay_tell(r->desks[m->index].loop, relay_tell_keys,
		    &r->desks[m->index], relay_news_new(r, fd));
	else if (m->index == r->desk_count)
		keys_client_replace(r->keys, fd);
	else
		close(fd);
}

/* false and why: the old configuration stays. */
static bool
relay_reload(struct relay *r, struct buf *why)
{
	struct child_files *f = r->reload;
	struct desk_tls	   *tls;
	struct conf	   *c;
	struct spool_setup  spool;
	struct err	    e;
	unsigned	    i;

	c = child_files_conf(f, why);
	if (c == NULL)
		return false;
	conf_keep(c, r->conf);
	tls = relay_load_tls(c, f, &e);
	if (tls == NULL || signer_check_conf(c, &e) != 0 ||
	    relay_load_suffixes(c, f, &e) != 0 ||
	    relay_load_trust(c, f, &r->trust, &e) != 0) {
		buf_add_text(why, e.text);
		desk_tls_unref(tls);
		conf_unref(c);
		return false;
	}
	conf_unref(r->conf);
	r->conf = c;
	desk_tls_unref(r->tls);
	r->tls = tls;
	if (child_open_log(f, c, &e) != 0)
		log_error("log-failed", "reason=\"%s\"", e.text);
	spool = relay_spool_setup(c);
	spool_retune(r->spool, &spool);
	spool_keep_raw(r->spool, c->intake.keep_raw_ms);
	for (i = 0; i < r->desk_count; i++)
		relay_tell(r->desks[i].loop, relay_tell_desk, &r->desks[i],
		    relay_news_new(r, -1));
	relay_tell(r->delivery, relay_tell_delivery, r, relay_news_new(r, -1));
	relay_tell(r->reporting, relay_tell_reporter, r,
	    relay_news_new(r, -1));
	relay_reload_operator(r);
	relay_reload_default(r);
	log_info("reloaded", "listeners=%zu", c->listener_count);
	return true;
}

void
relay_on_reload(struct relay *r, uint32_t number)
{
	struct buf why;
	bool	   accepted;

	if (r->reload == NULL)
		return;
	buf_init(&why, 32768);
	accepted = relay_reload(r, &why);
	relay_take_audit(r, accepted);
	if (!accepted)
		log_error("reload-refused", "reason=\"%.*s\"",
		    (int)(why.n > 400 ? 400 : why.n), why.p);
	child_news_end(&r->reload);
	if (number != 0)
		child_send(r->master, CHILD_RELOAD_RESULT, number,
		    buf_bytes(&why), -1);
	buf_wipe(&why);
}
