/* SPDX-License-Identifier: ISC */
/*
 * What becomes an event.  Whatever a report says, an event names only
 * addresses to which the message was sent.
 */
#include <string.h>

#include "base/log.h"
#include "mail/address.h"
#include "mail/smtp.h"
#include "registry/identity.h"
#include "reporting/feedback_channel.h"
#include "reporting/inbox_private.h"

enum { EARLY_MS = 3600000, AGENT_MAX = 1024 };

/* One recipient of whom something is reported. */
struct finding {
	unsigned       n; /* of the message; 0 = nobody is known */
	unsigned       before; /* how often the same was reported */
	struct event_recipient to;
	struct classification c;
	bool	       is_told;
};

/* -- events ---------------------------------------------------------------- */

/* When the provider sent it, if that can be. */
static struct wall
judging_when(const struct judging *j, const struct target *t)
{
	struct wall at = j->r.report.date;

	if (at.ms > j->row.received.ms + EARLY_MS ||
	    at.ms < t->mail.accepted.ms - EARLY_MS)
		return j->row.received;
	return at;
}

static bool
address_is_simulated(const struct judging *j, struct bytes address)
{
	const struct conf *c = j->setup->conf;
	struct address	   a;

	return address_split(address, &a) &&
	    (bytes_eq_nocase(a.domain, bytes_of(c->simulator.domain)) ||
		(c->simulator.ses_domain && bytes_eq_nocase(a.domain,
		    BYTES("simulator.amazonses.com"))));
}

/* NULL = there are too many already, or no memory. */
static struct event *
judging_event(struct judging *j, const struct target *t,
    enum event_type type)
{
	struct event *ev;
	struct msgid  feedback;
	char	      id[MSGID_TEXT + 1];

	if (j->event_count == JUDGING_EVENTS)
		return NULL;
	msgid_make(j->now, &feedback);
	msgid_to_text(&feedback, j->setup->conf->server.id_prefix, 0, id);
	ev = &j->events[j->event_count];
	memset(ev, 0, sizeof(*ev));
	ev->feedback_id = arena_bytes(j->arena, bytes_of(id));
	if (ev->feedback_id.p == NULL) {
		j->trouble = true;
		return NULL;
	}
	ev->type = type;
	ev->from_report = true;
	ev->at = judging_when(j, t);
	ev->message = t->mail.id;
	event_id_make(j->now, &ev->id);
	memcpy(j->accounts[j->event_count++], t->mail.account,
	    ACCOUNT_ID_SIZE);
	if (!event_is_note(ev))
		judging_result(j, INTAKE_EVENT);
	return ev;
}

/*
 * The address and the TLS by which it left (events.md 3), if that is one for
 * all whom the event names.
 */
static void
judging_set_departure(struct judging *j, const struct target *t,
    struct event *ev)
{
	struct departure first, d;
	struct err	 e;
	size_t		 i;
	int		 rc;

	for (i = 0; i < ev->recipient_count; i++) {
		rc = spool_read_departure(j->setup->spool, &t->mail.id,
		    target_find(t, ev->recipients[i].address), &d, &e);
		if (rc < 0)
			j->trouble = true;
		if (rc <= 0)
			return;
		if (i == 0)
			first = d;
		else if (strcmp(first.ip, d.ip) != 0 ||
		    strcmp(first.tls, d.tls) != 0)
			return;
	}
	if (i == 0)
		return;
	ev->outgoing_ip = arena_bytes(j->arena, bytes_of(first.ip));
	ev->outgoing_tls = arena_bytes(j->arena, bytes_of(first.tls));
	j->trouble = j->trouble || ev->outgoing_ip.p == NULL ||
	    ev->outgoing_tls.p == NULL;
}

/* After its recipients are there: who has to be told by mail. */
static void
judging_tell(struct judging *j, const struct target *t,
    const struct event *ev, enum intake_from from)
{
	struct feedback_channel channel = { j->setup->spool, j->setup->book,
		j->setup->conf, j->setup->withdrawal };
	size_t			i;

	/* NOTIFY=NEVER, or without FAILURE, for all of them */
	for (i = 0; ev->type == EVENT_BOUNCE && i < ev->recipient_count; i++)
		if (feedback_channel_is_wanted(feedback_channel_wish(
			&t->mail, ev->recipients[i].address)))
			break;
	if (ev->type == EVENT_BOUNCE && i > 0 && i == ev->recipient_count)
		return;
	if (feedback_channel_is_mail(&channel, j->arena, &t->mail, ev))
		judging_forward(j, t->mail.account, t->mail.forward, from);
}

/* How often a report of this kind was told of the recipient; false = often
 * enough. */
static bool
judging_may_tell(struct judging *j, const struct target *t,
    enum intake_kind kind, unsigned n, unsigned *before)
{
	struct intake_mark m = { t->mail.id,
		intake_mark_recipient(n, kind) };
	struct wall	   last;
	struct err	   e;
	size_t		   i;
	int		   rc;

	*before = 0;
	rc = spool_read_mark(j->setup->spool, &m, before, &last, &e);
	if (rc < 0)
		j->trouble = true;
	for (i = 0; i < j->mark_count; i++)
		if (msgid_cmp(&j->marks[i].id, &m.id) == 0 &&
		    j->marks[i].what == m.what)
			++*before;
	if (rc < 0 || *before >= INBOX_REPORTS_MAX ||
	    j->mark_count == JUDGING_MARKS)
		return false;
	j->marks[j->mark_count++] = m;
	return true;
}

static struct bytes
target_address(const struct target *t, unsigned n)
{
	return n == 0 ? BYTES("") : t->mail.recipients[n - 1];
}

unsigned
target_find(const struct target *t, struct bytes address)
{
	unsigned i;

	for (i = 0; address.n > 0 && i < t->mail.recipient_count; i++)
		if (bytes_eq_nocase(t->mail.recipients[i], address))
			return i + 1;
	return 0;
}

/* -- bounces --------------------------------------------------------------- */

static bool
group_is_failed(const struct report_recipient *g)
{
	if (g->action.n == 0)
		return g->status.n > 0 && g->status.p[0] == '5';
	return bytes_eq(g->action, BYTES("failed"));
}

/* "smtp; 550 5.1.1 ..." of the line in the text that has a reply code. */
static struct bytes
judging_line(struct judging *j)
{
	return j->r.line.n == 0 ? BYTES("") : bytes_of(arena_printf(j->arena,
	    "smtp; %.*s", (int)j->r.line.n, j->r.line.p));
}

/*
 * A group without a diagnostic whose status says nothing (OpenSMTPD's): the
 * reply stands in the text for people, if it is about one recipient.
 */
static struct bytes
judging_diagnostic(struct judging *j, const struct report_recipient *g)
{
	bool says_nothing = g->status.n == 0 ||
	    bytes_ends_nocase(g->status, BYTES(".0.0"));

	if (g->diagnostic.n == 0 && says_nothing &&
	    j->r.kind == RETURNED_DSN && j->r.report.recipient_count == 1)
		return judging_line(j);
	return g->diagnostic;
}

static void
finding_set(struct judging *j, const struct target *t, struct finding *f,
    const struct report_recipient *g)
{
	struct bytes diagnostic = judging_diagnostic(j, g);

	f->to.address = target_address(t, f->n);
	f->to.action = BYTES("failed");
	f->to.status = g->status;
	f->to.diagnostic = g->diagnostic;
	classify_report(j->classify, diagnostic, g->status,
	    f->n > 0 ? f->to.address : g->final, &f->c);
}

/* The failed ones of a report that are known; *failed: all of them. */
static unsigned
judging_find_failed(struct judging *j, const struct target *t,
    struct finding *v, unsigned *failed)
{
	const struct report *r = &j->r.report;
	unsigned	     n, count = 0, k;
	size_t		     i;

	*failed = 0;
	for (i = 0; i < r->recipient_count; i++) {
		if (!group_is_failed(&r->recipients[i]))
			continue;
		++*failed;
		n = target_find(t, r->recipients[i].final);
		if (n == 0)
			n = target_find(t, r->recipients[i].original);
		if (t->n > 0)
			n = t->n; /* the return address is surer */
		for (k = 0; k < count && v[k].n != n; k++)
			;
		if (n == 0 || k < count)
			continue;
		v[count].n = n;
		finding_set(j, t, &v[count++], &r->recipients[i]);
	}
	return count;
}

/* Without a group that says more: of the address it came to, or nobody. */
static void
judging_find_unsaid(struct judging *j, const struct target *t,
    struct finding *f)
{
	static const struct report_recipient none;
	const struct report_recipient *g = &none;
	size_t			       i;

	for (i = 0; i < j->r.report.recipient_count; i++)
		if (group_is_failed(&j->r.report.recipients[i])) {
			g = &j->r.report.recipients[i];
			break;
		}
	memset(f, 0, sizeof(*f));
	f->n = t->n;
	finding_set(j, t, f, g);
	if (f->n == 0 && f->c.type == BOUNCE_PERMANENT)
		f->c.subtype = BOUNCE_SUB_NO_EMAIL;
}

static struct bytes
mta_domain(struct bytes mta)
{
	ptrdiff_t semicolon = bytes_find(mta, 0, ';');

	return bytes_trim(semicolon < 0 ? mta :
	    bytes_from(mta, (size_t)semicolon + 1));
}

/* Of one provider: its group, or the domain somebody registered. */
static bool
is_same_provider(const struct conf *c, struct bytes a, struct bytes b)
{
	const struct conf_provider *p = conf_provider_of_domain(c, a);

	if (a.n == 0 || b.n == 0)
		return false;
	if (p == NULL)
		p = conf_provider_of_mx(c, a);
	if (p != NULL)
		return conf_provider_of_domain(c, b) == p;
	return bytes_eq_nocase(identity_registrable(a),
	    identity_registrable(b));
}

/* All recipients at that provider; without one: none, or, all, everybody. */
static size_t
judging_add_candidates(struct judging *j, const struct target *t,
    struct bytes provider, bool all, struct event *ev)
{
	struct event_recipient *to = arena_alloc(j->arena,
	    (t->mail.recipient_count + 1) * sizeof(*to));
	struct address		a;
	unsigned		i;
	size_t			n = 0;

	if (to == NULL) {
		j->trouble = true;
		return 0;
	}
	memset(to, 0, (t->mail.recipient_count + 1) * sizeof(*to));
	for (i = 0; i < t->mail.recipient_count; i++)
		if (address_split(t->mail.recipients[i], &a) &&
		    is_same_provider(j->setup->conf, provider, a.domain))
			to[n++].address = t->mail.recipients[i];
	for (i = 0; n == 0 && all && i < t->mail.recipient_count; i++)
		to[i].address = t->mail.recipients[i];
	if (n == 0 && all)
		n = t->mail.recipient_count;
	ev->recipients = to;
	ev->recipient_count = n;
	return n;
}

/* One event for all findings of the same class, from the first on. */
static void
judging_tell_class(struct judging *j, const struct target *t,
    struct finding *v, unsigned count)
{
	struct event_recipient *to = arena_alloc(j->arena,
	    count * sizeof(*to));
	struct event	       *ev = judging_event(j, t, EVENT_BOUNCE);
	unsigned		i, n = 0;
	bool			repeated = true;

	if (to == NULL || ev == NULL) {
		j->trouble = j->trouble || to == NULL;
		return;
	}
	for (i = 0; i < count; i++) {
		if (v[i].is_told || v[i].c.type != v[0].c.type ||
		    v[i].c.subtype != v[0].c.subtype)
			continue;
		v[i].is_told = true;
		repeated = repeated && v[i].before > 0;
		to[n++] = v[i].to;
	}
	ev->recipients = to;
	ev->recipient_count = n;
	ev->repeated = repeated;
	ev->bounce_type = v[0].c.type;
	ev->bounce_subtype = v[0].c.subtype;
	ev->rule = bytes_of(v[0].c.rule);
	ev->reporting_mta = j->r.report.reporting_mta;
	ev->simulator = address_is_simulated(j, to[0].address);
	if (v[0].n == 0)
		judging_add_candidates(j, t,
		    mta_domain(j->r.report.reporting_mta), false, ev);
	judging_set_departure(j, t, ev);
	judging_tell(j, t, ev, INTAKE_FROM_MAILER);
}

/* qmail, Exim and others: a line with a reply, and the address in the text. */
static void
judging_find_text(struct judging *j, const struct target *t,
    struct finding *f)
{
	struct report_recipient g;
	unsigned		i;

	memset(&g, 0, sizeof(g));
	memset(f, 0, sizeof(*f));
	f->n = t->n;
	for (i = 0; f->n == 0 && i < t->mail.recipient_count; i++)
		if (returned_names(&j->r, t->mail.recipients[i]))
			f->n = i + 1;
	g.diagnostic = judging_line(j);
	finding_set(j, t, f, &g);
	f->to.action = f->to.diagnostic = BYTES(""); /* nothing is shown */
	if (f->n == 0 && f->c.type == BOUNCE_PERMANENT)
		f->c.subtype = BOUNCE_SUB_NO_EMAIL;
}

static bool
report_has_news(const struct report *r)
{
	size_t i;

	for (i = 0; i < r->recipient_count; i++)
		if (group_is_failed(&r->recipients[i]))
			return true;
	return r->recipient_count == 0;
}

/*
 * A delay is no event, but stands in the trace.  Reports of delays are counted
 * beside those of failures, as of a kind that has no others.
 */
static void
judging_note_delays(struct judging *j, const struct target *t)
{
	const struct report_recipient *g = j->r.report.recipients;
	struct event_recipient	      *to;
	struct event		      *ev;
	unsigned		       n, before;
	size_t			       i;

	for (i = 0; i < j->r.report.recipient_count; i++) {
		n = t->n > 0 ? t->n : target_find(t, g[i].final);
		if (n == 0 || !bytes_eq(g[i].action, BYTES("delayed")) ||
		    !judging_may_tell(j, t, INTAKE_UNKNOWN, n, &before))
			continue;
		to = arena_alloc(j->arena, sizeof(*to));
		ev = to == NULL ? NULL :
		    judging_event(j, t, EVENT_DELIVERY_DELAY);
		if (ev == NULL) {
			j->trouble = j->trouble || to == NULL;
			return;
		}
		memset(to, 0, sizeof(*to));
		to->address = target_address(t, n);
		to->status = g[i].status;
		to->diagnostic = g[i].diagnostic;
		ev->recipients = to;
		ev->recipient_count = 1;
		ev->delay_type = DELAY_UNDETERMINED;
		ev->repeated = before > 0;
		ev->reporting_mta = j->r.report.reporting_mta;
	}
}

/* Of a success, or a delay, about which the client wanted to hear. */
static bool
report_is_wished(const struct report *r, const struct target *t)
{
	const struct dsn_wish *w;
	unsigned	       n;
	size_t		       i;

	for (i = 0; i < r->recipient_count; i++) {
		n = t->n > 0 ? t->n : target_find(t, r->recipients[i].final);
		w = n > 0 && t->mail.wishes != NULL ? &t->mail.wishes[n - 1] :
						      NULL;
		if (w != NULL && (w->notify & (bytes_eq(
		    r->recipients[i].action, BYTES("delayed")) ? DSN_DELAY :
		    DSN_SUCCESS)) != 0)
			return true;
	}
	return false;
}

void
judging_bounce(struct judging *j, const struct target *t)
{
	struct finding *v;
	unsigned	i, kept = 0, count = 0, failed = 0;

	if (j->r.kind == RETURNED_DSN && !report_has_news(&j->r.report)) {
		judging_result(j, INTAKE_IGNORED);
		if (judging_is_new(j, t))
			judging_note_delays(j, t);
		if (report_is_wished(&j->r.report, t))
			judging_forward(j, t->mail.account, t->mail.forward,
			    INTAKE_FROM_MAILER);
		return;
	}
	if (!judging_is_new(j, t)) {
		judging_result(j, INTAKE_DUPLICATE);
		return;
	}
	v = arena_alloc(j->arena, (REPORT_RECIPIENTS_MAX + 1) * sizeof(*v));
	if (v == NULL) {
		j->trouble = true;
		return;
	}
	memset(v, 0, (REPORT_RECIPIENTS_MAX + 1) * sizeof(*v));
	judging_note_delays(j, t);
	if (j->r.kind == RETURNED_DSN)
		count = judging_find_failed(j, t, v, &failed);
	else
		judging_find_text(j, t, &v[count++]);
	if (count == 0)
		judging_find_unsaid(j, t, &v[count++]);
	for (i = 0; i < count; i++)
		if (judging_may_tell(j, t, j->kind, v[i].n, &v[i].before))
			v[kept++] = v[i];
		else
			judging_result(j, INTAKE_DUPLICATE);
	for (i = 0; i < kept && !j->trouble; i++)
		if (!v[i].is_told)
			judging_tell_class(j, t, &v[i], kept - i);
}

/* -- automatic replies ------------------------------------------------------ */

void
judging_autoreply(struct judging *j, const struct target *t)
{
	struct event_recipient *to = arena_alloc(j->arena, sizeof(*to));
	struct event	       *ev;
	unsigned n = t->n > 0 ? t->n : target_find(t, j->r.from), before;

	if (to == NULL) {
		j->trouble = true;
		return;
	}
	if (!judging_is_new(j, t)) {
		judging_result(j, INTAKE_DUPLICATE);
		return;
	}
	judging_forward(j, t->mail.account, t->mail.forward,
	    INTAKE_FROM_KEPT);
	if (n == 0 && t->mail.recipient_count == 1)
		n = 1;
	judging_result(j, INTAKE_IGNORED);
	if (!j->setup->conf->feedback.autoreply_events || n == 0 ||
	    !judging_may_tell(j, t, j->kind, n, &before))
		return;
	ev = judging_event(j, t, EVENT_BOUNCE);
	if (ev == NULL)
		return;
	memset(to, 0, sizeof(*to));
	to->address = target_address(t, n);
	ev->recipients = to;
	ev->recipient_count = 1;
	ev->bounce_type = BOUNCE_TRANSIENT;
	ev->bounce_subtype = BOUNCE_SUB_GENERAL;
	ev->repeated = before > 0;
	ev->simulator = address_is_simulated(j, to->address);
	judging_set_departure(j, t, ev);
}

/* -- complaints ------------------------------------------------------------- */

static struct bytes
complaint_type(const struct report *r)
{
	/* of a list that we do not keep */
	if (bytes_eq(r->feedback_type, BYTES("opt-out")) ||
	    bytes_eq(r->feedback_type, BYTES("opt-out-list")))
		return BYTES("other");
	return r->feedback_type;
}

static struct bytes
complaint_provider(const struct judging *j)
{
	struct bytes   mta = mta_domain(j->r.report.reporting_mta);
	struct address a;

	if (mta.n == 0 && j->r.from.n > 0 && address_split(j->r.from, &a))
		return a.domain;
	return mta;
}

/* Who may have complained (9.3). */
static void
complaint_set_recipients(struct judging *j, const struct target *t,
    struct event *ev)
{
	struct event_recipient *to = arena_alloc(j->arena, sizeof(*to));
	unsigned n = target_find(t, j->r.report.original_rcpt_to);

	if (to == NULL) {
		j->trouble = true;
		return;
	}
	if (n == 0)
		n = t->n;
	if (n == 0) {
		judging_add_candidates(j, t, complaint_provider(j), true, ev);
		return;
	}
	memset(to, 0, sizeof(*to));
	to->address = target_address(t, n);
	ev->recipients = to;
	ev->recipient_count = 1;
}

static void
complaint_alert(const struct judging *j, const struct event *ev)
{
	char id[MSGID_TEXT + 1];

	if (!bytes_eq(ev->feedback_type, BYTES("virus")) &&
	    !bytes_eq(ev->feedback_type, BYTES("auth-failure")))
		return;
	msgid_to_text(&ev->message, j->setup->conf->server.id_prefix, 0, id);
	log_warn("complaint-alert", "mid=%s type=%.*s", id,
	    (int)ev->feedback_type.n, ev->feedback_type.p);
}

void
judging_complaint(struct judging *j, const struct target *t)
{
	const struct report *r = &j->r.report;
	struct event	     ev, *to;
	unsigned	     n = 0, before;

	if (!judging_is_new(j, t)) {
		judging_result(j, INTAKE_DUPLICATE);
		return;
	}
	memset(&ev, 0, sizeof(ev));
	complaint_set_recipients(j, t, &ev);
	if (j->trouble || ev.recipient_count == 0)
		return;
	if (ev.recipient_count == 1)
		n = target_find(t, ev.recipients[0].address);
	if (!judging_may_tell(j, t, j->kind, n, &before)) {
		judging_result(j, INTAKE_DUPLICATE);
		return;
	}
	to = judging_event(j, t, EVENT_COMPLAINT);
	if (to == NULL)
		return;
	to->recipients = ev.recipients;
	to->recipient_count = ev.recipient_count;
	to->repeated = before > 0;
	to->simulator = address_is_simulated(j, ev.recipients[0].address);
	if (j->r.kind == RETURNED_COMPLAINT) {
		to->user_agent = bytes_head(r->user_agent, AGENT_MAX);
		to->feedback_type = complaint_type(r);
		to->arrival = r->arrival;
	}
	judging_set_departure(j, t, to);
	complaint_alert(j, to);
	judging_tell(j, t, to, INTAKE_FROM_COMPLAINTS);
}
