/* SPDX-License-Identifier: ISC */
/* The keys process and its client together, over real channels. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"
#include "daemon/child_proto.h"
#include "daemon/keys.h"
#include "daemon/keys_seal.h"
#include "registry/keys_proto.h"
#include "submission/keys_client.h"

#define NO_MASTER "no master key configured (store.master_key)"

static struct err e;

static int
temporary_file(mode_t mode, const void *p, size_t n)
{
	char path[] = "/tmp/posthorn-keys-XXXXXX";
	int  fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int
master_file(char octet)
{
	char raw[32];

	memset(raw, octet, sizeof(raw));
	return temporary_file(0400, raw, sizeof(raw));
}

static int
key_file(EVP_PKEY *k, bool traditional)
{
	BIO  *b = BIO_new(BIO_s_mem());
	char *p;
	long  n;
	int   fd;

	if (traditional)
		assert_int_equal(PEM_write_bio_PrivateKey_traditional(b, k,
				     NULL, NULL, 0, NULL, NULL), 1);
	else
		assert_int_equal(PEM_write_bio_PKCS8PrivateKey(b, k, NULL,
				     NULL, 0, NULL, NULL), 1);
	n = BIO_get_mem_data(b, &p);
	fd = temporary_file(0600, p, (size_t)n);
	BIO_free(b);
	return fd;
}

/* -- the world: one keys process on a thread, its clients on this one ----- */

struct world {
	struct loop	   *keys_loop, *loop;
	struct keys	   *keys;
	struct keys_client *client;
	unsigned	    answers, wanted;
	struct keys_answer  last;
	unsigned	    ok, failed, down;
	char		    order[64]; /* of those that say their letter */
};

static void
pair(int fds[2])
{
	assert_int_equal(channel_pair(fds, &e), 0);
}

static void
world_open_setup(struct world *w, struct keys_setup *s)
{
	int fds[2];

	memset(w, 0, sizeof(*w));
	pair(fds);
	s->peers = fds;
	s->peer_count = 1;
	w->keys_loop = loop_new("keys", 16384, &e);
	w->loop = loop_new("asker", 64, &e);
	w->keys = keys_open(w->keys_loop, s, &e);
	if (w->keys == NULL)
		fail_msg("%s", e.text);
	w->client = keys_client_new(w->loop, fds[1], &e);
	assert_non_null(w->client);
	/* nothing is late because the machine is busy or the build is slow */
	keys_client_set_limits(w->client, 120000, 120000);
	assert_int_equal(loop_start(w->keys_loop, &e), 0);
}

static void
world_open(struct world *w)
{
	struct keys_setup s = { .master_key_fd = master_file('m'),
		.operator_key_fd = -1,
		.control_fd = -1,
		.threads = 2 };

	world_open_setup(w, &s);
}

static void
keys_end(struct world *w)
{
	if (w->keys == NULL)
		return;
	loop_stop(w->keys_loop);
	loop_join(w->keys_loop);
	keys_close(w->keys);
	loop_free(w->keys_loop);
	w->keys = NULL;
}

static void
world_close(struct world *w)
{
	keys_client_free(w->client);
	keys_end(w);
	loop_free(w->loop);
}

static void
on_answer(void *arg, const struct keys_answer *a)
{
	struct world *w = arg;

	w->last = *a;
	w->ok += a->result == KEYS_OK;
	w->failed += a->result == KEYS_FAILED;
	w->down += a->result == KEYS_DOWN;
	if (++w->answers == w->wanted)
		loop_stop(w->loop);
}

static const struct keys_answer *
wait_for(struct world *w, unsigned n)
{
	w->wanted = w->answers + n;
	loop_run(w->loop);
	return &w->last;
}

/* -- keys of the tests ---------------------------------------------------- */

struct made {
	char	      domain[64], selector[32];
	unsigned char public_key[600], sealed[2600];
	size_t	      public_n, sealed_n;
};

static void
make(struct world *w, struct made *m, const char *domain,
    const char *selector, unsigned bits)
{
	const struct keys_answer *a;

	assert_true(keys_client_make(w->client, domain, selector, bits,
			on_answer, w) != 0);
	a = wait_for(w, 1);
	if (a->result != KEYS_OK)
		fail_msg("%s", a->reason);
	assert_int_equal(a->bits, bits);
	snprintf(m->domain, sizeof(m->domain), "%s", domain);
	snprintf(m->selector, sizeof(m->selector), "%s", selector);
	m->public_n = a->public_n;
	memcpy(m->public_key, a->public_key, a->public_n);
	m->sealed_n = a->sealed_n;
	memcpy(m->sealed, a->sealed, a->sealed_n);
}

static struct keys_sign
to_sign(const struct made *m, unsigned char n)
{
	struct keys_sign r = { .domain = m->domain,
		.selector = m->selector,
		.sealed = { (const char *)m->sealed, m->sealed_n } };

	memset(r.digest, n, sizeof(r.digest));
	return r;
}

static bool
verifies(const unsigned char *der, size_t n, unsigned char digest_octet,
    const struct keys_answer *a)
{
	unsigned char digest[32];
	EVP_PKEY     *pub = d2i_PUBKEY(NULL, &der, (long)n);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(pub, NULL);
	bool	      ok;

	memset(digest, digest_octet, sizeof(digest));
	ok = EVP_PKEY_verify_init(c) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) == 1 &&
	    EVP_PKEY_verify(c, a->signature, a->signature_n, digest, 32) == 1;
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(pub);
	return ok;
}

static void
sign(struct world *w, const struct made *m, unsigned char n)
{
	struct keys_sign	  r = to_sign(m, n);
	const struct keys_answer *a;

	assert_true(keys_client_sign(w->client, &r, on_answer, w) != 0);
	a = wait_for(w, 1);
	if (a->result != KEYS_OK)
		fail_msg("%s", a->reason);
	assert_true(verifies(m->public_key, m->public_n, n, a));
	assert_false(verifies(m->public_key, m->public_n,
	    (unsigned char)(n + 1), a));
}

/* Read after the loop has ended. */
static struct keys_figures
figures_at_end(struct world *w)
{
	struct keys_figures f;

	loop_stop(w->keys_loop);
	loop_join(w->keys_loop);
	keys_figures(w->keys, &f);
	keys_close(w->keys);
	loop_free(w->keys_loop);
	w->keys = NULL;
	return f;
}

/* -- signing -------------------------------------------------------------- */

static void
test_sign(void **state)
{
	struct world	    w;
	struct made	    m;
	struct keys_figures f;
	unsigned char	    i;

	(void)state;
	world_open(&w);
	make(&w, &m, "example.com", "s1", 1024);
	for (i = 0; i < 10; i++)
		sign(&w, &m, i);
	f = figures_at_end(&w);
	assert_int_equal(f.kept, 1);
	assert_int_equal(f.unsealed, 1); /* once, then from the table */
	assert_int_equal(f.signatures, 10);
	world_close(&w);
}

/* A slot that got another key (dkim 10.1) signs with the new one. */
static void
test_selector_gets_another_key(void **state)
{
	struct world	    w;
	struct made	    one, two;
	struct keys_figures f;

	(void)state;
	world_open(&w);
	make(&w, &one, "example.com", "slot", 1024);
	make(&w, &two, "example.com", "slot", 1024);
	sign(&w, &one, 1);
	sign(&w, &two, 2);
	sign(&w, &two, 3);
	f = figures_at_end(&w);
	assert_int_equal(f.kept, 1);
	assert_int_equal(f.unsealed, 2);
	world_close(&w);
}

struct one_of_many {
	struct world	  *w;
	const struct made *m;
	unsigned char	   n;
};

static void
on_one_of_many(void *arg, const struct keys_answer *a)
{
	struct one_of_many *o = arg;

	assert_int_equal(a->result, KEYS_OK);
	assert_true(verifies(o->m->public_key, o->m->public_n, o->n, a));
	on_answer(o->w, a);
}

/* Many at once; each answer finds its asker. */
static void
test_many_in_flight(void **state)
{
	enum { KEYS = 4, ALL = 400 };
	static struct one_of_many o[ALL];
	struct world		  w;
	struct made		  m[KEYS];
	struct keys_sign	  r;
	char			  selector[8];
	unsigned		  i;

	(void)state;
	world_open(&w);
	for (i = 0; i < KEYS; i++) {
		snprintf(selector, sizeof(selector), "s%u", i);
		make(&w, &m[i], "example.com", selector, 1024);
	}
	for (i = 0; i < ALL; i++) {
		o[i] = (struct one_of_many){ &w, &m[i % KEYS],
			(unsigned char)i };
		r = to_sign(o[i].m, o[i].n);
		keys_client_sign(w.client, &r, on_one_of_many, &o[i]);
	}
	wait_for(&w, ALL);
	assert_int_equal(w.ok, ALL + KEYS);
	assert_int_equal(figures_at_end(&w).kept, KEYS);
	world_close(&w);
}

static void
on_made(void *arg, const struct keys_answer *a)
{
	struct world *w = arg;

	assert_int_equal(a->result, KEYS_OK);
	strcat(w->order, "m");
	on_answer(w, a);
}

static void
on_signed(void *arg, const struct keys_answer *a)
{
	struct world *w = arg;

	assert_int_equal(a->result, KEYS_OK);
	strcat(w->order, "s");
	on_answer(w, a);
}

/* Keys are made beside: eight of them do not hold up a signature. */
static void
test_signing_does_not_wait_for_making(void **state)
{
	struct world	 w;
	struct made	 m;
	struct keys_sign r;
	unsigned	 i;

	(void)state;
	world_open(&w);
	make(&w, &m, "example.com", "s1", 1024);
	r = to_sign(&m, 1);
	for (i = 0; i < 8; i++)
		keys_client_make(w.client, "example.com", "x", 2048, on_made,
		    &w);
	keys_client_sign(w.client, &r, on_signed, &w);
	wait_for(&w, 9);
	assert_int_equal(w.ok, 10);
	assert_true(strchr(w.order, 's') - w.order < 4);
	world_close(&w);
}

/* The table is bounded; what was used least goes. */
static void
test_table_is_bounded(void **state)
{
	struct world	    w;
	struct keys_figures f;
	struct sealer	   *s;
	struct signing_key *k = signing_key_make(1024, &e);
	struct made	    m, first;
	char		    name[128];
	int		    fd = master_file('m'), n, len;
	unsigned	    i;

	(void)state;
	s = sealer_open(fd, &e);
	close(fd);
	memset(&m, 0, sizeof(m));
	m.public_n = signing_key_public(k, m.public_key,
	    sizeof(m.public_key));
	strcpy(m.domain, "example.com");
	world_open(&w);
	for (i = 0; i < KEYS_TABLE_MAX + 5; i++) {
		snprintf(m.selector, sizeof(m.selector), "s%u", i);
		n = snprintf(name, sizeof(name), "%s%c%s", m.domain, 0,
		    m.selector);
		len = sealer_seal(s, (struct bytes){ name, (size_t)n }, k,
		    m.sealed, sizeof(m.sealed), &e);
		assert_true(len > 0);
		m.sealed_n = (size_t)len;
		if (i == 0)
			first = m;
		if (i < 3 || i % 1024 == 0)
			sign(&w, &m, (unsigned char)i);
		else {
			struct keys_sign r = to_sign(&m, 1);

			keys_client_sign(w.client, &r, on_answer, &w);
			wait_for(&w, 1);
		}
		if (i == KEYS_TABLE_MAX)
			sign(&w, &first, 9); /* was thrown out */
	}
	f = figures_at_end(&w);
	assert_int_equal(w.failed + w.down, 0);
	assert_int_equal(f.kept, KEYS_TABLE_MAX);
	assert_int_equal(f.unsealed, KEYS_TABLE_MAX + 5 + 1);
	world_close(&w);
	signing_key_free(k);
	sealer_free(s);
}

/* What nobody uses is wiped, and unsealed anew when it is wanted again. */
static void
test_idle_keys_go(void **state)
{
	struct keys_setup s = { .master_key_fd = master_file('m'),
		.operator_key_fd = -1, .control_fd = -1, .threads = 2,
		.keep_ms = 100 };
	struct keys_figures f;
	struct world	    w;
	struct made	    m, busy;
	struct mono	    begun;

	(void)state;
	world_open_setup(&w, &s);
	make(&w, &m, "example.com", "s1", 1024);
	make(&w, &busy, "example.com", "busy", 1024);
	sign(&w, &m, 1);
	begun = clock_mono();
	while (clock_mono().ms - begun.ms < 300)
		sign(&w, &busy, 2);
	sign(&w, &m, 3);
	f = figures_at_end(&w);
	/* m twice; the busy one at most for each time the machine slept */
	assert_in_range(f.kept, 1, 2);
	assert_in_range(f.unsealed, 3, 6);
	world_close(&w);
}

/* -- import, export, check ------------------------------------------------ */

static const struct keys_answer *
import(struct world *w, int fd, unsigned min_bits, unsigned max_bits)
{
	struct keys_import r = { "example.com", "own", min_bits, max_bits,
		fd };

	keys_client_import(w->client, &r, on_answer, w);
	return wait_for(w, 1);
}

/* dkim#16 */
static void
test_import(void **state)
{
	struct world		  w;
	EVP_PKEY		 *k = EVP_RSA_gen(2048);
	const struct keys_answer *a;
	unsigned char		 *der = NULL;
	struct made		  m = { "example.com", "own", { 0 }, { 0 },
				   0, 0 };
	int			  n = i2d_PUBKEY(k, &der), i;

	(void)state;
	world_open(&w);
	for (i = 0; i < 2; i++) {
		a = import(&w, key_file(k, i == 0), 1024, 2048);
		assert_int_equal(a->result, KEYS_OK);
		assert_int_equal(a->bits, 2048);
		assert_int_equal(a->public_n, n);
		assert_memory_equal(a->public_key, der, (size_t)n);
	}
	m.public_n = a->public_n;
	memcpy(m.public_key, a->public_key, a->public_n);
	m.sealed_n = a->sealed_n;
	memcpy(m.sealed, a->sealed, a->sealed_n);
	sign(&w, &m, 5);
	a = import(&w, key_file(k, true), 1024, 1536);
	assert_int_equal(a->result, KEYS_FAILED);
	assert_string_equal(a->reason, "private key must be PKCS#1 or PKCS#8, "
				       "RSA, 1024 to 1536 bits");
	a = import(&w, temporary_file(0600, "x", 1), 1024, 2048);
	assert_int_equal(a->result, KEYS_FAILED);
	world_close(&w);
	OPENSSL_free(der);
	EVP_PKEY_free(k);
}

/* A file that is too large; a directory. */
static void
test_import_is_bounded(void **state)
{
	struct world		  w;
	char			 *large = calloc(1, 100000);
	const struct keys_answer *a;

	(void)state;
	world_open(&w);
	memset(large, 'A', 100000);
	a = import(&w, temporary_file(0600, large, 100000), 1024, 2048);
	assert_int_equal(a->result, KEYS_FAILED);
	assert_string_equal(a->reason, "the key file is too large");
	a = import(&w, open("/", O_RDONLY | O_CLOEXEC), 1024, 2048);
	assert_int_equal(a->result, KEYS_FAILED);
	assert_string_equal(a->reason, "read the key: Is a directory");
	world_close(&w);
	free(large);
}

static void
test_export(void **state)
{
	struct world		  w;
	struct made		  m;
	struct keys_sign	  r;
	const struct keys_answer *a;
	struct signing_key	 *k;
	unsigned char		  der[600];
	char			  pem[4096];
	ssize_t			  n;
	int			  fds[2];

	(void)state;
	world_open(&w);
	make(&w, &m, "example.com", "s1", 1024);
	r = to_sign(&m, 0);
	assert_int_equal(pipe(fds), 0);
	keys_client_export(w.client, &r, fds[1], on_answer, &w);
	a = wait_for(&w, 1);
	assert_int_equal(a->result, KEYS_OK);
	assert_int_equal(a->sealed_n, 0);
	n = read(fds[0], pem, sizeof(pem));
	assert_true(n > 0);
	k = signing_key_read((struct bytes){ pem, (size_t)n }, 1024, 1024,
	    &e);
	assert_non_null(k);
	assert_int_equal(signing_key_public(k, der, sizeof(der)), m.public_n);
	assert_memory_equal(der, m.public_key, m.public_n);
	signing_key_free(k);
	close(fds[0]);
	/* nobody at the other end */
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	keys_client_export(w.client, &r, fds[1], on_answer, &w);
	a = wait_for(&w, 1);
	assert_int_equal(a->result, KEYS_FAILED);
	world_close(&w);
}

/* Whatever relay has of its own to read from: no private key comes there. */
static void
test_export_to_relay(void **state)
{
	struct keys_setup s = { .master_key_fd = master_file('m'),
		.operator_key_fd = -1,
		.control_fd = -1,
		.relay_uid = geteuid() == 0 ? 4711 : geteuid(),
		.threads = 1 };
	struct world	  w;
	struct made	  m;
	struct keys_sign  r;
	const struct keys_answer *a;
	int		  fds[2], pair_fds[2], i;
	char		  c;

	(void)state;
	world_open_setup(&w, &s);
	make(&w, &m, "example.com", "s1", 1024);
	r = to_sign(&m, 0);
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	if (geteuid() == 0)
		assert_int_equal(fchown(fds[1], s.relay_uid, (gid_t)-1), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    pair_fds), 0);
	for (i = 0; i < 3; i++) {
		keys_client_export(w.client, &r, i == 0 ? fds[1] :
		    i == 1 ? temporary_file(0600, "", 0) : pair_fds[1],
		    on_answer, &w);
		a = wait_for(&w, 1);
		assert_int_equal(a->result, KEYS_FAILED);
		assert_non_null(strstr(a->reason, "not server.user"));
	}
	assert_int_equal(read(fds[0], &c, 1), 0);
	assert_int_equal(read(pair_fds[0], &c, 1), 0);
	close(fds[0]);
	close(pair_fds[0]);
	/* another's */
	if (geteuid() == 0) {
		assert_int_equal(pipe(fds), 0);
		keys_client_export(w.client, &r, fds[1], on_answer, &w);
		assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
		close(fds[0]);
	}
	world_close(&w);
}

/* At start: does the master key open what the store has? */
static void
test_check(void **state)
{
	struct keys_setup s = { .master_key_fd = -1,
		.operator_key_fd = -1,
		.control_fd = -1 };
	struct world	  w, other;
	struct made	  m;
	struct keys_sign  r;

	(void)state;
	world_open(&w);
	make(&w, &m, "example.com", "s1", 1024);
	r = to_sign(&m, 0);
	keys_client_check(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
	assert_int_equal(w.last.sealed_n + w.last.public_n +
		w.last.signature_n, 0);
	r.selector = "s2";
	keys_client_check(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	keys_client_sign(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	r.selector = "s1";
	s.master_key_fd = master_file('x');
	world_open_setup(&other, &s);
	keys_client_check(other.client, &r, on_answer, &other);
	assert_int_equal(wait_for(&other, 1)->result, KEYS_FAILED);
	assert_string_equal(other.last.reason,
	    "the master key does not open this key");
	world_close(&other);
	world_close(&w);
}

/* -- without a master key; the operator's key ----------------------------- */

/* credentials#25 */
static void
test_no_master_key(void **state)
{
	struct keys_setup s = { .master_key_fd = -1,
		.operator_key_fd = -1,
		.control_fd = -1 };
	struct made	   m = { .domain = "example.com", .selector = "s" };
	struct keys_sign   r = to_sign(&m, 1);
	struct keys_import i = { "example.com", "s", 1024, 2048, -1 };
	struct world	   w;

	(void)state;
	world_open_setup(&w, &s);
	keys_client_make(w.client, "example.com", "s1", 2048, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	assert_string_equal(w.last.reason, NO_MASTER);
	i.fd = temporary_file(0600, "x", 1);
	keys_client_import(w.client, &i, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	assert_string_equal(w.last.reason, NO_MASTER);
	keys_client_sign(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	assert_string_equal(w.last.reason, NO_MASTER);
	/* it may come with a reload: within the limit */
	keys_client_set_limits(w.client, 250, 250);
	keys_client_sign_operator(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_DOWN);
	assert_string_equal(w.last.reason,
	    "the keys process has another operator key");
	keys_client_operator(w.client, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	world_close(&w);
}

/* dkim 6.2 */
static void
test_operator_key(void **state)
{
	EVP_PKEY	 *k = EVP_RSA_gen(2048), *small = EVP_RSA_gen(512);
	struct keys_setup s = { .master_key_fd = -1,
		.operator_key_fd = key_file(k, false),
		.operator_domain = "relay.example",
		.operator_selector = "op",
		.control_fd = -1 };
	struct made	  op = { .domain = "relay.example", .selector = "op" };
	struct keys_sign  r = to_sign(&op, 3);
	unsigned char	  der[600];
	struct world	  w;
	struct loop	 *l;
	size_t		  n;

	(void)state;
	world_open_setup(&w, &s);
	keys_client_operator(w.client, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
	assert_int_equal(w.last.bits, 2048);
	n = w.last.public_n;
	memcpy(der, w.last.public_key, n);
	keys_client_sign_operator(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
	assert_true(verifies(der, n, 3, &w.last));
	world_close(&w);
	/* one that may not sign stops the start */
	l = loop_new("keys", 64, &e);
	s.peer_count = 0;
	s.operator_key_fd = key_file(small, false);
	assert_null(keys_open(l, &s, &e));
	assert_string_equal(e.text, "dkim.operator_key: private key must be "
	    "PKCS#1 or PKCS#8, RSA, 1024 to 4096 bits");
	loop_free(l);
	EVP_PKEY_free(k);
	EVP_PKEY_free(small);
}

struct operator_change {
	struct keys *keys;
	int	     fd;
	const char  *selector;
};

static void
change_operator(void *change, void *unused)
{
	struct operator_change *c = change;
	struct err		why;

	(void)unused;
	assert_int_equal(keys_set_operator(c->keys, c->fd, "relay.example",
	    c->selector, &why), 0);
}

static void
sign_as_operator(struct world *w, const char *selector, EVP_PKEY *k)
{
	struct made	 op = { .domain = "relay.example" };
	struct keys_sign r;
	unsigned char	*der = NULL;
	int		 n = i2d_PUBKEY(k, &der);

	snprintf(op.selector, sizeof(op.selector), "%s", selector);
	r = to_sign(&op, 4);
	keys_client_sign_operator(w->client, &r, on_answer, w);
	assert_int_equal(wait_for(w, 1)->result, KEYS_OK);
	assert_true(verifies(der, (size_t)n, 4, &w->last));
	OPENSSL_free(der);
}

/*
 * A reload reaches relay first: what it asks of the next key waits for it,
 * and what was under way is still signed with the one of before.  A signature
 * by the wrong key would be worse than none.
 */
static void
test_operator_key_changes(void **state)
{
	EVP_PKEY	      *one = EVP_RSA_gen(1024), *two = EVP_RSA_gen(1024);
	struct keys_setup      s = { .master_key_fd = -1,
		.operator_key_fd = key_file(one, false),
		.operator_domain = "relay.example",
		.operator_selector = "one", .control_fd = -1 };
	struct made	       op = { .domain = "relay.example",
		.selector = "two" };
	struct keys_sign       r = to_sign(&op, 5);
	struct operator_change c = { .fd = key_file(two, false),
		.selector = "two" }, none = { .fd = -1, .selector = NULL };
	struct world	       w;

	(void)state;
	world_open_setup(&w, &s);
	sign_as_operator(&w, "one", one);
	c.keys = none.keys = w.keys;
	keys_client_sign_operator(w.client, &r, on_answer, &w);
	sign_as_operator(&w, "one", one); /* the other one waits */
	assert_true(loop_post(w.keys_loop, change_operator, &c, NULL));
	assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
	sign_as_operator(&w, "two", two);
	sign_as_operator(&w, "one", one);
	/* switched off: the last one for what is under way, no older ones */
	assert_true(loop_post(w.keys_loop, change_operator, &none, NULL));
	keys_client_set_limits(w.client, 250, 250);
	r.selector = "one";
	keys_client_sign_operator(w.client, &r, on_answer, &w);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_DOWN);
	sign_as_operator(&w, "two", two);
	world_close(&w);
	EVP_PKEY_free(one);
	EVP_PKEY_free(two);
}

/* dkim.md 3: any length between the limits, never below 1024 (RFC 8301) */
static void
test_lengths_of_own_keys(void **state)
{
	static const struct {
		unsigned bits, min_bits, max_bits;
		bool	 ok;
	} rows[] = { { 1024, 1024, 2048, true }, { 1536, 1024, 2048, true },
		{ 1100, 1024, 2048, true }, { 2048, 1024, 2048, true },
		{ 3072, 1024, 2048, false }, { 3072, 1024, 4096, true },
		{ 4096, 1024, 4096, true }, { 1016, 512, 2048, false },
		{ 1024, 2048, 4096, false } };
	struct world		  w;
	const struct keys_answer *a;
	EVP_PKEY		 *k;
	struct made		  m = { .domain = "example.com",
				  .selector = "own" };
	size_t			  i;

	(void)state;
	world_open(&w);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		k = EVP_RSA_gen(rows[i].bits);
		a = import(&w, key_file(k, i % 2 == 0), rows[i].min_bits,
		    rows[i].max_bits);
		EVP_PKEY_free(k);
		assert_int_equal(a->result,
		    rows[i].ok ? KEYS_OK : KEYS_FAILED);
		if (!rows[i].ok)
			continue;
		assert_int_equal(a->bits, rows[i].bits);
		m.public_n = a->public_n;
		memcpy(m.public_key, a->public_key, a->public_n);
		m.sealed_n = a->sealed_n;
		memcpy(m.sealed, a->sealed, a->sealed_n);
		sign(&w, &m, (unsigned char)i);
	}
	world_close(&w);
}

/* -- trouble -------------------------------------------------------------- */

/* Takes the place of a keys process that has just died. */
static void
test_replaced(void **state)
{
	struct keys_setup s = { .master_key_fd = -1,
		.operator_key_fd = -1,
		.control_fd = -1 };
	struct world	  w;
	struct made	  m;
	struct keys_sign  r;
	int		  dead[2], fds[2];

	(void)state;
	world_open(&w);
	make(&w, &m, "example.com", "s1", 1024);
	keys_end(&w);
	/* asked of one that reads nothing and goes */
	pair(dead);
	keys_client_replace(w.client, dead[1]);
	r = to_sign(&m, 7);
	keys_client_sign(w.client, &r, on_answer, &w);
	close(dead[0]);
	pair(fds);
	s.master_key_fd = master_file('m');
	s.peers = fds;
	s.peer_count = 1;
	w.keys_loop = loop_new("keys", 16384, &e);
	w.keys = keys_open(w.keys_loop, &s, &e);
	assert_non_null(w.keys);
	assert_int_equal(loop_start(w.keys_loop, &e), 0);
	keys_client_replace(w.client, fds[1]);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
	assert_true(verifies(m.public_key, m.public_n, 7, &w.last));
	world_close(&w);
}

static unsigned
messages_in(int fd)
{
	char	 raw[KEYS_MESSAGE_MAX];
	unsigned n = 0;

	while (recv(fd, raw, sizeof(raw), MSG_DONTWAIT) > 0)
		n++;
	return n;
}

/* Sent once more, not a third time; a request may be what kills. */
static void
test_sent_once_more_only(void **state)
{
	struct world	 w = { .answers = 0 };
	struct made	 m = { .domain = "example.com", .selector = "s" };
	struct keys_sign r = to_sign(&m, 7);
	int		 a[2], b[2], c[2];

	(void)state;
	w.loop = loop_new("asker", 64, &e);
	w.client = keys_client_new(w.loop, -1, &e); /* it comes later */
	assert_non_null(w.client);
	keys_client_sign(w.client, &r, on_answer, &w);
	pair(a);
	pair(b);
	pair(c);
	keys_client_replace(w.client, a[1]);
	assert_int_equal(messages_in(a[0]), 1);
	keys_client_replace(w.client, b[1]);
	assert_int_equal(messages_in(b[0]), 1);
	keys_client_replace(w.client, c[1]);
	assert_int_equal(messages_in(c[0]), 0);
	assert_int_equal(w.answers, 0);
	keys_client_free(w.client);
	assert_int_equal(w.failed, 1);
	assert_string_equal(w.last.reason, "shutting down");
	loop_free(w.loop);
	close(a[0]);
	close(b[0]);
	close(c[0]);
}

/* Says DONE to the one request that waits at fd. */
static void
say_done(int fd, struct keys_reply *r)
{
	struct keys_request q;
	struct buf	    out;
	char		    raw[KEYS_MESSAGE_MAX];
	ssize_t		    n = recv(fd, raw, sizeof(raw), 0);

	assert_true(n > 0);
	assert_true(keys_request_decode((struct bytes){ raw, (size_t)n },
	    &q));
	r->say = KEYS_SAY_DONE;
	r->ticket = q.ticket;
	buf_init(&out, KEYS_MESSAGE_MAX);
	assert_true(keys_reply_encode(r, &out));
	assert_int_equal(send(fd, out.p, out.n, 0), out.n);
	buf_wipe(&out);
}

/* dkim.md 5.5: DONE without a signature, or with one that is longer than any,
 * would make an unsigned message of a signed one. */
static void
test_done_without_what_was_asked(void **state)
{
	static const char long_one[KEYS_SIGNATURE_MAX + 1];
	struct world	  w = { .answers = 0 };
	struct made	  m = { .domain = "example.com", .selector = "s" };
	struct keys_sign  r = to_sign(&m, 7);
	struct keys_reply replies[] = { { .bits = 2048 },
		{ .signature = { long_one, sizeof(long_one) } },
		{ .public_key = BYTES("public"), .sealed = BYTES("sealed") } };
	struct keys_reply sealed_only = { .sealed = BYTES("sealed") };
	int		  fds[2];
	size_t		  i;

	(void)state;
	pair(fds);
	w.loop = loop_new("asker", 64, &e);
	w.client = keys_client_new(w.loop, fds[1], &e);
	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		keys_client_sign(w.client, &r, on_answer, &w);
		say_done(fds[0], &replies[i]);
		assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
		assert_string_equal(w.last.reason, "the keys process gave an "
		    "answer that is not whole");
		assert_int_equal(w.last.signature_n, 0);
	}
	keys_client_sign_operator(w.client, &r, on_answer, &w);
	say_done(fds[0], &replies[0]);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	keys_client_operator(w.client, on_answer, &w);
	say_done(fds[0], &replies[0]);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	keys_client_make(w.client, "example.com", "s", 2048, on_answer, &w);
	say_done(fds[0], &sealed_only);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_FAILED);
	say_done(fds[0], &sealed_only); /* the question beside it */
	keys_client_check(w.client, &r, on_answer, &w);
	say_done(fds[0], &replies[0]);
	assert_int_equal(wait_for(&w, 1)->result, KEYS_OK);
	keys_client_free(w.client);
	loop_free(w.loop);
	close(fds[0]);
}

static void
test_no_answer_in_time(void **state)
{
	struct world	 w = { .answers = 0 };
	struct made	 m = { .domain = "example.com", .selector = "s" };
	struct keys_sign r = to_sign(&m, 7);
	struct mono	 begun;
	int		 fds[2];
	unsigned	 i;

	(void)state;
	pair(fds);
	w.loop = loop_new("asker", 64, &e);
	w.client = keys_client_new(w.loop, fds[1], &e);
	keys_client_set_limits(w.client, 50, 600000);
	begun = clock_mono();
	for (i = 0; i < 3; i++)
		keys_client_sign(w.client, &r, on_answer, &w);
	/* it may take long, but not be silent */
	keys_client_make(w.client, "example.com", "s", 2048, on_answer, &w);
	wait_for(&w, 4);
	assert_true(clock_mono().ms - begun.ms >= 49);
	assert_string_equal(w.last.reason, "the keys process does not answer");
	assert_int_equal(w.down, 4);
	keys_client_free(w.client);
	loop_free(w.loop);
	close(fds[0]);
}

static void
on_readable(void *loop, int fd, int what)
{
	(void)fd;
	(void)what;
	loop_stop(loop);
}

/*
 * A key is being made: the keys process is asked again and again whether it
 * is there, and the limit is that of making as long as it says so.
 */
static void
test_slow_but_there(void **state)
{
	struct world	  w = { .answers = 0 };
	struct keys_reply yes = { .public_key = BYTES("public") };
	struct watch	 *watch;
	char		  make[KEYS_MESSAGE_MAX];
	int		  fds[2];
	unsigned	  i;

	(void)state;
	pair(fds);
	w.loop = loop_new("asker", 64, &e);
	w.client = keys_client_new(w.loop, fds[1], &e);
	keys_client_set_limits(w.client, 100, 600000);
	keys_client_make(w.client, "example.com", "s", 2048, on_answer, &w);
	assert_true(recv(fds[0], make, sizeof(make), 0) > 0);
	watch = watch_open(w.loop, fds[0], WATCH_READ, on_readable, w.loop);
	for (i = 0; i < 4; i++) {
		loop_run(w.loop);
		assert_int_equal(w.answers, 0);
		say_done(fds[0], &yes);
	}
	watch_close(watch);
	/* and hangs */
	assert_int_equal(wait_for(&w, 1)->result, KEYS_DOWN);
	keys_client_free(w.client);
	loop_free(w.loop);
	close(fds[0]);
}

/* More than the channel takes is given up at once, but not from inside. */
static void
test_more_than_fits(void **state)
{
	enum { ALL = 20000 };
	struct world	 w = { .answers = 0 };
	struct made	 m = { .domain = "example.com", .selector = "s" };
	struct keys_sign r = to_sign(&m, 7);
	int		 fds[2];
	unsigned	 i, at_once;

	(void)state;
	pair(fds);
	w.loop = loop_new("asker", 64, &e);
	w.client = keys_client_new(w.loop, fds[1], &e);
	for (i = 0; i < ALL; i++)
		keys_client_sign(w.client, &r, on_answer, &w);
	assert_int_equal(w.answers, 0);
	wait_for(&w, 1000);
	assert_int_equal(w.down, w.answers);
	assert_string_equal(w.last.reason,
	    "the keys process does not keep up");
	at_once = w.answers;
	assert_true(at_once < ALL);
	keys_client_free(w.client);
	assert_int_equal(w.answers, ALL);
	assert_int_equal(w.failed, ALL - at_once);
	loop_free(w.loop);
	close(fds[0]);
}

static void
never(void *arg, const struct keys_answer *a)
{
	(void)arg;
	(void)a;
	fail_msg("a cancelled request was answered");
}

/* The slot is used again; the late answer does not find it. */
static void
test_cancel(void **state)
{
	enum { SLOTS = 64 };
	static struct one_of_many o[SLOTS];
	struct world		  w;
	struct made		  m;
	struct keys_sign	  r;
	uint64_t		  ticket;
	unsigned		  i;

	(void)state;
	world_open(&w);
	make(&w, &m, "example.com", "s1", 1024);
	r = to_sign(&m, 1);
	ticket = keys_client_sign(w.client, &r, never, NULL);
	keys_client_cancel(w.client, ticket);
	keys_client_cancel(w.client, ticket);
	keys_client_cancel(w.client, 12345);
	for (i = 0; i < SLOTS; i++) {
		o[i] = (struct one_of_many){ &w, &m, (unsigned char)(i + 2) };
		r = to_sign(&m, o[i].n);
		keys_client_sign(w.client, &r, on_one_of_many, &o[i]);
	}
	wait_for(&w, SLOTS);
	assert_int_equal(w.ok, SLOTS + 1);
	world_close(&w);
}

/* A peer that says nonsense harms nobody. */
static void
test_nonsense(void **state)
{
	static const char *const words[] = { "x", "\1", "\4\1\1d\1s",
		"hello there", "\5\1\1d\1s\1\1" /* import without a file */ };
	struct world w;
	struct made  m;
	char	     raw[KEYS_MESSAGE_MAX];
	int	     fds[2], file[2];
	struct pollfd p;
	struct keys_reply reply;
	ssize_t	     n;
	size_t	     i;

	(void)state;
	memset(&w, 0, sizeof(w));
	pair(fds);
	{
		int		  both[2];
		int		  mine[2];
		struct keys_setup s = { .master_key_fd = master_file('m'),
			.operator_key_fd = -1, .control_fd = -1 };

		pair(mine);
		both[0] = fds[0];
		both[1] = mine[0];
		s.peers = both;
		s.peer_count = 2;
		w.keys_loop = loop_new("keys", 16384, &e);
		w.loop = loop_new("asker", 64, &e);
		w.keys = keys_open(w.keys_loop, &s, &e);
		w.client = keys_client_new(w.loop, mine[1], &e);
		assert_int_equal(loop_start(w.keys_loop, &e), 0);
	}
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_true(send(fds[1], words[i], strlen(words[i]), 0) > 0);
	p.fd = fds[1];
	p.events = POLLIN;
	assert_int_equal(poll(&p, 1, 5000), 1);
	n = recv(fds[1], raw, sizeof(raw), MSG_DONTWAIT);
	assert_true(n > 0);
	assert_true(keys_reply_decode((struct bytes){ raw, (size_t)n },
	    &reply));
	assert_int_equal(reply.say, KEYS_SAY_FAILED);
	assert_true(bytes_eq_text(reply.reason,
	    "no file came with the request"));
	/* it goes while its request is under way */
	assert_int_equal(pipe(file), 0);
	assert_true(send(fds[1], "\4\1\1d\1s\200\10", 8, 0) == 8);
	close(fds[1]);
	close(file[0]);
	close(file[1]);
	make(&w, &m, "example.com", "s1", 1024);
	sign(&w, &m, 1);
	world_close(&w);
}

/* -- the process ---------------------------------------------------------- */

static pid_t
start(struct keys_setup *s, int *control)
{
	int   fds[2], status;
	pid_t pid;

	pair(fds);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[1]);
		s->control_fd = fds[0];
		status = keys_run(s);
		_exit(status);
	}
	close(fds[0]);
	if (s->master_key_fd >= 0)
		close(s->master_key_fd);
	*control = fds[1];
	return pid;
}

static int
ends_with(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

struct master {
	struct loop    *loop;
	struct channel *channel;
	bool		ready;
	char		fatal[200];
};

static void
master_on_message(void *arg, struct bytes message, int fd)
{
	struct master	    *m = arg;
	struct child_message c;

	assert_int_equal(fd, -1);
	assert_true(child_read(message, &c));
	m->ready = c.kind == CHILD_READY;
	if (c.kind == CHILD_FATAL)
		bytes_text(c.text, m->fatal, sizeof(m->fatal));
	loop_stop(m->loop);
}

static void
master_on_close(void *arg)
{
	struct master *m = arg;

	channel_close(m->channel);
	m->channel = NULL;
	loop_stop(m->loop);
}

static void
master_open(struct master *m, int control)
{
	static const struct channel_events ev = { master_on_message,
		master_on_close };

	memset(m, 0, sizeof(*m));
	m->loop = loop_new("master", 64, &e);
	m->channel = channel_open(m->loop, control, &ev, m, &e);
	assert_non_null(m->channel);
	loop_run(m->loop);
}

static void
test_process(void **state)
{
	struct keys_setup s = { .master_key_fd = master_file('m'),
		.operator_key_fd = -1 };
	struct master	  master;
	struct world	  w = { .answers = 0 };
	struct made	  m;
	int		  control, fds[2];
	pid_t		  pid = start(&s, &control);

	(void)state;
	master_open(&master, control);
	assert_true(master.ready);
	pair(fds);
	assert_true(child_send(master.channel, CHILD_PEER_KEYS, 0, BYTES(""),
	    fds[0]));
	w.loop = loop_new("asker", 64, &e);
	w.client = keys_client_new(w.loop, fds[1], &e);
	make(&w, &m, "example.com", "s1", 1024);
	sign(&w, &m, 4);
	assert_true(child_send(master.channel, CHILD_STOP, 0, BYTES(""), -1));
	assert_int_equal(ends_with(pid), 0);
	keys_client_free(w.client);
	loop_free(w.loop);
	channel_close(master.channel);
	loop_free(master.loop);
}

/* The master has gone: so does it. */
static void
test_process_ends_with_the_master(void **state)
{
	struct keys_setup s = { .master_key_fd = -1, .operator_key_fd = -1 };
	int		  control;
	pid_t		  pid = start(&s, &control);

	(void)state;
	close(control);
	assert_int_equal(ends_with(pid), 0);
}

/* credentials#25: a master key that others may read */
static void
test_process_refuses_an_open_master_key(void **state)
{
	char		  raw[32] = { 1 };
	struct keys_setup s = { .master_key_fd = temporary_file(0644, raw, 32),
		.operator_key_fd = -1 };
	struct master	  master;
	int		  control;
	pid_t		  pid = start(&s, &control);

	(void)state;
	master_open(&master, control);
	assert_string_equal(master.fatal, "store.master_key: the file must "
	    "not be open to group or others (mode 0644)");
	assert_int_equal(ends_with(pid), KEYS_EXIT_SETUP);
	channel_close(master.channel);
	loop_free(master.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_process_ends_with_the_master),
		cmocka_unit_test(test_process_refuses_an_open_master_key),
		cmocka_unit_test(test_sign),
		cmocka_unit_test(test_selector_gets_another_key),
		cmocka_unit_test(test_many_in_flight),
		cmocka_unit_test(test_signing_does_not_wait_for_making),
		cmocka_unit_test(test_table_is_bounded),
		cmocka_unit_test(test_idle_keys_go),
		cmocka_unit_test(test_import),
		cmocka_unit_test(test_import_is_bounded),
		cmocka_unit_test(test_export),
		cmocka_unit_test(test_export_to_relay),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_no_master_key),
		cmocka_unit_test(test_operator_key),
		cmocka_unit_test(test_operator_key_changes),
		cmocka_unit_test(test_lengths_of_own_keys),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_sent_once_more_only),
		cmocka_unit_test(test_done_without_what_was_asked),
		cmocka_unit_test(test_no_answer_in_time),
		cmocka_unit_test(test_slow_but_there),
		cmocka_unit_test(test_more_than_fits),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
