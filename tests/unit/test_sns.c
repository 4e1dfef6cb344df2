/* SPDX-License-Identifier: ISC */
/* events.md 10.3: the envelope that consumers of SNS expect. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "registry/config_set.h"
#include "registry/topic.h"
#include "reporting/sns.h"

static void
the_envelope(void **state)
{
	static const char want[] = "{\"Type\":\"Notification\","
	    "\"MessageId\":\"00010203-0405-0607-0809-0a0b0c0d0eff\","
	    "\"TopicArn\":\"arn:aws:sns:eu-west-1:123456789012:S-hooks\","
	    "\"Subject\":\"Amazon SES Email Event Notification\","
	    "\"Message\":\"{\\\"eventType\\\":\\\"Send\\\",\\\"x\\\":"
	    "\\\"a\\\\nb\\\"}\","
	    "\"Timestamp\":\"2024-05-01T12:00:00.020Z\","
	    "\"SignatureVersion\":\"2\"}";
	struct event_id	  id = { { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
		  13, 14, 255 } };
	struct wall	  now = { INT64_C(1714564800020) };
	struct config_set s;
	struct destination d;
	struct sns_names  n;
	struct buf	  out;

	(void)state;
	config_set_init(&s, "123456789012", "S", now);
	destination_init(&d, &s, "hooks", now);
	memset(d.id.b, 0x1f, sizeof(d.id.b));
	sns_names(&d, "eu-west-1", &id, &n);
	assert_string_equal(n.subscription, "arn:aws:sns:eu-west-1:"
	    "123456789012:S-hooks:1f1f1f1f-1f1f-1f1f-1f1f-1f1f1f1f1f1f");
	buf_init(&out, 1024);
	assert_true(sns_write(&n, SNS_SUBJECT, now,
	    BYTES("{\"eventType\":\"Send\",\"x\":\"a\\nb\"}"), &out));
	assert_true(bytes_eq_text(buf_bytes(&out), want));
	buf_wipe(&out);
	/* no room is no envelope */
	buf_init(&out, 100);
	assert_false(sns_write(&n, SNS_SUBJECT, now, BYTES("{}"), &out));
	buf_wipe(&out);
}

/* Of a topic: its own name, and no subject for a notification. */
static void
of_a_topic(void **state)
{
	struct event_id	   id = { { 0 } };
	struct topic	   x;
	struct destination d;
	struct sns_names   n;
	struct buf	   out;

	(void)state;
	topic_init(&x, "123456789012", "bounces", (struct wall){ 1 });
	topic_subscription_init(&x, (struct wall){ 1 }, &d);
	memset(d.id.b, 0x1f, sizeof(d.id.b));
	sns_names(&d, "eu-west-1", &id, &n);
	assert_string_equal(n.topic, "arn:aws:sns:eu-west-1:123456789012:"
	    "bounces");
	assert_string_equal(n.subscription, "arn:aws:sns:eu-west-1:"
	    "123456789012:bounces:1f1f1f1f-1f1f-1f1f-1f1f-1f1f1f1f1f1f");
	buf_init(&out, 1024);
	assert_true(sns_write(&n, NULL, (struct wall){ 20 }, BYTES("{}"),
	    &out));
	assert_true(bytes_eq_text(buf_bytes(&out),
	    "{\"Type\":\"Notification\",\"MessageId\":"
	    "\"00000000-0000-0000-0000-000000000000\",\"TopicArn\":"
	    "\"arn:aws:sns:eu-west-1:123456789012:bounces\","
	    "\"Message\":\"{}\",\"Timestamp\":"
	    "\"1970-01-01T00:00:00.020Z\",\"SignatureVersion\":\"2\"}"));
	buf_wipe(&out);
}

/* The longest names of all have room. */
static void
long_names(void **state)
{
	struct event_id	   id = { { 0 } };
	struct config_set  s;
	struct destination d;
	struct topic	   x;
	struct sns_names   n;
	char		   name[65], longer[TOPIC_NAME_SIZE];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[64] = '\0';
	config_set_init(&s, "123456789012", name, (struct wall){ 1 });
	destination_init(&d, &s, name, (struct wall){ 1 });
	sns_names(&d, "ap-northeast-1-with-32-letters-x", &id, &n);
	assert_int_equal(strlen(n.topic), strlen("arn:aws:sns:") + 32 + 1 +
	    12 + 1 + 64 + 1 + 64);
	assert_int_equal(strlen(n.subscription), strlen(n.topic) + 1 + 36);
	memset(longer, 'n', sizeof(longer));
	longer[256] = '\0';
	topic_init(&x, "123456789012", longer, (struct wall){ 1 });
	topic_subscription_init(&x, (struct wall){ 1 }, &d);
	sns_names(&d, "ap-northeast-1-with-32-letters-x", &id, &n);
	assert_int_equal(strlen(n.topic), strlen("arn:aws:sns:") + 32 + 1 +
	    12 + 1 + 256);
	assert_int_equal(strlen(n.subscription), strlen(n.topic) + 1 + 36);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_envelope),
		cmocka_unit_test(of_a_topic),
		cmocka_unit_test(long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
