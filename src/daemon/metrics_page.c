/* SPDX-License-Identifier: ISC */
#include "daemon/metrics_page.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "config.h"
#include "daemon/relay.h"
#include "delivery/attempt.h"
#include "registry/source.h"

/* -- the text form --------------------------------------------------------- */

static const char *const kind_names[] = { "counter", "gauge", "histogram" };

void
metrics_family(struct metrics_page *p, const char *name,
    enum metrics_kind kind, const char *help)
{
	static const char total[] = "_total";
	struct bytes	  shown = bytes_of(name);
	const char	 *type = kind_names[kind];

	/* OpenMetrics names a counter without its ending, unless the gauge
	 * before it has that name: then it is of no type */
	if (p->open && kind == METRICS_COUNTER &&
	    bytes_ends_nocase(shown, BYTES(total))) {
		shown = bytes_head(shown, shown.n - (sizeof(total) - 1));
		if (p->name != NULL && bytes_eq_text(shown, p->name)) {
			shown = bytes_of(name);
			type = "unknown";
		}
	}
	p->name = name;
	buf_printf(p->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)shown.n,
	    shown.p, help, (int)shown.n, shown.p, type);
}

static void
metrics_label(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s=\"", name);
	for (; *value != '\0'; value++) {
		if (*value == '\n') {
			buf_add_text(b, "\\n");
			continue;
		}
		if (*value == '"' || *value == '\\')
			buf_add_char(b, '\\');
		buf_add_char(b, *value);
	}
	buf_add_char(b, '"');
}

static void
metrics_number(struct buf *b, double v)
{
	if (v > -1e15 && v < 1e15 && v == (double)(int64_t)v)
		buf_printf(b, "%lld\n", (long long)v);
	else
		buf_printf(b, "%.9g\n", v);
}

void
metrics_value(struct metrics_page *p, const char *const *labels, double v)
{
	size_t i;

	buf_add_text(p->out, p->name);
	for (i = 0; labels != NULL && labels[i] != NULL; i += 2) {
		buf_add_char(p->out, i == 0 ? '{' : ',');
		metrics_label(p->out, labels[i], labels[i + 1]);
	}
	if (labels != NULL && labels[0] != NULL)
		buf_add_char(p->out, '}');
	buf_add_char(p->out, ' ');
	metrics_number(p->out, v);
}

static void
metrics_bucket(struct metrics_page *p, const char *labels, const char *le,
    uint64_t n)
{
	buf_printf(p->out, "%s_bucket{%s%sle=\"%s\"} %llu\n", p->name, labels,
	    labels[0] != '\0' ? "," : "", le, (unsigned long long)n);
}

/* labels: as metrics_value() takes them. */
void
metrics_histogram_of(struct metrics_page *p, const char *const *labels,
    const struct meter_histogram *h)
{
	struct buf text;
	uint64_t   sum = 0;
	unsigned   i;
	char	   le[32];

	buf_init(&text, 4096);
	for (i = 0; labels != NULL && labels[i] != NULL; i += 2) {
		if (i > 0)
			buf_add_char(&text, ',');
		metrics_label(&text, labels[i], labels[i + 1]);
	}
	buf_add_char(&text, '\0');
	must(!text.failed);
	for (i = 0; i < h->bound_count; i++) {
		sum += meter_get(&h->bucket[i]);
		snprintf(le, sizeof(le), "%g", h->bounds[i]);
		metrics_bucket(p, text.p, le, sum);
	}
	sum += meter_get(&h->bucket[h->bound_count]);
	metrics_bucket(p, text.p, "+Inf", sum);
	buf_printf(p->out, text.n > 1 ? "%s_sum{%s} %.6f\n" : "%s_sum%s %.6f\n",
	    p->name, text.p, (double)meter_get(&h->sum_micro) / 1e6);
	buf_printf(p->out, text.n > 1 ? "%s_count{%s} %llu\n" :
	    "%s_count%s %llu\n", p->name, text.p, (unsigned long long)sum);
	buf_wipe(&text);
}

void
metrics_histogram(struct metrics_page *p, const struct meter_histogram *h)
{
	metrics_histogram_of(p, NULL, h);
}

/* A counter with one label; a series begins with its first event. */
static void
metrics_count(struct metrics_page *p, const char *label, const char *value,
    const struct meter *m)
{
	const char *labels[] = { label, value, NULL };

	if (meter_get(m) > 0)
		metrics_value(p, labels, (double)meter_get(m));
}

static void
metrics_gauge(struct metrics_page *p, const char *name, const char *help,
    double v)
{
	metrics_family(p, name, METRICS_GAUGE, help);
	metrics_value(p, NULL, v);
}

/* -- submission ------------------------------------------------------------ */

static void
metrics_listener(struct metrics_page *p, const char *name, const char *result,
    const struct meter *m)
{
	const char *labels[] = { "listener", name, "result", result, NULL };

	if (meter_get(m) > 0)
		metrics_value(p, labels, (double)meter_get(m));
}

static void
metrics_listeners(struct metrics_page *p, struct relay *r)
{
	const struct desk_meters *m = &r->desk_meters;
	const char *gauge[] = { "listener", NULL, NULL };
	size_t	    i;

	metrics_family(p, "posthorn_smtp_connections", METRICS_GAUGE,
	    "SMTP connections open now");
	for (i = 0; i < r->conf->listener_count && i < DESK_LISTENERS_MAX;
	     i++) {
		gauge[1] = r->conf->listeners[i].name;
		if (meter_get(&r->desk_meters.connections_total[i]) > 0)
			metrics_value(p, gauge, (double)meter_get(
			    &r->desk_meters.connections[i]));
	}
	metrics_family(p, "posthorn_smtp_connections_total", METRICS_COUNTER,
	    "SMTP connections accepted");
	for (i = 0; i < r->conf->listener_count && i < DESK_LISTENERS_MAX;
	     i++) {
		metrics_listener(p, r->conf->listeners[i].name, "ok",
		    &m->connections_total[i]);
		metrics_listener(p, r->conf->listeners[i].name,
		    "refused-limit", &m->refused_limit[i]);
		metrics_listener(p, r->conf->listeners[i].name,
		    "refused-filter", &m->refused_filter[i]);
	}
}

static void
metrics_logins(struct metrics_page *p, struct relay *r)
{
	const struct desk_meters *m = &r->desk_meters;
	static const char *const names[DESK_MECHANISMS] = {
		[DESK_PLAIN] = "PLAIN", [DESK_LOGIN] = "LOGIN" };
	const char *labels[] = { "mechanism", NULL, "result", NULL, "reason",
		NULL, NULL };
	unsigned    k, i;

	metrics_family(p, "posthorn_smtp_auth_total", METRICS_COUNTER,
	    "SMTP logins by result");
	for (k = 0; k < DESK_MECHANISMS; k++)
		for (i = 0; i <= LOGIN_STORE_ERROR; i++) {
			labels[1] = names[k];
			labels[3] = i == LOGIN_OK ? "ok" :
			    i == LOGIN_STORE_ERROR ? "tempfail" : "invalid";
			labels[5] = i == LOGIN_OK ? "" :
			    login_result_to_text((enum login_result)i);
			if (meter_get(&m->auth[k][i]) > 0)
				metrics_value(p, labels,
				    (double)meter_get(&m->auth[k][i]));
		}
	metrics_gauge(p, "posthorn_smtp_blocked_addresses",
	    "Addresses blocked for wrong passwords",
	    (double)tally_blocked_count(r->tally, loop_now(r->main)));
	metrics_gauge(p, "posthorn_smtp_counts_full",
	    "No room to count another address or credential",
	    tally_is_full(r->tally) ? 1 : 0);
}

static void
metrics_handshakes(struct metrics_page *p, struct relay *r)
{
	static const char *const versions[DESK_HANDSHAKES] = {
		[DESK_TLS_1_2] = "TLSv1.2", [DESK_TLS_1_3] = "TLSv1.3",
		[DESK_TLS_FAILED] = "" };
	const char *labels[] = { "listener", NULL, "version", NULL, "result",
		NULL, NULL };
	const struct meter *m;
	unsigned	    i, k;

	metrics_family(p, "posthorn_smtp_tls_handshakes_total",
	    METRICS_COUNTER, "TLS handshakes of clients by result");
	for (i = 0; i < r->conf->listener_count && i < DESK_LISTENERS_MAX;
	     i++)
		for (k = 0; k < DESK_HANDSHAKES; k++) {
			m = &r->desk_meters.handshakes[i][k];
			labels[1] = r->conf->listeners[i].name;
			labels[3] = versions[k];
			labels[5] = k == DESK_TLS_FAILED ? "failed" : "ok";
			if (meter_get(m) > 0)
				metrics_value(p, labels,
				    (double)meter_get(m));
		}
}

static void
metrics_reply(struct metrics_page *p, const struct relay *r,
    unsigned command, unsigned code)
{
	char	    text[8];
	const char *labels[] = { "command", desk_command_to_text(command),
		"code", text, NULL };
	uint64_t    n = 0;
	unsigned    i;

	for (i = 0; i < r->desk_count; i++)
		n += desk_replies(r->desks[i].desk, command, code);
	if (n == 0)
		return;
	snprintf(text, sizeof(text), "%u", code);
	metrics_value(p, labels, (double)n);
}

static void
metrics_replies(struct metrics_page *p, const struct relay *r)
{
	unsigned command, code;

	metrics_family(p, "posthorn_smtp_replies_total", METRICS_COUNTER,
	    "Replies to clients by command and code");
	for (command = 0; desk_command_to_text(command) != NULL; command++)
		for (code = DESK_CODE_MIN; code < DESK_CODE_END; code++)
			metrics_reply(p, r, command, code);
}

static void
metrics_submission(struct metrics_page *p, struct relay *r)
{
	metrics_listeners(p, r);
	metrics_handshakes(p, r);
	metrics_logins(p, r);
	metrics_replies(p, r);
	metrics_ledger(p, r);
}

static void
metrics_signature(struct metrics_page *p, const char *algorithm,
    const char *result, const struct meter *m)
{
	const char *labels[] = { "algorithm", algorithm, "result", result,
		NULL };

	if (meter_get(m) > 0)
		metrics_value(p, labels, (double)meter_get(m));
}

static void
metrics_signatures(struct metrics_page *p, const struct desk_meters *m)
{
	static const char *const names[] = { "unsigned-disabled",
		"unsigned-no-identity", "unsigned-not-verified",
		"unsigned-client-same-selector" };
	const struct meter *const meters[] = { &m->dkim_disabled,
		&m->dkim_no_identity, &m->dkim_not_verified, &m->dkim_client };
	const char *algorithm;
	size_t	    i;

	metrics_family(p, "posthorn_dkim_signatures_total", METRICS_COUNTER,
	    "DKIM signatures by result");
	for (i = 0; i < SIGN_ALGORITHMS; i++) {
		algorithm = sign_algorithm_to_text((enum sign_algorithm)i);
		metrics_signature(p, algorithm, "ok", &m->dkim_ok[i]);
		metrics_signature(p, algorithm, "error", &m->dkim_error[i]);
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		metrics_signature(p, "", names[i], meters[i]);
	metrics_family(p, "posthorn_dkim_sign_seconds", METRICS_HISTOGRAM,
	    "Time to a DKIM signature");
	metrics_histogram(p, &m->sign_seconds);
}

static void
metrics_operator(struct metrics_page *p, const struct operator_meters *m)
{
	size_t i;

	metrics_family(p, "posthorn_dkim_operator_checks_total",
	    METRICS_COUNTER, "Checks of the operator's DKIM record");
	for (i = 0; i < sizeof(m->outcomes) / sizeof(m->outcomes[0]); i++)
		metrics_count(p, "outcome",
		    dkim_outcome_to_text((enum dkim_outcome)i),
		    &m->outcomes[i]);
}

/* -- queue and delivery ---------------------------------------------------- */

static bool
metrics_on_oldest(void *arg, const struct recipient_row *row)
{
	*(struct wall *)arg = msgid_time(&row->id);
	return false;
}

static void
metrics_queue(struct metrics_page *p, struct relay *r)
{
	struct spool_figures f;
	struct wall	     oldest = { 0 };
	struct err	     e;
	uint64_t	     active = meter_get(&r->carrier_meters.in_flight);
	uint64_t	     waiting;
	const char	    *labels[] = { "state", "ready", NULL };

	if (spool_figures(r->spool, &f, &e) != 0)
		return;
	waiting = f.held + f.deferred + active;
	metrics_family(p, "posthorn_queue_recipients", METRICS_GAUGE,
	    "Recipients in the queue by state");
	metrics_value(p, labels, f.recipients > waiting ?
		(double)(f.recipients - waiting) : 0);
	labels[1] = "active";
	metrics_value(p, labels, (double)active);
	labels[1] = "deferred";
	metrics_value(p, labels, (double)f.deferred);
	labels[1] = "held";
	metrics_value(p, labels, (double)f.held);
	/* nothing is sent at a chosen time in this version */
	labels[1] = "scheduled";
	metrics_value(p, labels, 0);
	metrics_gauge(p, "posthorn_queue_messages", "Messages in the queue",
	    (double)f.messages);
	metrics_gauge(p, "posthorn_queue_bytes",
	    "Octets of messages in the queue", (double)f.bytes);
	spool_scan_recipients(r->spool, NULL, 0, 1, metrics_on_oldest,
	    &oldest, &e);
	metrics_gauge(p, "posthorn_queue_oldest_seconds",
	    "Age of the oldest message in the queue", oldest.ms == 0 ? 0 :
	    (double)(loop_wall(r->main).ms - oldest.ms) / 1000.0);
}

static void
metrics_outbound_tls(struct metrics_page *p, const struct carrier_meters *m)
{
	static const char *const policies[CARRIER_TLS_DEMANDS] = {
		[TLS_NEVER] = "NONE", [TLS_TRY] = "OPTIONAL",
		[TLS_REQUIRE] = "REQUIRE", [TLS_VERIFY] = "VERIFY" };
	static const char *const versions[CARRIER_TLS_VERSIONS] = { "none",
		"TLSv1.2", "TLSv1.3" };
	const char *labels[] = { "version", NULL, "verified", NULL, "policy",
		NULL, NULL };
	uint64_t    n;
	unsigned    i;

	metrics_family(p, "posthorn_outbound_tls_total", METRICS_COUNTER,
	    "Connections to receivers by their protection");
	for (i = 0; i < CARRIER_TLS_DEMANDS * CARRIER_TLS_VERSIONS * 2; i++) {
		n = meter_get(&m->tls[i / (CARRIER_TLS_VERSIONS * 2)]
		    [i / 2 % CARRIER_TLS_VERSIONS][i % 2]);
		labels[1] = versions[i / 2 % CARRIER_TLS_VERSIONS];
		labels[3] = i % 2 == 1 ? "pkix" : "none";
		labels[5] = policies[i / (CARRIER_TLS_VERSIONS * 2)];
		if (n > 0)
			metrics_value(p, labels, (double)n);
	}
}

static void
metrics_ips(struct metrics_page *p, const struct carrier_meters *m)
{
	const char *labels[] = { "ip", NULL, "pool", NULL, NULL };
	unsigned    n = atomic_load_explicit(
	    &((struct carrier_meters *)(uintptr_t)m)->ip_count,
	    memory_order_acquire);
	unsigned    i;

	metrics_family(p, "posthorn_ip_sent_total", METRICS_COUNTER,
	    "Recipients delivered to, by source address");
	for (i = 0; i < n; i++) {
		labels[1] = m->ips[i].ip;
		labels[3] = m->ips[i].pool;
		metrics_value(p, labels, (double)meter_get(&m->ips[i].sent));
	}
}

static bool
metrics_on_source(void *page, const struct source *s)
{
	const char *labels[] = { "ip", s->address, NULL };

	metrics_value(page, labels, 100); /* warm from the start */
	return true;
}

static void
metrics_warmup(struct metrics_page *p, struct relay *r)
{
	struct db_txn *t;
	struct err     e;

	metrics_family(p, "posthorn_ip_warmup_percent", METRICS_GAUGE,
	    "How far the warm-up of a source address is");
	t = book_read(r->book, &e);
	if (t != NULL)
		(void)source_each(t, metrics_on_source, p, &e);
	book_end(t);
}

/* What came back, by what it was and what became of it. */
static void
metrics_inbox(struct metrics_page *p, const struct inbox_meters *m)
{
	const char *labels[] = { "kind", NULL, "result", NULL, NULL };
	unsigned    k, r;

	metrics_family(p, "posthorn_intake_messages_total", METRICS_COUNTER,
	    "Messages taken by the intake and read");
	for (k = 0; k < INTAKE_KINDS; k++)
		for (r = 0; r < INTAKE_RESULTS; r++) {
			labels[1] = intake_kind_to_text((enum intake_kind)k);
			labels[3] = intake_result_to_text(
			    (enum intake_result)r);
			metrics_value(p, labels,
			    (double)meter_get(&m->judged[k][r]));
		}
}

static void
metrics_delivery(struct metrics_page *p, struct relay *r)
{
	const struct carrier_meters *m = &r->carrier_meters;
	unsigned		     i;

	metrics_family(p, "posthorn_delivery_attempts_total", METRICS_COUNTER,
	    "Delivery attempts by result");
	metrics_count(p, "result", "delivered", &m->delivered);
	metrics_count(p, "result", "deferred", &m->deferred);
	metrics_count(p, "result", "failed", &m->failed);
	metrics_family(p, "posthorn_delivery_seconds", METRICS_HISTOGRAM,
	    "Time from acceptance to delivery");
	metrics_histogram(p, &m->delivery_seconds);
	metrics_gauge(p, "posthorn_outbound_connections",
	    "Connections to receivers open now",
	    (double)meter_get(&m->connections));
	metrics_family(p, "posthorn_outbound_connections_total",
	    METRICS_COUNTER, "Connections to receivers by result");
	metrics_count(p, "result", "ok", &m->connections_ok);
	metrics_count(p, "result", "failed", &m->connections_failed);
	metrics_family(p, "posthorn_outbound_gave_way_total", METRICS_COUNTER,
	    "Connections without an answer that gave way to other sites");
	metrics_count(p, NULL, NULL, &m->connections_gave_way);
	metrics_outbound_tls(p, m);
	metrics_ips(p, m);
	metrics_warmup(p, r);
	metrics_family(p, "posthorn_classification_total", METRICS_COUNTER,
	    "Refusals by the rule that recognised them");
	for (i = 0; i < CLASSIFY_RULES; i++)
		metrics_count(p, "rule", classify_rule_id(i), &m->rules[i]);
}

/* Runs on the delivery loop: its resolver's figures for others to read. */
static void
metrics_take_dns(void *relay, void *unused)
{
	struct relay		*r = relay;
	struct resolver_figures f;
	unsigned		i, j;

	(void)unused;
	resolver_figures(r->resolver, &f);
	for (i = 0; i < RELAY_DNS_TYPES; i++)
		for (j = 0; j < RELAY_DNS_RESULTS; j++)
			meter_set(&r->dns_asked[i][j], f.asked[i][j]);
}

/* The figures as of the last page: the loop that owns them is not awaited. */
static void
metrics_dns(struct metrics_page *p, struct relay *r)
{
	static const char *const types[RELAY_DNS_TYPES] = { "MX", "A", "AAAA",
		"TXT", "PTR", "CNAME", "NS" };
	const char *labels[] = { "type", NULL, "result", NULL, NULL };
	unsigned    i, j;

	metrics_family(p, "posthorn_dns_queries_total", METRICS_COUNTER,
	    "DNS questions of deliveries by result");
	for (i = 0; i < RELAY_DNS_TYPES; i++)
		for (j = 0; j < RELAY_DNS_RESULTS; j++) {
			if (meter_get(&r->dns_asked[i][j]) == 0)
				continue;
			labels[1] = types[i];
			labels[3] = dns_status_to_text((enum dns_status)j);
			metrics_value(p, labels,
			    (double)meter_get(&r->dns_asked[i][j]));
		}
	(void)loop_post(r->delivery, metrics_take_dns, r, NULL);
}

/* -- stores ---------------------------------------------------------------- */

static void
metrics_stores(struct metrics_page *p, struct relay *r)
{
	const struct spool_meters *m = spool_meters(r->spool);
	const char	    *labels[] = { "store", "state", NULL };
	struct spool_figures spool;
	struct db_figures    book;
	struct err	     e;

	if (spool_figures(r->spool, &spool, &e) != 0 ||
	    book_figures(r->book, &book, &e) != 0)
		return;
	metrics_family(p, "posthorn_store_used_bytes", METRICS_GAUGE,
	    "Octets of a store in use");
	metrics_value(p, labels, (double)book.used_bytes);
	labels[1] = "spool";
	metrics_value(p, labels, (double)spool.used_bytes);
	metrics_family(p, "posthorn_store_map_bytes", METRICS_GAUGE,
	    "Octets a store may have");
	metrics_value(p, labels, (double)spool.map_bytes);
	labels[1] = "state";
	metrics_value(p, labels, (double)book.map_bytes);
	metrics_family(p, "posthorn_store_commit_seconds", METRICS_HISTOGRAM,
	    "Time of a commit of the spool");
	metrics_histogram(p, &m->commit_seconds);
	metrics_family(p, "posthorn_store_commit_items", METRICS_HISTOGRAM,
	    "Entries of the spool committed together");
	metrics_histogram(p, &m->commit_items);
}

void
metrics_page_write(struct relay *r, bool open, struct buf *out)
{
	struct metrics_page p = { out, open, NULL };
	const char *version[] = { "version", PACKAGE_VERSION, NULL };

	metrics_family(&p, "posthorn_build_info", METRICS_GAUGE,
	    "Version of posthorn");
	metrics_value(&p, version, 1);
	metrics_gauge(&p, "posthorn_start_time_seconds",
	    "Start of the relay process", (double)r->started.ms / 1000.0);
	metrics_family(&p, "posthorn_log_dropped_total", METRICS_COUNTER,
	    "Log lines of the relay process that could not be written");
	metrics_value(&p, NULL, (double)log_dropped_count());
	metrics_submission(&p, r);
	metrics_queue(&p, r);
	metrics_delivery(&p, r);
	metrics_dns(&p, r);
	metrics_signatures(&p, &r->desk_meters);
	metrics_operator(&p, &r->operator_meters);
	metrics_outbox(&p, r);
	metrics_inbox(&p, &r->inbox_meters);
	metrics_listings(&p, r);
	metrics_accounts(&p, r);
	metrics_stores(&p, r);
	if (open)
		buf_add_text(out, "# EOF\n");
}
