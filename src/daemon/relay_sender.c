/* SPDX-License-Identifier: ISC */
/*
 * SPF of hosts that send to the intake (receiving.md 3): the desks ask, the
 * verifier process answers, through the reporting loop, which has its channel.
 * Hosts are anybody: only so many questions are out at once, so that the
 * checks of identities always find room in the verifier.
 */
#include <stdatomic.h>

#include "daemon/relay.h"

enum {
	SENDERS_MAX = 64,
	SENDER_MS = 20 * 1000 /* RFC 7208 4.6.4: at least 20 seconds */
};

struct sender_order {
	struct inquiry	     inquiry;
	struct verify_job    job;
	struct verify_result result;
	struct sender_question *question;
	struct relay	    *relay;
};

/* On the desk's loop. */
static void
sender_on_answer(void *order, void *inquiry)
{
	struct sender_order	*o = order;
	struct sender_question	*q = o->question;

	(void)inquiry;
	/* also when the verifier was too busy, or is not there */
	q->result = o->result.outcome == DKIM_DNS_ERROR
	    ? SPF_OUTCOME_TEMPERROR : o->result.spf.result;
	atomic_fetch_sub(&o->relay->senders_asked, 1);
	mem_free(o);
	q->done(q->ctx, q);
}

static bool
relay_ask_sender(void *relay, struct sender_question *q)
{
	struct relay	    *r = relay;
	struct sender_order *o;
	struct verify_job   *j;

	if (atomic_fetch_add(&r->senders_asked, 1) >= SENDERS_MAX) {
		atomic_fetch_sub(&r->senders_asked, 1);
		return false;
	}
	o = mem_alloc(sizeof(*o));
	o->question = q;
	o->relay = r;
	j = &o->job;
	j->kind = VERIFY_SPF;
	j->cached = true;
	bytes_text(bytes_of(q->ip), j->ip, sizeof(j->ip));
	bytes_text(bytes_of(q->domain), j->domain, sizeof(j->domain));
	bytes_text(bytes_of(q->local), j->local, sizeof(j->local));
	bytes_text(bytes_of(q->helo), j->helo, sizeof(j->helo));
	o->inquiry = (struct inquiry){ .jobs = j, .results = &o->result,
		.n = 1, .asker = q->asker, .done = sender_on_answer, .arg = o,
		.within_ms = SENDER_MS };
	if (reporter_post_inquiry(r->reporter, &o->inquiry))
		return true;
	atomic_fetch_sub(&r->senders_asked, 1);
	mem_free(o);
	return false;
}

void
relay_wire_sender(struct relay *r, struct desk_setup *s)
{
	s->ask_sender = relay_ask_sender;
	s->ask_sender_arg = r;
}
