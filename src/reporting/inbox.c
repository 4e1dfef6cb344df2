/* SPDX-License-Identifier: ISC */
#include "reporting/inbox.h"

#include <string.h>

#include "base/log.h"
#include "reporting/inbox_private.h"

enum {
	JUDGING_ARENA = 8 << 20,
	JUDGING_LEFT = JUDGING_ARENA / 2, /* less is left of it: it is full */
	PAUSE_FIRST_MS = 250,
	PAUSE_MAX_MS = 60000
};

struct inbox {
	struct inbox_setup setup;
	struct classify	  *classify;
	struct timer	   timer; /* the next look */
	int64_t		   pause_ms;
	struct judging	  *judging; /* its change is out; NULL = none */
	struct change	   change;
	struct intake_end  end;
	bool		   stopping;
	loop_fn		  *on_idle;
	void		  *on_idle_arg;
};

static void inbox_on_timer(void *inbox, void *unused);
static void inbox_on_written(void *inbox, void *change);

/* -- life ------------------------------------------------------------------ */

struct inbox *
inbox_new(const struct inbox_setup *s, struct err *e)
{
	struct inbox *i = mem_alloc(sizeof(*i));

	i->classify = classify_new(e);
	if (i->classify == NULL) {
		mem_free(i);
		return NULL;
	}
	i->setup = *s;
	i->setup.conf = conf_ref(s->conf);
	timer_init(&i->timer, s->loop, inbox_on_timer, i);
	return i;
}

static void
judging_free(struct judging *j)
{
	if (j == NULL)
		return;
	arena_free(j->arena);
	mem_free(j->events);
	mem_free(j->accounts);
	mem_free(j->marks);
	mem_free(j->errands);
	mem_free(j->items);
	mem_free(j);
}

void
inbox_free(struct inbox *i)
{
	if (i == NULL)
		return;
	timer_clear(&i->timer);
	judging_free(i->judging);
	classify_free(i->classify);
	conf_unref(i->setup.conf);
	mem_free(i);
}

void
inbox_reload(struct inbox *i, struct conf *conf)
{
	conf_unref(i->setup.conf);
	i->setup.conf = conf_ref(conf);
}

void
inbox_wake(struct inbox *i)
{
	loop_must_own(i->setup.loop);
	if (i->judging == NULL && !i->stopping && !timer_is_set(&i->timer))
		timer_set(&i->timer, 0);
}

static void
inbox_pause(struct inbox *i)
{
	i->pause_ms = i->pause_ms == 0 ? PAUSE_FIRST_MS : i->pause_ms * 2;
	if (i->pause_ms > PAUSE_MAX_MS)
		i->pause_ms = PAUSE_MAX_MS;
	timer_set(&i->timer, i->pause_ms);
}

static void
inbox_end(struct inbox *i)
{
	loop_fn *on_idle = i->on_idle;

	i->on_idle = NULL;
	if (on_idle != NULL)
		on_idle(i->on_idle_arg, NULL);
}

void
inbox_stop(struct inbox *i, loop_fn *on_idle, void *arg)
{
	loop_must_own(i->setup.loop);
	i->stopping = true;
	i->on_idle = on_idle;
	i->on_idle_arg = arg;
	timer_clear(&i->timer);
	if (i->judging == NULL)
		inbox_end(i);
}

/* -- reading --------------------------------------------------------------- */

/* As much of it as is looked at. */
static bool
judging_read_raw(struct judging *j, struct bytes *out, struct err *e)
{
	uint64_t  whole = j->row.head_octets + j->row.body_octets;
	size_t	  want = whole < RETURNED_OCTETS ? (size_t)whole :
						   RETURNED_OCTETS;
	char	 *p = arena_alloc(j->arena, want + 1);
	size_t	  n = 0;
	ptrdiff_t got = 1;

	if (p == NULL)
		return err_set(e, "no memory for a raw message"), false;
	while (n < want && got > 0) {
		got = spool_read_raw(j->setup->spool, &j->row, n, p + n,
		    want - n, e);
		n += got > 0 ? (size_t)got : 0;
	}
	*out = (struct bytes){ p, n };
	return got >= 0;
}

static struct judging *
judging_new(struct inbox *i)
{
	struct judging *j = mem_alloc(sizeof(*j));

	j->inbox = i;
	j->setup = &i->setup;
	j->classify = i->classify;
	j->arena = arena_new(JUDGING_ARENA);
	j->now = loop_wall(i->setup.loop);
	j->kind = INTAKE_UNKNOWN;
	j->result = INTAKE_WAITS;
	/* not of the arena, which may have nothing to give */
	j->events = mem_alloc(JUDGING_EVENTS * sizeof(*j->events));
	j->accounts = mem_alloc(JUDGING_EVENTS * sizeof(*j->accounts));
	j->marks = mem_alloc(JUDGING_MARKS * sizeof(*j->marks));
	j->errands = mem_alloc(JUDGING_ERRANDS * sizeof(*j->errands));
	j->items = mem_alloc(JUDGING_EVENTS * sizeof(*j->items));
	return j;
}

/* It asks for more memory than any honest one: to wait would not help, and
 * all others wait behind it. */
static bool
judging_gives_up(struct judging *j)
{
	if (arena_used(j->arena) + JUDGING_LEFT < JUDGING_ARENA)
		return false;
	log_warn("returned-too-much", "sid=%.*s octets=%zu",
	    (int)j->row.sid.n, j->row.sid.p, arena_used(j->arena));
	j->kind = INTAKE_UNKNOWN;
	j->result = INTAKE_ERROR;
	j->event_count = j->mark_count = j->errand_count = 0;
	return true;
}

/* -- the commit ------------------------------------------------------------ */

static bool
inbox_write(struct inbox *i, struct judging *j)
{
	struct change *c = &i->change;
	size_t	       n;

	memset(c, 0, sizeof(*c));
	c->from = i->setup.loop;
	c->on_receipt = inbox_on_written;
	c->ctx = i;
	c->arena = j->arena;
	c->items = j->items;
	for (n = 0; n < j->event_count; n++) {
		c->items[n].kind = CHANGE_EVENT;
		c->items[n].id = j->events[n].message;
		c->items[n].event = &j->events[n];
	}
	c->count = j->event_count;
	i->end = (struct intake_end){ .id = j->row.id, .kind = j->kind,
		.result = j->result, .marks = j->marks,
		.mark_count = j->mark_count, .errands = j->errands,
		.errand_count = j->errand_count };
	c->intake = &i->end;
	if (!spool_change(i->setup.spool, c))
		return false;
	i->judging = j;
	return true;
}

static void
inbox_tell(struct inbox *i, const struct judging *j)
{
	char   id[MSGID_TEXT + 1], from[LOG_QUOTE_SIZE];
	size_t n, told = 0;

	for (n = 0; n < j->event_count; n++) {
		if (event_is_note(&j->events[n]))
			continue;
		told++;
		if (i->setup.ledger != NULL)
			ledger_count_event(ledger_page(i->setup.ledger,
			    j->accounts[n]), &j->events[n]);
	}
	msgid_to_text(&j->row.id, i->setup.conf->server.id_prefix, 0, id);
	log_info("returned", "sid=%.*s rid=%s from=%s kind=%s result=%s "
	    "events=%zu copies=%zu spf=%s authenticated=%s",
	    (int)j->row.sid.n, j->row.sid.p, id,
	    log_quote(j->row.sender, from), intake_kind_to_text(j->kind),
	    intake_result_to_text(j->result), told,
	    j->errand_count, intake_spf_to_text(&j->row),
	    intake_is_authenticated(&j->row) ? "yes" : "no");
	meter_add(&i->setup.meters->judged[j->kind][j->result], 1);
}

static void
inbox_on_written(void *inbox, void *change)
{
	struct inbox   *i = inbox;
	struct change  *c = change;
	struct judging *j = i->judging;

	i->judging = NULL;
	if (c->result == RECEIPT_OK) {
		i->pause_ms = 0;
		inbox_tell(i, j);
	}
	judging_free(j);
	if (i->stopping)
		inbox_end(i);
	else if (c->result == RECEIPT_OK)
		timer_set(&i->timer, 0);
	else
		inbox_pause(i);
}

/* -- one at a time --------------------------------------------------------- */

/* 1 = its change is out, 0 = nothing waits, -1 = not now */
static int
inbox_judge(struct inbox *i, struct judging *j, struct err *e)
{
	struct intake_errand next;
	struct bytes	     raw;
	int		     rc;

	rc = spool_next_intake(i->setup.spool, INTAKE_JUDGE, NULL, j->arena,
	    &next, e);
	if (rc <= 0)
		return rc;
	rc = spool_read_intake(i->setup.spool, &next.id, j->arena, &j->row,
	    e);
	if (rc < 0)
		return -1;
	if (rc == 0) {
		/* a step without its message: ended all the same */
		j->row.id = next.id;
		j->result = INTAKE_ERROR;
	} else {
		if (!judging_read_raw(j, &raw, e))
			return -1;
		returned_read(raw, j->row.sender, j->arena, &j->r);
		judging_run(j);
		if (j->trouble && !judging_gives_up(j))
			return err_set(e, "the spool cannot be read");
	}
	return inbox_write(i, j) ? 1 : err_set(e, "the spool is busy");
}

static void
inbox_on_timer(void *inbox, void *unused)
{
	struct inbox   *i = inbox;
	struct judging *j = judging_new(i);
	struct err	e;
	int		rc = inbox_judge(i, j, &e);

	(void)unused;
	if (rc == 1)
		return;
	judging_free(j);
	if (rc < 0) {
		log_error("returned-waits", "reason=\"%s\"", e.text);
		inbox_pause(i);
	}
}
