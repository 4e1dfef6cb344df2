/* SPDX-License-Identifier: ISC */
#include "tools/sendmail_tls.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct sendmail_tls {
	SSL_CTX *context;
	SSL	*ssl;
};

/* What went wrong, in the library's words or the system's. */
static int
tls_fail(struct sendmail_tls *t, const char *what, int rc, struct err *e)
{
	unsigned long reason = ERR_peek_last_error();
	int	      cause = SSL_get_error(t->ssl, rc);
	long	      verified = SSL_get_verify_result(t->ssl);

	if (verified != X509_V_OK)
		return err_set(e, "%s: %s", what,
		    X509_verify_cert_error_string(verified));
	/* the time-outs of the descriptor show as "try again" */
	if (cause == SSL_ERROR_WANT_READ || cause == SSL_ERROR_WANT_WRITE)
		return err_set(e, "%s: timed out", what);
	if (cause == SSL_ERROR_SYSCALL && reason == 0 && errno != 0)
		return err_sys(e, "%s", what);
	if (reason != 0 && ERR_reason_error_string(reason) != NULL)
		return err_set(e, "%s: %s", what,
		    ERR_reason_error_string(reason));
	return err_set(e, "%s: the connection was closed", what);
}

/* A name, or an address as text, that the certificate has to hold. */
static bool
tls_expect(struct sendmail_tls *t, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);

	X509_VERIFY_PARAM_set_hostflags(param,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
		return true;
	ERR_clear_error();
	return SSL_set_tlsext_host_name(t->ssl, host) == 1 &&
	    X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
}

static int
tls_prepare(struct sendmail_tls *t, int fd, const char *host, const char *ca,
    struct err *e)
{
	t->context = SSL_CTX_new(TLS_client_method());
	if (t->context == NULL)
		return err_set(e, "TLS: no memory");
	SSL_CTX_set_min_proto_version(t->context, TLS1_2_VERSION);
	SSL_CTX_set_verify(t->context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(t->context, SSL_MODE_AUTO_RETRY);
	/* in SMTP nothing ends by the end of the stream: a cut is no harm */
	SSL_CTX_set_options(t->context, SSL_OP_IGNORE_UNEXPECTED_EOF);
	if ((ca == NULL ? SSL_CTX_set_default_verify_paths(t->context)
			: SSL_CTX_load_verify_locations(t->context, ca,
			      NULL)) != 1)
		return err_set(e, "TLS: cannot read the trust store %s",
		    ca == NULL ? "of the system" : ca);
	t->ssl = SSL_new(t->context);
	if (t->ssl == NULL || SSL_set_fd(t->ssl, fd) != 1 ||
	    !tls_expect(t, host))
		return err_set(e, "TLS: cannot be set up for %s", host);
	return 0;
}

struct sendmail_tls *
sendmail_tls_open(int fd, const char *host, const char *ca, struct err *e)
{
	struct sendmail_tls *t = mem_alloc(sizeof(*t));
	int		     rc;

	rc = tls_prepare(t, fd, host, ca, e);
	if (rc == 0) {
		ERR_clear_error();
		errno = 0;
		rc = SSL_connect(t->ssl);
		if (rc == 1)
			return t;
		tls_fail(t, "TLS", rc, e);
	}
	sendmail_tls_close(t);
	return NULL;
}

int
sendmail_tls_write(struct sendmail_tls *t, struct bytes s, struct err *e)
{
	int rc;

	while (s.n > 0) {
		ERR_clear_error();
		errno = 0;
		rc = SSL_write(t->ssl, s.p,
		    s.n > INT_MAX ? INT_MAX : (int)s.n);
		if (rc <= 0)
			return tls_fail(t, "write", rc, e);
		s = bytes_from(s, (size_t)rc);
	}
	return 0;
}

int
sendmail_tls_read(struct sendmail_tls *t, char *out, size_t size,
    struct err *e)
{
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_read(t->ssl, out, size > INT_MAX ? INT_MAX : (int)size);
	if (rc > 0)
		return rc;
	if (SSL_get_error(t->ssl, rc) == SSL_ERROR_ZERO_RETURN)
		return 0;
	return tls_fail(t, "read", rc, e);
}

size_t
sendmail_tls_pending(struct sendmail_tls *t)
{
	int n = SSL_pending(t->ssl);

	return n > 0 ? (size_t)n : 0;
}

void
sendmail_tls_close(struct sendmail_tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	SSL_CTX_free(t->context);
	mem_free(t);
}
