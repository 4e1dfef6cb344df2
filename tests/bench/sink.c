/* SPDX-License-Identifier: ISC */
/*
 * sink - a receiving server for the benchmark: accepts everything, and looks
 * whether it is what load has sent.
 *
 *	sink [--port P] [--host H] [--keep DIR --every N]
 *
 * Prints its port; each line on standard input is answered with a line of
 * four counts: messages taken, good ones (each number once, checksum right),
 * repeated ones, others.  "times" is answered with the number, median, 99th
 * of a hundred and longest of the times since they were handed in (us), which
 * then begin anew.  Every Nth message is written to DIR.  Ends with its
 * standard input.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "sum.h"

enum { HEAD_MAX = 64 * 1024, NUMBERS_MAX = 10000000 };

/* One message: its header section, then what is reckoned on the way. */
struct mail {
	char	   head[HEAD_MAX];
	size_t	   head_n;
	bool	   in_body, is_known;
	unsigned   number;
	uint64_t   wanted;
	unsigned long sent; /* us; 0 = it does not say */
	char	   first[32]; /* the first line repeats the number */
	size_t	   first_n;
	bool	   in_rest;
	struct sum sum;
	FILE	  *keep;
};

struct conversation {
	int	    fd;
	char	    in[131072];
	size_t	    n;
	size_t	    skip; /* octets of BDAT still to come */
	bool	    in_data, in_chunk, is_last;
	struct mail mail;
};

static atomic_ulong   taken, good, repeated, other;
static atomic_uchar  *seen;
static uint32_t	     *times; /* us from hand-in to here */
static atomic_uint    time_count;
static const char    *keep_dir;
static unsigned	      keep_every;

/* -- a message ------------------------------------------------------------ */

static void
mail_begin(struct mail *m)
{
	m->head_n = m->first_n = 0;
	m->sent = 0;
	m->in_body = m->is_known = m->in_rest = false;
	memset(&m->sum, 0, sizeof(m->sum));
	m->keep = NULL;
}

static void
mail_feed_body(struct mail *m, const char *p, size_t n)
{
	if (m->keep != NULL)
		fwrite(p, 1, n, m->keep);
	for (; n > 0 && !m->in_rest; n--, p++) {
		if (m->first_n < sizeof(m->first) - 1)
			m->first[m->first_n++] = *p;
		m->in_rest = *p == '\n';
	}
	sum_feed(&m->sum, p, n);
}

static void
mail_read_head(struct mail *m, size_t head_n)
{
	char	    path[4096];
	const char *at = memmem(m->head, head_n, "\nX-Bench: ", 10);

	if (at == NULL || sscanf(at + 10, "%u %16lx %16lu", &m->number,
	    &m->wanted, &m->sent) < 2 || m->number >= NUMBERS_MAX)
		return;
	m->is_known = true;
	if (keep_every == 0 || m->number % keep_every != 0)
		return;
	snprintf(path, sizeof(path), "%s/%u.eml", keep_dir, m->number);
	m->keep = fopen(path, "w");
	if (m->keep != NULL)
		fwrite(m->head, 1, head_n, m->keep);
}

static void
mail_feed(struct mail *m, const char *p, size_t n)
{
	size_t	    k, from = m->head_n > 3 ? m->head_n - 3 : 0;
	const char *end;

	if (m->in_body) {
		mail_feed_body(m, p, n);
		return;
	}
	k = n < HEAD_MAX - 1 - m->head_n ? n : HEAD_MAX - 1 - m->head_n;
	memcpy(m->head + m->head_n, p, k);
	m->head_n += k;
	m->head[m->head_n] = '\0';
	end = memmem(m->head + from, m->head_n - from, "\r\n\r\n", 4);
	if (end == NULL)
		return;
	end += 4;
	m->in_body = true;
	mail_read_head(m, (size_t)(end - m->head));
	mail_feed_body(m, end, m->head_n - (size_t)(end - m->head));
	mail_feed_body(m, p + k, n - k);
}

static void
mail_time(const struct mail *m)
{
	struct timespec t;
	unsigned	i;

	if (m->sent == 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &t);
	i = atomic_fetch_add(&time_count, 1);
	if (i < NUMBERS_MAX)
		times[i] = (uint32_t)((unsigned long)t.tv_sec * 1000000 +
		    (unsigned long)t.tv_nsec / 1000 - m->sent);
}

static int
time_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
print_times(void)
{
	unsigned n = atomic_exchange(&time_count, 0);

	qsort(times, n, sizeof(*times), time_cmp);
	if (n == 0)
		puts("0 0 0 0");
	else
		printf("%u %u %u %u\n", n, times[n / 2],
		    times[(uint64_t)n * 99 / 100], times[n - 1]);
}

static void
mail_end(struct mail *m)
{
	bool is_good = false;

	if (m->keep != NULL)
		fclose(m->keep);
	m->keep = NULL;
	m->first[m->first_n] = '\0';
	if (m->is_known)
		is_good = sum_end(&m->sum) == m->wanted &&
		    strncmp(m->first, "Message ", 8) == 0 &&
		    strtoul(m->first + 8, NULL, 10) == m->number;
	if (!is_good)
		atomic_fetch_add(&other, 1);
	else if (atomic_fetch_add(&seen[m->number], 1) > 0)
		atomic_fetch_add(&repeated, 1);
	else
		atomic_fetch_add(&good, 1);
	mail_time(m);
	atomic_fetch_add(&taken, 1);
}

/* -- SMTP ----------------------------------------------------------------- */

static void
drop(struct conversation *c, size_t n)
{
	c->n -= n;
	memmove(c->in, c->in + n, c->n);
}

/* Octets of a chunk; NULL = more is needed */
static const char *
step_chunk(struct conversation *c)
{
	size_t n = c->n < c->skip ? c->n : c->skip;

	mail_feed(&c->mail, c->in, n);
	drop(c, n);
	c->skip -= n;
	if (c->skip > 0)
		return NULL;
	c->in_chunk = false;
	if (c->is_last)
		mail_end(&c->mail);
	return "250 2.0.0 ok\r\n";
}

/* Lines up to the dot; the generator stuffs none. */
static const char *
step_data(struct conversation *c)
{
	const char *end = memmem(c->in, c->n, "\r\n.\r\n", 5);
	size_t	    n;

	if (end == NULL) {
		n = c->n > 4 ? c->n - 4 : 0;
		mail_feed(&c->mail, c->in, n);
		drop(c, n);
		return NULL;
	}
	n = (size_t)(end - c->in);
	mail_feed(&c->mail, c->in, n + 2);
	drop(c, n + 5);
	c->in_data = false;
	mail_end(&c->mail);
	return "250 2.0.0 ok\r\n";
}

static const char *
step_command(struct conversation *c)
{
	const char *reply = "250 2.0.0 ok\r\n";
	char	   *eol = memchr(c->in, '\n', c->n);

	if (eol == NULL)
		return NULL;
	*eol = '\0';
	if (strncasecmp(c->in, "EHLO", 4) == 0) {
		reply = "250-sink\r\n250-PIPELINING\r\n"
			"250-8BITMIME\r\n250 CHUNKING\r\n";
	} else if (strncasecmp(c->in, "MAIL", 4) == 0) {
		mail_begin(&c->mail);
	} else if (strncasecmp(c->in, "DATA", 4) == 0) {
		reply = "354 go\r\n";
		c->in_data = true;
	} else if (strncasecmp(c->in, "QUIT", 4) == 0) {
		reply = "221 bye\r\n";
	} else if (strncasecmp(c->in, "BDAT", 4) == 0) {
		c->skip = (size_t)strtoul(c->in + 5, NULL, 10);
		c->is_last = strstr(c->in, "LAST") != NULL;
		c->in_chunk = true;
		reply = "";
	}
	drop(c, (size_t)(eol + 1 - c->in));
	return reply;
}

static void *
converse(void *arg)
{
	struct conversation *c = arg;
	const char	    *reply = "220 sink ESMTP\r\n";
	char		     out[8192];
	size_t		     n = strlen(reply);
	ssize_t		     k;

	memcpy(out, reply, n);
	while (write(c->fd, out, n) == (ssize_t)n) {
		n = 0;
		k = read(c->fd, c->in + c->n, sizeof(c->in) - c->n);
		if (k <= 0)
			break;
		c->n += (size_t)k;
		while (n < sizeof(out) - 100 && (reply = c->in_chunk ?
		    step_chunk(c) : c->in_data ? step_data(c) :
		    step_command(c)) != NULL) {
			memcpy(out + n, reply, strlen(reply));
			n += strlen(reply);
		}
		while (n == 0 && c->n == sizeof(c->in))
			drop(c, c->n); /* a line without an end */
	}
	if (c->mail.keep != NULL)
		fclose(c->mail.keep);
	close(c->fd);
	free(c);
	return NULL;
}

static void *
serve(void *arg)
{
	int	  fd, listener = *(int *)arg, one = 1;
	pthread_t t;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		struct conversation *c = calloc(1, sizeof(*c));

		c->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		pthread_create(&t, NULL, converse, c);
		pthread_detach(t);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t	   n = sizeof(at);
	char		   line[64];
	pthread_t	   t;
	int		   i, fd, one = 1;

	inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
	for (i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--port") == 0)
			at.sin_port = htons((uint16_t)atoi(argv[i + 1]));
		else if (strcmp(argv[i], "--host") == 0)
			inet_pton(AF_INET, argv[i + 1], &at.sin_addr);
		else if (strcmp(argv[i], "--keep") == 0)
			keep_dir = argv[i + 1];
		else if (strcmp(argv[i], "--every") == 0)
			keep_every = (unsigned)atoi(argv[i + 1]);
	}
	signal(SIGPIPE, SIG_IGN);
	seen = calloc(NUMBERS_MAX, sizeof(*seen));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	times = calloc(NUMBERS_MAX, sizeof(*times));
	if (seen == NULL || times == NULL || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(fd, 1024) != 0) {
		perror("sink");
		return 1;
	}
	getsockname(fd, (struct sockaddr *)&at, &n);
	printf("%d\n", ntohs(at.sin_port));
	fflush(stdout);
	pthread_create(&t, NULL, serve, &fd);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (strncmp(line, "times", 5) == 0)
			print_times();
		else
			printf("%lu %lu %lu %lu\n", atomic_load(&taken),
			    atomic_load(&good), atomic_load(&repeated),
			    atomic_load(&other));
		fflush(stdout);
	}
	return 0;
}
