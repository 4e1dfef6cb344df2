/* SPDX-License-Identifier: ISC */
/*
 * text.h - the message of the benchmark: a header section and a body that
 * name its number, and the checksum by which the sink knows it again.
 * Use:    text_make(&t, from, octets) once; text_number(&t, copy, i) in a
 *         copy of t.p for each message.  Ends with the line of the dot; the
 *         body begins at t.body.
 * Owner:  t.p is the caller's; free().
 */
#ifndef BENCH_TEXT_H
#define BENCH_TEXT_H

#include <stdio.h>
#include <stdlib.h>

#include "sum.h"

struct text {
	char  *p;
	size_t n, body, number_at[2], sent_at;
};

static inline void
text_make(struct text *t, const char *from, size_t octets)
{
	struct sum sum = { 0 };
	size_t	   n, sum_at, rest;

	t->p = malloc(octets + 4096);
	n = (size_t)sprintf(t->p, "From: Bench <%s>\r\nTo: you@sink.example\r\n"
	    "Subject: benchmark\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\nX-Bench: ", from);
	t->number_at[0] = n;
	sum_at = n + 11;
	n += (size_t)sprintf(t->p + n, "%010u %016x ", 0, 0);
	t->sent_at = n;
	n += (size_t)sprintf(t->p + n, "%016u\r\n\r\n", 0);
	t->body = n;
	n += (size_t)sprintf(t->p + n, "Message ");
	t->number_at[1] = n;
	n += (size_t)sprintf(t->p + n, "%010u\r\n", 0);
	for (rest = n; n < octets || n == rest;)
		n += (size_t)sprintf(t->p + n, "The quick brown fox jumps over "
		    "the lazy dog, %08zu times a day.\r\n", n);
	sum_feed(&sum, t->p + rest, n - rest);
	sprintf(t->p + sum_at, "%016lx", sum_end(&sum));
	t->p[sum_at + 16] = ' ';
	n += (size_t)sprintf(t->p + n, ".\r\n");
	t->n = n;
}

static inline void
text_number(const struct text *t, char *copy, unsigned i)
{
	char digits[11];

	snprintf(digits, sizeof(digits), "%010u", i);
	memcpy(copy + t->number_at[0], digits, 10);
	memcpy(copy + t->number_at[1], digits, 10);
}

/* When it was handed in, in us of the monotonic clock: for the sink. */
static inline void
text_sent(const struct text *t, char *copy, unsigned long us)
{
	char digits[17];

	snprintf(digits, sizeof(digits), "%016lu", us);
	memcpy(copy + t->sent_at, digits, 16);
}

#endif
