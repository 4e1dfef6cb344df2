/* SPDX-License-Identifier: ISC */
#include "reporting/reporter.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "registry/identity.h"
#include "reporting/blocklist.h"
#include "reporting/bulletin.h"
#include "reporting/feedback.h"
#include "reporting/forwarder.h"
#include "reporting/inbox.h"
#include "reporting/levels.h"
#include "reporting/notices.h"
#include "reporting/outbox.h"
#include "reporting/reputation.h"
#include "reporting/spf_watch.h"
#include "reporting/statistics.h"
#include "reporting/suppressor.h"
#include "reporting/verification.h"
#include "reporting/webhook.h"
#include "reporting/withdrawal.h"

enum {
	WHAT_SIZE = 64,
	WARNING_MAX = 2048,
	SHUT_GRACE_MS = 10000 /* for receipts that are still to come */
};

struct reporter {
	struct loop	    *loop;
	struct feedback	    *feedback;
	struct suppressor   *suppressor;
	struct inbox	    *inbox;
	struct forwarder    *forwarder;
	struct outbox	    *outbox;
	struct webhook	    *webhook;
	struct statistics   *statistics;
	struct reputation   *reputation;
	struct blocklist    *blocklist;
	struct levels	    *levels;
	struct bulletin	    *bulletin;
	struct notices	    *notices;
	struct withdrawal   *withdrawal;
	struct verification *verification;
	struct spf_watch    *spf_watch;
	int		     verifier_fd; /* until reporter_begin() */
	bool		     stopping;
	struct timer	     grace;
	loop_fn		    *on_idle;
	void		    *on_idle_arg;
};

/* What another thread asks for. */
struct errand {
	enum errand_kind {
		ERRAND_CHECK,
		ERRAND_OPERATOR,
		ERRAND_JUDGE,
		ERRAND_SYNC,
		ERRAND_BLOCKLIST,
		ERRAND_SENDERS,
		ERRAND_TOPIC,
		ERRAND_WARNING,
		ERRAND_NEWS,
		ERRAND_VERIFICATION
	} kind;
	char account[ACCOUNT_ID_SIZE];
	char what[WHAT_SIZE];
	char address[IDENTITY_NAME_SIZE];
	char text[WARNING_MAX]; /* or the token */
	struct operator_key key; /* of OPERATOR */
	struct topic_ref topic;	 /* of TOPIC */
	struct wall	 since;
	struct loop *asker;	 /* of SYNC, BLOCKLIST; its place is reserved */
	loop_fn	    *fn;
	void	    *arg;
};

static void reporter_on_grace(void *reporter, void *unused);

/* -- life -------------------------------------------------------------- */

static int
reporter_open_inbox(struct reporter *r, const struct reporter_setup *s,
    struct err *e)
{
	struct inbox_setup     i = { .loop = s->loop, .spool = s->spool,
		.book = s->book, .conf = s->conf, .ledger = s->ledger,
		.meters = s->inbox_meters, .withdrawal = r->withdrawal };
	struct forwarder_setup f = { .loop = s->loop, .spool = s->spool,
		.conf = s->conf, .send_mail = s->send_mail,
		.send_mail_arg = s->send_mail_arg };

	r->inbox = inbox_new(&i, e);
	r->forwarder = forwarder_new(&f);
	return r->inbox == NULL ? -1 : 0;
}

static int
reporter_open_webhook(struct reporter *r, const struct reporter_setup *s,
    struct err *e)
{
	struct webhook_setup w = { .loop = s->loop, .conf = s->conf,
		.trust = s->trust };

	r->webhook = webhook_new(&w, e);
	return r->webhook != NULL ? 0 : err_wrap(e, "webhooks");
}

static void
reporter_on_mail_from(void *reporter)
{
	spf_watch_soon(((struct reporter *)reporter)->spf_watch);
}

/* What looks into DNS for identities; its notices are there. */
static void
reporter_open_checks(struct reporter *r, const struct reporter_setup *s)
{
	struct verification_setup v = { .loop = s->loop, .book = s->book,
		.conf = s->conf, .make_key = s->make_key,
		.make_key_arg = s->make_key_arg,
		.operator_meters = s->operator_meters };
	struct spf_watch_setup	  p = { .loop = s->loop, .book = s->book,
		.conf = s->conf, .system_address = s->system_address };

	v.notices = r->notices;
	v.on_mail_from = reporter_on_mail_from;
	v.on_mail_from_arg = r;
	r->verification = verification_new(&v);
	p.notices = r->notices;
	p.verification = r->verification;
	r->spf_watch = spf_watch_new(&p);
}

static void
reporter_open_parts(struct reporter *r, const struct reporter_setup *s)
{
	struct feedback_setup	  f = { .loop = s->loop, .spool = s->spool,
		    .book = s->book, .conf = s->conf,
		    .send_mail = s->send_mail,
		    .send_mail_arg = s->send_mail_arg };
	struct suppressor_setup	  u = { .loop = s->loop, .spool = s->spool,
		.book = s->book, .conf = s->conf };
	struct outbox_setup	  b = { .loop = s->loop, .spool = s->spool,
		.book = s->book, .workers = s->workers, .conf = s->conf,
		.meters = s->outbox_meters, .series = s->series,
		.webhook = r->webhook, .on_disabled = s->on_disabled,
		.on_disabled_arg = s->on_disabled_arg };
	struct statistics_setup	  t = { .loop = s->loop, .spool = s->spool,
		.book = s->book, .conf = s->conf, .ledger = s->ledger,
		.each_source = s->each_source,
		.each_source_arg = s->each_source_arg };
	struct reputation_setup	  q = { .loop = s->loop, .spool = s->spool,
		.book = s->book, .conf = s->conf, .on_switch = s->on_switch,
		.on_switch_arg = s->on_switch_arg };
	struct blocklist_setup	  l = { .loop = s->loop, .spool = s->spool,
		.book = s->book, .conf = s->conf,
		.resolver = webhook_resolver(r->webhook),
		.system_address = s->system_address,
		.on_sources = s->on_sources,
		.on_sources_arg = s->on_sources_arg };
	struct levels_setup	  m = { .loop = s->loop, .spool = s->spool,
		.book = s->book, .conf = s->conf };
	struct notices_setup	  n = { .loop = s->loop, .book = s->book,
		       .conf = s->conf, .send_mail = s->send_mail,
		       .send_mail_arg = s->send_mail_arg };
	struct bulletin_setup	  a = { .loop = s->loop,
		.workers = s->workers, .conf = s->conf };
	struct withdrawal_setup	  w = { .loop = s->loop, .book = s->book,
		.on_withdrawn = s->on_withdrawn,
		.on_withdrawn_arg = s->on_withdrawn_arg };

	r->bulletin = bulletin_new(&a);
	n.bulletin = r->bulletin;
	r->notices = notices_new(&n);
	w.notices = r->notices;
	r->withdrawal = withdrawal_new(&w);
	f.notices = r->notices;
	f.withdrawal = b.withdrawal = r->withdrawal;
	r->feedback = feedback_new(&f);
	r->suppressor = suppressor_new(&u);
	b.notices = r->notices;
	r->outbox = outbox_new(&b);
	r->statistics = statistics_new(&t);
	q.statistics = r->statistics;
	q.notices = r->notices;
	r->reputation = reputation_new(&q);
	l.notices = r->notices;
	r->blocklist = blocklist_new(&l);
	m.statistics = r->statistics;
	m.notices = r->notices;
	r->levels = levels_new(&m);
	reporter_open_checks(r, s);
}

struct reporter *
reporter_new(const struct reporter_setup *s, struct err *e)
{
	struct reporter *r;

	if (s->send_mail == NULL || s->make_key == NULL ||
	    s->workers == NULL || s->outbox_meters == NULL ||
	    s->series == NULL ||
	    s->inbox_meters == NULL) {
		err_set(e, "reporting is not wired");
		return NULL;
	}
	r = mem_alloc(sizeof(*r));
	r->loop = s->loop;
	r->verifier_fd = s->verifier_fd;
	timer_init(&r->grace, s->loop, reporter_on_grace, r);
	if (reporter_open_webhook(r, s, e) != 0) {
		mem_free(r);
		return NULL;
	}
	reporter_open_parts(r, s);
	if (reporter_open_inbox(r, s, e) < 0) {
		reporter_free(r);
		return NULL;
	}
	return r;
}

void
reporter_free(struct reporter *r)
{
	if (r == NULL)
		return;
	timer_clear(&r->grace);
	if (r->verifier_fd >= 0)
		close(r->verifier_fd);
	spf_watch_free(r->spf_watch);
	verification_free(r->verification);
	forwarder_free(r->forwarder);
	inbox_free(r->inbox);
	levels_free(r->levels);
	blocklist_free(r->blocklist);
	reputation_free(r->reputation);
	statistics_free(r->statistics);
	outbox_free(r->outbox);
	webhook_free(r->webhook);
	suppressor_free(r->suppressor);
	feedback_free(r->feedback);
	withdrawal_free(r->withdrawal);
	notices_free(r->notices);
	bulletin_free(r->bulletin);
	mem_free(r);
}

void
reporter_begin(struct reporter *r)
{
	int fd = r->verifier_fd;

	r->verifier_fd = -1;
	reporter_on_events(r, NULL);
	reputation_begin(r->reputation);
	blocklist_begin(r->blocklist);
	levels_begin(r->levels);
	spf_watch_begin(r->spf_watch);
	if (fd >= 0)
		verification_attach(r->verification, fd);
	else
		verification_look(r->verification);
}

void
reporter_reload(struct reporter *r, struct conf *conf,
    struct tls_trust *trust)
{
	loop_must_own(r->loop);
	feedback_reload(r->feedback, conf);
	suppressor_reload(r->suppressor, conf);
	inbox_reload(r->inbox, conf);
	forwarder_reload(r->forwarder, conf);
	outbox_reload(r->outbox, conf);
	blocklist_reload(r->blocklist, conf);
	levels_reload(r->levels, conf);
	webhook_reload(r->webhook, conf, trust);
	statistics_reload(r->statistics, conf);
	reputation_reload(r->reputation, conf);
	notices_reload(r->notices, conf);
	bulletin_reload(r->bulletin, conf);
	verification_reload(r->verification, conf);
	spf_watch_reload(r->spf_watch, conf);
}

void
reporter_verifier(struct reporter *r, int fd)
{
	verification_attach(r->verification, fd);
}

void
reporter_on_events(void *reporter, void *unused)
{
	struct reporter *r = reporter;

	(void)unused;
	feedback_wake(r->feedback);
	suppressor_wake(r->suppressor);
	outbox_wake(r->outbox);
	inbox_wake(r->inbox);
	forwarder_wake(r->forwarder);
	statistics_wake(r->statistics);
	reputation_wake(r->reputation);
	blocklist_wake(r->blocklist);
}

/* -- errands of other threads ------------------------------------------ */

static void
reporter_on_synced(void *errand, void *unused)
{
	struct errand *x = errand;

	(void)unused;
	loop_post_reserved(x->asker, x->fn, x->arg, NULL);
	mem_free(x);
}

static void
reporter_announce(struct reporter *r, const struct errand *x)
{
	struct bulletin_news news = { x->what, x->account,
		x->address[0] != '\0' ? x->address : NULL, x->text };

	bulletin_tell(r->bulletin, &news);
}

static void
reporter_on_errand(void *reporter, void *errand)
{
	struct reporter *r = reporter;
	struct errand	*x = errand;

	switch (x->kind) {
	case ERRAND_CHECK:
		verification_look(r->verification);
		break;
	case ERRAND_JUDGE:
		reputation_judge(r->reputation, x->account);
		reputation_look(r->reputation);
		break;
	case ERRAND_SYNC:
		statistics_sync(r->statistics, reporter_on_synced, x);
		return;
	case ERRAND_BLOCKLIST:
		blocklist_check(r->blocklist, reporter_on_synced, x);
		return;
	case ERRAND_SENDERS:
		spf_watch_soon(r->spf_watch);
		break;
	case ERRAND_TOPIC:
		outbox_rewind_topic(r->outbox, &x->topic, x->since);
		outbox_wake(r->outbox);
		break;
	case ERRAND_OPERATOR:
		verification_look_operator(r->verification, &x->key);
		break;
	case ERRAND_WARNING:
		notices_warn(r->notices, x->account, x->what, x->text);
		break;
	case ERRAND_NEWS:
		reporter_announce(r, x);
		break;
	case ERRAND_VERIFICATION:
		notices_verification(r->notices, x->account, x->address,
		    x->text);
		break;
	}
	mem_wipe(x->text, sizeof(x->text));
	mem_free(x);
}

static struct errand *
errand_new(enum errand_kind kind, const char *account)
{
	struct errand *x = mem_alloc(sizeof(*x));

	x->kind = kind;
	bytes_text(bytes_of(account), x->account, sizeof(x->account));
	return x;
}

static bool
reporter_post(struct reporter *r, struct errand *x)
{
	if (loop_post(r->loop, reporter_on_errand, r, x))
		return true;
	mem_free(x);
	return false;
}

bool
reporter_post_check(struct reporter *r)
{
	return reporter_post(r, errand_new(ERRAND_CHECK, ""));
}

bool
reporter_post_senders(struct reporter *r)
{
	return reporter_post(r, errand_new(ERRAND_SENDERS, ""));
}

bool
reporter_post_operator(struct reporter *r, const struct operator_key *k)
{
	struct errand *x = errand_new(ERRAND_OPERATOR, "");

	x->key = *k;
	return reporter_post(r, x);
}

bool
reporter_post_topic(struct reporter *r, const struct topic_ref *topic,
    struct wall since)
{
	struct errand *x = errand_new(ERRAND_TOPIC, "");

	x->topic = *topic;
	x->since = since;
	return reporter_post(r, x);
}

static void
reporter_on_inquiry(void *reporter, void *inquiry)
{
	verification_inquire(((struct reporter *)reporter)->verification,
	    inquiry);
}

bool
reporter_post_inquiry(struct reporter *r, struct inquiry *q)
{
	return loop_post(r->loop, reporter_on_inquiry, r, q);
}

bool
reporter_post_judge(struct reporter *r, const char *account)
{
	return reporter_post(r, errand_new(ERRAND_JUDGE, account));
}

static bool
reporter_post_waiting(struct reporter *r, enum errand_kind kind,
    struct loop *asker, loop_fn *fn, void *arg)
{
	struct errand *x;

	if (!loop_reserve(asker))
		return false;
	x = errand_new(kind, "");
	x->asker = asker;
	x->fn = fn;
	x->arg = arg;
	if (reporter_post(r, x))
		return true;
	loop_unreserve(asker);
	return false;
}

bool
reporter_post_sync(struct reporter *r, struct loop *asker, loop_fn *fn,
    void *arg)
{
	return reporter_post_waiting(r, ERRAND_SYNC, asker, fn, arg);
}

bool
reporter_post_blocklist(struct reporter *r, struct loop *asker, loop_fn *fn,
    void *arg)
{
	return reporter_post_waiting(r, ERRAND_BLOCKLIST, asker, fn, arg);
}

bool
reporter_post_warning(struct reporter *r, const char *account,
    const char *what, const char *text)
{
	struct errand *x = errand_new(ERRAND_WARNING, account);

	bytes_text(bytes_of(what), x->what, sizeof(x->what));
	bytes_text(bytes_of(text), x->text, sizeof(x->text));
	return reporter_post(r, x);
}

bool
reporter_post_news(struct reporter *r, const struct bulletin_news *n)
{
	struct errand *x = errand_new(ERRAND_NEWS, n->account);

	bytes_text(bytes_of(n->type), x->what, sizeof(x->what));
	bytes_text(bytes_of(n->identity), x->address, sizeof(x->address));
	bytes_text(bytes_of(n->data), x->text, sizeof(x->text));
	return reporter_post(r, x);
}

bool
reporter_post_verification(struct reporter *r, const char *account,
    const char *address, const char *token)
{
	struct errand *x = errand_new(ERRAND_VERIFICATION, account);

	bytes_text(bytes_of(address), x->address, sizeof(x->address));
	bytes_text(bytes_of(token), x->text, sizeof(x->text));
	return reporter_post(r, x);
}

/* -- asked about a destination ------------------------------------------ */

static void
ask_end(struct reporter_ask *ask, bool ok, const char *text)
{
	ask->ok = ok;
	snprintf(ask->text, sizeof(ask->text), "%s", text);
	loop_post_reserved(ask->asker, ask->done, ask, NULL);
}

/* The body of a test is made for each. */
struct test_call {
	struct reporter_ask *ask;
	struct buf	     body;
};

static void
test_on_result(void *call, const struct webhook_result *r)
{
	struct test_call    *t = call;
	struct reporter_ask *ask = t->ask;

	buf_wipe(&t->body);
	mem_free(t);
	ask->status = r->status;
	ask_end(ask, r->class == WEBHOOK_TAKEN, r->reason);
}

static void
reporter_test(struct reporter *r, struct reporter_ask *ask)
{
	struct test_call   *t = mem_alloc(sizeof(*t));
	struct webhook_call c = { .destination = &ask->destination,
		.type = "Test", .attempt = 1, .done = test_on_result,
		.arg = t };
	struct event_id	    id;

	t->ask = ask;
	buf_init(&t->body, 256);
	buf_printf(&t->body, "{\"eventType\":\"Test\",\"account\":\"%s\"}",
	    ask->destination.account);
	c.body = buf_bytes(&t->body);
	event_id_make(loop_wall(r->loop), &id);
	c.event_id = &id;
	(void)webhook_post(r->webhook, &c);
}

static void
reporter_on_ask(void *reporter, void *ask)
{
	struct reporter	    *r = reporter;
	struct reporter_ask *a = ask;

	if (r->stopping) {
		ask_end(a, false, "posthorn is being stopped");
		return;
	}
	switch (a->kind) {
	case ASK_TEST:
		reporter_test(r, a);
		return;
	case ASK_REPLAY:
		if (outbox_replay(r->outbox, &a->choice, a->since, a->types))
			break;
		ask_end(a, false, "the destination is not known yet");
		return;
	case ASK_PENDING:
		a->number = outbox_list(r->outbox, &a->choice, a->rows,
		    &a->count);
		break;
	case ASK_RETRY:
		a->number = outbox_retry(r->outbox, &a->choice);
		break;
	case ASK_PURGE:
		a->number = outbox_purge(r->outbox, &a->choice);
		break;
	}
	ask_end(a, true, "");
}

bool
reporter_ask(struct reporter *r, struct reporter_ask *ask)
{
	if (!loop_reserve(ask->asker))
		return false;
	if (loop_post(r->loop, reporter_on_ask, r, ask))
		return true;
	loop_unreserve(ask->asker);
	return false;
}

/* -- the end: events, then checks, then the mail about them ------------ */

static void
reporter_end(struct reporter *r)
{
	loop_fn *on_idle = r->on_idle;

	timer_clear(&r->grace);
	r->on_idle = NULL;
	if (on_idle != NULL)
		on_idle(r->on_idle_arg, NULL);
}

static void
reporter_on_grace(void *reporter, void *unused)
{
	(void)unused;
	log_warn("reporting-cut", "reason=\"receipts did not come\"");
	reporter_end(reporter);
}

static void
reporter_on_bulletin_idle(void *reporter, void *unused)
{
	(void)unused;
	reporter_end(reporter);
}

static void
reporter_on_notices_idle(void *reporter, void *unused)
{
	struct reporter *r = reporter;

	(void)unused;
	bulletin_stop(r->bulletin, reporter_on_bulletin_idle, r);
}

static void
reporter_on_checks_idle(void *reporter, void *unused)
{
	struct reporter *r = reporter;

	(void)unused;
	notices_stop(r->notices, reporter_on_notices_idle, r);
}

static void
reporter_on_verification_idle(void *reporter, void *unused)
{
	struct reporter *r = reporter;

	(void)unused;
	spf_watch_stop(r->spf_watch, reporter_on_checks_idle, r);
}

static void
reporter_on_feedback_idle(void *reporter, void *unused)
{
	struct reporter *r = reporter;

	(void)unused;
	verification_stop(r->verification, reporter_on_verification_idle, r);
}

static void
reporter_on_statistics_idle(void *reporter, void *unused)
{
	struct reporter *r = reporter;

	(void)unused;
	feedback_stop(r->feedback, reporter_on_feedback_idle, r);
}

static void
reporter_on_suppressor_idle(void *reporter, void *unused)
{
	struct reporter *r = reporter;

	(void)unused;
	statistics_stop(r->statistics, reporter_on_statistics_idle, r);
}

static void
reporter_on_reputation_idle(void *reporter, void *unused)
{
	struct reporter *r = reporter;

	(void)unused;
	suppressor_stop(r->suppressor, reporter_on_suppressor_idle, r);
}

static void
reporter_on_levels_idle(void *reporter, void *unused)
{
	struct reporter *r = reporter;

	(void)unused;
	reputation_stop(r->reputation, reporter_on_reputation_idle, r);
}

static void
reporter_on_forwarder_idle(void *reporter, void *unused)
{
	struct reporter *r = reporter;

	(void)unused;
	levels_stop(r->levels, reporter_on_levels_idle, r);
}

static void
reporter_on_inbox_idle(void *reporter, void *unused)
{
	struct reporter *r = reporter;

	(void)unused;
	forwarder_stop(r->forwarder, reporter_on_forwarder_idle, r);
}

static void
reporter_on_blocklist_idle(void *reporter, void *unused)
{
	struct reporter *r = reporter;

	(void)unused;
	inbox_stop(r->inbox, reporter_on_inbox_idle, r);
}

static void
reporter_on_outbox_idle(void *reporter, void *unused)
{
	struct reporter *r = reporter;

	(void)unused;
	blocklist_stop(r->blocklist, reporter_on_blocklist_idle, r);
}

void
reporter_shut(struct reporter *r, loop_fn *on_idle, void *arg)
{
	loop_must_own(r->loop);
	if (r->stopping)
		return;
	r->stopping = true;
	r->on_idle = on_idle;
	r->on_idle_arg = arg;
	timer_set(&r->grace, SHUT_GRACE_MS);
	outbox_stop(r->outbox, reporter_on_outbox_idle, r);
}
