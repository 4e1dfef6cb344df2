/* SPDX-License-Identifier: ISC */
#include "net/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/reserve.h"
#include "net/sockaddr.h"

enum {
	CONNECTIONS_KEPT = 64,
	CONNECT_MS = 10000,
	RESOLVE_SIZE = 300 + HTTP_ADDRESSES_MAX * 64,
	TOO_LARGE = 100 /* CURLE_TOO_LARGE, which older headers lack */
};

struct transfer {
	struct transfer *next, **self;
	struct http	*http;
	uint64_t	 ticket;
	CURL		*easy;
	struct curl_slist *headers, *resolve;
	struct dns_address addresses[HTTP_ADDRESSES_MAX];
	size_t		 address_count;
	struct mono	 begun;
	size_t		 header_octets, body_octets;
	bool		 is_answered; /* the header is complete */
	char		 reason[CURL_ERROR_SIZE];
	http_fn		*done;
	void		*arg;
};

struct http {
	struct loop	 *loop;
	CURLM		 *multi;
	struct tls_trust *trust;
	struct timer	  timer;
	struct transfer	 *first;
	uint64_t	  last_ticket;
};

static void http_on_timer(void *http, void *unused);
static int http_on_socket(CURL *easy, curl_socket_t fd, int what,
    void *http, void *watch);
static int http_on_timeout(CURLM *multi, long ms, void *http);

/* -- life ------------------------------------------------------------------ */

struct http *
http_new(struct loop *l, struct err *e)
{
	struct http *h;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(e, "libcurl does not begin");
		return NULL;
	}
	h = mem_alloc(sizeof(*h));
	h->loop = l;
	timer_init(&h->timer, l, http_on_timer, h);
	h->multi = curl_multi_init();
	if (h->multi == NULL) {
		mem_free(h);
		err_set(e, "libcurl: no memory");
		return NULL;
	}
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, http_on_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, http_on_timeout);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS,
	    (long)CONNECTIONS_KEPT);
	return h;
}

static void
transfer_free(struct transfer *t)
{
	*t->self = t->next;
	if (t->next != NULL)
		t->next->self = t->self;
	if (t->easy != NULL) {
		(void)curl_multi_remove_handle(t->http->multi, t->easy);
		curl_easy_cleanup(t->easy);
	}
	curl_slist_free_all(t->headers);
	curl_slist_free_all(t->resolve);
	mem_free(t);
}

void
http_free(struct http *h)
{
	if (h == NULL)
		return;
	while (h->first != NULL)
		transfer_free(h->first);
	(void)curl_multi_cleanup(h->multi); /* closes what is kept */
	timer_clear(&h->timer);
	tls_trust_unref(h->trust);
	mem_free(h);
	curl_global_cleanup();
}

void
http_trust(struct http *h, struct tls_trust *t)
{
	tls_trust_ref(t);
	tls_trust_unref(h->trust);
	h->trust = t;
}

const char *
http_library(void)
{
	return curl_version_info(CURLVERSION_NOW)->version;
}

/* -- what libcurl asks during a transfer ----------------------------------- */

static CURLcode
transfer_on_context(CURL *easy, void *ssl_ctx, void *transfer)
{
	struct transfer *t = transfer;

	(void)easy;
	if (t->http->trust == NULL ||
	    !tls_trust_lend(t->http->trust, ssl_ctx))
		return CURLE_SSL_CACERT_BADFILE;
	return CURLE_OK;
}

static bool
address_is(const struct dns_address *a, const struct sockaddr *sa)
{
	if (a->family != sa->sa_family)
		return false;
	if (a->family == AF_INET)
		return memcmp(&a->ip.v4, &((const struct sockaddr_in *)
		    (const void *)sa)->sin_addr, sizeof(a->ip.v4)) == 0;
	return a->family == AF_INET6 && memcmp(&a->ip.v6,
	    &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr,
	    sizeof(a->ip.v6)) == 0;
}

/* To none but the approved ones, whatever made libcurl think of another. */
static curl_socket_t
transfer_on_open(void *transfer, curlsocktype purpose,
    struct curl_sockaddr *to)
{
	struct transfer *t = transfer;
	size_t		 i;

	(void)purpose;
	for (i = 0; i < t->address_count; i++)
		if (address_is(&t->addresses[i], &to->addr))
			return socket(to->family, to->socktype | SOCK_CLOEXEC |
			    SOCK_NONBLOCK, to->protocol);
	return CURL_SOCKET_BAD;
}

static size_t
transfer_on_header(char *line, size_t size, size_t n, void *transfer)
{
	struct transfer *t = transfer;
	long		 status = 0;

	n *= size;
	t->header_octets += n;
	if (t->header_octets > HTTP_HEADER_MAX)
		return 0;
	if (n <= 2 && line[0] == '\r') {
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		t->is_answered = status >= 200;
	}
	return n;
}

static size_t
transfer_on_body(char *p, size_t size, size_t n, void *transfer)
{
	struct transfer *t = transfer;

	(void)p;
	t->body_octets += n * size;
	return t->body_octets > HTTP_BODY_MAX ? 0 : n * size;
}

/* -- a request ------------------------------------------------------------- */

/* "+HOST:PORT:ADDRESS,ADDRESS": as if the DNS had said so a moment ago. */
static bool
transfer_resolve(struct transfer *t, const struct http_request *r)
{
	char   line[RESOLVE_SIZE], text[64];
	size_t i;
	int    n = snprintf(line, sizeof(line), "+%s:%u:", r->host, r->port);

	if (strchr(r->host, ':') != NULL)
		return true; /* an address needs none */
	for (i = 0; i < t->address_count && n > 0 &&
	     (size_t)n < sizeof(line); i++)
		n += snprintf(line + n, sizeof(line) - (size_t)n,
		    t->addresses[i].family == AF_INET6 ? "%s[%s]" : "%s%s",
		    i > 0 ? "," : "", dns_address_text(&t->addresses[i],
			text));
	t->resolve = curl_slist_append(NULL, line);
	return t->resolve != NULL;
}

static bool
transfer_headers(struct transfer *t, const struct http_request *r)
{
	struct curl_slist *more;
	size_t		   i;

	/* the body comes at once */
	t->headers = curl_slist_append(NULL, "Expect:");
	for (i = 0; t->headers != NULL && i < r->header_count; i++) {
		more = curl_slist_append(t->headers, r->headers[i]);
		if (more == NULL)
			return false;
		t->headers = more;
	}
	return t->headers != NULL;
}

static void
transfer_set_limits(CURL *c, const struct http_request *r)
{
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(c, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)(r->timeout_ms < CONNECT_MS ? r->timeout_ms : CONNECT_MS));
}

static void
transfer_set_tls(CURL *c, struct transfer *t)
{
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	/* of the store that is lent alone */
	curl_easy_setopt(c, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, transfer_on_context);
	curl_easy_setopt(c, CURLOPT_SSL_CTX_DATA, t);
}

static void
transfer_set_callbacks(CURL *c, struct transfer *t)
{
	curl_easy_setopt(c, CURLOPT_PRIVATE, t);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->reason);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, transfer_on_open);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, transfer_on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, transfer_on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
}

static bool
transfer_begin(struct transfer *t, const struct http_request *r)
{
	CURL *c = t->easy = curl_easy_init();
	char  source[80];

	if (c == NULL || !transfer_headers(t, r) || !transfer_resolve(t, r))
		return false;
	transfer_set_callbacks(c, t);
	transfer_set_limits(c, r);
	transfer_set_tls(c, t);
	if (r->source != NULL) {
		snprintf(source, sizeof(source), "host!%s", r->source);
		curl_easy_setopt(c, CURLOPT_INTERFACE, source);
	}
	curl_easy_setopt(c, CURLOPT_RESOLVE, t->resolve);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)r->body.n);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body.p);
	return curl_easy_setopt(c, CURLOPT_URL, r->url) == CURLE_OK &&
	    curl_multi_add_handle(t->http->multi, c) == CURLM_OK;
}

uint64_t
http_post(struct http *h, const struct http_request *r)
{
	struct transfer *t = mem_alloc(sizeof(*t));

	loop_must_own(h->loop);
	t->http = h;
	t->ticket = ++h->last_ticket;
	t->begun = loop_now(h->loop);
	t->done = r->done;
	t->arg = r->arg;
	t->address_count = r->address_count < HTTP_ADDRESSES_MAX ?
	    r->address_count : HTTP_ADDRESSES_MAX;
	if (t->address_count > 0)
		memcpy(t->addresses, r->addresses,
		    t->address_count * sizeof(t->addresses[0]));
	t->self = &h->first;
	t->next = h->first;
	if (t->next != NULL)
		t->next->self = &t->next;
	h->first = t;
	if (transfer_begin(t, r))
		return t->ticket;
	transfer_free(t);
	return 0;
}

void
http_cancel(struct http *h, uint64_t ticket)
{
	struct transfer *t;

	for (t = h->first; t != NULL; t = t->next)
		if (t->ticket == ticket) {
			transfer_free(t);
			return;
		}
}

/* -- turns ----------------------------------------------------------------- */

/* Our own limits are failures of another kind to libcurl. */
static const char *
transfer_reason(const struct transfer *t, CURLcode result)
{
	/* a line without end fills the room that libcurl has for one */
	if (t->header_octets > HTTP_HEADER_MAX || (int)result == TOO_LARGE ||
	    (result == CURLE_OUT_OF_MEMORY && !reserve_is_short()))
		return "the header of the answer is too long";
	return t->reason[0] != '\0' ? t->reason : curl_easy_strerror(result);
}

/* A header that came whole is an answer, whatever became of the rest. */
static void
transfer_end(struct transfer *t, CURLcode result)
{
	struct http_answer a = { .retry_after_ms = -1, .reason = "" };
	char		   reason[HTTP_REASON_MAX];
	curl_off_t	   after = 0;
	long		   status = 0;
	http_fn		  *done = t->done;
	void		  *arg = t->arg;

	a.took_ms = loop_now(t->http->loop).ms - t->begun.ms;
	if (result == CURLE_OK || t->is_answered) {
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &after);
	}
	a.status = status > 0 ? (unsigned)status : 0;
	if (after > 0)
		a.retry_after_ms = after < 1000000 ? after * 1000 :
		    INT64_C(1000000000);
	if (a.status == 0)
		a.reason = bytes_text(bytes_of(transfer_reason(t, result)),
		    reason, sizeof(reason));
	transfer_free(t);
	done(arg, &a);
}

static void
http_drain(struct http *h)
{
	struct transfer *t;
	CURLMsg		*m;
	char		*private;
	int		 left;

	while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
		t = (struct transfer *)(void *)private;
		transfer_end(t, m->data.result);
	}
}

static void
http_act(struct http *h, curl_socket_t fd, int what)
{
	int running;

	(void)curl_multi_socket_action(h->multi, fd, what, &running);
	http_drain(h);
}

static void
http_on_timer(void *http, void *unused)
{
	(void)unused;
	http_act(http, CURL_SOCKET_TIMEOUT, 0);
}

static void
http_on_watch(void *http, int fd, int what)
{
	http_act(http, fd, ((what & WATCH_READ) != 0 ? CURL_CSELECT_IN : 0) |
	    ((what & WATCH_WRITE) != 0 ? CURL_CSELECT_OUT : 0));
}

static int
http_on_socket(CURL *easy, curl_socket_t fd, int what, void *http,
    void *watch)
{
	struct http  *h = http;
	struct watch *w = watch;
	int	      wanted = (what & CURL_POLL_IN) != 0 ? WATCH_READ : 0;

	(void)easy;
	if ((what & CURL_POLL_OUT) != 0)
		wanted |= WATCH_WRITE;
	if (what == CURL_POLL_REMOVE) {
		watch_close(w);
		return 0;
	}
	if (w != NULL) {
		watch_change(w, wanted);
		return 0;
	}
	w = watch_open(h->loop, fd, wanted, http_on_watch, h);
	if (w == NULL)
		return -1;
	curl_multi_assign(h->multi, fd, w);
	return 0;
}

static int
http_on_timeout(CURLM *multi, long ms, void *http)
{
	struct http *h = http;

	(void)multi;
	if (ms < 0)
		timer_clear(&h->timer);
	else
		timer_set(&h->timer, ms);
	return 0;
}
