/* SPDX-License-Identifier: ISC */
/*
 * Accounts that were closed 90 days ago (admin-cli.md, account delete): once
 * an hour the book is asked for one, and what belongs to it is removed in
 * transactions of a few rows, until there is no other.  Import jobs that are
 * old go as well, and, where suppression.purge_paused_days is set, the
 * suppression lists of accounts that have been paused for so long.
 */
#include <string.h>

#include "base/log.h"
#include "daemon/control.h"
#include "daemon/relay.h"
#include "registry/account.h"
#include "registry/suppression.h"
#include "store/statistic.h"

enum {
	PURGE_EVERY_MS = 60 * 60 * 1000,
	PURGE_FIRST_MS = 60 * 1000, /* a start has other things to do */
	PURGE_ROWS = 200
};

struct purge {
	struct book_job job;
	struct relay   *relay;
	char		account[ACCOUNT_ID_SIZE];
	struct wall	now;
	unsigned	paused_days; /* 0 = lists stay */
	bool		list_only;
	struct db_txn  *txn; /* of the walk */
	int		rc; /* account_purge(), suppression_purge() */
};

static bool
purge_find_entry(void *found, const struct suppression *s)
{
	(void)s;
	*(bool *)found = true;
	return false;
}

static bool
purge_wants_list(const struct purge *p, const struct account *a)
{
	struct err e;
	bool	   found = false;

	if (p->paused_days == 0 || a->closed.ms != 0 ||
	    !account_is_paused_for(a, p->paused_days, p->now))
		return false;
	return suppression_each(p->txn, a->id, NULL, purge_find_entry,
		   &found, &e) == 0 && found;
}

static bool
purge_on_account(void *purge, const struct account *a)
{
	struct purge *p = purge;

	p->list_only = purge_wants_list(p, a);
	if (!account_is_expired(a, p->now) && !p->list_only)
		return true;
	memcpy(p->account, a->id, sizeof(p->account));
	return false;
}

/* It may have been opened again meanwhile. */
static int
purge_write(struct book_job *j, struct db_txn *t)
{
	struct purge  *p = (struct purge *)(void *)j;
	struct account a;
	int	       found = account_get(t, p->account, &a, &j->err);

	if (found <= 0)
		return found;
	if (p->list_only &&
	    account_is_paused_for(&a, p->paused_days, p->now))
		p->rc = suppression_purge(t, p->account, PURGE_ROWS, &j->err);
	else if (account_is_expired(&a, p->now))
		p->rc = account_purge(t, p->account, PURGE_ROWS, &j->err);
	return p->rc < 0 ? -1 : 0;
}

/* -- figures, which lie in the other store ---------------------------------- */

struct forgetting {
	struct change change;
	char	      account[ACCOUNT_ID_SIZE];
};

static int
forgetting_write(struct change *c, struct spool_txn *t, struct err *e)
{
	return statistic_forget(t, ((struct forgetting *)c->ctx)->account, e);
}

static void
forgetting_done(void *ctx, void *unused)
{
	(void)unused;
	mem_free(ctx);
}

/* All else that was counted of it was too old before (statistics.md 2). */
static void
purge_figures(struct relay *r, const char *account)
{
	struct forgetting *f = mem_alloc(sizeof(*f));

	bytes_text(bytes_of(account), f->account, sizeof(f->account));
	f->change.from = r->main;
	f->change.on_receipt = forgetting_done;
	f->change.ctx = f;
	f->change.also = forgetting_write;
	if (spool_change(r->spool, &f->change))
		return;
	log_warn("account-figures-kept", "account=%s", account);
	mem_free(f);
}

static void
purge_done(void *job, void *unused)
{
	struct purge *p = job;
	struct relay *r = p->relay;

	(void)unused;
	if (p->job.failed)
		log_warn("account-kept", "account=%s reason=\"%s\"", p->account,
		    p->job.err.text);
	else if (p->list_only)
		log_info("suppression-purged", "account=%s entries=%d",
		    p->account, p->rc);
	else if (p->rc == 1) {
		log_info("account-removed", "account=%s", p->account);
		purge_figures(r, p->account);
	}
	if (!r->stopping)
		timer_set(&r->purge_time, p->job.failed ? PURGE_EVERY_MS : 0);
	mem_free(p);
}

static void
relay_on_purge_time(void *relay, void *unused)
{
	struct relay  *r = relay;
	struct purge  *p = mem_alloc(sizeof(*p));
	struct db_txn *t;
	struct err     e;
	int	       rc = -1;

	(void)unused;
	control_sweep_imports(r->control);
	p->relay = r;
	p->now = clock_wall();
	p->paused_days = r->conf->suppression.purge_paused_days;
	p->job = (struct book_job){ .asker = r->main,
		.run = purge_write,
		.done = purge_done };
	p->txn = t = book_read(r->book, &e);
	if (t != NULL)
		rc = account_each(t, purge_on_account, p, &e);
	book_end(t);
	/* what the book has to say goes to whoever needs it more */
	if (rc == 0 && p->account[0] != '\0' && book_write(r->book, &p->job))
		return;
	mem_free(p);
	timer_set(&r->purge_time, PURGE_EVERY_MS);
}

void
relay_begin_purge(struct relay *r)
{
	timer_init(&r->purge_time, r->main, relay_on_purge_time, r);
	timer_set(&r->purge_time, PURGE_FIRST_MS);
}
