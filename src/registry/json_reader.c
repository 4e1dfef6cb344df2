/* SPDX-License-Identifier: ISC */
#include "registry/json_reader.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "registry/book.h"

/* -- refusals ------------------------------------------------------------- */

int
json_refuse(struct json_reader *r, const char *fmt, ...)
{
	char	why[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return book_refuse(r->err, BOOK_BAD_REQUEST, "%s: %s",
	    r->place[0] != '\0' ? r->place : "the document", why);
}

/* Goes in; the length of the place before is given back. */
static size_t
reader_enter(struct json_reader *r, const char *name)
{
	size_t n = strlen(r->place);

	snprintf(r->place + n, sizeof(r->place) - n, "%s%.64s",
	    n > 0 && name[0] != '[' ? "." : "", name);
	return n;
}

int
json_refuse_member(struct json_reader *r, const char *name, const char *why)
{
	size_t before = reader_enter(r, name);
	int    rc = json_refuse(r, "%s", why);

	r->place[before] = '\0';
	return rc;
}

/* -- what holds others ---------------------------------------------------- */

int
json_read_object(struct json_reader *r, const json_t *v,
    const struct json_member *members)
{
	const struct json_member *m;
	const char		 *name;
	json_t			 *value;
	size_t			  before;
	int			  rc;

	if (!json_is_object(v))
		return json_refuse(r, "is not an object");
	json_object_foreach((json_t *)(uintptr_t)v, name, value) {
		before = reader_enter(r, name);
		for (m = members; m->name != NULL; m++)
			if (strcmp(m->name, name) == 0)
				break;
		if (m->name == NULL)
			return json_refuse(r, "unknown member");
		rc = json_is_null(value) ? 0 : m->read(r, value);
		if (rc != 0)
			return rc;
		r->place[before] = '\0';
	}
	return 0;
}

int
json_read_list(struct json_reader *r, const json_t *v,
    int (*read)(struct json_reader *r, const json_t *v))
{
	json_t *item;
	size_t	i, before;
	char	at[24];

	if (!json_is_array(v))
		return json_refuse(r, "is not a list");
	json_array_foreach((json_t *)(uintptr_t)v, i, item) {
		snprintf(at, sizeof(at), "[%zu]", i);
		before = reader_enter(r, at);
		if (read(r, item) != 0)
			return -1;
		r->place[before] = '\0';
	}
	return 0;
}

int
json_read_document(struct json_reader *r, struct bytes text, size_t max,
    const struct json_member *members)
{
	json_error_t why;
	json_t	    *root;
	int	     rc;

	r->place[0] = '\0';
	if (text.n > max)
		return json_refuse(r, "is longer than %zu KB", max / 1024);
	root = json_loadb(text.n > 0 ? text.p : "", text.n,
	    JSON_REJECT_DUPLICATES, &why);
	if (root == NULL)
		return book_refuse(r->err, BOOK_BAD_REQUEST,
		    "line %d, column %d: %.120s", why.line, why.column,
		    why.text);
	rc = json_read_object(r, root, members);
	json_decref(root);
	return rc;
}

/* -- values --------------------------------------------------------------- */

int
json_read_text(struct json_reader *r, const json_t *v, const char **out)
{
	*out = json_string_value(v);
	if (*out == NULL || strlen(*out) != json_string_length(v))
		return json_refuse(r, "is not a text");
	return 0;
}

int
json_read_copy(struct json_reader *r, const json_t *v, char *out, size_t size)
{
	const char *s;

	if (json_read_text(r, v, &s) != 0)
		return -1;
	if (strlen(s) >= size)
		return json_refuse(r, "is longer than %zu octets", size - 1);
	memcpy(out, s, strlen(s) + 1);
	return 0;
}

int
json_read_bool(struct json_reader *r, const json_t *v, bool *out)
{
	if (!json_is_boolean(v))
		return json_refuse(r, "is not true or false");
	*out = json_is_true(v);
	return 0;
}

int
json_read_number(struct json_reader *r, const json_t *v, uint64_t min,
    uint64_t max, uint64_t *out)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < 0 || (uint64_t)n < min ||
	    (uint64_t)n > max)
		return json_refuse(r, "is not a number from %llu to %llu",
		    (unsigned long long)min, (unsigned long long)max);
	*out = (uint64_t)n;
	return 0;
}

int
json_word_index(const char *const *words, const char *s)
{
	int i;

	for (i = 0; words[i] != NULL; i++)
		if (s[0] != '\0' && strcasecmp(words[i], s) == 0)
			return i;
	return -1;
}

int
json_read_word(struct json_reader *r, const json_t *v,
    const char *const *words, int *out)
{
	char	    list[120] = "";
	const char *s;
	size_t	    n;
	int	    i;

	if (json_read_text(r, v, &s) != 0)
		return -1;
	*out = json_word_index(words, s);
	if (*out >= 0)
		return 0;
	for (i = 0; words[i] != NULL; i++) {
		n = strlen(list);
		if (words[i][0] != '\0')
			snprintf(list + n, sizeof(list) - n, "%s%s",
			    n > 0 ? ", " : "", words[i]);
	}
	return json_refuse(r, "%.40s is not one of %s", s, list);
}

int
json_read_nothing(struct json_reader *r, const json_t *v)
{
	(void)r;
	(void)v;
	return 0;
}

/* -- writing -------------------------------------------------------------- */

json_t *
json_of_time(struct wall w)
{
	char text[CLOCK_TEXT_MAX];

	return w.ms == 0 ? json_null() : json_string(wall_iso(w, text));
}

static int
on_piece(const char *p, size_t n, void *out)
{
	return buf_add(out, p, n) ? 0 : -1;
}

bool
json_write(json_t *o, struct buf *out)
{
	int rc = o == NULL ? -1 :
		json_dump_callback(o, on_piece, out, JSON_COMPACT);

	json_decref(o);
	return rc == 0 && !out->failed;
}
