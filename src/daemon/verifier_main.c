/* SPDX-License-Identifier: ISC */
/* The beginning of the verifier process: settings, privileges, sandbox. */
#include <string.h>

#include "base/log.h"
#include "daemon/child.h"
#include "daemon/verifier.h"
#include "registry/conf.h"

/* What c-ares and the C library read while they run. */
static const char *const verifier_readable[] = { "/etc/resolv.conf",
	"/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/dev/urandom",
	NULL };
static const struct sandbox verifier_sandbox = { verifier_readable, NULL,
	SANDBOX_OPENS | SANDBOX_CONNECT };

static int
verifier_prepare(struct child_files *f, struct verifier_setup *s,
    struct conf **out, struct err *e)
{
	static struct sockaddr_storage servers[RESOLVER_SERVERS_MAX];
	struct conf		      *c = child_read_conf(f, e);

	if (c == NULL)
		return -1;
	*out = c;
	memset(s, 0, sizeof(*s));
	conf_resolver_setup(c, servers, &s->resolver);
	s->resolver.cache_max = 1000;
	s->allow_private = c->delivery.allow_private;
	if (child_open_log(f, c, e) != 0 || child_drop(f, e) != 0 ||
	    child_enclose(c, &verifier_sandbox, e) != 0)
		return -1;
	return 0;
}

int
verifier_main(struct child_files *f, int channel_fd)
{
	struct verifier_setup s;
	struct conf	     *c = NULL;
	struct err	      e;
	int		      status = 1;

	memset(&s, 0, sizeof(s));
	if (verifier_prepare(f, &s, &c, &e) != 0) {
		log_error("start-failed", "reason=\"%s\"", e.text);
	} else
		status = verifier_run(child_files_take(f, CHILD_PEER_VERIFIER,
		    NULL), channel_fd, &s);
	conf_unref(c);
	return status;
}
