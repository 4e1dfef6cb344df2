/* SPDX-License-Identifier: ISC */
/*
 * The input is the rows of a redo log.  Each row lies within them and is not
 * empty of a key; what is read comes out the same after writing it again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "store/db.h"
#include "store/redo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_within(struct bytes part, const uint8_t *data, size_t size)
{
	const char *from = (const char *)data;

	if (part.n > 0 && (part.p < from || part.p + part.n > from + size))
		abort();
}

static void
check_again(const struct redo_row *row)
{
	struct redo_row again;
	struct bytes	rest;
	struct buf	b;

	buf_init(&b, 1 << 20);
	if (!(row->kind == REDO_BASE ? redo_base(&b, row->key, row->value)
	      : row->kind == REDO_PUT
		? redo_put(&b, row->table, row->key, row->value)
		: redo_delete(&b, row->table, row->key)))
		abort();
	rest = buf_bytes(&b);
	if (redo_next(&rest, &again) != 1 || again.kind != row->kind ||
	    !bytes_eq(again.key, row->key) ||
	    !bytes_eq(again.value, row->value) || rest.n != 0)
		abort();
	buf_wipe(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes	rest = { (const char *)data, size };
	struct redo_row row;
	size_t		before = rest.n;

	while (redo_next(&rest, &row) == 1) {
		if (rest.n >= before || row.key.n == 0 ||
		    row.key.n > DB_KEY_MAX)
			abort();
		before = rest.n;
		check_within(row.table, data, size);
		check_within(row.key, data, size);
		check_within(row.value, data, size);
		check_again(&row);
	}
	return 0;
}
