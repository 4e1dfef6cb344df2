/* SPDX-License-Identifier: ISC */
/* events.md 10.3 to 10.5: signatures, addresses, retries, the end of a
 * destination.  On the fake clock, DNS and web. */
#include "reporting_world.h"

#include "fake_http.h"
#include "fake_resolver.h"
#include "registry/notification.h"
#include "reporting/webhook.h"

struct bed {
	struct rw	   w;
	struct config_set  set;
	struct destination d, file;
	struct rw_spec	   spec;
};

static const char *const contacts[] = { "owner@example.com", NULL };

static int
make(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	fake_http_forget();
	fake_dns_remove(NULL, NULL);
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
put_all(struct db_txn *t, void *arg)
{
	struct bed *b = arg;
	struct err  e;

	rw_put_account(t, (void *)(uintptr_t)contacts);
	assert_int_equal(config_set_create(t, &b->set, &e), 0);
	if (destination_create(t, &b->d, &e) != 0 ||
	    destination_create(t, &b->file, &e) != 0)
		fail_msg("%s", e.text);
}

static void
begin(struct bed *b, const char *answers)
{
	struct wall now;

	rw_begin(&b->w);
	now = clock_wall();
	config_set_init(&b->set, rw_account, "ConfigSet", now);
	destination_init(&b->d, &b->set, "hooks", now);
	b->d.kind = DESTINATION_WEBHOOK;
	b->d.types = DESTINATION_ALL_TYPES;
	strcpy(b->d.webhook.url, "https://hooks.example/ses");
	destination_new_key(&b->d.webhook, now);
	destination_init(&b->file, &b->set, "file", now);
	b->file.types = DESTINATION_ALL_TYPES;
	strcpy(b->file.file.name, "all.jsonl");
	rw_write(&b->w, put_all, b);
	b->spec = (struct rw_spec){ .header = "Subject: test\r\n",
		.forward = "", .rcpts = { "jane@sink.example" },
		.set = &b->set };
	assert_true(fake_dns_add("hooks.example", "A", "81.2.69.142", 60));
	fake_http_answers("hooks.example", answers);
}

static const struct outlet_meter *
meter(struct bed *b, const struct destination *d)
{
	const struct outlet_meter *m = outbox_meter_find(
	    &b->w.outbox_meters, d);

	assert_non_null(m);
	return m;
}

static void
put_destination(struct db_txn *t, void *d)
{
	struct err e;

	assert_int_equal(destination_put(t, d, &e), 0);
}

struct looked {
	struct bed	  *b;
	struct destination d;
};

static void
look(struct db_txn *t, void *arg)
{
	struct looked *l = arg;
	struct err     e;

	assert_int_equal(destination_get(t, &l->b->set.id,
	    bytes_of(l->b->d.name), &l->d, &e), 1);
}

static struct destination
stored(struct bed *b)
{
	struct looked l = { .b = b };

	rw_write(&b->w, look, &l);
	return l.d;
}

/* -- pure ------------------------------------------------------------------ */

/* events#15 */
static void
the_signature(void **state)
{
	static const char body[] =
	    "{\"eventType\":\"Test\",\"account\":\"123456789012\"}";
	static const char id[] = "evt_01KJQ0QFDX04HMASW9NF6YY093";
	static const char one[] =
	    "v1,YgSeW+ZUPQnS0HXp+Iv0o8X2IrHOzuK992GO+oXDkoI=";
	struct destination_webhook w;
	struct wall		   at = { INT64_C(1772446531) * 1000 };
	char			   secret[WEBHOOK_SECRET_SIZE];
	struct buf		   out;

	(void)state;
	memset(&w, 0, sizeof(w));
	memcpy(w.key, "0123456789abcdef0123456789abcdef", 32);
	assert_string_equal(destination_secret(&w, secret),
	    "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
	buf_init(&out, 256);
	assert_true(webhook_sign(&w, at, id, bytes_of(body), &out));
	assert_true(bytes_eq_text(buf_bytes(&out), one));
	/* a new key signs first, the old one for a day */
	destination_new_key(&w, at);
	assert_true(webhook_sign(&w, at, id, bytes_of(body), &out));
	assert_int_equal(out.n, 2 * strlen(one) + 1);
	assert_memory_equal(out.p + strlen(one) + 1, one, strlen(one));
	assert_memory_not_equal(out.p, one, strlen(one));
	w.rotated.ms = at.ms - 24 * hour;
	assert_true(webhook_sign(&w, at, id, bytes_of(body), &out));
	assert_int_equal(out.n, strlen(one));
	buf_wipe(&out);
}

static void
classes_of_answers(void **state)
{
	static const struct {
		unsigned	   status;
		enum webhook_class class;
	} rows[] = { { 200, WEBHOOK_TAKEN }, { 204, WEBHOOK_TAKEN },
		{ 299, WEBHOOK_TAKEN }, { 0, WEBHOOK_FAILED },
		{ 301, WEBHOOK_FAILED }, { 302, WEBHOOK_FAILED },
		{ 400, WEBHOOK_FAILED }, { 401, WEBHOOK_REFUSED },
		{ 403, WEBHOOK_REFUSED }, { 404, WEBHOOK_REFUSED },
		{ 408, WEBHOOK_FAILED }, { 410, WEBHOOK_GONE },
		{ 425, WEBHOOK_FAILED }, { 429, WEBHOOK_FAILED },
		{ 500, WEBHOOK_FAILED }, { 503, WEBHOOK_FAILED } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(webhook_class_of(rows[i].status),
		    rows[i].class);
}

static void
headers_that_may_be_there(void **state)
{
	(void)state;
	assert_true(destination_headers_are_valid(""));
	assert_true(destination_headers_are_valid(
	    "Authorization: Bearer x\nX-Tenant: 1\n"));
	assert_false(destination_headers_are_valid("X-Tenant: 1"));
	assert_false(destination_headers_are_valid("X Tenant: 1\n"));
	assert_false(destination_headers_are_valid(": 1\n"));
	assert_false(destination_headers_are_valid("X-A: b\r\n"));
	assert_false(destination_headers_are_valid("Host: other\n"));
	assert_false(destination_headers_are_valid("content-length: 1\n"));
	assert_false(destination_headers_are_valid("Webhook-Id: x\n"));
	assert_false(destination_headers_are_valid("A: 1\nA: 1\nA: 1\nA: 1\n"
	    "A: 1\nA: 1\nA: 1\nA: 1\nA: 1\nA: 1\nA: 1\n"));
}

/* events#23 */
static void
urls_by_the_settings(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(destination_check_url("https://localhost/", false,
	    false, &e), -1);
	assert_non_null(strstr(e.text, "events.webhook_allow_private"));
	assert_int_equal(destination_check_url("https://localhost/", false,
	    true, &e), 0);
	assert_int_equal(destination_check_url("https://10.1.2.3/", false,
	    false, &e), -1);
	assert_int_equal(destination_check_url("https://[fe80::1]/", false,
	    false, &e), -1);
	assert_int_equal(destination_check_url("http://hooks.example/", false,
	    true, &e), -1);
	assert_non_null(strstr(e.text, "events.webhook_allow_http"));
	assert_int_equal(destination_check_url("http://hooks.example/", true,
	    false, &e), 0);
	assert_int_equal(destination_check_url("http://127.0.0.1:8/", false,
	    true, &e), 0);
}

/* -- requests -------------------------------------------------------------- */

static void
a_record_is_posted(void **state)
{
	struct bed		 *b = *state;
	const struct fake_posted *p;
	const char		 *value;

	begin(b, "200");
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(fake_http_count(), 1);
	p = fake_http_posted(0);
	assert_string_equal(p->address, "81.2.69.142");
	assert_memory_equal(p->body, "{\"eventType\":\"Send\",", 20);
	assert_int_equal(p->body[strlen(p->body) - 1], '}');
	assert_string_equal(fake_http_header(p, "Content-Type"),
	    "application/json");
	assert_memory_equal(fake_http_header(p, "User-Agent"), "posthorn/", 9);
	assert_memory_equal(fake_http_header(p, "webhook-id"), "evt_", 4);
	assert_memory_equal(fake_http_header(p, "webhook-signature"), "v1,",
	    3);
	assert_string_equal(fake_http_header(p, "X-Posthorn-Attempt"), "1");
	assert_string_equal(fake_http_header(p, "X-Posthorn-Account"),
	    rw_account);
	assert_string_equal(fake_http_header(p,
	    "X-Posthorn-Configuration-Set"), "ConfigSet");
	assert_string_equal(fake_http_header(p,
	    "X-Posthorn-Event-Destination"), "hooks");
	value = fake_http_header(p, "X-Posthorn-Event-Type");
	assert_string_equal(value, "Send");
	assert_int_equal(meter_get(&meter(b, &b->d)->success), 1);
	assert_int_equal(meter_get(&meter(b, &b->d)->entries), 0);
}

/* events#16 */
static void
retries_have_one_id(void **state)
{
	struct bed *b = *state;
	char	    id[64];
	int64_t	    gap;
	size_t	    i;

	begin(b, "503 503 200");
	(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, minute);
	assert_int_equal(fake_http_count(), 3);
	strcpy(id, fake_http_header(fake_http_posted(0), "webhook-id"));
	for (i = 0; i < 3; i++) {
		assert_string_equal(fake_http_header(fake_http_posted(i),
		    "webhook-id"), id);
		assert_int_equal(atoi(fake_http_header(fake_http_posted(i),
		    "X-Posthorn-Attempt")), i + 1);
	}
	gap = fake_http_posted(1)->at.ms - fake_http_posted(0)->at.ms;
	assert_in_range(gap, 4500, 5500);
	gap = fake_http_posted(2)->at.ms - fake_http_posted(1)->at.ms;
	assert_in_range(gap, 27000, 33000);
	assert_int_equal(meter_get(&meter(b, &b->d)->failure), 2);
	assert_int_equal(meter_get(&meter(b, &b->d)->success), 1);
	/* each attempt has its own time stamp */
	assert_string_not_equal(fake_http_header(fake_http_posted(0),
	    "webhook-timestamp"), (strcpy(id, fake_http_header(
	    fake_http_posted(1), "webhook-timestamp")), id));
}

/* events#17 */
static void
retry_after_counts(void **state)
{
	struct bed *b = *state;

	begin(b, "503+120 429+7200 200");
	(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 119000);
	assert_int_equal(fake_http_count(), 1);
	rw_pass(&b->w, 1000);
	assert_int_equal(fake_http_count(), 2);
	/* at most an hour */
	rw_pass(&b->w, hour - 1000);
	assert_int_equal(fake_http_count(), 2);
	rw_pass(&b->w, 1000);
	assert_int_equal(fake_http_count(), 3);
}

/* events#18 */
static void
gone_is_the_end(void **state)
{
	struct bed	  *b = *state;
	struct destination d;

	begin(b, "410");
	(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 1000);
	d = stored(b);
	assert_false(d.enabled);
	assert_string_equal(d.reason, "endpoint refused");
	assert_true(rw_logged(&b->w, "destination-disabled"));
	assert_int_equal(b->w.mail_count, 1);
	assert_string_equal(b->w.mails[0].to, contacts[0]);
	assert_non_null(strstr(b->w.mails[0].text, "endpoint refused"));
	rw_pass(&b->w, 10 * hour);
	assert_int_equal(fake_http_count(), 1);
	/* what waited is kept, and told when it is enabled again */
	fake_http_answers("hooks.example", "200");
	assert_true(destination_switch(&d, true, clock_wall()));
	b->d = d;
	rw_write(&b->w, put_destination, &b->d);
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(fake_http_count(), 3);
}

struct subscribed {
	struct topic	    x;
	struct destination  sub;
	struct notification n;
};

static void
put_subscribed(struct db_txn *t, void *arg)
{
	struct subscribed *s = arg;
	struct identity	  *i = mem_alloc(sizeof(*i));
	struct err	   e;

	identity_init(i, rw_account, "example.com", clock_wall());
	i->method = METHOD_OVERRIDE;
	i->link.status = IDENTITY_SUCCESS;
	i->forwarding = false;
	assert_int_equal(identity_create(t, i, &e), 0);
	assert_int_equal(topic_create(t, &s->x, &e), 0);
	assert_int_equal(destination_create(t, &s->sub, &e), 0);
	assert_int_equal(notification_put(t, &s->n, &e), 0);
	mem_free(i);
}

/* A topic whose only endpoint has gone: its bounces of now on are mailed, those
 * that wait are kept until it is enabled. */
static void
bounces_wait_for_a_dead_subscription(void **state)
{
	struct bed	  *b = *state;
	struct subscribed *s = calloc(1, sizeof(*s));
	struct msgid	   id;
	unsigned	   mails;

	begin(b, "410 200");
	topic_init(&s->x, rw_account, "T", clock_wall());
	topic_subscription_init(&s->x, clock_wall(), &s->sub);
	s->sub.kind = DESTINATION_WEBHOOK;
	s->sub.webhook = b->d.webhook;
	notification_init(&s->n, rw_account, "example.com");
	(void)notification_set(&s->n, NOTIFICATION_BOUNCE, &s->x.ref,
	    clock_wall());
	rw_write(&b->w, put_subscribed, s);
	b->spec.set = NULL;
	b->spec.identity = "example.com";
	b->spec.forward = "bob@example.com";
	id = rw_submit(&b->w, &b->spec);
	rw_bounce(&b->w, &id, 1, "jane@sink.example");
	assert_int_equal(fake_http_count(), 1);
	assert_true(rw_logged(&b->w, "destination-disabled"));
	assert_true(rw_logged(&b->w, "topic-withdrawn"));
	rw_pass(&b->w, 10 * hour);
	mails = b->w.mail_count;
	assert_string_not_equal(b->w.mails[mails - 1].to, b->spec.forward);
	assert_int_equal(meter_get(&meter(b, &s->sub)->entries), 1);
	/* of now on */
	id = rw_submit(&b->w, &b->spec);
	rw_bounce(&b->w, &id, 1, "jane@sink.example");
	assert_int_equal(b->w.mail_count, mails + 1);
	assert_string_equal(b->w.mails[mails].to, b->spec.forward);
	/* enabled, it has what waited */
	destination_disable(&s->sub, "endpoint refused", clock_wall());
	assert_true(destination_switch(&s->sub, true, clock_wall()));
	rw_write(&b->w, put_destination, &s->sub);
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(fake_http_count(), 2);
	assert_non_null(strstr(fake_http_posted(1)->body, "Bounce"));
	assert_int_equal(meter_get(&meter(b, &s->sub)->success), 1);
	assert_int_equal(meter_get(&meter(b, &s->sub)->entries), 0);
	free(s);
}

/* 20 refusals in a row over at least an hour; events.md 10.5 */
static void
refusals_add_up(void **state)
{
	struct bed *b = *state;
	unsigned    i;

	begin(b, "404");
	for (i = 0; i < 30; i++)
		(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 30 * minute);
	assert_true(stored(b).enabled);
	rw_pass(&b->w, 12 * hour);
	assert_false(stored(b).enabled);
	assert_true(fake_http_count() >= 20);
}

static void
failures_never_disable(void **state)
{
	struct bed *b = *state;
	unsigned    i;

	begin(b, "500");
	for (i = 0; i < 30; i++)
		(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 30 * hour);
	assert_true(stored(b).enabled);
}

/* events#19: and the file beside it has had its record at once. */
static void
down_for_36_hours(void **state)
{
	struct bed *b = *state;

	begin(b, "refuse");
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(meter_get(&meter(b, &b->file)->success), 1);
	rw_pass(&b->w, 36 * hour - 60000);
	assert_int_equal(meter_get(&meter(b, &b->d)->expired), 0);
	assert_int_equal(meter_get(&meter(b, &b->d)->entries), 1);
	rw_pass(&b->w, 120000);
	assert_int_equal(meter_get(&meter(b, &b->d)->expired), 1);
	assert_int_equal(meter_get(&meter(b, &b->d)->entries), 0);
	assert_true(rw_logged(&b->w, "events-expired"));
	assert_int_equal(meter_get(&meter(b, &b->d)->success), 0);
}

/* After ten failures one at a time goes out, not all that came meanwhile. */
static void
a_probe_goes_ahead(void **state)
{
	struct bed *b = *state;
	size_t	    before;
	unsigned    i;

	begin(b, "503");
	for (i = 0; i < 3; i++)
		(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 15 * minute);
	assert_true(fake_http_count() >= 10);
	before = fake_http_count();
	for (i = 0; i < 20; i++)
		(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(fake_http_count(), before);
	fake_http_answers("hooks.example", "200");
	rw_pass(&b->w, hour);
	assert_int_equal(meter_get(&meter(b, &b->d)->success), 23);
}

static void
at_most_so_many_at_once(void **state)
{
	struct bed *b = *state;
	unsigned    i;

	begin(b, "200@5");
	for (i = 0; i < 20; i++)
		(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(fake_http_open(), 4);
	assert_int_equal(fake_http_count(), 4);
	rw_pass(&b->w, 30000);
	assert_int_equal(fake_http_count(), 20);
}

/* An endpoint that hangs: the time-out is a failure like another. */
static void
a_hanging_one_times_out(void **state)
{
	struct bed *b = *state;

	begin(b, "hang 200");
	(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 14000);
	assert_int_equal(meter_get(&meter(b, &b->d)->failure), 0);
	rw_pass(&b->w, 1000);
	assert_int_equal(meter_get(&meter(b, &b->d)->failure), 1);
	rw_pass(&b->w, 6000);
	assert_int_equal(meter_get(&meter(b, &b->d)->success), 1);
}

/* Checked when it is used: a name may point anywhere by then. */
static void
private_addresses_are_refused(void **state)
{
	static const char *const v4[] = { "127.0.0.1", "10.0.0.1",
		"169.254.169.254", "192.168.1.1", "224.0.0.1", "0.0.0.0" };
	struct bed *b = *state;
	size_t	    i;

	begin(b, "200");
	for (i = 0; i < sizeof(v4) / sizeof(v4[0]); i++) {
		fake_dns_remove("hooks.example", NULL);
		assert_true(fake_dns_add("hooks.example", "A", v4[i], 60));
		(void)rw_submit(&b->w, &b->spec);
		assert_int_equal(fake_http_count(), 0);
	}
	fake_dns_remove("hooks.example", NULL);
	assert_true(fake_dns_add("hooks.example", "AAAA", "::ffff:127.0.0.1",
	    60));
	assert_true(fake_dns_add("hooks.example", "AAAA", "fd00::1", 60));
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(fake_http_count(), 0);
	assert_true(rw_logged(&b->w, "a private address"));
	/* the public ones of a mixture are tried */
	assert_true(fake_dns_add("hooks.example", "A", "81.2.69.143", 60));
	rw_pass(&b->w, minute);
	assert_true(fake_http_count() > 0);
	assert_string_equal(fake_http_posted(0)->address, "81.2.69.143");
}

static void
this_host_is_asked_of_nobody(void **state)
{
	struct bed *b = *state;

	begin(b, "200");
	b->w.conf->events.webhook_allow_private = true;
	strcpy(b->d.webhook.url, "https://localhost:8443/x");
	rw_write(&b->w, put_destination, &b->d);
	fake_http_answers("localhost", "200");
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(fake_http_count(), 1);
	assert_string_equal(fake_http_posted(0)->address, "127.0.0.1");
	assert_int_equal(fake_dns_question_count(), 0);
}

static void
a_name_that_is_none(void **state)
{
	struct bed *b = *state;

	begin(b, "200");
	fake_dns_remove("hooks.example", NULL);
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(fake_http_count(), 0);
	assert_true(rw_logged(&b->w, "has no address"));
	assert_int_equal(meter_get(&meter(b, &b->d)->failure), 1);
}

/* events#20 on this level: not answered before the crash is asked again. */
static void
a_crash_repeats(void **state)
{
	struct bed *b = *state;
	char	    id[64];

	begin(b, "200@5");
	(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 2000);
	assert_int_equal(fake_http_count(), 1);
	strcpy(id, fake_http_header(fake_http_posted(0), "webhook-id"));
	rw_crash(&b->w);
	rw_begin(&b->w);
	rw_pass(&b->w, 10000);
	assert_int_equal(fake_http_count(), 2);
	assert_string_equal(fake_http_header(fake_http_posted(1),
	    "webhook-id"), id);
	rw_end(&b->w);
	rw_begin(&b->w);
	rw_pass(&b->w, 10000);
	assert_int_equal(fake_http_count(), 2);
}

/* The end waits for the answer that is out, but not for long. */
static void
an_end_in_order(void **state)
{
	struct bed *b = *state;

	begin(b, "200@2");
	(void)rw_submit(&b->w, &b->spec);
	b->w.idle = false;
	reporter_shut(b->w.reporter, rw_on_idle, &b->w);
	rw_pass(&b->w, 1000);
	assert_false(b->w.idle);
	rw_pass(&b->w, 1500);
	assert_true(b->w.idle);
	rw_release(&b->w);
	rw_begin(&b->w);
	rw_pass(&b->w, 5000);
	assert_int_equal(fake_http_count(), 1);
	fake_http_answers("hooks.example", "hang");
	(void)rw_submit(&b->w, &b->spec);
	b->w.idle = false;
	reporter_shut(b->w.reporter, rw_on_idle, &b->w);
	rw_pass(&b->w, 3500);
	assert_true(b->w.idle);
	assert_int_equal(fake_http_open(), 0);
	rw_release(&b->w);
	b->w.reporter = NULL;
}

static void
on_asked(void *ask, void *unused)
{
	struct reporter_ask *a = ask;

	(void)unused;
	a->ctx = a;
}

static void
a_test_record(void **state)
{
	struct bed	   *b = *state;
	struct reporter_ask ask = { .done = on_asked };

	begin(b, "404 200");
	ask.asker = b->w.loop;
	ask.destination = b->d;
	assert_true(reporter_ask(b->w.reporter, &ask));
	rw_pass(&b->w, 0);
	assert_ptr_equal(ask.ctx, &ask);
	assert_false(ask.ok);
	assert_int_equal(ask.status, 404);
	ask.ctx = NULL;
	assert_true(reporter_ask(b->w.reporter, &ask));
	rw_pass(&b->w, 0);
	assert_true(ask.ok);
	assert_string_equal(fake_http_posted(1)->body,
	    "{\"eventType\":\"Test\",\"account\":\"123456789012\"}");
	assert_string_equal(fake_http_header(fake_http_posted(1),
	    "X-Posthorn-Event-Type"), "Test");
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, make, unmake)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_signature),
		cmocka_unit_test(classes_of_answers),
		cmocka_unit_test(headers_that_may_be_there),
		cmocka_unit_test(urls_by_the_settings),
		WITH(a_record_is_posted),
		WITH(retries_have_one_id),
		WITH(retry_after_counts),
		WITH(gone_is_the_end),
		WITH(bounces_wait_for_a_dead_subscription),
		WITH(refusals_add_up),
		WITH(failures_never_disable),
		WITH(down_for_36_hours),
		WITH(a_probe_goes_ahead),
		WITH(at_most_so_many_at_once),
		WITH(a_hanging_one_times_out),
		WITH(private_addresses_are_refused),
		WITH(this_host_is_asked_of_nobody),
		WITH(a_name_that_is_none),
		WITH(a_crash_repeats),
		WITH(an_end_in_order),
		WITH(a_test_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
