/* SPDX-License-Identifier: ISC */
/* The second half of mail/smtp.h: replies, ours and those of others. */
#include "mail/smtp.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "mail/smtp_private.h"

enum { ENHANCED_DIGITS_MAX = 3 };

/* -- replies of ours ------------------------------------------------------ */

static void
reply_fill(struct reply *re, unsigned code, const char *enhanced,
    const char *fmt, va_list ap)
{
	size_t i;

	must(code >= 200 && code <= 599);
	re->code = code;
	snprintf(re->enhanced, sizeof(re->enhanced), "%s",
	    enhanced == NULL ? "" : enhanced);
	vsnprintf(re->text, sizeof(re->text), fmt, ap);
	for (i = 0; re->text[i] != '\0'; i++)
		if (re->text[i] < 0x20 || re->text[i] > 0x7e)
			re->text[i] = '?';
}

void
reply_set(struct reply *re, unsigned code, const char *enhanced,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply_fill(re, code, enhanced, fmt, ap);
	va_end(ap);
}

bool
reply_refuse(struct reply *re, unsigned code, const char *enhanced,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply_fill(re, code, enhanced, fmt, ap);
	va_end(ap);
	return false;
}

bool
reply_write(const struct reply *re, bool enhanced_codes, struct buf *out)
{
	size_t begin = out->n;

	must(re->code != 0);
	buf_printf(out, "%03u ", re->code);
	/* 334, 354 carry none: RFC 2034 speaks of 2yz, 4yz and 5yz */
	if (enhanced_codes && re->enhanced[0] != '\0' && re->code / 100 != 3)
		buf_printf(out, "%s ", re->enhanced);
	buf_add_text(out, re->text);
	if (out->n - begin > REPLY_LINE_MAX - 2)
		out->n = begin + REPLY_LINE_MAX - 2;
	return buf_add_text(out, "\r\n");
}

bool
reply_write_line(unsigned code, bool last, const char *text, struct buf *out)
{
	return buf_printf(out, "%03u%c%.*s\r\n", code, last ? ' ' : '-',
	    (int)REPLY_TEXT_MAX, text);
}

/* -- replies of others ---------------------------------------------------- */

void
reply_reader_init(struct reply_reader *r)
{
	memset(r, 0, sizeof(*r));
	buf_init(&r->text, READER_TEXT_MAX);
	buf_init(&r->line, READER_LINE_MAX);
}

void
reply_reader_wipe(struct reply_reader *r)
{
	buf_wipe(&r->text);
	buf_wipe(&r->line);
}

static enum reader_result
reader_fail(struct reply_reader *r, const char *why)
{
	r->error = why;
	return READER_BROKEN;
}

size_t
smtp_status_length(struct bytes s)
{
	size_t i, group, digits;

	if (s.n < 5 || (s.p[0] != '2' && s.p[0] != '4' && s.p[0] != '5'))
		return 0;
	i = 1;
	for (group = 0; group < 2; group++) {
		if (i == s.n || s.p[i++] != '.')
			return 0;
		digits = 0;
		while (i < s.n && ascii_is_digit(s.p[i])) {
			i++;
			digits++;
		}
		if (digits == 0 || digits > ENHANCED_DIGITS_MAX ||
		    (digits > 1 && s.p[i - digits] == '0'))
			return 0;
	}
	return i == s.n || memchr(" \t\r\n", s.p[i], 4) != NULL ? i : 0;
}

/* A whole line, without its line end. */
static enum reader_result
reader_take_line(struct reply_reader *r, struct bytes line)
{
	unsigned code = 0;
	size_t	 i;

	if (line.n < 3)
		return reader_fail(r, "reply without code");
	for (i = 0; i < 3; i++) {
		if (!ascii_is_digit(line.p[i]))
			return reader_fail(r, "reply without code");
		code = code * 10 + (unsigned)(line.p[i] - '0');
	}
	if (code < 200 || code > 599)
		return reader_fail(r, "reply code out of range");
	if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
		return reader_fail(r, "malformed reply");
	if (r->line_count == READER_LINES_MAX)
		return reader_fail(r, "too many reply lines");
	if (!buf_add_bytes(&r->text, bytes_from(line, 4)))
		return reader_fail(r, "reply too long");
	r->ends[r->line_count++] = r->text.n;
	r->code = code;
	if (r->line_count == 1) {
		struct bytes first = bytes_from(line, 4);

		bytes_text(bytes_head(first, smtp_status_length(first)),
		    r->enhanced, sizeof(r->enhanced));
	}
	if (line.n > 3 && line.p[3] == '-')
		return READER_MORE;
	r->done = true;
	return READER_DONE;
}

static void
reader_restart(struct reply_reader *r)
{
	buf_clear(&r->text);
	r->line_count = 0;
	r->code = 0;
	r->enhanced[0] = '\0';
	r->done = false;
}

/* Adds the piece to the running line and takes the line. */
static enum reader_result
reader_end_line(struct reply_reader *r, struct bytes piece)
{
	enum reader_result result;

	if (r->line.n + piece.n + 1 > READER_LINE_MAX)
		return reader_fail(r, "reply line too long");
	if (r->line.n > 0) {
		if (!buf_add_bytes(&r->line, piece))
			return reader_fail(r, "no memory for a reply");
		piece = buf_bytes(&r->line);
	}
	if (piece.n > 0 && piece.p[piece.n - 1] == '\r')
		piece.n--;
	result = reader_take_line(r, piece);
	buf_clear(&r->line);
	return result;
}

enum reader_result
reply_reader_feed(struct reply_reader *r, struct bytes in, size_t *used)
{
	enum reader_result result;
	ptrdiff_t	   lf;

	*used = 0;
	if (r->error != NULL)
		return READER_BROKEN;
	if (r->done && in.n > 0)
		reader_restart(r);
	while (*used < in.n) {
		lf = bytes_find(in, *used, '\n');
		if (lf < 0) {
			struct bytes piece = bytes_from(in, *used);

			if (r->line.n + piece.n >= READER_LINE_MAX)
				return reader_fail(r, "reply line too long");
			*used = in.n;
			if (!buf_add_bytes(&r->line, piece))
				return reader_fail(r, "no memory for a reply");
			return READER_MORE;
		}
		result = reader_end_line(r, (struct bytes){ in.p + *used,
		    (size_t)lf - *used });
		*used = (size_t)lf + 1;
		if (result != READER_MORE)
			return result;
	}
	return READER_MORE;
}

struct bytes
reply_reader_line(const struct reply_reader *r, size_t i)
{
	size_t from;

	must(i < r->line_count);
	from = i == 0 ? 0 : r->ends[i - 1];
	return bytes_from(bytes_head(buf_bytes(&r->text), r->ends[i]), from);
}

bool
reply_reader_text(const struct reply_reader *r, struct buf *out)
{
	size_t	     i, n;
	struct bytes line;

	buf_printf(out, "%03u", r->code);
	for (i = 0; i < r->line_count; i++) {
		line = reply_reader_line(r, i);
		n = i == 0 ? 0 : smtp_status_length(line);
		if (n > 0 && bytes_eq_text(bytes_head(line, n), r->enhanced))
			line = bytes_from(line, n < line.n ? n + 1 : n);
		if (line.n == 0)
			continue;
		buf_add_char(out, ' ');
		buf_add_bytes(out, line);
	}
	return !out->failed;
}

const char *
reply_reader_error(const struct reply_reader *r)
{
	return r->error == NULL ? "" : r->error;
}

/* -- EHLO replies --------------------------------------------------------- */

static void
take_auth(struct capabilities *out, struct bytes rest)
{
	while (rest.n > 0) {
		struct bytes word = take_word(&rest);

		if (bytes_eq_nocase(word, BYTES("PLAIN")))
			out->auth |= AUTH_MECHANISM_PLAIN;
		else if (bytes_eq_nocase(word, BYTES("LOGIN")))
			out->auth |= AUTH_MECHANISM_LOGIN;
	}
}

static void
take_limits(struct capabilities *out, struct bytes rest)
{
	while (rest.n > 0) {
		struct bytes word = take_word(&rest);

		if (bytes_starts_nocase(word, BYTES("RCPTMAX=")))
			bytes_to_u64(bytes_from(word, 8), &out->rcpt_max);
		else if (bytes_starts_nocase(word, BYTES("MAILMAX=")))
			bytes_to_u64(bytes_from(word, 8), &out->mail_max);
	}
}

static void
take_capability(struct capabilities *out, struct bytes line)
{
	struct bytes rest = trim_blanks(line);
	struct bytes word = take_word(&rest);
	struct { const char *name; bool *flag; } flags[] = {
		{ "PIPELINING", &out->pipelining },
		{ "8BITMIME", &out->eightbit },
		{ "STARTTLS", &out->starttls },
		{ "CHUNKING", &out->chunking },
		{ "DSN", &out->dsn },
		{ "SMTPUTF8", &out->smtputf8 },
		{ "REQUIRETLS", &out->requiretls },
		{ "ENHANCEDSTATUSCODES", &out->enhanced_codes },
	};
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (bytes_eq_nocase(word, bytes_of(flags[i].name)))
			*flags[i].flag = true;
	if (bytes_eq_nocase(word, BYTES("SIZE"))) {
		out->has_size = true;
		if (!bytes_to_u64(rest, &out->size))
			out->size = 0;
	} else if (bytes_eq_nocase(word, BYTES("LIMITS"))) {
		take_limits(out, rest);
	} else if (bytes_eq_nocase(word, BYTES("AUTH"))) {
		take_auth(out, rest);
	} else if (bytes_starts_nocase(word, BYTES("AUTH="))) {
		/* form of servers older than RFC 2554 */
		take_auth(out, bytes_from(word, 5));
		take_auth(out, rest);
	}
}

void
capabilities_parse(const struct reply_reader *r, struct capabilities *out)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 1; i < r->line_count; i++) /* the first is the host name */
		take_capability(out, reply_reader_line(r, i));
}
