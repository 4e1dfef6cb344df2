/* SPDX-License-Identifier: ISC */
/*
 * keys_world.h - a keys process on a thread, its clients on this one, over
 * real channels.
 * Use:    struct world w; world_open(&w); make(), sign(), wait_for();
 *         world_close(&w).
 * Owner:  the test.
 * Thread: that of the test, and the one of the keys process.
 * Fails:  by the test's assertions.
 */
#ifndef TESTS_KEYS_WORLD_H
#define TESTS_KEYS_WORLD_H

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

static inline int
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

static inline int
master_file(char octet)
{
	char raw[32];

	memset(raw, octet, sizeof(raw));
	return temporary_file(0400, raw, sizeof(raw));
}

static inline int
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

static inline void
pair(int fds[2])
{
	assert_int_equal(channel_pair(fds, &e), 0);
}

static inline void
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

static inline void
world_open(struct world *w)
{
	struct keys_setup s = { .master_key_fd = master_file('m'),
		.operator_key_fd = -1,
		.control_fd = -1,
		.threads = 2 };

	world_open_setup(w, &s);
}

static inline void
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

static inline void
world_close(struct world *w)
{
	keys_client_free(w->client);
	keys_end(w);
	loop_free(w->loop);
}

static inline void
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

static inline const struct keys_answer *
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

static inline void
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

static inline struct keys_sign
to_sign(const struct made *m, unsigned char n)
{
	struct keys_sign r = { .domain = m->domain,
		.selector = m->selector,
		.sealed = { (const char *)m->sealed, m->sealed_n } };

	memset(r.digest, n, sizeof(r.digest));
	return r;
}

static inline bool
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

static inline void
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
static inline struct keys_figures
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

struct one_of_many {
	struct world	  *w;
	const struct made *m;
	unsigned char	   n;
};

static inline void
on_one_of_many(void *arg, const struct keys_answer *a)
{
	struct one_of_many *o = arg;

	assert_int_equal(a->result, KEYS_OK);
	assert_true(verifies(o->m->public_key, o->m->public_n, o->n, a));
	on_answer(o->w, a);
}

#endif
