/* SPDX-License-Identifier: ISC */
/* doctor: what is asked of the name servers, in two rounds. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control_doctor.h"
#include "net/dnsbl.h"

/* Questions beside those of a source address. */
enum { QUESTIONS_ONCE = 16 };

/* -- the list -------------------------------------------------------------- */

const struct doctor_question *
doctor_next(const struct doctor *d, enum doctor_kind k, size_t *from)
{
	for (; *from < d->count; (*from)++)
		if (d->questions[*from].kind == k)
			return &d->questions[(*from)++];
	return NULL;
}

const struct doctor_question *
doctor_first(const struct doctor *d, enum doctor_kind k)
{
	size_t from = 0;

	return doctor_next(d, k, &from);
}

bool
doctor_is_answered(const struct doctor_question *a)
{
	return a->answer != NULL && a->answer->status < DNS_SERVFAIL;
}

const char *
doctor_status(const struct doctor_question *a)
{
	return a->answer == NULL ? "not asked, the answers came too slowly"
				 : dns_status_to_text(a->answer->status);
}

static struct doctor_question *
doctor_ask(struct doctor *d, enum doctor_kind k, enum resolver_type type,
    const char *name)
{
	struct doctor_question *a;

	must(d->count < d->max);
	a = &d->questions[d->count++];
	a->doctor = d;
	a->kind = k;
	a->type = type;
	/* cut, it is still too long to be asked: "no such name" */
	snprintf(a->name, sizeof(a->name), "%.*s",
	    (int)sizeof(a->name) - 1, name);
	return a;
}

static void
doctor_ask_addresses(struct doctor *d, enum doctor_kind k, const char *name)
{
	doctor_ask(d, k, RESOLVER_A, name);
	doctor_ask(d, k, RESOLVER_AAAA, name);
}

/* -- a round --------------------------------------------------------------- */

static void
doctor_on_round(void *request, void *unused)
{
	struct request *q = request;
	struct doctor  *d = q->state;

	(void)unused;
	d->then(q);
}

static void doctor_on_answer(void *question, const struct dns_answer *answer);

/* The resolver's loop. */
static void
doctor_pump(struct doctor *d)
{
	struct doctor_question *a;

	if (loop_now(d->q->relay->delivery).ms > d->until.ms)
		d->next = d->count;
	while (d->next < d->count && d->open < DOCTOR_OPEN_MAX) {
		a = &d->questions[d->next++];
		if (resolver_ask_fresh(d->q->relay->resolver, a->type,
			a->name, doctor_on_answer, a) != 0)
			d->open++;
	}
	if (d->open == 0)
		loop_post_reserved(d->q->relay->main, doctor_on_round, d->q,
		    NULL);
}

static void
doctor_on_answer(void *question, const struct dns_answer *answer)
{
	struct doctor_question *a = question;

	a->answer = dns_answer_ref(answer);
	a->doctor->open--;
	doctor_pump(a->doctor);
}

static void
doctor_on_delivery(void *doctor, void *unused)
{
	(void)unused;
	doctor_pump(doctor);
}

static void
doctor_round(struct doctor *d, request_fn *then)
{
	struct relay *r = d->q->relay;

	d->then = then;
	d->until.ms = loop_now(r->main).ms + DOCTOR_ROUND_MS;
	if (!loop_reserve(r->main)) {
		then(d->q);
	} else if (!loop_post(r->delivery, doctor_on_delivery, d, NULL)) {
		loop_unreserve(r->main);
		then(d->q);
	}
}

/* -- the second round: what the first has named ---------------------------- */

static void
doctor_after_second(struct request *q)
{
	doctor_spf_ask(q->state);
}

/* The name that is the EHLO name, or the first. */
static const char *
doctor_ptr_name(const struct doctor_source *s, const struct dns_answer *a)
{
	size_t i;

	for (i = 0; i < a->count; i++)
		if (bytes_eq_nocase(bytes_of(a->names[i]), bytes_of(s->ehlo)))
			return a->names[i];
	return a->names[0];
}

/* The best MX; the domain itself when it has none. */
static const char *
doctor_best_mx(const struct doctor_question *a, const char *domain)
{
	const struct dns_mx *best = NULL;
	size_t		     i;

	if (!doctor_is_answered(a) || a->answer->status == DNS_NXDOMAIN)
		return "";
	for (i = 0; i < a->answer->count; i++)
		if (best == NULL ||
		    a->answer->mx[i].preference < best->preference)
			best = &a->answer->mx[i];
	return best != NULL ? best->host : domain;
}

/* Who is connected to: the smart host, doctor.probe_host, or the best MX. */
static void
doctor_choose_probe(struct doctor *d)
{
	const struct conf *c = d->q->conf;

	d->probe_port = d->smart_host != NULL ? d->smart_host->port
					      : c->delivery.port;
	snprintf(d->probe_host, sizeof(d->probe_host), "%s",
	    d->smart_host != NULL ? d->smart_host->host
		: c->doctor.probe_host != NULL ? c->doctor.probe_host
		: doctor_best_mx(doctor_first(d, DOCTOR_PROBE_MX),
		    c->server.domain));
	if (d->is_probing && d->probe_host[0] != '\0' &&
	    (d->smart_host == NULL || !d->smart_host->is_address))
		doctor_ask_addresses(d, DOCTOR_PROBE_HOST, d->probe_host);
}

static void
doctor_second(struct request *q)
{
	struct doctor		     *d = q->state;
	const struct doctor_question *a;
	struct doctor_question	     *back;
	const struct doctor_source   *s;
	size_t			      from = 0;

	while ((a = doctor_next(d, DOCTOR_PTR, &from)) != NULL) {
		s = &d->sources[a->source];
		if (!doctor_is_answered(a) || a->answer->count == 0)
			continue;
		back = doctor_ask(d, DOCTOR_PTR_BACK,
		    s->family == AF_INET ? RESOLVER_A : RESOLVER_AAAA,
		    doctor_ptr_name(s, a->answer));
		back->source = a->source;
	}
	doctor_choose_probe(d);
	doctor_round(d, doctor_after_second);
}

/* -- the first round ------------------------------------------------------- */

static void
doctor_ask_source(struct doctor *d, size_t i)
{
	const struct doctor_source *s = &d->sources[i];
	const struct conf_list	   *zones = &d->q->conf->dnsbl.zones;
	struct dns_address	    a;
	struct doctor_question	   *question;
	char			    reverse[80], name[DNSBL_NAME_SIZE];
	size_t			    z;

	if (!dns_address_parse(bytes_of(s->address), &a))
		return;
	/* the world knows nothing of an address of a private network */
	if (!s->is_stored && dns_address_is_private(&a))
		return;
	dns_reverse_name(&a, reverse);
	question = doctor_ask(d, DOCTOR_PTR, RESOLVER_PTR, reverse);
	question->source = i;
	for (z = 0; z < zones->n && z < DOCTOR_ZONES_MAX; z++) {
		if (!dnsbl_name(s->address, zones->v[z], name))
			continue;
		question = doctor_ask(d, DOCTOR_LISTED, RESOLVER_A, name);
		question->source = i;
		question->zone = zones->v[z];
	}
}

void
doctor_begin(struct doctor *d)
{
	const struct conf *c = d->q->conf;
	char		   name[DOCTOR_NAME_SIZE + 64];
	size_t		   i;

	d->max = d->source_count * (2 + DOCTOR_ZONES_MAX) + QUESTIONS_ONCE;
	d->questions = mem_alloc(d->max * sizeof(*d->questions));
	for (i = 0; i < d->source_count && d->smart_host == NULL; i++)
		doctor_ask_source(d, i);
	doctor_ask(d, DOCTOR_FROM_MX, RESOLVER_MX,
	    c->mail_from.default_domain);
	doctor_ask(d, DOCTOR_FROM_SPF, RESOLVER_TXT,
	    c->mail_from.default_domain);
	doctor_ask_addresses(d, DOCTOR_FEEDBACK, c->mail_from.mx_host);
	doctor_ask(d, DOCTOR_PROBE_MX, RESOLVER_MX, c->server.domain);
	if (c->dkim.operator_key != NULL) {
		snprintf(name, sizeof(name), "%s._domainkey.%s",
		    c->dkim.operator_selector, c->dkim.operator_domain);
		doctor_ask(d, DOCTOR_OPERATOR_KEY, RESOLVER_TXT, name);
	}
	doctor_round(d, doctor_second);
}
