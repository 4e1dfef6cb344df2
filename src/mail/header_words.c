/* SPDX-License-Identifier: ISC */
/* Encoded words (RFC 2047) and the charsets behind them. */
#include <string.h>

#include "base/utf8.h"
#include "mail/header.h"

enum charset {
	CHARSET_UTF8, /* us-ascii too */
	CHARSET_LATIN1,
	CHARSET_LATIN9,
	CHARSET_CP1252,
	CHARSET_UNKNOWN
};

static const struct {
	const char  *name;
	enum charset charset;
} charset_names[] = {
	{ "utf-8", CHARSET_UTF8 },	  { "utf8", CHARSET_UTF8 },
	{ "us-ascii", CHARSET_UTF8 },	  { "ascii", CHARSET_UTF8 },
	{ "iso-8859-1", CHARSET_LATIN1 }, { "iso_8859-1", CHARSET_LATIN1 },
	{ "latin1", CHARSET_LATIN1 },	  { "iso-8859-15", CHARSET_LATIN9 },
	{ "iso_8859-15", CHARSET_LATIN9 }, { "latin9", CHARSET_LATIN9 },
	{ "windows-1252", CHARSET_CP1252 }, { "cp1252", CHARSET_CP1252 },
};

/* 0x80 to 0x9f; the five that are not assigned are taken as C1. */
static const unsigned short cp1252_high[32] = {
	0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
	0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x008d, 0x017d, 0x008f,
	0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
	0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178,
};

static const struct {
	unsigned char  octet;
	unsigned short point;
} latin9_other[] = {
	{ 0xa4, 0x20ac }, { 0xa6, 0x0160 }, { 0xa8, 0x0161 },
	{ 0xb4, 0x017d }, { 0xb8, 0x017e }, { 0xbc, 0x0152 },
	{ 0xbd, 0x0153 }, { 0xbe, 0x0178 },
};

static enum charset
charset_find(struct bytes name)
{
	size_t i;

	for (i = 0; i < sizeof(charset_names) / sizeof(charset_names[0]); i++)
		if (bytes_eq_nocase(name, bytes_of(charset_names[i].name)))
			return charset_names[i].charset;
	return CHARSET_UNKNOWN;
}

static unsigned
code_point(enum charset charset, unsigned char octet)
{
	size_t i;

	if (charset == CHARSET_CP1252 && octet >= 0x80 && octet <= 0x9f)
		return cp1252_high[octet - 0x80];
	if (charset == CHARSET_LATIN9)
		for (i = 0; i < sizeof(latin9_other) /
		    sizeof(latin9_other[0]); i++)
			if (latin9_other[i].octet == octet)
				return latin9_other[i].point;
	return octet;
}

bool
header_to_utf8(struct bytes charset, struct bytes text, struct buf *out)
{
	enum charset which = charset_find(charset);
	size_t	     i;

	if (which == CHARSET_UNKNOWN)
		return false;
	if (which == CHARSET_UTF8)
		buf_add_bytes(out, text);
	else
		for (i = 0; i < text.n; i++)
			utf8_add(out, code_point(which,
			    (unsigned char)text.p[i]));
	return true;
}

static bool
decode_q(struct bytes text, struct buf *out)
{
	unsigned char octet;
	size_t	      i;

	for (i = 0; i < text.n; i++) {
		if (text.p[i] == '_') {
			buf_add_char(out, ' ');
		} else if (text.p[i] == '=' && i + 2 < text.n &&
		    hex_decode((struct bytes){ text.p + i + 1, 2 }, &octet,
			1)) {
			buf_add(out, &octet, 1);
			i += 2;
		} else if (text.p[i] == '=') {
			return false;
		} else {
			buf_add_char(out, text.p[i]);
		}
	}
	return true;
}

/* Padding may be missing: many senders leave it out. */
static bool
decode_b(struct bytes text, struct buf *out)
{
	struct buf clean;
	size_t	   i, n = 0;
	char	  *room;
	bool	   ok = false;

	buf_init(&clean, text.n + 4);
	for (i = 0; i < text.n; i++)
		if (text.p[i] != '=' && text.p[i] != ' ')
			buf_add_char(&clean, text.p[i]);
	while (clean.n % 4 == 2 || clean.n % 4 == 3)
		buf_add_char(&clean, '=');
	room = buf_room(out, clean.n);
	if (room != NULL && !clean.failed &&
	    base64_decode(buf_bytes(&clean), room, clean.n, &n)) {
		buf_commit(out, n);
		ok = true;
	}
	buf_wipe(&clean);
	return ok;
}

/* An encoded word, taken apart. */
struct word {
	struct bytes charset, text;
	char	     encoding;
	size_t	     length; /* of the whole */
};

static bool
word_split(struct bytes s, struct word *w)
{
	ptrdiff_t a, b, c, lang;

	if (!bytes_starts(s, BYTES("=?")))
		return false;
	a = bytes_find(s, 2, '?');
	if (a < 0 || (size_t)a + 2 >= s.n || s.p[a + 2] != '?')
		return false;
	b = a + 2;
	c = bytes_find(s, (size_t)b + 1, '?');
	if (c < 0 || (size_t)c + 1 >= s.n || s.p[c + 1] != '=')
		return false;
	w->charset = bytes_from(bytes_head(s, (size_t)a), 2);
	lang = bytes_find(w->charset, 0, '*'); /* RFC 2231 section 5 */
	if (lang >= 0)
		w->charset.n = (size_t)lang;
	w->encoding = s.p[a + 1];
	w->text = bytes_from(bytes_head(s, (size_t)c), (size_t)b + 1);
	w->length = (size_t)c + 2;
	return true;
}

/* The octets of a word, in its charset; false = not to be decoded. */
static bool
word_decode(const struct word *w, struct buf *raw)
{
	buf_clear(raw);
	if (charset_find(w->charset) == CHARSET_UNKNOWN)
		return false;
	if (w->encoding == 'Q' || w->encoding == 'q')
		return decode_q(w->text, raw) && !raw->failed;
	if (w->encoding == 'B' || w->encoding == 'b')
		return decode_b(w->text, raw) && !raw->failed;
	return false;
}

static bool
is_white(struct bytes s)
{
	return bytes_trim(s).n == 0;
}

bool
header_decode_words(struct bytes value, struct buf *out)
{
	struct word w;
	struct buf  raw;
	size_t	    from = 0, i = 0; /* [from, i): plain text, not added */
	bool	    behind_word = false;
	ptrdiff_t   at;

	buf_init(&raw, value.n + 4);
	while ((at = bytes_find(value, i, '=')) >= 0) {
		struct bytes plain = { value.p + from, (size_t)at - from };

		i = (size_t)at;
		if (!word_split(bytes_from(value, i), &w) ||
		    !word_decode(&w, &raw)) {
			i++;
			continue;
		}
		/* blanks between two words separate, they are not text */
		if (!behind_word || !is_white(plain))
			buf_add_bytes(out, plain);
		header_to_utf8(w.charset, buf_bytes(&raw), out);
		i += w.length;
		from = i;
		behind_word = true;
	}
	buf_wipe(&raw);
	buf_add_bytes(out, bytes_from(value, from));
	return !out->failed;
}

bool
header_read_phrase(struct bytes phrase, struct buf *out)
{
	struct buf plain;
	bool	   quoted = false;
	size_t	   i;

	buf_init(&plain, phrase.n);
	for (i = 0; i < phrase.n; i++) {
		if (phrase.p[i] == '"')
			quoted = !quoted;
		else if (quoted && phrase.p[i] == '\\' && i + 1 < phrase.n)
			buf_add_char(&plain, phrase.p[++i]);
		else if (phrase.p[i] != '\r' && phrase.p[i] != '\n')
			buf_add_char(&plain, phrase.p[i]);
	}
	if (plain.failed)
		out->failed = true;
	header_decode_words(buf_bytes(&plain), out);
	buf_wipe(&plain);
	return !out->failed;
}
