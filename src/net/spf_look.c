/* SPDX-License-Identifier: ISC */
#include "net/spf_look.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* -- answers --------------------------------------------------------------- */

bool
dns_answer_is_void(const struct dns_answer *a)
{
	return a->status == DNS_NXDOMAIN || a->status == DNS_NO_DATA;
}

bool
dns_answer_is_trouble(const struct dns_answer *a)
{
	return a->status != DNS_FOUND && !dns_answer_is_void(a);
}

size_t
dns_answer_hosts(const struct dns_answer *a)
{
	return a->count < SPF_HOSTS_MAX ? a->count : SPF_HOSTS_MAX;
}

const char *
dns_answer_host(const struct dns_answer *a, size_t i)
{
	return a->type == RESOLVER_MX ? a->mx[i].host : a->names[i];
}

/* -- an evaluation --------------------------------------------------------- */

void
spf_look_begin(struct spf_look *l)
{
	l->lookups = l->voids = 0;
	l->waits = l->failed = l->own_seen = l->at_host = false;
	l->hosts = NULL;
	l->cause[0] = '\0';
}

void
spf_look_learn(struct spf_look *l, const struct dns_answer *a)
{
	l->known[l->known_count++].answer = dns_answer_ref(a);
}

void
spf_look_wipe(struct spf_look *l)
{
	unsigned i;

	for (i = 0; i < l->known_count; i++)
		dns_answer_unref(l->known[i].answer);
	l->known_count = 0;
}

void
spf_look_fail(struct spf_look *l, const char *fmt, ...)
{
	va_list ap;

	if (l->failed || l->waits)
		return;
	l->failed = true;
	va_start(ap, fmt);
	vsnprintf(l->cause, sizeof(l->cause), fmt, ap);
	va_end(ap);
}

/* -- look-ups -------------------------------------------------------------- */

/* The answer, or NULL: it is to be asked, or cannot be. */
static const struct dns_answer *
look_find(struct spf_look *l, enum resolver_type type, const char *name)
{
	struct spf_known *k;
	unsigned	  i;

	for (i = 0; i < l->known_count; i++)
		if (l->known[i].type == type &&
		    strcasecmp(l->known[i].name, name) == 0)
			return l->known[i].answer;
	if (l->known_count == SPF_QUESTIONS_MAX) {
		spf_look_fail(l, "more than %d questions to DNS",
		    SPF_QUESTIONS_MAX);
		return NULL;
	}
	k = &l->known[l->known_count];
	k->type = type;
	snprintf(k->name, sizeof(k->name), "%s", name);
	l->waits = true;
	return NULL;
}

/* They are looked up in the order in which DNS has named them. */
static bool
look_is_host(struct spf_look *l, enum resolver_type type, const char *name)
{
	const struct dns_answer *h = l->hosts;

	if (h == NULL || (type != RESOLVER_A && type != RESOLVER_AAAA))
		return false;
	/* null MX: nobody asks for the root */
	while (l->host_next < dns_answer_hosts(h) &&
	    dns_answer_host(h, l->host_next)[0] == '\0')
		l->host_next++;
	if (l->host_next == dns_answer_hosts(h) ||
	    strcasecmp(dns_answer_host(h, l->host_next), name) != 0)
		return false;
	l->host_next++;
	return true;
}

/* What an answer means for the evaluation as a whole. */
static void
look_note(struct spf_look *l, const struct dns_answer *a, const char *name,
    bool is_own)
{
	if (!is_own && dns_answer_is_void(a) && ++l->voids > SPF_VOIDS_MAX)
		spf_look_fail(l, "more than %d void look-ups",
		    SPF_VOIDS_MAX);
	else if (a->type == RESOLVER_MX && a->count > SPF_HOSTS_MAX)
		spf_look_fail(l, "%.200s has more than %d MX records", name,
		    SPF_HOSTS_MAX);
	else if (dns_answer_is_trouble(a))
		snprintf(l->cause, sizeof(l->cause),
		    "DNS does not answer for %.200s (%s)", name,
		    dns_status_to_text(a->status));
	if (a->type == RESOLVER_MX || a->type == RESOLVER_PTR) {
		l->hosts = a->status == DNS_FOUND ? a : NULL;
		l->host_next = 0;
	}
}

const struct dns_answer *
spf_look_up(struct spf_look *l, enum resolver_type type, const char *name)
{
	const struct dns_answer *a;
	bool			 is_own = !l->own_seen;

	if (l->failed || l->waits)
		return NULL;
	l->own_seen = true;
	l->at_host = look_is_host(l, type, name);
	if (!is_own && !l->at_host && ++l->lookups > SPF_LOOKUPS_MAX) {
		spf_look_fail(l, "more than %d DNS look-ups",
		    SPF_LOOKUPS_MAX);
		return NULL;
	}
	a = look_find(l, type, name);
	if (a != NULL)
		look_note(l, a, name, is_own);
	return l->failed ? NULL : a;
}

/* -- the name of the address ----------------------------------------------- */

static bool
answer_has(const struct dns_answer *a, const struct dns_address *ip)
{
	size_t i, n = ip->family == AF_INET ? 4 : 16;

	for (i = 0; i < a->count; i++)
		if (memcmp(&a->addresses[i].ip, &ip->ip, n) == 0)
			return true;
	return false;
}

static unsigned
name_rank(const char *name, const char *domain)
{
	size_t n = strlen(name), of = strlen(domain);

	if (n < of || strcasecmp(name + n - of, domain) != 0)
		return 1;
	return n == of ? 3 : name[n - of - 1] == '.' ? 2 : 1;
}

const char *
spf_look_client(struct spf_look *l, const char *domain)
{
	const struct dns_answer *ptr, *a;
	const char		*best = "unknown";
	char			 reverse[80];
	unsigned		 rank = 0;
	size_t			 i;

	dns_reverse_name(&l->ip, reverse);
	ptr = spf_look_up(l, RESOLVER_PTR, reverse);
	if (ptr == NULL)
		return NULL;
	for (i = 0; i < dns_answer_hosts(ptr); i++) {
		a = spf_look_up(l, l->ip.family == AF_INET ? RESOLVER_A :
			RESOLVER_AAAA, ptr->names[i]);
		if (a == NULL)
			return NULL;
		if (answer_has(a, &l->ip) &&
		    name_rank(ptr->names[i], domain) > rank) {
			best = ptr->names[i];
			rank = name_rank(best, domain);
		}
	}
	l->hosts = NULL;
	return best;
}
