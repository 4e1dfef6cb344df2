/* SPDX-License-Identifier: ISC */
#include "registry/conf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "mail/address.h"
#include "mail/mime.h"
#include "registry/conf_private.h"

/* -- errors ---------------------------------------------------------------- */

void
conf_errors_init(struct conf_errors *e)
{
	memset(e, 0, sizeof(*e));
}

void
conf_errors_wipe(struct conf_errors *e)
{
	mem_free(e->v);
	memset(e, 0, sizeof(*e));
}

/* Names and values in the text are as hostile as the file. */
static void
errors_make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static void
errors_add(struct conf_build *b, bool is_warning, struct conf_place at,
    const char *fmt, va_list ap)
{
	struct conf_errors *e = b->errors;
	struct conf_error  *line;
	int		    n = 0;

	if (is_warning)
		e->warning_count++;
	else
		e->error_count++;
	if (e->n >= CONF_ERRORS_MAX)
		return;
	if (e->v == NULL)
		e->v = mem_alloc(CONF_ERRORS_MAX * sizeof(*e->v));
	line = &e->v[e->n++];
	line->is_warning = is_warning;
	line->line = at.line;
	while (line->source < b->impl->source_count &&
	    b->impl->sources[line->source] != at.file)
		line->source++;
	if (at.file != NULL && at.line > 0)
		n = snprintf(line->text, sizeof(line->text), "%.200s:%u: ",
		    at.file, at.line);
	else if (at.file != NULL)
		n = snprintf(line->text, sizeof(line->text), "%.200s: ",
		    at.file);
	vsnprintf(line->text + n, sizeof(line->text) - (size_t)n, fmt, ap);
	errors_make_printable(line->text);
}

/* Checks of the whole come late; what is read is sorted by place. */
static void
errors_sort(struct conf_errors *e, size_t first)
{
	struct conf_error moved;
	size_t		  i, k;

	for (i = first; i < e->n; i++) {
		moved = e->v[i];
		for (k = i; k > first &&
		     (e->v[k - 1].source > moved.source ||
			 (e->v[k - 1].source == moved.source &&
			     e->v[k - 1].line > moved.line));
		     k--)
			e->v[k] = e->v[k - 1];
		e->v[k] = moved;
	}
}

void
conf_error(struct conf_build *b, struct conf_place at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	errors_add(b, false, at, fmt, ap);
	va_end(ap);
}

void
conf_warn(struct conf_build *b, struct conf_place at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	errors_add(b, true, at, fmt, ap);
	va_end(ap);
}

/* -- memory and items ------------------------------------------------------ */

void *
conf_alloc(struct conf_build *b, size_t n)
{
	void *p = arena_alloc(b->arena, n);

	if (p == NULL && !b->full) {
		b->full = true;
		conf_error(b, (struct conf_place){ b->impl->file, 0 },
		    "the configuration is too large");
	}
	return p;
}

const char *
conf_text(struct conf_build *b, struct bytes s)
{
	char *p = conf_alloc(b, s.n + 1);

	if (p == NULL)
		return "";
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

void *
conf_item_at(const struct conf *c, enum conf_kind kind, size_t i)
{
	char *v;

	if (kind == CONF_KIND_ROOT)
		return c->impl->self;
	memcpy(&v, (const char *)c + conf_kinds[kind].array_offset,
	    sizeof(v));
	return v + i * conf_kinds[kind].item_size;
}

size_t
conf_item_count(const struct conf *c, enum conf_kind kind)
{
	size_t n;

	if (kind == CONF_KIND_ROOT)
		return 1;
	memcpy(&n, (const char *)c + conf_kinds[kind].count_offset,
	    sizeof(n));
	return n;
}

const char *
conf_item_name(enum conf_kind kind, const void *item)
{
	if (kind == CONF_KIND_ROOT)
		return NULL;
	if (kind == CONF_KIND_ADMIN)
		return ((const struct conf_admin *)item)->user.name;
	return *(const char *const *)item;
}

const struct conf_option *
conf_option_find(const char *name)
{
	size_t i;

	for (i = 0; i < conf_option_count; i++)
		if (strcmp(conf_options[i].name, name) == 0)
			return &conf_options[i];
	must_fail(__FILE__, __LINE__, name);
}

void
conf_option_name(const struct conf_option *o, const char *label,
    struct buf *out)
{
	const char *p = o->name, *end;

	for (; *p != '\0'; p = end) {
		end = p + strcspn(p, ".");
		if (label != NULL && *p >= 'A' && *p <= 'Z') {
			if (strchr(label, '.') != NULL)
				buf_printf(out, "\"%s\"", label);
			else
				buf_add_text(out, label);
		} else {
			buf_add(out, p, (size_t)(end - p));
		}
		if (*end == '.')
			buf_add_char(out, *end++);
	}
}

static void
given_key(struct buf *key, const char *what, const char *label)
{
	buf_init(key, 1024);
	buf_printf(key, "%s\n%s", what, label != NULL ? label : "");
}

const struct conf_given *
conf_given_find(const struct conf *c, const char *what, const char *label)
{
	const struct conf_given *g;
	struct buf		 key;

	given_key(&key, what, label);
	g = table_get(c->impl->given, buf_bytes(&key));
	buf_wipe(&key);
	return g;
}

/* The first place is kept; false = it was given before. */
bool
conf_given_put(struct conf_build *b, const char *what, const char *label,
    struct conf_place at)
{
	struct conf_given *g;
	struct buf	   key;

	if (conf_given_find(b->c, what, label) != NULL)
		return false;
	g = conf_alloc(b, sizeof(*g));
	if (g == NULL)
		return false;
	g->place = at;
	given_key(&key, what, label);
	table_put(b->impl->given, buf_bytes(&key), g);
	buf_wipe(&key);
	return true;
}

/* -- loading --------------------------------------------------------------- */

static void
build_begin(struct conf_build *b, const char *file,
    const struct conf_opener *opener, struct conf_errors *errors)
{
	static const struct conf_opener plain = { 0 };
	struct arena		       *arena;

	memset(b, 0, sizeof(*b));
	arena = arena_new(CONF_ARENA_BYTES_MAX);
	b->c = arena_alloc(arena, sizeof(*b->c));
	b->impl = arena_alloc(arena, sizeof(*b->impl));
	must(b->c != NULL && b->impl != NULL);
	b->c->impl = b->impl;
	b->arena = arena;
	b->opener = opener != NULL ? opener : &plain;
	b->errors = errors;
	b->impl->arena = arena;
	b->impl->self = b->c;
	b->impl->given = table_new(0);
	b->impl->items = table_new(0);
	atomic_init(&b->impl->refs, 1);
	if (file != NULL)
		b->impl->file = conf_text(b, bytes_of(file));
	conf_apply_defaults(b);
	b->impl->usual = arena_alloc(arena, sizeof(*b->c));
	must(b->impl->usual != NULL);
	*b->impl->usual = *b->c;
}

static struct conf *
build_end(struct conf_build *b, size_t errors_before, size_t first)
{
	conf_apply_listeners(b);
	conf_derive(b);
	conf_check(b);
	errors_sort(b->errors, first);
	if (b->errors->error_count == errors_before)
		return b->c;
	conf_unref(b->c);
	return NULL;
}

struct conf *
conf_load(const char *path, const struct conf_opener *opener,
    struct conf_errors *errors)
{
	const struct conf_place nowhere = { NULL, 0 };
	size_t			before = errors->error_count;
	size_t			first = errors->n;
	struct conf_build	b;

	build_begin(&b, path, opener, errors);
	if (path != NULL)
		conf_parse_file(&b, path, NULL, nowhere);
	return build_end(&b, before, first);
}

struct conf *
conf_load_text(const char *name, struct bytes text,
    const struct conf_opener *opener, struct conf_errors *errors)
{
	size_t		  before = errors->error_count;
	size_t		  first = errors->n;
	struct conf_build b;

	build_begin(&b, name, opener, errors);
	conf_parse_text(&b, b.impl->file, text, NULL);
	return build_end(&b, before, first);
}

struct conf *
conf_defaults(void)
{
	struct conf_errors errors;
	struct conf	  *c;

	conf_errors_init(&errors);
	c = conf_load(NULL, NULL, &errors);
	must(c != NULL);
	conf_errors_wipe(&errors);
	return c;
}

struct conf *
conf_ref(const struct conf *c)
{
	unsigned before = atomic_fetch_add_explicit(&c->impl->refs, 1,
	    memory_order_relaxed);

	must(before > 0);
	return c->impl->self;
}

void
conf_unref(const struct conf *c)
{
	const struct conf *base;
	struct conf_impl  *impl;

	while (c != NULL) {
		impl = c->impl;
		if (atomic_fetch_sub_explicit(&impl->refs, 1,
			memory_order_acq_rel) > 1)
			return;
		base = impl->base;
		table_free(impl->given);
		table_free(impl->items);
		mime_blocked_free(c->attachments.blocked);
		arena_free(impl->arena);
		c = base;
	}
}

/* -- questions ------------------------------------------------------------- */

/* 0 = does not fit; the longer the pattern, the more specific. */
static size_t
pattern_fits(const char *pattern, struct bytes domain)
{
	struct bytes p = bytes_of(pattern);

	if (bytes_eq_text(p, "*"))
		return 1;
	if (p.p[0] == '.')
		return domain.n > p.n && bytes_ends_nocase(domain, p)
		    ? p.n + 1
		    : 0;
	return bytes_eq_nocase(domain, p) ? SIZE_MAX : 0;
}

const struct conf_route *
conf_route_find(const struct conf *c, struct bytes domain)
{
	const struct conf_route *best = NULL;
	size_t			 i, fits, most = 0;

	for (i = 0; i < c->route_count; i++) {
		fits = pattern_fits(c->routes[i].pattern, domain);
		if (fits > most) {
			most = fits;
			best = &c->routes[i];
		}
	}
	return best;
}

const struct conf_tls_rule *
conf_tls_rule_find(const struct conf *c, struct bytes domain)
{
	const struct conf_tls_rule *best = NULL;
	size_t			    i, fits, most = 0;

	for (i = 0; i < c->tls_policy_count; i++) {
		fits = pattern_fits(c->tls_policies[i].pattern, domain);
		if (fits > most) {
			most = fits;
			best = &c->tls_policies[i];
		}
	}
	return best;
}

const struct conf_dest *
conf_dest_find(const struct conf *c, struct bytes name)
{
	size_t i;

	for (i = 0; i < c->dest_count; i++)
		if (bytes_eq_nocase(name, bytes_of(c->dests[i].name)))
			return &c->dests[i];
	return NULL;
}

const struct conf_provider *
conf_provider_find(const struct conf *c, struct bytes name)
{
	size_t i;

	for (i = 0; i < c->provider_count; i++)
		if (bytes_eq_nocase(name, bytes_of(c->providers[i].name)))
			return &c->providers[i];
	return NULL;
}

/* Own providers stand behind the built-in ones and win over them. */
const struct conf_provider *
conf_provider_of_domain(const struct conf *c, struct bytes domain)
{
	const struct conf_provider *p;
	size_t			    i, k;

	for (i = c->provider_count; i > 0; i--) {
		p = &c->providers[i - 1];
		for (k = 0; k < p->domains.n; k++)
			if (bytes_eq_nocase(domain,
				bytes_of(p->domains.v[k])))
				return p;
	}
	return NULL;
}

const struct conf_provider *
conf_provider_of_mx(const struct conf *c, struct bytes host)
{
	const struct conf_provider *p, *best = NULL;
	struct bytes		    suffix;
	size_t			    i, k, most = 0;

	for (i = c->provider_count; i > 0; i--) {
		p = &c->providers[i - 1];
		for (k = 0; k < p->mx.n; k++) {
			suffix = bytes_of(p->mx.v[k]);
			if (suffix.n > most &&
			    domain_is_within(host, suffix)) {
				most = suffix.n;
				best = p;
			}
		}
	}
	return best;
}

const struct conf_listener *
conf_listener_find(const struct conf *c, struct bytes name)
{
	size_t i;

	for (i = 0; i < c->listener_count; i++)
		if (bytes_eq_text(name, c->listeners[i].name))
			return &c->listeners[i];
	return NULL;
}

bool
conf_is_simulator(const struct conf *c, struct bytes domain)
{
	return bytes_eq_nocase(domain, bytes_of(c->simulator.domain)) ||
	    (c->simulator.ses_domain &&
		bytes_eq_nocase(domain, BYTES("simulator.amazonses.com")));
}

unsigned
conf_address_flags(const struct conf *c)
{
	unsigned flags = 0;

	if (c->smtp.allow_address_literals)
		flags |= ADDRESS_ALLOW_LITERAL;
	if (c->smtp.allow_single_label)
		flags |= ADDRESS_ALLOW_SINGLE_LABEL;
	return flags;
}

bool
conf_principal_fits(const struct conf_principal *p, uint32_t uid,
    const uint32_t *gids, size_t gid_count)
{
	size_t i;

	if (p->kind == CONF_PRINCIPAL_ANY)
		return true;
	if (!p->known)
		return false;
	if (p->kind == CONF_PRINCIPAL_USER)
		return p->id == uid;
	for (i = 0; i < gid_count; i++)
		if (p->id == gids[i])
			return true;
	return false;
}

const struct conf_local *
conf_local_find(const struct conf *c, uint32_t uid, const uint32_t *gids,
    size_t gid_count)
{
	const struct conf_local *l;
	size_t			 i, k;

	for (i = 0; i < c->local_count; i++) {
		l = &c->locals[i];
		for (k = 0; k < l->match_count; k++)
			if (conf_principal_fits(&l->match[k], uid, gids,
				gid_count))
				return l;
	}
	return NULL;
}

/* -- files ----------------------------------------------------------------- */

struct file_walk {
	conf_file_fn *fn;
	void	     *arg;
	struct table *seen;
};

static void
file_tell(struct file_walk *w, enum conf_file_kind kind, const char *setting,
    const char *path)
{
	static char mark;
	struct buf  key;

	if (path == NULL)
		return;
	buf_init(&key, 8192);
	buf_printf(&key, "%d %s", (int)kind, path);
	if (table_get(w->seen, buf_bytes(&key)) == NULL) {
		table_put(w->seen, buf_bytes(&key), &mark);
		w->fn(w->arg, kind, setting, path);
	}
	buf_wipe(&key);
}

void
conf_each_file(const struct conf *c, conf_file_fn *fn, void *arg)
{
	struct file_walk w = { fn, arg, table_new(0) };
	size_t		 i;

	file_tell(&w, CONF_FILE_CERT, "tls.cert", c->tls.cert);
	file_tell(&w, CONF_FILE_KEY, "tls.key", c->tls.key);
	for (i = 0; i < c->certificate_count; i++) {
		file_tell(&w, CONF_FILE_CERT, "tls.certificate.NAME.cert",
		    c->certificates[i].cert);
		file_tell(&w, CONF_FILE_KEY, "tls.certificate.NAME.key",
		    c->certificates[i].key);
	}
	for (i = 0; i < c->listener_count; i++) {
		if (!c->listeners[i].enabled)
			continue;
		file_tell(&w, CONF_FILE_CERT, "listener.NAME.cert",
		    c->listeners[i].cert);
		file_tell(&w, CONF_FILE_KEY, "listener.NAME.key",
		    c->listeners[i].key);
	}
	file_tell(&w, CONF_FILE_OPERATOR_KEY, "dkim.operator_key",
	    c->dkim.operator_key);
	file_tell(&w, CONF_FILE_MASTER_KEY, "store.master_key",
	    c->store.master_key);
	file_tell(&w, CONF_FILE_CA, "events.webhook_ca",
	    c->events.webhook_ca);
	file_tell(&w, CONF_FILE_PSL, "dns.psl_file", c->dns.psl_file);
	table_free(w.seen);
}

void
conf_each_source(const struct conf *c,
    void (*fn)(void *arg, const char *path), void *arg)
{
	size_t i;

	for (i = 0; i < c->impl->source_count; i++)
		fn(arg, c->impl->sources[i]);
}
