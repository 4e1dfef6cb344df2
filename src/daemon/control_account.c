/* SPDX-License-Identifier: ISC */
/* Accounts: tenants, their switch, their allowances. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/control_private.h"
#include "daemon/control_sweep.h"
#include "mail/mime.h"
#include "registry/quota.h"
#include "registry/suppression.h"

/* -- as JSON --------------------------------------------------------------- */

static double
account_sent(struct request *q, const struct account *a)
{
	struct err e;
	double	   sent = 0;

	if (quota_sent_24h(q->relay->spool, a->id, q->now, &sent, &e) != 0)
		request_warn(q, "the use of the quota cannot be read: %s",
		    e.text);
	return sent;
}

static json_t *
account_quota_json(struct request *q, const struct account *a)
{
	return json_pack("{s:o, s:o, s:o}", "Max24HourSend",
	    json_of_amount(a->max_24h), "SentLast24Hours",
	    json_real(account_sent(q, a)), "MaxSendRate",
	    json_of_amount(a->rate));
}

static const char *
account_status(const struct account *a)
{
	return a->closed.ms != 0 ? "CLOSED"
	    : account_state_to_text(a->review.state);
}

static const char *const rule_words[] = { "default", "rewrite", "preserve",
	NULL };
static const char *const received_words[] = { "default", "anonymous", "full",
	"none", NULL };

json_t *
json_of_overrides(const struct account_overrides *o)
{
	return json_pack("{s:s, s:s, s:s}", "Date", rule_words[o->date],
	    "MessageId", rule_words[o->message_id], "Received",
	    received_words[o->received]);
}

int
arg_overrides(struct request *q, struct account_overrides *o)
{
	int i;

	switch (arg_word(q, "date", rule_words, &i)) {
	case 1:
		o->date = (enum header_rule)i;
		break;
	case -1:
		return -1;
	}
	switch (arg_word(q, "message-id", rule_words, &i)) {
	case 1:
		o->message_id = (enum header_rule)i;
		break;
	case -1:
		return -1;
	}
	switch (arg_word(q, "received", received_words, &i)) {
	case 1:
		o->received = (enum received_rule)i;
		break;
	case -1:
		return -1;
	}
	return 0;
}

static json_t *
account_details_json(const struct account *a)
{
	json_t	*contacts = json_array();
	unsigned i;

	for (i = 0; i < a->contact_count; i++)
		json_array_append_new(contacts,
		    json_of_bytes(bytes_of(a->contacts[i])));
	return json_pack("{s:s, s:o, s:s, s:o, s:o}", "MailType",
	    a->marketing ? "MARKETING" : "TRANSACTIONAL", "WebsiteURL",
	    json_of_text(a->website), "ContactLanguage",
	    a->language_ja ? "JA" : "EN", "UseCaseDescription",
	    json_of_text(a->use_case), "AdditionalContactEmailAddresses",
	    contacts);
}

static void
account_show(struct request *q)
{
	const struct account *a = &q->account;

	request_set(q, "AccountId", json_string(a->id));
	request_set(q, "AccountName", json_of_bytes(bytes_of(a->name)));
	request_set(q, "Status", json_string(account_status(a)));
	request_set(q, "Created", json_of_wall(a->created));
	if (a->closed.ms != 0)
		request_set(q, "Closed", json_of_wall(a->closed));
	request_set(q, "DedicatedIpAutoWarmupEnabled",
	    json_boolean(a->auto_warmup));
	request_set(q, "EnforcementStatus",
	    json_string(account_enforcement_to_text(a->enforcement)));
	request_set(q, "ProductionAccessEnabled",
	    json_boolean(a->production));
	request_set(q, "SendQuota", account_quota_json(q, a));
	request_set(q, "SendingEnabled", json_boolean(a->sending_enabled));
	if (!account_may_send(a))
		request_set(q, "PauseReason", json_of_text(a->pause_reason));
	request_set(q, "SuppressionAttributes", json_pack("{s:o}",
	    "SuppressedReasons",
	    json_of_reasons(suppression_reasons_of(a))));
	request_set(q, "Details", account_details_json(a));
	request_set(q, "Overrides", json_of_overrides(&a->overrides));
	request_set(q, "BlockedAttachments", json_of_text(a->attachments));
	request_end(q);
}

struct account_list {
	struct request *q;
	struct page	page;
};

static bool
account_on_list(void *arg, const struct account *a)
{
	struct account_list *l = arg;

	if (page_wants(&l->page, a->id))
		json_array_append_new(l->page.rows, json_pack(
		    "{s:s, s:o, s:s, s:b, s:b, s:o, s:o, s:o}", "AccountId",
		    a->id, "AccountName", json_of_bytes(bytes_of(a->name)),
		    "Status", account_status(a), "ProductionAccessEnabled",
		    a->production, "SendingEnabled", account_may_send(a),
		    "Max24HourSend", json_of_amount(a->max_24h),
		    "SentLast24Hours", json_real(account_sent(l->q, a)),
		    "MaxSendRate", json_of_amount(a->rate)));
	return !page_is_full(&l->page);
}

static int
account_list_read(struct request *q, struct db_txn *t)
{
	struct account_list l = { q, { 0 } };
	int		    rc;

	if (page_open(q, &l.page) != 0)
		return -1;
	rc = account_each(t, account_on_list, &l, &q->err);
	page_close(q, &l.page, "Accounts");
	return rc;
}

static void
account_list(struct request *q)
{
	request_read(q, account_list_read);
}

/* -- create and set -------------------------------------------------------- */

static int
arg_contacts(struct request *q, struct account *a)
{
	json_t *list = arg_list(q, "contact"), *v;
	size_t	i;

	if (list == NULL)
		return 0;
	if (json_array_size(list) > ACCOUNT_CONTACTS_MAX)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "an account has at most %d contacts",
		    ACCOUNT_CONTACTS_MAX);
	a->contact_count = 0;
	json_array_foreach(list, i, v) {
		if (json_string_length(v) >= ACCOUNT_TEXT_MAX)
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "contact: too long");
		if (json_string_length(v) > 0)
			strcpy(a->contacts[a->contact_count++],
			    json_string_value(v));
	}
	return 0;
}

static int
arg_reasons(struct request *q, struct account *a)
{
	json_t	   *list = arg_list(q, "suppress-reasons"), *v;
	const char *text;
	size_t	    i;

	if (list == NULL)
		return 0;
	a->suppress_bounce = a->suppress_complaint = false;
	json_array_foreach(list, i, v) {
		text = json_string_value(v);
		if (bytes_eq_nocase(bytes_of(text), BYTES("bounce")))
			a->suppress_bounce = true;
		else if (bytes_eq_nocase(bytes_of(text), BYTES("complaint")))
			a->suppress_complaint = true;
		else
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "suppress-reasons: not bounce or complaint: %s",
			    text);
	}
	return 0;
}

static int
arg_attachments(struct request *q, struct account *a)
{
	struct mime_blocked *b;
	struct err	     e;
	json_t		    *list = arg_list(q, "attachments"), *v;
	struct buf	     text;
	size_t		     i;

	if (list == NULL)
		return 0;
	buf_init(&text, sizeof(a->attachments));
	json_array_foreach(list, i, v)
		buf_printf(&text, "%s%s", i > 0 ? ", " : "",
		    json_string_value(v));
	if (text.failed || text.n >= sizeof(a->attachments)) {
		buf_wipe(&text);
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "attachments: too long");
	}
	bytes_text(buf_bytes(&text), a->attachments, sizeof(a->attachments));
	buf_wipe(&text);
	if (a->attachments[0] == '\0')
		return 0;
	b = mime_blocked_new(bytes_of(a->attachments), &e);
	if (b == NULL)
		return request_refuse(q, BOOK_BAD_REQUEST, "attachments: %s",
		    e.text);
	mime_blocked_free(b);
	return 0;
}

static int
account_take_details(struct request *q, struct account *a)
{
	static const char *const types[] = { "transactional", "marketing",
		"promotional", NULL };
	static const char *const languages[] = { "en", "ja", "jp", NULL };
	int i, rc;

	if (arg_copy(q, "website", a->website, sizeof(a->website)) < 0 ||
	    arg_copy(q, "use-case", a->use_case, sizeof(a->use_case)) < 0 ||
	    arg_contacts(q, a) < 0 || arg_switch(q, "auto-warmup",
		&a->auto_warmup) < 0)
		return -1;
	rc = arg_word(q, "mail-type", types, &i);
	if (rc == 1)
		a->marketing = i > 0;
	if (rc < 0)
		return -1;
	rc = arg_word(q, "language", languages, &i);
	if (rc == 1)
		a->language_ja = i > 0;
	return rc < 0 ? -1 : 0;
}

/* As it is now, not as it was when the command began. */
static int
account_again(struct request *q, struct db_txn *t)
{
	char id[ACCOUNT_ID_SIZE];
	int  found;

	memcpy(id, q->account.id, sizeof(id));
	found = account_get(t, id, &q->account, &q->err);
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such account: %s", id);
	return found < 0 ? -1 : 0;
}

static int
account_set_write(struct request *q, struct db_txn *t)
{
	struct account *a = &q->account;
	bool		production = arg_is_true(q, "production");
	bool		sandbox = arg_is_true(q, "sandbox");

	if (account_again(q, t) != 0)
		return -1;
	if ((production || sandbox) && !q->operator) {
		q->error_code = "AccessDeniedException";
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "permission denied");
	}
	if (production && sandbox)
		return request_misuse(q,
		    "--production and --sandbox exclude each other");
	if (production || sandbox)
		a->production = production;
	if (arg_copy(q, "name", a->name, sizeof(a->name)) < 0 ||
	    account_take_details(q, a) != 0 || arg_reasons(q, a) != 0 ||
	    arg_overrides(q, &a->overrides) != 0 || arg_attachments(q, a) != 0)
		return -1;
	a->updated = q->now;
	request_would(q, "change account %s", a->id);
	return account_put(t, a, &q->err);
}

static void
account_set(struct request *q)
{
	if (json_object_size(q->args) == 0) {
		(void)request_misuse(q, "nothing to set");
		request_end(q);
	} else
		request_write(q, account_set_write, NULL);
}

static int
account_create_write(struct request *q, struct db_txn *t)
{
	struct account *a = &q->account;

	memset(a, 0, sizeof(*a));
	a->created = q->now;
	a->max_24h = q->conf->account.default_max_24h;
	a->rate = q->conf->account.default_rate;
	a->production = q->conf->account.default_production ||
	    arg_is_true(q, "production");
	a->suppress_bounce = a->suppress_complaint = true;
	if (arg_text(q, "name") == NULL)
		return request_misuse(q, "the account needs a name");
	if (arg_copy(q, "name", a->name, sizeof(a->name)) < 0 ||
	    arg_copy(q, "id", a->id, sizeof(a->id)) < 0 ||
	    arg_contacts(q, a) != 0 ||
	    arg_amount(q, "max-24h", &a->max_24h) < 0 ||
	    arg_amount(q, "rate", &a->rate) < 0 ||
	    account_create(t, a, &q->err) != 0)
		return -1;
	q->has_account = true;
	request_would(q, "create account %s", a->name);
	request_set(q, "AccountId", json_string(a->id));
	request_set(q, "AccountName", json_of_bytes(bytes_of(a->name)));
	return 0;
}

static void
account_create_run(struct request *q)
{
	request_write(q, account_create_write, NULL);
}

/* -- the switch ------------------------------------------------------------ */

/* What a pause or resume begins from, and what refuses to go along. */
struct switching {
	struct err	   refusal;
	bool		   was_enabled;
	enum account_state was_state;
};

static int
switching_begin(struct request *q, struct db_txn *t)
{
	struct switching *w = q->state;

	if (account_again(q, t) != 0)
		return -1;
	w->was_enabled = q->account.sending_enabled;
	w->was_state = q->account.review.state;
	return 0;
}

static void
account_tell_switch(struct request *q)
{
	const char *reason = arg_text(q, "reason");
	bool	    on = account_may_send(&q->account);
	char	    text[2 * ACCOUNT_TEXT_MAX + 64], quoted[LOG_QUOTE_SIZE];

	snprintf(text, sizeof(text), "Sending of account %s (%s) was %s%s%s",
	    q->account.id, q->account.name, on ? "resumed" : "paused",
	    reason != NULL ? ": " : ".", reason != NULL ? reason : "");
	log_warn(on ? "sending-enabled" : "sending-disabled",
	    "account=%s reason=%s", q->account.id,
	    log_quote(bytes_of(reason), quoted));
	if (!reporter_post_warning(q->relay->reporter, q->account.id,
		on ? "resumed" : "paused", text))
		request_warn(q, "the contacts could not be told");
}

/* A change that is none is not told. */
static void
account_after_switch(struct request *q)
{
	const struct switching *w = q->state;

	if (w->was_enabled != q->account.sending_enabled ||
	    w->was_state != q->account.review.state)
		account_tell_switch(q);
	control_follow_account(q->control, &q->account);
	request_end(q);
}

static int
account_pause_write(struct request *q, struct db_txn *t)
{
	const char *reason = arg_text(q, "reason");

	if (switching_begin(q, t) != 0)
		return -1;
	account_pause(&q->account, reason != NULL ? reason : "",
	    arg_is_true(q, "enforce"), q->now);
	request_would(q, "pause account %s", q->account.id);
	return account_put(t, &q->account, &q->err);
}

static void
account_pause_run(struct request *q)
{
	if (arg_is_true(q, "enforce") && !q->operator) {
		q->error_code = "AccessDeniedException";
		request_end_refused(q, BOOK_BAD_REQUEST, "permission denied");
		return;
	}
	request_state(q, sizeof(struct switching), NULL);
	request_write(q, account_pause_write, account_after_switch);
}

/* The switch is set even where enforcement still forbids to send. */
static int
account_resume_write(struct request *q, struct db_txn *t)
{
	struct switching *w = q->state;
	struct err	 *refusal = &w->refusal;

	if (switching_begin(q, t) != 0)
		return -1;
	if (account_resume(&q->account, q->operator, q->now,
		q->conf->reputation.review_period_ms, refusal) == 0)
		refusal->text[0] = '\0';
	request_would(q, "resume account %s", q->account.id);
	return account_put(t, &q->account, &q->err);
}

static void
account_after_resume(struct request *q)
{
	const struct switching *w = q->state;

	if (w->refusal.text[0] != '\0') {
		q->err = w->refusal;
		request_end(q);
		return;
	}
	account_after_switch(q);
}

static void
account_resume_run(struct request *q)
{
	const char *reason = arg_text(q, "reason");

	if (reason == NULL || reason[0] == '\0') {
		(void)request_misuse(q, "--reason is needed");
		request_end(q);
		return;
	}
	request_state(q, sizeof(struct switching), NULL);
	request_write(q, account_resume_write, account_after_resume);
}

/* -- closing --------------------------------------------------------------- */

static void
account_after_close(struct request *q)
{
	control_follow_account(q->control, &q->account);
	request_end(q);
}

static int
account_close_write(struct request *q, struct db_txn *t)
{
	bool close = strcmp(q->command->verb, "account delete") == 0;

	if (account_again(q, t) != 0)
		return -1;
	if (!close && q->account.closed.ms == 0)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "account %s is not closed", q->account.id);
	if (account_is_expired(&q->account, q->now))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "account %s was closed %d days ago: its data are removed",
		    q->account.id, ACCOUNT_CLOSED_DAYS);
	q->account.closed.ms = close ? q->now.ms : 0;
	q->account.updated = q->now;
	request_would(q, "%s account %s", close ? "close" : "open again",
	    q->account.id);
	return account_put(t, &q->account, &q->err);
}

static void
account_close(struct request *q)
{
	request_write(q, account_close_write, account_after_close);
}

/* -- quota ----------------------------------------------------------------- */

struct quota_rows {
	struct request *q;
	json_t	       *rows;
};

static bool
quota_on_credential(void *arg, const struct credential *c)
{
	struct quota_rows *r = arg;
	struct err	   e;
	double		   sent = 0;

	if (c->limits.max_24h < 0 && c->limits.rate < 0)
		return true;
	(void)quota_credential_sent_24h(r->q->relay->spool, c->account,
	    c->name, r->q->now, &sent, &e);
	json_array_append_new(r->rows, json_pack("{s:s, s:o, s:f, s:o}",
	    "UserName", c->name, "Max24HourSend",
	    json_of_amount(c->limits.max_24h), "SentLast24Hours", sent,
	    "MaxSendRate", json_of_amount(c->limits.rate)));
	return true;
}

static int
quota_show_read(struct request *q, struct db_txn *t)
{
	const struct account *a = &q->account;
	struct quota_values   v = { a->max_24h, a->rate, a->burst };
	struct quota_rows     rows = { q, NULL };
	double		      sent;

	json_object_update_new(q->result, account_quota_json(q, a));
	if (!arg_is_true(q, "all"))
		return 0;
	sent = json_real_value(json_object_get(q->result, "SentLast24Hours"));
	request_set(q, "Burst", a->rate < 0 ? json_real(-1.0)
					    : json_real(quota_burst(&v)));
	request_set(q, "Remaining", a->max_24h < 0 ? json_real(-1.0) :
	    json_real(a->max_24h > sent ? a->max_24h - sent : 0));
	rows.rows = json_array();
	request_set(q, "Credentials", rows.rows);
	return credential_each(t, a->id, quota_on_credential, &rows, &q->err);
}

static void
quota_show(struct request *q)
{
	request_read(q, quota_show_read);
}

static int
quota_set_write(struct request *q, struct db_txn *t)
{
	struct account *a = &q->account;

	if (account_again(q, t) != 0)
		return -1;
	if (arg_amount(q, "max-24h", &a->max_24h) < 0 ||
	    arg_amount(q, "rate", &a->rate) < 0 ||
	    arg_amount(q, "burst", &a->burst) < 0)
		return -1;
	if (a->burst < 0)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "burst: not an amount");
	a->updated = q->now;
	request_would(q, "set the quota of account %s", a->id);
	return account_put(t, a, &q->err);
}

static void
quota_set(struct request *q)
{
	if (!arg_has(q, "max-24h") && !arg_has(q, "rate") &&
	    !arg_has(q, "burst")) {
		(void)request_misuse(q, "nothing to set");
		request_end(q);
		return;
	}
	request_write(q, quota_set_write, NULL);
}

const struct command control_account_commands[] = {
	{ "account create", NEED_OPERATOR, SCOPE_NONE, "AccountCreate",
	    "accountName", account_create_run },
	{ "account list", NEED_OPERATOR, SCOPE_NONE, NULL, NULL,
	    account_list },
	{ "account show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    account_show },
	{ "account set", NEED_FULL, SCOPE_ACCOUNT, "PutAccountDetails",
	    "accountName", account_set },
	{ "account pause", NEED_FULL, SCOPE_ACCOUNT,
	    "PutAccountSendingAttributes", NULL, account_pause_run },
	{ "account resume", NEED_FULL, SCOPE_ACCOUNT,
	    "PutAccountSendingAttributes", NULL, account_resume_run },
	{ "account delete", NEED_OPERATOR, SCOPE_ACCOUNT, "AccountDelete",
	    NULL, account_close },
	{ "account undelete", NEED_OPERATOR, SCOPE_ACCOUNT,
	    "AccountUndelete", NULL, account_close },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};

const struct command control_quota_commands[] = {
	{ "quota show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, quota_show },
	{ "stats quota", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, quota_show },
	{ "quota set", NEED_OPERATOR, SCOPE_ACCOUNT, "QuotaSet", NULL,
	    quota_set },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
