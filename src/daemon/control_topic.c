/* SPDX-License-Identifier: ISC */
/* Topics and their subscriptions (events.md 6). */
#include <stdio.h>
#include <string.h>

#include "daemon/control_destination.h"
#include "daemon/control_topic.h"
#include "registry/notification.h"

enum { USERS_MAX = 4096 /* octets of a list of those who use it */ };

/* The topic at hand, on its way through a command. */
struct topic_work {
	struct topic	   x;
	struct destination subscriptions[TOPIC_SUBSCRIPTIONS_MAX];
	unsigned	   count;
	json_t		  *rows; /* the answer's */
	/* what becomes of the test record of each */
	struct topic_trial {
		struct request	   *q;
		struct reporter_ask ask; /* of a webhook */
		struct err	    err;
	} trials[TOPIC_SUBSCRIPTIONS_MAX];
	unsigned open; /* that have no answer yet */
};

static void
topic_wipe(void *work)
{
	mem_wipe(work, sizeof(struct topic_work));
}

/* -- which ----------------------------------------------------------------- */

int
topic_take_ref(struct request *q, const char *text, struct topic_ref *out)
{
	if (text != NULL && topic_ref_read(bytes_of(text), q->account.id, out))
		return 0;
	return request_refuse(q, BOOK_BAD_REQUEST, "neither the name of a "
	    "topic nor an ARN of one: %.80s", text != NULL ? text : "");
}

int
topic_may_take(struct request *q, struct db_txn *t,
    const struct topic_ref *r)
{
	struct topic x;
	int	     found = topic_get(t, r, &x, &q->err);

	if (found < 0)
		return -1;
	if (found == 1 && topic_may_publish(&x, q->account.id))
		return 0;
	return request_refuse(q, BOOK_NOT_FOUND, "there is no topic %s of "
	    "account %s that account %s may publish to", r->name, r->account,
	    q->account.id);
}

json_t *
json_of_topic(const struct request *q, const struct topic_ref *r)
{
	char arn[TOPIC_ARN_SIZE];

	return r->name[0] == '\0' ? json_null() : json_string(
	    topic_ref_arn(r, q->conf->server.region, arn));
}

/* "name": of the account, or an ARN of it. */
static int
topic_find(struct request *q, struct db_txn *t)
{
	struct topic_work *w = q->state;
	const char	  *name = arg_text(q, "name");
	struct topic_ref   r;
	int		   found = 0;

	if (name == NULL)
		return request_misuse(q, "which topic?");
	if (topic_ref_read(bytes_of(name), q->account.id, &r) &&
	    strcmp(r.account, q->account.id) == 0)
		found = topic_get(t, &r, &w->x, &q->err);
	return found != 0 ? found < 0 ? -1 : 0 :
		request_refuse(q, BOOK_NOT_FOUND, "no such topic: %.80s",
		    name);
}

static bool
on_subscription(void *work, const struct destination *d)
{
	struct topic_work *w = work;

	w->subscriptions[w->count++] = *d;
	return w->count < TOPIC_SUBSCRIPTIONS_MAX;
}

static int
topic_load(struct request *q, struct db_txn *t)
{
	struct topic_work *w = q->state;

	w->count = 0;
	return topic_find(q, t) != 0 ? -1 :
		destination_each(t, &w->x.id, on_subscription, w, &q->err);
}

/* "id": one of its subscriptions; NULL and q->err. */
static struct destination *
topic_pick(struct request *q, const char *id)
{
	struct topic_work *w = q->state;
	unsigned	   i;

	for (i = 0; i < w->count; i++)
		if (strcmp(w->subscriptions[i].name, id) == 0)
			return &w->subscriptions[i];
	(void)request_refuse(q, BOOK_NOT_FOUND,
	    "no such subscription of %s: %.40s", w->x.ref.name, id);
	return NULL;
}

static struct destination *
topic_pick_named(struct request *q, struct db_txn *t)
{
	const char *id = arg_text(q, "id");

	if (id == NULL)
		(void)request_misuse(q, "which subscription?");
	return id == NULL || topic_load(q, t) != 0 ? NULL :
		topic_pick(q, id);
}

/* What waits for one that was disabled need not wait for the next event. */
static void
topic_after(struct request *q)
{
	(void)loop_post(q->relay->reporting, reporter_on_events,
	    q->relay->reporter, NULL);
	request_end(q);
}

static void
topic_run(struct request *q, request_txn_fn *fn)
{
	(void)request_state(q, sizeof(struct topic_work), topic_wipe);
	request_write(q, fn, topic_after);
}

/* -- as JSON --------------------------------------------------------------- */

static const char *
protocol_of(const struct destination *d)
{
	if (d->kind == DESTINATION_FILE)
		return "file";
	return strncmp(d->webhook.url, "http:", 5) == 0 ? "http" : "https";
}

static json_t *
json_of_subscription(const struct destination *d)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:b}", "SubscriptionId",
	    d->name, "Protocol", protocol_of(d), "Endpoint",
	    destination_target(d), "Format", webhook_format_names[d->sns],
	    "Enabled", d->enabled);
}

static json_t *
json_of_publishers(const struct topic *x)
{
	json_t	*list = json_array();
	unsigned i;

	for (i = 0; i < x->publisher_count; i++)
		json_array_append_new(list, json_string(x->publishers[i]));
	return list;
}

struct topic_sum {
	struct request *q;
	char	       *room;
	const char     *result;
	int64_t		backlog;
	unsigned	count, enabled;
};

static bool
sum_on_subscription(void *sum, const struct destination *d)
{
	struct topic_sum *s = sum;
	int64_t		  backlog;

	s->count++;
	s->enabled += d->enabled;
	backlog = destination_backlog(s->q, d);
	s->backlog = backlog < 0 || s->backlog < 0 ? -1 :
	    s->backlog + backlog;
	if (s->result == NULL || strcmp(s->result, "ok") == 0) {
		char	    room[16];
		const char *r = destination_result(s->q, d, room);

		if (r != NULL)
			s->result = strcpy(s->room, r);
	}
	return true;
}

const char *
topic_figures(struct request *q, struct db_txn *t, const struct topic_ref *r,
    int64_t *backlog, char room[16])
{
	struct topic_sum s = { .q = q, .room = room };
	struct topic	 x;
	struct err	 e;

	if (topic_get(t, r, &x, &e) == 1)
		(void)destination_each(t, &x.id, sum_on_subscription, &s, &e);
	*backlog = s.backlog;
	return s.result;
}

/* -- create, subscribe ----------------------------------------------------- */

/* Those that are given, all of them. */
static int
take_publishers(struct request *q, struct topic *x)
{
	json_t	   *list = arg_list(q, "publisher"), *v;
	const char *id;
	size_t	    i;

	if (list != NULL)
		x->publisher_count = 0;
	json_array_foreach(list, i, v) {
		id = json_string_value(v);
		if (id[0] == '\0')
			continue; /* nobody */
		if (!account_id_is_valid(id))
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "publisher: not an account: %.40s", id);
		if (strcmp(id, q->account.id) != 0 &&
		    !topic_add_publisher(x, id))
			return request_refuse(q, BOOK_LIMIT, "a topic can "
			    "have at most %d publishers",
			    TOPIC_PUBLISHERS_MAX);
	}
	return 0;
}

/* One more, of a URL or a file name; the answer shows it, with its secret. */
static int
topic_subscribe_one(struct request *q, struct db_txn *t, const char *url,
    const char *file)
{
	struct topic_work  *w = q->state;
	struct destination *d = &w->subscriptions[0];
	json_t		   *row;
	int		    rc = 0;

	topic_subscription_init(&w->x, q->now, d);
	d->kind = url != NULL ? DESTINATION_WEBHOOK : DESTINATION_FILE;
	if (url != NULL && strlen(url) >= sizeof(d->webhook.url))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "webhook: too long");
	if (file != NULL && strlen(file) >= sizeof(d->file.name))
		return request_refuse(q, BOOK_BAD_REQUEST, "file: too long");
	if (url != NULL)
		strcpy(d->webhook.url, url);
	else
		strcpy(d->file.name, file);
	if (destination_take_format(q, d) != 0)
		return -1;
	row = json_of_subscription(d);
	if (url != NULL)
		rc = destination_finish_webhook(q, d, row);
	if (rc == 0)
		rc = destination_create(t, d, &q->err);
	json_array_append_new(w->rows, row);
	return rc;
}

static int
topic_subscribe_all(struct request *q, struct db_txn *t)
{
	struct topic_work *w = q->state;
	json_t		  *urls = arg_list(q, "webhook");
	json_t		  *files = arg_list(q, "file"), *v;
	size_t		   i;

	w->rows = json_array();
	request_set(q, "Subscriptions", w->rows);
	json_array_foreach(urls, i, v)
		if (topic_subscribe_one(q, t, json_string_value(v), NULL) != 0)
			return -1;
	json_array_foreach(files, i, v)
		if (topic_subscribe_one(q, t, NULL, json_string_value(v)) != 0)
			return -1;
	return 0;
}

static int
create_write(struct request *q, struct db_txn *t)
{
	struct topic_work *w = q->state;
	const char	  *name = arg_text(q, "name");

	/* a name too long must not become one that is not */
	if (name == NULL || !topic_name_is_valid(bytes_of(name)))
		return request_refuse(q, BOOK_BAD_REQUEST, "the name of a "
		    "topic is 1 to 256 of A-Z a-z 0-9 - _; FIFO topics are "
		    "not supported");
	topic_init(&w->x, q->account.id, name, q->now);
	if (take_publishers(q, &w->x) != 0 ||
	    topic_create(t, &w->x, &q->err) != 0)
		return -1;
	request_set(q, "TopicArn", json_of_topic(q, &w->x.ref));
	request_would(q, "create topic %s", name);
	return topic_subscribe_all(q, t);
}

static void
topic_create_run(struct request *q)
{
	if (arg_has(q, "file"))
		destination_warn_of_folder(q);
	topic_run(q, create_write);
}

static int
subscribe_write(struct request *q, struct db_txn *t)
{
	struct topic_work *w = q->state;

	if (topic_find(q, t) != 0)
		return -1;
	if (json_array_size(arg_list(q, "webhook")) +
		json_array_size(arg_list(q, "file")) == 0)
		return request_misuse(q, "what subscribes? (--webhook URL or "
		    "--file FILE)");
	request_would(q, "subscribe to topic %s", w->x.ref.name);
	return topic_subscribe_all(q, t);
}

static void
topic_subscribe(struct request *q)
{
	if (arg_has(q, "file"))
		destination_warn_of_folder(q);
	topic_run(q, subscribe_write);
}

static int
unsubscribe_write(struct request *q, struct db_txn *t)
{
	struct topic_work  *w = q->state;
	struct destination *d = topic_pick_named(q, t);

	if (d == NULL)
		return -1;
	request_would(q, "remove subscription %s of topic %s", d->name,
	    w->x.ref.name);
	return destination_delete(t, d, &q->err) < 0 ? -1 : 0;
}

static void
topic_unsubscribe(struct request *q)
{
	topic_run(q, unsubscribe_write);
}

static int
rotate_write(struct request *q, struct db_txn *t)
{
	struct destination *d = topic_pick_named(q, t);
	char		    secret[WEBHOOK_SECRET_SIZE];

	if (d == NULL)
		return -1;
	if (d->kind != DESTINATION_WEBHOOK)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "%s is no webhook: it has no secret", d->name);
	request_would(q, "make a new secret for %s", d->name);
	destination_new_key(&d->webhook, q->now);
	d->updated = q->now;
	if (destination_put(t, d, &q->err) != 0)
		return -1;
	if (!q->dry_run)
		request_set(q, "Secret",
		    json_string(destination_secret(&d->webhook, secret)));
	return 0;
}

static void
topic_rotate(struct request *q)
{
	topic_run(q, rotate_write);
}

/* -- set ------------------------------------------------------------------- */

static int
switch_each(struct request *q, struct db_txn *t, const char *argument,
    bool on)
{
	json_t		   *list = arg_list(q, argument), *v;
	struct destination *d;
	size_t		    i;

	json_array_foreach(list, i, v) {
		d = topic_pick(q, json_string_value(v));
		if (d == NULL)
			return -1;
		(void)destination_switch(d, on, q->now);
		request_would(q, "%s subscription %s", argument, d->name);
		if (destination_put(t, d, &q->err) != 0)
			return -1;
	}
	return 0;
}

static int
set_write(struct request *q, struct db_txn *t)
{
	struct topic_work *w = q->state;

	if (topic_load(q, t) != 0 || take_publishers(q, &w->x) != 0 ||
	    switch_each(q, t, "enable", true) != 0 ||
	    switch_each(q, t, "disable", false) != 0)
		return -1;
	if (!arg_has(q, "publisher"))
		return 0;
	w->x.updated = q->now;
	request_would(q, "change who may publish to topic %s", w->x.ref.name);
	return topic_put(t, &w->x, &q->err);
}

static void
topic_set(struct request *q)
{
	if (json_object_size(q->args) < 2) { /* the name is one */
		(void)request_misuse(q, "nothing to set");
		request_end(q);
		return;
	}
	topic_run(q, set_write);
}

/* -- delete ---------------------------------------------------------------- */

/* Who names the topic, in words; of the account itself without its id. */
struct topic_users {
	const struct topic *x;
	struct buf	    text;
};

static void
users_add(struct topic_users *u, const char *account, const char *of,
    const char *name)
{
	bool is_own = strcmp(account, u->x->ref.account) == 0;

	buf_printf(&u->text, "%s%s%s%s%s%s", u->text.n > 0 ? ", " : "",
	    is_own ? "" : account, is_own ? "" : ":", of,
	    of[0] != '\0' ? "/" : "", name);
}

static bool
users_on_notification(void *users, const struct notification *n)
{
	struct topic_users *u = users;

	if (notification_names(n, &u->x->ref))
		users_add(u, n->account, "", n->identity);
	return !u->text.failed;
}

static bool
users_on_destination(void *users, const struct destination *d)
{
	struct topic_users *u = users;

	if (d->kind == DESTINATION_TOPIC &&
	    topic_ref_eq(&d->topic, &u->x->ref))
		users_add(u, d->account, d->set_name, d->name);
	return !u->text.failed;
}

static int
delete_check(struct request *q, struct db_txn *t)
{
	struct topic_work *w = q->state;
	struct topic_users u = { .x = &w->x };
	int		   rc;

	buf_init(&u.text, USERS_MAX);
	rc = notification_each(t, NULL, users_on_notification, &u, &q->err);
	if (rc == 0)
		rc = destination_each(t, NULL, users_on_destination, &u,
		    &q->err);
	if (rc == 0 && u.text.n > 0 && !arg_is_true(q, "force")) {
		q->error_code = "ConflictException";
		rc = request_refuse(q, BOOK_BAD_REQUEST, "topic %s is used by "
		    "%.*s%s; --force deletes it all the same",
		    w->x.ref.name, (int)(u.text.n < 350 ? u.text.n : 350),
		    u.text.p, u.text.n > 350 ? ", ..." : "");
	}
	buf_wipe(&u.text);
	return rc;
}

static int
delete_write(struct request *q, struct db_txn *t)
{
	struct topic_work *w = q->state;

	if (topic_find(q, t) != 0 || delete_check(q, t) != 0)
		return -1;
	request_would(q, "delete topic %s", w->x.ref.name);
	return topic_delete(t, &w->x.ref, &q->err) < 0 ? -1 : 0;
}

static void
topic_delete_run(struct request *q)
{
	topic_run(q, delete_write);
}

/* -- list, show ------------------------------------------------------------ */

struct topic_list {
	struct request *q;
	struct db_txn  *txn;
	json_t	       *rows;
	int		rc;
};

static bool
on_list(void *list, const struct topic *x)
{
	struct topic_list *l = list;
	char		   room[16];
	struct topic_sum   s = { .q = l->q, .room = room };

	l->rc = destination_each(l->txn, &x->id, sum_on_subscription, &s,
	    &l->q->err);
	json_array_append_new(l->rows, json_pack("{s:s, s:o, s:i, s:i, s:o, "
	    "s:s?}", "Name", x->ref.name, "TopicArn",
	    json_of_topic(l->q, &x->ref), "Subscriptions", (int)s.count,
	    "Enabled", (int)s.enabled, "Backlog", json_of_backlog(s.backlog),
	    "LastResult", s.result));
	return l->rc == 0;
}

static int
list_read(struct request *q, struct db_txn *t)
{
	struct topic_list l = { .q = q, .txn = t, .rows = json_array() };
	int		  rc;

	request_set(q, "Topics", l.rows);
	rc = topic_each(t, q->account.id, on_list, &l, &q->err);
	return rc < 0 ? -1 : l.rc;
}

static void
topic_list(struct request *q)
{
	request_read(q, list_read);
}

static json_t *
json_of_shown(struct request *q, const struct destination *d)
{
	json_t	   *row = json_of_subscription(d);
	char	    room[16];
	const char *result = destination_result(q, d, room);

	if (d->reason[0] != '\0')
		json_object_set_new(row, "Reason", json_string(d->reason));
	json_object_set_new(row, "Backlog",
	    json_of_backlog(destination_backlog(q, d)));
	json_object_set_new(row, "LastResult",
	    result == NULL ? json_null() : json_string(result));
	return row;
}

static int
show_read(struct request *q, struct db_txn *t)
{
	struct topic_work *w = q->state;
	json_t		  *rows = json_array();
	unsigned	   i;

	request_set(q, "Subscriptions", rows);
	if (topic_load(q, t) != 0)
		return -1;
	for (i = 0; i < w->count; i++)
		json_array_append_new(rows,
		    json_of_shown(q, &w->subscriptions[i]));
	request_set(q, "Name", json_string(w->x.ref.name));
	request_set(q, "TopicArn", json_of_topic(q, &w->x.ref));
	request_set(q, "PublisherAccounts", json_of_publishers(&w->x));
	request_set(q, "CreatedTimestamp", json_of_wall(w->x.created));
	request_set(q, "LastUpdatedTimestamp", json_of_wall(w->x.updated));
	return 0;
}

static void
topic_show(struct request *q)
{
	(void)request_state(q, sizeof(struct topic_work), topic_wipe);
	request_read(q, show_read);
}

/* -- test: webhooks side by side, then files ------------------------------- */

static void
topic_tested(struct request *q)
{
	struct topic_work	 *w = q->state;
	const struct destination *d;
	struct err		 *e;
	json_t			 *row;
	unsigned		  i;

	w->rows = json_array();
	request_set(q, "Subscriptions", w->rows);
	for (i = 0; i < w->count; i++) {
		d = &w->subscriptions[i];
		if (!d->enabled)
			continue;
		e = &w->trials[i].err;
		row = json_of_subscription(d);
		json_object_set_new(row, "Result",
		    json_string(e->text[0] == '\0' ? "ok" : e->text));
		json_array_append_new(w->rows, row);
		if (e->text[0] != '\0')
			request_item_failed(q, e);
	}
	request_settle_items(q, json_array_size(w->rows));
	request_end(q);
}

/* On a worker; trouble is that of one item. */
static int
topic_test_files(struct request *q)
{
	struct topic_work	 *w = q->state;
	const struct destination *d;
	struct err		  e;
	unsigned		  i;

	for (i = 0; i < w->count; i++) {
		d = &w->subscriptions[i];
		if (d->enabled && d->kind == DESTINATION_FILE &&
		    destination_test_file(q, d, &e) != 0)
			(void)book_refuse(&w->trials[i].err,
			    BOOK_BAD_REQUEST, "%s: %s", d->name, e.text);
	}
	return 0;
}

static void
topic_test_closed(struct request *q)
{
	struct topic_work *w = q->state;

	if (--w->open == 0)
		request_work(q, topic_test_files, topic_tested);
}

/* From the reporting loop, back on main. */
static void
topic_on_answer(void *trial, void *unused)
{
	struct reporter_ask *a = trial;
	struct topic_trial  *t = a->ctx;

	(void)unused;
	if (!a->ok)
		(void)book_refuse(&t->err, BOOK_BAD_REQUEST, "%s: %s",
		    a->destination.name, a->text);
	mem_wipe(&a->destination, sizeof(a->destination));
	topic_test_closed(t->q);
}

static bool
topic_test_webhook(struct request *q, const struct destination *d,
    struct topic_trial *t)
{
	t->q = q;
	t->ask.kind = ASK_TEST;
	t->ask.asker = q->relay->main;
	t->ask.done = topic_on_answer;
	t->ask.ctx = t;
	t->ask.destination = *d;
	if (reporter_ask(q->relay->reporter, &t->ask))
		return true;
	(void)book_refuse(&t->err, BOOK_TOO_MANY, "%s: too much to do",
	    d->name);
	return false;
}

static void
topic_test_all(struct request *q)
{
	struct topic_work	 *w = q->state;
	const struct destination *d;
	unsigned		  i;

	w->open = 1; /* this function */
	for (i = 0; i < w->count; i++) {
		d = &w->subscriptions[i];
		if (d->enabled && d->kind == DESTINATION_WEBHOOK)
			w->open += topic_test_webhook(q, d, &w->trials[i]);
	}
	topic_test_closed(q);
}

static void
topic_test(struct request *q)
{
	struct topic_work *w = request_state(q, sizeof(*w), topic_wipe);
	unsigned	   i, enabled = 0;

	if (request_look(q, topic_load) != 0) {
		request_end(q);
		return;
	}
	for (i = 0; i < w->count; i++)
		enabled += w->subscriptions[i].enabled;
	if (enabled == 0) {
		request_end_refused(q, BOOK_BAD_REQUEST,
		    "topic %s has no enabled subscription", w->x.ref.name);
		return;
	}
	request_would(q, "send a test record to %u subscriptions of %s",
	    enabled, w->x.ref.name);
	if (q->dry_run)
		request_end(q);
	else
		topic_test_all(q);
}

const struct command control_topic_commands[] = {
	{ "topic create", NEED_FULL, SCOPE_ACCOUNT, "CreateTopic",
	    "topicName", topic_create_run },
	{ "topic list", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, topic_list },
	{ "topic show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, topic_show },
	{ "topic set", NEED_FULL, SCOPE_ACCOUNT, "SetTopicAttributes",
	    "topicName", topic_set },
	{ "topic delete", NEED_FULL, SCOPE_ACCOUNT, "DeleteTopic",
	    "topicName", topic_delete_run },
	{ "topic test", NEED_FULL, SCOPE_ACCOUNT, "TestTopic", "topicName",
	    topic_test },
	{ "topic subscribe", NEED_FULL, SCOPE_ACCOUNT, "Subscribe",
	    "topicName", topic_subscribe },
	{ "topic unsubscribe", NEED_FULL, SCOPE_ACCOUNT, "Unsubscribe",
	    "topicName", topic_unsubscribe },
	{ "topic rotate-secret", NEED_FULL, SCOPE_ACCOUNT,
	    "SetSubscriptionAttributes", "topicName", topic_rotate },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
