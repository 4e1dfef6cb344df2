/* SPDX-License-Identifier: ISC */
#include "delivery/outcome.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "mail/smtp.h"

enum {
	IP_BLOCK_TRIES = 3,
	IP_BLOCK_WAIT_MIN = 15,
	IP_BLOCK_WAIT_MS = IP_BLOCK_WAIT_MIN * 60000,
	IP_BLOCK_WINDOW_MIN = 240, /* the last try lies within it */
	IP_BLOCK_MINUTE_SHIFT = 16, /* of the first one, since acceptance */
	LAST_TRY_GAP_MS = 4 * 60000,
	DELAY_TOLD_MS = 4 * 3600000,
	MINUTE_MS = 60000
};

/* Failures without a reply: fixed results (delivery.md 4.3, 5, 6.2, 7). */
struct fixed {
	enum result_kind    kind;
	bool		    final; /* at once */
	const char	   *status, *diagnostic; /* while it is tried again */
	enum delay_type	    delay;
	const char	   *end_status, *end_diagnostic; /* when given up */
	enum bounce_type    type;
	enum bounce_subtype subtype;
};
#define UNABLE "421 4.4.1 Unable to connect to remote host"
static const struct fixed outcome_fixed[] = {
	{ RESULT_CONNECT, false, "4.4.1", UNABLE, DELAY_COMMUNICATION_FAILURE,
	    "4.4.1", UNABLE, BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL },
	{ RESULT_TIMEOUT, false, "4.4.2", "421 4.4.2 Connection timed out",
	    DELAY_COMMUNICATION_FAILURE, "4.4.2",
	    "421 4.4.2 Connection timed out", BOUNCE_TRANSIENT,
	    BOUNCE_SUB_GENERAL },
	{ RESULT_LOST, false, "4.4.2", "421 4.4.2 Connection lost",
	    DELAY_COMMUNICATION_FAILURE, "4.4.2", "421 4.4.2 Connection lost",
	    BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL },
	{ RESULT_UNSURE, false, "4.4.2",
	    "421 4.4.2 Connection lost after the end of data",
	    DELAY_COMMUNICATION_FAILURE, "4.4.2",
	    "421 4.4.2 Connection lost after the end of data",
	    BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL },
	{ RESULT_PROTOCOL, false, "4.5.0", "451 4.5.0 Protocol error",
	    DELAY_GENERAL, "4.5.0", "451 4.5.0 Protocol error",
	    BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL },
	{ RESULT_TLS_MISSING, true, "", "", DELAY_UNDETERMINED, "5.7.4",
	    "554 5.7.4 TLS is required but was not offered by %s",
	    BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL },
	{ RESULT_TLS_FAILED, false, "4.7.5",
	    "454 4.7.5 TLS could not be established with %s",
	    DELAY_COMMUNICATION_FAILURE, "4.7.5",
	    "454 4.7.5 TLS could not be established with %s",
	    BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL },
	{ RESULT_TOO_LARGE, true, "", "", DELAY_UNDETERMINED, "5.3.4",
	    "552 5.3.4 message is larger than the limit announced by %s",
	    BOUNCE_TRANSIENT, BOUNCE_SUB_MESSAGE_TOO_LARGE },
	{ RESULT_NOT_8BIT, true, "", "", DELAY_UNDETERMINED, "5.6.3",
	    "554 5.6.3 8-bit content is not supported by %s",
	    BOUNCE_TRANSIENT, BOUNCE_SUB_CONTENT_REJECTED },
	{ RESULT_NULL_MX, true, "", "", DELAY_UNDETERMINED, "5.1.10",
	    "556 5.1.10 recipient domain does not accept mail",
	    BOUNCE_PERMANENT, BOUNCE_SUB_GENERAL },
	{ RESULT_LOOP, true, "", "", DELAY_UNDETERMINED, "5.4.6",
	    "554 5.4.6 mail loops back to this server", BOUNCE_PERMANENT,
	    BOUNCE_SUB_GENERAL },
	{ RESULT_NXDOMAIN, false, "4.4.1", UNABLE,
	    DELAY_COMMUNICATION_FAILURE, "5.1.2",
	    "550 5.1.2 recipient domain does not exist", BOUNCE_PERMANENT,
	    BOUNCE_SUB_GENERAL },
	{ RESULT_NO_ADDRESS, false, "4.4.1", UNABLE,
	    DELAY_COMMUNICATION_FAILURE, "5.4.4",
	    "550 5.4.4 no mail server of the recipient domain has an address",
	    BOUNCE_PERMANENT, BOUNCE_SUB_GENERAL },
	{ RESULT_DNS, false, "4.4.3", "451 4.4.3 name server failure",
	    DELAY_COMMUNICATION_FAILURE, "4.4.3",
	    "451 4.4.3 name server failure", BOUNCE_TRANSIENT,
	    BOUNCE_SUB_GENERAL },
	{ RESULT_RESOLVER, false, "4.3.0", "451 4.3.0 no name server answers",
	    DELAY_INTERNAL_FAILURE, "4.3.0",
	    "451 4.3.0 no name server answers", BOUNCE_TRANSIENT,
	    BOUNCE_SUB_GENERAL },
	{ RESULT_LOCAL, false, "4.3.0", "451 4.3.0 local trouble",
	    DELAY_INTERNAL_FAILURE, "4.3.0", "451 4.3.0 local trouble",
	    BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL },
	{ RESULT_NONE, false, "4.0.0", "451 4.0.0 not tried",
	    DELAY_UNDETERMINED, "4.0.0", "451 4.0.0 not tried",
	    BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL },
};

static const struct fixed *
outcome_find_fixed(enum result_kind k)
{
	size_t i = 0, last = sizeof(outcome_fixed) / sizeof(outcome_fixed[0]);

	while (i < last - 1 && outcome_fixed[i].kind != k)
		i++;
	return &outcome_fixed[i];
}

int64_t
outcome_longest_wait_ms(const struct conf *c)
{
	int64_t longest = IP_BLOCK_WAIT_MS, one;
	size_t	i;

	for (i = 0; i < c->delivery.retry_schedule_count; i++) {
		one = c->delivery.retry_schedule_ms[i];
		one += (int64_t)((double)one *
		    c->delivery.retry_jitter_percent / 100.0);
		if (one > longest)
			longest = one;
	}
	return longest;
}

bool
outcome_next_attempt(const struct conf *c, unsigned attempts,
    struct wall ended, struct wall expires, double jitter, struct wall *next)
{
	size_t	step = attempts == 0 ? 0 : attempts - 1;
	int64_t delay;

	if (ended.ms >= expires.ms)
		return false;
	if (step >= c->delivery.retry_schedule_count)
		step = c->delivery.retry_schedule_count - 1;
	delay = c->delivery.retry_schedule_ms[step];
	delay += (int64_t)((double)delay * jitter *
	    c->delivery.retry_jitter_percent / 100.0);
	next->ms = ended.ms + delay;
	if (next->ms <= expires.ms)
		return true;
	/* one last attempt at the end of the lifetime, if it is worth it */
	if (expires.ms - ended.ms < LAST_TRY_GAP_MS)
		return false;
	next->ms = expires.ms;
	return true;
}

/* A temporary failure: the schedule, or given up. */
static bool
outcome_later(const struct outcome_context *c, struct outcome *o)
{
	if (c->retry_ms > 0) {
		o->next.ms = c->now.ms + c->retry_ms;
		if (o->next.ms > o->expires.ms)
			return false;
	} else if (!outcome_next_attempt(c->conf, o->attempts, c->now, o->expires,
		c->jitter, &o->next))
		return false;
	o->verdict = OUTCOME_LATER;
	return true;
}

static void
outcome_decide_fixed(const struct outcome_context *c, const struct attempt *a,
    const struct result *r, struct outcome *o)
{
	const struct fixed *f = outcome_find_fixed(r->kind);
	const char	   *host = r->remote_host[0] != '\0' ? r->remote_host
							     : "the server";
	const char	   *text;
	struct wall	    limit;
	bool		    later = false;
	int		    n;

	if (r->kind == RESULT_NXDOMAIN || r->kind == RESULT_NO_ADDRESS) {
		limit.ms = a->accepted.ms +
		    c->conf->delivery.nxdomain_lifetime_ms;
		if (limit.ms < o->expires.ms)
			o->expires = limit;
	}
	if (!f->final)
		later = outcome_later(c, o);
	snprintf(o->status, sizeof(o->status), "%s",
	    later ? f->status : f->end_status);
	text = later ? f->diagnostic : f->end_diagnostic;
	n = snprintf(o->diagnostic, sizeof(o->diagnostic), "smtp; ");
	if (strstr(text, "%s") != NULL)
		snprintf(o->diagnostic + n, sizeof(o->diagnostic) - (size_t)n,
		    "%.*s%s", (int)(strstr(text, "%s") - text), text, host);
	else
		snprintf(o->diagnostic + n, sizeof(o->diagnostic) - (size_t)n,
		    "%s", text);
	o->delay_type = f->delay;
	if (later)
		return;
	o->verdict = OUTCOME_FAILED;
	o->bounce_type = f->type;
	o->bounce_subtype = f->subtype;
}

/* delivery.md 5: once from each other address, 15 min apart, within 4 h. */
static bool
outcome_other_source(const struct outcome_context *c, const struct attempt *a,
    struct outcome *o)
{
	unsigned tries = (o->flags & OUTCOME_IP_BLOCK_MASK) >>
	    OUTCOME_IP_BLOCK_SHIFT;
	unsigned first = o->flags >> IP_BLOCK_MINUTE_SHIFT;
	unsigned now = (unsigned)((c->now.ms - a->accepted.ms) / MINUTE_MS);

	if (tries == 0)
		first = now > 0xffff ? 0xffff : now;
	if (tries >= IP_BLOCK_TRIES || tries + 1 >= c->usable_sources ||
	    now + IP_BLOCK_WAIT_MIN > first + IP_BLOCK_WINDOW_MIN)
		return false;
	o->next.ms = c->now.ms + IP_BLOCK_WAIT_MS;
	if (o->next.ms > o->expires.ms)
		return false;
	o->flags = (o->flags & 0xffu) |
	    (tries + 1) << OUTCOME_IP_BLOCK_SHIFT |
	    first << IP_BLOCK_MINUTE_SHIFT;
	o->flags &= ~(uint32_t)OUTCOME_STICKY_SOURCE;
	o->verdict = OUTCOME_LATER;
	return true;
}

static void
outcome_take(struct outcome *o, const struct classification *k)
{
	o->bounce_type = k->type;
	o->bounce_subtype = k->subtype;
	o->rule = k->rule;
	o->ip_block = k->ip_block;
	memcpy(o->list, k->list, sizeof(o->list));
	memcpy(o->url, k->url, sizeof(o->url));
}

static void
outcome_decide_reply(const struct outcome_context *c, const struct attempt *a,
    const struct attempt_envelope *en, struct outcome *o)
{
	const struct result  *r = &en->result;
	struct classify_input in;
	struct classification k;
	struct bytes	      text = bytes_of(r->text);
	bool		      permanent = r->code >= 500 && !r->not_final;

	if (text.n > 3)
		text = bytes_trim(bytes_from(text, 3)); /* without the code */
	in.stage = r->stage;
	in.code = r->code;
	in.enh = bytes_of(r->enhanced);
	in.text = text;
	in.recipient = en->address;
	in.source_ip = bytes_of(r->local_ip);
	snprintf(o->diagnostic, sizeof(o->diagnostic), "smtp; %s", r->text);
	snprintf(o->status, sizeof(o->status), "%s", r->enhanced);
	if (o->status[0] == '\0')
		snprintf(o->status, sizeof(o->status), "%s",
		    r->code >= 500 ? "5.0.0" : "4.0.0");
	/* the class of the code counts (bounces-and-feedback.md 3.1) */
	o->status[0] = r->code >= 500 ? '5' : '4';
	if (permanent) {
		classify_final(c->classify, &in, &k);
		outcome_take(o, &k);
		if (k.ip_block && outcome_other_source(c, a, o)) {
			o->delay_type = classify_delay(c->classify, &in, &k);
			return;
		}
		o->verdict = OUTCOME_FAILED;
		return;
	}
	o->delay_type = classify_delay(c->classify, &in, &k);
	outcome_take(o, &k);
	if (r->stage >= CLASSIFY_RCPT)
		o->flags |= OUTCOME_STICKY_SOURCE;
	if (outcome_later(c, o))
		return;
	classify_expired(c->classify, &in, &k);
	outcome_take(o, &k);
	o->verdict = OUTCOME_FAILED;
}

void
outcome_decide(const struct outcome_context *c, const struct attempt *a,
    const struct attempt_envelope *en, struct outcome *out)
{
	memset(out, 0, sizeof(*out));
	out->rule = "";
	out->expires = en->expires;
	out->attempts = en->attempts + 1;
	out->flags = en->flags & ~(uint32_t)OUTCOME_STICKY_SOURCE;
	if (en->result.kind != RESULT_REPLY) {
		outcome_decide_fixed(c, a, &en->result, out);
	} else if (en->result.code >= 200 && en->result.code < 300) {
		out->verdict = OUTCOME_DELIVERED;
		snprintf(out->status, sizeof(out->status), "%s",
		    en->result.enhanced[0] != '\0' ? en->result.enhanced
						   : "2.0.0");
	} else {
		outcome_decide_reply(c, a, en, out);
	}
}

void
outcome_expire(const struct outcome_context *c,
    const struct recipient_row *row, struct outcome *out)
{
	(void)c;
	memset(out, 0, sizeof(*out));
	out->verdict = OUTCOME_FAILED;
	out->bounce_type = BOUNCE_TRANSIENT;
	out->bounce_subtype = BOUNCE_SUB_GENERAL;
	out->rule = "";
	out->expires = row->expires;
	out->attempts = row->attempts;
	out->flags = row->flags;
	snprintf(out->status, sizeof(out->status), "4.4.7");
	if (row->last_reply.n > 0)
		snprintf(out->diagnostic, sizeof(out->diagnostic),
		    "smtp; %.*s", (int)row->last_reply.n, row->last_reply.p);
	else
		snprintf(out->diagnostic, sizeof(out->diagnostic),
		    "smtp; 451 4.4.7 delivery time expired");
}

static struct bytes
outcome_copy(struct arena *ar, const char *text)
{
	return arena_bytes(ar, bytes_of(text));
}

static bool
outcome_fill_event(const struct outcome_context *c, const struct attempt *a,
    const struct attempt_envelope *en, const struct outcome *o,
    struct arena *ar, struct event *ev)
{
	const struct result    *r = &en->result;
	struct event_recipient *to = arena_alloc(ar, sizeof(*to));
	struct msgid		feedback;
	char			id[MSGID_TEXT + 1];

	if (to == NULL)
		return false;
	event_id_make(c->now, &ev->id);
	ev->at = c->now;
	ev->message = a->id;
	ev->attempts = o->attempts;
	ev->recipients = to;
	ev->recipient_count = 1;
	ev->outgoing_ip = outcome_copy(ar, r->local_ip);
	ev->outgoing_tls = outcome_copy(ar, r->tls_version);
	to->address = arena_bytes(ar, en->address);
	/* who answered, not who was merely met */
	if (r->kind == RESULT_REPLY && r->remote_ip[0] != '\0')
		ev->remote_host = outcome_copy(ar, r->remote_host);
	if (o->verdict == OUTCOME_DELIVERED) {
		ev->type = EVENT_DELIVERY;
		ev->reply = outcome_copy(ar, r->text);
		ev->reporting_mta = outcome_copy(ar, c->ehlo);
		ev->remote_ip = outcome_copy(ar, r->remote_ip);
		return true;
	}
	to->status = outcome_copy(ar, o->status);
	to->diagnostic = outcome_copy(ar, o->diagnostic);
	ev->rule = bytes_of(o->rule); /* constant text */
	if (o->verdict == OUTCOME_LATER) {
		ev->type = EVENT_DELIVERY_DELAY;
		ev->delay_type = o->delay_type;
		ev->expires = o->expires;
		if (r->kind == RESULT_REPLY)
			ev->reporting_mta = outcome_copy(ar, r->remote_ip);
		return true;
	}
	ev->type = EVENT_BOUNCE;
	ev->bounce_type = o->bounce_type;
	ev->bounce_subtype = o->bounce_subtype;
	to->action = BYTES("failed");
	msgid_make(c->now, &feedback);
	msgid_to_text(&feedback, c->conf->server.id_prefix, 0, id);
	ev->feedback_id = outcome_copy(ar, id);
	if (r->remote_ip[0] != '\0') {
		ev->remote_ip = outcome_copy(ar, r->remote_ip);
		ev->reporting_mta = bytes_of(
		    arena_printf(ar, "dns; %s", c->ehlo));
	}
	return true;
}

/* RFC 3461: who asked to hear of it, and will not by the receiver. */
static void
outcome_wish(const struct outcome_context *c, const struct attempt *a,
    const struct attempt_envelope *en, struct change_item *item,
    struct event *ev)
{
	if (ev->type == EVENT_DELIVERY) {
		ev->wants_dsn = (en->notify & DSN_SUCCESS) != 0 &&
		    !en->result.knows_dsn;
	} else if (ev->type == EVENT_DELIVERY_DELAY &&
	    (en->notify & DSN_DELAY) != 0 &&
	    (item->flags & OUTCOME_DELAY_TOLD) == 0 &&
	    c->now.ms - a->accepted.ms >= DELAY_TOLD_MS) {
		ev->wants_dsn = true;
		item->flags |= OUTCOME_DELAY_TOLD;
	}
}

bool
outcome_fill(const struct outcome_context *c, const struct attempt *a,
    const struct attempt_envelope *en, const struct outcome *o,
    struct arena *ar, struct change_item *item)
{
	const struct result *r = &en->result;
	struct event	    *ev;
	/* what queue list shows, and what an expiry will name */
	const char *said = r->kind == RESULT_REPLY ? r->text
						   : o->diagnostic + 6;

	memset(item, 0, sizeof(*item));
	item->kind = o->verdict == OUTCOME_LATER ? CHANGE_DEFER : CHANGE_DONE;
	item->id = a->id;
	item->n = en->n;
	item->attempts = o->attempts;
	item->next = o->next;
	item->expires = o->expires;
	item->flags = o->flags;
	item->last_reply = outcome_copy(ar, said);
	item->last_remote = outcome_copy(ar, r->remote_ip);
	item->last_source_ip = outcome_copy(ar, r->local_ip);
	item->last_stage =
	    outcome_copy(ar, classify_stage_to_text(r->stage));
	if (item->last_reply.p == NULL || item->last_stage.p == NULL)
		return false;
	if (a->message.system)
		return true; /* no notices about notices */
	ev = arena_alloc(ar, sizeof(*ev));
	if (ev == NULL || !outcome_fill_event(c, a, en, o, ar, ev))
		return false;
	item->event = ev;
	outcome_wish(c, a, en, item, ev);
	return true;
}

/* -- suppressed ------------------------------------------------------------- */

static void
outcome_suppress_bounce(const struct outcome_context *c,
    enum suppression_answer answer, struct arena *ar, struct event *ev,
    struct event_recipient *to)
{
	bool global = answer == SUPPRESSION_GLOBAL;

	ev->type = EVENT_BOUNCE;
	ev->bounce_type = BOUNCE_PERMANENT;
	ev->bounce_subtype = global ? BOUNCE_SUB_SUPPRESSED :
				      BOUNCE_SUB_ON_ACCOUNT_LIST;
	ev->reporting_mta = bytes_of(arena_printf(ar, "dns; %s", c->ehlo));
	to->action = BYTES("failed");
	to->status = BYTES("5.1.1");
	to->diagnostic = global ?
	    BYTES("posthorn has suppressed sending to this address because "
		  "it has a recent history of bouncing as an invalid "
		  "address.") :
	    BYTES("posthorn did not send the message to this address because "
		  "it is on the suppression list for your account.");
	if (answer != SUPPRESSION_UNSUBSCRIBED)
		return;
	ev->bounce_subtype = BOUNCE_SUB_UNSUBSCRIBED;
	to->status = BYTES("5.7.1");
	to->diagnostic = BYTES("posthorn did not send the message to this "
	    "address because the recipient has unsubscribed from the contact "
	    "list.");
}

bool
outcome_suppress(const struct outcome_context *c,
    const struct recipient_row *row, enum suppression_answer answer,
    struct arena *ar, struct change_item *item)
{
	struct event	       *ev = arena_alloc(ar, sizeof(*ev));
	struct event_recipient *to = arena_alloc(ar, sizeof(*to));
	struct msgid		feedback;
	char			id[MSGID_TEXT + 1];

	if (ev == NULL || to == NULL)
		return false;
	memset(item, 0, sizeof(*item));
	item->kind = CHANGE_DONE;
	item->id = row->id;
	item->n = row->n;
	item->event = ev;
	event_id_make(c->now, &ev->id);
	ev->at = c->now;
	ev->message = row->id;
	ev->attempts = row->attempts;
	ev->recipients = to;
	ev->recipient_count = 1;
	to->address = arena_bytes(ar, row->address);
	msgid_make(c->now, &feedback);
	msgid_to_text(&feedback, c->conf->server.id_prefix, 0, id);
	ev->feedback_id = outcome_copy(ar, id);
	if (answer == SUPPRESSION_COMPLAINT) {
		ev->type = EVENT_COMPLAINT;
		ev->on_account_list = true;
	} else {
		outcome_suppress_bounce(c, answer, ar, ev, to);
	}
	return to->address.p != NULL && ev->feedback_id.p != NULL;
}
