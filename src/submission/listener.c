/* SPDX-License-Identifier: ISC */
#include "submission/listener.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/reserve.h"
#include "net/stream.h"
#include "registry/ip_filter.h"
#include "submission/desk_private.h"
#include "submission/session.h"
#include "submission/standing.h"

enum {
	/* To take its refusal, for so many a second and at once: each holds
	 * a descriptor that no limit of connections counts.  More have the
	 * line, too, but are closed in the same breath: who has already said
	 * something may lose it by the reset. */
	REFUSAL_MS = 5000,
	REFUSAL_RATE = 100,
	REFUSAL_BURST = 500,
	RATE_WINDOW_MS = 60 * 1000
};

struct listener {
	struct listener	       *next;
	struct desk	       *desk;
	size_t			index; /* in conf->listeners */
	int			fd;    /* lent */
	struct stream_listener *socket;
};

/* Accepted and counted; waits until a session is made for it. */
struct newcomer {
	struct newcomer	    *next, **link; /* of the desk */
	struct turn	     turn;
	struct session_place place;
	int		     fd;
};

static void listener_on_accept(void *arg, int fd, const struct sockaddr *peer,
    socklen_t len);
static void newcomer_drop(struct newcomer *n);

static void
listener_ignore(void *arg)
{
	(void)arg;
}

static void
listener_ignore_end(void *arg, enum stream_end why)
{
	(void)arg;
	(void)why;
}

/* A client that is sent away: nobody listens to it. */
static const struct stream_events refusal_events = {
	.on_ready = listener_ignore,
	.on_input = listener_ignore,
	.on_end = listener_ignore_end
};

int
listener_open(struct desk *d, size_t index, int fd, struct err *e)
{
	struct listener *l;

	if (index >= d->rules->conf->listener_count)
		return err_set(e, "there is no such listener");
	l = mem_alloc(sizeof(*l));
	l->desk = d;
	l->index = index;
	l->fd = fd;
	l->socket = stream_listen(d->setup.loop, fd, listener_on_accept, l, e);
	if (l->socket == NULL) {
		mem_free(l);
		return -1;
	}
	l->next = d->listeners;
	d->listeners = l;
	return 0;
}

void
listener_close(struct desk *d, int fd)
{
	struct listener **link = &d->listeners, *l;

	while ((l = *link) != NULL && l->fd != fd)
		link = &l->next;
	if (l == NULL)
		return;
	*link = l->next;
	stream_listener_close(l->socket);
	mem_free(l);
}

void
listener_close_all(struct desk *d)
{
	struct listener *l;

	while (d->newcomers != NULL)
		newcomer_drop(d->newcomers);
	while ((l = d->listeners) != NULL) {
		d->listeners = l->next;
		stream_listener_close(l->socket);
		mem_free(l);
	}
}

/* -- addresses ------------------------------------------------------------ */

/* Limits count an IPv4 address, and of IPv6 the network a client has. */
static void
listener_ip_key(const struct sockaddr *sa, char out[SESSION_IP_KEY_SIZE])
{
	struct in6_addr a;
	char		text[INET6_ADDRSTRLEN] = "";

	if (sa->sa_family == AF_INET6) {
		a = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
		if (IN6_IS_ADDR_V4MAPPED(&a)) {
			inet_ntop(AF_INET, a.s6_addr + 12, text, sizeof(text));
			snprintf(out, SESSION_IP_KEY_SIZE, "%s", text);
			return;
		}
		memset(a.s6_addr + 8, 0, 8);
		inet_ntop(AF_INET6, &a, text, sizeof(text));
		snprintf(out, SESSION_IP_KEY_SIZE, "%s/64", text);
	} else if (sa->sa_family == AF_INET) {
		inet_ntop(AF_INET,
		    &((const struct sockaddr_in *)(const void *)sa)->sin_addr,
		    text, sizeof(text));
		snprintf(out, SESSION_IP_KEY_SIZE, "%s", text);
	} else {
		snprintf(out, SESSION_IP_KEY_SIZE, "unix");
	}
}

char *
desk_block_key(const struct sockaddr *client, char out[DESK_BLOCK_KEY_SIZE])
{
	char ip[SESSION_IP_KEY_SIZE];

	listener_ip_key(client, ip);
	snprintf(out, DESK_BLOCK_KEY_SIZE, "block/%.57s", ip);
	return out;
}

/* -- counts --------------------------------------------------------------- */

static struct bytes
listener_key(char out[DESK_KEY_MAX], const char *kind, const char *what)
{
	int n = snprintf(out, DESK_KEY_MAX, "%s/%s", kind, what);

	return (struct bytes){ out,
		n < DESK_KEY_MAX ? (size_t)n : DESK_KEY_MAX - 1 };
}

static const struct conf_listener *
listener_conf(const struct desk *d, size_t index)
{
	return &d->rules->conf->listeners[index];
}

size_t
listener_meter(size_t index)
{
	return index < DESK_LISTENERS_MAX ? index : DESK_LISTENERS_MAX - 1;
}

void
listener_promote(const struct session_place *p)
{
	char key[DESK_KEY_MAX];

	if (!p->is_trusted)
		tally_add(p->desk->setup.tally,
		    listener_key(key, "preauth", p->ip_key), -1);
}

void
listener_forget(const struct session_place *p, bool is_preauth)
{
	struct desk  *d = p->desk;
	struct tally *t = d->setup.tally;
	char	      key[DESK_KEY_MAX];

	tally_add(t, BYTES("smtp"), -1);
	tally_add(t, listener_key(key, "smtp",
	    listener_conf(d, p->listener)->name), -1);
	meter_sub(&d->setup.meters->connections[listener_meter(p->listener)],
	    1);
	if (p->is_trusted)
		return;
	tally_add(t, listener_key(key, "ip", p->ip_key), -1);
	if (is_preauth)
		listener_promote(p);
}

/* All counts, or none; false = which limit stands in the way. */
static const char *
listener_count(const struct session_place *p)
{
	struct desk	  *d = p->desk;
	const struct conf *c = d->rules->conf;
	struct tally	  *t = d->setup.tally;
	struct bytes	   all = BYTES("smtp"), own, ip;
	char		   k1[DESK_KEY_MAX], k2[DESK_KEY_MAX];
	char		   k3[DESK_KEY_MAX];

	own = listener_key(k1, "smtp", listener_conf(d, p->listener)->name);
	if (!tally_add_below(t, all, 1, c->smtp.max_connections))
		return "all";
	if (!tally_add_below(t, own, 1,
		listener_conf(d, p->listener)->max_connections)) {
		tally_add(t, all, -1);
		return "listener";
	}
	if (p->is_trusted)
		return NULL;
	ip = listener_key(k2, "ip", p->ip_key);
	if (tally_add_below(t, ip, 1, c->smtp.max_connections_per_ip)) {
		if (tally_add_below(t, listener_key(k3, "preauth", p->ip_key),
			1, c->smtp.max_preauth_per_ip))
			return NULL;
		tally_add(t, ip, -1);
	}
	tally_add(t, own, -1);
	tally_add(t, all, -1);
	return "address";
}

/* -- newcomers ------------------------------------------------------------ */

/* Its descriptor and its counts are the session's, or nobody's. */
static void
newcomer_free(struct newcomer *n)
{
	turn_leave(&n->turn);
	*n->link = n->next;
	if (n->next != NULL)
		n->next->link = n->link;
	mem_free(n);
}

static void
newcomer_drop(struct newcomer *n)
{
	close(n->fd);
	listener_forget(&n->place, true);
	newcomer_free(n);
}

static void
newcomer_on_turn(void *newcomer, void *unused)
{
	struct newcomer	    *n = newcomer;
	struct session_place p = n->place;
	int		     fd = n->fd;

	(void)unused;
	newcomer_free(n);
	session_begin(&p, fd);
}

/*
 * A session costs some ten system calls: who comes by the thousand waits
 * behind each other, not before the others.
 */
static void
newcomer_wait(const struct session_place *p, int fd)
{
	struct newcomer *n = mem_alloc(sizeof(*n));
	struct desk	*d = p->desk;

	n->place = *p;
	n->fd = fd;
	n->next = d->newcomers;
	n->link = &d->newcomers;
	if (n->next != NULL)
		n->next->link = &n->next;
	d->newcomers = n;
	turn_init(&n->turn, newcomer_on_turn, n);
	turn_ask(d->turns, &n->turn, TURN_LIGHT, bytes_of(p->ip_key));
}

/* -- accept --------------------------------------------------------------- */

/* Clear ports say why; wrapper ports close without a handshake. */
static void
listener_refuse(struct listener *l, int fd, const struct sockaddr *peer,
    const char *line, const char *why)
{
	const struct conf_listener *c = listener_conf(l->desk, l->index);
	struct desk_meters *m = l->desk->setup.meters;
	struct loop   *loop = l->desk->setup.loop;
	struct stream *s;
	char	       ip[SESSION_IP_KEY_SIZE];
	bool	       may_linger;

	meter_add(strcmp(why, "filter") == 0 ?
	    &m->refused_filter[listener_meter(l->index)] :
	    &m->refused_limit[listener_meter(l->index)], 1);
	may_linger = tally_bucket_take(l->desk->setup.tally, BYTES("refusals"),
	    1, REFUSAL_RATE, REFUSAL_BURST, loop_now(loop));
	if (may_linger) {
		listener_ip_key(peer, ip);
		log_info("connection-refused", "ip=%s listener=%s limit=%s",
		    ip, c->name, why);
	}
	if (c->tls != CONF_TLS_WRAPPER)
		desk_count_reply(l->desk, DESK_CONNECT, bytes_of(line));
	if (c->tls == CONF_TLS_WRAPPER) {
		close(fd);
		return;
	}
	if (!may_linger) {
		stream_refuse(fd, bytes_of(line));
		return;
	}
	s = stream_accept(loop, fd, &refusal_events, NULL);
	stream_write(s, bytes_of(line));
	stream_finish(s, REFUSAL_MS);
}

/* The stored filters, read anew when the book has changed. */
static const struct ip_filter *
listener_filter(struct desk *d, const char *listener,
    const struct sockaddr *peer)
{
	uint64_t	       version = book_version(d->setup.book);
	struct ip_filter_list *l = NULL;
	struct db_txn	      *t;
	struct err	       e;

	if (d->filters == NULL || d->filters_version != version) {
		t = book_read(d->setup.book, &e);
		if (t != NULL)
			l = ip_filter_list_new(t, &e);
		book_end(t);
		if (l == NULL) {
			log_error("book-failed", "reason=\"%s\"", e.text);
		} else {
			ip_filter_list_free(d->filters);
			d->filters = l;
			d->filters_version = version;
		}
	}
	return d->filters == NULL ? NULL : ip_filter_judge(d->filters,
	    listener, peer);
}

/* Of the configuration first, then of the store. */
static bool
listener_is_filtered(struct desk *d, const struct conf_listener *c,
    const struct sockaddr *peer)
{
	const struct ip_filter *f;
	char			ip[SESSION_IP_KEY_SIZE];

	if (conf_cidrs_contain(&c->deny, peer) ||
	    (c->allow.n > 0 && !conf_cidrs_contain(&c->allow, peer)))
		return true;
	f = listener_filter(d, c->name, peer);
	if (f == NULL)
		return false;
	listener_ip_key(peer, ip);
	log_info("filtered", "ip=%s listener=%s filter=%s", ip, c->name,
	    f->name);
	return true;
}

/* Filters and limits; NULL = may enter, else the line to say. */
static const char *
listener_judge(struct listener *l, struct session_place *p,
    const struct sockaddr *peer, const char **why)
{
	struct desk		   *d = l->desk;
	const struct conf_listener *c = listener_conf(d, l->index);
	struct mono		    now = loop_now(d->setup.loop);
	char			    key[DESK_KEY_MAX];
	static const char full[] =
	    "421 Too many concurrent SMTP connections\r\n";

	*why = "memory";
	if (reserve_is_short())
		return full;
	*why = "filter";
	if (!p->is_unix && listener_is_filtered(d, c, peer))
		return "554 5.7.1 Access denied\r\n";
	if (!p->is_trusted) {
		*why = "blocked";
		if (tally_is_blocked(d->setup.tally,
			bytes_of(desk_block_key(peer, key)), now))
			return "421 Too many authentication failures\r\n";
		*why = "rate";
		if (tally_window_add(d->setup.tally,
			listener_key(key, "rate", p->ip_key), 1, now,
			RATE_WINDOW_MS) >
		    d->rules->conf->smtp.max_connect_rate_per_ip)
			return full;
	}
	*why = "handshakes";
	if (c->tls == CONF_TLS_WRAPPER && !standing_may_handshake(p, p->rank))
		return full;
	*why = listener_count(p);
	return *why == NULL ? NULL : full;
}

static void
listener_on_accept(void *arg, int fd, const struct sockaddr *peer,
    socklen_t len)
{
	struct listener	    *l = arg;
	struct desk	    *d = l->desk;
	struct session_place p = { .desk = d, .listener = l->index };
	struct sockaddr_storage from;
	const char	    *line, *why;

	memset(&from, 0, sizeof(from));
	memcpy(&from, peer, len < sizeof(from) ? len : sizeof(from));
	peer = (const struct sockaddr *)&from;
	p.is_unix = peer->sa_family != AF_INET && peer->sa_family != AF_INET6;
	p.is_trusted = p.is_unix || conf_cidrs_contain(
	    &d->rules->conf->smtp.trusted_networks, peer);
	listener_ip_key(peer, p.ip_key);
	p.rank = standing_rank(&p, BYTES(""));
	line = listener_judge(l, &p, peer, &why);
	if (line != NULL) {
		listener_refuse(l, fd, peer, line, why);
		return;
	}
	meter_add(&d->setup.meters->connections[listener_meter(l->index)], 1);
	meter_add(&d->setup.meters->connections_total[listener_meter(
	    l->index)], 1);
	newcomer_wait(&p, fd);
}
