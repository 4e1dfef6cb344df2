/* SPDX-License-Identifier: ISC */
/* Reports of others: RFC 3464 (delivery status), RFC 5965 (feedback). */
#include <string.h>

#include "base/ascii.h"
#include "mail/header.h"
#include "mail/mime.h"
#include "mail/report.h"

enum {
	DEPTH_MAX = 4,	  /* multiparts in multiparts */
	PARTS_MAX = 100,  /* of one multipart */
	GROUPS_MAX = 400, /* of one delivery-status part */
	BOUNDARY_SIZE = 128,
	SECTION_MAX = 256 * 1024, /* of fields */
	ORIGINAL_MAX = 64 * 1024,
};

struct reading {
	struct arena  *arena;
	struct report *report;
	bool	       has_dsn, has_abuse;
};

static void read_entity(struct reading *r, struct bytes entity,
    unsigned depth);

/* -- dates ------------------------------------------------------------ */

/* Blanks and comments off the front. */
static struct bytes
skip_blank(struct bytes s)
{
	size_t i, depth = 0;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '(')
			depth++;
		else if (depth > 0 && s.p[i] == ')')
			depth--;
		else if (depth == 0 && s.p[i] != ' ' && s.p[i] != '\t' &&
		    s.p[i] != '\r' && s.p[i] != '\n')
			break;
	}
	return bytes_from(s, i);
}

static bool
take_char(struct bytes *s, char c)
{
	*s = skip_blank(*s);
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = bytes_from(*s, 1);
	return true;
}

/* A number of at most max digits; *digits may be NULL. */
static bool
take_number(struct bytes *s, size_t max, int64_t *out, size_t *digits)
{
	size_t n = 0;

	*s = skip_blank(*s);
	*out = 0;
	while (n < s->n && n < max && ascii_is_digit(s->p[n]))
		*out = *out * 10 + (s->p[n++] - '0');
	*s = bytes_from(*s, n);
	if (digits != NULL)
		*digits = n;
	return n > 0;
}

static bool
take_month(struct bytes *s, int64_t *month)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
	int		  i;

	*s = skip_blank(*s);
	for (i = 0; i < 12; i++)
		if (bytes_starts_nocase(*s,
			(struct bytes){ names + 3 * i, 3 })) {
			*month = i + 1;
			*s = bytes_from(*s, 3);
			return true;
		}
	return false;
}

/* Minutes east of UTC; unknown names count as UTC (RFC 5322 4.3). */
static bool
take_zone(struct bytes *s, int64_t *minutes)
{
	static const struct {
		const char *name;
		int	    hours;
	} zones[] = { { "EST", -5 }, { "EDT", -4 }, { "CST", -6 },
		{ "CDT", -5 }, { "MST", -7 }, { "MDT", -6 }, { "PST", -8 },
		{ "PDT", -7 } };
	int64_t n;
	size_t	i, digits;
	char	sign;

	*minutes = 0;
	*s = skip_blank(*s);
	if (s->n == 0)
		return true;
	sign = s->p[0];
	if (sign == '+' || sign == '-') {
		*s = bytes_from(*s, 1);
		if (!take_number(s, 4, &n, &digits) || digits != 4 ||
		    n % 100 > 59)
			return false;
		*minutes = n / 100 * 60 + n % 100;
		if (sign == '-')
			*minutes = -*minutes;
		return true;
	}
	for (i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		if (bytes_starts_nocase(*s, bytes_of(zones[i].name)))
			*minutes = zones[i].hours * (int64_t)60;
	return true;
}

/* Days since 1970-01-01 of the proleptic Gregorian calendar. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t era, of_era, of_year;

	year -= month <= 2;
	era = year / 400;
	of_era = year - era * 400;
	of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
	    of_year - 719468;
}

/* RFC 5322 3.3 and 4.3; 0 = cannot be read. */
static struct wall
read_date(struct bytes s)
{
	const struct wall none = { 0 };
	ptrdiff_t	  comma = bytes_find(s, 0, ',');
	int64_t		  day, month, year, hour, minute, second = 0, zone;
	size_t		  digits;

	if (comma >= 0)
		s = bytes_from(s, (size_t)comma + 1);
	if (!take_number(&s, 2, &day, NULL) || !take_month(&s, &month) ||
	    !take_number(&s, 4, &year, &digits))
		return none;
	if (digits <= 2)
		year += year < 50 ? 2000 : 1900;
	else if (digits == 3)
		year += 1900;
	if (!take_number(&s, 2, &hour, NULL) || !take_char(&s, ':') ||
	    !take_number(&s, 2, &minute, NULL))
		return none;
	if (take_char(&s, ':') && !take_number(&s, 2, &second, NULL))
		return none;
	if (!take_zone(&s, &zone))
		return none;
	if (day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 ||
	    year < 1970)
		return none;
	return (struct wall){ (((days_of(year, month, day) * 24 + hour) * 60 +
				   minute - zone) *
				      60 +
				  second) *
		1000 };
}

/* -- fields ----------------------------------------------------------- */

/* The value, unfolded and cut; empty when there is none. */
static struct bytes
field_value(const struct header *h, const char *name)
{
	const struct field *f = header_find(h, name);
	struct bytes	    v;

	if (f == NULL)
		return (struct bytes){ "", 0 };
	v = header_unfold(f->value, h->arena);
	if (v.p == NULL)
		return (struct bytes){ "", 0 };
	return bytes_trim(bytes_head(v, REPORT_FIELD_MAX));
}

/* "rfc822; <a@b>" -> "a@b" */
static struct bytes
bare_address(struct bytes v)
{
	ptrdiff_t semicolon = bytes_find(v, 0, ';');

	if (semicolon >= 0 && bytes_find(v, 0, '@') > semicolon)
		v = bytes_trim(bytes_from(v, (size_t)semicolon + 1));
	if (v.n >= 2 && v.p[0] == '<' && v.p[v.n - 1] == '>')
		v = bytes_trim(bytes_head(bytes_from(v, 1), v.n - 2));
	return v;
}

/* The first word: "failed (expired)" -> "failed" */
static struct bytes
first_word(struct bytes v)
{
	size_t n = 0;

	while (n < v.n && v.p[n] != ' ' && v.p[n] != '\t' && v.p[n] != '(' &&
	    v.p[n] != ';')
		n++;
	return bytes_head(v, n);
}

static struct bytes
lower(struct bytes v, struct arena *a)
{
	struct bytes copy = arena_bytes(a, v);
	char	    *p = (char *)(uintptr_t)copy.p;
	size_t	     i;

	if (p == NULL)
		return (struct bytes){ "", 0 };
	for (i = 0; i < copy.n; i++)
		p[i] = ascii_lower(p[i]);
	return copy;
}

static struct bytes
first_of(const struct header *h, const char *name, const char *other)
{
	struct bytes v = field_value(h, name);

	return v.n > 0 ? v : field_value(h, other);
}

/* -- delivery status -------------------------------------------------- */

static void
take_recipient(struct reading *r, const struct header *h)
{
	struct report		*out = r->report;
	struct report_recipient *x;

	if (out->recipient_count == REPORT_RECIPIENTS_MAX) {
		out->truncated = true;
		return;
	}
	if (out->recipients == NULL)
		out->recipients = arena_alloc(r->arena,
		    REPORT_RECIPIENTS_MAX * sizeof(*out->recipients));
	if (out->recipients == NULL) {
		out->truncated = true;
		return;
	}
	x = &out->recipients[out->recipient_count++];
	x->final = bare_address(field_value(h, "Final-Recipient"));
	x->original = bare_address(field_value(h, "Original-Recipient"));
	x->action = lower(first_word(field_value(h, "Action")), r->arena);
	x->status = first_word(field_value(h, "Status"));
	x->diagnostic = field_value(h, "Diagnostic-Code");
	x->remote_mta = field_value(h, "Remote-MTA");
}

static void
take_if_empty(struct bytes *to, struct bytes v)
{
	if (to->n == 0)
		*to = v;
}

/*
 * One group.  The first should be that of the message, the others those of
 * recipients; what it holds says more than where it stands.
 */
static void
take_group(struct reading *r, const struct header *h)
{
	struct report *out = r->report;

	take_if_empty(&out->reporting_mta, field_value(h, "Reporting-MTA"));
	take_if_empty(&out->envelope_id,
	    field_value(h, "Original-Envelope-Id"));
	if (out->arrival.ms == 0)
		out->arrival = read_date(field_value(h, "Arrival-Date"));
	if (header_find(h, "Final-Recipient") != NULL ||
	    header_find(h, "Original-Recipient") != NULL ||
	    header_find(h, "Action") != NULL)
		take_recipient(r, h);
}

/* Cuts the next group, up to an empty line; false = no more. */
static bool
group_next(struct bytes *rest, struct bytes *group)
{
	size_t	  at = 0, end;
	ptrdiff_t lf;

	while (rest->n > 0 && (rest->p[0] == '\r' || rest->p[0] == '\n'))
		*rest = bytes_from(*rest, 1);
	if (rest->n == 0)
		return false;
	do {
		lf = bytes_find(*rest, at, '\n');
		end = lf < 0 ? rest->n : (size_t)lf + 1;
		at = end;
	} while (at < rest->n && rest->p[at] != '\n' &&
	    !(rest->p[at] == '\r' && at + 1 < rest->n &&
		rest->p[at + 1] == '\n'));
	*group = bytes_head(*rest, end);
	*rest = bytes_from(*rest, end);
	return true;
}

static bool
parse_fields(struct reading *r, struct bytes text, struct header *h)
{
	static const struct header_rules rules = { SECTION_MAX, true };

	return header_parse(text, &rules, r->arena, h) == HEADER_OK;
}

static void
read_status(struct reading *r, struct bytes part)
{
	struct bytes  rest = bytes_head(part, REPORT_TEXT_MAX), group;
	struct header h;
	unsigned      n = 0;

	r->has_dsn = true;
	while (n++ < GROUPS_MAX && group_next(&rest, &group))
		if (parse_fields(r, group, &h))
			take_group(r, &h);
	if (n > GROUPS_MAX)
		r->report->truncated = true;
}

/* -- feedback report -------------------------------------------------- */

static void
read_feedback(struct reading *r, struct bytes part)
{
	struct report *out = r->report;
	struct bytes   rest = bytes_head(part, REPORT_TEXT_MAX), group;
	struct header  h;

	if (r->has_abuse || !group_next(&rest, &group) ||
	    !parse_fields(r, group, &h))
		return;
	r->has_abuse = true;
	out->feedback_type =
	    lower(first_word(field_value(&h, "Feedback-Type")), r->arena);
	out->user_agent = field_value(&h, "User-Agent");
	out->original_mail_from =
	    bare_address(field_value(&h, "Original-Mail-From"));
	out->original_rcpt_to = bare_address(
	    first_of(&h, "Original-Rcpt-To", "X-Original-To"));
	out->arrival = read_date(field_value(&h, "Arrival-Date"));
	if (out->arrival.ms == 0)
		out->arrival = read_date(field_value(&h, "Received-Date"));
	out->reporting_mta = field_value(&h, "Reporting-MTA");
	out->envelope_id = field_value(&h, "Original-Envelope-Id");
}

/* -- parts ------------------------------------------------------------ */

/* The header section of the attached original; the first one counts. */
static void
read_original(struct reading *r, struct bytes part)
{
	size_t	  from = 0;
	ptrdiff_t body;

	if (r->report->original.n > 0)
		return;
	part = bytes_head(part, ORIGINAL_MAX);
	body = header_end(part, &from, false);
	r->report->original = body < 0 ? part : bytes_head(part, (size_t)body);
}

/* 0 = no boundary, 1 = between parts, 2 = behind the last. */
static int
boundary_kind(struct bytes line, struct bytes boundary)
{
	if (line.n < boundary.n + 2 || line.p[0] != '-' || line.p[1] != '-' ||
	    !bytes_starts(bytes_from(line, 2), boundary))
		return 0;
	line = bytes_from(line, 2 + boundary.n);
	if (bytes_trim(line).n == 0)
		return 1;
	return bytes_eq(bytes_trim(line), BYTES("--")) ? 2 : 0;
}

/*
 * The next part: *rest begins at its first line (or, before the first part,
 * at the preamble).  false = no further boundary was met.
 */
static bool
part_next(struct bytes *rest, struct bytes boundary, struct bytes *part,
    bool *last)
{
	struct bytes line;
	size_t	     at = 0, next, end;
	ptrdiff_t    lf;
	int	     kind;

	while (at < rest->n) {
		lf = bytes_find(*rest, at, '\n');
		next = lf < 0 ? rest->n : (size_t)lf + 1;
		line = bytes_head(bytes_from(*rest, at), next - at);
		kind = boundary_kind(line, boundary);
		if (kind == 0) {
			at = next;
			continue;
		}
		/* the line end before a boundary belongs to it */
		end = at;
		if (end > 0 && rest->p[end - 1] == '\n')
			end--;
		if (end > 0 && rest->p[end - 1] == '\r')
			end--;
		*part = bytes_head(*rest, end);
		*rest = bytes_from(*rest, next);
		*last = kind == 2;
		return true;
	}
	*part = *rest;
	*rest = (struct bytes){ "", 0 };
	*last = true;
	return false;
}

static void
read_multipart(struct reading *r, struct bytes body, struct bytes type,
    unsigned depth)
{
	char	     text[BOUNDARY_SIZE];
	struct bytes boundary, part;
	bool	     last;
	unsigned     n;

	if (depth == DEPTH_MAX ||
	    !mime_parameter(type, "boundary", text, sizeof(text)))
		return;
	boundary = bytes_trim(bytes_of(text));
	/* what stands before the first boundary is no part */
	if (boundary.n == 0 || !part_next(&body, boundary, &part, &last))
		return;
	for (n = 0; !last && n < PARTS_MAX; n++) {
		/* a part that was cut off is read as far as it goes */
		part_next(&body, boundary, &part, &last);
		read_entity(r, part, depth + 1);
	}
}

static void
read_entity(struct reading *r, struct bytes entity, unsigned depth)
{
	struct header h;
	struct bytes  type, media, body;

	if (!parse_fields(r, entity, &h))
		return;
	type = field_value(&h, "Content-Type");
	media = mime_media_type(type);
	body = bytes_from(entity, h.body);
	if (depth == 0)
		r->report->date = read_date(field_value(&h, "Date"));
	if (bytes_starts_nocase(media, BYTES("multipart/")))
		read_multipart(r, body, type, depth);
	else if (bytes_eq_nocase(media, BYTES("message/delivery-status")) ||
	    bytes_eq_nocase(media, BYTES("message/global-delivery-status")))
		read_status(r, body);
	else if (bytes_eq_nocase(media, BYTES("message/feedback-report")))
		read_feedback(r, body);
	else if (bytes_eq_nocase(media, BYTES("message/rfc822")) ||
	    bytes_eq_nocase(media, BYTES("text/rfc822-headers")) ||
	    bytes_eq_nocase(media, BYTES("message/rfc822-headers")) ||
	    bytes_eq_nocase(media, BYTES("message/global")) ||
	    bytes_eq_nocase(media, BYTES("message/global-headers")))
		read_original(r, body);
}

bool
report_read(struct bytes message, struct arena *a, struct report *out)
{
	struct reading r = { a, out, false, false };

	memset(out, 0, sizeof(*out));
	read_entity(&r, message, 0);
	/* complaints are recognised before bounces */
	out->kind = r.has_abuse ? REPORT_ABUSE : REPORT_DSN;
	return r.has_abuse || r.has_dsn;
}
