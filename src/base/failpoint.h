/* SPDX-License-Identifier: ISC */
/*
 * failpoint.h - places by name at which a test lets the process die.
 *
 * Use:    failpoint("commit.before") where a crash must do no harm; the name
 *         is a literal, so that tests/crash/failpoints finds it in the
 *         source.  Not armed it costs the load of a flag that is false.
 *         failpoint_arm() at the start of relay: $POSTHORN_FAILPOINT names a
 *         file with "NAME COUNT"; it is removed, so one order kills once,
 *         and at the COUNTth passing the process says "failpoint NAME
 *         pid=N" on standard error and ends by SIGKILL, as at any kill.
 * Owner:  one point at a time, of the process (a global, as the meters are:
 *         whoever passes must not need anything).
 * Thread: armed before threads start; passed in any.
 * Fails:  never.  Without the variable, with a file that cannot be read or
 *         removed, with an order that is not one: nothing is armed.  The
 *         caller does not arm where privileges are given up; the variable
 *         of a set-uid or otherwise raised program is not looked at.
 */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#include <stdbool.h>

extern bool failpoint_is_armed; /* constant once threads run */

void failpoint_arm(void);
void failpoint_pass(const char *name);

static inline void
failpoint(const char *name)
{
	if (__builtin_expect(failpoint_is_armed, 0))
		failpoint_pass(name);
}

#endif
