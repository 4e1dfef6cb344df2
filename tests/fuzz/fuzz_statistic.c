/* SPDX-License-Identifier: ISC */
/*
 * A row of statistics: the first octet is the length of the key, the rest is
 * the row.  What can be read comes out the same when it is written; sums and
 * times stay within their range.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "store/statistic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_names(struct bytes name)
{
	struct bytes a, b;
	char	     text[STATISTIC_NAME_MAX + 1];

	if (!statistic_name_split(name, &a, &b))
		return;
	must(a.n + b.n + 1 == name.n);
	/* each half is cut to its share of the room */
	if (a.n < STATISTIC_NAME_MAX / 2 && b.n <= STATISTIC_NAME_MAX / 2)
		must(bytes_eq(statistic_name_pair(a, b, text), name));
	else
		must(statistic_name_pair(a, b, text).n <= STATISTIC_NAME_MAX);
}

static void
check_key(struct bytes in)
{
	struct statistic_key k;
	struct wall	     floor;
	char		     room[STATISTIC_KEY_MAX];

	if (!statistic_decode_key(in, &k))
		return;
	must(k.name.n <= STATISTIC_NAME_MAX);
	must(strlen(k.account) < ACCOUNT_ID_SIZE);
	must(bytes_eq(statistic_key_bytes(&k, room), in));
	floor = statistic_floor(k.series, k.time);
	must(floor.ms >= 0 && floor.ms <= k.time.ms);
	must(statistic_floor(k.series, floor).ms == floor.ms);
	check_names(k.name);
}

static void
check_figures(struct bytes in, struct buf *out)
{
	struct statistic v, back, sum;
	unsigned	 i;

	if (!statistic_decode(in, &v))
		return;
	must(statistic_encode(&v, out) && out->n <= in.n);
	must(statistic_decode(buf_bytes(out), &back));
	must(memcmp(&v, &back, sizeof(v)) == 0);
	must(statistic_is_zero(&v) == (out->n == 0));
	sum = v;
	statistic_sum(&sum, &v);
	for (i = 0; i < STATISTIC_COUNTERS; i++) {
		must(statistic_counter_to_text((enum statistic_counter)i) !=
		    NULL);
		must((v.n[i] < 0) == (sum.n[i] < 0));
		must(v.n[i] < 0 ? sum.n[i] <= v.n[i] : sum.n[i] >= v.n[i]);
		must(statistic_get(&v, (enum statistic_counter)i) <=
		    INT64_MAX);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = { (const char *)data, size };
	struct buf   out;
	size_t	     n;

	if (size == 0 || size > 65536)
		return 0;
	n = data[0];
	in = bytes_from(in, 1);
	buf_init(&out, 1 << 20);
	check_key(bytes_head(in, n));
	check_figures(bytes_from(in, n), &out);
	buf_wipe(&out);
	return 0;
}
