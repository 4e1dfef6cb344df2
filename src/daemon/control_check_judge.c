/* SPDX-License-Identifier: ISC */
/* identity check: what the answers mean, in the order of the table in
 * mail-from-spf-dmarc.md 9.1. */
#include <stdio.h>
#include <string.h>

#include "daemon/control_check.h"
#include "registry/spf_state.h"

enum { LONG_BITS = 2048 };

/* -- findings -------------------------------------------------------------- */

static const struct {
	const char *id, *type, *impact;
} checks[] = {
	{ "IDENTITY", "IDENTITY", "HIGH" },
	{ "DKIM_ENABLED", "DKIM", "HIGH" },
	{ "DKIM_STATUS", "DKIM", "HIGH" },
	{ "DKIM_RECORD", "DKIM", "HIGH" },
	{ "DKIM_KEY_LENGTH", "DKIM", "LOW" },
	{ "DKIM_ALIGNED", "DKIM", "HIGH" },
	{ "MAILFROM_MX", "MAIL_FROM", "HIGH" },
	{ "MAILFROM_ALIGNED", "MAIL_FROM", "LOW" },
	{ "SPF_FOUND", "SPF", "HIGH" },
	{ "SPF_INCLUDES", "SPF", "HIGH" },
	{ "SPF_ALL", "SPF", "LOW" },
	{ "SPF_ISSUE", "SPF", "HIGH" },
	{ "SPF_HELO", "SPF", "LOW" },
	{ "DMARC_FOUND", "DMARC", "HIGH" },
	{ "DMARC_PARSED", "DMARC", "HIGH" },
	{ "DMARC_VERDICT", "DMARC", "HIGH" },
	{ "FROM_DOMAIN_MX", "FROM", "LOW" },
	{ "WWW", "IDENTITY", "LOW" },
};

static json_t *
check_text(const char *fmt, va_list ap)
{
	char text[2400];

	vsnprintf(text, sizeof(text), fmt, ap);
	return json_of_bytes(bytes_of(text));
}

json_t *
preflight_add(struct preflight *p, const char *id, enum preflight_result r,
    const char *fmt, ...)
{
	static const char *const words[] = { "PASS", "WARN", "FAIL",
		"UNKNOWN" };
	json_t *c;
	va_list ap;
	size_t	k = 0;

	while (strcmp(checks[k].id, id) != 0)
		must(++k < sizeof(checks) / sizeof(checks[0]));
	va_start(ap, fmt);
	c = json_pack("{s:s, s:s, s:s, s:s, s:o, s:{}}", "Id", id, "Result",
	    words[r], "Impact", r == CHECK_WARN ? "LOW" : checks[k].impact,
	    "Type", checks[k].type, "Description", check_text(fmt, ap),
	    "Detail");
	va_end(ap);
	json_array_append_new(json_object_get(p->q->result, "Checks"), c);
	return c;
}

void
preflight_hint(json_t *check, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_object_set_new(check, "Hint", check_text(fmt, ap));
	va_end(ap);
}

void
preflight_reason(json_t *check, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_object_set_new(json_object_get(check, "Detail"), "Reason",
	    check_text(fmt, ap));
	va_end(ap);
}

static void
check_unknown(struct preflight *p, const char *id, const char *what,
    const struct verify_result *r)
{
	preflight_add(p, id, CHECK_UNKNOWN, "%s: %s", what,
	    r->hint[0] != '\0' ? r->hint : "DNS does not answer");
}

/* -- identity and DKIM ----------------------------------------------------- */

static void
judge_identity(struct preflight *p)
{
	const char *status = identity_status_to_text(identity_status(&p->i));
	json_t	   *c;

	if (p->covered_by[0] != '\0')
		preflight_add(p, "IDENTITY", CHECK_PASS,
		    "%s may send as part of %s", p->from, p->covered_by);
	else if (p->may_send)
		preflight_add(p, "IDENTITY", CHECK_PASS, "%s is %s", p->name,
		    status);
	else if (p->is_there)
		preflight_add(p, "IDENTITY", CHECK_FAIL,
		    "identity %s is not verified (%s)", p->name, status);
	else {
		c = preflight_add(p, "IDENTITY", CHECK_FAIL,
		    "no such identity: %s", p->name);
		preflight_reason(c, "posthornctl identity add %s", p->name);
	}
}

/* What is found of a key; without the Ed25519 one RSA signs alone. */
static void
judge_key_record(struct preflight *p, const struct dkim_key *k,
    const struct verify_result *r)
{
	bool	is_second = k == &p->second;
	json_t *c, *record;
	char	name[400];

	snprintf(name, sizeof(name), "%s._domainkey.%s", k->selector,
	    k->domain);
	if (r->outcome == DKIM_DNS_ERROR) {
		check_unknown(p, "DKIM_RECORD", name, r);
		return;
	}
	if (r->outcome == DKIM_MATCH) {
		if (k->ed25519)
			c = preflight_add(p, "DKIM_RECORD", CHECK_PASS,
			    "%s matches, Ed25519", name);
		else
			c = preflight_add(p, "DKIM_RECORD", CHECK_PASS,
			    "%s matches, RSA %u", name, k->bits);
		if (r->warning[0] != '\0')
			preflight_reason(c, "%s", r->warning);
		return;
	}
	c = preflight_add(p, "DKIM_RECORD", is_second ? CHECK_WARN :
	    CHECK_FAIL, "%sDKIM record was not found.",
	    is_second ? "Ed25519 " : "");
	preflight_reason(c, "%s: %s%s%s", name,
	    dkim_outcome_to_text(r->outcome), r->hint[0] != '\0' ? ", " : "",
	    r->hint);
	record = dkim_record_json(k);
	if (p->key_is_cname)
		preflight_hint(c, "%s CNAME %s.%s", name, k->selector,
		    p->q->conf->dkim.cname_base);
	else
		preflight_hint(c, "%s TXT \"%s\"", name,
		    json_string_value(record));
	json_decref(record);
}

static void
judge_key_length(struct preflight *p)
{
	json_t *c;

	if (p->key.ed25519) {
		c = preflight_add(p, "DKIM_KEY_LENGTH", CHECK_PASS, "Ed25519");
		preflight_reason(c, "receivers without RFC 8463 support will "
		    "treat this mail as unsigned");
	} else if (p->key.bits < LONG_BITS) {
		preflight_add(p, "DKIM_KEY_LENGTH", CHECK_WARN,
		    "DKIM signing key length is below 2048 bits.");
	} else {
		preflight_add(p, "DKIM_KEY_LENGTH", CHECK_PASS, "%u bits",
		    p->key.bits);
	}
}

static void
judge_dkim(struct preflight *p)
{
	json_t *c;

	if (p->signing == SIGNING_DISABLED ||
	    p->signing == SIGNING_NO_IDENTITY) {
		c = preflight_add(p, "DKIM_ENABLED", CHECK_FAIL,
		    "DKIM verification is not enabled.");
		preflight_reason(c, "%s; receivers show \"via %s\" unless "
		    "the MAIL FROM domain is of the From domain",
		    p->signing == SIGNING_DISABLED ? "signing is switched off"
			: "no identity with a key covers the address",
		    p->q->conf->server.domain);
		return;
	}
	preflight_add(p, "DKIM_ENABLED", CHECK_PASS, "signing is on");
	if (p->signing == SIGNING_KEY)
		preflight_add(p, "DKIM_STATUS", CHECK_PASS, "%s signs with "
		    "selector %s", p->key.domain, p->key.selector);
	else
		preflight_add(p, "DKIM_STATUS", CHECK_FAIL,
		    "DKIM verification has failed.");
	if (!p->has_key)
		return;
	judge_key_record(p, &p->key, preflight_result_of(p, p->dkim));
	if (p->has_second)
		judge_key_record(p, &p->second,
		    preflight_result_of(p, p->dkim_second));
	judge_key_length(p);
	if (preflight_dkim_is_aligned(p))
		preflight_add(p, "DKIM_ALIGNED", CHECK_PASS,
		    "d=%s is aligned with %s", p->key.domain, p->from_domain);
	else
		preflight_add(p, "DKIM_ALIGNED", CHECK_FAIL,
		    "DKIM record is not aligned.");
}

/* -- the MAIL FROM domain -------------------------------------------------- */

/* What is wrong with the MX or its host; "" = nothing, NULL = not known. */
static const char *
mx_trouble(const struct preflight *p, char out[700])
{
	const struct verify_result *mx = preflight_result_of(p, p->mx);
	const struct verify_result *host = preflight_result_of(p, p->host);
	const char *name = p->q->conf->mail_from.mx_host;

	out[0] = '\0';
	if (mx->outcome == DKIM_DNS_ERROR)
		return NULL;
	if (mx->outcome != DKIM_MATCH)
		snprintf(out, 700, "%s: %s", mail_from_outcome_to_text(
		    mx->outcome), mx->hint);
	else if (host->outcome == DKIM_DNS_ERROR)
		return NULL;
	else if (host->outcome != DKIM_MATCH)
		snprintf(out, 700, "%s has no address", name);
	else if (p->is_tried && !p->is_greeted)
		snprintf(out, 700, "port 25 of %s does not greet: %s", name,
		    p->said);
	return out;
}

static void
judge_mx(struct preflight *p)
{
	const struct verify_result *mx = preflight_result_of(p, p->mx);
	const char *host = p->q->conf->mail_from.mx_host;
	const char *why;
	char	    room[700];
	json_t	   *c;

	why = mx_trouble(p, room);
	if (why == NULL) {
		check_unknown(p, "MAILFROM_MX", p->mail_from,
		    mx->outcome == DKIM_DNS_ERROR ? mx :
			preflight_result_of(p, p->host));
	} else if (why[0] != '\0') {
		c = preflight_add(p, "MAILFROM_MX", CHECK_FAIL,
		    "MAIL FROM MX record is not correct.");
		preflight_reason(c, "%s", why);
		preflight_hint(c, "%s MX 10 %s", p->mail_from, host);
	} else {
		c = preflight_add(p, "MAILFROM_MX", CHECK_PASS, "%s MX %s%s",
		    p->mail_from, host, p->is_greeted ? ", which greets" : "");
		if (mx->warning[0] != '\0')
			preflight_reason(c, "%s", mx->warning);
		else if (strcmp(p->mail_from, p->used) != 0)
			preflight_reason(c, "mail goes out with %s: the "
			    "status of %s is %s", p->used, p->mail_from,
			    identity_status_to_text(p->mail_from_status));
	}
}

/* -- SPF ------------------------------------------------------------------- */

/* Results of all addresses, and the look-ups of the worst. */
static void
spf_detail(struct preflight *p, json_t *check)
{
	json_t *detail = json_object_get(check, "Detail");
	json_t *results = json_object();
	const struct verify_result *r;
	unsigned lookups = 0;
	size_t	 k;

	json_object_set_new(detail, "Domain", json_string(p->mail_from));
	for (k = 0; k < p->source_count; k++) {
		r = preflight_result_of(p, p->sources[k].spf);
		json_object_set_new(results, p->sources[k].address,
		    json_string(spf_result_to_text(r->spf.result)));
		if (r->spf.lookups > lookups)
			lookups = r->spf.lookups;
		if (k == 0)
			json_object_set_new(detail, "Record",
			    json_of_bytes(bytes_of(r->text)));
	}
	json_object_set_new(detail, "Results", results);
	json_object_set_new(detail, "Lookups", json_integer(lookups));
}

static void
spf_hint(struct preflight *p, json_t *check)
{
	json_t *value = mail_from_spf_json(p->q);

	preflight_hint(check, "%s TXT \"%s\"", p->mail_from,
	    json_string_value(value));
	json_decref(value);
}

/* The first address with that outcome; NULL = none has it. */
static const struct verify_result *
spf_first(const struct preflight *p, enum dkim_outcome o)
{
	const struct verify_result *r;
	size_t			    k;

	for (k = 0; k < p->source_count; k++) {
		r = preflight_result_of(p, p->sources[k].spf);
		if (r->outcome == o)
			return r;
	}
	return NULL;
}

static void
judge_spf_includes(struct preflight *p)
{
	const struct verify_result *r = spf_first(p, DKIM_MISMATCH);
	json_t			   *c;

	if (r == NULL) {
		c = preflight_add(p, "SPF_INCLUDES", CHECK_PASS,
		    "%s permits %zu source IPs", p->mail_from,
		    p->source_count);
	} else {
		c = preflight_add(p, "SPF_INCLUDES", CHECK_FAIL, "%s",
		    spf_state_finding(r));
		spf_hint(p, c);
		if (r->spf.names_us)
			preflight_hint(c, "%s: what posthornctl spf print "
			    "shows", p->q->conf->mail_from.spf_include != NULL
				? p->q->conf->mail_from.spf_include :
				p->mail_from);
	}
	spf_detail(p, c);
}

/* What its text says, whomever it permits. */
static void
judge_spf_text(struct preflight *p, const struct verify_result *r)
{
	const struct spf_record *s = &r->spf.record;
	json_t			*c;

	if (s->all == 0 && !s->redirect) {
		c = preflight_add(p, "SPF_ALL", CHECK_WARN,
		    "SPF all qualifier is missing.");
		spf_hint(p, c);
	} else
		preflight_add(p, "SPF_ALL", CHECK_PASS, "%s",
		    s->all == 0 ? "redirect=" : s->all == '-' ? "-all" :
		    s->all == '~' ? "~all" : s->all == '?' ? "?all" : "+all");
	if (s->all == '+' || s->all == '?') {
		c = preflight_add(p, "SPF_ISSUE", CHECK_FAIL,
		    "An SPF configuration issue was found.");
		preflight_reason(c, "%call permits everybody", s->all);
		spf_hint(p, c);
	} else if (s->ptr || s->is_long) {
		c = preflight_add(p, "SPF_ISSUE", CHECK_WARN,
		    "An SPF configuration issue was found.");
		preflight_reason(c, "%s", s->ptr ?
			"ptr should not be used (RFC 7208 5.5)" :
			"the record is longer than 450 bytes");
	} else
		preflight_add(p, "SPF_ISSUE", CHECK_PASS,
		    "look-ups used: %u of 10", r->spf.lookups);
}

static void
judge_spf(struct preflight *p)
{
	const struct verify_result *r;
	json_t			   *c;

	if (p->source_count == 0) {
		preflight_add(p, "SPF_INCLUDES", CHECK_UNKNOWN,
		    "no source address is known");
		return;
	}
	if ((r = spf_first(p, DKIM_MALFORMED)) != NULL) {
		c = preflight_add(p, "SPF_ISSUE", CHECK_FAIL,
		    "An SPF configuration issue was found.");
		preflight_reason(c, "%s", r->hint);
		spf_detail(p, c);
		spf_hint(p, c);
	} else if ((r = spf_first(p, DKIM_DNS_ERROR)) != NULL) {
		check_unknown(p, "SPF_FOUND", p->mail_from, r);
	} else if ((r = spf_first(p, DKIM_ABSENT)) != NULL) {
		c = preflight_add(p, "SPF_FOUND", CHECK_FAIL,
		    "SPF record was not found.");
		spf_hint(p, c);
	} else {
		r = preflight_result_of(p, p->sources[0].spf);
		preflight_add(p, "SPF_FOUND", CHECK_PASS, "%s: %s",
		    p->mail_from, r->text);
		judge_spf_includes(p);
		judge_spf_text(p, r);
	}
}

/* Mail with a null sender is judged by the EHLO name. */
static void
judge_helo(struct preflight *p)
{
	const struct preflight_source *s;
	const struct verify_result    *r;
	json_t			      *c;
	size_t			       k;

	for (k = 0; k < p->source_count; k++) {
		s = &p->sources[k];
		r = preflight_result_of(p, s->helo);
		if (r->outcome == DKIM_MATCH)
			continue;
		if (r->outcome == DKIM_DNS_ERROR) {
			check_unknown(p, "SPF_HELO", s->ehlo, r);
			return;
		}
		c = preflight_add(p, "SPF_HELO", CHECK_WARN,
		    "%s may not send for its EHLO name %s (%s)", s->address,
		    s->ehlo, spf_result_to_text(r->spf.result));
		preflight_hint(c, "%s TXT \"v=spf1 %s:%s -all\"", s->ehlo,
		    strchr(s->address, ':') != NULL ? "ip6" : "ip4",
		    s->address);
		return;
	}
	if (p->source_count > 0)
		preflight_add(p, "SPF_HELO", CHECK_PASS,
		    "the EHLO names pass");
}

/* -- the From domain ------------------------------------------------------- */

static void
judge_from_domain(struct preflight *p)
{
	const struct verify_result *r = preflight_result_of(p, p->reply);

	if (r->outcome == DKIM_DNS_ERROR)
		check_unknown(p, "FROM_DOMAIN_MX", p->from_domain, r);
	else if (r->outcome == DKIM_MATCH)
		preflight_add(p, "FROM_DOMAIN_MX", CHECK_PASS,
		    "%s takes replies: %s", p->from_domain, r->text);
	else
		preflight_add(p, "FROM_DOMAIN_MX", CHECK_WARN,
		    "%s cannot receive replies: %s", p->from_domain,
		    r->outcome == DKIM_MISMATCH ? "its MX record says so"
			: "it has neither MX nor address");
}

static void
judge_www(struct preflight *p)
{
	char warning[600];

	if (identity_name_warning(p->name, warning)[0] != '\0')
		preflight_add(p, "WWW", CHECK_WARN, "%s", warning);
	else
		preflight_add(p, "WWW", CHECK_PASS, "%s", p->name);
}

void
preflight_judge(struct preflight *p)
{
	json_t *ips = json_array();
	size_t	k;

	for (k = 0; k < p->source_count; k++)
		json_array_append_new(ips,
		    json_string(p->sources[k].address));
	request_set(p->q, "Identity", json_of_bytes(bytes_of(p->name)));
	request_set(p->q, "From", json_of_bytes(bytes_of(p->from)));
	request_set(p->q, "CheckedAt", json_of_wall(p->q->now));
	request_set(p->q, "SourceIps", ips);
	request_set(p->q, "Checks", json_array());
	if (!identity_has_suffixes())
		request_warn(p->q, "no public suffix list");
	judge_identity(p);
	judge_dkim(p);
	judge_mx(p);
	preflight_judge_mail_from(p);
	judge_spf(p);
	judge_helo(p);
	preflight_judge_dmarc(p);
	judge_from_domain(p);
	judge_www(p);
}
