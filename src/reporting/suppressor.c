/* SPDX-License-Identifier: ISC */
#include "reporting/suppressor.h"

#include <string.h>

#include "base/log.h"
#include "registry/suppression.h"
#include "reporting/publisher.h"

enum { EVENT_ARENA = 1 << 20, MAILBOXES_MAX = 1000 };

/* What one event brings: a list of addresses, and what to do with each. */
struct entry_job {
	struct book_job	   job; /* first: cast back from it */
	struct suppressor *suppressor;
	struct conf	  *conf; /* a reference: a reload may come meanwhile */
	enum event_type	   type; /* BOUNCE, COMPLAINT, DELIVERY */
	char		   account[ACCOUNT_ID_SIZE];
	struct config_set_id config_set; /* of the original message */
	char	    message_id[MSGID_TEXT + 1], feedback_id[MSGID_TEXT + 1];
	struct wall at;
	bool	    global, fixed; /* suppression.global.* */
	size_t	    count;
	char	    addresses[][ADDRESS_TEXT_MAX];
};

struct suppressor {
	struct suppressor_setup setup;
	struct publisher       *publisher;
	struct entry_job       *job; /* under way; NULL = none */
};

static enum publisher_answer suppressor_on_event(void *arg, uint64_t sequence,
    const struct event *ev);
static void entry_job_free(struct entry_job *j);

/* -- life ------------------------------------------------------------------ */

struct suppressor *
suppressor_new(const struct suppressor_setup *s)
{
	struct suppressor     *x = mem_alloc(sizeof(*x));
	struct publisher_setup p = { .loop = s->loop, .spool = s->spool,
		.cursor = SUPPRESSOR_CURSOR, .show = suppressor_on_event,
		.arg = x };

	x->setup = *s;
	x->setup.conf = conf_ref(s->conf);
	x->publisher = publisher_new(&p);
	return x;
}

void
suppressor_free(struct suppressor *s)
{
	if (s == NULL)
		return;
	publisher_free(s->publisher);
	if (s->job != NULL)
		entry_job_free(s->job);
	conf_unref(s->setup.conf);
	mem_free(s);
}

void
suppressor_reload(struct suppressor *s, struct conf *conf)
{
	conf_unref(s->setup.conf);
	s->setup.conf = conf_ref(conf);
}

void
suppressor_wake(struct suppressor *s)
{
	publisher_wake(s->publisher);
}

void
suppressor_stop(struct suppressor *s, loop_fn *on_idle, void *arg)
{
	publisher_stop(s->publisher, on_idle, arg);
}

/* -- on the book's writer --------------------------------------------------- */

static int
entry_add_own(struct entry_job *j, struct db_txn *t, const char *address,
    enum suppression_reason reason)
{
	struct suppression s = { .last = reason, .updated = j->at,
		.source = SUPPRESSION_AUTO };

	memcpy(s.account, j->account, sizeof(s.account));
	memcpy(s.message_id, j->message_id, sizeof(s.message_id));
	memcpy(s.feedback_id, j->feedback_id, sizeof(s.feedback_id));
	bytes_text(bytes_of(address), s.address, sizeof(s.address));
	return suppression_add(t, &s, &j->job.err);
}

static int
entry_add_global(struct entry_job *j, struct db_txn *t, const char *address)
{
	struct global_suppression g = { .listed = j->at };

	memcpy(g.last_account, j->account, sizeof(g.last_account));
	memcpy(g.last_message_id, j->message_id, sizeof(g.last_message_id));
	memcpy(g.last_feedback_id, j->feedback_id,
	    sizeof(g.last_feedback_id));
	bytes_text(bytes_of(address), g.address, sizeof(g.address));
	return global_suppression_bounce(t, &g, j->fixed, &j->job.err);
}

/* What is no address (a report may name anything) is passed over. */
static bool
entry_is_trouble(struct entry_job *j, int rc)
{
	return rc < 0 && !book_is_refusal(&j->job.err);
}

/* The reasons that count now. */
static int
entry_reasons(struct entry_job *j, struct db_txn *t, unsigned *out)
{
	struct suppression_question q;

	if (suppression_ask(t, j->account, &j->config_set,
		j->conf, j->at, &q, &j->job.err) < 0)
		return -1;
	*out = suppression_effective(&q);
	return 0;
}

static int
entry_write(struct book_job *job, struct db_txn *t)
{
	struct entry_job       *j = (struct entry_job *)(void *)job;
	enum suppression_reason r = j->type == EVENT_COMPLAINT ?
	    SUPPRESS_COMPLAINT : SUPPRESS_BOUNCE;
	unsigned		reasons;
	size_t			i;

	if (entry_reasons(j, t, &reasons) < 0)
		return -1;
	for (i = 0; i < j->count; i++) {
		if (j->type == EVENT_DELIVERY) {
			if (global_suppression_remove(t,
				bytes_of(j->addresses[i]), &job->err) < 0)
				return -1;
			continue;
		}
		if ((reasons & (unsigned)r) != 0 && entry_is_trouble(j,
			entry_add_own(j, t, j->addresses[i], r)))
			return -1;
		if (r == SUPPRESS_BOUNCE && j->global && entry_is_trouble(j,
			entry_add_global(j, t, j->addresses[i])))
			return -1;
	}
	return 0;
}

static void
entry_job_free(struct entry_job *j)
{
	conf_unref(j->conf);
	mem_free(j);
}

static void
entry_on_written(void *job, void *unused)
{
	struct entry_job  *j = job;
	struct suppressor *s = j->suppressor;
	bool		   failed = j->job.failed;
	char		   quoted[LOG_QUOTE_SIZE];

	(void)unused;
	if (failed)
		log_error("suppression-failed", "mid=%s reason=%s",
		    j->message_id,
		    log_quote(bytes_of(j->job.err.text), quoted));
	s->job = NULL;
	entry_job_free(j);
	publisher_settle(s->publisher,
	    failed ? PUBLISHER_FAILED : PUBLISHER_DONE);
}

/* -- events ---------------------------------------------------------------- */

/* Is anything known of it in the installation's list? */
static bool
suppressor_remembers(struct suppressor *s, const struct event *ev)
{
	struct global_suppression g;
	struct db_txn		 *t;
	struct err		  e;
	bool			  found = false;
	size_t			  i;

	t = book_read(s->setup.book, &e);
	if (t == NULL)
		return true; /* the writer will see */
	if (db_count(t, BOOK_SUPPRESSED_ALL) > 0)
		for (i = 0; i < ev->recipient_count && !found; i++)
			found = global_suppression_get(t,
			    ev->recipients[i].address, &g, &e) != 0;
	book_end(t);
	return found;
}

static bool
suppressor_wants(struct suppressor *s, const struct event *ev)
{
	if (ev->simulator || ev->recipient_count == 0 ||
	    ev->recipient_count > MAILBOXES_MAX)
		return false;
	switch (ev->type) {
	case EVENT_BOUNCE:
		return bounce_suppresses(ev->bounce_type, ev->bounce_subtype);
	case EVENT_COMPLAINT:
		return event_complaint_counts(ev) && (ev->recipient_count == 1 ||
		    s->setup.conf->suppression.complaint_candidates ==
			CONF_CANDIDATES_ALL);
	case EVENT_DELIVERY:
		return suppressor_remembers(s, ev);
	default:
		return false;
	}
}

static struct entry_job *
suppressor_job(struct suppressor *s, const struct event *ev,
    const struct mail_row *mail)
{
	struct entry_job *j = mem_alloc(sizeof(*j) +
	    ev->recipient_count * sizeof(j->addresses[0]));
	size_t		  i;

	j->suppressor = s;
	j->conf = conf_ref(s->setup.conf);
	j->type = ev->type;
	memcpy(j->account, mail->account, sizeof(j->account));
	j->config_set = mail->config_set_id;
	(void)msgid_to_text(&ev->message, s->setup.conf->server.id_prefix, 0,
	    j->message_id);
	bytes_text(ev->feedback_id, j->feedback_id, sizeof(j->feedback_id));
	/* when posthorn learned of it: a report says any time, and a change is
	 * not older than the one before */
	j->at = event_id_time(&ev->id);
	j->global = s->setup.conf->suppression.global.enabled;
	j->fixed = s->setup.conf->suppression.global.policy == CONF_GLOBAL_FIXED;
	for (i = 0; i < ev->recipient_count; i++)
		bytes_text(ev->recipients[i].address,
		    j->addresses[j->count++], ADDRESS_TEXT_MAX);
	j->job.asker = s->setup.loop;
	j->job.run = entry_write;
	j->job.done = entry_on_written;
	return j;
}

static enum publisher_answer
suppressor_on_event(void *arg, uint64_t sequence, const struct event *ev)
{
	struct suppressor *s = arg;
	struct entry_job  *j;
	struct mail_row	   mail;
	struct arena	  *arena;
	struct err	   e;
	int		   found;

	(void)sequence;
	if (!suppressor_wants(s, ev))
		return PUBLISHER_NEXT;
	arena = arena_new(EVENT_ARENA);
	found = spool_read_mail(s->setup.spool, &ev->message, arena, &mail,
	    &e);
	if (found < 0)
		log_error("suppression-failed", "reason=\"%s\"", e.text);
	j = found != 1 || mail.system ? NULL : suppressor_job(s, ev, &mail);
	arena_free(arena);
	if (found < 0)
		return PUBLISHER_AGAIN;
	if (j == NULL)
		return PUBLISHER_NEXT; /* nobody knows whose it was */
	s->job = j;
	if (book_write(s->setup.book, &j->job))
		return PUBLISHER_TAKEN;
	s->job = NULL;
	entry_job_free(j);
	return PUBLISHER_AGAIN;
}
