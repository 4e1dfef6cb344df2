/* SPDX-License-Identifier: ISC */
/*
 * What a relay that somebody has taken over may say to the keys process: a
 * row of requests, each with a choice of names, tags, keys and descriptors, or
 * with octets of the input alone.
 *
 * A request that can be read has one answer, any other none.  An Ed25519 key
 * that was made before is checked and exported as it was sealed, under its
 * own name, and not otherwise, and signs under its name and nonce, by which
 * the process knows what it keeps; it goes into a pipe alone; no answer has a
 * private key in it; no descriptor is lost.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "daemon/keys.h"
#include "fake_clock.h"
#include "fake_thread.h"
#include "fuzz_input.h"
#include "registry/keys_proto.h"

enum { REQUESTS_MAX = 16, FILE_MAX = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	struct loop    *loop, *ours;
	struct keys    *keys;
	struct channel *channel;
	/* made at the start, for d.example and s1 */
	char		sealed[KEYS_BLOB_MAX];
	size_t		sealed_n;
	/* the last answer; its texts lie in octets */
	struct keys_reply reply;
	char		octets[KEYS_MESSAGE_MAX];
	unsigned	replies;
} the_world;

/* -- the world -------------------------------------------------------------- */

static void
on_log(void *unused, const char *line)
{
	(void)unused;
	must(strchr(line, '\n') == NULL);
}

static void
on_reply(void *unused, struct bytes message, int fd)
{
	(void)unused;
	must(fd < 0 && message.n <= sizeof(the_world.octets));
	must(bytes_find_nocase(message, BYTES("--BEGIN")) < 0);
	memcpy(the_world.octets, message.p, message.n);
	must(keys_reply_decode((struct bytes){ the_world.octets, message.n },
	    &the_world.reply));
	the_world.replies++;
}

static void
on_gone(void *unused)
{
	(void)unused;
	must_fail(__FILE__, __LINE__, "the keys process has ended");
}

static int
file_of(struct bytes text)
{
	int fd = memfd_create("keys", MFD_CLOEXEC);

	must(fd >= 0 && fchmod(fd, 0600) == 0);
	must(write(fd, text.p, text.n) == (ssize_t)text.n);
	must(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

/* fd stays the caller's. */
static void
send_octets(struct bytes message, int fd)
{
	the_world.replies = 0;
	must(channel_send(the_world.channel, message,
	    fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0)));
	must(fake_threads_settle());
}

static void
send_request(const struct keys_request *q, int fd)
{
	struct buf b;

	buf_init(&b, KEYS_MESSAGE_MAX);
	must(keys_request_encode(q, &b));
	send_octets(buf_bytes(&b), fd);
	buf_wipe(&b);
}

static void
make_key(void)
{
	struct keys_request q = { .ask = KEYS_ASK_MAKE,
		.domain = BYTES("d.example"), .selector = BYTES("s1"),
		.bits = 256 };

	send_request(&q, -1);
	must(the_world.replies == 1 && the_world.reply.say == KEYS_SAY_DONE);
	the_world.sealed_n = the_world.reply.sealed.n;
	must(the_world.sealed_n > 0);
	memcpy(the_world.sealed, the_world.reply.sealed.p,
	    the_world.sealed_n);
}

static void
world_open(void)
{
	static const struct channel_events events = { on_reply, on_gone };
	struct keys_setup s = { .peer_count = 1, .operator_key_fd = -1,
		.threads = 1, .control_fd = -1 };
	struct err	  e;
	int		  fds[2];

	log_capture(on_log, NULL);
	fake_clock_set((struct wall){ INT64_C(1714564800000) });
	the_world.loop = loop_new("keys", 4096, &e);
	the_world.ours = loop_new("relay", 4096, &e);
	must(channel_pair(fds, &e) == 0);
	s.peers = &fds[1];
	s.master_key_fd = file_of(BYTES("0123456789abcdef0123456789abcdef"));
	the_world.keys = keys_open(the_world.loop, &s, &e);
	must(the_world.keys != NULL);
	fake_threads_begin(the_world.loop);
	fake_threads_begin(the_world.ours);
	the_world.channel = channel_open(the_world.ours, fds[0], &events,
	    NULL, &e);
	must(the_world.channel != NULL);
	make_key();
}

/* -- what the input makes of it --------------------------------------------- */

struct asking {
	struct keys_request q;
	char		    sealed[KEYS_BLOB_MAX];
	bool		    is_named; /* as our key */
	bool		    is_ours; /* our key, whole, under its name */
	int		    fd, other_end;
	bool		    is_pipe;
};

static void
choose_name(struct asking *x, struct input *in)
{
	unsigned how = take(in);

	x->q.domain = BYTES("d.example");
	x->q.selector = BYTES("s1");
	if (how % 4 == 1)
		x->q.domain = take_bytes(in, how / 4);
	if (how % 4 == 2)
		x->q.selector = take_bytes(in, how / 4);
	if (how % 4 == 3)
		x->q.domain = BYTES("other.example");
	x->is_named = bytes_eq_text(x->q.domain, "d.example") &&
	    bytes_eq_text(x->q.selector, "s1");
}

static void
choose_sealed(struct asking *x, struct input *in)
{
	unsigned     at, how = take(in);
	struct bytes by;

	memcpy(x->sealed, the_world.sealed, the_world.sealed_n);
	x->q.sealed = (struct bytes){ x->sealed, the_world.sealed_n };
	if (how % 4 == 1) {
		at = take(in) % (unsigned)the_world.sealed_n;
		x->sealed[at] = (char)(x->sealed[at] ^ (int)take(in));
	} else if (how % 4 == 2) {
		x->q.sealed.n = take(in) % (the_world.sealed_n + 1);
	} else if (how % 4 == 3) {
		by = take_bytes(in, how);
		memcpy(x->sealed, by.p, by.n);
		x->q.sealed.n = by.n;
	}
	x->is_ours = x->is_named && bytes_eq(x->q.sealed,
	    (struct bytes){ the_world.sealed, the_world.sealed_n });
}

static void
choose_file(struct asking *x, struct input *in)
{
	unsigned how = take(in);
	int	 ends[2];

	x->fd = x->other_end = -1;
	x->is_pipe = how % 4 >= 2;
	if (how % 4 == 1)
		x->fd = file_of(take_bytes(in, FILE_MAX));
	if (!x->is_pipe)
		return;
	must(pipe2(ends, O_CLOEXEC) == 0);
	x->fd = ends[how % 4 == 2];
	x->other_end = ends[how % 4 != 2];
	/* who reads is not to wait for us */
	if (how % 4 == 3 || x->q.ask == KEYS_ASK_IMPORT) {
		close(x->other_end);
		x->other_end = -1;
	}
}

static void
choose(struct asking *x, struct input *in)
{
	/* RSA takes long to make, whoever asks for it */
	static const unsigned bits[] = { 256, 0, 1, 255, 511, 4097, 65535 };
	struct bytes	      by;

	memset(x, 0, sizeof(*x));
	x->q.ask = (enum keys_ask)(take(in) % KEYS_ASK_OPERATOR + 1);
	x->q.ticket = take(in);
	choose_name(x, in);
	choose_sealed(x, in);
	keys_tag_of((struct bytes){ the_world.sealed, the_world.sealed_n },
	    x->q.tag);
	by = take_bytes(in, take(in) % (KEYS_TAG_SIZE + 1));
	memcpy(x->q.tag, by.p, by.n);
	x->q.bits = bits[take(in) % (sizeof(bits) / sizeof(bits[0]))];
	x->q.min_bits = take(in) * 256;
	x->q.max_bits = take(in) * 256;
	choose_file(x, in);
}

/* -- the answer ------------------------------------------------------------- */

static bool
tag_is_ours(const struct asking *x)
{
	unsigned char ours[KEYS_TAG_SIZE], its[KEYS_TAG_SIZE];

	keys_tag_of((struct bytes){ the_world.sealed, the_world.sealed_n },
	    ours);
	memcpy(its, x->q.tag, sizeof(its));
	if (x->q.ask == KEYS_ASK_SIGN_SEALED)
		keys_tag_of(x->q.sealed, its);
	return memcmp(ours, its, sizeof(ours)) == 0;
}

static void
must_be_done(const struct asking *x, const struct keys_reply *r)
{
	bool signs = x->q.ask == KEYS_ASK_SIGN ||
	    x->q.ask == KEYS_ASK_SIGN_SEALED;
	bool makes = x->q.ask == KEYS_ASK_MAKE || x->q.ask == KEYS_ASK_IMPORT;

	must(signs == (r->signature.n > 0));
	must(makes == (r->sealed.n > 0) && makes == (r->public_key.n > 0));
	must(!makes || r->bits == 256 || (r->bits >= x->q.min_bits &&
	    r->bits <= x->q.max_bits));
	if (x->q.ask == KEYS_ASK_CHECK || x->q.ask == KEYS_ASK_EXPORT)
		must(x->is_ours);
	/* one that is kept is known by its name and nonce */
	must(!signs || (x->is_named && tag_is_ours(x)));
	must(x->q.ask != KEYS_ASK_EXPORT || x->is_pipe);
	/* there is none */
	must(x->q.ask != KEYS_ASK_SIGN_OPERATOR &&
	    x->q.ask != KEYS_ASK_OPERATOR);
}

/* What comes out of the pipe, or out of the file. */
static void
must_be_exported(const struct asking *x, bool is_done)
{
	char	text[4096];
	ssize_t n = 0;
	int	fd = x->other_end >= 0 ? x->other_end : x->fd;

	if (fd < 0)
		return;
	if (!x->is_pipe)
		n = pread(fd, text, sizeof(text), 0);
	else if (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1,
		0) == 1)
		n = read(fd, text, sizeof(text));
	if (x->q.ask == KEYS_ASK_EXPORT)
		must(is_done == (n > 0 && memmem(text, (size_t)n,
		    "PRIVATE KEY", 11) != NULL) || !x->is_pipe);
}

static void
run_request(struct input *in)
{
	struct asking	  x;
	struct keys_reply *r = &the_world.reply;
	struct keys_request again;
	struct buf	  b;
	bool		  is_readable;

	choose(&x, in);
	buf_init(&b, KEYS_MESSAGE_MAX);
	if (keys_request_encode(&x.q, &b)) {
		is_readable = keys_request_decode(buf_bytes(&b), &again);
		send_octets(buf_bytes(&b), x.fd);
		must(the_world.replies == (is_readable ? 1 : 0));
		if (is_readable) {
			must(r->ticket == x.q.ticket);
			if (r->say == KEYS_SAY_DONE)
				must_be_done(&x, r);
			must(r->say != KEYS_SAY_FAILED || r->reason.n > 0);
			must_be_exported(&x, r->say == KEYS_SAY_DONE);
		}
	}
	buf_wipe(&b);
	if (x.fd >= 0)
		close(x.fd);
	if (x.other_end >= 0)
		close(x.other_end);
}

/* Any octets; none that make RSA keys. */
static void
run_octets(struct input *in)
{
	struct bytes	    message = take_bytes(in, take(in));
	struct keys_request q;
	bool is_readable = keys_request_decode(message, &q);

	if (message.n == 0 || (is_readable && q.ask == KEYS_ASK_MAKE))
		return;
	send_octets(message, -1);
	must(the_world.replies == (is_readable ? 1 : 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	unsigned     i, fds;

	if (the_world.keys == NULL)
		world_open();
	fds = count_fds();
	for (i = 0; i < REQUESTS_MAX && in.n > 0; i++)
		if (take(&in) % 8 == 0)
			run_octets(&in);
		else
			run_request(&in);
	must(count_fds() == fds);
	return 0;
}
