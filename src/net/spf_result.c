/* SPDX-License-Identifier: ISC */
#include "net/spf_result.h"

const char *
spf_result_to_text(enum spf_result r)
{
	switch (r) {
	case SPF_OUTCOME_NONE:
		return "none";
	case SPF_OUTCOME_NEUTRAL:
		return "neutral";
	case SPF_OUTCOME_PASS:
		return "pass";
	case SPF_OUTCOME_FAIL:
		return "fail";
	case SPF_OUTCOME_SOFTFAIL:
		return "softfail";
	case SPF_OUTCOME_TEMPERROR:
		return "temperror";
	case SPF_OUTCOME_PERMERROR:
		break;
	}
	return "permerror";
}
