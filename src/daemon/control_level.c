/* SPDX-License-Identifier: ISC */
/* Sender-domain levels (reputation.md 6). */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/control_stats.h"
#include "registry/quota.h"
#include "reporting/levels.h"

/* The figures of 6.2; a part of nothing is null. */
static json_t *
level_figures_json(const struct level_figures *f)
{
	double sent = (double)f->sent, delivered = (double)f->delivered;

	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "Sent",
	    (json_int_t)f->sent, "InvalidAddressRate",
	    json_of_ratio((double)f->invalid, sent), "Deliverability",
	    json_of_ratio(delivered, sent), "SpamBounceRate",
	    json_of_ratio((double)f->spam, sent), "ComplaintRate",
	    json_of_ratio((double)f->complaints, delivered), "OpenRate",
	    json_of_ratio((double)f->opened, (double)f->tracked));
}

int
control_show_level(struct request *q, struct db_txn *t, const char *domain)
{
	struct level	  l;
	struct level_days d;
	double		  sent;

	if (!q->conf->reputation.levels)
		return 0;
	if (level_get(t, q->account.id, domain, &l, &q->err) < 0 ||
	    levels_read_days(q->relay->spool, q->account.id, domain, q->now,
		&d, &q->err) < 0 ||
	    quota_domain_sent(q->relay->spool, q->account.id, domain, q->now,
		&sent, &q->err) < 0)
		return -1;
	request_set(q, "Level", json_integer((json_int_t)l.level));
	request_set(q, "DailyLimit",
	    json_integer((json_int_t)level_limit(&l)));
	request_set(q, "AcceptedToday", json_integer((json_int_t)sent));
	request_set(q, "LevelBlocked",
	    json_boolean(level_is_blocked(&l, q->now)));
	request_set(q, "LevelFigures",
	    level_figures_json(&d.v[LEVEL_DAYS - 1]));
	return 0;
}

/* -- identity level set ---------------------------------------------------- */

/* A whole number of at most twelve digits; 0 = none. */
static uint64_t
level_number(const char *text)
{
	size_t n = text == NULL ? 0 : strspn(text, "0123456789");

	return n == 0 || n > 12 || text[n] != '\0' ? 0
	    : strtoull(text, NULL, 10);
}

static int
level_set_write(struct request *q, struct db_txn *t)
{
	const char     *given = arg_text(q, "name");
	char		name[IDENTITY_NAME_SIZE];
	struct identity i;
	struct level   *l = q->state;
	int		rc;

	if (!identity_normalize(given, name, &q->err))
		return -1;
	rc = identity_get(t, q->account.id, name, &i, &q->err);
	if (rc < 0)
		return -1;
	if (rc == 0 || i.is_address)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such domain identity: %.300s", name);
	if (level_get(t, q->account.id, i.name, l, &q->err) < 0 ||
	    level_set(l, level_number(arg_text(q, "level")), q->now,
		&q->err) != 0)
		return -1;
	request_would(q, "set the level of %s to %u: %llu recipients a day",
	    i.name, l->level, (unsigned long long)level_limit(l));
	return level_put(t, l, &q->err);
}

static void
level_after_set(struct request *q)
{
	const struct level *l = q->state;

	log_warn("domain-level", "account=%s domain=%s new=%u limit=%llu "
	    "by=operator", l->account, l->domain, l->level,
	    (unsigned long long)level_limit(l));
	if (!q->conf->reputation.levels)
		request_warn(q, "levels are off: reputation.levels");
	request_end(q);
}

static void
level_set_run(struct request *q)
{
	if (arg_text(q, "name") == NULL) {
		(void)request_misuse(q, "the name of a domain is needed");
		request_end(q);
		return;
	}
	request_state(q, sizeof(struct level), NULL);
	request_write(q, level_set_write, level_after_set);
}

const struct command control_level_commands[] = {
	{ "identity level set", NEED_OPERATOR, SCOPE_ACCOUNT,
	    "IdentityLevelSet", "identity", level_set_run },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};
