/* SPDX-License-Identifier: ISC */
/*
 * spf_record.h - what the text of an SPF record says without asking anybody
 * (mail-from-spf-dmarc.md 6, RFC 7208 4.5, 4.6).  Whom it permits is
 * evaluated by net/spf.h, and whether it is one at all.
 *
 * Use:    n = spf_find(texts, count, &text) of net/spf_term.h; with one found
 *         spf_record_read(text, &record).
 * Owner:  nothing is kept; all lends from the text.
 * Thread: any, pure.
 * Fails:  never; of a record that is wrong the terms before that count.
 */
#ifndef MAIL_SPF_RECORD_H
#define MAIL_SPF_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

enum { SPF_RECORD_OCTETS = 450 }; /* longer ones may not fit an answer */

struct spf_record {
	char   all;	 /* qualifier of "all": '+' '-' '~' '?'; 0 = absent */
	bool   redirect; /* redirect= is there */
	bool   ptr;
	bool   is_long;
};
/* text is one that spf_find() has found. */
void spf_record_read(struct bytes text, struct spf_record *out);
/* Does it include that domain, or list that address, by ip4: or ip6:? */
bool spf_record_includes(struct bytes text, struct bytes domain);
bool spf_record_lists(struct bytes text, const char *ip);

#endif
