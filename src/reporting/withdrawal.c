/* SPDX-License-Identifier: ISC */
#include "reporting/withdrawal.h"

#include <string.h>

#include "base/log.h"
#include "reporting/notices.h"

struct withdrawal {
	struct withdrawal_setup setup;
};

struct withdrawal_job {
	struct book_job	       job; /* first: cast back from it */
	struct withdrawal     *withdrawal;
	struct withdrawal_case c;
	struct wall	       now;
	bool		       is_changed;
};

struct withdrawal *
withdrawal_new(const struct withdrawal_setup *s)
{
	struct withdrawal *w = mem_alloc(sizeof(*w));

	w->setup = *s;
	return w;
}

void
withdrawal_free(struct withdrawal *w)
{
	mem_free(w);
}

/* -- on the book's writer -------------------------------------------------- */

static int
withdrawal_apply(struct withdrawal_job *j, struct db_txn *t,
    struct notification *n, struct identity *i)
{
	int found = identity_get(t, j->c.account, j->c.identity, i,
	    &j->job.err);

	if (found <= 0)
		return found;
	(void)notification_set(n, j->c.kind, NULL, j->now);
	i->forwarding = true;
	j->is_changed = true;
	return notification_put(t, n, &j->job.err) < 0 ? -1 :
		identity_put(t, i, &j->job.err);
}

static int
withdrawal_write(struct book_job *job, struct db_txn *t)
{
	struct withdrawal_job *j = (struct withdrawal_job *)(void *)job;
	struct notification   *n = mem_alloc(sizeof(*n));
	struct identity	      *i = mem_alloc(sizeof(*i));
	enum topic_state       state = TOPIC_WORKS;
	int rc = notification_get(t, j->c.account, j->c.identity, n,
	    &job->err);

	if (rc == 1 && topic_ref_eq(&n->now[j->c.kind].topic, &j->c.topic))
		rc = topic_look(t, &j->c.topic, j->c.account, NULL, &state,
		    &job->err);
	if (rc >= 0 && state == TOPIC_DEAD)
		rc = withdrawal_apply(j, t, n, i);
	mem_free(i);
	mem_free(n);
	return rc < 0 ? -1 : 0;
}

/* -- on the loop ----------------------------------------------------------- */

static void
withdrawal_tell(struct withdrawal_job *j)
{
	const struct withdrawal_setup *s = &j->withdrawal->setup;

	log_warn("topic-withdrawn", "account=%s identity=%s topic=%s type=%s",
	    j->c.account, j->c.identity, j->c.topic.name,
	    notification_kind_names[j->c.kind]);
	notices_topic(s->notices, j->c.account, bytes_of(j->c.identity),
	    bytes_of(j->c.topic.name),
	    bytes_of(notification_kind_names[j->c.kind]));
	if (s->on_withdrawn != NULL)
		s->on_withdrawn(s->on_withdrawn_arg, &j->c);
}

static void
withdrawal_done(void *job, void *unused)
{
	struct withdrawal_job *j = job;

	(void)unused;
	if (j->job.failed)
		log_error("topic-not-withdrawn", "account=%s identity=%s "
		    "topic=%s reason=\"%s\"", j->c.account, j->c.identity,
		    j->c.topic.name, j->job.err.text);
	else if (j->is_changed)
		withdrawal_tell(j);
	mem_free(j);
}

void
withdrawal_begin(struct withdrawal *w, const struct withdrawal_case *c)
{
	struct withdrawal_job *j;

	loop_must_own(w->setup.loop);
	if (c->kind == NOTIFICATION_DELIVERY)
		return;
	j = mem_alloc(sizeof(*j));
	j->withdrawal = w;
	j->c = *c;
	j->now = loop_wall(w->setup.loop);
	j->job.asker = w->setup.loop;
	j->job.run = withdrawal_write;
	j->job.done = withdrawal_done;
	if (!book_write(w->setup.book, &j->job))
		mem_free(j);
}
