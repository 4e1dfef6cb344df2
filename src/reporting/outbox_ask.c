/* SPDX-License-Identifier: ISC */
/* What an operator asks of the outbox: the past once more, what waits. */
#include <string.h>

#include "reporting/outbox_private.h"

/* -- which ----------------------------------------------------------------- */

static bool
name_is_chosen(const struct destination *d, const struct outbox_choice *c)
{
	return strcmp(d->account, c->account) == 0 &&
	    (c->set[0] == '\0' || strcmp(d->set_name, c->set) == 0) &&
	    (c->name[0] == '\0' || strcmp(d->name, c->name) == 0);
}

/* Something that waits for it may be meant. */
static bool
outlet_is_chosen(const struct outlet *x, const struct outbox_choice *c)
{
	if (c->topic.name[0] != '\0')
		return destination_is_subscription(&x->d) &&
		    topic_ref_eq(&x->d.topic, &c->topic);
	if (destination_is_subscription(&x->d))
		return c->set[0] != '\0' ||
		    strcmp(x->d.account, c->account) == 0;
	return name_is_chosen(&x->d, c);
}

/* All that waits for it is meant. */
static bool
outlet_is_chosen_whole(const struct outlet *x, const struct outbox_choice *c)
{
	return !destination_is_subscription(&x->d) || c->set[0] == '\0';
}

/* By which destination it came; NULL = it is a notification. */
static const struct destination *
entry_via(struct outbox *o, const struct outlet *x, const struct entry *e)
{
	const struct outlet *via;

	if (!destination_is_subscription(&x->d))
		return &x->d;
	via = outbox_find(o, &e->key.way.via);
	return via == NULL ? NULL : &via->d;
}

static bool
entry_is_chosen(struct outbox *o, const struct outlet *x,
    const struct entry *e, const struct outbox_choice *c)
{
	const struct destination *via;

	if (outlet_is_chosen_whole(x, c))
		return true;
	via = entry_via(o, x, e);
	return via != NULL && name_is_chosen(via, c);
}

/* -- the past once more ---------------------------------------------------- */

static void
outlet_replay(struct outbox *o, struct outlet *x, uint64_t first,
    unsigned types, const struct destination_id *via)
{
	x->replay = first;
	x->replay_end = o->walked;
	x->replay_types = types;
	x->replay_via = *via;
	outbox_wants(o, x);
}

/* The one that is named; NULL = a topic alone is. */
static struct outlet *
outbox_named(struct outbox *o, const struct outbox_choice *c)
{
	struct outlet *x;

	for (x = o->first; x != NULL && c->name[0] != '\0'; x = x->next)
		if (!destination_is_subscription(&x->d) &&
		    name_is_chosen(&x->d, c))
			return x;
	return NULL;
}

bool
outbox_replay(struct outbox *o, const struct outbox_choice *c,
    struct wall since, unsigned types)
{
	static const struct destination_id any;
	struct outlet *x, *named;
	uint64_t       first;

	loop_must_own(o->setup.loop);
	outbox_look(o);
	named = outbox_named(o, c);
	if (o->stopping || (named == NULL &&
	    (c->name[0] != '\0' || c->topic.name[0] == '\0')))
		return false;
	first = spool_first_event_since(o->setup.spool, since);
	if (first == 0 || first > o->walked)
		return true; /* nothing of the past */
	if (c->topic.name[0] == '\0')
		outlet_replay(o, named, first, types, &any);
	for (x = o->first; x != NULL && c->topic.name[0] != '\0'; x = x->next)
		if (outlet_is_chosen(x, c))
			outlet_replay(o, x, first, types,
			    named == NULL ? &any : &named->d.id);
	outbox_go(o);
	return true;
}

/* -- what waits ------------------------------------------------------------ */

/* Turned off by posthorn: it waits until somebody enables it. */
static bool
outlet_rests(const struct outlet *x)
{
	return !x->d.enabled && x->d.reason[0] != '\0';
}

static void
outlet_list(struct outbox *o, const struct outlet *x, const struct entry *e,
    struct outbox_row *out)
{
	bool	    is_webhook = x->d.kind == DESTINATION_WEBHOOK;
	struct mono now = loop_now(o->setup.loop);
	int64_t	    again = is_webhook ? e->again.ms : x->again.ms;
	const struct destination *via = entry_via(o, x, e);

	memset(out, 0, sizeof(*out));
	if (via != NULL) {
		memcpy(out->set, via->set_name, sizeof(out->set));
		memcpy(out->name, via->name, sizeof(out->name));
	}
	if (destination_is_subscription(&x->d)) {
		out->topic = x->d.topic;
		bytes_text(bytes_of(x->d.name), out->subscription,
		    sizeof(out->subscription));
	}
	out->event = e->event;
	out->type = e->type;
	/* of a file all fail together */
	out->attempts = is_webhook ? e->attempts : x->failures;
	out->status = e->status;
	out->next.ms = outlet_rests(x) ? 0 : loop_wall(o->setup.loop).ms +
		(again > now.ms ? again - now.ms : 0);
}

uint64_t
outbox_list(struct outbox *o, const struct outbox_choice *c,
    struct outbox_row *rows, size_t *count)
{
	const struct outlet *x;
	const struct entry  *e;
	uint64_t	     more = 0;
	size_t		     max = *count;

	loop_must_own(o->setup.loop);
	*count = 0;
	for (x = o->busy; x != NULL; x = x->next_busy) {
		if (!outlet_is_chosen(x, c))
			continue;
		if (outlet_is_chosen_whole(x, c))
			more += x->backlog;
		for (e = x->first; e != NULL; e = e->next) {
			if (!entry_is_chosen(o, x, e, c))
				continue;
			if (*count < max)
				outlet_list(o, x, e, &rows[(*count)++]);
			else
				more++;
		}
	}
	return more;
}

/* Also those that wait for one to succeed. */
static uint64_t
outlet_retry(struct outbox *o, struct outlet *x,
    const struct outbox_choice *c)
{
	struct entry *e;
	uint64_t      n = 0;

	if (outlet_rests(x))
		return 0;
	for (e = x->first; e != NULL; e = e->next)
		if (!e->is_out && entry_is_chosen(o, x, e, c)) {
			e->again.ms = 0;
			n++;
		}
	if (n > 0 || outlet_is_chosen_whole(x, c)) {
		x->again.ms = 0;
		x->failures = 0;
	}
	return n;
}

uint64_t
outbox_retry(struct outbox *o, const struct outbox_choice *c)
{
	struct outlet *x;
	uint64_t       n = 0;

	loop_must_own(o->setup.loop);
	for (x = o->busy; x != NULL; x = x->next_busy)
		if (outlet_is_chosen(x, c))
			n += outlet_retry(o, x, c);
	outbox_go(o);
	return n;
}

/* What came to a topic by one destination cannot be told apart where it is
 * not in memory: it is dropped with all of the topic, or not at all. */
uint64_t
outbox_purge(struct outbox *o, const struct outbox_choice *c)
{
	struct outlet *x;
	uint64_t       n = 0;

	loop_must_own(o->setup.loop);
	for (x = o->busy; x != NULL; x = x->next_busy)
		if (outlet_is_chosen(x, c) && outlet_is_chosen_whole(x, c)) {
			n += outlet_purge(x, o->walked);
			outlet_show(x);
		}
	o->save_now = true;
	outbox_go(o);
	return n;
}
