/* SPDX-License-Identifier: ISC */
#include "net/spf_macro.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum {
	LABELS_MAX = 128,
	VALUE_SIZE = 512, /* local part, @ and domain are the longest */
	TAIL_SIZE = 4 * VALUE_SIZE
};

/* %{letter digits r delimiters} */
struct macro {
	char	 letter; /* 0: %% %_ %-; then .literal */
	const char *literal;
	bool	 escapes; /* the letter is upper case */
	unsigned labels;  /* the rightmost that are kept; 0 = all */
	bool	 reverses;
	struct bytes delimiters;
	size_t	 n; /* octets of it */
};

/* -- grammar --------------------------------------------------------------- */

/* What is in the braces; *at is behind "%{". */
static const char *
macro_read_braces(struct bytes text, size_t at, struct macro *m)
{
	size_t digits;
	char   c = at < text.n ? text.p[at++] : '\0';

	m->escapes = isupper((unsigned char)c);
	m->letter = (char)tolower((unsigned char)c);
	if (c == '\0' || strchr("slodiphcrtv", m->letter) == NULL)
		return "unknown macro";
	for (digits = at; at < text.n && isdigit((unsigned char)text.p[at]);
	     at++)
		if (m->labels < LABELS_MAX)
			m->labels = m->labels * 10 +
			    (unsigned)(text.p[at] - '0');
	if (at > digits && m->labels == 0)
		return "a macro that leaves no label";
	if (at < text.n && (text.p[at] == 'r' || text.p[at] == 'R')) {
		m->reverses = true;
		at++;
	}
	m->delimiters = bytes_from(text, at);
	while (at < text.n && strchr(".-+,/_=", text.p[at]) != NULL)
		at++;
	m->delimiters.n = at - (text.n - m->delimiters.n);
	if (at == text.n || text.p[at] != '}')
		return "bad macro";
	m->n = at + 1;
	return NULL;
}

/* text begins with '%'; NULL = *m is what it begins with. */
static const char *
macro_read(struct bytes text, struct macro *m)
{
	memset(m, 0, sizeof(*m));
	m->n = 2;
	switch (text.n > 1 ? text.p[1] : '\0') {
	case '%':
		m->literal = "%";
		return NULL;
	case '_':
		m->literal = " ";
		return NULL;
	case '-':
		m->literal = "%20";
		return NULL;
	case '{':
		return macro_read_braces(text, 2, m);
	default:
		return "a % that begins no macro";
	}
}

/* *tail: what stands behind the last macro. */
static const char *
check_macros(struct bytes text, bool is_explained, struct bytes *tail)
{
	const char  *why;
	struct macro m;
	ptrdiff_t    at;

	while ((at = bytes_find(text, 0, '%')) >= 0) {
		text = bytes_from(text, (size_t)at);
		why = macro_read(text, &m);
		if (why == NULL && !is_explained && m.letter != '\0' &&
		    strchr("crt", m.letter) != NULL)
			why = "a macro for explanations only";
		if (why != NULL)
			return why;
		text = bytes_from(text, m.n);
	}
	*tail = text;
	return NULL;
}

const char *
spf_macro_check(struct bytes text)
{
	struct bytes tail;

	return check_macros(text, true, &tail);
}

/* Letters, digits and hyphens inside; not of digits alone. */
static bool
is_toplabel(struct bytes label)
{
	bool   has_other = false;
	size_t i;

	for (i = 0; i < label.n; i++) {
		if (!isalnum((unsigned char)label.p[i]) && label.p[i] != '-')
			return false;
		has_other |= !isdigit((unsigned char)label.p[i]);
	}
	return has_other && label.p[0] != '-' && label.p[label.n - 1] != '-';
}

const char *
spf_macro_check_domain(struct bytes spec)
{
	struct bytes tail;
	const char  *why = check_macros(spec, false, &tail);
	size_t	     n;

	if (why != NULL)
		return why;
	if (spec.n == 0)
		return "the domain is missing";
	if (tail.n == 0)
		return NULL; /* ends with a macro */
	n = tail.n;
	if (tail.p[n - 1] == '.')
		tail = bytes_head(tail, --n);
	while (n > 0 && tail.p[n - 1] != '.')
		n--;
	return n > 0 && is_toplabel(bytes_from(tail, n)) ? NULL :
	    "not a domain";
}

bool
spf_macro_asks_client(struct bytes spec)
{
	struct macro m;
	ptrdiff_t    at;

	while ((at = bytes_find(spec, 0, '%')) >= 0) {
		spec = bytes_from(spec, (size_t)at);
		if (macro_read(spec, &m) != NULL)
			return false;
		if (m.letter == 'p')
			return true;
		spec = bytes_from(spec, m.n);
	}
	return false;
}

/* -- values ---------------------------------------------------------------- */

/* "192.0.2.3"; of IPv6 each nibble is a label. */
static void
value_of_ip(const char *ip, char out[VALUE_SIZE])
{
	unsigned char raw[16];
	size_t	      i;

	if (inet_pton(AF_INET6, ip, raw) != 1) {
		snprintf(out, VALUE_SIZE, "%s", ip);
		return;
	}
	for (i = 0; i < sizeof(raw); i++)
		snprintf(out + 4 * i, VALUE_SIZE - 4 * i, "%x.%x%s",
		    raw[i] >> 4, raw[i] & 0xfu, i + 1 < sizeof(raw) ? "." : "");
}

static void
value_of(char letter, const struct spf_macro_values *v, char out[VALUE_SIZE])
{
	const char *text = v->domain; /* d */

	if (letter == 'i') {
		value_of_ip(v->ip, out);
		return;
	}
	if (letter == 's') {
		snprintf(out, VALUE_SIZE, "%s@%s", v->local, v->sender);
		return;
	}
	if (letter == 'l')
		text = v->local;
	else if (letter == 'o')
		text = v->sender;
	else if (letter == 'h')
		text = v->helo;
	else if (letter == 'p')
		text = v->client;
	else if (letter == 'v')
		text = strchr(v->ip, ':') != NULL ? "ip6" : "in-addr";
	snprintf(out, VALUE_SIZE, "%s", text);
}

/* -- expansion ------------------------------------------------------------- */

/* Only the end counts: the front of what does not fit is dropped. */
struct tail {
	char   p[TAIL_SIZE];
	size_t n;
};

static void
tail_add(struct tail *t, char c)
{
	if (t->n == sizeof(t->p)) {
		memmove(t->p, t->p + sizeof(t->p) / 2, sizeof(t->p) / 2);
		t->n = sizeof(t->p) / 2;
	}
	t->p[t->n++] = c;
}

/* RFC 3986 2.3: all but the unreserved ones */
static void
tail_add_value(struct tail *t, struct bytes value, bool escapes)
{
	static const char digits[] = "0123456789ABCDEF";
	unsigned char	  c;
	size_t		  i;

	for (i = 0; i < value.n; i++) {
		c = (unsigned char)value.p[i];
		if (!escapes || (c < 0x80 && isalnum(c)) ||
		    (c != '\0' && strchr("-._~", c) != NULL)) {
			tail_add(t, (char)c);
			continue;
		}
		tail_add(t, '%');
		tail_add(t, digits[c >> 4]);
		tail_add(t, digits[c & 0xf]);
	}
}

static void
tail_add_macro(struct tail *t, const struct macro *m,
    const struct spf_macro_values *v)
{
	char	     text[VALUE_SIZE];
	struct bytes parts[VALUE_SIZE], all, dots = BYTES(".");
	struct bytes marks = m->delimiters.n > 0 ? m->delimiters : dots;
	size_t	     i, count = 0, first, from = 0;

	value_of(m->letter, v, text);
	all = bytes_of(text);
	for (i = 0; i <= all.n; i++)
		if (i == all.n || bytes_find(marks, 0, all.p[i]) >= 0) {
			parts[count++] = bytes_head(bytes_from(all, from),
			    i - from);
			from = i + 1;
		}
	first = m->labels > 0 && m->labels < count ? count - m->labels : 0;
	for (i = first; i < count; i++) {
		if (i > first)
			tail_add(t, '.');
		tail_add_value(t, parts[m->reverses ? count - 1 - i : i],
		    m->escapes);
	}
}

void
spf_macro_expand(struct bytes spec, const struct spf_macro_values *v,
    char out[SPF_DOMAIN_SIZE])
{
	struct tail  t;
	struct macro m;
	struct bytes name;
	ptrdiff_t    dot;

	t.n = 0;
	for (; spec.n > 0; spec = bytes_from(spec, m.n)) {
		m.n = 1;
		if (spec.p[0] != '%')
			tail_add(&t, spec.p[0]);
		else if (macro_read(spec, &m) != NULL)
			break;
		else if (m.literal != NULL)
			tail_add_value(&t, bytes_of(m.literal), false);
		else
			tail_add_macro(&t, &m, v);
	}
	name = (struct bytes){ t.p, t.n };
	if (name.n > 0 && name.p[name.n - 1] == '.')
		name = bytes_head(name, name.n - 1);
	while (name.n >= SPF_DOMAIN_SIZE) {
		dot = bytes_find(name, 0, '.');
		name = dot < 0 ? BYTES("") : bytes_from(name, (size_t)dot + 1);
	}
	bytes_text(name.n > 0 ? name : BYTES("invalid"), out,
	    SPF_DOMAIN_SIZE);
}
