/* SPDX-License-Identifier: ISC */
/* The JSON of an event destination (events.md 8). */
#include "registry/destination.h"

#include <jansson.h>
#include <string.h>

#include "registry/json_reader.h"

enum { DOCUMENT_MAX = 64 * 1024 };

const char destination_skeleton[] =
    "{\"Enabled\":true,\"MatchingEventTypes\":[],"
    "\"FileDestination\":{\"FileName\":\"\",\"RotateSize\":104857600,"
    "\"RotateInterval\":\"DAILY\",\"Keep\":14,\"Sync\":\"INTERVAL\"},"
    "\"Extensions\":false}";

/* A definition on its way. */
struct draft {
	struct destination d;
	bool		   enabled, has_types, has_file;
};

static struct draft *
draft_of(const struct json_reader *r)
{
	return r->into;
}

static int
read_name(struct json_reader *r, const json_t *v)
{
	struct destination *d = &draft_of(r)->d;
	const char	   *s;

	if (json_read_text(r, v, &s) != 0)
		return -1;
	if (!destination_name_is_valid(bytes_of(s)))
		return json_refuse(r, "is not 1 to 64 of A-Z a-z 0-9 - _");
	if (d->name[0] != '\0' && strcmp(d->name, s) != 0)
		return json_refuse(r, "is not %s", d->name);
	strcpy(d->name, s);
	return 0;
}

static int
read_enabled(struct json_reader *r, const json_t *v)
{
	return json_read_bool(r, v, &draft_of(r)->enabled);
}

static int
read_extensions(struct json_reader *r, const json_t *v)
{
	return json_read_bool(r, v, &draft_of(r)->d.extensions);
}

static int
read_type(struct json_reader *r, const json_t *v)
{
	enum event_type type;
	const char     *s;

	if (json_read_text(r, v, &s) != 0)
		return -1;
	if (!event_type_from_text(bytes_of(s), &type))
		return json_refuse(r, "no such event type: %.40s", s);
	draft_of(r)->d.types |= 1u << type;
	return 0;
}

static int
read_types(struct json_reader *r, const json_t *v)
{
	draft_of(r)->has_types = true;
	if (json_read_list(r, v, read_type) != 0)
		return -1;
	return draft_of(r)->d.types != 0 ? 0 : json_refuse(r, "is empty");
}

/* -- FileDestination ------------------------------------------------------ */

static struct destination_file *
file_of(const struct json_reader *r)
{
	return &draft_of(r)->d.file;
}

static int
read_file_name(struct json_reader *r, const json_t *v)
{
	return json_read_copy(r, v, file_of(r)->name,
	    sizeof(file_of(r)->name));
}

static int
read_rotate_size(struct json_reader *r, const json_t *v)
{
	return json_read_number(r, v, 0, INT64_MAX,
	    &file_of(r)->rotate_octets);
}

static int
read_rotate_interval(struct json_reader *r, const json_t *v)
{
	int i;

	if (json_read_word(r, v, rotate_interval_names, &i) != 0)
		return -1;
	file_of(r)->rotate = (enum rotate_interval)i;
	return 0;
}

static int
read_keep(struct json_reader *r, const json_t *v)
{
	uint64_t n = 0;

	if (json_read_number(r, v, 0, DESTINATION_KEEP_MAX, &n) != 0)
		return -1;
	file_of(r)->keep = (unsigned)n;
	return 0;
}

static int
read_compress(struct json_reader *r, const json_t *v)
{
	return json_is_false(v) ? 0 :
		json_refuse(r, "is not possible in this version");
}

static int
read_sync(struct json_reader *r, const json_t *v)
{
	int i;

	if (json_read_word(r, v, file_sync_names, &i) != 0)
		return -1;
	file_of(r)->sync = (enum file_sync)i;
	return 0;
}

static int
read_file(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = {
		{ "FileName", read_file_name },
		{ "RotateSize", read_rotate_size },
		{ "RotateInterval", read_rotate_interval },
		{ "Keep", read_keep }, { "Compress", read_compress },
		{ "Sync", read_sync }, { NULL, NULL } };

	draft_of(r)->has_file = true;
	return json_read_object(r, v, members);
}

static int
read_absent_kind(struct json_reader *r, const json_t *v)
{
	(void)v;
	return json_refuse(r, "is not possible in this version");
}

/* -- a definition --------------------------------------------------------- */

static const struct json_member members_of_all[] = { { "Name", read_name },
	{ "Enabled", read_enabled }, { "MatchingEventTypes", read_types },
	{ "FileDestination", read_file },
	{ "WebhookDestination", read_absent_kind },
	{ "SnsDestination", read_absent_kind },
	{ "MetricsDestination", read_absent_kind },
	{ "CloudWatchDestination", read_absent_kind },
	{ "KinesisFirehoseDestination", read_absent_kind },
	{ "PinpointDestination", read_absent_kind },
	{ "EventBridgeDestination", read_absent_kind },
	{ "Filter", read_absent_kind }, { "Extensions", read_extensions },
	/* of config-set dest show */
	{ "Since", json_read_nothing },
	{ "CreatedTimestamp", json_read_nothing },
	{ "LastUpdatedTimestamp", json_read_nothing }, { NULL, NULL } };

/* Everything at its default, but what makes it the same one. */
static void
draft_begin(struct draft *x, const struct destination *d, struct wall now)
{
	struct config_set set = { .id = d->set };

	memset(x, 0, sizeof(*x));
	memcpy(set.account, d->account, sizeof(set.account));
	memcpy(set.name, d->set_name, sizeof(set.name));
	destination_init(&x->d, &set, d->name, now);
	x->enabled = true;
	x->d.id = d->id;
	x->d.enabled = d->enabled;
	x->d.since = d->since;
	x->d.until = d->until;
	x->d.created = d->created;
}

int
destination_read_json(struct bytes text, struct destination *d,
    struct wall now, struct err *e)
{
	struct draft	   x;
	struct json_reader r = { .err = e, .into = &x };

	draft_begin(&x, d, now);
	if (json_read_document(&r, text, DOCUMENT_MAX, members_of_all) != 0)
		return -1;
	if (!x.has_types)
		return json_refuse_member(&r, "MatchingEventTypes",
		    "is needed");
	if (!x.has_file)
		return json_refuse_member(&r, "FileDestination", "is needed");
	(void)destination_switch(&x.d, x.enabled, now);
	*d = x.d;
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

bool
destination_write_json(const struct destination *d, struct buf *out)
{
	const struct destination_file *f = &d->file;
	json_t *o = json_pack("{s:s, s:b, s:o, s:{s:s, s:I, s:s, s:i, s:b, "
	    "s:s}, s:b, s:o, s:o, s:o}", "Name", d->name, "Enabled",
	    d->enabled, "MatchingEventTypes", types_json(d),
	    "FileDestination", "FileName", f->name, "RotateSize",
	    (json_int_t)f->rotate_octets, "RotateInterval",
	    rotate_interval_names[f->rotate], "Keep", (int)f->keep, "Compress",
	    0, "Sync", file_sync_names[f->sync], "Extensions",
	    d->extensions, "Since", json_of_time(d->since), "CreatedTimestamp",
	    json_of_time(d->created), "LastUpdatedTimestamp",
	    json_of_time(d->updated));

	return json_write(o, out);
}
