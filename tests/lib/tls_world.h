/* SPDX-License-Identifier: ISC */
/*
 * tls_world.h - certificates and contexts for tests of net/tls*.c.
 * Use:    cmocka_run_group_tests(tests, group_setup, group_teardown), each
 *         test with setup and teardown; *state is the struct fixture.
 * Owner:  the group; the contexts are made anew for each test.
 * Thread: that of the test.
 * Fails:  the test.
 */
#ifndef TESTS_TLS_WORLD_H
#define TESTS_TLS_WORLD_H

#include "net_world.h"
#include "test_certs.h"

#include "net/tls.h"

enum { CERT_A, CERT_B, CERT_B_EC, CERT_WILD, CERT_OLD, CERT_COUNT };
enum { DAY_MS = 24 * 3600 * 1000 };

/* Certificates are made once; the contexts for each test. */
struct fixture {
	struct test_cert  ca, other_ca, certs[CERT_COUNT];
	char		  ca_path[64];
	struct tls_server *server;
	struct tls_client *client;
};

static inline struct tls_pem
pem_of(const struct test_cert *c, const char *path)
{
	return (struct tls_pem){ bytes_of(c->cert_pem), bytes_of(c->key_pem),
		path };
}

static inline int
group_setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));
	int		fd;

	test_cert_make(&f->ca,
	    &(struct test_cert_spec){ .cn = "CA", .is_ca = true });
	test_cert_make(&f->other_ca,
	    &(struct test_cert_spec){ .cn = "other CA", .is_ca = true });
	test_cert_make(&f->certs[CERT_A], &(struct test_cert_spec){
	    .names = "DNS:a.example", .issuer = &f->ca });
	test_cert_make(&f->certs[CERT_B], &(struct test_cert_spec){
	    .names = "DNS:b.example", .issuer = &f->ca });
	test_cert_make(&f->certs[CERT_B_EC], &(struct test_cert_spec){
	    .names = "DNS:b.example", .issuer = &f->ca, .is_ecdsa = true });
	test_cert_make(&f->certs[CERT_WILD], &(struct test_cert_spec){
	    .names = "DNS:*.c.example", .issuer = &f->ca });
	test_cert_make(&f->certs[CERT_OLD], &(struct test_cert_spec){
	    .names = "DNS:old.example", .issuer = &f->ca,
	    .not_after_s = -60 });
	strcpy(f->ca_path, "/tmp/test-tls-XXXXXX");
	fd = mkstemp(f->ca_path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, f->ca.cert_pem, strlen(f->ca.cert_pem)),
	    strlen(f->ca.cert_pem));
	close(fd);
	*state = f;
	return 0;
}

static inline int
group_teardown(void **state)
{
	struct fixture *f = *state;
	int		i;

	unlink(f->ca_path);
	for (i = 0; i < CERT_COUNT; i++)
		test_cert_wipe(&f->certs[i]);
	test_cert_wipe(&f->ca);
	test_cert_wipe(&f->other_ca);
	mem_free(f);
	return 0;
}

static inline int
setup(void **state)
{
	struct fixture *f = *state;
	struct tls_pem	pems[CERT_COUNT - 1];
	struct err	e;
	int		i;

	for (i = 0; i < CERT_COUNT - 1; i++)
		pems[i] = pem_of(&f->certs[i], "cert.pem");
	f->server = tls_server_new(&(struct tls_server_setup){ .pems = pems,
	    .pem_count = CERT_COUNT - 1 }, &e);
	assert_non_null(f->server);
	f->client = tls_client_new(f->ca_path, &e);
	assert_non_null(f->client);
	return 0;
}

static inline int
teardown(void **state)
{
	struct fixture *f = *state;

	tls_server_unref(f->server);
	tls_client_unref(f->client);
	return 0;
}

#endif
