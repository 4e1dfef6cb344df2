/* SPDX-License-Identifier: ISC */
/* The snapshot as text, what a reload cannot change, and the table itself. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "registry/conf_private.h"

/* -- config show ----------------------------------------------------------- */

struct show {
	const struct conf  *c;
	const char	   *section;
	enum conf_show_mode mode;
	struct buf	   *out;
	bool		    any; /* the section exists */
};

static bool
show_is_within(const char *name, const char *section)
{
	size_t n = section != NULL ? strlen(section) : 0;

	return n == 0 ||
	    (strncmp(name, section, n) == 0 &&
		(name[n] == '\0' || name[n] == '.'));
}

/* A default is shown as the manual writes it. */
static void
show_value(const struct show *s, const struct conf_option *o,
    const void *item)
{
	const char *member = (const char *)item + o->offset;
	const char *usual = (const char *)s->c->impl->usual + o->offset;
	struct buf  value, other;

	buf_init(&value, 1 << 20);
	buf_init(&other, 1 << 20);
	conf_value_render(o, member, &value);
	if (o->kind == CONF_KIND_ROOT && (o->flags & CONF_COMPUTED) == 0)
		conf_value_render(o, usual, &other);
	if (other.n > 0 && bytes_eq(buf_bytes(&value), buf_bytes(&other)))
		buf_add_text(s->out, o->default_text);
	else
		buf_add_bytes(s->out, buf_bytes(&value));
	s->out->failed |= value.failed;
	buf_wipe(&value);
	buf_wipe(&other);
}

static void
show_option(struct show *s, const struct conf_option *o, const void *item)
{
	const char	        *label = conf_item_name(o->kind, item);
	const struct conf_given *g = conf_given_find(s->c, o->name, label);
	struct buf		 name;

	buf_init(&name, 1024);
	conf_option_name(o, label, &name);
	buf_add_char(&name, '\0');
	if (show_is_within(name.p, s->section) ||
	    show_is_within(o->name, s->section)) {
		s->any = true;
		if (g != NULL || s->mode != CONF_SHOW_CHANGED) {
			buf_printf(s->out, "%s ", name.p);
			show_value(s, o, item);
			if (g != NULL)
				buf_printf(s->out, "  # %s:%u\n",
				    g->place.file, g->place.line);
			else
				buf_add_text(s->out, "  # default\n");
		}
	}
	buf_wipe(&name);
}

/* All settings of a block stand together. */
static void
show_blocks(struct show *s, size_t first)
{
	enum conf_kind kind = conf_options[first].kind;
	size_t	       i, k;

	for (i = 0; i < conf_item_count(s->c, kind); i++)
		for (k = first; k < conf_option_count; k++)
			if (conf_options[k].kind == kind)
				show_option(s, &conf_options[k],
				    conf_item_at(s->c, kind, i));
}

bool
conf_show(const struct conf *c, const char *section,
    enum conf_show_mode mode, struct buf *out)
{
	struct show  s = { c, section, mode, out, false };
	bool	     done[CONF_KIND_COUNT] = { false };
	struct conf *usual;
	size_t	     i;

	if (mode == CONF_SHOW_DEFAULTS) {
		usual = conf_defaults();
		s.any = conf_show(usual, section, CONF_SHOW_ALL, out);
		conf_unref(usual);
		return s.any;
	}
	for (i = 0; i < conf_option_count; i++) {
		const struct conf_option *o = &conf_options[i];

		if (show_is_within(o->name, section))
			s.any = true;
		if (o->kind == CONF_KIND_ROOT) {
			show_option(&s, o, c);
		} else if (o->kind != CONF_KIND_LATER && !done[o->kind]) {
			done[o->kind] = true;
			show_blocks(&s, i);
		}
	}
	return s.any && !out->failed;
}

/* -- reload ---------------------------------------------------------------- */

static bool
restart_differs(const struct conf_option *o, const void *a, const void *b)
{
	struct buf x, y;
	bool	   differs;

	buf_init(&x, 1 << 20);
	buf_init(&y, 1 << 20);
	conf_value_render(o, (const char *)a + o->offset, &x);
	conf_value_render(o, (const char *)b + o->offset, &y);
	differs = !bytes_eq(buf_bytes(&x), buf_bytes(&y));
	buf_wipe(&x);
	buf_wipe(&y);
	return differs;
}

static void
restart_add(struct buf *out, const char *front, const char *name)
{
	buf_printf(out, "%s%s%s", out->n > 0 ? ", " : "", front, name);
}

/* The snapshot whose file says what the listeners are. */
static const struct conf *
restart_source(const struct conf *c)
{
	return c->impl->base != NULL ? c->impl->base : c;
}

static bool
restart_listener_differs(const struct conf *old, const struct conf *new,
    const struct conf_listener *a, const struct conf_listener *b)
{
	size_t i;

	for (i = 0; i < conf_option_count; i++) {
		const struct conf_option *o = &conf_options[i];

		if (o->kind != CONF_KIND_LISTENER)
			continue;
		/* what follows from other settings follows them at a reload */
		if (conf_given_find(restart_source(old), o->name, a->name) ==
			NULL &&
		    conf_given_find(restart_source(new), o->name, b->name) ==
			NULL)
			continue;
		if (restart_differs(o, a, b))
			return true;
	}
	return false;
}

bool
conf_needs_restart(const struct conf *old, const struct conf *new,
    struct buf *out)
{
	const struct conf_listener *l, *m;
	size_t			    i, before = out->n;

	for (i = 0; i < conf_option_count; i++) {
		const struct conf_option *o = &conf_options[i];

		if (o->kind == CONF_KIND_ROOT && (o->flags & CONF_R) != 0 &&
		    restart_differs(o, old, new))
			restart_add(out, "", o->name);
	}
	for (i = 0; i < new->listener_count; i++) {
		l = &new->listeners[i];
		m = conf_listener_find(old, bytes_of(l->name));
		if (m == NULL || restart_listener_differs(old, new, m, l))
			restart_add(out, "listener.", l->name);
	}
	for (i = 0; i < old->listener_count; i++) {
		l = &old->listeners[i];
		if (conf_listener_find(new, bytes_of(l->name)) == NULL)
			restart_add(out, "listener.", l->name);
	}
	return out->n > before;
}

/*
 * new->impl->base lends what was there at the start: it is the snapshot of
 * the start itself, so that many reloads do not make a chain.
 */
void
conf_keep(struct conf *new, const struct conf *old)
{
	const struct conf *base = restart_source(old);
	struct conf_errors errors;
	struct conf_build  b = { 0 };
	size_t		   i, size;

	must(new->impl->base == NULL && new != old);
	conf_errors_init(&errors);
	b.c = new;
	b.impl = new->impl;
	b.arena = new->impl->arena;
	b.errors = &errors;
	new->impl->base = conf_ref(base);
	for (i = 0; i < conf_option_count; i++) {
		const struct conf_option *o = &conf_options[i];

		if (o->kind == CONF_KIND_ROOT && (o->flags & CONF_R) != 0)
			memcpy((char *)new + o->offset,
			    (const char *)base + o->offset,
			    conf_types[o->type].size);
	}
	size = base->listener_count * sizeof(*base->listeners);
	new->listeners = conf_alloc(&b, size);
	new->listener_count = new->listeners != NULL ? base->listener_count
						     : 0;
	if (new->listener_count > 0)
		memcpy(new->listeners, base->listeners, size);
	conf_derive_again(&b, base);
	conf_errors_wipe(&errors);
}

/* -- the table ------------------------------------------------------------- */

void
conf_known_settings(void (*fn)(void *arg, const struct conf_setting *s),
    void *arg)
{
	struct conf_setting s;
	struct buf	    type;
	size_t		    i;

	buf_init(&type, 256);
	for (i = 0; i < conf_option_count; i++) {
		const struct conf_option *o = &conf_options[i];

		buf_clear(&type);
		conf_type_text(o, &type);
		buf_add_char(&type, '\0');
		s.name = o->name;
		s.type = type.p;
		s.default_text = (o->flags & CONF_REQUIRED) != 0
		    ? "-"
		    : o->default_text;
		s.help = o->help;
		s.needs_restart = (o->flags & CONF_R) != 0;
		s.is_later = (o->flags & CONF_LATER) != 0;
		fn(arg, &s);
	}
	buf_wipe(&type);
}
