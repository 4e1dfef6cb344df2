/* SPDX-License-Identifier: ISC */
/*
 * fake_http.h - the web servers of the tests: what they answer, what came.
 * Use:    fake_http_answers("hooks.example", "503 503 200"): in turn, the last
 *         one stays.  An answer is a status, "503+120" with Retry-After in
 *         seconds, "refuse" (nobody listens), "hang" (nothing comes), or a
 *         status with "@5": it comes after 5 s.  Unknown hosts refuse.
 * Owner:  there is one table; what was posted is noted until
 *         fake_http_forget().
 * Thread: one.
 * Fails:  never; an answer that cannot be read is 200.
 * Stands in the place of net/http.c.
 */
#ifndef TESTS_FAKE_HTTP_H
#define TESTS_FAKE_HTTP_H

#include "base/clock.h"
#include "net/http.h"

struct fake_posted {
	struct wall at;
	char	    host[254], address[64];
	char	   *headers; /* each with a line end */
	char	   *body;
};
void fake_http_answers(const char *host, const char *answers);
size_t fake_http_count(void);
const struct fake_posted *fake_http_posted(size_t i);
/* The value of a header; "" = it has none. */
const char *fake_http_header(const struct fake_posted *p, const char *name);
size_t fake_http_open(void); /* without an answer yet */
void fake_http_forget(void);

#endif
