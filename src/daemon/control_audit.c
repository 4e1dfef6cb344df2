/* SPDX-License-Identifier: ISC */
/* The audit log, shown. */
#include <string.h>

#include "daemon/control_event.h"

enum { AUDIT_SHOWN_MAX = 64 * 1024 * 1024, AUDIT_TAIL_FIRST = 10 };

struct audit_look {
	struct request *q;
	struct audit   *reader;
	struct wall	since;
	const char     *actor, *event;
	struct buf	out;
	size_t		shown, limit;
};

static void
audit_look_wipe(void *look)
{
	struct audit_look *l = look;

	audit_close(l->reader);
	buf_wipe(&l->out);
}

static bool
audit_fits(const struct audit_look *l, struct bytes line)
{
	struct bytes v, id;

	if (l->event != NULL && (!audit_member(line, "eventName", &v) ||
	    !bytes_eq_nocase(v, bytes_of(l->event))))
		return false;
	if (l->q->has_account &&
	    (!audit_member(line, "recipientAccountId", &v) ||
		!bytes_eq_text(v, l->q->account.id)))
		return false;
	if (l->actor == NULL)
		return true;
	return (audit_member(line, "userName", &v) &&
		   bytes_eq_text(v, l->actor)) ||
	    (audit_member(line, "principalId", &id) &&
		bytes_eq_text(id, l->actor));
}

static bool
audit_on_line(void *arg, struct bytes line)
{
	struct audit_look *l = arg;

	if (!audit_fits(l, line))
		return true;
	buf_add_text(&l->out, "{\"line\":");
	buf_add_bytes(&l->out, line);
	buf_add_text(&l->out, "}\n");
	return !l->out.failed && (l->limit == 0 || ++l->shown < l->limit);
}

static int
audit_work(struct request *q)
{
	struct audit_look *l = q->state;
	bool tail = strcmp(q->command->verb, "audit tail") == 0;

	if (audit_read(l->reader, l->since, tail && l->since.ms == 0 ?
		AUDIT_TAIL_FIRST : SIZE_MAX, audit_on_line, l, &q->err) != 0)
		return -1;
	if (l->out.failed)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "too much to show; give --since or --limit");
	return 0;
}

static void
audit_gone(struct request *q)
{
	q->on_gone = NULL;
	request_end(q);
}

static void
audit_worked(struct request *q)
{
	struct audit_look *l = q->state;
	bool tail = strcmp(q->command->verb, "audit tail") == 0;

	if (q->caller != NULL)
		caller_send(q->caller, buf_bytes(&l->out));
	buf_clear(&l->out);
	if (!tail || q->caller == NULL)
		request_end(q);
	else
		q->on_gone = audit_gone; /* from now on line by line */
}

static void
audit_show(struct request *q)
{
	struct audit_look *l = request_state(q, sizeof(*l), audit_look_wipe);
	int64_t		   limit = 0;

	l->q = q;
	buf_init(&l->out, AUDIT_SHOWN_MAX);
	l->actor = arg_text(q, "actor");
	l->event = arg_text(q, "event");
	l->reader = audit_reader(q->relay->audit);
	if (arg_time(q, "since", &l->since) < 0 ||
	    arg_int(q, "limit", 1, 1000000, &limit) < 0) {
		request_end(q);
		return;
	}
	l->limit = (size_t)limit;
	request_work(q, audit_work, audit_worked);
}

void
control_on_audit(void *control, struct bytes line)
{
	struct control	  *k = control;
	struct request	  *q, *next;
	struct audit_look *l;

	for (q = k->requests; q != NULL; q = next) {
		next = q->next;
		if (q->on_gone != audit_gone)
			continue;
		l = q->state;
		if (audit_fits(l, line))
			(void)request_line(q, line);
	}
}

const struct command control_audit_commands[] = {
	{ "audit list", NEED_READ, SCOPE_OPTIONAL, NULL, NULL, audit_show },
	{ "audit tail", NEED_READ, SCOPE_OPTIONAL, NULL, NULL, audit_show },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
