/* SPDX-License-Identifier: ISC */
/*
 * identity check: what mends a finding, where that depends on how things
 * stand: a record that is missing, one that is there but is not looked for
 * any more, a switch.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/control_check.h"

/* Nobody looks for the records of it any more. */
static bool
status_is_over(enum identity_status s)
{
	return s == IDENTITY_FAILED || s == IDENTITY_NOT_STARTED;
}

static void
run_identity(json_t *check, const char *command, const char *name)
{
	char word[REMEDY_WORD_SIZE];

	remedy_run(check, "posthornctl %s %s", command,
	    remedy_word(name, word));
}

static void
then_identity(json_t *check, const char *command, const char *name)
{
	char word[REMEDY_WORD_SIZE];

	remedy_then(check, "posthornctl %s %s", command,
	    remedy_word(name, word));
}

/* "www.example.com": mail is sent from what is above it. */
static const char *
domain_of_mail(const char *name)
{
	char warning[600];

	return identity_name_warning(name, warning)[0] != '\0' ?
		name + strlen("www.") : name;
}

void
preflight_note_zone(const struct preflight *p, json_t *check,
    const char *name)
{
	struct bytes own = identity_organisation(bytes_of(p->from_domain));

	if (!bytes_eq_nocase(identity_organisation(bytes_of(name)), own))
		remedy_note(check, "it is not in the zone of %.*s: the "
		    "operator of this installation publishes it", (int)own.n,
		    own.p);
}

/* -- DKIM ------------------------------------------------------------------ */

void
preflight_mend_signing(struct preflight *p, json_t *check)
{
	if (p->signing == SIGNING_DISABLED)
		run_identity(check, "dkim enable", p->decided_by);
	else if (p->signing == SIGNING_NOT_VERIFIED)
		run_identity(check, "dkim managed", p->decided_by);
	else
		run_identity(check, "identity add",
		    domain_of_mail(p->from_domain));
}

void
preflight_publish_key(struct preflight *p, json_t *check,
    const struct dkim_key *k, const struct verify_result *r)
{
	const char *base = p->q->conf->dkim.cname_base;
	char	    name[SELECTOR_SIZE + 300];
	json_t	   *record;

	snprintf(name, sizeof(name), "%s._domainkey.%s", k->selector,
	    k->domain);
	if (p->key_is_cname && r->outcome != DKIM_OPERATOR_ZONE) {
		remedy_publish(check, name, "CNAME", "%s.%s", k->selector,
		    base);
		return;
	}
	/* theirs leads to ours, and that is not there */
	if (p->key_is_cname)
		snprintf(name, sizeof(name), "%s.%.254s", k->selector, base);
	record = dkim_record_json(k);
	remedy_publish_txt(check, name, bytes_of(json_string_value(record)));
	json_decref(record);
	preflight_note_zone(p, check, name);
}

void
preflight_mend_key(struct preflight *p, json_t *check)
{
	const struct verify_result *r = preflight_result_of(p, p->dkim);

	if (!p->has_key || r == NULL) {
		preflight_mend_signing(p, check);
	} else if (r->outcome != DKIM_MATCH) {
		preflight_publish_key(p, check, &p->key, r);
		if (!p->key.previous && status_is_over(p->key_status))
			then_identity(check, "dkim verify", p->key.domain);
	} else if (p->key_is_cname) {
		remedy_reason(check, "that of %s is right; the records of all "
		    "three selectors have to be there", p->key.selector);
		run_identity(check, "identity dns-records", p->key.domain);
		then_identity(check, "dkim verify", p->key.domain);
	} else
		run_identity(check, "dkim verify", p->key.domain);
}

/* -- the identity ---------------------------------------------------------- */

void
preflight_mend_identity(struct preflight *p, json_t *check)
{
	char name[IDENTITY_NAME_SIZE + 16];

	if (!p->is_there) {
		run_identity(check, "identity add", domain_of_mail(p->name));
	} else if (identity_may_send(&p->i, p->q->now)) {
		run_identity(check, "identity add", p->from_domain);
	} else if (p->i.is_address) {
		run_identity(check, "identity resend", p->name);
	} else if (p->i.token_text[0] != '\0' &&
	    p->i.method == METHOD_TOKEN) {
		snprintf(name, sizeof(name), "_posthorn.%s", p->name);
		remedy_publish_txt(check, name, bytes_of(p->i.token_text));
		if (status_is_over(p->i.token.status))
			then_identity(check, "identity verify", p->name);
	} else if (p->has_key && strcmp(p->key.domain, p->name) == 0) {
		preflight_mend_key(p, check);
	} else {
		run_identity(check, "identity dns-records", p->name);
		then_identity(check, "identity verify", p->name);
	}
}

/* -- alignment ------------------------------------------------------------- */

/* The DMARC record that holds, but with relaxed alignment. */
static void
publish_relaxed(struct preflight *p, json_t *check, const char *tag)
{
	const struct verify_result *r = preflight_result_of(p, p->dmarc);
	struct bytes at = r->dmarc.inherited ? identity_organisation(
	    bytes_of(p->from_domain)) : bytes_of(p->from_domain);
	struct buf   record;
	char	     name[300];

	buf_init(&record, 2 * VERIFY_RECORD_SIZE);
	dmarc_relax(bytes_of(r->text), tag, &record);
	snprintf(name, sizeof(name), "_dmarc.%.*s", (int)at.n, at.p);
	remedy_publish_txt(check, name, buf_bytes(&record));
	buf_wipe(&record);
}

void
preflight_mend_dkim_alignment(struct preflight *p, json_t *check)
{
	if (preflight_dmarc(p)->strict_dkim) {
		remedy_reason(check, "adkim=s: d=%s is not %s, which could "
		    "have a key of its own (posthornctl identity add %s)",
		    p->key.domain, p->from_domain, p->from_domain);
		publish_relaxed(p, check, "adkim");
	} else
		run_identity(check, "identity add", p->from_domain);
}

void
preflight_mend_spf_alignment(struct preflight *p, json_t *check)
{
	const char *of = p->covered_by[0] != '\0' ? p->covered_by : p->name;
	const char *at = strrchr(of, '@');
	char	    word[REMEDY_WORD_SIZE], set[REMEDY_WORD_SIZE + 400];

	if (preflight_dmarc(p)->strict_spf) {
		remedy_reason(check, "aspf=s: a MAIL FROM domain is always a "
		    "subdomain, so only DKIM can be aligned");
		publish_relaxed(p, check, "aspf");
		return;
	}
	remedy_reason(check, "mail goes out with %s", p->used);
	snprintf(set, sizeof(set), "posthornctl identity mail-from set %s "
	    "mail.%s", remedy_word(of, word), at != NULL ? at + 1 : of);
	if (strcmp(p->mail_from, p->used) != 0) {
		preflight_mend_use(p, check);
	} else if (!p->may_send) {
		preflight_mend_identity(p, check);
		remedy_reason(check, "mail goes out with %s; once the "
		    "identity is verified: %s", p->used, set);
	} else
		remedy_run(check, "%s", set);
}

/* -- the MAIL FROM domain -------------------------------------------------- */

void
preflight_mend_mx(struct preflight *p, json_t *check)
{
	const struct conf	   *c = p->q->conf;
	const struct verify_result *mx = preflight_result_of(p, p->mx);
	const struct verify_result *host = preflight_result_of(p, p->host);
	size_t			    i;

	if (mx->outcome != DKIM_MATCH) {
		preflight_mend_use(p, check);
		return;
	}
	if (host->outcome != DKIM_MATCH) {
		remedy_publish_feedback(check, c);
		return;
	}
	for (i = 0; i < c->listener_count; i++)
		if (c->listeners[i].enabled &&
		    (c->listeners[i].roles & CONF_ROLE_INTAKE) != 0) {
			remedy_run(check, "posthornctl doctor");
			return;
		}
	remedy_set_intake(check, c);
}

void
preflight_mend_use(struct preflight *p, json_t *check)
{
	const struct verify_result *mx = preflight_result_of(p, p->mx);

	if (mx->outcome == DKIM_MATCH) {
		run_identity(check, "identity mail-from verify",
		    p->choice.identity);
		return;
	}
	remedy_publish(check, p->mail_from, "MX", "10 %s",
	    p->q->conf->mail_from.mx_host);
	preflight_note_zone(p, check, p->mail_from);
	if (strcmp(p->mail_from, p->q->conf->mail_from.default_domain) != 0 &&
	    status_is_over(p->mail_from_status))
		then_identity(check, "identity mail-from verify",
		    p->choice.identity);
}

/* -- the EHLO name --------------------------------------------------------- */

/* All that say it: one record would take the other's place. */
void
preflight_publish_helo(struct preflight *p, json_t *check,
    const struct preflight_source *s)
{
	struct buf record;
	size_t	   k;

	buf_init(&record, 80 * (PREFLIGHT_SOURCES_MAX + 1));
	buf_add_text(&record, "v=spf1");
	for (k = 0; k < p->source_count; k++)
		if (bytes_eq_nocase(bytes_of(p->sources[k].ehlo),
			bytes_of(s->ehlo)))
			buf_printf(&record, " %s:%s",
			    strchr(p->sources[k].address, ':') != NULL ?
				"ip6" : "ip4", p->sources[k].address);
	buf_add_text(&record, " -all");
	remedy_publish_txt(check, s->ehlo, buf_bytes(&record));
	preflight_note_zone(p, check, s->ehlo);
	buf_wipe(&record);
}
