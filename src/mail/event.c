/* SPDX-License-Identifier: ISC */
#include "mail/event.h"

#include <string.h>

#include "base/err.h"
#include "mail/header.h"

enum {
	SNAPSHOT_TRUNCATED = 1, /* first octet of the encoded form */
	SNAPSHOT_FIELD_HEAD = 4, /* two lengths of two octets, high first */
	FIELD_COST = 4,		 /* ": " and CRLF, as events.md counts */
	SNAPSHOT_ARENA = 4 * 1024 * 1024,
};

/* -- types ------------------------------------------------------------ */

static const struct {
	const char *api, *wire;
} types[EVENT_TYPES] = {
	[EVENT_SEND] = { "SEND", "Send" },
	[EVENT_REJECT] = { "REJECT", "Reject" },
	[EVENT_DELIVERY] = { "DELIVERY", "Delivery" },
	[EVENT_BOUNCE] = { "BOUNCE", "Bounce" },
	[EVENT_COMPLAINT] = { "COMPLAINT", "Complaint" },
	[EVENT_DELIVERY_DELAY] = { "DELIVERY_DELAY", "DeliveryDelay" },
	[EVENT_OPEN] = { "OPEN", "Open" },
	[EVENT_CLICK] = { "CLICK", "Click" },
	[EVENT_RENDERING_FAILURE] = { "RENDERING_FAILURE",
	    "Rendering Failure" },
	[EVENT_SUBSCRIPTION] = { "SUBSCRIPTION", "Subscription" },
};

const char *
event_type_to_text(enum event_type t)
{
	must((unsigned)t < EVENT_TYPES);
	return types[t].api;
}

const char *
event_type_to_wire(enum event_type t)
{
	must((unsigned)t < EVENT_TYPES);
	return types[t].wire;
}

const char *
event_type_to_label(enum event_type t)
{
	if (t == EVENT_RENDERING_FAILURE)
		return "RenderingFailure";
	return event_type_to_wire(t);
}

bool
event_type_from_text(struct bytes s, enum event_type *out)
{
	unsigned i;

	for (i = 0; i < EVENT_TYPES; i++) {
		enum event_type t = (enum event_type)i;

		if (!bytes_eq_nocase(s, bytes_of(types[i].api)) &&
		    !bytes_eq_nocase(s, bytes_of(types[i].wire)) &&
		    !bytes_eq_nocase(s, bytes_of(event_type_to_label(t))))
			continue;
		*out = t;
		return true;
	}
	return false;
}

/* -- ids -------------------------------------------------------------- */

void
event_id_make(struct wall now, struct event_id *out)
{
	uint64_t ms = now.ms > 0 ? (uint64_t)now.ms : 0;
	int	 i;

	for (i = 0; i < 6; i++)
		out->b[i] = (uint8_t)(ms >> (8 * (5 - i)));
	mem_random(out->b + 6, sizeof(out->b) - 6);
}

struct wall
event_id_time(const struct event_id *id)
{
	struct wall at = { 0 };
	int	    i;

	for (i = 0; i < 6; i++)
		at.ms = at.ms << 8 | id->b[i];
	return at;
}

char *
event_id_to_text(const struct event_id *id, char out[EVENT_ID_TEXT + 1])
{
	/* Crockford's base 32; 130 bits are shown, the upper two are 0 */
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	size_t		  i, bit, at, shift;
	unsigned	  v;

	memcpy(out, "evt_", 4);
	for (i = 0; i < 26; i++) {
		/* bits 5i-2 ... 5i+2 of the id, counted from the left */
		v = 0;
		for (bit = 5 * i; bit < 5 * i + 5; bit++) {
			v <<= 1;
			if (bit < 2)
				continue;
			at = (bit - 2) / 8;
			shift = 7 - (bit - 2) % 8;
			v |= (unsigned)(id->b[at] >> shift) & 1;
		}
		out[4 + i] = digits[v];
	}
	out[EVENT_ID_TEXT] = '\0';
	return out;
}

/* -- the snapshot of header fields ------------------------------------ */

static bool
snapshot_add(struct buf *out, struct bytes name, struct bytes value)
{
	unsigned char head[SNAPSHOT_FIELD_HEAD];

	head[0] = (unsigned char)(name.n >> 8);
	head[1] = (unsigned char)name.n;
	head[2] = (unsigned char)(value.n >> 8);
	head[3] = (unsigned char)value.n;
	return buf_add(out, head, sizeof(head)) && buf_add_bytes(out, name) &&
	    buf_add_bytes(out, value);
}

bool
event_snapshot_fields(const struct header *h, struct buf *out)
{
	size_t	     start = out->n, sum = 0, i;
	struct bytes value;

	if (!buf_add_char(out, 0))
		return false;
	for (i = 0; i < h->count; i++) {
		value = header_unfold(h->fields[i].value, h->arena);
		if (value.p == NULL) {
			out->failed = true;
			return false;
		}
		sum += h->fields[i].name.n + value.n + FIELD_COST;
		if (sum > EVENT_HEADERS_MAX) {
			out->p[start] = SNAPSHOT_TRUNCATED;
			return true;
		}
		if (!snapshot_add(out, h->fields[i].name, value))
			return false;
	}
	return true;
}

bool
event_snapshot_headers(struct bytes section, struct buf *out)
{
	struct header_rules rules = { SIZE_MAX, true };
	struct arena	   *a = arena_new(SNAPSHOT_ARENA);
	struct header	    h;
	bool		    ok;

	ok = header_parse(section, &rules, a, &h) == HEADER_OK;
	if (ok)
		ok = event_snapshot_fields(&h, out);
	else
		out->failed = true;
	arena_free(a);
	return ok;
}

bool
event_snapshot_is_truncated(struct bytes snapshot)
{
	return snapshot.n > 0 && (snapshot.p[0] & SNAPSHOT_TRUNCATED) != 0;
}

bool
event_snapshot_next(struct bytes snapshot, size_t *at, struct bytes *name,
    struct bytes *value)
{
	struct bytes	     rest;
	const unsigned char *u;
	size_t		     name_n, value_n;

	if (*at == 0)
		*at = 1;
	rest = bytes_from(snapshot, *at);
	if (rest.n < SNAPSHOT_FIELD_HEAD)
		return false;
	u = (const unsigned char *)rest.p;
	name_n = (size_t)u[0] << 8 | u[1];
	value_n = (size_t)u[2] << 8 | u[3];
	rest = bytes_from(rest, SNAPSHOT_FIELD_HEAD);
	if (rest.n < name_n + value_n)
		return false;
	*name = bytes_head(rest, name_n);
	*value = bytes_head(bytes_from(rest, name_n), value_n);
	*at += SNAPSHOT_FIELD_HEAD + name_n + value_n;
	return true;
}

/* -- one line of text ------------------------------------------------- */

static bool
write_or_dash(struct bytes s, struct buf *out)
{
	return s.n > 0 ? buf_add_bytes(out, s) : buf_add_char(out, '-');
}

static bool
write_addresses(const struct event *ev, const struct event_mail *m,
    struct buf *out)
{
	size_t	     n = ev->recipient_count, i;
	struct bytes address;

	if (n == 0)
		n = m->destination_count;
	if (n == 0)
		return buf_add_char(out, '-');
	for (i = 0; i < n; i++) {
		address = ev->recipient_count > 0 ? ev->recipients[i].address
						  : m->destinations[i];
		if (i > 0)
			buf_add_char(out, ',');
		buf_add_bytes(out, address);
	}
	return !out->failed;
}

static struct bytes
text_of_detail(const struct event *ev)
{
	if (ev->type == EVENT_DELIVERY)
		return ev->reply;
	if (ev->type == EVENT_COMPLAINT)
		return ev->feedback_type;
	if (ev->type == EVENT_CLICK && ev->tracking != NULL)
		return ev->tracking->link;
	if (ev->type == EVENT_RENDERING_FAILURE && ev->failure != NULL)
		return ev->failure->error_message;
	if (ev->recipient_count > 0)
		return ev->recipients[0].diagnostic;
	return (struct bytes){ NULL, 0 };
}

bool
event_write_text(const struct event *ev, const struct event_mail *m,
    struct buf *out)
{
	char	     when[CLOCK_TEXT_MAX];
	struct bytes ip = ev->remote_ip, detail = text_of_detail(ev);

	if (ip.n == 0 && ev->type == EVENT_DELIVERY_DELAY)
		ip = ev->reporting_mta;
	buf_add_text(out, wall_iso(ev->at, when));
	buf_add_char(out, ' ');
	buf_add_text(out, event_type_to_text(ev->type));
	buf_add_char(out, ' ');
	write_or_dash(m->message_id, out);
	buf_add_char(out, ' ');
	write_addresses(ev, m, out);
	buf_add_char(out, ' ');
	write_or_dash(ip, out);
	buf_add_char(out, ' ');
	return detail.n > 0 ? event_write_string(detail, out)
			    : buf_add_char(out, '-');
}

bool
event_is_note(const struct event *ev)
{
	return ev->type == EVENT_DELIVERY_DELAY && ev->from_report;
}

bool
event_complaint_counts(const struct event *ev)
{
	static const char *const others[] = { "not-spam", "virus",
		"auth-failure" };
	size_t i;

	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (bytes_eq_nocase(ev->feedback_type, bytes_of(others[i])))
			return false;
	return !ev->on_account_list;
}
