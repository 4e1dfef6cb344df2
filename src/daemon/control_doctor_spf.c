/* SPDX-License-Identifier: ISC */
/*
 * doctor: may the source addresses send for the default MAIL FROM domain?
 * libspf2 is in the verifier process; it is asked once for each address.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/control_doctor.h"
#include "registry/spf_state.h"

static void
doctor_on_spf(void *doctor, void *unused)
{
	(void)unused;
	doctor_ports_open(doctor);
}

void
doctor_spf_ask(struct doctor *d)
{
	const struct conf *c = d->q->conf;
	struct verify_job *j;
	size_t		   i, n = d->smart_host != NULL ? 0 : d->source_count;

	d->spf_jobs = mem_alloc((n + 1) * sizeof(*d->spf_jobs));
	d->spf_results = mem_alloc((n + 1) * sizeof(*d->spf_results));
	for (i = 0; i < n; i++) {
		j = &d->spf_jobs[i];
		j->kind = VERIFY_SPF;
		bytes_text(bytes_of(c->mail_from.default_domain), j->domain,
		    sizeof(j->domain));
		bytes_text(bytes_of(d->sources[i].address), j->ip,
		    sizeof(j->ip));
		bytes_text(bytes_of(d->sources[i].ehlo), j->helo,
		    sizeof(j->helo));
		if (c->mail_from.spf_include != NULL)
			bytes_text(bytes_of(c->mail_from.spf_include),
			    j->include, sizeof(j->include));
	}
	d->spf = (struct inquiry){ .jobs = d->spf_jobs,
		.results = d->spf_results, .n = n,
		.asker = d->q->relay->main, .done = doctor_on_spf, .arg = d };
	if (n > 0 && loop_reserve(d->spf.asker)) {
		if (reporter_post_inquiry(d->q->relay->reporter, &d->spf))
			return;
		loop_unreserve(d->spf.asker);
	}
	d->spf.n = 0;
	doctor_ports_open(d);
}

/* The world does not see an address of a private network. */
static bool
spf_is_asked(const struct doctor *d, size_t i)
{
	const struct doctor_question *a;
	size_t			      from = 0;

	if (d->sources[i].is_stored)
		return true;
	while ((a = doctor_next(d, DOCTOR_PTR, &from)) != NULL)
		if (a->source == i)
			return true;
	return false;
}

/* Without a record, or with two, the finding about that says enough. */
void
doctor_judge_spf(struct doctor *d)
{
	const struct conf	   *c = d->q->conf;
	const struct verify_result *r;
	const char		   *domain = c->mail_from.default_domain;
	size_t			    i;
	json_t			   *f;

	for (i = 0; i < d->spf.n; i++) {
		r = &d->spf_results[i];
		if (!spf_is_asked(d, i) || r->outcome == DKIM_ABSENT ||
		    r->spf.records > 1)
			continue;
		if (r->outcome == DKIM_MATCH) {
			doctor_add(d->q, "SPF_INCLUDES", FINDING_PASS,
			    "%s may send for %s", d->sources[i].address,
			    domain);
			continue;
		}
		if (r->outcome == DKIM_DNS_ERROR) {
			f = doctor_add(d->q, "SPF_INCLUDES", FINDING_UNKNOWN,
			    "%s: %s", domain, r->hint);
			remedy_ask(f, "TXT", domain);
			continue;
		}
		f = doctor_add(d->q, "SPF_INCLUDES", FINDING_FAIL,
		    "%s %s: %s for %s%s%s", spf_state_finding(r),
		    d->sources[i].address, spf_result_to_text(r->spf.result),
		    domain, r->hint[0] != '\0' ? ", " : "", r->hint);
		if (r->spf.names_us) {
			remedy_publish_sources(f, d->q, d->spf_rows, domain);
			continue;
		}
		remedy_publish_spf(f, d->q, domain);
		if (c->mail_from.spf_include != NULL)
			remedy_then_print_spf(f,
			    c->mail_from.spf_include);
	}
}

void
doctor_spf_free(struct doctor *d)
{
	mem_free(d->spf_jobs);
	mem_free(d->spf_results);
}
