/* SPDX-License-Identifier: ISC */
/*
 * TLS contexts for the replay tests: names without keys.  What a handshake
 * does is said by the play (fake_stream.h).
 */
#include "net/tls.h"

#include <stdlib.h>

struct tls_server {
	unsigned refs;
};
struct tls_client {
	unsigned refs;
};

struct tls_server *
tls_server_new(const struct tls_server_setup *s, struct err *e)
{
	struct tls_server *t;

	if (s->pem_count == 0 || s->pems[0].cert.n == 0) {
		err_set(e, "no certificate");
		return NULL;
	}
	t = mem_alloc(sizeof(*t));
	t->refs = 1;
	return t;
}

struct tls_server *
tls_server_ref(struct tls_server *t)
{
	t->refs++;
	return t;
}

void
tls_server_unref(struct tls_server *t)
{
	if (t != NULL && --t->refs == 0)
		free(t);
}

bool
tls_server_covers(const struct tls_server *t, const char *name)
{
	(void)t;
	(void)name;
	return true;
}

/* 2034-05-01, behind the end of every play */
struct wall
tls_server_not_after(const struct tls_server *t)
{
	(void)t;
	return (struct wall){ 2030088000000 };
}

struct tls_client *
tls_client_new(const char *ca_path, struct err *e)
{
	struct tls_client *t = mem_alloc(sizeof(*t));

	(void)ca_path;
	(void)e;
	t->refs = 1;
	return t;
}

struct tls_client *
tls_client_ref(struct tls_client *t)
{
	t->refs++;
	return t;
}

void
tls_client_unref(struct tls_client *t)
{
	if (t != NULL && --t->refs == 0)
		free(t);
}
