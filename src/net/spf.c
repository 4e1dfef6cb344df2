/* SPDX-License-Identifier: ISC */
/*
 * One check: spf_step() evaluates with the answers that are known; what is
 * missing is asked (check_on_answer() steps again), else the result is told.
 * libspf2 goes through the terms and sees our answers through one layer:
 * layer_get_spf() and layer_lookup().
 *
 * It does not read the records, for it takes much that RFC 7208 forbids, and
 * of what it compiles it keeps 511 octets without a word about the rest.
 * net/spf_term.h reads them; what is left is compiled term by term: ip4 and
 * ip6 are decided, macros expanded, redirect= is last, what has no effect is
 * gone.  Nor does it count: net/spf_look.h does.
 */
#include "net/spf.h"

#include "net/spf_look.h"
#include "net/spf_macro.h"
#include "net/spf_term.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <spf2/spf.h>
#include <spf2/spf_dns.h>
#include <spf2/spf_server.h>

enum {
	TEXT_OCTETS_MAX = 4096, /* of a record, or it is an error */
	OPEN_MAX = 16
};

/* A name whose addresses are all the world: "a/0", "mx/0". */
struct open_name {
	enum resolver_type type; /* MX: the hosts of it */
	char		   name[SPF_DOMAIN_SIZE];
};

struct spf_check {
	struct loop	   *loop;
	struct resolver	   *resolver;
	struct spf_question q;
	spf_done	   *on_done;
	void		   *arg;
	struct spf_answer   answer;
	struct spf_look	    look;
	uint64_t	    ticket; /* 0 = nothing is asked */
	struct timer	    begin;

	/* the evaluation at hand */
	SPF_dns_server_t    layer;
	const char	   *domain; /* that is checked */
	struct open_name    open[OPEN_MAX];
	unsigned	    open_count;
};

/* -- a record for libspf2 -------------------------------------------------- */

/* What is made of the record of a domain. */
struct making {
	struct spf_check *check;
	SPF_server_t	 *server;
	SPF_response_t	 *response;
	SPF_record_t	 *record;
	const char	 *domain;
	unsigned	  lookups; /* terms that ask DNS */
	bool		  is_over; /* what follows is never reached */
};

/* Compiles one term, and puts it behind the others. */
static bool
making_add(struct making *m, const char *term)
{
	SPF_record_t *one = NULL, *all = m->record;
	SPF_mech_t   *room;
	SPF_errcode_t e;

	e = SPF_record_compile(m->server, m->response, &one, term);
	/* of the library's own heap: it will free it */
	room = e != SPF_E_SUCCESS || one->num_mech != 1 ? NULL :
	    realloc(all->mech_first, all->mech_len + one->mech_len);
	if (room != NULL) {
		memcpy((char *)room + all->mech_len, one->mech_first,
		    one->mech_len);
		all->mech_first = room;
		all->mech_len += one->mech_len;
		all->mech_size = all->mech_len;
		all->num_mech++;
	} else {
		spf_look_fail(&m->check->look, "libspf2 cannot take \"%.200s\"",
		    term);
	}
	if (one != NULL)
		SPF_record_free(one);
	return room != NULL;
}

static bool
making_end(struct making *m, char qualifier)
{
	char term[16];

	m->is_over = true;
	snprintf(term, sizeof(term), "v=spf1 %call", qualifier);
	return making_add(m, term);
}

/* To libspf2 a name is a macro-string, too. */
static void
name_escape(const char *name, char out[2 * SPF_DOMAIN_SIZE])
{
	for (; *name != '\0'; name++) {
		if (*name == '%' || *name == ' ')
			*out++ = '%';
		*out++ = (char)(*name == ' ' ? '_' : *name);
	}
	*out = '\0';
}

/* The name that a term looks up; false: the evaluation ends. */
static bool
making_name(struct making *m, const struct spf_term *t,
    char out[SPF_DOMAIN_SIZE])
{
	struct spf_check       *c = m->check;
	struct spf_macro_values v = { c->q.ip,
		c->q.domain[0] != '\0' && c->q.local[0] != '\0' ? c->q.local :
		    "postmaster", c->domain, c->q.helo, m->domain, NULL };

	if (spf_macro_asks_client(t->domain)) {
		v.client = spf_look_client(&c->look, m->domain);
		if (v.client == NULL)
			return false;
	}
	if (t->domain.n > 0)
		spf_macro_expand(t->domain, &v, out);
	else
		snprintf(out, SPF_DOMAIN_SIZE, "%s", m->domain);
	return true;
}

/* libspf2 knows no prefix length of zero. */
static void
check_open(struct spf_check *c, const struct spf_term *t, const char *name)
{
	struct open_name *o = &c->open[c->open_count];

	if (c->open_count == OPEN_MAX) {
		spf_look_fail(&c->look, "more than %d prefix lengths of zero",
		    OPEN_MAX);
		return;
	}
	o->type = t->kind == SPF_TERM_MX ? RESOLVER_MX : c->look.ip.family ==
	    AF_INET ? RESOLVER_A : RESOLVER_AAAA;
	snprintf(o->name, sizeof(o->name), "%s", name);
	c->open_count++;
}

static bool
making_add_lookup(struct making *m, const struct spf_term *t)
{
	static const char *const names[] = { [SPF_TERM_INCLUDE] = "include:",
		[SPF_TERM_A] = "a:", [SPF_TERM_MX] = "mx:",
		[SPF_TERM_PTR] = "ptr:", [SPF_TERM_EXISTS] = "exists:",
		[SPF_TERM_REDIRECT] = "redirect=" };
	char name[SPF_DOMAIN_SIZE], escaped[2 * SPF_DOMAIN_SIZE];
	char term[sizeof(escaped) + 60], prefix[32] = "";
	unsigned bits4 = t->bits4, bits6 = t->bits6;

	/* the one after the last is refused, whatever it is */
	m->is_over = m->lookups++ == SPF_LOOKUPS_MAX;
	if (!making_name(m, t, name))
		return false;
	if (t->kind == SPF_TERM_A || t->kind == SPF_TERM_MX) {
		if ((m->check->look.ip.family == AF_INET ? bits4 : bits6) ==
		    0)
			check_open(m->check, t, name);
		/* always there: a name may end like one */
		snprintf(prefix, sizeof(prefix), "/%u//%u",
		    bits4 > 0 ? bits4 : 32, bits6 > 0 ? bits6 : 128);
	}
	name_escape(name, escaped);
	snprintf(term, sizeof(term), "v=spf1 %.*s%s%s%s",
	    t->kind != SPF_TERM_REDIRECT, &t->qualifier, names[t->kind],
	    escaped, prefix);
	return making_add(m, term);
}

static bool
making_add_term(struct making *m, const struct spf_term *t)
{
	const struct dns_address *ip = &m->check->look.ip;

	switch (t->kind) {
	case SPF_TERM_ALL:
		return making_end(m, t->qualifier);
	case SPF_TERM_IP4:
	case SPF_TERM_IP6:
		return !spf_term_has(t, ip->family,
			   (const unsigned char *)&ip->ip) ||
		    making_end(m, t->qualifier);
	case SPF_TERM_REDIRECT:
	case SPF_TERM_EXP:
	case SPF_TERM_OTHER:
		return true; /* redirect= comes last */
	default:
		return making_add_lookup(m, t);
	}
}

/* Nothing is evaluated of a record that is wrong anywhere (4.6). */
static bool
record_is_right(struct spf_check *c, struct bytes text, const char *domain,
    struct spf_term *redirect)
{
	struct spf_reader r;
	struct spf_term	  t;
	bool is_own = strcasecmp(domain, c->domain) == 0;

	redirect->kind = SPF_TERM_OTHER;
	spf_reader_init(&r, text);
	while (spf_reader_next(&r, &t))
		if (t.kind == SPF_TERM_REDIRECT)
			*redirect = t;
	if (r.wrong == NULL)
		return true;
	spf_look_fail(&c->look, "\"%.*s\"%s%.*s: %s", r.where.n > 60 ? 60 :
		(int)r.where.n, r.where.p, is_own ? "" : " of ",
	    is_own ? 0 : 120, domain, r.wrong);
	return false;
}

static bool
making_run(struct making *m, struct bytes text)
{
	struct spf_reader r;
	struct spf_term	  t, redirect;

	if (!record_is_right(m->check, text, m->domain, &redirect))
		return false;
	spf_reader_init(&r, text);
	while (!m->is_over && spf_reader_next(&r, &t))
		if (!making_add_term(m, &t))
			return false;
	return m->is_over || redirect.kind != SPF_TERM_REDIRECT ||
	    making_add_lookup(m, &redirect);
}

/* -- the layer that libspf2 asks ------------------------------------------- */

/* A copy that libspf2 frees; what it cannot take is left out. */
static void
record_add(SPF_dns_rr_t *rr, const void *p, size_t n)
{
	int   i = rr->num_rr;
	char *to;

	if (SPF_dns_rr_buf_realloc(rr, i, n + 1) != SPF_E_SUCCESS)
		return;
	to = (char *)rr->rr[i];
	memcpy(to, p, n);
	to[n] = '\0';
	rr->num_rr = i + 1;
}

/* Hosts beyond the limit are those of PTR, and ignored (4.6.4). */
static void
record_add_all(SPF_dns_rr_t *rr, const struct dns_answer *a)
{
	const char *host;
	size_t	    i;

	if (a->type == RESOLVER_A || a->type == RESOLVER_AAAA) {
		for (i = 0; i < a->count; i++)
			record_add(rr, &a->addresses[i].ip,
			    a->type == RESOLVER_A ? 4 : 16);
		return;
	}
	for (i = 0; i < dns_answer_hosts(a); i++) {
		host = dns_answer_host(a, i);
		if (host[0] != '\0') /* null MX */
			record_add(rr, host, strlen(host));
	}
}

/* Does every address of it match, by a prefix length of zero? */
static bool
check_is_open(const struct spf_check *c, const struct dns_answer *a)
{
	const char *name = c->look.at_host ? c->look.hosts->name : a->name;
	enum resolver_type type = c->look.at_host ? c->look.hosts->type :
	    a->type;
	unsigned i;

	for (i = 0; i < c->open_count; i++)
		if (c->open[i].type == type &&
		    strcasecmp(c->open[i].name, name) == 0)
			return a->count > 0;
	return false;
}

/* Of an address's names, DNS's trouble is passed over (5.5). */
static int
status_of(const struct spf_check *c, const struct dns_answer *a)
{
	bool is_name = a->type == RESOLVER_PTR ||
	    (c->look.at_host && c->look.hosts->type == RESOLVER_PTR);

	if (a->status == DNS_FOUND)
		return NETDB_SUCCESS;
	if (a->status == DNS_NXDOMAIN)
		return HOST_NOT_FOUND;
	return a->status == DNS_NO_DATA || is_name ? NO_DATA : TRY_AGAIN;
}

static bool
type_of(ns_type t, enum resolver_type *out)
{
	switch (t) {
	case ns_t_a:
		*out = RESOLVER_A;
		return true;
	case ns_t_aaaa:
		*out = RESOLVER_AAAA;
		return true;
	case ns_t_mx:
		*out = RESOLVER_MX;
		return true;
	case ns_t_ptr:
		*out = RESOLVER_PTR;
		return true;
	default:
		return false;
	}
}

/* The text of "exp=" is of no use here. */
static SPF_errcode_t
layer_get_exp(SPF_server_t *server, const char *domain, char **text,
    size_t *size)
{
	(void)server;
	(void)domain;
	(void)text;
	(void)size;
	return SPF_E_NOT_SPF;
}

/* The record of a domain, of TXT alone (3.1). */
static SPF_errcode_t
layer_get_spf(SPF_server_t *server, SPF_request_t *rq, SPF_response_t *re,
    SPF_record_t **out)
{
	struct spf_check *c = server->resolver->hook;
	struct making	  m = { c, server, re, NULL, rq->cur_dom, 0, false };
	bool		  is_own = !c->look.own_seen;
	const struct dns_answer *a;
	struct bytes	  text;
	size_t		  n;

	*out = NULL;
	a = spf_look_up(&c->look, RESOLVER_TXT, m.domain);
	if (a == NULL || dns_answer_is_trouble(a))
		return SPF_E_DNS_ERROR;
	n = spf_find(a->texts, a->count, &text);
	if (n == 0 && is_own) {
		re->result = SPF_RESULT_NONE;
		return SPF_E_NOT_SPF;
	}
	if (n == 0)
		spf_look_fail(&c->look, "%.200s has no SPF record", m.domain);
	else if (n > 1)
		spf_look_fail(&c->look, "%.200s has %zu SPF records",
		    m.domain, n);
	else if (text.n > TEXT_OCTETS_MAX)
		spf_look_fail(&c->look, "the record of %.150s is longer than "
		    "%d octets", m.domain, TEXT_OCTETS_MAX);
	else if ((m.record = SPF_record_new(server, "")) == NULL)
		return SPF_E_NO_MEMORY;
	else if (making_run(&m, text)) {
		*out = m.record;
		return SPF_E_SUCCESS;
	}
	if (m.record != NULL)
		SPF_record_free(m.record);
	return SPF_E_DNS_ERROR; /* failed, or waits */
}

static SPF_dns_rr_t *
layer_lookup(SPF_dns_server_t *layer, const char *domain, ns_type t,
    int should_cache)
{
	struct spf_check	*c = layer->hook;
	const struct dns_answer *a;
	enum resolver_type	 type;
	SPF_dns_rr_t		*rr;

	(void)should_cache;
	if (!type_of(t, &type) || strlen(domain) >= SPF_NAME_SIZE)
		return SPF_dns_rr_new_init(layer, domain, t, 0, NO_DATA);
	a = spf_look_up(&c->look, type, domain);
	if (a == NULL)
		return SPF_dns_rr_new_init(layer, domain, t, 0, TRY_AGAIN);
	rr = SPF_dns_rr_new_init(layer, domain, t, (int)a->ttl,
	    status_of(c, a));
	if (rr != NULL)
		record_add_all(rr, a);
	if (rr != NULL && check_is_open(c, a))
		record_add(rr, &c->look.ip.ip,
		    type == RESOLVER_A ? 4 : 16);
	return rr;
}

/* -- one evaluation -------------------------------------------------------- */

static enum spf_result
result_of(SPF_result_t r)
{
	switch (r) {
	case SPF_RESULT_PASS:
		return SPF_OUTCOME_PASS;
	case SPF_RESULT_FAIL:
		return SPF_OUTCOME_FAIL;
	case SPF_RESULT_SOFTFAIL:
		return SPF_OUTCOME_SOFTFAIL;
	case SPF_RESULT_NEUTRAL:
		return SPF_OUTCOME_NEUTRAL;
	case SPF_RESULT_NONE:
		return SPF_OUTCOME_NONE;
	case SPF_RESULT_TEMPERROR:
		return SPF_OUTCOME_TEMPERROR;
	default:
		return SPF_OUTCOME_PERMERROR;
	}
}

/* Without a result. */
static enum spf_result
result_of_error(SPF_errcode_t e)
{
	switch (e) {
	case SPF_E_DNS_ERROR:
	case SPF_E_NO_MEMORY:
	case SPF_E_INTERNAL_ERROR:
		return SPF_OUTCOME_TEMPERROR;
	default:
		return SPF_OUTCOME_PERMERROR;
	}
}

static void
check_take(struct spf_check *c, SPF_response_t *re, SPF_errcode_t e)
{
	struct spf_answer *a = &c->answer;

	a->result = result_of(SPF_response_result(re));
	if (SPF_response_result(re) == SPF_RESULT_INVALID)
		a->result = result_of_error(e);
	a->lookups = c->look.lookups;
	a->voids = c->look.voids;
	memcpy(a->cause, c->look.cause, sizeof(a->cause));
	if (c->look.failed)
		a->result = SPF_OUTCOME_PERMERROR;
	else if (a->result == SPF_OUTCOME_PERMERROR || a->cause[0] == '\0')
		snprintf(a->cause, sizeof(a->cause), "%s",
		    SPF_strerror(e != SPF_E_SUCCESS ? e :
			SPF_response_errcode(re)));
}

/* Not SPF_request_query_mailfrom(): that lets loopback pass unasked. */
static SPF_errcode_t
request_run(struct spf_check *c, SPF_server_t *server, SPF_request_t *rq,
    SPF_response_t *re)
{
	SPF_record_t *record = NULL;
	SPF_errcode_t e;
	char	      from[SPF_NAME_SIZE + 80];
	bool	      is_v6 = strchr(c->q.ip, ':') != NULL;

	snprintf(from, sizeof(from), "%s@%s",
	    c->q.domain[0] != '\0' && c->q.local[0] != '\0' ? c->q.local :
		"postmaster", c->domain);
	e = is_v6 ? SPF_request_set_ipv6_str(rq, c->q.ip)
		  : SPF_request_set_ipv4_str(rq, c->q.ip);
	if (e != SPF_E_SUCCESS)
		return e;
	if (SPF_request_set_helo_dom(rq, c->q.helo) != SPF_E_SUCCESS ||
	    SPF_request_set_env_from(rq, from) != SPF_E_SUCCESS ||
	    rq->env_from_dp == NULL)
		return SPF_E_NO_MEMORY;
	rq->cur_dom = rq->env_from_dp;
	e = SPF_server_get_record(server, rq, re, &record);
	re->spf_record_exp = record; /* it insists */
	if (e == SPF_E_SUCCESS && record != NULL)
		e = SPF_record_interpret(record, rq, re, 0);
	else if (e == SPF_E_SUCCESS)
		e = SPF_E_NOT_SPF;
	re->spf_record_exp = NULL;
	if (record != NULL)
		SPF_record_free(record);
	return e;
}

static void
check_evaluate(struct spf_check *c)
{
	SPF_server_t   *server;
	SPF_request_t  *rq = NULL;
	SPF_response_t *re = NULL;

	spf_look_begin(&c->look);
	c->open_count = 0;
	c->answer.cause[0] = '\0';
	c->answer.result = SPF_OUTCOME_TEMPERROR;
	server = SPF_server_new_dns(&c->layer, 0);
	if (server == NULL)
		return;
	(void)SPF_server_set_rec_dom(server, "localhost");
	(void)SPF_server_set_max_dns_mech(server, SPF_LOOKUPS_MAX);
	rq = SPF_request_new(server);
	if (rq != NULL)
		re = SPF_response_new(rq);
	if (re != NULL) {
		check_take(c, re, request_run(c, server, rq, re));
		SPF_response_free(re);
	}
	if (rq != NULL)
		SPF_request_free(rq);
	SPF_server_free(server);
}

/* -- steps ----------------------------------------------------------------- */

static void spf_step(struct spf_check *c);

static void
check_on_answer(void *check, const struct dns_answer *a)
{
	struct spf_check *c = check;

	c->ticket = 0;
	spf_look_learn(&c->look, a);
	if (c->look.known_count == 1)
		c->answer.own = a; /* TXT of the domain is the first */
	spf_step(c);
}

static void
spf_step(struct spf_check *c)
{
	const struct spf_known *k;

	check_evaluate(c);
	if (c->look.waits) {
		k = &c->look.known[c->look.known_count];
		c->answer.questions++;
		c->ticket = (c->q.fresh ? resolver_ask_fresh :
		    resolver_ask)(c->resolver, k->type, k->name,
		    check_on_answer, c);
		if (c->ticket != 0)
			return;
		c->answer.result = SPF_OUTCOME_TEMPERROR;
		snprintf(c->answer.cause, sizeof(c->answer.cause),
		    "too many questions wait");
	}
	if (c->answer.result != SPF_OUTCOME_PERMERROR &&
	    c->answer.result != SPF_OUTCOME_TEMPERROR)
		c->answer.cause[0] = '\0';
	c->on_done(c->arg, &c->answer);
}

static void
check_on_begin(void *check, void *unused)
{
	(void)unused;
	spf_step(check);
}

/* ::ffff:192.0.2.1 is 192.0.2.1 (5). */
static void
check_set_ip(struct spf_check *c)
{
	struct dns_address *ip = &c->look.ip, mapped = { .family = AF_INET };

	if (!dns_address_parse(bytes_of(c->q.ip), ip)) {
		ip->family = AF_INET; /* libspf2 refuses it */
	} else if (ip->family == AF_INET6 &&
	    IN6_IS_ADDR_V4MAPPED(&ip->ip.v6)) {
		memcpy(&mapped.ip.v4, &ip->ip.v6.s6_addr[12], 4);
		*ip = mapped;
		dns_address_text(ip, c->q.ip);
	}
}

struct spf_check *
spf_check_new(struct loop *l, struct resolver *r,
    const struct spf_question *q, spf_done *on_done, void *arg)
{
	struct spf_check *c = mem_alloc(sizeof(*c));

	c->loop = l;
	c->resolver = r;
	c->q = *q;
	c->on_done = on_done;
	c->arg = arg;
	c->domain = c->q.domain[0] != '\0' ? c->q.domain : c->q.helo;
	check_set_ip(c);
	c->layer.lookup = layer_lookup;
	c->layer.get_spf = layer_get_spf;
	c->layer.get_exp = layer_get_exp;
	c->layer.name = "posthorn";
	c->layer.hook = c;
	timer_init(&c->begin, l, check_on_begin, c);
	timer_set(&c->begin, 0);
	return c;
}

void
spf_check_free(struct spf_check *c)
{
	if (c == NULL)
		return;
	timer_clear(&c->begin);
	if (c->ticket != 0)
		resolver_cancel(c->resolver, c->ticket);
	spf_look_wipe(&c->look);
	mem_free(c);
}
