/* SPDX-License-Identifier: ISC */
/* What operators type: durations, sizes, times, amounts. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tools/ctl/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As it is written it is read again, and is the same. */
static void
must_come_back(struct wall at)
{
	char	    text[CLOCK_TEXT_MAX];
	struct wall again;

	/* a zone may lead over the edge of year 9999, or 1 */
	if (at.ms < INT64_C(-62135596800000) ||
	    at.ms > INT64_C(253402300799999))
		return;
	must(wall_from_iso(wall_iso(at, text), &again));
	must(again.ms == at.ms);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wall now = { 1767225600000 }, at;
	uint64_t    octets;
	int64_t	    ms;
	double	    amount;
	char	    text[128];
	size_t	    n = size < sizeof(text) ? size : sizeof(text) - 1;

	memcpy(text, data, n);
	text[n] = '\0';
	if (ctl_parse_duration(text, &ms))
		must(ms >= 0);
	if (ctl_parse_size(text, &octets))
		must(octets <= INT64_MAX);
	if (ctl_parse_time(text, now, &at))
		must(text[0] != '\0');
	if (wall_from_iso(text, &at))
		must_come_back(at);
	if (ctl_parse_amount(text, &amount))
		must(amount >= -1 && amount == amount);
	return 0;
}
