/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "tools/ctl/ctl.h"

/* Whole numbers that a double holds; in milliseconds 31,000 years. */
static const double value_max = 1e15;

/* A number with a unit behind it; "" where there is none. */
static bool
value_split(const char *s, double *n, const char **unit)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	*n = strtod(s, &end);
	*unit = end;
	return *n >= 0 && *n < value_max;
}

bool
ctl_parse_duration(const char *s, int64_t *ms)
{
	static const struct {
		const char *unit;
		double	    ms;
	} units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
		{ "h", 3600000 }, { "d", 86400000 }, { "w", 604800000 } };
	const char *unit;
	double	    n;
	size_t	    i;

	if (!value_split(s, &n, &unit))
		return false;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(unit, units[i].unit) == 0) {
			n *= units[i].ms;
			if (n >= value_max)
				return false;
			*ms = (int64_t)n;
			return true;
		}
	return false;
}

bool
ctl_parse_size(const char *s, uint64_t *octets)
{
	const char *unit;
	double	    n;

	if (!value_split(s, &n, &unit))
		return false;
	if (strcmp(unit, "k") == 0)
		n *= 1024;
	else if (strcmp(unit, "m") == 0)
		n *= 1024.0 * 1024;
	else if (strcmp(unit, "g") == 0)
		n *= 1024.0 * 1024 * 1024;
	else if (*unit != '\0')
		return false;
	if (n >= value_max)
		return false;
	*octets = (uint64_t)n;
	return true;
}

bool
ctl_parse_amount(const char *s, double *out)
{
	char *end;

	if (strcmp(s, "unlimited") == 0 || strcmp(s, "-1") == 0) {
		*out = -1;
		return true;
	}
	if (*s < '0' || *s > '9')
		return false;
	*out = strtod(s, &end);
	return *end == '\0' && *out <= 1e12;
}

bool
ctl_parse_time(const char *s, struct wall now, struct wall *out)
{
	int64_t ms;
	char   *end;
	double	seconds;

	if (strcmp(s, "now") == 0) {
		*out = now;
		return true;
	}
	if ((*s == '-' || *s == '+') && ctl_parse_duration(s + 1, &ms)) {
		out->ms = *s == '-' ? now.ms - ms : now.ms + ms;
		return true;
	}
	if (wall_from_iso(s, out))
		return true;
	if (*s < '0' || *s > '9')
		return false;
	seconds = strtod(s, &end);
	if (*end != '\0' || seconds > 253402300799.0)
		return false;
	out->ms = (int64_t)(seconds * 1000);
	return true;
}
