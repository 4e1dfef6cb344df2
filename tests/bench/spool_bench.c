/* SPDX-License-Identifier: ISC */
/*
 * spool_bench.c - what a message costs the spool: submitted and settled, in
 * groups of a size, beside a number of queued ones.
 * Use:    spool_bench DIR [OCTETS] [MESSAGES]
 *         prints for groups of 1 and 32, with 0 and 100,000 queued: us of
 *         wall clock and of CPU of the whole process a message (the making
 *         of the message included, shown apart), commits and file size.
 *         Then churn: of each five messages one stays among 100,000 and
 *         leaves in random order; old rows are swept meanwhile.  Cost and
 *         file must stay flat from one line to the next.
 *         spool_bench --churn DIR OCTETS MESSAGES
 *         the churn alone, so many in and out in twelve lines; then what the
 *         record and the events of one message take that are kept for
 *         feedback.index_days.
 * No verdict.  DIR is left behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/thread.h"
#include "store/spool.h"

enum { GROUP_MAX = 512, LAG = 1000, QUEUED = 100000 };

struct bench {
	struct spool *spool;
	struct loop  *asker;
	unsigned      waiting;
	size_t	      octets;
	struct submission submissions[GROUP_MAX];
	struct change	  changes[GROUP_MAX];
	struct change_item items[GROUP_MAX];
	struct msgid	   ids[LAG]; /* on their way out */
	struct msgid	  *pool;     /* those that stay */
	size_t		   in, out;
	double		   made_us;
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
	struct bench *b = ctx;

	(void)load;
	if (--b->waiting == 0)
		loop_stop(b->asker);
}

static void
wait_all(struct bench *b)
{
	if (b->waiting > 0)
		loop_run(b->asker);
}

static struct message *
make(struct bench *b)
{
	static char	body[1 << 20], head[1200];
	static unsigned n;
	struct message *m = message_new(1 << 16);
	char		to[64];

	memset(head, 'h', sizeof(head));
	m->accepted = clock_wall();
	m->expires.ms = m->accepted.ms + 259200000;
	msgid_make(m->accepted, &m->id);
	strcpy(m->account, "123456789012");
	snprintf(to, sizeof(to), "user%u@d%u.example", n, n % 1000);
	n++;
	must(message_add_envelope(m, bytes_of(to)) != NULL);
	must(message_set(m, &m->sender, BYTES("sender@example.com")));
	must(message_set(m, &m->credential, BYTES("app1")));
	must(message_set(m, &m->identity, BYTES("example.com")));
	must(message_set(m, &m->mail_from_domain, BYTES("bounces.x.example")));
	must(message_set(m, &m->client_ip, BYTES("203.0.113.77")));
	must(message_set(m, &m->snapshot, (struct bytes){ head, 600 }));
	must(message_set(m, &m->head, (struct bytes){ head, sizeof(head) }));
	must(message_add_body(m, (struct bytes){ body, b->octets }));
	return m;
}

static void
submit(struct bench *b, unsigned group)
{
	double	 began = cpu_us();
	unsigned i;

	for (i = 0; i < group; i++) {
		memset(&b->submissions[i], 0, sizeof(b->submissions[i]));
		b->submissions[i].message = make(b);
	}
	b->made_us += cpu_us() - began;
	for (i = 0; i < group; i++) {
		b->submissions[i].from = b->asker;
		b->submissions[i].on_receipt = on_receipt;
		b->submissions[i].ctx = b;
		b->waiting++;
		must(spool_submit(b->spool, &b->submissions[i]));
	}
}

static void
submit_done(struct bench *b, unsigned group)
{
	unsigned i;

	for (i = 0; i < group; i++) {
		must(b->submissions[i].result == RECEIPT_OK);
		b->ids[b->in++ % LAG] = b->submissions[i].message->id;
		message_free(b->submissions[i].message);
	}
}

/* One change of one envelope, in the place i of the group. */
static struct change_item *
change(struct bench *b, unsigned i, enum change_kind kind, struct msgid id)
{
	memset(&b->changes[i], 0, sizeof(b->changes[i]));
	memset(&b->items[i], 0, sizeof(b->items[i]));
	b->items[i].kind = kind;
	b->items[i].id = id;
	b->items[i].n = 1;
	b->changes[i].items = &b->items[i];
	b->changes[i].count = 1;
	b->changes[i].from = b->asker;
	b->changes[i].on_receipt = on_receipt;
	b->changes[i].ctx = b;
	b->waiting++;
	return &b->items[i];
}

static void
defer(struct bench *b, unsigned i, struct msgid id)
{
	struct change_item *item = change(b, i, CHANGE_DEFER, id);

	item->attempts = 1;
	item->next.ms = clock_wall().ms + 3600000 + random() % 3600000;
	item->last_reply = BYTES("451 4.3.0 later");
	must(spool_change(b->spool, &b->changes[i]));
}

static void
done(struct bench *b, unsigned i, struct msgid id)
{
	static struct event_recipient to = { .address = BYTES(
	    "user1@d1.example") };
	static struct event	      ev = { .type = EVENT_DELIVERY,
		      .recipients = &to, .recipient_count = 1,
		      .reply = BYTES("250 2.0.0 Ok: queued as 4F1A2B3C4D"),
		      .reporting_mta = BYTES("relay.example"),
		      .remote_ip = BYTES("192.0.2.25"),
		      .outgoing_ip = BYTES("203.0.113.10") };
	struct change_item *item = change(b, i, CHANGE_DONE, id);

	ev.message = id;
	item->event = &ev;
	must(spool_change(b->spool, &b->changes[i]));
}

static void
settle(struct bench *b, unsigned group)
{
	unsigned i;

	for (i = 0; i < group; i++)
		done(b, i, b->ids[b->out++ % LAG]);
}

/* Fills the queue with messages that wait for hours. */
static void
fill(struct bench *b, unsigned n)
{
	unsigned i, k;

	for (k = 0; k < n; k += GROUP_MAX / 2) {
		submit(b, GROUP_MAX / 2);
		wait_all(b);
		submit_done(b, GROUP_MAX / 2);
		for (i = 0; i < GROUP_MAX / 2; i++) {
			b->pool[(k + i) % QUEUED] = b->ids[b->out % LAG];
			defer(b, i, b->ids[b->out++ % LAG]);
		}
		wait_all(b);
	}
}

/* The settled ones follow the new ones at a distance. */
static void
lead(struct bench *b)
{
	while (b->in - b->out < LAG / 2) {
		submit(b, GROUP_MAX / 4);
		wait_all(b);
		submit_done(b, GROUP_MAX / 4);
	}
}

static void
churn(struct bench *b, unsigned messages)
{
	struct spool_figures f;
	double		     cpu = cpu_us(), made = b->made_us;
	int64_t		     wall = clock_mono_us();
	unsigned	     i, k, n;
	struct msgid	     id;
	struct err	     e;

	lead(b);
	for (n = 0; n < messages; n += 32) {
		for (i = 0; i < 32; i++) {
			id = b->ids[b->out++ % LAG];
			k = (unsigned)random() % QUEUED;
			if (i % 5 == 0) {
				defer(b, i, id);
				done(b, 64 + i, b->pool[k]);
				b->pool[k] = id;
			} else {
				done(b, i, id);
			}
		}
		submit(b, 32);
		wait_all(b);
		submit_done(b, 32);
		if (n % 8192 == 0)
			spool_sweep(b->spool);
	}
	cpu = cpu_us() - cpu - (b->made_us - made);
	wall = clock_mono_us() - wall;
	must(spool_figures(b->spool, &f, &e) == 0);
	printf("churn among %u: %6.1f us wall, %6.1f us cpu, file %lu MB, "
	    "%lu MB free\n", QUEUED, (double)wall / n, cpu / n,
	    (unsigned long)((f.used_bytes + f.free_page_bytes) >> 20),
	    (unsigned long)(f.free_page_bytes >> 20));
	fflush(stdout);
}

static void
run(struct bench *b, unsigned group, unsigned messages, unsigned queued)
{
	struct spool_figures f, g;
	double		     cpu, made = b->made_us;
	int64_t		     wall;
	unsigned	     n;
	struct err	     e;

	lead(b);
	must(spool_figures(b->spool, &f, &e) == 0);
	cpu = cpu_us();
	wall = clock_mono_us();
	for (n = 0; n < messages; n += group) {
		settle(b, group);
		submit(b, group);
		wait_all(b);
		submit_done(b, group);
	}
	cpu = cpu_us() - cpu;
	wall = clock_mono_us() - wall;
	made = b->made_us - made;
	must(spool_figures(b->spool, &g, &e) == 0);
	printf("group %3u queued %6u: %6.1f us wall, %6.1f us cpu "
	    "(%4.1f making it), %4.1f messages a commit, file %lu MB, "
	    "%lu MB free\n", group, queued, (double)wall / n, cpu / n,
	    made / n, (double)n / (double)(g.commits - f.commits),
	    (unsigned long)((g.used_bytes + g.free_page_bytes) >> 20),
	    (unsigned long)(g.free_page_bytes >> 20));
	fflush(stdout);
}

/* In and out with records that stay: what one takes of the file. */
static void
keep(struct bench *b, int64_t index_ms, int64_t tail_ms)
{
	struct spool_setup s = { .messages_max = 10000000,
		.index_keep_ms = index_ms, .tail_keep_ms = tail_ms };

	spool_retune(b->spool, &s);
}

static void
weigh_records(struct bench *b, unsigned messages)
{
	struct spool_figures f, g;
	unsigned	     n;
	struct err	     e;

	keep(b, INT64_C(5184000000), 0);
	must(spool_figures(b->spool, &f, &e) == 0);
	for (n = 0; n < messages; n += 64) {
		settle(b, 64);
		submit(b, 64);
		wait_all(b);
		submit_done(b, 64);
		if (n % 8192 == 0)
			spool_sweep(b->spool);
	}
	must(spool_figures(b->spool, &g, &e) == 0);
	printf("kept of a message (record, Delivery event, index): %ld "
	    "octets\n", ((long)g.used_bytes - (long)f.used_bytes) / (long)n);
	fflush(stdout);
}

static void
run_churn(struct bench *b, unsigned messages)
{
	unsigned i;

	fill(b, QUEUED);
	keep(b, 5000, 5000);
	for (i = 0; i < 12; i++)
		churn(b, messages / 12);
	weigh_records(b, 50000);
}

static void
run_groups(struct bench *b, unsigned messages)
{
	unsigned i;

	run(b, 32, messages, 0);
	run(b, 1, messages / 10, 0);
	fill(b, QUEUED);
	run(b, 32, messages, 100000);
	run(b, 1, messages / 10, 100000);
	run(b, 256, messages, 100000);
	keep(b, 5000, 5000);
	for (i = 0; i < 6; i++)
		churn(b, messages * 3);
}

int
main(int argc, char **argv)
{
	static struct bench b;
	struct spool_setup  setup;
	struct err	    e;
	unsigned	    messages = 20000;
	bool		    is_churn = argc > 1 &&
	    strcmp(argv[1], "--churn") == 0;

	argc -= is_churn;
	argv += is_churn;
	if (argc < 2) {
		fprintf(stderr, "usage: spool_bench [--churn] DIR [OCTETS] "
		    "[MESSAGES]\n");
		return 64;
	}
	memset(&setup, 0, sizeof(setup));
	setup.dir = argv[1];
	setup.map_bytes = UINT64_C(16) << 30;
	setup.messages_max = 10000000;
	setup.index_keep_ms = INT64_C(5184000000);
	setup.tail_keep_ms = 86400000;
	b.octets = argc > 2 ? (size_t)atol(argv[2]) : 10240;
	if (b.octets > 200000)
		b.octets = 200000;
	if (argc > 3)
		messages = (unsigned)atol(argv[3]);
	b.pool = mem_alloc(QUEUED * sizeof(*b.pool));
	b.asker = loop_new("asker", 8192, &e);
	b.spool = spool_open(&setup, &e);
	if (b.asker == NULL || b.spool == NULL ||
	    spool_start(b.spool, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	if (is_churn)
		run_churn(&b, messages);
	else
		run_groups(&b, messages);
	spool_stop(b.spool);
	spool_close(b.spool);
	loop_free(b.asker);
	mem_free(b.pool);
	return 0;
}
