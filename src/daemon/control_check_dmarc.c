/* SPDX-License-Identifier: ISC */
/* identity check: alignment, and what DMARC makes of all
 * (mail-from-spf-dmarc.md 7). */
#include <stdio.h>
#include <string.h>

#include "daemon/control_check.h"

/* The record that holds; without one all is relaxed. */
static const struct dmarc_record *
dmarc_record_of(const struct preflight *p)
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
	    dmarc_record_of(p)->strict_dkim);
}

static bool
spf_is_aligned(struct preflight *p)
{
	return domains_are_aligned(p, p->used,
	    dmarc_record_of(p)->strict_spf);
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
	if (dmarc_record_of(p)->strict_spf)
		preflight_reason(c, "aspf=s: a MAIL FROM domain is always a "
		    "subdomain, so only DKIM can be aligned");
	else
		preflight_reason(c, "mail goes out with %s; posthornctl "
		    "identity mail-from set %s", p->used, p->name);
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
	const struct dmarc_record *d = dmarc_record_of(p);
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
	if (!passes && !v.unknown && policy != DMARC_NONE)
		preflight_reason(c,
		    "mail from this identity will be rejected by DMARC");
	json_object_set_new(json_object_get(c, "Detail"), "Policy",
	    has_record ? json_string(dmarc_policy_to_text(policy)) :
			 json_null());
}

void
preflight_judge_dmarc(struct preflight *p)
{
	const struct verify_result *r = preflight_result_of(p, p->dmarc);
	bool			    inherited = r->dmarc.inherited;
	struct bytes at = inherited ? identity_organisation(
	    bytes_of(p->from_domain)) : bytes_of(p->from_domain);
	json_t *c;

	switch (r->outcome) {
	case DKIM_DNS_ERROR:
		preflight_add(p, "DMARC_FOUND", CHECK_UNKNOWN,
		    "_dmarc.%.*s: %s", (int)at.n, at.p, r->hint);
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
		preflight_hint(c, "_dmarc.%.*s TXT \"v=DMARC1;p=none;"
		    "rua=mailto:dmarc@%.*s\"", (int)at.n, at.p, (int)at.n,
		    at.p);
		break;
	default:
		c = preflight_add(p, "DMARC_FOUND", CHECK_FAIL,
		    "DMARC configuration was not found.");
		at = identity_organisation(bytes_of(p->from_domain));
		preflight_hint(c, "_dmarc.%.*s TXT \"v=DMARC1;p=none;"
		    "rua=mailto:dmarc@%.*s\"", (int)at.n, at.p, (int)at.n,
		    at.p);
		break;
	}
	judge_verdict(p, inherited, r->outcome == DKIM_MATCH);
}
