/* SPDX-License-Identifier: ISC */
/* Arguments and options of one command, by its small language (ctl.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl/ctl.h"

enum { WORD_MAX_ = 64, INPUT_MAX = 16 * 1024 * 1024, ROLES = 16 };

const char *
ctl_arg(const struct ctl *c, const char *name)
{
	return json_string_value(json_object_get(c->args, name));
}

bool
ctl_arg_true(const struct ctl *c, const char *name)
{
	return json_is_true(json_object_get(c->args, name));
}

int
ctl_add_fd(struct ctl *c, int fd)
{
	if (c->fd_count == CTL_FDS_MAX)
		return -1;
	c->fds[c->fd_count] = fd;
	return (int)c->fd_count++;
}

/* Kind of an option of this command; "" = there is no such option. */
static bool
args_kind(const char *options, const char *name, size_t n, char kind[ROLES])
{
	const char *p = options == NULL ? "" : options, *colon, *end;

	while (*p != '\0') {
		colon = strchr(p, ':');
		end = p + strcspn(p, " ");
		if ((size_t)(colon - p) == n && strncmp(p, name, n) == 0) {
			bytes_text((struct bytes){ colon + 1,
			    (size_t)(end - colon - 1) }, kind, ROLES);
			return true;
		}
		p = end + strspn(end, " ");
	}
	return false;
}

static json_t *
args_input(struct ctl *c, const char *path)
{
	struct buf in;
	json_t	  *v = NULL;

	buf_init(&in, INPUT_MAX);
	if (ctl_read_input(c, path, &in))
		v = json_stringn_nocheck(in.p != NULL ? in.p : "", in.n);
	buf_wipe(&in);
	return v;
}

static json_t *
args_file(struct ctl *c, const char *path)
{
	int fd = ctl_open_file(c, path);
	int index = fd < 0 ? -1 : ctl_add_fd(c, fd);

	return index < 0 ? NULL : json_integer(index);
}

static void
args_say_form(struct ctl *c, const char *kind, const char *name,
    const char *text)
{
	static const struct {
		const char *kind, *word, *form;
	} forms[] = { { "int", "number", "0, 1, 2 ..." },
		{ "size", "size", "1024, 64k, 40m, 1g" },
		{ "duration", "duration", "10s, 5m, 6h, 14d" },
		{ "amount", "amount", "a number, or unlimited" },
		{ "time", "time", "2026-03-02T10:15:30Z, 2026-03-02, -15m, "
		    "now" },
		{ "expires", "time", "2026-03-02, +90d, never" } };
	size_t i;

	for (i = 0; strcmp(forms[i].kind, kind) != 0; i++)
		;
	ctl_say_misuse(c, "--%s: %s is no %s (%s)", name, text, forms[i].word,
	    forms[i].form);
}

static json_t *
args_number(struct ctl *c, const char *kind, const char *name,
    const char *text)
{
	struct wall w = { 0 };
	uint64_t    size;
	int64_t	    ms;
	double	    amount;
	char	   *end;

	if (strcmp(kind, "int") == 0) {
		errno = 0;
		ms = strtoll(text, &end, 10);
		if (*text != '\0' && *end == '\0' && errno == 0)
			return json_integer(ms);
	} else if (strcmp(kind, "size") == 0) {
		if (ctl_parse_size(text, &size) && size <= INT64_MAX)
			return json_integer((json_int_t)size);
	} else if (strcmp(kind, "duration") == 0) {
		if (ctl_parse_duration(text, &ms))
			return json_integer(ms);
	} else if (strcmp(kind, "amount") == 0) {
		if (ctl_parse_amount(text, &amount))
			return json_real(amount);
	} else if ((strcmp(kind, "expires") == 0 &&
		       strcmp(text, "never") == 0) ||
	    ctl_parse_time(text, clock_wall(), &w)) {
		return json_integer(w.ms);
	}
	args_say_form(c, kind, name, text);
	return NULL;
}

/* A set: commas and repetition add up, empty stays empty. */
static void
args_add_words(json_t *args, const char *name, const char *text)
{
	json_t	    *list = json_object_get(args, name);
	struct bytes rest = bytes_of(text), word;
	ptrdiff_t    comma;

	if (list == NULL) {
		list = json_array();
		json_object_set_new(args, name, list);
	}
	while (rest.n > 0) {
		comma = bytes_find(rest, 0, ',');
		word = comma < 0 ? rest : bytes_head(rest, (size_t)comma);
		rest = comma < 0 ? BYTES("")
				 : bytes_from(rest, (size_t)comma + 1);
		word = bytes_trim(word);
		if (word.n > 0)
			json_array_append_new(list,
			    json_stringn_nocheck(word.p, word.n));
	}
}

bool
ctl_add_option(struct ctl *c, const char *kind, const char *name,
    const char *text)
{
	json_t *v;

	if (strcmp(kind, "words") == 0) {
		args_add_words(c->args, name, text);
		return true;
	}
	if (strcmp(kind, "many") == 0) {
		v = json_object_get(c->args, name);
		if (v == NULL) {
			v = json_array();
			json_object_set_new(c->args, name, v);
		}
		json_array_append_new(v, json_string_nocheck(text));
		return true;
	}
	if (json_object_get(c->args, name) != NULL) {
		ctl_say_misuse(c, "--%s is given twice", name);
		return false;
	}
	if (strcmp(kind, "text") == 0)
		v = json_string_nocheck(text);
	else if (strcmp(kind, "input") == 0)
		v = args_input(c, text);
	else if (strcmp(kind, "file") == 0)
		v = args_file(c, text);
	else
		v = args_number(c, kind, name, text);
	if (v == NULL)
		return false;
	json_object_set_new(c->args, name, v);
	return true;
}

/* The i-th word of "name other?"; false = there are not so many. */
static bool
args_place(const char *arguments, size_t i, char name[WORD_MAX_], bool *many,
    bool *may_lack)
{
	const char *p = arguments == NULL ? "" : arguments;
	size_t	    n;

	for (;; i--) {
		n = strcspn(p, " ");
		if (n == 0)
			return false;
		if (i == 0)
			break;
		p += n + strspn(p + n, " ");
	}
	bytes_text((struct bytes){ p, n }, name, WORD_MAX_);
	n = strlen(name);
	*may_lack = name[n - 1] == '?';
	if (*may_lack)
		name[--n] = '\0';
	*many = n > 3 && strcmp(name + n - 3, "...") == 0;
	if (*many)
		name[n - 3] = '\0';
	return true;
}

static bool
args_add_argument(struct ctl *c, size_t *place, const char *text)
{
	char	name[WORD_MAX_];
	bool	many, may_lack;
	json_t *list;

	if (!args_place(c->command->arguments, *place, name, &many,
		&may_lack)) {
		ctl_say_misuse(c, "unexpected argument %s", text);
		return false;
	}
	if (!many) {
		json_object_set_new(c->args, name, json_string_nocheck(text));
		(*place)++;
		return true;
	}
	list = json_object_get(c->args, name);
	if (list == NULL) {
		list = json_array();
		json_object_set_new(c->args, name, list);
	}
	json_array_append_new(list, json_string_nocheck(text));
	return true;
}

static bool
args_are_whole(struct ctl *c)
{
	char   name[WORD_MAX_];
	bool   many, may_lack;
	size_t i;

	for (i = 0; args_place(c->command->arguments, i, name, &many,
		 &may_lack);
	     i++)
		if (!may_lack && json_object_get(c->args, name) == NULL) {
			ctl_say_misuse(c, "missing argument: %s",
			    name);
			return false;
		}
	return true;
}

static bool
args_json_file(struct ctl *c, int argc, char **argv, int *i)
{
	const char *equals = strchr(argv[*i], '=');

	if (equals == NULL && *i + 1 >= argc) {
		ctl_say_misuse(c, "--json-file needs a value");
		return false;
	}
	return ctl_read_json(c, equals != NULL ? equals + 1 : argv[++*i]);
}

/* One option at argv[i]; *i moves to its last word. */
static bool
args_option(struct ctl *c, int argc, char **argv, int *i)
{
	const char *name = argv[*i] + 2, *equals = strchr(name, '=');
	size_t	    n = equals != NULL ? (size_t)(equals - name) : strlen(name);
	char	    kind[ROLES], text[WORD_MAX_];

	if (c->command->json != NULL && strcmp(name, "skeleton") == 0)
		return c->skeleton = true;
	if (c->command->json != NULL && n == 9 &&
	    strncmp(name, "json-file", n) == 0)
		return args_json_file(c, argc, argv, i);
	if (!args_kind(c->command->options, name, n, kind)) {
		ctl_say_misuse(c, "unknown option --%.*s", (int)n, name);
		return false;
	}
	bytes_text((struct bytes){ name, n }, text, sizeof(text));
	if (strcmp(kind, "flag") == 0) {
		if (equals != NULL) {
			ctl_say_misuse(c, "--%s takes no value", text);
			return false;
		}
		json_object_set_new(c->args, text, json_true());
		return true;
	}
	if (equals == NULL && *i + 1 >= argc) {
		ctl_say_misuse(c, "--%s needs a value", text);
		return false;
	}
	return ctl_add_option(c, kind, text,
	    equals != NULL ? equals + 1 : argv[++*i]);
}

bool
ctl_has_option(const struct ctl_command *k, const char *word)
{
	char kind[ROLES];

	return strncmp(word, "--", 2) == 0 && args_kind(k->options, word + 2,
	    strcspn(word + 2, "="), kind);
}

bool
ctl_read_arguments(struct ctl *c, int argc, char **argv, int *used)
{
	size_t place = 0;
	bool   only_arguments = false;
	int    i;

	for (i = *used; i < argc; i++) {
		if (!only_arguments && strcmp(argv[i], "--") == 0)
			only_arguments = true;
		else if (!only_arguments && strncmp(argv[i], "--", 2) == 0) {
			if (!args_option(c, argc, argv, &i))
				return false;
		} else if (!only_arguments && argv[i][0] == '-' &&
		    argv[i][1] != '\0') {
			ctl_say_misuse(c,
			    "unknown option %s; arguments that begin with - "
			    "stand behind --", argv[i]);
			return false;
		} else if (!args_add_argument(c, &place, argv[i]))
			return false;
	}
	*used = i;
	return c->skeleton || args_are_whole(c);
}
