/* SPDX-License-Identifier: ISC */
#include "delivery/attempt.h"

#include "base/err.h"

enum { ATTEMPT_ARENA = 256 * 1024 };

struct attempt *
attempt_new(void)
{
	struct arena   *arena = arena_new(ATTEMPT_ARENA);
	struct attempt *a = arena_alloc(arena, sizeof(*a));

	must(a != NULL);
	a->arena = arena;
	return a;
}

void
attempt_free(struct attempt *a)
{
	if (a != NULL)
		arena_free(a->arena); /* it lives in it itself */
}

const char *
result_kind_to_text(enum result_kind k)
{
	static const char *const names[] = { "none", "reply", "connect",
		"timeout", "lost", "unsure", "protocol", "tls-missing",
		"tls-failed", "too-large", "not-8bit", "null-mx", "loop",
		"nxdomain", "no-address", "dns", "resolver", "local",
		"cancelled" };

	must((unsigned)k < sizeof(names) / sizeof(names[0]));
	return names[k];
}
