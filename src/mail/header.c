/* SPDX-License-Identifier: ISC */
#include "mail/header.h"

#include <stdint.h>
#include <string.h>

#include "base/ascii.h"
#include "base/err.h"

enum { FIELDS_SPARE = 16 }; /* room for what is added later */

/* smtp-interface 9.3; in order without regard to case. */
static const char *const unique_names[] = {
	"Accept-Language", "acceptLanguage", "Archived-At", "Auto-Submitted",
	"Bounces-to", "Comments", "Content-Alternative", "Content-Base",
	"Content-Class", "Content-Description", "Content-Disposition",
	"Content-Duration", "Content-ID", "Content-Language", "Content-Length",
	"Content-Location", "Content-MD5", "Content-Transfer-Encoding",
	"Content-Type", "Date", "Delivered-To",
	"Disposition-Notification-Options", "Disposition-Notification-To",
	"DKIM-Signature", "DomainKey-Signature", "Errors-To", "From",
	"Importance", "In-Reply-To", "Keywords", "List-Archive", "List-Help",
	"List-Id", "List-Owner", "List-Post", "List-Subscribe",
	"List-Unsubscribe", "List-Unsubscribe-Post", "Message-Context",
	"Message-ID", "MIME-Version", "Organization", "Original-From",
	"Original-Message-ID", "Original-Recipient", "Original-Subject",
	"Precedence", "Priority", "References", "Reply-To", "Return-Path",
	"Return-Receipt-To", "Sender", "Sensitivity", "Solicitation",
	"Subject", "Thread-Index", "Thread-Topic", "User-Agent", "VBR-Info",
};
enum { UNIQUE_COUNT = sizeof(unique_names) / sizeof(unique_names[0]) };

/* Those of them that RFC 5322 3.6 allows once. */
static const char *const unique_rfc5322[] = {
	"Date", "From", "Sender", "Reply-To", "Message-ID", "In-Reply-To",
	"References", "Subject",
};

/* The line at from, without its line end; *next is behind it.  false: the
 * line has no end. */
static bool
line_at(struct bytes text, size_t from, struct bytes *line, size_t *next)
{
	ptrdiff_t lf = bytes_find(text, from, '\n');

	*next = lf < 0 ? text.n : (size_t)lf + 1;
	*line = bytes_from(bytes_head(text, lf < 0 ? text.n : (size_t)lf),
	    from);
	if (lf >= 0 && line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	return lf >= 0;
}

/* Splits "Name : value"; false = that is no field. */
static bool
split_field(struct bytes line, struct field *out)
{
	size_t i = 0, name;

	while (i < line.n && line.p[i] >= 33 && line.p[i] <= 126 &&
	    line.p[i] != ':')
		i++;
	name = i;
	while (i < line.n && ascii_is_blank(line.p[i]))
		i++;
	if (name == 0 || i == line.n || line.p[i] != ':')
		return false;
	out->name = bytes_head(line, name);
	out->value = bytes_from(line, i + 1);
	out->removed = false;
	return true;
}

ptrdiff_t
header_end(struct bytes sofar, size_t *from, bool lenient)
{
	struct bytes line;
	struct field f;
	size_t	     next;

	while (line_at(sofar, *from, &line, &next)) {
		if (line.n == 0)
			return (ptrdiff_t)next;
		if (lenient && !split_field(line, &f) &&
		    (*from == 0 || !ascii_is_blank(line.p[0])))
			return (ptrdiff_t)*from;
		*from = next;
	}
	return -1;
}

/* At least as many as there are fields. */
static size_t
count_lines(struct bytes text, size_t max)
{
	struct bytes line;
	size_t	     at = 0, n = 0;

	while (at < text.n && at <= max) {
		line_at(text, at, &line, &at);
		if (line.n == 0)
			break;
		if (!ascii_is_blank(line.p[0]))
			n++;
	}
	return n;
}

/* Takes one line; *unfolded is the running length of the field. */
static enum header_result
take_line(struct header *h, struct bytes line, size_t *unfolded)
{
	if (ascii_is_blank(line.p[0]) && h->count > 0) {
		struct bytes *v = &h->fields[h->count - 1].value;

		v->n = (size_t)(line.p + line.n - v->p);
		*unfolded += line.n;
	} else {
		must(h->count < h->room || !ascii_is_blank(line.p[0]));
		if (!split_field(line, &h->fields[h->count]))
			return HEADER_MALFORMED;
		h->count++;
		*unfolded = line.n;
	}
	return *unfolded > HEADER_FIELD_MAX ? HEADER_TOO_LONG : HEADER_OK;
}

enum header_result
header_parse(struct bytes text, const struct header_rules *rules,
    struct arena *a, struct header *out)
{
	struct bytes	   line;
	enum header_result result;
	size_t		   at = 0, next, unfolded = 0;

	memset(out, 0, sizeof(*out));
	out->arena = a;
	out->room = count_lines(text, rules->section_max) + FIELDS_SPARE;
	out->fields = arena_alloc(a, out->room * sizeof(*out->fields));
	if (out->fields == NULL)
		return HEADER_NO_MEMORY;
	for (; at < text.n; at = next) {
		line_at(text, at, &line, &next);
		if (line.n == 0) {
			out->body = next;
			return HEADER_OK;
		}
		result = take_line(out, line, &unfolded);
		if (result == HEADER_MALFORMED && rules->lenient) {
			out->broke_off = true;
			out->body = at;
			return HEADER_OK;
		}
		if (result != HEADER_OK)
			return result;
		if (next > rules->section_max)
			return HEADER_TOO_LONG;
	}
	out->body = text.n;
	return HEADER_OK;
}

/* -- looking up ----------------------------------------------------------- */

static struct field *
find_from(const struct header *h, size_t i, const char *name)
{
	struct bytes want = bytes_of(name);

	for (; i < h->count; i++)
		if (!h->fields[i].removed &&
		    bytes_eq_nocase(h->fields[i].name, want))
			return &h->fields[i];
	return NULL;
}

struct field *
header_find(const struct header *h, const char *name)
{
	return find_from(h, 0, name);
}

struct field *
header_next(const struct header *h, const struct field *after,
    const char *name)
{
	return find_from(h, (size_t)(after - h->fields) + 1, name);
}

size_t
header_count(const struct header *h, const char *name)
{
	const struct field *f;
	size_t		    n = 0;

	for (f = header_find(h, name); f != NULL; f = header_next(h, f, name))
		n++;
	return n;
}

const struct field *
header_first_eight_bit(const struct header *h)
{
	size_t i, j;

	for (i = 0; i < h->count; i++) {
		if (h->fields[i].removed)
			continue;
		for (j = 0; j < h->fields[i].value.n; j++)
			if ((unsigned char)h->fields[i].value.p[j] > 0x7f)
				return &h->fields[i];
	}
	return NULL;
}

static int
order_nocase(struct bytes a, const char *b)
{
	size_t i;

	for (i = 0; i < a.n && b[i] != '\0'; i++) {
		int x = (unsigned char)ascii_lower(a.p[i]);
		int y = (unsigned char)ascii_lower(b[i]);

		if (x != y)
			return x - y;
	}
	return a.n > i ? 1 : b[i] != '\0' ? -1 : 0;
}

/* Index in unique_names; UNIQUE_COUNT = not in the list. */
static size_t
unique_index(struct bytes name)
{
	size_t low = 0, high = UNIQUE_COUNT;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int    order = order_nocase(name, unique_names[mid]);

		if (order == 0)
			return mid;
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return UNIQUE_COUNT;
}

static bool
is_in_rfc5322(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(unique_rfc5322) / sizeof(char *); i++)
		if (strcmp(name, unique_rfc5322[i]) == 0)
			return true;
	return false;
}

const char *
header_first_duplicate(const struct header *h, enum header_unique set,
    bool many_signatures)
{
	uint64_t seen = 0; /* a bit for each of the 60 names */
	size_t	 i, at;

	for (i = 0; i < h->count; i++) {
		if (h->fields[i].removed)
			continue;
		at = unique_index(h->fields[i].name);
		if (at == UNIQUE_COUNT)
			continue;
		if (set == HEADER_UNIQUE_RFC5322 &&
		    !is_in_rfc5322(unique_names[at]))
			continue;
		if (many_signatures &&
		    strcmp(unique_names[at], "DKIM-Signature") == 0)
			continue;
		if (seen >> at & 1)
			return unique_names[at];
		seen |= UINT64_C(1) << at;
	}
	return NULL;
}

struct bytes
header_unfold(struct bytes value, struct arena *a)
{
	char  *p;
	size_t i, n = 0;

	value = bytes_trim(value);
	if (value.n == 0)
		return BYTES("");
	if (memchr(value.p, '\n', value.n) == NULL)
		return value;
	p = arena_alloc(a, value.n + 1);
	if (p == NULL)
		return (struct bytes){ NULL, 0 };
	for (i = 0; i < value.n; i++) {
		bool pair = value.p[i] == '\r' && i + 1 < value.n &&
		    value.p[i + 1] == '\n';

		if (!pair && value.p[i] != '\n')
			p[n++] = value.p[i];
	}
	return (struct bytes){ p, n };
}

/* -- rewriting ------------------------------------------------------------ */

void
header_remove(struct header *h, const char *name)
{
	struct field *f;

	while ((f = header_find(h, name)) != NULL)
		f->removed = true;
}

void
header_remove_prefix(struct header *h, const char *prefix)
{
	size_t i;

	for (i = 0; i < h->count; i++)
		if (bytes_starts_nocase(h->fields[i].name, bytes_of(prefix)))
			h->fields[i].removed = true;
}

/* "Name: value" in one piece, as header_write() expects it. */
static bool
make_field(struct header *h, const char *name, struct bytes value,
    struct field *out)
{
	size_t n = strlen(name);
	char  *p = arena_alloc(h->arena, n + 2 + value.n + 1);

	if (p == NULL)
		return false;
	memcpy(p, name, n);
	memcpy(p + n, ": ", 2);
	if (value.n > 0)
		memcpy(p + n + 2, value.p, value.n);
	out->name = (struct bytes){ p, n };
	out->value = (struct bytes){ p + n + 1, value.n + 1 };
	out->removed = false;
	return true;
}

static bool
make_room(struct header *h)
{
	struct field *bigger;

	if (h->count < h->room)
		return true;
	bigger = arena_alloc(h->arena, h->room * 2 * sizeof(*bigger));
	if (bigger == NULL)
		return false;
	memcpy(bigger, h->fields, h->count * sizeof(*bigger));
	h->fields = bigger;
	h->room *= 2;
	return true;
}

bool
header_replace(struct header *h, struct field *f, const char *name,
    struct bytes value)
{
	return make_field(h, name, value, f);
}

bool
header_append(struct header *h, const char *name, struct bytes value)
{
	if (!make_room(h) ||
	    !make_field(h, name, value, &h->fields[h->count]))
		return false;
	h->count++;
	return true;
}

bool
header_put_on_top(struct header *h, const char *name, struct bytes value)
{
	struct field f;

	if (!make_room(h) || !make_field(h, name, value, &f))
		return false;
	memmove(h->fields + 1, h->fields, h->count * sizeof(*h->fields));
	h->fields[0] = f;
	h->count++;
	return true;
}

bool
header_write(const struct header *h, struct buf *out)
{
	size_t i;

	for (i = 0; i < h->count; i++) {
		const struct field *f = &h->fields[i];

		if (f->removed)
			continue;
		buf_add(out, f->name.p,
		    (size_t)(f->value.p + f->value.n - f->name.p));
		buf_add_text(out, "\r\n");
	}
	return buf_add_text(out, "\r\n");
}

/* -- tag=value lists ------------------------------------------------------ */

/* Takes what stands before the next separator off the front of *rest. */
static bool
take_until(struct bytes *rest, char separator, struct bytes *out)
{
	ptrdiff_t at;

	if (rest->p == NULL)
		return false;
	at = bytes_find(*rest, 0, separator);
	*out = bytes_trim(at < 0 ? *rest : bytes_head(*rest, (size_t)at));
	if (at < 0)
		*rest = (struct bytes){ NULL, 0 };
	else
		*rest = bytes_from(*rest, (size_t)at + 1);
	return true;
}

bool
header_tag(struct bytes list, const char *tag, struct bytes *value)
{
	struct bytes item;
	ptrdiff_t    eq;

	while (take_until(&list, ';', &item)) {
		eq = bytes_find(item, 0, '=');
		if (eq < 0 || !bytes_eq_text(bytes_trim(bytes_head(item,
		    (size_t)eq)), tag))
			continue;
		*value = bytes_trim(bytes_from(item, (size_t)eq + 1));
		return true;
	}
	return false;
}

bool
header_is_signed(const struct header *h, const char *name)
{
	const struct field *f = header_find(h, "DKIM-Signature");
	struct bytes	    names, one;

	for (; f != NULL; f = header_next(h, f, "DKIM-Signature")) {
		if (!header_tag(f->value, "h", &names))
			continue;
		while (take_until(&names, ':', &one))
			if (bytes_eq_nocase(one, bytes_of(name)))
				return true;
	}
	return false;
}
