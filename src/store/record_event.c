/* SPDX-License-Identifier: ISC */
/*
 * Events have many members of which most are absent: after the fixed ones
 * they are rows of (tag, length, value), and a tag that is not known is
 * skipped.
 */
#include "store/record.h"

#include <string.h>

#include "store/record_private.h"

/* In the store: never give a number another meaning. */
enum event_tag {
	TAG_RECIPIENT = 1,
	TAG_REPLY,
	TAG_REPORTING_MTA,
	TAG_REMOTE_IP,
	TAG_OUTGOING_IP,
	TAG_OUTGOING_TLS,
	TAG_BOUNCE, /* type, sub-type */
	TAG_FEEDBACK_ID,
	TAG_DELAY_TYPE,
	TAG_EXPIRES,
	TAG_ON_ACCOUNT_LIST,
	TAG_USER_AGENT,
	TAG_FEEDBACK_TYPE,
	TAG_ARRIVAL,
	TAG_ATTEMPTS,
	TAG_SIMULATOR,
	TAG_TRACKING,
	TAG_FAILURE,
	TAG_SUBSCRIPTION,
	TAG_REMOTE_HOST,
	TAG_RULE,
	TAG_REPORTED, /* 1, or 2: not for the first time */
	TAG_WANTS_DSN
};

static size_t
number_length(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

static size_t
text_length(struct bytes s)
{
	return number_length(s.n) + s.n;
}

static void
put_tag_text(struct buf *b, enum event_tag tag, struct bytes s)
{
	if (s.n == 0)
		return;
	pack_u64(b, tag);
	pack_bytes(b, s);
}

static void
put_tag_number(struct buf *b, enum event_tag tag, uint64_t v)
{
	if (v == 0)
		return;
	pack_u64(b, tag);
	pack_u64(b, number_length(v));
	pack_u64(b, v);
}

static void
put_event_recipient(struct buf *b, const struct event_recipient *r)
{
	pack_u64(b, TAG_RECIPIENT);
	pack_u64(b, text_length(r->address) + text_length(r->action) +
	    text_length(r->status) + text_length(r->diagnostic));
	pack_bytes(b, r->address);
	pack_bytes(b, r->action);
	pack_bytes(b, r->status);
	pack_bytes(b, r->diagnostic);
}

static void
put_topics(struct buf *b, const struct event_topic *v, size_t n)
{
	size_t i;

	pack_u64(b, n);
	for (i = 0; i < n; i++) {
		pack_u64(b, v[i].opt_in);
		pack_bytes(b, v[i].name);
	}
}

static void
put_preferences(struct buf *b, const struct event_preferences *p)
{
	pack_u64(b, p->unsubscribe_all);
	put_topics(b, p->status, p->status_count);
	put_topics(b, p->defaults, p->default_count);
}

/* The rare members are made apart, for their length stands before them. */
static void
put_rare(struct buf *b, const struct event *ev)
{
	struct buf    part;
	size_t	      i;
	enum event_tag tag;

	if (ev->tracking == NULL && ev->failure == NULL &&
	    ev->subscription == NULL)
		return;
	buf_init(&part, b->max);
	if (ev->tracking != NULL) {
		tag = TAG_TRACKING;
		pack_bytes(&part, ev->tracking->ip);
		pack_bytes(&part, ev->tracking->user_agent);
		pack_bytes(&part, ev->tracking->link);
		pack_u64(&part, ev->tracking->link_tag_count);
		for (i = 0; i < ev->tracking->link_tag_count; i++) {
			pack_bytes(&part, ev->tracking->link_tags[i].name);
			pack_bytes(&part, ev->tracking->link_tags[i].value);
		}
	} else if (ev->failure != NULL) {
		tag = TAG_FAILURE;
		pack_bytes(&part, ev->failure->error_message);
		pack_bytes(&part, ev->failure->template_name);
	} else {
		tag = TAG_SUBSCRIPTION;
		pack_bytes(&part, ev->subscription->contact_list);
		pack_bytes(&part, ev->subscription->source);
		put_preferences(&part, &ev->subscription->new_preferences);
		put_preferences(&part, &ev->subscription->old_preferences);
	}
	pack_u64(b, tag);
	pack_bytes(b, buf_bytes(&part));
	b->failed = b->failed || part.failed;
	buf_wipe(&part);
}

bool
record_write_event(const struct event *ev, struct wall committed,
    struct buf *out)
{
	size_t i;

	record_put_time(out, committed);
	pack_u64(out, ev->type);
	record_put_time(out, ev->at);
	buf_add(out, ev->id.b, sizeof(ev->id.b));
	buf_add(out, ev->message.b, sizeof(ev->message.b));
	for (i = 0; i < ev->recipient_count; i++)
		put_event_recipient(out, &ev->recipients[i]);
	put_tag_text(out, TAG_REPLY, ev->reply);
	put_tag_text(out, TAG_REPORTING_MTA, ev->reporting_mta);
	put_tag_text(out, TAG_REMOTE_IP, ev->remote_ip);
	put_tag_text(out, TAG_REMOTE_HOST, ev->remote_host);
	put_tag_text(out, TAG_OUTGOING_IP, ev->outgoing_ip);
	put_tag_text(out, TAG_OUTGOING_TLS, ev->outgoing_tls);
	put_tag_number(out, TAG_BOUNCE, (uint64_t)ev->bounce_type *
	    BOUNCE_SUBTYPES + (uint64_t)ev->bounce_subtype);
	put_tag_text(out, TAG_FEEDBACK_ID, ev->feedback_id);
	put_tag_number(out, TAG_DELAY_TYPE, ev->delay_type);
	put_tag_text(out, TAG_RULE, ev->rule);
	put_tag_number(out, TAG_EXPIRES, (uint64_t)ev->expires.ms);
	put_tag_number(out, TAG_ON_ACCOUNT_LIST, ev->on_account_list);
	put_tag_text(out, TAG_USER_AGENT, ev->user_agent);
	put_tag_text(out, TAG_FEEDBACK_TYPE, ev->feedback_type);
	put_tag_number(out, TAG_ARRIVAL, (uint64_t)ev->arrival.ms);
	put_tag_number(out, TAG_ATTEMPTS, ev->attempts);
	put_tag_number(out, TAG_SIMULATOR, ev->simulator);
	put_tag_number(out, TAG_REPORTED, !ev->from_report ? 0 :
	    ev->repeated ? 2 : 1);
	put_tag_number(out, TAG_WANTS_DSN, ev->wants_dsn);
	put_rare(out, ev);
	return !out->failed;
}

static void
get_event_head(struct unpack *r, struct event_head *head, struct event *ev)
{
	head->committed = record_get_time(r);
	ev->type = (enum event_type)record_get_small(r, EVENT_TYPES - 1);
	ev->at = record_get_time(r);
	unpack_raw(r, ev->id.b, sizeof(ev->id.b));
	unpack_raw(r, ev->message.b, sizeof(ev->message.b));
	head->type = ev->type;
	head->message = ev->message;
}

bool
record_read_event_head(struct bytes in, struct event_head *out)
{
	struct unpack r = unpack_of(in);
	struct event  ev;

	get_event_head(&r, out, &ev);
	return !r.failed;
}

/* A part ends where its length says, and all of it has been understood. */
static void
part_end(struct unpack *r, const struct unpack *part)
{
	if (!unpack_done(part))
		r->failed = true;
}

static void
get_event_recipient(struct unpack *r, struct bytes value,
    struct event_recipient *out)
{
	struct unpack part = unpack_of(value);

	out->address = unpack_bytes(&part);
	out->action = unpack_bytes(&part);
	out->status = unpack_bytes(&part);
	out->diagnostic = unpack_bytes(&part);
	part_end(r, &part);
}

static const struct event_topic *
get_topics(struct unpack *r, struct arena *a, size_t *count)
{
	struct event_topic *v;
	unsigned	    i, n;

	v = record_get_array(r, a, sizeof(*v), &n);
	*count = n;
	for (i = 0; i < n; i++) {
		v[i].opt_in = record_get_small(r, 1) != 0;
		v[i].name = unpack_bytes(r);
	}
	return v;
}

static void
get_preferences(struct unpack *r, struct arena *a,
    struct event_preferences *out)
{
	out->unsubscribe_all = record_get_small(r, 1) != 0;
	out->status = get_topics(r, a, &out->status_count);
	out->defaults = get_topics(r, a, &out->default_count);
}

static void
get_tracking(struct unpack *r, struct bytes value, struct arena *a,
    struct event *ev)
{
	struct unpack	       part = unpack_of(value);
	struct event_tracking *t = arena_alloc(a, sizeof(*t));
	struct message_tag    *v;
	unsigned	       i, n;

	if (t == NULL) {
		r->failed = true;
		return;
	}
	t->ip = unpack_bytes(&part);
	t->user_agent = unpack_bytes(&part);
	t->link = unpack_bytes(&part);
	v = record_get_array(&part, a, sizeof(*v), &n);
	t->link_tags = v;
	t->link_tag_count = n;
	for (i = 0; i < n; i++) {
		v[i].name = unpack_bytes(&part);
		v[i].value = unpack_bytes(&part);
	}
	ev->tracking = t;
	part_end(r, &part);
}

static void
get_failure(struct unpack *r, struct bytes value, struct arena *a,
    struct event *ev)
{
	struct unpack	      part = unpack_of(value);
	struct event_failure *f = arena_alloc(a, sizeof(*f));

	if (f == NULL) {
		r->failed = true;
		return;
	}
	f->error_message = unpack_bytes(&part);
	f->template_name = unpack_bytes(&part);
	ev->failure = f;
	part_end(r, &part);
}

static void
get_subscription(struct unpack *r, struct bytes value, struct arena *a,
    struct event *ev)
{
	struct unpack		   part = unpack_of(value);
	struct event_subscription *s = arena_alloc(a, sizeof(*s));

	if (s == NULL) {
		r->failed = true;
		return;
	}
	s->contact_list = unpack_bytes(&part);
	s->source = unpack_bytes(&part);
	get_preferences(&part, a, &s->new_preferences);
	get_preferences(&part, a, &s->old_preferences);
	ev->subscription = s;
	part_end(r, &part);
}

static void
get_bounce(struct unpack *r, uint64_t v, struct event *ev)
{
	if (v >= BOUNCE_TYPES * BOUNCE_SUBTYPES) {
		r->failed = true;
		return;
	}
	ev->bounce_type = (enum bounce_type)(v / BOUNCE_SUBTYPES);
	ev->bounce_subtype = (enum bounce_subtype)(v % BOUNCE_SUBTYPES);
}

/* Members that are one text; NULL = the tag is none of them. */
static struct bytes *
event_text(struct event *ev, uint64_t tag)
{
	switch (tag) {
	case TAG_REPLY:
		return &ev->reply;
	case TAG_REPORTING_MTA:
		return &ev->reporting_mta;
	case TAG_REMOTE_IP:
		return &ev->remote_ip;
	case TAG_REMOTE_HOST:
		return &ev->remote_host;
	case TAG_OUTGOING_IP:
		return &ev->outgoing_ip;
	case TAG_OUTGOING_TLS:
		return &ev->outgoing_tls;
	case TAG_FEEDBACK_ID:
		return &ev->feedback_id;
	case TAG_RULE:
		return &ev->rule;
	case TAG_USER_AGENT:
		return &ev->user_agent;
	case TAG_FEEDBACK_TYPE:
		return &ev->feedback_type;
	default:
		return NULL;
	}
}

static void
get_event_number(struct unpack *r, uint64_t tag, struct bytes value,
    struct event *ev)
{
	struct unpack part = unpack_of(value);
	uint64_t      v = unpack_u64(&part);

	part_end(r, &part);
	switch (tag) {
	case TAG_BOUNCE:
		get_bounce(r, v, ev);
		break;
	case TAG_DELAY_TYPE:
		if (v >= DELAY_TYPES)
			r->failed = true;
		else
			ev->delay_type = (enum delay_type)v;
		break;
	case TAG_EXPIRES:
		ev->expires.ms = (int64_t)v;
		break;
	case TAG_ON_ACCOUNT_LIST:
		ev->on_account_list = v != 0;
		break;
	case TAG_ARRIVAL:
		ev->arrival.ms = (int64_t)v;
		break;
	case TAG_ATTEMPTS:
		ev->attempts = (unsigned)(v > UINT32_MAX ? UINT32_MAX : v);
		break;
	case TAG_REPORTED:
		ev->from_report = v != 0;
		ev->repeated = v == 2;
		break;
	case TAG_WANTS_DSN:
		ev->wants_dsn = v != 0;
		break;
	default: /* TAG_SIMULATOR */
		ev->simulator = v != 0;
		break;
	}
}

static void
get_event_member(struct unpack *r, uint64_t tag, struct bytes value,
    struct arena *a, struct event *ev)
{
	struct bytes *text = event_text(ev, tag);

	if (text != NULL) {
		*text = value;
		return;
	}
	switch (tag) {
	case TAG_RECIPIENT: /* see get_recipients() */
		break;
	case TAG_TRACKING:
		get_tracking(r, value, a, ev);
		break;
	case TAG_FAILURE:
		get_failure(r, value, a, ev);
		break;
	case TAG_SUBSCRIPTION:
		get_subscription(r, value, a, ev);
		break;
	case TAG_BOUNCE:
	case TAG_DELAY_TYPE:
	case TAG_EXPIRES:
	case TAG_ON_ACCOUNT_LIST:
	case TAG_ARRIVAL:
	case TAG_ATTEMPTS:
	case TAG_SIMULATOR:
	case TAG_REPORTED:
	case TAG_WANTS_DSN:
		get_event_number(r, tag, value, ev);
		break;
	default: /* of a later version */
		break;
	}
}

/* They are the only member that repeats: counted, then read. */
static size_t
count_recipients(struct unpack r)
{
	size_t n = 0;

	while (r.rest.n > 0 && !r.failed) {
		if (unpack_u64(&r) == TAG_RECIPIENT)
			n++;
		unpack_bytes(&r);
	}
	return n;
}

static void
get_recipients(struct unpack *r, struct arena *a, struct event *ev)
{
	struct unpack	walk = *r;
	size_t			n = count_recipients(walk), i = 0;
	struct event_recipient *v;
	struct bytes		value;
	uint64_t		tag;

	if (n == 0)
		return;
	v = arena_alloc(a, n * sizeof(*v));
	if (v == NULL) {
		r->failed = true;
		return;
	}
	while (i < n && !walk.failed) {
		tag = unpack_u64(&walk);
		value = unpack_bytes(&walk);
		if (tag == TAG_RECIPIENT)
			get_event_recipient(r, value, &v[i++]);
	}
	ev->recipients = v;
	ev->recipient_count = i;
}

bool
record_read_event(struct bytes in, struct arena *a, struct event *out)
{
	struct unpack	  r = unpack_of(in);
	struct event_head head;
	struct bytes	  value;
	uint64_t	  tag;

	memset(out, 0, sizeof(*out));
	get_event_head(&r, &head, out);
	get_recipients(&r, a, out);
	while (r.rest.n > 0 && !r.failed) {
		tag = unpack_u64(&r);
		value = unpack_bytes(&r);
		if (!r.failed)
			get_event_member(&r, tag, value, a, out);
	}
	return unpack_done(&r);
}
