/* SPDX-License-Identifier: ISC */
/* JSON strings as events.md section 2 has them. */
#include <string.h>

#include "base/utf8.h"
#include "mail/event.h"

static void
add_escape(struct buf *out, unsigned char c)
{
	static const char plain[] = "\b\f\n\r\t\"\\", short_form[] =
							  "bfnrt\"\\";
	const char *hit = c == 0 ? NULL : strchr(plain, c);

	if (hit != NULL) {
		buf_add_char(out, '\\');
		buf_add_char(out, short_form[hit - plain]);
	} else
		buf_printf(out, "\\u%04x", c);
}

/* One character that may not stand as it is: false = it may. */
static bool
add_special(struct buf *out, const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;

	if (n == 0) { /* not UTF-8: each octet becomes U+FFFD */
		buf_add_text(out, "\xef\xbf\xbd");
		return true;
	}
	if (n == 1 && (u[0] < 0x20 || u[0] == 0x7f || u[0] == '"' ||
			  u[0] == '\\')) {
		add_escape(out, u[0]);
		return true;
	}
	if (n == 2 && u[0] == 0xc2 && u[1] < 0xa0) { /* U+0080-U+009F */
		add_escape(out, u[1]);
		return true;
	}
	if (n == 3 && u[0] == 0xe2 && u[1] == 0x80 &&
	    (u[2] == 0xa8 || u[2] == 0xa9)) {
		buf_add_text(out, u[2] == 0xa8 ? "\\u2028" : "\\u2029");
		return true;
	}
	return false;
}

static bool
is_plain(char c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* The inside of a string. */
static bool
add_chars(struct buf *out, struct bytes s)
{
	size_t at = 0, plain, n;

	while (at < s.n && !out->failed) {
		/* what is plain goes out in one piece */
		plain = at;
		while (at < s.n && is_plain(s.p[at]))
			at++;
		buf_add(out, s.p + plain, at - plain);
		if (at == s.n)
			break;
		n = utf8_length(s, at);
		if (!add_special(out, s.p + at, n))
			buf_add(out, s.p + at, n);
		at += n > 0 ? n : 1;
	}
	return !out->failed;
}

bool
event_write_string(struct bytes s, struct buf *out)
{
	buf_add_char(out, '"');
	add_chars(out, s);
	return buf_add_char(out, '"');
}

/* How much of s fits into max octets of UTF-8. */
static size_t
fitting(struct bytes s, size_t max)
{
	size_t at = 0, sum = 0, n;

	while (at < s.n) {
		n = utf8_length(s, at);
		sum += n > 0 ? n : 3;
		if (sum > max)
			return at;
		at += n > 0 ? n : 1;
	}
	return at;
}

bool
event_write_string_cut(struct bytes s, size_t max, const char *tail,
    struct buf *out)
{
	size_t fit = fitting(s, max);

	if (fit < s.n)
		fit = fitting(s, max - strlen(tail));
	else
		tail = "";
	buf_add_char(out, '"');
	add_chars(out, bytes_head(s, fit));
	buf_add_text(out, tail);
	return buf_add_char(out, '"');
}
