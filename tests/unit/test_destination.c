/* SPDX-License-Identifier: ISC */
#include "book_world.h"

#include "registry/destination.h"

static const struct wall noon = { 1714564800000 };

static struct config_set
set_of(const char *name)
{
	struct config_set s;

	config_set_init(&s, world_account, name, noon);
	return s;
}

static struct destination
destination_of(const struct config_set *s, const char *name)
{
	struct destination d;

	destination_init(&d, s, name, noon);
	d.types = 1u << EVENT_SEND | 1u << EVENT_BOUNCE;
	strcpy(d.file.name, "audit.jsonl");
	return d;
}

static void
expect_refused(int rc, const struct err *e, int code, const char *part)
{
	assert_int_equal(rc, -1);
	if (strstr(e->text, part) == NULL)
		fail_msg("%s", e->text);
	assert_int_equal(e->code, code);
}

/* -- records -------------------------------------------------------------- */

static void
body_both_ways(struct db_txn *t)
{
	struct config_set  s = set_of("one");
	struct destination a = destination_of(&s, "audit"), b;
	struct err	   e;

	a.enabled = false;
	a.extensions = true;
	a.since.ms = 5;
	a.until.ms = 6;
	a.updated.ms = 7;
	a.file.rotate_octets = 1000;
	a.file.rotate = ROTATE_HOURLY;
	a.file.keep = 3;
	a.file.sync = SYNC_EACH;
	assert_int_equal(config_set_create(t, &s, &e), 0);
	assert_int_equal(destination_create(t, &a, &e), 0);
	assert_int_equal(destination_get(t, &s.id, BYTES("audit"), &b, &e),
	    1);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(destination_get(t, &s.id, BYTES("other"), &b, &e),
	    0);
	assert_int_equal(destination_get(t, &s.id, BYTES("../x"), &b, &e), 0);
	assert_int_equal(destination_delete(t, &a, &e), 1);
	assert_int_equal(destination_get(t, &s.id, BYTES("audit"), &b, &e),
	    0);
}

/* configuration-sets#23 */
static void
body_limit(struct db_txn *t)
{
	struct config_set  s = set_of("S"), other = set_of("other");
	struct destination d;
	struct err	   e;
	char		   name[16];
	int		   i;

	assert_int_equal(config_set_create(t, &s, &e), 0);
	assert_int_equal(config_set_create(t, &other, &e), 0);
	for (i = 0; i < DESTINATIONS_MAX; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		d = destination_of(&s, name);
		assert_int_equal(destination_create(t, &d, &e), 0);
	}
	d = destination_of(&s, "d0");
	expect_refused(destination_create(t, &d, &e), &e, BOOK_EXISTS, "d0");
	d = destination_of(&s, "one-more");
	expect_refused(destination_create(t, &d, &e), &e, BOOK_LIMIT,
	    "at most 10");
	assert_string_equal(book_refusal_to_text(&e),
	    "LimitExceededException");
	d = destination_of(&other, "one-more");
	assert_int_equal(destination_create(t, &d, &e), 0);
	/* a full one can still be changed */
	d = destination_of(&s, "d0");
	assert_int_equal(destination_put(t, &d, &e), 0);
}

static void
body_refusals(struct db_txn *t)
{
	static const char *const files[] = { "", ".hidden", "a/b", "..",
		"a b", "a\xc3\xa4", "a.20260302T101531Z",
		"a.20260302T101531Z-1.gz" };
	struct config_set  s = set_of("one");
	struct destination d = destination_of(&s, "bad name");
	struct err	   e;
	size_t		   i;

	expect_refused(destination_create(t, &d, &e), &e, BOOK_BAD_REQUEST,
	    "1 to 64");
	d = destination_of(&s, "x");
	d.types = 0;
	expect_refused(destination_create(t, &d, &e), &e, BOOK_BAD_REQUEST,
	    "types");
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		d = destination_of(&s, "x");
		strcpy(d.file.name, files[i]);
		expect_refused(destination_create(t, &d, &e), &e,
		    BOOK_BAD_REQUEST, "name of a file");
	}
}

static bool
on_each(void *names, const struct destination *d)
{
	strcat(names, d->name);
	strcat(names, " ");
	return true;
}

static void
body_each(struct db_txn *t)
{
	struct config_set  one = set_of("one"), two = set_of("two");
	struct destination d;
	struct err	   e;
	char		   names[64] = "";

	one.id.b[0] = 1;
	two.id.b[0] = 2;
	assert_int_equal(config_set_create(t, &one, &e), 0);
	assert_int_equal(config_set_create(t, &two, &e), 0);
	d = destination_of(&two, "c");
	assert_int_equal(destination_create(t, &d, &e), 0);
	d = destination_of(&one, "b");
	assert_int_equal(destination_create(t, &d, &e), 0);
	d = destination_of(&one, "a");
	assert_int_equal(destination_create(t, &d, &e), 0);
	assert_int_equal(destination_each(t, &one.id, on_each, names, &e), 0);
	assert_string_equal(names, "a b ");
	names[0] = '\0';
	assert_int_equal(destination_each(t, NULL, on_each, names, &e), 0);
	assert_string_equal(names, "a b c ");
	/* they go with their set */
	assert_int_equal(config_set_delete(t, world_account, "one", &e), 1);
	names[0] = '\0';
	assert_int_equal(destination_each(t, NULL, on_each, names, &e), 0);
	assert_string_equal(names, "c ");
}

static void
run(void (*body)(struct db_txn *t))
{
	struct book_world w;

	world_open(&w);
	world_run(&w, body);
	world_close(&w);
}

static void
records_both_ways(void **state)
{
	(void)state;
	run(body_both_ways);
}

static void
ten_of_a_set(void **state)
{
	(void)state;
	run(body_limit);
}

static void
what_is_refused(void **state)
{
	(void)state;
	run(body_refusals);
}

static void
each_of_a_set_and_of_all(void **state)
{
	(void)state;
	run(body_each);
}

static void
damaged_records_are_seen(void **state)
{
	struct config_set  s = set_of("one");
	struct destination d = destination_of(&s, "x"), b;
	struct buf	   out;
	size_t		   n;

	(void)state;
	buf_init(&out, 4096);
	assert_true(destination_write_record(&d, &out));
	for (n = 0; n < out.n; n++)
		assert_false(destination_read_record(
		    (struct bytes){ out.p, n }, &b));
	assert_true(destination_read_record(buf_bytes(&out), &b));
	buf_clear(&out);
	strcpy(d.file.name, "../../etc/x");
	assert_true(destination_write_record(&d, &out));
	assert_false(destination_read_record(buf_bytes(&out), &b));
	buf_wipe(&out);
}

/* -- which events --------------------------------------------------------- */

static struct event
event_of(enum event_type type, int64_t ms)
{
	struct event ev = { .type = type };

	event_id_make((struct wall){ ms }, &ev.id);
	/* the time of a report says nothing */
	ev.at.ms = 1;
	return ev;
}

static void
events_by_type_and_time(void **state)
{
	struct config_set  s = set_of("one");
	struct destination d = destination_of(&s, "x");
	struct event	   ev;

	(void)state;
	ev = event_of(EVENT_BOUNCE, noon.ms);
	assert_true(destination_wants(&d, &ev));
	ev = event_of(EVENT_DELIVERY, noon.ms);
	assert_false(destination_wants(&d, &ev));
	ev = event_of(EVENT_BOUNCE, noon.ms - 1);
	assert_false(destination_wants(&d, &ev));
	/* disabled: what happened before is still told, nothing later */
	assert_true(destination_switch(&d, false,
	    (struct wall){ noon.ms + 10 }));
	assert_false(destination_switch(&d, false,
	    (struct wall){ noon.ms + 20 }));
	ev = event_of(EVENT_SEND, noon.ms + 9);
	assert_true(destination_wants(&d, &ev));
	ev = event_of(EVENT_SEND, noon.ms + 10);
	assert_false(destination_wants(&d, &ev));
	/* enabled again: not what happened meanwhile */
	assert_true(destination_switch(&d, true,
	    (struct wall){ noon.ms + 30 }));
	assert_false(destination_wants(&d, &ev));
	ev = event_of(EVENT_SEND, noon.ms + 30);
	assert_true(destination_wants(&d, &ev));
}

static void
cursor_of_an_id(void **state)
{
	struct destination_id id = { { 0 } };
	char		      text[DESTINATION_CURSOR_SIZE];

	(void)state;
	id.b[0] = 0xa1;
	id.b[15] = 0x0f;
	assert_string_equal(destination_cursor(&id, text),
	    "dest/a100000000000000000000000000000f");
}

/* -- JSON ----------------------------------------------------------------- */

static void
json_both_ways(void **state)
{
	static const char text[] = "{\"Name\":\"audit\",\"Enabled\":false,"
	    "\"MatchingEventTypes\":[\"SEND\",\"BOUNCE\","
	    "\"RENDERING_FAILURE\"],\"FileDestination\":{\"FileName\":"
	    "\"a.jsonl\",\"RotateSize\":1000,\"RotateInterval\":\"HOURLY\","
	    "\"Keep\":3,\"Compress\":false,\"Sync\":\"EACH\"},"
	    "\"Extensions\":true,\"Since\":\"2024-05-01T12:00:00.000Z\","
	    "\"CreatedTimestamp\":\"2024-05-01T12:00:00.000Z\","
	    "\"LastUpdatedTimestamp\":\"2024-05-01T12:00:00.000Z\"}";
	struct config_set  s = set_of("one");
	struct destination d;
	struct buf	   out;
	struct err	   e;

	(void)state;
	destination_init(&d, &s, "", noon);
	if (destination_read_json(bytes_of(text), &d, noon, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(d.types, 1u << EVENT_SEND | 1u << EVENT_BOUNCE |
	    1u << EVENT_RENDERING_FAILURE);
	assert_int_equal(d.until.ms, noon.ms);
	buf_init(&out, 4096);
	assert_true(destination_write_json(&d, "us-east-1", &out));
	assert_string_equal(text, (buf_add(&out, "", 1), out.p));
	buf_wipe(&out);
}

/* Only its ARN; whatever region it was read with. */
static void
topic_both_ways(void **state)
{
	static const char text[] = "{\"MatchingEventTypes\":[\"BOUNCE\"],"
	    "\"SnsDestination\":{\"TopicArn\":"
	    "\"arn:aws:sns:eu-west-1:444455556666:T-1\"}}";
	struct config_set  s = set_of("one");
	struct destination d, back;
	struct buf	   out;
	struct err	   e;

	(void)state;
	destination_init(&d, &s, "topic", noon);
	if (destination_read_json(bytes_of(text), &d, noon, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(d.kind, DESTINATION_TOPIC);
	assert_string_equal(d.topic.account, "444455556666");
	assert_string_equal(destination_target(&d), "T-1");
	assert_false(destination_is_subscription(&d));
	buf_init(&out, 4096);
	assert_true(destination_write_record(&d, &out));
	assert_true(destination_read_record(buf_bytes(&out), &back));
	assert_memory_equal(&back, &d, sizeof(d));
	buf_clear(&out);
	assert_true(destination_write_json(&d, "us-east-1", &out));
	assert_true(bytes_find_nocase(buf_bytes(&out), BYTES(
	    "\"SnsDestination\":{\"TopicArn\":"
	    "\"arn:aws:sns:us-east-1:444455556666:T-1\"}")) > 0);
	/* a topic that is none, or where none belongs, is damage */
	strcpy(d.topic.name, "T 1");
	buf_clear(&out);
	assert_true(destination_write_record(&d, &out));
	assert_false(destination_read_record(buf_bytes(&out), &back));
	strcpy(d.topic.name, "T");
	d.kind = DESTINATION_FILE;
	strcpy(d.file.name, "f");
	buf_clear(&out);
	assert_true(destination_write_record(&d, &out));
	assert_false(destination_read_record(buf_bytes(&out), &back));
	buf_wipe(&out);
}

/* Of the rest the defaults of events.md 8 and 10.2; the id stays. */
static void
json_replaces_the_whole(void **state)
{
	struct config_set  s = set_of("one");
	struct destination d = destination_of(&s, "x"), before;
	struct err	   e;

	(void)state;
	d.extensions = true;
	d.file.keep = 3;
	before = d;
	assert_int_equal(destination_read_json(
	    BYTES("{\"MatchingEventTypes\":[\"delivery\"],"
		  "\"FileDestination\":{\"FileName\":\"y\"}}"),
	    &d, noon, &e), 0);
	assert_memory_equal(&d.id, &before.id, sizeof(d.id));
	assert_string_equal(d.name, "x");
	assert_string_equal(d.file.name, "y");
	assert_int_equal(d.types, 1u << EVENT_DELIVERY);
	assert_false(d.extensions);
	assert_true(d.enabled);
	assert_int_equal(d.file.keep, 14);
	assert_int_equal(d.file.rotate_octets, 104857600);
	assert_int_equal(d.file.rotate, ROTATE_DAILY);
	assert_int_equal(d.file.sync, SYNC_INTERVAL);
}

static void
json_refusals(void **state)
{
	static const struct {
		const char *text, *part;
	} rows[] = {
		{ "", "line 1" },
		{ "[]", "the document: is not an object" },
		{ "{\"MatchingEventTypes\":[\"SEND\"]}",
		    "FileDestination: exactly one" },
		{ "{\"FileDestination\":{\"FileName\":\"x\"}}",
		    "MatchingEventTypes: is needed" },
		{ "{\"MatchingEventTypes\":[]}",
		    "MatchingEventTypes: is empty" },
		{ "{\"MatchingEventTypes\":[\"SENT\"]}",
		    "no such event type: SENT" },
		{ "{\"MatchingEventTypes\":\"SEND\"}", "is not a list" },
		{ "{\"Name\":\"y\"}", "Name: is not x" },
		{ "{\"Name\":\"a b\"}", "Name: is not 1 to 64" },
		{ "{\"Enabeld\":true}", "Enabeld: unknown member" },
		{ "{\"Enabled\":1}", "Enabled: is not true or false" },
		{ "{\"FileDestination\":{\"Nmae\":1}}",
		    "FileDestination.Nmae: unknown member" },
		{ "{\"FileDestination\":{\"Keep\":-1}}", "Keep: is not" },
		{ "{\"FileDestination\":{\"Keep\":100001}}", "Keep: is not" },
		{ "{\"FileDestination\":{\"Sync\":\"often\"}}",
		    "FileDestination.Sync: often is not one of NONE, INTERVAL" },
		{ "{\"FileDestination\":{\"Compress\":1}}",
		    "Compress: is not true or false" },
		{ "{\"SnsDestination\":{}}",
		    "SnsDestination.TopicArn: is needed" },
		{ "{\"SnsDestination\":{\"TopicArn\":\"T\"}}",
		    "SnsDestination.TopicArn: is not the ARN of a topic" },
		{ "{\"PinpointDestination\":{}}",
		    "PinpointDestination: is not possible" },
		{ "{\"WebhookDestination\":{\"TimeoutSeconds\":0}}",
		    "WebhookDestination.TimeoutSeconds: is not a number" },
		{ "{\"WebhookDestination\":{\"MaxInFlight\":65}}",
		    "MaxInFlight: is not a number from 1 to 64" },
		{ "{\"WebhookDestination\":{\"Format\":\"SMS\"}}",
		    "Format: SMS is not one of RECORD, SNS" },
		{ "{\"MetricsDestination\":{}}",
		    "MetricsDestination.DimensionConfigurations: is needed" },
		{ "{\"MetricsDestination\":{\"DimensionConfigurations\":[{"
		  "\"DimensionName\":\"a\",\"DefaultDimensionValue\":\"b\"}]}}",
		    "[0].DimensionValueSource: is needed" },
		{ "{\"MetricsDestination\":{\"DimensionConfigurations\":[{"
		  "\"DimensionName\":\"a b\",\"DimensionValueSource\":"
		  "\"linkTag\",\"DefaultDimensionValue\":\"b\"}]}}",
		    "[0]: the name of a dimension is" },
		{ "{\"WebhookDestination\":{\"Headers\":{\"A\":null}}}",
		    "Headers: A: has no value" },
		{ "{\"WebhookDestination\":{\"Headers\":{\"Host\":\"x\"}}}",
		    "or not what a request may have" },
		{ "{\"WebhookDestination\":{\"Headers\":{\"A\":\"x\\ny\"}}}",
		    "or not what a request may have" },
		{ "{\"Filter\":{\"Tags\":{\"a\":\"b\"}}}",
		    "Filter.Tags: a: is not a list" },
		{ "{\"Filter\":{\"Tags\":{\"a=b\":[]}}}",
		    "Filter.Tags: a=b: is no name" },
		{ "{\"Filter\":{\"Identities\":[\"\"]}}",
		    "Filter.Identities[0]: is no pattern" },
		{ "{\"Filter\":{\"BounceTypes\":[\"Hard\"]}}",
		    "Filter.BounceTypes[0]: Hard is not one of" },
		{ "{\"Name\":\"x\",\"Name\":\"x\"}", "duplicate" },
	};
	struct config_set  s = set_of("one");
	struct destination d, before;
	struct err	   e;
	size_t		   i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		before = d = destination_of(&s, "x");
		expect_refused(destination_read_json(bytes_of(rows[i].text),
		    &d, noon, &e), &e, BOOK_BAD_REQUEST, rows[i].part);
		assert_memory_equal(&d, &before, sizeof(d));
	}
}

static void
webhook_json_both_ways(void **state)
{
	static const char text[] = "{\"Name\":\"hooks\",\"Enabled\":true,"
	    "\"MatchingEventTypes\":[\"BOUNCE\"],\"WebhookDestination\":{"
	    "\"Url\":\"https://hooks.example.com/ses\","
	    "\"Format\":\"RECORD\",\"TimeoutSeconds\":7,\"MaxInFlight\":2,"
	    "\"Headers\":{\"Authorization\":\"Bearer x\"}},\"Filter\":{"
	    "\"Tags\":{\"campaign\":[\"spring*\",\"summer\"],"
	    "\"genre\":[\"sf\"]},\"Identities\":[\"example.com\"],"
	    "\"RecipientDomains\":[\"*.org\"],\"BounceTypes\":[\"Permanent\"],"
	    "\"IncludeSimulator\":false},\"Extensions\":false,"
	    "\"Since\":\"2024-05-01T12:00:00.000Z\","
	    "\"CreatedTimestamp\":\"2024-05-01T12:00:00.000Z\","
	    "\"LastUpdatedTimestamp\":\"2024-05-01T12:00:00.000Z\"}";
	struct config_set  s = set_of("one");
	struct destination d, kept;
	struct buf	   out;
	struct err	   e;
	char		  *value;

	(void)state;
	destination_init(&d, &s, "", noon);
	if (destination_read_json(bytes_of(text), &d, noon, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(d.kind, DESTINATION_WEBHOOK);
	assert_string_equal(d.webhook.headers, "Authorization: Bearer x\n");
	assert_string_equal(d.filter.tags,
	    "campaign=spring*\ncampaign=summer\ngenre=sf\n");
	buf_init(&out, 4096);
	assert_true(destination_write_json(&d, "us-east-1", &out));
	buf_add(&out, "", 1);
	/* the same, but for the token, which is never shown */
	assert_null(strstr(out.p, "Bearer"));
	value = strstr(out.p, "\"Authorization\":null");
	assert_non_null(value);
	assert_memory_equal(out.p, text, (size_t)(value - out.p));
	/* what was shown can be read again, and keeps token and key */
	destination_new_key(&d.webhook, noon);
	kept = d;
	if (destination_read_json(bytes_of(out.p), &d, noon, &e) != 0)
		fail_msg("%s", e.text);
	assert_memory_equal(&d.webhook, &kept.webhook, sizeof(d.webhook));
	assert_memory_equal(&d.filter, &kept.filter, sizeof(d.filter));
	buf_clear(&out);
	assert_true(destination_write_record(&d, &out));
	assert_true(destination_read_record(buf_bytes(&out), &kept));
	assert_memory_equal(&d.webhook, &kept.webhook, sizeof(d.webhook));
	assert_memory_equal(&d.filter, &kept.filter, sizeof(d.filter));
	d.sns = true;
	buf_clear(&out);
	assert_true(destination_write_record(&d, &out));
	assert_true(destination_read_record(buf_bytes(&out), &kept));
	assert_true(kept.sns);
	assert_string_equal(kept.webhook.url, d.webhook.url);
	out.p[0] = 2; /* another version */
	assert_false(destination_read_record(buf_bytes(&out), &kept));
	buf_wipe(&out);
	assert_int_equal(destination_read_filter(BYTES("{}"), &d, &e), 0);
	assert_false(d.filter.is_set);
}

/* CloudWatchDestination is what SES tools say. */
static void
metrics_json_both_ways(void **state)
{
	static const char text[] = "{\"Name\":\"m\",\"Enabled\":true,"
	    "\"MatchingEventTypes\":[\"SEND\"],\"MetricsDestination\":{"
	    "\"DimensionConfigurations\":[{\"DimensionName\":\"campaign\","
	    "\"DimensionValueSource\":\"MESSAGE_TAG\","
	    "\"DefaultDimensionValue\":\"none\"},{\"DimensionName\":"
	    "\"ses:from-domain\",\"DimensionValueSource\":\"MESSAGE_TAG\","
	    "\"DefaultDimensionValue\":\"a@b.c\"}]},\"Extensions\":false,"
	    "\"Since\":\"2024-05-01T12:00:00.000Z\","
	    "\"CreatedTimestamp\":\"2024-05-01T12:00:00.000Z\","
	    "\"LastUpdatedTimestamp\":\"2024-05-01T12:00:00.000Z\"}";
	static const char old[] = "{\"MatchingEventTypes\":[\"SEND\"],"
	    "\"CloudWatchDestination\":{\"DimensionConfigurations\":[{"
	    "\"DimensionName\":\"campaign\",\"DimensionValueSource\":"
	    "\"messageTag\",\"DefaultDimensionValue\":\"none\"}]}}";
	struct config_set  s = set_of("one");
	struct destination d, again;
	struct buf	   out;
	struct err	   e;

	(void)state;
	destination_init(&d, &s, "", noon);
	if (destination_read_json(bytes_of(text), &d, noon, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(d.kind, DESTINATION_METRICS);
	assert_string_equal(d.metrics.dimensions,
	    "campaign=Tnone\nses:from-domain=Ta@b.c\n");
	buf_init(&out, 16384);
	assert_true(destination_write_json(&d, "us-east-1", &out));
	assert_true(bytes_eq_text(buf_bytes(&out), text));
	buf_clear(&out);
	assert_true(destination_write_record(&d, &out));
	assert_true(destination_read_record(buf_bytes(&out), &again));
	assert_memory_equal(&d, &again, sizeof(d));
	buf_wipe(&out);
	if (destination_read_json(bytes_of(old), &d, noon, &e) != 0)
		fail_msg("%s", e.text);
	assert_string_equal(d.metrics.dimensions, "campaign=Tnone\n");
	assert_string_equal(destination_target(&d),
	    "posthorn_event_dim_total");
}

/* One of ten at their longest is stored and read. */
static void
dimensions_at_their_longest(void **state)
{
	struct config_set  s = set_of("one");
	struct destination d, again;
	struct dimension   x = { .source = DIMENSION_HEADER };
	char		   text[DIMENSION_TEXT_MAX + 1];
	struct buf	   out;
	unsigned	   i;

	(void)state;
	destination_init(&d, &s, "m", noon);
	d.kind = DESTINATION_METRICS;
	d.types = DESTINATION_ALL_TYPES;
	memset(text, 'a', sizeof(text));
	x.value = (struct bytes){ text, DIMENSION_TEXT_MAX };
	for (i = 0; i < DESTINATION_DIMENSIONS_MAX; i++) {
		text[0] = (char)('a' + i);
		x.name = x.value;
		assert_null(dimension_add(d.metrics.dimensions, &x));
	}
	text[0] = 'z';
	assert_string_equal(dimension_add(d.metrics.dimensions, &x),
	    "a metrics destination has at most 10 dimensions");
	buf_init(&out, 16384);
	assert_true(destination_write_record(&d, &out));
	assert_true(destination_read_record(buf_bytes(&out), &again));
	assert_memory_equal(&d, &again, sizeof(d));
	buf_wipe(&out);
}

static void
dimensions_that_are_refused(void **state)
{
	static const struct {
		const char	     *name, *value;
		enum dimension_source source;
		bool		      is_good;
	} rows[] = { { "campaign", "none", DIMENSION_TAG, true },
		{ "a-b_C9", "a@b.c-d_E", DIMENSION_LINK, true },
		{ "ses:source-ip", "x", DIMENSION_TAG, true },
		{ "X-Kind", "x", DIMENSION_HEADER, true },
		{ "ses:source-ip", "x", DIMENSION_HEADER, false },
		{ "ses:", "x", DIMENSION_TAG, false },
		{ "a:b", "x", DIMENSION_TAG, false },
		{ "", "x", DIMENSION_TAG, false },
		{ "a=b", "x", DIMENSION_TAG, false },
		{ "a b", "x", DIMENSION_TAG, false },
		{ "a", "", DIMENSION_TAG, false },
		{ "a", "x y", DIMENSION_TAG, false },
		{ "a", "x\n", DIMENSION_TAG, false },
		{ "a", "x:y", DIMENSION_TAG, false },
		{ "received", "x", DIMENSION_HEADER, false },
		{ "To", "x", DIMENSION_HEADER, false },
		{ "From", "x", DIMENSION_HEADER, false },
		{ "DKIM-Signature", "x", DIMENSION_HEADER, false },
		{ "Cc", "x", DIMENSION_HEADER, false },
		{ "Message-ID", "x", DIMENSION_HEADER, false },
		{ "Return-Path", "x", DIMENSION_HEADER, false },
		{ "To", "x", DIMENSION_TAG, true },
		/* "one-b" and "one_b" are one label */
		{ "one_b", "x", DIMENSION_TAG, false } };
	char   list[DESTINATION_DIMENSIONS_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct dimension d = { bytes_of(rows[i].name),
			bytes_of(rows[i].value), rows[i].source };

		strcpy(list, "one-b=Tx\n");
		if ((dimension_add(list, &d) == NULL) != rows[i].is_good)
			fail_msg("%s %s", rows[i].name, rows[i].value);
		assert_true(dimensions_are_valid(list));
	}
	assert_false(dimensions_are_valid(""));
	assert_false(dimensions_are_valid("a=Tx"));
	assert_false(dimensions_are_valid("a=Xx\n"));
	assert_false(dimensions_are_valid("a=Tx\nrest"));
	assert_false(dimensions_are_valid("a=Tx\na=Ty\n"));
	assert_false(dimensions_are_valid("a=Tx\"\n"));
}

static void
a_delivery_stream_is_a_file(void **state)
{
	struct config_set  s = set_of("one");
	struct destination d;
	struct err	   e;

	(void)state;
	destination_init(&d, &s, "x", noon);
	assert_int_equal(destination_read_json(
	    BYTES("{\"MatchingEventTypes\":[\"SEND\"],"
		  "\"KinesisFirehoseDestination\":{\"IAMRoleARN\":\"arn:x\","
		  "\"DeliveryStreamARN\":\"arn:aws:firehose:us-east-1:1:"
		  "deliverystream/events\"}}"), &d, noon, &e), 0);
	assert_string_equal(d.file.name, "events");
	assert_int_equal(destination_read_json(
	    BYTES("{\"MatchingEventTypes\":[\"SEND\"],"
		  "\"FileDestination\":{\"FileName\":\"a\"},"
		  "\"WebhookDestination\":{\"Url\":\"https://a/\"}}"), &d,
	    noon, &e), -1);
	assert_non_null(strstr(e.text, "exactly one"));
}

/* -- filters --------------------------------------------------------------- */

static void
filters_let_through(void **state)
{
	static const struct {
		const char *filter;
		bool	    passes;
	} rows[] = {
		{ "{}", true },
		{ "{\"Tags\":{\"campaign\":[\"spring*\"]}}", true },
		{ "{\"Tags\":{\"campaign\":[\"*sale\"]}}", true },
		{ "{\"Tags\":{\"campaign\":[\"*ing-s*\"]}}", true },
		{ "{\"Tags\":{\"campaign\":[\"spring\"]}}", false },
		{ "{\"Tags\":{\"campaign\":[\"Spring*\"]}}", false },
		{ "{\"Tags\":{\"campaign\":[\"x\",\"spring-sale\"]}}", true },
		{ "{\"Tags\":{\"campaign\":[\"*\"],\"genre\":[\"*\"]}}",
		    false },
		{ "{\"Tags\":{\"campaign\":[\"*\"],\"team\":[\"b\"]}}",
		    true },
		{ "{\"Identities\":[\"Example.COM\"]}", true },
		{ "{\"Identities\":[\"other.com\"]}", false },
		{ "{\"Identities\":[\"other.com\",\"*.com\"]}", true },
		{ "{\"RecipientDomains\":[\"sink.example\"]}", true },
		{ "{\"RecipientDomains\":[\"second.example\"]}", false },
		{ "{\"BounceTypes\":[\"Permanent\"]}", true },
		{ "{\"BounceTypes\":[\"Transient\"]}", false },
		{ "{\"BounceTypes\":[\"Permanent\"],"
		  "\"Identities\":[\"other.com\"]}", false },
		{ "{\"IncludeSimulator\":false}", true },
	};
	static const struct bytes to[] = { BYTES("a@sink.example"),
		BYTES("b@second.example") };
	static const struct message_tag tags[] = {
		{ BYTES("campaign"), BYTES("spring-sale") },
		{ BYTES("team"), BYTES("a") }, { BYTES("team"), BYTES("b") } };
	const struct event_recipient one = { .address = to[0] };
	struct destination_message m = { BYTES("example.com"), to, 2, tags, 3,
		false };
	struct event ev = { .type = EVENT_BOUNCE,
		.bounce_type = BOUNCE_PERMANENT, .recipients = &one,
		.recipient_count = 1 };
	struct destination d;
	struct err	   e;
	size_t		   i;

	(void)state;
	memset(&d, 0, sizeof(d));
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (destination_read_filter(bytes_of(rows[i].filter), &d,
			&e) != 0)
			fail_msg("%s", e.text);
		if (destination_filter_passes(&d.filter, &ev, &m) !=
		    rows[i].passes)
			fail_msg("%s", rows[i].filter);
	}
	/* the last one: no mail to the simulator */
	ev.simulator = true;
	assert_false(destination_filter_passes(&d.filter, &ev, &m));
	ev.simulator = false;
	m.is_simulated = true;
	assert_false(destination_filter_passes(&d.filter, &ev, &m));
	/* a Send is about all recipients; bounce types are no matter of it */
	m.is_simulated = false;
	ev.type = EVENT_SEND;
	ev.recipient_count = 0;
	assert_int_equal(destination_read_filter(BYTES(
	    "{\"RecipientDomains\":[\"second.example\"],"
	    "\"BounceTypes\":[\"Transient\"]}"), &d, &e), 0);
	assert_true(destination_filter_passes(&d.filter, &ev, &m));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_both_ways),
		cmocka_unit_test(ten_of_a_set),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(each_of_a_set_and_of_all),
		cmocka_unit_test(damaged_records_are_seen),
		cmocka_unit_test(events_by_type_and_time),
		cmocka_unit_test(cursor_of_an_id),
		cmocka_unit_test(json_both_ways),
		cmocka_unit_test(topic_both_ways),
		cmocka_unit_test(json_replaces_the_whole),
		cmocka_unit_test(json_refusals),
		cmocka_unit_test(webhook_json_both_ways),
		cmocka_unit_test(metrics_json_both_ways),
		cmocka_unit_test(dimensions_at_their_longest),
		cmocka_unit_test(dimensions_that_are_refused),
		cmocka_unit_test(a_delivery_stream_is_a_file),
		cmocka_unit_test(filters_let_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
