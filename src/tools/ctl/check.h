/* SPDX-License-Identifier: ISC */
/*
 * check.h - identity check: the preflight report, printed.
 *
 * Use:    check_run(c) asks the daemon and prints; the exit status says what
 *         was found: 0 all passed, 1 low findings only, 2 a high one, 3 it
 *         could not be judged.
 * Owner:  nothing is kept.
 * Thread: main.
 * Fails:  by the exit status.
 */
#ifndef TOOLS_CTL_CHECK_H
#define TOOLS_CTL_CHECK_H

struct ctl;
int check_run(struct ctl *c);

#endif
