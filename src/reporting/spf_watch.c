/* SPDX-License-Identifier: ISC */
/*
 * A round: watch_on_tick() > round_read() in the book > batch_ask() the
 * verifier > batch_on_answers() > batch_run() on the book's writer >
 * batch_on_written() > the next batch, or the end.
 */
#include "reporting/spf_watch.h"

#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>

#include "base/log.h"
#include "net/resolver.h"
#include "registry/mail_from.h"
#include "registry/source.h"
#include "registry/spf_state.h"

/* A domain that mail goes out with. */
struct spf_target {
	char account[ACCOUNT_ID_SIZE]; /* "" = of all: the default one */
	char domain[254];
	char identity[IDENTITY_NAME_SIZE]; /* "" = of all: the default one */
};
struct round {
	struct book_job	   job; /* first: what the book hands back */
	struct spf_watch  *w;
	struct wall	   begun;
	struct source	   sources[SPF_SOURCES];
	unsigned	   source_count;
	struct spf_target *targets;
	size_t		   count, cap, next; /* next: behind this batch */
	bool		   misses; /* an answer is missing */

	/* the batch at hand: targets from .first up to .next */
	size_t		     first;
	struct inquiry	     inquiry;
	struct verify_job    jobs[SPF_BATCH];
	struct verify_result results[SPF_BATCH];
	struct spf_state_change changes[SPF_BATCH];
};
struct spf_watch {
	struct spf_watch_setup setup;
	struct timer	  tick;
	struct round	 *round; /* under way; NULL = none */
	bool		  again; /* something changed meanwhile */
	bool		  stopping;
	loop_fn		 *on_idle;
	void		 *on_idle_arg;
};

static void watch_on_tick(void *watch, void *unused);
static void batch_ask(struct round *r);

/* -- life ------------------------------------------------------------------ */

struct spf_watch *
spf_watch_new(const struct spf_watch_setup *s)
{
	struct spf_watch *w = mem_alloc(sizeof(*w));

	w->setup = *s;
	w->setup.conf = conf_ref(s->conf);
	timer_init(&w->tick, s->loop, watch_on_tick, w);
	return w;
}

static void
round_free(struct round *r)
{
	mem_free(r->targets);
	mem_free(r);
}

void
spf_watch_free(struct spf_watch *w)
{
	if (w == NULL)
		return;
	timer_clear(&w->tick);
	if (w->round != NULL)
		round_free(w->round);
	conf_unref(w->setup.conf);
	mem_free(w);
}

void
spf_watch_begin(struct spf_watch *w)
{
	timer_set(&w->tick, SPF_FIRST_MS);
}

void
spf_watch_soon(struct spf_watch *w)
{
	if (w->stopping)
		return;
	w->again = w->round != NULL;
	if (!w->again)
		timer_set(&w->tick, SPF_SOON_MS);
}

void
spf_watch_reload(struct spf_watch *w, struct conf *conf)
{
	conf_unref(w->setup.conf);
	w->setup.conf = conf_ref(conf);
	spf_watch_soon(w);
}

static void
watch_look_idle(struct spf_watch *w)
{
	loop_fn *on_idle = w->on_idle;

	if (!w->stopping || w->round != NULL || on_idle == NULL)
		return;
	w->on_idle = NULL;
	on_idle(w->on_idle_arg, NULL);
}

void
spf_watch_stop(struct spf_watch *w, loop_fn *on_idle, void *arg)
{
	w->stopping = true;
	w->on_idle = on_idle;
	w->on_idle_arg = arg;
	timer_clear(&w->tick);
	watch_look_idle(w);
}

static void
round_end(struct round *r, bool failed)
{
	struct spf_watch *w = r->w;
	int64_t		  after = w->setup.conf->mail_from.recheck_interval_ms;

	if ((r->misses || failed) && after > SPF_AGAIN_MS)
		after = SPF_AGAIN_MS;
	if (w->again)
		after = SPF_SOON_MS;
	w->again = false;
	w->round = NULL;
	round_free(r);
	if (!w->stopping)
		timer_set(&w->tick, after);
	watch_look_idle(w);
}

/* -- what is told ---------------------------------------------------------- */

/* The finding that has come, or has gone (9.3). */
static void
round_announce(struct round *r, const struct spf_target *t,
    const struct spf_state_change *c)
{
	struct bulletin_news news = { NULL, t->account,
		t->identity[0] != '\0' ? t->identity : NULL, c->finding };

	if (c->finding[0] != '\0') {
		news.type = "Advisor Recommendation Status Resolved";
		notices_announce(r->w->setup.notices, &news);
	}
	if (c->s.standing != SPF_FAILS)
		return;
	news.type = "Advisor Recommendation Status Open";
	news.data = c->s.finding;
	notices_announce(r->w->setup.notices, &news);
}

static void
round_tell(struct round *r, const struct spf_target *t,
    const struct spf_state_change *c)
{
	const struct spf_state *s = &c->s;
	char finding[LOG_QUOTE_SIZE], detail[LOG_QUOTE_SIZE], text[1024];
	char what[300];

	if (!c->moved)
		return;
	round_announce(r, t, c);
	log_warn("spf-status", "account=%s domain=%s from=%s to=%s "
	    "finding=%s detail=%s", s->account[0] != '\0' ? s->account : "-",
	    s->domain, spf_standing_to_text(c->from),
	    spf_standing_to_text(s->standing),
	    log_quote(bytes_of(s->finding), finding),
	    log_quote(bytes_of(s->detail), detail));
	snprintf(what, sizeof(what), "%s %.40s",
	    s->standing == SPF_FAILS ? "spf-fail" : "spf-pass", s->domain);
	if (s->standing == SPF_FAILS)
		snprintf(text, sizeof(text), "MAIL FROM domain %s: %s %s. "
		    "posthornctl identity check shows what to publish.",
		    s->domain, s->finding, s->detail);
	else
		snprintf(text, sizeof(text), "MAIL FROM domain %s permits all "
		    "source addresses again.", s->domain);
	notices_warn(r->w->setup.notices, s->account, what, text);
}

/* -- a batch is written ---------------------------------------------------- */

/* Does mail of this target leave from it? */
static bool
source_serves(const struct source *s, const struct spf_target *t)
{
	return t->account[0] == '\0' ||
	    source_is_in_pool(s, t->account, source_pool(s));
}

static int
batch_run(struct book_job *job, struct db_txn *t)
{
	struct round   *r = (struct round *)(void *)job;
	struct spf_state s;
	size_t		k, answer = 0;
	unsigned	n;

	for (k = r->first; k < r->next; k++) {
		memset(&s, 0, sizeof(s));
		memcpy(s.account, r->targets[k].account, sizeof(s.account));
		memcpy(s.domain, r->targets[k].domain, sizeof(s.domain));
		for (n = 0; n < r->source_count; n++)
			if (source_serves(&r->sources[n], &r->targets[k]))
				spf_state_add(&s, r->sources[n].address,
				    &r->results[answer++]);
		r->misses |= s.is_open;
		if (spf_state_note(t, &s, r->begun, &r->changes[k - r->first],
			&job->err) < 0)
			return -1;
	}
	return r->next < r->count ? 0 :
	    spf_state_expire(t, r->begun, &job->err);
}

static void
batch_on_written(void *job, void *unused)
{
	struct round *r = job;
	char	      quoted[LOG_QUOTE_SIZE];
	size_t	      k;

	(void)unused;
	if (r->job.failed) {
		log_error("spf-watch-failed", "reason=%s",
		    log_quote(bytes_of(r->job.err.text), quoted));
		round_end(r, true);
		return;
	}
	for (k = r->first; k < r->next; k++)
		round_tell(r, &r->targets[k], &r->changes[k - r->first]);
	if (r->next < r->count && !r->w->stopping)
		batch_ask(r);
	else
		round_end(r, false);
}

static void
batch_on_answers(void *round, void *unused)
{
	struct round *r = round;

	(void)unused;
	r->job.asker = r->w->setup.loop;
	r->job.run = batch_run;
	r->job.done = batch_on_written;
	/* what ends because all ends tells nothing */
	if (r->w->stopping || !book_write(r->w->setup.book, &r->job))
		round_end(r, true);
}

/* -- a batch is asked ------------------------------------------------------ */

static void
batch_add(struct round *r, const struct source *s, const char *domain)
{
	const struct conf *c = r->w->setup.conf;
	struct verify_job *j = &r->jobs[r->inquiry.n++];

	memset(j, 0, sizeof(*j));
	j->kind = VERIFY_SPF;
	bytes_text(bytes_of(domain), j->domain, sizeof(j->domain));
	bytes_text(bytes_of(s->address), j->ip, sizeof(j->ip));
	bytes_text(bytes_of(s->ehlo[0] != '\0' ? s->ehlo : c->server.name),
	    j->helo, sizeof(j->helo));
	if (c->mail_from.spf_include != NULL)
		bytes_text(bytes_of(c->mail_from.spf_include), j->include,
		    sizeof(j->include));
}

static void
batch_ask(struct round *r)
{
	struct spf_watch *w = r->w;
	unsigned	  n;

	r->first = r->next;
	memset(&r->inquiry, 0, sizeof(r->inquiry));
	memset(r->results, 0, sizeof(r->results));
	/* one target has at most SPF_SOURCES */
	for (; r->next < r->count &&
	     r->inquiry.n + r->source_count <= SPF_BATCH; r->next++)
		for (n = 0; n < r->source_count; n++)
			if (source_serves(&r->sources[n],
				&r->targets[r->next]))
				batch_add(r, &r->sources[n],
				    r->targets[r->next].domain);
	if (r->inquiry.n == 0) {
		batch_on_answers(r, NULL);
		return;
	}
	r->inquiry.jobs = r->jobs;
	r->inquiry.results = r->results;
	r->inquiry.asker = w->setup.loop;
	r->inquiry.done = batch_on_answers;
	r->inquiry.arg = r;
	if (loop_reserve(w->setup.loop))
		verification_inquire(w->setup.verification, &r->inquiry);
	else
		round_end(r, true);
}

/* -- what there is to ask -------------------------------------------------- */

static bool
round_on_source(void *round, const struct source *s)
{
	struct round *r = round;

	if (s->enabled)
		r->sources[r->source_count++] = *s;
	return r->source_count < SPF_SOURCES;
}

/* The world does not see an address of a private network. */
static void
round_add_system(struct round *r, int family)
{
	struct dns_address a = { .family = family };
	struct source	  *s = &r->sources[r->source_count];

	memset(s, 0, sizeof(*s));
	if (r->w->setup.system_address == NULL ||
	    !r->w->setup.system_address(family, s->address) ||
	    inet_pton(family, s->address, &a.ip) != 1 ||
	    dns_address_is_private(&a))
		return;
	s->family = family;
	r->source_count++;
}

static struct spf_target *
round_add_target(struct round *r, const char *account, const char *domain)
{
	struct spf_target *t;

	if (r->count == r->cap) {
		r->cap = r->cap * 2 + 16;
		r->targets = mem_realloc(r->targets,
		    r->cap * sizeof(*r->targets));
	}
	t = &r->targets[r->count++];
	memset(t, 0, sizeof(*t));
	bytes_text(bytes_of(account), t->account, sizeof(t->account));
	bytes_text(bytes_of(domain), t->domain, sizeof(t->domain));
	return t;
}

static bool
round_on_identity(void *round, const struct identity *i)
{
	struct round	  *r = round;
	struct spf_target *last = r->count == 0 ? NULL :
	    &r->targets[r->count - 1];

	/* those of one domain come one after another */
	if (i->mail_from.check.status == IDENTITY_SUCCESS &&
	    (last == NULL || strcmp(last->domain, i->mail_from.domain) != 0)) {
		last = round_add_target(r, i->account, i->mail_from.domain);
		memcpy(last->identity, i->name, sizeof(last->identity));
	}
	return r->count < SPF_TARGETS;
}

static int
round_read(struct round *r, struct db_txn *t, struct err *e)
{
	const struct conf *c = r->w->setup.conf;

	/* a route for all mail: receivers see its addresses, not ours */
	if (conf_route_find(c, BYTES("spf.invalid")) != NULL)
		return 0;
	if (source_each(t, round_on_source, r, e) < 0)
		return -1;
	if (r->source_count == 0) {
		round_add_system(r, AF_INET);
		round_add_system(r, AF_INET6);
	}
	if (r->source_count == 0 || db_count(t, BOOK_IDENTITY) == 0)
		return 0;
	round_add_target(r, "", c->mail_from.default_domain);
	return mail_from_each(t, round_on_identity, r, e);
}

static void
watch_on_tick(void *watch, void *unused)
{
	struct spf_watch *w = watch;
	struct round	 *r;
	struct db_txn	 *t;
	struct err	  e;
	int		  rc;

	(void)unused;
	if (w->round != NULL || w->stopping)
		return;
	r = w->round = mem_alloc(sizeof(*r));
	r->w = w;
	r->begun = loop_wall(w->setup.loop);
	t = book_read(w->setup.book, &e);
	rc = t == NULL ? -1 : round_read(r, t, &e);
	book_end(t);
	if (rc < 0) {
		log_error("book-failed", "reason=\"%s\"", e.text);
		round_end(r, true);
	} else {
		batch_ask(r);
	}
}
