/* SPDX-License-Identifier: ISC */
#include "reporting/webhook.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "net/http.h"
#include "net/resolver.h"
#include "net/url.h"
#include "registry/credential.h"
#include "reporting/sns.h"

#include "config.h"

enum {
	RETRY_AFTER_MAX_MS = 3600 * 1000,
	SIGNED_MAX = EVENT_RECORD_MAX * 3, /* quotes of a record escaped */
	SIGNATURES_SIZE = 128,
	HEADERS_ROOM = DESTINATION_HEADERS_SIZE + 2048,
	HEADERS_MAX = DESTINATION_HEADERS_MAX + 14,
	CACHE_ENTRIES = 1000,
	QUESTIONS = 2 /* A and AAAA */
};

struct call {
	struct call    *next, **self;
	struct webhook *webhook;
	uint64_t	ticket, http; /* http: 0 = not there yet */
	struct destination d;
	/* what the event came by; no set: a notification, a test of a topic */
	char		account[ACCOUNT_ID_SIZE];
	char		set_name[CONFIG_SET_NAME_SIZE];
	char		name[DESTINATION_NAME_SIZE];
	bool		notification;
	char		event_id[EVENT_ID_TEXT + 1], type[32];
	unsigned	attempt;
	struct bytes	body;
	struct sns_names sns;
	struct buf	envelope; /* of SNS: the body */
	struct url	url;
	uint64_t	asked[QUESTIONS]; /* of the resolver; 0 = answered */
	struct dns_address addresses[HTTP_ADDRESSES_MAX];
	size_t		address_count, refused; /* private ones */
	enum dns_status status; /* the worst that was said */
	void (*done)(void *arg, const struct webhook_result *r);
	void	       *arg;
	struct webhook_result result; /* of a call that ends early */
};

struct webhook {
	struct loop	*loop;
	struct conf	*conf;
	struct resolver *resolver;
	struct http	*http;
	struct call	*first;
	uint64_t	 last_ticket;
};

static void call_on_answer(void *call, const struct http_answer *a);
static void call_go(struct call *c);

/* -- life ------------------------------------------------------------------ */

struct webhook *
webhook_new(const struct webhook_setup *s, struct err *e)
{
	struct sockaddr_storage servers[RESOLVER_SERVERS_MAX];
	struct resolver_setup	rs;
	struct webhook	       *w = mem_alloc(sizeof(*w));

	w->loop = s->loop;
	w->conf = conf_ref(s->conf);
	conf_resolver_setup(s->conf, servers, &rs);
	rs.cache_max = CACHE_ENTRIES;
	w->resolver = resolver_new(s->loop, &rs, e);
	w->http = w->resolver == NULL ? NULL : http_new(s->loop, e);
	if (w->http == NULL) {
		webhook_free(w);
		return NULL;
	}
	if (s->trust != NULL)
		http_trust(w->http, s->trust);
	return w;
}

static void
call_free(struct call *c)
{
	size_t i;

	for (i = 0; i < QUESTIONS; i++)
		if (c->asked[i] != 0)
			resolver_cancel(c->webhook->resolver, c->asked[i]);
	if (c->http != 0)
		http_cancel(c->webhook->http, c->http);
	*c->self = c->next;
	if (c->next != NULL)
		c->next->self = c->self;
	buf_wipe(&c->envelope);
	mem_wipe(&c->d, sizeof(c->d));
	mem_free(c);
}

void
webhook_free(struct webhook *w)
{
	if (w == NULL)
		return;
	while (w->first != NULL)
		call_free(w->first);
	http_free(w->http);
	resolver_free(w->resolver);
	conf_unref(w->conf);
	mem_free(w);
}

struct resolver *
webhook_resolver(struct webhook *w)
{
	return w->resolver;
}

void
webhook_reload(struct webhook *w, struct conf *conf, struct tls_trust *trust)
{
	struct sockaddr_storage servers[RESOLVER_SERVERS_MAX];
	struct resolver_setup	rs;
	struct err		e;

	conf_unref(w->conf);
	w->conf = conf_ref(conf);
	conf_resolver_setup(conf, servers, &rs);
	rs.cache_max = CACHE_ENTRIES;
	/* on failure the servers stay; delivery logs the same */
	(void)resolver_retune(w->resolver, &rs, &e);
	if (trust != NULL)
		http_trust(w->http, trust);
}

/* -- pure ------------------------------------------------------------------ */

enum webhook_class
webhook_class_of(unsigned status)
{
	if (status >= 200 && status < 300)
		return WEBHOOK_TAKEN;
	if (status == 410)
		return WEBHOOK_GONE;
	return status == 401 || status == 403 || status == 404 ?
		WEBHOOK_REFUSED : WEBHOOK_FAILED;
}

static void
sign_with(const uint8_t key[WEBHOOK_KEY_OCTETS], const struct buf *text,
    struct buf *out)
{
	unsigned char mac[32];
	char	      base64[48];

	credential_hmac(key, WEBHOOK_KEY_OCTETS, buf_bytes(text), mac);
	base64_encode(mac, sizeof(mac), base64);
	buf_printf(out, "%sv1,%s", out->n > 0 ? " " : "", base64);
}

bool
webhook_sign(const struct destination_webhook *w, struct wall now,
    const char *id, struct bytes body, struct buf *out)
{
	struct buf text;
	bool	   ok;

	buf_clear(out);
	buf_init(&text, SIGNED_MAX);
	buf_printf(&text, "%s.%lld.", id, (long long)(now.ms / 1000));
	ok = buf_add_bytes(&text, body);
	if (ok)
		sign_with(w->key, &text, out);
	if (ok && w->rotated.ms != 0 &&
	    now.ms - w->rotated.ms < WEBHOOK_OLD_KEY_MS)
		sign_with(w->old_key, &text, out);
	buf_wipe(&text);
	return ok && !out->failed;
}

/* -- the end of a call ----------------------------------------------------- */

static void
call_end(struct call *c, const struct webhook_result *r)
{
	void (*done)(void *arg, const struct webhook_result *r) = c->done;
	struct webhook_result result = *r;
	void		     *arg = c->arg;

	call_free(c);
	done(arg, &result);
}

/* Its caller may still be inside webhook_post(). */
static void
call_on_early_end(void *webhook, void *ticket)
{
	struct webhook *w = webhook;
	struct call    *c;
	uint64_t	wanted = *(uint64_t *)ticket;

	mem_free(ticket);
	for (c = w->first; c != NULL; c = c->next)
		if (c->ticket == wanted) {
			call_end(c, &c->result);
			return;
		}
}

static void
call_fail(struct call *c, const char *reason)
{
	uint64_t *ticket = mem_alloc(sizeof(*ticket));

	c->result.class = WEBHOOK_FAILED;
	c->result.retry_after_ms = -1;
	snprintf(c->result.reason, sizeof(c->result.reason), "%s", reason);
	*ticket = c->ticket;
	if (loop_post(c->webhook->loop, call_on_early_end, c->webhook,
		ticket))
		return;
	mem_free(ticket); /* the feed is full: it is a later pass anyhow */
	call_end(c, &c->result);
}

static void
call_on_answer(void *call, const struct http_answer *a)
{
	struct call	     *c = call;
	struct webhook_result r;

	memset(&r, 0, sizeof(r));
	c->http = 0;
	r.class = webhook_class_of(a->status);
	r.status = a->status;
	r.took_ms = a->took_ms;
	r.retry_after_ms = -1;
	if ((a->status == 429 || a->status == 503) && a->retry_after_ms >= 0)
		r.retry_after_ms = a->retry_after_ms < RETRY_AFTER_MAX_MS ?
		    a->retry_after_ms : RETRY_AFTER_MAX_MS;
	if (a->status != 0)
		snprintf(r.reason, sizeof(r.reason), "status %u", a->status);
	else
		snprintf(r.reason, sizeof(r.reason), "%s", a->reason);
	call_end(c, &r);
}

/* -- headers --------------------------------------------------------------- */

struct header_lines {
	struct buf  text; /* each with a NUL behind it */
	size_t	    at[HEADERS_MAX];
	const char *v[HEADERS_MAX];
	size_t	    n;
};

static void headers_add(struct header_lines *h, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
headers_add(struct header_lines *h, const char *fmt, ...)
{
	char	line[DESTINATION_HEADERS_SIZE + 64];
	va_list ap;
	int	n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	must(n > 0 && (size_t)n < sizeof(line) && h->n < HEADERS_MAX);
	h->at[h->n++] = h->text.n;
	buf_add(&h->text, line, (size_t)n + 1);
}

static void
headers_add_fixed(struct header_lines *h, const char *headers)
{
	const char *end;

	for (; (end = strchr(headers, '\n')) != NULL; headers = end + 1)
		headers_add(h, "%.*s", (int)(end - headers), headers);
}

static void
headers_add_sns(struct header_lines *h, const struct sns_names *n)
{
	headers_add(h, "x-amz-sns-message-type: Notification");
	headers_add(h, "x-amz-sns-message-id: %s", n->message_id);
	headers_add(h, "x-amz-sns-topic-arn: %s", n->topic);
	headers_add(h, "x-amz-sns-subscription-arn: %s", n->subscription);
}

static bool
headers_make(struct header_lines *h, const struct call *c, struct wall now)
{
	const struct destination *d = &c->d;
	struct buf		  signature;
	size_t			  i;
	bool			  ok;

	memset(h, 0, sizeof(*h));
	buf_init(&h->text, HEADERS_ROOM);
	buf_init(&signature, SIGNATURES_SIZE);
	ok = webhook_sign(&d->webhook, now, c->event_id, c->body,
	    &signature);
	headers_add(h, "Content-Type: %s", d->sns ?
		"text/plain; charset=UTF-8" : "application/json");
	headers_add(h, "User-Agent: posthorn/%s", PACKAGE_VERSION);
	headers_add(h, "webhook-id: %s", c->event_id);
	headers_add(h, "webhook-timestamp: %lld", (long long)(now.ms / 1000));
	headers_add(h, "webhook-signature: %.*s", (int)signature.n,
	    signature.p != NULL ? signature.p : "");
	headers_add(h, "X-Posthorn-Attempt: %u", c->attempt);
	headers_add(h, "X-Posthorn-Account: %s", c->account);
	if (c->set_name[0] != '\0') {
		headers_add(h, "X-Posthorn-Configuration-Set: %s",
		    c->set_name);
		headers_add(h, "X-Posthorn-Event-Destination: %s", c->name);
	}
	headers_add(h, "X-Posthorn-Event-Type: %s", c->type);
	if (d->sns)
		headers_add_sns(h, &c->sns);
	headers_add_fixed(h, d->webhook.headers);
	buf_wipe(&signature);
	for (i = 0; i < h->n; i++)
		h->v[i] = h->text.p + h->at[i];
	return ok && !h->text.failed;
}

/* -- the request ----------------------------------------------------------- */

/* NULL = any */
static const char *
source_text(const struct conf_addr *a, char out[64])
{
	struct dns_address d = { .family = a->family };

	if (a->family == AF_INET)
		d.ip.v4 = a->u.in.sin_addr;
	else if (a->family == AF_INET6)
		d.ip.v6 = a->u.in6.sin6_addr;
	else
		return NULL;
	return dns_address_text(&d, out);
}

static void
call_request(struct call *c)
{
	struct webhook	   *w = c->webhook;
	struct header_lines h;
	struct http_request r;
	char		    own[64];

	memset(&r, 0, sizeof(r));
	r.url = c->d.webhook.url;
	r.host = c->url.host;
	r.port = c->url.port;
	r.addresses = c->addresses;
	r.address_count = c->address_count;
	r.source = source_text(&w->conf->events.webhook_source, own);
	r.body = c->body;
	r.timeout_ms = (int64_t)c->d.webhook.timeout_s * 1000;
	r.done = call_on_answer;
	r.arg = c;
	if (!c->envelope.failed && headers_make(&h, c, loop_wall(w->loop))) {
		r.headers = h.v;
		r.header_count = h.n;
		c->http = http_post(w->http, &r);
	}
	buf_wipe(&h.text);
	if (c->http == 0)
		call_fail(c, "the request cannot be made");
}

/* -- where to -------------------------------------------------------------- */

static void
call_approve(struct call *c, const struct dns_address *a)
{
	const struct conf *conf = c->webhook->conf;

	if (conf->events.webhook_source.family != AF_UNSPEC &&
	    conf->events.webhook_source.family != a->family)
		return;
	if (dns_address_is_private(a) && !conf->events.webhook_allow_private)
		c->refused++;
	else if (c->address_count < HTTP_ADDRESSES_MAX)
		c->addresses[c->address_count++] = *a;
}

static void
call_take_answer(struct call *c, unsigned question,
    const struct dns_answer *a)
{
	size_t i;

	c->asked[question] = 0;
	for (i = 0; a->status == DNS_FOUND && i < a->count; i++)
		call_approve(c, &a->addresses[i]);
	if (a->status > c->status)
		c->status = a->status;
	call_go(c);
}

static void
call_on_v4(void *call, const struct dns_answer *a)
{
	call_take_answer(call, 0, a);
}

static void
call_on_v6(void *call, const struct dns_answer *a)
{
	call_take_answer(call, 1, a);
}

/* When everything is known about its name. */
static void
call_go(struct call *c)
{
	if (c->asked[0] != 0 || c->asked[1] != 0)
		return;
	if (c->address_count > 0)
		call_request(c);
	else if (c->refused > 0)
		call_fail(c, "a private address "
		    "(events.webhook_allow_private)");
	else
		call_fail(c, c->status == DNS_NXDOMAIN ||
			c->status <= DNS_NO_DATA ? "the host name has no "
		    "address" : "the host name cannot be looked up");
}

/* "localhost" is asked of no DNS (RFC 6761 6.3). */
static void
call_approve_local(struct call *c)
{
	struct dns_address a = { .family = AF_INET };

	a.ip.v4.s_addr = htonl(INADDR_LOOPBACK);
	call_approve(c, &a);
	a.family = AF_INET6;
	a.ip.v6 = in6addr_loopback;
	call_approve(c, &a);
}

static void
call_look_up(struct call *c)
{
	struct resolver *r = c->webhook->resolver;

	if (c->url.is_address || url_is_local(&c->url)) {
		if (c->url.is_address)
			call_approve(c, &c->url.address);
		else
			call_approve_local(c);
		call_go(c);
		return;
	}
	c->asked[0] = resolver_ask(r, RESOLVER_A, c->url.host, call_on_v4, c);
	c->asked[1] = resolver_ask(r, RESOLVER_AAAA, c->url.host, call_on_v6,
	    c);
	if (c->asked[0] == 0 && c->asked[1] == 0)
		call_fail(c, "too many questions wait for the DNS");
}

/* One that has no room ends the call before the request. */
static void
call_wrap(struct call *c, const struct event_id *id)
{
	sns_names(&c->d, c->webhook->conf->server.region, id, &c->sns);
	buf_init(&c->envelope, SIGNED_MAX);
	if (sns_write(&c->sns, c->notification ? NULL : SNS_SUBJECT,
		event_id_time(id), c->body, &c->envelope))
		c->body = buf_bytes(&c->envelope);
}

static void
call_name(struct call *c, const struct destination *by)
{
	memcpy(c->account, by->account, sizeof(c->account));
	if (destination_is_subscription(by))
		return;
	memcpy(c->set_name, by->set_name, sizeof(c->set_name));
	memcpy(c->name, by->name, sizeof(c->name));
}

uint64_t
webhook_post(struct webhook *w, const struct webhook_call *call)
{
	struct call *c = mem_alloc(sizeof(*c));
	const char  *why;
	uint64_t     ticket;

	loop_must_own(w->loop);
	c->webhook = w;
	ticket = c->ticket = ++w->last_ticket;
	c->d = *call->destination;
	call_name(c, call->via != NULL ? call->via : call->destination);
	c->notification = call->notification;
	(void)event_id_to_text(call->event_id, c->event_id);
	snprintf(c->type, sizeof(c->type), "%s", call->type);
	c->attempt = call->attempt;
	c->body = call->body;
	if (c->d.sns)
		call_wrap(c, call->event_id);
	c->done = call->done;
	c->arg = call->arg;
	c->self = &w->first;
	c->next = w->first;
	if (c->next != NULL)
		c->next->self = &c->next;
	w->first = c;
	if (!url_read(bytes_of(c->d.webhook.url), &c->url, &why))
		call_fail(c, why);
	else if (!c->url.is_https && !w->conf->events.webhook_allow_http &&
	    !url_is_local(&c->url))
		call_fail(c, "it is not https (events.webhook_allow_http)");
	else
		call_look_up(c);
	return ticket;
}

void
webhook_cancel(struct webhook *w, uint64_t ticket)
{
	struct call *c;

	for (c = w->first; c != NULL; c = c->next)
		if (c->ticket == ticket) {
			call_free(c);
			return;
		}
}
