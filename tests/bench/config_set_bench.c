/* SPDX-License-Identifier: ISC */
/*
 * config_set_bench.c - what a configuration set costs a message: the look-up
 * by name at the end of data, by id before an attempt.
 * Use:    config_set_bench DIR [LOOKUPS]
 *         prints ns of CPU a look-up, transaction included, in a book of 1
 *         and of 10,000 sets of each of 4 accounts, one set asked again and
 *         again, and sets in random order; in alternating rounds, best of
 *         nine.
 * No verdict.  DIR is left behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "registry/config_set.h"

enum { ACCOUNTS = 4, ROUNDS = 9, ASKED = 4096 };

struct bench {
	struct book_job job; /* first */
	struct book    *book;
	int		sets; /* of each account */
	struct config_set asked[ASKED]; /* in random order */
};

static double
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
account_of(int i, char out[ACCOUNT_ID_SIZE])
{
	snprintf(out, ACCOUNT_ID_SIZE, "%012d", 100000000 + i);
}

/* Rows as config_set_create() lays them, without its count of them. */
static int
bench_fill(struct book_job *j, struct db_txn *t)
{
	struct bench	 *b = (struct bench *)(void *)j;
	struct config_set s;
	char		  account[ACCOUNT_ID_SIZE], name[32], row[64];
	unsigned	  seen = 0;
	int		  a, i, n;

	for (a = 0; a < ACCOUNTS; a++)
		for (i = 0; i < b->sets; i++) {
			account_of(a, account);
			snprintf(name, sizeof(name), "stream-%05d", i);
			config_set_init(&s, account, name,
			    (struct wall){ 1714564800000 });
			n = snprintf(row, sizeof(row), "%s%s", account, name);
			if (db_put(t, BOOK_SET_ID, (struct bytes){
				(char *)s.id.b, sizeof(s.id.b) },
				(struct bytes){ row, (size_t)n }, false,
				&j->err) < 0 ||
			    config_set_put(t, &s, &j->err) < 0)
				return -1;
			/* each of them as likely as any other */
			if (seen < ASKED)
				b->asked[seen] = s;
			else if ((unsigned)rand() % (seen + 1) < ASKED)
				b->asked[(unsigned)rand() % ASKED] = s;
			seen++;
		}
	for (i = (int)seen; i < ASKED; i++)
		b->asked[i] = b->asked[i % (int)seen];
	return 0;
}

static struct bench *
bench_new(const char *dir, int sets)
{
	struct bench *b = calloc(1, sizeof(*b));
	char	      path[512];
	struct err    e;

	snprintf(path, sizeof(path), "%s/%d", dir, sets);
	b->sets = sets;
	b->book = book_open(path, UINT64_C(1) << 30, &e);
	b->job.run = bench_fill;
	if (b->book == NULL || book_write_now(b->book, &b->job) != 0) {
		fprintf(stderr, "%s: %s\n", path, b->book == NULL ? e.text :
		    b->job.err.text);
		exit(1);
	}
	return b;
}

/* ns a look-up */
static double
bench_round(struct bench *b, unsigned n, bool by_id, bool random)
{
	struct config_set	 out;
	const struct config_set *s;
	struct db_txn		*t;
	struct err		 e;
	double			 began = cpu_ns();
	unsigned		 i;
	int			 found;

	for (i = 0; i < n; i++) {
		s = &b->asked[random ? i * 2654435761u % ASKED : 0];
		t = book_read(b->book, &e);
		must(t != NULL);
		found = by_id ? config_set_find(t, &s->id, &out, &e)
			      : config_set_get(t, s->account,
				    bytes_of(s->name), &out, &e);
		must(found == 1);
		book_end(t);
	}
	return (cpu_ns() - began) / n;
}

int
main(int argc, char **argv)
{
	static const int sets[2] = { 1, CONFIG_SETS_MAX };
	struct bench	*b[2];
	unsigned	 n = argc > 2 ? (unsigned)atoi(argv[2]) : 100000;
	double		 best[2], ns;
	int		 kind, round, i;

	if (argc < 2) {
		fprintf(stderr, "usage: config_set_bench DIR [LOOKUPS]\n");
		return 2;
	}
	for (i = 0; i < 2; i++)
		b[i] = bench_new(argv[1], sets[i]);
	printf("ns a look-up          %8d %8d sets an account\n", sets[0],
	    sets[1]);
	for (kind = 0; kind < 4; kind++) {
		best[0] = best[1] = 1e18;
		for (round = 0; round < 2 * ROUNDS; round++) {
			i = round % 2;
			ns = bench_round(b[i], n, kind & 1, kind & 2);
			best[i] = ns < best[i] ? ns : best[i];
		}
		printf("by %-4s  %-10s   %8.0f %8.0f\n", kind & 1 ? "id" :
		    "name", kind & 2 ? "random" : "the same", best[0],
		    best[1]);
	}
	for (i = 0; i < 2; i++) {
		book_close(b[i]->book);
		free(b[i]);
	}
	return 0;
}
