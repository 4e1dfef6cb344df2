/* SPDX-License-Identifier: ISC */
#include "reporting/feedback_channel.h"

#include <string.h>

#include "mail/smtp.h"
#include "registry/destination.h"
#include "registry/identity.h"
#include "reporting/event_mail.h"
#include "reporting/withdrawal.h"

struct asking {
	struct db_txn		  *txn;
	const struct event	  *ev;
	struct destination_message message; /* for filters */
	bool			   taken;
};

/* What cannot be read takes nothing. */
static bool
topic_takes(struct db_txn *t, const struct topic_ref *topic,
    const char *account, const struct event *ev)
{
	enum topic_state state;
	struct err	 e;

	return topic_look(t, topic, account, ev, &state, &e) == 0 &&
	    state == TOPIC_WORKS;
}

static bool
asking_on_destination(void *arg, const struct destination *d)
{
	struct asking *a = arg;

	a->taken = d->enabled && d->kind != DESTINATION_METRICS &&
	    destination_wants(d, a->ev) &&
	    destination_filter_passes(&d->filter, a->ev, &a->message) &&
	    (d->kind != DESTINATION_TOPIC ||
		topic_takes(a->txn, &d->topic, d->account, a->ev));
	return !a->taken;
}

/* The identity may have been deleted since: then nobody switched it off. */
static bool
forwards(struct db_txn *t, const struct withdrawal_case *c)
{
	struct identity *i = mem_alloc(sizeof(*i));
	struct err	 e;
	bool		 on = true;

	if (identity_get(t, c->account, c->identity, i, &e) == 1)
		on = i->forwarding;
	mem_free(i);
	return on;
}

/* One that is enabled, wants the event and gets it as a record. */
static bool
set_takes(const struct feedback_channel *c, struct db_txn *t,
    struct arena *a, const struct mail_row *mail, const struct event *ev)
{
	struct asking	  asking = { .txn = t, .ev = ev };
	struct mail_row	  row;
	struct event_mail shown;
	struct err	  e;

	if (config_set_id_is_none(&mail->config_set_id) ||
	    event_mail_find(c->spool, c->conf, &ev->message, a, &row, &shown,
		&e) != 1)
		return false;
	event_mail_ask(c->conf, &row, &shown, &asking.message);
	return destination_each(t, &mail->config_set_id,
	    asking_on_destination, &asking, &e) >= 0 && asking.taken;
}

/* The topic of the identity that the event goes to, in of->topic; and whether
 * that is dead. */
static bool
identity_takes(struct db_txn *t, const struct event *ev,
    struct withdrawal_case *of, bool *is_dead)
{
	struct notification	      *n = mem_alloc(sizeof(*n));
	const struct notification_way *w = NULL;
	enum topic_state	       state = TOPIC_SILENT;
	struct err		       e;

	if (notification_get(t, of->account, of->identity, n, &e) == 1)
		w = notification_takes(n, ev);
	if (w != NULL) {
		of->topic = w->topic;
		(void)notification_kind_of(ev->type, &of->kind);
		if (topic_look(t, &w->topic, of->account, ev, &state, &e) < 0)
			state = TOPIC_SILENT;
	}
	mem_free(n);
	*is_dead = state == TOPIC_DEAD;
	return state == TOPIC_WORKS;
}

bool
feedback_channel_is_mail(const struct feedback_channel *c, struct arena *a,
    const struct mail_row *mail, const struct event *ev)
{
	struct withdrawal_case of;
	struct err	       e;
	struct db_txn	      *t;
	bool		       is_mail, is_taken, is_dead = false;

	if (mail->identity.n == 0)
		return true;
	memset(&of, 0, sizeof(of));
	bytes_text(mail->identity_account, of.account, sizeof(of.account));
	bytes_text(mail->identity, of.identity, sizeof(of.identity));
	t = book_read(c->book, &e);
	if (t == NULL)
		return true;
	is_taken = identity_takes(t, ev, &of, &is_dead);
	is_mail = forwards(t, &of) ||
	    (!is_taken && !set_takes(c, t, a, mail, ev));
	book_end(t);
	if (is_dead && c->withdrawal != NULL)
		withdrawal_begin(c->withdrawal, &of);
	return is_mail;
}

const struct dsn_wish *
feedback_channel_wish(const struct mail_row *mail, struct bytes recipient)
{
	unsigned i;

	for (i = 0; mail->wishes != NULL && i < mail->recipient_count; i++)
		if (bytes_eq(mail->recipients[i], recipient))
			return &mail->wishes[i];
	return NULL;
}

bool
feedback_channel_is_wanted(const struct dsn_wish *w)
{
	return w == NULL || w->notify == 0 || (w->notify & DSN_FAILURE) != 0;
}
