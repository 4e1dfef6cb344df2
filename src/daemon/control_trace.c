/* SPDX-License-Identifier: ISC */
/* trace show: the life of one message (statistics.md 6.1). */
#include <string.h>

#include "daemon/control_event.h"
#include "mail/address.h"

enum {
	TRACE_ARENA = 4 * 1024 * 1024,
	MAIL_ARENA = 1024 * 1024,
	TRACE_MATCHES = 20,
	TRACE_EVENTS = 5000
};

struct trace {
	struct request *q;
	struct bytes	wanted; /* a client's Message-ID, or a queue id */
	struct msgid	id[TRACE_MATCHES];
	size_t		count, at;
	json_t	       *insights; /* of the message at hand */
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
	t->id[t->count++] = *id;
}

static bool
trace_has_client_id(struct trace *t, const struct msgid *id)
{
	struct arena   *a = arena_new(MAIL_ARENA);
	struct mail_row m;
	struct err	e;
	bool		is;

	is = spool_read_mail(t->q->relay->spool, id, a, &m, &e) == 1 &&
	    m.message_id.n > 0 &&
	    bytes_eq(trace_bare(m.message_id), t->wanted);
	arena_free(a);
	return is;
}

/* A Send has the client's id, a Delivery the receiver's. */
static bool
trace_on_candidate(void *arg, uint64_t sequence, const struct event *ev)
{
	struct trace *t = arg;

	(void)sequence;
	if ((ev->type == EVENT_DELIVERY &&
		bytes_find_nocase(ev->reply, t->wanted) >= 0) ||
	    (ev->type == EVENT_SEND && trace_has_client_id(t, &ev->message)))
		trace_add(t, &ev->message);
	return t->count < TRACE_MATCHES;
}

/* -- what became of it ----------------------------------------------------- */

static json_t *
trace_recipient(struct trace *t, struct bytes address)
{
	const struct conf_provider *p;
	struct address		    a;
	json_t			   *v, *events;
	size_t			    i;

	json_array_foreach(t->insights, i, v)
		if (bytes_eq_nocase(address, bytes_of(json_string_value(
			json_object_get(v, "Destination")))))
			return json_object_get(v, "Events");
	p = address_split(address, &a) ?
		conf_provider_of_domain(t->q->conf, a.domain) : NULL;
	events = json_array();
	json_array_append_new(t->insights, json_pack("{s:o, s:o, s:o}",
	    "Destination", json_of_bytes(address), "Isp",
	    p != NULL ? json_of_text(p->title) : json_null(), "Events",
	    events));
	return events;
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
	if (ev->type == EVENT_BOUNCE)
		json_object_set_new(row, "Details", json_pack("{s:{s:s, s:s}}",
		    "Bounce", "BounceType",
		    bounce_type_to_text(ev->bounce_type), "BounceSubType",
		    bounce_subtype_to_text(ev->bounce_subtype)));
	return row;
}

/* Newest first. */
static bool
trace_on_event(void *arg, uint64_t sequence, const struct event *ev)
{
	struct trace *t = arg;
	json_t	     *v;
	size_t	      i;

	(void)sequence;
	if (msgid_cmp(&ev->message, &t->id[t->at]) != 0)
		return true;
	if (ev->type == EVENT_SEND)
		json_array_foreach(t->insights, i, v)
			json_array_insert_new(json_object_get(v, "Events"), 0,
			    trace_event_json(ev));
	for (i = 0; ev->type != EVENT_SEND && i < ev->recipient_count; i++)
		json_array_insert_new(trace_recipient(t,
		    ev->recipients[i].address), 0, trace_event_json(ev));
	return ++t->events < TRACE_EVENTS;
}

static bool
trace_on_waiting(void *arg, const struct recipient_row *r)
{
	struct trace *t = arg;
	json_t	     *v;
	size_t	      i;

	if (msgid_cmp(&r->id, &t->id[t->at]) != 0)
		return false;
	(void)trace_recipient(t, r->address);
	json_array_foreach(t->insights, i, v)
		if (bytes_eq_nocase(r->address, bytes_of(json_string_value(
			json_object_get(v, "Destination")))))
			json_object_set_new(v, "Waiting", json_pack(
			    "{s:s, s:o, s:i}", "State",
			    r->state == ENVELOPE_HELD ? "HELD" :
			    r->state == ENVELOPE_READY ? "READY" : "DEFERRED",
			    "NextAttempt", r->state == ENVELOPE_HELD ?
				json_null() : json_of_wall(r->next),
			    "Attempts", (int)r->attempts));
	return true;
}

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

static json_t *
trace_mail_json(const struct event_mail *em, const struct mail_row *m,
    json_t *insights)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
	    "s:I, s:o, s:o}", "MessageId", json_of_bytes(em->message_id),
	    "FromEmailAddress", json_of_bytes(m->sender), "Subject",
	    json_of_bytes(m->subject), "EmailTags", trace_tags_json(m),
	    "ClientMessageId", json_of_bytes(m->message_id), "Accepted",
	    json_of_wall(m->accepted), "ClientIp",
	    json_of_bytes(m->client_ip), "Credential",
	    json_of_bytes(m->credential), "TlsVersion",
	    json_of_bytes(m->tls_version), "Identity",
	    json_of_bytes(m->identity), "Size", (json_int_t)m->size,
	    "ConfigurationSetName", json_of_bytes(m->config_set), "Insights",
	    insights);
}

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

	if (!event_find_mail(q->relay, q->conf, &t->id[t->at], a, &em, &m) ||
	    (q->has_account && strcmp(m.account, q->account.id) != 0))
		goto out;
	t->insights = json_array();
	t->events = 0;
	for (i = 0; i < m.recipient_count; i++)
		(void)trace_recipient(t, m.recipients[i]);
	since = spool_first_event_since(spool, m.accepted);
	if (spool_scan_events(spool, since > 0 ? since - 1 : 0, SIZE_MAX,
		trace_on_event, t, &q->err) < 0 ||
	    spool_scan_recipients(spool, &t->id[t->at], 0, SIZE_MAX,
		trace_on_waiting, t, &q->err) < 0) {
		json_decref(t->insights);
		rc = -1;
		goto out;
	}
	json_array_append_new(list, trace_mail_json(&em, &m, t->insights));
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

	request_set(q, "Messages", list);
	if (t->count == 0 && spool_scan_events(q->relay->spool, 0, SIZE_MAX,
		trace_on_candidate, t, &q->err) < 0)
		return -1;
	for (; t->at < t->count && rc == 0; t->at++)
		rc = trace_one(t, list);
	if (rc == 0 && json_array_size(list) == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such message: %.200s", arg_text(q, "id"));
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
	if (msgid_from_text(bytes_of(id), &t->id[0], NULL))
		t->count = 1;
	request_work(q, trace_work, request_end);
}
