/* SPDX-License-Identifier: ISC */
/*
 * --json-file and --skeleton: the arguments of a create or set command as
 * JSON.  A row's .json names members and the arguments or options they stand
 * for: "Member=name Outer.Inner=name Member=name/opposite"; what is not named
 * there has the option's own name, as in max-24h, Max24h.  name/opposite: two
 * flags, of which false gives the second.
 */
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "tools/ctl/ctl.h"

enum { NAME_MAX_ = 96, KIND_MAX = 16, FILE_OCTETS_MAX = 1024 * 1024 };

struct member {
	char path[NAME_MAX_]; /* "Outer.Inner" */
	char name[NAME_MAX_]; /* of the argument or option */
	char opposite[NAME_MAX_]; /* "" = none */
	char kind[KIND_MAX];
};

/* -- the members of a command ---------------------------------------------- */

static void
member_camel(const char *name, char out[NAME_MAX_])
{
	bool   start = true;
	size_t n = 0;

	for (; *name != '\0' && n < NAME_MAX_ - 1; name++) {
		if (*name == '-') {
			start = true;
			continue;
		}
		out[n++] = start ? ascii_upper(*name) : *name;
		start = false;
	}
	out[n] = '\0';
}

/* Looks for the member of this name in .json; false = it has its own name. */
static bool
member_named(const char *json, struct member *m)
{
	const char *p = json, *equals, *slash, *end;
	size_t	    n = strlen(m->name);

	for (; *p != '\0'; p = end + strspn(end, " ")) {
		end = p + strcspn(p, " ");
		equals = p + strcspn(p, "=");
		slash = equals + strcspn(equals, "/ ");
		if ((size_t)(slash - equals) != n + 1 ||
		    strncmp(equals + 1, m->name, n) != 0)
			continue;
		bytes_text((struct bytes){ p, (size_t)(equals - p) }, m->path,
		    NAME_MAX_);
		if (*slash == '/')
			bytes_text((struct bytes){ slash + 1,
			    (size_t)(end - slash - 1) }, m->opposite,
			    NAME_MAX_);
		return true;
	}
	return false;
}

/* Is it the second of two flags? */
static bool
member_is_opposite(const char *json, const char *name)
{
	char word[NAME_MAX_ + 1];

	snprintf(word, sizeof(word), "/%s", name);
	return strstr(json, word) != NULL;
}

typedef bool member_fn(struct ctl *c, const struct member *m, void *arg);

static bool
member_visit(struct ctl *c, const char *name, size_t n, const char *kind,
    member_fn *fn, void *arg)
{
	struct member m = { .opposite = "" };
	const char   *json = c->command->json;

	bytes_text((struct bytes){ name, n }, m.name, NAME_MAX_);
	snprintf(m.kind, sizeof(m.kind), "%s", kind);
	if (member_is_opposite(json, m.name))
		return true;
	if (!member_named(json, &m))
		member_camel(m.name, m.path);
	return fn(c, &m, arg);
}

/* All members, in the order of the table; false as soon as fn says so. */
static bool
members_each(struct ctl *c, member_fn *fn, void *arg)
{
	const char *a = c->command->arguments, *o = c->command->options;
	const char *colon;
	char	    kind[KIND_MAX];
	size_t	    n, end;

	for (; a != NULL && *a != '\0'; a += n + strspn(a + n, " ")) {
		n = strcspn(a, " ");
		if (!member_visit(c, a, strcspn(a, " ?."), "text", fn, arg))
			return false;
	}
	for (; o != NULL && *o != '\0'; o += end + strspn(o + end, " ")) {
		end = strcspn(o, " ");
		colon = o + strcspn(o, ":");
		bytes_text((struct bytes){ colon + 1,
		    (size_t)(o + end - colon - 1) }, kind, KIND_MAX);
		if (!member_visit(c, o, (size_t)(colon - o), kind, fn, arg))
			return false;
	}
	return true;
}

/* -- the skeleton ---------------------------------------------------------- */

/* The object that holds the last part of a path; made when wanted. */
static json_t *
member_holder(json_t *root, const char *path, const char **last, bool make)
{
	const char *dot = strchr(path, '.');
	char	    outer[NAME_MAX_];
	json_t	   *v;

	*last = dot != NULL ? dot + 1 : path;
	if (dot == NULL)
		return root;
	bytes_text((struct bytes){ path, (size_t)(dot - path) }, outer,
	    NAME_MAX_);
	v = json_object_get(root, outer);
	if (v == NULL && make) {
		v = json_object();
		json_object_set_new(root, outer, v);
	}
	return v;
}

static bool
skeleton_add(struct ctl *c, const struct member *m, void *root)
{
	const char *last;
	json_t	   *holder = member_holder(root, m->path, &last, true);

	(void)c;
	json_object_set_new(holder, last, json_null());
	return true;
}

void
ctl_print_skeleton(struct ctl *c)
{
	json_t *root = c->command->skeleton != NULL ?
		json_loads(c->command->skeleton, 0, NULL) : json_object();

	if (c->command->skeleton == NULL)
		members_each(c, skeleton_add, root);
	ctl_print_json(root);
	json_decref(root);
}

/* -- values ---------------------------------------------------------------- */

static bool
member_misuse(struct ctl *c, const struct member *m, const char *what)
{
	ctl_say_misuse(c, "%s: %s", m->path, what);
	return false;
}

static bool
member_take_flag(struct ctl *c, const struct member *m, json_t *v)
{
	if (!json_is_boolean(v))
		return member_misuse(c, m, "is not true or false");
	if (json_is_true(v))
		json_object_set_new(c->args, m->name, json_true());
	else if (m->opposite[0] != '\0')
		json_object_set_new(c->args, m->opposite, json_true());
	return true;
}

/* {"name":"value"} as it is typed: name=value. */
static json_t *
member_pairs(json_t *v)
{
	json_t	   *list = json_array(), *item;
	const char *name;
	struct buf  pair;

	buf_init(&pair, FILE_OCTETS_MAX); /* one is shorter than the file */
	json_object_foreach(v, name, item) {
		buf_clear(&pair);
		buf_printf(&pair, "%s=%s", name, json_string_value(item) !=
		    NULL ? json_string_value(item) : "");
		json_array_append_new(list, json_is_string(item) ?
			json_stringn(pair.p, pair.n) : json_null());
	}
	buf_wipe(&pair);
	return list;
}

static bool
member_take_list(struct ctl *c, const struct member *m, json_t *v)
{
	json_t *item;
	size_t	i;

	json_array_foreach(v, i, item)
		if (!json_is_string(item))
			return member_misuse(c, m, "is not a list of texts");
	if (!json_is_array(v))
		return member_misuse(c, m, "is not a list of texts");
	json_object_set(c->args, m->name, v);
	return true;
}

static bool
member_take_many(struct ctl *c, const struct member *m, json_t *v)
{
	json_t *list = json_is_object(v) ? member_pairs(v) : json_incref(v);
	bool	taken = member_take_list(c, m, list);

	json_decref(list);
	return taken;
}

/* The text of a file that would otherwise be named. */
static bool
member_take_file(struct ctl *c, const struct member *m, json_t *v)
{
	const char *text = json_string_value(v);
	size_t	    n = json_string_length(v);

	if (text == NULL)
		return member_misuse(c, m, "is not a text");
	return ctl_add_text(c, m->name, (struct bytes){ text, n });
}

/* Numbers and times as they are typed; RSA_2048_BIT is 2048. */
static bool
member_take_text(struct ctl *c, const struct member *m, json_t *v)
{
	char	    text[64];
	const char *s = json_string_value(v);
	unsigned    bits;

	if (json_is_boolean(v))
		s = json_is_true(v) ? "on" : "off";
	if (s != NULL && strcmp(m->kind, "int") == 0 &&
	    sscanf(s, "RSA_%u_BIT", &bits) == 1) {
		snprintf(text, sizeof(text), "%u", bits);
		s = text;
	} else if (json_is_integer(v)) {
		snprintf(text, sizeof(text), "%lld",
		    (long long)json_integer_value(v));
		s = text;
	} else if (json_is_real(v)) {
		snprintf(text, sizeof(text), "%.15g", json_real_value(v));
		s = text;
	}
	if (s == NULL)
		return member_misuse(c, m, "is neither text nor number");
	return ctl_add_option(c, m->kind, m->name, s);
}

static bool
member_take(struct ctl *c, const struct member *m, void *root)
{
	const char *last;
	json_t	   *holder = member_holder(root, m->path, &last, false);
	json_t	   *v = json_object_get(holder, last);
	bool	    taken = true;

	if (v != NULL && !json_is_null(v)) {
		if (json_object_get(c->args, m->name) != NULL ||
		    json_object_get(c->args, m->opposite) != NULL)
			return member_misuse(c, m, "is given twice");
		if (strcmp(m->kind, "flag") == 0)
			taken = member_take_flag(c, m, v);
		else if (strcmp(m->kind, "words") == 0)
			taken = member_take_list(c, m, v);
		else if (strcmp(m->kind, "many") == 0)
			taken = member_take_many(c, m, v);
		else if (strcmp(m->kind, "file") == 0)
			taken = member_take_file(c, m, v);
		else
			taken = member_take_text(c, m, v);
	}
	json_object_del(holder, last);
	return taken;
}

/* What no member has taken is not known. */
static bool
members_left(struct ctl *c, json_t *root)
{
	const char *name, *inner;
	json_t	   *v, *w;

	json_object_foreach(root, name, v) {
		if (!json_is_object(v)) {
			ctl_say_misuse(c, "unknown member %s", name);
			return true;
		}
		json_object_foreach(v, inner, w) {
			ctl_say_misuse(c, "unknown member %s.%s", name, inner);
			return true;
		}
	}
	return false;
}

/* The daemon reads it, and says what is wrong where. */
static bool
document_read(struct ctl *c, const char *path)
{
	struct buf in;
	json_t	  *text = NULL;

	buf_init(&in, FILE_OCTETS_MAX);
	if (ctl_read_input(c, path, &in)) {
		text = json_stringn(in.n > 0 ? in.p : "", in.n);
		if (text == NULL)
			ctl_say_misuse(c, "%s: not UTF-8", path);
	}
	buf_wipe(&in);
	if (text != NULL)
		json_object_set_new(c->args, c->command->document, text);
	return text != NULL;
}

bool
ctl_read_json(struct ctl *c, const char *path)
{
	struct buf   in;
	json_error_t why;
	json_t	    *root = NULL;
	bool	     well = false;

	if (c->command->document != NULL)
		return document_read(c, path);
	buf_init(&in, FILE_OCTETS_MAX);
	if (ctl_read_input(c, path, &in)) {
		root = json_loadb(in.n > 0 ? in.p : "", in.n,
		    JSON_REJECT_DUPLICATES, &why);
		if (!json_is_object(root))
			ctl_say_misuse(c, "%s: %s", path, root != NULL ?
				"not an object" : why.text);
		else
			well = members_each(c, member_take, root) &&
			    !members_left(c, root);
	}
	json_decref(root);
	if (in.p != NULL)
		mem_wipe(in.p, in.n);
	buf_wipe(&in);
	return well;
}

/* -- times ----------------------------------------------------------------- */

/* 2024-05-01T12:00:00Z and 2024-05-01T12:00:00.120Z, nothing else. */
static bool
text_is_time(const char *s)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	size_t		  i, n = strlen(s);

	if (n != 20 && n != 24)
		return false;
	for (i = 0; form[i] != '\0'; i++)
		if (form[i] == 'd' ? !ascii_is_digit(s[i])
				   : s[i] != form[i])
			return false;
	return strcmp(s + 19, "Z") == 0 ||
	    (s[19] == '.' && ascii_is_digit(s[20]) &&
		ascii_is_digit(s[21]) && ascii_is_digit(s[22]) && s[23] == 'Z');
}

static json_t *
time_to_number(json_t *v)
{
	const char *s = json_string_value(v);
	struct wall w;
	int	    ms;

	if (s == NULL || !text_is_time(s) ||
	    !ctl_parse_time(s, (struct wall){ 0 }, &w))
		return NULL;
	ms = s[19] == '.' ? atoi(s + 20) : 0;
	return ms == 0 ? json_integer(w.ms / 1000)
		       : json_real((double)(w.ms / 1000) + ms / 1000.0);
}

void
ctl_times_to_numbers(json_t *v)
{
	const char *name;
	json_t	   *item, *number;
	size_t	    i;
	void	   *next;

	json_object_foreach_safe(v, next, name, item) {
		number = time_to_number(item);
		if (number != NULL)
			json_object_set_new(v, name, number);
		else
			ctl_times_to_numbers(item);
	}
	json_array_foreach(v, i, item) {
		number = time_to_number(item);
		if (number != NULL)
			json_array_set_new(v, i, number);
		else
			ctl_times_to_numbers(item);
	}
}
