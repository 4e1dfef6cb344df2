/* SPDX-License-Identifier: ISC */
/*
 * Lists that come line by line, and are printed as they come: nothing but the
 * first rows is kept, which say how wide the columns are.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/ctl/ctl.h"
#include "tools/ctl/row.h"

enum { FIRST_ROWS = 1000, CELL_MAX = 1 << 20, FIRST_MAX = 64 << 20 };

struct ctl_list {
	const char	 *name;
	struct ctl_column column[CTL_COLUMNS_MAX];
	size_t		  columns;
	struct buf	  first; /* lines that wait for the widths */
	size_t		  rows;
	bool		  begun, damaged;
	struct buf	  cell, text;
	json_t		 *objects; /* where times become numbers */
};

/* -- a row as text --------------------------------------------------------- */

static bool
list_is_span(const struct ctl_column *col)
{
	size_t n = strlen(col->member);

	return n > 7 && strcmp(col->member + n - 7, "Seconds") == 0;
}

static void
list_add_text(struct ctl *c, struct buf *cell, struct bytes raw)
{
	size_t from = cell->n;

	if (memchr(raw.p, '\\', raw.n) == NULL)
		buf_add_bytes(cell, raw);
	else
		(void)row_unescape(raw, cell);
	if (cell->failed || cell->n == from) {
		buf_add_char(cell, '-');
		return;
	}
	ctl_clean_text(cell->p + from, cell->n - from);
	if (cell->n - from < 20 || cell->n - from > 32 ||
	    cell->p[from + 10] != 'T')
		return;
	buf_clear(&c->list->text);
	buf_add(&c->list->text, cell->p + from, cell->n - from);
	buf_add_char(&c->list->text, '\0');
	cell->n = from;
	if (!ctl_time_text(c, c->list->text.p, cell))
		buf_add_text(cell, c->list->text.p);
}

static void
list_make_cell(struct ctl *c, const struct row *r,
    const struct ctl_column *col, struct buf *cell)
{
	const struct row_member *m = row_find(r, col->member);
	char			 digits[24], span[32];
	size_t			 i;

	buf_clear(cell);
	if (m == NULL || m->kind == ROW_NULL ||
	    (m->kind == ROW_LIST && m->items == 0)) {
		buf_add_char(cell, '-');
	} else if (m->kind == ROW_NUMBER && list_is_span(col)) {
		bytes_text(m->value, digits, sizeof(digits));
		ctl_span_text(strtoll(digits, NULL, 10), span);
		buf_add_text(cell, span);
	} else if (m->kind == ROW_NUMBER) {
		buf_add_bytes(cell, m->value);
	} else if (m->kind == ROW_LIST) {
		for (i = 0; i < m->items; i++) {
			if (i > 0)
				buf_add_char(cell, ',');
			list_add_text(c, cell, m->item[i]);
		}
	} else if (m->kind == ROW_TEXT) {
		list_add_text(c, cell, m->value);
	} else {
		buf_add_text(cell, m->kind == ROW_TRUE ? "yes" : "no");
	}
}

static void
list_print_row(struct ctl *c, const struct row *r)
{
	struct ctl_list *l = c->list;
	size_t		 k;

	for (k = 0; k < l->columns; k++) {
		list_make_cell(c, r, &l->column[k], &l->cell);
		ctl_print_cell(c, &l->column[k], buf_bytes(&l->cell), k == 0,
		    k + 1 == l->columns);
	}
	putchar('\n');
}

/* -- the first rows -------------------------------------------------------- */

static void
list_measure(struct ctl *c, const struct row *r)
{
	struct ctl_list		*l = c->list;
	const struct row_member *m;
	struct ctl_column	*col;
	size_t			 k, w;

	for (k = 0; k < l->columns; k++) {
		col = &l->column[k];
		m = row_find(r, col->member);
		if (m != NULL && m->kind != ROW_NULL &&
		    (m->kind != ROW_NUMBER || list_is_span(col)))
			col->right = false;
		list_make_cell(c, r, col, &l->cell);
		w = ctl_letters(buf_bytes(&l->cell));
		if (w > col->width)
			col->width = w;
	}
}

static void
list_print_head(struct ctl *c)
{
	struct ctl_list *l = c->list;
	size_t		 k;

	l->begun = true;
	if (c->form == CTL_JSON) {
		printf("{\n    \"%s\": [", l->name);
		return;
	}
	for (k = 0; k < l->columns && !c->no_header; k++)
		ctl_print_cell(c, &l->column[k],
		    bytes_of(l->column[k].heading), k == 0,
		    k + 1 == l->columns);
	if (!c->no_header)
		putchar('\n');
}

/* fn for each line that waits */
static void
list_each_first(struct ctl *c, void (*fn)(struct ctl *c, const struct row *r))
{
	struct bytes rest = buf_bytes(&c->list->first), line;
	struct row   r;
	ptrdiff_t    end;

	while ((end = bytes_find(rest, 0, '\n')) >= 0) {
		line = bytes_head(rest, (size_t)end);
		rest = bytes_from(rest, (size_t)end + 1);
		if (row_read(line, &r))
			fn(c, &r);
	}
}

/* The widths are known: what has waited is printed. */
static void
list_begin(struct ctl *c)
{
	struct ctl_list *l = c->list;
	size_t		 k;

	for (k = 0; k < l->columns; k++) {
		l->column[k].width = strlen(l->column[k].heading);
		l->column[k].right = l->rows > 0;
	}
	if (c->form == CTL_TEXT)
		list_each_first(c, list_measure);
	list_print_head(c);
	list_each_first(c, list_print_row);
	buf_wipe(&l->first);
}

/* -- coming in ------------------------------------------------------------- */

static void
list_print_json(struct ctl *c, const struct row *r)
{
	struct ctl_list *l = c->list;

	if (!l->begun)
		list_print_head(c);
	buf_clear(&l->text);
	buf_add_text(&l->text, l->rows > 0 ? ",\n        " : "\n        ");
	row_write(r, 8, &l->text);
	ctl_write_json(l->text.p, l->text.n, stdout);
}

bool
ctl_list_take(struct ctl *c, struct bytes line)
{
	struct ctl_list *l = c->list;
	struct row	 r;

	if (l == NULL || c->http_json || !row_read(line, &r))
		return false;
	if (c->form == CTL_JSON) {
		list_print_json(c, &r);
	} else if (l->begun) {
		list_print_row(c, &r);
	} else {
		if (!buf_add_bytes(&l->first, line) ||
		    !buf_add_char(&l->first, '\n'))
			l->damaged = true;
		if (l->rows + 1 == FIRST_ROWS)
			list_begin(c);
	}
	l->rows++;
	return true;
}

/* What row.c does not read: as --http-json wants it. */
static void
list_on_object(struct ctl *c, json_t *line)
{
	if (c->http_json)
		json_array_append(c->list->objects, line);
	else
		c->list->damaged = true;
}

/* -- the end --------------------------------------------------------------- */

static void
list_end_json(struct ctl *c, json_t *result)
{
	struct ctl_list *l = c->list;
	const char	*name;
	json_t		*v;

	if (!l->begun)
		list_print_head(c);
	printf(l->rows > 0 ? "\n    ]" : "]");
	json_object_foreach(result, name, v) {
		printf(",\n    \"%s\": ", name);
		json_dump_callback(v, ctl_write_json, stdout, JSON_COMPACT |
		    JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	}
	puts("\n}");
}

static void
list_end(struct ctl *c, json_t *result)
{
	struct ctl_list *l = c->list;

	if (c->http_json) {
		if (result == NULL)
			return;
		json_object_set(result, l->name, l->objects);
		ctl_print_json(result);
	} else if (c->form == CTL_JSON) {
		if (result != NULL || l->begun)
			list_end_json(c, result);
	} else if (!l->begun && (result != NULL || l->rows > 0)) {
		list_begin(c);
	}
	if (l->damaged) {
		ctl_say_error(c, "InternalServiceErrorException",
		    "posthornd said what is no row of a list");
		c->status = CTL_UNREACHABLE;
	}
}

int
ctl_call_list(struct ctl *c, const char *name, const char *columns)
{
	struct ctl_list *l = mem_alloc(sizeof(*l));
	json_t		*result = NULL;

	l->name = name;
	l->columns = ctl_columns(columns, l->column);
	l->objects = json_array();
	buf_init(&l->first, FIRST_MAX);
	buf_init(&l->cell, CELL_MAX);
	buf_init(&l->text, CELL_MAX);
	c->list = l;
	(void)ctl_call(c, c->command->verb, list_on_object, &result);
	list_end(c, result);
	c->list = NULL;
	json_decref(l->objects);
	json_decref(result);
	buf_wipe(&l->first);
	buf_wipe(&l->cell);
	buf_wipe(&l->text);
	mem_free(l);
	return c->status;
}
