/* SPDX-License-Identifier: ISC */
#include "store/pack.h"

#include <string.h>

void
pack_u64(struct buf *b, uint64_t v)
{
	unsigned char out[10];
	size_t	      n = 0;

	while (v >= 0x80) {
		out[n++] = (unsigned char)(v | 0x80);
		v >>= 7;
	}
	out[n++] = (unsigned char)v;
	buf_add(b, out, n);
}

void
pack_i64(struct buf *b, int64_t v)
{
	pack_u64(b, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

void
pack_bool(struct buf *b, bool v)
{
	buf_add_char(b, v ? 1 : 0);
}

void
pack_double(struct buf *b, double v)
{
	uint64_t      bits;
	unsigned char out[8];
	int	      i;

	memcpy(&bits, &v, sizeof(bits));
	for (i = 0; i < 8; i++)
		out[i] = (unsigned char)(bits >> (56 - 8 * i));
	buf_add(b, out, sizeof(out));
}

void
pack_bytes(struct buf *b, struct bytes s)
{
	pack_u64(b, s.n);
	buf_add_bytes(b, s);
}

void
pack_text(struct buf *b, const char *s)
{
	pack_bytes(b, bytes_of(s));
}

void
pack_raw(struct buf *b, const void *p, size_t n)
{
	buf_add(b, p, n);
}

struct unpack
unpack_of(struct bytes value)
{
	struct unpack u = { value, false };

	return u;
}

static struct bytes
unpack_slice(struct unpack *u, uint64_t n)
{
	struct bytes s = { "", 0 };

	if (u->failed || n > u->rest.n) {
		u->failed = true;
		return s;
	}
	if (n == 0)
		return s;
	s = bytes_head(u->rest, (size_t)n);
	u->rest = bytes_from(u->rest, (size_t)n);
	return s;
}

uint64_t
unpack_u64(struct unpack *u)
{
	uint64_t     v = 0;
	unsigned     shift = 0;
	struct bytes s;
	unsigned char c;

	do {
		s = unpack_slice(u, 1);
		if (u->failed)
			return 0;
		c = (unsigned char)s.p[0];
		if (shift == 63 && c > 1) {
			u->failed = true;
			return 0;
		}
		v |= (uint64_t)(c & 0x7f) << shift;
		shift += 7;
	} while ((c & 0x80) != 0 && shift < 70);
	if ((c & 0x80) != 0) {
		u->failed = true;
		return 0;
	}
	return v;
}

int64_t
unpack_i64(struct unpack *u)
{
	uint64_t v = unpack_u64(u);

	return (int64_t)((v >> 1) ^ ((v & 1) != 0 ? UINT64_MAX : 0));
}

struct wall
unpack_wall_of(struct unpack *u, int64_t ms)
{
	static const int64_t most = 253402300799999; /* end of 9999 */

	if (ms < -most || ms > most) {
		u->failed = true;
		ms = 0;
	}
	return (struct wall){ ms };
}

struct wall
unpack_wall(struct unpack *u)
{
	return unpack_wall_of(u, unpack_i64(u));
}

bool
unpack_bool(struct unpack *u)
{
	struct bytes s = unpack_slice(u, 1);

	if (s.n == 1 && s.p[0] != 0 && s.p[0] != 1)
		u->failed = true;
	return !u->failed && s.p[0] == 1;
}

double
unpack_double(struct unpack *u)
{
	unsigned char raw[8] = { 0 };
	uint64_t      bits = 0;
	double	      v;
	int	      i;

	unpack_raw(u, raw, sizeof(raw));
	for (i = 0; i < 8; i++)
		bits = bits << 8 | raw[i];
	memcpy(&v, &bits, sizeof(v));
	return v;
}

struct bytes
unpack_bytes(struct unpack *u)
{
	return unpack_slice(u, unpack_u64(u));
}

void
unpack_text(struct unpack *u, char *out, size_t size)
{
	struct bytes s = unpack_bytes(u);

	if (s.n >= size || (s.n > 0 && memchr(s.p, '\0', s.n) != NULL)) {
		u->failed = true;
		s.n = 0;
	}
	if (s.n > 0)
		memcpy(out, s.p, s.n);
	out[s.n] = '\0';
}

void
unpack_raw(struct unpack *u, void *out, size_t n)
{
	struct bytes s = unpack_slice(u, n);

	if (s.n == n && n > 0)
		memcpy(out, s.p, n);
	else
		memset(out, 0, n);
}

bool
unpack_more(const struct unpack *u)
{
	return !u->failed && u->rest.n > 0;
}

bool
unpack_done(const struct unpack *u)
{
	return !u->failed && u->rest.n == 0;
}
