/* SPDX-License-Identifier: ISC */
/* Alarms (reputation.md 4), and complaints that come by hand. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/control_private.h"
#include "registry/alarm.h"
#include "registry/finding.h"
#include "registry/suppression.h"
#include "reporting/reputation.h"

/* -- as JSON --------------------------------------------------------------- */

static json_t *
alarm_json(const struct alarm *a)
{
	json_t *actions = json_array();

	if (a->notifies)
		json_array_append_new(actions, json_string("notify"));
	if (a->pauses)
		json_array_append_new(actions, json_string("pause"));
	return json_pack("{s:s, s:o, s:s, s:o, s:s, s:f, s:s, s:o, s:s, "
	    "s:o, s:o}", "AlarmName", a->name, "Description",
	    json_of_text(a->description), "MetricName",
	    alarm_metric_to_text(a->metric), "ConfigurationSet",
	    json_of_text(a->set), "ComparisonOperator",
	    "GreaterThanOrEqualToThreshold", "Threshold", a->threshold,
	    "TreatMissingData", "ignore", "Actions", actions, "State",
	    alarm_state_to_text(a->state), "StateReason",
	    json_of_text(a->reason), "StateUpdated",
	    json_of_wall(a->updated));
}

static bool
alarm_on_list(void *arg, const struct alarm *a)
{
	json_array_append_new(arg, alarm_json(a));
	return true;
}

static int
alarm_list_read(struct request *q, struct db_txn *t)
{
	json_t *list = json_array();

	request_set(q, "Alarms", list);
	return alarm_each(t, q->account.id, alarm_on_list, list, &q->err);
}

static void
alarm_list(struct request *q)
{
	request_read(q, alarm_list_read);
}

/* 0, or -1 and q->err */
static int
alarm_find(struct request *q, struct db_txn *t, struct alarm *out)
{
	const char *name = arg_text(q, "name");
	int	    rc;

	if (name == NULL)
		return request_misuse(q, "which alarm?");
	rc = alarm_get(t, q->account.id, name, out, &q->err);
	if (rc == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such alarm: %.255s", name);
	return rc < 0 ? -1 : 0;
}

static int
alarm_show_read(struct request *q, struct db_txn *t)
{
	struct alarm a;

	if (alarm_find(q, t, &a) != 0)
		return -1;
	json_object_update_new(q->result, alarm_json(&a));
	return 0;
}

static void
alarm_show(struct request *q)
{
	request_read(q, alarm_show_read);
}

static bool
alarm_on_history(void *arg, struct wall at, enum alarm_state to,
    const char *reason)
{
	json_array_append_new(arg, json_pack("{s:o, s:s, s:o}", "Timestamp",
	    json_of_wall(at), "State", alarm_state_to_text(to), "Reason",
	    json_of_text(reason)));
	return true;
}

static int
alarm_history_read(struct request *q, struct db_txn *t)
{
	struct alarm a;
	json_t	    *list = json_array();

	request_set(q, "History", list);
	if (alarm_find(q, t, &a) != 0)
		return -1;
	return alarm_history(t, &a, alarm_on_history, list, &q->err);
}

static void
alarm_show_history(struct request *q)
{
	request_read(q, alarm_history_read);
}

/* -- create, set, delete ---------------------------------------------------- */

static int
alarm_take_actions(struct request *q, struct alarm *a)
{
	json_t	   *list = arg_list(q, "action"), *v;
	const char *text;
	size_t	    i;

	if (list == NULL)
		return 0;
	a->notifies = a->pauses = false;
	json_array_foreach(list, i, v) {
		text = json_string_value(v);
		if (strcmp(text, "notify") == 0)
			a->notifies = true;
		else if (strcmp(text, "pause") == 0)
			a->pauses = true;
		else
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "--action: %.40s is not notify or pause", text);
	}
	return 1;
}

static int
alarm_take(struct request *q, struct alarm *a)
{
	static const char *const metrics[] = { "bounce-rate",
		"complaint-rate", NULL };
	int i, rc = arg_word(q, "metric", metrics, &i);

	if (rc < 0 || arg_amount(q, "threshold", &a->threshold) < 0 ||
	    arg_copy(q, "config-set", a->set, sizeof(a->set)) < 0 ||
	    arg_copy(q, "description", a->description,
		sizeof(a->description)) < 0 || alarm_take_actions(q, a) < 0)
		return -1;
	if (rc > 0)
		a->metric = (enum alarm_metric)i;
	if (a->threshold > 0.5)
		request_warn(q, "%g means %g %%", a->threshold,
		    a->threshold * 100);
	return 0;
}

static int
alarm_create_write(struct request *q, struct db_txn *t)
{
	struct alarm *a = q->state;

	if (!arg_has(q, "name") || !arg_has(q, "metric") ||
	    !arg_has(q, "threshold") || !arg_has(q, "action"))
		return request_misuse(q, "a name, --metric, --threshold and "
		    "--action are needed");
	memcpy(a->account, q->account.id, sizeof(a->account));
	if (arg_copy(q, "name", a->name, sizeof(a->name)) < 0 ||
	    alarm_take(q, a) != 0)
		return -1;
	request_would(q, "create alarm %s", a->name);
	return alarm_create(t, a, &q->err);
}

static void
alarm_after(struct request *q)
{
	(void)reporter_post_judge(q->relay->reporter, q->account.id);
	request_end(q);
}

static void
alarm_create_run(struct request *q)
{
	request_state(q, sizeof(struct alarm), NULL);
	request_write(q, alarm_create_write, alarm_after);
}

static int
alarm_set_write(struct request *q, struct db_txn *t)
{
	struct alarm *a = q->state;

	if (alarm_find(q, t, a) != 0 || alarm_take(q, a) != 0)
		return -1;
	request_would(q, "change alarm %s", a->name);
	return alarm_put(t, a, &q->err);
}

static void
alarm_set(struct request *q)
{
	request_state(q, sizeof(struct alarm), NULL);
	request_write(q, alarm_set_write, alarm_after);
}

static int
alarm_delete_write(struct request *q, struct db_txn *t)
{
	struct alarm a;

	if (alarm_find(q, t, &a) != 0)
		return -1;
	request_would(q, "delete alarm %s", a.name);
	return alarm_delete(t, a.account, a.name, &q->err) < 0 ? -1 : 0;
}

static void
alarm_delete_run(struct request *q)
{
	request_write(q, alarm_delete_write, NULL);
}

/* -- set-state: the action is really executed ------------------------------- */

struct forcing {
	struct alarm	    a;
	struct alarm_effect effect;
};

static int
alarm_state_write(struct request *q, struct db_txn *t)
{
	static const char *const words[] = { "OK", "ALARM", NULL };
	struct forcing *f = q->state;
	int		i, rc = arg_word(q, "state", words, &i);

	if (rc == 0)
		return request_misuse(q, "the state is OK or ALARM");
	if (rc < 0 || alarm_find(q, t, &f->a) != 0)
		return -1;
	request_would(q, "set alarm %s to %s%s", f->a.name, words[i],
	    i == 1 && f->a.pauses ? f->a.set[0] != '\0'
		? " and pause the configuration set"
		: " and pause the account" : "");
	return alarm_move(t, &f->a, (enum alarm_state)i,
	    arg_text(q, "reason"), q->now, &f->effect, &q->err);
}

static void
alarm_after_pause(struct request *q, const struct forcing *f)
{
	struct reputation_switch s;
	char			 text[REPUTATION_SWITCH_TEXT];

	reputation_switch_of_alarm(&f->a, &f->effect, &s);
	(void)reporter_post_news(q->relay->reporter, &(struct bulletin_news){
	    "Sending Status Disabled", q->account.id, NULL,
	    reputation_switch_text(&s, text) });
	control_on_switch(q->control, &s);
}

static void
alarm_after_state(struct request *q)
{
	const struct forcing *f = q->state;
	char		      text[ALARM_NOTICE_SIZE];
	char		      what[ALARM_NAME_SIZE + 16];
	char		      quoted[LOG_QUOTE_SIZE];

	log_warn("reputation-alarm", "account=%s alarm=%s state=%s reason=%s "
	    "paused=%s", q->account.id, f->a.name,
	    alarm_state_to_text(f->a.state),
	    log_quote(bytes_of(f->a.reason), quoted),
	    f->effect.paused_account || f->effect.paused_set ? "yes" : "no");
	/* once a day, beside that of the alarm itself */
	snprintf(what, sizeof(what), "set-state-%s", f->a.name);
	if ((f->effect.must_notify || f->effect.paused_account ||
		f->effect.paused_set) &&
	    !reporter_post_warning(q->relay->reporter, q->account.id, what,
		alarm_notice(&f->a, &f->effect, text)))
		request_warn(q, "the contacts could not be told");
	if (f->effect.paused_account || f->effect.paused_set)
		alarm_after_pause(q, f);
	alarm_after(q);
}

static void
alarm_set_state(struct request *q)
{
	const char *reason = arg_text(q, "reason");

	if (reason == NULL || reason[0] == '\0') {
		(void)request_misuse(q, "--reason is needed");
		request_end(q);
		return;
	}
	request_state(q, sizeof(struct forcing), NULL);
	request_write(q, alarm_state_write, alarm_after_state);
}

/* -- complaint add ---------------------------------------------------------- */

enum source { SOURCE_DIRECT, SOURCE_PROVIDER, SOURCE_FBL };
struct complaint {
	struct request	      *q;
	enum source	       source;
	struct finding	       finding;
	struct change	       change;
	struct change_item     item;
	struct event	       event;
	struct event_recipient to;
	char		       address[ADDRESS_TEXT_MAX];
	char		       feedback_id[MSGID_TEXT + 1];
};

static int
complaint_suppress(struct request *q, struct db_txn *t, const char *address)
{
	struct suppression s = { .last = SUPPRESS_COMPLAINT,
		.updated = q->now, .source = SUPPRESSION_MANUAL };

	memcpy(s.account, q->account.id, sizeof(s.account));
	bytes_text(bytes_of(address), s.address, sizeof(s.address));
	return suppression_add(t, &s, &q->err);
}

/* What people say to the operator: a finding, no event, in no rate. */
static int
complaint_write(struct request *q, struct db_txn *t)
{
	struct complaint *c = q->state;
	struct finding	 *f = &c->finding;

	if (arg_is_true(q, "suppress") &&
	    complaint_suppress(q, t, c->address) < 0)
		return -1;
	request_would(q, "add a complaint of %s", c->address);
	if (c->source == SOURCE_FBL)
		return 0;
	if (finding_count(t, q->account.id, c->source == SOURCE_DIRECT
		? FINDING_DIRECT_FEEDBACK : FINDING_RECIPIENT_FEEDBACK,
		q->now, f, &q->err) < 0)
		return -1;
	if (arg_copy(q, "note", f->private_note, sizeof(f->private_note)) <
	    0 || finding_put(t, f, &q->err) < 0)
		return -1;
	request_set(q, "FindingId", json_string(f->id));
	request_set(q, "Count", json_integer((json_int_t)f->count));
	request_set(q, "State", json_string(finding_state_to_text(f->state)));
	return 0;
}

static void
complaint_on_receipt(void *ctx, void *load)
{
	struct request	 *q = ctx;
	struct complaint *c = q->state;

	(void)load;
	if (c->change.result == RECEIPT_OK)
		ledger_count_event(ledger_page(q->relay->ledger,
		    q->account.id), &c->event);
	else
		(void)request_refuse(q, BOOK_TOO_MANY,
		    "the store takes nothing");
	request_end(q);
}

/* As a report of a feedback loop: the event does the rest. */
static void
complaint_after(struct request *q)
{
	struct complaint *c = q->state;

	if (c->source != SOURCE_FBL) {
		(void)reporter_post_judge(q->relay->reporter, q->account.id);
		request_end(q);
		return;
	}
	if (!spool_change(q->relay->spool, &c->change))
		request_end_refused(q, BOOK_TOO_MANY, "too much to do");
}

static void
complaint_make_event(struct complaint *c, const struct msgid *id)
{
	struct request *q = c->q;
	struct msgid	feedback;

	msgid_make(q->now, &feedback);
	msgid_to_text(&feedback, q->conf->server.id_prefix, 0,
	    c->feedback_id);
	c->to.address = bytes_of(c->address);
	c->event.type = EVENT_COMPLAINT;
	event_id_make(q->now, &c->event.id);
	c->event.at = q->now;
	c->event.message = *id;
	c->event.recipients = &c->to;
	c->event.recipient_count = 1;
	c->event.feedback_id = bytes_of(c->feedback_id);
	c->item.kind = CHANGE_EVENT;
	c->item.id = *id;
	c->item.event = &c->event;
	c->change.from = q->relay->main;
	c->change.on_receipt = complaint_on_receipt;
	c->change.ctx = q;
	c->change.items = &c->item;
	c->change.count = 1;
}

/* The message that was complained of: of this account, to this address.  Only
 * a report cannot do without one. */
static int
complaint_find(struct complaint *c, const char *text)
{
	struct request *q = c->q;
	struct arena   *a = arena_new(1 << 20);
	struct mail_row m;
	struct msgid	id;
	bool		found = false;
	unsigned	i;

	if (text == NULL) {
		arena_free(a);
		return c->source != SOURCE_FBL ? 0 : request_misuse(q,
		    "a report of a feedback loop needs --message-id");
	}
	if (msgid_from_text(bytes_of(text), &id, NULL) &&
	    spool_read_facts(q->relay->spool, &id, a, &m, &q->err) == 1 &&
	    strcmp(m.account, q->account.id) == 0)
		for (i = 0; i < m.recipient_count && !found; i++)
			found = bytes_eq_nocase(m.recipients[i],
			    bytes_of(c->address));
	arena_free(a);
	if (!found)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such message to %.200s: %.100s", c->address, text);
	if (c->source == SOURCE_FBL)
		complaint_make_event(c, &id);
	return 0;
}

static void
complaint_add(struct request *q)
{
	static const char *const words[] = { "direct", "provider", "fbl",
		NULL };
	struct complaint *c = request_state(q, sizeof(*c), NULL);
	struct address	  parsed;
	int		  i = 0, given;

	c->q = q;
	given = arg_copy(q, "address", c->address, sizeof(c->address));
	if (given == 0)
		(void)request_misuse(q, "whose complaint?");
	else if (given > 0 && !address_parse(bytes_of(c->address),
		ADDRESS_ALLOW_SINGLE_LABEL, &parsed))
		(void)request_refuse(q, BOOK_BAD_REQUEST,
		    "not an address: %.200s", c->address);
	if (q->err.text[0] != '\0' || arg_word(q, "source", words, &i) < 0) {
		request_end(q);
		return;
	}
	c->source = (enum source)i;
	if (complaint_find(c, arg_text(q, "message-id")) != 0) {
		request_end(q);
		return;
	}
	request_write(q, complaint_write, complaint_after);
}

const struct command control_alarm_commands[] = {
	{ "alarm list", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, alarm_list },
	{ "alarm show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, alarm_show },
	{ "alarm history", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    alarm_show_history },
	{ "alarm create", NEED_FULL, SCOPE_ACCOUNT, "AlarmCreate",
	    "alarmName", alarm_create_run },
	{ "alarm set", NEED_FULL, SCOPE_ACCOUNT, "AlarmSet", "alarmName",
	    alarm_set },
	{ "alarm delete", NEED_FULL, SCOPE_ACCOUNT, "AlarmDelete",
	    "alarmName", alarm_delete_run },
	{ "alarm set-state", NEED_FULL, SCOPE_ACCOUNT, "AlarmSetState",
	    "alarmName", alarm_set_state },
	{ "complaint add", NEED_FULL, SCOPE_ACCOUNT, "ComplaintAdd",
	    "emailAddress", complaint_add },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
