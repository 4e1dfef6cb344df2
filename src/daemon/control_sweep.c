/* SPDX-License-Identifier: ISC */
#include "daemon/control_sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mail/address.h"
#include "registry/config_set.h"

enum {
	WINDOW_ARENA = 4 * 1024 * 1024,
	MAIL_ARENA = 1024 * 1024,
	MESSAGE_ARENA = 4096,
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

enum queue_state
queue_state_of(const struct recipient_row *r, bool active, struct wall now)
{
	if (active)
		return QUEUE_ACTIVE;
	if (r->state == ENVELOPE_HELD)
		return QUEUE_HELD;
	return r->state == ENVELOPE_DEFERRED && r->next.ms > now.ms ?
		QUEUE_DEFERRED : QUEUE_READY;
}

/* -- what is under way ----------------------------------------------------- */

static int
active_cmp(const void *a, const void *b)
{
	const struct due_key *x = a, *y = b;
	int		      c = msgid_cmp(&x->id, &y->id);

	return c != 0 ? c : (x->n > y->n) - (x->n < y->n);
}

void
queue_sort_active(struct due_key *v, size_t n)
{
	if (n > 0)
		qsort(v, n, sizeof(*v), active_cmp);
}

bool
queue_is_active(const struct due_key *v, size_t n,
    const struct recipient_row *r)
{
	struct due_key k = { { 0 }, r->id, r->n };

	return n > 0 && bsearch(&k, v, n, sizeof(*v), active_cmp) != NULL;
}

/* -- pauses of configuration sets ------------------------------------------ */

/* A set that was deleted holds nothing any more. */
bool
control_set_is_paused(struct control *k, const struct config_set_id *id)
{
	struct config_set s;
	struct db_txn	 *t;
	struct err	  e;
	int		  found = -1;

	if (config_set_id_is_none(id))
		return false;
	t = book_read(k->relay->book, &e);
	if (t != NULL)
		found = config_set_find(t, id, &s, &e);
	book_end(t);
	return found < 0 || (found == 1 && !s.sending);
}

void
queue_see_pause(struct control *k, const struct config_set_id *set,
    struct recipient_row *r)
{
	if ((r->held_by & HELD_CONFIG_SET) != 0 ||
	    !control_set_is_paused(k, set))
		return;
	r->held_by |= HELD_CONFIG_SET;
	r->state = ENVELOPE_HELD;
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
	buf_init(&s->lines, 4 * SWEEP_LINES);
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
	buf_wipe(&s->lines);
	mem_free(s->ids);
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
	bool	      message_read;
	struct arena *message_arena;
	int	      message_found;
	struct message_row message;
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
collect_needs_mail(const struct sweep *s)
{
	return s->filter.from.n > 0 || s->filter.credential.n > 0 ||
	    s->filter.config_set.n > 0;
}

/* Account and class are in a row of their own, which is read far faster. */
static bool
collect_needs_message(const struct sweep *s)
{
	return s->show != NULL || s->reason != NULL;
}

static void
collect_message(struct collect *c, const struct msgid *id)
{
	if (c->message_read && msgid_cmp(&c->message.id, id) == 0)
		return;
	arena_free(c->message_arena);
	c->message_arena = arena_new(MESSAGE_ARENA);
	c->message_found = spool_read_message(c->s->control->relay->spool, id,
	    c->message_arena, &c->message, &c->s->err);
	c->message.id = *id;
	c->message_read = true;
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

/* Does the caller see this message at all? */
static bool
collect_is_ours(struct collect *c, const struct recipient_row *r)
{
	const char *account = c->s->filter.account;

	if (account[0] == '\0')
		return true;
	collect_message(c, &r->id);
	return c->message_found == 1 &&
	    strcmp(account, c->message.account) == 0;
}

static bool
collect_fits(struct collect *c, const struct recipient_row *r, bool active)
{
	const struct queue_filter *f = &c->s->filter;

	if ((f->state != QUEUE_ANY &&
		f->state != queue_state_of(r, active, f->now)) ||
	    (f->is_due && r->state == ENVELOPE_HELD) ||
	    (f->older_than.ms != 0 &&
		msgid_time(&r->id).ms > f->older_than.ms) ||
	    (f->to.n > 0 && !name_fits(f->to, r->address)) ||
	    (f->rcpt.n > 0 && !bytes_eq_nocase(f->rcpt, r->address)))
		return false;
	if (collect_needs_message(c->s))
		collect_message(c, &r->id);
	if (collect_needs_message(c->s) && c->message_found != 1)
		return false;
	if (!collect_needs_mail(c->s))
		return true;
	collect_mail(c, &r->id);
	return c->mail_found == 1 &&
	    (f->from.n == 0 || name_fits(f->from, c->mail.sender)) &&
	    (f->config_set.n == 0 ||
		bytes_eq(f->config_set, c->mail.config_set)) &&
	    (f->credential.n == 0 ||
		bytes_eq_nocase(f->credential, c->mail.credential) ||
		bytes_eq(f->credential, c->mail.access_key));
}

/* What its message says of it. */
static void
collect_facts(const struct collect *c, struct sweep_row *w)
{
	if (!collect_needs_message(c->s))
		return;
	memcpy(w->account, c->message.account, sizeof(w->account));
	w->system = c->message.system;
}

static bool
collect_lay_out(struct collect *c, const struct recipient_row *r, bool active)
{
	struct sweep_row w = { .r = *r, .active = active };

	collect_facts(c, &w);
	if (!c->s->lay_out(c->s, &w))
		return false;
	c->s->row_count++;
	return true;
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
	collect_facts(c, w);
	w->r.address = arena_bytes(a, r->address);
	w->r.last_reply = arena_bytes(a, r->last_reply);
	w->r.last_remote = arena_bytes(a, r->last_remote);
	w->r.last_source_ip = arena_bytes(a, r->last_source_ip);
	w->r.last_stage = arena_bytes(a, r->last_stage);
	if (w->r.address.p == NULL || w->r.last_reply.p == NULL ||
	    w->r.last_remote.p == NULL || w->r.last_source_ip.p == NULL ||
	    w->r.last_stage.p == NULL)
		return false;
	s->row_count++;
	return true;
}

/* For a list: what a pause holds is shown as held. */
static void
collect_see_pause(struct collect *c, struct recipient_row *r)
{
	collect_message(c, &r->id);
	if (c->message_found == 1)
		queue_see_pause(c->s->control, &c->message.config_set, r);
}

/* false = there is no room for it in this window */
static bool
collect_row(struct collect *c, struct recipient_row *r)
{
	struct sweep	*s = c->s;
	struct sweep_id *id = s->ids != NULL ? &s->ids[s->id_at] : NULL;
	bool active = queue_is_active(s->filter.active,
	    s->filter.active_count, r);
	bool fits, busy;

	if (s->lay_out != NULL && !active)
		collect_see_pause(c, r);
	fits = collect_is_ours(c, r) && collect_fits(c, r, active);
	busy = fits && active && s->filter.is_resting;

	if (fits && !busy && !(s->lay_out != NULL ?
		collect_lay_out(c, r, active) : collect_keep(c, r, active)))
		return false;
	if (id != NULL) {
		id->found += collect_is_ours(c, r);
		id->fit += fits && !busy;
		id->busy += busy;
	}
	return true;
}

static bool
collect_is_full(const struct collect *c)
{
	const struct sweep *s = c->s;

	if (c->looked >= LOOK_AT_ONCE)
		return true;
	return s->lay_out != NULL ? s->lines.n >= SWEEP_LINES
				  : s->row_count == SWEEP_ROWS;
}

static bool
collect_on_row(void *arg, const struct recipient_row *r)
{
	struct collect	    *c = arg;
	struct sweep	    *s = c->s;
	struct recipient_row seen = *r;

	if (s->begun && r->n == s->at.n && msgid_cmp(&r->id, &s->at.id) == 0)
		return true; /* the last one of the window before */
	if (s->ids != NULL &&
	    msgid_cmp(&r->id, &s->ids[s->id_at].id) != 0) {
		c->left_message = true;
		return false;
	}
	if (collect_is_full(c) || !collect_row(c, &seen)) {
		c->full = true;
		return false;
	}
	c->looked++;
	s->at.id = r->id;
	s->at.n = r->n;
	s->begun = true;
	return s->err.text[0] == '\0';
}

static bool
collect_on_held(void *arg, const struct arrival *a, uint8_t held_by,
    struct wall expires)
{
	struct collect	 *c = arg;
	struct sweep	 *s = c->s;
	struct sweep_row *w = &s->row[s->row_count];

	if (collect_is_full(c)) {
		c->full = true;
		return false;
	}
	c->looked++;
	s->at.due = expires;
	s->at.id = a->id;
	s->at.n = a->n;
	s->begun = true;
	if ((held_by & s->held_by) == 0 ||
	    (s->filter.account[0] != '\0' &&
		strcmp(s->filter.account, a->account) != 0) ||
	    (!config_set_id_is_none(&s->filter.set) &&
		!config_set_id_eq(&s->filter.set, &a->config_set)))
		return true;
	memset(w, 0, sizeof(*w));
	w->r.id = a->id;
	w->r.n = a->n;
	memcpy(w->account, a->account, sizeof(w->account));
	w->set = a->config_set;
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
			from = &s->ids[s->id_at].id;
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
	arena_free(c.message_arena);
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
sweep_count(struct sweep *s)
{
	struct ledger *l = s->control->relay->ledger;
	size_t	       i;

	for (i = 0; i < s->change.count; i++)
		if (s->item[i].found && s->item[i].event != NULL)
			ledger_count_event(ledger_page(l, s->row[i].account),
			    s->item[i].event);
}

/* The carrier need not wait for what will never come. */
static void
sweep_forget(struct sweep *s)
{
	struct carrier_gone *g;
	size_t		     i;

	if (s->kind != CHANGE_DONE && s->kind != CHANGE_HOLD)
		return;
	g = mem_alloc(sizeof(*g) + s->change.count * sizeof(g->v[0]));
	for (i = 0; i < s->change.count; i++)
		if (s->item[i].found) {
			g->v[g->count].id = s->item[i].id;
			g->v[g->count++].n = s->item[i].n;
		}
	if (!carrier_post_forget(s->control->relay->carrier, g))
		mem_free(g);
}

static void
sweep_on_receipt(void *sweep, void *change)
{
	struct sweep *s = sweep;
	size_t	      i;

	(void)change;
	if (s->change.result != RECEIPT_OK)
		err_set(&s->err, "the store is down");
	else {
		for (i = 0; i < s->change.count; i++)
			s->changed += s->item[i].found;
		sweep_count(s);
		sweep_forget(s);
	}
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

/* -- holds of accounts and configuration sets ------------------------------ */

static void release_start(struct control *k, const char *account);

static bool
account_may_go_on(struct control *k, const char *id)
{
	struct account a;
	struct db_txn *t;
	struct err     e;
	bool	       may;

	t = book_read(k->relay->book, &e);
	may = t != NULL && account_get(t, id, &a, &e) == 1 &&
	    account_may_send(&a);
	book_end(t);
	return may;
}

/* The first n rows are changed, if there are any. */
static void
sweep_keep(struct sweep *s, size_t n)
{
	s->row_count = n;
	if (n == 0)
		sweep_next(s);
	else
		sweep_change(s);
}

/* Mail of posthorn's own goes on, and so does all when the pause is over. */
static void
hold_show(struct sweep *s)
{
	size_t i, kept = 0;

	if (account_may_go_on(s->control, s->filter.account))
		s->stop = true;
	for (i = 0; i < s->row_count && !s->stop; i++)
		if (!s->row[i].system &&
		    (s->row[i].r.held_by & HELD_ACCOUNT) == 0)
			s->row[kept++] = s->row[i];
	sweep_keep(s, kept);
}

static void
hold_done(struct sweep *s)
{
	struct control *k = s->control;
	char		account[ACCOUNT_ID_SIZE];
	bool		release = s->then_release;

	memcpy(account, s->filter.account, sizeof(account));
	sweep_free(s);
	if (release)
		release_start(k, account);
}

void
control_hold_account(struct control *k, const char *account)
{
	struct sweep *s = sweep_new(k, NULL);

	s->held_by = HELD_ACCOUNT;
	s->kind = CHANGE_HOLD;
	bytes_text(bytes_of(account), s->filter.account,
	    sizeof(s->filter.account));
	s->show = hold_show;
	s->done = hold_done;
	sweep_start(s);
}

static bool
row_may_go_on(struct sweep *s, const struct sweep_row *w)
{
	return s->held_by == HELD_CONFIG_SET
		? !control_set_is_paused(s->control, &w->set)
		: account_may_go_on(s->control, w->account);
}

/* Each row's account, or set, is asked: only those that may send go on. */
static void
release_show(struct sweep *s)
{
	const struct sweep_row *asked = NULL, *w;
	size_t			i, kept = 0;
	bool			may = false;

	for (i = 0; i < s->row_count; i++) {
		w = &s->row[i];
		if (asked == NULL || strcmp(asked->account, w->account) != 0 ||
		    !config_set_id_eq(&asked->set, &w->set))
			may = row_may_go_on(s, w);
		asked = w;
		if (may)
			s->row[kept++] = *w;
	}
	sweep_keep(s, kept);
}

static void
release_start(struct control *k, const char *account)
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

void
control_release_set(struct control *k, const struct config_set_id *set)
{
	struct sweep *s = sweep_new(k, NULL);

	s->held = true;
	s->held_by = HELD_CONFIG_SET;
	s->kind = CHANGE_RELEASE;
	if (set != NULL)
		s->filter.set = *set;
	s->show = release_show;
	sweep_start(s);
}

/* A hold of it that is still under way ends first, so that none is left. */
void
control_release_account(struct control *k, const char *account)
{
	struct sweep *s;

	for (s = k->sweeps; s != NULL; s = s->next)
		if (s->kind == CHANGE_HOLD && account != NULL &&
		    strcmp(s->filter.account, account) == 0) {
			s->stop = s->then_release = true;
			return;
		}
	release_start(k, account);
}

void
control_follow_account(struct control *k, const struct account *a)
{
	if (account_may_send(a))
		control_release_account(k, a->id);
	else
		control_hold_account(k, a->id);
	(void)carrier_post_wake(k->relay->carrier);
}
