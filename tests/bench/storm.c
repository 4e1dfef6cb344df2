/* SPDX-License-Identifier: ISC */
/*
 * storm - hostile clients by the thousand, for tests/bench/flood.
 *
 *	storm --port P --mode MODE [--count N] [--sources N] [--seconds S]
 *	    [--interval MS] [--rate PER-SECOND] [--login BASE64] [--name EHLO]
 *
 * One thread, and no cryptography of its own: what the server has to compute
 * costs the storm some octets.  N connections at a time from 127.0.1.1 and the
 * addresses behind it (--sources 0: from 127.0.0.1); one that ends begins
 * again.  "ready" is printed when all N have begun once; at the end of S
 * seconds one line of JSON: what was met, and the CPU it took.
 *
 *	idle		not an octet
 *	trickle		a command, one octet each MS
 *	half		STARTTLS, then half of a ClientHello
 *	handshake	STARTTLS, a ClientHello, gone at the first answer
 *	handshake12	the same in TLS 1.2, with a key share of its own, so that
 *			the server computes twice
 *	wrapper		as handshake, on a port that begins with TLS
 *	stay		as handshake, but it waits for the server to close
 *	connect		gone at the first octet
 *	password	three wrong passwords (clear port)
 *	line		a line without end
 *	blob		an AUTH response without end (clear port)
 *	record		STARTTLS, then a TLS record that is too long
 *	header		a header line without end (clear port, --login)
 *	recipients	10,000 recipients (clear port, --login)
 *	chunk		BDAT of 4 GB (clear port, --login)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What one step of a client does, and what it then waits for. */
enum wait {
	END,	/* the script is over: close, begin again */
	REPLY,	/* the last line of a reply */
	OCTETS, /* anything */
	STAY,	/* the server ends it */
	DRIP,	/* the text leaves one octet at a time */
	POUR	/* the text leaves again and again, up to pour_max */
};
struct step {
	const char *text;
	size_t	    n;
	enum wait   wait;
};
enum { STEPS_MAX = 16, POUR_SIZE = 32 * 1024, EVENTS_MAX = 512 };

struct client {
	int	 fd;
	unsigned number, step;
	size_t	 sent; /* of the text of this step */
	uint64_t poured;
	bool	 is_open, has_begun, has_heard, is_refused, is_writing;
	double	 due; /* of the next octet, or of the next attempt */
};

static struct {
	int	 port;
	unsigned count, sources;
	double	 seconds, interval_ms, rate;
	const char *mode, *login, *name;
} opt = { 0, 100, 0, 10, 1000, 0, "idle", "", "storm.example" };

static struct step	script[STEPS_MAX];
static unsigned		step_count;
static struct client   *clients;
static int		poll_fd;
static uint64_t		pour_max = 64u << 20;
static char		pour[POUR_SIZE];
static volatile sig_atomic_t is_told;
static double		next_start; /* with --rate */
static unsigned		begun;
/* what was met */
static struct {
	uint64_t connections, failed, greeted, refused, silent, answered,
	    closed, octets, late;
} met;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* -- scripts -------------------------------------------------------------- */

static char greeting[256];

static void
add(const char *text, size_t n, enum wait wait)
{
	if (step_count == STEPS_MAX)
		abort();
	script[step_count++] = (struct step){ text, n, wait };
}

static void
say(const char *line, enum wait wait)
{
	add(line, strlen(line), wait);
}

static unsigned char	hello[512];
static size_t		hello_n;

static void
put(const void *p, size_t n)
{
	memcpy(hello + hello_n, p, n);
	hello_n += n;
}

static void
put_extension(unsigned type, const void *p, size_t n)
{
	unsigned char head[4] = { (unsigned char)(type >> 8),
		(unsigned char)type, (unsigned char)(n >> 8),
		(unsigned char)n };

	put(head, sizeof(head));
	put(p, n);
}

static void
put_length(size_t at, size_t bytes)
{
	size_t n = hello_n - at - bytes;

	while (bytes-- > 0) {
		hello[at + bytes] = (unsigned char)n;
		n >>= 8;
	}
}

/* A ClientHello of which every server can take something. */
static void
make_hello(bool is_12)
{
	static const unsigned char suites12[] = { 0, 4, 0xc0, 0x2b, 0xc0, 0x2f };
	static const unsigned char suites13[] = { 0, 2, 0x13, 0x01 };
	static const unsigned char groups[] = { 0, 4, 0, 0x1d, 0, 0x17 };
	static const unsigned char points[] = { 1, 0 };
	static const unsigned char signatures[] = { 0, 8, 0x04, 0x03, 0x08,
		0x04, 0x04, 0x01, 0x05, 0x03 };
	static const unsigned char versions[] = { 2, 3, 4 };
	unsigned char share[38] = { 0, 36, 0, 0x1d, 0, 32 };
	unsigned char random[33];
	size_t	      extensions;

	memset(random, 0x5a, sizeof(random));
	random[32] = 0; /* no session id */
	memset(share + 6, 9, 32);
	put("\x16\x03\x01\0\0" "\x01\0\0\0" "\x03\x03", 11);
	put(random, sizeof(random));
	if (is_12)
		put(suites12, sizeof(suites12));
	else
		put(suites13, sizeof(suites13));
	put("\x01\0", 2); /* no compression */
	extensions = hello_n;
	put("\0\0", 2);
	put_extension(10, groups, sizeof(groups));
	put_extension(11, points, sizeof(points));
	put_extension(13, signatures, sizeof(signatures));
	if (is_12) {
		put_extension(23, "", 0);
	} else {
		put_extension(43, versions, sizeof(versions));
		put_extension(51, share, sizeof(share));
	}
	put_length(extensions, 2);
	put_length(6, 3);
	put_length(3, 2);
}

/* ClientKeyExchange with a point, ChangeCipherSpec, something as Finished */
static const char key_exchange[] =
    "\x16\x03\x03\0\x25" "\x10\0\0\x21" "\x20"
    "\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09"
    "\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09"
    "\x14\x03\x03\0\x01\x01"
    "\x16\x03\x03\0\x28"
    "0123456789012345678901234567890123456789";

static bool
is_mode(const char *name)
{
	return strcmp(opt.mode, name) == 0;
}

static void
script_tls(void)
{
	bool is_12 = is_mode("handshake12");

	make_hello(is_12);
	say("", REPLY);
	say(greeting, REPLY);
	say("STARTTLS\r\n", REPLY);
	if (is_mode("half")) {
		add((const char *)hello, hello_n / 2, STAY);
		return;
	}
	if (is_mode("record")) {
		memcpy(pour, "\x16\x03\x01\xff\xff", 5);
		add(pour, sizeof(pour), POUR);
		return;
	}
	add((const char *)hello, hello_n, is_mode("stay") ? STAY : OCTETS);
	if (is_12)
		add(key_exchange, sizeof(key_exchange) - 1, OCTETS);
}

static const char wrong[] =
    "AUTH PLAIN AEFLSUFJT1NGT0ROTjdFWEFNUExFAHdyb25nLXdyb25nLXdyb25nLXdyb25n"
    "\r\n";

static void
script_login(void)
{
	static char	  auth[1024];
	static const char rcpt[] = "RCPT TO:<somebody@sink.example>\r\n";
	size_t		  i, n = sizeof(rcpt) - 1;

	snprintf(auth, sizeof(auth), "AUTH PLAIN %s\r\n",
	    opt.login);
	say("", REPLY);
	say(greeting, REPLY);
	say(auth, REPLY);
	say("MAIL FROM:<a@example.com>\r\n", REPLY);
	if (is_mode("recipients")) {
		for (i = 0; i + n <= sizeof(pour); i += n)
			memcpy(pour + i, rcpt, n);
		pour_max = 10000 * n;
		add(pour, i, POUR);
		return;
	}
	say(rcpt, REPLY);
	if (is_mode("chunk")) {
		say("BDAT 4000000000\r\n", POUR);
		add(pour, sizeof(pour), POUR);
		return;
	}
	say("DATA\r\n", REPLY);
	add(pour, sizeof(pour), POUR);
}

static bool
make_script(void)
{
	memset(pour, 'A', sizeof(pour));
	snprintf(greeting, sizeof(greeting), "EHLO %s\r\n", opt.name);
	if (is_mode("idle")) {
		say("", STAY);
	} else if (is_mode("trickle")) {
		say("EHLO a-very-long-name-that-takes-its-time.example\r\n",
		    DRIP);
	} else if (is_mode("connect")) {
		say("", OCTETS);
	} else if (is_mode("wrapper")) {
		make_hello(false);
		add((const char *)hello, hello_n, OCTETS);
	} else if (is_mode("password")) {
		say("", REPLY);
		say(greeting, REPLY);
		say(wrong, REPLY);
		say(wrong, REPLY);
		say(wrong, STAY);
	} else if (is_mode("line")) {
		add(pour, sizeof(pour), POUR);
	} else if (is_mode("blob")) {
		say("", REPLY);
		say(greeting, REPLY);
		say("AUTH PLAIN\r\n", REPLY);
		add(pour, sizeof(pour), POUR);
	} else if (is_mode("header") || is_mode("recipients") ||
	    is_mode("chunk")) {
		script_login();
	} else if (is_mode("half") || is_mode("handshake") ||
	    is_mode("handshake12") || is_mode("stay") || is_mode("record")) {
		script_tls();
	} else {
		return false;
	}
	return true;
}

/* -- clients -------------------------------------------------------------- */

static void client_begin_step(struct client *c);

static void
client_watch(struct client *c, bool writes)
{
	struct epoll_event ev = { .data.ptr = c,
		.events = EPOLLIN | (writes ? EPOLLOUT : 0) };

	if (c->is_writing == writes)
		return;
	c->is_writing = writes;
	epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &ev);
}

static void
client_close(struct client *c)
{
	struct linger hard = { 1, 0 }; /* no port is left waiting */

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(c->fd);
	c->fd = -1;
	c->due = now() + (c->is_refused ? 0.05 : 0);
}

static void
client_open(struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET }, from = to;
	struct epoll_event ev = { .data.ptr = c, .events = EPOLLIN | EPOLLOUT };
	int		   one = 1, number = (int)c->number;

	to.sin_port = htons((uint16_t)opt.port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		perror("storm: socket");
		exit(2);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (opt.sources > 0) {
		from.sin_addr.s_addr = htonl(0x7f000101 +
		    (unsigned)number % opt.sources);
		setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
		    sizeof(one));
		bind(c->fd, (struct sockaddr *)&from, sizeof(from));
	}
	c->step = 0;
	c->sent = 0;
	c->poured = 0;
	c->is_open = c->has_heard = c->is_refused = false;
	c->is_writing = true;
	met.connections++;
	epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &ev);
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 &&
	    errno != EINPROGRESS) {
		met.failed++;
		client_close(c);
		c->due = now() + 0.05;
	}
}

static void
client_lost(struct client *c)
{
	if (!c->is_open)
		met.failed++;
	else if (!c->has_heard)
		met.silent++;
	met.closed++;
	client_close(c);
	c->due = now() + 0.05; /* sent away: it is not out to be the load */
}

/* Writes what the step has; at its end the wait begins. */
static void
client_write(struct client *c)
{
	const struct step *s = &script[c->step];
	size_t		   n = s->n - c->sent;
	ssize_t		   k;

	if (s->wait == DRIP && n > 1)
		n = 1;
	if (n > 0) {
		k = send(c->fd, s->text + c->sent, n, MSG_NOSIGNAL);
		if (k < 0 && errno == EAGAIN) {
			client_watch(c, true);
			return;
		}
		if (k < 0) {
			client_lost(c);
			return;
		}
		c->sent += (size_t)k;
		met.octets += (uint64_t)k;
		c->poured += (uint64_t)k;
	}
	if (s->wait == DRIP) {
		c->due = now() + opt.interval_ms / 1000;
		client_watch(c, false);
		if (c->sent == s->n)
			c->sent = 0;
		return;
	}
	if (c->sent < s->n) {
		client_watch(c, true);
		return;
	}
	if (s->wait == POUR) {
		c->sent = 0;
		if (s->n < sizeof(pour) / 2 || c->poured >= pour_max) {
			c->step++;
			client_begin_step(c);
			return;
		}
		client_watch(c, true);
		return;
	}
	client_watch(c, false);
}

static void
client_begin_step(struct client *c)
{
	if (c->step >= step_count || script[c->step].wait == END) {
		client_close(c);
		return;
	}
	c->sent = 0;
	c->poured = 0;
	client_write(c);
}

static void
client_connected(struct client *c)
{
	int	  error = 0;
	socklen_t len = sizeof(error);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0) {
		client_lost(c);
		return;
	}
	c->is_open = true;
	if (!c->has_begun) {
		c->has_begun = true;
		if (++begun == opt.count) {
			puts("ready");
			fflush(stdout);
		}
	}
	client_begin_step(c);
}

/* Is the last line of a reply among it?  Replies come whole, as a rule. */
static bool
has_reply(const char *in, size_t n)
{
	const char *line = in, *end;

	while ((end = memchr(line, '\n', n - (size_t)(line - in))) != NULL) {
		if (end - line >= 4 && line[3] == ' ')
			return true;
		line = end + 1;
	}
	return false;
}

static void
client_read(struct client *c)
{
	char	in[8192];
	ssize_t k = recv(c->fd, in, sizeof(in), 0);

	if (k < 0 && errno == EAGAIN)
		return;
	if (k <= 0) {
		client_lost(c);
		return;
	}
	if (!c->has_heard) {
		c->has_heard = true;
		if (memcmp(in, "220", 3) == 0)
			met.greeted++;
		else if (memcmp(in, "421", 3) == 0)
			met.refused++;
		c->is_refused = memcmp(in, "421", 3) == 0;
	}
	if (c->step + 1 == step_count || script[c->step].wait == OCTETS)
		met.answered++;
	if (script[c->step].wait == OCTETS ||
	    (script[c->step].wait == REPLY && has_reply(in, (size_t)k))) {
		c->step++;
		client_begin_step(c);
	}
}

static void
client_on_event(struct client *c, uint32_t what)
{
	if (c->fd < 0)
		return;
	if (!c->is_open && (what & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
		client_connected(c);
		return;
	}
	if ((what & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
		client_read(c);
	if (c->fd >= 0 && c->is_writing && (what & EPOLLOUT) != 0)
		client_write(c);
}

/* -- the storm ------------------------------------------------------------ */

static void
on_signal(int signo)
{
	(void)signo;
	is_told = 1;
}

/* Opens what may begin, lets drip what is due.  With a rate each has its turn:
 * a walk begins behind who came last in the one before. */
static void
walk(double t)
{
	static unsigned first;
	unsigned	n, i, opened = 0, start = first;

	for (n = 0; n < opt.count; n++) {
		struct client *c;

		i = (start + n) % opt.count;
		c = &clients[i];

		if (c->fd < 0 && c->due <= t && opened < 256) {
			if (opt.rate > 0) {
				if (next_start > t)
					continue;
				first = (i + 1) % opt.count;
				next_start += 1 / opt.rate;
				if (next_start < t - 0.1)
					next_start = t;
			}
			client_open(c);
			opened++;
		} else if (c->fd >= 0 && c->is_open && !c->is_writing &&
		    script[c->step].wait == DRIP && c->due <= t) {
			if (t - c->due > 1)
				met.late++;
			client_write(c);
		}
	}
}

static void
run(void)
{
	struct epoll_event ev[EVENTS_MAX];
	double		   t = now(), until = t + opt.seconds, walked = 0;
	int		   i, n;

	next_start = t;
	while (!is_told && (t = now()) < until) {
		/* a walk over all costs: not at each turn */
		if (t - walked >= (opt.count > 1000 ? 0.02 : 0.001)) {
			walk(t);
			walked = t;
		}
		n = epoll_wait(poll_fd, ev, EVENTS_MAX,
		    opt.count > 1000 ? 20 : 1);
		for (i = 0; i < n; i++)
			client_on_event(ev[i].data.ptr, ev[i].events);
	}
}

static void
report(double seconds)
{
	struct rusage u;
	unsigned      i, open = 0;

	getrusage(RUSAGE_SELF, &u);
	for (i = 0; i < opt.count; i++)
		open += clients[i].fd >= 0 && clients[i].is_open;
	printf("{\"seconds\":%.2f,\"connections\":%llu,\"open\":%u,"
	    "\"failed\":%llu,\"greeted\":%llu,\"refused\":%llu,"
	    "\"silent\":%llu,\"answered\":%llu,\"closed\":%llu,"
	    "\"octets\":%llu,\"cpu\":%.3f}\n", seconds,
	    (unsigned long long)met.connections, open,
	    (unsigned long long)met.failed, (unsigned long long)met.greeted,
	    (unsigned long long)met.refused, (unsigned long long)met.silent,
	    (unsigned long long)met.answered, (unsigned long long)met.closed,
	    (unsigned long long)met.octets,
	    (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "port", 1, NULL, 'p' }, { "mode", 1, NULL, 'm' },
		{ "count", 1, NULL, 'c' }, { "sources", 1, NULL, 's' },
		{ "seconds", 1, NULL, 't' }, { "interval", 1, NULL, 'i' },
		{ "rate", 1, NULL, 'r' }, { "login", 1, NULL, 'l' },
		{ "name", 1, NULL, 'n' },
		{ NULL, 0, NULL, 0 }
	};
	struct rlimit files;
	double	      began;
	unsigned      i;
	int	      o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (o) {
		case 'p': opt.port = atoi(optarg); break;
		case 'm': opt.mode = optarg; break;
		case 'c': opt.count = (unsigned)atoi(optarg); break;
		case 's': opt.sources = (unsigned)atoi(optarg); break;
		case 't': opt.seconds = atof(optarg); break;
		case 'i': opt.interval_ms = atof(optarg); break;
		case 'r': opt.rate = atof(optarg); break;
		case 'n': opt.name = optarg; break;
		case 'l': opt.login = optarg; break;
		default: return 2;
		}
	}
	if (opt.port == 0 || opt.count == 0 || !make_script()) {
		fprintf(stderr, "usage: storm --port P --mode MODE ...\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGTERM, on_signal);
	poll_fd = epoll_create1(EPOLL_CLOEXEC);
	clients = calloc(opt.count, sizeof(*clients));
	for (i = 0; i < opt.count; i++) {
		clients[i].fd = -1;
		clients[i].number = i;
	}
	began = now();
	run();
	report(now() - began);
	return 0;
}
