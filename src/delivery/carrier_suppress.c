/* SPDX-License-Identifier: ISC */
/*
 * The recipients on suppression lists: looked at before each attempt, and,
 * where acceptance marked them, before DNS is asked (suppression.md 3).
 */
#include "base/log.h"
#include "delivery/carrier_private.h"
#include "registry/suppression.h"

enum { ROW_ARENA = 64 * 1024 };

/* Reasons from what is known of account and set; false = not known. */
static bool
carrier_question(struct carrier *c, const struct due *d,
    struct suppression_question *q)
{
	struct hold_view v = carrier_view_account(c, d->account);

	suppression_question_init(q, c->conf, loop_wall(c->loop));
	q->account = d->account;
	q->account_reasons = v.reasons;
	if (v.version == 0 || config_set_id_is_none(&d->config_set))
		return v.version != 0;
	v = carrier_view_set(c, &d->config_set);
	q->has_set = v.has_reasons;
	q->set_reasons = v.reasons;
	return v.version != 0;
}

/*
 * Acceptance has looked, and nothing has changed since: most mail is tried
 * that soon.  What it found listed is looked at again for the reason.
 */
static bool
carrier_knows_lists(const struct carrier *c, const struct due *d)
{
	return !d->suppressed && d->lists_seen != 0 &&
	    d->lists_seen == suppression_stamp(book_version(c->set.book),
		c->conf);
}

/* A book that cannot be read says nothing: the attempt is made. */
static enum suppression_answer
carrier_ask_lists(struct carrier *c, const struct due *d, struct bytes address)
{
	struct suppression_question q;
	enum suppression_answer	    answer = SUPPRESSION_NONE;
	struct db_txn		   *t;
	struct err		    e;

	if (carrier_knows_lists(c, d))
		return answer;
	if (!carrier_question(c, d, &q)) {
		log_error("book-failed", "reason=\"account %s cannot be "
		    "read\"", d->account);
		return answer;
	}
	q.address = address;
	t = book_read(c->set.book, &e);
	if (t == NULL || suppression_check(t, &q, &answer, &e) < 0)
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
	if (!done) /* why not may be over before the attempt */
		d->lists_seen = 0;
	arena_free(arena);
	return done;
}
