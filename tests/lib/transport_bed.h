/* SPDX-License-Identifier: ISC */
/*
 * transport_bed.h - a transport alone: fake stream, fake clock, content from
 * memory in place of the spool, and a receiver that says what it is told.
 * Use:    bed_open(&b); b.setup...; bed_connect(&b); bed_say(&b, octets) ...;
 *         bed_close(&b).  What the transport sent is in b.said.
 * For the unit test and the fuzz target.
 */
#ifndef TESTS_TRANSPORT_BED_H
#define TESTS_TRANSPORT_BED_H

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "delivery/transport.h"
#include "fake_clock.h"
#include "fake_stream.h"
#include "fake_thread.h"

enum { BED_RECIPIENTS_MAX = 3 };

struct transport_bed {
	struct loop	       *loop;
	struct transport_setup	setup;
	struct transport       *t;
	struct fake_link       *link;
	struct buf		said; /* by the transport */
	struct attempt	       *a;
	unsigned		answers, ready, done, gone, handshakes, ends;
	bool			handshake; /* on_gone: try without TLS */
	struct result		result;	   /* of on_gone */
	/* TLS, when the transport begins it: version, NULL = it fails */
	const char *tls_version;
	bool	    tls_trusted;
	bool	    is_deaf, hangs_in_tls; /* as long as the test likes */
};
/* In place of the spool's: what a message consists of. */
static struct bytes bed_content;

ptrdiff_t
spool_read_content(struct spool *s, const struct message_row *m,
    uint64_t offset, char *buf, size_t size, struct err *e)
{
	struct bytes rest;

	(void)s;
	(void)e;
	(void)m;
	if (offset >= bed_content.n)
		return 0;
	rest = bytes_from(bed_content, (size_t)offset);
	if (rest.n > size)
		rest.n = size;
	memcpy(buf, rest.p, rest.n);
	return (ptrdiff_t)rest.n;
}

static inline void
bed_on_data(void *bed, struct bytes data)
{
	struct transport_bed *b = bed;

	buf_add_bytes(&b->said, data);
}

static inline void
bed_on_tls(void *bed, bool ok, const char *name, bool verify)
{
	struct transport_bed *b = bed;

	(void)ok;
	(void)name;
	b->handshakes++;
	if (b->hangs_in_tls)
		return;
	fake_link_tls(b->link, verify && !b->tls_trusted ? NULL
							 : b->tls_version,
	    "self-signed certificate", b->tls_trusted);
}

static inline void
bed_on_peer_end(void *bed)
{
	struct transport_bed *b = bed;

	b->ends++;
}

static inline void
bed_on_connect(void *bed, struct fake_link *l, const struct sockaddr *to,
    const struct sockaddr *from)
{
	static const struct fake_peer_events ev = { bed_on_data, bed_on_tls,
		bed_on_peer_end };
	struct transport_bed *b = bed;

	(void)to;
	(void)from;
	b->link = l;
	if (!b->is_deaf)
		fake_link_accept(l, &ev, b);
}

static inline void
bed_on_answer(void *bed)
{
	((struct transport_bed *)bed)->answers++;
}

static inline void
bed_on_ready(void *bed)
{
	((struct transport_bed *)bed)->ready++;
}

static inline void
bed_on_done(void *bed, struct attempt *a)
{
	struct transport_bed *b = bed;

	must(a == b->a);
	b->done++;
}

static inline void
bed_on_gone(void *bed, const struct result *r, bool handshake)
{
	struct transport_bed *b = bed;

	b->gone++;
	b->t = NULL;
	b->result = *r;
	b->handshake = handshake;
}

static inline void
bed_open(struct transport_bed *b)
{
	static struct sockaddr_in to;
	struct err		  e;

	memset(b, 0, sizeof(*b));
	fake_clock_set((struct wall){ INT64_C(1714564800000) });
	b->loop = loop_new("delivery", 1024, &e);
	must(b->loop != NULL);
	fake_threads_begin(b->loop);
	fake_net_open(b->loop, bed_on_connect, b);
	buf_init(&b->said, 64 * 1024 * 1024);
	to.sin_family = AF_INET;
	to.sin_port = htons(25);
	to.sin_addr.s_addr = htonl(0xc6336401); /* 198.51.100.1 */
	b->setup.loop = b->loop;
	b->setup.tls = tls_client_new(NULL, &e);
	b->setup.to = (struct sockaddr *)&to;
	b->setup.host = "mx.sink.example";
	b->setup.ehlo = "mail.relay.example";
	b->setup.demand = TLS_TRY;
	b->setup.use_bdat = true;
	b->tls_version = "TLSv1.3";
	bed_content = BYTES("Subject: x\r\n\r\n.dot\r\n");
}

static inline void
bed_connect(struct transport_bed *b)
{
	static const struct transport_events ev = { bed_on_answer, bed_on_ready,
		bed_on_done, bed_on_gone };
	struct err e;

	b->t = transport_open(&b->setup, &ev, b, &e);
	must(b->t != NULL);
	must(fake_threads_settle());
}

/* An attempt for so many recipients; it is delivered at once. */
static inline void
bed_deliver(struct transport_bed *b, unsigned recipients, bool has_8bit)
{
	static const char *const names[BED_RECIPIENTS_MAX] = {
		"a@sink.example", "b@sink.example", "c@sink.example" };
	unsigned i;

	attempt_free(b->a);
	b->a = attempt_new();
	b->a->sender = BYTES("bounce@relay.example");
	b->a->tls = b->setup.demand;
	b->a->message.head_octets = bed_content.n;
	b->a->message.has_8bit = has_8bit;
	b->a->count = recipients;
	b->a->envelopes = arena_alloc(b->a->arena,
	    recipients * sizeof(*b->a->envelopes));
	for (i = 0; i < recipients; i++) {
		b->a->envelopes[i].n = i + 1;
		b->a->envelopes[i].address = bytes_of(names[i]);
	}
	b->done = 0;
	transport_deliver(b->t, b->a);
	must(fake_threads_settle());
}

static inline void
bed_say(struct transport_bed *b, struct bytes octets)
{
	if (b->link == NULL)
		return;
	fake_link_write(b->link, octets);
	must(fake_threads_settle());
}

static inline void
bed_close(struct transport_bed *b)
{
	transport_close(b->t);
	must(fake_threads_advance(10000)); /* a QUIT takes five seconds */
	fake_threads_end(b->loop);
	fake_net_cut();
	loop_free(b->loop);
	fake_net_close();
	tls_client_unref(b->setup.tls);
	attempt_free(b->a);
	buf_wipe(&b->said);
}

#endif
