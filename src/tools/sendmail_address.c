/* SPDX-License-Identifier: ISC */
#include "tools/sendmail_address.h"

#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"

enum {
	LIST_ADDRESS_MAX = 4096,
	ENCODED_OCTETS = 45 /* 60 characters of base64, 72 with the frame */
};

/* One walk over a list.  spec is the address of the running mailbox. */
struct walk {
	struct bytes	     host;
	struct buf	    *out;
	struct buf	     spec;
	sendmail_on_address *on_address;
	void		    *arg;
	size_t		     spec_end; /* in out, behind its last octet */
	unsigned	     depth;    /* of comments */
	bool		     quoted, angle, bracket;
	bool		     closed;  /* behind ">" */
	bool		     has_at;
	bool		     pending; /* a blank behind spec */
	bool		     gap;     /* blanks within spec */
};

static void
walk_restart(struct walk *w)
{
	buf_clear(&w->spec);
	w->has_at = w->pending = w->gap = false;
}

/* An octet of the address itself. */
static void
walk_take(struct walk *w, char c)
{
	char last = w->spec.n > 0 ? w->spec.p[w->spec.n - 1] : '\0';

	if (w->closed)
		return;
	if (w->pending && w->spec.n > 0 && last != '.' && last != '@' &&
	    c != '.' && c != '@') {
		w->gap = true;
		buf_add_char(&w->spec, ' ');
	}
	w->pending = false;
	if (c == '@' && !w->quoted && !w->bracket)
		w->has_at = true;
	buf_add_char(&w->spec, c);
	w->spec_end = w->out->n;
}

/* Puts "@host" behind the address, also into what is written already. */
static void
walk_complete(struct walk *w)
{
	size_t more = w->host.n + 1;
	char  *at;

	if (buf_room(w->out, more) == NULL)
		return;
	at = w->out->p + w->spec_end;
	memmove(at + more, at, w->out->n - w->spec_end);
	at[0] = '@';
	memcpy(at + 1, w->host.p, w->host.n);
	buf_commit(w->out, more);
	buf_add_char(&w->spec, '@');
	buf_add_bytes(&w->spec, w->host);
}

static void
walk_end_mailbox(struct walk *w)
{
	if (w->spec.n > 0) {
		if (!w->has_at && !w->gap && w->host.n > 0)
			walk_complete(w);
		if (w->on_address != NULL)
			w->on_address(w->arg, buf_bytes(&w->spec));
	}
	walk_restart(w);
	w->angle = w->closed = false;
}

/* Inside of a comment; *i may step over an escaped octet. */
static void
walk_comment(struct walk *w, struct bytes v, size_t *i)
{
	char c = v.p[*i];

	if (c == '(')
		w->depth++;
	else if (c == ')')
		w->depth--;
	else if (c == '\\' && *i + 1 < v.n)
		buf_add_char(w->out, v.p[++*i]);
}

static void
walk_quoted(struct walk *w, struct bytes v, size_t *i)
{
	char c = v.p[*i];

	walk_take(w, c);
	if (c == '\\' && *i + 1 < v.n) {
		c = v.p[++*i];
		buf_add_char(w->out, c);
		walk_take(w, c);
	} else if (c == '"') {
		w->quoted = false;
	}
}

/* A character outside of quotes and comments; it stands in out already,
 * separators excepted. */
static void
walk_plain(struct walk *w, char c)
{
	switch (c) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		w->pending = true;
		break;
	case '(':
		w->depth = 1;
		w->pending = true;
		break;
	case '"':
		walk_take(w, c);
		w->quoted = true;
		break;
	case '<':
		walk_restart(w);
		w->angle = true;
		w->closed = false;
		break;
	case '>':
		w->closed = true;
		break;
	case '[':
	case ']':
		walk_take(w, c);
		w->bracket = c == '[';
		break;
	case ':': /* the name of a group, or a source route */
		walk_restart(w);
		break;
	default:
		walk_take(w, c);
		break;
	}
}

static bool
walk_is_separator(const struct walk *w, char c)
{
	if (w->bracket)
		return false;
	return c == ';' || (c == ',' && (!w->angle || w->closed));
}

bool
sendmail_list_complete(struct bytes value, struct bytes host,
    struct buf *out, sendmail_on_address *on_address, void *arg)
{
	struct walk w = { .host = host, .out = out };
	size_t	    i;
	char	    c;

	w.on_address = on_address;
	w.arg = arg;
	buf_init(&w.spec, LIST_ADDRESS_MAX);
	for (i = 0; i < value.n; i++) {
		c = value.p[i];
		if (w.depth == 0 && !w.quoted && walk_is_separator(&w, c)) {
			walk_end_mailbox(&w);
			buf_add_char(out, c);
			continue;
		}
		buf_add_char(out, c);
		if (w.depth > 0)
			walk_comment(&w, value, &i);
		else if (w.quoted)
			walk_quoted(&w, value, &i);
		else if (w.bracket && c != ']')
			walk_take(&w, c);
		else
			walk_plain(&w, c);
	}
	walk_end_mailbox(&w);
	buf_wipe(&w.spec);
	return !out->failed;
}

/* -- display names --------------------------------------------------------- */

static bool
name_encode(struct bytes name, struct buf *out)
{
	char   text[4 * ((ENCODED_OCTETS + 2) / 3) + 1];
	size_t from = 0, at = 0, n;

	while (at < name.n) {
		n = utf8_length(name, at);
		if (at + n - from > ENCODED_OCTETS) {
			base64_encode(name.p + from, at - from, text);
			buf_printf(out, "=?utf-8?B?%s?=\r\n ", text);
			from = at;
		}
		at += n;
	}
	base64_encode(name.p + from, at - from, text);
	return buf_printf(out, "=?utf-8?B?%s?= ", text);
}

bool
sendmail_add_display_name(struct bytes name, struct buf *out)
{
	bool   plain = true, quotes = false;
	size_t i, n;

	name = bytes_trim(name);
	for (i = 0; i < name.n; i += n) {
		n = utf8_length(name, i);
		if (n == 0 || (unsigned char)name.p[i] < ' ' ||
		    name.p[i] == 0x7f)
			return true;
		plain = plain && n == 1;
		quotes = quotes || (name.p[i] != ' ' && n == 1 &&
		    !ascii_is_alnum(name.p[i]) &&
		    strchr("!#$%&'*+-/=?^_`{|}~", name.p[i]) == NULL);
	}
	if (name.n == 0)
		return true;
	/* words that look encoded would be decoded */
	quotes = quotes || bytes_find_nocase(name, BYTES("=?")) >= 0;
	if (!plain || name.n > 200)
		return name_encode(name, out);
	if (quotes)
		buf_add_char(out, '"');
	for (i = 0; i < name.n; i++) {
		if (name.p[i] == '"' || name.p[i] == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, name.p[i]);
	}
	return buf_add_text(out, quotes ? "\" " : " ");
}

bool
sendmail_gecos_name(const char *gecos, const char *login, struct buf *out)
{
	for (; *gecos != '\0' && *gecos != ','; gecos++) {
		if (*gecos != '&') {
			buf_add_char(out, *gecos);
		} else if (*login != '\0') {
			buf_add_char(out, ascii_upper(*login));
			buf_add_text(out, login + 1);
		}
	}
	return !out->failed;
}
