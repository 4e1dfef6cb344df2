/* SPDX-License-Identifier: ISC */
/*
 * probe - the good client of tests/bench/flood, and what it has to wait.
 *
 *	probe --port P --user U --pass W [--sources N] [--seconds S]
 *	    [--interval MS] [--wrapper] [--refused]
 *
 * In turn, each MS: a session from connect(2) to the 250 of its message, with
 * TLS 1.3 and AUTH; and a message on a session that stays open.  They come
 * from 127.0.0.1, or with --sources from 127.0.9.1 and the addresses behind it
 * in turn, as no address may open too many connections in a minute.  At the end
 * one line of JSON with the times of both in milliseconds.  --refused: a
 * session is expected to be sent away, and the time to the 421 is what counts;
 * silence is whatever ends, or lasts 10 s, without a reply.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES_MAX = 100000, SILENCE_S = 10 };

struct peer {
	int    fd;
	SSL   *ssl;
	char   in[4096];
	size_t n;
	int    code; /* of the last reply; 0 = none came */
};
struct samples {
	double	ms[SAMPLES_MAX];
	unsigned n, failed;
};

static struct {
	int	    port;
	const char *user, *pass;
	unsigned    sources;
	double	    seconds, interval_ms;
	bool	    is_wrapper, is_refused;
} opt = { 0, "", "", 0, 10, 20, false, false };

static SSL_CTX	     *ctx;
static struct samples fresh, open_session;
static unsigned	      refused, silent, connections;
static char	      login[1024];

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
sleep_until(double t)
{
	struct timespec at = { (time_t)t, (long)((t - (double)(time_t)t) * 1e9) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) ==
	    EINTR)
		;
}

static bool
peer_write(struct peer *p, const char *b)
{
	size_t n = strlen(b);

	if (p->ssl != NULL)
		return SSL_write(p->ssl, b, (int)n) == (int)n;
	return write(p->fd, b, n) == (ssize_t)n;
}

/* The code of the next whole reply, 0 = none came. */
static int
peer_reply(struct peer *p)
{
	char   *eol;
	ssize_t k;
	bool	is_last;

	p->code = 0;
	for (;;) {
		while ((eol = memchr(p->in, '\n', p->n)) != NULL) {
			p->code = atoi(p->in);
			is_last = eol - p->in < 4 || p->in[3] != '-';
			p->n -= (size_t)(eol + 1 - p->in);
			memmove(p->in, eol + 1, p->n);
			if (is_last)
				return p->code;
		}
		if (p->n == sizeof(p->in))
			return p->code = 0;
		k = p->ssl != NULL
		    ? SSL_read(p->ssl, p->in + p->n,
			  (int)(sizeof(p->in) - p->n))
		    : read(p->fd, p->in + p->n, sizeof(p->in) - p->n);
		if (k <= 0)
			return p->code = 0;
		p->n += (size_t)k;
	}
}

static bool
say(struct peer *p, int want, const char *line)
{
	return peer_write(p, line) && peer_reply(p) == want;
}

static bool
begin_tls(struct peer *p)
{
	p->ssl = SSL_new(ctx);
	return p->ssl != NULL && SSL_set_fd(p->ssl, p->fd) == 1 &&
	    SSL_connect(p->ssl) == 1;
}

static void
peer_close(struct peer *p)
{
	SSL_free(p->ssl);
	if (p->fd >= 0)
		close(p->fd);
	memset(p, 0, sizeof(*p));
	p->fd = -1;
}

static bool
peer_connect(struct peer *p)
{
	struct sockaddr_in to = { .sin_family = AF_INET }, from = to;
	struct timeval	   wait = { SILENCE_S, 0 };
	int		   one = 1;

	memset(p, 0, sizeof(*p));
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (opt.sources > 0) {
		from.sin_addr.s_addr = htonl(0x7f000901 +
		    connections++ % opt.sources);
		if (bind(p->fd, (struct sockaddr *)&from, sizeof(from)) < 0)
			return false;
	}
	to.sin_port = htons((unsigned short)opt.port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(p->fd, (struct sockaddr *)&to, sizeof(to)) == 0;
}

static bool
peer_login(struct peer *p)
{
	char line[1100];

	if (!peer_connect(p))
		return false;
	if (opt.is_wrapper && !begin_tls(p))
		return false;
	if (peer_reply(p) != 220 || !say(p, 250, "EHLO good.example\r\n"))
		return false;
	if (!opt.is_wrapper && (!say(p, 220, "STARTTLS\r\n") ||
	    !begin_tls(p) || !say(p, 250, "EHLO good.example\r\n")))
		return false;
	snprintf(line, sizeof(line), "AUTH PLAIN %s\r\n", login);
	return say(p, 235, line);
}

static bool
send_message(struct peer *p)
{
	return say(p, 250, "MAIL FROM:<probe@example.com>\r\n") &&
	    say(p, 250, "RCPT TO:<somebody@sink.example>\r\n") &&
	    say(p, 354, "DATA\r\n") &&
	    say(p, 250, "From: probe@example.com\r\nTo: somebody@sink.example"
	    "\r\nSubject: probe\r\n\r\nIs anybody there?\r\n.\r\n");
}

static void
note(struct samples *s, double began, bool is_good)
{
	if (!is_good)
		s->failed++;
	else if (s->n < SAMPLES_MAX)
		s->ms[s->n++] = (now() - began) * 1000;
}

static void
try_fresh(void)
{
	struct peer p;
	double	    began = now();
	bool	    is_good;

	if (opt.is_refused) {
		is_good = peer_connect(&p) && peer_reply(&p) != 0;
		note(&fresh, began, is_good);
	} else {
		is_good = peer_login(&p) && send_message(&p);
		note(&fresh, began, is_good);
	}
	refused += p.code == 421;
	silent += p.code == 0;
	peer_close(&p);
}

static void
try_open(struct peer *p)
{
	double began;

	if (p->fd < 0 && !peer_login(p)) {
		open_session.failed++;
		peer_close(p);
		return;
	}
	began = now();
	note(&open_session, began, send_message(p));
	if (p->code != 250)
		peer_close(p);
}

static int
by_time(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
print(const char *name, struct samples *s)
{
	double	*v = s->ms;
	unsigned n = s->n;

	qsort(v, n, sizeof(*v), by_time);
	printf("\"%s\":{\"n\":%u,\"failed\":%u,\"p50\":%.3f,\"p99\":%.3f,"
	    "\"max\":%.3f},", name, n, s->failed, n ? v[n / 2] : 0,
	    n ? v[(unsigned)((n - 1) * 0.99)] : 0, n ? v[n - 1] : 0);
}

static void
make_login(void)
{
	unsigned char plain[512];
	int	      n;

	n = snprintf((char *)plain, sizeof(plain), "%c%s%c%s", 0, opt.user, 0,
	    opt.pass);
	EVP_EncodeBlock((unsigned char *)login, plain, n);
}

static void
run(void)
{
	struct peer lasting = { .fd = -1 };
	double	    t = now(), until = t + opt.seconds;

	while (t < until) {
		try_fresh();
		t += opt.interval_ms / 1000;
		sleep_until(t);
		if (!opt.is_refused) {
			try_open(&lasting);
			t += opt.interval_ms / 1000;
			sleep_until(t);
		}
		if (now() > t)
			t = now(); /* what is late is not made up for */
	}
	peer_close(&lasting);
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "port", 1, NULL, 'p' }, { "user", 1, NULL, 'u' },
		{ "pass", 1, NULL, 'w' }, { "sources", 1, NULL, 's' },
		{ "seconds", 1, NULL, 't' }, { "interval", 1, NULL, 'i' },
		{ "wrapper", 0, NULL, 'W' }, { "refused", 0, NULL, 'R' },
		{ NULL, 0, NULL, 0 }
	};
	struct rusage u;
	int	      o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (o) {
		case 'p': opt.port = atoi(optarg); break;
		case 'u': opt.user = optarg; break;
		case 'w': opt.pass = optarg; break;
		case 's': opt.sources = (unsigned)atoi(optarg); break;
		case 't': opt.seconds = atof(optarg); break;
		case 'i': opt.interval_ms = atof(optarg); break;
		case 'W': opt.is_wrapper = true; break;
		case 'R': opt.is_refused = true; break;
		default: return 2;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	make_login();
	ctx = SSL_CTX_new(TLS_client_method());
	/* each session pays the whole price */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	run();
	getrusage(RUSAGE_SELF, &u);
	printf("{");
	print("fresh", &fresh);
	print("open", &open_session);
	printf("\"refused\":%u,\"silent\":%u,\"cpu\":%.3f}\n", refused, silent,
	    (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
	return 0;
}
