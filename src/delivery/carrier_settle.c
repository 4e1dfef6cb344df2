/* SPDX-License-Identifier: ISC */
/* From results to changes and their log lines. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "delivery/carrier_private.h"

/* -- outcomes -------------------------------------------------------------- */

const char *
carrier_ehlo(const struct carrier *c, const struct egress *eg)
{
	return eg != NULL && eg->ehlo[0] != '\0' ? eg->ehlo
						 : c->conf->server.name;
}

void
carrier_context(struct carrier *c, const struct egress *eg,
    const char *account, struct outcome_context *out)
{
	uint16_t random;

	mem_random(&random, sizeof(random));
	out->conf = c->conf;
	out->classify = c->set.classify;
	out->now = loop_wall(c->loop);
	out->jitter = (double)random / 32767.5 - 1.0;
	out->usable_sources = site_count_sources(c,
	    eg != NULL ? eg->site : NULL, account,
	    eg != NULL ? eg->pool : NULL);
	out->ehlo = carrier_ehlo(c, eg);
	out->retry_ms = 0;
}

void
carrier_count(struct carrier *c, enum outcome_verdict v)
{
	int64_t	 slot = loop_now(c->loop).ms / 10000;
	unsigned i = (unsigned)(slot % 30);

	if (c->recent[i].slot != slot) {
		memset(&c->recent[i], 0, sizeof(c->recent[i]));
		c->recent[i].slot = slot;
	}
	c->recent[i].n[v]++;
}

static bool
carrier_ip_is(const struct carrier_ip *x, const struct egress *eg,
    const char *ip)
{
	return strcmp(x->pool, eg->pool) == 0 && strcmp(x->ip, ip) == 0;
}

/* Usually the address of the last time; this loop alone adds entries. */
static struct carrier_ip *
carrier_find_ip(struct carrier_meters *m, struct egress *eg, const char *ip)
{
	unsigned n = atomic_load_explicit(&m->ip_count, memory_order_relaxed);
	unsigned i = eg->ip;

	if (i >= n || !carrier_ip_is(&m->ips[i], eg, ip))
		for (i = 0; i < n && !carrier_ip_is(&m->ips[i], eg, ip); i++)
			;
	if (i == CARRIER_IPS_MAX)
		i--;
	if (i == n) {
		snprintf(m->ips[i].ip, sizeof(m->ips[i].ip), "%s",
		    i == CARRIER_IPS_MAX - 1 ? "_other_" : ip);
		snprintf(m->ips[i].pool, sizeof(m->ips[i].pool), "%s",
		    eg->pool);
		atomic_store_explicit(&m->ip_count, n + 1,
		    memory_order_release);
	}
	eg->ip = i;
	return &m->ips[i];
}

/* What was said from an address, for comparison with what others saw. */
static void
carrier_count_commands(struct carrier_meters *m, struct egress *eg,
    const struct attempt *a)
{
	const char	  *ip = a->envelopes[0].result.local_ip;
	struct carrier_ip *x;

	if (a->rcpts == 0 || ip[0] == '\0')
		return;
	x = carrier_find_ip(m, eg, ip);
	meter_add(&x->rcpts, a->rcpts);
	meter_add(&x->datas, a->datas);
}

void
carrier_meter(struct carrier *c, struct egress *eg, const struct attempt *a,
    const struct outcome *o, const struct result *r)
{
	struct carrier_meters *m = c->set.meters;

	carrier_count(c, o->verdict);
	if (o->rule[0] != '\0')
		meter_add(&m->rules[classify_rule_find(o->rule)], 1);
	switch (o->verdict) {
	case OUTCOME_DELIVERED:
		meter_add(&m->delivered, 1);
		meter_observe(&m->delivery_seconds,
		    (double)(loop_wall(c->loop).ms - a->accepted.ms) / 1000);
		if (eg != NULL)
			meter_add(&carrier_find_ip(m, eg,
			    r->local_ip)->sent, 1);
		break;
	case OUTCOME_LATER:
		meter_add(&m->deferred, 1);
		break;
	case OUTCOME_FAILED:
		meter_add(&m->failed, 1);
		break;
	}
}

/* The whole story of one try in one line. */
void
carrier_log(struct carrier *c, const struct egress *eg,
    const struct attempt *a, const struct attempt_envelope *en,
    const struct outcome *o)
{
	static const char *const verdicts[] = { "delivered", "deferred",
		"bounced" };
	const struct result *r = &en->result;
	char		     mid[MSGID_TEXT + 1], to[LOG_QUOTE_SIZE];
	char		     reply[LOG_QUOTE_SIZE], next[CLOCK_TEXT_MAX];
	struct bytes	     said;

	said = bytes_of(r->kind == RESULT_REPLY || o->diagnostic[0] == '\0'
		? r->text : o->diagnostic);
	msgid_to_text(&a->id, c->conf->server.id_prefix, 0, mid);
	log_info("settled",
	    "mid=%s rcpt=%u to=%s relay=%s[%s] egress=%s tls=%s result=%s "
	    "kind=%s stage=%s code=%u enhanced=%s rule=%s try=%u next=%s "
	    "queue=%lld dns=%lld connect=%lld talk=%lld reply=%s",
	    mid, en->n, log_quote(en->address, to),
	    r->remote_host[0] != '\0' ? r->remote_host : "-",
	    r->remote_ip[0] != '\0' ? r->remote_ip : "-",
	    eg != NULL && eg->source_text[0] != '\0' ? eg->source_text : "-",
	    r->tls_version[0] != '\0' ? r->tls_version : "-",
	    verdicts[o->verdict], result_kind_to_text(r->kind),
	    classify_stage_to_text(r->stage), r->code,
	    o->status[0] != '\0' ? o->status : "-",
	    o->rule[0] != '\0' ? o->rule : "-", o->attempts,
	    o->verdict == OUTCOME_LATER ? wall_iso_seconds(o->next, next)
					: "-",
	    (long long)(loop_wall(c->loop).ms - a->queued.ms),
	    (long long)r->dns_ms, (long long)r->connect_ms,
	    (long long)r->talk_ms, log_quote(said, reply));
}

/*
 * What the operator has to look at: a receiver blocks our address, or will
 * have nothing of the sender (bounces-and-feedback.md 3.2, 3.5).
 */
static void
carrier_warn(const struct carrier *c, const struct egress *eg,
    const struct attempt *a, const struct result *r, const struct outcome *o)
{
	char mid[MSGID_TEXT + 1], reply[LOG_QUOTE_SIZE], from[LOG_QUOTE_SIZE];
	char list[LOG_QUOTE_SIZE], url[LOG_QUOTE_SIZE];

	if (r->kind != RESULT_REPLY || o->verdict == OUTCOME_DELIVERED)
		return;
	msgid_to_text(&a->id, c->conf->server.id_prefix, 0, mid);
	log_quote(bytes_of(r->text), reply);
	if (o->ip_block)
		log_warn("ip-block",
		    "mid=%s source=%s group=%s rule=%s list=%s url=%s "
		    "reply=%s", mid, r->local_ip,
		    eg != NULL ? eg->site->group_name : "-", o->rule,
		    o->list[0] != '\0' ? log_quote(bytes_of(o->list), list)
					: "-",
		    o->url[0] != '\0' ? log_quote(bytes_of(o->url), url)
				      : "-", reply);
	else if (strcmp(o->rule, "S1") == 0)
		log_warn("sender-refused", "mid=%s from=%s relay=%s[%s] "
		    "reply=%s", mid, log_quote(a->sender, from),
		    r->remote_host, r->remote_ip, reply);
}

void
carrier_settle(struct carrier *c, struct egress *eg, struct attempt *a,
    struct due *dues)
{
	struct outcome_context ctx;
	struct change_item    *item;
	struct outcome	       o;
	struct arena	      *arena;
	struct due	      *next;
	unsigned	       i;

	if (eg != NULL && a->count > 0)
		carrier_count_commands(c->set.meters, eg, a);
	for (i = 0; i < a->count; i++, dues = next) {
		must(dues != NULL && dues->n == a->envelopes[i].n);
		next = dues->next;
		dues->next = NULL;
		carrier_context(c, eg, a->message.account, &ctx);
		outcome_decide(&ctx, a, &a->envelopes[i], &o);
		item = carrier_item(c, dues, o.verdict == OUTCOME_LATER,
		    o.next, &arena);
		must(outcome_fill(&ctx, a, &a->envelopes[i], &o, arena, item));
		carrier_log(c, eg, a, &a->envelopes[i], &o);
		carrier_warn(c, eg, a, &a->envelopes[i].result, &o);
		carrier_meter(c, eg, a, &o, &a->envelopes[i].result);
		if (eg != NULL)
			egress_learn(eg, &o, &a->envelopes[i].result);
	}
	attempt_free(a);
}

void
carrier_fail(struct carrier *c, struct due *d, enum result_kind k)
{
	struct attempt *a;
	unsigned	i;

	d->next = NULL;
	a = carrier_make_attempt(c, &d);
	if (a == NULL)
		return;
	for (i = 0; i < a->count; i++) {
		a->envelopes[i].result.kind = k;
		a->envelopes[i].result.dns_ms = d->route->dns_ms;
	}
	carrier_settle(c, NULL, a, d);
}
