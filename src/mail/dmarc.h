/* SPDX-License-Identifier: ISC */
/*
 * dmarc.h - DMARC records and alignment (mail-from-spf-dmarc.md 7, RFC 7489).
 *
 * Use:    dmarc_read(texts, count, &record) with the TXT records found at
 *         _dmarc.DOMAIN, the strings of each joined; when it says ABSENT, once
 *         more with those of the organisational domain.
 * Owner:  nothing is kept; record.text lends from the texts.
 * Thread: any, pure.
 * Fails:  never; hostile records end in a finding.
 */
#ifndef MAIL_DMARC_H
#define MAIL_DMARC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

enum dmarc_finding { DMARC_ABSENT, DMARC_FOUND, DMARC_MALFORMED };
enum dmarc_policy { DMARC_NONE, DMARC_QUARANTINE, DMARC_REJECT };
const char *dmarc_policy_to_text(enum dmarc_policy p); /* "quarantine" */

enum { DMARC_TAGS_MAX = 64 };
struct dmarc_record {
	enum dmarc_policy policy;
	bool		  has_sub_policy;
	enum dmarc_policy sub_policy; /* sp= */
	bool		  strict_dkim, strict_spf; /* adkim=s, aspf=s */
	unsigned	  percent;
	struct bytes	  text; /* of FOUND and MALFORMED */
};
/* Several records count as none (6.6.3). */
enum dmarc_finding dmarc_read(const struct bytes *texts, size_t count,
    struct dmarc_record *out);
/* What holds for a From domain; inherited: the record is that of the
 * organisational domain above it. */
enum dmarc_policy dmarc_policy_of(const struct dmarc_record *r,
    bool inherited);

/* A domain and the organisational domain above it, or it. */
struct dmarc_domain {
	struct bytes name, organisation;
};
/* Is what passed (MAIL FROM domain, d=) that of the From domain? */
bool dmarc_is_aligned(const struct dmarc_domain *from,
    const struct dmarc_domain *passed, bool strict);

/* The record with aspf=r, adkim=r in the place of that tag, appended to out;
 * nothing when it is none. */
void dmarc_relax(struct bytes record, const char *tag, struct buf *out);

#endif
