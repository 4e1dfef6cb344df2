/* SPDX-License-Identifier: ISC */
/*
 * What a raw message is and of which message of ours it speaks.  The address
 * it came to tells most: a return address names message and recipient.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "mail/address.h"
#include "reporting/inbox_private.h"

enum {
	DAY_MS = 86400000,
	DUPLICATE_MS = 7 * DAY_MS,
	IDS_MAX = 20, /* of an attached header section */
	CLIENT_IDS_MAX = 8
};

/* -- what was found -------------------------------------------------------- */

void
judging_result(struct judging *j, enum intake_result r)
{
	if (r < j->result)
		j->result = r;
}

bool
judging_find(struct judging *j, const struct msgid *id, unsigned n,
    struct target *t)
{
	int64_t	   keep_ms = (int64_t)j->setup->conf->feedback.index_days *
	    DAY_MS;
	struct err e;
	int	   rc;

	if (j->row.received.ms - msgid_time(id).ms > keep_ms)
		return false;
	rc = spool_read_facts(j->setup->spool, id, j->arena, &t->mail, &e);
	if (rc < 0)
		j->trouble = true;
	if (rc <= 0 || t->mail.system || n > t->mail.recipient_count)
		return false;
	t->n = n;
	return true;
}

bool
judging_is_new(struct judging *j, const struct target *t)
{
	char		   raw_id[MSGID_TEXT + 1];
	struct intake_mark m = { t->mail.id, 0 };
	struct wall	   last;
	struct err	   e;
	unsigned	   count;
	size_t		   i;
	int		   rc;

	/* without a Message-ID it is new when it comes, not when it is read
	 * again */
	msgid_to_text(&j->row.id, "0100", 0, raw_id);
	m.what = intake_mark_report(j->r.message_id.n > 0 ?
		j->r.message_id : bytes_of(raw_id));
	for (i = 0; i < j->mark_count; i++)
		if (msgid_cmp(&j->marks[i].id, &m.id) == 0 &&
		    j->marks[i].what == m.what)
			return true; /* to another recipient of it */
	rc = spool_read_mark(j->setup->spool, &m, &count, &last, &e);
	if (rc < 0)
		j->trouble = true;
	if (rc == 1 && j->row.received.ms - last.ms < DUPLICATE_MS)
		return false;
	if (j->mark_count < JUDGING_MARKS)
		j->marks[j->mark_count++] = m;
	return true;
}

void
judging_forward(struct judging *j, const char *account, struct bytes to,
    enum intake_from from)
{
	struct intake_errand *x;
	size_t		      i;

	if (to.n == 0)
		return;
	for (i = 0; i < j->errand_count; i++)
		if (bytes_eq(j->errands[i].to, to))
			return;
	if (j->errand_count == JUDGING_ERRANDS)
		return;
	x = &j->errands[j->errand_count];
	x->id = j->row.id;
	x->n = (unsigned)j->errand_count++;
	x->from = from;
	x->since = j->now;
	x->account = arena_bytes(j->arena, bytes_of(account));
	x->to = to;
}

static void
judging_forward_operator(struct judging *j)
{
	const char *to = j->setup->conf->intake.postmaster;

	if (to != NULL)
		judging_forward(j, "", bytes_of(to), INTAKE_FROM_KEPT);
	else
		log_warn("returned-kept", "sid=%.*s reason=\"no "
		    "intake.postmaster\"", (int)j->row.sid.n, j->row.sid.p);
}

/* -- the addresses it came to ---------------------------------------------- */

static bool
address_is_return(struct bytes address, struct msgid *id, unsigned *n)
{
	struct address a;

	return address_split(address, &a) && a.local.n == MSGID_TEXT &&
	    msgid_from_text(a.local, id, n);
}

/* That of a list of reports; or of a person, who may have had one. */
static bool
judging_came_for_reports(const struct judging *j)
{
	struct msgid id;
	unsigned     i, n;

	for (i = 0; i < j->row.recipient_count; i++)
		if (!address_is_return(j->row.recipients[i], &id, &n))
			return true;
	return false;
}

/* intake.require_spf: a report of any host, or only of one that may send in
 * the name it gives. */
static bool
judging_may_act(struct judging *j, enum conf_report_bits report)
{
	if ((j->setup->conf->intake.require_spf & (unsigned)report) == 0 ||
	    intake_is_authenticated(&j->row))
		return true;
	log_warn("returned-unauthenticated", "sid=%.*s kind=%s spf=%s",
	    (int)j->row.sid.n, j->row.sid.p, intake_kind_to_text(j->kind),
	    intake_spf_to_text(&j->row));
	judging_result(j, INTAKE_IGNORED);
	return false;
}

/* -- complaints ------------------------------------------------------------- */

/* An id of the attached message, of a message that is known. */
static bool
judging_find_attached(struct judging *j, struct target *t)
{
	struct msgid id;
	size_t	     at = 0;
	unsigned     n, i;

	for (i = 0; i < IDS_MAX && returned_next_id(j->r.report.original,
	     j->arena, &at, &id, &n); i++)
		if (judging_find(j, &id, n, t))
			return true;
	return returned_find_id(j->r.report.envelope_id, &id, &n) &&
	    judging_find(j, &id, n, t);
}

/*
 * By the client's own Message-ID, when it went out with that.  Unlike ours it
 * can be guessed, and given twice: it counts when it names one message alone,
 * of those that were sent to whom the report names, if it names somebody.
 */
static bool
judging_find_client_id(struct judging *j, struct target *t)
{
	struct bytes  to = j->r.report.original_rcpt_to;
	struct bytes  text = returned_message_id(j->r.report.original,
	    j->arena);
	struct msgid  ids[CLIENT_IDS_MAX];
	struct target x;
	struct err    e;
	unsigned      found = 0;
	int	      i, n;

	n = spool_find_client_id(j->setup->spool, text, j->now, ids,
	    CLIENT_IDS_MAX, &e);
	if (n < 0)
		j->trouble = true;
	for (i = 0; i < n && !j->trouble; i++)
		if (judging_find(j, &ids[i], 0, &x) &&
		    bytes_eq(x.mail.message_id, text) &&
		    (to.n == 0 || target_find(&x, to) > 0)) {
			*t = x;
			found++;
		}
	return found == 1;
}

static bool
judging_find_complained(struct judging *j, struct target *t)
{
	struct msgid id;
	unsigned     i, n;

	if (returned_find_id(j->r.report.original_mail_from, &id, &n) &&
	    judging_find(j, &id, n, t))
		return true;
	for (i = 0; i < j->row.recipient_count; i++)
		if (address_is_return(j->row.recipients[i], &id, &n) &&
		    judging_find(j, &id, n, t))
			return true;
	return judging_find_attached(j, t) || judging_find_client_id(j, t);
}

static void
judging_run_complaint(struct judging *j)
{
	struct target t;
	char	      type[64];

	j->kind = INTAKE_ARF;
	if (!judging_may_act(j, CONF_REPORT_ARF)) {
		if (j->r.kind == RETURNED_OTHER) /* a person's letter */
			judging_forward_operator(j);
		return;
	}
	if (judging_find_complained(j, &t)) {
		judging_complaint(j, &t);
		return;
	}
	judging_result(j, INTAKE_UNMATCHED);
	log_warn("complaint-unmatched", "sid=%.*s type=%s", (int)j->row.sid.n,
	    j->row.sid.p, bytes_text(j->r.report.feedback_type, type,
		sizeof(type)));
}

/* -- what came to a return address ------------------------------------------ */

static void
judging_run_target(struct judging *j, const struct target *t)
{
	switch (j->r.kind) {
	case RETURNED_DSN:
	case RETURNED_BOUNCE:
		j->kind = INTAKE_DSN;
		if (judging_may_act(j, CONF_REPORT_DSN))
			judging_bounce(j, t);
		break;
	case RETURNED_AUTOREPLY:
		j->kind = INTAKE_AUTOREPLY;
		judging_autoreply(j, t);
		break;
	case RETURNED_COMPLAINT:
	case RETURNED_DISPOSITION:
	case RETURNED_OTHER:
		judging_result(j, INTAKE_IGNORED);
		judging_forward(j, t->mail.account, t->mail.forward,
		    INTAKE_FROM_KEPT);
		break;
	}
}

static bool
judging_run_returns(struct judging *j)
{
	struct target t;
	struct msgid  id;
	unsigned      i, n;
	bool	      any = false;

	for (i = 0; i < j->row.recipient_count && !j->trouble; i++) {
		if (!address_is_return(j->row.recipients[i], &id, &n))
			continue;
		any = true;
		if (judging_find(j, &id, n, &t))
			judging_run_target(j, &t);
		else
			judging_result(j, INTAKE_UNMATCHED);
	}
	return any;
}

/* A report that came to a person's address speaks for itself, or not. */
static void
judging_run_stray(struct judging *j)
{
	struct target t;

	if (j->r.kind == RETURNED_DSN && judging_find_attached(j, &t)) {
		judging_run_target(j, &t);
		return;
	}
	if (j->r.kind == RETURNED_DSN)
		j->kind = INTAKE_DSN;
	judging_result(j, j->r.kind == RETURNED_DSN ? INTAKE_UNMATCHED :
						      INTAKE_IGNORED);
	judging_forward_operator(j);
}

void
judging_run(struct judging *j)
{
	if (j->r.kind == RETURNED_COMPLAINT ||
	    (j->r.kind == RETURNED_OTHER && j->r.has_attached &&
		judging_came_for_reports(j))) {
		judging_run_complaint(j);
		if (j->result == INTAKE_UNMATCHED &&
		    j->r.kind == RETURNED_OTHER)
			judging_forward_operator(j);
	} else if (!judging_run_returns(j)) {
		judging_run_stray(j);
	}
	if (j->result == INTAKE_WAITS)
		j->result = INTAKE_IGNORED;
}
