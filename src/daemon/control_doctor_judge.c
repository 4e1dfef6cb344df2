/* SPDX-License-Identifier: ISC */
/* doctor: what the answers mean, one finding or more for each subject. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control_doctor.h"
#include "daemon/control_identity.h"
#include "net/dnsbl.h"
#include "net/stream.h"
#include "mail/dkim_record.h"

/* -- name servers ---------------------------------------------------------- */

static void
judge_servers(struct doctor *d)
{
	const char *worst = "-";
	size_t	    i;

	for (i = 0; i < d->count; i++) {
		if (d->questions[i].answer != NULL &&
		    d->questions[i].answer->status <= DNS_SERVFAIL) {
			doctor_add(d->q, "DNS", FINDING_PASS,
			    "the name servers answer");
			return;
		}
		worst = doctor_status(&d->questions[i]);
	}
	doctor_add(d->q, "DNS", FINDING_FAIL, "no name server answers: %s",
	    worst);
	doctor_hint(d->q, "set dns.servers, or look at /etc/resolv.conf");
}

/* A question without an answer says nothing about its subject. */
static bool
judge_unknown(struct doctor *d, const char *id,
    const struct doctor_question *a)
{
	if (doctor_is_answered(a))
		return false;
	doctor_add(d->q, id, FINDING_UNKNOWN, "%s: %s", a->name,
	    doctor_status(a));
	return true;
}

/* -- source addresses ------------------------------------------------------ */

static bool
judge_resolves_to(const struct dns_answer *a, const char *address)
{
	char   text[64];
	size_t i;

	for (i = 0; i < a->count; i++)
		if (strcmp(dns_address_text(&a->addresses[i], text),
			address) == 0)
			return true;
	return false;
}

static void
judge_ptr_back(struct doctor *d, const struct doctor_source *s,
    const struct doctor_question *back)
{
	if (judge_unknown(d, "SOURCE_PTR", back))
		return;
	if (!judge_resolves_to(back->answer, s->address)) {
		doctor_add(d->q, "SOURCE_PTR", FINDING_FAIL,
		    "%s: its name %s does not resolve back to it", s->address,
		    back->name);
		doctor_hint(d->q, "publish: %s %s %s", back->name,
		    s->family == AF_INET ? "A" : "AAAA", s->address);
	} else if (!bytes_eq_nocase(bytes_of(back->name),
		       bytes_of(s->ehlo))) {
		doctor_add(d->q, "SOURCE_PTR", FINDING_WARN,
		    "%s: its name is %s, but EHLO says %s", s->address,
		    back->name, s->ehlo);
		doctor_hint(d->q, "have the PTR record name %s, or: "
		    "posthornctl ip add %s --ehlo %s", s->ehlo, s->address,
		    back->name);
	} else
		doctor_add(d->q, "SOURCE_PTR", FINDING_PASS,
		    "%s is %s, both ways", s->address, s->ehlo);
}

static const struct doctor_question *
judge_of_source(const struct doctor *d, enum doctor_kind k, size_t i)
{
	const struct doctor_question *a;
	size_t			      from = 0;

	while ((a = doctor_next(d, k, &from)) != NULL && a->source != i)
		;
	return a;
}

static void
judge_ptr(struct doctor *d, size_t i)
{
	const struct doctor_source   *s = &d->sources[i];
	const struct doctor_question *a = judge_of_source(d, DOCTOR_PTR, i);

	if (a == NULL) {
		doctor_add(d->q, "SOURCE_PTR", FINDING_UNKNOWN,
		    "mail leaves from %s, an address of a private network: "
		    "that which the world sees is not known here", s->address);
		return;
	}
	if (judge_unknown(d, "SOURCE_PTR", a))
		return;
	if (a->answer->count > 0) {
		judge_ptr_back(d, s,
		    judge_of_source(d, DOCTOR_PTR_BACK, i));
		return;
	}
	doctor_add(d->q, "SOURCE_PTR", FINDING_FAIL,
	    "%s has no PTR record: many receivers refuse its mail",
	    s->address);
	doctor_hint(d->q, "who gave you the address publishes: %s PTR %s",
	    a->name, s->ehlo);
}

static void
judge_lists(struct doctor *d, size_t i)
{
	const struct doctor_source   *s = &d->sources[i];
	const struct doctor_question *a;
	char			      text[DNSBL_TEXT_SIZE];
	size_t			      from = 0;
	unsigned		      asked = 0, clean = 0;

	while ((a = doctor_next(d, DOCTOR_LISTED, &from)) != NULL) {
		if (a->source != i)
			continue;
		asked++;
		if (judge_unknown(d, "DNSBL", a))
			continue;
		switch (dnsbl_judge(a->answer, text)) {
		case DNSBL_CLEAN:
			clean++;
			break;
		case DNSBL_LISTED:
			doctor_add(d->q, "DNSBL", FINDING_FAIL,
			    "%s is listed by %s (%s)", s->address, a->zone,
			    text);
			doctor_hint(d->q, "find the cause, then ask %s to "
			    "take it off the list", a->zone);
			break;
		case DNSBL_REFUSED:
		case DNSBL_UNANSWERED:
			doctor_add(d->q, "DNSBL", FINDING_UNKNOWN,
			    "%s does not answer our questions (%s)", a->zone,
			    text);
			doctor_hint(d->q, "ask through a resolver of your "
			    "own (dns.servers)");
		}
	}
	if (clean > 0 && clean == asked)
		doctor_add(d->q, "DNSBL", FINDING_PASS,
		    "%s is on no block list (%u asked)", s->address, asked);
}

static void
judge_port(struct doctor *d, const struct doctor_source *s)
{
	unsigned    port = d->probe_port;
	const char *id = "PORT25";

	if (!s->is_tried)
		return;
	if (!s->is_connected) {
		doctor_add(d->q, id, FINDING_FAIL,
		    "no connection from %s to port %u of %s: %s", s->address,
		    port, d->probe_host, s->said);
		doctor_hint(d->q, "have outgoing port %u opened by the "
		    "network's owner; doctor.probe_host names another host",
		    port);
	} else if (!s->is_greeted)
		doctor_add(d->q, id, FINDING_WARN,
		    "port %u of %s takes connections from %s, but no greeting "
		    "came: %s", port, d->probe_host, s->address, s->said);
	else
		doctor_add(d->q, id, strncmp(s->said, "220", 3) == 0 ?
			FINDING_PASS : FINDING_WARN,
		    "%s greets %s: %s", d->probe_host, s->address, s->said);
}

static void
judge_ports(struct doctor *d)
{
	const struct doctor_question *a = doctor_first(d, DOCTOR_PROBE_MX);
	size_t			      i;
	bool			      any = false;

	if (!d->is_probing)
		return;
	for (i = 0; i < d->source_count; i++) {
		any |= d->sources[i].is_tried;
		judge_port(d, &d->sources[i]);
	}
	if (any)
		return;
	if (d->probe_host[0] != '\0')
		doctor_add(d->q, "PORT25", FINDING_UNKNOWN,
		    "%s has no address that a source address could reach",
		    d->probe_host);
	else
		doctor_add(d->q, "PORT25", FINDING_UNKNOWN,
		    "no host to try: %s MX: %s", a->name, doctor_status(a));
	doctor_hint(d->q, "set doctor.probe_host to a mail server that "
	    "takes connections");
}

/* -- the return addresses -------------------------------------------------- */

static void
judge_from_mx(struct doctor *d)
{
	const struct doctor_question *a = doctor_first(d, DOCTOR_FROM_MX);
	const char		     *want = d->q->conf->mail_from.mx_host;

	if (judge_unknown(d, "MAILFROM_MX", a))
		return;
	if (a->answer->count == 1 && bytes_eq_nocase(
		bytes_of(a->answer->mx[0].host), bytes_of(want))) {
		doctor_add(d->q, "MAILFROM_MX", FINDING_PASS, "%s MX %u %s",
		    a->name, (unsigned)a->answer->mx[0].preference, want);
		return;
	}
	doctor_add(d->q, "MAILFROM_MX", FINDING_FAIL,
	    "MAIL FROM MX record is not correct. %s has %zu MX records",
	    a->name, a->answer->count);
	doctor_hint(d->q, "publish: %s MX 10 %s, and no other", a->name,
	    want);
}

static bool
spf_has_term(struct bytes record, const char *term)
{
	struct bytes t = bytes_of(term);
	ptrdiff_t    at = bytes_find_nocase(record, t);

	return at > 0 && (record.p[at - 1] == ' ' ||
	    strchr("+-~?", record.p[at - 1]) != NULL);
}

/* With an include, or without one the addresses themselves. */
static void
hint_spf(struct doctor *d, const char *name)
{
	json_t *spf = mail_from_spf_json(d->q);

	doctor_hint(d->q, "publish: %s TXT \"%s\"%s", name,
	    json_string_value(spf), d->q->conf->mail_from.spf_include != NULL
		? ", and what posthornctl spf print shows" : "");
	json_decref(spf);
}

/* Found, one, and ended; whom it permits: doctor_judge_spf(). */
static void
judge_from_spf(struct doctor *d)
{
	const struct doctor_question *a = doctor_first(d, DOCTOR_FROM_SPF);
	struct bytes		      record = { NULL, 0 };
	size_t			      i, found = 0;

	if (judge_unknown(d, "SPF_FOUND", a))
		return;
	for (i = 0; i < a->answer->count; i++)
		if (bytes_starts_nocase(a->answer->texts[i],
			BYTES("v=spf1")) && (a->answer->texts[i].n == 6 ||
			a->answer->texts[i].p[6] == ' ')) {
			record = a->answer->texts[i];
			found++;
		}
	if (found == 0) {
		doctor_add(d->q, "SPF_FOUND", FINDING_FAIL,
		    "SPF record was not found. (%s)", a->name);
		hint_spf(d, a->name);
	} else if (found > 1) {
		doctor_add(d->q, "SPF_ISSUE", FINDING_FAIL,
		    "An SPF configuration issue was found. %s has %zu SPF "
		    "records", a->name, found);
		doctor_hint(d->q, "make them one: keep the terms of all "
		    "behind one v=spf1, and remove the others");
	} else if (!spf_has_term(record, "all") &&
	    !spf_has_term(record, "redirect=")) {
		doctor_add(d->q, "SPF_ALL", FINDING_WARN,
		    "SPF all qualifier is missing. %s: %.*s", a->name,
		    (int)(record.n < 200 ? record.n : 200), record.p);
		doctor_hint(d->q, "publish: %s TXT \"%.*s ~all\"", a->name,
		    (int)(record.n < 200 ? record.n : 200), record.p);
	} else
		doctor_add(d->q, "SPF_FOUND", FINDING_PASS, "%s: %.*s",
		    a->name, (int)(record.n < 200 ? record.n : 200),
		    record.p);
}

/* Is this an address of the host that an intake listener listens on? */
static bool
judge_takes_mail(const struct conf *c, const struct dns_address *a)
{
	const struct conf_addr *l;
	char			text[64], own[STREAM_ADDR_MAX + 48];
	size_t			i, k;

	dns_address_text(a, text);
	if (!control_ip_is_ours(text))
		return false;
	for (i = 0; i < c->listener_count; i++) {
		if (!c->listeners[i].enabled ||
		    (c->listeners[i].roles & CONF_ROLE_INTAKE) == 0)
			continue;
		for (k = 0; k < c->listeners[i].addresses.n; k++) {
			l = &c->listeners[i].addresses.v[k];
			if (l->family != a->family)
				continue;
			sockaddr_text(&l->u.sa, false, own);
			if (strcmp(own, text) == 0 || strcmp(own,
				"0.0.0.0") == 0 || strcmp(own, "::") == 0)
				return true;
		}
	}
	return false;
}

static void
judge_feedback(struct doctor *d)
{
	const struct doctor_question *a;
	const char		     *host = d->q->conf->mail_from.mx_host;
	size_t			      from = 0, i, found = 0;

	while ((a = doctor_next(d, DOCTOR_FEEDBACK, &from)) != NULL) {
		if (judge_unknown(d, "FEEDBACK_HOST", a))
			return;
		for (i = 0; i < a->answer->count; i++, found++)
			if (judge_takes_mail(d->q->conf,
				&a->answer->addresses[i])) {
				doctor_add(d->q, "FEEDBACK_HOST",
				    FINDING_PASS,
				    "%s is a listener of this host", host);
				return;
			}
	}
	if (found == 0) {
		doctor_add(d->q, "FEEDBACK_HOST", FINDING_FAIL,
		    "%s has no address: bounces that come later are lost",
		    host);
		doctor_hint(d->q, "publish an A or AAAA record of %s", host);
	} else {
		doctor_add(d->q, "FEEDBACK_HOST", FINDING_WARN,
		    "%s leads to no listener with role intake of this host",
		    host);
		doctor_hint(d->q, "behind address translation this may be "
		    "right");
	}
}

/* -- the operator's key ---------------------------------------------------- */

static void
judge_operator_key(struct doctor *d)
{
	const struct doctor_question *a = doctor_first(d,
		   DOCTOR_OPERATOR_KEY);
	struct dkim_record_key	      want = { DKIM_KEY_RSA,
			   bytes_of(d->operator_key) };
	struct dkim_record_verdict    v;

	if (a == NULL || judge_unknown(d, "OPERATOR_DKIM", a))
		return;
	if (d->operator_key[0] == '\0') {
		doctor_add(d->q, "OPERATOR_DKIM", FINDING_UNKNOWN,
		    "dkim.operator_key: %s", d->operator_said);
		return;
	}
	dkim_record_judge(a->answer->texts, a->answer->count, &want, &v);
	if (v.outcome == DKIM_RECORD_MATCH) {
		doctor_add(d->q, "OPERATOR_DKIM", FINDING_PASS, "%s matches",
		    a->name);
		return;
	}
	doctor_add(d->q, "OPERATOR_DKIM", FINDING_FAIL, "%s: %s%s%s", a->name,
	    dkim_record_outcome_to_text(v.outcome),
	    v.reason[0] != '\0' ? ", " : "", v.reason);
	doctor_hint(d->q, "publish: %s TXT \"v=DKIM1; k=rsa; p=%s\"", a->name,
	    d->operator_key);
}

static void
judge_sources(struct doctor *d)
{
	struct request *q = d->q;
	size_t		i;

	if (d->smart_host != NULL) {
		doctor_add(q, "SOURCE_PTR", FINDING_PASS,
		    "all mail leaves by %s", d->smart_host->host);
		return;
	}
	if (d->source_count == 0)
		doctor_add(q, "SOURCE_PTR", FINDING_UNKNOWN,
		    "this host has no way into the world: mail leaves by "
		    "routes only");
	for (i = 0; i < d->source_count; i++)
		judge_ptr(d, i);
	for (i = 0; i < d->source_count; i++)
		judge_lists(d, i);
	if (d->sources_left_out > 0)
		doctor_add(q, "SOURCE_PTR", FINDING_UNKNOWN,
		    "%zu more source addresses were not looked at",
		    d->sources_left_out);
}

void
doctor_judge(struct doctor *d)
{
	judge_servers(d);
	judge_sources(d);
	judge_ports(d);
	judge_from_mx(d);
	judge_from_spf(d);
	doctor_judge_spf(d);
	judge_feedback(d);
	judge_operator_key(d);
	request_end(d->q);
}
