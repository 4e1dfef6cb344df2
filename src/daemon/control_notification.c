/* SPDX-License-Identifier: ISC */
/* What an identity's bounces, complaints and deliveries are told to (events.md
 * 7): topics, and mail to the sender. */
#include <stdio.h>
#include <string.h>

#include "daemon/control_identity.h"
#include "daemon/control_topic.h"
#include "registry/notification.h"

static const char *const forwarding_words[] = { "on", "off", NULL };
static const char *const topic_arguments[] = { "bounce-topic",
	"complaint-topic", "delivery-topic" };

/* -- as JSON --------------------------------------------------------------- */

int
identity_show_notifications(struct request *q, struct db_txn *t,
    const struct identity *i)
{
	struct notification *n = mem_alloc(sizeof(*n));
	char		     name[64];
	int rc = notification_get(t, i->account, i->name, n, &q->err), k;

	for (k = 0; rc >= 0 && k < NOTIFICATION_KINDS; k++) {
		snprintf(name, sizeof(name), "%sTopic",
		    notification_kind_names[k]);
		request_set(q, name, json_of_topic(q, &n->now[k].topic));
		snprintf(name, sizeof(name),
		    "HeadersIn%sNotificationsEnabled",
		    notification_kind_names[k]);
		request_set(q, name, json_boolean(n->now[k].headers));
	}
	mem_free(n);
	return rc < 0 ? -1 : 0;
}

static int
notify_show(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;

	if (identity_work_load(q, t) != 0)
		return -1;
	request_set(q, "ForwardingEnabled",
	    json_boolean(w->i.forwarding));
	return identity_show_notifications(q, t, &w->i);
}

/* -- changes --------------------------------------------------------------- */

/* "" removes it. */
static int
notify_take_topic(struct request *q, struct db_txn *t,
    enum notification_kind kind)
{
	struct identity_work *w = q->state;
	const char	     *text = arg_text(q, topic_arguments[kind]);
	struct topic_ref      r;

	if (text == NULL)
		return 0;
	if (text[0] != '\0' && (topic_take_ref(q, text, &r) != 0 ||
				   topic_may_take(q, t, &r) != 0))
		return -1;
	w->is_new_topic[kind] = notification_set(&w->notification, kind,
	    text[0] == '\0' ? NULL : &r, q->now) && text[0] != '\0';
	if (text[0] != '\0')
		request_would(q, "tell topic %s of each %s of %s", r.name,
		    notification_kind_names[kind], w->name);
	else
		request_would(q, "tell no topic of each %s of %s",
		    notification_kind_names[kind], w->name);
	return 0;
}

/* All of them: what is not named is off. */
static int
notify_take_headers(struct request *q)
{
	struct identity_work *w = q->state;
	json_t		   *list = arg_list(q, "headers"), *v;
	bool		    on[NOTIFICATION_KINDS] = { false };
	size_t		    i;
	int		    k;

	if (list == NULL)
		return 0;
	json_array_foreach(list, i, v) {
		for (k = 0; k < NOTIFICATION_KINDS; k++)
			if (bytes_eq_nocase(bytes_of(json_string_value(v)),
				bytes_of(notification_kind_names[k])))
				break;
		if (k == NOTIFICATION_KINDS)
			return request_refuse(q, BOOK_BAD_REQUEST, "headers: "
			    "not one of bounce, complaint, delivery: %.40s",
			    json_string_value(v));
		if (w->notification.now[k].topic.name[0] == '\0')
			return request_refuse(q, BOOK_BAD_REQUEST, "headers: "
			    "there is no topic for each %s",
			    notification_kind_names[k]);
		on[k] = true;
	}
	for (k = 0; k < NOTIFICATION_KINDS; k++)
		w->notification.now[k].headers = on[k];
	request_would(q, "show header fields in these records of %s alone",
	    w->name);
	return 0;
}

static int
notify_take_forwarding(struct request *q)
{
	struct identity_work *w = q->state;
	int off, rc = arg_word(q, "forwarding", forwarding_words, &off);

	if (rc != 1)
		return rc;
	w->i.forwarding = off == 0;
	request_would(q, "switch forwarding %s for %s",
	    forwarding_words[off], w->name);
	return 0;
}

static void
notify_warn(struct request *q)
{
	const struct identity_work    *w = q->state;
	const struct notification_way *now = w->notification.now;

	if (!w->i.forwarding &&
	    (now[NOTIFICATION_BOUNCE].topic.name[0] == '\0' ||
		now[NOTIFICATION_COMPLAINT].topic.name[0] == '\0'))
		request_warn(q, "no channel left, feedback is mailed to the "
		    "Return-Path");
}

/* Settings of its own are for those that are verified themselves
 * (identities-and-policies.md 3.4). */
static int
notify_write(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;
	int		    k;

	if (identity_work_load(q, t) != 0)
		return -1;
	if (!identity_may_send(&w->i, q->now))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "identity %s is not verified", w->name);
	if (notification_get(t, w->i.account, w->i.name,
		&w->notification, &q->err) < 0)
		return -1;
	for (k = 0; k < NOTIFICATION_KINDS; k++)
		if (notify_take_topic(q, t, (enum notification_kind)k) != 0)
			return -1;
	if (notify_take_headers(q) != 0 || notify_take_forwarding(q) != 0)
		return -1;
	notify_warn(q);
	if (notification_put(t, &w->notification, &q->err) != 0 ||
	    identity_work_store(q, t) != 0)
		return -1;
	request_set(q, "ForwardingEnabled",
	    json_boolean(w->i.forwarding));
	return identity_show_notifications(q, t, &w->i);
}

/* What happened since is told to the topics as well. */
static void
notify_after(struct request *q)
{
	struct identity_work	*w = q->state;
	struct notification_way *now = w->notification.now;
	int			 k;

	for (k = 0; k < NOTIFICATION_KINDS; k++)
		if (w->is_new_topic[k])
			(void)reporter_post_topic(q->relay->reporter,
			    &now[k].topic, now[k].since);
	request_end(q);
}

/* Without an option it changes nothing: no line in the audit log. */
static void
identity_notify(struct request *q)
{
	static const struct command shown = { .verb = "identity notify" };

	if (json_object_size(q->args) < 2) /* the name is one */
		q->command = &shown;
	if (identity_work_new(q) == NULL)
		request_end(q);
	else if (q->command != &shown)
		request_write(q, notify_write, notify_after);
	else
		request_read(q, notify_show);
}

/* -- what the reporting loop has decided ----------------------------------- */

const struct command control_notification_commands[] = {
	{ "identity notify", NEED_FULL, SCOPE_ACCOUNT,
	    "PutEmailIdentityFeedbackAttributes", "emailIdentity",
	    identity_notify },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
