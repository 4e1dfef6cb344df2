/* SPDX-License-Identifier: ISC */
/*
 * sum.h - the checksum by which the sink knows a message of the generator.
 * Use:    struct sum s = { 0 }; sum_feed(&s, p, n) for each piece, however
 *         they are cut; sum_end(&s).
 * Not a keyed or strong one: it finds what was lost, moved or changed by
 * accident, at a tenth of a microsecond for each KB.
 */
#ifndef BENCH_SUM_H
#define BENCH_SUM_H

#include <stdint.h>
#include <string.h>

struct sum {
	uint64_t h, octets;
	char	 part[8];
	size_t	 part_n;
};

static inline void
sum_word(struct sum *s, const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	s->h = (s->h ^ w) * UINT64_C(0x9e3779b97f4a7c15);
	s->h ^= s->h >> 29;
}

static inline void
sum_feed(struct sum *s, const char *p, size_t n)
{
	size_t k;

	if (n == 0)
		return;
	s->octets += n;
	while (n > 0 && s->part_n > 0) {
		k = sizeof(s->part) - s->part_n;
		if (k > n)
			k = n;
		memcpy(s->part + s->part_n, p, k);
		s->part_n += k;
		p += k;
		n -= k;
		if (s->part_n < sizeof(s->part))
			return;
		sum_word(s, s->part);
		s->part_n = 0;
	}
	for (; n >= sizeof(s->part); n -= sizeof(s->part)) {
		sum_word(s, p);
		p += sizeof(s->part);
	}
	memcpy(s->part, p, n);
	s->part_n = n;
}

static inline uint64_t
sum_end(struct sum *s)
{
	memset(s->part + s->part_n, 0, sizeof(s->part) - s->part_n);
	sum_word(s, s->part);
	return s->h ^ s->octets;
}

#endif
