/* SPDX-License-Identifier: ISC */
/*
 * trace search (statistics.md 6.2): the records of messages are walked on a
 * worker, those that fit kept, the newest SEARCH_KEPT of them; then one walk
 * over the events and one look into the history tell what became of each; then
 * the filters of events and groups take away.
 */
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "daemon/control_event.h"
#include "daemon/control_private.h"
#include "mail/address.h"
#include "mail/header.h"
#include "registry/provider.h"

enum {
	SEARCH_KEPT = 10000,
	SEARCH_SHOWN = 100,
	SEARCH_DAYS = 7,
	VALUES_MAX = 5,
	SUBJECTS_MAX = 2,
	ENGAGEMENTS_MAX = 1,
	SUBJECT_OCTETS = 1024
};
static const int64_t day_ms = 24 * 60 * 60 * 1000;

/* In the order in which a later one counts as the last. */
static const char *const delivery_events[] = { "SEND", "TRANSIENT_BOUNCE",
	"PERMANENT_BOUNCE", "UNDETERMINED_BOUNCE", "DELIVERY", "COMPLAINT",
	NULL };
enum { WAS_SENT, WAS_TRANSIENT, WAS_PERMANENT, WAS_UNDETERMINED,
	WAS_DELIVERED, WAS_COMPLAINED };
static const char *const engagement_events[] = { "NONE", "OPEN", "CLICK",
	NULL };

enum filter_of { OF_FROM, OF_TO, OF_SUBJECT, OF_ISP, OF_DELIVERY,
	OF_ENGAGEMENT, FILTERS };
static const struct {
	const char *name, *exclude;
	size_t	    max;
} filter_args[FILTERS] = { { "from", "exclude-from", VALUES_MAX },
	{ "to", "exclude-to", VALUES_MAX },
	{ "subject", "exclude-subject", SUBJECTS_MAX },
	{ "isp", "exclude-isp", VALUES_MAX },
	{ "delivery-event", "exclude-delivery-event", VALUES_MAX },
	{ "engagement-event", "exclude-engagement-event",
	    ENGAGEMENTS_MAX } };

/* One recipient of one message. */
struct trace_hit {
	struct trace_hit  *next; /* of the same message */
	struct msgid id;
	struct bytes from, to, subject; /* behind the struct */
	char	    *isp;		/* NULL = no server is known */
	unsigned     delivery, engagement;
};
struct search {
	struct request *q;
	json_t	    *with[FILTERS], *without[FILTERS]; /* NULL = none */
	struct wall  since, until;
	struct bytes message_id; /* "" = none: nothing else counts then */
	size_t	     limit;
	struct trace_hit  **hit; /* a ring of the newest */
	size_t	     n, first;
	uint64_t     fit;  /* of the records */
	struct table *by_id;
};

static void
hit_free(struct trace_hit *h)
{
	mem_free(h->isp);
	mem_free(h);
}

static void
search_wipe(void *search)
{
	struct search *s = search;
	size_t	       i;

	for (i = 0; i < s->n; i++)
		hit_free(s->hit[i]);
	mem_free(s->hit);
	table_free(s->by_id);
}

/* -- filters --------------------------------------------------------------- */

/* Case counts; a star at either end stands for anything. */
static bool
text_fits(struct bytes text, const char *pattern)
{
	struct bytes p = bytes_of(pattern);
	bool	     head = p.n > 0 && p.p[0] == '*', tail;
	size_t	     i;

	if (head)
		p = bytes_from(p, 1);
	tail = p.n > 0 && p.p[p.n - 1] == '*';
	if (tail)
		p.n--;
	if (text.n < p.n)
		return false;
	if (!head)
		return tail ? bytes_starts(text, p) : bytes_eq(text, p);
	if (!tail)
		return bytes_eq(bytes_from(text, text.n - p.n), p);
	for (i = 0; i + p.n <= text.n; i++)
		if (bytes_starts(bytes_from(text, i), p))
			return true;
	return false;
}

static bool
any_fits(json_t *list, struct bytes text)
{
	json_t *v;
	size_t	i;

	json_array_foreach(list, i, v)
		if (text_fits(text, json_string_value(v)))
			return true;
	return false;
}

static bool
search_fits(const struct search *s, enum filter_of f, struct bytes text)
{
	return (s->with[f] == NULL || any_fits(s->with[f], text)) &&
	    (s->without[f] == NULL || !any_fits(s->without[f], text));
}

/* By the title of the group, or by its name. */
static bool
search_fits_isp(const struct search *s, struct bytes isp)
{
	const struct conf *c = s->q->conf;
	json_t		  *lists[2] = { s->with[OF_ISP], s->without[OF_ISP] };
	bool		   found[2] = { false, false };
	const struct conf_provider *p;
	json_t		  *v;
	size_t		   i, k;

	for (k = 0; k < 2; k++)
		json_array_foreach(lists[k], i, v) {
			p = conf_provider_find(c,
			    bytes_of(json_string_value(v)));
			found[k] |= bytes_eq_text(isp, json_string_value(v)) ||
			    (p != NULL && p->title != NULL &&
				bytes_eq_text(isp, p->title));
		}
	return (lists[0] == NULL || found[0]) && !found[1];
}

/* -- records --------------------------------------------------------------- */

static void
search_keep(struct search *s, struct trace_hit *h)
{
	s->fit++;
	if (s->n < SEARCH_KEPT) {
		s->hit[s->n++] = h;
		return;
	}
	hit_free(s->hit[s->first]);
	s->hit[s->first] = h;
	s->first = (s->first + 1) % SEARCH_KEPT;
}

static struct bytes
hit_text(char **at, struct bytes b)
{
	struct bytes out = { *at, b.n };

	if (b.n > 0)
		memcpy(*at, b.p, b.n);
	*at += b.n;
	return out;
}

static struct trace_hit *
hit_new(const struct mail_row *m, struct bytes to, struct bytes subject)
{
	struct trace_hit *h = mem_alloc(sizeof(*h) + m->sender.n + to.n +
	    subject.n);
	char	   *at = (char *)(h + 1);

	h->id = m->id;
	h->from = hit_text(&at, m->sender);
	h->to = hit_text(&at, to);
	h->subject = hit_text(&at, subject);
	return h;
}

static void
search_take(struct search *s, const struct mail_row *m)
{
	struct bytes subject = bytes_trim(m->subject);
	struct buf   decoded;
	unsigned     i;

	buf_init(&decoded, 4096);
	if (header_decode_words(subject, &decoded))
		subject = buf_bytes(&decoded);
	subject = bytes_head(subject, SUBJECT_OCTETS);
	if (search_fits(s, OF_SUBJECT, subject) &&
	    search_fits(s, OF_FROM, m->sender))
		for (i = 0; i < m->recipient_count; i++)
			if (search_fits(s, OF_TO, m->recipients[i]))
				search_keep(s, hit_new(m, m->recipients[i],
				    subject));
	buf_wipe(&decoded);
}

static struct bytes
bare_id(struct bytes b)
{
	b = bytes_trim(b);
	if (b.n > 2 && b.p[0] == '<' && b.p[b.n - 1] == '>')
		return (struct bytes){ b.p + 1, b.n - 2 };
	return b;
}

static bool
search_on_mail(void *arg, const struct mail_row *m)
{
	struct search *s = arg;
	struct wall    at = m->accepted;
	struct msgid   id;

	if (m->system || strcmp(m->account, s->q->account.id) != 0)
		return true;
	if (s->message_id.n > 0) {
		if (msgid_from_text(s->message_id, &id, NULL)
			? msgid_cmp(&id, &m->id) != 0
			: !bytes_eq(bare_id(m->message_id), s->message_id))
			return true;
	} else if (at.ms < s->since.ms || at.ms >= s->until.ms) {
		return at.ms < s->until.ms;
	}
	search_take(s, m);
	return true;
}

/* -- what became of them --------------------------------------------------- */

static void
search_index(struct search *s)
{
	struct bytes key;
	struct trace_hit  *h;
	size_t	     i;

	for (i = 0; i < s->n; i++) {
		h = s->hit[i];
		key = (struct bytes){ (const char *)h->id.b,
			sizeof(h->id.b) };
		h->next = table_get(s->by_id, key);
		must(table_put(s->by_id, key, h));
	}
}

static unsigned
delivery_of(const struct event *ev)
{
	switch (ev->type) {
	case EVENT_DELIVERY:
		return WAS_DELIVERED;
	case EVENT_COMPLAINT:
		return WAS_COMPLAINED;
	case EVENT_BOUNCE:
		return ev->bounce_type == BOUNCE_PERMANENT ? WAS_PERMANENT
		    : ev->bounce_type == BOUNCE_TRANSIENT ? WAS_TRANSIENT
							  : WAS_UNDETERMINED;
	default:
		return WAS_SENT;
	}
}

static void
hit_take(struct search *s, struct trace_hit *h, const struct event *ev,
    const struct event_recipient *to)
{
	unsigned delivery = delivery_of(ev);

	if (to != NULL && !bytes_eq_nocase(to->address, h->to))
		return;
	if (delivery > h->delivery)
		h->delivery = delivery;
	if (ev->type == EVENT_CLICK)
		h->engagement = 2;
	else if (ev->type == EVENT_OPEN && h->engagement == 0)
		h->engagement = 1;
	if (ev->remote_host.n > 0) {
		mem_free(h->isp);
		h->isp = mem_dup_bytes(provider_title(s->q->conf,
		    address_domain(h->to), ev->remote_host));
	}
}

static void
search_take_event(struct search *s, const struct event *ev)
{
	struct bytes key = { (const char *)ev->message.b,
		sizeof(ev->message.b) };
	struct trace_hit  *h;
	size_t	     i;

	for (h = table_get(s->by_id, key); h != NULL; h = h->next) {
		if (ev->recipient_count == 0)
			hit_take(s, h, ev, NULL);
		for (i = 0; i < ev->recipient_count; i++)
			hit_take(s, h, ev, &ev->recipients[i]);
	}
}

static bool
search_on_event(void *arg, uint64_t sequence, const struct event *ev)
{
	(void)sequence;
	search_take_event(arg, ev);
	return true;
}

struct past {
	struct search *s;
	struct msgid   id;
};

static bool
search_on_history(void *arg, unsigned n, const struct event *ev)
{
	struct past *p = arg;

	(void)n;
	if (msgid_cmp(&ev->message, &p->id) != 0)
		return false;
	search_take_event(p->s, ev);
	return true;
}

static int
search_follow(struct search *s)
{
	struct spool *spool = s->q->relay->spool;
	struct past   p = { .s = s };
	size_t	      i;

	search_index(s);
	if (s->n > 0 && spool_scan_events(spool, 0, SIZE_MAX,
		search_on_event, s, &s->q->err) < 0)
		return -1;
	for (i = 0; i < s->n; i++) {
		if (i > 0 && msgid_cmp(&s->hit[i]->id,
			&s->hit[i - 1]->id) == 0)
			continue;
		p.id = s->hit[i]->id;
		if (spool_scan_history(spool, &p.id, 0, SIZE_MAX,
			search_on_history, &p, &s->q->err) < 0)
			return -1;
	}
	return 0;
}

/* -- the answer ------------------------------------------------------------ */

static bool
search_wants(struct search *s, struct trace_hit *h)
{
	if (h->isp == NULL)
		h->isp = mem_dup_bytes(provider_title(s->q->conf,
		    address_domain(h->to), BYTES("")));
	return search_fits(s, OF_DELIVERY,
		   bytes_of(delivery_events[h->delivery])) &&
	    search_fits(s, OF_ENGAGEMENT,
		bytes_of(engagement_events[h->engagement])) &&
	    search_fits_isp(s, bytes_of(h->isp));
}

static json_t *
hit_json(const struct search *s, const struct trace_hit *h)
{
	char id[MSGID_TEXT + 1];

	(void)msgid_to_text(&h->id, s->q->conf->server.id_prefix, 0, id);
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:o}",
	    "Timestamp", json_of_wall(msgid_time(&h->id)), "MessageId", id,
	    "FromEmailAddress", json_of_bytes(h->from), "Destination",
	    json_of_bytes(h->to), "Isp", json_of_bytes(bytes_of(h->isp)), "Subject",
	    json_of_bytes(h->subject), "LastDeliveryEvent",
	    delivery_events[h->delivery], "LastEngagementEvent",
	    h->engagement == 0 ? json_null()
		: json_string(engagement_events[h->engagement]));
}

/* Ids begin with their time: none before it. */
static void
search_first(const struct search *s, struct msgid *out)
{
	int64_t	 at = s->since.ms > 0 ? s->since.ms - 1 : 0;
	unsigned i;

	memset(out, 0xff, sizeof(*out));
	for (i = 0; i < 6; i++)
		out->b[i] = (uint8_t)(s->message_id.n > 0 ? 0
		    : at >> (40 - 8 * i));
}

/* Newest first. */
static int
search_work(struct request *q)
{
	struct search *s = q->state;
	json_t	      *list = json_array();
	uint64_t       total = 0;
	struct msgid   first;
	struct trace_hit    *h;
	size_t	       i;

	request_set(q, "Messages", list);
	search_first(s, &first);
	if (spool_scan_mail(q->relay->spool, &first, SIZE_MAX, search_on_mail,
		s, &q->err) < 0 || search_follow(s) < 0)
		return -1;
	for (i = s->n; i-- > 0;) {
		h = s->hit[(s->first + i) % SEARCH_KEPT];
		if (!search_wants(s, h))
			continue;
		if (total++ < s->limit)
			json_array_append_new(list, hit_json(s, h));
	}
	/* of those beyond what is kept nobody has looked at the events */
	request_set(q, "Total", json_integer((json_int_t)total));
	request_set(q, "Complete", json_boolean(s->fit <= SEARCH_KEPT));
	return 0;
}

/* A domain without a group of its own is one; anything else has to be known. */
static bool
isp_is_possible(const struct conf *c, const char *value)
{
	struct bytes v = bytes_of(value);
	size_t	     i;

	if (bytes_find(v, 0, '.') >= 0 || conf_dest_find(c, v) != NULL ||
	    conf_provider_find(c, v) != NULL)
		return true;
	for (i = 0; i < c->provider_count; i++)
		if (c->providers[i].title != NULL &&
		    bytes_eq_text(v, c->providers[i].title))
			return true;
	return false;
}

static bool
word_is_possible(const char *const *words, const char *value)
{
	for (; *words != NULL; words++)
		if (text_fits(bytes_of(*words), value))
			return true;
	return false;
}

/* What nothing can ever fit is a slip, and an empty list would hide it. */
static int
search_check_values(struct request *q, enum filter_of f, json_t *list)
{
	json_t	   *v;
	const char *value;
	size_t	    i;
	bool	    ok = true;

	json_array_foreach(list, i, v) {
		value = json_string_value(v);
		if (f == OF_ISP)
			ok = isp_is_possible(q->conf, value);
		else if (f == OF_DELIVERY || f == OF_ENGAGEMENT)
			ok = word_is_possible(f == OF_DELIVERY ?
			    delivery_events : engagement_events, value);
		if (!ok)
			return request_refuse(q, BOOK_NOT_FOUND,
			    "--%s: no such %s: %s", filter_args[f].name,
			    f == OF_ISP ? "destination group" : "event",
			    value);
	}
	return 0;
}

static int
search_take_filter(struct search *s, enum filter_of f)
{
	struct request *q = s->q;

	s->with[f] = arg_list(q, filter_args[f].name);
	s->without[f] = arg_list(q, filter_args[f].exclude);
	if (json_array_size(s->with[f]) > filter_args[f].max ||
	    json_array_size(s->without[f]) > filter_args[f].max)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "--%s: at most %d values", filter_args[f].name,
		    (int)filter_args[f].max);
	return search_check_values(q, f, s->with[f]) < 0 ||
	    search_check_values(q, f, s->without[f]) < 0 ? -1 : 0;
}

static int
search_take_args(struct search *s)
{
	struct request *q = s->q;
	int64_t		limit = SEARCH_SHOWN;
	unsigned	i;

	s->message_id = bare_id(bytes_of(arg_text(q, "message-id")));
	s->until.ms = q->now.ms + 1;
	s->since.ms = q->now.ms - q->now.ms % day_ms -
	    (SEARCH_DAYS - 1) * day_ms;
	if (arg_time(q, "since", &s->since) < 0 ||
	    arg_time(q, "until", &s->until) < 0 ||
	    arg_int(q, "limit", 1, SEARCH_KEPT, &limit) < 0)
		return -1;
	s->limit = (size_t)limit;
	for (i = 0; s->message_id.n == 0 && i < FILTERS; i++)
		if (search_take_filter(s, (enum filter_of)i) != 0)
			return -1;
	return 0;
}

void
trace_search(struct request *q)
{
	struct search *s = request_state(q, sizeof(*s), search_wipe);

	s->q = q;
	s->hit = mem_alloc(SEARCH_KEPT * sizeof(struct trace_hit *));
	s->by_id = table_new(0);
	if (search_take_args(s) != 0)
		request_end(q);
	else
		request_work(q, search_work, request_end);
}
