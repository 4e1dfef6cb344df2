/* SPDX-License-Identifier: ISC */
#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/ascii.h"
#include "base/err.h"
#include "base/reserve.h"

enum {
	ARENA_ALIGN = 16,
	ARENA_CHUNK_MIN = 1024,
	ARENA_CHUNK_MAX = 32 * 1024,
	BUF_CAP_MIN = 64
};

struct arena_chunk {
	struct arena_chunk *next;
	size_t		    n, cap;
	_Alignas(ARENA_ALIGN) char data[];
};

struct arena {
	struct arena_chunk *first; /* the one that pieces are taken from */
	size_t		    used, budget;
};

/* -- counted strings ------------------------------------------------------ */

struct bytes
bytes_of(const char *cstr)
{
	struct bytes b = { "", 0 };

	if (cstr != NULL) {
		b.p = cstr;
		b.n = strlen(cstr);
	}
	return b;
}

bool
bytes_eq(struct bytes a, struct bytes b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
bytes_eq_nocase(struct bytes a, struct bytes b)
{
	return a.n == b.n && bytes_starts_nocase(a, b);
}

bool
bytes_eq_text(struct bytes a, const char *cstr)
{
	return bytes_eq(a, bytes_of(cstr));
}

int
bytes_cmp(struct bytes a, struct bytes b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int    r = n == 0 ? 0 : memcmp(a.p, b.p, n);

	if (r != 0)
		return r;
	return a.n < b.n ? -1 : a.n > b.n;
}

bool
bytes_starts(struct bytes a, struct bytes prefix)
{
	return bytes_eq(bytes_head(a, prefix.n), prefix);
}

bool
bytes_starts_nocase(struct bytes a, struct bytes prefix)
{
	size_t i;

	if (a.n < prefix.n)
		return false;
	for (i = 0; i < prefix.n; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(prefix.p[i]))
			return false;
	return true;
}

bool
bytes_ends_nocase(struct bytes a, struct bytes suffix)
{
	if (a.n < suffix.n)
		return false;
	return bytes_starts_nocase(bytes_from(a, a.n - suffix.n), suffix);
}

/* All content goes through here: eight octets at a time. */
bool
bytes_has_eight_bit(struct bytes a)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	uint64_t       word, all = 0;
	size_t	       i = 0;

	for (; i + sizeof(word) <= a.n; i += sizeof(word)) {
		memcpy(&word, a.p + i, sizeof(word));
		all |= word;
	}
	for (; i < a.n; i++)
		all |= (unsigned char)a.p[i];
	return (all & high) != 0;
}

bool
bytes_is_word(struct bytes a, const char *marks)
{
	size_t i;

	for (i = 0; i < a.n; i++)
		if (!ascii_is_alnum(a.p[i]) &&
		    (a.p[i] == '\0' || strchr(marks, a.p[i]) == NULL))
			return false;
	return a.n > 0;
}

struct bytes
bytes_without_bom(struct bytes text)
{
	struct bytes mark = BYTES("\xef\xbb\xbf");

	return bytes_starts(text, mark) ? bytes_from(text, mark.n) : text;
}

struct bytes
bytes_trim(struct bytes a)
{
	while (a.n > 0 && ascii_is_white(a.p[0])) {
		a.p++;
		a.n--;
	}
	while (a.n > 0 && ascii_is_white(a.p[a.n - 1]))
		a.n--;
	return a;
}

struct bytes
bytes_from(struct bytes a, size_t skip)
{
	if (skip > a.n)
		skip = a.n;
	if (skip > 0) {
		a.p += skip;
		a.n -= skip;
	}
	return a;
}

struct bytes
bytes_head(struct bytes a, size_t n)
{
	if (n < a.n)
		a.n = n;
	return a;
}

ptrdiff_t
bytes_find(struct bytes a, size_t from, char c)
{
	const char *hit;

	if (from >= a.n)
		return -1;
	hit = memchr(a.p + from, (unsigned char)c, a.n - from);
	return hit == NULL ? -1 : hit - a.p;
}

ptrdiff_t
bytes_find_nocase(struct bytes a, struct bytes needle)
{
	size_t i;

	for (i = 0; needle.n <= a.n && i <= a.n - needle.n; i++)
		if (bytes_starts_nocase(bytes_from(a, i), needle))
			return (ptrdiff_t)i;
	return -1;
}

bool
bytes_to_u64(struct bytes a, uint64_t *out)
{
	uint64_t v = 0;
	size_t	 i;

	for (i = 0; i < a.n; i++) {
		if (a.p[i] < '0' || a.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(a.p[i] - '0'), &v))
			return false;
	}
	if (a.n == 0)
		return false;
	*out = v;
	return true;
}

char *
bytes_text(struct bytes a, char *dst, size_t size)
{
	must(size > 0);
	if (a.n >= size)
		a.n = size - 1;
	if (a.n > 0)
		memcpy(dst, a.p, a.n);
	dst[a.n] = '\0';
	return dst;
}

/* -- arena ---------------------------------------------------------------- */

struct arena *
arena_new(size_t budget)
{
	struct arena *a = mem_alloc(sizeof(*a));

	a->budget = budget;
	return a;
}

void
arena_free(struct arena *a)
{
	struct arena_chunk *c;

	if (a == NULL)
		return;
	while ((c = a->first) != NULL) {
		a->first = c->next;
		free(c);
	}
	free(a);
}

/*
 * A piece of more than a quarter of a chunk gets a chunk of its own, behind
 * the first, whose rest then stays of use for small ones.
 */
static struct arena_chunk *
arena_add_chunk(struct arena *a, size_t n)
{
	struct arena_chunk *c;
	size_t		    cap = a->used;
	bool		    alone;

	if (cap < ARENA_CHUNK_MIN)
		cap = ARENA_CHUNK_MIN;
	if (cap > ARENA_CHUNK_MAX)
		cap = ARENA_CHUNK_MAX;
	alone = n > cap / 4;
	if (alone)
		cap = n;
	c = calloc(1, sizeof(*c) + cap);
	if (c == NULL && cap <= ARENA_CHUNK_MAX && reserve_spend())
		c = calloc(1, sizeof(*c) + cap);
	if (c == NULL)
		return NULL;
	c->cap = cap;
	if (alone && a->first != NULL) {
		c->next = a->first->next;
		a->first->next = c;
	} else {
		c->next = a->first;
		a->first = c;
	}
	return c;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	struct arena_chunk *c = a->first;
	void		   *p;

	if (n == 0)
		n = 1;
	if (n > SIZE_MAX - ARENA_CHUNK_MAX)
		return NULL;
	n = (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (n > a->budget - a->used)
		return NULL;
	if (c == NULL || n > c->cap - c->n)
		c = arena_add_chunk(a, n);
	if (c == NULL)
		return NULL;
	p = c->data + c->n;
	c->n += n;
	a->used += n;
	return p;
}

struct bytes
arena_bytes(struct arena *a, struct bytes b)
{
	struct bytes copy = { arena_text(a, b), 0 };

	if (copy.p != NULL)
		copy.n = b.n;
	return copy;
}

char *
arena_text(struct arena *a, struct bytes b)
{
	char *p;

	if (b.n == SIZE_MAX)
		return NULL;
	p = arena_alloc(a, b.n + 1);
	if (p != NULL && b.n > 0)
		memcpy(p, b.p, b.n);
	return p;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char   *p;
	int	n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	p = arena_alloc(a, (size_t)n + 1);
	if (p == NULL)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

size_t
arena_used(const struct arena *a)
{
	return a->used;
}

/* -- buffer --------------------------------------------------------------- */

void
buf_init(struct buf *b, size_t max)
{
	memset(b, 0, sizeof(*b));
	b->max = max;
}

void
buf_wipe(struct buf *b)
{
	free(b->p);
	buf_init(b, b->max);
}

void
buf_clear(struct buf *b)
{
	b->n = 0;
	b->failed = false;
}

/* One octet more than asked is always there: vsnprintf() writes a NUL. */
static bool
buf_reserve(struct buf *b, size_t n)
{
	size_t want, cap;
	char  *p;

	if (b->failed || n > b->max - b->n || b->n + n == SIZE_MAX) {
		b->failed = true;
		return false;
	}
	want = b->n + n + 1;
	if (want <= b->cap)
		return true;
	cap = b->cap < BUF_CAP_MIN ? BUF_CAP_MIN : b->cap;
	while (cap < want && cap <= SIZE_MAX / 2)
		cap *= 2;
	if (cap > b->max && b->max < SIZE_MAX)
		cap = b->max + 1;
	if (cap < want)
		cap = want;
	p = realloc(b->p, cap);
	if (p == NULL) {
		b->failed = true;
		return false;
	}
	b->p = p;
	b->cap = cap;
	return true;
}

bool
buf_add(struct buf *b, const void *p, size_t n)
{
	if (!buf_reserve(b, n))
		return false;
	if (n > 0)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	return true;
}

bool
buf_add_bytes(struct buf *b, struct bytes s)
{
	return buf_add(b, s.p, s.n);
}

bool
buf_add_text(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

bool
buf_add_char(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

bool
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int	n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		b->failed = true;
	if (n < 0 || !buf_reserve(b, (size_t)n))
		return false;
	va_start(ap, fmt);
	vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
	return true;
}

char *
buf_room(struct buf *b, size_t n)
{
	return buf_reserve(b, n) ? b->p + b->n : NULL;
}

void
buf_commit(struct buf *b, size_t n)
{
	must(n == 0 || n < b->cap - b->n);
	b->n += n;
}

void
buf_drop(struct buf *b, size_t n)
{
	must(n <= b->n);
	b->n -= n;
	if (n > 0 && b->n > 0)
		memmove(b->p, b->p + n, b->n);
}

struct bytes
buf_bytes(const struct buf *b)
{
	struct bytes s = { b->p, b->n };

	return s;
}

/* -- plain memory --------------------------------------------------------- */

void *
mem_alloc(size_t n)
{
	void *p = calloc(1, n > 0 ? n : 1);

	if (p == NULL && reserve_spend())
		p = calloc(1, n > 0 ? n : 1);
	must(p != NULL);
	return p;
}

void *
mem_realloc(void *p, size_t n)
{
	void *q = realloc(p, n > 0 ? n : 1);

	if (q == NULL && reserve_spend())
		q = realloc(p, n > 0 ? n : 1);
	must(q != NULL);
	return q;
}

char *
mem_dup(const char *cstr)
{
	return mem_dup_bytes(bytes_of(cstr));
}

char *
mem_dup_bytes(struct bytes b)
{
	char *p = mem_alloc(b.n + 1);

	if (b.n > 0)
		memcpy(p, b.p, b.n);
	return p;
}

void
mem_free(void *p)
{
	free(p);
}

void
mem_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}

bool
mem_same_secret(const void *a, const void *b, size_t n)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned char		      diff = 0;
	size_t			      i;

	for (i = 0; i < n; i++)
		diff = (unsigned char)(diff | (x[i] ^ y[i]));
	return diff == 0;
}

void
mem_random(void *p, size_t n)
{
	unsigned char *at = p;
	ssize_t	       got;

	while (n > 0) {
		got = getrandom(at, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		must(got > 0);
		at += got;
		n -= (size_t)got;
	}
}

/* -- keyed hash ----------------------------------------------------------- */

void
mem_hash_key_init(struct mem_hash_key *k)
{
	mem_random(k, sizeof(*k));
}

static uint64_t
rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void
sip_word(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	sip_round(v);
	sip_round(v);
	v[0] ^= m;
}

static uint64_t
little_endian(const char *p, size_t n)
{
	uint64_t m = 0;

	while (n-- > 0)
		m = m << 8 | (unsigned char)p[n];
	return m;
}

uint64_t
mem_hash(const struct mem_hash_key *k, struct bytes b)
{
	uint64_t v[4] = { k->k[0] ^ 0x736f6d6570736575, /* SipHash, section 2 */
		k->k[1] ^ 0x646f72616e646f6d, k->k[0] ^ 0x6c7967656e657261,
		k->k[1] ^ 0x7465646279746573 };
	size_t	 i, whole = b.n & ~(size_t)7;
	int	 round;

	for (i = 0; i < whole; i += 8)
		sip_word(v, little_endian(b.p + i, 8));
	sip_word(v, (uint64_t)b.n << 56 |
	    (b.n > whole ? little_endian(b.p + whole, b.n - whole) : 0));
	v[2] ^= 0xff;
	for (round = 0; round < 4; round++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* -- text forms ----------------------------------------------------------- */

void
hex_encode(const void *p, size_t n, char *out)
{
	static const char    digits[] = "0123456789abcdef";
	const unsigned char *in = p;
	size_t		     i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * n] = '\0';
}

char *
uuid_encode(const void *p, char out[UUID_SIZE])
{
	char hex[33];

	hex_encode(p, 16, hex);
	snprintf(out, UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
	    hex + 12, hex + 16, hex + 20);
	return out;
}

char *
mem_uuid(char out[UUID_SIZE])
{
	unsigned char b[16];

	mem_random(b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	return uuid_encode(b, out);
}

bool
hex_decode(struct bytes s, void *out, size_t n)
{
	unsigned char *to = out;
	size_t	       i;
	int	       hi, lo;

	if (s.n % 2 != 0 || s.n / 2 != n)
		return false;
	for (i = 0; i < n; i++) {
		hi = ascii_hex_value(s.p[2 * i]);
		lo = ascii_hex_value(s.p[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		to[i] = (unsigned char)(hi << 4 | lo);
	}
	return true;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789+/";

size_t
base64_encode(const void *p, size_t n, char *out)
{
	const unsigned char *in = p;
	unsigned	     v;
	size_t		     i, o = 0, left;

	for (i = 0; i < n; i += 3) {
		left = n - i;
		v = (unsigned)in[i] << 16;
		if (left > 1)
			v |= (unsigned)in[i + 1] << 8;
		if (left > 2)
			v |= in[i + 2];
		out[o++] = base64_digits[v >> 18];
		out[o++] = base64_digits[v >> 12 & 63];
		out[o++] = left > 1 ? base64_digits[v >> 6 & 63] : '=';
		out[o++] = left > 2 ? base64_digits[v & 63] : '=';
	}
	out[o] = '\0';
	return o;
}

int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

bool
base64_decode(struct bytes s, void *out, size_t max, size_t *n)
{
	unsigned char *to = out;
	unsigned       v = 0, bits = 0;
	size_t	       i, o = 0, pad = 0;
	int	       d;

	if (s.n % 4 != 0)
		return false;
	while (pad < 2 && pad < s.n && s.p[s.n - 1 - pad] == '=')
		pad++;
	for (i = 0; i < s.n - pad; i++) {
		d = base64_value(s.p[i]);
		if (d < 0)
			return false;
		v = (v << 6 | (unsigned)d) & 0xffff;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (o == max)
			return false;
		to[o++] = (unsigned char)(v >> bits & 0xff);
	}
	*n = o;
	return true;
}

void
base32_lower(const void *p, size_t n, char *out)
{
	static const char    digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	const unsigned char *in = p;
	unsigned	     v = 0, bits = 0;
	size_t		     i;

	for (i = 0; i < n; i++) {
		v = (v << 8 | in[i]) & 0xffff;
		bits += 8;
		for (; bits >= 5; bits -= 5)
			*out++ = digits[v >> (bits - 5) & 31];
	}
	if (bits > 0)
		*out++ = digits[v << (5 - bits) & 31];
	*out = '\0';
}
