/* SPDX-License-Identifier: ISC */
/* What an operator asks of the outbox: the past once more, what waits. */
#include <string.h>

#include "reporting/outbox_private.h"

bool
outbox_replay(struct outbox *o, const struct destination_id *id,
    struct wall since, unsigned types)
{
	struct outlet *x;
	uint64_t       first;

	loop_must_own(o->setup.loop);
	outbox_look(o);
	x = outbox_find(o, id);
	if (x == NULL || o->stopping)
		return false;
	first = spool_first_event_since(o->setup.spool, since);
	if (first == 0 || first > o->walked)
		return true; /* nothing of the past */
	x->replay = first;
	x->replay_end = o->walked;
	x->replay_types = types;
	outbox_wants(o, x);
	outbox_go(o);
	return true;
}

/* -- what waits ------------------------------------------------------------ */

static bool
outlet_is_chosen(const struct outlet *x, const struct outbox_choice *c)
{
	return strcmp(x->d.account, c->account) == 0 &&
	    (c->set[0] == '\0' || strcmp(x->d.set_name, c->set) == 0) &&
	    (c->name[0] == '\0' || strcmp(x->d.name, c->name) == 0);
}

/* Turned off by posthorn: it waits until somebody enables it. */
static bool
outlet_rests(const struct outlet *x)
{
	return !x->d.enabled && x->d.reason[0] != '\0';
}

static void
outlet_list(const struct outbox *o, const struct outlet *x,
    const struct entry *e, struct outbox_row *out)
{
	bool	    is_webhook = x->d.kind == DESTINATION_WEBHOOK;
	struct mono now = loop_now(o->setup.loop);
	int64_t	    again = is_webhook ? e->again.ms : x->again.ms;

	memcpy(out->set, x->d.set_name, sizeof(out->set));
	memcpy(out->name, x->d.name, sizeof(out->name));
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
		more += x->count + x->backlog;
		for (e = x->first; e != NULL && *count < max; e = e->next) {
			outlet_list(o, x, e, &rows[(*count)++]);
			more--;
		}
	}
	return more;
}

/* Also those that wait for one to succeed. */
static uint64_t
outlet_retry(struct outlet *x)
{
	struct entry *e;
	uint64_t      n = 0;

	if (outlet_rests(x))
		return 0;
	for (e = x->first; e != NULL; e = e->next)
		if (!e->is_out) {
			e->again.ms = 0;
			n++;
		}
	x->again.ms = 0;
	x->failures = 0;
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
			n += outlet_retry(x);
	outbox_go(o);
	return n;
}

uint64_t
outbox_purge(struct outbox *o, const struct outbox_choice *c)
{
	struct outlet *x;
	uint64_t       n = 0;

	loop_must_own(o->setup.loop);
	for (x = o->busy; x != NULL; x = x->next_busy)
		if (outlet_is_chosen(x, c)) {
			n += outlet_purge(x, o->walked);
			outlet_show(x);
		}
	o->save_now = true;
	outbox_go(o);
	return n;
}
