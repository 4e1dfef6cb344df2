/* SPDX-License-Identifier: ISC */
/*
 * The first octet chooses what the rest is: a stored set, its stored labels,
 * or the JSON of an operator.  What can be read comes out the same when it is
 * written and read again.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "registry/config_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
pass_record(struct bytes in, struct buf *out)
{
	struct config_set s, again;

	if (!config_set_read_record(in, &s))
		return;
	must(config_set_write_record(&s, out));
	must(config_set_read_record(buf_bytes(out), &again));
	must(memcmp(&s, &again, sizeof(s)) == 0);
}

static void
pass_tags(struct bytes in, struct buf *out)
{
	struct resource_tags tags, again;
	unsigned	       i;

	if (!resource_tags_read(in, &tags))
		return;
	must(resource_tags_write(&tags, out));
	must(resource_tags_read(buf_bytes(out), &again));
	must(tags.n == again.n);
	for (i = 0; i < tags.n; i++)
		must(bytes_eq(tags.v[i].key, again.v[i].key) &&
		    bytes_eq(tags.v[i].value, again.v[i].value));
}

static void
pass_json(struct bytes in, struct arena *a, struct buf *out)
{
	struct config_set_input *x = mem_alloc(2 * sizeof(*x));
	struct config_set	 s, t;
	struct wall		 now = { 1714564800000 };
	struct err		 e;

	if (config_set_read_json(in, a, x, &e) < 0) {
		must(book_is_refusal(&e) && strchr(e.text, ':') != NULL);
	} else {
		config_set_init(&s, "123456789012", "n", now);
		config_set_apply(&s, x, now);
		must(config_set_write_json(&s, &x->tags, out));
		must(config_set_read_json(buf_bytes(out), a, x + 1, &e) == 0);
		config_set_init(&t, "123456789012", "n", now);
		t.id = s.id;
		config_set_apply(&t, x + 1, now);
		must(memcmp(&s, &t, sizeof(s)) == 0);
	}
	mem_free(x);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(1 << 20);
	struct bytes  in = { (const char *)data + 1, size - 1 };
	struct buf    out;

	buf_init(&out, 1 << 20);
	if (size > 0 && size < 65536) {
		if (data[0] == 'r')
			pass_record(in, &out);
		else if (data[0] == 't')
			pass_tags(in, &out);
		else
			pass_json(in, a, &out);
	}
	buf_wipe(&out);
	arena_free(a);
	return 0;
}
