/* SPDX-License-Identifier: ISC */
/* Parameters of MIME fields, the file names in them, the block list. */
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "mail/header.h"
#include "mail/mime.h"

enum {
	EXTENSION_MAX = 31,
	SEGMENTS_MAX = 128, /* RFC 2231 continuations that are joined */
	NAME_MAX_OCTETS = HEADER_FIELD_MAX
};

static const char *const default_extensions[] = {
	"ade", "adp", "app", "asp", "bas", "bat", "cer", "chm", "hta", "inf",
	"ins", "isp", "its", "js", "jse", "ksh", "mau", "mav", "maw", "mda",
	"mdb", "mde", "mdt", "mdw", "mst", "ops", "pcd", "pif", "plg", "prf",
	"prg", "reg", "psc1", "psc2", "tmp", "url", "vb", "vbe", "vbs", "vps",
	"cmd", "com", "cpl", "crt", "csh", "der", "exe", "fxp", "gadget",
	"hlp", "lib", "lnk", "mad", "maf", "mag", "mam", "maq", "mar", "mas",
	"mat", "mdz", "msc", "msh", "msh1", "msh2", "mshxml", "msh1xml",
	"msh2xml", "msi", "msp", "scf", "scr", "sct", "shb", "shs", "sys",
	"ps1", "ps1xml", "ps2", "ps2xml", "vsmacros", "vss", "vst", "vsw",
	"vxd", "ws", "wsc", "wsf", "wsh", "xnk",
};

struct mime_blocked {
	size_t count, room;
	char (*list)[EXTENSION_MAX + 1]; /* lower case, without the dot */
};

/* -- block list ----------------------------------------------------------- */

static size_t
blocked_find(const struct mime_blocked *b, struct bytes extension)
{
	size_t i;

	for (i = 0; i < b->count; i++)
		if (bytes_eq_nocase(extension, bytes_of(b->list[i])))
			break;
	return i;
}

static void
blocked_add(struct mime_blocked *b, struct bytes extension)
{
	if (blocked_find(b, extension) < b->count)
		return;
	if (b->count == b->room) {
		b->room = b->room == 0 ? 128 : b->room * 2;
		b->list = mem_realloc(b->list, b->room * sizeof(*b->list));
	}
	bytes_text(extension, b->list[b->count++], sizeof(*b->list));
	ascii_lower_text(b->list[b->count - 1]);
}

static void
blocked_remove(struct mime_blocked *b, struct bytes extension)
{
	size_t at = blocked_find(b, extension);

	if (at < b->count)
		memmove(b->list[at], b->list[at + 1],
		    (--b->count - at) * sizeof(*b->list));
}

static void
blocked_add_defaults(struct mime_blocked *b)
{
	size_t i;

	for (i = 0; i < sizeof(default_extensions) / sizeof(char *); i++)
		blocked_add(b, bytes_of(default_extensions[i]));
}

static bool
is_extension(struct bytes s)
{
	return bytes_is_word(s, "-_") && s.n <= EXTENSION_MAX;
}

static bool
take_item(struct bytes *rest, struct bytes *item)
{
	size_t i = 0, n;

	while (i < rest->n && strchr(", \t\r\n", rest->p[i]) != NULL)
		i++;
	*rest = bytes_from(*rest, i);
	for (n = 0; n < rest->n && strchr(", \t\r\n", rest->p[n]) == NULL; n++)
		;
	*item = bytes_head(*rest, n);
	*rest = bytes_from(*rest, n);
	return n > 0;
}

/* ".ext", "+.ext" or "-.ext". */
static bool
blocked_apply(struct mime_blocked *b, struct bytes item)
{
	bool	     removes = item.p[0] == '-';
	struct bytes extension;

	if (item.p[0] == '+' || removes)
		item = bytes_from(item, 1);
	if (item.n == 0 || item.p[0] != '.')
		return false;
	extension = bytes_from(item, 1);
	if (!is_extension(extension))
		return false;
	if (removes)
		blocked_remove(b, extension);
	else
		blocked_add(b, extension);
	return true;
}

struct mime_blocked *
mime_blocked_new(struct bytes spec, struct err *e)
{
	struct mime_blocked *b = mem_alloc(sizeof(*b));
	struct bytes	     rest = spec, item;
	char		     shown[64];
	size_t		     n;

	if (bytes_eq_nocase(bytes_trim(spec), BYTES("none")))
		return b;
	for (n = 0; take_item(&rest, &item); n++) {
		/* changes without a list of one's own change the default */
		if (n == 0 && (item.p[0] == '+' || item.p[0] == '-'))
			blocked_add_defaults(b);
		if (n == 0 && bytes_eq_nocase(item, BYTES("default"))) {
			blocked_add_defaults(b);
		} else if (!blocked_apply(b, item)) {
			err_set(e, "'%s' is no file name extension; expected "
			    "default, none, or a list like .exe +.iso -.tmp",
			    bytes_text(item, shown, sizeof(shown)));
			mime_blocked_free(b);
			return NULL;
		}
	}
	if (n == 0) {
		err_set(e, "empty list; expected default, none, or "
		    "extensions");
		mime_blocked_free(b);
		return NULL;
	}
	return b;
}

void
mime_blocked_free(struct mime_blocked *b)
{
	if (b == NULL)
		return;
	mem_free(b->list);
	mem_free(b);
}

size_t
mime_blocked_count(const struct mime_blocked *b)
{
	return b->count;
}

/* What a file system or a reader leaves out at the end of a name: blanks, dots,
 * quotes of the other kind, the name of the stream that is the content. */
static struct bytes
name_as_stored(struct bytes name)
{
	struct bytes stream = BYTES("::$DATA");
	size_t	     n;

	do {
		n = name.n;
		while (name.n > 0 &&
		    strchr(". \t\r\n'\"", name.p[name.n - 1]) != NULL)
			name.n--;
		if (bytes_ends_nocase(name, stream))
			name.n -= stream.n;
	} while (name.n < n);
	return name;
}

bool
mime_blocked_has(const struct mime_blocked *b, struct bytes name)
{
	size_t from;

	name = name_as_stored(name);
	for (from = name.n; from > 0 && name.p[from - 1] != '.'; from--)
		;
	if (from == 0)
		return false;
	return blocked_find(b, bytes_from(name, from)) < b->count;
}

/* -- parameters ----------------------------------------------------------- */

struct parameter {
	struct bytes name, value; /* value without its quotes */
	bool	     quoted;
};

/* Behind blanks and comments at i. */
static size_t
skip_idle(struct bytes v, size_t i)
{
	size_t depth = 0;

	for (; i < v.n; i++) {
		if (depth > 0 && v.p[i] == '\\')
			i++;
		else if (v.p[i] == '(')
			depth++;
		else if (depth > 0 && v.p[i] == ')')
			depth--;
		else if (depth == 0 && !ascii_is_white(v.p[i]))
			break;
	}
	return i < v.n ? i : v.n;
}

/* Index of the next ";" outside of quotes, or the end. */
static size_t
skip_to_semicolon(struct bytes v, size_t i)
{
	bool quoted = false;

	for (; i < v.n && (quoted || v.p[i] != ';'); i++) {
		if (quoted && v.p[i] == '\\')
			i++;
		else if (v.p[i] == '"')
			quoted = !quoted;
	}
	return i < v.n ? i : v.n;
}

/* Index of the quote that ends the one at i, or the end. */
static size_t
quoted_end(struct bytes v, size_t i)
{
	for (i++; i < v.n && v.p[i] != '"'; i++)
		if (v.p[i] == '\\')
			i++;
	return i < v.n ? i : v.n;
}

static void
take_value(struct bytes *rest, size_t i, struct parameter *out)
{
	size_t from = i, semicolon;

	out->quoted = i < rest->n && rest->p[i] == '"';
	if (!out->quoted) {
		/* blanks within: not allowed, but commonly understood */
		semicolon = (size_t)bytes_find(*rest, i, ';');
		i = semicolon < rest->n ? semicolon : rest->n;
		out->value = bytes_trim((struct bytes){ rest->p + from,
		    i - from });
		*rest = bytes_from(*rest, i);
		return;
	}
	i = quoted_end(*rest, i);
	out->value = (struct bytes){ rest->p + from + 1, i - from - 1 };
	*rest = bytes_from(*rest, i < rest->n ? i + 1 : i);
	*rest = bytes_from(*rest, skip_to_semicolon(*rest, 0));
}

/* The next name=value behind a ";"; *rest stands at a ";" or at the end. */
static bool
next_parameter(struct bytes *rest, struct parameter *out)
{
	size_t i, from;

	while (rest->n > 0) {
		i = from = skip_idle(*rest, 1);
		while (i < rest->n && rest->p[i] != '=' && rest->p[i] != ';' &&
		    rest->p[i] != '"' && !ascii_is_white(rest->p[i]))
			i++;
		out->name = (struct bytes){ rest->p + from, i - from };
		i = skip_idle(*rest, i);
		if (i < rest->n && rest->p[i] == '=' && out->name.n > 0) {
			take_value(rest, skip_idle(*rest, i + 1), out);
			return true;
		}
		*rest = bytes_from(*rest, skip_to_semicolon(*rest, i));
	}
	return false;
}

static struct bytes
parameters_of(struct bytes value)
{
	return bytes_from(value, skip_to_semicolon(value, 0));
}

/* The value with quoted pairs and folds resolved. */
static void
add_plain(const struct parameter *p, struct buf *out)
{
	size_t i;

	for (i = 0; i < p->value.n; i++) {
		if (p->quoted && p->value.p[i] == '\\' && i + 1 < p->value.n)
			i++;
		if (p->value.p[i] != '\r' && p->value.p[i] != '\n')
			buf_add_char(out, p->value.p[i]);
	}
}

/* -- RFC 2231 ------------------------------------------------------------- */

struct segment {
	unsigned	 index;
	bool		 encoded;
	struct parameter p;
};

/* name*, name*0, name*0*: false = another parameter. */
static bool
split_extended(const struct parameter *p, struct bytes name,
    struct segment *out)
{
	struct bytes rest = p->name;
	uint64_t     index = 0;

	if (!bytes_starts_nocase(rest, name))
		return false;
	rest = bytes_from(rest, name.n);
	if (rest.n == 0 || rest.p[0] != '*')
		return false;
	rest = bytes_from(rest, 1);
	out->encoded = rest.n == 0 || rest.p[rest.n - 1] == '*';
	if (rest.n > 0 && out->encoded)
		rest.n--;
	if (rest.n > 0 && (!bytes_to_u64(rest, &index) || index > 65535))
		return false;
	out->index = (unsigned)index;
	out->p = *p;
	return true;
}

/* Keeps the list in order of index; equal ones in order of arrival. */
static void
insert_segment(struct segment *list, size_t *n, const struct segment *s)
{
	size_t at = *n;

	if (*n == SEGMENTS_MAX)
		return;
	while (at > 0 && list[at - 1].index > s->index) {
		list[at] = list[at - 1];
		at--;
	}
	list[at] = *s;
	(*n)++;
}

static void
add_percent(struct bytes text, struct buf *out)
{
	unsigned char octet;
	size_t	      i;

	for (i = 0; i < text.n; i++) {
		if (text.p[i] == '%' && i + 2 < text.n &&
		    hex_decode((struct bytes){ text.p + i + 1, 2 }, &octet,
			1)) {
			buf_add(out, &octet, 1);
			i += 2;
		} else if (text.p[i] != '\r' && text.p[i] != '\n') {
			buf_add_char(out, text.p[i]);
		}
	}
}

/* charset'language'text of the first segment: the charset and the text. */
static struct bytes
split_charset(struct bytes text, struct bytes *charset)
{
	ptrdiff_t a = bytes_find(text, 0, '\''), b;

	*charset = BYTES("");
	if (a < 0)
		return text;
	b = bytes_find(text, (size_t)a + 1, '\'');
	if (b < 0)
		return text;
	*charset = bytes_head(text, (size_t)a);
	return bytes_from(text, (size_t)b + 1);
}

/* Joins n segments and turns them into UTF-8, where the charset is known. */
static bool
join_segments(const struct segment *list, size_t n, struct buf *out)
{
	struct buf   raw;
	struct bytes charset = BYTES(""), text;
	size_t	     i;
	bool	     ok;

	buf_init(&raw, NAME_MAX_OCTETS);
	for (i = 0; i < n; i++) {
		text = list[i].p.value;
		if (i == 0 && list[i].encoded)
			text = split_charset(text, &charset);
		if (list[i].encoded)
			add_percent(text, &raw);
		else
			add_plain(&list[i].p, &raw);
	}
	if (!header_to_utf8(charset, buf_bytes(&raw), out))
		buf_add_bytes(out, buf_bytes(&raw));
	ok = !raw.failed && !out->failed;
	buf_wipe(&raw);
	return ok;
}

static size_t
collect_segments(struct bytes value, struct bytes name, struct segment *list)
{
	struct bytes	 rest = parameters_of(value);
	struct parameter p;
	struct segment	 s;
	size_t		 n = 0;

	while (next_parameter(&rest, &p))
		if (split_extended(&p, name, &s))
			insert_segment(list, &n, &s);
	return n;
}

bool
mime_parameter(struct bytes value, const char *name, char *dst, size_t size)
{
	struct segment	 list[SEGMENTS_MAX];
	struct bytes	 rest = parameters_of(value);
	struct parameter p;
	struct buf	 text;
	size_t		 n;
	bool		 found = false;

	buf_init(&text, NAME_MAX_OCTETS);
	while (!found && next_parameter(&rest, &p)) {
		found = bytes_eq_nocase(p.name, bytes_of(name));
		if (found)
			add_plain(&p, &text);
	}
	if (!found) {
		n = collect_segments(value, bytes_of(name), list);
		found = n > 0 && join_segments(list, n, &text);
	}
	if (found)
		bytes_text(buf_bytes(&text), dst, size);
	buf_wipe(&text);
	return found;
}

struct bytes
mime_media_type(struct bytes content_type)
{
	size_t from = skip_idle(content_type, 0), i = from;

	while (i < content_type.n && content_type.p[i] != ';' &&
	    content_type.p[i] != '(' && !ascii_is_white(content_type.p[i]))
		i++;
	return bytes_from(bytes_head(content_type, i), from);
}

/* -- file names ----------------------------------------------------------- */

struct search {
	const struct mime_blocked *blocked;
	char			  *shown;
	enum mime_verdict	   verdict;
};

static void
show_name(struct bytes name, char *dst)
{
	size_t i;

	name = bytes_head(bytes_trim(name), MIME_NAME_SHOWN);
	for (i = 0; i < name.n; i++)
		dst[i] = name.p[i] < 0x20 || name.p[i] > 0x7e ||
		    name.p[i] == '\'' ? '?' : name.p[i];
	dst[name.n] = '\0';
}

static void
check_name(struct search *s, struct bytes name)
{
	if (s->verdict == MIME_OK && mime_blocked_has(s->blocked, name)) {
		show_name(name, s->shown);
		s->verdict = MIME_BLOCKED_NAME;
	}
}

/* A plain parameter: its encoded words, else as it stands. */
static void
check_plain(struct search *s, const struct parameter *p)
{
	struct buf plain, text;
	size_t	   i;

	buf_init(&plain, NAME_MAX_OCTETS);
	buf_init(&text, 4 * NAME_MAX_OCTETS);
	add_plain(p, &plain);
	if (plain.failed || !header_decode_words(buf_bytes(&plain), &text))
		s->verdict = MIME_NO_MEMORY;
	check_name(s, buf_bytes(&text));
	/* unquoted, it may end at the first blank for some readers */
	for (i = 0; !p->quoted && i < p->value.n; i++) {
		if (ascii_is_white(p->value.p[i])) {
			check_name(s, bytes_head(p->value, i));
			break;
		}
	}
	buf_wipe(&plain);
	buf_wipe(&text);
}

static void
check_segments(struct search *s, const struct segment *list, size_t n)
{
	struct buf text;
	size_t	   whole = 1;

	if (n == 0)
		return;
	/* readers that stop at a gap see the first part only */
	while (whole < n && list[whole].index == list[whole - 1].index + 1)
		whole++;
	buf_init(&text, 4 * NAME_MAX_OCTETS);
	if (!join_segments(list, n, &text))
		s->verdict = MIME_NO_MEMORY;
	check_name(s, buf_bytes(&text));
	if (whole < n) {
		buf_clear(&text);
		if (!join_segments(list, whole, &text))
			s->verdict = MIME_NO_MEMORY;
		check_name(s, buf_bytes(&text));
	}
	buf_wipe(&text);
}

/* Behind the name of a parameter at i; where to go on. */
static size_t
check_bare_at(struct search *s, struct bytes v, size_t i)
{
	struct segment x = { .encoded = i < v.n && v.p[i] == '*' };
	size_t	       from;

	while (i < v.n && (v.p[i] == '*' || (v.p[i] >= '0' && v.p[i] <= '9')))
		i++;
	while (i < v.n && ascii_is_white(v.p[i]))
		i++;
	if (i == v.n || v.p[i] != '=')
		return i;
	for (i++; i < v.n && ascii_is_white(v.p[i]); i++)
		;
	x.p.quoted = i < v.n && v.p[i] == '"';
	from = x.p.quoted ? i + 1 : i;
	if (x.p.quoted)
		i = quoted_end(v, i);
	while (i < v.n && !x.p.quoted && v.p[i] != ';' && !ascii_is_white(v.p[i]))
		i++;
	x.p.value = (struct bytes){ v.p + from, i - from };
	if (x.encoded)
		check_segments(s, &x, 1);
	else
		check_plain(s, &x.p);
	return i;
}

/* Some readers need no ";" before it: "attachment filename=a.exe". */
static void
check_bare(struct search *s, struct bytes v, struct bytes name)
{
	size_t i = 0;
	char   before = ' '; /* the last octet that is no blank */

	while (i < v.n && s->verdict == MIME_OK) {
		if ((i == 0 || (ascii_is_white(v.p[i - 1]) && before != ';')) &&
		    bytes_starts_nocase(bytes_from(v, i), name)) {
			i = check_bare_at(s, v, i + name.n);
			before = ' ';
			continue;
		}
		if (!ascii_is_white(v.p[i]))
			before = v.p[i];
		i = v.p[i] == '"' ? quoted_end(v, i) + 1 : i + 1;
	}
}

enum mime_verdict
mime_check_names(const struct mime_blocked *b, struct bytes value,
    const char *parameter, char *shown)
{
	struct search	 s = { b, shown, MIME_OK };
	struct segment	 list[SEGMENTS_MAX];
	struct bytes	 rest = parameters_of(value);
	struct parameter p;

	check_segments(&s, list,
	    collect_segments(value, bytes_of(parameter), list));
	while (s.verdict == MIME_OK && next_parameter(&rest, &p))
		if (bytes_eq_nocase(p.name, bytes_of(parameter)))
			check_plain(&s, &p);
	check_bare(&s, value, bytes_of(parameter));
	return s.verdict;
}
