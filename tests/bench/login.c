/* SPDX-License-Identifier: ISC */
/*
 * login.c - can it be told by the time of a refused login which access keys
 * there are?
 * Use:    login DIR [ROUNDS]
 *         prints for each kind of refusal, in ns of CPU time of a call: the
 *         least, the median and the mean, and Welch's t of its difference
 *         from a known key with a wrong password (over 4.5: to be told from
 *         so many samples taken inside of the process; over a network the
 *         delay of auth.fail_delay and its jitter lie over it).
 * No verdict.  That the work is the same is proved by tests/unit/test_login.c.
 * DIR is left behind.
 */
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "registry/book.h"
#include "registry/credential.h"

enum { CALLS = 20, ROUNDS = 4000, CREDENTIALS = 300 };

#define ACCOUNT "123456789012"
#define RIGHT "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9"
#define WRONG "BF2PynzbSCAjX08zhZZnP/kW+T9P5zs/1Er0pi5vTEmd"

static const struct wall now = { 1714564800000 };
static struct credential the_credential;

static int
populate(struct book_job *j, struct db_txn *t)
{
	struct credential *c = &the_credential;
	struct account	   a;
	int		   i;

	memset(&a, 0, sizeof(a));
	strcpy(a.id, ACCOUNT);
	strcpy(a.name, "main");
	if (account_create(t, &a, &j->err) < 0)
		return -1;
	for (i = 0; i < CREDENTIALS; i++) {
		credential_init(c);
		strcpy(c->account, ACCOUNT);
		snprintf(c->name, sizeof(c->name), "app%d", i);
		c->enabled = i != 1;
		c->key_count = 1;
		snprintf(c->keys[0].id, sizeof(c->keys[0].id),
		    "AKIAKNOWN%07dQQQQ", i);
		if (credential_import_password(&c->keys[0], "us-east-1",
			BYTES(RIGHT), &j->err) < 0 ||
		    credential_create(t, c, 0, &j->err) < 0)
			return -1;
	}
	return 0;
}

static const struct kind {
	const char *name, *user, *password;
} kinds[] = {
	{ "known key, wrong password", "AKIAKNOWN0000150QQQQ", WRONG },
	{ "known key, no password of ours", "AKIAKNOWN0000150QQQQ", "x" },
	{ "disabled, right password", "AKIAKNOWN0000001QQQQ", RIGHT },
	{ "unknown key", "AKIAKNOWN0000150QQQR", WRONG },
	{ "unknown key, before all", "AAAAAAAAAAAAAAAAAAAA", WRONG },
	{ "unknown key, behind all", "ZZZZZZZZZZZZZZZZZZZZ", WRONG },
	{ "no key at all", "postmaster", WRONG }
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static double
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double
time_of(struct book *b, const struct kind *k)
{
	struct sockaddr_in peer = { .sin_family = AF_INET };
	struct login	   l = { .user = bytes_of(k->user),
		      .password = bytes_of(k->password),
		      .region = "us-east-1",
		      .peer = (struct sockaddr *)&peer,
		      .listener = "submission",
		      .tls = 13,
		      .now = now };
	struct account	   a;
	struct db_txn	  *t;
	struct err	   e;
	unsigned	   key;
	double		   began = cpu_ns();
	int		   i;

	for (i = 0; i < CALLS; i++) {
		t = book_read(b, &e);
		must(t != NULL);
		must(credential_check_login(t, &l, &the_credential, &a,
			 &key) != LOGIN_OK);
		book_end(t);
	}
	return (cpu_ns() - began) / CALLS;
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct sum {
	double least, median, mean, variance;
};

static struct sum
sum_up(double *v, size_t n)
{
	struct sum s = { 0 };
	size_t	   i;

	qsort(v, n, sizeof(*v), by_size);
	n -= n / 20; /* where the machine was busy with something else */
	s.least = v[0];
	s.median = v[n / 2];
	for (i = 0; i < n; i++)
		s.mean += v[i] / (double)n;
	for (i = 0; i < n; i++)
		s.variance += (v[i] - s.mean) * (v[i] - s.mean) /
		    (double)(n - 1);
	s.variance /= (double)n; /* of the mean */
	return s;
}

int
main(int argc, char **argv)
{
	static double  *times[KINDS];
	struct book_job j = { .run = populate };
	struct sum	s, first = { 0 };
	struct err	e;
	struct book    *b;
	size_t		i, k, n = argc > 2 ? strtoul(argv[2], NULL, 10) :
	    ROUNDS;

	b = argc > 1 && n > 40 ? book_open(argv[1], 64 << 20, &e) : NULL;
	if (b == NULL || book_write_now(b, &j) < 0) {
		fprintf(stderr, "usage: login DIR [ROUNDS]\n");
		return 1;
	}
	for (k = 0; k < KINDS; k++)
		times[k] = mem_alloc(n * sizeof(double));
	for (i = 0; i < n; i++)
		for (k = 0; k < KINDS; k++)
			times[k][i] = time_of(b, &kinds[k]);
	printf("%-32s %8s %8s %8s %8s\n", "refused login, ns of CPU", "least",
	    "median", "mean", "t");
	for (k = 0; k < KINDS; k++) {
		s = sum_up(times[k], n);
		if (k == 0)
			first = s;
		printf("%-32s %8.0f %8.0f %8.0f %8.1f\n", kinds[k].name,
		    s.least, s.median, s.mean,
		    (s.mean - first.mean) / sqrt(s.variance + first.variance));
		mem_free(times[k]);
	}
	book_close(b);
	return 0;
}
