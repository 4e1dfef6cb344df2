/* SPDX-License-Identifier: ISC */
/*
 * sink - a receiving server for the benchmark: accepts everything, keeps
 * nothing.  usage: sink [--port P] [--host H]
 * Prints its port; each line on standard input is answered with the number of
 * messages taken so far; ends with its standard input.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static atomic_ulong taken;

struct conversation {
	int    fd;
	char   in[131072];
	size_t n;
	size_t skip; /* octets of BDAT still to come */
	int    in_data, last;
};

static int
answer(int fd, const char *text)
{
	return write(fd, text, strlen(text)) > 0;
}

/* DATA: octets up to CRLF.CRLF; 0 = more is needed */
static size_t
end_of_data(const char *p, size_t n)
{
	const char *q = p;

	while ((q = memmem(q, n - (size_t)(q - p), "\r\n.\r\n", 5)) != NULL)
		return (size_t)(q - p) + 5;
	return 0;
}

static void
drop(struct conversation *c, size_t n)
{
	c->n -= n;
	memmove(c->in, c->in + n, c->n);
}

/* One step on what is there; 0 = read more, -1 = close */
static int
step(struct conversation *c, char *out, size_t *out_n)
{
	const char *reply = "250 2.0.0 ok\r\n";
	char	   *eol;
	size_t	    n;

	if (c->skip > 0 || c->last == 2) {
		n = c->n < c->skip ? c->n : c->skip;
		drop(c, n);
		c->skip -= n;
		if (c->skip > 0)
			return 0;
		if (c->last)
			atomic_fetch_add(&taken, 1);
		c->last = 0;
	} else if (c->in_data) {
		n = end_of_data(c->in, c->n);
		if (n == 0) {
			if (c->n > 65536)
				drop(c, c->n - 4);
			return 0;
		}
		drop(c, n);
		c->in_data = 0;
		atomic_fetch_add(&taken, 1);
	} else {
		eol = memchr(c->in, '\n', c->n);
		if (eol == NULL)
			return 0;
		n = (size_t)(eol + 1 - c->in);
		if (strncasecmp(c->in, "EHLO", 4) == 0)
			reply = "250-sink\r\n250-PIPELINING\r\n"
				"250-8BITMIME\r\n250 CHUNKING\r\n";
		else if (strncasecmp(c->in, "DATA", 4) == 0) {
			reply = "354 go\r\n";
			c->in_data = 1;
		} else if (strncasecmp(c->in, "QUIT", 4) == 0) {
			answer(c->fd, "221 bye\r\n");
			return -1;
		} else if (strncasecmp(c->in, "BDAT", 4) == 0) {
			c->skip = (size_t)strtoul(c->in + 5, NULL, 10);
			*eol = '\0';
			c->last = strstr(c->in, "LAST") != NULL ? 2 : 0;
			reply = "";
			if (c->skip == 0 && c->last == 0)
				reply = "250 2.0.0 ok\r\n";
		}
		drop(c, n);
	}
	n = strlen(reply);
	if (*out_n + n > 8192)
		return -1;
	memcpy(out + *out_n, reply, n);
	*out_n += n;
	return 1;
}

static void *
converse(void *arg)
{
	struct conversation *c = arg;
	char		     out[8192];
	size_t		     out_n;
	ssize_t		     k;
	int		     more = 1;

	answer(c->fd, "220 sink ESMTP\r\n");
	while (more >= 0 &&
	    (k = read(c->fd, c->in + c->n, sizeof(c->in) - c->n)) > 0) {
		c->n += (size_t)k;
		out_n = 0;
		while ((more = step(c, out, &out_n)) > 0)
			;
		if (out_n > 0 && write(c->fd, out, out_n) < 0)
			break;
	}
	close(c->fd);
	free(c);
	return NULL;
}

static void *
serve(void *arg)
{
	int	  listener = *(int *)arg, one = 1;
	pthread_t t;

	for (;;) {
		struct conversation *c = calloc(1, sizeof(*c));

		c->fd = accept(listener, NULL, NULL);
		if (c->fd < 0) {
			free(c);
			return NULL;
		}
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		pthread_create(&t, NULL, converse, c);
		pthread_detach(t);
	}
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
	}
	signal(SIGPIPE, SIG_IGN);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(fd, 1024) != 0) {
		perror("sink");
		return 1;
	}
	getsockname(fd, (struct sockaddr *)&at, &n);
	printf("%d\n", ntohs(at.sin_port));
	fflush(stdout);
	pthread_create(&t, NULL, serve, &fd);
	/* each line of standard input is answered with the count */
	while (fgets(line, sizeof(line), stdin) != NULL) {
		printf("%lu\n", atomic_load(&taken));
		fflush(stdout);
	}
	return 0;
}
