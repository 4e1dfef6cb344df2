/* SPDX-License-Identifier: ISC */
#include "text.h"

#include <ctype.h>
#include <fnmatch.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"

/* One word behind p; NULL = a quote is not closed. */
static const char *
word_read(const char *p, struct buf *out)
{
	struct buf plain;
	bool	   in_quotes = false;

	buf_init(&plain, 1 << 20);
	while (*p != '\0' && (in_quotes || !isblank((unsigned char)*p))) {
		if (*p == '\\' && p[1] != '\0' && in_quotes)
			buf_add_char(&plain, *p++);
		else if (*p == '"') {
			in_quotes = !in_quotes;
			p++;
			continue;
		}
		buf_add_char(&plain, *p++);
	}
	buf_add_char(&plain, '\0');
	text_unescape(plain.p, out);
	buf_add_char(out, '\0');
	buf_wipe(&plain);
	return in_quotes ? NULL : p;
}

bool
words_split(const char *line, struct words *out)
{
	const char *p;
	struct buf  word;

	memset(out, 0, sizeof(*out));
	out->line = mem_dup(line);
	p = out->line;
	for (;;) {
		while (isblank((unsigned char)*p))
			p++;
		if (*p == '\0' || *p == '#')
			return true;
		if (out->n == WORDS_MAX)
			return false;
		out->from[out->n] = (char *)(uintptr_t)p;
		buf_init(&word, 1 << 20);
		p = word_read(p, &word);
		if (p == NULL) {
			buf_wipe(&word);
			return false;
		}
		out->v[out->n++] = word.p;
	}
}

void
words_wipe(struct words *w)
{
	unsigned i;

	for (i = 0; i < w->n; i++)
		free(w->v[i]);
	mem_free(w->line);
	memset(w, 0, sizeof(*w));
}

const char *
words_rest(const struct words *w, unsigned from)
{
	return from < w->n ? w->from[from] : "";
}

const char *
words_value(const struct words *w, unsigned from, const char *name)
{
	size_t	 n = strlen(name);
	unsigned i;

	for (i = from; i < w->n; i++)
		if (strncmp(w->v[i], name, n) == 0 && w->v[i][n] == '=')
			return w->v[i] + n + 1;
	return NULL;
}

void
text_unescape(const char *s, struct buf *out)
{
	static const char from[] = "rnt0\\\"", to[] = "\r\n\t\0\\\"";
	const char	 *at;
	char		  hex[3] = "";

	for (; *s != '\0'; s++) {
		if (*s != '\\' || s[1] == '\0') {
			buf_add_char(out, *s);
			continue;
		}
		s++;
		at = strchr(from, *s);
		if (at != NULL) {
			buf_add_char(out, to[at - from]);
		} else if (*s == 'x' && isxdigit((unsigned char)s[1]) &&
		    isxdigit((unsigned char)s[2])) {
			memcpy(hex, s + 1, 2);
			buf_add_char(out, (char)strtoul(hex, NULL, 16));
			s += 2;
		} else {
			buf_add_char(out, '\\');
			buf_add_char(out, *s);
		}
	}
}

bool
text_matches(const char *pattern, const char *text)
{
	size_t	n = strlen(pattern);
	regex_t re;
	char   *copy;
	bool	does;

	if (strcmp(pattern, "*") == 0)
		return true;
	if (n < 2 || pattern[0] != '/' || pattern[n - 1] != '/')
		return strcmp(pattern, text) == 0;
	copy = mem_dup(pattern + 1);
	copy[n - 2] = '\0';
	must(regcomp(&re, copy, REG_EXTENDED | REG_NOSUB) == 0);
	does = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	mem_free(copy);
	return does;
}

bool
text_is_glob_match(const char *glob, const char *text)
{
	return fnmatch(glob, text, FNM_CASEFOLD) == 0;
}

bool
text_to_duration(const char *s, int64_t *ms)
{
	static const struct {
		const char *unit;
		int64_t	    ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
		{ "h", 3600000 }, { "d", 86400000 } };
	size_t	  i;
	char	 *end;
	long long v;

	*ms = 0;
	if (strcmp(s, "0") == 0)
		return true;
	do {
		v = strtoll(s, &end, 10);
		if (end == s || v < 0)
			return false;
		for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (strncmp(end, units[i].unit,
				strlen(units[i].unit)) == 0)
				break;
		if (i == sizeof(units) / sizeof(units[0]))
			return false;
		*ms += v * units[i].ms;
		s = end + strlen(units[i].unit);
	} while (*s != '\0');
	return true;
}

bool
text_to_wall(const char *s, struct wall *out)
{
	struct tm tm;
	int	  ms = 0;

	memset(&tm, 0, sizeof(tm));
	if (sscanf(s, "%d-%d-%dT%d:%d:%d.%d", &tm.tm_year, &tm.tm_mon,
		&tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ms) < 6)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	out->ms = (int64_t)timegm(&tm) * 1000 + ms;
	return true;
}

bool
text_to_number(const char *s, double *out)
{
	char *end;

	if (strcmp(s, "unlimited") == 0) {
		*out = -1;
		return true;
	}
	*out = strtod(s, &end);
	return end != s && *end == '\0';
}

const char *
text_show(struct bytes b, char *out, size_t size)
{
	size_t i, n = 0;

	for (i = 0; i < b.n && n + 5 < size; i++) {
		unsigned char c = (unsigned char)b.p[i];

		if (c >= 0x20 && c < 0x7f)
			out[n++] = (char)c;
		else
			n += (size_t)snprintf(out + n, size - n, "\\x%02x", c);
	}
	out[n] = '\0';
	return out;
}
