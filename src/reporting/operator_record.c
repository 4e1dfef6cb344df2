/* SPDX-License-Identifier: ISC */
#include "reporting/operator_record.h"

#include <string.h>

#include "base/log.h"
#include "base/process.h"

struct operator_record {
	struct operator_key	key;
	struct operator_meters *meters; /* NULL = nobody counts */
	bool			waits; /* for an answer */
};

struct operator_record *
operator_record_new(struct operator_meters *m)
{
	struct operator_record *o = mem_alloc(sizeof(*o));

	o->meters = m;
	return o;
}

void
operator_record_free(struct operator_record *o)
{
	mem_free(o);
}

void
operator_record_want(struct operator_record *o, const struct operator_key *k)
{
	o->key = *k;
	o->waits = true;
}

void
operator_record_ask(struct operator_record *o, struct channel *verifier)
{
	struct verify_job j;
	struct buf	  b;

	if (!o->waits || verifier == NULL)
		return;
	memset(&j, 0, sizeof(j));
	j.ticket = OPERATOR_RECORD_TICKET;
	j.kind = VERIFY_DKIM;
	j.key_kind = DKIM_KEY_RSA;
	memcpy(j.domain, o->key.domain, sizeof(j.domain));
	memcpy(j.selector, o->key.selector, sizeof(j.selector));
	memcpy(j.public_key, o->key.public_key, sizeof(j.public_key));
	buf_init(&b, VERIFY_MESSAGE_MAX);
	if (!verify_job_encode(&j, &b) ||
	    !channel_send(verifier, buf_bytes(&b), -1))
		log_warn("operator-record", "d=%s s=%s reason=\"the verifier "
		    "could not be asked\"", o->key.domain, o->key.selector);
	buf_wipe(&b);
}

void
operator_record_take(struct operator_record *o, const struct verify_result *r)
{
	const char *hint = r->hint[0] != '\0' ? r->hint : r->warning;
	char	    quoted[LOG_QUOTE_SIZE];
	const char *outcome = dkim_outcome_to_text(r->outcome);

	if (!o->waits || r->kind != VERIFY_DKIM)
		return;
	o->waits = false;
	log_quote(bytes_of(hint), quoted);
	if (o->meters != NULL)
		meter_add(&o->meters->outcomes[r->outcome], 1);
	if (r->outcome == DKIM_MATCH)
		log_info("operator-record", "d=%s s=%s outcome=%s hint=%s",
		    o->key.domain, o->key.selector, outcome, quoted);
	else if (r->outcome == DKIM_DNS_ERROR)
		log_warn("operator-record", "d=%s s=%s outcome=%s hint=%s",
		    o->key.domain, o->key.selector, outcome, quoted);
	else
		log_error("operator-record", "d=%s s=%s outcome=%s hint=%s",
		    o->key.domain, o->key.selector, outcome, quoted);
}
