/* SPDX-License-Identifier: ISC */
/*
 * NS of the name, then of its parent and so on, until one has them; then the
 * addresses of these hosts, all at once.
 */
#include "daemon/verifier_authority.h"

#include <string.h>

enum {
	AUTHORITY_LEVELS = 16, /* most labels gone up */
	AUTHORITY_HOSTS = 4,
	AUTHORITY_ASKED = 2 * AUTHORITY_HOSTS, /* A and AAAA */
	AUTHORITY_SERVERS = 4,
	AUTHORITY_TIMEOUT_MS = 3000,
	AUTHORITY_CACHE = 16
};

struct authority_search {
	struct verifier_tools tools;
	void (*fn)(void *arg, struct resolver *r);
	void	   *arg;
	char	    name[256];
	const char *level; /* in name */
	unsigned    levels;
	uint64_t    ticket[AUTHORITY_ASKED];
	size_t	    asked, told;
	struct sockaddr_storage servers[AUTHORITY_SERVERS];
	size_t	    server_count;
};

static void search_on_ns(void *arg, const struct dns_answer *a);

static void
search_end(struct authority_search *s)
{
	struct resolver_setup setup = s->tools.setup->resolver;
	struct resolver	     *r = NULL;
	struct err	      e;

	setup.servers = s->servers;
	setup.server_count = s->server_count;
	if (setup.timeout_ms <= 0 || setup.timeout_ms > AUTHORITY_TIMEOUT_MS)
		setup.timeout_ms = AUTHORITY_TIMEOUT_MS;
	setup.tries = 1;
	setup.cache_max = AUTHORITY_CACHE;
	/* without them the configured resolver is asked: no trouble */
	if (s->server_count > 0)
		r = resolver_new(s->tools.loop, &setup, &e);
	s->fn(s->arg, r);
}

static void
search_ask(struct authority_search *s, size_t at, enum resolver_type type,
    const char *name, resolver_fn *fn)
{
	s->ticket[at] = resolver_ask(s->tools.resolver, type, name, fn, s);
	must(s->ticket[at] != 0); /* few checks, few questions each */
}

/* A zone cut is not at a top level: its servers know nothing of the name. */
static void
search_level(struct authority_search *s)
{
	if (s->levels++ == AUTHORITY_LEVELS || strchr(s->level, '.') == NULL) {
		search_end(s);
		return;
	}
	search_ask(s, 0, RESOLVER_NS, s->level, search_on_ns);
}

static void
search_add(struct authority_search *s, const struct dns_address *a)
{
	struct sockaddr_in  in;
	struct sockaddr_in6 in6;
	uint16_t	    port = s->tools.setup->authority_port;

	if (s->server_count == AUTHORITY_SERVERS ||
	    (dns_address_is_private(a) && !s->tools.setup->allow_private))
		return;
	memset(&in, 0, sizeof(in));
	memset(&in6, 0, sizeof(in6));
	if (a->family == AF_INET) {
		in.sin_family = AF_INET;
		in.sin_addr = a->ip.v4;
		in.sin_port = htons(port == 0 ? 53 : port);
		memcpy(&s->servers[s->server_count], &in, sizeof(in));
	} else {
		in6.sin6_family = AF_INET6;
		in6.sin6_addr = a->ip.v6;
		in6.sin6_port = htons(port == 0 ? 53 : port);
		memcpy(&s->servers[s->server_count], &in6, sizeof(in6));
	}
	s->server_count++;
}

static void
search_on_address(void *arg, const struct dns_answer *a)
{
	struct authority_search *s = arg;
	size_t			 i;

	for (i = 0; i < a->count; i++)
		search_add(s, &a->addresses[i]);
	if (++s->told == s->asked)
		search_end(s);
}

static void
search_hosts(struct authority_search *s, const struct dns_answer *a)
{
	size_t i, n = a->count < AUTHORITY_HOSTS ? a->count : AUTHORITY_HOSTS;

	s->asked = 2 * n;
	for (i = 0; i < n; i++)
		search_ask(s, i, RESOLVER_A, a->names[i], search_on_address);
	for (i = 0; i < n; i++)
		search_ask(s, n + i, RESOLVER_AAAA, a->names[i],
		    search_on_address);
}

static void
search_on_ns(void *arg, const struct dns_answer *a)
{
	struct authority_search *s = arg;

	s->ticket[0] = 0;
	/* at the end of a CNAME they are those of another zone */
	if (a->status == DNS_FOUND && strcmp(a->canonical, a->name) == 0) {
		search_hosts(s, a);
		return;
	}
	s->level = strchr(s->level, '.') + 1;
	search_level(s);
}

struct authority_search *
authority_search(const struct verifier_tools *t, const char *name,
    void (*fn)(void *arg, struct resolver *r), void *arg)
{
	struct authority_search *s = mem_alloc(sizeof(*s));

	s->tools = *t;
	s->fn = fn;
	s->arg = arg;
	bytes_text(bytes_of(name), s->name, sizeof(s->name));
	s->level = s->name;
	must(strchr(name, '.') != NULL);
	search_level(s);
	return s;
}

void
authority_search_free(struct authority_search *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < AUTHORITY_ASKED; i++)
		if (s->ticket[i] != 0)
			resolver_cancel(s->tools.resolver, s->ticket[i]);
	mem_free(s);
}
