/* SPDX-License-Identifier: ISC */
#include "daemon/control_sweep.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "mail/address.h"

enum {
	WINDOW_ARENA = 4 * 1024 * 1024,
	MAIL_ARENA = 1024 * 1024,
	LOOK_AT_ONCE = 20000, /* rows before a worker turns to others */
	SWEEP_AGAIN_MS = 200
};

static void sweep_collect(struct job *j);
static void sweep_collected(void *job, void *unused);

static const char *const state_texts[] = { "ANY", "READY", "ACTIVE",
	"DEFERRED", "HELD", "SCHEDULED" };

const char *
queue_state_to_text(enum queue_state s)
{
	return state_texts[s];
}

/* -- life ------------------------------------------------------------------ */

static void
sweep_on_again(void *sweep, void *unused)
{
	(void)unused;
	sweep_start(sweep);
}

struct sweep *
sweep_new(struct control *k, struct request *q)
{
	struct sweep *s = mem_alloc(sizeof(*s));

	s->control = k;
	s->q = q;
	s->conf = conf_ref(k->relay->conf);
	timer_init(&s->again, k->relay->main, sweep_on_again, s);
	if (q != NULL) {
		must(q->state == NULL);
		q->state = s;
		q->state_free = sweep_free;
		return s;
	}
	s->next = k->sweeps;
	if (s->next != NULL)
		s->next->prev = s;
	k->sweeps = s;
	return s;
}

void
sweep_free(void *sweep)
{
	struct sweep *s = sweep;

	timer_clear(&s->again);
	arena_free(s->arena);
	mem_free(s->ids);
	mem_free(s->id_found);
	mem_free(s->active_keys);
	conf_unref(s->conf);
	if (s->q != NULL)
		return; /* the request frees the struct itself */
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		s->control->sweeps = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	mem_free(s);
}

/* -- collecting, on a worker ----------------------------------------------- */

struct collect {
	struct sweep *s;
	struct arena *mail_arena; /* of the message at hand */
	struct msgid  mail_id;
	int	      mail_found; /* of mail */
	bool	      mail_read, any;
	struct mail_row mail;
	size_t	      looked;
	bool	      full, left_message;
};

static bool
name_fits(struct bytes wanted, struct bytes address)
{
	ptrdiff_t at;

	if (bytes_find(wanted, 0, '@') >= 0)
		return bytes_eq_nocase(wanted, address);
	for (at = (ptrdiff_t)address.n - 1; at >= 0; at--)
		if (address.p[at] == '@')
			break;
	return domain_is_within(bytes_from(address, (size_t)(at + 1)),
		   wanted) && at >= 0;
}

static bool
row_is_active(const struct queue_filter *f, const struct recipient_row *r)
{
	size_t i;

	for (i = 0; i < f->active_count; i++)
		if (f->active[i].n == r->n &&
		    msgid_cmp(&f->active[i].id, &r->id) == 0)
			return true;
	return false;
}

static bool
state_fits(const struct queue_filter *f, const struct recipient_row *r,
    bool active)
{
	switch (f->state) {
	case QUEUE_ANY:
		return true;
	case QUEUE_ACTIVE:
		return active;
	case QUEUE_READY:
		return !active && r->state == ENVELOPE_READY;
	case QUEUE_DEFERRED:
		return !active && r->state == ENVELOPE_DEFERRED;
	case QUEUE_HELD:
		return r->state == ENVELOPE_HELD;
	case QUEUE_SCHEDULED:
		break;
	}
	return false;
}

static bool
collect_needs_mail(const struct sweep *s)
{
	return s->filter.account[0] != '\0' || s->filter.from.n > 0 ||
	    s->filter.credential.n > 0 || s->show != NULL ||
	    s->reason != NULL;
}

/* One look for all recipients of a message. */
static void
collect_mail(struct collect *c, const struct msgid *id)
{
	if (c->mail_read && msgid_cmp(&c->mail_id, id) == 0)
		return;
	arena_free(c->mail_arena);
	c->mail_arena = arena_new(MAIL_ARENA);
	c->mail_id = *id;
	c->mail_read = true;
	c->mail_found = spool_read_mail(c->s->control->relay->spool, id,
	    c->mail_arena, &c->mail, &c->s->err);
}

static bool
collect_fits(struct collect *c, const struct recipient_row *r, bool active)
{
	const struct queue_filter *f = &c->s->filter;

	if (!state_fits(f, r, active) ||
	    (f->is_due && r->state == ENVELOPE_HELD) ||
	    (f->older_than.ms != 0 &&
		msgid_time(&r->id).ms > f->older_than.ms) ||
	    (f->to.n > 0 && !name_fits(f->to, r->address)) ||
	    (f->rcpt.n > 0 && !bytes_eq_nocase(f->rcpt, r->address)))
		return false;
	if (!collect_needs_mail(c->s))
		return true;
	collect_mail(c, &r->id);
	if (c->mail_found != 1)
		return false;
	return (f->account[0] == '\0' ||
		   strcmp(f->account, c->mail.account) == 0) &&
	    (f->from.n == 0 || name_fits(f->from, c->mail.sender)) &&
	    (f->credential.n == 0 ||
		bytes_eq_nocase(f->credential, c->mail.credential));
}

static bool
collect_keep(struct collect *c, const struct recipient_row *r, bool active)
{
	struct sweep	 *s = c->s;
	struct sweep_row *w = &s->row[s->row_count];
	struct arena	 *a = s->arena;

	memset(w, 0, sizeof(*w));
	w->r = *r;
	w->active = active;
	w->r.address = arena_bytes(a, r->address);
	w->r.last_reply = arena_bytes(a, r->last_reply);
	w->r.last_remote = arena_bytes(a, r->last_remote);
	w->r.last_source_ip = arena_bytes(a, r->last_source_ip);
	w->r.last_stage = arena_bytes(a, r->last_stage);
	if (w->r.address.p == NULL || w->r.last_reply.p == NULL ||
	    w->r.last_remote.p == NULL || w->r.last_source_ip.p == NULL ||
	    w->r.last_stage.p == NULL)
		return false;
	if (collect_needs_mail(s)) {
		memcpy(w->account, c->mail.account, sizeof(w->account));
		w->system = c->mail.system;
	}
	s->row_count++;
	return true;
}

static bool
collect_on_row(void *arg, const struct recipient_row *r)
{
	struct collect *c = arg;
	struct sweep   *s = c->s;
	bool		active;

	if (s->begun && r->n == s->at.n && msgid_cmp(&r->id, &s->at.id) == 0)
		return true; /* the last one of the window before */
	if (s->ids != NULL && msgid_cmp(&r->id, &s->ids[s->id_at]) != 0) {
		c->left_message = true;
		return false;
	}
	if (s->row_count == SWEEP_ROWS || c->looked >= LOOK_AT_ONCE) {
		c->full = true;
		return false;
	}
	c->looked++;
	active = row_is_active(&s->filter, r);
	if (collect_fits(c, r, active) && !collect_keep(c, r, active)) {
		c->full = true;
		return false;
	}
	s->at.id = r->id;
	s->at.n = r->n;
	s->begun = true;
	if (s->ids != NULL)
		s->id_found[s->id_at]++;
	return s->err.text[0] == '\0';
}

static bool
collect_on_held(void *arg, const struct arrival *a, uint8_t held_by,
    struct wall expires)
{
	struct collect	 *c = arg;
	struct sweep	 *s = c->s;
	struct sweep_row *w = &s->row[s->row_count];

	if (s->row_count == SWEEP_ROWS || c->looked >= LOOK_AT_ONCE) {
		c->full = true;
		return false;
	}
	c->looked++;
	s->at.due = expires;
	s->at.id = a->id;
	s->at.n = a->n;
	s->begun = true;
	if ((held_by & s->held_by) == 0 || (s->filter.account[0] != '\0' &&
	    strcmp(s->filter.account, a->account) != 0))
		return true;
	memset(w, 0, sizeof(*w));
	w->r.id = a->id;
	w->r.n = a->n;
	memcpy(w->account, a->account, sizeof(w->account));
	s->row_count++;
	return true;
}

/* One walk; the position is behind what was looked at. */
static void
sweep_walk(struct collect *c)
{
	struct sweep *s = c->s;
	struct spool *spool = s->control->relay->spool;
	const struct msgid *from = NULL;
	unsigned      n = 0;
	int	      rc;

	if (s->held) {
		rc = spool_scan_held(spool, s->begun ? &s->at : NULL,
		    LOOK_AT_ONCE, collect_on_held, c, &s->err);
	} else {
		if (s->begun) {
			from = &s->at.id;
			n = s->at.n;
		} else if (s->ids != NULL)
			from = &s->ids[s->id_at];
		rc = spool_scan_recipients(spool, from, n, LOOK_AT_ONCE + 2,
		    collect_on_row, c, &s->err);
	}
	if (rc < 0 && s->err.text[0] == '\0')
		err_set(&s->err, "the queue cannot be read");
	if (c->full || s->err.text[0] != '\0' ||
	    (rc > LOOK_AT_ONCE && !c->left_message))
		return;
	if (s->ids != NULL && s->id_at + 1 < s->id_count) {
		s->id_at++;
		s->begun = false;
		c->left_message = false;
	} else
		s->ended = true;
}

static void
sweep_collect(struct job *j)
{
	struct sweep  *s = (struct sweep *)(void *)j;
	struct collect c = { .s = s };

	while (!s->ended && !c.full && s->err.text[0] == '\0')
		sweep_walk(&c);
	arena_free(c.mail_arena);
}

/* -- changing -------------------------------------------------------------- */

static const struct event *
sweep_bounce(struct sweep *s, const struct sweep_row *w)
{
	struct event	       *ev = arena_alloc(s->arena, sizeof(*ev));
	struct event_recipient *to = arena_alloc(s->arena, sizeof(*to));
	struct wall		now = loop_wall(s->control->relay->main);
	struct msgid		feedback;
	char			id[MSGID_TEXT + 1];

	if (ev == NULL || to == NULL)
		return NULL;
	event_id_make(now, &ev->id);
	ev->type = EVENT_BOUNCE;
	ev->at = now;
	ev->message = w->r.id;
	ev->attempts = w->r.attempts;
	ev->bounce_type = BOUNCE_UNDETERMINED;
	ev->bounce_subtype = BOUNCE_SUB_UNDETERMINED;
	ev->simulator = w->r.simulator;
	ev->recipients = to;
	ev->recipient_count = 1;
	to->address = w->r.address;
	to->action = BYTES("failed");
	to->status = BYTES("5.3.0");
	to->diagnostic = bytes_of(arena_printf(s->arena, "smtp; 550 5.3.0 %s",
	    s->reason[0] != '\0' ? s->reason
				 : "given up by the operator"));
	msgid_make(now, &feedback);
	msgid_to_text(&feedback, s->conf->server.id_prefix, 0, id);
	ev->feedback_id = arena_bytes(s->arena, bytes_of(id));
	return ev;
}

static void
sweep_on_receipt(void *sweep, void *change)
{
	struct sweep *s = sweep;
	size_t	      i;

	(void)change;
	if (s->change.result != RECEIPT_OK)
		err_set(&s->err, "the store is down");
	else
		for (i = 0; i < s->change.count; i++)
			s->changed += s->item[i].found;
	sweep_next(s);
}

static void
sweep_change(struct sweep *s)
{
	struct change_item *x;
	size_t		    i;

	memset(&s->change, 0, sizeof(s->change));
	memset(s->item, 0, s->row_count * sizeof(s->item[0]));
	s->change.from = s->control->relay->main;
	s->change.on_receipt = sweep_on_receipt;
	s->change.ctx = s;
	s->change.arena = s->arena;
	s->change.items = s->item;
	s->change.count = s->row_count;
	for (i = 0; i < s->row_count; i++) {
		x = &s->item[i];
		x->kind = s->kind;
		x->id = s->row[i].r.id;
		x->n = s->row[i].r.n;
		x->held_by = s->held_by;
		if (s->reason != NULL && !s->row[i].system)
			x->event = sweep_bounce(s, &s->row[i]);
	}
	if (!spool_change(s->control->relay->spool, &s->change))
		timer_set(&s->again, SWEEP_AGAIN_MS);
}

/* -- the windows ----------------------------------------------------------- */

static void
sweep_end(struct sweep *s)
{
	(void)carrier_post_wake(s->control->relay->carrier);
	if (s->err.text[0] != '\0' && s->q == NULL)
		log_error("sweep-failed", "reason=\"%s\"", s->err.text);
	if (s->done != NULL)
		s->done(s);
	else
		sweep_free(s);
}

static void
sweep_collected(void *job, void *unused)
{
	struct sweep *s = job;

	(void)unused;
	s->seen += s->row_count;
	if (s->row_count == 0)
		sweep_next(s);
	else if (s->show != NULL)
		s->show(s);
	else
		sweep_change(s);
}

void
sweep_next(struct sweep *s)
{
	s->row_count = 0;
	if (s->ended || s->stop || s->err.text[0] != '\0') {
		sweep_end(s);
		return;
	}
	sweep_start(s);
}

/* Also the timer's: a full feed is asked again, and nothing is lost. */
void
sweep_start(struct sweep *s)
{
	if (s->row_count > 0) {
		sweep_change(s);
		return;
	}
	arena_free(s->arena);
	s->arena = arena_new(WINDOW_ARENA);
	memset(&s->work, 0, sizeof(s->work));
	s->work.asker = s->control->relay->main;
	s->work.run = sweep_collect;
	s->work.done = sweep_collected;
	if (!workers_post(s->control->relay->workers, &s->work))
		timer_set(&s->again, SWEEP_AGAIN_MS);
}

/* -- holds of accounts ----------------------------------------------------- */

/* Each row's account is asked: only those that may send go on. */
static void
release_show(struct sweep *s)
{
	struct relay  *r = s->control->relay;
	struct account a;
	struct db_txn *t;
	struct err     e;
	size_t	       i, kept = 0;

	a.id[0] = '\0';
	t = book_read(r->book, &s->err);
	for (i = 0; t != NULL && i < s->row_count; i++) {
		if (strcmp(a.id, s->row[i].account) != 0 &&
		    account_get(t, s->row[i].account, &a, &e) != 1)
			a.id[0] = '\0';
		if (a.id[0] != '\0' && account_may_send(&a))
			s->row[kept++] = s->row[i];
	}
	book_end(t);
	s->row_count = kept;
	if (kept == 0)
		sweep_next(s);
	else
		sweep_change(s);
}

void
control_release_account(struct control *k, const char *account)
{
	struct sweep *s = sweep_new(k, NULL);

	s->held = true;
	s->held_by = HELD_ACCOUNT;
	s->kind = CHANGE_RELEASE;
	if (account != NULL)
		bytes_text(bytes_of(account), s->filter.account,
		    sizeof(s->filter.account));
	s->show = release_show;
	sweep_start(s);
}
