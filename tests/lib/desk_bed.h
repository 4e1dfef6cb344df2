/* SPDX-License-Identifier: ISC */
/*
 * desk_bed.h - a whole desk for a test: its loop in a thread, real listeners
 * on loopback, a real spool and book in a folder that goes away, the keys
 * client played inside the program; and a blocking client to talk to it.
 *
 * Use:    bed_open(&b, "smtp.max_errors 3\n"); c = client_open(&b, "plain");
 *         say(c, "EHLO x", "250 ..."); client_close(c); bed_close(&b);
 *         Listeners: plain (no TLS), starttls, wrapper, shared (submission
 *         and intake), intake, local (unix socket).
 *         Account 123456789012 is in production without limits; app1 logs in
 *         with BED_USER and BED_PASSWORD; example.com is verified.
 */
#ifndef TESTS_DESK_BED_H
#define TESTS_DESK_BED_H

#include "book_world.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "keys_double.h"
#include "net/stream.h"
#include "net/tls.h"
#include "registry/conf.h"
#include "registry/credential.h"
#include "registry/identity.h"
#include "registry/quota.h"
#include "submission/desk.h"
#include "test_certs.h"

#define BED_USER "AKIAIOSFODNN7EXAMPLE"
#define BED_PASSWORD "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9"
#define BED_AUTH \
	"AUTH PLAIN AEFLSUFJT1NGT0ROTjdFWEFNUExFAEJMQk0vOWhTVUVMZnE4R3crcl" \
	"UxWWNCamtPeEdiaFQyWEc3NjN4VkxHV0w5"

enum { BED_LISTENERS_MAX = 8, BED_WAIT_MS = 10000, BED_LOG_MAX = 256 * 1024 };

struct bed {
	struct book_world  world; /* dir, book */
	struct spool	  *spool;
	struct tally	  *tally;
	struct conf	  *conf;
	struct desk_tls	  *tls;
	struct desk_meters meters;
	struct ledger	  *ledger;
	struct loop	  *loop;
	struct keys_client keys;
	struct desk	  *desk;
	int		   fds[BED_LISTENERS_MAX];
	struct sockaddr_storage addresses[BED_LISTENERS_MAX];
	size_t		   fd_count;
	pthread_mutex_t	   lock;
	struct buf	   log;
	unsigned	   warnings, uses;
	char		   last_warning[400];
};

static struct test_cert bed_cert;

/* -- the book ------------------------------------------------------------- */

static void (*bed_body)(struct db_txn *t);

static inline int
bed_on_job(struct book_job *j, struct db_txn *t)
{
	(void)j;
	bed_body(t);
	return 0;
}

/* Changes the book as a command of the operator would. */
static inline void
bed_change(struct bed *b, void (*body)(struct db_txn *t))
{
	struct book_job j = { .run = bed_on_job };

	bed_body = body;
	if (book_write_now(b->world.book, &j) < 0)
		fail_msg("%s", j.err.text);
}

/* What is counted of the account. */
static inline const struct ledger_page *
bed_page(struct bed *b)
{
	return ledger_page(b->ledger, world_account);
}

static inline void
bed_add_identity(struct db_txn *t, const char *name)
{
	struct identity i;
	struct err	e;

	identity_init(&i, world_account, name, (struct wall){ world_time });
	i.method = METHOD_OVERRIDE;
	i.link.status = IDENTITY_SUCCESS;
	assert_true(identity_put(t, &i, &e) >= 0);
}

/* The domain signs with the double's key. */
static inline void
bed_add_key(struct db_txn *t, const char *domain, const char *selector)
{
	struct identity i;
	struct dkim_key k;
	struct err	e;

	assert_int_equal(identity_get(t, world_account, domain, &i, &e), 1);
	i.dkim.status = IDENTITY_SUCCESS;
	i.signing = DKIM_ON;
	assert_true(identity_put(t, &i, &e) >= 0);
	memset(&k, 0, sizeof(k));
	strcpy(k.account, world_account);
	strcpy(k.domain, domain);
	strcpy(k.selector, selector);
	k.bits = 1024;
	k.role = DKIM_ACTIVE;
	k.public_n = keys_double_public(k.public_key, sizeof(k.public_key));
	memcpy(k.sealed, "sealed", 6);
	k.sealed_n = 6;
	if (dkim_key_put(t, &k, &e) < 0)
		fail_msg("%s", e.text);
}

/* An Ed25519 key beside it, whose record is seen; dual signing is on. */
static inline void
bed_add_ed25519(struct db_txn *t, const char *domain, const char *selector)
{
	struct identity i;
	struct dkim_key k;
	struct err	e;

	assert_int_equal(identity_get(t, world_account, domain, &i, &e), 1);
	i.dual = DKIM_ON;
	assert_true(identity_put(t, &i, &e) >= 0);
	memset(&k, 0, sizeof(k));
	strcpy(k.account, world_account);
	strcpy(k.domain, domain);
	strcpy(k.selector, selector);
	k.ed25519 = k.seen = true;
	k.bits = DKIM_ED25519_BITS;
	k.role = DKIM_ACTIVE;
	k.public_n = 32;
	memcpy(k.sealed, "sealed", 6);
	k.sealed_n = 6;
	if (dkim_key_put(t, &k, &e) < 0)
		fail_msg("%s", e.text);
}

/* The record is there, but nothing can be read from it. */
static inline void
bed_damage_key(struct db_txn *t, const char *domain, const char *selector)
{
	struct err e;
	char	   row[400];
	int	   n;

	n = snprintf(row, sizeof(row), "%s%s%c%s", world_account, domain, 0,
	    selector);
	assert_true(db_put(t, BOOK_DKIM_KEY, (struct bytes){ row, (size_t)n },
	    BYTES("\1\2"), false, &e) >= 0);
}

static inline void
bed_add_credential(struct db_txn *t, const char *name, const char *key_id)
{
	struct credential c;
	struct err	  e;

	credential_init(&c);
	strcpy(c.account, world_account);
	strcpy(c.name, name);
	if (key_id != NULL) {
		c.key_count = 1;
		strcpy(c.keys[0].id, key_id);
		c.keys[0].active = true;
		assert_int_equal(credential_import_password(&c.keys[0],
		    "us-east-1", BYTES(BED_PASSWORD), &e), 0);
	}
	if (credential_create(t, &c, 0, &e) < 0)
		fail_msg("%s", e.text);
}

static inline void
bed_populate(struct db_txn *t)
{
	struct account a;
	struct err     e;

	memset(&a, 0, sizeof(a));
	strcpy(a.id, world_account);
	strcpy(a.name, "main");
	a.production = true;
	a.sending_enabled = true;
	a.max_24h = -1;
	a.rate = -1;
	if (account_create(t, &a, &e) < 0)
		fail_msg("%s", e.text);
	bed_add_identity(t, "example.com");
	bed_add_credential(t, "app1", BED_USER);
	bed_add_credential(t, "local-users", NULL);
	assert_true(book_set_region(t, "us-east-1", &e) >= 0);
}

/* -- life ----------------------------------------------------------------- */

static inline void
bed_on_log(void *arg, const char *line)
{
	struct bed *b = arg;

	pthread_mutex_lock(&b->lock);
	buf_add_text(&b->log, line);
	buf_add_char(&b->log, '\n');
	pthread_mutex_unlock(&b->lock);
}

static inline bool
bed_has_logged(struct bed *b, const char *text)
{
	bool found;

	pthread_mutex_lock(&b->lock);
	found = bytes_find_nocase(buf_bytes(&b->log), bytes_of(text)) >= 0;
	pthread_mutex_unlock(&b->lock);
	return found;
}

/* Waits for a line that is written when a session has ended. */
static inline void
bed_await_log(struct bed *b, const char *text)
{
	int64_t until = clock_mono_us() + BED_WAIT_MS * 1000;

	while (!bed_has_logged(b, text)) {
		if (clock_mono_us() > until)
			fail_msg("not logged: %s; but:\n%.*s", text,
			    (int)b->log.n, b->log.p);
		poll(NULL, 0, 1);
	}
}

static inline void
bed_on_warning(void *arg, const char *account, const char *what,
    const char *text)
{
	struct bed *b = arg;

	(void)account;
	pthread_mutex_lock(&b->lock);
	b->warnings++;
	snprintf(b->last_warning, sizeof(b->last_warning), "%s %s", what,
	    text);
	pthread_mutex_unlock(&b->lock);
}

static inline void
bed_on_used(void *arg, const char *key_id, const char *ip,
    const char *listener, struct wall when)
{
	struct bed *b = arg;

	assert_string_equal(key_id, BED_USER);
	assert_string_equal(ip, "127.0.0.1");
	assert_non_null(listener);
	assert_true(when.ms > 0);
	b->uses++;
}

static inline struct conf *
bed_load_conf(const char *more)
{
	static const char base[] =
	    "server.name mail.relay.example\n"
	    "store.map_size 1g\nspool.min_free 1m\n"
	    "tls.cert /test/cert\ntls.key /test/key\n"
	    "listener plain {\n address 127.0.0.1:0\n tls none\n"
	    " role submission\n}\n"
	    "listener starttls {\n address 127.0.0.1:0\n tls starttls\n"
	    " role submission\n}\n"
	    "listener wrapper {\n address 127.0.0.1:0\n tls wrapper\n"
	    " role submission\n}\n"
	    "listener shared {\n address 127.0.0.1:0\n tls starttls\n"
	    " role submission, intake\n}\n"
	    "listener intake {\n address 127.0.0.1:0\n tls starttls\n"
	    " role intake\n}\n"
	    "auth.fail_delay 0\n";
	struct conf_errors errors;
	struct conf	  *c;
	struct buf	   text;

	buf_init(&text, 65536);
	buf_add_text(&text, base);
	buf_add_text(&text, more);
	conf_errors_init(&errors);
	c = conf_load_text("test", buf_bytes(&text), NULL, &errors);
	if (c == NULL)
		fail_msg("%s", errors.v[0].text);
	conf_errors_wipe(&errors);
	buf_wipe(&text);
	return c;
}

static inline void
bed_open_spool(struct bed *b)
{
	struct spool_setup s = { .dir = b->world.dir,
		.map_bytes = 256 << 20, .min_free = 1 << 20,
		.messages_max = 1000, .index_keep_ms = 86400000,
		.tail_keep_ms = 86400000,
		.redo_log = REDO_NEVER /* receipts, then readers */ };
	struct err e;

	b->spool = spool_open(&s, &e);
	if (b->spool == NULL || spool_start(b->spool, &e) < 0)
		fail_msg("%s", e.text);
}

static inline void
bed_listen(struct bed *b)
{
	struct sockaddr_storage *a;
	struct sockaddr_un	*un;
	struct sockaddr_in	*in;
	struct err		 e;
	size_t			 i;

	assert_true(b->conf->listener_count <= BED_LISTENERS_MAX);
	b->fd_count = b->conf->listener_count;
	for (i = 0; i < b->fd_count; i++) {
		a = &b->addresses[i];
		memset(a, 0, sizeof(*a));
		if (b->conf->listeners[i].roles & CONF_ROLE_LOCAL) {
			un = (struct sockaddr_un *)a;
			un->sun_family = AF_UNIX;
			snprintf(un->sun_path, sizeof(un->sun_path),
			    "%s/sock", b->world.dir);
			b->fds[i] = stream_bind(a, sizeof(*un), false, false,
			    &e);
		} else {
			in = (struct sockaddr_in *)a;
			in->sin_family = AF_INET;
			in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
			b->fds[i] = stream_bind(a, sizeof(*in), false, false,
			    &e);
		}
		if (b->fds[i] < 0 ||
		    desk_listen(b->desk, i, b->fds[i], &e) < 0)
			fail_msg("%s", e.text);
	}
}

static inline void
bed_open_tls(struct bed *b)
{
	struct tls_pem pem = { bytes_of(bed_cert.cert_pem),
		bytes_of(bed_cert.key_pem), "/test/cert" };
	struct tls_server_setup ts = { .pems = &pem, .pem_count = 1 };
	struct err		e;
	size_t			i;

	b->tls = desk_tls_new(b->conf->listener_count);
	for (i = 0; i < b->tls->count; i++) {
		b->tls->v[i] = tls_server_new(&ts, &e);
		if (b->tls->v[i] == NULL)
			fail_msg("%s", e.text);
	}
}

/* tweak, unless NULL, sets members of the configuration by hand */
static inline void
bed_open_with(struct bed *b, const char *more, void (*tweak)(struct conf *c))
{
	struct desk_setup s = { .on_warning = bed_on_warning,
		.on_warning_arg = b, .on_used = bed_on_used,
		.on_used_arg = b };
	struct err e;

	memset(b, 0, sizeof(*b));
	pthread_mutex_init(&b->lock, NULL);
	buf_init(&b->log, BED_LOG_MAX);
	log_capture(bed_on_log, b);
	world_open(&b->world);
	world_run(&b->world, bed_populate);
	bed_open_spool(b);
	b->tally = tally_new(1000);
	b->conf = bed_load_conf(more);
	/* loopback is trusted by default: limits would not show */
	b->conf->smtp.trusted_networks.n = 0;
	if (tweak != NULL)
		tweak(b->conf);
	bed_open_tls(b);
	desk_meters_init(&b->meters);
	b->loop = loop_new("desk", 256, &e);
	assert_non_null(b->loop);
	b->keys.loop = b->loop;
	s.loop = b->loop;
	s.spool = b->spool;
	s.book = b->world.book;
	s.tally = b->tally;
	s.keys = &b->keys;
	s.conf = b->conf;
	s.tls = b->tls;
	s.meters = &b->meters;
	s.ledger = b->ledger = ledger_new();
	b->desk = desk_new(&s, &e);
	if (b->desk == NULL)
		fail_msg("%s", e.text);
	bed_listen(b);
	assert_int_equal(loop_start(b->loop, &e), 0);
}

static inline void
bed_open(struct bed *b, const char *more)
{
	bed_open_with(b, more, NULL);
}

static inline void
bed_on_idle(void *bed, void *unused)
{
	struct bed *b = bed;

	(void)unused;
	loop_stop(b->loop);
}

static inline void
bed_on_shut(void *bed, void *unused)
{
	struct bed *b = bed;

	(void)unused;
	desk_shut(b->desk, 0, bed_on_idle, b);
}

static inline void
bed_close(struct bed *b)
{
	size_t i;

	assert_true(loop_post(b->loop, bed_on_shut, b, NULL));
	loop_join(b->loop);
	desk_free(b->desk);
	loop_free(b->loop);
	spool_stop(b->spool);
	spool_close(b->spool);
	for (i = 0; i < b->fd_count; i++)
		close(b->fds[i]);
	/* all counts have gone with their sessions */
	assert_int_equal(tally_get(b->tally, BYTES("smtp")), 0);
	assert_int_equal(tally_get(b->tally, BYTES("ip/127.0.0.1")), 0);
	assert_int_equal(tally_get(b->tally, BYTES("preauth/127.0.0.1")), 0);
	assert_int_equal(tally_get(b->tally,
	    BYTES("login/123456789012/app1")), 0);
	assert_int_equal(tally_get(b->tally, BYTES("memory")), 0);
	tally_free(b->tally);
	ledger_free(b->ledger);
	desk_tls_unref(b->tls);
	conf_unref(b->conf);
	log_capture(NULL, NULL);
	world_close(&b->world);
	buf_wipe(&b->log);
	pthread_mutex_destroy(&b->lock);
}

/* -- a client ------------------------------------------------------------- */

struct client {
	int	 fd;
	SSL_CTX *ctx;
	SSL	*ssl;
	char	 in[65536];
	size_t	 n;
	char	 last[4096]; /* line that was read last */
};

static inline size_t
bed_listener(const struct bed *b, const char *name)
{
	return (size_t)(conf_listener_find(b->conf, bytes_of(name)) -
	    b->conf->listeners);
}

static inline struct client *
client_open(struct bed *b, const char *listener)
{
	struct client *c = calloc(1, sizeof(*c));
	size_t	       i = bed_listener(b, listener);
	struct timeval t = { BED_WAIT_MS / 1000, 0 };
	int	       one = 1;
	socklen_t      len = b->addresses[i].ss_family == AF_UNIX ?
	    sizeof(struct sockaddr_un) : sizeof(struct sockaddr_in);

	c->fd = socket(b->addresses[i].ss_family, SOCK_STREAM, 0);
	assert_true(c->fd >= 0);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	assert_int_equal(connect(c->fd,
	    (struct sockaddr *)&b->addresses[i], len), 0);
	return c;
}

static inline void
client_tls(struct client *c)
{
	c->ctx = SSL_CTX_new(TLS_client_method());
	c->ssl = SSL_new(c->ctx);
	SSL_set_fd(c->ssl, c->fd);
	assert_int_equal(SSL_connect(c->ssl), 1);
}

static inline void
client_close(struct client *c)
{
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	close(c->fd);
	free(c);
}

static inline void
send_bytes(struct client *c, struct bytes b)
{
	ssize_t k;

	while (b.n > 0) {
		k = c->ssl != NULL ? SSL_write(c->ssl, b.p, (int)b.n) :
		    send(c->fd, b.p, b.n, MSG_NOSIGNAL);
		if (k <= 0)
			return; /* refused half-way: the reply will tell */
		b = bytes_from(b, (size_t)k);
	}
}

static inline void
send_text(struct client *c, const char *text)
{
	send_bytes(c, bytes_of(text));
}

/* false = the server has closed */
static inline bool
read_line(struct client *c)
{
	char   *lf;
	ssize_t k;
	size_t	n;

	while ((lf = memchr(c->in, '\n', c->n)) == NULL) {
		k = c->ssl != NULL ?
		    SSL_read(c->ssl, c->in + c->n, (int)(sizeof(c->in) - c->n)) :
		    recv(c->fd, c->in + c->n, sizeof(c->in) - c->n, 0);
		if (k < 0 && c->ssl == NULL && errno != ECONNRESET)
			fail_msg("no answer within the time");
		if (k <= 0)
			return false;
		c->n += (size_t)k;
	}
	n = (size_t)(lf - c->in) + 1;
	assert_true(n >= 2 && n <= 514 && c->in[n - 2] == '\r');
	memcpy(c->last, c->in, n - 2);
	c->last[n - 2] = '\0';
	memmove(c->in, c->in + n, c->n - n);
	c->n -= n;
	return true;
}

/* One reply of one line; "*" at the end stands for anything. */
static inline void
expect_line(struct client *c, const char *want)
{
	size_t n = strlen(want);

	if (!read_line(c))
		fail_msg("closed instead of: %s", want);
	if (n > 0 && want[n - 1] == '*') {
		if (strncmp(c->last, want, n - 1) != 0)
			fail_msg("got: %s\nwant: %s", c->last, want);
	} else if (strcmp(c->last, want) != 0) {
		fail_msg("got: %s\nwant: %s", c->last, want);
	}
}

static inline void
expect_closed(struct client *c)
{
	if (read_line(c))
		fail_msg("got: %s\nwant: the end", c->last);
}

static inline void
say(struct client *c, const char *line, const char *want)
{
	send_text(c, line);
	send_text(c, "\r\n");
	expect_line(c, want);
}

static inline void
greeted(struct client *c)
{
	expect_line(c, "220 mail.relay.example ESMTP posthorn-n1 *");
}

/* EHLO; all lines joined with "|" into out */
static inline void
hello(struct client *c, char *out, size_t size)
{
	send_text(c, "EHLO app1.example.com\r\n");
	out[0] = '\0';
	do {
		assert_true(read_line(c));
		assert_int_equal(strncmp(c->last, "250", 3), 0);
		snprintf(out + strlen(out), size - strlen(out), "%s|",
		    c->last + 4);
	} while (c->last[3] == '-');
}

/* A client of the plain listener that has logged in. */
static inline struct client *
client_in(struct bed *b)
{
	struct client *c = client_open(b, "plain");
	char	       text[1024];

	greeted(c);
	hello(c, text, sizeof(text));
	say(c, BED_AUTH, "235 Authentication successful");
	return c;
}

/* MAIL, RCPT, DATA and content; the reply to its end is in c->last. */
static inline void
post_text(struct client *c, const char *from, const char *to,
    const char *content)
{
	char line[600];

	snprintf(line, sizeof(line), "MAIL FROM:<%s>", from);
	say(c, line, "250 Ok");
	snprintf(line, sizeof(line), "RCPT TO:<%s>", to);
	say(c, line, "250 Ok");
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	send_text(c, content);
	send_text(c, "\r\n.\r\n");
	assert_true(read_line(c));
}

#define BED_MESSAGE \
	"From: Sender <sender@example.com>\r\nTo: r@example.org\r\n" \
	"Subject: hello\r\n\r\nHello."

/* What was stored under the id of "250 Ok ID"; NUL-terminated, static. */
static inline const char *
stored_message(struct bed *b, const char *reply)
{
	static char	   text[1 << 20];
	struct message_row row;
	struct arena	  *a = arena_new(1 << 20);
	struct msgid	   id;
	struct err	   e;
	ptrdiff_t	   k;
	uint64_t	   n = 0;

	assert_int_equal(strncmp(reply, "250 Ok ", 7), 0);
	assert_true(msgid_from_text(bytes_of(reply + 7), &id, NULL));
	assert_int_equal(spool_read_message(b->spool, &id, a, &row, &e), 1);
	do {
		k = spool_read_content(b->spool, &row, n, text + n,
		    sizeof(text) - 1 - n, &e);
		assert_true(k >= 0);
		n += (uint64_t)k;
	} while (k > 0);
	text[n] = '\0';
	arena_free(a);
	return text;
}

static inline int
bed_group_setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	keys_double_make();
	test_cert_make(&bed_cert, &(struct test_cert_spec){
	    .names = "DNS:mail.relay.example" });
	return 0;
}

static inline int
bed_group_teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(keys_double_key);
	test_cert_wipe(&bed_cert);
	return 0;
}

/* -- what most tests of a desk begin and end with ------------------------- */

/* The bed of the test that runs. */
static struct bed bed;

static inline int
bed_teardown(void **state)
{
	(void)state;
	bed_close(&bed);
	return 0;
}

static inline uint64_t
stored_count(void)
{
	struct spool_figures f;
	struct err	     e;

	assert_int_equal(spool_figures(bed.spool, &f, &e), 0);
	return f.messages;
}

/* A client that has been greeted and has said EHLO. */
static inline struct client *
client_ready(const char *listener)
{
	struct client *c = client_open(&bed, listener);
	char	       text[1024];

	greeted(c);
	hello(c, text, sizeof(text));
	return c;
}

static inline void
send_envelope(struct client *c)
{
	say(c, "MAIL FROM:<sender@example.com>", "250 Ok");
	say(c, "RCPT TO:<r@example.org>", "250 Ok");
}

/* Lines of 998 octets, and one shorter, of so many octets in all. */
static inline void
send_body(struct client *c, size_t octets)
{
	char   line[1000];
	size_t n;

	memset(line, 'x', sizeof(line));
	for (; octets > 0; octets -= n) {
		n = octets > sizeof(line) ? sizeof(line) : octets;
		assert_true(n >= 2);
		memcpy(line + n - 2, "\r\n", 2);
		send_bytes(c, (struct bytes){ line, n });
	}
}

#endif
