/* SPDX-License-Identifier: ISC */
/*
 * The recipients on suppression lists: looked at before each attempt, and,
 * where acceptance marked them, before DNS is asked (suppression.md 3).
 */
#include "base/log.h"
#include "delivery/carrier_private.h"
#include "registry/suppression.h"

enum { ROW_ARENA = 64 * 1024 };

/* A book that cannot be read says nothing: the attempt is made. */
static enum suppression_answer
carrier_ask_lists(struct carrier *c, const struct due *d, struct bytes address)
{
	struct suppression_question q;
	enum suppression_answer	    answer = SUPPRESSION_NONE;
	struct db_txn		   *t;
	struct err		    e;

	t = book_read(c->set.book, &e);
	if (t == NULL || suppression_ask(t, d->account, &d->config_set,
			     c->conf, loop_wall(c->loop), &q, &e) < 0) {
		log_error("book-failed", "reason=\"%s\"", e.text);
		book_end(t);
		return answer;
	}
	q.address = address;
	if (suppression_check(t, &q, &answer, &e) < 0)
		log_error("book-failed", "reason=\"%s\"", e.text);
	book_end(t);
	return answer;
}

static void
carrier_log_suppressed(struct carrier *c, const struct due *d,
    const struct recipient_row *row, enum suppression_answer answer)
{
	char mid[MSGID_TEXT + 1], to[LOG_QUOTE_SIZE];

	msgid_to_text(&d->id, c->conf->server.id_prefix, 0, mid);
	log_info("suppressed", "mid=%s rcpt=%u to=%s list=%s reason=%s", mid,
	    d->n, log_quote(row->address, to),
	    answer == SUPPRESSION_GLOBAL ? "global" : "account",
	    suppression_reason_to_text(answer == SUPPRESSION_COMPLAINT ?
		SUPPRESS_COMPLAINT : SUPPRESS_BOUNCE));
}

bool
carrier_refuses(struct carrier *c, struct due *d,
    const struct recipient_row *row)
{
	enum suppression_answer answer;
	struct outcome_context	ctx;
	struct change_item     *item;
	struct arena	       *arena;

	if (d->system)
		return false;
	answer = carrier_ask_lists(c, d, row->address);
	if (answer == SUPPRESSION_NONE)
		return false;
	carrier_context(c, NULL, d->account, &ctx);
	item = carrier_item(c, d, false, d->due, &arena);
	must(outcome_suppress(&ctx, row, answer, arena, item));
	carrier_log_suppressed(c, d, row, answer);
	return true;
}

/* What is not as expected goes the usual way, which sees it again. */
bool
carrier_suppress(struct carrier *c, struct due *d)
{
	struct recipient_row row;
	struct arena	    *arena = arena_new(ROW_ARENA);
	struct err	     e;
	bool		     done;

	done = spool_read_recipient(c->set.spool, &d->id, d->n, arena, &row,
		   &e) == 1 && row.state != ENVELOPE_HELD &&
	    loop_wall(c->loop).ms < row.expires.ms &&
	    carrier_holds(c, d->account, &d->config_set) == 0 &&
	    carrier_refuses(c, d, &row);
	d->suppressed = done;
	arena_free(arena);
	return done;
}
