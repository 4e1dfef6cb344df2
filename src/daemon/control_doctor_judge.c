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
	json_t	   *c;

	for (i = 0; i < d->count; i++) {
		if (d->questions[i].answer != NULL &&
		    d->questions[i].answer->status <= DNS_SERVFAIL) {
			doctor_add(d->q, "DNS", FINDING_PASS,
			    "the name servers answer");
			return;
		}
		worst = doctor_status(&d->questions[i]);
	}
	c = doctor_add(d->q, "DNS", FINDING_FAIL,
	    "no name server answers: %s", worst);
	remedy_note(c, "ADDRESS: a resolver that answers; without the "
	    "setting /etc/resolv.conf names them");
	remedy_set(c, "dns.servers ADDRESS");
	remedy_then(c, "posthornctl reload");
}

/* A question without an answer says nothing about its subject. */
static bool
judge_unknown(struct doctor *d, const char *id,
    const struct doctor_question *a)
{
	static const char *const types[] = { [RESOLVER_A] = "A",
		[RESOLVER_AAAA] = "AAAA", [RESOLVER_MX] = "MX",
		[RESOLVER_TXT] = "TXT", [RESOLVER_PTR] = "PTR" };

	if (doctor_is_answered(a))
		return false;
	remedy_ask(doctor_add(d->q, id, FINDING_UNKNOWN, "%s: %s", a->name,
	    doctor_status(a)), types[a->type], a->name);
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

/* It is in the zone of whoever gave the address away. */
static void
publish_ptr(const struct doctor_source *s, json_t *c)
{
	struct dns_address a;
	char		   reverse[80];

	must(dns_address_parse(bytes_of(s->address), &a));
	dns_reverse_name(&a, reverse);
	remedy_note(c, "who gave you the address publishes it");
	remedy_publish(c, reverse, "PTR", "%s", s->ehlo);
}

static void
judge_ptr_back(struct doctor *d, const struct doctor_source *s,
    const struct doctor_question *back)
{
	bool	same = bytes_eq_nocase(bytes_of(back->name),
	       bytes_of(s->ehlo));
	char	word[REMEDY_WORD_SIZE];
	json_t *c;

	if (judge_unknown(d, "SOURCE_PTR", back))
		return;
	if (!judge_resolves_to(back->answer, s->address)) {
		c = doctor_add(d->q, "SOURCE_PTR", FINDING_FAIL,
		    "%s: its name %s does not resolve back to it", s->address,
		    back->name);
		if (same)
			remedy_publish(c, back->name, s->family == AF_INET ?
				"A" : "AAAA", "%s", s->address);
		else
			publish_ptr(s, c);
	} else if (!same) {
		c = doctor_add(d->q, "SOURCE_PTR", FINDING_WARN,
		    "%s: its name is %s, but EHLO says %s", s->address,
		    back->name, s->ehlo);
		if (s->is_stored)
			publish_ptr(s, c);
		else
			remedy_run(c, "posthornctl ip add %s --ehlo %s",
			    s->address, remedy_word(back->name, word));
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
	json_t			     *c;

	if (a == NULL) {
		c = doctor_add(d->q, "SOURCE_PTR", FINDING_UNKNOWN,
		    "mail leaves from %s, an address of a private network: "
		    "that which the world sees is not known here", s->address);
		remedy_note(c, "ADDRESS: that one; its name should be %s",
		    s->ehlo);
		remedy_run(c, "dig +short -x ADDRESS");
		return;
	}
	if (judge_unknown(d, "SOURCE_PTR", a))
		return;
	if (a->answer->count > 0) {
		judge_ptr_back(d, s,
		    judge_of_source(d, DOCTOR_PTR_BACK, i));
		return;
	}
	c = doctor_add(d->q, "SOURCE_PTR", FINDING_FAIL,
	    "%s has no PTR record: many receivers refuse its mail",
	    s->address);
	publish_ptr(s, c);
}

/* What a block list says of an address. */
static enum dnsbl_verdict
judge_listed(struct doctor *d, const struct doctor_source *s,
    const struct doctor_question *a)
{
	char		   text[DNSBL_TEXT_SIZE];
	enum dnsbl_verdict v = dnsbl_judge(a->answer, text);
	json_t		  *c;

	switch (v) {
	case DNSBL_CLEAN:
		break;
	case DNSBL_LISTED:
		c = doctor_add(d->q, "DNSBL", FINDING_FAIL,
		    "%s is listed by %s (%s)", s->address, a->zone, text);
		remedy_note(c, "it says why: end the cause, then ask %s "
		    "to take it off the list", a->zone);
		remedy_ask(c, "TXT", a->name);
		break;
	case DNSBL_REFUSED:
	case DNSBL_UNANSWERED:
		c = doctor_add(d->q, "DNSBL", FINDING_UNKNOWN,
		    "%s does not answer our questions (%s)", a->zone, text);
		remedy_note(c, "ADDRESS: a resolver of your own; lists "
		    "refuse those that many use");
		remedy_set(c, "dns.servers ADDRESS");
		remedy_then(c, "posthornctl reload");
		break;
	}
	return v;
}

static void
judge_lists(struct doctor *d, size_t i)
{
	const struct doctor_source   *s = &d->sources[i];
	const struct doctor_question *a;
	size_t			      from = 0;
	unsigned		      asked = 0, clean = 0;

	while ((a = doctor_next(d, DOCTOR_LISTED, &from)) != NULL) {
		if (a->source != i)
			continue;
		asked++;
		if (judge_unknown(d, "DNSBL", a))
			continue;
		clean += judge_listed(d, s, a) == DNSBL_CLEAN;
	}
	if (clean > 0 && clean == asked)
		doctor_add(d->q, "DNSBL", FINDING_PASS,
		    "%s is on no block list (%u asked)", s->address, asked);
}

/* Another host to try, or, where all mail leaves by it, another way out. */
static void
mend_port(struct doctor *d, json_t *c)
{
	if (d->smart_host != NULL) {
		remedy_set(c, "delivery.route * HOST:%u", d->probe_port);
	} else
		remedy_set(c, "doctor.probe_host HOST");
	remedy_then(c, "posthornctl reload");
}

/* Nothing goes out: others may carry the mail on another port. */
static void
mend_blocked_port(struct doctor *d, json_t *c)
{
	if (d->smart_host != NULL) {
		remedy_note(c, "HOST: the smart host, if it is not this one "
		    "any more");
		mend_port(d, c);
		return;
	}
	remedy_note(c, "have outgoing port %u opened by the network's "
	    "owner; or HOST: a smart host that takes the mail of this one",
	    d->probe_port);
	remedy_set(c, "delivery.route * HOST:587");
	remedy_then(c, "posthornctl reload");
}

static void
judge_port(struct doctor *d, const struct doctor_source *s)
{
	unsigned    port = d->probe_port;
	const char *id = "PORT25";
	json_t	   *c;

	if (!s->is_tried)
		return;
	if (!s->is_connected) {
		c = doctor_add(d->q, id, FINDING_FAIL,
		    "no connection from %s to port %u of %s: %s", s->address,
		    port, d->probe_host, s->said);
		mend_blocked_port(d, c);
	} else if (!s->is_greeted) {
		c = doctor_add(d->q, id, FINDING_WARN,
		    "port %u of %s takes connections from %s, but no greeting "
		    "came: %s", port, d->probe_host, s->address, s->said);
		remedy_note(c, "HOST: another mail server, to see whether "
		    "it lies with this one");
		mend_port(d, c);
	} else if (strncmp(s->said, "220", 3) != 0) {
		c = doctor_add(d->q, id, FINDING_WARN, "%s greets %s: %s",
		    d->probe_host, s->address, s->said);
		remedy_note(c, "HOST: another mail server, to see whether "
		    "it refuses %s, too", s->address);
		mend_port(d, c);
	} else
		doctor_add(d->q, id, FINDING_PASS, "%s greets %s: %s",
		    d->probe_host, s->address, s->said);
}

static void
judge_ports(struct doctor *d)
{
	const struct doctor_question *a = doctor_first(d, DOCTOR_PROBE_MX);
	size_t			      i;
	bool			      any = false;
	json_t			     *c;

	if (!d->is_probing)
		return;
	for (i = 0; i < d->source_count; i++) {
		any |= d->sources[i].is_tried;
		judge_port(d, &d->sources[i]);
	}
	if (any)
		return;
	if (d->probe_host[0] != '\0')
		c = doctor_add(d->q, "PORT25", FINDING_UNKNOWN,
		    "%s has no address that a source address could reach",
		    d->probe_host);
	else
		c = doctor_add(d->q, "PORT25", FINDING_UNKNOWN,
		    "no host to try: %s MX: %s", a->name, doctor_status(a));
	remedy_note(c, "HOST: a mail server that takes connections");
	mend_port(d, c);
}

/* -- the return addresses -------------------------------------------------- */

static void
judge_from_mx(struct doctor *d)
{
	const struct doctor_question *a = doctor_first(d, DOCTOR_FROM_MX);
	const char		     *want = d->q->conf->mail_from.mx_host;
	json_t			     *c;

	if (judge_unknown(d, "MAILFROM_MX", a))
		return;
	if (a->answer->count == 1 && bytes_eq_nocase(
		bytes_of(a->answer->mx[0].host), bytes_of(want))) {
		doctor_add(d->q, "MAILFROM_MX", FINDING_PASS, "%s MX %u %s",
		    a->name, (unsigned)a->answer->mx[0].preference, want);
		return;
	}
	c = doctor_add(d->q, "MAILFROM_MX", FINDING_FAIL,
	    "MAIL FROM MX record is not correct. %s has %zu MX records",
	    a->name, a->answer->count);
	remedy_publish(c, a->name, "MX", "10 %s", want);
	remedy_note(c, "this one, and no other");
}

static bool
spf_has_term(struct bytes record, const char *term)
{
	struct bytes t = bytes_of(term);
	ptrdiff_t    at = bytes_find_nocase(record, t);

	return at > 0 && (record.p[at - 1] == ' ' ||
	    strchr("+-~?", record.p[at - 1]) != NULL);
}

/* What it includes has to be there as well. */
static void
publish_spf(struct doctor *d, json_t *c, const char *name)
{
	remedy_publish_spf(c, d->q, name);
	if (d->q->conf->mail_from.spf_include != NULL)
		remedy_then_print_spf(c, d->q->conf->mail_from.spf_include);
}

/* The record that is there, and its end. */
static void
publish_with_end(json_t *c, const char *name, struct bytes record)
{
	struct buf b;

	buf_init(&b, VERIFY_RECORD_SIZE + 16);
	buf_add(&b, record.p, record.n < VERIFY_RECORD_SIZE ? record.n :
	    VERIFY_RECORD_SIZE);
	buf_add_text(&b, " ~all");
	remedy_publish_txt(c, name, buf_bytes(&b));
	buf_wipe(&b);
}

/* Found, one, and ended; whom it permits: doctor_judge_spf(). */
static void
judge_from_spf(struct doctor *d)
{
	const struct doctor_question *a = doctor_first(d, DOCTOR_FROM_SPF);
	struct bytes		      record = { NULL, 0 };
	size_t			      i, found = 0;
	json_t			     *c;

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
		c = doctor_add(d->q, "SPF_FOUND", FINDING_FAIL,
		    "SPF record was not found. (%s)", a->name);
		publish_spf(d, c, a->name);
	} else if (found > 1) {
		c = doctor_add(d->q, "SPF_ISSUE", FINDING_FAIL,
		    "An SPF configuration issue was found. %s has %zu SPF "
		    "records", a->name, found);
		publish_spf(d, c, a->name);
		remedy_note(c, "this one, and no other; what else they "
		    "permit stands before ~all");
	} else if (!spf_has_term(record, "all") &&
	    !spf_has_term(record, "redirect=")) {
		c = doctor_add(d->q, "SPF_ALL", FINDING_WARN,
		    "SPF all qualifier is missing. %s: %.*s", a->name,
		    (int)(record.n < 200 ? record.n : 200), record.p);
		publish_with_end(c, a->name, record);
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

/* Is there none, or has it another address? */
static void
judge_intake(struct doctor *d, json_t *c)
{
	const struct conf *conf = d->q->conf;
	size_t		   i;

	for (i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i].enabled &&
		    (conf->listeners[i].roles & CONF_ROLE_INTAKE) != 0) {
			remedy_publish_feedback(c, conf);
			remedy_note(c, "the address of this host which "
			    "the world sees; behind address translation the "
			    "one that is there may be right");
			return;
		}
	remedy_set_intake(c, conf);
}

static void
judge_feedback(struct doctor *d)
{
	const struct doctor_question *a;
	const char		     *host = d->q->conf->mail_from.mx_host;
	size_t			      from = 0, i, found = 0;
	json_t			     *c;

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
		c = doctor_add(d->q, "FEEDBACK_HOST", FINDING_FAIL,
		    "%s has no address: bounces that come later are lost",
		    host);
		remedy_publish_feedback(c, d->q->conf);
	} else {
		c = doctor_add(d->q, "FEEDBACK_HOST", FINDING_WARN,
		    "%s leads to no listener with role intake of this host",
		    host);
		judge_intake(d, c);
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
	char			      word[REMEDY_WORD_SIZE], text[1200];
	json_t			     *c;

	if (a == NULL || judge_unknown(d, "OPERATOR_DKIM", a))
		return;
	if (d->operator_key[0] == '\0') {
		c = doctor_add(d->q, "OPERATOR_DKIM", FINDING_UNKNOWN,
		    "dkim.operator_key: %s", d->operator_said);
		remedy_run(c, "openssl pkey -noout -text_pub -in %s",
		    remedy_word(d->q->conf->dkim.operator_key, word));
		return;
	}
	dkim_record_judge(a->answer->texts, a->answer->count, &want, &v);
	if (v.outcome == DKIM_RECORD_MATCH) {
		doctor_add(d->q, "OPERATOR_DKIM", FINDING_PASS, "%s matches",
		    a->name);
		return;
	}
	c = doctor_add(d->q, "OPERATOR_DKIM", FINDING_FAIL, "%s: %s%s%s",
	    a->name, dkim_record_outcome_to_text(v.outcome),
	    v.reason[0] != '\0' ? ", " : "", v.reason);
	snprintf(text, sizeof(text), "v=DKIM1; k=rsa; p=%s", d->operator_key);
	remedy_publish_txt(c, a->name, bytes_of(text));
}

static void
judge_sources(struct doctor *d)
{
	struct request *q = d->q;
	size_t		i;
	json_t	       *c;

	if (d->smart_host != NULL) {
		doctor_add(q, "SOURCE_PTR", FINDING_PASS,
		    "all mail leaves by %s", d->smart_host->host);
		return;
	}
	if (d->source_count == 0) {
		c = doctor_add(q, "SOURCE_PTR", FINDING_UNKNOWN,
		    "this host has no way into the world: mail leaves by "
		    "routes only");
		remedy_note(c, "HOST: a smart host that takes all mail");
		remedy_set(c, "delivery.route * HOST");
		remedy_then(c, "posthornctl reload");
	}
	for (i = 0; i < d->source_count; i++)
		judge_ptr(d, i);
	for (i = 0; i < d->source_count; i++)
		judge_lists(d, i);
	if (d->sources_left_out > 0) {
		c = doctor_add(q, "SOURCE_PTR", FINDING_UNKNOWN,
		    "%zu more source addresses were not looked at",
		    d->sources_left_out);
		remedy_run(c, "posthornctl ip list");
	}
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
}
