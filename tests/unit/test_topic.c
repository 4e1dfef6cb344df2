/* SPDX-License-Identifier: ISC */
/* events.md 6 and 7.1: topics, and which events of an identity go to them. */
#include "book_world.h"

#include "registry/account.h"
#include "registry/destination.h"
#include "registry/notification.h"
#include "registry/topic.h"

static const struct wall now = { world_time };

static struct topic
make_topic(struct db_txn *t, const char *account, const char *name)
{
	struct topic x;
	struct err   e;

	topic_init(&x, account, name, now);
	if (topic_create(t, &x, &e) != 0)
		fail_msg("%s", e.text);
	return x;
}

static struct destination
subscribe(struct db_txn *t, const struct topic *x, const char *file)
{
	struct destination d;
	struct err	   e;

	topic_subscription_init(x, now, &d);
	strcpy(d.file.name, file);
	if (destination_create(t, &d, &e) != 0)
		fail_msg("%s", e.text);
	return d;
}

/* -- names ----------------------------------------------------------------- */

static void
names(void **state)
{
	char		 text[300];
	struct topic_ref r;
	char		 arn[TOPIC_ARN_SIZE];

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_true(topic_name_is_valid((struct bytes){ text, 1 }));
	assert_true(topic_name_is_valid((struct bytes){ text, 256 }));
	assert_false(topic_name_is_valid((struct bytes){ text, 257 }));
	assert_false(topic_name_is_valid(BYTES("")));
	assert_true(topic_name_is_valid(BYTES("A-z_9")));
	assert_false(topic_name_is_valid(BYTES("a b")));
	assert_false(topic_name_is_valid(BYTES("a.fifo")));
	assert_true(topic_ref_read(BYTES("T"), world_account, &r));
	assert_string_equal(topic_ref_arn(&r, "eu-west-1", arn),
	    "arn:aws:sns:eu-west-1:123456789012:T");
	assert_false(topic_ref_read(BYTES("T"), NULL, &r));
	/* neither partition nor region is compared */
	assert_true(topic_ref_read(
	    BYTES("arn:aws-cn:sns:x:888888888888:T-1"), world_account, &r));
	assert_string_equal(r.account, "888888888888");
	assert_string_equal(r.name, "T-1");
}

static void
no_arns(void **state)
{
	static const char *const texts[] = { "", "arn:aws:sns",
		"arn:aws:sns:us-east-1:123456789012",
		"arn:aws:sns:us-east-1:123456789012:",
		"arn:aws:sqs:us-east-1:123456789012:T",
		"arn:aws:sns:us-east-1:12345678901:T",
		"arn:aws:sns:us-east-1:12345678901x:T",
		"arn:aws:sns:us-east-1:123456789012:T:sub",
		"arn:aws:sns:us-east-1:123456789012:T.fifo",
		"urn:aws:sns:us-east-1:123456789012:T", "a b" };
	struct topic_ref r;
	size_t		 i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (topic_ref_read(bytes_of(texts[i]), world_account, &r))
			fail_msg("%s", texts[i]);
}

/* -- records --------------------------------------------------------------- */

static void
body_register(struct db_txn *t)
{
	struct topic x = make_topic(t, world_account, "T"), y;
	struct err   e;

	assert_true(topic_add_publisher(&x, world_other));
	assert_true(topic_add_publisher(&x, world_other));
	assert_int_equal(x.publisher_count, 1);
	assert_int_equal(topic_put(t, &x, &e), 0);
	assert_int_equal(topic_get(t, &x.ref, &y, &e), 1);
	assert_memory_equal(&x, &y, sizeof(x));
	assert_true(topic_may_publish(&y, world_account));
	assert_true(topic_may_publish(&y, world_other));
	assert_false(topic_may_publish(&y, "444455556666"));
	assert_int_equal(topic_create(t, &x, &e), -1);
	assert_int_equal(e.code, BOOK_EXISTS);
	topic_init(&y, world_other, "T", now);
	assert_int_equal(topic_get(t, &y.ref, &x, &e), 0);
	topic_init(&y, world_account, "a.fifo", now);
	assert_int_equal(topic_create(t, &y, &e), -1);
	assert_int_equal(e.code, BOOK_BAD_REQUEST);
}

static void
body_limits(struct db_txn *t)
{
	struct topic	   x, first;
	struct destination d;
	struct err	   e;
	char		   name[32];
	unsigned	   i;

	for (i = 0; i < TOPICS_MAX; i++) {
		snprintf(name, sizeof(name), "T%u", i);
		x = make_topic(t, world_account, name);
		if (i == 0)
			first = x;
	}
	topic_init(&x, world_account, "more", now);
	assert_int_equal(topic_create(t, &x, &e), -1);
	assert_int_equal(e.code, BOOK_LIMIT);
	(void)make_topic(t, world_other, "more");
	for (i = 0; i < TOPIC_SUBSCRIPTIONS_MAX; i++)
		(void)subscribe(t, &first, "f");
	topic_subscription_init(&first, now, &d);
	strcpy(d.file.name, "f");
	assert_int_equal(destination_create(t, &d, &e), -1);
	assert_int_equal(e.code, BOOK_LIMIT);
	for (i = 0; i < TOPIC_PUBLISHERS_MAX; i++) {
		snprintf(name, sizeof(name), "%012u", i + 1);
		assert_true(topic_add_publisher(&first, name));
	}
	assert_false(topic_add_publisher(&first, world_other));
	assert_int_equal(topic_put(t, &first, &e), 0);
	assert_int_equal(topic_get(t, &first.ref, &x, &e), 1);
	assert_int_equal(x.publisher_count, TOPIC_PUBLISHERS_MAX);
	/* an account that goes takes them along, a few at a time */
	assert_int_equal(topic_purge(t, world_account, 60, &e), 60);
	assert_int_equal(topic_purge(t, world_account, 60, &e), 40);
	assert_int_equal(topic_purge(t, world_other, 60, &e), 1);
}

static bool
on_destination(void *count, const struct destination *d)
{
	assert_true(destination_is_subscription(d));
	++*(unsigned *)count;
	return true;
}

/* Made again it has a new id: what waited for the old one is gone. */
static void
body_deleted(struct db_txn *t)
{
	struct topic	     x = make_topic(t, world_account, "T"), y;
	struct destination   d = subscribe(t, &x, "f"), back;
	struct err	     e;
	unsigned	     count = 0;

	assert_int_equal(strlen(d.name), 36);
	assert_true(d.sns);
	assert_int_equal(destination_get(t, &x.id, bytes_of(d.name), &back,
	    &e), 1);
	assert_memory_equal(&d, &back, sizeof(d));
	(void)subscribe(t, &x, "g");
	assert_int_equal(destination_each(t, NULL, on_destination, &count,
	    &e), 0);
	assert_int_equal(count, 2);
	assert_int_equal(topic_delete(t, &x.ref, &e), 1);
	assert_int_equal(topic_delete(t, &x.ref, &e), 0);
	assert_int_equal(destination_each(t, NULL, on_destination, &count,
	    &e), 0);
	assert_int_equal(count, 2);
	y = make_topic(t, world_account, "T");
	assert_memory_not_equal(x.id.b, y.id.b, sizeof(x.id.b));
}

static void
damaged(void **state)
{
	struct topic x, y;
	struct buf   b;
	size_t	     n;

	(void)state;
	topic_init(&x, world_account, "T", now);
	assert_true(topic_add_publisher(&x, world_other));
	buf_init(&b, 4096);
	assert_true(topic_write_record(&x, &b));
	assert_true(topic_read_record(buf_bytes(&b), &y));
	for (n = 0; n < b.n; n++)
		assert_false(topic_read_record(bytes_head(buf_bytes(&b), n),
		    &y));
	buf_wipe(&b);
}

/* -- is it a channel? ------------------------------------------------------ */

static enum topic_state
look(struct db_txn *t, const char *name, const char *account,
    const struct event *ev)
{
	struct topic_ref r;
	enum topic_state state;
	struct err	 e;

	assert_true(topic_ref_read(bytes_of(name), world_account, &r));
	if (topic_look(t, &r, account, ev, &state, &e) != 0)
		fail_msg("%s", e.text);
	return state;
}

static void
body_states(struct db_txn *t)
{
	struct topic	   x = make_topic(t, world_account, "T");
	struct destination d, f;
	struct event	   ev = { .type = EVENT_BOUNCE };
	struct err	   e;

	event_id_make(now, &ev.id);
	assert_int_equal(look(t, "none", world_account, &ev), TOPIC_DEAD);
	assert_int_equal(look(t, "T", world_account, &ev), TOPIC_SILENT);
	d = subscribe(t, &x, "f");
	assert_int_equal(look(t, "T", world_account, &ev), TOPIC_WORKS);
	assert_int_equal(look(t, "T", world_other, &ev), TOPIC_DEAD);
	/* it was not there yet */
	event_id_make((struct wall){ now.ms - 1 }, &ev.id);
	assert_int_equal(look(t, "T", world_account, &ev), TOPIC_SILENT);
	assert_int_equal(look(t, "T", world_account, NULL), TOPIC_WORKS);
	/* by an operator, by posthorn, and one of two */
	(void)destination_switch(&d, false, now);
	assert_int_equal(destination_put(t, &d, &e), 0);
	assert_int_equal(look(t, "T", world_account, NULL), TOPIC_SILENT);
	(void)destination_switch(&d, true, now);
	destination_disable(&d, "endpoint refused", now);
	assert_int_equal(destination_put(t, &d, &e), 0);
	assert_int_equal(look(t, "T", world_account, NULL), TOPIC_DEAD);
	f = subscribe(t, &x, "g");
	assert_int_equal(look(t, "T", world_account, NULL), TOPIC_WORKS);
	assert_int_equal(destination_delete(t, &f, &e), 1);
	assert_int_equal(look(t, "T", world_account, NULL), TOPIC_DEAD);
}

/* -- notifications --------------------------------------------------------- */

static const struct notification_way *
takes(const struct notification *n, enum event_type type, int64_t at)
{
	struct event ev = { .type = type };

	event_id_make((struct wall){ at }, &ev.id);
	return notification_takes(n, &ev);
}

/* What happened under a setting goes by it, also when it is told later. */
static void
by_when_it_happened(void **state)
{
	struct notification n;
	struct topic_ref    a = { "123456789012", "A" };
	struct topic_ref    b = { "123456789012", "B" };

	(void)state;
	notification_init(&n, world_account, "example.com");
	assert_true(notification_set(&n, NOTIFICATION_BOUNCE, &a,
	    (struct wall){ 100 }));
	assert_false(notification_set(&n, NOTIFICATION_BOUNCE, &a,
	    (struct wall){ 150 }));
	n.now[NOTIFICATION_BOUNCE].headers = true;
	assert_null(takes(&n, EVENT_BOUNCE, 99));
	assert_string_equal(takes(&n, EVENT_BOUNCE, 100)->topic.name, "A");
	assert_null(takes(&n, EVENT_COMPLAINT, 100));
	assert_null(takes(&n, EVENT_SEND, 100));
	assert_true(notification_set(&n, NOTIFICATION_BOUNCE, &b,
	    (struct wall){ 200 }));
	assert_true(notification_names(&n, &b));
	assert_false(notification_names(&n, &a));
	assert_true(takes(&n, EVENT_BOUNCE, 199)->headers);
	assert_string_equal(takes(&n, EVENT_BOUNCE, 199)->topic.name, "A");
	assert_string_equal(takes(&n, EVENT_BOUNCE, 200)->topic.name, "B");
	assert_false(takes(&n, EVENT_BOUNCE, 200)->headers);
	assert_true(notification_set(&n, NOTIFICATION_BOUNCE, NULL,
	    (struct wall){ 300 }));
	assert_string_equal(takes(&n, EVENT_BOUNCE, 299)->topic.name, "B");
	assert_null(takes(&n, EVENT_BOUNCE, 300));
	assert_null(takes(&n, EVENT_BOUNCE, 150));
}

static bool
on_notification(void *count, const struct notification *n)
{
	assert_string_equal(n->identity, "example.com");
	++*(unsigned *)count;
	return true;
}

static void
body_notifications(struct db_txn *t)
{
	struct notification n, back;
	struct topic_ref    a = { "888888888888", "A" };
	struct err	    e;
	unsigned	    count = 0;

	assert_int_equal(notification_get(t, world_account, "example.com", &n,
	    &e), 0);
	assert_string_equal(n.identity, "example.com");
	/* nothing in it: no row */
	assert_int_equal(notification_put(t, &n, &e), 0);
	assert_int_equal(notification_each(t, NULL, on_notification, &count,
	    &e), 0);
	assert_int_equal(count, 0);
	(void)notification_set(&n, NOTIFICATION_DELIVERY, &a, now);
	n.now[NOTIFICATION_DELIVERY].headers = true;
	assert_int_equal(notification_put(t, &n, &e), 0);
	assert_int_equal(notification_get(t, world_account, "example.com",
	    &back, &e), 1);
	assert_memory_equal(&n, &back, sizeof(n));
	assert_int_equal(notification_get(t, world_other, "example.com",
	    &back, &e), 0);
	assert_int_equal(notification_each(t, world_account, on_notification,
	    &count, &e), 0);
	assert_int_equal(count, 1);
}

/* The identity takes its settings along. */
static void
body_identity_goes(struct db_txn *t)
{
	struct identity	    i;
	struct notification n;
	struct topic_ref    a = { "123456789012", "A" };
	struct err	    e;

	identity_init(&i, world_account, "example.com", now);
	assert_int_equal(identity_create(t, &i, &e), 0);
	notification_init(&n, world_account, "example.com");
	(void)notification_set(&n, NOTIFICATION_BOUNCE, &a, now);
	assert_int_equal(notification_put(t, &n, &e), 0);
	assert_int_equal(identity_delete(t, world_account, "example.com",
	    &e), 1);
	assert_int_equal(notification_get(t, world_account, "example.com", &n,
	    &e), 0);
}

static void
damaged_notifications(void **state)
{
	struct notification n, back;
	struct topic_ref    a = { "123456789012", "A" };
	struct buf	    b;
	size_t		    i;

	(void)state;
	notification_init(&n, world_account, "example.com");
	(void)notification_set(&n, NOTIFICATION_BOUNCE, &a, now);
	(void)notification_set(&n, NOTIFICATION_BOUNCE, NULL, now);
	buf_init(&b, 4096);
	assert_true(notification_write_record(&n, &b));
	assert_true(notification_read_record(buf_bytes(&b), &back));
	for (i = 0; i < b.n; i++)
		assert_false(notification_read_record(
		    bytes_head(buf_bytes(&b), i), &back));
	buf_clear(&b);
	strcpy(n.former[NOTIFICATION_BOUNCE].topic.name, "a b");
	assert_true(notification_write_record(&n, &b));
	assert_false(notification_read_record(buf_bytes(&b), &back));
	buf_wipe(&b);
}

static void
topics_of_accounts(void **state)
{
	(void)state;
	world_test(body_register);
}

static void
limits(void **state)
{
	(void)state;
	world_test(body_limits);
}

static void
deleted(void **state)
{
	(void)state;
	world_test(body_deleted);
}

static void
states(void **state)
{
	(void)state;
	world_test(body_states);
}

static void
notifications(void **state)
{
	(void)state;
	world_test(body_notifications);
}

static void
the_identity_goes(void **state)
{
	(void)state;
	world_test(body_identity_goes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(no_arns),
		cmocka_unit_test(topics_of_accounts),
		cmocka_unit_test(limits),
		cmocka_unit_test(deleted),
		cmocka_unit_test(damaged),
		cmocka_unit_test(states),
		cmocka_unit_test(by_when_it_happened),
		cmocka_unit_test(notifications),
		cmocka_unit_test(the_identity_goes),
		cmocka_unit_test(damaged_notifications),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
