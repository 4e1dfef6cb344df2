/* SPDX-License-Identifier: ISC */
/* The JSON of an event destination (events.md 8). */
#include "registry/destination.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DOCUMENT_MAX = 64 * 1024, PLACE_SIZE = 200 };

const char destination_skeleton[] =
    "{\"Enabled\":true,\"MatchingEventTypes\":[],"
    "\"FileDestination\":{\"FileName\":\"\",\"RotateSize\":104857600,"
    "\"RotateInterval\":\"DAILY\",\"Keep\":14,\"Sync\":\"INTERVAL\"},"
    "\"Extensions\":false}";

struct reader {
	struct destination *d;
	struct err	   *err;
	const char	   *place; /* of the member at hand */
	bool		    has_enabled, enabled, has_types, has_file;
};
struct member {
	const char *name;
	int (*read)(struct reader *r, const json_t *v);
};

static int reader_refuse(struct reader *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
reader_refuse(struct reader *r, const char *fmt, ...)
{
	char	why[PLACE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return book_refuse(r->err, BOOK_BAD_REQUEST, "%.64s: %s", r->place,
	    why);
}

static int
read_members(struct reader *r, const json_t *v, const struct member *members)
{
	const struct member *m;
	const char	    *name;
	json_t		    *value;

	if (!json_is_object(v))
		return reader_refuse(r, "is not an object");
	json_object_foreach((json_t *)(uintptr_t)v, name, value) {
		r->place = name;
		for (m = members; m->name != NULL; m++)
			if (strcmp(m->name, name) == 0)
				break;
		if (m->name == NULL)
			return reader_refuse(r, "unknown member");
		if (!json_is_null(value) && m->read(r, value) != 0)
			return -1;
	}
	return 0;
}

static int
read_text(struct reader *r, const json_t *v, const char **out)
{
	*out = json_string_value(v);
	if (*out == NULL || strlen(*out) != json_string_length(v))
		return reader_refuse(r, "is not a text");
	return 0;
}

static int
read_number(struct reader *r, const json_t *v, uint64_t max, uint64_t *out)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < 0 || (uint64_t)n > max)
		return reader_refuse(r, "is not a number from 0 to %llu",
		    (unsigned long long)max);
	*out = (uint64_t)n;
	return 0;
}

static int
read_name(struct reader *r, const json_t *v)
{
	const char *s;

	if (read_text(r, v, &s) != 0)
		return -1;
	if (!destination_name_is_valid(bytes_of(s)))
		return reader_refuse(r, "is not 1 to 64 of A-Z a-z 0-9 - _");
	if (r->d->name[0] != '\0' && strcmp(r->d->name, s) != 0)
		return reader_refuse(r, "is not %s", r->d->name);
	strcpy(r->d->name, s);
	return 0;
}

static int
read_enabled(struct reader *r, const json_t *v)
{
	if (!json_is_boolean(v))
		return reader_refuse(r, "is not true or false");
	r->has_enabled = true;
	r->enabled = json_is_true(v);
	return 0;
}

static int
read_extensions(struct reader *r, const json_t *v)
{
	if (!json_is_boolean(v))
		return reader_refuse(r, "is not true or false");
	r->d->extensions = json_is_true(v);
	return 0;
}

static int
read_types(struct reader *r, const json_t *v)
{
	json_t	       *item;
	enum event_type type;
	const char     *s;
	size_t		i;

	if (!json_is_array(v))
		return reader_refuse(r, "is not a list");
	json_array_foreach((json_t *)(uintptr_t)v, i, item) {
		if (read_text(r, item, &s) != 0)
			return -1;
		if (!event_type_from_text(bytes_of(s), &type))
			return reader_refuse(r, "no such event type: %.40s",
			    s);
		r->d->types |= 1u << type;
	}
	r->has_types = r->d->types != 0;
	return r->has_types ? 0 : reader_refuse(r, "is empty");
}

/* -- FileDestination ------------------------------------------------------ */

static int
read_file_name(struct reader *r, const json_t *v)
{
	const char *s;

	if (read_text(r, v, &s) != 0)
		return -1;
	if (strlen(s) >= sizeof(r->d->file.name))
		return reader_refuse(r, "is too long");
	strcpy(r->d->file.name, s);
	return 0;
}

static int
read_rotate_size(struct reader *r, const json_t *v)
{
	return read_number(r, v, INT64_MAX, &r->d->file.rotate_octets);
}

static int
read_rotate_interval(struct reader *r, const json_t *v)
{
	const char *s;

	if (read_text(r, v, &s) != 0)
		return -1;
	return rotate_interval_from_text(s, &r->d->file.rotate) ? 0 :
		reader_refuse(r, "is not one of NONE, HOURLY, DAILY");
}

static int
read_keep(struct reader *r, const json_t *v)
{
	uint64_t n = 0;

	if (read_number(r, v, DESTINATION_KEEP_MAX, &n) != 0)
		return -1;
	r->d->file.keep = (unsigned)n;
	return 0;
}

static int
read_compress(struct reader *r, const json_t *v)
{
	return json_is_false(v) ? 0 :
		reader_refuse(r, "is not possible in this version");
}

static int
read_sync(struct reader *r, const json_t *v)
{
	const char *s;

	if (read_text(r, v, &s) != 0)
		return -1;
	return file_sync_from_text(s, &r->d->file.sync) ? 0 :
		reader_refuse(r, "is not one of EACH, INTERVAL, NONE");
}

static int
read_file(struct reader *r, const json_t *v)
{
	static const struct member members[] = {
		{ "FileName", read_file_name },
		{ "RotateSize", read_rotate_size },
		{ "RotateInterval", read_rotate_interval },
		{ "Keep", read_keep }, { "Compress", read_compress },
		{ "Sync", read_sync }, { NULL, NULL } };

	r->has_file = true;
	return read_members(r, v, members);
}

static int
read_absent_kind(struct reader *r, const json_t *v)
{
	(void)v;
	return reader_refuse(r, "is not possible in this version");
}

/* What an answer has, and nobody can set. */
static int
read_ignored(struct reader *r, const json_t *v)
{
	(void)r;
	(void)v;
	return 0;
}

/* -- a definition --------------------------------------------------------- */

static int
read_root(struct reader *r, const json_t *root)
{
	static const struct member members[] = { { "Name", read_name },
		{ "Enabled", read_enabled },
		{ "MatchingEventTypes", read_types },
		{ "FileDestination", read_file },
		{ "WebhookDestination", read_absent_kind },
		{ "SnsDestination", read_absent_kind },
		{ "MetricsDestination", read_absent_kind },
		{ "CloudWatchDestination", read_absent_kind },
		{ "KinesisFirehoseDestination", read_absent_kind },
		{ "PinpointDestination", read_absent_kind },
		{ "EventBridgeDestination", read_absent_kind },
		{ "Filter", read_absent_kind },
		{ "Extensions", read_extensions },
		/* of config-set dest show */
		{ "Since", read_ignored }, { "CreatedTimestamp", read_ignored },
		{ "LastUpdatedTimestamp", read_ignored }, { NULL, NULL } };

	if (read_members(r, root, members) != 0)
		return -1;
	r->place = "MatchingEventTypes";
	if (!r->has_types)
		return reader_refuse(r, "is needed");
	r->place = "FileDestination";
	if (!r->has_file)
		return reader_refuse(r, "is needed");
	return 0;
}

int
destination_read_json(struct bytes text, struct destination *d,
    struct wall now, struct err *e)
{
	struct config_set set = { .id = d->set };
	struct destination x;
	struct reader	  r = { .d = &x, .err = e, .place = "the document" };
	json_error_t	  why;
	json_t		 *root;
	int		  rc;

	if (text.n > DOCUMENT_MAX)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the document: is longer than 64 KB");
	root = json_loadb(text.n > 0 ? text.p : "", text.n,
	    JSON_REJECT_DUPLICATES, &why);
	if (root == NULL)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "line %d, column %d: %.120s", why.line, why.column,
		    why.text);
	memcpy(set.account, d->account, sizeof(set.account));
	memcpy(set.name, d->set_name, sizeof(set.name));
	destination_init(&x, &set, d->name, now);
	/* it stays the same one */
	x.id = d->id;
	x.enabled = d->enabled;
	x.since = d->since;
	x.until = d->until;
	x.created = d->created;
	rc = read_root(&r, root);
	json_decref(root);
	if (rc != 0)
		return -1;
	(void)destination_switch(&x, r.has_enabled ? r.enabled : true, now);
	*d = x;
	return 0;
}

static json_t *
types_json(const struct destination *d)
{
	json_t *list = json_array();
	int	i;

	for (i = 0; i < EVENT_TYPES; i++)
		if ((d->types & (1u << i)) != 0)
			json_array_append_new(list, json_string(
			    event_type_to_text((enum event_type)i)));
	return list;
}

static json_t *
time_json(struct wall w)
{
	char text[CLOCK_TEXT_MAX];

	return json_string(wall_iso(w, text));
}

static int
on_piece(const char *p, size_t n, void *out)
{
	return buf_add(out, p, n) ? 0 : -1;
}

bool
destination_write_json(const struct destination *d, struct buf *out)
{
	const struct destination_file *f = &d->file;
	json_t *o = json_pack("{s:s, s:b, s:o, s:{s:s, s:I, s:s, s:i, s:b, "
	    "s:s}, s:b, s:o, s:o, s:o}", "Name", d->name, "Enabled",
	    d->enabled, "MatchingEventTypes", types_json(d),
	    "FileDestination", "FileName", f->name, "RotateSize",
	    (json_int_t)f->rotate_octets, "RotateInterval",
	    rotate_interval_to_text(f->rotate), "Keep", (int)f->keep, "Compress",
	    0, "Sync", file_sync_to_text(f->sync), "Extensions",
	    d->extensions, "Since", time_json(d->since), "CreatedTimestamp",
	    time_json(d->created), "LastUpdatedTimestamp",
	    time_json(d->updated));
	int rc = o == NULL ? -1 :
		json_dump_callback(o, on_piece, out, JSON_COMPACT);

	json_decref(o);
	return rc == 0 && !out->failed;
}
