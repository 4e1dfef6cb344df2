/* SPDX-License-Identifier: ISC */
/*
 * trace show: the life of one message (statistics.md 6.1).  An id of ours is
 * looked up; a client's Message-ID is looked for among all records, and a
 * receiver's queue id among the deliveries, window by window on a worker.
 * What became of it lies in the history, and what is younger than
 * events.tail_keep among the events.
 */
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "daemon/control_event.h"
#include "daemon/control_sweep.h"
#include "mail/address.h"
#include "mail/header.h"
#include "registry/provider.h"
#include "registry/suppression.h"
#include "reporting/event_mail.h"

enum {
	TRACE_ARENA = 4 * 1024 * 1024,
	TRACE_MATCHES = 20,
	TRACE_EVENTS = 5000, /* shown of one message */
	WINDOW_EVENTS = 20000,
	WINDOW_RECORDS = 20000,
	HEAD_READ_MAX = 1024 * 1024
};

struct trace {
	struct request *q;
	struct bytes	wanted; /* a client's Message-ID, or a queue id */
	struct msgid	id[TRACE_MATCHES];
	size_t		count, at;
	/* the search: where it stands, whether there is more */
	uint64_t	sequence;
	struct msgid	record, history;
	unsigned	history_n;
	bool		has_record, has_history;
	bool		more_events, more_records, more_history;
	/* of the message at hand */
	char		account[ACCOUNT_ID_SIZE];
	json_t	       *insights;
	unsigned	events;
};

/* -- which message --------------------------------------------------------- */

static struct bytes
trace_bare(struct bytes s)
{
	s = bytes_trim(s);
	if (s.n > 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
		return (struct bytes){ s.p + 1, s.n - 2 };
	return s;
}

static void
trace_add(struct trace *t, const struct msgid *id)
{
	size_t i;

	for (i = 0; i < t->count; i++)
		if (msgid_cmp(&t->id[i], id) == 0)
			return;
	if (t->count < TRACE_MATCHES)
		t->id[t->count++] = *id;
}

static bool
trace_is_word(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '_';
}

/* As a word of its own: "queued as 4XyZ9Abc12", not a part of another id. */
static bool
trace_reply_has(struct bytes reply, struct bytes id)
{
	ptrdiff_t at;
	size_t	  end;

	while ((at = bytes_find_nocase(reply, id)) >= 0) {
		end = (size_t)at + id.n;
		if ((at == 0 || !trace_is_word(reply.p[at - 1])) &&
		    (end == reply.n || !trace_is_word(reply.p[end])))
			return true;
		reply = bytes_from(reply, end);
	}
	return false;
}

/* true = look further. */
static bool
trace_look(struct trace *t, const struct event *ev)
{
	if (ev->type == EVENT_DELIVERY && trace_reply_has(ev->reply,
		t->wanted))
		trace_add(t, &ev->message);
	return t->count < TRACE_MATCHES;
}

static bool
trace_on_delivery(void *arg, uint64_t sequence, const struct event *ev)
{
	struct trace *t = arg;

	t->sequence = sequence;
	t->more_events = true;
	return trace_look(t, ev);
}

static bool
trace_on_old_delivery(void *arg, unsigned n, const struct event *ev)
{
	struct trace *t = arg;

	t->history = ev->message;
	t->history_n = n + 1;
	t->has_history = t->more_history = true;
	return trace_look(t, ev);
}

static bool
trace_on_record(void *arg, const struct mail_row *m)
{
	struct trace *t = arg;

	t->record = m->id;
	t->has_record = t->more_records = true;
	if (m->message_id.n > 0 &&
	    bytes_eq(trace_bare(m->message_id), t->wanted))
		trace_add(t, &m->id);
	return t->count < TRACE_MATCHES;
}

/* One window of each table. */
static int
trace_search_work(struct request *q)
{
	struct trace *t = q->state;
	struct spool *spool = q->relay->spool;
	bool	      events = t->more_events, records = t->more_records;
	bool	      history = t->more_history;

	t->more_events = t->more_records = t->more_history = false;
	if (events && spool_scan_events(spool, t->sequence, WINDOW_EVENTS,
		trace_on_delivery, t, &q->err) < 0)
		return -1;
	if (history && spool_scan_history(spool, t->has_history ? &t->history
		: NULL, t->history_n, WINDOW_EVENTS, trace_on_old_delivery, t,
		&q->err) < 0)
		return -1;
	if (records && spool_scan_mail(spool, t->has_record ? &t->record
		: NULL, WINDOW_RECORDS, trace_on_record, t, &q->err) < 0)
		return -1;
	return 0;
}

static int trace_work(struct request *q);

static void
trace_find_ids(struct request *q)
{
	struct trace *t = q->state;

	if (q->caller == NULL)
		request_end(q); /* nobody waits for it any more */
	else if (t->count < TRACE_MATCHES &&
	    (t->more_events || t->more_records || t->more_history))
		request_work(q, trace_search_work, trace_find_ids);
	else
		request_work(q, trace_work, request_end);
}

/* -- what became of it ----------------------------------------------------- */

/* NULL = not one of the message's */
static json_t *
trace_find(const struct trace *t, struct bytes address)
{
	json_t *v;
	size_t	i;

	json_array_foreach(t->insights, i, v)
		if (bytes_eq_nocase(address, bytes_of(json_string_value(
			json_object_get(v, "Destination")))))
			return v;
	return NULL;
}

/* The recipient at hand, made at its first mention; host: or empty. */
static json_t *
trace_recipient(struct trace *t, struct bytes address, struct bytes host)
{
	struct address a;
	json_t	      *v = trace_find(t, address);

	if (v == NULL) {
		v = json_pack("{s:o, s:n, s:[]}", "Destination",
		    json_of_bytes(address), "Isp", "Events");
		json_array_append_new(t->insights, v);
	} else if (host.n == 0) {
		return v;
	}
	if (address_split(address, &a))
		json_object_set_new(v, "Isp", json_of_bytes(provider_title(
		    t->q->conf, a.domain, host)));
	return v;
}

static json_t *
trace_event_json(const struct event *ev)
{
	const struct event_recipient *to =
	    ev->recipient_count > 0 ? &ev->recipients[0] : NULL;
	json_t *row = json_pack("{s:o, s:s}", "Timestamp",
	    json_of_wall(ev->at), "Type", event_type_to_text(ev->type));

	if (ev->remote_ip.n > 0)
		json_object_set_new(row, "RemoteIp",
		    json_of_bytes(ev->remote_ip));
	if (ev->outgoing_ip.n > 0)
		json_object_set_new(row, "OutgoingIp",
		    json_of_bytes(ev->outgoing_ip));
	if (ev->outgoing_tls.n > 0)
		json_object_set_new(row, "Tls",
		    json_of_bytes(ev->outgoing_tls));
	if (ev->reply.n > 0)
		json_object_set_new(row, "Reply", json_of_bytes(ev->reply));
	if (to != NULL && to->diagnostic.n > 0)
		json_object_set_new(row, "Reply",
		    json_of_bytes(to->diagnostic));
	if (ev->rule.n > 0)
		json_object_set_new(row, "Rule", json_of_bytes(ev->rule));
	if (ev->type == EVENT_DELIVERY_DELAY)
		json_object_set_new(row, "DelayType", json_of_text(
		    delay_type_to_text(ev->delay_type)));
	if (ev->type == EVENT_BOUNCE)
		json_object_set_new(row, "Details", json_pack("{s:{s:s, s:s}}",
		    "Bounce", "BounceType",
		    bounce_type_to_text(ev->bounce_type), "BounceSubType",
		    bounce_subtype_to_text(ev->bounce_subtype)));
	return row;
}

/* -- the listing that stopped it (suppression.md 8) ------------------------- */

static json_t *
trace_own_listing(struct trace *t, struct db_txn *txn, struct bytes address)
{
	struct suppression s;
	struct err	   e;

	if (suppression_get(txn, t->account, address, &s, &e) != 1)
		return json_pack("{s:s, s:s}", "List", "account", "State",
		    "REMOVED");
	return json_of_listing(t->q, &s);
}

static json_t *
trace_global_listing(struct trace *t, struct db_txn *txn,
    struct bytes address)
{
	struct global_suppression g;
	struct err		  e;

	if (global_suppression_get(txn, address, &g, &e) != 1)
		return json_pack("{s:s, s:s}", "List", "global", "State",
		    "REMOVED");
	return json_of_global_listing(t->q, &g);
}

static void
trace_add_listing(struct trace *t, json_t *recipient, const struct event *ev,
    struct bytes address)
{
	bool own = (ev->type == EVENT_COMPLAINT && ev->on_account_list) ||
	    (ev->type == EVENT_BOUNCE &&
		ev->bounce_subtype == BOUNCE_SUB_ON_ACCOUNT_LIST);
	bool global = ev->type == EVENT_BOUNCE &&
	    ev->bounce_subtype == BOUNCE_SUB_SUPPRESSED && !ev->simulator;
	struct db_txn *txn;
	struct err     e;

	if (!own && !global)
		return;
	txn = book_read(t->q->relay->book, &e);
	if (txn != NULL)
		json_object_set_new(recipient, "Listing",
		    own ? trace_own_listing(t, txn, address)
			: trace_global_listing(t, txn, address));
	book_end(txn);
}

/* Newest first. */
static bool
trace_take(struct trace *t, const struct event *ev)
{
	json_t *recipient;
	size_t	i;

	for (i = 0; ev->type != EVENT_SEND && i < ev->recipient_count; i++) {
		recipient = trace_recipient(t, ev->recipients[i].address,
		    ev->remote_host);
		json_array_insert_new(json_object_get(recipient, "Events"),
		    0, trace_event_json(ev));
		trace_add_listing(t, recipient, ev,
		    ev->recipients[i].address);
	}
	return ++t->events < TRACE_EVENTS;
}

static bool
trace_on_event(void *arg, uint64_t sequence, const struct event *ev)
{
	struct trace *t = arg;

	(void)sequence;
	return msgid_cmp(&ev->message, &t->id[t->at]) != 0 ||
	    trace_take(t, ev);
}

static bool
trace_on_history(void *arg, unsigned n, const struct event *ev)
{
	struct trace *t = arg;

	(void)n;
	return msgid_cmp(&ev->message, &t->id[t->at]) == 0 &&
	    trace_take(t, ev);
}

/* The beginning is in the record; mail of posthorn's own has no events. */
static void
trace_add_send(struct trace *t, const struct mail_row *m)
{
	json_t *v;
	size_t	i;

	if (m->system)
		return;
	json_array_foreach(t->insights, i, v)
		json_array_append_new(json_object_get(v, "Events"),
		    json_pack("{s:o, s:s}", "Timestamp",
			json_of_wall(m->accepted), "Type",
			event_type_to_text(EVENT_SEND)));
}

static bool
trace_on_waiting(void *arg, const struct recipient_row *r)
{
	struct trace *t = arg;

	if (msgid_cmp(&r->id, &t->id[t->at]) != 0)
		return false;
	json_object_set_new(trace_recipient(t, r->address, BYTES("")),
	    "Waiting", json_pack("{s:s, s:o, s:i}", "State",
		queue_state_to_text(queue_state_of(r, false, t->q->now)),
		"NextAttempt", r->state == ENVELOPE_HELD ? json_null() :
		    json_of_wall(r->next),
		"Attempts", (int)r->attempts));
	return true;
}

/* -- the message itself ---------------------------------------------------- */

static json_t *
trace_tags_json(const struct mail_row *m)
{
	json_t	*list = json_array();
	unsigned i;

	for (i = 0; i < m->tag_count; i++)
		json_array_append_new(list, json_pack("{s:o, s:o}", "Name",
		    json_of_bytes(m->tags[i].name), "Value",
		    json_of_bytes(m->tags[i].value)));
	return list;
}

/* The header From as it was handed in; when it is not kept any more, the
 * sender. */
static json_t *
trace_from_json(const struct mail_row *m, struct arena *a)
{
	struct mailbox_list list;
	struct bytes	    name, value;
	size_t		    at = 0;
	char		    text[ADDRESS_TEXT_MAX];

	while (event_snapshot_next(m->snapshot, &at, &name, &value))
		if (bytes_eq_nocase(name, BYTES("From")) &&
		    mailbox_list_parse(value, ADDRESS_ALLOW_SINGLE_LABEL, a,
			&list) == MAILBOX_OK && list.n > 0)
			return json_of_bytes(address_normal(
			    &list.v[0].address, text));
	return json_of_bytes(m->sender);
}

static json_t *
trace_subject_json(const struct mail_row *m)
{
	struct buf b;
	json_t	  *v;

	buf_init(&b, 4096);
	v = header_decode_words(bytes_trim(m->subject), &b)
	    ? json_of_bytes(buf_bytes(&b)) : json_of_bytes(m->subject);
	buf_wipe(&b);
	return v;
}

static const char *
trace_protocol(const struct conf *c, const struct mail_row *m)
{
	const struct conf_listener *l = conf_listener_find(c, m->listener);

	if (bytes_eq_text(m->listener, "control"))
		return "posthornctl";
	return l != NULL && (l->roles & CONF_ROLE_LOCAL) != 0 ? "sendmail"
							      : "SMTP";
}

/* Whose key signed it: said by the message, while it is in the queue. */
static json_t *
trace_dkim_json(struct trace *t, const struct msgid *id, struct arena *a)
{
	static const struct header_rules rules = { HEAD_READ_MAX, true };
	struct spool	  *spool = t->q->relay->spool;
	struct message_row m;
	struct header	   h;
	struct field	  *f;
	struct bytes	   domain, selector;
	struct err	   e;
	char		  *head;

	if (spool_read_message(spool, id, a, &m, &e) != 1 ||
	    m.head_octets > HEAD_READ_MAX ||
	    (head = arena_alloc(a, (size_t)m.head_octets + 1)) == NULL ||
	    spool_read_content(spool, &m, 0, head, (size_t)m.head_octets,
		&e) < 0 ||
	    header_parse((struct bytes){ head, (size_t)m.head_octets },
		&rules, a, &h) != HEADER_OK ||
	    (f = header_find(&h, "DKIM-Signature")) == NULL ||
	    !header_tag(f->value, "d", &domain) ||
	    !header_tag(f->value, "s", &selector))
		return json_null();
	return json_pack("{s:o, s:o}", "Domain", json_of_bytes(domain),
	    "Selector", json_of_bytes(selector));
}

static json_t *
trace_mail_json(struct trace *t, const struct event_mail *em,
    const struct mail_row *m, struct arena *a)
{
	json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o}", "MessageId",
	    json_of_bytes(em->message_id), "FromEmailAddress",
	    trace_from_json(m, a), "Subject", trace_subject_json(m),
	    "EmailTags", trace_tags_json(m), "Insights", t->insights);

	/* posthorn's own, for the text form */
	json_object_update_new(o, json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, "
	    "s:o, s:o, s:I, s:o, s:o, s:o}", "ClientMessageId",
	    json_of_bytes(m->message_id), "Accepted",
	    json_of_wall(m->accepted), "ClientIp",
	    json_of_bytes(m->client_ip), "Credential",
	    json_of_bytes(m->credential), "Protocol",
	    trace_protocol(t->q->conf, m), "TlsVersion",
	    json_of_bytes(m->tls_version), "EnvelopeSender",
	    json_of_bytes(m->sender), "Identity", json_of_bytes(m->identity),
	    "Size", (json_int_t)m->size, "ConfigurationSetName",
	    json_of_bytes(m->config_set), "SendingPoolName",
	    json_of_bytes(m->pool), "Dkim",
	    trace_dkim_json(t, &m->id, a)));
	return o;
}

/* 0, or -1 and q->err; a message of others, or gone, adds nothing. */
static int
trace_one(struct trace *t, json_t *list)
{
	struct request	 *q = t->q;
	struct spool	 *spool = q->relay->spool;
	struct arena	 *a = arena_new(TRACE_ARENA);
	struct event_mail em;
	struct mail_row	  m;
	uint64_t	  since;
	unsigned	  i;
	int		  rc = 0;

	rc = event_mail_find(spool, q->conf, &t->id[t->at], a, &m, &em,
	    &q->err);
	if (rc < 0)
		goto out;
	if (rc == 0 ||
	    (q->has_account && strcmp(m.account, q->account.id) != 0)) {
		rc = 0;
		goto out;
	}
	rc = 0;
	memcpy(t->account, m.account, sizeof(t->account));
	t->insights = json_array();
	t->events = 0;
	for (i = 0; i < m.recipient_count; i++)
		(void)trace_recipient(t, m.recipients[i], BYTES(""));
	since = spool_first_event_since(spool, m.accepted);
	if (spool_scan_history(spool, &t->id[t->at], 0, SIZE_MAX,
		trace_on_history, t, &q->err) < 0 ||
	    spool_scan_events(spool, since > 0 ? since - 1 : 0, SIZE_MAX,
		trace_on_event, t, &q->err) < 0 ||
	    spool_scan_recipients(spool, &t->id[t->at], 0, SIZE_MAX,
		trace_on_waiting, t, &q->err) < 0) {
		json_decref(t->insights);
		rc = -1;
		goto out;
	}
	trace_add_send(t, &m);
	json_array_append_new(list, trace_mail_json(t, &em, &m, a));
out:
	arena_free(a);
	return rc;
}

static int
trace_work(struct request *q)
{
	struct trace *t = q->state;
	json_t	     *list = json_array();
	int	      rc = 0;

	for (; t->at < t->count && rc == 0; t->at++)
		rc = trace_one(t, list);
	if (rc == 0 && json_array_size(list) == 0)
		rc = request_refuse(q, BOOK_NOT_FOUND,
		    "no such message: %.200s", arg_text(q, "id"));
	if (rc == 0 && json_array_size(list) == 1)
		json_object_update(q->result, json_array_get(list, 0));
	else if (rc == 0)
		request_set(q, "Messages", json_incref(list));
	json_decref(list);
	return rc;
}

void
trace_show(struct request *q)
{
	struct trace *t = request_state(q, sizeof(*t), NULL);
	const char   *id = arg_text(q, "id");

	t->q = q;
	if (id == NULL || trace_bare(bytes_of(id)).n < 4) {
		(void)request_misuse(q, "which message?");
		request_end(q);
		return;
	}
	t->wanted = trace_bare(bytes_of(id));
	if (msgid_from_text(t->wanted, &t->id[0], NULL))
		t->count = 1;
	else
		t->more_records = true;
	t->more_events = t->more_history = t->count == 0 &&
	    bytes_find(t->wanted, 0, '@') < 0;
	trace_find_ids(q);
}
