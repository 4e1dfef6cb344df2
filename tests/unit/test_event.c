/* SPDX-License-Identifier: ISC */
/* event: the records of events.md section 5, octet for octet. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "mail/event.h"

/* clang-format off */
#define ID "0100019cae0bba4b-3f1d2c4e-8a77-4d1b-9c55-0e6f7a8b9c0d-000000"
#define MAIL_1(source) \
	"\"mail\":{\"timestamp\":\"2026-03-02T10:15:30.123Z\"," \
	"\"source\":\"" source "\"," \
	"\"sourceArn\":" \
	"\"arn:aws:ses:us-east-1:123456789012:identity/example.com\","
#define MAIL_2 \
	"\"sendingAccountId\":\"123456789012\"," \
	"\"messageId\":\"" ID "\"," \
	"\"destination\":[\"recipient@example.org\"]," \
	"\"headersTruncated\":false,"
#define MAIL MAIL_1("bounces@example.com") MAIL_2
#define HEADERS \
	"\"headers\":[" \
	"{\"name\":\"X-SES-CONFIGURATION-SET\",\"value\":\"ConfigSet\"}," \
	"{\"name\":\"X-SES-MESSAGE-TAGS\",\"value\":\"campaign=book\"}," \
	"{\"name\":\"From\"," \
	"\"value\":\"\\\"Mary Major\\\" <mary@example.com>\"}," \
	"{\"name\":\"To\",\"value\":\"recipient@example.org\"}," \
	"{\"name\":\"Message-ID\"," \
	"\"value\":\"<order-17@app.example.com>\"}," \
	"{\"name\":\"Subject\",\"value\":\"=?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\"}," \
	"{\"name\":\"MIME-Version\",\"value\":\"1.0\"}," \
	"{\"name\":\"Content-Type\"," \
	"\"value\":\"text/html; charset=UTF-8\"}],"
#define COMMON(id) \
	"\"commonHeaders\":{" \
	"\"from\":[\"Mary Major <mary@example.com>\"]," \
	"\"to\":[\"recipient@example.org\"]," \
	"\"messageId\":\"" id "\",\"subject\":\"Gr\xc3\xbc\xc3\x9f" "e\"}"
#define TAGS(operation, outgoing) \
	",\"tags\":{\"ses:configuration-set\":[\"ConfigSet\"]," \
	"\"ses:source-ip\":[\"192.0.2.10\"]," \
	"\"ses:from-domain\":[\"example.com\"]," \
	"\"ses:caller-identity\":[\"app1\"]," \
	"\"ses:source-tls-version\":[\"TLSv1.3\"]," \
	"\"ses:operation\":[\"" operation "\"]," outgoing \
	"\"campaign\":[\"book\"]}},"
#define OUTGOING \
	"\"ses:outgoing-ip\":[\"198.51.100.7\"]," \
	"\"ses:outgoing-tls-version\":[\"TLSv1.3\"],"
#define FULL MAIL HEADERS COMMON(ID)
#define SMTP(outgoing) TAGS("SendSmtpEmail", outgoing)
/* clang-format on */

static const char section[] = "X-SES-CONFIGURATION-SET: ConfigSet\r\n"
			      "X-SES-MESSAGE-TAGS: campaign=book\r\n"
			      "From: \"Mary Major\" <mary@example.com>\r\n"
			      "To: recipient@example.org\r\n"
			      "Message-ID: <order-17@app.example.com>\r\n"
			      "Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n"
			      "MIME-Version: 1.0\r\n"
			      "Content-Type: text/html;\r\n charset=UTF-8\r\n"
			      "\r\n";

static const struct message_tag submitted_tags[] = {
	{ BYTES("ses:configuration-set"), BYTES("ConfigSet") },
	{ BYTES("ses:source-ip"), BYTES("192.0.2.10") },
	{ BYTES("ses:from-domain"), BYTES("example.com") },
	{ BYTES("ses:caller-identity"), BYTES("app1") },
	{ BYTES("ses:source-tls-version"), BYTES("TLSv1.3") },
	{ BYTES("ses:operation"), BYTES("SendSmtpEmail") },
	{ BYTES("campaign"), BYTES("book") },
};
static const struct bytes destination = BYTES("recipient@example.org");

/* The message that the examples of section 5 share. */
struct fixture {
	struct buf	       snapshot, out;
	struct event_mail      mail;
	struct event_recipient recipient;
	struct event	       ev;
};

static void
fixture_open(struct fixture *f, enum event_type type, int64_t at_ms)
{
	memset(f, 0, sizeof(*f));
	buf_init(&f->snapshot, EVENT_SNAPSHOT_MAX);
	buf_init(&f->out, EVENT_RECORD_MAX);
	assert_true(event_snapshot_headers(bytes_of(section), &f->snapshot));
	f->mail.accepted.ms = 1772446530123;
	f->mail.source = BYTES("bounces@example.com");
	f->mail.source_arn = BYTES(
	    "arn:aws:ses:us-east-1:123456789012:identity/example.com");
	f->mail.account = BYTES("123456789012");
	f->mail.message_id = BYTES(ID);
	f->mail.destinations = &destination;
	f->mail.destination_count = 1;
	f->mail.snapshot = buf_bytes(&f->snapshot);
	f->mail.tags = submitted_tags;
	f->mail.tag_count =
	    sizeof(submitted_tags) / sizeof(submitted_tags[0]);
	f->recipient.address = destination;
	f->ev.type = type;
	f->ev.at.ms = at_ms;
	f->ev.recipients = &f->recipient;
	f->ev.recipient_count = 1;
}

static void
fixture_outgoing(struct fixture *f)
{
	f->ev.outgoing_ip = BYTES("198.51.100.7");
	f->ev.outgoing_tls = BYTES("TLSv1.3");
}

static const char *
text_of(struct buf *b)
{
	assert_true(buf_add_char(b, '\0'));
	return b->p;
}

static void
bounce_of(struct fixture *f)
{
	f->ev.bounce_type = BOUNCE_PERMANENT;
	f->ev.bounce_subtype = BOUNCE_SUB_GENERAL;
	f->recipient.action = BYTES("failed");
	f->recipient.status = BYTES("5.1.1");
	f->recipient.diagnostic = BYTES("smtp; 550 5.1.1 user unknown");
	f->ev.feedback_id = BYTES(
	    "0100019cae0bc722-7b6a5d4c-1e2f-4a3b-8c9d-a0b1c2d3e4f5-000000");
	f->ev.reporting_mta = BYTES("dns; a0-7.smtp-out.relay.example");
	f->ev.remote_ip = BYTES("203.0.113.25");
}

#define BOUNCE \
	"\"bounce\":{\"bounceType\":\"Permanent\"," \
	"\"bounceSubType\":\"General\",\"bouncedRecipients\":[" \
	"{\"emailAddress\":\"recipient@example.org\"," \
	"\"action\":\"failed\",\"status\":\"5.1.1\"," \
	"\"diagnosticCode\":\"smtp; 550 5.1.1 user unknown\"}]," \
	"\"timestamp\":\"2026-03-02T10:15:33.410Z\",\"feedbackId\":" \
	"\"0100019cae0bc722-7b6a5d4c-1e2f-4a3b-8c9d-a0b1c2d3e4f5-000000\"," \
	"\"reportingMTA\":\"dns; a0-7.smtp-out.relay.example\"," \
	"\"remoteMtaIp\":\"203.0.113.25\"}}"

/* -- the records of section 5, in a table ------------------------------ */

static void
fill_nothing(struct fixture *f)
{
	(void)f;
}

static void
fill_delivery(struct fixture *f)
{
	f->ev.reply = BYTES("250 ok:  Message 64111812 accepted");
	f->ev.reporting_mta = BYTES("a0-7.smtp-out.relay.example");
	f->ev.remote_ip = BYTES("203.0.113.25");
}

#define FEEDBACK_ID \
	"0100019cb2b6f860-11112222-3333-4444-8555-666677778888-000000"

static void
fill_complaint(struct fixture *f)
{
	f->ev.feedback_id = BYTES(FEEDBACK_ID);
	f->ev.user_agent = BYTES("ExampleCorp Feedback Loop (V0.01)");
	f->ev.feedback_type = BYTES("Abuse");
	f->ev.arrival.ms = 1772446531000;
}

static void
fill_complaint_without_report(struct fixture *f)
{
	f->ev.feedback_id = BYTES(FEEDBACK_ID);
}

static void
fill_complaint_of_the_list(struct fixture *f)
{
	f->ev.feedback_id = BYTES(FEEDBACK_ID);
	f->ev.on_account_list = true;
}

static void
fill_delay(struct fixture *f)
{
	f->ev.delay_type = DELAY_COMMUNICATION_FAILURE;
	f->ev.expires.ms = 1772446530123 + 72 * 3600 * (int64_t)1000;
	f->recipient.action = BYTES("delayed"); /* not shown */
	f->recipient.status = BYTES("4.4.1");
	f->recipient.diagnostic =
	    BYTES("smtp; 421 4.4.1 Unable to connect to remote host");
}

static void
fill_open(struct fixture *f)
{
	static const struct event_tracking t = { .ip = BYTES("192.0.2.1"),
		.user_agent = BYTES("Mozilla/5.0 (iPhone)") };

	f->ev.tracking = &t;
}

static void
fill_click(struct fixture *f)
{
	static const struct message_tag link_tags[] = {
		{ BYTES("product"), BYTES("book") },
		{ BYTES("genre"), BYTES("fiction") },
		{ BYTES("product"), BYTES("pen") },
	};
	static const struct event_tracking t = { .ip = BYTES("192.0.2.1"),
		.link = BYTES("https://shop.example.com/books?id=7&ref=mail"),
		.link_tags = link_tags, .link_tag_count = 3 };

	f->ev.tracking = &t;
}

static void
fill_failure(struct fixture *f)
{
	static const struct event_failure t = {
		BYTES("Attribute 'attributeName' is not present in the "
		      "rendering data."),
		BYTES("MyTemplate"),
	};
	static struct message_tag tags[7];

	memcpy(tags, submitted_tags, sizeof(tags));
	tags[5].value = BYTES("SendTemplatedEmail");
	f->mail.tags = tags;
	f->mail.source = BYTES("mary@example.com");
	f->ev.failure = &t;
}

static void
fill_subscription(struct fixture *f)
{
	static const struct event_topic in = { BYTES("ExampleTopicName"),
		true };
	static const struct event_topic out = { BYTES("ExampleTopicName"),
		false };
	static const struct event_subscription s = {
		BYTES("ContactListName"),
		BYTES("UnsubscribeHeader"),
		{ true, &out, 1, &in, 1 },
		{ false, &in, 1, &in, 1 },
	};

	f->ev.subscription = &s;
}

#define COMPLAINT \
	"\"complaint\":{\"complainedRecipients\":[" \
	"{\"emailAddress\":\"recipient@example.org\"}]," \
	"\"timestamp\":\"2026-03-03T08:00:12.000Z\"," \
	"\"feedbackId\":\"" FEEDBACK_ID "\","
#define WITHOUT_HEADERS(source) \
	MAIL_1(source) "\"sendingAccountId\":\"123456789012\"," \
	"\"messageId\":\"" ID "\"," \
	"\"destination\":[\"recipient@example.org\"]," \
	"\"headersTruncated\":false"
#define TOPIC(status) \
	"[{\"topicName\":\"ExampleTopicName\"," \
	"\"subscriptionStatus\":\"" status "\"}]"

static const struct record_case {
	const char *name;
	enum event_type type;
	int64_t	    at_ms;
	bool	    outgoing; /* after a connection was made */
	void (*fill)(struct fixture *f);
	const char *record;
} records[] = {
	{ "5.1; events#5,10 (their records)", EVENT_SEND, 1772446530123,
	    false, fill_nothing,
	    "{\"eventType\":\"Send\"," FULL SMTP("") "\"send\":{}}" },
	{ "5.2; events#2", EVENT_DELIVERY, 1772446531005, true, fill_delivery,
	    "{\"eventType\":\"Delivery\"," FULL SMTP(OUTGOING)
	    "\"delivery\":{\"timestamp\":\"2026-03-02T10:15:31.005Z\","
	    "\"processingTimeMillis\":882,"
	    "\"recipients\":[\"recipient@example.org\"],"
	    "\"smtpResponse\":\"250 ok:  Message 64111812 accepted\","
	    "\"reportingMTA\":\"a0-7.smtp-out.relay.example\","
	    "\"remoteMtaIp\":\"203.0.113.25\"}}" },
	{ "5.3", EVENT_BOUNCE, 1772446533410, true, bounce_of,
	    "{\"eventType\":\"Bounce\"," FULL SMTP(OUTGOING) BOUNCE },
	{ "5.4", EVENT_COMPLAINT, 1772524812000, true, fill_complaint,
	    "{\"eventType\":\"Complaint\"," FULL SMTP(OUTGOING) COMPLAINT
	    "\"complaintSubType\":null,"
	    "\"userAgent\":\"ExampleCorp Feedback Loop (V0.01)\","
	    "\"complaintFeedbackType\":\"abuse\","
	    "\"arrivalDate\":\"2026-03-02T10:15:31.000Z\"}}" },
	{ "events#25, bounces-and-feedback#16 (the record)", EVENT_COMPLAINT,
	    1772524812000, false, fill_complaint_without_report,
	    "{\"eventType\":\"Complaint\"," FULL SMTP("") COMPLAINT
	    "\"complaintSubType\":null}}" },
	{ "4.5, of the account's list", EVENT_COMPLAINT, 1772524812000, false,
	    fill_complaint_of_the_list,
	    "{\"eventType\":\"Complaint\"," FULL SMTP("") COMPLAINT
	    "\"complaintSubType\":\"OnAccountSuppressionList\"}}" },
	{ "5.5; events#7 (the record)", EVENT_DELIVERY_DELAY, 1772446560400,
	    false, fill_delay,
	    "{\"eventType\":\"DeliveryDelay\","
	    WITHOUT_HEADERS("bounces@example.com") SMTP("")
	    "\"deliveryDelay\":{\"timestamp\":\"2026-03-02T10:16:00.400Z\","
	    "\"delayType\":\"TransientCommunicationFailure\","
	    "\"expirationTime\":\"2026-03-05T10:15:30.123Z\","
	    "\"delayedRecipients\":[{\"emailAddress\":"
	    "\"recipient@example.org\",\"status\":\"4.4.1\","
	    "\"diagnosticCode\":"
	    "\"smtp; 421 4.4.1 Unable to connect to remote host\"}]}}" },
	{ "5.6", EVENT_REJECT, 1772446530123, false, fill_nothing,
	    "{\"eventType\":\"Reject\"," FULL SMTP("")
	    "\"reject\":{\"reason\":\"Bad content\"}}" },
	{ "5.7", EVENT_OPEN, 1772449219652, true, fill_open,
	    "{\"eventType\":\"Open\"," FULL SMTP(OUTGOING)
	    "\"open\":{\"ipAddress\":\"192.0.2.1\","
	    "\"timestamp\":\"2026-03-02T11:00:19.652Z\","
	    "\"userAgent\":\"Mozilla/5.0 (iPhone)\"}}" },
	{ "5.8", EVENT_CLICK, 1772449262570, true, fill_click,
	    "{\"eventType\":\"Click\"," FULL SMTP(OUTGOING)
	    "\"click\":{\"ipAddress\":\"192.0.2.1\","
	    "\"timestamp\":\"2026-03-02T11:01:02.570Z\","
	    "\"userAgent\":\"\","
	    "\"link\":\"https://shop.example.com/books?id=7&ref=mail\","
	    "\"linkTags\":{\"product\":[\"book\",\"pen\"],"
	    "\"genre\":[\"fiction\"]}}}" },
	{ "5.9", EVENT_RENDERING_FAILURE, 1772446530123, false, fill_failure,
	    "{\"eventType\":\"Rendering Failure\","
	    WITHOUT_HEADERS("mary@example.com") TAGS("SendTemplatedEmail", "")
	    "\"failure\":{\"errorMessage\":\"Attribute 'attributeName' is "
	    "not present in the rendering data.\","
	    "\"templateName\":\"MyTemplate\"}}" },
	{ "5.10", EVENT_SUBSCRIPTION, 1772452817910, true, fill_subscription,
	    "{\"eventType\":\"Subscription\"," FULL SMTP(OUTGOING)
	    "\"subscription\":{\"contactList\":\"ContactListName\","
	    "\"timestamp\":\"2026-03-02T12:00:17.910Z\","
	    "\"source\":\"UnsubscribeHeader\","
	    "\"newTopicPreferences\":{\"unsubscribeAll\":true,"
	    "\"topicSubscriptionStatus\":" TOPIC("OptOut") ","
	    "\"topicDefaultSubscriptionStatus\":" TOPIC("OptIn") "},"
	    "\"oldTopicPreferences\":{\"unsubscribeAll\":false,"
	    "\"topicSubscriptionStatus\":" TOPIC("OptIn") ","
	    "\"topicDefaultSubscriptionStatus\":" TOPIC("OptIn") "}}}" },
};

static void
test_records(void **state)
{
	struct fixture f;
	size_t	       i;

	(void)state;
	for (i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		const struct record_case *c = &records[i];

		fixture_open(&f, c->type, c->at_ms);
		if (c->outgoing)
			fixture_outgoing(&f);
		c->fill(&f);
		assert_true(event_write_json(&f.ev, &f.mail, &f.out));
		if (strcmp(text_of(&f.out), c->record) != 0)
			fail_msg("%s:\n%s", c->name, f.out.p);
		buf_wipe(&f.out);
		buf_wipe(&f.snapshot);
	}
}

/* events#11: without header fields */
static void
test_notification_without_headers(void **state)
{
	static const struct event_form form = { true, false, false };
	struct fixture		       f;

	(void)state;
	fixture_open(&f, EVENT_BOUNCE, 1772446533410);
	fixture_outgoing(&f);
	bounce_of(&f);
	f.mail.source_ip = BYTES("192.0.2.10");
	f.mail.caller = BYTES("app1");
	assert_true(event_write_json_as(&f.ev, &f.mail, &form, &f.out));
	assert_string_equal(text_of(&f.out),
	    "{\"notificationType\":\"Bounce\"," MAIL_1("bounces@example.com")
	    "\"sourceIp\":\"192.0.2.10\",\"callerIdentity\":\"app1\","
	    "\"sendingAccountId\":\"123456789012\","
	    "\"messageId\":\"" ID "\","
	    "\"destination\":[\"recipient@example.org\"]}," BOUNCE);
	buf_wipe(&f.out);
	buf_wipe(&f.snapshot);
}

/* events#12: the client's Message-ID in a notification */
static void
test_notification_with_headers(void **state)
{
	static const struct event_form form = { true, true, false };
	struct fixture		       f;

	(void)state;
	fixture_open(&f, EVENT_BOUNCE, 1772446533410);
	bounce_of(&f);
	f.mail.source_ip = BYTES("192.0.2.10");
	f.mail.caller = BYTES("app1");
	assert_true(event_write_json_as(&f.ev, &f.mail, &form, &f.out));
	assert_string_equal(text_of(&f.out),
	    "{\"notificationType\":\"Bounce\"," MAIL_1("bounces@example.com")
	    "\"sourceIp\":\"192.0.2.10\",\"callerIdentity\":\"app1\","
	    MAIL_2 HEADERS COMMON("<order-17@app.example.com>") "}," BOUNCE);
	buf_wipe(&f.out);
	buf_wipe(&f.snapshot);
}

static void
test_extensions(void **state)
{
	static const struct event_form form = { false, false, true };
	struct fixture		       f;
	const char		      *at;

	(void)state;
	fixture_open(&f, EVENT_SEND, 1772446530123);
	memset(f.ev.id.b, 0xff, sizeof(f.ev.id.b));
	f.ev.attempts = 3;
	f.ev.simulator = true;
	f.mail.region = BYTES("us-east-1");
	f.mail.access_key_id = BYTES("AKIAEXAMPLE");
	assert_true(event_write_json_as(&f.ev, &f.mail, &form, &f.out));
	at = strstr(text_of(&f.out), "\"send\"");
	assert_non_null(at);
	assert_string_equal(at,
	    "\"send\":{},\"posthorn\":{\"eventId\":"
	    "\"evt_7ZZZZZZZZZZZZZZZZZZZZZZZZZ\",\"region\":\"us-east-1\","
	    "\"accessKeyId\":\"AKIAEXAMPLE\",\"attempts\":3,"
	    "\"simulator\":true}}");
	buf_wipe(&f.out);
	buf_wipe(&f.snapshot);
}

/* A section of fields "X-nn: value", count of them, each of cost octets. */
static void
make_section(struct buf *b, unsigned count, size_t cost)
{
	unsigned i;
	size_t	 j;

	for (i = 0; i < count; i++) {
		buf_printf(b, "X-%02u:", i);
		for (j = 0; j < cost - 8; j++)
			buf_add_char(b, 'v');
		buf_add_text(b, "\r\n");
	}
	assert_false(b->failed);
}

static size_t
snapshot_sum(struct bytes snapshot, unsigned *count)
{
	struct bytes name, value;
	size_t	     at = 0, sum = 0;

	*count = 0;
	while (event_snapshot_next(snapshot, &at, &name, &value)) {
		sum += name.n + value.n + 4;
		++*count;
	}
	assert_int_equal(at == 0 ? 1 : at, snapshot.n);
	return sum;
}

/* events#3,4 */
static void
test_limit_of_the_snapshot(void **state)
{
	static const struct {
		unsigned given;
		size_t	 cost;
		bool	 truncated;
		unsigned shown;
	} cases[] = {
		{ 10, 1024, false, 10 }, /* 10,240 exactly */
		{ 12, 1024, true, 10 },
		{ 1, 10240, false, 1 },
		{ 1, 10241, true, 0 },
		{ 0, 0, false, 0 },
	};
	struct buf b, out;
	unsigned   n;
	size_t	   i;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_init(&out, EVENT_SNAPSHOT_MAX);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_clear(&b);
		buf_clear(&out);
		make_section(&b, cases[i].given, cases[i].cost);
		assert_true(event_snapshot_headers(buf_bytes(&b), &out));
		assert_int_equal(event_snapshot_is_truncated(buf_bytes(&out)),
		    cases[i].truncated);
		assert_int_equal(snapshot_sum(buf_bytes(&out), &n),
		    cases[i].shown * cases[i].cost);
		assert_int_equal(n, cases[i].shown);
	}
	buf_wipe(&b);
	buf_wipe(&out);
}

/* A small field behind one that does not fit is left out as well. */
static void
test_snapshot_ends_at_the_first_that_does_not_fit(void **state)
{
	struct buf b, out;
	unsigned   n;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_init(&out, EVENT_SNAPSHOT_MAX);
	buf_add_text(&b, "A: 1\r\n");
	make_section(&b, 1, 11000);
	buf_add_text(&b, "B: 2\r\n");
	assert_true(event_snapshot_headers(buf_bytes(&b), &out));
	assert_true(event_snapshot_is_truncated(buf_bytes(&out)));
	assert_int_equal(snapshot_sum(buf_bytes(&out), &n), 6);
	assert_int_equal(n, 1);
	buf_wipe(&b);
	buf_wipe(&out);
}

static void
test_damaged_snapshot_ends(void **state)
{
	static const char bad[] = { 0, 0, 3, 0, 9, 'a', 'b', 'c', 'd' };
	struct bytes	  name, value;
	size_t		  at, n;

	(void)state;
	for (n = 0; n <= sizeof(bad); n++) {
		at = 0;
		assert_false(event_snapshot_next(
		    (struct bytes){ bad, n }, &at, &name, &value));
	}
}

/* commonHeaders of all sorts of fields. */
static void
test_common_headers(void **state)
{
	static const struct {
		const char *section, *common;
	} cases[] = {
		{ "Return-Path: <fb@example.com>\r\n"
		  "From: a@x.example, \"B, \\\"C\\\"\" <b@x.example>\r\n"
		  "Date: Mon, 02 Mar 2026 10:15:30 +0000\r\n"
		  "Sender: Z <z@x.example>\r\n"
		  "Reply-To: r@x.example\r\n"
		  "To: =?UTF-8?Q?J=C3=B6rg?= <j@x.example>,\r\n"
		  "\tk@x.example\r\n"
		  "to: l@x.example\r\n"
		  "Cc: c@x.example\r\n"
		  "Bcc: d@x.example\r\n"
		  "Subject: one\r\n  two\r\n"
		  "Subject: three\r\n",
		    "{\"returnPath\":\"fb@example.com\","
		    "\"from\":[\"a@x.example\",\"B, \\\"C\\\" <b@x.example>\"],"
		    "\"date\":\"Mon, 02 Mar 2026 10:15:30 +0000\","
		    "\"sender\":\"Z <z@x.example>\","
		    "\"replyTo\":[\"r@x.example\"],"
		    "\"to\":[\"J\xc3\xb6rg <j@x.example>\",\"k@x.example\","
		    "\"l@x.example\"],\"cc\":[\"c@x.example\"],"
		    "\"bcc\":[\"d@x.example\"],\"messageId\":\"" ID "\","
		    "\"subject\":\"one  two\"}" },
		{ "Return-Path: <>\r\nTo: undisclosed-recipients:;\r\n"
		  "Cc:\r\nFrom: not an address\r\n",
		    "{\"returnPath\":\"\",\"from\":[\"not an address\"],"
		    "\"to\":[],\"cc\":[],"
		    "\"messageId\":\"" ID "\"}" },
		{ "X: y\r\n", "{\"messageId\":\"" ID "\"}" },
	};
	struct fixture f;
	const char    *at, *end;
	size_t	       i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture_open(&f, EVENT_SEND, 0);
		buf_clear(&f.snapshot);
		assert_true(event_snapshot_headers(
		    bytes_of(cases[i].section), &f.snapshot));
		f.mail.snapshot = buf_bytes(&f.snapshot);
		assert_true(event_write_json(&f.ev, &f.mail, &f.out));
		at = strstr(text_of(&f.out), "\"commonHeaders\":");
		assert_non_null(at);
		at += strlen("\"commonHeaders\":");
		end = strstr(at, ",\"tags\":");
		assert_non_null(end);
		f.out.p[end - f.out.p] = '\0';
		assert_string_equal(at, cases[i].common);
		buf_wipe(&f.out);
		buf_wipe(&f.snapshot);
	}
}

/* One field of 10,000 octets that take six each in JSON. */
static void
snapshot_of_controls(struct buf *out)
{
	struct buf b;
	unsigned   i;

	buf_init(&b, 1 << 16);
	buf_add_text(&b, "X: ");
	for (i = 0; i < 10000; i++)
		buf_add_char(&b, 1);
	buf_add_text(&b, "\r\n");
	buf_clear(out);
	assert_true(event_snapshot_headers(buf_bytes(&b), out));
	buf_wipe(&b);
}

/* events.md 13: long texts end in "...", long records lose header fields */
static void
test_limits_of_the_record(void **state)
{
	static char    reply[4000], address[4100];
	struct bytes   many[60];
	struct fixture f;
	const char    *at;
	size_t	       i;

	(void)state;
	memset(reply, 'r', sizeof(reply));
	fixture_open(&f, EVENT_DELIVERY, 1772446531005);
	f.ev.reply = (struct bytes){ reply, sizeof(reply) };
	assert_true(event_write_json(&f.ev, &f.mail, &f.out));
	at = strstr(text_of(&f.out), "\"smtpResponse\":\"");
	assert_non_null(at);
	at += strlen("\"smtpResponse\":\"");
	assert_int_equal(strcspn(at, "\""), 2048);
	assert_memory_equal(at + 2044, "r...\"", 5);

	/* 246,000 octets of addresses leave no room for the fields */
	memset(address, 'a', sizeof(address));
	for (i = 0; i < 60; i++)
		many[i] = (struct bytes){ address, sizeof(address) };
	buf_clear(&f.out);
	snapshot_of_controls(&f.snapshot);
	f.mail.snapshot = buf_bytes(&f.snapshot);
	f.mail.destinations = many;
	f.mail.destination_count = 60;
	assert_true(event_write_json(&f.ev, &f.mail, &f.out));
	assert_true(f.out.n <= EVENT_RECORD_MAX);
	assert_false(f.out.failed);
	assert_non_null(
	    strstr(f.out.p, "\"headersTruncated\":true,\"headers\":[]"));
	buf_wipe(&f.out);

	/* a buffer that is too small says so */
	buf_init(&f.out, 1000);
	assert_false(event_write_json(&f.ev, &f.mail, &f.out));
	buf_wipe(&f.out);
	buf_wipe(&f.snapshot);
}

static void
test_text_line(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, EVENT_DELIVERY, 1772446531005);
	f.ev.reply = BYTES("250 2.6.0 Message received");
	f.ev.remote_ip = BYTES("203.0.113.25");
	assert_true(event_write_text(&f.ev, &f.mail, &f.out));
	assert_string_equal(text_of(&f.out),
	    "2026-03-02T10:15:31.005Z DELIVERY " ID
	    " recipient@example.org 203.0.113.25 "
	    "\"250 2.6.0 Message received\"");
	buf_clear(&f.out);
	f.ev.type = EVENT_SEND;
	f.ev.recipient_count = 0;
	f.ev.remote_ip = BYTES("");
	assert_true(event_write_text(&f.ev, &f.mail, &f.out));
	assert_string_equal(text_of(&f.out),
	    "2026-03-02T10:15:31.005Z SEND " ID " recipient@example.org - -");
	buf_wipe(&f.out);
	buf_wipe(&f.snapshot);
}

static void
test_type_names(void **state)
{
	static const struct {
		const char *text;
		enum event_type type;
	} good[] = {
		{ "SEND", EVENT_SEND },
		{ "send", EVENT_SEND },
		{ "Rendering Failure", EVENT_RENDERING_FAILURE },
		{ "renderingFailure", EVENT_RENDERING_FAILURE },
		{ "RENDERING_FAILURE", EVENT_RENDERING_FAILURE },
		{ "deliveryDelay", EVENT_DELIVERY_DELAY },
		{ "delivery_delay", EVENT_DELIVERY_DELAY },
		{ "DeliveryDelay", EVENT_DELIVERY_DELAY },
	};
	enum event_type t;
	unsigned	i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(event_type_from_text(bytes_of(good[i].text), &t));
		assert_int_equal(t, good[i].type);
	}
	for (i = 0; i < EVENT_TYPES; i++) {
		assert_true(event_type_from_text(
		    bytes_of(event_type_to_text((enum event_type)i)), &t));
		assert_int_equal(t, i);
		assert_true(event_type_from_text(
		    bytes_of(event_type_to_wire((enum event_type)i)), &t));
		assert_int_equal(t, i);
	}
	assert_false(event_type_from_text(BYTES("Delivered"), &t));
	assert_false(event_type_from_text(BYTES(""), &t));
	assert_string_equal(event_type_to_label(EVENT_RENDERING_FAILURE),
	    "RenderingFailure");
	assert_string_equal(event_type_to_label(EVENT_DELIVERY_DELAY),
	    "DeliveryDelay");
}

static void
test_event_ids(void **state)
{
	struct event_id id;
	char		a[EVENT_ID_TEXT + 1], b[EVENT_ID_TEXT + 1];

	(void)state;
	memset(&id, 0, sizeof(id));
	assert_string_equal(event_id_to_text(&id, a),
	    "evt_00000000000000000000000000");
	id.b[15] = 0x1f;
	assert_string_equal(event_id_to_text(&id, a),
	    "evt_0000000000000000000000000Z");
	/* 01ARYZ6S41 is the time 1469918176385 of the ULID specification */
	event_id_make((struct wall){ 1469918176385 }, &id);
	event_id_to_text(&id, a);
	assert_memory_equal(a, "evt_01ARYZ6S41", 14);
	event_id_make((struct wall){ 1469918176385 }, &id);
	event_id_to_text(&id, b);
	assert_string_not_equal(a, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_notification_without_headers),
		cmocka_unit_test(test_notification_with_headers),
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_limit_of_the_snapshot),
		cmocka_unit_test(
		    test_snapshot_ends_at_the_first_that_does_not_fit),
		cmocka_unit_test(test_damaged_snapshot_ends),
		cmocka_unit_test(test_common_headers),
		cmocka_unit_test(test_limits_of_the_record),
		cmocka_unit_test(test_text_line),
		cmocka_unit_test(test_type_names),
		cmocka_unit_test(test_event_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
