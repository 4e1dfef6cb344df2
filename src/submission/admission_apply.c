/* SPDX-License-Identifier: ISC */
/* Part of submission/admission.h: what was decided, written down. */
#include "submission/admission.h"

#include "mail/address.h"

/* What a queued message keeps of its set (configuration-sets 2.5). */
static bool
apply_set(const struct config_set *s, struct message *m)
{
	m->config_set_id = s->id;
	m->tls_policy = s->require_tls ? MESSAGE_TLS_REQUIRE
				       : MESSAGE_TLS_CONFIGURED;
	m->max_delivery_ms = (int64_t)s->max_delivery_s * 1000;
	return message_set(m, &m->config_set, bytes_of(s->name)) &&
	    message_set(m, &m->pool, bytes_of(s->pool));
}

bool
admission_apply(const struct admission_question *q, const struct admission *a,
    struct message *m)
{
	struct address from;
	/* a null sender goes out as one: nothing may come back */
	const char *mail_from = m->sender.n == 0 ? "" :
	    a->mail_from.use == MAIL_FROM_CUSTOM ? a->mail_from.domain :
	    q->conf->mail_from.default_domain;

	must(a->reply.code == 0 && address_split(a->from, &from));
	m->lists_seen = a->lists_seen;
	return message_set(m, &m->identity, bytes_of(a->identity.name)) &&
	    message_set(m, &m->identity_account,
		bytes_of(a->identity.account)) &&
	    message_set(m, &m->from_domain, from.domain) &&
	    message_set(m, &m->forward, a->forward) &&
	    (!a->has_set || apply_set(&a->set, m)) &&
	    message_set(m, &m->mail_from_domain, bytes_of(mail_from));
}

/* -- limits --------------------------------------------------------------- */

void
admission_limits(const struct account *a, const struct credential *c,
    struct quota_limits *out)
{
	quota_limits_init(out);
	bytes_text(bytes_of(a->id), out->account, sizeof(out->account));
	out->account_values = (struct quota_values){ a->max_24h, a->rate,
		a->burst };
	if (c == NULL)
		return;
	bytes_text(bytes_of(c->name), out->credential,
	    sizeof(out->credential));
	out->credential_values = (struct quota_values){ c->limits.max_24h,
		c->limits.rate, 0 };
}
