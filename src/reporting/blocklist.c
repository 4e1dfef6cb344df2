/* SPDX-License-Identifier: ISC */
#include "reporting/blocklist.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "mail/address.h"
#include "registry/provider.h"
#include "reporting/blocklist_private.h"

enum { KNOWN_MAX = LISTINGS_MAX, KNOWN_KEY_MAX = 512, REST_MS = 60 * 1000 };

/* When a reply was written last. */
struct known {
	bool	    listed;
	struct wall at;
};
/* A reply on its way into the book. */
struct reply_job {
	struct book_job	  job; /* first */
	struct blocklist *b;
	char address[64], list[CLASSIFY_LIST_MAX], url[CLASSIFY_URL_MAX];
	char group[128];
	struct wall	      at;
	struct listing_change change;
};

static enum publisher_answer blocklist_on_event(void *arg, uint64_t sequence,
    const struct event *ev);

/* -- life ------------------------------------------------------------------ */

struct blocklist *
blocklist_new(const struct blocklist_setup *s)
{
	struct blocklist      *b = mem_alloc(sizeof(*b));
	struct publisher_setup p = { .loop = s->loop, .spool = s->spool,
		.cursor = BLOCKLIST_CURSOR, .show = blocklist_on_event,
		.arg = b };

	b->setup = *s;
	b->setup.conf = conf_ref(s->conf);
	b->known = table_new(0);
	b->publisher = publisher_new(&p);
	timer_init(&b->tick, s->loop, blocklist_on_tick, b);
	return b;
}

static void
known_free(void *arg, struct bytes key, void *value)
{
	(void)arg;
	(void)key;
	mem_free(value);
}

void
blocklist_free(struct blocklist *b)
{
	struct blocklist_waiter *w;

	if (b == NULL)
		return;
	timer_clear(&b->tick);
	publisher_free(b->publisher);
	blocklist_free_round(b);
	mem_free(b->reply);
	while ((w = b->waiters) != NULL) {
		b->waiters = w->next;
		mem_free(w);
	}
	table_each(b->known, known_free, NULL);
	table_free(b->known);
	conf_unref(b->setup.conf);
	mem_free(b);
}

void
blocklist_begin(struct blocklist *b)
{
	timer_set(&b->tick, BLOCKLIST_FIRST_MS);
}

/* Another dnsbl.action, other zones: the next round is soon. */
void
blocklist_reload(struct blocklist *b, struct conf *conf)
{
	conf_unref(b->setup.conf);
	b->setup.conf = conf_ref(conf);
	if (!b->stopping && b->round == NULL)
		timer_set(&b->tick, BLOCKLIST_FIRST_MS);
}

void
blocklist_wake(struct blocklist *b)
{
	publisher_wake(b->publisher);
}

void
blocklist_look_idle(struct blocklist *b)
{
	loop_fn *on_idle = b->on_idle;

	if (!b->stopping || !b->publisher_idle || b->round != NULL ||
	    on_idle == NULL)
		return;
	b->on_idle = NULL;
	on_idle(b->on_idle_arg, NULL);
}

static void
blocklist_on_publisher_idle(void *blocklist, void *unused)
{
	struct blocklist *b = blocklist;

	(void)unused;
	b->publisher_idle = true;
	blocklist_look_idle(b);
}

void
blocklist_stop(struct blocklist *b, loop_fn *on_idle, void *arg)
{
	b->stopping = true;
	b->on_idle = on_idle;
	b->on_idle_arg = arg;
	timer_clear(&b->tick);
	blocklist_stop_round(b);
	publisher_stop(b->publisher, blocklist_on_publisher_idle, b);
}

/* -- what is told ---------------------------------------------------------- */

/* The system events "IP Blocklisted", "IP Delisted" (events.md 12). */
void
blocklist_tell(struct blocklist *b, const struct listing_change *c)
{
	const struct listing *l = &c->l;
	char list[LOG_QUOTE_SIZE], url[LOG_QUOTE_SIZE], text[1024], what[128];
	struct bulletin_news news = { l->listed ? "IP Blocklisted" :
		"IP Delisted", l->account, NULL, text };

	if (!c->moved)
		return;
	snprintf(text, sizeof(text), "%s, %s%s%s", l->address, l->list,
	    l->url[0] != '\0' ? ", " : "", l->url);
	notices_announce(b->setup.notices, &news);
	log_warn(l->listed ? "ip-blocklisted" : "ip-delisted",
	    "source=%s list=%s by=%s answer=%s group=%s url=%s", l->address,
	    log_quote(bytes_of(l->list), list),
	    listing_source_to_text(l->by),
	    l->answer[0] != '\0' ? l->answer : "-",
	    l->group[0] != '\0' ? l->group : "-",
	    l->url[0] != '\0' ? log_quote(bytes_of(l->url), url) : "-");
	snprintf(what, sizeof(what), "%s %s",
	    l->listed ? "ip-blocklisted" : "ip-delisted", l->address);
	if (l->listed)
		snprintf(text, sizeof(text), "%s is listed by %s (%s). "
		    "Remove the cause, ask the list, and write to postmaster "
		    "at the refusing domain with reply code, headers and "
		    "reason.%s%s", l->address, l->list,
		    l->by == LISTING_BY_DNS ? l->answer : "as receivers say",
		    l->url[0] != '\0' ? " See " : "", l->url);
	else
		snprintf(text, sizeof(text), "%s is not listed by %s any "
		    "more.", l->address, l->list);
	notices_warn(b->setup.notices, l->account, what, text);
}

/* -- replies of receivers -------------------------------------------------- */

static int
reply_write(struct book_job *job, struct db_txn *t)
{
	struct reply_job    *j = (struct reply_job *)(void *)job;
	struct listing_reply r = { j->address, j->list, j->url, j->group,
		j->at };

	return listing_note(t, &r, &j->change, &job->err);
}

static struct bytes
known_key(const struct reply_job *j, char out[KNOWN_KEY_MAX])
{
	int n = snprintf(out, KNOWN_KEY_MAX, "%s %s", j->address,
	    j->list[0] != '\0' ? j->list : j->group);

	must(n > 0 && n < KNOWN_KEY_MAX);
	return (struct bytes){ out, (size_t)n };
}

static void
known_note(struct blocklist *b, const struct reply_job *j)
{
	char	      key[KNOWN_KEY_MAX];
	struct known *k = table_get(b->known, known_key(j, key));

	if (k == NULL && table_count(b->known) >= KNOWN_MAX) {
		table_each(b->known, known_free, NULL);
		table_free(b->known);
		b->known = table_new(0);
	}
	if (k == NULL) {
		k = mem_alloc(sizeof(*k));
		must(table_put(b->known, known_key(j, key), k));
	}
	/* one for which there is no room rests as well */
	k->listed = j->change.l.listed || j->change.l.list[0] == '\0';
	k->at = j->at;
}

static void
reply_on_written(void *job, void *unused)
{
	struct reply_job *j = job;
	struct blocklist *b = j->b;
	bool		  failed = j->job.failed;
	char		  quoted[LOG_QUOTE_SIZE];

	(void)unused;
	b->reply = NULL;
	if (failed) {
		log_error("blocklist-failed", "source=%s reason=%s",
		    j->address, log_quote(bytes_of(j->job.err.text), quoted));
	} else {
		known_note(b, j);
		blocklist_tell(b, &j->change);
	}
	mem_free(j);
	publisher_settle(b->publisher,
	    failed ? PUBLISHER_FAILED : PUBLISHER_DONE);
}

static struct reply_job *
reply_new(struct blocklist *b, const struct event *ev)
{
	const struct event_recipient *to = &ev->recipients[0];
	struct reply_job	     *j = mem_alloc(sizeof(*j));

	j->b = b;
	j->at = ev->at;
	bytes_text(ev->outgoing_ip, j->address, sizeof(j->address));
	classify_find_block(to->diagnostic, j->list, j->url);
	bytes_text(provider_title(b->setup.conf, address_domain(to->address),
	    ev->remote_host), j->group, sizeof(j->group));
	j->job.asker = b->setup.loop;
	j->job.run = reply_write;
	j->job.done = reply_on_written;
	return j;
}

/* Listed, and written a moment ago. */
static bool
reply_is_known(const struct blocklist *b, const struct reply_job *j)
{
	char		    key[KNOWN_KEY_MAX];
	const struct known *k = table_get(b->known, known_key(j, key));

	return k != NULL && k->listed && j->at.ms - k->at.ms < REST_MS;
}

static enum publisher_answer
blocklist_on_event(void *arg, uint64_t sequence, const struct event *ev)
{
	struct blocklist *b = arg;
	struct reply_job *j;

	(void)sequence;
	if ((ev->type != EVENT_BOUNCE && ev->type != EVENT_DELIVERY_DELAY) ||
	    ev->simulator || ev->from_report || ev->rule.n == 0 ||
	    ev->rule.p[0] != 'B' || ev->outgoing_ip.n == 0 ||
	    ev->recipient_count == 0)
		return PUBLISHER_NEXT;
	j = reply_new(b, ev);
	if (reply_is_known(b, j)) {
		mem_free(j);
		return PUBLISHER_NEXT;
	}
	b->reply = &j->job;
	if (book_write(b->setup.book, &j->job))
		return PUBLISHER_TAKEN;
	b->reply = NULL;
	mem_free(j);
	return PUBLISHER_AGAIN;
}
