/* SPDX-License-Identifier: ISC */
/* A section that parses is written, parses again, and is then the same. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
look_at(struct header *h, struct arena *a)
{
	struct bytes value, tag;
	struct buf   out;
	size_t	     i;

	buf_init(&out, 1 << 20);
	for (i = 0; i < h->count; i++) {
		value = header_unfold(h->fields[i].value, a);
		if (value.p == NULL)
			break;
		must(value.n == 0 || memchr(value.p, '\n', value.n) == NULL);
		must(header_decode_words(value, &out));
		must(out.n <= 3 * value.n);
		buf_clear(&out);
		header_tag(h->fields[i].value, "h", &tag);
	}
	header_first_duplicate(h, HEADER_UNIQUE_SES, false);
	header_first_duplicate(h, HEADER_UNIQUE_RFC5322, true);
	header_is_signed(h, "date");
	header_first_eight_bit(h);
	buf_wipe(&out);
}

static void
check_end(struct bytes in, const struct header *h, bool lenient)
{
	size_t	  from = 0;
	ptrdiff_t at = header_end(bytes_head(in, in.n / 2), &from, lenient);

	if (at < 0)
		at = header_end(in, &from, lenient);
	if (at >= 0)
		must((size_t)at == h->body);
	else
		must(h->body == in.n || h->broke_off);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes	    in = { (const char *)data, size };
	struct header_rules rules = { 1 << 16, false };
	struct header	    h, again;
	struct arena	   *a;
	struct buf	    one, two;

	if (size == 0)
		return 0;
	rules.lenient = (data[0] & 1) != 0;
	in = bytes_from(in, 1);
	a = arena_new(1 << 22);
	buf_init(&one, 1 << 20);
	buf_init(&two, 1 << 20);
	if (header_parse(in, &rules, a, &h) == HEADER_OK) {
		must(h.body <= in.n);
		check_end(in, &h, rules.lenient);
		look_at(&h, a);
		header_remove_prefix(&h, "X-");
		header_append(&h, "Last", BYTES("1"));
		header_put_on_top(&h, "First", BYTES("1"));
		must(header_write(&h, &one));
		rules.lenient = false;
		rules.section_max = 1 << 18;
		must(header_parse(buf_bytes(&one), &rules, a, &again) ==
		    HEADER_OK);
		must(again.body == one.n);
		must(header_write(&again, &two));
		must(bytes_eq(buf_bytes(&one), buf_bytes(&two)));
	}
	buf_wipe(&one);
	buf_wipe(&two);
	arena_free(a);
	return 0;
}
