/* SPDX-License-Identifier: ISC */
#include "reporting/feedback_channel.h"

#include "mail/smtp.h"
#include "registry/destination.h"
#include "registry/identity.h"

struct asking {
	const struct event *ev;
	bool		    taken;
};

static bool
asking_on_destination(void *arg, const struct destination *d)
{
	struct asking *a = arg;

	a->taken = destination_wants(d, a->ev);
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

bool
feedback_channel_is_mail(struct book *b, const struct mail_row *mail,
    const struct event *ev)
{
	struct asking  a = { ev, false };
	struct err     e;
	struct db_txn *t = book_read(b, &e);
	bool	       is_mail = true;

	if (t == NULL)
		return true;
	if (mail->identity.n > 0 && !forwards(t, mail) &&
	    !config_set_id_is_none(&mail->config_set_id) &&
	    destination_each(t, &mail->config_set_id, asking_on_destination,
		&a, &e) >= 0)
		is_mail = !a.taken;
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
