/* SPDX-License-Identifier: ISC */
/*
 * spool_fill.c - a queue of many deferred messages, laid down by the spool
 * itself: what a daemon would have left behind after it had accepted each and
 * tried each once in vain.
 * Use:    spool_fill DIR ACCOUNT MESSAGES OCTETS FROM UNTIL DOMAINS
 *         DIR is the store of a daemon that is stopped.  The next attempts
 *         lie between these times, in seconds since 1970.  DOMAINS: one for
 *         each, turn by turn, separated by commas ("d%u.x.example" counts
 *         to 1,000).  Prints us of wall and of CPU a message, and the file.
 * No verdict.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/thread.h"
#include "store/spool.h"
#include "text.h"

enum { GROUP = 512, DOMAINS_MAX = 64, LIFETIME_MS = 259200000 };

struct fill {
	struct spool	 *spool;
	struct loop	 *asker;
	unsigned	  waiting;
	struct text	  text;
	char		 *own;
	const char	 *account;
	char		 *domain[DOMAINS_MAX];
	unsigned	  domains, made;
	int64_t		  from_ms, until_ms;
	struct submission submission[GROUP];
	struct change	  change;
	struct change_item item[GROUP];
	struct event	  event[GROUP];
	struct event_recipient to[GROUP];
};

static double
cpu_us(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 +
	    (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static void
on_receipt(void *ctx, void *load)
{
	struct fill *f = ctx;

	(void)load;
	if (--f->waiting == 0)
		loop_stop(f->asker);
}

static void
address(const struct fill *f, unsigned i, char out[128])
{
	int n = snprintf(out, 128, "user%u@", i);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(out + n, 128 - (size_t)n, f->domain[i % f->domains],
	    i % 1000);
#pragma GCC diagnostic pop
}

/* As receive.c leaves one: head and body apart, the facts beside them. */
static struct message *
make(struct fill *f)
{
	struct message *m = message_new(1 << 16);
	struct text    *t = &f->text;
	char		to[128], head[2048];
	unsigned	i = f->made++;
	int		n;

	text_number(t, f->own, i);
	m->accepted = clock_wall();
	m->expires.ms = m->accepted.ms + LIFETIME_MS;
	msgid_make(m->accepted, &m->id);
	snprintf(m->account, sizeof(m->account), "%s", f->account);
	address(f, i, to);
	n = snprintf(head, sizeof(head), "Received: from bench.example "
	    "([127.0.0.1])\r\n\tby mail.relay.example with ESMTPA id "
	    "%010u\r\n\tfor <%s>; Mon, 30 Nov 2026 12:00:00 +0000\r\n"
	    "Message-ID: <%010u@mail.relay.example>\r\n%.*s", i, to, i,
	    (int)t->body, f->own);
	must(message_add_envelope(m, bytes_of(to)) != NULL);
	must(message_set(m, &m->sender, BYTES("bench@example.com")));
	must(message_set(m, &m->credential, BYTES("app1")));
	must(message_set(m, &m->access_key, BYTES("AKIA0123456789ABCDEF")));
	must(message_set(m, &m->sid, BYTES("0123456789abcdef")));
	must(message_set(m, &m->listener, BYTES("clear")));
	must(message_set(m, &m->identity, BYTES("example.com")));
	must(message_set(m, &m->identity_account, bytes_of(f->account)));
	must(message_set(m, &m->from_domain, BYTES("example.com")));
	must(message_set(m, &m->mail_from_domain, BYTES("relay.example")));
	must(message_set(m, &m->client_ip, BYTES("127.0.0.1")));
	must(message_set(m, &m->head, (struct bytes){ head, (size_t)n }));
	must(message_add_body(m, (struct bytes){ f->own + t->body,
	    t->n - 3 - t->body }));
	return m;
}

static void
submit(struct fill *f, unsigned n)
{
	struct submission *s;
	unsigned	   i;

	for (i = 0; i < n; i++) {
		s = &f->submission[i];
		memset(s, 0, sizeof(*s));
		s->message = make(f);
		s->from = f->asker;
		s->on_receipt = on_receipt;
		s->ctx = f;
		f->waiting++;
		must(spool_submit(f->spool, s));
	}
	loop_run(f->asker);
}

/* The first attempt was put off by the receiver. */
static void
defer(struct fill *f, unsigned i)
{
	const struct message *m = f->submission[i].message;
	struct change_item   *x = &f->item[i];
	struct event	     *ev = &f->event[i];

	memset(x, 0, sizeof(*x));
	memset(ev, 0, sizeof(*ev));
	x->kind = CHANGE_DEFER;
	x->id = m->id;
	x->n = 1;
	x->attempts = 1;
	x->next.ms = f->from_ms +
	    (f->until_ms > f->from_ms
		? random() % (f->until_ms - f->from_ms) : 0);
	x->last_reply = BYTES("451 4.3.0 try again later");
	x->last_remote = BYTES("127.0.0.1");
	x->last_stage = BYTES("rcpt");
	x->event = ev;
	event_id_make(m->accepted, &ev->id);
	ev->type = EVENT_DELIVERY_DELAY;
	ev->at = m->accepted;
	ev->message = m->id;
	ev->expires = m->expires;
	ev->attempts = 1;
	ev->recipients = &f->to[i];
	ev->recipient_count = 1;
	f->to[i] = (struct event_recipient){
		.address = m->envelopes[0].address,
		.status = BYTES("4.3.0"),
		.diagnostic = BYTES("smtp; 451 4.3.0 try again later") };
}

static void
put_off(struct fill *f, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		must(f->submission[i].result == RECEIPT_OK);
		defer(f, i);
	}
	memset(&f->change, 0, sizeof(f->change));
	f->change.from = f->asker;
	f->change.on_receipt = on_receipt;
	f->change.ctx = f;
	f->change.items = f->item;
	f->change.count = n;
	f->waiting = 1;
	must(spool_change(f->spool, &f->change));
	loop_run(f->asker);
	for (i = 0; i < n; i++)
		message_free(f->submission[i].message);
}

static void
take_arguments(struct fill *f, char **argv)
{
	char *name;

	f->account = argv[2];
	text_make(&f->text, "bench@example.com", (size_t)atol(argv[4]));
	f->own = malloc(f->text.n);
	memcpy(f->own, f->text.p, f->text.n);
	f->from_ms = atol(argv[5]) * 1000;
	f->until_ms = atol(argv[6]) * 1000;
	for (name = strtok(argv[7], ","); name != NULL &&
	    f->domains < DOMAINS_MAX; name = strtok(NULL, ","))
		f->domain[f->domains++] = name;
}

int
main(int argc, char **argv)
{
	static struct fill   f;
	struct spool_setup   setup;
	struct spool_figures g;
	struct err	     e;
	double		     cpu;
	int64_t		     wall;
	unsigned	     n, k, messages;

	if (argc != 8) {
		fprintf(stderr, "spool_fill: see the head of spool_fill.c\n");
		return 64;
	}
	take_arguments(&f, argv);
	messages = (unsigned)atol(argv[3]);
	memset(&setup, 0, sizeof(setup));
	setup.dir = argv[1];
	setup.map_bytes = UINT64_C(64) << 30;
	setup.messages_max = 100000000;
	setup.index_keep_ms = INT64_C(5184000000);
	setup.tail_keep_ms = 86400000;
	f.asker = loop_new("asker", 8192, &e);
	f.spool = spool_open(&setup, &e);
	if (f.asker == NULL || f.spool == NULL ||
	    spool_start(f.spool, &e) < 0) {
		fprintf(stderr, "spool_fill: %s\n", e.text);
		return 1;
	}
	cpu = cpu_us();
	wall = clock_mono_us();
	for (n = 0; n < messages; n += k) {
		k = messages - n < GROUP ? messages - n : GROUP;
		submit(&f, k);
		put_off(&f, k);
	}
	must(spool_figures(f.spool, &g, &e) == 0);
	printf("{\"messages\": %u, \"wall_us\": %.1f, \"cpu_us\": %.1f, "
	    "\"file_mb\": %lu, \"free_mb\": %lu}\n", n,
	    (double)(clock_mono_us() - wall) / n, (cpu_us() - cpu) / n,
	    (unsigned long)((g.used_bytes + g.free_page_bytes) >> 20),
	    (unsigned long)(g.free_page_bytes >> 20));
	spool_stop(f.spool);
	spool_close(f.spool);
	loop_free(f.asker);
	free(f.text.p);
	free(f.own);
	return 0;
}
