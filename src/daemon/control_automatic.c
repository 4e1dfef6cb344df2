/* SPDX-License-Identifier: ISC */
/* What posthorn decides by itself while it counts and tells events: accounts
 * and sets paused, destinations turned off, topics taken away.  The audit log
 * has it as an act of the system, and the queue follows. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/control_private.h"
#include "daemon/control_sweep.h"
#include "registry/notification.h"
#include "reporting/outbox.h"
#include "reporting/reputation.h"
#include "reporting/withdrawal.h"

/* Takes the parameters. */
static void
audit_automatic(struct control *k, const char *event_name, const char *account,
    json_t *parameters)
{
	char *text = json_dumps(parameters, CONTROL_JSON_FLAGS);
	struct audit_record r = { .at = loop_wall(k->relay->main),
		.event_name = event_name, .account = account,
		.automatic = true, .parameters = bytes_of(text) };

	audit_write(k->relay->audit, &r);
	free(text);
	json_decref(parameters);
}

/* -- pauses ---------------------------------------------------------------- */

static void
switch_audit(struct control *k, const struct reputation_switch *s,
    const struct account *a)
{
	bool	is_set = s->set[0] != '\0';
	json_t *o = is_set ? json_pack("{s:s, s:b}", "configurationSetName",
		s->set, "sendingEnabled", false) : json_pack("{s:b, s:s}",
		"sendingEnabled", a->sending_enabled, "state",
		account_state_to_text(a->review.state));

	if (s->alarm[0] != '\0')
		json_object_set_new(o, "alarm", json_string(s->alarm));
	if (s->reason[0] != '\0')
		json_object_set_new(o, "reason", json_of_text(s->reason));
	audit_automatic(k, is_set ? "PutConfigurationSetSendingOptions"
		: "PutAccountSendingAttributes", s->account, o);
}

void
control_on_switch(struct control *k, const struct reputation_switch *s)
{
	struct account *a = mem_alloc(sizeof(*a));
	struct db_txn  *t;
	struct err	e;

	t = book_read(k->relay->book, &e);
	if (t == NULL || account_get(t, s->account, a, &e) != 1) {
		log_error("book-failed", "account=%s", s->account);
	} else {
		control_follow_account(k, a);
		switch_audit(k, s, a);
	}
	book_end(t);
	mem_free(a);
}

/* -- destinations and topics ----------------------------------------------- */

void
control_on_disabled(struct control *k, const struct outbox_disabled *d)
{
	bool is_topic = d->topic[0] != '\0';

	audit_automatic(k, is_topic ? "SetSubscriptionAttributes"
		: "UpdateConfigurationSetEventDestination", d->account,
	    json_pack("{s:s, s:s, s:b, s:s}",
		is_topic ? "snsTopic" : "configurationSetName",
		is_topic ? d->topic : d->set,
		is_topic ? "subscription" : "eventDestinationName", d->name,
		"enabled", false, "reason", d->reason));
}

void
control_on_withdrawn(struct control *k, const struct withdrawal_case *c)
{
	audit_automatic(k, "SetIdentityNotificationTopic", c->account,
	    json_pack("{s:s, s:s, s:s, s:b}", "identity", c->identity,
		"notificationType", notification_kind_names[c->kind],
		"snsTopic", c->topic.name, "forwardingEnabled", true));
}
