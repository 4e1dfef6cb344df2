/* SPDX-License-Identifier: ISC */
#include "mail/mime.h"

#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "mail/eicar.h"
#include "mail/header.h"

enum {
	BOUNDARY_MAX = 200,	/* 70 in RFC 2046 */
	BODY_LINE_MAX = 1024,	/* what is looked at of a "--" line */
	FIELD_MAX = HEADER_FIELD_MAX
};

enum scan_state {
	SCAN_IDLE,  /* nothing can follow that matters */
	SCAN_BODY,  /* looking for delimiters */
	SCAN_HEADER /* in the header section of a part */
};

enum part_field { FIELD_TYPE, FIELD_DISPOSITION, FIELD_ENCODING };

struct boundary {
	size_t n;
	char   text[BOUNDARY_MAX + 1];
};

struct mime {
	struct mime_rules  rules;
	struct mime_result result;
	enum scan_state	   state;
	size_t		   depth; /* boundaries in force */
	struct boundary	   stack[MIME_DEPTH_MAX];
	/* the running part */
	bool		   has_type;  /* its first Content-Type was seen */
	bool		   enters;    /* and is a multipart with .next */
	struct boundary	   next;
	enum eicar_encoding encoding;
	/* its content, while the test virus is sought in it; and as it was at
	 * the beginning of the line, which may be a delimiter */
	bool		   is_leaf, leaf_at_start;
	struct eicar	   leaf, leaf_before;
	/* input that was not whole */
	struct buf	   line;
	bool		   skips_line; /* the rest of the line is of no use */
	bool		   keeps_field; /* .field is being gathered */
	enum part_field	   kind;	/* which one */
	struct buf	   field; /* value of the running part field */
};

struct mime *
mime_new(const struct mime_rules *rules)
{
	struct mime *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->rules = *rules;
	buf_init(&m->line, FIELD_MAX);
	buf_init(&m->field, FIELD_MAX);
	return m;
}

void
mime_free(struct mime *m)
{
	if (m == NULL)
		return;
	buf_wipe(&m->line);
	buf_wipe(&m->field);
	free(m);
}

static void
stop(struct mime *m, enum mime_verdict verdict)
{
	if (m->result.verdict == MIME_OK)
		m->result.verdict = verdict;
	m->state = SCAN_IDLE;
	m->is_leaf = false;
}

static void
check_names(struct mime *m, struct bytes value, const char *parameter)
{
	enum mime_verdict verdict;

	if (m->rules.blocked == NULL || m->result.verdict != MIME_OK)
		return;
	verdict = mime_check_names(m->rules.blocked, value, parameter,
	    m->result.name);
	if (verdict != MIME_OK)
		stop(m, verdict);
}

/* What the type says about the inside; only the first one counts. */
static void
take_type(struct mime *m, struct bytes value)
{
	struct boundary *b = &m->next;

	check_names(m, value, "name");
	if (m->has_type)
		return;
	m->has_type = true;
	if (!bytes_starts_nocase(mime_media_type(value), BYTES("multipart/")))
		return;
	if (!mime_parameter(value, "boundary", b->text, sizeof(b->text)))
		return;
	b->n = strlen(b->text);
	while (b->n > 0 && (b->text[b->n - 1] == ' ' ||
	    b->text[b->n - 1] == '\t'))
		b->n--;
	m->enters = b->n > 0;
}

static void
begin_leaf(struct mime *m)
{
	m->is_leaf = m->rules.seeks_test;
	m->leaf_at_start = true;
	eicar_init(&m->leaf, m->encoding);
}

/* Octets of a line, or of a part of it. */
static void
feed_leaf(struct mime *m, struct bytes piece, bool ends)
{
	if (!m->is_leaf)
		return;
	if (m->leaf_at_start)
		m->leaf_before = m->leaf;
	eicar_feed(&m->leaf, piece);
	if (ends)
		eicar_feed(&m->leaf, BYTES("\n"));
	m->leaf_at_start = ends;
	/* what was found may still become too long; no becomes no yes */
	m->is_leaf = !m->leaf.is_out || !m->leaf_before.is_out;
}

static void
end_leaf(struct mime *m, const struct eicar *leaf)
{
	if (m->is_leaf && eicar_is_found(leaf))
		m->result.has_test = true;
	m->is_leaf = false;
}

/* The header section of a part (or the outermost) is over. */
static void
end_header(struct mime *m)
{
	if (m->result.verdict != MIME_OK)
		return;
	m->state = m->depth > 0 ? SCAN_BODY : SCAN_IDLE;
	if (!m->enters) {
		begin_leaf(m);
		return;
	}
	if (m->depth == MIME_DEPTH_MAX) {
		stop(m, MIME_TOO_DEEP);
		return;
	}
	m->stack[m->depth++] = m->next;
	m->state = SCAN_BODY;
}

/* Comments are allowed (RFC 2045 3), quotes are commonly understood. */
static enum eicar_encoding
encoding_of(struct bytes value)
{
	struct bytes word = mime_media_type(value);

	if (word.n > 0 && word.p[0] == '"')
		word = bytes_from(word, 1);
	if (word.n > 0 && word.p[word.n - 1] == '"')
		word.n--;
	return eicar_encoding(word);
}

void
mime_outer_encoding(struct mime *m, struct bytes value)
{
	m->encoding = encoding_of(value);
}

void
mime_outer(struct mime *m, struct bytes content_type,
    struct bytes disposition)
{
	take_type(m, content_type);
	check_names(m, disposition, "filename");
	end_header(m);
}

static void
end_field(struct mime *m)
{
	if (!m->keeps_field)
		return;
	m->keeps_field = false;
	switch (m->kind) {
	case FIELD_TYPE:
		take_type(m, buf_bytes(&m->field));
		break;
	case FIELD_DISPOSITION:
		check_names(m, buf_bytes(&m->field), "filename");
		break;
	case FIELD_ENCODING:
		m->encoding = encoding_of(buf_bytes(&m->field));
		break;
	}
	buf_clear(&m->field);
}

/* What does not fit is left out: no reader makes use of such a field. */
static void
add_to_field(struct mime *m, struct bytes text)
{
	buf_add_bytes(&m->field, bytes_head(text, FIELD_MAX - m->field.n));
	if (m->field.failed)
		stop(m, MIME_NO_MEMORY);
}

/* One of those that are looked at? */
static bool
find_field(struct bytes name, enum part_field *kind)
{
	static const char *const names[] = { "Content-Type",
		"Content-Disposition", "Content-Transfer-Encoding" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bytes_eq_nocase(name, bytes_of(names[i]))) {
			*kind = (enum part_field)i;
			return true;
		}
	return false;
}

static void
header_line(struct mime *m, struct bytes line)
{
	ptrdiff_t    colon;
	struct bytes name;

	if (line.n > 0 && ascii_is_blank(line.p[0])) {
		if (m->keeps_field)
			add_to_field(m, line);
		return;
	}
	end_field(m);
	if (line.n == 0) {
		end_header(m);
		return;
	}
	colon = bytes_find(line, 0, ':');
	if (colon < 0 || m->result.verdict != MIME_OK)
		return;
	name = bytes_trim(bytes_head(line, (size_t)colon));
	m->keeps_field = find_field(name, &m->kind);
	if (m->keeps_field)
		add_to_field(m, bytes_from(line, (size_t)colon + 1));
}

/*
 * Which boundary a line that begins with "--" belongs to: a whole match of
 * the innermost comes first, then the longest that the line begins with (RFC
 * 2046 5.1.1: no more is needed).  Only a whole match closes.
 */
static bool
find_boundary(const struct mime *m, struct bytes line, size_t *level,
    bool *closes)
{
	struct bytes text = bytes_from(line, 2), rest;
	size_t	     i, best = 0;

	*closes = false;
	for (i = m->depth; i-- > 0;) {
		const struct boundary *b = &m->stack[i];

		if (!bytes_starts(text, (struct bytes){ b->text, b->n }))
			continue;
		rest = bytes_trim(bytes_from(text, b->n));
		*closes = bytes_eq(rest, BYTES("--"));
		if (rest.n == 0 || *closes) {
			*level = i;
			return true;
		}
		if (b->n > best) {
			best = b->n;
			*level = i;
		}
	}
	*closes = false;
	return best > 0;
}

static void
begin_part(struct mime *m)
{
	if (m->result.verdict != MIME_OK)
		return;
	m->result.parts++;
	if (m->result.parts > m->rules.parts_max) {
		stop(m, MIME_TOO_MANY_PARTS);
		return;
	}
	m->state = SCAN_HEADER;
	m->has_type = false;
	m->enters = false;
	m->encoding = EICAR_PLAIN;
}

static void
take_line(struct mime *m, struct bytes line)
{
	size_t level = 0;
	bool   closes;

	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (bytes_starts(line, BYTES("--")) &&
	    find_boundary(m, line, &level, &closes)) {
		if (m->state == SCAN_HEADER)
			end_field(m);
		end_leaf(m, &m->leaf_before);
		m->depth = closes ? level : level + 1;
		if (!closes)
			begin_part(m);
		else if (m->result.verdict == MIME_OK)
			m->state = level > 0 ? SCAN_BODY : SCAN_IDLE;
	} else if (m->state == SCAN_HEADER) {
		header_line(m, line);
	}
}

/* A piece of a line whose beginning or end lies elsewhere. */
static void
add_piece(struct mime *m, struct bytes piece, bool ends)
{
	size_t max = m->state == SCAN_BODY ? BODY_LINE_MAX : FIELD_MAX;

	if (!m->skips_line) {
		if (m->line.n < max)
			buf_add_bytes(&m->line,
			    bytes_head(piece, max - m->line.n));
		if (m->line.failed) {
			stop(m, MIME_NO_MEMORY);
			return;
		}
		m->skips_line = m->state == SCAN_BODY && m->line.n > 0 &&
		    !bytes_starts(BYTES("--"),
			bytes_head(buf_bytes(&m->line), 2));
	}
	if (!ends)
		return;
	if (!m->skips_line)
		take_line(m, buf_bytes(&m->line));
	m->skips_line = false;
	buf_clear(&m->line);
}

void
mime_feed(struct mime *m, struct bytes body)
{
	size_t	  i = 0;
	ptrdiff_t lf;

	if (m->state == SCAN_IDLE && m->is_leaf) {
		feed_leaf(m, body, false); /* no delimiter can come */
		return;
	}
	while (i < body.n && m->state != SCAN_IDLE) {
		bool	     whole = m->line.n == 0 && !m->skips_line;
		struct bytes piece;

		lf = bytes_find(body, i, '\n');
		piece = bytes_from(bytes_head(body,
		    lf < 0 ? body.n : (size_t)lf), i);
		i = lf < 0 ? body.n : (size_t)lf + 1;
		if (m->state == SCAN_BODY)
			feed_leaf(m, piece, lf >= 0);
		if (lf < 0 || !whole)
			add_piece(m, piece, lf >= 0);
		else if (m->state == SCAN_HEADER)
			take_line(m, bytes_head(piece, FIELD_MAX));
		else if (piece.n > 0 && piece.p[0] == '-')
			take_line(m, bytes_head(piece, BODY_LINE_MAX));
	}
}

void
mime_end(struct mime *m, struct mime_result *out)
{
	if (m->state != SCAN_IDLE && m->line.n > 0)
		add_piece(m, BYTES(""), true);
	if (m->state == SCAN_HEADER) {
		end_field(m);
		end_header(m);
	}
	end_leaf(m, &m->leaf);
	*out = m->result;
}
