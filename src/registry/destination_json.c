/* SPDX-License-Identifier: ISC */
/* The JSON of an event destination (events.md 8). */
#include "registry/destination.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "registry/json_reader.h"

enum { DOCUMENT_MAX = 64 * 1024 };

const char destination_skeleton[] =
    "{\"Enabled\":true,\"MatchingEventTypes\":[],"
    "\"FileDestination\":{\"FileName\":\"\",\"RotateSize\":104857600,"
    "\"RotateInterval\":\"DAILY\",\"Keep\":14,\"Compress\":false,"
    "\"Sync\":\"INTERVAL\"},"
    "\"WebhookDestination\":null,\"SnsDestination\":null,"
    "\"MetricsDestination\":null,"
    "\"Filter\":null,\"Extensions\":false}";

/* A definition on its way. */
struct draft {
	struct destination d;
	const char	  *old_headers;
	bool		   enabled, has_types;
	unsigned	   kinds; /* that were given */
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
	return json_read_bool(r, v, &file_of(r)->compress);
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

	draft_of(r)->kinds++;
	return json_read_object(r, v, members);
}

/* The stream's name is the file's: "arn:...:deliverystream/NAME". */
static int
read_stream(struct json_reader *r, const json_t *v)
{
	const char *s, *slash;

	if (json_read_text(r, v, &s) != 0)
		return -1;
	slash = strrchr(s, '/');
	s = slash != NULL ? slash + 1 : s;
	if (strlen(s) >= sizeof(file_of(r)->name))
		return json_refuse(r, "is too long");
	strcpy(file_of(r)->name, s);
	return 0;
}

static int
read_firehose(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = {
		{ "DeliveryStreamArn", read_stream },
		{ "DeliveryStreamARN", read_stream },
		{ "IamRoleArn", json_read_nothing },
		{ "IAMRoleARN", json_read_nothing }, { NULL, NULL } };

	draft_of(r)->kinds++;
	return json_read_object(r, v, members);
}

/* -- WebhookDestination --------------------------------------------------- */

static struct destination_webhook *
webhook_of(const struct json_reader *r)
{
	return &draft_of(r)->d.webhook;
}

static int
read_url(struct json_reader *r, const json_t *v)
{
	return json_read_copy(r, v, webhook_of(r)->url,
	    sizeof(webhook_of(r)->url));
}

static int
read_format(struct json_reader *r, const json_t *v)
{
	int i;

	if (json_read_word(r, v, webhook_format_names, &i) != 0)
		return -1;
	draft_of(r)->d.sns = i == 1;
	return 0;
}

static int
read_timeout(struct json_reader *r, const json_t *v)
{
	uint64_t n = 0;

	if (json_read_number(r, v, 1, DESTINATION_TIMEOUT_MAX_S, &n) != 0)
		return -1;
	webhook_of(r)->timeout_s = (unsigned)n;
	return 0;
}

static int
read_in_flight(struct json_reader *r, const json_t *v)
{
	uint64_t n = 0;

	if (json_read_number(r, v, 1, DESTINATION_IN_FLIGHT_MAX, &n) != 0)
		return -1;
	webhook_of(r)->in_flight = (unsigned)n;
	return 0;
}

/* The line of the one it has; false = it has none. */
static bool
old_header(const char *headers, const char *name, struct bytes *out)
{
	size_t	    n = strlen(name);
	const char *end;

	for (; headers != NULL && (end = strchr(headers, '\n')) != NULL;
	     headers = end + 1) {
		*out = (struct bytes){ headers, (size_t)(end - headers) };
		if (out->n > n && headers[n] == ':' &&
		    bytes_eq_nocase(bytes_head(*out, n), bytes_of(name)))
			return true;
	}
	return false;
}

static int
read_header(struct json_reader *r, const char *name, const json_t *value,
    struct buf *out)
{
	struct bytes old;
	const char  *s;

	if (json_is_null(value)) {
		if (!old_header(draft_of(r)->old_headers, name, &old))
			return json_refuse(r, "%.60s: has no value", name);
		buf_add_bytes(out, old);
	} else {
		if (json_read_text(r, value, &s) != 0)
			return -1;
		buf_printf(out, "%s: %s", name, s);
	}
	buf_add_char(out, '\n');
	return 0;
}

static int
read_headers(struct json_reader *r, const json_t *v)
{
	char	   *to = webhook_of(r)->headers;
	const char *name;
	json_t	   *value;
	struct buf  b;
	int	    rc = 0;

	if (!json_is_object(v))
		return json_refuse(r, "is not an object");
	buf_init(&b, DESTINATION_HEADERS_SIZE - 1);
	json_object_foreach((json_t *)(uintptr_t)v, name, value)
		if (rc == 0)
			rc = read_header(r, name, value, &b);
	if (rc == 0)
		bytes_text(buf_bytes(&b), to, DESTINATION_HEADERS_SIZE);
	if (rc == 0 && (b.failed || !destination_headers_are_valid(to)))
		rc = json_refuse(r, "are more than %d, longer than %d octets, "
		    "or not what a request may have", DESTINATION_HEADERS_MAX,
		    DESTINATION_HEADERS_SIZE - 1);
	buf_wipe(&b);
	return rc;
}

static int
read_webhook(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = { { "Url", read_url },
		{ "Format", read_format }, { "TimeoutSeconds", read_timeout },
		{ "MaxInFlight", read_in_flight },
		{ "Headers", read_headers }, { NULL, NULL } };

	draft_of(r)->kinds++;
	draft_of(r)->d.kind = DESTINATION_WEBHOOK;
	return json_read_object(r, v, members);
}

/* -- SnsDestination -------------------------------------------------------- */

/* Whether there is one is for those who can look. */
static int
read_topic_arn(struct json_reader *r, const json_t *v)
{
	const char *s;

	if (json_read_text(r, v, &s) != 0)
		return -1;
	return topic_ref_read(bytes_of(s), NULL, &draft_of(r)->d.topic) ? 0 :
		json_refuse(r, "is not the ARN of a topic");
}

static int
read_sns(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = {
		{ "TopicArn", read_topic_arn }, { "TopicARN", read_topic_arn },
		{ NULL, NULL } };

	draft_of(r)->kinds++;
	draft_of(r)->d.kind = DESTINATION_TOPIC;
	if (json_read_object(r, v, members) != 0)
		return -1;
	return draft_of(r)->d.topic.name[0] != '\0' ? 0 :
		json_refuse_member(r, "TopicArn", "is needed");
}

/* -- MetricsDestination ---------------------------------------------------- */

/* One of them, while it is read. */
struct dimension_draft {
	struct dimension d;
	bool		 has_source;
};

static struct dimension_draft *
dimension_of(const struct json_reader *r)
{
	return r->into;
}

static int
read_dimension_name(struct json_reader *r, const json_t *v)
{
	const char *s;

	if (json_read_text(r, v, &s) != 0)
		return -1;
	dimension_of(r)->d.name = bytes_of(s);
	return 0;
}

static int
read_dimension_source(struct json_reader *r, const json_t *v)
{
	struct dimension_draft *x = dimension_of(r);
	const char	       *s;

	if (json_read_text(r, v, &s) != 0)
		return -1;
	x->has_source = dimension_source_from_text(bytes_of(s), &x->d.source);
	return x->has_source ? 0 :
		json_refuse(r, "no such source: %.40s", s);
}

static int
read_dimension_default(struct json_reader *r, const json_t *v)
{
	const char *s;

	if (json_read_text(r, v, &s) != 0)
		return -1;
	dimension_of(r)->d.value = bytes_of(s);
	return 0;
}

static int
read_dimension(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = {
		{ "DimensionName", read_dimension_name },
		{ "DimensionValueSource", read_dimension_source },
		{ "DefaultDimensionValue", read_dimension_default },
		{ NULL, NULL } };
	struct draft	      *all = draft_of(r);
	struct dimension_draft x = {
		.d = { .name = BYTES(""), .value = BYTES("") } };
	const char	      *why;
	int		       rc;

	r->into = &x;
	rc = json_read_object(r, v, members);
	r->into = all;
	if (rc != 0)
		return -1;
	if (!x.has_source)
		return json_refuse_member(r, "DimensionValueSource",
		    "is needed");
	why = dimension_add(all->d.metrics.dimensions, &x.d);
	return why == NULL ? 0 : json_refuse(r, "%s", why);
}

static int
read_dimensions(struct json_reader *r, const json_t *v)
{
	return json_read_list(r, v, read_dimension);
}

static int
read_metrics(struct json_reader *r, const json_t *v)
{
	static const struct json_member members[] = {
		{ "DimensionConfigurations", read_dimensions },
		{ NULL, NULL } };

	draft_of(r)->kinds++;
	draft_of(r)->d.kind = DESTINATION_METRICS;
	if (json_read_object(r, v, members) != 0)
		return -1;
	return draft_of(r)->d.metrics.dimensions[0] != '\0' ? 0 :
		json_refuse_member(r, "DimensionConfigurations", "is needed");
}

/* -- Filter ---------------------------------------------------------------- */

static struct destination_filter *
filter_of(const struct json_reader *r)
{
	return &draft_of(r)->d.filter;
}

/* An item of a list, with what stands before it. */
static int
list_add(struct json_reader *r, char *list, const char *before,
    const json_t *v)
{
	size_t	    n = strlen(list);
	const char *s;

	if (json_read_text(r, v, &s) != 0)
		return -1;
	if (s[0] == '\0' || strchr(s, '\n') != NULL)
		return json_refuse(r, "is no pattern");
	if (n + strlen(before) + strlen(s) + 3 > DESTINATION_LIST_SIZE)
		return json_refuse(r, "the list is longer than %d octets",
		    DESTINATION_LIST_SIZE - 1);
	n += (size_t)snprintf(list + n, DESTINATION_LIST_SIZE - n, "%s%s%s",
	    before, before[0] != '\0' ? "=" : "", s);
	memcpy(list + n, "\n", 2);
	return 0;
}

static int
read_identity(struct json_reader *r, const json_t *v)
{
	return list_add(r, filter_of(r)->identities, "", v);
}

static int
read_identities(struct json_reader *r, const json_t *v)
{
	return json_read_list(r, v, read_identity);
}

static int
read_domain(struct json_reader *r, const json_t *v)
{
	return list_add(r, filter_of(r)->domains, "", v);
}

static int
read_domains(struct json_reader *r, const json_t *v)
{
	return json_read_list(r, v, read_domain);
}

static int
read_bounce_type(struct json_reader *r, const json_t *v)
{
	static const char *const words[] = { "Undetermined", "Permanent",
		"Transient", NULL };
	int i;

	if (json_read_word(r, v, words, &i) != 0)
		return -1;
	filter_of(r)->bounce_types |= 1u << i;
	return 0;
}

static int
read_bounce_types(struct json_reader *r, const json_t *v)
{
	return json_read_list(r, v, read_bounce_type);
}

static int
read_simulator(struct json_reader *r, const json_t *v)
{
	bool is_in = true;

	if (json_read_bool(r, v, &is_in) != 0)
		return -1;
	filter_of(r)->no_simulator = !is_in;
	return 0;
}

static int
read_tags(struct json_reader *r, const json_t *v)
{
	const char *name;
	json_t	   *values, *item;
	size_t	    i;

	if (!json_is_object(v))
		return json_refuse(r, "is not an object");
	json_object_foreach((json_t *)(uintptr_t)v, name, values) {
		if (name[0] == '\0' || strpbrk(name, "=\n") != NULL)
			return json_refuse(r, "%.60s: is no name", name);
		if (!json_is_array(values))
			return json_refuse(r, "%.60s: is not a list", name);
		json_array_foreach(values, i, item)
			if (list_add(r, filter_of(r)->tags, name, item) != 0)
				return -1;
	}
	return 0;
}

static const struct json_member members_of_filter[] = {
	{ "Tags", read_tags }, { "Identities", read_identities },
	{ "RecipientDomains", read_domains },
	{ "BounceTypes", read_bounce_types },
	{ "IncludeSimulator", read_simulator }, { NULL, NULL } };

static bool
filter_is_empty(const struct destination_filter *f)
{
	return f->tags[0] == '\0' && f->identities[0] == '\0' &&
	    f->domains[0] == '\0' && f->bounce_types == 0 &&
	    !f->no_simulator;
}

static int
read_filter(struct json_reader *r, const json_t *v)
{
	if (json_read_object(r, v, members_of_filter) != 0)
		return -1;
	filter_of(r)->is_set = !filter_is_empty(filter_of(r));
	return 0;
}

int
destination_read_filter(struct bytes text, struct destination *d,
    struct err *e)
{
	struct draft	   x;
	struct json_reader r = { .err = e, .into = &x };

	memset(&x, 0, sizeof(x));
	if (json_read_document(&r, text, DOCUMENT_MAX, members_of_filter) != 0)
		return -1;
	x.d.filter.is_set = !filter_is_empty(&x.d.filter);
	d->filter = x.d.filter;
	return 0;
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
	{ "WebhookDestination", read_webhook },
	{ "SnsDestination", read_sns },
	{ "MetricsDestination", read_metrics },
	{ "CloudWatchDestination", read_metrics },
	{ "KinesisFirehoseDestination", read_firehose },
	{ "PinpointDestination", read_absent_kind },
	{ "EventBridgeDestination", read_absent_kind },
	{ "Filter", read_filter }, { "Extensions", read_extensions },
	/* of config-set dest show */
	{ "Since", json_read_nothing }, { "Reason", json_read_nothing },
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
	x->d.gap_from = d->gap_from;
	x->d.gap_to = d->gap_to;
	x->d.created = d->created;
	memcpy(x->d.reason, d->reason, sizeof(d->reason));
	memcpy(x->d.webhook.key, d->webhook.key, sizeof(d->webhook.key));
	memcpy(x->d.webhook.old_key, d->webhook.old_key,
	    sizeof(d->webhook.old_key));
	x->d.webhook.rotated = d->webhook.rotated;
	x->old_headers = d->webhook.headers;
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
	if (x.kinds != 1)
		return json_refuse_member(&r, "FileDestination", "exactly one "
		    "of FileDestination, WebhookDestination, SnsDestination "
		    "and MetricsDestination is needed");
	(void)destination_switch(&x.d, x.enabled, now);
	*d = x.d;
	return 0;
}
