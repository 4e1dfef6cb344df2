/* SPDX-License-Identifier: ISC */
/* identity check: alignment, and what DMARC makes of all
 * (mail-from-spf-dmarc.md 7). */
#include <stdio.h>
#include <string.h>

#include "daemon/control_check.h"

const struct dmarc_record *
preflight_dmarc(const struct preflight *p)
{
	static const struct dmarc_record none;
	const struct verify_result *r = preflight_result_of(p, p->dmarc);

	return r->outcome == DKIM_MATCH ? &r->dmarc.record : &none;
}

static bool
domains_are_aligned(const struct preflight *p, const char *passed, bool strict)
{
	struct dmarc_domain from = { bytes_of(p->from_domain),
		identity_organisation(bytes_of(p->from_domain)) };
	struct dmarc_domain other = { bytes_of(passed),
		identity_organisation(bytes_of(passed)) };

	return dmarc_is_aligned(&from, &other, strict);
}

bool
preflight_dkim_is_aligned(struct preflight *p)
{
	return p->has_key && domains_are_aligned(p, p->key.domain,
	    preflight_dmarc(p)->strict_dkim);
}

static bool
spf_is_aligned(struct preflight *p)
{
	return domains_are_aligned(p, p->used,
	    preflight_dmarc(p)->strict_spf);
}

void
preflight_judge_mail_from(struct preflight *p)
{
	json_t *c;

	if (spf_is_aligned(p)) {
		preflight_add(p, "MAILFROM_ALIGNED", CHECK_PASS,
		    "%s is aligned with %s", p->used, p->from_domain);
		return;
	}
	c = preflight_add(p, "MAILFROM_ALIGNED", CHECK_WARN,
	    "MAIL FROM record is not aligned.");
	preflight_mend_spf_alignment(p, c);
}

/* -- the verdict (7.3) ----------------------------------------------------- */

struct verdict_parts {
	bool dkim_passes, dkim_aligned;
	bool spf_passes, spf_aligned; /* from all addresses */
	bool unknown;
};

static void
verdict_read(struct preflight *p, struct verdict_parts *v)
{
	const struct verify_result *r = preflight_result_of(p, p->dkim);
	size_t			    k;

	memset(v, 0, sizeof(*v));
	if (p->signing == SIGNING_KEY && r != NULL) {
		v->dkim_passes = r->outcome == DKIM_MATCH;
		v->unknown |= r->outcome == DKIM_DNS_ERROR;
	}
	v->dkim_aligned = preflight_dkim_is_aligned(p);
	v->spf_passes = p->source_count > 0;
	for (k = 0; k < p->source_count; k++) {
		r = preflight_result_of(p, p->sources[k].used);
		v->spf_passes &= r->outcome == DKIM_MATCH;
		v->unknown |= r->outcome == DKIM_DNS_ERROR;
	}
	v->spf_aligned = spf_is_aligned(p);
}

/* DKIM alone is enough, and the only one that can always be mended. */
static void
mend_verdict(struct preflight *p, const struct verdict_parts *v, json_t *c)
{
	const struct verify_result *r = preflight_result_of(p, p->dkim);
	char			    name[SELECTOR_SIZE + 300];

	if (r != NULL && r->outcome == DKIM_DNS_ERROR) {
		snprintf(name, sizeof(name), "%s._domainkey.%s",
		    p->key.selector, p->key.domain);
		remedy_ask(c, "TXT", name);
	} else if (v->unknown)
		remedy_ask(c, "TXT", p->used);
	else if (p->signing != SIGNING_KEY || !v->dkim_passes)
		preflight_mend_key(p, c);
	else
		preflight_mend_dkim_alignment(p, c);
}

static const char *
part_text(bool passes, bool aligned, bool strict)
{
	if (!passes)
		return "does not pass";
	return !aligned ? "not aligned" : strict ? "aligned strict" :
	    "aligned relaxed";
}

static void
judge_verdict(struct preflight *p, bool inherited, bool has_record)
{
	const struct dmarc_record *d = preflight_dmarc(p);
	enum dmarc_policy	   policy = dmarc_policy_of(d, inherited);
	struct verdict_parts	   v;
	bool			   passes;
	char			   parts[200];
	json_t			  *c;

	verdict_read(p, &v);
	passes = (v.dkim_passes && v.dkim_aligned) ||
	    (v.spf_passes && v.spf_aligned);
	snprintf(parts, sizeof(parts), "DKIM %s; SPF %s%s%s",
	    part_text(v.dkim_passes, v.dkim_aligned, d->strict_dkim),
	    part_text(v.spf_passes, v.spf_aligned, d->strict_spf),
	    has_record ? "), p=" : ")",
	    has_record ? dmarc_policy_to_text(policy) : "");
	c = preflight_add(p, "DMARC_VERDICT", passes ? CHECK_PASS :
		v.unknown ? CHECK_UNKNOWN :
		policy == DMARC_NONE ? CHECK_WARN : CHECK_FAIL,
	    "%s (%s", passes ? "pass" : v.unknown ? "not known" : "fail",
	    parts);
	if (!passes)
		mend_verdict(p, &v, c);
	if (!passes && !v.unknown && policy != DMARC_NONE)
		remedy_reason(c,
		    "mail from this identity will be rejected by DMARC");
	json_object_set_new(json_object_get(c, "Detail"), "Policy",
	    has_record ? json_string(dmarc_policy_to_text(policy)) :
			 json_null());
}

/* The first record of a domain that has none (7.2). */
static void
publish_dmarc(json_t *check, struct bytes at)
{
	char name[300], record[400];

	snprintf(name, sizeof(name), "_dmarc.%.*s", (int)at.n, at.p);
	snprintf(record, sizeof(record), "v=DMARC1;p=none;"
	    "rua=mailto:dmarc@%.*s", (int)at.n, at.p);
	remedy_publish_txt(check, name, bytes_of(record));
}

void
preflight_judge_dmarc(struct preflight *p)
{
	const struct verify_result *r = preflight_result_of(p, p->dmarc);
	bool			    inherited = r->dmarc.inherited;
	struct bytes at = inherited ? identity_organisation(
	    bytes_of(p->from_domain)) : bytes_of(p->from_domain);
	char	name[300];
	json_t *c;

	switch (r->outcome) {
	case DKIM_DNS_ERROR:
		snprintf(name, sizeof(name), "_dmarc.%.*s", (int)at.n, at.p);
		preflight_unknown(p, "DMARC_FOUND", "TXT", name, r);
		return;
	case DKIM_MATCH:
		preflight_add(p, "DMARC_FOUND", CHECK_PASS, "_dmarc.%.*s: %s",
		    (int)at.n, at.p, r->text);
		preflight_add(p, "DMARC_PARSED", CHECK_PASS, "p=%s",
		    dmarc_policy_to_text(dmarc_policy_of(&r->dmarc.record,
			inherited)));
		break;
	case DKIM_MALFORMED:
		preflight_add(p, "DMARC_FOUND", CHECK_PASS, "_dmarc.%.*s: %s",
		    (int)at.n, at.p, r->text);
		c = preflight_add(p, "DMARC_PARSED", CHECK_FAIL,
		    "DMARC configuration could not be parsed.");
		publish_dmarc(c, at);
		break;
	default:
		c = preflight_add(p, "DMARC_FOUND", CHECK_FAIL,
		    "DMARC configuration was not found.");
		publish_dmarc(c, identity_organisation(
		    bytes_of(p->from_domain)));
		break;
	}
	judge_verdict(p, inherited, r->outcome == DKIM_MATCH);
}
