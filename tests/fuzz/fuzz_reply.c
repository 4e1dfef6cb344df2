/* SPDX-License-Identifier: ISC */
/* Replies of peers: cut in any way, the same is read. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads one reply in pieces of step octets; returns the octets used. */
static size_t
read_one(struct bytes in, size_t step, enum reader_result *result,
    struct buf *out)
{
	struct reply_reader r;
	struct capabilities caps;
	size_t		    used = 0, n, i;

	*result = READER_MORE;
	reply_reader_init(&r);
	while (used < in.n && *result == READER_MORE) {
		*result = reply_reader_feed(&r,
		    bytes_head(bytes_from(in, used), step), &n);
		used += n;
	}
	must(r.line_count <= READER_LINES_MAX);
	for (i = 0; i < r.line_count; i++)
		must(reply_reader_line(&r, i).n <= READER_LINE_MAX);
	if (*result == READER_DONE) {
		must(r.code >= 200 && r.code <= 599);
		must(reply_reader_text(&r, out));
		capabilities_parse(&r, &caps);
		buf_add(out, &caps.size, sizeof(caps.size));
	}
	must((reply_reader_error(&r)[0] != '\0') ==
	    (*result == READER_BROKEN));
	reply_reader_wipe(&r);
	return used;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes	   in = { (const char *)data, size };
	struct buf	   whole, cut;
	enum reader_result a, b;
	size_t		   n, m;

	if (size == 0)
		return 0;
	in = bytes_from(in, 1);
	buf_init(&whole, 1 << 18);
	buf_init(&cut, 1 << 18);
	n = read_one(in, SIZE_MAX, &a, &whole);
	m = read_one(in, 1u + data[0] % 61u, &b, &cut);
	must(a == b && (a == READER_BROKEN || n == m));
	must(bytes_eq(buf_bytes(&whole), buf_bytes(&cut)));
	buf_wipe(&whole);
	buf_wipe(&cut);
	return 0;
}
