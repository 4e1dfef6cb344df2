/* SPDX-License-Identifier: ISC */
/* The second half of base/clock.h: time as text; pure. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"

/* 0001-01-01 and the last second of 9999: a year has four digits. */
static const int64_t wall_min_ms = -62135596800000;
static const int64_t wall_max_ms = 253402300799999;

/* The parts of w in UTC; returns the milliseconds of the second. */
static unsigned
clock_split(struct wall w, struct tm *tm)
{
	int64_t ms = w.ms;
	int64_t part;
	time_t	seconds;

	if (ms < wall_min_ms)
		ms = wall_min_ms;
	if (ms > wall_max_ms)
		ms = wall_max_ms;
	part = ms % 1000;
	if (part < 0)
		part += 1000;
	seconds = (time_t)((ms - part) / 1000);
	must(gmtime_r(&seconds, tm) != NULL);
	return (unsigned)part;
}

/* v in exactly digits places, and c behind it; returns where to go on. */
static char *
put(char *p, int v, int digits, char c)
{
	int i;

	for (i = digits - 1; i >= 0; i--) {
		p[i] = (char)('0' + v % 10);
		v /= 10;
	}
	p[digits] = c;
	return p + digits + 1;
}

static char *
put_iso(char *p, const struct tm *tm)
{
	p = put(p, tm->tm_year + 1900, 4, '-');
	p = put(p, tm->tm_mon + 1, 2, '-');
	p = put(p, tm->tm_mday, 2, 'T');
	p = put(p, tm->tm_hour, 2, ':');
	p = put(p, tm->tm_min, 2, ':');
	return put(p, tm->tm_sec, 2, '.');
}

char *
wall_iso(struct wall w, char out[CLOCK_TEXT_MAX])
{
	struct tm tm;
	unsigned  ms = clock_split(w, &tm);
	char	 *p = put_iso(out, &tm);

	p = put(p, (int)ms, 3, 'Z');
	*p = '\0';
	return out;
}

char *
wall_iso_seconds(struct wall w, char out[CLOCK_TEXT_MAX])
{
	struct tm tm;
	char	 *p;

	clock_split(w, &tm);
	p = put_iso(out, &tm);
	p[-1] = 'Z';
	*p = '\0';
	return out;
}

/* Not strftime(): the names must not follow the locale. */
char *
wall_rfc5322(struct wall w, char out[CLOCK_TEXT_MAX])
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu",
		"Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May",
		"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct tm	  tm;
	char		 *p = out;

	clock_split(w, &tm);
	p += snprintf(p, CLOCK_TEXT_MAX, "%s, ", days[tm.tm_wday]);
	p = put(p, tm.tm_mday, 2, ' ');
	p += snprintf(p, 5, "%s ", months[tm.tm_mon]);
	p = put(p, tm.tm_year + 1900, 4, ' ');
	p = put(p, tm.tm_hour, 2, ':');
	p = put(p, tm.tm_min, 2, ':');
	p = put(p, tm.tm_sec, 2, ' ');
	snprintf(p, 6, "+0000");
	return out;
}

char *
wall_compact(struct wall w, char out[CLOCK_TEXT_MAX])
{
	struct tm tm;
	char	 *p = out;

	clock_split(w, &tm);
	/* each separator is overwritten by what follows */
	p = put(p, tm.tm_year + 1900, 4, '\0') - 1;
	p = put(p, tm.tm_mon + 1, 2, '\0') - 1;
	p = put(p, tm.tm_mday, 2, '-');
	p = put(p, tm.tm_hour, 2, '\0') - 1;
	p = put(p, tm.tm_min, 2, '\0') - 1;
	put(p, tm.tm_sec, 2, '\0');
	return out;
}

char *
wall_dotted_day(struct wall w, char out[CLOCK_TEXT_MAX])
{
	struct tm tm;
	char	 *p = out;

	clock_split(w, &tm);
	p = put(p, tm.tm_year + 1900, 4, '.');
	p = put(p, tm.tm_mon + 1, 2, '.');
	put(p, tm.tm_mday, 2, '\0');
	return out;
}
