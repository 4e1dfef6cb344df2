/* SPDX-License-Identifier: ISC */
/*
 * row.h - a line of a long list, read without making anything of it.
 *
 * Use:    row_read(line, &row) for {"line":{...}}; row_find(); row_unescape()
 *         for what a table shows, row_write() for the same as JSON.
 * Owner:  the slices lie in the line.
 * Thread: one.
 * Fails:  false: not such a line (another answer, or more in it than flat
 *         values and lists of texts); jansson reads those.
 * Why:    of the 6.9 us that jansson took to make a row and 3.2 to print it,
 *         this takes a tenth; a list of a million rows was twenty seconds of
 *         posthornctl (docs/performance.md).
 */
#ifndef TOOLS_CTL_ROW_H
#define TOOLS_CTL_ROW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

enum { ROW_MEMBERS_MAX = 24, ROW_ITEMS_MAX = 8 };
enum row_kind { ROW_TEXT, ROW_NUMBER, ROW_NULL, ROW_TRUE, ROW_FALSE, ROW_LIST };
struct row_member {
	struct bytes  name;  /* as it stands between its quotes */
	enum row_kind kind;
	struct bytes  value; /* a text as it stands, a number's digits */
	struct bytes  item[ROW_ITEMS_MAX]; /* of a list: texts */
	size_t	      items;
};
struct row {
	struct row_member member[ROW_MEMBERS_MAX];
	size_t		  count;
};
bool row_read(struct bytes line, struct row *out);
/* NULL = there is none of that name */
const struct row_member *row_find(const struct row *r, const char *name);
/* A text with its escapes resolved, appended. */
bool row_unescape(struct bytes text, struct buf *out);
/* The object on lines of its own, so far to the right. */
void row_write(const struct row *r, int indent, struct buf *out);

#endif
