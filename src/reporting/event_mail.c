/* SPDX-License-Identifier: ISC */
#include "reporting/event_mail.h"

#include <string.h>

/* What holds for the message as a whole, then its own tags; none without a
 * configuration set, which would publish them. */
static bool
event_mail_tags(const struct mail_row *row, struct arena *a,
    struct event_mail *out)
{
	const struct message_tag automatic[] = {
		{ BYTES("ses:configuration-set"), row->config_set },
		{ BYTES("ses:source-ip"), row->client_ip },
		{ BYTES("ses:from-domain"), row->from_domain },
		{ BYTES("ses:caller-identity"), row->credential },
		{ BYTES("ses:source-tls-version"), row->tls_version },
		{ BYTES("ses:operation"),
		    bytes_eq_text(row->listener, "control") ?
			BYTES("SendRawEmail") : BYTES("SendSmtpEmail") },
	};
	enum { AUTOMATIC = sizeof(automatic) / sizeof(automatic[0]) };
	struct message_tag *tags;
	size_t i, n = 0;

	if (row->config_set.n == 0)
		return true;
	tags = arena_alloc(a, (AUTOMATIC + row->tag_count) * sizeof(*tags));
	if (tags == NULL)
		return false;
	for (i = 0; i < AUTOMATIC; i++)
		if (automatic[i].value.n > 0)
			tags[n++] = automatic[i];
	for (i = 0; i < row->tag_count; i++)
		tags[n++] = row->tags[i];
	out->tags = tags;
	out->tag_count = n;
	return true;
}

/* Texts that the row has in another form. */
static bool
event_mail_names(const struct conf *c, const struct mail_row *row,
    struct arena *a, struct event_mail *out)
{
	char id[MSGID_TEXT + 1];

	msgid_to_text(&row->id, c->server.id_prefix, 0, id);
	out->message_id = arena_bytes(a, bytes_of(id));
	out->account = arena_bytes(a, bytes_of(row->account));
	out->region = arena_bytes(a, bytes_of(c->server.region));
	out->source_arn = BYTES("");
	if (row->identity.n > 0)
		out->source_arn = bytes_of(arena_printf(a,
		    "arn:aws:ses:%s:%.*s:identity/%.*s", c->server.region,
		    (int)row->identity_account.n, row->identity_account.p,
		    (int)row->identity.n, row->identity.p));
	return out->message_id.p != NULL && out->account.p != NULL &&
	    out->region.p != NULL && out->source_arn.p != NULL;
}

int
event_mail_find(struct spool *s, const struct conf *c, const struct msgid *id,
    struct arena *a, struct mail_row *row, struct event_mail *out,
    struct err *e)
{
	int rc = spool_read_mail(s, id, a, row, e);

	if (rc <= 0)
		return rc;
	memset(out, 0, sizeof(*out));
	if (!event_mail_names(c, row, a, out) ||
	    !event_mail_tags(row, a, out))
		return err_set(e, "no memory for a record");
	out->accepted = row->accepted;
	out->source = row->sender;
	out->destinations = row->recipients;
	out->destination_count = row->recipient_count;
	out->snapshot = row->snapshot;
	out->source_ip = row->client_ip;
	out->caller = row->credential;
	out->access_key_id = row->access_key;
	return 1;
}

static bool
is_simulated(const struct conf *c, const struct mail_row *row)
{
	struct bytes address;
	unsigned     i;
	size_t	     at;

	for (i = 0; i < row->recipient_count; i++) {
		address = row->recipients[i];
		at = address.n;
		while (at > 0 && address.p[at - 1] != '@')
			at--;
		if (!conf_is_simulator(c, bytes_from(address, at)))
			return false;
	}
	return row->recipient_count > 0;
}

void
event_mail_ask(const struct conf *c, const struct mail_row *row,
    const struct event_mail *mail, struct destination_message *out)
{
	out->identity = row->identity;
	out->recipients = row->recipients;
	out->recipient_count = row->recipient_count;
	out->tags = mail->tags;
	out->tag_count = mail->tag_count;
	out->is_simulated = is_simulated(c, row);
}
