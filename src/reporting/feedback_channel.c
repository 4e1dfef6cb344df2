/* SPDX-License-Identifier: ISC */
#include "reporting/feedback_channel.h"

#include "mail/smtp.h"
#include "registry/destination.h"
#include "registry/identity.h"
#include "reporting/event_mail.h"

struct asking {
	const struct event	  *ev;
	struct destination_message message; /* for filters */
	bool			   taken;
};

static bool
asking_on_destination(void *arg, const struct destination *d)
{
	struct asking *a = arg;

	a->taken = d->enabled && d->kind != DESTINATION_METRICS &&
	    destination_wants(d, a->ev) &&
	    destination_filter_passes(&d->filter, a->ev, &a->message);
	return !a->taken;
}

/* The identity may have been deleted since: then nobody switched it off. */
static bool
forwards(struct db_txn *t, const struct mail_row *mail)
{
	struct identity *i = mem_alloc(sizeof(*i));
	char		 account[ACCOUNT_ID_SIZE], name[IDENTITY_NAME_SIZE];
	struct err	 e;
	bool		 on = true;

	bytes_text(mail->identity_account, account, sizeof(account));
	bytes_text(mail->identity, name, sizeof(name));
	if (identity_get(t, account, name, i, &e) == 1)
		on = i->forwarding;
	mem_free(i);
	return on;
}

/* One that is enabled, wants the event and gets it as a record. */
static bool
is_taken(const struct feedback_channel *c, struct db_txn *t, struct arena *a,
    const struct mail_row *mail, const struct event *ev)
{
	struct asking	  asking = { .ev = ev };
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

bool
feedback_channel_is_mail(const struct feedback_channel *c, struct arena *a,
    const struct mail_row *mail, const struct event *ev)
{
	struct err     e;
	struct db_txn *t;
	bool	       is_mail;

	if (mail->identity.n == 0)
		return true;
	t = book_read(c->book, &e);
	is_mail = t == NULL || forwards(t, mail) ||
	    !is_taken(c, t, a, mail, ev);
	book_end(t);
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
