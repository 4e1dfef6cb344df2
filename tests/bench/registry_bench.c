/* SPDX-License-Identifier: ISC */
/*
 * registry_bench.c - what the registers cost a message: the questions at the
 * end of data, and the look before its first attempt.
 * Use:    registry_bench DIR [ENTRIES [OBJECTS [MESSAGES]]]
 *         prints us of CPU a message in a book that is empty but for what the
 *         message needs, and in one with so many suppressed addresses
 *         (1,000,000) and identities, sets and credentials (10,000 each,
 *         with a policy each, as everything is then looked for); sender,
 *         set and recipient of each message chosen at random; in alternating
 *         rounds, best of nine.  Before that, the time of adding 100,000
 *         addresses by transactions of 1,000, as an import does.
 * No verdict.  DIR is left behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "registry/identity_policy.h"
#include "registry/permission.h"
#include "registry/suppression.h"
#include "submission/admission.h"

enum {
	ROUNDS = 9,
	IMPORTED = 100000,
	PORTION = 1000, /* of an import, one transaction */
	ASKED = 4096,
	STEPS = 4
};
#define ACCOUNT "123456789012"

static const struct wall now = { 1714564800000 };

struct bench {
	struct book_job job; /* first */
	struct book    *book;
	const char     *name;
	unsigned	entries, objects; /* there are */
	unsigned	from; /* of the portion at hand */
	struct permissions *permissions;
	struct credential  *credential;
	double		best[STEPS]; /* ns a message */
};
static const char *const step_names[STEPS] = { "account and credential",
	"admission", "lists before the attempt, if the book has changed",
	"the same, if it has not" };

static double
time_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double
cpu_ns(void)
{
	return time_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* The same address for the same number, in no order. */
static void
address_of(unsigned i, char out[64])
{
	snprintf(out, 64, "user%08x@host%u.example", i * 2654435761u,
	    i % 5000);
}

static void
identity_of(unsigned i, char out[64])
{
	snprintf(out, 64, "d%u.example", i);
}

/* -- filling --------------------------------------------------------------- */

static int
fill_account(struct book_job *j, struct db_txn *t)
{
	struct account a;

	memset(&a, 0, sizeof(a));
	strcpy(a.id, ACCOUNT);
	strcpy(a.name, "main");
	a.production = a.sending_enabled = a.suppress_bounce = true;
	return account_create(t, &a, &j->err);
}

static int
fill_object(struct bench *b, struct db_txn *t, unsigned i)
{
	struct credential     *c = b->credential;
	struct identity_policy p = { .account = ACCOUNT, .name = "p" };
	struct config_set      s;
	struct identity	       id;
	char		       name[64];

	identity_of(i, name);
	identity_init(&id, ACCOUNT, name, now);
	id.method = METHOD_OVERRIDE;
	id.link.status = IDENTITY_SUCCESS;
	strcpy(p.identity, name);
	snprintf(p.text, sizeof(p.text), "{\"Statement\":{\"Effect\":\"Allow\","
	    "\"Principal\":{\"AWS\":\"" ACCOUNT "\"},\"Action\":"
	    "\"ses:SendRawEmail\",\"Resource\":\"arn:aws:ses:us-east-1:"
	    ACCOUNT ":identity/%s\",\"Condition\":{\"StringLike\":"
	    "{\"ses:FromAddress\":\"*@%s\"}}}}", name, name);
	snprintf(name, sizeof(name), "set-%u", i);
	config_set_init(&s, ACCOUNT, name, now);
	credential_init(c);
	strcpy(c->account, ACCOUNT);
	snprintf(c->name, sizeof(c->name), "app%u", i);
	c->key_count = 1;
	snprintf(c->keys[0].id, sizeof(c->keys[0].id), "AKIA%016u", i);
	return identity_put(t, &id, &b->job.err) < 0 ||
	    (b->objects > 1 && identity_policy_put(t, &p, &b->job.err) < 0) ||
	    config_set_put(t, &s, &b->job.err) < 0 ||
	    credential_put(t, c, &b->job.err) < 0 ? -1 : 0;
}

static int
fill_objects(struct book_job *j, struct db_txn *t)
{
	struct bench *b = (struct bench *)(void *)j;
	unsigned      i;

	for (i = b->from; i < b->objects && i < b->from + PORTION; i++)
		if (fill_object(b, t, i) < 0)
			return -1;
	return 0;
}

static int
fill_entries(struct book_job *j, struct db_txn *t)
{
	struct bench	  *b = (struct bench *)(void *)j;
	struct suppression s;
	unsigned	   i;

	memset(&s, 0, sizeof(s));
	strcpy(s.account, ACCOUNT);
	s.last = SUPPRESS_BOUNCE;
	s.source = SUPPRESSION_IMPORT;
	for (i = b->from; i < b->entries && i < b->from + PORTION; i++) {
		address_of(i, s.address);
		s.updated.ms = now.ms + i / PORTION * 1000;
		if (suppression_add(t, &s, &j->err) < 0)
			return -1;
	}
	return 0;
}

static void
fill(struct bench *b, int (*run)(struct book_job *j, struct db_txn *t),
    unsigned n)
{
	b->job.run = run;
	for (b->from = 0; b->from < n; b->from += PORTION)
		if (book_write_now(b->book, &b->job) < 0) {
			fprintf(stderr, "%s: %s\n", b->name, b->job.err.text);
			exit(1);
		}
}

static void
bench_open(struct bench *b, const char *dir)
{
	struct err e;
	char	   path[512];
	unsigned   all = b->entries;
	double	   began, cpu;

	snprintf(path, sizeof(path), "%s/%s", dir, b->name);
	must(mkdir(path, 0700) == 0);
	b->book = book_open(path, UINT64_C(4) << 30, &e);
	if (b->book == NULL) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	b->permissions = permissions_new();
	b->credential = mem_alloc(sizeof(*b->credential));
	fill(b, fill_account, 1);
	if (all >= IMPORTED) {
		b->entries = IMPORTED;
		began = time_ns(CLOCK_MONOTONIC);
		cpu = cpu_ns();
		fill(b, fill_entries, IMPORTED);
		printf("import of %u addresses: %.2f s, %.2f s of CPU\n",
		    IMPORTED, (time_ns(CLOCK_MONOTONIC) - began) / 1e9,
		    (cpu_ns() - cpu) / 1e9);
		b->entries = all;
	}
	fill(b, fill_entries, all);
	fill(b, fill_objects, b->objects);
}

/* -- a message ------------------------------------------------------------- */

struct asked {
	struct message *message;
	struct header	header;
	struct arena   *arena;
	char		user[64];
};

static void
asked_make(const struct bench *b, struct asked *k)
{
	struct header_rules rules = { .section_max = 1 << 20 };
	unsigned	    i = (unsigned)rand() % b->objects;
	char		    text[600], domain[64], rcpt[64], sender[80];

	identity_of(i, domain);
	/* never one that is listed */
	address_of((unsigned)rand() % 1000000u + 2000000u, rcpt);
	snprintf(sender, sizeof(sender), "sender@%s", domain);
	snprintf(text, sizeof(text), "From: Bench <%s>\r\nTo: %s\r\n"
	    "X-SES-CONFIGURATION-SET: set-%u\r\nSubject: x\r\n\r\n", sender,
	    rcpt, i);
	snprintf(k->user, sizeof(k->user), "app%u", i);
	k->arena = arena_new(1 << 20);
	k->message = message_new(1 << 20);
	k->message->client_ip = BYTES("192.0.2.10");
	must(message_set(k->message, &k->message->sender, bytes_of(sender)) &&
	    message_add_envelope(k->message, bytes_of(rcpt)) != NULL &&
	    header_parse(arena_bytes(k->arena, bytes_of(text)), &rules,
		k->arena, &k->header) == HEADER_OK);
}

static void
asked_free(struct asked *k)
{
	message_free(k->message);
	arena_free(k->arena);
}

static void
bench_accept(struct bench *b, struct asked *k, const struct conf *conf,
    double spent[STEPS])
{
	uint64_t	  version = book_version(b->book);
	struct admission *a = mem_alloc(sizeof(*a));
	struct account	  account;
	struct db_txn	 *t;
	struct err	  e;
	double		  began = cpu_ns(), then;
	struct admission_question q = { .conf = conf, .message = k->message,
		.header = &k->header, .account = &account,
		.credential = b->credential, .now = now, .arena = k->arena,
		.permissions = b->permissions, .version = version };

	t = book_read(b->book, &e);
	must(t != NULL && account_get(t, ACCOUNT, &account, &e) == 1 &&
	    credential_get(t, ACCOUNT, k->user, b->credential, &e) == 1);
	then = cpu_ns();
	spent[0] += then - began;
	q.txn = t;
	if (admission_ask(&q, a, &e) < 0 || a->reply.code != 0 ||
	    !admission_apply(&q, a, k->message)) {
		fprintf(stderr, "%s: %s\n", e.text, a->reply.text);
		exit(1);
	}
	book_end(t);
	spent[1] += cpu_ns() - then;
	mem_free(a);
}

/* As delivery/carrier_suppress.c: account and set are known there. */
static void
bench_attempt(struct bench *b, struct asked *k, const struct conf *conf,
    double spent[STEPS])
{
	struct suppression_question q;
	enum suppression_answer	    answer;
	struct db_txn		   *t;
	struct err		    e;
	double			    began = cpu_ns(), then;

	suppression_question_init(&q, conf, now);
	q.account = ACCOUNT;
	q.account_reasons = SUPPRESS_BOUNCE;
	q.address = k->message->envelopes[0].address;
	t = book_read(b->book, &e);
	must(t != NULL && suppression_check(t, &q, &answer, &e) == 0 &&
	    answer == SUPPRESSION_NONE);
	book_end(t);
	then = cpu_ns();
	spent[2] += then - began;
	must(k->message->lists_seen ==
	    suppression_stamp(book_version(b->book), conf));
	spent[3] += cpu_ns() - then;
}

static void
bench_round(struct bench *b, const struct conf *conf, unsigned messages)
{
	struct asked *asked = mem_alloc(ASKED * sizeof(*asked));
	double	      spent[STEPS] = { 0 };
	unsigned      i, n, done;

	for (done = 0; done < messages; done += n) {
		n = messages - done < ASKED ? messages - done : ASKED;
		for (i = 0; i < n; i++)
			asked_make(b, &asked[i]);
		for (i = 0; i < n; i++) {
			bench_accept(b, &asked[i], conf, spent);
			bench_attempt(b, &asked[i], conf, spent);
		}
		for (i = 0; i < n; i++)
			asked_free(&asked[i]);
	}
	for (i = 0; i < STEPS; i++)
		if (b->best[i] <= 0 || spent[i] / messages < b->best[i])
			b->best[i] = spent[i] / messages;
	mem_free(asked);
}

int
main(int argc, char **argv)
{
	struct bench few = { .name = "empty", .objects = 1 };
	struct bench many = { .name = "full", .entries = 1000000,
		.objects = 10000 };
	struct conf *conf = conf_defaults();
	unsigned     messages = argc > 4 ? (unsigned)atoi(argv[4]) : 20000;
	double	     sum[2] = { 0, 0 };
	int	     i;

	if (argc < 2)
		return 2;
	if (argc > 2)
		many.entries = (unsigned)atoi(argv[2]);
	if (argc > 3)
		many.objects = (unsigned)atoi(argv[3]);
	srand(1);
	bench_open(&few, argv[1]);
	bench_open(&many, argv[1]);
	for (i = 0; i < ROUNDS; i++) {
		bench_round(&few, conf, messages);
		bench_round(&many, conf, messages);
	}
	printf("%-50s %8s %8s us of CPU a message\n", "", "empty", "full");
	for (i = 0; i < STEPS; i++) {
		printf("%-50s %8.2f %8.2f\n", step_names[i],
		    few.best[i] / 1e3, many.best[i] / 1e3);
		if (i != 2)
			sum[0] += few.best[i], sum[1] += many.best[i];
	}
	printf("%-50s %8.2f %8.2f\n", "a message, the book as it was",
	    sum[0] / 1e3, sum[1] / 1e3);
	printf("documents of policies kept: %zu octets\n",
	    permissions_octets(many.permissions));
	return 0;
}
