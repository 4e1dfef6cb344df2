/* SPDX-License-Identifier: ISC */
#include "tools/sendmail_message.h"

#include <string.h>

#include "base/ascii.h"
#include "base/table.h"
#include "mail/header.h"
#include "tools/sendmail_address.h"

/* -- reading --------------------------------------------------------------- */

void
sendmail_input_init(struct sendmail_input *in, bool keeps_dots,
    framing_sink *sink, void *arg)
{
	memset(in, 0, sizeof(*in));
	buf_init(&in->head, SENDMAIL_HEAD_MAX);
	in->keeps_dots = keeps_dots;
	in->sink = sink;
	in->arg = arg;
	in->leading = 2;
}

void
sendmail_input_wipe(struct sendmail_input *in)
{
	buf_wipe(&in->head);
}

/* The lines in front of a mailbox message; false = more is needed. */
static bool
input_skip_leading(struct sendmail_input *in)
{
	ptrdiff_t lf;
	bool	  drop;

	while (in->leading > 0) {
		lf = bytes_find(buf_bytes(&in->head), 0, '\n');
		if (lf < 0)
			return false;
		drop = bytes_starts(buf_bytes(&in->head),
		    in->leading == 2 ? BYTES("From ") : BYTES(">From "));
		if (drop)
			buf_drop(&in->head, (size_t)lf + 1);
		in->leading = drop ? in->leading - 1 : 0;
	}
	return true;
}

/* Where the header section ends what is behind it is body already. */
static void
input_look(struct sendmail_input *in)
{
	struct bytes head;
	ptrdiff_t    body;

	if (!input_skip_leading(in))
		return;
	head = buf_bytes(&in->head);
	body = header_end(head, &in->looked, true);
	if (body < 0)
		return;
	in->in_body = true;
	if ((size_t)body < head.n)
		in->sink(in->arg, bytes_from(head, (size_t)body));
	/* without the empty line; a line that is no field ends it as well */
	in->head.n = in->looked;
}

/* Text of a line, or its end, on its way. */
static void
input_put(struct sendmail_input *in, struct bytes s)
{
	if (in->in_body) {
		in->sink(in->arg, s);
	} else if (!in->too_long && !buf_add_bytes(&in->head, s)) {
		in->too_long = true;
	} else if (!in->too_long && s.p[s.n - 1] == '\n') {
		input_look(in);
	}
}

static void
input_end_line(struct sendmail_input *in)
{
	if (in->line == SENDMAIL_LINE_DOT) {
		if (!in->keeps_dots) {
			in->ended = true;
			return;
		}
		input_put(in, BYTES("."));
	}
	in->line = SENDMAIL_LINE_START;
	input_put(in, BYTES("\r\n"));
}

/* Octets without CR and LF. */
static void
input_text(struct sendmail_input *in, struct bytes s)
{
	if (s.n == 0)
		return;
	if (in->line == SENDMAIL_LINE_START && bytes_eq(s, BYTES("."))) {
		in->line = SENDMAIL_LINE_DOT;
		return;
	}
	if (in->line == SENDMAIL_LINE_DOT)
		input_put(in, BYTES("."));
	in->line = SENDMAIL_LINE_TEXT;
	input_put(in, s);
}

void
sendmail_input_feed(struct sendmail_input *in, struct bytes s)
{
	size_t i, start = 0;

	for (i = 0; i < s.n && !in->ended; i++) {
		if (s.p[i] != '\r' && s.p[i] != '\n')
			continue;
		input_text(in, bytes_head(bytes_from(s, start), i - start));
		start = i + 1;
		if (s.p[i] == '\n')
			input_end_line(in);
	}
	if (!in->ended)
		input_text(in, bytes_from(s, start));
}

void
sendmail_input_end(struct sendmail_input *in)
{
	if (!in->ended && in->line != SENDMAIL_LINE_START)
		input_end_line(in);
}

/* -- recipients ------------------------------------------------------------ */

void
sendmail_list_init(struct sendmail_list *l)
{
	memset(l, 0, sizeof(*l));
	l->seen = table_new(SENDMAIL_RECIPIENTS_MAX);
}

void
sendmail_list_wipe(struct sendmail_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		mem_free(l->v[i]);
	mem_free(l->v);
	table_free(l->seen);
	memset(l, 0, sizeof(*l));
}

void
sendmail_list_add(void *arg, struct bytes address)
{
	struct sendmail_list *l = arg;

	if (table_get(l->seen, address) != NULL)
		return;
	if (!table_put(l->seen, address, l)) {
		l->too_many = true;
		return;
	}
	/* room is doubled when a power of two is full */
	if (l->n == 0)
		l->v = mem_realloc(NULL, 8 * sizeof(*l->v));
	else if (l->n >= 8 && (l->n & (l->n - 1)) == 0)
		l->v = mem_realloc(l->v, 2 * l->n * sizeof(*l->v));
	l->v[l->n++] = mem_dup_bytes(address);
}

/* -- the header section ---------------------------------------------------- */

static const char *const completed[] = { "From", "Sender", "Reply-To", "To",
	"Cc", "Bcc", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc",
	"Resent-Bcc" };
static const char *const recipients_usual[] = { "To", "Cc", "Bcc" };
static const char *const recipients_resent[] = { "Resent-To", "Resent-Cc",
	"Resent-Bcc" };
enum { RECIPIENT_FIELDS = 3 };

struct building {
	struct header	     h;
	struct arena	    *arena;
	struct buf	     text; /* scratch */
	struct sendmail_list *recipients;
};

static bool
build_complete(struct building *b, struct bytes host)
{
	struct field *f;
	struct bytes  value;
	char	      name[16];
	size_t	      i;

	for (i = 0; i < sizeof(completed) / sizeof(completed[0]); i++)
		for (f = header_find(&b->h, completed[i]); f != NULL;
		     f = header_next(&b->h, f, completed[i])) {
			buf_clear(&b->text);
			if (!sendmail_list_complete(f->value, host, &b->text,
				NULL, NULL))
				return false;
			value = buf_bytes(&b->text);
			if (bytes_eq(value, f->value))
				continue;
			/* ": " is written again */
			while (value.n > 0 && ascii_is_blank(value.p[0]))
				value = bytes_from(value, 1);
			bytes_text(f->name, name, sizeof(name));
			if (!header_replace(&b->h, f, name, value))
				return false;
		}
	return true;
}

/* -t; the fields are complete by now. */
static bool
build_collect(struct building *b)
{
	const char *const *names = recipients_usual;
	struct field	  *f;
	size_t		   i;

	for (i = 0; i < RECIPIENT_FIELDS; i++)
		if (header_find(&b->h, recipients_resent[i]) != NULL)
			names = recipients_resent;
	for (i = 0; i < RECIPIENT_FIELDS; i++)
		for (f = header_find(&b->h, names[i]); f != NULL;
		     f = header_next(&b->h, f, names[i])) {
			buf_clear(&b->text);
			if (!sendmail_list_complete(f->value, BYTES(""),
				&b->text, sendmail_list_add, b->recipients))
				return false;
		}
	header_remove(&b->h, "Bcc");
	header_remove(&b->h, "Resent-Bcc");
	return true;
}

static bool
build_add(struct building *b, const struct sendmail_plan *plan)
{
	static const char set[] = "X-SES-CONFIGURATION-SET";

	if (plan->configuration_set.n > 0 &&
	    header_find(&b->h, set) == NULL &&
	    !header_append(&b->h, set, plan->configuration_set))
		return false;
	if (plan->from.n == 0 || header_find(&b->h, "From") != NULL)
		return true;
	buf_clear(&b->text);
	sendmail_add_display_name(plan->full_name, &b->text);
	buf_printf(&b->text, "<%.*s>", (int)plan->from.n, plan->from.p);
	return !b->text.failed &&
	    header_append(&b->h, "From", buf_bytes(&b->text));
}

enum sendmail_head_result
sendmail_head_build(struct bytes head, const struct sendmail_plan *plan,
    struct buf *out, struct sendmail_list *recipients)
{
	const struct header_rules rules = { SENDMAIL_HEAD_MAX + 2, true };
	struct building		  b = { .recipients = recipients };
	enum sendmail_head_result result = SENDMAIL_HEAD_NO_MEMORY;
	enum header_result	  rc;

	/* 10 header sections: fields are small structs beside their text */
	b.arena = arena_new((size_t)10 * SENDMAIL_HEAD_MAX + 65536);
	buf_init(&b.text, 4 * HEADER_FIELD_MAX);
	rc = header_parse(head, &rules, b.arena, &b.h);
	if (rc == HEADER_TOO_LONG)
		result = SENDMAIL_HEAD_TOO_LONG;
	else if (rc == HEADER_OK && build_complete(&b, plan->host) &&
	    (!plan->reads_recipients || build_collect(&b)) &&
	    build_add(&b, plan) && header_write(&b.h, out))
		result = SENDMAIL_HEAD_OK;
	buf_wipe(&b.text);
	arena_free(b.arena);
	return result;
}
