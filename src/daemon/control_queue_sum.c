/* SPDX-License-Identifier: ISC */
/* The queue in figures (statistics.md 7). */
#include <string.h>

#include "daemon/control_queue.h"

enum { ROW_ARENA = 65536 };

enum sum_line {
	SUM_ACTIVE,
	SUM_READY,
	SUM_DEFERRED,
	SUM_HELD_OPERATOR,
	SUM_HELD_SET,
	SUM_HELD_ACCOUNT,
	SUM_SCHEDULED,
	SUM_TOTAL,
	SUM_LINES
};
struct sum {
	uint64_t     recipients, messages, bytes;
	struct msgid oldest, last; /* of the messages counted */
};
struct queue_sum {
	struct request *q;
	struct carrier_query c; /* its own copy; active_keys is ours */
	struct sum	line[SUM_LINES];
	struct msgid	id; /* of the message at hand */
	bool		any, wanted;
	uint64_t	size;
	struct config_set_id set;
};

static void
queue_sum_wipe(void *sum)
{
	mem_free(((struct queue_sum *)sum)->c.active_keys);
}

static enum sum_line
sum_line_of(const struct queue_sum *s, struct recipient_row *r)
{
	bool active = queue_is_active(s->c.active_keys, s->c.active_count, r);

	if (!active)
		queue_see_pause(s->q->control, &s->set, r);
	switch (queue_state_of(r, active, s->q->now)) {
	case QUEUE_ACTIVE:
		return SUM_ACTIVE;
	case QUEUE_READY:
		return SUM_READY;
	case QUEUE_DEFERRED:
		return SUM_DEFERRED;
	default:
		break;
	}
	if ((r->held_by & HELD_ACCOUNT) != 0)
		return SUM_HELD_ACCOUNT;
	return (r->held_by & HELD_CONFIG_SET) != 0 ? SUM_HELD_SET
						   : SUM_HELD_OPERATOR;
}

static void
sum_add(struct sum *l, const struct queue_sum *s)
{
	if (l->recipients == 0 || msgid_cmp(&l->last, &s->id) != 0) {
		if (l->recipients == 0)
			l->oldest = s->id;
		l->last = s->id;
		l->messages++;
		l->bytes += s->size;
	}
	l->recipients++;
}

/* Its size, once for all of its recipients. */
static void
sum_take_message(struct queue_sum *s, const struct msgid *id)
{
	struct arena	  *a = arena_new(ROW_ARENA);
	struct message_row m;
	struct err	   e;

	s->any = true;
	s->id = *id;
	s->size = 0;
	memset(&s->set, 0, sizeof(s->set));
	s->wanted = spool_read_message(s->q->relay->spool, id, a, &m, &e) == 1;
	if (s->wanted) {
		s->size = m.head_octets + m.body_octets;
		s->set = m.config_set;
		s->wanted = !s->q->has_account ||
		    strcmp(s->q->account.id, m.account) == 0;
	}
	arena_free(a);
}

static bool
sum_on_row(void *arg, const struct recipient_row *r)
{
	struct queue_sum    *s = arg;
	struct recipient_row seen = *r;

	if (!s->any || msgid_cmp(&s->id, &r->id) != 0)
		sum_take_message(s, &r->id);
	if (!s->wanted)
		return true;
	sum_add(&s->line[sum_line_of(s, &seen)], s);
	sum_add(&s->line[SUM_TOTAL], s);
	return true;
}

static int
sum_work(struct request *q)
{
	return spool_scan_recipients(q->relay->spool, NULL, 0, SIZE_MAX,
		   sum_on_row, q->state, &q->err) < 0 ? -1 : 0;
}

static json_t *
sum_states_json(const struct queue_sum *s)
{
	static const struct {
		const char *state, *held_by;
	} names[SUM_LINES] = { { "ACTIVE", NULL }, { "READY", NULL },
		{ "DEFERRED", NULL }, { "HELD", "operator" },
		{ "HELD", "config-set" }, { "HELD", "account" },
		{ "SCHEDULED", NULL }, { "TOTAL", NULL } };
	const struct sum *l;
	json_t		 *list = json_array(), *row;
	unsigned	  i;

	for (i = 0; i < SUM_LINES; i++) {
		l = &s->line[i];
		row = json_pack("{s:s, s:I, s:I, s:I, s:o}", "State",
		    names[i].state, "Recipients", (json_int_t)l->recipients,
		    "Messages", (json_int_t)l->messages, "Bytes",
		    (json_int_t)l->bytes, "OldestSeconds",
		    l->recipients == 0 ? json_null() : json_integer(
			(s->q->now.ms - msgid_time(&l->oldest).ms) / 1000));
		if (names[i].held_by != NULL)
			json_object_set_new(row, "HeldBy",
			    json_string(names[i].held_by));
		json_array_append_new(list, row);
	}
	return list;
}

static json_t *
sum_sites_json(const struct carrier_query *c)
{
	const struct carrier_site_view *v;
	json_t			       *list = json_array();
	unsigned			i;

	for (i = 0; i < c->site_count; i++) {
		v = &c->sites[i];
		json_array_append_new(list, json_pack(
		    "{s:o, s:i, s:i, s:i, s:i, s:o, s:o}", "Site",
		    json_of_bytes(bytes_of(v->name)), "Deferred",
		    (int)v->deferred, "Active", (int)v->active, "Connections",
		    (int)v->connections, "MaxConnections",
		    (int)v->connections_max, "BackoffUntil",
		    json_of_wall(v->backoff_until), "LastReply",
		    json_of_text(v->last_reply)));
	}
	return list;
}

static void
sum_finish(struct request *q)
{
	const struct queue_sum *s = q->state;
	int64_t wait = s->c.next_retry.ms - q->now.ms;

	request_set(q, "States", sum_states_json(s));
	/* sites and attempts belong to the installation */
	if (q->right.account[0] == '\0') {
		request_set(q, "Sites", sum_sites_json(&s->c));
		request_set(q, "NextRetrySeconds", s->c.next_retry.ms == 0 ?
			json_null() : json_integer(wait > 0 ? wait / 1000
							    : 0));
		request_set(q, "AttemptsLast5Minutes", json_pack(
		    "{s:i, s:i, s:i, s:i}", "Attempts", (int)s->c.attempts_5m,
		    "Delivered", (int)s->c.delivered_5m, "Deferred",
		    (int)s->c.deferred_5m, "Failed", (int)s->c.failed_5m));
	}
	request_end(q);
}

static void
sum_start(struct request *q, struct carrier_query *c)
{
	struct queue_sum *s = request_state(q, sizeof(*s), queue_sum_wipe);

	s->q = q;
	s->c = *c;
	c->active_keys = NULL;
	request_work(q, sum_work, sum_finish);
}

void
queue_summary(struct request *q)
{
	queue_look(q, sum_start);
}
