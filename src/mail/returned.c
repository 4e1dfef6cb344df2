/* SPDX-License-Identifier: ISC */
#include "mail/returned.h"

#include <string.h>

#include "base/ascii.h"
#include "mail/address.h"
#include "mail/header.h"
#include "mail/mime.h"

enum {
	SECTION_MAX = 256 * 1024,
	SUBJECT_MAX = 1024,
	BODY_LOOK = 32 * 1024, /* of a bounce without a report */
	LINES_MAX = 2000
};

struct sight { /* the header section of what came */
	struct header h;
	struct arena *a;
	struct buf    subject; /* decoded */
};

/* -- fields ---------------------------------------------------------------- */

static struct bytes
sight_value(const struct sight *s, const char *name)
{
	const struct field *f = header_find(&s->h, name);
	struct bytes	    v;

	if (f == NULL)
		return BYTES("");
	v = header_unfold(f->value, s->a);
	return v.p == NULL ? BYTES("") :
	    bytes_trim(bytes_head(v, REPORT_FIELD_MAX));
}

static bool
sight_has(const struct sight *s, const char *name)
{
	return header_find(&s->h, name) != NULL;
}

/* Without "Re:", as often as it stands there. */
static struct bytes
sight_subject(const struct sight *s)
{
	struct bytes v = bytes_trim(buf_bytes(&s->subject));

	while (bytes_starts_nocase(v, BYTES("re:")))
		v = bytes_trim(bytes_from(v, 3));
	return v;
}

/* The first word of a value, without what is behind ";" or "(". */
static struct bytes
first_word(struct bytes v)
{
	size_t n = 0;

	while (n < v.n && v.p[n] != ' ' && v.p[n] != '\t' && v.p[n] != ';' &&
	    v.p[n] != '(')
		n++;
	return bytes_head(v, n);
}

/* -- recognition ------------------------------------------------------------ */

static bool
is_automatic(const struct sight *s)
{
	static const char *const fields[] = { "X-Autoreply", "X-Autorespond",
		"X-Auto-Reply-From" };
	static const char *const subjects[] = { "out of office",
		"out of the office", "automatic reply", "autoreply", "auto:",
		"abwesenheit", "r\xc3\xa9ponse automatique",
		"respuesta autom\xc3\xa1tica" };
	struct bytes v = first_word(sight_value(s, "Auto-Submitted"));
	size_t	     i;

	if (v.n > 0 && !bytes_eq_nocase(v, BYTES("no")))
		return true;
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (sight_has(s, fields[i]))
			return true;
	if (bytes_eq_nocase(first_word(sight_value(s, "Precedence")),
		BYTES("auto_reply")))
		return true;
	v = sight_subject(s);
	for (i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
		if (bytes_starts_nocase(v, bytes_of(subjects[i])))
			return true;
	return false;
}

static bool
is_daemon(struct bytes mailbox)
{
	return bytes_starts_nocase(mailbox, BYTES("mailer-daemon@")) ||
	    bytes_starts_nocase(mailbox, BYTES("postmaster@"));
}

/* The mailbox of From, without its name; "" = there is none. */
static struct bytes
sight_from(const struct sight *s)
{
	const struct field *f = header_find(&s->h, "From");
	struct mailbox_list list;

	if (f == NULL || mailbox_list_parse(f->value,
		ADDRESS_ALLOW_SINGLE_LABEL, s->a, &list) != MAILBOX_OK)
		return BYTES("");
	return list.v[0].text;
}

static bool
is_bounce(const struct sight *s, struct bytes sender)
{
	static const char *const words[] = { "undeliver", "returned mail",
		"delivery status", "delivery failure", "delivery problem",
		"failure notice", "mail delivery failed" };
	size_t i;

	if (sender.n == 0 || is_daemon(sender) || is_daemon(sight_from(s)))
		return true;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (bytes_find_nocase(buf_bytes(&s->subject),
			bytes_of(words[i])) >= 0)
			return true;
	return false;
}

static enum returned_kind
kind_of(const struct sight *s, struct bytes sender, bool is_report,
    const struct report *r)
{
	struct bytes type = sight_value(s, "Content-Type");
	char	     of[64] = "";

	mime_parameter(type, "report-type", of, sizeof(of));
	if ((is_report && r->kind == REPORT_ABUSE) ||
	    bytes_eq_nocase(bytes_of(of), BYTES("feedback-report")))
		return RETURNED_COMPLAINT;
	if (is_report ||
	    bytes_eq_nocase(bytes_of(of), BYTES("delivery-status")))
		return RETURNED_DSN;
	if (bytes_eq_nocase(bytes_of(of),
		BYTES("disposition-notification")))
		return RETURNED_DISPOSITION;
	if (is_automatic(s))
		return RETURNED_AUTOREPLY;
	return is_bounce(s, sender) ? RETURNED_BOUNCE : RETURNED_OTHER;
}

/* -- a bounce without a report ---------------------------------------------- */

static bool
is_word(char c)
{
	return ascii_is_alnum(c) || c == '.' || c == '-' || c == ':';
}

/*
 * "550 5.1.1 ..." or "550-..." somewhere in the line; from there on.  The
 * specification (7.3) counts 2yz as well: such a line says what went well
 * before the failure, in a transcript, and is passed over, since it would hide
 * the reply that the bounce is about.  Alone it tells as much as none.
 */
static struct bytes
find_code(struct bytes line)
{
	size_t i;

	for (i = 0; i + 3 < line.n; i++) {
		if ((line.p[i] != '4' && line.p[i] != '5') ||
		    !ascii_is_digit(line.p[i + 1]) ||
		    !ascii_is_digit(line.p[i + 2]) ||
		    (line.p[i + 3] != ' ' && line.p[i + 3] != '-') ||
		    (i > 0 && is_word(line.p[i - 1])))
			continue;
		return bytes_head(bytes_from(line, i), RETURNED_LINE_MAX);
	}
	return BYTES("");
}

/* What follows is the message that came back, not what became of it. */
static bool
begins_copy(struct bytes line)
{
	return bytes_starts(line, BYTES("--- Below this line")) ||
	    bytes_starts(line, BYTES("------ This is a copy")) ||
	    bytes_find_nocase(line, BYTES("message/rfc822")) >= 0 ||
	    bytes_find_nocase(line, BYTES("original message")) >= 0;
}

static struct bytes
find_reply(struct bytes body)
{
	struct bytes rest = bytes_head(body, BODY_LOOK), line, found;
	ptrdiff_t    lf;
	unsigned     n;

	for (n = 0; n < LINES_MAX && rest.n > 0; n++) {
		lf = bytes_find(rest, 0, '\n');
		line = bytes_trim(lf < 0 ? rest :
					   bytes_head(rest, (size_t)lf));
		rest = lf < 0 ? BYTES("") : bytes_from(rest, (size_t)lf + 1);
		if (begins_copy(line))
			break;
		found = find_code(line);
		if (found.n > 0)
			return found;
	}
	return BYTES("");
}

bool
returned_names(const struct returned *r, struct bytes address)
{
	return address.n > 0 && bytes_find_nocase(bytes_head(r->body,
				    BODY_LOOK), address) >= 0;
}

/* -- reading ---------------------------------------------------------------- */

void
returned_read(struct bytes message, struct bytes sender, struct arena *a,
    struct returned *out)
{
	static const struct header_rules rules = { SECTION_MAX, true };
	struct sight s;
	bool	     is_report;

	memset(out, 0, sizeof(*out));
	out->kind = RETURNED_OTHER;
	out->message_id = out->from = out->line = out->body = BYTES("");
	message = bytes_head(message, RETURNED_OCTETS);
	memset(&s, 0, sizeof(s));
	s.a = a;
	if (header_parse(message, &rules, a, &s.h) != HEADER_OK)
		return;
	buf_init(&s.subject, SUBJECT_MAX);
	if (!header_decode_words(bytes_head(sight_value(&s, "Subject"),
		SUBJECT_MAX / 4), &s.subject))
		buf_clear(&s.subject);
	is_report = report_read(message, a, &out->report);
	out->has_attached = out->report.original.n > 0;
	out->body = bytes_from(message, s.h.body);
	out->kind = kind_of(&s, sender, is_report, &out->report);
	out->message_id = sight_value(&s, "Message-ID");
	out->from = sight_from(&s);
	if (out->kind == RETURNED_BOUNCE || out->kind == RETURNED_DSN)
		out->line = find_reply(out->body);
	buf_wipe(&s.subject);
}

/* -- ids --------------------------------------------------------------------- */

bool
returned_find_id(struct bytes text, struct msgid *id, unsigned *recipient)
{
	text = bytes_trim(text);
	if (text.n > 0 && text.p[0] == '<')
		text = bytes_from(text, 1);
	return text.n >= MSGID_TEXT &&
	    msgid_from_text(bytes_head(text, MSGID_TEXT), id, recipient);
}

/* An id stands after the first octet, or after a blank: "id 0100...;". */
static bool
value_find_id(struct bytes v, struct msgid *id, unsigned *recipient)
{
	size_t i;

	if (returned_find_id(v, id, recipient))
		return true;
	for (i = 0; i + MSGID_TEXT < v.n; i++)
		if (ascii_is_blank(v.p[i]) &&
		    returned_find_id(bytes_from(v, i), id, recipient))
			return true;
	return false;
}

struct bytes
returned_message_id(struct bytes section, struct arena *a)
{
	static const struct header_rules rules = { SECTION_MAX, true };
	struct sight s;

	memset(&s, 0, sizeof(s));
	s.a = a;
	if (section.n == 0 ||
	    header_parse(section, &rules, a, &s.h) != HEADER_OK)
		return BYTES("");
	return sight_value(&s, "Message-ID");
}

bool
returned_next_id(struct bytes section, struct arena *a, size_t *at,
    struct msgid *id, unsigned *recipient)
{
	static const char *const names[] = { "Return-Path", "Message-ID",
		"Received" };
	static const struct header_rules rules = { SECTION_MAX, true };
	struct header h;
	struct field *f;
	size_t	      i, seen = 0;

	if (section.n == 0 ||
	    header_parse(section, &rules, a, &h) != HEADER_OK)
		return false;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (f = header_find(&h, names[i]); f != NULL;
		     f = header_next(&h, f, names[i])) {
			if (seen++ < *at)
				continue;
			*at = seen;
			if (value_find_id(bytes_head(f->value,
				REPORT_FIELD_MAX), id, recipient))
				return true;
		}
	return false;
}
