/* SPDX-License-Identifier: ISC */
/*
 * Framing against a plain model that looks at one octet at a time, cut at
 * every octet; and back again through the stuffing.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/framing.h"

enum { SPLIT_ALL_MAX = 400 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
gather(void *arg, struct bytes piece)
{
	must(buf_add_bytes(arg, piece));
}

/* smtp-interface.md 7.1, word for word. */
static size_t
model(struct bytes in, bool dots, struct buf *out, bool *ended)
{
	size_t i = 0;
	bool   line = true; /* directly behind CR LF */

	*ended = false;
	while (i < in.n) {
		struct bytes rest = bytes_from(in, i);

		if (dots && line && bytes_starts(rest, BYTES(".\r\n"))) {
			*ended = true;
			return i + 3;
		}
		if (dots && line && rest.p[0] == '.') {
			i++;
			line = false;
		} else if (bytes_starts(rest, BYTES("\r\n"))) {
			buf_add_text(out, "\r\n");
			i += 2;
			line = true;
		} else {
			if (rest.p[0] == '\n')
				buf_add_text(out, "\r\n");
			else
				buf_add_char(out, rest.p[0] == '\r' ? ' ' :
				    rest.p[0]);
			i++;
			line = false;
		}
	}
	return i;
}

static void
check_clean(struct bytes s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '\n')
			must(i > 0 && s.p[i - 1] == '\r');
		if (s.p[i] == '\r')
			must(i + 1 < s.n && s.p[i + 1] == '\n');
	}
}

/* Feeds in two pieces, cut at the octet given, and compares. */
static void
check_cut(struct bytes in, enum framing_kind kind, size_t cut,
    struct bytes want, size_t want_used)
{
	struct framing f;
	struct buf     out;
	size_t	       used;

	buf_init(&out, 1 << 20);
	framing_init(&f, kind);
	used = framing_feed(&f, bytes_head(in, cut), gather, &out);
	must(used == cut || f.ended);
	if (!f.ended)
		used += framing_feed(&f, bytes_from(in, cut), gather, &out);
	must(used == want_used);
	if (kind == FRAMING_CHUNK)
		framing_end(&f, gather, &out);
	must(f.ended);
	must(bytes_eq(buf_bytes(&out), want));
	must(f.size == out.n);
	must(f.has_nul == (used > 0 && memchr(in.p, 0, used) != NULL));
	must(f.longest <= f.size);
	buf_wipe(&out);
}

static void
check_kind(struct bytes in, enum framing_kind kind)
{
	struct buf want;
	size_t	   used, cut;
	bool	   ended;

	buf_init(&want, 1 << 20);
	used = model(in, kind == FRAMING_DATA, &want, &ended);
	if (kind == FRAMING_CHUNK && want.n > 0 &&
	    want.p[want.n - 1] != '\n')
		buf_add_text(&want, "\r\n");
	check_clean(buf_bytes(&want));
	if (kind == FRAMING_CHUNK || ended)
		for (cut = 0; cut <= in.n && cut <= SPLIT_ALL_MAX; cut++)
			check_cut(in, kind, cut, buf_bytes(&want), used);
	buf_wipe(&want);
}

/* What was cleaned comes back unchanged from the other side. */
static void
check_way_back(struct bytes in)
{
	struct framing	f;
	struct stuffing s;
	struct buf	clean, wire, back;

	buf_init(&clean, 1 << 20);
	buf_init(&wire, 1 << 20);
	buf_init(&back, 1 << 20);
	framing_init(&f, FRAMING_CHUNK);
	framing_feed(&f, in, gather, &clean);
	framing_end(&f, gather, &clean);
	stuffing_init(&s);
	stuffing_feed(&s, bytes_head(buf_bytes(&clean), in.n / 2), gather,
	    &wire);
	stuffing_feed(&s, bytes_from(buf_bytes(&clean), in.n / 2), gather,
	    &wire);
	stuffing_end(&s, gather, &wire);
	framing_init(&f, FRAMING_DATA);
	must(framing_feed(&f, buf_bytes(&wire), gather, &back) == wire.n);
	must(f.ended && !f.has_bare_lf && !f.has_bare_cr);
	must(bytes_eq(buf_bytes(&clean), buf_bytes(&back)));
	buf_wipe(&clean);
	buf_wipe(&wire);
	buf_wipe(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = { (const char *)data, size };
	struct buf   ended;

	if (size > 1 << 14)
		return 0;
	check_kind(in, FRAMING_CHUNK);
	check_way_back(in);
	/* with an end of data, so that there always is one */
	buf_init(&ended, 1 << 16);
	buf_add_bytes(&ended, in);
	buf_add_text(&ended, "\r\n.\r\n");
	check_kind(buf_bytes(&ended), FRAMING_DATA);
	buf_wipe(&ended);
	return 0;
}
