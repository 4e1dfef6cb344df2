/* SPDX-License-Identifier: ISC */
/*
 * http.h - requests to web servers: libcurl on a loop.  One request, one
 * answer.
 *
 * Use:    h = http_new(loop, &e); http_trust(h, trust); t = http_post(h, &r);
 *         done comes exactly once, never from inside http_post(), unless
 *         http_cancel(h, t) was called before.
 * Owner:  an http belongs to its maker.  Everything in a request is copied,
 *         but for the body, which has to live until done or the cancel.
 * Thread: the loop's.
 * Fails:  in the answer: status 0 and a reason; ticket 0 when the library
 *         will not take it.
 *
 * It goes to one of the addresses that the caller has looked up and approved,
 * and to no other: libcurl asks no DNS, follows no redirect, takes no proxy,
 * no cookie and no password from anywhere.  TLS is 1.2 or newer, and the
 * server's certificate is verified with the name of the URL.  Connections are
 * kept for a while for the next request.  Of the answer at most
 * HTTP_BODY_MAX octets are read, and HTTP_HEADER_MAX of its header.
 * Replaced by tests/lib/fake_http.c in the replay tests.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/resolver.h"
#include "net/tls.h"

enum {
	HTTP_BODY_MAX = 4096,
	HTTP_HEADER_MAX = 32 * 1024,
	HTTP_REASON_MAX = 160,
	HTTP_ADDRESSES_MAX = 8 /* further ones are not tried */
};

struct http;

struct http_answer {
	unsigned    status; /* 0 = none came */
	int64_t	    retry_after_ms; /* -1 = it has not said */
	int64_t	    took_ms;
	const char *reason; /* for the log; "" with a status */
};
typedef void http_fn(void *arg, const struct http_answer *a);

struct http_request {
	const char *url;
	const char *host; /* of the URL, and its port */
	uint16_t    port;
	const struct dns_address *addresses;
	size_t	    address_count;
	const char *source; /* own address; NULL = any */
	const char *const *headers; /* "Name: value" */
	size_t	    header_count;
	struct bytes body;
	int64_t	    timeout_ms; /* for all of it */
	http_fn	   *done;
	void	   *arg;
};

struct http *http_new(struct loop *l, struct err *e);
void http_free(struct http *h); /* nobody is told; NULL is allowed */
/* For connections from now on; a reference is taken. */
void http_trust(struct http *h, struct tls_trust *t);
uint64_t http_post(struct http *h, const struct http_request *r);
void http_cancel(struct http *h, uint64_t ticket);
const char *http_library(void); /* version of libcurl */

#endif
