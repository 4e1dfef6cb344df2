/* SPDX-License-Identifier: ISC */
/* The queue, changed: retry, hold, release, bounce, delete. */
#include <string.h>

#include "base/log.h"
#include "daemon/control_queue.h"

enum { IDS_MAX = 100000 };

/* Why nothing became of a message that was named; false = something did. */
static bool
change_failed(const struct sweep *s, const struct sweep_id *x, struct err *e)
{
	const struct request *q = s->q;
	char		      id[MSGID_TEXT + 1];

	msgid_to_text(&x->id, q->conf->server.id_prefix, 0, id);
	if (x->found == 0)
		(void)book_refuse(e, BOOK_NOT_FOUND,
		    "no such message in the queue: %s", id);
	else if (x->busy > 0)
		(void)book_refuse(e, BOOK_BAD_REQUEST,
		    "an attempt is under way: %s", id);
	else if (x->fit > 0)
		return false;
	else if (s->kind == CHANGE_RETRY)
		(void)book_refuse(e, BOOK_BAD_REQUEST, "held: %s", id);
	else
		(void)book_refuse(e, BOOK_NOT_FOUND,
		    "no such recipient of %s", id);
	return true;
}

/* A slip in a name would look like success. */
static void
change_warn_none(struct sweep *s)
{
	if (s->id_count == 0 && s->changed == 0 && !arg_is_true(s->q, "all") &&
	    !s->q->dry_run)
		request_warn(s->q, "0 recipients were changed");
}

static void
change_done(struct sweep *s)
{
	struct request *q = s->q;
	struct err	e;
	size_t		i;

	if (s->err.text[0] != '\0') {
		q->err = s->err;
		request_end(q);
		return;
	}
	for (i = 0; i < s->id_count; i++)
		if (change_failed(s, &s->ids[i], &e))
			request_item_failed(q, &e);
	request_settle_items(q, s->id_count);
	change_warn_none(s);
	log_info("queue-changed", "verb=\"%s\" uid=%u recipients=%llu%s",
	    q->command->verb, (unsigned)q->uid,
	    (unsigned long long)s->changed, q->dry_run ? " dry-run" : "");
	request_end(q);
}

/* A dry run counts only. */
static void
change_show(struct sweep *s)
{
	s->changed += s->row_count;
	sweep_next(s);
}

static void
change_would(struct sweep *s)
{
	request_would(s->q, "%s: %llu recipients", s->q->command->verb,
	    (unsigned long long)s->changed);
	change_done(s);
}

static int
change_take_ids(struct request *q, struct sweep *s)
{
	json_t *ids = arg_list(q, "id"), *v;
	size_t	i;

	if (json_array_size(ids) == 0)
		return 0;
	if (json_array_size(ids) > IDS_MAX)
		return request_misuse(q, "too many ids");
	s->ids = mem_alloc(json_array_size(ids) * sizeof(*s->ids));
	json_array_foreach(ids, i, v)
		if (queue_take_id(q, json_string_value(v),
			&s->ids[s->id_count++].id) != 0)
			return -1;
	return 0;
}

static int
change_take_kind(struct request *q, struct sweep *s)
{
	static const struct {
		const char	*verb;
		enum change_kind kind;
	} kinds[] = { { "queue retry", CHANGE_RETRY },
		{ "queue hold", CHANGE_HOLD },
		{ "queue release", CHANGE_RELEASE },
		{ "queue bounce", CHANGE_DONE },
		{ "queue delete", CHANGE_DONE } };
	size_t i = 0;

	while (strcmp(kinds[i].verb, q->command->verb) != 0)
		i++;
	s->kind = kinds[i].kind;
	s->held_by = HELD_OPERATOR;
	s->filter.is_due = s->kind == CHANGE_RETRY;
	if (strcmp(q->command->verb, "queue bounce") == 0)
		s->reason = arg_text(q, "reason") != NULL ?
			arg_text(q, "reason") : "";
	return 0;
}

/* Something has to say which: nobody holds all mail by a slip. */
static int
change_check(struct request *q, const struct sweep *s)
{
	bool chosen = s->id_count > 0 || s->filter.to.n > 0;
	bool ends = s->kind == CHANGE_DONE;

	if (ends && s->id_count == 0)
		return request_misuse(q, "which messages? give their ids");
	if (!ends)
		chosen |= s->filter.from.n > 0 || s->filter.credential.n > 0;
	if (s->kind == CHANGE_RETRY)
		chosen |= arg_is_true(q, "all");
	if (chosen)
		return 0;
	return request_misuse(q, "which messages? give ids, --to%s",
	    s->kind == CHANGE_RETRY ? ", or --all"
				    : ", --from, or --credential");
}

static void
change_go(struct request *q, struct sweep *s)
{
	if (queue_take_filter(q, &s->filter) != 0 ||
	    change_take_ids(q, s) != 0 || change_take_kind(q, s) != 0 ||
	    change_check(q, s) != 0) {
		request_end(q);
		return;
	}
	s->done = change_done;
	if (q->dry_run) {
		s->show = change_show;
		s->done = change_would;
	}
	sweep_start(s);
}

static void
change_start(struct request *q, struct carrier_query *c)
{
	struct sweep *s = sweep_new(q->control, q);

	queue_take_active(s, c);
	s->filter.is_resting = true;
	change_go(q, s);
}

/* What is under way cannot be ended: the receiver may have it already. */
void
queue_change(struct request *q)
{
	if (strcmp(q->command->verb, "queue bounce") == 0 ||
	    strcmp(q->command->verb, "queue delete") == 0)
		queue_look(q, change_start);
	else
		change_go(q, sweep_new(q->control, q));
}
