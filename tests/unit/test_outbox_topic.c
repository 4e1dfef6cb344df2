/* SPDX-License-Identifier: ISC */
/* events.md 6, 7 and 10: what comes to the subscriptions of a topic, by which
 * way, and that none of it is lost. */
#include "fake_clock.c"
#include "fake_thread.c"
#include "reporting_world.h"

#include <sys/stat.h>

#include "registry/destination.h"
#include "registry/notification.h"

enum { MANY = 300 /* more than an outlet keeps in memory */ };

struct bed {
	struct rw	    w;
	struct config_set   set;
	struct topic	    x;
	struct destination  sub, d; /* d: of the set, names the topic */
	struct notification n;
	struct rw_spec	    spec;
	char		    text[1 << 20]; /* of the file */
};

static int
make(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	rw_open(&b->w);
	*state = b;
	return 0;
}

static int
unmake(void **state)
{
	struct bed *b = *state;

	rw_close(&b->w);
	free(b);
	return 0;
}

static void
put_identity(struct db_txn *t)
{
	struct identity *i = mem_alloc(sizeof(*i));
	struct err	 e;

	identity_init(i, rw_account, "example.com", clock_wall());
	i->method = METHOD_OVERRIDE;
	i->link.status = IDENTITY_SUCCESS;
	i->forwarding = false;
	assert_int_equal(identity_create(t, i, &e), 0);
	mem_free(i);
}

static void
put_all(struct db_txn *t, void *arg)
{
	static const char *const none[] = { NULL };
	struct bed *b = arg;
	struct err  e;

	rw_put_account(t, (void *)(uintptr_t)none);
	put_identity(t);
	assert_int_equal(config_set_create(t, &b->set, &e), 0);
	assert_int_equal(topic_create(t, &b->x, &e), 0);
	assert_int_equal(destination_create(t, &b->sub, &e), 0);
}

static void
put_notification(struct db_txn *t, void *n)
{
	struct err e;

	assert_int_equal(notification_put(t, n, &e), 0);
}

static void
put_destination(struct db_txn *t, void *d)
{
	struct err e;

	assert_int_equal(destination_put(t, d, &e), 0);
}

static void
put_topic(struct db_txn *t, void *x)
{
	struct err e;

	assert_int_equal(topic_put(t, x, &e), 0);
}

static void
delete_topic(struct db_txn *t, void *x)
{
	struct err e;

	assert_int_equal(topic_delete(t, &((struct topic *)x)->ref, &e), 1);
}

/* A topic with a file, and an identity whose bounces go there. */
static void
begin(struct bed *b)
{
	rw_begin(&b->w);
	config_set_init(&b->set, rw_account, "S", clock_wall());
	topic_init(&b->x, rw_account, "T", clock_wall());
	topic_subscription_init(&b->x, clock_wall(), &b->sub);
	strcpy(b->sub.file.name, "t.jsonl");
	b->sub.file.sync = SYNC_EACH;
	b->sub.sns = false;
	destination_init(&b->d, &b->set, "topic", clock_wall());
	b->d.kind = DESTINATION_TOPIC;
	b->d.topic = b->x.ref;
	b->d.types = DESTINATION_ALL_TYPES;
	rw_write(&b->w, put_all, b);
	notification_init(&b->n, rw_account, "example.com");
	(void)notification_set(&b->n, NOTIFICATION_BOUNCE, &b->x.ref,
	    clock_wall());
	rw_write(&b->w, put_notification, &b->n);
	b->spec = (struct rw_spec){ .header = "Subject: test\r\n",
		.forward = "bob@example.com", .identity = "example.com",
		.rcpts = { "jane@sink.example" } };
}

static unsigned
lines(struct bed *b)
{
	char	 path[256];
	unsigned n = 0;
	size_t	 i, size;
	FILE	*f;

	b->text[0] = '\0';
	snprintf(path, sizeof(path), "%s/%s/t.jsonl", b->w.dir, rw_account);
	f = fopen(path, "r");
	if (f == NULL)
		return 0;
	size = fread(b->text, 1, sizeof(b->text) - 1, f);
	fclose(f);
	b->text[size] = '\0';
	for (i = 0; i < size; i++)
		n += b->text[i] == '\n';
	return n;
}

static unsigned
count(const struct bed *b, const char *what)
{
	const char *p = b->text;
	unsigned    n = 0;

	while ((p = strstr(p, what)) != NULL) {
		p += strlen(what);
		n++;
	}
	return n;
}

/* Nothing can be written until it is taken away. */
static void
block(struct bed *b, bool on)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", b->w.dir, rw_account);
	if (on)
		(void)mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s/t.jsonl", b->w.dir, rw_account);
	assert_int_equal(on ? mkdir(path, 0700) : rmdir(path), 0);
}

static void
bounce(struct bed *b)
{
	struct msgid id = rw_submit(&b->w, &b->spec);

	rw_bounce(&b->w, &id, 1, "jane@sink.example");
}

/* -- ways ------------------------------------------------------------------ */

static void
notifications_come(void **state)
{
	struct bed *b = *state;

	begin(b);
	bounce(b);
	assert_int_equal(lines(b), 1);
	assert_memory_equal(b->text, "{\"notificationType\":\"Bounce\",", 29);
	assert_null(strstr(b->text, "\"headers\":"));
	assert_int_equal(b->w.mail_count, 0);
	/* the setting counts at once */
	b->n.now[NOTIFICATION_BOUNCE].headers = true;
	rw_write(&b->w, put_notification, &b->n);
	bounce(b);
	assert_int_equal(lines(b), 2);
	assert_int_equal(count(b, "\"headers\":"), 1);
	/* what has no identity goes nowhere */
	b->spec.identity = NULL;
	bounce(b);
	assert_int_equal(lines(b), 2);
	assert_int_equal(b->w.mail_count, 1);
}

/* Two channels, two reports of one event (7.3). */
static void
both_ways_add_up(void **state)
{
	struct bed *b = *state;

	begin(b);
	rw_write(&b->w, put_destination, &b->d);
	b->spec.set = &b->set;
	bounce(b);
	assert_int_equal(lines(b), 3);
	assert_int_equal(count(b, "{\"eventType\":\"Send\""), 1);
	assert_int_equal(count(b, "{\"eventType\":\"Bounce\""), 1);
	assert_int_equal(count(b, "{\"notificationType\":\"Bounce\""), 1);
	assert_int_equal(count(b, "\"tags\":"), 2);
}

/* A file may have the envelopes of SNS as well, a line each. */
static void
envelopes_in_a_file(void **state)
{
	struct bed *b = *state;

	begin(b);
	b->sub.sns = true;
	rw_write(&b->w, put_destination, &b->sub);
	bounce(b);
	assert_int_equal(lines(b), 1);
	assert_memory_equal(b->text, "{\"Type\":\"Notification\",", 23);
	assert_non_null(strstr(b->text, "\"TopicArn\":\"arn:aws:sns:"
	    "us-east-1:123456789012:T\",\"Message\":\"{\\\"notificationType"));
}

/* -- nothing is lost ------------------------------------------------------- */

static void
many_that_wait(void **state)
{
	struct bed *b = *state;
	unsigned    i;

	begin(b);
	rw_write(&b->w, put_destination, &b->d);
	b->spec.set = &b->set;
	block(b, true);
	for (i = 0; i < MANY / 2; i++)
		bounce(b);
	rw_crash(&b->w);
	rw_begin(&b->w);
	for (; i < MANY; i++)
		bounce(b);
	block(b, false);
	rw_pass(&b->w, 12 * hour);
	assert_true(lines(b) >= 3 * MANY);
	assert_true(count(b, "{\"eventType\":\"Send\"") >= MANY);
	assert_true(count(b, "{\"eventType\":\"Bounce\"") >= MANY);
	assert_true(count(b, "{\"notificationType\":\"Bounce\"") >= MANY);
	/* that so much bounces, and no bounce */
	assert_int_equal(b->w.mail_count, 1);
	assert_non_null(strstr(b->w.mails[0].text, "reputation"));
}

/* It goes where the setting pointed when it happened, after a crash too. */
static void
by_the_setting_of_then(void **state)
{
	struct bed *b = *state;

	begin(b);
	block(b, true);
	bounce(b);
	rw_pass(&b->w, 10);
	(void)notification_set(&b->n, NOTIFICATION_BOUNCE, NULL,
	    clock_wall());
	rw_write(&b->w, put_notification, &b->n);
	bounce(b);
	assert_int_equal(b->w.mail_count, 1); /* the second */
	rw_crash(&b->w);
	block(b, false);
	rw_begin(&b->w);
	assert_int_equal(lines(b), 1);
	assert_int_equal(b->w.mail_count, 1);
}

/* The walk has passed what a destination made just now wants. */
static void
a_new_way_looks_back(void **state)
{
	struct bed *b = *state;

	begin(b);
	b->spec.set = &b->set;
	b->spec.identity = NULL;
	rw_pass(&b->w, 10);
	b->d.since = b->d.created = clock_wall();
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(lines(b), 0);
	rw_pass(&b->w, 10);
	rw_write(&b->w, put_destination, &b->d);
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(lines(b), 2);
	rw_pass(&b->w, 5000);
	assert_int_equal(lines(b), 2);
}

/* The same for an identity, where the command says so. */
static void
a_new_setting_looks_back(void **state)
{
	struct bed *b = *state;
	struct wall since;

	begin(b);
	(void)notification_set(&b->n, NOTIFICATION_BOUNCE, NULL,
	    clock_wall());
	rw_write(&b->w, put_notification, &b->n);
	rw_pass(&b->w, 10);
	since = clock_wall();
	bounce(b);
	rw_pass(&b->w, 10);
	assert_int_equal(lines(b), 0);
	(void)notification_set(&b->n, NOTIFICATION_BOUNCE, &b->x.ref, since);
	rw_write(&b->w, put_notification, &b->n);
	assert_int_equal(lines(b), 0);
	assert_true(reporter_post_topic(b->w.reporter, &b->x.ref, since));
	rw_pass(&b->w, 10);
	assert_int_equal(lines(b), 1);
}

/* -- topics that do not work ----------------------------------------------- */

static void
deleted_it_is_taken_away(void **state)
{
	struct bed	*b = *state;
	struct identity *i = mem_alloc(sizeof(*i));
	struct db_txn	*t;
	struct err	 e;

	begin(b);
	rw_write(&b->w, delete_topic, &b->x);
	bounce(b);
	assert_int_equal(lines(b), 0);
	/* mail of the bounce, and one to the operator about it */
	assert_int_equal(b->w.mail_count, 2);
	assert_true(rw_logged(&b->w, "topic-withdrawn account=123456789012 "
	    "identity=example.com topic=T type=Bounce"));
	t = book_read(b->w.book, &e);
	assert_int_equal(identity_get(t, rw_account, "example.com", i, &e),
	    1);
	assert_true(i->forwarding);
	assert_int_equal(notification_get(t, rw_account, "example.com",
	    &b->n, &e), 1);
	assert_string_equal(b->n.now[NOTIFICATION_BOUNCE].topic.name, "");
	book_end(t);
	mem_free(i);
}

/* Nobody's fault: mail, and the setting stays. */
static void
silent_it_stays(void **state)
{
	struct bed *b = *state;

	begin(b);
	(void)destination_switch(&b->sub, false, clock_wall());
	rw_write(&b->w, put_destination, &b->sub);
	bounce(b);
	assert_int_equal(lines(b), 0);
	assert_int_equal(b->w.mail_count, 1);
	assert_false(rw_logged(&b->w, "topic-withdrawn"));
}

/* A set's destination that names it is no channel either. */
static void
of_another_account(void **state)
{
	struct bed *b = *state;

	begin(b);
	rw_write(&b->w, delete_topic, &b->x);
	topic_init(&b->x, "888888888888", "T", clock_wall());
	b->d.topic = b->x.ref;
	topic_subscription_init(&b->x, clock_wall(), &b->sub);
	strcpy(b->sub.file.name, "t.jsonl");
	rw_write(&b->w, put_topic, &b->x);
	rw_write(&b->w, put_destination, &b->sub);
	rw_write(&b->w, put_destination, &b->d);
	(void)notification_set(&b->n, NOTIFICATION_BOUNCE, NULL,
	    clock_wall());
	rw_write(&b->w, put_notification, &b->n);
	b->spec.set = &b->set;
	rw_pass(&b->w, 10);
	bounce(b);
	assert_int_equal(b->w.mail_count, 1);
	/* it lets this one publish */
	assert_true(topic_add_publisher(&b->x, rw_account));
	rw_write(&b->w, put_topic, &b->x);
	bounce(b);
	assert_int_equal(b->w.mail_count, 1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, unmake)
	const struct CMUnitTest tests[] = {
		TEST(notifications_come),
		TEST(both_ways_add_up),
		TEST(envelopes_in_a_file),
		TEST(many_that_wait),
		TEST(by_the_setting_of_then),
		TEST(a_new_way_looks_back),
		TEST(a_new_setting_looks_back),
		TEST(deleted_it_is_taken_away),
		TEST(silent_it_stays),
		TEST(of_another_account),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
