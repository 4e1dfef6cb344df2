/* SPDX-License-Identifier: ISC */
/* Rates, states and findings of accounts (reputation.md). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/control_stats.h"
#include "daemon/control_sweep.h"
#include "registry/config_set.h"
#include "registry/finding.h"
#include "reporting/reputation.h"

/* -- reputation show ------------------------------------------------------- */

struct show {
	struct request	 *q;
	const char	 *set; /* NULL = of the account */
	struct config_set s;
	json_t		 *findings;
};

static bool
show_on_finding(void *arg, const struct finding *f)
{
	struct show *x = arg;

	if (f->state == FINDING_OPEN)
		json_array_append_new(x->findings, json_pack(
		    "{s:s, s:s, s:s, s:s, s:o, s:o}", "FindingId", f->id,
		    "Type", finding_type_to_text(f->type), "Action",
		    finding_action_to_text(f->action), "Scope", f->scope,
		    "Opened", json_of_seconds(f->opened), "Note",
		    json_of_text(f->note)));
	return true;
}

static json_t *
show_rate(const struct request *q, bool is_bounce, const struct rates *r)
{
	const struct show *x = q->state;
	struct rate_limits l = stats_limits(q->conf, is_bounce);
	const char *shown, *status = stats_rate_status(x->set == NULL
	    ? &q->account : NULL, is_bounce, r, &l, &shown);
	json_t *o = json_pack("{s:f, s:s, s:s, s:I, s:o, s:f, s:f}", "Value",
	    is_bounce ? r->bounce : r->complaint, "Status", status, "Shown",
	    shown, "Base", (json_int_t)(is_bounce ? r->sends
		: r->deliveries), "Since", json_of_seconds(r->since),
	    "Review", l.review, "Pause", l.pause);

	if (is_bounce)
		json_object_set_new(o, "Note", json_real(
		    q->conf->reputation.bounce.note));
	else
		json_object_set_new(o, "FeedbackLoopsOnly",
		    json_boolean(r->has_loops));
	return o;
}

static json_t *
show_review(const struct account_review *r)
{
	char causes[80];

	if (r->state == STATE_HEALTHY)
		return json_null();
	return json_pack("{s:o, s:o, s:s}", "Since", json_of_seconds(
	    r->since), "Ends", json_of_seconds(r->ends), "Causes",
	    review_causes_to_text(r->causes, causes));
}

static int
show_read(struct request *q, struct db_txn *t)
{
	struct show *x = q->state;
	int	     rc = 1;

	if (x->set != NULL)
		rc = config_set_get(t, q->account.id, bytes_of(x->set), &x->s,
		    &q->err);
	if (rc == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "Configuration set does not exist: %.64s", x->set);
	return rc < 0 ? -1 : finding_each(t, q->account.id, show_on_finding,
	    x, &q->err);
}

static int
show_work(struct request *q)
{
	struct show	     *x = q->state;
	const struct account *a = &q->account;
	struct wall	      fresh = x->set != NULL ? x->s.fresh_start
			: a->review.fresh_start;
	struct wall	      from = x->set != NULL
			? config_set_counts_from(&x->s) : fresh;
	struct rates	      r;

	if (stats_rates(q, x->set != NULL ? STATISTIC_SET
		: STATISTIC_ACCOUNT, x->set != NULL ? x->set : "", from,
		&r) < 0)
		return -1;
	request_set(q, "Account", json_string(a->id));
	if (x->set != NULL)
		request_set(q, "ConfigurationSetName", json_string(x->set));
	request_set(q, "EnforcementStatus", json_string(
	    account_enforcement_to_text(a->enforcement)));
	request_set(q, "State", json_string(account_state_to_text(
	    a->review.state)));
	request_set(q, "StateShown", json_string(account_state_to_show(
	    a->review.state)));
	request_set(q, "SendingEnabled", json_boolean(x->set != NULL
		? x->s.sending : a->sending_enabled));
	request_set(q, "BounceRate", show_rate(q, true, &r));
	request_set(q, "ComplaintRate", show_rate(q, false, &r));
	request_set(q, "LastFreshStart", json_of_wall(fresh));
	request_set(q, "Review", show_review(&a->review));
	return 0;
}

static void
show_start(struct request *q)
{
	request_work(q, show_work, request_end);
}

/* -- reputation show --by --------------------------------------------------- */

struct by_row {
	char	     name[STATISTIC_NAME_MAX + 1];
	struct rates r;
};
struct by {
	struct show	     show; /* first: the state of the request */
	enum statistic_scope scope;
	struct by_row	    *row;
	size_t		     n, cap;
};

static void
by_wipe(void *state)
{
	mem_free(((struct by *)state)->row);
}

static bool
by_on_row(void *arg, const struct statistic_key *k,
    const struct statistic *v)
{
	struct by *b = arg;

	(void)v;
	if (b->n > 0 && bytes_eq_text(k->name, b->row[b->n - 1].name))
		return true;
	if (b->n == b->cap) {
		b->cap = b->cap * 2 + 32;
		b->row = mem_realloc(b->row, b->cap * sizeof(*b->row));
	}
	bytes_text(k->name, b->row[b->n++].name, STATISTIC_NAME_MAX + 1);
	return true;
}

static int
by_work(struct request *q)
{
	struct by		 *b = q->state;
	struct statistic_question x;
	struct rates		  r;
	json_t			 *list = json_array();
	size_t			  i;

	request_set(q, "Rates", list);
	stats_question(q, STATISTIC_HOUR, b->scope, "", &x);
	x.any_name = true;
	x.from.ms = q->now.ms - RATES_DAYS * (int64_t)STATISTIC_DAY_MS;
	if (statistic_each(q->relay->spool, &x, by_on_row, b, &q->err) < 0)
		return -1;
	for (i = 0; i < b->n; i++) {
		if (stats_rates(q, b->scope, b->row[i].name,
			q->account.review.fresh_start, &r) < 0)
			return -1;
		json_array_append_new(list, json_pack(
		    "{s:o, s:f, s:I, s:I, s:f, s:I, s:I}", "Name",
		    json_of_bytes(bytes_of(b->row[i].name)), "BounceRate",
		    r.bounce, "Sends", (json_int_t)r.sends, "HardBounces",
		    (json_int_t)r.hard, "ComplaintRate", r.complaint,
		    "Deliveries", (json_int_t)r.deliveries, "Complaints",
		    (json_int_t)r.complaints));
	}
	return 0;
}

static void
by_start(struct request *q)
{
	request_work(q, by_work, request_end);
}

static void
reputation_show(struct request *q)
{
	static const char *const words[] = { "identity", "credential", "ip",
		"provider", NULL };
	static const enum statistic_scope scopes[] = { STATISTIC_IDENTITY,
		STATISTIC_CREDENTIAL, STATISTIC_SOURCE, STATISTIC_PROVIDER };
	struct by *b = request_state(q, sizeof(*b), by_wipe);
	int	   i = 0, by = arg_word(q, "by", words, &i);

	b->show.q = q;
	b->show.set = arg_text(q, "config-set");
	b->scope = scopes[i];
	if (by < 0) {
		request_end(q);
		return;
	}
	if (by > 0) {
		request_sync(q, by_start);
		return;
	}
	b->show.findings = json_array();
	request_set(q, "Findings", b->show.findings);
	if (request_look(q, show_read) != 0)
		request_end(q);
	else
		request_sync(q, show_start);
}

/* -- fresh start ----------------------------------------------------------- */

static int
account_as_it_is(struct request *q, struct db_txn *t)
{
	char id[ACCOUNT_ID_SIZE];
	int  rc;

	memcpy(id, q->account.id, sizeof(id));
	rc = account_get(t, id, &q->account, &q->err);
	if (rc == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such account: %s", id);
	return rc < 0 ? -1 : 0;
}

static int
rebase_write(struct request *q, struct db_txn *t)
{
	const char	 *set = arg_text(q, "config-set");
	struct wall	  since = q->now;
	struct config_set s;
	int		  rc;

	if (arg_time(q, "since", &since) < 0)
		return -1;
	if (since.ms > q->now.ms)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "since: lies in the future");
	request_would(q, "begin the reputation of %s anew",
	    set != NULL ? set : q->account.id);
	if (set == NULL) {
		if (account_as_it_is(q, t) != 0)
			return -1;
		account_review_rebase(&q->account, since);
		return account_put(t, &q->account, &q->err);
	}
	rc = config_set_get(t, q->account.id, bytes_of(set), &s, &q->err);
	if (rc == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "Configuration set does not exist: %.64s", set);
	s.fresh_start = since;
	return rc < 0 ? -1 : config_set_put(t, &s, &q->err);
}

static bool
has_reason(struct request *q)
{
	const char *reason = arg_text(q, "reason");

	if (reason != NULL && reason[0] != '\0')
		return true;
	(void)request_misuse(q, "--reason is needed");
	request_end(q);
	return false;
}

static void
reputation_rebase(struct request *q)
{
	if (has_reason(q))
		request_write(q, rebase_write, NULL);
}

/* -- account review -------------------------------------------------------- */

static void
review_after(struct request *q)
{
	const char *reason = arg_text(q, "reason");
	char	    text[512], quoted[LOG_QUOTE_SIZE];

	log_warn("reputation-status", "account=%s new=%s cause=%s",
	    q->account.id, account_state_to_text(q->account.review.state),
	    log_quote(bytes_of(reason), quoted));
	snprintf(text, sizeof(text), "The state of the account is %s now: "
	    "%.300s", account_state_to_text(q->account.review.state), reason);
	if (!reporter_post_warning(q->relay->reporter, q->account.id,
		"reputation-review", text))
		request_warn(q, "the contacts could not be told");
	control_follow_account(q->control, &q->account);
	request_end(q);
}

static int
review_start_write(struct request *q, struct db_txn *t)
{
	if (account_as_it_is(q, t) != 0 || account_review_start(&q->account,
		q->now, q->conf->reputation.review_period_ms, &q->err) != 0)
		return -1;
	request_would(q, "review account %s", q->account.id);
	return account_put(t, &q->account, &q->err);
}

static int
review_extend_write(struct request *q, struct db_txn *t)
{
	if (account_as_it_is(q, t) != 0 || account_review_extend(&q->account,
		q->now, q->conf->reputation.review_extension_ms, &q->err) != 0)
		return -1;
	request_would(q, "extend the review of account %s", q->account.id);
	return account_put(t, &q->account, &q->err);
}

static int
review_end_write(struct request *q, struct db_txn *t)
{
	static const char *const words[] = { "healthy", "review", "pause",
		"permanent", NULL };
	static const enum account_state states[] = { STATE_HEALTHY,
		STATE_UNDER_REVIEW, STATE_SENDING_PAUSED,
		STATE_PERMANENTLY_PAUSED };
	int i, rc = arg_word(q, "result", words, &i);

	if (rc == 0)
		return request_misuse(q, "--result is needed");
	if (rc < 0 || account_as_it_is(q, t) != 0 ||
	    account_review_end(&q->account, states[i], q->now,
		q->conf->reputation.review_period_ms, &q->err) != 0)
		return -1;
	request_would(q, "end the review of account %s", q->account.id);
	return account_put(t, &q->account, &q->err);
}

static void
review_start(struct request *q)
{
	if (has_reason(q))
		request_write(q, review_start_write, review_after);
}

static void
review_extend(struct request *q)
{
	if (has_reason(q))
		request_write(q, review_extend_write, review_after);
}

static void
review_end(struct request *q)
{
	if (has_reason(q))
		request_write(q, review_end_write, review_after);
}

/* -- findings -------------------------------------------------------------- */

static bool
finding_on_list(void *arg, const struct finding *f)
{
	struct request *q = arg;
	json_t	       *o;

	if (f->state == FINDING_CLOSED && !arg_is_true(q, "all"))
		return true;
	o = json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:i, "
	    "s:o, s:o, s:s}", "FindingId", f->id, "AccountId",
	    json_of_text(f->account), "Type", finding_type_to_text(f->type),
	    "Action", finding_action_to_text(f->action), "Source",
	    finding_source_to_text(f->source), "State",
	    finding_state_to_text(f->state), "Scope", f->scope, "Opened",
	    json_of_seconds(f->opened), "Closed", json_of_seconds(f->closed),
	    "Count", (int)f->count, "Note", json_of_text(f->note),
	    "CloseReason", json_of_text(f->close_reason), "Remedy",
	    finding_remedy(f->type));
	if (q->operator)
		json_object_set_new(o, "PrivateNote",
		    json_of_text(f->private_note));
	json_array_append_new(json_object_get(q->result, "Findings"), o);
	return true;
}

static int
finding_list_read(struct request *q, struct db_txn *t)
{
	request_set(q, "Findings", json_array());
	return finding_each(t, q->has_account ? q->account.id : NULL,
	    finding_on_list, q, &q->err);
}

static void
finding_list(struct request *q)
{
	request_read(q, finding_list_read);
}

/* What it is about: the account, or something of it. */
static void
finding_take_scope(struct request *q, struct finding *f)
{
	static const char *const names[] = { "identity", "credential", "ip" };
	size_t i;

	strcpy(f->scope, "account");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (arg_text(q, names[i]) != NULL)
			snprintf(f->scope, sizeof(f->scope), "%s %.290s",
			    names[i], arg_text(q, names[i]));
}

static int
finding_add_write(struct request *q, struct db_txn *t)
{
	static const char *const actions[] = { "note", "review", "pause",
		NULL };
	struct finding *f = q->state;
	const char     *type = arg_text(q, "type");
	int		i;

	if (type == NULL || arg_text(q, "note") == NULL)
		return request_misuse(q, "--type and --note are needed");
	if (!finding_type_from_text(bytes_of(type), &f->type))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "no such type of finding: %.60s", type);
	f->action = finding_default_action(f->type);
	switch (arg_word(q, "action", actions, &i)) {
	case 1:
		f->action = (enum finding_action)i;
		break;
	case -1:
		return -1;
	}
	if (arg_copy(q, "note", f->note, sizeof(f->note)) < 0 ||
	    arg_copy(q, "private-note", f->private_note,
		sizeof(f->private_note)) < 0)
		return -1;
	finding_take_scope(q, f);
	memcpy(f->account, q->account.id, sizeof(f->account));
	f->source = FINDING_BY_OPERATOR;
	f->opened = q->now;
	request_would(q, "open a finding");
	if (finding_open(t, f, &q->err) < 0)
		return -1;
	request_set(q, "FindingId", json_string(f->id));
	return 0;
}

static void
finding_after(struct request *q)
{
	if (q->has_account)
		(void)reporter_post_judge(q->relay->reporter, q->account.id);
	request_end(q);
}

static void
finding_add(struct request *q)
{
	request_state(q, sizeof(struct finding), NULL);
	request_write(q, finding_add_write, finding_after);
}

static void
finding_after_close(struct request *q)
{
	const char *account = q->state;

	if (account[0] != '\0')
		(void)reporter_post_judge(q->relay->reporter, account);
	request_end(q);
}

static int
finding_close_write(struct request *q, struct db_txn *t)
{
	struct finding f;
	const char    *id = arg_text(q, "id");
	int	       rc = 0;

	/* without an account also those of the installation */
	if (id != NULL)
		rc = q->has_account ? finding_get(t, q->account.id, id, &f,
			 &q->err) : finding_find(t, id, &f, &q->err);

	if (rc == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such finding: %.40s", id != NULL ? id : "");
	if (rc < 0 || arg_copy(q, "reason", f.close_reason,
		sizeof(f.close_reason)) < 0)
		return -1;
	if (f.state == FINDING_CLOSED)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "finding %s is closed", f.id);
	f.state = FINDING_CLOSED;
	f.closed = q->now;
	bytes_text(bytes_of(f.account), q->state, ACCOUNT_ID_SIZE);
	request_would(q, "close finding %s", f.id);
	return finding_put(t, &f, &q->err);
}

static void
finding_close(struct request *q)
{
	(void)request_state(q, ACCOUNT_ID_SIZE, NULL);
	if (has_reason(q))
		request_write(q, finding_close_write, finding_after_close);
}

const struct command control_reputation_commands[] = {
	{ "reputation show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    reputation_show },
	{ "reputation rebase", NEED_FULL, SCOPE_ACCOUNT, "ReputationRebase",
	    NULL, reputation_rebase },
	{ "reputation finding list", NEED_READ, SCOPE_OPTIONAL, NULL, NULL,
	    finding_list },
	{ "reputation finding add", NEED_OPERATOR, SCOPE_ACCOUNT,
	    "FindingAdd", "findingType", finding_add },
	{ "reputation finding close", NEED_OPERATOR, SCOPE_OPTIONAL,
	    "FindingClose", "findingId", finding_close },
	{ "account review start", NEED_OPERATOR, SCOPE_ACCOUNT,
	    "ReviewStart", NULL, review_start },
	{ "account review extend", NEED_FULL, SCOPE_ACCOUNT, "ReviewExtend",
	    NULL, review_extend },
	{ "account review end", NEED_OPERATOR, SCOPE_ACCOUNT, "ReviewEnd",
	    NULL, review_end },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
