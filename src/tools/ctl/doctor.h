/* SPDX-License-Identifier: ISC */
/*
 * doctor.h - posthornctl doctor: what the daemon finds, and what only the
 * operator may look at: files and their modes.
 * Use:    a row of ctl_system_commands.
 * Owner:  struct ctl is the caller's.
 * Thread: one.
 * Fails:  status 3 when the daemon cannot be reached; else 0 all passed, 1
 *         low findings only, 2 a high one, 3 one that could not be judged.
 */
#ifndef TOOLS_DOCTOR_H
#define TOOLS_DOCTOR_H

#include "tools/ctl/ctl.h"

int doctor_run(struct ctl *c);
/* Of a list of checks: 0 all passed, 1 low findings only, 2 a high one, 3 not
 * judged; and the word for it. */
int doctor_worst(json_t *checks);
const char *doctor_result(int status);

#endif
