/* SPDX-License-Identifier: ISC */
/*
 * The default MAIL FROM domain (mail-from-spf-dmarc.md 10): soon after the
 * start, and after a reload, its MX is looked for, until there is an answer.
 * What comes of it is logged; mail is sent all the same.
 */
#include <string.h>

#include "base/log.h"
#include "daemon/relay.h"
#include "registry/mail_from.h"

enum {
	DEFAULT_FIRST_MS = 5 * 1000, /* the verifier begins beside us */
	DEFAULT_AGAIN_MS = 60 * 1000
};

struct relay_default {
	struct relay	    *relay;
	struct timer	     time;
	struct inquiry	     inquiry;
	struct verify_job    job;
	struct verify_result result;
	bool		     is_out;
	bool		     has_failed; /* said already */
};

static void
default_on_answer(void *arg, void *unused)
{
	struct relay_default	   *d = arg;
	const struct verify_result *r = &d->result;
	char			    hint[LOG_QUOTE_SIZE];

	(void)unused;
	d->is_out = false;
	if (r->outcome == DKIM_MATCH) {
		d->has_failed = false;
		return;
	}
	if (r->outcome != DKIM_DNS_ERROR || !d->has_failed)
		log_warn("mail_from:", "default domain has no MX domain=%s "
		    "outcome=%s hint=%s", d->job.domain,
		    mail_from_outcome_to_text(r->outcome),
		    log_quote(bytes_of(r->hint), hint));
	d->has_failed = r->outcome == DKIM_DNS_ERROR;
	if (d->has_failed && !d->relay->stopping)
		timer_set(&d->time, DEFAULT_AGAIN_MS);
}

static void
default_on_time(void *arg, void *unused)
{
	struct relay_default *d = arg;
	struct relay	     *r = d->relay;
	const struct conf    *c = r->conf;

	(void)unused;
	if (r->stopping || d->is_out)
		return;
	memset(&d->job, 0, sizeof(d->job));
	d->job.kind = VERIFY_MX;
	bytes_text(bytes_of(c->mail_from.default_domain), d->job.domain,
	    sizeof(d->job.domain));
	bytes_text(bytes_of(c->mail_from.mx_host), d->job.mx_host,
	    sizeof(d->job.mx_host));
	d->inquiry = (struct inquiry){ .jobs = &d->job,
		.results = &d->result, .n = 1, .asker = r->main,
		.done = default_on_answer, .arg = d };
	d->is_out = loop_reserve(r->main);
	if (d->is_out && !reporter_post_inquiry(r->reporter, &d->inquiry)) {
		loop_unreserve(r->main);
		d->is_out = false;
	}
	if (!d->is_out)
		timer_set(&d->time, DEFAULT_AGAIN_MS);
}

void
relay_begin_default(struct relay *r)
{
	struct relay_default *d = mem_alloc(sizeof(*d));

	d->relay = r;
	r->default_domain = d;
	timer_init(&d->time, r->main, default_on_time, d);
	timer_set(&d->time, DEFAULT_FIRST_MS);
}

void
relay_reload_default(struct relay *r)
{
	timer_set(&r->default_domain->time, DEFAULT_FIRST_MS);
}

void
relay_end_default(struct relay *r)
{
	if (r->default_domain == NULL)
		return;
	timer_clear(&r->default_domain->time);
	mem_free(r->default_domain);
}
