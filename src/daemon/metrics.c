/* SPDX-License-Identifier: ISC */
#include "daemon/metrics.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/metrics_page.h"
#include "daemon/relay.h"

enum {
	METRICS_WAIT_S = 10,
	METRICS_HEADERS_MAX = 8192,
	METRICS_PAGE_MAX = 16 * 1024 * 1024
};

struct metrics {
	struct relay  *relay;
	struct evhttp *http;
};

/* -- the page of posthornctl metrics --------------------------------------- */

void
metrics_write(struct relay *r, struct buf *out)
{
	metrics_page_write(r, false, out);
}

/* -- HTTP ------------------------------------------------------------------ */

static bool
metrics_is_allowed(struct metrics *m, struct evhttp_request *q)
{
	struct evhttp_connection *c = evhttp_request_get_connection(q);
	struct conf_addr	  a = { .family = 0 };
	char			 *address = NULL;
	uint16_t		  port;

	if (c == NULL)
		return false;
	evhttp_connection_get_peer(c, &address, &port);
	return address != NULL &&
	    conf_addr_parse_ip(bytes_of(address), 0, &a) &&
	    conf_cidrs_contain(&m->relay->conf->metrics.allow, &a.u.sa);
}

static void
metrics_send_page(struct metrics *m, struct evhttp_request *q)
{
	const char *accept = evhttp_find_header(
	    evhttp_request_get_input_headers(q), "Accept");
	bool open = accept != NULL &&
	    strstr(accept, "application/openmetrics-text") != NULL;
	struct evbuffer *body = evbuffer_new();
	struct buf	 page;

	buf_init(&page, METRICS_PAGE_MAX);
	metrics_page_write(m->relay, open, &page);
	if (body == NULL || page.failed ||
	    evbuffer_add(body, page.p, page.n) != 0) {
		evhttp_send_error(q, HTTP_INTERNAL, NULL);
	} else {
		evhttp_add_header(evhttp_request_get_output_headers(q),
		    "Content-Type", open ?
			"application/openmetrics-text; version=1.0.0; "
			"charset=utf-8" :
			"text/plain; version=0.0.4; charset=utf-8");
		evhttp_send_reply(q, HTTP_OK, "OK", body);
	}
	if (body != NULL)
		evbuffer_free(body);
	buf_wipe(&page);
}

static void
metrics_on_request(struct evhttp_request *q, void *metrics)
{
	struct metrics	       *m = metrics;
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(q);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;

	if (!metrics_is_allowed(m, q))
		evhttp_send_error(q, 403, "Forbidden");
	else if (path == NULL || strcmp(path, "/metrics") != 0)
		evhttp_send_error(q, HTTP_NOTFOUND, NULL);
	else
		metrics_send_page(m, q);
}

struct metrics *
metrics_new(struct relay *r, int listen_fd, struct err *e)
{
	struct metrics *m = mem_alloc(sizeof(*m));

	m->relay = r;
	if (evutil_make_socket_nonblocking(listen_fd) != 0) {
		err_sys(e, "metrics socket");
		goto failed;
	}
	m->http = evhttp_new(loop_event_base(r->main));
	if (m->http == NULL) {
		err_set(e, "metrics: no memory");
		goto failed;
	}
	evhttp_set_timeout(m->http, METRICS_WAIT_S);
	evhttp_set_max_headers_size(m->http, METRICS_HEADERS_MAX);
	evhttp_set_max_body_size(m->http, 0);
	evhttp_set_allowed_methods(m->http,
	    EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_gencb(m->http, metrics_on_request, m);
	if (evhttp_accept_socket(m->http, listen_fd) != 0) {
		err_set(e, "metrics: cannot accept");
		goto failed;
	}
	return m;
failed:
	close(listen_fd);
	metrics_free(m);
	return NULL;
}

void
metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	if (m->http != NULL)
		evhttp_free(m->http); /* closes the socket */
	mem_free(m);
}
