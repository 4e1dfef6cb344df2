/* SPDX-License-Identifier: ISC */
#include "registry/rotated_name.h"

#include <stdio.h>
#include <string.h>

#include "base/ascii.h"

enum {
	STAMP_OCTETS = 16, /* 20260302T101531Z */
	NUMBER_DIGITS = 9
};

static void
stamp_write(struct wall at, char out[STAMP_OCTETS + 1])
{
	char	    iso[CLOCK_TEXT_MAX];
	const char *p;

	for (p = wall_iso_seconds(at, iso); *p != '\0'; p++)
		if (*p != '-' && *p != ':')
			*out++ = *p;
	*out = '\0';
}

/* Only what stamp_write() makes: neither 23:59:60 nor year 0. */
static bool
stamp_read(struct bytes b, struct wall *out)
{
	char iso[CLOCK_TEXT_MAX], again[STAMP_OCTETS + 1];

	if (b.n != STAMP_OCTETS)
		return false;
	snprintf(iso, sizeof(iso), "%.4s-%.2s-%.5s:%.2s:%.3s", b.p, b.p + 4,
	    b.p + 6, b.p + 11, b.p + 13);
	if (!wall_from_iso(iso, out))
		return false;
	stamp_write(*out, again);
	return memcmp(again, b.p, STAMP_OCTETS) == 0;
}

/* Takes "-12" off the end of b; without it nothing, and the number is 0. */
static void
number_take(struct bytes *b, unsigned *out)
{
	size_t n = b->n, digits;

	*out = 0;
	while (n > 0 && ascii_is_digit(b->p[n - 1]))
		n--;
	digits = b->n - n;
	if (digits == 0 || digits > NUMBER_DIGITS || b->p[n] == '0' ||
	    n == 0 || b->p[n - 1] != '-')
		return;
	b->n = n - 1;
	for (; digits > 0; digits--)
		*out = *out * 10 + (unsigned)(b->p[n++] - '0');
}

bool
rotated_name_read(struct bytes name, struct rotated_name *out)
{
	struct bytes b = name;

	out->is_compressed = b.n > 3 &&
	    bytes_eq(bytes_from(b, b.n - 3), BYTES(".gz"));
	if (out->is_compressed)
		b.n -= 3;
	number_take(&b, &out->number);
	if (b.n < STAMP_OCTETS + 2 || b.p[b.n - STAMP_OCTETS - 1] != '.' ||
	    !stamp_read(bytes_from(b, b.n - STAMP_OCTETS), &out->at))
		return false;
	out->of = bytes_head(b, b.n - STAMP_OCTETS - 1);
	return out->of.n < DESTINATION_FILE_SIZE;
}

void
rotated_name_write(const struct rotated_name *r, char out[ROTATED_NAME_SIZE])
{
	char stamp[STAMP_OCTETS + 1], number[NUMBER_DIGITS + 3] = "";

	must(r->of.n < DESTINATION_FILE_SIZE &&
	    r->number <= ROTATED_NUMBER_MAX);
	stamp_write(r->at, stamp);
	if (r->number > 0)
		snprintf(number, sizeof(number), "-%u", r->number);
	snprintf(out, ROTATED_NAME_SIZE, "%.*s.%s%s%s", (int)r->of.n, r->of.p,
	    stamp, number, r->is_compressed ? ".gz" : "");
}

int
rotated_name_cmp(const struct rotated_name *a, const struct rotated_name *b)
{
	if (a->at.ms != b->at.ms)
		return a->at.ms < b->at.ms ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}
