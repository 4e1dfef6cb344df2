/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "reporting/notices.h"
#include "reporting/outbox_private.h"
#include "reporting/webhook.h"

/*
 * Places of calls.  An account takes one more only while more are free than it
 * has, so that one that hangs alone takes 64, two 96; the last ones are for
 * the first call of an account that has no other.  What failed last has one
 * call at a time, from a smaller share by the same rule, and never one of the
 * last: dead endpoints wait for one another, and for nobody else.
 */
enum {
	CALLS_MAX = 160,	/* of all destinations */
	CALLS_LAST = 32,	/* of these: one for an account */
	FAILING_CALLS_MAX = 32, /* of those whose last call failed */
	PROBE_FAILURES = 10,	/* from then on only what was tried already */
	REFUSED_MAX = 20,
	REFUSED_MS = 3600 * 1000
};

/* One record on its way: made on a worker, then posted. */
struct record_call {
	struct job	   job; /* first: cast back from it */
	struct record_call *next, **self;
	struct outbox	  *outbox; /* NULL: it is not waited for any more */
	struct conf	  *conf;   /* a reference */
	struct record_wanted wanted;
	struct destination_id id;
	char		   account[ACCOUNT_ID_SIZE];
	bool		   is_failing; /* its last call had failed */
	struct entry_key   key;
	struct event_id	   event;
	enum event_type	   type;
	struct buf	   body;
	enum record_answer answer;
	struct err	   err;
	uint64_t	   ticket; /* of the webhook; 0 = being made */
};

struct calls {
	struct record_call *first;
	unsigned	    count, failing;
};

/* Turns off what refuses, on the book's writer. */
struct disable_job {
	struct book_job	   job; /* first: cast back from it */
	struct outbox	  *outbox;
	struct destination d;
	struct wall	   now;
	bool		   is_changed;
};

static const char refused_reason[] = "endpoint refused";

/* -- a call ---------------------------------------------------------------- */

static void
call_free(struct record_call *c)
{
	if (c->outbox != NULL) {
		c->outbox->calls->count--;
		c->outbox->calls->failing -= c->is_failing;
		*c->self = c->next;
		if (c->next != NULL)
			c->next->self = c->self;
	}
	conf_unref(c->conf);
	buf_wipe(&c->body);
	mem_free(c);
}

static void
call_run(struct job *job)
{
	struct record_call *c = (struct record_call *)(void *)job;

	c->answer = record_make(&c->wanted, &c->body, &c->err);
}

/* The entry it is about; NULL: it or its destination is gone. */
static struct entry *
call_entry(const struct record_call *c, struct outlet **x)
{
	*x = outbox_find(c->outbox, &c->id);
	return *x == NULL ? NULL :
		outlet_find(*x, &c->key);
}

/* -- 10.5: an endpoint that wants no more ---------------------------------- */

static int
disable_write(struct book_job *job, struct db_txn *t)
{
	struct disable_job *j = (struct disable_job *)(void *)job;
	struct destination  d;
	int found = destination_get(t, &j->d.set, bytes_of(j->d.name), &d,
	    &job->err);

	if (found <= 0)
		return found;
	if (memcmp(d.id.b, j->d.id.b, sizeof(d.id.b)) != 0 || !d.enabled)
		return 0;
	destination_disable(&d, refused_reason, j->now);
	j->is_changed = true;
	return destination_put(t, &d, &job->err);
}

static void
disable_tell(const struct disable_job *j)
{
	const struct outbox_setup *s = &j->outbox->setup;
	struct outbox_disabled	   d;

	if (s->on_disabled == NULL)
		return;
	memset(&d, 0, sizeof(d));
	memcpy(d.account, j->d.account, sizeof(d.account));
	if (destination_is_subscription(&j->d))
		memcpy(d.topic, j->d.topic.name, sizeof(d.topic));
	else
		memcpy(d.set, j->d.set_name, sizeof(d.set));
	memcpy(d.name, j->d.name, sizeof(d.name));
	bytes_text(bytes_of(refused_reason), d.reason, sizeof(d.reason));
	s->on_disabled(s->on_disabled_arg, &d);
}

static void
disable_done(void *job, void *unused)
{
	struct disable_job *j = job;
	char		    place[OUTBOX_PLACE_SIZE];

	(void)unused;
	if (j->job.failed)
		log_error("destination-not-disabled", "account=%s %s "
		    "reason=\"%s\"", j->d.account,
		    outbox_place(&j->d, place), j->job.err.text);
	else if (j->is_changed)
		disable_tell(j);
	mem_wipe(&j->d, sizeof(j->d));
	mem_free(j);
}

/* At once here, then in the book; a full feed leaves the rest to the next. */
void
outbox_disable(struct outbox *o, struct outlet *x)
{
	struct disable_job *j;
	char place[OUTBOX_PLACE_SIZE], text[OUTBOX_PLACE_SIZE + 64];
	int  name; /* octets of text that name it */

	if (!x->d.enabled)
		return;
	j = mem_alloc(sizeof(*j));
	j->outbox = o;
	j->d = x->d;
	j->now = loop_wall(o->setup.loop);
	j->job.asker = o->setup.loop;
	j->job.run = disable_write;
	j->job.done = disable_done;
	if (!book_write(o->setup.book, &j->job)) {
		mem_free(j);
		return;
	}
	destination_disable(&x->d, refused_reason, j->now);
	log_warn("destination-disabled", "account=%s %s reason=\"%s\"",
	    x->d.account, outbox_place(&x->d, place), refused_reason);
	name = snprintf(text, sizeof(text), "%s%s%s",
	    destination_is_subscription(&x->d) ? x->d.topic.name :
		x->d.set_name, destination_is_subscription(&x->d) ? ":" : "/",
	    x->d.name);
	must(name > 0 && (size_t)name < sizeof(text));
	snprintf(text + name, sizeof(text) - (size_t)name, ": %s",
	    refused_reason);
	notices_warn_of(o->setup.notices, x->d.account,
	    "event-destination-disabled",
	    (struct bytes){ text, (size_t)name }, text);
}

static void
outlet_refused(struct outbox *o, struct outlet *x)
{
	struct mono now = loop_now(o->setup.loop);

	if (x->refused++ == 0)
		x->refused_since = now;
	if (x->refused >= REFUSED_MAX &&
	    now.ms - x->refused_since.ms >= REFUSED_MS)
		outbox_disable(o, x);
}

/* -- what came of it ------------------------------------------------------- */

static void
entry_failed(struct outbox *o, struct outlet *x, struct entry *e,
    const struct webhook_result *r)
{
	int64_t now = loop_now(o->setup.loop).ms, wait, left;

	(void)outbox_failed(o, x, r->reason);
	e->attempts++;
	wait = outbox_wait_random_ms(e->attempts);
	if (r->retry_after_ms >= 0)
		wait = r->retry_after_ms;
	/* at its end it expires, it is not tried */
	left = event_id_time(&e->event).ms +
	    o->setup.conf->events.retry_for_ms + 1 -
	    loop_wall(o->setup.loop).ms;
	e->again.ms = now + (wait < left || e->key.is_replay ? wait : left);
	if (r->class == WEBHOOK_REFUSED)
		outlet_refused(o, x);
	else
		x->refused = 0;
	if (r->class == WEBHOOK_GONE)
		outbox_disable(o, x);
	if (!x->d.enabled && e->key.way.form.notification)
		outbox_withdraw(o, &x->d.topic, e->key.sequence);
}

static void
outlet_answered(struct outbox *o, struct outlet *x, struct entry *e,
    const struct webhook_result *r)
{
	e->is_out = false;
	e->status = r->status;
	if (x->meter != NULL) {
		meter_set(&x->meter->status, r->status);
		if (r->status != 0)
			meter_observe(&x->meter->seconds,
			    (double)r->took_ms / 1000);
	}
	if (r->class == WEBHOOK_TAKEN) {
		outbox_worked(o, x, 1);
		outlet_drop(x, e);
	} else {
		entry_failed(o, x, e, r);
	}
}

static void
call_on_result(void *call, const struct webhook_result *r)
{
	struct record_call *c = call;
	struct outbox	   *o = c->outbox;
	struct outlet	   *x;
	struct entry	   *e = call_entry(c, &x);

	if (x != NULL)
		x->out--;
	if (e != NULL) {
		outlet_answered(o, x, e, r);
		outlet_show(x);
	}
	call_free(c);
	outbox_go(o);
}

/* -- posting --------------------------------------------------------------- */

static void
call_post(struct record_call *c, struct outlet *x, const struct entry *e)
{
	const struct outlet *via = outbox_find(c->outbox, &c->key.way.via);
	struct webhook_call w = { .destination = &x->d,
		.via = via == NULL ? NULL : &via->d,
		.notification = c->key.way.form.notification,
		.type = event_type_to_wire(c->type),
		.event_id = &c->event, .attempt = e->attempts + 1,
		.body = buf_bytes(&c->body), .done = call_on_result,
		.arg = c };

	c->ticket = webhook_post(c->outbox->setup.webhook, &w);
}

static void
call_on_made(void *call, void *unused)
{
	struct record_call   *c = call;
	struct outbox	     *o = c->outbox;
	struct webhook_result failed = { .class = WEBHOOK_FAILED,
		.retry_after_ms = -1 };
	struct outlet	     *x;
	struct entry	     *e;

	(void)unused;
	if (o == NULL) {
		call_free(c);
		return;
	}
	e = call_entry(c, &x);
	if (e != NULL && c->answer == RECORD_THERE && !o->stopping) {
		call_post(c, x, e);
		return;
	}
	if (x != NULL)
		x->out--;
	if (e != NULL && c->answer == RECORD_GONE) {
		outbox_expired(o, x, 1);
		outlet_drop(x, e);
	} else if (e != NULL && c->answer == RECORD_FAILED) {
		snprintf(failed.reason, sizeof(failed.reason), "%.150s",
		    c->err.text);
		outlet_answered(o, x, e, &failed);
	} else if (e != NULL) {
		e->is_out = false;
	}
	call_free(c);
	outbox_go(o);
}

static int
call_start(struct outbox *o, struct outlet *x, struct entry *e)
{
	struct record_call *c = mem_alloc(sizeof(*c));

	c->conf = conf_ref(o->setup.conf);
	c->wanted.spool = o->setup.spool;
	c->wanted.conf = c->conf;
	c->wanted.sequence = e->key.sequence;
	c->wanted.form = e->key.way.form;
	c->wanted.form.extensions |= x->d.extensions;
	c->id = x->d.id;
	memcpy(c->account, x->d.account, sizeof(c->account));
	c->is_failing = x->failures > 0;
	c->key = e->key;
	c->event = e->event;
	c->type = e->type;
	buf_init(&c->body, OUTBOX_RECORD_MAX);
	c->job.asker = o->setup.loop;
	c->job.run = call_run;
	c->job.done = call_on_made;
	if (!workers_post(o->setup.workers, &c->job)) {
		call_free(c);
		o->no_worker = true;
		return -1;
	}
	c->outbox = o;
	c->self = &o->calls->first;
	c->next = o->calls->first;
	if (c->next != NULL)
		c->next->self = &c->next;
	o->calls->first = c;
	o->calls->count++;
	o->calls->failing += c->is_failing;
	x->out++;
	e->is_out = true;
	return 1;
}

/* -- turns ----------------------------------------------------------------- */

static void
outlet_expire(struct outbox *o, struct outlet *x)
{
	struct entry *e, *next;
	unsigned      n = 0;

	for (e = x->first; e != NULL; e = next) {
		next = e->next;
		if (e->is_out || e->key.is_replay ||
		    !outbox_is_late(o, &e->event))
			continue;
		outlet_drop(x, e);
		n++;
	}
	outbox_expired(o, x, n);
}

/* The first that is due; after a failure one at a time.  After many in a row
 * none but one that has been tried already goes out, as a probe for all. */
static struct entry *
outlet_next(const struct outlet *x, struct mono now)
{
	struct entry *e, *probe = NULL;

	if (x->failures > 0 && x->out > 0)
		return NULL;
	if (x->failures < PROBE_FAILURES) {
		for (e = x->first; e != NULL; e = e->next)
			if (!e->is_out && e->again.ms <= now.ms)
				return e;
		return NULL;
	}
	for (e = x->first; e != NULL; e = e->next)
		if (e->attempts > 0 &&
		    (probe == NULL || e->again.ms < probe->again.ms))
			probe = e;
	if (probe == NULL)
		probe = x->first;
	return probe != NULL && probe->again.ms <= now.ms ? probe : NULL;
}

static bool
calls_have_room(const struct calls *calls, const struct outlet *x)
{
	const struct record_call *c;
	unsigned free_places = CALLS_MAX - calls->count;
	unsigned own = 0, own_failing = 0;

	for (c = calls->first; c != NULL; c = c->next)
		if (strcmp(c->account, x->d.account) == 0) {
			own++;
			own_failing += c->is_failing;
		}
	if (x->failures == 0 && own == 0)
		return free_places > 0;
	if (free_places <= CALLS_LAST || own >= free_places - CALLS_LAST)
		return false;
	return x->failures == 0 ||
	    own_failing < FAILING_CALLS_MAX - calls->failing;
}

int
outbox_serve_webhook(struct outbox *o, struct outlet *x)
{
	struct mono   now = loop_now(o->setup.loop);
	struct entry *e;
	int	      served = 0;

	if (o->stopping)
		return 0;
	if (o->calls == NULL)
		o->calls = mem_alloc(sizeof(*o->calls));
	outlet_expire(o, x);
	if (!x->d.enabled && x->d.reason[0] != '\0')
		return 0;
	while (x->out < x->d.webhook.in_flight &&
	    calls_have_room(o->calls, x)) {
		e = outlet_next(x, now);
		if (e == NULL)
			break;
		if (call_start(o, x, e) < 0)
			return -1;
		served = 1;
	}
	return served;
}

bool
outbox_calls_are_out(const struct outbox *o)
{
	return o->calls != NULL && o->calls->count > 0;
}

/* Those that a worker still makes free themselves when they come back. */
void
outbox_calls_cut(struct outbox *o)
{
	struct record_call *c, *next;

	for (c = o->calls == NULL ? NULL : o->calls->first; c != NULL;
	     c = next) {
		next = c->next;
		if (c->ticket == 0)
			continue;
		webhook_cancel(o->setup.webhook, c->ticket);
		call_free(c);
	}
}

void
outbox_calls_free(struct outbox *o)
{
	struct record_call *c;

	outbox_calls_cut(o);
	while (o->calls != NULL && (c = o->calls->first) != NULL) {
		o->calls->first = c->next;
		if (c->next != NULL)
			c->next->self = &o->calls->first;
		c->outbox = NULL;
	}
	mem_free(o->calls);
}
