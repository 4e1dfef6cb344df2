/* SPDX-License-Identifier: ISC */
/* Part of submission/admission.h: what was decided, written down. */
#include "submission/admission.h"

#include <string.h>

#include "mail/address.h"
#include "registry/level.h"

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

static bool
level_on_identity(void *arg, const struct identity *i)
{
	struct quota_domain *out = arg;

	if (i->is_address)
		return true;
	bytes_text(bytes_of(i->account), out->account, sizeof(out->account));
	bytes_text(bytes_of(i->name), out->name, sizeof(out->name));
	return false;
}

int
admission_level(const struct admission_question *q, const struct admission *a,
    struct quota_domain *out, struct err *e)
{
	struct identity *room;
	struct level	 l;
	int		 rc;

	memset(out, 0, sizeof(*out));
	out->max = -1;
	if (!q->conf->reputation.levels)
		return 0;
	room = mem_alloc(sizeof(*room));
	rc = identity_each_covering(q->txn, a->identity.account, a->from,
	    q->now, room, level_on_identity, out, e);
	mem_free(room);
	if (rc < 0 || out->name[0] == '\0')
		return rc < 0 ? -1 : 0;
	if (level_get(q->txn, out->account, out->name, &l, e) < 0)
		return -1;
	out->max = (double)level_limit(&l);
	out->blocked = level_is_blocked(&l, q->now);
	return 0;
}
