/* SPDX-License-Identifier: ISC */
/*
 * load - an SMTP load generator for the benchmark.
 *
 *	load --port P [--host H] [--tls starttls|wrapper] [--user U --pass W]
 *	    [--sessions N] [--messages N] [--per-conn N] [--size OCTETS]
 *	    [--domains N] [--under DOMAIN] [--from ADDRESS]
 *	    [--rate PER-SECOND] [--first NUMBER]
 *
 * One thread a session, lock-step as most clients are.  Each message has a
 * number and a checksum, which the sink looks at.  Prints one JSON line:
 * messages a second, the times from the end of data to the 250, and what the
 * generator itself took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

enum { REPLY_SECONDS = 60 }; /* then the message has failed */

struct options {
	const char *host, *tls, *user, *pass, *from, *under;
	int	    port;
	unsigned    sessions, per_conn, domains;
	unsigned    messages, first;
	size_t	    size;
	double	    rate;
};

struct peer {
	int    fd;
	SSL   *ssl;
	char   in[16384];
	size_t n;
};

static struct options	opt = { "127.0.0.1", NULL, NULL, NULL,
	  "bench@example.com", "sink.example", 0, 20, 1000000, 1, 10000, 0,
	  10240, 0 };
static atomic_uint	next_message, failures;
static double	       *latency_ms;
static struct text	text; /* of every message, but for its number */
static SSL_CTX	       *ctx;
static double		began;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int
peer_write(struct peer *p, const char *b, size_t n)
{
	ssize_t k;

	while (n > 0) {
		k = p->ssl != NULL
		    ? SSL_write(p->ssl, b, n > 1 << 30 ? 1 << 30 : (int)n)
		    : write(p->fd, b, n);
		if (k <= 0)
			return -1;
		b += k;
		n -= (size_t)k;
	}
	return 0;
}

/* The code of the next whole reply, 0 at the end of the stream. */
static int
peer_reply(struct peer *p)
{
	char   *eol;
	ssize_t k;
	int	code, last;

	for (;;) {
		while ((eol = memchr(p->in, '\n', p->n)) != NULL) {
			code = atoi(p->in);
			last = eol - p->in < 4 || p->in[3] != '-';
			p->n -= (size_t)(eol + 1 - p->in);
			memmove(p->in, eol + 1, p->n);
			if (last)
				return code;
		}
		if (p->n == sizeof(p->in))
			return 0;
		k = p->ssl != NULL
		    ? SSL_read(p->ssl, p->in + p->n,
			  (int)(sizeof(p->in) - p->n))
		    : read(p->fd, p->in + p->n, sizeof(p->in) - p->n);
		if (k <= 0)
			return 0;
		p->n += (size_t)k;
	}
}

static int
say(struct peer *p, int want, const char *line)
{
	return peer_write(p, line, strlen(line)) == 0 &&
	    peer_reply(p) == want;
}

static int
start_tls(struct peer *p)
{
	p->ssl = SSL_new(ctx);
	SSL_set_fd(p->ssl, p->fd);
	return SSL_connect(p->ssl) == 1;
}

static int
login(struct peer *p)
{
	unsigned char raw[512], text[1024];
	char	      line[1100];
	int	      n;

	n = snprintf((char *)raw, sizeof(raw), "%c%s%c%s", 0, opt.user, 0,
	    opt.pass);
	EVP_EncodeBlock(text, raw, n);
	snprintf(line, sizeof(line), "AUTH PLAIN %s\r\n", (char *)text);
	return say(p, 235, line);
}

static int
connect_peer(struct peer *p)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)opt.port) };
	struct timeval patience = { REPLY_SECONDS, 0 };
	int	       one = 1;

	memset(p, 0, sizeof(*p));
	inet_pton(AF_INET, opt.host, &to.sin_addr);
	p->fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience));
	if (connect(p->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		return 0;
	if (opt.tls != NULL && strcmp(opt.tls, "wrapper") == 0 &&
	    !start_tls(p))
		return 0;
	if (peer_reply(p) != 220 || !say(p, 250, "EHLO bench.example\r\n"))
		return 0;
	if (opt.tls != NULL && strcmp(opt.tls, "starttls") == 0 &&
	    (!say(p, 220, "STARTTLS\r\n") || !start_tls(p) ||
		!say(p, 250, "EHLO bench.example\r\n")))
		return 0;
	return opt.user == NULL || login(p);
}

static void
close_peer(struct peer *p)
{
	if (p->ssl != NULL)
		SSL_free(p->ssl);
	if (p->fd >= 0)
		close(p->fd);
	memset(p, 0, sizeof(*p));
	p->fd = -1;
}

static int
send_message(struct peer *p, unsigned i, char *own)
{
	char   line[400];
	double t;

	if (opt.rate > 0) {
		t = began + i / opt.rate - now();
		if (t > 0)
			usleep((useconds_t)(t * 1e6));
	}
	snprintf(line, sizeof(line), "MAIL FROM:<%s>\r\n", opt.from);
	if (!say(p, 250, line))
		return 0;
	snprintf(line, sizeof(line), "RCPT TO:<user%u@d%u.%s>\r\n",
	    i, i % opt.domains, opt.under);
	if (!say(p, 250, line) || !say(p, 354, "DATA\r\n"))
		return 0;
	text_number(&text, own, opt.first + i);
	text_sent(&text, own, (unsigned long)(now() * 1e6));
	if (peer_write(p, own, text.n) != 0)
		return 0;
	t = now();
	if (peer_reply(p) != 250)
		return 0;
	latency_ms[i] = (now() - t) * 1000;
	return 1;
}

static void *
session(void *arg)
{
	struct peer p = { .fd = -1 };
	unsigned    i, done = 0;
	char	   *own = malloc(text.n);

	(void)arg;
	memcpy(own, text.p, text.n);
	while ((i = atomic_fetch_add(&next_message, 1)) < opt.messages) {
		if (p.fd < 0 && !connect_peer(&p)) {
			close_peer(&p);
			atomic_fetch_add(&failures, 1);
			continue;
		}
		if (!send_message(&p, i, own)) {
			atomic_fetch_add(&failures, 1);
			close_peer(&p);
			done = 0;
		} else if (++done % opt.per_conn == 0) {
			say(&p, 221, "QUIT\r\n");
			close_peer(&p);
		}
	}
	if (p.fd >= 0) {
		say(&p, 221, "QUIT\r\n");
		close_peer(&p);
	}
	free(own);
	return NULL;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
read_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "host", 1, NULL, 'h' }, { "port", 1, NULL, 'p' },
		{ "tls", 1, NULL, 't' }, { "user", 1, NULL, 'u' },
		{ "pass", 1, NULL, 'w' }, { "sessions", 1, NULL, 's' },
		{ "messages", 1, NULL, 'm' }, { "per-conn", 1, NULL, 'c' },
		{ "size", 1, NULL, 'z' }, { "domains", 1, NULL, 'd' },
		{ "from", 1, NULL, 'f' }, { "rate", 1, NULL, 'r' },
		{ "under", 1, NULL, 'n' }, { "first", 1, NULL, 'i' },
		{ NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
		switch (c) {
		case 'h': opt.host = optarg; break;
		case 'p': opt.port = atoi(optarg); break;
		case 't': opt.tls = optarg; break;
		case 'u': opt.user = optarg; break;
		case 'w': opt.pass = optarg; break;
		case 's': opt.sessions = (unsigned)atoi(optarg); break;
		case 'm': opt.messages = (unsigned)atoi(optarg); break;
		case 'c': opt.per_conn = (unsigned)atoi(optarg); break;
		case 'z': opt.size = (size_t)atol(optarg); break;
		case 'd': opt.domains = (unsigned)atoi(optarg); break;
		case 'f': opt.from = optarg; break;
		case 'n': opt.under = optarg; break;
		case 'i': opt.first = (unsigned)atoi(optarg); break;
		case 'r': opt.rate = atof(optarg); break;
		default: exit(2);
		}
	if (opt.port == 0 || opt.sessions == 0 || opt.sessions > 10000 ||
	    opt.messages == 0 || opt.messages > 10000000) {
		fprintf(stderr, "load: see the head of load.c\n");
		exit(2);
	}
}

/* Messages that failed have no time: they stand in front. */
static double
latency(unsigned failed, double part)
{
	unsigned good = opt.messages - failed;

	return good == 0 ? 0 : latency_ms[failed +
	    (unsigned)((good - 1) * part)];
}

int
main(int argc, char **argv)
{
	struct rusage u;
	pthread_t    *threads;
	double	      took;
	unsigned      i, failed;

	read_options(argc, argv);
	ctx = SSL_CTX_new(TLS_client_method());
	latency_ms = calloc(opt.messages, sizeof(double));
	for (i = 0; i < opt.messages; i++)
		latency_ms[i] = -1;
	threads = calloc(opt.sessions, sizeof(*threads));
	text_make(&text, opt.from, opt.size);
	began = now();
	for (i = 0; i < opt.sessions; i++)
		pthread_create(&threads[i], NULL, session, NULL);
	for (i = 0; i < opt.sessions; i++)
		pthread_join(threads[i], NULL);
	took = now() - began;
	failed = atomic_load(&failures);
	getrusage(RUSAGE_SELF, &u);
	qsort(latency_ms, opt.messages, sizeof(double), by_value);
	printf("{\"messages\":%u,\"failed\":%u,\"seconds\":%.3f,"
	    "\"per_second\":%.1f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,"
	    "\"max_ms\":%.2f,\"own_cpu_ms\":%.4f}\n",
	    opt.messages, failed, took, (opt.messages - failed) / took,
	    latency(failed, 0.5), latency(failed, 0.99), latency(failed, 1),
	    ((double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3) /
		opt.messages);
	return failed == 0 ? 0 : 1;
}
