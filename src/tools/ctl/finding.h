/* SPDX-License-Identifier: ISC */
/*
 * finding.h - one finding of identity check or doctor, printed: what was
 * found, why, and what mends it.
 *
 * Use:    finding_print(c, checks, i, &form) for each of the list, in order.
 *         What mends several findings is shown with the first of them.
 * Owner:  the list is the caller's.
 * Thread: one.
 * Fails:  never; a row that is none is left out.
 */
#ifndef TOOLS_CTL_FINDING_H
#define TOOLS_CTL_FINDING_H

#include "tools/ctl/ctl.h"

struct finding_form {
	int result_width, id_width;
};
void finding_print(struct ctl *c, json_t *checks, size_t i,
    const struct finding_form *form);

#endif
