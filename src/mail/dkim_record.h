/* SPDX-License-Identifier: ISC */
/*
 * dkim_record.h - a published DKIM key record held against the key we own.
 *
 * Use:    dkim_record_judge(texts, count, &want, &verdict) with the TXT
 *         records found at SEL._domainkey.DOMAIN, the strings of each record
 *         joined (dkim.md section 8, RFC 6376 3.6.1).
 * Owner:  nothing is kept; all is borrowed during the call.
 * Thread: any, pure.
 * Fails:  never; hostile records end in an outcome.
 * The outcomes OPERATOR_ZONE and DNS_ERROR belong to those who ask DNS.
 */
#ifndef MAIL_DKIM_RECORD_H
#define MAIL_DKIM_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

enum dkim_record_outcome {
	DKIM_RECORD_MATCH,
	DKIM_RECORD_ABSENT, /* no record was given */
	DKIM_RECORD_MISMATCH,
	DKIM_RECORD_REVOKED,
	DKIM_RECORD_MULTIPLE,
	DKIM_RECORD_MALFORMED
};
const char *dkim_record_outcome_to_text(enum dkim_record_outcome o);

enum dkim_key_kind { DKIM_KEY_RSA, DKIM_KEY_ED25519 };
const char *dkim_key_kind_to_text(enum dkim_key_kind k); /* the k= value */

struct dkim_record_key {
	enum dkim_key_kind kind;
	struct bytes	   public_key; /* base64 text, the p= value */
};
struct dkim_record_verdict {
	enum dkim_record_outcome outcome;
	bool test_mode;	    /* t=y */
	bool case_folded;   /* MISMATCH: the key differs in letter case only */
	const char *reason; /* constant text; "" with MATCH */
};
/* Most octets of a key in DER: RSA 4096 needs 550. */
enum { DKIM_RECORD_DER_MAX = 1200 };

void dkim_record_judge(const struct bytes *texts, size_t count,
    const struct dkim_record_key *want, struct dkim_record_verdict *out);

#endif
