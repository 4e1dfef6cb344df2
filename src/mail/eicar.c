/* SPDX-License-Identifier: ISC */
#include "mail/eicar.h"

#include <string.h>

#include "base/ascii.h"

enum { OCTETS_MAX = 128 };

/* In pieces, so that no scanner finds it in the program. */
static const char *const pieces[] = { "X5O!P%@AP[4\\PZX54(P^)7CC)7}$",
	"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!", "$H+H*" };
enum { PIECES = sizeof(pieces) / sizeof(pieces[0]) };

enum eicar_encoding
eicar_encoding(struct bytes value)
{
	value = bytes_trim(value);
	if (bytes_eq_nocase(value, BYTES("base64")))
		return EICAR_BASE64;
	return bytes_eq_nocase(value, BYTES("quoted-printable")) ?
		EICAR_QUOTED : EICAR_PLAIN;
}

void
eicar_init(struct eicar *x, enum eicar_encoding encoding)
{
	memset(x, 0, sizeof(*x));
	x->encoding = encoding;
}

/* The octet of the string at that place; '\0' = it is over. */
static char
eicar_at(size_t i)
{
	size_t k, n;

	for (k = 0; k < PIECES; k++) {
		n = strlen(pieces[k]);
		if (i < n)
			return pieces[k][i];
		i -= n;
	}
	return '\0';
}

/* With Ctrl-Z, which EICAR has among them. */
static bool
is_white(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == '\x1a';
}

static void
eicar_take(struct eicar *x, char c)
{
	char want = eicar_at(x->octets);

	x->octets++;
	if (want != '\0' ? c == want : !is_white(c))
		x->last = x->octets;
	x->is_out = (want != '\0' && c != want) || x->last > OCTETS_MAX;
}

/* RFC 2045 6.8: what is not of the alphabet is passed over. */
static void
eicar_take_base64(struct eicar *x, char c)
{
	int v = base64_value(c);

	if (c == '=')
		x->is_closed = true;
	if (v < 0 || x->is_closed)
		return;
	x->bits = x->bits << 6 | (uint32_t)v;
	x->bit_count += 6;
	if (x->bit_count < 8)
		return;
	x->bit_count -= 8;
	eicar_take(x, (char)(x->bits >> x->bit_count & 0xff));
}

/* RFC 2045 6.7: "=41", or "=" at the end of a line, which joins two. */
static void
eicar_take_quoted(struct eicar *x, char c)
{
	int high, low;

	if (!x->is_quoted) {
		x->is_quoted = c == '=';
		x->quoted_count = 0;
		if (!x->is_quoted)
			eicar_take(x, c);
		return;
	}
	if (is_white(c)) {
		x->is_quoted = c != '\n';
		return;
	}
	x->quoted[x->quoted_count++] = c;
	if (x->quoted_count < 2)
		return;
	x->is_quoted = false;
	high = ascii_hex_value(x->quoted[0]);
	low = ascii_hex_value(x->quoted[1]);
	if (high < 0 || low < 0)
		x->is_out = true;
	else
		eicar_take(x, (char)(high << 4 | low));
}

void
eicar_feed(struct eicar *x, struct bytes octets)
{
	size_t i;

	for (i = 0; i < octets.n && !x->is_out; i++) {
		switch (x->encoding) {
		case EICAR_PLAIN:
			eicar_take(x, octets.p[i]);
			break;
		case EICAR_BASE64:
			eicar_take_base64(x, octets.p[i]);
			break;
		case EICAR_QUOTED:
			eicar_take_quoted(x, octets.p[i]);
			break;
		}
	}
}

bool
eicar_is_found(const struct eicar *x)
{
	/* all of it was there */
	return !x->is_out && eicar_at(x->octets) == '\0';
}
