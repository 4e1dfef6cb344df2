/* SPDX-License-Identifier: ISC */
#include "fake_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct fake_host {
	struct fake_host *next;
	char		  name[254];
	char		 *answers, *at;
};

struct exchange {
	struct exchange *next, **self;
	struct http	*http;
	uint64_t	 ticket;
	struct timer	 timer;
	struct mono	 begun;
	struct http_answer answer;
	http_fn		*done;
	void		*arg;
};

struct http {
	struct loop	*loop;
	struct exchange *first;
	uint64_t	 last_ticket;
};

static struct {
	struct fake_host   *hosts;
	struct fake_posted *v;
	size_t		    n, cap, open;
} the_web;

/* -- the table -------------------------------------------------------------- */

void
fake_http_answers(const char *host, const char *answers)
{
	struct fake_host *h;

	for (h = the_web.hosts; h != NULL; h = h->next)
		if (strcmp(h->name, host) == 0)
			break;
	if (h == NULL) {
		h = mem_alloc(sizeof(*h));
		snprintf(h->name, sizeof(h->name), "%s", host);
		h->next = the_web.hosts;
		the_web.hosts = h;
	}
	mem_free(h->answers);
	h->at = h->answers = mem_dup(answers);
}

size_t
fake_http_count(void)
{
	return the_web.n;
}

const struct fake_posted *
fake_http_posted(size_t i)
{
	must(i < the_web.n);
	return &the_web.v[i];
}

const char *
fake_http_header(const struct fake_posted *p, const char *name)
{
	static char value[4096];
	const char *line, *end;
	size_t	    n = strlen(name);

	for (line = p->headers; (end = strchr(line, '\n')) != NULL;
	     line = end + 1)
		if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
			snprintf(value, sizeof(value), "%.*s",
			    (int)(end - line) - (int)n - 2, line + n + 2);
			return value;
		}
	return "";
}

size_t
fake_http_open(void)
{
	return the_web.open;
}

void
fake_http_forget(void)
{
	while (the_web.n > 0) {
		the_web.n--;
		mem_free(the_web.v[the_web.n].headers);
		mem_free(the_web.v[the_web.n].body);
	}
}

static void
web_note(const struct http *h, const struct http_request *r)
{
	struct fake_posted *p;
	struct buf	    lines;
	size_t		    i;

	if (the_web.n == the_web.cap) {
		the_web.cap = 2 * the_web.cap + 16;
		the_web.v = mem_realloc(the_web.v,
		    the_web.cap * sizeof(the_web.v[0]));
	}
	p = &the_web.v[the_web.n++];
	memset(p, 0, sizeof(*p));
	p->at = loop_wall(h->loop);
	snprintf(p->host, sizeof(p->host), "%s", r->host);
	must(r->address_count > 0);
	dns_address_text(&r->addresses[0], p->address);
	buf_init(&lines, 65536);
	for (i = 0; i < r->header_count; i++)
		buf_printf(&lines, "%s\n", r->headers[i]);
	buf_add_char(&lines, '\0');
	must(!lines.failed);
	p->headers = mem_dup(lines.p);
	buf_wipe(&lines);
	p->body = mem_dup_bytes(r->body);
}

/* -- the client -------------------------------------------------------------- */

struct http *
http_new(struct loop *l, struct err *e)
{
	struct http *h = mem_alloc(sizeof(*h));

	(void)e;
	h->loop = l;
	return h;
}

static void
exchange_free(struct exchange *x)
{
	timer_clear(&x->timer);
	*x->self = x->next;
	if (x->next != NULL)
		x->next->self = x->self;
	the_web.open--;
	mem_free(x);
}

void
http_free(struct http *h)
{
	if (h == NULL)
		return;
	while (h->first != NULL)
		exchange_free(h->first);
	mem_free(h);
}

void
http_trust(struct http *h, struct tls_trust *t)
{
	(void)h;
	(void)t;
}

const char *
http_library(void)
{
	return "fake";
}

static void
exchange_on_timer(void *exchange, void *unused)
{
	struct exchange	  *x = exchange;
	struct http_answer a = x->answer;
	http_fn		  *done = x->done;
	void		  *arg = x->arg;

	(void)unused;
	a.took_ms = loop_now(x->http->loop).ms - x->begun.ms;
	exchange_free(x);
	done(arg, &a);
}

/* The next word of the host, and when its answer comes. */
static int64_t
host_answer(const char *host, struct http_answer *a, int64_t timeout_ms)
{
	struct fake_host *h;
	char		  word[64] = "refuse";
	const char	 *p;
	int64_t		  after = 0;

	for (h = the_web.hosts; h != NULL; h = h->next)
		if (strcmp(h->name, host) == 0) {
			sscanf(h->at, "%63s", word);
			p = strchr(h->at, ' ');
			if (p != NULL)
				h->at = (char *)(uintptr_t)p + 1;
		}
	a->reason = "";
	a->retry_after_ms = -1;
	if (strcmp(word, "refuse") == 0 || strcmp(word, "hang") == 0) {
		a->reason = word[0] == 'r' ? "Connection refused" :
			"Operation timed out";
		return word[0] == 'r' ? 0 : timeout_ms;
	}
	a->status = (unsigned)atoi(word);
	if ((p = strchr(word, '+')) != NULL)
		a->retry_after_ms = INT64_C(1000) * atoi(p + 1);
	if ((p = strchr(word, '@')) != NULL)
		after = INT64_C(1000) * atoi(p + 1);
	if (a->status == 0)
		a->status = 200;
	return after;
}

uint64_t
http_post(struct http *h, const struct http_request *r)
{
	struct exchange *x = mem_alloc(sizeof(*x));
	int64_t		 after;

	loop_must_own(h->loop);
	web_note(h, r);
	x->http = h;
	x->ticket = ++h->last_ticket;
	x->begun = loop_now(h->loop);
	x->done = r->done;
	x->arg = r->arg;
	x->self = &h->first;
	x->next = h->first;
	if (x->next != NULL)
		x->next->self = &x->next;
	h->first = x;
	the_web.open++;
	after = host_answer(r->host, &x->answer, r->timeout_ms);
	timer_init(&x->timer, h->loop, exchange_on_timer, x);
	timer_set(&x->timer, after);
	return x->ticket;
}

void
http_cancel(struct http *h, uint64_t ticket)
{
	struct exchange *x;

	for (x = h->first; x != NULL; x = x->next)
		if (x->ticket == ticket) {
			exchange_free(x);
			return;
		}
}
