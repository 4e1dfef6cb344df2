/* SPDX-License-Identifier: ISC */
/*
 * A dial: the hosts of a site in turn, each with its addresses, until one
 * greets and is ready (delivery.md 5).  It is made on behalf of one attempt;
 * when all have failed the attempt gets the most telling result.
 */
#include "delivery/dial.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "delivery/carrier_private.h"
#include "net/stream.h"

/* Each is waited for anew: a dead first host does not take the second one's
 * time (patience.h).  No more: ten dead addresses are five minutes. */
enum { PATIENT_TRIES = 2 };

static void dial_next_host(struct connection *cn);
static void dial_next_address(struct connection *cn);
static void dial_on_gone(void *connection, const struct result *r,
    bool handshake);

static const struct transport_events dial_events = { connection_on_answer,
	connection_on_ready, connection_on_done, dial_on_gone };

static void
dial_note(struct connection *cn, const struct result *r)
{
	static const int rank[] = { [RESULT_REPLY] = 4,
		[RESULT_TLS_MISSING] = 3, [RESULT_TLS_FAILED] = 3,
		[RESULT_TIMEOUT] = 2, [RESULT_LOST] = 2,
		[RESULT_PROTOCOL] = 2, [RESULT_CONNECT] = 1,
		[RESULT_CANCELLED] = 0 };

	if (rank[r->kind] >= rank[cn->best.kind])
		cn->best = *r;
}

/* Hosts that the bounds of an attempt, or a shut-down, left out: nobody knows
 * what they say. */
static bool
dial_has_more(const struct connection *cn)
{
	const struct site *s = cn->egress->site;

	return cn->host < s->host_count &&
	    s->hosts[cn->order[cn->host]].preference < cn->self_preference;
}

/* What is told of a dial without success. */
static void
dial_finish(struct connection *cn)
{
	struct result	    r = cn->best;
	struct site	   *s = cn->egress->site;
	enum tls_demand	    demand = cn->attempt->tls;

	if (cn->tried == 0) {
		memset(&r, 0, sizeof(r));
		r.kind = cn->resolver_down	? RESULT_RESOLVER
		    : cn->dns_failures > 0	? RESULT_DNS
		    : cn->selves > 0		? RESULT_LOOP
		    : cn->foreign > 0		? RESULT_CONNECT
						: RESULT_NO_ADDRESS;
		r.stage = CLASSIFY_GREETING;
		snprintf(r.remote_host, sizeof(r.remote_host), "%s",
		    s->hosts[0].name);
	} else if (demand >= TLS_REQUIRE && cn->missing > 0) {
		/* only when all hosts definitely do not offer it */
		if (cn->missing == cn->tried && cn->dns_failures == 0 &&
		    !cn->resolver_down && !dial_has_more(cn))
			r.kind = RESULT_TLS_MISSING;
		else
			r.kind = RESULT_TLS_FAILED;
	} else if (r.kind == RESULT_REPLY && r.code >= 500) {
		r.not_final = cn->replies_5 != cn->tried ||
		    cn->dns_failures > 0 || dial_has_more(cn);
	}
	cn->dialing = false;
	if (cn->tried == 0 && r.kind == RESULT_CONNECT)
		connection_failed_foreign(cn, &r);
	else
		connection_failed(cn, &r);
}

static void
dial_on_gone(void *connection, const struct result *r, bool handshake)
{
	struct connection *cn = connection;
	struct carrier	  *c = cn->egress->carrier;
	char		   text[STREAM_ADDR_MAX + 48];
	struct mono	  *until;

	cn->transport = NULL;
	if (!cn->dialing) {
		connection_ended(cn);
		return;
	}
	if (handshake && !cn->without_tls) {
		/* the same address once more, without TLS; known for 1 h */
		sockaddr_text((struct sockaddr *)&cn->addresses[cn->address],
		    true, text);
		until = table_get(c->no_tls, bytes_of(text));
		if (until == NULL) {
			until = mem_alloc(sizeof(*until));
			if (!table_put(c->no_tls, bytes_of(text), until)) {
				mem_free(until);
				until = NULL;
			}
		}
		if (until != NULL)
			until->ms = loop_now(c->loop).ms + HOUR_MS;
		cn->without_tls = true;
		dial_next_address(cn);
		return;
	}
	dial_note(cn, r);
	cn->tried++;
	cn->without_tls = false;
	cn->address++;
	if (r->kind == RESULT_REPLY && r->code >= 500)
		cn->replies_5++;
	if (r->kind == RESULT_TLS_MISSING)
		cn->missing++;
	if (r->kind == RESULT_CONNECT)
		dial_next_address(cn);
	else {
		cn->host++;
		dial_next_host(cn);
	}
}

static bool
dial_is_without_tls(struct connection *cn, const struct sockaddr *sa)
{
	struct carrier *c = cn->egress->carrier;
	char		text[STREAM_ADDR_MAX + 48];
	struct mono    *until;

	if (cn->without_tls)
		return true;
	until = table_get(c->no_tls,
	    bytes_of(sockaddr_text(sa, true, text)));
	return until != NULL && loop_now(c->loop).ms < until->ms;
}

static void
dial_next_address(struct connection *cn)
{
	struct egress	      *eg = cn->egress;
	struct carrier	      *c = eg->carrier;
	struct transport_setup s;
	struct conf_addr       from;
	struct result	       r;
	struct err	       e;

	if (cn->address >= cn->address_count ||
	    cn->tried >= SITE_ADDRESSES_MAX) {
		cn->host++;
		dial_next_host(cn);
		return;
	}
	memset(&s, 0, sizeof(s));
	s.loop = c->loop;
	s.spool = c->set.spool;
	s.tls = c->set.tls;
	s.to = (struct sockaddr *)&cn->addresses[cn->address];
	if (eg->source_text[0] != '\0' &&
	    conf_addr_parse(bytes_of(eg->source_text), 0, &from))
		s.from = &from.u.sa;
	s.host = eg->site->hosts[cn->order[cn->host]].name;
	s.ehlo = carrier_ehlo(c, eg);
	s.demand = cn->attempt->tls;
	s.no_starttls = dial_is_without_tls(cn, s.to);
	s.use_bdat = c->conf->delivery.bdat == CONF_BDAT_AUTO;
	s.bounce_8bit = c->conf->delivery.eightbit == CONF_EIGHTBIT_BOUNCE;
	if (cn->tried < PATIENT_TRIES)
		connection_await(cn);
	cn->transport = transport_open(&s, &dial_events, cn, &e);
	if (cn->transport == NULL) {
		memset(&r, 0, sizeof(r));
		r.kind = RESULT_LOCAL;
		snprintf(r.text, sizeof(r.text), "%s", e.text);
		cn->dialing = false;
		connection_failed(cn, &r);
	}
}

/* -- addresses ------------------------------------------------------------- */

/* One of our own listeners: the address is of this host, and so is the port. */
static bool
dial_is_self(const struct carrier *c, const struct sockaddr_storage *sa,
    uint16_t port)
{
	const struct conf_listener *l;
	struct sockaddr_storage	    local = *sa;
	bool			    port_is_ours = false;
	unsigned		    i, j;
	int			    fd, own;

	for (i = 0; i < c->conf->listener_count; i++) {
		l = &c->conf->listeners[i];
		for (j = 0; l->enabled && j < l->addresses.n; j++)
			port_is_ours = port_is_ours ||
			    (l->addresses.v[j].family == AF_INET &&
				ntohs(l->addresses.v[j].u.in.sin_port) ==
				    port) ||
			    (l->addresses.v[j].family == AF_INET6 &&
				ntohs(l->addresses.v[j].u.in6.sin6_port) ==
				    port);
	}
	if (!port_is_ours)
		return false;
	fd = socket(sa->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (local.ss_family == AF_INET)
		((struct sockaddr_in *)&local)->sin_port = 0;
	else
		((struct sockaddr_in6 *)&local)->sin6_port = 0;
	own = bind(fd, (struct sockaddr *)&local,
	    local.ss_family == AF_INET ? sizeof(struct sockaddr_in)
				       : sizeof(struct sockaddr_in6));
	close(fd);
	return own == 0;
}

static void
dial_add_address(struct connection *cn, const struct dns_address *a)
{
	struct site		*s = cn->egress->site;
	struct carrier		*c = cn->egress->carrier;
	const struct site_host	*h = &s->hosts[cn->order[cn->host]];
	struct sockaddr_storage *sa;

	if (cn->address_count == SITE_ADDRESSES_MAX)
		return;
	if (!s->is_static && !c->conf->delivery.allow_private &&
	    dns_address_is_private(a))
		return;
	sa = &cn->addresses[cn->address_count];
	memset(sa, 0, sizeof(*sa));
	if (a->family == AF_INET) {
		((struct sockaddr_in *)sa)->sin_family = AF_INET;
		((struct sockaddr_in *)sa)->sin_port = htons(s->port);
		((struct sockaddr_in *)sa)->sin_addr = a->ip.v4;
	} else {
		((struct sockaddr_in6 *)sa)->sin6_family = AF_INET6;
		((struct sockaddr_in6 *)sa)->sin6_port = htons(s->port);
		((struct sockaddr_in6 *)sa)->sin6_addr = a->ip.v6;
	}
	/* RFC 5321 5.1: neither this host nor any that is no better */
	if (!s->is_static && dial_is_self(c, sa, s->port)) {
		cn->selves++;
		if (cn->self_preference > h->preference)
			cn->self_preference = h->preference;
		return;
	}
	cn->address_count++;
}

/* Families in the order asked: bit 0 = IPv4 is possible, bit 1 = IPv6. */
static unsigned
dial_families(const struct connection *cn)
{
	const char *source = cn->egress->source_text;

	if (source[0] != '\0')
		return strchr(source, ':') != NULL ? 2 : 1;
	return cn->egress->carrier->has_ipv6 ? 3 : 1;
}

static int
dial_first_family(const struct connection *cn)
{
	unsigned f = dial_families(cn);

	if (f == 3 &&
	    cn->egress->carrier->conf->delivery.prefer == CONF_PREFER_IPV6)
		return AF_INET6;
	return (f & 1) != 0 ? AF_INET : AF_INET6;
}

static void dial_ask(struct connection *cn, int family);

/* An MX should not name an alias (RFC 5321 5.1): followed, and told once. */
static void
dial_note_alias(struct connection *cn, const struct dns_answer *a)
{
	struct site	 *s = cn->egress->site;
	struct site_host *h = &s->hosts[cn->order[cn->host]];

	if (s->is_static || h->is_alias || strcmp(a->canonical, a->name) == 0)
		return;
	h->is_alias = true;
	log_info("mx-is-alias", "relay=%s target=%s", h->name, a->canonical);
}

static void
dial_on_addresses(void *connection, const struct dns_answer *a)
{
	struct connection *cn = connection;
	size_t		   i;
	unsigned	   families = dial_families(cn);
	bool		   first;

	cn->ticket = 0;
	first = cn->asked_family == dial_first_family(cn);
	if (a->status == DNS_FOUND)
		dial_note_alias(cn, a);
	if (a->status == DNS_FOUND && !first && families != 3)
		cn->foreign++;
	else if (a->status == DNS_FOUND)
		for (i = 0; i < a->count; i++)
			dial_add_address(cn, &a->addresses[i]);
	else if (a->status == DNS_UNREACHABLE)
		cn->resolver_down = true;
	else if (a->status != DNS_NO_DATA && a->status != DNS_NXDOMAIN)
		cn->dns_failures++;
	/* the other family, too; be it to tell "no address" from "no way" */
	if (first && (families == 3 || a->status == DNS_NO_DATA)) {
		dial_ask(cn, cn->asked_family == AF_INET ? AF_INET6 : AF_INET);
		return;
	}
	dial_next_address(cn);
}

static void
dial_ask(struct connection *cn, int family)
{
	struct site *s = cn->egress->site;

	cn->asked_family = family;
	cn->ticket = resolver_ask(cn->egress->carrier->set.resolver,
	    family == AF_INET ? RESOLVER_A : RESOLVER_AAAA,
	    s->hosts[cn->order[cn->host]].name, dial_on_addresses, cn);
	if (cn->ticket == 0) {
		cn->resolver_down = true;
		cn->host++;
		dial_next_host(cn);
	}
}

static void
dial_next_host(struct connection *cn)
{
	struct site	 *s = cn->egress->site;
	struct site_host *h;

	cn->address = cn->address_count = 0;
	if (cn->host >= s->host_count || cn->tried_hosts >= SITE_HOSTS_MAX ||
	    cn->tried >= SITE_ADDRESSES_MAX ||
	    s->hosts[cn->order[cn->host]].preference >= cn->self_preference ||
	    cn->egress->carrier->stopping) {
		dial_finish(cn);
		return;
	}
	cn->tried_hosts++;
	h = &s->hosts[cn->order[cn->host]];
	if (h->is_address) {
		cn->addresses[0] = h->address;
		cn->address_count = 1;
		dial_next_address(cn);
		return;
	}
	dial_ask(cn, dial_first_family(cn));
}

/* Ascending preference, random among equals, anew for each attempt. */
static void
dial_order(struct connection *cn)
{
	struct site  *s = cn->egress->site;
	unsigned char random[MX_HOSTS_MAX], swap;
	unsigned      i, j, begin, end;

	mem_random(random, sizeof(random));
	for (i = 0; i < s->host_count; i++)
		cn->order[i] = (unsigned char)i;
	for (begin = 0; begin < s->host_count; begin = end) {
		for (end = begin; end < s->host_count &&
		     s->hosts[end].preference == s->hosts[begin].preference;
		     end++)
			;
		for (i = begin; i + 1 < end; i++) {
			j = i + random[i] % (end - i);
			swap = cn->order[i];
			cn->order[i] = cn->order[j];
			cn->order[j] = swap;
		}
	}
}

void
dial_begin(struct connection *cn)
{
	cn->dialing = true;
	cn->host = cn->tried_hosts = cn->tried = 0;
	cn->replies_5 = cn->missing = cn->foreign = 0;
	cn->dns_failures = cn->selves = 0;
	cn->self_preference = UINT_MAX;
	cn->resolver_down = cn->without_tls = false;
	memset(&cn->best, 0, sizeof(cn->best));
	dial_order(cn);
	connection_await(cn);
	dial_next_host(cn);
}

static void
dial_cancel_question(struct connection *cn)
{
	if (cn->ticket != 0)
		resolver_cancel(cn->egress->carrier->set.resolver,
		    cn->ticket);
	cn->ticket = 0;
}

void
dial_give_way(struct connection *cn)
{
	struct result r;

	if (cn->transport != NULL) {
		transport_give_up(cn->transport, &r);
		cn->transport = NULL;
		dial_note(cn, &r);
		cn->tried++;
	} else {
		dial_cancel_question(cn);
		cn->dns_failures++;
	}
	dial_finish(cn);
}

void
dial_cancel(struct connection *cn)
{
	dial_cancel_question(cn);
	transport_close(cn->transport);
	cn->transport = NULL;
	cn->dialing = false;
}
