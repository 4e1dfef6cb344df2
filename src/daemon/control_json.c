/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include "daemon/control_private.h"

json_t *
json_of_bytes(struct bytes b)
{
	json_t *j = json_stringn(b.p != NULL ? b.p : "", b.n);
	char   *ascii;
	size_t	i;

	if (j != NULL)
		return j;
	/* from a peer, and not UTF-8 */
	ascii = mem_dup_bytes(b);
	for (i = 0; i < b.n; i++)
		if ((unsigned char)ascii[i] > 126)
			ascii[i] = '?';
	j = json_stringn(ascii, b.n);
	mem_free(ascii);
	return j;
}

json_t *
json_of_text(const char *s)
{
	return s == NULL || s[0] == '\0' ? json_null()
					 : json_of_bytes(bytes_of(s));
}

json_t *
json_of_wall(struct wall w)
{
	char text[CLOCK_TEXT_MAX];

	return w.ms == 0 ? json_null() : json_string(wall_iso(w, text));
}

json_t *
json_of_amount(double v)
{
	return json_real(v < 0 ? -1.0 : v);
}

int
request_set_document(struct request *q, struct buf *document)
{
	json_t *shown = document->failed ? NULL :
		json_loadb(document->p, document->n, 0, NULL);

	buf_wipe(document);
	if (shown == NULL)
		return err_set(&q->err, "no room for an answer");
	json_object_update_new(q->result, shown);
	return 0;
}

/* -- pages of lists -------------------------------------------------------- */

int
page_open(struct request *q, struct page *p)
{
	int64_t limit = 0;

	memset(p, 0, sizeof(*p));
	if (arg_int(q, "limit", 1, 1000000, &limit) < 0)
		return -1;
	p->limit = (size_t)limit;
	p->after = arg_text(q, "next-token");
	p->rows = json_array();
	return 0;
}

bool
page_is_full(struct page *p)
{
	return p->more;
}

bool
page_wants(struct page *p, const char *key)
{
	if (p->after != NULL && strcmp(key, p->after) <= 0)
		return false;
	if (p->limit > 0 && json_array_size(p->rows) == p->limit) {
		p->more = true;
		return false;
	}
	bytes_text(bytes_of(key), p->last, sizeof(p->last));
	return true;
}

void
page_close(struct request *q, struct page *p, const char *name)
{
	request_set(q, name, p->rows);
	if (p->more)
		request_set(q, "NextToken", json_of_bytes(bytes_of(p->last)));
	p->rows = NULL;
}
