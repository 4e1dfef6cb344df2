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
preflight_unknown(struct preflight *p, const char *id, const char *type,
    const char *name, const struct verify_result *r)
{
	json_t *c = preflight_add(p, id, CHECK_UNKNOWN, "%s: %s", name,
	    r->hint[0] != '\0' ? r->hint : "DNS does not answer");

	remedy_ask(c, type, name);
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
	else {
		c = !p->is_there ?
		    preflight_add(p, "IDENTITY", CHECK_FAIL,
			"no such identity: %s", p->name) :
		    identity_may_send(&p->i, p->q->now) ?
		    preflight_add(p, "IDENTITY", CHECK_FAIL,
			"no identity covers %s", p->from) :
		    preflight_add(p, "IDENTITY", CHECK_FAIL,
			"identity %s is not verified (%s)", p->name, status);
		preflight_mend_identity(p, c);
	}
}

/* What is found of a key; without the Ed25519 one RSA signs alone. */
static void
judge_key_record(struct preflight *p, const struct dkim_key *k,
    const struct verify_result *r)
{
	bool	is_second = k == &p->second;
	json_t *c;
	char	name[400];

	snprintf(name, sizeof(name), "%s._domainkey.%s", k->selector,
	    k->domain);
	if (r->outcome == DKIM_DNS_ERROR) {
		preflight_unknown(p, "DKIM_RECORD", "TXT", name, r);
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
			remedy_reason(c, "%s", r->warning);
		return;
	}
	c = preflight_add(p, "DKIM_RECORD", is_second ? CHECK_WARN :
	    CHECK_FAIL, "%sDKIM record was not found.",
	    is_second ? "Ed25519 " : "");
	remedy_reason(c, "%s: %s%s%s", name,
	    dkim_outcome_to_text(r->outcome), r->hint[0] != '\0' ? ", " : "",
	    r->hint);
	preflight_publish_key(p, c, k, r);
}

static void
judge_key_length(struct preflight *p)
{
	json_t *c;

	if (p->key.ed25519) {
		c = preflight_add(p, "DKIM_KEY_LENGTH", CHECK_PASS, "Ed25519");
		remedy_reason(c, "receivers without RFC 8463 support will "
		    "treat this mail as unsigned");
	} else if (p->key.bits < LONG_BITS) {
		c = preflight_add(p, "DKIM_KEY_LENGTH", CHECK_WARN,
		    "DKIM signing key length is below 2048 bits.");
		if (p->key.external)
			remedy_run(c, "posthornctl dkim set-key %s "
			    "--selector SELECTOR --key-file FILE",
			    p->key.domain);
		else
			remedy_run(c, "posthornctl dkim managed %s --bits "
			    "2048", p->key.domain);
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
		remedy_reason(c, "%s; receivers show \"via %s\" unless "
		    "the MAIL FROM domain is of the From domain",
		    p->signing == SIGNING_DISABLED ? "signing is switched off"
			: "no identity with a key covers the address",
		    p->q->conf->server.domain);
		preflight_mend_signing(p, c);
		return;
	}
	preflight_add(p, "DKIM_ENABLED", CHECK_PASS, "signing is on");
	if (p->signing == SIGNING_KEY)
		preflight_add(p, "DKIM_STATUS", CHECK_PASS, "%s signs with "
		    "selector %s", p->key.domain, p->key.selector);
	else {
		c = preflight_add(p, "DKIM_STATUS", CHECK_FAIL,
		    "DKIM verification has failed.");
		if (p->has_key)
			remedy_reason(c, "the status of %s is %s",
			    p->key.domain,
			    identity_status_to_text(p->key_status));
		preflight_mend_key(p, c);
	}
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
	else {
		c = preflight_add(p, "DKIM_ALIGNED", CHECK_FAIL,
		    "DKIM record is not aligned.");
		preflight_mend_dkim_alignment(p, c);
	}
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

/*
 * The record is right, but its domain is not used, because nobody looks for it
 * any more; or mail is refused meanwhile.
 */
static bool
judge_mx_unused(struct preflight *p)
{
	const char *status = identity_status_to_text(p->mail_from_status);
	json_t	   *c;

	if (p->choice.use == MAIL_FROM_REFUSED) {
		c = preflight_add(p, "MAILFROM_MX", CHECK_FAIL,
		    "mail is refused: MAIL FROM domain %s is not verified "
		    "(%s)", p->mail_from, status);
	} else if (p->choice.use == MAIL_FROM_DEFAULT &&
	    p->choice.identity[0] != '\0' &&
	    p->mail_from_status == IDENTITY_FAILED &&
	    strcmp(p->mail_from, p->used) != 0) {
		c = preflight_add(p, "MAILFROM_MX", CHECK_WARN,
		    "mail goes out with %s: MAIL FROM domain %s is not "
		    "verified (%s)", p->used, p->mail_from, status);
	} else
		return false;
	preflight_mend_use(p, c);
	return true;
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
		if (mx->outcome == DKIM_DNS_ERROR)
			preflight_unknown(p, "MAILFROM_MX", "MX",
			    p->mail_from, mx);
		else
			preflight_unknown(p, "MAILFROM_MX", "A", host,
			    preflight_result_of(p, p->host));
	} else if (why[0] != '\0') {
		c = preflight_add(p, "MAILFROM_MX", CHECK_FAIL,
		    "MAIL FROM MX record is not correct.");
		preflight_mend_mx(p, c);
		remedy_reason(c, "%s", why);
	} else if (!judge_mx_unused(p)) {
		c = preflight_add(p, "MAILFROM_MX", CHECK_PASS, "%s MX %s%s",
		    p->mail_from, host, p->is_greeted ? ", which greets" : "");
		if (mx->warning[0] != '\0')
			remedy_reason(c, "%s", mx->warning);
		else if (strcmp(p->mail_from, p->used) != 0)
			remedy_reason(c, "mail goes out with %s: the "
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
publish_spf(struct preflight *p, json_t *check)
{
	remedy_publish_spf(check, p->q, p->mail_from);
	preflight_note_zone(p, check, p->mail_from);
}

/* What the record includes lacks an address. */
static void
publish_sources(struct preflight *p, json_t *check)
{
	const char *include = p->q->conf->mail_from.spf_include;

	remedy_publish_sources(check, p->q, p->spf_rows, p->mail_from);
	preflight_note_zone(p, check, include != NULL ? include
						      : p->mail_from);
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
		if (r->spf.names_us)
			publish_sources(p, c);
		else
			publish_spf(p, c);
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
		publish_spf(p, c);
	} else
		preflight_add(p, "SPF_ALL", CHECK_PASS, "%s",
		    s->all == 0 ? "redirect=" : s->all == '-' ? "-all" :
		    s->all == '~' ? "~all" : s->all == '?' ? "?all" : "+all");
	if (s->all == '+' || s->all == '?') {
		c = preflight_add(p, "SPF_ISSUE", CHECK_FAIL,
		    "An SPF configuration issue was found.");
		remedy_reason(c, "%call permits everybody", s->all);
		publish_spf(p, c);
	} else if (s->ptr || s->is_long) {
		c = preflight_add(p, "SPF_ISSUE", CHECK_WARN,
		    "An SPF configuration issue was found.");
		remedy_reason(c, "%s", s->ptr ?
			"ptr should not be used (RFC 7208 5.5)" :
			"the record is longer than 450 bytes");
		publish_spf(p, c);
	} else
		preflight_add(p, "SPF_ISSUE", CHECK_PASS,
		    "look-ups used: %u of 10", r->spf.lookups);
}

static void
judge_spf(struct preflight *p)
{
	const struct verify_result *r;
	json_t			   *c;
	char			    word[REMEDY_WORD_SIZE];

	if (p->source_count == 0) {
		c = preflight_add(p, "SPF_INCLUDES", CHECK_UNKNOWN,
		    "no source address is known");
		if (p->pool != NULL)
			remedy_run(c, "posthornctl pool add-ip %s ADDRESS",
			    remedy_word(p->pool, word));
		else
			remedy_run(c, "posthornctl ip add ADDRESS --ehlo %s",
			    p->q->conf->server.name);
		return;
	}
	if ((r = spf_first(p, DKIM_MALFORMED)) != NULL) {
		c = preflight_add(p, "SPF_ISSUE", CHECK_FAIL,
		    "An SPF configuration issue was found.");
		remedy_reason(c, "%s", r->hint);
		spf_detail(p, c);
		publish_spf(p, c);
	} else if ((r = spf_first(p, DKIM_DNS_ERROR)) != NULL) {
		preflight_unknown(p, "SPF_FOUND", "TXT", p->mail_from, r);
	} else if ((r = spf_first(p, DKIM_ABSENT)) != NULL) {
		c = preflight_add(p, "SPF_FOUND", CHECK_FAIL,
		    "SPF record was not found.");
		publish_spf(p, c);
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
			preflight_unknown(p, "SPF_HELO", "TXT", s->ehlo, r);
			return;
		}
		c = preflight_add(p, "SPF_HELO", CHECK_WARN,
		    "%s may not send for its EHLO name %s (%s)", s->address,
		    s->ehlo, spf_result_to_text(r->spf.result));
		preflight_publish_helo(p, c, s);
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
	json_t			   *c;

	if (r->outcome == DKIM_DNS_ERROR)
		preflight_unknown(p, "FROM_DOMAIN_MX", "MX", p->from_domain,
		    r);
	else if (r->outcome == DKIM_MATCH)
		preflight_add(p, "FROM_DOMAIN_MX", CHECK_PASS,
		    "%s takes replies: %s", p->from_domain, r->text);
	else {
		c = preflight_add(p, "FROM_DOMAIN_MX", CHECK_WARN,
		    "%s cannot receive replies: %s", p->from_domain,
		    r->outcome == DKIM_MISMATCH ? "its MX record says so"
			: "it has neither MX nor address");
		remedy_publish(c, p->from_domain, "MX", "10 HOST");
		remedy_note(c, "HOST: the server where its mailboxes are");
	}
}

static void
judge_www(struct preflight *p)
{
	char	warning[600];
	json_t *c;

	if (identity_name_warning(p->name, warning)[0] != '\0') {
		c = preflight_add(p, "WWW", CHECK_WARN, "%s", warning);
		remedy_run(c, "posthornctl identity add %s",
		    p->name + strlen("www."));
	} else
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
