/* SPDX-License-Identifier: ISC */
#include "submission/posting_private.h"

#include <stdio.h>
#include <string.h>

#include "submission/intake.h"

enum {
	SYSTEM_LIFETIME_MS = 24 * 60 * 60 * 1000,
	HEAD_ROOM = 64 * 1024, /* for what is added to the header section */
	FEEDBACK_ID_MAX = 200
};

static void posting_on_room(void *arg);
static void posting_on_receipt(void *ctx, void *load);
static void posting_check(struct posting *p);
static void posting_check_notice(struct posting *p);
static void posting_check_intake(struct posting *p);
static void posting_on_sender(void *posting);
static void posting_close(struct posting *p);

/* -- life ----------------------------------------------------------------- */

struct posting *
posting_new(const struct posting_setup *s)
{
	struct posting *p = mem_alloc(sizeof(*p));
	struct desk    *d = s->desk;
	unsigned	i;

	p->desk = d;
	p->rules = desk_rules_ref(s->rules);
	p->setup = *s;
	p->receive = s->receive;
	p->message = s->message;
	bytes_text(bytes_of(s->account), p->account, sizeof(p->account));
	bytes_text(bytes_of(s->credential), p->credential,
	    sizeof(p->credential));
	bytes_text(bytes_of(s->key_id), p->key_id, sizeof(p->key_id));
	p->began_us = clock_mono_us();
	buf_init(&p->head, p->rules->conf->message.max_header_size_bytes +
	    HEAD_ROOM);
	for (i = 0; i < SIGN_KEYS_MAX; i++)
		buf_init(&p->keys[i].sealed,
		    sizeof(((struct dkim_key *)NULL)->sealed));
	if (s->keys != NULL)
		posting_set_keys(p, s->keys);
	p->next = d->postings;
	p->link = &d->postings;
	if (p->next != NULL)
		p->next->link = &p->next;
	d->postings = p;
	d->posting_count++;
	return p;
}

static void
posting_free(struct posting *p)
{
	struct desk *d = p->desk;
	unsigned     i;

	*p->link = p->next;
	if (p->next != NULL)
		p->next->link = p->link;
	d->posting_count--;
	signing_cancel(p->signing);
	receive_free(p->receive);
	message_free(p->message);
	buf_wipe(&p->head);
	for (i = 0; i < SIGN_KEYS_MAX; i++)
		buf_wipe(&p->keys[i].sealed);
	desk_rules_unref(p->rules);
	mem_free(p);
	desk_look_idle(d);
}

void
posting_free_all(struct desk *d)
{
	struct posting *p, *next;

	for (p = d->postings; p != NULL; p = next) {
		next = p->next;
		if (!p->is_lent && !p->is_asking)
			posting_free(p);
	}
}

void
posting_abandon(struct posting *p)
{
	if (p != NULL)
		p->setup.on_reply = NULL;
}

/* Content that is being laid down has to lie first. */
void
posting_begin(struct posting *p)
{
	receive_hand_over(p->receive, posting_on_room, p);
	if (!receive_is_settled(p->receive))
		return;
	switch (p->setup.kind) {
	case POSTING_MAIL:
	case POSTING_ROOT:
		posting_check(p);
		break;
	case POSTING_NOTICE:
		posting_check_notice(p);
		break;
	case POSTING_INTAKE:
		posting_check_intake(p);
		break;
	}
}

static void
posting_on_room(void *arg)
{
	posting_begin(arg);
}

/* -- the end -------------------------------------------------------------- */

static const char *
posting_user(const struct posting *p)
{
	switch (p->setup.kind) {
	case POSTING_MAIL:
		return p->credential;
	case POSTING_ROOT:
		return "root";
	case POSTING_NOTICE:
	case POSTING_INTAKE:
		break;
	}
	return "-";
}

/* Of an account: it is counted, and pays for it. */
static bool
posting_is_submission(const struct posting *p)
{
	return p->setup.kind == POSTING_MAIL || p->setup.kind == POSTING_ROOT;
}

/* Tells the asker, if it is still there, and frees all. */
static void
posting_end(struct posting *p, const struct reply *re, const struct msgid *id)
{
	char quoted[LOG_QUOTE_SIZE];

	if (id == NULL && !p->setup.check_only)
		log_info("refused", "sid=%.*s account=%s user=%s code=%u "
		    "reply=%s", (int)p->message->sid.n, p->message->sid.p,
		    p->account, posting_user(p), re->code,
		    log_quote(bytes_of(re->text), quoted));
	else if (id != NULL && p->setup.on_reply == NULL)
		log_info("client-gone", "sid=%.*s after=commit",
		    (int)p->message->sid.n, p->message->sid.p);
	if (p->setup.on_reply != NULL)
		p->setup.on_reply(p->setup.arg, re, id);
	posting_free(p);
}

/* Mail of our own is no submission, and a question none either. */
static void
posting_count(struct posting *p, enum ledger_result r)
{
	enum ledger_interface i = p->setup.is_local ? LEDGER_LOCAL :
	    LEDGER_SMTP;

	if (posting_is_submission(p) && !p->setup.check_only)
		meter_add(&p->setup.page->submissions[i][r], 1);
}

void
posting_refuse(struct posting *p, const struct reply *re)
{
	if (p->has_tokens)
		quota_rate_give(p->desk->setup.tally, &p->charge.limits,
		    p->message->envelope_count);
	posting_count(p, re->code == 454 ? LEDGER_THROTTLED : LEDGER_REFUSED);
	posting_end(p, re, NULL);
}

/* Trouble of ours: one line for the operator, 451 for the client. */
static void
posting_fail(struct posting *p, const struct err *e)
{
	struct reply re;

	log_error("submission-failed", "sid=%.*s account=%s reason=\"%s\"",
	    (int)p->message->sid.n, p->message->sid.p, p->account, e->text);
	reply_set(&re, 451, "4.3.0", "Temporary service failure");
	posting_refuse(p, &re);
}

void
posting_fail_text(struct posting *p, const char *text)
{
	struct err e;

	err_set(&e, "%s", text);
	posting_fail(p, &e);
}

/* -- steps 1 to 11: is it admitted? --------------------------------------- */

enum posting_standing
posting_check_standing(struct desk *d, struct db_txn *t, const char *account,
    const char *credential, const char *key_id)
{
	struct err e;
	int	   rc;

	rc = account_get(t, account, d->account, &e);
	if (rc > 0 && credential != NULL)
		rc = credential_get(t, account, credential, d->credential, &e);
	if (rc < 0) {
		log_error("book-failed", "reason=\"%s\"", e.text);
		return STANDING_UNKNOWN;
	}
	if (rc == 0 || d->account->closed.ms != 0)
		return STANDING_REVOKED;
	if (credential != NULL &&
	    !credential_is_valid(d->credential,
		key_id[0] == '\0' ? NULL : key_id, loop_wall(d->setup.loop)))
		return STANDING_REVOKED;
	return STANDING_OK;
}

static bool
posting_refuse_quota(const struct quota_limits *q,
    const struct quota_finding *f, const struct message *m,
    struct ledger_page *page, struct reply *re)
{
	char domain[sizeof(q->domain.name) + 64] = "";

	if (f->limit == QUOTA_DOMAIN_BLOCKED)
		snprintf(domain, sizeof(domain),
		    " reason=\"domain %s blocked until 00:00Z\"",
		    q->domain.name);
	else if (f->limit == QUOTA_DOMAIN_LEVEL)
		snprintf(domain, sizeof(domain), " domain=%s",
		    q->domain.name);
	if (page == NULL)
		return reply_refuse(re, 454, "4.7.0", "%s",
		    quota_limit_to_reply(f->limit));
	log_info("quota-refused", "sid=%.*s account=%s user=%s limit=%s "
	    "max=%g sent=%g rcpts=%u%s", (int)m->sid.n, m->sid.p, q->account,
	    q->credential, quota_limit_to_text(f->limit), f->max, f->sent,
	    m->envelope_count, domain);
	meter_add(&page->throttled[quota_limit_is_daily(f->limit)
		? LEDGER_DAILY : LEDGER_RATE], 1);
	return reply_refuse(re, 454, "4.7.0", "%s",
	    quota_limit_to_reply(f->limit));
}

bool
posting_check_quota(struct desk *d, const struct quota_limits *q,
    const struct message *m, struct ledger_page *page, struct reply *re)
{
	struct quota_ask ask = { .spool = d->setup.spool,
		.tally = d->setup.tally,
		.countable = m->envelope_count - message_simulator_count(m),
		.now = loop_wall(d->setup.loop),
		.mono = loop_now(d->setup.loop) };
	struct quota_finding f;
	struct err	     e;

	if (quota_look_ahead(q, &ask, &f, &e) < 0) {
		log_error("quota-failed", "reason=\"%s\"", e.text);
		return reply_refuse(re, 451, "4.3.0",
		    "Temporary service failure");
	}
	return f.limit == QUOTA_PASS ||
	    posting_refuse_quota(q, &f, m, page, re);
}

/* Steps 5 and 7 to 10, in the transaction of step 2.  0, or -1 and *e. */
static int
posting_ask(struct posting *p, struct db_txn *t, uint64_t version,
    struct reply *re, struct err *e)
{
	const struct credential *c = p->setup.kind == POSTING_ROOT ? NULL :
	    p->desk->credential;
	struct admission_question q = { .txn = t, .conf = p->rules->conf,
		.message = p->message, .header = receive_header(p->receive),
		.account = p->desk->account, .credential = c,
		.is_local = p->setup.is_local,
		.now = loop_wall(p->desk->setup.loop),
		.arena = receive_arena(p->receive),
		.permissions = p->desk->permissions, .version = version };
	struct admission *a = mem_alloc(sizeof(*a));
	unsigned	  dropped = 0, i;
	int		  rc;

	rc = admission_ask(&q, a, e);
	if (rc == 0 && a->reply.code != 0) {
		*re = a->reply;
	} else if (rc == 0 && (!admission_apply(&q, a, p->message) ||
	    !admission_read_tags(&q, p->message, &dropped))) {
		rc = err_set(e, "a message needs more memory than it may have");
	} else if (rc == 0) {
		if (!p->setup.check_only)
			posting_choose_key(p, a);
		for (i = 0; i < SIGN_KEYS_MAX; i++)
			posting_drop_same_key(p, &p->keys[i]);
		admission_limits(p->desk->account, c, &p->charge.limits);
		rc = admission_level(&q, a, &p->charge.limits.domain, e);
		p->of_account = p->desk->account->overrides;
		if (c != NULL)
			p->of_credential = c->overrides;
	}
	p->cannot_sign = a->cannot_sign;
	if (dropped > 0 && !p->setup.check_only) {
		meter_add(&p->setup.page->tags_dropped, dropped);
		log_info("tags-dropped", "sid=%.*s account=%s count=%u",
		    (int)p->message->sid.n, p->message->sid.p, p->account,
		    dropped);
	}
	mem_free(a);
	return rc;
}

/* Steps 2 to 10: one read transaction.  re->code 0 = passed. */
static int
posting_check_books(struct posting *p, struct reply *re, struct err *e)
{
	uint64_t	      version = book_version(p->desk->setup.book);
	struct db_txn	     *t = book_read(p->desk->setup.book, e);
	enum posting_standing standing;
	int		      rc = 0;

	if (t == NULL)
		return -1;
	standing = posting_check_standing(p->desk, t, p->account,
	    p->setup.kind == POSTING_ROOT ? NULL : p->credential, p->key_id);
	if (standing == STANDING_UNKNOWN)
		rc = err_set(e, "the book cannot be read");
	else if (standing == STANDING_REVOKED)
		reply_set(re, 421, "4.7.0", "Credentials revoked");
	else if (receive_check_header(p->receive, re)) {
		if (!receive_snapshot(p->receive))
			rc = err_set(e, "no room for the header snapshot");
		else
			rc = posting_ask(p, t, version, re, e);
	}
	book_end(t);
	return rc;
}

/* Where a limit is counted; NULL = nowhere. */
static struct ledger_page *
posting_page(const struct posting *p)
{
	return p->setup.check_only ? NULL : p->setup.page;
}

/* Step 13: the day is looked at, the rate is tested and taken. */
static bool
posting_take_quota(struct posting *p, struct reply *re)
{
	struct quota_limits *q = &p->charge.limits;
	struct quota_finding f = { QUOTA_PASS, 0, 0 };

	if (!posting_check_quota(p->desk, q, p->message,
		posting_page(p), re))
		return false;
	f.limit = quota_rate_take(p->desk->setup.tally, q,
	    p->message->envelope_count, loop_now(p->desk->setup.loop));
	if (f.limit != QUOTA_PASS) {
		f.max = f.limit == QUOTA_ACCOUNT_RATE ?
		    q->account_values.rate : q->credential_values.rate;
		return posting_refuse_quota(q, &f, p->message,
		    posting_page(p), re);
	}
	p->has_tokens = true;
	return true;
}

/* Only asked: the tokens go back, and nothing is kept. */
static void
posting_pass(struct posting *p)
{
	struct reply re;

	quota_rate_give(p->desk->setup.tally, &p->charge.limits,
	    p->message->envelope_count);
	reply_set(&re, 250, "2.0.0", "Ok");
	posting_end(p, &re, NULL);
}

static void
posting_check(struct posting *p)
{
	struct reply re = { .code = 0 };
	struct err   e;

	if (!receive_check_content(p->receive, &re)) {
		posting_refuse(p, &re);
		return;
	}
	if (posting_check_books(p, &re, &e) < 0) {
		if (p->cannot_sign)
			posting_cannot_sign(p, SIGN_RSA, e.text);
		else
			posting_fail(p, &e);
		return;
	}
	if (re.code != 0 || !receive_check_parts(p->receive, &re) ||
	    !posting_take_quota(p, &re))
		posting_refuse(p, &re);
	else if (p->setup.check_only)
		posting_pass(p);
	else
		posting_close(p);
}

/* Our own mail: only what could not be closed is refused. */
static void
posting_check_notice(struct posting *p)
{
	struct reply re;

	if (p->setup.errand != NULL ? receive_is_readable(p->receive, &re) :
				      receive_check_header(p->receive, &re))
		posting_close(p);
	else
		posting_refuse(p, &re);
}

/* -- step 14: id, header, signature --------------------------------------- */

/* delivery 9: stable for account and identity, tells neither. */
static void
posting_feedback_id(const struct posting *p, char out[FEEDBACK_ID_MAX])
{
	const struct conf *c = p->rules->conf;
	char		   data[400], token[45];
	unsigned char	   mac[32];
	int		   n;

	n = snprintf(data, sizeof(data), "%s%c%.*s", p->account, '\0',
	    (int)p->message->identity.n, p->message->identity.p);
	must(n > 0 && (size_t)n < sizeof(data));
	credential_hmac(p->desk->feedback_key, sizeof(p->desk->feedback_key),
	    (struct bytes){ data, (size_t)n }, mac);
	base64_encode(mac, sizeof(mac), token);
	snprintf(out, FEEDBACK_ID_MAX, "1.%s.%s:%s", c->server.region, token,
	    c->delivery.feedback_sender_id);
}

/* A set may shorten it (configuration-sets 6.2). */
static int64_t
posting_lifetime_ms(const struct posting *p)
{
	int64_t of_set = p->message->max_delivery_ms;
	int64_t of_queue = p->rules->conf->delivery.max_lifetime_ms;

	return of_set > 0 && of_set < of_queue ? of_set : of_queue;
}

/* Time, id and final header block; for notices the first step of all. */
static void
posting_close(struct posting *p)
{
	const struct conf   *c = p->rules->conf;
	struct message	    *m = p->message;
	bool		     is_notice = p->setup.kind == POSTING_NOTICE;
	char		     feedback[FEEDBACK_ID_MAX] = "";
	struct receive_close rules = { .conf = c, .with = p->setup.with,
		.as_it_is = p->setup.errand != NULL,
		.of_account = &p->of_account,
		.of_credential = &p->of_credential };

	m->accepted = loop_wall(p->desk->setup.loop);
	msgid_make(m->accepted, &m->id);
	m->expires.ms = m->accepted.ms + (is_notice ? SYSTEM_LIFETIME_MS :
	    posting_lifetime_ms(p));
	if (!is_notice)
		posting_feedback_id(p, feedback);
	rules.feedback_id = bytes_of(feedback);
	if (!receive_close(p->receive, &rules, &p->head)) {
		posting_fail_text(p, "no room for the header block");
		return;
	}
	posting_sign(p);
}

static void
posting_check_intake(struct posting *p)
{
	struct reply re;

	if (!receive_check_raw(p->receive, INTAKE_HOPS_MAX, &re)) {
		posting_refuse(p, &re);
		return;
	}
	p->is_asking = true;
	intake_check_sender(p->desk, p->message, posting_on_sender, p);
}

/* What came back is laid down as it came, under the trace of how. */
static void
posting_on_sender(void *posting)
{
	struct posting *p = posting;
	struct message *m = p->message;

	p->is_asking = false;
	m->accepted = loop_wall(p->desk->setup.loop);
	msgid_make(m->accepted, &m->id);
	m->expires = m->accepted;
	if (intake_write_trace(p->rules->conf, m, &p->head) &&
	    buf_add_bytes(&p->head, receive_raw_head(p->receive)) &&
	    posting_set_head(p, BYTES("")))
		posting_submit(p);
	else
		posting_fail_text(p, "no room for the header block");
}

/* -- step 15: commit ------------------------------------------------------ */

void
posting_submit(struct posting *p)
{
	struct submission *s = &p->submission;

	s->from = p->desk->setup.loop;
	s->on_receipt = posting_on_receipt;
	s->ctx = p; /* lives until the receipt, whatever happens */
	s->message = p->message;
	s->cursor = p->setup.cursor;
	s->cursor_to = p->setup.cursor_to;
	s->errand = p->setup.errand;
	if (posting_is_submission(p)) {
		p->charge.now = p->message->accepted;
		p->charge.countable = p->message->envelope_count -
		    message_simulator_count(p->message);
		s->admit = quota_admit;
		s->undo = quota_undo;
		s->admit_ctx = &p->charge;
	}
	p->is_lent = true;
	if (!spool_submit(p->desk->setup.spool, s)) {
		p->is_lent = false;
		posting_fail_text(p, "the spool's feed is full");
	}
}

static void
posting_warn_quota(struct posting *p)
{
	double max = p->charge.limits.account_values.max_24h;
	char   text[128];

	if (!p->charge.crossed_80 && !p->charge.crossed_100)
		return;
	snprintf(text, sizeof(text), "%d %%: %g of %g",
	    p->charge.crossed_100 ? 100 : 80, p->charge.sent, max);
	log_warn("quota-warning", "account=%s used=\"%s\"", p->account, text);
	desk_warn(p->desk, p->account,
	    p->charge.crossed_100 ? "quota-100" : "quota-80", text);
}

/* No attempt will be made of what was accepted (simulator.md 6). */
static void
posting_reject(struct posting *p, const char *id)
{
	log_info("rejected", "mid=%s account=%s reason=\"Bad content\"", id,
	    p->account);
	meter_add(&p->setup.page->events[EVENT_REJECT],
	    p->message->envelope_count);
}

static void
posting_accept(struct posting *p)
{
	const struct posting_key *key = posting_first_key(p);
	struct desk_meters *meters = p->desk->setup.meters;
	struct message	   *m = p->message;
	struct reply	    re;
	char		    id[MSGID_TEXT + 1], quoted[LOG_QUOTE_SIZE];

	msgid_to_text(&m->id, p->rules->conf->server.id_prefix, 0, id);
	log_info("accepted", "sid=%.*s mid=%s account=%s user=%s from=%s "
	    "identity=%.*s rcpts=%u size=%llu signed=%s", (int)m->sid.n,
	    m->sid.p, id, p->account, posting_user(p),
	    log_quote(m->sender, quoted), (int)m->identity.n, m->identity.p,
	    m->envelope_count, (unsigned long long)message_octets(m),
	    key != NULL ? key->domain : "-");
	if (posting_is_submission(p)) {
		posting_count(p, LEDGER_ACCEPTED);
		meter_add(&p->setup.page->sends, m->envelope_count);
		meter_add(&p->setup.page->submitted_octets, message_octets(m));
		meter_observe(&meters->accept_seconds,
		    (double)(clock_mono_us() - p->began_us) / 1e6);
		posting_warn_quota(p);
		if (m->bad_content)
			posting_reject(p, id);
	}
	if (p->setup.kind == POSTING_INTAKE)
		reply_set(&re, 250, "2.0.0", "Ok");
	else
		reply_set(&re, 250, "2.0.0", "Ok %s", id);
	posting_end(p, &re, &m->id);
}

static void
posting_on_receipt(void *ctx, void *load)
{
	struct posting	  *p = ctx;
	struct submission *s = load;
	struct reply	   re;

	p->is_lent = false;
	switch (s->result) {
	case RECEIPT_OK:
		receive_release(p->receive);
		posting_accept(p);
		return;
	case RECEIPT_REFUSED:
		p->charge.finding.limit = (enum quota_limit)s->refused_by;
		posting_refuse_quota(&p->charge.limits, &p->charge.finding,
		    p->message, p->setup.page, &re);
		break;
	case RECEIPT_FULL:
		reply_set(&re, 452, "4.3.1", "Insufficient system storage");
		break;
	case RECEIPT_BUSY:
		if (posting_is_submission(p))
			meter_add(&p->setup.page->throttled[LEDGER_OVERLOAD],
			    1);
		reply_set(&re, 454, "4.3.1",
		    "Throttling failure: System capacity exceeded");
		break;
	case RECEIPT_DOWN:
	default:
		reply_set(&re, 451, "4.3.0", "Temporary service failure");
		break;
	}
	posting_refuse(p, &re);
}
