/* SPDX-License-Identifier: ISC */
/*
 * One check: spf_step() evaluates with the answers that are known; what is
 * missing is asked (check_on_answer() steps again), else the result is told.
 * libspf2 sees our answers through one layer, layer_lookup().
 */
#include "net/spf.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include <spf2/spf.h>
#include <spf2/spf_dns.h>
#include <spf2/spf_server.h>

enum { TEXT_OCTETS_MAX = 4096 }; /* of one TXT record, or it is an error */

struct known {
	enum resolver_type type;
	char		   name[SPF_NAME_SIZE];
	const struct dns_answer *answer;
};

struct spf_check {
	struct loop	   *loop;
	struct resolver	   *resolver;
	struct spf_question q;
	spf_done	   *on_done;
	void		   *arg;
	struct spf_answer   answer;
	struct known	    known[SPF_QUESTIONS_MAX];
	unsigned	    known_count;
	uint64_t	    ticket; /* 0 = nothing is asked */
	struct timer	    begin;

	/* the evaluation at hand */
	SPF_dns_server_t    layer;
	const char	   *domain; /* that is checked */
	bool		    waits;  /* known[known_count] is to be asked */
	bool		    too_many, own_seen;
	const struct dns_answer *hosts; /* of the last MX or PTR */
};

/* -- the layer that libspf2 asks ------------------------------------------- */

/* A copy that libspf2 frees; what it cannot take is left out. */
static void
record_add(SPF_dns_rr_t *rr, const void *p, size_t n, bool is_text)
{
	int   i = rr->num_rr;
	char *to;

	if (SPF_dns_rr_buf_realloc(rr, i, n + 1) != SPF_E_SUCCESS)
		return;
	to = (char *)rr->rr[i];
	memcpy(to, p, n);
	to[n] = '\0';
	/* a NUL inside must not end the record early */
	for (; is_text && n > 0; n--)
		if (to[n - 1] == '\0')
			to[n - 1] = '\x01';
	rr->num_rr = i + 1;
}

static void
record_add_all(SPF_dns_rr_t *rr, const struct dns_answer *a)
{
	size_t i;

	for (i = 0; i < a->count; i++)
		switch (a->type) {
		case RESOLVER_A:
		case RESOLVER_AAAA:
			record_add(rr, &a->addresses[i].ip,
			    a->type == RESOLVER_A ? 4 : 16, false);
			break;
		case RESOLVER_MX:
			record_add(rr, a->mx[i].host, strlen(a->mx[i].host),
			    true);
			break;
		case RESOLVER_TXT:
			if (a->texts[i].n <= TEXT_OCTETS_MAX)
				record_add(rr, a->texts[i].p, a->texts[i].n,
				    true);
			break;
		default:
			record_add(rr, a->names[i], strlen(a->names[i]),
			    true);
			break;
		}
}

static int
status_of(const struct dns_answer *a)
{
	switch (a->status) {
	case DNS_FOUND:
		return NETDB_SUCCESS;
	case DNS_NO_DATA:
		return NO_DATA;
	case DNS_NXDOMAIN:
		return HOST_NOT_FOUND;
	case DNS_SERVFAIL:
	case DNS_TIMEOUT:
	case DNS_UNREACHABLE:
		break;
	}
	return TRY_AGAIN;
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
	case ns_t_txt:
		*out = RESOLVER_TXT;
		return true;
	case ns_t_ptr:
		*out = RESOLVER_PTR;
		return true;
	default: /* type SPF is not to be asked for (RFC 7208 3.1) */
		return false;
	}
}

/* The answer, or NULL: it is to be asked, or cannot be. */
static const struct dns_answer *
check_find(struct spf_check *c, enum resolver_type type, const char *name)
{
	struct known *k;
	unsigned      i;

	for (i = 0; i < c->known_count; i++)
		if (c->known[i].type == type &&
		    strcasecmp(c->known[i].name, name) == 0)
			return c->known[i].answer;
	if (c->waits)
		return NULL; /* one after the other */
	if (c->known_count == SPF_QUESTIONS_MAX) {
		c->too_many = true;
		return NULL;
	}
	k = &c->known[c->known_count];
	k->type = type;
	snprintf(k->name, sizeof(k->name), "%s", name);
	c->waits = true;
	return NULL;
}

static bool
answer_names(const struct dns_answer *a, const char *host)
{
	size_t i;

	for (i = 0; a != NULL && i < a->count; i++)
		if (strcasecmp(a->type == RESOLVER_MX ? a->mx[i].host :
			a->names[i], host) == 0)
			return true;
	return false;
}

/*
 * Terms that need DNS: libspf2 does not add up those of nested records.  The
 * hosts that a mx or ptr term has named are looked up for it.
 */
static void
check_count(struct spf_check *c, const struct dns_answer *a,
    enum resolver_type type, const char *name)
{
	bool is_own = !c->own_seen && type == RESOLVER_TXT;
	bool is_host = (type == RESOLVER_A || type == RESOLVER_AAAA) &&
	    answer_names(c->hosts, name);

	c->own_seen = true; /* the record of the domain comes first */
	if (!is_own && !is_host)
		c->answer.lookups++;
	if (!is_own && a != NULL && (a->status == DNS_NXDOMAIN ||
				       a->status == DNS_NO_DATA))
		c->answer.voids++;
	if (a != NULL && (type == RESOLVER_MX || type == RESOLVER_PTR))
		c->hosts = a->status == DNS_FOUND ? a : NULL;
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
	a = check_find(c, type, domain);
	check_count(c, a, type, domain);
	if (a == NULL)
		return SPF_dns_rr_new_init(layer, domain, t, 0, TRY_AGAIN);
	rr = SPF_dns_rr_new_init(layer, domain, t, (int)a->ttl, status_of(a));
	if (rr != NULL)
		record_add_all(rr, a);
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

/* Without a result: a record that cannot be read is "not SPF" to it. */
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

/* In words, with what the library says about the place. */
static void
check_note_cause(struct spf_check *c, SPF_response_t *re, SPF_errcode_t e)
{
	const char *text = SPF_strerror(e);
	int	    i;

	if (e == SPF_E_BIG_DNS) {
		snprintf(c->answer.cause, sizeof(c->answer.cause),
		    "more than %d DNS look-ups", SPF_LOOKUPS_MAX);
		return;
	}
	for (i = 0; i < SPF_response_messages(re); i++)
		if (SPF_error_errorp(SPF_response_message(re, i)) &&
		    SPF_error_message(SPF_response_message(re, i)) != NULL) {
			text = SPF_error_message(SPF_response_message(re, i));
			break;
		}
	snprintf(c->answer.cause, sizeof(c->answer.cause), "%s",
	    text != NULL ? text : "error");
}

static void
check_take(struct spf_check *c, SPF_response_t *re, SPF_errcode_t e)
{
	struct spf_answer *a = &c->answer;

	if (re->num_dns_mech > (int)a->lookups)
		a->lookups = (unsigned)re->num_dns_mech;
	a->result = result_of(SPF_response_result(re));
	if (SPF_response_result(re) == SPF_RESULT_INVALID)
		a->result = result_of_error(e);
	else if (a->result == SPF_OUTCOME_NONE && a->lookups > 0)
		a->result = SPF_OUTCOME_PERMERROR; /* "none" of an include */
	if (a->result == SPF_OUTCOME_PERMERROR ||
	    a->result == SPF_OUTCOME_TEMPERROR)
		check_note_cause(c, re,
		    e != SPF_E_SUCCESS ? e : SPF_response_errcode(re));
	if (a->lookups > SPF_LOOKUPS_MAX &&
	    a->result != SPF_OUTCOME_TEMPERROR) {
		a->result = SPF_OUTCOME_PERMERROR;
		check_note_cause(c, re, SPF_E_BIG_DNS);
	} else if (a->voids > SPF_VOIDS_MAX && a->result != SPF_OUTCOME_TEMPERROR) {
		a->result = SPF_OUTCOME_PERMERROR;
		snprintf(a->cause, sizeof(a->cause),
		    "more than %d void look-ups", SPF_VOIDS_MAX);
	}
	if (c->too_many) {
		a->result = SPF_OUTCOME_PERMERROR;
		snprintf(a->cause, sizeof(a->cause),
		    "more than %d questions to DNS", SPF_QUESTIONS_MAX);
	}
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

	c->waits = c->too_many = c->own_seen = false;
	c->answer.voids = c->answer.lookups = 0;
	c->hosts = NULL;
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
	c->known[c->known_count++].answer = dns_answer_ref(a);
	if (c->known_count == 1)
		c->answer.own = a; /* TXT of the domain is the first */
	spf_step(c);
}

static void
spf_step(struct spf_check *c)
{
	const struct known *k = &c->known[c->known_count];

	check_evaluate(c);
	if (c->waits) {
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
	c->layer.lookup = layer_lookup;
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
	unsigned i;

	if (c == NULL)
		return;
	timer_clear(&c->begin);
	if (c->ticket != 0)
		resolver_cancel(c->resolver, c->ticket);
	for (i = 0; i < c->known_count; i++)
		dns_answer_unref(c->known[i].answer);
	mem_free(c);
}
