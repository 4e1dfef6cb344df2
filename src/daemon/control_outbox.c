/* SPDX-License-Identifier: ISC */
/* event pending, retry, purge, replay, reopen: what waits for destinations. */
#include <stdio.h>
#include <string.h>

#include "daemon/control_destination.h"
#include "registry/topic.h"

enum { PENDING_MAX = 10000 };

/* -- which ----------------------------------------------------------------- */

/* destination_wipe() with the rows. */
static void
outbox_wipe(void *work)
{
	struct destination_work *w = work;

	mem_free(w->ask.rows);
	destination_wipe(w);
}

/* A topic by its ARN, or SET/NAME; when that names a topic, what came by it. */
static int
find_dest(struct request *q, struct db_txn *t, struct outbox_choice *c)
{
	struct destination_work *w = q->state;
	struct topic		 x;
	int			 found = 0;

	if (topic_ref_read(bytes_of(arg_text(q, "dest")), NULL, &c->topic)) {
		if (strcmp(c->topic.account, c->account) == 0)
			found = topic_get(t, &c->topic, &x, &q->err);
		return found != 0 ? found < 0 ? -1 : 0 :
			request_refuse(q, BOOK_NOT_FOUND,
			    "no such topic: %.80s", arg_text(q, "dest"));
	}
	if (destination_find_named(q, t) != 0)
		return -1;
	memcpy(c->name, w->d.name, sizeof(c->name));
	c->topic = w->d.topic;
	return 0;
}

/* Those of --dest, of --config-set, or all of the account. */
static int
find_choice(struct request *q, struct db_txn *t)
{
	struct destination_work *w = q->state;
	struct outbox_choice	*c = &w->ask.choice;

	memcpy(c->account, q->account.id, sizeof(c->account));
	if (arg_has(q, "dest")) {
		if (find_dest(q, t, c) != 0)
			return -1;
	} else if (arg_has(q, "config-set")) {
		json_object_set(q->args, "set",
		    json_object_get(q->args, "config-set"));
		if (destination_find_set(q, t) != 0)
			return -1;
	}
	memcpy(c->set, w->set.name, sizeof(c->set));
	return 0;
}

static struct destination_work *
outbox_choose(struct request *q)
{
	struct destination_work *w = request_state(q, sizeof(*w),
	    outbox_wipe);

	if (request_look(q, find_choice) == 0)
		return w;
	request_end(q);
	return NULL;
}

/* -- event pending --------------------------------------------------------- */

static json_t *
row_result(const struct outbox_row *r)
{
	char text[16];

	if (r->attempts == 0)
		return json_null();
	snprintf(text, sizeof(text), "%u", r->status);
	return json_string(r->status != 0 ? text : "failed");
}

static json_t *
row_json(const struct request *q, const struct outbox_row *r)
{
	char	id[EVENT_ID_TEXT + 1];
	char	place[TOPIC_ARN_SIZE];
	json_t *row;

	if (r->name[0] == '\0')
		(void)topic_ref_arn(&r->topic, q->conf->server.region, place);
	else
		snprintf(place, sizeof(place), "%s/%s", r->set, r->name);
	row = json_pack("{s:s, s:s, s:s, s:i, s:o, s:o}", "EventId",
	    event_id_to_text(&r->event, id), "Type",
	    event_type_to_text(r->type), "Destination", place, "Attempts",
	    (int)r->attempts, "Next", json_of_wall(r->next), "LastResult",
	    row_result(r));
	if (r->subscription[0] != '\0')
		json_object_set_new(row, "SubscriptionId",
		    json_string(r->subscription));
	return row;
}

static void
pending_done(struct request *q)
{
	struct destination_work *w = q->state;
	json_t			*rows = json_array();
	size_t			 i;

	for (i = 0; i < w->ask.count; i++)
		json_array_append_new(rows, row_json(q, &w->ask.rows[i]));
	request_set(q, "PendingEvents", rows);
	if (w->ask.number > 0)
		request_warn(q, "%llu more wait",
		    (unsigned long long)w->ask.number);
	request_end(q);
}

static void
event_pending(struct request *q)
{
	struct destination_work *w = outbox_choose(q);

	if (w == NULL)
		return;
	w->ask.count = PENDING_MAX;
	w->ask.rows = mem_alloc(PENDING_MAX * sizeof(*w->ask.rows));
	destination_ask(q, ASK_PENDING, pending_done);
}

/* -- event retry, purge ---------------------------------------------------- */

static void
changed_done(struct request *q)
{
	struct destination_work *w = q->state;

	request_set(q, "Events", json_integer((json_int_t)w->ask.number));
	request_end(q);
}

static void
event_change(struct request *q, enum reporter_ask_kind kind, const char *what)
{
	struct destination_work *w = outbox_choose(q);

	if (w == NULL)
		return;
	if (kind == ASK_PURGE && w->d.kind == DESTINATION_TOPIC) {
		request_end_refused(q, BOOK_BAD_REQUEST, "what waits for the "
		    "topic of %s is dropped with all of the topic (--dest "
		    "ARN)", w->d.name);
		return;
	}
	request_would(q, "%s what waits for %s", what,
	    arg_has(q, "dest") ? arg_text(q, "dest") : "all destinations");
	if (q->dry_run)
		request_end(q);
	else
		destination_ask(q, kind, changed_done);
}

static void
event_retry(struct request *q)
{
	event_change(q, ASK_RETRY, "try again");
}

static void
event_purge(struct request *q)
{
	if (!arg_has(q, "dest")) {
		(void)request_misuse(q, "which event destination? (SET/NAME "
		    "or the ARN of a topic)");
		request_end(q);
		return;
	}
	event_change(q, ASK_PURGE, "drop");
}

/* -- event replay, reopen -------------------------------------------------- */

static int
replay_find(struct request *q, struct db_txn *t)
{
	struct destination_work *w = q->state;

	if (!arg_has(q, "dest"))
		return request_misuse(q, "which event destination? (SET/NAME "
		    "or the ARN of a topic)");
	w->d.types = DESTINATION_ALL_TYPES; /* of a topic */
	if (find_choice(q, t) != 0)
		return -1;
	return w->d.kind != DESTINATION_METRICS ? 0 :
		request_refuse(q, BOOK_BAD_REQUEST, "metrics would count what "
		    "they have counted");
}

static void
event_replay(struct request *q)
{
	struct destination_work *w = request_state(q, sizeof(*w),
	    outbox_wipe);
	int rc = arg_time(q, "since", &w->ask.since);

	if (rc == 0)
		rc = request_misuse(q, "since when? (--since)") < 0 ? -1 : 0;
	if (rc < 0 || destination_take_types(q, &w->ask.types) != 0 ||
	    request_look(q, replay_find) != 0) {
		request_end(q);
		return;
	}
	if (!arg_has(q, "types"))
		w->ask.types = w->d.types;
	request_would(q, "tell %s the past once more", arg_text(q, "dest"));
	if (q->dry_run)
		request_end(q);
	else
		destination_ask(q, ASK_REPLAY, request_end);
}

/* No event file stays open longer than what is written at once, so that
 * logrotate needs no signal either: this only makes what waits look again. */
static void
event_reopen(struct request *q)
{
	(void)loop_post(q->relay->reporting, reporter_on_events,
	    q->relay->reporter, NULL);
	request_end(q);
}

const struct command control_outbox_commands[] = {
	{ "event pending", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    event_pending },
	{ "event retry", NEED_FULL, SCOPE_ACCOUNT, "RetryEvents", NULL,
	    event_retry },
	{ "event purge", NEED_FULL, SCOPE_ACCOUNT, "PurgeEvents", NULL,
	    event_purge },
	{ "event replay", NEED_FULL, SCOPE_ACCOUNT, "ReplayEvents", NULL,
	    event_replay },
	{ "event reopen", NEED_OPERATOR, SCOPE_NONE, NULL, NULL,
	    event_reopen },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
