/* SPDX-License-Identifier: ISC */
/*
 * event_mail.h - the message of an event, as records show it: from the row
 * that stays of it to what event_write_json() wants.
 *
 * Use:    event_mail_find(spool, conf, &ev->message, arena, &row, &mail) == 1,
 *         then event_write_json(ev, &mail, &buf).
 * Owner:  texts live in the arena or lend from the row, which must live as
 *         long.
 * Thread: any; the spool is only read.
 * Fails:  0: the message is not known any more; -1 and *e: the store cannot be
 *         read, or the arena has no room.
 *
 * The automatic tags (events.md 3) come first, then those of the message;
 * ses:outgoing-* belong to the event and are added by event_write_json().
 * A message without a configuration set has none: nothing publishes them.
 */
#ifndef REPORTING_EVENT_MAIL_H
#define REPORTING_EVENT_MAIL_H

#include "base/err.h"
#include "mail/event.h"
#include "registry/conf.h"
#include "registry/destination.h"
#include "store/spool.h"

int event_mail_find(struct spool *s, const struct conf *c,
    const struct msgid *id, struct arena *a, struct mail_row *row,
    struct event_mail *out, struct err *e);

/* What filters of destinations ask for. */
void event_mail_ask(const struct conf *c, const struct mail_row *row,
    const struct event_mail *mail, struct destination_message *out);

#endif
