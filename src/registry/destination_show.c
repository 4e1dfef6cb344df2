/* SPDX-License-Identifier: ISC */
/* Part of registry/destination.h: a definition as JSON (events.md 8). */
#include "registry/destination.h"

#include <jansson.h>
#include <string.h>

#include "registry/json_reader.h"

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
file_json(const struct destination_file *f)
{
	return json_pack("{s:s, s:I, s:s, s:i, s:b, s:s}", "FileName",
	    f->name, "RotateSize", (json_int_t)f->rotate_octets,
	    "RotateInterval", rotate_interval_names[f->rotate], "Keep",
	    (int)f->keep, "Compress", f->compress, "Sync",
	    file_sync_names[f->sync]);
}

/* Names only: values are tokens. */
static json_t *
headers_json(const char *headers)
{
	json_t	   *o = json_object();
	const char *end;
	char	    name[DESTINATION_HEADERS_SIZE];

	for (; (end = strchr(headers, '\n')) != NULL; headers = end + 1) {
		bytes_text((struct bytes){ headers, strcspn(headers, ":") },
		    name, sizeof(name));
		json_object_set_new(o, name, json_null());
	}
	return o;
}

static json_t *
webhook_json(const struct destination *d)
{
	const struct destination_webhook *w = &d->webhook;

	return json_pack("{s:s, s:s, s:i, s:i, s:o}", "Url", w->url, "Format",
	    webhook_format_names[d->sns], "TimeoutSeconds",
	    (int)w->timeout_s, "MaxInFlight", (int)w->in_flight,
	    "Headers", headers_json(w->headers));
}

static json_t *
metrics_json(const struct destination_metrics *m)
{
	json_t		*list = json_array();
	struct dimension d;
	size_t		 at = 0;

	while (dimension_next(m->dimensions, &at, &d))
		json_array_append_new(list, json_pack("{s:o, s:s, s:o}",
		    "DimensionName", json_stringn(d.name.p, d.name.n),
		    "DimensionValueSource", dimension_source_names[d.source],
		    "DefaultDimensionValue",
		    json_stringn(d.value.p, d.value.n)));
	return json_pack("{s:o}", "DimensionConfigurations", list);
}

static json_t *
list_json(const char *list)
{
	json_t	   *o = json_array();
	const char *end;

	for (; (end = strchr(list, '\n')) != NULL; list = end + 1)
		json_array_append_new(o,
		    json_stringn(list, (size_t)(end - list)));
	return o;
}

static json_t *
tags_json(const char *list)
{
	json_t	   *o = json_object(), *values;
	const char *end, *equals;
	char	    name[DESTINATION_LIST_SIZE];

	for (; (end = strchr(list, '\n')) != NULL; list = end + 1) {
		equals = strchr(list, '=');
		bytes_text((struct bytes){ list, (size_t)(equals - list) },
		    name, sizeof(name));
		values = json_object_get(o, name);
		if (values == NULL) {
			values = json_array();
			json_object_set_new(o, name, values);
		}
		json_array_append_new(values, json_stringn(equals + 1,
		    (size_t)(end - equals - 1)));
	}
	return o;
}

static json_t *
filter_json(const struct destination_filter *f)
{
	json_t *o = json_object(), *bounces = json_array();
	int	i;

	if (f->tags[0] != '\0')
		json_object_set_new(o, "Tags", tags_json(f->tags));
	if (f->identities[0] != '\0')
		json_object_set_new(o, "Identities",
		    list_json(f->identities));
	if (f->domains[0] != '\0')
		json_object_set_new(o, "RecipientDomains",
		    list_json(f->domains));
	for (i = 0; i <= BOUNCE_TRANSIENT; i++)
		if ((f->bounce_types & (1u << i)) != 0)
			json_array_append_new(bounces, json_string(
			    bounce_type_to_text((enum bounce_type)i)));
	if (f->bounce_types != 0)
		json_object_set(o, "BounceTypes", bounces);
	json_decref(bounces);
	json_object_set_new(o, "IncludeSimulator",
	    json_boolean(!f->no_simulator));
	return o;
}

static void
kind_json(json_t *o, const struct destination *d, const char *region)
{
	char arn[TOPIC_ARN_SIZE];

	switch (d->kind) {
	case DESTINATION_FILE:
		json_object_set_new(o, "FileDestination",
		    file_json(&d->file));
		break;
	case DESTINATION_WEBHOOK:
		json_object_set_new(o, "WebhookDestination",
		    webhook_json(d));
		break;
	case DESTINATION_METRICS:
		json_object_set_new(o, "MetricsDestination",
		    metrics_json(&d->metrics));
		break;
	case DESTINATION_TOPIC:
		json_object_set_new(o, "SnsDestination", json_pack("{s:s}",
		    "TopicArn", topic_ref_arn(&d->topic, region, arn)));
		break;
	}
}

bool
destination_write_json(const struct destination *d, const char *region,
    struct buf *out)
{
	json_t *o = json_pack("{s:s, s:b, s:o}", "Name", d->name, "Enabled",
	    d->enabled, "MatchingEventTypes", types_json(d));

	if (d->reason[0] != '\0')
		json_object_set_new(o, "Reason", json_string(d->reason));
	kind_json(o, d, region);
	if (d->filter.is_set)
		json_object_set_new(o, "Filter", filter_json(&d->filter));
	json_object_set_new(o, "Extensions", json_boolean(d->extensions));
	json_object_set_new(o, "Since", json_of_time(d->since));
	json_object_set_new(o, "CreatedTimestamp", json_of_time(d->created));
	json_object_set_new(o, "LastUpdatedTimestamp",
	    json_of_time(d->updated));
	return json_write(o, out);
}
