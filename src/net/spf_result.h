/* SPDX-License-Identifier: ISC */
/*
 * spf_result.h - what check_host() of RFC 7208 can say; the words of it for
 * those who do not link net/spf.h.
 * Use:    spf_result_to_text(r)
 * Owner:  constant texts.
 * Thread: any.
 * Fails:  never.
 */
#ifndef NET_SPF_RESULT_H
#define NET_SPF_RESULT_H

enum spf_result {
	SPF_OUTCOME_NONE,
	SPF_OUTCOME_NEUTRAL,
	SPF_OUTCOME_PASS,
	SPF_OUTCOME_FAIL,
	SPF_OUTCOME_SOFTFAIL,
	SPF_OUTCOME_TEMPERROR,
	SPF_OUTCOME_PERMERROR
};
const char *spf_result_to_text(enum spf_result r); /* "softfail" */

#endif
