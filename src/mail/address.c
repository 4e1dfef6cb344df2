/* SPDX-License-Identifier: ISC */
#include "mail/address.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/ascii.h"
#include "base/err.h"

/* RFC 5321 atext; nothing above 127. */
static bool
is_atext(char c)
{
	return ascii_is_alnum(c) ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool
is_dot_string(struct bytes s)
{
	size_t i;
	bool   dot = true; /* a dot may not follow */

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '.') {
			if (dot)
				return false;
			dot = true;
		} else if (is_atext(s.p[i])) {
			dot = false;
		} else {
			return false;
		}
	}
	return !dot;
}

/* Length of the quoted string at the beginning of s; 0 = none. */
static size_t
quoted_length(struct bytes s)
{
	size_t i;

	if (s.n == 0 || s.p[0] != '"')
		return 0;
	for (i = 1; i < s.n; i++) {
		if (s.p[i] == '"')
			return i + 1;
		if (s.p[i] == '\\' && ++i == s.n)
			return 0;
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return 0;
	}
	return 0;
}

static bool
is_literal(struct bytes d)
{
	char		 text[INET6_ADDRSTRLEN + 1];
	unsigned char	 addr[16];
	struct bytes	 inner;

	if (d.n < 3 || d.p[0] != '[' || d.p[d.n - 1] != ']')
		return false;
	inner = bytes_head(bytes_from(d, 1), d.n - 2);
	if (memchr(inner.p, '\0', inner.n) != NULL)
		return false;
	if (bytes_starts_nocase(inner, BYTES("IPv6:"))) {
		inner = bytes_from(inner, 5);
		if (inner.n >= sizeof(text))
			return false;
		return inet_pton(AF_INET6,
		    bytes_text(inner, text, sizeof(text)), addr) == 1;
	}
	if (inner.n >= sizeof(text))
		return false;
	return inet_pton(AF_INET, bytes_text(inner, text, sizeof(text)),
	    addr) == 1;
}

static bool
is_label(struct bytes l, unsigned flags)
{
	size_t i;

	if (l.n == 0 || l.n > DOMAIN_LABEL_MAX)
		return false;
	for (i = 0; i < l.n; i++) {
		if (ascii_is_alnum(l.p[i]))
			continue;
		if (l.p[i] == '_' && (flags & ADDRESS_ALLOW_UNDERSCORE))
			continue;
		if (l.p[i] == '-' && i > 0 && i + 1 < l.n)
			continue;
		return false;
	}
	return true;
}

bool
domain_is_valid(struct bytes d, unsigned flags)
{
	size_t	  from = 0, labels = 0;
	ptrdiff_t dot;

	if (d.n == 0 || d.n > DOMAIN_MAX)
		return false;
	for (;;) {
		dot = bytes_find(d, from, '.');
		labels++;
		if (dot < 0)
			break;
		if (!is_label((struct bytes){ d.p + from,
		    (size_t)dot - from }, flags))
			return false;
		from = (size_t)dot + 1;
	}
	if (!is_label(bytes_from(d, from), flags))
		return false;
	return labels >= 2 || (flags & ADDRESS_ALLOW_SINGLE_LABEL) != 0;
}

bool
domain_normal(struct bytes d, unsigned flags, char *dst, struct bytes *out)
{
	size_t i;

	if (d.n > 0 && d.p[d.n - 1] == '.')
		d.n--;
	if (!domain_is_valid(d, flags))
		return false;
	for (i = 0; i < d.n; i++)
		dst[i] = ascii_lower(d.p[i]);
	dst[d.n] = '\0';
	*out = (struct bytes){ dst, d.n };
	return true;
}

bool
domain_parent(struct bytes d, struct bytes *parent)
{
	ptrdiff_t dot = bytes_find(d, 0, '.');

	if (dot < 0 || bytes_find(d, (size_t)dot + 1, '.') < 0)
		return false;
	*parent = bytes_from(d, (size_t)dot + 1);
	return true;
}

bool
domain_is_within(struct bytes d, struct bytes top)
{
	if (top.n == 0 || d.n < top.n)
		return false;
	if (!bytes_eq_nocase(bytes_from(d, d.n - top.n), top))
		return false;
	return d.n == top.n || d.p[d.n - top.n - 1] == '.';
}

bool
domain_is_dotted_quad(struct bytes d)
{
	char	      text[INET_ADDRSTRLEN];
	unsigned char addr[4];

	if (d.n == 0 || d.n >= sizeof(text) ||
	    memchr(d.p, '\0', d.n) != NULL)
		return false;
	return inet_pton(AF_INET, bytes_text(d, text, sizeof(text)),
	    addr) == 1;
}

bool
address_parse(struct bytes text, unsigned flags, struct address *out)
{
	ptrdiff_t at;

	memset(out, 0, sizeof(*out));
	if (text.n == 0 || text.n > ADDRESS_MAX)
		return false;
	if (text.p[0] == '"') {
		at = (ptrdiff_t)quoted_length(text);
		if (at == 0 || (size_t)at >= text.n || text.p[at] != '@')
			return false;
		out->quoted = true;
	} else {
		at = bytes_find(text, 0, '@');
		if (at < 0 || !is_dot_string(bytes_head(text, (size_t)at)))
			return false;
	}
	out->local = bytes_head(text, (size_t)at);
	out->domain = bytes_from(text, (size_t)at + 1);
	if (out->local.n > ADDRESS_LOCAL_MAX)
		return false;
	if ((flags & ADDRESS_ALLOW_LITERAL) && is_literal(out->domain)) {
		out->literal = true;
		return true;
	}
	return domain_is_valid(out->domain, flags);
}

bool
address_split(struct bytes normal, struct address *out)
{
	size_t at = normal.n;

	memset(out, 0, sizeof(*out));
	while (at > 0 && normal.p[at - 1] != '@')
		at--;
	if (at == 0)
		return false;
	out->local = bytes_head(normal, at - 1);
	out->domain = bytes_from(normal, at);
	out->quoted = out->local.n > 0 && out->local.p[0] == '"';
	out->literal = out->domain.n > 0 && out->domain.p[0] == '[';
	return true;
}

/* What a local part means: without quotes and quoted pairs. */
static size_t
local_plain(const struct address *a, char *dst)
{
	size_t i, n = 0;

	if (!a->quoted) {
		if (a->local.n > 0)
			memcpy(dst, a->local.p, a->local.n);
		return a->local.n;
	}
	for (i = 1; i + 1 < a->local.n; i++) {
		if (a->local.p[i] == '\\' && i + 2 < a->local.n)
			i++;
		dst[n++] = a->local.p[i];
	}
	return n;
}

struct bytes
address_normal(const struct address *a, char *dst)
{
	char   plain[ADDRESS_TEXT_MAX];
	size_t i, n, used = 0;

	must(a->local.n + a->domain.n < ADDRESS_MAX);
	n = local_plain(a, plain);
	if (!a->quoted || is_dot_string((struct bytes){ plain, n })) {
		memcpy(dst, plain, n);
		used = n;
	} else {
		dst[used++] = '"';
		for (i = 0; i < n; i++) {
			if (plain[i] == '"' || plain[i] == '\\')
				dst[used++] = '\\';
			dst[used++] = plain[i];
		}
		dst[used++] = '"';
	}
	if (a->domain.n > 0) {
		dst[used++] = '@';
		for (i = 0; i < a->domain.n; i++)
			dst[used++] = ascii_lower(a->domain.p[i]);
	}
	dst[used] = '\0';
	return (struct bytes){ dst, used };
}

bool
address_normal_text(struct bytes text, unsigned flags, char *dst,
    struct bytes *out)
{
	struct address a;

	if (!address_parse(text, flags, &a))
		return false;
	*out = address_normal(&a, dst);
	return true;
}

bool
address_base(const struct address *a, struct bytes *base)
{
	ptrdiff_t plus;

	if (a->quoted)
		return false;
	plus = bytes_find(a->local, 0, '+');
	if (plus <= 0)
		return false;
	*base = bytes_head(a->local, (size_t)plus);
	return true;
}

/* -- mailbox lists of header fields --------------------------------------- */

/* One element of a list, found by looking for its end. */
struct element {
	size_t from, end;   /* end: the "," ";" ":" or the end of the value */
	size_t open, close; /* "<" and ">"; open == end: there are none */
	char   stop;	    /* ',' ';' ':' or 0 */
};

/* Index behind the quoted string or comment that begins at i; 0 = broken. */
static size_t
skip_quoted(struct bytes v, size_t i)
{
	for (i++; i < v.n; i++) {
		if (v.p[i] == '"')
			return i + 1;
		if (v.p[i] == '\\')
			i++;
	}
	return 0;
}

static size_t
skip_comment(struct bytes v, size_t i)
{
	size_t depth = 0;

	for (; i < v.n; i++) {
		if (v.p[i] == '\\')
			i++;
		else if (v.p[i] == '(')
			depth++;
		else if (v.p[i] == ')' && --depth == 0)
			return i + 1;
	}
	return 0;
}

/* Takes what belongs together at i; 0 = broken. */
static size_t
skip_one(struct bytes v, size_t i)
{
	if (v.p[i] == '"')
		return skip_quoted(v, i);
	if (v.p[i] == '(')
		return skip_comment(v, i);
	return i + 1;
}

/* Only blanks and comments from i to end. */
static bool
is_idle(struct bytes v, size_t i, size_t end)
{
	while (i < end) {
		if (v.p[i] == '(')
			i = skip_comment(v, i);
		else if (ascii_is_white(v.p[i]))
			i++;
		else
			return false;
		if (i == 0)
			return false;
	}
	return true;
}

static bool
is_phrase(struct bytes v, size_t i, size_t end)
{
	while (i < end) {
		char c = v.p[i];

		if (c != '"' && c != '(' && c != '.' && !ascii_is_white(c) &&
		    !is_atext(c) && (unsigned char)c < 0x80)
			return false;
		i = skip_one(v, i);
		if (i == 0)
			return false;
	}
	return i == end;
}

static bool
element_find(struct bytes v, size_t from, struct element *e)
{
	size_t i = from;
	bool   opened = false, closed = false;

	e->from = from;
	e->stop = '\0';
	e->open = e->close = 0;
	while (i < v.n) {
		char c = v.p[i];

		if (c == '<') {
			if (opened)
				return false;
			opened = true;
			e->open = i;
		} else if (c == '>') {
			if (!opened || closed)
				return false;
			closed = true;
			e->close = i;
		} else if ((c == ',' || c == ';' || c == ':') &&
		    opened == closed) {
			e->stop = c;
			break;
		}
		/* a literal may hold colons */
		if (c == '[') {
			ptrdiff_t shut = bytes_find(v, i, ']');

			if (shut < 0)
				return false;
			i = (size_t)shut + 1;
			continue;
		}
		i = skip_one(v, i);
		if (i == 0)
			return false;
	}
	e->end = i;
	if (!opened)
		e->open = e->close = e->end;
	return opened == closed;
}

/*
 * addr-spec without comments and blanks.  Both may stand beside "." and "@"
 * only, otherwise "a b@c" would become "ab@c".
 */
static bool
spec_compact(struct bytes v, size_t i, size_t end, char *dst, size_t *n)
{
	bool gap = false;

	*n = 0;
	while (i < end) {
		size_t next;
		char   c = v.p[i];

		/* a literal may hold a quote or bracket that has no end */
		next = skip_one(v, i);
		if (next == 0 || next > end)
			return false;
		if (ascii_is_white(c) || c == '(') {
			gap = true;
			i = next;
			continue;
		}
		if (gap && *n > 0 && c != '.' && c != '@' &&
		    dst[*n - 1] != '.' && dst[*n - 1] != '@')
			return false;
		gap = false;
		for (; i < next; i++) {
			if (v.p[i] == '\r' || v.p[i] == '\n')
				continue;
			if (*n == ADDRESS_MAX)
				return false;
			dst[(*n)++] = v.p[i];
		}
	}
	return *n > 0;
}

/* Without the blanks and comments around it; it was compacted before. */
static struct bytes
spec_trim(struct bytes v, size_t i, size_t end)
{
	size_t first = end, last = i, next;

	for (; i < end; i = next) {
		next = skip_one(v, i);
		must(next > i);
		if (ascii_is_white(v.p[i]) || v.p[i] == '(')
			continue;
		if (first == end)
			first = i;
		last = next;
	}
	return (struct bytes){ v.p + first, last - first };
}

static enum mailbox_result
element_take(struct bytes v, const struct element *e, unsigned flags,
    struct arena *a, struct mailbox *out)
{
	char   spec[ADDRESS_TEXT_MAX];
	size_t n, from = e->from, end = e->end;

	memset(out, 0, sizeof(*out));
	out->raw = bytes_trim((struct bytes){ v.p + e->from,
	    e->end - e->from });
	if (e->open < e->end) {
		if (!is_phrase(v, e->from, e->open) ||
		    !is_idle(v, e->close + 1, e->end))
			return MAILBOX_SYNTAX;
		out->name = bytes_trim((struct bytes){ v.p + e->from,
		    e->open - e->from });
		from = e->open + 1;
		end = e->close;
	}
	if (!spec_compact(v, from, end, spec, &n))
		return MAILBOX_SYNTAX;
	out->spec = spec_trim(v, from, end);
	out->text = (struct bytes){ spec, n };
	if (!address_parse(out->text, flags, &out->address))
		return MAILBOX_SYNTAX;
	out->text = arena_bytes(a, out->text);
	if (out->text.p == NULL)
		return MAILBOX_NO_MEMORY;
	if (!address_parse(out->text, flags, &out->address))
		return MAILBOX_SYNTAX;
	return MAILBOX_OK;
}

static bool
element_is_null(struct bytes v, const struct element *e)
{
	return e->open < e->end && is_idle(v, e->from, e->open) &&
	    is_idle(v, e->open + 1, e->close) &&
	    is_idle(v, e->close + 1, e->end);
}

static size_t
count_separators(struct bytes v)
{
	size_t i, n = 1;

	for (i = 0; i < v.n && n < MAILBOX_LIST_MAX; i++)
		if (v.p[i] == ',' || v.p[i] == ';' || v.p[i] == ':')
			n++;
	return n;
}

/*
 * What ends the element has to fit: ":" opens a group, ";" closes it, and
 * behind the ";" comes a comma or nothing.
 */
static bool
list_follow_group(struct bytes v, const struct element *e, unsigned flags,
    bool *in_group)
{
	if (e->stop == ':') {
		if (!(flags & MAILBOX_ALLOW_GROUPS) || *in_group ||
		    e->open < e->end || !is_phrase(v, e->from, e->end))
			return false;
		*in_group = true;
	} else if (e->stop == ';') {
		size_t i = e->end + 1;

		if (!*in_group)
			return false;
		*in_group = false;
		while (i < v.n && v.p[i] != ',') {
			if (!ascii_is_white(v.p[i]) && v.p[i] != '(')
				return false;
			i = skip_one(v, i);
			if (i == 0)
				return false;
		}
	}
	return true;
}

enum mailbox_result
mailbox_list_parse(struct bytes value, unsigned flags, struct arena *a,
    struct mailbox_list *out)
{
	struct element	    e;
	enum mailbox_result result;
	size_t		    from = 0, nulls = 0, groups = 0;
	bool		    in_group = false;

	out->n = 0;
	out->v = arena_alloc(a, count_separators(value) * sizeof(*out->v));
	if (out->v == NULL)
		return MAILBOX_NO_MEMORY;
	do {
		if (!element_find(value, from, &e) ||
		    !list_follow_group(value, &e, flags, &in_group))
			return MAILBOX_SYNTAX;
		from = e.end + 1;
		if (e.stop == ':') {
			groups++;
			continue;
		}
		if (is_idle(value, e.from, e.end))
			continue; /* obsolete empty element */
		if ((flags & MAILBOX_ALLOW_NULL) &&
		    element_is_null(value, &e)) {
			nulls++;
			continue;
		}
		if (out->n == MAILBOX_LIST_MAX)
			return MAILBOX_TOO_MANY;
		result = element_take(value, &e, flags, a, &out->v[out->n]);
		if (result != MAILBOX_OK)
			return result;
		out->n++;
	} while (e.stop != '\0');
	if (in_group)
		return MAILBOX_SYNTAX;
	if (out->n + nulls == 0 && groups == 0)
		return MAILBOX_SYNTAX;
	return nulls > 0 && out->n + nulls > 1 ? MAILBOX_SYNTAX : MAILBOX_OK;
}

size_t
mailbox_list_replace(struct bytes value, struct bytes domain,
    struct bytes address, struct arena *a, struct buf *out)
{
	const unsigned flags = ADDRESS_ALLOW_LITERAL |
	    ADDRESS_ALLOW_SINGLE_LABEL | MAILBOX_ALLOW_GROUPS |
	    MAILBOX_ALLOW_NULL;
	struct mailbox_list list;
	struct mailbox	   *m;
	const char	   *done = value.p;
	size_t		    i, replaced = 0;

	if (mailbox_list_parse(value, flags, a, &list) != MAILBOX_OK)
		return 0;
	for (i = 0; i < list.n; i++) {
		m = &list.v[i];
		if (!bytes_eq_nocase(m->address.domain, domain))
			continue;
		buf_add(out, done, (size_t)(m->spec.p - done));
		buf_add_bytes(out, address);
		done = m->spec.p + m->spec.n;
		replaced++;
	}
	if (replaced > 0)
		buf_add(out, done, (size_t)(value.p + value.n - done));
	return replaced;
}

struct bytes
address_domain(struct bytes address)
{
	size_t i = address.n;

	while (i > 0 && address.p[i - 1] != '@')
		i--;
	return bytes_from(address, i);
}
