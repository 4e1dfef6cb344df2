/* SPDX-License-Identifier: ISC */
/* Bodies: cut in any way, the same parts and names are found. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mime_result
scan(const struct mime_rules *rules, struct bytes type, struct bytes body,
    size_t step)
{
	struct mime	  *m = mime_new(rules);
	struct mime_result r;
	size_t		   at = 0;

	must(m != NULL);
	mime_outer_encoding(m, type);
	mime_outer(m, type, type);
	while (at < body.n) {
		struct bytes piece = bytes_head(bytes_from(body, at), step);

		mime_feed(m, piece);
		at += piece.n;
	}
	mime_end(m, &r);
	mime_free(m);
	return r;
}

static void
check(const struct mime_rules *rules, struct bytes type, struct bytes body,
    size_t step)
{
	struct mime_result whole = scan(rules, type, body, SIZE_MAX);
	struct mime_result cut = scan(rules, type, body, step);

	must(whole.verdict == cut.verdict && whole.parts == cut.parts);
	must(whole.has_test == cut.has_test);
	must(strcmp(whole.name, cut.name) == 0);
	must(strlen(whole.name) <= MIME_NAME_SHOWN);
	must((whole.verdict == MIME_BLOCKED_NAME) ==
	    (whole.name[0] != '\0'));
	must(whole.parts <= rules->parts_max + 1);
}

/* First octet: size of the pieces; first line: Content-Type; rest: body. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes	  in = { (const char *)data, size };
	struct mime_rules rules = { 20, NULL, true };
	struct err	  e;
	ptrdiff_t	  lf;
	struct mime_blocked *blocked;

	if (size == 0)
		return 0;
	in = bytes_from(in, 1);
	lf = bytes_find(in, 0, '\n');
	if (lf < 0)
		lf = (ptrdiff_t)in.n;
	blocked = mime_blocked_new(BYTES("default"), &e);
	must(blocked != NULL);
	rules.blocked = blocked;
	check(&rules, bytes_head(in, (size_t)lf),
	    bytes_from(in, (size_t)lf + 1), 1u + data[0] % 64u);
	mime_blocked_free(blocked);
	blocked = mime_blocked_new(in, &e);
	mime_blocked_free(blocked);
	return 0;
}
