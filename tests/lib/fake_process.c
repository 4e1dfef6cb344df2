/* SPDX-License-Identifier: ISC */
/*
 * The second half of base/process.h for the replay tests, where a child is
 * one more loop: no processes, no privileges, no sandbox.  Channels are those
 * of base/channel.c.
 */
#include "base/process.h"
#include "base/sandbox.h"

#include <stdio.h>
#include <string.h>

pid_t
process_start(const struct process_spec *s, struct err *e)
{
	return err_set(e, "no process %s in a replay", s->name);
}

void
process_title_init(int argc, char **argv)
{
	(void)argc;
	(void)argv;
}

int
process_user_find(const char *user, const char *group,
    struct process_user *out, struct err *e)
{
	(void)group;
	memset(out, 0, sizeof(*out));
	return err_set(e, "no user %s in a replay", user != NULL ? user : "-");
}

int
process_drop(const struct process_user *u, struct err *e)
{
	(void)u;
	(void)e;
	return 0;
}

int
process_harden(struct err *e)
{
	(void)e;
	return 0;
}

int
sandbox_enter(const struct sandbox *s, enum sandbox_mode mode,
    struct sandbox_got *got, struct err *e)
{
	(void)s;
	(void)mode;
	(void)e;
	got->files = got->calls = true;
	return 0;
}

const char *
sandbox_lacks(const struct sandbox_got *got, enum sandbox_mode mode)
{
	(void)got;
	(void)mode;
	return NULL;
}

int
process_files_max(unsigned long n, struct err *e)
{
	(void)n;
	(void)e;
	return 0;
}

void
process_notify(const char *state)
{
	(void)state;
}
