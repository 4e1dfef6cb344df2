/* SPDX-License-Identifier: ISC */
/* Words of a configuration file into members, and back into text. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/err.h"
#include "mail/address.h"
#include "registry/conf_private.h"

/* -- one word -------------------------------------------------------------- */

bool
conf_is_printable(struct bytes s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

static bool
value_bool(struct bytes s, bool *out)
{
	static const char *const yes[] = { "yes", "on", "true" };
	static const char *const no[] = { "no", "off", "false" };
	size_t			 i;

	for (i = 0; i < 3; i++) {
		if (bytes_eq_nocase(s, bytes_of(yes[i]))) {
			*out = true;
			return true;
		}
		if (bytes_eq_nocase(s, bytes_of(no[i]))) {
			*out = false;
			return true;
		}
	}
	return false;
}

/* Digits, and digits behind a dot; no sign, no exponent, no locale. */
static bool
value_float(struct bytes s, double *out)
{
	double v = 0, scale = 1;
	bool   dot = false, digit = false;
	size_t i;

	if (s.n > 32)
		return false;
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '.' && !dot) {
			dot = true;
		} else if (ascii_is_digit(s.p[i])) {
			digit = true;
			v = v * 10 + (s.p[i] - '0');
			if (dot)
				scale *= 10;
		} else {
			return false;
		}
	}
	*out = v / scale;
	return digit;
}

static bool
value_unit(struct bytes s, const struct conf_unit *units, uint64_t bare,
    uint64_t *out)
{
	size_t	 digits = 0;
	uint64_t v, factor = bare;

	while (digits < s.n && ascii_is_digit(s.p[digits]))
		digits++;
	if (!bytes_to_u64(bytes_head(s, digits), &v))
		return false;
	s = bytes_from(s, digits);
	if (s.n > 0) {
		while (units->name != NULL &&
		    (units->name[0] == '\0' ||
			!bytes_eq_nocase(s, bytes_of(units->name))))
			units++;
		if (units->name == NULL)
			return false;
		factor = units->factor;
	}
	if (v > INT64_MAX / factor)
		return false;
	*out = v * factor;
	return true;
}

static bool
value_label(struct bytes s, const struct conf_option *o)
{
	if (s.n == 0 || s.n > CONF_LABEL_MAX ||
	    (o->max > 0 && ((double)s.n < o->min || (double)s.n > o->max)))
		return false;
	return bytes_is_word(s, "._-");
}

static bool
value_is_account(struct bytes s)
{
	uint64_t unused;

	return s.n == 12 && bytes_to_u64(s, &unused);
}

/* -- users and groups ------------------------------------------------------ */

static bool
principal_find(const struct conf_build *b, bool is_group, const char *name,
    uint32_t *id)
{
	char	       buf[16384];
	struct passwd  pw, *user;
	struct group   gr, *group;

	if (b->opener->find_id != NULL)
		return b->opener->find_id(b->opener->arg, is_group, name, id);
	if (is_group) {
		if (getgrnam_r(name, &gr, buf, sizeof(buf), &group) != 0 ||
		    group == NULL)
			return false;
		*id = group->gr_gid;
	} else {
		if (getpwnam_r(name, &pw, buf, sizeof(buf), &user) != 0 ||
		    user == NULL)
			return false;
		*id = user->pw_uid;
	}
	return true;
}

bool
conf_principal_parse(struct conf_build *b, struct bytes s,
    struct conf_principal *out)
{
	uint64_t n;

	memset(out, 0, sizeof(*out));
	if (s.n == 0 || s.n > 64 || !conf_is_printable(s) ||
	    bytes_find(s, 0, ' ') >= 0)
		return false;
	out->kind = CONF_PRINCIPAL_USER;
	out->name = "*";
	if (bytes_eq_text(s, "*")) {
		out->kind = CONF_PRINCIPAL_ANY;
		return true;
	}
	if (s.p[0] == '@') {
		out->kind = CONF_PRINCIPAL_GROUP;
		s = bytes_from(s, 1);
		if (s.n == 0)
			return false;
	}
	out->name = conf_text(b, s);
	if (bytes_to_u64(s, &n)) {
		/* all ones means "no id" to the kernel */
		if (n >= UINT32_MAX)
			return false;
		out->known = true;
		out->id = (uint32_t)n;
		return true;
	}
	out->known = principal_find(b, out->kind == CONF_PRINCIPAL_GROUP,
	    out->name, &out->id);
	return true;
}

/* -- a word into a member or an element ------------------------------------ */

static bool
value_text(struct conf_build *b, const struct conf_option *o, struct bytes s,
    const char **out)
{
	char host[ADDRESS_TEXT_MAX];
	bool good = conf_is_printable(s);

	switch (o->type) {
	case CONF_LABEL:
		good = good && value_label(s, o);
		break;
	case CONF_HOST:
	case CONF_HOSTS:
		good = domain_normal(s, ADDRESS_ALLOW_SINGLE_LABEL, host, &s);
		break;
	case CONF_PATH:
		good = good && s.n > 0 && s.p[0] == '/' && s.n < 4096;
		break;
	case CONF_SOCKET_PATH:
		good = good && s.n > 0 && s.p[0] == '/' && s.n < 108;
		break;
	case CONF_ADDRESS:
		good = address_normal_text(s, ADDRESS_ALLOW_SINGLE_LABEL,
		    host, &s);
		break;
	case CONF_ACCOUNT_ID:
		good = value_is_account(s);
		break;
	default:
		good = good && s.n > 0;
		break;
	}
	if (good)
		*out = conf_text(b, s);
	return good;
}

static bool
value_login(struct conf_build *b, struct bytes s, const char **out)
{
	ptrdiff_t slash = bytes_find(s, 0, '/');

	if (slash < 0 || !conf_is_printable(s) ||
	    !value_is_account(bytes_head(s, (size_t)slash)) ||
	    s.n - (size_t)slash < 2 || s.n - (size_t)slash > 65)
		return false;
	out[0] = conf_text(b, bytes_head(s, (size_t)slash));
	out[1] = conf_text(b, bytes_from(s, (size_t)slash + 1));
	return true;
}

static bool
value_number(const struct conf_option *o, struct bytes s, void *out,
    double *seen)
{
	uint64_t u = 0;
	int64_t	 ms;
	uint32_t n;
	uint16_t port;
	bool	 good;

	switch (o->type) {
	case CONF_FLOAT:
		good = value_float(s, seen);
		if (good)
			memcpy(out, seen, sizeof(*seen));
		return good;
	case CONF_DURATION:
	case CONF_DURATIONS:
		good = value_unit(s, conf_duration_units, 1000, &u);
		ms = (int64_t)u;
		memcpy(out, &ms, sizeof(ms));
		break;
	case CONF_SIZE:
		good = value_unit(s, conf_size_units, 1, &u);
		memcpy(out, &u, sizeof(u));
		break;
	case CONF_PORT:
		good = s.n <= 5 && bytes_to_u64(s, &u) && u <= UINT16_MAX;
		port = (uint16_t)u;
		memcpy(out, &port, sizeof(port));
		break;
	default:
		good = bytes_to_u64(s, &u) && u <= UINT32_MAX;
		n = (uint32_t)u;
		memcpy(out, &n, sizeof(n));
		break;
	}
	*seen = (double)u;
	return good;
}

static int
value_word(const struct conf_option *o, struct bytes s)
{
	int i;

	for (i = 0; o->words[i] != NULL; i++)
		if (bytes_eq_nocase(s, bytes_of(o->words[i])))
			return i;
	return -1;
}

static bool
value_one(struct conf_build *b, const struct conf_option *o, struct bytes s,
    void *out)
{
	struct conf_addr a;
	bool		 good;

	switch (o->type) {
	case CONF_BOOL:
		return value_bool(s, out);
	case CONF_LOGIN:
		return value_login(b, s, out);
	case CONF_TARGET:
		return conf_target_parse(b, s,
		    (struct conf_route *)(void *)((char *)out -
			offsetof(struct conf_route, host)));
	case CONF_CIDRS:
		return conf_cidr_parse(s, out);
	case CONF_ADDR:
	case CONF_ADDRS:
		good = conf_addr_parse_full(s, &a);
		break;
	case CONF_SERVERS:
		good = conf_addr_parse(s, 53, &a) && a.family != AF_UNIX;
		break;
	case CONF_IP:
		memset(&a, 0, sizeof(a));
		good = conf_addr_parse_ip(s, 0, &a);
		break;
	case CONF_PRINCIPALS:
		return conf_principal_parse(b, s, out);
	default:
		return value_text(b, o, s, out);
	}
	if (good)
		memcpy(out, &a, sizeof(a));
	return good;
}

/* -- complaints ------------------------------------------------------------ */

static void
value_add_bounds(const struct conf_option *o, double v, struct buf *out)
{
	uint64_t u;

	if (o->type == CONF_DURATION || o->type == CONF_DURATIONS ||
	    o->type == CONF_SIZE) {
		u = (uint64_t)v;
		conf_add_units(out, u,
		    o->type == CONF_SIZE ? conf_size_units
					 : conf_duration_units);
	} else {
		buf_printf(out, "%.0f", v);
	}
}

static void
value_say_range(struct conf_build *b, const struct conf_ask *ask,
    struct conf_place at, struct bytes s)
{
	struct buf range;

	buf_init(&range, 128);
	value_add_bounds(ask->o, ask->o->min, &range);
	buf_add_text(&range, " to ");
	value_add_bounds(ask->o, ask->o->max, &range);
	conf_error(b, at, "%s: %.*s is out of range (%.*s)", ask->name,
	    (int)s.n, s.p, (int)range.n, range.p);
	buf_wipe(&range);
}

static void
value_say_type(struct conf_build *b, const struct conf_ask *ask,
    struct conf_place at, struct bytes s)
{
	const char *wanted = conf_types[ask->o->type].wanted;
	struct buf  words;
	size_t	    i;

	if (s.n > 80)
		s.n = 80;
	if (ask->o->type == CONF_LABEL && ask->o->max > 0) {
		conf_error(b, at,
		    "%s: \"%.*s\" is not a name of %.0f to %.0f letters, "
		    "digits, dots, - and _",
		    ask->name, (int)s.n, s.n > 0 ? s.p : "", ask->o->min,
		    ask->o->max);
		return;
	}
	if (wanted != NULL) {
		conf_error(b, at, "%s: \"%.*s\" is not %s", ask->name,
		    (int)s.n, s.n > 0 ? s.p : "", wanted);
		return;
	}
	buf_init(&words, 256);
	for (i = 0; ask->o->words[i] != NULL; i++)
		buf_printf(&words, "%s%s", i > 0 ? ", " : "",
		    ask->o->words[i]);
	conf_error(b, at, "%s: \"%.*s\" is not one of %.*s", ask->name,
	    (int)s.n, s.n > 0 ? s.p : "", (int)words.n, words.p);
	buf_wipe(&words);
}

static bool
value_is_number(enum conf_type t)
{
	return t == CONF_INT || t == CONF_PORT || t == CONF_FLOAT ||
	    t == CONF_DURATION || t == CONF_SIZE || t == CONF_DURATIONS;
}

/* A word into out, with all that can be said against it. */
static bool
value_take(struct conf_build *b, const struct conf_ask *ask,
    struct conf_place at, struct bytes s, void *out)
{
	const struct conf_option *o = ask->o;
	size_t			  size;
	double			  number[2], seen; /* room for all of them */
	bool			  good;

	if (value_is_number(o->type)) {
		good = value_number(o, s, number, &seen);
		if (good && o->max > 0 && (seen < o->min || seen > o->max)) {
			value_say_range(b, ask, at, s);
			return false;
		}
		size = conf_is_list(o->type) ? conf_types[o->type].element
					     : conf_types[o->type].size;
		if (good)
			memcpy(out, number, size);
	} else {
		good = value_one(b, o, s, out);
	}
	if (!good)
		value_say_type(b, ask, at, s);
	return good;
}

static bool
value_enum(struct conf_build *b, const struct conf_ask *ask,
    struct conf_place at, struct bytes s, void *member)
{
	const struct conf_option *o = ask->o;
	int			  i = value_word(o, s);

	if (i < 0) {
		value_say_type(b, ask, at, s);
		return false;
	}
	if (o->max > 0 && i > (int)o->max) {
		conf_error(b, at,
		    "value %s of setting %s is not available in this release",
		    o->words[i], ask->name);
		return false;
	}
	i += (int)o->min;
	memcpy(member, &i, sizeof(i));
	return true;
}

/* -- lists ----------------------------------------------------------------- */

static size_t
list_room(size_t n)
{
	size_t room = 4;

	while (room < n)
		room *= 2;
	return room;
}

/* A place for one more; the arrays of conf have room up to a power of two. */
static void *
list_more(struct conf_build *b, struct conf_any_list *list, size_t element)
{
	void *v;

	if (list->n == 0 || list_room(list->n) != list_room(list->n + 1)) {
		v = conf_alloc(b, list_room(list->n + 1) * element);
		if (v == NULL)
			return NULL;
		if (list->n > 0)
			memcpy(v, list->v, list->n * element);
		list->v = v;
	}
	return (char *)list->v + list->n * element;
}

/* Lists of hosts are sets: a built-in name may be given again. */
static bool
list_has_last(const struct conf_any_list *list)
{
	const char *const *v = list->v;
	size_t		   i;

	for (i = 0; i < list->n; i++)
		if (strcmp(v[i], v[list->n]) == 0)
			return true;
	return false;
}

static bool
list_add(struct conf_build *b, const struct conf_ask *ask,
    struct conf_place at, struct bytes s, struct conf_any_list *list)
{
	size_t element = conf_types[ask->o->type].element;
	void  *place;

	if (list->n >= CONF_ITEMS_MAX) {
		conf_error(b, at, "%s: more than %d values", ask->name,
		    CONF_ITEMS_MAX);
		return false;
	}
	place = list_more(b, list, element);
	if (place == NULL || !value_take(b, ask, at, s, place))
		return false;
	if (ask->o->type != CONF_HOSTS || !list_has_last(list))
		list->n++;
	return true;
}

static bool
list_add_word(struct conf_build *b, const struct conf_ask *ask,
    struct conf_place at, struct bytes s, void *member)
{
	struct conf_any_list list;
	unsigned	  bits;
	bool		  good;
	int		  i;

	if (ask->o->type == CONF_WORDS_SET) {
		i = value_word(ask->o, s);
		if (i < 0) {
			value_say_type(b, ask, at, s);
			return false;
		}
		memcpy(&bits, member, sizeof(bits));
		bits |= 1u << i;
		memcpy(member, &bits, sizeof(bits));
		return true;
	}
	memcpy(&list, member, sizeof(list));
	if (ask->o->type == CONF_CIDRS && bytes_eq_text(s, "loopback"))
		good = list_add(b, ask, at, BYTES("127.0.0.0/8"), &list) &&
		    list_add(b, ask, at, BYTES("::1"), &list);
	else
		good = list_add(b, ask, at, s, &list);
	memcpy(member, &list, sizeof(list));
	return good;
}

/* Bare words are divided at commas; quoted ones are taken as they are. */
static bool
value_list(struct conf_build *b, const struct conf_ask *ask, void *member)
{
	bool   good = true, any = false;
	size_t i;

	for (i = 0; i < ask->count; i++) {
		struct conf_place at = ask->at;
		struct bytes	  rest = ask->values[i].text, part;
		ptrdiff_t	  comma;

		at.line = ask->values[i].line;
		do {
			comma = ask->values[i].quoted
			    ? -1
			    : bytes_find(rest, 0, ',');
			part = comma < 0 ? rest
					 : bytes_head(rest, (size_t)comma);
			if (part.n > 0 || ask->values[i].quoted) {
				any = true;
				good = list_add_word(b, ask, at, part,
					   member) && good;
			}
			rest = bytes_from(rest, (size_t)(comma + 1));
		} while (comma >= 0);
	}
	if (!any) {
		conf_error(b, ask->at, "%s needs a value", ask->name);
		return false;
	}
	return good;
}

static bool
value_is_unset(const struct conf_ask *ask)
{
	const struct conf_option *o = ask->o;
	struct bytes		  s;

	if ((o->flags & CONF_OPTIONAL) == 0 || ask->count != 1)
		return false;
	s = ask->values[0].text;
	if (ask->values[0].quoted)
		return s.n == 0 && !conf_is_list(o->type);
	if (bytes_eq_text(s, "none"))
		return true;
	if (bytes_eq_text(s, "off"))
		return o->type == CONF_ADDR;
	return (bytes_eq_text(s, "system") || bytes_eq_text(s, "any")) &&
	    bytes_eq_text(s, o->default_text);
}

bool
conf_value_parse(struct conf_build *b, const struct conf_ask *ask,
    void *member)
{
	const struct conf_option *o = ask->o;
	struct conf_place	  at = ask->at;

	if (ask->count == 0) {
		conf_error(b, at, "%s needs a value", ask->name);
		return false;
	}
	if (value_is_unset(ask)) {
		memset(member, 0, conf_types[o->type].size);
		return true;
	}
	if (conf_is_list(o->type) || o->type == CONF_WORDS_SET)
		return value_list(b, ask, member);
	if (ask->count > 1) {
		at.line = ask->values[1].line;
		conf_error(b, at, "%s takes one value", ask->name);
		return false;
	}
	at.line = ask->values[0].line;
	if (o->type == CONF_ENUM)
		return value_enum(b, ask, at, ask->values[0].text, member);
	return value_take(b, ask, at, ask->values[0].text, member);
}

bool
conf_value_from_text(struct conf_build *b, const struct conf_option *o,
    const char *text, void *member)
{
	struct conf_word words[64];
	struct conf_ask	 ask = { 0 };
	struct bytes	 rest = bytes_of(text);
	ptrdiff_t	 blank;

	do {
		blank = bytes_find(rest, 0, ' ');
		must(ask.count < sizeof(words) / sizeof(words[0]));
		words[ask.count++] = (struct conf_word){
			.text = blank < 0 ? rest
					  : bytes_head(rest, (size_t)blank),
		};
		rest = bytes_from(rest, (size_t)(blank + 1));
	} while (blank >= 0);
	ask.o = o;
	ask.name = o->name;
	ask.values = words;
	return conf_value_parse(b, &ask, member);
}
