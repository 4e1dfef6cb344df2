/* SPDX-License-Identifier: ISC */
/* The rows of a write transaction: noted for the redo log, and done again. */
#include "store/db_private.h"
#include "store/redo.h"

static struct bytes
db_name(const struct db *d, MDB_dbi dbi)
{
	size_t i;

	for (i = 0; i < d->table_count; i++)
		if (d->tables[i] == dbi)
			return bytes_of(d->names[i]);
	return BYTES("meta");
}

void
db_note_put(struct db *d, MDB_dbi dbi, struct bytes key, MDB_val value)
{
	if (d->rows != NULL)
		redo_put(d->rows, db_name(d, dbi), key, bytes_of_val(value));
}

void
db_note_delete(struct db *d, MDB_dbi dbi, struct bytes key)
{
	if (d->rows != NULL)
		redo_delete(d->rows, db_name(d, dbi), key);
}

void
db_record(struct db *d, struct buf *rows)
{
	d->rows = rows;
}

static bool
db_find(const struct db *d, struct bytes name, MDB_dbi *dbi)
{
	size_t i;

	*dbi = d->meta;
	for (i = 0; i < d->table_count; i++)
		if (bytes_eq(name, bytes_of(d->names[i])))
			*dbi = d->tables[i];
	return *dbi != d->meta || bytes_eq(name, BYTES("meta"));
}

static int
db_apply_row(struct db_txn *t, const struct redo_row *row, struct err *e)
{
	MDB_val k = val_of(row->key), v = val_of(row->value);
	MDB_dbi dbi;
	int	rc = MDB_NOTFOUND;

	if (db_find(t->db, row->table, &dbi))
		rc = row->kind == REDO_DELETE
		    ? mdb_del(t->txn, dbi, &k, NULL)
		    : mdb_put(t->txn, dbi, &k, &v, 0);
	/* what it deleted was there */
	return rc == 0 ? 0 : db_error(t->db, rc, e, "redo");
}

int
db_apply(struct db_txn *t, struct bytes rows, struct err *e)
{
	struct redo_row row;
	int		rc;

	while ((rc = redo_next(&rows, &row)) == 1)
		if (db_apply_row(t, &row, e) < 0)
			return -1;
	if (rc < 0) {
		err_set(e, "store %s: damaged redo log", t->db->dir);
		e->code = DB_DOWN;
	}
	return rc;
}
