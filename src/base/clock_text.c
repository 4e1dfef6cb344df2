/* SPDX-License-Identifier: ISC */
/* The second half of base/clock.h: time as text; pure. */
#include <stdio.h>
#include <time.h>

#include "base/ascii.h"
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

/* -- and back ------------------------------------------------------------- */

/* Exactly so many digits, a number from min to max; moves on behind them. */
static bool
take(const char **p, int digits, int min, int max, int *out)
{
	int i;

	*out = 0;
	for (i = 0; i < digits; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return *out >= min && *out <= max;
}

static bool
take_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static bool
take_day(const char **p, struct tm *tm)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31,
		30, 31 };
	int  year, month, day;
	bool leap;

	if (!take(p, 4, 1, 9999, &year) || !take_char(p, '-') ||
	    !take(p, 2, 1, 12, &month) || !take_char(p, '-') ||
	    !take(p, 2, 1, 31, &day))
		return false;
	leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	tm->tm_mday = day;
	return day <= days[month - 1] + (month == 2 && leap);
}

/* Seconds may be left out; digits behind the third are not kept. */
static bool
take_time(const char **p, struct tm *tm, int *ms)
{
	int unit = 100;

	*ms = 0;
	if (!take(p, 2, 0, 23, &tm->tm_hour) || !take_char(p, ':') ||
	    !take(p, 2, 0, 59, &tm->tm_min))
		return false;
	if (!take_char(p, ':'))
		return true;
	if (!take(p, 2, 0, 60, &tm->tm_sec))
		return false;
	if (!take_char(p, '.'))
		return true;
	if (!ascii_is_digit(**p))
		return false;
	for (; ascii_is_digit(**p); (*p)++, unit /= 10)
		*ms += (**p - '0') * unit;
	return true;
}

/* Minutes east of Greenwich. */
static bool
take_zone(const char **p, int *east)
{
	int sign = **p == '-' ? -1 : 1, hours, minutes;

	*east = 0;
	if (**p == '\0' || take_char(p, 'Z'))
		return true;
	if (!take_char(p, '+') && !take_char(p, '-'))
		return false;
	if (!take(p, 2, 0, 23, &hours) || !take_char(p, ':') ||
	    !take(p, 2, 0, 59, &minutes))
		return false;
	*east = sign * (hours * 60 + minutes);
	return true;
}

bool
wall_from_iso(const char *text, struct wall *out)
{
	struct tm tm = { .tm_mday = 1 };
	int	  ms = 0, east = 0;

	if (!take_day(&text, &tm))
		return false;
	if (take_char(&text, 'T') &&
	    (!take_time(&text, &tm, &ms) || !take_zone(&text, &east)))
		return false;
	if (*text != '\0')
		return false;
	out->ms = ((int64_t)timegm(&tm) - (int64_t)east * 60) * 1000 + ms;
	return true;
}
