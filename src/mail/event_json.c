/* SPDX-License-Identifier: ISC */
/*
 * The JSON record.  Written by hand: the order of members and the escaping
 * are fixed by events.md, so that a record is the same octets every time.
 */
#include <string.h>

#include "base/ascii.h"
#include "base/err.h"
#include "mail/address.h"
#include "mail/event.h"
#include "mail/header.h"

enum {
	COMMON_ARENA = 1024 * 1024, /* mailboxes of one snapshot */
	COMMON_TEXT_MAX = 64 * 1024,
	MAILBOX_FLAGS = MAILBOX_ALLOW_GROUPS | MAILBOX_ALLOW_NULL |
	    ADDRESS_ALLOW_LITERAL | ADDRESS_ALLOW_SINGLE_LABEL |
	    ADDRESS_ALLOW_UNDERSCORE,
};

struct writer {
	struct buf		*out;
	const struct event	*ev;
	const struct event_mail *m;
	struct event_form	 form;
	size_t			 headers_max; /* octets of fields shown */
};

/* -- members ---------------------------------------------------------- */

/* Commas come by themselves: a value in a string cannot end in { or [. */
static void
comma(struct buf *out)
{
	char last = out->n > 0 ? out->p[out->n - 1] : '{';

	if (last != '{' && last != '[')
		buf_add_char(out, ',');
}

static void
key(struct writer *w, const char *name)
{
	comma(w->out);
	buf_add_char(w->out, '"');
	buf_add_text(w->out, name);
	buf_add_text(w->out, "\":");
}

static void
begin(struct writer *w, const char *name, char bracket)
{
	key(w, name);
	buf_add_char(w->out, bracket);
}

static void
end(struct writer *w, char bracket)
{
	buf_add_char(w->out, bracket);
}

static void
string(struct writer *w, const char *name, struct bytes s)
{
	key(w, name);
	event_write_string(s, w->out);
}

/* Members without a value are left out. */
static void
optional(struct writer *w, const char *name, struct bytes s)
{
	if (s.n > 0)
		string(w, name, s);
}

static void
member_cut(struct writer *w, const char *name, struct bytes s, size_t max,
    const char *tail)
{
	key(w, name);
	event_write_string_cut(s, max, tail, w->out);
}

static void
optional_cut(struct writer *w, const char *name, struct bytes s, size_t max,
    const char *tail)
{
	if (s.n > 0)
		member_cut(w, name, s, max, tail);
}

static void
element(struct writer *w, struct bytes s)
{
	comma(w->out);
	event_write_string(s, w->out);
}

static void
stamp(struct writer *w, const char *name, struct wall t)
{
	char text[CLOCK_TEXT_MAX];

	string(w, name, bytes_of(wall_iso(t, text)));
}

static void
boolean(struct writer *w, const char *name, bool b)
{
	key(w, name);
	buf_add_text(w->out, b ? "true" : "false");
}

/* -- commonHeaders ---------------------------------------------------- */

enum common_kind { COMMON_LIST, COMMON_MAILBOX, COMMON_TEXT, COMMON_ID };

static const struct common {
	const char	*member, *field;
	enum common_kind kind;
} commons[] = {
	{ "returnPath", "Return-Path", COMMON_MAILBOX },
	{ "from", "From", COMMON_LIST },
	{ "date", "Date", COMMON_TEXT },
	{ "sender", "Sender", COMMON_MAILBOX },
	{ "replyTo", "Reply-To", COMMON_LIST },
	{ "to", "To", COMMON_LIST },
	{ "cc", "Cc", COMMON_LIST },
	{ "bcc", "Bcc", COMMON_LIST },
	{ "messageId", "Message-ID", COMMON_ID },
	{ "subject", "Subject", COMMON_TEXT },
};

/* The fields of a snapshot that this record shows. */
struct shown {
	struct bytes snapshot;
	size_t	     end; /* where to stop */
	bool	     cut;
};

static struct shown
shown_of(const struct writer *w)
{
	struct shown s = { w->m->snapshot, 0, false };
	struct bytes name, value;
	size_t	     at = 0, sum = 0;

	s.cut = event_snapshot_is_truncated(s.snapshot);
	while (event_snapshot_next(s.snapshot, &at, &name, &value)) {
		sum += name.n + value.n + 4;
		if (sum > w->headers_max) {
			s.cut = true;
			break;
		}
		s.end = at;
	}
	return s;
}

/* The next shown field of that name. */
static bool
shown_find(const struct shown *s, const char *field, size_t *at,
    struct bytes *value)
{
	struct bytes part = bytes_head(s->snapshot, s->end), name;

	while (event_snapshot_next(part, at, &name, value))
		if (bytes_eq_nocase(name, bytes_of(field)))
			return true;
	return false;
}

/* "Mary Major <mary@example.com>", or the bare address. */
static bool
mailbox_text(const struct mailbox *b, struct buf *out)
{
	if (b->name.n == 0)
		return buf_add_bytes(out, b->text);
	return header_read_phrase(b->name, out) && buf_add_text(out, " <") &&
	    buf_add_bytes(out, b->text) && buf_add_char(out, '>');
}

/* A value with its encoded words decoded; as it stands if that fails. */
static void
decoded(struct writer *w, struct bytes value)
{
	struct buf text;

	buf_init(&text, COMMON_TEXT_MAX);
	if (bytes_find_nocase(value, BYTES("=?")) >= 0 &&
	    header_decode_words(value, &text))
		value = buf_bytes(&text);
	event_write_string(value, w->out);
	buf_wipe(&text);
}

static void
mailbox_element(struct writer *w, const struct mailbox *b)
{
	struct buf text;

	buf_init(&text, COMMON_TEXT_MAX);
	element(w, mailbox_text(b, &text) ? buf_bytes(&text) : b->raw);
	buf_wipe(&text);
}

/* One array for all fields of the name; what is no list stands as it is. */
static void
common_list(struct writer *w, const struct shown *s, const struct common *c,
    struct arena *a)
{
	struct mailbox_list list;
	struct bytes	    value;
	size_t		    at = 0, i;

	begin(w, c->member, '[');
	while (shown_find(s, c->field, &at, &value)) {
		if (value.n == 0)
			continue;
		if (mailbox_list_parse(value, MAILBOX_FLAGS, a, &list) !=
		    MAILBOX_OK) {
			comma(w->out);
			decoded(w, value);
			continue;
		}
		for (i = 0; i < list.n; i++)
			mailbox_element(w, &list.v[i]);
	}
	end(w, ']');
}

static void
common_mailbox(struct writer *w, const struct common *c, struct bytes value,
    struct arena *a)
{
	struct mailbox_list list;
	struct buf	    text;

	buf_init(&text, COMMON_TEXT_MAX);
	if (mailbox_list_parse(value, MAILBOX_FLAGS, a, &list) != MAILBOX_OK)
		string(w, c->member, value);
	else if (list.n == 0) /* "<>" */
		string(w, c->member, (struct bytes){ "", 0 });
	else if (mailbox_text(&list.v[0], &text))
		string(w, c->member, buf_bytes(&text));
	else
		string(w, c->member, value);
	buf_wipe(&text);
}

static void
common_headers(struct writer *w, const struct shown *s)
{
	struct arena *a = arena_new(COMMON_ARENA);
	struct bytes  value = { NULL, 0 };
	size_t	      i, at;
	bool	      found;

	begin(w, "commonHeaders", '{');
	for (i = 0; i < sizeof(commons) / sizeof(commons[0]); i++) {
		const struct common *c = &commons[i];

		at = 0;
		found = shown_find(s, c->field, &at, &value);
		if (c->kind == COMMON_ID && !w->form.notification)
			string(w, c->member, w->m->message_id);
		else if (!found)
			continue;
		else if (c->kind == COMMON_LIST)
			common_list(w, s, c, a);
		else if (c->kind == COMMON_MAILBOX)
			common_mailbox(w, c, value, a);
		else if (c->kind == COMMON_ID)
			string(w, c->member, value);
		else {
			key(w, c->member);
			decoded(w, value);
		}
	}
	end(w, '}');
	arena_free(a);
}

static void
headers(struct writer *w, const struct shown *s)
{
	struct bytes part = bytes_head(s->snapshot, s->end), name, value;
	size_t	     at = 0;

	begin(w, "headers", '[');
	while (event_snapshot_next(part, &at, &name, &value)) {
		comma(w->out);
		buf_add_char(w->out, '{');
		string(w, "name", name);
		string(w, "value", value);
		end(w, '}');
	}
	end(w, ']');
}

/* -- mail ------------------------------------------------------------- */

/* Has tag i the name of an earlier one?  Its values were written there. */
static bool
tag_is_repeated(const struct message_tag *v, size_t i)
{
	size_t j;

	for (j = 0; j < i; j++)
		if (bytes_eq(v[j].name, v[i].name))
			return true;
	return false;
}

static void
tag(struct writer *w, const struct message_tag *v, size_t n, size_t i)
{
	size_t j;

	if (tag_is_repeated(v, i))
		return;
	comma(w->out);
	event_write_string(v[i].name, w->out);
	buf_add_text(w->out, ":[");
	for (j = i; j < n; j++)
		if (bytes_eq(v[j].name, v[i].name))
			element(w, v[j].value);
	end(w, ']');
}

static void
outgoing_tags(struct writer *w)
{
	struct message_tag v[2] = {
		{ BYTES("ses:outgoing-ip"), w->ev->outgoing_ip },
		{ BYTES("ses:outgoing-tls-version"), w->ev->outgoing_tls },
	};
	size_t i;

	for (i = 0; i < 2; i++)
		if (v[i].value.n > 0)
			tag(w, v + i, 1, 0);
}

/* Automatic ones first, those of this event behind them. */
static void
tags(struct writer *w)
{
	const struct event_mail *m = w->m;
	size_t			 i = 0;

	begin(w, "tags", '{');
	for (; i < m->tag_count && bytes_starts(m->tags[i].name,
				       BYTES("ses:")); i++)
		tag(w, m->tags, m->tag_count, i);
	outgoing_tags(w);
	for (; i < m->tag_count; i++)
		tag(w, m->tags, m->tag_count, i);
	end(w, '}');
}

static void
mail_headers(struct writer *w)
{
	struct shown s = shown_of(w);
	bool	     has_headers = w->ev->type != EVENT_DELIVERY_DELAY &&
	    w->ev->type != EVENT_RENDERING_FAILURE;

	if (w->form.notification && !w->form.headers)
		return;
	if (!has_headers)
		s.cut = event_snapshot_is_truncated(s.snapshot);
	boolean(w, "headersTruncated", s.cut);
	if (!has_headers)
		return;
	if (w->headers_max > 0)
		headers(w, &s);
	common_headers(w, &s);
}

static void
mail(struct writer *w)
{
	const struct event_mail *m = w->m;
	size_t			 i;

	begin(w, "mail", '{');
	stamp(w, "timestamp", m->accepted);
	string(w, "source", m->source);
	string(w, "sourceArn", m->source_arn);
	if (w->form.notification) {
		optional(w, "sourceIp", m->source_ip);
		optional(w, "callerIdentity", m->caller);
	}
	string(w, "sendingAccountId", m->account);
	string(w, "messageId", m->message_id);
	begin(w, "destination", '[');
	for (i = 0; i < m->destination_count; i++)
		element(w, m->destinations[i]);
	end(w, ']');
	mail_headers(w);
	if (!w->form.notification && m->tags != NULL)
		tags(w);
	end(w, '}');
}

/* -- detail members --------------------------------------------------- */

enum recipient_show { SHOW_ADDRESS, SHOW_ALL, SHOW_DELAY };

static void
recipients(struct writer *w, const char *name, enum recipient_show show)
{
	size_t i;

	begin(w, name, '[');
	for (i = 0; i < w->ev->recipient_count; i++) {
		const struct event_recipient *r = &w->ev->recipients[i];

		comma(w->out);
		buf_add_char(w->out, '{');
		string(w, "emailAddress", r->address);
		if (show == SHOW_ALL)
			optional(w, "action", r->action);
		if (show != SHOW_ADDRESS) {
			optional(w, "status", r->status);
			optional_cut(w, "diagnosticCode", r->diagnostic,
			    EVENT_REPLY_MAX, "...");
		}
		end(w, '}');
	}
	end(w, ']');
}

static void
delivery(struct writer *w)
{
	const struct event *ev = w->ev;
	int64_t		    took = ev->at.ms - w->m->accepted.ms;
	size_t		    i;

	stamp(w, "timestamp", ev->at);
	key(w, "processingTimeMillis");
	/* the clock may have been set back meanwhile */
	buf_printf(w->out, "%lld", (long long)(took < 0 ? 0 : took));
	begin(w, "recipients", '[');
	for (i = 0; i < ev->recipient_count; i++)
		element(w, ev->recipients[i].address);
	end(w, ']');
	/* there, even if nothing is known of it for lack of memory */
	member_cut(w, "smtpResponse", ev->reply, EVENT_REPLY_MAX, "...");
	optional(w, "reportingMTA", ev->reporting_mta);
	optional(w, "remoteMtaIp", ev->remote_ip);
}

static void
bounce(struct writer *w)
{
	const struct event *ev = w->ev;

	string(w, "bounceType",
	    bytes_of(bounce_type_to_text(ev->bounce_type)));
	string(w, "bounceSubType",
	    bytes_of(bounce_subtype_to_text(ev->bounce_subtype)));
	recipients(w, "bouncedRecipients", SHOW_ALL);
	stamp(w, "timestamp", ev->at);
	string(w, "feedbackId", ev->feedback_id);
	optional(w, "reportingMTA", ev->reporting_mta);
	optional(w, "remoteMtaIp", ev->remote_ip);
}

static void
feedback_type(struct writer *w)
{
	char lower[64];

	if (w->ev->feedback_type.n == 0)
		return;
	bytes_text(w->ev->feedback_type, lower, sizeof(lower));
	ascii_lower_text(lower);
	string(w, "complaintFeedbackType", bytes_of(lower));
}

static void
complaint(struct writer *w)
{
	const struct event *ev = w->ev;

	recipients(w, "complainedRecipients", SHOW_ADDRESS);
	stamp(w, "timestamp", ev->at);
	string(w, "feedbackId", ev->feedback_id);
	key(w, "complaintSubType"); /* the one null in a record */
	buf_add_text(w->out,
	    ev->on_account_list ? "\"OnAccountSuppressionList\"" : "null");
	optional_cut(w, "userAgent", ev->user_agent, EVENT_AGENT_MAX, "");
	feedback_type(w);
	if (ev->arrival.ms != 0)
		stamp(w, "arrivalDate", ev->arrival);
}

static void
delay(struct writer *w)
{
	const struct event *ev = w->ev;

	stamp(w, "timestamp", ev->at);
	string(w, "delayType", bytes_of(delay_type_to_text(ev->delay_type)));
	stamp(w, "expirationTime", ev->expires);
	recipients(w, "delayedRecipients", SHOW_DELAY);
	optional(w, "reportingMTA", ev->reporting_mta);
}

static void
tracking(struct writer *w)
{
	const struct event_tracking *t = w->ev->tracking;
	size_t			     i;

	must(t != NULL);
	string(w, "ipAddress", t->ip);
	stamp(w, "timestamp", w->ev->at);
	key(w, "userAgent");
	event_write_string_cut(t->user_agent, EVENT_AGENT_MAX, "", w->out);
	if (w->ev->type != EVENT_CLICK)
		return;
	string(w, "link", t->link);
	if (t->link_tag_count == 0)
		return;
	begin(w, "linkTags", '{');
	for (i = 0; i < t->link_tag_count; i++)
		tag(w, t->link_tags, t->link_tag_count, i);
	end(w, '}');
}

static void
topics(struct writer *w, const char *name, const struct event_topic *v,
    size_t n)
{
	size_t i;

	begin(w, name, '[');
	for (i = 0; i < n; i++) {
		comma(w->out);
		buf_add_char(w->out, '{');
		string(w, "topicName", v[i].name);
		string(w, "subscriptionStatus",
		    v[i].opt_in ? BYTES("OptIn") : BYTES("OptOut"));
		end(w, '}');
	}
	end(w, ']');
}

static void
preferences(struct writer *w, const char *name,
    const struct event_preferences *p)
{
	begin(w, name, '{');
	boolean(w, "unsubscribeAll", p->unsubscribe_all);
	topics(w, "topicSubscriptionStatus", p->status, p->status_count);
	topics(w, "topicDefaultSubscriptionStatus", p->defaults,
	    p->default_count);
	end(w, '}');
}

static void
subscription(struct writer *w)
{
	const struct event_subscription *s = w->ev->subscription;

	must(s != NULL);
	string(w, "contactList", s->contact_list);
	stamp(w, "timestamp", w->ev->at);
	string(w, "source", s->source);
	preferences(w, "newTopicPreferences", &s->new_preferences);
	preferences(w, "oldTopicPreferences", &s->old_preferences);
}

static void
failure(struct writer *w)
{
	const struct event_failure *f = w->ev->failure;

	must(f != NULL);
	string(w, "errorMessage", f->error_message);
	string(w, "templateName", f->template_name);
}

static void
nothing(struct writer *w)
{
	(void)w; /* "send":{} */
}

static void
reject(struct writer *w)
{
	string(w, "reason", BYTES("Bad content"));
}

static void
detail(struct writer *w)
{
	static const struct {
		const char *member;
		void (*write)(struct writer *w);
	} details[EVENT_TYPES] = {
		[EVENT_SEND] = { "send", nothing },
		[EVENT_REJECT] = { "reject", reject },
		[EVENT_DELIVERY] = { "delivery", delivery },
		[EVENT_BOUNCE] = { "bounce", bounce },
		[EVENT_COMPLAINT] = { "complaint", complaint },
		[EVENT_DELIVERY_DELAY] = { "deliveryDelay", delay },
		[EVENT_OPEN] = { "open", tracking },
		[EVENT_CLICK] = { "click", tracking },
		[EVENT_RENDERING_FAILURE] = { "failure", failure },
		[EVENT_SUBSCRIPTION] = { "subscription", subscription },
	};

	begin(w, details[w->ev->type].member, '{');
	details[w->ev->type].write(w);
	end(w, '}');
}

static void
extensions(struct writer *w)
{
	char id[EVENT_ID_TEXT + 1];

	begin(w, "posthorn", '{');
	string(w, "eventId", bytes_of(event_id_to_text(&w->ev->id, id)));
	optional(w, "region", w->m->region);
	optional(w, "accessKeyId", w->m->access_key_id);
	if (w->ev->attempts > 0) {
		key(w, "attempts");
		buf_printf(w->out, "%u", w->ev->attempts);
	}
	if (w->ev->simulator)
		boolean(w, "simulator", true);
	end(w, '}');
}

/* -- the record ------------------------------------------------------- */

static void
record(struct writer *w)
{
	buf_add_char(w->out, '{');
	string(w, w->form.notification ? "notificationType" : "eventType",
	    bytes_of(event_type_to_wire(w->ev->type)));
	mail(w);
	detail(w);
	if (w->form.extensions)
		extensions(w);
	end(w, '}');
}

bool
event_write_json_as(const struct event *ev, const struct event_mail *m,
    const struct event_form *form, struct buf *out)
{
	static const size_t budgets[] = { EVENT_HEADERS_MAX, 5120, 1280, 0 };
	struct writer	    w = { out, ev, m, *form, 0 };
	size_t		    start = out->n, i;

	must((unsigned)ev->type < EVENT_TYPES);
	if (out->failed)
		return false;
	/* too long a record loses header fields first */
	for (i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
		out->n = start;
		out->failed = false;
		w.headers_max = budgets[i];
		record(&w);
		if (!out->failed && out->n - start <= EVENT_RECORD_MAX)
			break;
	}
	return !out->failed;
}

bool
event_write_json(const struct event *ev, const struct event_mail *m,
    struct buf *out)
{
	static const struct event_form publishing = { false, false, false };

	return event_write_json_as(ev, m, &publishing, out);
}
