/* SPDX-License-Identifier: ISC */
#include "reporting/notices.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/tally.h"
#include "registry/account.h"

enum {
	TEXT_MAX = 64 * 1024,
	GIVE_UP_MS = 24 * 60 * 60 * 1000,
	/* seven eighths of it are a day: what tally.h promises */
	LIMIT_MS = GIVE_UP_MS / 7 * 8,
	LIMITS_MAX = 4096,
	PAUSE_FIRST_MS = 1000,
	PAUSE_MAX_MS = 60000,
	TO_SIZE = 321,
	KEY_SIZE = TO_SIZE + 128
};

struct notices_mail {
	struct notices_mail *next;
	struct notices	    *notices;
	char		     account[ACCOUNT_ID_SIZE];
	char		     to[TO_SIZE];
	struct buf	     text;
	struct mono	     begun;
};

struct notices {
	struct notices_setup setup;
	struct notices_mail *first, **end;
	unsigned	     waiting, under_way;
	struct tally	    *limits;
	struct timer	     again;
	int64_t		     pause_ms; /* 0 = the last one went well */
	bool		     stopping;
	loop_fn		    *on_idle;
	void		    *on_idle_arg;
};

/* Whom a notice goes to. */
struct addressees {
	char	     v[ACCOUNT_CONTACTS_MAX][TO_SIZE];
	struct bytes to[ACCOUNT_CONTACTS_MAX];
	size_t	     n;
	char	     from[TO_SIZE];
};

static void notices_on_again(void *arg, void *unused);
static void notices_on_sent(void *ctx, enum receipt_result result);
static void notices_pump(struct notices *n);

/* -- life ------------------------------------------------------------------ */

struct notices *
notices_new(const struct notices_setup *s)
{
	struct notices *n = mem_alloc(sizeof(*n));

	n->setup = *s;
	n->setup.conf = conf_ref(s->conf);
	n->end = &n->first;
	n->limits = tally_new(LIMITS_MAX);
	timer_init(&n->again, s->loop, notices_on_again, n);
	return n;
}

static void
notices_drop(struct notices_mail *m, const char *reason)
{
	if (reason != NULL)
		log_error("notice-dropped", "account=%s to=%s reason=\"%s\"",
		    m->account, m->to, reason);
	buf_wipe(&m->text);
	mem_free(m);
}

static struct notices_mail *
notices_take(struct notices *n)
{
	struct notices_mail *m = n->first;

	n->first = m->next;
	if (n->first == NULL)
		n->end = &n->first;
	n->waiting--;
	return m;
}

void
notices_free(struct notices *n)
{
	if (n == NULL)
		return;
	timer_clear(&n->again);
	while (n->first != NULL)
		notices_drop(notices_take(n), "the process ends");
	tally_free(n->limits);
	conf_unref(n->setup.conf);
	mem_free(n);
}

void
notices_reload(struct notices *n, struct conf *conf)
{
	conf_unref(n->setup.conf);
	n->setup.conf = conf_ref(conf);
}

/* -- the queue ------------------------------------------------------------- */

static void
notices_put(struct notices *n, struct notices_mail *m)
{
	m->next = NULL;
	*n->end = m;
	n->end = &m->next;
	n->waiting++;
}

static void
notices_pause(struct notices *n)
{
	n->pause_ms = n->pause_ms == 0 ? PAUSE_FIRST_MS : n->pause_ms * 2;
	if (n->pause_ms > PAUSE_MAX_MS)
		n->pause_ms = PAUSE_MAX_MS;
	if (!n->stopping)
		timer_set(&n->again, n->pause_ms);
}

/* The text is copied: should the spool not take it, it is tried again. */
static bool
notices_send(struct notices *n, struct notices_mail *from)
{
	struct reporter_mail m;

	memset(&m, 0, sizeof(m));
	memcpy(m.account, from->account, sizeof(m.account));
	memcpy(m.to, from->to, sizeof(m.to));
	buf_init(&m.text, TEXT_MAX);
	buf_add_bytes(&m.text, buf_bytes(&from->text));
	m.done = notices_on_sent;
	m.ctx = from;
	if (!m.text.failed &&
	    n->setup.send_mail(n->setup.send_mail_arg, &m))
		return true;
	buf_wipe(&m.text);
	return false;
}

/* It was not taken: later, unless its time is over. */
static void
notices_return(struct notices *n, struct notices_mail *m)
{
	struct mono now = loop_now(n->setup.loop);

	if (now.ms - m->begun.ms >= GIVE_UP_MS) {
		notices_drop(m, "not handed over within 24 h");
		return;
	}
	notices_put(n, m);
	notices_pause(n);
}

static void
notices_look_idle(struct notices *n)
{
	loop_fn *on_idle = n->on_idle;

	if (!n->stopping || n->under_way > 0 || on_idle == NULL)
		return;
	while (n->first != NULL)
		notices_drop(notices_take(n), "the process ends");
	n->on_idle = NULL;
	on_idle(n->on_idle_arg, NULL);
}

static void
notices_pump(struct notices *n)
{
	struct notices_mail *m;

	while (n->under_way < NOTICES_UNDER_WAY && n->first != NULL &&
	    !timer_is_set(&n->again)) {
		m = notices_take(n);
		if (notices_send(n, m)) {
			n->under_way++;
			continue;
		}
		notices_return(n, m);
		if (n->stopping)
			break;
	}
	notices_look_idle(n);
}

static void
notices_on_again(void *arg, void *unused)
{
	(void)unused;
	notices_pump(arg);
}

static void
notices_on_sent(void *ctx, enum receipt_result result)
{
	struct notices_mail *m = ctx;
	struct notices	    *n = m->notices;

	n->under_way--;
	if (result == RECEIPT_OK) {
		log_info("notice", "account=%s to=%s result=sent", m->account,
		    m->to);
		n->pause_ms = 0;
		notices_drop(m, NULL);
	} else if (result == RECEIPT_REFUSED) {
		notices_drop(m, "it was refused");
	} else if (n->stopping) {
		notices_drop(m, "the process ends");
	} else {
		notices_return(n, m);
	}
	notices_pump(n);
}

/* A mail to fill; NULL = the queue is full. */
static struct notices_mail *
notices_mail_new(struct notices *n, const char *account, const char *to)
{
	struct notices_mail *m;

	if (n->waiting + n->under_way >= NOTICES_MAX || n->stopping) {
		log_error("notice-dropped", "account=%s to=%s reason=\"%s\"",
		    account, to,
		    n->stopping ? "the process ends" : "the queue is full");
		return NULL;
	}
	m = mem_alloc(sizeof(*m));
	m->notices = n;
	m->begun = loop_now(n->setup.loop);
	snprintf(m->account, sizeof(m->account), "%s", account);
	snprintf(m->to, sizeof(m->to), "%s", to);
	buf_init(&m->text, TEXT_MAX);
	return m;
}

/* -- whom ------------------------------------------------------------------ */

static void
addressees_add(struct addressees *a, const char *address)
{
	snprintf(a->v[a->n], sizeof(a->v[a->n]), "%s", address);
	a->to[a->n] = bytes_of(a->v[a->n]);
	a->n++;
}

static void
addressees_from(struct addressees *a, const struct conf *c)
{
	a->n = 0;
	snprintf(a->from, sizeof(a->from), "no-reply@%s", c->server.domain);
}

/* false = nobody is to be told. */
static bool
notices_find(struct notices *n, const char *account, struct addressees *a)
{
	const struct conf *c = n->setup.conf;
	struct account	  *acct = mem_alloc(sizeof(*acct));
	struct db_txn	  *t = NULL;
	struct err	   e;
	unsigned	   i;

	addressees_from(a, c);
	if (account[0] != '\0') {
		t = book_read(n->setup.book, &e);
		if (t == NULL || account_get(t, account, acct, &e) < 0)
			log_error("book-failed", "reason=\"%s\"", e.text);
		else
			for (i = 0; i < acct->contact_count; i++)
				addressees_add(a, acct->contacts[i]);
		book_end(t);
	}
	mem_free(acct);
	if (a->n == 0 && c->intake.postmaster != NULL)
		addressees_add(a, c->intake.postmaster);
	if (a->n == 0)
		log_warn("notice-unaddressed", "account=%s reason=\"neither a "
		    "contact nor intake.postmaster\"", account);
	return a->n > 0;
}

/* -- one text, as many mails as there are addressees ----------------------- */

struct draft {
	const char	  *account;
	struct addressees  a;
	struct report_head head;
	struct buf	   text;
};

static void
draft_open(struct draft *d, const char *account)
{
	d->account = account;
	d->head = (struct report_head){ bytes_of(d->a.from), d->a.to, d->a.n };
	buf_init(&d->text, TEXT_MAX);
}

/* is_whole: what the writer said. */
static void
draft_send(struct notices *n, struct draft *d, bool is_whole)
{
	struct notices_mail *m;
	size_t		     i;

	if (!is_whole)
		log_error("notice-dropped", "account=%s reason=\"no room\"",
		    d->account);
	for (i = 0; is_whole && i < d->a.n; i++) {
		m = notices_mail_new(n, d->account, d->a.v[i]);
		if (m == NULL)
			break;
		buf_add_bytes(&m->text, buf_bytes(&d->text));
		notices_put(n, m);
	}
	buf_wipe(&d->text);
	notices_pump(n);
}

/* -- what ------------------------------------------------------------------ */

static bool
notices_write_switch(const struct report_head *h, const char *account,
    bool enabled, const char *text, struct buf *out)
{
	struct bytes	     all = bytes_of(text);
	ptrdiff_t	     end = bytes_find(all, 0, '\n');
	struct report_switch s = { .enabled = enabled,
		.account = bytes_of(account), .reason = all };

	if (end >= 0) {
		s.reason = bytes_head(all, (size_t)end);
		s.actor = bytes_from(all, (size_t)end + 1);
	}
	return report_write_switch(h, &s, out);
}

static bool
notices_write_warning(const struct report_head *h, const char *account,
    const char *what, const char *text, struct buf *out)
{
	char	 subject[128];
	double	 sent, max;
	unsigned percent;

	if (strncmp(what, "quota-", 6) == 0 &&
	    sscanf(text, "%u %%: %lf of %lf", &percent, &sent, &max) == 3)
		return report_write_quota_warning(h, bytes_of(account),
		    percent, sent, max, out);
	if (strcmp(what, "paused") == 0 || strcmp(what, "resumed") == 0)
		return notices_write_switch(h, account, what[0] == 'r', text,
		    out);
	if (strcmp(what, "credential-attack") == 0)
		snprintf(subject, sizeof(subject),
		    "Many failed logins were seen");
	else
		snprintf(subject, sizeof(subject), "Warning: %s", what);
	return report_write_warning(h, bytes_of(account), bytes_of(subject),
	    bytes_of(text), out);
}

/* Was there one today?  If not, this is it. */
static bool
notices_is_second(struct notices *n, const char *account, const char *what,
    struct bytes of)
{
	struct mono now = loop_now(n->setup.loop);
	char	    key[KEY_SIZE];
	int	    len;

	len = snprintf(key, sizeof(key), "%s %.64s %.*s", account, what,
	    (int)(of.n < TO_SIZE ? of.n : TO_SIZE), of.p);
	must(len > 0 && (size_t)len < sizeof(key));
	return tally_window_add(n->limits, bytes_of(key), 0, now,
		   LIMIT_MS) > 0 ||
	    tally_window_add(n->limits, bytes_of(key), 1, now, LIMIT_MS) > 1;
}

/* The store counts quota warnings itself; each pause and resume is told. */
static bool
notices_is_limited(struct notices *n, const char *account, const char *what,
    struct bytes of)
{
	return strncmp(what, "quota-", 6) != 0 &&
	    strcmp(what, "paused") != 0 && strcmp(what, "resumed") != 0 &&
	    notices_is_second(n, account, what, of);
}

void
notices_announce(struct notices *n, const struct bulletin_news *news)
{
	if (n->setup.bulletin != NULL)
		bulletin_tell(n->setup.bulletin, news);
}

/* What others on other threads tell as a warning (events.md 12). */
static void
notices_announce_warning(struct notices *n, const char *account,
    const char *what, const char *text)
{
	static const struct {
		const char *what, *type;
	} types[] = { { "quota-80", "Quota Warning" },
		{ "quota-100", "Quota Warning" },
		{ "paused", "Sending Status Disabled" },
		{ "resumed", "Sending Status Enabled" },
		{ "credential-attack", "Credential Attack" },
		{ "event-destination-disabled",
		    "Event Destination Disabled" } };
	struct bulletin_news news = { NULL, account, NULL, text };
	size_t		     i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(what, types[i].what) == 0)
			news.type = types[i].type;
	if (news.type != NULL)
		notices_announce(n, &news);
}

void
notices_warn(struct notices *n, const char *account, const char *what,
    const char *text)
{
	notices_warn_of(n, account, what, BYTES(""), text);
}

void
notices_warn_of(struct notices *n, const char *account, const char *what,
    struct bytes of, const char *text)
{
	struct draft d;

	notices_announce_warning(n, account, what, text);
	if (notices_is_limited(n, account, what, of) ||
	    !notices_find(n, account, &d.a))
		return;
	draft_open(&d, account);
	draft_send(n, &d, notices_write_warning(&d.head, account, what, text,
	    &d.text));
}

void
notices_status(struct notices *n, const char *account,
    const struct report_status *s)
{
	struct draft d;

	if (!notices_find(n, account, &d.a))
		return;
	draft_open(&d, account);
	draft_send(n, &d, report_write_status(&d.head, s, &d.text));
}

void
notices_auth_alert(struct notices *n, const char *account,
    struct bytes identity, struct bytes recipient, struct bytes reply)
{
	struct draft d;

	if (notices_is_second(n, account, "authentication", identity) ||
	    !notices_find(n, account, &d.a))
		return;
	draft_open(&d, account);
	draft_send(n, &d, report_write_auth_alert(&d.head, identity,
	    recipient, reply, &d.text));
}

void
notices_topic(struct notices *n, const char *account, struct bytes identity,
    struct bytes topic, struct bytes event_type)
{
	struct draft d;

	if (!notices_find(n, account, &d.a))
		return;
	draft_open(&d, account);
	draft_send(n, &d, report_write_topic(&d.head, identity, topic,
	    event_type, &d.text));
}

void
notices_verification(struct notices *n, const char *account,
    const char *address, const char *token)
{
	const struct conf *c = n->setup.conf;
	struct draft	   d;

	addressees_from(&d.a, c);
	addressees_add(&d.a, address);
	draft_open(&d, account);
	/* the page that identity.verify_url names is of a later release */
	draft_send(n, &d, report_write_verification(&d.head,
	    bytes_of(c->server.region), bytes_of(token), BYTES(""),
	    &d.text));
}

void
notices_stop(struct notices *n, loop_fn *on_idle, void *arg)
{
	n->stopping = true;
	n->on_idle = on_idle;
	n->on_idle_arg = arg;
	timer_clear(&n->again);
	notices_pump(n);
}
