/* SPDX-License-Identifier: ISC */
/* What follows from other settings, and what does not go together. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/ascii.h"
#include "base/err.h"
#include "mail/address.h"
#include "mail/message.h"
#include "mail/mime.h"
#include "registry/conf_private.h"

enum { SYSTEM_FILE_MAX = 64 }; /* with its NUL, as all event files */

/* -- what follows ---------------------------------------------------------- */

static bool
derive_is_given(const struct conf *c, const char *option, const char *label)
{
	return conf_given_find(c, option, label) != NULL;
}

/* Not given, or given wrongly: what comes after must not find NULL. */
static bool
derive_is_open(const struct conf *c, const char *option, const char *value)
{
	return value == NULL || !derive_is_given(c, option, NULL);
}

static const char *
derive_name(struct conf_build *b, const char *front, const char *domain)
{
	char text[2 * DOMAIN_TEXT_MAX];

	snprintf(text, sizeof(text), "%s.%s", front, domain);
	return conf_text(b, bytes_of(text));
}

/* Settings with a restart are taken once, conf_keep() must not redo them. */
static void
derive_host(struct conf_build *b)
{
	struct conf *c = b->c;
	char	     host[256] = "", normal[DOMAIN_TEXT_MAX];
	struct bytes name = BYTES("localhost");
	long	     cpus;

	if (derive_is_open(c, "server.name", c->server.name)) {
		if (gethostname(host, sizeof(host) - 1) != 0 ||
		    !domain_normal(bytes_of(host), ADDRESS_ALLOW_SINGLE_LABEL,
			normal, &name))
			name = BYTES("localhost");
		c->server.name = conf_text(b, name);
	}
	if (!derive_is_given(c, "server.threads", NULL)) {
		cpus = sysconf(_SC_NPROCESSORS_ONLN);
		c->server.threads = cpus < 1 ? 1
		    : cpus > 256	     ? 256
					     : (uint32_t)cpus;
	}
}

static void
derive_names(struct conf_build *b)
{
	struct conf *c = b->c;
	const char  *dot, *domain;
	char	     front[64];

	if (derive_is_open(c, "server.domain", c->server.domain)) {
		dot = strchr(c->server.name, '.');
		c->server.domain = dot != NULL ? dot + 1 : c->server.name;
	}
	domain = c->server.domain;
	if (derive_is_open(c, "message.id_domain", c->message.id_domain))
		c->message.id_domain = domain;
	if (!derive_is_given(c, "mail_from.default_domain", NULL))
		c->mail_from.default_domain = derive_name(b, "bounces",
		    domain);
	snprintf(front, sizeof(front), "feedback-smtp.%s", c->server.region);
	if (!derive_is_given(c, "mail_from.mx_host", NULL))
		c->mail_from.mx_host = derive_name(b, front, domain);
	if (!derive_is_given(c, "mail_from.spf_include", NULL))
		c->mail_from.spf_include = derive_name(b, "spf", domain);
	if (!derive_is_given(c, "simulator.domain", NULL))
		c->simulator.domain = derive_name(b, "simulator", domain);
}

/* given: the snapshot whose file these listeners are from. */
static void
derive_listeners(struct conf *c, const struct conf *given)
{
	size_t i;

	for (i = 0; i < c->listener_count; i++) {
		struct conf_listener *l = &c->listeners[i];

		if (!derive_is_given(given, "listener.NAME.cert", l->name) &&
		    !derive_is_given(given, "listener.NAME.key", l->name)) {
			l->cert = c->tls.cert;
			l->key = c->tls.key;
		}
		if (!derive_is_given(given, "listener.NAME.max_connections",
			l->name))
			l->max_connections = c->smtp.max_connections;
		if (!derive_is_given(given, "listener.NAME.preauth_idle",
			l->name))
			l->preauth_idle_ms =
			    (l->roles & CONF_ROLE_INTAKE) != 0 ? 60000
							       : 10000;
	}
}

static void
derive_delivery(struct conf *c)
{
	size_t i;

	for (i = 0; i < c->dest_count; i++) {
		struct conf_dest *d = &c->dests[i];

		if (!derive_is_given(c, "delivery.dest.NAME.max_connections",
			d->name))
			d->max_connections = c->delivery.dest.max_connections;
		if (!derive_is_given(c, "delivery.dest.NAME.rate", d->name))
			d->rate = c->delivery.dest.rate;
		if (!derive_is_given(c, "delivery.dest.NAME.reuse_max",
			d->name))
			d->reuse_max = c->delivery.reuse_max;
	}
	for (i = 0; i < c->provider_count; i++)
		if (c->providers[i].title == NULL)
			c->providers[i].title = c->providers[i].name;
	for (i = 0; i < c->route_count; i++) {
		struct conf_route *r = &c->routes[i];

		if (r->port == 0)
			r->port = c->delivery.port;
		if (r->address.family == AF_INET)
			r->address.u.in.sin_port = htons(r->port);
		else if (r->address.family == AF_INET6)
			r->address.u.in6.sin6_port = htons(r->port);
	}
}

static void
derive_admin_group(struct conf_build *b)
{
	struct conf	     *c = b->c;
	struct conf_principal group;
	char		      name[80];

	snprintf(name, sizeof(name), "@%s", c->server.admin_group);
	if (!conf_principal_parse(b, bytes_of(name), &group))
		return;
	c->server.admin_group_known = group.known;
	c->server.admin_gid = group.id;
}

void
conf_derive(struct conf_build *b)
{
	derive_host(b);
	derive_names(b);
	derive_listeners(b->c, b->c);
	derive_delivery(b->c);
	derive_admin_group(b);
}

void
conf_derive_again(struct conf_build *b, const struct conf *given)
{
	derive_names(b);
	derive_listeners(b->c, given);
}

/* -- places and pairs ------------------------------------------------------ */

/* Where the setting stands; else the main file without a line. */
static struct conf_place
check_place(const struct conf_build *b, const char *what, const char *label)
{
	const struct conf_given *g = conf_given_find(b->c, what, label);

	if (g != NULL)
		return g->place;
	return (struct conf_place){ b->impl->file, 0 };
}

static const char *
check_name(struct conf_build *b, const char *option, const char *label)
{
	const char *text;
	struct buf  s;

	buf_init(&s, 1024);
	conf_option_name(conf_option_find(option), label, &s);
	text = conf_text(b, buf_bytes(&s));
	buf_wipe(&s);
	return text;
}

/* One without the other is of no use. */
static void
check_pair(struct conf_build *b, const char *one, const char *other,
    const char *label)
{
	bool has_one = derive_is_given(b->c, one, label);
	bool has_other = derive_is_given(b->c, other, label);

	if (has_one == has_other)
		return;
	if (!has_one) {
		const char *swap = one;

		one = other;
		other = swap;
	}
	conf_error(b, check_place(b, one, label), "%s is given without %s",
	    check_name(b, one, label), check_name(b, other, label));
}

static void
check_required(struct conf_build *b)
{
	size_t i, k;

	for (i = 0; i < conf_option_count; i++) {
		const struct conf_option *o = &conf_options[i];

		if ((o->flags & CONF_REQUIRED) == 0)
			continue;
		for (k = 0; k < conf_item_count(b->c, o->kind); k++) {
			const char *name = conf_item_name(o->kind,
			    conf_item_at(b->c, o->kind, k));

			if (derive_is_given(b->c, o->name, name))
				continue;
			conf_error(b, check_place(b, conf_kinds[o->kind].name,
				name),
			    "%s is missing", check_name(b, o->name, name));
		}
	}
}

/* -- server, log, tls ------------------------------------------------------ */

static bool
text_consists_of(const char *text, const char *set)
{
	return text[strspn(text, set)] == '\0';
}

static void
check_server(struct conf_build *b)
{
	struct conf *c = b->c;
	char	    *prefix;

	if (!text_consists_of(c->server.region,
		"abcdefghijklmnopqrstuvwxyz0123456789-"))
		conf_error(b, check_place(b, "server.region", NULL),
		    "server.region: only a-z, 0-9 and - are possible");
	if (!text_consists_of(c->server.id_prefix, "0123456789abcdefABCDEF")) {
		conf_error(b, check_place(b, "server.id_prefix", NULL),
		    "server.id_prefix: \"%s\" is not 4 hex digits",
		    c->server.id_prefix);
	} else {
		prefix = arena_printf(b->arena, "%s", c->server.id_prefix);
		if (prefix != NULL) {
			c->server.id_prefix = prefix;
			ascii_lower_text(prefix);
		}
	}
	/* room for the longest name made from it */
	if (strlen(c->server.domain) > 200)
		conf_error(b, check_place(b, "server.domain", NULL),
		    "server.domain is longer than 200 octets");
}

static void
check_log(struct conf_build *b)
{
	static const char *const facilities[] = { "auth", "authpriv", "cron",
		"daemon", "ftp", "kern", "lpr", "mail", "news", "syslog",
		"user", "uucp", "local0", "local1", "local2", "local3",
		"local4", "local5", "local6", "local7" };
	const char *target = b->c->log.target;
	size_t	    i, n = sizeof(facilities) / sizeof(facilities[0]);

	if (strcmp(target, "syslog") != 0 && strcmp(target, "stderr") != 0 &&
	    target[0] != '/')
		conf_error(b, check_place(b, "log.target", NULL),
		    "log.target: \"%s\" is not syslog, stderr or an absolute "
		    "path",
		    target);
	for (i = 0; i < n; i++)
		if (strcmp(facilities[i], b->c->log.facility) == 0)
			return;
	conf_error(b, check_place(b, "log.facility", NULL),
	    "log.facility: \"%s\" is not a syslog facility",
	    b->c->log.facility);
}

/* It lies in events.dir, beside the folders of accounts, which have their ids
 * as names. */
static void
check_system_file(struct conf_build *b)
{
	const char *name = b->c->events.system_file;

	if (name != NULL && account_id_is_valid(name))
		conf_error(b, check_place(b, "events.system_file", NULL),
		    "events.system_file: \"%s\" is the folder of an account",
		    name);
	if (name == NULL || (name[0] != '\0' && name[0] != '.' &&
	    strchr(name, '/') == NULL && strlen(name) < SYSTEM_FILE_MAX))
		return;
	conf_error(b, check_place(b, "events.system_file", NULL),
	    "events.system_file: \"%s\" is not the name of a file in "
	    "events.dir", name);
}

/*
 * Checked by name, as OpenSSL writes them: each suite that is added has
 * (EC)DHE in it and encrypts.  "!X" and "-X" only take away, "+X" and "@X"
 * only change the order.
 */
static void
check_ciphers(struct conf_build *b)
{
	const char  *p = b->c->tls.ciphers;
	struct bytes suite;
	bool	     any = false;

	for (; *p != '\0'; p += suite.n) {
		p += strspn(p, ":, ");
		suite = (struct bytes){ p, strcspn(p, ":, ") };
		if (suite.n == 0 || strchr("!-+@", *p) != NULL)
			continue;
		any = true;
		if (bytes_find_nocase(suite, BYTES("DHE")) >= 0 &&
		    bytes_find_nocase(suite, BYTES("NULL")) < 0)
			continue;
		conf_error(b, check_place(b, "tls.ciphers", NULL),
		    "tls.ciphers: %.*s is not forward secret (ECDHE or DHE)",
		    (int)suite.n, suite.p);
	}
	if (!any)
		conf_error(b, check_place(b, "tls.ciphers", NULL),
		    "tls.ciphers names no suite");
	for (p = b->c->tls.ciphersuites; *p != '\0'; p += suite.n) {
		p += strspn(p, ":");
		suite = (struct bytes){ p, strcspn(p, ":") };
		if (suite.n > 0 && !bytes_starts(suite, BYTES("TLS_")))
			conf_error(b,
			    check_place(b, "tls.ciphersuites", NULL),
			    "tls.ciphersuites: %.*s is not a suite of TLS 1.3",
			    (int)suite.n, suite.p);
	}
}

/* -- listeners ------------------------------------------------------------- */

static void
check_listener_addresses(struct conf_build *b, const struct conf_listener *l)
{
	struct conf_place at = check_place(b, "listener.NAME.tls", l->name);
	bool		  local = l->roles == CONF_ROLE_LOCAL;
	char		  text[CONF_ADDR_TEXT_MAX];
	size_t		  i;

	for (i = 0; i < l->addresses.n; i++) {
		const struct conf_addr *a = &l->addresses.v[i];

		conf_addr_to_text(a, text);
		if (l->tls == CONF_TLS_CLEAR && !l->allow_cleartext &&
		    !conf_addr_is_loopback(a))
			conf_error(b, at,
			    "listener %s: tls none on %s needs "
			    "allow_cleartext yes",
			    l->name, text);
		/* the kernel names the peer of a unix socket only */
		if (local && a->family != AF_UNIX)
			conf_error(b,
			    check_place(b, "listener.NAME.role", l->name),
			    "listener %s: role local on %s: it is for unix "
			    "sockets only",
			    l->name, text);
	}
}

static void
check_listener(struct conf_build *b, const struct conf_listener *l)
{
	struct conf_place at = check_place(b, "listener.NAME.role", l->name);

	if (l->addresses.n == 0 &&
	    !derive_is_given(b->c, "listener.NAME.address", l->name))
		conf_error(b, check_place(b, "listener", l->name),
		    "%s is missing",
		    check_name(b, "listener.NAME.address", l->name));
	check_pair(b, "listener.NAME.cert", "listener.NAME.key", l->name);
	if ((l->roles & CONF_ROLE_LOCAL) != 0 && l->roles != CONF_ROLE_LOCAL)
		conf_error(b, at,
		    "listener %s: role local cannot stand with another",
		    l->name);
	if (l->roles == CONF_ROLE_LOCAL && l->tls != CONF_TLS_CLEAR)
		conf_error(b, check_place(b, "listener.NAME.tls", l->name),
		    "listener %s: role local needs tls none", l->name);
	check_listener_addresses(b, l);
}

static bool
addr_is_same(const struct conf_addr *a, const struct conf_addr *b)
{
	if (a->family != b->family)
		return false;
	if ((a->family == AF_INET && a->u.in.sin_port == 0) ||
	    (a->family == AF_INET6 && a->u.in6.sin6_port == 0))
		return false;
	return memcmp(&a->u, &b->u, a->length) == 0;
}

/* All addresses before number k of listener i. */
static void
check_address_once(struct conf_build *b, size_t i, size_t k)
{
	const struct conf_listener *l = &b->c->listeners[i], *m;
	char			    text[CONF_ADDR_TEXT_MAX];
	size_t			    j, n;

	for (j = 0; j <= i; j++) {
		m = &b->c->listeners[j];
		if (!m->enabled)
			continue;
		for (n = 0; n < (j == i ? k : m->addresses.n); n++) {
			if (!addr_is_same(&l->addresses.v[k],
				&m->addresses.v[n]))
				continue;
			conf_error(b, check_place(b, "listener.NAME.address",
				l->name),
			    "listener %s: %s is taken by listener %s",
			    l->name,
			    conf_addr_to_text(&m->addresses.v[n], text),
			    m->name);
			return;
		}
	}
}

static void
check_listeners(struct conf_build *b)
{
	const struct conf *c = b->c;
	bool		   without_cert = false;
	size_t		   i, k, total = 0;

	for (i = 0; i < c->listener_count; i++) {
		const struct conf_listener *l = &c->listeners[i];

		check_listener(b, l);
		total += l->addresses.n;
		if (!l->enabled)
			continue;
		if (l->tls != CONF_TLS_CLEAR && l->cert == NULL &&
		    (l->roles & CONF_ROLE_SUBMISSION) != 0)
			without_cert = true;
	}
	/* Each address is bound by each loop; the check below is quadratic. */
	if (total > 1024) {
		conf_error(b, check_place(b, "", NULL),
		    "the listeners have more than 1024 addresses");
		return;
	}
	for (i = 0; i < c->listener_count; i++)
		for (k = 0; k < c->listeners[i].addresses.n; k++)
			if (c->listeners[i].enabled)
				check_address_once(b, i, k);
	if (without_cert && b->errors->error_count == 0)
		conf_warn(b, check_place(b, "tls.cert", NULL),
		    "no certificate is configured (tls.cert): nobody can log "
		    "in over the network");
}

/* -- users, delivery, dkim ------------------------------------------------- */

static void
check_users(struct conf_build *b)
{
	const struct conf *c = b->c;
	size_t		   i, k;

	for (i = 0; i < c->local_count; i++) {
		const struct conf_local *l = &c->locals[i];

		for (k = 0; k < l->match_count; k++) {
			const struct conf_principal *p = &l->match[k];

			if (p->kind != CONF_PRINCIPAL_ANY && !p->known)
				conf_warn(b, check_place(b,
					"local.NAME.match", l->name),
				    "local %s: this system has no %s %s",
				    l->name,
				    p->kind == CONF_PRINCIPAL_USER ? "user"
								   : "group",
				    p->name);
		}
	}
	for (i = 0; i < c->admin_count; i++)
		if (!c->admins[i].user.known)
			conf_warn(b,
			    check_place(b, "admin", c->admins[i].user.name),
			    "admin: this system has no user %s",
			    c->admins[i].user.name);
}

static void
check_delivery(struct conf_build *b)
{
	const struct conf *c = b->c;
	size_t		   i;

	if (c->delivery.dest.initial_connections >
	    c->delivery.dest.max_connections)
		conf_error(b, check_place(b,
			derive_is_given(c,
			    "delivery.dest.initial_connections", NULL)
			    ? "delivery.dest.initial_connections"
			    : "delivery.dest.max_connections",
			NULL),
		    "delivery.dest.initial_connections is above "
		    "delivery.dest.max_connections");
	for (i = 0; i < c->dest_count; i++) {
		const char *name = c->dests[i].name;

		/* groups without provider are domains */
		if (strchr(name, '.') == NULL &&
		    conf_provider_find(c, bytes_of(name)) == NULL)
			conf_warn(b, check_place(b, "delivery.dest", name),
			    "delivery.dest %s: no provider has this name",
			    name);
	}
	for (i = 0; i < c->provider_count; i++) {
		const char *name = c->providers[i].name;

		if (c->providers[i].mx.n + c->providers[i].domains.n == 0)
			conf_error(b,
			    check_place(b, "delivery.provider", name),
			    "delivery.provider %s has neither mx nor domains",
			    name);
	}
}

/* dkim.md 5.3: a signature over these breaks on the way or tells too much. */
static bool
header_is_never_signed(struct bytes name)
{
	static const char *const never[] = { "Return-Path", "Received",
		"DKIM-Signature", "Authentication-Results", "Bcc",
		"Bounces-To", "Comments", "Keywords" };
	size_t i;

	for (i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (bytes_eq_nocase(name, bytes_of(never[i])))
			return true;
	return bytes_starts_nocase(name, BYTES("ARC-")) ||
	    bytes_starts_nocase(name, BYTES("X-SES-"));
}

static void
check_header_list(struct conf_build *b, const char *option,
    const struct conf_list *list, bool *has_from)
{
	struct conf_place at = check_place(b, option, NULL);
	struct bytes	  name;
	size_t		  i, k;

	*has_from = false;
	for (i = 0; i < list->n; i++) {
		name = bytes_of(list->v[i]);
		if (bytes_eq_nocase(name, BYTES("From")))
			*has_from = true;
		for (k = 0; k < name.n; k++)
			if ((unsigned char)name.p[k] <= ' ' ||
			    (unsigned char)name.p[k] > 126 ||
			    name.p[k] == ':')
				break;
		if (k < name.n)
			conf_error(b, at, "%s: \"%s\" is not a field name",
			    option, list->v[i]);
		else if (header_is_never_signed(name))
			conf_error(b, at, "%s: %s is never signed", option,
			    list->v[i]);
	}
}

static void
check_dkim_operator(struct conf_build *b)
{
	static const char *const names[] = { "dkim.operator_domain",
		"dkim.operator_selector", "dkim.operator_key" };
	struct conf_place	 at = { NULL, 0 };
	size_t			 i, n = 0;

	for (i = 0; i < 3; i++) {
		if (!derive_is_given(b->c, names[i], NULL))
			continue;
		n++;
		if (at.file == NULL)
			at = check_place(b, names[i], NULL);
	}
	for (i = 0; i < 3; i++)
		if (n > 0 && !derive_is_given(b->c, names[i], NULL))
			conf_error(b, at,
			    "an operator signature needs %s as well",
			    names[i]);
}

static void
check_dkim(struct conf_build *b)
{
	const int64_t four_days_ms = 4 * 86400 * INT64_C(1000);
	struct conf  *c = b->c;
	bool	      has_from;

	check_header_list(b, "dkim.headers", &c->dkim.headers, &has_from);
	if (!has_from)
		conf_error(b, check_place(b, "dkim.headers", NULL),
		    "dkim.headers: From has to be in the list");
	check_header_list(b, "dkim.oversign", &c->dkim.oversign, &has_from);
	check_dkim_operator(b);
	if (c->dkim.default_bits != 1024 && c->dkim.default_bits != 2048)
		conf_error(b, check_place(b, "dkim.default_bits", NULL),
		    "dkim.default_bits is 1024 or 2048");
	if (c->dkim.min_rsa_bits > c->dkim.max_rsa_bits)
		conf_error(b, check_place(b,
			derive_is_given(c, "dkim.min_rsa_bits", NULL)
			    ? "dkim.min_rsa_bits"
			    : "dkim.max_rsa_bits",
			NULL),
		    "dkim.min_rsa_bits is above dkim.max_rsa_bits");
	/* mail in the queue must stay verifiable until it is given up */
	if (c->dkim.retire_after_ms <
	    c->delivery.max_lifetime_ms + four_days_ms)
		conf_error(b, check_place(b,
			derive_is_given(c, "dkim.retire_after", NULL)
			    ? "dkim.retire_after"
			    : "delivery.max_lifetime",
			NULL),
		    "dkim.retire_after is below delivery.max_lifetime + 4d");
	/* at most one retiring selector at a time is asked of a domain */
	if (c->dkim.rotate_every_ms != 0 &&
	    c->dkim.rotate_every_ms < c->dkim.retire_after_ms)
		conf_error(b, check_place(b, "dkim.rotate_every", NULL),
		    "dkim.rotate_every is below dkim.retire_after");
}

/* -- the rest -------------------------------------------------------------- */

static void
check_reputation(struct conf_build *b)
{
	size_t i;

	for (i = 0; i < conf_option_count; i++) {
		const struct conf_option *o = &conf_options[i];
		double			  rate;

		if (o->type != CONF_FLOAT || o->kind != CONF_KIND_ROOT ||
		    strncmp(o->name, "reputation.", 11) != 0)
			continue;
		memcpy(&rate, (const char *)b->c + o->offset, sizeof(rate));
		if (rate > 0.5)
			conf_warn(b, check_place(b, o->name, NULL),
			    "%s: %g means %g %%", o->name, rate, rate * 100);
	}
}

static void
check_attachments(struct conf_build *b)
{
	const struct conf_list *words = &b->c->attachments.blocked_words;
	struct buf		spec;
	struct err		e;
	size_t			i;

	buf_init(&spec, 1 << 20);
	for (i = 0; i < words->n; i++)
		buf_printf(&spec, "%s%s", i > 0 ? ", " : "", words->v[i]);
	b->c->attachments.blocked = mime_blocked_new(buf_bytes(&spec), &e);
	if (b->c->attachments.blocked == NULL)
		conf_error(b, check_place(b, "attachments.blocked_extensions",
			NULL),
		    "attachments.blocked_extensions: %s", e.text);
	buf_wipe(&spec);
}

void
conf_check(struct conf_build *b)
{
	check_required(b);
	check_server(b);
	check_log(b);
	check_system_file(b);
	check_pair(b, "tls.cert", "tls.key", NULL);
	check_ciphers(b);
	check_listeners(b);
	check_users(b);
	check_delivery(b);
	check_dkim(b);
	check_reputation(b);
	check_attachments(b);
	if (b->c->intake.postmaster == NULL && b->errors->error_count == 0)
		conf_warn(b, check_place(b, "intake.postmaster", NULL),
		    "intake.postmaster is not set: mail to postmaster and "
		    "abuse is only kept");
}
