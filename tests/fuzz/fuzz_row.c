/* SPDX-License-Identifier: ISC */
/* A line of a list: what is taken of it is what jansson takes. */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "tools/ctl/row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
compare(const struct row *r, struct bytes line)
{
	struct buf out;
	json_t	  *theirs, *mine;

	theirs = json_loadb(line.p, line.n, JSON_ALLOW_NUL, NULL);
	/* that texts are UTF-8 is for posthornd to see to */
	if (theirs == NULL)
		return;
	buf_init(&out, 1 << 20);
	row_write(r, 0, &out);
	mine = json_loadb(out.p, out.n, JSON_ALLOW_NUL, NULL);
	must(mine != NULL);
	must(json_equal(mine, json_object_get(theirs, "line")));
	buf_wipe(&out);
	json_decref(mine);
	json_decref(theirs);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes line = { (const char *)data, size };
	struct row   r;
	struct buf   out;
	size_t	     i;

	if (!row_read(line, &r))
		return 0;
	must(r.count > 0 && r.count <= ROW_MEMBERS_MAX);
	compare(&r, line);
	buf_init(&out, 1 << 20);
	for (i = 0; i < r.count; i++)
		if (r.member[i].kind == ROW_TEXT)
			must(row_unescape(r.member[i].value, &out));
	must(out.n <= size);
	buf_wipe(&out);
	return 0;
}
