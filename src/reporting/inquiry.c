/* SPDX-License-Identifier: ISC */
#include "reporting/inquiry.h"

#include <stdio.h>
#include <string.h>

#include "base/process.h"

enum { INDEX_SHIFT = 16 };

struct inquiries {
	struct loop    *loop;
	struct channel *verifier;
	struct inquiry *open;
	uint64_t	numbers;
};

static void inquiry_on_late(void *inquiry, void *unused);
static void inquiry_pump(struct inquiry *q);

struct inquiries *
inquiries_new(struct loop *l)
{
	struct inquiries *all = mem_alloc(sizeof(*all));

	all->loop = l;
	return all;
}

void
inquiries_free(struct inquiries *all)
{
	if (all == NULL)
		return;
	inquiries_attach(all, NULL);
	mem_free(all);
}

/* -- results --------------------------------------------------------------- */

static void
inquiry_give_up(struct inquiry *q, size_t i, const char *why)
{
	struct verify_result *r = &q->results[i];

	memset(r, 0, sizeof(*r));
	r->ticket = q->jobs[i].ticket;
	r->kind = q->jobs[i].kind;
	r->outcome = DKIM_DNS_ERROR;
	r->spf.result = SPF_OUTCOME_TEMPERROR;
	snprintf(r->hint, sizeof(r->hint), "%s", why);
	q->answered++;
}

static void
inquiry_end(struct inquiry *q)
{
	struct inquiry **link = &q->inquiries->open;

	while (*link != q)
		link = &(*link)->next;
	*link = q->next;
	timer_clear(&q->late);
	loop_post_reserved(q->asker, q->done, q->arg, q);
}

/* Whoever has no result yet will have none. */
static void
inquiry_cut(struct inquiry *q, const char *why)
{
	size_t i;

	for (i = 0; i < q->n; i++)
		if (q->results[i].kind == 0)
			inquiry_give_up(q, i, why);
	inquiry_end(q);
}

static void
inquiry_on_late(void *inquiry, void *unused)
{
	(void)unused;
	inquiry_cut(inquiry, "no answer in time");
}

/* -- jobs ------------------------------------------------------------------ */

static void
inquiry_send(struct inquiry *q, size_t i)
{
	struct buf b;

	buf_init(&b, VERIFY_MESSAGE_MAX);
	if (!verify_job_encode(&q->jobs[i], &b) ||
	    !channel_send(q->inquiries->verifier, buf_bytes(&b), -1))
		inquiry_give_up(q, i, "the verifier could not be asked");
	buf_wipe(&b);
}

/* q may be gone afterwards. */
static void
inquiry_pump(struct inquiry *q)
{
	while (q->sent < q->n && q->sent - q->answered < INQUIRY_OPEN_MAX)
		inquiry_send(q, q->sent++);
	if (q->answered == q->n)
		inquiry_end(q);
}

void
inquiries_begin(struct inquiries *all, struct inquiry *q)
{
	size_t i;

	loop_must_own(all->loop);
	must(q->n <= INQUIRY_JOBS_MAX);
	q->inquiries = all;
	q->number = ++all->numbers;
	q->sent = q->answered = 0;
	for (i = 0; i < q->n; i++) {
		memset(&q->results[i], 0, sizeof(q->results[i]));
		q->jobs[i].ticket = inquiry_ticket |
		    q->number << INDEX_SHIFT | i;
	}
	q->next = all->open;
	all->open = q;
	timer_init(&q->late, all->loop, inquiry_on_late, q);
	if (all->verifier == NULL) {
		inquiry_cut(q, "the verifier process is not running");
		return;
	}
	timer_set(&q->late, q->within_ms > 0 ? q->within_ms : INQUIRY_MS);
	inquiry_pump(q);
}

void
inquiries_take(struct inquiries *all, const struct verify_result *r)
{
	uint64_t	number = (r->ticket & ~inquiry_ticket) >> INDEX_SHIFT;
	size_t		i = r->ticket & ((1u << INDEX_SHIFT) - 1);
	struct inquiry *q = all->open;

	while (q != NULL && q->number != number)
		q = q->next;
	if (q == NULL || i >= q->n || q->results[i].kind != 0 ||
	    q->jobs[i].kind != r->kind)
		return; /* late */
	q->results[i] = *r;
	q->answered++;
	inquiry_pump(q);
}

void
inquiries_attach(struct inquiries *all, struct channel *verifier)
{
	all->verifier = verifier;
	while (verifier == NULL && all->open != NULL)
		inquiry_cut(all->open, "the verifier process has gone");
}
