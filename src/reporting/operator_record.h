/* SPDX-License-Identifier: ISC */
/*
 * operator_record.h - is the record of the operator's own key published?
 * (dkim.md 6.2)  What it finds is logged and counted; no mail stops for it.
 *
 * Use:    o = operator_record_new(meters); operator_record_want(o, &key);
 *         operator_record_ask(o, channel) now and for each new verifier;
 *         its result, by OPERATOR_RECORD_TICKET: operator_record_take(o, &r).
 * Owner:  the verification; the key is copied, meters are lent for life.
 * Thread: that of the verification.
 * Fails:  what cannot be sent waits for the next verifier, or the next look.
 */
#ifndef REPORTING_OPERATOR_RECORD_H
#define REPORTING_OPERATOR_RECORD_H

#include "base/meter.h"
#include "registry/verify_job.h"

/* Tickets of checks of identities begin above it. */
enum { OPERATOR_RECORD_TICKET = 0 };

struct channel;
struct operator_record;

struct operator_key {
	char domain[VERIFY_NAME_SIZE], selector[VERIFY_SELECTOR_SIZE];
	char public_key[VERIFY_KEY_SIZE]; /* base64 */
};
struct operator_meters {
	struct meter outcomes[DKIM_DNS_ERROR + 1];
};

struct operator_record *operator_record_new(struct operator_meters *m);
void operator_record_free(struct operator_record *o); /* NULL is allowed */
void operator_record_want(struct operator_record *o,
    const struct operator_key *k);
void operator_record_ask(struct operator_record *o, struct channel *verifier);
void operator_record_take(struct operator_record *o,
    const struct verify_result *r);

#endif
