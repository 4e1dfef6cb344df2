/* SPDX-License-Identifier: ISC */
#include "registry/resource_tags.h"

#include <string.h>

#include "base/utf8.h"
#include "registry/book.h"
#include "store/pack.h"

enum {
	TAGS_RECORD = 1,
	TAGS_OCTETS = 128 * 1024, /* a stored row of them, at most */
	TAG_KEY_MAX = 128, /* characters */
	TAG_VALUE_MAX = 256
};

/* Characters of UTF-8; -1 = it is none, or has control characters. */
static ptrdiff_t
text_characters(struct bytes s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return -1;
	return utf8_count(s);
}

int
resource_tags_add(struct resource_tags *tags, struct bytes key,
    struct bytes value, struct err *e)
{
	ptrdiff_t k = text_characters(key), v = text_characters(value);
	unsigned  i;

	if (k < 1 || k > TAG_KEY_MAX)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the key of a tag has 1 to %d characters", TAG_KEY_MAX);
	if (v < 0 || v > TAG_VALUE_MAX)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the value of a tag has at most %d characters",
		    TAG_VALUE_MAX);
	if (bytes_starts_nocase(key, BYTES("aws:")))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the key of a tag cannot begin with aws:");
	for (i = 0; i < tags->n; i++)
		if (bytes_eq(tags->v[i].key, key))
			return book_refuse(e, BOOK_BAD_REQUEST,
			    "the tag %.*s is given twice", (int)key.n, key.p);
	if (tags->n == RESOURCE_TAGS_MAX)
		return book_refuse(e, BOOK_BAD_REQUEST, "at most %d tags",
		    RESOURCE_TAGS_MAX);
	tags->v[tags->n].key = key;
	tags->v[tags->n++].value = value;
	return 0;
}

bool
resource_tags_write(const struct resource_tags *tags, struct buf *out)
{
	unsigned i;

	pack_u64(out, TAGS_RECORD);
	pack_u64(out, tags->n);
	for (i = 0; i < tags->n; i++) {
		pack_bytes(out, tags->v[i].key);
		pack_bytes(out, tags->v[i].value);
	}
	return !out->failed;
}

bool
resource_tags_read(struct bytes in, struct resource_tags *out)
{
	struct unpack u = unpack_of(in);
	uint64_t      version = unpack_u64(&u), n = unpack_u64(&u);
	unsigned      i;

	memset(out, 0, sizeof(*out));
	if (u.failed || version != TAGS_RECORD || n > RESOURCE_TAGS_MAX)
		return false;
	out->n = (unsigned)n;
	for (i = 0; i < out->n; i++) {
		out->v[i].key = unpack_bytes(&u);
		out->v[i].value = unpack_bytes(&u);
	}
	return unpack_done(&u);
}

int
resource_tags_get(struct db_txn *t, enum book_table table, struct bytes key,
    struct arena *a, struct resource_tags *out, struct err *e)
{
	struct bytes value;
	int	     found = db_get(t, table, key, &value, e);

	memset(out, 0, sizeof(*out));
	if (found <= 0)
		return found;
	value = arena_bytes(a, value);
	if (value.p == NULL)
		return err_set(e, "no memory for the tags of a resource");
	if (!resource_tags_read(value, out))
		return err_set(e, "the tags of a resource are damaged");
	return 0;
}

int
resource_tags_put(struct db_txn *t, enum book_table table, struct bytes key,
    const struct resource_tags *tags, struct err *e)
{
	struct buf b;

	if (tags->n == 0)
		return db_delete(t, table, key, e) < 0 ? -1 : 0;
	buf_init(&b, TAGS_OCTETS);
	resource_tags_write(tags, &b);
	return book_put(t, table, key, &b, e);
}

json_t *
resource_tags_json(const struct resource_tags *tags)
{
	json_t	*list = json_array();
	unsigned i;

	for (i = 0; i < tags->n; i++)
		json_array_append_new(list, json_pack("{s:s%, s:s%}", "Key",
		    tags->v[i].key.p, tags->v[i].key.n, "Value",
		    tags->v[i].value.p, tags->v[i].value.n));
	return list;
}
