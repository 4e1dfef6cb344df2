/* SPDX-License-Identifier: ISC */
#include "tools/ctl/row.h"

#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"

/* -- reading --------------------------------------------------------------- */

struct scan {
	const char *p, *end;
};

static bool
scan_char(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool
scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return false;
	s->p += n;
	return true;
}

static bool
scan_hex(struct scan *s, unsigned *out)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char	 *hit;
	int		  i;

	*out = 0;
	for (i = 0; i < 4; i++, s->p++) {
		hit = s->p == s->end || *s->p == '\0' ? NULL
						       : strchr(digits, *s->p);
		if (hit == NULL)
			return false;
		*out = *out * 16 + (unsigned)(hit - digits) % 16;
	}
	return true;
}

/* One character of "\..."; a pair of surrogates is one. */
static bool
scan_escape(struct scan *s, unsigned *out)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char	 *hit;
	unsigned	  low;

	if (s->p == s->end || *s->p == '\0')
		return false;
	if (*s->p == 'u') {
		s->p++;
		if (!scan_hex(s, out) || (*out >= 0xdc00 && *out < 0xe000))
			return false;
		if (*out < 0xd800 || *out >= 0xe000)
			return true;
		if (!scan_word(s, "\\u") || !scan_hex(s, &low) ||
		    low < 0xdc00 || low >= 0xe000)
			return false;
		*out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
		return true;
	}
	hit = strchr(letters, *s->p++);
	if (hit == NULL)
		return false;
	*out = (unsigned char)meant[hit - letters];
	return true;
}

/* Up to the closing quote; what it holds is looked at no further. */
static bool
scan_text(struct scan *s, struct bytes *out)
{
	const char *p = s->p, *end = s->end;
	unsigned    unused;

	if (p == end || *p++ != '"')
		return false;
	out->p = p;
	for (;;) {
		while (p < end && (unsigned char)*p >= 0x20 && *p != '"' &&
		    *p != '\\')
			p++;
		s->p = p;
		if (!scan_char(s, '\\'))
			break;
		if (!scan_escape(s, &unused))
			return false;
		p = s->p;
	}
	out->n = (size_t)(p - out->p);
	return scan_char(s, '"');
}

static bool
scan_number(struct scan *s, struct bytes *out)
{
	const char *digits;

	out->p = s->p;
	(void)scan_char(s, '-');
	digits = s->p;
	while (s->p < s->end && ascii_is_digit(*s->p))
		s->p++;
	out->n = (size_t)(s->p - out->p);
	/* jansson has integers of 64 bits, and no 0 in front */
	return s->p > digits && s->p - digits <= 18 &&
	    (*digits != '0' || s->p - digits == 1);
}

static bool
scan_list(struct scan *s, struct row_member *m)
{
	m->kind = ROW_LIST;
	m->items = 0;
	if (scan_char(s, ']'))
		return true;
	do {
		if (m->items == ROW_ITEMS_MAX ||
		    !scan_text(s, &m->item[m->items]))
			return false;
		m->items++;
	} while (scan_char(s, ','));
	return scan_char(s, ']');
}

static bool
scan_value(struct scan *s, struct row_member *m)
{
	m->value = BYTES("");
	if (s->p == s->end)
		return false;
	if (*s->p == '"') {
		m->kind = ROW_TEXT;
		return scan_text(s, &m->value);
	}
	if (scan_char(s, '['))
		return scan_list(s, m);
	m->kind = ROW_NULL;
	if (scan_word(s, "null"))
		return true;
	m->kind = ROW_TRUE;
	if (scan_word(s, "true"))
		return true;
	m->kind = ROW_FALSE;
	if (scan_word(s, "false"))
		return true;
	m->kind = ROW_NUMBER;
	return scan_number(s, &m->value);
}

bool
row_read(struct bytes line, struct row *out)
{
	struct scan	   s = { line.p, line.p + line.n };
	struct row_member *m;

	out->count = 0;
	if (!scan_word(&s, "{\"line\":{"))
		return false;
	do {
		if (out->count == ROW_MEMBERS_MAX)
			return false;
		m = &out->member[out->count];
		if (!scan_text(&s, &m->name) || !scan_char(&s, ':') ||
		    !scan_value(&s, m))
			return false;
		out->count++;
	} while (scan_char(&s, ','));
	return scan_word(&s, "}}") && s.p == s.end;
}

const struct row_member *
row_find(const struct row *r, const char *name)
{
	struct bytes wanted = bytes_of(name);
	size_t	     i;

	for (i = 0; i < r->count; i++)
		if (bytes_eq(r->member[i].name, wanted))
			return &r->member[i];
	return NULL;
}

/* -- writing --------------------------------------------------------------- */

bool
row_unescape(struct bytes text, struct buf *out)
{
	struct scan s = { text.p, text.p + text.n };
	const char *plain;
	unsigned    c;

	while (s.p < s.end) {
		plain = s.p;
		while (s.p < s.end && *s.p != '\\')
			s.p++;
		buf_add(out, plain, (size_t)(s.p - plain));
		if (s.p++ == s.end)
			break;
		if (!scan_escape(&s, &c))
			return false;
		utf8_add(out, c);
	}
	return !out->failed;
}

static void
row_add_quoted(struct buf *out, struct bytes text)
{
	buf_add_char(out, '"');
	buf_add_bytes(out, text);
	buf_add_char(out, '"');
}

static void
row_new_line(struct buf *out, int indent)
{
	static const char spaces[] = "                                ";

	buf_add_char(out, '\n');
	for (; indent > 0; indent -= (int)sizeof(spaces) - 1)
		buf_add(out, spaces, indent < (int)sizeof(spaces) - 1
			? (size_t)indent : sizeof(spaces) - 1);
}

static void
row_write_list(const struct row_member *m, int indent, struct buf *out)
{
	size_t i;

	buf_add_char(out, '[');
	for (i = 0; i < m->items; i++) {
		if (i > 0)
			buf_add_char(out, ',');
		row_new_line(out, indent + 4);
		row_add_quoted(out, m->item[i]);
	}
	if (m->items > 0)
		row_new_line(out, indent);
	buf_add_char(out, ']');
}

void
row_write(const struct row *r, int indent, struct buf *out)
{
	static const char *const words[] = { [ROW_NULL] = "null",
		[ROW_TRUE] = "true", [ROW_FALSE] = "false" };
	const struct row_member *m;
	size_t			 i;

	buf_add_char(out, '{');
	for (i = 0; i < r->count; i++) {
		m = &r->member[i];
		if (i > 0)
			buf_add_char(out, ',');
		row_new_line(out, indent + 4);
		row_add_quoted(out, m->name);
		buf_add_text(out, ": ");
		if (m->kind == ROW_TEXT)
			row_add_quoted(out, m->value);
		else if (m->kind == ROW_NUMBER)
			buf_add_bytes(out, m->value);
		else if (m->kind == ROW_LIST)
			row_write_list(m, indent + 4, out);
		else
			buf_add_text(out, words[m->kind]);
	}
	row_new_line(out, indent);
	buf_add_char(out, '}');
}
