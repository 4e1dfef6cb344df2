/* SPDX-License-Identifier: ISC */
/*
 * A check of the verifier against a zone that wishes it ill.  The first octet
 * chooses the check; each question then takes its answer from what is left:
 * a status, the octets of a message, or records that are put into one.  All
 * of it is read by the resolver's own parser.  Whatever comes, there is one
 * result, in time, that can be sent and shown, and no match without the right
 * value in an answer.
 */
#include <arpa/inet.h>
#include <string.h>

#include "base/err.h"
#include "daemon/verifier_check.h"
#include "fake_clock.h"
#include "fake_thread.h"
#include "net/resolver_private.h"

#define KEY "dGhlIHJpZ2h0IGtleQ=="
#define TOKEN "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst"
#define TARGET "t1.dkim.relay.example"
#define MX_HOST "feedback.relay.example"

enum {
	QUESTIONS_MAX = 128, /* of one check */
	WIRE_MAX = 4096,
	SLOW_MS = 25000,
	TIMEOUT_MS = 5000
};
enum check_flags {
	CHECK_KIND = 3,
	CHECK_AUTHORITATIVE = 4,
	CHECK_CNAME = 8,
	CHECK_ED25519 = 16,
	CHECK_PRIVATE = 32,
	CHECK_POLICY = 64 /* SPF and the like */
};
enum answer_op { /* lower half of the octet; the upper one: see below */
	ANSWER_NXDOMAIN,
	ANSWER_NO_DATA,
	ANSWER_SERVFAIL,
	ANSWER_TIMEOUT,
	ANSWER_UNREACHABLE,
	ANSWER_RAW,
	ANSWER_CNAME, /* then records, at the name it leads to */
	ANSWER_RECORDS
};
enum { ANSWER_SLOW = 128 };

struct waiter {
	struct waiter	  *next;
	struct resolver	  *resolver;
	uint64_t	   ticket;
	struct timer	   timer;
	struct dns_answer *answer;
	resolver_fn	  *fn;
	void		  *arg;
};
struct resolver {
	struct loop   *loop;
	struct waiter *waiters;
};

static struct {
	struct bytes	     rest; /* answers to come */
	unsigned	     asked, resolvers;
	uint64_t	     last_ticket;
	bool		     saw_right; /* an answer held the right value */
	struct verify_job    job;
	struct verifier_check *check;
	struct verify_result result;
	unsigned	     results;
} the_zone;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- answers ---------------------------------------------------------------- */

static unsigned
take_octet(void)
{
	unsigned c = 0;

	if (the_zone.rest.n > 0)
		c = (unsigned char)the_zone.rest.p[0];
	the_zone.rest = bytes_from(the_zone.rest, 1);
	return c;
}

static struct bytes
take(size_t n)
{
	struct bytes b = bytes_head(the_zone.rest, n);

	the_zone.rest = bytes_from(the_zone.rest, b.n);
	return b;
}

static void
put_number(struct buf *out, unsigned v)
{
	buf_add_char(out, (char)(v >> 8));
	buf_add_char(out, (char)v);
}

/* Any octets as labels; a name of somebody who keeps to no rule. */
static void
put_name(struct buf *out, struct bytes name)
{
	ptrdiff_t    dot;
	struct bytes label;

	while (name.n > 0) {
		dot = bytes_find(name, 0, '.');
		label = bytes_head(name, dot < 0 ? name.n : (size_t)dot);
		name = bytes_from(name, label.n + 1);
		label = bytes_head(label, 63);
		if (label.n == 0)
			continue;
		buf_add_char(out, (char)label.n);
		buf_add_bytes(out, label);
	}
	buf_add_char(out, '\0');
}

/* What a record says: one of the words, or octets of the input. */
static struct bytes
choose_value(void)
{
	static const char *const words[] = { "v=DKIM1; k=rsa; p=" KEY,
		"p=" KEY, "v=DKIM1; k=ed25519; t=y; p=" KEY, TOKEN,
		"posthorn-verification=" TOKEN, TARGET, MX_HOST,
		"ns.example.com" };
	unsigned c = take_octet();

	if (c < sizeof(words) / sizeof(words[0]))
		return bytes_of(words[c]);
	return take(c - sizeof(words) / sizeof(words[0]));
}

static void
put_data(struct buf *out, enum resolver_type type, struct bytes value)
{
	switch (type) {
	case RESOLVER_TXT:
		while (value.n > 255) {
			buf_add_char(out, (char)255);
			buf_add_bytes(out, bytes_head(value, 255));
			value = bytes_from(value, 255);
		}
		buf_add_char(out, (char)value.n);
		buf_add_bytes(out, value);
		break;
	case RESOLVER_MX:
		put_number(out, value.n % 2 == 0 ? 10 : 20);
		put_name(out, value);
		break;
	case RESOLVER_A:
	case RESOLVER_AAAA:
		buf_add_bytes(out, bytes_head(value,
		    type == RESOLVER_A ? 4 : 16));
		break;
	default:
		put_name(out, value);
		break;
	}
}

static void
put_record(struct buf *out, struct bytes owner, enum resolver_type type,
    struct bytes value)
{
	struct buf data;

	buf_init(&data, WIRE_MAX);
	put_data(&data, type, value);
	put_name(out, owner);
	put_number(out, (unsigned)dns_type_number(type));
	put_number(out, 1); /* IN */
	put_number(out, 0);
	put_number(out, 300); /* TTL */
	put_number(out, (unsigned)data.n);
	buf_add_bytes(out, buf_bytes(&data));
	buf_wipe(&data);
}

static void
build_message(const char *name, enum resolver_type type, unsigned op,
    struct buf *out)
{
	struct bytes owner = bytes_of(name), value;
	unsigned     count = 1 + (op >> 4 & 3), i;

	buf_add(out, "\0\0\x84\0\0\0\0\0\0\0\0\0", 12);
	if ((op & 7) == ANSWER_CNAME && type != RESOLVER_CNAME) {
		value = choose_value();
		put_record(out, owner, RESOLVER_CNAME, value);
		owner = value;
		out->p[7]++;
	}
	for (i = 0; i < count; i++)
		put_record(out, owner, type, choose_value());
	out->p[7] = (char)(out->p[7] + (char)count);
}

/* Does the answer hold what the check is for? */
static void
look_for_right(const struct dns_answer *a)
{
	const struct verify_job *j = &the_zone.job;
	size_t			 i;

	for (i = 0; i < a->count; i++) {
		if (j->kind == VERIFY_MX && a->type == RESOLVER_MX)
			the_zone.saw_right |= bytes_eq_nocase(
			    bytes_of(a->mx[i].host), BYTES(MX_HOST));
		if (a->type != RESOLVER_TXT)
			continue;
		if (j->kind == VERIFY_TOKEN)
			the_zone.saw_right |= bytes_find_nocase(a->texts[i],
			    BYTES(TOKEN)) >= 0;
		/* blanks may stand inside the key */
		if (j->kind == VERIFY_DKIM)
			the_zone.saw_right |= a->texts[i].n > sizeof(KEY);
	}
}

static struct dns_answer *
next_answer(const char *name, enum resolver_type type, unsigned op)
{
	static const enum dns_status statuses[] = { DNS_NXDOMAIN, DNS_NO_DATA,
		DNS_SERVFAIL, DNS_TIMEOUT, DNS_UNREACHABLE };
	static const enum dns_status parsed[] = {
		[DNS_PARSED_FOUND] = DNS_FOUND,
		[DNS_PARSED_NO_DATA] = DNS_NO_DATA,
		[DNS_PARSED_NXDOMAIN] = DNS_NXDOMAIN,
		[DNS_PARSED_FOLLOW] = DNS_SERVFAIL,
		[DNS_PARSED_BAD] = DNS_SERVFAIL
	};
	struct dns_walk	   walk = { .ttl = UINT32_MAX };
	struct dns_draft   d;
	struct dns_answer *a;
	struct buf	   wire;

	bytes_text(bytes_of(name), walk.name, sizeof(walk.name));
	if ((op & 7) < ANSWER_RAW)
		return dns_answer_make(statuses[op & 7], type, name, &walk,
		    NULL);
	buf_init(&wire, WIRE_MAX);
	if ((op & 7) == ANSWER_RAW)
		buf_add_bytes(&wire, take(take_octet()));
	else
		build_message(name, type, op, &wire);
	dns_draft_init(&d);
	a = dns_answer_make(parsed[dns_parse(buf_bytes(&wire), type, &walk,
	    &d)], type, name, &walk, &d);
	dns_draft_wipe(&d);
	buf_wipe(&wire);
	look_for_right(a);
	return a;
}

/* -- in place of net/resolver.c --------------------------------------------- */

struct resolver *
resolver_new(struct loop *l, const struct resolver_setup *s, struct err *e)
{
	struct resolver *r = mem_alloc(sizeof(*r));

	(void)e;
	must(the_zone.resolvers == 0 ||
	    (s->server_count > 0 && s->server_count <= RESOLVER_SERVERS_MAX));
	the_zone.resolvers++;
	r->loop = l;
	return r;
}

static void
waiter_end(struct waiter *w)
{
	struct waiter **p = &w->resolver->waiters;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	timer_clear(&w->timer);
	dns_answer_unref(w->answer);
	mem_free(w);
}

void
resolver_free(struct resolver *r)
{
	if (r == NULL)
		return;
	while (r->waiters != NULL)
		waiter_end(r->waiters);
	the_zone.resolvers--;
	loop_reap(r->loop, mem_free, r);
}

static void
waiter_on_time(void *waiter, void *unused)
{
	struct waiter	  *w = waiter;
	struct dns_answer *a = dns_answer_ref(w->answer);
	resolver_fn	  *fn = w->fn;
	void		  *arg = w->arg;

	(void)unused;
	waiter_end(w);
	fn(arg, a);
	dns_answer_unref(a);
}

uint64_t
resolver_ask(struct resolver *r, enum resolver_type type, const char *name,
    resolver_fn *fn, void *arg)
{
	struct waiter *w = mem_alloc(sizeof(*w));
	char	       normal[DNS_NAME_SIZE];
	unsigned       op = take_octet();

	must(++the_zone.asked <= QUESTIONS_MAX);
	w->resolver = r;
	w->ticket = ++the_zone.last_ticket;
	w->fn = fn;
	w->arg = arg;
	if (dns_name_normalize(name, normal))
		w->answer = next_answer(normal, type, op);
	else
		w->answer = next_answer("", type, ANSWER_NXDOMAIN);
	timer_init(&w->timer, r->loop, waiter_on_time, w);
	timer_set(&w->timer, op & ANSWER_SLOW ? SLOW_MS :
	    w->answer->status == DNS_TIMEOUT ? TIMEOUT_MS : 0);
	w->next = r->waiters;
	r->waiters = w;
	return w->ticket;
}

uint64_t
resolver_ask_fresh(struct resolver *r, enum resolver_type type,
    const char *name, resolver_fn *fn, void *arg)
{
	return resolver_ask(r, type, name, fn, arg);
}

void
resolver_cancel(struct resolver *r, uint64_t ticket)
{
	struct waiter *w = r->waiters;

	while (w != NULL && w->ticket != ticket)
		w = w->next;
	if (w != NULL)
		waiter_end(w);
}

/* -- one check -------------------------------------------------------------- */

static void
on_done(void *arg, const struct verify_result *r)
{
	(void)arg;
	the_zone.result = *r;
	the_zone.results++;
	verifier_check_free(the_zone.check);
	the_zone.check = NULL;
}

static void
choose_job(unsigned flags, struct verifier_setup *s)
{
	static const enum verify_kind kinds[] = { VERIFY_DKIM, VERIFY_TOKEN,
		VERIFY_MX, VERIFY_DKIM };
	static const enum verify_kind policies[] = { VERIFY_SPF, VERIFY_DMARC,
		VERIFY_HOST, VERIFY_REPLY };
	struct verify_job *j = &the_zone.job;

	memset(j, 0, sizeof(*j));
	j->ticket = 7;
	j->kind = (flags & CHECK_POLICY ? policies : kinds)[flags &
	    CHECK_KIND];
	strcpy(j->ip, flags & CHECK_CNAME ? "2001:db8::10" : "203.0.113.10");
	strcpy(j->helo, "mail.relay.example");
	strcpy(j->include, "spf.relay.example");
	strcpy(j->organisation, "example.com");
	j->authoritative = (flags & CHECK_AUTHORITATIVE) != 0;
	j->key_kind = flags & CHECK_ED25519 ? DKIM_KEY_ED25519 : DKIM_KEY_RSA;
	strcpy(j->domain, "a.example.com");
	strcpy(j->selector, "t1");
	strcpy(j->public_key, KEY);
	if (flags & CHECK_CNAME)
		strcpy(j->cname_target, TARGET);
	strcpy(j->token, TOKEN);
	strcpy(j->mx_host, MX_HOST);
	s->allow_private = (flags & CHECK_PRIVATE) != 0;
}

/* It reaches relay as it is, and shows nothing that is not printable. */
static void
check_result(void)
{
	struct verify_result again, *r = &the_zone.result;
	struct buf	     out;

	must(the_zone.results == 1 && the_zone.check == NULL);
	must(r->ticket == 7 && r->kind == the_zone.job.kind);
	must(r->outcome != DKIM_UNCHECKED);
	must(r->kind >= VERIFY_SPF || r->outcome != DKIM_MATCH ||
	    (the_zone.saw_right && r->host_found && r->hint[0] == '\0'));
	must(r->kind >= VERIFY_SPF || r->outcome == DKIM_MATCH ||
	    r->hint[0] != '\0');
	must((r->kind != VERIFY_SPF && r->kind != VERIFY_DMARC) ||
	    r->outcome != DKIM_MATCH || r->text[0] != '\0');
	buf_init(&out, VERIFY_MESSAGE_MAX);
	must(verify_result_encode(r, &out));
	must(verify_result_decode(buf_bytes(&out), &again));
	must(strcmp(again.hint, r->hint) == 0 &&
	    strcmp(again.warning, r->warning) == 0);
	buf_wipe(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct verifier_setup setup = { .resolver = { .timeout_ms = 5000,
	    .tries = 2 } };
	struct verifier_tools tools;
	struct err	      e;

	if (size == 0)
		return 0;
	memset(&the_zone, 0, sizeof(the_zone));
	the_zone.rest = (struct bytes){ (const char *)data + 1, size - 1 };
	fake_clock_set((struct wall){ INT64_C(1714564800000) });
	choose_job(data[0], &setup);
	tools.loop = loop_new("verifier", 16, &e);
	must(tools.loop != NULL);
	fake_threads_begin(tools.loop);
	tools.resolver = resolver_new(tools.loop, &setup.resolver, &e);
	tools.setup = &setup;
	the_zone.check = verifier_check_new(&tools, &the_zone.job, on_done,
	    NULL);
	must(the_zone.results == 0);
	must(fake_threads_advance(VERIFIER_CHECK_MS));
	check_result();
	resolver_free(tools.resolver);
	must(the_zone.resolvers == 0);
	fake_threads_end(tools.loop);
	loop_free(tools.loop);
	return 0;
}
