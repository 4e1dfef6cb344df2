/* SPDX-License-Identifier: ISC */
/* From a setting's name to its row in the table, its block and its member. */
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/err.h"
#include "mail/address.h"
#include "registry/conf_private.h"

/* -- names ----------------------------------------------------------------- */

/* The next element of a pattern; what is left stays in *rest. */
static struct bytes
pattern_next(struct bytes *rest)
{
	ptrdiff_t    dot = bytes_find(*rest, 0, '.');
	struct bytes element = *rest;

	if (dot < 0) {
		*rest = (struct bytes){ NULL, 0 };
		return element;
	}
	*rest = bytes_from(element, (size_t)dot + 1);
	return bytes_head(element, (size_t)dot);
}

static bool
pattern_is_label(struct bytes element)
{
	return ascii_lower(element.p[0]) != element.p[0];
}

/* How many elements fit; *left: elements of the pattern behind them. */
static size_t
pattern_match(const char *name, const struct conf_path *path,
    struct bytes *label, size_t *left)
{
	struct bytes rest = bytes_of(name), element;
	size_t	     n = 0;

	*left = 0;
	while (rest.n > 0) {
		element = pattern_next(&rest);
		if (n == path->n || *left > 0)
			(*left)++;
		else if (pattern_is_label(element))
			*label = path->v[n++].text;
		else if (bytes_eq(element, path->v[n].text))
			n++;
		else
			return 0;
	}
	return n;
}

static const struct conf_option *
apply_find(const struct conf_path *path, struct bytes *label)
{
	size_t i, left;

	for (i = 0; i < conf_option_count; i++) {
		*label = (struct bytes){ NULL, 0 };
		if (pattern_match(conf_options[i].name, path, label, &left) ==
			path->n && left == 0)
			return &conf_options[i];
	}
	return NULL;
}

/* The name as it was written, for messages. */
static const char *
apply_path_text(struct conf_build *b, const struct conf_path *path)
{
	struct buf  s;
	const char *text;
	size_t	    i;

	buf_init(&s, 4096);
	for (i = 0; i < path->n; i++) {
		if (i > 0)
			buf_add_char(&s, '.');
		if (bytes_find(path->v[i].text, 0, '.') >= 0)
			buf_printf(&s, "\"%.*s\"", (int)path->v[i].text.n,
			    path->v[i].text.p);
		else
			buf_add_bytes(&s, path->v[i].text);
	}
	text = conf_text(b, buf_bytes(&s));
	buf_wipe(&s);
	return text;
}

/* -- blocks ---------------------------------------------------------------- */

static const struct builtin_listener {
	const char *name, *address;
	enum conf_tls_mode tls;
	unsigned	   roles;
} builtin_listeners[] = {
	{ "smtp", "0.0.0.0:25, [::]:25", CONF_TLS_STARTTLS,
	    CONF_ROLE_SUBMISSION | CONF_ROLE_INTAKE },
	{ "submission", "0.0.0.0:587, [::]:587", CONF_TLS_STARTTLS,
	    CONF_ROLE_SUBMISSION },
	{ "submission-alt", "0.0.0.0:2587, [::]:2587", CONF_TLS_STARTTLS,
	    CONF_ROLE_SUBMISSION },
	{ "submissions", "0.0.0.0:465, [::]:465", CONF_TLS_WRAPPER,
	    CONF_ROLE_SUBMISSION },
	{ "submissions-alt", "0.0.0.0:2465, [::]:2465", CONF_TLS_WRAPPER,
	    CONF_ROLE_SUBMISSION },
	{ "local", "unix:/run/posthorn/submit.sock", CONF_TLS_CLEAR,
	    CONF_ROLE_LOCAL },
};
enum {
	BUILTIN_LISTENERS =
	    sizeof(builtin_listeners) / sizeof(builtin_listeners[0])
};

static const struct builtin_provider {
	const char *name, *title, *mx, *domains;
} builtin_providers[] = {
	{ "gmail", "Gmail", "google.com, googlemail.com", NULL },
	{ "outlook", "Outlook", "olc.protection.outlook.com",
	    "hotmail.com, outlook.com, live.com, msn.com" },
	{ "microsoft365", "Microsoft 365", "protection.outlook.com", NULL },
	{ "yahoo", "Yahoo", "yahoodns.net", NULL },
	{ "icloud", "iCloud", "mail.icloud.com", NULL },
	{ "gmx", "GMX/Web.de", "gmx.net, web.de", NULL },
};

static void
item_set(struct conf_build *b, const char *option, const char *text,
    void *item)
{
	const struct conf_option *o = conf_option_find(option);

	must(conf_value_from_text(b, o, text, (char *)item + o->offset) ||
	    b->full);
}

static void
item_defaults(struct conf_build *b, enum conf_kind kind, void *item)
{
	size_t i;

	for (i = 0; i < conf_option_count; i++) {
		const struct conf_option *o = &conf_options[i];

		if (o->kind == kind && o->default_text != NULL &&
		    (o->flags & CONF_COMPUTED) == 0)
			must(conf_value_from_text(b, o, o->default_text,
				 (char *)item + o->offset) ||
			    b->full);
	}
}

static void
listener_defaults(struct conf_build *b, struct conf_listener *l)
{
	size_t i;

	for (i = 0; i < BUILTIN_LISTENERS; i++) {
		const struct builtin_listener *in = &builtin_listeners[i];

		if (strcmp(in->name, l->name) != 0)
			continue;
		item_set(b, "listener.NAME.address", in->address, l);
		l->tls = in->tls;
		l->roles = in->roles;
	}
}

/* A domain, .domain or "*", as route and tls take them; "" = bad. */
static const char *
item_pattern(struct conf_build *b, struct bytes label)
{
	char	     text[DOMAIN_TEXT_MAX + 1] = ".";
	struct bytes normal;
	bool	     below = bytes_starts(label, BYTES("."));

	if (bytes_eq_text(label, "*"))
		return "*";
	if (!domain_normal(bytes_from(label, below ? 1 : 0),
		ADDRESS_ALLOW_SINGLE_LABEL | ADDRESS_ALLOW_UNDERSCORE,
		text + 1, &normal))
		return "";
	return conf_text(b, bytes_of(below ? text : text + 1));
}

static bool
item_name_is_good(struct bytes label)
{
	return bytes_is_word(label, "._-@") && label.n <= CONF_LABEL_MAX;
}

/* Gives the item its name; false = it cannot have that one. */
static bool
item_name(struct conf_build *b, enum conf_kind kind, struct bytes label,
    void *item)
{
	const char *name;
	char	    lower[CONF_LABEL_MAX + 1];

	if (kind == CONF_KIND_ROUTE || kind == CONF_KIND_TLS_RULE) {
		name = item_pattern(b, label);
	} else if (!item_name_is_good(label)) {
		name = "";
	} else if (kind == CONF_KIND_ADMIN) {
		struct conf_admin *admin = item;

		return conf_principal_parse(b, label, &admin->user) &&
		    admin->user.kind == CONF_PRINCIPAL_USER;
	} else {
		bytes_text(label, lower, sizeof(lower));
		if (kind == CONF_KIND_DEST || kind == CONF_KIND_PROVIDER)
			ascii_lower_text(lower);
		name = conf_text(b, bytes_of(lower));
	}
	*(const char **)item = name;
	return name[0] != '\0' || b->full;
}

static void
item_array(const struct conf *c, enum conf_kind kind, void **v, size_t *n)
{
	memcpy(v, (const char *)c + conf_kinds[kind].array_offset,
	    sizeof(*v));
	memcpy(n, (const char *)c + conf_kinds[kind].count_offset,
	    sizeof(*n));
}

/* The array of the kind with room for one more, and that one, zeroed. */
static void *
item_add(struct conf_build *b, enum conf_kind kind)
{
	size_t size = conf_kinds[kind].item_size, n;
	void  *v, *more;

	item_array(b->c, kind, &v, &n);
	if ((n & (n - 1)) == 0) {
		more = conf_alloc(b, (n == 0 ? 1 : 2 * n) * size);
		if (more == NULL)
			return NULL;
		if (n > 0)
			memcpy(more, v, n * size);
		v = more;
		memcpy((char *)b->c + conf_kinds[kind].array_offset, &v,
		    sizeof(v));
	}
	n++;
	memcpy((char *)b->c + conf_kinds[kind].count_offset, &n, sizeof(n));
	more = (char *)v + (n - 1) * size;
	memset(more, 0, size); /* may have been used and removed */
	return more;
}

static void
item_remove_last(struct conf_build *b, enum conf_kind kind)
{
	size_t n = conf_item_count(b->c, kind) - 1;

	memcpy((char *)b->c + conf_kinds[kind].count_offset, &n, sizeof(n));
}

static void *
item_new(struct conf_build *b, enum conf_kind kind, struct bytes label,
    struct conf_place at)
{
	const char *what = conf_kinds[kind].name;
	void	   *item;

	if (conf_item_count(b->c, kind) >= CONF_ITEMS_MAX) {
		conf_error(b, at, "more than %d blocks %s", CONF_ITEMS_MAX,
		    what);
		return NULL;
	}
	item = item_add(b, kind);
	if (item == NULL)
		return NULL;
	if (!item_name(b, kind, label, item)) {
		item_remove_last(b, kind);
		conf_error(b, at, "%s: \"%.*s\" is not a %s", what,
		    (int)label.n, label.p,
		    kind == CONF_KIND_ROUTE || kind == CONF_KIND_TLS_RULE
			? "domain, .domain or *"
			: "possible name");
		return NULL;
	}
	item_defaults(b, kind, item);
	if (kind == CONF_KIND_LISTENER)
		listener_defaults(b, item);
	return item;
}

/* The item of that name, made with its defaults if it is new. */
static void *
item_get(struct conf_build *b, enum conf_kind kind, struct bytes label,
    struct conf_place at)
{
	struct buf key;
	void	  *item = NULL;
	uintptr_t  index;
	size_t	   i;

	buf_init(&key, 1024);
	buf_printf(&key, "%d\n", (int)kind);
	for (i = 0; i < label.n; i++)
		buf_add_char(&key, kind >= CONF_KIND_ROUTE
			? ascii_lower(label.p[i]) : label.p[i]);
	index = (uintptr_t)table_get(b->impl->items, buf_bytes(&key));
	if (index != 0) {
		item = conf_item_at(b->c, kind, index - 1);
	} else {
		item = item_new(b, kind, label, at);
		index = conf_item_count(b->c, kind);
		if (item != NULL)
			table_put(b->impl->items, buf_bytes(&key),
			    (void *)index);
	}
	buf_wipe(&key);
	if (item != NULL && at.file != NULL)
		conf_given_put(b, conf_kinds[kind].name,
		    conf_item_name(kind, item), at);
	return item;
}

bool
conf_apply_block(struct conf_build *b, const struct conf_path *path,
    struct conf_place at)
{
	struct bytes label;
	size_t	     i, left;

	for (i = 0; i < conf_option_count; i++) {
		const struct conf_option *o = &conf_options[i];

		label = (struct bytes){ NULL, 0 };
		if (pattern_match(o->name, path, &label, &left) != path->n ||
		    left == 0)
			continue;
		/* "delivery.dest" is a section too; its blocks have a label */
		if (label.p == NULL || o->kind == CONF_KIND_LATER)
			return true;
		return item_get(b, o->kind, label, at) != NULL;
	}
	conf_error(b, at, "unknown section %s", apply_path_text(b, path));
	return false;
}

/* -- settings -------------------------------------------------------------- */

/*
 * A setting that does nothing yet may be given with its default, so that a
 * file with all defaults written out loads.
 */
static bool
later_is_default(struct conf_build *b, const struct conf_ask *ask)
{
	struct conf_build quiet = *b;
	struct conf_errors unsaid;
	struct conf_option plain = *ask->o;
	struct buf	  given, usual;
	union {
		struct conf_addr     addr;
		struct conf_any_list list;
		double		     number;
		uint64_t	     size;
	} a, d;
	bool same;

	if (ask->count == 1) {
		if (bytes_eq_text(ask->values[0].text, plain.default_text))
			return true;
		if (bytes_eq_text(ask->values[0].text, "none"))
			return false;
	}
	memset(&a, 0, sizeof(a));
	memset(&d, 0, sizeof(d));
	plain.flags |= CONF_OPTIONAL;
	conf_errors_init(&unsaid);
	quiet.errors = &unsaid;
	buf_init(&given, 4096);
	buf_init(&usual, 4096);
	same = conf_value_parse(&quiet,
	    &(struct conf_ask){ &plain, ask->name, ask->at, ask->values,
		ask->count }, &a) &&
	    conf_value_from_text(&quiet, &plain, plain.default_text, &d);
	if (same) {
		conf_value_render(&plain, &a, &given);
		conf_value_render(&plain, &d, &usual);
		same = bytes_eq(buf_bytes(&given), buf_bytes(&usual));
	}
	b->full = quiet.full;
	buf_wipe(&given);
	buf_wipe(&usual);
	conf_errors_wipe(&unsaid);
	return same;
}

/* false = given before, and it is no list whose values add up. */
static bool
apply_note(struct conf_build *b, const struct conf_ask *ask,
    const char *label, void *member)
{
	const struct conf_option *o = ask->o;
	const struct conf_given	 *before;
	bool is_list = conf_is_list(o->type) || o->type == CONF_WORDS_SET;

	before = conf_given_find(b->c, o->name, label);
	if (before == NULL) {
		/* the first list takes the place of the default */
		if (is_list && member != NULL &&
		    o->kind != CONF_KIND_PROVIDER)
			memset(member, 0, conf_types[o->type].size);
		conf_given_put(b, o->name, label, ask->at);
		return true;
	}
	if (is_list)
		return true;
	conf_error(b, ask->at, "%s given twice, first at %s:%u", ask->name,
	    before->place.file, before->place.line);
	return false;
}

static void
apply_option(struct conf_build *b, struct conf_ask *ask, struct bytes label)
{
	const struct conf_option *o = ask->o;
	const char		 *name = NULL;
	void			 *item = b->c;
	struct buf		  shown;

	if (o->kind == CONF_KIND_LATER) {
		if (label.p != NULL)
			name = conf_text(b, label);
	} else if (o->kind != CONF_KIND_ROOT) {
		item = item_get(b, o->kind, label, ask->at);
		if (item == NULL)
			return;
		name = conf_item_name(o->kind, item);
	}
	buf_init(&shown, 1024);
	conf_option_name(o, name, &shown);
	ask->name = conf_text(b, buf_bytes(&shown));
	buf_wipe(&shown);
	if (o->kind == CONF_KIND_LATER) {
		if (!later_is_default(b, ask))
			conf_error(b, ask->at,
			    "setting %s is not available in this release",
			    ask->name);
		else
			apply_note(b, ask, name, NULL);
		return;
	}
	if (apply_note(b, ask, name, (char *)item + o->offset))
		conf_value_parse(b, ask, (char *)item + o->offset);
}

void
conf_apply(struct conf_build *b, const struct conf_path *path,
    const struct conf_word *values, size_t count, struct conf_place at)
{
	struct conf_ask	 ask = { NULL, NULL, at, values, count };
	struct conf_path keyed = *path;
	struct bytes	 label;
	size_t		 i, left;

	ask.o = apply_find(path, &label);
	/* route DOMAIN TARGET: the key as first value */
	if (ask.o == NULL && count > 0 && keyed.n < CONF_PATH_MAX &&
	    values[0].text.n <= CONF_LABEL_MAX) {
		keyed.v[keyed.n++] = values[0];
		ask.o = apply_find(&keyed, &label);
		if (ask.o != NULL && label.p == NULL)
			ask.o = NULL;
		if (ask.o != NULL) {
			ask.values++;
			ask.count--;
		}
	}
	if (ask.o != NULL) {
		apply_option(b, &ask, label);
		return;
	}
	for (i = 0; i < conf_option_count; i++) {
		if (pattern_match(conf_options[i].name, path, &label,
			&left) != path->n || left == 0)
			continue;
		conf_error(b, at, "%s is a block, written with { }",
		    apply_path_text(b, path));
		return;
	}
	conf_error(b, at, "unknown setting %s", apply_path_text(b, path));
}

/* -- before and after the file --------------------------------------------- */

void
conf_apply_defaults(struct conf_build *b)
{
	const struct conf_place nowhere = { NULL, 0 };
	struct conf_provider   *p;
	size_t			i;

	item_defaults(b, CONF_KIND_ROOT, b->c);
	for (i = 0; i < sizeof(builtin_providers) /
		 sizeof(builtin_providers[0]); i++) {
		const struct builtin_provider *in = &builtin_providers[i];

		p = item_get(b, CONF_KIND_PROVIDER, bytes_of(in->name),
		    nowhere);
		if (p == NULL)
			return;
		p->title = in->title;
		item_set(b, "delivery.provider.NAME.mx", in->mx, p);
		if (in->domains != NULL)
			item_set(b, "delivery.provider.NAME.domains",
			    in->domains, p);
	}
}

/*
 * A file without listeners has the six of the manual; a file with listeners
 * has these alone, and the local socket.
 */
void
conf_apply_listeners(struct conf_build *b)
{
	const struct conf_place nowhere = { NULL, 0 };
	size_t			i = 0;

	if (b->c->listener_count > 0)
		i = BUILTIN_LISTENERS - 1;
	for (; i < BUILTIN_LISTENERS; i++)
		item_get(b, CONF_KIND_LISTENER,
		    bytes_of(builtin_listeners[i].name), nowhere);
}
